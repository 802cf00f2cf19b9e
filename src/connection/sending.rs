//! Sending: what does not fit into the socket at once, and files, chunk by chunk.
//!
//! ```text
//!   bytes in memory ──send──▶ then the file:  in the page cache? ─yes─▶ sendfile a chunk ─▶ next chunk
//!                                                └─no─▶ a job reads it ahead ─▶ sendfile
//!                                                └─cannot tell─▶ a job reads it into memory ─▶ send
//! ```
//!
//! - One connection sends [`CHUNKS_PER_TURN`] chunks in a turn at the most: then it is the others' turn.
//! - A file that has become shorter than its announced length ends the connection: the client must see that
//!   something is missing.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use herdgate_mpm::{Deadline, Interest, JobHandle, Moment, More, Phase, Turn, Wait, Why};

use super::answers::{Answers, Unlogged};
use super::{Move, State, Then, WebConnection};
use crate::files::Access;
use crate::files::content::{self, Residency, Span};
use crate::response::Body;
use crate::server::ThreadState;

/// Chunks of a file that one connection may send in a turn.
const CHUNKS_PER_TURN: usize = 4;

/// What is left to be sent.
pub(super) struct Sending {
    /// Heads, and bodies from memory.
    bytes: Vec<u8>,
    /// How much of them has gone.
    sent: usize,
    file: Option<FileBody>,
    /// To be logged when all has gone.
    unlogged: Option<Box<Unlogged>>,
    until: Moment,
}

/// A file on its way out.
struct FileBody {
    fd: Arc<OwnedFd>,
    left: Span,
    /// Up to here nobody would wait for a disk, so far as is known.
    resident_to: u64,
    /// `EnableSendfile`, unless this file turned out not to be sendable so.
    by_sendfile: bool,
    /// A job that makes the next chunk resident, or brings it into memory.
    reading: Option<JobHandle<io::Result<Chunk>>>,
}

/// What a job did to a chunk.
enum Chunk {
    InPageCache,
    InMemory(Vec<u8>),
}

/// How far sending has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    AllSent,
    SocketIsFull,
    WaitsForJob,
    TurnIsOver,
}

impl WebConnection {
    /// Sends the answers as far as the socket takes them. Nearly always that is all of them, and nothing is kept.
    pub(super) fn send(
        &mut self,
        answers: Answers,
        then: Then,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        let Answers { bytes, body, unlogged } = answers;
        let memory = body.in_memory().unwrap_or_default();
        let total = bytes.len() + memory.len();
        let more = if matches!(body, Body::File { .. }) { More::Yes } else { More::No };
        let Ok(sent) = self.send_pieces(&bytes, memory, more) else {
            if let Some(unlogged) = unlogged {
                self.log_late(&unlogged, unlogged.body_bytes, turn);
            }
            return Move::To(State::Gone);
        };
        let mut rest = Vec::new();
        if sent < total {
            rest.extend_from_slice(&bytes[sent.min(bytes.len())..]);
            rest.extend_from_slice(&memory[sent.saturating_sub(bytes.len())..]);
        }
        let file = match body {
            Body::File { fd, span } => {
                let by_sendfile = unlogged.as_ref().is_none_or(|unlogged| unlogged.by_sendfile());
                Some(FileBody {
                    fd: Arc::new(fd),
                    left: span,
                    resident_to: 0,
                    by_sendfile,
                    reading: None,
                })
            }
            Body::Empty | Body::Memory(_) | Body::Static(_) => None,
        };
        turn.buffers().write = bytes;
        if rest.is_empty() && file.is_none() {
            return self.go_on(then, turn);
        }
        let until = turn.now() + self.timeout();
        let sending = Sending { bytes: rest, sent: 0, file, unlogged, until };
        Move::To(State::WritingResponse(Box::new(sending), then))
    }

    fn send_pieces(&self, bytes: &[u8], memory: &[u8], more: More) -> io::Result<usize> {
        if bytes.is_empty() && memory.is_empty() {
            return Ok(0);
        }
        match self.transport.send(&[IoSlice::new(bytes), IoSlice::new(memory)], more) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Goes on sending.
    pub(super) fn write_response(
        &mut self,
        mut sending: Box<Sending>,
        then: Then,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        let left_before = sending.left();
        let progress = self.send_some(&mut sending, turn);
        if sending.left() < left_before {
            sending.until = turn.now() + self.timeout();
        }
        let client = match progress {
            Ok(Progress::AllSent) => {
                if let Some(unlogged) = &sending.unlogged {
                    self.log_late(unlogged, 0, turn);
                }
                return self.go_on(then, turn);
            }
            Ok(Progress::SocketIsFull) if turn.why() == Why::Expired => {
                return self.abandon(&sending, turn);
            }
            Ok(Progress::SocketIsFull | Progress::TurnIsOver) => Interest::WRITE,
            Ok(Progress::WaitsForJob) => Interest::NONE,
            Err(_) => return self.abandon(&sending, turn),
        };
        // A job is sure to end; a client is not.
        let deadline = if client.is_none() { Deadline::Never } else { Deadline::At(sending.until) };
        Move::Wait(
            State::WritingResponse(sending, then),
            Wait { phase: Phase::Response, client, deadline },
        )
    }

    /// The client has gone, or takes nothing any more, or the file has shrunk: there is no saving this answer.
    fn abandon(&self, sending: &Sending, turn: &mut Turn<'_, ThreadState>) -> Move {
        if let Some(unlogged) = &sending.unlogged {
            let body_left = sending.left().min(unlogged.body_bytes);
            self.log_late(unlogged, body_left, turn);
        }
        Move::To(State::Gone)
    }

    fn send_some(
        &self,
        sending: &mut Sending,
        turn: &mut Turn<'_, ThreadState>,
    ) -> io::Result<Progress> {
        for _ in 0..CHUNKS_PER_TURN {
            let more = if sending.file.is_some() { More::Yes } else { More::No };
            sending.sent += self.send_pieces(&sending.bytes[sending.sent..], &[], more)?;
            if sending.sent < sending.bytes.len() {
                return Ok(Progress::SocketIsFull);
            }
            (sending.bytes, sending.sent) = (Vec::new(), 0);
            let Some(file) = &mut sending.file else { return Ok(Progress::AllSent) };
            if file.left.length == 0 {
                sending.file = None;
                continue;
            }
            match file.next_chunk(turn)? {
                Next::Wait => return Ok(Progress::WaitsForJob),
                Next::Memory(bytes) => sending.bytes = bytes,
                Next::File(chunk) => match self.send_chunk(file, chunk) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Progress::SocketIsFull);
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(if sending.is_done() { Progress::AllSent } else { Progress::TurnIsOver })
    }

    fn send_chunk(&self, file: &mut FileBody, chunk: Span) -> io::Result<()> {
        let mut offset = chunk.offset;
        let count = usize::try_from(chunk.length).unwrap_or(usize::MAX);
        match self.transport.socket().sendfile(file.fd.as_fd(), &mut offset, count) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()), // The file has shrunk.
            Ok(sent) => {
                file.left = file.left.after(sent as u64);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                file.by_sendfile = false; // Some file systems cannot: through memory, then.
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// How the next chunk can be had.
enum Next {
    /// By sendfile.
    File(Span),
    /// It is here already.
    Memory(Vec<u8>),
    /// A job is at it.
    Wait,
}

impl FileBody {
    fn next_chunk(&mut self, turn: &mut Turn<'_, ThreadState>) -> io::Result<Next> {
        let chunk = self.left.next_chunk();
        if let Some(reading) = &self.reading {
            let Some(done) = reading.take() else { return Ok(Next::Wait) };
            self.reading = None;
            match done.map_err(|_panicked| io::ErrorKind::Other)?? {
                Chunk::InPageCache => self.resident_to = chunk.offset + chunk.length,
                Chunk::InMemory(bytes) => {
                    self.left = self.left.after(bytes.len() as u64);
                    return Ok(Next::Memory(bytes));
                }
            }
        }
        let may_block = turn.local().access == Access::MayBlock;
        if self.by_sendfile && (may_block || chunk.offset < self.resident_to) {
            return Ok(Next::File(chunk));
        }
        match (self.by_sendfile, content::residency(self.fd.as_fd(), chunk)) {
            (true, Residency::Cached) => {
                self.resident_to = chunk.offset + chunk.length;
                Ok(Next::File(chunk))
            }
            (true, Residency::Cold) => Ok(self.read_by_job(chunk, true, turn)),
            (false, _) | (true, Residency::Unknown) => Ok(self.read_by_job(chunk, false, turn)),
        }
    }

    fn read_by_job(
        &mut self,
        chunk: Span,
        into_page_cache: bool,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Next {
        let fd = Arc::clone(&self.fd);
        self.reading = Some(turn.job(move || {
            if into_page_cache {
                return content::warm(fd.as_fd(), chunk).map(|()| Chunk::InPageCache);
            }
            content::read(fd.as_fd(), chunk, Access::MayBlock).map(Chunk::InMemory)
        }));
        Next::Wait
    }
}

impl Sending {
    /// Bytes that have not gone yet.
    fn left(&self) -> u64 {
        let in_file = self.file.as_ref().map_or(0, |file| file.left.length);
        (self.bytes.len() - self.sent) as u64 + in_file
    }

    fn is_done(&self) -> bool {
        self.left() == 0
    }
}
