//! No descriptor for a connection that waits: the process has none left, or the machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::client::{Client, head};
use crate::support::command::herdgate;
use crate::support::processes::{clients_of, status};
use crate::support::{MODELS, Server, Site, noise, skipped, wait_until};
use crate::{Limit, can, lift_limit, limit, may_trace};

/// From now on the process can open nothing, not even one descriptor.
fn leave_no_descriptor(pid: Pid) {
    let open = |number: &u32| fs::symlink_metadata(format!("/proc/{pid}/fd/{number}")).is_ok();
    let lowest_free = (0..).find(|number| !open(number)).unwrap();
    limit(pid, Limit::Descriptors, lowest_free);
}

/// How often the process was put to sleep because it waited, by all its threads.
fn sleeps(pid: Pid) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_thread = |thread: &Path| {
        let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |number| number.trim().parse().unwrap())
    };
    threads.map(|thread| of_thread(&thread.unwrap().path())).sum()
}

/// CPU time of a process, in hundredths of a second.
fn ticks(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A single child, so that it is known who accepts.
fn one_child(model: &'static str, more: &str) -> Server {
    let sizes = match model {
        "prefork" => "StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 1",
        _ => {
            "StartServers 1\nThreadsPerChild 16\nMinSpareThreads 1\nMaxSpareThreads 16\n\
             MaxRequestWorkers 16"
        }
    };
    Site::new(model).sizes(sizes).conf(more).start()
}

fn shortages(server: &Server) -> usize {
    server.error_log().matches("Too many open files: AH02180: accept failed").count()
}

#[test]
fn who_has_no_descriptor_left_waits_quietly_says_so_once_and_recovers() {
    if !can("prlimit", &[]) {
        return skipped("no prlimit");
    }
    for model in MODELS {
        let server = one_child(model, "");
        assert_eq!(server.get("/").status, 200);
        let child = server.children()[0];
        let port = server.address().port();
        wait_until("it has nobody", || clients_of(child, port).is_empty());
        leave_no_descriptor(child);
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(head("GET", "/nothing", &["Connection: close"]));
        }
        server.wait_for_error("Too many open files: AH02180: accept failed");
        // It looks again every now and then, and sleeps between.
        let (slept, worked) = (sleeps(child), ticks(child));
        wait_until("it has slept ten times", || sleeps(child) >= slept + 10);
        assert!(ticks(child) - worked < 50, "{model}: it works, and has nothing to do");
        assert_eq!(shortages(&server), 1, "{model}: {}", server.error_log());
        lift_limit(child, Limit::Descriptors);
        for client in &mut clients {
            assert_eq!(client.receive("GET").status, 404, "{model}");
        }
        assert_eq!(server.children(), [child], "{model}");
        assert_eq!(shortages(&server), 1, "{model}: {}", server.error_log());
    }
}

#[test]
fn idle_connections_go_when_descriptors_are_short() {
    if !can("prlimit", &[]) {
        return skipped("no prlimit");
    }
    // With an accept mutex it is another thread that has no descriptor.
    for gate in ["", "Mutex pthread mpm-accept"] {
        let server = one_child("event", gate);
        let mut idle: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for client in &mut idle {
            assert_eq!(client.get("/nothing").status, 404);
        }
        leave_no_descriptor(server.children()[0]);
        // Nobody leaves by himself: KeepAliveTimeout is five minutes.
        let mut others: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut others {
            client.send(head("GET", "/nothing", &["Connection: close"]));
        }
        for client in &mut others {
            // Who got the last descriptor finds none for a file.
            assert!(matches!(client.receive("GET").status, 404 | 503));
        }
        assert!(idle.iter_mut().any(Client::was_closed), "{gate}");
    }
}

#[test]
fn the_last_descriptors_are_kept_for_files() {
    if !can("prlimit", &[]) {
        return skipped("no prlimit");
    }
    let server = one_child("event", "AsyncRequestWorkerFactor 20");
    std::fs::write(server.document("large.bin"), noise(3_000_000)).unwrap();
    // The next child has what its parent has now.
    limit(server.pid(), Limit::Descriptors, 100);
    let former = server.children()[0];
    kill(former, Signal::SIGKILL).unwrap();
    wait_until("another child", || server.children().first().is_some_and(|it| *it != former));
    // These have begun to ask for a file, and take a descriptor more when they have asked.
    let request = head("GET", "/large.bin", &[]);
    let (begun, rest) = request.split_at(8);
    let mut asking: Vec<Client> = (0..4).map(|_| server.client()).collect();
    asking.iter_mut().for_each(|client| client.send(begun));
    let mut idle = Vec::new();
    while !server.error_log().contains("the last descriptors are kept for files and logs") {
        let mut client = server.client();
        assert_eq!(client.get("/nothing").status, 404);
        idle.push(client);
        assert!(idle.len() < 100, "{}", server.error_log());
    }
    for client in &mut asking {
        client.send(rest);
        assert_eq!(client.receive_head().unwrap().status, 200);
    }
    // And idle ones make room for who waits.
    assert_eq!(server.get("/nothing").status, 404);
    assert!(idle.iter_mut().any(Client::was_closed));
    assert!(!server.error_log().contains("Too many open files"), "{}", server.error_log());
}

#[test]
fn a_machine_without_descriptors_or_memory_costs_a_pause_and_no_connection() {
    if !may_trace() {
        return;
    }
    let faults = [
        ("ENFILE", "Too many open files in system"),
        ("ENOBUFS", "No buffer space available"),
        ("ENOMEM", "Cannot allocate memory"),
    ];
    for (model, (fault, words)) in MODELS.into_iter().zip(faults) {
        let site = Site::new(model);
        let mut command = Command::new("strace");
        // As a grandchild, strace leaves its place to the server.
        command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=accept4"]);
        command.args(["-e", &format!("inject=accept4:error={fault}:when=1"), herdgate()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let server = site.start_by(command);
        for _ in 0..8 {
            assert_eq!(server.get("/").status, 200, "{model}");
        }
        server.wait_for_error(&format!("{words}: AH02180: accept failed"));
        let said = server.error_log().matches("AH02180").count();
        assert!(said <= server.children().len(), "{model}: {}", server.error_log());
        assert_eq!(status(server.pid(), "Name"), "herdgate");
    }
}
