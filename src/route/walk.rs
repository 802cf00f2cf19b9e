//! # walk: the settings that hold for one request
//!
//! ```text
//! host's base ─ section ─ section ─ … ─▶ merged settings, remembered by (host, sections)
//! ```
//!
//! A site has few different combinations of sections, so nearly every request finds its settings merged already.
//! Every thread has a cache of its own: no lock, and nobody waits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sections::{SectionIds, Sections};
use crate::config::DirSettings;

/// Merged settings of the requests that one thread has seen.
#[derive(Debug, Default)]
pub struct MergeCache {
    merged: HashMap<Key, Arc<DirSettings>>,
    /// The key to look up; kept to reuse its memory.
    key: Key,
}

/// Which walk, and which of its sections, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Key {
    walk: u64,
    sections: SectionIds,
}

/// More combinations than this are a peculiar site, or somebody who tries to fill our memory: start over.
const COMBINATIONS_MAX: usize = 1024;

/// The base settings and the sections of one virtual host.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    /// Tells apart the hosts of all configurations that this process has ever had.
    number: u64,
    base: Arc<DirSettings>,
    sections: Sections,
}

impl Walk {
    pub(crate) fn new(base: DirSettings, sections: Sections) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed); // Only has to be unique.
        Self { number, base: Arc::new(base), sections }
    }

    /// What holds outside any section.
    pub(crate) fn base(&self) -> &Arc<DirSettings> {
        &self.base
    }

    /// What holds for a URL and the file it was mapped to, if it was.
    pub(crate) fn settings(
        &self,
        url: &[u8],
        file: Option<&Path>,
        cache: &mut MergeCache,
    ) -> Arc<DirSettings> {
        cache.key.walk = self.number;
        cache.key.sections.clear();
        self.sections.collect(url, file, &mut cache.key.sections);
        if cache.key.sections.is_empty() {
            return Arc::clone(&self.base);
        }
        if let Some(known) = cache.merged.get(&cache.key) {
            return Arc::clone(known);
        }
        let merged = Arc::new(self.merge(&cache.key.sections));
        if cache.merged.len() >= COMBINATIONS_MAX {
            cache.merged.clear();
        }
        cache.merged.insert(cache.key.clone(), Arc::clone(&merged));
        merged
    }

    fn merge(&self, ids: &SectionIds) -> DirSettings {
        ids.iter().fold((*self.base).clone(), |outer, id| {
            DirSettings::merge(&outer, &self.sections.get(*id).settings)
        })
    }
}
