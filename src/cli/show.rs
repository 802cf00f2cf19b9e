//! `-v`, `-l`, `-M`: facts about the program, on standard output.
#![expect(clippy::print_stdout, reason = "printing is what was asked for")]

use std::process::ExitCode;

use super::complain;
use crate::config::{Config, Source};
use crate::modules;

/// Which facts.
#[derive(Debug)]
pub enum Show {
    /// `-v`
    Version,
    /// `-l`
    BuiltIn,
    /// `-M`: what a configuration finds loaded.
    Modules(Box<Source>),
}

/// Prints them.
pub fn run(show: Show) -> ExitCode {
    match show {
        Show::Version => println!("Server version: Herdgate/{} (Linux)", env!("CARGO_PKG_VERSION")),
        Show::BuiltIn => {
            println!("Compiled in modules:");
            for module in modules::ALL {
                println!("  {}", module.file);
            }
        }
        Show::Modules(source) => match Config::load(&source) {
            Ok(loaded) => print_modules(loaded.config.server.mpm.geometry.model.name()),
            Err(mistakes) => {
                complain(format_args!("{mistakes}"));
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

fn print_modules(model: &str) {
    println!("Loaded Modules:");
    let in_force = format!("mpm_{model}_module");
    for module in modules::ALL
        .iter()
        .filter(|module| !module.name.starts_with("mpm_") || module.name == in_force)
    {
        println!(" {} (static)", module.name);
    }
}
