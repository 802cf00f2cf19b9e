//! # mod_authn_file: names and passwords in a file
//!
//! ```text
//! # made by htpasswd(1)
//! alice:$2y$05$…
//! bob:$apr1$…            what follows another colon means nothing here
//! ```
//!
//! The first line of a user counts.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use herdgate_conf::{Directive, Overrides};

use super::{Module, SECTION};
use crate::config::DirSettings;
use crate::files::Access;
use crate::log::{Level, Quoted};
use crate::password::Stored;
use crate::request::{Request, Stop};

/// mod_authn_file's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct AuthnFile {
    file: Option<Arc<PathBuf>>,
}

/// Users with what is stored of their passwords.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Passwords {
    by_user: HashMap<Box<[u8]>, Box<[u8]>>,
}

/// What a provider says about a name and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authn {
    /// They belong together.
    Granted,
    /// The password is another one.
    Denied,
    /// There is no such user; another provider may know one.
    UserNotFound,
    /// Something is wrong here, and has been logged.
    GeneralError,
}

impl AuthnFile {
    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { file: inner.file.clone().or_else(|| self.file.clone()) }
    }
}

impl Passwords {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut by_user = HashMap::new();
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
            let mut parts = line.split(|byte| *byte == b':');
            let user = parts.next().unwrap_or_default();
            // As Apache, which takes several colons for one.
            let stored = parts.find(|part| !part.is_empty()).unwrap_or_default();
            by_user.entry(user.into()).or_insert_with(|| stored.into());
        }
        Self { by_user }
    }

    pub(crate) fn get(&self, user: &[u8]) -> Option<&[u8]> {
        self.by_user.get(user).map(AsRef::as_ref)
    }
}

/// Asks the file of these settings about a name and a password.
pub(crate) fn check_password(
    request: &mut Request<'_>,
    settings: &AuthnFile,
    user: &[u8],
    password: &[u8],
) -> Result<Authn, Stop> {
    let Some(file) = &settings.file else {
        let message = "AH01619: AuthUserFile not specified in the configuration";
        request.log(Level::Error, "authn_file").say(format_args!("{message}"));
        return Ok(Authn::GeneralError);
    };
    let (access, now) = (request.access, request.moment());
    let path = file.as_os_str().as_bytes();
    let passwords = request.caches.passwords.get(path, |_| {}, access, now, Passwords::parse);
    let message = "AH01620: Could not open password file";
    let Some(passwords) = request.readable(passwords, "authn_file", message, path)? else {
        return Ok(Authn::GeneralError);
    };
    match passwords.get(user) {
        None => Ok(Authn::UserNotFound),
        Some(stored) => verify(request, user, password, stored),
    }
}

fn verify(
    request: &Request<'_>,
    user: &[u8],
    password: &[u8],
    stored: &[u8],
) -> Result<Authn, Stop> {
    let Some(stored) = Stored::parse(stored) else {
        request.log(Level::Error, "authn_file").say(format_args!(
            "the password of user {} is stored in a form that is not supported: store it anew with htpasswd -B",
            Quoted(user)
        ));
        return Ok(Authn::Denied);
    };
    let verified = &request.server.verified;
    if stored.is_slow() {
        if verified.has(user, password, stored) {
            return Ok(Authn::Granted);
        }
        if request.access == Access::Inline {
            return Err(Stop::WouldBlock);
        }
    }
    if !stored.matches(password) {
        return Ok(Authn::Denied);
    }
    if stored.is_slow() {
        verified.add(user, password, stored);
    }
    Ok(Authn::Granted)
}

pub(super) const MODULE: Module = Module {
    name: "authn_file_module",
    file: "mod_authn_file.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[Directive {
    name: "AuthUserFile",
    syntax: "AuthUserFile file",
    default: None,
    contexts: SECTION,
    overrides: Overrides::AUTH_CONFIG,
    docs: "A file of users and passwords as htpasswd(1) makes it: bcrypt, Apache's MD5, crypt(3) by SHA-256, SHA-512 and \
           DES, and SHA-1. A change counts at once. Keep it outside of what is \
           served.",
    apply: |settings, args| {
        settings.authn_file.file = Some(Arc::new(args.path()?));
        Ok(())
    },
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_users() {
        let text = b"# alice:no\n\nalice:one:Alice A.\r\n bob::two\nalice:later\nempty:\nnone\n";
        let passwords = Passwords::parse(text);
        for (user, stored) in [
            ("alice", Some("one")),
            ("bob", Some("two")),
            ("empty", Some("")),
            ("none", Some("")),
            ("", None),
            ("# alice", None),
            ("Alice A.", None),
        ] {
            assert_eq!(passwords.get(user.as_bytes()), stored.map(str::as_bytes), "{user}");
        }
    }
}
