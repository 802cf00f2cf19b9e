//! What the kernel tells about a process in `/proc/PID/stat`. proc_pid_stat(5).

use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// A process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// It has ended, and nobody has reaped it.
    pub(crate) is_over: bool,
    /// CPU time in its own code.
    pub(crate) user: Duration,
    /// CPU time in the kernel.
    pub(crate) system: Duration,
    /// The same of the children that it has reaped.
    pub(crate) children_user: Duration,
    /// The same of the children that it has reaped.
    pub(crate) children_system: Duration,
    /// When it began, in clock ticks since the machine's start.
    pub(crate) began_ticks: u64,
}

impl Stat {
    /// `None`: there is no such process.
    pub(crate) fn of(pid: i32) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&text, sysconf_number(SysconfVar::CLK_TCK, 100))
    }

    fn parse(text: &str, ticks_per_second: u64) -> Option<Stat> {
        // The second field, the name, may hold spaces and parentheses.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let time = |number| {
            field(number).map(|ticks| Duration::from_millis(ticks * 1000 / ticks_per_second.max(1)))
        };
        Some(Stat {
            is_over: matches!(*fields.first()?, "Z" | "X"),
            user: time(14)?,
            system: time(15)?,
            children_user: time(16)?,
            children_system: time(17)?,
            began_ticks: field(22)?,
        })
    }
}

/// A number that the system knows, or else its usual value.
pub(crate) fn sysconf_number(name: SysconfVar, usual: u64) -> u64 {
    sysconf(name).ok().flatten().and_then(|number| u64::try_from(number).ok()).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_as_its_manual_says() {
        let text = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 0 0 0 0 777 0";
        let stat = Stat::parse(text, 100).unwrap();
        assert_eq!(
            (stat.user, stat.system),
            (Duration::from_millis(2500), Duration::from_millis(500))
        );
        assert_eq!((stat.children_user, stat.began_ticks), (Duration::from_millis(130), 777));
        assert!(!stat.is_over);
        assert_eq!(Stat::parse("42 (cut", 100), None);
        assert!(Stat::of(i32::try_from(std::process::id()).unwrap()).is_some());
        assert_eq!(Stat::of(i32::MAX), None);
    }
}
