//! # digest: what a file's content comes to
//!
//! ```text
//! identity (device, inode, size, times) ── known? ─yes─▶ SHA-1
//!                                             └─no──▶ a job reads all of it ──▶ remembered, unless it has just changed
//! ```
//!
//! - Shared by all threads of a process: a job finds out, and event loops look it up.
//! - A file that has changed within the last moments is read again for each request: its next change may leave no trace
//!   in its times.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};

use herdgate_sys::file::{Stat, pread};
use sha1::{Digest as _, Sha1};

use super::Access;
use super::seen::Identity;
use crate::log::Moment;

/// Files remembered; beyond, all are forgotten.
const FILES_MAX: usize = 16 << 10;
/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A SHA-1, as `FileETag Digest` has it.
pub(crate) type Digest = [u8; 20];

/// Digests of the files that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    known: Mutex<HashMap<Identity, Digest>>,
}

impl Digests {
    /// The digest of the open file that `stat` describes.
    ///
    /// # Errors
    /// `WouldBlock`: inline only, a job has to read it. `UnexpectedEof`: it is shorter than it was. Others as read(2).
    pub(crate) fn of(
        &self,
        fd: BorrowedFd<'_>,
        stat: &Stat,
        access: Access,
        now: Moment,
    ) -> io::Result<Digest> {
        let identity = Identity::of(stat);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = known().get(&identity) {
            return Ok(*digest);
        }
        if access == Access::Inline {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let digest = read(fd, stat.size)?;
        if identity.is_settled(now) {
            let mut known = known();
            if known.len() >= FILES_MAX {
                known.clear();
            }
            known.insert(identity, digest);
        }
        Ok(digest)
    }
}

fn read(fd: BorrowedFd<'_>, size: u64) -> io::Result<Digest> {
    let mut hash = Sha1::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    while done < size {
        let wanted = usize::try_from(size - done).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        match pread(fd, &mut chunk[..wanted], done) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                hash.update(&chunk[..count]);
                done += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use herdgate_sys::file::fstat;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_file_is_read_once_for_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, "abc").unwrap();
        let digests = Digests::default();
        let ask = |access, secs| {
            let now = Moment { secs, nanos: 0 };
            let file = std::fs::File::open(&path).unwrap();
            let stat = fstat(file.as_fd()).unwrap();
            let digest = digests.of(file.as_fd(), &stat, access, now);
            digest.map(|digest| digest[..4].to_vec()).map_err(|error| error.kind())
        };
        let abc = Ok(vec![0xa9, 0x99, 0x3e, 0x36]);
        assert_eq!(ask(Access::Inline, i64::MAX), Err(io::ErrorKind::WouldBlock));
        assert_eq!(ask(Access::MayBlock, 0), abc, "just written");
        assert_eq!(ask(Access::Inline, i64::MAX), Err(io::ErrorKind::WouldBlock));
        assert_eq!(ask(Access::MayBlock, i64::MAX), abc);
        assert_eq!(ask(Access::Inline, i64::MAX), abc);
        std::fs::write(&path, vec![b'a'; 1_000_000]).unwrap();
        assert_eq!(ask(Access::Inline, i64::MAX), Err(io::ErrorKind::WouldBlock));
        assert_eq!(ask(Access::MayBlock, i64::MAX), Ok(vec![0x34, 0xaa, 0x97, 0x3c]));
    }
}
