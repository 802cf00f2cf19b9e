//! One connection and many requests: keep-alive, pipelining, half-closed clients, bad requests, lingering close.

use nix::sys::signal::Signal;

use crate::on_every_mpm;
use crate::support::client::head;
use crate::support::{Site, noise};

on_every_mpm!(many_requests_share_a_connection, |server| {
    let mut client = server.client();
    for _ in 0..50 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.closes()), (200, false));
    }
});

on_every_mpm!(
    keep_alive_serves_one_more_than_max_keep_alive_requests,
    |site| site.conf("MaxKeepAliveRequests 3"),
    |server| {
        let mut client = server.client();
        for _ in 0..3 {
            assert!(!client.get("/").closes());
        }
        assert!(client.get("/").closes());
        client.expect_end();
    }
);

#[test]
fn who_never_stops_asking_is_let_go_all_the_same() {
    let sizes = "StartServers 1\nThreadsPerChild 8\nMaxRequestWorkers 8";
    let site = Site::new("event").sizes(sizes).conf("MaxKeepAliveRequests 0");
    let mut server = site.start();
    // A request that has begun may take its time, and the other client of the same child finds out when it finishes.
    let (mut client, mut other) = (server.client(), server.client());
    assert!(!client.get("/").closes() && !other.get("/").closes());
    let request = head("GET", "/", &[]);
    let (begun, rest) = request.split_at(8);
    client.send(begun);
    server.graceful_restart();
    while !other.get("/").closes() {}
    client.send(format!("{rest}{}", request.repeat(300)));
    let answers = (1..).find(|_| client.receive("GET").closes());
    assert_eq!(answers, Some(101));
    client.expect_end();
}

on_every_mpm!(keep_alive_off_closes, |site| site.conf("KeepAlive Off"), |server| {
    let mut client = server.client();
    assert!(client.get("/").closes());
    client.expect_end();
});

on_every_mpm!(
    keep_alive_timeout_closes_an_idle_connection,
    |site| site.conf("KeepAliveTimeout 100ms"),
    |server| {
        let mut client = server.client();
        assert_eq!(client.get("/").status, 200);
        client.expect_end();
    }
);

on_every_mpm!(a_client_that_says_close_is_closed, |server| {
    let mut client = server.client();
    let answer = client.request("GET", "/", &["Connection: close"]);
    assert!(answer.closes());
    client.expect_end();
});

on_every_mpm!(http_1_0_closes_unless_the_client_wants_keep_alive, |server| {
    let mut client = server.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let answer = client.receive("GET");
    assert_eq!((answer.status, answer.version.as_str()), (200, "HTTP/1.1"));
    client.expect_end();

    let mut client = server.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.receive("GET");
        let kept =
            answer.field("connection").is_some_and(|it| it.eq_ignore_ascii_case("keep-alive"));
        assert!(kept, "{answer:?}");
        assert!(answer.field("keep-alive").is_some(), "{answer:?}");
    }
});

on_every_mpm!(
    pipelined_requests_are_answered_in_order,
    |site| (0..20).fold(site, |site, n| site.file(&format!("{n}.txt"), format!("body {n}"))),
    |server| {
        let requests: String =
            (0..20).map(|number| head("GET", &format!("/{number}.txt"), &[])).collect();
        let mut client = server.client();
        client.send(requests);
        for number in 0..20 {
            assert_eq!(client.receive("GET").text(), format!("body {number}"));
        }
        assert_eq!(client.get("/0.txt").text(), "body 0");
    }
);

on_every_mpm!(
    pipelined_large_files_are_answered_in_order,
    |site| site.file("large.bin", noise(1_500_000)).file("small.txt", "small"),
    |server| {
        let mut client = server.client();
        let (large, small) = (head("GET", "/large.bin", &[]), head("GET", "/small.txt", &[]));
        client.send(format!("{large}{small}{large}{small}"));
        for _ in 0..2 {
            assert!(client.receive("GET").body == noise(1_500_000));
            assert_eq!(client.receive("GET").text(), "small");
        }
    }
);

on_every_mpm!(a_request_in_single_bytes_is_a_request, |server| {
    let mut client = server.client();
    for byte in head("GET", "/", &["X-Long: and winding"]).bytes() {
        client.send([byte]);
    }
    assert_eq!(client.receive("GET").status, 200);
});

on_every_mpm!(
    a_half_closed_client_gets_its_answers,
    |site| site.file("large.bin", noise(2_000_000)),
    |server| {
        let mut client = server.client();
        client.send(format!("{}{}", head("GET", "/large.bin", &[]), head("GET", "/", &[])));
        client.finish_sending();
        assert!(client.receive("GET").body == noise(2_000_000));
        assert_eq!(client.receive("GET").status, 200);
        client.expect_end();
    }
);

on_every_mpm!(
    a_client_that_is_still_sending_receives_the_error_page_whole,
    |site| site.conf("LimitRequestBody 1000"),
    |server| {
        let mut client = server.client();
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n");
        // More than all buffers on the way hold, until the server no longer wants it. Without a lingering close the
        // unread rest would answer with a reset, which destroys the page before it is read.
        let _ = client.try_send(noise(400_000));
        let answer = client.receive("POST");
        assert_eq!(answer.status, 413);
        assert!(answer.text().ends_with("</html>\n"), "{}", answer.text());
        client.finish_sending();
        client.expect_end();
    }
);

on_every_mpm!(a_client_that_sends_on_long_after_the_answer_receives_it_whole, |server| {
    let mut client = server.client();
    // The answer does not wait for the body, and says that the connection ends. All of the body is sent nevertheless,
    // to a server that has said its last word, and only then somebody looks for the answer.
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n");
    for _ in 0..80 {
        client.send(noise(100_000));
    }
    let answer = client.receive("POST");
    assert_eq!((answer.status, answer.closes()), (200, true));
    assert_eq!(answer.text(), "<h1>It works!</h1>\n");
    client.expect_end();
});

on_every_mpm!(a_lingering_connection_ends_when_the_client_closes, |server| {
    let mut client = server.client();
    client.send("BAD\r\n\r\n");
    assert_eq!(client.receive("GET").status, 400);
    client.expect_end();
    drop(client);
    // In prefork and worker a lingering close still held its worker; it is free now.
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
    }
});

on_every_mpm!(what_is_no_request_is_400_and_the_connection_ends, |server| {
    for request in [
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", // No Host.
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nName : blank before the colon\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/x.1\r\nHost: a\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: nonsense\r\n\r\n",
    ] {
        let answer = server.raw(request);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{request:?}: {answer}");
        assert!(answer.contains("Connection: close\r\n"), "{request:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{request:?}: {answer}");
    }
});

on_every_mpm!(limits_of_the_head_are_kept, |server| {
    let long = "x".repeat(9000);
    let line = server.raw(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(line.starts_with("HTTP/1.1 414 "), "{line}");
    let field = server.raw(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"));
    assert!(field.starts_with("HTTP/1.1 400 "), "{field}");
    let many = "X: 1\r\n".repeat(101);
    let fields = server.raw(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"));
    assert!(fields.starts_with("HTTP/1.1 400 "), "{fields}");
});

on_every_mpm!(a_head_that_never_ends_is_408, |site| site.conf("Timeout 1"), |server| {
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
    assert_eq!(client.receive("GET").status, 408);
    client.expect_end();
});

on_every_mpm!(
    a_client_that_never_says_a_word_is_closed_without_one,
    |site| site.conf("Timeout 1"),
    |server| {
        server.client().expect_end();
    }
);

on_every_mpm!(expect_100_continue_is_answered_before_the_body, |server| {
    let mut client = server.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    let first = client.receive("POST");
    if first.status == 100 {
        client.send("hello");
        assert_eq!(client.receive("POST").status, 200);
        assert_eq!(client.get("/").status, 200);
    } else {
        // Nobody wants the body: then the final answer comes at once, and the connection cannot go on.
        assert!(first.status == 200 && first.closes(), "{first:?}");
        client.expect_end();
    }
});

on_every_mpm!(many_clients_at_once_are_all_served, |server| {
    // Fewer than the workers that the limits allow, more than there are at the start.
    let mut clients: Vec<_> = (0..24).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(head("GET", "/", &[]));
    }
    for client in &mut clients {
        assert_eq!(client.receive("GET").status, 200);
    }
});

on_every_mpm!(
    a_client_that_vanishes_does_no_harm,
    |site| site.file("large.bin", noise(3_000_000)),
    |server| {
        for _ in 0..10 {
            let mut client = server.client();
            client.send(head("GET", "/large.bin", &[]));
            client.bytes(1000);
        }
        assert_eq!(server.get("/").status, 200);
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_the_end().code(), Some(0));
    }
);
