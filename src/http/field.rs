//! # field: header fields, as borrowed text
//!
//! ```text
//! Host: a.example⏎Accept: x⏎Accept: y⏎⏎        the block, checked once by `head`
//! └─ Fields ───────────────────────────        splits it again on demand: (name, value), …
//!                 └─ Values of Accept ─        the values of one name: x, y
//! ```
//!
//! - Nothing is copied or joined. What a list field says may stand on several lines, so readers
//!   iterate over lines.
//! - Names are compared without regard to case; values keep every byte but the blanks around them.

/// Whether `text` is a token: a method, a field name, a connection option (RFC 9110 section 5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Whether a token may contain this byte.
pub const fn is_token_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
            | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    )
}

/// Whether `text` may stand as a field's value: no control character but the tab (RFC 9110 section
/// 5.5).
pub fn is_value(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// `text` without the blanks and tabs around it.
pub fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The members of a comma-separated list without quoted strings, such as `Connection`. Empty
/// members are skipped (RFC 9110 section 5.6.1).
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_blanks).filter(|member| !member.is_empty())
}

/// The fields of a checked head, in the order of arrival.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'b> {
    block: &'b [u8],
}

impl<'b> Fields<'b> {
    /// Iterates over a block of `name: value CRLF` lines that `head` has checked; a last empty line
    /// may be included.
    pub(crate) const fn of_checked_block(block: &'b [u8]) -> Fields<'b> {
        Fields { block }
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = (&'b [u8], &'b [u8]);

    fn next(&mut self) -> Option<(&'b [u8], &'b [u8])> {
        let end = memchr::memchr(b'\n', self.block)?;
        let (line, rest) = (&self.block[..end], &self.block[end + 1..]);
        self.block = rest;
        let colon = memchr::memchr(b':', line)?; // The empty line at the end has none.
        let value = line[colon + 1..].strip_suffix(b"\r").unwrap_or(&line[colon + 1..]);
        Some((&line[..colon], trim_blanks(value)))
    }
}

/// The values of all fields of one name, in the order of arrival.
#[derive(Clone, Copy, Debug)]
pub struct Values<'b> {
    source: Source<'b>,
}

#[derive(Clone, Copy, Debug)]
enum Source<'b> {
    Nothing,
    One(&'b [u8]),
    Scan { fields: Fields<'b>, name: &'static str },
}

impl<'b> Values<'b> {
    /// No such field.
    pub const NONE: Values<'static> = Values { source: Source::Nothing };

    /// Exactly one field, with this value.
    pub const fn one(value: &'b [u8]) -> Values<'b> {
        Values { source: Source::One(value) }
    }

    /// Those of `fields` that have this name.
    pub(crate) const fn named(name: &'static str, fields: Fields<'b>) -> Values<'b> {
        Values { source: Source::Scan { fields, name } }
    }

    /// The value, if there is exactly one field. A field that may occur once only and occurs twice
    /// says nothing.
    pub fn single(mut self) -> Option<&'b [u8]> {
        let value = self.next()?;
        if self.next().is_none() { Some(value) } else { None }
    }

    /// Whether there is no such field.
    pub fn is_absent(mut self) -> bool {
        self.next().is_none()
    }

    /// Whether a list field has this member, whatever its case.
    pub fn have_member(self, wanted: &str) -> bool {
        self.into_iter()
            .any(|value| members(value).any(|it| it.eq_ignore_ascii_case(wanted.as_bytes())))
    }
}

impl<'b> From<Option<&'b [u8]>> for Values<'b> {
    fn from(value: Option<&'b [u8]>) -> Values<'b> {
        value.map_or(Values::NONE, Values::one)
    }
}

impl<'b> Iterator for Values<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        match &mut self.source {
            Source::Nothing => None,
            Source::One(value) => {
                let value = *value;
                self.source = Source::Nothing;
                Some(value)
            }
            Source::Scan { fields, name } => fields
                .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
                .map(|(_, value)| value),
        }
    }
}

/// Declares the fields that the server itself reads, in one line each.
macro_rules! known_fields {
    ($($name:ident $text:literal)*) => {
        /// A field that the server itself reads, so that its place is remembered when the head is
        /// parsed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Known { $(#[doc = concat!("`", $text, "`")] $name,)* }

        impl Known {
            /// All of them, in the order of declaration.
            pub const ALL: &[Known] = &[$(Known::$name),*];

            /// The name as RFC 9110 spells it.
            pub const fn name(self) -> &'static str {
                match self { $(Known::$name => $text,)* }
            }

            /// The known field of this name, if it is one.
            pub fn of(name: &[u8]) -> Option<Known> {
                // The length tells nearly all of them apart, so at most two or three are compared.
                $(
                    if name.len() == $text.len() && name.eq_ignore_ascii_case($text.as_bytes()) {
                        return Some(Known::$name);
                    }
                )*
                None
            }
        }
    };
}

known_fields! {
    Host "Host"
    Connection "Connection"
    ContentLength "Content-Length"
    TransferEncoding "Transfer-Encoding"
    Expect "Expect"
    IfMatch "If-Match"
    IfNoneMatch "If-None-Match"
    IfModifiedSince "If-Modified-Since"
    IfUnmodifiedSince "If-Unmodified-Since"
    IfRange "If-Range"
    Range "Range"
    Accept "Accept"
    AcceptEncoding "Accept-Encoding"
    AcceptLanguage "Accept-Language"
    Authorization "Authorization"
    Referer "Referer"
    UserAgent "User-Agent"
    Via "Via"
    ContentType "Content-Type"
    Date "Date"
    From "From"
    MaxForwards "Max-Forwards"
    Origin "Origin"
    ProxyAuthorization "Proxy-Authorization"
}

impl Known {
    /// Whether a request may have one such field only, since its value is no list (RFC 9110 section
    /// 5.3). Host and Content-Length have rules of their own.
    const fn stands_once(self) -> bool {
        match self {
            Known::IfModifiedSince
            | Known::IfUnmodifiedSince
            | Known::IfRange
            | Known::Range
            | Known::Authorization
            | Known::Referer
            | Known::UserAgent
            | Known::ContentType
            | Known::Date
            | Known::From
            | Known::MaxForwards
            | Known::Origin
            | Known::ProxyAuthorization => true,
            Known::Host
            | Known::Connection
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::Expect
            | Known::IfMatch
            | Known::IfNoneMatch
            | Known::Accept
            | Known::AcceptEncoding
            | Known::AcceptLanguage
            | Known::Via => false,
        }
    }
}

/// Where each known field first stands, and which occur more than once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Index<'b> {
    first: [Option<&'b [u8]>; Known::ALL.len()],
    /// Bit n is set if known field n occurs again.
    repeated: u32,
}

const _: () = assert!(Known::ALL.len() <= 32, "one bit for each known field");

impl<'b> Index<'b> {
    pub(super) const fn new() -> Index<'b> {
        Index { first: [None; Known::ALL.len()], repeated: 0 }
    }

    /// Remembers a field; `false` if it contradicts a former one and may stand once only.
    pub(super) fn note(&mut self, name: &[u8], value: &'b [u8]) -> bool {
        let Some(known) = Known::of(name) else { return true };
        let Some(first) = self.first[known as usize] else {
            self.first[known as usize] = Some(value);
            return true;
        };
        self.repeated |= 1 << (known as u32);
        !known.stands_once() || first == value
    }

    /// The first value, or the only one.
    pub(super) const fn first(&self, known: Known) -> Option<&'b [u8]> {
        self.first[known as usize]
    }

    pub(super) const fn is_repeated(&self, known: Known) -> bool {
        self.repeated & (1 << (known as u32)) != 0
    }

    /// All values. Only a repeated field costs another look at the block.
    pub(super) fn values(&self, known: Known, fields: Fields<'b>) -> Values<'b> {
        if self.is_repeated(known) {
            Values::named(known.name(), fields)
        } else {
            self.first(known).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Known, Values, is_token, is_value, members, trim_blanks};

    const BLOCK: &[u8] = b"Host: a\r\nAccept:x\r\nEmpty:\r\naccept: \ty z \r\n\r\n";

    #[test]
    fn fields_come_in_order_without_blanks_around_their_values() {
        let all: Vec<_> = Fields::of_checked_block(BLOCK).collect();
        let expected: Vec<(&[u8], &[u8])> =
            vec![(b"Host", b"a"), (b"Accept", b"x"), (b"Empty", b""), (b"accept", b"y z")];
        assert_eq!(all, expected);
    }

    #[test]
    fn values_of_one_name_are_found_whatever_its_case() {
        let accept = Values::named("ACCEPT", Fields::of_checked_block(BLOCK));
        assert_eq!(accept.collect::<Vec<_>>(), [&b"x"[..], b"y z"]);
        assert_eq!(accept.single(), None);
        assert_eq!(Values::one(b"v").single(), Some(&b"v"[..]));
        assert!(Values::NONE.is_absent() && !accept.is_absent());
    }

    #[test]
    fn list_members_lose_blanks_and_empty_places() {
        let all: Vec<_> = members(b" a,\tb ,,c d, ").collect();
        assert_eq!(all, [&b"a"[..], b"b", b"c d"]);
        assert!(Values::one(b"foo, CLOSE").have_member("close"));
        assert!(!Values::one(b"closed").have_member("close"));
    }

    #[test]
    fn every_known_name_finds_itself() {
        for &known in Known::ALL {
            assert_eq!(Known::of(known.name().to_ascii_lowercase().as_bytes()), Some(known));
        }
        assert_eq!(Known::of(b"Hosts"), None);
    }

    #[test]
    fn tokens_and_values_have_their_alphabets() {
        assert!(is_token(b"X-a_1!#$%&'*+.^`|~"));
        for bad in [&b""[..], b"a b", b"a:", b"a\r", b"\xe9", b"a(", b"\"a\""] {
            assert!(!is_token(bad), "{bad:?}");
        }
        assert!(is_value(b"") && is_value(b"a\tb \xe9"));
        for bad in [&b"\0"[..], b"a\r\nb", b"\x7f", b"\x1b"] {
            assert!(!is_value(bad), "{bad:?}");
        }
        assert_eq!(trim_blanks(b" \t "), b"");
    }
}
