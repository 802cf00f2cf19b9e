//! # mod_filter: which output filters a response passes
//!
//! ```text
//! AddOutputFilter        by extension    (mod_mime)  ┐
//! SetOutputFilter        all             (core)      ├─▶ one chain, in this order ──▶ request::filters
//! AddOutputFilterByType  by media type               │
//! FilterProvider         by an expression            ┘
//! ```
//!
//! - A name that no filter has is a mistake in the configuration, found when it is read.
//! - A declared filter does what its first provider does whose condition holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use herdgate_conf::{Directive, Overrides, Problem, Word};

use super::{EVERYWHERE, HOST_AND_SECTION, Module};
use crate::config::DirSettings;
use crate::expr::Condition;

/// An output filter that is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFilter {
    /// gzip
    Deflate,
    /// brotli
    #[cfg(feature = "brotli")]
    Brotli,
    /// zstd
    #[cfg(feature = "zstd")]
    Zstd,
    /// So many bytes a second.
    RateLimit,
}

const NAMES: &[(&str, OutputFilter)] = &[
    ("DEFLATE", OutputFilter::Deflate),
    #[cfg(feature = "brotli")]
    ("BROTLI_COMPRESS", OutputFilter::Brotli),
    #[cfg(feature = "zstd")]
    ("ZSTD_COMPRESS", OutputFilter::Zstd),
    ("RATE_LIMIT", OutputFilter::RateLimit),
];

/// The filters of one section.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// SetOutputFilter
    set: Option<Arc<[OutputFilter]>>,
    /// Declared filters by their names in lower case, each with what it may do.
    declared: BTreeMap<String, Vec<Provider>>,
    /// Names of declared filters.
    chain: Vec<String>,
    /// What outer sections have chained is not wanted.
    replaces_chain: bool,
}

/// What a declared filter may do, and when.
#[derive(Debug, Clone)]
struct Provider {
    filter: OutputFilter,
    when: When,
}

#[derive(Debug, Clone)]
enum When {
    /// AddOutputFilterByType: one of these media types, in lower case.
    Types(Vec<String>),
    /// FilterProvider
    Expression(Condition),
}

/// When a chained filter is used.
#[derive(Debug, Clone, Copy)]
pub enum Provided<'f> {
    /// If the content has one of these types.
    Types(&'f [String]),
    /// If the expression holds.
    Expression(&'f Condition),
}

impl Filters {
    /// What `inner` makes of `self`. A filter that it declares anew replaces the outer one, providers and all.
    pub fn merge(&self, inner: &Self) -> Self {
        let mut declared = self.declared.clone();
        declared.extend(inner.declared.clone());
        let outer_chain = if inner.replaces_chain { &[][..] } else { &self.chain };
        Self {
            set: inner.set.clone().or_else(|| self.set.clone()),
            declared,
            chain: [outer_chain, &inner.chain].concat(),
            replaces_chain: self.replaces_chain || inner.replaces_chain,
        }
    }

    /// SetOutputFilter
    pub fn set(&self) -> &[OutputFilter] {
        self.set.as_deref().unwrap_or_default()
    }

    /// The chain: for each declared filter its providers. A name that nobody has declared is `Err`.
    pub fn chain(
        &self,
    ) -> impl Iterator<Item = Result<impl Iterator<Item = (OutputFilter, Provided<'_>)>, &str>>
    {
        self.chain.iter().map(|name| {
            let providers = self.declared.get(name).ok_or(name.as_str())?;
            Ok(providers.iter().map(|provider| (provider.filter, provider.when())))
        })
    }

    /// Whether nothing is filtered here.
    pub fn is_empty(&self) -> bool {
        self.set().is_empty() && self.chain.is_empty()
    }

    /// Every filter that might be used here.
    pub fn possible(&self) -> impl Iterator<Item = OutputFilter> {
        let chained = self.chain.iter().filter_map(|name| self.declared.get(name)).flatten();
        self.set().iter().copied().chain(chained.map(|provider| provider.filter))
    }

    /// `SetOutputFilter filter[;filter...]`
    pub(in crate::modules) fn set_to(&mut self, word: &Word) -> Result<(), Problem> {
        self.set = Some(named(word)?.into());
        Ok(())
    }
}

impl Provider {
    fn when(&self) -> Provided<'_> {
        match &self.when {
            When::Types(types) => Provided::Types(types),
            When::Expression(condition) => Provided::Expression(condition),
        }
    }
}

/// The filters of `DEFLATE;RATE_LIMIT`, or none of `None`.
pub(super) fn named(word: &Word) -> Result<Vec<OutputFilter>, Problem> {
    if word.text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    word.text.split(';').filter(|name| !name.is_empty()).map(|name| find(name, word)).collect()
}

fn find(name: &str, word: &Word) -> Result<OutputFilter, Problem> {
    let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, filter)| *filter).ok_or_else(|| {
        let known: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
        let message = format!("Unknown filter provider {name}");
        Problem::at(word, message).help(format!("the output filters are {}", known.join(", ")))
    })
}

pub(super) const MODULE: Module = Module {
    name: "filter_module",
    file: "mod_filter.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "AddOutputFilterByType",
        syntax: "AddOutputFilterByType filter[;filter...] media-type...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Filters content of these media types: DEFLATE, BROTLI_COMPRESS and ZSTD_COMPRESS compress, RATE_LIMIT \
               slows down. Lines of one section add up; an inner section's lines for a filter replace the outer ones. \
               Of several that compress, the one is used that the client wants most, and among equals the first.",
        apply: |settings, args| {
            let filters = named(args.required()?)?;
            let first = args.word()?;
            let types = std::iter::once(first).chain(args.map(|word| word.text.as_str()));
            let types: Vec<String> = types.map(str::to_ascii_lowercase).collect();
            for filter in filters {
                let name = format!("bytype:{filter:?}").to_ascii_lowercase();
                if !settings.filter.declared.contains_key(&name) {
                    settings.filter.chain.push(name.clone());
                }
                let provider = Provider { filter, when: When::Types(types.clone()) };
                settings.filter.declared.entry(name).or_default().push(provider);
            }
            Ok(())
        },
    },
    Directive {
        name: "FilterDeclare",
        syntax: "FilterDeclare filter-name [type]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::OPTIONS,
        docs: "Declares a filter for FilterProvider and FilterChain. The type is accepted and changes nothing: \
               compression comes before slowing down, always.",
        apply: |settings, args| {
            let name = args.word()?.to_ascii_lowercase();
            settings.filter.declared.entry(name).or_default();
            if args.remaining() > 0 {
                args.choice(&TYPES)?;
            }
            Ok(())
        },
    },
    Directive {
        name: "FilterProvider",
        syntax: "FilterProvider filter-name provider-name expression",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::OPTIONS,
        docs: "What a declared filter does if the expression holds: DEFLATE, say, if `%{CONTENT_TYPE} =~ m#^text/#`. The \
               first provider counts whose expression holds.",
        apply: |settings, args| {
            let name = args.word()?.to_ascii_lowercase();
            let word = args.required()?;
            let filter = find(&word.text, word)?;
            let word = args.required()?;
            let condition = Condition::parse(&word.text)
                .map_err(|why| Problem::at(word, format!("cannot parse the expression: {why}")))?;
            let provider = Provider { filter, when: When::Expression(condition) };
            settings.filter.declared.entry(name).or_default().push(provider);
            Ok(())
        },
    },
    Directive {
        name: "FilterProtocol",
        syntax: "FilterProtocol filter-name [provider-name] flags",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::OPTIONS,
        docs: "Without effect: what a filter does to length, ranges, validators and `no-transform` the filters here tell \
               by themselves. Only `cache=no` would make a difference, and is an error: Header says it.",
        apply: |_, args| {
            let mut last = args.required()?;
            args.peek().ok_or_else(|| Problem::at(last, "flags are missing"))?;
            for word in args {
                last = word;
            }
            let mut flags = last.text.split([';', ' ', ',']);
            match flags.any(|flag| flag.eq_ignore_ascii_case("cache=no")) {
                true => Err(Problem::lacking(last, "cache=no is not supported")
                    .help("Header set Cache-Control no-cache")),
                false => Ok(()),
            }
        },
    },
    Directive {
        name: "FilterTrace",
        syntax: "FilterTrace filter-name level",
        default: None,
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "Without effect: it is Apache's tool for those who write filters.",
        apply: |_, args| {
            args.word()?;
            args.number(0..=2).map(|_| ())
        },
    },
    Directive {
        name: "SetInputFilter",
        syntax: "SetInputFilter filter[;filter...]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Without effect: filters for the bodies of requests, which nobody here reads.",
        apply: |_, args| args.word().map(|_| ()),
    },
    Directive {
        name: "FilterChain",
        syntax: "FilterChain [+=-@!]filter-name...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::OPTIONS,
        docs: "Which declared filters are used, in which order: + or nothing puts one at the end, @ at the beginning, - \
               takes one away again, = makes it the only one, and ! empties the chain, inherited filters included.",
        apply: |settings, args| {
            let first = args.required()?;
            change_chain(&mut settings.filter, &first.text);
            args.for_each(|word| change_chain(&mut settings.filter, &word.text));
            Ok(())
        },
    },
];

/// Apache's names for the places where filters stand.
const TYPES: [(&str, ()); 6] = [
    ("RESOURCE", ()),
    ("CONTENT_SET", ()),
    ("PROTOCOL", ()),
    ("TRANSCODE", ()),
    ("CONNECTION", ()),
    ("NETWORK", ()),
];

fn change_chain(filters: &mut Filters, word: &str) {
    let name = word.trim_start_matches(['+', '=', '-', '@', '!']).to_ascii_lowercase();
    match word.as_bytes().first() {
        Some(b'@') => filters.chain.insert(0, name),
        Some(b'-') => filters.chain.retain(|chained| *chained != name),
        Some(b'!') => {
            filters.chain.clear();
            filters.replaces_chain = true;
        }
        Some(b'=') => {
            filters.chain = vec![name];
            filters.replaces_chain = true;
        }
        _ => filters.chain.push(name),
    }
}

/// The filters of a text that [`named`] has found to be all known.
pub fn of_known_names(text: &str) -> impl Iterator<Item = OutputFilter> {
    let find = |name: &str| NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    text.split(';').filter_map(find).map(|(_, filter)| *filter)
}
