//! How each child fares at the gate: how often it went in, how often somebody was in the way, and for how long.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use herdgate_sys as sys;

use super::add;
use crate::gate::waits;

sys::shared! {
    /// How one child fares at the gate. Written by its thread that goes there.
    #[repr(C, align(64))]
    pub struct GateRecord {
        /// Times that it went in.
        pub acquisitions: AtomicU64,
        /// Times that somebody was in the way, so that it had to wait.
        pub contended: AtomicU64,
        /// Times that it found the gate left open by somebody who had died inside.
        pub after_death: AtomicU64,
        /// All that it waited, in microseconds.
        pub waited_micros: AtomicU64,
        /// Waits by length: see [`waits`].
        pub waits: [AtomicU64; waits::BUCKETS],
    }
}

impl GateRecord {
    /// It went in at once.
    pub(crate) fn entered(&self) {
        add(&self.acquisitions, 1);
    }

    /// It went in after a wait.
    pub(crate) fn entered_after(&self, wait: Duration) {
        self.entered();
        add(&self.contended, 1);
        add(&self.waited_micros, u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
        add(&self.waits[waits::bucket(wait)], 1);
    }

    pub(super) fn clear(&self) {
        let counters =
            [&self.acquisitions, &self.contended, &self.after_death, &self.waited_micros];
        for counter in counters.into_iter().chain(&self.waits) {
            counter.store(0, Relaxed);
        }
    }
}
