//! The lines of RewriteRule and RewriteCond: their own words and flags.
//!
//! ```text
//! RewriteRule "^/a b$" /c\ d [R=301,L]     quotes, a backslash before a blank, flags in brackets
//! ```
//!
//! - These lines are not read by the rules of other directives: a backslash stays where it stands, since it means
//!   something to the regular expression.

/// Two words, and what stands in the brackets behind them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words<'l> {
    pub(super) first: &'l str,
    pub(super) second: &'l str,
    /// Without the brackets.
    pub(super) flags: Option<&'l str>,
}

/// Takes a line apart.
///
/// # Errors
/// What is wrong, in Apache's words.
pub(super) fn words(line: &str) -> Result<Words<'_>, String> {
    const TOO_FEW: &str = "bad argument line: at least two arguments required";
    let (first, rest) = word(line.trim_ascii_start());
    let rest = rest.ok_or(TOO_FEW)?.trim_ascii_start();
    let (second, rest) = word(rest);
    let rest = rest.unwrap_or_default().trim_ascii_start();
    let flags = if rest.is_empty() { None } else { Some(bracketed(word(rest).0)?) };
    Ok(Words { first, second, flags })
}

/// The first word of a line and what follows it; `None`: the line ends with the word.
fn word(line: &str) -> (&str, Option<&str>) {
    let quote = line.bytes().next().filter(|byte| matches!(byte, b'"' | b'\''));
    let line = if quote.is_some() { &line[1..] } else { line };
    let bytes = line.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let ends = match quote {
            Some(quote) => *byte == quote,
            None => byte.is_ascii_whitespace(),
        };
        if ends {
            return (&line[..at], Some(&line[at + 1..]));
        }
        let escapes = *byte == b'\\' && bytes.get(at + 1).is_some_and(u8::is_ascii_whitespace);
        at += if escapes { 2 } else { 1 };
    }
    (line, None)
}

fn bracketed(word: &str) -> Result<&str, String> {
    let shown = |found: Option<char>| found.map(String::from).unwrap_or_default();
    let Some(inner) = word.strip_prefix('[') else {
        return Err(format!(
            "bad flag delimiters: third argument must begin with '[' but found '{}' - too many arguments or rogue \
             whitespace?",
            shown(word.chars().next())
        ));
    };
    inner.strip_suffix(']').ok_or_else(|| {
        format!(
            "bad flag delimiters: third argument must end with ']' but found '{}' - unintended whitespace within the \
             flags definition?",
            shown(word.chars().last())
        )
    })
}

/// The flags between the brackets: names with their values, which may be empty.
pub(super) fn flags(inner: &str) -> impl Iterator<Item = (&str, &str)> {
    inner.split(',').map(str::trim_ascii).filter(|flag| !flag.is_empty()).map(|flag| {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        (name, value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(line: &str, expected: Result<(&str, &str, Option<&str>), &str>) {
        let found = words(line).map(|words| (words.first, words.second, words.flags));
        match (found, expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{line}: {found}"),
            (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{line}"),
        }
    }

    #[test]
    fn words_are_quoted_or_escaped() {
        check("^a$ /b", Ok(("^a$", "/b", None)));
        check("  ^a$\t/b   [L]", Ok(("^a$", "/b", Some("L"))));
        check(r#""a b" 'c d' "[R=301, L]""#, Ok(("a b", "c d", Some("R=301, L"))));
        check(r"a\ b c\ d [L]", Ok((r"a\ b", r"c\ d", Some("L"))));
        check(r#"a\.b "c""#, Ok((r"a\.b", "c", None)));
        check("a - [F] more", Ok(("a", "-", Some("F"))));
    }

    #[test]
    fn mistakes_are_told_in_apaches_words() {
        check("", Err("at least two arguments required"));
        check("a", Err("at least two arguments required"));
        check("a b c", Err("must begin with '[' but found 'c'"));
        check("a b [R, L]", Err("must end with ']' but found ','"));
    }

    #[test]
    fn flags_have_names_and_values() {
        let found: Vec<_> = flags(" R=301 ,L,,E=a:b=c").collect();
        assert_eq!(found, [("R", "301"), ("L", ""), ("E", "a:b=c")]);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in r#"[a-c \t"'\\\[\],é]{0,30}"#) {
            if let Ok(words) = words(&line) {
                flags(words.flags.unwrap_or_default()).for_each(drop);
            }
        }
    }
}
