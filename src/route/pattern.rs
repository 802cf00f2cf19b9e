//! # Patterns: wildcards in section arguments and names
//!
//! ```text
//! *       any run of characters, within one component of a path
//! ?       one character, not a slash
//! [a-z]   one of a set; [!a-z] or [^a-z] one that is not in it
//! \x      x itself
//! ```
//!
//! - Matching is on bytes: file names and decoded URLs need not be UTF-8.
//! - A match takes at most the product of both lengths: no URL is slow.

/// What a wildcard does at a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slash {
    /// Wildcards stop there: paths.
    Separates,
    /// A slash is a character like any other: names of files and hosts, which have none.
    IsOrdinary,
}

/// Whether a text has wildcards in it, and so is more than a name.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether `pattern` matches the whole of `text`.
pub(crate) fn matches(pattern: &[u8], text: &[u8], slash: Slash) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where to go on when things fail behind the last star: let it take one byte more. An earlier
    // star need never be tried again, since the last one could take whatever that would.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if let Some(b'*') = pattern.get(at) {
            star = Some((at + 1, from));
            at += 1;
            continue;
        }
        if at == pattern.len() && from == text.len() {
            return true;
        }
        let step = text.get(from).and_then(|byte| one(&pattern[at..], *byte, slash));
        if let Some(used) = step {
            (at, from) = (at + used, from + 1);
            continue;
        }
        let Some((behind, taken)) = star else { return false };
        let stops = |byte: &u8| *byte == b'/' && slash == Slash::Separates;
        if text.get(taken).is_none_or(stops) {
            return false;
        }
        star = Some((behind, taken + 1));
        (at, from) = (behind, taken + 1);
    }
}

/// How many bytes of the pattern the item has that matches `byte`; `None` if it does not match.
fn one(pattern: &[u8], byte: u8, slash: Slash) -> Option<usize> {
    let is_separator = byte == b'/' && slash == Slash::Separates;
    match *pattern {
        [b'?', ..] => (!is_separator).then_some(1),
        [b'[', ref rest @ ..] => match set(rest, byte) {
            Some((used, is_in)) => (is_in && !is_separator).then_some(1 + used),
            None => (byte == b'[').then_some(1), // Without an end it is no set.
        },
        [b'\\', escaped, ..] => (escaped == byte).then_some(2),
        [first, ..] => (first == byte).then_some(1),
        [] => None,
    }
}

/// Reads a set up to its `]`: how long it is, and whether `byte` is in it.
fn set(rest: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    let mut at = start;
    let mut found = false;
    loop {
        match *rest.get(at..)? {
            // The first character may be the bracket itself.
            [b']', ..] if at > start => return Some((at + 1, found != negated)),
            [low, b'-', high, ..] if high != b']' => {
                found |= (low..=high).contains(&byte);
                at += 3;
            }
            [only, ..] => {
                found |= only == byte;
                at += 1;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        let found = matches(pattern.as_bytes(), text.as_bytes(), Slash::Separates);
        assert_eq!(found, expected, "{pattern} on {text}");
    }

    #[test]
    fn wildcards_stay_within_a_component() {
        check("/home/*/www", "/home/anna/www", true);
        check("/home/*/www", "/home/anna/b/www", false);
        check("/home/*", "/home/", true);
        check("/?", "//", false);
        check("/[!a]", "//", false);
        check("*", "a/b", false);
    }

    #[test]
    fn sets_and_escapes() {
        check("[a-c]x", "bx", true);
        check("[!a-c]x", "bx", false);
        check("[^a-c]x", "dx", true);
        check("[]]", "]", true);
        check("[a-]", "-", true);
        check("[a", "[a", true);
        check(r"\*", "*", true);
        check(r"\*", "x", false);
        check(r"a\", r"a\", true);
    }

    #[test]
    fn a_slash_is_ordinary_in_names() {
        assert!(matches(b"*.example", b"a/b.example", Slash::IsOrdinary));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(100);
        assert!(!matches(pattern.as_bytes(), "a".repeat(99).as_bytes(), Slash::Separates));
    }

    /// The same by definition: a star tries everything.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => {
                let reach = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
                (0..=reach).any(|taken| naive(rest, &text[taken..]))
            }
            [b'?', rest @ ..] => {
                text.first().is_some_and(|byte| *byte != b'/') && naive(rest, &text[1..])
            }
            [first, rest @ ..] => text.first() == Some(first) && naive(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab/*?]{0,8}", text in "[ab/]{0,10}") {
            let expected = naive(pattern.as_bytes(), text.as_bytes());
            let found = matches(pattern.as_bytes(), text.as_bytes(), Slash::Separates);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn never_panics(pattern in any::<Vec<u8>>(), text in any::<Vec<u8>>()) {
            matches(&pattern, &text, Slash::IsOrdinary);
        }
    }
}
