//! # conditional: "only if it changed", "only if it did not"
//!
//! ```text
//! If-Match ──────────── present ──▶ none of its tags is ours ─────────▶ 412
//! If-Unmodified-Since ─ only without If-Match ──▶ changed since ───────▶ 412
//! If-None-Match ─────── present ──▶ one of its tags is ours ───────────▶ 304; PUT and such: 412
//! If-Modified-Since ─── only without If-None-Match, GET and HEAD ──▶ not changed since ──▶ 304
//! If-Range ──────────── only with Range ──▶ not the version we have ───▶ the whole file
//! ```
//!
//! - The order is that of RFC 9110 section 13.2.2. Apache instead wants If-None-Match and
//!   If-Modified-Since to agree, and looks at If-Unmodified-Since also beside If-Match; there the
//!   RFC wins.
//! - Only a response that would be a success is ever turned into a 304 or a 412, and none to OPTIONS, TRACE or CONNECT.
//! - A date that is unreadable, repeated, or later than now is as if it were not there.

use crate::http::date;
use crate::http::etag::{EntityTag, TagList};
use crate::http::field::{Known, Values};
use crate::http::method::Method;
use crate::http::status::Status;

/// What the server knows about the version that it would send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'v> {
    /// Its entity tag, if it has one.
    pub etag: Option<EntityTag<'v>>,
    /// When it last changed, in seconds since 1970, if known.
    pub modified_secs: Option<i64>,
}

/// The conditions of one request, as sent.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'b> {
    /// `If-Match`, all lines.
    pub if_match: Values<'b>,
    /// `If-None-Match`, all lines.
    pub if_none_match: Values<'b>,
    /// `If-Modified-Since`, if it is there once.
    pub if_modified_since: Option<&'b [u8]>,
    /// `If-Unmodified-Since`, if it is there once.
    pub if_unmodified_since: Option<&'b [u8]>,
}

impl<'b> Conditions<'b> {
    /// A request without conditions.
    pub const NONE: Conditions<'static> = Conditions {
        if_match: Values::NONE,
        if_none_match: Values::NONE,
        if_modified_since: None,
        if_unmodified_since: None,
    };

    /// Those of a request whose fields are looked up by `values`.
    pub fn of(values: impl Fn(Known) -> Values<'b>) -> Conditions<'b> {
        Conditions {
            if_match: values(Known::IfMatch),
            if_none_match: values(Known::IfNoneMatch),
            if_modified_since: values(Known::IfModifiedSince).single(),
            if_unmodified_since: values(Known::IfUnmodifiedSince).single(),
        }
    }
}

/// What the conditions make of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send what would be sent without them.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: the client works on another version.
    PreconditionFailed,
}

/// Judges the conditions of a request whose answer would be `status` without them.
pub fn evaluate(
    method: Method<'_>,
    status: Status,
    validators: &Validators<'_>,
    conditions: &Conditions<'_>,
    now_secs: i64,
) -> Verdict {
    if !status.is_success() || !selects_a_version(method) {
        return Verdict::Proceed;
    }
    if !conditions.if_match.is_absent() {
        if !any_tag_is_ours(conditions.if_match, validators, EntityTag::strong_eq) {
            return Verdict::PreconditionFailed;
        }
    } else if modified_after(validators, conditions.if_unmodified_since) {
        return Verdict::PreconditionFailed;
    }
    if !conditions.if_none_match.is_absent() {
        if !any_tag_is_ours(conditions.if_none_match, validators, EntityTag::weak_eq) {
            Verdict::Proceed
        } else if method.is_get_or_head() {
            Verdict::NotModified
        } else {
            Verdict::PreconditionFailed
        }
    } else if method.is_get_or_head()
        && unmodified_since(validators, conditions.if_modified_since, now_secs)
    {
        Verdict::NotModified
    } else {
        Verdict::Proceed
    }
}

/// Whether the method is about one version of something; conditions mean nothing to the others (RFC 9110 section 13.2.1).
fn selects_a_version(method: Method<'_>) -> bool {
    !matches!(method, Method::Options | Method::Trace | Method::Connect)
}

/// Whether the list is `*`, or has a tag that is `equal` to the one of the version that we have.
fn any_tag_is_ours<'a>(
    values: Values<'a>,
    validators: &Validators<'a>,
    equal: fn(EntityTag<'a>, EntityTag<'a>) -> bool,
) -> bool {
    let list = TagList::new(values);
    list.is_any() || validators.etag.is_some_and(|ours| list.any(|theirs| equal(theirs, ours)))
}

/// The file is newer than the version that the client knows.
fn modified_after(validators: &Validators<'_>, date: Option<&[u8]>) -> bool {
    match (validators.modified_secs, date.and_then(date::parse)) {
        (Some(modified), Some(since)) => modified > since,
        _ => false,
    }
}

/// The file is what the client saw at that date. A date in the future would hide every change until
/// then.
fn unmodified_since(validators: &Validators<'_>, date: Option<&[u8]>, now_secs: i64) -> bool {
    match (validators.modified_secs, date.and_then(date::parse)) {
        (Some(modified), Some(since)) => modified <= since && since <= now_secs,
        _ => false,
    }
}

/// Whether the ranges of a request may be sent: it is a GET, and there is no `If-Range`, or it names exactly the version
/// that we have.
///
/// A date counts only if the file is at least a minute older than the request: within the same
/// second it may have changed twice (RFC 9110 section 8.8.2.2; the minute is Apache's).
pub fn ranges_apply(
    method: Method<'_>,
    if_range: Values<'_>,
    validators: &Validators<'_>,
    now_secs: i64,
) -> bool {
    const STRONG_AFTER_SECS: i64 = 60;
    if method != Method::Get {
        return false;
    }
    if if_range.is_absent() {
        return true;
    }
    let Some(value) = if_range.single() else { return false };
    if let Some(theirs) = EntityTag::parse(value) {
        return validators.etag.is_some_and(|ours| theirs.strong_eq(ours));
    }
    match (validators.modified_secs, date::parse(value)) {
        (Some(modified), Some(theirs)) => {
            modified == theirs && modified <= now_secs.saturating_sub(STRONG_AFTER_SECS)
        }
        _ => false,
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::{Conditions, Validators, Verdict, evaluate, ranges_apply};
    use crate::http::date;
    use crate::http::etag::EntityTag;
    use crate::http::field::Values;
    use crate::http::head::{HeadLimits, Parse, parse};
    use crate::http::method::Method;
    use crate::http::status::Status;

    const MODIFIED: i64 = 1_000_000;
    const NOW: i64 = 2_000_000;

    fn date_text(secs: i64) -> String {
        String::from_utf8(date::format(secs).to_vec()).unwrap()
    }

    fn validators(etag: &str) -> Validators<'_> {
        Validators { etag: EntityTag::parse(etag.as_bytes()), modified_secs: Some(MODIFIED) }
    }

    /// Judges a request with these fields about a version with the tag `"a"`.
    fn judge(method: &str, fields: &str) -> Verdict {
        let text = format!("{method} / HTTP/1.0\r\n{fields}\r\n");
        let Parse::Complete { head, .. } = parse(text.as_bytes(), &HeadLimits::default()) else {
            panic!("{text}")
        };
        let conditions = Conditions::of(|known| head.values(known));
        evaluate(head.method(), Status::OK, &validators("\"a\""), &conditions, NOW)
    }

    #[track_caller]
    fn check(fields: &str, get: Verdict, put: Verdict) {
        assert_eq!(judge("GET", fields), get, "GET {fields:?}");
        assert_eq!(judge("HEAD", fields), get, "HEAD {fields:?}");
        assert_eq!(judge("PUT", fields), put, "PUT {fields:?}");
    }

    use Verdict::{NotModified, PreconditionFailed, Proceed};

    #[test]
    fn tags_decide() {
        check("", Proceed, Proceed);
        check("If-Match: *\r\n", Proceed, Proceed);
        check("If-Match: \"b\", \"a\"\r\n", Proceed, Proceed);
        check("If-Match: \"b\"\r\nIf-Match: \"a\"\r\n", Proceed, Proceed);
        check("If-Match: W/\"a\"\r\n", PreconditionFailed, PreconditionFailed);
        check("If-Match:\r\n", PreconditionFailed, PreconditionFailed);
        check("If-None-Match: *\r\n", NotModified, PreconditionFailed);
        check("If-None-Match: W/\"a\"\r\n", NotModified, PreconditionFailed);
        check("If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", NotModified, PreconditionFailed);
        check("If-None-Match: \"b\"\r\n", Proceed, Proceed);
        check("If-None-Match: a\r\n", Proceed, Proceed);
    }

    #[test]
    fn dates_decide() {
        let field = |name: &str, secs| format!("{name}: {}\r\n", date_text(secs));
        check(&field("If-Modified-Since", MODIFIED), NotModified, Proceed);
        check(&field("If-Modified-Since", MODIFIED - 1), Proceed, Proceed);
        check(&field("If-Modified-Since", NOW), NotModified, Proceed);
        check(&field("If-Modified-Since", NOW + 1), Proceed, Proceed);
        check(&field("If-Modified-Since", MODIFIED).repeat(2), Proceed, Proceed);
        check("If-Modified-Since: yesterday\r\n", Proceed, Proceed);
        check(&field("If-Unmodified-Since", MODIFIED), Proceed, Proceed);
        check(&field("If-Unmodified-Since", MODIFIED - 1), PreconditionFailed, PreconditionFailed);
        check("If-Unmodified-Since: yesterday\r\n", Proceed, Proceed);
    }

    #[test]
    fn tags_take_precedence_over_dates() {
        let since = |name: &str, secs| format!("{name}: {}\r\n", date_text(secs));
        let old = since("If-Modified-Since", 0);
        check(&format!("If-None-Match: \"a\"\r\n{old}"), NotModified, PreconditionFailed);
        let recent = since("If-Modified-Since", MODIFIED);
        check(&format!("If-None-Match: \"b\"\r\n{recent}"), Proceed, Proceed);
        let unmodified = since("If-Unmodified-Since", 0);
        check(&format!("If-Match: \"a\"\r\n{unmodified}"), Proceed, Proceed);
    }

    #[test]
    fn only_a_success_is_conditional() {
        let conditions = Conditions { if_match: Values::one(b"\"b\""), ..Conditions::NONE };
        let verdict =
            |status| evaluate(Method::Get, status, &validators("\"a\""), &conditions, NOW);
        assert_eq!(verdict(Status::OK), PreconditionFailed);
        assert_eq!(verdict(Status::NOT_FOUND), Proceed);
        assert_eq!(verdict(Status::FOUND), Proceed);
    }

    #[test]
    fn without_validators_only_a_star_is_known() {
        let unknown = Validators::default();
        let verdict = |conditions: Conditions<'_>| {
            evaluate(Method::Get, Status::OK, &unknown, &conditions, NOW)
        };
        let date = date_text(MODIFIED);
        let date = Some(date.as_bytes());
        assert_eq!(
            verdict(Conditions { if_match: Values::one(b"\"a\""), ..Conditions::NONE }),
            PreconditionFailed
        );
        assert_eq!(
            verdict(Conditions { if_match: Values::one(b"*"), ..Conditions::NONE }),
            Proceed
        );
        assert_eq!(
            verdict(Conditions { if_none_match: Values::one(b"*"), ..Conditions::NONE }),
            NotModified
        );
        assert_eq!(verdict(Conditions { if_modified_since: date, ..Conditions::NONE }), Proceed);
        assert_eq!(verdict(Conditions { if_unmodified_since: date, ..Conditions::NONE }), Proceed);
    }

    #[test]
    fn if_range_names_exactly_our_version() {
        let modified = date_text(MODIFIED);
        let older = date_text(MODIFIED - 1);
        let check = |value: &str, etag: &str, now, expected| {
            let found =
                ranges_apply(Method::Get, Values::one(value.as_bytes()), &validators(etag), now);
            assert_eq!(found, expected, "{value} {etag} {now}");
        };
        assert!(ranges_apply(Method::Get, Values::NONE, &Validators::default(), NOW));
        check("\"a\"", "\"a\"", NOW, true);
        check("\"b\"", "\"a\"", NOW, false);
        check("W/\"a\"", "\"a\"", NOW, false);
        check("\"a\"", "W/\"a\"", NOW, false);
        check("W/\"a\"", "W/\"a\"", NOW, false);
        check("\"a\"", "none", NOW, false);
        check(&modified, "\"a\"", MODIFIED + 60, true);
        check(&modified, "\"a\"", MODIFIED + 59, false);
        check(&older, "\"a\"", NOW, false);
        check("soon", "\"a\"", NOW, false);
        check("", "\"a\"", NOW, false);
    }
}
