//! # signals: read them like bytes
//!
//! ```text
//!   block ──▶ a signal stays pending ──▶ SignalFd is readable ──▶ the loop reads it and decides
//! ```
//!
//! - No handler runs our code, ever: nothing is interrupted half-way, and nothing must be
//!   async-signal-safe.
//! - Equal signals that are pending merge into one: a signal says "look", never "how many".
//! - The mask belongs to a thread and is inherited by threads and by children, across exec too: a
//!   child begins with [`unblock_all`] or a mask of its own, and so does a program that we start.
//! - A signalfd delivers to whoever reads it: a child that reads its parent's gets its own signals.
//!   One that waits for it by an epoll made before fork does not, so each process makes its own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, sigaction, sigprocmask,
};
use nix::sys::signalfd::SfdFlags;

pub use nix::sys::signal::Signal;

/// Some signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSet(SigSet);

impl SignalSet {
    /// These signals.
    pub fn of(signals: &[Signal]) -> Self {
        SignalSet(signals.iter().copied().collect())
    }

    /// All signals that can be blocked.
    pub fn all() -> Self {
        SignalSet(SigSet::all())
    }

    /// Whether `signal` is one of them.
    pub fn contains(&self, signal: Signal) -> bool {
        self.0.contains(signal)
    }

    /// From now on, they stay pending for this thread and the ones that it starts.
    /// pthread_sigmask(3).
    ///
    /// # Errors
    /// None that is known.
    pub fn block(&self) -> io::Result<()> {
        Ok(self.0.thread_block()?)
    }

    /// From now on, they reach this thread again; pending ones do so at once. pthread_sigmask(3).
    ///
    /// # Errors
    /// None that is known.
    pub fn unblock(&self) -> io::Result<()> {
        Ok(self.0.thread_unblock()?)
    }

    /// From now on, exactly these are blocked; the mask of before is returned. pthread_sigmask(3).
    ///
    /// # Errors
    /// None that is known.
    pub fn replace_mask(&self) -> io::Result<SignalSet> {
        Ok(SignalSet(self.0.thread_swap_mask(SigmaskHow::SIG_SETMASK)?))
    }
}

/// Unblocks every signal in this thread: what a child does first, and what a started program
/// expects.
///
/// # Errors
/// None that is known.
pub fn unblock_all() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Signals to be read, non-blocking and close-on-exec. signalfd(2).
#[derive(Debug)]
pub struct SignalFd(nix::sys::signalfd::SignalFd);

impl SignalFd {
    /// Blocks `signals` in this thread, so that they wait here instead of acting, and opens the
    /// descriptor. Call it before any thread starts: a thread that does not block them would get
    /// them.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: out of descriptors.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let set = SignalSet::of(signals);
        set.block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(SignalFd(nix::sys::signalfd::SignalFd::with_flags(&set.0, flags)?))
    }

    /// Takes one pending signal; `None` when there is none left.
    ///
    /// # Errors
    /// As read(2).
    pub fn read(&self) -> io::Result<Option<Signal>> {
        let Some(record) = self.0.read_signal()? else { return Ok(None) };
        // Only signals with a name can have been asked for, so the conversion cannot fail.
        let number = i32::try_from(record.ssi_signo).map_err(|_| Errno::EINVAL)?;
        Ok(Some(Signal::try_from(number)?))
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Drops a signal as it comes: SIGPIPE, and SIGWINCH on a terminal. Survives exec. sigaction(2).
///
/// # Errors
/// `EINVAL`: SIGKILL and SIGSTOP cannot be ignored.
pub fn ignore(signal: Signal) -> io::Result<()> {
    set_action(signal, SigHandler::SigIgn)?;
    Ok(())
}

/// Gives a signal its first meaning back. sigaction(2).
///
/// # Errors
/// `EINVAL`: SIGKILL and SIGSTOP have no other.
pub fn restore_default(signal: Signal) -> io::Result<()> {
    set_action(signal, SigHandler::SigDfl)?;
    Ok(())
}

/// Answers what was done before.
fn set_action(signal: Signal, handler: SigHandler) -> io::Result<SigHandler> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither "ignore" nor "default" runs code of ours, so there is nothing to be
    // signal-safe.
    let before = unsafe { sigaction(signal, &action) }?;
    Ok(before.handler())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    // `raise` addresses the calling thread, so tests that run beside this one do not notice.
    #[test]
    fn blocked_signals_are_read_in_the_loop_and_merge() {
        let inbox = SignalFd::new(&[Signal::SIGUSR1, Signal::SIGHUP]).unwrap();
        assert_eq!(inbox.read().unwrap(), None);
        raise(Signal::SIGUSR1).unwrap();
        raise(Signal::SIGUSR1).unwrap();
        raise(Signal::SIGHUP).unwrap();
        let mut read = [inbox.read().unwrap(), inbox.read().unwrap()];
        read.sort();
        assert_eq!(read, [Some(Signal::SIGHUP), Some(Signal::SIGUSR1)]);
        assert_eq!(inbox.read().unwrap(), None);
    }

    #[test]
    fn the_mask_is_what_was_asked_for() {
        let blocked = || SignalSet(SigSet::thread_get_mask().unwrap());
        let usr1 = SignalSet::of(&[Signal::SIGUSR1]);
        usr1.block().unwrap();
        assert!(blocked().contains(Signal::SIGUSR1));
        usr1.unblock().unwrap();
        assert!(!blocked().contains(Signal::SIGUSR1));

        let before = SignalSet::all().replace_mask().unwrap();
        assert!(blocked().contains(Signal::SIGTERM) && blocked().contains(Signal::SIGUSR1));
        assert!(!blocked().contains(Signal::SIGKILL), "the kernel sees to that");
        before.replace_mask().unwrap();
        assert!(!blocked().contains(Signal::SIGUSR1));

        SignalSet::of(&[Signal::SIGUSR1, Signal::SIGHUP]).block().unwrap();
        unblock_all().unwrap();
        assert_eq!(blocked(), SignalSet::of(&[]));
    }

    #[test]
    fn an_ignored_signal_is_dropped_until_its_meaning_is_restored() {
        ignore(Signal::SIGUSR2).unwrap();
        raise(Signal::SIGUSR2).unwrap(); // It would end the whole test run.
        let before = set_action(Signal::SIGUSR2, SigHandler::SigIgn).unwrap();
        assert!(matches!(before, SigHandler::SigIgn));
        restore_default(Signal::SIGUSR2).unwrap();
        let before = set_action(Signal::SIGUSR2, SigHandler::SigDfl).unwrap();
        assert!(matches!(before, SigHandler::SigDfl));
        assert!(ignore(Signal::SIGKILL).is_err());
    }
}
