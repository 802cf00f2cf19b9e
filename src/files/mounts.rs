//! # mounts: where opening itself may wait, although the name is known
//!
//! ```text
//! /proc/self/mountinfo ──▶ mount points of FUSE, NFS, …  ─┐
//! a job met such a file ──▶ the folder that it stood in  ─┴─▶ may_wait(path): then opening is a job
//! ```
//!
//! - `RESOLVE_CACHED` promises that the *look-up* does not wait. The file system's own `open` is called all the same,
//!   and one that is answered by a process or by another machine then takes as long as those take.
//! - Most machines have no such mount, and pay one comparison.
//! - Not every way there is known beforehand: a link may lead into such a file system. But its names are not in the
//!   kernel's memory before somebody looked them up, so it is nearly always a job that comes first, and remembers.

use std::os::fd::AsFd;
use std::sync::{LazyLock, PoisonError, RwLock};

use herdgate_sys::file::{FsKind, fs_kind};

use super::open::Opened;

/// More places than this and everything is opened by jobs, which is slower and never wrong.
const PLACES_MAX: usize = 256;

/// What this process has learnt so far.
static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(|| {
    let mut known = Known::default();
    known.add_mounts(&read_mounts());
    RwLock::new(known)
});

#[derive(Debug, Default)]
struct Known {
    /// Folders below which opening may wait; without a slash at the end.
    slow: Vec<Vec<u8>>,
    /// Devices that a job has met, and whether they are slow.
    devices: Vec<(u64, bool)>,
    /// Devices that are memory.
    memory: Vec<u64>,
}

/// Whether opening `path` may wait for a process or another machine.
pub(super) fn may_wait(path: &[u8]) -> bool {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).may_wait(path)
}

/// Whether a device is memory, and never waits: as far as is known, which is as of the last look at the mounts.
pub(super) fn is_in_memory(device: u64) -> bool {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).memory.contains(&device)
}

/// Remembers what a job has opened under the name `path`.
pub(super) fn learn(path: &[u8], opened: &Opened) {
    let device = opened.stat.device;
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let is_slow = known.devices.iter().find(|(number, _)| *number == device).map(|(_, slow)| *slow);
    let nothing_new = match is_slow {
        Some(slow) => !slow || known.may_wait(path),
        None => false,
    };
    drop(known);
    if nothing_new {
        return;
    }
    let slow = is_slow.unwrap_or_else(|| {
        let kind = fs_kind(opened.fd.as_fd());
        !matches!(kind, Ok(FsKind::Tmpfs | FsKind::Overlay | FsKind::Other))
    });
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if is_slow.is_none() && known.devices.len() < PLACES_MAX {
        known.devices.push((device, slow));
        known.add_mounts(&read_mounts()); // A device that is new to us may have been mounted just now.
    }
    if slow && !known.may_wait(path) {
        let end = memchr::memrchr(b'/', path.strip_suffix(b"/").unwrap_or(path)).unwrap_or(0);
        known.add(&path[..end]);
    }
}

impl Known {
    fn may_wait(&self, path: &[u8]) -> bool {
        let covers = |folder: &Vec<u8>| match path.strip_prefix(folder.as_slice()) {
            Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        };
        self.slow.len() >= PLACES_MAX || self.slow.iter().any(covers)
    }

    fn add(&mut self, folder: &[u8]) {
        if !self.may_wait(folder) {
            self.slow.push(folder.to_vec());
        }
    }

    fn add_mounts(&mut self, mountinfo: &[u8]) {
        for line in mountinfo.split(|byte| *byte == b'\n') {
            if let Some(point) = slow_mount_point(line) {
                self.add(point.strip_suffix(b"/").unwrap_or(&point));
            }
            if let Some(device) = memory_device(line)
                && !self.memory.contains(&device)
                && self.memory.len() < PLACES_MAX
            {
                self.memory.push(device);
            }
        }
    }
}

/// Nothing, if there is no /proc: then jobs have to find out.
fn read_mounts() -> Vec<u8> {
    std::fs::read("/proc/self/mountinfo").unwrap_or_default()
}

/// The mount point in a line of mountinfo, if its file system is not this kernel's own affair. proc(5):
/// `36 35 98:0 /root /mount/point rw,noatime shared:1 - nfs4 host:/export rw`
fn slow_mount_point(line: &[u8]) -> Option<Vec<u8>> {
    const SLOW: [&[u8]; 12] = [
        b"9p",
        b"afs",
        b"autofs",
        b"ceph",
        b"cifs",
        b"fuse",
        b"fuseblk",
        b"lustre",
        b"nfs",
        b"nfs4",
        b"smb3",
        b"virtiofs",
    ];
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    (SLOW.contains(&kind) || kind.starts_with(b"fuse.")).then(|| unescape(point))
}

/// The device of a line of mountinfo, if it is memory.
fn memory_device(line: &[u8]) -> Option<u64> {
    let (before, after) = str::from_utf8(line).ok()?.split_once(" - ")?;
    let (major, minor) = before.split(' ').nth(2)?.split_once(':')?;
    let is_memory = matches!(after.split(' ').next()?, "tmpfs" | "ramfs");
    is_memory.then_some(nix::sys::stat::makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// Blanks and backslashes are written as three octal digits: `\040`.
fn unescape(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        match text {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                text = after;
            }
            _ => {
                plain.push(*first);
                text = rest;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_other_machines_and_processes_may_wait() {
        let mut known = Known::default();
        known.add_mounts(
            b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
              22 21 0:31 / /srv/my\\040files rw shared:2 master:1 - nfs4 host:/e rw\n\
              23 21 0:32 / /mnt/ssh rw - fuse.sshfs host: rw\n\
              24 21 0:33 / /tmp rw - tmpfs tmpfs rw\nnonsense\n",
        );
        for (path, expected) in [
            ("/srv/my files/a", true),
            ("/srv/my files", true),
            ("/srv/my filesystem/a", false),
            ("/mnt/ssh/deep/a", true),
            ("/mnt/a", false),
            ("/tmp/a", false),
            ("/", false),
        ] {
            assert_eq!(known.may_wait(path.as_bytes()), expected, "{path}");
        }
        assert_eq!(known.memory, [33]);
    }

    #[test]
    fn memory_is_known_by_its_device() {
        let folder = std::path::Path::new("/dev/shm");
        let Ok(shared) = std::fs::File::open(folder) else { return };
        let stat = herdgate_sys::file::fstat(shared.as_fd()).unwrap();
        let is_memory = matches!(fs_kind(shared.as_fd()), Ok(FsKind::Tmpfs));
        assert_eq!(is_in_memory(stat.device), is_memory);
    }

    #[test]
    fn root_that_comes_over_the_network_makes_everything_wait() {
        let mut known = Known::default();
        known.add_mounts(b"21 1 0:31 / / rw - nfs host:/ rw\n");
        assert!(known.may_wait(b"/a") && known.may_wait(b"/"));
    }

    #[test]
    fn too_many_places_make_everything_wait() {
        let mut known = Known::default();
        (0..PLACES_MAX).for_each(|number| known.add(format!("/mnt/{number}").as_bytes()));
        assert!(known.may_wait(b"/elsewhere"));
    }
}
