//! # A file of cases: a configuration, a tree, and requests
//!
//! ```text
//! Prose: what is compared here.
//!
//! --- conf
//! lines of httpd.conf; ROOT/ stands for the folder of the tree
//!
//! --- file htdocs/a.txt
//! what the file holds
//!
//! --- file htdocs/b.bin size=100000 mode=600 time=1700000000
//! --- link htdocs/c.txt a.txt
//! --- folder htdocs/empty
//!
//! --- requests
//! # A comment.
//! GET /a.txt
//! GET /a.txt | Range: bytes=0-4 | Host: other.example
//! POST /a.txt HTTP/1.0 | Content-Length: 5 << hello
//! RAW GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n
//! ```
//!
//! - A request goes out with `Host: localhost` unless it brings its own (HTTP/1.0 gets none). `\r`, `\n`, `\t`, `\xNN`
//!   and `\\` stand for bytes. `RAW` is sent as it is, and all that comes back is compared.
//! - Every file is of [`TIME`] unless it says otherwise, so that tags and dates are the same on every machine.

use std::fs;
use std::path::{Path, PathBuf};

/// When the files of a tree were last modified: 2024-01-01 12:00:00 UTC, in seconds since 1970.
pub(crate) const TIME: u64 = 1_704_110_400;

/// What one file of cases says.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) conf: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) requests: Vec<Request>,
}

/// Something in the tree, by its path in it.
#[derive(Debug)]
pub(crate) enum Entry {
    File { path: String, contents: Vec<u8>, mode: Option<u32>, time: u64 },
    Link { path: String, target: String },
    Folder { path: String },
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    /// As it stands in the file.
    pub(crate) line: String,
    pub(crate) bytes: Vec<u8>,
    /// Of the only request; `None`: several may come back, until the connection ends.
    pub(crate) method: Option<String>,
}

impl Case {
    pub(crate) fn read(name: &str) -> Case {
        let path = folder().join(name).with_extension("txt");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Case::parse(&text)
    }

    fn parse(text: &str) -> Case {
        let mut case = Case::default();
        for part in text.split("\n--- ").skip(1) {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            let body = match body.trim_end() {
                "" => String::new(),
                body => format!("{body}\n"),
            };
            let words: Vec<&str> = head.split_whitespace().collect();
            match words[..] {
                ["conf"] => case.conf.push_str(&body),
                ["file", path, ref attributes @ ..] => {
                    case.entries.push(file(path, attributes, body.into_bytes()));
                }
                ["link", path, target] => {
                    case.entries.push(Entry::Link { path: path.into(), target: target.into() });
                }
                ["folder", path] => case.entries.push(Entry::Folder { path: path.into() }),
                ["requests"] => {
                    let lines =
                        body.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
                    case.requests.extend(lines.map(Request::parse));
                }
                _ => panic!("no such part: --- {head}"),
            }
        }
        case
    }
}

fn file(path: &str, attributes: &[&str], contents: Vec<u8>) -> Entry {
    let (mut contents, mut mode, mut time) = (contents, None, TIME);
    for attribute in attributes {
        match attribute.split_once('=') {
            Some(("size", bytes)) => contents = crate::support::noise(bytes.parse().unwrap()),
            Some(("mode", octal)) => mode = Some(u32::from_str_radix(octal, 8).unwrap()),
            Some(("time", seconds)) => time = seconds.parse().unwrap(),
            _ => panic!("{path}: no such attribute: {attribute}"),
        }
    }
    Entry::File { path: path.into(), contents, mode, time }
}

impl Request {
    pub(crate) fn parse(line: &str) -> Request {
        if let Some(raw) = line.strip_prefix("RAW ") {
            return Request { line: line.to_owned(), bytes: unescape(raw), method: None };
        }
        let (text, body) = line.split_once(" << ").unwrap_or((line, ""));
        let mut parts = text.split(" | ");
        let first = parts.next().unwrap_or_default();
        let is_old = first.ends_with(" HTTP/1.0");
        let mut head = first.to_owned();
        if !is_old {
            head.push_str(" HTTP/1.1");
        }
        let fields: Vec<&str> = parts.collect();
        let has_host = fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:"));
        if !is_old && !has_host {
            head.push_str("\\r\\nHost: localhost");
        }
        for field in fields {
            head.push_str("\\r\\n");
            head.push_str(field);
        }
        let bytes = unescape(&format!("{head}\\r\\n\\r\\n{body}"));
        let method = first.split(' ').next().map(str::to_owned);
        Request { line: line.to_owned(), bytes, method }
    }
}

/// `\r`, `\n`, `\t`, `\xNN` and `\\` as bytes; anything else as it is.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.as_bytes());
        let kind = after.chars().next().unwrap_or('\\');
        let mut taken = kind.len_utf8().min(after.len());
        match kind {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            'x' => {
                bytes.push(u8::from_str_radix(&after[1..3], 16).unwrap());
                taken = 3;
            }
            other => bytes.extend(other.to_string().as_bytes()),
        }
        rest = &after[taken..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}

/// The files of cases, by name.
pub(crate) fn names() -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/cases")
}

#[test]
fn cases_are_read_as_they_are_written() {
    let case = Case::parse(
        "Prose.\n\n--- conf\nOptions None\n\n--- file htdocs/a.txt mode=600\nhello\n\n\
         --- link htdocs/b a.txt\n--- requests\n# no\nGET /a | X: \\x41\\r\n\nPUT /b HTTP/1.0 << a\\\\b\n",
    );
    assert_eq!(case.conf, "Options None\n");
    assert_eq!(case.entries.len(), 2);
    let Entry::File { path, contents, mode, time } = &case.entries[0] else { panic!("a file") };
    assert_eq!((path.as_str(), contents.as_slice()), ("htdocs/a.txt", b"hello\n".as_slice()));
    assert_eq!((*mode, *time), (Some(0o600), TIME));
    let bytes: Vec<&[u8]> = case.requests.iter().map(|request| request.bytes.as_slice()).collect();
    assert_eq!(bytes[0], b"GET /a HTTP/1.1\r\nHost: localhost\r\nX: A\r\r\n\r\n");
    assert_eq!(bytes[1], b"PUT /b HTTP/1.0\r\n\r\na\\b");
}
