//! Whose queue is whose: children are spread over the buckets, and listeners are given up when nobody waits any more.

use std::time::Duration;

use herdgate_sys as sys;
use sys::signals::Signal;

use super::{DRAIN_LOOK_EVERY, Program, Supervisor};
use crate::Moment;
use crate::listen::{Listener, Listeners};
use crate::maintenance::Load;

/// How long the queues of listeners that are given up may take to run dry.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

impl<P: Program> Supervisor<P> {
    /// How many children of this generation each bucket has that take connections.
    pub(super) fn bucket_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.generation.plan.listeners.buckets()];
        for child in self.children.iter().flatten() {
            if !child.is_finishing() && child.generation == self.generation.number {
                counts[child.bucket] += 1;
            }
        }
        counts
    }

    /// Where the next child belongs: no bucket may be without one for long, nor without an idle worker.
    pub(super) fn poorest_bucket(&self) -> usize {
        let counts = self.bucket_counts();
        let wealth = |bucket: &usize| {
            (counts[*bucket].min(1), self.idle_by_bucket[*bucket], counts[*bucket])
        };
        (0..counts.len()).min_by_key(wealth).unwrap_or(0)
    }

    /// For each bucket, how many children those need who wait in its queue, and for whom nobody is idle.
    pub(super) fn children_wanted(&self, loads: &[Load]) -> Vec<u32> {
        let threads = self.settings().threads_per_child;
        let wanted = |(bucket, load): (usize, &Load)| {
            self.waiting_in(bucket).saturating_sub(load.idle).div_ceil(threads)
        };
        loads.iter().enumerate().map(wanted).collect()
    }

    /// How many connections wait in a bucket's queues.
    fn waiting_in(&self, bucket: usize) -> u32 {
        let listeners = self.generation.plan.listeners.bucket(bucket);
        let queues = listeners.iter().filter_map(|(_, listener)| listener.queue().ok());
        queues.map(|queue| queue.waiting).sum()
    }

    /// Closes the listeners that only the former generation had, once its children have taken who waits there.
    pub(super) fn give_up(&mut self, former: &Listeners) {
        let next = self.generation.plan.listeners.clone();
        if former.without(&next).next().is_none() {
            return;
        }
        former.without(&next).for_each(Listener::close_the_queue);
        self.wait_until_drained(|| former.without(&next).all(Listener::is_drained));
        next.close_others(former);
    }

    /// Gives handshakes that have begun the time to end, and children the time to take what is queued.
    pub(super) fn wait_until_drained(&mut self, is_drained: impl Fn() -> bool) {
        let until = Moment::now() + DRAIN_PATIENCE;
        let mut drained_before = false;
        while Moment::now() < until {
            match self.wait_for_signal(until.min(Moment::now() + DRAIN_LOOK_EVERY), None) {
                Some(Signal::SIGCHLD) => drop(self.reap()),
                signal => self.postpone(signal),
            }
            // Twice in a row: what is on its way needs a moment to arrive.
            let drained = is_drained();
            if drained && drained_before {
                return;
            }
            drained_before = drained;
        }
    }
}
