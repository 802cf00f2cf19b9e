//! What people are told.

use std::fmt;
use std::io;
use std::time::Duration;

use herdgate_sys as sys;
use sys::process::{End, Pid};
use sys::signals::Signal;

use crate::saturation::{QueueWaits, Work};
use crate::settings::Kept;

/// What the supervisor tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// Children were started: the server serves. Said at start and after each restart.
    Resuming,
    /// A graceful restart was asked for.
    GracefulRestart,
    /// A restart was asked for that does not wait for connections.
    HardRestart,
    /// The new configuration cannot be used: the old one stays.
    ReloadFailed(&'a str),
    /// The plan that was prepared last is in force: children of the new generation are about to start.
    Reloaded {
        /// What it asks for in vain, until the server is stopped and started.
        kept: &'a [Kept],
    },
    /// The end was asked for, gracefully.
    GracefulStop(Signal),
    /// The end was asked for, at once. The signal says by what.
    Stop(Signal),
    /// A graceful stop took longer than it may.
    GracefulStopTimedOut,
    /// A child ended unasked.
    ChildDied {
        /// Its process id.
        pid: Pid,
        /// How.
        end: End,
    },
    /// Children keep dying right after their start: the next attempt is made after a pause.
    ChildrenDieYoung {
        /// The pause.
        pause: Duration,
    },
    /// All workers that the limit allows are there, and more are needed. Said once in a server's life.
    LimitReached,
    /// More children are needed and allowed, but those that finish hold all places.
    ScoreboardFull,
    /// Children are started so fast that the spare settings are worth a look.
    SeemsBusy {
        /// How many are started now.
        spawning: u32,
        /// Idle workers.
        idle: u32,
        /// Children.
        total: u32,
    },
    /// All workers are busy, since a second or so.
    Saturated(&'a Work),
    /// There are idle workers again.
    SaturationOver {
        /// After so long.
        lasted: Duration,
        /// How long clients waited meanwhile.
        waits: QueueWaits,
    },
    /// A child has more memory than `MaxMemoryPerChild`, and is replaced.
    ChildTooLarge {
        /// Its process id.
        pid: Pid,
        /// Its anonymous and swapped memory.
        bytes: u64,
    },
    /// The most children, computed from what children measure, is another than before.
    LimitByMemory {
        /// What all children together may have, in bytes.
        budget: u64,
        /// The 95th percentile of the children's sizes, with what the kernel keeps for them.
        child_bytes: u64,
        /// How many of them fit, before `ServerLimit` cuts it.
        fit: u32,
        /// The most children that take connections.
        children: u32,
        /// The most workers.
        workers: u32,
    },
    /// Our binary was started anew, to take over.
    UpgradeBegun(Pid),
    /// It could not be started, or it could not serve: we go on.
    UpgradeFailed(&'a str),
    /// It serves: we finish.
    Upgraded(Pid),
    /// A child could not be forked.
    ForkFailed(&'a io::Error),
    /// A child did not go when told, and is killed.
    Killed(Pid),
    /// A child died inside the gate, which the kernel does not repair: it is open again.
    GateRepaired(Pid),
    /// A child died, and whether it has left the gate shut cannot be told.
    GateNotRepaired(&'a io::Error),
}

/// What a child tells, through its service ([`Service::notice`](crate::Service::notice)).
#[derive(Debug)]
#[non_exhaustive]
pub enum ChildNotice<'a> {
    /// No descriptor or no memory for a new connection, which stays in the kernel's queue meanwhile.
    Shortage(&'a io::Error),
    /// Only the reserve of descriptors is left, for files and logs: new connections stay in the kernel's queue meanwhile.
    FewDescriptors,
    /// The accept mutex was found held by a dead process, and taken over.
    GateHolderDied,
    /// Something that the child cannot do without has failed: it ends, and another one takes its place.
    Failed(&'a io::Error),
    /// The service's code panicked: a connection was lost.
    Panicked,
    /// A job thread could not be started.
    NoThread(&'a io::Error),
}

/// Why the server could not start.
#[derive(Debug)]
pub struct StartError {
    /// What was being done.
    pub doing: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.source)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
