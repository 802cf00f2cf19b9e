//! # range: which bytes of a file the client wants
//!
//! ```text
//! Range: bytes=0-9,5-19,30-         of 40 bytes
//!        └ 0-9 ┘└ touches ┘└ 30-39  ──▶ 0-19, 30-39
//! ```
//!
//! - Neighbours in the list that overlap or touch become one; the order of the request is kept
//!   otherwise, as in Apache.
//! - A header that breaks the grammar, or that asks for more work than the limits allow, is
//!   ignored: the answer is the whole file (RFC 9110 section 14.2 lets a server ignore any Range;
//!   CVE-2011-3192 is why it should).
//! - `0-` is everything and stands for the whole list, as in Apache; what was merged before it counts.
//! - Numbers that do not fit are simply beyond the end.
//! - Differences from Apache, where the RFC decides: blanks are allowed around every member,
//!   empty members everywhere, and `-0` is unsatisfiable, not wrong. Range is defined for GET only;
//!   a HEAD must not be asked here.

use std::io::Write as _;

use crate::http::field;

/// The bytes from `start` to `end`, both included, of something longer than `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// The last byte; never less than `start`.
    pub end: u64,
}

impl ByteRange {
    /// How many bytes; never zero. (A file has at most `u64::MAX` bytes, so this cannot overflow.)
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(self) -> u64 {
        self.end - self.start + 1
    }
}

/// How much work one Range header may ask for. `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeLimits {
    /// `MaxRanges`, after merging; 0 switches ranges off.
    pub ranges_max: Option<usize>,
    /// `MaxRangeOverlaps`: how many members may be merged into another.
    pub overlaps_max: Option<usize>,
    /// `MaxRangeReversals`: how many of these may extend it to the left.
    pub reversals_max: Option<usize>,
}

/// Apache's defaults.
impl Default for RangeLimits {
    fn default() -> RangeLimits {
        RangeLimits { ranges_max: Some(200), overlaps_max: Some(20), reversals_max: Some(20) }
    }
}

/// What a Range header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Nothing that we understand or want to do: 200 with everything.
    Whole,
    /// 206 with one part.
    Single(ByteRange),
    /// 206 with several parts; at least two.
    Multiple(Vec<ByteRange>),
    /// 416: none of the parts exists.
    Unsatisfiable,
}

/// Reads the value of a Range header for something of `length` bytes.
pub fn parse(value: &[u8], length: u64, limits: &RangeLimits) -> Ranges {
    let Some(set) = strip_unit(value) else { return Ranges::Whole };
    if length == 0 || limits.ranges_max == Some(0) {
        return Ranges::Whole; // There is no way to write a range of an empty file.
    }
    let mut merge = Merge::default();
    let mut everything = false;
    let mut members = 0_usize;
    for member in field::members(set) {
        let Some(spec) = parse_spec(member) else { return Ranges::Whole };
        members += 1;
        if everything {
            continue; // Only the grammar still counts.
        }
        everything = spec == Spec::From(0);
        if everything {
            merge.closed.clear();
            merge.running = Some(ByteRange { start: 0, end: length - 1 });
        } else if let Some(range) = spec.resolve(length) {
            merge.push(range);
        }
    }
    if members == 0 {
        return Ranges::Whole;
    }
    merge.finish(length, limits)
}

/// Strips `bytes=`; another unit is none of our business.
fn strip_unit(value: &[u8]) -> Option<&[u8]> {
    const UNIT: &[u8] = b"bytes=";
    let (unit, set) = value.split_at_checked(UNIT.len())?;
    unit.eq_ignore_ascii_case(UNIT).then_some(set)
}

/// One member of the list, before the length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// `5-9`
    Between(u64, u64),
    /// `5-`
    From(u64),
    /// `-5`: the last five
    Last(u64),
}

fn parse_spec(member: &[u8]) -> Option<Spec> {
    let dash = memchr::memchr(b'-', member)?;
    match (&member[..dash], &member[dash + 1..]) {
        (b"", last) => Some(Spec::Last(parse_number(last)?)),
        (first, b"") => Some(Spec::From(parse_number(first)?)),
        (first, last) => {
            let (first, last) = (parse_number(first)?, parse_number(last)?);
            (first <= last).then_some(Spec::Between(first, last))
        }
    }
}

/// Digits; as many as there are, but a number that does not fit is the largest that does.
fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

impl Spec {
    /// The bytes that it means; `None` if there are none.
    fn resolve(self, length: u64) -> Option<ByteRange> {
        let last_byte = length - 1;
        let (start, end) = match self {
            Spec::Between(first, last) => (first, last.min(last_byte)),
            Spec::From(first) => (first, last_byte),
            Spec::Last(0) => return None,
            Spec::Last(count) => (length.saturating_sub(count), last_byte),
        };
        (start <= last_byte).then_some(ByteRange { start, end })
    }
}

/// Joins each range to the one before it where they overlap or touch, and counts how often.
#[derive(Debug, Default)]
struct Merge {
    closed: Vec<ByteRange>,
    running: Option<ByteRange>,
    overlaps: usize,
    reversals: usize,
}

impl Merge {
    fn push(&mut self, new: ByteRange) {
        let Some(running) = &mut self.running else {
            self.running = Some(new);
            return;
        };
        let touches = new.start <= running.end.saturating_add(1)
            && running.start <= new.end.saturating_add(1);
        if touches {
            self.overlaps += 1;
            self.reversals += usize::from(new.start < running.start);
            running.start = running.start.min(new.start);
            running.end = running.end.max(new.end);
        } else {
            self.closed.push(*running);
            *running = new;
        }
    }

    fn finish(mut self, length: u64, limits: &RangeLimits) -> Ranges {
        let Some(last) = self.running else { return Ranges::Unsatisfiable };
        let within = |count: usize, max: Option<usize>| max.is_none_or(|max| count <= max);
        let sum = self.closed.iter().fold(last.len(), |sum, range| sum.saturating_add(range.len()));
        // More than the whole file would help nobody but an attacker.
        let acceptable = sum <= length
            && within(self.closed.len() + 1, limits.ranges_max)
            && within(self.overlaps, limits.overlaps_max)
            && within(self.reversals, limits.reversals_max);
        if !acceptable {
            return Ranges::Whole;
        }
        if self.closed.is_empty() {
            return Ranges::Single(last);
        }
        self.closed.push(last);
        Ranges::Multiple(self.closed)
    }
}

/// Appends the value of `Content-Range` in a 206: `bytes 0-9/40`.
pub fn push_content_range(out: &mut Vec<u8>, range: ByteRange, length: u64) {
    let ByteRange { start, end } = range;
    write!(out, "bytes {start}-{end}/{length}").expect("a Vec takes every byte");
}

/// Appends the value of `Content-Range` in a 416, which tells the client what it could ask for:
/// `bytes */40`.
pub fn push_unsatisfied_range(out: &mut Vec<u8>, length: u64) {
    write!(out, "bytes */{length}").expect("a Vec takes every byte");
}

#[cfg(test)]
pub(crate) mod model;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::model::parts;
    use super::{
        ByteRange, RangeLimits, Ranges, parse, push_content_range, push_unsatisfied_range,
    };

    const UNLIMITED: RangeLimits =
        RangeLimits { ranges_max: None, overlaps_max: None, reversals_max: None };

    /// `None` is the whole file, an empty list a 416.
    #[track_caller]
    fn check(value: &str, length: u64, expected: Option<&[(u64, u64)]>) {
        let found = parts(parse(value.as_bytes(), length, &RangeLimits::default()));
        assert_eq!(found.as_deref(), expected, "{value:?} of {length}");
    }

    #[test]
    fn single_ranges_are_cut_to_the_file() {
        check("bytes=0-0", 10, Some(&[(0, 0)]));
        check("Bytes=2-5", 10, Some(&[(2, 5)]));
        check("bytes=2-", 10, Some(&[(2, 9)]));
        check("bytes=-3", 10, Some(&[(7, 9)]));
        check("bytes=-30", 10, Some(&[(0, 9)]));
        check("bytes=5-99999999999999999999", 10, Some(&[(5, 9)]));
        check("bytes=0-", 10, Some(&[(0, 9)]));
        check("bytes=0-18446744073709551615", u64::MAX, Some(&[(0, u64::MAX - 1)]));
    }

    #[test]
    fn what_breaks_the_grammar_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=5",
            "bytes=5-2",
            "bytes=a-",
            "bytes=1-b",
            "bytes=1 -2",
            "bytes=1- 2",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=1-2;3-4",
            "items=0-1",
            "bytes =0-1",
            "bytes=0-1,x",
            "bytes=99-98",
        ] {
            check(value, 10, None);
        }
    }

    #[test]
    fn ranges_beyond_the_end_are_unsatisfiable() {
        check("bytes=10-", 10, Some(&[]));
        check("bytes=10-12,99999999999999999999-", 10, Some(&[]));
        check("bytes=-0", 10, Some(&[]));
        check("bytes=10-12,1-2", 10, Some(&[(1, 2)]));
        check("bytes=0-1", 0, None);
        check("bytes=-1", 0, None);
    }

    #[test]
    fn neighbours_are_merged_in_the_order_of_the_request() {
        check("bytes=0-1,2-3", 10, Some(&[(0, 3)]));
        check("bytes=1-2 , 5-6", 10, Some(&[(1, 2), (5, 6)]));
        check("bytes=1-2,,5-6,", 10, Some(&[(1, 2), (5, 6)]));
        check("bytes=5-6,0-3", 10, Some(&[(5, 6), (0, 3)]));
        check("bytes=5-6,4-4,7-8", 10, Some(&[(4, 8)]));
        check("bytes=5-6,0-9", 10, Some(&[(0, 9)]));
        check("bytes=1-2,0-,5-6", 10, Some(&[(0, 9)]));
        check("bytes=1-2,0-,x", 10, None);
    }

    #[test]
    fn ranges_that_cost_too_much_are_ignored() {
        check("bytes=0-5,8-9,0-5", 10, None);
        let list = |count: usize| {
            let members: Vec<_> = (0..count).map(|at| format!("{}-{}", 2 * at, 2 * at)).collect();
            format!("bytes={}", members.join(","))
        };
        let found = parts(parse(list(200).as_bytes(), 1000, &RangeLimits::default()));
        assert_eq!(found.map(|all| all.len()), Some(200));
        check(&list(201), 1000, None);
        check(&format!("bytes=0-9{}", ",0-9".repeat(20)), 1000, Some(&[(0, 9)]));
        check(&format!("bytes=0-9{}", ",0-9".repeat(21)), 1000, None);
        check(&format!("bytes=0-9{},0-", ",0-9".repeat(21)), 1000, None);
        check(&format!("bytes=0-,0-9{}", ",0-9".repeat(21)), 1000, Some(&[(0, 999)]));
        let none = RangeLimits { ranges_max: Some(0), ..RangeLimits::default() };
        assert_eq!(parse(b"bytes=0-1", 10, &none), Ranges::Whole);
        let leftward = RangeLimits { reversals_max: Some(0), ..RangeLimits::default() };
        assert_eq!(parse(b"bytes=5-6,4-4", 10, &leftward), Ranges::Whole);
    }

    #[test]
    fn content_range_is_written_for_206_and_416() {
        let mut out = Vec::new();
        push_content_range(&mut out, ByteRange { start: 0, end: 9 }, 40);
        out.push(b'|');
        push_unsatisfied_range(&mut out, 40);
        assert_eq!(out, b"bytes 0-9/40|bytes */40");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_range_lies_in_the_file(value in "bytes=[-0-9, ]{0,30}", length: u64) {
            let found = parts(parse(value.as_bytes(), length, &UNLIMITED));
            for (start, end) in found.unwrap_or_default() {
                prop_assert!(start <= end && end < length);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(value in prop::collection::vec(any::<u8>(), 0..40), length: u64) {
            parse(&value, length, &RangeLimits::default());
        }
    }
}
