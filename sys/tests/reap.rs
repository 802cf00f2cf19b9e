//! `reap` takes any child, so it has this process to itself: one test only.

use std::collections::HashMap;

use herdgate_sys::Pid;
use herdgate_sys::poll::{Interest, PollEntry, poll};
use herdgate_sys::process::{self, End, Fork};
use herdgate_sys::signals::{Signal, SignalFd};
use std::os::fd::AsRawFd;

#[test]
fn every_child_is_reaped_once_with_its_end() {
    assert_eq!(process::reap().unwrap(), None, "no children yet");
    let inbox = SignalFd::new(&[Signal::SIGCHLD]).unwrap();
    let expected = HashMap::from([
        (child(|| process::exit_immediately(0)), End::Exited(0)),
        (child(|| process::exit_immediately(7)), End::Exited(7)),
        (
            child(|| {
                let _ = process::signal(Pid::this(), Signal::SIGKILL);
            }),
            End::Killed { signal: libc::SIGKILL, core: false },
        ),
    ]);
    let mut ends = HashMap::new();
    while ends.len() < expected.len() {
        // SIGCHLD is for the process: it may have gone to the harness's thread, which drops it. Then
        // the next look comes by time.
        let mut entries = [PollEntry::new(inbox.as_raw_fd(), Interest::READ)];
        poll(&mut entries, Some(std::time::Duration::from_millis(10))).unwrap();
        inbox.read().unwrap();
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
