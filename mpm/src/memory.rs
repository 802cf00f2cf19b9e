//! What a process costs in memory, as the kernel counts it.
//!
//! Shared pages (the program, the file cache, what a fork has not yet copied) are no cost of one child, so what
//! counts is anonymous memory, resident or swapped out: what a leak grows, and what ends with the child.

use std::fs;

use herdgate_sys as sys;
use sys::process::Pid;

/// Anonymous memory of a process in bytes, what was swapped out included. `None` if the process has gone, or the
/// kernel does not tell. proc_pid_status(5): RssAnon, VmSwap.
#[must_use]
pub(crate) fn anonymous_bytes(pid: Pid) -> Option<u64> {
    parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// The size that 95 of 100 stay at or below. `None` without sizes.
pub(crate) fn percentile_95(mut sizes: Vec<u64>) -> Option<u64> {
    sizes.sort_unstable();
    let rank = (sizes.len() * 95).div_ceil(100);
    sizes.get(rank.checked_sub(1)?).copied()
}

/// The two lines that count. A kernel without swap leaves the second one out.
fn parse(status: &str) -> Option<u64> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(bytes("RssAnon:")? + bytes("VmSwap:").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lines_are_added() {
        let status = "Name:\tx\nVmRSS:\t    9000 kB\nRssAnon:\t     120 kB\nVmSwap:\t       8 kB\n";
        assert_eq!(parse(status), Some(128 * 1024));
        assert_eq!(parse("RssAnon:\t1 kB\n"), Some(1024));
        assert_eq!(parse("Name:\tzombie\n"), None);
        assert_eq!(parse("RssAnon:\tlots\n"), None);
    }

    #[test]
    fn the_95th_percentile_leaves_the_five_largest_of_a_hundred_out() {
        assert_eq!(percentile_95((1..=100).collect()), Some(95));
        assert_eq!(percentile_95(vec![7]), Some(7));
        assert_eq!(percentile_95(vec![]), None);
    }

    #[test]
    fn this_process_costs_something() {
        assert!(anonymous_bytes(Pid::this()).is_some_and(|bytes| bytes > 4096));
    }
}
