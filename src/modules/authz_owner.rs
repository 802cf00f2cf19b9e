//! # mod_authz_owner: whoever owns the file may have it
//!
//! `Require file-owner` compares the user with the owner of the file, and `Require file-group` the groups of
//! AuthGroupFile with the group of the file. Names come from the machine's user database.

use nix::unistd::{Gid, Group, Uid, User};

use super::Module;
use super::authz_core::Verdict;
use crate::files::Access;
use crate::log::{Level, Quoted};
use crate::request::{Request, Stop};

/// `Require file-owner`
pub(super) fn file_owner(request: &Request<'_>) -> Result<Verdict, Stop> {
    let Some(user) = &request.user else { return Ok(Verdict::NoUser) };
    let owner = match ids(request)? {
        Ok((uid, _)) => match User::from_uid(uid) {
            Ok(Some(owner)) => owner.name,
            _ => return Ok(denied(request, "AH01636", "could not get name of file owner")),
        },
        Err(reason) => return Ok(denied(request, "AH01634", &reason)),
    };
    if owner.as_bytes() == user.as_slice() {
        return Ok(Verdict::Granted);
    }
    Ok(denied(request, "AH01637", &format!("file owner {owner} does not match.")))
}

/// The name of the file's group; `None`: there is none, and that has been logged.
pub(super) fn file_group(request: &Request<'_>) -> Result<Option<String>, Stop> {
    let reason = match ids(request)? {
        Ok((_, gid)) => match Group::from_gid(gid) {
            Ok(Some(group)) => return Ok(Some(group.name)),
            _ => "could not get name of file group".to_owned(),
        },
        Err(reason) => reason,
    };
    denied(request, "AH01641", &reason);
    Ok(None)
}

/// The file's owner and group; or why there are none. Who asks will look up names, so a job has to.
fn ids(request: &Request<'_>) -> Result<Result<(Uid, Gid), String>, Stop> {
    request.made_from.cannot_be_repeated(); // The lists of users and groups are not watched.
    if request.access == Access::Inline {
        return Err(Stop::WouldBlock);
    }
    if request.place.mapped.is_none() {
        return Ok(Err("no filename available".to_owned()));
    }
    let file = request.place.file();
    Ok(match request.look(file, true)? {
        Some(stat) => Ok((Uid::from_raw(stat.uid), Gid::from_raw(stat.gid))),
        None => Err(format!("could not stat file {}", Quoted(file))),
    })
}

fn denied(request: &Request<'_>, number: &str, reason: &str) -> Verdict {
    request.log(Level::Error, "authz_owner").say(format_args!(
        "{number}: Authorization of user {} to access {} failed, reason: {reason}",
        Quoted(request.user.as_deref().unwrap_or_default()),
        Quoted(&request.place.path)
    ));
    Verdict::Denied
}

pub(super) const MODULE: Module =
    Module::without_directives("authz_owner_module", "mod_authz_owner.c");
