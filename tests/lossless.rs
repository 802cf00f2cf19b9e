//! # Nothing is lost: whatever happens to the children, whoever has asked is answered
//!
//! | what happens under load | how often, in each model |
//! |---|---|
//! | graceful restarts | 20 |
//! | children that have had their share of connections | 100 |
//! | idle children that the supervisor gives up | 100 |
//! | children killed by SIGKILL | 5: each costs what it held, and nothing else |
//! | restarts and retirements behind each gate | 2,000 connections on two listeners, none of which starves |
//!
//! Ten changes of `ListenBuckets`, and upgrades, are in `listeners.rs`. What counts as lost is in [`support::load`].

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

#[path = "support/mod.rs"]
mod support;

use herdgate_mpm::scoreboard::State;
use herdgate_mpm::scoreboard::reader::{Child, Reader, Slot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::command::run_with;
use support::load::{Habit, Load, Loss};
use support::processes::{freeze, sockets_of};
use support::{MODELS, Server, Site, thread, wait_for, wait_until};

/// A scoreboard where the tests find it.
const BOARD: &str = "ScoreBoardFile logs/board\n";

/// How many children have ended as they should; one that is forked meanwhile makes it one less.
fn finished(server: &Server, board: &Reader) -> u64 {
    let then = board.server();
    (then.children_forked - then.children_lost).saturating_sub(server.children().len() as u64)
}

fn board(server: &Server) -> Reader {
    Reader::open(&server.path("logs/board")).unwrap()
}

#[track_caller]
fn expect_no_complaint(server: &Server) {
    let log = server.error_log();
    for level in [":error]", ":crit]", ":alert]", ":emerg]"] {
        assert!(!log.contains(level), "{log}");
    }
    assert_eq!(board(server).server().children_lost, 0, "{log}");
}

on_every_mpm!(
    twenty_graceful_restarts_lose_nothing,
    |site| Load::prepare(site).conf(BOARD),
    |server| {
        let load = Load::on(server.address());
        load.of_all_habits(|| {
            for _ in 0..20 {
                server.graceful_restart();
                load.goes_on();
            }
        });
        load.expect_no_loss();
        expect_no_complaint(&server);
    }
);

on_every_mpm!(
    a_hundred_retirements_by_count_lose_nothing,
    |site| Load::prepare(site).conf(BOARD).conf("MaxConnectionsPerChild 10 20%"),
    |server| {
        let load = Load::on(server.address());
        let board = board(&server);
        load.of_all_habits(|| {
            wait_until("a hundred have retired", || finished(&server, &board) >= 100);
        });
        load.expect_no_loss();
        expect_no_complaint(&server);
    }
);

/// A supervisor gives up one idle child a second, so many servers do it side by side.
#[test]
fn a_hundred_idle_children_given_up_lose_nothing() {
    for model in MODELS {
        let servers: Vec<_> =
            (0..20).map(|_| thread(move || give_up_idle_children(model, 5))).collect();
        servers.into_iter().for_each(|server| server.join().unwrap());
    }
}

fn give_up_idle_children(model: &'static str, count: u64) {
    // Three are enough for the load, and each has a child too many.
    let sizes = match model {
        "prefork" => "StartServers 10\nMinSpareServers 1\nMaxSpareServers 2\nMaxRequestWorkers 10",
        _ => {
            "StartServers 10\nThreadsPerChild 2\nMinSpareThreads 1\nMaxSpareThreads 4\n\
             MaxRequestWorkers 20"
        }
    };
    let server = Load::prepare(Site::new(model)).conf(BOARD).sizes(sizes).start();
    let load = Load::on(server.address()).gently();
    let board = board(&server);
    load.of(&[Habit::KeepAlive, Habit::Close, Habit::Hesitant], || {
        wait_until("idle children have gone", || finished(&server, &board) >= count);
        load.goes_on();
    });
    load.expect_no_loss();
    expect_no_complaint(&server);
}

on_every_mpm!(
    a_killed_child_costs_only_the_connections_that_it_held,
    |site| Load::prepare(site).conf(BOARD),
    |server| {
        let load = Load::on(server.address());
        let board = board(&server);
        let mut held = 0;
        load.of_all_habits(|| {
            for number in 1..=5 {
                load.goes_on();
                held += kill_one_that_serves(&server, &board);
                wait_until("it is buried", || board.server().children_lost == number);
            }
            load.goes_on();
        });
        let losses = load.losses();
        assert!(losses.iter().all(Loss::was_connected), "refused: {losses:#?}");
        assert!(losses.len() <= held, "{} lost of {held} held: {losses:#?}", losses.len());
    }
);

/// Kills a child while it holds connections, and says how many.
fn kill_one_that_serves(server: &Server, board: &Reader) -> usize {
    let listeners = sockets_of(server.pid());
    let (child, held) = wait_for(|| {
        let stays = |child: &Child| child.is_present() && !child.finishing;
        let children = board.snapshot().children.into_iter().filter(stays);
        let child = Pid::from_raw(children.max_by_key(busyness)?.pid);
        freeze(child); // What it holds now, it holds when it dies.
        let held = sockets_of(child).difference(&listeners).count();
        if held == 0 {
            kill(child, Signal::SIGCONT).unwrap();
        }
        (held > 0).then_some((child, held))
    })
    .expect("somebody serves");
    kill(child, Signal::SIGKILL).unwrap();
    held
}

/// Connections that wait in event's loop, or workers that serve one each.
fn busyness(child: &Child) -> usize {
    let serves = |slot: &&Slot| !matches!(slot.state, State::Starting | State::Ready);
    (child.connections as usize).max(child.slots.iter().filter(serves).count())
}

// --- every gate in every model ---

/// How a gate is asked for, and how the server calls it.
const GATES: [(&str, &str); 9] = [
    ("AcceptSerialization Off", "no gate"),
    ("AcceptSerialization Exclusive", "exclusive wakeups"),
    ("Mutex pthread mpm-accept", "accept mutex by pthread"),
    ("Mutex fcntl mpm-accept", "accept mutex by fcntl"),
    ("Mutex flock mpm-accept", "accept mutex by flock"),
    ("Mutex sysvsem mpm-accept", "accept mutex by sysvsem"),
    ("Mutex posixsem mpm-accept", "accept mutex by posixsem"),
    ("AcceptSerialization 2\nMutex sysvsem mpm-accept", "counted gate by sysvsem: 2 at once"),
    ("AcceptSerialization 2\nMutex posixsem mpm-accept", "counted gate by posixsem: 2 at once"),
];

const MATRIX_CONF: &str = "Listen 127.0.0.1:0\nMaxConnectionsPerChild 100 20%\nLogLevel info\n";

on_every_mpm!(
    behind_every_gate_both_listeners_are_served_and_nothing_is_lost,
    |site| Load::prepare(site).conf(BOARD).conf(MATRIX_CONF),
    |server| {
        let board = board(&server);
        for (lines, name) in GATES {
            // The first connections come while the former gate's children finish.
            let loads = [0, 1].map(|listener| Load::on(server.addresses()[listener]));
            let finished_before = finished(&server, &board);
            let habits = [Habit::Close, Habit::Close];
            loads[0].of(&habits, || {
                loads[1].of(&habits, || {
                    server.rewrite_conf(&format!("{BOARD}{MATRIX_CONF}{lines}"));
                    server.graceful_restart();
                    server.wait_for_error(name);
                    check_both_are_served(&loads, name);
                });
            });
            loads.into_iter().for_each(Load::expect_no_loss);
            // Two thousand are the shares of twenty children.
            assert!(finished(&server, &board) >= finished_before + 10, "{name}");
        }
        expect_no_complaint(&server);
    }
);

/// A thousand connections from now on each, and when one listener has had them, the other is not far behind: it has as
/// many clients.
fn check_both_are_served(loads: &[Load; 2], gate: &str) {
    const EACH: usize = 1000;
    let before = loads.each_ref().map(Load::answered);
    let served = |listener: usize| loads[listener].answered() - before[listener];
    wait_until("one listener is served", || served(0) >= EACH || served(1) >= EACH);
    let behind = served(0).min(served(1));
    assert!(behind >= EACH / 10, "{gate}: one listener waited for the other: {behind}");
    wait_until("both listeners are served", || served(0) >= EACH && served(1) >= EACH);
}

#[test]
fn a_gate_that_cannot_be_is_refused_with_the_reason() {
    let cannot_count = "this mechanism lets in one, and AcceptSerialization says how many";
    for model in MODELS {
        for (lines, reason) in [
            ("AcceptSerialization 2\nMutex pthread mpm-accept", cannot_count),
            ("AcceptSerialization 2\nMutex fcntl mpm-accept", cannot_count),
            ("AcceptSerialization 2\nMutex flock mpm-accept", cannot_count),
            ("AcceptSerialization 2\nMutex none mpm-accept", "a number needs a semaphore"),
            ("AcceptSerialization On\nMutex none mpm-accept", "On needs a mutex"),
        ] {
            let said = run_with(&Site::new(model).conf(lines).write_conf(), &["-t"]);
            assert_eq!(said.code, Some(1), "{model} {lines}");
            assert!(said.stderr.contains(reason), "{model} {lines}: {}", said.stderr);
        }
    }
}
