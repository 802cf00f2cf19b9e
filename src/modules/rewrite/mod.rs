//! # mod_rewrite: other paths, by rules
//!
//! ```text
//! RewriteCond %{HTTPS} !=on                          conditions of the next rule
//! RewriteRule ^/old/(.*)$ /new/$1 [R=301,L]          pattern ── matches? ──▶ conditions hold? ──▶ substitution
//!
//! outside of sections   on the whole path, before aliases      ──▶ a path, a file, a redirect, a status
//! in <Directory>,       on the path within the folder,         ──▶ an internal redirect: all phases again
//! .htaccess             among the fixups
//! ```
//!
//! - Every string is taken apart when the configuration is read ([`template`]); what a client sends is never expanded.
//! - Where a rule leads is as far from being trusted as any path: it is normalised, and opened like every other.
//! - The two kinds of rules differ in what they are matched against and in what becomes of the result; the rules
//!   themselves are obeyed by one [`engine`].

mod cookie;
mod engine;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod map;
mod phases;
mod rule;
mod syntax;
mod template;
mod uri;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use herdgate_conf::{Args, Context, Directive, Overrides, Problem};

use super::{EVERYWHERE, HOST, Module, SECTION};
use crate::config::DirSettings;
use map::Map;
pub(crate) use map::Table;
pub(crate) use phases::{Rewriting, fixups, force_media, translate};
use rule::{Condition, Rule};

/// mod_rewrite's settings.
#[derive(Debug, Clone, Default)]
pub struct Rewrite {
    /// What stands outside of sections; `None`: nothing does.
    server: Option<Arc<Server>>,
    /// What holds in a section; `None`: no line has said anything.
    section: Option<Arc<Section>>,
}

/// What is obeyed before a path is mapped.
#[derive(Debug, Clone, Default)]
struct Server {
    maps: HashMap<String, Map>,
    rules: Rules,
    options: Option<Choices>,
}

/// What is obeyed among the fixups, and whether anything is obeyed at all.
#[derive(Debug, Clone, Default)]
struct Section {
    engine: Option<bool>,
    /// What was chosen in sections.
    options: Option<Choices>,
    /// What was chosen outside of sections. It does not make sections inherit from each other.
    outer_options: Option<Choices>,
    base: Option<String>,
    /// The folder that the rules are for, with a slash at its end; empty in a section that is for no folder. `None`:
    /// these lines stand outside of sections.
    folder: Option<Vec<u8>>,
    rules: Rules,
}

/// Rules in their order, and conditions that wait for their rule.
#[derive(Debug, Clone, Default)]
struct Rules {
    list: Vec<Arc<Rule>>,
    waiting: Vec<Condition>,
}

/// `RewriteOptions`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Choices(u16);

impl Choices {
    const INHERIT: Choices = Choices(1);
    const INHERIT_BEFORE: Choices = Choices(1 << 1);
    const INHERIT_DOWN: Choices = Choices(1 << 2);
    const INHERIT_DOWN_BEFORE: Choices = Choices(1 << 3);
    const IGNORE_INHERIT: Choices = Choices(1 << 4);
    const ALLOW_NO_SLASH: Choices = Choices(1 << 5);
    const MERGE_BASE: Choices = Choices(1 << 6);
    const IGNORE_CONTEXT_INFO: Choices = Choices(1 << 7);
    const LEGACY_PREFIX_DOC_ROOT: Choices = Choices(1 << 8);
    const UNSAFE_PREFIX_STAT: Choices = Choices(1 << 9);

    fn has(self, choice: Choices) -> bool {
        self.0 & choice.0 != 0
    }

    /// Whether rules are inherited from an outer scope with the choices `outer`, and on which side of the own ones.
    fn inheritance(self, outer: Choices) -> Inheritance {
        let pushed = |choice| outer.has(choice) && !self.has(Self::IGNORE_INHERIT);
        if self.has(Self::INHERIT) || pushed(Self::INHERIT_DOWN) {
            Inheritance::After
        } else if self.has(Self::INHERIT_BEFORE) || pushed(Self::INHERIT_DOWN_BEFORE) {
            Inheritance::Before
        } else {
            Inheritance::Nothing
        }
    }
}

/// Where the rules of an outer scope go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inheritance {
    Nothing,
    Before,
    After,
}

impl Rules {
    fn merge(&self, inner: &Self, inheritance: Inheritance) -> Self {
        let joined = |first: &Self, second: &Self| Rules {
            list: [first.list.as_slice(), &second.list].concat(),
            waiting: Vec::new(),
        };
        match inheritance {
            Inheritance::Nothing => Rules { list: inner.list.clone(), waiting: Vec::new() },
            Inheritance::Before => joined(self, inner),
            Inheritance::After => joined(inner, self),
        }
    }
}

impl Rewrite {
    /// What `inner` makes of `self`. Whoever says nothing about rewriting takes all as it is, except that the rules of
    /// the main server are not those of its virtual hosts.
    pub fn merge(&self, inner: &Self) -> Self {
        let server = match (&self.server, &inner.server) {
            (Some(outer), Some(inner)) => Some(Arc::new(outer.merge(inner))),
            (outer, None) => outer.as_ref().map(|outer| Arc::new(outer.without_rules())),
            (None, inner) => inner.clone(),
        };
        let section = match (&self.section, &inner.section) {
            (Some(outer), Some(inner)) => Some(Arc::new(outer.merge(inner))),
            (outer, inner) => inner.clone().or_else(|| outer.clone()),
        };
        Self { server, section }
    }

    /// Whether rewriting was switched on or off here.
    pub(crate) fn is_switched(&self) -> bool {
        self.section.as_ref().is_some_and(|section| section.engine.is_some())
    }

    fn server_mut(&mut self) -> &mut Server {
        Arc::make_mut(self.server.get_or_insert_default())
    }

    fn section_mut(&mut self, args: &Args<'_>) -> &mut Section {
        let section = Arc::make_mut(self.section.get_or_insert_default());
        if let Context::Directory | Context::Htaccess = args.context() {
            let folder = location(args).or_else(|| args.folder().map(with_slash));
            section.folder = Some(folder.unwrap_or_default());
        }
        section
    }

    /// The rules that a line is about: the server's outside of sections, else the section's.
    fn rules_mut(&mut self, args: &Args<'_>) -> &mut Rules {
        match args.context() {
            Context::Server | Context::VirtualHost => &mut self.server_mut().rules,
            Context::Directory | Context::Htaccess => &mut self.section_mut(args).rules,
        }
    }
}

/// In `<Location>` the URL path, as it is written there, stands for the folder: a relative result is put behind it. What
/// the rules see is the whole name of the file all the same, since that does not begin like it.
fn location(args: &Args<'_>) -> Option<Vec<u8>> {
    let section = args.section().filter(|it| it.is("Location") || it.is("LocationMatch"))?;
    Some(with_slash(Path::new(&section.words.last()?.text)))
}

fn with_slash(folder: &Path) -> Vec<u8> {
    let mut folder = folder.as_os_str().as_encoded_bytes().to_vec();
    if !folder.ends_with(b"/") {
        folder.push(b'/');
    }
    folder
}

impl Server {
    fn merge(&self, inner: &Self) -> Self {
        let options = inner.options.or(self.options);
        let inheritance = options.unwrap_or_default().inheritance(self.options.unwrap_or_default());
        let maps = match inheritance {
            Inheritance::Nothing => inner.maps.clone(),
            Inheritance::After => overlay(&self.maps, &inner.maps),
            Inheritance::Before => overlay(&inner.maps, &self.maps),
        };
        Self { maps, rules: self.rules.merge(&inner.rules, inheritance), options }
    }

    /// For a virtual host that says nothing about rewriting: the maps, for rules in sections.
    fn without_rules(&self) -> Self {
        Self { maps: self.maps.clone(), rules: Rules::default(), options: self.options }
    }
}

/// Both, where `over` wins.
fn overlay(under: &HashMap<String, Map>, over: &HashMap<String, Map>) -> HashMap<String, Map> {
    let mut both = under.clone();
    both.extend(over.iter().map(|(name, map)| (name.clone(), map.clone())));
    both
}

impl Section {
    fn merge(&self, inner: &Self) -> Self {
        let options = inner.options.or(self.options);
        let choices = options.unwrap_or_default();
        let inheritance = choices.inheritance(self.options.unwrap_or_default());
        let base = match &inner.base {
            None if choices.has(Choices::MERGE_BASE) => self.base.clone(),
            own => own.clone(),
        };
        Self {
            engine: inner.engine.or(self.engine),
            options,
            outer_options: inner.outer_options.or(self.outer_options),
            base,
            folder: inner.folder.clone(),
            rules: self.rules.merge(&inner.rules, inheritance),
        }
    }

    fn choices(&self) -> Choices {
        self.options.or(self.outer_options).unwrap_or_default()
    }

    fn is_on(&self) -> bool {
        self.engine == Some(true)
    }
}

pub(super) const MODULE: Module = Module {
    name: "rewrite_module",
    file: "mod_rewrite.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "RewriteEngine",
        syntax: "RewriteEngine On|Off",
        default: Some("Off"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Whether rules are obeyed.",
        apply: |settings, args| {
            let on = args.flag()?;
            if let Context::Server | Context::VirtualHost = args.context() {
                settings.rewrite.server_mut();
            }
            settings.rewrite.section_mut(args).engine = Some(on);
            Ok(())
        },
    },
    Directive {
        name: "RewriteOptions",
        syntax: "RewriteOptions option...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Inherit, InheritBefore, InheritDown, InheritDownBefore and IgnoreInherit: whether the rules of outer \
               scopes are obeyed, too. MergeBase: RewriteBase holds in inner folders. AllowNoSlash: rules of a folder \
               are obeyed although the slash behind its name is missing. IgnoreContextInfo: a relative result within \
               an Alias is not mapped back by it. UnsafePrefixStat and LegacyPrefixDocRoot: older ways to tell a file \
               from a path. AllowAnyURI and LongURLOptimization are accepted and change nothing.",
        apply: |settings, args| {
            let choices = choices(args)?;
            let add = |known: &mut Option<Choices>| {
                *known = Some(Choices(known.unwrap_or_default().0 | choices.0));
            };
            if let Context::Server | Context::VirtualHost = args.context() {
                add(&mut settings.rewrite.server_mut().options);
            }
            let section = settings.rewrite.section_mut(args);
            match section.folder {
                None => add(&mut section.outer_options),
                Some(_) => add(&mut section.options),
            }
            Ok(())
        },
    },
    Directive {
        name: "RewriteBase",
        syntax: "RewriteBase URL-path",
        default: None,
        contexts: SECTION,
        overrides: Overrides::FILE_INFO,
        docs: "The URL path of the folder that relative results of rules are in, where it is not the folder's own path \
               below DocumentRoot.",
        apply: |settings, args| {
            let word = args.required()?;
            if !word.text.starts_with('/') {
                let message = "argument is not a valid URL: it must begin with a slash";
                return Err(Problem::at(word, message));
            }
            settings.rewrite.section_mut(args).base = Some(word.text.clone());
            Ok(())
        },
    },
    Directive {
        name: "RewriteMap",
        syntax: "RewriteMap name type:source",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "A table for rules, which ask it by `${name:key|default}`. `txt:file` has a key and a value on each \
               line; in `rnd:file` one of several values, separated by bars, is taken by chance; `int:tolower`, \
               `int:toupper`, `int:escape` and `int:unescape` change the key. Files are read again when they have \
               changed. The kinds prg, dbm and dbd are not supported.",
        apply: |settings, args| {
            let name = args.word()?.to_owned();
            let map = Map::parse(&name, args)?;
            settings.rewrite.server_mut().maps.insert(name, map);
            Ok(())
        },
    },
    Directive {
        name: "RewriteCond",
        syntax: "RewriteCond test-string pattern [flags]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "A condition of the next RewriteRule. The pattern is a regular expression; or `=text`, `<text`, `>text`, \
               `<=text`, `>=text`; `-eq`, `-ne`, `-lt`, `-le`, `-gt`, `-ge` and a number; or `-f`, `-d`, `-s`, `-l`, \
               `-x`, `-U`, `-F` for what the test string names; `!` negates. `RewriteCond expr \"…\"` is an expression. \
               Flags: NC, OR, NV.",
        apply: |settings, args| {
            let condition = Condition::parse(args.rest()).map_err(Problem::new)?;
            settings.rewrite.rules_mut(args).waiting.push(condition);
            Ok(())
        },
    },
    Directive {
        name: "RewriteRule",
        syntax: "RewriteRule pattern substitution [flags]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Where the pattern matches and the conditions hold, the substitution takes the path's place; `-` leaves \
               it. Outside of sections the pattern sees the whole path; in `<Directory>` and `.htaccess` the path \
               within the folder, without a slash in front. Flags: B, BCTLS, BNE, BNP, C, CO, DPI, E, END, F, G, H, \
               L, N, NC, NE, NS, PT, QSA, QSD, QSL, R, S, T, UnsafeAllow3F, UnsafePrefixStat, UNC. P is refused: \
               there is no proxy.",
        apply: |settings, args| {
            let line = args.rest();
            let rules = settings.rewrite.rules_mut(args);
            let rule = Rule::parse(line, std::mem::take(&mut rules.waiting));
            rules.list.push(Arc::new(rule.map_err(Problem::new)?));
            Ok(())
        },
    },
];

fn choices(args: &mut Args<'_>) -> Result<Choices, Problem> {
    let mut choices = Choices::default();
    let first = args.required()?;
    let words: Vec<_> = std::iter::once(first).chain(args.by_ref()).collect();
    for word in words {
        choices.0 |= match word.text.to_ascii_lowercase().as_str() {
            "inherit" => Choices::INHERIT.0,
            "inheritbefore" => Choices::INHERIT_BEFORE.0,
            "inheritdown" => Choices::INHERIT_DOWN.0,
            "inheritdownbefore" => Choices::INHERIT_DOWN_BEFORE.0,
            "ignoreinherit" => Choices::IGNORE_INHERIT.0,
            "allownoslash" => Choices::ALLOW_NO_SLASH.0,
            "mergebase" => Choices::MERGE_BASE.0,
            "ignorecontextinfo" => Choices::IGNORE_CONTEXT_INFO.0,
            "legacyprefixdocroot" => Choices::LEGACY_PREFIX_DOC_ROOT.0,
            "unsafeprefixstat" => Choices::UNSAFE_PREFIX_STAT.0,
            "allowanyuri" | "longurloptimization" => 0,
            text if text.starts_with("maxredirects=") => {
                let message = "AH00664: MaxRedirects option has been removed in favor of the global \
                               LimitInternalRecursion directive and will be ignored.";
                args.warn(Problem::at(word, message));
                0
            }
            _ => {
                return Err(Problem::at(word, format!("unknown option '{}'", word.text)));
            }
        };
    }
    Ok(choices)
}
