//! # method: the first word of a request
//!
//! - Names are compared byte by byte: `get` is another method than `GET` (RFC 9110 section 9.1).
//! - A name that is no token never becomes a `Method`.

use crate::http::field;

/// A request method. The borrowed name is a token, so it is ASCII and needs no escaping in a log
/// line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the methods themselves")]
pub enum Method<'b> {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Trace,
    Connect,
    Patch,
    /// Any other token: a WebDAV method, or one that nobody knows.
    Other(&'b str),
}

impl<'b> Method<'b> {
    /// The method of this name; `None` if the name is no token.
    pub fn parse(name: &'b [u8]) -> Option<Method<'b>> {
        Some(match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            b"PATCH" => Method::Patch,
            _ if field::is_token(name) => Method::Other(str::from_utf8(name).ok()?),
            _ => return None,
        })
    }

    /// The name as it stood in the request line.
    pub const fn as_str(self) -> &'b str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
            Method::Patch => "PATCH",
            Method::Other(name) => name,
        }
    }

    /// A method that Apache knows. One that it knows but cannot do here is a 405, one that it has
    /// never heard of a 501.
    pub fn is_known(self) -> bool {
        match self {
            Method::Other(name) => KNOWN_OTHERS.contains(&name),
            Method::Get
            | Method::Head
            | Method::Post
            | Method::Put
            | Method::Delete
            | Method::Options
            | Method::Trace
            | Method::Connect
            | Method::Patch => true,
        }
    }

    /// GET or HEAD: the two that a 304 may answer, and that static files are for.
    pub const fn is_get_or_head(self) -> bool {
        matches!(self, Method::Get | Method::Head)
    }
}

/// What Apache registers beside the common nine: WebDAV (RFC 4918) and its versioning extension
/// (RFC 3253).
const KNOWN_OTHERS: [&str; 18] = [
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "VERSION-CONTROL",
    "CHECKOUT",
    "UNCHECKOUT",
    "CHECKIN",
    "UPDATE",
    "LABEL",
    "REPORT",
    "MKWORKSPACE",
    "MKACTIVITY",
    "BASELINE-CONTROL",
    "MERGE",
];

#[cfg(test)]
mod tests {
    use super::{KNOWN_OTHERS, Method};

    #[test]
    fn every_known_name_reads_back_as_itself() {
        let common =
            ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"];
        for name in common.into_iter().chain(KNOWN_OTHERS) {
            let method = Method::parse(name.as_bytes()).unwrap();
            assert_eq!(method.as_str(), name);
            assert!(method.is_known(), "{name}");
        }
    }

    #[test]
    fn names_are_case_sensitive_tokens() {
        let lower = Method::parse(b"get").unwrap();
        assert_eq!(lower, Method::Other("get"));
        assert!(!lower.is_known() && !lower.is_get_or_head());
        for name in ["", "G ET", "GET\t", "GE(T", "G\u{e9}T"] {
            assert_eq!(Method::parse(name.as_bytes()), None, "{name:?}");
        }
    }
}
