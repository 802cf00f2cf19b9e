//! How long somebody waited, a child at the gate or a connection in the queue, in buckets: exact enough for percentiles,
//! small enough for shared memory.
//!
//! ```text
//!   bucket   0  1  2  3 │ 4  5  6  7 │  8  9 10 11 │ …  92 93 94 95
//!   from µs  0  1  2  3 │ 4  5  6  7 │  8 10 12 14 │ …  16.8 s … 29.4 s and more
//! ```
//!
//! Four buckets to each doubling, so a bucket is at most a quarter wider than its lower end. Who waited longer than
//! half a minute stood at the gate of an idle server, and is counted in the last bucket.

use std::time::Duration;

/// Buckets of a record.
pub const BUCKETS: usize = 96;

/// Each doubling has 2^2 buckets.
const STEP_BITS: u32 = 2;

/// The bucket that a wait is counted in.
#[must_use]
pub fn bucket(wait: Duration) -> usize {
    let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
    if micros < 1 << STEP_BITS {
        return usize::try_from(micros).unwrap_or(0);
    }
    let doubling = micros.ilog2() - STEP_BITS;
    let step = (micros >> doubling) & ((1 << STEP_BITS) - 1);
    let bucket = u64::from((doubling + 1) << STEP_BITS) + step;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// The shortest wait that is counted in a bucket.
#[must_use]
pub fn shortest(bucket: usize) -> Duration {
    let bucket = bucket.min(BUCKETS - 1) as u64;
    let (row, step) = (bucket >> STEP_BITS, bucket & ((1 << STEP_BITS) - 1));
    let micros = match row.checked_sub(1) {
        None => step,
        Some(doubling) => ((1 << STEP_BITS) + step) << doubling,
    };
    Duration::from_micros(micros)
}

/// A wait that this share of all waits did not reach, or `None` if there were none: the median for 0.5. Exact to its
/// bucket, of which the lower end is told.
#[must_use]
pub fn quantile(counts: &[u64], share: f64) -> Option<Duration> {
    let total: u64 = counts.iter().sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a count is within the count, and need not be exact to the last wait"
    )]
    let wanted = (total as f64 * share.clamp(0.0, 1.0)) as u64;
    let mut seen = 0;
    let reaches = |count: &u64| {
        seen += count;
        *count > 0 && seen > wanted.min(total - 1)
    };
    if total == 0 { None } else { counts.iter().position(reaches).map(shortest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_found_in_their_buckets() {
        let mut counts = [0; BUCKETS];
        assert_eq!(quantile(&counts, 0.5), None);
        (counts[1], counts[9], counts[95]) = (50, 49, 1);
        let micros = |share| quantile(&counts, share).unwrap().as_micros();
        assert_eq!(
            [0.0, 0.49, 0.5, 0.98, 0.99, 1.0].map(micros),
            [1, 1, 10, 10, 29_360_128, 29_360_128]
        );
    }

    #[test]
    fn buckets_begin_where_the_picture_says() {
        let micros = |bucket| shortest(bucket).as_micros();
        let first: Vec<u128> = (0..13).map(micros).collect();
        assert_eq!(first, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16]);
        assert_eq!((micros(92), micros(95)), (16_777_216, 29_360_128));
        assert_eq!(bucket(Duration::MAX), 95);
    }

    proptest! {
        #[test]
        fn a_wait_is_counted_where_it_belongs(micros in 0..40_000_000_u64) {
            let wait = Duration::from_micros(micros);
            let bucket = bucket(wait);
            prop_assert!(shortest(bucket) <= wait);
            prop_assert!(bucket == BUCKETS - 1 || wait < shortest(bucket + 1));
        }
    }
}
