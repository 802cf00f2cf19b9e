//! What is said about the variants: to caches (Vary), to programs (Alternates) and to people.

use super::choose::Variant;
use crate::http::escape::{push_html, push_path};

/// Vary: what else the client might have said to get something else. Longer than it must be at times: that a wish
/// rules one variant out is not looked at.
pub(super) fn vary(variants: &[Variant], is_transparent: bool) -> String {
    fn differs<T: PartialEq>(variants: &[Variant], of: impl Fn(&Variant) -> T) -> bool {
        variants.iter().skip(1).any(|variant| of(variant) != of(&variants[0]))
    }
    let by = [
        (is_transparent, "negotiate"),
        (differs(variants, |it| it.media_type.clone()), "accept"),
        (differs(variants, |it| it.languages.clone()), "accept-language"),
        (differs(variants, |it| it.charset.clone()), "accept-charset"),
        (differs(variants, |it| it.encoding.clone()), "accept-encoding"),
    ];
    let names: Vec<&str> = by.into_iter().filter(|(it, _)| *it).map(|(_, name)| name).collect();
    names.join(",")
}

/// Alternates (RFC 2295 section 8.3).
pub(super) fn alternates(variants: &[Variant]) -> Vec<u8> {
    let mut list = Vec::new();
    for variant in variants {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(b"{\"");
        push_path(&mut list, &variant.name);
        list.extend_from_slice(format!("\" {}", short(variant.source_quality)).as_bytes());
        let length = variant.length.filter(|_| !variant.has_handler);
        let length = length.map(|length| length.to_string().into_bytes()).unwrap_or_default();
        let languages = variant.languages.join(&b',');
        for (name, value) in [
            ("type", &variant.media_type),
            ("charset", &variant.charset),
            ("language", &languages),
            ("encoding", &variant.encoding),
            ("length", &length),
        ] {
            if !value.is_empty() {
                list.extend_from_slice(format!(" {{{name} ").as_bytes());
                list.extend_from_slice(value);
                list.push(b'}');
            }
        }
        list.push(b'}');
    }
    list
}

/// Three decimals at most, and none for a whole number.
fn short(quality: f32) -> String {
    let text = format!("{quality:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The list for people, as HTML.
pub(super) fn html(variants: &[Variant]) -> Vec<u8> {
    let mut html = b"Available variants:\n<ul>\n".to_vec();
    for variant in variants {
        let mut url = Vec::new();
        push_path(&mut url, &variant.name);
        html.extend_from_slice(b"<li><a href=\"");
        push_html(&mut html, &url);
        html.extend_from_slice(b"\">");
        push_html(&mut html, &variant.name);
        html.extend_from_slice(b"</a> ");
        html.extend_from_slice(&variant.description); // HTML, as AddDescription's.
        for (name, value) in [
            ("type", &variant.media_type),
            ("language", &variant.languages.join(&b',')),
            ("charset", &variant.charset),
            ("encoding", &variant.encoding),
        ] {
            if !value.is_empty() {
                html.extend_from_slice(format!(", {name} ").as_bytes());
                push_html(&mut html, value);
            }
        }
        html.extend_from_slice(b"</li>\n");
    }
    html.extend_from_slice(b"</ul>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variants() -> [Variant; 2] {
        let html = Variant {
            name: b"a<b>.html.en".to_vec(),
            media_type: b"text/html".to_vec(),
            source_quality: 1.0,
            languages: vec![b"en".to_vec()],
            length: Some(12),
            ..Variant::default()
        };
        let plain = Variant {
            name: b"a.txt.gz".to_vec(),
            media_type: b"text/plain".to_vec(),
            source_quality: 0.25,
            encoding: b"gzip".to_vec(),
            ..html.clone()
        };
        [html, plain]
    }

    #[test]
    fn vary_names_what_differs() {
        assert_eq!(vary(&variants(), true), "negotiate,accept,accept-encoding");
        assert_eq!(vary(&variants()[..1], false), "");
    }

    #[test]
    fn alternates_tell_all_that_is_known() {
        assert_eq!(
            String::from_utf8(alternates(&variants())).unwrap(),
            "{\"a%3cb%3e.html.en\" 1 {type text/html} {language en} {length 12}}, \
             {\"a.txt.gz\" 0.25 {type text/plain} {language en} {encoding gzip} {length 12}}"
        );
    }

    #[test]
    fn the_list_for_people_is_escaped() {
        assert_eq!(
            String::from_utf8(html(&variants())).unwrap(),
            "Available variants:\n<ul>\n\
             <li><a href=\"a%3cb%3e.html.en\">a&lt;b&gt;.html.en</a> , type text/html, language en</li>\n\
             <li><a href=\"a.txt.gz\">a.txt.gz</a> , type text/plain, language en, encoding gzip</li>\n\
             </ul>\n"
        );
    }
}
