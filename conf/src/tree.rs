//! # The tree: what a configuration says, before anybody obeys it
//!
//! ```text
//! Listen 80                    Line     name, words, raw arguments
//! <VirtualHost *:80>           Section  line (the opener) and children
//!     ServerName example.org     Line
//! </VirtualHost>
//! ```
//!
//! - Nothing here was checked beyond the language itself: names may be unknown, arguments nonsense.
//! - Read-time directives and conditions are gone: what `Include` brought in stands in their place.
//! - `${NAME}` and continuation lines are resolved; every word remembers where it was written.

use std::fmt;
use std::ops::Range;

use crate::sources::{Sources, Span};
use crate::words;

/// One argument, or the name of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without quotes and escapes.
    pub text: String,
    /// Where it was written, quotes included.
    pub span: Span,
    /// Whether it stood in quotes.
    pub quoted: bool,
    /// Where it begins in [`Line::raw`], in bytes. 0 for a name.
    pub raw_start: usize,
}

/// A directive with its arguments, or the opening line of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As written; compare without case. Without the brackets of a section.
    pub name: Word,
    /// The arguments as words.
    pub words: Vec<Word>,
    /// The arguments untouched, for directives that have rules of their own. Of a section: without `>`.
    pub raw: String,
    /// From the name, or its bracket, to the end of that physical line.
    pub span: Span,
}

/// Lines between `<Name …>` and `</Name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The opening line.
    pub line: Line,
    /// What stands inside, in order.
    pub children: Vec<Node>,
}

/// One item of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directive.
    Line(Line),
    /// A section with its content.
    Section(Section),
}

/// A whole configuration, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// What stands outside any section.
    pub nodes: Vec<Node>,
}

impl Line {
    /// Whether this is the directive (or section) `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.text.eq_ignore_ascii_case(name)
    }

    /// A line that nobody has written and another one stands for; all of it is found at `span`.
    pub fn in_words(name: &str, raw: &str, span: Span) -> Line {
        Line::placed(name, raw, span, span, |_| span)
    }

    /// A line from a directive's own default, which is a text without variables or continuation.
    pub(crate) fn of_default(name: &str, raw: &str, sources: &mut Sources) -> Line {
        let source = sources.add("built-in default", format!("{name} {raw}"), None);
        let span = |start, end| Span { source, start, end };
        let raw_offset = name.len() + 1;
        let in_raw = |range: Range<usize>| span(raw_offset + range.start, raw_offset + range.end);
        let whole = span(0, raw_offset + raw.len());
        Line::placed(name, raw, whole, span(0, name.len()), in_raw)
    }

    fn placed(
        name: &str,
        raw: &str,
        whole: Span,
        name_span: Span,
        span: impl Fn(Range<usize>) -> Span,
    ) -> Line {
        let words = words::split(raw).into_iter().map(|word| Word {
            raw_start: word.range.start,
            span: span(word.range),
            text: word.text,
            quoted: word.quoted,
        });
        let words = words.collect();
        let name = Word { text: name.into(), span: name_span, quoted: false, raw_start: 0 };
        Line { name, words, raw: raw.into(), span: whole }
    }
}

impl Node {
    /// The directive, or the section's opening line.
    pub fn line(&self) -> &Line {
        match self {
            Node::Line(line) => line,
            Node::Section(section) => &section.line,
        }
    }

    /// What stands inside; of a directive, nothing.
    pub fn children(&self) -> &[Node] {
        match self {
            Node::Line(_) => &[],
            Node::Section(section) => &section.children,
        }
    }
}

impl fmt::Display for Tree {
    /// Writes a configuration that reads to the same tree, if no variable is defined.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nodes.iter().try_for_each(|node| write_node(out, node, 0))
    }
}

fn write_node(out: &mut fmt::Formatter<'_>, node: &Node, depth: usize) -> fmt::Result {
    let indent = depth * 4;
    match node {
        Node::Line(line) => {
            let text = format!("{}{}", Name(&line.name), Arguments(&line.raw));
            // A backslash at the very end would continue the line; a blank behind it is trimmed again.
            let guard = if text.ends_with('\\') { " " } else { "" };
            writeln!(out, "{:indent$}{text}{guard}", "")
        }
        Node::Section(section) => {
            let Line { name, raw, .. } = &section.line;
            writeln!(out, "{:indent$}<{}{}>", "", name.text, Arguments(raw))?;
            section.children.iter().try_for_each(|child| write_node(out, child, depth + 1))?;
            writeln!(out, "{:indent$}</{}>", "", name.text)
        }
    }
}

/// A directive's name: quoted if it was, or if it would be read as something else.
struct Name<'a>(&'a Word);

impl fmt::Display for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0.text;
        if self.0.quoted || text.starts_with(['#', '<', '\u{feff}']) {
            let escaped = text.replace('\\', r"\\").replace('"', r#"\""#);
            return write!(out, "\"{escaped}\"");
        }
        out.write_str(text)
    }
}

/// Raw arguments behind a name: with a space before, if there are any.
struct Arguments<'a>(&'a str);

impl fmt::Display for Arguments<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.0.is_empty() { "" } else { " " };
        write!(out, "{space}{}", self.0)
    }
}
