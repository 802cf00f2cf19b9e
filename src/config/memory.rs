//! `MaxRequestWorkers auto`: as many workers as the memory has room for, so that the server queues rather than swaps.
//!
//! ```text
//!   limit of the cgroup, or all memory  ─ reserve ─▶ for children ÷ one child's size ─▶ children × threads ─▶ workers
//! ```
//!
//! - Before anything has run, a child's size is a stated estimate. The supervisor measures from then on.
//! - What is read from the kernel is text, so the arithmetic is pure and tested.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::geometry::Model;

/// A child's anonymous memory before it has been measured, without its threads.
const CHILD_BYTES: u64 = 3 << 20;
/// What a thread adds: the touched part of its stack, its buffers.
const THREAD_BYTES: u64 = 192 << 10;
/// Left to the supervisor, the page cache and everybody else: a tenth of the memory, and not less than this.
const RESERVE_BYTES_MIN: u64 = 32 << 20;

/// The arithmetic, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// What there is, in bytes.
    pub available: u64,
    /// Whether a cgroup says so, or the machine.
    pub by_cgroup: bool,
    /// What is left alone.
    pub reserve: u64,
    /// What a child is taken to need.
    pub child: u64,
    /// How many threads each child has.
    pub threads: u32,
    /// How many workers that makes, before `ServerLimit` cuts it.
    pub workers: u32,
}

impl MemoryPlan {
    /// The plan for this machine, or this container.
    pub fn of_this_machine(model: Model, threads: u32) -> MemoryPlan {
        let (available, by_cgroup) = available(Path::new("/"));
        Self::new(available, by_cgroup, model, threads)
    }

    fn new(available: u64, by_cgroup: bool, model: Model, threads: u32) -> MemoryPlan {
        let reserve = (available / 10).max(RESERVE_BYTES_MIN).min(available);
        let child = match model {
            Model::Prefork => CHILD_BYTES,
            Model::Worker | Model::Event => CHILD_BYTES + u64::from(threads) * THREAD_BYTES,
        };
        let children = ((available - reserve) / child).max(1); // One child there must be.
        let workers =
            u32::try_from(children.saturating_mul(u64::from(threads))).unwrap_or(u32::MAX);
        MemoryPlan { available, by_cgroup, reserve, child, threads, workers }
    }

    /// What the children may have together.
    pub fn for_children(&self) -> u64 {
        self.available - self.reserve
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryPlan { threads, workers, .. } = self;
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let whose = if self.by_cgroup { "the cgroup's limit" } else { "the machine's memory" };
        write!(
            f,
            "MaxRequestWorkers auto: ({} MiB, {whose}, - {} MiB reserve) / {} MiB a child, estimated, x {threads} = {workers} workers",
            mib(self.available),
            mib(self.reserve),
            mib(self.child),
        )
    }
}

/// The memory there is in bytes, and whether a cgroup limits it. `root` is `/`, but in tests.
fn available(root: &Path) -> (u64, bool) {
    let machine = machine_bytes(&read(&root.join("proc/meminfo"))).unwrap_or(u64::MAX);
    let limits = cgroup_files(root, &read(&root.join("proc/self/cgroup")))
        .into_iter()
        .filter_map(|file| read(&file).trim().parse::<u64>().ok()) // "max" is no number, and no limit.
        .filter(|limit| *limit < machine);
    limits.min().map_or((machine, false), |limit| (limit, true))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// The files that may hold a limit: of our cgroup and of all above it, in either version. cgroups(7).
fn cgroup_files(root: &Path, own: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let top = root.join(mount);
        let folder = top.join(path.trim_start_matches('/'));
        let above = folder.ancestors().take_while(|folder| folder.starts_with(&top));
        files.extend(above.map(|folder| folder.join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n");

    #[test]
    fn the_tightest_cgroup_counts_in_either_version() {
        let v2 = tree(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/system.slice/web\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/system.slice/web/memory.max", "max\n"),
        ]);
        assert_eq!(available(v2.path()), (1 << 30, true));
        let v1 = tree(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu:/\n4:memory:/box\n"),
            ("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(available(v1.path()), (512 << 20, true));
    }

    #[test]
    fn without_a_cgroup_it_is_the_machine() {
        let root = tree(&[MEMINFO, ("proc/self/cgroup", "0::/\n")]);
        assert_eq!(available(root.path()), (16 << 30, false));
    }

    #[test]
    fn the_arithmetic_is_as_it_is_told() {
        let plan = MemoryPlan::new(1 << 30, true, Model::Prefork, 1);
        assert_eq!(plan.workers, 307); // (1024 - 103) MiB / 3 MiB
        assert!(plan.to_string().contains("the cgroup's limit"), "{plan}");
        let event = MemoryPlan::new(1 << 30, true, Model::Event, 25);
        assert_eq!(event.workers % 25, 0);
        assert_eq!(MemoryPlan::new(1 << 20, true, Model::Event, 25).workers, 25); // One child, whatever happens.
    }
}
