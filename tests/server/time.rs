//! Clients that take too long, or leave: what ends, and what it is counted as.

use std::collections::BTreeMap;
use std::fs::{self, File};

use crate::on_every_mpm;
use crate::support::client::{Client, head};
use crate::support::command::run;
use crate::support::{Server, Site, noise, wait_for, wait_until};

/// More than a socket's buffers ever hold, so that sending has to wait.
const LARGE: usize = 12_000_000;

/// Connections that did not end by agreement, by cause, without those that are none.
fn ended(server: &Server) -> BTreeMap<String, u64> {
    let conf = server.path("httpd.conf");
    let json = run(["top", "-i", "0", "--json", "-f", conf.to_str().unwrap()]).stdout;
    let (_, rest) = json.split_once("\"ended\":{").unwrap_or_else(|| panic!("{json}"));
    let (counters, _) = rest.split_once('}').unwrap();
    let counters = counters.split(',').map(|counter| counter.split_once(':').unwrap());
    let counters = counters.map(|(name, count)| (name.trim_matches('"'), count.parse().unwrap()));
    counters.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}

#[track_caller]
fn expect_ended(server: &Server, expected: &[(&str, u64)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let there = wait_for(|| (ended(server) == expected).then_some(()));
    assert!(there.is_some(), "{expected:?}, not {:?}", ended(server));
}

fn large(site: Site) -> Site {
    site.file("large.bin", noise(LARGE))
}

/// Asks for the large file, and reads nothing of its body.
fn ask_and_stop_reading(server: &Server) -> Client {
    let mut client = server.client();
    client.send(head("GET", "/large.bin", &[]));
    assert_eq!(client.receive_head().unwrap().status, 200);
    client
}

on_every_mpm!(
    who_takes_too_long_is_counted_by_what_was_waited_for,
    |site| large(site).conf(
        "Timeout 2\nRequestReadTimeout header=2 body=2\nKeepAliveTimeout 100ms\nLogLevel info"
    ),
    |server| {
        server.client().expect_end();
        expect_ended(&server, &[("silent", 1)]);

        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\n");
        assert_eq!(client.receive("GET").status, 408);
        client.expect_end();
        drop(client);
        expect_ended(&server, &[("request_timeout", 1), ("silent", 1)]);

        let mut client = server.client();
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n123");
        assert_eq!(client.receive("POST").status, 200);
        client.expect_end();
        drop(client);
        server.wait_for_error("AH01382: Request body read timeout");
        expect_ended(&server, &[("body_timeout", 1), ("request_timeout", 1), ("silent", 1)]);

        let mut client = server.client();
        assert_eq!(client.get("/").status, 200);
        client.expect_end();
        drop(client);
        let idle =
            [("body_timeout", 1), ("idle_timeout", 1), ("request_timeout", 1), ("silent", 1)];
        expect_ended(&server, &idle);

        let mut client = ask_and_stop_reading(&server);
        server.wait_for_error("response timeout: the client does not take its answer");
        assert!(client.rest().len() < LARGE);
        expect_ended(&server, &[&idle[..], &[("response_timeout", 1)]].concat());
    }
);

on_every_mpm!(
    who_leaves_in_the_middle_is_counted_by_what_it_missed,
    |site| large(site),
    |server| {
        let mut client = server.client();
        assert_eq!(client.get("/").status, 200);
        drop(client); // Between two requests anybody may leave.

        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\n");
        drop(client);
        expect_ended(&server, &[("request_aborted", 1)]);

        let mut client = server.client();
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n123");
        assert_eq!(client.receive("POST").status, 200);
        drop(client);
        expect_ended(&server, &[("request_aborted", 2)]);

        drop(ask_and_stop_reading(&server));
        expect_ended(&server, &[("request_aborted", 2), ("response_aborted", 1)]);

        let mut client = ask_and_stop_reading(&server);
        File::options().write(true).open(server.document("large.bin")).unwrap().set_len(0).unwrap();
        assert!(client.rest().len() < LARGE);
        let all = [("request_aborted", 2), ("response_aborted", 1), ("response_failed", 1)];
        expect_ended(&server, &all);
    }
);

on_every_mpm!(
    a_body_that_comes_after_a_paced_answer_has_its_own_time,
    |site| site
        .file("paced.bin", noise(40_000))
        .conf("SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 64"),
    |server| {
        let mut client = server.client();
        client.send("POST /paced.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n");
        // The pauses of the pace end by deadlines, of which none is the body's.
        assert!(client.receive("POST").body == noise(40_000));
        client.send(format!("12345{}", head("GET", "/", &[])));
        assert_eq!(client.receive("GET").status, 200);
        assert!(ended(&server).is_empty());
    }
);

/// The same children all the time, so that their descriptors can be counted.
fn steady(site: Site) -> Site {
    let sizes = match site.model() {
        "prefork" => {
            "StartServers 8\nMinSpareServers 1\nMaxSpareServers 8\nServerLimit 8\nMaxRequestWorkers 8"
        }
        _ => {
            "StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMinSpareThreads 1\nMaxSpareThreads 8\n\
             MaxRequestWorkers 8"
        }
    };
    site.sizes(sizes)
}

/// Connections that somebody holds.
fn connections(server: &Server) -> u64 {
    let conf = server.path("httpd.conf");
    let json = run(["top", "-i", "0", "--json", "-f", conf.to_str().unwrap()]).stdout;
    let (_, rest) = json.split_once("\"connections_open\":").unwrap_or_else(|| panic!("{json}"));
    rest[..rest.find(',').unwrap()].parse().unwrap()
}

/// Open descriptors of all children.
fn descriptors(server: &Server) -> usize {
    let of = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    server.children().into_iter().map(of).sum()
}

on_every_mpm!(
    a_reset_in_the_middle_of_an_answer_frees_all_that_it_held,
    |site| steady(large(site)),
    |server| {
        // Whoever may serve has served, and what is closed is closed.
        let mut all: Vec<Client> = (0..8).map(|_| server.client()).collect();
        assert!(all.iter_mut().all(|client| client.get("/").status == 200));
        drop(all);
        let mut before = 0;
        wait_until("it has nobody", || {
            let earlier = std::mem::replace(&mut before, descriptors(&server));
            connections(&server) == 0 && earlier == before
        });
        let clients: Vec<Client> = (0..4).map(|_| ask_and_stop_reading(&server)).collect();
        assert!(descriptors(&server) >= before + 8, "a socket and a file for each");
        clients.into_iter().for_each(Client::reset);
        expect_ended(&server, &[("response_aborted", 4)]);
        wait_until("all is free", || descriptors(&server) <= before && connections(&server) == 0);
    }
);

on_every_mpm!(
    who_takes_its_answer_too_slowly_is_cut_off,
    |site| large(site).conf("MinSendRate 2000000 1\nLogLevel info"),
    |server| {
        let mut slow = ask_and_stop_reading(&server);
        // It never falls silent, so that Timeout alone would let it go on for long.
        while !server.error_log().contains("response too slow") {
            slow.bytes(1000);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        expect_ended(&server, &[("response_too_slow", 1)]);
        server.wait_for_access("GET /large.bin");
        assert_eq!(server.get("/").status, 200);
    }
);

on_every_mpm!(
    a_last_word_is_not_waited_for_any_longer_than_it_takes,
    |site| site.conf("RemoteIPProxyProtocol On"),
    |server| {
        // No PROXY header: refused, and this client neither says more nor goes.
        let mut client = server.client();
        client.send(head("GET", "/", &[]));
        client.expect_end();
        expect_ended(&server, &[("linger_timeout", 1), ("refused", 1)]);
    }
);
