//! # Directives: one row each
//!
//! ```text
//! tree line ──▶ driver finds the row by name ──▶ row.obey(settings, line, place)
//!                                                  ├─ may it stand here?      contexts
//!                                                  ├─ apply(settings, args)   validates and stores
//!                                                  └─ is anything left over?  then it is an error
//! ```
//!
//! - This crate says what a row *is*; the rows stand beside the code that obeys them.
//! - A default is text and goes through `apply`, so the documented default *is* the default.
//! - `apply` validates and stores; it never opens, binds or forks.
//! - A row whose name is `<Name>` describes a section; `apply` then gets the words of its opening line.

use std::fmt;
use std::path::Path;

use crate::args::Args;
use crate::diagnostic::{Diagnostic, Problem, Severity};
use crate::sources::Sources;
use crate::tree::Line;

/// What there is to know about one directive. `T` is the settings struct that it writes into.
#[derive(Debug, Clone, Copy)]
pub struct Directive<T: 'static> {
    /// As in Apache's manual; a section's name keeps its brackets: `<Directory>`.
    pub name: &'static str,
    /// The whole line in the manual's notation: `Listen [address:]port [protocol]`. Argument counts in
    /// messages come from it: `[x]` is optional, `x …` (or `x ...`) may be repeated.
    pub syntax: &'static str,
    /// The arguments that are in force without the directive, as they would be written.
    pub default: Option<&'static str>,
    /// Where it may stand.
    pub contexts: &'static [Context],
    /// What `AllowOverride` must grant before it may stand in `.htaccess`.
    pub overrides: Overrides,
    /// One paragraph for the reference: what it does, units, bounds, where it differs from Apache.
    pub docs: &'static str,
    /// Validates the words and stores them. Words that it leaves are reported by the caller.
    pub apply: fn(&mut T, &mut Args<'_>) -> Result<(), Problem>,
}

/// Where a directive may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// Outside any section.
    Server,
    /// In `<VirtualHost>`.
    VirtualHost,
    /// In `<Directory>`, `<Files>`, `<Location>`, `<If>` and their kind.
    Directory,
    /// In a `.htaccess` file.
    Htaccess,
}

/// A set of the classes that `AllowOverride` names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Overrides(u8);

/// The part of a [`Directive`] that does not depend on the settings it writes; what a reference needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// See [`Directive::name`].
    pub name: &'static str,
    /// See [`Directive::syntax`].
    pub syntax: &'static str,
    /// See [`Directive::default`].
    pub default: Option<&'static str>,
    /// See [`Directive::contexts`].
    pub contexts: &'static [Context],
    /// See [`Directive::overrides`].
    pub overrides: Overrides,
    /// See [`Directive::docs`].
    pub docs: &'static str,
}

/// What surrounds a line while a row obeys it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The texts that the line's spans point into.
    pub sources: &'a Sources,
    /// What relative paths are relative to: ServerRoot.
    pub base: &'a Path,
    /// The kind of section, or file, that the line stands in.
    pub context: Context,
    /// The folder that the section, or `.htaccess` file, is for; `None` if it is for no folder in particular.
    pub folder: Option<&'a Path>,
    /// The line that opens the section; `None` outside of sections, and at the top of a `.htaccess` file.
    pub section: Option<&'a Line>,
}

impl<T> Directive<T> {
    /// Applies one line to `settings` and says what is wrong with it. After an error, `settings` may hold
    /// part of the line. Whether `AllowOverride` permits it in `.htaccess` is the caller's question.
    pub fn obey(&self, settings: &mut T, line: &Line, place: &Place<'_>) -> Vec<Diagnostic> {
        let description = self.describe();
        if let Some(misplaced) = description.check_context(line, place.context) {
            return vec![misplaced];
        }
        let mut args = Args::new(&description, line, place);
        let outcome = (self.apply)(settings, &mut args);
        let outcome = outcome.and_then(|()| args.finish());
        let warnings = args.into_warnings().into_iter().map(|problem| (Severity::Warning, problem));
        let error = outcome.err().map(|problem| (Severity::Error, problem));
        let told = |(severity, problem)| description.diagnose(severity, problem, line);
        warnings.chain(error).map(told).collect()
    }

    /// Applies the default, if there is one.
    ///
    /// # Errors
    /// The rendered diagnostics, if the row's own default is not legal, which is a mistake in the row.
    pub fn apply_default(&self, settings: &mut T, base: &Path) -> Result<(), String> {
        let Some(default) = self.default else { return Ok(()) };
        let mut sources = Sources::default();
        let line = Line::of_default(self.name, default, &mut sources);
        let context = self.contexts.first().copied().unwrap_or(Context::Server);
        let place = Place { sources: &sources, base, context, folder: None, section: None };
        let diagnostics = self.obey(settings, &line, &place);
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Err(diagnostics.iter().map(|each| each.render(&sources)).collect());
        }
        Ok(())
    }

    /// The row without its `apply`.
    pub const fn describe(&self) -> Description {
        let Directive { name, syntax, default, contexts, overrides, docs, .. } = *self;
        Description { name, syntax, default, contexts, overrides, docs }
    }
}

impl Description {
    /// The error of a line that may not stand where it stands.
    pub fn check_context(&self, line: &Line, context: Context) -> Option<Diagnostic> {
        if self.contexts.contains(&context) {
            return None;
        }
        let problem = Problem::at(&line.name, not_allowed(self.name, context))
            .help(format!("belongs in: {}", Contexts(self.contexts)));
        Some(Diagnostic::new(Severity::Error, problem))
    }

    /// Gives a row's problem the name, the place and the help that the row left out.
    pub fn diagnose(&self, severity: Severity, problem: Problem, line: &Line) -> Diagnostic {
        let named = problem.message.starts_with(self.name);
        let message =
            if named { problem.message } else { format!("{}: {}", self.name, problem.message) };
        let help = problem.help.unwrap_or_else(|| format!("syntax: {self}"));
        let span = problem.span.unwrap_or(line.name.span);
        let lacking = problem.lacking;
        Diagnostic { severity, message, span: Some(span), help: Some(help), lacking }
    }
}

impl fmt::Display for Description {
    /// `MaxRequestWorkers number|auto (server config)`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.syntax, Contexts(self.contexts))
    }
}

fn not_allowed(name: &str, context: Context) -> String {
    match context {
        Context::Server => format!("{name} not allowed outside of a section"),
        Context::VirtualHost => format!("{name} cannot occur within <VirtualHost> section"),
        Context::Directory => format!("{name} cannot occur within directory context"),
        Context::Htaccess => format!("{name} cannot occur within htaccess files"),
    }
}

impl fmt::Display for Context {
    /// The manual's words for it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Context::Server => "server config",
            Context::VirtualHost => "virtual host",
            Context::Directory => "directory",
            Context::Htaccess => ".htaccess",
        })
    }
}

/// A list of contexts in the manual's words.
pub(crate) struct Contexts(pub(crate) &'static [Context]);

impl fmt::Display for Contexts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Context::to_string).collect();
        out.write_str(&names.join(", "))
    }
}

impl Overrides {
    /// Never legal in `.htaccess`.
    pub const NONE: Overrides = Overrides(0);
    /// Authentication and authorisation.
    pub const AUTH_CONFIG: Overrides = Overrides(1);
    /// What a file is: types, error documents, headers, rewriting.
    pub const FILE_INFO: Overrides = Overrides(1 << 1);
    /// What stands for a directory: index files and listings.
    pub const INDEXES: Overrides = Overrides(1 << 2);
    /// Access by host: `Allow`, `Deny`, `Order`.
    pub const LIMIT: Overrides = Overrides(1 << 3);
    /// `Options` and relatives.
    pub const OPTIONS: Overrides = Overrides(1 << 4);
    /// Every class: legal as soon as anything is granted.
    pub const ALL: Overrides = Overrides((1 << 5) - 1);

    const NAMES: [(Overrides, &'static str); 5] = [
        (Self::AUTH_CONFIG, "AuthConfig"),
        (Self::FILE_INFO, "FileInfo"),
        (Self::INDEXES, "Indexes"),
        (Self::LIMIT, "Limit"),
        (Self::OPTIONS, "Options"),
    ];

    /// Both sets together; `const`, so that a table of rows can say it.
    #[must_use]
    pub const fn union(self, other: Overrides) -> Overrides {
        Overrides(self.0 | other.0)
    }

    /// Whether the sets share a class: `granted.intersects(row.overrides)` makes a row legal.
    pub const fn intersects(self, other: Overrides) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every class of `other` is in this set.
    pub const fn contains(self, other: Overrides) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no class is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The class, or `All` or `None`, of this name in any case.
    pub fn named(name: &str) -> Option<Overrides> {
        let more = [(Self::ALL, "All"), (Self::NONE, "None")];
        let mut names = Self::NAMES.into_iter().chain(more);
        names.find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(class, _)| class)
    }
}

impl fmt::Display for Overrides {
    /// As after `AllowOverride`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return out.write_str("None");
        }
        if *self == Self::ALL {
            return out.write_str("All");
        }
        let named = Self::NAMES.iter().filter(|(class, _)| self.contains(*class));
        let names: Vec<&str> = named.map(|(_, name)| *name).collect();
        out.write_str(&names.join(" "))
    }
}

impl fmt::Debug for Overrides {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Overrides({self})")
    }
}
