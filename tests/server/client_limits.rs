//! How much one client may have: connections and requests, over all children.

use std::net::Ipv4Addr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::on_every_mpm;
use crate::support::client::{Client, head};
use crate::support::{Server, Site, wait_for, wait_until};

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 5, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 5, 2);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 6, 1);
const MONITOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// Shows what is refused, to a client that no limit holds.
const STATUS: &str = "ClientLimitsExempt 127.0.0.9\n\
                      <Location /status>\nSetHandler server-status\n</Location>";

/// A new connection from this address.
fn from(server: &Server, client: Ipv4Addr) -> Client {
    Client::connect_from(client, server.address())
}

/// A connection that was served and is kept; `None` if it was turned away.
fn kept(server: &Server, client: Ipv4Addr) -> Option<Client> {
    let mut connection = from(server, client);
    let answer = connection.get("/");
    match answer.status {
        200 => Some(connection),
        503 => {
            assert!(answer.closes() && answer.body.is_empty(), "{answer:?}");
            connection.expect_end();
            None
        }
        _ => panic!("{answer:?}"),
    }
}

/// As [`kept`], once there is room: the server learns of another connection's end in its own time.
fn kept_at_last(server: &Server, client: Ipv4Addr) -> Client {
    wait_for(|| kept(server, client)).expect("there is room")
}

/// The number behind a key of the status page for machines.
fn told(server: &Server, key: &str) -> u64 {
    let page = from(server, MONITOR).get("/status?auto").text();
    let line = page.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {key} in {page}")).parse().unwrap()
}

on_every_mpm!(
    a_client_has_no_more_connections_than_it_may_over_all_children,
    |site| site.conf("ClientMaxConnections 5").conf(STATUS),
    |server| {
        let mut held: Vec<Client> = (0..5).map(|_| kept(&server, ONE).unwrap()).collect();
        for _ in 0..3 {
            assert!(kept(&server, ONE).is_none());
        }
        assert!(kept(&server, TWO).is_some(), "somebody else");
        assert_eq!(told(&server, "EndedTooMany"), 3);
        let line = server.wait_for_error("ClientMaxConnections 5");
        assert!(
            line.contains("[client 127.0.5.1:") && line.contains("6 connections from 127.0.5.1")
        );
        assert!(!server.access_log().contains(" 503 "), "nobody has read a request");
        assert_eq!(held[0].get("/").status, 200, "who was let in stays in");
        drop(held.pop());
        held.push(kept_at_last(&server, ONE));
        assert!(kept(&server, ONE).is_none());
    }
);

on_every_mpm!(
    a_killed_child_leaves_nothing_counted,
    |site| site.conf("ClientMaxConnections 3\nLogFormat \"%P %a\" pids\nCustomLog logs/pids pids"),
    |server| {
        let held: Vec<Client> = (0..3).map(|_| kept(&server, ONE).unwrap()).collect();
        assert!(kept(&server, ONE).is_none());
        let pids = wait_for(|| {
            let log = server.text("logs/pids");
            (log.lines().count() == 3).then(|| -> Vec<i32> {
                log.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
            })
        });
        let pids = pids.expect("three requests are logged");
        let lost = pids.iter().filter(|pid| **pid == pids[0]).count();
        kill(Pid::from_raw(pids[0]), Signal::SIGKILL).unwrap();
        let _again: Vec<Client> = (0..lost).map(|_| kept_at_last(&server, ONE)).collect();
        assert!(kept(&server, ONE).is_none(), "the others count still");
        drop(held);
    }
);

on_every_mpm!(
    a_reload_forgets_neither_connections_nor_requests,
    |site| {
        site.conf(
        "ClientMaxConnections 2\nClientMaxRequestRate 1/h 2\nRequestReadTimeout header=0\nTimeout 300"
    )
    },
    |server| {
        let mut quiet = kept(&server, TWO).unwrap();
        assert_eq!(quiet.get("/").status, 200);
        assert_eq!(quiet.get("/").status, 429);
        drop(quiet);
        // Requests that have begun keep their children from ending.
        let mut held = [kept(&server, ONE).unwrap(), kept(&server, ONE).unwrap()];
        held.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\n"));
        server.graceful_restart();
        for _ in 0..5 {
            assert!(kept(&server, ONE).is_none());
        }
        assert_eq!(from(&server, TWO).get("/").status, 429);
        let [first, _] = &mut held;
        first.send("Host: localhost\r\n\r\n");
        assert_eq!(first.receive("GET").status, 429);
        first.expect_end();
        wait_until("its place is free", || from(&server, ONE).get("/").status == 429);
    }
);

on_every_mpm!(
    who_asks_too_fast_is_told_when_to_come_again,
    |site| site.conf("ClientMaxRequestRate 3/h").conf(STATUS),
    |server| {
        // Each on a connection of its own, so that several children serve them.
        let answers: Vec<u16> = (0..6).map(|_| from(&server, ONE).get("/").status).collect();
        assert_eq!(answers, [200, 200, 200, 429, 429, 429]);
        let mut client = from(&server, ONE);
        let answer = client.get("/no/such/file");
        assert_eq!((answer.status, answer.closes()), (429, false));
        let secs: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=1200).contains(&secs), "{secs}");
        assert_eq!(client.request("OPTIONS", "*", &[]).status, 429, "whatever it asks for");
        assert_eq!(from(&server, TWO).get("/").status, 200, "somebody else");
        assert_eq!(told(&server, "RefusedRequests"), 5);
        assert!((0..9).all(|_| from(&server, MONITOR).get("/").status == 200));
        let line = server.wait_for_error("ClientMaxRequestRate 3/h");
        assert!(line.contains("[client 127.0.5.1:") && line.contains("from 127.0.5.1 come"));
        server.wait_for_access("GET /no/such/file HTTP/1.1\" 429");
    }
);

on_every_mpm!(
    a_request_that_takes_a_job_counts_once,
    |site| {
        site
        .conf("ClientMaxRequestRate 3/h\nErrorDocument 429 /wait/\n<Location />\nOptions Indexes\n</Location>")
        .file("wait/later.txt", "")
        .file("list/a.txt", "")
    },
    |server| {
        let mut client = from(&server, ONE);
        let answers: Vec<u16> = (0..3).map(|_| client.get("/list/").status).collect();
        assert_eq!(answers, [200, 200, 200]);
        let refused = client.get("/list/");
        assert_eq!(refused.status, 429);
        assert!(refused.text().contains("later.txt"), "a page that takes a job, too: {refused:?}");
    }
);

on_every_mpm!(
    who_stands_behind_a_proxy_is_counted_for_himself,
    |site| site.conf(
        "ClientMaxConnections 1\nClientMaxRequestRate 2/h\n\
         RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.5.1"
    ),
    |server| {
        let mut proxy = [from(&server, ONE), from(&server, ONE)];
        for (client, expected) in
            [("203.0.113.9", [200, 200, 429]), ("2001:db8::1", [200, 200, 429])]
        {
            let field = format!("X-Forwarded-For: {client}");
            let mut ask = |nth: usize| proxy[nth % 2].request("GET", "/", &[&field]).status;
            assert_eq!([ask(0), ask(1), ask(2)], expected);
        }
        let same_network = ["X-Forwarded-For: 2001:db8::2"];
        assert_eq!(proxy[0].request("GET", "/", &same_network).status, 429);
        let _held = kept(&server, TWO).unwrap();
        assert!(kept(&server, TWO).is_none(), "who is no proxy is limited");
    }
);

on_every_mpm!(
    the_proxy_protocol_tells_whose_connection_it_is,
    |site| site.conf("ClientMaxConnections 1\nRemoteIPProxyProtocol On"),
    |server| {
        let begin = |client: &str| {
            let preamble = format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n");
            let mut connection = server.client();
            connection.send([preamble, head("GET", "/", &[])].concat());
            let status = connection.receive("GET").status;
            (status, connection)
        };
        let (first, _held) = begin("203.0.113.9");
        let (again, mut refused) = begin("203.0.113.9");
        let (other, _held_too) = begin("203.0.113.10");
        assert_eq!([first, again, other], [200, 503, 200]);
        refused.expect_end();
        let healthy = || {
            let mut connection = server.client();
            connection.send(["PROXY UNKNOWN\r\n", &head("GET", "/", &[])].concat());
            (connection.receive("GET").status, connection)
        };
        let proxy_itself = [healthy(), healthy()];
        assert!(proxy_itself.iter().all(|(status, _)| *status == 200));
    }
);

#[test]
fn a_network_can_count_as_one_client() {
    let lines = "ClientMaxConnections 2\nClientAddressPrefix 24 64";
    let server = Site::new("event").conf(lines).start();
    let _held = [kept(&server, ONE).unwrap(), kept(&server, TWO).unwrap()];
    assert!(kept(&server, ONE).is_none() && kept(&server, TWO).is_none());
    assert!(kept(&server, ELSEWHERE).is_some());
    server.wait_for_error("3 connections from 127.0.5.0");
}

#[test]
fn many_clients_do_not_disturb_each_other() {
    let server =
        Site::new("event").conf("ClientMaxConnections 1\nClientMaxRequestRate 1/h").start();
    for last in 1..=200 {
        let client = Ipv4Addr::new(127, 1, 2, last);
        let mut connection = kept(&server, client).unwrap_or_else(|| panic!("{client}"));
        assert_eq!(connection.get("/").status, 429, "{client}");
    }
}

#[test]
fn a_limit_that_a_reload_brings_holds_from_then_on() {
    let mut server = Site::new("worker").start();
    assert!(kept(&server, ONE).is_some() && kept(&server, ONE).is_some());
    server.rewrite_conf("ClientMaxConnections 1");
    server.graceful_restart_to_the_end();
    let held = kept(&server, ONE).unwrap();
    assert!(kept(&server, ONE).is_none());
    server.rewrite_conf("ClientMaxConnections Off");
    server.graceful_restart_to_the_end();
    let _more = [kept(&server, ONE).unwrap(), kept(&server, ONE).unwrap()];
    drop(held);
}
