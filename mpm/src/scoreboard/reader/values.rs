//! A scoreboard at one moment, in plain values: nothing here is shared, and nothing changes any more.

use std::time::Duration;

use super::super::{Description, Endings, Stage, State};
use crate::{Model, Moment};

/// A scoreboard at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub taken: Option<Moment>,
    /// The server as a whole.
    pub server: Server,
    /// All places for children, free ones included.
    pub children: Vec<Child>,
    /// What stands before accept, in words; empty if it is not told.
    pub gate: String,
    /// Where it listens, in words; empty if it is not told.
    pub listen: String,
    /// How connections ended since the server's start.
    pub endings: Endings,
}

impl Snapshot {
    /// Requests that all children have refused since the server's start, those that are gone included.
    #[must_use]
    pub fn requests_refused(&self) -> u64 {
        self.children.iter().map(|child| child.requests_refused).sum()
    }
}

/// The server as a whole. See [`Global`](super::super::Global) for what the numbers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Global with its name")]
pub struct Server {
    pub pid: i32,
    pub start_ticks: u64,
    pub boot: u64,
    pub pid_namespace: u64,
    /// When the supervisor looked around last; `None` if it never did.
    pub beat: Option<Moment>,
    pub stage: Stage,
    /// `None`: a later version's.
    pub model: Option<Model>,
    pub generation: u32,
    pub threads_per_child: u32,
    pub children_max: u32,
    pub queue_waiting: u32,
    /// 0: nobody has looked at the queue.
    pub queue_limit: u32,
    pub queue_wait_ms: u64,
    pub started_unix_secs: u64,
    pub restarted_unix_secs: u64,
    pub children_forked: u64,
    pub children_lost: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            pid: 0,
            start_ticks: 0,
            boot: 0,
            pid_namespace: 0,
            beat: None,
            stage: Stage::Starting,
            model: None,
            generation: 0,
            threads_per_child: 0,
            children_max: 0,
            queue_waiting: 0,
            queue_limit: 0,
            queue_wait_ms: 0,
            started_unix_secs: 0,
            restarted_unix_secs: 0,
            children_forked: 0,
            children_lost: 0,
        }
    }
}

/// One place for a child. See [`ChildRecord`](super::super::ChildRecord) for what the numbers mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of ChildRecord with its name")]
pub struct Child {
    /// Its number on the scoreboard.
    pub place: usize,
    /// 0 while the place is free.
    pub pid: i32,
    pub generation: u32,
    pub finishing: bool,
    pub retiring: bool,
    pub not_accepting: bool,
    pub accepted: u64,
    pub wakeups_wasted: u64,
    pub requests_refused: u64,
    pub connections: u32,
    pub parked: Parked,
    pub jobs: u32,
    pub loop_waited_ms: u64,
    pub loop_waits_since_ms: u64,
    pub at_gate: AtGate,
    /// `None`: the server does not tell.
    pub gate: Option<Gate>,
    /// `None`: the server does not tell.
    pub queue: Option<Queue>,
    pub slots: Vec<Slot>,
}

impl Child {
    /// Whether anybody is here.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.pid != 0
    }

    /// Event: for how long its loop has waited since its start.
    #[must_use]
    pub fn loop_waited(&self, now: Moment) -> Duration {
        let waiting = match self.loop_waits_since_ms {
            0 => 0,
            since => now.millis().saturating_sub(since),
        };
        Duration::from_millis(self.loop_waited_ms.saturating_add(waiting))
    }
}

/// Connections that wait in an event child, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parked {
    /// For a request, or the rest of one.
    pub request: u32,
    /// For room to send an answer, or for a job.
    pub response: u32,
    /// For the next request.
    pub idle: u32,
    /// For the client to close.
    pub linger: u32,
}

/// Where a child is in front of `accept`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtGate {
    /// Elsewhere.
    #[default]
    Away,
    /// Queued.
    Waiting,
    /// Let in.
    Inside,
}

/// How a child fares at the gate. See [`GateRecord`](super::super::GateRecord) for what the numbers mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of GateRecord with its name")]
pub struct Gate {
    pub acquisitions: u64,
    pub contended: u64,
    pub after_death: u64,
    pub waited: Duration,
    /// Waits by length: see [`waits`](crate::gate::waits).
    pub waits: Vec<u64>,
}

/// How long connections waited before a child of this place accepted them, of those that were asked. See
/// [`QueueRecord`](super::super::QueueRecord) for what the numbers mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of QueueRecord with its name")]
pub struct Queue {
    pub asked: u64,
    pub waited: Duration,
    /// Waits by length: see [`waits`](crate::gate::waits).
    pub waits: Vec<u64>,
}

/// One worker's line. See [`Slot`](super::super::Slot) for what the numbers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Slot with its name")]
pub struct Slot {
    pub state: State,
    pub pid: i32,
    pub tid: i32,
    pub generation: u32,
    pub since: Moment,
    pub requests: u64,
    pub bytes: u64,
    pub connections: u64,
    pub requests_here: u64,
    /// CPU time of the present worker, as it saw it last.
    pub cpu: Duration,
    pub bytes_here: u64,
    /// Spent on all requests since the server's start, each from its arrival to the end of its answer.
    pub taken: Duration,
    /// Spent on the latest request.
    pub latest: Duration,
    pub connection_requests: u64,
    pub connection_bytes: u64,
    /// What it says that it is, or was last, busy with. `None`: it has said nothing, or died while it did.
    pub description: Option<Description>,
}
