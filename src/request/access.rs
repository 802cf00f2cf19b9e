//! Who may have what a request leads to: the hooks of Apache's access control, in their order.
//!
//! ```text
//! AllowMethods ─▶ Order, Allow, Deny ─▶ Require, nobody in particular ─▶ who is it? ─▶ Require, this user
//!                      │ Satisfy Any            │ granted                  │ 401          │ 401, or 403
//!                      ▼ and granted            ▼
//!                  it may                    it may
//! ```

use std::io;
use std::sync::Arc;

use nix::errno::Errno;

use super::place::Place;
use super::{Refusal, Request, Stop};
use crate::files::open::OpenError;
use crate::files::parsed::Parsed;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::modules::access_compat::Satisfy;
use crate::modules::authn_core::Scheme;
use crate::modules::authz_core::Verdict;
use crate::modules::{access_compat, allowmethods, auth_basic, authn_core, authz_core};

impl Request<'_> {
    /// Whether the client may have what the place holds. Where the same settings hold as where it was let in before, it
    /// is not asked again.
    pub(super) fn check_access(&mut self) -> Result<(), Stop> {
        let settings = Arc::clone(&self.place.settings);
        if self.granted.as_ref().is_some_and(|granted| Arc::ptr_eq(granted, &settings)) {
            return Ok(());
        }
        self.user = None;
        self.auth_type = None;
        let outcome = self.check_origin_and_user();
        self.trace_access(&outcome);
        outcome?;
        self.granted = Some(settings);
        Ok(())
    }

    fn trace_access(&self, outcome: &Result<(), Stop>) {
        let said = match outcome {
            Ok(()) => "is granted",
            Err(Stop::Refused(refusal)) if refusal.status == Status::UNAUTHORIZED => {
                "needs a user and a password"
            }
            Err(Stop::Refused(_)) => "is denied",
            Err(Stop::WouldBlock | Stop::Elsewhere(_)) => return,
        };
        let path = Quoted(&self.place.path);
        match &self.user {
            Some(user) => self.trace(
                "authz_core",
                format_args!("access to {path} {said}; the user is {}", Quoted(user)),
            ),
            None => self.trace("authz_core", format_args!("access to {path} {said}")),
        }
    }

    /// Whether the client may have what another place holds. Nothing is said about it.
    pub(super) fn grants(&mut self, place: Place) -> Result<bool, Stop> {
        let said = self.troubles.borrow().len();
        let listener = self.listener.take();
        let before = (self.user.clone(), self.auth_type, self.granted.clone());
        let here = std::mem::replace(&mut self.place, place);
        let outcome = self.check_access();
        self.place = here;
        (self.user, self.auth_type, self.granted) = before;
        self.listener = listener;
        self.troubles.borrow_mut().truncate(said);
        match outcome {
            Ok(()) => Ok(true),
            Err(Stop::WouldBlock) => Err(Stop::WouldBlock),
            Err(Stop::Refused(_) | Stop::Elsewhere(_)) => Ok(false),
        }
    }

    fn check_origin_and_user(&mut self) -> Result<(), Stop> {
        let satisfy = self.place.settings.access.satisfy(self.method().as_str());
        let by_origin =
            allowmethods::access_checker(self).and_then(|()| access_compat::access_checker(self));
        match (satisfy, by_origin) {
            (Satisfy::Any, Ok(())) => Ok(()),
            (Satisfy::All, Ok(())) | (Satisfy::Any, Err(Stop::Refused(_))) => self.check_user(),
            (Satisfy::All | Satisfy::Any, Err(stop)) => Err(stop),
        }
    }

    fn check_user(&mut self) -> Result<(), Stop> {
        if authz_core::access_checker_ex(self)? == Verdict::Granted {
            return Ok(());
        }
        self.authenticate()?;
        authz_core::auth_checker(self)
    }

    /// Finds out who it is, or asks.
    fn authenticate(&mut self) -> Result<(), Stop> {
        let scheme = authn_core::scheme(self)?;
        let name = match &scheme {
            Scheme::Basic if auth_basic::check_user_id(self)?.is_some() => return Ok(()),
            Scheme::Basic => Some("Basic"),
            Scheme::Unknown(name) => Some(name.as_str()),
            Scheme::None => None,
        };
        match name {
            Some(name) => self.log(Level::Error, "authn_core").say(format_args!(
                "AH01796: AuthType {} configured without corresponding module",
                Quoted(name.as_bytes())
            )),
            None => self.log(Level::Error, "core").say(format_args!(
                "AH00027: No authentication done but request not allowed without authentication for {}. \
                 Authentication not configured?",
                Quoted(&self.place.path)
            )),
        }
        Err(Refusal::stop(Status::INTERNAL_SERVER_ERROR))
    }

    /// A file that settings name, as it was understood; `None`: it cannot be had, and `message` with its name has told
    /// the log.
    pub(crate) fn readable<T>(
        &self,
        found: Result<Option<Parsed<T>>, OpenError>,
        module: &'static str,
        message: &str,
        file: &[u8],
    ) -> Result<Option<Arc<T>>, Stop> {
        self.made_from.saw_parsed(file, &found);
        let cause = match found {
            Ok(Some(parsed)) => return Ok(Some(parsed.meaning)),
            Ok(None) => Errno::ENOENT.into(),
            Err(OpenError::WouldBlock) => return Err(Stop::WouldBlock),
            Err(
                OpenError::Missing(cause)
                | OpenError::Denied(cause)
                | OpenError::Unreadable(cause)
                | OpenError::System(cause)
                | OpenError::Name(cause),
            ) => cause,
            Err(error @ (OpenError::Link | OpenError::Special)) => io::Error::other(error),
        };
        let file = Quoted(file);
        self.log(Level::Error, module).because(&cause).say(format_args!("{message}: {file}"));
        Ok(None)
    }
}
