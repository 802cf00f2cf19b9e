//! A place's first socket: made, bound, and nobody else's.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::listener::Listener;
use super::spec::{Address, ListenSpec, Place};
use super::unix;
use crate::Moment;

/// The first socket of a place. While the address is taken it is tried again, for so long.
pub(super) fn open(spec: &ListenSpec, patience: Duration) -> io::Result<Listener> {
    const AGAIN_AFTER: Duration = Duration::from_millis(10);
    let until = Moment::now() + patience;
    loop {
        match open_once(spec) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Moment::now() < until => {
                std::thread::sleep(AGAIN_AFTER);
            }
            opened => return opened,
        }
    }
}

fn open_once(spec: &ListenSpec) -> io::Result<Listener> {
    match &spec.place {
        Place::Any(port) => {
            // `Listen 80`: one socket for both families; a machine without IPv6 still has IPv4.
            let both = open_tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), *port), false);
            match both {
                Err(error) if no_ipv6(&error) => {
                    open_tcp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port), false)
                }
                result => result,
            }
        }
        Place::Exact(address) => open_tcp(*address, true),
        Place::Unix(path) => {
            let (socket, file) = unix::bind(path)?;
            Ok(Listener::new(socket, Address::Unix(path.clone()), Some(file)))
        }
    }
}

fn open_tcp(address: SocketAddr, only_v6: bool) -> io::Result<Listener> {
    let socket = new_tcp_socket(address, only_v6)?;
    socket.bind(&SockAddr::from(address))?;
    let address = socket.local_addr()?.as_socket().unwrap_or(address);
    // A socket that begins to listen with SO_REUSEPORT founds a group, which others may join later. Bound without it,
    // and without it afterwards, the address is nobody else's.
    socket.set_reuse_port(true)?;
    socket.listen(1)?;
    socket.set_reuse_port(false)?;
    Ok(Listener::new(socket, Address::Inet(address), None))
}

pub(super) fn new_tcp_socket(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Connections of a former server in TIME_WAIT must not keep us from starting.
    socket.set_reuse_address(true)?;
    // Children inherit it by accept: a peer that vanished without a word is noticed at last.
    socket.set_keepalive(true)?;
    // Inherited by accepted sockets, too: an answer leaves when it is written, see `More` for when it should not.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    Ok(socket)
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(code) if code == nix::libc::EAFNOSUPPORT || code == nix::libc::EADDRNOTAVAIL)
}
