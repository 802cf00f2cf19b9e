//! The connections of the loop: what it remembers of each, and when it must look at one again.
//!
//! ```text
//!   Key { place, serial } ──▶ slab ┌ Entry: the connection, what it waits for ┐
//!                                  └───────────────────────────────────────────┘
//!   TimerWheel ── Key ─▶ at the latest then
//! ```
//!
//! - A place is used again, a key is not: whoever comes with a key of a connection that has gone finds nobody.
//! - Each stands in the wheel at most once in time: for a deadline that only moves on, nothing is done.

use slab::Slab;

use crate::timer::TimerWheel;
use crate::turn::Watches;
use crate::{Deadline, Interest, Moment, Phase, Wait};

/// Names a connection for as long as it lives: its place in the slab, and the serial number that tells it from the
/// place's former and later owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) place: u32,
    pub(super) serial: u32,
}

impl Key {
    /// Serial numbers have 30 bits, so that tokens of the readiness queue have room for more than connections.
    pub(super) const SERIAL_MAX: u32 = 0x3fff_ffff;

    fn new(place: usize, serial: u32) -> Self {
        Self { place: u32::try_from(place).expect("descriptors are fewer than 2^32"), serial }
    }
}

/// One connection and what the loop remembers of it.
pub(super) struct Entry<C> {
    pub(super) connection: C,
    pub(super) wait: Wait,
    /// It stands in the list of those who go on without news from the kernel.
    pub(super) goes_on: bool,
    pub(super) watches: Option<Box<Watches>>,
    /// Of what the kernel tells: nothing until the connection must wait for the first time.
    pub(super) heard: Interest,
    /// For which moment it stands in the timer wheel, if it does.
    armed: Option<Moment>,
    serial: u32,
    /// It was asked to go.
    was_shed: bool,
}

/// All connections of one loop.
pub(super) struct Parked<C> {
    entries: Slab<Entry<C>>,
    serial: u32,
    timers: TimerWheel<Key>,
    /// How many are in each phase.
    phases: [u32; 4],
    /// Scratch, kept for its memory.
    came_up: Vec<(Key, Moment)>,
}

impl<C> Parked<C> {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            entries: Slab::new(),
            serial: 0,
            timers: TimerWheel::new(now),
            phases: [0; 4],
            came_up: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn in_phase(&self, phase: Phase) -> u32 {
        self.phases[phase as usize]
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.entries.iter().map(|(place, entry)| Key::new(place, entry.serial))
    }

    pub(super) fn get(&mut self, key: Key) -> Option<&mut Entry<C>> {
        self.entries.get_mut(key.place as usize).filter(|entry| entry.serial == key.serial)
    }

    /// Takes in a connection that has not said yet what it waits for.
    pub(super) fn insert(&mut self, connection: C) -> Key {
        self.serial = if self.serial == Key::SERIAL_MAX { 0 } else { self.serial + 1 };
        let wait =
            Wait { phase: Phase::Request, client: Interest::READ, deadline: Deadline::Never };
        self.phases[wait.phase as usize] += 1;
        let place = self.entries.insert(Entry {
            connection,
            wait,
            goes_on: false,
            watches: None,
            heard: Interest::NONE,
            armed: None,
            serial: self.serial,
            was_shed: false,
        });
        Key::new(place, self.serial)
    }

    /// Drops a connection, which closes its socket. That leaves the kernel's readiness queue by being closed.
    pub(super) fn remove(&mut self, key: Key) {
        let entry = self.entries.remove(key.place as usize);
        self.phases[entry.wait.phase as usize] -= 1;
    }

    /// Notes what a connection waits for, and sees to it that the wheel comes up no later than its deadline.
    pub(super) fn set_wait(&mut self, key: Key, wait: Wait) {
        let Some(entry) = self.entries.get_mut(key.place as usize) else { return };
        self.phases[entry.wait.phase as usize] -= 1;
        self.phases[wait.phase as usize] += 1;
        entry.wait = wait;
        self.arm(key);
    }

    fn arm(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(key.place as usize) else { return };
        let Deadline::At(deadline) = entry.wait.deadline else { return };
        if entry.armed.is_none_or(|armed| deadline < armed) {
            entry.armed = Some(deadline);
            self.timers.insert(key, deadline);
        }
    }

    /// How long the loop may sleep for the sake of deadlines.
    pub(super) fn sleep(&self, now: Moment) -> Option<std::time::Duration> {
        self.timers.sleep(now)
    }

    /// Adds to `expired` whose deadline has passed.
    pub(super) fn expire(&mut self, now: Moment, expired: &mut Vec<Key>) {
        let mut came_up = std::mem::take(&mut self.came_up);
        self.timers.expire(now, &mut came_up);
        for (key, moment) in came_up.drain(..) {
            let Some(entry) = self.get(key) else { continue };
            if entry.armed != Some(moment) {
                continue; // Put in anew, for an earlier moment.
            }
            entry.armed = None;
            if entry.wait.deadline.has_passed(now) {
                expired.push(key);
            } else {
                self.arm(key);
            }
        }
        self.came_up = came_up;
    }

    /// Chooses who shall go for lack of room: an eighth of the idle ones, so that the search pays, the longest idle
    /// first, and each only once.
    pub(super) fn choose_to_shed(&mut self) -> Vec<Key> {
        let idle = self.in_phase(Phase::Idle) as usize;
        let mut candidates: Vec<(u64, Key)> = Vec::with_capacity(idle);
        for (place, entry) in &self.entries {
            if entry.wait.phase == Phase::Idle && !entry.was_shed {
                // Who became idle first has the earliest deadline.
                let order = match entry.wait.deadline {
                    Deadline::At(deadline) => deadline.millis(),
                    Deadline::Never => u64::MAX,
                };
                candidates.push((order, Key::new(place, entry.serial)));
            }
        }
        candidates.sort_unstable_by_key(|(order, _key)| *order);
        candidates.truncate(idle.div_ceil(8));
        let chosen: Vec<Key> = candidates.into_iter().map(|(_order, key)| key).collect();
        for key in &chosen {
            if let Some(entry) = self.get(*key) {
                entry.was_shed = true;
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    fn idle_until(ms: u64) -> Wait {
        Wait { phase: Phase::Idle, client: Interest::READ, deadline: Deadline::At(at(ms)) }
    }

    fn expired(parked: &mut Parked<&'static str>, ms: u64) -> Vec<&'static str> {
        let mut keys = Vec::new();
        parked.expire(at(ms), &mut keys);
        keys.into_iter().map(|key| parked.get(key).unwrap().connection).collect()
    }

    #[test]
    fn a_key_does_not_open_the_door_to_the_next_one_in_its_place() {
        let mut parked = Parked::new(at(0));
        let first = parked.insert("first");
        parked.remove(first);
        let second = parked.insert("second");
        assert_eq!(first.place, second.place);
        assert!(parked.get(first).is_none());
        assert_eq!(parked.get(second).unwrap().connection, "second");
    }

    #[test]
    fn phases_are_counted_from_first_to_last() {
        let mut parked = Parked::new(at(0));
        let key = parked.insert("one");
        assert_eq!((parked.in_phase(Phase::Request), parked.in_phase(Phase::Idle)), (1, 0));
        parked.set_wait(key, idle_until(500));
        assert_eq!((parked.in_phase(Phase::Request), parked.in_phase(Phase::Idle)), (0, 1));
        parked.remove(key);
        assert_eq!((parked.in_phase(Phase::Idle), parked.len()), (0, 0));
    }

    #[test]
    fn a_deadline_counts_wherever_it_was_moved() {
        let mut parked = Parked::new(at(0));
        let (later, sooner) = (parked.insert("later"), parked.insert("sooner"));
        parked.set_wait(later, idle_until(1000));
        parked.set_wait(later, idle_until(3000));
        parked.set_wait(sooner, idle_until(3000));
        parked.set_wait(sooner, idle_until(1000));
        assert_eq!(expired(&mut parked, 999), [""; 0]);
        assert_eq!(expired(&mut parked, 2000), ["sooner"]);
        assert_eq!(expired(&mut parked, 4000), ["later"]);
        assert_eq!(expired(&mut parked, 9000), [""; 0]);
    }

    #[test]
    fn the_longest_idle_go_first_and_are_asked_once() {
        let mut parked = Parked::new(at(0));
        for number in 0..16 {
            let key = parked.insert(number);
            parked.set_wait(key, idle_until(2000 - number));
        }
        let mut shed = || -> Vec<u64> {
            let chosen = parked.choose_to_shed();
            chosen.into_iter().map(|key| parked.get(key).unwrap().connection).collect()
        };
        assert_eq!(shed(), [15, 14]);
        assert_eq!(shed(), [13, 12]);
    }
}
