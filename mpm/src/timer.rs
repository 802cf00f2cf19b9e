//! A timer wheel: deadlines of thousands of connections, with no system call and no search.
//!
//! ```text
//!   slots of 64 ms      cursor
//!   … │   │ a b │   │ c │ ▼ │   │ d e │ …        512 of them: 32 s ahead; what is later waits in the last one
//! ```
//!
//! - Nothing is ever removed. Whoever set a deadline remembers it, and ignores what the wheel still says of a former one.
//! - So a deadline that only moves on (a request, and again a keep-alive wait) costs nothing at all: the old entry
//!   comes up, is seen to be early, and is put in anew.

use std::time::Duration;

use crate::Moment;

const SLOT_MS: u64 = 64;
const SLOTS: u64 = 512;

/// The wheel. `K` names what expires.
#[derive(Debug)]
pub(crate) struct TimerWheel<K> {
    slots: Vec<Vec<(K, Moment)>>,
    /// The slot number, counted from the clock's start, up to which everything has come up.
    cursor: u64,
    count: usize,
}

impl<K: Copy> TimerWheel<K> {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            cursor: now.millis() / SLOT_MS,
            count: 0,
        }
    }

    /// Lets `key` come up at `at`, or up to one slot later; earlier only if it is beyond the wheel's horizon.
    pub(crate) fn insert(&mut self, key: K, at: Moment) {
        let slot = at.millis() / SLOT_MS + 1; // A slot comes up when it is over, so nothing comes up early.
        let slot = slot.clamp(self.cursor + 1, self.cursor + SLOTS - 1);
        self.slots[index(slot)].push((key, at));
        self.count += 1;
    }

    /// Takes out all that has come up by now, each with the moment it was put in for.
    pub(crate) fn expire(&mut self, now: Moment, expired: &mut Vec<(K, Moment)>) {
        let current = now.millis() / SLOT_MS;
        if current <= self.cursor {
            return;
        }
        // After a long sleep every slot is due once, not once a round.
        let first = (self.cursor + 1).max(current.saturating_sub(SLOTS - 1));
        for slot in first..=current {
            let due = &mut self.slots[index(slot)];
            self.count -= due.len();
            expired.append(due);
        }
        self.cursor = current;
    }

    /// How long the loop may sleep: until the next slot with something in it is over. `None` if there is nothing.
    pub(crate) fn sleep(&self, now: Moment) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let next = (self.cursor + 1..self.cursor + SLOTS)
            .find(|slot| !self.slots[index(*slot)].is_empty())?;
        Some(Duration::from_millis((next * SLOT_MS).saturating_sub(now.millis())))
    }
}

fn index(slot: u64) -> usize {
    usize::try_from(slot % SLOTS).expect("smaller than SLOTS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn nothing_comes_up_early_and_all_comes_up_within_a_slot() {
        let mut wheel = TimerWheel::new(at(1000));
        wheel.insert('a', at(1500));
        let mut expired = Vec::new();
        wheel.expire(at(1499), &mut expired);
        assert!(expired.is_empty());
        wheel.expire(at(1500 + SLOT_MS), &mut expired);
        assert_eq!(expired, [('a', at(1500))]);
        assert_eq!(wheel.sleep(at(2000)), None);
    }

    proptest! {
        #[test]
        fn whoever_reinserts_what_is_early_sees_every_deadline_in_time(
            deadlines in prop::collection::vec(0_u64..200_000, 1..50),
            steps in prop::collection::vec(1_u64..20_000, 1..200),
        ) {
            let mut wheel = TimerWheel::new(at(0));
            for (key, ms) in deadlines.iter().enumerate() {
                wheel.insert(key, at(*ms));
            }
            let mut seen = vec![None; deadlines.len()];
            let mut now = 0;
            for step in steps {
                now += step;
                let mut expired = Vec::new();
                wheel.expire(at(now), &mut expired);
                for (key, moment) in expired {
                    if moment > at(now) {
                        wheel.insert(key, moment);
                    } else {
                        prop_assert!(seen[key].is_none(), "once");
                        seen[key] = Some(now);
                    }
                }
                for (key, ms) in deadlines.iter().enumerate() {
                    prop_assert!(seen[key].is_some() || ms / SLOT_MS + 1 > now / SLOT_MS, "{} at {}", ms, now);
                }
                // A sleep as long as the wheel allows never misses a deadline by more than a slot.
                if let Some(sleep) = wheel.sleep(at(now)) {
                    let earliest = deadlines.iter().enumerate().filter(|(key, _)| seen[*key].is_none()).map(|(_, ms)| *ms).min();
                    let wakes = now + u64::try_from(sleep.as_millis()).unwrap_or(u64::MAX);
                    prop_assert!(earliest.is_some_and(|ms| wakes <= ms.max(now) + 2 * SLOT_MS));
                }
            }
        }
    }
}
