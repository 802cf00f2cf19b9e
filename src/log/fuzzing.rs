//! What must hold for every format and every request that is logged by it, see [`crate::fuzzing`].

use std::time::Duration;

use jiff::tz::TimeZone;

use super::access::{After, Fields, Format, Record};
use super::error_format::{ErrorFormat, Facts};
use super::{LogClock, Moment};
use crate::fuzzing::parts;
use crate::modules::core::Level;

/// A format, then what a client has sent.
pub(crate) fn check(bytes: &[u8]) {
    let [format, sent] = parts(bytes);
    let Ok(text) = std::str::from_utf8(format) else { return };
    access(text, sent);
    error(text, sent);
}

fn access(text: &str, sent: &[u8]) {
    let Ok(format) = Format::compile(text) else { return };
    let (harmless, line) = (line(&format, b"harmless"), line(&format, sent));
    assert!(line.ends_with(b"\n"));
    let ends = |line: &[u8]| line.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(ends(&line), ends(&harmless), "nothing that was sent ends a line");
    // Times may be told in any characters; and so may what the format itself writes.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains('\\');
    if is_plain && !text.contains("}t") {
        let shown = line.strip_suffix(b"\n").unwrap_or_default();
        assert!(shown.iter().all(|byte| matches!(byte, b' '..=b'~')), "{}", shown.escape_ascii());
    }
}

fn line(format: &Format, sent: &[u8]) -> Vec<u8> {
    let client = "192.0.2.1:4711".parse().ok();
    let record = Record {
        client,
        received: Moment { secs: 1_700_000_000, nanos: 123_456_789 },
        duration: Duration::from_micros(1234),
        request_line: sent,
        method: b"GET",
        path: sent,
        query: Some(sent),
        status: 404,
        after: After::Kept,
        user: Some(sent),
        server_name: b"example.org",
        host_name: sent,
        file: Some(sent),
        request_fields: &Sent(sent),
        response_fields: &Sent(sent),
        ..Record::default()
    };
    let mut line = Vec::new();
    format.write(&mut line, &record, &mut LogClock::new(TimeZone::UTC));
    line
}

/// All fields say this.
struct Sent<'s>(&'s [u8]);

impl Fields for Sent<'_> {
    fn field(&self, _: &str) -> Option<&[u8]> {
        Some(self.0)
    }
}

fn error(text: &str, sent: &[u8]) {
    let Ok(format) = ErrorFormat::compile(text) else { return };
    let now = Moment { secs: 1_700_000_000, nanos: 123_456_789 };
    let message = String::from_utf8_lossy(sent).into_owned();
    for referer in [None, Some("http://example.org/".to_owned())] {
        let facts = Facts {
            time: LogClock::new(TimeZone::UTC).local(now),
            now,
            level: Level::Trace(3),
            module: "core",
            cause: None,
            client: Some("192.0.2.1:4711".to_owned()),
            referer,
            server_name: "example.org",
            about: None,
            message: message.clone(),
        };
        let mut line = String::new();
        let is_written =
            format.write(&mut line, &facts).expect("a String takes all that is written");
        assert!(is_written || line.is_empty());
    }
}
