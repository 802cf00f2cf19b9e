//! # mutex: one process at a time, and death is no obstacle
//!
//! ```text
//!   lock ──▶ Clean ──▶ unlock
//!        └─▶ Recovered: the last holder died inside. We hold it, and look after what it left
//! ```
//!
//! A pthread mutex in a shared page, `PTHREAD_PROCESS_SHARED` and `PTHREAD_MUTEX_ROBUST`: the
//! fastest of the accept mutexes, since nobody asks the kernel unless somebody must wait. When a
//! thread dies, the kernel walks the list of robust mutexes that it holds, marks them, and wakes
//! the next in line.

use std::cell::UnsafeCell;
use std::fmt;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};

use crate::outcome::check_code;
use crate::shared::SharedPage;

/// What was found when the mutex was taken. Either way the caller holds it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Locked {
    /// The last holder let it go.
    Clean,
    /// The last holder died holding it; the mutex itself is whole again.
    Recovered,
}

/// A mutex for this process and the children forked after it was made.
pub struct ProcessMutex {
    page: ManuallyDrop<SharedPage<libc::pthread_mutex_t>>,
}

impl ProcessMutex {
    /// Makes one, free, in a page of its own. pthread_mutex_init(3).
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new() -> io::Result<Self> {
        let page = SharedPage::new()?;
        let attributes = Attributes::shared_and_robust()?;
        // SAFETY: the page is fresh, ours alone, large enough, and stays where it is.
        check_code(unsafe { libc::pthread_mutex_init(page.as_ptr(), attributes.as_ptr()) })?;
        Ok(ProcessMutex { page: ManuallyDrop::new(page) })
    }

    /// Waits for the mutex and takes it. No signal interrupts the wait. pthread_mutex_lock(3).
    ///
    /// # Errors
    /// `EDEADLK`: this thread holds it already.
    pub fn lock(&self) -> io::Result<Locked> {
        // SAFETY: the mutex is initialised, and mapped as long as we live.
        let code = unsafe { libc::pthread_mutex_lock(self.page.as_ptr()) };
        self.taken(code)
    }

    /// Takes the mutex if it is free; `None` if somebody holds it, be it this thread.
    /// pthread_mutex_trylock(3).
    ///
    /// # Errors
    /// None that is known.
    pub fn try_lock(&self) -> io::Result<Option<Locked>> {
        // SAFETY: the mutex is initialised, and mapped as long as we live.
        match unsafe { libc::pthread_mutex_trylock(self.page.as_ptr()) } {
            // EDEADLK: this very thread holds it. glibc says so, musl says EBUSY.
            libc::EBUSY | libc::EDEADLK => Ok(None),
            code => self.taken(code).map(Some),
        }
    }

    /// Lets go, and wakes one that waits. pthread_mutex_unlock(3).
    ///
    /// # Errors
    /// `EPERM`: this thread does not hold it.
    pub fn unlock(&self) -> io::Result<()> {
        // SAFETY: the mutex is initialised and mapped; being robust, it checks who its owner is.
        check_code(unsafe { libc::pthread_mutex_unlock(self.page.as_ptr()) })
    }

    fn taken(&self, code: libc::c_int) -> io::Result<Locked> {
        if code != libc::EOWNERDEAD {
            return check_code(code).map(|()| Locked::Clean);
        }
        // SAFETY: we have just become the owner of a mutex whose last owner died, which is when
        // this may be called. If we die before it, the next one gets EOWNERDEAD again.
        check_code(unsafe { libc::pthread_mutex_consistent(self.page.as_ptr()) })?;
        Ok(Locked::Recovered)
    }
}

/// The C library links each held robust mutex into a list of its thread, so the page of a held one
/// must never go away. Nobody else in this process can reach the mutex now; if it can be taken,
/// nobody holds it. Else a thread of ours may have ended its borrow without unlocking, and a lost
/// page is the lesser evil.
impl Drop for ProcessMutex {
    fn drop(&mut self) {
        if matches!(self.try_lock(), Ok(Some(_))) && self.unlock().is_ok() {
            // SAFETY: we are being dropped, so nobody uses the page after this.
            unsafe { ManuallyDrop::drop(&mut self.page) };
        }
    }
}

impl fmt::Debug for ProcessMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessMutex").finish_non_exhaustive()
    }
}

/// What kind of mutex to make.
struct Attributes(UnsafeCell<libc::pthread_mutexattr_t>);

impl Attributes {
    /// Shared by processes; robust, so that death frees it; checking, so that taking it twice is an
    /// error instead of a wait for ever. pthread_mutexattr_init(3) and its setters.
    fn shared_and_robust() -> io::Result<Self> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: `raw` has room for the attributes.
        check_code(unsafe { libc::pthread_mutexattr_init(raw.as_mut_ptr()) })?;
        // SAFETY: the call above has initialised it, and they may be moved (they are plain bytes).
        let attributes = Attributes(UnsafeCell::new(unsafe { raw.assume_init() }));
        let raw = attributes.as_ptr();
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: initialised attributes that live as long as this function.
        check_code(unsafe { libc::pthread_mutexattr_setpshared(raw, shared) })?;
        let robust = libc::PTHREAD_MUTEX_ROBUST;
        // SAFETY: as above.
        check_code(unsafe { libc::pthread_mutexattr_setrobust(raw, robust) })?;
        let checking = libc::PTHREAD_MUTEX_ERRORCHECK;
        // SAFETY: as above.
        check_code(unsafe { libc::pthread_mutexattr_settype(raw, checking) })?;
        Ok(attributes)
    }

    fn as_ptr(&self) -> *mut libc::pthread_mutexattr_t {
        self.0.get()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised, and not used after this. It fails only for attributes that are not.
        unsafe { libc::pthread_mutexattr_destroy(self.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_it_twice_and_freeing_it_unheld_are_errors() {
        let mutex = ProcessMutex::new().unwrap();
        assert_eq!(mutex.unlock().unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(mutex.lock().unwrap(), Locked::Clean);
        assert_eq!(mutex.lock().unwrap_err().raw_os_error(), Some(libc::EDEADLK));
        assert_eq!(mutex.try_lock().unwrap(), None);
        mutex.unlock().unwrap();
        assert_eq!(mutex.try_lock().unwrap(), Some(Locked::Clean));
        mutex.unlock().unwrap();
    }

    #[test]
    fn a_thread_that_ends_inside_leaves_it_to_the_next() {
        let mutex = ProcessMutex::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(mutex.lock().unwrap(), Locked::Clean)).join().unwrap();
        });
        assert_eq!(mutex.lock().unwrap(), Locked::Recovered);
        mutex.unlock().unwrap();
        assert_eq!(mutex.lock().unwrap(), Locked::Clean);
        mutex.unlock().unwrap();
    }

    #[test]
    fn dropping_a_held_mutex_does_not_harm_the_next_one() {
        let forgotten = ProcessMutex::new().unwrap();
        assert_eq!(forgotten.lock().unwrap(), Locked::Clean);
        drop(forgotten);
        // This lock is linked into the same list as the forgotten one, and writes to its neighbour.
        let next = ProcessMutex::new().unwrap();
        assert_eq!(next.lock().unwrap(), Locked::Clean);
        next.unlock().unwrap();
    }
}
