//! What came back, and what should have.

use std::fmt;

/// All bytes of a connection, up to its end.
pub(crate) struct Stream {
    bytes: Vec<u8>,
}

/// An answer as a case wants it.
#[derive(Debug)]
pub(crate) struct Expected {
    /// `None`: content without a head, as HTTP/0.9 has it.
    pub(crate) status: Option<u16>,
    pub(crate) is_to_head: bool,
    pub(crate) wanted: Vec<Wanted>,
}

/// Something about a field, or about the body, as if that were one.
#[derive(Debug)]
pub(crate) enum Wanted {
    Is(String, Vec<u8>),
    Has(String, Vec<u8>),
    Absent(String),
}

/// An answer as it came.
struct Answer<'s> {
    status: u16,
    /// Lines of the head, the first one apart.
    fields: Vec<(&'s str, &'s str)>,
    body: Vec<u8>,
}

impl Stream {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn contains(&self, wanted: &[u8]) -> bool {
        self.bytes.windows(wanted.len()).any(|window| window == wanted)
    }

    /// The same, whenever it was said.
    pub(crate) fn without_dates(&self) -> Vec<u8> {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        lines.filter(|line| !line.starts_with(b"Date: ")).flatten().copied().collect()
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.bytes);
        let shown: String = text.chars().take(2000).collect();
        write!(out, "    {}", shown.trim_end().replace('\n', "\n    "))
    }
}

impl Expected {
    /// Takes the first answer of `stream`, and says what follows it.
    pub(crate) fn check<'s>(&self, stream: &'s [u8]) -> Result<&'s [u8], String> {
        let Some(status) = self.status else {
            let bare = Answer { status: 0, fields: Vec::new(), body: stream.to_vec() };
            return self.check_wanted(&bare).map(|()| &stream[stream.len()..]);
        };
        let (answer, rest) = Answer::read(stream, self.is_to_head)?;
        if answer.status != status {
            return Err(format!("{status} was expected, and not {}", answer.status));
        }
        answer.check_sense()?;
        self.check_wanted(&answer)?;
        Ok(rest)
    }

    fn check_wanted(&self, answer: &Answer<'_>) -> Result<(), String> {
        for wanted in &self.wanted {
            let is_met = match wanted {
                Wanted::Is(name, value) => answer.value(name).is_some_and(|it| it == *value),
                Wanted::Absent(name) => answer.value(name).is_none(),
                Wanted::Has(name, part) => answer
                    .value(name)
                    .is_some_and(|it| it.windows(part.len()).any(|window| window == *part)),
            };
            if !is_met {
                return Err(format!("{wanted:?} was expected"));
            }
        }
        Ok(())
    }
}

impl<'s> Answer<'s> {
    fn read(stream: &'s [u8], is_to_head: bool) -> Result<(Self, &'s [u8]), String> {
        let end = find(stream, b"\r\n\r\n").ok_or("there is no answer")?;
        let (head, rest) = (&stream[..end], &stream[end + 4..]);
        let head = str::from_utf8(head).map_err(|_| "the head is no text")?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .ok_or("an answer has no status line")?;
        let fields: Option<_> = lines.map(|line| line.split_once(": ")).collect();
        let mut answer =
            Self { status, fields: fields.ok_or("a field has no colon")?, body: Vec::new() };
        let has_body = !is_to_head && !matches!(status, 100..=199 | 204 | 304);
        let rest = if has_body { answer.read_body(rest)? } else { rest };
        Ok((answer, rest))
    }

    fn read_body(&mut self, rest: &'s [u8]) -> Result<&'s [u8], String> {
        if self.field("transfer-encoding").is_some() {
            return self.read_chunks(rest);
        }
        let length = match self.field("content-length") {
            Some(length) => length.parse().map_err(|_| "a length is no number")?,
            None => rest.len(),
        };
        let (body, rest) = rest.split_at_checked(length).ok_or("a body is cut")?;
        self.body = body.to_vec();
        Ok(rest)
    }

    fn read_chunks(&mut self, mut rest: &'s [u8]) -> Result<&'s [u8], String> {
        loop {
            let end = find(rest, b"\r\n").ok_or("a chunk is cut")?;
            let size = str::from_utf8(&rest[..end]).unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(|_| "a chunk has no size")?;
            let (chunk, after) = rest[end + 2..].split_at_checked(size).ok_or("a chunk is cut")?;
            self.body.extend_from_slice(chunk);
            rest = after.strip_prefix(b"\r\n").ok_or("a chunk does not end")?;
            if size == 0 {
                return Ok(rest);
            }
        }
    }

    /// What holds for every answer, whatever the case wants (RFC 9112 sections 6 and 9.6).
    fn check_sense(&self) -> Result<(), String> {
        let count = |name: &str| self.fields.iter().filter(|(it, _)| is_same(it, name)).count();
        if count("content-length") + count("transfer-encoding") > 1 {
            return Err("the answer has two lengths".to_owned());
        }
        let must_close = matches!(self.status, 400 | 408 | 413 | 414 | 501 | 505);
        if must_close && self.field("connection") != Some("close") {
            return Err(format!("{} keeps the connection", self.status));
        }
        Ok(())
    }

    fn field(&self, name: &str) -> Option<&'s str> {
        self.fields.iter().find(|(it, _)| is_same(it, name)).map(|(_, value)| *value)
    }

    /// A field, or the body without its last line end.
    fn value(&self, name: &str) -> Option<Vec<u8>> {
        if name == "body" {
            let body = self.body.strip_suffix(b"\n").unwrap_or(&self.body);
            return Some(body.to_vec());
        }
        self.field(name).map(|value| value.as_bytes().to_vec())
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
