//! Any requests, in any order and however they are cut: pipelined, they are answered as one by one.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::site::WireServer;
use crate::support::client::{Answer, Client};

/// Sequences for each model.
const SEQUENCES: u32 = 60;
const SEQUENCE_MAX: usize = 12;

/// Requests with their methods; the last few end the connection.
const REQUESTS: &[(&str, &str)] = &[
    ("GET", "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("GET", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("GET", "GET /missing HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("GET", "GET /list HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("GET", "GET /list/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("GET", "GET /large.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=100-50000\r\n\r\n"),
    ("GET", "GET /large.txt HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("GET", "GET /a.txt HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n"),
    ("GET", "GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"),
    ("GET", "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ("GET", "GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 21\r\n\r\nGET /smuggled HTTP/1."),
    ("HEAD", "HEAD /large.txt HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("HEAD", "HEAD /missing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
    ("OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("TRACE", "TRACE /a HTTP/1.1\r\nHost: x\r\nX: y\r\n\r\n"),
    ("PUT", "PUT /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
    ("POST", "POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /"),
    ("POST", "POST /missing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\r\n"),
    (
        "POST",
        "POST /a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         4;a=\"b\"\r\nGET \r\n0\r\nX: y\r\n\r\n",
    ),
    ("POST", "POST /list/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    ("GET", "GET /a.txt HTTP/1.0\r\n\r\n"),
    ("GET", "GET /a.txt HTTP/1.1\r\n\r\n"),
    ("POST", "POST /a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n\r\n"),
    (
        "POST",
        "POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    ),
];
/// So many of them end the connection; they are chosen less often.
const LAST: usize = 5;

#[test]
fn prefork_answers_pipelined_requests_as_one_by_one() {
    pipelined_equals_one_by_one("prefork");
}

#[test]
fn worker_answers_pipelined_requests_as_one_by_one() {
    pipelined_equals_one_by_one("worker");
}

#[test]
fn event_answers_pipelined_requests_as_one_by_one() {
    pipelined_equals_one_by_one("event");
}

fn pipelined_equals_one_by_one(model: &'static str) {
    let server = WireServer::start(model);
    let address = server.address("usual");
    let config = Config { cases: SEQUENCES, failure_persistence: None, ..Config::default() };
    let request = prop_oneof![
        20 => 0..REQUESTS.len() - LAST,
        1 => REQUESTS.len() - LAST..REQUESTS.len(),
    ];
    let sequence = prop::collection::vec(request, 1..SEQUENCE_MAX);
    let cuts = prop::collection::vec(1_usize..200, 1..8);
    let outcome = TestRunner::new(config).run(&(sequence, cuts), |(sequence, cuts)| {
        let requests: Vec<_> = sequence.iter().map(|&number| REQUESTS[number]).collect();
        let singly = one_by_one(Client::connect(address), &requests);
        prop_assert_eq!(pipelined(Client::connect(address), &requests, &cuts), singly);
        Ok(())
    });
    outcome.unwrap_or_else(|fault| panic!("{fault}"));
    server.assert_unharmed();
}

/// What counts of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Seen {
    fn of(answer: Answer) -> Self {
        let mut fields = answer.fields;
        fields.retain(|(name, _)| name != "Date");
        Self { status: answer.status, fields, body: answer.body }
    }
}

fn one_by_one(mut client: Client, requests: &[(&str, &str)]) -> Vec<Seen> {
    let mut answers = Vec::new();
    for (method, request) in requests {
        client.send(request);
        let answer = client.receive(method);
        let is_last = answer.closes();
        answers.push(Seen::of(answer));
        if is_last {
            client.expect_end();
            return answers;
        }
    }
    client.finish_sending();
    client.expect_end();
    answers
}

/// All of them in pieces of these sizes, again and again.
fn pipelined(mut client: Client, requests: &[(&str, &str)], sizes: &[usize]) -> Vec<Seen> {
    let text: String = requests.iter().map(|(_, request)| *request).collect();
    let mut rest = text.as_bytes();
    for &size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        client.send(piece);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    client.finish_sending();
    let mut answers = Vec::new();
    for (method, _) in requests {
        let answer = client.receive(method);
        let is_last = answer.closes();
        answers.push(Seen::of(answer));
        if is_last {
            break;
        }
    }
    client.expect_end();
    answers
}
