//! What to listen on: places, and what their sockets are like. Plain data.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One `Listen` line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenSpec {
    /// Where. It tells the sockets of one line from another's when a reload looks for what stays.
    pub place: Place,
    /// `AcceptFilter`: connections are handed out when their first bytes have come, and so cost nobody a wakeup and a
    /// worker before that. Only TCP can do it.
    pub wait_for_data: bool,
    /// Who may connect to a socket file. Not looked at for TCP.
    pub access: FileAccess,
}

/// Where connections come in. Prints as a `Listen` line says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// All addresses of this machine, IPv6 and IPv4 through one socket where the machine has IPv6.
    Any(u16),
    /// One address. Port 0 takes any free one, which [`Listener::address`](super::Listener::address) tells.
    Exact(SocketAddr),
    /// A file: a socket for clients on this machine.
    Unix(PathBuf),
}

/// A socket file's rights: connecting takes the right to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileAccess {
    /// Permission bits.
    pub mode: u32,
    /// Who owns it; none means whoever the supervisor is.
    pub owner: Option<u32>,
    /// Its group; none means the supervisor's.
    pub group: Option<u32>,
}

impl Default for FileAccess {
    /// The supervisor's user and group may connect.
    fn default() -> Self {
        Self { mode: 0o660, owner: None, group: None }
    }
}

/// What all sockets of a generation have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// `ListenBacklog`: how many connections the kernel may queue; it cuts this at `net.core.somaxconn`.
    pub backlog: u32,
    /// `ListenBuckets`: how many sockets each TCP address has, so that children who look at different ones never
    /// compete. At least 1.
    pub buckets: u16,
    /// `SendBufferSize` in bytes; none leaves it to the kernel, which knows better.
    pub send_buffer: Option<usize>,
    /// `ReceiveBufferSize` in bytes; likewise.
    pub receive_buffer: Option<usize>,
    /// How long an address may still be taken: children of a server that was killed need a moment to leave it.
    pub patience: Duration,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 511,
            buckets: 1,
            send_buffer: None,
            receive_buffer: None,
            patience: Duration::ZERO,
        }
    }
}

impl From<u32> for ListenOptions {
    /// One bucket with this backlog.
    fn from(backlog: u32) -> Self {
        Self { backlog, ..Self::default() }
    }
}

impl ListenSpec {
    /// A place with the options that any protocol can live with.
    #[must_use]
    pub fn at(place: Place) -> Self {
        Self { place, wait_for_data: false, access: FileAccess::default() }
    }
}

impl From<SocketAddr> for ListenSpec {
    fn from(address: SocketAddr) -> Self {
        Self::at(Place::Exact(address))
    }
}

impl fmt::Display for ListenSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(port) => write!(f, "*:{port}"),
            Self::Exact(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Place {
    /// Reads what [`Display`](fmt::Display) writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Some(Self::Unix(path.into()));
        }
        match text.strip_prefix("*:") {
            Some(port) => port.parse().map(Self::Any).ok(),
            None => text.parse().map(Self::Exact).ok(),
        }
    }

    /// Whether a socket that somebody else has bound to `address` is what is wanted here.
    pub(super) fn is_met_by(&self, address: &Address) -> bool {
        match (self, address) {
            (Self::Any(port), Address::Inet(bound)) => {
                bound.port() == *port && bound.ip().is_unspecified()
            }
            (Self::Exact(wanted), Address::Inet(bound)) => wanted == bound,
            (Self::Unix(wanted), Address::Unix(bound)) => wanted == bound,
            (Self::Any(_) | Self::Exact(_), Address::Unix(_))
            | (Self::Unix(_), Address::Inet(_)) => false,
        }
    }

    pub(super) fn is_tcp(&self) -> bool {
        !matches!(self, Self::Unix(_))
    }
}

/// Where a listener is, with its real port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Inet(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl Address {
    /// The address, if it is one of the Internet's.
    #[must_use]
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Inet(_) => None,
            Self::Unix(path) => Some(path),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_it_is_written() {
        for text in ["*:80", "127.0.0.1:0", "[::1]:8080", "[fe80::1%2]:80", "unix:/run/a b.sock"] {
            let place = Place::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(place.to_string(), text);
        }
        for text in ["", "80", "*:", "*:65536", "localhost:80"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_socket_that_was_bound_elsewhere_is_recognised_by_its_address() {
        let check = |place: &str, bound: &str, expected: bool| {
            let address = match bound.strip_prefix('/') {
                Some(_) => Address::Unix(bound.into()),
                None => Address::Inet(bound.parse().unwrap()),
            };
            assert_eq!(
                Place::parse(place).unwrap().is_met_by(&address),
                expected,
                "{place} {bound}"
            );
        };
        check("*:80", "[::]:80", true);
        check("*:80", "0.0.0.0:80", true);
        check("*:80", "127.0.0.1:80", false);
        check("*:80", "[::]:81", false);
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "[::]:80", false);
        check("unix:/run/s", "/run/s", true);
        check("unix:/run/s", "/run/t", false);
        check("*:80", "/run/s", false);
    }
}
