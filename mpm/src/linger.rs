//! Lingering close: how to end a connection without destroying the answer.
//!
//! A socket that is closed while input is unread makes the kernel send RST, and an RST that overtakes the answer
//! makes the client's kernel throw the answer away. So we send FIN, read on and throw away, and close when
//! the client has finished as well, or has been silent, or has talked for too long (RFC 9112 §9.6).
//!
//! ```text
//!   answer sent ─▶ FIN ─▶ read, throw away ─┬─ end of file, error ─▶ close
//!                            ▲              ├─ 2 s of silence ─────▶ close
//!                            └── input ─────┴─ 30 s in all ────────▶ close      2 s, if its time was over before
//! ```
//!
//! - It is a phase of the connection with a deadline, never a sleeping thread.

use std::io;
use std::time::Duration;

use crate::scoreboard::Ending;
use crate::{Deadline, Interest, Moment, Phase, Socket, Step, Turn, Wait};

/// Silence that ends the patience. Apache's `SECONDS_TO_LINGER`.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// All of the patience. Apache's `MAX_SECS_TO_LINGER`.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// A connection that has said its last word.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    until: Moment,
    /// No later than `until`, and moved on by every byte.
    silent_until: Moment,
}

impl Linger {
    /// Sends FIN. `None` if the client has gone already: there is nobody to linger for.
    #[must_use]
    pub fn start(socket: &Socket, now: Moment) -> Option<Self> {
        Self::until(socket, now, LINGER_MAX)
    }

    /// As [`start`](Self::start), for a client whose time was over before: it gets no more than a silent one. Apache's
    /// note `short-lingering-close`.
    #[must_use]
    pub fn start_short(socket: &Socket, now: Moment) -> Option<Self> {
        Self::until(socket, now, SILENCE_MAX)
    }

    fn until(socket: &Socket, now: Moment, patience: Duration) -> Option<Self> {
        socket.shutdown_write().ok()?;
        Some(Self { until: now + patience, silent_until: now + SILENCE_MAX })
    }

    /// Throws away what has come. To be called from the connection's `advance` until it says [`Step::Done`].
    pub fn advance<L>(&mut self, socket: &Socket, turn: &mut Turn<'_, L>) -> Step {
        // Not by the reason of this advance: the deadline that has passed may be the one that brought us here.
        if turn.now() >= self.silent_until.min(self.until) {
            turn.slot().count_ending(Ending::LingerTimeout);
            return Step::Done;
        }
        // Also right after FIN, when a client far away cannot have answered yet: one on the same machine mostly has, where
        // the kernel ran it at once, and then this look saves the wait.
        match socket.read(&mut turn.buffers().read) {
            Ok(0) => return Step::Done,
            Ok(_) => self.silent_until = turn.now() + SILENCE_MAX,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return Step::Done,
        }
        let deadline = Deadline::At(self.silent_until.min(self.until));
        Step::Wait(Wait { phase: Phase::Linger, client: Interest::READ, deadline })
    }
}
