//! # request: from a head to a response, phase by phase
//!
//! ```text
//! head ─▶ host ─▶ path ─▶ settings ─▶ may it? ─▶ what is it? ─┬─ file ──▶ unchanged? which part? ─▶ response
//!         (B.9)   (I.1)   (sections)   (Require)   (open)      └─ folder ─▶ index file │ redirect │ listing
//!                                          │           │                          │
//!                                          └───────────┴── refusal ──▶ ErrorDocument or the built-in page
//! ```
//!
//! - The phases are Apache's, in Apache's order, so that every directive means what its manual says.
//! - Nothing here waits. With [`Access::Inline`] a request whose files are not in the kernel's memory ends as
//!   [`Outcome::WouldBlock`] without any effect, and is answered by the same function in a job.
//! - What is refused is refused before anything was opened, except where only opening can tell.
//! - No request can name a file outside its root: paths are normalised first, mapped below the root then, and opened
//!   by [`crate::files::open`] last.

mod file;
mod folder;
mod methods;
mod names;
mod place;
mod refusal;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{Config, Host};
use crate::files::Access;
use crate::http::field::Known;
use crate::http::framing::Framing;
use crate::http::head::{Expectation, Head};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::Target;
use crate::log::error::Entry;
use crate::log::{Level, Logs, Moment, Quoted};
use crate::modules::authz_core;
use crate::modules::core::Tokens;
use crate::response::Response;
use crate::route::hosts::HostIndex;
use crate::route::walk::MergeCache;

pub use names::Names;
use place::Place;
use refusal::Refusal;
pub use refusal::refuse;

/// What all requests of a generation are answered from.
#[derive(Debug)]
pub struct Server {
    /// The configuration.
    pub config: Arc<Config>,
    /// Its logs.
    pub logs: Logs,
    /// The value of the `Server` field.
    pub banner: String,
}

impl Server {
    /// A server that answers as `config` says and tells `logs` what goes wrong.
    pub fn new(config: Arc<Config>, logs: Logs) -> Server {
        let banner = banner(config.server.tokens);
        Server { config, logs, banner }
    }
}

/// `ServerTokens`: how much the server tells about itself.
fn banner(tokens: Tokens) -> String {
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    let minor = env!("CARGO_PKG_VERSION_MINOR");
    let version = env!("CARGO_PKG_VERSION");
    match tokens {
        Tokens::Full | Tokens::Os => format!("Herdgate/{version} (Linux)"),
        Tokens::Minimal => format!("Herdgate/{version}"),
        Tokens::Minor => format!("Herdgate/{major}.{minor}"),
        Tokens::Major => format!("Herdgate/{major}"),
        Tokens::Product => "Herdgate".to_owned(),
    }
}

/// The two ends of a connection. A Unix socket has no addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The client's.
    pub address: Option<SocketAddr>,
    /// Ours.
    pub local: Option<SocketAddr>,
}

impl Client {
    /// Our end, for what is chosen by it; unspecified if it has no address, which no `<VirtualHost>` names.
    pub(crate) fn local_or_unspecified(&self) -> SocketAddr {
        self.local.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

/// What became of a request.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the usual one, and leaves at once"
)]
pub enum Outcome {
    /// Its answer.
    Ready(Response),
    /// Inline only: ask again in a job. Nothing has happened.
    WouldBlock,
}

/// Answers one request.
///
/// The cache is the thread's own; it remembers merged settings from request to request.
pub fn respond(
    server: &Server,
    client: &Client,
    head: &Head<'_>,
    now: Moment,
    cache: &mut MergeCache,
    access: Access,
) -> Outcome {
    let mut request = Request::new(server, client, head, now, cache, access);
    let answered = match request.answer() {
        Err(Stop::Refused(refusal)) => request.refused(refusal),
        other => other,
    };
    match answered {
        Ok(response) => {
            server.logs.error(request.host).write_held(&request.troubles.take());
            Outcome::Ready(response)
        }
        Err(Stop::WouldBlock) => Outcome::WouldBlock,
        Err(Stop::Refused(_)) => unreachable!("a refusal's own page is never refused"),
    }
}

/// Why a phase ends the request early.
#[derive(Debug)]
enum Stop {
    WouldBlock,
    Refused(Refusal),
}

/// What one request is about, and how far it has come.
struct Request<'r> {
    server: &'r Server,
    client: &'r Client,
    head: &'r Head<'r>,
    now: Moment,
    access: Access,
    cache: &'r mut MergeCache,
    host: HostIndex,
    /// Where it leads: the path as it came until the phases know better.
    place: Place,
    /// The query; an ErrorDocument has its own.
    query: Option<&'r [u8]>,
    /// Whether this is for an error's page: always a GET, of the whole, whatever the client has.
    for_error: bool,
    /// Lines for the error log, held back until it is certain that no job will say the same again.
    troubles: RefCell<Vec<u8>>,
}

impl<'r> Request<'r> {
    fn new(
        server: &'r Server,
        client: &'r Client,
        head: &'r Head<'r>,
        now: Moment,
        cache: &'r mut MergeCache,
        access: Access,
    ) -> Request<'r> {
        let name = head.host().map(|host| host.name.as_bytes());
        let (host, settings) = server.config.host_for(client.local_or_unspecified(), name);
        let place = Place::unknown(head.path(), Arc::clone(settings.base()));
        let query = head.query();
        Request {
            server,
            client,
            head,
            now,
            access,
            cache,
            host,
            place,
            query,
            for_error: false,
            troubles: RefCell::default(),
        }
    }

    /// The phases in their order.
    fn answer(&mut self) -> Result<Response, Stop> {
        self.check_expectation()?;
        match self.head.target() {
            Target::Asterisk => return Ok(methods::options_of_server(self)),
            Target::Authority(_) => return Err(Refusal::stop(Status::BAD_REQUEST)), // We are no proxy.
            Target::Origin { .. } | Target::Absolute { .. } => {}
        }
        self.place = self.locate(self.head.path())?;
        if self.head.method() == Method::Trace {
            return methods::trace(self); // As in Apache, before anybody asks who may.
        }
        self.check_visible()?;
        self.check_granted()?;
        self.check_body_length()?;
        match self.head.method() {
            Method::Get | Method::Head | Method::Post => self.content(),
            Method::Options => Ok(methods::options(self)),
            other @ Method::Other(_) if !other.is_known() => Err(methods::not_implemented(self)),
            Method::Put
            | Method::Delete
            | Method::Trace
            | Method::Connect
            | Method::Patch
            | Method::Other(_) => Err(methods::not_allowed(self)),
        }
    }

    /// What the place holds.
    fn content(&mut self) -> Result<Response, Stop> {
        let opened = match self.open()? {
            Some(opened) => opened,
            None => match self.fall_back()? {
                Some(opened) => opened,
                None => return Err(Refusal::stop(Status::NOT_FOUND)),
            },
        };
        if opened.is_folder() { self.folder(opened) } else { self.file(opened) }
    }

    fn check_expectation(&self) -> Result<(), Stop> {
        match self.head.expectation() {
            Expectation::Nothing | Expectation::Continue => Ok(()),
            Expectation::Unknown(_) => Err(Refusal::stop(Status::EXPECTATION_FAILED)),
        }
    }

    /// `LimitRequestBody`. Nobody reads the body here; a client that announces too much is told at once.
    fn check_body_length(&self) -> Result<(), Stop> {
        match (self.head.framing(), self.place.settings.core.body_bytes_max()) {
            (Framing::Length(length), Some(max)) if length > max => {
                self.log(Level::Error, "core").say(format_args!(
                    "AH00588: Requested content-length of {length} is larger than the configured limit of {max}"
                ));
                Err(Refusal::stop(Status::REQUEST_ENTITY_TOO_LARGE))
            }
            _ => Ok(()),
        }
    }

    /// `Require`
    fn check_granted(&self) -> Result<(), Stop> {
        if self.grants(&self.place) {
            return Ok(());
        }
        self.log(Level::Error, "authz_core").say(format_args!(
            "AH01630: client denied by server configuration: {}",
            Quoted(self.place.file_or_path())
        ));
        Err(Refusal::stop(Status::FORBIDDEN))
    }

    fn grants(&self, place: &Place) -> bool {
        let unspecified = self.client.local_or_unspecified().ip();
        place.settings.authz.grants(&authz_core::Client {
            address: self.client.address.map_or(unspecified, |address| address.ip()),
            local: unspecified,
            method: self.head.method().as_str(),
        })
    }

    fn host(&self) -> &'r Host {
        &self.server.config.hosts[self.host]
    }

    /// Whether only the head is wanted.
    fn is_head(&self) -> bool {
        self.head.method() == Method::Head
    }

    /// Starts a line in the host's error log.
    fn log(&self, level: Level, module: &'static str) -> Entry<'_> {
        let entry = self.server.logs.error(self.host).at(level, module);
        let entry = entry.client(self.client.address).referer(self.head.first(Known::Referer));
        entry.filtered_by(self.place.settings.core.log_levels()).held_in(&self.troubles)
    }
}

#[cfg(test)]
mod tests;
