//! Options, exit codes, messages, and the control of a server that runs in the background.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::client::Client;
use crate::support::command::{run, run_with};
use crate::support::processes::is_alive;
use crate::support::{MODELS, Site, taken_port, wait_for, wait_until};

#[test]
fn t_says_syntax_ok() {
    for model in MODELS {
        let site = Site::new(model).conf("KeepAliveTimeout 2");
        let said = run_with(&site.write_conf(), &["-t"]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), "Syntax OK\n"), "{model}");
    }
}

#[test]
fn t_shows_all_mistakes_at_once_with_their_places() {
    let site = Site::new("event").conf(
        "MaxRequestWorkers many\n\
         DocumentRooot /tmp\n\
         <Directory ROOT>\n\
         Listen 8080\n\
         </Directory>",
    );
    let conf = site.write_conf();
    let said = run_with(&conf, &["-t"]);
    assert_eq!(said.code, Some(1));
    let stderr = &said.stderr;
    let line_of = |text: &str| {
        let conf = std::fs::read_to_string(&conf).unwrap();
        conf.lines().position(|line| line.contains(text)).unwrap() + 1
    };
    for (text, expected) in [
        ("MaxRequestWorkers many", "\"many\" is not a number"),
        ("DocumentRooot", "DocumentRoot"), // "Did you mean …?"
        ("Listen 8080", "Listen"),
    ] {
        let place = format!("{}:{}:", conf.display(), line_of(text));
        assert!(stderr.contains(&place), "{place} in:\n{stderr}");
        assert!(stderr.contains(expected), "{expected} in:\n{stderr}");
    }
    assert!(stderr.contains('^'), "a caret shows the word:\n{stderr}");
    assert!(!stderr.contains("Syntax OK"));
}

#[test]
fn a_directive_that_apache_has_and_we_do_not_is_told_from_a_misspelt_one() {
    let site = Site::new("event").conf("RewriteEngine On\nRewritEngine On");
    let said = run_with(&site.write_conf(), &["-t"]);
    assert_eq!(said.code, Some(1));
    let about = |name: &str| {
        said.stderr.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned()
    };
    assert_ne!(
        about("RewriteEngine").replace("RewriteEngine", "RewritEngine"),
        about("RewritEngine")
    );
}

#[test]
fn t_warns_of_what_bites_and_compat_says_what_would_be_refused() {
    let site = Site::new("event").conf("<Directory ROOT/no>\n</Directory>");
    let said = run_with(&site.write_conf(), &["-t"]);
    assert_eq!(said.code, Some(0));
    assert!(said.stderr.contains("<Directory> never matches: there is no "), "{}", said.stderr);
    assert!(said.stderr.ends_with("\nSyntax OK\n"), "{}", said.stderr);
    let conf = site.write_conf();
    let said = run_with(&conf, &["-t", "--compat"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "Nothing would be refused.\n"));
    let said = run_with(&conf, &["-t", "--compat", "-c", "ProxyPass /x http://localhost/"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stdout.contains("    -c:1: ProxyPass /x http://localhost/\n"), "{}", said.stdout);
    assert!(said.stdout.ends_with("\n1 line would be refused.\n"), "{}", said.stdout);
    assert_eq!(said.stderr, "");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let said = run(["-f", "/nowhere/httpd.conf", "-t"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("/nowhere/httpd.conf"), "{}", said.stderr);
    assert!(said.stderr.contains("No such file"), "{}", said.stderr);
}

#[test]
fn directives_of_the_command_line_stand_before_and_after_the_file() {
    let site = Site::new("event").conf("Include ${FOLDER}/*.conf");
    let conf = site.write_conf();
    let folder = site.root().display();
    let define = format!("Define FOLDER {folder}/none");
    let said = run_with(&conf, &["-C", &define, "-t"]);
    assert!(said.stderr.contains("none"), "the pattern matches nothing: {}", said.stderr);
    std::fs::create_dir(site.root().join("none")).unwrap();
    std::fs::write(site.root().join("none/a.conf"), "ServerAdmin a@b\n").unwrap();
    let said = run_with(&conf, &["-C", &define, "-c", "KeepAlive perhaps", "-t"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("KeepAlive"), "{}", said.stderr);
    assert_eq!(run_with(&conf, &["-C", &define, "-t"]).code, Some(0));
}

#[test]
fn a_define_of_the_command_line_opens_its_sections() {
    let site = Site::new("event").conf("<IfDefine BROKEN>\nNoSuchDirective\n</IfDefine>");
    let conf = site.write_conf();
    assert_eq!(run_with(&conf, &["-t"]).code, Some(0));
    assert_eq!(run_with(&conf, &["-D", "BROKEN", "-t"]).code, Some(1));
}

#[test]
fn versions_modules_and_usage() {
    let version = run(["-v"]);
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.contains("Herdgate/0.1.0"), "{}", version.stdout);
    let compiled = run(["-l"]);
    assert_eq!(compiled.code, Some(0));
    assert!(compiled.stdout.contains("mod_dir.c"), "{}", compiled.stdout);
    let site = Site::new("worker");
    let loaded = run_with(&site.write_conf(), &["-M"]);
    assert_eq!(loaded.code, Some(0));
    assert!(loaded.stdout.contains("mpm_worker_module"), "{}", loaded.stdout);
    assert!(!loaded.stdout.contains("mpm_event_module"), "{}", loaded.stdout);
    let help = run(["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("serve"), "{}", help.stdout);
    for wrong in [&["-k", "dance"][..], &["--no-such-option"]] {
        let said = run(wrong.iter().copied());
        assert_eq!(said.code, Some(1), "{wrong:?}");
        assert_ne!(said.stderr, "", "{wrong:?}");
    }
}

#[test]
fn a_port_in_use_is_one_clear_line_and_exit_code_1() {
    let taken = taken_port();
    let address = taken.local_addr().unwrap();
    for model in MODELS {
        let site = Site::new(model).conf(&format!("Listen {address}"));
        let said = run_with(&site.write_conf(), &["-D", "FOREGROUND"]);
        assert_eq!(said.code, Some(1), "{model}");
        assert!(said.stderr.contains("Address already in use"), "{}", said.stderr);
        assert!(said.stderr.contains(&address.to_string()), "{}", said.stderr);
        assert!(!site.root().join("logs/herdgate.pid").exists());
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_named() {
    let site = Site::new("event").conf("ErrorLog ROOT/httpd.conf/error_log");
    let said = run_with(&site.write_conf(), &["-D", "FOREGROUND"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("httpd.conf/error_log"), "{}", said.stderr);
}

#[test]
fn a_missing_document_root_is_a_warning() {
    let site = Site::new("event").conf("DocumentRoot ROOT/nowhere");
    let said = run_with(&site.write_conf(), &["-t"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("nowhere"), "{}", said.stderr);
}

/// A server in the background, known by its pid file only.
struct Background<'a> {
    conf: &'a Path,
    pid_file: std::path::PathBuf,
}

impl Background<'_> {
    fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(&self.pid_file).ok()?;
        Some(Pid::from_raw(text.trim().parse().ok()?))
    }

    fn control(&self, command: &str) -> crate::support::command::Said {
        run_with(self.conf, &["-k", command])
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().filter(|pid| is_alive(*pid)) {
            let _ = kill(pid, Signal::SIGTERM);
            let _ = wait_for(|| (!is_alive(pid)).then_some(()));
        }
    }
}

#[test]
fn k_controls_a_server_in_the_background() {
    for model in MODELS {
        let site = Site::new(model);
        let conf = site.write_conf();
        let server = Background { conf: &conf, pid_file: site.root().join("logs/herdgate.pid") };
        let log =
            || std::fs::read_to_string(site.root().join("logs/error_log")).unwrap_or_default();
        let generations = || log().matches("resuming normal operations").count();

        let said = server.control("stop");
        assert_eq!(said.code, Some(0));
        assert!(said.stdout.contains("not running"), "{}", said.stdout);

        let said = server.control("start");
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{model}");
        wait_until("it serves", || generations() == 1);
        let pid = server.pid().expect("a pid file");
        let log_now = log();
        let address = log_now.split_once("listening on ").unwrap().1;
        let address = address.split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(Client::connect(address).get("/").status, 200);

        let said = server.control("start");
        assert_eq!(said.code, Some(0));
        assert!(said.stderr.contains(&format!("(pid {pid}) already running")), "{}", said.stderr);

        for (command, generation) in [("graceful", 2), ("restart", 3)] {
            assert_eq!(server.control(command).code, Some(0), "{command}");
            wait_until(command, || generations() == generation);
            assert_eq!(server.pid(), Some(pid), "{command}");
        }

        // A mistake in the file: nothing is sent.
        std::fs::write(&conf, "NoSuchDirective\n").unwrap();
        assert_eq!(server.control("stop").code, Some(1));
        assert!(is_alive(pid));
        site.write_conf();

        let command = if model == "event" { "graceful-stop" } else { "stop" };
        assert_eq!(server.control(command).code, Some(0));
        wait_until("it has ended", || !is_alive(pid));
        assert!(!server.pid_file.exists());
    }
}

#[test]
fn a_pid_file_of_a_dead_server_does_not_keep_a_new_one_from_starting() {
    let site = Site::new("event").beside("logs/herdgate.pid", "4194305\n"); // Above the kernel's largest.
    let server = site.start();
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.text("logs/herdgate.pid"), format!("{}\n", server.pid()));
}

#[test]
fn ctrl_c_stops_a_server_in_the_foreground() {
    for model in MODELS {
        let mut server = Site::new(model).start();
        assert_eq!(server.get("/").status, 200);
        server.signal(Signal::SIGINT);
        assert_eq!(server.wait_for_the_end().code(), Some(0));
    }
}

#[test]
fn x_serves_in_one_process_and_leaves_nothing_behind() {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};
    for (model, signal) in
        MODELS.into_iter().zip([Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT])
    {
        let site = Site::new(model).conf("Listen unix:ROOT/web.sock");
        let conf = site.write_conf();
        let mut process = Command::new(crate::support::command::herdgate())
            .args(["-X", "-f"])
            .arg(conf)
            .current_dir(site.root()) // Where a core would go.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let log = site.root().join("logs/error_log");
        let address = wait_for(|| {
            let log = std::fs::read_to_string(&log).ok()?;
            log.split_once("listening on ")?.1.split_once('\n')?.0.trim().parse().ok()
        });
        let pid = Pid::from_raw(process.id().cast_signed());
        let answer = address.map(|address| Client::connect(address).get("/").status);
        let children = crate::support::processes::children_of(pid);
        let left_behind = || {
            let folders = [site.root().to_owned(), site.root().join("logs")];
            let files = folders.into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
            let names = files.map(|file| file.unwrap().path());
            let is_live = |name: &Path| {
                name.extension().is_some_and(|word| word == "sock" || word == "scoreboard")
            };
            names.filter(|name| is_live(name)).count()
        };
        let there = left_behind();
        kill(pid, signal).unwrap();
        let ended = process.wait().unwrap();
        assert_eq!((answer, children.len(), there), (Some(200), 0, 2), "{model}");
        assert_eq!(ended.signal(), Some(signal as i32), "{model}: as any program dies of it");
        assert_eq!(left_behind(), 0, "{model}");
    }
}
