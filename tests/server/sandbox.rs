//! What children give up before they serve, and what they can serve all the same. That each forbidden thing fails is
//! tried where it is forbidden: in `herdgate-sys`.

use std::fs;
use std::os::unix::fs::symlink;

use herdgate_sys::sandbox::{Offer, offer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::on_every_mpm;
use crate::support::processes::status;
use crate::support::{MODELS, Server, Site, not_allowed, skipped, wait_for, wait_until};

const STATUS: &str =
    "<Location /server-status>\nSetHandler server-status\nRequire local\n</Location>";
/// bob, with the password `secret`, and what his browser sends.
const USERS: &str = "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";
const BOB: &str = "Authorization: Basic Ym9iOnNlY3JldA==";

/// Says so where this kernel cannot do all of it.
fn kernel_can() -> bool {
    let can = matches!(offer(), Offer { landlock: Some(_), seccomp: true });
    if !can {
        not_allowed("this kernel has no Landlock, or no seccomp filters");
    }
    can
}

fn sandbox_line(server: &Server) -> String {
    let text = server.get("/server-status?auto").text();
    text.lines().find(|line| line.starts_with("Sandbox: ")).expect("a line").to_owned()
}

/// How many filters run for each system call of a process.
fn filters(pid: Pid) -> u32 {
    status(pid, "Seccomp_filters").parse().unwrap()
}

on_every_mpm!(children_give_up_what_serving_does_not_need, |site| site.conf(STATUS), |server| {
    if !offer().seccomp {
        return not_allowed("this kernel has no seccomp filters");
    }
    let line = sandbox_line(&server);
    assert!(line.starts_with("Sandbox: Auto: children may read, and not "), "{line}");
    assert!(line.contains("execute or connect ("), "{line}");
    let page = server.get("/server-status").text();
    assert!(page.contains(&format!("<dt>{line}</dt>")), "{page}");
    for child in server.children() {
        let inherited = filters(server.pid());
        wait_until("a child gives up", || filters(child) == inherited + 2);
        assert_eq!(status(child, "NoNewPrivs"), "1");
    }
});

on_every_mpm!(
    sandbox_off_gives_up_nothing,
    |site| site.conf(STATUS).conf("Sandbox Off"),
    |server| {
        assert_eq!(sandbox_line(&server), "Sandbox: Off: children may do what their user may do");
        for child in server.children() {
            assert_eq!(status(child, "Seccomp"), status(server.pid(), "Seccomp"));
            assert_eq!(status(child, "NoNewPrivs"), status(server.pid(), "NoNewPrivs"));
        }
    }
);

mod everything_that_is_configured_is_served_under_sandbox_on {
    use super::*;

    fn on(model: &'static str) {
        if !kernel_can() {
            return;
        }
        let site = Site::new(model)
            .file("listed/one.txt", "1")
            .file("sorry.html", "<p>sorry")
            .file("members/page.txt", "for members")
            .file("members/.htaccess", "AuthType Basic\nAuthName x\nAuthUserFile users\nRequire valid-user\n")
            .file("strangers/page.txt", "for nobody")
            .file(
                "strangers/.htaccess",
                "AuthType Basic\nAuthName x\nAuthUserFile elsewhere/users\nRequire valid-user\n",
            )
            .beside("users", USERS)
            .beside("elsewhere/users", USERS)
            .beside("elsewhere/page.txt", "elsewhere")
            .beside("more/page.txt", "more")
            .beside("homes/anna/www/page.txt", "anna's")
            .beside("patterns/x/page.txt", "by pattern")
            .beside("map", "old new\n")
            .beside("let/page.txt", "let in")
            .conf(STATUS)
            .conf(
                "Sandbox On\nSandboxRead let\n\
                 <Directory />\nAllowOverride AuthConfig\nOptions +Indexes +FollowSymLinks\nRequire all granted\n</Directory>\n\
                 ErrorDocument 404 /sorry.html\n\
                 Alias /more ROOT/more\nAliasMatch ^/by/(.*)$ ROOT/patterns/$1\n\
                 UserDir ROOT/homes/*/www\n\
                 <Location /members2>\nAuthType Basic\nAuthName x\nAuthUserFile users\nRequire valid-user\n</Location>\n\
                 RewriteEngine On\nRewriteMap names txt:ROOT/map\nRewriteRule ^/mapped/(.*)$ /more/${names:$1}.txt [PT]",
            )
            .beside("more/new.txt", "mapped");
        symlink("../elsewhere/page.txt", site.root().join("htdocs/out.txt")).unwrap();
        symlink("../let/page.txt", site.root().join("htdocs/in.txt")).unwrap();
        serves(&site.start());
    }

    fn serves(server: &Server) {
        let text = |path: &str| server.get(path).text();
        assert!(text("/").contains("It works!"));
        assert!(text("/listed/").contains("one.txt"));
        assert_eq!((server.get("/no").status, text("/no").as_str()), (404, "<p>sorry"));
        assert_eq!(text("/more/page.txt"), "more");
        assert_eq!(text("/by/x/page.txt"), "by pattern");
        assert_eq!(text("/~anna/page.txt"), "anna's");
        assert_eq!(text("/mapped/old"), "mapped");
        assert_eq!(text("/in.txt"), "let in");
        assert_eq!(server.get("/members/page.txt").status, 401);
        assert_eq!(server.get_with("/members/page.txt", &[BOB]).text(), "for members");
        assert!(sandbox_line(server).starts_with("Sandbox: On: children may read "));

        // What nobody has configured: the way out of the tree, and a file of passwords that only a .htaccess file names.
        assert_eq!(server.get("/out.txt").status, 403);
        assert_eq!(server.get_with("/strangers/page.txt", &[BOB]).status, 500);
    }

    #[test]
    fn prefork() {
        on("prefork");
    }

    #[test]
    fn worker() {
        on("worker");
    }

    #[test]
    fn event() {
        on("event");
    }
}

on_every_mpm!(
    logs_are_opened_anew_by_the_supervisor_and_written_by_children,
    |site| site.conf(if kernel_can() { "Sandbox On" } else { "" }),
    |server| {
        assert_eq!(server.get("/").status, 200);
        server.wait_for_access("GET / ");
        fs::rename(server.path("logs/access_log"), server.path("logs/old")).unwrap();
        server.graceful_restart_to_the_end();
        assert_eq!(server.get("/?again").status, 200);
        server.wait_for_access("GET /?again");
    }
);

on_every_mpm!(
    a_name_is_asked_for_where_the_configuration_says_so,
    |site| site
        .conf(STATUS)
        .conf(if kernel_can() { "Sandbox On" } else { "" })
        .conf("HostnameLookups On"),
    |server| {
        let Ok(Some(name)) = herdgate_sys::net::name_of(server.address().ip()) else {
            return skipped("127.0.0.1 has no name here");
        };
        assert_eq!(server.get("/").status, 200);
        let line = server.wait_for_access("GET / ");
        assert!(line.starts_with(&format!("{} - - [", name.to_ascii_lowercase())), "{line}");
        assert!(sandbox_line(&server).contains("ask the resolver (HostnameLookups, "));
    }
);

on_every_mpm!(
    an_accept_mutex_by_flock_works_inside,
    |site| site.conf("AcceptSerialization On\nMutex flock").conf(if kernel_can() {
        "Sandbox On"
    } else {
        ""
    }),
    |server| {
        for _ in 0..8 {
            assert_eq!(server.get("/").status, 200);
        }
    }
);

#[test]
fn x_serves_in_the_sandbox_and_its_watcher_stays_outside() {
    if !kernel_can() {
        return;
    }
    for model in MODELS {
        let site = Site::new(model).conf("Sandbox On");
        let conf = site.write_conf();
        let mut process = std::process::Command::new(crate::support::command::herdgate())
            .args(["-X", "-f"])
            .arg(conf)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(process.id().cast_signed());
        let log = site.root().join("logs/error_log");
        let address = wait_for(|| {
            let log = fs::read_to_string(&log).ok()?;
            log.split_once("listening on ")?.1.split_once('\n')?.0.trim().parse().ok()
        });
        let answer = address.map(|at| crate::support::client::Client::connect(at).get("/").status);
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let filters: Vec<u32> = threads
            .map(|thread| {
                let thread = thread.unwrap().file_name().into_string().unwrap();
                filters(Pid::from_raw(thread.parse().unwrap()))
            })
            .collect();
        kill(pid, Signal::SIGTERM).unwrap();
        process.wait().unwrap();
        assert_eq!(answer, Some(200), "{model}");
        let fewest = filters.iter().min().unwrap();
        let outside = filters.iter().filter(|count| *count == fewest).count();
        assert_eq!(outside, 1, "{model}: of {filters:?}, only the watcher");
    }
}
