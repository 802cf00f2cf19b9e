//! # Local time for log lines
//!
//! The zone is looked up once; the common form `21/Nov/2026:09:36:25 +0000` is rebuilt once a second.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::fmt::Write as _;

/// A moment, as the real-time clock gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since the epoch.
    pub secs: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
}

impl Moment {
    /// Now, by the real-time clock.
    pub fn now() -> Moment {
        let now = Timestamp::now();
        // The crate counts nanoseconds of a time before the epoch downwards; a clock set there is not worth more code.
        Moment { secs: now.as_second(), nanos: now.subsec_nanosecond().unsigned_abs() }
    }

    /// Microseconds within the second.
    pub fn micros(self) -> u32 {
        self.nanos / 1000
    }
}

/// When a request arrived: for people by the clock on the wall, and for durations by a clock that never jumps.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// By the real-time clock.
    pub wall: Moment,
    monotonic: Duration,
}

impl Arrival {
    /// It arrives now.
    pub fn now() -> Arrival {
        Moment::now().into()
    }

    /// How long ago that was, whatever has happened to the clock on the wall meanwhile.
    pub fn age(&self) -> Duration {
        herdgate_sys::clock::monotonic().saturating_sub(self.monotonic)
    }
}

/// What arrives now, and shall have arrived at that moment.
impl From<Moment> for Arrival {
    fn from(wall: Moment) -> Arrival {
        Arrival { wall, monotonic: herdgate_sys::clock::monotonic() }
    }
}

/// One thread's clock for logs.
#[derive(Debug)]
pub struct LogClock {
    zone: TimeZone,
    /// The second that `clf` shows.
    second: Option<i64>,
    clf: String,
}

impl Default for LogClock {
    fn default() -> Self {
        Self::new(TimeZone::system())
    }
}

impl LogClock {
    /// A clock that shows the time of `zone`. `LogClock::default()` shows the system's zone.
    pub fn new(zone: TimeZone) -> LogClock {
        LogClock { zone, second: None, clf: String::with_capacity(32) }
    }

    /// `21/Nov/2026:09:36:25 +0000`, without the brackets.
    pub fn clf(&mut self, secs: i64) -> &str {
        if self.second != Some(secs) {
            self.second = Some(secs);
            self.clf.clear();
            let local = self.local(Moment { secs, nanos: 0 });
            write!(self.clf, "{}", local.strftime("%d/%b/%Y:%H:%M:%S %z"))
                .expect("the pattern is valid, and a String takes all that is written");
        }
        &self.clf
    }

    /// The moment on the clocks of the zone; the epoch when a clock is far off the calendar.
    pub fn local(&self, moment: Moment) -> Zoned {
        let nanos = i32::try_from(moment.nanos).unwrap_or(0);
        let timestamp = Timestamp::new(moment.secs, nanos).unwrap_or(Timestamp::UNIX_EPOCH);
        timestamp.to_zoned(self.zone.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_log_time_follows_the_zone_and_the_second() {
        let mut utc = LogClock::new(TimeZone::UTC);
        assert_eq!(utc.clf(1_795_253_785), "21/Nov/2026:09:36:25 +0000");
        assert_eq!(utc.clf(1_795_253_786), "21/Nov/2026:09:36:26 +0000");
        assert_eq!(utc.clf(1_795_253_000), "21/Nov/2026:09:23:20 +0000", "the clock was set back");
        let mut west = LogClock::new(TimeZone::fixed(jiff::tz::offset(-5)));
        assert_eq!(west.clf(1_795_253_785), "21/Nov/2026:04:36:25 -0500");
    }

    #[test]
    fn a_request_during_which_the_clock_was_set_took_as_long_as_it_did() {
        let now = Moment::now().secs;
        for secs in [0, now - 86_400, now + 86_400] {
            let arrival = Arrival::from(Moment { secs, nanos: 0 });
            let (first, second) = (arrival.age(), arrival.age());
            assert!(first <= second && second < Duration::from_secs(3600), "{second:?}");
        }
    }

    #[test]
    fn clock_beyond_the_calendar_does_not_panic() {
        assert_eq!(LogClock::new(TimeZone::UTC).clf(i64::MAX), "01/Jan/1970:00:00:00 +0000");
    }
}
