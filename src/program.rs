//! # program: the web server around the process models
//!
//! ```text
//!   load ─▶ Config ─▶ Logs, Listeners ─▶ Plan ─▶ mpm::run ─┬─ Program::prepare: the same again, for a reload (reload)
//!                                                          └─ Program::notice: what happens, into the error log
//! ```
//!
//! - A reload is a transaction: everything that can fail comes first, and a failure changes nothing.
//! - What happens is said in Apache's words and with its numbers, since people and scripts look for them.

mod reload;

use std::cmp::Ordering;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use herdgate_mpm::gate::{self, GateKind, Semaphore};
use herdgate_mpm::listen::{Address, FileAccess, Listener, Place};
use herdgate_mpm::upgrade::Handover;
use herdgate_mpm::{
    self as mpm, ListenOptions, ListenSpec, Listeners, Load, Notice, Plan, QueueWaits, Work,
};
use herdgate_sys as sys;
use sys::process::{Credentials, Detached, End, FoundUser};
use sys::signals::Signal;

use crate::clients::Clients;
use crate::config::geometry::Model;
use crate::config::{Config, Diagnostics, Listening, Loaded, Mpm};
use crate::log::{Level, Logs};
use crate::modules::mpm_common::{GateKind as GateAsked, ListenAddress, Mechanism, SpawnPolicy};
use crate::pidfile::PidFile;
use crate::request::Server;
use crate::scoreboard;
use crate::server::WebService;
use crate::systemd::ServiceManager;

/// Loads the configuration, at start and at each reload.
pub type Loader = Box<dyn Fn() -> Result<Loaded, Diagnostics>>;

/// The web server as the supervisor sees it.
pub struct WebProgram {
    loader: Loader,
    /// The generation in force: its logs are where things are said.
    server: Arc<Server>,
    model: Model,
    on_terminal: bool,
    command_line: String,
    /// Tells the shell that the server serves, once it does.
    detached: Option<Detached>,
    /// Tells the server that we replace that we serve, once we do.
    handover: Option<Handover>,
    /// Hears how we are.
    manager: ServiceManager,
    /// To be written again if a successor has taken it and failed.
    pid_file: Option<PathBuf>,
    /// Held, as the first one is: a pid file that nobody holds is not believed.
    restored_pid_file: Option<PidFile>,
    /// Listeners that were announced already.
    announced: Vec<Address>,
    listeners: Listeners,
    gate: GateKind,
    /// The scoreboard's file, for the server's life.
    scoreboard: Option<PathBuf>,
    /// Whom the children become where the configuration does not say.
    owner: Option<Credentials>,
    /// What was prepared, until it is in force.
    next: Option<reload::Next>,
}

/// How the server stands in its surroundings.
#[derive(Default)]
pub struct Surroundings {
    /// It stands on a terminal.
    pub on_terminal: bool,
    /// It has gone into the background.
    pub detached: Option<Detached>,
    /// It replaces another server, which waits for it.
    pub handover: Option<Handover>,
    /// Where its pid is written.
    pub pid_file: Option<PathBuf>,
    /// Whom the children become where the configuration does not say.
    pub owner: Option<Credentials>,
}

/// All of a generation, ready to serve.
pub struct Prepared {
    /// For the process models.
    pub plan: Plan<WebService>,
    /// What it answers from.
    pub server: Arc<Server>,
}

/// Opens logs and listeners for a configuration. `present`: listeners to keep. `patience`: how long an address may still
/// be taken. `clients`: what is known about them, if anybody has counted.
///
/// # Errors
/// One or several lines for people. Nothing is left behind.
pub fn prepare(
    config: Config,
    present: &Listeners,
    on_terminal: bool,
    patience: Duration,
    clients: Option<Arc<Clients>>,
) -> Result<Prepared, String> {
    let mut settings = settings(&config.server.mpm, &config.server.runtime_dir);
    settings.on_terminal = on_terminal;
    settings.listen_options.patience = patience;
    settings.scoreboard = scoreboard::place(&config.server);
    settings.credentials = credentials(&config)?;
    let logs = Logs::open(&config)
        .map_err(|error| format!("AH00091: {error}\nAH00015: Unable to open logs"))?;
    let listeners =
        Listeners::bind(&settings.listen, settings.listen_options, present).map_err(|error| {
            let code = error.source.raw_os_error().unwrap_or(0);
            let (spec, reason) = (&error.spec, reason(&error.source));
            format!(
                "({code}){reason}: AH00072: make_sock: could not bind to address {spec}\n\
             no listening sockets available, shutting down"
            )
        })?;
    // What the kernel offers is found out once, before the children are forked.
    let _ = sys::probe::probes();
    let clients = match clients {
        None if config.limits_clients() => {
            let error = |error| format!("memory to count clients in: {error}");
            Some(Arc::new(Clients::create(&settings).map_err(error)?))
        }
        clients => clients,
    };
    let server = Arc::new(Server { clients, ..Server::new(Arc::new(config), logs) });
    server.sandbox.check()?;
    if settings.scoreboard.is_none() {
        server.logs.main().at(Level::Warn, "core").say(format_args!(
            "no folder for a scoreboard: herdgate top cannot see this server, ScoreBoardFile names a place"
        ));
    }
    let service = Arc::new(WebService::new(Arc::clone(&server), listeners.clone()));
    Ok(Prepared { plan: Plan { service, settings, listeners }, server })
}

/// A child needs a descriptor for each connection, one more for each file on its way, and some for itself. What is
/// answered are words for people, if fewer can be had.
pub fn raise_descriptor_limit(mpm: &Mpm) -> Option<String> {
    const OWN: u64 = 64;
    let geometry = &mpm.geometry;
    let threads = u64::from(geometry.threads_per_child);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small factor")]
    let per_thread = 2 * (geometry.async_factor.ceil().max(1.0) as u64 + 1);
    let children = u64::from(geometry.server_limit) * 2; // The supervisor holds a pipe for each.
    let want = (threads * per_thread).max(children)
        + OWN
        + mpm.listen.len() as u64 * (u64::from(mpm.buckets) + 1);
    match sys::process::raise_descriptor_limit(want) {
        Ok(have) if have >= want => None,
        Ok(have) => {
            Some(format!("descriptor limit is {have}, and the configuration may need {want}"))
        }
        Err(error) => Some(format!("descriptor limit: {error}")),
    }
}

/// An operating system error in words, without Rust's "(os error N)".
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

impl WebProgram {
    /// The program that goes on with what was prepared.
    pub fn new(loader: Loader, prepared: &Prepared, surroundings: Surroundings) -> Self {
        let words: Vec<String> = std::env::args().collect();
        let program = Self {
            loader,
            server: Arc::clone(&prepared.server),
            model: prepared.server.config.server.mpm.geometry.model,
            on_terminal: surroundings.on_terminal,
            command_line: words.join(" "),
            manager: ServiceManager::find(surroundings.handover.is_some()),
            detached: surroundings.detached,
            handover: surroundings.handover,
            pid_file: surroundings.pid_file,
            restored_pid_file: None,
            announced: Vec::new(),
            listeners: prepared.plan.listeners.clone(),
            gate: prepared.plan.settings.gate,
            scoreboard: prepared.plan.settings.scoreboard.clone(),
            owner: surroundings.owner,
            next: None,
        };
        program.describe_memory();
        program
    }

    fn say(&self, level: Level, message: std::fmt::Arguments<'_>) {
        self.server.logs.main().at(level, self.module()).say(message);
    }

    fn module(&self) -> &'static str {
        match self.model {
            Model::Prefork => "mpm_prefork",
            Model::Worker => "mpm_worker",
            Model::Event => "mpm_event",
        }
    }

    /// Apache's message numbers differ by model.
    fn number(&self, prefork: u32, worker: u32, event: u32) -> String {
        let number = match self.model {
            Model::Prefork => prefork,
            Model::Worker => worker,
            Model::Event => event,
        };
        format!("AH{number:05}")
    }

    fn resuming(&mut self) {
        let mut announced = std::mem::take(&mut self.announced);
        for (_, listener) in self.listeners.iter() {
            if !announced.contains(listener.address()) {
                say_listening(&self.server, listener);
                announced.push(listener.address().clone()); // A draining listener has the address of its line.
            }
        }
        self.announced = self.listeners.iter().map(|(_, it)| it.address().clone()).collect();
        let banner = &self.server.banner;
        let number = self.number(163, 292, 489);
        self.say(
            Level::Notice,
            format_args!("{number}: {banner} configured -- resuming normal operations"),
        );
        self.describe_gate();
        describe_sandbox(&self.server);
        let command_line = &self.command_line;
        self.server
            .logs
            .main()
            .at(Level::Notice, "core")
            .say(format_args!("AH00094: Command line: '{command_line}'"));
        for remark in self.listeners.remarks() {
            self.say(Level::Warn, format_args!("{remark}"));
        }
        self.describe_buckets();
        self.check_watchdog();
        self.manager.ready();
        if let Some(handover) = self.handover.take()
            && let Err(error) = handover.ready(&self.listeners)
        {
            self.say(Level::Warn, format_args!("telling the server that we replace: {error}"));
        }
        if let Some(detached) = self.detached.take()
            && let Err(error) = detached.ready()
        {
            self.say(Level::Warn, format_args!("letting go of the terminal: {error}"));
        }
    }

    fn check_watchdog(&self) {
        const SHORTEST: Duration = Duration::from_secs(2);
        if self.manager.watchdog().is_some_and(|patience| patience < SHORTEST) {
            self.say(Level::Warn, format_args!(
                "the service manager wants a sign of life more often than each second: WatchdogSec is too short"
            ));
        }
    }

    fn describe_buckets(&self) {
        let buckets = self.listeners.buckets();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        match self.server.config.server.mpm.cores_per_bucket {
            Some(ratio) => self.say(Level::Info, format_args!(
                "Using {buckets} listeners bucket(s) based on {cores} online CPU cores and ratio {ratio}"
            )),
            None if buckets > 1 => {
                self.say(Level::Info, format_args!("Using {buckets} listeners bucket(s)"));
            }
            None => {}
        }
    }

    /// A successor that failed may have put its own number there.
    fn restore_pid_file(&mut self) {
        if let Some(path) = &self.pid_file {
            match PidFile::write(path) {
                Ok(restored) => self.restored_pid_file = Some(restored),
                Err(error) => self.say(Level::Error, format_args!("AH00099: {error}")),
            }
        }
    }

    /// The first arithmetic of `MaxRequestWorkers auto`. What children measure comes later.
    fn describe_memory(&self) {
        if let Some(plan) = &self.server.config.server.mpm.memory {
            self.say(Level::Notice, format_args!("{plan}"));
        }
    }

    fn describe_gate(&self) {
        let because = self.server.config.server.mpm.gate.because;
        let sentence = gate_sentence(self.gate, because, self.model);
        self.say(Level::Info, format_args!("{sentence}"));
        if self.model == Model::Event {
            return; // Apache's event knows no accept mutex, and has no line for it.
        }
        let number = self.number(165, 294, 294);
        let name = match self.gate {
            GateKind::Mutex(mechanism) => mechanism.to_string(),
            GateKind::None | GateKind::Exclusive | GateKind::Counted { .. } => "none".to_owned(),
        };
        let default = gate::Mechanism::default_here();
        self.say(Level::Debug, format_args!("{number}: Accept mutex: {name} (default: {default})"));
    }

    /// Since when, with what, and what would help: one line.
    fn saturated(&self, work: &Work) {
        let Work { reading, writing, keep_alive, closing, jobs, queued, held_by_clients, .. } =
            work;
        let cures = work.cures();
        let cures = if cures.is_empty() { "time".to_owned() } else { cures.join("; ") };
        let waits = in_words(work.waits);
        let kib = work.child_bytes.div_ceil(1024);
        let threads = work.workers_per_child;
        self.say(Level::Warn, format_args!(
            "all workers are busy, for a second or longer: {reading} reading requests, {writing} sending answers, \
             {keep_alive} in keep-alive, {closing} closing, {jobs} waiting for files; {held_by_clients} of them only wait \
             for slow clients; {queued} connections queue, and {waits}. What would help: {cures}. A child of {threads} \
             workers costs {kib} KiB"
        ));
    }

    fn child_died(&self, pid: sys::Pid, end: End) {
        match end {
            End::Killed { signal, core } => {
                let name = Signal::try_from(signal).map_or("unknown signal", signal_words);
                let (number, core) = match &self.server.config.server.mpm.core_dump_directory {
                    _ if !core => ("AH00052", String::new()),
                    None => ("AH00052", ", possible coredump".to_owned()),
                    Some(folder) => {
                        ("AH00051", format!(", possible coredump in {}", folder.display()))
                    }
                };
                let main = self.server.logs.main();
                main.at(Level::Notice, "core").say(format_args!(
                    "{number}: child pid {pid} exit signal {name} ({signal}){core}"
                ));
            }
            End::Exited(code) => self.say(
                Level::Warn,
                format_args!("child pid {pid} ended by itself, with status {code}"),
            ),
        }
    }
}

impl mpm::Program for WebProgram {
    type Service = WebService;

    fn can_hand_over(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn tick(&mut self, load: Load) {
        let Load { idle, busy, children, .. } = load;
        self.manager.tick(format!("{busy} workers busy, {idle} idle, in {children} processes"));
    }

    fn prepare(&mut self, present: &Listeners) -> Result<Plan<WebService>, String> {
        self.prepare_next(present)
    }

    fn notice(&mut self, notice: Notice<'_>) {
        if matches!(notice, Notice::GracefulRestart | Notice::HardRestart) {
            self.manager.reloading();
        }
        match notice {
            Notice::Resuming => self.resuming(),
            Notice::GracefulRestart if self.model == Model::Prefork => {
                self.say(
                    Level::Notice,
                    format_args!("AH00171: Graceful restart requested, doing restart"),
                );
            }
            Notice::GracefulRestart => {
                let number = self.number(171, 297, 493);
                self.say(
                    Level::Notice,
                    format_args!("{number}: SIGUSR1 received.  Doing graceful restart"),
                );
            }
            Notice::HardRestart => {
                let number = self.number(173, 298, 494);
                self.say(
                    Level::Notice,
                    format_args!("{number}: SIGHUP received.  Attempting to restart"),
                );
            }
            Notice::UpgradeBegun(pid) => self.say(
                Level::Notice,
                format_args!("SIGUSR2 received.  Process {pid} was started to take over"),
            ),
            Notice::UpgradeFailed(why) => {
                for line in why.lines() {
                    self.say(Level::Error, format_args!("{line}"));
                }
                self.restore_pid_file();
                self.say(Level::Error, format_args!("the upgrade has failed: this server goes on"));
            }
            Notice::Upgraded(pid) => {
                self.manager.handed_over_to(pid);
                self.say(
                    Level::Notice,
                    format_args!("process {pid} has taken over, shutting down gracefully"),
                );
            }
            Notice::Reloaded { kept } => self.reloaded(kept),
            Notice::ReloadFailed(why) => {
                self.next = None;
                self.manager.ready();
                for line in why.lines() {
                    self.say(Level::Error, format_args!("{line}"));
                }
                self.say(
                    Level::Error,
                    format_args!(
                        "the new configuration cannot be used: the old one stays in force"
                    ),
                );
            }
            Notice::GracefulStop(signal) => {
                self.manager.stopping();
                let number = self.number(170, 296, 492);
                self.say(
                    Level::Notice,
                    format_args!("{number}: caught {signal}, shutting down gracefully"),
                );
            }
            Notice::Stop(signal) => {
                self.manager.stopping();
                let number = self.number(169, 295, 491);
                self.say(Level::Notice, format_args!("{number}: caught {signal}, shutting down"));
            }
            Notice::GracefulStopTimedOut => {
                self.say(
                    Level::Warn,
                    format_args!(
                        "GracefulShutdownTimeout has passed: killing the children that are left"
                    ),
                );
            }
            Notice::ChildDied { pid, end } => self.child_died(pid, end),
            Notice::ChildrenDieYoung { pause } => {
                let secs = pause.as_secs();
                self.say(
                    Level::Warn,
                    format_args!(
                        "children die right after their start: the next attempt is in {secs} s"
                    ),
                );
            }
            Notice::LimitReached => {
                let number = self.number(161, 286, 484);
                self.say(Level::Error, format_args!(
                    "{number}: server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting"
                ));
            }
            Notice::ScoreboardFull => {
                let number = self.number(288, 288, 3490);
                self.say(
                    Level::Error,
                    format_args!("{number}: scoreboard is full, not at MaxRequestWorkers"),
                );
            }
            Notice::SeemsBusy { spawning, idle, total } => {
                let number = self.number(162, 289, 486);
                self.say(Level::Info, format_args!(
                    "{number}: server seems busy, (you may need to increase StartServers, or Min/MaxSpareServers), \
                     spawning {spawning} children, there are {idle} idle, and {total} total children"
                ));
            }
            Notice::Saturated(work) => self.saturated(work),
            Notice::SaturationOver { lasted, waits } => {
                let (secs, waits) = (lasted.as_secs(), in_words(waits));
                self.say(
                    Level::Warn,
                    format_args!("there are idle workers again, after {secs} s without: {waits}"),
                );
            }
            Notice::ChildTooLarge { pid, bytes } => {
                let mib = bytes.div_ceil(1 << 20);
                self.say(Level::Notice, format_args!(
                    "child {pid} has grown to {mib} MiB, more than MaxMemoryPerChild: it is replaced"
                ));
            }
            Notice::LimitByMemory { budget, child_bytes, fit, children, workers } => {
                let (mib, kib) = (budget >> 20, child_bytes.div_ceil(1024));
                let bounds = match fit.cmp(&children) {
                    Ordering::Greater => format!(", of which ServerLimit allows {children}"),
                    Ordering::Equal => String::new(),
                    Ordering::Less => format!(", but {children} there must be"),
                };
                self.say(Level::Notice, format_args!(
                    "MaxRequestWorkers auto: {mib} MiB / {kib} KiB a child, measured (95th percentile) \
                     = {fit} children{bounds}, {workers} workers"
                ));
            }
            Notice::ForkFailed(error) => {
                let log = self.server.logs.main().at(Level::Error, self.module());
                log.because(error).say(format_args!("AH00159: fork: Unable to fork new process"));
            }
            Notice::Killed(pid) => {
                let main = self.server.logs.main();
                main.at(Level::Error, "core").say(format_args!(
                    "AH00046: child process {pid} still did not exit, sending a SIGKILL"
                ));
            }
            Notice::GateRepaired(pid) => self.say(
                Level::Notice,
                format_args!("child pid {pid} died inside the accept gate, which is open again"),
            ),
            Notice::GateNotRepaired(error) => {
                let log = self.server.logs.main().at(Level::Error, self.module());
                log.because(error).say(format_args!(
                    "a child died, and the accept gate could not be looked after"
                ));
            }
            other => self.say(Level::Info, format_args!("{other:?}")),
        }
    }
}

/// How long clients waited while all workers were busy.
fn in_words(waits: QueueWaits) -> String {
    match waits {
        QueueWaits::Asked { median, longest } => format!(
            "half of those let in meanwhile had waited {} ms, the longest {} ms",
            median.as_millis(),
            longest.as_millis()
        ),
        QueueWaits::ByLength(mean) => {
            format!("those let in meanwhile had waited about {} ms", mean.as_millis())
        }
        QueueWaits::NobodyLetIn => "nobody was let in meanwhile".to_owned(),
    }
}

/// Says in the error log where the server listens: port 0 has become a number.
pub fn announce(server: &Server, listeners: &Listeners) {
    listeners.iter().for_each(|(_, listener)| say_listening(server, listener));
}

/// Says what children give up; louder, if that is less than it could be elsewhere.
pub fn describe_sandbox(server: &Server) {
    let level = if server.sandbox.lacks().is_some() { Level::Notice } else { Level::Info };
    server.logs.main().at(level, "sandbox").say(format_args!("Sandbox {}", server.sandbox));
}

fn say_listening(server: &Server, listener: &Listener) {
    let log = server.logs.main().at(Level::Notice, "mpm");
    log.say(format_args!("listening on {}", listener.address()));
}

/// Sends what a panic says to the error log: a child has no standard error that anybody reads.
pub fn log_panics(server: &Arc<Server>) {
    let server = Arc::clone(server);
    std::panic::set_hook(Box::new(move |panic| {
        server.logs.main().at(Level::Crit, "core").say(format_args!("{panic}"));
    }));
}

/// What the process models are told of the configuration.
fn settings(mpm: &Mpm, runtime_dir: &Path) -> mpm::Settings {
    let geometry = &mpm.geometry;
    let (lock_dir, lock_omit_pid) = match &mpm.gate.kind {
        GateAsked::Mutex { folder, omit_pid, .. } => (folder.as_deref(), *omit_pid),
        GateAsked::Open | GateAsked::Exclusive | GateAsked::Counted { .. } => (None, false),
    };
    let model = match geometry.model {
        Model::Prefork => mpm::Model::Prefork,
        Model::Worker => mpm::Model::Worker,
        Model::Event => mpm::Model::Event,
    };
    mpm::Settings {
        listen: mpm.listen.iter().map(listen_spec).collect(),
        listen_options: ListenOptions {
            backlog: mpm.backlog,
            buckets: mpm.buckets,
            send_buffer: mpm.send_buffer,
            receive_buffer: mpm.receive_buffer,
            ..ListenOptions::default()
        },
        gate: gate(&mpm.gate.kind),
        lock_dir: lock_dir.unwrap_or(runtime_dir).to_owned(),
        lock_omit_pid,
        start_children: geometry.start_servers,
        min_spare: geometry.min_spare,
        max_spare: geometry.max_spare,
        max_children: geometry.processes_max,
        server_limit: geometry.server_limit,
        threads_per_child: geometry.threads_per_child,
        thread_limit: geometry.thread_limit,
        max_connections_per_child: mpm.connections_per_child_max.map_or(0, u64::from),
        max_connections_jitter_percent: mpm.connections_jitter_percent,
        max_memory_per_child: mpm.memory_per_child_max,
        memory_for_children: mpm.memory.map(|plan| plan.for_children()),
        spawn_policy: match mpm.spawn_policy {
            SpawnPolicy::OnDemand => mpm::SpawnPolicy::OnDemand,
            SpawnPolicy::Periodic => mpm::SpawnPolicy::Periodic,
        },
        async_factor: whole_factor(geometry.async_factor),
        graceful_shutdown_timeout: mpm.graceful_shutdown_timeout,
        thread_stack_bytes: mpm.thread_stack_size,
        ..mpm::Settings::new(model)
    }
}

/// Apache reads fractions and uses whole numbers, at least 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn whole_factor(factor: f64) -> u32 {
    factor.clamp(1.0, 1e6) as u32
}

/// The gate that was asked for, as this machine can make it.
fn gate(asked: &GateAsked) -> GateKind {
    match asked {
        GateAsked::Open => GateKind::None,
        GateAsked::Exclusive => GateKind::Exclusive,
        GateAsked::Mutex { mechanism, .. } => GateKind::Mutex(match mechanism {
            Mechanism::Default => gate::Mechanism::default_here(),
            Mechanism::Pthread => gate::Mechanism::Pthread,
            Mechanism::Fcntl => gate::Mechanism::Fcntl,
            Mechanism::Flock => gate::Mechanism::Flock,
            Mechanism::Sysvsem => gate::Mechanism::Semaphore(Semaphore::Sysv),
            Mechanism::Posixsem => gate::Mechanism::Semaphore(Semaphore::Posix),
        }),
        GateAsked::Counted { places, mechanism } => GateKind::Counted {
            places: *places,
            semaphore: match mechanism {
                Mechanism::Sysvsem => Semaphore::Sysv,
                Mechanism::Posixsem => Semaphore::Posix,
                // The others cannot count, and are refused with the configuration.
                Mechanism::Default | Mechanism::Pthread | Mechanism::Fcntl | Mechanism::Flock => {
                    Semaphore::default_here()
                }
            },
        },
    }
}

/// What stands before accept, who goes there, and why it is so: one sentence for people.
fn gate_sentence(gate: GateKind, because: &str, model: Model) -> String {
    let who = match (model, gate.keeps_waiting()) {
        (Model::Prefork, _) => "child",
        (Model::Worker, _) => "listener thread",
        (Model::Event, false) => "event loop",
        (Model::Event, true) => "accept thread",
    };
    let what = match gate {
        GateKind::None => format!("no gate: every waiting {who} wakes for each connection"),
        GateKind::Exclusive => {
            format!("exclusive wakeups: the kernel wakes one waiting {who} for each connection")
        }
        GateKind::Mutex(mechanism) => format!(
            "accept mutex by {mechanism}: one {who} waits for connections, the others for the mutex"
        ),
        GateKind::Counted { places, semaphore } => format!(
            "counted gate by {semaphore}: {places} at once wait for connections, \
             every other {who} for its turn"
        ),
    };
    format!("{what}, because {because}")
}

fn listen_spec(listening: &Listening) -> ListenSpec {
    ListenSpec {
        place: match &listening.address {
            ListenAddress::Any(port) => Place::Any(*port),
            ListenAddress::Exact(address) => Place::Exact(*address),
            ListenAddress::Unix(path) => Place::Unix(path.clone()),
        },
        wait_for_data: listening.wait_for_data,
        access: FileAccess { mode: listening.mode, owner: listening.owner, group: listening.group },
    }
}

/// Whom the children become: only root can become anybody.
fn credentials(config: &Config) -> Result<Option<Credentials>, String> {
    if !sys::process::is_root() {
        return Ok(None);
    }
    let Some(user) = &config.server.user else { return Ok(None) };
    let found = sys::process::lookup_user(&user.name).unwrap_or(FoundUser {
        uid: user.id,
        gid: None,
        name: None,
    });
    let Some(gid) = config.server.group.as_ref().map(|group| group.id).or(found.gid) else {
        return Err(format!("User {}: has no group of its own, so Group must be set", user.name));
    };
    Ok(Some(Credentials::new(found, gid)))
}

/// Signals as Apache's log names them.
fn signal_words(signal: Signal) -> &'static str {
    const WORDS: [(Signal, &str); 7] = [
        (Signal::SIGSEGV, "Segmentation fault"),
        (Signal::SIGBUS, "Bus error"),
        (Signal::SIGABRT, "Aborted"),
        (Signal::SIGILL, "Illegal instruction"),
        (Signal::SIGFPE, "Floating point exception"),
        (Signal::SIGKILL, "Killed"),
        (Signal::SIGTERM, "Terminated"),
    ];
    WORDS.iter().find(|(known, _)| *known == signal).map_or(signal.as_str(), |(_, words)| words)
}
