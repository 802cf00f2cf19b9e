//! `-v`, `-l`: facts about the program, on standard output.
#![expect(clippy::print_stdout, reason = "printing is what was asked for")]

use std::process::ExitCode;

use crate::modules;

/// Which facts.
#[derive(Debug)]
pub enum Show {
    /// `-v`
    Version,
    /// `-l`
    BuiltIn,
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
    }
    ExitCode::SUCCESS
}
