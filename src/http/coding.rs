//! # coding: which content coding a client wants
//!
//! ```text
//! Accept-Encoding: gzip;q=0.8, br, identity;q=0.1      br 1, gzip 0.8, identity 0.1
//! ```
//!
//! - A coding is used only if the client names it: neither `*` nor `x-gzip` is taken for a wish, as in Apache.
//! - Of what is accepted, the highest weight wins; among equals, whoever offers decides (RFC 9110 section 12.5.3).

use crate::http::field::{Values, members, trim_blanks};

/// A content coding that we know how to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952
    Gzip,
    /// RFC 7932
    Brotli,
    /// RFC 8878
    Zstd,
}

impl Coding {
    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// What the name of a file in this coding ends with.
    pub const fn extension(self) -> &'static str {
        match self {
            Coding::Gzip => ".gz",
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
        }
    }

    /// What tells the entity tag of a response that we have coded from the plain one's.
    pub const fn tag_suffix(self) -> &'static str {
        match self {
            Coding::Gzip => "-gzip",
            Coding::Brotli => "-br",
            Coding::Zstd => "-zstd",
        }
    }
}

/// How much a client wants what is called `name`, in thousandths; `None` if it does not say. The first mention counts.
pub fn weight(accept: Values<'_>, name: &str) -> Option<u16> {
    accept.flat_map(members).find_map(|member| {
        let mut parts = member.split(|byte| *byte == b';').map(trim_blanks);
        let is_meant = parts.next()?.eq_ignore_ascii_case(name.as_bytes());
        is_meant.then(|| parts.find_map(quality).unwrap_or(1000))
    })
}

/// `q=0.25`: 250. What is malformed counts as 1, since the coding was named.
fn quality(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    let fraction = match value {
        [b'0'] => &b""[..],
        [b'0', b'.', fraction @ ..] if fraction.len() <= 3 => fraction,
        _ => return Some(1000),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Some(1000);
    }
    let digit = |place: usize| fraction.get(place).map_or(0, |digit| u16::from(digit - b'0'));
    Some(100 * digit(0) + 10 * digit(1) + digit(2))
}

/// The place among `offers` of what a client with this `Accept-Encoding` should get; `None`: the plain content.
pub fn choose(accept: Values<'_>, offers: impl IntoIterator<Item = Coding>) -> Option<usize> {
    let identity = weight(accept, "identity").unwrap_or(0);
    let mut best = None;
    for (place, coding) in offers.into_iter().enumerate() {
        let wanted = weight(accept, coding.name()).unwrap_or(0);
        if wanted > 0 && wanted >= identity && best.is_none_or(|(_, most)| wanted > most) {
            best = Some((place, wanted));
        }
    }
    best.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &[u8], expected: Option<Coding>) {
        let offers = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
        let chosen = choose(Values::one(accept), offers).map(|place| offers[place]);
        assert_eq!(chosen, expected, "{}", String::from_utf8_lossy(accept));
    }

    #[test]
    fn the_highest_weight_wins_then_the_first_offer() {
        check(b"gzip, br, zstd", Some(Coding::Brotli));
        check(b"gzip, br;q=0.9, zstd", Some(Coding::Zstd));
        check(b"br;q=0.1, GZIP ; Q=0.2", Some(Coding::Gzip));
        check(b"gzip;q=1.0, br;q=0.999", Some(Coding::Gzip));
    }

    #[test]
    fn what_is_not_named_or_is_refused_is_not_used() {
        for accept in [&b""[..], b"*", b"x-gzip", b"gzip;q=0", b"gzip;q=0.000", b"deflate, gzipp"] {
            check(accept, None);
        }
        check(b"gzip;q=0, br;q=0.0, zstd;q=0.001", Some(Coding::Zstd));
    }

    #[test]
    fn a_client_that_prefers_plain_content_gets_it() {
        check(b"identity, gzip;q=0.5", None);
        check(b"identity;q=0.5, gzip;q=0.5", Some(Coding::Gzip));
        check(b"identity;q=0, gzip;q=0.1", Some(Coding::Gzip));
    }

    #[test]
    fn a_malformed_weight_does_not_take_back_the_wish() {
        check(b"gzip;q=abc", Some(Coding::Gzip));
        check(b"gzip;q=0.0000", Some(Coding::Gzip));
        check(b"gzip;level=9", Some(Coding::Gzip));
    }
}
