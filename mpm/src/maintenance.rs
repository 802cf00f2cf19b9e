//! How many children there should be: a pure decision, taken once a second.
//!
//! ```text
//!   idle workers   < MinSpare            > MaxSpare           between
//!   decision       spawn 1, 2, 4 … 32    retire one child     nothing
//!   next rate      doubles               1                    1
//! ```
//!
//! - Idle is counted in workers (processes in prefork, threads elsewhere), and children are forked, so that one
//!   decision serves all three models.
//! - The whole rate is forked, not just what is missing: a burst is expected to go on (Apache, unlike PHP-FPM).
//! - More children than the limit are retired as well, one a second: it may have been lowered since they were forked.
//! - After a graceful restart the rate is held for [`HOLD_OFF_AFTER_RESTART`] seconds: the first numbers mean little.
//! - Each bucket is looked at by itself, with its share of the spare limits and a rate of its own. The most children is
//!   a limit for all together, and the bucket with the fewest idle workers is served first.
//!
//! Source: Apache's `perform_idle_server_maintenance` in all three of its models.

use std::iter::Sum;

/// The steepest that spawning gets, in children a second of all buckets together.
const RATE_MAX: u32 = 32;
/// From this rate on, the server says that it seems busy.
const RATE_BUSY: u32 = 8;
/// Seconds after a graceful restart in which the rate does not double.
pub const HOLD_OFF_AFTER_RESTART: u32 = 10;

/// What the scoreboard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Workers that wait for a connection, those of starting children included.
    pub idle: u32,
    /// Workers that serve.
    pub busy: u32,
    /// Children that take new connections.
    pub children: u32,
    /// Places for further children, whatever the limit says: old generations may still hold some.
    pub free_places: u32,
}

impl<'a> Sum<&'a Load> for Load {
    /// All buckets together. Places belong to no bucket.
    fn sum<I: Iterator<Item = &'a Self>>(loads: I) -> Self {
        let none = Self { idle: 0, busy: 0, children: 0, free_places: 0 };
        loads.fold(none, |sum, load| Self {
            idle: sum.idle + load.idle,
            busy: sum.busy + load.busy,
            children: sum.children + load.children,
            free_places: load.free_places,
        })
    }
}

/// What the administrator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fewer idle workers than this make more children.
    pub min_spare: u32,
    /// More idle workers than this retire a child.
    pub max_spare: u32,
    /// The most children that take new connections.
    pub max_children: u32,
}

impl Limits {
    /// What one bucket of several gets of the spare limits. There is always room for a whole child between the two, so
    /// that none is retired that would be missed at once.
    #[must_use]
    pub fn share(self, buckets: u32, threads_per_child: u32) -> Self {
        if buckets == 1 {
            return self;
        }
        let min_spare = self.min_spare.div_ceil(buckets);
        let max_spare = (self.max_spare / buckets).max(min_spare + threads_per_child);
        Self { min_spare, max_spare, ..self }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// All is well.
    Nothing,
    /// Tell one idle child to finish.
    RetireOne,
    /// Fork so many children.
    Spawn {
        /// How many.
        children: u32,
        /// The rate has become so high that the spare settings are worth a look.
        seems_busy: bool,
    },
    /// More children are needed, and the limit is reached.
    LimitReached,
    /// More children are needed, the limit allows them, but children that finish hold all places.
    NoPlace,
}

/// Why somebody decides just now.
#[derive(Clone, Copy, Debug)]
pub enum Occasion<'a> {
    /// A second has passed.
    Second,
    /// The last idle worker of a bucket was taken. For each bucket: how many children those need who wait in its queue.
    Demand(&'a [u32]),
}

/// The spawn rates, one for each bucket. They have a memory.
#[derive(Clone, Debug, Default)]
pub struct SpawnRates(Vec<SpawnRate>);

impl SpawnRates {
    /// A generation with so many buckets begins.
    pub fn begin_generation(&mut self, buckets: usize) {
        self.0.resize(buckets, SpawnRate::default());
    }

    /// A graceful restart has begun.
    pub fn hold_off(&mut self) {
        self.0.iter_mut().for_each(|rate| rate.hold_off = HOLD_OFF_AFTER_RESTART);
    }

    /// Resources are short: begin again at one a second.
    pub fn reset(&mut self) {
        self.0.iter_mut().for_each(|rate| rate.rate = 1);
    }

    /// Decides for each bucket, the one with the fewest idle workers first: it gets what there is.
    pub fn decide(
        &mut self,
        loads: &[Load],
        limits: Limits,
        threads_per_child: u32,
        occasion: Occasion<'_>,
    ) -> Vec<(usize, Decision)> {
        let all: Load = loads.iter().sum();
        let buckets = u32::try_from(loads.len()).unwrap_or(u32::MAX);
        let share = limits.share(buckets, threads_per_child);
        let rate_max = (RATE_MAX / buckets.max(1)).max(1);
        let mut room = limits.max_children.saturating_sub(all.children);
        let mut free_places = all.free_places;
        let mut order: Vec<usize> = (0..loads.len()).collect();
        order.sort_by_key(|bucket| loads[*bucket].idle);
        let mut decide = |bucket: usize| {
            let load = Load { free_places, ..loads[bucket] };
            let limits = Limits { max_children: load.children + room, ..share };
            let rate = &mut self.0[bucket];
            let decision = match occasion {
                Occasion::Second => rate.decide(load, limits, rate_max),
                Occasion::Demand(wanted) => {
                    rate.decide_on_demand(load, limits, rate_max, wanted[bucket])
                }
            };
            if let Decision::Spawn { children, .. } = decision {
                room -= children;
                free_places -= children;
            }
            (bucket, decision)
        };
        let mut decided: Vec<(usize, Decision)> = order.into_iter().map(&mut decide).collect();
        let too_many = all.children > limits.max_children;
        let retires = decided.iter().any(|(_, decision)| *decision == Decision::RetireOne);
        if too_many && !retires && matches!(occasion, Occasion::Second) {
            // The richest bucket gives one up, though all may be busy.
            let can_give = |(bucket, _): &&mut (usize, Decision)| loads[*bucket].children > 1;
            if let Some((_, decision)) = decided.iter_mut().rev().find(can_give) {
                *decision = Decision::RetireOne;
            }
        }
        decided
    }
}

#[derive(Clone, Debug)]
struct SpawnRate {
    rate: u32,
    hold_off: u32,
}

impl Default for SpawnRate {
    fn default() -> Self {
        Self { rate: 1, hold_off: 0 }
    }
}

impl SpawnRate {
    /// Decides when the last idle worker was taken: the next step of the spawning, and nothing else. Who waits in the
    /// queue is no guess, so the step may be as large as they need.
    fn decide_on_demand(
        &mut self,
        load: Load,
        limits: Limits,
        rate_max: u32,
        wanted: u32,
    ) -> Decision {
        if load.idle >= limits.min_spare {
            return Decision::Nothing; // The hint was wrong, or has been met already.
        }
        self.rate = self.rate.max(wanted.min(rate_max));
        self.decide(load, limits, rate_max)
    }

    /// Decides, once a second.
    fn decide(&mut self, load: Load, limits: Limits, rate_max: u32) -> Decision {
        if load.idle > limits.max_spare && load.children > 1 {
            self.rate = 1;
            return Decision::RetireOne;
        }
        if load.idle >= limits.min_spare {
            self.rate = 1;
            return Decision::Nothing;
        }
        let room = limits.max_children.saturating_sub(load.children);
        let children = self.rate.min(room).min(load.free_places);
        if children == 0 {
            self.rate = 1;
            return if room == 0 { Decision::LimitReached } else { Decision::NoPlace };
        }
        let seems_busy = self.rate >= RATE_BUSY;
        if self.hold_off > 0 {
            self.hold_off -= 1;
        } else {
            self.rate = (self.rate * 2).min(rate_max);
        }
        Decision::Spawn { children, seems_busy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { min_spare: 5, max_spare: 10, max_children: 256 };

    fn load(idle: u32, children: u32) -> Load {
        Load { idle, busy: children.saturating_sub(idle), children, free_places: 512 - children }
    }

    #[test]
    fn a_lasting_burst_is_met_by_1_2_4_8_16_32_32_children() {
        let mut rate = SpawnRate::default();
        let mut children = 5;
        let mut spawned = Vec::new();
        for _ in 0..8 {
            if let Decision::Spawn { children: more, .. } =
                rate.decide(load(0, children), LIMITS, RATE_MAX)
            {
                children += more;
                spawned.push(more);
            }
        }
        assert_eq!(spawned, [1, 2, 4, 8, 16, 32, 32, 32]);
    }

    #[test]
    fn the_rate_is_said_to_be_high_from_eight_on() {
        let mut rate = SpawnRate::default();
        let busy: Vec<bool> = (0..5)
            .map(|_| {
                matches!(
                    rate.decide(load(0, 5), LIMITS, RATE_MAX),
                    Decision::Spawn { seems_busy: true, .. }
                )
            })
            .collect();
        assert_eq!(busy, [false, false, false, true, true]);
    }

    #[test]
    fn a_quiet_second_resets_the_rate() {
        let mut rate = SpawnRate::default();
        for _ in 0..4 {
            rate.decide(load(0, 5), LIMITS, RATE_MAX);
        }
        assert_eq!(rate.decide(load(7, 20), LIMITS, RATE_MAX), Decision::Nothing);
        assert_eq!(
            rate.decide(load(0, 20), LIMITS, RATE_MAX),
            Decision::Spawn { children: 1, seems_busy: false }
        );
    }

    #[test]
    fn one_child_a_second_is_retired() {
        let mut rate = SpawnRate::default();
        assert_eq!(rate.decide(load(200, 220), LIMITS, RATE_MAX), Decision::RetireOne);
    }

    #[test]
    fn a_limit_that_was_lowered_retires_one_child_a_second_though_all_are_busy() {
        let mut rates = SpawnRates::default();
        rates.begin_generation(2);
        let loads = |first, second| [load(0, first), load(0, second)];
        let mut decide = |loads: [Load; 2], occasion| {
            let decided = rates.decide(&loads, LIMITS, 1, occasion);
            decided.iter().filter(|(_, decision)| *decision == Decision::RetireOne).count()
        };
        assert_eq!(decide(loads(200, 57), Occasion::Second), 1);
        assert_eq!(decide(loads(200, 57), Occasion::Demand(&[3, 3])), 0);
        assert_eq!(decide(loads(200, 56), Occasion::Second), 0);
    }

    #[test]
    fn the_last_child_is_never_retired() {
        let limits = Limits { min_spare: 1, max_spare: 2, max_children: 4 };
        let one = Load { idle: 25, busy: 0, children: 1, free_places: 7 };
        assert_eq!(SpawnRate::default().decide(one, limits, RATE_MAX), Decision::Nothing);
    }

    #[test]
    fn after_a_graceful_restart_the_rate_is_held() {
        let mut rate = SpawnRate { rate: 1, hold_off: HOLD_OFF_AFTER_RESTART };
        let spawned: Vec<Decision> =
            (0..12).map(|_| rate.decide(load(0, 5), LIMITS, RATE_MAX)).collect();
        let one = Decision::Spawn { children: 1, seems_busy: false };
        assert!(spawned[..11].iter().all(|decision| *decision == one));
        assert_eq!(spawned[11], Decision::Spawn { children: 2, seems_busy: false });
    }

    #[test]
    fn places_held_by_the_finishing_are_not_the_limit() {
        let mut full = load(0, 100);
        full.free_places = 0;
        assert_eq!(SpawnRate::default().decide(full, LIMITS, RATE_MAX), Decision::NoPlace);
        assert_eq!(
            SpawnRate::default().decide(load(0, 256), LIMITS, RATE_MAX),
            Decision::LimitReached
        );
    }

    #[test]
    fn on_demand_the_steps_are_the_same_but_do_not_wait() {
        let mut rate = SpawnRate::default();
        let mut on_demand = |load| rate.decide_on_demand(load, LIMITS, RATE_MAX, 0);
        let steps: Vec<Decision> = (0..3).map(|_| on_demand(load(0, 5))).collect();
        let expected = [1, 2, 4].map(|children| Decision::Spawn { children, seems_busy: false });
        assert_eq!(steps, expected);
        assert_eq!(on_demand(load(200, 220)), Decision::Nothing);
        assert_eq!(on_demand(load(0, 256)), Decision::LimitReached);
    }

    #[test]
    fn on_demand_who_waits_in_the_queue_gets_a_worker_in_one_step() {
        let spawned =
            |wanted| SpawnRate::default().decide_on_demand(load(0, 5), LIMITS, 32, wanted);
        assert_eq!(spawned(7), Decision::Spawn { children: 7, seems_busy: false });
        assert_eq!(spawned(100), Decision::Spawn { children: 32, seems_busy: true });
    }

    #[test]
    fn buckets_share_the_spare_limits_and_leave_room_for_a_child_between_them() {
        let check = |buckets, threads, min_spare, max_spare| {
            let share =
                Limits { min_spare: 75, max_spare: 250, max_children: 16 }.share(buckets, threads);
            assert_eq!((share.min_spare, share.max_spare), (min_spare, max_spare));
        };
        check(1, 25, 75, 250);
        check(2, 25, 38, 125);
        check(4, 25, 19, 62);
        check(16, 25, 5, 30);
    }

    #[test]
    fn the_poorest_bucket_gets_the_last_places() {
        let mut rates = SpawnRates::default();
        rates.begin_generation(3);
        let limits = Limits { min_spare: 9, max_spare: 30, max_children: 7 };
        let loads =
            [2, 0, 1].map(|idle| Load { idle, busy: 2 - idle, children: 2, free_places: 9 });
        let decided = rates.decide(&loads, limits, 1, Occasion::Second);
        let spawned = Decision::Spawn { children: 1, seems_busy: false };
        let none = Decision::LimitReached;
        assert_eq!(decided, [(1, spawned), (2, none), (0, none)]);
    }

    /// What each bucket's clients keep busy, whatever is decided; and its children.
    fn loads(busy: &[u32], children: &[u32], threads: u32, places: u32) -> Vec<Load> {
        let free_places = places - children.iter().sum::<u32>();
        let load = |(busy, children): (&u32, &u32)| {
            let busy = (*busy).min(children * threads);
            Load { idle: children * threads - busy, busy, children: *children, free_places }
        };
        busy.iter().zip(children).map(load).collect()
    }

    fn obey(children: &mut [u32], decided: &[(usize, Decision)]) {
        for (bucket, decision) in decided {
            match decision {
                Decision::Spawn { children: more, .. } => children[*bucket] += more,
                Decision::RetireOne => children[*bucket] -= 1,
                Decision::Nothing | Decision::LimitReached | Decision::NoPlace => {}
            }
        }
    }

    proptest! {
        /// Both policies, any number of buckets, any load that comes and goes, places held by the finishing.
        #[test]
        fn no_limit_is_ever_passed(
            seconds in prop::collection::vec(
                (prop::collection::vec((0_u32..300, 0_u32..100), 8), 0_u32..4, any::<bool>()),
                1..60,
            ),
            buckets in 1_usize..8,
            threads in 1_u32..30,
            min_spare in 1_u32..80,
            spare_width in 1_u32..80,
            max_children in 8_u32..60,
        ) {
            let limits = Limits { min_spare, max_spare: min_spare + spare_width, max_children };
            let mut rates = SpawnRates::default();
            rates.begin_generation(buckets);
            let mut children = vec![1; buckets];
            for (clients, held, on_demand) in seconds {
                let (busy, wanted): (Vec<u32>, Vec<u32>) = clients[..buckets].iter().copied().unzip();
                let places = max_children + held;
                let loads = loads(&busy, &children, threads, places);
                let occasion = if on_demand { Occasion::Demand(&wanted) } else { Occasion::Second };
                let decided = rates.decide(&loads, limits, threads, occasion);
                prop_assert_eq!(decided.len(), buckets);
                let before = children.clone();
                obey(&mut children, &decided);
                prop_assert!(children.iter().all(|count| *count >= 1));
                let spawned = |(_, decision): &(usize, Decision)| match decision {
                    Decision::Spawn { children, .. } => *children,
                    Decision::RetireOne | Decision::Nothing => 0,
                    Decision::LimitReached | Decision::NoPlace => 0,
                };
                // Before anybody whom another bucket can spare has gone.
                let most = before.iter().sum::<u32>() + decided.iter().map(spawned).sum::<u32>();
                prop_assert!(most <= max_children.min(places));
                let share = limits.share(u32::try_from(buckets).unwrap(), threads);
                for (bucket, decision) in decided {
                    let idle = loads[bucket].idle;
                    match decision {
                        Decision::Spawn { children, .. } => {
                            prop_assert!(idle < share.min_spare && children <= RATE_MAX);
                        }
                        Decision::RetireOne => prop_assert!(idle > share.max_spare && !on_demand),
                        Decision::LimitReached => prop_assert_eq!(most, max_children),
                        Decision::NoPlace => prop_assert_eq!(most, places),
                        Decision::Nothing => prop_assert!(idle >= share.min_spare),
                    }
                }
            }
        }

        /// Under a load that stays as it is, children stop coming and going, and no bucket is left without an idle
        /// worker unless the limit is reached.
        #[test]
        fn a_steady_load_comes_to_rest(
            busy in prop::collection::vec(0_u32..120, 1..6),
            threads in 1_u32..30,
            min_spare in 1_u32..80,
            spare_width in 0_u32..80,
            max_children in 6_u32..80,
        ) {
            let buckets = u32::try_from(busy.len()).unwrap();
            // Apache's own correction of the limits, for one bucket.
            let max_spare = min_spare + threads + spare_width;
            let limits = Limits { min_spare, max_spare, max_children };
            let mut rates = SpawnRates::default();
            rates.begin_generation(busy.len());
            let mut children = vec![1; busy.len()];
            for _ in 0..400 {
                let loads = loads(&busy, &children, threads, 2 * max_children);
                obey(&mut children, &rates.decide(&loads, limits, threads, Occasion::Second));
            }
            let loads = loads(&busy, &children, threads, 2 * max_children);
            let at_limit = children.iter().sum::<u32>() == max_children;
            for (bucket, decision) in rates.decide(&loads, limits, threads, Occasion::Second) {
                let rests = decision == Decision::Nothing || at_limit;
                prop_assert!(rests, "{decision:?} for bucket {bucket} of {loads:?}");
                prop_assert!(at_limit || loads[bucket].idle >= min_spare.div_ceil(buckets));
            }
        }
    }
}
