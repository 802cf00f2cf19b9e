//! # semaphore: let N in
//!
//! | | a holder's death | a signal while waiting |
//! |---|---|---|
//! | [`PosixSemaphore`] | loses its place, until somebody [posts](PosixSemaphore::post) for it | `Interrupted` |
//! | [`SysvSemaphore`] | the kernel gives its place back (`SEM_UNDO`) | `Interrupted` |
//!
//! The POSIX one is faster, since it asks the kernel only to wait or to wake. The System V one
//! lives in the kernel, outlives all processes, and must be [removed](SysvSemaphore::remove).

use std::fmt;
use std::io;

use crate::outcome::{check, invalid};
use crate::shared::SharedPage;

/// A counting semaphore in a page shared by this process and the children forked after it was made.
/// sem_overview(7).
pub struct PosixSemaphore {
    page: SharedPage<libc::sem_t>,
}

impl PosixSemaphore {
    /// Makes one that lets `value` in. sem_init(3), process-shared.
    ///
    /// # Errors
    /// `EINVAL`: more than `SEM_VALUE_MAX`. `ENOMEM`.
    pub fn new(value: u32) -> io::Result<Self> {
        let page = SharedPage::new()?;
        // SAFETY: the page is fresh, ours alone, large enough, and stays where it is.
        check(unsafe { libc::sem_init(page.as_ptr(), 1, value) })?;
        Ok(PosixSemaphore { page })
    }

    /// Waits for a place and takes it. sem_wait(3).
    ///
    /// # Errors
    /// `Interrupted`: a signal handler ran.
    pub fn wait(&self) -> io::Result<()> {
        // SAFETY: the semaphore is initialised, and mapped as long as we live.
        check(unsafe { libc::sem_wait(self.page.as_ptr()) })?;
        Ok(())
    }

    /// Takes a place if there is one, and says whether it did. sem_trywait(3).
    ///
    /// # Errors
    /// `Interrupted`: a signal handler ran.
    pub fn try_wait(&self) -> io::Result<bool> {
        // SAFETY: the semaphore is initialised, and mapped as long as we live.
        taken(check(unsafe { libc::sem_trywait(self.page.as_ptr()) }))
    }

    /// Gives a place back, one's own or that of somebody who died. sem_post(3).
    ///
    /// # Errors
    /// `EOVERFLOW`: more places than `SEM_VALUE_MAX`.
    pub fn post(&self) -> io::Result<()> {
        // SAFETY: the semaphore is initialised, and mapped as long as we live.
        check(unsafe { libc::sem_post(self.page.as_ptr()) })?;
        Ok(())
    }

    /// How many places are free at this moment. sem_getvalue(3).
    ///
    /// # Errors
    /// None that is known.
    pub fn value(&self) -> io::Result<u32> {
        let mut value = 0;
        // SAFETY: the semaphore is initialised and mapped; `value` lives on our stack.
        check(unsafe { libc::sem_getvalue(self.page.as_ptr(), &raw mut value) })?;
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

impl fmt::Debug for PosixSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PosixSemaphore").field("value", &self.value().ok()).finish()
    }
}

/// A System V semaphore whose places return when their holder dies. semop(2) with `SEM_UNDO`.
///
/// It is a number, not a descriptor: copies and forks mean the same semaphore, dropping does
/// nothing.
#[derive(Debug)]
pub struct SysvSemaphore {
    id: libc::c_int,
}

impl SysvSemaphore {
    /// Makes one that lets `value` in, for this user only (mode 0600) until
    /// [`SysvSemaphore::set_owner`]. semget(2) with `IPC_PRIVATE`, semctl(2) with `SETVAL`.
    ///
    /// # Errors
    /// `ENOSPC`: too many in the system (`kernel.sem`); perhaps dead servers have left theirs, see
    /// ipcs(1). `ERANGE`: `value` is beyond 32767.
    pub fn new(value: u16) -> io::Result<Self> {
        // SAFETY: the call takes no pointer.
        let id = check(unsafe { libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600) })?;
        let semaphore = SysvSemaphore { id };
        let argument = Argument { value: value.into() };
        if let Err(error) = semaphore.control(libc::SETVAL, argument) {
            semaphore.remove()?;
            return Err(error);
        }
        Ok(semaphore)
    }

    /// Waits for a place and takes it.
    ///
    /// # Errors
    /// `Interrupted`: a signal handler ran. `EIDRM`, `EINVAL`: it was removed. `ENOSPC`: the kernel
    /// is out of undo records.
    pub fn wait(&self) -> io::Result<()> {
        self.change(-1, libc::SEM_UNDO)
    }

    /// Takes a place if there is one, and says whether it did.
    ///
    /// # Errors
    /// As [`SysvSemaphore::wait`], but never `Interrupted`.
    pub fn try_wait(&self) -> io::Result<bool> {
        taken(self.change(-1, libc::SEM_UNDO | libc::IPC_NOWAIT))
    }

    /// Gives one's own place back. The kernel does it for the dead, so nobody else should.
    ///
    /// # Errors
    /// As [`SysvSemaphore::wait`], but never `Interrupted`.
    pub fn post(&self) -> io::Result<()> {
        self.change(1, libc::SEM_UNDO)
    }

    /// How many places are free at this moment. semctl(2) with `GETVAL`.
    ///
    /// # Errors
    /// `EIDRM`, `EINVAL`: it was removed.
    pub fn value(&self) -> io::Result<u32> {
        let value = self.control(libc::GETVAL, Argument { value: 0 })?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    /// Gives it to the user and group that children run as; its mode stays 0600. semctl(2) with
    /// `IPC_SET`, of which the kernel reads user, group and mode and nothing else.
    ///
    /// # Errors
    /// `PermissionDenied`: neither its maker nor root.
    pub fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        // SAFETY: integers only, so all zeros is a value of it.
        let mut state: State = unsafe { std::mem::zeroed() };
        state.permissions.uid = uid;
        state.permissions.gid = gid;
        state.permissions.mode = 0o600;
        self.control(libc::IPC_SET, Argument { state: &raw const state })?;
        Ok(())
    }

    /// Removes it from the system; whoever waits gets `EIDRM`. The maker's last duty. semctl(2)
    /// with `IPC_RMID`.
    ///
    /// # Errors
    /// `EIDRM`, `EINVAL`: it was removed before. `PermissionDenied`: neither its owner nor root.
    pub fn remove(&self) -> io::Result<()> {
        self.control(libc::IPC_RMID, Argument { value: 0 })?;
        Ok(())
    }

    fn change(&self, by: i16, flags: libc::c_int) -> io::Result<()> {
        let flags = i16::try_from(flags).map_err(|_| invalid("semaphore flags fit 16 bits"))?;
        let mut operation = libc::sembuf { sem_num: 0, sem_op: by, sem_flg: flags };
        // SAFETY: one operation, which lives on our stack.
        check(unsafe { libc::semop(self.id, &raw mut operation, 1) })?;
        Ok(())
    }

    /// `argument` is private to this file, and always the one that `command` reads.
    fn control(&self, command: libc::c_int, argument: Argument) -> io::Result<libc::c_int> {
        // SAFETY: the id is a number that the kernel checks; a pointer in `argument` is to a live
        // `State` in the frame of our caller.
        check(unsafe { libc::semctl(self.id, 0, command, argument) })
    }
}

/// `union semun`, which each program must define by itself: semctl(2).
#[repr(C)]
#[derive(Clone, Copy)]
union Argument {
    value: libc::c_int,
    state: *const State,
}

/// `struct semid_ds`: first the permissions, then times and counts, at most this much in any C library.
#[repr(C)]
struct State {
    permissions: libc::ipc_perm,
    times_and_counts: [u64; 8],
}

fn taken<T>(result: io::Result<T>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posix_semaphore_lets_in_as_many_as_it_was_made_for() {
        let semaphore = PosixSemaphore::new(2).unwrap();
        semaphore.wait().unwrap();
        assert!(semaphore.try_wait().unwrap());
        assert!(!semaphore.try_wait().unwrap());
        semaphore.post().unwrap();
        assert_eq!(semaphore.value().unwrap(), 1);
        assert_eq!(format!("{semaphore:?}"), "PosixSemaphore { value: Some(1) }");
    }

    #[test]
    fn a_posix_semaphore_wakes_one_that_waits() {
        let semaphore = PosixSemaphore::new(0).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| semaphore.wait());
            semaphore.post().unwrap();
            waiter.join().unwrap().unwrap();
        });
        assert_eq!(semaphore.value().unwrap(), 0);
    }

    #[test]
    fn a_system_v_semaphore_lets_in_as_many_as_it_was_made_for_until_removed() {
        let semaphore = SysvSemaphore::new(2).unwrap();
        semaphore.wait().unwrap();
        assert!(semaphore.try_wait().unwrap());
        assert!(!semaphore.try_wait().unwrap());
        semaphore.post().unwrap();
        assert_eq!(semaphore.value().unwrap(), 1);
        semaphore.remove().unwrap();
        assert!(semaphore.remove().is_err());
    }

    #[test]
    fn a_system_v_semaphore_that_cannot_be_made_leaves_nothing_behind() {
        let error = SysvSemaphore::new(u16::MAX).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ERANGE));
    }

    #[test]
    fn a_system_v_semaphore_can_be_given_away_and_stays_private() {
        let semaphore = SysvSemaphore::new(1).unwrap();
        // Only root may give it to somebody else.
        let root = crate::process::is_root();
        let uid = if root { 4_242_424 } else { nix::unistd::getuid().as_raw() };
        let given = semaphore.set_owner(uid, nix::unistd::getgid().as_raw());
        let table = std::fs::read_to_string("/proc/sysvipc/sem").unwrap();
        semaphore.remove().unwrap();
        given.unwrap();
        // key semid perms nsems uid gid …
        let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = line.into_iter().find(|it| it[1] == semaphore.id.to_string()).unwrap();
        assert_eq!((line[2], line[4]), ("600", uid.to_string().as_str()));
    }
}
