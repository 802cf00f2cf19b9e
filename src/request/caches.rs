//! What a thread remembers from request to request.

use crate::route::walk::MergeCache;

/// A thread's own memory: no lock, nobody waits. All of it can be thrown away at any time.
#[derive(Debug, Default)]
pub struct Caches {
    /// Settings of sections, merged.
    pub(crate) merged: MergeCache,
}
