//! # Lines: physical lines to logical ones, and back to their places
//!
//! ```text
//! LogFormat "%h ${A}\      ── one logical line ──▶   LogFormat "%h valueof(A) %u"
//! %u"                                                 pieces: verbatim │ from ${A} │ verbatim
//! ```
//!
//! - A backslash right before the line end joins the next line, in comments too, and nothing escapes it
//!   (httpd `server/util.c`, `ap_cfg_getline`).
//! - Each byte of a logical line knows where it was written: bytes of a variable's value point at the
//!   `${NAME}` that they replaced.
//! - A span is cut at the end of the physical line that it begins in.

use std::ops::Range;

use crate::sources::{SourceId, Span};
use crate::words::is_space;

/// Whoever writes a longer line made a mistake; Apache's bound as well.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 20;
/// The same for `.htaccess`.
pub(crate) const HTACCESS_LINE_BYTES_MAX: usize = 8192;

/// A line after continuation, without white space around it.
#[derive(Debug, Clone)]
pub(crate) struct Logical {
    pub(crate) text: String,
    source: SourceId,
    /// Sorted by `at`; they cover `text`.
    pieces: Vec<Piece>,
    /// The place of an empty text.
    start: usize,
}

/// A run of bytes with one origin.
#[derive(Debug, Clone)]
struct Piece {
    /// Where it begins in the logical text.
    at: usize,
    /// Where it was written in the source.
    origin: Range<usize>,
    /// Whether it was copied byte by byte, or stands for the whole origin.
    verbatim: bool,
    /// The end of the physical line that the origin begins in.
    line_end: usize,
}

/// A cursor over the lines of one text.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    source: SourceId,
    text: &'a str,
    at: usize,
    bytes_max: usize,
}

/// What stands at the cursor.
#[derive(Debug)]
pub(crate) enum Next {
    /// A line with something on it that is no comment.
    Line(Logical),
    /// The same, but a NUL byte ended a physical line early.
    CutByNul(Logical, Span),
    /// Longer than permitted; it was passed over.
    TooLong(Span),
    /// The end of the text.
    End,
}

impl<'a> Lines<'a> {
    /// From the first byte; a byte order mark is passed over.
    pub(crate) fn new(source: SourceId, text: &'a str, bytes_max: usize) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Lines { source, text, at, bytes_max }
    }

    /// The next line that says something.
    pub(crate) fn next(&mut self) -> Next {
        while self.at < self.text.len() {
            let next = self.joined();
            match &next {
                Next::Line(line) | Next::CutByNul(line, _) => {
                    if !line.text.is_empty() && !line.text.starts_with('#') {
                        return next;
                    }
                }
                Next::TooLong(_) | Next::End => return next,
            }
        }
        Next::End
    }

    /// One physical line with its continuation lines.
    fn joined(&mut self) -> Next {
        let mut line = Logical::new(self.source, self.at);
        let first_line_end = self.physical().0.end;
        let mut bytes = 0;
        let mut nul = None;
        loop {
            let (range, next, continues) = self.physical();
            self.at = next;
            bytes += range.len();
            if bytes <= self.bytes_max {
                let visible = self.before_nul(&range);
                if visible.len() < range.len() {
                    nul.get_or_insert(visible.end);
                }
                let line_end = visible.end.max(range.end);
                line.push_verbatim(&self.text[visible.clone()], visible.start, line_end);
            }
            if !continues || self.at >= self.text.len() {
                break;
            }
        }
        if bytes > self.bytes_max {
            let start = line.start;
            return Next::TooLong(Span { source: self.source, start, end: first_line_end });
        }
        line.trim_end();
        match nul {
            Some(start) => {
                Next::CutByNul(line, Span { source: self.source, start, end: start + 1 })
            }
            None => Next::Line(line),
        }
    }

    /// The physical line at the cursor: its bytes without line end and continuation mark, where the
    /// next one begins, and whether that one belongs to it.
    fn physical(&self) -> (Range<usize>, usize, bool) {
        let rest = &self.text[self.at..];
        let Some(length) = rest.find('\n') else {
            return (self.at..self.text.len(), self.text.len(), false);
        };
        let next = self.at + length + 1;
        let line = &rest[..length];
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.strip_suffix('\\') {
            Some(line) => (self.at..self.at + line.len(), next, true),
            None => (self.at..self.at + line.len(), next, false),
        }
    }

    fn before_nul(&self, range: &Range<usize>) -> Range<usize> {
        let length = self.text[range.clone()].find('\0').unwrap_or(range.len());
        range.start..range.start + length
    }
}

impl Logical {
    fn new(source: SourceId, start: usize) -> Self {
        Logical { text: String::new(), source, pieces: Vec::new(), start }
    }

    /// Where a range of the text was written, up to the end of that physical line.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let Some(first) = self.piece_at(range.start) else {
            return Span { source: self.source, start: self.start, end: self.start };
        };
        let start = first.place(range.start);
        let last = range.end.checked_sub(1).filter(|last| *last >= range.start);
        let end = last.and_then(|last| self.piece_at(last)).map_or(start, |piece| {
            if piece.verbatim { piece.place(range.end) } else { piece.origin.end }
        });
        Span { source: self.source, start, end: end.min(first.line_end).max(start) }
    }

    /// The line with every `${NAME}` replaced that `lookup` knows, and the ones that it does not know.
    /// Values are not expanded again. `None`: the result would be longer than `bytes_max`.
    pub(crate) fn expand(
        self,
        bytes_max: usize,
        mut lookup: impl FnMut(&str) -> Option<String>,
    ) -> (Option<Logical>, Vec<Range<usize>>) {
        let mut unknown = Vec::new();
        let mut expanded = Logical::new(self.source, self.start);
        let mut copied = 0;
        while let Some((variable, name)) = next_variable(&self.text, copied) {
            expanded.push_range(&self, copied..variable.start);
            match lookup(name) {
                Some(value) => expanded.push_value(&value, self.span(variable.clone()), &self),
                None => {
                    let start = expanded.text.len();
                    expanded.push_range(&self, variable.clone());
                    unknown.push(start..expanded.text.len());
                }
            }
            copied = variable.end;
            if expanded.text.len() > bytes_max {
                return (None, unknown);
            }
        }
        if copied == 0 {
            return (Some(self), unknown);
        }
        expanded.push_range(&self, copied..self.text.len());
        let fits = expanded.text.len() <= bytes_max;
        (fits.then_some(expanded), unknown)
    }

    /// The line without white space around it.
    pub(crate) fn trimmed(mut self) -> Logical {
        self.trim_end();
        let blank = self.text.len() - self.text.trim_start_matches(is_space).len();
        if blank == 0 {
            return self;
        }
        let mut trimmed = Logical::new(self.source, self.start);
        trimmed.push_range(&self, blank..self.text.len());
        trimmed
    }

    /// The piece that holds the byte at `at`; at the very end, the last one.
    fn piece_at(&self, at: usize) -> Option<&Piece> {
        let behind = self.pieces.partition_point(|piece| piece.at <= at);
        self.pieces.get(behind.checked_sub(1)?)
    }

    /// Leading white space of the logical line is dropped right here.
    fn push_verbatim(&mut self, text: &str, origin: usize, line_end: usize) {
        let kept = if self.text.is_empty() { text.trim_start_matches(is_space) } else { text };
        if kept.is_empty() {
            return;
        }
        let start = origin + (text.len() - kept.len());
        let origin = start..start + kept.len();
        self.pieces.push(Piece { at: self.text.len(), origin, verbatim: true, line_end });
        self.text.push_str(kept);
    }

    fn push_range(&mut self, from: &Logical, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let index = from.pieces.partition_point(|piece| piece.at <= at) - 1;
            let piece = &from.pieces[index];
            let piece_end = from.pieces.get(index + 1).map_or(from.text.len(), |next| next.at);
            let end = piece_end.min(range.end);
            let Piece { verbatim, line_end, .. } = *piece;
            let start = piece.place(at);
            let origin = if verbatim { start..start + (end - at) } else { piece.origin.clone() };
            self.pieces.push(Piece { at: self.text.len(), origin, verbatim, line_end });
            self.text.push_str(&from.text[at..end]);
            at = end;
        }
    }

    fn push_value(&mut self, value: &str, written: Span, from: &Logical) {
        if value.is_empty() {
            return;
        }
        let holder = from.pieces.iter().find(|piece| piece.origin.contains(&written.start));
        let line_end = holder.map_or(written.end, |piece| piece.line_end);
        let origin = written.start..written.end;
        self.pieces.push(Piece { at: self.text.len(), origin, verbatim: false, line_end });
        self.text.push_str(value);
    }

    fn trim_end(&mut self) {
        self.text.truncate(self.text.trim_end_matches(is_space).len());
        let kept = self.pieces.partition_point(|piece| piece.at < self.text.len());
        self.pieces.truncate(kept);
    }
}

impl Piece {
    /// Where the byte at `at` of the logical text was written.
    fn place(&self, at: usize) -> usize {
        if self.verbatim { self.origin.start + (at - self.at) } else { self.origin.start }
    }
}

/// The first `${NAME}` at or after `from`, and its name.
fn next_variable(text: &str, from: usize) -> Option<(Range<usize>, &str)> {
    let start = from + text[from..].find("${")?;
    let name = text[start + 2..].split_once('}')?.0;
    Some((start..start + 2 + name.len() + 1, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Sources;

    /// All logical lines of a text, `A` standing for `<a>`, each as `line:text`.
    fn lines(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        let source = sources.add("test", text, None);
        let mut lines = Lines::new(source, text, 64);
        let mut found = Vec::new();
        loop {
            let line = match lines.next() {
                Next::Line(line) | Next::CutByNul(line, _) => line,
                Next::TooLong(span) => {
                    found.push(format!("{}:too long", sources.locate(span).line));
                    continue;
                }
                Next::End => return found,
            };
            let known = |name: &str| (name == "A").then(|| "<a>".to_string());
            let (line, _) = line.expand(64, known);
            let line = line.expect("short enough");
            let at = sources.locate(line.span(0..line.text.len()));
            found.push(format!("{}:{}", at.line, line.text));
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(lines(text), expected, "{text:?}");
    }

    #[test]
    fn lines_end_in_lf_or_crlf_and_are_trimmed() {
        check("a\nb\r\n\t c \n\nd", &["1:a", "2:b", "3:c", "5:d"]);
        check("\u{feff}a\n", &["1:a"]);
        check("", &[]);
    }

    #[test]
    fn comments_stand_at_the_start_of_a_line_only() {
        check("# a\n  # b\nc # d\n", &["3:c # d"]);
    }

    #[test]
    fn a_backslash_joins_lines_and_nothing_escapes_it() {
        check("a \\\n  b\nc", &["1:a   b", "3:c"]);
        check("a\\\\\nb", &["1:a\\b"]);
        check("a\\\r\nb", &["1:ab"]);
        check("# a\\\nb\nc", &["3:c"]);
        check("\\\n\\\na", &["3:a"]);
        check("a\\ \nb", &["1:a\\", "2:b"]);
        check("a\\", &["1:a\\"]);
    }

    #[test]
    fn variables_are_replaced_once() {
        check("x${A}y ${B} $A ${A", &["1:x<a>y ${B} $A ${A"]);
        check("$\\\n{A} z", &["1:<a> z"]);
    }

    #[test]
    fn a_long_line_is_passed_over() {
        check(&format!("{}\nb", "a".repeat(65)), &["1:too long", "2:b"]);
        check(&format!("{}\\\n{}\nb", "a".repeat(40), "a".repeat(40)), &["1:too long", "3:b"]);
    }

    #[test]
    fn nul_ends_a_line() {
        check("a\0b\nc", &["1:a", "2:c"]);
    }

    #[test]
    fn spans_lead_back_to_what_was_written() {
        let text = "one ${A} two\\\nthree four";
        let mut sources = Sources::default();
        let source = sources.add("test", text, None);
        let Next::Line(line) = Lines::new(source, text, 64).next() else { panic!("no line") };
        let (line, unknown) = line.expand(64, |_| Some("long value".into()));
        let line = line.expect("short enough");
        assert!(unknown.is_empty());
        let written = |part: &str| {
            let start = line.text.find(part).expect("it is in the line");
            sources.excerpt(line.span(start..start + part.len()))
        };
        assert_eq!(line.text, "one long value twothree four");
        assert_eq!(written("one"), "one");
        assert_eq!(written("value"), "${A}");
        assert_eq!(written("twothree"), "two");
        assert_eq!(written("four"), "four");
        assert_eq!(written("one long value"), "one ${A}");
    }
}
