//! # Listeners: bound once by the supervisor, before any fork, and shared by all children and generations
//!
//! ```text
//!                    bucket 0   bucket 1  …      draining
//!   Listen 80        socket     socket    …      socket: of a bucket that a reload has removed
//!   Listen 443       socket     socket    …
//!   Listen unix:/s   socket ◀── the same
//!                      │          │                │
//!                children 0,2 …  1,3 …         children of bucket 0 as well
//! ```
//!
//! - Always non-blocking: O_NONBLOCK belongs to the open file, which all processes share, so it is set once and never
//!   changed. Close-on-exec from birth.
//! - A reload keeps the socket of every place that stays, so that its queue of connections is not touched.
//! - The sockets of one address form a group (SO_REUSEPORT), and the kernel puts each new connection into the queue of
//!   one of them. Who sees which socket is decided by [`Listeners::bucket`].
//! - Nobody else can join: a second server on the same port fails to start, as it should. The first socket of an address
//!   is bound without SO_REUSEPORT, and has it only from then on, and only while there are more.
//!
//! **Removing a bucket loses nothing.** A queue belongs to its socket, and closing it resets whoever is in it. So a
//! removed bucket's socket is kept, *draining*: children of bucket 0 accept from it, too, and the kernel is told to deal
//! new connections to the first sockets of the group only ([`sys::net::deal_among`]). A handshake that had begun is
//! completed by the socket where it began. At a later reload, when its queue is empty and the longest handshake is over,
//! it is closed. `net.ipv4.tcp_migrate_req`, which moves queues between sockets of a group, is not needed and not relied
//! on: it is off by default, and needs Linux 5.14. If the kernel cannot be told (it can since 4.5), a draining socket goes on
//! to get its share of connections, is never closed, and nothing is lost either.
//!
//! The order of a group is the order in which its sockets began to listen, so only the last ones are ever removed, and
//! a bucket that comes back takes up the socket that it had.

mod inherited;
mod spec;
mod unix;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use herdgate_sys as sys;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use sys::net::ListenQueue;
use sys::process::Pid;

pub use inherited::InheritError;
pub(crate) use inherited::take as take_variable;
pub use spec::{Address, FileAccess, ListenOptions, ListenSpec, Place};
use unix::FileId;

use crate::Moment;

/// How long the kernel holds a connection back that has not sent anything, `AcceptFilter`: as Apache.
const WAIT_FOR_DATA_SECS: u32 = 30;
/// No handshake takes longer: five repetitions of the server's answer (`net.ipv4.tcp_synack_retries`) are over after 63
/// seconds, and so is the wait for a first byte.
const HANDSHAKE_MAX: Duration = Duration::from_secs(64);

/// A listener's place among those that a child sees: first one for each `Listen` line, in their order, then those that
/// are draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// A bound, listening, non-blocking socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Address,
    duty: Duty,
}

/// Who ends the listening for all processes that share the socket, and removes its file: the supervisor, by dropping the
/// listener. Children never do, and nobody does it to sockets that were lent to us.
#[derive(Debug)]
struct Duty {
    /// Its pid: first of who made the listener, then of who supervises, which is another process in the background.
    keeper: AtomicI32,
    is_ours: AtomicBool,
    file: Option<FileId>,
    /// Who lent it, in words.
    lender: Option<String>,
}

impl Listener {
    fn new(socket: Socket, address: Address, file: Option<FileId>) -> Self {
        let is_ours = AtomicBool::new(true);
        let keeper = AtomicI32::new(Pid::this().as_raw());
        let duty = Duty { keeper, is_ours, file, lender: None };
        Self { socket, address, duty }
    }

    /// The address that it is bound to, with the real port.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many connections wait to be accepted, and how many may.
    ///
    /// # Errors
    /// `EOPNOTSUPP`: the kernel does not tell for a socket file.
    pub fn queue(&self) -> io::Result<ListenQueue> {
        sys::net::listen_queue(self.as_fd())
    }

    /// Who has lent it to us, such as systemd, and under what name. Nobody, for a socket of our own.
    #[must_use]
    pub fn lender(&self) -> Option<&str> {
        self.duty.lender.as_deref()
    }

    fn is_ours(&self) -> bool {
        self.duty.is_ours.load(Relaxed)
    }

    fn is_tcp(&self) -> bool {
        self.address.inet().is_some()
    }

    /// Ends the listening for all, if that is for us to do. Once.
    fn close(&self) {
        let is_on_duty = self.duty.keeper.load(Relaxed) == Pid::this().as_raw();
        if !is_on_duty || !self.duty.is_ours.swap(false, Relaxed) {
            return;
        }
        if let (Some(path), Some(file)) = (self.address.path(), self.duty.file) {
            unix::remove(path, file);
        }
        // Children that finish hold it open still: without this, clients would wait in a queue that nobody empties.
        let _ = sys::net::stop_listening(self.as_fd());
    }

    /// See [`Listeners::close_the_queue`].
    pub(crate) fn close_the_queue(&self) {
        if !self.is_ours() {
            return; // Whoever has lent it goes on with it.
        }
        if !self.is_tcp() || sys::net::drop_new_handshakes(self.as_fd()).is_err() {
            // listen(2) again only changes the queue's length; a socket that refuses keeps the one it has.
            let _ = self.socket.listen(0);
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.queue().map_or(0, |queue| queue.waiting) == 0
    }

    /// Sets what may change from one generation to the next.
    fn apply(
        &self,
        spec: &ListenSpec,
        options: &ListenOptions,
        remarks: &mut Vec<Remark>,
    ) -> io::Result<()> {
        for (bytes, directive, set) in [
            (options.send_buffer, "SendBufferSize", Socket::set_send_buffer_size as SetSize),
            (options.receive_buffer, "ReceiveBufferSize", Socket::set_recv_buffer_size),
        ] {
            if let Some(Err(error)) = bytes.map(|bytes| set(&self.socket, bytes)) {
                remarks.push(Remark::BufferSize { directive, error });
            }
        }
        if self.is_tcp() {
            let secs = if spec.wait_for_data { WAIT_FOR_DATA_SECS } else { 0 };
            sys::net::set_defer_accept(self.as_fd(), secs)?;
        }
        // Said again for a kept socket: its queue takes the new length.
        self.socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        if let Ok(ListenQueue { limit, .. }) = self.queue()
            && limit < options.backlog
        {
            remarks.push(Remark::BacklogCut { asked: options.backlog, limit });
        }
        Ok(())
    }
}

type SetSize = fn(&Socket, usize) -> io::Result<()>;

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

/// One `Listen` line and its sockets.
#[derive(Clone, Debug)]
struct Line {
    place: Place,
    /// In the order in which they began to listen: the buckets', then those that are draining.
    sockets: Vec<Member>,
    /// How many of them are buckets; at least 1.
    live: usize,
}

#[derive(Clone, Debug)]
struct Member {
    listener: Arc<Listener>,
    /// Since when it has been getting no new connections; `None` for a bucket's.
    draining_since: Option<Moment>,
}

impl Line {
    /// Opens what a line asks for, beginning with the sockets that its former self has.
    fn open(
        spec: &ListenSpec,
        former: Option<&Self>,
        options: &ListenOptions,
        remarks: &mut Vec<Remark>,
    ) -> io::Result<Self> {
        let place = spec.place.clone();
        let wanted = if place.is_tcp() { usize::from(options.buckets.max(1)) } else { 1 };
        let before = former.map(|former| former.live);
        let sockets = match former {
            Some(former) => former.still_needed(wanted),
            None => vec![Member::new(open(spec)?)],
        };
        let mut line = Self { place, sockets, live: wanted };
        for member in &line.sockets {
            member.listener.apply(spec, options, remarks)?;
        }
        if line.sockets.len() < wanted {
            // Those that join get no connection before the generation begins: it may still turn out that it cannot.
            let joined = line.share_address().and_then(|()| line.deal_among(before.unwrap_or(1)));
            if let Err(error) = joined.and_then(|()| line.join(wanted, spec, options, remarks)) {
                let (place, buckets) = (line.place.clone(), line.sockets.len());
                remarks.push(Remark::FewerBuckets { place, buckets, error });
            }
        }
        line.live = wanted.min(line.sockets.len());
        for (number, member) in line.sockets.iter_mut().enumerate() {
            member.draining_since = if number < line.live {
                None
            } else {
                Some(member.draining_since.unwrap_or_else(Moment::now))
            };
        }
        if before.is_none() {
            line.take_effect();
        }
        Ok(line)
    }

    /// All sockets but those at the end that are not wanted and have drained.
    fn still_needed(&self, wanted: usize) -> Vec<Member> {
        let mut sockets = self.sockets.clone();
        // Where the deal fails, a draining socket may get a connection at any moment.
        if sockets.len() > wanted && self.deal_among(self.live).is_ok() {
            while sockets.len() > wanted && sockets.last().is_some_and(Member::has_drained) {
                sockets.pop();
            }
        }
        sockets
    }

    fn first(&self) -> &Listener {
        &self.sockets[0].listener
    }

    /// Lets further sockets of ours have the same address, from now on.
    fn share_address(&self) -> io::Result<()> {
        let first = self.first();
        if first.lender().is_some() && !first.socket.reuse_port()? {
            return Err(io::Error::other(
                "whoever has lent its socket keeps the address to itself",
            ));
        }
        self.sockets.iter().try_for_each(|member| member.listener.socket.set_reuse_port(true))
    }

    fn deal_among(&self, count: usize) -> io::Result<()> {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        sys::net::deal_among(self.first().as_fd(), count)
    }

    /// Adds sockets to the group, until there are enough.
    fn join(
        &mut self,
        wanted: usize,
        spec: &ListenSpec,
        options: &ListenOptions,
        remarks: &mut Vec<Remark>,
    ) -> io::Result<()> {
        let Some(address) = self.first().address.inet() else { return Ok(()) };
        let only_v6 = address.is_ipv6() && self.first().socket.only_v6()?;
        while self.sockets.len() < wanted {
            let socket = new_tcp_socket(address, only_v6)?;
            socket.set_reuse_port(true)?;
            socket.bind(&SockAddr::from(address))?;
            let listener = Listener::new(socket, Address::Inet(address), None);
            listener.apply(spec, options, remarks)?;
            self.sockets.push(Member::new(listener));
        }
        Ok(())
    }

    /// Deals new connections to the buckets, and to no draining socket.
    fn take_effect(&self) {
        let first = self.first();
        // Where it fails, draining sockets go on to get connections, and to be accepted from.
        let _ = match self.sockets.len() {
            1 if first.is_tcp() && first.is_ours() => first.socket.set_reuse_port(false),
            1 => Ok(()),
            _ => self.deal_among(self.live),
        };
    }
}

impl Member {
    fn new(listener: Listener) -> Self {
        Self { listener: Arc::new(listener), draining_since: None }
    }

    fn has_drained(&self) -> bool {
        let long_enough =
            self.draining_since.is_some_and(|since| Moment::now().since(since) > HANDSHAKE_MAX);
        long_enough && self.listener.queue().is_ok_and(|queue| queue.waiting == 0)
    }
}

/// One generation's listeners, as one bucket's children see them. Cheap to clone: the sockets are shared.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    all: Arc<All>,
    bucket: usize,
}

#[derive(Debug, Default)]
struct All {
    lines: Vec<Line>,
    draining: Vec<Arc<Listener>>,
    buckets: usize,
    remarks: Vec<Remark>,
}

impl Listeners {
    /// Opens all places, taking over what `former` has already, and listens. Nothing is left behind on failure. What is
    /// no failure but should be known is in [`remarks`](Self::remarks).
    ///
    /// # Errors
    /// The first place that cannot be had, with its name and the reason. socket(2), bind(2), listen(2).
    pub fn bind(
        specs: &[ListenSpec],
        options: impl Into<ListenOptions>,
        former: &Self,
    ) -> Result<Self, BindError> {
        let options = options.into();
        let mut taken = vec![false; former.all.lines.len()];
        let mut remarks = Vec::new();
        let mut lines = Vec::with_capacity(specs.len());
        for spec in specs {
            let kept = former.find(&spec.place, &mut taken);
            let line = Line::open(spec, kept, &options, &mut remarks)
                .map_err(|source| BindError { spec: spec.clone(), source })?;
            lines.push(line);
        }
        Ok(Self::of_lines(lines, remarks))
    }

    fn of_lines(lines: Vec<Line>, mut remarks: Vec<Remark>) -> Self {
        // Each socket of a group says the same.
        let mut said = HashSet::new();
        remarks.retain(|remark| said.insert(remark.to_string()));
        let draining = lines.iter().flat_map(|line| &line.sockets[line.live..]);
        let draining = draining.map(|member| Arc::clone(&member.listener)).collect();
        let buckets = lines.iter().map(|line| line.live).max().unwrap_or(1);
        Self { all: Arc::new(All { lines, draining, buckets, remarks }), bucket: 0 }
    }

    /// The line that has this place already. A second line with port 0 wants a port of its own, not the first one's.
    fn find(&self, place: &Place, taken: &mut [bool]) -> Option<&Line> {
        let free = |number: &usize| !taken[*number];
        let lines = &self.all.lines;
        let same = (0..lines.len()).filter(free).find(|number| lines[*number].place == *place);
        let number = same.or_else(|| {
            let meets = |line: &Line| {
                line.first().lender().is_some() && place.is_met_by(&line.first().address)
            };
            (0..lines.len()).filter(free).find(|number| meets(&lines[*number]))
        })?;
        taken[number] = true;
        Some(&lines[number])
    }

    /// A new generation begins, in the process that calls: new connections are dealt to its buckets. What only the
    /// former one had is left to [`close_others`](Self::close_others).
    pub(crate) fn take_effect(&self) {
        self.all.lines.iter().for_each(Line::take_effect);
        let supervisor = Pid::this().as_raw();
        self.sockets().for_each(|listener| listener.duty.keeper.store(supervisor, Relaxed));
    }

    /// Ends the listening of what `former` had, and we have not.
    pub(crate) fn close_others(&self, former: &Self) {
        former.without(self).for_each(Listener::close);
    }

    /// What should be known.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.all.remarks
    }

    /// How many buckets there are.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.all.buckets.max(1)
    }

    /// What the children of one bucket see; numbers beyond the last bucket begin again. A place that has no sockets of
    /// its own for each bucket is shared.
    #[must_use]
    pub fn bucket(&self, number: usize) -> Self {
        Self { all: Arc::clone(&self.all), bucket: number % self.buckets() }
    }

    /// The listeners that this bucket sees.
    pub fn iter(&self) -> impl Iterator<Item = (ListenerId, &Listener)> {
        (0_u16..).map(ListenerId).zip((0..self.len()).map(|number| self.nth(number)))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: ListenerId) -> &Listener {
        self.nth(id.0.into())
    }

    fn nth(&self, number: usize) -> &Listener {
        match self.all.lines.get(number) {
            Some(line) => &line.sockets[self.bucket % line.live].listener,
            None => &self.all.draining[number - self.all.lines.len()],
        }
    }

    /// How many this bucket sees.
    #[must_use]
    pub fn len(&self) -> usize {
        let draining = if self.bucket == 0 { self.all.draining.len() } else { 0 };
        self.all.lines.len() + draining
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every socket of every bucket, line by line.
    pub fn sockets(&self) -> impl Iterator<Item = &Listener> {
        self.members().map(|member| &*member.listener)
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.all.lines.iter().flat_map(|line| &line.sockets)
    }

    /// Which of these sockets `others` do not have.
    pub fn without<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = &'a Listener> {
        let has = |listener| others.sockets().any(|other| std::ptr::eq(other, listener));
        self.sockets().filter(move |listener| !has(*listener))
    }

    /// Lets no further connections into the queues; what is in them can still be accepted. A client that comes now
    /// tries again after a second, and is refused then. There is no way back.
    pub(crate) fn close_the_queue(&self) {
        self.sockets().for_each(Listener::close_the_queue);
    }

    /// Whether nobody waits in any queue, so far as the kernel tells.
    pub(crate) fn are_drained(&self) -> bool {
        self.sockets().all(Listener::is_drained)
    }

    /// Ends the listening, for children too, and removes socket files. What still waits in a queue is reset.
    pub(crate) fn close(&self) {
        self.sockets().for_each(Listener::close);
    }

    /// Another process has taken them over: nothing of them is ended or removed by us.
    pub(crate) fn let_go(&self) {
        self.sockets().for_each(|listener| listener.duty.is_ours.store(false, Relaxed));
    }

    /// They have become ours, but for those that somebody has only lent.
    pub(crate) fn take_over(&self) {
        for listener in self.sockets().filter(|listener| listener.lender().is_none()) {
            listener.duty.is_ours.store(true, Relaxed);
        }
    }
}

/// What is no failure, and should be known.
#[derive(Debug)]
pub enum Remark {
    /// The kernel queues fewer connections than `ListenBacklog` asks for.
    BacklogCut {
        /// What was asked for.
        asked: u32,
        /// What it is.
        limit: u32,
    },
    /// The kernel refused a buffer's size.
    BufferSize {
        /// Whose.
        directive: &'static str,
        /// Why.
        error: io::Error,
    },
    /// A place has fewer buckets than were asked for.
    FewerBuckets {
        /// Which one.
        place: Place,
        /// How many there are.
        buckets: usize,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BacklogCut { asked, limit } => write!(
                f,
                "ListenBacklog {asked} is cut to {limit} by the kernel: net.core.somaxconn"
            ),
            Self::BufferSize { directive, error } => {
                write!(f, "{directive} could not be set: {error}")
            }
            Self::FewerBuckets { place, buckets: 1, error } => {
                write!(f, "no further listener buckets for {place}, using one: {error}")
            }
            Self::FewerBuckets { place, buckets, error } => {
                write!(f, "no further listener buckets for {place}, using {buckets}: {error}")
            }
        }
    }
}

/// A place that could not be had.
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

/// The first socket of a place.
fn open(spec: &ListenSpec) -> io::Result<Listener> {
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
            let (socket, file) = unix::bind(path, spec.access)?;
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

fn new_tcp_socket(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::TcpStream;

    fn loopback(port: u16) -> ListenSpec {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()
    }

    fn bind(specs: &[ListenSpec], buckets: u16, former: &Listeners) -> Listeners {
        let options = ListenOptions { backlog: 64, buckets, ..ListenOptions::default() };
        Listeners::bind(specs, options, former).unwrap()
    }

    fn address(listeners: &Listeners) -> SocketAddr {
        listeners.get(ListenerId(0)).address().inet().unwrap()
    }

    /// How many connections wait at each socket, after so many clients have come.
    fn queues_after(listeners: &Listeners, clients: usize) -> (Vec<u32>, Vec<TcpStream>) {
        let address = address(listeners);
        let clients = (0..clients).map(|_| TcpStream::connect(address).unwrap()).collect();
        (listeners.sockets().map(|socket| socket.queue().unwrap().waiting).collect(), clients)
    }

    #[test]
    fn port_zero_takes_a_free_one_and_tells_it() {
        let listeners = bind(&[loopback(0), loopback(0)], 1, &Listeners::default());
        let ports: Vec<u16> =
            listeners.iter().map(|(_, l)| l.address().inet().unwrap().port()).collect();
        assert_ne!(ports[0], 0);
        assert_ne!(ports[0], ports[1]);
    }

    #[test]
    fn a_reload_keeps_the_sockets_that_stay() {
        let first = bind(&[loopback(0)], 1, &Listeners::default());
        let second = bind(&[loopback(0), loopback(0)], 1, &first);
        assert!(std::ptr::eq(first.get(ListenerId(0)), second.get(ListenerId(0))));
        assert_ne!(second.get(ListenerId(0)).address(), second.get(ListenerId(1)).address());
        assert_eq!(second.without(&first).count(), 1);
        assert_eq!(first.without(&second).count(), 0);
    }

    #[test]
    fn a_port_in_use_is_named_and_never_shared_by_accident() {
        for buckets in [1, 3] {
            let first = bind(&[loopback(0)], buckets, &Listeners::default());
            let taken = loopback(address(&first).port());
            for buckets in [1, 3] {
                let options = ListenOptions { buckets, ..ListenOptions::default() };
                let error =
                    Listeners::bind(std::slice::from_ref(&taken), options, &Listeners::default())
                        .unwrap_err();
                assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
                assert!(error.to_string().contains(&taken.to_string()), "{error}");
            }
        }
    }

    #[test]
    fn each_bucket_has_sockets_of_its_own_and_gets_its_share() {
        let listeners = bind(&[loopback(0)], 3, &Listeners::default());
        assert_eq!(listeners.buckets(), 3);
        let (queues, _clients) = queues_after(&listeners, 60);
        assert!(queues.iter().sum::<u32>() == 60 && !queues.contains(&0), "{queues:?}");
        for (number, queue) in queues.iter().enumerate() {
            let view = listeners.bucket(number);
            assert_eq!(view.len(), 1);
            assert_eq!(view.get(ListenerId(0)).queue().unwrap().waiting, *queue);
        }
        let again = listeners.bucket(4);
        assert!(std::ptr::eq(again.get(ListenerId(0)), listeners.bucket(1).get(ListenerId(0))));
    }

    #[test]
    fn removed_buckets_are_drained_by_the_first_and_get_nothing_new() {
        let three = bind(&[loopback(0), loopback(0)], 3, &Listeners::default());
        let (queues, mut early) = queues_after(&three, 40);
        let one = bind(&[loopback(0), loopback(0)], 1, &three);
        one.take_effect();
        assert_eq!((one.buckets(), one.len()), (1, 2 + 4));
        let (after, late) = queues_after(&one, 20);
        assert_eq!(after[0], queues[0] + 20);
        assert_eq!(after[1..], queues[1..]);
        let mut accepted = 0;
        for (_, listener) in one.iter() {
            accepted += std::iter::from_fn(|| sys::net::accept(listener.as_fd()).ok()).count();
        }
        assert_eq!(accepted, early.len() + late.len());
        early.iter_mut().for_each(|client| client.write_all(b"x").unwrap());
        // A bucket that comes back takes up its socket, and a bucket that is new stands behind it.
        let four = bind(&[loopback(0), loopback(0)], 4, &one);
        four.take_effect();
        let sockets: Vec<&Listener> = four.sockets().collect();
        assert!(one.sockets().take(3).eq_by_address(&sockets[..3]));
        let (queues, _clients) = queues_after(&four, 80);
        assert!(!queues[..4].contains(&0), "{queues:?}");
        assert_eq!(four.without(&one).count(), 2);
    }

    trait EqByAddress<'a>: Iterator<Item = &'a Listener> + Sized {
        fn eq_by_address(self, others: &[&Listener]) -> bool {
            self.zip(others).all(|(one, other)| std::ptr::eq(one, *other))
        }
    }

    impl<'a, I: Iterator<Item = &'a Listener>> EqByAddress<'a> for I {}

    #[test]
    fn a_reload_that_fails_has_sent_nobody_to_its_new_buckets() {
        let one = bind(&[loopback(0)], 1, &Listeners::default());
        let three = bind(&[loopback(0)], 3, &one);
        let (queues, _clients) = queues_after(&three, 20);
        assert_eq!(queues, [20, 0, 0]);
        drop(three); // Never took effect.
        let (queues, _clients) = queues_after(&one, 20);
        assert_eq!(queues, [40]);
    }

    #[test]
    fn a_bucket_that_has_drained_is_closed_and_one_where_somebody_waits_is_not() {
        let three = bind(&[loopback(0)], 3, &Listeners::default());
        let (queues, clients) = queues_after(&three, 30);
        assert!(!queues.contains(&0));
        let long_ago = |listeners: &Listeners| {
            let mut lines = listeners.all.lines.clone();
            for member in &mut lines[0].sockets {
                member.draining_since =
                    member.draining_since.map(|_| Moment::from_start(Duration::ZERO));
            }
            Listeners::of_lines(lines, Vec::new())
        };
        let one = long_ago(&bind(&[loopback(0)], 1, &three));
        let same = bind(&[loopback(0)], 1, &one);
        assert_eq!(same.sockets().count(), 3, "clients wait in both");
        let last = one.sockets().last().unwrap();
        while sys::net::accept(last.as_fd()).is_ok() {}
        let fewer = bind(&[loopback(0)], 1, &one);
        assert_eq!(fewer.sockets().count(), 2);
        fewer.take_effect();
        fewer.close_others(&one);
        assert!(last.queue().is_err() || last.socket.is_listener().is_ok_and(|listens| !listens));
        drop(clients);
    }

    #[test]
    fn what_a_reload_gives_up_refuses_at_once_though_children_hold_it() {
        let first = bind(&[loopback(0)], 2, &Listeners::default());
        let address = address(&first);
        let held_by_a_child: Vec<_> =
            first.sockets().map(|socket| socket.as_fd().try_clone_to_owned().unwrap()).collect();
        let none = bind(&[], 1, &first);
        none.close_others(&first);
        assert!(TcpStream::connect(address).is_err());
        drop(held_by_a_child);
    }

    #[test]
    fn what_was_handed_on_is_neither_closed_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let specs = [loopback(0), ListenSpec::at(Place::Unix(path.clone()))];
        let first = bind(&specs, 1, &Listeners::default());
        let address = address(&first);
        let successors: Vec<_> =
            first.sockets().map(|socket| socket.as_fd().try_clone_to_owned().unwrap()).collect();
        first.let_go();
        drop(first);
        TcpStream::connect(address).unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(successors);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_socket_file_is_shared_by_all_buckets_and_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let specs = [loopback(0), ListenSpec::at(Place::Unix(path.clone()))];
        let listeners = bind(&specs, 2, &Listeners::default());
        let (zero, one) = (listeners.bucket(0), listeners.bucket(1));
        assert!(!std::ptr::eq(zero.get(ListenerId(0)), one.get(ListenerId(0))));
        assert!(std::ptr::eq(zero.get(ListenerId(1)), one.get(ListenerId(1))));
        assert_eq!(
            one.get(ListenerId(1)).address().to_string(),
            format!("unix:{}", path.display())
        );
        listeners.close();
        assert!(!path.exists());
    }

    #[test]
    fn what_the_kernel_cuts_or_refuses_is_remarked_once() {
        let options = ListenOptions { backlog: 1 << 30, buckets: 2, ..ListenOptions::default() };
        let listeners = Listeners::bind(&[loopback(0)], options, &Listeners::default()).unwrap();
        let [Remark::BacklogCut { asked, limit }] = listeners.remarks() else {
            panic!("{:?}", listeners.remarks())
        };
        assert!(*asked == 1 << 30 && *limit < 1 << 30);
        let said = listeners.remarks()[0].to_string();
        assert!(said.contains("1073741824") && said.contains("somaxconn"), "{said}");
        assert!(bind(&[loopback(0)], 2, &Listeners::default()).remarks().is_empty());
    }

    #[test]
    fn closing_the_queue_keeps_who_is_in_it() {
        let listeners = bind(&[loopback(0)], 2, &Listeners::default());
        let (_, _clients) = queues_after(&listeners, 10);
        listeners.close_the_queue();
        assert!(!listeners.are_drained());
        let accepted: usize = listeners
            .sockets()
            .map(|socket| std::iter::from_fn(|| sys::net::accept(socket.as_fd()).ok()).count())
            .sum();
        assert_eq!(accepted, 10);
        assert!(listeners.are_drained());
    }
}
