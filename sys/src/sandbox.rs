//! # sandbox: what a process gives up for good
//!
//! ```text
//!            ┌─ limit_files   Landlock    names: what may be opened, made, renamed, executed, connected to
//!   Bounds ──┤
//!            └─ limit_calls   seccomp     numbers: which system calls there are at all
//! ```
//!
//! - Both hold for the calling thread and for all that it starts from then on, and nobody can lift them.
//! - What is open already stays usable: logs, listeners, shared memory.
//! - Neither needs any right; both give up gaining rights by executing something (`PR_SET_NO_NEW_PRIVS`).
//! - Both are system calls of their own age, and containers forbid them: ask [`offer`] first.

mod calls;
mod files;

use std::path::PathBuf;
use std::{io, ptr};

pub use calls::{limit_calls, refused_calls};
pub use files::limit_files;

use crate::outcome::check;

/// What remains possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What may be read: files, and folders with all below them. `None`: whatever the rights on it allow.
    pub read: Option<Vec<PathBuf>>,
    /// Folders in which files may be made and written. Everywhere else, nothing is changed.
    pub write: Vec<PathBuf>,
    /// Whom connections may be made to.
    pub peers: Peers,
}

/// Whom connections may be made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peers {
    /// Nobody.
    Nobody,
    /// This machine's services that know users and groups, over Unix sockets: nscd, systemd-userdbd.
    Names,
    /// Those, and whoever resolves names of hosts: any port by UDP, by TCP port 53.
    Resolver,
}

/// What the kernel has for this, and lets us use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The version of Landlock's interface; `None`: not built in, not switched on, or forbidden by a container.
    pub landlock: Option<u32>,
    /// System calls can be filtered.
    pub seccomp: bool,
}

/// Asks the kernel. landlock_create_ruleset(2), seccomp(2).
pub fn offer() -> Offer {
    const VERSION: libc::c_uint = 1; // LANDLOCK_CREATE_RULESET_VERSION
    // SAFETY: with this flag the call takes neither structure nor size, and answers with a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<libc::c_void>(), 0, VERSION)
    };
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads one number, which lives until the call is over.
    let known = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
    };
    Offer { landlock: u32::try_from(version).ok().filter(|it| *it > 0), seccomp: known == 0 }
}

/// Gives up gaining rights by executing a file with a set-user-id bit. prctl(2), `PR_SET_NO_NEW_PRIVS`.
///
/// # Errors
/// None that is known.
pub fn gain_no_privileges() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    Ok(())
}

#[cfg(test)]
mod tests;
