//! A gate with one place or several, by a System V semaphore: the kernel keeps a list of what each process has taken
//! (`SEM_UNDO`), and gives it back when the process is gone.
//!
//! - The kernel gives a free place to whoever waits longest, and takes the semaphore down for it: nobody who comes
//!   later can snatch it. That is fair, and costs a switch of processes each time.
//! - It belongs to nobody's memory: a supervisor that is killed leaves it behind, for ipcrm(1). Any other end removes
//!   it, after the last child of its generation has gone.
//! - Children run as another user: it is given to them before the first fork.

use std::io;
use std::process;

use herdgate_sys as sys;
use sys::semaphore::SysvSemaphore;

use super::{Entered, Gate, Pass, uninterrupted};
use crate::Settings;

pub(super) struct SysvGate {
    semaphore: SysvSemaphore,
    /// Who made it, and so removes it: children inherit a copy of this, and drop it.
    maker: u32,
}

impl SysvGate {
    pub(super) fn create(places: u16, settings: &Settings) -> io::Result<Self> {
        let gate = Self { semaphore: make(places)?, maker: process::id() };
        if let Some(user) = &settings.credentials {
            gate.semaphore.set_owner(user.uid, user.gid)?;
        }
        Ok(gate)
    }
}

/// Whether this kernel has such semaphores, and lets us make one.
pub(super) fn exists() -> bool {
    SysvSemaphore::new(1).and_then(|semaphore| semaphore.remove()).is_ok()
}

fn make(places: u16) -> io::Result<SysvSemaphore> {
    SysvSemaphore::new(places).map_err(|error| {
        let hint = match error.raw_os_error() {
            Some(nix::libc::ENOSPC) => {
                " (the limit is in /proc/sys/kernel/sem; `ipcs -s` lists what dead servers have left)"
            }
            Some(nix::libc::ENOSYS) => " (this kernel has no System V semaphores: posixsem will do)",
            _ => "",
        };
        io::Error::new(error.kind(), format!("System V semaphore: {error}{hint}"))
    })
}

impl Drop for SysvGate {
    fn drop(&mut self) {
        if self.maker == process::id() {
            // It can only fail because somebody removed it by hand.
            let _ = self.semaphore.remove();
        }
    }
}

impl Gate for SysvGate {
    fn pass(&self) -> io::Result<Box<dyn Pass + '_>> {
        Ok(Box::new(SysvPass(&self.semaphore)))
    }
}

struct SysvPass<'a>(&'a SysvSemaphore);

impl Pass for SysvPass<'_> {
    fn try_enter(&mut self) -> io::Result<Option<Entered>> {
        Ok(self.0.try_wait()?.then_some(Entered::Normally)) // The kernel does not tell of a death.
    }

    fn enter(&mut self) -> io::Result<Entered> {
        uninterrupted(|| self.0.wait()).map(|()| Entered::Normally)
    }

    fn leave(&mut self) -> io::Result<()> {
        self.0.post()
    }
}
