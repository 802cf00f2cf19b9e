//! The children: a record for each place, cleared when a child takes it, and given back when it is gone.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};

use herdgate_sys as sys;

use super::{Scoreboard, State, seqlock};
use crate::Moment;

sys::shared! {
    /// One child process. `pid`, `generation` and `finishing` are the supervisor's, the rest is the child's.
    #[repr(C, align(64))]
    pub struct ChildRecord {
        /// Its process id, 0 while the place is free. For display only.
        pub pid: AtomicI32,
        /// The generation that it belongs to.
        pub generation: AtomicU32,
        /// 1 once it was told to finish.
        pub finishing: AtomicU32,
        /// 1 once it has decided to finish by itself, after its share of connections. Written by the child.
        pub retiring: AtomicU32,
        /// 1 while it takes no new connections for lack of room.
        pub not_accepting: AtomicU32,
        /// Connections accepted.
        pub accepted: AtomicU64,
        /// Times that it was woken for a connection and found none.
        pub wakeups_wasted: AtomicU64,
        /// Event: open connections.
        pub connections: AtomicU32,
        /// Event: connections whose request is awaited or coming in.
        pub parked_request: AtomicU32,
        /// Event: connections whose answer is on its way.
        pub parked_response: AtomicU32,
        /// Event: connections between two requests.
        pub parked_idle: AtomicU32,
        /// Event: connections in lingering close.
        pub parked_linger: AtomicU32,
        /// Event: jobs that run or wait for a thread.
        pub jobs: AtomicU32,
        /// Event: milliseconds that its loop has spent waiting.
        pub loop_waited_ms: AtomicU64,
        /// Event: since when its loop waits, in milliseconds of the coarse monotonic clock; 0 while it works.
        pub loop_waits_since_ms: AtomicU64,
        /// Requests refused since their client asked faster than it may; counted on through all children of the place.
        pub requests_refused: AtomicU64,
        /// 0 away from the gate, 1 queued at it, 2 inside: whoever must be woken at a mutex is inside.
        pub at_gate: AtomicU32,
    }
}

impl ChildRecord {
    /// A request was refused. Any thread of the child may say so, and none does so often that the lock would cost much.
    pub fn count_refused_request(&self) {
        self.requests_refused.fetch_add(1, Relaxed);
    }
}

impl Scoreboard {
    /// Before the fork: the child's place is taken, and its workers are starting.
    pub(crate) fn child_starts(&self, child: usize, generation: u32, workers: usize, now: Moment) {
        let record = &self.children()[child];
        record.generation.store(generation, Relaxed);
        for counter in [&record.accepted, &record.wakeups_wasted, &record.loop_waited_ms] {
            counter.store(0, Relaxed);
        }
        record.loop_waits_since_ms.store(0, Relaxed);
        self.gates()[child].clear();
        self.clear_gauges(child);
        for slot in &self.slots(child)[..workers] {
            slot.generation.store(generation, Relaxed);
            slot.requests_here.store(0, Relaxed);
            slot.bytes_here.store(0, Relaxed);
            slot.cpu_centisecs.store(0, Relaxed);
            slot.waits_for_client.store(0, Relaxed);
            slot.set_state(State::Starting, now);
        }
    }

    /// After the reap: nobody is here any more.
    pub(crate) fn child_ended(&self, child: usize, now: Moment) {
        self.children()[child].pid.store(0, Relaxed);
        self.clear_gauges(child);
        for (slot, detail) in self.slots(child).iter().zip(self.details(child)) {
            slot.set_state(State::Dead, now);
            seqlock::repair(&detail.sequence, &detail.words);
        }
    }

    fn clear_gauges(&self, child: usize) {
        let record = &self.children()[child];
        for gauge in [
            &record.finishing,
            &record.retiring,
            &record.not_accepting,
            &record.connections,
            &record.parked_request,
            &record.parked_response,
            &record.parked_idle,
            &record.parked_linger,
            &record.jobs,
            &record.at_gate,
        ] {
            gauge.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Scoreboard {
        Scoreboard::create(None, 3, 2).unwrap()
    }

    #[test]
    fn a_writer_that_died_half_way_is_repaired_by_the_supervisor() {
        let board = board();
        board.details(0)[0].sequence.store(7, Relaxed);
        assert_eq!(board.description(0, 0), None);
        board.child_ended(0, Moment::now());
        assert!(board.description(0, 0).is_some());
    }
}
