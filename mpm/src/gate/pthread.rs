//! An accept mutex by pthread_mutex(3) in shared memory: no system call while nobody waits.
//!
//! It is robust: when its holder dies, the kernel hands it to the next one with EOWNERDEAD. What the mutex guards
//! is a wait and an accept, neither of which can be left half-done, so the mutex is declared sound and that is all.

use std::io;
use std::thread;

use herdgate_sys as sys;
use sys::mutex::{Locked, ProcessMutex};

use super::{Entered, Gate, Pass};

pub(super) struct PthreadMutex(ProcessMutex);

impl PthreadMutex {
    pub(super) fn create() -> io::Result<Self> {
        ProcessMutex::new().map(Self)
    }
}

/// Whether the kernel really hands a dead holder's mutex on. Emulated kernels promise it, forget it, and everybody
/// hangs; so somebody dies for it: a thread, which the kernel treats as it does a process.
pub(super) fn survives_its_holder() -> bool {
    let Ok(mutex) = ProcessMutex::new() else { return false };
    let locked = thread::scope(|scope| {
        let holder = thread::Builder::new().spawn_scoped(scope, || mutex.lock().is_ok());
        holder.is_ok_and(|holder| holder.join().unwrap_or(false))
    });
    // The kernel looks through a thread's mutexes before it tells who joins it that the thread is gone.
    locked && matches!(mutex.try_lock(), Ok(Some(Locked::Recovered))) && mutex.unlock().is_ok()
}

impl Gate for PthreadMutex {
    fn pass(&self) -> io::Result<Box<dyn Pass + '_>> {
        Ok(Box::new(PthreadPass(&self.0)))
    }
}

struct PthreadPass<'a>(&'a ProcessMutex);

fn entered(locked: Locked) -> Entered {
    match locked {
        Locked::Clean => Entered::Normally,
        Locked::Recovered => Entered::AfterDeath,
    }
}

impl Pass for PthreadPass<'_> {
    fn try_enter(&mut self) -> io::Result<Option<Entered>> {
        Ok(self.0.try_lock()?.map(entered))
    }

    fn enter(&mut self) -> io::Result<Entered> {
        self.0.lock().map(entered)
    }

    fn leave(&mut self) -> io::Result<()> {
        self.0.unlock()
    }
}
