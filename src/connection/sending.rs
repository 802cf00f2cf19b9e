//! Sending: what does not fit into the socket at once, files, and streams.
//!
//! ```text
//!   bytes in memory ──send──▶ then segments: text, and parts of a file, chunk by chunk   (segments.rs)
//!                             or a stream: a job makes the next piece ─▶ send ─▶ the next piece
//! ```
//!
//! - A response with a pace waits between its pieces, by a deadline; nobody sleeps for it.
//! - One connection sends [`CHUNKS_PER_TURN`] chunks in a turn at the most: then it is the others' turn.
//! - A file that has become shorter than its announced length ends the connection: the client must see that
//!   something is missing.

use std::io::{self, IoSlice};

use herdgate_mpm::scoreboard::Ending;
use herdgate_mpm::{Deadline, Interest, Moment, More, Phase, Turn, Wait};

use super::answers::{Answers, Unlogged};
use super::pacing::{Pacer, Patience, Taken};
use super::segments::{Next, Segments};
use super::streaming::{Piece, StreamBody};
use super::{Move, State, Then, WebConnection};
use crate::files::content::Segment;
use crate::log::access::After;
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
    rest: Rest,
    pacer: Option<Pacer>,
    /// Bytes that the socket has taken.
    gone: u64,
    /// To be logged when all has gone.
    unlogged: Option<Box<Unlogged>>,
    patience: Patience,
}

/// What follows the bytes.
enum Rest {
    Nothing,
    Segments(Segments),
    Stream(StreamBody),
}

/// How far sending has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    AllSent,
    SocketIsFull,
    WaitsForJob,
    TurnIsOver,
    /// It may go on at this moment.
    IsPaced(Moment),
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
        let pacer =
            unlogged.as_ref().and_then(|it| it.pace()).map(|pace| Pacer::new(pace, turn.now()));
        let memory = body.in_memory().unwrap_or_default();
        let total = bytes.len() + memory.len();
        let more = if body.is_in_memory() { More::No } else { More::Yes };
        let at_once = if pacer.is_some() { Ok(0) } else { self.send_pieces(&bytes, memory, more) };
        let Ok(sent) = at_once else {
            turn.slot().count_ending(Ending::ResponseAborted);
            if let Some(unlogged) = unlogged {
                self.log_late(&unlogged, 0, After::Aborted, turn);
            }
            return Move::To(State::Gone);
        };
        let mut left = Vec::new();
        if sent < total {
            left.extend_from_slice(&bytes[sent.min(bytes.len())..]);
            left.extend_from_slice(&memory[sent.saturating_sub(bytes.len())..]);
        }
        let (sendfile, mmap) = unlogged.as_ref().map_or((true, true), |it| it.roads());
        let rest = match body {
            Body::File { file, span } => {
                let segments = vec![Segment::File(span)];
                Rest::Segments(Segments::new(file, segments, sendfile, mmap))
            }
            Body::Parts { file, segments } => {
                Rest::Segments(Segments::new(file, segments, sendfile, mmap))
            }
            Body::Stream(source) => {
                let chunked = unlogged.as_ref().is_some_and(|unlogged| unlogged.is_chunked());
                Rest::Stream(StreamBody::new(source, chunked))
            }
            Body::Empty | Body::Memory(_) | Body::Shared(_) | Body::Static(_) => Rest::Nothing,
        };
        turn.buffers().write = bytes;
        if left.is_empty() && unlogged.is_none() {
            return self.go_on(then, turn);
        }
        let patience = self.patience(unlogged.as_deref());
        let sending = Sending { bytes: left, sent: 0, rest, pacer, gone: 0, unlogged, patience };
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
        let (client, deadline) = match self.send_some(&mut sending, turn) {
            Ok(Progress::AllSent) => {
                if let Some(mut unlogged) = sending.unlogged.take() {
                    let body_bytes = sending.body_bytes_sent(&unlogged);
                    if let Rest::Stream(stream) = &sending.rest {
                        unlogged.note(stream.notes());
                    }
                    self.log_late(&unlogged, body_bytes, unlogged.after(), turn);
                }
                return self.go_on(then, turn);
            }
            Ok(Progress::TurnIsOver) => {
                (Interest::WRITE, Deadline::At(turn.now() + self.timeout()))
            }
            Ok(Progress::SocketIsFull) => {
                let untaken = self.transport.socket().untaken();
                match sending.patience.wait(turn.now(), Taken { gone: sending.gone, untaken }) {
                    Ok(until) => (Interest::WRITE, Deadline::At(until)),
                    Err(ending) => return self.abandon(&sending, ending, turn),
                }
            }
            // The client does not keep us waiting, we do: a job is sure to end, and so is a pause.
            Ok(Progress::WaitsForJob) => {
                sending.patience.excuse();
                (Interest::NONE, Deadline::Never)
            }
            Ok(Progress::IsPaced(then)) => {
                sending.patience.excuse();
                (Interest::NONE, Deadline::At(then))
            }
            Err(error) => return self.abandon(&sending, blame(&error), turn),
        };
        Move::Wait(
            State::WritingResponse(sending, then),
            Wait { phase: Phase::Response, client, deadline },
        )
    }

    /// The client has gone, or takes nothing any more, or the file has shrunk: there is no saving this answer.
    fn abandon(
        &mut self,
        sending: &Sending,
        ending: Ending,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        turn.slot().count_ending(ending);
        let out_of_time = matches!(ending, Ending::ResponseTimeout | Ending::ResponseTooSlow);
        if out_of_time {
            self.log_timeout(format_args!("{ending}: the client does not take its answer"));
        }
        if out_of_time || sending.ends_with_the_connection() {
            self.transport.socket().reset_on_close();
        }
        if let Some(unlogged) = &sending.unlogged {
            let body_bytes = sending.body_bytes_sent(unlogged);
            self.log_late(unlogged, body_bytes, After::Aborted, turn);
        }
        Move::To(State::Gone)
    }

    fn send_some(
        &self,
        sending: &mut Sending,
        turn: &mut Turn<'_, ThreadState>,
    ) -> io::Result<Progress> {
        for _ in 0..CHUNKS_PER_TURN {
            if sending.sent < sending.bytes.len() {
                let allowed = match sending.allowance(turn.now()) {
                    Ok(allowed) => usize::try_from(allowed).unwrap_or(usize::MAX),
                    Err(then) => return Ok(Progress::IsPaced(then)),
                };
                let unsent = &sending.bytes[sending.sent..];
                let piece = &unsent[..unsent.len().min(allowed)];
                let more = if sending.is_followed() { More::Yes } else { More::No };
                let (sent, whole) = (self.send_pieces(piece, &[], more)?, piece.len());
                sending.sent += sent;
                sending.gone += sent as u64;
                if sent < whole {
                    return Ok(Progress::SocketIsFull);
                }
                if sending.sent < sending.bytes.len() {
                    continue;
                }
            }
            (sending.bytes, sending.sent) = (Vec::new(), 0);
            let allowed = match (&sending.rest, sending.allowance(turn.now())) {
                (Rest::Nothing, _) => return Ok(Progress::AllSent),
                (Rest::Segments(segments), _) if segments.have_ended() => {
                    return Ok(Progress::AllSent);
                }
                (_, Ok(allowed)) => allowed,
                (_, Err(then)) => return Ok(Progress::IsPaced(then)),
            };
            match &mut sending.rest {
                Rest::Nothing => return Ok(Progress::AllSent),
                Rest::Stream(stream) => match stream.next_piece(turn)? {
                    Piece::Wait => return Ok(Progress::WaitsForJob),
                    Piece::Bytes(bytes) => sending.bytes = bytes,
                    Piece::End => return Ok(Progress::AllSent),
                },
                Rest::Segments(segments) => match segments.next(allowed, turn)? {
                    Next::End => return Ok(Progress::AllSent),
                    Next::Wait => return Ok(Progress::WaitsForJob),
                    Next::Bytes(bytes) => sending.bytes = bytes,
                    Next::Chunk(chunk) => match segments.send(chunk, self.transport.socket()) {
                        Ok(sent) => sending.gone += sent,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            return Ok(Progress::SocketIsFull);
                        }
                        Err(error) => return Err(error),
                    },
                },
            }
        }
        Ok(if sending.is_done() { Progress::AllSent } else { Progress::TurnIsOver })
    }
}

/// Why an answer ends early: the client has gone, or else something is amiss with what it was to get.
fn blame(error: &io::Error) -> Ending {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut};
    let has_left =
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut);
    if has_left { Ending::ResponseAborted } else { Ending::ResponseFailed }
}

impl Sending {
    /// How many bytes may leave now; or when it is worth asking again.
    fn allowance(&self, now: Moment) -> Result<u64, Moment> {
        self.pacer.as_ref().map_or(Ok(u64::MAX), |pacer| pacer.allowance(self.gone, now))
    }

    /// Whether something follows the bytes.
    fn is_followed(&self) -> bool {
        match &self.rest {
            Rest::Nothing => false,
            Rest::Segments(segments) => !segments.have_ended(),
            Rest::Stream(stream) => !stream.has_ended(),
        }
    }

    /// Whether only a reset can tell the client that something is missing: an end looks like the end of the body.
    fn ends_with_the_connection(&self) -> bool {
        matches!(&self.rest, Rest::Stream(stream) if !stream.is_chunked())
    }

    /// How much of the body has left. Of a stream that was cut, what frames its chunks counts as body.
    fn body_bytes_sent(&self, unlogged: &Unlogged) -> u64 {
        let unsent = (self.bytes.len() - self.sent) as u64;
        match &self.rest {
            Rest::Nothing => unlogged.body_bytes.saturating_sub(unsent),
            Rest::Segments(segments) => {
                unlogged.body_bytes.saturating_sub(unsent + segments.bytes_left())
            }
            Rest::Stream(stream) => stream.bytes_made().saturating_sub(unsent),
        }
    }

    fn is_done(&self) -> bool {
        self.sent == self.bytes.len() && !self.is_followed()
    }
}
