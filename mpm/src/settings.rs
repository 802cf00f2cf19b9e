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

/// A setting that was asked for, and that only another start of the server can give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name: a directive's, where there is one.
    pub name: &'static str,
    /// What the configuration says.
    pub asked: String,
    /// What stays in force.
    pub stays: String,
}

impl Kept {
    /// What was asked for, and what stays, as people write it.
    pub fn new(name: &'static str, asked: impl fmt::Display, stays: impl fmt::Display) -> Self {
        Self { name, asked: asked.to_string(), stays: stays.to_string() }
    }
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

    /// Takes over what cannot change while the server runs, since the scoreboard's shape hangs on it, and says what was
    /// asked for otherwise.
    pub(crate) fn keep_what_is_fixed(&mut self, present: &Self) -> Vec<Kept> {
        let asked = self.clone();
        if asked.model != present.model {
            // The numbers of another model mean other things: the present ones stay as well.
            self.model = present.model;
            self.start_children = present.start_children;
            self.min_spare = present.min_spare;
            self.max_spare = present.max_spare;
            self.threads_per_child = present.threads_per_child;
            self.max_children = present.max_children;
        }
        (self.server_limit, self.thread_limit) = (present.server_limit, present.thread_limit);
        self.threads_per_child = self.threads_per_child.min(self.thread_limit);
        self.max_children = self.max_children.min(self.server_limit);
        if asked.model != present.model {
            return vec![Kept::new("the process model", asked.model, self.model)];
        }
        [
            ("ServerLimit", asked.server_limit, self.server_limit),
            ("ThreadLimit", asked.thread_limit, self.thread_limit),
            ("ThreadsPerChild", asked.threads_per_child, self.threads_per_child),
            ("MaxRequestWorkers", asked.workers(), self.workers()),
        ]
        .into_iter()
        .filter(|(_, asked, stays)| asked != stays)
        .map(|(name, asked, stays)| Kept::new(name, asked, stays))
        .collect()
    }

    /// `MaxRequestWorkers`
    fn workers(&self) -> u32 {
        self.max_children.saturating_mul(self.threads_per_child)
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

    /// The most connections that a child has at once, for tables that are made when the server starts.
    #[must_use]
    pub fn connections_per_child(&self) -> u32 {
        match self.model {
            Model::Prefork => 1,
            Model::Worker => self.thread_limit,
            Model::Event => self.thread_limit.saturating_mul(self.async_factor.saturating_add(1)),
        }
    }

    /// Children of the current and of former generations together: those that finish need a slot, too, and must
    /// not keep their successors from starting.
    #[must_use]
    pub fn child_slots(&self) -> u32 {
        self.server_limit * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_scoreboard_hangs_on_stays_and_is_named() {
        let present = Settings::new(Model::Event);
        let mut next = present.clone();
        assert_eq!(next.keep_what_is_fixed(&present), []);
        (next.server_limit, next.max_children) = (40, 40);
        (next.thread_limit, next.threads_per_child) = (200, 100);
        let kept = next.keep_what_is_fixed(&present);
        assert_eq!(
            kept,
            [
                Kept::new("ServerLimit", 40, 16),
                Kept::new("ThreadLimit", 200, 64),
                Kept::new("ThreadsPerChild", 100, 64),
                Kept::new("MaxRequestWorkers", 4000, 1024),
            ]
        );
        assert_eq!((next.max_children, next.threads_per_child), (16, 64));
    }

    #[test]
    fn another_model_keeps_the_numbers_of_the_present_one() {
        let present = Settings::new(Model::Event);
        let mut next = Settings::new(Model::Prefork);
        let kept = next.keep_what_is_fixed(&present);
        assert_eq!(kept, [Kept::new("the process model", "prefork", "event")]);
        assert_eq!((next.model, next.threads_per_child, next.max_children), (Model::Event, 25, 16));
        assert_eq!((next.min_spare, next.start_children), (75, 3));
    }
}
