//! Pacing: so many bytes a second and no more (mod_ratelimit), or no fewer (`MinSendRate`).
//!
//! ```text
//!   written ─▶ the kernel's buffer ─▶ the network ─▶ acknowledged: the client has taken it
//!   Pacer      what may be written now
//!   Patience   nothing taken for Timeout?   too little taken in a window of MinSendRate?
//! ```
//!
//! - What the client has taken is what its kernel has acknowledged. What fits into our kernel's buffer proves nothing, and
//!   a buffer that is still full does not mean that nothing was taken: it has room again only when a third of it is empty.
//! - Only a wait for the client counts. Who waits for our disk, or for its pace, is not slow.

use std::time::Duration;

use herdgate_mpm::Moment;
use herdgate_mpm::scoreboard::Ending;

use crate::modules::reqtimeout::SendRate;
use crate::response::Pace;

/// Apache's interval: what is allowed in a second leaves in five parts.
const INTERVAL: Duration = Duration::from_millis(200);

/// A pace that is being kept.
pub(super) struct Pacer {
    pace: Pace,
    begun: Moment,
}

impl Pacer {
    pub(super) fn new(pace: Pace, now: Moment) -> Self {
        Self { pace, begun: now }
    }

    /// How many bytes may leave now, if `gone` have left; or when that will be more than none.
    pub(super) fn allowance(&self, gone: u64, now: Moment) -> Result<u64, Moment> {
        let per_interval = self.bytes_per_interval();
        let passed = now.since(self.begun).as_millis() / INTERVAL.as_millis();
        let intervals = u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1);
        let allowed = per_interval.saturating_mul(intervals).saturating_add(self.pace.burst_bytes);
        if gone < allowed {
            return Ok(allowed - gone);
        }
        let missing = (gone - self.pace.burst_bytes) / per_interval;
        let wait = INTERVAL.saturating_mul(u32::try_from(missing).unwrap_or(u32::MAX));
        Err(self.begun + wait)
    }

    fn bytes_per_interval(&self) -> u64 {
        let intervals_per_sec = 1000 / INTERVAL.as_millis();
        let share = u128::from(self.pace.bytes_per_sec) / intervals_per_sec;
        u64::try_from(share).unwrap_or(u64::MAX).max(1)
    }
}

/// How long a client may keep its answer waiting.
pub(super) struct Patience {
    /// `Timeout`
    timeout: Duration,
    rate: SendRate,
    /// The client's doing so far; `None` while it does not keep us waiting.
    watched: Option<Watched>,
}

struct Watched {
    latest: Taken,
    /// When its silence has been too long.
    silent_until: Moment,
    /// The window in which it must take enough: what it had at its start, and its end.
    window: Option<(Taken, Moment)>,
}

/// What has gone to the kernel, and what of it the client has not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) gone: u64,
    pub(super) untaken: u64,
}

impl Taken {
    fn since(self, earlier: Self) -> u64 {
        (self.gone + earlier.untaken).saturating_sub(earlier.gone + self.untaken)
    }
}

impl Patience {
    pub(super) fn new(timeout: Duration, rate: SendRate) -> Self {
        Self { timeout, rate, watched: None }
    }

    /// It is not the client that we wait for.
    pub(super) fn excuse(&mut self) {
        self.watched = None;
    }

    /// We wait for the client: until when, or why no longer.
    pub(super) fn wait(&mut self, now: Moment, taken: Taken) -> Result<Moment, Ending> {
        let (timeout, rate) = (self.timeout, self.rate);
        let new_window = || rate.window().map(|window| (taken, now + window));
        let watched = self.watched.get_or_insert_with(|| Watched {
            latest: taken,
            silent_until: now + timeout,
            window: new_window(),
        });
        if taken.since(watched.latest) > 0 {
            watched.silent_until = now + timeout;
        }
        watched.latest = taken;
        if now >= watched.silent_until {
            return Err(Ending::ResponseTimeout);
        }
        if let Some((start, end)) = watched.window
            && now >= end
        {
            if taken.since(start) < rate.bytes_per_window() {
                return Err(Ending::ResponseTooSlow);
            }
            watched.window = new_window();
        }
        let window_ends = watched.window.map_or(watched.silent_until, |(_, end)| end);
        Ok(watched.silent_until.min(window_ends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn taken(gone: u64, untaken: u64) -> Taken {
        Taken { gone, untaken }
    }

    #[test]
    fn who_takes_nothing_is_given_up_after_the_timeout() {
        let mut patience = Patience::new(TIMEOUT, SendRate::default());
        assert_eq!(patience.wait(at(0), taken(500, 500)), Ok(at(60_000)));
        assert_eq!(patience.wait(at(59_999), taken(500, 500)), Ok(at(60_000)));
        assert_eq!(patience.wait(at(60_000), taken(500, 500)), Err(Ending::ResponseTimeout));
    }

    #[test]
    fn a_buffer_that_is_still_full_may_have_been_read_from() {
        let mut patience = Patience::new(TIMEOUT, SendRate::default());
        patience.wait(at(0), taken(500_000, 500_000)).unwrap();
        assert_eq!(patience.wait(at(60_000), taken(500_000, 400_000)), Ok(at(120_000)));
        assert_eq!(patience.wait(at(70_000), taken(600_000, 500_000)), Ok(at(120_000)), "no news");
        assert!(patience.wait(at(120_000), taken(600_000, 500_000)).is_err());
    }

    #[test]
    fn who_takes_too_little_in_a_window_is_too_slow() {
        let rate = SendRate::new(100, 10);
        let mut patience = Patience::new(TIMEOUT, rate);
        assert_eq!(patience.wait(at(0), taken(5000, 5000)), Ok(at(10_000)));
        assert_eq!(patience.wait(at(10_000), taken(5000, 4000)), Ok(at(20_000)), "just enough");
        assert_eq!(patience.wait(at(19_000), taken(5000, 3500)), Ok(at(20_000)));
        let end = patience.wait(at(20_000), taken(5000, 3001));
        assert_eq!(end, Err(Ending::ResponseTooSlow));
    }

    #[test]
    fn what_we_wait_for_ourselves_is_not_held_against_the_client() {
        let mut patience = Patience::new(TIMEOUT, SendRate::new(100, 10));
        patience.wait(at(0), taken(5000, 5000)).unwrap();
        patience.excuse();
        assert_eq!(patience.wait(at(50_000), taken(5000, 5000)), Ok(at(60_000)));
    }

    fn at(millis: u64) -> Moment {
        Moment::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn each_interval_allows_its_share() {
        let pacer = Pacer::new(Pace { bytes_per_sec: 5000, burst_bytes: 0 }, at(1000));
        assert_eq!(pacer.allowance(0, at(1000)), Ok(1000));
        assert_eq!(pacer.allowance(400, at(1199)), Ok(600));
        assert_eq!(pacer.allowance(1000, at(1199)), Err(at(1200)));
        assert_eq!(pacer.allowance(1000, at(1200)), Ok(1000));
        assert_eq!(pacer.allowance(5999, at(2000)), Ok(1));
        assert_eq!(pacer.allowance(6000, at(2000)), Err(at(2200)));
    }

    #[test]
    fn a_burst_comes_on_top_and_once() {
        let pacer = Pacer::new(Pace { bytes_per_sec: 5000, burst_bytes: 300 }, at(0));
        assert_eq!(pacer.allowance(0, at(0)), Ok(1300));
        assert_eq!(pacer.allowance(1300, at(0)), Err(at(200)));
        assert_eq!(pacer.allowance(1300, at(200)), Ok(1000));
    }

    #[test]
    fn what_waits_makes_progress_when_the_wait_is_over() {
        for (bytes_per_sec, burst_bytes) in [(1, 0), (3, 1), (4096, 0), (1 << 40, 7)] {
            let pacer = Pacer::new(Pace { bytes_per_sec, burst_bytes }, at(5));
            let (mut gone, mut now) = (0, at(5));
            for _ in 0..20 {
                match pacer.allowance(gone, now) {
                    Ok(allowed) => gone += allowed,
                    Err(then) => {
                        assert!(then > now);
                        now = then;
                        assert!(pacer.allowance(gone, now).is_ok());
                    }
                }
            }
        }
    }
}
