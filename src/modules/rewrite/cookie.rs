//! `[CO=name:value:domain:minutes:path:secure:httponly:samesite]`: a cookie for whatever the answer is.

use crate::http::date;

/// What goes into Set-Cookie, and the cookie's name; `None`: there is no name, value or domain. `now_secs` counts from
/// 1970.
pub(super) fn set_cookie(description: &[u8], now_secs: i64) -> Option<(Vec<u8>, Vec<u8>)> {
    // A semicolon in front says that colons are not what separates the parts.
    let (separator, description) = match description.strip_prefix(b";") {
        Some(rest) => (b';', rest),
        None => (b':', description),
    };
    let mut parts = description.split(|byte| *byte == separator).filter(|part| !part.is_empty());
    let (name, value, domain) = (parts.next()?, parts.next()?, parts.next()?);
    let (minutes, path) = (parts.next(), parts.next());
    let (secure, http_only, same_site) = (parts.next(), parts.next(), parts.next());
    let mut cookie = [name, b"=", value, b"; path=", path.unwrap_or(b"/")].concat();
    cookie.extend_from_slice(&[b"; domain=", domain].concat());
    let minutes = minutes.map_or(0, super::rule::leading_number);
    if minutes != 0 {
        cookie.extend_from_slice(b"; expires=");
        let end = now_secs.saturating_add(minutes.saturating_mul(60));
        cookie.extend_from_slice(&expiry(end));
    }
    let says = |part: Option<&[u8]>, word: &[u8]| {
        let yes = [&b"true"[..], b"1", word];
        part.is_some_and(|part| yes.iter().any(|yes| part.eq_ignore_ascii_case(yes)))
    };
    if says(secure, b"secure") {
        cookie.extend_from_slice(b"; secure");
    }
    if says(http_only, b"httponly") {
        cookie.extend_from_slice(b"; HttpOnly");
    }
    let is_no = |part: &&[u8]| *part == b"0" || part.eq_ignore_ascii_case(b"false");
    if let Some(same_site) = same_site.filter(|part| !is_no(part)) {
        cookie.extend_from_slice(&[b"; SameSite=", same_site].concat());
    }
    Some((name.to_vec(), cookie))
}

/// `Sat, 01-Jan-2000 00:00:00 GMT`, the date as cookies first had it.
fn expiry(secs: i64) -> Vec<u8> {
    let mut date = date::format(secs).to_vec();
    for at in [7, 11] {
        date[at] = b'-';
    }
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(description: &str, expected: Option<&str>) {
        let found = set_cookie(description.as_bytes(), 946_684_800 - 60);
        let found = found.map(|(_, cookie)| String::from_utf8(cookie).unwrap());
        assert_eq!(found.as_deref(), expected, "{description}");
    }

    #[test]
    fn the_parts_of_a_cookie_have_their_order() {
        check("a:b", None);
        check("a:b:.x.org", Some("a=b; path=/; domain=.x.org"));
        check(
            "a:b:x:1:/p:secure:httponly:Lax",
            Some(
                "a=b; path=/p; domain=x; expires=Sat, 01-Jan-2000 00:00:00 GMT; secure; HttpOnly; SameSite=Lax",
            ),
        );
        check("a:b:x:0:/p:0:1:false", Some("a=b; path=/p; domain=x; HttpOnly"));
        check(";a;b:c;x", Some("a=b:c; path=/; domain=x"));
    }
}
