//! What children may not do, and must not be.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use nix::unistd::{Pid, User, geteuid};

use crate::support::command::{herdgate, run_with};
use crate::support::processes::status;
use crate::support::{MODELS, Site, not_allowed, wait_until};
use crate::{can, may_trace};

/// Every thread of a process, as /proc has them.
fn threads(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let number = |name: std::ffi::OsString| name.to_str().unwrap().parse().unwrap();
    tasks.map(|task| Pid::from_raw(number(task.unwrap().file_name()))).collect()
}

fn numbers(text: &str) -> BTreeSet<u32> {
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[test]
fn children_have_nothing_of_root_left() {
    if !geteuid().is_root() || !can("setpriv", &["--groups", "0,4"]) {
        return not_allowed("only root has something to give up");
    }
    let nobody = User::from_name("nobody").unwrap().expect("every Linux has a nobody");
    let id = Command::new("id").args(["-G", "nobody"]).output().unwrap();
    let mut groups = numbers(&String::from_utf8(id.stdout).unwrap());
    groups.insert(nobody.gid.as_raw());
    for model in MODELS {
        // Groups that root has itself must not come along.
        let mut command = Command::new("setpriv");
        command.args(["--groups", "0,4,27", herdgate()]).stdin(Stdio::null()).stdout(Stdio::null());
        let server = Site::new(model).start_by(command);
        assert_eq!(server.get("/").status, 200); // By now it has its threads.
        let children = server.children();
        let is_nobody =
            |child: &Pid| numbers(&status(*child, "Uid")).contains(&nobody.uid.as_raw());
        wait_until("all have begun", || children.iter().all(is_nobody));
        for thread in children.into_iter().flat_map(threads) {
            // Real, effective, saved, and for files.
            assert_eq!(numbers(&status(thread, "Uid")), BTreeSet::from([nobody.uid.as_raw()]));
            assert_eq!(status(thread, "Uid").split_whitespace().count(), 4);
            assert_eq!(numbers(&status(thread, "Gid")), BTreeSet::from([nobody.gid.as_raw()]));
            assert_eq!(numbers(&status(thread, "Groups")), groups, "{model}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(status(thread, set), "0000000000000000", "{model} {set}");
            }
        }
        // What root has opened for them they can still write.
        server.wait_for_access("GET / ");
        assert_eq!(fs::metadata(server.path("logs/access_log")).unwrap().uid(), 0);
    }
}

#[test]
fn groups_go_before_the_right_to_change_them() {
    if !geteuid().is_root() {
        return not_allowed("only root has something to give up");
    }
    if !may_trace() {
        return;
    }
    let site = Site::new("prefork");
    let trace = site.root().join("trace");
    let mut command = Command::new("strace");
    let calls = "trace=setuid,setgid,setgroups,setresuid,setresgid,setreuid,setregid";
    // A file for each process, "trace.PID".
    command.args(["-D", "-ff", "-qq", "-e", calls, "-o"]).arg(&trace).arg(herdgate());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let server = site.start_by(command);
    assert_eq!(server.get("/").status, 200);
    let child = server.children()[0];
    let of_child = || -> Vec<String> {
        let trace = fs::read_to_string(trace.with_extension(child.to_string())).unwrap();
        let calls = trace.lines().filter(|line| line.starts_with("set"));
        calls.map(str::to_owned).collect()
    };
    wait_until("the trace is written", || of_child().len() >= 4);
    let calls = of_child();
    let names: Vec<&str> = calls.iter().map(|call| call.split('(').next().unwrap()).collect();
    assert_eq!(names, ["setgid", "setgroups", "setuid", "setuid"], "{calls:?}");
    assert!(calls[..3].iter().all(|call| call.ends_with("= 0")), "{calls:?}");
    assert!(
        calls[3].starts_with("setuid(0)") && calls[3].contains("EPERM"),
        "no way back: {calls:?}"
    );
}

#[test]
fn root_does_not_serve_unless_told_so_twice() {
    let site = Site::new("event").conf("User root");
    let conf = site.write_conf();
    let said = run_with(&conf, &["-t"]);
    assert_eq!(said.code, Some(1));
    let words = "has not been designed to serve pages while running as root";
    assert!(said.stderr.contains(words), "{}", said.stderr);
    assert_eq!(run_with(&conf, &["-D", "FOREGROUND"]).code, Some(1));
    let said = run_with(&conf, &["-t", "-D", "BIG_SECURITY_HOLE"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

#[test]
fn no_mutex_leaves_a_file_behind() {
    for mechanism in ["fcntl", "flock", "posixsem", "sysvsem", "pthread"] {
        let mut server =
            Site::new("prefork").conf(&format!("Mutex {mechanism}:logs mpm-accept")).start();
        assert_eq!(server.get("/").status, 200, "{mechanism}");
        server.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(server.wait_for_the_end().code(), Some(0));
        let left = fs::read_dir(server.path("logs")).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["access_log", "error_log"], "{mechanism}");
    }
}
