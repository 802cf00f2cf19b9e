//! # Listeners, seen from outside: socket files, buckets, inherited sockets, service managers, upgrades
//!
//! | what | how it is seen |
//! |---|---|
//! | socket files | a client on the same machine |
//! | buckets | who serves whom; ten changes of their number under load |
//! | socket activation | a launcher that does what systemd does |
//! | notification | a datagram socket in the test |
//! | upgrade | another process serves the same sockets, under load |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

#[path = "support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use support::client::{Client, head};
use support::command::{herdgate, run_with};
use support::load::Load;
use support::processes::{clients_of, freeze, is_alive};
use support::{MODELS, PATIENCE, Server, Site, noise, skipped, taken_port, wait_for, wait_until};

// --- socket files ---

/// One request over a socket file; all that comes back.
fn ask(path: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(head("GET", "/", &["Connection: close"]).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

on_every_mpm!(
    a_socket_file_serves_clients_on_this_machine_and_is_removed_at_the_end,
    |site| site.conf("Listen unix:ROOT/web.sock mode=0600 group=#0"),
    |server| {
        let path = server.path("web.sock");
        let found = fs::metadata(&path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        for _ in 0..10 {
            let answer = ask(&path).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("It works!</h1>\n"));
        }
        server.wait_for_error("listening on unix:");
        server.graceful_restart();
        assert!(ask(&path).is_ok(), "a restart keeps it");
        assert_eq!(server.get("/").status, 200);
        server.signal(Signal::SIGTERM);
        server.wait_for_the_end();
        assert!(!path.exists());
    }
);

#[test]
fn a_socket_file_belongs_to_whom_its_line_names() {
    if !nix::unistd::Uid::effective().is_root() {
        return skipped("giving a file away takes root");
    }
    let conf = "Listen unix:ROOT/web.sock mode=0620 owner=#12345 group=#54321";
    let server = Site::new("event").conf(conf).start();
    let found = fs::metadata(server.path("web.sock")).unwrap();
    assert_eq!((found.uid(), found.gid()), (12345, 54321));
    assert_eq!(found.permissions().mode() & 0o777, 0o620);
}

#[test]
fn a_server_in_the_background_removes_its_socket_file_too() {
    let site = Site::new("event").conf("Listen unix:ROOT/web.sock");
    let (conf, path) = (site.write_conf(), site.root().join("web.sock"));
    let started = run_with(&conf, &["-k", "start"]);
    assert_eq!(started.code, Some(0), "{}", started.stderr);
    assert!(ask(&path).is_ok());
    assert_eq!(run_with(&conf, &["-k", "upgrade"]).code, Some(0));
    let log = || fs::read_to_string(site.root().join("logs/error_log")).unwrap();
    wait_until("another process has taken over", || log().contains("has taken over"));
    assert!(ask(&path).is_ok());
    let pid = fs::read_to_string(site.root().join("logs/herdgate.pid")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    assert_eq!(run_with(&conf, &["-k", "stop"]).code, Some(0));
    wait_until("it stops", || !is_alive(pid));
    assert!(!path.exists(), "{}", log());
}

#[test]
fn a_socket_file_is_given_up_when_its_line_goes() {
    let mut server = Site::new("event").conf("Listen unix:ROOT/web.sock").start();
    assert!(ask(&server.path("web.sock")).is_ok());
    server.rewrite_conf("");
    server.graceful_restart();
    wait_until("the file is gone", || !server.path("web.sock").exists());
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_socket_file_of_a_server_that_crashed_is_replaced_and_one_in_use_is_not() {
    let site = Site::new("prefork").conf("Listen unix:ROOT/web.sock");
    let path = site.root().join("web.sock");
    drop(UnixListener::bind(&path).unwrap());
    let server = site.start();
    assert!(ask(&path).is_ok());
    let other = Site::new("event").conf(&format!("Listen unix:{}", path.display()));
    let said = run_with(&other.write_conf(), &["-D", "FOREGROUND"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("Address already in use"), "{}", said.stderr);
    assert!(said.stderr.contains(&format!("unix:{}", path.display())), "{}", said.stderr);
    assert_eq!(server.get("/").status, 200);
    assert!(ask(&path).is_ok());
}

#[test]
fn a_file_that_is_no_socket_is_never_replaced() {
    let site = Site::new("event").beside("precious", "text").conf("Listen unix:ROOT/precious");
    let said = run_with(&site.write_conf(), &["-D", "FOREGROUND"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("no socket"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(site.root().join("precious")).unwrap(), "text");
}

// --- buckets ---

on_every_mpm!(
    every_bucket_is_served_though_its_children_are_busy,
    |site| {
        // No more workers than connections: whatever the kernel deals to a bucket, the last worker of another one must
        // take it.
        let sizes = match site.model() {
            "prefork" => "StartServers 3\nMaxRequestWorkers 20",
            _ => "StartServers 3\nThreadsPerChild 4\nMaxRequestWorkers 20",
        };
        let conf = "ListenBuckets 3\nKeepAliveTimeout 300\nLogLevel info\nCustomLog logs/pids %P";
        site.sizes(sizes).conf(conf)
    },
    |server| {
        server.wait_for_error("Using 3 listeners bucket(s)");
        assert!(server.children().len() >= 3);
        // The connections stay: a bucket whose children are all busy with them gets help, and another child.
        let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| client.send(head("GET", "/", &[])));
        assert!(clients.iter_mut().all(|client| client.receive("GET").status == 200));
        wait_until("all are logged", || server.text("logs/pids").lines().count() == 20);
        let log = server.text("logs/pids");
        let servers: HashSet<&str> = log.lines().collect();
        assert!(
            servers.len() >= 2,
            "whatever the kernel has dealt, not all to one bucket: {servers:?}"
        );
    }
);

#[test]
fn whichever_worker_becomes_free_serves_whichever_bucket_somebody_waits_in() {
    for (model, sizes) in [
        ("prefork", "StartServers 8\nMaxRequestWorkers 8"),
        ("worker", "StartServers 2\nThreadsPerChild 4\nMaxRequestWorkers 8"),
    ] {
        let conf = "ListenBuckets 2\nKeepAliveTimeout 300";
        let server = Site::new(model).sizes(sizes).conf(conf).start();
        let mut served: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for client in &mut served {
            assert_eq!(client.get("/").status, 200);
        }
        for _ in 0..12 {
            let mut next = server.client();
            next.send(head("GET", "/", &[]));
            served.remove(0); // Of the other bucket, as often as not.
            assert_eq!(next.receive("GET").status, 200);
            served.push(next);
        }
    }
}

on_every_mpm!(ten_changes_of_the_buckets_lose_nothing, |site| Load::prepare(site), |server| {
    let load = Load::on(server.address());
    load.of_all_habits(|| {
        for buckets in [3, 1, 4, 2, 1, 2, 3, 2, 4, 1] {
            server.rewrite_conf(&format!("{}ListenBuckets {buckets}", Load::CONF));
            server.graceful_restart();
            load.goes_on();
        }
    });
    load.expect_no_loss();
});

on_every_mpm!(
    buckets_work_behind_an_accept_mutex,
    |site| site.conf("ListenBuckets 2\nMutex default mpm-accept"),
    |server| {
        for _ in 0..40 {
            assert_eq!(server.get_with("/", &["Connection: close"]).status, 200);
        }
        assert_eq!(server.error_log().matches("[error]").count(), 0);
    }
);

#[test]
fn buckets_share_an_address_with_nobody_else() {
    let server = Site::new("event").conf("ListenBuckets 2").start();
    let other = Site::new("event").conf(&format!("ListenBuckets 2\nListen {}", server.address()));
    let said = run_with(&other.write_conf(), &["-D", "FOREGROUND"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("Address already in use"), "{}", said.stderr);
}

#[test]
fn there_are_no_more_buckets_than_children() {
    let site = Site::new("event").sizes("ThreadsPerChild 8\nMaxRequestWorkers 16");
    let said = run_with(&site.conf("ListenBuckets 5").write_conf(), &["-t"]);
    assert_eq!(said.code, Some(0));
    assert!(said.stderr.contains("MaxRequestWorkers allows 2, using 2"), "{}", said.stderr);
}

// --- addresses ---

#[test]
fn a_bare_port_is_for_both_families_and_an_ipv6_address_for_its_own() {
    let loopback = format!("{:032x} ", 1);
    if !fs::read_to_string("/proc/net/if_inet6").is_ok_and(|table| table.contains(&loopback)) {
        return skipped("there is no IPv6 here");
    }
    let server = Site::new("event").conf("Listen 0\nListen [::1]:0\nListen [::]:0").start();
    let ports: Vec<u16> = server.addresses().iter().map(SocketAddr::port).collect();
    let [_, bare, one, all] = ports[..] else { panic!("{:?}", server.addresses()) };
    let is_served = |address: &str, port: u16| {
        let address = format!("{address}:{port}").parse().unwrap();
        Client::try_connect(address).is_ok_and(|mut client| client.get("/").status == 200)
    };
    assert!(is_served("127.0.0.1", bare) && is_served("[::1]", bare));
    assert!(!is_served("127.0.0.1", one) && is_served("[::1]", one));
    assert!(!is_served("127.0.0.1", all) && is_served("[::1]", all), "as it is written");
}

#[test]
fn an_address_within_one_that_is_taken_is_refused_by_name() {
    let server = Site::new("event").start();
    let port = server.address().port();
    for line in [format!("Listen {port}"), format!("Listen 0.0.0.0:{port}")] {
        let said = run_with(&Site::new("event").conf(&line).write_conf(), &["-D", "FOREGROUND"]);
        assert_eq!(said.code, Some(1));
        assert!(said.stderr.contains("Address already in use"), "{}", said.stderr);
        assert!(said.stderr.contains(&format!(":{port}")), "{}", said.stderr);
    }
}

#[test]
fn the_kernel_has_the_queue_and_the_buffers_that_were_asked_for() {
    let conf = "ListenBacklog 17\nSendBufferSize 30000\nReceiveBufferSize 20000";
    let mut server = Site::new("event").conf(conf).start();
    let filter = format!("sport = :{}", server.address().port());
    // What the kernel tells anybody who asks, and no socket of ours.
    let listener = || {
        let output = Command::new("ss").args(["-H", "-tlnm", &filter]).output().ok()?;
        Some(
            String::from_utf8_lossy(&output.stdout)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        )
    };
    let Some(told) = listener() else { return skipped("there is no ss(8) here") };
    assert!(told.starts_with("LISTEN 0 17 "), "{told}");
    assert!(told.contains(",rb40000,") && told.contains(",tb60000,"), "{told}");
    server.rewrite_conf("ListenBacklog 33\nSendBufferSize 40000\nReceiveBufferSize 20000");
    server.graceful_restart();
    let told = listener().unwrap();
    assert!(told.starts_with("LISTEN 0 33 ") && told.contains(",tb80000,"), "{told}");
}

// --- what the kernel does for us ---

#[test]
fn silent_connections_wait_in_the_kernel_unless_the_filter_is_none() {
    let mut server = Site::new("event").start();
    let port = server.address().port();
    let is_held = |server: &Server, client: &Client| {
        let port_of_client = client.local_address().port();
        server.children().iter().any(|child| clients_of(*child, port).contains(&port_of_client))
    };
    let mut silent = server.client();
    // Whoever came later is served already, so it is not for lack of time that nobody took the first one.
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
    }
    assert!(!is_held(&server, &silent));
    assert_eq!(silent.get("/").status, 200);
    drop(silent);
    let before = server.children();
    server.rewrite_conf("AcceptFilter http none");
    server.graceful_restart();
    // A child that finishes would take it for a few seconds only.
    wait_until("the old children have gone", || {
        !server.children().iter().any(|child| before.contains(child))
    });
    let silent = server.client();
    wait_until("a silent client is taken", || is_held(&server, &silent));
}

#[test]
fn a_backlog_that_the_kernel_cuts_is_reported_with_both_numbers() {
    let limit = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let server = Site::new("event").conf("ListenBacklog 1000000000").start();
    let line = server.wait_for_error("ListenBacklog 1000000000 is cut to");
    assert!(line.contains(limit.trim()) && line.contains("[mpm_event:warn]"), "{line}");
    let modest = Site::new("event").conf("ListenBacklog 16").start();
    assert!(!modest.error_log().contains("ListenBacklog"));
}

// --- systemd ---

/// What systemd does: sockets from descriptor 3 on, and variables that name the process. They come in as standard
/// input and output.
fn activated(first: OwnedFd, second: Option<OwnedFd>) -> Command {
    let count = 1 + usize::from(second.is_some());
    let script = format!(
        "exec 3<&0 4>&1 0</dev/null 1>/dev/null\n\
         export LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES=web:local\n\
         exec \"$0\" \"$@\""
    );
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script, herdgate()]).stdin(first);
    command.stdout(second.map_or_else(Stdio::null, Stdio::from));
    command
}

#[test]
fn serves_sockets_that_systemd_has_opened_and_leaves_them_open() {
    for model in MODELS {
        let tcp = taken_port();
        let address = tcp.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.sock");
        let local = UnixListener::bind(&path).unwrap();
        let conf = format!("Listen {address}\nListen unix:{}", path.display());
        let command = activated(tcp.try_clone().unwrap().into(), Some(local.into()));
        let mut server = Site::new(model).conf(&conf).start_by(command);
        assert_eq!(server.addresses()[1], address);
        for _ in 0..2 {
            assert_eq!(Client::connect(address).get("/").status, 200);
            assert!(ask(&path).is_ok());
            assert_eq!(server.get("/").status, 200, "a line without a socket has got one");
            server.graceful_restart();
        }
        server.signal(Signal::SIGTERM);
        server.wait_for_the_end();
        // They are systemd's: it starts somebody else for whoever comes next.
        assert!(path.exists());
        Client::connect(address).send("x");
        wait_until("the next client arrives", || tcp.accept().is_ok());
    }
}

#[test]
fn systemd_starts_the_server_when_the_first_client_comes() {
    const LAUNCHER: &str = "/usr/bin/systemd-socket-activate";
    if !Path::new(LAUNCHER).exists() {
        return skipped("there is no systemd-socket-activate(1) here");
    }
    let site = Site::new("event").conf("Listen unix:ROOT/web.sock");
    let path = site.root().join("web.sock");
    let mut command = Command::new(LAUNCHER);
    command.arg("-l").arg(&path).args(["--fdname=web", herdgate()]).stdin(Stdio::null());
    let first_client = {
        let path = path.clone();
        support::thread(move || {
            wait_until("systemd listens", || UnixStream::connect(&path).is_ok());
            ask(&path)
        })
    };
    let mut server = site.start_by(command);
    assert!(first_client.join().unwrap().unwrap().starts_with("HTTP/1.1 200 "));
    server.signal(Signal::SIGTERM);
    server.wait_for_the_end();
    assert!(path.exists(), "it is systemd's");
}

#[test]
fn a_socket_of_systemd_that_a_reload_drops_is_there_for_the_next_one() {
    let tcp = taken_port();
    let address = tcp.local_addr().unwrap();
    let listen = format!("Listen {address}");
    let command = activated(tcp.into(), None);
    let mut server = Site::new("event").conf(&listen).start_by(command);
    assert_eq!(Client::connect(address).get("/").status, 200);
    server.rewrite_conf("");
    server.graceful_restart_to_the_end();
    let line = server.wait_for_error("no Listen line asks for it any more");
    assert!(line.contains(&format!("{address} comes from systemd")), "{line}");
    server.upgrade();
    server.wait_for_the_first_process();
    let mut patient = Client::connect(address);
    patient.send(head("GET", "/", &[]));
    server.rewrite_conf(&listen);
    server.graceful_restart();
    assert_eq!(patient.receive("GET").status, 200, "who has waited meanwhile is served");
}

#[test]
fn a_socket_that_no_line_asks_for_is_named() {
    let tcp = taken_port();
    let address = tcp.local_addr().unwrap();
    let site = Site::new("event");
    let conf = site.write_conf();
    let output = activated(tcp.into(), None)
        .args(["-D", "FOREGROUND", "-f"])
        .arg(conf)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("{address} comes from systemd, as descriptor 3, \"web\"")),
        "{said}"
    );
}

#[test]
fn a_service_manager_hears_what_happens() {
    let site = Site::new("event");
    let path = site.root().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(herdgate());
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "10000000").stdin(Stdio::null());
    let mut server = site.start_by(command);
    // Signs of life come in between.
    let hear = |wanted: &str| {
        let mut buffer = [0; 1024];
        loop {
            let count =
                manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if text.contains(wanted) {
                return text;
            }
            assert!(text.contains("WATCHDOG=1"), "{text:?} came before {wanted:?}");
        }
    };
    assert_eq!(hear("READY=1"), "READY=1");
    assert!(hear("WATCHDOG=1").contains(" idle, in "), "the first sign of life says how it is");
    server.graceful_restart();
    assert!(hear("RELOADING=1").contains("MONOTONIC_USEC="));
    hear("READY=1");
    server.rewrite_conf("NoSuchDirective");
    server.signal(Signal::SIGUSR1);
    hear("RELOADING=1");
    hear("READY=1");
    server.rewrite_conf("");
    server.upgrade();
    hear("READY=1"); // The successor's, which a manager that hears the main process only does not hear.
    let successor = server.pid();
    hear(&format!("MAINPID={successor}"));
    server.wait_for_the_first_process();
    hear("WATCHDOG=1");
    server.signal(Signal::SIGTERM);
    hear("STOPPING=1");
}

#[test]
fn the_unit_file_gives_orders_that_are_understood() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/extra/herdgate.service");
    let site = Site::new("event");
    let conf = site.write_conf();
    let mut checked = 0;
    for line in fs::read_to_string(unit).unwrap().lines() {
        let Some((_, command)) = line.split_once("=/usr/sbin/herdgate ") else { continue };
        // With -t the whole line is read, and nothing is done.
        let arguments: Vec<&str> = command.split(' ').chain(["-t"]).collect();
        let said = run_with(&conf, &arguments);
        assert_eq!(said.code, Some(0), "{line}: {}", said.stderr);
        checked += 1;
    }
    assert_eq!(checked, 2);
}

// --- upgrade ---

on_every_mpm!(
    an_upgrade_under_load_loses_nothing,
    |site| Load::prepare(site).conf("ListenBuckets 2\nListen unix:ROOT/web.sock"),
    |server| {
        let address = server.address();
        let load = Load::on(address);
        load.of_all_habits(|| {
            for _ in 0..3 {
                let before = server.pid();
                load.goes_on();
                server.upgrade();
                load.goes_on();
                wait_until("the former server has ended", || !is_alive(before));
                load.goes_on();
            }
        });
        load.expect_no_loss();
        assert_eq!(server.wait_for_the_first_process().code(), Some(0));
        assert!(ask(&server.path("web.sock")).is_ok());
        assert_eq!(server.get("/").status, 200);
        server.graceful_restart();
        assert_eq!(server.get("/").status, 200, "the successor obeys as its predecessor did");
        let successor = server.pid();
        server.signal(Signal::SIGTERM);
        wait_until("it stops", || !is_alive(successor));
        assert!(!server.path("web.sock").exists());
        assert!(!server.path("logs/herdgate.pid").exists());
        assert!(Client::try_connect(address).is_err());
    }
);

on_every_mpm!(
    an_upgrade_finishes_what_is_in_flight,
    |site| site.file("large.bin", noise(12_000_000)),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        server.upgrade();
        assert_eq!(server.get("/").status, 200);
        assert!(client.bytes(12_000_000) == noise(12_000_000));
        drop(client);
        assert_eq!(server.wait_for_the_first_process().code(), Some(0));
    }
);

#[test]
fn an_upgrade_that_fails_leaves_the_server_as_it_was() {
    let mut server = Site::new("event").conf("Listen unix:ROOT/web.sock").start();
    let (pid, children) = (server.pid(), server.children());
    for (mistake, reason) in [
        ("NoSuchDirective", "NoSuchDirective"),
        ("ScoreBoardFile ROOT/no/such/folder/board", "scoreboard"),
    ] {
        server.rewrite_conf(&format!("Listen unix:ROOT/web.sock\n{mistake}"));
        fs::write(server.path("logs/error_log"), "").unwrap();
        server.signal(Signal::SIGUSR2);
        server.wait_for_error("the upgrade has failed: this server goes on");
        assert!(server.error_log().contains(reason), "{}", server.error_log());
        assert_eq!(server.text("logs/herdgate.pid"), format!("{pid}\n"));
        assert_eq!(server.get("/").status, 200);
        assert!(ask(&server.path("web.sock")).is_ok());
        let own = |now: Vec<_>| children.iter().all(|child| now.contains(child));
        assert!(own(server.children()));
    }
    server.rewrite_conf("Listen unix:ROOT/web.sock");
    server.upgrade();
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_stop_while_an_upgrade_is_under_way_stops_both() {
    let mut server = Site::new("event").start();
    let address = server.address();
    // Both orders are there before the first one is read, and the kernel hands out the lower number first.
    freeze(server.pid());
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGUSR2);
    server.signal(Signal::SIGCONT);
    assert_eq!(server.wait_for_the_end().code(), Some(0));
    let log = server.error_log();
    let (_, rest) = log.split_once("Process ").expect("the upgrade had begun");
    let successor = rest.split_once(' ').unwrap().0.parse().unwrap();
    wait_until("the successor has ended", || !is_alive(nix::unistd::Pid::from_raw(successor)));
    assert!(Client::try_connect(address).is_err());
}

#[test]
fn an_upgrade_runs_the_file_that_has_taken_the_binarys_name() {
    let site = Site::new("event");
    let (binary, fresh) = (site.root().join("herdgate"), site.root().join("fresh"));
    for file in [&binary, &fresh] {
        fs::copy(herdgate(), file).unwrap();
    }
    let mut command = Command::new(&binary);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = site.start_by(command);
    // As a package manager does it.
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let wanted = inode(&fresh);
    fs::rename(&fresh, &binary).unwrap();
    server.upgrade();
    assert_eq!(server.get("/").status, 200);
    assert_eq!(inode(Path::new(&format!("/proc/{}/exe", server.pid()))), wanted);
}

#[test]
fn k_upgrade_sends_the_wish_and_a_bad_configuration_sends_nothing() {
    let mut server = Site::new("event").start();
    let conf = server.path("httpd.conf");
    server.rewrite_conf("NoSuchDirective");
    assert_eq!(run_with(&conf, &["-k", "upgrade"]).code, Some(1));
    server.rewrite_conf("");
    let before = server.pid();
    assert_eq!(run_with(&conf, &["-k", "upgrade"]).code, Some(0));
    server.wait_for_error("has taken over");
    assert!(!server.error_log().contains("failed"));
    let successor = wait_for(|| {
        let pid = server.text("logs/herdgate.pid").trim().parse().ok()?;
        (pid != before.as_raw()).then_some(pid)
    });
    let successor = nix::unistd::Pid::from_raw(successor.unwrap());
    nix::sys::signal::kill(successor, Signal::SIGTERM).unwrap();
    wait_until("it stops", || !is_alive(successor));
    assert_eq!(server.wait_for_the_end().code(), Some(0));
}
