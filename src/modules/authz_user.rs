//! # mod_authz_user: who has proved to be somebody
//!
//! `Require user alice bob` and `Require valid-user`.

use super::Module;
use super::authz_core::Verdict;
use crate::expr::Text;
use crate::log::{Level, Quoted};
use crate::request::{Request, Stop};

/// `Require user …`: any of them.
pub(super) fn user(request: &Request<'_>, names: &Text) -> Result<Verdict, Stop> {
    let Some(user) = &request.user else { return Ok(Verdict::NoUser) };
    if super::authz_core::words(request, names)?.contains(user) {
        return Ok(Verdict::Granted);
    }
    request.log(Level::Debug, "authz_user").say(format_args!(
        "AH01663: access to {} failed, reason: user '{}' does not meet 'require'ments for user to be allowed access",
        Quoted(&request.place.path),
        Quoted(user)
    ));
    Ok(Verdict::Denied)
}

/// `Require valid-user`: anybody, once it is clear who.
pub(super) fn valid_user(request: &Request<'_>) -> Verdict {
    if request.user.is_some() { Verdict::Granted } else { Verdict::NoUser }
}

pub(super) const MODULE: Module =
    Module::without_directives("authz_user_module", "mod_authz_user.c");
