//! The server as a whole: who supervises it, how far it is in its life, and how many children it may have.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};

use herdgate_sys as sys;

use super::reader::Reader;
use super::{Scoreboard, life};
use crate::{Moment, Settings};

sys::shared! {
    /// The server as a whole. Written by the supervisor.
    #[repr(C, align(64))]
    pub struct Global {
        /// The supervisor's process id.
        pub pid: AtomicI32,
        /// The generation that takes new connections; the first is 0.
        pub generation: AtomicU32,
        /// [`Model`](crate::Model) as a number: 0 prefork, 1 worker, 2 event.
        pub model: AtomicU32,
        /// Slots of each child.
        pub slots_per_child: AtomicU32,
        /// Start of the server, seconds since 1970.
        pub started_unix_secs: AtomicU64,
        /// Last start or restart, seconds since 1970.
        pub restarted_unix_secs: AtomicU64,
        /// Children forked since the start.
        pub children_forked: AtomicU64,
        /// Children that died without being told to.
        pub children_lost: AtomicU64,
        /// 1: the server stops gracefully, and no new generation follows.
        pub stopping: AtomicU32,
        /// When the supervisor looked around last, in milliseconds of the coarse monotonic clock: at least once a
        /// second while it is well.
        pub beat_ms: AtomicU64,
        /// When the supervisor's process began, in clock ticks since the machine's start (/proc/PID/stat, field 22):
        /// tells it from another process that was given its id.
        pub start_ticks: AtomicU64,
        /// The machine's present life: the first 8 bytes of the kernel's boot id.
        pub boot: AtomicU64,
        /// The inode of the supervisor's pid namespace (/proc/self/ns/pid): elsewhere its pid means nothing.
        pub pid_namespace: AtomicU64,
        /// A [`Stage`] as a number.
        pub stage: AtomicU32,
        /// Workers of each child; the slots beyond are for a later generation with more.
        pub threads_per_child: AtomicU32,
        /// The most children that may take new connections.
        pub children_max: AtomicU32,
        /// Connections that wait in the kernel's queues, of all listeners together, as of the last beat.
        pub queue_waiting: AtomicU32,
        /// How many of them the kernel would let wait.
        pub queue_limit: AtomicU32,
        /// How many waited, times the milliseconds since the look before, added up at each beat: divided by the
        /// connections of the same time, their mean wait (Little's law), which counts those in local sockets' queues.
        pub queue_wait_ms: AtomicU64,
    }
}

/// How far a server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Nobody serves yet.
    Starting = 0,
    /// It serves.
    Serving = 1,
    /// It finishes what it has, and takes nothing new.
    Finishing = 2,
    /// It has ended as it should.
    Over = 3,
}

impl Stage {
    pub(super) fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Starting,
            2 => Self::Finishing,
            3 => Self::Over,
            _ => Self::Serving, // What a later version may add between start and end.
        }
    }
}

impl Scoreboard {
    /// The supervisor, this very process, introduces itself.
    pub(crate) fn server_starts(&self, settings: &Settings, started_unix_secs: u64) {
        let global = self.global();
        let pid = sys::Pid::this().as_raw();
        global.pid.store(pid, Relaxed);
        global.start_ticks.store(life::start_ticks(pid).unwrap_or(0), Relaxed);
        global.boot.store(life::boot(), Relaxed);
        global.pid_namespace.store(life::pid_namespace(), Relaxed);
        global.model.store(settings.model as u32, Relaxed);
        global.slots_per_child.store(settings.slots_per_child(), Relaxed);
        global.started_unix_secs.store(started_unix_secs, Relaxed);
        self.beat(Moment::now());
    }

    /// The supervisor looks around.
    pub(crate) fn beat(&self, now: Moment) {
        self.global().beat_ms.store(now.millis(), Relaxed);
    }

    /// How far the server is.
    pub(crate) fn set_stage(&self, stage: Stage) {
        self.global().stage.store(stage as u32, Relaxed);
    }

    /// The server has ended as it should: nobody needs its file any more. A crash leaves it behind, to be read.
    pub(crate) fn retire_file(&self) {
        self.set_stage(Stage::Over);
        let Some(path) = self.mapping.path() else { return };
        // A successor may have put its own in the same place already: it was started while we finished.
        let global = self.global();
        let ours = Reader::open(path).map(|file| file.server()).is_ok_and(|server| {
            server.pid == global.pid.load(Relaxed)
                && server.start_ticks == global.start_ticks.load(Relaxed)
        });
        if ours {
            let _ = std::fs::remove_file(path); // Left behind, it is replaced at the next start.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    #[test]
    fn a_file_is_removed_at_the_end_unless_a_successor_has_put_its_own_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        let settings = Settings::new(Model::Event);
        let board = Scoreboard::create(Some(&path), 1, 1).unwrap();
        board.server_starts(&settings, 0);
        let successor = Scoreboard::create(Some(&path), 1, 1).unwrap();
        successor.global().pid.store(1, Relaxed);
        board.retire_file();
        assert!(path.exists(), "the successor's");
        successor.server_starts(&settings, 0);
        successor.retire_file();
        assert!(!path.exists());
    }
}
