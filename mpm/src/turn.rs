//! What a connection may use while it is advanced, and must not own while it waits.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::job::{self, JobHandle, Work};
use crate::scoreboard::SlotWriter;
use crate::{Interest, Moment, Why};

/// One advance of one connection: the reason for it, and the thread's things, lent for its duration. `L` is the
/// service's own state of the thread.
///
/// An idle connection costs its own struct only, since buffers, clock and slot belong to the thread.
pub struct Turn<'a, L> {
    pub(crate) why: Why,
    pub(crate) now: Moment,
    pub(crate) draining: bool,
    pub(crate) local: &'a mut L,
    pub(crate) buffers: &'a mut Buffers,
    pub(crate) slot: SlotWriter<'a>,
    pub(crate) watches: &'a mut Watches,
    pub(crate) jobs: &'a mut Vec<Work>,
}

impl<L> Turn<'_, L> {
    /// Why the connection is advanced.
    #[must_use]
    pub fn why(&self) -> Why {
        self.why
    }

    /// The clock of this turn, the same for all that are advanced in it.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Whether the child finishes: the answer that goes out now should be the connection's last.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining
    }

    /// The service's state of this thread.
    pub fn local(&mut self) -> &mut L {
        self.local
    }

    /// The thread's buffers. What a connection leaves in them is gone with the turn.
    pub fn buffers(&mut self) -> &mut Buffers {
        self.buffers
    }

    /// The thread's state and its buffers, both at once.
    pub fn parts(&mut self) -> (&mut L, &mut Buffers) {
        (self.local, self.buffers)
    }

    /// The scoreboard slot of the worker that advances this connection.
    #[must_use]
    pub fn slot(&self) -> SlotWriter<'_> {
        self.slot
    }

    /// Watches a descriptor beside the client's, say a backend's, until told otherwise: readiness advances the
    /// connection. Several can be watched; [`Interest::NONE`] ends it, and must be said before the descriptor is closed.
    pub fn watch(&mut self, fd: BorrowedFd<'_>, interest: Interest) {
        self.watches.set(fd.as_raw_fd(), interest);
    }

    /// What the watched descriptor was ready for in this turn.
    #[must_use]
    pub fn watch_ready(&self, fd: BorrowedFd<'_>) -> Interest {
        self.watches.ready(fd.as_raw_fd())
    }

    /// Hands out something that may block or compute long: a cold open, a directory scan, a password hash. The
    /// connection should then wait; it is advanced with [`Why::JobDone`] when the result is in the handle.
    ///
    /// Prefork and worker run it in place, after this advance; event runs it on a job thread.
    pub fn job<T, F>(&mut self, job: F) -> JobHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (work, handle) = job::prepare(job);
        self.jobs.push(work);
        handle
    }
}

/// One thread's buffers, for whoever is being advanced.
#[derive(Debug)]
pub struct Buffers {
    /// Where input is read to. Its size bounds what one turn takes from one socket.
    pub read: Box<[u8]>,
    /// Where output is gathered. Empty at the start of an advance.
    pub write: Vec<u8>,
}

impl Buffers {
    pub(crate) fn new(read_bytes: usize) -> Self {
        Self { read: vec![0; read_bytes].into_boxed_slice(), write: Vec::new() }
    }
}

/// The descriptors that one connection watches beside its client's: none, nearly always.
#[derive(Debug, Default)]
pub(crate) struct Watches(Vec<Watch>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) fd: RawFd,
    pub(crate) interest: Interest,
    /// What the event model has told the kernel; the others tell it anew at each wait.
    pub(crate) registered: Interest,
    /// It was given up since then: what the kernel knows may be of a descriptor that is closed, and whose number
    /// another one has now.
    pub(crate) given_up: bool,
    pub(crate) ready: Interest,
}

impl Watches {
    fn set(&mut self, fd: RawFd, interest: Interest) {
        match self.0.iter_mut().find(|watch| watch.fd == fd) {
            Some(watch) => {
                watch.given_up |= interest.is_none();
                watch.interest = interest;
            }
            None => self.0.push(Watch {
                fd,
                interest,
                registered: Interest::NONE,
                given_up: false,
                ready: Interest::NONE,
            }),
        }
    }

    fn ready(&self, fd: RawFd) -> Interest {
        self.0.iter().find(|watch| watch.fd == fd).map_or(Interest::NONE, |watch| watch.ready)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Watch> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Watch> {
        self.0.iter_mut()
    }

    /// Notes that a watched descriptor is ready. Says whether anybody watches it.
    pub(crate) fn note_ready(&mut self, fd: RawFd, ready: Interest) -> bool {
        match self.0.iter_mut().find(|watch| watch.fd == fd && !watch.interest.is_none()) {
            Some(watch) => {
                watch.ready = watch.ready.and(ready);
                true
            }
            None => false,
        }
    }

    /// The advance that was told of readiness is over.
    pub(crate) fn clear_ready(&mut self) {
        for watch in &mut self.0 {
            watch.ready = Interest::NONE;
        }
    }

    /// Forgets what is neither watched nor registered.
    pub(crate) fn prune(&mut self) {
        self.0.retain(|watch| !(watch.interest.is_none() && watch.registered.is_none()));
    }
}
