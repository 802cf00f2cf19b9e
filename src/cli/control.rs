//! `-k`: a running server, found by its pid file.
#![expect(clippy::print_stdout, reason = "it answers whoever controls the server")]

use std::process::ExitCode;

use herdgate_sys as sys;
use sys::signals::Signal;

use super::{Action, complain, start};
use crate::config::Config;
use crate::pidfile::{self, Running};

/// What to do to which server.
#[derive(Debug)]
pub struct Control {
    /// What.
    pub action: Action,
    /// Which: the one that this would start.
    pub start: start::Start,
}

/// Reads the whole configuration first: one that cannot be used sends no signal.
pub fn run(control: Control) -> ExitCode {
    let config = match Config::load(&control.start.source) {
        Ok(loaded) => loaded.config,
        Err(mistakes) => {
            complain(format_args!("{mistakes}"));
            return ExitCode::FAILURE;
        }
    };
    let signal = match control.action {
        Action::Start => return start::run(control.start),
        Action::Stop => Signal::SIGTERM,
        Action::GracefulStop => Signal::SIGWINCH,
        Action::Restart => Signal::SIGHUP,
        Action::Graceful => Signal::SIGUSR1,
        Action::Upgrade => Signal::SIGUSR2,
    };
    let stops = matches!(control.action, Action::Stop | Action::GracefulStop);
    match pidfile::running(&config.server.mpm.pid_file) {
        Ok(Running::Yes(pid)) => match sys::process::signal(pid, signal) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(format_args!("sending signal to server {pid}: {error}"));
                ExitCode::FAILURE
            }
        },
        Ok(Running::No(stale)) if stops => {
            match stale {
                Some(pid) => println!("httpd (pid {pid}?) not running"),
                None => println!("httpd (no pid file) not running"),
            }
            ExitCode::SUCCESS
        }
        Ok(Running::No(_)) => {
            println!("httpd not running, trying to start");
            start::run(control.start)
        }
        Err(error) => {
            complain(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}
