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
//!
//!   counted     ┌ child child ┐ ┌ queue: child ┐  N wait for all listeners: a herd of N, and N that can accept
//!               └   inside    ┘                   at once
//! ```
//!
//! The supervisor makes a [`Gate`] before it forks; each child takes a [`Pass`] of its own from it, and one thread
//! goes in and out with that.
//!
//! | mechanism | is | who opens it when its holder dies inside |
//! |---|---|---|
//! | pthread | a robust mutex in shared memory | the kernel, and tells the next one |
//! | fcntl | a record lock on a file | the kernel |
//! | flock | a lock on an open file, opened anew by each child | the kernel, with the last descriptor |
//! | sysvsem | a semaphore in the kernel | the kernel (`SEM_UNDO`) |
//! | posixsem | a semaphore in shared memory | nobody: so the supervisor does ([`Gate::child_died`]) |
//!
//! - Whoever dies inside leaves the gate open to the next one.
//! - Nobody holds the gate while serving: it is left as soon as a connection is in hand.
//! - One thread of a process goes to the gate; the others never see it.
//! - What a mechanism leaves in the system goes when the supervisor drops the gate, and in the supervisor only: a child
//!   has a copy, whose end means nothing.

mod fcntl;
mod file;
mod flock;
mod open;
mod posixsem;
mod pthread;
mod sysvsem;
pub mod waits;

use std::fmt;
use std::io;
use std::sync::OnceLock;

use crate::Settings;

/// What stands before accept: `AcceptSerialization` and `Mutex … mpm-accept` together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GateKind {
    /// Nothing: every waiting process wakes for every connection.
    None,
    /// The kernel wakes one of the waiting processes.
    Exclusive,
    /// An accept mutex: one process inside.
    Mutex(Mechanism),
    /// So many processes inside at once.
    Counted {
        /// How many: from 1 to [`PLACES_MAX`].
        places: u16,
        /// What counts them.
        semaphore: Semaphore,
    },
}

/// The most processes that a counted gate can let in: a System V semaphore counts no further.
pub const PLACES_MAX: u16 = 32767;

/// How an accept mutex is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// A robust, process-shared pthread mutex.
    Pthread,
    /// A record lock on a file.
    Fcntl,
    /// A lock on an open file.
    Flock,
    /// A semaphore.
    Semaphore(Semaphore),
}

/// The two semaphores, which can count further than to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Semaphore {
    /// System V's: in the kernel, which gives a dead process's place back.
    Sysv,
    /// POSIX's: in shared memory; the supervisor gives a dead child's place back.
    Posix,
}

impl GateKind {
    /// Makes the gate. The supervisor does so before it forks; children inherit it.
    ///
    /// # Errors
    /// A lock file cannot be made in the folder of the settings, or the kernel refuses the mechanism.
    pub fn create(self, settings: &Settings) -> io::Result<Box<dyn Gate>> {
        Ok(match self {
            Self::None => Box::new(open::NoGate),
            Self::Exclusive => Box::new(open::ExclusiveWakeups),
            Self::Mutex(Mechanism::Pthread) => Box::new(pthread::PthreadMutex::create()?),
            Self::Mutex(Mechanism::Fcntl) => Box::new(fcntl::FcntlMutex::create(settings)?),
            Self::Mutex(Mechanism::Flock) => Box::new(flock::FlockMutex::create(settings)?),
            Self::Mutex(Mechanism::Semaphore(semaphore)) => semaphore.create(1, settings)?,
            Self::Counted { places, semaphore } => semaphore.create(places, settings)?,
        })
    }

    /// Whether it may keep a process waiting that is then not woken by connections or orders.
    #[must_use]
    pub fn keeps_waiting(self) -> bool {
        match self {
            Self::None | Self::Exclusive => false,
            Self::Mutex(_) | Self::Counted { .. } => true,
        }
    }
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Exclusive => f.write_str("exclusive"),
            Self::Mutex(mechanism) => mechanism.fmt(f),
            Self::Counted { places, semaphore } => write!(f, "{places} by {semaphore}"),
        }
    }
}

impl Mechanism {
    /// What `default` means on this machine: a pthread mutex if it survives its holder, which is tried; else, in
    /// Apache's order, what there is. Tried once in a process's life: a thread dies for it.
    #[must_use]
    pub fn default_here() -> Self {
        static HERE: OnceLock<Mechanism> = OnceLock::new();
        *HERE.get_or_init(|| {
            if pthread::survives_its_holder() {
                Self::Pthread
            } else if sysvsem::exists() {
                Self::Semaphore(Semaphore::Sysv)
            } else {
                Self::Fcntl
            }
        })
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pthread => f.write_str("pthread"),
            Self::Fcntl => f.write_str("fcntl"),
            Self::Flock => f.write_str("flock"),
            Self::Semaphore(semaphore) => semaphore.fmt(f),
        }
    }
}

impl Semaphore {
    /// What a counted gate is made of on this machine, unless people say: the one that the kernel repairs, if it has it.
    #[must_use]
    pub fn default_here() -> Self {
        if sysvsem::exists() { Self::Sysv } else { Self::Posix }
    }

    fn create(self, places: u16, settings: &Settings) -> io::Result<Box<dyn Gate>> {
        if !(1..=PLACES_MAX).contains(&places) {
            let message = format!("a gate has from 1 to {PLACES_MAX} places, not {places}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(match self {
            Self::Sysv => Box::new(sysvsem::SysvGate::create(places, settings)?),
            Self::Posix => Box::new(posixsem::PosixGate::create(places)?),
        })
    }
}

impl fmt::Display for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sysv => "sysvsem",
            Self::Posix => "posixsem",
        })
    }
}

/// One mechanism, as the supervisor sees it.
pub trait Gate: Send + Sync {
    /// The first thing in each child: what a sandbox may soon forbid to open is opened now.
    ///
    /// # Errors
    /// As [`pass`](Self::pass).
    fn child_begins(&self) -> io::Result<()> {
        Ok(())
    }

    /// A child's own way in and out. Taken after the fork, by the thread that goes to the gate.
    ///
    /// # Errors
    /// The child cannot open what the mechanism needs.
    fn pass(&self) -> io::Result<Box<dyn Pass + '_>>;

    /// A child of this gate has died, wherever it was, and was reaped just now: what the kernel does not repair is
    /// repaired here, by the supervisor. Says whether the child had died inside.
    ///
    /// # Errors
    /// The mechanism failed.
    fn child_died(&self, _pid: i32) -> io::Result<bool> {
        Ok(false)
    }

    /// How the kernel should wake those who wait for connections.
    fn wakeups(&self) -> Wakeups {
        Wakeups::Everyone // Of those inside. A mutex lets one in, who then is everyone.
    }
}

/// One child's way through the gate.
pub trait Pass {
    /// Goes in if nobody is in the way; `None` if somebody is.
    ///
    /// # Errors
    /// The mechanism failed; the child should end and let another one try.
    fn try_enter(&mut self) -> io::Result<Option<Entered>>;

    /// Waits until there is room, and goes in. No signal interrupts it.
    ///
    /// # Errors
    /// As [`try_enter`](Self::try_enter).
    fn enter(&mut self) -> io::Result<Entered>;

    /// Goes out, and lets the next one in.
    ///
    /// # Errors
    /// As [`try_enter`](Self::try_enter).
    fn leave(&mut self) -> io::Result<()>;
}

/// How a process came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The gate was free, or its holder left it.
    Normally,
    /// The last holder died inside. Only some mechanisms tell.
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

/// Repeats a wait that a signal cut short.
fn uninterrupted<T>(mut wait: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match wait() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    const ALL: [GateKind; 9] = [
        GateKind::None,
        GateKind::Exclusive,
        GateKind::Mutex(Mechanism::Pthread),
        GateKind::Mutex(Mechanism::Fcntl),
        GateKind::Mutex(Mechanism::Flock),
        GateKind::Mutex(Mechanism::Semaphore(Semaphore::Sysv)),
        GateKind::Mutex(Mechanism::Semaphore(Semaphore::Posix)),
        GateKind::Counted { places: 3, semaphore: Semaphore::Sysv },
        GateKind::Counted { places: 3, semaphore: Semaphore::Posix },
    ];

    fn settings() -> (Settings, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { lock_dir: folder.path().to_owned(), ..Settings::new(Model::Prefork) };
        (settings, folder)
    }

    #[test]
    fn every_gate_can_be_entered_and_left_again_and_again() {
        let (settings, _folder) = settings();
        for kind in ALL {
            let gate = kind.create(&settings).unwrap();
            let mut pass = gate.pass().unwrap();
            for _ in 0..3 {
                assert_eq!(pass.enter().unwrap(), Entered::Normally, "{kind}");
                pass.leave().unwrap();
                assert_eq!(pass.try_enter().unwrap(), Some(Entered::Normally), "{kind}");
                pass.leave().unwrap();
            }
        }
    }

    #[test]
    fn as_many_get_in_as_there_are_places() {
        let (settings, _folder) = settings();
        for kind in ALL {
            let places: usize = match kind {
                GateKind::None | GateKind::Exclusive => usize::MAX,
                GateKind::Mutex(_) => 1,
                GateKind::Counted { places, .. } => places.into(),
            };
            // A process shares its fcntl locks, so that only other processes are kept out by them.
            if kind == GateKind::Mutex(Mechanism::Fcntl) {
                continue;
            }
            let gate = kind.create(&settings).unwrap();
            let mut passes: Vec<_> = (0..5).map(|_| gate.pass().unwrap()).collect();
            for (number, pass) in passes.iter_mut().enumerate() {
                assert_eq!(pass.try_enter().unwrap().is_some(), number < places, "{kind} {number}");
            }
            passes[0].leave().unwrap();
            assert!(passes[4].try_enter().unwrap().is_some(), "{kind}");
        }
    }

    #[test]
    fn lock_files_leave_no_name_behind() {
        let (settings, folder) = settings();
        for kind in ALL {
            drop(kind.create(&settings).unwrap());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_gate_without_places_is_refused() {
        let (settings, _folder) = settings();
        for places in [0, PLACES_MAX + 1] {
            for semaphore in [Semaphore::Sysv, Semaphore::Posix] {
                let result = GateKind::Counted { places, semaphore }.create(&settings);
                assert_eq!(result.err().unwrap().kind(), io::ErrorKind::InvalidInput);
            }
        }
    }

    #[test]
    fn a_pthread_mutex_survives_its_holder_here() {
        assert!(pthread::survives_its_holder(), "Linux with any of its two C libraries");
        assert_eq!(Mechanism::default_here(), Mechanism::Pthread);
    }
}
