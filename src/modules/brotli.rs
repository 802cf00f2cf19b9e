//! # mod_brotli: how the filter BROTLI_COMPRESS compresses

use herdgate_conf::{Directive, Overrides};

use super::deflate::{AlterTag, alter_tag, filter_note, merge_notes};
use super::{HOST, Module};
use crate::config::HostSettings;
use crate::files::compress::{FilterNotes, Recipe};

/// mod_brotli's settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct Brotli {
    quality: Option<u8>,
    window_bits: Option<u8>,
    block_bits: Option<u8>,
    tag: Option<AlterTag>,
    notes: FilterNotes,
}

impl Brotli {
    /// What a virtual host sees that says `inner` within a main server that says `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            quality: inner.quality.or(self.quality),
            window_bits: inner.window_bits.or(self.window_bits),
            block_bits: inner.block_bits.or(self.block_bits),
            tag: inner.tag.or(self.tag),
            notes: merge_notes(&self.notes, &inner.notes),
        }
    }

    /// How to compress.
    pub fn recipe(&self) -> Recipe {
        Recipe::Brotli {
            quality: self.quality.unwrap_or(5),
            window_bits: self.window_bits.unwrap_or(18),
            block_bits: self.block_bits,
        }
    }

    /// `BrotliAlterETag`
    pub fn tag(&self) -> AlterTag {
        self.tag.unwrap_or_default()
    }

    /// `BrotliFilterNote`
    pub fn notes(&self) -> &FilterNotes {
        &self.notes
    }
}

pub(super) const MODULE: Module = Module {
    name: "brotli_module",
    file: "mod_brotli.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[
    Directive {
        name: "BrotliCompressionQuality",
        syntax: "BrotliCompressionQuality 0-11",
        default: Some("5"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How hard BROTLI_COMPRESS tries: 0 is the fastest, 11 the smallest, and very slow.",
        apply: |settings, args| {
            settings.brotli.quality = u8::try_from(args.number(0..=11)?).ok();
            Ok(())
        },
    },
    Directive {
        name: "BrotliCompressionWindow",
        syntax: "BrotliCompressionWindow 10-24",
        default: Some("18"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How far back BROTLI_COMPRESS looks for repetitions: 2 to the power of this many bytes.",
        apply: |settings, args| {
            settings.brotli.window_bits = u8::try_from(args.number(10..=24)?).ok();
            Ok(())
        },
    },
    Directive {
        name: "BrotliCompressionMaxInputBlock",
        syntax: "BrotliCompressionMaxInputBlock 16-24",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The size of input blocks: 2 to the power of this many bytes. Without it the quality decides.",
        apply: |settings, args| {
            settings.brotli.block_bits = u8::try_from(args.number(16..=24)?).ok();
            Ok(())
        },
    },
    Directive {
        name: "BrotliFilterNote",
        syntax: "BrotliFilterNote [Input|Output|Ratio] notename",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As DeflateFilterNote, for what BROTLI_COMPRESS does.",
        apply: |settings, args| filter_note(args, &mut settings.brotli.notes),
    },
    Directive {
        name: "BrotliAlterETag",
        syntax: "BrotliAlterETag AddSuffix|NoChange|Remove",
        default: Some("AddSuffix"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As DeflateAlterETag; the suffix is `-br`.",
        apply: |settings, args| {
            settings.brotli.tag = Some(alter_tag(args)?);
            Ok(())
        },
    },
];
