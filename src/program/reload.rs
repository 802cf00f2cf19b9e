//! # A reload: prepared beside the generation in force, and told once it has taken its place
//!
//! ```text
//!   signal ─▶ prepare: load, open logs, bind ─┬─ failed ─▶ ReloadFailed: why; nothing has changed
//!                                             └─ Next ───▶ Reloaded: what has changed, what could not change
//! ```
//!
//! - Until the new generation is in force, everything is said in the old one's log; from then on, in the new one's.
//! - What cannot change while the server runs is named, with what was asked for and what stays.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use herdgate_mpm::gate::GateKind;
use herdgate_mpm::{Kept, Listeners, Plan};

use super::{Prepared, WebProgram, log_panics, prepare, raise_descriptor_limit};
use crate::config::Loaded;
use crate::log::Level;
use crate::request::Server;
use crate::server::WebService;

/// A generation that could begin, and has not yet.
pub(super) struct Next {
    server: Arc<Server>,
    listeners: Listeners,
    gate: GateKind,
    /// What is odd about its configuration, line by line.
    warnings: Vec<String>,
    /// What it asks for in vain.
    kept: Vec<Kept>,
}

impl WebProgram {
    pub(super) fn prepare_next(&mut self, present: &Listeners) -> Result<Plan<WebService>, String> {
        self.next = None;
        let Loaded { mut config, warnings } =
            (self.loader)().map_err(|mistakes| mistakes.to_string())?;
        let mut warnings: Vec<String> = warnings.to_string().lines().map(str::to_owned).collect();
        let mut kept = Vec::new();
        if let Some(path) = &self.pid_file {
            let asked = std::mem::replace(&mut config.server.mpm.pid_file, path.clone());
            if asked != *path {
                kept.push(Kept::new("PidFile", asked.display(), path.display()));
            }
        }
        warnings.extend(raise_descriptor_limit(&config.server.mpm));
        let Prepared { mut plan, server } = prepare(
            config,
            present,
            self.on_terminal,
            Duration::ZERO,
            self.server.clients.clone(),
        )?;
        let settings = &mut plan.settings;
        settings.credentials = settings.credentials.take().or_else(|| self.owner.clone());
        if self.pid_file.is_some() && settings.scoreboard != self.scoreboard {
            let place = |file: &Option<PathBuf>| match file {
                Some(file) => file.display().to_string(),
                None => "memory without a name".to_owned(),
            };
            let (asked, stays) = (place(&settings.scoreboard), place(&self.scoreboard));
            kept.push(Kept::new("ScoreBoardFile", asked, stays));
        }
        let (listeners, gate) = (plan.listeners.clone(), plan.settings.gate);
        self.next = Some(Next { server, listeners, gate, warnings, kept });
        Ok(plan)
    }

    /// What was prepared is in force. `kept`: what it asks the process models for in vain.
    pub(super) fn reloaded(&mut self, kept: &[Kept]) {
        let Some(next) = self.next.take() else { return };
        let former = std::mem::replace(&mut self.server, next.server);
        (self.listeners, self.gate) = (next.listeners, next.gate);
        log_panics(&self.server);
        self.describe_memory();
        for warning in &next.warnings {
            self.say(Level::Warn, format_args!("{warning}"));
        }
        self.say_changes(&former);
        for Kept { name, asked, stays } in kept.iter().chain(&next.kept) {
            self.say(Level::Warn, format_args!(
                "{name} cannot change while the server runs: it stays {stays}; stop and start the server for {asked}"
            ));
        }
    }

    fn say_changes(&self, former: &Server) {
        /// More than this is for whoever asks for details.
        const NOTICES_MAX: usize = 10;
        let changes = former.config.outline.changes(&self.server.config.outline);
        let log = |level| self.server.logs.main().at(level, "core");
        match changes.len() {
            0 => log(Level::Notice).say(format_args!("the configuration has not changed")),
            1 => log(Level::Notice).say(format_args!("the configuration has 1 change:")),
            count => {
                log(Level::Notice).say(format_args!("the configuration has {count} changes:"));
            }
        }
        for (number, change) in changes.iter().enumerate() {
            if number == NOTICES_MAX {
                let more = changes.len() - NOTICES_MAX;
                log(Level::Notice).say(format_args!("and {more} more, shown at LogLevel info"));
            }
            let level = if number < NOTICES_MAX { Level::Notice } else { Level::Info };
            log(level).say(format_args!("{change}"));
        }
    }
}
