//! Pure: what is an absolute URL, how one is escaped, and what prefixes are.

use crate::http::escape::push_path;

/// A scheme that a substitution may begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scheme {
    /// With its colon and slashes.
    pub(super) bytes: usize,
    /// Whether such a URL has a query.
    pub(super) has_query: bool,
}

/// The schemes that Apache knows, with whether there is a query. Anything else is a path.
const SCHEMES: &[(&str, bool)] = &[
    ("ajp://", true),
    ("balancer://", true),
    ("fcgi://", true),
    ("ftp://", false),
    ("gopher://", false),
    ("http://", true),
    ("https://", true),
    ("h2://", true),
    ("h2c://", true),
    ("ldap://", false),
    ("mailto:", true),
    ("news:", false),
    ("nntp://", false),
    ("scgi://", true),
    ("ws://", true),
    ("wss://", true),
];

/// The scheme of an absolute URL; `None`: it is none.
pub(super) fn scheme(text: &[u8]) -> Option<Scheme> {
    let found = SCHEMES.iter().find(|(name, _)| {
        text.len() > 5
            && text
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
    });
    found.map(|(name, has_query)| Scheme { bytes: name.len(), has_query: *has_query })
}

/// An absolute URL with its path escaped; the host stays as it is.
pub(super) fn escape_absolute(url: &[u8], scheme: Scheme) -> Vec<u8> {
    let has_host = url[..scheme.bytes].ends_with(b"/");
    let path_at = if has_host {
        let slash = memchr::memchr(b'/', &url[scheme.bytes..]);
        slash.map_or(url.len(), |slash| scheme.bytes + slash + 1)
    } else {
        scheme.bytes
    };
    let (start, path) = url.split_at(path_at);
    let mut out = start.to_vec();
    let parts = if url[..4].eq_ignore_ascii_case(b"ldap") { 5 } else { 1 };
    for (number, part) in path.splitn(parts, |byte| *byte == b'?').enumerate() {
        if number > 0 {
            out.push(b'?'); // RFC 4516 separates its parts by them.
        }
        push_path(&mut out, part);
    }
    out
}

/// Replaces the folder that a path begins with by another one. `None`: the path is not in the folder.
pub(super) fn replace_folder(path: &[u8], folder: &[u8], by: &[u8]) -> Option<Vec<u8>> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    let rest = path.strip_prefix(folder)?.strip_prefix(b"/")?;
    let slash: &[u8] = if by.is_empty() || by.ends_with(b"/") { b"" } else { b"/" };
    Some([by, slash, rest].concat())
}

/// A path with its `.` and `..` resolved on the text. `None`: it climbs above its root, or holds a NUL.
pub(super) fn resolve(path: &[u8]) -> Option<Vec<u8>> {
    if path.contains(&0) {
        return None;
    }
    let mut components: Vec<&[u8]> = Vec::new();
    for component in path.split(|byte| *byte == b'/').skip(1) {
        match component {
            b"." => {}
            b".." => _ = components.pop()?,
            other => components.push(other),
        }
    }
    let is_folder = [&b"/."[..], b"/.."].iter().any(|end| path.ends_with(end));
    let end: &[u8] = if is_folder && !components.is_empty() { b"/" } else { b"" };
    Some([b"/", components.join(&b'/').as_slice(), end].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_known_schemes_make_a_url_absolute() {
        let bytes = |text: &str| scheme(text.as_bytes()).map(|scheme| scheme.bytes);
        assert_eq!(bytes("HTTP://a/b"), Some(7));
        assert_eq!(bytes("mailto:a@b"), Some(7));
        assert_eq!((bytes("/http://a"), bytes("http:/a"), bytes("xyz://a")), (None, None, None));
    }

    #[test]
    fn a_url_is_escaped_behind_its_host() {
        let check = |url: &str, expected: &str| {
            let url = url.as_bytes();
            let escaped = escape_absolute(url, scheme(url).unwrap());
            assert_eq!(String::from_utf8_lossy(&escaped), expected);
        };
        check("http://a b/c d?e%", "http://a b/c%20d%3fe%25");
        check("http://host", "http://host");
        check("mailto:a b@c", "mailto:a%20b@c");
        check("ldap://h/a b?c?d", "ldap://h/a%20b?c?d");
    }

    #[test]
    fn folders_are_replaced_as_a_whole() {
        let check = |path: &str, folder: &str, by: &str, expected: Option<&str>| {
            let found = replace_folder(path.as_bytes(), folder.as_bytes(), by.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{path}");
        };
        check("/srv/www/a", "/srv/www/", "/base", Some("/base/a"));
        check("/srv/www/a", "/srv/www", "/", Some("/a"));
        check("srv/www/a", "srv/www/", "", Some("a"));
        check("/srv/wwwa", "/srv/www/", "/", None);
    }

    #[test]
    fn a_path_cannot_climb_above_its_root() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(resolve(path.as_bytes()).as_deref(), expected.map(str::as_bytes), "{path}");
        };
        check("/a/./b/../c", Some("/a/c"));
        check("/a/..", Some("/"));
        check("/a/b/..", Some("/a/"));
        check("/a//b/", Some("/a//b/"));
        check("/..", None);
        check("/a/../../b", None);
        check("/a\0", None);
    }

    proptest! {
        #[test]
        fn what_is_resolved_has_no_dots(path in "/[a./]{0,20}") {
            if let Some(resolved) = resolve(path.as_bytes()) {
                prop_assert!(resolved.starts_with(b"/"));
                let mut components = resolved.split(|byte| *byte == b'/');
                prop_assert!(components.all(|part| part != b"." && part != b".."));
            }
        }

        #[test]
        fn no_url_makes_escaping_panic(url in "(http|LDAP)://[a-z/?% ]{0,20}") {
            let escaped = escape_absolute(url.as_bytes(), scheme(url.as_bytes()).unwrap());
            prop_assert!(escaped.len() >= url.len());
        }
    }
}
