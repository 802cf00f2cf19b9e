//! # net: what a server does with stream sockets
//!
//! ```text
//!   listener ──accept──▶ socket ──read──▶ … ──send (MORE)──▶ sendfile ──▶ shutdown_write ──▶ drain, close
//! ```
//!
//! - Accepted sockets are non-blocking and close-on-exec before anybody else can see them.
//! - No send raises SIGPIPE: a peer that left is an `EPIPE` error.
//! - Listeners that share an address by `SO_REUSEPORT` can be told who of them gets new connections: [`deal_among`].
//! - Nothing retries: a short count, `WouldBlock` and `Interrupted` are the caller's to handle.

use std::ffi::CStr;
use std::fmt;
use std::io::{self, IoSlice};
use std::mem::size_of_val;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::outcome::{check, check_fd, check_len};

/// What an address is called, by the DNS or by this machine's list of hosts; `None` if nothing calls it so. Waits for
/// the answer. getnameinfo(3).
///
/// # Errors
/// The question could not be asked or answered now.
pub fn name_of(address: IpAddr) -> io::Result<Option<String>> {
    let socket = SockAddr::from(SocketAddr::new(address, 0));
    let mut name = [0_u8; libc::NI_MAXHOST as usize];
    let name_bytes = libc::NI_MAXHOST;
    // SAFETY: the address is as long as it says, the kernel's C library writes at most `name_bytes` bytes to `name`, a
    // NUL among them, and no name of a service is asked for.
    let code = unsafe {
        libc::getnameinfo(
            socket.as_ptr().cast(),
            socket.len(),
            name.as_mut_ptr().cast(),
            name_bytes,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    match code {
        0 => {
            let name = CStr::from_bytes_until_nul(&name).map_err(io::Error::other)?;
            Ok(Some(name.to_string_lossy().into_owned()))
        }
        libc::EAI_NONAME => Ok(None),
        libc::EAI_SYSTEM => Err(io::Error::last_os_error()),
        other => Err(io::Error::other(format!("getnameinfo: error {other}"))),
    }
}

/// Whom we talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An address and port. A client that reached an IPv6 socket by IPv4 appears as IPv4, as in
    /// Apache's logs and access rules.
    Inet(SocketAddr),
    /// A local socket; clients of those have no address worth printing.
    Unix,
}

impl Peer {
    /// The address without its port, if there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Inet(address) => Some(address.ip()),
            Peer::Unix => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        // `to_canonical` turns ::ffff:192.0.2.1 into 192.0.2.1 and leaves every other address
        // alone; a true IPv6 address keeps its scope, which `SocketAddr::new` would lose.
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => Peer::Inet(SocketAddr::new(ip.into(), address.port())),
            IpAddr::V6(_) => Peer::Inet(address),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Inet(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// Takes the next connection from a listener's queue. The socket is non-blocking and close-on-exec.
/// accept4(2).
///
/// # Errors
/// `WouldBlock`: the queue is empty. `ConnectionAborted`: the client left before we looked; accept
/// again. `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`: we are short of something, and the connection
/// still waits.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Peer)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let take = |address: *mut socket2::SockAddrStorage, len: *mut libc::socklen_t| {
        // SAFETY: the listener stays open while borrowed; `try_init` hands us storage for any
        // address and its length, and the kernel writes no further than that length says.
        let socket = unsafe { libc::accept4(listener.as_raw_fd(), address.cast(), len, flags) };
        // SAFETY: whatever accept4 returns has just been made for us.
        unsafe { check_fd(socket) }
    };
    // SAFETY: accept4 fills the storage and the length consistently, or fails.
    let (socket, address) = unsafe { SockAddr::try_init(take) }?;
    Ok((socket, address.as_socket().map_or(Peer::Unix, Peer::from)))
}

/// Reads what has arrived. `Ok(0)` means that the peer has finished sending. read(2).
///
/// # Errors
/// `WouldBlock`: nothing has arrived. `ConnectionReset`: the peer gave up.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(fd, buffer)?)
}

/// Whether more bytes follow at once, so that the kernel may wait for them to fill a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Send now.
    No,
    /// More follows within this turn: hold an unfilled packet back (for 200 ms at most).
    Yes,
}

impl More {
    fn flags(self) -> libc::c_int {
        match self {
            More::No => libc::MSG_NOSIGNAL,
            More::Yes => libc::MSG_NOSIGNAL | libc::MSG_MORE,
        }
    }
}

/// Sends bytes; a short count is normal. send(2).
///
/// # Errors
/// `WouldBlock`: the socket is full. `BrokenPipe`, `ConnectionReset`: the peer is gone. `ENOTSOCK`:
/// only sockets can do this.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], more: More) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of a live slice, which the kernel only reads.
    let sent =
        unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), more.flags()) };
    check_len(sent)
}

/// Sends several pieces as if they were one; a short count is normal and may end within a piece.
/// At most 1024 pieces (`UIO_MAXIOV`). sendmsg(2).
///
/// # Errors
/// As [`send`]; `EMSGSIZE`: too many pieces.
pub fn send_vectored(
    socket: BorrowedFd<'_>,
    pieces: &[IoSlice<'_>],
    more: More,
) -> io::Result<usize> {
    // SAFETY: an `IoSlice` is laid out as an iovec (std promises it), and all of them outlive the
    // call.
    unsafe { send_iovecs(socket, pieces.as_ptr().cast(), pieces.len(), more) }
}

/// Sends what `count` iovecs point to. Also for memory that no slice may describe: see
/// [`crate::mapped`].
///
/// # Safety
/// `iovecs` points to `count` iovecs, each of which describes mapped memory of its length. The
/// kernel checks every access itself, so the bytes may vanish under it: that is `EFAULT`.
pub(crate) unsafe fn send_iovecs(
    socket: BorrowedFd<'_>,
    iovecs: *const libc::iovec,
    count: usize,
    more: More,
) -> io::Result<usize> {
    // SAFETY: a message header is plain integers and pointers, for which zero is "absent"; it may
    // have padding that only zeroing sets (musl).
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = iovecs.cast_mut();
    message.msg_iovlen = count as _;
    // SAFETY: the header lives on our stack, and the caller vouches for what it points to.
    check_len(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, more.flags()) })
}

/// Sends up to `count` bytes of `file` from `*offset` to `socket`, and advances `*offset`.
/// A short count is normal: call again. `Ok(0)` means end of file. sendfile(2).
///
/// # Errors
/// `WouldBlock`: the socket is full. `InvalidInput`: not sendable this way, so read and write.
pub fn sendfile(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: &mut u64,
    count: usize,
) -> io::Result<usize> {
    let mut position = crate::file::offset(*offset)?;
    // SAFETY: borrowed descriptors stay open for the whole call, and `position` lives on our stack.
    let sent = check_len(unsafe {
        libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut position, count)
    })?;
    *offset += sent as u64;
    Ok(sent)
}

/// Sends FIN: no more bytes from us, while we may still read. shutdown(2).
///
/// # Errors
/// `NotConnected`: the peer has reset the connection.
pub fn shutdown_write(socket: BorrowedFd<'_>) -> io::Result<()> {
    nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Write)?;
    Ok(())
}

/// Switches Nagle's algorithm off (`true`) or on: with it off, a small packet leaves at once.
/// tcp(7).
///
/// # Errors
/// `EOPNOTSUPP`: not a TCP socket, so there is nothing to switch.
pub fn set_nodelay(socket: BorrowedFd<'_>, nodelay: bool) -> io::Result<()> {
    socket2::SockRef::from(&socket).set_tcp_nodelay(nodelay)
}

/// How full a listener's queue of established, not yet accepted connections is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenQueue {
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// The longest that the queue may become: the backlog, capped by `net.core.somaxconn`.
    pub limit: u32,
}

/// Asks how many connections wait at a TCP listener. tcp(7), `TCP_INFO`: on a listening socket the
/// kernel reports the queue's length as `unacked` and its bound as `sacked` (`tcp_get_info`).
///
/// # Errors
/// `EOPNOTSUPP`: not a TCP socket.
pub fn listen_queue(listener: BorrowedFd<'_>) -> io::Result<ListenQueue> {
    let info = tcp_info(listener)?;
    Ok(ListenQueue { waiting: info.tcpi_unacked, limit: info.tcpi_sacked })
}

/// How long a connection that was just accepted had waited in its listener's queue. tcp(7),
/// `TCP_INFO`: the time since something was sent, which for a socket that has sent nothing is the
/// time since the kernel made it: at the end of the handshake, or with the first bytes where
/// [`set_defer_accept`] held it back. Exact to a tick of the kernel's clock, of 1 to 10 ms.
///
/// # Errors
/// `EOPNOTSUPP`: not a TCP socket.
pub fn waited_in_queue(accepted: BorrowedFd<'_>) -> io::Result<Duration> {
    Ok(Duration::from_millis(tcp_info(accepted)?.tcpi_last_data_sent.into()))
}

/// How many of the bytes that were written to a connected socket its peer has not taken: those that the kernel still has
/// to send, and those that nobody has acknowledged. tcp(7), `SIOCOUTQ`; of a Unix socket, unix(7), the memory that what
/// its peer has not read needs.
///
/// # Errors
/// `EINVAL`: a listener.
pub fn untaken(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which has the number of TIOCOUTQ, writes one int to where we point, which lives on our stack.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    check(result)?;
    Ok(bytes.unsigned_abs())
}

fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<libc::tcp_info> {
    // SAFETY: tcp_info holds integers only, so all zeros is a value of it.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    #[expect(clippy::cast_possible_truncation, reason = "a struct of some hundred bytes")]
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `info`; both live on our stack.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    check(result)?;
    Ok(info)
}

/// Holds connections back from [`accept`] until their first bytes have come, for about so many
/// seconds; 0 hands them out at once. Inherited by nobody: it is the listener's. tcp(7),
/// `TCP_DEFER_ACCEPT`.
///
/// # Errors
/// `EOPNOTSUPP`: not a TCP socket.
pub fn set_defer_accept(listener: BorrowedFd<'_>, secs: u32) -> io::Result<()> {
    let secs = libc::c_int::try_from(secs).unwrap_or(libc::c_int::MAX);
    set_option(listener, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &secs)
}

/// Lets the kernel deal new connections at random to the first `count` listeners of a group that
/// shares one address by `SO_REUSEPORT`, in the order in which they began to listen; those behind
/// them get none any more. Handshakes that have begun stay where they are. Any listener of the
/// group will do. socket(7), `SO_ATTACH_REUSEPORT_CBPF`.
///
/// # Errors
/// `InvalidInput`: the listener is in no group, since it did not have `SO_REUSEPORT` when it began
/// to listen.
pub fn deal_among(listener: BorrowedFd<'_>, count: u16) -> io::Result<()> {
    const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM).cast_unsigned();
    set_program(
        listener,
        libc::SO_ATTACH_REUSEPORT_CBPF,
        &mut [
            instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, RANDOM),
            instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count.max(1).into()),
            instruction(libc::BPF_RET | libc::BPF_A, 0),
        ],
    )
}

/// Lets the kernel drop every packet that would begin a new connection. What has begun goes on:
/// handshakes are completed, and the queue can be emptied. A client whose packet was dropped sends
/// it again after a second. There is no way back. socket(7), `SO_ATTACH_FILTER`.
///
/// # Errors
/// None that is known.
pub fn drop_new_handshakes(listener: BorrowedFd<'_>) -> io::Result<()> {
    const FLAGS: u32 = 13; // The packet begins with the TCP header (RFC 9293, section 3.1).
    const SYN: u32 = 0x02;
    const SYN_AND_ACK: u32 = 0x12;
    set_program(
        listener,
        libc::SO_ATTACH_FILTER,
        &mut [
            instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, FLAGS),
            instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, SYN_AND_ACK),
            libc::sock_filter {
                jt: 0,
                jf: 1,
                ..instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, SYN)
            },
            instruction(libc::BPF_RET | libc::BPF_K, 0),
            instruction(libc::BPF_RET | libc::BPF_K, u32::MAX),
        ],
    )
}

/// Closes a socket in this process, whoever still has it: its descriptor leads to a socket of no
/// use from now on, and is closed with that one by its owner. socket(2), dup3(2).
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`: no second descriptor, not even for a moment.
pub fn let_go(socket: BorrowedFd<'_>) -> io::Result<()> {
    let nothing = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // SAFETY: takes no pointer; the number stays open, and its owner's.
    check(unsafe { libc::dup3(nothing.as_raw_fd(), socket.as_raw_fd(), libc::O_CLOEXEC) })?;
    Ok(())
}

/// Ends the listening for every process that has the socket open: new clients are refused, and who
/// still waits in its queue is reset. shutdown(2).
///
/// # Errors
/// `NotConnected`: it does not listen.
pub fn stop_listening(listener: BorrowedFd<'_>) -> io::Result<()> {
    nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Read)?;
    Ok(())
}

/// One instruction of the classic packet filter: bpf(4) of the BSDs, and the kernel's
/// Documentation/networking/filter.rst.
fn instruction(code: u32, k: u32) -> libc::sock_filter {
    let code = u16::try_from(code).expect("the codes have 16 bits");
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

fn set_program(
    socket: BorrowedFd<'_>,
    option: libc::c_int,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // The kernel copies the instructions before the call returns.
    set_option(
        socket,
        libc::SOL_SOCKET,
        option,
        &libc::sock_fprog { len, filter: program.as_mut_ptr() },
    )
}

fn set_option<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "an integer or a small struct")]
    let len = size_of_val(value) as libc::socklen_t;
    // SAFETY: the kernel only reads, `len` bytes from a live value.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), len)
    };
    check(result)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn accepted_sockets_are_non_blocking_close_on_exec_and_know_their_peer() {
        let listener = listener(8);
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let nobody = accept(listener.as_fd()).unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::WouldBlock);

        let client = TcpStream::connect(address).unwrap();
        let (socket, peer) = accept(listener.as_fd()).unwrap();
        assert_eq!(peer, Peer::Inet(client.local_addr().unwrap()));
        let silence = read(socket.as_fd(), &mut [0; 8]).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::WouldBlock);
        let flags = nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_ne!(flags & libc::FD_CLOEXEC, 0);
    }

    #[test]
    fn who_lets_go_of_a_listener_frees_its_address_and_keeps_the_number() {
        let ours = listener(8);
        let address = ours.local_addr().unwrap();
        let_go(ours.as_fd()).unwrap();
        assert_eq!(accept(ours.as_fd()).unwrap_err().kind(), ErrorKind::InvalidInput);
        let next = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        next.bind(&address).unwrap();
        next.listen(1).unwrap();
    }

    #[test]
    fn a_local_peer_has_no_address() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        let (_socket, peer) = accept(listener.as_fd()).unwrap();
        assert_eq!(peer, Peer::Unix);
        assert_eq!((peer.to_string().as_str(), peer.ip()), ("unix", None));
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_socket_appears_as_ipv4() {
        let check = |from: &str, expected: &str| {
            assert_eq!(Peer::from(from.parse::<SocketAddr>().unwrap()).to_string(), expected);
        };
        check("[::ffff:192.0.2.1]:80", "192.0.2.1:80");
        check("192.0.2.1:80", "192.0.2.1:80");
        check("[2001:db8::1]:443", "[2001:db8::1]:443");
        check("[::1]:1", "[::1]:1");
    }

    #[test]
    fn the_listen_queue_counts_who_waits() {
        let listener = listener(5);
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(listen_queue(listener.as_fd()).unwrap(), ListenQueue { waiting: 0, limit: 5 });
        let _first = TcpStream::connect(address).unwrap();
        let _second = TcpStream::connect(address).unwrap();
        assert_eq!(listen_queue(listener.as_fd()).unwrap().waiting, 2);
        accept(listener.as_fd()).unwrap();
        assert_eq!(listen_queue(listener.as_fd()).unwrap().waiting, 1);
        let (local, _peer) = UnixStream::pair().unwrap();
        assert!(listen_queue(local.as_fd()).is_err());
    }

    #[test]
    fn a_connection_knows_how_long_it_waited_whatever_its_client_says_meanwhile() {
        const SHORT: Duration = Duration::from_millis(30);
        const TICK: Duration = Duration::from_millis(10);
        let listener = listener(5);
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        std::thread::sleep(SHORT);
        client.write_all(b"late").unwrap();
        std::thread::sleep(SHORT);
        let (socket, _peer) = accept(listener.as_fd()).unwrap();
        assert!(waited_in_queue(socket.as_fd()).unwrap() + TICK >= SHORT * 2);
        let (local, _peer) = UnixStream::pair().unwrap();
        assert!(waited_in_queue(local.as_fd()).is_err());
    }

    #[test]
    fn pieces_and_a_file_arrive_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();

        assert_eq!(send(ours.as_fd(), b"head ", More::Yes).unwrap(), 5);
        let pieces = [IoSlice::new(b"two "), IoSlice::new(b"pieces ")];
        assert_eq!(send_vectored(ours.as_fd(), &pieces, More::Yes).unwrap(), 11);
        let mut offset = 7;
        assert_eq!(sendfile(ours.as_fd(), file.as_fd(), &mut offset, 100).unwrap(), 3);
        assert_eq!(offset, 10);
        assert_eq!(sendfile(ours.as_fd(), file.as_fd(), &mut offset, 100).unwrap(), 0);
        shutdown_write(ours.as_fd()).unwrap();

        let mut arrived = String::new();
        theirs.read_to_string(&mut arrived).unwrap();
        assert_eq!(arrived, "head two pieces 789");
    }

    #[test]
    fn what_a_peer_has_not_taken_is_known() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(untaken(ours.as_fd()).unwrap(), 0);
        send(ours.as_fd(), b"hello", More::No).unwrap();
        assert!(untaken(ours.as_fd()).unwrap() >= 5);
        read(theirs.as_fd(), &mut [0; 8]).unwrap();
        assert_eq!(untaken(ours.as_fd()).unwrap(), 0);
    }

    #[test]
    fn sending_to_a_peer_that_left_is_an_error_and_no_signal() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let check = |result: io::Result<usize>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::BrokenPipe);
        };
        check(send(ours.as_fd(), b"x", More::No));
        check(send_vectored(ours.as_fd(), &[IoSlice::new(b"x")], More::No));
    }

    #[test]
    fn an_offset_that_no_file_has_is_refused() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        let error = sendfile(ours.as_fd(), file.as_fd(), &mut u64::MAX.clone(), 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn nodelay_is_switched_on_tcp_only() {
        let listener = listener(1);
        set_nodelay(listener.as_fd(), true).unwrap();
        assert!(listener.tcp_nodelay().unwrap());
        set_nodelay(listener.as_fd(), false).unwrap();
        assert!(!listener.tcp_nodelay().unwrap());
        let (local, _peer) = UnixStream::pair().unwrap();
        assert!(set_nodelay(local.as_fd(), true).is_err());
    }

    #[test]
    fn a_deferred_connection_is_handed_out_with_its_first_byte() {
        let listener = listener(8);
        set_defer_accept(listener.as_fd(), 30).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let held_back = accept(listener.as_fd()).unwrap_err();
        assert_eq!(held_back.kind(), ErrorKind::WouldBlock);
        client.write_all(b"x").unwrap();
        assert!(accept(listener.as_fd()).is_ok(), "loopback delivers within the send");
        let (local, _peer) = UnixStream::pair().unwrap();
        assert!(set_defer_accept(local.as_fd(), 30).is_err());
    }

    /// Listeners that share an address, and how many of `connections` each gets.
    fn dealt(group: &[Socket], connections: usize) -> Vec<usize> {
        let address = group[0].local_addr().unwrap().as_socket().unwrap();
        let clients: Vec<_> =
            (0..connections).map(|_| TcpStream::connect(address).unwrap()).collect();
        let counts = group
            .iter()
            .map(|listener| std::iter::from_fn(|| accept(listener.as_fd()).ok()).count());
        let counts = counts.collect();
        drop(clients);
        counts
    }

    #[test]
    fn new_connections_are_dealt_to_the_first_listeners_of_a_group() {
        let first = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        first.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        // Set between bind and listen: nobody else's address is shared by accident, and there is a
        // group.
        first.set_reuse_port(true).unwrap();
        first.listen(64).unwrap();
        first.set_nonblocking(true).unwrap();
        deal_among(first.as_fd(), 1).unwrap();
        let mut group = vec![first];
        for _ in 0..2 {
            let another = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            another.set_reuse_port(true).unwrap();
            another.bind(&group[0].local_addr().unwrap()).unwrap();
            another.listen(64).unwrap();
            another.set_nonblocking(true).unwrap();
            group.push(another);
        }
        assert_eq!(dealt(&group, 30), [30, 0, 0]);
        deal_among(group[2].as_fd(), 3).unwrap();
        let counts = dealt(&group, 60);
        assert!(counts.iter().sum::<usize>() == 60 && !counts.contains(&0), "{counts:?}");
        deal_among(group[0].as_fd(), 2).unwrap();
        assert_eq!(dealt(&group, 30)[2], 0);
        assert!(deal_among(listener(1).as_fd(), 1).is_err(), "in no group");
    }

    #[test]
    fn a_listener_can_refuse_new_handshakes_and_keep_its_queue() {
        let listener = listener(8);
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut early = TcpStream::connect(address).unwrap();
        drop_new_handshakes(listener.as_fd()).unwrap();
        let late = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        late.set_nonblocking(true).unwrap();
        assert!(late.connect(&address.into()).is_err(), "nobody answers its first packet");
        early.write_all(b"x").unwrap();
        let (socket, _peer) = accept(listener.as_fd()).unwrap();
        assert_eq!(read(socket.as_fd(), &mut [0; 8]).unwrap(), 1);
        assert_eq!(accept(listener.as_fd()).unwrap_err().kind(), ErrorKind::WouldBlock);
        stop_listening(listener.as_fd()).unwrap();
        assert!(TcpStream::connect(address).is_err());
    }

    fn listener(backlog: i32) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any_port.into()).unwrap();
        socket.listen(backlog).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }
}
