//! An accept mutex by fcntl(2): a write lock on a whole file, which loses its name as soon as it is open.
//!
//! - The kernel releases the lock when its holder dies, and also when the holder closes *any* descriptor of the
//!   file, so the file is opened once and never closed by a child.
//! - The lock belongs to a process: two threads of one process would both get in. One thread goes to the gate.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use herdgate_sys as sys;
use sys::lock::FcntlLock;

use super::{Entered, Gate};

pub(super) struct FcntlMutex(FcntlLock);

impl FcntlMutex {
    pub(super) fn create(lock_dir: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0); // Several gates of one process must not meet.
        let name =
            format!("herdgate-accept-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = lock_dir.join(name);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| {
            io::Error::new(error.kind(), format!("lock file {}: {error}", path.display()))
        })?;
        fs::remove_file(&path)?;
        Ok(Self(FcntlLock::new(file.into())))
    }
}

impl Gate for FcntlMutex {
    fn enter(&self) -> io::Result<Entered> {
        loop {
            match self.0.lock() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|()| Entered::Normally), // The kernel does not tell of a death.
            }
        }
    }

    fn leave(&self) -> io::Result<()> {
        self.0.unlock()
    }
}
