//! # mod_vhost_alias: a folder for each name that a client asks for
//!
//! ```text
//! VirtualDocumentRoot /srv/%0/docs          www.example.org ──▶ /srv/www.example.org/docs
//! VirtualDocumentRoot /srv/%3+/%2.1/%2      www.example.org ──▶ /srv/org/e/example
//! ```
//!
//! - `%N.M`: the N-th part of the name, of that the M-th letter; from the end with a minus, up to the end (or from the
//!   beginning) with a plus; 0 is the whole. What is not there is `_`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use herdgate_conf::{Args, Directive, Overrides, Problem};

use super::{HOST, Module};
use crate::config::HostSettings;
use crate::request::{Request, Stop};
use crate::route::alias::{self, Mapped};

/// mod_vhost_alias' settings of one host.
#[derive(Debug, Clone, Default)]
pub struct VhostAlias {
    /// `Some(None)` is `none`.
    root: Option<Option<Root>>,
}

#[derive(Debug, Clone)]
struct Root {
    by: By,
    parts: Vec<Part>,
}

/// What the name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The one that the server calls itself: `UseCanonicalName`.
    Name,
    /// Our end's address.
    Address,
}

/// A piece of a folder's name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `%p`
    Port,
    /// `%N.M`
    Name(Pick, Pick),
}

/// Which of several things, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Pick {
    /// 0 is all.
    number: usize,
    from_end: bool,
    /// And what lies beyond, away from where it is counted from.
    and_more: bool,
}

impl VhostAlias {
    /// The settings of virtual host `inner` within main server `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { root: inner.root.clone().or_else(|| self.root.clone()) }
    }
}

/// When a path is mapped: below the folder of the name.
pub(crate) fn translate(request: &mut Request<'_>) -> Result<Option<Mapped>, Stop> {
    let path = &request.place.path;
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    if path[slashes..].starts_with(b"cgi-bin/") {
        return Ok(None); // VirtualScriptAlias has these, which is not here.
    }
    match document_root(request) {
        None => Ok(None),
        Some(None) => Err(request.unmapped()),
        Some(Some(root)) => Ok(Some(alias::join_below(&root, path))),
    }
}

/// The folder of the name that is asked for. `None`: there is no such directive; `Some(None)`: the name leads astray.
pub(crate) fn document_root(request: &Request<'_>) -> Option<Option<PathBuf>> {
    let root = request.host().settings.vhost_alias.root.as_ref()?.as_ref()?;
    let names = request.names();
    let name = match root.by {
        By::Name => names.host.to_ascii_lowercase(),
        By::Address => request.local().ip().to_canonical().to_string(),
    };
    Some(root.fill(&name, names.port))
}

impl Root {
    fn parse(by: By, args: &mut Args<'_>) -> Result<Option<Root>, Problem> {
        let word = args.required()?;
        if word.text.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        if !word.text.starts_with('/') {
            return Err(Problem::at(word, "format string must start with '/', or be 'none'"));
        }
        let parts =
            parts(&word.text).ok_or_else(|| Problem::at(word, "syntax error in format string"))?;
        Ok(Some(Root { by, parts }))
    }

    /// The folder for a name; `None` if the name would lead out of where folders are.
    fn fill(&self, name: &str, port: u16) -> Option<PathBuf> {
        let mut folder = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => folder.push_str(text),
                Part::Port => folder.push_str(&port.to_string()),
                Part::Name(part, letters) => {
                    let picked = letters.letters(part.parts(name));
                    folder.push_str(picked);
                }
            }
        }
        let leads_astray = name.contains(['/', '\0'])
            || folder.split('/').any(|component| matches!(component, "." | ".."));
        let folder = Path::new(OsStr::from_bytes(folder.as_bytes()));
        (!leads_astray).then(|| folder.to_path_buf())
    }
}

/// Apache looks at so many parts of a name; the rest belongs to the last one.
const PARTS_MAX: usize = 19;

impl Pick {
    /// The chosen parts of a name.
    fn parts(self, name: &str) -> &str {
        let starts: Vec<usize> = std::iter::once(0)
            .chain(name.match_indices('.').map(|(dot, _)| dot + 1))
            .take(PARTS_MAX)
            .collect();
        let count = starts.len();
        let end_of = |number: usize| starts.get(number).map_or(name.len(), |next| next - 1);
        match self.number {
            0 => name,
            number if number > count => "_",
            number if !self.from_end => {
                let end = if self.and_more { name.len() } else { end_of(number) };
                &name[starts[number - 1]..end]
            }
            number => {
                let start = if self.and_more { 0 } else { starts[count - number] };
                &name[start..end_of(count - number + 1)]
            }
        }
    }

    /// The chosen letters of a part.
    fn letters(self, part: &str) -> &str {
        let range = match self.number {
            0 => 0..part.len(),
            number if number > part.len() => return "_",
            number if !self.from_end => number - 1..if self.and_more { part.len() } else { number },
            number => {
                let last = part.len() - number;
                if self.and_more { 0..last + 1 } else { last..last + 1 }
            }
        };
        part.get(range).unwrap_or("_")
    }
}

/// Takes a format string apart; `None` if it is none.
fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.find('%').unwrap_or(rest.len());
        if plain > 0 {
            parts.push(Part::Text(rest[..plain].to_owned()));
            rest = &rest[plain..];
            continue;
        }
        rest = &rest[1..];
        if let Some(after) = rest.strip_prefix('%') {
            parts.push(Part::Text("%".to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('p') {
            parts.push(Part::Port);
            rest = after;
        } else {
            let (part, after) = pick(rest)?;
            let (letters, after) = match after.strip_prefix('.') {
                Some(after) => pick(after)?,
                None => (Pick::default(), after),
            };
            parts.push(Part::Name(part, letters));
            rest = after;
        }
    }
    Some(parts)
}

/// `[-]N[+]`
fn pick(text: &str) -> Option<(Pick, &str)> {
    let rest = text.strip_prefix('-');
    let from_end = rest.is_some();
    let rest = rest.unwrap_or(text);
    let digit = rest.chars().next()?.to_digit(10)?;
    let rest = &rest[1..];
    let more = rest.strip_prefix('+');
    let pick = Pick { number: usize::try_from(digit).ok()?, from_end, and_more: more.is_some() };
    Some((pick, more.unwrap_or(rest)))
}

pub(super) const MODULE: Module = Module {
    name: "vhost_alias_module",
    file: "mod_vhost_alias.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[
    Directive {
        name: "VirtualDocumentRoot",
        syntax: "VirtualDocumentRoot interpolated-directory|none",
        default: Some("none"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The document root, made from the name that the server is asked by: `%0` is all of it, `%1` its first \
               part, `%-1` its last, `%2+` the second and all that follow, `%2.1` the first letter of the second; \
               `%p` is the port, `%%` a percent sign. It wins against DocumentRoot.",
        apply: |settings, args| {
            settings.vhost_alias.root = Some(Root::parse(By::Name, args)?);
            Ok(())
        },
    },
    Directive {
        name: "VirtualDocumentRootIP",
        syntax: "VirtualDocumentRootIP interpolated-directory|none",
        default: Some("none"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As VirtualDocumentRoot, by the address that the client has connected to.",
        apply: |settings, args| {
            settings.vhost_alias.root = Some(Root::parse(By::Address, args)?);
            Ok(())
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(format: &str, name: &str, expected: Option<&str>) {
        let root = Root { by: By::Name, parts: parts(format).unwrap() };
        assert_eq!(root.fill(name, 81), expected.map(PathBuf::from), "{format} of {name}");
    }

    #[test]
    fn parts_and_letters_of_a_name_are_picked() {
        let name = "www.domain.example.com";
        check("/v/%0", name, Some("/v/www.domain.example.com"));
        check("/v/%3+/%2.1/%2.2/%2.3/%2", name, Some("/v/example.com/d/o/m/domain"));
        check("/v/%3+/%2.-1/%2.-2/%2.-3/%2", name, Some("/v/example.com/n/i/a/domain"));
        check("/v/%2.4+", name, Some("/v/ain"));
        check("/v/%-2.0.%-1.0", name, Some("/v/example.com"));
        check("/v/%-2+", name, Some("/v/www.domain.example"));
        check("/v/%5/%1.4", name, Some("/v/_/_"));
        check("/v/%p/%%", name, Some("/v/81/%"));
        check("/v/%2.-2+", name, Some("/v/domai"));
    }

    #[test]
    fn a_name_cannot_lead_astray() {
        check("/v/%0", "..", None);
        check("/v/%1%2%3", "..", Some("/v/"));
        check("/v/%0/x", "a/../b", None);
        assert_eq!((parts("/%x"), parts("/%"), parts("/%1.")), (None, None, None));
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_folders(name in "[a-z./]{0,12}", format in "/v/(%-?[0-9][+]?(\\.-?[0-9][+]?)?/?){1,3}") {
            let root = Root { by: By::Name, parts: parts(&format).unwrap() };
            if let Some(folder) = root.fill(&name, 80) {
                prop_assert!(folder.starts_with("/v"));
                prop_assert!(folder.components().all(|part| part != std::path::Component::ParentDir));
            }
        }
    }
}
