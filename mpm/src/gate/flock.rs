//! An accept mutex by flock(2): a lock on an open file.
//!
//! - The lock belongs to the opening, not to the process, and a fork shares openings: with the supervisor's one, all
//!   children would hold the lock together. So every child opens the file anew, by way of `/proc/self/fd`, which asks
//!   for the file's mode and needs no name. That is why the file is given to the children's user.
//! - The kernel releases it with the last descriptor of the opening, so with its holder's death.

use std::io;
use std::sync::Mutex;

use herdgate_sys as sys;
use sys::lock::FileLock;

use super::file::LockFile;
use super::{Entered, Gate, Pass, uninterrupted};
use crate::Settings;
use crate::job::lock;

pub(super) struct FlockMutex {
    shared: FileLock,
    /// A child's own opening, until its pass has it.
    own: Mutex<Option<FileLock>>,
}

impl FlockMutex {
    pub(super) fn create(settings: &Settings) -> io::Result<Self> {
        let file = LockFile::create(settings)?.unlink()?;
        let lock = FileLock::new(file.into());
        // Better a server that does not start than children that end at once.
        reopen(&lock)?;
        Ok(Self { shared: lock, own: Mutex::default() })
    }
}

impl Gate for FlockMutex {
    fn child_begins(&self) -> io::Result<()> {
        *lock(&self.own) = Some(reopen(&self.shared)?);
        Ok(())
    }

    fn pass(&self) -> io::Result<Box<dyn Pass + '_>> {
        let own = lock(&self.own).take();
        Ok(Box::new(FlockPass(own.map_or_else(|| reopen(&self.shared), Ok)?)))
    }
}

fn reopen(lock: &FileLock) -> io::Result<FileLock> {
    lock.reopen().map_err(|error| {
        let message = format!("flock: the lock file cannot be opened again through /proc: {error}");
        io::Error::new(error.kind(), message)
    })
}

struct FlockPass(FileLock);

impl Pass for FlockPass {
    fn try_enter(&mut self) -> io::Result<Option<Entered>> {
        Ok(self.0.try_lock()?.then_some(Entered::Normally)) // The kernel does not tell of a death.
    }

    fn enter(&mut self) -> io::Result<Entered> {
        uninterrupted(|| self.0.lock()).map(|()| Entered::Normally)
    }

    fn leave(&mut self) -> io::Result<()> {
        self.0.unlock()
    }
}
