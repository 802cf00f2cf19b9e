//! Reloads: what is said about them, and that one which fails has changed nothing.

use std::fs;

use nix::sys::signal::Signal;

use crate::on_every_mpm;
use crate::support::{Server, Site, taken_port, wait_until};

/// Empties the error log, and reloads.
fn reload(server: &mut Server) {
    fs::write(server.path("logs/error_log"), "").unwrap();
    server.graceful_restart();
}

on_every_mpm!(a_reload_says_what_has_changed_and_where, |server| {
    server.rewrite_conf("KeepAlive Off\n<Directory ROOT/htdocs>\nOptions None\n</Directory>");
    reload(&mut server);
    let conf = server.path("httpd.conf");
    let line_of = |text: &str| {
        let conf = fs::read_to_string(&conf).unwrap();
        conf.lines().position(|line| line.contains(text)).unwrap() + 1
    };
    server.wait_for_error("[core:notice]");
    let log = server.error_log();
    assert!(log.contains("the configuration has 2 changes:"), "{log}");
    let place = format!("({}:{})", conf.display(), line_of("KeepAlive Off"));
    assert!(log.contains(&format!("added KeepAlive Off {place}")), "{log}");
    assert!(log.contains("htdocs> with 1 line ("), "{log}");

    server.rewrite_conf("KeepAlive On\n<Directory ROOT/htdocs>\nOptions Indexes\n</Directory>");
    reload(&mut server);
    let log = server.error_log();
    let place = format!("({}:{})", conf.display(), line_of("KeepAlive On"));
    assert!(log.contains(&format!("changed KeepAlive: was Off, is On {place}")), "{log}");
    let options = "changed Options: was None, is Indexes (";
    let line = log.lines().find(|line| line.contains(options)).expect(options);
    assert!(line.contains(" in <Directory "), "{line}");

    server.rewrite_conf("# A comment.\n<Directory ROOT/htdocs>\nOptions Indexes\n</Directory>");
    reload(&mut server);
    let log = server.error_log();
    assert!(log.contains("the configuration has 1 change:"), "{log}");
    assert!(log.contains("removed KeepAlive On (was "), "{log}");
    reload(&mut server);
    assert!(server.error_log().contains("the configuration has not changed"));
});

#[test]
fn many_changes_are_told_in_full_to_who_asks_for_details() {
    let aliases: String = (0..13).map(|number| format!("Alias /{number} ROOT\n")).collect();
    let mut server = Site::new("event").start();
    server.rewrite_conf(&aliases);
    reload(&mut server);
    let log = server.error_log();
    assert_eq!(log.matches("added Alias").count(), 10, "{log}");
    assert!(log.contains("and 3 more, shown at LogLevel info"), "{log}");
    server.rewrite_conf("");
    reload(&mut server);
    server.rewrite_conf(&format!("LogLevel info\n{aliases}"));
    reload(&mut server);
    assert_eq!(server.error_log().matches("added Alias").count(), 13);
}

#[test]
fn what_needs_a_full_restart_is_named_with_what_is_asked_and_what_stays() {
    let mut server = Site::new("event").conf("ServerLimit 4").start();
    server.rewrite_conf(
        "ServerLimit 8\nThreadLimit 100\nThreadsPerChild 80\nMaxRequestWorkers 640\n\
         PidFile logs/other.pid\nScoreBoardFile logs/other.scoreboard",
    );
    reload(&mut server);
    let log = server.error_log();
    let logs = server.path("logs");
    let stays = |name: &str, stays: &str, asked: &str| {
        let sentence = format!(
            "{name} cannot change while the server runs: it stays {stays}; stop and start the server for {asked}"
        );
        assert!(log.contains(&sentence), "{sentence} in:\n{log}");
    };
    stays("ServerLimit", "4", "8");
    stays("ThreadLimit", "64", "100");
    stays("ThreadsPerChild", "64", "80");
    stays("MaxRequestWorkers", "256", "640");
    let path = |name: &str| logs.join(name).display().to_string();
    stays("PidFile", &path("herdgate.pid"), &path("other.pid"));
    let mut files = fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().path());
    let scoreboard = files.find(|path| path.extension().is_some_and(|it| it == "scoreboard"));
    let scoreboard = scoreboard.unwrap().display().to_string();
    stays("ScoreBoardFile", &scoreboard, &path("other.scoreboard"));
    assert!(!logs.join("other.pid").exists());

    // Another model, with numbers of its own.
    server.rewrite_conf("");
    let conf = server.path("httpd.conf");
    let text = fs::read_to_string(&conf).unwrap().replace("mpm_event", "mpm_prefork");
    fs::write(&conf, text).unwrap();
    reload(&mut server);
    let line = server.wait_for_error("the process model cannot change");
    assert!(line.contains("it stays event; stop and start the server for prefork"), "{line}");
    assert_eq!(server.get("/").status, 200);
}

on_every_mpm!(a_reload_that_fails_has_changed_nothing, |server| {
    let taken = taken_port();
    let before = server.children();
    let mistakes = [
        ("NoSuchDirective".to_owned(), "NoSuchDirective"),
        ("<Directory ROOT>".to_owned(), "was not closed"),
        ("DocumentRoot ROOT/mime.types".to_owned(), "is not a directory"),
        ("Mutex fcntl:ROOT/nowhere mpm-accept".to_owned(), "Invalid Mutex directory"),
        ("CoreDumpDirectory ROOT/nowhere".to_owned(), "does not exist or is not a directory"),
        ("ErrorLog ROOT/mime.types/log".to_owned(), "AH00091"),
        ("CustomLog ROOT/mime.types/log combined".to_owned(), "AH00091"),
        (format!("Listen {}", taken.local_addr().unwrap()), "Address already in use"),
    ];
    for (number, (mistake, reason)) in mistakes.iter().enumerate() {
        fs::write(server.path("logs/error_log"), "").unwrap();
        server.rewrite_conf(&format!("Listen unix:ROOT/new.sock\nKeepAlive Off\n{mistake}"));
        server.signal([Signal::SIGUSR1, Signal::SIGHUP][number % 2]);
        server.wait_for_error("the new configuration cannot be used: the old one stays in force");
        let log = server.error_log();
        assert!(log.contains(reason), "{reason} in:\n{log}");
        assert!(!log.contains("resuming normal operations"), "{log}");
        assert!(!server.path("new.sock").exists(), "{mistake}: no new socket stays");
        let answer = server.get("/");
        assert_eq!((answer.status, answer.closes()), (200, false), "{mistake}: the old settings");
        assert_eq!(server.children(), before, "{mistake}");
    }
    server.rewrite_conf("Listen unix:ROOT/new.sock\nKeepAlive Off");
    server.graceful_restart_to_the_end();
    assert!(server.get("/").closes());
    assert!(server.path("new.sock").exists());
});

#[test]
fn a_document_root_that_is_missing_is_said_and_no_reason_to_fail() {
    let mut server = Site::new("event").start();
    server.rewrite_conf("DocumentRoot ROOT/nowhere");
    server.graceful_restart_to_the_end();
    let line = server.wait_for_error("nowhere] does not exist");
    assert!(line.contains(":warn]"), "{line}");
    assert_eq!(server.get("/").status, 404);
}

on_every_mpm!(
    children_stand_in_core_dump_directory,
    |site| site.beside("cores/keep", "").conf("CoreDumpDirectory ROOT/cores"),
    |server| {
        let folder = server.path("cores").canonicalize().unwrap();
        assert_eq!(server.get("/").status, 200);
        for child in server.children() {
            wait_until("the child has gone there", || {
                fs::read_link(format!("/proc/{child}/cwd")).is_ok_and(|cwd| cwd == folder)
            });
        }
    }
);
