//! # epoll: a readiness queue, and waking one waiter instead of all
//!
//! ```text
//!   listener ◀──EXCLUSIVE── epoll of child 1 ─┐
//!            ◀──EXCLUSIVE── epoll of child 2 ─┤ a connection wakes one of them (at least one: the kernel
//!            ◀──EXCLUSIVE── epoll of child 3 ─┘ promises no more), instead of the whole herd
//! ```
//!
//! - A registration belongs to the *open file* and dies when its last descriptor closes. After a fork
//!   that is not when *we* close it: remove it first.
//! - The free functions take any epoll descriptor, so that `mio::Poll` can wait for what mio cannot
//!   express; [`Epoll`] is for those who need no mio.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::flags::flags;
use crate::outcome::{check, check_fd};

flags! {
    /// What to wait for, how to wait, and what happened.
    pub struct Events(u32) {
        /// There is something to read, or to accept.
        READ = libc::EPOLLIN.cast_unsigned();
        /// There is room to write.
        WRITE = libc::EPOLLOUT.cast_unsigned();
        /// The peer has finished sending. Not reported unless asked for.
        READ_CLOSED = libc::EPOLLRDHUP.cast_unsigned();
        /// Both directions are over. Always reported.
        HANGUP = libc::EPOLLHUP.cast_unsigned();
        /// The descriptor is in error. Always reported.
        ERROR = libc::EPOLLERR.cast_unsigned();
        /// How to wait: wake one of the epolls that wait for this file, not all of them. Goes with
        /// [`Events::READ`], [`Events::WRITE`] and [`Events::EDGE`] only, and cannot be changed by
        /// [`modify`] (`EINVAL`): remove and add again.
        EXCLUSIVE = libc::EPOLLEXCLUSIVE.cast_unsigned();
        /// How to wait: report a change once, not a state again and again.
        EDGE = libc::EPOLLET.cast_unsigned();
        /// How to wait: report once, then stay silent until [`modify`].
        ONESHOT = libc::EPOLLONESHOT.cast_unsigned();
    }
}

/// One report: what happened, and the number given at registration.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Event(libc::epoll_event);

impl Event {
    /// A place for [`Epoll::wait`] to write to.
    pub const fn empty() -> Self {
        Event(libc::epoll_event { events: 0, u64: 0 })
    }

    /// What happened.
    pub fn events(&self) -> Events {
        Events::from_bits(self.0.events)
    }

    /// The number given at registration.
    pub fn data(&self) -> u64 {
        self.0.u64
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event").field("events", &self.events()).field("data", &self.data()).finish()
    }
}

/// An epoll of our own, close-on-exec.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// Makes an empty epoll. epoll_create1(2).
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`: we are short of something.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointer.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        // SAFETY: the descriptor has just been made for us.
        Ok(Epoll(unsafe { check_fd(fd) }?))
    }

    /// Registers a descriptor: see [`add`].
    ///
    /// # Errors
    /// As [`add`].
    pub fn add(&self, fd: BorrowedFd<'_>, events: Events, data: u64) -> io::Result<()> {
        add(self, fd, events, data)
    }

    /// Changes a registration: see [`modify`].
    ///
    /// # Errors
    /// As [`modify`].
    pub fn modify(&self, fd: BorrowedFd<'_>, events: Events, data: u64) -> io::Result<()> {
        modify(self, fd, events, data)
    }

    /// Ends a registration: see [`remove`].
    ///
    /// # Errors
    /// As [`remove`].
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        remove(self, fd)
    }

    /// Waits until something happens or the time is over, and says how many `events` were written.
    /// Without `timeout` it waits forever; a part of a millisecond counts as a whole one, so that a
    /// deadline has truly passed when we return 0. epoll_wait(2).
    ///
    /// # Errors
    /// `Interrupted`: a signal came. `InvalidInput`: no room in `events`.
    pub fn wait(&self, events: &mut [Event], timeout: Option<Duration>) -> io::Result<usize> {
        let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
        // SAFETY: `Event` is laid out as epoll_event, and the kernel writes at most `room` of them.
        let result = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr().cast(),
                room,
                milliseconds(timeout),
            )
        };
        Ok(check(result)?.unsigned_abs() as usize)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Registers `fd`; its reports will carry `data`. epoll_ctl(2).
///
/// # Errors
/// `AlreadyExists`: registered before. `PermissionDenied`: a plain file or folder, which is always
/// ready. `EINVAL`: flags that do not go with [`Events::EXCLUSIVE`]. `ENOSPC`: too many watches for
/// this user (`fs.epoll.max_user_watches`).
pub fn add(epoll: &impl AsRawFd, fd: BorrowedFd<'_>, events: Events, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events.bits(), u64: data };
    control(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
}

/// Replaces what to wait for, and `data`. epoll_ctl(2).
///
/// # Errors
/// `NotFound`: not registered. `EINVAL`: either side has [`Events::EXCLUSIVE`]; remove and add.
pub fn modify(
    epoll: &impl AsRawFd,
    fd: BorrowedFd<'_>,
    events: Events,
    data: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events.bits(), u64: data };
    control(epoll.as_raw_fd(), libc::EPOLL_CTL_MOD, fd, &raw mut event)
}

/// Ends a registration. epoll_ctl(2).
///
/// # Errors
/// `NotFound`: not registered.
pub fn remove(epoll: &impl AsRawFd, fd: BorrowedFd<'_>) -> io::Result<()> {
    control(epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, ptr::null_mut())
}

/// `epoll` may be any number: the kernel refuses what is not an epoll, so this is safe to call.
fn control(
    epoll: RawFd,
    operation: libc::c_int,
    fd: BorrowedFd<'_>,
    event: *mut libc::epoll_event,
) -> io::Result<()> {
    // SAFETY: `event` is null (for removal, which does not read it) or points into the frame of our caller.
    check(unsafe { libc::epoll_ctl(epoll, operation, fd.as_raw_fd(), event) })?;
    Ok(())
}

fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    let Some(timeout) = timeout else { return -1 };
    let rounded_up = timeout.as_nanos().div_ceil(1_000_000);
    libc::c_int::try_from(rounded_up).unwrap_or(libc::c_int::MAX)
}
