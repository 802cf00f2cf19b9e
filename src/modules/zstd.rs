//! # Herdgate's own: how the filter ZSTD_COMPRESS compresses

use herdgate_conf::{Directive, Overrides};

use super::deflate::{AlterTag, alter_tag, filter_note, merge_notes};
use super::{HOST, Module};
use crate::config::HostSettings;
use crate::files::compress::{FilterNotes, Recipe};

/// Settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct Zstd {
    level: Option<u8>,
    tag: Option<AlterTag>,
    notes: FilterNotes,
}

impl Zstd {
    /// What a virtual host sees that says `inner` within a main server that says `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            level: inner.level.or(self.level),
            tag: inner.tag.or(self.tag),
            notes: merge_notes(&self.notes, &inner.notes),
        }
    }

    /// How to compress.
    pub fn recipe(&self) -> Recipe {
        Recipe::Zstd { level: self.level.unwrap_or(3) }
    }

    /// `ZstdAlterETag`
    pub fn tag(&self) -> AlterTag {
        self.tag.unwrap_or_default()
    }

    /// `ZstdFilterNote`
    pub fn notes(&self) -> &FilterNotes {
        &self.notes
    }
}

pub(super) const MODULE: Module = Module {
    name: "zstd_module",
    file: "mod_zstd.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[
    Directive {
        name: "ZstdCompressionLevel",
        syntax: "ZstdCompressionLevel 1-19",
        default: Some("3"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How hard ZSTD_COMPRESS tries: 1 is the fastest, 19 the smallest. Herdgate's own.",
        apply: |settings, args| {
            settings.zstd.level = u8::try_from(args.number(1..=19)?).ok();
            Ok(())
        },
    },
    Directive {
        name: "ZstdFilterNote",
        syntax: "ZstdFilterNote [Input|Output|Ratio] notename",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As DeflateFilterNote, for what ZSTD_COMPRESS does. Herdgate's own.",
        apply: |settings, args| filter_note(args, &mut settings.zstd.notes),
    },
    Directive {
        name: "ZstdAlterETag",
        syntax: "ZstdAlterETag AddSuffix|NoChange|Remove",
        default: Some("AddSuffix"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As DeflateAlterETag; the suffix is `-zstd`. Herdgate's own.",
        apply: |settings, args| {
            settings.zstd.tag = Some(alter_tag(args)?);
            Ok(())
        },
    },
];
