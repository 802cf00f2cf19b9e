//! # A memory cgroup of its own for a server
//!
//! Made at the top of the mounted hierarchy, version 2 where the memory controller is there, else version 1
//! (cgroups(7)). That needs root, and a machine that lends its root the right. [`Group::make`] says why not.
//! Dropping it removes the group, once the last process in it has been reaped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{command, wait_for};

/// An empty group with a limit.
pub(crate) struct Group {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Group {
    /// # Errors
    /// Why there can be none, for people.
    pub(crate) fn make(limit: u64) -> Result<Self, String> {
        let top = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(top.join("cgroup.controllers")).unwrap_or_default();
        let (version, top) = if controllers.split_whitespace().any(|one| one == "memory") {
            let handed_down = fs::read_to_string(top.join("cgroup.subtree_control"));
            if !handed_down.is_ok_and(|list| list.split_whitespace().any(|one| one == "memory")) {
                return Err("the memory controller stops at the top".to_owned());
            }
            (Version::Two, top.to_owned())
        } else {
            (Version::One, top.join("memory"))
        };
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = top.join(format!("herdgate-test-{}-{number}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let group = Self { folder, version };
        let file = group.file("memory.limit_in_bytes", "memory.max");
        write(&group.folder.join(file), &limit.to_string())?;
        Ok(group)
    }

    /// A command that enters the group and becomes the binary under test.
    pub(crate) fn command(&self) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
        shell.arg(self.folder.join("cgroup.procs")).arg(command::herdgate());
        // The program's pages are charged to whoever reads them first: that should not be the group.
        drop(fs::read(command::herdgate()));
        shell
    }

    /// The most bytes that were ever in use.
    pub(crate) fn peak(&self) -> u64 {
        // Linux before 5.19 does not keep it for version 2.
        let peak = self.read(self.file("memory.max_usage_in_bytes", "memory.peak"));
        let peak = peak.or_else(|| self.read("memory.current")).expect("the group tells");
        peak.trim().parse().unwrap()
    }

    /// What must not happen in a group that has room: how often its limit was met, and who was killed for it.
    pub(crate) fn troubles(&self) -> String {
        let events = self.read(self.file("memory.oom_control", "memory.events"));
        let events = events.expect("the group tells");
        let bad = events.lines().filter(|line| {
            let (name, count) = line.split_once(' ').unwrap_or((line, ""));
            matches!(name, "max" | "oom" | "oom_kill" | "under_oom") && count != "0"
        });
        let mut troubles: Vec<String> = bad.map(str::to_owned).collect();
        let met = self.read("memory.failcnt").filter(|count| count.trim() != "0"); // Version 1 only.
        troubles.extend(met.map(|count| format!("failcnt {}", count.trim())));
        troubles.join(", ")
    }

    fn file(&self, one: &'static str, two: &'static str) -> &'static str {
        if self.version == Version::One { one } else { two }
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Busy, until the kernel has forgotten the last process.
        let removed = wait_for(|| fs::remove_dir(&self.folder).ok());
        assert!(removed.is_some() || std::thread::panicking(), "{} stays", self.folder.display());
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
