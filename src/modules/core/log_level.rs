//! `LogLevel`: how grave a message must be to reach the error log, for the server and for single
//! modules.

use std::collections::BTreeMap;

use herdgate_conf::{Args, Problem, Word, nearest};

use crate::config::apache_has_module;
use crate::modules;

/// How grave a message is; the gravest first, so that `level <= threshold` means "log it".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The system is unusable.
    Emerg,
    /// Somebody must act at once.
    Alert,
    /// A critical condition.
    Crit,
    /// An error.
    Error,
    /// A warning.
    Warn,
    /// Normal, and worth a line. Always written to files, whatever the threshold.
    Notice,
    /// For information.
    Info,
    /// For debugging.
    Debug,
    /// Traces, coarse to fine: 1 to 8.
    Trace(u8),
}

/// What the `LogLevel` lines of one section say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogLevels {
    /// For modules without a level of their own.
    general: Option<Level>,
    /// By the module's name as the log shows it: `dir` for `dir_module` and `mod_dir.c`.
    modules: BTreeMap<String, Level>,
}

impl LogLevels {
    /// The threshold of a module; `core` is one, too.
    pub fn level(&self, module: &str) -> Level {
        self.modules.get(module).copied().unwrap_or(self.general())
    }

    /// The threshold of modules that have none of their own.
    pub fn general(&self) -> Level {
        self.general.unwrap_or(Level::Warn)
    }

    pub(super) fn merge(&self, inner: &Self) -> Self {
        let mut merged = self.clone();
        if let Some(general) = inner.general {
            merged.set_general(general);
        }
        merged.modules.extend(inner.modules.clone());
        merged
    }

    /// A bare level resets the levels of modules that were set before it.
    fn set_general(&mut self, level: Level) {
        self.general = Some(level);
        self.modules.clear();
    }

    /// One line: `[module:]level …`.
    pub(super) fn read(&mut self, args: &mut Args<'_>) -> Result<(), Problem> {
        let mut next = Some(args.required()?);
        while let Some(word) = next {
            self.read_one(word, args)?;
            next = args.next();
        }
        Ok(())
    }

    fn read_one(&mut self, word: &Word, args: &mut Args<'_>) -> Result<(), Problem> {
        match word.text.split_once(':') {
            None => self.set_general(level_named(word, &word.text)?),
            Some((module, level)) => {
                let level = level_named(word, level)?;
                let name = short_name(module);
                if !is_a_module(&name) {
                    args.warn(Problem::at(word, format!("Cannot find module {module}")));
                }
                self.modules.insert(name, level);
            }
        }
        Ok(())
    }
}

/// `dir` of `dir_module`, `mod_dir.c` and `dir`.
fn short_name(module: &str) -> String {
    let name = module.strip_suffix("_module").unwrap_or(module);
    let name = name.strip_suffix(".c").unwrap_or(name);
    name.strip_prefix("mod_").unwrap_or(name).to_ascii_lowercase()
}

/// Whether messages may bear this name: of a module here, or of one that Apache has.
fn is_a_module(short: &str) -> bool {
    modules::ALL.iter().any(|module| short_name(module.name) == short) || apache_has_module(short)
}

const NAMES: &[(&str, Level)] = &[
    ("emerg", Level::Emerg),
    ("alert", Level::Alert),
    ("crit", Level::Crit),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("notice", Level::Notice),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace1", Level::Trace(1)),
    ("trace2", Level::Trace(2)),
    ("trace3", Level::Trace(3)),
    ("trace4", Level::Trace(4)),
    ("trace5", Level::Trace(5)),
    ("trace6", Level::Trace(6)),
    ("trace7", Level::Trace(7)),
    ("trace8", Level::Trace(8)),
];

impl Level {
    /// The level of this name, in any case.
    pub fn named(name: &str) -> Option<Level> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// As written after `LogLevel` and shown in the log.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, level)| *level == self).map_or("trace8", |(name, _)| name)
    }
}

fn level_named(word: &Word, name: &str) -> Result<Level, Problem> {
    Level::named(name).ok_or_else(|| {
        let problem = Problem::at(word, format!("{name:?} is not a level"));
        match nearest(name, NAMES.iter().map(|(known, _)| *known)) {
            Some(known) => problem.help(format!("did you mean {known}?")),
            None => problem
                .help("emerg, alert, crit, error, warn, notice, info, debug or trace1 to trace8"),
        }
    })
}
