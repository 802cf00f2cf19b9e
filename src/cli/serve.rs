//! `herdgate serve`: a folder on the web, without a configuration file.
#![expect(clippy::print_stdout, reason = "it talks to whoever stands at the terminal")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use herdgate_mpm as mpm;
use herdgate_mpm::{ListenSpec, Listeners};
use herdgate_sys as sys;
use sys::process::Credentials;

use super::{complain, in_url};
use crate::config::geometry::Model;
use crate::config::{Config, FolderOptions, Loaded};
use crate::program::{self, Prepared, Surroundings, WebProgram};
use crate::scoreboard;

/// Serve a folder, without a configuration file
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// The folder to serve
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Port to listen on; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Address to listen on; 0.0.0.0 or :: lets others in
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Process model
    #[arg(long, value_enum, default_value_t = MpmName::Event)]
    mpm: MpmName,
    /// Answer pages that do not exist with /index.html, for single-page applications
    #[arg(long)]
    spa: bool,
    /// Show this help
    #[arg(short, long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MpmName {
    /// One process, one connection
    Prefork,
    /// Processes with threads; a thread keeps its connection
    Worker,
    /// One loop waits for all connections of a process
    Event,
}

/// Serves until Ctrl-C.
pub fn run(serve: Serve) -> ExitCode {
    match try_run(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(format_args!("herdgate: {}", message.trim_end()));
            ExitCode::FAILURE
        }
    }
}

fn try_run(serve: Serve) -> Result<(), String> {
    let folder = folder(&serve.folder)?;
    let address = SocketAddr::new(serve.bind, serve.port);
    // Looked at before anything else: the most frequent mistake deserves more than an error number.
    let listeners = bind(address, &serve)?;
    let real = listeners.sockets().find_map(|listener| listener.address().inet());
    let real = real.unwrap_or(address);
    let model = match serve.mpm {
        MpmName::Prefork => Model::Prefork,
        MpmName::Worker => Model::Worker,
        MpmName::Event => Model::Event,
    };
    let options = FolderOptions { model, spa: serve.spa, ..FolderOptions::default() };
    let load = {
        let folder = folder.clone();
        move || Config::for_folder(&folder, &[address], &options)
    };
    let Loaded { config, .. } = load().map_err(|mistakes| mistakes.to_string())?;
    let mut prepared: Prepared = program::prepare(config, &listeners, true, Duration::ZERO, None)?;
    let owner = owner(&folder);
    prepared.plan.settings.credentials = owner.clone();
    prepared.plan.settings.scoreboard = scoreboard::place_for_port(real.port());
    greet(&folder, real, model, &prepared);
    program::log_panics(&prepared.server);
    let surroundings = Surroundings { on_terminal: true, owner, ..Surroundings::default() };
    let program = WebProgram::new(Box::new(load), &prepared, surroundings);
    mpm::run(program, prepared.plan).map_err(|error| error.to_string())
}

fn folder(given: &Path) -> Result<PathBuf, String> {
    let folder = given
        .canonicalize()
        .map_err(|error| format!("{}: {}", given.display(), program::reason(&error)))?;
    if !folder.is_dir() {
        let parent = given
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        return Err(format!(
            "{}: not a folder. To serve the folder that it is in: herdgate serve {}",
            given.display(),
            parent.display()
        ));
    }
    std::fs::read_dir(&folder)
        .map_err(|error| format!("{}: {}", given.display(), program::reason(&error)))?;
    Ok(folder)
}

fn bind(address: SocketAddr, serve: &Serve) -> Result<Listeners, String> {
    Listeners::bind(&[ListenSpec::from(address)], 511, &Listeners::default()).map_err(|error| {
        let reason = program::reason(&error.source);
        let kind = error.source.kind();
        if kind == std::io::ErrorKind::AddrInUse {
            let cure = free_port(address).map_or_else(String::new, |port| {
                let folder = serve.folder.display();
                format!(". Port {port} is free: herdgate serve {folder} --port {port}")
            });
            return format!("port {} on {} is in use{cure}", address.port(), address.ip());
        }
        if kind == std::io::ErrorKind::PermissionDenied {
            return format!(
                "port {}: {reason}. Ports below 1024 are for root; 8080 is not",
                address.port()
            );
        }
        format!("{address}: {reason}")
    })
}

/// The next port that is free. It is offered, not taken: a page under an unexpected address helps nobody.
fn free_port(address: SocketAddr) -> Option<u16> {
    const TRIES: u16 = 100;
    let following = address.port().checked_add(1)?;
    (following..following.saturating_add(TRIES)).find(|port| {
        #[expect(clippy::disallowed_methods, reason = "it only tries whether it could be had")]
        TcpListener::bind(SocketAddr::new(address.ip(), *port)).is_ok()
    })
}

/// Whom the children become when root serves a folder: its owner, who can read it. A folder of root's own is served
/// by root.
fn owner(folder: &Path) -> Option<Credentials> {
    let metadata = std::fs::metadata(folder).ok().filter(|metadata| metadata.uid() != 0)?;
    sys::process::is_root().then(|| Credentials {
        uid: metadata.uid(),
        gid: metadata.gid(),
        name: None,
    })
}

fn greet(folder: &Path, address: SocketAddr, model: Model, prepared: &Prepared) {
    let settings = &prepared.plan.settings;
    let processes = settings.start_children;
    let ip =
        if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    println!("Serving {} ({}, {processes} processes)", folder.display(), model.name());
    println!();
    println!("    http://{}:{}/", in_url(ip), address.port());
    println!();
    if address.ip().is_unspecified() {
        println!("Others can reach it, too, by this machine's addresses.");
    }
    println!("Ctrl-C stops.");
}
