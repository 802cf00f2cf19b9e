//! A second start, pid files that lie, and a supervisor that was killed.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};

use crate::on_every_mpm;
use crate::support::client::{Client, head};
use crate::support::command::run_with;
use crate::support::processes::{freeze, is_alive};
use crate::support::{Site, noise, wait_until};

const LARGE: usize = 12_000_000;

#[test]
fn a_second_start_finds_the_first_server_and_leaves_it_alone() {
    let server = Site::new("event").start();
    let conf = server.path("httpd.conf");
    let said = run_with(&conf, &["-D", "FOREGROUND"]);
    let expected = format!("httpd (pid {}) already running", server.pid());
    assert_eq!((said.code, said.stderr.trim()), (Some(0), expected.as_str()));
    // With another pid file it is another server, and the port is not free.
    let (pid_file, port) = (server.path("logs/other.pid"), server.address());
    let (other, listen) = (format!("PidFile {}", pid_file.display()), format!("Listen {port}"));
    let said = run_with(&conf, &["-D", "FOREGROUND", "-c", &other, "-c", &listen]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains(&format!("could not bind to address {port}")), "{}", said.stderr);
    assert!(!pid_file.exists());
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.text("logs/herdgate.pid"), format!("{}\n", server.pid()));
}

#[test]
fn a_pid_that_a_stranger_has_now_is_not_taken_for_the_server() {
    let mut stranger = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let site = Site::new("event").beside("logs/herdgate.pid", format!("{}\n", stranger.id()));
    let said = run_with(&site.write_conf(), &["-k", "stop"]);
    assert_eq!(said.code, Some(0));
    assert!(said.stdout.contains("not running"), "{}", said.stdout);
    let server = site.start();
    server.wait_for_error("AH00098: pid file");
    assert_eq!(server.text("logs/herdgate.pid"), format!("{}\n", server.pid()));
    assert!(stranger.try_wait().unwrap().is_none(), "nobody has signalled the stranger");
    drop(stranger.stdin.take()); // At the end of its input it ends.
    stranger.wait().unwrap();
}

#[test]
fn an_empty_pid_file_is_what_a_power_cut_leaves() {
    let server = Site::new("event").beside("logs/herdgate.pid", "").start();
    server.wait_for_error("AH00098: pid file");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_file_that_is_no_pid_file_is_not_overwritten() {
    let site = Site::new("event").beside("logs/herdgate.pid", "something that somebody needs\n");
    for arguments in [["-D", "FOREGROUND"], ["-k", "stop"]] {
        let said = run_with(&site.write_conf(), &arguments);
        assert_eq!(said.code, Some(1));
        assert!(said.stderr.contains("AH00058: Error retrieving pid file"), "{}", said.stderr);
    }
    let left = fs::read_to_string(site.root().join("logs/herdgate.pid")).unwrap();
    assert_eq!(left, "something that somebody needs\n");
}

on_every_mpm!(
    after_the_supervisor_was_killed_the_next_server_has_the_port_at_once,
    |site| site.file("large.bin", noise(LARGE)),
    |server| {
        let address = server.address();
        let mut slow = server.client();
        slow.send(head("GET", "/large.bin", &[]));
        slow.receive_head().unwrap();
        let children = server.children();
        server.signal(Signal::SIGKILL);
        server.wait_for_the_end();
        server.rewrite_conf(&format!("Listen {address}"));
        server.start_again();
        assert_eq!(server.addresses()[1], address);
        server.wait_for_error("AH00098: pid file");
        assert_eq!(Client::connect(address).get("/").status, 200);
        assert!(children.iter().any(|child| is_alive(*child)), "the slow client is still served");
        assert!(slow.bytes(LARGE) == noise(LARGE));
        wait_until("the orphans have gone", || !children.iter().any(|child| is_alive(*child)));
    }
);

#[test]
fn what_a_crash_has_left_may_be_damaged() {
    let mut server = Site::new("event").conf("ScoreBoardFile logs/herdgate.scoreboard").start();
    for (board, pid) in [("", ""), ("herdgate, or not", "2147483600\n")] {
        let children = server.children();
        children.iter().for_each(|child| freeze(*child)); // So that nobody finishes and cleans up.
        for pid in [server.pid()].into_iter().chain(children) {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        server.wait_for_the_end();
        fs::write(server.path("logs/herdgate.scoreboard"), board).unwrap();
        fs::write(server.path("logs/herdgate.pid"), pid).unwrap();
        server.start_again();
        assert_eq!(server.get("/").status, 200);
        assert_eq!(server.text("logs/herdgate.pid"), format!("{}\n", server.pid()));
    }
}
