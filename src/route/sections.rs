//! # Sections: which of them a request falls into
//!
//! ```text
//! 1  <Directory /srv> <Directory /srv/*/a>   by depth, shortest first; ties in file order
//! 2  <DirectoryMatch …> <Directory ~ …>      in file order
//! 3  <Files …> <FilesMatch …>                the server's first, then those within 1 and 2
//! 4  <Location …> <LocationMatch …>          in file order
//! ```
//!
//! Later wins. Within each step the main server's stand before the virtual host's.
//!
//! - A section is matched by names alone: no file is looked at. One consequence differs from
//!   Apache: `<Directory /a/b>` also covers a *file* /a/b, where Apache would not find its section.
//! - The order is fixed when the configuration is frozen; matching a request costs one comparison a
//!   section.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use smallvec::SmallVec;

use super::alias::{lexical, strip_prefix};
use super::pattern::{self, Slash};
use crate::config::DirSettings;
use crate::regex::Regex;

/// A section as it was written: what it matches, what it sets, and what stands in it.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) matcher: Matcher,
    pub(crate) settings: DirSettings,
    /// `<Files>` sections within this `<Directory>`.
    pub(crate) files: Vec<Arc<Section>>,
}

/// What a section matches.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// `<Directory path>`: this folder and what lies in it.
    Directory(DirectoryPath),
    /// `<DirectoryMatch regex>`: searched in the path of the file.
    DirectoryPattern(Regex),
    /// `<Files name>`: the last component, which may be given with wildcards.
    File(String),
    /// `<FilesMatch regex>`: searched in the last component.
    FilePattern(Regex),
    /// `<Location path>`: this path and what lies below; with wildcards, the whole path.
    Location(String),
    /// `<LocationMatch regex>`: searched in the path.
    LocationPattern(Regex),
}

/// The argument of `<Directory>`: absolute, without empty components or a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryPath {
    /// `/srv/www`; the root is the empty text.
    path: String,
    depth: usize,
    has_wildcards: bool,
}

/// The number of a section within its host's [`Sections`].
pub(crate) type SectionId = u32;
/// The sections that a request falls into, in the order of merging.
pub(crate) type SectionIds = SmallVec<[SectionId; 8]>;

/// The sections of one virtual host, the main server's among them, in the order of merging.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections {
    all: Vec<Arc<Section>>,
    directories: Vec<Directory>,
    files: Vec<SectionId>,
    locations: Vec<SectionId>,
}

/// A section of step 1 or 2, with the `<Files>` within it.
#[derive(Debug, Clone)]
struct Directory {
    id: SectionId,
    files: Vec<SectionId>,
}

impl Sections {
    /// Orders the sections of the main server and of a virtual host, each in file order.
    pub(crate) fn new(main: &[Arc<Section>], host: &[Arc<Section>]) -> Self {
        let mut sections = Self::default();
        let mut patterns = Vec::new();
        for section in main.iter().chain(host) {
            let id = sections.push(section);
            match &section.matcher {
                Matcher::Directory(_) => {
                    let files = section.files.iter().map(|file| sections.push(file)).collect();
                    sections.directories.push(Directory { id, files });
                }
                Matcher::DirectoryPattern(_) => {
                    let files = section.files.iter().map(|file| sections.push(file)).collect();
                    patterns.push(Directory { id, files });
                }
                Matcher::File(_) | Matcher::FilePattern(_) => sections.files.push(id),
                Matcher::Location(_) | Matcher::LocationPattern(_) => sections.locations.push(id),
            }
        }
        let all = &sections.all;
        // Stable: ties stay in file order.
        sections.directories.sort_by_key(|directory| depth(all, directory.id));
        sections.directories.extend(patterns);
        sections
    }

    fn push(&mut self, section: &Arc<Section>) -> SectionId {
        self.all.push(Arc::clone(section));
        SectionId::try_from(self.all.len() - 1).unwrap_or(SectionId::MAX)
    }

    /// Collects the sections that a request for `url` and, if it was mapped, `file` falls into.
    /// `url` is decoded and normalised.
    pub(crate) fn collect(&self, url: &[u8], file: Option<&Path>, ids: &mut SectionIds) {
        if let Some(file) = file {
            self.collect_for_file(file.as_os_str().as_bytes(), ids);
        }
        let locations = self.locations.iter().filter(|id| self.get(**id).matcher.covers_url(url));
        ids.extend(locations.copied());
    }

    fn collect_for_file(&self, file: &[u8], ids: &mut SectionIds) {
        let name = file.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        // Steps 1 and 2 decide which <Files> sections there are, but those come after all of them.
        let mut within: SmallVec<[&[SectionId]; 4]> = SmallVec::new();
        for directory in &self.directories {
            if self.get(directory.id).matcher.covers_folder_of(file) {
                ids.push(directory.id);
                within.push(&directory.files);
            }
        }
        let files = self.files.iter().chain(within.into_iter().flatten());
        ids.extend(files.filter(|id| self.get(**id).matcher.covers_name(name)).copied());
    }

    pub(crate) fn get(&self, id: SectionId) -> &Section {
        &self.all[id as usize]
    }
}

fn depth(all: &[Arc<Section>], id: SectionId) -> usize {
    match &all[id as usize].matcher {
        Matcher::Directory(path) => path.depth,
        Matcher::DirectoryPattern(_)
        | Matcher::File(_)
        | Matcher::FilePattern(_)
        | Matcher::Location(_)
        | Matcher::LocationPattern(_) => usize::MAX,
    }
}

impl Matcher {
    fn covers_folder_of(&self, file: &[u8]) -> bool {
        match self {
            Matcher::Directory(directory) => directory.covers(file),
            Matcher::DirectoryPattern(regex) => regex.is_match(file),
            Matcher::File(_)
            | Matcher::FilePattern(_)
            | Matcher::Location(_)
            | Matcher::LocationPattern(_) => false,
        }
    }

    fn covers_name(&self, name: &[u8]) -> bool {
        match self {
            Matcher::File(wanted) if pattern::is_pattern(wanted) => {
                pattern::matches(wanted.as_bytes(), name, Slash::IsOrdinary)
            }
            Matcher::File(wanted) => wanted.as_bytes() == name,
            Matcher::FilePattern(regex) => regex.is_match(name),
            Matcher::Directory(_)
            | Matcher::DirectoryPattern(_)
            | Matcher::Location(_)
            | Matcher::LocationPattern(_) => false,
        }
    }

    fn covers_url(&self, url: &[u8]) -> bool {
        match self {
            Matcher::Location(wanted) if pattern::is_pattern(wanted) => {
                pattern::matches(wanted.as_bytes(), url, Slash::Separates)
            }
            Matcher::Location(wanted) => strip_prefix(url, wanted).is_some(),
            Matcher::LocationPattern(regex) => regex.is_match(url),
            Matcher::Directory(_)
            | Matcher::DirectoryPattern(_)
            | Matcher::File(_)
            | Matcher::FilePattern(_) => false,
        }
    }
}

impl DirectoryPath {
    /// `path` is absolute.
    pub(crate) fn new(path: &Path) -> Self {
        let text = lexical(path).to_string_lossy().into_owned();
        let components = text.split('/').filter(|component| !component.is_empty());
        let (mut path, mut depth) = (String::new(), 0);
        for component in components {
            path.push('/');
            path.push_str(component);
            depth += 1;
        }
        let has_wildcards = pattern::is_pattern(&path);
        Self { path, depth, has_wildcards }
    }

    fn covers(&self, file: &[u8]) -> bool {
        let path = self.path.as_bytes();
        if !self.has_wildcards {
            return file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
        }
        // As many components of the file's path as the pattern has.
        let slashes = file.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut ends = slashes.map(|(at, _)| at).skip(1).chain([file.len()]);
        let end = ends.nth(self.depth - 1);
        end.is_some_and(|end| pattern::matches(path, &file[..end], Slash::Separates))
    }
}

/// For messages and `-S`.
impl std::fmt::Display for DirectoryPath {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(if self.path.is_empty() { "/" } else { &self.path })
    }
}
