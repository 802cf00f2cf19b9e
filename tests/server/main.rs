//! # The built server, seen from outside
//!
//! Every test starts the real binary and talks to it as a client or as an administrator would. `on_every_mpm!` runs a
//! test under prefork, worker and event: what a client sees must not depend on the process model.
//!
//! | module | what it asks |
//! |---|---|
//! | `explain` | how a request would be answered, and why |
//! | `file_cache` | what is remembered, and when it is forgotten |
//! | `files` | documents, types, listings, redirects, conditions, ranges |
//! | `access` | passwords, groups, origins, names of clients |
//! | `hosts` | virtual hosts, aliases, access, sections, error documents |
//! | `client_limits` | how many connections one client may have, and how fast it may ask |
//! | `connections` | keep-alive, pipelining, half-closed clients, lingering close, bad requests |
//! | `transfers` | large files, slow readers, files that change while they are sent |
//! | `logs` | what is written, and where |
//! | `info` | the page that tells what the server is made of |
//! | `lifecycle` | restarts, stops, killed children, bad configurations, the pid file |
//! | `signals` | several at once, in the middle of something, without end |
//! | `proxies` | who the client is behind a proxy |
//! | `reload` | what is said about a reload; one that fails has changed nothing |
//! | `agreement` | `-t` takes what `apache2 -t` takes |
//! | `command_line` | options, exit codes, messages |
//! | `dumps` | `-S`, `-M`, `-D DUMP_…` |
//! | `filters` | compression, streams, a pace; how slow a request may be |
//! | `folder` | `herdgate serve` |
//! | `gate` | which gate stands before accept, and what is said about it |
//! | `memory` | how many workers fit, children that grow, children that retire, who goes first |
//! | `sandbox` | what children give up, and serve all the same |
//! | `saturation` | what is said when all workers are busy |
//! | `status` | the page that tells what the server does |
//! | `slow` | a disk that takes its time |
//! | `time` | clients that take too long, or leave: what ends, and what it is counted as |
//! | `stock` | configurations that nobody here wrote: Debian's, upstream's |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod agreement;
mod client_limits;
mod command_line;
mod connections;
mod dumps;
mod explain;
mod file_cache;
mod files;
mod filters;
mod folder;
mod gate;
mod hosts;
mod info;
mod lifecycle;
mod logs;
mod memory;
mod proxies;
mod reload;
mod rewrite;
mod sandbox;
mod saturation;
mod signals;
mod slow;
mod status;
mod stock;
mod time;
mod transfers;
