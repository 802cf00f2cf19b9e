//! JSON for scripts (RFC 8259): written, never read.

use std::fmt::Write as _;

/// An object that is being written.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    pub(super) fn raw(&mut self, key: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{comma}{}:{value}", quoted(key));
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &quoted(value));
    }

    pub(super) fn whole(&mut self, key: &str, value: impl Into<i128>) {
        self.raw(key, &value.into().to_string());
    }

    pub(super) fn whole_or_null(&mut self, key: &str, value: Option<impl Into<i128>>) {
        self.raw_or_null(key, value.map(|value| value.into().to_string()));
    }

    pub(super) fn raw_or_null(&mut self, key: &str, value: Option<String>) {
        self.raw(key, value.as_deref().unwrap_or("null"));
    }

    pub(super) fn number(&mut self, key: &str, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        self.raw_or_null(key, value.map(|value| format!("{value:.3}")));
    }

    pub(super) fn list(&mut self, key: &str, values: impl Iterator<Item = String>) {
        self.raw(key, &format!("[{}]", values.collect::<Vec<_>>().join(",")));
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// RFC 8259, section 7. What is not ASCII is escaped as well: clients choose these words.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_escaped_as_the_rfc_says() {
        assert_eq!(quoted("a\"\\\n\u{1b}é😀"), r#""a\"\\\u000a\u001b\u00e9\ud83d\ude00""#);
    }
}
