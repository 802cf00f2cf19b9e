//! All workers are busy: the log says since when, with what, how long clients wait, and what would help.

use crate::support::client::{Client, head};
use crate::support::{Server, Site, noise};

#[test]
fn saturation_is_said_with_the_time_that_clients_wait() {
    for model in ["prefork", "worker"] {
        let server = Site::new(model).sizes(sizes(model)).start();
        let mut kept = server.client();
        assert_eq!(kept.get("/").status, 200);
        // The only worker waits for the next request of this client, and everybody else waits for the worker.
        let queued: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let begun = server.wait_for_error("all workers are busy");
        assert!(begun.contains("1 in keep-alive"), "{begun}");
        assert!(begun.contains("connections queue, and nobody was let in meanwhile"), "{begun}");
        assert!(begun.contains("a shorter KeepAliveTimeout"), "{begun}");
        drop(kept);
        for mut client in queued {
            client.send(head("GET", "/", &["Connection: close"]));
            assert_eq!(client.receive("GET").status, 200);
        }
        let over = server.wait_for_error("there are idle workers again");
        assert!(over.contains("let in meanwhile had waited"), "{over}");
    }
}

/// Holds the only worker by half a request.
fn slow_to_ask(server: &Server) -> Client {
    let mut slow = server.client();
    slow.send("GET / HTTP/1.1\r\n");
    slow
}

/// Holds it by an answer that is not read.
fn slow_to_read(server: &Server) -> Client {
    let mut slow = server.client();
    slow.send(head("GET", "/large.bin", &[]));
    assert_eq!(slow.receive_head().unwrap().status, 200);
    slow
}

#[test]
fn slow_clients_are_named_where_they_hold_the_workers() {
    for model in ["prefork", "worker"] {
        for (hold, doing) in [
            (slow_to_ask as fn(&Server) -> Client, "1 reading requests, 0 sending answers"),
            (slow_to_read, "0 reading requests, 1 sending answers"),
        ] {
            let site = Site::new(model).sizes(sizes(model)).file("large.bin", noise(LARGE));
            let server = site.conf("RequestReadTimeout header=0\nTimeout 300").start();
            let slow = hold(&server);
            let mut next = server.client();
            let line = server.wait_for_error("all workers are busy");
            assert!(line.contains(doing), "{line}");
            assert!(line.contains("1 of them only wait for slow clients"), "{line}");
            assert!(line.contains("MinSendRate, or the event model: slow clients hold"), "{line}");
            drop(slow);
            assert_eq!(next.get("/").status, 200);
        }
    }
}

#[test]
fn slow_clients_hold_workers_no_longer_than_the_limits_allow() {
    for model in ["prefork", "worker"] {
        for hold in [slow_to_ask as fn(&Server) -> Client, slow_to_read] {
            let site = Site::new(model).sizes(sizes(model)).file("large.bin", noise(LARGE));
            let server = site.conf("RequestReadTimeout header=2\nTimeout 2").start();
            let slow: Vec<Client> = (0..2).map(|_| hold(&server)).collect(); // One after the other.
            let mut next = server.client();
            next.send(head("GET", "/", &["Connection: close"]));
            assert_eq!(next.receive("GET").status, 200, "although nobody has left");
            drop(slow);
        }
    }
}

/// More than a socket's buffers ever hold, so that sending has to wait.
const LARGE: usize = 12_000_000;

/// One worker in all.
fn sizes(model: &str) -> &'static str {
    match model {
        "prefork" => {
            "StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nServerLimit 1\nMaxRequestWorkers 1"
        }
        _ => {
            "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nMinSpareThreads 1\nMaxSpareThreads 1\n\
             MaxRequestWorkers 1"
        }
    }
}
