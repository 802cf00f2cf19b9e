//! Deaths: freeing the place, repairing the gate, and replacing who died unasked.
//!
//! - Children that keep dying young are replaced ever more slowly: something is wrong that forking faster will not mend.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use herdgate_sys as sys;
use sys::process::{End, Pid};

use super::{KnownChild, Life, Notice, Program, Supervisor};
use crate::child::Exit;
use crate::{Moment, Service as _};

/// A child that dies unasked within this time after its start has not really started.
const YOUNG: Duration = Duration::from_secs(2);
/// After so many young deaths in a row, replacements wait for the next second's maintenance, and then longer.
const YOUNG_DEATHS_MAX: u32 = 3;
/// The longest pause between attempts to start a child that keeps dying, in seconds.
const BACK_OFF_SECS_MAX: u32 = 32;

impl<P: Program> Supervisor<P> {
    pub(super) fn reap(&mut self) -> Life {
        // One SIGCHLD may stand for many children; a failed wait means that there are none.
        while let Ok(Some(reaped)) = sys::process::reap() {
            self.bury(reaped.pid, reaped.end);
        }
        Life::GoesOn
    }

    /// Frees a dead child's place. Whoever died unasked is replaced at once.
    pub(super) fn bury(&mut self, pid: Pid, end: End) {
        let is_this =
            |child: &Option<KnownChild>| child.as_ref().is_some_and(|child| child.pid == pid);
        let Some(place) = self.children.iter().position(is_this) else {
            return; // Not ours: an orphan that was given to us as process 1.
        };
        let Some(child) = self.children[place].take() else { return };
        let now = Moment::now();
        self.scoreboard.child_ended(place, now);
        self.generation.plan.service.child_gone(place);
        match child.gate.child_died(pid.as_raw()) {
            Ok(false) => {}
            Ok(true) => self.program.notice(Notice::GateRepaired(pid)),
            Err(error) => self.program.notice(Notice::GateNotRepaired(&error)),
        }
        let retired = end == End::Exited(Exit::Finished as i32);
        if !retired {
            self.scoreboard.global().children_lost.fetch_add(1, Relaxed);
            self.program.notice(Notice::ChildDied { pid, end });
        }
        self.replace_old();
        if child.is_finishing() || child.generation != self.generation.number {
            return;
        }
        if retired {
            self.meet_demand(); // It has had its share. Whether it is missed is another question.
            return;
        }
        let young = now.since(child.started) <= YOUNG;
        self.young_deaths = if young { self.young_deaths + 1 } else { 0 };
        if self.young_deaths > YOUNG_DEATHS_MAX {
            self.back_off(now);
        } else if self.started() < self.settings().max_children {
            self.spawn(1);
        }
    }

    /// Children die young, one after the other: something is wrong that forking faster will not mend. Each pause is
    /// twice as long as the one before; but a server without any child tries again at the next second's look.
    pub(super) fn back_off(&mut self, now: Moment) {
        if now < self.spawn_not_before {
            return;
        }
        self.back_off_secs = (self.back_off_secs * 2).clamp(1, BACK_OFF_SECS_MAX);
        let secs = if self.started() == 0 { 1 } else { self.back_off_secs };
        let pause = Duration::from_secs(secs.into());
        self.spawn_not_before = now + pause;
        self.spawn_rates.reset();
        self.program.notice(Notice::ChildrenDieYoung { pause });
    }
}

/// Whether the second's look may start children, before the end of a pause, too: who has none left serves nobody.
pub(super) fn may_start(now: Moment, pause_ends: Moment, children: u32) -> bool {
    children == 0 || now >= pause_ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_child_does_not_wait_out_a_pause() {
        let at = |secs| Moment::from_start(Duration::from_secs(secs));
        assert!(!may_start(at(1), at(32), 1));
        assert!(may_start(at(32), at(32), 1));
        assert!(may_start(at(1), at(32), 0), "the last one died while the pause was running");
    }
}
