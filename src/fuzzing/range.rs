//! Ranges and conditions: what is sent lies within the file and is what was asked for, byte by byte.

use std::collections::BTreeSet;

use super::{byte, parts};
use crate::http::coding;
use crate::http::conditional::{Conditions, Validators, Verdict, evaluate, ranges_apply};
use crate::http::date;
use crate::http::etag::EntityTag;
use crate::http::field::{self, Values};
use crate::http::method::Method;
use crate::http::range::{ByteRange, RangeLimits, Ranges, parse};
use crate::http::status::Status;

/// A byte of lengths, one of limits; then, as parts, the values of Range, of four conditions, and of Accept-Encoding.
pub(super) fn check(mut bytes: &[u8]) {
    let (length, limits) = (byte(&mut bytes), byte(&mut bytes));
    let [range, tags, date, if_range, accept] = parts(bytes).map(field::trim_blanks);
    ranges(range, length, limits);
    conditions(tags, date, if_range);
    if let Some(secs) = date::parse(date) {
        assert_eq!(date::parse(&date::format(secs)), Some(secs), "a date reads back");
    }
    for name in ["gzip", "br", "zstd", "identity"] {
        assert!(coding::weight(Values::one(accept), name).is_none_or(|weight| weight <= 1000));
    }
}

fn ranges(value: &[u8], length: u8, limits: u8) {
    let length = u64::from(length);
    let none = RangeLimits { ranges_max: None, overlaps_max: None, reversals_max: None };
    let few = |shift: u8| Some(usize::from(limits >> shift & 7));
    let some = RangeLimits { ranges_max: few(0), overlaps_max: few(3), reversals_max: few(5) };
    let unlimited = parse(value, length, &none);
    let limited = parse(value, length, &some);
    assert!(limited == unlimited || limited == Ranges::Whole, "a limit leads to the whole");
    if let Some(max) = some.ranges_max {
        assert!(spans(&limited).len() <= max, "at most {max}: {limited:?}");
    }
    let spans = spans(&unlimited);
    for span in &spans {
        assert!(span.start <= span.end && span.end < length);
    }
    assert!(spans.iter().map(|span| span.len()).sum::<u64>() <= length, "never more than the file");
    if let Ranges::Multiple(list) = &unlimited {
        assert!(list.len() >= 2);
    }
    if let Some(wanted) = wanted(value, length) {
        let sent: BTreeSet<u64> = spans.iter().flat_map(|span| span.start..=span.end).collect();
        match unlimited {
            Ranges::Whole => {}
            Ranges::Unsatisfiable => assert!(wanted.is_empty()),
            Ranges::Single(_) | Ranges::Multiple(_) => assert_eq!(sent, wanted),
        }
    } else {
        assert_eq!(unlimited, Ranges::Whole, "what breaks the grammar is ignored");
    }
}

fn spans(ranges: &Ranges) -> Vec<ByteRange> {
    match ranges {
        Ranges::Whole | Ranges::Unsatisfiable => Vec::new(),
        Ranges::Single(one) => vec![*one],
        Ranges::Multiple(list) => list.clone(),
    }
}

/// The bytes that are asked for; `None`: that is no list of ranges.
fn wanted(value: &[u8], length: u64) -> Option<BTreeSet<u64>> {
    let text = std::str::from_utf8(value).ok()?;
    let set =
        text.get(..6).filter(|unit| unit.eq_ignore_ascii_case("bytes=")).and(text.get(6..))?;
    let number = |digits: &str| -> Option<u64> {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let mut bytes = BTreeSet::new();
    let mut members = 0;
    for member in set.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        members += 1;
        let (first, last) = member.split_once('-')?;
        match (first.is_empty(), last.is_empty()) {
            (true, _) => {
                let count = number(last)?;
                bytes.extend(length.saturating_sub(count)..length);
            }
            (false, true) => bytes.extend(number(first)?..length),
            (false, false) => {
                let (from, to) = (number(first)?, number(last)?);
                if to < from {
                    return None;
                }
                bytes.extend(from..length.min(to.saturating_add(1)));
            }
        }
    }
    (members > 0).then_some(bytes)
}

fn conditions(tags: &[u8], date: &[u8], if_range: &[u8]) {
    const MODIFIED: i64 = 1_700_000_000;
    const NOW: i64 = MODIFIED + 3600;
    let ours = EntityTag::parse(b"\"a-1\"");
    let validators = Validators { etag: ours, modified_secs: Some(MODIFIED) };
    let nothing = Conditions::NONE;
    let get = Method::parse(b"GET").unwrap();
    let judged =
        |conditions: &Conditions<'_>| evaluate(get, Status::OK, &validators, conditions, NOW);
    let list = Values::one(tags);
    let without = judged(&Conditions { if_none_match: list, ..nothing });
    let with = judged(&Conditions { if_match: list, ..nothing });
    assert!(matches!(without, Verdict::Proceed | Verdict::NotModified));
    assert!(matches!(with, Verdict::Proceed | Verdict::PreconditionFailed));
    assert!(
        with != Verdict::Proceed || without == Verdict::NotModified,
        "who has a tag by the strong comparison has it by the weak one"
    );
    let since = judged(&Conditions { if_modified_since: Some(date), ..nothing });
    let until = judged(&Conditions { if_unmodified_since: Some(date), ..nothing });
    match date::parse(date) {
        None => assert_eq!((since, until), (Verdict::Proceed, Verdict::Proceed)),
        Some(secs) => {
            assert_eq!(since == Verdict::NotModified, (MODIFIED..=NOW).contains(&secs));
            assert_eq!(until == Verdict::PreconditionFailed, secs < MODIFIED);
        }
    }
    let applies = ranges_apply(get, Values::one(if_range), &validators, NOW);
    let is_ours = if_range == b"\"a-1\"" || date::parse(if_range) == Some(MODIFIED);
    assert_eq!(applies, is_ours);
}
