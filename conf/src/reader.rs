//! # The reader: sources in, tree and diagnostics out
//!
//! ```text
//! source ──▶ logical line ──▶ ${NAME} ──▶ <Tag>: open, close, decide a condition
//!    ▲                                └─▶ read-time directive: obey at once
//!    └────────── Include, Use ──────────┘└▶ any other: into the innermost section
//! ```
//!
//! - Parsing never fails: after a mistake the reader goes on with the likeliest meaning, so that one run
//!   shows every mistake.
//! - The body of a condition that holds becomes part of what surrounds it; one that does not hold is
//!   passed over, only its sections are matched.
//! - A section begins and ends in the same file. What a macro comes to is part of the file that uses it.
//! - Depth and number of sections and files are bounded, whatever the input.

use std::ops::Range;
use std::path::PathBuf;

use crate::conditions::Condition;
use crate::definitions::Definitions;
use crate::diagnostic::{Diagnostic, Problem, Severity};
use crate::directive::Context;
use crate::host::Host;
use crate::lines::{HTACCESS_LINE_BYTES_MAX, LINE_BYTES_MAX, Lines, Logical, Next};
use crate::macros::{Macros, Recording};
use crate::read_time;
use crate::sources::{Sources, Span};
use crate::tree::{Line, Node, Section, Tree, Word};
use crate::words::{self, is_space};

/// Keeps whoever walks a tree by recursion within the stack.
const SECTIONS_DEEP_MAX: usize = 128;
/// Whoever has made more mistakes fed us something else than a configuration.
const ERRORS_MAX: usize = 1000;

/// A text to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// From the command line: `-C` and `-c`, one directive a line.
    Text {
        /// What diagnostics call it, such as `-C`.
        name: String,
        /// The directives.
        text: String,
    },
    /// A file, or whatever else `Include` accepts. The path is used as it is.
    File(PathBuf),
}

/// What holds before the first line.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// What `-D` has defined.
    pub definitions: Definitions,
    /// `-d`, or where the server was installed.
    pub server_root: PathBuf,
}

/// A configuration as it was read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Everything that was not obeyed while reading.
    pub tree: Tree,
    /// All that was found, in the order of reading.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that spans point into.
    pub sources: Sources,
    /// What was defined at the end.
    pub definitions: Definitions,
    /// ServerRoot at the end.
    pub server_root: PathBuf,
    /// DefaultRuntimeDir, if it was set.
    pub runtime_dir: Option<PathBuf>,
}

impl Reading {
    /// Whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads a server's configuration: all inputs, one after the other.
pub fn read(inputs: &[Input], start: Start, host: &mut dyn Host) -> Reading {
    let mut reader = Reader::new(start, host, Dialect::Server);
    for input in inputs {
        match input {
            Input::Text { name, text } => reader.read_bytes(name, text.as_bytes(), None),
            Input::File(path) => reader.include(path, None, false),
        }
    }
    reader.finish()
}

/// Reads the content of a `.htaccess` file, which may not include others or define anything.
pub fn read_htaccess(name: &str, content: &[u8], start: Start, host: &mut dyn Host) -> Reading {
    let mut reader = Reader::new(start, host, Dialect::Htaccess);
    reader.read_bytes(name, content, None);
    reader.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Server,
    Htaccess,
}

pub(crate) struct Reader<'h> {
    pub(crate) host: &'h mut dyn Host,
    dialect: Dialect,
    pub(crate) reading: Reading,
    /// Sections that are open now, the innermost last.
    open: Vec<Open>,
    /// How many of them were open before the file began that is being read: these it cannot close.
    outer_sections: usize,
    /// Files that are being read now, the innermost last.
    pub(crate) files: Vec<PathBuf>,
    /// Modules that a `LoadModule` of this reading has loaded.
    pub(crate) loaded: Vec<String>,
    pub(crate) macros: Macros,
    /// The `<Macro>` whose lines are being kept; it ends in the source that it began in.
    pub(crate) recording: Option<Recording>,
    errors: usize,
    /// Set when a bound is exceeded: nothing more is read.
    stopped: bool,
}

/// A section whose end is still to come.
struct Open {
    line: Line,
    body: Body,
}

enum Body {
    /// A section of the tree, with what it holds so far.
    Kept(Vec<Node>),
    /// A condition that holds: its content goes where the condition stands.
    Spliced,
    /// A condition that does not hold, or anything inside of it.
    Skipped,
}

impl<'h> Reader<'h> {
    fn new(start: Start, host: &'h mut dyn Host, dialect: Dialect) -> Self {
        let Start { definitions, server_root } = start;
        let reading = Reading {
            tree: Tree::default(),
            diagnostics: Vec::new(),
            sources: Sources::default(),
            definitions,
            server_root,
            runtime_dir: None,
        };
        Reader {
            host,
            dialect,
            reading,
            open: Vec::new(),
            outer_sections: 0,
            files: Vec::new(),
            loaded: Vec::new(),
            macros: Macros::default(),
            recording: None,
            errors: 0,
            stopped: false,
        }
    }

    fn finish(self) -> Reading {
        self.reading
    }

    /// Reads one text from its first line to its last, and closes what it left open.
    pub(crate) fn read_bytes(&mut self, name: &str, content: &[u8], from: Option<Span>) {
        let outer_sections = std::mem::replace(&mut self.outer_sections, self.open.len());
        self.read_lines(name, content, from);
        while self.open.len() > self.outer_sections {
            if !self.stopped {
                self.report_unclosed();
            }
            self.close_innermost();
        }
        self.outer_sections = outer_sections;
    }

    /// Reads one text from its first line to its last, as if it stood in the file that is being read.
    pub(crate) fn read_lines(&mut self, name: &str, content: &[u8], from: Option<Span>) {
        let text = String::from_utf8_lossy(content);
        let lossy = matches!(text, std::borrow::Cow::Owned(_));
        let source = self.reading.sources.add(name, text, from);
        let text = self.reading.sources.shared_text(source);
        let mut lines = Lines::new(source, &text, self.line_bytes_max());
        while !self.stopped {
            match lines.next() {
                Next::Line(line) => self.line(line, lossy),
                Next::CutByNul(line, nul) => {
                    self.warning(nul, "a NUL byte ends this line");
                    self.line(line, lossy);
                }
                Next::TooLong(span) => self.line_too_long(span),
                Next::End => break,
            }
        }
        if let Some(recording) = self.recording.take() {
            self.error(recording.span(), "<Macro> was not closed");
        }
    }

    fn line(&mut self, line: Logical, lossy: bool) {
        if self.recording.is_some() {
            return self.record(&line.text);
        }
        if self.is_skipping() {
            // Not expanded, as in Apache: what does not count need not be defined.
            if line.text.starts_with('<') {
                self.tag(&line);
            }
            return;
        }
        let Some(line) = self.expand(line) else { return };
        if lossy && let Some(at) = line.text.find('\u{fffd}') {
            let span = line.span(at..at + '\u{fffd}'.len_utf8());
            self.warning(span, "this is not UTF-8, or the replacement character itself");
        }
        if line.text.starts_with('<') {
            self.tag(&line);
        } else if !line.text.is_empty() {
            self.directive(&line);
        }
    }

    /// Replaces `${NAME}`.
    fn expand(&mut self, line: Logical) -> Option<Logical> {
        let whole = line.span(0..line.text.len());
        let definitions = &self.reading.definitions;
        let host = &*self.host;
        let lookup = |name: &str| {
            definitions.value(name).map(str::to_string).or_else(|| host.environment(name))
        };
        let (expanded, unknown) = line.expand(self.line_bytes_max(), lookup);
        let Some(expanded) = expanded else {
            self.line_too_long(whole);
            return None;
        };
        for range in unknown {
            let variable = &expanded.text[range.clone()];
            // Names with a colon belong to the maps of RewriteRule.
            if !variable.contains(':') {
                let message = format!("Config variable {variable} is not defined");
                self.warning(expanded.span(range), message);
            }
        }
        // A value of blanks may have come to stand at either end.
        Some(expanded.trimmed())
    }

    /// `<Name …>` or `</Name>`.
    fn tag(&mut self, line: &Logical) {
        let text = &line.text;
        let word_end = text.find(is_space).unwrap_or(text.len());
        let closing = text.starts_with("</");
        let name_start = if closing { 2 } else { 1 };
        let name_end = text[..word_end].trim_end_matches('>').len().max(name_start);
        let name = &text[name_start..name_end];
        let whole = line.span(0..text.len());
        if name.is_empty() {
            self.error(whole, "a section needs a name");
        } else if closing {
            self.check_tail(line, name_end, word_end, word_end);
            self.close(name, whole);
        } else {
            let (arguments, tail) = section_arguments(text, name_end, word_end);
            self.check_tail(line, name_end, word_end.max(arguments.end), tail);
            let opener = self.line_of(line, name_start..name_end, arguments, whole);
            if opener.is("Macro") && !self.is_skipping() {
                self.start_macro(opener);
            } else {
                self.open(opener);
            }
        }
    }

    /// Is the tag closed by `>`, and is there nothing behind it?
    fn check_tail(&mut self, line: &Logical, name_end: usize, end: usize, tail: usize) {
        let text = &line.text;
        let name = text[..name_end].trim_start_matches(['<', '/']);
        let slash = if text.starts_with("</") { "/" } else { "" };
        if !text[name_end..].contains('>') {
            let last = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
            let span = line.span(last..end);
            self.error(span, format!("<{slash}{name}> directive missing closing '>'"));
            return;
        }
        let extra = text[tail..].trim_start_matches(is_space);
        if !extra.is_empty() && !self.is_skipping() {
            let span = line.span(text.len() - extra.len()..text.len());
            let message = format!("what follows <{slash}{name}> on its line is ignored");
            let warning = Diagnostic::warning(span, message);
            self.reading
                .diagnostics
                .push(warning.help("a comment must stand on a line of its own"));
        }
    }

    fn open(&mut self, line: Line) {
        if self.open.len() >= SECTIONS_DEEP_MAX {
            self.error(line.span, "sections are nested too deeply");
            self.stopped = true;
            return;
        }
        let body = if self.is_skipping() {
            Body::Skipped
        } else if let Some(condition) = Condition::named(&line.name.text) {
            if self.holds(condition, &line) { Body::Spliced } else { Body::Skipped }
        } else {
            Body::Kept(Vec::new())
        };
        self.open.push(Open { line, body });
    }

    /// Matches `</Name>` with what is open in this file. If it is open further out, the sections
    /// between lack their ends; if it is not open at all, the tag itself is too much.
    fn close(&mut self, name: &str, span: Span) {
        let outer_sections = self.outer_sections;
        let own = &self.open[outer_sections..];
        let Some(innermost) = own.last() else {
            self.error(span, format!("</{name}> without matching <{name}> section"));
            return;
        };
        if innermost.line.is(name) {
            self.close_innermost();
            return;
        }
        let expected = format!("Expected </{}> but saw </{name}>", innermost.line.name.text);
        let opened = self.reading.sources.locate(innermost.line.span).line;
        let hint = format!("<{}> was opened on line {opened}", innermost.line.name.text);
        let matching = own.iter().rposition(|open| open.line.is(name));
        self.report(Diagnostic::error(span, expected).help(hint));
        if let Some(matching) = matching {
            while self.open.len() > outer_sections + matching {
                self.close_innermost();
            }
        }
    }

    fn report_unclosed(&mut self) {
        if let Some(Open { line, .. }) = self.open.last() {
            let message = format!("<{}> was not closed", line.name.text);
            self.error(line.span, message);
        }
    }

    fn close_innermost(&mut self) {
        let Some(Open { line, body }) = self.open.pop() else { return };
        if let Body::Kept(children) = body {
            self.add(Node::Section(Section { line, children }));
        }
    }

    /// Puts a node into the innermost section of the tree.
    fn add(&mut self, node: Node) {
        let innermost = self.open.iter_mut().rev().find_map(|open| match &mut open.body {
            Body::Kept(children) => Some(children),
            Body::Spliced | Body::Skipped => None,
        });
        innermost.unwrap_or(&mut self.reading.tree.nodes).push(node);
    }

    fn is_skipping(&self) -> bool {
        matches!(self.open.last(), Some(Open { body: Body::Skipped, .. }))
    }

    /// The kind of place that a line read now stands in.
    pub(crate) fn context(&self) -> Context {
        if self.dialect == Dialect::Htaccess {
            return Context::Htaccess;
        }
        let mut sections = self.open.iter().filter(|open| matches!(open.body, Body::Kept(_)));
        match sections.next_back() {
            None => Context::Server,
            Some(open) if open.line.is("VirtualHost") => Context::VirtualHost,
            Some(_) => Context::Directory,
        }
    }

    fn directive(&mut self, line: &Logical) {
        let Some(name) = words::next(&line.text, 0) else { return };
        let whole = line.span(0..line.text.len());
        let mut directive =
            self.line_of(line, name.range.clone(), name.range.end..line.text.len(), whole);
        if name.quoted {
            directive.name.text = name.text;
            directive.name.quoted = true;
        }
        if directive.name.text.is_empty() {
            self.error(whole, "a directive needs a name");
        } else if let Some(row) = read_time::named(&directive.name.text) {
            self.obey(row, &directive);
        } else {
            self.add(Node::Line(directive));
        }
    }

    /// A line of the tree from ranges of a logical line.
    fn line_of(
        &mut self,
        line: &Logical,
        name: Range<usize>,
        arguments: Range<usize>,
        span: Span,
    ) -> Line {
        let untrimmed = &line.text[arguments.clone()];
        let raw = untrimmed.trim_start_matches(is_space);
        let raw_start = arguments.start + (untrimmed.len() - raw.len());
        let raw = raw.trim_end_matches(is_space);
        let mut found = Vec::new();
        for word in words::split(raw) {
            let span = line.span(raw_start + word.range.start..raw_start + word.range.end);
            if !word.closed && !self.is_skipping() {
                self.warning(span, "this quote is never closed; the word ends with the line");
            }
            let (text, quoted, raw_start) = (word.text, word.quoted, word.range.start);
            found.push(Word { text, span, quoted, raw_start });
        }
        let name_text = line.text[name.clone()].to_string();
        let name = Word { text: name_text, span: line.span(name), quoted: false, raw_start: 0 };
        Line { name, words: found, raw: raw.to_string(), span }
    }

    fn line_bytes_max(&self) -> usize {
        match self.dialect {
            Dialect::Server => LINE_BYTES_MAX,
            Dialect::Htaccess => HTACCESS_LINE_BYTES_MAX,
        }
    }

    fn line_too_long(&mut self, span: Span) {
        let limit = self.line_bytes_max();
        self.error(span, format!("Line too long: more than {limit} bytes"));
    }

    pub(crate) fn error(&mut self, place: impl Into<Span>, message: impl Into<String>) {
        self.report(Diagnostic::error(place, message));
    }

    pub(crate) fn warning(&mut self, place: impl Into<Span>, message: impl Into<String>) {
        self.report(Diagnostic::warning(place, message));
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.is_error());
        self.reading.diagnostics.push(diagnostic);
        if self.errors == ERRORS_MAX && !self.stopped {
            self.stopped = true;
            let problem = Problem::new("too many errors; the rest was not read");
            self.reading.diagnostics.push(Diagnostic::new(Severity::Note, problem));
        }
    }
}

/// Where the arguments of `<Name …>` lie, and where what is behind the last `>` begins. Without any `>`
/// all the rest is taken for arguments.
fn section_arguments(text: &str, name_end: usize, word_end: usize) -> (Range<usize>, usize) {
    match text[word_end..].rfind('>') {
        Some(offset) => (word_end..word_end + offset, word_end + offset + 1),
        None if name_end < word_end => (word_end..word_end, word_end),
        None => (word_end..text.len(), text.len()),
    }
}
