//! docs/scoreboard.md says where every number stands: it is written from the structs, and must not lag behind.
//! `HERDGATE_BLESS=1 cargo test -p herdgate-mpm layout` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sys::shared::{Field, Fields};

use super::*;

const BEGIN: &str = "<!-- layout: written by a test of herdgate-mpm -->\n";
const SOURCES: [&str; 8] = [
    include_str!("areas.rs"),
    include_str!("global.rs"),
    include_str!("child.rs"),
    include_str!("slot.rs"),
    include_str!("detail.rs"),
    include_str!("gate.rs"),
    include_str!("queue.rs"),
    include_str!("ending.rs"),
];
const END: &str = "<!-- end of layout -->\n";

#[test]
fn the_document_has_the_present_layout() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scoreboard.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (present, after) = rest.split_once(END).unwrap();
    let wanted = layout();
    if std::env::var("HERDGATE_BLESS").is_ok() {
        fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
    } else {
        assert!(present == wanted, "docs/scoreboard.md lags behind: run with HERDGATE_BLESS=1");
    }
}

fn layout() -> String {
    let mut out = String::new();
    table::<Header>(&mut out, "Header", "the file's first bytes");
    table::<Area>(&mut out, "Area", "an entry of `areas`");
    table::<Global>(&mut out, "Global", "area `global`, one record");
    table::<ChildRecord>(&mut out, "ChildRecord", "area `child`, one for each place");
    table::<Slot>(&mut out, "Slot", "area `slot`, one for each worker, the first child's first");
    table::<Detail>(&mut out, "Detail", "area `detail`, one for each slot; and area `label`");
    table::<GateRecord>(&mut out, "GateRecord", "area `gate`, one for each place for a child");
    table::<QueueRecord>(&mut out, "QueueRecord", "area `queue`, one for each place for a child");
    table::<EndingRecord>(&mut out, "EndingRecord", "area `ending`, one for each slot");
    out
}

fn table<T: Fields>(out: &mut String, name: &str, what: &str) {
    let total = size_of::<T>();
    let _ = write!(
        out,
        "\n**{name}**: {what}, {total} bytes\n\n| at | bytes | field | says |\n|--:|--:|---|---|\n"
    );
    for Field { name: field, offset, bytes } in T::FIELDS {
        let says = documentation(name, field);
        let _ = writeln!(out, "| {offset} | {bytes} | `{field}` | {says} |");
    }
    out.push('\n');
}

/// What the source says about a field.
fn documentation(name: &str, field: &str) -> String {
    let found =
        SOURCES.iter().find_map(|source| source.split_once(&format!("pub struct {name} {{")));
    let (_before, fields) = found.unwrap_or_else(|| panic!("no source has {name}"));
    let mut lines = Vec::new();
    for line in fields.lines() {
        match line.trim().strip_prefix("///") {
            Some(text) => lines.push(text.trim()),
            None if line.trim().starts_with(&format!("pub {field}:")) => break,
            None => lines.clear(),
        }
    }
    assert!(!lines.is_empty(), "{name}.{field} has no documentation");
    plain(&lines.join(" "))
}

/// Without the links of rustdoc: `[`x`](y)` and `[`x`]` become `x`.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let (word, after) = link.split_once(']').unwrap();
        out.push_str(before);
        out.push_str(word);
        rest = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').unwrap().1,
            None => after,
        };
    }
    out.push_str(rest);
    out
}
