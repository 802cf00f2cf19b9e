//! # watch: the kernel tells when a name may stand for something else
//!
//! ```text
//!                     /            ┐ each folder on the way: was it moved, removed, closed to us?
//!                     /var         │
//!                     /var/www     ┘
//!   /var/www/html ◀── watched for the names in it:  index.html ─▶ the answers that were made from it
//! ```
//!
//! - Whoever serves all connections on one thread reads these notices before anything else of a turn: who changes a file
//!   and then asks for it gets the new one, and who asks for what has not changed costs no call.
//! - A notice takes trust away, nothing more: what it was about is looked at again when it is next asked for.
//! - Names are watched before they are looked at, never after: a change in between is told.
//! - What the kernel does not tell about is not watched, and looked at each time: links on the way, files with other names,
//!   file systems that other machines, other processes or layers below change. Writing through a shared mapping is not
//!   told either, nor by a second name that a file got after it was looked at, so trust ends after [`TRUST_SECS_MAX`] in
//!   any case.
//!
//! inotify(7)

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use nix::sys::statfs::{self, FsType};

use super::seen::Seen;

/// How long a watched name is believed without being looked at.
pub const TRUST_SECS_MAX: i64 = 10;
/// Names watched for at once; beyond, all are forgotten, and those in use come back by themselves.
const NAMES_MAX: usize = 65_536;

/// Who reads all names of a folder is told of each; no file is called this.
const ANY_NAME: &[u8] = b"";

/// What may happen to a folder itself.
const FATE: AddWatchFlags = AddWatchFlags::IN_MOVE_SELF
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_ONLYDIR)
    .union(AddWatchFlags::IN_DONT_FOLLOW);
/// Adds to what is watched already, under another name perhaps: `IN_MASK_ADD`, which nix lacks.
const MORE: AddWatchFlags = AddWatchFlags::from_bits_retain(0x2000_0000);
/// What may happen to the names in it.
const NAMES: AddWatchFlags = AddWatchFlags::IN_MODIFY
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO);

/// Whether something is still as it was seen: trusted until a notice says otherwise.
#[derive(Debug, Default)]
pub struct Trust {
    /// The watch's epoch in which it was given; 0: it was not, or was taken away.
    epoch: AtomicU64,
}

/// The names that one thread watches.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    folders: HashMap<Box<[u8]>, Folder>,
    /// Who is to be told, by folder and name.
    names: HashMap<NameIn, Vec<Arc<Trust>>>,
    /// Grows when everything must be looked at again.
    epoch: u64,
}

/// A name in a watched folder.
type NameIn = (WatchDescriptor, Box<[u8]>);

#[derive(Clone, Copy, Debug)]
struct Folder {
    number: WatchDescriptor,
    for_names: bool,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// As inotify_init1(2): a user may have 128 at once.
    pub fn new() -> io::Result<Watch> {
        Ok(Watch {
            inotify: Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?,
            folders: HashMap::new(),
            names: HashMap::new(),
            epoch: 1,
        })
    }

    /// Whether nothing has happened since trust was given.
    pub fn trusts(&self, trust: &Trust) -> bool {
        trust.epoch.load(Relaxed) == self.epoch
    }

    /// Watches all these names from now on. `false`: one of them cannot be watched.
    #[must_use]
    pub fn cover(&mut self, all: &[Seen], trust: &Arc<Trust>) -> bool {
        if self.names.len() > NAMES_MAX {
            self.begin_anew();
        }
        all.iter().all(|seen| self.cover_one(seen, trust))
    }

    /// From now on what `trust` is about is as it was seen: it was looked at after it was covered.
    pub fn give(&self, trust: &Trust) {
        trust.epoch.store(self.epoch, Relaxed);
    }

    fn cover_one(&mut self, seen: &Seen, trust: &Arc<Trust>) -> bool {
        if seen.has_other_names {
            return false;
        }
        let name = seen.name.strip_suffix(b"/").unwrap_or(&seen.name);
        let Some(slash) = memchr::memrchr(b'/', name) else { return false };
        let Some(folder) = self.folder(&name[..slash.max(1)], true) else { return false };
        self.tell(folder, &name[slash + 1..], trust);
        if seen.lists {
            let Some(itself) = self.folder(name, true) else { return false };
            self.tell(itself, ANY_NAME, trust);
        }
        true
    }

    /// Tells `trust` from now on when something happens to a name.
    fn tell(&mut self, folder: WatchDescriptor, name: &[u8], trust: &Arc<Trust>) {
        let told = self.names.entry((folder, name.into())).or_default();
        told.retain(|other| Arc::strong_count(other) > 1); // Those whose answers are forgotten.
        if !told.iter().any(|other| Arc::ptr_eq(other, trust)) {
            told.push(Arc::clone(trust));
        }
    }

    /// Watches a folder and all above it; `None` if there is a link among them, or if the kernel would not tell.
    fn folder(&mut self, path: &[u8], for_names: bool) -> Option<WatchDescriptor> {
        if let Some(known) = self.folders.get(path)
            && (known.for_names || !for_names)
        {
            return Some(known.number);
        }
        if path != b"/" {
            let slash = memchr::memrchr(b'/', path)?;
            self.folder(&path[..slash.max(1)], false)?;
        }
        let name = Path::new(OsStr::from_bytes(path));
        if for_names && !tells_of_changes(name) {
            return None;
        }
        let wanted = if for_names { FATE | NAMES } else { FATE } | MORE;
        let number = self.inotify.add_watch(name, wanted).ok()?;
        self.folders.insert(path.into(), Folder { number, for_names });
        Some(number)
    }

    /// Takes all notices that are there.
    pub fn drain(&mut self) {
        loop {
            match self.inotify.read_events() {
                Ok(events) if events.is_empty() => return,
                Ok(events) => events.iter().for_each(|event| self.note(event)),
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return, // EAGAIN: that was all.
            }
        }
    }

    fn note(&mut self, event: &InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_IGNORED) && !self.has(event.wd) {
            return; // We have dropped that watch ourselves.
        }
        let lost = AddWatchFlags::IN_Q_OVERFLOW
            | AddWatchFlags::IN_UNMOUNT
            | AddWatchFlags::IN_IGNORED
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DELETE_SELF;
        match &event.name {
            Some(name) => {
                self.distrust(event.wd, name.as_bytes());
                self.distrust(event.wd, ANY_NAME);
            }
            // The watches themselves are not what they were.
            None if event.mask.intersects(lost) => self.begin_anew(),
            None => self.epoch += 1, // The rights of a folder.
        }
    }

    fn distrust(&self, folder: WatchDescriptor, name: &[u8]) {
        for trust in self.names.get(&(folder, name.into())).into_iter().flatten() {
            trust.epoch.store(0, Relaxed);
        }
    }

    fn has(&self, number: WatchDescriptor) -> bool {
        self.folders.values().any(|folder| folder.number == number)
    }

    /// Forgets all watches, and trusts nothing that was seen before.
    fn begin_anew(&mut self) {
        self.epoch += 1;
        self.names.clear();
        for folder in std::mem::take(&mut self.folders).into_values() {
            let _may_be_gone_already = self.inotify.rm_watch(folder.number);
        }
    }
}

impl AsFd for Watch {
    /// Readable when there are notices.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// Whether the file system that a folder is on is changed by this machine alone, and says so.
fn tells_of_changes(folder: &Path) -> bool {
    const TELL: [FsType; 5] = [
        statfs::EXT4_SUPER_MAGIC, // ext2 and ext3 as well
        statfs::XFS_SUPER_MAGIC,
        statfs::BTRFS_SUPER_MAGIC,
        statfs::TMPFS_MAGIC,
        statfs::F2FS_SUPER_MAGIC,
    ];
    statfs::statfs(folder).is_ok_and(|fs| TELL.contains(&fs.filesystem_type()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::files::open;

    /// A folder on a file system that tells, and a watch.
    fn folder() -> Option<(tempfile::TempDir, PathBuf, Watch)> {
        let folder = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(folder.path()).unwrap();
        tells_of_changes(&path).then(|| (folder, path, Watch::new().unwrap()))
    }

    fn seen(path: &Path) -> Seen {
        let name = path.as_os_str().as_bytes();
        Seen::new(name, true, open::stat(name, true).as_ref())
    }

    /// Trust in what these names stand for.
    fn trust(watch: &mut Watch, paths: &[&Path]) -> Arc<Trust> {
        let all: Vec<Seen> = paths.iter().map(|path| seen(path)).collect();
        let trust = Arc::default();
        assert!(watch.cover(&all, &trust), "{paths:?}");
        watch.give(&trust);
        watch.drain();
        assert!(watch.trusts(&trust));
        trust
    }

    #[test]
    fn every_change_takes_trust_away_and_nothing_else_does() {
        let Some((_kept, path, mut watch)) = folder() else { return };
        let (file, missing) = (path.join("file"), path.join("missing"));
        fs::write(&file, "1").unwrap();
        type Change<'c> = &'c dyn Fn();
        let changes: [(Change<'_>, bool); 7] = [
            (&|| drop(fs::read(&file).unwrap()), true),
            (&|| fs::write(path.join("other"), "1").unwrap(), true),
            (&|| fs::write(&file, "2").unwrap(), false),
            (&|| fs::write(&missing, "1").unwrap(), false),
            (&|| fs::remove_file(&missing).unwrap(), false),
            (&|| fs::rename(path.join("other"), &file).unwrap(), false),
            (&|| fs::remove_file(&file).unwrap(), false),
        ];
        for (number, (change, keeps)) in changes.iter().enumerate() {
            let trust = trust(&mut watch, &[&file, &missing]);
            change();
            watch.drain();
            assert_eq!(watch.trusts(&trust), *keeps, "change {number}");
        }
    }

    #[test]
    fn a_folder_further_up_that_is_moved_or_closed_takes_all_trust_away() {
        use std::os::unix::fs::PermissionsExt as _;
        let Some((_kept, path, mut watch)) = folder() else { return };
        let file = path.join("a/b/file");
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(&file, "1").unwrap();
        let before = trust(&mut watch, &[&file]);
        fs::rename(path.join("a"), path.join("c")).unwrap();
        watch.drain();
        assert!(!watch.trusts(&before));
        fs::create_dir_all(path.join("a/b")).unwrap();
        let before = trust(&mut watch, &[&file]);
        fs::write(&file, "2").unwrap();
        watch.drain();
        assert!(!watch.trusts(&before), "the new folder is watched, not the old one");
        let before = trust(&mut watch, &[&file]);
        fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
        watch.drain();
        assert!(!watch.trusts(&before));
        let before = trust(&mut watch, &[&file]);
        fs::remove_dir_all(path.join("a")).unwrap();
        watch.drain();
        assert!(!watch.trusts(&before));
    }

    #[test]
    fn links_and_other_names_are_not_watched() {
        let Some((_kept, path, mut watch)) = folder() else { return };
        fs::create_dir(path.join("real")).unwrap();
        fs::write(path.join("real/file"), "1").unwrap();
        std::os::unix::fs::symlink("real", path.join("link")).unwrap();
        assert!(!watch.cover(&[seen(&path.join("link/file"))], &Arc::default()));
        assert!(watch.cover(&[seen(&path.join("real/file"))], &Arc::default()));
        fs::hard_link(path.join("real/file"), path.join("second")).unwrap();
        assert!(!watch.cover(&[seen(&path.join("real/file"))], &Arc::default()));
    }
}
