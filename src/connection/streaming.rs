//! Streams: bodies that are made while they are sent.
//!
//! ```text
//!   source ──job──▶ a piece ──framed──▶ the socket takes it ──▶ the next job … ──▶ last chunk
//! ```
//!
//! - One piece at a time: however slow the client is, no more than that is in memory.
//! - HTTP/1.1 gets chunks. For HTTP/1.0 the end of the connection is the end of the body.
//! - A source that fails cuts the connection before the last chunk, so the client sees that something is missing.

use std::io;

use herdgate_mpm::{JobHandle, Turn};

use crate::response::Source;
use crate::server::ThreadState;

/// A stream on its way out.
pub(super) struct StreamBody {
    /// `None` while a job has it.
    source: Option<Box<dyn Source>>,
    making: Option<JobHandle<Made>>,
    chunked: bool,
    bytes_made: u64,
    ended: bool,
}

/// What a job gives back: the source, and what it made.
type Made = (Box<dyn Source>, io::Result<Vec<u8>>);

/// How the next piece can be had.
pub(super) enum Piece {
    /// It is here, as it goes on the wire.
    Bytes(Vec<u8>),
    /// A job is at it.
    Wait,
    /// There is none.
    End,
}

impl StreamBody {
    pub(super) fn new(source: Box<dyn Source>, chunked: bool) -> Self {
        Self { source: Some(source), making: None, chunked, bytes_made: 0, ended: false }
    }

    pub(super) fn next_piece(&mut self, turn: &mut Turn<'_, ThreadState>) -> io::Result<Piece> {
        if let Some(making) = &self.making {
            let Some(done) = making.take() else { return Ok(Piece::Wait) };
            self.making = None;
            let (source, bytes) = done.map_err(|_panicked| io::ErrorKind::Other)?;
            self.source = Some(source);
            return bytes.map(|bytes| self.framed(bytes));
        }
        match self.source.take().filter(|_| !self.ended) {
            Some(mut source) => {
                self.making = Some(turn.job(move || {
                    let bytes = source.next();
                    (source, bytes)
                }));
                Ok(Piece::Wait)
            }
            None => Ok(Piece::End),
        }
    }

    fn framed(&mut self, bytes: Vec<u8>) -> Piece {
        self.ended = bytes.is_empty();
        self.bytes_made += bytes.len() as u64;
        match (self.chunked, self.ended) {
            (true, true) => Piece::Bytes(b"0\r\n\r\n".to_vec()),
            (true, false) => {
                let size = format!("{:x}\r\n", bytes.len());
                Piece::Bytes([size.as_bytes(), &bytes, b"\r\n"].concat())
            }
            (false, true) => Piece::End,
            (false, false) => Piece::Bytes(bytes),
        }
    }

    /// Bytes of the body so far, before they were framed.
    pub(super) fn bytes_made(&self) -> u64 {
        self.bytes_made
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether its end can be told from that of the connection.
    pub(super) fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// What the source has to say about it in the log.
    pub(super) fn notes(&self) -> Vec<(String, String)> {
        self.source.as_ref().map_or_else(Vec::new, |source| source.notes())
    }
}
