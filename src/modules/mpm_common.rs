//! # mpm_common: how many processes and threads, what they listen on, what stands before `accept`
//!
//! Which model runs is said by `LoadModule mpm_event_module …`; here are the directives that all
//! three share. The numbers are kept as written: `config::geometry` corrects them together, since
//! their order in the file does not matter.

mod listen;

use std::path::{Path, PathBuf};
use std::time::Duration;

use herdgate_conf::{Args, Directive, Overrides, Problem, Span, TimeUnit, Word};
use herdgate_mpm::gate::PLACES_MAX;

pub use listen::{Access, Listen, ListenAddress};

use super::{Module, SERVER};
use crate::config::ServerSettings;

/// The settings that all process models share, as written.
#[derive(Debug, Clone, Default)]
pub struct Mpm {
    /// What limits the processes and threads.
    pub limits: Limits,
    listen: Vec<Listen>,
    backlog: Option<u32>,
    send_buffer: Option<usize>,
    receive_buffer: Option<usize>,
    /// Protocols in lower case, and whether their connections wait for data.
    accept_filters: Vec<(String, bool)>,
    buckets: Option<(u16, Span)>,
    cores_per_bucket: Option<(u32, Span)>,
    accept: Option<(AcceptSerialization, Span)>,
    /// The `Mutex` line for every type without one of its own.
    mutex_default: Option<Mutex>,
    /// The `Mutex` line that names mpm-accept.
    mutex_accept: Option<Mutex>,
    connections_per_child_max: Option<u32>,
    connections_jitter_percent: Option<u32>,
    memory_per_child_max: Option<u64>,
    workers_by_memory: bool,
    spawn_policy: Option<SpawnPolicy>,
    graceful_shutdown_timeout: Option<Duration>,
    thread_stack_size: Option<usize>,
    core_dump_directory: Option<(PathBuf, Span)>,
    pid_file: Option<PathBuf>,
    scoreboard_file: Option<PathBuf>,
}

/// Numbers with the place where they were written; uncorrected.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// `StartServers`
    pub start_servers: Option<(i64, Span)>,
    /// `MinSpareServers`: prefork.
    pub min_spare_servers: Option<(i64, Span)>,
    /// `MaxSpareServers`: prefork.
    pub max_spare_servers: Option<(i64, Span)>,
    /// `MinSpareThreads`: worker and event.
    pub min_spare_threads: Option<(i64, Span)>,
    /// `MaxSpareThreads`: worker and event.
    pub max_spare_threads: Option<(i64, Span)>,
    /// `ThreadsPerChild`: worker and event.
    pub threads_per_child: Option<(i64, Span)>,
    /// `ThreadLimit`: worker and event.
    pub thread_limit: Option<(i64, Span)>,
    /// `ServerLimit`
    pub server_limit: Option<(i64, Span)>,
    /// `MaxRequestWorkers`
    pub max_request_workers: Option<(i64, Span)>,
    /// `AsyncRequestWorkerFactor`: event.
    pub async_factor: Option<(f64, Span)>,
}

/// `SpawnPolicy`: when the supervisor looks whether more children are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnPolicy {
    /// Once a second, and at once when the last idle worker is taken.
    OnDemand,
    /// Once a second.
    Periodic,
}

/// `AcceptSerialization`: what stands before `accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceptSerialization {
    /// What the Mutex line for mpm-accept says, else [`AcceptSerialization::Exclusive`].
    #[default]
    Auto,
    /// Nothing: every process is woken for every connection.
    Off,
    /// The accept mutex.
    On,
    /// So many processes inside at once.
    Counted(u16),
    /// The kernel wakes one of the waiting processes.
    Exclusive,
}

/// One `Mutex` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutex {
    /// `None` for the word `none`.
    pub mechanism: Option<Mechanism>,
    /// The folder of lock files, absolute.
    pub folder: Option<PathBuf>,
    /// The lock file's name goes without the supervisor's pid.
    pub omit_pid: bool,
    /// Where the mechanism was written.
    pub span: Span,
}

/// How a mutex between processes is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The best one that this machine has: found out when the gate is made.
    Default,
    /// A robust mutex in shared memory.
    Pthread,
    /// A record lock on a file.
    Fcntl,
    /// A lock on an open file.
    Flock,
    /// A System V semaphore.
    Sysvsem,
    /// A POSIX semaphore.
    Posixsem,
}

impl Mechanism {
    /// Its word after `Mutex`.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Default => "default",
            Mechanism::Pthread => "pthread",
            Mechanism::Fcntl => "fcntl",
            Mechanism::Flock => "flock",
            Mechanism::Sysvsem => "sysvsem",
            Mechanism::Posixsem => "posixsem",
        }
    }

    fn is_semaphore(self) -> bool {
        matches!(self, Mechanism::Sysvsem | Mechanism::Posixsem)
    }
}

/// What stands before `accept`, once every directive has been heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// What it is.
    pub kind: GateKind,
    /// Who decided so, in words that go on from "because".
    pub because: &'static str,
}

/// The gates there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateKind {
    /// Nothing.
    Open,
    /// Exclusive wakeups by the kernel.
    Exclusive,
    /// The accept mutex.
    Mutex {
        /// How it is made.
        mechanism: Mechanism,
        /// The folder of its lock file, absolute; `None` is DefaultRuntimeDir.
        folder: Option<PathBuf>,
        /// The lock file's name goes without the supervisor's pid.
        omit_pid: bool,
    },
    /// So many processes inside at once.
    Counted {
        /// How many.
        places: u16,
        /// What counts them: a semaphore, or what this machine has.
        mechanism: Mechanism,
    },
}

impl Mpm {
    /// `Listen`, in the order written; duplicates were refused.
    pub fn listen(&self) -> &[Listen] {
        &self.listen
    }

    /// `ListenBacklog`
    pub fn backlog(&self) -> u32 {
        self.backlog.unwrap_or(511)
    }

    /// `SendBufferSize`, in bytes; `None` is the kernel's.
    pub fn send_buffer(&self) -> Option<usize> {
        self.send_buffer.filter(|bytes| *bytes > 0)
    }

    /// `ReceiveBufferSize`, in bytes; `None` is the kernel's.
    pub fn receive_buffer(&self) -> Option<usize> {
        self.receive_buffer.filter(|bytes| *bytes > 0)
    }

    /// `AcceptFilter`: whether connections with this protocol wait for their first bytes in the
    /// kernel. As in Apache, they do for http and https unless said otherwise, and for no other.
    pub fn waits_for_data(&self, protocol: &str) -> bool {
        let said = self.accept_filters.iter().rfind(|(name, _)| name == protocol);
        said.map_or(matches!(protocol, "http" | "https"), |(_, waits)| *waits)
    }

    /// How many buckets are asked for on a machine with so many cores, and where.
    pub fn buckets(&self, cores: u32) -> Option<(u16, Span)> {
        self.buckets.or_else(|| {
            let (ratio, span) = self.cores_per_bucket?;
            Some((u16::try_from(cores / ratio).unwrap_or(u16::MAX).max(1), span))
        })
    }

    /// `ListenCoresBucketsRatio`, if it decides.
    pub fn cores_per_bucket(&self) -> Option<u32> {
        self.cores_per_bucket.filter(|_| self.buckets.is_none()).map(|(ratio, _)| ratio)
    }

    /// `MaxConnectionsPerChild`; `None` is never.
    pub fn connections_per_child_max(&self) -> Option<u32> {
        self.connections_per_child_max.filter(|max| *max > 0)
    }

    /// How much earlier than `MaxConnectionsPerChild` a child may end, in percent.
    pub fn connections_jitter_percent(&self) -> u32 {
        self.connections_jitter_percent.unwrap_or(0)
    }

    /// `MaxMemoryPerChild` in bytes; `None` is no limit.
    pub fn memory_per_child_max(&self) -> Option<u64> {
        self.memory_per_child_max.filter(|max| *max > 0)
    }

    /// `MaxRequestWorkers auto`
    pub fn workers_by_memory(&self) -> bool {
        self.workers_by_memory
    }

    /// `SpawnPolicy`
    pub fn spawn_policy(&self) -> SpawnPolicy {
        self.spawn_policy.unwrap_or(SpawnPolicy::OnDemand)
    }

    /// `GracefulShutdownTimeout`; `None` is no limit.
    pub fn graceful_shutdown_timeout(&self) -> Option<Duration> {
        self.graceful_shutdown_timeout.filter(|timeout| !timeout.is_zero())
    }

    /// `ThreadStackSize`, in bytes; `None` is the system's.
    pub fn thread_stack_size(&self) -> Option<usize> {
        self.thread_stack_size
    }

    /// `CoreDumpDirectory`, absolute, and where it was written.
    pub fn core_dump_directory(&self) -> Option<(&Path, Span)> {
        self.core_dump_directory.as_ref().map(|(folder, span)| (folder.as_path(), *span))
    }

    /// `PidFile`, absolute.
    pub fn pid_file(&self) -> Option<&Path> {
        self.pid_file.as_deref()
    }

    /// `ScoreBoardFile`, absolute; `None` is a file that the program places.
    pub fn scoreboard_file(&self) -> Option<&Path> {
        self.scoreboard_file.as_deref()
    }

    /// The `Mutex` line for every type without one of its own.
    pub fn mutex_default(&self) -> Option<&Mutex> {
        self.mutex_default.as_ref()
    }

    /// The `Mutex` line that names mpm-accept.
    pub fn mutex_accept(&self) -> Option<&Mutex> {
        self.mutex_accept.as_ref()
    }

    /// The `Mutex` lines that concern mpm-accept.
    pub(crate) fn mutexes(&self) -> impl Iterator<Item = &Mutex> {
        self.mutex_accept.iter().chain(&self.mutex_default)
    }

    /// What `AcceptSerialization` and `Mutex` ask for together.
    pub fn gate(&self) -> Gate {
        let own = self.mutex_accept.as_ref().map(|mutex| mutex.mechanism);
        let said = self.accept.map_or(AcceptSerialization::Auto, |(accept, _)| accept);
        let (kind, because) = match (said, own) {
            (AcceptSerialization::Auto, Some(Some(_))) => {
                (self.accept_mutex(), "a Mutex line names a mechanism for mpm-accept")
            }
            (AcceptSerialization::Auto, Some(None)) => {
                (GateKind::Open, "a Mutex line says none for mpm-accept")
            }
            (AcceptSerialization::Auto, None) => {
                (GateKind::Exclusive, "no Mutex line names a mechanism for mpm-accept")
            }
            (AcceptSerialization::Off, _) => (GateKind::Open, "AcceptSerialization says Off"),
            (AcceptSerialization::On, _) => (self.accept_mutex(), "AcceptSerialization says On"),
            (AcceptSerialization::Counted(places), _) => {
                let mechanism = self.counting_mechanism();
                (GateKind::Counted { places, mechanism }, "AcceptSerialization says how many")
            }
            (AcceptSerialization::Exclusive, _) => {
                (GateKind::Exclusive, "AcceptSerialization says Exclusive")
            }
        };
        Gate { kind, because }
    }

    fn accept_mutex(&self) -> GateKind {
        let shared = self.mutex_default.as_ref();
        let mutex = self.mutex_accept.as_ref().filter(|own| own.mechanism.is_some()).or(shared);
        GateKind::Mutex {
            mechanism: mutex.and_then(|mutex| mutex.mechanism).unwrap_or(Mechanism::Default),
            // A name given without a folder keeps the folder of the default line.
            folder: mutex.and_then(|mutex| mutex.folder.clone()).or_else(|| shared?.folder.clone()),
            omit_pid: mutex.is_some_and(|mutex| mutex.omit_pid),
        }
    }

    /// A line for mpm-accept must name a semaphore; one for all types need not, since it was not written for this.
    fn counting_mechanism(&self) -> Mechanism {
        self.mutexes()
            .filter_map(|mutex| mutex.mechanism)
            .find(|mechanism| mechanism.is_semaphore())
            .unwrap_or(Mechanism::Default)
    }

    /// What makes no sense together: a mutex asked for and forbidden, a count asked of what cannot count.
    pub(crate) fn contradiction(&self) -> Option<(Span, &'static str)> {
        let (accept, span) = self.accept?;
        let own = self.mutex_accept.as_ref()?;
        match (accept, own.mechanism) {
            (AcceptSerialization::On, None) => {
                Some((span, "On needs a mutex, and the Mutex line for mpm-accept says none"))
            }
            (AcceptSerialization::Counted(_), None) => Some((
                span,
                "a number needs a semaphore, and the Mutex line for mpm-accept says none",
            )),
            (
                AcceptSerialization::Counted(_),
                Some(Mechanism::Pthread | Mechanism::Fcntl | Mechanism::Flock),
            ) => Some((
                own.span,
                "this mechanism lets in one, and AcceptSerialization says how many: \
                 sysvsem, posixsem or default can count",
            )),
            _ => None,
        }
    }
}

/// The modules that choose a process model; they share the directives below.
pub(super) const PREFORK: Module = Module::without_directives("mpm_prefork_module", "prefork.c");
pub(super) const WORKER: Module = Module::without_directives("mpm_worker_module", "worker.c");
pub(super) const EVENT: Module = Module::without_directives("mpm_event_module", "event.c");

pub(super) const MODULE: Module = Module {
    name: "mpm_common",
    file: "mpm_common.c",
    server: DIRECTIVES,
    host: &[],
    directory: &[],
};

/// More buckets than any machine has cores.
const BUCKETS_MAX: u16 = 1024;

const DIRECTIVES: &[Directive<ServerSettings>] = &[
    Directive {
        name: "Listen",
        syntax: "Listen [address:]port|unix:path [protocol] [mode=0660] [owner=user] [group=group]",
        default: None,
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "An address and port to await connections on; at least one is needed. `*` or no \
               address is any, IPv6 addresses stand in brackets. Port 0, which Apache refuses, \
               takes a free port and logs it. Herdgate's own: unix:path is a socket file, relative \
               to ServerRoot, for clients on this machine. Connecting takes the right to write, \
               which its mode gives to its owner and group. A file that a crash has left behind \
               is replaced; one that somebody listens on is not.",
        apply: |settings, args| {
            let listen = listen::listen(args)?;
            let is_free_port = listen.address.port() == Some(0);
            let earlier = settings.mpm.listen.iter().find(|other| other.address == listen.address);
            if let Some(earlier) = earlier.filter(|_| !is_free_port) {
                let message =
                    format!("this address and port were given before, at {}", earlier.place);
                return Err(Problem::at(listen.span, message).help("remove one of the two lines"));
            }
            settings.mpm.listen.push(listen);
            Ok(())
        },
    },
    Directive {
        name: "ListenBacklog",
        syntax: "ListenBacklog number",
        default: Some("511"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "How many connections may wait in the kernel's queue. The kernel cuts it at \
               net.core.somaxconn, which is logged.",
        apply: |settings, args| {
            settings.mpm.backlog = Some(positive(args)?);
            Ok(())
        },
    },
    Directive {
        name: "ListenBuckets",
        syntax: "ListenBuckets number",
        default: Some("1"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Herdgate's own: how many sockets each address has (SO_REUSEPORT). The kernel deals \
               connections to them, and each child waits for one bucket's only, so that fewer \
               compete, and for another one's while all workers there are busy. There is at least \
               one child for each. Unlike in Apache a restart can change it, and loses nobody.",
        apply: |settings, args| {
            let number = args.number(1..=i64::from(BUCKETS_MAX))?;
            settings.mpm.buckets = Some((u16::try_from(number).unwrap_or(1), args.at()));
            Ok(())
        },
    },
    Directive {
        name: "ListenCoresBucketsRatio",
        syntax: "ListenCoresBucketsRatio ratio",
        default: None, // No buckets; 0 itself is refused, as in Apache.
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "How many cores there are for each bucket: see ListenBuckets, which goes before it.",
        apply: |settings, args| {
            settings.mpm.cores_per_bucket = Some((positive(args)?, args.at()));
            Ok(())
        },
    },
    Directive {
        name: "SendBufferSize",
        syntax: "SendBufferSize bytes",
        default: Some("0"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The size of each connection's send buffer in the kernel. 0 leaves it to the kernel, \
               which adapts it to each connection.",
        apply: |settings, args| {
            settings.mpm.send_buffer = Some(buffer_size(args)?);
            Ok(())
        },
    },
    Directive {
        name: "ReceiveBufferSize",
        syntax: "ReceiveBufferSize bytes",
        default: Some("0"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The size of each connection's receive buffer in the kernel. 0 leaves it to the \
               kernel, which adapts it to each connection.",
        apply: |settings, args| {
            settings.mpm.receive_buffer = Some(buffer_size(args)?);
            Ok(())
        },
    },
    Directive {
        name: "AcceptFilter",
        syntax: "AcceptFilter protocol data|httpready|none",
        default: None, // data for http and https.
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Whether connections of a protocol, as Listen names it, are handed out only when \
               their first bytes have come (TCP_DEFER_ACCEPT, for 30 seconds at most), so that \
               silent ones cost no worker. data for http and https unless said otherwise; \
               httpready, which other systems have, is taken as data; none switches it off.",
        apply: |settings, args| {
            let protocol = args.word()?.to_ascii_lowercase();
            let waits = args.choice(&[
                ("data", true),
                ("httpready", true),
                ("dataready", true),
                ("none", false),
            ])?;
            settings.mpm.accept_filters.push((protocol, waits));
            Ok(())
        },
    },
    Directive {
        name: "ListenTCPDeferAccept",
        syntax: "ListenTCPDeferAccept seconds",
        default: Some("30"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Without effect: the kernel holds a silent connection back for 30 seconds, where AcceptFilter asks for it.",
        apply: |_, args| args.number(0..=i64::from(i32::MAX)).map(|_| ()),
    },
    Directive {
        name: "StartServers",
        syntax: "StartServers number",
        default: None, // 5 under prefork, 3 under the others.
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "How many children are forked at start: 5 under prefork, 3 under worker and event, \
               unless said otherwise.",
        apply: |settings, args| limit(args, &mut settings.mpm.limits.start_servers),
    },
    Directive {
        name: "MinSpareServers",
        syntax: "MinSpareServers number",
        default: Some("5"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "prefork: how many idle children are kept ready at least.",
        apply: |settings, args| limit(args, &mut settings.mpm.limits.min_spare_servers),
    },
    Directive {
        name: "MaxSpareServers",
        syntax: "MaxSpareServers number",
        default: Some("10"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "prefork: how many idle children are kept at most. It is at least MinSpareServers + \
               1, or more by as many as there are buckets.",
        apply: |settings, args| limit(args, &mut settings.mpm.limits.max_spare_servers),
    },
    Directive {
        name: "MinSpareThreads",
        syntax: "MinSpareThreads number",
        default: Some("75"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "worker, event: how many idle threads, of all children together, are kept ready at \
               least.",
        apply: |settings, args| limit(args, &mut settings.mpm.limits.min_spare_threads),
    },
    Directive {
        name: "MaxSpareThreads",
        syntax: "MaxSpareThreads number",
        default: Some("250"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "worker, event: how many idle threads are kept at most. It is at least \
               MinSpareThreads + ThreadsPerChild + 1, or more by as much for each further bucket.",
        apply: |settings, args| limit(args, &mut settings.mpm.limits.max_spare_threads),
    },
    Directive {
        name: "ThreadsPerChild",
        syntax: "ThreadsPerChild number",
        default: Some("25"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "worker, event: how many worker threads each child has. The listener thread is not \
               counted.",
        apply: |settings, args| limit(args, &mut settings.mpm.limits.threads_per_child),
    },
    Directive {
        name: "ThreadLimit",
        syntax: "ThreadLimit number",
        default: Some("64"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "worker, event: what ThreadsPerChild may be raised to by a restart. It sizes the \
               scoreboard, so that a restart cannot change it.",
        apply: |settings, args| limit(args, &mut settings.mpm.limits.thread_limit),
    },
    Directive {
        name: "ServerLimit",
        syntax: "ServerLimit number",
        default: None, // 256 under prefork, 16 under the others.
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The most children there can ever be: 256 under prefork, 16 under worker and event, \
               unless said otherwise. It sizes the scoreboard, so that a restart cannot change it.",
        apply: |settings, args| limit(args, &mut settings.mpm.limits.server_limit),
    },
    Directive {
        name: "MaxRequestWorkers",
        syntax: "MaxRequestWorkers number|auto",
        default: None, // 256 under prefork, 400 under the others.
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The most requests served at once; further connections wait in the listen queue. 256 \
               under prefork, 400 under worker and event, unless said otherwise. Under these two \
               it is rounded down to whole children. Herdgate's own `auto` takes as many as the \
               memory of the cgroup or the machine has room for, less a reserve, within \
               ServerLimit: by an estimate of a child's size at first, by what children measure \
               after the first minute, once a minute and at each reload. The log says the \
               arithmetic, and `-t -D DUMP_LIMITS` that of the start. See docs/memory.md.",
        apply: |settings, args| {
            if args.peek().is_some_and(|word| word.text.eq_ignore_ascii_case("auto")) {
                args.word()?;
                settings.mpm.workers_by_memory = true;
                settings.mpm.limits.max_request_workers = None; // The last line counts.
                return Ok(());
            }
            request_workers(settings, args)
        },
    },
    Directive {
        name: "MaxClients",
        syntax: "MaxClients number",
        default: None,
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The old name of MaxRequestWorkers.",
        apply: request_workers,
    },
    Directive {
        name: "MaxConnectionsPerChild",
        syntax: "MaxConnectionsPerChild number [jitter%]",
        default: Some("0"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "After how many connections a child ends and another takes its place. Connections \
               count, not requests. 0 is never. With a jitter, which Apache has not, each child \
               draws its own number, up to so many percent lower, so that children that started \
               together do not end together.",
        apply: |settings, args| {
            settings.mpm.connections_per_child_max = Some(natural(args)?);
            settings.mpm.connections_jitter_percent = percent(args)?;
            Ok(())
        },
    },
    Directive {
        name: "MaxMemoryPerChild",
        syntax: "MaxMemoryPerChild size",
        default: Some("0"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Herdgate's own. A child with more anonymous memory than this, what is swapped out \
               included, finishes what it serves and is replaced; the supervisor looks once a \
               second, and replaces one child at a time, of those that have served somebody. 0 is \
               no limit. Sizes may end in K, M, G. See docs/memory.md.",
        apply: |settings, args| {
            settings.mpm.memory_per_child_max = Some(args.size()?);
            Ok(())
        },
    },
    Directive {
        name: "SpawnPolicy",
        syntax: "SpawnPolicy OnDemand|Periodic",
        default: Some("OnDemand"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Herdgate's own. When it is looked whether more children are needed: once a second \
               as in Apache (Periodic), or also at once when the last idle worker is taken.",
        apply: |settings, args| {
            let known = [("OnDemand", SpawnPolicy::OnDemand), ("Periodic", SpawnPolicy::Periodic)];
            settings.mpm.spawn_policy = Some(args.choice(&known)?);
            Ok(())
        },
    },
    Directive {
        name: "MaxRequestsPerChild",
        syntax: "MaxRequestsPerChild number",
        default: None,
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The old name of MaxConnectionsPerChild.",
        apply: |settings, args| {
            settings.mpm.connections_per_child_max = Some(natural(args)?);
            Ok(())
        },
    },
    Directive {
        name: "AsyncRequestWorkerFactor",
        syntax: "AsyncRequestWorkerFactor factor",
        default: Some("2"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "event: how many connections a child may hold for each idle worker, beside one for \
               each of its workers.",
        apply: |settings, args| {
            let factor: f64 = args.parse("a number")?;
            if !(factor.is_finite() && factor > 0.0) {
                return Err(Problem::at(args.at(), "the factor must be greater than 0"));
            }
            settings.mpm.limits.async_factor = Some((factor, args.at()));
            Ok(())
        },
    },
    Directive {
        name: "GracefulShutdownTimeout",
        syntax: "GracefulShutdownTimeout seconds",
        default: Some("0"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "How long a graceful stop waits for requests that are being served. 0 is as long as \
               they take. Where a time is set, SIGTERM stops gracefully, too, which Apache does \
               not: containers and service managers send it and wait.",
        apply: |settings, args| {
            settings.mpm.graceful_shutdown_timeout = Some(args.duration(TimeUnit::Seconds)?);
            Ok(())
        },
    },
    Directive {
        name: "ThreadStackSize",
        syntax: "ThreadStackSize bytes",
        default: None,
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The stack of each thread; the system's default unless said otherwise.",
        apply: |settings, args| {
            const THREAD_STACK_BYTES_MIN: usize = 128 << 10;
            const THREAD_STACK_BYTES_MAX: usize = 1 << 30;
            let bytes = usize::try_from(args.size()?).unwrap_or(usize::MAX);
            if !(THREAD_STACK_BYTES_MIN..=THREAD_STACK_BYTES_MAX).contains(&bytes) {
                return Err(Problem::at(args.at(), "a stack must have from 128K to 1G"));
            }
            settings.mpm.thread_stack_size = Some(bytes);
            Ok(())
        },
    },
    Directive {
        name: "MaxMemFree",
        syntax: "MaxMemFree kilobytes",
        default: Some("2048"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Without effect: how much unused memory each of Apache's allocators keeps. \
               Herdgate has none of these. MaxMemoryPerChild limits what a child may grow to.",
        apply: |_settings, args| {
            natural(args)?;
            Ok(())
        },
    },
    Directive {
        name: "CoreDumpDirectory",
        syntax: "CoreDumpDirectory folder",
        default: None, // Children stay where the server was started, and dump no core as another user.
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The folder that children stand in, so that the kernel leaves their core files there \
               (unless kernel.core_pattern names another). It must exist, and User must be able to \
               write there. With it, children dump core although they have changed their user.",
        apply: |settings, args| {
            settings.mpm.core_dump_directory = Some((args.path()?, args.at()));
            Ok(())
        },
    },
    Directive {
        name: "PidFile",
        syntax: "PidFile file-path",
        default: Some("logs/herdgate.pid"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The file that holds the supervisor's process id, relative to ServerRoot.",
        apply: |settings, args| {
            settings.mpm.pid_file = Some(args.path()?);
            Ok(())
        },
    },
    Directive {
        name: "ScoreBoardFile",
        syntax: "ScoreBoardFile file-path",
        default: None,
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The file that the scoreboard is kept in, for herdgate top and other programs to \
               read. Unless it is written, it is in DefaultRuntimeDir if that is, else in \
               /run/herdgate (root), $XDG_RUNTIME_DIR/herdgate or /dev/shm, named after the pid \
               file.",
        apply: |settings, args| {
            settings.mpm.scoreboard_file = Some(args.path()?);
            Ok(())
        },
    },
    Directive {
        name: "Mutex",
        syntax: "Mutex mechanism[:path] [default|type]... [OmitPID]",
        default: Some("default"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "How mutexes between processes are made: pthread, fcntl:folder, flock:folder, \
               sysvsem, posixsem, default (pthread, where it survives its holder), or none. file \
               is fcntl, sem is posixsem. The one that exists is mpm-accept: naming a mechanism \
               for it puts the accept mutex before accept, none opens the gate, unless \
               AcceptSerialization says otherwise. Other types are accepted and have no effect.",
        apply: |settings, args| {
            let line = mutex(args)?;
            if line.for_all {
                line.mutex.clone().replace(&mut settings.mpm.mutex_default);
            }
            if line.for_accept {
                line.mutex.replace(&mut settings.mpm.mutex_accept);
            }
            Ok(())
        },
    },
    Directive {
        name: "AcceptSerialization",
        syntax: "AcceptSerialization Auto|Off|On|Exclusive|number",
        default: Some("Auto"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Herdgate's own: what stands before accept. Off is nothing, so that every waiting \
               process wakes for every connection; On is the accept mutex; a number lets so many \
               processes in at once, counted by a semaphore; Exclusive lets the kernel wake one. \
               Auto is On or Off if a Mutex line for mpm-accept names a mechanism or none, else \
               Exclusive.",
        apply: |settings, args| {
            if args.peek().is_some_and(|word| word.text.parse::<i64>().is_ok()) {
                let places = args.number(1..=i64::from(PLACES_MAX))?;
                let places = u16::try_from(places).unwrap_or(PLACES_MAX);
                let accept = AcceptSerialization::Counted(places);
                settings.mpm.accept = Some((accept, args.at()));
                return Ok(());
            }
            let accept = args.choice(&[
                ("Auto", AcceptSerialization::Auto),
                ("Off", AcceptSerialization::Off),
                ("On", AcceptSerialization::On),
                ("Exclusive", AcceptSerialization::Exclusive),
            ])?;
            settings.mpm.accept = Some((accept, args.at()));
            Ok(())
        },
    },
];

fn limit(args: &mut Args<'_>, limit: &mut Option<(i64, Span)>) -> Result<(), Problem> {
    let number = args.number(..)?; // Geometry corrects it later, as Apache does, and warns.
    *limit = Some((number, args.at()));
    Ok(())
}

fn request_workers(settings: &mut ServerSettings, args: &mut Args<'_>) -> Result<(), Problem> {
    settings.mpm.workers_by_memory = false;
    limit(args, &mut settings.mpm.limits.max_request_workers)
}

/// An optional percentage, with its sign.
fn percent(args: &mut Args<'_>) -> Result<Option<u32>, Problem> {
    let Some(word) = args.next() else { return Ok(None) };
    let number = word.text.strip_suffix('%').and_then(|number| number.parse().ok());
    match number.filter(|percent| *percent <= 100) {
        Some(percent) => Ok(Some(percent)),
        None => Err(Problem::at(word, format!("{:?} is not a percentage, such as 10%", word.text))),
    }
}

/// 0, or from 512 on: what Apache allows.
fn buffer_size(args: &mut Args<'_>) -> Result<usize, Problem> {
    const BUFFER_BYTES_MIN: i64 = 512;
    let bytes = args.number(0..=i64::from(i32::MAX))?;
    if (1..BUFFER_BYTES_MIN).contains(&bytes) {
        return Err(Problem::at(args.at(), "must be at least 512 bytes, or 0 for system default"));
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

fn natural(args: &mut Args<'_>) -> Result<u32, Problem> {
    Ok(u32::try_from(args.number(0..=i64::from(u32::MAX))?).unwrap_or(u32::MAX))
}

fn positive(args: &mut Args<'_>) -> Result<u32, Problem> {
    Ok(u32::try_from(args.number(1..=i64::from(i32::MAX))?).unwrap_or(1))
}

/// A `Mutex` line, and whom it is for.
struct MutexLine {
    mutex: Mutex,
    for_all: bool,
    for_accept: bool,
}

/// What has a mutex in Apache. We have the first; the others are accepted, since configurations
/// name them.
const MUTEX_TYPES: &[&str] = &[
    "mpm-accept",
    "authdigest-client",
    "authdigest-opaque",
    "cache-socache",
    "ldap-cache",
    "md-renew",
    "proxy",
    "proxy-balancer-shm",
    "rewrite-map",
    "ssl-cache",
    "ssl-cert-cache",
    "ssl-stapling",
    "ssl-stapling-refresh",
    "watchdog-callback",
];

fn mutex(args: &mut Args<'_>) -> Result<MutexLine, Problem> {
    let word = args.required()?;
    let mut mutex = mutex_mechanism(word, args.base())?;
    let mut names = Vec::new();
    for word in args {
        if word.text.eq_ignore_ascii_case("OmitPID") {
            mutex.omit_pid = true;
        } else if word.text == "default" || MUTEX_TYPES.contains(&word.text.as_str()) {
            names.push(word.text.as_str());
        } else {
            return Err(Problem::at(word, format!("Mutex type {} is not valid", word.text)));
        }
    }
    let for_all = names.is_empty() || names.contains(&"default");
    if for_all && mutex.mechanism.is_none() {
        return Err(Problem::at(word, "None is not allowed for mutex type default"));
    }
    Ok(MutexLine { mutex, for_all, for_accept: names.contains(&"mpm-accept") })
}

impl Mutex {
    /// A later line takes the place of an earlier one, but for the folder: without one it keeps that.
    fn replace(mut self, earlier: &mut Option<Mutex>) {
        self.folder = self.folder.or_else(|| earlier.take()?.folder);
        *earlier = Some(self);
    }
}

fn mutex_mechanism(word: &Word, base: &Path) -> Result<Mutex, Problem> {
    let (name, argument) = match word.text.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (word.text.as_str(), None),
    };
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "none" | "no" => None,
        "default" | "yes" => Some(Mechanism::Default),
        "pthread" => Some(Mechanism::Pthread),
        "fcntl" | "file" => Some(Mechanism::Fcntl),
        "flock" => Some(Mechanism::Flock),
        "sysvsem" => Some(Mechanism::Sysvsem),
        "posixsem" | "sem" => Some(Mechanism::Posixsem),
        _ => {
            return Err(Problem::at(word, format!("Invalid Mutex argument {}", word.text))
                .help("pthread, fcntl:folder, flock:folder, sysvsem, posixsem, default or none"));
        }
    };
    // Semaphores have no file: Apache takes the argument for a name, which nobody else ever sees.
    let has_file =
        matches!(mechanism, Some(Mechanism::Default | Mechanism::Fcntl | Mechanism::Flock));
    let folder = argument.filter(|_| has_file).map(|argument| base.join(argument));
    Ok(Mutex { mechanism, folder, omit_pid: false, span: word.span })
}
