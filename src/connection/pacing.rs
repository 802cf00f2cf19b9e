//! Pacing: so many bytes a second, and no more (mod_ratelimit).

use std::time::Duration;

use herdgate_mpm::Moment;

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

#[cfg(test)]
mod tests {
    use super::*;

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
