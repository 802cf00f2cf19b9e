//! Signals at bad moments: several at once, in the middle of something, or without end.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::sys::signal::{Signal, kill};

use crate::on_every_mpm;
use crate::support::client::head;
use crate::support::{noise, wait_until};

/// More than a socket's buffers ever hold.
const LARGE: usize = 12_000_000;

on_every_mpm!(
    term_ends_a_graceful_stop_at_any_moment,
    |site| site.file("large.bin", noise(LARGE)),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        server.signal(Signal::SIGWINCH);
        // The kernel's queues are being emptied now, and after that the children's work would be waited for.
        server.wait_for_error("caught SIGWINCH, shutting down gracefully");
        server.signal(Signal::SIGTERM);
        // The client never reads on, so only the second order can end it.
        assert_eq!(server.wait_for_the_end().code(), Some(0));
        assert!(client.rest().len() < LARGE);
    }
);

on_every_mpm!(
    orders_that_come_while_another_one_is_obeyed_are_obeyed_too,
    |site| site.conf("Listen 127.0.0.2:0"),
    |server| {
        // Giving up an address takes a moment, since its queue is emptied first.
        server.rewrite_conf("");
        server.graceful_restart();
        for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
            server.signal(signal);
        }
        let generations = || server.error_log().matches("resuming normal operations").count();
        wait_until("both are obeyed", || generations() == 4);
        assert_eq!(server.get("/").status, 200);
    }
);

on_every_mpm!(
    signals_without_end_do_not_keep_the_supervisor_from_its_upkeep,
    |site| {
        let sizes = match site.model() {
            "prefork" => "StartServers 1\nServerLimit 1\nMaxRequestWorkers 1",
            _ => {
                "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nMaxRequestWorkers 1\n\
                 AsyncRequestWorkerFactor 1"
            }
        };
        site.sizes(sizes)
    },
    |server| {
        let (over, pid) = (AtomicBool::new(false), server.pid());
        std::thread::scope(|scope| {
            let _ends_with_us = OverOnDrop(&over);
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    kill(pid, Signal::SIGCHLD).unwrap();
                }
            });
            // That all workers are busy is noticed by a look that is had once a second.
            let mut clients: Vec<_> = (0..3).map(|_| server.client()).collect();
            clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\n"));
            server.wait_for_error("all workers are busy");
        });
    }
);

/// However a test ends, by a panic, too.
struct OverOnDrop<'a>(&'a AtomicBool);

impl Drop for OverOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
