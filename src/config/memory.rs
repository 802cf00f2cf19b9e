//! `MaxRequestWorkers auto`: as many workers as the memory has room for, so that the server queues rather than swaps.
//!
//! ```text
//!   limit of the cgroup, or all memory  ─ reserve ─▶ for children ÷ one child's size ─▶ children × threads ─▶ workers
//! ```
//!
//! - Before anything has run, a child's size is a stated estimate, and a generous one. The supervisor measures from then
//!   on, and computes again each minute and at each reload (`fit_into_memory` in `mpm`).
//! - The tightest limit of our cgroup and all above it counts, in either version of cgroups.
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
    /// How many children fit; one there must be.
    pub fit: u32,
    /// How many of them `ServerLimit` allows.
    pub server_limit: u32,
}

impl MemoryPlan {
    /// The plan for this machine, or this container.
    pub fn of_this_machine(model: Model, threads: u32, server_limit: u32) -> MemoryPlan {
        Self::new(available(Path::new("/")), model, threads, server_limit)
    }

    fn new(
        (available, by_cgroup): (u64, bool),
        model: Model,
        threads: u32,
        server_limit: u32,
    ) -> MemoryPlan {
        let reserve = (available / 10).max(RESERVE_BYTES_MIN).min(available);
        let child = match model {
            Model::Prefork => CHILD_BYTES,
            Model::Worker | Model::Event => CHILD_BYTES + u64::from(threads) * THREAD_BYTES,
        };
        let fit = u32::try_from((available - reserve) / child).unwrap_or(u32::MAX).max(1);
        MemoryPlan { available, by_cgroup, reserve, child, threads, fit, server_limit }
    }

    /// How many workers that makes.
    pub fn workers(&self) -> u32 {
        self.fit.min(self.server_limit).saturating_mul(self.threads)
    }

    /// What the children may have together.
    pub fn for_children(&self) -> u64 {
        self.available - self.reserve
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryPlan { fit, server_limit, threads, .. } = self;
        let whose = if self.by_cgroup { "the cgroup's limit" } else { "the machine's memory" };
        let (available, reserve) = (self.available >> 20, self.reserve.div_ceil(1 << 20));
        let child = self.child >> 10;
        write!(
            f,
            "MaxRequestWorkers auto: ({available} MiB, {whose}, - {reserve} MiB reserve) / {child} KiB a child, estimated \
             = {fit} children",
        )?;
        if fit > server_limit {
            write!(f, ", of which ServerLimit allows {server_limit}")?;
        }
        write!(f, ", x {threads} = {} workers", self.workers())
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
        let (mount, names): (_, &[_]) = match controllers {
            // Beyond `high` nobody is killed, but everybody is slowed down until the kernel has written out enough.
            "" => ("sys/fs/cgroup", &["memory.max", "memory.high"]),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("sys/fs/cgroup/memory", &["memory.limit_in_bytes"])
            }
            _ => continue,
        };
        let top = root.join(mount);
        let folder = top.join(path.trim_start_matches('/'));
        let above = folder.ancestors().take_while(|folder| folder.starts_with(&top));
        files.extend(above.flat_map(|folder| names.iter().map(|name| folder.join(name))));
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
    fn any_group_above_may_be_the_tightest() {
        let nested = |outer: &str, middle: &str, inner: &str| {
            tree(&[
                MEMINFO,
                ("proc/self/cgroup", "0::/pod/box/web\n"),
                ("sys/fs/cgroup/pod/memory.max", outer),
                ("sys/fs/cgroup/pod/box/memory.max", middle),
                ("sys/fs/cgroup/pod/box/web/memory.max", inner),
                ("sys/fs/cgroup/pod/other/memory.max", "4096\n"), // Not above us.
            ])
        };
        for limits in
            [["max", "max", "65536"], ["65536", "max", "max"], ["1048576", "65536", "131072"]]
        {
            let root = nested(limits[0], limits[1], limits[2]);
            assert_eq!(available(root.path()), (65536, true), "{limits:?}");
        }
        assert_eq!(available(nested("max", "max\n", "max\n").path()), (16 << 30, false));
    }

    #[test]
    fn being_slowed_down_is_a_limit_too() {
        let root = tree(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/web\n"),
            ("sys/fs/cgroup/web/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/web/memory.high", "536870912\n"),
        ]);
        assert_eq!(available(root.path()), (512 << 20, true));
    }

    /// A container sees its own group as the mount's top, and its path in the names of the host.
    #[test]
    fn a_container_finds_its_limit_at_the_top() {
        let v1 = tree(&[
            MEMINFO,
            ("proc/self/cgroup", "9:memory:/docker/0123\n0::/docker/0123\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
        ]);
        assert_eq!(available(v1.path()), (256 << 20, true));
        let v2 = tree(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "268435456\n"),
        ]);
        assert_eq!(available(v2.path()), (256 << 20, true));
    }

    #[test]
    fn a_limit_beyond_the_machine_is_none() {
        let root = tree(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/web\n"),
            ("sys/fs/cgroup/web/memory.max", "1099511627776\n"),
        ]);
        assert_eq!(available(root.path()), (16 << 30, false));
    }

    #[test]
    fn without_a_cgroup_it_is_the_machine() {
        let root = tree(&[MEMINFO, ("proc/self/cgroup", "0::/\n")]);
        assert_eq!(available(root.path()), (16 << 30, false));
    }

    #[test]
    fn the_arithmetic_is_as_it_is_told() {
        let prefork = MemoryPlan::new((1 << 30, true), Model::Prefork, 1, 1000);
        assert_eq!(
            prefork.to_string(),
            "MaxRequestWorkers auto: (1024 MiB, the cgroup's limit, - 103 MiB reserve) / 3072 KiB a child, estimated \
             = 307 children, x 1 = 307 workers"
        );
        let event = MemoryPlan::new((1 << 30, false), Model::Event, 25, 16);
        assert_eq!(
            event.to_string(),
            "MaxRequestWorkers auto: (1024 MiB, the machine's memory, - 103 MiB reserve) / 7872 KiB a child, estimated \
             = 119 children, of which ServerLimit allows 16, x 25 = 400 workers"
        );
        let tiny = MemoryPlan::new((1 << 20, true), Model::Event, 25, 16);
        assert_eq!((tiny.workers(), tiny.for_children()), (25, 0)); // One child, whatever happens.
    }
}
