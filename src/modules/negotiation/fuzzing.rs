//! What must hold for every type map and every wish, see [`crate::fuzzing`].

use super::accept::Wishes;
use super::choose::{Policy, choose};
use super::lists;
use super::type_map::TypeMap;
use crate::fuzzing::parts;
use crate::http::field::is_value;
use crate::request::RequestFields;

/// A type map, then the values of Accept, Accept-Language, Accept-Encoding, Accept-Charset and Negotiate.
pub(crate) fn check(bytes: &[u8]) {
    let [text, wishes @ ..] = parts::<6>(bytes);
    let map = TypeMap::parse(text);
    for (start, length) in map.variants.iter().filter_map(|variant| variant.body) {
        assert!(start + length <= text.len(), "a form that stands in the map is a part of it");
    }
    for variant in &map.variants {
        assert!((0.0..=1.0).contains(&variant.source_quality) && !variant.level.is_nan());
        assert!(!variant.name.is_empty() || variant.body.is_some(), "it stands somewhere");
    }

    let mut fields = RequestFields::none();
    let names = ["Accept", "Accept-Language", "Accept-Encoding", "Accept-Charset", "Negotiate"];
    fields.replace(names.iter().zip(wishes).map(|(name, value)| (name.as_bytes(), value)));
    let mut wishes = Wishes::of(&fields);
    let policy = Policy { prefer: true, fall_back: true, ..Policy::default() };
    for _ in 0..2 {
        let lists = [&wishes.types, &wishes.languages, &wishes.encodings, &wishes.charsets];
        for wanted in lists.into_iter().flatten().flatten() {
            assert!((0.0..=1.0).contains(&wanted.quality) && !wanted.level.is_nan());
        }
        let chosen = choose(&map.variants, &wishes, &policy);
        assert!(chosen.is_none_or(|index| index < map.variants.len()));
        // A form that the policy forbids is never chosen, whoever asks for it.
        let plain = Policy { no_encodings: true, ..Policy::default() };
        if let Some(index) = choose(&map.variants, &wishes, &plain) {
            let encoding = map.variants[index].encoding.as_slice();
            assert!(matches!(encoding, b"" | b"7bit" | b"8bit" | b"binary" | b"identity"));
        }
        wishes.heed_negotiate(&fields);
    }
    assert!(is_value(lists::vary(&map.variants, true).as_bytes()));
    let _page = (lists::alternates(&map.variants), lists::html(&map.variants));
}
