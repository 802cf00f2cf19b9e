//! # outcome: from C's return values to `io::Result`
//!
//! C says "failed" in three ways: -1 and `errno`, a negative length and `errno`, or the error
//! number itself (the pthread family). One function for each, so that no caller mixes them up.

use std::ffi::c_int;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A call that answers -1 and sets `errno`; otherwise a number that means something.
pub(crate) fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A call that answers how many bytes it moved, or -1 and sets `errno`.
pub(crate) fn check_len(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A call of the pthread family, which answers 0 or the error number and leaves `errno` alone.
pub(crate) fn check_code(code: c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// A call that answers a fresh descriptor, or -1 and sets `errno`.
///
/// # Safety
/// A `result` other than -1 is a descriptor that nobody else owns.
pub(crate) unsafe fn check_fd(result: c_int) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the caller promises that the descriptor is fresh, so we are its only owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An error of our own making: the caller asked for something that cannot be.
pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_convention_of_c_is_read_its_own_way() {
        assert_eq!(check(3).unwrap(), 3);
        assert!(check(-1).is_err());
        assert_eq!(check_len(0).unwrap(), 0);
        assert!(check_len(-1).is_err());
        assert!(check_code(0).is_ok());
        assert_eq!(check_code(libc::EBUSY).unwrap_err().raw_os_error(), Some(libc::EBUSY));
    }
}
