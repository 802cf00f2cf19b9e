//! # mod_dir: what a URL that names a directory means
//!
//! ```text
//! /docs   ──DirectorySlash──▶ redirect to /docs/
//! /docs/  ──DirectoryIndex──▶ the first of its names that exists, else a listing or 403
//! /gone   ──FallbackResource▶ one page for all that does not exist
//! ```

use herdgate_conf::{Directive, Overrides, Problem};

use super::{EVERYWHERE, Module};
use crate::config::DirSettings;

/// mod_dir's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Dir {
    /// The lines of one section add up; a deeper section's replace the outer ones.
    index: Option<Vec<String>>,
    slash: Option<bool>,
    fallback: Option<Option<String>>,
    /// A status, or none for Off.
    index_redirect: Option<Option<u16>>,
    check_handler: Option<bool>,
}

impl Dir {
    /// `DirectoryIndex`: names to try, in order; empty when disabled.
    pub fn index(&self) -> impl Iterator<Item = &str> {
        let names = self.index.as_deref();
        let default = if names.is_none() { Some("index.html") } else { None };
        names.unwrap_or_default().iter().map(String::as_str).chain(default)
    }

    /// `DirectorySlash`: whether a directory's URL without a slash is redirected to the one with
    /// it.
    pub fn slash(&self) -> bool {
        self.slash.unwrap_or(true)
    }

    /// `FallbackResource`: a path of this server, for what does not exist.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_ref()?.as_deref()
    }

    /// `DirectoryIndexRedirect`: the status of a redirect to the index file; `None`: it answers in the folder's place.
    pub fn index_redirect(&self) -> Option<u16> {
        self.index_redirect.flatten()
    }

    /// `DirectoryCheckHandler`: whether a folder that has a handler of its own has no index file.
    pub fn check_handler(&self) -> bool {
        self.check_handler.unwrap_or(false)
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            index: inner.index.clone().or_else(|| self.index.clone()),
            slash: inner.slash.or(self.slash),
            fallback: inner.fallback.clone().or_else(|| self.fallback.clone()),
            index_redirect: inner.index_redirect.or(self.index_redirect),
            check_handler: inner.check_handler.or(self.check_handler),
        }
    }
}

pub(super) const MODULE: Module =
    Module { name: "dir_module", file: "mod_dir.c", server: &[], host: &[], directory: DIRECTIVES };

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "DirectoryIndex",
        syntax: "DirectoryIndex disabled|local-url...",
        default: Some("index.html"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "The files to look for, in this order, when a URL names a directory. Lines of one \
               section add up; `disabled` alone forgets them.",
        apply: |settings, args| {
            let names = settings.dir.index.get_or_insert_default();
            let first = args.required()?;
            if args.remaining() == 0 && first.text.eq_ignore_ascii_case("disabled") {
                names.clear();
                return Ok(());
            }
            names.push(first.text.clone());
            names.extend(args.map(|word| word.text.clone()));
            Ok(())
        },
    },
    Directive {
        name: "DirectorySlash",
        syntax: "DirectorySlash On|Off",
        default: Some("On"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "Whether a URL that names a directory without a slash at its end is redirected to \
               the one with it. Without the slash, relative links of the index file lead astray, \
               and the directory may be listed although it has an index file.",
        apply: |settings, args| {
            settings.dir.slash = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "DirectoryIndexRedirect",
        syntax: "DirectoryIndexRedirect On|Off|permanent|temp|seeother|3xx",
        default: Some("Off"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "Whether a client that asks for a directory is redirected to its index file, and with which status; \
               On is 302. The query is not kept.",
        apply: |settings, args| {
            let word = args.required()?;
            let status = match word.text.to_ascii_lowercase().as_str() {
                "on" | "temp" => Some(302),
                "off" => None,
                "permanent" => Some(301),
                "seeother" => Some(303),
                number => match number.parse() {
                    Ok(status @ 300..=399) => Some(status),
                    _ => {
                        let message = "DirectoryIndexRedirect must be On, Off, permanent, temp, seeother or a status \
                                       from 300 to 399";
                        return Err(Problem::at(word, message));
                    }
                },
            };
            settings.dir.index_redirect = Some(status);
            Ok(())
        },
    },
    Directive {
        name: "DirectoryCheckHandler",
        syntax: "DirectoryCheckHandler On|Off",
        default: Some("Off"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "Whether a directory that SetHandler gives a handler is left to that, and no index file is looked for.",
        apply: |settings, args| {
            settings.dir.check_handler = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "FallbackResource",
        syntax: "FallbackResource disabled|local-url",
        default: Some("disabled"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "The path of a page that answers, with status 200, for everything that does not \
               exist. `herdgate serve --spa` sets it to /index.html.",
        apply: |settings, args| {
            let url = args.word()?;
            let disabled = url.eq_ignore_ascii_case("disabled");
            settings.dir.fallback = Some(if disabled { None } else { Some(url.to_string()) });
            Ok(())
        },
    },
];
