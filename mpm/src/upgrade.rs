//! # upgrade: another binary takes over, and no listener is ever closed
//!
//! ```text
//!   the old server                                   the new one
//!     SIGUSR2                                           │
//!       ├─ fork, exec ── listeners, a pipe ────────────▶ reads its configuration, opens logs
//!       │  serves on                                    ├─ its Listen lines find the sockets that were handed to them
//!       │                                               ├─ forks its children, which accept beside the old ones
//!       │◀───────────── "ready" ────────────────────────┤
//!       ├─ lets go of the listeners                     │
//!       └─ tells its children to finish, and ends       serves
//! ```
//!
//! - Both accept from the same queues for a while, so nobody waits and nobody is refused.
//! - If the new one fails, it says why into the pipe, or just dies: the old one goes on as if nothing had been asked.
//! - What the new one was handed stays the old one's until it is ready: a new server that fails closes nothing.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use herdgate_sys as sys;
use sys::process::Pid;

use crate::listen::{InheritError, Listeners, take_variable};

/// What the new server is told: the pipe's descriptor in the first line, then one line for each socket.
pub(crate) const VARIABLE: &str = "HERDGATE_LISTEN_FDS";
const READY: &[u8] = b"ready\n";
/// Enough for any reason; what is longer is cut.
const REASON_BYTES_MAX: usize = 16 * 1024;

/// The new server, as the old one knows it until it is ready.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) pid: Pid,
    news: OwnedFd,
    said: Vec<u8>,
}

/// What came of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It serves.
    Ready,
    /// It has given up, for this reason.
    Failed(String),
}

impl Successor {
    /// Starts our own binary, which may be another one by now, as we were started ourselves.
    pub(crate) fn start(listeners: &Listeners) -> io::Result<Self> {
        let (news, theirs) = sys::pipe::pipe()?;
        let (sockets, mut descriptors) = listeners.described();
        descriptors.push(theirs.as_fd());
        let handed = format!("{}\n{sockets}", theirs.as_raw_fd());
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let name = arguments.first().cloned().unwrap_or_default();
        let program = own_binary(&std::fs::read_link("/proc/self/exe")?, name.into());
        let pid = sys::process::spawn_with_descriptors(
            &program,
            &arguments,
            (VARIABLE, &handed),
            &descriptors,
        )
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
        Ok(Self { pid, news, said: Vec::new() })
    }

    /// Readable when there is something to [`hear`](Self::hear).
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }

    /// Whether it is ready, or has given up; `None` while it is still starting.
    pub(crate) fn hear(&mut self) -> Option<Outcome> {
        let mut buffer = [0; 1024];
        loop {
            let count = match sys::net::read(self.news.as_fd(), &mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            if count == 0 {
                return Some(Outcome::Failed(self.reason()));
            }
            self.said.extend_from_slice(&buffer[..count]);
            self.said.truncate(REASON_BYTES_MAX);
            if self.said == READY {
                return Some(Outcome::Ready);
            }
        }
    }

    fn reason(&self) -> String {
        match String::from_utf8_lossy(&self.said).trim() {
            "" => "it ended before it served, and did not say why".to_owned(),
            reason => reason.to_owned(),
        }
    }
}

/// The file to run: the one that we were started from, or what has taken its name since.
fn own_binary(running: &Path, name: PathBuf) -> PathBuf {
    // A file that was replaced or removed keeps its name in /proc, with a mark behind it (proc_pid_exe(5)).
    let text = running.as_os_str().to_string_lossy();
    let path = text.strip_suffix(" (deleted)").map_or_else(|| running.to_owned(), PathBuf::from);
    if path.exists() || name.as_os_str().is_empty() { path } else { name }
}

/// What a server has that replaces another one, until it serves. When the last clone is dropped unsaid, the old server
/// takes it for a failure.
#[derive(Clone, Debug)]
pub struct Handover {
    pipe: Arc<File>,
    listeners: Listeners,
}

impl Handover {
    /// Takes what the old server has left to us, if we were started by one. Call it first, while the process has one
    /// thread.
    ///
    /// # Errors
    /// What was left makes no sense.
    pub fn take() -> Result<Option<Self>, InheritError> {
        let Some(handed) = take_variable(VARIABLE)? else { return Ok(None) };
        let nonsense = || InheritError::Variable { name: VARIABLE, value: handed.clone() };
        let (pipe, sockets) = handed.split_once('\n').ok_or_else(nonsense)?;
        let number: RawFd = pipe.parse().map_err(|_| nonsense())?;
        let pipe = sys::process::adopt_descriptor(number)
            .map_err(|source| InheritError::Descriptor { number, source })?;
        let pipe = Arc::new(File::from(pipe));
        Ok(Some(Self { pipe, listeners: Listeners::from_description(sockets)? }))
    }

    /// The old server's listeners: pass them to [`Listeners::bind`].
    #[must_use]
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// We serve: from here on the listeners are ours, and the old server finishes. Those that we have not `claimed` are
    /// closed.
    ///
    /// # Errors
    /// `BrokenPipe`: it is gone already.
    pub fn ready(&self, claimed: &Listeners) -> io::Result<()> {
        self.listeners.take_over();
        claimed.close_others(&self.listeners);
        self.say(READY)
    }

    /// We cannot serve: the old server goes on, and says this.
    pub fn failed(&self, reason: &str) {
        // If nobody listens, nobody asks either.
        let _ = self.say(reason.as_bytes());
    }

    fn say(&self, text: &[u8]) -> io::Result<()> {
        (&*self.pipe).write_all(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn successor() -> (Successor, Handover) {
        let (news, theirs) = sys::pipe::pipe().unwrap();
        let successor = Successor { pid: Pid::this(), news, said: Vec::new() };
        let pipe = Arc::new(File::from(theirs));
        (successor, Handover { pipe, listeners: Listeners::default() })
    }

    #[test]
    fn a_successor_is_ready_or_says_why_not() {
        let (mut old, new) = successor();
        assert_eq!(old.hear(), None);
        new.ready(&Listeners::default()).unwrap();
        assert_eq!(old.hear(), Some(Outcome::Ready));
        let (mut old, new) = successor();
        new.failed("no such user\n");
        drop(new);
        assert_eq!(old.hear(), Some(Outcome::Failed("no such user".to_owned())));
        let (mut old, new) = successor();
        drop(new);
        assert!(
            matches!(old.hear(), Some(Outcome::Failed(reason)) if reason.contains("did not say"))
        );
    }

    #[test]
    fn a_binary_that_was_replaced_is_found_by_its_name() {
        let check = |running: &str, name: &str, expected: &str| {
            assert_eq!(
                own_binary(Path::new(running), name.into()),
                Path::new(expected),
                "{running}"
            );
        };
        check("/bin/sh", "sh", "/bin/sh");
        check("/bin/sh (deleted)", "sh", "/bin/sh");
        check("/no/such (deleted)", "./herdgate", "./herdgate");
        check("/no/such", "", "/no/such");
    }
}
