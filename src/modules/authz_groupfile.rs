//! # mod_authz_groupfile: groups of users in a file
//!
//! ```text
//! # group: users
//! editors: alice bob "carol c"
//! admins: alice
//! ```

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use herdgate_conf::{Directive, Overrides};

use super::authz_core::{self, Verdict};
use super::{Module, SECTION, authz_owner};
use crate::config::DirSettings;
use crate::expr::Text;
use crate::log::{Level, Quoted};
use crate::request::{Request, Stop};

/// mod_authz_groupfile's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct AuthzGroupfile {
    file: Option<Arc<PathBuf>>,
}

/// Groups and their members, in the order of the file. A group may stand there more than once.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    list: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl AuthzGroupfile {
    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { file: inner.file.clone().or_else(|| self.file.clone()) }
    }
}

impl Groups {
    pub(crate) fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let group = |line: &[u8]| {
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            let members = line.get(colon + 1..).unwrap_or_default();
            (line[..colon].trim_ascii_end().to_vec(), authz_core::split(members))
        };
        Self { list: lines.map(group).collect() }
    }

    pub(crate) fn of(&self, user: &[u8]) -> Vec<&[u8]> {
        let has = |members: &[Vec<u8>]| members.iter().any(|member| member == user);
        let groups = self.list.iter().filter(|(_, members)| has(members));
        groups.map(|(name, _)| name.as_slice()).collect()
    }
}

/// `Require group …`: a member of any of them.
pub(super) fn group(request: &mut Request<'_>, names: &Text) -> Result<Verdict, Stop> {
    let Some(user) = request.user.clone() else { return Ok(Verdict::NoUser) };
    let Some(GroupFile { file, groups }) = groups(request, "AH01664", "AH01665")? else {
        return Ok(Verdict::Denied);
    };
    let own = groups.of(&user);
    if own.is_empty() {
        return Ok(in_no_group(request, Level::Info, "AH01666", &file));
    }
    let wanted = authz_core::words(request, names)?;
    // As a table of Apache's: names of groups count in any case.
    let is_own = |name: &Vec<u8>| own.iter().any(|own| own.eq_ignore_ascii_case(name));
    if wanted.iter().any(is_own) {
        return Ok(Verdict::Granted);
    }
    let reason = "user is not part of the 'require'ed group(s).";
    Ok(denied(request, Level::Debug, "AH01667", reason))
}

/// `Require file-group`: a member of the file's group.
pub(super) fn file_group(request: &mut Request<'_>) -> Result<Verdict, Stop> {
    let Some(user) = request.user.clone() else { return Ok(Verdict::NoUser) };
    let Some(GroupFile { file, groups }) = groups(request, "AH01668", "AH01669")? else {
        return Ok(Verdict::Denied);
    };
    let own = groups.of(&user);
    if own.is_empty() {
        return Ok(in_no_group(request, Level::Error, "AH01670", &file));
    }
    let Some(name) = authz_owner::file_group(request)? else { return Ok(Verdict::Denied) };
    if own.iter().any(|own| own.eq_ignore_ascii_case(name.as_bytes())) {
        return Ok(Verdict::Granted);
    }
    let reason = "user is not part of the 'require'ed file group.";
    Ok(denied(request, Level::Debug, "AH01671", reason))
}

/// A file that has been read.
struct GroupFile {
    file: Arc<PathBuf>,
    groups: Arc<Groups>,
}

/// AuthGroupFile, read; `None`: it cannot be had, and that has been logged by one of these numbers.
fn groups(
    request: &mut Request<'_>,
    unset: &str,
    unreadable: &str,
) -> Result<Option<GroupFile>, Stop> {
    let Some(file) = request.place.settings.authz_groupfile.file.clone() else {
        request
            .log(Level::Error, "authz_groupfile")
            .say(format_args!("{unset}: No group file was specified in the configuration"));
        return Ok(None);
    };
    let (access, now) = (request.access, request.moment());
    let path = file.as_os_str().as_bytes();
    let groups = request.caches.groups.get(path, |_| {}, access, now, Groups::parse);
    let message = format!("{unreadable}: Could not open group file");
    let groups = request.readable(groups, "authz_groupfile", &message, path)?;
    Ok(groups.map(|groups| GroupFile { file, groups }))
}

fn in_no_group(request: &Request<'_>, level: Level, number: &str, file: &Path) -> Verdict {
    let file = Quoted(file.as_os_str().as_bytes());
    let reason = format!("user doesn't appear in group file ({file}).");
    denied(request, level, number, &reason)
}

fn denied(request: &Request<'_>, level: Level, number: &str, reason: &str) -> Verdict {
    request.log(level, "authz_groupfile").say(format_args!(
        "{number}: Authorization of user {} to access {} failed, reason: {reason}",
        Quoted(request.user.as_deref().unwrap_or_default()),
        Quoted(&request.place.path)
    ));
    Verdict::Denied
}

pub(super) const MODULE: Module = Module {
    name: "authz_groupfile_module",
    file: "mod_authz_groupfile.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[Directive {
    name: "AuthGroupFile",
    syntax: "AuthGroupFile file",
    default: None,
    contexts: SECTION,
    overrides: Overrides::AUTH_CONFIG,
    docs: "A file of groups for `Require group` and `Require file-group`: lines such as `editors: alice bob`. A change \
           counts at once. Keep it outside of what is served.",
    apply: |settings, args| {
        settings.authz_groupfile.file = Some(Arc::new(args.path()?));
        Ok(())
    },
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_groups() {
        let text = b"# none: alice\neditors : alice bob\r\n\nadmins:\"carol c\" alice\neditors: dan\nodd\n";
        let groups = Groups::parse(text);
        let names = |user: &str| -> Vec<String> {
            let own = groups.of(user.as_bytes()).into_iter();
            own.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
        };
        assert_eq!(names("alice"), ["editors", "admins"]);
        assert_eq!(names("dan"), ["editors"]);
        assert_eq!(names("carol c"), ["admins"]);
        assert!(names("carol").is_empty() && names("odd").is_empty() && names("").is_empty());
    }
}
