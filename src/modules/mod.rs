//! # The modules: what can be configured, beside the code that obeys it
//!
//! ```text
//! one file for each Apache module ──▶ Module { name, file, rows }
//!                                               │
//!                     server rows     ──apply──▶ ServerSettings   one for the whole server
//!                     host rows       ──apply──▶ HostSettings     one for the main server, one for each <VirtualHost>
//!                     directory rows  ──apply──▶ DirSettings      one for each of these, one for each section
//! ```
//!
//! - A directive writes to exactly one of the three, so where it may stand follows from its table.
//! - Every module keeps its settings in a struct of its own, with a `merge` and one reader for each value; a reader
//!   answers with the default where nothing was written.

pub mod alias;
pub mod authz_core;
pub mod authz_host;
pub mod autoindex;
mod change;
pub mod core;
pub mod dir;
pub mod log_config;
pub mod mime;
pub mod mpm_common;
pub mod status;
pub mod unixd;

use std::collections::HashMap;
use std::sync::LazyLock;

use herdgate_conf::{Context, Description, Directive};

use crate::config::{DirSettings, HostSettings, ServerSettings};

/// One Apache module that is built in.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// As after LoadModule: `dir_module`.
    pub name: &'static str,
    /// As `<IfModule>` also knows it: `mod_dir.c`.
    pub file: &'static str,
    /// What is set once for the whole server.
    pub server: &'static [Directive<ServerSettings>],
    /// What a virtual host may set for itself.
    pub host: &'static [Directive<HostSettings>],
    /// What a section may set for itself.
    pub directory: &'static [Directive<DirSettings>],
}

/// Every module, in alphabetical order of their files here.
pub const ALL: &[&Module] = &[
    &alias::MODULE,
    &authz_core::MODULE,
    &authz_host::MODULE,
    &autoindex::MODULE,
    &core::MODULE,
    &dir::MODULE,
    &log_config::MODULE,
    &mime::MODULE,
    &mpm_common::MODULE,
    &mpm_common::EVENT,
    &mpm_common::PREFORK,
    &mpm_common::WORKER,
    &SO,
    &status::MODULE,
    &unixd::MODULE,
    &VERSION,
];

/// LoadModule and `<IfVersion>` act while the configuration is read: the language itself obeys them.
const SO: Module = Module::without_directives("so_module", "mod_so.c");
const VERSION: Module = Module::without_directives("version_module", "mod_version.c");

impl Module {
    const fn without_directives(name: &'static str, file: &'static str) -> Self {
        Module { name, file, server: &[], host: &[], directory: &[] }
    }

    /// The module of this name or file, as LoadModule and `<IfModule>` mean it.
    pub fn named(name: &str) -> Option<&'static Module> {
        let is_meant = |module: &&&Module| module.name == name || module.file == name;
        ALL.iter().find(is_meant).copied()
    }

    /// Its rows without what they do, for documentation.
    pub fn descriptions(&self) -> impl Iterator<Item = Description> {
        let server = self.server.iter().map(Directive::describe);
        let host = self.host.iter().map(Directive::describe);
        server.chain(host).chain(self.directory.iter().map(Directive::describe))
    }
}

/// A row with the settings that it writes to.
#[derive(Debug, Clone, Copy)]
pub enum Row {
    /// Once for the whole server.
    Server(&'static Directive<ServerSettings>),
    /// For each virtual host.
    Host(&'static Directive<HostSettings>),
    /// For each section.
    Directory(&'static Directive<DirSettings>),
}

impl Row {
    /// The row of a directive, by its name in any case.
    pub fn named(name: &str) -> Option<Row> {
        ROWS.get(name.to_ascii_lowercase().as_str()).copied()
    }

    /// Every row.
    pub fn all() -> impl Iterator<Item = Row> {
        ALL.iter().flat_map(|module| {
            let server = module.server.iter().map(Row::Server);
            let host = module.host.iter().map(Row::Host);
            server.chain(host).chain(module.directory.iter().map(Row::Directory))
        })
    }

    /// What there is to know about it.
    pub fn describe(self) -> Description {
        match self {
            Row::Server(row) => row.describe(),
            Row::Host(row) => row.describe(),
            Row::Directory(row) => row.describe(),
        }
    }
}

static ROWS: LazyLock<HashMap<String, Row>> = LazyLock::new(|| {
    Row::all().map(|row| (row.describe().name.to_ascii_lowercase(), row)).collect()
});

/// Outside any section.
const SERVER: &[Context] = &[Context::Server];
/// Outside any section, or in `<VirtualHost>`.
const HOST: &[Context] = &[Context::Server, Context::VirtualHost];
/// In `<VirtualHost>`.
const HOST_ONLY: &[Context] = &[Context::VirtualHost];
/// Anywhere but in `.htaccess`.
const HOST_AND_SECTION: &[Context] = &[Context::Server, Context::VirtualHost, Context::Directory];
/// Anywhere but outside of all sections.
const HOST_ONLY_AND_SECTION: &[Context] =
    &[Context::VirtualHost, Context::Directory, Context::Htaccess];
/// Anywhere.
const EVERYWHERE: &[Context] =
    &[Context::Server, Context::VirtualHost, Context::Directory, Context::Htaccess];
/// In `<Directory>` and its kind, and in `.htaccess`.
const SECTION: &[Context] = &[Context::Directory, Context::Htaccess];
/// In `<Directory>` and its kind.
const DIRECTORY: &[Context] = &[Context::Directory];
