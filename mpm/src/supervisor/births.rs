//! Births: forking children, and what they do first.
//!
//! ```text
//!   pipe, place on the scoreboard ─▶ fork ─┬─ parent: remembers pid and pipe
//!                                          └─ child: drops what is its parent's ─▶ privileges ─▶ its model ─▶ exit
//! ```
//!
//! - A child never returns into its parent's code, not even by a panic.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use herdgate_sys as sys;
use sys::EventFd;
use sys::process::Fork;
use sys::signals::Signal;

use super::upkeep::LoopClock;
use super::{ChildNotice, Generation, KnownChild, Notice, Program, Supervisor, unix_secs};
use crate::child::{Child, ChildContext, Exit, Orders};
use crate::scoreboard::{Label, Scoreboard, Stage};
use crate::{Model, Moment, Service, event, prefork, recycling, worker};

impl<P: Program> Supervisor<P> {
    /// Starts the children of a new generation: as many as the administrator wants, or as were there, so far as there
    /// are places.
    pub(super) fn begin_generation(&mut self, children_before: u32) {
        let buckets = self.generation.plan.listeners.buckets();
        self.idle_by_bucket = vec![0; buckets];
        self.spawn_rates.begin_generation(buckets);
        let global = self.scoreboard.global();
        global.generation.store(self.generation.number, Relaxed);
        global.restarted_unix_secs.store(unix_secs(SystemTime::now()), Relaxed);
        let settings = self.settings();
        global.threads_per_child.store(settings.threads_per_child, Relaxed);
        let wanted = settings.start_children.max(children_before).min(settings.max_children);
        self.wanted_at_first = wanted;
        self.spawn(wanted);
        self.note_queue(Moment::now());
        self.label_scoreboard();
        self.scoreboard.set_stage(Stage::Serving);
        self.program.notice(Notice::Resuming);
    }

    /// Says on the scoreboard what stands before accept, and where.
    pub(super) fn label_scoreboard(&self) {
        self.scoreboard.set_label(Label::Gate, &self.settings().gate.to_string());
        let listeners = self.generation.plan.listeners.sockets();
        let mut addresses: Vec<String> =
            listeners.map(|listener| listener.address().to_string()).collect();
        addresses.dedup(); // Each bucket has its own listener.
        self.scoreboard.set_label(Label::Listen, &addresses.join(" "));
    }

    /// Forks so many children, as far as there are places, and says how many.
    pub(super) fn spawn(&mut self, count: u32) -> u32 {
        self.spawn_for(None, count)
    }

    /// As [`spawn`](Self::spawn), all for one bucket, or each for the poorest.
    pub(super) fn spawn_for(&mut self, bucket: Option<usize>, count: u32) -> u32 {
        for started in 0..count {
            let Some(place) = self.free_place() else { return started };
            let bucket = bucket.unwrap_or_else(|| self.poorest_bucket());
            if let Err(error) = self.spawn_at(place, bucket) {
                self.spawn_rates.reset();
                self.program.notice(Notice::ForkFailed(&error));
                return started; // The next second tries again.
            }
        }
        count
    }

    /// A place on the scoreboard for another child. Where memory sets the limit, those that finish count as well, for
    /// they still have theirs: a graceful restart of a full server would need twice as much. A tenth more than the
    /// limit may be there at once, out of the reserve, so that successors can start first; the other ones follow as old
    /// children end.
    fn free_place(&self) -> Option<usize> {
        let settings = self.settings();
        let beyond = (settings.max_children / 10).max(1);
        let most = settings
            .memory_for_children
            .map_or(self.children.len(), |_| settings.max_children.saturating_add(beyond) as usize);
        let there = self.children.iter().flatten().count();
        (there < most).then(|| self.children.iter().position(Option::is_none))?
    }

    /// Tells old children to finish, so far as successors stand in for them. Where places are short, the others go on
    /// taking connections, and are replaced one for one as places become free.
    pub(super) fn replace_old(&mut self) {
        let present = self.generation.number;
        let is_old = |child: &KnownChild| !child.is_finishing() && child.generation != present;
        while let Some(old) =
            self.children.iter().position(|child| child.as_ref().is_some_and(is_old))
        {
            if self.started() <= self.wanted_at_first && self.spawn(1) == 0 {
                return;
            }
            self.tell_to_finish(old);
        }
    }

    pub(super) fn spawn_at(&mut self, place: usize, bucket: usize) -> io::Result<()> {
        let now = Moment::now();
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
                let workers = self.settings().threads_per_child;
                self.idle_by_bucket[bucket] += workers;
                self.generation.demand.hints()[bucket].add_workers(workers);
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
    pub(super) fn become_child(&mut self, place: usize, bucket: usize, orders: OwnedFd) -> ! {
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
}

/// The life of a child, in the child's process.
pub(super) fn child_main<S: Service>(
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
        scoreboard: scoreboard.clone(),
    };
    let gate = &*generation.gates[bucket];
    gate.child_begins()?;
    plan.service.child_init(&context)?;
    let child = Child {
        service: &*plan.service,
        settings: &plan.settings,
        context,
        gate,
        scoreboard,
        orders: Orders::new(orders)?,
        demand,
        hint: &generation.demand.hints()[bucket],
        overflow: generation.overflow.as_ref(),
        accepted: AtomicU64::new(0),
        shortage_said: Mutex::default(),
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
pub(super) fn offer_to_the_oom_killer() {
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
pub(super) fn release_signals() -> io::Result<()> {
    const IGNORED: [Signal; 5] =
        [Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH];
    for signal in IGNORED {
        sys::signals::ignore(signal)?;
    }
    sys::signals::restore_default(Signal::SIGTERM)?;
    sys::signals::unblock_all()
}
