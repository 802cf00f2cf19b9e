//! # eventfd: a doorbell
//!
//! Any number of rings before anybody looks count as one; looking silences it. Threads and
//! processes may ring.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::eventfd::EfdFlags;

/// A descriptor that is readable from [`EventFd::signal`] until [`EventFd::drain`]. eventfd(2).
#[derive(Debug)]
pub struct EventFd(nix::sys::eventfd::EventFd);

impl EventFd {
    /// A silent one, non-blocking and close-on-exec.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(EventFd(nix::sys::eventfd::EventFd::from_flags(flags)?))
    }

    /// Rings. Never blocks, and rings that nobody heard yet do not pile up beyond the counter's
    /// bound: a full counter is a ring already heard of, so that is no error.
    ///
    /// # Errors
    /// As write(2).
    pub fn signal(&self) -> io::Result<()> {
        match self.0.write(1) {
            Ok(_) | Err(nix::errno::Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Silences, and says whether it had rung.
    ///
    /// # Errors
    /// As read(2).
    pub fn drain(&self) -> io::Result<bool> {
        match self.0.read() {
            Ok(_) => Ok(true),
            Err(nix::errno::Errno::EAGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl From<EventFd> for OwnedFd {
    fn from(event: EventFd) -> OwnedFd {
        event.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Interest, PollEntry, poll};
    use std::time::Duration;

    #[test]
    fn many_rings_are_heard_once() {
        let bell = EventFd::new().unwrap();
        assert!(!bell.drain().unwrap());
        bell.signal().unwrap();
        bell.signal().unwrap();
        let mut entries = [PollEntry::new(bell.as_raw_fd(), Interest::READ)];
        assert_eq!(poll(&mut entries, Some(Duration::ZERO)).unwrap(), 1);
        assert!(bell.drain().unwrap());
        assert!(!bell.drain().unwrap());
        assert_eq!(poll(&mut entries, Some(Duration::ZERO)).unwrap(), 0);
    }
}
