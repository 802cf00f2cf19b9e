//! Demand: how a worker that serves wakes the supervisor, which forks.
//!
//! ```text
//!   worker:      busy ─▶ one idle less ─▶ the last of its bucket?  awaited? ─▶ wakes the supervisor, once
//!   supervisor:  awaits ─▶ counts idle workers ─▶ sets the number right ─▶ forks, or has others help ─▶ still awaits?
//! ```
//!
//! - The number of idle workers is a hint. A wrong one costs a look too many or, at worst, the wait for the next second.
//! - It is never too high for long: the supervisor adds what it finds wrong, instead of writing what it has counted, so
//!   that whoever is taken while it counts is not forgotten; and a worker says that it is busy before it counts itself
//!   out, so that it is counted out twice rather than not at all.
//! - One for each bucket and generation: those who finish do not disturb those who begin.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

use herdgate_sys as sys;
use sys::shared::SharedMapping;

sys::shared! {
    /// One bucket's.
    #[repr(C, align(64))]
    pub(crate) struct Hint {
        /// About how many workers are idle. Written by the workers of prefork and worker, and by the supervisor.
        idle_workers: AtomicI32,
        /// 1: whoever takes the last idle worker wakes the supervisor, and makes it 0.
        awaited: AtomicU32,
    }
}

impl Hint {
    /// A worker is idle no more. Says whether the supervisor must be woken for it.
    pub(crate) fn take_worker(&self) -> bool {
        self.idle_workers.fetch_sub(1, Relaxed) <= 1 && self.is_awaited()
    }

    /// A worker is idle again.
    pub(crate) fn give_worker_back(&self) {
        self.idle_workers.fetch_add(1, Relaxed);
    }

    /// Whether the supervisor waits to be woken. Once until it has looked, so that a saturated server does not pay for
    /// it with each connection.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.load(Relaxed) == 1 && self.awaited.swap(0, Relaxed) == 1
    }

    /// The supervisor begins to count. What happens from now on wakes it.
    pub(crate) fn begin_to_count(&self) -> i32 {
        self.awaited.store(1, Relaxed);
        self.idle_workers.load(Relaxed)
    }

    /// It has counted so many idle workers since the hint said `noted`.
    pub(crate) fn set_right(&self, noted: i32, idle: u32) {
        let idle = i32::try_from(idle).unwrap_or(i32::MAX);
        self.idle_workers.fetch_add(idle.saturating_sub(noted), Relaxed);
    }

    /// Workers that a fork has brought.
    pub(crate) fn add_workers(&self, count: u32) {
        self.idle_workers.fetch_add(i32::try_from(count).unwrap_or(i32::MAX), Relaxed);
    }

    /// Nothing could be done about it: nobody needs to wake the supervisor.
    pub(crate) fn await_nothing(&self) {
        self.awaited.store(0, Relaxed);
    }
}

/// The hints of a generation, in memory that its children share.
#[derive(Debug)]
pub(crate) struct Demand {
    mapping: SharedMapping,
    buckets: usize,
}

impl Demand {
    pub(crate) fn new(buckets: usize) -> io::Result<Self> {
        let mapping = SharedMapping::anonymous(buckets * size_of::<Hint>())?;
        mapping.slice::<Hint>(0, buckets)?;
        Ok(Self { mapping, buckets })
    }

    /// One for each bucket.
    pub(crate) fn hints(&self) -> &[Hint] {
        self.mapping
            .slice(0, self.buckets)
            .expect("fits: it was asked for when the memory was made")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(idle: u32) -> Demand {
        let demand = Demand::new(2).unwrap();
        demand.hints()[1].add_workers(idle);
        demand
    }

    #[test]
    fn who_takes_the_last_worker_wakes_the_supervisor_once_until_it_has_looked() {
        let demand = hint(2);
        let hint = &demand.hints()[1];
        assert_eq!(hint.begin_to_count(), 2);
        assert_eq!(
            [hint.take_worker(), hint.take_worker(), hint.take_worker()],
            [false, true, false]
        );
        hint.give_worker_back();
        assert!(!hint.take_worker(), "it has been woken already");
        assert_eq!(hint.begin_to_count(), -1);
        assert!(hint.take_worker());
        hint.begin_to_count();
        hint.await_nothing();
        assert!(!hint.take_worker());
    }

    #[test]
    fn who_is_taken_while_the_supervisor_counts_is_not_forgotten() {
        let demand = hint(0);
        let hint = &demand.hints()[1];
        let noted = hint.begin_to_count();
        assert!(hint.take_worker()); // Of two that are idle, and unknown to the hint.
        hint.set_right(noted, 2);
        hint.begin_to_count();
        assert!(hint.take_worker(), "that was the last one");
    }
}
