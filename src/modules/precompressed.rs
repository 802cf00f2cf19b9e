//! # Herdgate's own: files that were compressed beforehand
//!
//! ```text
//! Precompressed On      page.html.br, page.html.zst and page.html.gz stand beside page.html:
//!                       who accepts one of these codings is sent that file, as it is
//! ```
//!
//! `request::file` looks for them.

use std::sync::Arc;

use herdgate_conf::{Directive, Overrides, Problem};

use super::{EVERYWHERE, Module};
use crate::config::DirSettings;
use crate::http::coding::Coding;

/// Settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Precompressed {
    codings: Option<Arc<[Coding]>>,
}

/// What `On` looks for: the smallest first.
const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

impl Precompressed {
    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { codings: inner.codings.clone().or_else(|| self.codings.clone()) }
    }

    /// The codings that files are looked for in, the best first.
    pub fn codings(&self) -> &[Coding] {
        self.codings.as_deref().unwrap_or_default()
    }
}

pub(super) const MODULE: Module = Module {
    name: "precompressed_module",
    file: "mod_precompressed.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[Directive {
    name: "Precompressed",
    syntax: "Precompressed On|Off|coding...",
    default: Some("Off"),
    contexts: EVERYWHERE,
    overrides: Overrides::FILE_INFO,
    docs: "Sends FILE.br, FILE.zst or FILE.gz in the place of FILE, with FILE's type, to whoever accepts the coding: \
           all of them, or those named (br, zstd, gzip), of which the client's favourite is taken, and among equals the \
           first. It costs no computing, and a compressed file has a length, ranges and an entity tag of its own. That \
           these files are up to date is for whoever writes them to see to. Herdgate's own.",
    apply: |settings, args| {
        let mut codings = Vec::new();
        let first = args.required()?;
        for word in std::iter::once(first).chain(args.by_ref()) {
            match word.text.to_ascii_lowercase().as_str() {
                "on" => codings.extend(ALL),
                "off" => codings.clear(),
                "br" => codings.push(Coding::Brotli),
                "zstd" => codings.push(Coding::Zstd),
                "gzip" => codings.push(Coding::Gzip),
                other => {
                    let message = format!("{other:?} is no coding");
                    return Err(Problem::at(word, message).help("On, Off, br, zstd or gzip"));
                }
            }
        }
        settings.precompressed.codings = Some(codings.into());
        Ok(())
    },
}];
