//! The workers: two cache lines for each, in numbers, and the pen that its worker writes it with.
//!
//! - Nobody shares a line with a neighbour: a worker's stores stay in its own processor's cache until somebody looks.
//! - One writer at a time, so a counter is a load and a store; a locked addition would cost more and protect from nobody.

use std::sync::atomic::{
    AtomicI32, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use herdgate_sys as sys;

use super::detail::{Detail, Words};
use super::ending::{Ending, EndingRecord};
use super::{add, seqlock};
use crate::{Moment, Phase};

sys::shared! {
    /// One worker's line. Written by that worker, read by the supervisor and the status page.
    #[repr(C, align(64))]
    pub struct Slot {
        /// A [`State`]. Stored `Release`, loaded `Acquire`: who sees a state sees what was stored before it.
        pub state: AtomicU8,
        /// 1 while it does nothing but wait for its client.
        pub waits_for_client: AtomicU8,
        /// Process id. For display only.
        pub pid: AtomicI32,
        /// Thread id. For display only.
        pub tid: AtomicI32,
        /// The worker's generation.
        pub generation: AtomicU32,
        /// When the state last changed, in milliseconds of the coarse monotonic clock.
        pub since_ms: AtomicU64,
        /// Requests answered by this slot since the server's start. A statistic: no decision hangs on it.
        pub requests: AtomicU64,
        /// Bytes sent by this slot since the server's start.
        pub bytes: AtomicU64,
        /// Connections served by this slot since the server's start.
        pub connections: AtomicU64,
        /// Requests answered by the present worker.
        pub requests_here: AtomicU64,
        /// CPU time of the present worker, in hundredths of a second, as of [`cpu_noted_secs`](Self::cpu_noted_secs).
        pub cpu_centisecs: AtomicU32,
        /// The second of the coarse monotonic clock in which the worker looked at its CPU time last.
        pub cpu_noted_secs: AtomicU32,
        /// Bytes sent by the present worker.
        pub bytes_here: AtomicU64,
        /// Time from a request's arrival to the end of its answer, of all requests answered by this slot since the
        /// server's start, in microseconds.
        pub taken_micros: AtomicU64,
        /// The same of the latest request alone.
        pub latest_micros: AtomicU64,
        /// Requests answered on the connection that the latest one came on.
        pub connection_requests: AtomicU64,
        /// Bytes sent on that connection.
        pub connection_bytes: AtomicU64,
    }
}
const _: () = assert!(size_of::<Slot>() == 128, "neighbours must not share a cache line");

impl Slot {
    /// What the worker does.
    #[must_use]
    pub fn state(&self) -> State {
        State::from_byte(self.state.load(Acquire)) // Pairs with the Release of `set_state`.
    }

    pub(super) fn set_state(&self, state: State, now: Moment) {
        self.since_ms.store(now.millis(), Relaxed);
        self.state.store(state as u8, Release);
    }
}

/// What a worker does, with Apache's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nobody is here.
    Dead = b'.',
    /// Starting up.
    Starting = b'S',
    /// Waiting for a connection.
    Ready = b'_',
    /// Reading a request.
    Reading = b'R',
    /// Making or sending an answer.
    Writing = b'W',
    /// Waiting for the next request of a kept connection.
    KeepAlive = b'K',
    /// Writing the log.
    Logging = b'L',
    /// Looking up a name.
    Dns = b'D',
    /// Closing, lingering.
    Closing = b'C',
    /// Finishing gracefully.
    Graceful = b'G',
    /// Being retired as a spare.
    Retiring = b'I',
}

impl State {
    const ALL: [Self; 11] = [
        Self::Dead,
        Self::Starting,
        Self::Ready,
        Self::Reading,
        Self::Writing,
        Self::KeepAlive,
        Self::Logging,
        Self::Dns,
        Self::Closing,
        Self::Graceful,
        Self::Retiring,
    ];

    /// The letter on the status page.
    #[must_use]
    pub fn letter(self) -> char {
        char::from(self as u8)
    }

    /// Free memory is zero, and a record from a damaged file may be anything: both read as [`State::Dead`].
    pub(super) fn from_byte(byte: u8) -> Self {
        Self::ALL.into_iter().find(|state| *state as u8 == byte).unwrap_or(Self::Dead)
    }
}

impl From<Phase> for State {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Request => Self::Reading,
            Phase::Response => Self::Writing,
            Phase::Idle => Self::KeepAlive,
            Phase::Linger => Self::Closing,
        }
    }
}

/// The right to write one slot.
#[derive(Clone, Copy)]
pub struct SlotWriter<'a> {
    pub(super) slot: &'a Slot,
    pub(super) detail: &'a Detail,
    pub(super) endings: &'a EndingRecord,
}

impl SlotWriter<'_> {
    /// The worker has started.
    pub(crate) fn started(&self, generation: u32, now: Moment) {
        self.slot.pid.store(i32::try_from(std::process::id()).unwrap_or(0), Relaxed);
        self.slot.tid.store(nix::unistd::gettid().as_raw(), Relaxed);
        self.slot.generation.store(generation, Relaxed);
        self.slot.set_state(State::Ready, now);
    }

    /// The worker does something else now. Said by the worker itself, whose CPU time is noted along the way.
    pub fn set_state(&self, state: State, now: Moment) {
        self.slot.set_state(state, now);
        self.note_cpu(now);
    }

    /// The worker does nothing but wait for its client, or that is over.
    pub(crate) fn set_waits_for_client(&self, waits: bool) {
        self.slot.waits_for_client.store(waits.into(), Relaxed);
    }

    /// Looks at the thread's CPU time, which is a system call, and so at most once in each second in which the worker
    /// does anything at all.
    fn note_cpu(&self, now: Moment) {
        let secs = u32::try_from(now.millis() / 1000).unwrap_or(u32::MAX);
        if self.slot.cpu_noted_secs.load(Relaxed) != secs {
            let centisecs = sys::clock::thread_cpu().as_millis() / 10;
            self.slot.cpu_centisecs.store(u32::try_from(centisecs).unwrap_or(u32::MAX), Relaxed);
            self.slot.cpu_noted_secs.store(secs, Relaxed);
        }
    }

    /// One more request was answered, with so many bytes sent.
    pub fn count_request(&self, bytes: u64) {
        // One writer, so load and store suffice: a locked addition would cost more and protect from nobody.
        add(&self.slot.requests, 1);
        add(&self.slot.requests_here, 1);
        add(&self.slot.bytes, bytes);
        add(&self.slot.bytes_here, bytes);
    }

    /// The answer to a request has gone, so long after it arrived, on a connection that had so many requests and bytes.
    pub fn count_time(&self, taken: Duration, connection_requests: u64, connection_bytes: u64) {
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        add(&self.slot.taken_micros, micros);
        self.slot.latest_micros.store(micros, Relaxed);
        self.slot.connection_requests.store(connection_requests, Relaxed);
        self.slot.connection_bytes.store(connection_bytes, Relaxed);
    }

    pub(crate) fn count_connection(&self) {
        add(&self.slot.connections, 1);
    }

    /// A connection ended so.
    pub fn count_ending(&self, ending: Ending) {
        add(&self.endings.counts[ending as usize], 1);
    }

    /// Says in words what the worker is busy with from now on. Texts are cut to 47, 63 and 127 bytes. No allocation,
    /// no system call: some forty stores into the worker's own cache lines.
    pub fn describe(&self, now: Moment, client: &[u8], host: &[u8], request: &[u8]) {
        self.detail.write(now.millis(), client, host, request);
    }

    /// What this worker, the caller, has said last; `None` if nothing.
    pub(crate) fn words(&self) -> Option<Box<Words>> {
        let words = self.detail.words.each_ref().map(|word| word.load(Relaxed)); // Its own: no seqlock.
        (words[0] != 0).then(|| Box::new(Words(words)))
    }

    /// Says what another worker has said, whose request this one goes on with.
    pub(crate) fn repeat(&self, words: &Words) {
        seqlock::write(&self.detail.sequence, &self.detail.words, |index| words.0[index]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scoreboard;
    use super::*;

    fn board() -> Scoreboard {
        Scoreboard::create(None, 3, 2).unwrap()
    }

    #[test]
    fn states_print_as_apaches_letters() {
        let letters: String = State::ALL.iter().map(|state| state.letter()).collect();
        assert_eq!(letters, ".S_RWKLDCGI");
        assert_eq!(State::from_byte(0), State::Dead);
        assert_eq!(State::from_byte(b'?'), State::Dead);
    }

    #[test]
    fn cpu_time_is_looked_at_once_a_second() {
        let board = board();
        let writer = board.writer(0, 0);
        let at = |ms| Moment::from_start(std::time::Duration::from_millis(ms));
        let noted = || board.slots(0)[0].cpu_noted_secs.load(Relaxed);
        writer.set_state(State::Reading, at(5_100));
        assert_eq!(noted(), 5);
        board.slots(0)[0].cpu_centisecs.store(u32::MAX, Relaxed);
        writer.set_state(State::Writing, at(5_900));
        assert_eq!(board.slots(0)[0].cpu_centisecs.load(Relaxed), u32::MAX, "not looked at");
        writer.set_state(State::Ready, at(6_000));
        assert_ne!(board.slots(0)[0].cpu_centisecs.load(Relaxed), u32::MAX);
        assert_eq!(noted(), 6);
    }
}
