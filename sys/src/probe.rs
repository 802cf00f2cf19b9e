//! # probe: what this kernel, container or file system lacks
//!
//! A call that is missing says so in many ways: `ENOSYS` from an old kernel, `EPERM` from a
//! container's seccomp filter, `EOPNOTSUPP` from a file system, `EINVAL` for a flag that came
//! later. They all mean the same to a server: take the older road. [`supported`] is the one place
//! that knows the list, [`Probes`] asks once for the calls on which we would rather not try and
//! fail for every request.

use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use crate::file::{self, CWD, OpenFlags, Resolve};

/// Whether `error` is about the request itself (the call exists and has answered). `false` means
/// that kernel, seccomp filter or file system lacks the call or its flag: fall back.
///
/// Only for calls that have a fallback, and of which we know that our arguments are valid:
/// elsewhere `EPERM` and `EINVAL` are honest answers.
pub fn supported(error: &io::Error) -> bool {
    !matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::EPERM | libc::EOPNOTSUPP | libc::EINVAL)
    )
}

/// What the running kernel offers. Asked once a process, before the first fork, so that children
/// inherit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    /// `openat2` exists (Linux 5.6) and no filter forbids it.
    pub openat2: bool,
    /// `RESOLVE_CACHED` exists (Linux 5.12): an open that would need the disk says `WouldBlock`.
    pub resolve_cached: bool,
    /// `RWF_NOWAIT` exists (Linux 4.14) and no filter forbids `preadv2`. A file system may still
    /// refuse it: `EOPNOTSUPP`, file by file.
    pub read_nowait: bool,
}

/// What the running kernel offers, from the first call's answers.
pub fn probes() -> &'static Probes {
    static PROBES: OnceLock<Probes> = OnceLock::new();
    PROBES.get_or_init(Probes::ask)
}

impl Probes {
    fn ask() -> Self {
        Probes {
            openat2: openat2_answers(Resolve::empty()),
            resolve_cached: openat2_answers(Resolve::CACHED),
            read_nowait: preadv2_answers(),
        }
    }
}

/// "/" always exists and is always cached; any error about it but a missing call would be a
/// surprise.
fn openat2_answers(resolve: Resolve) -> bool {
    match file::openat2(CWD, c"/", OpenFlags::PATH, resolve) {
        Ok(_) => true,
        Err(error) => supported(&error),
    }
}

/// Reads one byte of our own program. A file system that refuses (overlay on an odd lower layer) is
/// no reason to give the call up, so only a missing or forbidden call counts.
fn preadv2_answers() -> bool {
    let Ok(program) = file::openat(CWD, c"/proc/self/exe", OpenFlags::READ) else { return true };
    match file::preadv2_nowait(program.as_fd(), &mut [0], 0) {
        Ok(_) => true,
        Err(error) => !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_call_is_told_from_an_honest_refusal() {
        let check = |number, expected| {
            assert_eq!(supported(&io::Error::from_raw_os_error(number)), expected, "{number}");
        };
        check(libc::ENOSYS, false);
        check(libc::EPERM, false);
        check(libc::EOPNOTSUPP, false);
        check(libc::EINVAL, false);
        check(libc::ENOENT, true);
        check(libc::EAGAIN, true);
        check(libc::ELOOP, true);
        check(libc::EACCES, true);
        assert!(supported(&io::Error::other("not from the kernel")));
    }

    #[test]
    fn a_kernel_that_is_new_enough_is_found_out() {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        // A seccomp filter may still forbid a call, which only trying shows: then a probe may say no.
        let filtered = std::fs::read_to_string("/proc/self/status").unwrap();
        let filtered = !filtered.contains("\nSeccomp:\t0\n");
        let check = |found: bool, since| {
            assert!(found == (version >= since) || filtered && !found, "{version:?} {since:?}");
        };
        check(probes().openat2, (5, 6));
        check(probes().resolve_cached, (5, 12));
        check(probes().read_nowait, (4, 14));
        assert_eq!(probes(), &Probes::ask(), "asking again gives the same answer");
    }
}
