//! What a thread remembers from request to request.

use crate::config::htaccess;
use crate::files::parsed::ParsedFiles;
use crate::modules::{authn_file, authz_groupfile, negotiation::TypeMap, rewrite};
use crate::route::walk::MergeCache;

/// A thread's own memory: no lock, nobody waits. All of it can be thrown away at any time.
#[derive(Debug, Default)]
pub struct Caches {
    /// Settings of sections, merged.
    pub(crate) merged: MergeCache,
    /// `.htaccess` files.
    pub(crate) htaccess: ParsedFiles<htaccess::Outcome>,
    /// AuthUserFiles.
    pub(crate) passwords: ParsedFiles<authn_file::Passwords>,
    /// AuthGroupFiles.
    pub(crate) groups: ParsedFiles<authz_groupfile::Groups>,
    /// Type maps.
    pub(crate) type_maps: ParsedFiles<TypeMap>,
    /// Files of RewriteMap.
    pub(crate) rewrite_maps: ParsedFiles<rewrite::Table>,
}
