//! Upkeep: once a second, and whenever the last idle worker is taken.
//!
//! ```text
//!   scoreboard ─▶ idle, busy ─▶ maintenance (pure) ─▶ spawn, retire one, nothing
//!              ─▶ all busy?  ─▶ saturation: say why
//!   /proc      ─▶ sizes      ─▶ a child too large, or too many of them?
//! ```

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::{Life, Notice, Program, Supervisor};
use crate::event::busy_permille;
use crate::maintenance::{Decision, Limits, Load};
use crate::saturation::{self, Work};
use crate::scoreboard::State;
use crate::{Model, Moment, Settings, SpawnPolicy, memory};

/// How often the most children are computed from what they measure.
pub(super) const FIT_EVERY: Duration = Duration::from_secs(60);

impl<P: Program> Supervisor<P> {
    pub(super) fn maintain(&mut self) -> Life {
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
        self.relieve_full_buckets(now);
        self.await_demand(load);
        Life::GoesOn
    }

    /// The last idle worker was taken: the next doubling step is taken at once, not within a second.
    pub(super) fn meet_demand(&mut self) -> Life {
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

    pub(super) fn limits(&self) -> Limits {
        let Settings { min_spare, max_spare, max_children, .. } = *self.settings();
        Limits { min_spare, max_spare, max_children }
    }

    pub(super) fn spawn_more(&mut self, children: u32, seems_busy: bool, load: Load) {
        if seems_busy {
            let (idle, total) = (load.idle, load.children);
            self.program.notice(Notice::SeemsBusy { spawning: children, idle, total });
        }
        self.spawn(children);
    }

    pub(super) fn say_limit_reached(&mut self, load: Load) {
        if load.idle == 0 && !std::mem::replace(&mut self.limit_reached_said, true) {
            self.program.notice(Notice::LimitReached);
        }
    }

    /// Sets the hint right that tells workers when to wake us. Where no child could be added, nobody needs to.
    pub(super) fn await_demand(&self, load: Load) {
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
    pub(super) fn started(&self) -> u32 {
        let started = self.children.iter().flatten().filter(|child| !child.is_finishing());
        u32::try_from(started.count()).unwrap_or(u32::MAX)
    }

    /// Says when all workers have become busy, why, and when that is over.
    pub(super) fn watch_saturation(&mut self, load: Load, now: Moment) {
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
    pub(super) fn note_queue(&self) {
        let global = self.scoreboard.global();
        let listeners = self.generation.plan.listeners.sockets();
        let queues: Vec<_> = listeners.filter_map(|listener| listener.queue().ok()).collect();
        global.queue_waiting.store(queues.iter().map(|queue| queue.waiting).sum(), Relaxed);
        global.queue_limit.store(queues.iter().map(|queue| queue.limit).sum(), Relaxed);
        global.children_max.store(self.settings().max_children, Relaxed);
    }

    /// What the workers are busy with, and what more of them would cost.
    pub(super) fn work(&self) -> Work {
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
        let listeners = self.generation.plan.listeners.sockets();
        work.queued = listeners.filter_map(|it| it.queue().ok()).map(|queue| queue.waiting).sum();
        work
    }

    /// `MaxRequestWorkers auto`: how many children fit, by the size that nearly all of them stay below.
    pub(super) fn fit_into_memory(&mut self, now: Moment) {
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
    pub(super) fn watch_memory(&mut self) {
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
    pub(super) fn load(&mut self, now: Moment) -> Load {
        let model = self.settings().model;
        let threads = self.settings().threads_per_child;
        let mut load = Load { idle: 0, busy: 0, children: 0, free_places: 0 };
        self.idle_by_bucket.fill(0);
        for place in 0..self.children.len() {
            let Some(child) = &self.children[place] else {
                load.free_places += 1;
                continue;
            };
            let bucket = (child.generation == self.generation.number).then_some(child.bucket);
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
            if let Some(bucket) = bucket {
                self.idle_by_bucket[bucket] += threads - busy;
            }
        }
        load
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

    /// Tells one idle child to finish. Who stands inside an accept mutex hears it at once; who queues, at its turn.
    pub(super) fn retire_one(&mut self) {
        let threads = self.settings().threads_per_child;
        let idle_and_inside = |place: &usize| {
            let record = &self.scoreboard.children()[*place];
            (
                self.busy_slots(*place, threads),
                record.at_gate.load(Relaxed) != 2,
                record.connections.load(Relaxed),
            )
        };
        let richest = self.richest_bucket();
        let active = (0..self.children.len()).filter(|place| {
            self.children[*place].as_ref().is_some_and(|child| {
                let is_present = child.generation == self.generation.number;
                !child.is_finishing() && (!is_present || richest == Some(child.bucket))
            })
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
