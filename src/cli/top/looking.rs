//! Looking: a scoreboard, and /proc for the processes that it names.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use herdgate_mpm::scoreboard::reader::{Facts, Life, ReadError, Reader};
use nix::unistd::SysconfVar;

use super::view::{Look, Process};
use crate::proc::{Stat, sysconf_number};

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
    let stat = Stat::of(pid).filter(|stat| !stat.is_over)?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let pss = with_pss.then(|| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok());
    Some(Process {
        rss: pages * sysconf_number(SysconfVar::PAGE_SIZE, 4096),
        pss: pss.flatten().and_then(|rollup| pss_of(&rollup)),
        cpu: stat.user + stat.system,
        began_ticks: stat.began_ticks,
    })
}

/// proc_pid_smaps(5), in bytes.
fn pss_of(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_its_manual_says() {
        assert_eq!(pss_of("Rss: 9 kB\nPss:      12 kB\nPss_Dirty: 1 kB\n"), Some(12 * 1024));
        let own = process(i32::try_from(std::process::id()).unwrap(), true).unwrap();
        assert!(own.rss > 0 && own.pss.is_some_and(|pss| pss > 0));
        assert_eq!(process(i32::MAX, false), None);
    }
}
