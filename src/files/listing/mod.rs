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
use super::open::{self, Links, OpenError, Opened, with_c_string};
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// As on disk, without a slash.
    pub name: Vec<u8>,
    /// A folder, and not a file.
    pub is_folder: bool,
    /// Bytes; of a folder, nothing that a reader would care for.
    pub size: u64,
    /// When the contents last changed: seconds since the epoch.
    pub modified: i64,
    /// How it is decorated.
    pub icon: Icon,
    /// HTML about it.
    pub description: Option<String>,
}

/// What stands before a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Icon {
    /// Its URL.
    pub url: Option<String>,
    /// What stands for it where there are no images.
    pub alt: Option<String>,
}

/// The line that leads upwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parent {
    /// How it is decorated.
    pub icon: Icon,
    /// HTML about it.
    pub description: Option<String>,
}

/// What stands above or below a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Frame {
    /// What the server itself has to say.
    #[default]
    Own,
    /// HTML from a file, within the server's own frame.
    Html(Vec<u8>),
    /// HTML from a file, which has the frame as well.
    WholeHtml(Vec<u8>),
    /// Text from a file.
    Text(Vec<u8>),
}

impl Frame {
    /// What the file says, if there is one.
    fn push_content(&self, page: &mut Vec<u8>) {
        match self {
            Frame::Own => {}
            Frame::Html(html) | Frame::WholeHtml(html) => page.extend_from_slice(html),
            Frame::Text(text) => {
                page.extend_from_slice(b"<pre>\n");
                push_html(page, text);
                page.extend_from_slice(b"</pre>\n");
            }
        }
    }
}

/// A listing, ready to be drawn.
pub struct Listing<'l> {
    /// The folder's decoded URL path, with a slash at its end.
    pub path: &'l [u8],
    /// `None`: the folder above is not shown.
    pub parent: Option<Parent>,
    /// What is shown, in any order.
    pub entries: Vec<Entry>,
    /// How the page looks, in which order.
    pub view: View,
    /// The same as configured.
    pub settings: &'l Autoindex,
    /// Above the list.
    pub head: Frame,
    /// Below it.
    pub foot: Frame,
    /// HTML for the foot of the page, line feed included, or nothing.
    pub signature: &'l [u8],
}

/// The names in a folder, in any order, and what the folder is. Waits for the disk.
///
/// # Errors
/// See [`OpenError`].
pub fn names(path: &[u8], links: Links<'_>) -> Result<(Vec<Vec<u8>>, file::Stat), OpenError> {
    let folder = open::open(path, links, Access::MayBlock)?;
    let mut names = directory(&folder).map_err(OpenError::Denied)?;
    let names = names.iter().filter_map(|name| Some(name.ok()?.file_name().to_bytes().to_vec()));
    Ok((names.filter(|name| name != b"." && name != b"..").collect(), folder.stat))
}

/// A second descriptor for reading, since that moves the position which all duplicates share.
fn directory(folder: &Opened) -> io::Result<Dir> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(Dir::openat(folder.fd.as_fd(), c".", flags, Mode::empty())?)
}

/// Reads what a folder holds: files, folders, and links that `links` would follow to one of them. `path` is the
/// folder's own, with a slash at its end.
///
/// # Errors
/// As readdir(3). An entry that vanishes meanwhile is no error.
pub fn read(folder: &Opened, path: &[u8], links: Links<'_>) -> io::Result<Vec<Entry>> {
    let mut names = directory(folder)?;
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
    let is_folder = stat.kind == Kind::Dir;
    Some(Entry { is_folder, size: stat.size, modified, ..Entry::named(&name) })
}

impl Listing<'_> {
    /// A listing without icons, descriptions and frame.
    #[cfg(test)]
    fn of<'l>(
        path: &'l str,
        entries: Vec<Entry>,
        query: Option<&[u8]>,
        settings: &'l Autoindex,
    ) -> Listing<'l> {
        Listing {
            path: path.as_bytes(),
            parent: Some(Parent::default()),
            entries,
            view: View::new(settings, query),
            settings,
            head: Frame::Own,
            foot: Frame::Own,
            signature: b"",
        }
    }

    /// The value of Content-Type. Apache puts no blank behind the semicolon here.
    pub fn content_type(&self) -> String {
        format!("{};charset={}", self.settings.media_type(), self.settings.charset())
    }

    /// Draws the page.
    pub fn render(mut self, clock: &LogClock) -> Vec<u8> {
        self.view.sort(&mut self.entries);
        let mut page = Vec::with_capacity(1024 + 160 * self.entries.len());
        match self.settings.style() {
            Style::Classic => classic::render(&self, clock, &mut page),
            Style::Modern => modern::render(&self, clock, &mut page),
        }
        page
    }

    /// The folder above, if it is shown.
    fn parent(&self) -> Option<&[u8]> {
        let without_slash = self.path.strip_suffix(b"/")?;
        let parent = memchr::memrchr(b'/', without_slash).map(|at| &self.path[..=at])?;
        self.parent.as_ref().map(|_| parent)
    }

    /// The path as a title: decoded, without the slash at its end.
    fn title(&self) -> &[u8] {
        match self.path.strip_suffix(b"/") {
            None | Some([]) => self.path,
            Some(path) => path,
        }
    }
}

impl Entry {
    /// A file of which nothing else is known.
    pub fn named(name: &[u8]) -> Entry {
        Entry { name: name.to_vec(), ..Entry::default() }
    }

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
