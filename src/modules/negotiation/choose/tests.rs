//! What is chosen for whom, in tables and by properties.

use super::*;
use proptest::prelude::*;

/// `name type languages charset encoding qs length`, a dash for what is missing.
fn variant(line: &str) -> Variant {
    let mut words = line.split(' ').map(|word| if word == "-" { "" } else { word });
    let mut word = || words.next().unwrap_or_default().as_bytes().to_vec();
    let name = word();
    let mut variant = Variant { name, ..Variant::default() };
    variant.set_type(&word());
    let languages = word();
    variant.languages = languages
        .split(|byte| *byte == b',')
        .filter(|tag| !tag.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    variant.charset = word();
    variant.encoding = word();
    let number = |text: Vec<u8>| String::from_utf8(text).unwrap();
    variant.source_quality = number(word()).parse().unwrap_or(1.0);
    variant.length = number(word()).parse().ok();
    variant
}

/// What the fields `Name: value` say.
fn wishes(lines: &[&str]) -> Wishes {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", lines.join("\r\n"));
    let head = head.replace("\r\n\r\n\r\n", "\r\n\r\n");
    let limits = crate::http::head::HeadLimits::default();
    let crate::http::head::Parse::Complete { head, .. } =
        crate::http::head::parse(head.as_bytes(), &limits)
    else {
        panic!("not a head: {head}");
    };
    let fields = crate::request::RequestFields::sent(&head);
    let mut wishes = Wishes::of(&fields);
    wishes.heed_negotiate(&fields);
    wishes
}

const PRIORITY: [&str; 3] = ["en", "fr", "de"];

#[track_caller]
fn check(variants: &[&str], fields: &[&str], expected: Option<&str>) {
    check_with(variants, fields, &Policy { prefer: true, ..Policy::default() }, expected);
}

#[track_caller]
fn check_with(variants: &[&str], fields: &[&str], policy: &Policy<'_>, expected: Option<&str>) {
    let priority = PRIORITY.map(str::to_owned);
    let policy = Policy { priority: &priority, ..policy.clone() };
    let variants: Vec<Variant> = variants.iter().map(|line| variant(line)).collect();
    let chosen = choose(&variants, &wishes(fields), &policy);
    let name = chosen.map(|index| String::from_utf8(variants[index].name.clone()).unwrap());
    assert_eq!(name.as_deref(), expected, "{fields:?}");
}

const LANGUAGES: &[&str] =
    &["de text/html de", "en text/html en", "fr text/html fr", "ja text/html ja"];

#[test]
fn languages_by_quality_then_by_priority() {
    check(LANGUAGES, &[], Some("en"));
    check(LANGUAGES, &["Accept-Language: ja"], Some("ja"));
    check(LANGUAGES, &["Accept-Language: de;q=0.5, fr;q=0.8"], Some("fr"));
    check(LANGUAGES, &["Accept-Language: de, fr"], Some("fr"));
    check(LANGUAGES, &["Accept-Language: *"], Some("en"));
    check(LANGUAGES, &["Accept-Language: *;q=0.5, ja"], Some("ja"));
    check(LANGUAGES, &["Accept-Language: en-US"], Some("en"));
    check(LANGUAGES, &["Accept-Language: en-US, de;q=0.1"], Some("de"));
    check(LANGUAGES, &["Accept-Language: ko"], None);
    check(LANGUAGES, &["Accept-Language: en;q=0"], None);
    check(
        &["a text/html en-gb", "b text/html en"],
        &["Accept-Language: en-gb, en;q=0.5"],
        Some("a"),
    );
    check(&["a text/html ja", "b text/html"], &["Accept-Language: ko"], Some("b"));
    check(&["a text/html ja,de", "b text/html fr"], &["Accept-Language: fr;q=0.5, de"], Some("a"));
}

#[test]
fn fallback_and_preferred_language_come_before_nothing() {
    let fall_back = Policy { fall_back: true, ..Policy::default() };
    check_with(LANGUAGES, &["Accept-Language: ko"], &fall_back, Some("en"));
    check_with(&LANGUAGES[3..], &["Accept-Language: ko"], &fall_back, None);
    let french = Policy { language: Some(b"fr".to_vec()), ..Policy::default() };
    check_with(LANGUAGES, &["Accept-Language: ja"], &french, Some("fr"));
    let korean = Policy { language: Some(b"ko".to_vec()), ..Policy::default() };
    check_with(LANGUAGES, &["Accept-Language: ja"], &korean, Some("ja"));
}

#[test]
fn types_by_quality_and_source() {
    let both = ["html text/html - - - 1 100", "txt text/plain - - - 1 10"];
    check(&both, &[], Some("txt"));
    check(&both, &["Accept: text/html"], Some("html"));
    check(&both, &["Accept: text/html, */*"], Some("html"));
    check(&both, &["Accept: text/html;q=0.5, text/*"], Some("txt"));
    check(&both, &["Accept: text/*, text/plain;q=0"], Some("html"));
    check(&both, &["Accept: image/png"], None);
    check(&["a text/html - - - 0.3", "b text/plain - - - 0.5"], &[], Some("b"));
    check(&["a text/html - - - 0"], &[], None);
    check(
        &["two text/html", "three text/html;level=3"],
        &["Accept: text/html;level=3"],
        Some("three"),
    );
    check(&["three text/html;level=3", "two text/html"], &["Accept: */*"], Some("two"));
}

#[test]
fn programs_are_the_last_resort_unless_there_is_work() {
    let both = ["cgi application/x-httpd-cgi", "html text/html"];
    check(&both, &[], Some("html"));
    check(&both[..1], &["Accept: text/html"], Some("cgi"));
    let work = Policy { prefer_programs: true, ..Policy::default() };
    check_with(&both, &[], &work, Some("cgi"));
}

#[test]
fn encodings_and_charsets() {
    let both = ["gz text/html - - x-gzip 1 10", "plain text/html - - - 1 100"];
    check(&both, &[], Some("plain"));
    check(&both, &["Accept-Encoding: gzip"], Some("gz"));
    check(&both, &["Accept-Encoding: gzip;q=0"], Some("plain"));
    check(&both, &["Accept-Encoding: *"], Some("gz"));
    check(&both[..1], &["Accept-Encoding: identity"], None);
    check(&both, &["Accept-Encoding: identity;q=0, gzip;q=0"], None);
    let no_gzip = Policy { no_encodings: true, ..Policy::default() };
    check_with(&both, &["Accept-Encoding: gzip"], &no_gzip, Some("plain"));
    let charsets = ["latin text/html - iso-8859-1", "utf text/html - utf-8"];
    check(&charsets, &[], Some("utf"));
    check(&charsets, &["Accept-Charset: iso-8859-1"], Some("latin"));
    check(&charsets, &["Accept-Charset: iso-8859-1, *;q=0.1"], Some("latin"));
    check(&["x text/html - koi8-r"], &["Accept-Charset: utf-8"], None);
}

#[test]
fn whoever_chooses_by_itself_gets_the_list() {
    check(LANGUAGES, &["Negotiate: trans"], None);
    check(LANGUAGES, &["Negotiate: *", "Accept-Language: ja"], Some("ja"));
    check(LANGUAGES, &["Negotiate: 1.0", "Accept: text/html", "Accept-Language: ja"], Some("ja"));
    check(LANGUAGES, &["Negotiate: 1.0", "Accept: text/html", "Accept-Language: *"], None);
    check(
        LANGUAGES,
        &["Negotiate: trans", "User-Agent: Lynx/2.8", "Accept-Language: ja"],
        Some("ja"),
    );
}

fn any_variant() -> impl Strategy<Value = Variant> {
    let one_of = |words: &'static [&'static str]| proptest::sample::select(words);
    (
        one_of(&["text/html", "text/plain", "image/png", "text/html;level=3"]),
        one_of(&["", "en", "fr", "en-gb", "de"]),
        one_of(&["", "utf-8", "iso-8859-1"]),
        one_of(&["", "gzip", "x-compress"]),
        0..4_u8,
        0..3_u64,
    )
        .prop_map(|(media_type, language, charset, encoding, quality, length)| {
            let mut variant = Variant::default();
            variant.set_type(media_type.as_bytes());
            variant.charset = charset.into();
            variant.languages =
                Some(language.into()).filter(|tag: &Vec<u8>| !tag.is_empty()).into_iter().collect();
            variant.encoding = encoding.into();
            variant.source_quality = f32::from(quality) / 3.0;
            variant.length = length.checked_sub(1);
            variant
        })
}

fn any_field(
    name: &'static str,
    members: &'static [&'static str],
) -> impl Strategy<Value = String> {
    let member = (proptest::sample::select(members), 0..4_u8)
        .prop_map(|(name, quality)| format!("{name};q=0.{}", quality * 3));
    let list = proptest::collection::vec(member, 1..4);
    list.prop_map(move |list| format!("{name}: {}", list.join(", ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Nothing that the client has ruled out, or that counts nothing, is chosen; and if anything is acceptable,
    /// something is chosen.
    #[test]
    fn what_is_chosen_is_acceptable_and_the_best(
        variants in proptest::collection::vec(any_variant(), 1..6),
        accept in any_field("Accept", &["text/html", "text/*", "*/*", "image/png"]),
        language in any_field("Accept-Language", &["en", "en-gb", "fr", "*"]),
        encoding in any_field("Accept-Encoding", &["gzip", "compress", "identity", "*"]),
    ) {
        let wishes = wishes(&[&accept, &language, &encoding]);
        let priority = PRIORITY.map(str::to_owned);
        let policy = Policy { priority: &priority, prefer: true, ..Policy::default() };
        let chooser = Chooser::new(&variants, &wishes, &policy);
        let alone = |variant: &Variant| chooser.is_better(variant, &chooser.scores(variant), None);
        match choose(&variants, &wishes, &policy) {
            None => prop_assert!(!variants.iter().any(alone)),
            Some(best) => {
                prop_assert!(alone(&variants[best]));
                let score = |index: usize| {
                    let scores = chooser.scores(&variants[index]);
                    (scores.media_type * variants[index].source_quality, scores.language)
                };
                for other in (0..variants.len()).filter(|index| alone(&variants[*index])) {
                    prop_assert!(score(best) >= score(other));
                }
            }
        }
    }

    /// What is not acceptable has no say.
    #[test]
    fn what_cannot_be_chosen_changes_nothing(
        variants in proptest::collection::vec(any_variant(), 1..6),
        language in any_field("Accept-Language", &["en", "en-gb", "fr"]),
    ) {
        let wishes = wishes(&[&language]);
        let policy = Policy::default();
        let before = choose(&variants, &wishes, &policy);
        let mut more = variants.clone();
        more.push(Variant { source_quality: 0.0, ..variants[0].clone() });
        prop_assert_eq!(choose(&more, &wishes, &policy), before);
    }
}
