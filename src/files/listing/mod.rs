//! # listing: a page that shows a folder
//!
//! ```text
//! folder ── read, in a job ──▶ entries ── View: filter, sort ──▶ classic   Apache's page, byte for byte where possible
//!                                                           └──▶ modern    our own, light and dark
//! ```
//!
//! - Reading a folder and asking about each name in it may block: it happens in jobs only.
//! - A page shows what a request for the entry would show: links by the same policy, hidden names left out.
//! - A name may hold any byte but a slash: it is escaped for the URL first and for HTML then.

mod classic;
mod modern;
mod order;

use super::Access;
use super::open::{self, Links, Opened, with_c_string};
use crate::http::escape::{push_html, push_path, push_relative_path};
use crate::log::LogClock;
use crate::modules::autoindex::{Autoindex, Style};
use herdgate_sys::file::{self, Kind};
use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

pub use order::View;

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As on disk, without a slash.
    pub name: Vec<u8>,
    /// A folder, and not a file.
    pub is_folder: bool,
    /// Bytes; of a folder, nothing that a reader would care for.
    pub size: u64,
    /// When the contents last changed: seconds since the epoch.
    pub modified: i64,
}

/// A listing, ready to be drawn.
pub struct Listing<'l> {
    /// The folder's decoded URL path, with a slash at its end.
    pub path: &'l [u8],
    /// What is shown, in any order.
    pub entries: Vec<Entry>,
    /// The request's query.
    pub query: Option<&'l [u8]>,
    /// How the page looks.
    pub settings: &'l Autoindex,
    /// HTML for the foot of the page, line feed included, or nothing.
    pub signature: &'l [u8],
}

/// Reads what a folder holds: files, folders, and links that `links` would follow to one of them. `path` is the
/// folder's own, with a slash at its end.
///
/// # Errors
/// As readdir(3). An entry that vanishes meanwhile is no error.
pub fn read(folder: &Opened, path: &[u8], links: Links<'_>) -> io::Result<Vec<Entry>> {
    // A second descriptor, since reading moves the position that all duplicates share.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut names = Dir::openat(folder.fd.as_fd(), c".", flags, Mode::empty())?;
    let mut entries = Vec::new();
    for name in names.iter() {
        let name = name?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            entries.extend(entry(folder.fd.as_fd(), path, name, links));
        }
    }
    Ok(entries)
}

/// What a request for this name would find; `None` if it would find nothing to serve.
fn entry(folder: BorrowedFd<'_>, path: &[u8], name: Vec<u8>, links: Links<'_>) -> Option<Entry> {
    let itself = with_c_string(&name, |name| file::fstatat(folder, name, false)).ok()?;
    let stat = match itself.kind {
        Kind::File | Kind::Dir => itself,
        Kind::Symlink => {
            let target = [path, &name].concat();
            open::open_in(folder, &name, &target, links, Access::MayBlock).ok()?.stat
        }
        Kind::Other => return None,
    };
    let (modified, _) = stat.modified;
    Some(Entry { is_folder: stat.kind == Kind::Dir, size: stat.size, modified, name })
}

impl Listing<'_> {
    /// The value of Content-Type. Apache puts no blank behind the semicolon here.
    pub fn content_type(&self) -> String {
        format!("text/html;charset={}", self.settings.charset())
    }

    /// Draws the page.
    pub fn render(mut self, clock: &LogClock) -> Vec<u8> {
        let view = View::new(self.settings, self.query);
        let settings = self.settings;
        self.entries.retain(|entry| view.shows(&entry.name) && !ignores(settings, &entry.name));
        view.sort(&mut self.entries);
        let mut page = Vec::with_capacity(1024 + 160 * self.entries.len());
        match self.settings.style() {
            Style::Classic => classic::render(&self, &view, clock, &mut page),
            Style::Modern => modern::render(&self, &view, clock, &mut page),
        }
        page
    }

    /// The folder above, unless this is the root or `IndexIgnore` hides `..`.
    fn parent(&self) -> Option<&[u8]> {
        let without_slash = self.path.strip_suffix(b"/")?;
        let parent = memchr::memrchr(b'/', without_slash).map(|at| &self.path[..=at])?;
        (!ignores(self.settings, b"..")).then_some(parent)
    }

    /// The path as a title: decoded, without the slash at its end.
    fn title(&self) -> &[u8] {
        match self.path.strip_suffix(b"/") {
            None | Some([]) => self.path,
            Some(path) => path,
        }
    }
}

/// Whether `IndexIgnore` leaves a name out.
fn ignores(settings: &Autoindex, name: &[u8]) -> bool {
    settings.ignore().iter().any(|pattern| order::matches(pattern.as_bytes(), name))
}

impl Entry {
    /// The link to it from the folder's page: escaped as a URL, then as HTML.
    fn push_link(&self, page: &mut Vec<u8>) {
        let mut url = Vec::with_capacity(self.name.len() + 3);
        push_relative_path(&mut url, &self.name);
        if self.is_folder {
            url.push(b'/');
        }
        push_html(page, &url);
    }

    /// The name as it is shown, with a slash behind a folder's.
    fn shown(&self) -> Vec<u8> {
        let slash: &[u8] = if self.is_folder { b"/" } else { b"" };
        [&self.name, slash].concat()
    }
}

/// An absolute link to another folder, escaped as a URL, then as HTML.
fn push_absolute_link(page: &mut Vec<u8>, path: &[u8]) {
    let mut url = Vec::with_capacity(path.len());
    push_path(&mut url, path);
    push_html(page, &url);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::open::{LinkPolicy, open};
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn folder_shows_what_a_request_would_find() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("folder")).unwrap();
        std::fs::write(root.path().join("file"), "12345").unwrap();
        std::os::unix::fs::symlink("file", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("dangling")).unwrap();
        nix::unistd::mkfifo(&root.path().join("fifo"), Mode::S_IRWXU).unwrap();
        let path = [root.path().as_os_str().as_bytes(), b"/"].concat();
        for (policy, expected) in [
            (LinkPolicy::Follow, vec!["file", "folder", "link"]),
            (LinkPolicy::OwnerMatch, vec!["file", "folder", "link"]),
            (LinkPolicy::Refuse, vec!["file", "folder"]),
        ] {
            let links = Links { policy, root: &path };
            let folder = open(&path, links, Access::MayBlock).unwrap();
            let mut entries = read(&folder, &path, links).unwrap();
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            let names: Vec<_> =
                entries.iter().map(|e| std::str::from_utf8(&e.name).unwrap()).collect();
            assert_eq!(names, expected, "{policy:?}");
            assert!(!entries[0].is_folder && entries[0].size == 5 && entries[1].is_folder);
            // Reading twice finds the same: the position of the first reading is not shared.
            assert_eq!(read(&folder, &path, links).unwrap().len(), entries.len());
        }
    }
}
