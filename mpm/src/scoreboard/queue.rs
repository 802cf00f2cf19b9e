//! How long connections wait in the kernel's queues before a child accepts them.
//!
//! ```text
//!   handshake ──▶ kernel's queue ──accept──▶ some are asked: TCP_INFO ──▶ QueueRecord of the child's place
//!                 └── length, looked at each second ──▶ Global::queue_wait_ms ──▶ the mean wait, by Little's law
//! ```
//!
//! - The wait is the connection's own: from the end of its handshake, known to the kernel, to the accept. Nobody has
//!   to have watched it. Local sockets do not know it.
//! - One in 16 connections costs a system call, and those that come after a pause: ten a second at most. So a busy child
//!   pays next to nothing, and one whose few clients wait long for it misses none of them.
//! - Counted for the place, not for the child: the next child of a place counts on, through all generations.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use herdgate_sys as sys;

use super::{Scoreboard, add};
use crate::Moment;
use crate::gate::waits;

/// Of so many connections that a child accepts, the first is asked how long it has waited.
const ASKED_EVERY: u64 = 16;
/// So is who comes so long after the last one that was asked.
const ASKED_EVERY_MS: u64 = 100;

sys::shared! {
    /// How long connections had waited that the children of one place accepted, of those that were asked. Written by
    /// the child's thread that accepts.
    #[repr(C, align(64))]
    pub struct QueueRecord {
        /// Connections asked since the server's start: the first of each 16 that a child accepts, and those that come
        /// a tenth of a second or more after the last one asked.
        pub asked: AtomicU64,
        /// All that they had waited, in microseconds, though the kernel's clock ticks in milliseconds.
        pub waited_micros: AtomicU64,
        /// When a connection was asked last, in milliseconds of the coarse monotonic clock.
        pub asked_ms: AtomicU64,
        /// Waits by length, as at the gate: see [`waits`].
        pub waits: [AtomicU64; waits::BUCKETS],
    }
}

impl QueueRecord {
    /// Whether the connection that a child has just accepted should be asked; `earlier` ones came before it.
    pub(crate) fn is_asked(&self, earlier: u64, now: Moment) -> bool {
        let last = self.asked_ms.load(Relaxed);
        earlier.is_multiple_of(ASKED_EVERY) || now.millis() >= last + ASKED_EVERY_MS
    }

    /// A connection was let in after this wait.
    pub(crate) fn left_after(&self, wait: Duration, now: Moment) {
        self.asked_ms.store(now.millis(), Relaxed);
        add(&self.asked, 1);
        add(&self.waited_micros, u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
        add(&self.waits[waits::bucket(wait)], 1);
    }
}

/// What the scoreboard knows of the queue at one moment: two of them tell about the time between.
#[derive(Clone, Debug)]
pub(crate) struct QueueLook {
    /// Connections that were asked since the server's start, by how long they had waited: see [`waits`].
    pub(crate) waits: [u64; waits::BUCKETS],
    /// [`Global::queue_wait_ms`](super::Global::queue_wait_ms).
    pub(crate) wait_ms: u64,
    /// Connections served since the server's start.
    pub(crate) connections: u64,
}

impl Scoreboard {
    pub(crate) fn look_at_queue(&self) -> QueueLook {
        let mut waits = [0; waits::BUCKETS];
        for record in self.queues().iter().filter(|record| record.asked.load(Relaxed) > 0) {
            for (sum, count) in waits.iter_mut().zip(&record.waits) {
                *sum += count.load(Relaxed);
            }
        }
        let slots = (0..self.children().len()).flat_map(|child| self.slots(child));
        QueueLook {
            waits,
            wait_ms: self.global().queue_wait_ms.load(Relaxed),
            connections: slots.map(|slot| slot.connections.load(Relaxed)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_counted_on_through_all_children_of_all_places() {
        let board = Scoreboard::create(None, 3, 2).unwrap();
        let wait = Duration::from_millis(20);
        for generation in 0..2 {
            board.child_starts(1, generation, 2, Moment::now());
            board.queues()[1].left_after(wait, Moment::now());
            board.child_ended(1, Moment::now());
        }
        board.queues()[2].left_after(Duration::ZERO, Moment::now());
        let all = board.look_at_queue().waits;
        assert_eq!((all[0], all[waits::bucket(wait)], all.iter().sum::<u64>()), (1, 2, 3));
        assert_eq!(board.queues()[1].waited_micros.load(Relaxed), 40_000);
    }

    #[test]
    fn one_in_sixteen_is_asked_and_who_comes_after_a_pause() {
        let board = Scoreboard::create(None, 1, 1).unwrap();
        let at = |ms| Moment::from_start(Duration::from_millis(ms));
        let record = &board.queues()[0];
        record.left_after(Duration::ZERO, at(5000));
        let asked = |now: Moment| (0..40).filter(|nth| record.is_asked(*nth, now)).count();
        assert_eq!((asked(at(5000)), asked(at(5099)), asked(at(5100))), (3, 3, 40));
    }
}
