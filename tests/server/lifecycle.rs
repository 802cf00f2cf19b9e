//! Restarts, stops and deaths: who lives, what is finished, and what is said about it.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::{Signal, kill};

use crate::on_every_mpm;
use crate::support::client::{Client, head};
use crate::support::processes::{clients_of, is_alive};
use crate::support::{noise, wait_until};

const LARGE: usize = 12_000_000;

/// The child that serves this client is told to go at some moment from now on. Every request until then has its
/// answer, and the last answer says that it is the last.
fn ask_until_the_last_answer(client: &mut Client) {
    loop {
        let answer = client.get("/");
        assert_eq!(answer.status, 200);
        if answer.closes() {
            return client.expect_end();
        }
    }
}

on_every_mpm!(
    graceful_restart_finishes_the_response_in_flight,
    |site| site.file("large.bin", noise(LARGE)),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        let before = server.children();
        server.graceful_restart();
        assert_eq!(server.get("/").status, 200, "the next generation serves");
        assert!(client.bytes(LARGE) == noise(LARGE));
        client.expect_end();
        wait_until("the old children have gone", || {
            !server.children().iter().any(|pid| before.contains(pid))
        });
    }
);

on_every_mpm!(graceful_restart_gives_an_idle_connection_one_more_request, |server| {
    let mut client = server.client();
    assert!(!client.get("/").closes());
    server.graceful_restart();
    ask_until_the_last_answer(&mut client);
});

on_every_mpm!(
    a_graceful_restart_reads_the_new_configuration_and_keeps_the_port,
    |site| site.beside("elsewhere/a.txt", "elsewhere"),
    |server| {
        assert_eq!(server.get("/other/a.txt").status, 404);
        server.rewrite_conf("Alias /other ROOT/elsewhere");
        server.graceful_restart_to_the_end();
        assert_eq!(server.get("/other/a.txt").text(), "elsewhere");
        server.wait_for_error("raceful restart");
    }
);

on_every_mpm!(
    hup_cuts_what_is_in_flight_and_starts_anew,
    |site| { site.file("large.bin", noise(LARGE)) },
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        let before = server.children();
        server.rewrite_conf("ErrorDocument 404 \"new\"");
        server.restart(Signal::SIGHUP);
        assert!(client.rest().len() < LARGE);
        assert_eq!(server.get("/nothing").text(), "new");
        assert!(!server.children().iter().any(|pid| before.contains(pid)));
        server.wait_for_error("SIGHUP received.  Attempting to restart");
    }
);

on_every_mpm!(
    winch_finishes_what_is_in_flight_and_stops,
    |site| site.file("large.bin", noise(LARGE)),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        server.signal(Signal::SIGWINCH);
        server.wait_for_error("caught SIGWINCH, shutting down gracefully");
        let address = server.address();
        wait_until("nobody new is let in", || Client::try_connect(address).is_err());
        assert!(client.bytes(LARGE) == noise(LARGE));
        assert_eq!(server.wait_for_the_end().code(), Some(0));
        assert!(!server.path("logs/herdgate.pid").exists());
    }
);

on_every_mpm!(term_stops_at_once_and_leaves_nothing_behind, |server| {
    let mut client = server.client();
    client.get("/");
    let pid_file = std::fs::read_to_string(server.path("logs/herdgate.pid")).unwrap();
    assert_eq!(pid_file, format!("{}\n", server.pid()));
    let children = server.children();
    server.signal(Signal::SIGTERM);
    let ended = server.wait_for_the_end();
    assert_eq!((ended.code(), ended.signal()), (Some(0), None));
    assert!(!children.into_iter().any(is_alive));
    assert!(!server.path("logs/herdgate.pid").exists());
    assert!(server.error_log().contains("caught SIGTERM, shutting down"));
    assert!(Client::try_connect(server.address()).is_err());
});

on_every_mpm!(a_killed_child_loses_only_what_it_served_and_is_replaced, |server| {
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    let before = server.children();
    let port = server.address().port();
    let first = clients[0].local_address().port();
    let holder = *before
        .iter()
        .find(|child| clients_of(**child, port).contains(&first))
        .expect("a child holds the connection");
    let lost = clients_of(holder, port);
    kill(holder, Signal::SIGKILL).unwrap();
    for client in &mut clients {
        if lost.contains(&client.local_address().port()) {
            client.expect_end();
        } else {
            assert_eq!(client.get("/").status, 200);
        }
    }
    wait_until("another stands in", || {
        let now = server.children();
        now.len() >= before.len() && !now.contains(&holder)
    });
    assert_eq!(server.get("/").status, 200);
    server.wait_for_error(&format!("child pid {holder} exit signal"));
});

on_every_mpm!(children_finish_when_their_supervisor_is_killed, |server| {
    let mut client = server.client();
    assert_eq!(client.get("/").status, 200);
    let children = server.children();
    server.signal(Signal::SIGKILL);
    server.wait_for_the_end();
    ask_until_the_last_answer(&mut client);
    wait_until("the children have gone", || !children.iter().any(|child| is_alive(*child)));
});

on_every_mpm!(a_bad_configuration_keeps_the_old_generation_and_says_why, |server| {
    let before = server.children();
    for signal in [Signal::SIGUSR1, Signal::SIGHUP] {
        server.rewrite_conf("MaxRequestWorkers many\nDocumentRooot /tmp");
        server.signal(signal);
        wait_until("both mistakes are in the log", || {
            let log = server.error_log();
            log.contains("\"many\" is not a number") && log.contains("DocumentRooot")
        });
        std::fs::write(server.path("logs/error_log"), "").unwrap();
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.children(), before);
    }
    server.rewrite_conf("ErrorDocument 404 \"repaired\"");
    server.graceful_restart_to_the_end();
    assert_eq!(server.get("/nothing").text(), "repaired");
});

on_every_mpm!(a_restart_binds_new_addresses_and_drops_old_ones, |server| {
    let first = server.address();
    server.rewrite_conf("Listen 127.0.0.2:0");
    server.graceful_restart_to_the_end();
    let log = server.error_log();
    let second = log
        .lines()
        .filter_map(|line| line.split_once("listening on 127.0.0.2:"))
        .find_map(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("no second address in:\n{log}"));
    let second = std::net::SocketAddr::from(([127, 0, 0, 2], second));
    assert_eq!(Client::connect(second).get("/").status, 200);
    assert_eq!(Client::connect(first).get("/").status, 200);
    server.rewrite_conf("");
    server.graceful_restart_to_the_end();
    wait_until("the second address is given up", || Client::try_connect(second).is_err());
    assert_eq!(Client::connect(first).get("/").status, 200);
});

on_every_mpm!(a_new_address_that_is_taken_keeps_the_old_generation, |server| {
    let taken = crate::support::taken_port();
    server.rewrite_conf(&format!("Listen 127.0.0.1:{}", taken.local_addr().unwrap().port()));
    server.signal(Signal::SIGUSR1);
    let line = server.wait_for_error("Address already in use");
    assert!(line.contains(&taken.local_addr().unwrap().to_string()), "{line}");
    assert_eq!(server.get("/").status, 200);
});

on_every_mpm!(
    children_retire_after_their_share_of_connections_and_no_request_is_lost,
    |site| site.conf("MaxConnectionsPerChild 5"),
    |server| {
        let before = server.children();
        for _ in 0..60 {
            assert_eq!(server.get("/").status, 200);
        }
        wait_until("successors", || {
            let now = server.children();
            !now.is_empty() && !now.iter().any(|child| before.contains(child))
        });
    }
);

on_every_mpm!(
    graceful_stop_does_not_wait_longer_than_it_may,
    |site| site.file("large.bin", noise(LARGE)).conf("GracefulShutdownTimeout 1"),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        server.signal(Signal::SIGWINCH);
        // The client never reads on, so only the timeout can end it.
        assert_eq!(server.wait_for_the_end().code(), Some(0));
        assert!(client.rest().len() < LARGE);
    }
);
