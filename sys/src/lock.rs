//! # lock: file locks, which the kernel opens when their holder dies
//!
//! | | belongs to | a forked child | is lost when |
//! |---|---|---|---|
//! | [`FcntlLock`] | the process | starts without it | it closes *any* descriptor of the file |
//! | [`FileLock`] | the open file | shares it with its parent | the last descriptor of it closes |
//!
//! So one `FcntlLock` made before fork serves all children, while every child needs a `FileLock` of
//! its own opening: [`FileLock::reopen`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::FcntlArg;

use crate::file::{CWD, OpenFlags, openat};
use crate::outcome::{check, invalid};
use crate::process::Pid;

/// A POSIX record lock over a whole file. Among processes only: the threads of one process share
/// it. fcntl(2), `F_SETLK`.
#[derive(Debug)]
pub struct FcntlLock(OwnedFd);

impl FcntlLock {
    /// Locks by way of `file`, which stays open as long as this lives, and which must be open for
    /// writing unless all that is asked is who holds it. Its name is not needed any more.
    pub fn new(file: OwnedFd) -> Self {
        FcntlLock(file)
    }

    /// Waits until no other process holds it, then holds it.
    ///
    /// # Errors
    /// `Interrupted`: a signal came. `EDEADLK`: the kernel sees a circle of waiters. `ENOLCK`: the
    /// kernel is out of locks, or this is NFS without a lock service.
    pub fn lock(&self) -> io::Result<()> {
        nix::fcntl::fcntl(&self.0, FcntlArg::F_SETLKW(&whole_file(libc::F_WRLCK)))?;
        Ok(())
    }

    /// Takes it if nobody else holds it, and says whether it did.
    ///
    /// # Errors
    /// `ENOLCK` as for [`FcntlLock::lock`].
    pub fn try_lock(&self) -> io::Result<bool> {
        match nix::fcntl::fcntl(&self.0, FcntlArg::F_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Which *other* process holds it. A holder that this one cannot see, in another pid namespace,
    /// has the number 0. fcntl(2), `F_GETLK`.
    ///
    /// # Errors
    /// `ENOLCK` as for [`FcntlLock::lock`].
    pub fn holder(&self) -> io::Result<Option<Pid>> {
        let mut range = whole_file(libc::F_WRLCK);
        nix::fcntl::fcntl(&self.0, FcntlArg::F_GETLK(&mut range))?;
        let is_free = i32::from(range.l_type) == libc::F_UNLCK;
        Ok((!is_free).then(|| Pid::from_raw(range.l_pid)))
    }

    /// Lets go. Nothing happens if this process does not hold it.
    ///
    /// # Errors
    /// `ENOLCK` as for [`FcntlLock::lock`].
    pub fn unlock(&self) -> io::Result<()> {
        nix::fcntl::fcntl(&self.0, FcntlArg::F_SETLK(&whole_file(libc::F_UNLCK)))?;
        Ok(())
    }
}

impl AsFd for FcntlLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    // SAFETY: a `struct flock` holds integers only; zero start and length mean the whole file.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::c_short::try_from(kind).unwrap_or_default();
    range.l_whence = 0; // SEEK_SET
    range
}

/// A BSD lock over an open file. flock(2).
#[derive(Debug)]
pub struct FileLock(OwnedFd);

impl FileLock {
    /// Locks by way of `file`, in whatever mode it is open.
    pub fn new(file: OwnedFd) -> Self {
        FileLock(file)
    }

    /// The same file, opened anew: a lock that excludes the first one. What a child does after
    /// fork. Works for a file whose name is gone, if its mode lets us open it.
    ///
    /// # Errors
    /// As open(2); `NotFound` if /proc is not mounted.
    pub fn reopen(&self) -> io::Result<Self> {
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let path = std::ffi::CString::new(path).map_err(|_| invalid("a number has no NUL"))?;
        Ok(FileLock(openat(CWD, &path, OpenFlags::READ_WRITE)?))
    }

    /// Waits until nobody else holds it, then holds it.
    ///
    /// # Errors
    /// `Interrupted`: a signal came. `ENOLCK`: the kernel is out of memory for locks.
    pub fn lock(&self) -> io::Result<()> {
        self.operate(libc::LOCK_EX)
    }

    /// Takes it if nobody else holds it, and says whether it did.
    ///
    /// # Errors
    /// `ENOLCK` as for [`FileLock::lock`].
    pub fn try_lock(&self) -> io::Result<bool> {
        match self.operate(libc::LOCK_EX | libc::LOCK_NB) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets go. Nothing happens if this opening does not hold it.
    ///
    /// # Errors
    /// None that is known.
    pub fn unlock(&self) -> io::Result<()> {
        self.operate(libc::LOCK_UN)
    }

    fn operate(&self, operation: libc::c_int) -> io::Result<()> {
        // SAFETY: the call takes no pointer.
        check(unsafe { libc::flock(self.0.as_raw_fd(), operation) })?;
        Ok(())
    }
}

impl AsFd for FileLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // That a FcntlLock keeps another process out is shown in tests/fork.rs.
    #[test]
    fn a_process_never_waits_for_its_own_fcntl_lock() {
        let lock = FcntlLock::new(tempfile::tempfile().unwrap().into());
        lock.lock().unwrap();
        lock.lock().unwrap();
        assert!(lock.try_lock().unwrap());
        lock.unlock().unwrap();
        lock.unlock().unwrap();
    }

    #[test]
    fn a_reopened_file_lock_is_another_lock_even_without_a_name() {
        let first = FileLock::new(tempfile::tempfile().unwrap().into());
        let second = first.reopen().unwrap();
        first.lock().unwrap();
        assert!(first.try_lock().unwrap(), "ours already");
        assert!(!second.try_lock().unwrap());
        first.unlock().unwrap();
        assert!(second.try_lock().unwrap());
        drop(second);
        assert!(first.try_lock().unwrap(), "closing lets go");
    }
}
