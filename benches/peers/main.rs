//! # peers: what a request costs, here and elsewhere, in one run
//!
//! ```text
//!   for each scenario, for each round:          wrk, on the other core
//!     limit ─▶ lighttpd ─▶ h2o ─▶ nginx ─▶ Apache ─▶ Herdgate      (whatever is installed)
//!       └── started cold, asked once, warmed, measured, stopped: one at a time, all on one core
//! ```
//!
//! - The figure is CPU time for each request, the server's processes together: what users pay for, and steadier than
//!   requests a second. Everything is a ratio of one run: machines differ, and so do their days.
//! - *limit* waits, reads, and writes an answer that was ready before it was asked, and does nothing else
//!   ([`limit`]). No server can be cheaper; how far it stays above is what is worth knowing.
//! - All serve the same files, keep the same access log, complete, and run with one process or one thread of their event
//!   loop, as far as they have one.
//! - Each measurement is repeated in rounds in which all take their turn, so that a noisy minute hits all alike. Medians
//!   are shown, and how far the rounds were apart.
//!
//! `cargo bench --bench peers -- --help` tells the rest.
#![expect(clippy::print_stdout, reason = "a program that prints its findings")]

mod limit;
mod measure;
mod report;
mod scenarios;
mod servers;
mod site;

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;

use report::Run;
use scenarios::{SCENARIOS, Scenario};
use servers::Kind;
use site::Site;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measures what a request costs, Herdgate's three models beside every peer that is installed.
#[derive(Parser)]
#[command(name = "cargo bench --bench peers --")]
struct Options {
    /// Rounds of each scenario; medians are shown
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// How long each measurement lasts
    #[arg(long, default_value_t = 3, value_name = "N")]
    secs: u32,
    /// Only these scenarios, by name (see --list)
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    only: Vec<String>,
    /// Only these servers, by name (see --list)
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    servers: Vec<String>,
    /// Another binary of Herdgate to measure beside this one: a former commit, say
    #[arg(long, value_name = "FILE")]
    former: Option<PathBuf>,
    /// Names the scenarios and the servers, and which of them are installed
    #[arg(long)]
    list: bool,
    /// Puts report.md, run.json and costs.svg there
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The limit program: answers on this port with the file's bytes, whatever is asked
    #[arg(long, hide = true, num_args = 2, value_names = ["PORT", "FILE"])]
    limit: Option<Vec<String>>,
    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    if let Some([port, file]) = options.limit.as_deref() {
        return Ok(limit::serve(port.parse()?, file.as_ref())?);
    }
    let kinds: Vec<Kind> = Kind::all(options.former.as_deref())
        .into_iter()
        .filter(|kind| options.servers.is_empty() || options.servers.contains(&kind.name()))
        .collect();
    if options.list {
        list(&kinds);
        return Ok(());
    }
    let scenarios: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|it| options.only.is_empty() || options.only.iter().any(|name| name == it.name))
        .collect();
    if let Some(missing) = measure::missing_tool() {
        return Err(format!("{missing} is needed, and not installed").into());
    }
    let (there, absent): (Vec<Kind>, Vec<Kind>) = kinds.into_iter().partition(Kind::is_installed);
    for kind in &absent {
        println!("{} is not installed, and left out", kind.name());
    }
    let run = measure_all(&scenarios, &there, &options)?;
    print!("{}", run.table());
    if let Some(folder) = &options.out {
        run.write(folder)?;
        println!("\nreport.md, run.json and costs.svg are in {}", folder.display());
    }
    Ok(())
}

fn list(kinds: &[Kind]) {
    for scenario in SCENARIOS {
        println!("{:12} {}", scenario.name, scenario.title);
    }
    println!();
    for kind in kinds {
        let there = if kind.is_installed() { "" } else { "  (not installed)" };
        println!("{}{there}", kind.name());
    }
}

/// Every server in every scenario, in interleaved rounds.
fn measure_all(scenarios: &[&Scenario], kinds: &[Kind], options: &Options) -> Outcome<Run> {
    let site = Site::build()?;
    let mut run = Run::new(options.rounds, options.secs);
    let mut turns = Vec::new();
    for scenario in scenarios {
        for _ in 0..options.rounds {
            turns.extend(
                kinds.iter().filter(|kind| scenario.fits(kind)).map(|kind| (*scenario, kind)),
            );
        }
    }
    let began = Instant::now();
    for (done, (scenario, kind)) in turns.iter().enumerate() {
        show_progress(done, turns.len(), began, scenario, kind);
        let sample = measure::one(kind, scenario, &site, options.secs)
            .map_err(|error| format!("{} in {}: {error}", kind.name(), scenario.name))?;
        run.add(scenario, kind, sample);
    }
    clear_progress();
    Ok(run)
}

/// One line that is written anew, on a terminal only.
fn show_progress(done: usize, all: usize, began: Instant, scenario: &Scenario, kind: &Kind) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    let left = match u32::try_from(done) {
        Ok(done) if done > 0 => {
            let each = began.elapsed() / done;
            each * u32::try_from(all).unwrap_or(u32::MAX).saturating_sub(done)
        }
        _ => Duration::ZERO,
    };
    print!("\r\x1b[K{done}/{all}  {} {}  {} s left", scenario.name, kind.name(), left.as_secs());
    let _only_a_display = std::io::stdout().flush();
}

fn clear_progress() {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[K");
    }
}
