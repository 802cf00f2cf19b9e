//! # herdgate: an Apache-style HTTP server whose process model is a plug-in
//!
//! ```text
//!   arguments ─▶ configuration ─▶ listeners, logs ─▶ supervisor ─▶ children
//!      cli         config           launch             mpm           server, connection, request
//! ```
#![forbid(unsafe_code)]

use std::process::ExitCode;

use herdgate::cli::{self, Task};
use herdgate_sys as sys;
use sys::signals::Signal;

fn main() -> ExitCode {
    ignore_full_files();
    match cli::parse(std::env::args_os()) {
        Ok(Task::Serve(serve)) => cli::serve::run(serve),
        Ok(Task::Top(top)) => cli::top::run(&top),
        Ok(Task::Explain(explain)) => cli::explain::run(&explain),
        Ok(Task::Start(start)) => cli::start::run(start),
        Ok(Task::Control(control)) => cli::control::run(control),
        Ok(Task::Check(check)) => cli::check::run(&check),
        Ok(Task::Show(show)) => cli::show::run(show),
        Err(usage) => usage.print(),
    }
}

/// A log that has reached the limit of a file's size (`RLIMIT_FSIZE`) fails like one on a full disk, as in Apache: by
/// default, writing to it would kill whoever does.
fn ignore_full_files() {
    let _ = sys::signals::ignore(Signal::SIGXFSZ); // Refused for KILL and STOP only.
}
