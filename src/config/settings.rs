//! # Settings: what the directives have said, one struct for each reach
//!
//! ```text
//! ServerSettings  the whole server          written outside any section
//! HostSettings    one virtual host          … or in <VirtualHost>
//! DirSettings     one section               … or in <Directory>, <Files>, <Location>
//! ```
//!
//! - Each is composed of one struct for each module, which alone knows what is in it.
//! - `merge(outer, inner)` is what the inner scope sees: every directive has its own rule, as in
//!   Apache.
//! - Nothing here is resolved or checked against the disk: `freeze` does that.

use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "brotli")]
use crate::modules::brotli;
#[cfg(feature = "zstd")]
use crate::modules::zstd;
use crate::modules::{
    access_compat, alias, allowmethods, auth_basic, authn_core, authn_file, authz_core,
    authz_groupfile, autoindex, client_limits, core, deflate, dir, env, expires, file_cache,
    filter, headers, info, log_config, mime, mpm_common, negotiation, precompressed, providers,
    remoteip, reqtimeout, rewrite, sandbox, setenvif, status, unixd, userdir, vhost_alias,
};
use crate::route::ifs::IfChain;

/// What is set once for the whole server.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// ServerRoot: what relative paths are relative to.
    pub root: PathBuf,
    /// DefaultRuntimeDir, absolute: for lock files and sockets.
    pub runtime_dir: PathBuf,
    /// Somebody has written it.
    pub runtime_dir_is_written: bool,
    /// Each request gets a name: a LoadModule line asks for mod_unique_id.
    pub unique_ids: bool,
    /// How many connections one client may have.
    pub client_limits: client_limits::Server,
    /// core
    pub core: core::Server,
    /// FileCache
    pub file_cache: file_cache::FileCache,
    /// mod_log_config
    pub log: log_config::Server,
    /// mod_mime
    pub mime: mime::Server,
    /// What the process models share.
    pub mpm: mpm_common::Mpm,
    /// Providers that have got other names so far.
    pub providers: Arc<providers::Providers>,
    /// What children give up.
    pub sandbox: sandbox::Sandbox,
    /// mod_status
    pub status: status::Status,
    /// mod_unixd
    pub unixd: unixd::Unixd,
}

/// What a virtual host may set for itself.
#[derive(Debug, Clone, Default)]
pub struct HostSettings {
    /// How fast one client may ask.
    pub client_limits: client_limits::Host,
    /// core
    pub core: core::Host,
    /// mod_deflate
    pub deflate: deflate::Deflate,
    /// mod_brotli
    #[cfg(feature = "brotli")]
    pub brotli: brotli::Brotli,
    /// mod_info
    pub info: info::Info,
    /// mod_log_config
    pub log: log_config::Host,
    /// mod_remoteip
    pub remoteip: remoteip::RemoteIp,
    /// mod_negotiation
    pub negotiation: negotiation::Host,
    /// mod_userdir
    pub userdir: userdir::UserDir,
    /// mod_vhost_alias
    pub vhost_alias: vhost_alias::VhostAlias,
    /// mod_reqtimeout
    pub reqtimeout: reqtimeout::RequestTimeouts,
    /// How ZSTD_COMPRESS compresses.
    #[cfg(feature = "zstd")]
    pub zstd: zstd::Zstd,
}

/// What a section may set for itself.
#[derive(Debug, Clone, Default)]
pub struct DirSettings {
    /// mod_access_compat
    pub access: access_compat::AccessCompat,
    /// mod_allowmethods
    pub allowmethods: allowmethods::AllowMethods,
    /// mod_auth_basic
    pub auth_basic: auth_basic::AuthBasic,
    /// mod_authn_core
    pub authn: authn_core::AuthnCore,
    /// mod_authn_file
    pub authn_file: authn_file::AuthnFile,
    /// mod_alias
    pub alias: alias::Aliases,
    /// mod_authz_core
    pub authz: authz_core::Authz,
    /// mod_authz_groupfile
    pub authz_groupfile: authz_groupfile::AuthzGroupfile,
    /// mod_autoindex
    pub autoindex: autoindex::Autoindex,
    /// core
    pub core: core::Directory,
    /// mod_dir
    pub dir: dir::Dir,
    /// `<If>` sections, in the order of merging.
    pub ifs: Vec<Arc<IfChain>>,
    /// mod_env
    pub env: env::Env,
    /// mod_expires
    pub expires: expires::Expires,
    /// mod_filter, and core's SetOutputFilter
    pub filter: filter::Filters,
    /// mod_headers
    pub headers: headers::Headers,
    /// mod_mime
    pub mime: mime::Mime,
    /// mod_negotiation
    pub negotiation: negotiation::Negotiation,
    /// What `<AuthnProviderAlias>` and its like have named, for the lines that may say such a name.
    pub providers: Arc<providers::Providers>,
    /// mod_rewrite
    pub rewrite: rewrite::Rewrite,
    /// Files that were compressed beforehand.
    pub precompressed: precompressed::Precompressed,
    /// mod_setenvif
    pub setenvif: setenvif::SetEnvIf,
}

impl HostSettings {
    /// What a virtual host sees that says `inner` within a main server that says `outer`.
    pub fn merge(outer: &Self, inner: &Self) -> Self {
        Self {
            client_limits: outer.client_limits.merge(&inner.client_limits),
            core: outer.core.merge(&inner.core),
            deflate: outer.deflate.merge(&inner.deflate),
            #[cfg(feature = "brotli")]
            brotli: outer.brotli.merge(&inner.brotli),
            info: outer.info.merge(&inner.info),
            log: outer.log.merge(&inner.log),
            remoteip: outer.remoteip.merge(&inner.remoteip),
            negotiation: outer.negotiation.merge(&inner.negotiation),
            userdir: outer.userdir.merge(&inner.userdir),
            vhost_alias: outer.vhost_alias.merge(&inner.vhost_alias),
            reqtimeout: outer.reqtimeout.merge(&inner.reqtimeout),
            #[cfg(feature = "zstd")]
            zstd: outer.zstd.merge(&inner.zstd),
        }
    }
}

impl DirSettings {
    /// What tells about the server itself is for people on this machine, unless the section that asks for it says who may
    /// see it. Apache shows it to everybody who may see the folder.
    pub(super) fn keep_private(&mut self) {
        let Some(handler @ ("server-status" | "server-info")) = self.core.handler() else { return };
        if self.authz.is_unsaid() && self.access.is_unsaid() {
            self.authz.push(authz_core::local_for(handler));
        }
    }

    /// What holds where the sections `outer` and, after it, `inner` match.
    pub fn merge(outer: &Self, inner: &Self) -> Self {
        Self {
            access: outer.access.merge(&inner.access),
            allowmethods: outer.allowmethods.merge(&inner.allowmethods),
            auth_basic: outer.auth_basic.merge(&inner.auth_basic),
            authn: outer.authn.merge(&inner.authn),
            authn_file: outer.authn_file.merge(&inner.authn_file),
            alias: outer.alias.merge(&inner.alias),
            authz: outer.authz.merge(&inner.authz),
            authz_groupfile: outer.authz_groupfile.merge(&inner.authz_groupfile),
            autoindex: outer.autoindex.merge(&inner.autoindex),
            core: outer.core.merge(&inner.core),
            dir: outer.dir.merge(&inner.dir),
            ifs: [outer.ifs.as_slice(), &inner.ifs].concat(),
            env: outer.env.merge(&inner.env),
            expires: outer.expires.merge(&inner.expires),
            filter: outer.filter.merge(&inner.filter),
            headers: outer.headers.merge(&inner.headers),
            mime: outer.mime.merge(&inner.mime),
            negotiation: outer.negotiation.merge(&inner.negotiation),
            providers: Arc::clone(&inner.providers),
            rewrite: outer.rewrite.merge(&inner.rewrite),
            precompressed: outer.precompressed.merge(&inner.precompressed),
            setenvif: outer.setenvif.merge(&inner.setenvif),
        }
    }
}
