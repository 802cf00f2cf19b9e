//! # model: one request and one version, judged as RFC 9110 tells it
//!
//! ```text
//! Request ──▶ judge: section 13.2.2, step by step, tags as text ──────────────┐
//!    │                                                                        ├─ the same
//!    └─ as a head ──▶ head::parse ──▶ evaluate, ranges_apply, range::parse ───┘
//! ```
//!
//! - A date carries the second that it was written from, so that the model reads none.
//! - What the RFC leaves open is Apache's: a date in the future says nothing in If-Modified-Since, a date is a strong
//!   validator after a minute, and a list is read up to its first mistake.

use proptest::prelude::*;

use super::{Conditions, Validators, Verdict, evaluate, ranges_apply};
use crate::http::etag::EntityTag;
use crate::http::field::Known;
use crate::http::head::{HeadLimits, Parse, parse};
use crate::http::range::model::{self as range_model, Parts};
use crate::http::range::{self, RangeLimits};
use crate::http::status::Status;

/// From this age on, a date is a strong validator.
const MINUTE_SECS: i64 = 60;

/// The version that would be sent.
#[derive(Debug)]
struct Version {
    etag: Option<String>,
    modified_secs: Option<i64>,
    length: u64,
}

/// The lines of a request that matter here. A field that may stand once stands twice in some.
#[derive(Debug)]
struct Request {
    method: &'static str,
    if_match: Vec<String>,
    if_none_match: Vec<String>,
    if_modified_since: Vec<Date>,
    if_unmodified_since: Vec<Date>,
    if_range: Vec<Date>,
    range: Vec<String>,
}

/// Something that stands where a date may stand.
#[derive(Clone, Debug)]
struct Date {
    text: String,
    /// `None`: this is no date.
    secs: Option<i64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// What would be sent without conditions, or these parts of it.
    Normal(Parts),
    NotModified,
    PreconditionFailed,
}

/// RFC 9110 section 13.2.2, with its numbers.
fn judge(
    request: &Request,
    status: u16,
    version: &Version,
    now_secs: i64,
    limits: &RangeLimits,
) -> Answer {
    let is_get_or_head = ["GET", "HEAD"].contains(&request.method);
    // Section 13.2.1: otherwise conditions are ignored.
    if (200..300).contains(&status) && !["OPTIONS", "TRACE", "CONNECT"].contains(&request.method) {
        // 1. When If-Match is present
        if !request.if_match.is_empty() {
            if !list_names(&request.if_match, version, is_strongly_equal) {
                return Answer::PreconditionFailed;
            }
        // 2. When If-Match is not present, and If-Unmodified-Since is
        } else if let (Some(date), Some(modified)) =
            (valid_date(&request.if_unmodified_since), version.modified_secs)
            && modified > date
        {
            return Answer::PreconditionFailed;
        }
        // 3. When If-None-Match is present
        if !request.if_none_match.is_empty() {
            if list_names(&request.if_none_match, version, is_weakly_equal) {
                return if is_get_or_head {
                    Answer::NotModified
                } else {
                    Answer::PreconditionFailed
                };
            }
        // 4. When the method is GET or HEAD, If-None-Match is not present, and If-Modified-Since is
        } else if is_get_or_head
            && let (Some(date), Some(modified)) =
                (valid_date(&request.if_modified_since), version.modified_secs)
            && date <= now_secs
            && modified <= date
        {
            return Answer::NotModified;
        }
    }
    // 5. When the method is GET and both Range and If-Range are present; 6. otherwise
    match &request.range[..] {
        [range] if request.method == "GET" && if_range_holds(request, version, now_secs) => {
            Answer::Normal(range_model::wanted(range, version.length, limits))
        }
        _ => Answer::Normal(None),
    }
}

/// A field that is no date, or several, is ignored (sections 13.1.3 and 13.1.4).
fn valid_date(lines: &[Date]) -> Option<i64> {
    match lines {
        [one] => one.secs,
        _ => None,
    }
}

/// Section 13.1.5.
fn if_range_holds(request: &Request, version: &Version, now_secs: i64) -> bool {
    match &request.if_range[..] {
        [] => true,
        [one] if is_tag(&one.text) => {
            version.etag.as_ref().is_some_and(|ours| is_strongly_equal(&one.text, ours))
        }
        [one] => match (one.secs, version.modified_secs) {
            (Some(date), Some(modified)) => date == modified && now_secs - modified >= MINUTE_SECS,
            _ => false,
        },
        _ => false,
    }
}

/// Sections 13.1.1 and 13.1.2: `"*" / #entity-tag`. There is a version, so `*` names it.
fn list_names(lines: &[String], version: &Version, equal: fn(&str, &str) -> bool) -> bool {
    let named = || lines.iter().flat_map(|line| tags(line));
    lines == ["*"] || version.etag.as_ref().is_some_and(|ours| named().any(|tag| equal(&tag, ours)))
}

/// The tags of one line, cut at the commas outside of quotes, up to the first that is none.
fn tags(line: &str) -> Vec<String> {
    let mut members = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        is_quoted ^= letter == '"';
        if letter == ',' && !is_quoted {
            members.push(String::new());
        } else {
            members.last_mut().unwrap().push(letter);
        }
    }
    let members = members.iter().map(|member| member.trim_matches([' ', '\t']));
    let present = members.filter(|member| !member.is_empty());
    present.take_while(|member| is_tag(member)).map(str::to_owned).collect()
}

/// Section 8.8.3: `[ %s"W/" ] DQUOTE *( %x21 / %x23-7E / obs-text ) DQUOTE`
fn is_tag(text: &str) -> bool {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let opaque = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    opaque.is_some_and(|opaque| {
        opaque.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff))
    })
}

/// Section 8.8.3.2: "both are not weak and their opaque-tags match character-by-character".
fn is_strongly_equal(one: &str, other: &str) -> bool {
    !one.starts_with("W/") && !other.starts_with("W/") && one == other
}

/// The same, "regardless of either or both being tagged as weak".
fn is_weakly_equal(one: &str, other: &str) -> bool {
    one.strip_prefix("W/").unwrap_or(one) == other.strip_prefix("W/").unwrap_or(other)
}

/// What the server makes of the same request.
fn answer(
    request: &Request,
    status: Status,
    version: &Version,
    now_secs: i64,
    limits: &RangeLimits,
) -> Answer {
    let text = head_text(request);
    let Parse::Complete { head, .. } = parse(text.as_bytes(), &HeadLimits::default()) else {
        panic!("not a head: {text}")
    };
    let etag = version.etag.as_ref().map(|tag| EntityTag::parse(tag.as_bytes()).unwrap());
    let validators = Validators { etag, modified_secs: version.modified_secs };
    let conditions = Conditions::of(|known| head.values(known));
    match evaluate(head.method(), status, &validators, &conditions, now_secs) {
        Verdict::NotModified => return Answer::NotModified,
        Verdict::PreconditionFailed => return Answer::PreconditionFailed,
        Verdict::Proceed => {}
    }
    let if_range = head.values(Known::IfRange);
    match head.values(Known::Range).single() {
        Some(range) if ranges_apply(head.method(), if_range, &validators, now_secs) => {
            Answer::Normal(range_model::parts(range::parse(range, version.length, limits)))
        }
        _ => Answer::Normal(None),
    }
}

fn head_text(request: &Request) -> String {
    let dates = |dates: &[Date]| dates.iter().map(|date| date.text.clone()).collect::<Vec<_>>();
    let mut text = format!("{} / HTTP/1.0\r\n", request.method);
    for (name, values) in [
        ("Range", request.range.clone()),
        ("If-Range", dates(&request.if_range)),
        ("If-Modified-Since", dates(&request.if_modified_since)),
        ("If-None-Match", request.if_none_match.clone()),
        ("If-Unmodified-Since", dates(&request.if_unmodified_since)),
        ("If-Match", request.if_match.clone()),
    ] {
        for value in values {
            text += &format!("{name}: {value}\r\n");
        }
    }
    text + "\r\n"
}

/// The ends of some days, months and years; leap days among them.
const BASES_SECS: [i64; 5] = [784_111_777, 951_782_398, 951_868_798, 1_709_164_797, 1_735_689_598];

/// One of the three forms of section 5.6.7.
fn date_text(secs: i64, form: usize) -> String {
    const DAYS: [&str; 7] =
        ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut days, second) = (secs / 86_400, secs % 86_400);
    let name = DAYS[usize::try_from(days % 7).unwrap()];
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 0;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, month, short) = (days + 1, MONTHS[month], &name[..3]);
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    match form {
        0 => format!("{short}, {day:02} {month} {year} {time} GMT"),
        1 => format!("{name}, {day:02}-{month}-{:02} {time} GMT", year % 100),
        _ => format!("{short} {month} {day:>2} {time} {year}"),
    }
}

/// Something that is no date, made from one that is.
fn broken(date: &str, how: usize) -> String {
    match how {
        0 => String::new(),
        1 => "yesterday".to_owned(),
        2 => format!("{date}; length=13"),
        3 => format!("{date}, {date}"),
        4 => date[1..].to_owned(),
        5 => date[..date.len() - 1].to_owned(),
        6 => date.to_lowercase(),
        7 => date.replacen(' ', "  ", 1),
        8 => format!("\"{date}\""),
        _ => "Fri, 30 Feb 2024 00:00:00 GMT".to_owned(),
    }
}

/// A date close to `base_secs`, in one of its forms, or something broken.
fn date(base_secs: i64) -> impl Strategy<Value = Date> {
    let how = prop_oneof![5 => Just(None), 1 => (0_usize..10).prop_map(Some)];
    (0_i64..3, 0_usize..3, how).prop_map(move |(later, form, how)| {
        let secs = base_secs + later;
        let good = date_text(secs, form);
        match how {
            None => Date { text: good, secs: Some(secs) },
            Some(how) => Date { text: broken(&good, how), secs: None },
        }
    })
}

/// No line or one; sometimes the same twice.
fn lines<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<T>> {
    let count = prop_oneof![8 => Just(0_usize), 12 => Just(1), 1 => Just(2)];
    (value, count).prop_map(|(value, count)| vec![value; count])
}

fn tag() -> impl Strategy<Value = String> {
    prop::sample::select(&["\"a\"", "W/\"a\"", "\"b\"", "W/\"b\"", "\"a,b\"", "\"\""][..])
        .prop_map(str::to_owned)
}

/// A line of If-Match or If-None-Match: a list, a star, or bits and pieces of them.
fn tag_line() -> impl Strategy<Value = String> {
    const PIECES: [&str; 14] = [
        "\"a\"",
        "W/\"a\"",
        "\"b\"",
        ",",
        ", ",
        " ",
        "\t",
        "*",
        "\"",
        "W/",
        "w/\"a\"",
        "a",
        "\"a b\"",
        "\"\u{e9}\"",
    ];
    let list = |separator: &'static str| {
        prop::collection::vec(tag(), 0..4).prop_map(move |tags| tags.join(separator))
    };
    let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..8);
    prop_oneof![
        4 => list(", "),
        1 => list(" ,,\t,"),
        1 => Just("*".to_owned()),
        2 => pieces.prop_map(|pieces| pieces.concat().trim_matches([' ', '\t']).to_owned()),
    ]
}

fn tag_lines() -> impl Strategy<Value = Vec<String>> {
    let some = prop::collection::vec(tag_line(), 1..3);
    prop_oneof![1 => Just(Vec::new()), 1 => some]
}

/// A request, and the version and the second that it meets.
fn meeting() -> impl Strategy<Value = (Request, Version, i64)> {
    prop::sample::select(&BASES_SECS[..]).prop_flat_map(|base_secs| {
        let tag_or_date = prop_oneof![
            3 => tag().prop_map(|text| Date { text, secs: None }),
            1 => tag_line().prop_map(|text| Date { text, secs: None }),
            4 => date(base_secs),
        ];
        let method = prop_oneof![
            6 => Just("GET"),
            2 => Just("HEAD"),
            2 => prop::sample::select(&["PUT", "POST", "DELETE", "PROPFIND"][..]),
            1 => prop::sample::select(&["OPTIONS", "TRACE", "get"][..]),
        ];
        let request = (
            method,
            (tag_lines(), tag_lines()),
            (lines(date(base_secs)), lines(date(base_secs)), lines(tag_or_date)),
            lines(range_model::value()),
        )
            .prop_map(|(method, tags, dates, range)| Request {
                method,
                if_match: tags.0,
                if_none_match: tags.1,
                if_modified_since: dates.0,
                if_unmodified_since: dates.1,
                if_range: dates.2,
                range,
            });
        let (etag, modified) = (prop::option::of(tag()), prop::option::weighted(0.8, 0_i64..3));
        let version =
            (etag, modified, range_model::length()).prop_map(move |(etag, modified, length)| {
                Version { etag, modified_secs: modified.map(|later| base_secs + later), length }
            });
        let now = prop_oneof![0_i64..4, MINUTE_SECS - 1..MINUTE_SECS + 4];
        (request, version, now.prop_map(move |later| base_secs + later))
    })
}

fn status() -> impl Strategy<Value = Status> {
    let others =
        [Status::NO_CONTENT, Status::FOUND, Status::NOT_FOUND, Status::PRECONDITION_FAILED];
    prop_oneof![8 => Just(Status::OK), 1 => prop::sample::select(others.to_vec())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn answers_are_those_of_the_model(
        (request, version, now_secs) in meeting(),
        status in status(),
        limits in range_model::limits(),
    ) {
        let expected = judge(&request, status.code(), &version, now_secs, &limits);
        let found = answer(&request, status, &version, now_secs, &limits);
        prop_assert_eq!(found, expected, "{}", head_text(&request));
    }

    /// Without conditions before it, If-Range is met far more often.
    #[test]
    fn if_range_is_that_of_the_model((request, version, now_secs) in meeting()) {
        let request = Request {
            if_match: Vec::new(),
            if_none_match: Vec::new(),
            if_modified_since: Vec::new(),
            if_unmodified_since: Vec::new(),
            range: vec!["bytes=0-0".to_owned()],
            ..request
        };
        let limits = RangeLimits::default();
        let expected = judge(&request, 200, &version, now_secs, &limits);
        let found = answer(&request, Status::OK, &version, now_secs, &limits);
        prop_assert_eq!(found, expected, "{}", head_text(&request));
    }
}
