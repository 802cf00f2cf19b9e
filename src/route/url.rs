//! # url: one spelling for each path
//!
//! ```text
//! /a//b/./x/../%66%20g   what the client sent, without the query
//! /a/b/%66%20g           slashes merged, dots resolved, on the text as sent
//! /a/b/f g               every escape decoded, once
//! ```
//!
//! - Escapes are decoded exactly once. Decoding twice, in passes that disagreed, was CVE-2021-41773
//!   and CVE-2021-42013.
//! - The result begins with `/` and has neither a NUL nor a `.` or `..` segment, nor `//` while
//!   slashes are merged.
//! - Nothing here looks at the disk: `/file/..` is `/`, whatever `file` is.
//! - A path that is already in its one spelling is borrowed, not copied.

use std::borrow::Cow;

use crate::http::status::Status;

/// `AllowEncodedSlashes`: what `%2F` in a path means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowEncodedSlashes {
    /// Such a path does not exist: 404.
    #[default]
    Off,
    /// It is a slash like any other.
    On,
    /// It stays as the three characters that it is.
    NoDecode,
}

/// `MergeSlashes`: whether `//` is the same as `/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeSlashes {
    /// Runs of slashes become one.
    #[default]
    On,
    /// They stay; sections and file names see them.
    Off,
}

/// A decoded path in its one spelling, borrowed if it came that way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath<'r>(Cow<'r, [u8]>);

impl<'r> NormalPath<'r> {
    /// The bytes, beginning with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, still borrowed from the request if they are as they came.
    pub fn into_inner(self) -> Cow<'r, [u8]> {
        self.0
    }
}

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It does not begin with a slash: 400.
    NotAbsolute,
    /// `%` without two hexadecimal digits: 400.
    BadEscape,
    /// More `..` than there are directories: 400.
    ClimbsAboveRoot,
    /// An encoded NUL, which no file name can hold: 404.
    Nul,
    /// `%2F` while `AllowEncodedSlashes` is off: 404.
    EncodedSlash,
}

impl UrlError {
    /// The status of the answer.
    pub const fn status(self) -> Status {
        match self {
            UrlError::NotAbsolute | UrlError::BadEscape | UrlError::ClimbsAboveRoot => {
                Status::BAD_REQUEST
            }
            UrlError::Nul | UrlError::EncodedSlash => Status::NOT_FOUND,
        }
    }

    /// What the error log says after the path.
    pub const fn explanation(self) -> &'static str {
        match self {
            UrlError::NotAbsolute => "the path does not begin with a slash",
            UrlError::BadEscape => "a percent sign is not followed by two hexadecimal digits",
            UrlError::ClimbsAboveRoot => "the path climbs above the root",
            UrlError::Nul => "the path contains an encoded NUL",
            UrlError::EncodedSlash => {
                "the path contains an encoded slash (AllowEncodedSlashes is off)"
            }
        }
    }
}

/// Brings the path of a request, without its query, to its one spelling.
///
/// The order is Apache's: dots are resolved on the text as sent, so with `AllowEncodedSlashes On`
/// the path `/x%2Fy/../z` is `/z`; what the decoded slashes then separate is resolved in a second
/// pass that stops at the root.
///
/// # Errors
/// See [`UrlError`]; those with status 400 are found before those with 404.
pub fn normalise(
    raw_path: &[u8],
    encoded_slashes: AllowEncodedSlashes,
    merge: MergeSlashes,
) -> Result<NormalPath<'_>, UrlError> {
    if raw_path.first() != Some(&b'/') {
        return Err(UrlError::NotAbsolute);
    }
    if is_surely_normal(raw_path) {
        return Ok(NormalPath(Cow::Borrowed(raw_path)));
    }
    check_escapes(raw_path)?;
    let resolved = resolve(raw_path, merge, dots_as_sent, Climb::Refuse)?;
    let mut path = decode(&resolved, encoded_slashes)?;
    if encoded_slashes == AllowEncodedSlashes::On {
        path = resolve(&path, merge, dots, Climb::Stop)?;
    }
    Ok(NormalPath(Cow::Owned(path)))
}

/// Nothing to decode, merge or resolve. May say no to a normal path, such as `/.well-known/x`,
/// which then takes the longer road to the same result.
fn is_surely_normal(path: &[u8]) -> bool {
    !path.iter().any(|&byte| byte == b'%' || byte == 0)
        && !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

fn check_escapes(path: &[u8]) -> Result<(), UrlError> {
    let mut rest = path;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        escape_at(&rest[percent..]).ok_or(UrlError::BadEscape)?;
        rest = &rest[percent + 3..];
    }
    Ok(())
}

/// The byte that the escape at the start of `text` stands for.
fn escape_at(text: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = text else { return None };
    let (high, low) = (char::from(high).to_digit(16)?, char::from(low).to_digit(16)?);
    u8::try_from(high * 16 + low).ok()
}

/// What to do with a `..` at the root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Climb {
    Refuse,
    Stop,
}

/// Removes `.` segments and with each `..` the segment before it, and merges slashes if wanted.
///
/// Between two segments the result always ends with a slash, so that a last `.` or `..` leaves a
/// directory's name.
fn resolve(
    path: &[u8],
    merge: MergeSlashes,
    dots: fn(&[u8]) -> usize,
    climb: Climb,
) -> Result<Vec<u8>, UrlError> {
    let mut resolved = Vec::with_capacity(path.len());
    resolved.push(b'/');
    let mut segments = path[1..].split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match dots(segment) {
            1 => {}
            2 if resolved.len() > 1 => {
                resolved.pop();
                let parent_end = memchr::memrchr(b'/', &resolved).map_or(0, |slash| slash + 1);
                resolved.truncate(parent_end);
            }
            2 if climb == Climb::Stop => {}
            2 => return Err(UrlError::ClimbsAboveRoot),
            _ if segment.is_empty() && merge == MergeSlashes::On => {}
            _ => {
                resolved.extend_from_slice(segment);
                if !is_last {
                    resolved.push(b'/');
                }
            }
        }
    }
    Ok(resolved)
}

/// 1 for `.`, 2 for `..`, 0 for anything else.
fn dots(segment: &[u8]) -> usize {
    match segment {
        b"." => 1,
        b".." => 2,
        _ => 0,
    }
}

/// Like [`dots`], for a segment in which each dot may be written `%2e`.
fn dots_as_sent(segment: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = segment;
    while count < 3 && !rest.is_empty() {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return 0,
        };
        count += 1;
    }
    if count < 3 { count } else { 0 }
}

/// Decodes every escape of `path`, which has been checked.
fn decode(path: &[u8], encoded_slashes: AllowEncodedSlashes) -> Result<Vec<u8>, UrlError> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(&first) = rest.first() {
        let escape = escape_at(rest);
        let (part, after) = rest.split_at(if escape.is_some() { 3 } else { 1 });
        match (escape, encoded_slashes) {
            (Some(b'/'), AllowEncodedSlashes::Off) => return Err(UrlError::EncodedSlash),
            (Some(b'/'), AllowEncodedSlashes::NoDecode) => decoded.extend_from_slice(part),
            _ => match escape.unwrap_or(first) {
                0 => return Err(UrlError::Nul),
                byte => decoded.push(byte),
            },
        }
        rest = after;
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AllowEncodedSlashes, MergeSlashes, NormalPath, UrlError, normalise};
    use crate::http::escape;

    fn usual(raw: &str) -> Result<String, UrlError> {
        normalised(raw.as_bytes(), AllowEncodedSlashes::Off, MergeSlashes::On)
    }

    fn normalised(
        raw: &[u8],
        slashes: AllowEncodedSlashes,
        merge: MergeSlashes,
    ) -> Result<String, UrlError> {
        normalise(raw, slashes, merge)
            .map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned())
    }

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        assert_eq!(usual(raw).as_deref(), Ok(expected), "{raw:?}");
    }

    #[track_caller]
    fn check_error(raw: &str, expected: UrlError, code: u16) {
        assert_eq!(usual(raw), Err(expected), "{raw:?}");
        assert_eq!(expected.status().code(), code);
    }

    #[test]
    fn dots_and_slashes_are_resolved() {
        check("/", "/");
        check("/a//b/./../f", "/a/f");
        check("/file/..", "/");
        check("/a/b/..", "/a/");
        check("/a/.", "/a/");
        check("/a/./", "/a/");
        check("///", "/");
        check("/a/%2e%2E/b/.%2e/c", "/c");
        check("/%2e/a", "/a");
        check("/...", "/...");
        check("/..a/.b/a..", "/..a/.b/a..");
        check("/.well-known/x", "/.well-known/x");
        check("/%2e%2e%2e", "/...");
    }

    #[test]
    fn escapes_are_decoded_once() {
        check("/%41%20%3f", "/A ?");
        check("/%2541", "/%41");
        check("/%252e%252e/x", "/%2e%2e/x");
        check("/a\\..\\b", "/a\\..\\b");
        check("/a%5c%2e%2e", "/a\\..");
    }

    #[test]
    fn paths_without_a_normal_form_say_why() {
        check_error("", UrlError::NotAbsolute, 400);
        check_error("*", UrlError::NotAbsolute, 400);
        check_error("/%", UrlError::BadEscape, 400);
        check_error("/%zz", UrlError::BadEscape, 400);
        check_error("/%4", UrlError::BadEscape, 400);
        check_error("/%+1", UrlError::BadEscape, 400);
        check_error("/%00/%", UrlError::BadEscape, 400);
        check_error("/..", UrlError::ClimbsAboveRoot, 400);
        check_error("/%2e%2e/x", UrlError::ClimbsAboveRoot, 400);
        check_error("/a/../../b", UrlError::ClimbsAboveRoot, 400);
        check_error("/a/%00", UrlError::Nul, 404);
        check_error("/a\0b", UrlError::Nul, 404);
        check_error("/a%2fb", UrlError::EncodedSlash, 404);
        check("/a%2fb/../c", "/c"); // What is gone before decoding is not looked at, as in Apache.
    }

    #[test]
    fn encoded_slashes_follow_their_directive() {
        let on = |raw: &str| normalised(raw.as_bytes(), AllowEncodedSlashes::On, MergeSlashes::On);
        assert_eq!(on("/a%2fb").as_deref(), Ok("/a/b"));
        assert_eq!(on("/a%2F/b").as_deref(), Ok("/a/b"));
        assert_eq!(on("/x%2Fy/../z").as_deref(), Ok("/z"));
        assert_eq!(on("/a%2f..%2f..%2f..%2fb").as_deref(), Ok("/b"));
        assert_eq!(on("/%252e%252e%2fx").as_deref(), Ok("/%2e%2e/x"));
        let keep =
            |raw: &str| normalised(raw.as_bytes(), AllowEncodedSlashes::NoDecode, MergeSlashes::On);
        assert_eq!(keep("/a%2fb/%2F%41").as_deref(), Ok("/a%2fb/%2FA"));
        assert_eq!(keep("/..%2fb").as_deref(), Ok("/..%2fb"));
    }

    #[test]
    fn slashes_can_be_kept() {
        let keep =
            |raw: &str| normalised(raw.as_bytes(), AllowEncodedSlashes::Off, MergeSlashes::Off);
        assert_eq!(keep("/a//b///").as_deref(), Ok("/a//b///"));
        assert_eq!(keep("/a//../b").as_deref(), Ok("/a/b"));
        assert_eq!(keep("//..").as_deref(), Ok("/"));
        assert_eq!(keep("/a/.//b").as_deref(), Ok("/a//b"));
    }

    #[test]
    fn a_normal_path_is_not_copied() {
        let path = normalise(b"/a/b.c", AllowEncodedSlashes::Off, MergeSlashes::On).unwrap();
        assert!(matches!(path, NormalPath(std::borrow::Cow::Borrowed(_))));
    }

    /// The same rules, by a list of segments: what a reader would write who has all the time in the
    /// world.
    fn model(raw: &str) -> Option<Vec<u8>> {
        let mut stack: Vec<&str> = Vec::new();
        let mut directory = true;
        for segment in raw.strip_prefix('/')?.split('/') {
            let shown = segment.replace("%2e", ".").replace("%2E", ".");
            directory = matches!(shown.as_str(), "" | "." | "..");
            match shown.as_str() {
                "" | "." => {}
                ".." => {
                    stack.pop()?;
                }
                _ => stack.push(segment),
            }
        }
        let mut text = String::new();
        for segment in &stack {
            text = text + "/" + segment;
        }
        if directory {
            text += "/";
        }
        if text.to_ascii_lowercase().contains("%2f") || text.contains("%00") {
            return None;
        }
        Some(percent_encoding::percent_decode_str(&text).collect())
    }

    fn raw_path() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "/", "/", "/", ".", "..", "%2e", "%2E", "a", "bc", "%41", "%25", "%2f", "%2F", "%00",
            "2e", "?", "%c3%a9", "\\", "%20",
        ]);
        prop::collection::vec(pieces, 0..14).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    fn policy() -> impl Strategy<Value = (AllowEncodedSlashes, MergeSlashes)> {
        (
            prop::sample::select(vec![
                AllowEncodedSlashes::Off,
                AllowEncodedSlashes::On,
                AllowEncodedSlashes::NoDecode,
            ]),
            prop::sample::select(vec![MergeSlashes::On, MergeSlashes::Off]),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn agrees_with_the_model(raw in raw_path()) {
            let found = normalise(raw.as_bytes(), AllowEncodedSlashes::Off, MergeSlashes::On);
            prop_assert_eq!(found.ok().map(|path| path.into_inner().into_owned()), model(&raw));
        }

        #[test]
        fn the_result_is_free_of_what_misleads(raw in raw_path(), (slashes, merge) in policy()) {
            if let Ok(path) = normalise(raw.as_bytes(), slashes, merge) {
                let path = path.as_bytes();
                prop_assert_eq!(path[0], b'/');
                prop_assert!(!path.contains(&0));
                let mut segments = path.split(|&byte| byte == b'/');
                prop_assert!(segments.all(|segment| segment != b"." && segment != b".."));
                if merge == MergeSlashes::On {
                    prop_assert!(!path.windows(2).any(|pair| pair == b"//"));
                }
            }
        }

        #[test]
        fn the_result_is_its_own_normal_form(raw in raw_path(), (slashes, merge) in policy()) {
            if let Ok(path) = normalise(raw.as_bytes(), slashes, merge) {
                let mut encoded = Vec::new();
                escape::push_path(&mut encoded, path.as_bytes());
                let again = normalise(&encoded, slashes, merge).map(|it| it.as_bytes().to_vec());
                prop_assert_eq!(again, Ok(path.as_bytes().to_vec()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(
            raw in prop::collection::vec(any::<u8>(), 0..40),
            (slashes, merge) in policy(),
        ) {
            if let Ok(path) = normalise(&raw, slashes, merge) {
                prop_assert_eq!(path.as_bytes()[0], b'/');
            }
        }
    }
}
