//! # Regular expressions as Apache's configurations write them
//!
//! ```text
//! ^/docs/(\d+)        no look-around, no back-reference: linear in time, whatever a client sends
//! ^(?!/api/)(.*)$     the rest of PCRE's ways: by backtracking, with a limit on its steps
//! ```
//!
//! - Matching is on bytes: file names and decoded URLs need not be UTF-8.
//! - A dot matches everything, and `$` only the very end, unless `RegexDefaultOptions` says otherwise.
//! - A search that meets its limit has found nothing.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use herdgate_conf::{Problem, Word};
use smallvec::SmallVec;

/// How large a compiled expression may become.
const COMPILED_BYTES_MAX: usize = 8 << 20;
/// Steps of a search that backtracks.
const STEPS_MAX: usize = 200_000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Regex {
    engine: Engine,
    /// The numbers and names of groups that have one: `(?<name>…)`.
    names: Arc<[(usize, Box<str>)]>,
}

#[derive(Clone, Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    /// It knows text only, so bytes become the first 256 characters of Unicode.
    Backtracking(Box<fancy_regex::Regex>),
}

/// Whether `A` is `a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// It is not.
    Counts,
    /// It is: `SetEnvIfNoCase`, `[NC]`.
    Ignored,
}

/// `RegexDefaultOptions`: what expressions mean that do not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A dot is any character, a line break too.
    pub dot_all: bool,
    /// `$` is the very end, not also the place before a line break there.
    pub dollar_end_only: bool,
    /// `A` is `a`.
    pub ignore_case: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { dot_all: true, dollar_end_only: true, ignore_case: false }
    }
}

thread_local! {
    /// Those of the configuration that this thread is reading.
    static OPTIONS: Cell<Options> = Cell::default();
}

/// Runs `read`, which compiles expressions of a configuration that says these options.
pub(crate) fn with_options<T>(options: Options, read: impl FnOnce() -> T) -> T {
    let before = OPTIONS.replace(options);
    let outcome = read();
    OPTIONS.set(before);
    outcome
}

/// The same expression with a `$` that also matches before a line break at the very end.
fn with_lenient_end(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_in_class = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '$' if !is_in_class => out.push_str(r"(?=\n?\z)"),
            '\\' => {
                out.push(character);
                out.extend(characters.next());
            }
            _ => {
                is_in_class = character == '[' || is_in_class && character != ']';
                out.push(character);
            }
        }
    }
    out
}

/// What an expression and its groups have matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures<'t> {
    text: &'t [u8],
    groups: SmallVec<[Option<Range<usize>>; 10]>,
}

impl Regex {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str, case: Case) -> Result<Self, String> {
        let Options { dot_all, dollar_end_only, ignore_case } = OPTIONS.get();
        let ignore_case = ignore_case || case == Case::Ignored;
        let lenient = (!dollar_end_only && text.contains('$')).then(|| with_lenient_end(text));
        let text = lenient.as_deref().unwrap_or(text);
        let linear = regex::bytes::RegexBuilder::new(text)
            .unicode(false)
            .dot_matches_new_line(dot_all)
            .case_insensitive(ignore_case)
            .size_limit(COMPILED_BYTES_MAX)
            .build();
        let error = match linear {
            Ok(regex) => {
                let names = named(regex.capture_names());
                return Ok(Self { engine: Engine::Linear(regex), names });
            }
            Err(error) => error,
        };
        fancy_regex::RegexBuilder::new(&as_characters(text.as_bytes()))
            .dot_matches_new_line(dot_all)
            .case_insensitive(ignore_case)
            .backtrack_limit(STEPS_MAX)
            .delegate_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map(|regex| {
                let names = named(regex.capture_names());
                Self { engine: Engine::Backtracking(Box::new(regex)), names }
            })
            .map_err(|_| {
                let error = error.to_string();
                error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string()
            })
    }

    /// Compiles a word of a directive.
    ///
    /// # Errors
    /// At the word, with the reason.
    pub fn of_word(word: &Word, case: Case) -> Result<Self, Problem> {
        Self::new(&word.text, case)
            .map_err(|reason| Problem::at(word, "Regex could not be compiled").help(reason))
    }

    /// Whether it matches anywhere in the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        match &self.engine {
            Engine::Linear(regex) => regex.is_match(text),
            Engine::Backtracking(regex) => regex.is_match(&as_characters(text)).unwrap_or(false),
        }
    }

    /// The groups that have a name, by number.
    pub fn names(&self) -> &[(usize, Box<str>)] {
        &self.names
    }

    /// The first match in the text, with its groups.
    pub fn captures<'t>(&self, text: &'t [u8]) -> Option<Captures<'t>> {
        self.captures_from(text, 0)
    }

    /// As [`captures`](Self::captures), the match beginning at byte `start` at the earliest.
    pub fn captures_from<'t>(&self, text: &'t [u8], start: usize) -> Option<Captures<'t>> {
        let groups = match &self.engine {
            Engine::Linear(regex) => {
                let found = regex.captures_at(text, start)?;
                found.iter().map(|group| group.map(|group| group.range())).collect()
            }
            Engine::Backtracking(regex) => {
                let characters = as_characters(text);
                let from = characters.char_indices().nth(start).map_or(characters.len(), |it| it.0);
                let found = regex.captures_from_pos(&characters, from).ok()??;
                let bytes = |at: usize| characters[..at].chars().count();
                let range = |at: Range<usize>| bytes(at.start)..bytes(at.end);
                found.iter().map(|group| group.map(|group| range(group.range()))).collect()
            }
        };
        Some(Captures { text, groups })
    }
}

impl<'t> Captures<'t> {
    /// What group `number` matched; 0 is the whole match. `None`: there is no such group, or it took no part.
    pub fn get(&self, number: usize) -> Option<&'t [u8]> {
        let range = self.groups.get(number)?.clone()?;
        self.text.get(range)
    }

    /// Where the match is in the text.
    pub fn range(&self) -> Range<usize> {
        self.groups.first().cloned().flatten().unwrap_or(0..0)
    }

    /// `template` with `$0` to `$9` replaced by what the groups matched; a backslash before a character makes it
    /// ordinary (Apache's `ap_pregsub`).
    pub fn substitute(&self, template: &[u8]) -> Vec<u8> {
        substitute(template, |number| self.get(number))
    }
}

/// [`Captures::substitute`] by groups that somebody has kept.
pub fn substitute<'g>(template: &[u8], group: impl Fn(usize) -> Option<&'g [u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(template.len() * 2);
    let mut rest = template;
    loop {
        rest = match *rest {
            [b'$', digit @ b'0'..=b'9', ref tail @ ..] => {
                out.extend_from_slice(group(usize::from(digit - b'0')).unwrap_or_default());
                tail
            }
            [b'\\', escaped, ref tail @ ..] => {
                out.push(escaped);
                tail
            }
            [byte, ref tail @ ..] => {
                out.push(byte);
                tail
            }
            [] => return out,
        };
    }
}

/// Of the names of all groups those that are there.
fn named<'n>(names: impl Iterator<Item = Option<&'n str>>) -> Arc<[(usize, Box<str>)]> {
    names.enumerate().filter_map(|(number, name)| Some((number, name?.into()))).collect()
}

/// Each byte as the character of the same number.
fn as_characters(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn regex(text: &str) -> Regex {
        Regex::new(text, Case::Counts).unwrap()
    }

    #[track_caller]
    fn check(expression: &str, text: &[u8], template: &str, expected: Option<&str>) {
        let found = regex(expression).captures(text);
        let found = found.map(|groups| groups.substitute(template.as_bytes()));
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{expression}");
    }

    #[test]
    fn groups_are_put_in_their_places() {
        check(r"^/~([a-z]+)(/.*)?$", b"/~anna/x", "/home/$1/www$2", Some("/home/anna/www/x"));
        check(r"^/~([a-z]+)(/.*)?$", b"/~anna", "$1:$2:$7", Some("anna::"));
        check("b", b"abc", r"\$0=$0 $a $", Some("$0=b $a $"));
        check("b", b"xyz", "$0", None);
    }

    #[test]
    fn look_around_and_back_references_work() {
        check(r"^(?!/api/)(.*)$", b"/page", "$1", Some("/page"));
        check(r"^(?!/api/)(.*)$", b"/api/x", "$1", None);
        check(r"(\w)\1", b"xaab", "<$0>", Some("<aa>"));
        assert!(Regex::new("(?<=a)B", Case::Ignored).unwrap().is_match(b"xAb"));
    }

    #[test]
    fn bytes_that_are_no_text_are_matched_by_both_engines() {
        for expression in ["a(.)b", r"(?=a)a(.)b"] {
            let found = regex(expression).captures(b"\xffa\xfeb").unwrap();
            assert_eq!((found.get(1), found.range()), (Some(&b"\xfe"[..]), 1..4), "{expression}");
        }
    }

    #[test]
    fn a_line_break_is_a_character_like_any_other() {
        assert!(regex("^a.b$").is_match(b"a\nb"));
        assert!(!regex("^a$").is_match(b"a\n"));
    }

    #[test]
    fn options_change_what_expressions_mean() {
        let check = |options: Options, expression: &str, text: &[u8], expected: bool| {
            let regex = with_options(options, || regex(expression));
            assert_eq!(regex.is_match(text), expected, "{expression} {options:?}");
        };
        let usual = Options::default();
        check(Options { ignore_case: true, ..usual }, "^A$", b"a", true);
        check(usual, "^A$", b"a", false);
        check(Options { dot_all: false, ..usual }, "^a.b$", b"a\nb", false);
        let lenient = Options { dollar_end_only: false, ..usual };
        check(lenient, r"^a[$]\$$", b"a$$\n", true);
        check(lenient, r"^a[$]\$$", b"a$$\n\n", false);
        check(lenient, r"^a[$]\$$", b"a$$", true);
    }

    #[test]
    fn what_cannot_be_compiled_says_why() {
        assert!(Regex::new("a(b", Case::Counts).unwrap_err().contains("unclosed group"));
    }

    #[test]
    fn a_search_that_would_never_end_finds_nothing() {
        assert!(!regex(r"(?=a)(a*)*\1c$").is_match(&[b'a'; 200]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn both_engines_agree(text in prop::collection::vec(any::<u8>(), 0..12)) {
            let groups = |expression: &str| regex(expression).captures(&text).map(|it| (it.range(), it.get(1).map(<[u8]>::to_vec)));
            prop_assert_eq!(groups(r"([a-z\x80-\xff]+)"), groups(r"(?=.)([a-z\x80-\xff]+)"));
        }
    }
}
