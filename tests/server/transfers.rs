//! Files that are larger than any buffer.

use crate::on_every_mpm;
use crate::support::client::head;
use crate::support::noise;

/// More than a socket's buffers ever hold, so that sending has to wait.
const LARGE: usize = 12_000_000;

on_every_mpm!(
    a_large_file_arrives_byte_for_byte,
    |site| site.file("large.bin", noise(LARGE)),
    |server| {
        let mut client = server.client();
        let answer = client.get("/large.bin");
        assert!(answer.body == noise(LARGE));
        assert!(client.get("/large.bin").body == answer.body, "and once more on the connection");
    }
);

on_every_mpm!(
    a_large_file_arrives_without_sendfile_and_mmap,
    |site| site.file("large.bin", noise(LARGE)).conf("EnableSendfile Off\nEnableMMAP Off"),
    |server| {
        assert!(server.get("/large.bin").body == noise(LARGE));
    }
);

on_every_mpm!(
    a_slow_reader_gets_everything_and_others_do_not_wait_for_it,
    |site| site.file("large.bin", noise(LARGE)),
    |server| {
        let mut slow = server.client();
        slow.send(head("GET", "/large.bin", &[]));
        let answer = slow.receive_head().unwrap();
        assert_eq!(answer.field("content-length"), Some(LARGE.to_string().as_str()));
        let mut body = Vec::new();
        // Its socket is full all the time while the others come and go.
        while body.len() < LARGE {
            assert_eq!(server.get("/").status, 200);
            body.extend(slow.bytes((LARGE / 8).min(LARGE - body.len())));
        }
        assert!(body == noise(LARGE));
        assert_eq!(slow.get("/").status, 200);
    }
);

on_every_mpm!(
    a_file_truncated_while_it_is_sent_ends_the_connection,
    |site| site.file("large.bin", noise(LARGE)),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        // The socket's buffers hold some of it; the rest no longer exists when its turn comes. (Not cut in the middle of
        // a page: its end would turn into zeros even in the socket's buffers, which is how sendfile works.)
        let file = std::fs::File::options().write(true).open(server.document("large.bin")).unwrap();
        file.set_len(0).unwrap();
        let body = client.rest();
        assert!(body.len() < LARGE, "the end of the connection says that something is missing");
        assert!(noise(LARGE).starts_with(&body), "and what came is what was there");
        let children = server.children();
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.children(), children, "nobody died of it");
    }
);

on_every_mpm!(
    a_file_replaced_while_it_is_sent_is_sent_as_it_was,
    |site| site.file("large.bin", noise(LARGE)),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        std::fs::write(server.document("new.bin"), "new").unwrap();
        std::fs::rename(server.document("new.bin"), server.document("large.bin")).unwrap();
        assert!(client.bytes(LARGE) == noise(LARGE));
        assert_eq!(client.get("/large.bin").text(), "new");
    }
);
