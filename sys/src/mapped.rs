//! # mapped: a file in memory, for the kernel's eyes only
//!
//! Whoever reads a mapped file after somebody has truncated it dies of SIGBUS. The kernel does not:
//! it notices, and the call fails with `EFAULT`. So a [`MappedFile`] has no `&[u8]` and no pointer;
//! its bytes can only be named to `sendmsg`, and a truncation ends one connection instead of a
//! process.

use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapOptions, MmapRaw};

use crate::net::{More, send_iovecs};
use crate::outcome::invalid;

/// A read-only mapping of part of a file. It stays when the file is closed, and shows what is
/// in the file, not what was in it when mapped.
pub struct MappedFile {
    pages: MmapRaw,
}

impl MappedFile {
    /// Maps `len` bytes of `file` from `offset` on, which need not be where a page begins. The file
    /// must be open for reading. mmap(2).
    ///
    /// # Errors
    /// `InvalidInput`: `len` is zero. `ENODEV`: the file system cannot do this. `ENOMEM`: too many
    /// mappings, or no address space left.
    pub fn map(file: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        if len == 0 {
            return Err(invalid("nothing cannot be mapped"));
        }
        let pages =
            MmapOptions::new().offset(offset).len(len).map_raw_read_only(file.as_raw_fd())?;
        Ok(MappedFile { pages })
    }

    /// Bytes mapped; never zero.
    #[expect(clippy::len_without_is_empty, reason = "an empty mapping cannot exist")]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Sends the mapped bytes in `range`, counted from where the mapping begins; a short count is
    /// normal. sendmsg(2).
    ///
    /// # Errors
    /// As [`crate::net::send`]. `InvalidInput`: `range` reaches beyond the mapping. `EFAULT`: the
    /// file has been truncated, and its bytes are gone.
    pub fn send(
        &self,
        socket: BorrowedFd<'_>,
        range: Range<usize>,
        more: More,
    ) -> io::Result<usize> {
        if range.start > range.end || range.end > self.len() {
            return Err(invalid("a range beyond the mapping"));
        }
        let body = self.pages.as_mut_ptr().wrapping_add(range.start);
        let piece = libc::iovec { iov_base: body.cast(), iov_len: range.len() };
        // SAFETY: the piece lies within the mapping, as checked; sendmsg only reads it.
        unsafe { send_iovecs(socket, &raw const piece, 1, more) }
    }
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFile").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_part_of_a_part_is_sent() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mapped = MappedFile::map(ten_bytes().as_fd(), 0, 10).unwrap();
        assert_eq!(mapped.send(ours.as_fd(), 2..5, More::No).unwrap(), 3);
        let mapped = MappedFile::map(ten_bytes().as_fd(), 5, 5).unwrap();
        assert_eq!(mapped.send(ours.as_fd(), 3..5, More::No).unwrap(), 2);
        drop(ours);
        let mut arrived = String::new();
        theirs.read_to_string(&mut arrived).unwrap();
        assert_eq!(arrived, "23489");
    }

    #[test]
    fn a_truncated_file_is_an_error_and_not_a_crash() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let file = ten_bytes();
        let mapped = MappedFile::map(file.as_fd(), 0, 10).unwrap();
        file.set_len(0).unwrap();
        let error = mapped.send(ours.as_fd(), 0..10, More::No).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    }

    #[test]
    fn nothing_beyond_the_mapping_is_sent() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mapped = MappedFile::map(ten_bytes().as_fd(), 0, 10).unwrap();
        assert_eq!(mapped.len(), 10);
        #[expect(clippy::reversed_empty_ranges, reason = "a mistake that a caller could make")]
        let ranges = [0..11, 11..11, 5..4];
        for range in ranges {
            let error = mapped.send(ours.as_fd(), range, More::No).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let empty = MappedFile::map(ten_bytes().as_fd(), 0, 0).unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::InvalidInput);
    }

    fn ten_bytes() -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        file
    }
}
