//! What a process costs in memory, as the kernel counts it, and how many of its size there is room for.
//!
//! ```text
//!   /proc/PID/status ─▶ Size ─┬─ anonymous: what a leak grows ─▶ MaxMemoryPerChild
//!                             └─ whole: with what the kernel keeps for it ─▶ 95th percentile ─▶ children that fit
//! ```
//!
//! - The program and the files that it maps are shared by all children: they are no cost of one of them.
//! - A page that a child has from its parent and has not written to is counted in both. So children measure more than
//!   they cost, by what the supervisor has, and fewer of them are started than would fit: the right side to be wrong on.

use std::fs;
use std::time::Duration;

use herdgate_sys as sys;
use sys::process::Pid;

use crate::Moment;

/// How often it is computed how many children fit.
const FIT_EVERY: Duration = Duration::from_secs(60);
/// What the kernel keeps for each thread beside its user stack: its kernel stack, on x86-64 and arm64.
const KERNEL_STACK_BYTES: u64 = 16 << 10;

/// What a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Anonymous memory in bytes, what was swapped out included. proc_pid_status(5): RssAnon, VmSwap.
    pub(crate) anonymous: u64,
    /// Page tables and kernel stacks in bytes, which a cgroup charges as well. A thread costs more here than on its
    /// own stack.
    pub(crate) kernel: u64,
}

impl Size {
    /// `None` if the process has gone, or the kernel does not tell.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    /// All that the process costs, in bytes.
    pub(crate) fn whole(self) -> u64 {
        self.anonymous + self.kernel
    }

    /// A kernel without swap leaves that line out.
    fn parse(status: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").trim_end().parse::<u64>().ok()
        };
        let bytes = |name: &str| value(name).map(|kibibytes| kibibytes * 1024);
        Some(Self {
            anonymous: bytes("RssAnon:")? + bytes("VmSwap:").unwrap_or(0),
            kernel: bytes("VmPTE:").unwrap_or(0)
                + value("Threads:").unwrap_or(1) * KERNEL_STACK_BYTES,
        })
    }
}

/// `MaxRequestWorkers auto`: when it is computed again how many children fit.
#[derive(Debug)]
pub(crate) struct Fitting {
    next: Moment,
}

impl Fitting {
    /// The first time is a minute from now.
    pub(crate) fn new(now: Moment) -> Self {
        Self { next: now + FIT_EVERY }
    }

    /// Whether a minute has passed; if so, the next one begins.
    pub(crate) fn is_due(&mut self, now: Moment) -> bool {
        let due = now >= self.next;
        if due {
            *self = Self::new(now);
        }
        due
    }
}

/// How many children of these sizes `budget` bytes have room for, by the size that nearly all of them stay below; and
/// that size. `None` without sizes. Where it is nearly `present`, it is `present`: sizes wobble, and a limit that
/// follows every page helps nobody.
pub(crate) fn children_that_fit(budget: u64, sizes: Vec<u64>, present: u32) -> Option<(u32, u64)> {
    const WOBBLE_PERCENT: u64 = 5;
    let child = percentile_95(sizes)?;
    let children = u32::try_from(budget / child.max(1)).unwrap_or(u32::MAX);
    let change = u64::from(children.abs_diff(present));
    let wobbles = change * 100 <= u64::from(present) * WOBBLE_PERCENT;
    Some((if wobbles { present } else { children }, child))
}

/// The size that 95 of 100 stay at or below. `None` without sizes.
fn percentile_95(mut sizes: Vec<u64>) -> Option<u64> {
    sizes.sort_unstable();
    let rank = (sizes.len() * 95).div_ceil(100);
    sizes.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn anonymous_is_resident_and_swapped_and_whole_is_what_the_kernel_keeps_too() {
        let status = "Name:\tx\nVmRSS:\t    9000 kB\nRssAnon:\t     120 kB\nVmPTE:\t      64 kB\nVmSwap:\t       8 kB\n\
                      Threads:\t26\n";
        let size = Size::parse(status).unwrap();
        assert_eq!(size, Size { anonymous: 128 << 10, kernel: (64 + 26 * 16) << 10 });
        assert_eq!(size.whole(), (128 + 64 + 26 * 16) << 10);
        assert_eq!(Size::parse("RssAnon:\t1 kB\n").map(|size| size.anonymous), Some(1024));
        assert_eq!(Size::parse("Name:\tzombie\n"), None);
        assert_eq!(Size::parse("RssAnon:\tlots\n"), None);
    }

    #[test]
    fn the_95th_percentile_leaves_the_five_largest_of_a_hundred_out() {
        assert_eq!(percentile_95((1..=100).collect()), Some(95));
        assert_eq!(percentile_95(vec![7]), Some(7));
        assert_eq!(percentile_95(vec![]), None);
    }

    #[test]
    fn this_process_costs_something() {
        let size = Size::of(Pid::this()).unwrap();
        assert!(size.anonymous > 4096 && size.kernel > KERNEL_STACK_BYTES);
    }

    #[test]
    fn it_is_computed_once_a_minute() {
        let start = Moment::from_start(Duration::from_secs(1000));
        let mut fitting = Fitting::new(start);
        let due: Vec<u64> =
            (0..200).filter(|secs| fitting.is_due(start + Duration::from_secs(*secs))).collect();
        assert_eq!(due, [60, 120, 180]);
        // A machine that slept has not missed hours of minutes.
        let late = start + Duration::from_secs(10_000);
        assert!(fitting.is_due(late) && !fitting.is_due(late + Duration::from_secs(59)));
    }

    #[test]
    fn nearly_all_children_decide_and_a_wobble_does_not() {
        const MIB: u64 = 1 << 20;
        let mut sizes = vec![2 * MIB; 99];
        sizes.push(500 * MIB); // One that leaks is for MaxMemoryPerChild to end.
        assert_eq!(children_that_fit(100 * MIB, sizes, 10), Some((50, 2 * MIB)));
        assert_eq!(
            children_that_fit(100 * MIB, vec![2 * MIB + 60_000], 50),
            Some((50, 2 * MIB + 60_000))
        );
        assert_eq!(children_that_fit(100 * MIB, vec![3 * MIB], 50), Some((33, 3 * MIB)));
        assert_eq!(children_that_fit(MIB, vec![3 * MIB], 50), Some((0, 3 * MIB)));
        assert_eq!(children_that_fit(100 * MIB, vec![], 50), None);
    }

    proptest! {
        #[test]
        fn what_fits_is_within_the_budget_but_for_a_wobble(
            budget: u64, sizes in prop::collection::vec(1_u64..1 << 40, 1..50), present in 0_u32..100_000,
        ) {
            let (children, child) = children_that_fit(budget, sizes.clone(), present).unwrap();
            prop_assert!(sizes.contains(&child));
            let needed = u128::from(children) * u128::from(child);
            prop_assert!(needed <= u128::from(budget) || children == present);
            // A twentieth, as said, and less than one more child.
            prop_assert!(needed * 95 <= (u128::from(budget) + u128::from(child)) * 100);
        }
    }
}
