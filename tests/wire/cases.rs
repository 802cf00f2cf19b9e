//! # A file of cases
//!
//! ```text
//! Prose: what these are about.
//!
//! --- a name that says what must hold [RFC 9112 2.2]
//! # A comment.
//! at unsafe                                       which server; usual if nothing is said, see `site`
//! > GET / HTTP/1.1                                a line, CR LF is added
//! >> GET / HTTP/1.1\n                             bytes as they are
//! < 400 | connection: close | body ~ CR LF        an answer, with fields and body where they matter
//! < 200 HEAD | allow: -                           to HEAD; there is no such field
//! = closed
//! ```
//!
//! - `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` stand for bytes, `\{30*text}` for thirty times the text.
//! - `=` is followed by `in sync`: a request that follows is answered; `closed`: it is not, the server has ended the
//!   connection; or `cut`: the client ends its side, and nothing follows.
//! - `body: text` and `name: text` are all of it but a last line end, `~` a part of it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::answers::{Expected, Wanted};

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// With its file.
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) answers: Vec<Expected>,
    pub(crate) end: End,
}

/// How it is with the connection afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    InSync,
    Closed,
    Cut,
}

impl Case {
    /// Those of all files, in the order of names.
    pub(crate) fn all() -> Vec<Case> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().flat_map(|file| Case::in_file(file)).collect()
    }

    fn in_file(file: &Path) -> Vec<Case> {
        let area = file.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(file).unwrap();
        text.split("\n--- ").skip(1).map(|part| Case::parse(area, part)).collect()
    }

    fn parse(area: &str, part: &str) -> Case {
        let (title, body) = part.split_once('\n').unwrap();
        let has_section = title.ends_with(']') && title.contains(" [RFC ");
        assert!(has_section, "{area}: {title}: which section?");
        let mut case = Case {
            name: format!("{area}: {title}"),
            host: "usual".to_owned(),
            bytes: Vec::new(),
            answers: Vec::new(),
            end: End::Cut,
        };
        let mut has_end = false;
        for line in body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(!has_end, "{area}: {title}: something stands behind its end: {line}");
            let (mark, text) = line.split_once(' ').unwrap_or((line, ""));
            match mark {
                "at" => text.clone_into(&mut case.host),
                ">" => {
                    case.bytes.extend(unescape(text));
                    case.bytes.extend_from_slice(b"\r\n");
                }
                ">>" => case.bytes.extend(unescape(text)),
                "<" => case.answers.push(expected(text)),
                "=" => {
                    has_end = true;
                    case.end = match text {
                        "in sync" => End::InSync,
                        "closed" => End::Closed,
                        "cut" => End::Cut,
                        _ => panic!("{area}: {title}: no such end: {text}"),
                    }
                }
                _ => panic!("{area}: {title}: what is this? {line}"),
            }
        }
        assert!(has_end, "{area}: {title}: how does it end?");
        case
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/cases")
}

/// `200 HEAD | name: value | body ~ text`
fn expected(text: &str) -> Expected {
    let mut parts = text.split(" | ");
    let mut words = parts.next().unwrap().split(' ');
    let status = match words.next().unwrap() {
        "bare" => None,
        number => Some(number.parse().unwrap_or_else(|_| panic!("no status: {text}"))),
    };
    let is_to_head = match words.next() {
        None => false,
        Some("HEAD") => true,
        Some(_) => panic!("what is this? {text}"),
    };
    let wanted = parts
        .map(|part| {
            let (name, value) = part.split_once([':', ' ']).unwrap();
            let name = name.to_owned();
            match (value.strip_prefix("~ "), value.strip_prefix(' ')) {
                (Some(part), _) => Wanted::Has(name, unescape(part)),
                (None, Some("-")) => Wanted::Absent(name),
                (None, Some(value)) => Wanted::Is(name, unescape(value)),
                (None, None) => panic!("what is this? {part}"),
            }
        })
        .collect();
    Expected { status, is_to_head, wanted }
}

/// The bytes that a text with escapes stands for.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (kind, after) = after.split_at(1);
        rest = match kind {
            "r" => push(&mut bytes, b'\r', after),
            "n" => push(&mut bytes, b'\n', after),
            "t" => push(&mut bytes, b'\t', after),
            "0" => push(&mut bytes, 0, after),
            "\\" => push(&mut bytes, b'\\', after),
            "x" => push(&mut bytes, u8::from_str_radix(&after[..2], 16).unwrap(), &after[2..]),
            "{" => {
                let (inside, after) = split_at_brace(after);
                let (count, text) = inside.split_once('*').unwrap();
                bytes.extend(unescape(text).repeat(count.parse().unwrap()));
                after
            }
            _ => panic!("no such escape: \\{kind} in {text}"),
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// What stands before the brace that ends a repetition, within which there may be others, and behind it.
fn split_at_brace(text: &str) -> (&str, &str) {
    let mut depth = 1;
    for (place, _) in text.match_indices(['{', '}']) {
        depth = if text[..place].ends_with('\\') { depth + 1 } else { depth - 1 };
        if depth == 0 {
            return (&text[..place], &text[place + 1..]);
        }
    }
    panic!("a repetition has no end: {text}");
}

fn push<'t>(bytes: &mut Vec<u8>, byte: u8, after: &'t str) -> &'t str {
    bytes.push(byte);
    after
}
