//! Overflow: a bucket whose workers are all busy is everybody's.
//!
//! ```text
//!   children of bucket 0   wait for   listeners of bucket 0 │ overflow: an epoll that all processes share
//!   children of bucket 1   wait for   listeners of bucket 1 │   └─ the listeners of buckets that are full
//! ```
//!
//! The kernel deals connections to buckets without looking who is busy there. So what is dealt to a full bucket would
//! wait for that bucket, though others have idle workers. The overflow is an epoll within each child's epoll, made before
//! the fork: when the supervisor puts a listener into it, by one system call, every child that waits for connections
//! waits for that listener, too, and when it takes it out, nobody does.
//!
//! - Nothing waits longer than until any worker of the server becomes free: it looks at the overflow as it looks at its
//!   own listeners, in turn.
//! - While a bucket is full, each of its connections wakes all idle children of the others, since an epoll within an epoll
//!   knows no exclusive wakeups. It is the idle who pay.
//! - With one bucket there is no overflow, and no cost.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::time::Duration;

use herdgate_sys as sys;
use sys::epoll::{Epoll, Event, Events};

use super::{Listener, ListenerId, Listeners};

/// The listeners of full buckets, watched by all children of a generation.
#[derive(Debug)]
pub(crate) struct Overflow {
    epoll: Epoll,
    listeners: Listeners,
    /// By bucket. Known to the supervisor only.
    open: Vec<bool>,
}

impl Overflow {
    /// None, if there is only one bucket.
    pub(crate) fn new(listeners: &Listeners) -> io::Result<Option<Self>> {
        let open = vec![false; listeners.buckets()];
        if open.len() == 1 {
            return Ok(None);
        }
        Ok(Some(Self { epoll: Epoll::new()?, listeners: listeners.clone(), open }))
    }

    /// The supervisor has found a bucket full, or not full any more.
    pub(crate) fn set_open(&mut self, bucket: usize, wanted: bool) {
        if std::mem::replace(&mut self.open[bucket], wanted) == wanted {
            return;
        }
        for (id, listener) in self.listeners.bucket(bucket).own() {
            // It fails for lack of memory, and then the bucket waits for its own children. A socket that two buckets
            // share, since an address has fewer sockets than there are buckets, may be in or out already.
            let _ = if wanted {
                self.epoll.add(listener.as_fd(), Events::READ, token(bucket, id))
            } else {
                self.epoll.remove(listener.as_fd())
            };
        }
    }

    /// A listener where somebody waits, another one each time; none, if nobody does.
    pub(crate) fn next(&self) -> Option<(&Listener, ListenerId)> {
        let mut events = [Event::empty()];
        let count = self.epoll.wait(&mut events, Some(Duration::ZERO)).unwrap_or(0);
        let token = events.first().filter(|_| count > 0)?.data();
        let id = ListenerId(u16::try_from(token & 0xffff).expect("16 bits"));
        let bucket = usize::try_from(token >> 16).expect("a bucket's number");
        Some((self.listeners.nth_of(bucket, id.0.into()), id))
    }
}

impl AsRawFd for Overflow {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

fn token(bucket: usize, id: ListenerId) -> u64 {
    (bucket as u64) << 16 | u64::from(id.0)
}
