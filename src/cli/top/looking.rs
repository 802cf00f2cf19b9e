//! Looking: a scoreboard, and /proc for the processes that it names.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use herdgate_mpm::scoreboard::reader::{Facts, Life, ReadError, Reader};
use nix::unistd::{SysconfVar, sysconf};

use super::view::{Look, Process};

/// A scoreboard that is looked at again and again, whatever becomes of its server.
#[derive(Debug)]
pub(super) struct Watch {
    reader: Reader,
    /// The file is there no more.
    removed: bool,
}

impl Watch {
    /// Opens a scoreboard.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        Ok(Self { reader: Reader::open(path)?, removed: false })
    }

    /// Looks. A server that has started anew is followed to its new file; one that has gone is shown as it was.
    pub(super) fn look(&mut self, with_pss: bool) -> Look {
        if !self.reader.is_current() {
            match Reader::open(self.reader.path()) {
                Ok(reader) => (self.reader, self.removed) = (reader, false),
                Err(_) => self.removed = true,
            }
        }
        let snapshot = self.reader.snapshot();
        let life = match self.reader.life() {
            Life::Dead if self.removed => Life::Over, // Somebody has cleaned up after a crash.
            life @ (Life::Well | Life::Silent(_) | Life::Dead | Life::Over) => life,
        };
        let pids = snapshot.children.iter().map(|child| child.pid).chain([snapshot.server.pid]);
        // Children that outlive their supervisor finish. Who is older than it has got a dead child's pid.
        let server = &snapshot.server;
        let in_sight = life != Life::Dead || server.boot == Facts::about(server).boot;
        let processes: HashMap<i32, Process> = pids
            .filter(|pid| *pid > 0 && in_sight)
            .filter_map(|pid| Some((pid, process(pid, with_pss)?)))
            .filter(|(_, process)| process.began_ticks >= server.start_ticks)
            .collect();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Look {
            path: self.reader.path().to_owned(),
            unix_secs: unix.as_secs(),
            life,
            snapshot,
            processes,
        }
    }
}

/// `None`: there is no such process, or nobody has reaped it.
fn process(pid: i32, with_pss: bool) -> Option<Process> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    if matches!(state, 'Z' | 'X') {
        return None;
    }
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let pss = with_pss.then(|| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok());
    Some(Process {
        rss: pages * sysconf_number(SysconfVar::PAGE_SIZE, 4096),
        pss: pss.flatten().and_then(|rollup| pss_of(&rollup)),
        cpu: cpu_of(&stat, sysconf_number(SysconfVar::CLK_TCK, 100))?,
        began_ticks: field_of(&stat, 22)?,
    })
}

fn sysconf_number(name: SysconfVar, usual: u64) -> u64 {
    sysconf(name).ok().flatten().and_then(|number| u64::try_from(number).ok()).unwrap_or(usual)
}

/// proc_pid_smaps(5), in bytes.
fn pss_of(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// utime and stime.
fn cpu_of(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let ticks = field_of(stat, 14)? + field_of(stat, 15)?;
    Some(Duration::from_millis(ticks * 1000 / ticks_per_second.max(1)))
}

/// A field of proc_pid_stat(5), by its number there. The second one may hold spaces and parentheses.
fn field_of(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_its_manual_says() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14";
        assert_eq!(cpu_of(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("42 (cut", 100), None);
        assert_eq!(pss_of("Rss: 9 kB\nPss:      12 kB\nPss_Dirty: 1 kB\n"), Some(12 * 1024));
        let own = process(i32::try_from(std::process::id()).unwrap(), true).unwrap();
        assert!(own.rss > 0 && own.pss.is_some_and(|pss| pss > 0));
        assert_eq!(process(i32::MAX, false), None);
    }
}
