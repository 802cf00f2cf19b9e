//! What an address is called, the client's or our own, by the DNS or by this machine's list of hosts.
//!
//! ```text
//! address ──getnameinfo──▶ name ──getaddrinfo──▶ addresses, the client's among them: then the name is confirmed
//! ```
//!
//! - Whoever owns an address may call it anything; only a confirmed name says something about the client.
//! - The DNS may take long, so only jobs ask it. Its answers are shared by all threads of a process.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Mutex, PoisonError};

use super::{Request, Stop};
use crate::files::Access;
use crate::modules::core::{CanonicalName, HostnameLookups};

/// How long an answer of the DNS is believed, in seconds.
const BELIEVED_SECS: i64 = 60;
/// Answers remembered; beyond, all are forgotten.
const NAMES_MAX: usize = 4096;

/// How much a name must be worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameTrust {
    /// It is what the address is called.
    Claimed,
    /// And it has the address.
    Confirmed,
}

/// What clients are called.
#[derive(Debug, Default)]
pub struct ClientNames {
    known: Mutex<HashMap<IpAddr, Answer>>,
}

/// What the DNS has said about an address.
#[derive(Clone, Debug)]
struct Answer {
    /// `None`: it has no name.
    name: Option<String>,
    /// Whether the name has the address; `None`: nobody has asked yet.
    is_confirmed: Option<bool>,
    until_secs: i64,
}

impl ClientNames {
    fn get(&self, address: IpAddr, now_secs: i64) -> Option<Answer> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&address).filter(|answer| answer.until_secs > now_secs).cloned()
    }

    fn set(&self, address: IpAddr, answer: Answer) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(address, answer);
    }
}

impl Answer {
    /// `None`: it has to be found out.
    fn name(&self, trust: NameTrust) -> Option<Option<String>> {
        match (trust, &self.name, self.is_confirmed) {
            (NameTrust::Claimed, name, _) => Some(name.clone()),
            (NameTrust::Confirmed, Some(_), None) => None,
            (NameTrust::Confirmed, name, confirmed) => {
                Some(name.clone().filter(|_| confirmed == Some(true)))
            }
        }
    }
}

impl Request<'_> {
    /// What has to be known about the names of the two ends where the request is now.
    pub(super) fn name_ends(&mut self) -> Result<(), Stop> {
        self.name_client()?;
        if self.place.settings.core.canonical_name() == CanonicalName::Dns
            && let Some(local) = self.client.local
        {
            self.own_name = self.name_of(local.ip(), NameTrust::Claimed)?;
        }
        Ok(())
    }

    /// `HostnameLookups`: finds out the client's name, if that is wanted where the request is now.
    fn name_client(&self) -> Result<(), Stop> {
        match self.place.settings.core.hostname_lookups() {
            HostnameLookups::Off => Ok(()),
            HostnameLookups::On => self.client_name(NameTrust::Claimed).map(drop),
            HostnameLookups::Double => self.client_name(NameTrust::Confirmed).map(drop),
        }
    }

    /// The client's host name, if `HostnameLookups` or a `Require host` has found it out.
    pub(crate) fn remote_host(&self) -> Option<String> {
        self.remote_host.borrow().clone()
    }

    /// What the client is called, in lower case; `None` if it has no such name. The log has it from now on.
    pub(crate) fn client_name(&self, trust: NameTrust) -> Result<Option<String>, Stop> {
        let Some(address) = self.client.address else { return Ok(None) };
        let name = self.name_of(address.ip(), trust)?;
        if name.is_some() {
            self.remote_host.borrow_mut().clone_from(&name);
        }
        Ok(name)
    }

    fn name_of(&self, address: IpAddr, trust: NameTrust) -> Result<Option<String>, Stop> {
        self.made_from.cannot_be_repeated();
        let address = address.to_canonical();
        let known = self.server.client_names.get(address, steady_secs());
        if let Some(name) = known.as_ref().and_then(|answer| answer.name(trust)) {
            return Ok(name);
        }
        if self.access == Access::Inline {
            return Err(Stop::WouldBlock);
        }
        let name = match known {
            Some(answer) => answer.name,
            None => herdgate_sys::net::name_of(address).ok().flatten(),
        };
        let name = name.map(|name| name.to_ascii_lowercase());
        let is_confirmed = match (trust, &name) {
            (NameTrust::Confirmed, Some(name)) => Some(has_address(name, address)),
            (NameTrust::Confirmed, None) | (NameTrust::Claimed, _) => None,
        };
        let until_secs = steady_secs().saturating_add(BELIEVED_SECS);
        let answer = Answer { name, is_confirmed, until_secs };
        let name = answer.name(trust).flatten();
        self.server.client_names.set(address, answer);
        Ok(name)
    }
}

/// By a clock that nobody sets.
fn steady_secs() -> i64 {
    i64::try_from(herdgate_sys::clock::coarse_monotonic().as_secs()).unwrap_or(i64::MAX)
}

fn has_address(name: &str, wanted: IpAddr) -> bool {
    let addresses = (name, 0).to_socket_addrs();
    addresses.is_ok_and(|mut all| all.any(|address| address.ip().to_canonical() == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_believed_for_a_while() {
        let names = ClientNames::default();
        let address = "192.0.2.1".parse().unwrap();
        let answer = |is_confirmed| Answer {
            name: Some("a.example".to_owned()),
            is_confirmed,
            until_secs: 60,
        };
        assert!(names.get(address, 0).is_none());
        names.set(address, answer(None));
        assert!(names.get(address, 59).is_some());
        assert!(names.get(address, 60).is_none());
        for (is_confirmed, claimed, confirmed) in [
            (None, Some("a.example"), None),
            (Some(true), Some("a.example"), Some(Some("a.example"))),
            (Some(false), Some("a.example"), Some(None)),
        ] {
            let answer = answer(is_confirmed);
            assert_eq!(answer.name(NameTrust::Claimed), Some(claimed.map(str::to_owned)));
            let confirmed = confirmed.map(|name: Option<&str>| name.map(str::to_owned));
            assert_eq!(answer.name(NameTrust::Confirmed), confirmed);
        }
    }
}
