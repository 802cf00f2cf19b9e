//! A client's socket, which remembers what it knows of its own readiness.
//!
//! The kernel tells a change of readiness once (edge-triggered), and a system call that would only say
//! "would block" costs as much as one that does something. So the socket keeps two bits, and every model obeys
//! the same rule: **a connection that waits for what the socket may still have is advanced at once.**
//!
//! ```text
//!   a bit is set    at accept (nobody has looked yet), and whenever the kernel reports readiness
//!   a bit is clear  after WouldBlock, and after a short read or write: the kernel will report the next change
//! ```
//!
//! - A short read does not clear the bit once the client has finished its side: the end of file that stands
//!   behind the data was reported already, and will not be reported again (epoll(7), "Questions and answers", 9).

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use herdgate_sys as sys;
pub use sys::net::More;

use crate::Interest;

/// A client's connected, non-blocking stream socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// What may succeed now, as far as is known.
    ready: Cell<Interest>,
    /// The client has sent FIN, or the connection is broken: reading will never block again.
    read_closed: Cell<bool>,
}

impl Socket {
    /// Takes a connected, non-blocking socket, of whose readiness nothing is known.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd, ready: Cell::new(Interest::BOTH), read_closed: Cell::new(false) }
    }

    /// Reads what is there, up to the buffer's size. `Ok(0)` is the end of the client's data.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; otherwise as recv(2).
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = retry(|| sys::net::read(self.fd.as_fd(), buffer));
        let exhausted = match &result {
            Ok(0) => false,
            Ok(count) => *count < buffer.len() && !self.read_closed.get(),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if exhausted {
            self.ready.set(self.ready.get().without(Interest::READ));
        }
        result
    }

    /// Sends as much as fits. A short count means that the socket is full.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits; otherwise as send(2). A client that has gone is `BrokenPipe`, never a signal.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let result = retry(|| sys::net::send(self.fd.as_fd(), bytes, More::No));
        self.note_sent(&result, bytes.len());
        result
    }

    /// Sends several pieces in one call. With [`More::Yes`] the last packet waits for what follows: the head of an
    /// answer whose body comes by [`sendfile`](Self::sendfile).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_vectored(&self, pieces: &[IoSlice<'_>], more: More) -> io::Result<usize> {
        let result = retry(|| sys::net::send_vectored(self.fd.as_fd(), pieces, more));
        self.note_sent(&result, pieces.iter().map(|piece| piece.len()).sum());
        result
    }

    /// Sends up to `count` bytes of `file` from `*offset`, which it advances. `Ok(0)` means that the file ended.
    ///
    /// # Errors
    /// `WouldBlock` if the socket is full; `InvalidInput` if this file cannot be sent so; otherwise as sendfile(2).
    pub fn sendfile(
        &self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<usize> {
        let result = retry(|| sys::net::sendfile(self.fd.as_fd(), file, offset, count));
        // A short count may also be the file's end, so only a refusal says that the socket is full.
        self.note_refused(&result);
        result
    }

    /// Sends as much as fits of the part `range` of what is mapped.
    ///
    /// # Errors
    /// As [`write`](Self::write); `EFAULT` if the file has become so short that nothing is left there.
    pub fn write_mapped(
        &self,
        mapped: &sys::MappedFile,
        range: Range<usize>,
        more: More,
    ) -> io::Result<usize> {
        let result = retry(|| mapped.send(self.fd.as_fd(), range.clone(), more));
        // A short count may also be the file's end, so only a refusal says that the socket is full.
        self.note_refused(&result);
        result
    }

    /// Sends FIN: no more data will come from us.
    ///
    /// # Errors
    /// As shutdown(2); a client that has gone already is `NotConnected`.
    pub fn shutdown_write(&self) -> io::Result<()> {
        sys::net::shutdown_write(self.fd.as_fd())
    }

    /// How many bytes of what was sent the client has not taken yet: they stand in the kernel's buffer, or are on their
    /// way. tcp(7), `SIOCOUTQ`.
    #[must_use]
    pub fn untaken(&self) -> u64 {
        sys::net::untaken(self.fd.as_fd()).map_or(0, Into::into)
    }

    /// Lets the close that follows be a reset: what the client has not taken is thrown away, and the kernel's memory is
    /// free at once. Otherwise the kernel would go on for minutes with a client who takes nothing. socket(7), `SO_LINGER`.
    pub fn reset_on_close(&self) {
        // A socket that cannot is broken already, and nothing is left of it.
        let _ = socket2::SockRef::from(&self.fd).set_linger(Some(std::time::Duration::ZERO));
    }

    /// Our end's address; a Unix socket has none. getsockname(2).
    ///
    /// # Errors
    /// The kernel is out of memory.
    pub fn local_address(&self) -> io::Result<Option<SocketAddr>> {
        Ok(socket2::SockRef::from(&self.fd).local_addr()?.as_socket())
    }

    /// What may succeed now, as far as is known.
    #[must_use]
    pub fn ready(&self) -> Interest {
        self.ready.get()
    }

    /// Whether the client has sent all that it ever will, so far as was reported.
    pub(crate) fn is_read_closed(&self) -> bool {
        self.read_closed.get()
    }

    /// The kernel reported readiness; `read_closed` says that the client has sent all that it ever will.
    pub(crate) fn note_ready(&self, ready: Interest, read_closed: bool) {
        self.ready.set(self.ready.get().and(ready));
        if read_closed {
            self.read_closed.set(true);
        }
    }

    fn note_refused(&self, result: &io::Result<usize>) {
        if matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.ready.set(self.ready.get().without(Interest::WRITE));
        }
    }

    fn note_sent(&self, result: &io::Result<usize>, wanted: usize) {
        let full = match result {
            Ok(sent) => *sent < wanted,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if full {
            self.ready.set(self.ready.get().without(Interest::WRITE));
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Repeats a call that a signal interrupted before it did anything.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Socket::new(ours.into()), theirs)
    }

    #[test]
    fn a_new_socket_may_be_ready_for_everything() {
        let (socket, _client) = pair();
        assert_eq!(socket.ready(), Interest::BOTH);
    }

    #[test]
    fn would_block_clears_what_was_tried() {
        let (socket, _client) = pair();
        let error = socket.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(socket.ready(), Interest::WRITE);
    }

    #[test]
    fn a_short_read_clears_and_a_full_one_does_not() {
        let (socket, mut client) = pair();
        client.write_all(b"12345678").unwrap();
        let mut buffer = [0; 6];
        assert_eq!(socket.read(&mut buffer).unwrap(), 6);
        assert!(socket.ready().is_read());
        assert_eq!(socket.read(&mut buffer).unwrap(), 2);
        assert!(!socket.ready().is_read());
    }

    #[test]
    fn a_short_read_before_a_reported_end_of_file_does_not_clear() {
        let (socket, mut client) = pair();
        client.write_all(b"last words").unwrap();
        drop(client);
        socket.note_ready(Interest::READ, true);
        assert_eq!(socket.read(&mut [0; 64]).unwrap(), 10);
        assert!(socket.ready().is_read());
        assert_eq!(socket.read(&mut [0; 64]).unwrap(), 0);
        assert!(socket.ready().is_read());
    }

    #[test]
    fn a_full_socket_is_not_writable() {
        let (socket, _client) = pair();
        let block = [0; 65536];
        while socket.write(&block).is_ok() {}
        assert_eq!(socket.ready(), Interest::READ);
    }
}
