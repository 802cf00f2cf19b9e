//! # seen: what a name stood for, to ask later whether it still does
//!
//! ```text
//! open, look ──▶ Seen { name, what it was } ──── later ───▶ is it still that?     one call, or none if it is watched
//! ```
//!
//! - A version of a file is told by its device, number, size and times. A change of contents moves the times, and
//!   whoever sets them back moves the time of change, which nobody can set.
//! - Times move in steps of the kernel's clock: a file that has changed within the last moments may change again
//!   without a trace. What is seen then is not [settled](Identity::is_settled), and nothing is built on it.

use herdgate_sys::file::{Kind, Stat};

use super::{Access, open};
use crate::log::Moment;

/// A change that is younger than this may be followed by another one with the same times: some ticks of the kernel's
/// clock, which file systems take their times from.
const SETTLED_MILLIS: i64 = 100;
/// The same where times are whole seconds, or every other one.
const SETTLED_MILLIS_COARSE: i64 = 2000;

/// Tells one version of a file or folder from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
    /// Rights and owner, which decide who may have it; the time of change tells these as well, but not beyond doubt.
    rights: (u32, u32),
    kind: Kind,
}

impl Identity {
    /// Of what `stat` describes.
    pub fn of(stat: &Stat) -> Self {
        Self {
            device: stat.device,
            inode: stat.inode,
            size: stat.size,
            modified: stat.modified,
            changed: stat.changed,
            rights: (stat.mode, stat.uid),
            kind: stat.kind,
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the next change will show.
    pub fn is_settled(&self, now: Moment) -> bool {
        let millis = |secs: i64, nanos: u32| {
            secs.saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000))
        };
        let age =
            millis(now.secs, now.nanos).saturating_sub(millis(self.changed.0, self.changed.1));
        let is_coarse = self.changed.1 == 0 && self.modified.1 == 0;
        age > if is_coarse { SETTLED_MILLIS_COARSE } else { SETTLED_MILLIS }
    }
}

/// What a name stood for when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Absolute.
    pub name: Box<[u8]>,
    /// Whether a link at its end was followed.
    pub follows: bool,
    /// `None`: nothing that could be had.
    pub was: Option<Identity>,
    /// A folder whose names were read: each that comes or goes is a change.
    pub lists: bool,
    /// It has other names: what happens to it under one of those is not told to who watches this one.
    pub has_other_names: bool,
}

impl Seen {
    /// Notes what `name` stands for.
    pub fn new(name: &[u8], follows: bool, stat: Option<&Stat>) -> Self {
        Self {
            name: name.into(),
            follows,
            was: stat.map(Identity::of),
            lists: false,
            has_other_names: stat.is_some_and(|stat| stat.kind != Kind::Dir && stat.links > 1),
        }
    }

    /// Notes that the names in the folder `name` were read.
    pub fn listed(name: &[u8], stat: &Stat) -> Self {
        Self { lists: true, ..Self::new(name, true, Some(stat)) }
    }

    /// Whether the name still stands for the same; what cannot be found out without waiting does not.
    pub fn is_still_so(&self, access: Access) -> bool {
        let now = match access {
            Access::MayBlock => open::stat(&self.name, self.follows),
            Access::Inline => match open::look(&self.name, self.follows, access) {
                Ok(stat) => stat,
                Err(_) => return false,
            },
        };
        now.as_ref().map(Identity::of) == self.was
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn seen(path: &std::path::Path) -> Seen {
        let name = path.as_os_str().as_bytes();
        let stat = open::stat(name, true);
        Seen::new(name, true, stat.as_ref())
    }

    #[test]
    fn every_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let missing = seen(&path);
        assert!(missing.is_still_so(Access::MayBlock));
        fs::write(&path, "1").unwrap();
        assert!(!missing.is_still_so(Access::MayBlock));
        let changes: [&dyn Fn(); 4] = [
            &|| fs::write(&path, "22").unwrap(),
            &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap(),
            &|| {
                fs::write(folder.path().join("b"), "22").unwrap();
                fs::rename(folder.path().join("b"), &path).unwrap();
            },
            &|| fs::remove_file(&path).unwrap(),
        ];
        for change in changes {
            let before = seen(&path);
            assert!(before.is_still_so(Access::MayBlock));
            change();
            assert!(!before.is_still_so(Access::MayBlock));
        }
    }

    #[test]
    fn what_has_just_changed_is_not_settled() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let stat = open::stat(file.path().as_os_str().as_bytes(), true).unwrap();
        let (secs, nanos) = stat.changed;
        let later = |secs_later| Moment { secs: secs + secs_later, nanos };
        let coarse = Identity { changed: (secs, 0), modified: (secs, 0), ..Identity::of(&stat) };
        let fine = Identity { changed: (secs, nanos), modified: (secs, 1), ..Identity::of(&stat) };
        assert!(!fine.is_settled(later(0)) && fine.is_settled(later(1)));
        assert!(!coarse.is_settled(later(1)) && coarse.is_settled(later(3)));
    }
}
