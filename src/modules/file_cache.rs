//! # mod_file_cache: how much of what was answered may be remembered
//!
//! Apache's module of this name keeps files open that a configuration lists, and serves them unchanged for ever. Here a
//! size is enough: what is remembered, and when it no longer holds, is told in [`crate::request::AnswerCache`].

use herdgate_conf::{Directive, Overrides};

use super::{Module, SERVER};
use crate::config::ServerSettings;

/// For the whole server: some ten thousand small files.
const DEFAULT_BYTES: u64 = 64 << 20;

/// What was said about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileCache {
    /// `None`: nothing.
    bytes_max: Option<u64>,
}

impl FileCache {
    /// For all children together; 0 is none.
    pub fn bytes_max(self) -> u64 {
        self.bytes_max.unwrap_or(DEFAULT_BYTES)
    }

    /// For each of so many children.
    pub fn bytes_per_child(self, children: u32) -> u64 {
        self.bytes_max() / u64::from(children.max(1))
    }
}

pub(super) const MODULE: Module = Module {
    name: "file_cache_module",
    file: "mod_file_cache.c",
    server: DIRECTIVES,
    host: &[],
    directory: &[],
};

const DIRECTIVES: &[Directive<ServerSettings>] = &[Directive {
    name: "FileCache",
    syntax: "FileCache On|Off|size",
    default: Some("On"),
    contexts: SERVER,
    overrides: Overrides::NONE,
    docs: "Herdgate's own. How much memory all children together may use to remember answers of up to 64 KiB, with what \
           they were made from: files, .htaccess files, the request's fields. On is 64M. An answer is given again while \
           nothing of that has changed: in the event model the kernel tells of changes, in the others each file is \
           asked for by one call, so what is sent is as fresh as without. Off makes each answer anew. Sizes may end in \
           K, M, G.",
    apply: |settings, args| {
        let word = args.peek().map(|word| word.text.to_ascii_lowercase());
        settings.file_cache.bytes_max = Some(match word.as_deref() {
            Some("on" | "off") if args.flag()? => DEFAULT_BYTES,
            Some("on" | "off") => 0,
            _ => args.size()?,
        });
        Ok(())
    },
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_share_it_evenly() {
        let cache = FileCache { bytes_max: Some(1000) };
        assert_eq!((cache.bytes_per_child(1), cache.bytes_per_child(3)), (1000, 333));
        assert_eq!(FileCache { bytes_max: Some(0) }.bytes_per_child(4), 0);
        assert_eq!(FileCache::default().bytes_per_child(0), DEFAULT_BYTES);
    }
}
