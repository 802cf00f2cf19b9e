//! A gate with one place or several, by a POSIX semaphore in shared memory. The kernel knows nothing of it, so the
//! supervisor repairs what a dead child leaves behind.
//!
//! ```text
//!   enter   wait (one token less) ─▶ write my pid into the first free place           ┌──────┬──────┬──────┐
//!   leave   clear my place ─▶ post (one token more)                            places │  812 │   0  │  815 │
//!   death   the supervisor does what `leave` does, in the dead one's name             └──────┴──────┴──────┘
//! ```
//!
//! A child can die between `wait` and writing its pid, or between clearing it and `post`: it has a token then, and
//! nobody sees that. It can also die when `post` has woken it and it has not taken the token yet: the token is there
//! then, and those who sleep are not told. The supervisor cannot know, so it errs on the safe side and posts for
//! **every** child that died: a token or a wakeup too few would close the gate for ever, one too many costs a wakeup.
//! For the semaphore only says who may *try*; inside is who has written its pid into a place, by one
//! compare-and-swap, so never more than there are places.
//!
//! Who has a token and finds no place has a surplus one, and swallows it: it waits again without posting. It can be
//! sure of that although places are looked at one after the other while others come and go, because all look in the
//! same order. Who goes on from a place has just seen somebody in it, and that one is not beyond it; so with as many
//! tokens as places, of those who have one at most N - i are at place i or beyond, and at the last place only one.
//!
//! - What always holds: tokens + children on their way in + children on their way out + the supervisor's debts ≥ free
//!   places. So a free place and nobody on the way means that there is a token: nobody waits for nothing.
//! - And while somebody sleeps before a free place, somebody else is awake who will post.
//! - A crashed or malicious child can spoil the gate, and nothing else: the supervisor compares what stands here with
//!   the pids that it remembers, and acts on nothing but the semaphore.

use std::io;
use std::process;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

use herdgate_sys as sys;
use sys::semaphore::PosixSemaphore;
use sys::shared::SharedMapping;

use super::{Entered, Gate, Pass, uninterrupted};

pub(super) struct PosixGate {
    semaphore: PosixSemaphore,
    memory: SharedMapping,
    places: usize,
}

/// Nobody's process id.
const FREE: i32 = 0;

impl PosixGate {
    pub(super) fn create(places: u16) -> io::Result<Self> {
        let semaphore = PosixSemaphore::new(places.into())?;
        let places = usize::from(places);
        let memory = SharedMapping::anonymous(places * size_of::<AtomicI32>())?;
        Ok(Self { semaphore, memory, places })
    }

    /// Who is inside.
    fn places(&self) -> &[AtomicI32] {
        self.memory.slice(0, self.places).expect("laid out at creation")
    }

    /// What to do with a token: take the first free place for this process, or learn that the token was a surplus one.
    ///
    /// All accesses are in one order that everybody sees (`SeqCst`): the argument above counts over several words. A
    /// semaphore's locked instruction stands beside each of them, so that a weaker order would gain nothing.
    fn claim(&self, pid: i32) -> Option<usize> {
        let free = |place: &AtomicI32| place.compare_exchange(FREE, pid, SeqCst, SeqCst).is_ok();
        self.places().iter().position(free)
    }

    fn give_up(&self, place: usize) -> io::Result<()> {
        self.places()[place].store(FREE, SeqCst);
        self.semaphore.post()
    }
}

impl Gate for PosixGate {
    fn pass(&self) -> io::Result<Box<dyn Pass + '_>> {
        let pid = process::id().cast_signed(); // Linux's are far below 2^31.
        Ok(Box::new(PosixPass { gate: self, pid, place: 0 }))
    }

    fn child_died(&self, pid: i32) -> io::Result<bool> {
        let inside = self.places().iter().position(|place| place.load(SeqCst) == pid);
        if let Some(place) = inside {
            self.give_up(place)?;
            return Ok(true);
        }
        // It may have died with a token in its hands; or woken for one that it did not take any more, while others
        // sleep on. Posting mends both. With a token for every place already, the post gets one of these, so that
        // deaths do not heap them up.
        if self.semaphore.value()? as usize >= self.places {
            self.semaphore.try_wait()?;
        }
        self.semaphore.post()?;
        Ok(false)
    }
}

struct PosixPass<'a> {
    gate: &'a PosixGate,
    pid: i32,
    /// Where we stand, while we are inside.
    place: usize,
}

impl PosixPass<'_> {
    fn claim(&mut self) -> Option<Entered> {
        self.place = self.gate.claim(self.pid)?;
        Some(Entered::Normally)
    }
}

impl Pass for PosixPass<'_> {
    fn try_enter(&mut self) -> io::Result<Option<Entered>> {
        while uninterrupted(|| self.gate.semaphore.try_wait())? {
            if let Some(entered) = self.claim() {
                return Ok(Some(entered));
            }
        }
        Ok(None)
    }

    fn enter(&mut self) -> io::Result<Entered> {
        loop {
            uninterrupted(|| self.gate.semaphore.wait())?;
            if let Some(entered) = self.claim() {
                return Ok(entered);
            }
        }
    }

    fn leave(&mut self) -> io::Result<()> {
        self.gate.give_up(self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// A pass as of another process.
    fn pass(gate: &PosixGate, pid: i32) -> PosixPass<'_> {
        PosixPass { gate, pid, place: 0 }
    }

    #[test]
    fn who_dies_inside_leaves_its_place() {
        let gate = PosixGate::create(1).unwrap();
        assert!(pass(&gate, 10).try_enter().unwrap().is_some());
        assert!(pass(&gate, 11).try_enter().unwrap().is_none());
        assert!(gate.child_died(10).unwrap());
        assert!(pass(&gate, 11).try_enter().unwrap().is_some());
    }

    #[test]
    fn who_dies_with_an_unnoted_token_leaves_it() {
        let gate = PosixGate::create(1).unwrap();
        gate.semaphore.wait().unwrap(); // And here it is killed.
        assert!(pass(&gate, 11).try_enter().unwrap().is_none());
        assert!(!gate.child_died(10).unwrap());
        assert!(pass(&gate, 11).try_enter().unwrap().is_some());
    }

    #[test]
    fn surplus_tokens_let_nobody_in_and_go_away() {
        let gate = PosixGate::create(2).unwrap();
        let (mut first, mut second) = (pass(&gate, 10), pass(&gate, 11));
        first.enter().unwrap();
        second.enter().unwrap();
        assert!(!gate.child_died(12).unwrap(), "it only stood in the queue");
        assert_eq!(gate.semaphore.value().unwrap(), 1);
        assert!(pass(&gate, 13).try_enter().unwrap().is_none());
        assert_eq!(gate.semaphore.value().unwrap(), 0);
        first.leave().unwrap();
        assert!(pass(&gate, 13).try_enter().unwrap().is_some());
        assert!(pass(&gate, 14).try_enter().unwrap().is_none());
    }

    #[test]
    fn deaths_do_not_heap_up_tokens() {
        let gate = PosixGate::create(2).unwrap();
        for pid in 10..20 {
            gate.child_died(pid).unwrap();
        }
        assert_eq!(gate.semaphore.value().unwrap(), 2);
    }

    /// The protocol as a machine of small steps, each of them one access to shared memory, to try every order of
    /// steps and every moment of death.
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct World {
        tokens: usize,
        /// Who stands in each place: a child's number, from 1.
        places: Vec<usize>,
        children: Vec<Step>,
        /// Children that died, and that the supervisor has not buried yet.
        unburied: Vec<usize>,
        /// What it is about to do for the one that it buries.
        burial: Option<Burial>,
        deaths_left: usize,
        entries_left: Vec<usize>,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    enum Step {
        /// About to take a token, or to find none.
        Waiting,
        /// In the kernel, until a post wakes it.
        Asleep,
        LookingAt(usize),
        Inside(usize),
        Posting,
        Dead,
    }

    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    enum Burial {
        Clear(usize),
        TakeIfFull,
        Take,
        Post,
    }

    impl World {
        fn new(places: usize, children: usize, deaths: usize, entries: usize) -> Self {
            Self {
                tokens: places,
                places: vec![0; places],
                children: vec![Step::Waiting; children],
                unburied: Vec::new(),
                burial: None,
                deaths_left: deaths,
                entries_left: vec![entries; children],
            }
        }

        /// All worlds that one step, or one death, makes of this one.
        fn successors(&self) -> Vec<Self> {
            let mut all = self.supervisor_goes_on();
            for child in 0..self.children.len() {
                all.extend(self.child_goes_on(child));
                if self.deaths_left > 0 && self.children[child] != Step::Dead {
                    let mut next = self.clone();
                    next.children[child] = Step::Dead;
                    next.deaths_left -= 1;
                    next.unburied.push(child + 1);
                    all.push(next);
                }
            }
            all
        }

        fn child_goes_on(&self, child: usize) -> Vec<Self> {
            let mut next = self.clone();
            next.children[child] = match self.children[child] {
                Step::Dead | Step::Asleep => return Vec::new(),
                Step::Waiting if self.entries_left[child] == 0 => return Vec::new(),
                Step::Waiting if self.tokens == 0 => Step::Asleep,
                Step::Waiting => {
                    next.tokens -= 1;
                    Step::LookingAt(0)
                }
                Step::LookingAt(place) if place == self.places.len() => Step::Waiting, // Swallowed.
                Step::LookingAt(place) if self.places[place] != 0 => Step::LookingAt(place + 1),
                Step::LookingAt(place) => {
                    next.places[place] = child + 1;
                    next.entries_left[child] -= 1;
                    Step::Inside(place)
                }
                Step::Inside(place) => {
                    next.places[place] = 0;
                    Step::Posting
                }
                Step::Posting => {
                    next.children[child] = Step::Waiting;
                    return next.post();
                }
            };
            vec![next]
        }

        /// One token more, and any one of those who sleep wakes up.
        fn post(mut self) -> Vec<Self> {
            self.tokens += 1;
            let sleepers = (0..self.children.len()).filter(|it| self.children[*it] == Step::Asleep);
            let woken = |sleeper| {
                let mut next = self.clone();
                next.children[sleeper] = Step::Waiting;
                next
            };
            let all: Vec<Self> = sleepers.map(woken).collect();
            if all.is_empty() { vec![self] } else { all }
        }

        fn supervisor_goes_on(&self) -> Vec<Self> {
            let mut next = self.clone();
            next.burial = match self.burial {
                None => {
                    let Some(child) = next.unburied.pop() else { return Vec::new() };
                    let inside = self.places.iter().position(|place| *place == child);
                    Some(inside.map_or(Burial::TakeIfFull, Burial::Clear))
                }
                Some(Burial::Clear(place)) => {
                    next.places[place] = 0;
                    Some(Burial::Post)
                }
                Some(Burial::TakeIfFull) if self.tokens >= self.places.len() => Some(Burial::Take),
                Some(Burial::TakeIfFull) => Some(Burial::Post),
                Some(Burial::Take) => {
                    next.tokens = self.tokens.saturating_sub(1);
                    Some(Burial::Post)
                }
                Some(Burial::Post) => {
                    next.burial = None;
                    return next.post();
                }
            };
            vec![next]
        }

        /// What the module's header promises.
        fn check(&self) {
            let on_the_way = |step: &&Step| matches!(step, Step::LookingAt(_) | Step::Posting);
            let on_the_way = self.children.iter().filter(on_the_way).count();
            let debts = self.unburied.len() + usize::from(self.burial.is_some());
            let free = self.places.iter().filter(|place| **place == 0).count();
            assert!(self.tokens + on_the_way + debts >= free, "somebody could wait for ever");

            let about_to_try = |child: &usize| {
                self.children[*child] == Step::Waiting && self.entries_left[*child] > 0
            };
            let tries = (0..self.children.len()).any(|child| about_to_try(&child));
            let sleeps = self.children.contains(&Step::Asleep);
            assert!(
                free == 0 || !sleeps || tries || on_the_way + debts > 0,
                "somebody sleeps before an open gate"
            );
        }
    }

    fn check_every_order(world: World) {
        let mut seen = HashSet::from([world.clone()]);
        let mut unseen = vec![world];
        while let Some(world) = unseen.pop() {
            world.check();
            for next in world.successors() {
                if seen.insert(next.clone()) {
                    unseen.push(next);
                }
            }
        }
        assert!(seen.len() > 1000, "this was no search");
    }

    #[test]
    fn no_order_of_steps_and_deaths_closes_the_gate() {
        check_every_order(World::new(1, 3, 2, 2));
        check_every_order(World::new(2, 3, 2, 2));
        check_every_order(World::new(3, 4, 1, 1));
    }
}
