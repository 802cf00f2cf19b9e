//! # `herdgate top`: the scoreboard, live or once
//!
//! ```text
//!   find ─▶ Watch ─▶ Look (scoreboard, /proc) ─▶ View (rates, sums) ─┬─▶ screen   live, each second
//!            looking                               view              ├─▶ text     --once
//!                                                                    └─▶ json     --json
//! ```
//!
//! - It reads one file and /proc, and asks nothing of the server: it works as well when the server hangs, and shows
//!   the last state when it is dead.
//! - Exit codes of `--once` and `--json`: 0, the server lives or has stopped as it should; 1, there is no scoreboard;
//!   3, it is dead, as `systemctl status` has it.
#![expect(clippy::print_stdout, reason = "printing is what was asked for")]

mod gate;
mod json;
#[cfg(feature = "top")]
mod live;
mod looking;
mod queue;
#[cfg(feature = "top")]
mod screen;
mod text;
mod view;
mod words;

#[cfg(feature = "top")]
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use herdgate_mpm::scoreboard::reader::{Life, Reader};

use super::{DEFAULT_FILE, DEFAULT_ROOT, complain};
use crate::config::{Config, Source};
use crate::pidfile::{self, Running};
use crate::scoreboard;
use looking::Watch;
use view::View;
use words::escaped;

/// For `--once` and `--json`: the server is dead.
const DEAD: u8 = 3;

/// Watch a server: its workers, rates, gate, queue and memory, live
#[derive(Args, Clone, Debug)]
pub struct Top {
    /// The server's configuration file, relative to the root
    #[arg(short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The server's root, until ServerRoot says otherwise
    #[arg(short = 'd', value_name = "ROOT")]
    root: Option<PathBuf>,
    /// The scoreboard itself
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "root", "pid_file"])]
    scoreboard: Option<PathBuf>,
    /// The server's pid file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "root"])]
    pid_file: Option<PathBuf>,
    /// Print once, as text
    #[arg(long)]
    once: bool,
    /// Print once, as JSON
    #[arg(long, conflicts_with = "once")]
    json: bool,
    /// Count memory with a share of what is shared (PSS): slower, and adds up
    #[arg(long)]
    pss: bool,
    /// Seconds between two looks; 0 with --once or --json looks once, and knows no rates
    #[arg(short, long, value_name = "SECS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Show this help
    #[arg(short, long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("from 0 to 3600".to_owned()) }
}

/// Shows it.
pub fn run(top: &Top) -> ExitCode {
    match try_run(top) {
        Ok(code) => code,
        Err(message) => {
            complain(format_args!("herdgate top: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn try_run(top: &Top) -> Result<ExitCode, String> {
    let path = find(top)?;
    let watch = Watch::open(&path).map_err(|error| {
        let owners = error.io_kind() == Some(std::io::ErrorKind::PermissionDenied);
        let hint = if owners { ". It is its owner's alone: ask as the server's user" } else { "" };
        format!("{error}{hint}")
    })?;
    #[cfg(feature = "top")]
    if !top.once && !top.json && std::io::stdout().is_terminal() {
        const INTERVAL_MIN: f64 = 0.1;
        let interval = Duration::from_secs_f64(top.interval.max(INTERVAL_MIN));
        return live::run(watch, interval)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| format!("terminal: {error}"));
    }
    Ok(print_once(top, watch))
}

fn print_once(top: &Top, mut watch: Watch) -> ExitCode {
    let first = watch.look(top.pss);
    // The dead do not change.
    let alive = matches!(first.life, Life::Well | Life::Silent(_));
    let view = if top.interval > 0.0 && alive {
        std::thread::sleep(Duration::from_secs_f64(top.interval));
        View::of(&watch.look(top.pss), Some(&first))
    } else {
        View::of(&first, None)
    };
    print!("{}", if top.json { json::render(&view) } else { text::render(&view) });
    if view.life == Life::Dead { ExitCode::from(DEAD) } else { ExitCode::SUCCESS }
}

// --- which scoreboard ---

fn find(top: &Top) -> Result<PathBuf, String> {
    if let Some(path) = &top.scoreboard {
        return Ok(path.clone());
    }
    if let Some(pid_file) = &top.pid_file {
        let pid_file = std::path::absolute(pid_file).unwrap_or_else(|_| pid_file.clone());
        return by_pid_file(&pid_file, scoreboard::candidates_by_pid_file(&pid_file));
    }
    let named = top.file.is_some() || top.root.is_some();
    let source = source(top);
    let file = source.file.as_deref().map(|file| source.root.join(file));
    if named || file.is_some_and(|file| file.exists()) {
        let found = by_configuration(&source);
        if named || found.is_ok() {
            return found;
        }
    }
    the_only_one()
}

fn source(top: &Top) -> Source {
    let root = top.root.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_ROOT));
    // A file that is named without a root is relative to where we stand, as with httpd only an absolute one could be.
    let file = match (&top.file, &top.root) {
        (Some(file), None) => std::path::absolute(file).unwrap_or_else(|_| file.clone()),
        (Some(file), Some(_)) => file.clone(),
        (None, _) => PathBuf::from(DEFAULT_FILE),
    };
    Source {
        root: std::path::absolute(&root).unwrap_or(root),
        file: Some(file),
        ..Source::default()
    }
}

fn by_configuration(source: &Source) -> Result<PathBuf, String> {
    let config = Config::load(source).map_err(|mistakes| {
        let mistakes = mistakes.to_string();
        format!(
            "the configuration cannot be read; --pid-file or --scoreboard would do as well\n{}",
            mistakes.trim_end()
        )
    })?;
    let server = &config.config.server;
    by_pid_file(&server.mpm.pid_file, scoreboard::candidates(server))
}

/// The scoreboard that the living server has mapped, or the one that it has left.
fn by_pid_file(pid_file: &Path, candidates: Vec<PathBuf>) -> Result<PathBuf, String> {
    let running = pidfile::running(pid_file);
    if let Ok(Running::Yes(pid)) = running
        && let Some(path) = scoreboard::of_process(pid)
    {
        return Ok(path);
    }
    candidates.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let places: Vec<String> =
            candidates.iter().map(|path| path.display().to_string()).collect();
        let places = places.join(" nor ");
        match running {
            Ok(Running::Yes(pid)) => {
                format!("the server with pid {pid} has no scoreboard at {places}")
            }
            _ => format!(
                "no server runs by {}, and none has left a scoreboard at {places}",
                pid_file.display()
            ),
        }
    })
}

/// Nobody said which: the living one if there is one, else the dead one if there is one.
fn the_only_one() -> Result<PathBuf, String> {
    let readers = scoreboard::all().into_iter().filter_map(|path| Reader::open(&path).ok());
    let (dead, alive): (Vec<Reader>, Vec<Reader>) =
        readers.partition(|reader| reader.life() == Life::Dead);
    match (&alive[..], &dead[..]) {
        ([one], _) | ([], [one]) => Ok(one.path().to_owned()),
        ([], []) => {
            Err("no server of ours runs here. Which one is meant: -f CONF, --pid-file FILE \
                         or --scoreboard FILE?"
                .to_owned())
        }
        ([], several) | (several, _) => {
            let list: Vec<String> = several.iter().map(as_choice).collect();
            Err(format!("there are several. Which one?\n{}", list.join("\n")))
        }
    }
}

fn as_choice(reader: &Reader) -> String {
    let snapshot = reader.snapshot();
    let model = snapshot.server.model.map_or_else(String::new, |model| format!("{model}, "));
    let (pid, listen) = (snapshot.server.pid, escaped(&snapshot.listen));
    format!(
        "    herdgate top --scoreboard {}   # {model}pid {pid}, {listen}",
        reader.path().display()
    )
}
