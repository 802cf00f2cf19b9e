//! # mod_autoindex: the listing of a directory that has no index file
//!
//! Here is what the directives say; `files::listing` draws the page.

use herdgate_conf::{Args, Directive, Overrides, Problem, Word, nearest};

use super::change::Change;
use super::{EVERYWHERE, Module};
use crate::config::DirSettings;

/// mod_autoindex's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Autoindex {
    options: Change,
    charset: Option<String>,
    /// Patterns of names to leave out; inner and outer sections add up.
    ignore: Vec<String>,
    style: Option<Style>,
}

/// How a listing looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Apache's pages, byte for byte where possible.
    Classic,
    /// Herdgate's own page: directories first, light and dark.
    Modern,
}

/// A set of `IndexOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexOptions(u32);

impl IndexOptions {
    /// Dates, sizes and sorting, not just names.
    pub const FANCY: Self = Self(1);
    /// Directories before files.
    pub const FOLDERS_FIRST: Self = Self(2);
    /// The order of names is without case.
    pub const IGNORE_CASE: Self = Self(4);
    /// The query does not change the order.
    pub const IGNORE_CLIENT: Self = Self(8);
    /// No dates.
    pub const SUPPRESS_LAST_MODIFIED: Self = Self(16);
    /// No sizes.
    pub const SUPPRESS_SIZE: Self = Self(32);
    /// No descriptions.
    pub const SUPPRESS_DESCRIPTION: Self = Self(64);
    /// No rulers.
    pub const SUPPRESS_RULES: Self = Self(128);
    /// No links in the heads.
    pub const SUPPRESS_COLUMN_SORTING: Self = Self(256);
    /// Numbers within names sort as numbers.
    pub const VERSION_SORT: Self = Self(512);

    /// Whether every option of `others` is set.
    pub fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl Autoindex {
    /// `IndexOptions`
    pub fn options(&self) -> IndexOptions {
        IndexOptions(self.options.effective(0))
    }

    /// `IndexOptions Charset=…`
    pub fn charset(&self) -> &str {
        self.charset.as_deref().unwrap_or("UTF-8")
    }

    /// `IndexIgnore`: patterns with `*` and `?` of names to leave out.
    pub fn ignore(&self) -> &[String] {
        &self.ignore
    }

    /// `IndexStyle`
    pub fn style(&self) -> Style {
        self.style.unwrap_or(Style::Classic)
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            options: self.options.merge(&inner.options),
            charset: inner.charset.clone().or_else(|| self.charset.clone()),
            ignore: [self.ignore.as_slice(), inner.ignore.as_slice()].concat(),
            style: inner.style.or(self.style),
        }
    }
}

pub(super) const MODULE: Module = Module {
    name: "autoindex_module",
    file: "mod_autoindex.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "IndexOptions",
        syntax: "IndexOptions [+|-]option...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "How a listing looks: FancyIndexing, FoldersFirst, IgnoreCase, IgnoreClient, \
               SuppressLastModified, SuppressSize, SuppressDescription, SuppressRules, \
               SuppressColumnSorting, VersionSort, Charset=name. Values with a sign change what \
               was inherited, others replace it. Apache's further options are read, and a warning \
               says that they have no effect yet.",
        apply: |settings, args| {
            let first = args.required()?;
            index_option(&mut settings.autoindex, args, first)?;
            while let Some(word) = args.next() {
                index_option(&mut settings.autoindex, args, word)?;
            }
            Ok(())
        },
    },
    Directive {
        name: "IndexIgnore",
        syntax: "IndexIgnore pattern...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "Names that a listing leaves out; `*` and `?` are wildcards. Sections add up.",
        apply: |settings, args| {
            settings.autoindex.ignore.push(args.word()?.to_string());
            settings.autoindex.ignore.extend(args.map(|word| word.text.clone()));
            Ok(())
        },
    },
    Directive {
        name: "IndexStyle",
        syntax: "IndexStyle Classic|Modern",
        default: Some("Classic"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "Herdgate's own: Classic writes Apache's pages, Modern one page with directories \
               first, for light and dark screens. `herdgate serve` sets Modern.",
        apply: |settings, args| {
            let choices = [("Classic", Style::Classic), ("Modern", Style::Modern)];
            settings.autoindex.style = Some(args.choice(&choices)?);
            Ok(())
        },
    },
];

const NAMES: &[(&str, IndexOptions)] = &[
    ("FancyIndexing", IndexOptions::FANCY),
    ("FoldersFirst", IndexOptions::FOLDERS_FIRST),
    ("IgnoreCase", IndexOptions::IGNORE_CASE),
    ("IgnoreClient", IndexOptions::IGNORE_CLIENT),
    ("SuppressLastModified", IndexOptions::SUPPRESS_LAST_MODIFIED),
    ("SuppressSize", IndexOptions::SUPPRESS_SIZE),
    ("SuppressDescription", IndexOptions::SUPPRESS_DESCRIPTION),
    ("SuppressRules", IndexOptions::SUPPRESS_RULES),
    ("SuppressColumnSorting", IndexOptions::SUPPRESS_COLUMN_SORTING),
    ("VersionSort", IndexOptions::VERSION_SORT),
];

/// What Apache has and we only read.
const WITHOUT_EFFECT: &[&str] = &[
    "AddAltClass",
    "DescriptionWidth",
    "HTMLTable",
    "IconHeight",
    "IconWidth",
    "IconsAreLinks",
    "NameWidth",
    "ScanHTMLTitles",
    "ShowForbidden",
    "SuppressHTMLPreamble",
    "SuppressIcon",
    "TrackModified",
    "Type",
    "UseOldDateFormat",
    "XHTML",
];

fn index_option(settings: &mut Autoindex, args: &mut Args<'_>, word: &Word) -> Result<(), Problem> {
    let (sign, name) = match word.text.split_at_checked(1) {
        Some((sign @ ("+" | "-"), name)) => (sign, name),
        _ => ("", word.text.as_str()),
    };
    let (key, value) = name.split_once('=').map_or((name, None), |(key, value)| (key, Some(value)));
    if key.eq_ignore_ascii_case("None") {
        settings.options = Change::to(0);
        return Ok(());
    }
    if let (true, Some(charset)) = (key.eq_ignore_ascii_case("Charset"), value) {
        settings.charset = Some(charset.to_string());
        return Ok(());
    }
    if let Some((_, option)) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        let change = match sign {
            "+" => Change::adding(option.0),
            "-" => Change::removing(option.0),
            // Values without a sign add up: what stood before them with one is forgotten.
            _ => Change::to(settings.options.absolute().unwrap_or(0) | option.0),
        };
        settings.options = settings.options.merge(&change);
        return Ok(());
    }
    if WITHOUT_EFFECT.iter().any(|known| known.eq_ignore_ascii_case(key)) {
        args.warn(Problem::at(word, format!("{key} has no effect yet")));
        return Ok(());
    }
    let problem = Problem::at(word, format!("Invalid directory indexing option {name:?}"));
    Err(match nearest(name, NAMES.iter().map(|(known, _)| *known)) {
        Some(known) => problem.help(format!("did you mean {known}?")),
        None => problem,
    })
}
