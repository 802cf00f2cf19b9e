//! mod_status, so far its switch: with `ExtendedStatus On` each request is put on the scoreboard in words.

use herdgate_conf::{Directive, Overrides};

use super::{Module, SERVER};
use crate::config::ServerSettings;

/// mod_status' settings of the whole server.
#[derive(Debug, Clone, Default)]
pub struct Status {
    extended: Option<bool>,
}

impl Status {
    /// `ExtendedStatus`
    pub fn extended(&self) -> bool {
        self.extended.unwrap_or(true)
    }
}

pub(super) const MODULE: Module = Module {
    name: "status_module",
    file: "mod_status.c",
    server: DIRECTIVES,
    host: &[],
    directory: &[],
};

const DIRECTIVES: &[Directive<ServerSettings>] = &[Directive {
    name: "ExtendedStatus",
    syntax: "ExtendedStatus On|Off",
    default: Some("On"),
    contexts: SERVER,
    overrides: Overrides::NONE,
    docs: "Whether the scoreboard holds what each worker is serving, and not only whether it is \
           busy.",
    apply: |settings, args| {
        settings.status.extended = Some(args.flag()?);
        Ok(())
    },
}];
