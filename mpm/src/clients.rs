//! # Clients that all children count together: how many connections each has, and how fast it asks
//!
//! ```text
//!   key, 64 bits ──▶ connections: a table for each child ──sum over all children──▶ how many there are
//!                └─▶ rate:        one table for all      ──one compare-exchange───▶ now, or in so long
//! ```
//!
//! What a client is, and what becomes of one that wants too much, is the service's affair: it makes the keys and draws
//! the conclusions. Keys must be hashes under a secret: who can choose keys can crowd others out of their places.
//!
//! - No lock, and nothing to repair: whoever is killed in the middle of anything leaves counts of its own behind, which
//!   the supervisor clears once it has reaped it, or a moment that passes.
//! - All tables have a fixed size. Where one is full, the newcomer is not counted, or the oldest is forgotten: a limit
//!   may let somebody through then, but it never shuts out who has done nothing.
//! - The supervisor reads nothing here.

mod connections;
mod rate;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use herdgate_sys as sys;
use sys::shared::SharedMapping;

pub use rate::Rate;

/// Words that stand together on a cache line, and that a key may use.
const WAYS: usize = 8;
/// Keys whose rate is remembered at once.
const RATES: usize = 1 << 16;
/// The most that a child's table has: with more connections from different clients at once, some are not counted.
const BUCKETS_MAX: usize = 1 << 12;

/// What the children of a server know together about its clients.
pub struct ClientTables {
    mapping: SharedMapping,
    places: usize,
    /// In each child's table of connections; a power of two.
    buckets: usize,
}

impl ClientTables {
    /// Makes tables for so many places for children, each with so many connections at once, in memory that this process
    /// and those that it will fork share.
    ///
    /// # Errors
    /// There is not that much memory.
    pub fn create(places: usize, connections_per_child: usize) -> io::Result<Self> {
        // Half as many buckets as connections: with two in each on average, hardly ever are all eight ways taken.
        let buckets = connections_per_child.div_ceil(2).next_power_of_two().min(BUCKETS_MAX);
        let words = RATES + places * buckets * WAYS;
        let mapping = SharedMapping::anonymous(words * size_of::<AtomicU64>())?;
        Ok(Self { mapping, places, buckets })
    }

    /// Counts a connection of this client for the child in this place, and says how many it has now in all children.
    /// `None`: there is no room to count it in, and it must not [`leave`](Self::leave).
    ///
    /// Of several that come at once, each counts at least those that were let in before it: nobody can be let in beyond
    /// a limit. Two that reach for the last place at the same instant may see each other, and both be turned away.
    pub fn enter(&self, place: usize, key: u64) -> Option<u64> {
        let own = self.connections(place, key)?;
        if !connections::enter(own, key) {
            return None;
        }
        // Ours is counted before we look at the others': of two who do so at once, one at least sees the other.
        fence(Ordering::SeqCst);
        let tables = (0..self.places).filter_map(|place| self.connections(place, key));
        Some(tables.map(|bucket| connections::count(bucket, key)).sum())
    }

    /// The end of a connection that was counted.
    pub fn leave(&self, place: usize, key: u64) {
        if let Some(own) = self.connections(place, key) {
            connections::leave(own, key);
        }
    }

    /// Forgets the connections of a child that is gone. For the supervisor, between its death and the next one's birth.
    pub fn clear(&self, place: usize) {
        let start = RATES + place * self.buckets * WAYS;
        for word in self.words(start, self.buckets * WAYS).unwrap_or_default() {
            word.store(0, Ordering::Relaxed); // Nobody else writes here now.
        }
    }

    /// Whether this client may go on at its rate, `now` being the time since the machine's start.
    ///
    /// # Errors
    /// It is too fast: when it may come again at the earliest.
    pub fn ask(&self, key: u64, rate: Rate, now: Duration) -> Result<(), Duration> {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
        let start = (key as usize % (RATES / WAYS)) * WAYS;
        let Some(bucket) = self.words(start, WAYS) else { return Ok(()) };
        rate::ask(bucket, key, rate, rate::micros(now)).map_err(Duration::from_micros)
    }

    /// Where a child counts this client.
    fn connections(&self, place: usize, key: u64) -> Option<&[AtomicU64]> {
        if place >= self.places {
            return None; // A child in a place that there was none of when the tables were made.
        }
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
        let bucket = place * self.buckets + (key as usize & (self.buckets - 1));
        self.words(RATES + bucket * WAYS, WAYS)
    }

    fn words(&self, start: usize, count: usize) -> Option<&[AtomicU64]> {
        self.mapping.slice(start * size_of::<AtomicU64>(), count).ok()
    }
}

impl fmt::Debug for ClientTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTables").field("places", &self.places).finish_non_exhaustive()
    }
}

/// A word of a table: the real one's, or loom's, which tries every order in which threads can meet.
trait Word {
    /// Its value, which may be another one a moment later.
    fn value(&self) -> u64;
    /// Puts `new` in the place of `seen`, or says what stands there instead.
    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64>;
}

impl Word for AtomicU64 {
    fn value(&self) -> u64 {
        self.load(Ordering::Relaxed) // Each word stands for itself; where order counts, there is a fence.
    }

    fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
        self.compare_exchange_weak(seen, new, Ordering::Relaxed, Ordering::Relaxed).map(drop)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// As a hash would be: all bits differ.
    fn key(number: u64) -> u64 {
        (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
    }

    #[test]
    fn connections_are_summed_over_all_children_and_end_with_theirs() {
        let tables = ClientTables::create(3, 25).unwrap();
        assert_eq!(tables.enter(0, key(1)), Some(1));
        assert_eq!(tables.enter(2, key(1)), Some(2));
        assert_eq!(tables.enter(2, key(1)), Some(3));
        assert_eq!(tables.enter(1, key(2)), Some(1), "somebody else");
        tables.leave(2, key(1));
        assert_eq!(tables.enter(1, key(1)), Some(3));
        tables.clear(1);
        assert_eq!(tables.enter(0, key(1)), Some(3));
        assert_eq!(tables.enter(0, key(2)), Some(1));
    }

    #[test]
    fn a_place_beyond_the_table_counts_nothing() {
        let tables = ClientTables::create(1, 1).unwrap();
        assert_eq!(tables.enter(1, key(1)), None);
        tables.leave(1, key(1));
        tables.clear(1);
        assert_eq!(tables.enter(0, key(1)), Some(1));
    }

    /// As many clients as a child can have connections, each with one.
    #[test]
    fn there_is_room_for_nearly_all() {
        for connections in [1, 25, 192, 1000] {
            let tables = ClientTables::create(1, connections).unwrap();
            let clients = 0..connections as u64;
            let counted = clients.filter(|it| tables.enter(0, key(*it)).is_some()).count();
            assert!(counted * 100 >= connections * 98, "{counted} of {connections}");
        }
    }

    #[test]
    fn threads_of_many_children_lose_no_count() {
        let tables = ClientTables::create(4, 16).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let tables = &tables;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let (place, client) = (thread % 4, key(round % 3));
                        assert!(tables.enter(place, client).is_some());
                        tables.leave(place, client);
                    }
                });
            }
        });
        assert_eq!(tables.enter(0, key(0)), Some(1), "all have left");
    }

    #[test]
    fn a_rate_holds_for_each_client() {
        let tables = ClientTables::create(1, 1).unwrap();
        let rate = Rate::new(Duration::from_secs(1), 2).unwrap();
        let now = Duration::from_secs(100);
        for client in 0..1000 {
            assert_eq!(tables.ask(key(client), rate, now), Ok(()));
            assert_eq!(tables.ask(key(client), rate, now), Ok(()));
        }
        let late = now + Duration::from_millis(600);
        let refused = (0..1000)
            .filter(|it| tables.ask(key(*it), rate, late) == Err(Duration::from_millis(400)));
        assert!(refused.count() >= 999, "a few may meet in a bucket of eight, and be forgotten");
    }
}

/// Every order in which two children can meet, as far as the memory model allows.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering, fence};
    use loom::thread;

    use super::{Rate, Word, connections, rate};

    impl Word for AtomicU64 {
        fn value(&self) -> u64 {
            self.load(Ordering::Relaxed)
        }

        fn exchange(&self, seen: u64, new: u64) -> Result<(), u64> {
            self.compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed).map(drop)
        }
    }

    const KEY: u64 = 7 << 32;

    fn bucket() -> [AtomicU64; 2] {
        [AtomicU64::new(0), AtomicU64::new(0)]
    }

    /// As [`super::ClientTables::enter`], of two places.
    fn enter(places: &[[AtomicU64; 2]; 2], own: usize) -> u64 {
        assert!(connections::enter(&places[own], KEY));
        fence(Ordering::SeqCst);
        places.iter().map(|bucket| connections::count(bucket, KEY)).sum()
    }

    #[test]
    fn loom_two_children_never_let_in_one_each_where_one_is_allowed() {
        loom::model(|| {
            let places = Arc::new([bucket(), bucket()]);
            let other = {
                let places = Arc::clone(&places);
                thread::spawn(move || enter(&places, 1))
            };
            let (here, there) = (enter(&places, 0), other.join().unwrap());
            assert!(here == 2 || there == 2, "both were let in");
        });
    }

    #[test]
    fn loom_two_threads_of_a_child_lose_no_count() {
        loom::model(|| {
            let own = Arc::new(bucket());
            let other = {
                let own = Arc::clone(&own);
                thread::spawn(move || {
                    assert!(connections::enter(&*own, KEY));
                    connections::leave(&*own, KEY);
                    assert!(connections::enter(&*own, KEY));
                })
            };
            assert!(connections::enter(&*own, KEY));
            other.join().unwrap();
            assert_eq!(connections::count(&*own, KEY), 2);
        });
    }

    #[test]
    fn loom_a_known_client_never_gets_more_than_its_burst() {
        loom::model(|| {
            let rate = Rate::new(std::time::Duration::from_secs(1), 2).unwrap();
            let own = Arc::new(bucket());
            assert_eq!(rate::ask(&*own, KEY, rate, 0), Ok(()), "known from now on");
            let other = {
                let own = Arc::clone(&own);
                thread::spawn(move || rate::ask(&*own, KEY, rate, 0).is_ok())
            };
            let here = rate::ask(&*own, KEY, rate, 0).is_ok();
            assert!(here != other.join().unwrap(), "one is left of two");
        });
    }
}
