//! # Herdgate's own: what children give up before they serve
//!
//! ```text
//! Sandbox Off     nothing
//!         Auto    changing files, executing, connecting; as far as this kernel can
//!         On      that, and reading beside what is served; or the server does not start
//! ```
//!
//! `crate::sandbox` finds out what a configuration needs, and sees to it.

use std::path::PathBuf;

use herdgate_conf::{Directive, Overrides};

use super::{Module, SERVER};
use crate::config::ServerSettings;

/// Settings of the whole server.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    mode: Option<Mode>,
    /// `SandboxRead`, absolute.
    pub(crate) read: Vec<PathBuf>,
}

/// How much children give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All that takes nothing from anybody, as far as the kernel can.
    Auto,
    /// Reading, too, and for certain.
    On,
    /// Nothing.
    Off,
}

impl Mode {
    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::On => "On",
            Self::Off => "Off",
        }
    }
}

impl Sandbox {
    /// `Sandbox`
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Auto)
    }
}

pub(super) const MODULE: Module = Module {
    name: "sandbox_module",
    file: "mod_sandbox.c",
    server: DIRECTIVES,
    host: &[],
    directory: &[],
};

const DIRECTIVES: &[Directive<ServerSettings>] = &[
    Directive {
        name: "Sandbox",
        syntax: "Sandbox Auto|On|Off",
        default: Some("Auto"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "What children give up before they serve, by Landlock and seccomp. `Auto`: they can change no file, execute \
               nothing and connect to nobody, except what the configuration needs, such as the resolver; where the kernel \
               cannot do that, they serve all the same. `On`: they can also read nothing but what is configured to be \
               served, and where the kernel cannot do that, the server does not start. Logs are opened before. See \
               [sandbox.md](sandbox.md). Herdgate's own.",
        apply: |settings, args| {
            let modes = [Mode::Auto, Mode::On, Mode::Off].map(|mode| (mode.name(), mode));
            settings.sandbox.mode = Some(args.choice(&modes)?);
            Ok(())
        },
    },
    Directive {
        name: "SandboxRead",
        syntax: "SandboxRead path...",
        default: None,
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Files, and folders with all below them, that children may also read under `Sandbox On`: targets of symbolic \
               links, passwords that a `.htaccess` file names, homes of users that /etc/passwd does not list. Lines add up. \
               Herdgate's own.",
        apply: |settings, args| {
            settings.sandbox.read.push(args.path()?);
            while args.remaining() > 0 {
                settings.sandbox.read.push(args.path()?);
            }
            Ok(())
        },
    },
];
