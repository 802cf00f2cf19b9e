//! # What both write down about a request
//!
//! ```text
//! logs/compared_log   one line for each answer: who, what, which file, how it ended
//! logs/error_log      what was refused, and why: module, level, number and text
//! ```
//!
//! - Each server has these below its own ServerRoot, by the same lines of the configuration.
//! - A line of the access log is written when its answer has left, and after the lines of the error log that tell of
//!   it. So whoever has waited for the one has the others.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::compare::Reply;
use crate::support::wait_until;

/// What both servers are told about their logs. What differs by nature is left out: times, ports, process ids, and how
/// many bytes a head with the server's name has.
pub(crate) const CONF: &str = "\
LogLevel notice
ErrorLog logs/error_log
ErrorLogFormat \"[%-m:%l] %E: [client %a] %M% ,\\ referer\\ %{Referer}i\"
LogFormat \"%%h %h\\t%%l %l\\t%%u %u\\t%%r %r\\t%%s %s\\t%%>s %>s\\t%%b %b\\t%%f %f\\t%%H %H\\t%%k %k\\t\
%%m %m\\t%%p %p\\t%%q %q\\t%%R %R\\t%%U %U\\t%%>U %>U\\t%%v %v\\t%%V %V\\t%%X %X\" compared
CustomLog logs/compared_log compared
";

/// Both logs of one server, and how far they have been read.
pub(crate) struct Logs {
    access: Log,
    errors: Log,
    /// How the server's own port is logged.
    port: String,
}

struct Log {
    path: PathBuf,
    read_bytes: u64,
}

impl Logs {
    /// Those below this ServerRoot. What is in them by now is not compared.
    pub(crate) fn of(root: &Path, address: SocketAddr) -> Logs {
        let mut logs = Logs {
            access: Log { path: root.join("logs/compared_log"), read_bytes: 0 },
            errors: Log { path: root.join("logs/error_log"), read_bytes: 0 },
            port: format!("%p {}\t", address.port()),
        };
        logs.access.news();
        logs.errors.news();
        logs
    }

    /// Before a request: lines about former ones that got no answer are not about it.
    pub(crate) fn pass_over(&mut self) {
        self.access.news();
        self.errors.news();
    }

    /// What is written about a request that got these answers.
    pub(crate) fn about(&mut self, reply: &Reply) -> Lines {
        let mut accesses = Vec::new();
        wait_until("a line for each answer", || {
            accesses.extend(self.access.news().into_iter().map(|line| self.normal(&line, reply)));
            accesses.len() >= reply.count()
        });
        Lines { accesses, errors: self.errors.news() }
    }

    /// A line of the access log, without this server's own port, and without the length of the body if that is right:
    /// bodies are compared themselves.
    fn normal(&self, line: &str, reply: &Reply) -> String {
        let length = format!("\t%b {}\t", reply.body_bytes());
        line.replace(&self.port, "%p PORT\t").replace(&length, "\t%b as sent\t")
    }
}

/// What one server has written about one request.
pub(crate) struct Lines {
    accesses: Vec<String>,
    errors: Vec<String>,
}

/// Everything that differs: `log %s: Apache's / ours` and `error: Apache's / ours`, with `-` for what is not there.
pub(crate) fn differences(theirs: &Lines, ours: &Lines) -> Vec<String> {
    let mut found = Vec::new();
    if theirs.accesses.len() != ours.accesses.len() {
        found.push(format!("logged: {} / {}", theirs.accesses.len(), ours.accesses.len()));
    }
    for (theirs, ours) in theirs.accesses.iter().zip(&ours.accesses) {
        for (theirs, ours) in theirs.split('\t').zip(ours.split('\t')) {
            if theirs != ours {
                let (name, theirs) = theirs.split_once(' ').unwrap_or((theirs, ""));
                let (_, ours) = ours.split_once(' ').unwrap_or((ours, ""));
                found.push(format!("log {name}: {theirs} / {ours}"));
            }
        }
    }
    for at in 0..theirs.errors.len().max(ours.errors.len()) {
        let line = |lines: &[String]| lines.get(at).map_or_else(|| "-".to_owned(), String::clone);
        let (theirs, ours) = (line(&theirs.errors), line(&ours.errors));
        if theirs != ours {
            found.push(format!("error: {theirs} / {ours}"));
        }
    }
    found
}

impl Log {
    /// The whole lines that have come since the last look.
    fn news(&mut self) -> Vec<String> {
        let mut new = Vec::new();
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.read_bytes)).unwrap();
        file.read_to_end(&mut new).unwrap();
        let end = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.read_bytes += end as u64;
        String::from_utf8_lossy(&new[..end]).lines().map(without_port).collect()
    }
}

/// A line without the client's port.
fn without_port(line: &str) -> String {
    let Some((before, after)) = line.split_once("[client 127.0.0.1:") else {
        return line.to_owned();
    };
    format!("{before}[client{}", after.trim_start_matches(|it: char| it.is_ascii_digit()))
}
