//! # clock: what time it is, cheaply
//!
//! The coarse clocks are a few nanoseconds to read and move with the kernel's tick (1 to 10 ms):
//! good for timeouts and log lines. They need no system call; the kernel keeps them in a page that
//! we can read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Time since some point in the past, to the tick. Never goes back; the same in all processes, so
/// it may be compared across shared memory.
pub fn coarse_monotonic() -> Duration {
    let (secs, nanos) = now(ClockId::CLOCK_MONOTONIC_COARSE);
    Duration::new(secs.unsigned_abs(), nanos)
}

/// Time since the same point as [`coarse_monotonic`], to the nanosecond.
pub fn monotonic() -> Duration {
    let (secs, nanos) = now(ClockId::CLOCK_MONOTONIC);
    Duration::new(secs.unsigned_abs(), nanos)
}

/// The CPU time that the calling thread has used. Unlike the other clocks this one costs a system
/// call, some 200 ns. clock_gettime(2) with `CLOCK_THREAD_CPUTIME_ID`.
pub fn thread_cpu() -> Duration {
    let (secs, nanos) = now(ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::new(secs.unsigned_abs(), nanos)
}

/// A time of day, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub secs: i64,
    /// Nanoseconds, below 1 000 000 000.
    pub nanos: u32,
}

/// The time of day, to the tick. May jump, backwards too, when somebody sets the clock.
pub fn coarse_realtime() -> WallTime {
    let (secs, nanos) = now(ClockId::CLOCK_REALTIME_COARSE);
    WallTime { secs, nanos }
}

impl From<WallTime> for SystemTime {
    fn from(time: WallTime) -> Self {
        let whole = Duration::from_secs(time.secs.unsigned_abs());
        let second = if time.secs < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
        second + Duration::from_nanos(time.nanos.into())
    }
}

fn now(clock: ClockId) -> (i64, u32) {
    let time = clock_gettime(clock).expect("Linux has had these clocks since 2.6.32");
    (time.tv_sec(), u32::try_from(time.tv_nsec()).expect("the kernel keeps them below a second"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_clocks_share_their_origin_and_never_go_back() {
        let coarse = coarse_monotonic();
        let fine = monotonic();
        let later = monotonic();
        assert!(coarse <= fine, "a coarse clock shows the last tick: {coarse:?} {fine:?}");
        assert!(fine <= later);
        assert!(coarse <= coarse_monotonic());
    }

    #[test]
    fn a_threads_cpu_time_grows_with_its_work() {
        let before = thread_cpu();
        let work: u64 = (0..100_000_u64).map(|n| n ^ std::hint::black_box(n) >> 1).sum();
        std::hint::black_box(work);
        assert!(before < thread_cpu());
    }

    #[test]
    fn wall_time_counts_from_1970() {
        let now = coarse_realtime();
        let in_2020 = 1_577_836_800;
        assert!(now.secs > in_2020 && now.nanos < 1_000_000_000, "{now:?}");
    }

    #[test]
    fn times_before_1970_convert_as_well() {
        let check = |secs, nanos, expected| {
            assert_eq!(SystemTime::from(WallTime { secs, nanos }), expected);
        };
        check(0, 0, UNIX_EPOCH);
        check(1, 5, UNIX_EPOCH + Duration::new(1, 5));
        check(-1, 250_000_000, UNIX_EPOCH - Duration::from_millis(750));
    }
}
