//! `RewriteMap`: what a key stands for, by a file or by arithmetic.
//!
//! ```text
//! # old      new              a line is a key and a value; a third word is a comment
//! /a.html    /b.html
//! static     one|two|three    rnd: any one of them
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use herdgate_conf::{Args, Problem};

use crate::files::open::OpenError;
use crate::http::escape::push_path;
use crate::log::{Level, Quoted};
use crate::request::{Request, Stop};

/// Where a map's answers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Map {
    /// `txt:file`
    Text(PathBuf),
    /// `rnd:file`
    Random(PathBuf),
    /// `int:function`
    Internal(Function),
}

/// `int:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    ToLower,
    ToUpper,
    Escape,
    Unescape,
}

/// What a map's file says.
pub(crate) type Table = HashMap<Box<[u8]>, Box<[u8]>>;

impl Map {
    /// Reads what stands behind the map's name.
    ///
    /// # Errors
    /// Unknown, not supported, or a file that does not exist.
    pub(super) fn parse(name: &str, args: &mut Args<'_>) -> Result<Map, Problem> {
        let word = args.required()?;
        let (kind, rest) = word.text.split_once(':').unwrap_or(("txt", &word.text));
        let file = || {
            let path = args.base().join(rest);
            if path.exists() {
                return Ok(path);
            }
            let path = path.display();
            Err(Problem::at(word, format!("file for map {name} not found:{path}")))
        };
        match kind.to_ascii_lowercase().as_str() {
            "txt" => Ok(Map::Text(file()?)),
            "rnd" => Ok(Map::Random(file()?)),
            "int" => Function::named(rest).map(Map::Internal).ok_or_else(|| {
                Problem::at(word, format!("internal map not found:{rest}"))
                    .help("one of tolower, toupper, escape and unescape")
            }),
            other if other == "prg" || other.starts_with("dbm") || other.ends_with("dbd") => {
                Err(Problem::at(word, format!("maps of the kind {kind} are not supported"))
                    .help("a text file does it: txt:FILE; it is read once for each change"))
            }
            _ => Err(Problem::at(word, format!("bad map:{}", word.text))),
        }
    }

    /// What `key` stands for; `None` if there is nothing.
    pub(super) fn look_up(
        &self,
        request: &mut Request<'_>,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, Stop> {
        let value = match self {
            Map::Internal(function) => Some(function.call(key)),
            Map::Text(file) => look_into(request, file, key)?,
            Map::Random(file) => {
                request.made_from.cannot_be_repeated();
                look_into(request, file, key)?.map(|value| any_of(&value))
            }
        };
        Ok(value.filter(|value| !value.is_empty()))
    }
}

fn look_into(
    request: &mut Request<'_>,
    file: &std::path::Path,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Stop> {
    let path = file.as_os_str().as_bytes();
    let (access, now) = (request.access, request.moment());
    let found = request.caches.rewrite_maps.get(path, |_| {}, access, now, table);
    request.made_from.saw_parsed(path, &found);
    match found {
        Ok(Some(table)) => Ok(table.meaning.get(key).map(|value| value.to_vec())),
        Err(OpenError::WouldBlock) => Err(Stop::WouldBlock),
        missing @ (Ok(None) | Err(_)) => {
            let why = missing.err().map(|error| format!(": {error}")).unwrap_or_default();
            request.log(Level::Error, "rewrite").say(format_args!(
                "AH00661: mod_rewrite: can't access text RewriteMap file {}{why}",
                Quoted(path)
            ));
            Ok(None)
        }
    }
}

/// The first line of a key counts.
fn table(text: &[u8]) -> Table {
    let mut table = Table::new();
    for line in text.split(|byte| *byte == b'\n') {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c);
        if line.first().is_none_or(|first| *first == b'#' || is_blank(first)) {
            continue;
        }
        let mut words = line.split(is_blank).filter(|word| !word.is_empty());
        if let (Some(key), Some(value)) = (words.next(), words.next()) {
            table.entry(key.into()).or_insert_with(|| value.into());
        }
    }
    table
}

/// One of the values between bars, by chance.
fn any_of(values: &[u8]) -> Vec<u8> {
    let list: Vec<&[u8]> = values.split(|byte| *byte == b'|').collect();
    // A new hasher has new keys: good enough to spread load, and no dice are needed.
    let dice = usize::try_from(RandomState::new().hash_one(values)).unwrap_or(usize::MAX);
    list[dice % list.len()].to_vec()
}

impl Function {
    fn named(name: &str) -> Option<Function> {
        Some(match name {
            "tolower" => Function::ToLower,
            "toupper" => Function::ToUpper,
            "escape" => Function::Escape,
            "unescape" => Function::Unescape,
            _ => return None,
        })
    }

    fn call(self, key: &[u8]) -> Vec<u8> {
        match self {
            Function::ToLower => key.to_ascii_lowercase(),
            Function::ToUpper => key.to_ascii_uppercase(),
            Function::Escape => {
                let mut escaped = Vec::with_capacity(key.len());
                push_path(&mut escaped, key);
                escaped
            }
            Function::Unescape => unescape(key),
        }
    }
}

/// Takes `%xx` back, where it is one; slashes and NULs stay as they are.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let decoded = match rest {
            [b'%', high, low, ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok())
            }
            _ => None,
        };
        rest = match decoded.filter(|byte| !matches!(byte, 0 | b'/')) {
            Some(byte) => {
                out.push(byte);
                &rest[3..]
            }
            None => {
                out.push(*first);
                tail
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_key_and_a_value_on_a_line() {
        let table = table(b"# a comment\na 1\n b 2\nc\t3 more\nd\na 9\r\ne 5\r\n");
        let get = |key: &str| table.get(key.as_bytes()).map(|value| &value[..]);
        assert_eq!(get("a"), Some(&b"1"[..]));
        assert_eq!(get("c"), Some(&b"3"[..]));
        assert_eq!(get("e"), Some(&b"5"[..]));
        assert_eq!((get("b"), get("d"), get("#")), (None, None, None));
    }

    #[test]
    fn chance_takes_one_of_the_values() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            seen.insert(any_of(b"one|two|three"));
        }
        assert_eq!(seen.len(), 3);
        assert_eq!(any_of(b"only"), b"only");
    }

    #[test]
    fn functions_change_the_key() {
        assert_eq!(Function::ToLower.call(b"AbC"), b"abc");
        assert_eq!(Function::ToUpper.call(b"AbC"), b"ABC");
        assert_eq!(Function::Escape.call(b"a b?/"), b"a%20b%3f/");
        assert_eq!(Function::Unescape.call(b"a%20b%2f%zz%0"), b"a b%2f%zz%0");
    }
}
