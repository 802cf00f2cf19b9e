//! # pipe: two ends, one of them ends the wait
//!
//! A pipe also tells of a death: when all write ends are closed, by whatever means, the reader sees
//! the end.

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;

/// Makes a pipe: the read end, then the write end, both non-blocking and close-on-exec. pipe2(2).
///
/// # Errors
/// `EMFILE`, `ENFILE`: out of descriptors.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::read;
    use std::io::{ErrorKind, Write};
    use std::os::fd::AsFd;

    #[test]
    fn a_pipe_carries_bytes_never_blocks_and_ends_with_its_writer() {
        let (reader, writer) = pipe().unwrap();
        let mut buffer = [0; 8];
        assert_eq!(read(reader.as_fd(), &mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut writer = std::fs::File::from(writer);
        writer.write_all(b"wake").unwrap();
        assert_eq!(read(reader.as_fd(), &mut buffer).unwrap(), 4);
        drop(writer);
        assert_eq!(read(reader.as_fd(), &mut buffer).unwrap(), 0);
    }

    #[test]
    fn both_ends_are_close_on_exec() {
        let (reader, writer) = pipe().unwrap();
        for end in [&reader, &writer] {
            let flags = nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_GETFD).unwrap();
            assert_ne!(flags & libc::FD_CLOEXEC, 0);
        }
    }
}
