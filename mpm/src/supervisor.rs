//! # The supervisor: who lives, who goes, and when
//!
//! ```text
//!                   ┌──────────────── one poll: signals, or the next second ───────────────┐
//!                   ▼                                                                      │
//!   Event::Signal(CHLD) ─▶ reap, free the place, replace who died unasked                  │
//!   Event::Signal(USR1) ─▶ new generation beside the old one, which then finishes          ├──▶ again
//!   Event::Signal(HUP)  ─▶ old generation killed, new one started                          │
//!   Event::Signal(WINCH)─▶ nobody new; all finish; then the end                            │
//!   Event::Signal(USR2) ─▶ our binary, started anew beside us                              │
//!   Event::Successor    ─▶ it serves: all finish; then the end. Or it has failed           │
//!   Event::Signal(TERM) ─▶ all killed; the end                                             │
//!   Event::Second       ─▶ maintenance: too few idle workers? too many?                    ┘
//! ```
//!
//! The parent is boring: single-threaded, serving nothing. It has no signal handlers, only a descriptor to read
//! signals from (signalfd(2)), so every decision is made in one loop.
//!
//! - A child is told to finish by closing its pipe, which happens as well when the supervisor dies.
//! - A reload is a transaction: everything that can fail is done by [`Program::prepare`]; then there is a new
//!   generation, or the old one goes on as if nothing had been asked.
//! - Pids, generations and places are kept here, in the supervisor's own memory. The scoreboard is read for
//!   statistics only: how many workers are idle.

mod notice;
mod queues;
mod succession;

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use herdgate_sys as sys;
use sys::EventFd;
use sys::poll::{Interest as PollInterest, PollEntry, poll};
use sys::process::{End, Fork, Pid};
use sys::signals::{Signal, SignalFd, SignalSet};

pub use notice::{ChildNotice, Notice, StartError};

use crate::child::{Child, ChildContext, Exit, Orders};
use crate::event::busy_permille;
use crate::gate::{Gate, GateKind};
use crate::listen::Listeners;
use crate::maintenance::{Decision, Limits, Load, SpawnRate};
use crate::saturation::{self, Saturation, Work};
use crate::scoreboard::{Label, Scoreboard, Stage, State};
use crate::upgrade::{self, Successor};
use crate::{
    Model, Moment, Service, Settings, SpawnPolicy, event, memory, prefork, recycling, worker,
};

/// How often the number of children is looked at.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(1);
/// How often the most children are computed from what they measure.
const FIT_EVERY: Duration = Duration::from_secs(60);
/// A child that dies unasked within this time after its start has not really started.
const YOUNG: Duration = Duration::from_secs(2);
/// After so many young deaths in a row, replacements wait for the next second's maintenance, and then longer.
const YOUNG_DEATHS_MAX: u32 = 3;
/// The longest pause between attempts to start a child that keeps dying, in seconds.
const BACK_OFF_SECS_MAX: u32 = 32;
/// How long children that were killed by SIGTERM may take, before SIGKILL.
const TERM_PATIENCE: Duration = Duration::from_secs(9);
/// How often the queues of listeners that are given up are looked at. Two looks cover a handshake across a continent.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(50);

/// The program around the process models: it reads configurations and tells people what happens.
pub trait Program {
    /// What serves the connections.
    type Service: Service;

    /// Prepares a new generation: reads the configuration, opens logs, binds new sockets. Nothing of the present
    /// generation may be given up here. `present` has its listeners, to keep those that stay.
    ///
    /// # Errors
    /// What is wrong, for people. The present generation goes on then.
    fn prepare(&mut self, present: &Listeners) -> Result<Plan<Self::Service>, String>;

    /// Something happened that people may want to know.
    fn notice(&mut self, notice: Notice<'_>);

    /// A second has passed, with so many workers idle and busy.
    fn tick(&mut self, _load: Load) {}

    /// Whether the program, started anew, takes over the listeners ([`Handover`](crate::upgrade::Handover)), so that its
    /// binary can be replaced while it runs. If not, why.
    ///
    /// # Errors
    /// The reason, for people.
    fn can_hand_over(&self) -> Result<(), &'static str> {
        Err("this program cannot take over from itself")
    }
}

/// All that a generation needs.
pub struct Plan<S> {
    /// What serves.
    pub service: Arc<S>,
    /// How.
    pub settings: Settings,
    /// Where.
    pub listeners: Listeners,
}

/// Runs a server until it is told to stop. Must be called while the process has one thread.
///
/// # Errors
/// The server could not start. What goes wrong later is a [`Notice`].
pub fn run<P: Program>(program: P, first: Plan<P::Service>) -> Result<(), StartError> {
    let doing = |doing| move |source| StartError { doing, source };
    let signals = [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ];
    SignalSet::of(&signals).block().map_err(doing("block signals"))?;
    let signals = SignalFd::new(&signals).map_err(doing("signalfd"))?;
    let mut first = first;
    first.settings.make_consistent();
    let settings = &first.settings;
    let scoreboard = settings.scoreboard.as_deref();
    let scoreboard =
        Scoreboard::create(scoreboard, settings.child_slots(), settings.slots_per_child())
            .map_err(doing("create the scoreboard"))?;
    let generation = Generation::new(0, first)
        .map_err(doing("create the accept mutex"))
        .inspect_err(|_| scoreboard.retire_file())?;
    let places = generation.plan.settings.child_slots() as usize;
    generation.plan.listeners.take_effect();
    let mut supervisor = Supervisor {
        program,
        signals: Some(signals),
        postponed: None,
        demand: EventFd::new().map_err(doing("eventfd"))?,
        scoreboard,
        generation,
        children: (0..places).map(|_| None).collect(),
        spawn_rate: SpawnRate::default(),
        started: SystemTime::now(),
        next_maintenance: Moment::now() + MAINTENANCE_EVERY,
        young_deaths: 0,
        back_off_secs: 0,
        spawn_not_before: Moment::now(),
        limit_reached_said: false,
        saturation: Saturation::default(),
        next_fitting: Moment::now() + FIT_EVERY,
        loop_clocks: vec![LoopClock::default(); places],
        successor: None,
    };
    supervisor.start();
    supervisor.run();
    supervisor.scoreboard.retire_file();
    Ok(())
}

/// Serves with fixed settings: all that a program without a configuration file needs. Signals work as always; a
/// restart begins a new generation of the same service.
///
/// # Errors
/// As [`run`].
pub fn serve<S: Service>(
    service: S,
    settings: Settings,
    listeners: Listeners,
) -> Result<(), StartError> {
    struct Fixed<S> {
        service: Arc<S>,
        settings: Settings,
    }
    impl<S: Service> Program for Fixed<S> {
        type Service = S;

        fn prepare(&mut self, present: &Listeners) -> Result<Plan<S>, String> {
            let (service, settings) = (Arc::clone(&self.service), self.settings.clone());
            Ok(Plan { service, settings, listeners: present.clone() })
        }

        fn notice(&mut self, _notice: Notice<'_>) {}
    }
    let service = Arc::new(service);
    let plan = Plan { service: Arc::clone(&service), settings: settings.clone(), listeners };
    run(Fixed { service, settings }, plan)
}

/// Serves in this very process, with one child's loop and no supervisor: for debuggers (`httpd -X`). SIGTERM and
/// SIGINT end it at once.
///
/// # Errors
/// As [`run`], or what ended the loop.
pub fn run_single<S: Service>(plan: Plan<S>) -> Result<(), StartError> {
    let doing = |doing| move |source| StartError { doing, source };
    let mut settings = plan.settings.clone();
    settings.max_connections_per_child = 0; // There is nobody to start a successor.
    settings.gate = GateKind::None; // Nor to keep out, nor to clean up behind a process that is just killed.
    let board = Scoreboard::create(settings.scoreboard.as_deref(), 1, settings.slots_per_child())
        .map_err(doing("create the scoreboard"))?;
    let plan = Plan { settings, ..plan };
    let generation = Generation::new(0, plan).map_err(doing("create the accept mutex"))?;
    let (orders, hold) = sys::pipe::pipe().map_err(doing("pipe"))?;
    board.server_starts(&generation.plan.settings, unix_secs(SystemTime::now()));
    board.children()[0].pid.store(Pid::this().as_raw(), Relaxed);
    board.set_stage(Stage::Serving);
    child_main(&generation, &board, (0, 0), orders, None).map_err(doing("serve"))?;
    drop(hold); // Kept open until here: its end of file would have meant "finish".
    board.retire_file();
    Ok(())
}

/// One life of the configuration.
struct Generation<S> {
    number: u32,
    plan: Plan<S>,
    /// One for each bucket: who waits for its sockets must not keep others from theirs.
    gates: Vec<Arc<dyn Gate>>,
}

impl<S> Generation<S> {
    fn new(number: u32, plan: Plan<S>) -> io::Result<Self> {
        let create = |_bucket| Ok(plan.settings.gate.create(&plan.settings)?.into());
        let gates = (0..plan.listeners.buckets()).map(create).collect::<io::Result<_>>()?;
        Ok(Self { number, plan, gates })
    }
}

/// A child, as its parent knows it.
struct KnownChild {
    pid: Pid,
    generation: u32,
    bucket: usize,
    /// Its generation's gate, which so lives as long as somebody may stand at it.
    gate: Arc<dyn Gate>,
    started: Moment,
    /// The write end of its pipe; closing it tells the child to finish. `None`: it was told.
    hold: Option<OwnedFd>,
}

impl KnownChild {
    fn is_finishing(&self) -> bool {
        self.hold.is_none()
    }
}

/// All that can happen to a supervisor.
enum Event {
    Signal(Signal),
    /// The last idle worker was taken.
    Demand,
    /// Who was started to take over is ready, or has failed.
    Successor(upgrade::Outcome),
    Second,
}

/// How the server's life goes on after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    GoesOn,
    Over,
}

struct Supervisor<P: Program> {
    program: P,
    /// `None` in a child.
    signals: Option<SignalFd>,
    /// What came while we could not act on it.
    postponed: Option<Signal>,
    /// Children wake us by it when the last idle worker is taken.
    demand: EventFd,
    scoreboard: Scoreboard,
    generation: Generation<P::Service>,
    /// By place on the scoreboard.
    children: Vec<Option<KnownChild>>,
    spawn_rate: SpawnRate,
    started: SystemTime,
    next_maintenance: Moment,
    young_deaths: u32,
    back_off_secs: u32,
    spawn_not_before: Moment,
    limit_reached_said: bool,
    saturation: Saturation,
    /// When the most children are computed from their sizes again.
    next_fitting: Moment,
    /// How busy event's loops are.
    loop_clocks: Vec<LoopClock>,
    /// Our own binary, started anew, until it serves or has failed.
    successor: Option<Successor>,
}

impl<P: Program> Supervisor<P> {
    fn start(&mut self) {
        self.scoreboard.server_starts(self.settings(), unix_secs(self.started));
        self.begin_generation(0);
    }

    fn run(&mut self) {
        loop {
            let life = match self.next_event() {
                Event::Signal(Signal::SIGCHLD) => self.reap(),
                Event::Signal(Signal::SIGUSR1) => self.restart(Restart::Graceful),
                Event::Signal(Signal::SIGHUP) => self.restart(Restart::Hard),
                // A terminal that changes its size says WINCH to everything that runs on it.
                Event::Signal(Signal::SIGWINCH) if self.settings().on_terminal => Life::GoesOn,
                Event::Signal(Signal::SIGWINCH) => self.stop_gracefully(),
                Event::Signal(Signal::SIGUSR2) => self.upgrade(),
                Event::Signal(signal) => self.stop(signal),
                Event::Demand => self.meet_demand(),
                Event::Successor(outcome) => self.hand_over(outcome),
                Event::Second => self.maintain(),
            };
            if life == Life::Over {
                return;
            }
        }
    }

    fn next_event(&mut self) -> Event {
        if let Some(signal) = self.postponed.take() {
            return Event::Signal(signal);
        }
        loop {
            if let Some(signal) = self.wait_for_signal(self.next_maintenance, Some(&self.demand)) {
                return Event::Signal(signal);
            }
            if let Some(outcome) = self.successor.as_mut().and_then(Successor::hear) {
                return Event::Successor(outcome);
            }
            if matches!(self.demand.drain(), Ok(true)) {
                return Event::Demand;
            }
            let now = Moment::now();
            if now >= self.next_maintenance {
                // From now, not from when it was due: a machine that slept has not missed thousands of seconds.
                self.next_maintenance = now + MAINTENANCE_EVERY;
                return Event::Second;
            }
        }
    }

    /// The next signal, if one comes before `until`, and, if there is a `demand` to be heard of, before that and
    /// before the successor has said something.
    fn wait_for_signal(&self, until: Moment, demand: Option<&EventFd>) -> Option<Signal> {
        let signals = self.signals.as_ref()?;
        self.scoreboard.beat(Moment::now());
        // A failed read is a signal that is told again, or no signal.
        if let Ok(Some(signal)) = signals.read() {
            return Some(signal);
        }
        let skipped = -1;
        let news = demand.and(self.successor.as_ref());
        let news = news.map_or(skipped, |successor| successor.as_fd().as_raw_fd());
        let demand = demand.map_or(skipped, |demand| demand.as_fd().as_raw_fd());
        let mut entries = [signals.as_fd().as_raw_fd(), demand, news]
            .map(|fd| PollEntry::new(fd, PollInterest::READ));
        let _ = poll(&mut entries, Some(until.since(Moment::now())));
        signals.read().ok().flatten()
    }

    fn settings(&self) -> &Settings {
        &self.generation.plan.settings
    }

    // --- births ---

    /// Starts the children of a new generation: as many as the administrator wants, or as were there. Says whether all
    /// of them could be started.
    fn begin_generation(&mut self, children_before: u32) -> bool {
        let global = self.scoreboard.global();
        global.generation.store(self.generation.number, Relaxed);
        global.restarted_unix_secs.store(unix_secs(SystemTime::now()), Relaxed);
        let settings = self.settings();
        global.threads_per_child.store(settings.threads_per_child, Relaxed);
        let wanted = settings.start_children.max(children_before).min(settings.max_children);
        let started = self.spawn(wanted);
        self.note_queue();
        self.label_scoreboard();
        self.scoreboard.set_stage(Stage::Serving);
        self.program.notice(Notice::Resuming);
        started == wanted
    }

    /// Says on the scoreboard what stands before accept, and where.
    fn label_scoreboard(&self) {
        self.scoreboard.set_label(Label::Gate, &self.settings().gate.to_string());
        let listeners = self.generation.plan.listeners.iter();
        let mut addresses: Vec<String> =
            listeners.map(|(_, listener)| listener.address().to_string()).collect();
        addresses.dedup(); // Each bucket has its own listener.
        self.scoreboard.set_label(Label::Listen, &addresses.join(" "));
    }

    /// Forks so many children, as far as there are places, and says how many.
    fn spawn(&mut self, count: u32) -> u32 {
        for started in 0..count {
            let Some(place) = self.children.iter().position(Option::is_none) else {
                return started;
            };
            if let Err(error) = self.spawn_at(place) {
                self.spawn_rate.reset();
                self.program.notice(Notice::ForkFailed(&error));
                return started; // The next second tries again.
            }
        }
        count
    }

    /// Old children that still take connections, for want of successors, are told to finish one for one as places
    /// become free.
    fn replace_old(&mut self) {
        let present = self.generation.number;
        let is_old = |child: &KnownChild| !child.is_finishing() && child.generation != present;
        while let Some(old) =
            self.children.iter().position(|child| child.as_ref().is_some_and(is_old))
        {
            if self.spawn(1) == 0 {
                return;
            }
            self.tell_to_finish(old);
        }
    }

    fn spawn_at(&mut self, place: usize) -> io::Result<()> {
        let now = Moment::now();
        let bucket = self.poorest_bucket();
        let (orders, hold) = sys::pipe::pipe()?;
        let workers = match self.settings().model {
            Model::Prefork => 1,
            Model::Worker | Model::Event => self.settings().threads_per_child as usize,
        };
        self.scoreboard.child_starts(place, self.generation.number, workers, now);
        self.loop_clocks[place] = LoopClock::default();
        // SAFETY: the supervisor has one thread, here and always: the promise of its module.
        #[expect(unsafe_code, reason = "the one fork; the child goes on in this very function")]
        let fork = unsafe { sys::process::fork() };
        match fork {
            Ok(Fork::Child) => {
                drop(hold);
                self.become_child(place, bucket, orders)
            }
            Ok(Fork::Parent(pid)) => {
                self.scoreboard.children()[place].pid.store(pid.as_raw(), Relaxed);
                self.scoreboard.global().children_forked.fetch_add(1, Relaxed);
                let hold = Some(hold);
                self.children[place] = Some(KnownChild {
                    pid,
                    generation: self.generation.number,
                    bucket,
                    gate: Arc::clone(&self.generation.gates[bucket]),
                    started: now,
                    hold,
                });
                Ok(())
            }
            Err(error) => {
                self.scoreboard.child_ended(place, now);
                Err(error)
            }
        }
    }

    /// The child's first lines: it drops what is the parent's, and never comes back.
    fn become_child(&mut self, place: usize, bucket: usize, orders: OwnedFd) -> ! {
        // Its siblings' pipes: they must end with the supervisor, not with this child.
        self.children.clear();
        self.signals = None;
        offer_to_the_oom_killer();
        // A panic must not unwind into the supervisor's callers, whose destructors would clean up what is not ours.
        let exit = catch_unwind(AssertUnwindSafe(|| {
            release_signals()?;
            if let Some(credentials) = &self.settings().credentials {
                sys::process::drop_privileges(credentials)?;
            }
            let demand = Some(&self.demand);
            child_main(&self.generation, &self.scoreboard, (place, bucket), orders, demand)
        }));
        let service = &self.generation.plan.service;
        let exit = match exit {
            Ok(Ok(exit)) => exit,
            Ok(Err(error)) => {
                service.notice(ChildNotice::Failed(&error));
                Exit::Sick
            }
            Err(_panic) => {
                service.notice(ChildNotice::Panicked);
                Exit::Sick
            }
        };
        // No destructors and no exit handlers: what they would clean up is the parent's.
        sys::process::exit_immediately(exit as i32)
    }

    // --- deaths ---

    fn reap(&mut self) -> Life {
        // One SIGCHLD may stand for many children; a failed wait means that there are none.
        while let Ok(Some(reaped)) = sys::process::reap() {
            self.bury(reaped.pid, reaped.end);
        }
        Life::GoesOn
    }

    /// Frees a dead child's place. Whoever died unasked is replaced at once.
    fn bury(&mut self, pid: Pid, end: End) {
        let is_this =
            |child: &Option<KnownChild>| child.as_ref().is_some_and(|child| child.pid == pid);
        let Some(place) = self.children.iter().position(is_this) else {
            return; // Not ours: an orphan that was given to us as process 1.
        };
        let Some(child) = self.children[place].take() else { return };
        let now = Moment::now();
        self.scoreboard.child_ended(place, now);
        match child.gate.child_died(pid.as_raw()) {
            Ok(false) => {}
            Ok(true) => self.program.notice(Notice::GateRepaired(pid)),
            Err(error) => self.program.notice(Notice::GateNotRepaired(&error)),
        }
        let retired = end == End::Exited(Exit::Finished as i32);
        if !retired {
            self.scoreboard.global().children_lost.fetch_add(1, Relaxed);
            self.program.notice(Notice::ChildDied { pid, end });
        }
        self.replace_old();
        if child.is_finishing() || child.generation != self.generation.number {
            return;
        }
        if retired {
            self.meet_demand(); // It has had its share. Whether it is missed is another question.
            return;
        }
        let young = now.since(child.started) <= YOUNG;
        self.young_deaths = if young { self.young_deaths + 1 } else { 0 };
        if self.young_deaths > YOUNG_DEATHS_MAX {
            self.back_off(now);
        } else if self.started() < self.settings().max_children {
            self.spawn(1);
        }
    }

    /// Children die young, one after the other: something is wrong that forking faster will not mend. Each pause is
    /// twice as long as the one before; a server without any child tries again after a second.
    fn back_off(&mut self, now: Moment) {
        if now < self.spawn_not_before {
            return;
        }
        self.back_off_secs = (self.back_off_secs * 2).clamp(1, BACK_OFF_SECS_MAX);
        let secs = if self.started() == 0 { 1 } else { self.back_off_secs };
        let pause = Duration::from_secs(secs.into());
        self.spawn_not_before = now + pause;
        self.spawn_rate.reset();
        self.program.notice(Notice::ChildrenDieYoung { pause });
    }

    // --- maintenance ---

    fn maintain(&mut self) -> Life {
        let now = Moment::now();
        self.note_queue();
        let load = self.load(now);
        self.program.tick(load);
        self.replace_old();
        self.watch_saturation(load, now);
        self.watch_memory();
        self.fit_into_memory(now);
        if now >= self.spawn_not_before {
            match self.spawn_rate.decide(load, self.limits()) {
                Decision::Nothing if self.started() == 0 => {
                    self.spawn(1); // Whatever the spare limits say: a server has a child.
                }
                Decision::Nothing => {
                    (self.young_deaths, self.back_off_secs) = (0, 0);
                }
                Decision::RetireOne => self.retire_one(),
                Decision::Spawn { children, seems_busy } => {
                    self.spawn_more(children, seems_busy, load)
                }
                Decision::LimitReached => self.say_limit_reached(load),
                Decision::NoPlace => self.program.notice(Notice::ScoreboardFull),
            }
        }
        self.await_demand(load);
        Life::GoesOn
    }

    /// The last idle worker was taken: the next doubling step is taken at once, not within a second.
    fn meet_demand(&mut self) -> Life {
        let now = Moment::now();
        let load = self.load(now);
        if now >= self.spawn_not_before
            && let Decision::Spawn { children, seems_busy } =
                self.spawn_rate.decide_on_demand(load, self.limits())
        {
            self.spawn_more(children, seems_busy, load);
        }
        self.await_demand(load);
        Life::GoesOn
    }

    fn limits(&self) -> Limits {
        let Settings { min_spare, max_spare, max_children, .. } = *self.settings();
        Limits { min_spare, max_spare, max_children }
    }

    fn spawn_more(&mut self, children: u32, seems_busy: bool, load: Load) {
        if seems_busy {
            let (idle, total) = (load.idle, load.children);
            self.program.notice(Notice::SeemsBusy { spawning: children, idle, total });
        }
        self.spawn(children);
    }

    fn say_limit_reached(&mut self, load: Load) {
        if load.idle == 0 && !std::mem::replace(&mut self.limit_reached_said, true) {
            self.program.notice(Notice::LimitReached);
        }
    }

    /// Sets the hint right that tells workers when to wake us. Where no child could be added, nobody needs to.
    fn await_demand(&self, load: Load) {
        let present = self.started();
        let idle =
            load.idle + present.saturating_sub(load.children) * self.settings().threads_per_child;
        let global = self.scoreboard.global();
        global.idle_workers.store(i32::try_from(idle).unwrap_or(i32::MAX), Relaxed);
        let on_demand = self.settings().spawn_policy == SpawnPolicy::OnDemand;
        let room = present < self.settings().max_children && load.free_places > 0;
        global.demand_awaited.store(u32::from(on_demand && room), Relaxed);
    }

    /// Children that take connections, those included that were forked a moment ago.
    fn started(&self) -> u32 {
        let started = self.children.iter().flatten().filter(|child| !child.is_finishing());
        u32::try_from(started.count()).unwrap_or(u32::MAX)
    }

    /// Says when all workers have become busy, why, and when that is over.
    fn watch_saturation(&mut self, load: Load, now: Moment) {
        let saturated = load.children > 0 && load.idle == 0;
        match self.saturation.watch(saturated, now) {
            saturation::News::None => {}
            saturation::News::Begun => {
                let work = self.work();
                self.program.notice(Notice::Saturated(&work));
            }
            saturation::News::Over(lasted) => self.program.notice(Notice::SaturationOver(lasted)),
        }
    }

    /// How many connections wait to be accepted, and how many children may come to help, for whoever looks.
    fn note_queue(&self) {
        let global = self.scoreboard.global();
        let listeners = self.generation.plan.listeners.iter();
        let queues: Vec<_> = listeners
            .filter_map(|(_, listener)| sys::net::listen_queue(listener.as_fd()).ok())
            .collect();
        global.queue_waiting.store(queues.iter().map(|queue| queue.waiting).sum(), Relaxed);
        global.queue_limit.store(queues.iter().map(|queue| queue.limit).sum(), Relaxed);
        global.children_max.store(self.settings().max_children, Relaxed);
    }

    /// What the workers are busy with, and what more of them would cost.
    fn work(&self) -> Work {
        let mut work =
            Work { at_limit: self.started() >= self.settings().max_children, ..Work::default() };
        let mut bytes = Vec::new();
        for (place, child) in self.children.iter().enumerate() {
            let Some(child) = child else { continue };
            bytes.extend(memory::anonymous_bytes(child.pid));
            if child.is_finishing() {
                work.finishing_children += 1;
            } else if self.settings().model == Model::Event {
                work.add_parked(&self.scoreboard.children()[place]);
            } else {
                work.add_slots(self.scoreboard.slots(place));
            }
        }
        work.child_bytes = bytes.iter().sum::<u64>() / (bytes.len() as u64).max(1);
        work.workers_per_child = self.settings().threads_per_child;
        let listeners = self.generation.plan.listeners.iter();
        work.queued = listeners
            .filter_map(|(_, listener)| sys::net::listen_queue(listener.as_fd()).ok())
            .map(|queue| queue.waiting)
            .sum();
        work
    }

    /// `MaxRequestWorkers auto`: how many children fit, by the size that nearly all of them stay below.
    fn fit_into_memory(&mut self, now: Moment) {
        let Some(budget) = self.settings().memory_for_children.filter(|_| now >= self.next_fitting)
        else {
            return;
        };
        self.next_fitting = now + FIT_EVERY;
        let sizes = self
            .children
            .iter()
            .flatten()
            .filter_map(|child| memory::anonymous_bytes(child.pid))
            .collect();
        let Some(child_bytes) = memory::percentile_95(sizes) else { return };
        let children = u32::try_from(budget / child_bytes.max(1)).unwrap_or(u32::MAX);
        let children = children.clamp(1, self.settings().server_limit);
        if children == self.settings().max_children {
            return;
        }
        self.generation.plan.settings.max_children = children;
        let workers = children * self.settings().threads_per_child;
        self.program.notice(Notice::LimitByMemory { child_bytes, children, workers });
    }

    /// Lets the child finish that has grown most, if it has grown too much: one a second, so that a leak that all
    /// children share does not end them all at once. Its successor starts first.
    fn watch_memory(&mut self) {
        let Some(max) = self.settings().max_memory_per_child else { return };
        let active = self.children.iter().enumerate().filter_map(|(place, child)| {
            let child = child.as_ref().filter(|child| !child.is_finishing())?;
            Some((memory::anonymous_bytes(child.pid)?, place, child.pid))
        });
        let Some((bytes, place, pid)) = active.max().filter(|(bytes, ..)| *bytes > max) else {
            return;
        };
        self.program.notice(Notice::ChildTooLarge { pid, bytes });
        self.spawn(1);
        self.tell_to_finish(place);
    }

    /// Counts workers by what they do. The numbers come from the children: a wrong one can make a child too many,
    /// within the limits, and nothing worse.
    fn load(&mut self, now: Moment) -> Load {
        let model = self.settings().model;
        let threads = self.settings().threads_per_child;
        let mut load = Load { idle: 0, busy: 0, children: 0, free_places: 0 };
        for place in 0..self.children.len() {
            let Some(child) = &self.children[place] else {
                load.free_places += 1;
                continue;
            };
            let retires = self.scoreboard.children()[place].retiring.load(Relaxed) != 0;
            if child.is_finishing() || retires {
                continue; // It takes no connections any more.
            }
            load.children += 1;
            let busy = match model {
                Model::Prefork | Model::Worker => self.busy_slots(place, threads),
                Model::Event => self.busy_threads(place, threads, now),
            };
            load.busy += busy;
            load.idle += threads - busy;
        }
        load
    }

    /// A starting worker counts as idle on purpose: it will be, soon.
    fn busy_slots(&self, place: usize, threads: u32) -> u32 {
        let slots = &self.scoreboard.slots(place)[..threads as usize];
        let busy =
            slots.iter().filter(|slot| !matches!(slot.state(), State::Starting | State::Ready));
        u32::try_from(busy.count()).unwrap_or(threads)
    }

    /// Event's workers look idle while the loop saturates, so the loop's share of work counts, too. A child that takes no
    /// connections has no idle worker, whatever its threads do.
    fn busy_threads(&mut self, place: usize, threads: u32, now: Moment) -> u32 {
        let record = &self.scoreboard.children()[place];
        if record.not_accepting.load(Relaxed) != 0 {
            return threads;
        }
        let since = record.loop_waits_since_ms.load(Relaxed);
        let waiting = if since == 0 { 0 } else { now.millis().saturating_sub(since) };
        let waited = record.loop_waited_ms.load(Relaxed).saturating_add(waiting);
        let jobs = record.jobs.load(Relaxed);
        let busy_permille = self.loop_clocks[place].look(Duration::from_millis(waited), now);
        jobs.max(threads * busy_permille / 1000).min(threads)
    }

    /// Tells one idle child to finish. Who stands inside an accept mutex hears it at once; who queues, at its turn.
    fn retire_one(&mut self) {
        let threads = self.settings().threads_per_child;
        let idle_and_inside = |place: &usize| {
            let record = &self.scoreboard.children()[*place];
            (
                self.busy_slots(*place, threads),
                record.at_gate.load(Relaxed) != 2,
                record.connections.load(Relaxed),
            )
        };
        let counts = self.bucket_counts();
        let richest = counts.iter().copied().max().unwrap_or(0);
        let active = (0..self.children.len()).filter(|place| {
            self.children[*place].as_ref().is_some_and(|child| {
                let is_present = child.generation == self.generation.number;
                // The last one of a bucket stays.
                let can_be_spared =
                    || counts.len() == 1 || richest > 1 && counts[child.bucket] == richest;
                !child.is_finishing() && (!is_present || can_be_spared())
            })
        });
        if let Some(place) = active.min_by_key(idle_and_inside) {
            self.tell_to_finish(place);
        }
    }

    fn tell_to_finish(&mut self, place: usize) {
        if let Some(child) = &mut self.children[place] {
            self.scoreboard.children()[place].finishing.store(1, Relaxed);
            child.hold = None;
        }
    }

    // --- restarts ---

    fn restart(&mut self, how: Restart) -> Life {
        self.program.notice(match how {
            Restart::Graceful => Notice::GracefulRestart,
            Restart::Hard => Notice::HardRestart,
        });
        if self.successor.is_some() {
            // It was handed the listeners as they were.
            self.stop_successor();
            self.program.notice(Notice::UpgradeFailed("a restart was asked for meanwhile"));
        }
        let prepared =
            self.program.prepare(&self.generation.plan.listeners).and_then(|mut plan| {
                self.keep_what_is_fixed(&mut plan.settings);
                plan.settings.make_consistent();
                Generation::new(self.generation.number + 1, plan).map_err(|error| error.to_string())
            });
        let next = match prepared {
            Ok(next) => next,
            Err(reason) => {
                self.program.notice(Notice::ReloadFailed(&reason));
                return Life::GoesOn;
            }
        };
        // From here on nothing can fail but a fork, and what cannot be replaced yet goes on.
        let old: Vec<usize> =
            (0..self.children.len()).filter(|place| self.children[*place].is_some()).collect();
        let active = self.started();
        let former = std::mem::replace(&mut self.generation, next).plan.listeners;
        self.generation.plan.listeners.take_effect();
        (self.young_deaths, self.back_off_secs) = (0, 0);
        self.spawn_not_before = Moment::now();
        match how {
            Restart::Graceful => {
                // First the new ones, then the old ones go: there is no moment in which nobody accepts.
                let all_started = self.begin_generation(active);
                self.give_up(&former);
                if all_started {
                    old.into_iter().for_each(|place| self.tell_to_finish(place));
                } else {
                    let started = self.started() - active;
                    let takers = old.into_iter().filter(|place| {
                        self.children[*place].as_ref().is_some_and(|child| !child.is_finishing())
                    });
                    let replaced: Vec<usize> = takers.take(started as usize).collect();
                    replaced.into_iter().for_each(|place| self.tell_to_finish(place));
                }
                self.spawn_rate.hold_off();
            }
            Restart::Hard => {
                self.kill_all();
                self.generation.plan.listeners.close_others(&former);
                self.begin_generation(0);
            }
        }
        Life::GoesOn
    }

    /// The scoreboard's shape hangs on these: they stay as they are until the server is stopped.
    fn keep_what_is_fixed(&mut self, next: &mut Settings) {
        let present = &self.generation.plan.settings;
        let (model, server_limit, thread_limit) =
            (present.model, present.server_limit, present.thread_limit);
        let mut changed = Vec::new();
        if next.model != model {
            changed.push("the process model");
        }
        if next.server_limit != server_limit {
            changed.push("ServerLimit");
        }
        if next.thread_limit != thread_limit {
            changed.push("ThreadLimit");
        }
        if next.model != model {
            // The numbers of another model mean other things: the present ones stay as well.
            let Settings {
                start_children,
                min_spare,
                max_spare,
                threads_per_child,
                max_children,
                ..
            } = *present;
            next.start_children = start_children;
            next.min_spare = min_spare;
            next.max_spare = max_spare;
            next.threads_per_child = threads_per_child;
            next.max_children = max_children;
        }
        next.model = model;
        next.server_limit = server_limit;
        next.thread_limit = thread_limit;
        next.threads_per_child = next.threads_per_child.min(thread_limit);
        next.max_children = next.max_children.min(server_limit);
        for what in changed {
            self.program.notice(Notice::NeedsFullRestart(what));
        }
    }

    // --- the end ---

    fn stop(&mut self, signal: Signal) -> Life {
        self.program.notice(Notice::Stop(signal));
        self.stop_successor();
        self.kill_all();
        Life::Over
    }

    /// `GracefulShutdownTimeout`, from now.
    fn finish_until(&self) -> Option<Moment> {
        self.settings().graceful_shutdown_timeout.map(|patience| Moment::now() + patience)
    }

    /// Nobody new is let in; who is there is served to the end, or until the time is over.
    fn stop_gracefully(&mut self) -> Life {
        self.program.notice(Notice::GracefulStop);
        self.stop_successor();
        self.scoreboard.set_stage(Stage::Finishing);
        let until = self.finish_until();
        let listeners = self.generation.plan.listeners.clone();
        // The kernel lets no further connections in; those that it has queued are still taken by the children, which
        // also look once more before they go.
        listeners.close_the_queue();
        self.wait_until_drained(|| listeners.are_drained());
        self.scoreboard.global().stopping.store(1, Relaxed);
        self.finish_all(until, &listeners)
    }

    /// Everybody finishes, until the time is over. New clients are refused as soon as nobody waits in a queue.
    fn finish_all(&mut self, until: Option<Moment>, listeners: &Listeners) -> Life {
        for place in 0..self.children.len() {
            self.tell_to_finish(place);
        }
        while self.children.iter().any(Option::is_some) {
            let now = Moment::now();
            if now >= self.next_maintenance {
                self.next_maintenance = now + MAINTENANCE_EVERY;
                let load = self.load(now);
                self.program.tick(load);
            }
            let mut look_again = now + MAINTENANCE_EVERY;
            if listeners.are_drained() {
                listeners.close();
            } else {
                look_again = now + DRAIN_LOOK_EVERY;
            }
            if until.is_some_and(|until| now >= until) {
                self.program.notice(Notice::GracefulStopTimedOut);
                self.kill_all();
                break;
            }
            match self
                .wait_for_signal(until.map_or(look_again, |until| until.min(look_again)), None)
            {
                Some(Signal::SIGCHLD) => {
                    self.reap();
                }
                Some(signal @ (Signal::SIGTERM | Signal::SIGINT)) => return self.stop(signal),
                Some(_) | None => {}
            }
        }
        Life::Over
    }

    /// Kills all children, by SIGTERM, which no child catches; who is stuck in the kernel gets SIGKILL at last.
    fn kill_all(&mut self) {
        let until = Moment::now() + TERM_PATIENCE;
        self.signal_all(Signal::SIGTERM);
        for place in 0..self.children.len() {
            self.tell_to_finish(place);
        }
        self.bury_killed();
        while self.children.iter().any(Option::is_some) && Moment::now() < until {
            let signal = self.wait_for_signal(until.min(Moment::now() + MAINTENANCE_EVERY), None);
            self.postpone(signal);
            self.bury_killed();
        }
        for child in self.children.iter().flatten() {
            self.program.notice(Notice::Killed(child.pid));
        }
        self.signal_all(Signal::SIGKILL);
        self.bury_killed();
    }

    /// An order that came at a bad moment: the strongest one is obeyed next.
    fn postpone(&mut self, signal: Option<Signal>) {
        let strength = |signal: Option<Signal>| match signal {
            Some(Signal::SIGTERM | Signal::SIGINT) => 3,
            Some(Signal::SIGWINCH) => 2,
            Some(Signal::SIGCHLD) | None => 0,
            Some(_) => 1,
        };
        if strength(signal) > strength(self.postponed) {
            self.postponed = signal;
        }
    }

    fn signal_all(&self, signal: Signal) {
        for child in self.children.iter().flatten() {
            // It can only fail because the child is dead already, and then it is about to be reaped.
            let _ = sys::process::signal(child.pid, signal);
        }
    }

    /// As [`reap`](Self::reap), without a word for each: they die as they were told.
    fn bury_killed(&mut self) {
        while let Ok(Some(reaped)) = sys::process::reap() {
            let of_pid = |child: &Option<KnownChild>| {
                child.as_ref().is_some_and(|child| child.pid == reaped.pid)
            };
            if let Some(place) = self.children.iter().position(of_pid) {
                self.children[place] = None;
                self.scoreboard.child_ended(place, Moment::now());
            }
        }
    }
}

/// Measures how busy a loop of the event model is, over half a second at least.
#[derive(Clone, Copy, Debug, Default)]
struct LoopClock {
    /// When it was read last, and how long the loop had waited by then.
    last: Option<(Moment, Duration)>,
    busy_permille: u32,
}

impl LoopClock {
    /// `waited`: how long the loop has waited since its start.
    fn look(&mut self, waited: Duration, now: Moment) -> u32 {
        const WINDOW_MIN: Duration = Duration::from_millis(500);
        match self.last {
            Some((last, waited_then)) if now.since(last) >= WINDOW_MIN => {
                self.busy_permille =
                    busy_permille(now.since(last), waited.saturating_sub(waited_then));
                self.last = Some((now, waited));
            }
            Some(_) => {}
            None => self.last = Some((now, waited)),
        }
        self.busy_permille
    }
}

/// The two restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    /// Connections are served to their end.
    Graceful,
    /// They are cut.
    Hard,
}

/// The life of a child, in the child's process.
fn child_main<S: Service>(
    generation: &Generation<S>,
    scoreboard: &Scoreboard,
    (place, bucket): (usize, usize),
    orders: OwnedFd,
    demand: Option<&EventFd>,
) -> io::Result<Exit> {
    let plan = &generation.plan;
    let context = ChildContext {
        number: place,
        generation: generation.number,
        model: plan.settings.model,
        bucket,
        listeners: plan.listeners.bucket(bucket),
    };
    plan.service.child_init(&context)?;
    let child = Child {
        service: &*plan.service,
        settings: &plan.settings,
        context,
        gate: &*generation.gates[bucket],
        scoreboard,
        orders: Orders::new(orders)?,
        demand,
        accepted: AtomicU64::new(0),
        connections_max: recycling::connections_max(&plan.settings, place),
    };
    let exit = match plan.settings.model {
        Model::Prefork => prefork::child_main(&child),
        Model::Worker => worker::child_main(&child),
        Model::Event => event::child_main(&child),
    };
    plan.service.child_exit(&child.context);
    exit
}

/// Under memory pressure a child should go before its supervisor, and before a neighbour's database.
fn offer_to_the_oom_killer() {
    const A_LITTLE: i32 = 100;
    const PATH: &str = "/proc/self/oom_score_adj";
    let present =
        std::fs::read_to_string(PATH).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if let Some(present) = present {
        // Raising needs no right; where it fails all the same, the server is as it was without.
        let _ = std::fs::write(PATH, (present + A_LITTLE).min(1000).to_string());
    }
}

/// A child has no handlers. TERM kills it, as it should; what a terminal sends to all that run on it is for the supervisor.
fn release_signals() -> io::Result<()> {
    const IGNORED: [Signal; 5] =
        [Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH];
    for signal in IGNORED {
        sys::signals::ignore(signal)?;
    }
    sys::signals::restore_default(Signal::SIGTERM)?;
    sys::signals::unblock_all()
}

fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
