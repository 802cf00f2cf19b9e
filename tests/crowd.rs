//! # Crowds: ten thousand slow clients, and clients who want the server's memory
//!
//! They are so many that descriptors become scarce, so they have a test program of their own, and each test the whole
//! of it: one after the other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

#[path = "support/mod.rs"]
mod support;

use std::sync::Mutex;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use support::client::{Client, head};
use support::command::run;
use support::processes::status;
use support::{Server, Site, noise, skipped, wait_until};

/// One crowd at a time.
static PLACE: Mutex<()> = Mutex::new(());

/// One loop for all of them.
const ONE_LOOP: &str = "StartServers 1\nServerLimit 1\nThreadsPerChild 4\nMinSpareThreads 1\nMaxSpareThreads 4\n\
     MaxRequestWorkers 4\nAsyncRequestWorkerFactor 3000";
/// Nobody is given up while the test lasts.
const PATIENT: &str =
    "Timeout 3000\nRequestReadTimeout header=0 body=0\nMinSendRate 0\nMaxKeepAliveRequests 0";

/// Each kind of slow client.
const CROWD: usize = 5_000;
/// Descriptors that the test has, one for each client, and then the server: one for each, and one for each file.
const DESCRIPTORS: u64 = 16_000;
/// What a slow client may cost in memory of the child's own: its connection, half of a short request or what is left of
/// an answer, and the loop's notes about it.
const BYTES_PER_CLIENT_MAX: u64 = 2_048;

/// Lets this process, and the servers that it starts, have so many descriptors.
fn may_have(descriptors: u64) -> bool {
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    hard >= descriptors && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()
}

/// A number of `herdgate top --json`: the first one of that name.
fn number(server: &Server, key: &str) -> u64 {
    let conf = server.path("httpd.conf");
    let json = run(["top", "-i", "0", "--json", "-f", conf.to_str().unwrap()]).stdout;
    let (_, rest) = json.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{json}"));
    rest[..rest.find([',', '}']).unwrap()].parse().unwrap_or_else(|_| panic!("{key} in {json}"))
}

/// Anonymous memory of a process, in bytes.
fn anonymous(pid: Pid) -> u64 {
    let kib: u64 = status(pid, "RssAnon").split_whitespace().next().unwrap().parse().unwrap();
    kib * 1024
}

#[test]
fn ten_thousand_slow_clients_hold_no_worker_and_delay_nobody() {
    let _place = PLACE.lock();
    if !may_have(DESCRIPTORS) {
        return skipped("fewer than 16,000 descriptors for a process (ulimit -Hn)");
    }
    let large = noise(600_000);
    let site = Site::new("event").sizes(ONE_LOOP).file("large.bin", &large).conf(PATIENT);
    // Small buffers: what this is about is the server's memory, not the kernel's.
    let server = site.conf("SendBufferSize 32768\nListenBacklog 4096").start();
    let child = server.children()[0];
    let mut quick: Vec<Client> = (0..20).map(|_| server.client()).collect();
    quick.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    let before = anonymous(child);

    let (start, rest) = ("GET / HTTP/1.1\r\nHost: localhost\r\nX-Sl", "ow: very\r\n\r\n");
    let mut askers: Vec<Client> = (0..CROWD).map(|_| server.client()).collect();
    askers.iter_mut().for_each(|client| client.send(start));
    let mut readers: Vec<Client> = (0..CROWD)
        .map(|_| {
            let mut client = server.client();
            client.send(head("GET", "/large.bin", &[]));
            client
        })
        .collect();
    readers.iter_mut().for_each(|client| assert_eq!(client.receive_head().unwrap().status, 200));
    let crowd = CROWD as u64;
    wait_until("all are there, and wait", || {
        number(&server, "request") == crowd && number(&server, "response") == crowd
    });

    // No thread is held by any of them, and nobody else notices.
    assert_eq!((number(&server, "busy"), number(&server, "jobs")), (0, 0));
    for _ in 0..90 {
        quick.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    }
    for _ in 0..200 {
        assert_eq!(server.get("/").status, 200);
    }
    assert_eq!((number(&server, "request"), number(&server, "response")), (crowd, crowd));
    let each = anonymous(child).saturating_sub(before) / (2 * crowd);
    println!("{each} bytes for each slow client");
    assert!(each <= BYTES_PER_CLIENT_MAX, "{each} bytes for each slow client");

    // And they are served as soon as they let themselves be served.
    askers.iter_mut().for_each(|client| client.send(rest));
    askers.iter_mut().for_each(|client| assert_eq!(client.receive("GET").status, 200));
    for client in readers.iter_mut().take(20) {
        assert!(client.bytes(large.len()) == large);
    }
    assert_eq!(server.children(), [child]);
}

/// What a client can make a child hold in memory of its own, whatever it sends and however little it reads: the longest
/// head (74 KB by default), a read that came with it, and the answers of one turn. `docs/memory.md` says the sum.
const HOSTILE_BYTES_MAX: u64 = 192 * 1024;
/// A head as long as it may be, but for its end.
fn longest_head() -> Vec<u8> {
    let mut head = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n", "a".repeat(8_000));
    for number in 0..8 {
        head.push_str(&format!("X-{number}: {}\r\n", "b".repeat(8_000)));
    }
    head.into_bytes()
}

/// Sends until nobody takes anything any more.
fn flood(client: &mut Client, bytes: &[u8]) {
    while client.try_send_now(bytes).is_ok_and(|sent| sent > 0) {}
}

#[test]
fn no_client_makes_the_server_hold_more_than_the_bound() {
    let _place = PLACE.lock();
    let site = Site::new("event").sizes(ONE_LOOP).file("large.bin", noise(600_000)).conf(PATIENT);
    let server = site.conf("SendBufferSize 32768\nListenBacklog 4096").start();
    let child = server.children()[0];
    assert_eq!(server.get("/").status, 200);
    let expect_bounded = |what: &str, clients: &[Client], before: u64| {
        assert_eq!(server.get("/").status, 200); // It goes on, and has come to all that they sent before.
        let each = anonymous(child).saturating_sub(before) / clients.len() as u64;
        println!("{each} bytes for each client that sends {what}");
        assert!(each <= HOSTILE_BYTES_MAX, "{each} bytes for each client that sends {what}");
    };

    // In two halves, so that the first is kept.
    let before = anonymous(child);
    let head_bytes = longest_head();
    let (first, second) = head_bytes.split_at(head_bytes.len() / 2);
    let mut askers: Vec<Client> = (0..100).map(|_| server.client()).collect();
    askers.iter_mut().for_each(|client| client.send(first));
    askers.iter_mut().for_each(|client| client.send(second));
    expect_bounded("the longest head, but for its end", &askers, before);

    // Small answers and large ones, and nobody who reads.
    let before = anonymous(child);
    let floods = ["/", "/large.bin"].map(|path| head("GET", path, &[]).repeat(100).into_bytes());
    let mut pipelining: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for _round in 0..2 {
        for (nth, client) in pipelining.iter_mut().enumerate() {
            flood(client, &floods[nth % 2]);
        }
        expect_bounded("requests without end", &pipelining, before);
    }

    let before = anonymous(child);
    let bodies = [
        format!("1;{}\r\nx\r\n", "e".repeat(8_000)).repeat(5).into_bytes(),
        format!("T: {}\r\n", "t".repeat(8_000)).repeat(5).into_bytes(),
    ];
    let mut posting: Vec<Client> = (0..100).map(|_| server.client()).collect();
    for (nth, client) in posting.iter_mut().enumerate() {
        let last_chunk = if nth % 2 == 1 { "0\r\n" } else { "" };
        let start = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{start}{last_chunk}"));
    }
    for _round in 0..2 {
        for (nth, client) in posting.iter_mut().enumerate() {
            let _ = client.try_send_now(&bodies[nth % 2]); // It may be refused, and gone.
        }
        expect_bounded("the longest extensions and trailers", &posting, before);
    }
    assert_eq!(server.children(), [child]);
}
