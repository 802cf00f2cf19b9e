//! Whether the server behind a scoreboard lives: told from what it wrote about itself, and from what the kernel knows.
//!
//! ```text
//!   in the file        pid · start ticks · boot id · pid namespace · beat (once a second) · stage
//!   from the kernel    the same boot?  the same namespace?  a process with that pid, begun at that tick?
//! ```
//!
//! A pid alone proves nothing: it may belong to somebody else by now. With the tick at which its process began it is
//! unique for one life of the machine, and the boot id names that life.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use super::Stage;
use super::reader::Server;
use crate::Moment;

/// A supervisor beats once a second. Who is silent for longer is stuck, stopped, or busy with a slow reload.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Its supervisor lives and looks around.
    Well,
    /// Its supervisor's process is there, but has not looked around for so long.
    Silent(Duration),
    /// It ended without a word: killed, or crashed.
    Dead,
    /// It ended as it should.
    Over,
}

/// What the kernel says about the process that a scoreboard names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Now.
    pub now: Moment,
    /// The machine's present life; 0 if the kernel does not tell.
    pub boot: u64,
    /// Our own pid namespace; 0 if the kernel does not tell.
    pub pid_namespace: u64,
    /// When the process with that pid began, if one lives.
    pub start_ticks: Option<u64>,
}

impl Facts {
    /// Asks the kernel about the process that `server` names.
    #[must_use]
    pub fn about(server: &Server) -> Self {
        Self {
            now: Moment::now(),
            boot: boot(),
            pid_namespace: pid_namespace(),
            start_ticks: start_ticks(server.pid),
        }
    }
}

impl Life {
    /// Judges by what the server wrote and what the kernel knows.
    #[must_use]
    pub fn of(server: &Server, facts: &Facts) -> Self {
        if server.stage == Stage::Over {
            return Self::Over;
        }
        if server.boot != facts.boot {
            return Self::Dead; // The machine has been started anew since.
        }
        if server.pid_namespace == facts.pid_namespace
            && facts.start_ticks != Some(server.start_ticks)
        {
            return Self::Dead;
        }
        // In a container whose processes we cannot see, its beat is all that there is to go by.
        match server.beat {
            Some(beat) if facts.now.since(beat) > SILENCE_MAX => {
                Self::Silent(facts.now.since(beat))
            }
            Some(_) | None => Self::Well,
        }
    }
}

/// When a living process began, in clock ticks since the machine's start. proc(5), `/proc/PID/stat`, fields 3 and 22.
pub(super) fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// The name stands in parentheses and may hold anything, parentheses included.
fn parse_stat(stat: &str) -> Option<u64> {
    const STATE: usize = 0;
    const START: usize = 22 - 3;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let is_dead = matches!(*fields.get(STATE)?, "Z" | "X"); // Nobody has reaped it yet.
    if is_dead { None } else { fields.get(START)?.parse().ok() }
}

/// The machine's present life, as a number: 0 if the kernel does not tell. random(4).
pub(super) fn boot() -> u64 {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

/// Our pid namespace: 0 if the kernel does not tell. pid_namespaces(7).
pub(super) fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1000;

    fn server() -> Server {
        Server {
            pid: 100,
            start_ticks: 7,
            boot: 1,
            pid_namespace: 2,
            stage: Stage::Serving,
            beat: Some(at(100 * SECOND)),
            ..Server::default()
        }
    }

    fn facts() -> Facts {
        Facts { now: at(101 * SECOND), boot: 1, pid_namespace: 2, start_ticks: Some(7) }
    }

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn a_server_is_judged_by_its_words_and_the_kernels() {
        let check = |server: Server, facts: Facts, expected| {
            assert_eq!(Life::of(&server, &facts), expected, "{server:?} {facts:?}");
        };
        check(server(), facts(), Life::Well);
        check(server(), Facts { start_ticks: None, ..facts() }, Life::Dead);
        check(server(), Facts { start_ticks: Some(8), ..facts() }, Life::Dead);
        check(server(), Facts { boot: 9, ..facts() }, Life::Dead);
        check(Server { stage: Stage::Over, ..server() }, facts(), Life::Over);
        let late = Facts { now: at(110 * SECOND), ..facts() };
        check(server(), late, Life::Silent(Duration::from_secs(10)));
        check(Server { beat: None, ..server() }, late, Life::Well);
        let elsewhere = Facts { pid_namespace: 3, start_ticks: None, ..facts() };
        check(server(), elsewhere, Life::Well);
        check(server(), Facts { start_ticks: None, ..late }, Life::Dead);
    }

    #[test]
    fn stat_is_read_behind_the_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_stat(&format!("42 (a) b) {fields}")), Some(4711));
        assert_eq!(parse_stat(&format!("42 (dead) {}", fields.replace('S', "Z"))), None);
        assert_eq!(parse_stat("42 (cut) S 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn the_kernel_tells_about_ourselves() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(start_ticks(pid).is_some());
        assert_eq!(start_ticks(0), None);
        assert_ne!(pid_namespace(), 0);
    }
}
