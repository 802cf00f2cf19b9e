//! # The gate: what stands before accept
//!
//! Several processes wait for the same listeners. One connection comes: who gets it, and who is woken for nothing?
//!
//! ```text
//!   none        ┌ child ┐ ┌ child ┐ ┌ child ┐     all wake, one wins, the others find nothing: the thundering herd
//!                    ╲       │       ╱
//!   exclusive        kernel wakes one             EPOLLEXCLUSIVE: at least one, nearly always just one
//!
//!   mutex       ┌ child ┐ ┌ queue: child, child ┐ one waits for all listeners, the others at the mutex;
//!               └ inside┘                         nobody is woken for nothing, and no listener starves
//! ```
//!
//! - Whoever dies inside leaves the gate open to the next one.
//! - Nobody holds the gate while serving: it is left as soon as a connection is in hand.
//! - One thread of a process goes to the gate; the others never see it.

mod exclusive;
mod fcntl;
mod none;
mod pthread;

use std::fmt;
use std::io;
use std::path::Path;

/// Which mechanism stands before accept: `AcceptSerialization` and `Mutex … mpm-accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GateKind {
    /// Nothing: every waiting process wakes for every connection.
    None,
    /// The kernel wakes one of the waiting processes.
    Exclusive,
    /// An accept mutex: a lock on a file.
    Fcntl,
    /// An accept mutex: a robust, process-shared pthread mutex.
    Pthread,
}

impl GateKind {
    /// Makes the gate. The supervisor does so before it forks; children inherit it.
    ///
    /// # Errors
    /// A lock file cannot be made in `lock_dir`, or the kernel refuses the mechanism.
    pub fn create(self, lock_dir: &Path) -> io::Result<Box<dyn Gate>> {
        Ok(match self {
            Self::None => Box::new(none::NoGate),
            Self::Exclusive => Box::new(exclusive::ExclusiveWakeups),
            Self::Fcntl => Box::new(fcntl::FcntlMutex::create(lock_dir)?),
            Self::Pthread => Box::new(pthread::PthreadMutex::create()?),
        })
    }

    /// Whether it lets one process in at a time, and so may keep a process waiting.
    #[must_use]
    pub fn is_mutex(self) -> bool {
        match self {
            Self::None | Self::Exclusive => false,
            Self::Fcntl | Self::Pthread => true,
        }
    }
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Exclusive => "exclusive",
            Self::Fcntl => "fcntl",
            Self::Pthread => "pthread",
        })
    }
}

/// One mechanism.
pub trait Gate: Send + Sync {
    /// Waits until this process may wait for connections.
    ///
    /// # Errors
    /// The mechanism failed; the child should end and let another one try.
    fn enter(&self) -> io::Result<Entered>;

    /// Lets the next one in.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    fn leave(&self) -> io::Result<()>;

    /// How the kernel should wake those who wait for connections.
    fn wakeups(&self) -> Wakeups {
        Wakeups::Everyone // A mutex lets one wait at a time, who then is everyone.
    }
}

/// How a process came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The gate was free, or its holder left it.
    Normally,
    /// The last holder died inside.
    AfterDeath,
}

/// Whom the kernel wakes for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeups {
    /// All who wait.
    Everyone,
    /// One of them (EPOLLEXCLUSIVE).
    One,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [GateKind; 4] =
        [GateKind::None, GateKind::Exclusive, GateKind::Fcntl, GateKind::Pthread];

    #[test]
    fn every_gate_can_be_entered_and_left_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        for kind in ALL {
            let gate = kind.create(folder.path()).unwrap();
            for _ in 0..3 {
                assert_eq!(gate.enter().unwrap(), Entered::Normally, "{kind}");
                gate.leave().unwrap();
            }
        }
    }

    #[test]
    fn lock_files_leave_no_name_behind() {
        let folder = tempfile::tempdir().unwrap();
        for kind in ALL {
            drop(kind.create(folder.path()).unwrap());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
