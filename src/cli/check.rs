//! `-t`: the configuration's mistakes, all at once.

use std::process::ExitCode;

use super::complain;
use crate::config::{Config, Source};

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
