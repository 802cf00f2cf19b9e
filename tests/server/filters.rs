//! What responses go through on their way: compression, streams, a pace; and how slow a request may be.

use std::io::Read as _;

use crate::on_every_mpm;
use crate::support::client::head;
use crate::support::noise;

/// More than a socket's buffers ever hold, also compressed, since noise cannot be.
const LARGE: usize = 12_000_000;
/// More than is compressed at once: many pieces of a stream.
const LONG: usize = 600_000;

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

const GZIP: &str = "Accept-Encoding: gzip";

on_every_mpm!(
    a_small_page_is_compressed_with_its_length_and_the_connection_stays,
    |site| {
        site.file("a.txt", "word ".repeat(1000)).conf(
        "AddOutputFilterByType DEFLATE text/plain\nDeflateFilterNote Input in\nDeflateFilterNote ratio\n\
         LogFormat \"%U %{in}n %{ratio}n %B\" packed\nCustomLog logs/packed_log packed"
    )
    },
    |server| {
        let mut client = server.client();
        for _ in 0..2 {
            let answer = client.request("GET", "/a.txt", &[GZIP]);
            assert_eq!(answer.field("content-encoding"), Some("gzip"));
            assert_eq!(
                answer.field("content-length"),
                Some(answer.body.len().to_string().as_str())
            );
            assert_eq!(unzipped(&answer.body), "word ".repeat(1000).into_bytes());
        }
        let plain = client.get("/a.txt");
        assert_eq!((plain.field("vary"), plain.body.len()), (Some("Accept-Encoding"), 5000));
        server.wait_for_access("/a.txt");
        let bytes = client.request("GET", "/a.txt", &[GZIP]).body.len();
        let line = format!("/a.txt 5000 {} {bytes}", bytes * 100 / 5000);
        crate::support::wait_until("the line", || {
            server.text("logs/packed_log").lines().any(|it| it == line)
        });
    }
);

on_every_mpm!(
    a_long_page_is_streamed_in_chunks_and_the_connection_stays,
    |site| site.file("large.txt", noise(LONG)).conf("SetOutputFilter DEFLATE"),
    |server| {
        let mut client = server.client();
        let answer = client.request("GET", "/large.txt", &[GZIP]);
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.field("content-length"), None);
        assert!(unzipped(&answer.body) == noise(LONG));
        let head = client.request("HEAD", "/large.txt", &[GZIP]);
        assert_eq!(
            (head.field("content-encoding"), head.field("content-length")),
            (Some("gzip"), None)
        );
        assert_eq!(client.get("/large.txt").body.len(), LONG);
        let line = format!("\"GET /large.txt HTTP/1.1\" 200 {} ", answer.body.len());
        server.wait_for_access(&line);
    }
);

on_every_mpm!(
    for_http10_the_end_of_the_connection_is_the_end_of_a_stream,
    |site| site.file("large.txt", noise(200_000)).conf("SetOutputFilter DEFLATE"),
    |server| {
        let mut client = server.client();
        client.send(format!("GET /large.txt HTTP/1.0\r\n{GZIP}\r\nConnection: keep-alive\r\n\r\n"));
        let answer = client.receive("GET");
        assert!(answer.closes());
        assert_eq!(
            (answer.field("transfer-encoding"), answer.field("content-length")),
            (None, None)
        );
        assert!(unzipped(&answer.body) == noise(200_000));
    }
);

on_every_mpm!(
    a_stream_that_fails_midway_has_no_last_chunk,
    |site| site.file("large.txt", noise(LARGE)).conf("SetOutputFilter DEFLATE"),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.txt", &[GZIP]));
        let answer = client.receive_head().unwrap();
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        // The socket's buffers hold some of it; the rest is gone before anybody compresses it.
        let file = std::fs::File::options().write(true).open(server.document("large.txt")).unwrap();
        file.set_len(0).unwrap();
        let rest = client.rest();
        assert!(!rest.ends_with(b"\r\n0\r\n\r\n") && rest.len() < LARGE);
        server.wait_for_access("\"GET /large.txt HTTP/1.1\" 200 ");
        assert_eq!(server.get("/").status, 200);
    }
);

on_every_mpm!(
    many_clients_are_streamed_to_at_once,
    |site| site.file("large.txt", noise(LONG)).conf("SetOutputFilter DEFLATE"),
    |server| {
        let address = server.address();
        let readers: Vec<_> = (0..4)
            .map(|_| {
                crate::support::thread(move || {
                    let mut client = crate::support::client::Client::connect(address);
                    client.request("GET", "/large.txt", &[GZIP, "Connection: close"]).body
                })
            })
            .collect();
        for reader in readers {
            assert!(unzipped(&reader.join().unwrap()) == noise(LONG));
        }
    }
);

on_every_mpm!(
    a_pace_is_kept_and_everything_arrives,
    |site| site
        .file("a.bin", noise(40_000))
        .file("b.txt", "word ".repeat(40_000))
        .conf("SetOutputFilter DEFLATE;RATE_LIMIT\nSetEnv rate-limit 64"),
    |server| {
        let mut client = server.client();
        let answer = client.get("/a.bin");
        assert!(answer.body == noise(40_000));
        let answer = client.request("GET", "/b.txt", &[GZIP]);
        assert_eq!(unzipped(&answer.body), "word ".repeat(40_000).into_bytes());
        server.wait_for_access("\"GET /a.bin HTTP/1.1\" 200 40000 ");
    }
);

on_every_mpm!(
    a_head_that_takes_too_long_is_given_up_although_bytes_keep_coming,
    |site| site.conf("RequestReadTimeout header=1\nLimitRequestFields 0\nLogLevel info"),
    |server| {
        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
        // Each byte alone would be in time for ever.
        while client.try_send("X: y\r\n").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        server.wait_for_error("AH01382: Request header read timeout");
        assert_eq!(server.get("/").status, 200);
    }
);

on_every_mpm!(
    a_client_that_falls_silent_is_given_up,
    |site| site.conf("RequestReadTimeout header=1"),
    |server| {
        let mut client = server.client();
        client.send("\r\n"); // The kernel shows us only clients that have said something.
        client.expect_end();
        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
        assert_eq!(client.receive("GET").status, 408);
        client.expect_end();
    }
);

on_every_mpm!(
    weak_clients_are_humoured,
    |site| {
        site.conf(
        "SetEnvIf X-Close . nokeepalive\nSetEnvIf X-Down . downgrade-1.0\nSetEnvIf X-Old . force-response-1.0\n\
         <Location /closing>\nHeader always set Connection close\n</Location>"
    )
    },
    |server| {
        let mut client = server.client();
        assert!(!client.get("/").closes());
        assert!(!client.request("GET", "/", &["X-Close: 1", "Via: 1.1 proxy"]).closes());
        assert!(client.request("GET", "/", &["X-Close: 1"]).closes());
        client.expect_end();
        let answer = server.get_with("/", &["X-Down: 1", "X-Old: 1"]);
        assert_eq!((answer.version.as_str(), answer.closes()), ("HTTP/1.0", true));
        let answer = server.get_with("/", &["X-Down: 1"]);
        assert_eq!((answer.version.as_str(), answer.closes()), ("HTTP/1.1", true));
        let answer = server.get("/closing");
        assert!(answer.closes());
        let connection = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("connection");
        assert_eq!(answer.fields.iter().filter(connection).count(), 1);
    }
);
