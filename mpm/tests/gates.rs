//! Every gate under every model: it survives its holder, starves no listener, and loses nothing.
//!
//! The server is `examples/gates.rs`, which answers one byte with one byte and closes. Who stands where is read from
//! its scoreboard, from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use herdgate_mpm::gate::waits;
use herdgate_mpm::scoreboard::reader::{AtGate, Child, Reader, Snapshot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::{MODELS, PATIENCE, Server, wait_until};

const MUTEXES: [&str; 5] = ["pthread", "fcntl", "flock", "sysvsem", "posixsem"];
const COUNTED: [&str; 2] = ["2-sysvsem", "2-posixsem"];
const OPEN: [&str; 2] = ["none", "exclusive"];
const CHILDREN: usize = 3;

/// A running server behind a gate, and its scoreboard.
struct Gated {
    server: Server,
    board: Reader,
    folder: tempfile::TempDir,
}

impl Gated {
    fn start(model: &str, gate: &str) -> Self {
        Self::start_as(model, gate, CHILDREN, None)
    }

    fn start_as(model: &str, gate: &str, children: usize, user: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let board = folder.path().join("scoreboard");
        let children = children.to_string();
        let fixed = ["serve", model, gate].map(OsStr::new);
        let arguments = fixed.into_iter().chain([board.as_os_str(), children.as_ref()]);
        let server = Server::start("gates", arguments.chain(user.map(OsStr::new)));
        wait_until("there is a scoreboard", || Reader::open(&board).is_ok());
        let board = Reader::open(&board).unwrap();
        Self { server, board, folder }
    }

    /// One connection, to the first of its two listeners.
    fn ask(&self) {
        ask(self.server.addresses[0], PATIENCE).unwrap();
    }

    /// The scoreboard, once it looks as it should.
    fn once(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let mut snapshot = self.board.snapshot();
        wait_until(what, || {
            snapshot = self.board.snapshot();
            holds(&snapshot)
        });
        snapshot
    }

    /// All children, once so many of them stand inside and all others queue.
    fn once_queued(&self, inside: usize) -> Vec<Child> {
        let snapshot = self.once("the children stand at the gate", |snapshot| {
            count(snapshot, AtGate::Inside) == inside
                && count(snapshot, AtGate::Waiting) == CHILDREN - inside
        });
        snapshot.children
    }
}

fn count(snapshot: &Snapshot, at: AtGate) -> usize {
    snapshot.children.iter().filter(|child| child.is_present() && child.at_gate == at).count()
}

/// One connection, from its start to the answer. A connection that is refused is a failure at once: that the server
/// listens does not hang on any child.
fn ask(address: SocketAddr, patience: Duration) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"?")?;
    stream.read_exact(&mut [0])
}

/// Kills all who stand inside, and sees to it that the service goes on: always, and within a second.
///
/// A machine that is busy with other things can take a second for nothing, but not so many times in a row.
fn check_survives(model: &str, gate: &str, inside: usize) {
    const WITHIN: Duration = Duration::from_secs(1);
    const TRIES: usize = 20;
    let in_time = (0..TRIES).any(|_| {
        let server = Gated::start(model, gate);
        let children = server.once_queued(inside);
        let start = Instant::now();
        for holder in children.iter().filter(|child| child.at_gate == AtGate::Inside) {
            kill(Pid::from_raw(holder.pid), Signal::SIGKILL).unwrap();
        }
        for address in &server.server.addresses {
            ask(*address, PATIENCE).unwrap_or_else(|error| panic!("{model} {gate}: {error}"));
        }
        let in_time = start.elapsed() < WITHIN;
        server.once_queued(inside); // No place was lost, and none was won.
        in_time
    });
    assert!(in_time, "{model} {gate}");
}

#[test]
fn the_accept_mutex_survives_its_holder() {
    for model in MODELS {
        for gate in MUTEXES {
            check_survives(model, gate, 1);
        }
    }
}

#[test]
fn the_counted_gate_survives_its_holders() {
    for model in MODELS {
        for gate in COUNTED {
            check_survives(model, gate, 2);
        }
    }
}

#[test]
fn a_robust_mutex_tells_of_the_death() {
    let server = Gated::start("prefork", "pthread");
    let children = server.once_queued(1);
    let holder = children.iter().find(|child| child.at_gate == AtGate::Inside).unwrap();
    kill(Pid::from_raw(holder.pid), Signal::SIGKILL).unwrap();
    server.once("somebody found it", |snapshot| {
        snapshot
            .children
            .iter()
            .filter_map(|child| child.gate.as_ref())
            .any(|gate| gate.after_death > 0)
    });
}

/// Children that die while they queue take nothing along, and leave nothing behind.
#[test]
fn who_dies_in_the_queue_changes_nothing() {
    for gate in MUTEXES {
        let server = Gated::start("prefork", gate);
        let children = server.once_queued(1);
        for child in children.iter().filter(|child| child.at_gate == AtGate::Waiting) {
            kill(Pid::from_raw(child.pid), Signal::SIGKILL).unwrap();
        }
        let lost = |snapshot: &Snapshot| snapshot.server.children_lost == CHILDREN as u64 - 1;
        server.once("they are buried", lost);
        server.ask();
        server.once_queued(1);
    }
}

#[test]
fn every_pair_serves_both_listeners_and_loses_nothing_under_prefork() {
    check_matrix("prefork");
}

#[test]
fn every_pair_serves_both_listeners_and_loses_nothing_under_worker() {
    check_matrix("worker");
}

#[test]
fn every_pair_serves_both_listeners_and_loses_nothing_under_event() {
    check_matrix("event");
}

fn check_matrix(model: &str) {
    for gate in OPEN.into_iter().chain(MUTEXES).chain(COUNTED) {
        let server = Gated::start(model, gate);
        let failed = storm(&server, 0);
        assert_eq!(failed, 0, "{model} {gate}: nobody was killed");
        let failed = storm(&server, KILLS);
        // A killed child costs what it was serving: at most one connection of each client.
        assert!(failed <= KILLS * CLIENTS, "{model} {gate}: {failed} connections failed");
    }
}

const CLIENTS: usize = 4;
/// Fewer than the supervisor takes for a fault that forking faster does not mend.
const KILLS: usize = 3;

/// A thousand answered connections, half of them on each listener, with children killed in between. Says how many
/// more were begun and got no answer.
fn storm(server: &Gated, kills: usize) -> usize {
    const EACH: usize = 500;
    let answered = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let failed = AtomicUsize::new(0);
    let starved = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let listener = client % 2;
            let (mine, other) = (&answered[listener], &answered[1 - listener]);
            let (failed, starved, address) = (&failed, &starved, server.server.addresses[listener]);
            let body = move || {
                while mine.load(SeqCst) < EACH {
                    if ask(address, PATIENCE).is_err() {
                        failed.fetch_add(1, SeqCst);
                    } else if mine.fetch_add(1, SeqCst) + 1 == EACH {
                        // Both have as many clients, so both should be about as far.
                        starved.store(other.load(SeqCst) < EACH / 10, SeqCst);
                    }
                }
            };
            std::thread::Builder::new().spawn_scoped(scope, body).unwrap();
        }
        let done = || answered.iter().map(|count| count.load(SeqCst)).sum::<usize>();
        for kill_number in 1..=kills {
            wait_until("connections are served", || done() >= kill_number * 2 * EACH / (kills + 1));
            kill_one(server);
        }
    });
    assert!(!starved.load(SeqCst), "one listener waited for the other");
    failed.load(SeqCst)
}

/// Kills a child, one that stands inside if there is any.
fn kill_one(server: &Gated) {
    wait_until("a child can be killed", || {
        let snapshot = server.board.snapshot();
        let present = snapshot.children.iter().filter(|child| child.is_present());
        let victim = present.max_by_key(|child| child.at_gate == AtGate::Inside);
        // It may be one that is dead already, and about to be buried.
        victim.is_some_and(|victim| kill(Pid::from_raw(victim.pid), Signal::SIGKILL).is_ok())
    });
}

/// A loop that has no time is brought a few connections, and the rest stays where another child could take it. When the
/// server is told to stop meanwhile, all of them are served all the same.
#[test]
fn a_busy_loop_is_brought_a_few_connections_and_loses_none() {
    const CLIENTS: u64 = 20;
    /// As in the accept thread. The one that keeps the loop busy is one of them, if its byte came with it.
    const BROUGHT_MAX: u64 = 8;
    for gate in ["pthread", "2-sysvsem"] {
        let server = Gated::start_as("event", gate, 1, None);
        let keeper = UnixListener::bind(server.folder.path().join("keeper")).unwrap();
        let send = |byte: &[u8]| {
            let mut stream = TcpStream::connect(server.server.addresses[0]).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(byte).unwrap();
            stream
        };
        let mut clients = vec![send(b"k")];
        let (kept, _) = keeper.accept().unwrap(); // The loop is busy from here on.
        clients.extend((1..CLIENTS).map(|_| send(b"?")));
        server.once("the accept thread keeps away from the gate", |snapshot| {
            let child = snapshot.children.iter().find(|child| child.is_present()).unwrap();
            let waiting = u64::from(snapshot.server.queue_waiting);
            (BROUGHT_MAX..=BROUGHT_MAX + 1).contains(&child.accepted)
                && child.at_gate == AtGate::Away
                && waiting == CLIENTS - child.accepted
        });
        server.server.signal(Signal::SIGWINCH);
        drop(kept);
        for mut client in clients {
            client.read_exact(&mut [0]).unwrap();
        }
        server.server.wait_for_the_end();
    }
}

/// Children that stand still let connections wait. The kernel knows for how long, whatever stands before accept.
#[test]
fn connections_tell_how_long_they_waited_behind_every_gate_under_every_model() {
    /// How exactly the kernel tells the time: one tick of its clock, at 100 a second.
    const TICK: Duration = Duration::from_millis(10);
    for (model, gate) in pairs() {
        let server = Gated::start(model, gate);
        let snapshot =
            server.once("the children are there", |snapshot| present(snapshot).count() == CHILDREN);
        let children: Vec<Pid> = present(&snapshot).map(|child| Pid::from_raw(child.pid)).collect();
        children.iter().for_each(|child| kill(*child, Signal::SIGSTOP).unwrap());
        wait_until("they stand still", || children.iter().all(|child| stands_still(*child)));
        let mut clients: Vec<TcpStream> = server
            .server
            .addresses
            .iter()
            .cycle()
            .take(6)
            .map(|address| TcpStream::connect(address).unwrap())
            .collect();
        let all_wait = Instant::now();
        std::thread::sleep(TICK * 5);
        let waited = all_wait.elapsed();
        children.iter().for_each(|child| kill(*child, Signal::SIGCONT).unwrap());
        for client in &mut clients {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(b"?").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        // The first connection of each child is asked, and one of them is the first.
        let (asked, waits) = queue_of(&server.board.snapshot());
        assert!(asked > 0, "{model} {gate}");
        let shortest = waits.iter().position(|count| *count > 0).unwrap();
        assert!(shortest >= waits::bucket(waited - TICK), "{model} {gate}: {waited:?} {waits:?}");
        server.server.signal(Signal::SIGUSR1);
        server.once("the counters go on through all generations", |snapshot| {
            let of_now = |child: &Child| child.generation == 1;
            present(snapshot).all(of_now) && queue_of(snapshot) == (asked, waits.clone())
        });
    }
}

fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let gates = || OPEN.into_iter().chain(MUTEXES).chain(COUNTED);
    MODELS.into_iter().flat_map(move |model| gates().map(move |gate| (model, gate)))
}

/// Connections asked, and their waits by length.
fn queue_of(snapshot: &Snapshot) -> (u64, Vec<u64>) {
    let mut waits = vec![0; waits::BUCKETS];
    let queues = || snapshot.children.iter().filter_map(|child| child.queue.as_ref());
    for queue in queues() {
        waits.iter_mut().zip(&queue.waits).for_each(|(sum, count)| *sum += count);
    }
    (queues().map(|queue| queue.asked).sum(), waits)
}

fn present(snapshot: &Snapshot) -> impl Iterator<Item = &Child> {
    snapshot.children.iter().filter(|child| child.is_present())
}

fn stands_still(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.trim_start().starts_with('T')
}

#[test]
fn generations_change_behind_every_gate() {
    for gate in MUTEXES.into_iter().chain(COUNTED) {
        let server = Gated::start("prefork", gate);
        for generation in 1..=2 {
            server.server.signal(Signal::SIGUSR1);
            server.once("the new children are alone", |snapshot| {
                let mut present = snapshot.children.iter().filter(|child| child.is_present());
                snapshot.server.generation == generation
                    && present.all(|child| child.generation == generation)
            });
            server.ask();
        }
        server.server.signal(Signal::SIGWINCH);
        server.server.wait_for_the_end();
    }
}

#[test]
fn no_semaphore_outlives_its_server() {
    let before = semaphores();
    let server = Gated::start("prefork", "sysvsem");
    server.once_queued(1);
    server.server.signal(Signal::SIGUSR1);
    server.once("there is a second generation", |snapshot| snapshot.server.generation == 1);
    let during = &semaphores() - &before;
    assert!(!during.is_empty());
    server.server.signal(Signal::SIGTERM);
    server.server.wait_for_the_end();
    // Some are other tests' servers', which end as well.
    wait_until("the semaphores are gone", || semaphores().is_disjoint(&during));
}

/// All System V semaphores of this machine, by number.
fn semaphores() -> HashSet<String> {
    let table = std::fs::read_to_string("/proc/sysvipc/sem").unwrap();
    let number = |line: &str| line.split_whitespace().nth(1).unwrap().to_owned();
    table.lines().skip(1).map(number).collect()
}

#[test]
fn children_without_privileges_get_through_every_gate() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    for gate in MUTEXES.into_iter().chain(COUNTED) {
        let server = Gated::start_as("prefork", gate, CHILDREN, Some("nobody"));
        for _ in 0..20 {
            server.ask();
        }
        let snapshot = server.board.snapshot();
        assert_eq!(snapshot.server.children_lost, 0, "{gate}");
        // Who has served is no longer starting, when it still is root.
        let mut children = snapshot.children.iter();
        let child = children.find(|child| child.is_present() && child.accepted > 0).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.pid)).unwrap();
        assert!(!status.contains("\nUid:\t0"), "{gate}");
    }
}
