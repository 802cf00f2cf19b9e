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

mod births;
mod deaths;
mod notice;
mod queues;
mod single;
mod succession;
mod upkeep;

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use herdgate_sys as sys;
use sys::EventFd;
use sys::poll::{Interest as PollInterest, PollEntry, poll};
use sys::process::Pid;
use sys::signals::{Signal, SignalFd, SignalSet};

pub use notice::{ChildNotice, Notice, StartError};
pub use single::run_single;

use crate::demand::Demand;
use crate::gate::Gate;
use crate::listen::{Listeners, Overflow};
use crate::maintenance::{Load, SpawnRates};
use crate::memory::Fitting;
use crate::saturation::Saturation;
use crate::scoreboard::{QueueLook, Scoreboard, Stage};
use crate::upgrade::{self, Successor};
use crate::{Moment, Service, Settings};
use upkeep::LoopClock;

/// How often the number of children is looked at.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(1);
/// How long children that were killed by SIGTERM may take, before SIGKILL.
const TERM_PATIENCE: Duration = Duration::from_secs(9);
/// How long a child may take to die of SIGKILL: it may have much memory to give back, or wait for a dead disk.
const KILL_PATIENCE: Duration = Duration::from_secs(2);
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
        postponed: Vec::new(),
        demand: EventFd::new().map_err(doing("eventfd"))?,
        scoreboard,
        generation,
        children: (0..places).map(|_| None).collect(),
        spawn_rates: SpawnRates::default(),
        started: SystemTime::now(),
        next_maintenance: Moment::now() + MAINTENANCE_EVERY,
        young_deaths: 0,
        back_off_secs: 0,
        spawn_not_before: Moment::now(),
        limit_reached_said: false,
        saturation: Saturation::default(),
        queue_seen: Moment::now(),
        queue_before: None,
        fitting: Fitting::new(Moment::now()),
        loop_clocks: vec![LoopClock::default(); places],
        wanted_at_first: 0,
        idle_by_bucket: Vec::new(),
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

/// One life of the configuration.
struct Generation<S> {
    number: u32,
    plan: Plan<S>,
    /// One for each bucket: who waits for its sockets must not keep others from theirs.
    gates: Vec<Arc<dyn Gate>>,
    /// How its children wake us.
    demand: Demand,
    /// Full buckets' listeners, if there are several buckets.
    overflow: Option<Overflow>,
}

impl<S> Generation<S> {
    fn new(number: u32, plan: Plan<S>) -> io::Result<Self> {
        let create = |_bucket| Ok(plan.settings.gate.create(&plan.settings)?.into());
        let buckets = plan.listeners.buckets();
        let gates = (0..buckets).map(create).collect::<io::Result<_>>()?;
        let (demand, overflow) = (Demand::new(buckets)?, Overflow::new(&plan.listeners)?);
        Ok(Self { number, plan, gates, demand, overflow })
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
    /// What came while we could not act on it, each order once.
    postponed: Vec<Signal>,
    /// Children wake us by it when the last idle worker is taken.
    demand: EventFd,
    scoreboard: Scoreboard,
    generation: Generation<P::Service>,
    /// By place on the scoreboard.
    children: Vec<Option<KnownChild>>,
    spawn_rates: SpawnRates,
    started: SystemTime,
    next_maintenance: Moment,
    young_deaths: u32,
    back_off_secs: u32,
    spawn_not_before: Moment,
    limit_reached_said: bool,
    saturation: Saturation,
    /// When the queue's length was looked at last.
    queue_seen: Moment,
    /// The queue as it was when the last idle worker became busy.
    queue_before: Option<QueueLook>,
    /// When the most children are computed from their sizes again.
    fitting: Fitting,
    /// How busy event's loops are.
    loop_clocks: Vec<LoopClock>,
    /// Children that this generation begins with.
    wanted_at_first: u32,
    /// Idle workers of each bucket of this generation, as of the last look, and those that were started since.
    idle_by_bucket: Vec<u32>,
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
                Event::Signal(signal @ Signal::SIGWINCH) => self.stop_gracefully(signal),
                // Containers and service managers say TERM and wait: a limit for a graceful stop makes it one.
                Event::Signal(Signal::SIGTERM)
                    if self.settings().graceful_shutdown_timeout.is_some() =>
                {
                    self.stop_gracefully(Signal::SIGTERM)
                }
                Event::Signal(Signal::SIGUSR2) => self.upgrade(),
                Event::Signal(signal) => self.stop(signal),
                Event::Demand => self.meet_demand(),
                Event::Successor(outcome) => self.hand_over(outcome),
                Event::Second => {
                    let life = self.maintain();
                    // From now, not from when it was due: a machine that slept has not missed thousands of seconds.
                    self.next_maintenance = Moment::now() + MAINTENANCE_EVERY;
                    life
                }
            };
            if life == Life::Over {
                return;
            }
        }
    }

    fn next_event(&mut self) -> Event {
        if let Some(signal) = self.take_postponed() {
            return Event::Signal(signal);
        }
        loop {
            // First, for there may be children that die, or people who send signals, without a pause.
            if Moment::now() >= self.next_maintenance {
                return Event::Second;
            }
            if let Some(signal) = self.wait_for_signal(self.next_maintenance, Some(&self.demand)) {
                return Event::Signal(signal);
            }
            if let Some(outcome) = self.successor.as_mut().and_then(Successor::hear) {
                return Event::Successor(outcome);
            }
            if matches!(self.demand.drain(), Ok(true)) {
                return Event::Demand;
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
        let mut kept = Vec::new();
        let prepared =
            self.program.prepare(&self.generation.plan.listeners).and_then(|mut plan| {
                kept = plan.settings.keep_what_is_fixed(self.settings());
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
        let active = self.started();
        let former = std::mem::replace(&mut self.generation, next).plan;
        self.generation.plan.listeners.take_effect();
        self.program.notice(Notice::Reloaded { kept: &kept });
        if former.settings.threads_per_child == self.settings().threads_per_child {
            // What the old children measure is known, and better than an estimate.
            self.fit_into_memory();
        }
        self.fitting = Fitting::new(Moment::now());
        (self.young_deaths, self.back_off_secs) = (0, 0);
        self.spawn_not_before = Moment::now();
        match how {
            Restart::Graceful => {
                // First the new ones, then the old ones go: there is no moment in which nobody accepts.
                self.begin_generation(active);
                self.give_up(&former.listeners);
                self.replace_old();
                self.spawn_rates.hold_off();
            }
            Restart::Hard => {
                self.kill_all();
                self.generation.plan.listeners.close_others(&former.listeners);
                self.begin_generation(0);
            }
        }
        Life::GoesOn
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
    fn stop_gracefully(&mut self, signal: Signal) -> Life {
        self.program.notice(Notice::GracefulStop(signal));
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
            let look_again = until.map_or(look_again, |until| until.min(look_again));
            match self.take_postponed().or_else(|| self.wait_for_signal(look_again, None)) {
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
        self.signal_all(Signal::SIGTERM);
        for place in 0..self.children.len() {
            self.tell_to_finish(place);
        }
        self.bury_killed_within(TERM_PATIENCE);
        for child in self.children.iter().flatten() {
            self.program.notice(Notice::Killed(child.pid));
        }
        self.signal_all(Signal::SIGKILL);
        self.bury_killed_within(KILL_PATIENCE);
    }

    /// An order that came at a bad moment is obeyed later. (Who died is looked for anyway.)
    fn postpone(&mut self, signal: Option<Signal>) {
        if let Some(signal) = signal.filter(|signal| *signal != Signal::SIGCHLD)
            && !self.postponed.contains(&signal)
        {
            self.postponed.push(signal);
        }
    }

    /// The first order that is due: the end does not wait for new beginnings.
    fn take_postponed(&mut self) -> Option<Signal> {
        let urgency = |index: &usize| {
            let is = |signals: &[Signal]| signals.contains(&self.postponed[*index]);
            (!is(&[Signal::SIGTERM, Signal::SIGINT]), !is(&[Signal::SIGWINCH]))
        };
        let first = (0..self.postponed.len()).min_by_key(urgency)?;
        Some(self.postponed.remove(first))
    }

    fn signal_all(&self, signal: Signal) {
        for child in self.children.iter().flatten() {
            // It can only fail because the child is dead already, and then it is about to be reaped.
            let _ = sys::process::signal(child.pid, signal);
        }
    }

    fn bury_killed_within(&mut self, patience: Duration) {
        let until = Moment::now() + patience;
        self.bury_killed();
        while self.children.iter().any(Option::is_some) && Moment::now() < until {
            let signal = self.wait_for_signal(until.min(Moment::now() + MAINTENANCE_EVERY), None);
            self.postpone(signal);
            self.bury_killed();
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

/// The two restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    /// Connections are served to their end.
    Graceful,
    /// They are cut.
    Hard,
}

fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
