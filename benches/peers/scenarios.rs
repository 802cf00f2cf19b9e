//! What is asked, and how.

use crate::servers::Kind;
use crate::site::{CHANGED, FILES};

/// One kind of work.
pub(crate) struct Scenario {
    /// For the command line and for JSON.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) path: &'static str,
    /// Fields of the request, beside Host.
    pub(crate) fields: &'static [&'static str],
    pub(crate) work: Work,
    /// The status that is right.
    pub(crate) status: u16,
}

/// How requests come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// One after the other, on so many connections that stay.
    KeepAlive { connections: u32 },
    /// The same, for files chosen at random.
    ManyFiles { connections: u32 },
    /// A connection for each.
    Close { connections: u32 },
    /// So many at once on each connection.
    Pipelined { connections: u32, depth: u32 },
    /// So many connections are held that ask once and are silent then. What one of them costs in memory is measured, and what a
    /// request costs beside them.
    Idle { silent: u32 },
    /// So many connections come at once to a server that has just begun, and stay: how long until all were answered.
    Burst { connections: u32 },
}

/// Everything that is measured.
pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("1k", "1 KiB", "/1k.html"),
    plain("10k", "10 KiB", "/10k.html"),
    Scenario { work: Work::KeepAlive { connections: 8 }, ..plain("1m", "1 MiB", "/1m.bin") },
    Scenario {
        work: Work::ManyFiles { connections: 32 },
        ..plain("files", "10,000 files of 4 KiB", "/files/00/0000.html")
    },
    Scenario {
        fields: &["Connection: close"],
        work: Work::Close { connections: 16 },
        ..plain("close", "1 KiB, a connection each", "/1k.html")
    },
    Scenario {
        work: Work::Pipelined { connections: 16, depth: 16 },
        ..plain("pipelined", "1 KiB, 16 pipelined", "/1k.html")
    },
    Scenario { status: 404, ..plain("404", "404", "/missing.html") },
    Scenario { fields: &[UNCHANGED], status: 304, ..plain("304", "304", "/1k.html") },
    Scenario {
        fields: &["Range: bytes=1000-1999"],
        status: 206,
        ..plain("range", "1,000 bytes of 10 KiB", "/10k.html")
    },
    Scenario {
        work: Work::Idle { silent: 10_000 },
        ..plain("idle", "1 KiB beside 10,000 idle connections", "/1k.html")
    },
    Scenario {
        work: Work::Burst { connections: 200 },
        ..plain("burst", "200 connections at once, from cold (ms)", "/1k.html")
    },
];

const UNCHANGED: &str = "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT";

const fn plain(name: &'static str, title: &'static str, path: &'static str) -> Scenario {
    let work = Work::KeepAlive { connections: 32 };
    Scenario { name, title, path, fields: &[], work, status: 200 }
}

impl Scenario {
    /// Whether a server can do this at all: one that needs a process or thread for each connection cannot hold ten
    /// thousand.
    pub(crate) fn fits(&self, kind: &Kind) -> bool {
        match self.work {
            Work::Idle { .. } => !kind.is_blocking(),
            Work::Burst { .. } => !matches!(kind, Kind::Limit),
            Work::KeepAlive { .. }
            | Work::ManyFiles { .. }
            | Work::Close { .. }
            | Work::Pipelined { .. } => true,
        }
    }

    /// How many clients there are at once.
    pub(crate) fn connections(&self) -> u32 {
        match self.work {
            Work::KeepAlive { connections }
            | Work::ManyFiles { connections }
            | Work::Close { connections }
            | Work::Pipelined { connections, .. }
            | Work::Burst { connections } => connections,
            Work::Idle { .. } => 32,
        }
    }

    /// What wrk must be told in Lua, if anything.
    pub(crate) fn script(&self) -> Option<String> {
        match self.work {
            Work::ManyFiles { .. } => Some(format!(
                "local all = {{}}\n\
                 function init()\n  math.randomseed(42)\n  for i = 1, {FILES} do\n    \
                 local n = math.random(0, {}) \n    \
                 all[i] = wrk.format('GET', string.format('/files/%02d/%04d.html', n % 100, n))\n  end\nend\n\
                 local at = 0\nfunction request()\n  at = at % {FILES} + 1\n  return all[at]\nend\n",
                FILES - 1
            )),
            Work::Pipelined { depth, .. } => Some(format!(
                "local all\nfunction init()\n  local one = {{}}\n  for i = 1, {depth} do one[i] = wrk.format() end\n  \
                 all = table.concat(one)\nend\nfunction request() return all end\n"
            )),
            Work::KeepAlive { .. }
            | Work::Close { .. }
            | Work::Idle { .. }
            | Work::Burst { .. } => None,
        }
    }

    /// What the limit program answers: as long as a server's own answer.
    pub(crate) fn prepared_answer(&self, root: &std::path::Path) -> std::io::Result<Vec<u8>> {
        let body = match self.status {
            304 => Vec::new(),
            404 => vec![b'x'; 196],
            206 => std::fs::read(root.join(&self.path[1..]))?[1000..2000].to_vec(),
            _ => std::fs::read(root.join(&self.path[1..]))?,
        };
        let line = match self.status {
            304 => "304 Not Modified",
            404 => "404 Not Found",
            206 => "206 Partial Content",
            _ => "200 OK",
        };
        let closes = matches!(self.work, Work::Close { .. });
        let closing = if closes { "Connection: close\r\n" } else { "" };
        let length = match self.status {
            304 => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!(
            "HTTP/1.1 {line}\r\nDate: {CHANGED}\r\nServer: limit\r\nLast-Modified: {CHANGED}\r\n\
             ETag: \"400-64759b2a8a800\"\r\nAccept-Ranges: bytes\r\n{length}{closing}Content-Type: text/html\r\n\r\n"
        );
        Ok([head.into_bytes(), body].concat())
    }
}
