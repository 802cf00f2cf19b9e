//! # mod_alias: URLs that lie outside the document root
//!
//! ```text
//! Alias /icons /usr/share/icons      /icons/a.png ──▶ /usr/share/icons/a.png
//! AliasMatch ^/~(\w+)(.*) /home/$1/www$2
//! ```
//!
//! The first alias that matches wins, not the longest; a virtual host's stand before the main
//! server's. `route::alias` does the matching.

use std::path::PathBuf;

use herdgate_conf::{Args, Directive, Overrides, Problem, Span};

use super::{HOST, Module};
use crate::config::HostSettings;
use crate::regex::{Case, Regex};
use crate::route::alias::{lexical, strip_prefix};

/// mod_alias' settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct Aliases {
    list: Vec<Alias>,
}

/// One alias.
#[derive(Debug, Clone)]
pub struct Alias {
    /// What the decoded path must look like.
    pub from: AliasFrom,
    /// Where it lies. For a pattern, with `$0` to `$9` in it.
    pub to: PathBuf,
    /// Where it was written.
    pub span: Span,
}

/// What an alias matches.
#[derive(Debug, Clone)]
pub enum AliasFrom {
    /// Whole components of the path.
    Prefix(String),
    /// Any part of the path.
    Pattern(Regex),
}

impl Aliases {
    /// In the order in which they are tried.
    pub fn list(&self) -> &[Alias] {
        &self.list
    }

    /// The settings of virtual host `inner` within main server `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { list: [inner.list.as_slice(), self.list.as_slice()].concat() }
    }
}

pub(super) const MODULE: Module = Module {
    name: "alias_module",
    file: "mod_alias.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[
    Directive {
        name: "Alias",
        syntax: "Alias URL-path file-path",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Serves a URL path, and what lies below it, from a place outside DocumentRoot. The \
               first Alias that matches wins. The form with one argument in <Location> is not \
               supported yet.",
        apply: |settings, args| {
            let from = args.required()?;
            if !from.text.starts_with('/') {
                return Err(Problem::at(from, "the URL path must begin with a slash"));
            }
            let to = lexical(&args.path()?);
            warn_if_shadowed(&settings.alias, args, &from.text);
            let from = AliasFrom::Prefix(from.text.clone());
            settings.alias.list.push(Alias { from, to, span: args.line().name.span });
            Ok(())
        },
    },
    Directive {
        name: "AliasMatch",
        syntax: "AliasMatch regex file-path",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As Alias, for URL paths that contain the regular expression; $0 to $9 in the file \
               path stand for what its groups matched.",
        apply: |settings, args| {
            let from = AliasFrom::Pattern(Regex::of_word(args.required()?, Case::Counts)?);
            let to = args.path()?;
            settings.alias.list.push(Alias { from, to, span: args.line().name.span });
            Ok(())
        },
    },
];

fn warn_if_shadowed(aliases: &Aliases, args: &mut Args<'_>, path: &str) {
    let shadows = |alias: &&Alias| match &alias.from {
        AliasFrom::Prefix(prefix) => strip_prefix(path.as_bytes(), prefix).is_some(),
        AliasFrom::Pattern(_) => false,
    };
    if aliases.list.iter().any(|alias| shadows(&alias)) {
        let message =
            "The Alias directive will probably never match because it overlaps an earlier Alias.";
        let name = args.line().name.span;
        args.warn(Problem::at(name, message).help("put the longer path first"));
    }
}
