//! # What one client has, over all children
//!
//! ```text
//!   address ──prefix──▶ network ──hash under a secret──▶ key ──▶ mpm::clients: connections, rates
//!   192.0.2.7    /32    192.0.2.7        │
//!   2001:db8:1:2:3:…  /64  2001:db8:1:2:: ┘ a new secret at each start: nobody can choose who shares a place with him
//! ```
//!
//! - One value serves a server's whole life: it is made when the first configuration asks for it, and each later
//!   generation goes on with it, so that a reload forgets nobody.
//! - Whoever is let in is counted as long as its [`Counted`] lives. A child that is killed is cleared by its supervisor.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use herdgate_mpm::Settings;
use herdgate_mpm::clients::{ClientTables, Rate};
use herdgate_sys as sys;

/// How often one client may be the subject of a line in the error log.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// What is known about all clients.
#[derive(Debug)]
pub struct Clients {
    tables: ClientTables,
    secret: RandomState,
}

/// How many leading bits of an address make a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    /// Of an IPv4 address, up to 32.
    pub v4: u32,
    /// Of an IPv6 address, up to 128.
    pub v6: u32,
}

/// What is counted: each has keys of its own.
#[derive(Hash)]
enum Counting {
    Connections,
    /// Who is held to different rates, in different hosts, is counted for each.
    Requests(Rate),
    Lines,
}

/// A connection that counts, until this is dropped.
#[derive(Debug)]
pub struct Counted {
    clients: Arc<Clients>,
    place: usize,
    key: u64,
}

/// A client has more connections than it may: so many, with the one that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany(pub u64);

impl Clients {
    /// Makes room for the clients of a server with these settings.
    ///
    /// # Errors
    /// There is not that much memory.
    pub fn create(settings: &Settings) -> io::Result<Clients> {
        let (places, connections) = (settings.child_slots(), settings.connections_per_child());
        let tables = ClientTables::create(places as usize, connections as usize)?;
        Ok(Clients { tables, secret: RandomState::new() })
    }

    /// One more connection of `client`, with the child in this place. `Ok(None)`: there is no room to count it in.
    ///
    /// # Errors
    /// It has `max` already.
    pub fn enter(
        self: &Arc<Self>,
        place: usize,
        client: IpAddr,
        max: u32,
    ) -> Result<Option<Counted>, TooMany> {
        let key = self.key(Counting::Connections, client);
        let Some(count) = self.tables.enter(place, key) else { return Ok(None) };
        let counted = Counted { clients: Arc::clone(self), place, key };
        if count > u64::from(max) { Err(TooMany(count)) } else { Ok(Some(counted)) }
    }

    /// One more request of `client`.
    ///
    /// # Errors
    /// It is too fast: when it may come again.
    pub fn ask(&self, client: IpAddr, rate: Rate) -> Result<(), Duration> {
        let key = self.key(Counting::Requests(rate), client);
        self.tables.ask(key, rate, sys::clock::monotonic())
    }

    /// Whether the log should hear of this client once more.
    pub fn is_worth_a_line(&self, client: IpAddr) -> bool {
        let key = self.key(Counting::Lines, client);
        let rate = Rate::new(SAID_EVERY, 1).expect("once a second is a rate");
        self.tables.ask(key, rate, sys::clock::monotonic()).is_ok()
    }

    /// The child in this place is gone. For the supervisor.
    pub fn child_gone(&self, place: usize) {
        self.tables.clear(place);
    }

    fn key(&self, what: Counting, client: IpAddr) -> u64 {
        self.secret.hash_one((what, client))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.clients.tables.leave(self.place, self.key);
    }
}

impl Prefixes {
    /// The network that counts as one client.
    pub fn client(self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - self.v4.min(32)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - self.v6.min(128)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use herdgate_mpm::Model;

    use super::*;

    fn clients() -> Arc<Clients> {
        Arc::new(Clients::create(&Settings::new(Model::Worker)).unwrap())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_belongs_to_its_network() {
        let check = |v4, v6, address: &str, expected: &str| {
            assert_eq!(Prefixes { v4, v6 }.client(ip(address)), ip(expected));
        };
        check(32, 64, "192.0.2.7", "192.0.2.7");
        check(24, 64, "192.0.2.7", "192.0.2.0");
        check(0, 64, "192.0.2.7", "0.0.0.0");
        check(32, 64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check(32, 48, "2001:db8:1:2:3:4:5:6", "2001:db8:1::");
        check(32, 128, "2001:db8::1", "2001:db8::1");
        check(32, 0, "2001:db8::1", "::");
        check(24, 64, "::ffff:192.0.2.7", "192.0.2.0");
    }

    #[test]
    fn who_leaves_makes_room_and_who_is_refused_does_not_count() {
        let (clients, one) = (clients(), ip("192.0.2.1"));
        let first = clients.enter(0, one, 2).unwrap().unwrap();
        let _second = clients.enter(1, one, 2).unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(clients.enter(1, one, 2).unwrap_err(), TooMany(3));
        }
        assert!(clients.enter(1, ip("192.0.2.2"), 2).is_ok());
        drop(first);
        assert!(clients.enter(1, one, 2).is_ok());
        clients.child_gone(1);
        assert!(clients.enter(0, one, 1).is_ok(), "the killed child's connection is forgotten");
    }

    #[test]
    fn each_rate_has_a_count_of_its_own_and_so_has_the_log() {
        let (clients, one) = (clients(), ip("192.0.2.1"));
        let hour = Duration::from_secs(3600);
        let (slow, slower) = (Rate::new(hour, 1).unwrap(), Rate::new(hour * 2, 1).unwrap());
        assert!(clients.ask(one, slow).is_ok());
        assert!(clients.ask(one, slow).is_err_and(|wait| wait <= hour));
        assert!(clients.ask(one, slower).is_ok());
        assert!(clients.is_worth_a_line(one));
    }
}
