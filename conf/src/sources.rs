//! # Sources: every text that was read, and places in them
//!
//! ```text
//! -C "Define X"      source 0  ┐
//! conf/httpd.conf    source 1  ├─ Sources keeps all texts, so that a diagnostic can show its line
//! conf/extra/a.conf  source 2  ┘    later; source 2 remembers the Include in source 1 that opened it
//! ```
//!
//! - A [`Span`] is a range of bytes in one source, and never leaves its line.
//! - A file that is included twice is two sources, because its two include chains differ.

use std::sync::Arc;

/// Every text of one configuration, in the order of reading.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

#[derive(Debug, Clone)]
struct Source {
    /// The path as it was opened, or a label such as `-C` for a text from the command line.
    name: String,
    /// Shared, so that it can be read while further texts arrive.
    text: Arc<str>,
    /// The offset of each line's first byte; found once, since every diagnostic asks.
    line_starts: Vec<usize>,
    included_from: Option<Span>,
}

/// One text in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(usize);

/// A range of bytes within one line of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text that it lies in.
    pub source: SourceId,
    /// The offset of the first byte.
    pub start: usize,
    /// The offset behind the last byte.
    pub end: usize,
}

/// A span's beginning in the terms that people and editors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location<'a> {
    /// The path as it was opened, or a label such as `-C`.
    pub file: &'a str,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl Sources {
    /// Keeps a text. `included_from` is the `Include` that asked for it.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        text: impl Into<Arc<str>>,
        included_from: Option<Span>,
    ) -> SourceId {
        let text = text.into();
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(line_ends.map(|(at, _)| at + 1)).collect();
        self.sources.push(Source { name: name.into(), text, line_starts, included_from });
        SourceId(self.sources.len() - 1)
    }

    /// All of them, in the order of reading.
    pub fn ids(&self) -> impl Iterator<Item = SourceId> + use<> {
        (0..self.sources.len()).map(SourceId)
    }

    /// The path as it was opened, or a label such as `-C`.
    pub fn name(&self, source: SourceId) -> &str {
        &self.sources[source.0].name
    }

    /// The whole text.
    pub fn text(&self, source: SourceId) -> &str {
        &self.sources[source.0].text
    }

    pub(crate) fn shared_text(&self, source: SourceId) -> Arc<str> {
        Arc::clone(&self.sources[source.0].text)
    }

    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// The bytes of a span as they were written.
    pub fn excerpt(&self, span: Span) -> &str {
        &self.text(span.source)[span.start..span.end]
    }

    /// Where a span begins.
    pub fn locate(&self, span: Span) -> Location<'_> {
        let source = &self.sources[span.source.0];
        let line = source.line_starts.partition_point(|start| *start <= span.start);
        let line_start = source.line_starts[line - 1];
        let column = source.text[line_start..span.start].chars().count() + 1;
        Location { file: &source.name, line, column }
    }

    /// The physical line that a span begins in, without its line end, as a span.
    pub fn line_of(&self, span: Span) -> Span {
        let source = &self.sources[span.source.0];
        let line = source.line_starts.partition_point(|start| *start <= span.start);
        let start = source.line_starts[line - 1];
        let end =
            source.text[start..].find('\n').map_or(source.text.len(), |length| start + length);
        let end = if source.text[start..end].ends_with('\r') { end - 1 } else { end };
        Span { source: span.source, start, end }
    }

    /// The `Include` directives that led to a source, the nearest first.
    pub fn include_chain(&self, source: SourceId) -> Vec<Span> {
        let outer = |span: &Span| self.sources[span.source.0].included_from;
        std::iter::successors(self.sources[source.0].included_from, outer).collect()
    }
}
