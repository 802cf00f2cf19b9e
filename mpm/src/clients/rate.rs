//! How fast a client asks: the generic cell rate algorithm, of which all that must be remembered is one moment.
//!
//! ```text
//!   each request moves the client's moment one interval on       ──┬────┬────┬────┬──▶
//!   it may be ahead of now by a burst, less one                  now  ◀── burst ──▶ moment: too fast
//!   it never lags behind now: who is quiet saves no more than that
//!
//!   word   client, 22 bits of its key │ moment, 42 bits of microseconds
//! ```
//!
//! - It admits exactly what a bucket of `burst` tokens does that gets one more each interval, without any clockwork.
//! - The moments wrap after 50 days. One that lies further ahead than a rate allows is an old one.
//! - A full bucket forgets the client whose moment is the earliest. Two threads that meet a new client at once may give
//!   it two words, and it gains a request.

use std::time::Duration;

use super::Word;

const MOMENT_BITS: u32 = 42;
const MOMENT_MAX: u64 = (1 << MOMENT_BITS) - 1;
/// The longest time that it may take to forget what a client has done: well below where moments wrap.
const MEMORY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How often somebody may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    interval_micros: u64,
    burst: u32,
}

impl Rate {
    /// Once in each `interval` on average, and up to `burst` times at once after a pause. `None`: an interval below a
    /// microsecond, no burst, or one that takes more than a day to earn.
    #[must_use]
    pub fn new(interval: Duration, burst: u32) -> Option<Self> {
        let is_short = interval.checked_mul(burst).is_some_and(|memory| memory <= MEMORY_MAX);
        let interval_micros = micros(interval);
        (is_short && burst > 0 && interval_micros > 0).then_some(Self { interval_micros, burst })
    }

    /// Where a moment that is so far ahead of now is after one more request; or for how long it is too far ahead.
    fn advance(self, ahead: u64) -> Result<u64, u64> {
        let tolerance = u64::from(self.burst - 1) * self.interval_micros;
        if ahead > tolerance { Err(ahead - tolerance) } else { Ok(ahead + self.interval_micros) }
    }

    /// How far ahead a moment can be.
    fn ahead_max(self) -> u64 {
        u64::from(self.burst) * self.interval_micros
    }
}

/// Microseconds, as moments count them.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// One more request of this client. `Err`: it is too fast, and may come again in so many microseconds.
pub(super) fn ask<W: Word>(bucket: &[W], key: u64, rate: Rate, now: u64) -> Result<(), u64> {
    loop {
        let words = || bucket.iter().map(|cell| (cell, cell.value()));
        let known = words().find(|(_, word)| client(*word) == client_of(key));
        // Who is furthest behind has the least to be remembered. A bucket always has a word.
        let Some((cell, seen)) = known.or_else(|| words().min_by_key(|it| lead(it.1, now))) else {
            return Ok(());
        };
        let ahead = match known {
            Some((_, word)) => u64::try_from(lead(word, now)).unwrap_or(0),
            None => 0,
        };
        let ahead = if ahead > rate.ahead_max() { 0 } else { ahead };
        let moment = now.wrapping_add(rate.advance(ahead)?) & MOMENT_MAX;
        if cell.exchange(seen, (client_of(key) << MOMENT_BITS) | moment).is_ok() {
            return Ok(());
        } // Else somebody else has succeeded: look again.
    }
}

/// The client that a word belongs to; 0 is nobody.
fn client(word: u64) -> u64 {
    word >> MOMENT_BITS
}

fn client_of(key: u64) -> u64 {
    (key >> MOMENT_BITS) | 1
}

/// How far a word's moment is ahead of now, less than zero if it has passed.
fn lead(word: u64, now: u64) -> i64 {
    let distance = word.wrapping_sub(now) & MOMENT_MAX;
    let is_past = distance > MOMENT_MAX / 2;
    let distance = distance.cast_signed();
    if is_past { distance - (1 << MOMENT_BITS) } else { distance }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;

    use super::*;

    const KEY: u64 = 5 << MOMENT_BITS;

    fn bucket() -> [AtomicU64; 2] {
        Default::default()
    }

    fn rate(interval_micros: u64, burst: u32) -> Rate {
        Rate::new(Duration::from_micros(interval_micros), burst).expect("a rate that makes sense")
    }

    #[test]
    fn rates_that_make_no_sense_are_none() {
        let second = Duration::from_secs(1);
        assert_eq!(Rate::new(second, 0), None);
        assert_eq!(Rate::new(Duration::ZERO, 1), None);
        assert_eq!(Rate::new(Duration::from_nanos(10), 1), None);
        assert_eq!(Rate::new(second, 24 * 60 * 60 + 1), None);
        assert_eq!(Rate::new(Duration::MAX, 2), None);
        assert!(Rate::new(second, 24 * 60 * 60).is_some());
    }

    #[test]
    fn a_burst_and_then_one_an_interval() {
        let (bucket, rate) = (bucket(), rate(100, 3));
        let ask = |now| ask(&bucket, KEY, rate, now);
        assert_eq!(
            [ask(1000), ask(1000), ask(1000), ask(1000)],
            [Ok(()), Ok(()), Ok(()), Err(100)]
        );
        assert_eq!([ask(1099), ask(1100), ask(1100)], [Err(1), Ok(()), Err(100)]);
        assert_eq!([ask(9000), ask(9000), ask(9000), ask(9001)], [Ok(()), Ok(()), Ok(()), Err(99)]);
    }

    #[test]
    fn a_full_bucket_forgets_who_is_furthest_behind() {
        let (bucket, rate) = (bucket(), rate(1000, 1));
        let keys = [1_u64, 3, 5].map(|number| number << MOMENT_BITS);
        assert_eq!(ask(&bucket, keys[0], rate, 100), Ok(()));
        assert_eq!(ask(&bucket, keys[1], rate, 200), Ok(()));
        assert_eq!(ask(&bucket, keys[2], rate, 300), Ok(()), "in the place of the first");
        assert_eq!(ask(&bucket, keys[1], rate, 300), Err(900));
        assert_eq!(ask(&bucket, keys[2], rate, 300), Err(1000));
        assert_eq!(ask(&bucket, keys[0], rate, 300), Ok(()), "forgotten");
    }

    #[test]
    fn moments_wrap_and_old_ones_count_as_past() {
        let (bucket, rate) = (bucket(), rate(1000, 2));
        let end = MOMENT_MAX - 500;
        let ask = |now| ask(&bucket, KEY, rate, now);
        assert_eq!([ask(end), ask(end), ask(end)], [Ok(()), Ok(()), Err(1000)]);
        assert_eq!(ask(end + 1100), Ok(()), "beyond the end");
        assert_eq!(ask(end + 1100), Err(900));
        assert_eq!(ask(end / 2), Ok(()), "as after weeks: the moment looks like one far ahead");
    }

    /// What a rate means, word for word: of any stretch of time that ends with this request, no more than the burst and
    /// one for each whole interval of it.
    fn naive(admitted: &[u64], now: u64, rate: Rate) -> bool {
        admitted.iter().enumerate().all(|(nth, start)| {
            let with_this_one = (admitted.len() - nth + 1) as u64;
            with_this_one <= u64::from(rate.burst) + (now - start) / rate.interval_micros
        })
    }

    proptest! {
        #[test]
        fn what_is_admitted_is_what_the_rate_means(
            interval in 1..50_u64,
            burst in 1..6_u32,
            pauses in proptest::collection::vec(0..120_u64, 0..80),
        ) {
            let (bucket, rate) = (bucket(), rate(interval, burst));
            let (mut now, mut admitted) = (1_000_000, Vec::new());
            for pause in pauses {
                now += pause / 4;
                let expected = naive(&admitted, now, rate);
                match ask(&bucket, KEY, rate, now) {
                    Ok(()) => {
                        prop_assert!(expected);
                        admitted.push(now);
                    }
                    Err(wait) => {
                        prop_assert!(!expected);
                        prop_assert!(!naive(&admitted, now + wait - 1, rate), "not before");
                        prop_assert!(naive(&admitted, now + wait, rate), "the wait is enough");
                    }
                }
            }
        }
    }
}
