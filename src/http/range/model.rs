//! # model: ranges as sets of bytes
//!
//! - Written from RFC 9110 section 14.1 and from what Apache's manual and filter say of the limits, the slow way: every
//!   byte of the file is asked whether a member means it.
//! - [`parse`] must agree, for good, odd and broken values.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{ByteRange, RangeLimits, Ranges, parse};

/// The first and the last byte of each part to send: `None` is the whole file, an empty list a 416.
pub(crate) type Parts = Option<Vec<(u64, u64)>>;

/// What this value of Range asks for.
pub(crate) fn wanted(value: &str, length: u64, limits: &RangeLimits) -> Parts {
    let (unit, set) = value.split_once('=')?;
    let members: Vec<&str> = set
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
        .collect();
    let is_understood = unit.eq_ignore_ascii_case("bytes")
        && !members.is_empty()
        && members.iter().all(|member| is_range(member));
    if !is_understood || length == 0 || limits.ranges_max == Some(0) {
        return None;
    }

    let (mut parts, mut overlaps, mut reversals) = (Vec::<BTreeSet<u64>>::new(), 0, 0);
    for member in members {
        let bytes: BTreeSet<u64> = (0..length).filter(|at| means(member, *at, length)).collect();
        if number_before_dash(member) == Some(0) && member.ends_with('-') {
            parts = vec![bytes];
            break;
        }
        match parts.last_mut() {
            _ if bytes.is_empty() => {}
            Some(running) if touch(running, &bytes) => {
                overlaps += 1;
                reversals += usize::from(bytes.first() < running.first());
                running.extend(bytes);
            }
            _ => parts.push(bytes),
        }
    }
    let sum: usize = parts.iter().map(BTreeSet::len).sum();
    let is_too_much = sum as u64 > length
        || limits.ranges_max.is_some_and(|max| parts.len() > max)
        || limits.overlaps_max.is_some_and(|max| overlaps > max)
        || limits.reversals_max.is_some_and(|max| reversals > max);
    let ends = |part: &BTreeSet<u64>| (*part.first().unwrap(), *part.last().unwrap());
    (!is_too_much).then(|| parts.iter().map(ends).collect())
}

/// `int-range = first-pos "-" [ last-pos ]`, not downwards, or `suffix-range = "-" suffix-length`.
fn is_range(member: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|it| it.is_ascii_digit());
    match member.split_once('-') {
        Some(("", count)) => is_number(count),
        Some((first, "")) => is_number(first),
        Some((first, last)) => is_number(first) && is_number(last) && number(first) <= number(last),
        None => false,
    }
}

fn number(digits: &str) -> u128 {
    digits.parse().unwrap()
}

fn number_before_dash(member: &str) -> Option<u128> {
    let (first, _) = member.split_once('-')?;
    first.parse().ok()
}

/// Whether a byte of the file is one of those that the member means.
fn means(member: &str, at: u64, length: u64) -> bool {
    let (at, length) = (u128::from(at), u128::from(length));
    match member.split_once('-').unwrap() {
        ("", count) => length - at <= number(count),
        (first, "") => number(first) <= at,
        (first, last) => number(first) <= at && at <= number(last),
    }
}

/// They share a byte, or a byte of one follows a byte of the other.
fn touch(one: &BTreeSet<u64>, other: &BTreeSet<u64>) -> bool {
    one.iter().any(|&mine| other.iter().any(|&theirs| mine.abs_diff(theirs) <= 1))
}

/// The same form for the answer of [`parse`].
pub(crate) fn parts(found: Ranges) -> Parts {
    let ends = |range: &ByteRange| (range.start, range.end);
    match found {
        Ranges::Whole => None,
        Ranges::Unsatisfiable => Some(Vec::new()),
        Ranges::Single(range) => Some(vec![ends(&range)]),
        Ranges::Multiple(ranges) => Some(ranges.iter().map(ends).collect()),
    }
}

/// Files have fewer bytes than this, so that members overlap, touch and miss the end.
const LENGTH_MAX: u64 = 24;

/// The length of a file.
pub(crate) fn length() -> impl Strategy<Value = u64> {
    0..LENGTH_MAX
}

/// All limits, from none at all to ones that are soon met.
pub(crate) fn limits() -> impl Strategy<Value = RangeLimits> {
    let limit = || prop_oneof![Just(None), (0_usize..4).prop_map(Some)];
    (limit(), limit(), limit()).prop_map(|(ranges_max, overlaps_max, reversals_max)| RangeLimits {
        ranges_max,
        overlaps_max,
        reversals_max,
    })
}

/// The value of a Range field: mostly good, often odd, sometimes broken.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        12 => Just("bytes="),
        1 => prop::sample::select(&["BYTES=", "Bytes=", "bytes =", "bytes", "items=", "="][..]),
    ];
    let separator =
        prop_oneof![8 => Just(","), 1 => Just(", "), 1 => Just(" ,\t"), 1 => Just(",, ,")];
    let list = prop::collection::vec((member(), separator), 0..8);
    let regular = (unit, list, any::<bool>()).prop_map(|(unit, list, ends_with_a_comma)| {
        let mut text = unit.to_owned();
        for (at, (member, separator)) in list.iter().enumerate() {
            text += member;
            if at + 1 < list.len() || ends_with_a_comma {
                text += separator;
            }
        }
        text.trim_end().to_owned() // As the head's parser hands it over.
    });
    prop_oneof![8 => regular, 1 => "bytes=[-0-9, ]{0,12}", 1 => "[-=,0-9a-z ]{0,12}"]
}

fn member() -> impl Strategy<Value = String> {
    const ODD: [&str; 8] = ["0-", "00-", "-0", "", "03-007", "2-99999999999999999999", "-", "6-5"];
    const BROKEN: [&str; 8] = ["5", "a-", "1-b", "1-2-3", "--1", "+1-2", "1 -2", "1- 2"];
    prop_oneof![
        24 => (0..LENGTH_MAX, 0_u64..8).prop_map(|(first, more)| format!("{first}-{}", first + more)),
        4 => (0..LENGTH_MAX).prop_map(|first| format!("{first}-")),
        4 => (0..LENGTH_MAX).prop_map(|count| format!("-{count}")),
        3 => prop::sample::select(&ODD[..]).prop_map(str::to_owned),
        1 => prop::sample::select(&BROKEN[..]).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn ranges_are_those_of_the_model(value in value(), length in length(), limits in limits()) {
        let found = parts(parse(value.as_bytes(), length, &limits));
        prop_assert_eq!(found, wanted(&value, length, &limits));
    }

    /// Few members, so that the limits seldom matter and everything else does.
    #[test]
    fn one_range_is_that_of_the_model(member in member(), length in length()) {
        let (value, limits) = (format!("bytes={member}"), RangeLimits::default());
        let found = parts(parse(value.as_bytes(), length, &limits));
        prop_assert_eq!(found, wanted(&value, length, &limits));
    }
}
