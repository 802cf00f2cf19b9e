//! # request: from a head to a response, phase by phase
//!
//! ```text
//! head ─▶ host ─▶ path ─▶ file, settings ─▶ may it? ─▶ what is it? ──▶ fixups ──▶ handler ─▶ finish ─▶ response
//!         (B.9)   (I.1)   (aliases, walk)   (Require)   (open, variants) (index     │  file: unchanged? which part?
//!                   ▲                          │          │           │   file)     └─ folder: listing
//!                   └── internal redirect ─────┼──────────┼──────────┤
//!                                              └──────────┴──────────┴─ refusal ─▶ ErrorDocument or the built-in page
//! ```
//!
//! Before all this [`quick`] looks whether the same was asked before, and nothing has changed since.
//!
//! - The phases are Apache's, in Apache's order, so that every directive means what its manual says. A module takes part
//!   by a function that its phase calls here, in the order of [`Request::phases`]: there is no other place to look.
//! - Nothing here waits. With [`Access::Inline`] a request whose files are not in the kernel's memory ends as
//!   [`Outcome::WouldBlock`] without any effect, and is answered by the same function in a job.
//! - What is refused is refused before anything was opened, except where only opening can tell.
//! - No request can name a file outside its root: paths are normalised first, mapped below the root then, and opened
//!   by [`crate::files::open`] last.

mod access;
mod caches;
mod client_name;
mod facts;
mod fields;
mod file;
mod filters;
mod folder;
mod handler;
mod listing;
mod made_from;
mod methods;
mod names;
mod place;
mod quick;
mod refusal;
mod trace;
mod translate;
mod variables;

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use herdgate_mpm::scoreboard::Scoreboard;

use crate::clients::Clients;
use crate::config::{Config, DirSettings, Host};
use crate::files::Access;
use crate::files::digest::{Digest, Digests};
use crate::files::open::Opened;
use crate::http::date;
use crate::http::etag::ETag;
use crate::http::field;
use crate::http::framing::Framing;
use crate::http::head::{Expectation, Head};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::Target;
use crate::log::error::Entry;
use crate::log::error_format::AboutRequest;
use crate::log::{Arrival, Level, Logs, Moment, Quoted};
use crate::modules::client_limits::{self, Verdict};
use crate::modules::core::{AcceptPathInfo, Tokens};
use crate::modules::{
    alias, auth_basic, env, expires, headers, negotiation, remoteip, rewrite, setenvif, unique_id,
};
use crate::password::Verified;
use crate::response::{Fields, First, Response};
use crate::route::hosts::HostIndex;
use crate::sandbox::Sandbox;

pub use caches::Caches;
pub use client_name::ClientNames;
pub(crate) use client_name::NameTrust;
pub(crate) use facts::Known;
pub use fields::EditedFields;
pub(crate) use fields::RequestFields;
use made_from::MadeFrom;
pub use names::Names;
pub(crate) use place::Place;
pub use quick::{AnswerCache, Remembered};
pub(crate) use refusal::Refusal;
pub use refusal::refuse;
pub use trace::{Step, Trace};
pub use variables::Env;

/// What all requests of a generation are answered from.
#[derive(Debug)]
pub struct Server {
    /// The configuration.
    pub config: Arc<Config>,
    /// Its logs.
    pub logs: Logs,
    /// The value of the `Server` field.
    pub banner: String,
    /// Passwords that were right.
    pub verified: Verified,
    /// What files come to that have an entity tag by their content.
    pub(crate) digests: Digests,
    /// What clients are called.
    pub client_names: ClientNames,
    /// What children give up before they serve.
    pub sandbox: Sandbox,
    /// What all workers do; a process learns of it when it begins to serve.
    pub scoreboard: OnceLock<Scoreboard>,
    /// Its place there.
    pub place: OnceLock<usize>,
    /// What each client has; `None` if nothing was ever limited.
    pub clients: Option<Arc<Clients>>,
    /// Names for requests.
    pub(crate) unique_ids: unique_id::Names,
    /// What was answered before.
    pub answers: AnswerCache,
}

impl Server {
    /// A server that answers as `config` says and tells `logs` what goes wrong.
    pub fn new(config: Arc<Config>, logs: Logs) -> Server {
        let banner = banner(config.server.tokens);
        let (verified, digests, client_names) = Default::default();
        let (scoreboard, place, unique_ids) = Default::default();
        let clients = None;
        let sandbox = Sandbox::of(&config);
        let answers = Server::answer_cache(&config);
        Server {
            config,
            logs,
            banner,
            verified,
            digests,
            client_names,
            sandbox,
            scoreboard,
            place,
            clients,
            unique_ids,
            answers,
        }
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
    /// The proxy that the connection comes from, if `address` is what that has told.
    pub proxy: Option<SocketAddr>,
}

impl Client {
    /// The client's address, for what is decided by it; on a Unix socket both ends count as one machine.
    pub(crate) fn address_or_own(&self) -> IpAddr {
        self.address.unwrap_or_else(|| self.local_or_unspecified()).ip()
    }

    /// The other end of the connection, whoever that speaks for.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.proxy.or(self.address)
    }

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
    /// Inline only: ask again in a job. Nothing has happened, but that the client may have been counted.
    WouldBlock(Option<Verdict>),
}

/// Answers one request.
///
/// The caches are the thread's own; they remember from request to request what costs time to find out.
pub fn respond(
    server: &Server,
    client: &Client,
    head: &Head<'_>,
    arrival: impl Into<Arrival>,
    caches: &mut Caches,
    access: Access,
) -> Outcome {
    Request::new(server, client, head, arrival.into(), caches, access).outcome()
}

/// Answers in a job what [`respond`] could not without waiting; `verdict` is what came of that.
pub fn respond_in_job(
    server: &Server,
    client: &Client,
    head: &Head<'_>,
    arrival: Arrival,
    verdict: Option<Verdict>,
) -> Response {
    let mut caches = Caches::default();
    let mut request = Request::new(server, client, head, arrival, &mut caches, Access::MayBlock);
    request.verdict = verdict;
    match request.outcome() {
        Outcome::Ready(response) => response,
        Outcome::WouldBlock(_) => unreachable!("a job may block"),
    }
}

/// Answers one request as [`respond`] does, may wait for a disk, and tells `trace` what it does.
pub fn explain(
    server: &Server,
    client: &Client,
    head: &Head<'_>,
    now: Moment,
    trace: &Trace,
) -> Response {
    let mut caches = Caches::default();
    let mut request = Request::new(server, client, head, now.into(), &mut caches, Access::MayBlock);
    request.listener = Some(trace);
    match request.outcome() {
        Outcome::Ready(response) => response,
        Outcome::WouldBlock(_) => unreachable!("it may block"),
    }
}

/// Why a phase ends the request early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Inline only: a job has to do this.
    WouldBlock,
    /// A status, and the page that tells it.
    Refused(Refusal),
    /// An internal redirect: another path answers, from the first phase on.
    Elsewhere(Elsewhere),
}

/// Where an internal redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Who leads there, for the log.
    pub(crate) handler: &'static str,
    /// Decoded and normalised.
    pub(crate) path: Vec<u8>,
    /// Without the `?`.
    pub(crate) query: Option<Vec<u8>>,
}

/// What one request is about, and how far it has come.
pub(crate) struct Request<'r> {
    pub(crate) server: &'r Server,
    /// Who asks, as far as proxies on the way are believed.
    client: Client,
    pub(crate) head: &'r Head<'r>,
    now: Moment,
    pub(crate) arrival: Arrival,
    pub(crate) access: Access,
    pub(crate) caches: &'r mut Caches,
    host: HostIndex,
    /// Where it leads: the path as it came until the phases know better.
    pub(crate) place: Place,
    /// The query; an ErrorDocument has its own.
    pub(crate) query: Option<Cow<'r, [u8]>>,
    /// The client's fields, as modules have left them.
    pub(crate) fields: RequestFields<'r>,
    /// What the answer is made from, beside the fields.
    pub(crate) made_from: MadeFrom,
    /// Variables.
    pub(crate) env: Env,
    /// What modules tell each other.
    pub(crate) notes: Env,
    /// Who the client says to be; once it was let in, who it has proved to be.
    pub(crate) user: Option<Vec<u8>>,
    /// Whether the client may have one more request, once somebody has asked.
    pub(crate) verdict: Option<Verdict>,
    /// By which scheme.
    pub(crate) auth_type: Option<&'static str>,
    /// What its address is called, if somebody wanted to know.
    remote_host: RefCell<Option<String>>,
    /// What our address is called, if `UseCanonicalName DNS` wants to know.
    own_name: Option<String>,
    /// The settings by which it was let in last.
    granted: Option<Arc<DirSettings>>,
    /// What rules have said besides the path.
    pub(crate) rewriting: rewrite::Rewriting,
    /// What the place holds, once it was opened; `None` before, and if there is nothing.
    pub(crate) found: Option<Opened>,
    /// When that was last changed, in seconds since 1970.
    pub(crate) modified: Option<i64>,
    /// Fields that go along with whatever is answered, errors too.
    pub(crate) always: Fields,
    /// What the content of the file at hand comes to, if its entity tag is made of that.
    digest: Option<Digest>,
    /// Of a negotiated resource: the version of the list that was chosen from, which is part of the entity tag.
    pub(crate) list_tag: Option<ETag>,
    /// A cache of HTTP/1.0 must not keep the answer.
    pub(crate) no_cache: bool,
    /// Who answers, as the log calls it; `None` for a file as it is.
    pub(crate) handler: Option<&'static str>,
    /// What was asked for before the first internal redirect.
    first: Option<Box<First>>,
    /// Whether this only asks what would be answered; it never asks on.
    is_inquiry: bool,
    /// Whether the path at hand is tried in another one's stead: an index file, a fallback.
    is_trial: bool,
    /// Whether this is for an error's page: always a GET, of the whole, whatever the client has.
    for_error: bool,
    /// Fields of the request that expressions have asked for.
    varies: RefCell<Vec<String>>,
    /// Lines for the error log, held back until it is certain that no job will say the same again.
    troubles: RefCell<Vec<u8>>,
    /// Who wants to know what happens; see [`Request::trace`].
    listener: Option<&'r Trace>,
}

impl<'r> Request<'r> {
    fn new(
        server: &'r Server,
        client: &'r Client,
        head: &'r Head<'r>,
        arrival: Arrival,
        caches: &'r mut Caches,
        access: Access,
    ) -> Request<'r> {
        let name = head.host().map(|host| host.name.as_bytes());
        let local = client.local_or_unspecified();
        let (host, settings) = match name {
            Some(_) => server.config.host_for(local, name),
            None => server.config.host_by_path(local, head.path()),
        };
        Request {
            server,
            client: *client,
            head,
            now: arrival.wall,
            arrival,
            access,
            caches,
            host,
            place: Place::unknown(head.path(), Arc::clone(settings.base())),
            query: head.query().map(Cow::Borrowed),
            fields: RequestFields::sent(head),
            made_from: MadeFrom::default(),
            env: Env::default(),
            notes: Env::default(),
            user: None,
            verdict: None,
            auth_type: None,
            remote_host: RefCell::default(),
            own_name: None,
            granted: None,
            rewriting: rewrite::Rewriting::default(),
            found: None,
            modified: None,
            always: Fields::default(),
            digest: None,
            list_tag: None,
            no_cache: false,
            handler: None,
            first: None,
            is_inquiry: false,
            is_trial: false,
            for_error: false,
            varies: RefCell::default(),
            troubles: RefCell::default(),
            listener: None,
        }
    }

    /// All of it, from the first phase to the last touches.
    fn outcome(mut self) -> Outcome {
        let answered = match self.answer() {
            Err(Stop::Refused(refusal)) => {
                let refused = self.refused(refusal);
                self.varies.take(); // As Apache: only what is asked for from here on is told.
                refused
            }
            other => other.map(|response| self.with_vary(response)),
        };
        match answered.and_then(|response| self.finish(response)) {
            Ok(response) => Outcome::Ready(self.close(response)),
            Err(Stop::WouldBlock) => Outcome::WouldBlock(self.verdict),
            Err(Stop::Refused(_) | Stop::Elsewhere(_)) => {
                unreachable!("a refusal's own page is never refused, and leads nowhere")
            }
        }
    }

    fn answer(&mut self) -> Result<Response, Stop> {
        self.check_method()?;
        self.check_expectation()?;
        self.check_host()?;
        remoteip::post_read_request(self);
        client_limits::post_read_request(self)?;
        match self.head.target() {
            Target::Asterisk => return Ok(methods::options_of_server(self)),
            Target::Authority(_) => return Err(Refusal::stop(Status::BAD_REQUEST)), // We are no proxy.
            Target::Origin { .. } | Target::Absolute { .. } => {}
        }
        let path = self.normalise(self.head.path())?;
        self.place.path.clone_from(&path);
        self.trace_host();
        unique_id::post_read_request(self);
        self.name_ends()?;
        headers::post_read_request(self)?;
        setenvif::post_read_request(self)?;
        self.run(path)
    }

    /// Runs the phases for a path, and again wherever an internal redirect leads.
    fn run(&mut self, path: Vec<u8>) -> Result<Response, Stop> {
        let mut path = path;
        let redirects_max = self.host().settings.core.internal_recursion().redirects_max;
        for _ in 0..=redirects_max {
            match self.phases(path) {
                Err(Stop::Elsewhere(there)) => {
                    self.trace(
                        "core",
                        format_args!("internal redirect to {}", Quoted(&there.path)),
                    );
                    let path_before = std::mem::take(&mut self.place.path);
                    self.note_first(&path_before, Status::OK, Some(there.handler));
                    self.env = std::mem::take(&mut self.env).redirected();
                    self.env.set("REDIRECT_STATUS", *b"200");
                    self.env.set("REDIRECT_URL", self.redirect_url(&path_before));
                    self.query = there.query.map(Cow::Owned);
                    path = there.path;
                }
                other => return other,
            }
        }
        self.log(Level::Error, "core").say(format_args!(
            "AH00124: Request exceeded the limit of {redirects_max} internal redirects due to probable \
             configuration error. Use 'LimitInternalRecursion' to increase the limit if necessary. Use 'LogLevel debug' \
             to get a backtrace."
        ));
        Err(Refusal::stop(Status::INTERNAL_SERVER_ERROR))
    }

    /// An internal redirect begins: what it began with is remembered for the log.
    fn note_first(&mut self, path: &[u8], status: Status, handler: Option<&'static str>) {
        self.first.get_or_insert_with(|| Box::new(First { path: path.to_vec(), status, handler }));
    }

    /// The phases in their order.
    fn phases(&mut self, path: Vec<u8>) -> Result<Response, Stop> {
        self.found = None;
        self.modified = None;
        self.handler = None;
        self.rewriting.forget_media();
        self.go_to(path)?;
        if self.head.method() == Method::Trace && !self.for_error {
            return methods::trace(self); // As in Apache, before anybody asks who may.
        }
        self.check_visible()?;
        self.name_ends()?;
        setenvif::header_parser(self)?;
        self.check_access()?;
        self.check_body_length()?;
        self.find()?;
        negotiation::type_checker(self)?;
        self.fixups()?;
        self.fixup_folder()?;
        self.handle()
    }

    /// The last touches before the handler, which may yet lead elsewhere.
    fn fixups(&mut self) -> Result<(), Stop> {
        rewrite::fixups(self).map_err(|stop| self.slash_first(stop))?;
        env::fixups(self);
        alias::fixups(self)?;
        auth_basic::fixups(self)?;
        rewrite::force_media(self);
        headers::fixups(self)
    }

    /// What answers: by method, by handler, by what the place holds.
    fn handle(&mut self) -> Result<Response, Stop> {
        match self.method() {
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

    /// What the handler makes of what the place holds.
    fn content(&mut self) -> Result<Response, Stop> {
        let handler = handler::of(self);
        handler(self)
    }

    /// The default handler: the file as it is, or a folder's listing.
    pub(crate) fn serve(&mut self) -> Result<Response, Stop> {
        match self.found.take() {
            Some(found) if found.is_folder() => self.listing(&found),
            Some(found) if self.accepts_path_info() => self.file(found),
            Some(_) => Err(self.does_not_exist("AH00130")),
            None => Err(self.does_not_exist("AH00128")),
        }
    }

    /// 404, which is told at `LogLevel info`: it is no fault of ours.
    fn does_not_exist(&self, number: &str) -> Stop {
        let (file, path_info) = (Quoted(self.place.file()), Quoted(self.place.path_info()));
        let entry = self.log(Level::Info, "core");
        entry.say(format_args!("{number}: File does not exist: {file}{path_info}"));
        Refusal::stop(Status::NOT_FOUND)
    }

    /// `AcceptPathInfo`: a file does not care what stands behind its name, or there is nothing.
    fn accepts_path_info(&self) -> bool {
        let accepts = self.place.settings.core.accept_path_info() == AcceptPathInfo::On;
        accepts || self.place.path_info().is_empty()
    }

    /// The last touches: whatever made the response, this is what every response gets. The server's own pages go through
    /// no filter.
    fn finish(&mut self, mut response: Response) -> Result<Response, Stop> {
        expires::finish(self, &mut response);
        if !response.is_page {
            self.filter(&mut response)?;
        }
        let mut always = std::mem::take(&mut self.always);
        headers::finish(self, &mut response, &mut always)?;
        self.vary_further(&mut response);
        response.fields.prepend(always);
        response.fields.join_vary();
        if self.no_cache && response.fields.get("Expires").is_none() {
            response.fields.push("Expires", &date::format(self.now().secs));
        }
        if self.env.get("force-no-vary").is_some() {
            response.fields.remove("Vary");
            self.env.set("downgrade-1.0", *b"1");
            self.env.set("force-response-1.0", *b"1");
        }
        response.drop_what_cannot_be(self.is_head());
        response.frame_parts();
        Ok(response)
    }

    /// The request is over: what is known about it goes along for the log.
    fn close(self, mut response: Response) -> Response {
        self.trace_troubles();
        let troubles = self.troubles.into_inner();
        self.server.logs.error(self.host).write_held(&troubles);
        response.env = self.env;
        response.notes = self.notes;
        response.user = self.user;
        response.own_name = self.own_name;
        response.client_name = self.remote_host.into_inner();
        response.first = self.first;
        response.query = match self.query {
            Some(Cow::Borrowed(_)) => None,
            Some(Cow::Owned(changed)) => Some(changed),
            None => self.head.query().map(|_| Vec::new()),
        };
        if troubles.is_empty() && self.listener.is_none() {
            let (asked, request) = (self.fields.asked(), (&self.client, self.head, self.now));
            self.server.answers.remember(request, self.made_from, asked, &mut response);
        }
        response.request_fields = self.fields.into_edited();
        response
    }

    /// `HttpProtocolOptions RegisteredMethods`
    fn check_method(&self) -> Result<(), Stop> {
        if self.host().settings.core.registered_methods() && !self.head.method().is_known() {
            return Err(methods::not_implemented(self));
        }
        Ok(())
    }

    fn check_expectation(&self) -> Result<(), Stop> {
        match self.head.expectation() {
            Expectation::Nothing | Expectation::Continue => Ok(()),
            Expectation::Unknown(_) => Err(Refusal::stop(Status::EXPECTATION_FAILED)),
        }
    }

    /// `LimitRequestBody`. Nobody reads the body here; a client that announces too much is told at once. Chunks have been
    /// read before, as far as anybody wants to, and count as announced.
    fn check_body_length(&self) -> Result<(), Stop> {
        match (self.head.framing(), self.place.settings.core.body_bytes_max()) {
            (Framing::Length(length), Some(max)) if length > max => {
                self.log(Level::Info, "http").say(format_args!(
                    "AH01588: Requested content-length of {length} is larger than the configured limit of {max}"
                ));
                Err(Refusal::stop(Status::REQUEST_ENTITY_TOO_LARGE))
            }
            _ => Ok(()),
        }
    }

    /// Who asks, as far as proxies on the way are believed.
    pub(crate) fn client(&self) -> &Client {
        self.made_from.cannot_be_repeated();
        &self.client
    }

    /// Somebody else asks than whoever holds the connection.
    pub(crate) fn set_client(&mut self, client: Client) {
        self.made_from.cannot_be_repeated();
        self.client = client;
    }

    /// Our end of the connection.
    pub(crate) fn local(&self) -> SocketAddr {
        self.client.local_or_unspecified()
    }

    /// When it was asked, for caches: what they give does not depend on it.
    pub(crate) fn moment(&self) -> Moment {
        self.now
    }

    /// When it was asked.
    pub(crate) fn now(&self) -> Moment {
        self.made_from.ask_the_time();
        self.now
    }

    /// The method; whatever the client's is, an error's page is read by GET.
    pub(crate) fn method(&self) -> Method<'r> {
        if self.for_error { Method::Get } else { self.head.method() }
    }

    pub(crate) fn host(&self) -> &'r Host {
        &self.server.config.hosts[self.host]
    }

    /// Whether only the head is wanted.
    pub(crate) fn is_head(&self) -> bool {
        self.head.method() == Method::Head
    }

    /// Starts a line in the host's error log.
    pub(crate) fn log(&self, level: Level, module: &'static str) -> Entry<'_> {
        let entry = self.server.logs.error(self.host).at(level, module);
        let entry =
            entry.client(self.client.address).referer(self.fields.glance(field::Known::Referer));
        let entry = entry.filtered_by(self.place.settings.core.log_levels()).about(self);
        entry.held_in(&self.troubles)
    }
}

impl AboutRequest for Request<'_> {
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.header(name)
    }

    fn variable(&self, name: &str) -> Option<&[u8]> {
        self.env.get(name)
    }

    fn note(&self, name: &str) -> Option<&[u8]> {
        self.notes.get(name)
    }

    fn local(&self) -> Option<SocketAddr> {
        self.client.local
    }
}

#[cfg(test)]
mod tests;
