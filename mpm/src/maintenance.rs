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
//! - After a graceful restart the rate is held for [`HOLD_OFF_AFTER_RESTART`] seconds: the first numbers mean little.
//!
//! Source: Apache's `perform_idle_server_maintenance` in all three of its models.

/// The steepest that spawning gets, in children a second.
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

/// The spawn rate, which has a memory.
#[derive(Clone, Debug)]
pub struct SpawnRate {
    rate: u32,
    hold_off: u32,
}

impl Default for SpawnRate {
    fn default() -> Self {
        Self { rate: 1, hold_off: 0 }
    }
}

impl SpawnRate {
    /// A graceful restart has begun.
    pub fn hold_off(&mut self) {
        self.hold_off = HOLD_OFF_AFTER_RESTART;
    }

    /// Resources are short: begin again at one a second.
    pub fn reset(&mut self) {
        self.rate = 1;
    }

    /// Decides when the last idle worker was taken: the next step of the spawning, and nothing else.
    pub fn decide_on_demand(&mut self, load: Load, limits: Limits) -> Decision {
        if load.idle >= limits.min_spare {
            return Decision::Nothing; // The hint was wrong, or has been met already.
        }
        self.decide(load, limits)
    }

    /// Decides, once a second.
    pub fn decide(&mut self, load: Load, limits: Limits) -> Decision {
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
            self.rate = (self.rate * 2).min(RATE_MAX);
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
            if let Decision::Spawn { children: more, .. } = rate.decide(load(0, children), LIMITS) {
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
                matches!(rate.decide(load(0, 5), LIMITS), Decision::Spawn { seems_busy: true, .. })
            })
            .collect();
        assert_eq!(busy, [false, false, false, true, true]);
    }

    #[test]
    fn a_quiet_second_resets_the_rate() {
        let mut rate = SpawnRate::default();
        for _ in 0..4 {
            rate.decide(load(0, 5), LIMITS);
        }
        assert_eq!(rate.decide(load(7, 20), LIMITS), Decision::Nothing);
        assert_eq!(
            rate.decide(load(0, 20), LIMITS),
            Decision::Spawn { children: 1, seems_busy: false }
        );
    }

    #[test]
    fn one_child_a_second_is_retired() {
        let mut rate = SpawnRate::default();
        assert_eq!(rate.decide(load(200, 220), LIMITS), Decision::RetireOne);
    }

    #[test]
    fn the_last_child_is_never_retired() {
        let limits = Limits { min_spare: 1, max_spare: 2, max_children: 4 };
        let one = Load { idle: 25, busy: 0, children: 1, free_places: 7 };
        assert_eq!(SpawnRate::default().decide(one, limits), Decision::Nothing);
    }

    #[test]
    fn after_a_graceful_restart_the_rate_is_held() {
        let mut rate = SpawnRate::default();
        rate.hold_off();
        let spawned: Vec<Decision> = (0..12).map(|_| rate.decide(load(0, 5), LIMITS)).collect();
        let one = Decision::Spawn { children: 1, seems_busy: false };
        assert!(spawned[..11].iter().all(|decision| *decision == one));
        assert_eq!(spawned[11], Decision::Spawn { children: 2, seems_busy: false });
    }

    #[test]
    fn places_held_by_the_finishing_are_not_the_limit() {
        let mut full = load(0, 100);
        full.free_places = 0;
        assert_eq!(SpawnRate::default().decide(full, LIMITS), Decision::NoPlace);
        assert_eq!(SpawnRate::default().decide(load(0, 256), LIMITS), Decision::LimitReached);
    }

    #[test]
    fn on_demand_the_steps_are_the_same_but_do_not_wait() {
        let mut rate = SpawnRate::default();
        let steps: Vec<Decision> =
            (0..3).map(|_| rate.decide_on_demand(load(0, 5), LIMITS)).collect();
        let expected = [1, 2, 4].map(|children| Decision::Spawn { children, seems_busy: false });
        assert_eq!(steps, expected);
        assert_eq!(rate.decide_on_demand(load(200, 220), LIMITS), Decision::Nothing);
        assert_eq!(rate.decide_on_demand(load(0, 256), LIMITS), Decision::LimitReached);
    }

    proptest! {
        #[test]
        fn no_limit_is_ever_passed(
            seconds in prop::collection::vec((0_u32..40, 0_u32..4, any::<bool>()), 1..100),
            min_spare in 1_u32..20,
            spare_width in 1_u32..20,
            max_children in 1_u32..60,
        ) {
            let limits = Limits { min_spare, max_spare: min_spare + spare_width, max_children };
            let mut rate = SpawnRate::default();
            let mut children: u32 = 1;
            for (idle, held, on_demand) in seconds {
                let idle = idle.min(children);
                let places = (max_children + held).saturating_sub(children);
                let load = Load { idle, busy: children - idle, children, free_places: places };
                let decision =
                    if on_demand { rate.decide_on_demand(load, limits) } else { rate.decide(load, limits) };
                match decision {
                    Decision::Spawn { children: more, .. } => {
                        prop_assert!(more >= 1 && more <= RATE_MAX.min(places));
                        prop_assert!(idle < min_spare);
                        children += more;
                    }
                    Decision::RetireOne => {
                        prop_assert!(idle > limits.max_spare);
                        children -= 1;
                    }
                    Decision::LimitReached => prop_assert!(children >= max_children),
                    Decision::NoPlace => prop_assert_eq!(places, 0),
                    Decision::Nothing => prop_assert!(idle >= min_spare),
                }
                prop_assert!(children >= 1 && children <= max_children);
            }
        }
    }
}
