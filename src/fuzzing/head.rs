//! The request head: where bytes are cut does not matter, and what was accepted reads back the same.

use super::{cuts, short};
use crate::http::field;
use crate::http::framing::Framing;
use crate::http::head::{Form, Head, HeadLimits, Parse, Version, parse};

/// Two bytes of limits, then what arrives.
pub(super) fn check(mut bytes: &[u8]) {
    let limits = limits(&mut bytes);
    let whole = seen(bytes, &limits);
    let first = cuts(bytes.len()).map(|end| seen(&bytes[..end], &limits)).find(Option::is_some);
    assert_eq!(
        first.flatten(),
        whole,
        "the first verdict about a prefix is the one about the whole"
    );
    if let Parse::Complete { head, length } = parse(bytes, &limits) {
        assert!(length <= bytes.len());
        assert_eq!(seen(&bytes[..length], &limits), whole, "what follows a head does not matter");
        is_sane(&head);
        reads_back(&head, &limits);
    }
}

/// The usual ones, or small ones that inputs of a decent size meet; mostly strict.
fn limits(bytes: &mut &[u8]) -> HeadLimits {
    let [line, fields] = short(bytes).to_be_bytes().map(usize::from);
    let form = |is_loose| if is_loose { Form::Unsafe } else { Form::Strict };
    match line {
        0..128 => HeadLimits {
            form: form(line >= 64),
            allows_http09: line & 1 == 1,
            ..HeadLimits::default()
        },
        _ => HeadLimits {
            request_line_bytes_max: line - 100,
            field_bytes_max: fields,
            fields_max: fields % 8,
            head_bytes_max: line + fields,
            form: form(fields & 8 != 0),
            allows_http09: fields & 16 != 0,
        },
    }
}

/// All that a caller can see of a verdict; `None`: there is none yet.
fn seen(bytes: &[u8], limits: &HeadLimits) -> Option<String> {
    match parse(bytes, limits) {
        Parse::Partial { .. } => None,
        Parse::Complete { head, length } => Some(format!("{length} {head:?}")),
        Parse::Invalid(bad) => Some(format!("{bad:?}")),
    }
}

/// Nothing that was accepted can end a line early or be understood in two ways.
fn is_sane(head: &Head<'_>) {
    assert!(field::is_token(head.method().as_str().as_bytes()));
    assert!(field::is_value(head.request_line()));
    for (name, value) in head.fields() {
        assert!(field::is_token(name) && field::is_value(value));
        assert_eq!(field::trim_blanks(value), value);
    }
    let count = |name: &str| head.headers(name).count();
    assert!(count("Host") <= 1);
    match head.framing() {
        Framing::None => assert_eq!(count("Content-Length") + count("Transfer-Encoding"), 0),
        Framing::Chunked => assert_eq!(count("Content-Length"), 0),
        Framing::Length(length) => {
            assert_eq!(count("Transfer-Encoding"), 0);
            for value in head.headers("Content-Length").flat_map(field::members) {
                let digits = std::str::from_utf8(value).unwrap();
                assert_eq!(digits.parse(), Ok(length), "each of them means the same");
            }
        }
    }
    let path = head.path();
    assert!(path.starts_with(b"/") || path == b"*" || path.is_empty());
    let _answered = (head.wish(), head.expectation(), head.holds_body_back());
}

/// Written out in the plainest form, it is the same head.
fn reads_back(head: &Head<'_>, limits: &HeadLimits) {
    let mut plain = [head.request_line(), b"\r\n"].concat();
    if head.version() > Version::Http09 {
        for (name, value) in head.fields() {
            plain.extend([name, b":", value, b"\r\n"].concat());
        }
        plain.extend(b"\r\n");
    }
    let HeadLimits { form, allows_http09, .. } = *limits;
    let limits = HeadLimits { form, allows_http09, ..HeadLimits::new(1 << 20, 1 << 20, 0) };
    let Parse::Complete { head: again, length } = parse(&plain, &limits) else {
        panic!("refused when written out: {:?}", plain.escape_ascii().to_string())
    };
    assert_eq!(length, plain.len());
    let said = |head: &Head<'_>| {
        let fields: Vec<_> = head.fields().collect();
        let line = (head.method(), *head.target(), head.version(), head.host());
        format!("{line:?} {:?} {fields:?}", head.framing())
    };
    assert_eq!(said(&again), said(head));
}

/// Used by `site`, which wants a request and not its limits.
pub(super) fn complete(bytes: &[u8]) -> Option<Head<'_>> {
    match parse(bytes, &HeadLimits::default()) {
        Parse::Complete { head, .. } => Some(head),
        Parse::Partial { .. } | Parse::Invalid(_) => None,
    }
}
