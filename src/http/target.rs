//! # target: what the request line asks for, and of whom
//!
//! - The four forms of RFC 9112 section 3.2, each only with the methods that it belongs to.
//! - Paths and queries stay encoded: decoding is done once, by the route.
//! - A `Host` holds letters, digits, `-`, `_` and single dots, or is an IP address. That is
//!   Apache's strict rule and narrower than RFC 3986, which would also take what no DNS name
//!   contains.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::http::fault::Fault;
use crate::http::head::Form;
use crate::http::method::Method;

/// The second word of the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/path?query`: the usual form.
    Origin {
        /// Begins with a slash; still encoded.
        path: &'b [u8],
        /// What follows the first `?`, never decoded.
        query: Option<&'b [u8]>,
    },
    /// `http://host/path?query`: as to a proxy, but any server must understand it. Its host beats
    /// the Host field.
    Absolute {
        /// Host and port as they stand in the URI.
        host: Host<'b>,
        /// Begins with a slash, even if the URI had no path.
        path: &'b [u8],
        /// What follows the first `?`.
        query: Option<&'b [u8]>,
    },
    /// `host:port`: only with CONNECT.
    Authority(Host<'b>),
    /// `*`: only with OPTIONS; the server as a whole.
    Asterisk,
}

impl<'b> Target<'b> {
    /// Reads the target of a request with this method.
    ///
    /// # Errors
    /// The fault to answer with: a byte that no target has, written out or encoded, a fragment, user
    /// information, a form that does not suit.
    pub fn parse(text: &'b [u8], method: Method<'_>, form: Form) -> Result<Target<'b>, Fault> {
        if text.is_empty() || !text.iter().all(|&byte| may_stand_in_target(byte, form)) {
            return Err(Fault::TargetMalformed);
        }
        if form == Form::Strict && hides_control(text) {
            return Err(Fault::TargetControl);
        }
        if method == Method::Connect {
            return match Host::parse(text) {
                Some(host) if host.port.is_some() && !host.name.is_empty() => {
                    Ok(Target::Authority(host))
                }
                _ => Err(Fault::TargetMalformed),
            };
        }
        if text[0] == b'/' {
            let (path, query) = split_query(text);
            return Ok(Target::Origin { path, query });
        }
        if text == b"*" && method == Method::Options {
            return Ok(Target::Asterisk);
        }
        let after_scheme = strip_http_scheme(text).ok_or(Fault::TargetMalformed)?;
        parse_absolute(after_scheme)
    }

    /// The encoded path: `*` for [`Target::Asterisk`], empty for [`Target::Authority`], else it
    /// begins with a slash.
    pub const fn path(&self) -> &'b [u8] {
        match self {
            Target::Origin { path, .. } | Target::Absolute { path, .. } => path,
            Target::Authority(_) => b"",
            Target::Asterisk => b"*",
        }
    }

    /// What follows the first `?`, undecoded; `Some` of nothing if the `?` ends the target.
    pub const fn query(&self) -> Option<&'b [u8]> {
        match self {
            Target::Origin { query, .. } | Target::Absolute { query, .. } => *query,
            Target::Authority(_) | Target::Asterisk => None,
        }
    }

    /// The host that the target itself names.
    pub const fn host(&self) -> Option<Host<'b>> {
        match self {
            Target::Absolute { host, .. } | Target::Authority(host) => Some(*host),
            Target::Origin { .. } | Target::Asterisk => None,
        }
    }
}

/// Whether a target may contain this byte. Narrower than what clients send is only RFC 3986, which
/// has no `"`, `<`, `>`, `^`, `` ` ``, `{`, `|` and `}`.
const fn may_stand_in_target(byte: u8, form: Form) -> bool {
    match byte {
        // A fragment never travels (RFC 9110 section 4.2.5): whoever sends one splits URLs
        // otherwise than we do.
        0..=b' ' | 0x7f | b'#' => false,
        // Some would make a slash of the one, and characters of the other.
        b'\\' | 0x80.. => matches!(form, Form::Unsafe),
        _ => true,
    }
}

/// Whether something encoded ends texts elsewhere: NUL, and in the path CR and LF. In a query these
/// two are what a browser makes of a text of several lines.
fn hides_control(text: &[u8]) -> bool {
    let path_end = memchr::memchr(b'?', text).unwrap_or(text.len());
    memchr::memchr_iter(b'%', text).any(|percent| match &text[percent + 1..] {
        [b'0', b'0', ..] => true,
        [b'0', b'a' | b'A' | b'd' | b'D', ..] => percent < path_end,
        _ => false,
    })
}

fn strip_http_scheme(text: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

fn parse_absolute(after_scheme: &[u8]) -> Result<Target<'_>, Fault> {
    let authority_end = after_scheme
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(after_scheme.len());
    let (authority, rest) = after_scheme.split_at(authority_end);
    let host =
        Host::parse(authority).filter(|host| !host.name.is_empty()).ok_or(Fault::HostMalformed)?;
    let (path, query) = split_query(rest);
    Ok(Target::Absolute { host, path: if path.is_empty() { b"/" } else { path }, query })
}

fn split_query(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', text) {
        Some(mark) => (&text[..mark], Some(&text[mark + 1..])),
        None => (text, None),
    }
}

/// Whom the request is for: a virtual host is chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'b> {
    /// As sent, without a trailing dot; an IPv6 address keeps its brackets. Compare it without
    /// regard to case. Empty if the client has no name for us (RFC 9110 section 7.2).
    pub name: &'b str,
    /// The port, if one is written.
    pub port: Option<u16>,
}

impl<'b> Host<'b> {
    /// Reads `name[:port]`, the value of a Host field; `None` if it is malformed.
    pub fn parse(text: &'b [u8]) -> Option<Host<'b>> {
        let text = str::from_utf8(text).ok()?;
        if let Some(after_bracket) = text.strip_prefix('[') {
            let (inside, after) = after_bracket.split_once(']')?;
            inside.parse::<Ipv6Addr>().ok()?;
            return Some(Host { name: &text[..inside.len() + 2], port: parse_port(after)? });
        }
        let name_end = text.find(':').unwrap_or(text.len());
        let (name, port) = text.split_at(name_end);
        let name = match name {
            "" => name,
            _ => name.strip_suffix('.').unwrap_or(name),
        };
        let nothing = text.is_empty();
        (nothing || is_name_or_ipv4(name)).then_some(Host { name, port: parse_port(port)? })
    }
}

/// Reads `:port`. A colon without a number is allowed (RFC 3986 section 3.2.3).
fn parse_port(text: &str) -> Option<Option<u16>> {
    match text.strip_prefix(':') {
        None => text.is_empty().then_some(None),
        Some("") => Some(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|&port| port > 0).map(Some)
        }
        Some(_) => None,
    }
}

fn is_name_or_ipv4(name: &str) -> bool {
    // `1.2.3` is short for an address to some resolvers and a name to others: nobody agrees, so we
    // refuse.
    if name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return name.parse::<Ipv4Addr>().is_ok();
    }
    name.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::{Host, Target};
    use crate::http::fault::Fault;
    use crate::http::head::Form;
    use crate::http::method::Method;

    fn host(text: &str) -> Option<(&str, Option<u16>)> {
        Host::parse(text.as_bytes()).map(|host| (host.name, host.port))
    }

    #[test]
    fn hosts_are_names_addresses_or_nothing() {
        assert_eq!(host(""), Some(("", None)));
        assert_eq!(host("Example.com"), Some(("Example.com", None)));
        assert_eq!(host("example.com.:8080"), Some(("example.com", Some(8080))));
        assert_eq!(host("my_host-1:"), Some(("my_host-1", None)));
        assert_eq!(host("127.0.0.1:80"), Some(("127.0.0.1", Some(80))));
        assert_eq!(host("[::1]:443"), Some(("[::1]", Some(443))));
        assert_eq!(host("[2001:db8::1]"), Some(("[2001:db8::1]", None)));
    }

    #[test]
    fn malformed_hosts_are_refused() {
        for text in [
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            ":80",
            "a:b",
            "a:0",
            "a:65536",
            "a:+1",
            "a:1:2",
            "a b",
            "a/b",
            "a@b",
            "u:p@b",
            "1.2.3",
            "123",
            "1.2.3.4.5",
            "[::1",
            "[::1]x",
            "[g::]",
            "[127.0.0.1]",
            "::1",
            "a,b",
            "a%41",
            "\u{e9}.com",
            "a\\b",
            "a\"b",
        ] {
            assert_eq!(host(text), None, "{text:?}");
        }
    }

    fn target<'t>(method: Method<'_>, text: &'t str) -> Result<Target<'t>, Fault> {
        Target::parse(text.as_bytes(), method, Form::Strict)
    }

    #[test]
    fn origin_form_splits_at_the_first_question_mark() {
        let found = target(Method::Get, "/a%2f?b?c").unwrap();
        assert_eq!((found.path(), found.query()), (&b"/a%2f"[..], Some(&b"b?c"[..])));
        assert_eq!(target(Method::Get, "/?").unwrap().query(), Some(&b""[..]));
        assert_eq!(target(Method::Get, "/").unwrap().query(), None);
    }

    #[test]
    fn absolute_form_names_its_host_and_always_has_a_path() {
        let found = target(Method::Get, "HTTP://a.example:81?x").unwrap();
        assert_eq!((found.path(), found.query()), (&b"/"[..], Some(&b"x"[..])));
        assert_eq!(found.host(), Some(Host { name: "a.example", port: Some(81) }));
        assert_eq!(target(Method::Get, "https://b/c").unwrap().path(), b"/c");
    }

    #[test]
    fn asterisk_and_authority_belong_to_one_method_each() {
        assert_eq!(target(Method::Options, "*"), Ok(Target::Asterisk));
        let connect = target(Method::Connect, "a:443").unwrap();
        assert_eq!(connect.host(), Some(Host { name: "a", port: Some(443) }));
        assert_eq!((connect.path(), connect.query()), (&b""[..], None));
    }

    #[test]
    fn what_suits_no_form_is_malformed() {
        for text in
            ["*", "a", "a:80", "", "/a b", "/a#b", "/\t", "/\x7f", "ftp://a/", "http:/a", "http"]
        {
            assert_eq!(target(Method::Get, text), Err(Fault::TargetMalformed), "{text:?}");
        }
        for text in ["/a\\b", "/\u{e9}", "/?\\", "\\"] {
            assert_eq!(target(Method::Get, text), Err(Fault::TargetMalformed), "{text:?}");
        }
        for text in ["http://", "http:///x", "http://u@a/", "http://:80/"] {
            assert_eq!(target(Method::Get, text), Err(Fault::HostMalformed), "{text:?}");
        }
        for text in ["/", "a", "http://a/", ":80", "*"] {
            assert_eq!(target(Method::Connect, text), Err(Fault::TargetMalformed), "{text:?}");
        }
    }

    #[test]
    fn encoded_controls_are_refused_where_they_would_end_something() {
        for text in ["/%00", "/a%0ab", "/%0A", "/%0d", "/%0D/?x", "/?%00", "http://a/%0a"] {
            assert_eq!(target(Method::Get, text), Err(Fault::TargetControl), "{text:?}");
        }
        for text in ["/?a=%0d%0A", "/%09", "/%2500", "/%", "/%0", "/%7f%80"] {
            assert!(target(Method::Get, text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn unsafe_form_bears_with_bytes_that_others_may_read_otherwise() {
        let target = |text: &'static str| Target::parse(text.as_bytes(), Method::Get, Form::Unsafe);
        for text in ["/a\\b", "/\u{e9}", "/%0a", "/%00"] {
            assert_eq!(target(text).unwrap().path(), text.as_bytes());
        }
        for text in ["/a b", "/\0", "/\r", "/#", "/\x7f"] {
            assert_eq!(target(text), Err(Fault::TargetMalformed), "{text:?}");
        }
    }
}
