//! Another binary takes our place: the supervisor's side of [`crate::upgrade`].

use herdgate_sys as sys;
use sys::process::Pid;
use sys::signals::Signal;

use super::{Life, Notice, Program, Supervisor};
use crate::listen::Listeners;
use crate::scoreboard::Stage;
use crate::upgrade::{self, Successor};

impl<P: Program> Supervisor<P> {
    /// Starts our own binary anew, to take over.
    pub(super) fn upgrade(&mut self) -> Life {
        let allowed = match &self.successor {
            Some(_) => Err("an upgrade is under way"),
            None if self.settings().on_terminal => {
                Err("the terminal would think that the server has ended: stop it and start it")
            }
            None if Pid::this().as_raw() == 1 => {
                Err("the container would end with its first process: start it anew")
            }
            None => self.program.can_hand_over(),
        };
        let started = allowed.map_err(str::to_owned).and_then(|()| {
            Successor::start(&self.generation.plan.listeners).map_err(|error| error.to_string())
        });
        match started {
            Ok(successor) => {
                self.program.notice(Notice::UpgradeBegun(successor.pid));
                self.successor = Some(successor);
            }
            Err(reason) => self.program.notice(Notice::UpgradeFailed(&reason)),
        }
        Life::GoesOn
    }

    pub(super) fn hand_over(&mut self, outcome: upgrade::Outcome) -> Life {
        let Some(successor) = self.successor.take() else { return Life::GoesOn };
        match outcome {
            upgrade::Outcome::Failed(reason) => {
                self.program.notice(Notice::UpgradeFailed(&reason));
                Life::GoesOn
            }
            upgrade::Outcome::Ready => {
                self.generation.plan.listeners.let_go();
                self.program.notice(Notice::Upgraded(successor.pid));
                self.scoreboard.set_stage(Stage::Finishing);
                let until = self.finish_until();
                self.finish_all(until, &Listeners::default())
            }
        }
    }

    /// We end before it serves: so must it, since we close the listeners.
    pub(super) fn stop_successor(&mut self) {
        if let Some(successor) = self.successor.take() {
            // It can only fail because it is dead already.
            let _ = sys::process::signal(successor.pid, Signal::SIGTERM);
        }
    }
}
