//! # sandbox: what children give up before they serve
//!
//! ```text
//!   Config ──of──▶ Sandbox: what this configuration needs ──enter, in each child──▶ sys::sandbox: Landlock, seccomp
//!                     └── Display ──▶ the log, server-status, -D DUMP_RUN_CFG: what is in force, and why not more
//! ```
//!
//! - A child enters after it has become its user, with its logs, listeners and scoreboard open, before its threads start.
//! - The supervisor stays outside: it forks, binds, opens logs and executes a new binary.
//! - What is needed follows from the words of the configuration: a needless permission is better than a broken site.

mod needs;

use std::fmt;
use std::io;
use std::sync::OnceLock;

use herdgate_sys as sys;
use sys::sandbox::{Bounds, Offer, Peers};

use crate::config::Config;
use crate::modules::sandbox::Mode;
use needs::Need;

/// A generation's sandbox.
#[derive(Debug)]
pub struct Sandbox {
    mode: Mode,
    bounds: Bounds,
    /// The line that asks for what `bounds` lets children connect to.
    asked_by: Option<String>,
    offer: Offer,
    /// What did not come to be in this process, although the kernel has it.
    failed: OnceLock<String>,
}

impl Sandbox {
    /// What `config` needs, and what this kernel can do about the rest.
    pub fn of(config: &Config) -> Self {
        let mode = config.server.sandbox.mode();
        let Need { peers, asked_by } = needs::peers(&config.outline);
        let read = (mode == Mode::On).then(|| needs::reading(config, peers));
        let write = config.server.mpm.core_dump_directory.iter().cloned().collect();
        let bounds = Bounds { read, write, peers };
        Self { mode, bounds, asked_by, offer: sys::sandbox::offer(), failed: OnceLock::new() }
    }

    /// Whether the kernel has all that was asked for.
    ///
    /// # Errors
    /// `Sandbox On` is more than this kernel can do: a line for people.
    pub fn check(&self) -> Result<(), String> {
        match (self.mode, self.lacks()) {
            (Mode::On, Some(lacks)) => {
                Err(format!("Sandbox On: {lacks}; Sandbox Auto serves with what there is"))
            }
            _ => Ok(()),
        }
    }

    /// What this kernel, or the container around us, does not have.
    pub fn lacks(&self) -> Option<&'static str> {
        match (self.mode, self.offer) {
            (Mode::Off, _) | (_, Offer { landlock: Some(_), seccomp: true }) => None,
            (_, Offer { landlock: None, seccomp: true }) => Some(
                "this kernel has no Landlock, or a container forbids it: files can be opened as their rights allow",
            ),
            (_, Offer { landlock: Some(_), seccomp: false }) => {
                Some("this kernel has no seccomp filters: system calls are not refused")
            }
            (_, Offer { landlock: None, seccomp: false }) => Some(
                "this kernel has neither Landlock nor seccomp filters: children give up nothing",
            ),
        }
    }

    /// Gives up, for good, what serving does not need. Called once in a child, on its first thread.
    ///
    /// # Errors
    /// A half that the kernel has could not be had. Under `Auto` the child may serve all the same.
    pub fn enter(&self) -> io::Result<()> {
        if self.mode == Mode::Off {
            return Ok(());
        }
        self.give_up().inspect_err(|error| {
            let _ = self.failed.set(error.to_string()); // A child enters once.
        })
    }

    fn give_up(&self) -> io::Result<()> {
        sys::sandbox::gain_no_privileges()?;
        // Landlock first: its own calls are among those that go.
        let files = match self.offer.landlock {
            Some(_) => sys::sandbox::limit_files(&self.bounds),
            None => Ok(()),
        };
        let calls = match self.offer.seccomp {
            true => sys::sandbox::limit_calls(self.bounds.peers),
            false => Ok(()),
        };
        files.and(calls)
    }

    /// Whether a child that could not enter must not serve.
    pub fn is_required(&self) -> bool {
        self.mode == Mode::On
    }
}

impl fmt::Display for Sandbox {
    /// What is in force, in one sentence.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.mode.name())?;
        if self.mode == Mode::Off {
            return out.write_str(": children may do what their user may do");
        }
        match &self.bounds.read {
            None => out.write_str(": children may read")?,
            Some(read) => write!(out, ": children may read {} files and folders", read.len())?,
        }
        for folder in &self.bounds.write {
            write!(out, ", write in {}", folder.display())?;
        }
        let asked_by = self.asked_by.as_deref().unwrap_or_default();
        match self.bounds.peers {
            Peers::Nobody => {}
            Peers::Names => write!(out, ", ask who a user is ({asked_by})")?,
            Peers::Resolver => write!(out, ", ask the resolver ({asked_by})")?,
        }
        let calls = sys::sandbox::refused_calls(self.bounds.peers);
        match (self.offer.landlock, self.offer.seccomp) {
            (Some(version), true) => write!(
                out,
                ", and not change files, execute or connect (Landlock {version}, {calls} system calls refused)"
            )?,
            (Some(version), false) => {
                write!(out, ", and not change files or execute (Landlock {version})")?;
            }
            (None, true) => {
                write!(out, ", and not execute or connect ({calls} system calls refused)")?;
            }
            (None, false) => {}
        }
        if let Some(lacks) = self.lacks() {
            write!(out, "; {lacks}")?;
        }
        match self.failed.get() {
            Some(error) => write!(out, "; not all of it is in force: {error}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(mode: Mode, landlock: Option<u32>, seccomp: bool) -> Sandbox {
        Sandbox {
            mode,
            bounds: Bounds { read: None, write: Vec::new(), peers: Peers::Nobody },
            asked_by: None,
            offer: Offer { landlock, seccomp },
            failed: OnceLock::new(),
        }
    }

    #[test]
    fn an_old_kernel_is_enough_for_auto_and_not_for_on() {
        for (landlock, seccomp) in [(None, true), (Some(1), false), (None, false)] {
            let on = sandbox(Mode::On, landlock, seccomp).check().unwrap_err();
            assert!(
                on.starts_with("Sandbox On: this kernel has n") && on.contains("Sandbox Auto"),
                "{on}"
            );
            let auto = sandbox(Mode::Auto, landlock, seccomp);
            auto.check().unwrap();
            assert!(auto.to_string().contains("; this kernel has n"), "{auto}");
            assert_eq!(sandbox(Mode::Off, landlock, seccomp).lacks(), None);
        }
        assert_eq!(sandbox(Mode::On, Some(1), true).check(), Ok(()));
    }

    #[test]
    fn what_is_in_force_is_one_sentence() {
        let mut sandbox = sandbox(Mode::Auto, Some(7), true);
        let text = sandbox.to_string();
        let begin =
            "Auto: children may read, and not change files, execute or connect (Landlock 7, ";
        assert!(text.starts_with(begin) && text.ends_with(" system calls refused)"), "{text}");
        sandbox.bounds.peers = Peers::Resolver;
        sandbox.asked_by = Some("HostnameLookups, httpd.conf:12".to_owned());
        let text = sandbox.to_string();
        assert!(
            text.contains(" may read, ask the resolver (HostnameLookups, httpd.conf:12), and not"),
            "{text}"
        );
        sandbox.failed.set("no memory".to_owned()).unwrap();
        assert!(sandbox.to_string().ends_with("; not all of it is in force: no memory"));
    }
}
