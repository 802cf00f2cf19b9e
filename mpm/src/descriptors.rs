//! A reserve of descriptors: clients must not take the last ones.
//!
//! ```text
//!   0 ─────────── connections, files, logs ─────────── begins ──── files and logs only ──── RLIMIT_NOFILE
//! ```
//!
//! A connection whose file cannot be opened is answered 503, and a log that cannot be opened anew is lost: each is worse
//! than a client that waits in the kernel's queue a little longer. The kernel gives the lowest free number, so the number
//! of a new descriptor tells how many are taken, and nobody counts.
//!
//! - Only the event model needs it. In the others a child has so many connections as workers, and the descriptors that
//!   these need are there from the start, or it was said that they are not.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd};

use herdgate_sys as sys;

/// One in so many is kept.
const SHARE: u64 = 8;
/// No more are kept, however many there are.
const MOST: u64 = 512;

/// Where the reserve of this process begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reserve {
    begins: RawFd,
}

impl Reserve {
    /// By the limit of now.
    pub(crate) fn of_this_process() -> Self {
        Self::of(sys::process::descriptor_limit().unwrap_or(u64::MAX))
    }

    fn of(limit: u64) -> Self {
        let begins = limit - (limit / SHARE).min(MOST);
        Self { begins: RawFd::try_from(begins).unwrap_or(RawFd::MAX) }
    }

    /// Whether this descriptor, when it was made, was one of the reserve.
    pub(crate) fn has(self, made: BorrowedFd<'_>) -> bool {
        made.as_raw_fd() >= self.begins
    }

    /// Whether the next one would be, or there would be none: asked by making one, from `any`.
    pub(crate) fn is_next(self, any: BorrowedFd<'_>) -> bool {
        any.try_clone_to_owned().map_or(true, |made| self.has(made.as_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_is_kept_and_not_too_many() {
        for (limit, begins) in [(64, 56), (1024, 896), (20_000, 19_488), (1 << 40, RawFd::MAX)] {
            assert_eq!(Reserve::of(limit).begins, begins);
        }
    }

    #[test]
    fn the_lowest_free_number_tells_how_many_are_taken() {
        let any = std::io::stderr();
        assert!(!Reserve::of(1 << 30).is_next(any.as_fd()));
        assert!(Reserve { begins: 0 }.is_next(any.as_fd()));
        assert!(Reserve { begins: any.as_fd().as_raw_fd() }.has(any.as_fd()));
    }
}
