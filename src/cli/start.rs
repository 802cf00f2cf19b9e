//! Starting a server from a configuration file, in the foreground or the background.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use herdgate_mpm as mpm;
use herdgate_mpm::Listeners;
use herdgate_mpm::upgrade::Handover;
use herdgate_sys as sys;

use super::complain;
use crate::config::{Config, Diagnostics, Loaded, Source};
use crate::log::Level;
use crate::pidfile::{self, PidFile, Running};
use crate::program::{self, Prepared, Surroundings, WebProgram};

/// Children that outlive their supervisor leave the address as soon as they notice.
const ORPHANS_LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// A server to start.
#[derive(Debug)]
pub struct Start {
    /// Its configuration.
    pub source: Source,
    /// It stays on the terminal.
    pub foreground: bool,
    /// `-X`: one process, no supervisor.
    pub single: bool,
    /// `-E`: where messages go while it starts.
    pub errors: Option<PathBuf>,
    /// `-e`: which of them.
    pub level: Level,
}

/// Starts it. In the foreground this returns when the server has ended; in the background, when it serves.
pub fn run(start: Start) -> ExitCode {
    // Before anything else: whoever started us waits for an answer.
    let (handover, taken) = match Handover::take() {
        Ok(handover) => (handover, Ok(())),
        Err(error) => (None, Err(error.to_string())),
    };
    match taken.and_then(|()| start_and_serve(&start, handover.as_ref())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            start.say(&message);
            if let Some(handover) = handover {
                handover.failed(&message);
            }
            ExitCode::FAILURE
        }
    }
}

impl Start {
    /// The mistakes; and who has just typed `herdgate` has probably not written a configuration yet.
    fn explain(&self, mistakes: &Diagnostics) -> String {
        let file = self.source.file.as_deref().map(|file| self.source.root.join(file));
        if file.is_some_and(|file| file.exists()) {
            return mistakes.to_string();
        }
        format!(
            "{mistakes}-f names a configuration file. To serve a folder without one: herdgate serve DIR"
        )
    }

    fn say(&self, text: &str) {
        if let Some(path) = &self.errors
            && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path)
            && writeln!(file, "{}", text.trim_end()).is_ok()
        {
            return;
        }
        complain(format_args!("{}", text.trim_end()));
    }
}

/// `handover`: what the server has left to us that we replace.
fn start_and_serve(start: &Start, handover: Option<&Handover>) -> Result<(), String> {
    let Loaded { config, warnings } =
        Config::load(&start.source).map_err(|mistakes| start.explain(&mistakes))?;
    if start.level >= Level::Warn && !warnings.list.is_empty() {
        start.say(&warnings.to_string());
    }
    let pid_path = config.server.mpm.pid_file.clone();
    let crashed = match pidfile::running(&pid_path).map_err(|error| error.to_string())? {
        Running::Yes(_) | Running::No(_) if handover.is_some() => false, // The one that we replace.
        Running::Yes(pid) => {
            start.say(&format!("httpd (pid {pid}) already running"));
            return Ok(()); // As httpd: the wish is fulfilled.
        }
        Running::No(_) => pid_path.exists(),
    };
    if sys::process::is_root() && config.server.user.is_none() && !start.single {
        return Err("Herdgate does not serve as root: name a User (and a Group) for its children"
            .to_owned());
    }
    if let Some(complaint) = program::raise_descriptor_limit(&config.server.mpm) {
        start.say(&complaint);
    }
    let inherited = match handover {
        Some(handover) => handover.listeners().clone(),
        None => Listeners::of_systemd().map_err(|error| error.to_string())?,
    };
    let patience = if crashed { ORPHANS_LEAVE_WITHIN } else { Duration::ZERO };
    let prepared = program::prepare(config, &inherited, false, patience, None)?;
    if handover.is_none() {
        refuse_unclaimed(&inherited, &prepared.plan.listeners)?;
    }
    drop(inherited);
    if start.single {
        program::log_panics(&prepared.server);
        program::announce(&prepared.server, &prepared.plan.listeners);
        program::describe_sandbox(&prepared.server);
        return mpm::run_single(prepared.plan).map_err(|error| error.to_string());
    }
    // Who replaces a server stands where that one stood.
    let detached = if start.foreground || handover.is_some() {
        None
    } else {
        Some(
            sys::process::detach()
                .map_err(|error| format!("going into the background: {error}"))?,
        )
    };
    let on_terminal = detached.is_none() && std::io::stderr().is_terminal();
    let pid_file = write_pid_file(&pid_path, crashed, &prepared)?;
    if let Some(detached) = &detached {
        detached
            .release_terminal()
            .map_err(|error| format!("letting go of the terminal: {error}"))?;
    }
    let surroundings = Surroundings {
        on_terminal,
        detached,
        handover: handover.cloned(),
        pid_file: Some(pid_path),
        owner: None,
    };
    let served = serve(start.source.clone(), prepared, surroundings);
    if let Err(error) = pid_file.remove() {
        complain(format_args!("removing the pid file: {error}"));
    }
    served
}

fn serve(source: Source, mut prepared: Prepared, surroundings: Surroundings) -> Result<(), String> {
    prepared.plan.settings.on_terminal = surroundings.on_terminal;
    program::log_panics(&prepared.server);
    let loader = Box::new(move || Config::load(&source));
    let program = WebProgram::new(loader, &prepared, surroundings);
    mpm::run(program, prepared.plan).map_err(|error| error.to_string())
}

/// What systemd listens on for us and nobody serves would leave clients waiting for ever.
fn refuse_unclaimed(inherited: &Listeners, claimed: &Listeners) -> Result<(), String> {
    let unclaimed = inherited.without(claimed).filter_map(|listener| {
        let lender = listener.lender()?;
        Some(format!("{} comes from {lender}, and no Listen line asks for it", listener.address()))
    });
    let complaints: Vec<String> = unclaimed.collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn write_pid_file(
    path: &std::path::Path,
    crashed: bool,
    prepared: &Prepared,
) -> Result<PidFile, String> {
    if crashed {
        prepared.server.logs.main().at(Level::Warn, "core").say(format_args!(
            "AH00098: pid file {} overwritten -- Unclean shutdown of previous run?",
            path.display()
        ));
    }
    PidFile::write(path).map_err(|error| format!("AH00099: {error}"))
}
