//! Which gate stands before accept, and what the log says about it. What gates do is tested beside them, in `mpm`.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::on_every_mpm;
use crate::support::command::run;
use crate::support::{Server, wait_until};

on_every_mpm!(the_gate_and_its_reason_are_said, |site| site.conf("LogLevel info"), |server| {
    let line = server.wait_for_error("exclusive wakeups");
    assert!(line.contains("because no Mutex line names a mechanism for mpm-accept"), "{line}");
});

on_every_mpm!(
    every_accept_mutex_serves,
    |site| site.conf("LogLevel info\nAcceptSerialization Off"),
    |server| {
        let line = server.wait_for_error("no gate");
        assert!(line.contains("because AcceptSerialization says Off"), "{line}");
        for mechanism in ["pthread", "fcntl", "flock", "sysvsem", "posixsem"] {
            server.rewrite_conf(&format!("LogLevel info\nMutex {mechanism} mpm-accept"));
            server.graceful_restart();
            let line = server.wait_for_error(&format!("accept mutex by {mechanism}"));
            assert!(line.contains("because a Mutex line names a mechanism"), "{line}");
            assert_eq!(server.get("/").status, 200, "{mechanism}");
        }
    }
);

on_every_mpm!(
    a_counted_gate_serves,
    |site| site.conf("LogLevel info\nAcceptSerialization 2"),
    |server| {
        server.wait_for_error("counted gate by sysvsem: 2 at once");
        assert_eq!(server.get("/").status, 200);
    }
);

on_every_mpm!(
    the_supervisor_opens_a_gate_that_the_kernel_does_not,
    |site| site.conf("LogLevel info\nMutex posixsem mpm-accept"),
    |server| {
        // Nearly always one of them stands inside. Between the look and the kill it may have gone.
        wait_until("somebody was killed inside", || {
            assert_eq!(server.get("/").status, 200);
            child_inside(&server).into_iter().for_each(kill_if_there);
            assert_eq!(server.get("/").status, 200);
            server.error_log().contains("died inside the accept gate, which is open again")
        });
    }
);

/// Who stands inside the gate, as the scoreboard says.
fn child_inside(server: &Server) -> Option<Pid> {
    let conf = server.path("httpd.conf");
    let json = run(["top", "-i", "0", "--json", "-f", conf.to_str().unwrap()]).stdout;
    let mut children = json.split("{\"pid\":").skip(1);
    let inside = children.find(|child| child.contains("\"at_gate\":\"inside\""))?;
    inside.split(',').next()?.parse().ok().map(Pid::from_raw)
}

fn kill_if_there(child: Pid) {
    // It may have died by itself since it was listed.
    let _ = kill(child, Signal::SIGKILL);
}
