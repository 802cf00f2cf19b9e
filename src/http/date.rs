//! # date: HTTP's three ways to write a second
//!
//! - Seconds are counted from 1970-01-01 00:00:00 UTC, as the kernel counts them; the caller brings
//!   the clock.
//! - We write only IMF-fixdate, always 29 bytes, and read the two obsolete forms as well (RFC 9110
//!   section 5.6.7).

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// `Sun, 06 Nov 1994 08:49:37 GMT`, ready for the wire.
pub type DateText = [u8; DATE_BYTES];

/// The length of every IMF-fixdate.
pub const DATE_BYTES: usize = 29;

/// 9999-12-31 23:59:59: four digits hold no later year.
const LATEST_SECS: i64 = 253_402_300_799;

/// Writes `unix_secs` as IMF-fixdate. Seconds before 1970 or after 9999 become the nearest that the
/// form can hold.
pub fn format(unix_secs: i64) -> DateText {
    let since_epoch = Duration::from_secs(unix_secs.clamp(0, LATEST_SECS).unsigned_abs());
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    write!(&mut text[..], "{}", HttpDate::from(UNIX_EPOCH + since_epoch))
        .expect("an HttpDate is 29 bytes");
    text
}

/// Reads IMF-fixdate, RFC 850 and asctime; anything else, a date before 1970 included, is `None`.
pub fn parse(text: &[u8]) -> Option<i64> {
    let date: HttpDate = str::from_utf8(text).ok()?.parse().ok()?;
    let since_epoch = SystemTime::from(date).duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}

/// The text of the current second, rebuilt when the second changes. One for each thread, so it
/// needs no lock.
#[derive(Clone, Debug)]
pub struct DateCache {
    unix_secs: i64,
    text: DateText,
}

impl DateCache {
    /// A cache that knows the epoch.
    pub fn new() -> DateCache {
        DateCache { unix_secs: 0, text: format(0) }
    }

    /// The `Date` field for a response built at `now_secs`.
    pub fn at(&mut self, now_secs: i64) -> &DateText {
        if self.unix_secs != now_secs {
            self.unix_secs = now_secs;
            self.text = format(now_secs);
        }
        &self.text
    }
}

impl Default for DateCache {
    fn default() -> DateCache {
        DateCache::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DateCache, LATEST_SECS, format, parse};

    #[test]
    fn all_three_forms_name_the_same_second() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "0", "Sun, 06 Nov 1994", "Sun, 32 Nov 1994 08:49:37 GMT", "\u{e9}"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse(&[0xff; 29]), None);
    }

    #[test]
    fn seconds_that_no_date_can_hold_are_clamped() {
        assert_eq!(format(-5), format(0));
        assert_eq!(format(i64::MAX), *b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn the_cache_follows_the_clock_both_ways() {
        let mut cache = DateCache::new();
        for secs in [0, 784_111_777, 784_111_777, 784_111_776, 1] {
            assert_eq!(*cache.at(secs), format(secs));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_second_reads_back(secs in 0..=LATEST_SECS) {
            prop_assert_eq!(parse(&format(secs)), Some(secs));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(secs) = parse(&bytes) {
                prop_assert!((0..=LATEST_SECS).contains(&secs));
            }
        }

        #[test]
        fn a_damaged_date_never_panics(at in 0_usize..29, byte in 0_u8..128, form in 0_usize..3) {
            let forms = [
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
            ];
            let mut text = forms[form].as_bytes().to_vec();
            let at = at % text.len();
            text[at] = byte;
            if let Some(secs) = parse(&text) {
                prop_assert!((0..=LATEST_SECS).contains(&secs));
            }
        }
    }
}
