//! How many connections may come in: Apache's two limits, and what "busy" means for a loop.
//!
//! ```text
//!   busy threads   = the greater of: jobs at work, ThreadsPerChild × the share of the last second without waiting
//!   jobs at work   < ThreadsPerChild
//!   connections    < ThreadsPerChild + idle threads × AsyncRequestWorkerFactor      (those that linger not counted)
//! ```
//!
//! - When the connections are too many, the longest idle ones are asked to go before new ones are kept out.

use std::time::Duration;

use super::EventLoop;
use crate::scoreboard::Ending;
use crate::{Moment, Phase, Service, Why};

/// How often idle connections may be asked to go for lack of room.
const SHED_EVERY: Duration = Duration::from_millis(100);
/// The loop's share of work is measured over this time.
pub(super) const SHARE_WINDOW: Duration = Duration::from_secs(1);

impl<S: Service> EventLoop<'_, '_, S> {
    /// How many more may come in.
    pub(super) fn room(&self) -> u32 {
        let threads = self.child.settings.threads_per_child;
        self.room_with(self.load.busy_threads(threads, self.jobs_outstanding))
    }

    /// How many more could come in if the loop had time for them.
    pub(super) fn room_but_for_its_load(&self) -> u32 {
        self.room_with(self.jobs_outstanding)
    }

    fn room_with(&self, busy: u32) -> u32 {
        let settings = self.child.settings;
        let threads = settings.threads_per_child;
        if self.jobs_outstanding >= threads {
            return 0;
        }
        let idle = threads.saturating_sub(busy);
        let active = self.parked.len() - self.parked.in_phase(Phase::Linger);
        threads.saturating_add(idle.saturating_mul(settings.async_factor)).saturating_sub(active)
    }

    /// Asks the longest idle connections to go.
    pub(super) fn shed_idle(&mut self, now: Moment) {
        if self.parked.in_phase(Phase::Idle) == 0 || now < self.next_shedding {
            return;
        }
        self.next_shedding = now + SHED_EVERY;
        for key in self.parked.choose_to_shed() {
            self.seat.slot.count_ending(Ending::Shed);
            self.advance(key, Why::Shed, now);
        }
    }
}

/// Measures which share of the last second the loop did not wait.
#[derive(Debug)]
pub(super) struct LoadMeter {
    window_start: Moment,
    waited: Duration,
    /// Of the last complete window, in thousandths.
    busy_permille: u32,
}

impl LoadMeter {
    pub(super) fn new(now: Moment) -> Self {
        Self { window_start: now, waited: Duration::ZERO, busy_permille: 0 }
    }

    pub(super) fn waited(&mut self, from: Moment, to: Moment) {
        self.waited += to.since(from);
        let window = to.since(self.window_start);
        if window >= SHARE_WINDOW {
            self.busy_permille = busy_permille(window, self.waited);
            *self = Self { window_start: to, waited: Duration::ZERO, ..*self };
        }
    }

    fn busy_threads(&self, threads: u32, jobs: u32) -> u32 {
        jobs.max(threads * self.busy_permille / 1000).min(threads)
    }
}

/// The share of a window that was not spent waiting, in thousandths.
pub(crate) fn busy_permille(window: Duration, waited: Duration) -> u32 {
    let busy = window.saturating_sub(waited);
    u32::try_from(busy.as_micros() * 1000 / window.as_micros().max(1)).unwrap_or(1000).min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_the_share_of_time_not_waited() {
        let at = |ms| Moment::from_start(Duration::from_millis(ms));
        let mut meter = LoadMeter::new(at(0));
        assert_eq!(meter.busy_threads(25, 3), 3);
        meter.waited(at(100), at(600));
        meter.waited(at(900), at(1000));
        assert_eq!(meter.busy_permille, 400);
        assert_eq!(meter.busy_threads(25, 3), 10);
        assert_eq!(meter.busy_threads(25, 90), 25);
    }
}
