//! # What the kernel knows: who is alive, and who holds which connection

use std::collections::HashSet;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait_until;

/// The children of a process.
pub(crate) fn children_of(pid: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// Whether the process runs or could run; a dead one that nobody has reaped yet does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// Stops a process where it stands, so that what it holds no longer changes.
pub(crate) fn freeze(pid: Pid) {
    kill(pid, Signal::SIGSTOP).unwrap();
    wait_until("the process stands still", || matches!(state(pid), Some('T') | None));
}

/// The letter of ps(1).
pub(crate) fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, parentheses included.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// A field of /proc/PID/status, without its name.
pub(crate) fn status(pid: Pid, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {status}")).trim().to_owned()
}

/// The clients, by their ports, whose connections to the server's `port` this process holds. IPv4 only.
pub(crate) fn clients_of(pid: Pid, port: u16) -> HashSet<u16> {
    let sockets = sockets_of(pid);
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            // The table of a busy machine is long: most lines are not worth more than a look at one place.
            let begin = line.find(':')? + 2;
            let local = line.get(begin..begin + "7F000001:1F90".len())?;
            if !local.ends_with(&port) {
                return None;
            }
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (remote, inode) = (columns.get(2)?, columns.get(9)?);
            let remote = u16::from_str_radix(remote.split_once(':')?.1, 16).ok()?;
            (remote != 0 && sockets.contains(*inode)).then_some(remote)
        })
        .collect()
}

/// The numbers of the sockets that a process has open.
pub(crate) fn sockets_of(pid: Pid) -> HashSet<String> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return HashSet::new() };
    descriptors
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let number = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(number.to_owned())
        })
        .collect()
}
