//! `reap` takes any child, so it has this process to itself: one test only.

use std::collections::HashMap;

use herdgate_sys::process::{self, End, Fork};
use herdgate_sys::{Pid, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};

#[test]
fn every_child_is_reaped_once_with_its_end() {
    assert_eq!(process::reap().unwrap(), None, "no children yet");
    let expected = HashMap::from([
        (child(|| process::exit_immediately(0)), End::Exited(0)),
        (child(|| process::exit_immediately(7)), End::Exited(7)),
        (
            child(|| drop(process::signal(Pid::this(), Signal::SIGKILL))),
            End::Killed { signal: libc::SIGKILL, core: false },
        ),
    ]);
    let mut ends = HashMap::new();
    while ends.len() < expected.len() {
        // Waits for an end without taking note of it.
        waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        while let Some(reaped) = process::reap().unwrap() {
            assert_eq!(ends.insert(reaped.pid, reaped.end), None, "reaped twice");
        }
    }
    assert_eq!(ends, expected);
    assert_eq!(process::reap().unwrap(), None, "none left");
}

fn child(body: impl FnOnce()) -> Pid {
    // SAFETY: the bodies are system calls and nothing else.
    match unsafe { process::fork() }.expect("a fork") {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            body();
            process::exit_immediately(99)
        }
    }
}
