//! # The error log
//!
//! ```text
//! [Sat Nov 21 09:24:08.340226 2026] [core:error] [pid 1:tid 1] (13)Permission denied: [client 10.0.0.1:4711] AH00035: …
//! ```
//!
//! - Apache's line, so that the tools that read Apache's error log read ours.
//! - One line is one `write`: lines of several processes do not mix.
//! - Notices are always written, whatever `LogLevel` says: service scripts wait for `resuming normal operations`.
//! - A message holds foreign bytes only as [`Quoted`], and control characters are escaped once more on the way out.

use super::clock::{LogClock, Moment};
use super::error_format::{AboutRequest, ErrorFormats, Facts};
use super::file::LogFile;
use crate::modules::core::{Level, LogLevels};
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Apache cuts lines here, and so do many readers.
const LINE_BYTES_MAX: usize = 8192;

/// One host's error log. Cloning shares the file.
#[derive(Clone, Debug)]
pub struct ErrorLog {
    file: Arc<LogFile>,
    levels: LogLevels,
    /// `ErrorLogFormat` with the host's name; `None` is Apache's usual line.
    style: Option<Arc<(ErrorFormats, String)>>,
    /// The clock of whoever writes; contended only when several threads of a process report errors at once.
    clock: Arc<Mutex<LogClock>>,
}

impl ErrorLog {
    /// An error log that appends to `file` what `levels` let through.
    pub fn new(file: Arc<LogFile>, levels: LogLevels) -> ErrorLog {
        ErrorLog { file, levels, style: None, clock: Arc::default() }
    }

    /// The same with lines in formats of their own. `server_name` is the host's.
    #[must_use]
    pub fn with_formats(self, formats: &ErrorFormats, server_name: &str) -> ErrorLog {
        let style = || Arc::new((formats.clone(), server_name.to_string()));
        ErrorLog { style: (!formats.is_empty()).then(style), ..self }
    }

    /// The same file with other levels: virtual hosts that name no log of their own share the server's.
    pub fn with_levels(&self, levels: LogLevels) -> ErrorLog {
        ErrorLog { levels, ..self.clone() }
    }

    /// The file below, for instance to become the standard error of the process.
    pub fn file(&self) -> &Arc<LogFile> {
        &self.file
    }

    /// Starts a line. Nothing is written before [`Entry::say`].
    ///
    /// ```text
    /// log.at(Level::Error, "core").client(peer).because(&error).say(format_args!("AH00035: …"));
    /// ```
    pub fn at(&self, level: Level, module: &'static str) -> Entry<'_> {
        Entry {
            log: self,
            levels: &self.levels,
            level,
            module,
            cause: None,
            client: None,
            referer: None,
            about: None,
            held: None,
        }
    }

    /// Writes lines that were held back; see [`Entry::held_in`].
    pub fn write_held(&self, lines: &[u8]) {
        if !lines.is_empty() {
            let _there_is_nobody_left_to_tell = self.file.append(lines);
        }
    }
}

/// A line of the error log under construction.
#[must_use = "nothing is written before `say`"]
#[derive(Debug)]
pub struct Entry<'e> {
    log: &'e ErrorLog,
    levels: &'e LogLevels,
    level: Level,
    module: &'static str,
    cause: Option<&'e io::Error>,
    client: Option<SocketAddr>,
    referer: Option<&'e [u8]>,
    about: Option<&'e dyn AboutRequest>,
    held: Option<&'e RefCell<Vec<u8>>>,
}

impl<'e> Entry<'e> {
    /// Keeps the line in `lines` instead of writing it: what is tried inline may be tried again by a job, and would
    /// then be told twice.
    pub fn held_in(self, lines: &'e RefCell<Vec<u8>>) -> Self {
        Entry { held: Some(lines), ..self }
    }

    /// Filters by a section's levels instead of the host's.
    pub fn filtered_by(self, levels: &'e LogLevels) -> Self {
        Entry { levels, ..self }
    }

    /// Adds `[client ADDRESS:PORT]`. A client on a Unix socket has none.
    pub fn client(self, client: Option<SocketAddr>) -> Self {
        Entry { client, ..self }
    }

    /// Adds the operating system's reason: `(13)Permission denied:`.
    pub fn because(self, cause: &'e io::Error) -> Self {
        Entry { cause: Some(cause), ..self }
    }

    /// Says which request it is about, for formats that ask.
    pub(crate) fn about(self, request: &'e dyn AboutRequest) -> Self {
        Entry { about: Some(request), ..self }
    }

    /// Adds `, referer: …` if the request had one.
    pub fn referer(self, referer: Option<&'e [u8]>) -> Self {
        Entry { referer, ..self }
    }

    /// Writes the line, unless the levels hold it back. Foreign bytes belong into [`Quoted`].
    pub fn say(self, message: fmt::Arguments<'_>) {
        if lets_through(self.levels, self.module, self.level) {
            let now = Moment::now();
            let Some(line) = self.render(now, message) else { return };
            let Some(held) = self.held else { return self.log.write_held(&line) };
            let mut lines = held.borrow_mut();
            if lines.is_empty() {
                self.introduce(now, &mut lines);
            }
            lines.extend_from_slice(&line);
        }
    }

    /// The lines that tell about the request itself, before the first one that concerns it.
    fn introduce(&self, now: Moment, lines: &mut Vec<u8>) {
        let Some((formats, name)) = self.log.style.as_deref() else { return };
        for format in &formats.request {
            let mut line = Line::default();
            let facts = self.facts(now, name, format_args!(""));
            if format.write(&mut line, &facts).unwrap_or(false) {
                lines.extend_from_slice(&line.finish());
            }
        }
    }

    /// `None`: the format wants no line.
    fn render(&self, now: Moment, message: fmt::Arguments<'_>) -> Option<Vec<u8>> {
        let mut line = Line::default();
        // Writing to a `Line` cannot fail: it cuts what does not fit.
        let style = self.log.style.as_deref();
        let own = style.and_then(|(formats, name)| Some((formats.line.as_deref()?, name)));
        let written = match own {
            None => self.render_to(&mut line, now, message).is_ok(),
            Some((format, name)) => {
                format.write(&mut line, &self.facts(now, name, message)).unwrap_or(false)
            }
        };
        written.then(|| line.finish())
    }

    fn facts<'f>(
        &'f self,
        now: Moment,
        server_name: &'f str,
        message: fmt::Arguments<'_>,
    ) -> Facts<'f> {
        Facts {
            time: self.log.clock.lock().unwrap_or_else(PoisonError::into_inner).local(now),
            now,
            level: self.level,
            module: self.module,
            cause: self.cause.map(|cause| Reason(cause).to_string()),
            client: self.client.map(|client| client.to_string()),
            referer: self.referer.map(|referer| Quoted(referer).to_string()),
            server_name,
            about: self.about,
            message: message.to_string(),
        }
    }

    fn render_to(&self, line: &mut Line, now: Moment, message: fmt::Arguments<'_>) -> fmt::Result {
        self.render_place(line, now)?;
        if let Some(cause) = self.cause {
            write!(line, "{}: ", Reason(cause))?;
        }
        if let Some(client) = self.client {
            write!(line, "[client {client}] ")?;
        }
        line.write_fmt(message)?;
        if let Some(referer) = self.referer {
            write!(line, ", referer: {}", Quoted(referer))?;
        }
        Ok(())
    }

    /// `[time] [module:level] [pid P:tid T] `
    fn render_place(&self, line: &mut Line, now: Moment) -> fmt::Result {
        let local = self.log.clock.lock().unwrap_or_else(PoisonError::into_inner).local(now);
        let (pid, tid) = (std::process::id(), nix::unistd::gettid());
        write!(line, "[{}.{:06}", local.strftime("%a %b %d %H:%M:%S"), now.micros())?;
        write!(line, " {}] [{}:{}] ", local.strftime("%Y"), self.module, self.level.name())?;
        write!(line, "[pid {pid}:tid {tid}] ")
    }
}

fn lets_through(levels: &LogLevels, module: &str, level: Level) -> bool {
    level <= levels.level(module) || level == Level::Notice
}

/// A line that takes no control character, no byte beyond ASCII and no more than [`LINE_BYTES_MAX`].
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| escape_byte(byte, &mut self.bytes));
        Ok(())
    }
}

impl Line {
    fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(LINE_BYTES_MAX - 1);
        self.bytes.push(b'\n');
        self.bytes
    }
}

/// Foreign bytes in a message: paths, request lines. Control characters, bytes beyond ASCII and the backslash are
/// escaped, the quotation mark is not.
pub struct Quoted<'b>(pub &'b [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaped = Vec::with_capacity(self.0.len());
        for &byte in self.0 {
            if byte == b'\\' {
                escaped.push(b'\\');
            }
            escape_byte(byte, &mut escaped);
        }
        out.write_str(std::str::from_utf8(&escaped).expect("an escaped text is ASCII"))
    }
}

/// Appends one byte, escaped unless it is printable ASCII.
fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b' '..=b'~' => return out.push(byte),
        0x08 => b'b',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x0b => b'v',
        0x00..=0x1f | 0x7f..=0xff => {
            return write!(out, "\\x{byte:02x}").expect("a Vec takes all that is written");
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// `(13)Permission denied`, or the error's own words when it did not come from the operating system.
struct Reason<'e>(&'e io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(number) => {
                let text = self.0.to_string();
                write!(out, "({number}){}", text.split(" (os error").next().unwrap_or(&text))
            }
            None => write!(out, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error_format::ErrorFormat;
    use super::*;
    use proptest::prelude::*;

    fn log_to(path: &std::path::Path, levels: LogLevels) -> ErrorLog {
        ErrorLog::new(Arc::new(LogFile::open(path).unwrap()), levels)
    }

    #[test]
    fn line_has_apaches_shape() {
        let root = tempfile::tempdir().unwrap();
        let log = log_to(&root.path().join("log"), LogLevels::default());
        let denied = io::Error::from_raw_os_error(13);
        log.at(Level::Error, "core")
            .client(Some("10.0.0.1:4711".parse().unwrap()))
            .because(&denied)
            .referer(Some(b"http://x/\"\n"))
            .say(format_args!("AH00035: access to {} denied", Quoted(b"/a\\b\xff")));
        let line = std::fs::read_to_string(root.path().join("log")).unwrap();
        let shape = regex::Regex::new(
            r"^\[[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4}\] \[core:error\] \[pid \d+:tid \d+\] (.*)\n$",
        )
        .unwrap();
        let rest = &shape.captures(&line).unwrap_or_else(|| panic!("unexpected shape: {line}"))[1];
        assert_eq!(
            rest,
            r#"(13)Permission denied: [client 10.0.0.1:4711] AH00035: access to /a\\b\xff denied, referer: http://x/"\n"#
        );
    }

    #[test]
    fn apaches_own_format_makes_the_usual_line() {
        let format = ErrorFormat::compile(
            "[%{u}t] [%-m:%l] [pid %P:tid %T] %7F: %E: [client\\ %a] %M% ,\\ referer:\\ %{Referer}i",
        )
        .unwrap();
        let usual = ErrorLog::new(Arc::new(LogFile::stderr().unwrap()), LogLevels::default());
        let own = {
            let formats = ErrorFormats { line: Some(Arc::new(format)), ..ErrorFormats::default() };
            usual.clone().with_formats(&formats, "example.org")
        };
        let denied = io::Error::from_raw_os_error(13);
        let now = Moment { secs: 1_700_000_000, nanos: 5000 };
        let line = |log: &ErrorLog, everything: bool| {
            let entry = log.at(Level::Error, "core");
            let entry = if everything {
                entry
                    .client(Some("10.0.0.1:4711".parse().unwrap()))
                    .because(&denied)
                    .referer(Some(b"http://x/\n"))
            } else {
                entry
            };
            let line =
                entry.render(now, format_args!("AH00035: {}", Quoted(b"/a\\b\xff"))).unwrap();
            String::from_utf8(line).unwrap()
        };
        assert_eq!(line(&own, false), line(&usual, false));
        assert_eq!(line(&own, true), line(&usual, true));
    }

    #[test]
    fn levels_hold_back_all_but_notices() {
        let levels = LogLevels::default(); // Up to warnings.
        for (level, expected) in [
            (Level::Emerg, true),
            (Level::Error, true),
            (Level::Warn, true),
            (Level::Notice, true),
            (Level::Info, false),
            (Level::Trace(1), false),
        ] {
            assert_eq!(lets_through(&levels, "core", level), expected, "{level:?}");
        }
    }

    proptest! {
        #[test]
        fn message_never_breaks_its_line(foreign: Vec<u8>, text: String) {
            let log = ErrorLog::new(Arc::new(LogFile::stderr().unwrap()), LogLevels::default());
            let line = log
                .at(Level::Error, "core")
                .render(Moment { secs: 0, nanos: 0 }, format_args!("{text} {}", Quoted(&foreign)))
                .unwrap();
            let (end, inside) = line.split_last().unwrap();
            prop_assert_eq!(*end, b'\n');
            prop_assert!(inside.iter().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert!(line.len() <= LINE_BYTES_MAX);
        }
    }
}
