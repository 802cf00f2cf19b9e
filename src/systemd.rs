//! # systemd: what a service manager is told
//!
//! ```text
//!   start ──▶ READY=1 ──▶ STATUS=… WATCHDOG=1 each second ──▶ RELOADING=1 ──▶ READY=1 … ──▶ STOPPING=1
//!                                                              MAINPID=… when another binary has taken over
//! ```
//!
//! The protocol of sd_notify(3): one datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names. Without
//! that variable nobody asked, and nothing is said. Nothing here can fail in a way that matters: a manager that does not
//! listen is no reason to stop serving.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use herdgate_sys as sys;
use sys::process::Pid;

/// The service manager, if one listens.
#[derive(Debug, Default)]
pub struct ServiceManager {
    line: Option<Line>,
    /// It expects a sign of life this often.
    watchdog: Option<Duration>,
    status: String,
}

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl ServiceManager {
    /// Looks into the environment. `is_successor`: the watchdog was meant for the process whose place we take.
    #[must_use]
    pub fn find(is_successor: bool) -> Self {
        let line = std::env::var_os("NOTIFY_SOCKET").and_then(|name| Line::to(&name));
        let for_us = is_successor
            || std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == Pid::this().to_string());
        let watchdog = std::env::var("WATCHDOG_USEC").ok().filter(|_| for_us);
        let watchdog = watchdog.and_then(|micros| micros.parse().ok()).map(Duration::from_micros);
        Self { line, watchdog, status: String::new() }
    }

    /// How long it waits for a sign of life, if it does.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.line.is_some())
    }

    /// We serve: at start, and after each reload, also one that failed.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// A reload has begun; [`ready`](Self::ready) ends it.
    pub fn reloading(&self) {
        // The manager compares it with the moment of its own wish: to the microsecond, of the clock that never jumps.
        let micros = sys::clock::monotonic().as_micros();
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Another process is the service from now on, and ready. Whatever we say afterwards is not heard.
    pub fn handed_over_to(&self, successor: Pid) {
        self.say(&format!("MAINPID={successor}\nREADY=1"));
    }

    /// We are alive, and this is how we are, in one line for people.
    pub fn tick(&mut self, status: String) {
        if self.line.is_none() {
            return;
        }
        let mut text = String::new();
        if self.watchdog.is_some() {
            text.push_str("WATCHDOG=1\n");
        }
        if status != self.status {
            text.push_str(&format!("STATUS={status}\n"));
            self.status = status;
        }
        if !text.is_empty() {
            self.say(&text);
        }
    }

    fn say(&self, text: &str) {
        if let Some(Line { socket, manager }) = &self.line {
            // See above: nobody listening is no reason to stop.
            let _ = socket.send_to_addr(text.as_bytes(), manager);
        }
    }
}

impl Line {
    /// A name that begins with `@` is none in the file system.
    fn to(name: &OsStr) -> Option<Self> {
        let manager = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(name),
        };
        let socket = UnixDatagram::unbound().ok()?;
        // A manager that is stuck must not make us stick, too.
        socket.set_nonblocking(true).ok()?;
        Some(Self { socket, manager: manager.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_each_news_once_and_signs_of_life_always() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let mut ours = ServiceManager {
            line: Line::to(path.as_os_str()),
            watchdog: Some(Duration::from_secs(5)),
            status: String::new(),
        };
        let heard = || {
            let mut buffer = [0; 256];
            manager
                .recv(&mut buffer)
                .map(|count| String::from_utf8_lossy(&buffer[..count]).into_owned())
        };
        ours.ready();
        assert_eq!(heard().unwrap(), "READY=1");
        ours.tick("idle".to_owned());
        assert_eq!(heard().unwrap(), "WATCHDOG=1\nSTATUS=idle\n");
        ours.tick("idle".to_owned());
        assert_eq!(heard().unwrap(), "WATCHDOG=1\n");
        ours.reloading();
        assert!(heard().unwrap().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        ours.handed_over_to(Pid::this());
        assert_eq!(heard().unwrap(), format!("MAINPID={}\nREADY=1", Pid::this()));
        drop(manager);
        ours.stopping(); // Nobody listens any more.
    }

    #[test]
    fn without_a_manager_nothing_is_said() {
        let mut nobody = ServiceManager::default();
        nobody.ready();
        nobody.tick("idle".to_owned());
        assert_eq!((nobody.status.as_str(), nobody.watchdog()), ("", None));
    }
}
