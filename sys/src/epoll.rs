//! # epoll: a readiness queue, and waking one waiter instead of all
//!
//! ```text
//!   listener ◀──EXCLUSIVE── epoll of child 1 ─┐
//!            ◀──EXCLUSIVE── epoll of child 2 ─┤ a connection wakes one of them (at least one:
//!            ◀──EXCLUSIVE── epoll of child 3 ─┘ the kernel promises no more), not the whole herd
//! ```
//!
//! - A registration belongs to the *open file* and dies when its last descriptor closes. After a
//!   fork that is not when *we* close it: remove it first.
//! - The free functions take any epoll descriptor, so that `mio::Poll` can wait for what mio cannot
//!   express; [`Epoll`] is for those who need no mio. What they wait for may be a plain number, as
//!   a connection's watched descriptors are: one that is no longer open is refused (`EBADF`).

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
        add(self, &fd, events, data)
    }

    /// Changes a registration: see [`modify`].
    ///
    /// # Errors
    /// As [`modify`].
    pub fn modify(&self, fd: BorrowedFd<'_>, events: Events, data: u64) -> io::Result<()> {
        modify(self, &fd, events, data)
    }

    /// Ends a registration: see [`remove`].
    ///
    /// # Errors
    /// As [`remove`].
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        remove(self, &fd)
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
pub fn add(epoll: &impl AsRawFd, fd: &impl AsRawFd, events: Events, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events.bits(), u64: data };
    control(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event)
}

/// Replaces what to wait for, and `data`. epoll_ctl(2).
///
/// # Errors
/// `NotFound`: not registered. `EINVAL`: either side has [`Events::EXCLUSIVE`]; remove and add.
pub fn modify(
    epoll: &impl AsRawFd,
    fd: &impl AsRawFd,
    events: Events,
    data: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events.bits(), u64: data };
    control(epoll.as_raw_fd(), libc::EPOLL_CTL_MOD, fd.as_raw_fd(), &raw mut event)
}

/// Ends a registration. epoll_ctl(2).
///
/// # Errors
/// `NotFound`: not registered.
pub fn remove(epoll: &impl AsRawFd, fd: &impl AsRawFd) -> io::Result<()> {
    control(epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), ptr::null_mut())
}

/// Both descriptors may be any number: the kernel refuses what is not an epoll or not open, and
/// waiting for somebody else's file neither reads nor writes it. So this is safe to call.
fn control(
    epoll: RawFd,
    operation: libc::c_int,
    fd: RawFd,
    event: *mut libc::epoll_event,
) -> io::Result<()> {
    // SAFETY: `event` is null (for removal, which does not read it) or points into the frame of our
    // caller.
    check(unsafe { libc::epoll_ctl(epoll, operation, fd, event) })?;
    Ok(())
}

fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    let Some(timeout) = timeout else { return -1 };
    let rounded_up = timeout.as_nanos().div_ceil(1_000_000);
    libc::c_int::try_from(rounded_up).unwrap_or(libc::c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventFd;
    use std::io::{ErrorKind, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn reports_carry_the_number_given_at_registration() {
        let epoll = Epoll::new().unwrap();
        let bell = EventFd::new().unwrap();
        epoll.add(bell.as_fd(), Events::READ, 42).unwrap();
        assert!(seen(&epoll).is_empty());
        bell.signal().unwrap();
        assert_eq!(seen(&epoll), [(Events::READ, 42)]);
        epoll.modify(bell.as_fd(), Events::READ | Events::WRITE, 43).unwrap();
        assert_eq!(seen(&epoll), [(Events::READ | Events::WRITE, 43)]);
        epoll.remove(bell.as_fd()).unwrap();
        assert!(seen(&epoll).is_empty());
    }

    #[test]
    fn a_peer_that_has_finished_sending_is_told_from_one_that_left() {
        let epoll = Epoll::new().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        epoll.add(ours.as_fd(), Events::READ | Events::READ_CLOSED, 1).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(seen(&epoll), [(Events::READ | Events::READ_CLOSED, 1)]);
        drop(theirs);
        assert!(seen(&epoll)[0].0.contains(Events::HANGUP));
    }

    #[test]
    fn an_edge_is_reported_once_and_a_oneshot_until_rearmed() {
        let epoll = Epoll::new().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"x").unwrap();
        epoll.add(ours.as_fd(), Events::READ | Events::EDGE, 1).unwrap();
        assert_eq!(seen(&epoll).len(), 1);
        assert!(seen(&epoll).is_empty());
        epoll.modify(ours.as_fd(), Events::READ | Events::ONESHOT, 2).unwrap();
        assert_eq!(seen(&epoll), [(Events::READ, 2)]);
        assert!(seen(&epoll).is_empty());
    }

    #[test]
    fn an_exclusive_wait_cannot_be_modified_but_removed_and_added() {
        let epoll = Epoll::new().unwrap();
        let bell = EventFd::new().unwrap();
        epoll.add(bell.as_fd(), Events::READ | Events::EXCLUSIVE, 1).unwrap();
        for events in [Events::READ, Events::READ | Events::EXCLUSIVE] {
            let error = epoll.modify(bell.as_fd(), events, 2).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{events:?}");
        }
        epoll.remove(bell.as_fd()).unwrap();
        epoll.add(bell.as_fd(), Events::READ | Events::EXCLUSIVE, 3).unwrap();
        bell.signal().unwrap();
        assert_eq!(seen(&epoll), [(Events::READ, 3)]);
    }

    #[test]
    fn registrations_that_make_no_sense_are_refused() {
        let epoll = Epoll::new().unwrap();
        let bell = EventFd::new().unwrap();
        let stranger = EventFd::new().unwrap();
        let file = tempfile::tempfile().unwrap();
        epoll.add(bell.as_fd(), Events::READ, 1).unwrap();
        let check = |result: io::Result<()>, expected| {
            assert_eq!(result.unwrap_err().kind(), expected);
        };
        check(epoll.add(bell.as_fd(), Events::READ, 1), ErrorKind::AlreadyExists);
        check(epoll.remove(stranger.as_fd()), ErrorKind::NotFound);
        check(epoll.modify(stranger.as_fd(), Events::READ, 1), ErrorKind::NotFound);
        check(epoll.add(file.as_fd(), Events::READ, 1), ErrorKind::PermissionDenied);
        check(add(&bell, &stranger, Events::READ, 1), ErrorKind::InvalidInput);
        assert_eq!(remove(&epoll, &i32::MAX).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(epoll.wait(&mut [], None).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn timeouts_round_up_and_saturate() {
        let check = |timeout, expected| assert_eq!(milliseconds(timeout), expected, "{timeout:?}");
        check(None, -1);
        check(Some(Duration::ZERO), 0);
        check(Some(Duration::from_nanos(1)), 1);
        check(Some(Duration::from_millis(7)), 7);
        check(Some(Duration::from_micros(7001)), 8);
        check(Some(Duration::MAX), i32::MAX);
    }

    /// What is reported now, without waiting.
    fn seen(epoll: &Epoll) -> Vec<(Events, u64)> {
        let mut events = [Event::empty(); 8];
        let count = epoll.wait(&mut events, Some(Duration::ZERO)).unwrap();
        events[..count].iter().map(|event| (event.events(), event.data())).collect()
    }
}
