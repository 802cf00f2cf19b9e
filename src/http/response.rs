//! # response: the head of an answer, written in Apache's order
//!
//! ```text
//! HTTP/1.1 200 OK
//! Date: …                begin
//! Server: …
//! Last-Modified: …       field, number, in the order of the calls
//! Content-Length: …
//! Keep-Alive: …          finish: what becomes of the connection,
//! Connection: …
//! Transfer-Encoding: …
//! Content-Type: …        and the type last
//! ```
//!
//! - The head goes straight into the buffer that is sent.
//! - The status line is HTTP/1.1 unless the configuration insists: it says what we are able to speak, not what the
//!   client speaks.
//! - A field that would break the head is refused, so nothing from a file name or a back end can
//!   start a new line.
//! - A head that is dropped before `finish` leaves no trace in the buffer.

use std::fmt;
use std::io::Write as _;

use crate::http::date::DateText;
use crate::http::field;
use crate::http::keepalive::Fate;
use crate::http::status::Status;

/// A response head being written. Drop it to take it back.
#[derive(Debug)]
pub struct ResponseHead<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    chunked: bool,
    finished: bool,
}

/// A field whose name is no token, or whose value has a control character: the answer becomes a
/// 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidField;

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a response header field has an invalid name or value")
    }
}

impl std::error::Error for InvalidField {}

impl<'o> ResponseHead<'o> {
    /// Begins with the status line, `Date` and, unless it is empty, `Server`.
    ///
    /// # Errors
    /// The server's name cannot stand in a field.
    pub fn begin(
        out: &'o mut Vec<u8>,
        status: Status,
        date: &DateText,
        server: &str,
    ) -> Result<ResponseHead<'o>, InvalidField> {
        let start = out.len();
        let mut head = ResponseHead { out, start, chunked: false, finished: false };
        head.push_number(b"HTTP/1.1 ", u64::from(status.code()));
        head.push(b" "); // The blank stays even if there is no phrase (RFC 9112 section 4).
        head.push(status.reason().as_bytes());
        head.push(b"\r\nDate: ");
        head.push(date);
        head.push(b"\r\n");
        if !server.is_empty() {
            head.field("Server", server.as_bytes())?;
        }
        Ok(head)
    }

    /// Makes it `HTTP/1.0` in the status line, for a client that cannot bear more.
    pub fn speak_http10(&mut self) {
        self.out[self.start..][..8].copy_from_slice(b"HTTP/1.0");
    }

    /// Says that the body comes in chunks.
    pub fn chunked(&mut self) {
        self.chunked = true;
    }

    /// Appends a field.
    ///
    /// # Errors
    /// The name is no token, or the value has a control character. Nothing of the field is written
    /// then.
    pub fn field(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidField> {
        if !field::is_token(name.as_bytes()) || !field::is_value(value) {
            return Err(InvalidField);
        }
        self.push(name.as_bytes());
        self.push(b": ");
        self.push(value);
        self.push(b"\r\n");
        Ok(())
    }

    /// Appends `Content-Length`.
    pub fn content_length(&mut self, bytes: u64) {
        self.push_number(b"Content-Length: ", bytes);
        self.push(b"\r\n");
    }

    /// Ends the head with what becomes of the connection and the type of the body, if it has one.
    ///
    /// # Errors
    /// The type cannot stand in a field; the whole head is taken back.
    pub fn finish(mut self, fate: Fate, content_type: Option<&[u8]>) -> Result<(), InvalidField> {
        match fate {
            Fate::Close => self.push(b"Connection: close\r\n"),
            Fate::Keep => {}
            Fate::KeepAnnounced { timeout_secs, left } => {
                self.push_number(b"Keep-Alive: timeout=", timeout_secs);
                if let Some(left) = left {
                    self.push_number(b", max=", u64::from(left));
                }
                self.push(b"\r\nConnection: Keep-Alive\r\n");
            }
        }
        if self.chunked {
            self.push(b"Transfer-Encoding: chunked\r\n");
        }
        if let Some(content_type) = content_type {
            self.field("Content-Type", content_type)?;
        }
        self.push(b"\r\n");
        self.finished = true;
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn push_number(&mut self, before: &[u8], number: u64) {
        self.push(before);
        write!(self.out, "{number}").expect("a Vec takes every byte");
    }
}

impl Drop for ResponseHead<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// `HTTP/1.1 100 Continue`: the client may send its body. It is no answer yet, so it has neither
/// `Date` nor fields.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{InvalidField, ResponseHead};
    use crate::http::date;
    use crate::http::keepalive::Fate;
    use crate::http::status::Status;

    const START: &str =
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: Herdgate\r\n";

    fn begin(out: &mut Vec<u8>) -> ResponseHead<'_> {
        ResponseHead::begin(out, Status::OK, &date::format(784_111_777), "Herdgate").unwrap()
    }

    #[track_caller]
    fn check_end(fate: Fate, content_type: Option<&str>, expected: &str) {
        let mut out = Vec::new();
        begin(&mut out).finish(fate, content_type.map(str::as_bytes)).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{START}{expected}\r\n"));
    }

    #[test]
    fn fields_follow_in_apaches_order() {
        let mut out = b"earlier".to_vec();
        let mut head = begin(&mut out);
        head.field("ETag", b"\"21-60a24181e4000\"").unwrap();
        head.content_length(33);
        let fate = Fate::KeepAnnounced { timeout_secs: 5, left: Some(100) };
        head.finish(fate, Some(b"text/html")).unwrap();
        let expected = format!(
            "earlier{START}ETag: \"21-60a24181e4000\"\r\nContent-Length: 33\r\n\
             Keep-Alive: timeout=5, max=100\r\nConnection: Keep-Alive\r\n\
             Content-Type: text/html\r\n\r\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn the_connections_fate_is_told_before_the_type() {
        check_end(Fate::Keep, None, "");
        check_end(Fate::Close, Some("a/b"), "Connection: close\r\nContent-Type: a/b\r\n");
        check_end(
            Fate::KeepAnnounced { timeout_secs: 15, left: None },
            None,
            "Keep-Alive: timeout=15\r\nConnection: Keep-Alive\r\n",
        );
    }

    #[test]
    fn chunks_are_announced_and_a_weak_client_is_humoured() {
        let mut out = Vec::new();
        let mut head = begin(&mut out);
        head.chunked();
        head.finish(Fate::Close, Some(b"a/b")).unwrap();
        let expected = "Connection: close\r\nTransfer-Encoding: chunked\r\nContent-Type: a/b\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{START}{expected}\r\n"));
        let mut out = b"earlier".to_vec();
        let mut head = begin(&mut out);
        head.speak_http10();
        head.finish(Fate::Close, None).unwrap();
        assert!(out.starts_with(b"earlierHTTP/1.0 200 OK\r\n"));
    }

    #[test]
    fn a_status_without_a_phrase_keeps_its_blank() {
        let mut out = Vec::new();
        let status = Status::new(599).unwrap();
        let head = ResponseHead::begin(&mut out, status, &date::format(0), "").unwrap();
        head.finish(Fate::Keep, None).unwrap();
        assert_eq!(out, b"HTTP/1.1 599 \r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n");
    }

    #[test]
    fn what_would_split_the_head_is_refused_and_leaves_no_trace() {
        let mut out = b"earlier".to_vec();
        for (name, value) in [("A", "b\r\nC: d"), ("A b", "c"), ("", "c"), ("A:", "b"), ("A", "\0")]
        {
            let mut head = begin(&mut out);
            assert_eq!(head.field(name, value.as_bytes()), Err(InvalidField), "{name} {value:?}");
        }
        assert_eq!(begin(&mut out).finish(Fate::Keep, Some(b"a\nb")), Err(InvalidField));
        assert!(ResponseHead::begin(&mut out, Status::OK, &date::format(0), "a\r\nb").is_err());
        assert_eq!(out, b"earlier");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_field_adds_a_line(
            name in "\\PC{0,8}",
            value in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let mut out = Vec::new();
            let mut head = begin(&mut out);
            let accepted = head.field(&name, &value).is_ok();
            head.finish(Fate::Keep, None).unwrap();
            let lines = out.split(|&byte| byte == b'\n').count();
            prop_assert_eq!(lines, START.split('\n').count() + 1 + usize::from(accepted));
        }
    }
}
