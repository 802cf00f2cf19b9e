//! The client's bytes: plain today, and the place where TLS will stand.
//!
//! - One read a turn, so that a client that floods us waits like everybody else.
//! - What was received and not yet understood is kept here, in memory of the connection's own; while nothing is left
//!   over, nothing is kept.

use std::io::{self, IoSlice};

use herdgate_mpm::{More, Socket};

/// A client's connection as a stream of bytes.
#[derive(Debug)]
pub struct Transport {
    socket: Socket,
    /// Received, and not yet used.
    held: Vec<u8>,
    /// Nobody has looked at what is held since it was put there.
    unseen: bool,
}

/// What one look for input found.
#[derive(Debug)]
pub enum Received<'b> {
    /// All input that is not used yet, the former rest first.
    Input(&'b [u8]),
    /// Nothing new.
    Nothing,
    /// The client has sent all that it ever will.
    End,
}

impl Transport {
    /// Takes a fresh socket.
    pub fn new(socket: Socket) -> Self {
        Self { socket, held: Vec::new(), unseen: false }
    }

    /// The socket below, for waiting.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether there is input that nobody has looked at, which no socket will announce.
    pub fn has_unseen(&self) -> bool {
        self.unseen
    }

    /// What is left over.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Input: what is held and unseen, or else one read into `buffer`. The caller says with
    /// [`keep`](Self::keep) what it has not used.
    ///
    /// # Errors
    /// As recv(2), but for "would block", which is [`Received::Nothing`].
    pub fn receive<'b>(
        &mut self,
        buffer: &'b mut [u8],
        held: &'b mut Vec<u8>,
    ) -> io::Result<Received<'b>> {
        std::mem::swap(held, &mut self.held);
        if std::mem::take(&mut self.unseen) {
            return Ok(Received::Input(held));
        }
        let count = match self.socket.read(buffer) {
            Ok(0) => return Ok(Received::End),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Received::Nothing);
            }
            Err(error) => return Err(error),
        };
        if held.is_empty() {
            return Ok(Received::Input(&buffer[..count])); // The usual case: nothing is copied.
        }
        held.extend_from_slice(&buffer[..count]);
        Ok(Received::Input(held))
    }

    /// Keeps the rest of the input for later; `unseen` if it may hold a whole request.
    pub fn keep(&mut self, rest: &[u8], unseen: bool) {
        self.held = rest.to_vec();
        self.unseen = unseen && !rest.is_empty();
    }

    /// Sends as much as fits of the pieces.
    ///
    /// # Errors
    /// As [`Socket::write_vectored`].
    pub fn send(&self, pieces: &[IoSlice<'_>], more: More) -> io::Result<usize> {
        self.socket.write_vectored(pieces, more)
    }
}
