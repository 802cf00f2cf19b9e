//! # walk: the settings that hold for one request
//!
//! ```text
//! host's base ─ section ─ .htaccess ─ section ─ … ─▶ merged settings, remembered by (host, layers)
//! ```
//!
//! A site has few different combinations of sections, so nearly every request finds its settings
//! merged already. Every thread has a cache of its own: no lock, and nobody waits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use super::sections::{Section, SectionId, Sections};
use crate::config::{DirSettings, htaccess};
use crate::modules::core::Permit;

/// Merged settings of the requests that one thread has seen.
#[derive(Debug, Default)]
pub struct MergeCache {
    merged: HashMap<Key, Merged>,
    /// The key to look up, and its layers; kept to reuse their memory.
    key: Key,
    layers: Vec<Layer>,
    /// What the named groups of the layers' patterns have matched in the last walk.
    groups: Vec<(String, Vec<u8>)>,
}

/// A combination that was met before.
#[derive(Debug)]
struct Merged {
    settings: Arc<DirSettings>,
    /// What was merged. It lives as long as its key, which holds addresses.
    _layers: Vec<Layer>,
}

/// Which walk, and which of its layers, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Key {
    walk: u64,
    layers: SmallVec<[usize; 8]>,
}

/// What is merged over the base: one after the other, the later counts more.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    /// A section of the configuration.
    Section(SectionId),
    /// A `.htaccess` file that was understood.
    Htaccess(Arc<htaccess::Outcome>),
    /// A `<Files>` section in a `.htaccess` file.
    Files(Arc<Section>),
}

impl MergeCache {
    /// What the named groups of sections have matched in the last walk, as variables: `MATCH_NAME`. The later counts.
    pub(crate) fn take_groups(&mut self) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
        self.groups.drain(..)
    }
}

/// More combinations than this are a peculiar site, or somebody who tries to fill our memory: start
/// over.
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

    /// What holds for a URL and the file it was mapped to, if it was. `read` finds and reads the `.htaccess` file of a
    /// folder; it is asked where AllowOverride lets one have a say.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn settings<E>(
        &self,
        url: &[u8],
        file: Option<&Path>,
        cache: &mut MergeCache,
        read: impl FnMut(&[u8], &Permit) -> Result<Option<Arc<htaccess::Outcome>>, E>,
    ) -> Result<Arc<DirSettings>, E> {
        cache.key.walk = self.number;
        cache.key.layers.clear();
        cache.layers.clear();
        cache.groups.clear();
        self.sections.collect(url, file, read, &mut cache.layers)?;
        for section in cache.layers.iter().filter_map(|layer| self.section(layer)) {
            section.matcher.push_groups(url, file, &mut cache.groups);
        }
        if cache.layers.is_empty() {
            return Ok(Arc::clone(&self.base));
        }
        cache.key.layers.extend(cache.layers.iter().map(Layer::identity));
        if let Some(known) = cache.merged.get(&cache.key) {
            return Ok(Arc::clone(&known.settings));
        }
        let settings = Arc::new(self.merge(&cache.layers));
        if cache.merged.len() >= COMBINATIONS_MAX {
            cache.merged.clear();
        }
        let layers = std::mem::take(&mut cache.layers);
        let merged = Merged { settings: Arc::clone(&settings), _layers: layers };
        cache.merged.insert(cache.key.clone(), merged);
        Ok(settings)
    }

    /// What is merged for a URL and its file, in words and in this order.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn layers<E>(
        &self,
        url: &[u8],
        file: Option<&Path>,
        read: impl FnMut(&[u8], &Permit) -> Result<Option<Arc<htaccess::Outcome>>, E>,
    ) -> Result<Vec<String>, E> {
        let mut layers = Vec::new();
        self.sections.collect(url, file, read, &mut layers)?;
        let in_words = |layer: &Layer| match layer {
            Layer::Section(id) => self.sections.get(*id).written.clone(),
            Layer::Files(section) => section.written.clone(),
            Layer::Htaccess(found) => match found.as_ref() {
                Ok(found) => found.path.display().to_string(),
                Err(message) => message.clone(),
            },
        };
        Ok(layers.iter().map(in_words).collect())
    }

    fn section<'s>(&'s self, layer: &'s Layer) -> Option<&'s Section> {
        match layer {
            Layer::Section(id) => Some(self.sections.get(*id)),
            Layer::Files(section) => Some(section),
            Layer::Htaccess(_) => None,
        }
    }

    fn merge(&self, layers: &[Layer]) -> DirSettings {
        layers.iter().fold((*self.base).clone(), |outer, layer| {
            let inner = match layer {
                Layer::Section(id) => &self.sections.get(*id).settings,
                Layer::Files(section) => &section.settings,
                Layer::Htaccess(file) => match file.as_ref() {
                    Ok(file) => &file.settings,
                    Err(_) => return outer, // `read` has made an error of it.
                },
            };
            DirSettings::merge(&outer, inner)
        })
    }
}

impl Layer {
    /// Tells it from all others that exist at the same time. Sections are numbered from 0; nothing lies at an address
    /// as low as their numbers.
    fn identity(&self) -> usize {
        match self {
            Layer::Section(id) => *id as usize,
            Layer::Htaccess(file) => Arc::as_ptr(file).addr(),
            Layer::Files(section) => Arc::as_ptr(section).addr(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::{Case, Regex};
    use crate::route::sections::{DirectoryPath, Matcher, Section};
    use herdgate_conf::Context;
    use proptest::prelude::*;

    /// Settings that the named directives make, in this order.
    fn settings(lines: &[&str]) -> DirSettings {
        let mut nothing = NoModules;
        let input = herdgate_conf::Input::Text { name: "test".into(), text: lines.join("\n") };
        let reading = herdgate_conf::read(&[input], Default::default(), &mut nothing);
        let mut settings = DirSettings::default();
        let place = herdgate_conf::Place {
            sources: &reading.sources,
            base: Path::new("/"),
            context: Context::Directory,
            folder: None,
            section: None,
        };
        for node in &reading.tree.nodes {
            let line = node.line();
            let Some(crate::modules::Row::Directory(row)) =
                crate::modules::Row::named(&line.name.text)
            else {
                panic!("{} is no directory's", line.name.text);
            };
            let said = row.obey(&mut settings, line, &place);
            assert!(!said.iter().any(herdgate_conf::Diagnostic::is_error), "{said:?}");
        }
        settings
    }

    struct NoModules;

    impl herdgate_conf::Host for NoModules {
        fn module_loaded(&self, _: &str) -> bool {
            false
        }
        fn load_module(&mut self, _: &str, _: &str) -> Result<(), herdgate_conf::Problem> {
            Ok(())
        }
        fn knows_directive(&self, _: &str) -> bool {
            false
        }
        fn knows_section(&self, _: &str) -> bool {
            false
        }
        fn version(&self) -> [u32; 3] {
            [2, 4, 0]
        }
    }

    const LINES: &[&str] = &[
        "Options Indexes",
        "Options +MultiViews -Indexes",
        "Options None",
        "DirectoryIndex a.html",
        "DirectoryIndex b.html",
        "AddType text/x-one .x",
        "AddType text/x-two .x .y",
        "RemoveType .x",
        "AddEncoding gzip .x",
        "ErrorDocument 404 /one",
        "ErrorDocument 404 default",
        "ErrorDocument 500 text",
        "Require all granted",
        "Require all denied",
        "FileETag All",
        "FileETag -INode",
        "LogLevel debug",
        "LogLevel dir:info",
        "ForceType text/plain",
        "ForceType None",
        "IndexIgnore *.bak",
        "IndexOptions FancyIndexing",
        "IndexOptions +FoldersFirst",
        "EnableSendfile Off",
        "HiddenFiles Hide",
        "FallbackResource /index.html",
        "AddDefaultCharset utf-8",
    ];

    fn any_settings() -> impl Strategy<Value = DirSettings> {
        let line = proptest::sample::select(LINES);
        proptest::collection::vec(line, 0..4).prop_map(|lines| settings(&lines))
    }

    /// What can be seen of settings; what is equal here answers alike.
    fn seen(settings: &DirSettings) -> String {
        let core = &settings.core;
        let client = crate::modules::authz_core::tests::Client {
            address: "192.0.2.1".parse().unwrap(),
            local: "192.0.2.2".parse().unwrap(),
            method: "GET",
        };
        let types = crate::modules::mime::TypeMap::parse("text/x-table x y");
        let media = ["f.x", "f.y"]
            .map(|name| crate::modules::mime::describe(settings, &types, name.as_bytes()));
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            core.options(),
            (core.error_document(404), core.error_document(500), core.forced_type()),
            core.etag(),
            core.log_levels(),
            (core.sendfile(), core.hidden_files(), core.default_charset()),
            settings.dir.index().collect::<Vec<_>>(),
            settings.dir.fallback(),
            settings.authz.grants(&client),
            settings.autoindex.options(),
            settings.autoindex.ignore(),
            media,
        )
    }

    fn any_matcher() -> impl Strategy<Value = Matcher> {
        let directory = |path: &str| Matcher::Directory(DirectoryPath::new(Path::new(path)));
        let regex = |text: &str| Regex::new(text, Case::Counts).unwrap();
        proptest::sample::select(vec![
            directory("/"),
            directory("/a"),
            directory("/a/b"),
            directory("/a/*"),
            directory("/*/b/"),
            Matcher::DirectoryPattern(regex("^/a")),
            Matcher::DirectoryPattern(regex("b/")),
            Matcher::File("f".into()),
            Matcher::File("*".into()),
            Matcher::FilePattern(regex("[fg]$")),
            Matcher::Location("/".into()),
            Matcher::Location("/a".into()),
            Matcher::Location("/*/f".into()),
            Matcher::LocationPattern(regex("b")),
        ])
    }

    fn any_section() -> impl Strategy<Value = Arc<Section>> {
        (any_matcher(), any_settings()).prop_map(|(matcher, settings)| {
            Arc::new(Section { matcher, written: String::new(), settings, files: Vec::new() })
        })
    }

    /// Apache's order, by sorting everything that matches.
    fn naive(
        base: &DirSettings,
        main: &[Arc<Section>],
        host: &[Arc<Section>],
        path: &str,
    ) -> DirSettings {
        let name = path.rsplit('/').next().unwrap_or_default();
        let rank = |section: &Section| match &section.matcher {
            // A plain regular expression says what a path's section covers.
            Matcher::Directory(directory) => {
                let text = directory.to_string();
                let text = if text == "/" { "" } else { &text };
                let regex = format!("^{}(/|$)", text.replace('*', "[^/]*"));
                Regex::new(&regex, Case::Counts)
                    .unwrap()
                    .is_match(path.as_bytes())
                    .then(|| (1, text.matches('/').count()))
            }
            Matcher::DirectoryPattern(regex) => regex.is_match(path.as_bytes()).then_some((2, 0)),
            Matcher::File(wanted) => (wanted == name || wanted == "*").then_some((3, 0)),
            Matcher::FilePattern(regex) => regex.is_match(name.as_bytes()).then_some((3, 0)),
            Matcher::Location(wanted) if wanted == "/*/f" => Regex::new("^/[^/]*/f$", Case::Counts)
                .unwrap()
                .is_match(path.as_bytes())
                .then_some((4, 0)),
            Matcher::Location(wanted) => {
                let below = format!("{}/", wanted.trim_end_matches('/'));
                (path == wanted || path.starts_with(&below)).then_some((4, 0))
            }
            Matcher::LocationPattern(regex) => regex.is_match(path.as_bytes()).then_some((4, 0)),
        };
        let sections = main.iter().chain(host);
        let mut matching: Vec<_> =
            sections.filter_map(|section| Some((rank(section)?, section))).collect();
        matching.sort_by_key(|(rank, _)| *rank);
        matching
            .iter()
            .fold(base.clone(), |outer, (_, inner)| DirSettings::merge(&outer, &inner.settings))
    }

    fn walk_for(walk: &Walk, path: &str, cache: &mut MergeCache) -> Arc<DirSettings> {
        let nothing = |_: &[u8], _: &Permit| Ok::<_, std::convert::Infallible>(None);
        match walk.settings(path.as_bytes(), Some(Path::new(path)), cache, nothing) {
            Ok(settings) => settings,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn merging_is_associative(a in any_settings(), b in any_settings(), c in any_settings()) {
            let left = DirSettings::merge(&DirSettings::merge(&a, &b), &c);
            let right = DirSettings::merge(&a, &DirSettings::merge(&b, &c));
            prop_assert_eq!(seen(&left), seen(&right));
        }

        #[test]
        fn empty_settings_change_nothing(a in any_settings()) {
            let empty = DirSettings::default();
            prop_assert_eq!(seen(&DirSettings::merge(&a, &empty)), seen(&a));
            prop_assert_eq!(seen(&DirSettings::merge(&empty, &a)), seen(&a));
        }

        #[test]
        fn sections_merge_in_apaches_order(
            base in any_settings(),
            main in proptest::collection::vec(any_section(), 0..5),
            host in proptest::collection::vec(any_section(), 0..5),
        ) {
            let walk = Walk::new(base.clone(), Sections::new(&main, &host));
            let mut cache = MergeCache::default();
            for path in ["/", "/a", "/a/f", "/a/b/f", "/a/b/c/g", "/ab/b/f", "/x/f"] {
                let expected = naive(&base, &main, &host, path);
                // Asked twice, since the second answer comes from the cache.
                for _ in 0..2 {
                    let found = walk_for(&walk, path, &mut cache);
                    prop_assert_eq!(seen(&found), seen(&expected), "{}", path);
                }
            }
        }
    }

    #[test]
    fn the_cache_does_not_grow_for_ever_and_tells_hosts_apart() {
        let section = |number: usize| {
            let path = format!("/{number}");
            let matcher = Matcher::Location(path);
            let settings = settings(&["Options None"]);
            Arc::new(Section { matcher, written: String::new(), settings, files: Vec::new() })
        };
        let sections: Vec<_> = (0..COMBINATIONS_MAX + 10).map(section).collect();
        let many = Walk::new(DirSettings::default(), Sections::new(&sections, &[]));
        let other = Walk::new(settings(&["DirectoryIndex other"]), Sections::new(&sections, &[]));
        let mut cache = MergeCache::default();
        for number in 0..COMBINATIONS_MAX + 10 {
            let path = format!("/{number}");
            walk_for(&many, &path, &mut cache);
        }
        assert!(cache.merged.len() <= COMBINATIONS_MAX);
        walk_for(&many, "/7", &mut cache);
        let found = walk_for(&other, "/7", &mut cache);
        assert!(found.dir.index().eq(["other"]));
    }
}
