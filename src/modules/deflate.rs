//! # mod_deflate: how the filter DEFLATE compresses
//!
//! ```text
//! AddOutputFilterByType DEFLATE text/html      who is compressed: mod_filter, core, mod_mime
//! DeflateCompressionLevel 6                    how: here; request::filters does it
//! ```

use herdgate_conf::{Args, Directive, Overrides, Problem};

use super::{EVERYWHERE, HOST, Module};
use crate::config::{DirSettings, HostSettings};
use crate::files::compress::{FilterNotes, Recipe};

/// mod_deflate's settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct Deflate {
    level: Option<u32>,
    window_bits: Option<u8>,
    tag: Option<AlterTag>,
    notes: FilterNotes,
}

/// What becomes of the entity tag of content that is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AlterTag {
    /// It gets a suffix, so that both forms have a tag of their own.
    #[default]
    AddSuffix,
    /// It stays, although the bytes are others.
    NoChange,
    /// It goes.
    Remove,
}

impl Deflate {
    /// What a virtual host sees that says `inner` within a main server that says `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            level: inner.level.or(self.level),
            window_bits: inner.window_bits.or(self.window_bits),
            tag: inner.tag.or(self.tag),
            notes: merge_notes(&self.notes, &inner.notes),
        }
    }

    /// How to compress.
    pub fn recipe(&self) -> Recipe {
        Recipe::Gzip { level: self.level, window_bits: self.window_bits.unwrap_or(WINDOW_BITS_MAX) }
    }

    /// `DeflateAlterETag`
    pub fn tag(&self) -> AlterTag {
        self.tag.unwrap_or_default()
    }

    /// `DeflateFilterNote`
    pub fn notes(&self) -> &FilterNotes {
        &self.notes
    }
}

const WINDOW_BITS_MAX: u8 = 15;

pub(super) fn merge_notes(outer: &FilterNotes, inner: &FilterNotes) -> FilterNotes {
    let either = |inner: &Option<String>, outer: &Option<String>| inner.clone().or(outer.clone());
    FilterNotes {
        input: either(&inner.input, &outer.input),
        output: either(&inner.output, &outer.output),
        ratio: either(&inner.ratio, &outer.ratio),
    }
}

pub(super) const MODULE: Module = Module {
    name: "deflate_module",
    file: "mod_deflate.c",
    server: &[],
    host: DIRECTIVES,
    directory: LIMITS,
};

const DIRECTIVES: &[Directive<HostSettings>] = &[
    Directive {
        name: "DeflateCompressionLevel",
        syntax: "DeflateCompressionLevel 1-9",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How hard DEFLATE tries: 1 is the fastest, 9 the smallest. Without it zlib's own choice, 6.",
        apply: |settings, args| {
            settings.deflate.level = Some(u32::try_from(args.number(1..=9)?).unwrap_or(6));
            Ok(())
        },
    },
    Directive {
        name: "DeflateMemLevel",
        syntax: "DeflateMemLevel 1-9",
        default: Some("9"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Without effect: Apache's memory for compression, and the library that Herdgate uses has one size.",
        apply: |_, args| args.number(1..=9).map(|_| ()),
    },
    Directive {
        name: "DeflateWindowSize",
        syntax: "DeflateWindowSize 1-15",
        default: Some("15"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How far back DEFLATE looks for repetitions: 2 to the power of this many bytes. Less than 9 counts as 9.",
        apply: |settings, args| {
            let bits = u8::try_from(args.number(1..=15)?).unwrap_or(WINDOW_BITS_MAX);
            settings.deflate.window_bits = Some(bits.max(9));
            Ok(())
        },
    },
    Directive {
        name: "DeflateBufferSize",
        syntax: "DeflateBufferSize bytes",
        default: Some("8096"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Without effect: Apache's size of a piece of compressed output. Here small files are compressed as a whole, \
               long ones in pieces of 16 KiB and more.",
        apply: |_, args| args.number(1..).map(|_| ()),
    },
    Directive {
        name: "DeflateFilterNote",
        syntax: "DeflateFilterNote [Input|Output|Ratio] notename",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Notes for the log (`%{notename}n`) how many bytes went in, came out, or came out in per cent of what went \
               in, which is also meant without a type.",
        apply: |settings, args| filter_note(args, &mut settings.deflate.notes),
    },
    Directive {
        name: "DeflateAlterETag",
        syntax: "DeflateAlterETag AddSuffix|NoChange|Remove",
        default: Some("AddSuffix"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "What becomes of the entity tag of content that is compressed. With AddSuffix `\"abc\"` becomes \
               `\"abc-gzip\"`; a client that has that version is told 304, which Apache never does.",
        apply: |settings, args| {
            settings.deflate.tag = Some(alter_tag(args)?);
            Ok(())
        },
    },
];

/// Limits for the decompression of what clients send, which nobody here does.
const LIMITS: &[Directive<DirSettings>] = &[
    Directive {
        name: "DeflateInflateLimitRequestBody",
        syntax: "DeflateInflateLimitRequestBody bytes",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::ALL,
        docs: "Without effect: the size of a decompressed request body, and none is decompressed. LimitRequestBody holds \
               for all.",
        apply: |_, args| args.number(0..).map(|_| ()),
    },
    Directive {
        name: "DeflateInflateRatioLimit",
        syntax: "DeflateInflateRatioLimit number",
        default: Some("200"),
        contexts: EVERYWHERE,
        overrides: Overrides::ALL,
        docs: "Without effect: how far a request body may grow by decompression.",
        apply: |_, args| args.number(1..).map(|_| ()),
    },
    Directive {
        name: "DeflateInflateRatioBurst",
        syntax: "DeflateInflateRatioBurst number",
        default: Some("3"),
        contexts: EVERYWHERE,
        overrides: Overrides::ALL,
        docs: "Without effect: how often DeflateInflateRatioLimit may be exceeded.",
        apply: |_, args| args.number(1..).map(|_| ()),
    },
];

pub(super) fn filter_note(args: &mut Args<'_>, notes: &mut FilterNotes) -> Result<(), Problem> {
    let note = if args.remaining() < 2 {
        &mut notes.ratio
    } else {
        match args.choice(&[("Input", 0), ("Output", 1), ("Ratio", 2)])? {
            0 => &mut notes.input,
            1 => &mut notes.output,
            _ => &mut notes.ratio,
        }
    };
    *note = Some(args.word()?.to_string());
    Ok(())
}

pub(super) fn alter_tag(args: &mut Args<'_>) -> Result<AlterTag, Problem> {
    args.choice(&[
        ("AddSuffix", AlterTag::AddSuffix),
        ("NoChange", AlterTag::NoChange),
        ("Remove", AlterTag::Remove),
    ])
}
