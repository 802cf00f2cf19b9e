//! Children that die at birth, of signals, or stand still; and a supervisor that cannot fork.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{User, geteuid};

use crate::support::client::head;
use crate::support::command::herdgate;
use crate::support::processes::{freeze, is_alive};
use crate::support::{MODELS, Site, not_allowed, skipped, wait_until};
use crate::{Limit, can, lift_limit, limit, on_every_mpm};

const DIES_YOUNG: &str = "children die right after their start";
/// Deaths until the second pause begins: those of the start, three that are replaced at once, once more if all seemed
/// well for a moment, and who comes when the first pause is over. A storm would have hundreds in that second.
const DEATHS_MAX: usize = 20;

#[test]
fn children_that_die_at_birth_are_replaced_ever_more_slowly() {
    for model in MODELS {
        let server = Site::new(model).start();
        let mut killed = 0;
        let pauses = || server.error_log().matches(DIES_YOUNG).count();
        wait_until("two pauses", || {
            for child in server.children() {
                killed += usize::from(kill(child, Signal::SIGKILL).is_ok());
            }
            pauses() >= 2
        });
        let deaths = server.error_log().matches("exit signal Killed (9)").count();
        assert!(deaths <= DEATHS_MAX, "{model}: {deaths} deaths of {killed} shots");
        assert_eq!(server.get("/").status, 200, "{model}: it recovers when the killing ends");
    }
}

#[test]
fn children_that_cannot_start_do_not_make_a_fork_storm() {
    if !geteuid().is_root() || !can("prlimit", &["--nproc=1:"]) {
        return not_allowed("only root can fork children that may not have threads");
    }
    let mut command = Command::new("prlimit");
    command.args(["--nproc=1:", herdgate()]).stdin(Stdio::null()).stdout(Stdio::null());
    let server = Site::new("worker").start_by(command);
    server.wait_for_error("this child cannot go on, and ends");
    wait_until("two pauses", || server.error_log().matches(DIES_YOUNG).count() >= 2);
    let deaths = server.error_log().matches("ended by itself, with status 7").count();
    assert!(deaths <= DEATHS_MAX, "{deaths} deaths");
    lift_limit(server.pid(), Limit::Processes);
    assert_eq!(server.get("/").status, 200, "the next ones can");
}

#[test]
fn a_supervisor_that_cannot_fork_goes_on_with_the_children_it_has() {
    if !can("prlimit", &[]) {
        return skipped("no prlimit");
    }
    for model in MODELS {
        let site = Site::new(model);
        let mut command = Command::new(herdgate());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // Root may have any number of processes.
        if geteuid().is_root() {
            let nobody = User::from_name("nobody").unwrap().expect("every Linux has a nobody");
            for folder in ["", "logs"] {
                let folder = site.root().join(folder);
                std::os::unix::fs::chown(folder, Some(nobody.uid.as_raw()), None).unwrap();
            }
            command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw()).current_dir("/");
        }
        let server = site.start_by(command);
        limit(server.pid(), Limit::Processes, 1);
        let before = server.children();
        kill(before[0], Signal::SIGKILL).unwrap();
        server.wait_for_error("Resource temporarily unavailable: AH00159: fork: Unable to fork");
        assert_eq!(server.get("/").status, 200, "{model}: the others serve");
        for child in server.children() {
            let _ = kill(child, Signal::SIGKILL); // It may have retired meanwhile.
        }
        wait_until("nobody is left", || server.children().is_empty());
        lift_limit(server.pid(), Limit::Processes);
        assert_eq!(server.get("/").status, 200, "{model}: others have come");
    }
}

on_every_mpm!(the_log_tells_what_a_child_died_of_in_apaches_words, |server| {
    let deaths = [
        (Signal::SIGSEGV, "Segmentation fault (11)"),
        (Signal::SIGABRT, "Aborted (6)"),
        (Signal::SIGBUS, "Bus error (7)"),
        (Signal::SIGFPE, "Floating point exception (8)"),
        (Signal::SIGILL, "Illegal instruction (4)"),
        (Signal::SIGKILL, "Killed (9)"),
    ];
    for (signal, words) in deaths {
        wait_until("a child", || !server.children().is_empty());
        let child = server.children()[0];
        // What watches over the stack takes the first fault for one that is about to be repeated.
        wait_until("it dies", || {
            let _ = kill(child, signal);
            !is_alive(child)
        });
        let line = server.wait_for_error(&format!("AH00052: child pid {child} exit signal"));
        assert!(line.contains(words), "{line}");
        assert_eq!(server.get("/").status, 200);
    }
});

on_every_mpm!(
    a_child_that_stands_still_keeps_the_server_neither_from_serving_nor_from_ending,
    |server| {
        let still = server.children()[0];
        freeze(still);
        // The kernel may deal one of these to the child that sleeps; it wakes only those that wait.
        for _ in 0..20 {
            assert_eq!(server.get("/").status, 200);
        }
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_the_end().code(), Some(0));
        assert!(!is_alive(still));
        server.wait_for_error(&format!("AH00046: child process {still} still did not exit"));
    }
);

on_every_mpm!(
    a_child_that_stands_still_does_not_keep_a_graceful_stop_beyond_its_time,
    |site| site.conf("GracefulShutdownTimeout 1"),
    |server| {
        let mut client = server.client();
        client.send(head("GET", "/", &[]));
        assert_eq!(client.receive("GET").status, 200);
        let still = server.children();
        still.iter().for_each(|child| freeze(*child));
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait_for_the_end().code(), Some(0));
        assert!(!still.into_iter().any(is_alive));
        assert!(server.error_log().contains("GracefulShutdownTimeout has passed"));
    }
);
