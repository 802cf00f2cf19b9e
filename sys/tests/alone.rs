//! What changes a whole process, tried in processes of their own.
//!
//! Each ignored test here is the inside of such a process; the other tests start this program again
//! to run it. Run by hand, the ignored ones do nothing.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};

use herdgate_sys::process::{self, Credentials, End, Fork};
use herdgate_sys::signals::Signal;
use nix::sys::resource::{Resource, setrlimit};

/// What the inside is to do; not set, it does nothing.
const TASK: &str = "HERDGATE_SYS_TEST_TASK";

#[test]
fn privileges_once_dropped_do_not_come_back() {
    if !process::is_root() {
        eprintln!("skipped: only root has privileges to drop");
        return;
    }
    succeeds(&alone("inside_drops_privileges", "drop"));
}

#[test]
#[ignore = "the inside of another test"]
fn inside_drops_privileges() {
    if std::env::var_os(TASK).is_none() {
        return;
    }
    let user = process::lookup_user("nobody").unwrap();
    let gid = user.gid.unwrap();
    let nobody = Credentials::new(user, gid);
    process::drop_privileges(&nobody).unwrap();
    assert!(!process::is_root());
    assert_eq!(nix::unistd::getuid().as_raw(), nobody.uid);
    assert_eq!(nix::unistd::getgid().as_raw(), nobody.gid);
    let groups = nix::unistd::getgroups().unwrap();
    assert!(groups.iter().all(|group| group.as_raw() != 0), "{groups:?}");

    let root = Credentials { uid: 0, gid: 0, name: Some("root".to_owned()) };
    let refused = process::drop_privileges(&root).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    process::set_dumpable(true).unwrap();
    assert!(nix::sys::prctl::get_dumpable().unwrap());
}

#[test]
fn a_user_without_a_name_keeps_its_one_group() {
    if !process::is_root() {
        eprintln!("skipped: only root has privileges to drop");
        return;
    }
    succeeds(&alone("inside_drops_to_a_number", "drop"));
}

#[test]
#[ignore = "the inside of another test"]
fn inside_drops_to_a_number() {
    if std::env::var_os(TASK).is_none() {
        return;
    }
    let who = Credentials::new(process::lookup_user("#4242424").unwrap(), 4_343_434);
    process::drop_privileges(&who).unwrap();
    let groups = nix::unistd::getgroups().unwrap();
    assert_eq!(groups, [nix::unistd::Gid::from_raw(4_343_434)]);
}

#[test]
fn the_descriptor_limit_rises_as_far_as_allowed() {
    succeeds(&alone("inside_raises_the_descriptor_limit", "raise"));
}

#[test]
#[ignore = "the inside of another test"]
fn inside_raises_the_descriptor_limit() {
    if std::env::var_os(TASK).is_none() {
        return;
    }
    setrlimit(Resource::RLIMIT_NOFILE, 64, 128).unwrap();
    assert_eq!(process::raise_descriptor_limit(100).unwrap(), 100);
    assert_eq!(process::descriptor_limit().unwrap(), 100);
    // Beyond the hard limit only with CAP_SYS_RESOURCE, which not even every root has.
    let reached = process::raise_descriptor_limit(200).unwrap();
    assert!(reached == 200 || reached == 128, "{reached}");
    assert_eq!(process::descriptor_limit().unwrap(), reached);
}

#[test]
fn a_signal_at_the_death_of_the_parent_can_be_asked_for() {
    succeeds(&alone("inside_asks_for_a_signal_at_the_death_of_the_parent", "ask"));
}

#[test]
#[ignore = "the inside of another test"]
fn inside_asks_for_a_signal_at_the_death_of_the_parent() {
    if std::env::var_os(TASK).is_none() {
        return;
    }
    process::signal_on_parent_death(Signal::SIGTERM).unwrap();
    assert_eq!(nix::sys::prctl::get_pdeathsig().unwrap(), Some(Signal::SIGTERM));
}

#[test]
fn the_shell_hears_that_a_detached_process_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    // `output` ends when the last holder of the child's output does: readiness let go of it.
    let first = alone("inside_detaches", path.to_str().unwrap());
    succeeds(&first);
    assert!(String::from_utf8_lossy(&first.stderr).contains("still heard"));
    assert!(!String::from_utf8_lossy(&first.stderr).contains("heard by nobody"));

    // The second process serves on, in a session of its own.
    let (mut second, _) = listener.accept().unwrap();
    let mut report = String::new();
    second.read_to_string(&mut report).unwrap();
    assert_eq!(report, "leads its session: true");
}

#[test]
#[ignore = "the inside of another test"]
fn inside_detaches() {
    use std::io::Write;
    let Some(path) = std::env::var_os(TASK) else { return };
    become_single_threaded();
    let detached = process::detach().unwrap();
    eprintln!("still heard");
    detached.ready().unwrap();
    eprintln!("heard by nobody");
    let leads = nix::unistd::getsid(None).unwrap() == nix::unistd::getpid();
    write!(UnixStream::connect(path).unwrap(), "leads its session: {leads}").unwrap();
    process::exit_immediately(0);
}

#[test]
fn the_shell_hears_that_a_detached_process_failed() {
    let check = |status: &str, expected| {
        assert_eq!(alone("inside_fails_to_start", status).status.code(), Some(expected));
    };
    check("3", 3);
    check("0", 1); // Ended in peace, but never ready.
    check("killed", 1);
}

#[test]
#[ignore = "the inside of another test"]
fn inside_fails_to_start() {
    let Ok(status) = std::env::var(TASK) else { return };
    become_single_threaded();
    let _detached = process::detach().unwrap();
    match status.parse() {
        Ok(status) => process::exit_immediately(status),
        Err(_) => process::signal(process::Pid::this(), Signal::SIGKILL).unwrap(),
    }
}

/// Goes on in a child, which has one thread as a starting server has. What is left of this process
/// only passes the child's status on.
fn become_single_threaded() {
    // SAFETY: the only other thread is the harness's, which waits for this test and holds nothing.
    match unsafe { process::fork() }.expect("a fork") {
        Fork::Child => {}
        Fork::Parent(child) => match process::wait_for(child).expect("it is ours").end {
            End::Exited(status) => process::exit_immediately(status),
            End::Killed { .. } => process::exit_immediately(99),
        },
    }
}

/// Runs one of the ignored tests in a process of its own, and waits for its end.
fn alone(test: &str, task: &str) -> Output {
    Command::new(std::env::current_exe().expect("a program"))
        .args(["--ignored", "--exact", test, "--nocapture", "--test-threads=1"])
        .env(TASK, task)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started again")
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
