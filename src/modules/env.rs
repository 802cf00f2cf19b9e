//! # mod_env: variables by decree
//!
//! They are set late, after access was decided: logs, headers and handlers see them, and nobody else.

use herdgate_conf::{Directive, Overrides, Problem};

use super::{EVERYWHERE, Module};
use crate::config::DirSettings;
use crate::request::Request;

/// mod_env's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Env {
    /// In order; the last line for a variable counts.
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Set(String, String),
    Unset(String),
}

impl Env {
    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { changes: [self.changes.as_slice(), &inner.changes].concat() }
    }
}

/// Among the fixups: sets and removes what the sections say.
pub(crate) fn fixups(request: &mut Request<'_>) {
    for change in &request.place.settings.env.changes {
        match change {
            Change::Set(name, value) => request.env.set(name.clone(), value.as_str()),
            Change::Unset(name) => request.env.unset(name),
        }
    }
}

pub(super) const MODULE: Module =
    Module { name: "env_module", file: "mod_env.c", server: &[], host: &[], directory: DIRECTIVES };

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "SetEnv",
        syntax: "SetEnv variable [value]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Sets a variable for logs, headers and handlers. It comes too late for access control and for SetEnvIf.",
        apply: |settings, args| {
            let name = args.word()?.to_string();
            let value = if args.remaining() > 0 { args.word()? } else { "" };
            settings.env.changes.push(Change::Set(name, value.to_string()));
            Ok(())
        },
    },
    Directive {
        name: "UnsetEnv",
        syntax: "UnsetEnv variable...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Removes variables that an outer section has set.",
        apply: |settings, args| {
            let first = args.word()?.to_string();
            let names = std::iter::once(first).chain(args.map(|word| word.text.clone()));
            settings.env.changes.extend(names.map(Change::Unset));
            Ok(())
        },
    },
    Directive {
        name: "PassEnv",
        syntax: "PassEnv variable...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Sets variables to what they are in the environment that the server was started in.",
        apply: |settings, args| {
            args.required()?;
            for word in args.line().words.clone() {
                match std::env::var(&word.text) {
                    Ok(value) => settings.env.changes.push(Change::Set(word.text, value)),
                    Err(_) => {
                        let message =
                            format!("AH01506: PassEnv variable {} was undefined", word.text);
                        args.warn(Problem::at(&word, message));
                    }
                }
            }
            args.rest();
            Ok(())
        },
    },
];
