//! Wildcards and regular expressions: a match is what a slower reading of the pattern calls one, and lies in the text.

use super::{byte, parts};
use crate::regex::{Case, Options, Regex, with_options};
use crate::route::pattern::{Slash, matches};

/// A byte of choices, a pattern, a text, a template for what groups have matched.
pub(super) fn check(mut bytes: &[u8]) {
    let choices = byte(&mut bytes);
    let [pattern, text, template] = parts(bytes);
    wildcards(pattern, text, choices);
    regex(pattern, text, template, choices);
}

fn wildcards(pattern: &[u8], text: &[u8], choices: u8) {
    let slash = if choices & 1 == 0 { Slash::Separates } else { Slash::IsOrdinary };
    let found = matches(pattern, text, slash);
    assert!(matches(b"*", text, Slash::IsOrdinary));
    let escaped: Vec<u8> = text.iter().flat_map(|byte| [b'\\', *byte]).collect();
    assert!(matches(&escaped, text, slash), "escaped, a text is its own pattern");
    if slash == Slash::Separates && found {
        assert!(matches(pattern, text, Slash::IsOrdinary), "a wildcard that may do more");
        let slashes = |text: &[u8]| text.iter().filter(|byte| **byte == b'/').count();
        assert!(slashes(text) <= slashes(pattern), "no wildcard takes a slash");
    }
    let is_plain = !pattern.iter().any(|byte| b"[\\".contains(byte));
    if is_plain && pattern.len() * text.len() < 4000 {
        assert_eq!(found, by_table(pattern, text, slash));
    }
}

/// `table[i]`: whether the pattern so far matches the first `i` bytes of the text.
fn by_table(pattern: &[u8], text: &[u8], slash: Slash) -> bool {
    let takes = |byte: u8| byte != b'/' || slash == Slash::IsOrdinary;
    let mut table = vec![false; text.len() + 1];
    table[0] = true;
    for item in pattern {
        let mut next = vec![false; text.len() + 1];
        next[0] = *item == b'*' && table[0];
        for (at, byte) in text.iter().enumerate() {
            next[at + 1] = match item {
                b'*' => table[at + 1] || (next[at] && takes(*byte)),
                b'?' => table[at] && takes(*byte),
                item => table[at] && item == byte,
            };
        }
        table = next;
    }
    table[text.len()]
}

fn regex(pattern: &[u8], text: &[u8], template: &[u8], choices: u8) {
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    let case = if choices & 2 == 0 { Case::Counts } else { Case::Ignored };
    let options = Options {
        dot_all: choices & 4 == 0,
        dollar_end_only: choices & 8 == 0,
        ignore_case: choices & 16 != 0,
    };
    let Ok(regex) = with_options(options, || Regex::new(pattern, case)) else { return };
    let found = regex.captures(text);
    assert_eq!(regex.is_match(text), found.is_some());
    let Some(found) = found else { return };
    let range = found.range();
    assert!(range.start <= range.end && range.end <= text.len());
    assert_eq!(found.get(0), Some(&text[range.clone()]));
    for number in 1..10 {
        assert!(found.get(number).is_none_or(|group| group.len() <= text.len()));
    }
    // These two mean something else when the search begins elsewhere.
    if !["\\K", "\\G"].iter().any(|it| pattern.contains(it)) {
        let again = regex.captures_from(text, range.start);
        assert_eq!(again.map(|it| it.range()), Some(range), "it is found where it is");
    }
    let longest = text.len().max(1) * template.len();
    assert!(found.substitute(template).len() <= longest);
}
