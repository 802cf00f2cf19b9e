//! # The same questions to Debian's Apache and to Herdgate
//!
//! ```text
//! cases/NAME.txt ──▶ one tree, one configuration ──┬──▶ apache2  ──┐
//!   (conf, files, requests)                        └──▶ herdgate ──┴──▶ status, fields, body, both logs: what differs?
//!                                                                          │
//!                                      differences.md: intended, with its reason ◀──┴──▶ a fault
//! ```
//!
//! - The cases are data, a text file for each area; how one is written says [`cases`].
//! - What may differ is listed in `differences.md`, each with its reason and with rules as narrow as they can be. A rule
//!   that no answer needs any more is a fault too.
//! - Both write the same logs: the line of each answer in the access log, and what the error log says about it, are
//!   compared as well ([`logs`]).
//! - Every request goes to the event model, and one of each [`SAMPLE`] to the other two as well.
//! - Apache's manual is crawled in three languages, by its own configuration ([`manual`]).
//! - Without apache2 the tests say that they were skipped; `HERDGATE_REQUIRE_PEERS=1` makes that a failure.
//!
//! `HERDGATE_CASE='GET /a.txt'` asks only requests that contain these words, and prints both answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod compare;
mod differences;
mod logs;
mod manual;
mod monitors;
mod peers;
mod reference;

use std::collections::BTreeMap;

use cases::{Case, Request};
use compare::Reply;
use differences::Differences;
use logs::Logs;
use peers::{Apache, Tree};
use support::{Server, Site};

/// One of so many requests is sent to prefork and to worker too.
const SAMPLE: usize = 5;

/// One test for each file of cases, of the same name.
macro_rules! compare_cases {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                compare(stringify!($name));
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

compare_cases! {
    access, aliases, auth, compression, conditionals, errors, expires, expressions, files,
    folders, found, headers, homes, hosts, htaccess, info, listings, lookups, macros, methods, moved,
    names, negotiation, practice, preambles, projects, protocol, ranges, redirects, remote,
    rewriting, rules, rules_of_folders, sections, types, urls, variables,
}

/// Asks both servers everything that the file of this name holds.
fn compare(name: &str) {
    let case = Case::read(name);
    let Some(apache) = Apache::find() else { return };
    let tree = Tree::of(&case);
    let apache = apache.start(&tree);
    let wanted = std::env::var("HERDGATE_CASE").ok();
    let is_wanted = |request: &&Request| match &wanted {
        Some(words) => request.line.contains(words.as_str()),
        None => true,
    };
    let requests: Vec<&Request> = case.requests.iter().filter(is_wanted).collect();
    let mut intended = Differences::read(name);
    let mut faults = Faults::default();
    for model in support::MODELS {
        let mut both = Both::new(&apache, herdgate(model, &tree));
        for (number, request) in requests.iter().enumerate() {
            if model != "event" && number % SAMPLE != 0 {
                continue;
            }
            let (differing, _) = both.ask(request, &mut intended);
            faults.note(model, &request.line, differing);
        }
    }
    if wanted.is_none() {
        faults.unused.extend(intended.unused().map(str::to_owned));
    }
    faults.assert_none(name, requests.len());
}

/// What differs, and should not.
#[derive(Default)]
struct Faults {
    /// By request and difference, under which models.
    found: BTreeMap<(String, Vec<String>), Vec<&'static str>>,
    /// Rules that nothing has needed.
    unused: Vec<String>,
}

impl Faults {
    fn note(&mut self, model: &'static str, request: &str, differing: Vec<String>) {
        if !differing.is_empty() {
            self.found.entry((request.to_owned(), differing)).or_default().push(model);
        }
    }

    fn assert_none(&self, name: &str, asked: usize) {
        let mut text = String::new();
        for ((request, differing), models) in &self.found {
            text +=
                &format!("{request}   ({})\n    {}\n", models.join(", "), differing.join("\n    "));
        }
        for rule in &self.unused {
            text += &format!("differences.md: nothing needs {rule}\n");
        }
        assert!(text.is_empty(), "{name}: of {asked} requests differ (Apache / Herdgate):\n{text}");
    }
}

fn herdgate(model: &'static str, tree: &Tree) -> Server {
    Site::new(model).documents(&tree.path("htdocs")).conf(&tree.include()).start()
}

/// Both servers, and what they write down.
struct Both<'a> {
    apache: &'a Apache,
    herdgate: Server,
    their_logs: Logs,
    our_logs: Logs,
}

impl<'a> Both<'a> {
    fn new(apache: &'a Apache, herdgate: Server) -> Both<'a> {
        let their_logs = Logs::of(apache.root(), apache.address());
        let our_logs = Logs::of(&herdgate.path(""), herdgate.address());
        Both { apache, herdgate, their_logs, our_logs }
    }

    /// What differs and is not intended, and what Herdgate has answered.
    ///
    /// Answers that tell the time may differ because a second has begun between them; so what differs is asked once
    /// more.
    fn ask(&mut self, request: &Request, intended: &mut Differences) -> (Vec<String>, Reply) {
        let mut asked_once = false;
        loop {
            self.their_logs.pass_over();
            self.our_logs.pass_over();
            let theirs = Reply::ask(self.apache.address(), request);
            let ours = Reply::ask(self.herdgate.address(), request);
            if std::env::var_os("HERDGATE_CASE").is_some() {
                eprintln!("{}\n--- Apache\n{theirs}\n--- Herdgate\n{ours}", request.line);
            }
            let mut differing = compare::differences(&theirs, &ours);
            let their_lines = self.their_logs.about(&theirs);
            let our_lines = self.our_logs.about(&ours);
            if theirs.status() == ours.status() {
                differing.extend(logs::differences(&their_lines, &our_lines));
            }
            differing.retain(|difference| !intended.covers(&request.line, difference));
            if differing.is_empty() || asked_once {
                return (differing, ours);
            }
            asked_once = true;
        }
    }
}

#[test]
fn every_file_of_cases_is_compared_and_together_they_are_many() {
    let mut files: Vec<String> = cases::names();
    files.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(files, names, "compare_cases! names every file in cases/, and no other");
    let count: usize = NAMES.iter().map(|name| Case::read(name).requests.len()).sum();
    eprintln!("{count} requests");
    assert!(count >= REQUESTS_MIN, "{count} requests are too few to speak of the same answers");
}

/// What the whole comparison promises.
const REQUESTS_MIN: usize = 600;

#[test]
fn every_intended_difference_belongs_to_cases() {
    let known: Vec<&str> = NAMES.iter().copied().chain([manual::NAME]).collect();
    for name in Differences::all_cases() {
        assert!(known.contains(&name.as_str()), "differences.md names `{name}`: no such cases");
    }
}
