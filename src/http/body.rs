//! # body: reading a request's body only to throw it away
//!
//! ```text
//! Length:   ████████████ Done
//! Chunked:  size ⏎ ████ ⏎ size ⏎ ██████ ⏎ 0 ⏎ trailer ⏎ ⏎ Done
//! ```
//!
//! - The next request on the connection begins only after the body of this one, so somebody has to
//!   find its end. Where a length was announced, the response may go out before.
//! - Any split of the bytes gives the same answer, and nothing is kept but counters.
//! - Lines are bounded and end with CR LF, extensions have a grammar, blanks around sizes do not
//!   exist: whatever else comes is `Bad`, and then the connection cannot be kept.

use crate::http::field;
use crate::http::framing::Framing;
use crate::http::head::HeadLimits;

/// Where a [`Drain`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainState {
    /// The body goes on: feed more.
    More,
    /// The body has ended; what was not used belongs to the next request.
    Done,
    /// The chunks are malformed: nobody knows where the body ends.
    Bad,
    /// There are more bytes than anybody wants to read.
    TooLong,
}

/// Consumes one request body.
#[derive(Clone, Debug)]
pub struct Drain {
    step: Step,
    /// Bytes of the current size line or trailer so far.
    line_bytes: usize,
    line_bytes_max: usize,
    /// Bytes of all extensions and trailers so far.
    extra_bytes: usize,
    extra_bytes_max: usize,
    body_bytes: u64,
    body_bytes_max: u64,
}

/// What the next byte must be, in the order of a body's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// This many bytes of a body whose length was announced.
    Length(u64),
    /// The first digit of a chunk's size.
    Size,
    /// Another digit, or the end of the digits.
    MoreSize(u64),
    /// Inside an extension, which nobody defines and we skip.
    Extension(u64, Extension),
    /// The LF of a size line.
    SizeLineFeed(u64),
    /// This many bytes of a chunk.
    Data(u64),
    /// The CR after a chunk's data.
    DataReturn,
    /// The LF after it.
    DataLineFeed,
    /// The first byte of a trailer, or the CR of the empty line that ends the body.
    Trailer,
    /// The rest of a trailer's name.
    TrailerName,
    /// A trailer's value.
    TrailerValue,
    /// The LF of a trailer.
    TrailerLineFeed,
    /// The very last LF.
    LastLineFeed,
    Done,
    Bad,
    TooLong,
}

/// Where in `;name=value` or `;name="quoted \" value"` (RFC 9112 section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// Behind the semicolon, perhaps with blanks.
    BeforeName,
    Name,
    /// A blank behind a name.
    AfterName,
    /// Behind the equals sign, perhaps with blanks.
    BeforeValue,
    Value,
    Quoted,
    /// Behind a backslash.
    QuotedPair,
    /// Behind the second quote.
    QuoteEnd,
    /// A blank behind a value.
    AfterValue,
}

impl Drain {
    /// Prepares to discard a body. A size line or a trailer may be as long as a header field,
    /// extensions and trailers together as long as a head.
    pub const fn new(framing: Framing, limits: &HeadLimits) -> Drain {
        let step = match framing {
            Framing::None | Framing::Length(0) => Step::Done,
            Framing::Length(length) => Step::Length(length),
            Framing::Chunked => Step::Size,
        };
        Drain {
            step,
            line_bytes: 0,
            line_bytes_max: limits.field_bytes_max,
            extra_bytes: 0,
            extra_bytes_max: limits.head_bytes_max,
            body_bytes: 0,
            body_bytes_max: u64::MAX,
        }
    }

    /// The same, but a body with more bytes than this is `TooLong` as soon as that is known.
    pub const fn up_to(self, body_bytes_max: u64) -> Drain {
        Drain { body_bytes_max, ..self }
    }

    /// Where it stands now.
    pub const fn state(&self) -> DrainState {
        match self.step {
            Step::Done => DrainState::Done,
            Step::Bad => DrainState::Bad,
            Step::TooLong => DrainState::TooLong,
            Step::Length(_)
            | Step::Size
            | Step::MoreSize(_)
            | Step::Extension(..)
            | Step::SizeLineFeed(_)
            | Step::Data(_)
            | Step::DataReturn
            | Step::DataLineFeed
            | Step::Trailer
            | Step::TrailerName
            | Step::TrailerValue
            | Step::TrailerLineFeed
            | Step::LastLineFeed => DrainState::More,
        }
    }

    /// Bytes of the body itself so far, without sizes and line ends: what `LimitRequestBody`
    /// counts. Of a body that is too long, so many as it has at least.
    pub const fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Consumes the part of `bytes` that belongs to the body, and says how long that part was and
    /// what comes next.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, DrainState) {
        let mut used = 0;
        while used < bytes.len() && self.state() == DrainState::More {
            let rest = &bytes[used..];
            used += if let Step::Length(left) = self.step {
                self.skip(left, rest, Step::Length, Step::Done)
            } else if let Step::Data(left) = self.step {
                self.skip(left, rest, Step::Data, Step::DataReturn)
            } else {
                self.step = self.next_step(self.step, rest[0]);
                1
            };
        }
        (used, self.state())
    }

    /// Skips what is there of `left` bytes of data.
    fn skip(
        &mut self,
        left: u64,
        bytes: &[u8],
        unfinished: fn(u64) -> Step,
        finished: Step,
    ) -> usize {
        let skipped = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let left = left - skipped as u64;
        self.body_bytes = self.body_bytes.saturating_add(skipped as u64);
        self.step = if left == 0 { finished } else { unfinished(left) };
        skipped
    }

    /// The grammar of RFC 9112 section 7.1, one byte at a time.
    fn next_step(&mut self, step: Step, byte: u8) -> Step {
        if !self.line_has_room(step) {
            return Step::Bad;
        }
        if let Step::Extension(size, within) = step {
            return within.next(size, byte);
        }
        match (step, byte) {
            (Step::Size, _) => push_digit(0, byte),
            (Step::MoreSize(size), b';') => Step::Extension(size, Extension::BeforeName),
            (Step::MoreSize(size), b'\r') => Step::SizeLineFeed(size),
            (Step::MoreSize(size), _) => push_digit(size, byte),
            (Step::SizeLineFeed(size), b'\n') => self.begin_chunk(size),
            (Step::DataReturn, b'\r') => Step::DataLineFeed,
            (Step::DataLineFeed, b'\n') => {
                self.line_bytes = 0;
                Step::Size
            }
            (Step::Trailer, b'\r') => Step::LastLineFeed,
            (Step::Trailer | Step::TrailerName, _) if field::is_token_byte(byte) => {
                Step::TrailerName
            }
            (Step::TrailerName, b':') => Step::TrailerValue,
            (Step::TrailerValue, b'\r') => Step::TrailerLineFeed,
            (Step::TrailerValue, _) if field::is_value(&[byte]) => Step::TrailerValue,
            (Step::TrailerLineFeed, b'\n') => {
                self.line_bytes = 0;
                Step::Trailer
            }
            (Step::LastLineFeed, b'\n') => Step::Done,
            _ => Step::Bad,
        }
    }

    fn begin_chunk(&mut self, size: u64) -> Step {
        self.line_bytes = 0;
        if size == 0 {
            return Step::Trailer;
        }
        match self.body_bytes.checked_add(size) {
            Some(total) if total <= self.body_bytes_max => Step::Data(size),
            total => {
                self.body_bytes = total.unwrap_or(u64::MAX);
                Step::TooLong
            }
        }
    }

    /// Counts a byte of a line, its two last ones apart from its length, and of what is extra.
    fn line_has_room(&mut self, step: Step) -> bool {
        let is_extra = matches!(
            step,
            Step::Extension(..) | Step::Trailer | Step::TrailerName | Step::TrailerValue
        );
        self.extra_bytes += usize::from(is_extra);
        self.line_bytes += 1;
        self.line_bytes <= self.line_bytes_max.saturating_add(2)
            && self.extra_bytes <= self.extra_bytes_max
    }
}

impl Extension {
    /// Where the next byte of a size line leads that announces a chunk of `size` bytes.
    fn next(self, size: u64, byte: u8) -> Step {
        let next = match (self, byte) {
            (Self::Name | Self::Value | Self::QuoteEnd, b'\r') => return Step::SizeLineFeed(size),
            (Self::Name | Self::AfterName, b'=') => Self::BeforeValue,
            (
                Self::Name | Self::AfterName | Self::Value | Self::QuoteEnd | Self::AfterValue,
                b';',
            ) => Self::BeforeName,
            (Self::BeforeName | Self::BeforeValue, b' ' | b'\t') => self,
            (Self::Name | Self::AfterName, b' ' | b'\t') => Self::AfterName,
            (Self::Value | Self::QuoteEnd | Self::AfterValue, b' ' | b'\t') => Self::AfterValue,
            (Self::BeforeValue | Self::Quoted, b'"') => {
                if self == Self::Quoted {
                    Self::QuoteEnd
                } else {
                    Self::Quoted
                }
            }
            (Self::Quoted, b'\\') => Self::QuotedPair,
            (Self::Quoted | Self::QuotedPair, _) if field::is_value(&[byte]) => Self::Quoted,
            (Self::BeforeName | Self::Name, _) if field::is_token_byte(byte) => Self::Name,
            (Self::BeforeValue | Self::Value, _) if field::is_token_byte(byte) => Self::Value,
            _ => return Step::Bad,
        };
        Step::Extension(size, next)
    }
}

fn push_digit(size: u64, byte: u8) -> Step {
    let Some(digit) = char::from(byte).to_digit(16) else { return Step::Bad };
    match size.checked_mul(16) {
        Some(size) => Step::MoreSize(size + u64::from(digit)), // The low four bits are free.
        None => Step::Bad,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Drain, DrainState};
    use crate::http::framing::Framing;
    use crate::http::head::HeadLimits;

    /// Feeds everything at once: how much was used, the state, the bytes of the body.
    fn drain(framing: Framing, bytes: &[u8]) -> (usize, DrainState, u64) {
        let mut drain = Drain::new(framing, &HeadLimits::new(100, 20, 10));
        let (used, state) = drain.feed(bytes);
        (used, state, drain.body_bytes())
    }

    /// A complete chunked body, followed by the next request.
    #[track_caller]
    fn check_good(body: &str, body_bytes: u64) {
        let bytes = format!("{body}GET /");
        let found = drain(Framing::Chunked, bytes.as_bytes());
        assert_eq!(found, (body.len(), DrainState::Done, body_bytes), "{body:?}");
    }

    #[track_caller]
    fn check_bad(body: &str) {
        let (used, state, _) = drain(Framing::Chunked, body.as_bytes());
        assert_eq!((used, state), (body.len(), DrainState::Bad), "{body:?}");
    }

    #[test]
    fn a_body_of_known_length_ends_there() {
        assert_eq!(drain(Framing::None, b"GET"), (0, DrainState::Done, 0));
        assert_eq!(drain(Framing::Length(0), b"GET"), (0, DrainState::Done, 0));
        assert_eq!(drain(Framing::Length(3), b"abcGET"), (3, DrainState::Done, 3));
        assert_eq!(drain(Framing::Length(4), b"abc"), (3, DrainState::More, 3));
        assert_eq!(drain(Framing::Length(u64::MAX), b"abc"), (3, DrainState::More, 3));
    }

    #[test]
    fn chunks_end_with_the_one_of_size_zero() {
        check_good("0\r\n\r\n", 0);
        check_good("3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n", 13);
        check_good("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", 1);
    }

    #[test]
    fn extensions_have_names_and_perhaps_values() {
        for line in [
            ";a",
            ";a=b",
            ";a;b;c=d",
            ";a=\"b c\"",
            ";a=\"\"",
            ";a=\"\\\";\\\\\"",
            ";a=\"b\";c",
            "; \ta \t=\t b ;e",
            ";a=\"b\" ;e",
        ] {
            check_good(&format!("1{line}\r\nx\r\n0{line}\r\n\r\n"), 1);
        }
        for line in [
            ";\r",
            ";;",
            ";=",
            "; \r",
            ";a=\r",
            ";a=;",
            ";a \r",
            ";a=b \r",
            ";a=\"b\r",
            ";a=\"b\"c",
            ";a b",
            ";a=b\"",
            ";a=b c",
            ";a=\"\\\r",
            ";a\n",
            ";a=\"\n",
            ";a=\"b\"\n",
            ";\"",
            ";a=\"\0",
            ";a:",
            ";a==",
        ] {
            check_bad(&format!("1{line}"));
        }
    }

    #[test]
    fn a_body_that_is_too_long_is_known_by_its_sizes() {
        let limits = HeadLimits::default();
        let drain = |bytes: &[u8]| {
            let mut drain = Drain::new(Framing::Chunked, &limits).up_to(10);
            (drain.feed(bytes).1, drain.body_bytes())
        };
        assert_eq!(drain(b"5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n"), (DrainState::Done, 10));
        assert_eq!(drain(b"5\r\n12345\r\n6\r\n"), (DrainState::TooLong, 11));
        assert_eq!(drain(b"1\r\n1\r\nffffffffffffffff\r\n"), (DrainState::TooLong, u64::MAX));
    }

    #[test]
    fn malformed_chunks_are_bad_at_the_first_wrong_byte() {
        for body in [
            "\r",
            "g",
            "-",
            " ",
            ";",
            "1\n",
            "1\r\r",
            "1 ",
            "1\t",
            "0x",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\r\r",
            "0\r\n\n",
            "0\r\n:",
            "0\r\n ",
            "0\r\nA ",
            "0\r\nA\r",
            "0\r\nA:\n",
            "0\r\nA:\r\r",
            "0\r\n\r\r",
            "10000000000000000",
            "1\r\na0",
        ] {
            check_bad(body);
        }
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        check_good(&format!("{}\r\n\r\n", "0".repeat(20)), 0);
        check_bad(&"0".repeat(23));
        check_good(&format!("1\r\na\r\n{}\r\n\r\n", "0".repeat(20)), 1);
        check_good(&format!("0\r\nA:{}\r\n\r\n", "b".repeat(18)), 0);
        check_bad(&format!("0\r\nA:{}", "b".repeat(21)));
        let limits = HeadLimits { head_bytes_max: 50, ..HeadLimits::new(100, 20, 10) };
        let mut drain = Drain::new(Framing::Chunked, &limits);
        drain.feed(b"0\r\n");
        assert_eq!(drain.feed(&b"A: b\r\n".repeat(100)).1, DrainState::Bad);
        let mut drain = Drain::new(Framing::Chunked, &limits);
        assert_eq!(drain.feed(&b"1;abcdef\r\nx\r\n".repeat(100)).1, DrainState::Bad);
    }

    fn almost_chunks() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::sample::select(vec![
            "3\r\nabc\r\n",
            "0\r\n",
            "\r\n",
            "A: b\r\n",
            "1;x\r\n",
            "1;x=\"",
            "z",
            "5\r\n",
            "hello",
            "\n",
            "\r",
            " ",
        ]);
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_split_gives_the_same_answer(
            bytes in almost_chunks(),
            framing in prop_oneof![Just(Framing::Chunked), (0_u64..40).prop_map(Framing::Length)],
            step in 1_usize..7,
        ) {
            let mut pieces = Drain::new(framing, &HeadLimits::new(100, 20, 10));
            let mut used = 0;
            for piece in bytes.chunks(step) {
                used += pieces.feed(piece).0;
            }
            prop_assert_eq!((used, pieces.state(), pieces.body_bytes()), drain(framing, &bytes));
        }

        #[test]
        fn what_is_written_in_chunks_is_drained(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..6),
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            let length = chunks.iter().map(Vec::len).sum::<usize>() as u64;
            prop_assert_eq!(drain(Framing::Chunked, &body), (body.len(), DrainState::Done, length));
        }
    }
}
