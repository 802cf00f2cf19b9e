//! # From a URL's path to a file's path
//!
//! ```text
//! /icons/a.png ── Alias /icons /usr/share/icons ──▶ /usr/share/icons/a.png
//! /index.html  ── no alias: DocumentRoot /srv ────▶ /srv/index.html
//! ```
//!
//! - The path that comes in is decoded and normalised: no component of it is `..`.
//! - The path that goes out is lexically normal as well: absolute, without `.`, `..` or empty
//!   components. A trailing slash stays, since it says that a directory is meant.
//! - Aliases match whole components, so `/icons` does not match `/iconsets`, and the first match
//!   wins.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::modules::alias::{Alias, AliasFrom};
use crate::regex::Captures;

/// A file's path, which may or may not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// Absolute and lexically normal.
    pub file: PathBuf,
    /// How many bytes of it are the folder that must not be left: DocumentRoot, or an alias'
    /// target.
    pub root_bytes: usize,
    /// The URL path that the root is known by, where it is not the document root; empty: by none.
    pub prefix: Vec<u8>,
}

/// The target of an AliasMatch would leave its folder by `..`, or is not absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Escapes;

impl Mapped {
    /// The folder that must not be left.
    pub fn root(&self) -> &Path {
        let bytes = self.file.as_os_str().as_bytes();
        Path::new(std::ffi::OsStr::from_bytes(&bytes[..self.root_bytes]))
    }

    /// The URL path and the folder of the alias that led here.
    pub(crate) fn context(&self) -> Option<(&[u8], &[u8])> {
        let root = self.root().as_os_str().as_bytes();
        (!self.prefix.is_empty()).then_some((self.prefix.as_slice(), root))
    }

    /// The same, known by a URL path.
    pub(crate) fn known_by(self, prefix: &[u8]) -> Self {
        Mapped { prefix: prefix.to_vec(), ..self }
    }
}

/// Maps a decoded and normalised path by the first alias that matches; `None`: none does.
pub(crate) fn map(aliases: &[Arc<Alias>], path: &[u8]) -> Result<Option<Mapped>, Escapes> {
    for alias in aliases {
        match &alias.from {
            AliasFrom::Prefix(prefix) => {
                let Some(rest) = strip_prefix(path, prefix) else { continue };
                return Ok(Some(join(&alias.to, rest).known_by(prefix.as_bytes())));
            }
            AliasFrom::Pattern(regex) => {
                let Some(groups) = regex.captures(path) else { continue };
                return substituted(&alias.to, &groups).map(Some);
            }
        }
    }
    Ok(None)
}

/// What follows `prefix` in `path`, if that begins with all its components. A slash in the prefix
/// stands for any number of slashes in the path.
pub(crate) fn strip_prefix<'p>(path: &'p [u8], prefix: &str) -> Option<&'p [u8]> {
    let (mut prefix, mut rest) = (prefix.as_bytes(), path);
    let ends_in_slash = prefix.ends_with(b"/");
    while let [first, tail @ ..] = prefix {
        rest = rest.strip_prefix(std::slice::from_ref(first))?;
        prefix = tail;
        if *first == b'/' {
            prefix = without_slashes(prefix);
            rest = without_slashes(rest);
        }
    }
    (ends_in_slash || rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

fn without_slashes(text: &[u8]) -> &[u8] {
    let slashes = text.iter().take_while(|byte| **byte == b'/').count();
    &text[slashes..]
}

/// The document root with a path below it.
pub(crate) fn join_below(root: &Path, path: &[u8]) -> Mapped {
    let root_bytes = normal(root.as_os_str().as_bytes()).len();
    let text = [root.as_os_str().as_bytes(), b"/", path].concat();
    mapped(&text, root_bytes)
}

/// An alias' target with the rest of the path, as it is: `Alias /a/ /b` maps /a/c to /bc, as in
/// Apache.
pub(crate) fn join(target: &Path, rest: &[u8]) -> Mapped {
    let target = target.as_os_str().as_bytes();
    let root_bytes = normal(target).len();
    let whole_components = rest.is_empty() || rest.starts_with(b"/") || target.ends_with(b"/");
    let text = [target, rest].concat();
    // Glued to the last component, the rest leaves the target for a neighbour of it; its parent is
    // the root then.
    let root_bytes = if whole_components { root_bytes } else { parent_bytes(target) };
    mapped(&text, root_bytes)
}

/// A file's name as it is, below a folder that it must not leave, and does not: the folder is a prefix of it.
pub(crate) fn below(file: &[u8], folder: &[u8]) -> Mapped {
    mapped(file, normal(folder).len())
}

fn mapped(text: &[u8], root_bytes: usize) -> Mapped {
    let file = normal(text);
    // A root that ends in a slash, or is `/` itself, may be longer than the file within it.
    let root_bytes = root_bytes.min(file.len());
    Mapped { file: PathBuf::from(OsString::from_vec(file)), root_bytes, prefix: Vec::new() }
}

fn parent_bytes(path: &[u8]) -> usize {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash.max(1))
}

/// What an operator wrote, with `.` and `..` resolved on the text as Apache does; a slash at the end
/// stays. Sections and roots compare as text, so both must be in this form.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let mut components: Vec<&[u8]> = Vec::new();
    for component in bytes.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => _ = components.pop(),
            name => components.push(name),
        }
    }
    let is_folder = [b"/".as_slice(), b"/.", b"/.."].iter().any(|end| bytes.ends_with(end));
    let end: &[u8] = if is_folder && !components.is_empty() { b"/" } else { b"" };
    let text = [b"/", components.join(&b'/').as_slice(), end].concat();
    PathBuf::from(OsString::from_vec(text))
}

/// Without empty and `.` components; a slash at the end stays.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(path.len() + 1);
    let components = path.split(|byte| *byte == b'/');
    for component in components.filter(|component| !matches!(*component, b"" | b".")) {
        result.push(b'/');
        result.extend_from_slice(component);
    }
    if path.ends_with(b"/") || result.is_empty() {
        result.push(b'/');
    }
    result
}

/// The target of an AliasMatch with `$0` to `$9` replaced. What a client wrote is in it, so it is
/// checked again.
fn substituted(target: &Path, groups: &Captures<'_>) -> Result<Mapped, Escapes> {
    let target = target.as_os_str().as_bytes();
    let text = groups.substitute(target);
    let climbs = text.split(|byte| *byte == b'/').any(|component| component == b"..");
    if climbs || !text.starts_with(b"/") || text.contains(&0) {
        return Err(Escapes);
    }
    // What stands before the first group is what the operator wrote: its folder must not be left.
    let fixed = target.iter().position(|byte| *byte == b'$').unwrap_or(target.len());
    Ok(mapped(&text, parent_bytes(&[&normal(&target[..fixed]), b"x".as_slice()].concat())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::{Case, Regex};
    use herdgate_conf::{Sources, Span};
    use proptest::prelude::*;

    fn span() -> Span {
        let source = Sources::default().add("test", "Alias", None);
        Span { source, start: 0, end: 5 }
    }

    fn aliases() -> Vec<Arc<Alias>> {
        let prefix = |from: &str, to: &str| Alias {
            from: AliasFrom::Prefix(from.into()),
            to: to.into(),
            span: span(),
        };
        let list = [
            prefix("/icons", "/usr/share/icons"),
            prefix("/icons/small", "/never"),
            prefix("/glued/", "/data/b"),
            prefix("/slash/", "/data/c/"),
            Alias {
                from: AliasFrom::Pattern(Regex::new("^/~([a-z.]+)(.*)", Case::Counts).unwrap()),
                to: "/home/$1/www$2".into(),
                span: span(),
            },
        ];
        list.map(Arc::new).to_vec()
    }

    /// By the aliases, or below a document root.
    fn map_or_join(path: &str) -> Result<Mapped, Escapes> {
        let below = || join_below(Path::new("/srv"), path.as_bytes());
        Ok(map(&aliases(), path.as_bytes())?.unwrap_or_else(below))
    }

    #[track_caller]
    fn check(path: &str, expected: Result<(&str, &str), Escapes>) {
        let found = map_or_join(path);
        let expected = expected.map(|(file, root)| (PathBuf::from(file), PathBuf::from(root)));
        assert_eq!(found.map(|it| (it.file.clone(), it.root().to_path_buf())), expected, "{path}");
    }

    #[test]
    fn maps_to_the_document_root() {
        check("/", Ok(("/srv/", "/srv")));
        check("/a/b.html", Ok(("/srv/a/b.html", "/srv")));
        check("//a///b/", Ok(("/srv/a/b/", "/srv")));
        check("/iconsets", Ok(("/srv/iconsets", "/srv")));
        assert_eq!(map(&[], b"/"), Ok(None));
    }

    #[test]
    fn the_first_alias_wins() {
        check("/icons", Ok(("/usr/share/icons", "/usr/share/icons")));
        check("/icons/", Ok(("/usr/share/icons/", "/usr/share/icons")));
        check("//icons//small/a", Ok(("/usr/share/icons/small/a", "/usr/share/icons")));
        check("/slash", Ok(("/srv/slash", "/srv")));
        check("/slash/x", Ok(("/data/c/x", "/data/c/")));
        check("/glued/x", Ok(("/data/bx", "/data")));
    }

    #[test]
    fn alias_match_substitutes_and_cannot_climb() {
        check("/~anna/a.html", Ok(("/home/anna/www/a.html", "/home")));
        check("/~../etc", Err(Escapes));
    }

    #[test]
    fn operators_paths_are_resolved_on_the_text() {
        for (written, expected) in [
            ("/", "/"),
            ("/a/../b", "/b"),
            ("/a//b/./c/", "/a/b/c/"),
            ("/../..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(lexical(Path::new(written)).as_os_str(), expected, "{written}");
        }
    }

    #[test]
    fn a_slash_in_the_prefix_stands_for_many() {
        assert_eq!(strip_prefix(b"/a//b/c", "/a/b"), Some(b"/c".as_slice()));
        assert_eq!(strip_prefix(b"/a/bc", "/a/b"), None);
        assert_eq!(strip_prefix(b"/a", "/a/"), None);
        assert_eq!(strip_prefix(b"/a///b", "/a/"), Some(b"b".as_slice()));
        assert_eq!(strip_prefix(b"/anything", "/"), Some(b"anything".as_slice()));
    }

    proptest! {
        #[test]
        fn a_mapped_path_stays_below_its_root(path in "(/[a-z.~]{0,4}){0,6}/?") {
            let climbs = path.split('/').any(|component| component == "..");
            prop_assume!(!climbs);
            if let Ok(mapped) = map_or_join(&path) {
                let text = mapped.file.to_str().unwrap().to_string();
                prop_assert!(mapped.file.starts_with(mapped.root()), "{text}");
                prop_assert!(!text.contains("//") && !text.contains("/./"), "{text}");
                prop_assert!(text.split('/').all(|component| component != ".."), "{text}");
            }
        }
    }
}
