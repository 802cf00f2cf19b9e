//! # mod_mime: what the extensions of a file's name say about it
//!
//! ```text
//! guide.fr.html.gz   every extension is looked at, from left to right
//!       │   │    └─ AddEncoding: gzip             encodings and languages add up,
//!       │   └────── TypesConfig: text/html        of types and charsets the last one counts,
//!       └────────── AddLanguage: fr               and AddType wins against TypesConfig
//! ```
//!
//! - Extensions are compared in lower case; those that nobody knows are skipped.
//! - Nothing known means no Content-Type at all: the client may guess, we do not.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use herdgate_conf::{Args, Directive, Overrides, Problem, Span, Word};
use smallvec::SmallVec;

use super::negotiation::{MAP_HANDLER, MAP_TYPE};
use super::{DIRECTORY, EVERYWHERE, Module, SERVER, filter};
use crate::config::{DirSettings, ServerSettings};

/// mod_mime's settings of the whole server.
#[derive(Debug, Clone, Default)]
pub struct Server {
    types_config: Option<(PathBuf, Span)>,
}

/// mod_mime's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Mime {
    /// By extension, in lower case and without the dot.
    extensions: BTreeMap<String, Extension>,
    default_language: Option<String>,
    has_handlers: bool,
    has_filters: bool,
    views_match: Option<ViewsMatch>,
    use_path_info: Option<bool>,
}

/// `MultiviewsMatch`: which extensions a file that MultiViews finds may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ViewsMatch {
    /// Any, known or not.
    pub any: bool,
    /// Those that only have a handler, beside those that describe the file.
    pub handlers: bool,
    /// Those that only have filters.
    pub filters: bool,
}

/// What is known about one extension.
#[derive(Debug, Clone, Default)]
struct Extension {
    media_type: Entry,
    encoding: Entry,
    charset: Entry,
    language: Entry,
    handler: Entry,
    input_filters: Entry,
    output_filters: Entry,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Entry {
    /// Outer sections, or TypesConfig, decide.
    #[default]
    Unset,
    /// `RemoveType` and its kind: nobody decides. It wins against an Add of the same section.
    Removed,
    Set(String),
}

/// The table of TypesConfig.
#[derive(Debug, Clone, Default)]
pub struct TypeMap {
    /// By extension, in lower case.
    types: HashMap<Box<str>, Box<str>>,
}

/// What is known about one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media<'s> {
    /// The value of Content-Type, charset included; `None`: the field is left out.
    pub content_type: Option<Cow<'s, str>>,
    /// In the order of the extensions: the values of Content-Encoding.
    pub encodings: SmallVec<[&'s str; 2]>,
    /// In the order of the extensions: the values of Content-Language.
    pub languages: SmallVec<[&'s str; 2]>,
    /// `AddHandler`: who answers with the file, in lower case.
    pub handler: Option<&'s str>,
    /// `AddOutputFilter`: `name;name…` of each extension, in lower case.
    pub output_filters: SmallVec<[&'s str; 1]>,
}

/// What a type map says about the form that was chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// With its charset.
    pub content_type: Option<String>,
    /// The value of Content-Encoding.
    pub encoding: Option<String>,
    /// The values of Content-Language.
    pub languages: Vec<String>,
}

impl<'s> Media<'s> {
    /// Who answers: a type map may be marked by its type.
    pub fn handler(&self) -> Option<&'s str> {
        let is_map = self.content_type.as_deref() == Some(MAP_TYPE);
        self.handler.or(is_map.then_some(MAP_HANDLER))
    }
}

/// What `settings` and `types` say about the file called `name`, the last component of its path.
pub fn describe<'s>(settings: &'s DirSettings, types: &'s TypeMap, name: &[u8]) -> Media<'s> {
    let mut media = describe_plainly(settings, types, name);
    media.content_type = media.content_type.map(|it| with_default_charset(settings, it));
    media
}

/// The same without `AddDefaultCharset`, which counts when an answer is sent only.
pub fn describe_plainly<'s>(
    settings: &'s DirSettings,
    types: &'s TypeMap,
    name: &[u8],
) -> Media<'s> {
    let mut media = Media::default();
    let mut media_type = None;
    let mut charset = None;
    for extension in extensions(name) {
        let Some(extension) = lower_case(extension) else { continue };
        let known = settings.mime.extensions.get(extension.as_str());
        let entry = |of: fn(&Extension) -> &Entry| known.and_then(|known| of(known).get());
        match known.map_or(&Entry::Unset, |known| &known.media_type) {
            Entry::Set(name) => media_type = Some(name.as_str()),
            Entry::Unset => media_type = types.get(&extension).or(media_type),
            Entry::Removed => {}
        }
        charset = entry(|known| &known.charset).or(charset);
        media.handler = entry(|known| &known.handler).or(media.handler);
        media.output_filters.extend(entry(|known| &known.output_filters));
        media.encodings.extend(entry(|known| &known.encoding));
        media.languages.extend(entry(|known| &known.language));
    }
    if media.languages.is_empty() {
        media.languages.extend(settings.mime.default_language.as_deref());
    }
    let media_type = settings.core.forced_type().or(media_type);
    media.content_type = media_type.map(|media_type| match charset {
        Some(charset) => Cow::Owned(format!("{}; charset={charset}", without_charset(media_type))),
        None => Cow::Borrowed(media_type),
    });
    media
}

/// `AddDefaultCharset`, for text that people read and that names no charset.
pub fn with_default_charset<'s>(settings: &DirSettings, media_type: Cow<'s, str>) -> Cow<'s, str> {
    match (media_type.as_ref(), settings.core.default_charset()) {
        ("text/html" | "text/plain", Some(charset)) => {
            Cow::Owned(format!("{media_type}; charset={charset}"))
        }
        _ => media_type,
    }
}

/// The parts of a name that say nothing about the file, the base name first; `None` if no extension says anything. For
/// MultiViews, which finds a file only if these were asked for.
pub fn unknown_parts<'n>(
    settings: &DirSettings,
    types: &TypeMap,
    name: &'n [u8],
) -> Option<Vec<&'n [u8]>> {
    let views = settings.mime.views_match.unwrap_or_default();
    let says_something = |extension: &[u8]| {
        let Some(extension) = lower_case(extension) else { return views.any };
        let known = settings.mime.extensions.get(extension.as_str());
        let is_set =
            |of: fn(&Extension) -> &Entry| known.is_some_and(|known| of(known).get().is_some());
        let type_is_removed = known.is_some_and(|known| known.media_type == Entry::Removed);
        views.any
            || is_set(|known| &known.media_type)
            || (!type_is_removed && types.get(&extension).is_some())
            || is_set(|known| &known.charset)
            || is_set(|known| &known.language)
            || is_set(|known| &known.encoding)
            || (views.handlers && is_set(|known| &known.handler))
            || (views.filters
                && (is_set(|known| &known.input_filters) || is_set(|known| &known.output_filters)))
    };
    let (known, unknown): (Vec<_>, Vec<_>) =
        extensions(name).partition(|part| says_something(part));
    let dots = name.iter().take_while(|byte| **byte == b'.').count();
    let base_bytes = memchr::memchr(b'.', &name[dots..]).map_or(name.len(), |dot| dots + dot);
    (!known.is_empty()).then(|| [&[&name[..base_bytes]][..], &unknown].concat())
}

fn without_charset(media_type: &str) -> Cow<'_, str> {
    let is_charset = |part: &str| part.trim_start().to_ascii_lowercase().starts_with("charset=");
    if !media_type.split(';').skip(1).any(is_charset) {
        return Cow::Borrowed(media_type);
    }
    let mut parts = media_type.split(';');
    let name = parts.next().unwrap_or_default();
    let others = parts.filter(|part| !is_charset(part));
    Cow::Owned(others.fold(name.to_string(), |text, part| text + ";" + part))
}

/// The parts behind the first dot that does not begin the name; empty ones are skipped.
fn extensions(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dots = name.iter().take_while(|byte| **byte == b'.').count();
    name[dots..].split(|byte| *byte == b'.').skip(1).filter(|part| !part.is_empty())
}

/// An extension as the tables have it. One that is longer than any of theirs, or not UTF-8, is in
/// no table.
fn lower_case(extension: &[u8]) -> Option<Lower> {
    const EXTENSION_BYTES_MAX: usize = 32;
    if extension.len() > EXTENSION_BYTES_MAX || std::str::from_utf8(extension).is_err() {
        return None;
    }
    let bytes = extension.iter().map(u8::to_ascii_lowercase).collect();
    Some(Lower(bytes))
}

/// A short text in lower case that costs no allocation.
struct Lower(SmallVec<[u8; 32]>);

impl Lower {
    fn as_str(&self) -> &str {
        // Lower-casing ASCII keeps UTF-8 valid, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Entry {
    fn get(&self) -> Option<&str> {
        match self {
            Entry::Set(value) => Some(value),
            Entry::Unset | Entry::Removed => None,
        }
    }

    fn merge(&self, inner: &Self) -> Self {
        if *inner == Entry::Unset { self.clone() } else { inner.clone() }
    }

    fn set(&mut self, value: &str) {
        if *self != Entry::Removed {
            *self = Entry::Set(value.to_string());
        }
    }
}

impl Extension {
    fn merge(&self, inner: &Self) -> Self {
        Self {
            media_type: self.media_type.merge(&inner.media_type),
            encoding: self.encoding.merge(&inner.encoding),
            charset: self.charset.merge(&inner.charset),
            language: self.language.merge(&inner.language),
            handler: self.handler.merge(&inner.handler),
            input_filters: self.input_filters.merge(&inner.input_filters),
            output_filters: self.output_filters.merge(&inner.output_filters),
        }
    }
}

impl Mime {
    /// What `inner` makes of `self`: extension by extension.
    pub fn merge(&self, inner: &Self) -> Self {
        let mut extensions = self.extensions.clone();
        for (name, change) in &inner.extensions {
            let merged = self.extensions.get(name).map(|known| known.merge(change));
            extensions.insert(name.clone(), merged.unwrap_or_else(|| change.clone()));
        }
        let default_language =
            inner.default_language.clone().or_else(|| self.default_language.clone());
        Self {
            extensions,
            default_language,
            has_handlers: self.has_handlers || inner.has_handlers,
            has_filters: self.has_filters || inner.has_filters,
            views_match: inner.views_match.or(self.views_match),
            use_path_info: inner.use_path_info.or(self.use_path_info),
        }
    }

    /// Whether any extension has a handler.
    pub fn has_handlers(&self) -> bool {
        self.has_handlers
    }

    /// Whether any extension has filters.
    pub fn has_filters(&self) -> bool {
        self.has_filters
    }

    /// `MultiviewsMatch`
    pub fn views_match(&self) -> ViewsMatch {
        self.views_match.unwrap_or_default()
    }

    /// `ModMimeUsePathInfo`: whether the path info is part of the name that extensions are read from.
    pub fn use_path_info(&self) -> bool {
        self.use_path_info.unwrap_or(false)
    }

    fn extension(&mut self, name: &str) -> &mut Extension {
        let name = name.strip_prefix('.').unwrap_or(name).to_ascii_lowercase();
        self.extensions.entry(name).or_default()
    }
}

impl Server {
    /// `TypesConfig`, absolute, and where it was written.
    pub fn types_config(&self) -> Option<(&Path, Span)> {
        self.types_config.as_ref().map(|(path, span)| (path.as_path(), *span))
    }
}

impl TypeMap {
    /// Reads `type extension…` lines. A `#` in column one begins a comment; later types win.
    pub fn parse(text: &str) -> Self {
        let mut types = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            let Some(media_type) = words.next() else { continue };
            types.extend(words.map(|word| (word.to_ascii_lowercase().into(), media_type.into())));
        }
        Self { types }
    }

    fn get(&self, extension: &Lower) -> Option<&str> {
        self.types.get(extension.as_str()).map(|media_type| &**media_type)
    }
}

pub(super) const MODULE: Module = Module {
    name: "mime_module",
    file: "mod_mime.c",
    server: SERVER_DIRECTIVES,
    host: &[],
    directory: DIRECTIVES,
};

const SERVER_DIRECTIVES: &[Directive<ServerSettings>] = &[Directive {
    name: "TypesConfig",
    syntax: "TypesConfig file-path",
    default: Some("conf/mime.types"),
    contexts: SERVER,
    overrides: Overrides::NONE,
    docs: "The file that gives media types by extension, relative to ServerRoot. If nothing is \
           written and conf/mime.types does not exist, the copy that is built in serves.",
    apply: |settings, args| {
        let path = args.path()?;
        settings.mime.types_config = Some((path, args.at()));
        Ok(())
    },
}];

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "AddType",
        syntax: "AddType media-type extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "The media type of files with these extensions. It wins against TypesConfig.",
        apply: |settings, args| {
            // A type may mark a handler as well.
            let is_map = |word: &Word| word.text.eq_ignore_ascii_case(MAP_TYPE);
            settings.mime.has_handlers |= args.peek().is_some_and(is_map);
            add(args, settings, |known| &mut known.media_type)
        },
    },
    Directive {
        name: "AddEncoding",
        syntax: "AddEncoding encoding extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "The content coding of files with these extensions: `AddEncoding gzip .gz`.",
        apply: |settings, args| add(args, settings, |known| &mut known.encoding),
    },
    Directive {
        name: "AddCharset",
        syntax: "AddCharset charset extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "The charset of files with these extensions; it becomes a parameter of their type.",
        apply: |settings, args| add(args, settings, |known| &mut known.charset),
    },
    Directive {
        name: "AddLanguage",
        syntax: "AddLanguage language-tag extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "The language of files with these extensions, for Content-Language.",
        apply: |settings, args| add(args, settings, |known| &mut known.language),
    },
    Directive {
        name: "AddHandler",
        syntax: "AddHandler handler-name extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Who answers with files of these extensions, as SetHandler says for all files.",
        apply: |settings, args| {
            settings.mime.has_handlers = true;
            add(args, settings, |known| &mut known.handler)
        },
    },
    Directive {
        name: "AddInputFilter",
        syntax: "AddInputFilter filter[;filter...] extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Filters for the bodies of requests for files with these extensions. Nothing here reads bodies, so \
               that only MultiviewsMatch Filters makes a difference.",
        apply: |settings, args| add(args, settings, |known| &mut known.input_filters),
    },
    Directive {
        name: "AddOutputFilter",
        syntax: "AddOutputFilter filter[;filter...] extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Filters that files with these extensions go through on their way to the client.",
        apply: |settings, args| {
            if let Some(word) = args.peek() {
                filter::named(word)?; // There is no such filter: say so at once.
            }
            settings.mime.has_filters = true;
            add(args, settings, |known| &mut known.output_filters)
        },
    },
    Directive {
        name: "RemoveInputFilter",
        syntax: "RemoveInputFilter extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "These extensions have no filters for requests any more.",
        apply: |settings, args| remove(args, settings, |known| &mut known.input_filters),
    },
    Directive {
        name: "RemoveOutputFilter",
        syntax: "RemoveOutputFilter extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "These extensions have no filters for responses any more.",
        apply: |settings, args| remove(args, settings, |known| &mut known.output_filters),
    },
    Directive {
        name: "MultiviewsMatch",
        syntax: "MultiviewsMatch Any|NegotiatedOnly|Filters|Handlers [Handlers|Filters]",
        default: Some("NegotiatedOnly"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Which extensions a file that MultiViews finds may have: those that describe it (NegotiatedOnly), \
               those that have a handler or filters too, or any.",
        apply: |settings, args| {
            let mut views = ViewsMatch::default();
            let choices = [("Any", 0), ("NegotiatedOnly", 1), ("Filters", 2), ("Handlers", 3)];
            let first = args.choice(&choices)?;
            for choice in std::iter::once(Ok(first)).chain(std::iter::from_fn(|| {
                (args.remaining() > 0).then(|| args.choice(&choices[2..]))
            })) {
                match choice? {
                    0 => views.any = true,
                    2 => views.filters = true,
                    3 => views.handlers = true,
                    _ => {}
                }
            }
            settings.mime.views_match = Some(views);
            Ok(())
        },
    },
    Directive {
        name: "ModMimeUsePathInfo",
        syntax: "ModMimeUsePathInfo On|Off",
        default: Some("Off"),
        contexts: DIRECTORY,
        overrides: Overrides::NONE,
        docs: "Whether what the path says behind the file is part of the name whose extensions are looked at.",
        apply: |settings, args| {
            settings.mime.use_path_info = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "RemoveHandler",
        syntax: "RemoveHandler extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "These extensions say nothing about the handler any more.",
        apply: |settings, args| remove(args, settings, |known| &mut known.handler),
    },
    Directive {
        name: "DefaultLanguage",
        syntax: "DefaultLanguage language-tag",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "The language of files whose extensions name none.",
        apply: |settings, args| {
            settings.mime.default_language = Some(args.word()?.to_string());
            Ok(())
        },
    },
    Directive {
        name: "RemoveType",
        syntax: "RemoveType extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        // The manual lets the Remove directives stand in fewer places than Apache's tables do, and
        // Debian's mime.conf relies on the latter.
        docs: "These extensions say nothing about the type any more, whatever AddType or \
               TypesConfig know.",
        apply: |settings, args| remove(args, settings, |known| &mut known.media_type),
    },
    Directive {
        name: "RemoveEncoding",
        syntax: "RemoveEncoding extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "These extensions say nothing about the content coding any more.",
        apply: |settings, args| remove(args, settings, |known| &mut known.encoding),
    },
    Directive {
        name: "RemoveCharset",
        syntax: "RemoveCharset extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "These extensions say nothing about the charset any more.",
        apply: |settings, args| remove(args, settings, |known| &mut known.charset),
    },
    Directive {
        name: "RemoveLanguage",
        syntax: "RemoveLanguage extension...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "These extensions say nothing about the language any more.",
        apply: |settings, args| remove(args, settings, |known| &mut known.language),
    },
];

fn add(
    args: &mut Args<'_>,
    settings: &mut DirSettings,
    entry: fn(&mut Extension) -> &mut Entry,
) -> Result<(), Problem> {
    // Apache lower-cases types and encodings alike; charsets and languages compare without case
    // anyway.
    let value = args.word()?.to_ascii_lowercase();
    entry(settings.mime.extension(args.word()?)).set(&value);
    args.for_each(|extension| entry(settings.mime.extension(&extension.text)).set(&value));
    Ok(())
}

fn remove(
    args: &mut Args<'_>,
    settings: &mut DirSettings,
    entry: fn(&mut Extension) -> &mut Entry,
) -> Result<(), Problem> {
    *entry(settings.mime.extension(args.word()?)) = Entry::Removed;
    args.for_each(|extension| *entry(settings.mime.extension(&extension.text)) = Entry::Removed);
    Ok(())
}
