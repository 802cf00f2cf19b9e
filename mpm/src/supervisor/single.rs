//! One process and no supervisor: for debuggers (`httpd -X`).
//!
//! ```text
//!   main thread: a child's loop          watcher: waits for TERM, INT, QUIT, HUP
//!                                          └─▶ removes what has a name, then lets the signal kill the process
//! ```
//!
//! - A service may give up rights for the thread that serves, so it is the watcher who cleans up, in either case.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::SystemTime;

use herdgate_sys as sys;
use sys::poll::{Interest as PollInterest, PollEntry, poll};
use sys::process::Pid;
use sys::signals::{Signal, SignalFd, SignalSet};

use super::births::child_main;
use super::{Generation, Plan, StartError, unix_secs};
use crate::Service;
use crate::gate::GateKind;
use crate::scoreboard::{Scoreboard, Stage};

/// What ends a process that a debugger or a terminal has started.
const DEADLY: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP];

/// Serves in this very process, with one child's loop and no supervisor: for debuggers (`httpd -X`). SIGTERM, SIGINT,
/// SIGQUIT and SIGHUP end it at once, as they end any program, and leave neither a scoreboard nor a socket file behind.
/// Must be called while the process has one thread.
///
/// # Errors
/// As [`run`](super::run), or what ended the loop.
pub fn run_single<S: Service>(plan: Plan<S>) -> Result<(), StartError> {
    let doing = |doing| move |source| StartError { doing, source };
    let mut settings = plan.settings.clone();
    settings.max_connections_per_child = 0; // There is nobody to start a successor.
    settings.gate = GateKind::None; // Nor anybody to keep out.
    let signals = SignalFd::new(&DEADLY).map_err(doing("signalfd"))?;
    let board = Scoreboard::create(settings.scoreboard.as_deref(), 1, settings.slots_per_child())
        .map_err(doing("create the scoreboard"))?;
    let plan = Plan { settings, ..plan };
    let generation = Generation::new(0, plan).map_err(doing("create the accept mutex"))?;
    let (orders, hold) = sys::pipe::pipe().map_err(doing("pipe"))?;
    let (over, at_the_end) = sys::pipe::pipe().map_err(doing("pipe"))?;
    board.server_starts(&generation.plan.settings, unix_secs(SystemTime::now()));
    board.children()[0].pid.store(Pid::this().as_raw(), Relaxed);
    board.set_stage(Stage::Serving);
    let clean_up = || {
        generation.plan.listeners.close();
        board.retire_file();
    };
    let served = thread::scope(|scope| {
        let watcher = thread::Builder::new().name("signals".to_owned());
        watcher
            .spawn_scoped(scope, || die_cleanly(&signals, &over, clean_up))
            .map_err(doing("start a thread"))?;
        let served = child_main(&generation, &board, (0, 0), orders, None);
        drop(at_the_end);
        served.map_err(doing("serve"))
    });
    drop(hold); // Kept open until here: its end of file would have meant "finish".
    served.map(|_exit| ())
}

/// Waits for a signal that kills, and dies of it after `clean_up`; or for the end of file, and returns, after that as well.
fn die_cleanly(signals: &SignalFd, over: &OwnedFd, clean_up: impl Fn()) {
    loop {
        let mut entries = [signals.as_fd().as_raw_fd(), over.as_raw_fd()]
            .map(|fd| PollEntry::new(fd, PollInterest::READ));
        let _ = poll(&mut entries, None);
        if let Ok(Some(signal)) = signals.read() {
            clean_up();
            let _ = die_of(signal);
            // Still here: process 1 of a container, whom no signal kills. As a shell counts it.
            sys::process::exit_immediately(128 + signal as i32);
        }
        if !entries[1].returned().is_empty() {
            clean_up();
            return;
        }
    }
}

fn die_of(signal: Signal) -> io::Result<()> {
    sys::signals::restore_default(signal)?;
    sys::process::signal(Pid::this(), signal)?;
    SignalSet::of(&[signal]).unblock()
}
