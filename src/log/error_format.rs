//! # ErrorLogFormat: the error log's line, as somebody wants it
//!
//! ```text
//! [%{u}t] [%-m:%l] [pid %P:tid %T] %E: [client\ %a] %M% ,\ referer\ %{Referer}i
//! └─field─┘└─field──┘               └─ without a reason, the whole field is left out
//! ```
//!
//! - Lines of a kind of their own may tell about a request once, before the first line that concerns it.
//! - A blank ends a field. A field in which an item has nothing to say is left out, with all that is written in it.
//! - `\ ` is a blank within a field, and `% ` ends a field without showing.
//! - Mistakes are found when the configuration is read, never while serving.

use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Zoned;

use super::clock::Moment;
use super::error::Quoted;
use crate::modules::core::Level;
use crate::modules::unique_id;

/// `ErrorLogFormat` of a host.
#[derive(Clone, Debug, Default)]
pub struct ErrorFormats {
    /// Of each line; `None` is Apache's usual one.
    pub line: Option<Arc<ErrorFormat>>,
    /// Of the lines that come once, before the first one that concerns a request.
    pub request: Vec<ErrorFormat>,
}

impl ErrorFormats {
    /// What `inner` makes of `self`.
    #[must_use]
    pub fn merge(&self, inner: &Self) -> Self {
        let request = if inner.request.is_empty() { &self.request } else { &inner.request };
        let line = inner.line.as_ref().or(self.line.as_ref());
        Self { line: line.cloned(), request: request.clone() }
    }

    /// Nobody has written any.
    pub fn is_empty(&self) -> bool {
        self.line.is_none() && self.request.is_empty()
    }
}

/// The request that a line is about, for items that ask it.
pub(crate) trait AboutRequest {
    /// `%{NAME}i`
    fn field(&self, name: &str) -> Option<&[u8]>;
    /// `%{NAME}e`
    fn variable(&self, name: &str) -> Option<&[u8]>;
    /// `%{NAME}n`
    fn note(&self, name: &str) -> Option<&[u8]>;
    /// `%A`
    fn local(&self) -> Option<SocketAddr>;
}

impl fmt::Debug for dyn AboutRequest + '_ {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a request")
    }
}

/// The line of an error log, ready to use.
#[derive(Clone, Debug)]
pub struct ErrorFormat {
    items: Vec<Item>,
}

/// What there is to say; `None` where nothing is known.
pub(super) struct Facts<'f> {
    pub(super) time: Zoned,
    pub(super) now: Moment,
    pub(super) level: Level,
    pub(super) module: &'f str,
    pub(super) cause: Option<String>,
    pub(super) client: Option<String>,
    pub(super) referer: Option<String>,
    pub(super) server_name: &'f str,
    pub(super) about: Option<&'f dyn AboutRequest>,
    pub(super) message: String,
}

#[derive(Clone, Debug)]
struct Item {
    what: What,
    /// `-`: a dash where there is nothing to say.
    dash: bool,
    /// `+`: no line where there is nothing to say.
    required: bool,
    /// A number: only in messages of this level and finer, as a number from 0, which is emerg.
    from: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Literal(String),
    /// The end of a field.
    Separator(&'static str),
    Client,
    Cause,
    /// A field of the request.
    Field(String),
    Level,
    /// Our end's address.
    Local,
    Message,
    Module,
    Note(String),
    /// What nobody here records: source files, identifiers of connections and how many requests they have had.
    Nothing,
    Pid,
    Referer,
    ServerName,
    Tid,
    Time(Time),
    Variable(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Time {
    /// `Sat Nov 21 09:24:08 2026`
    Plain,
    /// The same with microseconds.
    Micros,
    /// `2026-11-21 09:24:08`, with or without microseconds.
    Compact {
        micros: bool,
    },
    Strftime(String),
}

impl ErrorFormat {
    /// Compiles the text of an ErrorLogFormat.
    ///
    /// # Errors
    /// The first item that nobody knows, in a sentence.
    pub fn compile(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (item, after) = match first {
                '%' => compile_item(&rest[1..])?,
                ' ' => (Item::of(What::Separator(" ")), rest.trim_start_matches(' ')),
                _ => compile_literal(rest),
            };
            items.push(item);
            rest = after;
        }
        Ok(Self { items })
    }

    /// Writes a line; `false`: there shall be none.
    pub(super) fn write(
        &self,
        out: &mut impl Write,
        facts: &Facts<'_>,
    ) -> Result<bool, fmt::Error> {
        let mut line = String::new();
        let mut field_start = 0;
        let mut skipping = false;
        for item in &self.items {
            if let What::Separator(text) = item.what {
                // Behind a field that was left out stands the separator before it.
                if !std::mem::take(&mut skipping) {
                    line.push_str(text);
                }
                field_start = line.len();
                continue;
            }
            if skipping {
                continue;
            }
            match item.text(facts) {
                Some(text) => line.push_str(&text),
                None if item.required => return Ok(false),
                None if item.dash => line.push('-'),
                None => {
                    line.truncate(field_start);
                    skipping = true;
                }
            }
        }
        out.write_str(&line)?;
        Ok(true)
    }
}

impl Item {
    fn of(what: What) -> Self {
        Self { what, dash: false, required: false, from: 0 }
    }

    fn text(&self, facts: &Facts<'_>) -> Option<String> {
        if rank(facts.level) < self.from {
            return None;
        }
        let asked = |ask: &dyn Fn(&'_ dyn AboutRequest) -> Option<String>| ask(facts.about?);
        let quoted = |value: &[u8]| Quoted(value).to_string();
        match &self.what {
            What::Field(name) => asked(&|about| about.field(name).map(quoted)),
            What::Variable(name) => asked(&|about| about.variable(name).map(quoted)),
            What::Note(name) => asked(&|about| about.note(name).map(quoted)),
            What::Local => asked(&|about| about.local().map(|local| local.to_string())),
            What::Literal(text) => Some(text.clone()),
            What::Separator(_) | What::Nothing => None,
            What::Client => facts.client.clone(),
            What::Cause => facts.cause.clone(),
            What::Level => Some(facts.level.name().to_string()),
            What::Message => Some(facts.message.clone()),
            What::Module => Some(facts.module.to_string()),
            What::Pid => Some(std::process::id().to_string()),
            What::Referer => facts.referer.clone(),
            What::ServerName => Some(facts.server_name.to_string()),
            What::Tid => Some(nix::unistd::gettid().to_string()),
            What::Time(time) => Some(time.text(facts)),
        }
    }
}

impl Time {
    fn text(&self, Facts { time, now, .. }: &Facts<'_>) -> String {
        match self {
            Time::Plain => time.strftime("%a %b %d %H:%M:%S %Y").to_string(),
            Time::Micros => {
                let (before, year) = (time.strftime("%a %b %d %H:%M:%S"), time.strftime("%Y"));
                format!("{before}.{:06} {year}", now.micros())
            }
            Time::Compact { micros: false } => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            Time::Compact { micros: true } => {
                format!("{}.{:06}", time.strftime("%Y-%m-%d %H:%M:%S"), now.micros())
            }
            Time::Strftime(pattern) => time.strftime(pattern).to_string(),
        }
    }
}

/// emerg is 0, debug 7, trace8 15.
fn rank(level: Level) -> u8 {
    match level {
        Level::Emerg => 0,
        Level::Alert => 1,
        Level::Crit => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Notice => 5,
        Level::Info => 6,
        Level::Debug => 7,
        Level::Trace(depth) => 7 + depth,
    }
}

/// Text up to the next blank or `%`; `\ ` is a blank in it.
fn compile_literal(text: &str) -> (Item, &str) {
    let mut literal = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next().filter(|first| !matches!(first, ' ' | '%')) {
        let (character, length) = match rest.strip_prefix('\\').and_then(|it| it.chars().next()) {
            Some(escaped @ (' ' | '\\' | '%')) => (escaped, 2),
            _ => (first, first.len_utf8()),
        };
        literal.push(character);
        rest = &rest[length..];
    }
    (Item::of(What::Literal(literal)), rest)
}

/// One item, after its `%`.
fn compile_item(text: &str) -> Result<(Item, &str), String> {
    const RAN_OFF: &str = "Ran off end of ErrorLogFormat parsing args to some directive";
    let mut item = Item::of(What::Nothing);
    let mut argument = "";
    let mut rest = text;
    loop {
        let letter = rest.chars().next().ok_or(RAN_OFF)?;
        let after = &rest[letter.len_utf8()..];
        match letter {
            '-' => item.dash = true,
            '+' => item.required = true,
            '0'..='9' => {
                let digits =
                    rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                item.from = rest[..digits]
                    .parse()
                    .map_err(|_| format!("{} is no level", &rest[..digits]))?;
                rest = &rest[digits..];
                continue;
            }
            '{' => {
                let (inside, behind) = after.split_once('}').ok_or(RAN_OFF)?;
                (argument, rest) = (inside, behind);
                continue;
            }
            _ => {
                item.what = what(letter, argument)?;
                return Ok((item, after));
            }
        }
        rest = after;
    }
}

fn what(letter: char, argument: &str) -> Result<What, String> {
    Ok(match letter {
        '%' => What::Literal("%".to_string()),
        ' ' => What::Separator(""),
        'a' => What::Client,
        'E' => What::Cause,
        'i' if argument.eq_ignore_ascii_case("Referer") => What::Referer,
        'i' => What::Field(argument.to_string()),
        'e' => What::Variable(argument.to_string()),
        'n' => What::Note(argument.to_string()),
        'A' => What::Local,
        'L' if argument.is_empty() => What::Variable(unique_id::VARIABLE.to_string()),
        'F' | 'k' | 'L' => What::Nothing,
        'l' => What::Level,
        'm' => What::Module,
        'M' => What::Message,
        'P' => What::Pid,
        't' => What::Time(time(argument)?),
        'T' => What::Tid,
        'v' | 'V' => What::ServerName,
        unknown => return Err(format!("Unrecognized error log format directive %{unknown}")),
    })
}

fn time(argument: &str) -> Result<Time, String> {
    Ok(match argument {
        "" => Time::Plain,
        "u" => Time::Micros,
        "c" => Time::Compact { micros: false },
        "cu" | "uc" => Time::Compact { micros: true },
        pattern if pattern.contains('%') => {
            let epoch = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
            jiff::fmt::strtime::format(pattern, &epoch)
                .map_err(|error| format!("%{{{pattern}}}t: {error}"))?;
            Time::Strftime(pattern.to_string())
        }
        unknown => return Err(format!("%{{{unknown}}}t: u, c, cu or a pattern with %")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, cause: Option<&str>, expected: Option<&str>) {
        let facts = Facts {
            time: jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC),
            now: Moment { secs: 0, nanos: 5000 },
            level: Level::Error,
            module: "core",
            cause: cause.map(str::to_string),
            client: None,
            referer: None,
            server_name: "example.org",
            about: None,
            message: "AH1: it is so".to_string(),
        };
        let mut line = String::new();
        let written = ErrorFormat::compile(format).unwrap().write(&mut line, &facts).unwrap();
        assert_eq!(written.then_some(line.as_str()), expected, "{format}");
    }

    #[test]
    fn fields_without_something_to_say_are_left_out() {
        check("%l %E: %M", Some("(2)gone"), Some("error (2)gone: AH1: it is so"));
        check("%l %E: %M", None, Some("error AH1: it is so"));
        check("%l [%-E] %M", None, Some("error [-] AH1: it is so"));
        check("%l %+E %M", None, None);
        check("%M% ,\\ referer\\ %{Referer}i", None, Some("AH1: it is so"));
        check("a\\ b%% %m:%3l %m:%4l|", None, Some("a b% core:error "));
        check("é\\ \\é\\", None, Some("é \\é\\"));
    }

    #[test]
    fn times_and_names() {
        check("[%{u}t] %v", None, Some("[Thu Jan 01 00:00:00.000005 1970] example.org"));
        check(
            "%t|%{c}t|%{cu}t",
            None,
            Some("Thu Jan 01 00:00:00 1970|1970-01-01 00:00:00|1970-01-01 00:00:00.000005"),
        );
        check("%{%H_%M}t", None, Some("00_00"));
    }

    #[test]
    fn mistakes_are_found_at_compile_time() {
        for (format, expected) in [
            ("%q", "Unrecognized error log format directive %q"),
            ("%{x", "Ran off end of ErrorLogFormat parsing args to some directive"),
            ("%-", "Ran off end of ErrorLogFormat parsing args to some directive"),
            ("%{w}t", "%{w}t: u, c, cu or a pattern with %"),
            ("%999l", "999 is no level"),
        ] {
            assert_eq!(ErrorFormat::compile(format).unwrap_err(), expected);
        }
    }
}
