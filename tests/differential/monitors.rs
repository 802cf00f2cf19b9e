//! # What monitors read: the keys of `server-status?auto`
//!
//! The values are of another server and another moment; the names must be Apache's, so that a program that reads them
//! finds what it looks for.

use std::collections::BTreeSet;

use crate::cases::Request;
use crate::compare::Reply;
use crate::peers::{Apache, Tree};

const CONF: &str = "\
ExtendedStatus On
<Location \"/server-status\">
    SetHandler server-status
</Location>
";

#[test]
fn every_key_of_apaches_status_is_there() {
    let Some(apache) = Apache::find() else { return };
    let tree = Tree::empty();
    tree.write_conf(CONF);
    let apache = apache.start(&tree);
    let herdgate = crate::herdgate("event", &tree);
    let request = Request::parse("GET /server-status?auto");
    let theirs = keys(&Reply::ask(apache.address(), &request));
    let ours = keys(&Reply::ask(herdgate.address(), &request));
    // It is there as soon as the server has used a measurable time of the processor.
    let is_steady = |key: &&String| *key != "CPULoad";
    let missing: Vec<&String> = theirs.difference(&ours).filter(is_steady).collect();
    assert!(theirs.len() > 20, "that was no status: {theirs:?}");
    assert!(missing.is_empty(), "Apache has {missing:?} and we have {ours:?}");
}

/// What stands before the colons.
fn keys(reply: &Reply) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(reply.body());
    text.lines().filter_map(|line| line.split_once(": ")).map(|(key, _)| key.to_owned()).collect()
}
