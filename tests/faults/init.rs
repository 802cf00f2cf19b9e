//! The server as process 1, as in a container: it buries orphans, and a stop is a stop.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid, mkfifo};

use crate::can;
use crate::support::client::head;
use crate::support::command::herdgate;
use crate::support::processes::{children_of, state, status};
use crate::support::{MODELS, Server, Site, noise, not_allowed, wait_for, wait_until};

const LARGE: usize = 12_000_000;

/// Starts the site's server as process 1 of a new pid namespace. An orphan is born with it, who ends when `bell` in
/// ServerRoot is written to.
fn start(site: Site) -> Server {
    mkfifo(&site.root().join("bell"), Mode::from_bits_truncate(0o600)).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
    // The shell in the middle ends at once, and leaves its child to process 1, which becomes the server.
    command.arg("(read line < \"$0\" &); exec \"$@\"").arg(site.root().join("bell"));
    command.arg(herdgate()).stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = site.start_by(command);
    let launcher = server.pid();
    server.is_really(children_of(launcher)[0]);
    assert!(status(server.pid(), "NSpid").ends_with("\t1"), "it is process 1");
    server
}

fn may_be_init() -> bool {
    let may = geteuid().is_root() && can("unshare", &["--pid", "--fork", "--mount-proc"]);
    if !may {
        not_allowed("only root can make a pid namespace");
    }
    may
}

/// The child that is not the server's own.
fn orphan(server: &Server) -> Pid {
    let mut all = server.children().into_iter();
    all.find(|child| status(*child, "Name") == "sh").expect("the orphan was given to process 1")
}

#[test]
fn process_1_buries_orphans_and_nobody_is_missed() {
    if !may_be_init() {
        return;
    }
    for model in MODELS {
        let server = start(Site::new(model));
        let orphan = orphan(&server);
        let children: Vec<Pid> =
            server.children().into_iter().filter(|child| *child != orphan).collect();
        fs::write(server.path("bell"), "now\n").unwrap();
        wait_until("the orphan is buried", || state(orphan).is_none());
        assert_eq!(server.get("/").status, 200);
        assert!(children.iter().all(|child| server.children().contains(child)), "{model}");
        assert!(!server.error_log().contains("child pid"), "{}", server.error_log());
    }
}

#[test]
fn process_1_obeys_every_signal_that_stops() {
    if !may_be_init() {
        return;
    }
    for (model, signal) in
        MODELS.into_iter().zip([Signal::SIGTERM, Signal::SIGINT, Signal::SIGWINCH])
    {
        let mut server = start(Site::new(model));
        assert_eq!(server.get("/").status, 200);
        server.signal(signal);
        // The launcher ends as process 1 does.
        assert_eq!(server.wait_for_the_end().code(), Some(0), "{model} {signal}");
        server.wait_for_error(&format!("caught {signal}, shutting down"));
        assert!(!server.path("logs/herdgate.pid").exists());
    }
}

#[test]
fn term_is_graceful_for_process_1_where_a_limit_is_set() {
    if !may_be_init() {
        return;
    }
    for model in MODELS {
        let site = Site::new(model).file("large.bin", noise(LARGE));
        let mut server = start(site.conf("GracefulShutdownTimeout 300"));
        let mut client = server.client();
        client.send(head("GET", "/large.bin", &[]));
        client.receive_head().unwrap();
        server.signal(Signal::SIGTERM);
        server.wait_for_error("caught SIGTERM, shutting down gracefully");
        assert!(client.bytes(LARGE) == noise(LARGE), "{model}");
        assert_eq!(server.wait_for_the_end().code(), Some(0), "{model}");
    }
}

#[test]
fn a_pid_file_of_process_1_does_not_keep_the_next_process_1_from_starting() {
    if !may_be_init() {
        return;
    }
    // Containers are stopped and started with their files, and every server in them has this number. A process 1 lives
    // outside as well.
    let site =
        Site::new("event").beside("logs/herdgate.pid", "1\n").beside("logs/herdgate.pid.1", "");
    let server = start(site);
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.text("logs/herdgate.pid"), "1\n");
    assert!(wait_for(|| (!server.path("logs/herdgate.pid.1").exists()).then_some(())).is_some());
}
