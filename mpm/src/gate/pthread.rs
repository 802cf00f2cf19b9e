//! An accept mutex by pthread_mutex(3) in shared memory: no system call while nobody waits.
//!
//! It is robust: when its holder dies, the kernel hands it to the next one with EOWNERDEAD. What the mutex guards
//! is a wait and an accept, neither of which can be left half-done, so the mutex is declared sound and that is all.

use std::io;

use herdgate_sys as sys;
use sys::mutex::{Locked, ProcessMutex};

use super::{Entered, Gate};

pub(super) struct PthreadMutex(ProcessMutex);

impl PthreadMutex {
    pub(super) fn create() -> io::Result<Self> {
        ProcessMutex::new().map(Self)
    }
}

impl Gate for PthreadMutex {
    fn enter(&self) -> io::Result<Entered> {
        Ok(match self.0.lock()? {
            Locked::Clean => Entered::Normally,
            Locked::Recovered => Entered::AfterDeath,
        })
    }

    fn leave(&self) -> io::Result<()> {
        self.0.unlock()
    }
}
