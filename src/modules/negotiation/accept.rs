//! What the client would like: the four Accept fields, and Negotiate.

use crate::request::RequestFields;

/// The type that stands for programs. Clients do not name it; it counts little, unless only a program can answer.
pub(super) const PROGRAM_TYPE: &[u8] = b"application/x-httpd-cgi";

/// One member of an Accept field, or the value of a Content-Type. All text is in lower case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) name: Vec<u8>,
    /// `q`, or for what we have `qs`: 0 to 1.
    pub(super) quality: f32,
    /// `level`, a parameter of text/html that nobody uses any more.
    pub(super) level: f32,
    /// `charset`; empty if there is none.
    pub(super) charset: Vec<u8>,
}

/// All that the client says. `None`: it has not sent the field.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    pub(super) types: Option<Vec<Wanted>>,
    pub(super) languages: Option<Vec<Wanted>>,
    pub(super) encodings: Option<Vec<Wanted>>,
    pub(super) charsets: Option<Vec<Wanted>>,
    pub(super) negotiate: Negotiate,
}

/// The Negotiate field (RFC 2295 section 8.4), which hardly any client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Negotiate {
    /// The client would choose by itself from a list.
    pub(super) can_choose: bool,
    /// We may choose for it.
    pub(super) may_choose: bool,
    /// It wants us to choose by RFC 2296.
    pub(super) by_rfc_2296: bool,
    /// It means what it says: nothing is read between the lines of its fields.
    pub(super) is_exact: bool,
}

impl Default for Negotiate {
    fn default() -> Self {
        Negotiate { can_choose: false, may_choose: true, by_rfc_2296: false, is_exact: false }
    }
}

impl Wishes {
    /// What these fields say.
    pub(super) fn of(fields: &RequestFields<'_>) -> Wishes {
        let list = |name: &str| joined(fields, name).map(|value| wanted(&value));
        Wishes {
            types: list("Accept"),
            languages: list("Accept-Language"),
            encodings: list("Accept-Encoding"),
            charsets: list("Accept-Charset"),
            negotiate: Negotiate::default(),
        }
    }

    /// Takes the Negotiate field into account, which holds for what is negotiated openly only.
    pub(super) fn heed_negotiate(&mut self, fields: &RequestFields<'_>) {
        let Some(value) = joined(fields, "Negotiate") else { return };
        let is_lynx = fields.header("User-Agent").is_some_and(|agent| agent.starts_with(b"Lynx"));
        if value == b"trans" && is_lynx {
            return; // It says so, and could not choose.
        }
        self.negotiate = negotiate(&value);
    }
}

/// A list field in one piece.
fn joined(fields: &RequestFields<'_>, name: &str) -> Option<Vec<u8>> {
    fields.headers(name).map(<[u8]>::to_vec).reduce(|all, next| [all, next].join(&b", "[..]))
}

fn negotiate(value: &[u8]) -> Negotiate {
    let mut said = Negotiate { may_choose: false, ..Negotiate::default() };
    for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        match token {
            b"trans" | b"vlist" | b"guess-small" => said.can_choose = true,
            b"1.0" => {
                said = Negotiate {
                    can_choose: true,
                    may_choose: true,
                    by_rfc_2296: true,
                    is_exact: true,
                };
            }
            [b'*', ..] => {
                said = Negotiate { can_choose: true, may_choose: true, is_exact: true, ..said };
            }
            [b'0'..=b'9', ..] => said.can_choose = true,
            _ => {}
        }
    }
    said
}

/// The members of a list field.
fn wanted(mut line: &[u8]) -> Vec<Wanted> {
    let mut list = Vec::new();
    while !line.is_empty() {
        list.push(one(&mut line));
    }
    list
}

/// A media type with its parameters.
pub(super) fn media_type(mut text: &[u8]) -> Wanted {
    one(&mut text)
}

/// Reads one member and the comma behind it. At least one byte is taken.
fn one(line: &mut &[u8]) -> Wanted {
    let name = token(line, false).to_ascii_lowercase();
    // Without a level html is level 2: the one that every browser knew when there were levels.
    let level = if name == b"text/html" { 2.0 } else { 0.0 };
    let mut wanted = Wanted { name, quality: 1.0, level, charset: Vec::new() };
    while let [b';', rest @ ..] = line {
        *line = rest;
        let parameter = token(line, true);
        let Some(equals) = memchr::memchr(b'=', parameter) else { continue };
        let name = parameter[..equals].trim_ascii().to_ascii_lowercase();
        let value = unquoted(&parameter[equals + 1..]).to_ascii_lowercase();
        match name.as_slice() {
            b"q" | b"qs" => wanted.quality = quality(&value),
            b"level" => wanted.level = number(&value),
            b"charset" => wanted.charset = value,
            _ => {}
        }
    }
    if let [b',', rest @ ..] = line {
        *line = rest;
    }
    wanted
}

/// Text up to a blank (unless those are part of it), a semicolon or a comma; quoted text may hold all of these. The
/// blanks around it are skipped.
pub(super) fn token<'t>(line: &mut &'t [u8], with_blanks: bool) -> &'t [u8] {
    let text = line.trim_ascii_start();
    let mut is_quoted = false;
    let ends = |byte: &u8| {
        if *byte == b'"' {
            is_quoted = !is_quoted;
        }
        !is_quoted && (matches!(byte, b';' | b',') || (byte.is_ascii_whitespace() && !with_blanks))
    };
    let end = text.iter().position(ends).unwrap_or(text.len());
    *line = text[end..].trim_ascii_start();
    &text[..end]
}

fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii_start();
    match value.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|byte| *byte == b'"').next().unwrap_or_default(),
        None => value.split(u8::is_ascii_whitespace).next().unwrap_or_default(),
    }
}

/// A quality of up to three decimals. What is none counts as 1, as if it was not there.
fn quality(text: &[u8]) -> f32 {
    let decimals = match text {
        [b'0', b'.', decimals @ ..] | [b'.', decimals @ ..] => decimals,
        [b'0', ..] => return 0.0,
        _ => return 1.0,
    };
    let digits = decimals.iter().take(3).take_while(|byte| byte.is_ascii_digit());
    let (value, _) = digits.fold((0_u16, 100_u16), |(value, place), digit| {
        (value + u16::from(digit - b'0') * place, place / 10)
    });
    f32::from(value) / 1000.0
}

fn number(text: &[u8]) -> f32 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0.0, |value, digit| value * 10.0 + f32::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names_and_qualities(line: &str) -> Vec<(String, f32)> {
        let list = wanted(line.as_bytes()).into_iter();
        list.map(|it| (String::from_utf8(it.name).unwrap(), it.quality)).collect()
    }

    #[test]
    fn members_have_a_quality() {
        let check = |line: &str, expected: &[(&str, f32)]| {
            let expected: Vec<_> =
                expected.iter().map(|(name, q)| (name.to_string(), *q)).collect();
            assert_eq!(names_and_qualities(line), expected, "{line}");
        };
        check("", &[]);
        check("EN", &[("en", 1.0)]);
        check("en;q=0.5, fr ;Q=\"0.25\",*;q=0", &[("en", 0.5), ("fr", 0.25), ("*", 0.0)]);
        check(
            "a;q=.5,b;q=1.0,c;q=0.1234,d;q=x",
            &[("a", 0.5), ("b", 1.0), ("c", 0.123), ("d", 1.0)],
        );
        check("text/html text/plain", &[("text/html", 1.0), ("text/plain", 1.0)]);
        check(",;q=0", &[("", 1.0), ("", 0.0)]);
    }

    #[test]
    fn types_have_level_and_charset() {
        let html = media_type(b"text/html; Charset=\"UTF-8\"; qs=0.8");
        assert_eq!((html.level, html.charset.as_slice(), html.quality), (2.0, &b"utf-8"[..], 0.8));
        assert_eq!(media_type(b"text/html;level=3").level, 3.0);
        assert_eq!(media_type(b"text/plain").level, 0.0);
    }

    #[test]
    fn negotiate_says_who_may_choose() {
        let said = |value: &str| {
            let said = negotiate(value.as_bytes());
            (said.can_choose, said.may_choose, said.by_rfc_2296, said.is_exact)
        };
        assert_eq!(said("trans"), (true, false, false, false));
        assert_eq!(said("trans, 1.0"), (true, true, true, true));
        assert_eq!(said("*"), (true, true, false, true));
        assert_eq!(said("2.0"), (true, false, false, false));
        assert_eq!(said(""), (false, false, false, false));
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(line in "[ -~\t]{0,60}") {
            let list = wanted(line.as_bytes());
            prop_assert!(list.len() <= line.len());
            prop_assert!(list.iter().all(|it| (0.0..=1.0).contains(&it.quality)));
        }
    }
}
