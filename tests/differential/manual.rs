//! # Apache's manual, crawled in three languages
//!
//! Debian's `apache2-doc` by the configuration that comes with it.
//!
//! Every link is followed from the first page of each language, and every answer compared. `HERDGATE_CRAWL=all` follows
//! all links, instead of the first [`PAGES_MAX`] of each language.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cases::Request;
use crate::differences::Differences;
use crate::peers::{Apache, Tree};
use crate::support::links::links;
use crate::support::{Server, skipped};
use crate::{Faults, ask_both};

/// How `differences.md` calls this crawl.
pub(crate) const NAME: &str = "manual";

const INSTALLED: &str = "/usr/share/doc/apache2-doc/manual";
const DEBIANS_CONF: &str = "/etc/apache2/conf-available/apache2-doc.conf";
const LANGUAGES: [&str; 3] = ["en", "fr", "ja"];
/// How many pages of each language are asked for, unless all are wanted.
const PAGES_MAX: usize = 60;

#[test]
fn the_manual_is_the_same_by_debians_configuration() {
    let Some((apache, manual)) = found() else { return };
    let tree = Tree::empty();
    let conf = fs::read_to_string(DEBIANS_CONF).unwrap();
    tree.write_conf(&conf);
    let starts: Vec<Start> = LANGUAGES
        .iter()
        .map(|language| Start { path: format!("/manual/{language}/"), fields: String::new() })
        .collect();
    assert!(manual.join("en/index.html").exists());
    compare(apache, &tree, starts);
}

/// Both, or the test is skipped.
fn found() -> Option<(crate::peers::Installed, PathBuf)> {
    let apache = Apache::find()?;
    if Path::new(INSTALLED).join("index.html").exists() && Path::new(DEBIANS_CONF).exists() {
        return Some((apache, PathBuf::from(INSTALLED)));
    }
    skipped("apache2-doc is not installed");
    None
}

/// Where a crawl begins, and what each of its requests says.
struct Start {
    path: String,
    fields: String,
}

fn compare(apache: crate::peers::Installed, tree: &Tree, starts: Vec<Start>) {
    let apache = apache.start(tree);
    let herdgate = crate::herdgate("event", tree);
    let mut intended = Differences::read(NAME);
    let all = std::env::var("HERDGATE_CRAWL").as_deref() == Ok("all");
    let pages_max = if all { usize::MAX } else { PAGES_MAX };
    let mut faults = Faults::default();
    let mut asked = 0;
    for start in starts {
        let (path, fields) = (start.path.clone(), start.fields.clone());
        let count = crawl(&apache, &herdgate, start, pages_max, &mut intended, &mut faults);
        eprintln!("{path}{fields}: {count} pages");
        asked += count;
        assert!(count >= PAGES_MAX, "{path}{fields}: {count} pages are no manual");
    }
    faults.assert_none(NAME, asked);
}

fn crawl(
    apache: &Apache,
    herdgate: &Server,
    start: Start,
    pages_max: usize,
    intended: &mut Differences,
    faults: &mut Faults,
) -> usize {
    let mut seen = HashSet::from([start.path.clone()]);
    let mut waiting = VecDeque::from([start.path]);
    let mut count = 0;
    while let Some(path) = waiting.pop_front() {
        let request = Request::parse(&format!("GET {path}{}", start.fields));
        let (differing, ours) = ask_both(apache, herdgate, &request, intended);
        faults.note("event", &request.line, differing);
        count += 1;
        for link in links(&path, ours.body()) {
            if seen.len() < pages_max && seen.insert(link.clone()) {
                waiting.push_back(link);
            }
        }
    }
    count
}
