//! # freeze: from drafts to a configuration that requests can use
//!
//! ```text
//! main server ──merge──▶ virtual host ──▶ Host   settings, base and sections
//! Limits ─────geometry─▶ Mpm               numbers that agree
//! <VirtualHost a:p> ───▶ HostTable         by address, then by name
//! ```
//!
//! What needs the machine happens here and only here: whether folders exist, who `User` is, which
//! addresses a name has, what TypesConfig holds.

use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use herdgate_conf::{Diagnostic, Problem, Severity, Span, Word};
use nix::unistd;

use super::geometry::{self, Model, Raw};
use super::load::{Draft, HostDraft};
use super::memory::MemoryPlan;
use super::{
    AccessLog, Config, Diagnostics, DirSettings, Host, HostSettings, Identity, Listening, Loaded,
    Mpm, Server, ServerSettings,
};
use crate::log::access::Format;
use crate::modules::core::LogTarget;
use crate::modules::log_config;
use crate::modules::mime::TypeMap;
use crate::modules::mpm_common::{Access, Limits, Listen, Mpm as Settings};
use crate::route::hosts::{Entry, HostTable, Key};
use crate::route::sections::Sections;
use crate::route::walk::Walk;

/// Merges, compiles and checks.
pub(super) fn freeze(draft: Draft) -> Result<Loaded, Diagnostics> {
    let mut found = Findings { list: draft.diagnostics };
    let machine_name = machine_name();
    let keys: Vec<Vec<Key>> =
        draft.hosts.iter().map(|host| virtual_host_keys(host, &mut found)).collect();
    let table = host_table(&draft.hosts, &keys);

    let main_name = draft.main.settings.core.name().map(|name| name.host.clone());
    let main_name = main_name.unwrap_or(machine_name);
    let root = draft.server.root.as_path();
    let mut hosts = vec![freeze_host(&draft.main, None, &main_name, root, &mut found)];
    let global_logs = draft.main.settings.log.global_logs(&draft.server.log);
    let global_logs = compiled_logs(global_logs, true, &mut found);
    hosts[0].access_logs.extend(global_logs.iter().cloned());
    for host in &draft.hosts {
        let mut frozen = freeze_host(&draft.main, Some(host), &main_name, root, &mut found);
        frozen.access_logs.extend(global_logs.iter().cloned());
        let location = host.span.map(|span| draft.sources.locate(span));
        frozen.place = location.map(|location| format!("{}:{}", location.file, location.line));
        hosts.push(frozen);
    }
    let mut server =
        freeze_server(&draft.server, draft.model, draft.definitions.iter(), &mut found);

    server.proxy_protocol = hosts.iter().any(|host| host.settings.remoteip.proxy_protocol());
    let diagnostics = Diagnostics { list: found.list, sources: draft.sources };
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let config = Config { server, hosts, table, outline: draft.outline };
    Ok(Loaded { config, warnings: diagnostics })
}

struct Findings {
    list: Vec<Diagnostic>,
}

impl Findings {
    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.list.push(Diagnostic::error(span, message));
    }

    /// Unless something was found there already: hosts share what the main server says.
    fn error_once(&mut self, span: Span, message: String) {
        if !self.list.iter().any(|known| known.span == Some(span)) {
            self.error(span, message);
        }
    }

    fn warning(&mut self, span: Span, message: impl Into<String>) {
        self.list.push(Diagnostic::warning(span, message));
    }
}

// ---- hosts

fn freeze_host(
    main: &HostDraft,
    host: Option<&HostDraft>,
    main_name: &str,
    root: &Path,
    found: &mut Findings,
) -> Host {
    let own = host.unwrap_or(main);
    let (mut settings, base, sections) = match host {
        None => (main.settings.clone(), main.base.clone(), Sections::new(&main.sections, &[])),
        Some(host) => (
            HostSettings::merge(&main.settings, &host.settings),
            DirSettings::merge(&main.base, &host.base),
            Sections::new(&main.sections, &host.sections),
        ),
    };
    check_document_root(&own.settings, found);
    check_formats(&own.settings, found);
    settings.remoteip.resolve(|span, message| found.error_once(span, message));
    let name = settings.core.name().map_or(main_name, |name| &name.host).to_string();
    let error_log = settings.core.error_log().cloned();
    Host {
        name,
        place: None,
        addresses: own.addresses.iter().map(|word| word.text.clone()).collect(),
        error_log: error_log.unwrap_or_else(|| LogTarget::File(root.join("logs/error_log"))),
        access_logs: compiled_logs(
            settings.log.logs(),
            host.is_none_or(|own| own.settings.log.logs().next().is_some()),
            found,
        ),
        locations_first: sections
            .any_location(|settings| settings.alias.acts_early() || settings.rewrite.is_switched())
            || sections.name_groups_of_locations(),
        walk: Walk::new(base, sections),
        settings,
    }
}

/// Only what this host says itself: the main server's root was checked with the main server.
fn check_document_root(own: &HostSettings, found: &mut Findings) {
    let Some((root, span)) = own.core.document_root().zip(own.core.document_root_span()) else {
        return;
    };
    match std::fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => found.error(span, format!("DocumentRoot '{}' is not a directory", root.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            found.warning(span, format!("DocumentRoot [{}] does not exist", root.display()));
        }
        Err(error) => found.warning(span, format!("DocumentRoot [{}]: {error}", root.display())),
    }
}

fn check_formats(own: &HostSettings, found: &mut Findings) {
    for format in own.log.formats() {
        if let (Err(message), Some(span)) = (Format::compile(&format.text), format.span) {
            found.error(span, message);
        }
    }
}

/// `reports`: whether mistakes in these logs' formats are this host's own.
fn compiled_logs(
    written: impl Iterator<Item = log_config::AccessLog>,
    reports: bool,
    found: &mut Findings,
) -> Vec<AccessLog> {
    let mut logs = Vec::new();
    for log in written {
        match Format::compile(&log.format.text) {
            Ok(format) => {
                let format = Arc::new(format);
                logs.push(AccessLog { path: log.target, format, only: log.only });
            }
            Err(message) if reports => {
                let span = log.format.span.unwrap_or(log.span);
                // A nickname's format was reported where it is defined.
                let known = found.list.iter().any(|known| known.span == Some(span));
                if !known {
                    found.error(span, message);
                }
            }
            Err(_) => {}
        }
    }
    logs
}

fn machine_name() -> String {
    let name = unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_string())
}

// ---- <VirtualHost> arguments

fn host_table(hosts: &[HostDraft], keys: &[Vec<Key>]) -> HostTable {
    let arguments: Vec<Vec<String>> = hosts
        .iter()
        .map(|host| {
            host.addresses
                .iter()
                .map(|word| split_port(&word.text).0.to_ascii_lowercase())
                .collect()
        })
        .collect();
    let entries = hosts.iter().zip(keys).zip(&arguments).enumerate();
    HostTable::new(entries.map(|(place, ((host, keys), arguments))| {
        let name = host.settings.core.name().map(|name| name.host.as_str());
        let aliases = host.settings.core.aliases().iter().map(String::as_str);
        Entry {
            host: place + 1,
            keys,
            names: name.into_iter().chain(aliases).collect(),
            arguments: arguments.iter().map(String::as_str).collect(),
        }
    }))
}

fn virtual_host_keys(host: &HostDraft, found: &mut Findings) -> Vec<Key> {
    if let (true, Some(span)) = (host.addresses.is_empty(), host.span) {
        found.error(span, "<VirtualHost> requires an address, such as *:80");
    }
    host.addresses.iter().flat_map(|word| keys_of_argument(word, found)).collect()
}

/// The addresses of one argument: several, if it is a name that has several.
fn keys_of_argument(word: &Word, found: &mut Findings) -> Vec<Key> {
    let (host, port) = split_port(&word.text);
    let port = match port {
        None | Some("*") => None,
        Some(port) => match port.parse::<u16>() {
            Ok(port) => Some(port).filter(|port| *port > 0),
            Err(_) => {
                found.error(word.span, "the port must be a number or *");
                return Vec::new();
            }
        },
    };
    if host == "*" || host.eq_ignore_ascii_case("_default_") {
        return vec![Key { address: None, port }];
    }
    let of = |address: IpAddr| Key { address: Some(address.to_canonical()), port };
    let literal = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    };
    if let Some(address) = literal {
        return vec![of(address)];
    }
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => {
            let mut keys: Vec<Key> = addresses.map(|address| of(address.ip())).collect();
            keys.dedup();
            keys
        }
        Err(error) => {
            let message = format!("Could not resolve host name {host} -- ignoring! ({error})");
            found.warning(word.span, message);
            Vec::new()
        }
    }
}

/// `host:port`, `[v6]:port`, or either without the port.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        // A bare IPv6 address has colons and no port.
        Some((host, port))
            if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) =>
        {
            (host, Some(port))
        }
        _ => (text, None),
    }
}

// ---- the whole server

/// Apache's words; there, only another build allows it all the same.
const ROOT_MUST_NOT_SERVE: &str = "the server has not been designed to serve pages while running as root. There are \
     known race conditions that will allow any local user to read any file on the system. If you still desire to serve \
     pages as root, then add -D BIG_SECURITY_HOLE. It is strongly suggested that you instead list a non-root user";

fn freeze_server<'d>(
    settings: &ServerSettings,
    model: Model,
    defines: impl Iterator<Item = (&'d str, Option<&'d str>)>,
    found: &mut Findings,
) -> Server {
    let defines: Vec<_> =
        defines.map(|(name, value)| (name.to_string(), value.map(str::to_string))).collect();
    let may_be_root = defines.iter().any(|(name, _)| name == "BIG_SECURITY_HOLE");
    let user = settings.unixd.user().and_then(|(name, span)| {
        let user = user(name, span, found)?;
        if user.id == 0 && !may_be_root {
            found.error(span, ROOT_MUST_NOT_SERVE.to_owned());
        }
        Some(user)
    });
    Server {
        root: settings.root.clone(),
        runtime_dir: settings.runtime_dir.clone(),
        runtime_dir_is_written: settings.runtime_dir_is_written,
        mpm: freeze_mpm(settings, model, found),
        user,
        group: settings.unixd.group().and_then(|(name, span)| group(name, span, found)),
        tokens: settings.core.tokens(),
        extended_status: settings.status.extended(),
        unique_ids: settings.unique_ids,
        client_limits: settings.client_limits.clone(),
        file_cache: settings.file_cache,
        see_request_tail: settings.core.see_request_tail(),
        proxy_protocol: false, // Until the hosts are known.
        providers: Arc::clone(&settings.providers),
        regex: settings.core.regex_options(),
        sandbox: settings.sandbox.clone(),
        types: types(settings, found),
        defines,
    }
}

fn freeze_mpm(settings: &ServerSettings, model: Model, found: &mut Findings) -> Mpm {
    let mpm = &settings.mpm;
    if mpm.listen().is_empty() && !found.list.iter().any(Diagnostic::is_error) {
        let problem = Problem::new("no listening sockets available: there is no Listen line");
        let problem = problem.help("such as: Listen 80");
        found.list.push(Diagnostic::new(Severity::Error, problem));
    }
    for mutex in mpm.mutexes() {
        let missing = mutex.folder.as_deref().filter(|folder| !folder.is_dir());
        if let Some(folder) = missing {
            found.error(mutex.span, format!("Invalid Mutex directory: {}", folder.display()));
        }
    }
    if let Some((folder, span)) = mpm.core_dump_directory().filter(|(folder, _)| !folder.is_dir()) {
        let folder = folder.display();
        found.error(
            span,
            format!("CoreDumpDirectory {folder} does not exist or is not a directory"),
        );
    }
    if let Some((span, message)) = mpm.contradiction() {
        found.error(span, message);
    }
    let mut raw = raw(&mpm.limits, model);
    let memory = mpm.workers_by_memory().then(|| {
        let (geometry, _) = geometry::geometry(&raw, model);
        MemoryPlan::of_this_machine(model, geometry.threads_per_child, geometry.server_limit)
    });
    if let Some(plan) = &memory {
        raw.max_request_workers = Some(plan.workers().into());
    }
    let (mut geometry, corrections) = geometry::geometry(&raw, model);
    for correction in corrections {
        let message = format!("{}: {}", correction.directive, correction.message);
        if let Some(span) = span_of(&mpm.limits, correction.directive) {
            found.warning(span, message);
        }
    }
    report_idle_directives(&mpm.limits, model, found);
    let buckets = buckets(mpm, geometry.processes_max, found);
    geometry.spread_over(buckets.into());
    Mpm {
        geometry,
        listen: mpm.listen().iter().map(|line| listening(line, mpm, found)).collect(),
        backlog: mpm.backlog(),
        buckets,
        cores_per_bucket: mpm.cores_per_bucket(),
        send_buffer: mpm.send_buffer(),
        receive_buffer: mpm.receive_buffer(),
        gate: mpm.gate(),
        connections_per_child_max: mpm.connections_per_child_max(),
        connections_jitter_percent: mpm.connections_jitter_percent(),
        memory_per_child_max: mpm.memory_per_child_max(),
        memory,
        spawn_policy: mpm.spawn_policy(),
        graceful_shutdown_timeout: mpm.graceful_shutdown_timeout(),
        thread_stack_size: mpm.thread_stack_size(),
        core_dump_directory: mpm.core_dump_directory().map(|(folder, _)| folder.to_path_buf()),
        mutex_default: mpm.mutex_default().cloned(),
        mutex_accept: mpm.mutex_accept().cloned(),
        pid_file: mpm
            .pid_file()
            .map_or_else(|| settings.root.join("logs/herdgate.pid"), Path::to_path_buf),
        scoreboard_file: mpm.scoreboard_file().map(Path::to_path_buf),
    }
}

/// A bucket without a child would be a queue that nobody empties.
fn buckets(mpm: &Settings, children_max: u32, found: &mut Findings) -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    let Some((wanted, span)) = mpm.buckets(cores) else { return 1 };
    let most = u16::try_from(children_max).unwrap_or(u16::MAX);
    if wanted > most {
        let message = format!(
            "{wanted} buckets need as many children, and MaxRequestWorkers allows {most}, using {most}"
        );
        found.warning(span, message);
    }
    wanted.min(most)
}

fn listening(line: &Listen, mpm: &Settings, found: &mut Findings) -> Listening {
    const MODE: u32 = 0o660;
    let Access { mode, owner, group: group_name } = &line.access;
    let owner = owner.as_ref().and_then(|(name, span)| user(name, *span, found));
    let group = group_name.as_ref().and_then(|(name, span)| group(name, *span, found));
    Listening {
        address: line.address.clone(),
        protocol: line.protocol.clone(),
        wait_for_data: mpm.waits_for_data(&line.protocol),
        mode: mode.unwrap_or(MODE),
        owner: owner.map(|user| user.id),
        group: group.map(|group| group.id),
    }
}

fn raw(limits: &Limits, model: Model) -> Raw {
    let number = |written: Option<(i64, Span)>| written.map(|(number, _)| number);
    let (min_spare, max_spare) = match model {
        Model::Prefork => (limits.min_spare_servers, limits.max_spare_servers),
        Model::Worker | Model::Event => (limits.min_spare_threads, limits.max_spare_threads),
    };
    Raw {
        start_servers: number(limits.start_servers),
        min_spare: number(min_spare),
        max_spare: number(max_spare),
        threads_per_child: number(limits.threads_per_child),
        thread_limit: number(limits.thread_limit),
        server_limit: number(limits.server_limit),
        max_request_workers: number(limits.max_request_workers),
        async_factor: limits.async_factor.map(|(factor, _)| factor),
    }
}

fn span_of(limits: &Limits, directive: &str) -> Option<Span> {
    let written = match directive {
        "StartServers" => limits.start_servers,
        "MinSpareServers" => limits.min_spare_servers,
        "MaxSpareServers" => limits.max_spare_servers,
        "MinSpareThreads" => limits.min_spare_threads,
        "MaxSpareThreads" => limits.max_spare_threads,
        "ThreadsPerChild" => limits.threads_per_child,
        "ThreadLimit" => limits.thread_limit,
        "ServerLimit" => limits.server_limit,
        "MaxRequestWorkers" => limits.max_request_workers,
        _ => None,
    };
    written.map(|(_, span)| span)
}

/// Apache calls another model's directive an invalid command. Here one file can serve to compare
/// models, so it is only said that nothing comes of it.
fn report_idle_directives(limits: &Limits, model: Model, found: &mut Findings) {
    let names: &[&str] = match model {
        Model::Prefork => &["MinSpareThreads", "MaxSpareThreads", "ThreadsPerChild", "ThreadLimit"],
        Model::Worker | Model::Event => &["MinSpareServers", "MaxSpareServers"],
    };
    for name in names {
        if let Some(span) = span_of(limits, name) {
            found.warning(span, format!("{name} has no effect under {model}"));
        }
    }
    if let Some((_, span)) = limits.async_factor.filter(|_| model != Model::Event) {
        found.warning(span, format!("AsyncRequestWorkerFactor has no effect under {model}"));
    }
}

fn user(name: &str, span: Span, found: &mut Findings) -> Option<Identity> {
    let of = |id: u32| Identity { name: name.to_string(), id };
    if let Some(number) = name.strip_prefix('#') {
        return number
            .parse()
            .map(of)
            .map_err(|_| found.error(span, format!("bad user id {name}")))
            .ok();
    }
    let known = unistd::User::from_name(name).ok().flatten();
    if known.is_none() {
        found.error(span, format!("bad user name {name}: this machine has no such user"));
    }
    known.map(|user| of(user.uid.as_raw()))
}

fn group(name: &str, span: Span, found: &mut Findings) -> Option<Identity> {
    let of = |id: u32| Identity { name: name.to_string(), id };
    if let Some(number) = name.strip_prefix('#') {
        return number
            .parse()
            .map(of)
            .map_err(|_| found.error(span, format!("bad group id {name}")))
            .ok();
    }
    let known = unistd::Group::from_name(name).ok().flatten();
    if known.is_none() {
        found.error(span, format!("bad group name {name}: this machine has no such group"));
    }
    known.map(|group| of(group.gid.as_raw()))
}

/// TypesConfig's table; where nobody wrote a line and there is no conf/mime.types, the one that we
/// ship.
fn types(settings: &ServerSettings, found: &mut Findings) -> TypeMap {
    const SHIPPED: &str = include_str!("../../conf/mime.types");
    let read = |path: &Path| {
        std::fs::read(path).map(|bytes| TypeMap::parse(&String::from_utf8_lossy(&bytes)))
    };
    match settings.mime.types_config() {
        Some((path, span)) => read(path).unwrap_or_else(|error| {
            let message =
                format!("could not open mime types config file {}: {error}", path.display());
            found.error(span, message);
            TypeMap::default()
        }),
        None => {
            read(&settings.root.join("conf/mime.types")).unwrap_or_else(|_| TypeMap::parse(SHIPPED))
        }
    }
}
