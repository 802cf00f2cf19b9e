//! All workers are busy: the log says since when, with what, how long clients wait, and what would help.

use crate::support::Site;
use crate::support::client::{Client, head};

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
