//! What we ship beside this crate's source: `httpd.conf` and `mime.types`.

mod stage;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use stage::{complaints, read_text};

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn httpd_conf_reads_without_a_remark() {
    let reading = read_text(&shipped("httpd.conf"));
    assert_eq!(complaints(&reading), Vec::<String>::new());
    assert!(reading.tree.nodes.len() > 30);
}

#[test]
fn what_httpd_conf_has_commented_out_reads_too() {
    // Examples follow their # at once or, within a section, after four blanks; sentences after one.
    let example = |line: &str| {
        let text = line.strip_prefix('#')?;
        let text = text.strip_prefix("    ").unwrap_or(text);
        text.starts_with(|c: char| !c.is_whitespace()).then(|| text.to_string())
    };
    let example: Vec<String> = shipped("httpd.conf").lines().filter_map(example).collect();
    let reading = read_text(&example.join("\n"));
    assert_eq!(complaints(&reading), Vec::<String>::new());
    assert!(example.len() > 15, "{example:?}");
}

#[test]
fn mime_types_give_each_extension_one_type() {
    let mut extensions = BTreeSet::new();
    for line in shipped("mime.types").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(media_type) = words.next() else { continue };
        assert_eq!(media_type.matches('/').count(), 1, "{line}");
        assert!(!media_type.ends_with('/') && !media_type.starts_with('/'), "{line}");
        for extension in words {
            assert!(!extension.contains('.'), "{line}");
            assert!(extensions.insert(extension.to_string()), "{extension} stands there twice");
        }
    }
    assert!(extensions.len() > 500);
}
