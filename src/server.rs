//! # server: the web server as a service that any process model runs
//!
//! ```text
//! Server (configuration, logs) ──Arc──▶ WebService ──connect──▶ WebConnection ──advance──▶ request, response
//!                                           └── thread_init ──▶ ThreadState: lent to each connection in turn
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use herdgate_mpm::{
    ChildContext, ChildNotice, ListenerId, Listeners, Model, Peer, Service, Socket,
};

use herdgate_sys as sys;

use crate::connection::WebConnection;
use crate::files::Access;
use crate::files::watch::Watch;
use crate::http::date::DateCache;
use crate::log::{Level, LogBatch, LogClock};
use crate::request::{Caches, Client, Server};

/// One generation of the web server.
pub struct WebService {
    server: Arc<Server>,
    listeners: Listeners,
}

/// What a thread that serves keeps from request to request.
pub struct ThreadState {
    /// Lines for the access logs, written at the end of the turn.
    pub batch: LogBatch,
    /// Time as the logs write it.
    pub clock: LogClock,
    /// Time as `Date` writes it.
    pub dates: DateCache,
    /// Merged settings.
    pub caches: Caches,
    /// Tells when what was answered no longer holds, where one thread serves all.
    pub watch: Option<Watch>,
    /// What answering may do: where one thread serves all, it must not wait for a disk.
    pub access: Access,
}

impl WebService {
    /// A service that answers as `server` is configured, on these listeners.
    pub fn new(server: Arc<Server>, listeners: Listeners) -> Self {
        Self { server, listeners }
    }

    /// What it answers from.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The last thing before a child serves, and the first of its thread: all its other threads inherit it.
    fn enter_sandbox(&self) -> io::Result<()> {
        let sandbox = &self.server.sandbox;
        let Err(error) = sandbox.enter() else { return Ok(()) };
        if sandbox.is_required() {
            return Err(io::Error::new(error.kind(), format!("Sandbox On: {error}")));
        }
        let log = self.server.logs.main().at(Level::Error, "sandbox").because(&error);
        log.say(format_args!(
            "Sandbox Auto: not all of it could be had, and this child serves with less"
        ));
        Ok(())
    }
}

impl WebService {
    /// What tells a loop of changed files. Without it each file is asked for.
    fn watch(&self, child: &ChildContext) -> Option<Watch> {
        if child.model != Model::Event || !self.server.answers.remembers() {
            return None;
        }
        let watch = Watch::new();
        if let Err(error) = &watch {
            let log = self.server.logs.main().at(Level::Notice, "file_cache").because(error);
            log.say(format_args!("changes of files are not told: each request looks"));
        }
        watch.ok()
    }
}

impl Service for WebService {
    type Connection = WebConnection;
    type Local = ThreadState;

    fn child_init(&self, child: &ChildContext) -> io::Result<()> {
        let _ = self.server.scoreboard.set(child.scoreboard.clone()); // A child begins once.
        let _ = self.server.place.set(child.number);
        if let Some(folder) = &self.server.config.server.mpm.core_dump_directory {
            let moved = std::env::set_current_dir(folder);
            if let Err(error) = moved.and_then(|()| sys::process::set_dumpable(true)) {
                let log = self.server.logs.main().at(Level::Error, "core").because(&error);
                log.say(format_args!("CoreDumpDirectory {}", folder.display()));
            }
        }
        self.enter_sandbox()
    }

    fn thread_init(&self, child: &ChildContext) -> ThreadState {
        let access = match child.model {
            Model::Prefork | Model::Worker => Access::MayBlock,
            Model::Event => Access::Inline,
        };
        ThreadState {
            batch: LogBatch::default(),
            clock: LogClock::default(),
            dates: DateCache::new(),
            caches: Caches::default(),
            watch: self.watch(child),
            access,
        }
    }

    fn connect(&self, socket: Socket, peer: Peer, listener: ListenerId) -> WebConnection {
        let address = match peer {
            Peer::Inet(address) => Some(address),
            Peer::Unix => None,
        };
        // Only hosts that are chosen by our own address make it worth a system call.
        let local = if self.server.config.table.needs_local_address() {
            socket.local_address().ok().flatten()
        } else {
            self.listeners.get(listener).address().inet()
        };
        WebConnection::new(Arc::clone(&self.server), socket, Client { address, local, proxy: None })
    }

    fn child_gone(&self, place: usize) {
        if let Some(clients) = &self.server.clients {
            clients.child_gone(place);
        }
    }

    fn change_notices<'l>(&self, local: &'l ThreadState) -> Option<BorrowedFd<'l>> {
        local.watch.as_ref().map(AsFd::as_fd)
    }

    fn drain_change_notices(&self, local: &mut ThreadState) {
        if let Some(watch) = &mut local.watch {
            watch.drain();
        }
    }

    fn end_turn(&self, local: &mut ThreadState) {
        self.server.logs.flush(&mut local.batch);
    }

    fn notice(&self, notice: ChildNotice<'_>) {
        let log = self.server.logs.main();
        match notice {
            ChildNotice::Shortage(error) => {
                log.at(Level::Error, "core")
                    .because(error)
                    .say(format_args!("AH02180: accept failed: connections wait"));
            }
            ChildNotice::FewDescriptors => {
                log.at(Level::Error, "core").say(format_args!(
                    "the last descriptors are kept for files and logs: idle connections are asked to go, and new ones wait \
                     (ulimit -n)"
                ));
            }
            ChildNotice::GateHolderDied => {
                log.at(Level::Warn, "mpm")
                    .say(format_args!("the accept mutex was held by a dead process: taken over"));
            }
            ChildNotice::Failed(error) => {
                log.at(Level::Emerg, "mpm")
                    .because(error)
                    .say(format_args!("this child cannot go on, and ends"));
            }
            ChildNotice::Panicked => {
                log.at(Level::Crit, "mpm").say(format_args!("a connection was lost to a panic"));
            }
            ChildNotice::NoThread(error) => {
                log.at(Level::Alert, "mpm")
                    .because(error)
                    .say(format_args!("a thread could not be started"));
            }
            other => log.at(Level::Warn, "mpm").say(format_args!("{other:?}")),
        }
    }
}
