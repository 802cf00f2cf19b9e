//! `-S`, `-M` and `-D DUMP_…`: what a configuration comes to, as httpd prints it.
//!
//! ```text
//! DUMP_VHOSTS     which host answers where        DUMP_RUN_CFG    folders, files, mutexes, users
//! DUMP_MODULES    what `<IfModule>` finds         DUMP_INCLUDES   which file was read from where
//! DUMP_LIMITS     how many of what, and why; our own
//! ```

use std::fmt::{self, Write as _};
use std::path::Path;

use herdgate_conf::{SourceId, Sources};
use herdgate_sys as sys;

use crate::config::{Config, Host, Identity, Mpm, Source};
use crate::modules;
use crate::modules::core::LogTarget;
use crate::modules::mpm_common::{Mechanism, Mutex};
use crate::route::pattern;
use crate::sandbox::Sandbox;

/// What `-D` asks to be shown instead of starting anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// `DUMP_INCLUDES`
    Includes,
    /// `DUMP_VHOSTS`
    Hosts,
    /// `DUMP_RUN_CFG`
    Running,
    /// `DUMP_MODULES`
    Modules,
    /// `DUMP_LIMITS`
    Limits,
}

impl Dump {
    /// In the order in which httpd prints them.
    const NAMES: [(&'static str, Dump); 5] = [
        ("DUMP_INCLUDES", Dump::Includes),
        ("DUMP_VHOSTS", Dump::Hosts),
        ("DUMP_RUN_CFG", Dump::Running),
        ("DUMP_MODULES", Dump::Modules),
        ("DUMP_LIMITS", Dump::Limits),
    ];

    /// Those that are asked for.
    pub fn asked(source: &Source) -> Vec<Dump> {
        let is_asked = |name: &str| source.defines.iter().any(|(defined, _)| defined == name);
        Self::NAMES.iter().filter(|(name, _)| is_asked(name)).map(|(_, dump)| *dump).collect()
    }

    /// Its text, line by line.
    pub fn text(self, config: &Config, sources: &Sources) -> String {
        match self {
            Dump::Includes => includes(sources),
            Dump::Hosts => hosts(config),
            Dump::Running => running(config),
            Dump::Modules => modules(config.server.mpm.geometry.model.name()),
            Dump::Limits => limits(&config.server.mpm),
        }
    }
}

/// The files that were read, each below the one that names it. This works for a configuration with mistakes, too.
pub fn includes(sources: &Sources) -> String {
    let mut text = "Included configuration files:\n".to_owned();
    for source in sources.ids().filter(|source| Path::new(sources.name(*source)).is_absolute()) {
        text.push_str(&include(sources, source));
    }
    text
}

fn include(sources: &Sources, source: SourceId) -> String {
    let chain = sources.include_chain(source);
    let line = chain.first().map(|span| sources.locate(*span).line);
    let line = line.map_or("*".to_owned(), |line| line.to_string());
    format!("{:indent$}({line}) {}\n", "", sources.name(source), indent = 2 * (chain.len() + 1))
}

fn hosts(config: &Config) -> String {
    let mut text = "VirtualHost configuration:\n".to_owned();
    for (address, members) in config.table.groups() {
        let members: Vec<&Host> = members.iter().map(|index| &config.hosts[*index]).collect();
        let port = address.rsplit_once(':').map_or("*", |(_, port)| port);
        let address_column = format!("{address:<22} ");
        text.push_str(&match members.as_slice() {
            [] => continue,
            [only] => format!("{address_column}{}\n", Named(only)),
            [first, ..] => format!(
                "{address_column}is a NameVirtualHost\n         default server {}\n{}",
                Named(first),
                members.iter().map(|host| by_name(host, port)).collect::<String>()
            ),
        });
    }
    text
}

/// One of several hosts of an address.
fn by_name(host: &Host, port: &str) -> String {
    let mut text = format!("         port {port} namevhost {}\n", Named(host));
    let aliases = host.settings.core.aliases().iter();
    let (wild, exact): (Vec<_>, Vec<_>) = aliases.partition(|alias| pattern::is_pattern(alias));
    for (kind, names) in [("alias", exact), ("wild alias", wild)] {
        for name in names {
            text.push_str(&format!("                 {kind} {name}\n"));
        }
    }
    text
}

/// A host with the place of its `<VirtualHost>`.
struct Named<'c>(&'c Host);

impl fmt::Display for Named<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.0.name, self.0.place.as_deref().unwrap_or("main server"))
    }
}

fn running(config: &Config) -> String {
    let server = &config.server;
    let main = config.main();
    let LogTarget::File(error_log) = &main.error_log;
    let document_root = main.settings.core.document_root().unwrap_or(Path::new(""));
    let mut text = format!(
        "ServerRoot: \"{}\"\nMain DocumentRoot: \"{}\"\nMain ErrorLog: \"{}\"\n",
        server.root.display(),
        document_root.display(),
        error_log.display()
    );
    text.push_str(&mutexes(&server.mpm, &server.runtime_dir));
    text.push_str(&format!("PidFile: \"{}\"\n", server.mpm.pid_file.display()));
    for (name, value) in &server.defines {
        let value = value.as_ref().map_or(String::new(), |value| format!("={value}"));
        text.push_str(&format!("Define: {name}{value}\n"));
    }
    for (what, identity) in [("User", &server.user), ("Group", &server.group)] {
        if let Some(Identity { name, id }) = identity {
            let used = if sys::process::is_root() { "" } else { " not_used" };
            text.push_str(&format!("{what}: name=\"{name}\" id={id}{used}\n"));
        }
    }
    text.push_str(&format!("Sandbox: {}\n", Sandbox::of(config)));
    text
}

fn mutexes(mpm: &Mpm, runtime_dir: &Path) -> String {
    let line = |name: &str, mutex: Option<&Mutex>, folder: &str| {
        let mechanism = mutex.map_or(Some(Mechanism::Default), |mutex| mutex.mechanism);
        let Some(mechanism) = mechanism else { return format!("Mutex {name}: none\n") };
        let own = mutex.and_then(|mutex| mutex.folder.as_ref());
        let folder = own.map_or(folder.to_owned(), |folder| folder.display().to_string());
        let omit = if mutex.is_some_and(|mutex| mutex.omit_pid) { "[OmitPid]" } else { "" };
        format!("Mutex {name}: dir=\"{folder}\" mechanism={} {omit}\n", mechanism.name())
    };
    let folder = format!("{}/", runtime_dir.display());
    let mut text = line("default", mpm.mutex_default.as_ref(), &folder);
    match &mpm.mutex_accept {
        None => text.push_str("Mutex mpm-accept: using_defaults\n"),
        own => text.push_str(&line("mpm-accept", own.as_ref(), "")),
    }
    text
}

fn modules(model: &str) -> String {
    let in_force = format!("mpm_{model}_module");
    let is_loaded = |name: &str| !name.starts_with("mpm_") || name == in_force;
    let mut text = "Loaded Modules:\n".to_owned();
    for module in modules::ALL.iter().filter(|module| is_loaded(module.name)) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, " {} (static)", module.name);
    }
    text
}

/// How many there may be of what, and where the number comes from.
fn limits(mpm: &Mpm) -> String {
    let geometry = &mpm.geometry;
    let mut text = format!(
        "Process model: {}\nStartServers: {}\nMinSpare: {}\nMaxSpare: {}\nThreadsPerChild: {}\nServerLimit: {}\n\
         MaxRequestWorkers: {} ({} children)\n",
        geometry.model,
        geometry.start_servers,
        geometry.min_spare,
        geometry.max_spare,
        geometry.threads_per_child,
        geometry.server_limit,
        geometry.max_request_workers,
        geometry.processes_max,
    );
    if let Some(plan) = &mpm.memory {
        text.push_str(&format!("{plan}\n"));
    }
    text
}
