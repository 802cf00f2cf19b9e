//! Connections that did not end by agreement, counted by cause.
//!
//! ```text
//!                silence, slowness        the client left          we ended it
//!   request      silent request_timeout   request_aborted          refused too_many
//!                body_timeout
//!   response     response_timeout         response_aborted         response_failed
//!                response_too_slow
//!   idle         idle_timeout                                      shed
//!   linger       linger_timeout
//! ```
//!
//! - Who ends a connection knows why, and counts it in the slot of the worker that runs it. Whoever looks adds up all
//!   slots, which count on through all generations.
//! - What ends as both sides want it is not counted here.

use std::fmt;
use std::sync::atomic::AtomicU64;

use herdgate_sys as sys;

/// Why a connection ended, or had to be asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A new client that asked for nothing until its time was over.
    Silent,
    /// A request had begun, and was not whole in time.
    RequestTimeout,
    /// What belongs to a request, and follows it, was not whole in time.
    BodyTimeout,
    /// The client took nothing of its answer for too long.
    ResponseTimeout,
    /// The client took its answer, but too slowly.
    ResponseTooSlow,
    /// Idle between two requests for as long as that is allowed: the usual end.
    IdleTimeout,
    /// Its last word said, and the client went on sending, or was silent, for longer than lingering close waits.
    LingerTimeout,
    /// The client left in the middle of a request.
    RequestAborted,
    /// The client left before it had its answer.
    ResponseAborted,
    /// The answer could not be given to its end: its file has shrunk, its source has failed.
    ResponseFailed,
    /// Idle, and asked to go for lack of room.
    Shed,
    /// It did not begin as it must.
    Refused,
    /// Its client had as many as it may.
    TooMany,
}

impl Ending {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 13] = [
        Self::Silent,
        Self::RequestTimeout,
        Self::BodyTimeout,
        Self::ResponseTimeout,
        Self::ResponseTooSlow,
        Self::IdleTimeout,
        Self::LingerTimeout,
        Self::RequestAborted,
        Self::ResponseAborted,
        Self::ResponseFailed,
        Self::Shed,
        Self::Refused,
        Self::TooMany,
    ];

    /// In lower case, with underscores.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::RequestTimeout => "request_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::ResponseTimeout => "response_timeout",
            Self::ResponseTooSlow => "response_too_slow",
            Self::IdleTimeout => "idle_timeout",
            Self::LingerTimeout => "linger_timeout",
            Self::RequestAborted => "request_aborted",
            Self::ResponseAborted => "response_aborted",
            Self::ResponseFailed => "response_failed",
            Self::Shed => "shed",
            Self::Refused => "refused",
            Self::TooMany => "too_many",
        }
    }
}

/// With blanks: `request timeout`.
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

/// Counters of a record. A later version may count more.
pub(super) const COUNTERS: usize = 16;
const _: () = assert!(Ending::ALL.len() <= COUNTERS);

sys::shared! {
    /// How the connections ended that one worker's slot has had. Written by that worker.
    #[repr(C, align(64))]
    pub struct EndingRecord {
        /// Connections by cause since the server's start: silent, request_timeout, body_timeout, response_timeout,
        /// response_too_slow, idle_timeout, linger_timeout, request_aborted, response_aborted, response_failed, shed,
        /// refused, too_many; the rest is unused.
        pub counts: [AtomicU64; COUNTERS],
    }
}
const _: () = assert!(size_of::<EndingRecord>() == 128, "neighbours must not share a cache line");

/// Connections by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endings(pub(super) [u64; Ending::ALL.len()]);

impl Endings {
    /// How many ended so.
    #[must_use]
    pub fn of(&self, ending: Ending) -> u64 {
        self.0[ending as usize]
    }

    /// All causes with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Ending, u64)> {
        Ending::ALL.into_iter().zip(self.0)
    }

    /// One more.
    pub fn add(&mut self, ending: Ending) {
        self.0[ending as usize] += 1;
    }
}

/// What there was, `2 request timeout, 1 shed`, or `none`.
impl fmt::Display for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counted = self.iter().filter(|(_, count)| *count > 0);
        match counted.next() {
            None => return f.write_str("none"),
            Some((ending, count)) => write!(f, "{count} {ending}")?,
        }
        counted.try_for_each(|(ending, count)| write!(f, ", {count} {ending}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_counter_and_the_record_names_them_in_their_order() {
        for (nth, ending) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, nth);
        }
        let names = Ending::ALL.map(Ending::name).join(", ");
        let source = include_str!("ending.rs").replace("\n        /// ", " ");
        assert!(source.contains(&names), "{names}");
    }
}
