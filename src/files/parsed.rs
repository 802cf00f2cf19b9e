//! # parsed: small files that are read and understood once for each change
//!
//! ```text
//! name ── open ──▶ identity (device, inode, size, times) ── known? ─yes─▶ what it meant last time
//!                                                               └─no──▶ read ──▶ parse ──▶ remember
//! ```
//!
//! - A file is opened each time, so it is as fresh as its `stat`: a changed one is read again, a removed one is gone.
//! - A file that has changed within the last moments is remembered for the request at hand only: its next change may
//!   leave no trace in its times.
//! - Bounded in files and in bytes of each: a client that makes us read many of them fills no memory.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use herdgate_sys::file::{Kind, Stat};

use super::Access;
use super::content::{self, Span};
use super::open::{self, LinkPolicy, Links, OpenError};
use super::seen::Identity;
use crate::log::Moment;

/// A file that is larger is an error: nobody writes a megabyte of settings by hand.
pub const FILE_BYTES_MAX: u64 = 16 << 20;
/// Files remembered; beyond, all are forgotten.
const FILES_MAX: usize = 1024;

/// What files meant when they were read last.
#[derive(Debug)]
pub struct ParsedFiles<T> {
    known: HashMap<Box<[u8]>, Known<T>>,
    /// The key to look up; kept to reuse its memory.
    key: Vec<u8>,
}

#[derive(Debug)]
struct Known<T> {
    identity: Identity,
    /// Only what is asked at this very moment may use it; `None`: everybody may.
    only_at: Option<Moment>,
    parsed: Arc<T>,
}

/// What a file means, and which version of it.
#[derive(Debug)]
pub struct Parsed<T> {
    /// What was made of it.
    pub meaning: Arc<T>,
    /// The file when it was opened.
    pub stat: Stat,
}

impl<T> Default for ParsedFiles<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), key: Vec::new() }
    }
}

impl<T> ParsedFiles<T> {
    /// What the file `path` means, `now` being the time of the request; `None` if there is no such file. It is read with
    /// `parse`, which is not asked when the file has not changed. `variant` adds to the key what else the meaning depends
    /// on.
    ///
    /// # Errors
    /// The file is there and cannot be had; [`OpenError::WouldBlock`]: inline only, ask again in a job.
    pub fn get(
        &mut self,
        path: &[u8],
        variant: impl FnOnce(&mut Vec<u8>),
        access: Access,
        now: Moment,
        parse: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<Parsed<T>>, OpenError> {
        let links = Links { policy: LinkPolicy::Follow, root: b"/" };
        let opened = match open::open(path, links, access) {
            Ok(opened) => opened,
            Err(OpenError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if opened.stat.kind != Kind::File {
            return Err(OpenError::Special);
        }
        let identity = Identity::of(&opened.stat);
        self.key.clear();
        self.key.extend_from_slice(path);
        self.key.push(0); // No path has it.
        variant(&mut self.key);
        let is_usable = |known: &&Known<T>| {
            known.identity == identity && known.only_at.is_none_or(|moment| moment == now)
        };
        if let Some(known) = self.known.get(self.key.as_slice()).filter(is_usable) {
            return Ok(Some(Parsed { meaning: Arc::clone(&known.parsed), stat: opened.stat }));
        }
        if identity.size() > FILE_BYTES_MAX {
            return Err(OpenError::System(io::ErrorKind::FileTooLarge.into()));
        }
        let whole = Span { offset: 0, length: identity.size() };
        let bytes = match content::read(&opened, whole, access) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(OpenError::WouldBlock);
            }
            Err(error) => return Err(OpenError::System(error)),
        };
        let parsed = Arc::new(parse(&bytes));
        if self.known.len() >= FILES_MAX {
            self.known.clear();
        }
        let only_at = if identity.is_settled(now) { None } else { Some(now) };
        let known = Known { identity, only_at, parsed: Arc::clone(&parsed) };
        self.known.insert(self.key.as_slice().into(), known);
        Ok(Some(Parsed { meaning: parsed, stat: opened.stat }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    const LATER: Moment = Moment { secs: i64::MAX, nanos: 0 };

    #[test]
    fn a_file_is_read_once_for_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words");
        let mut files = ParsedFiles::default();
        let mut reads = 0;
        let mut get = |now| {
            let parse = |bytes: &[u8]| {
                reads += 1;
                bytes.len()
            };
            let path = path.as_os_str().as_bytes();
            let found = files.get(path, |_| {}, Access::MayBlock, now, parse);
            (found.unwrap().map(|found| *found.meaning), reads)
        };
        assert_eq!(get(LATER), (None, 0));
        std::fs::write(&path, "one").unwrap();
        assert_eq!(get(LATER), (Some(3), 1));
        assert_eq!(get(LATER), (Some(3), 1));
        std::fs::write(&path, "three").unwrap();
        assert_eq!(get(LATER), (Some(5), 2));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(get(LATER), (None, 2));
        // Just written: it may change again within the same tick of the clock.
        std::fs::write(&path, "12").unwrap();
        let now = |nanos| Moment { secs: 0, nanos };
        assert_eq!(
            (get(now(1)), get(now(1)), get(now(2))),
            ((Some(2), 3), (Some(2), 3), (Some(2), 4))
        );
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = ParsedFiles::default();
        let path = folder.path().as_os_str().as_bytes();
        let found = files.get(path, |_| {}, Access::MayBlock, LATER, |_| ());
        assert!(matches!(found, Err(OpenError::Special)));
    }
}
