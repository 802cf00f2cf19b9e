//! Splitting the rest of a line into words, as Apache's `ap_getword_conf` does (httpd `server/util.c`).

use std::ops::Range;

/// A word and where it stood, quotes included.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawWord {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
    pub(crate) quoted: bool,
    /// False if it began with a quote that no other quote closes; the word then runs to the line's end.
    pub(crate) closed: bool,
}

/// The words of `text`, up to its end.
pub(crate) fn split(text: &str) -> Vec<RawWord> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(word) = next(text, at) {
        at = word.range.end;
        words.push(word);
    }
    words
}

/// The first word at or after `from`.
pub(crate) fn next(text: &str, from: usize) -> Option<RawWord> {
    let start = from + text[from..].find(|c: char| !is_space(c))?;
    match text.as_bytes()[start] {
        quote @ (b'"' | b'\'') => Some(quoted(text, start, char::from(quote))),
        _ => Some(unquoted(text, start)),
    }
}

/// C's `isspace`, which is what separates words.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// Inside quotes a backslash escapes the same quote and itself; any other backslash is literal.
fn quoted(text: &str, start: usize, quote: char) -> RawWord {
    let mut word = String::new();
    let mut rest = text[start + 1..].char_indices().peekable();
    while let Some((offset, c)) = rest.next() {
        if c == quote {
            let end = start + 1 + offset + 1;
            return RawWord { text: word, range: start..end, quoted: true, closed: true };
        }
        let escaped = rest.next_if(|(_, next)| c == '\\' && (*next == quote || *next == '\\'));
        word.push(escaped.map_or(c, |(_, next)| next));
    }
    RawWord { text: word, range: start..text.len(), quoted: true, closed: false }
}

/// Without quotes a word ends at white space, and `\\` stands for one backslash.
fn unquoted(text: &str, start: usize) -> RawWord {
    let end = text[start..].find(is_space).map_or(text.len(), |length| start + length);
    let word = text[start..end].replace(r"\\", r"\");
    RawWord { text: word, range: start..end, quoted: false, closed: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let words: Vec<String> = split(text).into_iter().map(|word| word.text).collect();
        assert_eq!(words, expected, "{text}");
    }

    #[test]
    fn words_are_separated_by_white_space() {
        check("", &[]);
        check(" \t ", &[]);
        check("a  b\tc", &["a", "b", "c"]);
        check("a\u{a0}b", &["a\u{a0}b"]); // A no-break space is not white space to C.
    }

    #[test]
    fn quotes_hold_a_word_together() {
        check(r#""a b" 'c d'"#, &["a b", "c d"]);
        check(r#""a" """#, &["a", ""]);
        check(r#""a"b"#, &["a", "b"]);
        check(r#"a"b c"#, &[r#"a"b"#, "c"]);
        check(r#""a b"#, &["a b"]);
    }

    #[test]
    fn backslash_escapes_only_the_quote_and_itself() {
        check(r#""a\"b\\c\d\'""#, &[r#"a"b\c\d\'"#]);
        check(r#"'a\'b\"'"#, &[r#"a'b\""#]);
        check(r"a\\b\c", &[r"a\b\c"]);
        check(r#""a\"#, &[r"a\"]);
    }
}
