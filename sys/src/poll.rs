//! # poll: wait for a handful of descriptors, once
//!
//! For a process that waits for one client and its wake descriptor: nothing to set up and nothing
//! to tear down, one system call where epoll needs three.
//!
//! Entries hold a plain number on purpose: polling a number that is no longer open is harmless, and
//! [`Returned::invalid`] says so.

use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use crate::flags::flags;
use crate::outcome::check;

flags! {
    /// What to wait for. Errors and hang-ups are reported without asking.
    pub struct Interest(i16) {
        /// There is something to read, or to accept.
        READ = libc::POLLIN;
        /// There is room to write.
        WRITE = libc::POLLOUT;
        /// The peer has finished sending.
        READ_CLOSED = libc::POLLRDHUP;
    }
}

/// A descriptor, what it waits for, and what [`poll`] found.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct PollEntry(libc::pollfd);

impl PollEntry {
    /// Waits for `interest` on `fd`. A negative `fd` is skipped by the kernel.
    pub const fn new(fd: RawFd, interest: Interest) -> Self {
        PollEntry(libc::pollfd { fd, events: interest.bits(), revents: 0 })
    }

    /// The descriptor.
    pub const fn fd(&self) -> RawFd {
        self.0.fd
    }

    /// What the last [`poll`] found.
    pub const fn returned(&self) -> Returned {
        Returned(self.0.revents)
    }
}

impl std::fmt::Debug for PollEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let interest = Interest::from_bits(self.0.events);
        f.debug_struct("PollEntry")
            .field("fd", &self.fd())
            .field("interest", &interest)
            .field("returned", &self.returned())
            .finish()
    }
}

/// What happened to one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned(i16);

impl Returned {
    /// A read will not block: bytes, a connection, the end, or an error wait for it.
    pub const fn readable(self) -> bool {
        self.0 & (libc::POLLIN | libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }

    /// A write will not block: it finds room, or an error.
    pub const fn writable(self) -> bool {
        self.0 & (libc::POLLOUT | libc::POLLHUP | libc::POLLERR) != 0
    }

    /// The peer is gone, or has finished sending and [`Interest::READ_CLOSED`] asked for that.
    pub const fn hangup(self) -> bool {
        self.0 & (libc::POLLHUP | libc::POLLRDHUP) != 0
    }

    /// The descriptor is in error; the next read or write says which.
    pub const fn error(self) -> bool {
        self.0 & libc::POLLERR != 0
    }

    /// The number was not an open descriptor.
    pub const fn invalid(self) -> bool {
        self.0 & libc::POLLNVAL != 0
    }

    /// Nothing happened.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Waits until something happens to one of `entries` or the time is over, and says to how many.
/// Without `timeout` it waits forever. ppoll(2).
///
/// # Errors
/// `Interrupted`: a signal came; the caller may have reason to look around before waiting again.
pub fn poll(entries: &mut [PollEntry], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = entries.len() as libc::nfds_t;
    // SAFETY: `PollEntry` is laid out as pollfd and `count` of them are ours; `timeout` is null or
    // points into this frame; a null mask leaves the signal mask alone.
    let result = unsafe { libc::ppoll(entries.as_mut_ptr().cast(), count, timeout, ptr::null()) };
    Ok(check(result)?.unsigned_abs() as usize)
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn each_entry_says_what_happened_to_it() {
        let (quiet, _peer) = UnixStream::pair().unwrap();
        let (talked_to, mut talker) = UnixStream::pair().unwrap();
        let (left, leaver) = UnixStream::pair().unwrap();
        talker.write_all(b"x").unwrap();
        drop(leaver);
        let mut entries = [
            PollEntry::new(quiet.as_raw_fd(), Interest::READ),
            PollEntry::new(talked_to.as_raw_fd(), Interest::READ | Interest::WRITE),
            PollEntry::new(left.as_raw_fd(), Interest::READ | Interest::READ_CLOSED),
            PollEntry::new(-1, Interest::READ),
        ];
        assert_eq!(poll(&mut entries, None).unwrap(), 2);

        let [quiet, talked_to, left, skipped] = entries.map(|entry| entry.returned());
        assert!(quiet.is_empty() && skipped.is_empty());
        assert!(talked_to.readable() && talked_to.writable() && !talked_to.hangup());
        assert!(left.readable() && left.hangup() && !left.error());
    }

    #[test]
    fn a_number_that_is_not_open_is_harmless() {
        let mut entries = [PollEntry::new(i32::MAX, Interest::READ)];
        assert_eq!(poll(&mut entries, None).unwrap(), 1);
        assert!(entries[0].returned().invalid() && !entries[0].returned().readable());
        assert_eq!(entries[0].fd(), i32::MAX);
    }

    #[test]
    fn time_that_is_over_leaves_every_entry_empty() {
        let (quiet, _peer) = UnixStream::pair().unwrap();
        let mut entries = [PollEntry::new(quiet.as_raw_fd(), Interest::READ)];
        assert_eq!(poll(&mut entries, Some(Duration::from_nanos(1))).unwrap(), 0);
        assert!(entries[0].returned().is_empty());
        // Far beyond what the kernel's clock can hold, but something has happened, so it does not
        // wait.
        entries[0] = PollEntry::new(quiet.as_raw_fd(), Interest::WRITE);
        assert_eq!(poll(&mut entries, Some(Duration::MAX)).unwrap(), 1);
    }

    #[test]
    fn no_entries_and_no_time_return_at_once() {
        assert_eq!(poll(&mut [], Some(Duration::ZERO)).unwrap(), 0);
    }
}
