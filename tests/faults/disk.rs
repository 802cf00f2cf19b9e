//! No room: for the logs while the server runs, and for what it needs to start.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use nix::unistd::{Pid, geteuid};

use crate::support::command::herdgate;
use crate::support::{MODELS, Server, Site, not_allowed, skipped, wait_until};
use crate::{Limit, can, lift_limit, limit, on_every_mpm};

/// The supervisor and its children.
fn everybody(server: &Server) -> Vec<Pid> {
    [server.pid()].into_iter().chain(server.children()).collect()
}

#[test]
fn a_server_whose_logs_are_full_serves_and_obeys() {
    if !can("prlimit", &[]) {
        return skipped("no prlimit");
    }
    for model in MODELS {
        let mut server = Site::new(model).start();
        // What a full disk does to logs, but for the error's number.
        everybody(&server).into_iter().for_each(|pid| limit(pid, Limit::FileBytes, 0));
        let (access, error) = (server.access_log(), server.error_log());
        let before = server.children();
        let mut client = server.client();
        for _ in 0..5 {
            assert_eq!(client.get("/lost").status, 404);
            assert_eq!(server.get("/lost").status, 404);
        }
        assert_eq!(server.children(), before, "{model}: nobody dies of it");
        assert_eq!((server.access_log(), server.error_log()), (access, error));
        everybody(&server).into_iter().for_each(|pid| lift_limit(pid, Limit::FileBytes));
        assert_eq!(client.get("/found").status, 404);
        server.wait_for_access("GET /found");
        let line = server.wait_for_error("access_log is written again");
        assert!(line.contains("lines were lost"), "{line}");
        server.graceful_restart_to_the_end();
        assert_eq!(server.get("/").status, 200);
    }
}

on_every_mpm!(
    an_access_log_on_a_full_disk_is_told_once_by_each_child,
    |site| site.conf("CustomLog /dev/full combined"),
    |server| {
        for _ in 0..20 {
            assert_eq!(server.get("/").status, 200);
        }
        server.wait_for_error("No space left on device: log /dev/full cannot be written");
        server.wait_for_access("GET / "); // The other log is whole.
        let log = server.error_log();
        let told = log.lines().filter(|line| line.contains("/dev/full cannot be written"));
        let tellers: Vec<&str> = told.map(|line| line.split("[pid ").nth(1).unwrap()).collect();
        let different: HashSet<&str> =
            tellers.iter().map(|it| it.split(':').next().unwrap()).collect();
        assert_eq!(tellers.len(), different.len(), "{log}");
    }
);

/// Starts a server by `launcher`, which must fail, and leave no pid file nor parts of one. Returns what it says.
#[track_caller]
fn start_in_vain(site: &Site, launcher: &[&str]) -> String {
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).arg(herdgate());
    let conf = site.write_conf();
    let said = command.args(["-D", "FOREGROUND", "-f"]).arg(conf).output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(1), "{words}");
    let left = fs::read_dir(site.root().join("logs")).unwrap();
    let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["access_log", "error_log"]);
    words
}

#[test]
fn a_start_without_room_names_the_file_and_leaves_nothing_behind() {
    if !can("prlimit", &[]) {
        return skipped("no prlimit");
    }
    let site = Site::new("event").conf("ScoreBoardFile logs/scoreboard");
    let words = start_in_vain(&site, &["prlimit", "--fsize=0"]);
    assert!(words.contains("AH00099: could not write pid file"), "{words}");
    assert!(words.contains("logs/herdgate.pid: File too large"), "{words}");
    let words = start_in_vain(&site, &["prlimit", "--fsize=4096"]);
    assert!(words.contains("create the scoreboard: "), "{words}");
    assert!(words.contains("logs/scoreboard: File too large"), "{words}");
}

#[test]
fn a_scoreboard_on_a_full_disk_is_an_error_at_start() {
    let mount = "mkdir -p \"$0\" && mount -t tmpfs -o size=4k none \"$0\" && exec \"$@\"";
    if !geteuid().is_root() || !can("unshare", &["--mount"]) {
        return not_allowed("only root can make a small disk");
    }
    let site = Site::new("event").conf("ScoreBoardFile small/scoreboard");
    let small = site.root().join("small");
    let small = small.to_str().unwrap();
    let launcher = ["unshare", "--mount", "sh", "-c", mount, small];
    let words = start_in_vain(&site, &launcher);
    assert!(words.contains("small/scoreboard: No space left on device"), "{words}");
    // Elsewhere there is room.
    let server = site.conf("ScoreBoardFile logs/scoreboard").start();
    wait_until("it serves", || server.get("/").status == 200);
}
