//! The body of a request: where bytes are cut does not matter, and nobody who only knows the grammar sees another end.
//!
//! Two decoders are asked beside ours. The strict one takes what RFC 9112 section 7.1 lets a client send and nothing
//! else, so what it takes must be taken. The loose one takes whatever some server somewhere takes; where that one finds an
//! end, ours must find the same end or none.

use super::{byte, short};
use crate::http::body::{Drain, DrainState};
use crate::http::field;
use crate::http::framing::Framing;
use crate::http::head::HeadLimits;

/// Longer lines of sizes and trailers are refused.
const LINE_BYTES_MAX: usize = 60;
/// So are more lines of trailers than any input here has.
const TRAILER_BYTES_MAX: usize = 1 << 20;

/// An even number for twice a length, or an odd one for chunks; a step; then what arrives.
pub(super) fn check(mut bytes: &[u8]) {
    let framing = match short(&mut bytes) {
        twice if twice % 2 == 0 => Framing::Length(u64::from(twice / 2)),
        _ => Framing::Chunked,
    };
    let step = usize::from(byte(&mut bytes)) % 16 + 1;
    let (used, drain) = drained(framing, bytes.len().max(1), bytes);
    let (used_in_pieces, pieces) = drained(framing, step, bytes);
    let seen = |drain: &Drain| (drain.state(), drain.body_bytes());
    assert_eq!((used_in_pieces, seen(&pieces)), (used, seen(&drain)));
    assert!(used <= bytes.len());
    // Of a body that is too long, what it announces counts.
    assert!(drain.state() == DrainState::TooLong || drain.body_bytes() <= used as u64);
    assert!(
        drain.state() != DrainState::More || used == bytes.len(),
        "what belongs to it is taken"
    );

    match framing {
        Framing::None => unreachable!("not asked for"),
        Framing::Length(length) => {
            let there = length.min(bytes.len() as u64);
            let state = if there == length { DrainState::Done } else { DrainState::More };
            assert_eq!((used as u64, seen(&drain)), (there, (state, there)));
        }
        Framing::Chunked => {
            let ours = End::of(used, &drain);
            match (Decoder { is_strict: true }).end(bytes) {
                End::Bad => {}
                strict @ (End::At { .. } | End::Later) => {
                    assert_eq!(ours, strict, "what the RFC allows is taken");
                }
            }
            let loose = (Decoder { is_strict: false }).end(bytes);
            assert!(!matches!(ours, End::At { .. }) || ours == loose, "{ours:?}, and {loose:?}");
        }
    }
}

fn drained(framing: Framing, step: usize, bytes: &[u8]) -> (usize, Drain) {
    let limits = HeadLimits {
        head_bytes_max: TRAILER_BYTES_MAX,
        ..HeadLimits::new(LINE_BYTES_MAX, LINE_BYTES_MAX, 100)
    };
    let mut drain = Drain::new(framing, &limits);
    let used = bytes.chunks(step).map(|piece| drain.feed(piece).0).sum();
    (used, drain)
}

/// Where a chunked body ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// After `length` bytes, `body_bytes` of them its own.
    At {
        length: usize,
        body_bytes: u64,
    },
    /// Not within what has arrived.
    Later,
    Bad,
}

impl End {
    fn of(used: usize, drain: &Drain) -> End {
        match drain.state() {
            DrainState::Done => End::At { length: used, body_bytes: drain.body_bytes() },
            DrainState::More => End::Later,
            DrainState::Bad | DrainState::TooLong => End::Bad,
        }
    }
}

/// Somebody else's idea of chunks, on bytes that are all there.
struct Decoder {
    is_strict: bool,
}

impl Decoder {
    fn end(&self, bytes: &[u8]) -> End {
        let mut at = 0;
        let mut body_bytes = 0_u64;
        loop {
            let (size, after) = match self.line(bytes, at) {
                Ok((line, after)) => match self.size(line) {
                    Some(size) => (size, after),
                    None => return End::Bad,
                },
                Err(end) => return end,
            };
            if size == 0 {
                return self.trailers(bytes, after, body_bytes);
            }
            let Some(total) = body_bytes.checked_add(size) else { return End::Bad };
            if size > (bytes.len() - after) as u64 {
                return End::Later;
            }
            body_bytes = total;
            let data_end = after + usize::try_from(size).unwrap();
            at = match &bytes[data_end..] {
                [b'\r', b'\n', ..] => data_end + 2,
                [] | [b'\r'] => return End::Later,
                _ => return End::Bad,
            };
        }
    }

    fn trailers(&self, bytes: &[u8], mut at: usize, body_bytes: u64) -> End {
        loop {
            let (line, after) = match self.line(bytes, at) {
                Ok(found) => found,
                Err(end) => return end,
            };
            if line.is_empty() {
                return End::At { length: after, body_bytes };
            }
            let colon = memchr::memchr(b':', line);
            let is_field = colon.is_some_and(|colon| {
                field::is_token(&line[..colon]) && field::is_value(&line[colon + 1..])
            });
            if self.is_strict && !is_field {
                return End::Bad;
            }
            at = after;
        }
    }

    /// The line at `at` and where the next one begins. The strict decoder will not say that a line goes on which may
    /// already be wrong.
    fn line<'b>(&self, bytes: &'b [u8], at: usize) -> Result<(&'b [u8], usize), End> {
        let rest = &bytes[at..];
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return Err(match self.is_strict && !rest.is_empty() {
                true => End::Bad,
                false => End::Later,
            });
        };
        let line = rest[..end].strip_suffix(b"\r").ok_or(End::Bad)?;
        match self.is_strict && (line.contains(&b'\r') || line.len() > LINE_BYTES_MAX) {
            true => Err(End::Bad),
            false => Ok((line, at + end + 1)),
        }
    }

    fn size(&self, line: &[u8]) -> Option<u64> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (number, rest) = line.split_at(digits);
        let number = std::str::from_utf8(number).ok()?;
        let size = u64::from_str_radix(number, 16).ok()?;
        let is_good = rest.is_empty() || is_plain_extension(rest);
        (is_good || !self.is_strict).then_some(size)
    }
}

/// `;name=value`, both of them tokens: the least that everybody means by an extension.
fn is_plain_extension(rest: &[u8]) -> bool {
    let Some(extension) = rest.strip_prefix(b";") else { return false };
    let mut words = extension.splitn(2, |byte| *byte == b'=');
    words.all(field::is_token)
}
