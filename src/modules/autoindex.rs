//! # mod_autoindex: the listing of a directory that has no index file
//!
//! Here is what the directives say; `files::listing` draws the page.

use herdgate_conf::{Args, Directive, Overrides, Problem, Word, nearest};

use super::change::Change;
use super::{EVERYWHERE, Module};
use crate::config::DirSettings;
use crate::route::pattern::{self, Slash};

/// mod_autoindex's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Autoindex {
    options: Change,
    charset: Option<String>,
    media_type: Option<String>,
    /// Patterns of names to leave out; inner and outer sections add up.
    ignore: Vec<String>,
    /// `IndexIgnoreReset`: the outer sections' patterns are forgotten.
    ignore_reset: bool,
    style: Option<Style>,
    /// The inner sections' stand first, and the first that matches counts; so it is for the two lists below.
    icons: Vec<Item>,
    alts: Vec<Item>,
    descriptions: Vec<Description>,
    default_icon: Option<String>,
    header: Option<String>,
    readme: Option<String>,
    name_width: Option<Width>,
    description_width: Option<Width>,
    icon_width: Option<u32>,
    icon_height: Option<u32>,
    style_sheet: Option<String>,
    head_insert: Option<String>,
    column: Option<Column>,
    descending: Option<bool>,
}

/// How a listing looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Apache's pages, byte for byte where possible.
    Classic,
    /// Herdgate's own page: directories first, light and dark.
    Modern,
}

/// The column that a listing is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// By name.
    Name,
    /// By the time of the last change.
    Modified,
    /// By size.
    Size,
    /// By description.
    Description,
}

/// `NameWidth`, `DescriptionWidth`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// As wide as the longest.
    Longest,
    /// So many characters.
    Characters(usize),
}

/// An icon, or the text that stands for it, and which entries it is for.
#[derive(Debug, Clone)]
struct Item {
    by: By,
    /// With `*` and `?`.
    pattern: String,
    value: String,
}

/// What a pattern is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The whole path of the file.
    Path,
    Type,
    Encoding,
}

/// `AddDescription`
#[derive(Debug, Clone)]
struct Description {
    pattern: String,
    text: String,
}

/// An entry of a listing as icons and their texts see it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'s> {
    /// The path of the file; or `^^DIRECTORY^^` or `^^BLANKICON^^`.
    pub path: &'s [u8],
    /// Of a file: its type without parameters.
    pub media_type: Option<&'s str>,
    /// Of a file: its content coding.
    pub encoding: Option<&'s str>,
}

impl<'s> Subject<'s> {
    /// What has only a path.
    pub fn path(path: &'s [u8]) -> Self {
        Self { path, media_type: None, encoding: None }
    }
}

/// A set of `IndexOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexOptions(u32);

/// Declares the options: the name in the configuration, and what it means.
macro_rules! index_options {
    ($($(#[$docs:meta])* $constant:ident $name:literal $bit:literal)*) => {
        impl IndexOptions {
            $($(#[$docs])* pub const $constant: Self = Self(1 << $bit);)*
        }

        const NAMES: &[(&str, IndexOptions)] = &[$(($name, IndexOptions::$constant)),*];
    };
}

index_options! {
    /// The class of a row tells its alternative text.
    ADD_ALT_CLASS "AddAltClass" 0
    /// Dates, sizes and sorting, not just names.
    FANCY "FancyIndexing" 1
    /// Directories before files.
    FOLDERS_FIRST "FoldersFirst" 2
    /// A table.
    HTML_TABLE "HTMLTable" 3
    /// Icons lead where the name leads.
    ICONS_ARE_LINKS "IconsAreLinks" 4
    /// The order of names is without case.
    IGNORE_CASE "IgnoreCase" 5
    /// The query does not change the order.
    IGNORE_CLIENT "IgnoreClient" 6
    /// Pages without a description are described by their titles.
    SCAN_HTML_TITLES "ScanHTMLTitles" 7
    /// What the client may not have is shown as well.
    SHOW_FORBIDDEN "ShowForbidden" 8
    /// No links in the heads.
    SUPPRESS_COLUMN_SORTING "SuppressColumnSorting" 9
    /// No descriptions.
    SUPPRESS_DESCRIPTION "SuppressDescription" 10
    /// The header file brings the beginning of the page.
    SUPPRESS_PREAMBLE "SuppressHTMLPreamble" 11
    /// No icons.
    SUPPRESS_ICON "SuppressIcon" 12
    /// No dates.
    SUPPRESS_LAST_MODIFIED "SuppressLastModified" 13
    /// No rulers.
    SUPPRESS_RULES "SuppressRules" 14
    /// No sizes.
    SUPPRESS_SIZE "SuppressSize" 15
    /// Last-Modified and ETag of the folder.
    TRACK_MODIFIED "TrackModified" 16
    /// Dates as they were up to Apache 2.2.
    USE_OLD_DATE_FORMAT "UseOldDateFormat" 17
    /// Numbers within names sort as numbers.
    VERSION_SORT "VersionSort" 18
    /// XHTML 1.0.
    XHTML "XHTML" 19
}

impl IndexOptions {
    /// Whether every option of `others` is set.
    pub fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// This set without the others.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
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

    /// `IndexOptions Type=…`
    pub fn media_type(&self) -> &str {
        self.media_type.as_deref().unwrap_or("text/html")
    }

    /// `IndexIgnore`: the patterns of names to leave out.
    pub fn ignore(&self) -> &[String] {
        &self.ignore
    }

    /// Whether `IndexIgnore` leaves a name out.
    pub fn ignores(&self, name: &[u8]) -> bool {
        let matches = |pattern: &String| {
            let last = pattern.rsplit('/').next().unwrap_or_default();
            wildcard(last.as_bytes(), name)
        };
        self.ignore().iter().any(matches)
    }

    /// `IndexStyle`
    pub fn style(&self) -> Style {
        self.style.unwrap_or(Style::Classic)
    }

    /// `AddIcon` and its kind: the icon's URL.
    pub fn icon(&self, subject: Subject<'_>) -> Option<&str> {
        find(&self.icons, subject)
    }

    /// `DefaultIcon`
    pub fn default_icon(&self) -> Option<&str> {
        self.default_icon.as_deref()
    }

    /// `AddAlt` and its kind: what stands for the icon.
    pub fn alt(&self, subject: Subject<'_>) -> Option<&str> {
        find(&self.alts, subject)
    }

    /// `AddDescription`: HTML about a file, by its path.
    pub fn description(&self, path: &[u8]) -> Option<&str> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let matches = |description: &&Description| {
            let pattern = description.pattern.as_bytes();
            if description.pattern.contains('/') {
                let pattern = [b"*/", pattern, b"*"].concat();
                pattern::matches(&pattern, path, Slash::IsOrdinary)
            } else if pattern::is_pattern(&description.pattern) {
                let pattern = [b"*", pattern, b"*"].concat();
                pattern::matches(&pattern, name, Slash::IsOrdinary)
            } else {
                memchr::memmem::find(name, pattern).is_some()
            }
        };
        self.descriptions.iter().find(matches).map(|description| description.text.as_str())
    }

    /// `HeaderName`: a URL, relative to the folder.
    pub fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    /// `ReadmeName`: a URL, relative to the folder.
    pub fn readme(&self) -> Option<&str> {
        self.readme.as_deref()
    }

    /// `IndexOptions NameWidth=…`
    pub fn name_width(&self) -> Width {
        self.name_width.unwrap_or(Width::Characters(NAME_WIDTH))
    }

    /// `IndexOptions DescriptionWidth=…`; `None`: as wide as the suppressed columns leave room.
    pub fn description_width(&self) -> Option<Width> {
        self.description_width
    }

    /// `IndexOptions IconWidth=…` and `IconHeight=…`, in pixels; 0: not said.
    pub fn icon_size(&self) -> (u32, u32) {
        (self.icon_width.unwrap_or(0), self.icon_height.unwrap_or(0))
    }

    /// `IndexStyleSheet`
    pub fn style_sheet(&self) -> Option<&str> {
        self.style_sheet.as_deref()
    }

    /// `IndexHeadInsert`: HTML for the head.
    pub fn head_insert(&self) -> Option<&str> {
        self.head_insert.as_deref()
    }

    /// `IndexOrderDefault`: the column, and whether downwards.
    pub fn order(&self) -> (Column, bool) {
        (self.column.unwrap_or(Column::Name), self.descending.unwrap_or(false))
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        fn both<T: Clone>(inner: &[T], outer: &[T]) -> Vec<T> {
            [inner, outer].concat()
        }
        let text =
            |of: fn(&Self) -> &Option<String>| of(inner).clone().or_else(|| of(self).clone());
        let outer_ignore = if inner.ignore_reset { &[][..] } else { &self.ignore };
        // A size of 0 does not count as said.
        let pixels = |inner: Option<u32>, outer| inner.filter(|pixels| *pixels > 0).or(outer);
        Self {
            options: self.options.merge(&inner.options),
            charset: text(|it| &it.charset),
            media_type: text(|it| &it.media_type),
            ignore: both(&inner.ignore, outer_ignore),
            ignore_reset: inner.ignore_reset,
            style: inner.style.or(self.style),
            icons: both(&inner.icons, &self.icons),
            alts: both(&inner.alts, &self.alts),
            descriptions: both(&inner.descriptions, &self.descriptions),
            default_icon: text(|it| &it.default_icon),
            header: text(|it| &it.header),
            readme: text(|it| &it.readme),
            name_width: inner.name_width.or(self.name_width),
            description_width: inner.description_width.or(self.description_width),
            icon_width: pixels(inner.icon_width, self.icon_width),
            icon_height: pixels(inner.icon_height, self.icon_height),
            style_sheet: text(|it| &it.style_sheet),
            head_insert: text(|it| &it.head_insert),
            column: inner.column.or(self.column),
            descending: inner.descending.or(self.descending),
        }
    }
}

/// What is used if nothing is said.
pub const NAME_WIDTH: usize = 23;
/// What is used if nothing is said.
pub const DESCRIPTION_WIDTH: usize = 23;

fn find<'i>(items: &'i [Item], subject: Subject<'_>) -> Option<&'i str> {
    let is_mark = subject.path.starts_with(b"^");
    let matches = |item: &&Item| {
        let pattern = item.pattern.as_bytes();
        if item.by == By::Path || is_mark {
            return wildcard(pattern, subject.path);
        }
        let lower = |text: &str| text.to_ascii_lowercase().into_bytes();
        match (item.by, subject.encoding, subject.media_type) {
            (By::Encoding, Some(encoding), _) => wildcard(pattern, &lower(encoding)),
            (By::Type, None, Some(media_type)) => {
                wildcard(&lower(&item.pattern), &lower(media_type))
            }
            _ => false,
        }
    };
    items.iter().find(matches).map(|item| item.value.as_str())
}

/// `*` and `?` for any characters, slashes too; nothing else means anything.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let mut escaped = Vec::with_capacity(pattern.len());
    for byte in pattern {
        if matches!(byte, b'[' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    pattern::matches(&escaped, text, Slash::IsOrdinary)
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
        docs: "How a listing looks: AddAltClass, FancyIndexing, FoldersFirst, HTMLTable, IconsAreLinks, IgnoreCase, \
               IgnoreClient, ScanHTMLTitles, ShowForbidden, SuppressColumnSorting, SuppressDescription, \
               SuppressHTMLPreamble, SuppressIcon, SuppressLastModified, SuppressRules, SuppressSize, TrackModified, \
               UseOldDateFormat, VersionSort, XHTML; and Charset=name, Type=media-type, NameWidth=n|*, \
               DescriptionWidth=n|*, IconWidth[=n], IconHeight[=n]. Names with a sign change what was inherited, \
               others replace it. Without Charset, it is UTF-8.",
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
        name: "IndexIgnoreReset",
        syntax: "IndexIgnoreReset On|Off",
        default: Some("Off"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "Whether the IndexIgnore patterns of outer sections are forgotten.",
        apply: |settings, args| {
            settings.autoindex.ignore_reset = args.flag()?;
            Ok(())
        },
    },
    Directive {
        name: "IndexOrderDefault",
        syntax: "IndexOrderDefault Ascending|Descending Name|Date|Size|Description",
        default: Some("Ascending Name"),
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "How a listing is sorted if its query says nothing.",
        apply: |settings, args| {
            let directions = [("Ascending", false), ("Descending", true)];
            settings.autoindex.descending = Some(args.choice(&directions)?);
            let columns = [
                ("Name", Column::Name),
                ("Date", Column::Modified),
                ("Size", Column::Size),
                ("Description", Column::Description),
            ];
            settings.autoindex.column = Some(args.choice(&columns)?);
            Ok(())
        },
    },
    Directive {
        name: "IndexStyleSheet",
        syntax: "IndexStyleSheet url",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "A style sheet for listings. A table then has classes for its rows and columns.",
        apply: |settings, args| {
            settings.autoindex.style_sheet = Some(args.word()?.to_owned());
            Ok(())
        },
    },
    Directive {
        name: "IndexHeadInsert",
        syntax: "IndexHeadInsert html",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "HTML for the head of listings.",
        apply: |settings, args| {
            settings.autoindex.head_insert = Some(args.word()?.to_owned());
            Ok(())
        },
    },
    Directive {
        name: "HeaderName",
        syntax: "HeaderName url",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "A page or text to stand above a listing, if it exists; a URL path, relative to the directory.",
        apply: |settings, args| {
            let name = args.word()?;
            settings.autoindex.header.get_or_insert_with(|| name.to_owned());
            Ok(())
        },
    },
    Directive {
        name: "ReadmeName",
        syntax: "ReadmeName url",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "A page or text to stand below a listing, if it exists; a URL path, relative to the directory.",
        apply: |settings, args| {
            let name = args.word()?;
            settings.autoindex.readme.get_or_insert_with(|| name.to_owned());
            Ok(())
        },
    },
    Directive {
        name: "AddIcon",
        syntax: "AddIcon icon|(alt,icon) name...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "The URL of the icon for names that end like one of these, or match it with wildcards. ^^DIRECTORY^^ \
               stands for directories, .. for the one above, ^^BLANKICON^^ for the head of the list.",
        apply: |settings, args| icons(settings, args, By::Path),
    },
    Directive {
        name: "AddIconByType",
        syntax: "AddIconByType icon|(alt,icon) media-type...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "The URL of the icon for files of these types, which may have wildcards.",
        apply: |settings, args| icons(settings, args, By::Type),
    },
    Directive {
        name: "AddIconByEncoding",
        syntax: "AddIconByEncoding icon|(alt,icon) encoding...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "The URL of the icon for files with these content codings.",
        apply: |settings, args| icons(settings, args, By::Encoding),
    },
    Directive {
        name: "AddAlt",
        syntax: "AddAlt text name...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "What stands for the icon where there are no images, for names as in AddIcon.",
        apply: |settings, args| alts(settings, args, By::Path),
    },
    Directive {
        name: "AddAltByType",
        syntax: "AddAltByType text media-type...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "As AddAlt, for files of these types.",
        apply: |settings, args| alts(settings, args, By::Type),
    },
    Directive {
        name: "AddAltByEncoding",
        syntax: "AddAltByEncoding text encoding...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "As AddAlt, for files with these content codings.",
        apply: |settings, args| alts(settings, args, By::Encoding),
    },
    Directive {
        name: "AddDescription",
        syntax: "AddDescription text name...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "Text about the files whose names contain one of these, or match it with wildcards; with a slash, \
               about paths that end so. The text is HTML.",
        apply: |settings, args| {
            let text = args.word()?.to_owned();
            let first = args.required()?;
            for pattern in std::iter::once(first).chain(args) {
                let pattern = pattern.text.clone();
                settings.autoindex.descriptions.push(Description { pattern, text: text.clone() });
            }
            Ok(())
        },
    },
    Directive {
        name: "DefaultIcon",
        syntax: "DefaultIcon url",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::INDEXES,
        docs: "The icon of files that have no other.",
        apply: |settings, args| {
            settings.autoindex.default_icon = Some(args.word()?.to_owned());
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

fn icons(settings: &mut DirSettings, args: &mut Args<'_>, by: By) -> Result<(), Problem> {
    let word = args.required()?;
    let (alt, icon) = match word.text.strip_prefix('(') {
        None => (None, word.text.as_str()),
        Some(pair) => match pair.split_once(')') {
            None => return Err(Problem::at(word, "missing closing paren")),
            Some((pair, _)) => match pair.split_once(',') {
                Some((alt, icon)) => (Some(alt), icon),
                None => (Some(pair), ""),
            },
        },
    };
    let first = args.required()?;
    for target in std::iter::once(first).chain(args) {
        if let Some(alt) = alt {
            settings.autoindex.alts.push(item(by, &target.text, alt));
        }
        settings.autoindex.icons.push(item(by, &target.text, icon));
    }
    Ok(())
}

fn alts(settings: &mut DirSettings, args: &mut Args<'_>, by: By) -> Result<(), Problem> {
    let text = args.word()?;
    let first = args.required()?;
    let targets = std::iter::once(first).chain(args);
    settings.autoindex.alts.extend(targets.map(|target| item(by, &target.text, text)));
    Ok(())
}

fn item(by: By, target: &str, value: &str) -> Item {
    let pattern = match by {
        By::Path if target == "**DIRECTORY**" => "^^DIRECTORY^^".to_owned(),
        By::Path if !target.contains(['*', '?']) => format!("*{target}"),
        By::Encoding => target.to_ascii_lowercase(),
        By::Path | By::Type => target.to_owned(),
    };
    Item { by, pattern, value: value.to_owned() }
}

fn index_option(settings: &mut Autoindex, args: &mut Args<'_>, word: &Word) -> Result<(), Problem> {
    let (sign, name) = match word.text.split_at_checked(1) {
        Some((sign @ ("+" | "-"), name)) => (sign, name),
        _ => ("", word.text.as_str()),
    };
    let (key, value) = name.split_once('=').map_or((name, None), |(key, value)| (key, Some(value)));
    let key = key.to_ascii_lowercase();
    if key == "none" {
        if !sign.is_empty() {
            return Err(Problem::at(word, "Cannot combine '+' or '-' with 'None' keyword"));
        }
        settings.options = Change::to(0);
        return Ok(());
    }
    if let Some((_, option)) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        if !sign.is_empty() && settings.options.absolute().is_some() {
            // The manual says otherwise, Apache forgets them.
            let message = format!("{} has no effect behind an option without a sign", word.text);
            args.warn(Problem::at(word, message).help("write it without a sign, or leave it out"));
            return Ok(());
        }
        let change = match sign {
            "+" => Change::adding(option.0),
            "-" => Change::removing(option.0),
            // Values without a sign add up: what stood before them with one is forgotten.
            _ => Change::to(settings.options.absolute().unwrap_or(0) | option.0),
        };
        settings.options = settings.options.merge(&change);
        return Ok(());
    }
    if sign == "-" && value.is_some() {
        return Err(Problem::at(word, format!("Cannot combine '-' with {name}")));
    }
    let is_removed = sign == "-";
    match (key.as_str(), value) {
        ("charset", Some(charset)) => settings.charset = Some(charset.to_owned()),
        ("type", Some(media_type)) => settings.media_type = Some(media_type.to_owned()),
        ("charset", None) if is_removed => settings.charset = None,
        ("type", None) if is_removed => settings.media_type = None,
        ("iconwidth", None) => settings.icon_width = Some(if is_removed { 0 } else { 20 }),
        ("iconheight", None) => settings.icon_height = Some(if is_removed { 0 } else { 22 }),
        ("iconwidth", Some(pixels)) => settings.icon_width = Some(number(word, pixels)?),
        ("iconheight", Some(pixels)) => settings.icon_height = Some(number(word, pixels)?),
        ("namewidth", None) if is_removed => {
            settings.name_width = Some(Width::Characters(NAME_WIDTH));
        }
        ("descriptionwidth", None) if is_removed => {
            settings.description_width = Some(Width::Characters(DESCRIPTION_WIDTH));
        }
        ("namewidth" | "descriptionwidth", None) => {
            let message = format!("{name} with no value may only appear as '-{name}'");
            return Err(Problem::at(word, message));
        }
        ("namewidth", Some(text)) => settings.name_width = Some(width(word, text, 5)?),
        ("descriptionwidth", Some(text)) => {
            settings.description_width = Some(width(word, text, 12)?)
        }
        _ => {
            let problem = Problem::at(word, format!("Invalid directory indexing option {name:?}"));
            return Err(match nearest(name, NAMES.iter().map(|(known, _)| *known)) {
                Some(known) => problem.help(format!("did you mean {known}?")),
                None => problem,
            });
        }
    }
    Ok(())
}

fn number<N: std::str::FromStr>(word: &Word, text: &str) -> Result<N, Problem> {
    text.parse().map_err(|_| Problem::at(word, format!("{text:?} is not a number")))
}

/// A width, or `*`; 0 means that there is no limit.
fn width(word: &Word, text: &str, min: usize) -> Result<Width, Problem> {
    if text == "*" {
        return Ok(Width::Longest);
    }
    match number(word, text)? {
        0 => Ok(Width::Characters(0)),
        width if width < min => {
            let name = word.text.split('=').next().unwrap_or_default();
            Err(Problem::at(word, format!("{name} value must be greater than {min}")))
        }
        width => Ok(Width::Characters(width)),
    }
}
