//! # On the wire: bytes in, answers out, and who is in step afterwards
//!
//! ```text
//! cases/*.txt ──▶ the bytes of a case, then a request for /marker ──▶ Herdgate, one server for each model
//!                 whole · byte by byte · cut at random                   │
//!                                        what came back, up to the end ◀─┘
//!                                        in sync: the answers, then the marker's and nothing more
//!                                        closed:  the answers, then the end, and never the marker's
//! ```
//!
//! - The cases are data; how one is written says [`cases`]. Each names the section that it stands on.
//! - Who can make the server see a request where another sees a body, or the other way round, can speak in somebody
//!   else's name. So every case ends with a request that must be answered as itself, or not at all.
//! - However the bytes are cut, the answers are the same to the byte. However requests are sequenced, pipelined they are
//!   answered as one by one ([`sequences`]).
//! - At the end the server still serves, by the children that it began with.
//!
//! `HERDGATE_CASE='chunk'` runs only cases whose names contain this, and prints what came back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod cases;
mod sending;
mod sequences;
mod site;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use answers::Stream;
use cases::{Case, End};
use sending::{Cuts, send};
use site::WireServer;

/// As many clients at once, so that the server has neighbours to mix up.
const CLIENTS: usize = 6;
/// Fewer cases would not be the collection that this is.
const CASES_MIN: usize = 300;

#[test]
fn there_are_enough_cases_and_each_has_a_name_of_its_own() {
    let cases = Case::all();
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn prefork() {
    run_all("prefork");
}

#[test]
fn worker() {
    run_all("worker");
}

#[test]
fn event() {
    run_all("event");
}

/// All cases, each sent in three ways.
fn run_all(model: &'static str) {
    let wanted = std::env::var("HERDGATE_CASE").ok();
    let mut cases = Case::all();
    cases.retain(|case| wanted.as_ref().is_none_or(|wanted| case.name.contains(wanted.as_str())));
    let server = WireServer::start(model);
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(fault) = run(case, &server, wanted.is_some()) {
                        faults.lock().unwrap().push(fault);
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {}:\n\n{}", faults.len(), cases.len(), faults.join("\n\n"));
    server.assert_unharmed();
}

/// One case, in all ways.
fn run(case: &Case, server: &WireServer, is_shown: bool) -> Result<(), String> {
    let address = server.address(&case.host);
    let mut first: Option<Vec<u8>> = None;
    for cuts in Cuts::ALL {
        let (received, ended) = send(address, case, cuts);
        let stream = Stream::new(received);
        if is_shown {
            eprintln!("{}, {cuts:?}:\n{stream}", case.name);
        }
        let told = |why: String| format!("{}, {cuts:?}: {why}\n{stream}", case.name);
        ended.map_err(|error| told(format!("the connection does not end: {error}")))?;
        check(case, &stream).map_err(told)?;
        let same = stream.without_dates();
        let before = first.get_or_insert_with(|| same.clone());
        if *before != same {
            let before = String::from_utf8_lossy(before);
            return Err(told(format!("cut otherwise, it was answered\n{before}")));
        }
    }
    Ok(())
}

/// Whether what came back is what the case wants.
fn check(case: &Case, stream: &Stream) -> Result<(), String> {
    if stream.contains(b"SMUGGLED") {
        return Err("what was hidden in a message was answered".to_owned());
    }
    let mut rest = stream.bytes();
    for expected in &case.answers {
        rest = expected.check(rest)?;
    }
    match case.end {
        End::InSync => {
            rest =
                site::marker_answer().check(rest).map_err(|why| format!("not in sync: {why}"))?;
            rest.is_empty().then_some(()).ok_or("more came back than was asked".to_owned())
        }
        End::Closed | End::Cut if rest.is_empty() => Ok(()),
        End::Closed | End::Cut => Err("the connection did not end".to_owned()),
    }
}
