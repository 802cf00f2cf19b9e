//! Listeners: bound once by the supervisor, before any fork, and shared by all children and generations.
//!
//! - Always non-blocking: O_NONBLOCK belongs to the open file, which all processes share, so it is set once and never changed.
//! - Close-on-exec from birth.
//! - A reload keeps the socket of every address that stays, so that its queue of connections is not touched.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use herdgate_sys as sys;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Where to listen: one `Listen` line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenSpec {
    /// The address; `None` means all of this machine's, IPv6 and IPv4 through one socket where the machine has IPv6.
    pub ip: Option<IpAddr>,
    /// The port; 0 takes any free one, which [`Listener::address`] tells.
    pub port: u16,
}

impl fmt::Display for ListenSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, "*:{}", self.port),
        }
    }
}

/// A listener's place among its generation's listeners, in the order of the `Listen` lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// A bound, listening, non-blocking socket.
#[derive(Debug)]
pub struct Listener {
    spec: ListenSpec,
    socket: Socket,
    address: SocketAddr,
}

impl Listener {
    /// The address that it is bound to, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The line that asked for it.
    #[must_use]
    pub fn spec(&self) -> &ListenSpec {
        &self.spec
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One generation's listeners. Cheap to clone: the sockets are shared.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Arc<[Arc<Listener>]>);

impl Listeners {
    /// Binds all addresses, taking over what `former` has already, and listens. Nothing is left behind on failure.
    ///
    /// # Errors
    /// The first address that cannot be bound, with its name and the reason. socket(2), bind(2), listen(2).
    pub fn bind(specs: &[ListenSpec], backlog: u32, former: &Self) -> Result<Self, BindError> {
        let mut listeners: Vec<Arc<Listener>> = Vec::with_capacity(specs.len());
        for spec in specs {
            let kept = former.0.iter().find(|old| {
                // A second line with port 0 wants a port of its own, not the first one's.
                old.spec == *spec && !listeners.iter().any(|taken| Arc::ptr_eq(taken, old))
            });
            let listener = match kept {
                Some(kept) => Arc::clone(kept),
                None => {
                    Arc::new(bind(spec).map_err(|source| BindError { spec: spec.clone(), source })?)
                }
            };
            // Said again for a kept socket: its queue takes the new length.
            let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
            listener
                .socket
                .listen(backlog)
                .map_err(|source| BindError { spec: spec.clone(), source })?;
            listeners.push(listener);
        }
        Ok(Self(listeners.into()))
    }

    /// The listeners, in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = (ListenerId, &Listener)> {
        self.0.iter().zip(0_u16..).map(|(listener, number)| (ListenerId(number), &**listener))
    }

    /// Lets the kernel queue no further connections, so far as it can be told: what is queued can still be accepted.
    pub(crate) fn close_the_queue(&self) {
        for listener in self.0.iter() {
            // listen(2) again only changes the queue's length; a socket that refuses keeps the one it has.
            let _ = listener.socket.listen(0);
        }
    }

    /// Closes the sockets for all processes that share them, once nobody waits in their queues: from then on clients
    /// are refused at once. Says whether that is done.
    pub(crate) fn close_if_empty(&self) -> bool {
        let waiting = |listener: &Arc<Listener>| {
            sys::net::listen_queue(listener.as_fd()).is_ok_and(|queue| queue.waiting > 0)
        };
        if self.0.iter().any(waiting) {
            return false;
        }
        for listener in self.0.iter() {
            // A socket that is closed already has nothing to refuse.
            let _ = listener.socket.shutdown(std::net::Shutdown::Read);
        }
        true
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: ListenerId) -> &Listener {
        &self.0[usize::from(id.0)]
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An address that could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// Which one.
    pub spec: ListenSpec,
    /// Why.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not bind to address {}: {}", self.spec, self.source)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

fn bind(spec: &ListenSpec) -> io::Result<Listener> {
    let Some(ip) = spec.ip else {
        // `Listen 80`: one socket for both families; a machine without IPv6 still has IPv4.
        let both = bind_address(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), spec.port), spec);
        return match both {
            Err(error) if no_ipv6(&error) => {
                bind_address(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), spec.port), spec)
            }
            result => result,
        };
    };
    bind_address(SocketAddr::new(ip, spec.port), spec)
}

fn bind_address(address: SocketAddr, spec: &ListenSpec) -> io::Result<Listener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Connections of a former server in TIME_WAIT must not keep us from starting.
    socket.set_reuse_address(true)?;
    // Children inherit it by accept: a peer that vanished without a word is noticed at last.
    socket.set_keepalive(true)?;
    // Inherited by accepted sockets, too: an answer leaves when it is written, see `More` for when it should not.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(spec.ip.is_some())?;
    }
    socket.bind(&SockAddr::from(address))?;
    let address = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok(Listener { spec: spec.clone(), socket, address })
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(code) if code == nix::libc::EAFNOSUPPORT || code == nix::libc::EADDRNOTAVAIL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> ListenSpec {
        ListenSpec { ip: Some(Ipv4Addr::LOCALHOST.into()), port }
    }

    #[test]
    fn port_zero_takes_a_free_one_and_tells_it() {
        let listeners =
            Listeners::bind(&[loopback(0), loopback(0)], 16, &Listeners::default()).unwrap();
        let ports: Vec<u16> = listeners.iter().map(|(_, l)| l.address().port()).collect();
        assert_ne!(ports[0], 0);
        assert_ne!(ports[0], ports[1]);
    }

    #[test]
    fn a_reload_keeps_the_sockets_that_stay() {
        let first = Listeners::bind(&[loopback(0)], 16, &Listeners::default()).unwrap();
        let second = Listeners::bind(&[loopback(0), loopback(0)], 32, &first).unwrap();
        assert!(Arc::ptr_eq(&first.0[0], &second.0[0]));
        assert_ne!(second.0[0].address(), second.0[1].address());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = Listeners::bind(&[loopback(0)], 16, &Listeners::default()).unwrap();
        let taken = loopback(first.get(ListenerId(0)).address().port());
        let error =
            Listeners::bind(std::slice::from_ref(&taken), 16, &Listeners::default()).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    }
}
