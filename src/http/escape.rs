//! # escape: text made safe for where it goes
//!
//! - Every function appends to the caller's buffer and touches nothing that was there.
//! - Input is bytes, since names on disk and in requests need not be UTF-8.
//! - Each destination has its own rules: HTML text, a path in a URL, a field of a log line.

/// Appends `text` as HTML text or as an attribute's value in double quotes.
pub fn push_html(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(byte),
        }
    }
}

/// Appends a decoded path as the path of a URL: what is neither a letter, a digit nor one of
/// ``$-_.+!*'(),:;@&=/~`` becomes `%xx` in lower case, which is what Apache sends in `Location`.
pub fn push_path(out: &mut Vec<u8>, path: &[u8]) {
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"$-_.+!*'(),:;@&=/~".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            push_hex(out, byte);
        }
    }
}

/// Like [`push_path`], for a path relative to the page that it stands on: `a:b` becomes `./a:b`,
/// since a browser would take `a` for a scheme.
pub fn push_relative_path(out: &mut Vec<u8>, path: &[u8]) {
    let first_segment = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    if first_segment.contains(&b':') {
        out.extend_from_slice(b"./");
    }
    push_path(out, path);
}

/// Appends what a client sent as part of a log line: quotes and backslashes get a backslash, five
/// control characters their C escape, other control characters and all bytes from 0x80 `\xhh`. No
/// byte of the input can end the line or move a terminal's cursor.
pub fn push_log(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        let letter = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            b' '..=b'~' => {
                out.push(byte);
                continue;
            }
            _ => {
                out.extend_from_slice(b"\\x");
                push_hex(out, byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}

fn push_hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{push_html, push_log, push_path, push_relative_path};

    fn check(push: fn(&mut Vec<u8>, &[u8]), input: &[u8], expected: &str) {
        let mut out = b"kept:".to_vec();
        push(&mut out, input);
        assert_eq!(String::from_utf8_lossy(&out), format!("kept:{expected}"));
    }

    #[test]
    fn html_loses_its_markup() {
        check(push_html, b"<a href=\"x\">&'", "&lt;a href=&quot;x&quot;&gt;&amp;'");
    }

    #[test]
    fn paths_keep_apaches_safe_characters() {
        check(push_path, b"/a b/c%d?e#f", "/a%20b/c%25d%3fe%23f");
        check(push_path, "/é\"<>\\".as_bytes(), "/%c3%a9%22%3c%3e%5c");
        check(push_path, b"$-_.+!*'(),:;@&=/~", "$-_.+!*'(),:;@&=/~");
    }

    #[test]
    fn a_relative_path_never_looks_like_a_scheme() {
        check(push_relative_path, b"a:b", "./a:b");
        check(push_relative_path, b"a/b:c", "a/b:c");
        check(push_relative_path, b"", "");
    }

    #[test]
    fn log_text_stays_on_its_line() {
        check(push_log, b"GET /\"\\ x", "GET /\\\"\\\\ x");
        check(
            push_log,
            b"\x08\n\r\t\x0b\x0c\0\x7f\x1b\xff",
            "\\b\\n\\r\\t\\v\\x0c\\x00\\x7f\\x1b\\xff",
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn an_escaped_path_decodes_to_itself(path in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut out = Vec::new();
            push_path(&mut out, &path);
            prop_assert!(out.iter().all(u8::is_ascii_graphic));
            let decoded: Vec<u8> = percent_encoding::percent_decode(&out).collect();
            prop_assert_eq!(decoded, path);
        }

        #[test]
        fn a_log_line_is_printable_ascii(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut out = Vec::new();
            push_log(&mut out, &text);
            prop_assert!(out.iter().all(|byte| (b' '..=b'~').contains(byte)));
        }
    }
}
