//! What becomes of a request, step by step, for whoever asks why: `herdgate explain`.
//!
//! ```text
//! request.trace("rewrite", format_args!("rule 3 matches {}", Quoted(path)))     while nobody listens: one comparison
//! ```
//!
//! - The code that serves tells its own story: there is no second one that could tell another.
//! - A step is a sentence for people, below the name of the module that took it. Foreign bytes belong into
//!   [`Quoted`](crate::log::Quoted).

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

use super::place::find_htaccess;
use super::{Caches, Place, Request};
use crate::files::open::Opened;
use crate::http::status::Status;
use crate::log::Quoted;
use crate::route::alias::Mapped;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who did it: the module's name without `mod_`.
    pub module: &'static str,
    /// What was done, and why.
    pub text: String,
}

/// Collects the steps of one request.
#[derive(Debug, Default)]
pub struct Trace {
    steps: RefCell<Vec<Step>>,
}

impl Trace {
    /// What has happened so far, which is forgotten here.
    pub fn take(&self) -> Vec<Step> {
        self.steps.take()
    }

    fn add(&self, module: &'static str, what: fmt::Arguments<'_>) {
        self.steps.borrow_mut().push(Step { module, text: what.to_string() });
    }
}

impl Request<'_> {
    /// Asks something that would be a story of its own, and tells none of it.
    pub(crate) fn quietly<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let listener = self.listener.take();
        let answer = ask(self);
        self.listener = listener;
        answer
    }

    /// Tells whoever wants an explanation what happens. Costs nothing while nobody does: `what` is not put into words.
    #[inline]
    pub(crate) fn trace(&self, module: &'static str, what: fmt::Arguments<'_>) {
        if let Some(trace) = self.listener {
            trace.add(module, what);
        }
    }

    /// Whether anybody listens, for what takes more than a sentence to find out.
    pub(crate) fn is_traced(&self) -> bool {
        self.listener.is_some()
    }

    /// Which host answers, and why it and no other.
    pub(super) fn trace_host(&self) {
        if !self.is_traced() {
            return;
        }
        let host = self.host();
        let local = self.client.local_or_unspecified();
        let asked = self.head.host().map_or("", |asked| asked.name);
        let name = &host.name;
        match &host.place {
            None => self.trace("core", format_args!("host {name}, the main server: no <VirtualHost> is for {local}")),
            Some(place) if self.server.config.table.knows(local, asked.as_bytes()) => {
                self.trace("core", format_args!("host {name} ({place}): it is for {local}, and has the name {asked}"));
            }
            Some(place) => self.trace("core", format_args!(
                "host {name} ({place}): no host for {local} has the name \"{asked}\", and this one is the first"
            )),
        }
    }

    pub(super) fn trace_mapping(&self, path: &[u8], mapped: &Mapped) {
        if !self.is_traced() {
            return;
        }
        let root = mapped.root();
        let is_document_root = self.host().settings.core.document_root() == Some(root);
        let by = if is_document_root { "DocumentRoot" } else { "an alias'" };
        self.trace(
            "core",
            format_args!("{} is {}, below {by} {}", Quoted(path), shown(&mapped.file), shown(root)),
        );
    }

    /// Which sections and `.htaccess` files hold for a path and its file, in the order of merging.
    pub(super) fn trace_sections(&self, path: &[u8], file: Option<&Path>) {
        if !self.is_traced() {
            return;
        }
        let host = self.host();
        let mut htaccess = Caches::default().htaccess;
        let layers = host.layers(path, file, |folder, permit| {
            let names = host.settings.core.access_file_names();
            let when = (self.access, self.now);
            let server = &self.server.config.server;
            find_htaccess(names, folder, permit, server, &mut htaccess, when, &self.made_from)
        });
        for layer in layers.into_iter().flatten() {
            self.trace("core", format_args!("applies: {}", Quoted(layer.as_bytes())));
        }
    }

    pub(super) fn trace_found(&self, found: Option<&Opened>, place: &Place) {
        let file = Quoted(place.file());
        match found {
            Some(found) if found.is_folder() => {
                self.trace("core", format_args!("{file} is a folder"))
            }
            Some(found) => {
                self.trace("core", format_args!("{file} is a file of {} bytes", found.stat.size))
            }
            None if place.mapped.is_some() => {
                self.trace("core", format_args!("there is no {file}"))
            }
            None => self.trace("core", format_args!("the host has no DocumentRoot to look in")),
        }
    }

    /// What the error log would say.
    pub(super) fn trace_troubles(&self) {
        if self.is_traced() {
            for line in
                self.troubles.borrow().split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
            {
                let message = message(line);
                self.trace("log", format_args!("{}", String::from_utf8_lossy(message)));
            }
        }
    }

    pub(super) fn trace_refusal(&self, status: Status, told_by: fmt::Arguments<'_>) {
        let (code, reason) = (status.code(), status.reason());
        self.trace("core", format_args!("the answer is {code} {reason}, told by {told_by}"));
    }
}

/// What stands in a line of the error log behind time, process and client.
fn message(line: &[u8]) -> &[u8] {
    let mut rest = line.trim_ascii_end();
    // `[time] [module:level] [pid …] ` and perhaps `(13)Permission denied: [client …] `.
    while let Some(end) = rest.strip_prefix(b"[").and_then(|_| memchr::memmem::find(rest, b"] ")) {
        rest = &rest[end + 2..];
    }
    rest
}

/// A file's name for people.
fn shown(file: &Path) -> Quoted<'_> {
    Quoted(file.as_os_str().as_encoded_bytes())
}
