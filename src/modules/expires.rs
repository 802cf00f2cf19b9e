//! # mod_expires: how long content stays fresh
//!
//! ```text
//! ExpiresActive On
//! ExpiresByType text/css "access plus 1 week"     the type itself,
//! ExpiresByType image/*  A86400                   else its major type,
//! ExpiresDefault         "modification plus 1 day"    else this
//!                           └──▶ Cache-Control: max-age=…  and  Expires: …
//! ```
//!
//! A response that has an Expires keeps it; errors get none.

use std::collections::BTreeMap;

use herdgate_conf::{Args, Directive, Overrides, Problem, Word};

use super::{EVERYWHERE, Module};
use crate::config::DirSettings;
use crate::http::date;
use crate::request::Request;
use crate::response::Response;

/// mod_expires' settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Expires {
    active: Option<bool>,
    /// By media type, in lower case; `image/*` for the rest of a major type.
    by_type: BTreeMap<String, Lifetime>,
    default: Option<Lifetime>,
}

/// So many seconds after something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lifetime {
    after: After,
    secs: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// The request.
    Access,
    /// The file's last change.
    Modification,
}

impl Expires {
    /// What `inner` makes of `self`: type by type.
    pub fn merge(&self, inner: &Self) -> Self {
        let mut by_type = self.by_type.clone();
        by_type.extend(inner.by_type.iter().map(|(name, lifetime)| (name.clone(), *lifetime)));
        Self {
            active: inner.active.or(self.active),
            by_type,
            default: inner.default.or(self.default),
        }
    }

    /// `ExpiresActive`
    pub fn active(&self) -> bool {
        self.active.unwrap_or(false)
    }

    fn lifetime(&self, media_type: Option<&str>) -> Option<Lifetime> {
        let of_type = |name: String| self.by_type.get(&name).copied();
        let media_type = media_type.map(str::to_ascii_lowercase);
        let of_exact = media_type.clone().and_then(of_type);
        let of_major = || {
            let media_type = media_type?;
            let (major, _) = media_type.split_once('/')?;
            of_type(format!("{major}/*"))
        };
        of_exact.or_else(of_major).or(self.default)
    }
}

/// Last touches: says how long the response stays fresh, unless it is an error or says so itself.
pub(crate) fn finish(request: &Request<'_>, response: &mut Response) {
    let settings = &request.place.settings.expires;
    let is_error = response.status.code() >= 400;
    if !settings.active() || is_error || response.fields.get("Expires").is_some() {
        return;
    }
    let Some(lifetime) = settings.lifetime(response.media_type()) else { return };
    let now = request.now().secs;
    let start = match lifetime.after {
        After::Access => now,
        After::Modification => {
            let of_content = response.fields.get("Last-Modified").and_then(date::parse);
            match of_content.or(request.modified) {
                Some(modified) => modified,
                None => return, // No file, so nothing is known.
            }
        }
    };
    let expires = start.saturating_add(lifetime.secs).max(now);
    // Counted from this very moment: the second that has begun is not whole any more.
    let begun = i64::from(lifetime.after == After::Modification && request.now().nanos > 0);
    let max_age = format!("max-age={}", (expires - now - begun).max(0));
    response.fields.append("Cache-Control", max_age.as_bytes());
    response.fields.push("Expires", &date::format(expires));
}

pub(super) const MODULE: Module = Module {
    name: "expires_module",
    file: "mod_expires.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "ExpiresActive",
        syntax: "ExpiresActive On|Off",
        default: Some("Off"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "Whether ExpiresByType and ExpiresDefault are obeyed.",
        apply: |settings, args| {
            settings.expires.active = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "ExpiresByType",
        syntax: "ExpiresByType media-type A|Mseconds|\"base [plus] number unit...\"",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "How long content of a type stays fresh, told as Expires and as Cache-Control's max-age: \
               `A3600` or \"access plus 1 hour\" from the request on, `M3600` or \"modification plus 1 hour\" from the \
               file's last change on. Units are years (365 days), months (30 days), weeks, days, hours, minutes and \
               seconds. `image/*` stands for the images that no other line names.",
        apply: |settings, args| {
            let media_type = args.word()?.to_ascii_lowercase();
            settings.expires.by_type.insert(media_type, lifetime(args)?);
            Ok(())
        },
    },
    Directive {
        name: "ExpiresDefault",
        syntax: "ExpiresDefault A|Mseconds|\"base [plus] number unit...\"",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "How long content stays fresh whose type no ExpiresByType names.",
        apply: |settings, args| {
            settings.expires.default = Some(lifetime(args)?);
            Ok(())
        },
    },
];

fn lifetime(args: &mut Args<'_>) -> Result<Lifetime, Problem> {
    let word: &Word = args.required()?;
    parse(&word.text).map_err(|why| Problem::at(word, format!("bad expires code, {why}")))
}

/// Reads `A3600`, or `access plus 1 hour 30 minutes`. As in Apache, the first letters of a word are enough.
fn parse(text: &str) -> Result<Lifetime, String> {
    let after = |letter: Option<char>| match letter {
        Some('A' | 'a' | 'N' | 'n') => Some(After::Access),
        Some('M' | 'm') => Some(After::Modification),
        _ => None,
    };
    if let Some(secs) = text.strip_prefix(['A', 'M']).and_then(|secs| secs.trim().parse().ok()) {
        let after = after(text.chars().next()).unwrap_or(After::Access);
        return Ok(Lifetime { after, secs });
    }
    let mut words = text.split_ascii_whitespace().peekable();
    let base = words.next().unwrap_or_default();
    let unknown_base = || format!("unrecognised <base> '{base}'");
    let after = after(base.chars().next()).ok_or_else(unknown_base)?;
    words.next_if(|word| word.starts_with(['p', 'P']));
    let mut secs: i64 = 0;
    while let Some(number) = words.next() {
        let count: i64 =
            number.parse().map_err(|_| format!("numeric value expected <num> '{number}'"))?;
        let unit = words.next().ok_or("missing <type>")?;
        let unit_secs = unit_secs(unit).ok_or_else(|| format!("unrecognised <type> '{unit}'"))?;
        secs = secs.saturating_add(count.saturating_mul(unit_secs));
    }
    Ok(Lifetime { after, secs })
}

fn unit_secs(unit: &str) -> Option<i64> {
    const DAY: i64 = 24 * 60 * 60;
    match unit.to_ascii_lowercase().as_bytes() {
        [b'y', ..] => Some(365 * DAY),
        [b'm', b'o', ..] => Some(30 * DAY),
        [b'w', ..] => Some(7 * DAY),
        [b'd', ..] => Some(DAY),
        [b'h', ..] => Some(60 * 60),
        [b'm', b'i', ..] => Some(60),
        [b's', ..] => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, after: After, secs: i64) {
        assert_eq!(parse(text), Ok(Lifetime { after, secs }), "{text}");
    }

    #[test]
    fn both_grammars_are_read() {
        check("A3600", After::Access, 3600);
        check("M0", After::Modification, 0);
        check("access plus 1 month", After::Access, 30 * 86_400);
        check("now 1 year 2 weeks", After::Access, 379 * 86_400);
        check("modification plus 1 hour 30 minutes 5 seconds", After::Modification, 5405);
        check("Access plus 1 day", After::Access, 86_400);
        check("access", After::Access, 0);
    }

    #[test]
    fn mistakes_say_what_is_wrong() {
        for (text, why) in [
            ("tomorrow", "unrecognised <base> 'tomorrow'"),
            ("access plus many days", "numeric value expected <num> 'many'"),
            ("access plus 1", "missing <type>"),
            ("access plus 1 m", "unrecognised <type> 'm'"),
        ] {
            assert_eq!(parse(text), Err(why.to_string()));
        }
    }

    #[test]
    fn the_nearest_type_counts() {
        let lifetime = |secs| Lifetime { after: After::Access, secs };
        let mut settings = Expires { default: Some(lifetime(1)), ..Expires::default() };
        settings.by_type.insert("image/*".to_string(), lifetime(2));
        settings.by_type.insert("image/png".to_string(), lifetime(3));
        let secs = |name| settings.lifetime(name).map(|it| it.secs);
        assert_eq!((secs(Some("image/PNG")), secs(Some("image/gif"))), (Some(3), Some(2)));
        assert_eq!((secs(Some("text/html")), secs(None)), (Some(1), Some(1)));
    }
}
