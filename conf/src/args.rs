//! # Args: a cursor over the words of one line
//!
//! ```text
//! KeepAliveTimeout 500ms            args.duration(TimeUnit::Seconds)? == 500 ms
//!                  ^ cursor         what is wrong is a Problem at that word
//! ```
//!
//! - Every method that takes a word moves on by one word, whether or not it liked it.
//! - Words left behind are an error, found by whoever called the row.
//! - Messages follow Apache's where tools may match on them: `X takes one argument`, `X must be On or Off`.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::diagnostic::Problem;
use crate::directive::{Context, Description, Place};
use crate::sources::Span;
use crate::spelling;
use crate::tree::{Line, Word};

/// The words of one line, for the row that obeys it. Iterating gives the words that are left.
#[derive(Debug)]
pub struct Args<'a> {
    row: &'a Description,
    line: &'a Line,
    place: &'a Place<'a>,
    /// The index of the word to come.
    next: usize,
    warnings: Vec<Problem>,
}

/// The unit of a duration that is written without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// `ms`
    Milliseconds,
    /// `s`
    Seconds,
    /// `mi`, since `m` alone could be either.
    Minutes,
    /// `h`
    Hours,
}

impl<'a> Args<'a> {
    /// A cursor before the first word of `line`, which `row` is about to obey.
    pub fn new(row: &'a Description, line: &'a Line, place: &'a Place<'a>) -> Self {
        Args { row, line, place, next: 0, warnings: Vec::new() }
    }

    /// The next word, which must be there.
    ///
    /// # Errors
    /// `X takes one argument`, or as many as the row's syntax says.
    pub fn word(&mut self) -> Result<&'a str, Problem> {
        self.required().map(|word| word.text.as_str())
    }

    /// The next word with its place, which must be there.
    ///
    /// # Errors
    /// As [`Args::word`].
    pub fn required(&mut self) -> Result<&'a Word, Problem> {
        self.next().ok_or_else(|| self.wrong_count())
    }

    /// The next word without moving on.
    pub fn peek(&self) -> Option<&'a Word> {
        self.line.words.get(self.next)
    }

    /// A whole number within `range`.
    ///
    /// # Errors
    /// Missing, not a number, or out of range.
    pub fn number(&mut self, range: impl RangeBounds<i64>) -> Result<i64, Problem> {
        let word = self.required()?;
        let number = parse_number(word)?;
        if range.contains(&number) {
            return Ok(number);
        }
        let message = format!("{} is out of range, it must be {}", word.text, Bounds(&range));
        Err(Problem::at(word, message))
    }

    /// Anything that parses from a word; `what` completes the sentence `"x" is not …`: `a number`.
    ///
    /// # Errors
    /// Missing, or it does not parse.
    pub fn parse<V: FromStr>(&mut self, what: &str) -> Result<V, Problem> {
        let word = self.required()?;
        word.text.parse().map_err(|_| Problem::at(word, format!("{:?} is not {what}", word.text)))
    }

    /// `On` or `Off`.
    ///
    /// # Errors
    /// Anything else.
    pub fn flag(&mut self) -> Result<bool, Problem> {
        match self.next() {
            Some(word) if word.text.eq_ignore_ascii_case("on") => Ok(true),
            Some(word) if word.text.eq_ignore_ascii_case("off") => Ok(false),
            Some(word) => Err(Problem::at(word, format!("{} must be On or Off", self.row.name))),
            None => Err(Problem::new(format!("{} must be On or Off", self.row.name))),
        }
    }

    /// One of a few names, in any case.
    ///
    /// # Errors
    /// Missing, or none of them: `X must be A, B or C`.
    pub fn choice<V: Clone>(&mut self, choices: &[(&str, V)]) -> Result<V, Problem> {
        let word = self.required()?;
        if let Some((_, value)) =
            choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(&word.text))
        {
            return Ok(value.clone());
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let problem =
            Problem::at(word, format!("{} must be {}", self.row.name, alternatives(&names)));
        Err(match spelling::nearest(&word.text, names) {
            Some(name) => problem.help(format!("did you mean {name}?")),
            None => problem,
        })
    }

    /// `n[ms|s|mi|h]`; without a unit, in `default_unit`.
    ///
    /// # Errors
    /// Missing, negative, no number, or another unit.
    pub fn duration(&mut self, default_unit: TimeUnit) -> Result<Duration, Problem> {
        let word = self.required()?;
        parse_duration(&word.text, default_unit).ok_or_else(|| {
            Problem::at(word, format!("{:?} is not a time", word.text))
                .help("a number with ms, s, mi or h")
        })
    }

    /// A number of bytes, with `K`, `M` or `G` for powers of 1024.
    ///
    /// # Errors
    /// Missing, negative, no number, or another suffix.
    pub fn size(&mut self) -> Result<u64, Problem> {
        let word = self.required()?;
        parse_size(&word.text).ok_or_else(|| {
            Problem::at(word, format!("{:?} is not a size", word.text))
                .help("a number of bytes, or with K, M or G")
        })
    }

    /// A path, resolved against ServerRoot. Whether it exists is the caller's question.
    ///
    /// # Errors
    /// Missing or empty.
    pub fn path(&mut self) -> Result<PathBuf, Problem> {
        let word = self.required()?;
        if word.text.is_empty() {
            return Err(Problem::at(word, "an empty path"));
        }
        Ok(self.place.base.join(&word.text))
    }

    /// What is left of the line, untouched; may be empty. Takes all words.
    pub fn rest(&mut self) -> &'a str {
        let start = self.peek().map_or(self.line.raw.len(), |word| word.raw_start);
        self.next = self.line.words.len();
        &self.line.raw[start..]
    }

    /// How many words are left.
    pub fn remaining(&self) -> usize {
        self.line.words.len() - self.next
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// `X takes one argument` at the first word that is left; and where that begins with `#`, that a
    /// comment needs a line of its own.
    pub fn finish(&self) -> Result<(), Problem> {
        let Some(extra) = self.peek() else { return Ok(()) };
        let problem = Problem { span: Some(extra.span), ..self.wrong_count() };
        Err(if extra.text.starts_with('#') && !extra.quoted {
            problem.help("a comment must stand on a line of its own")
        } else {
            problem
        })
    }

    /// The word that was taken last; before the first, the directive's name.
    pub fn at(&self) -> Span {
        self.next.checked_sub(1).map_or(self.line.name.span, |taken| self.line.words[taken].span)
    }

    /// `FILE:LINE` of the directive, for messages that come up later, when it is put into effect.
    pub fn source(&self) -> String {
        let location = self.place.sources.locate(self.line.name.span);
        format!("{}:{}", location.file, location.line)
    }

    /// What relative paths are relative to: ServerRoot.
    pub fn base(&self) -> &'a Path {
        self.place.base
    }

    /// The kind of section, or file, that the line stands in.
    pub fn context(&self) -> Context {
        self.place.context
    }

    /// The folder that the line's section, or `.htaccess` file, is for.
    pub fn folder(&self) -> Option<&'a Path> {
        self.place.folder
    }

    /// The line that opens the section, if the directive stands in one.
    pub fn section(&self) -> Option<&'a Line> {
        self.place.section
    }

    /// The line itself.
    pub fn line(&self) -> &'a Line {
        self.line
    }

    /// Tells something that does not stop the configuration from being used.
    pub fn warn(&mut self, problem: Problem) {
        self.warnings.push(problem);
    }

    pub(crate) fn into_warnings(self) -> Vec<Problem> {
        self.warnings
    }

    fn wrong_count(&self) -> Problem {
        Problem::new(format!("{} {}", self.row.name, Arity::of(self.row.syntax)))
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a Word;

    fn next(&mut self) -> Option<&'a Word> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining(), Some(self.remaining()))
    }
}

impl ExactSizeIterator for Args<'_> {}
impl FusedIterator for Args<'_> {}

fn parse_number(word: &Word) -> Result<i64, Problem> {
    word.text.parse().map_err(|_| {
        let digits = word.text.trim_start_matches(['+', '-']);
        let huge = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let why = if huge { "is too large a number" } else { "is not a number" };
        Problem::at(word, format!("{:?} {why}", word.text))
    })
}

/// Apache's `ap_timeout_parameter_parse` looks at the first letters of the unit only, and so do we:
/// `sec`, `min` and `hours` pass.
fn parse_duration(text: &str, default_unit: TimeUnit) -> Option<Duration> {
    let (number, unit) = split_number(text)?;
    let unit = unit.to_ascii_lowercase();
    let unit = match unit.as_bytes() {
        [] => default_unit,
        [b'm', b's', ..] => TimeUnit::Milliseconds,
        [b's', ..] => TimeUnit::Seconds,
        [b'm', b'i', ..] => TimeUnit::Minutes,
        [b'h', ..] => TimeUnit::Hours,
        _ => return None,
    };
    match unit {
        TimeUnit::Milliseconds => Some(Duration::from_millis(number)),
        TimeUnit::Seconds => Some(Duration::from_secs(number)),
        TimeUnit::Minutes => number.checked_mul(60).map(Duration::from_secs),
        TimeUnit::Hours => number.checked_mul(60 * 60).map(Duration::from_secs),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, suffix) = split_number(text)?;
    let unit = match suffix.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// The digits in front, and what follows them.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok()?;
    Some((number, &text[digits..]))
}

/// `A`, `A or B`, `A, B or C`.
fn alternatives(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_string(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// How many arguments a syntax line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Arity {
    min: usize,
    /// `None`: no limit.
    max: Option<usize>,
}

impl Arity {
    /// Counts in the manual's notation: `[x]` is optional, `[x:]y` is not, `…` repeats what stands before.
    fn of(syntax: &str) -> Arity {
        let mut arity = Arity { min: 0, max: Some(0) };
        for word in top_level_words(syntax.trim_end_matches('>')).skip(1) {
            let once = word.trim_end_matches("...").trim_end_matches('…');
            let optional = once.starts_with('[') && once.ends_with(']');
            if word.contains("...") || word.contains('…') {
                arity.max = None;
            }
            if !once.is_empty() {
                arity.min += usize::from(!optional);
                arity.max = arity.max.map(|max| max + 1);
            }
        }
        arity
    }
}

/// Words separated by white space outside of brackets.
fn top_level_words(syntax: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    syntax
        .split(move |c: char| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c.is_whitespace() && depth == 0
        })
        .filter(|word| !word.is_empty())
}

impl fmt::Display for Arity {
    /// Apache's own words (httpd `server/config.c`, `invoke_cmd`).
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (_, Some(0)) => out.write_str("takes no arguments"),
            (0, Some(1)) => out.write_str("takes at most one argument"),
            (0, Some(max)) => write!(out, "takes at most {max} arguments"),
            (1, Some(1)) => out.write_str("takes one argument"),
            (2, Some(2)) => out.write_str("takes two arguments"),
            (3, Some(3)) => out.write_str("takes three arguments"),
            (1, Some(2)) => out.write_str("takes 1-2 arguments"),
            (2, Some(3)) => out.write_str("takes two or three arguments"),
            (1, Some(3)) => out.write_str("takes one, two or three arguments"),
            (min, Some(max)) if min == max => write!(out, "takes {max} arguments"),
            (min, Some(max)) => write!(out, "takes {min} to {max} arguments"),
            (0 | 1, None) => out.write_str("requires at least one argument"),
            (2, None) => out.write_str("requires at least two arguments"),
            (min, None) => write!(out, "requires at least {min} arguments"),
        }
    }
}

/// A range in words.
struct Bounds<'a, R>(&'a R);

impl<R: RangeBounds<i64>> fmt::Display for Bounds<'_, R> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let low = match self.0.start_bound() {
            Bound::Included(low) => Some(*low),
            Bound::Excluded(low) => Some(low.saturating_add(1)),
            Bound::Unbounded => None,
        };
        let high = match self.0.end_bound() {
            Bound::Included(high) => Some(*high),
            Bound::Excluded(high) => Some(high.saturating_sub(1)),
            Bound::Unbounded => None,
        };
        match (low, high) {
            (Some(low), Some(high)) => write!(out, "from {low} to {high}"),
            (Some(low), None) => write!(out, "{low} or more"),
            (None, Some(high)) => write!(out, "{high} or less"),
            (None, None) => out.write_str("a number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::{Directive, Overrides};
    use crate::sources::Sources;

    /// What a row that uses one method of `Args` says: the value it read, or its rendered diagnostics.
    fn obey<V: Default + fmt::Debug + 'static>(
        syntax: &'static str,
        arguments: &str,
        apply: fn(&mut V, &mut Args<'_>) -> Result<(), Problem>,
    ) -> String {
        let name = syntax.split(' ').next().unwrap_or(syntax);
        let contexts = &[Context::Server];
        let row = Directive {
            name,
            syntax,
            default: None,
            contexts,
            overrides: Overrides::NONE,
            docs: "",
            apply,
        };
        let mut sources = Sources::default();
        let line = Line::of_default(name, arguments, &mut sources);
        let base = Path::new("/srv");
        let context = Context::Server;
        let place = Place { sources: &sources, base, context, folder: None, section: None };
        let mut value = V::default();
        match row.obey(&mut value, &line, &place).as_slice() {
            [] => format!("{value:?}"),
            [first, ..] => {
                let span = first.span.expect("every problem of a line has a place");
                format!("{} @{}", first.message, sources.excerpt(span))
            }
        }
    }

    #[test]
    fn numbers_keep_their_range() {
        let check = |arguments, expected: &str| {
            let said = obey("Limit number", arguments, |value: &mut i64, args| {
                *value = args.number(1..=10)?;
                Ok(())
            });
            assert_eq!(said, expected);
        };
        check("7", "7");
        check("many", r#"Limit: "many" is not a number @many"#);
        check("11", "Limit: 11 is out of range, it must be from 1 to 10 @11");
        check(
            "99999999999999999999",
            r#"Limit: "99999999999999999999" is too large a number @99999999999999999999"#,
        );
        check("", "Limit takes one argument @Limit");
        check("1 2", "Limit takes one argument @2");
    }

    #[test]
    fn flags_are_on_or_off() {
        let check = |arguments, expected: &str| {
            let said = obey("KeepAlive On|Off", arguments, |value: &mut bool, args| {
                *value = args.flag()?;
                Ok(())
            });
            assert_eq!(said, expected);
        };
        check("on", "true");
        check("OFF", "false");
        check("yes", "KeepAlive must be On or Off @yes");
        check("", "KeepAlive must be On or Off @KeepAlive");
    }

    #[test]
    fn choices_are_listed_when_none_fits() {
        let check = |arguments, expected: &str| {
            let said = obey("Names On|Off|DNS", arguments, |value: &mut u8, args| {
                *value = args.choice(&[("On", 1), ("Off", 0), ("DNS", 2)])?;
                Ok(())
            });
            assert_eq!(said, expected);
        };
        check("dns", "2");
        check("maybe", "Names must be On, Off or DNS @maybe");
    }

    #[test]
    fn durations_have_units() {
        let check = |arguments, expected: &str| {
            let said = obey("KeepAliveTimeout time", arguments, |value: &mut Duration, args| {
                *value = args.duration(TimeUnit::Seconds)?;
                Ok(())
            });
            assert_eq!(said, expected);
        };
        check("5", "5s");
        check("250ms", "250ms");
        check("2mi", "120s");
        check("1h", "3600s");
        check("3sec", "3s");
        check("3m", r#"KeepAliveTimeout: "3m" is not a time @3m"#);
        check("-1", r#"KeepAliveTimeout: "-1" is not a time @-1"#);
        check(
            "99999999999999999h",
            r#"KeepAliveTimeout: "99999999999999999h" is not a time @99999999999999999h"#,
        );
    }

    #[test]
    fn sizes_have_suffixes() {
        let check = |arguments, expected: &str| {
            let said = obey("Size bytes", arguments, |value: &mut u64, args| {
                *value = args.size()?;
                Ok(())
            });
            assert_eq!(said, expected);
        };
        check("512", "512");
        check("4k", "4096");
        check("2M", "2097152");
        check("1G", "1073741824");
        check("1T", r#"Size: "1T" is not a size @1T"#);
        check("99999999999G", r#"Size: "99999999999G" is not a size @99999999999G"#);
    }

    #[test]
    fn paths_are_relative_to_server_root() {
        let check = |arguments, expected: &str| {
            let said = obey("File path", arguments, |value: &mut PathBuf, args| {
                *value = args.path()?;
                Ok(())
            });
            assert_eq!(said, expected);
        };
        check("logs/x", r#""/srv/logs/x""#);
        check("/logs/x", r#""/logs/x""#);
        check(r#""""#, r#"File: an empty path @"""#);
    }

    #[test]
    fn rest_is_untouched() {
        let check = |arguments, expected: &str| {
            let said = obey("Format text name", arguments, |value: &mut (String, String), args| {
                *value = (args.word()?.into(), args.rest().into());
                Ok(())
            });
            assert_eq!(said, expected);
        };
        check(r#"a  "b  c" \\"#, r#"("a", "\"b  c\" \\\\")"#);
        check("a", r#"("a", "")"#);
    }

    #[test]
    fn argument_counts_come_from_the_syntax() {
        let check = |syntax, expected: &str| assert_eq!(Arity::of(syntax).to_string(), expected);
        check("X", "takes no arguments");
        check("X n", "takes one argument");
        check("X On|Off|DNS", "takes one argument");
        check("X a b", "takes two arguments");
        check("Listen [address:]port [protocol]", "takes 1-2 arguments");
        check("Define name [value]", "takes 1-2 arguments");
        check("AddType type extension [extension] ...", "requires at least two arguments");
        check(
            "Mutex mechanism[:path] [default|type]... [OmitPID]",
            "requires at least one argument",
        );
        check("LogLevel [module:]level...", "requires at least one argument");
        check("AddType type extension...", "requires at least two arguments");
        check("Options [+|-]option [[+|-]option] …", "requires at least one argument");
        check("DirectoryIndex [name …]", "requires at least one argument");
        check("<VirtualHost addr[:port] [addr[:port]] ...>", "requires at least one argument");
        check("<Directory path>", "takes one argument");
    }

    #[test]
    fn wrong_place_is_an_error_and_the_default_is_applied() {
        let row: Directive<i64> = Directive {
            name: "Limit",
            syntax: "Limit number",
            default: Some("3"),
            contexts: &[Context::Server],
            overrides: Overrides::NONE,
            docs: "",
            apply: |value, args| {
                *value = args.number(..)?;
                args.warn(Problem::at(args.at(), "deprecated"));
                Ok(())
            },
        };
        let mut value = 0;
        row.apply_default(&mut value, Path::new("/")).expect("the default is legal");
        assert_eq!(value, 3);

        let mut sources = Sources::default();
        let line = Line::of_default("limit", "4", &mut sources);
        let base = Path::new("/");
        let context = Context::Server;
        let mut place = Place { sources: &sources, base, context, folder: None, section: None };
        let warnings = row.obey(&mut value, &line, &place);
        assert_eq!(warnings.len(), 1);
        assert!(!warnings[0].is_error());
        assert_eq!(value, 4);

        place.context = Context::Htaccess;
        let errors = row.obey(&mut value, &line, &place);
        assert_eq!(errors[0].message, "Limit cannot occur within htaccess files");
        assert!(errors[0].is_error());
    }
}
