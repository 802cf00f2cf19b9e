//! Files that change under whoever sends them. What the client gets is complete, or it sees that it is not: the connection
//! ends before the announced length, and nothing is made up to fill it.

use std::fs::{File, rename};
use std::os::unix::fs::FileExt as _;
use std::sync::LazyLock;

use crate::on_every_mpm;
use crate::support::client::{Client, head};
use crate::support::roads::{ROADS, on_every_road};
use crate::support::{Server, noise};

/// More than a socket's buffers ever hold, so that the end of it has not been touched when the head has arrived.
const LARGE: usize = 12_000_000;

/// What the files hold.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| noise(LARGE));

/// Begins to fetch the file of a road, and stops behind the head.
fn begin(server: &Server, road: &str, fields: &[&str]) -> Client {
    let mut client = server.client();
    client.send(head("GET", &format!("/{road}/large.bin"), fields));
    client.receive_head().unwrap();
    client
}

fn open(server: &Server, road: &str) -> File {
    File::options().write(true).open(server.document(&format!("{road}/large.bin"))).unwrap()
}

/// Nobody has died of it, and others are served.
fn goes_on(server: &Server, children: &[nix::unistd::Pid]) {
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.children(), children, "nobody died of it");
}

on_every_mpm!(
    a_file_that_is_shortened_ends_the_connection_where_it_ends,
    |site| on_every_road(site, &WHOLE),
    |server| {
        let children = server.children();
        for road in ROADS {
            // The last one is in the middle of the last page: only its end is missing.
            for bytes in [0, 11_900_001, LARGE - 7] {
                std::fs::write(server.document(&format!("{road}/large.bin")), &*WHOLE).unwrap();
                let mut client = begin(&server, road, &[]);
                open(&server, road).set_len(bytes as u64).unwrap();
                let body = client.rest();
                assert!(body.len() < LARGE, "{road}: the end says that something is missing");
                assert!(bytes == 0 || body.len() <= bytes, "{road}: nothing fills the gap");
                assert!(WHOLE.starts_with(&body), "{road}: what came is what was there");
            }
        }
        goes_on(&server, &children);
        let log = server.access_log();
        assert!(!log.contains(&format!(" 200 {LARGE} ")), "what is logged is what has left: {log}");
    }
);

on_every_mpm!(
    parts_of_a_file_that_changes_are_cut_off,
    |site| on_every_road(site, &WHOLE),
    |server| {
        let children = server.children();
        for road in ROADS {
            let mut client = begin(&server, road, &["Range: bytes=0-11000000,11999990-11999999"]);
            open(&server, road).set_len(LARGE as u64 - 5).unwrap();
            let body = client.rest();
            assert!(!body.ends_with(b"--\r\n"), "{road}: it has no end");
            assert!(body.len() < 11_000_500);
        }
        goes_on(&server, &children);
    }
);

on_every_mpm!(
    a_stream_of_a_file_that_is_shortened_has_no_last_chunk,
    |site| on_every_road(site, &WHOLE).conf("SetOutputFilter DEFLATE"),
    |server| {
        let children = server.children();
        let mut client = begin(&server, "read", &["Accept-Encoding: gzip"]);
        open(&server, "read").set_len(LARGE as u64 - 5).unwrap();
        assert!(!client.rest().ends_with(b"0\r\n\r\n"));
        goes_on(&server, &children);
    }
);

on_every_mpm!(
    a_file_that_is_replaced_deleted_or_grows_arrives_as_it_was,
    |site| on_every_road(site, &WHOLE),
    |server| {
        for road in ROADS {
            let file = server.document(&format!("{road}/large.bin"));
            let mut growing = begin(&server, road, &[]);
            open(&server, road).write_all_at(b"more", LARGE as u64).unwrap();
            assert!(growing.bytes(LARGE) == *WHOLE, "{road}");
            let path = format!("/{road}/large.bin");
            assert_eq!(growing.get(&path).body.len(), LARGE + 4, "{road}");

            open(&server, road).set_len(LARGE as u64).unwrap();
            let mut replaced = begin(&server, road, &[]);
            let new = server.document("new.bin");
            std::fs::write(&new, noise(LARGE + 1)).unwrap();
            rename(&new, &file).unwrap();
            assert!(replaced.bytes(LARGE) == *WHOLE, "{road}");
            assert_eq!(replaced.get(&path).body.len(), LARGE + 1, "{road}");

            let mut deleted = begin(&server, road, &[]);
            std::fs::remove_file(&file).unwrap();
            assert!(deleted.bytes(LARGE) == *WHOLE, "{road}");
            assert_eq!(deleted.get(&path).status, 404, "{road}");
        }
    }
);
