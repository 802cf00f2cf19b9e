//! # Process models as a plug-in
//!
//! A server is written once, as a [`Connection`]: a state machine over a non-blocking socket that never waits,
//! but says what it waits for. A process model decides *how* to wait. That is the whole idea of this crate, and
//! the reason why prefork, worker and event can stand side by side and share nearly every line.
//!
//! ```text
//!                          supervisor            single-threaded, serves nothing, forks and reaps
//!                         /    |    \
//!        one pipe to each child; its end of file says "finish": an order and the supervisor's death look alike
//!                       /      |      \
//!                  child     child     child      each: gate ─▶ accept ─▶ connection ─▶ advance … advance ─▶ close
//!
//!   prefork   one process, one connection           waits in poll, for that client
//!   worker    a listener thread, N worker threads    each worker waits in poll, for its client
//!   event     a loop thread, N threads for jobs      the loop waits once, for all clients
//!
//!   shared by all: listeners (bound before the fork) · the gate before accept · the scoreboard (shared memory)
//! ```
//!
//! What to read, in this order: this page (the contract), [`prefork`], [`worker`] and [`event`] (three ways to
//! wait), [`gate`] (who may accept), [`supervisor`] (who lives and who dies) with [`maintenance`] (how many),
//! [`scoreboard`] (who tells what).
//!
//! - Nothing here knows HTTP, or any other protocol, or a configuration language: [`Settings`] is a plain struct.
//! - A connection never crosses threads. What blocks is handed out as a job ([`Turn::job`]), and only the job crosses.
//! - Only the supervisor forks, and only while it is single-threaded.

pub mod clients;
pub mod event;
pub mod gate;
pub mod linger;
pub mod listen;
pub mod maintenance;
pub mod prefork;
pub mod scoreboard;
pub mod settings;
pub mod supervisor;
pub mod upgrade;
pub mod worker;

mod admission;
mod child;
mod demand;
mod descriptors;
mod drive;
mod job;
mod memory;
mod recycling;
mod saturation;
mod socket;
mod timer;
mod turn;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use herdgate_sys as sys;

pub use child::ChildContext;
pub use herdgate_sys::MappedFile;
pub use herdgate_sys::net::Peer;
pub use job::{JobHandle, JobPanicked};
pub use listen::{ListenOptions, ListenSpec, ListenerId, Listeners};
pub use maintenance::Load;
pub use saturation::{QueueWaits, Work};
pub use settings::{Kept, Model, Settings, SpawnPolicy};
pub use socket::{More, Socket};
pub use supervisor::{ChildNotice, Notice, Plan, Program, StartError, run, run_single, serve};
pub use turn::{Buffers, Turn};

/// What a server does with connections: the protocol, and the state its threads need.
///
/// One value serves a whole generation. It is made before the fork and shared, read-only, by every child and thread.
pub trait Service: Send + Sync + 'static {
    /// One client's state machine.
    type Connection: Connection<Self::Local>;

    /// One thread's own state: a batch of log lines, a cache. No locks are needed, since no other thread sees it.
    type Local;

    /// Runs in each child after the fork and after privileges were dropped, before its threads start. Whatever is needed to
    /// open is open, so this is the place to give up rights for good.
    ///
    /// # Errors
    /// An error ends the child, which counts as a failed start.
    fn child_init(&self, _child: &ChildContext) -> io::Result<()> {
        Ok(())
    }

    /// Makes the state of one thread that will advance connections.
    fn thread_init(&self, child: &ChildContext) -> Self::Local;

    /// A connection was accepted. Says nothing to the client yet: [`Connection::advance`] follows at once.
    fn connect(&self, socket: Socket, peer: Peer, listener: ListenerId) -> Self::Connection;

    /// The thread woke up. Called before it advances anything in this turn.
    fn begin_turn(&self, _local: &mut Self::Local) {}

    /// A descriptor that becomes readable when something may have changed that the thread's state remembers: files, say.
    /// It is asked for once; the event loop watches it, the others never do.
    fn change_notices<'l>(&self, _local: &'l Self::Local) -> Option<BorrowedFd<'l>> {
        None
    }

    /// There are such notices, older than what this turn reads of any client. Called before anything is advanced.
    fn drain_change_notices(&self, _local: &mut Self::Local) {}

    /// The thread is about to sleep: what the turn has gathered, its log lines above all, leaves now.
    fn end_turn(&self, _local: &mut Self::Local) {}

    /// Something is wrong in this child that people may want to know.
    fn notice(&self, _notice: ChildNotice<'_>) {}

    /// Runs in each child when its last connection is gone.
    fn child_exit(&self, _child: &ChildContext) {}

    /// Runs in the supervisor when the child in this place is gone, however it ended, and before another takes the
    /// place: for what it may have left in memory that children share.
    fn child_gone(&self, _place: usize) {}
}

/// One client, from accept to close: a state machine that never waits. `L` is the thread's own state.
pub trait Connection<L> {
    /// The client's socket, on which a model waits. The connection owns it, and closes it by being dropped.
    fn socket(&self) -> &Socket;

    /// Goes on as far as possible without waiting, and says what it waits for next.
    ///
    /// It is called for the reason that [`Turn::why`] gives. A call without any visible reason is legal and must
    /// do no harm: it ends in the same [`Wait`] as before.
    fn advance(&mut self, turn: &mut Turn<'_, L>) -> Step;
}

/// Why a connection is advanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is new. Its first bytes may be there already: trying to read costs less than asking.
    Accepted,
    /// The client's socket, or a watched descriptor ([`Turn::watch`]), is ready. Errors and hang-ups count as
    /// readiness: the next read or write tells them.
    Ready(Interest),
    /// Its deadline passed.
    Expired,
    /// A job that it asked for is done: [`JobHandle::take`] has the result.
    JobDone,
    /// Room is short, and it is idle: it should go soon, see [`Why::Drain`].
    Shed,
    /// The child finishes. An idle connection gives its client one more request, for a short time, and closes
    /// after it; a busy one closes after what it is doing. Said once; [`Turn::draining`] tells it afterwards.
    Drain,
}

/// What a connection says after it has gone as far as it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Advance me again when this comes true.
    Wait(Wait),
    /// Finished: drop me, which closes the socket.
    Done,
}

/// What a connection waits for. Whatever comes first advances it; a job's end and a watched descriptor always count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What it is doing meanwhile: for the scoreboard, and to know who may be shed.
    pub phase: Phase,
    /// What it wants of the client's socket.
    pub client: Interest,
    /// When it wants to be advanced at the latest.
    pub deadline: Deadline,
}

/// The part of its life that a connection is in, in life-cycle order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A request is coming in, or its first byte is awaited on a new connection.
    Request,
    /// An answer is made, or on its way out.
    Response,
    /// Between two requests. It holds nothing, and may be shed when room is short.
    Idle,
    /// We have sent FIN and throw input away, see [`linger`].
    Linger,
}

/// A wish to read, to write, both or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Interest(u8);

impl Interest {
    /// Neither: only a deadline, a job or a watched descriptor counts.
    pub const NONE: Self = Self(0);
    /// There is input, or its end.
    pub const READ: Self = Self(1);
    /// There is room for output.
    pub const WRITE: Self = Self(2);
    /// Either.
    pub const BOTH: Self = Self(3);

    /// Whether the two have a wish in common.
    #[must_use]
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether reading is in it.
    #[must_use]
    pub fn is_read(self) -> bool {
        self.intersects(Self::READ)
    }

    /// Whether writing is in it.
    #[must_use]
    pub fn is_write(self) -> bool {
        self.intersects(Self::WRITE)
    }

    /// Whether it wants nothing.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Both wishes together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This one without the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A point on the monotonic clock, in milliseconds since some start. The clock is the kernel's coarse one: it
/// moves every few milliseconds and costs no system call, and is read once a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The clock, read now. Within a turn, [`Turn::now`] is the same for everybody and cheaper.
    #[must_use]
    pub fn now() -> Self {
        Self::from_start(sys::clock::coarse_monotonic())
    }

    /// The moment that is `elapsed` after the clock's start.
    #[must_use]
    pub fn from_start(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    /// How long ago `earlier` was; zero if it has not come yet.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Milliseconds since the clock's start.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// When a wait ends for lack of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Never: only for waits that something else is sure to end.
    Never,
    /// At this moment, or a few milliseconds later.
    At(Moment),
}

impl Deadline {
    /// The time left, `None` if there is no limit.
    #[must_use]
    pub fn left(self, now: Moment) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::At(moment) => Some(moment.since(now)),
        }
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self, now: Moment) -> bool {
        matches!(self, Self::At(moment) if moment <= now)
    }
}
