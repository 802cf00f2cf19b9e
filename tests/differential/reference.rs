//! # The reference names all that the manual names
//!
//! Whoever moves from Apache looks up a directive and must find it: obeyed, in part, without effect, or refused. The
//! manual that Debian has installed says which there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::skipped;

const MANUAL: &str = "/usr/share/doc/apache2-doc/manual/en/mod";
/// Pages about other systems, and the one that shows how to write a module.
const ELSEWHERE: &[&str] = &["mod_example_hooks", "mpm_netware", "mpm_winnt", "mpmt_os2"];
/// What is taken for a manual, and not for the rest of one.
const DIRECTIVES_MIN: usize = 600;

#[test]
fn every_directive_of_apaches_manual_is_in_the_reference() {
    if !Path::new(MANUAL).join("core.html").exists() {
        skipped("apache2-doc is not installed");
        return;
    }
    let ours = in_the_reference();
    let (mut count, mut missing) = (0, Vec::new());
    for entry in fs::read_dir(MANUAL).unwrap().map(Result::unwrap) {
        let file = entry.file_name().into_string().unwrap();
        let Some(page) = file.strip_suffix(".html").filter(|page| !ELSEWHERE.contains(page)) else {
            continue;
        };
        let html = fs::read(entry.path()).unwrap();
        for name in on_page(&String::from_utf8_lossy(&html)) {
            count += 1;
            if !ours.contains(&name.to_ascii_lowercase()) {
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    missing.sort();
    assert!(count >= DIRECTIVES_MIN, "{count} directives are no manual");
    assert!(missing.is_empty(), "docs/directives.md does not name {missing:#?}");
}

/// The directives that a page of the manual describes, sections without their brackets.
fn on_page(html: &str) -> Vec<String> {
    let sections = html.split("<div class=\"directive-section\"").skip(1);
    let names = sections.filter_map(|section| {
        let (_, after) = section.split_once("<span id=\"")?;
        let name = after.split_once('>')?.1.trim_start_matches("&lt;");
        Some(name.split(|it: char| !it.is_ascii_alphanumeric() && it != '_').next()?.to_owned())
    });
    names.collect()
}

/// The directives that have a section of their own or are listed as refused, in small letters.
fn in_the_reference() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/directives.md");
    let text = fs::read_to_string(path).unwrap();
    let (taken, refused) = text.split_once("\n## Refused\n").unwrap();
    let headings = taken.lines().filter(|line| line.starts_with("### `"));
    let lists = refused.lines().filter(|line| line.starts_with('`'));
    let quoted = headings.chain(lists).flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.map(|name| name.trim_matches(['<', '>']).to_ascii_lowercase()).collect()
}
