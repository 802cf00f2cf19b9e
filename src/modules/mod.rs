//! # The modules: what can be configured, beside the code that obeys it
//!
//! ```text
//! one file for each Apache module ──▶ Module { name, file, rows }
//!                                               │
//!     server rows     ──apply──▶ ServerSettings   one for the whole server
//!     host rows       ──apply──▶ HostSettings     one for each host, the main server among them
//!     directory rows  ──apply──▶ DirSettings      one for each of these, one for each section
//! ```
//!
//! - A directive writes to exactly one of the three, so where it may stand follows from its table.
//! - Every module keeps its settings in a struct of its own, with a `merge` and one reader for each
//!   value; a reader answers with the default where nothing was written.

pub mod access_compat;
pub mod alias;
pub mod allowmethods;
pub mod auth_basic;
pub mod authn_core;
pub mod authn_file;
pub mod authz_core;
pub mod authz_groupfile;
pub mod authz_host;
pub mod authz_owner;
pub mod authz_user;
pub mod autoindex;
#[cfg(feature = "brotli")]
pub mod brotli;
mod change;
pub mod client_limits;
pub mod core;
pub mod deflate;
pub mod dir;
pub mod env;
pub mod expires;
pub mod file_cache;
pub mod filter;
pub mod headers;
pub mod info;
pub mod log_config;
pub mod logio;
pub mod mime;
pub mod mpm_common;
pub mod negotiation;
pub mod precompressed;
pub mod providers;
pub mod ratelimit;
pub mod remoteip;
pub mod reqtimeout;
pub mod rewrite;
pub mod sandbox;
pub mod sections;
pub mod setenvif;
pub mod status;
pub mod unique_id;
pub mod unixd;
pub mod userdir;
pub mod vhost_alias;
#[cfg(feature = "zstd")]
pub mod zstd;

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
    &access_compat::MODULE,
    &alias::MODULE,
    &allowmethods::MODULE,
    &auth_basic::MODULE,
    &authn_core::MODULE,
    &authn_file::MODULE,
    &authz_core::MODULE,
    &authz_groupfile::MODULE,
    &authz_host::MODULE,
    &authz_owner::MODULE,
    &authz_user::MODULE,
    &autoindex::MODULE,
    #[cfg(feature = "brotli")]
    &brotli::MODULE,
    &client_limits::MODULE,
    &core::MODULE,
    &deflate::MODULE,
    &dir::MODULE,
    &env::MODULE,
    &info::MODULE,
    &HTTP,
    &expires::MODULE,
    &file_cache::MODULE,
    &filter::MODULE,
    &headers::MODULE,
    &log_config::MODULE,
    &logio::MODULE,
    &MACRO,
    &mime::MODULE,
    &mpm_common::MODULE,
    &mpm_common::EVENT,
    &mpm_common::PREFORK,
    &mpm_common::WORKER,
    &negotiation::MODULE,
    &precompressed::MODULE,
    &ratelimit::MODULE,
    &remoteip::MODULE,
    &reqtimeout::MODULE,
    &rewrite::MODULE,
    &sandbox::MODULE,
    &setenvif::MODULE,
    &SO,
    &status::MODULE,
    &unique_id::MODULE,
    &SYSTEMD,
    &unixd::MODULE,
    &userdir::MODULE,
    &VERSION,
    &vhost_alias::MODULE,
    #[cfg(feature = "zstd")]
    &zstd::MODULE,
];

/// What speaks HTTP, which Apache calls a module of its own.
const HTTP: Module = Module::without_directives("http_module", "http_core.c");
/// LoadModule, `<Macro>` and `<IfVersion>` act while the configuration is read: the language itself
/// obeys them.
const MACRO: Module = Module::without_directives("macro_module", "mod_macro.c");
const SO: Module = Module::without_directives("so_module", "mod_so.c");
/// `crate::systemd` tells a service manager whatever the configuration says.
const SYSTEMD: Module = Module::without_directives("systemd_module", "mod_systemd.c");
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

/// The text of `docs/directives.md`: every directive and section, the language's own among them, and what is refused.
pub fn reference() -> String {
    let rows = ALL.iter().flat_map(|module| module.descriptions().map(|row| (module.name, row)));
    let owner = |name: &str| match name {
        "<Macro>" | "UndefMacro" | "Use" => MACRO.name,
        "LoadModule" => SO.name,
        "<IfVersion>" => VERSION.name,
        _ => core::MODULE.name,
    };
    let language = herdgate_conf::READ_TIME.iter().map(|row| (owner(row.name), *row));
    let rows = rows.chain(language).chain(sections::ALL.iter().copied());
    herdgate_conf::reference::markdown(rows, &crate::config::refused())
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
/// Anywhere.
const EVERYWHERE: &[Context] =
    &[Context::Server, Context::VirtualHost, Context::Directory, Context::Htaccess];
/// In `<Directory>` and its kind, and in `.htaccess`.
const SECTION: &[Context] = &[Context::Directory, Context::Htaccess];
/// In `<Directory>` and its kind.
const DIRECTORY: &[Context] = &[Context::Directory];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::path::Path;

    #[test]
    fn every_name_has_one_row() {
        let mut names = HashSet::new();
        for row in Row::all() {
            let name = row.describe().name;
            assert!(names.insert(name.to_ascii_lowercase()), "{name} has two rows");
            let read_time = herdgate_conf::READ_TIME.iter().any(|known| known.name == name);
            assert!(!read_time, "the language itself obeys {name}");
        }
    }

    #[test]
    fn every_row_is_documented() {
        for row in Row::all() {
            let row = row.describe();
            assert!(row.docs.ends_with('.'), "{}: the docs are sentences", row.name);
            assert!(
                row.syntax.starts_with(row.name),
                "{}: the syntax begins with the name",
                row.name
            );
            assert!(!row.contexts.is_empty(), "{} may stand nowhere", row.name);
        }
    }

    /// The documented default is the default: whoever writes it changes nothing.
    #[test]
    fn every_default_is_legal_and_in_force_without_it() {
        let root = Path::new("/");
        for row in Row::all() {
            let mut server = ServerSettings::default();
            let mut host = HostSettings::default();
            let mut directory = DirSettings::default();
            let before = effective(&server, &host, &directory);
            let applied = match row {
                Row::Server(row) => row.apply_default(&mut server, root),
                Row::Host(row) => row.apply_default(&mut host, root),
                Row::Directory(row) => row.apply_default(&mut directory, root),
            };
            applied.unwrap_or_else(|message| panic!("{message}"));
            assert_eq!(effective(&server, &host, &directory), before, "{}", row.describe().name);
        }
    }

    /// What every reader answers that does not depend on the disk.
    fn effective(server: &ServerSettings, host: &HostSettings, dir: &DirSettings) -> String {
        let mpm = &server.mpm;
        let limits = &mpm.limits;
        // Geometry has the defaults of these, and its own tests; it must agree with the rows.
        let number =
            |written: Option<(i64, _)>, default: i64| written.map_or(default, |(it, _)| it);
        let geometry = [
            number(limits.min_spare_servers, 5),
            number(limits.max_spare_servers, 10),
            number(limits.min_spare_threads, 75),
            number(limits.max_spare_threads, 250),
            number(limits.threads_per_child, 25),
            number(limits.thread_limit, 64),
        ];
        let mpm = (
            (mpm.backlog(), mpm.gate(), mpm.connections_per_child_max()),
            (
                mpm.graceful_shutdown_timeout(),
                limits.async_factor.map_or(2.0, |(factor, _)| factor),
            ),
        );
        let limits = &server.client_limits;
        let limits =
            (limits.connections_max(), limits.prefixes(), host.client_limits.request_rate());
        let cache = server.file_cache.bytes_max();
        let server =
            (server.core.tokens(), server.status.extended(), server.sandbox.mode(), limits, cache);
        let core = &host.core;
        let host = (
            (core.admin(), core.timeout(), core.keep_alive(), core.keep_alive_timeout()),
            (core.keep_alive_requests_max(), core.limits(), core.merge_slashes()),
            (core.encoded_slashes(), core.trace(), host.log.transfer_format().text),
            host.negotiation.cache_negotiated(),
        );
        let core = &dir.core;
        let core = (
            (
                core.options(),
                core.accept_path_info(),
                core.default_charset(),
                core.canonical_name(),
            ),
            (
                core.canonical_physical_port(),
                core.signature(),
                core.error_document(404),
                core.forced_type(),
            ),
            (core.etag(), core.sendfile(), core.mmap(), core.body_bytes_max()),
            (core.log_levels().level("core"), core.hidden_files()),
        );
        let index: Vec<&str> = dir.dir.index().collect();
        let others = (
            (index, dir.dir.slash(), dir.dir.fallback()),
            (dir.dir.index_redirect(), dir.dir.check_handler()),
            (dir.autoindex.options(), dir.autoindex.order(), dir.autoindex.style()),
            (dir.mime.views_match(), dir.mime.use_path_info(), dir.negotiation.force()),
            (dir.access.order("GET"), dir.access.satisfy("GET"), dir.allowmethods.allows("PUT")),
            (
                dir.auth_basic.authoritative(),
                dir.auth_basic.fakes(),
                dir.authz.forbidden_on_failure(),
                dir.core.hostname_lookups(),
            ),
        );
        format!("{geometry:?} {mpm:?} {server:?} {host:?} {core:?} {others:?}")
    }

    #[test]
    fn the_reference_has_everything() {
        let text = reference();
        let names = Row::all().map(|row| row.describe().name);
        for name in names.chain(["<VirtualHost>", "<RequireAny>", "<IfModule>", "Include"]) {
            assert!(text.contains(&format!("### `{name}`")), "{name} is missing");
        }
    }

    #[test]
    fn modules_are_known_by_name_and_file() {
        assert_eq!(Module::named("mime_module").map(|module| module.file), Some("mod_mime.c"));
        assert_eq!(
            Module::named("prefork.c").map(|module| module.name),
            Some("mpm_prefork_module")
        );
        assert!(Module::named("proxy_module").is_none());
    }
}
