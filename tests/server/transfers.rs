//! Files that are larger than any buffer.

use crate::on_every_mpm;
use crate::support::client::head;
use crate::support::noise;
use crate::support::roads::{ROADS, on_every_road};

/// More than a socket's buffers ever hold, so that sending has to wait.
const LARGE: usize = 12_000_000;

on_every_mpm!(
    a_file_arrives_byte_for_byte_on_every_road,
    |site| on_every_road(site, &noise(LARGE)),
    |server| {
        let whole = noise(LARGE);
        let mut client = server.client();
        for road in ROADS {
            assert!(client.get(&format!("/{road}/large.bin")).body == whole, "{road}");
        }
    }
);

on_every_mpm!(
    parts_of_a_file_arrive_byte_for_byte_on_every_road,
    |site| on_every_road(site, &noise(LARGE)),
    |server| {
        let whole = noise(LARGE);
        let mut client = server.client();
        // Long and short ones, forwards and backwards, the last byte and the first.
        let wanted =
            [7_000_000..11_999_999, 5..6, 100..70_000, 300_000..6_900_000, 70_100..70_200, 0..1];
        let list: Vec<String> =
            wanted.iter().map(|part| format!("{}-{}", part.start, part.end - 1)).collect();
        let range = format!("Range: bytes={}", list.join(","));
        for road in ROADS {
            let answer = client.request("GET", &format!("/{road}/large.bin"), &[&range]);
            assert_eq!(answer.status, 206);
            assert!(
                answer.parts() == wanted.clone().map(|part| (part.clone(), whole[part].to_vec()))
            );
            let one = "Range: bytes=123456-7890123";
            let answer = client.request("GET", &format!("/{road}/large.bin"), &[one]);
            assert_eq!(answer.field("content-range"), Some("bytes 123456-7890123/12000000"));
            assert!(answer.body == whole[123_456..=7_890_123], "{road}");
        }
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
