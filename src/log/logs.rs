//! # All logs of a configuration, open
//!
//! - Hosts that name the same file share one descriptor, and their lines leave in one batch.
//! - Opening is part of a reload's transaction: one file that cannot be opened, and nothing has changed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::access::{Format, Record};
use super::clock::LogClock;
use super::error::ErrorLog;
use super::file::{LogBatch, LogFile, LogId, LogNews};
use crate::config::{Config, Host};
use crate::modules::core::{Level, LogTarget};
use crate::modules::log_config::Only;
use crate::route::hosts::{HostIndex, MAIN};

/// The open logs of one generation.
#[derive(Debug)]
pub struct Logs {
    files: Vec<Arc<LogFile>>,
    /// Their names, for people.
    paths: Vec<PathBuf>,
    /// Indexed by [`HostIndex`].
    hosts: Vec<HostLogs>,
}

#[derive(Debug)]
struct HostLogs {
    error: ErrorLog,
    access: Vec<AccessLog>,
}

#[derive(Debug)]
struct AccessLog {
    file: LogId,
    format: Arc<Format>,
    only: Option<Only>,
}

/// A log that cannot be opened.
#[derive(Debug)]
pub struct CannotOpen {
    /// Which one.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for CannotOpen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "open log {}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for CannotOpen {}

impl Logs {
    /// Opens every log that `config` names.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub fn open(config: &Config) -> Result<Logs, CannotOpen> {
        let mut opening = Opening::default();
        let hosts: Result<Vec<_>, _> =
            config.hosts.iter().map(|host| opening.host_logs(host)).collect();
        let hosts = hosts?;
        Ok(Logs { files: opening.files, paths: opening.paths, hosts })
    }

    /// Logs of a server that nobody is served by: nothing is kept.
    ///
    /// # Errors
    /// /dev/null cannot be opened.
    pub fn to_nowhere(config: &Config) -> io::Result<Logs> {
        let file = Arc::new(LogFile::open(Path::new("/dev/null"))?);
        let logs = |host: &Host| HostLogs { error: error_log(host, &file), access: Vec::new() };
        let hosts = config.hosts.iter().map(logs).collect();
        Ok(Logs { files: Vec::new(), paths: Vec::new(), hosts })
    }

    /// The error log of the server as a whole.
    pub fn main(&self) -> &ErrorLog {
        self.error(MAIN)
    }

    /// The error log of one host.
    pub fn error(&self, host: HostIndex) -> &ErrorLog {
        &self.hosts[host].error
    }

    /// Adds a request's line to each access log of the host that answered and that tells of it.
    pub fn record(
        &self,
        host: HostIndex,
        record: &Record<'_>,
        batch: &mut LogBatch,
        clock: &mut LogClock,
    ) {
        for log in &self.hosts[host].access {
            if log.only.as_ref().is_none_or(|only| record.is_one_of(only)) {
                log.format.write(batch.line(log.file), record, clock);
            }
        }
    }

    /// Writes what a turn has gathered.
    pub fn flush(&self, batch: &mut LogBatch) {
        batch.flush(&self.files, |LogId(log), news| self.say(&self.paths[log], &news));
    }

    fn say(&self, path: &Path, news: &LogNews) {
        let path = path.display();
        match news {
            LogNews::Failing(error) => {
                self.main().at(Level::Error, "log_config").because(error).say(format_args!(
                    "log {path} cannot be written: its lines are lost until it can"
                ))
            }
            LogNews::Recovered(lost) => self
                .main()
                .at(Level::Warn, "log_config")
                .say(format_args!("log {path} is written again: {lost} lines were lost")),
        }
    }
}

fn error_log(host: &Host, file: &Arc<LogFile>) -> ErrorLog {
    let levels = host.base().core.log_levels().clone();
    let formats = host.settings.core.error_log_formats();
    ErrorLog::new(Arc::clone(file), levels).with_formats(formats, &host.name)
}

/// The files that are open so far, with their names.
#[derive(Default)]
struct Opening {
    paths: Vec<PathBuf>,
    files: Vec<Arc<LogFile>>,
}

impl Opening {
    fn host_logs(&mut self, host: &Host) -> Result<HostLogs, CannotOpen> {
        let LogTarget::File(path) = &host.error_log;
        let LogId(error) = self.open(path)?;
        let access = host.access_logs.iter().map(|log| {
            let file = self.open(&log.path)?;
            Ok(AccessLog { file, format: Arc::clone(&log.format), only: log.only.clone() })
        });
        let access = access.collect::<Result<_, _>>()?;
        Ok(HostLogs { error: error_log(host, &self.files[error]), access })
    }

    fn open(&mut self, path: &Path) -> Result<LogId, CannotOpen> {
        if let Some(known) = self.paths.iter().position(|known| known == path) {
            return Ok(LogId(known));
        }
        let file =
            LogFile::open(path).map_err(|error| CannotOpen { path: path.to_path_buf(), error })?;
        self.paths.push(path.to_path_buf());
        self.files.push(Arc::new(file));
        Ok(LogId(self.files.len() - 1))
    }
}
