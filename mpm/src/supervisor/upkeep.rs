//! Upkeep: once a second, and whenever the last idle worker of a bucket is taken.
//!
//! ```text
//!   scoreboard ─▶ idle, busy, for each bucket ─▶ maintenance (pure) ─▶ spawn, retire one, nothing
//!                            └─▶ none idle? the bucket's listeners go into the overflow: the others help
//!              ─▶ all busy?  ─▶ saturation: say why
//!   /proc      ─▶ sizes      ─▶ a child too large, or too many of them?
//! ```

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::deaths::may_start;
use super::{Generation, Life, Notice, Program, Supervisor};
use crate::demand::Hint;
use crate::event::busy_permille;
use crate::maintenance::{Decision, Limits, Load, Occasion};
use crate::memory::{Size, children_that_fit};
use crate::saturation::{self, QueueWaits, Work};
use crate::scoreboard::{State, add};
use crate::{Model, Moment, Settings, SpawnPolicy};

impl<P: Program> Supervisor<P> {
    pub(super) fn maintain(&mut self) -> Life {
        let now = Moment::now();
        self.note_queue(now);
        let loads = self.loads(now);
        let load = loads.iter().sum();
        self.program.tick(load);
        self.replace_old();
        self.watch_saturation(load, now);
        self.watch_memory();
        if self.fitting.is_due(now) {
            self.fit_into_memory();
        }
        if may_start(now, self.spawn_not_before, self.started()) {
            let decided = self.decide(&loads, Occasion::Second);
            if decided.iter().all(|(_, decision)| *decision == Decision::Nothing) {
                (self.young_deaths, self.back_off_secs) = (0, 0);
            }
            self.obey(decided, load);
            if self.started() == 0 {
                self.spawn(1); // Whatever the spare limits say: a server has a child.
            }
        }
        self.settle(&loads);
        Life::GoesOn
    }

    /// The last idle worker of a bucket was taken: the next doubling step is taken at once, not within a second, and the
    /// other buckets' children help.
    pub(super) fn meet_demand(&mut self) -> Life {
        let now = Moment::now();
        let loads = self.loads(now);
        if now >= self.spawn_not_before && self.settings().spawn_policy == SpawnPolicy::OnDemand {
            let wanted = self.children_wanted(&loads);
            let decided = self.decide(&loads, Occasion::Demand(&wanted));
            let spawning =
                |(_, decision): &(usize, Decision)| matches!(decision, Decision::Spawn { .. });
            self.obey(decided.into_iter().filter(spawning), loads.iter().sum());
        }
        self.settle(&loads);
        Life::GoesOn
    }

    fn decide(&mut self, loads: &[Load], occasion: Occasion<'_>) -> Vec<(usize, Decision)> {
        let Settings { min_spare, max_spare, max_children, threads_per_child, .. } =
            *self.settings();
        let limits = Limits { min_spare, max_spare, max_children };
        self.spawn_rates.decide(loads, limits, threads_per_child, occasion)
    }

    fn obey(&mut self, decided: impl IntoIterator<Item = (usize, Decision)>, load: Load) {
        for (bucket, decision) in decided {
            match decision {
                Decision::Nothing => {}
                Decision::RetireOne => self.retire_one(bucket),
                Decision::Spawn { children, seems_busy } => {
                    if seems_busy {
                        let (idle, total) = (load.idle, load.children);
                        self.program.notice(Notice::SeemsBusy { spawning: children, idle, total });
                    }
                    self.spawn_for(Some(bucket), children);
                }
                Decision::LimitReached => self.say_limit_reached(load),
                Decision::NoPlace => self.program.notice(Notice::ScoreboardFull),
            }
        }
    }

    fn say_limit_reached(&mut self, load: Load) {
        if load.idle == 0 && !std::mem::replace(&mut self.limit_reached_said, true) {
            self.program.notice(Notice::LimitReached);
        }
    }

    /// Has the others help a bucket that was found full, and decides who may wake us. Where nothing more can be done,
    /// nobody needs to.
    fn settle(&mut self, loads: &[Load]) {
        let room = self.started() < self.settings().max_children
            && self.children.iter().any(Option::is_none);
        let can_fork = room && self.settings().spawn_policy == SpawnPolicy::OnDemand;
        let Generation { overflow, demand, .. } = &mut self.generation;
        for (bucket, hint) in demand.hints().iter().enumerate() {
            if let Some(overflow) = overflow {
                overflow.set_open(bucket, loads[bucket].idle == 0);
            }
            let has_idle = self.idle_by_bucket[bucket] > 0; // Those included that were forked a moment ago.
            if !has_idle || !(can_fork || overflow.is_some()) {
                hint.await_nothing();
            }
        }
    }

    /// Children that take connections, those included that were forked a moment ago.
    pub(super) fn started(&self) -> u32 {
        let started = self.children.iter().flatten().filter(|child| !child.is_finishing());
        u32::try_from(started.count()).unwrap_or(u32::MAX)
    }

    /// Says when all workers have become busy, why, and when that is over.
    pub(super) fn watch_saturation(&mut self, load: Load, now: Moment) {
        let saturated = load.children > 0 && load.idle == 0;
        match self.saturation.watch(saturated, now) {
            saturation::News::None => {}
            saturation::News::Suspected => {
                self.queue_before = Some(self.scoreboard.look_at_queue());
            }
            saturation::News::Begun => {
                let work = self.work();
                self.program.notice(Notice::Saturated(&work));
            }
            saturation::News::Over(lasted) => {
                self.program.notice(Notice::SaturationOver { lasted, waits: self.recent_waits() });
            }
        }
    }

    /// How long clients waited to be let in since all workers became busy.
    fn recent_waits(&self) -> QueueWaits {
        let now = self.scoreboard.look_at_queue();
        self.queue_before
            .as_ref()
            .map_or_else(QueueWaits::default, |before| QueueWaits::between(before, &now))
    }

    /// How many connections wait to be accepted, and how many children may come to help, for whoever looks.
    pub(super) fn note_queue(&mut self, now: Moment) {
        let elapsed = now.since(std::mem::replace(&mut self.queue_seen, now));
        let global = self.scoreboard.global();
        let listeners = self.generation.plan.listeners.sockets();
        let queues: Vec<_> = listeners.filter_map(|listener| listener.queue().ok()).collect();
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let waiting: u32 = queues.iter().map(|queue| queue.waiting).sum();
        global.queue_waiting.store(waiting, Relaxed);
        global.queue_limit.store(queues.iter().map(|queue| queue.limit).sum(), Relaxed);
        add(&global.queue_wait_ms, millis.saturating_mul(u64::from(waiting)));
        global.children_max.store(self.settings().max_children, Relaxed);
    }

    /// What the workers are busy with, and what more of them would cost.
    pub(super) fn work(&self) -> Work {
        let mut work =
            Work { at_limit: self.started() >= self.settings().max_children, ..Work::default() };
        let mut bytes = Vec::new();
        for (place, child) in self.children.iter().enumerate() {
            let Some(child) = child else { continue };
            bytes.extend(Size::of(child.pid).map(Size::whole));
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
        let listeners = self.generation.plan.listeners.sockets();
        work.waits = self.recent_waits();
        work.queued = listeners.filter_map(|it| it.queue().ok()).map(|queue| queue.waiting).sum();
        work
    }

    /// `MaxRequestWorkers auto`: how many children fit, by the size that nearly all of them stay below. Who has served
    /// nobody yet has not its size yet. Each bucket needs a child, whatever fits.
    pub(super) fn fit_into_memory(&mut self) {
        let Some(budget) = self.settings().memory_for_children else { return };
        let served = self.children.iter().enumerate().filter(|(place, _)| self.has_served(*place));
        let sizes = served.filter_map(|(_, child)| Some(Size::of(child.as_ref()?.pid)?.whole()));
        let sizes = sizes.collect();
        let present = self.settings().max_children;
        let Some((fit, child_bytes)) = children_that_fit(budget, sizes, present) else { return };
        let most = self.settings().server_limit;
        let buckets = u32::try_from(self.generation.plan.listeners.buckets()).unwrap_or(most);
        let children = fit.clamp(buckets.clamp(1, most), most);
        if children == present {
            return;
        }
        self.generation.plan.settings.max_children = children;
        let workers = children * self.settings().threads_per_child;
        self.program.notice(Notice::LimitByMemory { budget, child_bytes, fit, children, workers });
    }

    /// Lets the child finish that has grown most, if it has grown too much: one a second, so that a leak that all
    /// children share does not end them all at once. Its successor starts first. Who has served nobody yet has not
    /// grown, and a successor would be as large: there the limit is too low for any child, and an idle server must
    /// not replace one a second for ever.
    pub(super) fn watch_memory(&mut self) {
        let Some(max) = self.settings().max_memory_per_child else { return };
        let active = self.children.iter().enumerate().filter_map(|(place, child)| {
            let child = child.as_ref().filter(|child| !child.is_finishing())?;
            let size = Size::of(child.pid).filter(|_| self.has_served(place))?;
            Some((size.anonymous, place, child.pid))
        });
        let Some((bytes, place, pid)) = active.max().filter(|(bytes, ..)| *bytes > max) else {
            return;
        };
        self.program.notice(Notice::ChildTooLarge { pid, bytes });
        self.spawn(1);
        self.tell_to_finish(place);
    }

    fn has_served(&self, place: usize) -> bool {
        self.scoreboard.children()[place].accepted.load(Relaxed) > 0
    }

    /// All buckets' workers, by what they do.
    pub(super) fn load(&mut self, now: Moment) -> Load {
        self.loads(now).iter().sum()
    }

    /// Counts each bucket's workers by what they do. The numbers come from the children: a wrong one can make a child too
    /// many, within the limits, and nothing worse.
    fn loads(&mut self, now: Moment) -> Vec<Load> {
        let model = self.settings().model;
        let threads = self.settings().threads_per_child;
        let hints = self.generation.demand.hints();
        let noted: Vec<i32> = hints.iter().map(Hint::begin_to_count).collect();
        let free = self.children.iter().filter(|child| child.is_none()).count();
        let free_places = u32::try_from(free).unwrap_or(u32::MAX);
        let mut loads = vec![Load { idle: 0, busy: 0, children: 0, free_places }; noted.len()];
        for place in 0..self.children.len() {
            let Some(child) = &self.children[place] else { continue };
            // A former generation's child that still takes connections shares the sockets of its number.
            let bucket = child.bucket % loads.len();
            let retires = self.scoreboard.children()[place].retiring.load(Relaxed) != 0;
            if child.is_finishing() || retires {
                continue; // It takes no connections any more.
            }
            let busy = match model {
                Model::Prefork | Model::Worker => self.busy_slots(place, threads),
                Model::Event => self.busy_threads(place, threads, now),
            };
            let load = &mut loads[bucket];
            load.children += 1;
            load.busy += busy;
            load.idle += threads - busy;
        }
        self.idle_by_bucket = loads.iter().map(|load| load.idle).collect();
        for ((hint, noted), load) in self.generation.demand.hints().iter().zip(noted).zip(&loads) {
            hint.set_right(noted, load.idle);
        }
        loads
    }

    /// A starting worker counts as idle on purpose: it will be, soon.
    pub(super) fn busy_slots(&self, place: usize, threads: u32) -> u32 {
        let slots = &self.scoreboard.slots(place)[..threads as usize];
        let busy =
            slots.iter().filter(|slot| !matches!(slot.state(), State::Starting | State::Ready));
        u32::try_from(busy.count()).unwrap_or(threads)
    }

    /// Event's workers look idle while the loop saturates, so the loop's share of work counts, too. A child that takes no
    /// connections has no idle worker, whatever its threads do.
    pub(super) fn busy_threads(&mut self, place: usize, threads: u32, now: Moment) -> u32 {
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

    /// Tells one idle child of a bucket to finish. Who stands inside an accept mutex hears it at once; who queues, at its turn.
    pub(super) fn retire_one(&mut self, bucket: usize) {
        let threads = self.settings().threads_per_child;
        let idle_and_inside = |place: &usize| {
            let record = &self.scoreboard.children()[*place];
            (
                self.busy_slots(*place, threads),
                record.at_gate.load(Relaxed) != 2,
                record.connections.load(Relaxed),
            )
        };
        let buckets = self.generation.plan.listeners.buckets();
        let active = (0..self.children.len()).filter(|place| {
            self.children[*place]
                .as_ref()
                .is_some_and(|child| !child.is_finishing() && child.bucket % buckets == bucket)
        });
        if let Some(place) = active.min_by_key(idle_and_inside) {
            self.tell_to_finish(place);
        }
    }

    pub(super) fn tell_to_finish(&mut self, place: usize) {
        if let Some(child) = &mut self.children[place] {
            self.scoreboard.children()[place].finishing.store(1, Relaxed);
            child.hold = None;
        }
    }
}

/// Measures how busy a loop of the event model is, over half a second at least.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoopClock {
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
