//! `-S`, `-M` and `-D DUMP_…` print what httpd prints.

use crate::support::Site;
use crate::support::command::{Said, run_with};

fn site() -> Site {
    Site::new("event")
        .beside(
            "more/b.conf",
            "<VirtualHost 127.0.0.1:8181>\n\
             ServerName one.example\n\
             ServerAlias o1 *.o\n\
             </VirtualHost>\n\
             Include more/c.inc\n",
        )
        .beside(
            "more/c.inc",
            "<VirtualHost 127.0.0.1:8181 *:*>\n\
             ServerName two.example\n\
             </VirtualHost>\n\
             <VirtualHost [::1]:80 _default_:*>\n\
             ServerName three\n\
             </VirtualHost>\n",
        )
        .conf("Define FOO bar\nMutex fcntl:logs default OmitPID\nInclude more/*.conf")
}

#[track_caller]
fn check(said: &Said, expected: &[&str], root: &str) {
    let expected: Vec<String> = expected.iter().map(|line| line.replace("ROOT", root)).collect();
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines, expected, "{}", said.stderr);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
}

const HOSTS: [&str; 10] = [
    "VirtualHost configuration:",
    "127.0.0.1:8181         is a NameVirtualHost",
    "         default server one.example (ROOT/more/b.conf:1)",
    "         port 8181 namevhost one.example (ROOT/more/b.conf:1)",
    "                 alias o1",
    "                 wild alias *.o",
    "         port 8181 namevhost two.example (ROOT/more/c.inc:1)",
    "[::1]:80               three (ROOT/more/c.inc:4)",
    "*:*                    is a NameVirtualHost",
    "         default server two.example (ROOT/more/c.inc:1)",
];
const MORE_HOSTS: [&str; 2] = [
    "         port * namevhost two.example (ROOT/more/c.inc:1)",
    "         port * namevhost three (ROOT/more/c.inc:4)",
];

#[test]
fn s_shows_hosts_and_what_the_server_would_run_with() {
    let site = site();
    let conf = site.write_conf();
    let root = site.root().display().to_string();
    let hosts: Vec<&str> = HOSTS.into_iter().chain(MORE_HOSTS).collect();
    check(&run_with(&conf, &["-t", "-D", "DUMP_VHOSTS"]), &hosts, &root);

    let said = run_with(&conf, &["-S"]);
    let users = said.stdout.split_once("User: ").map_or(0, |(_, users)| users.lines().count());
    let lines = said.stdout.lines().count() - users;
    let sandbox = |line: &&str| line.starts_with("Sandbox: Auto: "); // Our own; what follows is the kernel's to say.
    assert_eq!(said.stdout.lines().filter(sandbox).count(), 1, "{}", said.stdout);
    let kept = said.stdout.lines().take(lines).filter(|line| !sandbox(line));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    let without_users = Said { stdout: kept, ..said };
    let running = [
        "ServerRoot: \"ROOT\"",
        "Main DocumentRoot: \"ROOT/htdocs\"",
        "Main ErrorLog: \"ROOT/logs/error_log\"",
        "Mutex default: dir=\"ROOT/logs\" mechanism=fcntl [OmitPid]",
        "Mutex mpm-accept: using_defaults",
        "PidFile: \"ROOT/logs/herdgate.pid\"",
        "Define: DUMP_RUN_CFG",
        "Define: DUMP_VHOSTS",
        "Define: FOO=bar",
    ];
    let all: Vec<&str> = hosts.into_iter().chain(running).collect();
    check(&without_users, &all, &root);
}

#[test]
fn included_files_are_shown_below_each_other() {
    let site = site();
    let conf = site.write_conf();
    let text = std::fs::read_to_string(&conf).unwrap();
    let line = text.lines().position(|line| line.starts_with("Include")).unwrap() + 1;
    let expected = [
        "Included configuration files:".to_owned(),
        "  (*) ROOT/httpd.conf".to_owned(),
        format!("    ({line}) ROOT/more/b.conf"),
        "      (5) ROOT/more/c.inc".to_owned(),
    ];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let root = site.root().display().to_string();
    check(&run_with(&conf, &["-D", "DUMP_INCLUDES"]), &expected, &root);
    // With mistakes, too: it helps to find them.
    std::fs::write(&conf, format!("{text}\nNoSuchDirective\n")).unwrap();
    let said = run_with(&conf, &["-t", "-D", "DUMP_INCLUDES"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(said.stdout.lines().count(), 4, "{}", said.stdout);
}

#[test]
fn the_limits_are_shown_with_their_arithmetic() {
    let site = Site::new("event").conf("ListenBuckets 2");
    let said = run_with(&site.write_conf(), &["-D", "DUMP_LIMITS"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("MaxRequestWorkers: 32 (4 children)"), "{}", said.stdout);
    assert!(said.stdout.contains("MinSpare: 10\nMaxSpare: 32"), "{}", said.stdout);
}
