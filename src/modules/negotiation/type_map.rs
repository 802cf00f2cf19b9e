//! Type maps: a file that lists the forms of a resource.
//!
//! ```text
//! URI: guide.html.fr                     relative to the map
//! Content-Type: text/html; qs=0.8        qs: how good this form is
//! Content-Language: fr
//!                                        an empty line ends the form
//! Content-Type: text/plain
//! Body:END                               or the form stands right here, up to the word
//! Hello.
//! END
//! ```
//!
//! - A line that begins with `#` is a comment, and so is what stands in parentheses; a line that begins with a blank
//!   continues the one before it.

use super::accept::token;
use super::choose::Variant;

/// A file that was read. What is wrong in it is found out once.
#[derive(Debug, Default)]
pub(crate) struct TypeMap {
    /// The whole file, for the forms that stand in it.
    pub(super) text: Vec<u8>,
    /// In the order of the file.
    pub(super) variants: Vec<Variant>,
    /// Why the map ends early, if it does; what was read before holds.
    pub(super) ends_early: Option<String>,
    /// Why the map is none at all.
    pub(super) mistake: Option<String>,
}

impl TypeMap {
    /// Reads the text of a map.
    pub(super) fn parse(text: &[u8]) -> TypeMap {
        let mut map = TypeMap { text: text.to_vec(), ..TypeMap::default() };
        let mut lines = Lines { text, at: 0 };
        let mut form = Form::default();
        loop {
            match lines.next() {
                Line::Field(line) => match map.field(&line, &mut form, &mut lines) {
                    Ok(()) => {}
                    Err(End::Early(why)) => {
                        map.ends_early = Some(why);
                        return map;
                    }
                    Err(End::Mistake(why)) => {
                        map.mistake = Some(why);
                        return map;
                    }
                },
                Line::Empty => map.take(&mut form),
                Line::End => {
                    map.take(&mut form);
                    return map;
                }
            }
        }
    }

    /// The form is complete. One without a name or without any content is dropped.
    fn take(&mut self, form: &mut Form) {
        let form = std::mem::take(form);
        let has_place = !form.variant.name.is_empty() || form.variant.body.is_some();
        if has_place && form.has_content {
            self.variants.push(form.variant);
        }
    }

    fn field(&self, line: &[u8], form: &mut Form, lines: &mut Lines<'_>) -> Result<(), End> {
        let shown = || String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        let Some(colon) = memchr::memchr(b':', line) else {
            return Err(End::Mistake(format!(
                "AH00681: Syntax error in type map, no ':' in header {}",
                shown()
            )));
        };
        let name = line[..colon].to_ascii_lowercase();
        let value = without_comments(line[colon + 1..].trim_ascii_start());
        if value.is_empty() {
            return Err(End::Mistake(format!(
                "AH00682: Syntax error in type map --- no header body: {}",
                shown()
            )));
        }
        let variant = &mut form.variant;
        let mut rest = value.as_slice();
        match name.as_slice() {
            b"uri" => variant.name = token(&mut rest, false).to_vec(),
            b"content-type" => variant.set_type(rest),
            b"content-length" => {
                let number = token(&mut rest, false);
                let parsed = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
                let Some(length) = parsed else {
                    let number = String::from_utf8_lossy(number);
                    return Err(End::Early(format!(
                        "AH00684: Parse error in type map, Content-Length: '{number}' is invalid."
                    )));
                };
                variant.length = Some(length);
            }
            b"content-language" => variant.languages = languages(rest),
            b"content-encoding" => variant.encoding = token(&mut rest, false).to_vec(),
            b"description" => {
                let lines = value.trim_ascii_end().split(|byte| *byte == b'\n');
                variant.description = lines.collect::<Vec<_>>().join(&b' ');
            }
            b"body" => {
                let tag = value.trim_ascii_end();
                let Some(body) = lines.body(tag) else {
                    let tag = String::from_utf8_lossy(tag);
                    return Err(End::Early(format!(
                        "AH00685: Syntax error in type map, no end tag '{tag}' found for Body: content."
                    )));
                };
                variant.length = Some(body.1 as u64);
                variant.body = Some(body);
            }
            _ => {}
        }
        form.has_content |= matches!(
            name.as_slice(),
            b"content-type" | b"content-length" | b"content-language" | b"content-encoding"
        );
        Ok(())
    }
}

/// The form that is being read.
#[derive(Default)]
struct Form {
    variant: Variant,
    has_content: bool,
}

/// Why reading stops.
enum End {
    Early(String),
    Mistake(String),
}

fn languages(mut line: &[u8]) -> Vec<Vec<u8>> {
    let mut tags = Vec::new();
    while !line.is_empty() {
        tags.push(token(&mut line, false).to_ascii_lowercase());
        if let [b',' | b';', rest @ ..] = line {
            line = rest;
        }
    }
    tags
}

/// What stands in parentheses becomes blanks.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut is_comment = false;
    let visible = |byte: &u8| {
        is_comment |= *byte == b'(';
        let shown = if is_comment { b' ' } else { *byte };
        is_comment &= *byte != b')';
        shown
    };
    value.iter().map(visible).collect()
}

/// The lines of a map.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
}

enum Line {
    /// A field, with the lines that continue it.
    Field(Vec<u8>),
    /// An empty line.
    Empty,
    /// The end of the file.
    End,
}

impl<'t> Lines<'t> {
    fn next(&mut self) -> Line {
        let first = loop {
            match self.physical() {
                None => return Line::End,
                Some(line) if line.starts_with(b"#") => {}
                Some(line) => break line,
            }
        };
        if is_empty(first) {
            return Line::Empty;
        }
        let mut line = first.to_vec();
        // A form that stands in the map begins on the next line.
        if !first.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"body:")) {
            self.continue_line(&mut line);
        }
        Line::Field(line)
    }

    fn continue_line(&mut self, line: &mut Vec<u8>) {
        loop {
            let before = self.at;
            match self.physical() {
                Some(comment) if comment.starts_with(b"#") => {}
                Some(more) if more.starts_with(b" ") || more.starts_with(b"\t") => {
                    if is_empty(more) {
                        self.at = before;
                        return;
                    }
                    line.extend_from_slice(more.trim_ascii_start());
                }
                _ => {
                    self.at = before;
                    return;
                }
            }
        }
    }

    /// One line with its end; `None` at the end of the file.
    fn physical(&mut self) -> Option<&'t [u8]> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        self.at += length;
        Some(&rest[..length])
    }

    /// The text up to `tag`, and the rest of its line skipped: where it begins and how long it is.
    fn body(&mut self, tag: &[u8]) -> Option<(usize, usize)> {
        let start = self.at;
        let length = memchr::memmem::find(&self.text[start..], tag)?;
        self.at = start + length + tag.len();
        self.physical();
        Some((start, length))
    }
}

fn is_empty(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_are_separated_by_empty_lines() {
        let map = TypeMap::parse(
            b"# a map\nURI: a.html.en\nContent-type: text/html; qs=0.8 (good)\nContent-Language: en,\n  EN-gb\n\n\n\
              URI: a.fr\nDescription: en\n  fran\xc3\xa7ais\nContent-Type: text/plain;charset=UTF-8\n# c\n\
              Content-Encoding: gzip\nContent-Length: 12\n\nURI: nothing\n",
        );
        assert_eq!((map.mistake, map.ends_early), (None, None));
        let [html, plain] = map.variants.as_slice() else { panic!("{:?}", map.variants) };
        assert_eq!((html.name.as_slice(), html.source_quality), (&b"a.html.en"[..], 0.8));
        assert_eq!(html.languages, [b"en".to_vec(), b"en-gb".to_vec()]);
        assert_eq!(plain.description, "en fran\u{e7}ais".as_bytes());
        assert_eq!((plain.charset.as_slice(), plain.length), (&b"utf-8"[..], Some(12)));
        assert_eq!(plain.encoding, b"gzip");
    }

    #[test]
    fn a_form_may_stand_in_the_map() {
        let text = b"Content-Type: text/html\nBody:--x--\n<p>one\n\ntwo\n--x-- ignored\n\nURI: b\nContent-Language: de\n";
        let map = TypeMap::parse(text);
        assert_eq!(map.variants.len(), 2);
        let (start, length) = map.variants[0].body.unwrap();
        assert_eq!(&map.text[start..start + length], b"<p>one\n\ntwo\n");
        assert_eq!(map.variants[1].name, b"b");
    }

    #[test]
    fn mistakes_are_told() {
        let mistake = |text: &str| {
            let map = TypeMap::parse(text.as_bytes());
            map.mistake.or(map.ends_early).unwrap()
        };
        assert!(mistake("URI: a\nwhat\n").starts_with("AH00681"));
        assert!(mistake("URI:\n").starts_with("AH00682"));
        assert!(mistake("Content-Length: -1\n").starts_with("AH00684"));
        assert!(mistake("Body: END\ntext").starts_with("AH00685"));
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(text in "[a-zA-Z:;,#( )\n\t]{0,80}") {
            let map = TypeMap::parse(text.as_bytes());
            for variant in &map.variants {
                if let Some((start, length)) = variant.body {
                    prop_assert!(start + length <= text.len());
                }
            }
        }
    }
}
