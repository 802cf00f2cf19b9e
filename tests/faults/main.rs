//! # What goes wrong around a server, and what it makes of it
//!
//! Every test starts the real binary, takes something away that it needs, or does something to its processes, and looks
//! whether it goes on as well as it can, says what is missing, and is as before once it is back.
//!
//! | module | what goes wrong |
//! |---|---|
//! | `starts` | a second start, pid files of the dead and of strangers, a supervisor that was killed |
//! | `disk` | no room for logs, scoreboard and pid file |
//! | `files` | what is being sent is shortened, replaced, deleted, or grows |
//! | `descriptors` | none left for a connection: EMFILE, ENFILE, ENOBUFS |
//! | `children` | they die at birth, of signals, or stand still; none can be forked |
//! | `init` | the server is process 1, and has orphans to bury |
//! | `rights` | what children may not do, and must not be |
//!
//! Elsewhere: bad configurations, and clients and children that are cut off, in `tests/server/lifecycle.rs`; who dies
//! inside the gate, in `mpm/tests/gates.rs`; damaged scoreboards and dead or silent servers, in `tests/top.rs`;
//! sockets of a server that crashed, and upgrades that fail, in `tests/listeners.rs`; a clock that jumps, in
//! `tests/tidy.rs` and beside the clocks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

#[path = "../support/mod.rs"]
mod support;

mod children;
mod descriptors;
mod disk;
mod files;
mod init;
mod rights;
mod starts;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use nix::unistd::{Pid, geteuid};

use support::processes::status;
use support::{not_allowed, skipped, wait_until};

/// Whether a command of the system is there and does what is asked, tried out on `true`.
fn can(command: &str, arguments: &[&str]) -> bool {
    let mut tried = Command::new(command);
    tried.args(arguments).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    tried.status().is_ok_and(|status| status.success())
}

/// Whether strace is here and may trace; if not, it has been said.
fn may_trace() -> bool {
    if !can("strace", &["-V"]) {
        skipped("no strace");
        return false;
    }
    let may = can("strace", &["-D", "-qq", "-o", "/dev/null"]);
    if !may {
        not_allowed("strace may not trace");
    }
    may
}

/// Sets a soft limit of a process that runs, as its own user, and leaves the hard one: prlimit(1).
#[track_caller]
fn limit(pid: Pid, what: Limit, value: impl std::fmt::Display) {
    let value = format!("--{}={value}:", what.option());
    // A child that is being born may still be root when we look, and nobody when it is asked.
    wait_until(&format!("prlimit {value} of {pid}"), || {
        let first = |field| status(pid, field).split_whitespace().next().unwrap().parse().unwrap();
        let (uid, gid): (u32, u32) = (first("Uid"), first("Gid"));
        let mut command = Command::new("prlimit");
        command.args(["--pid", &pid.to_string(), &value]).current_dir("/").stderr(Stdio::null());
        if uid != geteuid().as_raw() {
            command.uid(uid).gid(gid);
        }
        command.status().unwrap().success()
    });
}

/// Sets a soft limit back to the hard one.
fn lift_limit(pid: Pid, what: Limit) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix(what.row())).unwrap();
    limit(pid, what, line.split_whitespace().nth(1).unwrap());
}

/// What a process may have.
#[derive(Clone, Copy)]
enum Limit {
    /// Descriptors, by the highest number.
    Descriptors,
    /// Bytes in a file.
    FileBytes,
    /// Processes and threads of its user.
    Processes,
}

impl Limit {
    /// As prlimit(1) calls it.
    fn option(self) -> &'static str {
        match self {
            Limit::Descriptors => "nofile",
            Limit::FileBytes => "fsize",
            Limit::Processes => "nproc",
        }
    }

    /// As /proc/PID/limits calls it.
    fn row(self) -> &'static str {
        match self {
            Limit::Descriptors => "Max open files",
            Limit::FileBytes => "Max file size",
            Limit::Processes => "Max processes",
        }
    }
}
