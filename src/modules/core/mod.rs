//! # core: what every server has, in three sizes
//!
//! ```text
//! server.rs      the whole server       ServerTokens
//! host.rs        one virtual host       ServerName, DocumentRoot, KeepAlive, LimitRequestLine, …
//!                                       protocol.rs: HttpProtocolOptions
//! directory.rs   one section            ErrorDocument, FileETag, EnableSendfile, …
//!                                       options.rs: Options; overrides.rs: AllowOverride;
//!                                       log_level.rs: LogLevel
//! idle.rs        what is checked and changes nothing
//! ```
//!
//! A directive lives in the smallest of the three that Apache's manual lets it stand in: what a
//! `<Directory>` may set, a virtual host sets for all its directories.

mod directory;
mod host;
mod idle;
mod log_level;
mod options;
mod overrides;
mod protocol;
mod server;

pub use directory::{
    AcceptPathInfo, CanonicalName, Directory, ErrorDocument, EtagParts, HiddenFiles,
    HostnameLookups, Signature,
};
pub(crate) use host::NAME_A_FILE;
pub use host::{Host, Limits, LogTarget, Recursion, ServerName, Trace};
pub use log_level::{Level, LogLevels};
pub use options::Options;
pub use overrides::{AllowOverride, Permit};
pub use server::{Server, Tokens};

use super::Module;

/// The module that no configuration can leave out.
pub(super) const MODULE: Module = Module {
    name: "core_module",
    file: "core.c",
    server: server::DIRECTIVES,
    host: host::DIRECTIVES,
    directory: directory::DIRECTIVES,
};
