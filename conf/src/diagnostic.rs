//! # Diagnostics: what is wrong, where, and the likely cure
//!
//! ```text
//! conf/httpd.conf:42:19: MaxRequestWorkers: "many" is not a number
//!     MaxRequestWorkers many
//!                       ^^^^   syntax: MaxRequestWorkers number|auto (server config)
//!     included from conf/site.conf:3
//! ```
//!
//! - A [`Problem`] is what a directive row reports: it need not know files, names or syntax.
//! - A [`Diagnostic`] is a problem with its place. It is rendered against the [`Sources`] it was found in.
//! - What is printed holds no control characters: a configuration cannot drive the terminal.

use std::fmt::Write as _;

use crate::sources::{Sources, Span};
use crate::tree::Word;

/// Why a directive cannot be obeyed, in the words of the row that tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One sentence without a full stop. The directive's name is put before it, unless it is in it.
    pub message: String,
    /// The guilty word; without one, the directive's name is underlined.
    pub span: Option<Span>,
    /// The likely cure; without one, the directive's syntax is shown.
    pub help: Option<String>,
    /// Nobody has made a mistake: Apache can do this, and this server cannot.
    pub lacking: bool,
}

impl Problem {
    /// A problem of the whole line.
    pub fn new(message: impl Into<String>) -> Self {
        Problem { message: message.into(), span: None, help: None, lacking: false }
    }

    /// A problem of one word: `Problem::at(word, "…")`, or with any span.
    pub fn at(place: impl Into<Span>, message: impl Into<String>) -> Self {
        Problem { span: Some(place.into()), ..Problem::new(message) }
    }

    /// What Apache can do and this server cannot. Add by [`help`](Self::help) what to do about it.
    pub fn lacking(place: impl Into<Span>, message: impl Into<String>) -> Self {
        Problem { lacking: true, ..Problem::at(place, message) }
    }

    /// Adds the likely cure.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Problem { help: Some(help.into()), ..self }
    }
}

impl From<&Word> for Span {
    fn from(word: &Word) -> Span {
        word.span
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not what was meant; the configuration is used all the same.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// One finding about a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// Its place; none if it concerns the configuration as a whole.
    pub span: Option<Span>,
    /// The likely cure.
    pub help: Option<String>,
    /// See [`Problem::lacking`].
    pub lacking: bool,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(place: impl Into<Span>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Problem::at(place, message))
    }

    /// A warning at a place.
    pub fn warning(place: impl Into<Span>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Problem::at(place, message))
    }

    /// A problem with its weight.
    pub fn new(severity: Severity, problem: Problem) -> Self {
        let Problem { message, span, help, lacking } = problem;
        Diagnostic { severity, message, span, help, lacking }
    }

    /// Adds the likely cure.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Diagnostic { help: Some(help.into()), ..self }
    }

    /// Whether the configuration cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// `FILE:LINE:COLUMN: message`, for logs. No line end.
    pub fn one_line(&self, sources: &Sources) -> String {
        let place = self.span.map(|span| sources.locate(span));
        let place = place.map_or(String::new(), |at| {
            format!("{}:{}:{}: ", printable(at.file), at.line, at.column)
        });
        let severity = match self.severity {
            Severity::Note => "note: ",
            Severity::Warning => "warning: ",
            Severity::Error => "",
        };
        format!("{place}{severity}{}", printable(&self.message))
    }

    /// The finding, its line, a caret, the cure and the include chain; see the top of this module.
    /// Every line ends in a line feed.
    pub fn render(&self, sources: &Sources) -> String {
        let mut text = self.one_line(sources) + "\n";
        let Some(span) = self.span else {
            if let Some(help) = &self.help {
                _ = writeln!(text, "    {}", printable(help));
            }
            return text;
        };
        let Excerpt { line, indent, carets } = Excerpt::of(sources, span);
        let help =
            self.help.as_deref().map_or(String::new(), |help| format!("   {}", printable(help)));
        _ = writeln!(text, "    {line}\n    {indent}{carets}{help}");
        for include in sources.include_chain(span.source) {
            let from = sources.locate(include);
            _ = writeln!(text, "    included from {}:{}", printable(from.file), from.line);
        }
        text
    }
}

/// The part of a line that is shown, and the caret line under it.
struct Excerpt {
    line: String,
    /// Blanks up to the first caret; tabs stay tabs, so that both lines indent alike.
    indent: String,
    carets: String,
}

impl Excerpt {
    /// A longer line is shown around its span only: nobody wants a megabyte on the terminal.
    const CHARS_MAX: usize = 160;
    const CHARS_BEFORE: usize = 60;

    fn of(sources: &Sources, span: Span) -> Excerpt {
        let whole = sources.line_of(span);
        let text = sources.text(span.source);
        let content_start = whole.start
            + text[whole.start..span.start.max(whole.start)]
                .find(|c: char| !c.is_whitespace())
                .unwrap_or(span.start.saturating_sub(whole.start));
        let before = &text[content_start..span.start];
        let hidden = before.chars().count().saturating_sub(Self::CHARS_BEFORE);
        let before: String = before.chars().skip(hidden).collect();
        let ellipsis = if hidden > 0 { "…" } else { "" };

        let after: String =
            text[span.start..whole.end.max(span.start)].chars().take(Self::CHARS_MAX).collect();
        let cut = if after.len() < whole.end.saturating_sub(span.start) { "…" } else { "" };
        let end = span.end.min(whole.end).max(span.start);
        let width = text[span.start..end].chars().count().clamp(1, Self::CHARS_MAX);

        let line = format!("{ellipsis}{}{}{cut}", printable(&before), printable(&after));
        let blank = |c| if c == '\t' { '\t' } else { ' ' };
        let indent = format!("{ellipsis}{before}").chars().map(blank).collect();
        Excerpt { line, indent, carets: "^".repeat(width) }
    }
}

/// Replaces what could move the cursor or worse. Tabs stay.
fn printable(text: &str) -> String {
    let replaced = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The span of `part` in a file with this text.
    fn file(text: &str, part: &str) -> (Sources, Span) {
        let mut sources = Sources::default();
        let source = sources.add("conf/httpd.conf", text, None);
        let start = text.find(part).unwrap_or_else(|| panic!("{part} is not in the text"));
        (sources, Span { source, start, end: start + part.len() })
    }

    #[track_caller]
    fn check(text: &str, part: &str, expected: &str) {
        let (sources, span) = file(text, part);
        let rendered = Diagnostic::error(span, "wrong").help("cure").render(&sources);
        assert_eq!(rendered, expected);
    }

    #[test]
    fn shows_line_and_caret() {
        check(
            "# first\n  Listen many\nUser x\n",
            "many",
            "conf/httpd.conf:2:10: wrong\n    Listen many\n           ^^^^   cure\n",
        );
        check("Listen", "Listen", "conf/httpd.conf:1:1: wrong\n    Listen\n    ^^^^^^   cure\n");
        check("a\r\nb c\r\n", "c", "conf/httpd.conf:2:3: wrong\n    b c\n      ^   cure\n");
    }

    #[test]
    fn tabs_and_wide_text_keep_the_caret_in_place() {
        check("a\tb", "b", "conf/httpd.conf:1:3: wrong\n    a\tb\n     \t^   cure\n");
        check(
            "Alias ü x",
            "x",
            "conf/httpd.conf:1:9: wrong\n    Alias ü x\n            ^   cure\n",
        );
    }

    #[test]
    fn control_characters_are_not_printed() {
        check("a \u{1b}[2J", "a", "conf/httpd.conf:1:1: wrong\n    a \u{fffd}[2J\n    ^   cure\n");
    }

    #[test]
    fn long_lines_are_shown_around_the_span() {
        let text = format!("{} here {}", "a".repeat(100_000), "b".repeat(100_000));
        let (sources, span) = file(&text, "here");
        let rendered = Diagnostic::warning(span, "wrong").render(&sources);
        assert!(rendered.len() < 1000, "{rendered}");
        assert!(rendered.contains("a here b"), "{rendered}");
        assert!(rendered.starts_with("conf/httpd.conf:1:100002: warning: wrong\n"), "{rendered}");
    }

    #[test]
    fn shows_the_include_chain() {
        let (mut sources, include) = file("\nInclude a.conf\n", "a.conf");
        let inner = sources.add("a.conf", "Include b.conf", Some(include));
        let include = Span { source: inner, start: 8, end: 14 };
        let innermost = sources.add("b.conf", "X", Some(include));
        let span = Span { source: innermost, start: 0, end: 1 };
        assert_eq!(
            Diagnostic::error(span, "wrong").render(&sources),
            "b.conf:1:1: wrong\n    X\n    ^\n    included from a.conf:1\n    \
             included from conf/httpd.conf:2\n"
        );
    }

    #[test]
    fn without_a_place_only_the_message_is_shown() {
        let problem = Problem::new("no listener").help("add a Listen line");
        let diagnostic = Diagnostic::new(Severity::Error, problem);
        let rendered = diagnostic.render(&Sources::default());
        assert_eq!(rendered, "no listener\n    add a Listen line\n");
    }
}
