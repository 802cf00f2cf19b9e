//! An accept mutex by fcntl(2): a write lock on a whole file.
//!
//! - The kernel releases the lock when its holder dies, and also when the holder closes *any* descriptor of the
//!   file, so the file is opened once and never closed by a child.
//! - The lock belongs to a process: two threads of one process would both get in. One thread goes to the gate.
//! - The kernel looks for circles of waiters among all fcntl locks of the machine, by process and not by thread. A
//!   service that has such locks of its own can look like one side of a circle that is none; that is waited out.

use std::io;
use std::thread;
use std::time::Duration;

use herdgate_sys as sys;
use sys::lock::FcntlLock;

use super::file::LockFile;
use super::{Entered, Gate, Pass, uninterrupted};
use crate::Settings;

/// How long a circle of waiters is left alone before the next try.
const FALSE_CIRCLE_PAUSE: Duration = Duration::from_millis(5);

pub(super) struct FcntlMutex(FcntlLock);

impl FcntlMutex {
    pub(super) fn create(settings: &Settings) -> io::Result<Self> {
        let file = LockFile::create(settings)?.unlink()?;
        Ok(Self(FcntlLock::new(file.into())))
    }
}

impl Gate for FcntlMutex {
    fn pass(&self) -> io::Result<Box<dyn Pass + '_>> {
        Ok(Box::new(FcntlPass(&self.0)))
    }
}

struct FcntlPass<'a>(&'a FcntlLock);

impl Pass for FcntlPass<'_> {
    fn try_enter(&mut self) -> io::Result<Option<Entered>> {
        Ok(self.0.try_lock()?.then_some(Entered::Normally)) // The kernel does not tell of a death.
    }

    fn enter(&mut self) -> io::Result<Entered> {
        loop {
            match uninterrupted(|| self.0.lock()) {
                Err(error) if error.raw_os_error() == Some(nix::libc::EDEADLK) => {
                    thread::sleep(FALSE_CIRCLE_PAUSE); // We hold nothing while we wait here, so it will open.
                }
                result => return result.map(|()| Entered::Normally),
            }
        }
    }

    fn leave(&mut self) -> io::Result<()> {
        self.0.unlock()
    }
}
