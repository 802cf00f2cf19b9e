//! # The configuration: from text to settings that requests can use
//!
//! ```text
//! Source ──conf::read──▶ tree ──load──▶ drafts ──freeze──▶ Config
//!            language          rows          merged, compiled, checked against the disk
//!                                            geometry: numbers that agree
//! ```
//!
//! - Every mistake is reported, in one go, with its place; a configuration with errors yields no
//!   `Config`.
//! - A `Config` never changes: it is shared by all threads, and a reload makes another one.
//! - What Apache has and we do not yet is an error that says so, never silence: a line that
//!   somebody wrote to protect something must not be skipped.

mod apache;
pub mod changes;
pub mod compat;
mod folder;
mod freeze;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod geometry;
pub(crate) mod htaccess;
mod lints;
mod load;
pub mod memory;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use herdgate_conf::{Diagnostic, Sources};

pub(crate) use apache::{has_module as apache_has_module, refused};
pub use folder::FolderOptions;
pub use settings::{DirSettings, HostSettings, ServerSettings};

use crate::log::access::Format;
use crate::modules::client_limits;
use crate::modules::core::{LogTarget, Permit, Tokens};
use crate::modules::file_cache::FileCache;
use crate::modules::log_config::Only;
use crate::modules::mime::TypeMap;
use crate::modules::mpm_common::{Gate, ListenAddress, Mutex, SpawnPolicy};
use crate::modules::providers::Providers;
use crate::modules::sandbox::Sandbox;
use crate::regex;
use crate::route::hosts::{HostIndex, HostTable};
use crate::route::walk::{MergeCache, Walk};
use changes::Outline;
use geometry::Geometry;
use memory::MemoryPlan;

/// Where a configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// `-d`: what relative paths are relative to, until ServerRoot says otherwise. Absolute.
    pub root: PathBuf,
    /// `-f`: the file, relative to `root`. `None` reads no file.
    pub file: Option<PathBuf>,
    /// `-D`: names, some with values.
    pub defines: Vec<(String, Option<String>)>,
    /// `-C`: directives to read before the file.
    pub before: Vec<String>,
    /// `-c`: directives to read after the file.
    pub after: Vec<String>,
}

/// A configuration, merged, checked and ready.
#[derive(Debug)]
pub struct Config {
    /// What is set once.
    pub server: Server,
    /// The main server, then the virtual hosts in file order.
    pub hosts: Vec<Host>,
    /// Which host a request is for.
    pub table: HostTable,
    /// What its text says, so that a reload can tell what it has changed.
    pub outline: Outline,
}

/// What is set once for the whole server.
#[derive(Debug)]
pub struct Server {
    /// `ServerRoot`
    pub root: PathBuf,
    /// `DefaultRuntimeDir`, absolute.
    pub runtime_dir: PathBuf,
    /// Somebody has written it.
    pub runtime_dir_is_written: bool,
    /// How many processes and threads, what they listen on, what stands before accept.
    pub mpm: Mpm,
    /// `User`, if it was set.
    pub user: Option<Identity>,
    /// `Group`, if it was set.
    pub group: Option<Identity>,
    /// `ServerTokens`
    pub tokens: Tokens,
    /// `ExtendedStatus`
    pub extended_status: bool,
    /// Each request gets a name: mod_unique_id is loaded.
    pub unique_ids: bool,
    /// `FileCache`
    pub file_cache: FileCache,
    /// `SeeRequestTail`
    pub see_request_tail: bool,
    /// What one client may have.
    pub client_limits: client_limits::Server,
    /// Some host has `RemoteIPProxyProtocol On`.
    pub proxy_protocol: bool,
    /// What lines about access may name, in `.htaccess` too.
    pub providers: Arc<Providers>,
    /// What children give up before they serve.
    pub sandbox: Sandbox,
    /// `RegexDefaultOptions`
    pub regex: regex::Options,
    /// Types by extension.
    pub types: TypeMap,
    /// What was defined at the end, sorted.
    pub defines: Vec<(String, Option<String>)>,
}

/// Plain numbers for the process models.
#[derive(Debug, Clone)]
pub struct Mpm {
    /// The model with its processes and threads.
    pub geometry: Geometry,
    /// At least one.
    pub listen: Vec<Listening>,
    /// `ListenBacklog`
    pub backlog: u32,
    /// `ListenBuckets`: sockets of each address. At least 1, and never more than children.
    pub buckets: u16,
    /// `ListenCoresBucketsRatio`, if the buckets follow from it.
    pub cores_per_bucket: Option<u32>,
    /// `SendBufferSize`, in bytes; `None` is the kernel's.
    pub send_buffer: Option<usize>,
    /// `ReceiveBufferSize`, in bytes; `None` is the kernel's.
    pub receive_buffer: Option<usize>,
    /// What stands before accept.
    pub gate: Gate,
    /// `MaxConnectionsPerChild`; `None` is never.
    pub connections_per_child_max: Option<u32>,
    /// How much earlier a child may end, in percent.
    pub connections_jitter_percent: u32,
    /// `MaxMemoryPerChild` in bytes; `None` is no limit.
    pub memory_per_child_max: Option<u64>,
    /// The arithmetic of `MaxRequestWorkers auto`; `None` if a number was given.
    pub memory: Option<MemoryPlan>,
    /// `SpawnPolicy`
    pub spawn_policy: SpawnPolicy,
    /// `GracefulShutdownTimeout`; `None` is no limit.
    pub graceful_shutdown_timeout: Option<Duration>,
    /// `ThreadStackSize`, in bytes; `None` is the system's.
    pub thread_stack_size: Option<usize>,
    /// `CoreDumpDirectory`, absolute, if it was set.
    pub core_dump_directory: Option<PathBuf>,
    /// The `Mutex` line for every type without one of its own.
    pub mutex_default: Option<Mutex>,
    /// The `Mutex` line that names mpm-accept.
    pub mutex_accept: Option<Mutex>,
    /// `PidFile`, absolute.
    pub pid_file: PathBuf,
    /// `ScoreBoardFile`, absolute; `None` is a file that the program places, see [`crate::scoreboard`].
    pub scoreboard_file: Option<PathBuf>,
}

/// A place to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Where.
    pub address: ListenAddress,
    /// In lower case.
    pub protocol: String,
    /// Connections are taken when their first bytes have come.
    pub wait_for_data: bool,
    /// Permission bits of a socket file.
    pub mode: u32,
    /// Who owns the socket file; `None` is the supervisor's user.
    pub owner: Option<u32>,
    /// Its group; `None` is the supervisor's.
    pub group: Option<u32>,
}

/// A user or a group of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// As written: a name or `#id`.
    pub name: String,
    /// Its number.
    pub id: u32,
}

/// The main server or a virtual host.
#[derive(Debug)]
pub struct Host {
    /// Its settings, the main server's behind them.
    pub settings: HostSettings,
    /// What it calls itself: its ServerName, else the main server's, else the machine's name.
    pub name: String,
    /// Where `<VirtualHost>` stands, as `FILE:LINE`; `None` for the main server.
    pub place: Option<String>,
    /// The arguments of `<VirtualHost>`, as written.
    pub addresses: Vec<String>,
    /// The error log.
    pub error_log: LogTarget,
    /// The access logs.
    pub access_logs: Vec<AccessLog>,
    /// Some `<Location>` has a say before its path is mapped.
    locations_first: bool,
    walk: Walk,
}

/// One access log.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// The file; absolute.
    pub path: PathBuf,
    /// What a line holds.
    pub format: Arc<Format>,
    /// Which requests have a line; `None` is all.
    pub only: Option<Only>,
}

/// A configuration that can be used, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings and notes.
    pub warnings: Diagnostics,
}

/// Findings, with the texts that they point into.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// In the order of reading.
    pub list: Vec<Diagnostic>,
    /// What their spans point into.
    pub sources: Sources,
}

impl Config {
    /// Reads and checks a whole configuration. Files are read and names are looked up; nothing is
    /// opened for writing, nothing is bound.
    ///
    /// # Errors
    /// Every mistake at once, warnings among them.
    pub fn load(source: &Source) -> Result<Loaded, Diagnostics> {
        let draft = load::load(source);
        freeze::freeze(draft)
    }

    /// As [`Config::load`], with warnings about what is legal and bites people all the same. This looks at the disk.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn examine(source: &Source) -> Result<Loaded, Diagnostics> {
        let mut draft = load::load(source);
        let tree = std::mem::take(&mut draft.tree);
        let mut loaded = freeze::freeze(draft)?;
        loaded.warnings.list.extend(lints::find(&tree, &loaded.config));
        Ok(loaded)
    }

    /// The configuration of `herdgate serve`: one folder, nothing else. It is a text like any
    /// other.
    ///
    /// # Errors
    /// As [`Config::load`]; and the folder's name must be UTF-8.
    pub fn for_folder(
        folder: &Path,
        listen: &[SocketAddr],
        options: &FolderOptions,
    ) -> Result<Loaded, Diagnostics> {
        Self::load(&folder::source(folder, listen, options)?)
    }

    /// The host for a request that came in at `local` and asks for `name`: see
    /// [`HostTable::select`].
    pub fn host_for(&self, local: SocketAddr, name: Option<&[u8]>) -> (HostIndex, &Host) {
        let index = self.table.select(local, name);
        (index, &self.hosts[index])
    }

    /// The host for a request that came in at `local` and names none: the first of the address whose `ServerPath` the path
    /// begins with, else the first of all.
    pub fn host_by_path(&self, local: SocketAddr, path: &[u8]) -> (HostIndex, &Host) {
        let mut members = self.table.members(local).iter().copied();
        let by_path = members.find(|index| self.hosts[*index].settings.core.has_path(path));
        let index = by_path.unwrap_or_else(|| self.table.first(local));
        (index, &self.hosts[index])
    }

    /// The hosts that a request may be for that comes in at `local`.
    pub(crate) fn hosts_at(&self, local: SocketAddr) -> impl Iterator<Item = &Host> {
        self.table.all(local).iter().map(|index| &self.hosts[*index])
    }

    /// Whether anything is limited for each client.
    pub fn limits_clients(&self) -> bool {
        self.server.client_limits.connections_max().is_some()
            || self.hosts.iter().any(|host| host.settings.client_limits.request_rate().is_some())
    }

    /// The main server, whose error log tells what concerns no host.
    pub fn main(&self) -> &Host {
        &self.hosts[0]
    }
}

impl Host {
    /// What holds outside any section.
    pub fn base(&self) -> &Arc<DirSettings> {
        self.walk.base()
    }

    /// Whether the settings of `<Location>` sections are asked for before a path is mapped.
    pub(crate) fn asks_locations_first(&self) -> bool {
        self.locations_first
    }

    /// What holds for a path and the file it was mapped to, if it was. `path` is decoded and normalised, `file`
    /// lexically normal. The cache is the thread's own; `read` finds and reads a folder's `.htaccess` file.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn settings_for<E>(
        &self,
        path: &[u8],
        file: Option<&Path>,
        cache: &mut MergeCache,
        read: impl FnMut(&[u8], &Permit) -> Result<Option<Arc<htaccess::Outcome>>, E>,
    ) -> Result<Arc<DirSettings>, E> {
        self.walk.settings(path, file, cache, read)
    }

    /// The sections and `.htaccess` files that [`settings_for`](Self::settings_for) merges, in words.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn layers<E>(
        &self,
        path: &[u8],
        file: Option<&Path>,
        read: impl FnMut(&[u8], &Permit) -> Result<Option<Arc<htaccess::Outcome>>, E>,
    ) -> Result<Vec<String>, E> {
        self.walk.layers(path, file, read)
    }

    /// As [`settings_for`](Self::settings_for), by the server's own files alone.
    pub fn settings_without_htaccess(
        &self,
        path: &[u8],
        file: Option<&Path>,
        cache: &mut MergeCache,
    ) -> Arc<DirSettings> {
        let nothing = |_: &[u8], _: &Permit| Ok::<_, std::convert::Infallible>(None);
        match self.walk.settings(path, file, cache, nothing) {
            Ok(settings) => settings,
        }
    }
}

impl Diagnostics {
    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(Diagnostic::is_error)
    }
}

impl fmt::Display for Diagnostics {
    /// Each with its line, a caret and the likely cure.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.iter().try_for_each(|each| out.write_str(&each.render(&self.sources)))
    }
}
