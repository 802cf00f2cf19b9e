//! # framing: where the request's body ends
//!
//! Two parties that disagree here can be made to see different requests in the same bytes (request
//! smuggling), so whatever is ambiguous is refused, also where RFC 9112 section 6.3 would let a
//! server repair it.

use crate::http::fault::Fault;
use crate::http::field::{self, Values};
use crate::http::head::Version;

/// How the end of a request's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// The body has this many bytes.
    Length(u64),
    /// The body comes in chunks, and the last one says so.
    Chunked,
}

impl Framing {
    /// Decides from the two fields that may speak about it.
    ///
    /// # Errors
    /// The fault to answer with before closing: nobody knows where the next request would begin.
    pub fn decide(
        version: Version,
        content_length: Values<'_>,
        transfer_encoding: Values<'_>,
    ) -> Result<Framing, Fault> {
        match (content_length.is_absent(), transfer_encoding.is_absent()) {
            (true, true) => Ok(Framing::None),
            (false, true) => parse_length(content_length),
            // HTTP/1.0 knows no transfer codings: somebody on the way did not understand this field
            // and framed the message in another way (RFC 9112 section 6.1).
            (_, false) if version < Version::Http11 => Err(Fault::TransferEncodingTooOld),
            (true, false) => parse_codings(transfer_encoding),
            (false, false) => Err(Fault::TwoLengths),
        }
    }
}

fn parse_length(values: Values<'_>) -> Result<Framing, Fault> {
    let digits = values.single().ok_or(Fault::ContentLengthRepeated)?;
    if digits.is_empty() {
        return Err(Fault::ContentLengthMalformed);
    }
    let length = digits.iter().try_fold(0_u64, |length, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    });
    length.map(Framing::Length).ok_or(Fault::ContentLengthMalformed)
}

/// One `chunked` is all that counts. An empty place in the list, which RFC 9110 section 5.6.1 would
/// have us skip, is how one server's `chunked` is hidden from another.
fn parse_codings(values: Values<'_>) -> Result<Framing, Fault> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let codings =
        || values.flat_map(|value| value.split(|&byte| byte == b',')).map(field::trim_blanks);
    let chunked = codings().filter(|&coding| is_chunked(coding)).count();
    if chunked != 1 || !codings().last().is_some_and(is_chunked) || !codings().all(is_coding) {
        return Err(Fault::TransferEncodingMalformed);
    }
    if codings().count() > 1 {
        // `gzip, chunked` is legal, but we do not unpack it.
        return Err(Fault::TransferEncodingUnknown);
    }
    Ok(Framing::Chunked)
}

/// Whether a coding begins with its name; parameters may follow.
fn is_coding(coding: &[u8]) -> bool {
    let name_end = coding.iter().position(|byte| matches!(byte, b' ' | b'\t' | b';'));
    field::is_token(&coding[..name_end.unwrap_or(coding.len())])
}

#[cfg(test)]
mod tests {
    use super::Framing;
    use crate::http::fault::Fault;
    use crate::http::field::Values;
    use crate::http::head::Version;

    fn length(text: &str) -> Result<Framing, Fault> {
        Framing::decide(Version::Http11, Values::one(text.as_bytes()), Values::NONE)
    }

    fn coding(text: &str) -> Result<Framing, Fault> {
        Framing::decide(Version::Http11, Values::NONE, Values::one(text.as_bytes()))
    }

    #[test]
    fn lengths_are_digits_that_fit() {
        assert_eq!(length("0"), Ok(Framing::Length(0)));
        assert_eq!(length("0042"), Ok(Framing::Length(42)));
        assert_eq!(length("18446744073709551615"), Ok(Framing::Length(u64::MAX)));
        for text in ["", "+1", "-1", "1 2", "1,1", "0x10", "1.0", "18446744073709551616", "\u{663}"]
        {
            assert_eq!(length(text), Err(Fault::ContentLengthMalformed), "{text:?}");
        }
    }

    #[test]
    fn codings_end_with_exactly_one_chunked() {
        assert_eq!(coding("chunked"), Ok(Framing::Chunked));
        assert_eq!(coding("Chunked"), Ok(Framing::Chunked));
        assert_eq!(coding("gzip, chunked"), Err(Fault::TransferEncodingUnknown));
        for text in [
            "",
            ",chunked",
            "chunked,",
            "gzip,,chunked",
            "\"chunked\"",
            "gzip",
            "identity",
            "chunked, gzip",
            "chunked, chunked",
            "chunked;q=1",
            "xchunked",
        ] {
            assert_eq!(coding(text), Err(Fault::TransferEncodingMalformed), "{text:?}");
        }
    }

    #[test]
    fn two_answers_are_none() {
        let (five, chunked) = (Values::one(b"5"), Values::one(b"chunked"));
        assert_eq!(Framing::decide(Version::Http11, five, chunked), Err(Fault::TwoLengths));
        assert_eq!(
            Framing::decide(Version::Http10, Values::NONE, chunked),
            Err(Fault::TransferEncodingTooOld)
        );
        assert_eq!(Framing::decide(Version::Http10, Values::NONE, Values::NONE), Ok(Framing::None));
    }
}
