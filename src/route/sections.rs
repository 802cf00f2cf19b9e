//! # Sections: which of them a request falls into
//!
//! ```text
//! 1  <Directory /srv> <Directory /srv/*/a>   by depth, shortest first; ties in file order;
//!    .htaccess                               each after the <Directory> sections of its folder
//! 2  <DirectoryMatch …> <Directory ~ …>      in file order
//! 3  <Files …> <FilesMatch …>                the server's first, then those within 1, 2 and .htaccess
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
use super::walk::Layer;
use crate::config::{DirSettings, htaccess};
use crate::modules::core::Permit;
use crate::regex::Regex;

/// A section as it was written: what it matches, what it sets, and what stands in it.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) matcher: Matcher,
    /// Its opening line and where it stands, for people.
    pub(crate) written: String,
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

/// The sections of one virtual host, the main server's among them, in the order of merging.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections {
    all: Vec<Arc<Section>>,
    directories: Vec<Directory>,
    files: Vec<SectionId>,
    locations: Vec<SectionId>,
    /// Some section says AllowOverride: nowhere else can there be `.htaccess` files.
    overrides: bool,
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
        let mut permit = Permit::default();
        section.settings.core.permit(&mut permit);
        self.overrides |= !permit.is_nothing();
        self.all.push(Arc::clone(section));
        SectionId::try_from(self.all.len() - 1).unwrap_or(SectionId::MAX)
    }

    /// Collects what a request for `url` and, if it was mapped, `file` falls into. `url` is decoded and normalised.
    ///
    /// # Errors
    /// Those of `read`, which reads a folder's `.htaccess` file.
    pub(crate) fn collect<E>(
        &self,
        url: &[u8],
        file: Option<&Path>,
        read: impl FnMut(&[u8], &Permit) -> Result<Option<Arc<htaccess::Outcome>>, E>,
        layers: &mut Vec<Layer>,
    ) -> Result<(), E> {
        if let Some(file) = file {
            self.collect_for_file(file.as_os_str().as_bytes(), read, layers)?;
        }
        let locations = self.locations.iter().filter(|id| self.get(**id).matcher.covers_url(url));
        layers.extend(locations.map(|id| Layer::Section(*id)));
        Ok(())
    }

    fn collect_for_file<E>(
        &self,
        file: &[u8],
        mut read: impl FnMut(&[u8], &Permit) -> Result<Option<Arc<htaccess::Outcome>>, E>,
        layers: &mut Vec<Layer>,
    ) -> Result<(), E> {
        let name = last_component(file);
        let mut folders = FoldersToAsk { file, next: Some(0), permit: Permit::default() };
        // Steps 1 and 2 decide which <Files> sections there are, but those come after all of them.
        let mut within: SmallVec<[Within<'_>; 4]> = SmallVec::new();
        for directory in &self.directories {
            let section = self.get(directory.id);
            if !section.matcher.covers_folder_of(file) {
                continue;
            }
            if self.overrides {
                // The files of all folders above come first. What a pattern allows comes too late to be heard.
                folders.ask_above(
                    depth(&self.all, directory.id),
                    &mut read,
                    layers,
                    &mut within,
                )?;
                section.settings.core.permit(&mut folders.permit);
            }
            layers.push(Layer::Section(directory.id));
            within.push(Within::Directory(directory));
        }
        if self.overrides {
            folders.ask_above(usize::MAX, &mut read, layers, &mut within)?;
        }
        let covering = |id: &&SectionId| self.get(**id).matcher.covers_name(name);
        layers.extend(self.files.iter().filter(covering).map(|id| Layer::Section(*id)));
        for outer in &within {
            match outer {
                Within::Directory(directory) => {
                    let files = directory.files.iter().filter(covering);
                    layers.extend(files.map(|id| Layer::Section(*id)));
                }
                Within::Htaccess(found) => {
                    let files = found.as_ref().iter().flat_map(|found| &found.files);
                    let covering = files.filter(|section| section.matcher.covers_name(name));
                    layers.extend(covering.map(|section| Layer::Files(Arc::clone(section))));
                }
            }
        }
        Ok(())
    }

    /// Whether any `<Location>` has settings like these.
    pub(crate) fn any_location(&self, has: impl Fn(&DirSettings) -> bool) -> bool {
        self.locations.iter().any(|id| has(&self.get(*id).settings))
    }

    /// Whether any `<LocationMatch>` has named groups, which rules of the host may ask.
    pub(crate) fn name_groups_of_locations(&self) -> bool {
        self.locations.iter().any(|id| match &self.get(*id).matcher {
            Matcher::LocationPattern(regex) => !regex.names().is_empty(),
            Matcher::Directory(_)
            | Matcher::DirectoryPattern(_)
            | Matcher::File(_)
            | Matcher::FilePattern(_)
            | Matcher::Location(_) => false,
        })
    }

    pub(crate) fn get(&self, id: SectionId) -> &Section {
        &self.all[id as usize]
    }
}

/// What `<Files>` sections may stand in.
enum Within<'s> {
    Directory(&'s Directory),
    Htaccess(Arc<htaccess::Outcome>),
}

/// The folders on the way to a file, from the root on, whose `.htaccess` files have not been asked for yet.
struct FoldersToAsk<'f> {
    file: &'f [u8],
    /// Where the name of the next folder ends; `None`: there are no more.
    next: Option<usize>,
    /// What holds there.
    permit: Permit,
}

impl FoldersToAsk<'_> {
    /// Asks in all folders that have fewer components than `depth`.
    fn ask_above<E>(
        &mut self,
        depth: usize,
        read: &mut impl FnMut(&[u8], &Permit) -> Result<Option<Arc<htaccess::Outcome>>, E>,
        layers: &mut Vec<Layer>,
        within: &mut SmallVec<[Within<'_>; 4]>,
    ) -> Result<(), E> {
        while let Some(end) = self.next {
            let folder = &self.file[..end];
            if memchr::memchr_iter(b'/', folder).count() >= depth {
                return Ok(());
            }
            if !self.permit.is_nothing()
                && let Some(found) = read(folder, &self.permit)?
            {
                layers.push(Layer::Htaccess(Arc::clone(&found)));
                within.push(Within::Htaccess(found));
            }
            // The name itself comes last: only the disk knows whether it is a folder.
            let rest = &self.file[(end + 1).min(self.file.len())..];
            self.next = match memchr::memchr(b'/', rest) {
                Some(length) => Some(end + 1 + length),
                None if rest.is_empty() => None,
                None => Some(self.file.len()),
            };
        }
        Ok(())
    }
}

/// What follows the last slash.
fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
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

    /// What the named groups of a pattern match in what it covers, as the variables `MATCH_NAME`.
    pub(super) fn push_groups(
        &self,
        url: &[u8],
        file: Option<&Path>,
        groups: &mut Vec<(String, Vec<u8>)>,
    ) {
        let file = || file.map_or(&b""[..], |file| file.as_os_str().as_bytes());
        let (regex, text) = match self {
            Matcher::DirectoryPattern(regex) => (regex, file()),
            Matcher::FilePattern(regex) => (regex, last_component(file())),
            Matcher::LocationPattern(regex) => (regex, url),
            Matcher::Directory(_) | Matcher::File(_) | Matcher::Location(_) => return,
        };
        if regex.names().is_empty() {
            return;
        }
        let Some(found) = regex.captures(text) else { return };
        for (number, name) in regex.names() {
            if let Some(value) = found.get(*number) {
                groups.push((format!("MATCH_{}", name.to_ascii_uppercase()), value.to_vec()));
            }
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
        // A star at the end wants a name: a folder does not lie within itself.
        end.map(|end| &file[..end]).is_some_and(|file| {
            !file.ends_with(b"/") && pattern::matches(path, file, Slash::Separates)
        })
    }
}

/// For messages and `-S`.
impl std::fmt::Display for DirectoryPath {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(if self.path.is_empty() { "/" } else { &self.path })
    }
}
