//! # `herdgate top` against real servers: alive, busy, dead, and against what is no scoreboard
//!
//! Only the file is asked: the same questions are put to a server that answers requests and to one that was killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::client::head;
use support::command::{Said, run};
use support::fuse::{Held, SlowFolder};
use support::processes::freeze;
use support::{Server, noise, skipped, wait_for, wait_until};

/// `herdgate top -f CONF` with these arguments, without a wait for rates.
fn top(server: &Server, arguments: &[&str]) -> Said {
    let conf = server.path("httpd.conf");
    let fixed = ["top", "-i", "0", "-f", conf.to_str().unwrap()];
    run(fixed.into_iter().chain(arguments.iter().copied()))
}

/// `herdgate top ARGUMENTS --scoreboard FILE`
fn top_of(file: &Path, arguments: &[&str]) -> Said {
    let fixed = ["top", "-i", "0", "--scoreboard", file.to_str().unwrap()];
    run(fixed.into_iter().chain(arguments.iter().copied()))
}

/// The value of the first key of that name, as it is written.
fn value<'j>(json: &'j str, key: &str) -> &'j str {
    let start = json.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {json}"));
    let rest = &json[start + key.len() + 3..];
    &rest[..rest.find([',', '}']).unwrap()]
}

fn scoreboard(server: &Server) -> std::path::PathBuf {
    let json = top(server, &["--json"]).stdout;
    value(&json, "scoreboard").trim_matches('"').into()
}

on_every_mpm!(a_running_server_is_seen_by_its_file, |server| {
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.get("/missing").status, 404);
    // A supervisor that gets no processor for some seconds looks as if it hung.
    let once = wait_for(|| {
        let once = top(&server, &["--once"]);
        once.stdout.starts_with("server       serving, ").then_some(once)
    });
    let once = once.expect("it serves");
    assert_eq!(once.code, Some(0), "{once:?}");
    let first = once.stdout.lines().next().unwrap();
    let pid = server.pid();
    assert!(
        first.starts_with(&format!("server       serving, {}, pid {pid}", server.model())),
        "{first}"
    );
    assert!(once.stdout.contains(&format!("listening on {}", server.address())));
    assert!(once.stdout.contains("requests     2 in all"), "{}", once.stdout);
    let json = wait_for(|| {
        let json = top(&server, &["--json"]).stdout;
        let serving = json.matches("\"standing\":\"serving\"").count();
        let is_whole = value(&json, "life") == "\"well\"" && serving == server.children().len();
        is_whole.then_some(json)
    });
    let json = json.expect("it is well, and all of its children are seen");
    assert_eq!(value(&json, "model"), format!("\"{}\"", server.model()));
    assert_eq!(value(&json, "requests"), "2");
    assert!(value(&json, "memory_bytes").parse::<u64>().unwrap() > 1_000_000);
});

on_every_mpm!(the_last_request_of_each_worker_is_told_in_words, |server| {
    let mut client = server.client();
    client.send(head("GET", "/a%20b?c=\"d\"", &["Host: www.example.org"]));
    client.receive_head().unwrap();
    let json = top(&server, &["--json"]).stdout;
    assert!(json.contains(r#""client":"127.0.0.1","host":"localhost""#), "{json}");
    assert!(json.contains(r#""request":"GET /a%20b?c=\"d\" HTTP/1.1""#), "{json}");
    assert!(top(&server, &["--once"]).stdout.contains("GET /a%20b?c=\"d\" HTTP/1.1"));
});

on_every_mpm!(
    without_extended_status_requests_stay_private,
    |site| site.conf("ExtendedStatus Off"),
    |server| {
        assert_eq!(server.get("/").status, 200);
        let json = top(&server, &["--json"]).stdout;
        assert_eq!(value(&json, "requests"), "1", "they are counted all the same");
        assert!(!json.contains("\"client\""), "{json}");
    }
);

on_every_mpm!(kept_connections_are_seen_where_they_wait, |server| {
    let mut client = server.client();
    assert!(!client.get("/").closes());
    let kept = if server.model() == "event" { "\"idle\":1,\"linger\"" } else { "\"K\":1" };
    let idle = |json: &str| json.contains(kept);
    wait_until("the kept connection is seen", || idle(&top(&server, &["--json"]).stdout));
});

on_every_mpm!(a_dead_server_is_called_dead_and_its_last_state_is_shown, |server| {
    assert_eq!(server.get("/").status, 200);
    let file = scoreboard(&server);
    let children = server.children();
    // The children first stand still: nobody shall finish in the last moment.
    children.iter().for_each(|child| freeze(*child));
    for pid in [server.pid()].into_iter().chain(children) {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    server.wait_for_the_end();
    let once = top_of(&file, &["--once"]);
    assert_eq!(once.code, Some(3), "{once:?}");
    assert!(once.stdout.starts_with("server       DEAD, last seen "), "{}", once.stdout);
    assert!(once.stdout.contains("requests     1 in all"), "{}", once.stdout);
    let json = top(&server, &["--json"]);
    assert_eq!((json.code, value(&json.stdout, "life")), (Some(3), "\"dead\""));
    fs::remove_file(file).unwrap();
});

on_every_mpm!(a_server_that_hangs_is_still_seen, |server| {
    freeze(server.pid());
    wait_until("its silence is noticed", || {
        value(&top(&server, &["--json"]).stdout, "life") == "\"silent\""
    });
    kill(server.pid(), Signal::SIGCONT).unwrap();
    wait_until("it is well again", || {
        value(&top(&server, &["--json"]).stdout, "life") == "\"well\""
    });
});

on_every_mpm!(a_server_that_stops_takes_its_file_along, |server| {
    let file = scoreboard(&server);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    server.signal(Signal::SIGTERM);
    server.wait_for_the_end();
    assert!(!file.exists());
    let gone = top(&server, &["--once"]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.contains("no server runs by"), "{gone:?}");
});

on_every_mpm!(a_restart_keeps_the_file_and_counts_on, |server| {
    assert_eq!(server.get("/").status, 200);
    let file = scoreboard(&server);
    server.graceful_restart();
    assert_eq!(server.get("/").status, 200);
    let json = top_of(&file, &["--json"]).stdout;
    assert_eq!((value(&json, "generation"), value(&json, "requests")), ("1", "2"));
});

#[test]
fn a_killed_child_is_noticed_and_its_place_taken_again() {
    let server = support::Site::new("worker").start();
    let child = server.children()[0];
    kill(child, Signal::SIGKILL).unwrap();
    wait_until("the loss is counted and made good", || {
        let json = top(&server, &["--json"]).stdout;
        value(&json, "children_lost") == "1" && !json.contains(&format!("\"pid\":{child},"))
    });
}

#[test]
fn a_server_is_found_by_its_pid_file_alone() {
    let server = support::Site::new("event").conf("ScoreBoardFile logs/elsewhere").start();
    let pid_file = server.path("logs/herdgate.pid");
    let said = run(["top", "-i", "0", "--json", "--pid-file", pid_file.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(value(&said.stdout, "scoreboard").ends_with("logs/elsewhere\""), "{}", said.stdout);
}

#[test]
fn see_request_tail_shows_the_end_of_long_requests() {
    let server = support::Site::new("prefork").conf("SeeRequestTail On").start();
    let long = format!("/?{}/the-end", "x".repeat(300));
    assert_eq!(server.get(&long).status, 200);
    let json = top(&server, &["--json"]).stdout;
    let expected = format!("{}/the-end HTTP/1.1\"", "x".repeat(127 - "/the-end HTTP/1.1".len()));
    assert!(json.contains(&format!("\"request\":\"{expected}")), "{json}");
}

/// Event: whoever looks sees which request the disk holds up, on the thread that waits for it.
#[test]
fn a_slow_disks_request_is_told_by_the_thread_that_waits() {
    let site = support::Site::new("event").folder("slow");
    let files = vec![("a.bin", noise(5_000))];
    let slow = match SlowFolder::mount(&site.root().join("htdocs/slow"), files) {
        Ok(slow) => slow,
        Err(error) => return skipped(&format!("no FUSE file system here ({error})")),
    };
    let server = site.start();
    let mut waiting = server.client();
    waiting.send(head("GET", "/slow/a.bin", &[]));
    assert_eq!(slow.wait_for_held(), Held::LookUp("a.bin".to_owned()));
    // The loop says something else by now: it has served another request since.
    assert_eq!(server.get("/").status, 200);
    let json = top(&server, &["--json"]).stdout;
    let told = json.split("{\"tid\"").find(|told| told.contains("GET /slow/a.bin HTTP/1.1"));
    assert!(told.is_some_and(|told| told.contains(r#""state":"W""#)), "{json}");
    slow.go_on();
    for _ in [Held::Open, Held::Read] {
        slow.wait_for_held();
        slow.go_on();
    }
    assert_eq!(waiting.receive("GET").status, 200);
    drop(server); // Before the file system: nobody may be held by it then.
}

#[test]
fn another_scoreboard_needs_a_full_restart() {
    let mut server = support::Site::new("prefork").start();
    let file = scoreboard(&server);
    server.rewrite_conf("ScoreBoardFile logs/elsewhere");
    server.graceful_restart();
    server.wait_for_error("ScoreBoardFile cannot change while the server runs");
    let conf = server.path("httpd.conf");
    let said = run(["top", "-i", "0", "--json", "-f", conf.to_str().unwrap()]);
    let pid_file = server.path("logs/herdgate.pid");
    let found = value(&said.stdout, "scoreboard").trim_matches('"').to_owned();
    assert_eq!(Path::new(&found), file, "the living server is asked, by {}", pid_file.display());
}

#[test]
fn default_runtime_dir_holds_the_scoreboard() {
    let server = support::Site::new("event").folder("../run").conf("DefaultRuntimeDir run").start();
    let file = scoreboard(&server);
    assert_eq!(file.parent().unwrap(), server.path("run"));
    assert!(file.to_str().unwrap().ends_with(".scoreboard"));
}

#[test]
fn a_served_folder_is_told_by_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let serving = support::serve::Serving::start(folder.path(), "event", &[]);
    let pid = serving.pid();
    let name = format!("herdgate-serve-{}.scoreboard", serving.address().port());
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let line = maps.lines().find(|line| line.ends_with(&name)).unwrap_or_else(|| panic!("{maps}"));
    let said = top_of(Path::new(&line[line.find('/').unwrap()..]), &["--once"]);
    assert!(said.stdout.contains(&format!("pid {pid}")), "{said:?}");
}

#[test]
fn rates_need_two_looks() {
    let server = support::Site::new("event").start();
    let said =
        run(["top", "--json", "-i", "0.05", "--scoreboard", scoreboard(&server).to_str().unwrap()]);
    assert_eq!(value(&said.stdout, "requests_per_sec"), "0.000");
    assert_eq!(value(&top(&server, &["--json"]).stdout, "requests_per_sec"), "null");
}

#[test]
fn what_is_no_scoreboard_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let check = |expected: &str| {
        let said = top_of(&file, &["--once"]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.stderr.contains(expected), "{said:?}");
    };
    check("No such file");
    fs::write(&file, noise(100_000)).unwrap();
    check("not a scoreboard");
    fs::write(&file, "").unwrap();
    check("not a scoreboard");
}

#[test]
fn a_scoreboard_that_was_cut_is_an_error_and_no_panic() {
    let server = support::Site::new("prefork").start();
    let bytes = fs::read(scoreboard(&server)).unwrap();
    let file = server.path("cut");
    for length in [1, 64, 700, 1000, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        let said = top_of(&file, &["--json"]);
        // The areas that are needed stand in front; without the others there is less to tell.
        assert!(matches!(said.code, Some(0 | 1)), "{length}: {said:?}");
        assert!(!said.stderr.contains("panicked"), "{length}: {said:?}");
    }
}

#[test]
fn usage_mistakes_are_told() {
    for arguments in [
        &["top", "--once", "--json"][..],
        &["top", "--scoreboard", "a", "-f", "b"],
        &["top", "-i", "soon"],
        &["top", "--no-such"],
    ] {
        assert_eq!(run(arguments).code, Some(1), "{arguments:?}");
    }
    let pid_file = Path::new("/nonexistent/herdgate.pid");
    let said = run(["top", "--once", "--pid-file", pid_file.to_str().unwrap()]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("no server runs by /nonexistent/herdgate.pid"), "{said:?}");
}

/// A dead server's pid may be anybody's.
#[test]
fn a_pid_alone_proves_no_life() {
    let mut server = support::Site::new("prefork").start();
    let file = scoreboard(&server);
    let copy = server.path("copy");
    fs::copy(&file, &copy).unwrap();
    server.signal(Signal::SIGTERM);
    server.wait_for_the_end();
    let mut bytes = fs::read(&copy).unwrap();
    let global = (0..16)
        .map(|nth| 16 + nth * 40)
        .find(|area| bytes[*area..].starts_with(b"global\0"))
        .map(|area| usize::from(bytes[area + 16]) | usize::from(bytes[area + 17]) << 8)
        .unwrap();
    let ours = Pid::this().as_raw().to_le_bytes();
    bytes[global..global + 4].copy_from_slice(&ours);
    fs::write(&copy, bytes).unwrap();
    assert_eq!(top_of(&copy, &["--once"]).code, Some(3));
}
