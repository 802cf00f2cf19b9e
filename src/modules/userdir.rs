//! # mod_userdir: a site for each user of the machine
//!
//! ```text
//! UserDir public_html              /~anna/a.html ──▶ /home/anna/public_html/a.html    the home is the system's to know
//! UserDir /srv/*/www               /~anna/a.html ──▶ /srv/anna/www/a.html
//! UserDir https://example.org/*    /~anna/a.html ──▶ Location: https://example.org/anna/a.html
//! UserDir disabled root            never theirs
//! ```

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use herdgate_conf::{Directive, Overrides, Problem};
use nix::unistd::User;

use super::{HOST, Module};
use crate::config::HostSettings;
use crate::files::Access;
use crate::http::escape::push_path;
use crate::http::status::Status;
use crate::request::{Request, Stop};
use crate::route::alias::{self, Mapped};

/// mod_userdir's settings of one host.
#[derive(Debug, Clone, Default)]
pub struct UserDir {
    /// Where a user's files may be, tried in order; `None`: nothing was said.
    patterns: Option<Vec<String>>,
    /// Nobody has a site, except who is enabled.
    disabled: Option<bool>,
    enabled_users: BTreeSet<String>,
    disabled_users: BTreeSet<String>,
}

impl UserDir {
    /// The settings of virtual host `inner` within main server `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        if inner.says_nothing() {
            return self.clone();
        }
        Self {
            patterns: inner.patterns.clone().or_else(|| self.patterns.clone()),
            disabled: inner.disabled.or(self.disabled),
            enabled_users: inner.enabled_users.clone(),
            disabled_users: inner.disabled_users.clone(),
        }
    }

    fn says_nothing(&self) -> bool {
        let names_nobody = self.enabled_users.is_empty() && self.disabled_users.is_empty();
        self.patterns.is_none() && self.disabled.is_none() && names_nobody
    }

    /// Whether this user may have a site.
    fn lets(&self, user: &str) -> bool {
        let is_enabled = self.disabled != Some(true) || self.enabled_users.contains(user);
        is_enabled && !self.disabled_users.contains(user)
    }
}

/// Where a pattern leads.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Folder(Vec<u8>),
    /// Below the user's home.
    Home(String),
    /// A URL, up to what follows the user's name.
    Elsewhere(Vec<u8>),
    /// A star in a relative name means nothing.
    Nowhere,
}

impl Place {
    fn of(pattern: &str, user: &str) -> Place {
        let join = |parts: &[&str]| parts.concat().into_bytes();
        match pattern.split_once('*') {
            Some((before, after)) if before.starts_with('/') => {
                Place::Folder(join(&[before, user, after]))
            }
            // What stands behind the star of a URL is lost, in Apache as well.
            Some((before, _)) if before.contains(':') => Place::Elsewhere(join(&[before, user])),
            Some(_) => Place::Nowhere,
            None if pattern.starts_with('/') => Place::Folder(join(&[pattern, "/", user])),
            None if pattern.contains(':') => Place::Elsewhere(join(&[pattern, "/", user])),
            None => Place::Home(pattern.to_owned()),
        }
    }
}

/// When a path is mapped: `/~user` and what follows it.
pub(crate) fn translate(request: &mut Request<'_>) -> Result<Option<Mapped>, Stop> {
    let host = request.host();
    let settings = &host.settings.userdir;
    let Some(patterns) = &settings.patterns else { return Ok(None) };
    let Some((user, rest)) = user_of(&request.place.path) else { return Ok(None) };
    if !settings.lets(user) {
        return Ok(None);
    }
    for (number, pattern) in patterns.iter().enumerate() {
        let folder = match Place::of(pattern, user) {
            Place::Folder(folder) => folder,
            Place::Home(below) => match home(request, user)? {
                Some(home) => [home.as_os_str().as_bytes(), b"/", below.as_bytes()].concat(),
                None => continue,
            },
            Place::Elsewhere(mut url) => {
                push_path(&mut url, rest); // Apache sends it as it is, which is no URL.
                return Err(request.redirect(Status::FOUND, &url));
            }
            Place::Nowhere => return Ok(None),
        };
        let is_last = number + 1 == patterns.len();
        if is_last || request.look(&folder, true)?.is_some() {
            let prefix = [b"/~", user.as_bytes()].concat();
            let target = PathBuf::from(OsStr::from_bytes(&folder));
            return Ok(Some(alias::join(&target, rest).known_by(&prefix)));
        }
    }
    Ok(None)
}

/// The user that a path names, and what follows.
fn user_of(path: &[u8]) -> Option<(&str, &[u8])> {
    let rest = path.strip_prefix(b"/~")?;
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let user = std::str::from_utf8(&rest[..end]).ok()?;
    (!matches!(user, "" | "." | "..")).then_some((user, &rest[end..]))
}

/// Where a user lives. The system's list may be far away, so this is never asked inline.
fn home(request: &Request<'_>, user: &str) -> Result<Option<PathBuf>, Stop> {
    request.made_from.cannot_be_repeated(); // That list is not watched.
    if request.access == Access::Inline {
        return Err(Stop::WouldBlock);
    }
    Ok(User::from_name(user).ok().flatten().map(|user| user.dir))
}

/// A path that begins with `/~user` as the file below that user's home; else as it is. Results of rewriting ask.
pub(crate) fn expand_home(request: &Request<'_>, path: Vec<u8>) -> Result<Vec<u8>, Stop> {
    let Some((user, rest)) = user_of(&path) else { return Ok(path) };
    Ok(match home(request, user)? {
        Some(home) => {
            let home = home.as_os_str().as_bytes();
            [home.strip_suffix(b"/").unwrap_or(home), rest].concat()
        }
        None => path,
    })
}

pub(super) const MODULE: Module = Module {
    name: "userdir_module",
    file: "mod_userdir.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[Directive {
    name: "UserDir",
    syntax: "UserDir directory...",
    default: None,
    contexts: HOST,
    overrides: Overrides::NONE,
    docs: "Where the files of `/~user` are: a folder in the user's home; an absolute folder, with the user's name at its \
           end or in the place of `*`; or a URL, which becomes a redirect. The first one that exists counts. \
           `disabled` without names forbids all, with names those; `enabled` with names permits those.",
    apply: |settings, args| {
        let settings = &mut settings.userdir;
        let first = args.required()?;
        let names: Vec<String> = args.map(|word| word.text.clone()).collect();
        match first.text.to_ascii_lowercase().as_str() {
            "disable" | "disabled" if names.is_empty() => settings.disabled = Some(true),
            "disable" | "disabled" => settings.disabled_users.extend(names),
            "enable" | "enabled" if names.is_empty() => {
                return Err(Problem::at(first, "\"enable\" keyword requires a list of usernames"));
            }
            "enable" | "enabled" => settings.enabled_users.extend(names),
            _ => {
                settings.patterns =
                    Some(std::iter::once(first.text.clone()).chain(names).collect());
            }
        }
        Ok(())
    },
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_lead_to_folders_and_urls() {
        let folder = |path: &str| Place::Folder(path.as_bytes().to_vec());
        let url = |url: &str| Place::Elsewhere(url.as_bytes().to_vec());
        for (pattern, expected) in [
            ("public_html", Place::Home("public_html".into())),
            ("/usr/web", folder("/usr/web/bob")),
            ("/home/*/www", folder("/home/bob/www")),
            ("/home/*", folder("/home/bob")),
            ("http://h/users", url("http://h/users/bob")),
            ("http://h/*/usr", url("http://h/bob")),
            ("http://h/~*", url("http://h/~bob")),
            ("*/www", Place::Nowhere),
        ] {
            assert_eq!(Place::of(pattern, "bob"), expected, "{pattern}");
        }
    }

    #[test]
    fn a_user_is_named_behind_a_tilde() {
        assert_eq!(user_of(b"/~bob/a"), Some(("bob", &b"/a"[..])));
        assert_eq!(user_of(b"/~bob"), Some(("bob", &b""[..])));
        for path in [&b"/~"[..], b"/~/a", b"/~..", b"/~./a", b"/bob", b"/a/~bob", b"/~\xff"] {
            assert_eq!(user_of(path), None);
        }
    }
}
