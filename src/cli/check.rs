//! `-t`: the configuration's mistakes, all at once.

#![expect(clippy::print_stdout, reason = "the dumps that -D asks for go to standard output")]

use std::process::ExitCode;

use super::complain;
use crate::config::{Config, Mpm, Source};

/// What to check.
#[derive(Debug)]
pub struct Check {
    /// The configuration.
    pub source: Source,
}

/// Checks. `Syntax OK` is said on standard error, as scripts expect of httpd.
pub fn run(check: &Check) -> ExitCode {
    match Config::load(&check.source) {
        Ok(loaded) => {
            if is_defined(check, "DUMP_LIMITS") {
                println!("{}", limits(&loaded.config.server.mpm));
            }
            complain(format_args!("{}Syntax OK", loaded.warnings));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            let errors = mistakes.list.iter().filter(|each| each.is_error()).count();
            let plural = if errors == 1 { "" } else { "s" };
            complain(format_args!("{mistakes}{errors} error{plural}"));
            ExitCode::FAILURE
        }
    }
}

fn is_defined(check: &Check, name: &str) -> bool {
    check.source.defines.iter().any(|(defined, _)| defined == name)
}

/// `-D DUMP_LIMITS`: how many there may be of what, and where the number comes from.
fn limits(mpm: &Mpm) -> String {
    let geometry = &mpm.geometry;
    let mut text = format!(
        "Process model: {}\nStartServers: {}\nMinSpare: {}\nMaxSpare: {}\nThreadsPerChild: {}\nServerLimit: {}\n\
         MaxRequestWorkers: {} ({} children)",
        geometry.model,
        geometry.start_servers,
        geometry.min_spare,
        geometry.max_spare,
        geometry.threads_per_child,
        geometry.server_limit,
        geometry.max_request_workers,
        geometry.processes_max,
    );
    if let Some(plan) = &mpm.memory {
        text.push_str(&format!("\n{plan}"));
    }
    text
}
