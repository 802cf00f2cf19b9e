//! The sockets of one `Listen` line: one for each bucket, and those of removed buckets, until they have drained.
//!
//! ```text
//!   Listen 80     socket 0   socket 1   socket 2 │ socket 3   socket 4
//!                 bucket 0   bucket 1   bucket 2 │ draining: no new connections, children of bucket 0 empty them
//!                 ◀── the kernel deals to these ─▶
//! ```
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

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use herdgate_sys as sys;
use socket2::SockAddr;

use super::Remark;
use super::bind;
use super::listener::Listener;
use super::spec::{Address, ListenOptions, ListenSpec, Place};
use crate::Moment;

/// No handshake takes longer: five repetitions of the server's answer (`net.ipv4.tcp_synack_retries`) are over after 63
/// seconds, and so is the wait for a first byte.
const HANDSHAKE_MAX: Duration = Duration::from_secs(64);

/// One `Listen` line and its sockets.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    /// In the order in which they began to listen: the buckets', then those that are draining.
    pub(super) sockets: Vec<Member>,
    /// How many of them are buckets; at least 1.
    pub(super) live: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) listener: Arc<Listener>,
    /// Since when it has been getting no new connections; `None` for a bucket's.
    pub(super) draining_since: Option<Moment>,
}

impl Line {
    /// Opens what a line asks for, beginning with the sockets that its former self has.
    pub(super) fn open(
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
            None => vec![Member::new(bind::open(spec, options.patience)?)],
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

    pub(super) fn first(&self) -> &Listener {
        &self.sockets[0].listener
    }

    pub(super) fn is_lent(&self) -> bool {
        self.first().lender().is_some()
    }

    /// The sockets that somebody has lent to us, without our own beside them; none if there are none.
    pub(super) fn as_it_was_lent(&self) -> Option<Self> {
        let mut sockets = self.sockets.clone();
        sockets.retain(|member| member.listener.lender().is_some());
        sockets.iter_mut().for_each(|member| member.draining_since = None);
        let live = sockets.len();
        (live > 0).then(|| Self { place: self.place.clone(), sockets, live })
    }

    pub(super) fn remark_unclaimed(&self) -> Remark {
        let lender = self.first().lender().unwrap_or_default().to_owned();
        Remark::Unclaimed { address: self.first().address.clone(), lender }
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
            let socket = bind::new_tcp_socket(address, only_v6)?;
            socket.set_reuse_port(true)?;
            socket.bind(&SockAddr::from(address))?;
            let listener = Listener::new(socket, Address::Inet(address), None);
            listener.apply(spec, options, remarks)?;
            self.sockets.push(Member::new(listener));
        }
        Ok(())
    }

    /// Deals new connections to the buckets, and to no draining socket.
    pub(super) fn take_effect(&self) {
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
    pub(super) fn new(listener: Listener) -> Self {
        Self { listener: Arc::new(listener), draining_since: None }
    }

    fn has_drained(&self) -> bool {
        let long_enough =
            self.draining_since.is_some_and(|since| Moment::now().since(since) > HANDSHAKE_MAX);
        long_enough && self.listener.queue().is_ok_and(|queue| queue.waiting == 0)
    }
}
