//! `-t` and the dumps: the configuration's mistakes, all at once, or what it comes to.

#![expect(clippy::print_stdout, reason = "the dumps that were asked for go to standard output")]

use std::process::ExitCode;

use super::complain;
use super::dump::{self, Dump};
use crate::config::{Config, Source, compat};

/// What to check.
#[derive(Debug)]
pub struct Check {
    /// The configuration. What it defines says what is shown of it.
    pub source: Source,
    /// `--compat`: only what Apache has and we have not, and what to do about it.
    pub compat: bool,
}

/// Checks. `Syntax OK` is said on standard error, as scripts expect of httpd; not beside a dump.
pub fn run(check: &Check) -> ExitCode {
    if check.compat {
        let report = compat::report(&check.source);
        print!("{report}");
        return if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let dumps = Dump::asked(&check.source);
    // Whoever asks for a dump wants to see that, and nothing else.
    let load: fn(&Source) -> _ = if dumps.is_empty() { Config::examine } else { Config::load };
    match load(&check.source) {
        Ok(loaded) => {
            let verdict = if dumps.is_empty() { "Syntax OK\n" } else { "" };
            complain_text(&format!("{}{verdict}", loaded.warnings));
            let texts =
                dumps.iter().map(|dump| dump.text(&loaded.config, &loaded.warnings.sources));
            print!("{}", texts.collect::<String>());
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            if dumps.contains(&Dump::Includes) {
                print!("{}", dump::includes(&mistakes.sources));
            }
            let errors = mistakes.list.iter().filter(|each| each.is_error()).count();
            let plural = if errors == 1 { "" } else { "s" };
            complain(format_args!("{mistakes}{errors} error{plural}"));
            ExitCode::FAILURE
        }
    }
}

fn complain_text(lines: &str) {
    if let Some(lines) = lines.strip_suffix('\n') {
        complain(format_args!("{lines}"));
    }
}
