//! Paths of URLs: one spelling each, which cannot climb, and which somebody who goes step by step finds, too.

use std::borrow::Cow;

use super::byte;
use crate::http::escape;
use crate::route::url::{AllowEncodedSlashes, MergeSlashes, NormalPath, UrlError, normalise};

/// A byte of choices, then a path as a client sends it.
pub(super) fn check(mut bytes: &[u8]) {
    let choices = byte(&mut bytes);
    let merge = if choices & 1 == 0 { MergeSlashes::On } else { MergeSlashes::Off };
    let slashes = match choices >> 1 & 3 {
        0 => AllowEncodedSlashes::Off,
        1 => AllowEncodedSlashes::On,
        _ => AllowEncodedSlashes::NoDecode,
    };
    let path = if choices & 8 == 0 { [b"/", bytes].concat() } else { bytes.to_vec() };
    let found = normalise(&path, slashes, merge).map(NormalPath::into_inner);
    let shown = path.escape_ascii();
    match &found {
        Ok(normal) => {
            is_normal(normal, merge);
            let mut sent_again = Vec::new();
            escape::push_path(&mut sent_again, normal);
            let again = normalise(&sent_again, slashes, merge).map(NormalPath::into_inner);
            assert_eq!(again.as_deref(), Ok(&**normal), "{shown} has a second spelling");
        }
        Err(UrlError::NotAbsolute) => assert!(!path.starts_with(b"/")),
        Err(UrlError::EncodedSlash) => assert_eq!(slashes, AllowEncodedSlashes::Off),
        Err(UrlError::Nul | UrlError::BadEscape | UrlError::ClimbsAboveRoot) => {}
    }
    if slashes == AllowEncodedSlashes::NoDecode && path.starts_with(b"/") {
        let same = step_by_step(&path, merge);
        assert_eq!(found.map(Cow::into_owned).ok(), same, "{shown}");
    }
}

fn is_normal(path: &[u8], merge: MergeSlashes) {
    assert!(path.starts_with(b"/") && !path.contains(&0));
    for segment in path.split(|byte| *byte == b'/') {
        assert!(segment != b"." && segment != b"..", "{}", path.escape_ascii());
    }
    let doubled = path.windows(2).any(|pair| pair == b"//");
    assert!(!doubled || merge == MergeSlashes::Off, "{}", path.escape_ascii());
}

/// The same by rewriting text until nothing changes. Slow, and so simple that it is right.
fn step_by_step(path: &[u8], merge: MergeSlashes) -> Option<Vec<u8>> {
    // One character for each byte, and an encoded slash that stays is a character of its own.
    const SLASH_LOWER: char = '\u{1000}';
    const SLASH_UPPER: char = '\u{1001}';
    let mut text = String::new();
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            text.push(char::from(*first));
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        if digits.starts_with('+') {
            return None;
        }
        text.push(match (u8::from_str_radix(digits, 16).ok()?, digits) {
            (b'/', "2f") => SLASH_LOWER,
            (b'/', _) => SLASH_UPPER,
            (byte, _) => char::from(byte),
        });
        rest = &tail[2..];
    }
    let mut segments: Vec<&str> = Vec::new();
    let all: Vec<&str> = text[1..].split('/').collect();
    for (index, segment) in all.iter().enumerate() {
        let is_last = index + 1 == all.len();
        match *segment {
            "." if is_last => segments.push(""),
            "." => {}
            ".." => {
                segments.pop()?;
                if is_last {
                    segments.push("");
                }
            }
            "" if merge == MergeSlashes::On && !is_last => {}
            other => segments.push(other),
        }
    }
    let bytes = segments.iter().flat_map(|segment| ['/'].into_iter().chain(segment.chars()));
    let bytes = bytes.flat_map(|character| match character {
        SLASH_LOWER => b"%2f".to_vec(),
        SLASH_UPPER => b"%2F".to_vec(),
        other => vec![u8::try_from(other).unwrap()],
    });
    let found: Vec<u8> = bytes.collect();
    // One in a segment that a `..` has removed is gone with it.
    (!found.contains(&0)).then_some(found)
}
