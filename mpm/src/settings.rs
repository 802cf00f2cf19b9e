//! What the process models need to know. A plain struct: whoever reads a configuration fills it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use herdgate_sys as sys;

use crate::gate::GateKind;
use crate::listen::{ListenOptions, ListenSpec};

/// How connections are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// One process, one connection.
    Prefork,
    /// Processes with many threads; a thread keeps its connection from accept to close.
    Worker,
    /// Processes with a loop that waits for all their connections, and threads for what blocks.
    Event,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefork => "prefork",
            Self::Worker => "worker",
            Self::Event => "event",
        })
    }
}

/// When the supervisor looks whether more children are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnPolicy {
    /// Once a second, and at once when the last idle worker is taken.
    OnDemand,
    /// Once a second, as Apache.
    Periodic,
}

/// Everything that a generation of children is run with. The values are taken as they are: whoever reads them from
/// people corrects contradictions first.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which model runs. Fixed for the server's life, since the scoreboard's shape hangs on it.
    pub model: Model,
    /// Where to listen.
    pub listen: Vec<ListenSpec>,
    /// What all their sockets have in common.
    pub listen_options: ListenOptions,
    /// What stands before accept.
    pub gate: GateKind,
    /// A folder for the gate's lock files.
    pub lock_dir: PathBuf,
    /// Lock files are named without the supervisor's process id.
    pub lock_omit_pid: bool,
    /// `StartServers`: children forked at start.
    pub start_children: u32,
    /// `MinSpareServers` (prefork) or `MinSpareThreads`: fewer idle workers than this make more children.
    pub min_spare: u32,
    /// `MaxSpareServers` (prefork) or `MaxSpareThreads`: more idle workers than this retire a child.
    pub max_spare: u32,
    /// The most children that take new connections: `MaxRequestWorkers`, divided by the threads of a child.
    pub max_children: u32,
    /// `ServerLimit`: the scoreboard's size in children of one generation. Fixed for the server's life.
    pub server_limit: u32,
    /// `ThreadsPerChild`; 1 in prefork.
    pub threads_per_child: u32,
    /// `ThreadLimit`: the scoreboard's size in threads of a child; 1 in prefork. Fixed for the server's life.
    pub thread_limit: u32,
    /// `MaxConnectionsPerChild`: a child retires after so many; 0 means never.
    pub max_connections_per_child: u64,
    /// How much earlier than [`max_connections_per_child`](Self::max_connections_per_child) a child may retire, in
    /// percent of it. Each child draws its own number, so that they do not retire all at once.
    pub max_connections_jitter_percent: u32,
    /// `MaxMemoryPerChild` in bytes of anonymous and swapped memory: a child that has more retires. None: no limit.
    pub max_memory_per_child: Option<u64>,
    /// What all children together may have in anonymous memory, in bytes: the most children are then computed from
    /// what they measure, within [`server_limit`](Self::server_limit), and `max_children` is the first estimate.
    pub memory_for_children: Option<u64>,
    /// When children are added.
    pub spawn_policy: SpawnPolicy,
    /// `AsyncRequestWorkerFactor`: how many connections an idle thread stands for in the event model.
    pub async_factor: u32,
    /// `ScoreBoardFile`; none means memory that only the server's own processes see.
    pub scoreboard: Option<PathBuf>,
    /// `User` and `Group`, to which children change before they serve. None leaves them as they are.
    pub credentials: Option<sys::process::Credentials>,
    /// `GracefulShutdownTimeout`: how long a graceful stop may take. None means as long as it needs.
    pub graceful_shutdown_timeout: Option<Duration>,
    /// `ThreadStackSize` in bytes; none leaves it to the system.
    pub thread_stack_bytes: Option<usize>,
    /// The size of a thread's read buffer in bytes: what one turn takes from one socket.
    pub read_buffer_bytes: usize,
    /// The server stands on a terminal: a change of the window's size must not stop it.
    pub on_terminal: bool,
}

impl Settings {
    /// Sane settings for a model, with Apache's defaults for its numbers, listening nowhere.
    #[must_use]
    pub fn new(model: Model) -> Self {
        let prefork = model == Model::Prefork;
        let threads = if prefork { 1 } else { 25 };
        Self {
            model,
            listen: Vec::new(),
            listen_options: ListenOptions::default(),
            gate: GateKind::Exclusive,
            lock_dir: std::env::temp_dir(),
            lock_omit_pid: false,
            start_children: if prefork { 5 } else { 3 },
            min_spare: if prefork { 5 } else { 75 },
            max_spare: if prefork { 10 } else { 250 },
            max_children: if prefork { 256 } else { 16 },
            server_limit: if prefork { 256 } else { 16 },
            threads_per_child: threads,
            thread_limit: if prefork { 1 } else { 64 },
            max_connections_per_child: 0,
            max_connections_jitter_percent: 0,
            max_memory_per_child: None,
            memory_for_children: None,
            spawn_policy: SpawnPolicy::OnDemand,
            async_factor: 2,
            scoreboard: None,
            credentials: None,
            graceful_shutdown_timeout: None,
            thread_stack_bytes: None,
            read_buffer_bytes: 16 * 1024,
            on_terminal: false,
        }
    }

    /// What no caller may contradict, since the scoreboard's places hang on it: limits are limits, and everything
    /// there must be one of is there.
    pub(crate) fn make_consistent(&mut self) {
        if self.model == Model::Prefork {
            (self.threads_per_child, self.thread_limit) = (1, 1);
        }
        self.server_limit = self.server_limit.max(1);
        self.thread_limit = self.thread_limit.max(1);
        self.threads_per_child = self.threads_per_child.clamp(1, self.thread_limit);
        self.max_children = self.max_children.clamp(1, self.server_limit);
        self.async_factor = self.async_factor.max(1);
        self.read_buffer_bytes = self.read_buffer_bytes.max(1);
    }

    /// Scoreboard slots of one child: its workers, and in event one more for the loop.
    #[must_use]
    pub fn slots_per_child(&self) -> u32 {
        match self.model {
            Model::Prefork => 1,
            Model::Worker => self.thread_limit,
            Model::Event => self.thread_limit + 1,
        }
    }

    /// Children of the current and of former generations together: those that finish need a slot, too, and must
    /// not keep their successors from starting.
    #[must_use]
    pub fn child_slots(&self) -> u32 {
        self.server_limit * 2
    }
}
