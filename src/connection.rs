//! # connection: one client, from the first byte to lingering close
//!
//! ```text
//!          ┌──────────────────────── keep-alive ◀───────────────────────────────┐
//!          ▼                                                                    │
//!   reading the request ─▶ answering (if a job must) ─▶ writing the response ─▶ discarding the request's body
//!          │                                                │
//!          └─ end of file, error ─▶ gone                    └─▶ lingering close ─▶ gone
//! ```
//!
//! - It never waits: it goes on as far as socket and page cache allow, and says what it waits for.
//! - Requests that arrived together are answered together: their answers leave in one write.
//! - Idle, it owns next to nothing: buffers are the thread's. A rest of input, an unsent rest of output, and the
//!   head of a request whose answer takes time are kept in memory of their own, as long as they last.
//! - A request whose first byte has arrived is answered, whatever the server is told meanwhile.

mod answers;
mod pacing;
mod segments;
mod sending;
mod streaming;

use std::io::{Cursor, Write as _};
use std::sync::Arc;
use std::time::Duration;

use herdgate_mpm::linger::Linger;
use herdgate_mpm::scoreboard::{Ending, REQUEST_BYTES_MAX, State as Doing};
use herdgate_mpm::{
    Connection, Deadline, Interest, JobHandle, Moment, Phase, Socket, Step, Turn, Wait, Why,
};

use crate::clients::{Counted, TooMany};
use crate::files::Access;
use crate::http::body::{Drain, DrainState};
use crate::http::framing::Framing;
use crate::http::head::{self, Head, HeadLimits, Parse};
use crate::http::proxy_protocol::{self, Preamble};
use crate::http::status::Status;
use crate::log;
use crate::modules::client_limits::{self, Verdict};
use crate::modules::remoteip;
use crate::modules::reqtimeout::Stage;
use crate::request::{self, Client, Outcome, Server};
use crate::response::Response;
use crate::server::ThreadState;
use crate::transport::{Received, Transport};
use answers::{Answers, Asked, Unlogged};
use pacing::Patience;
use sending::Sending;

/// How long an idle connection may still wait for one more request once the server wants it to go.
const LAST_CHANCE_MAX: Duration = Duration::from_secs(3);
/// A request body that nobody wants is thrown away up to this size; a longer one costs the connection.
const DISCARD_BYTES_MAX: u64 = 1024 * 1024;

/// One client.
pub struct WebConnection {
    server: Arc<Server>,
    transport: Transport,
    client: Client,
    /// The PROXY protocol's header is still to come.
    awaits_preamble: bool,
    /// It counts as one of its client's, where those are limited.
    counted: Option<Counted>,
    state: State,
    /// Responses so far that kept the connection alive.
    kept: u32,
    /// Requests answered, and bytes sent or about to be.
    served: Served,
    /// It was shed: the next answer is the last one.
    last: bool,
    /// Its time was over: lingering close does not take long.
    out_of_time: bool,
    /// Answers that were not the last one although it should go, since another request had come with theirs.
    kept_leaving: u8,
}

/// What a connection has had, for the scoreboard.
#[derive(Clone, Copy, Default)]
struct Served {
    requests: u64,
    bytes: u64,
}

/// Where a connection is in its life.
enum State {
    /// Just accepted.
    Fresh,
    /// Waiting for a request, or collecting its head.
    ReadingRequest(Awaited),
    /// A job works out the answer: something has to be read from a disk.
    Answering(Box<Answering>),
    /// An answer is on its way out. `Timeout` runs, anew with every byte that moves.
    WritingResponse(Box<Sending>, Then),
    /// The answer has gone, and the request's body is being thrown away. `Timeout` runs, anew with every byte.
    DiscardingBody(Box<Discarding>),
    /// We have sent FIN and throw input away, so that a reset cannot destroy the answer before the client has read
    /// it (RFC 9112 §9.6).
    LingeringClose(Linger),
    /// Over.
    Gone,
}

/// The wait for a request.
#[derive(Clone, Copy)]
struct Awaited {
    /// `KeepAliveTimeout` between two requests; `Timeout` before the first one, and anew with every byte of a head, up to
    /// what `RequestReadTimeout` allows.
    until: Moment,
    /// When the wait for the request began, or if others were answered before, when its first byte came.
    started: Moment,
    /// The first byte is here.
    begun: bool,
    /// Another request was answered before.
    kept: bool,
}

/// A request whose answer takes time, with a copy of its head.
struct Answering {
    job: JobHandle<Response>,
    head: Arc<[u8]>,
    received: log::Arrival,
}

/// A request's body, on its way to nowhere.
struct Discarding {
    drain: Drain,
    until: Moment,
    started: Moment,
    /// `RequestReadTimeout`
    stage: Stage,
    /// How long the connection may be idle afterwards.
    idle: Duration,
}

/// What follows when the answers have gone.
enum Then {
    /// Another request, whose first bytes may be here already. How long the connection may be idle.
    Next { begun: bool, idle: Duration },
    /// The rest of a request's body, then another request.
    Discard(Box<Drain>, Duration, Stage),
    /// A job's answer.
    Answer(Box<Answering>),
    /// The end.
    Close,
}

/// Why a connection is not heard.
enum Unwelcome {
    /// It does not begin as it must.
    NoPreamble,
    /// Its client has as many as it may.
    TooMany,
}

impl From<TooMany> for Unwelcome {
    fn from(_: TooMany) -> Self {
        Self::TooMany
    }
}

/// How one state goes over into another.
enum Move {
    /// At once.
    To(State),
    /// When this comes true.
    Wait(State, Wait),
}

impl Move {
    fn wait(state: State, phase: Phase, client: Interest, until: Moment) -> Self {
        Self::Wait(state, Wait { phase, client, deadline: Deadline::At(until) })
    }
}

impl WebConnection {
    /// A connection that has just been accepted.
    pub fn new(server: Arc<Server>, socket: Socket, client: Client) -> Self {
        Self {
            awaits_preamble: remoteip::expects_preamble(&server.config, &client),
            server,
            transport: Transport::new(socket),
            client,
            counted: None,
            state: State::Fresh,
            kept: 0,
            served: Served::default(),
            last: false,
            out_of_time: false,
            kept_leaving: 0,
        }
    }
}

impl Connection<ThreadState> for WebConnection {
    fn socket(&self) -> &Socket {
        self.transport.socket()
    }

    fn advance(&mut self, turn: &mut Turn<'_, ThreadState>) -> Step {
        self.last |= turn.why() == Why::Shed;
        loop {
            let next = match std::mem::replace(&mut self.state, State::Gone) {
                State::Fresh if !self.awaits_preamble && self.count_in().is_err() => {
                    self.turn_away(turn)
                }
                State::Fresh => {
                    let started = turn.now();
                    let until = self.head_deadline(started, started, 0);
                    let awaited = Awaited { until, started, begun: false, kept: false };
                    Move::To(State::ReadingRequest(awaited))
                }
                State::ReadingRequest(awaited) => self.read_request(awaited, turn),
                State::Answering(answering) => self.answer_at_last(answering, turn),
                State::WritingResponse(sending, then) => self.write_response(sending, then, turn),
                State::DiscardingBody(discarding) => self.discard_body(discarding, turn),
                State::LingeringClose(mut linger) => {
                    match linger.advance(self.transport.socket(), turn) {
                        Step::Wait(wait) => Move::Wait(State::LingeringClose(linger), wait),
                        Step::Done => return Step::Done,
                    }
                }
                State::Gone => return Step::Done,
            };
            match next {
                Move::To(state) => self.state = state,
                Move::Wait(state, wait) => {
                    self.state = state;
                    return Step::Wait(wait);
                }
            }
        }
    }
}

impl WebConnection {
    // --- clients that have enough ---

    /// It is known now whose connection this is.
    fn count_in(&mut self) -> Result<(), TooMany> {
        self.counted = client_limits::connection(&self.server, &self.client)?;
        Ok(())
    }

    /// Says so and closes, without reading a request and without waiting for anything: what a client cannot have
    /// should cost as little as can be.
    fn turn_away(&self, turn: &mut Turn<'_, ThreadState>) -> Move {
        const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
            Content-Length: 0\r\nConnection: close\r\n\r\n";
        turn.slot().count_ending(Ending::TooMany);
        let socket = self.transport.socket();
        // A fresh socket has room for it. What has come is taken, or else the kernel would answer it by a reset, which
        // may destroy what we say; what comes later is not waited for.
        let _ = socket.write(ANSWER).and_then(|_| socket.shutdown_write());
        let _ = socket.read(&mut turn.buffers().read);
        Move::To(State::Gone)
    }

    // --- reading requests ---

    /// Takes what input there is, and answers every whole request in it.
    fn read_request(&mut self, awaited: Awaited, turn: &mut Turn<'_, ThreadState>) -> Move {
        let mut buffer = std::mem::take(&mut turn.buffers().read);
        let mut held = Vec::new();
        let next = match self.transport.receive(&mut buffer, &mut held) {
            Ok(Received::Input(input)) => match self.skip_preamble(input) {
                Ok(Some(rest)) => self.answer_all(rest, awaited, turn),
                Ok(None) => {
                    self.transport.keep(input, false);
                    wait_for_request(awaited)
                }
                Err(Unwelcome::NoPreamble) => {
                    turn.slot().count_ending(Ending::Refused);
                    self.close(turn)
                }
                Err(Unwelcome::TooMany) => self.turn_away(turn),
            },
            // Whatever had come by the deadline was read just now, so no request is lost by closing.
            Ok(Received::Nothing) if turn.now() >= awaited.until && !awaited.begun => {
                let ending = if awaited.kept { Ending::IdleTimeout } else { Ending::Silent };
                self.time_is_over(ending, turn);
                self.close(turn)
            }
            Ok(Received::Nothing) if turn.now() >= awaited.until => {
                self.give_up_on_head(&held, turn)
            }
            Ok(Received::Nothing) => {
                self.transport.keep(&held, false);
                wait_for_request(last_chance(awaited, turn))
            }
            Ok(Received::End) | Err(_) => {
                if awaited.begun {
                    turn.slot().count_ending(Ending::RequestAborted);
                }
                Move::To(State::Gone)
            }
        };
        turn.buffers().read = buffer;
        next
    }

    /// What follows the PROXY protocol's header, if one is awaited; `None` while that is not whole.
    fn skip_preamble<'i>(&mut self, input: &'i [u8]) -> Result<Option<&'i [u8]>, Unwelcome> {
        if !self.awaits_preamble {
            return Ok(Some(input));
        }
        match proxy_protocol::parse(input) {
            Preamble::Partial => Ok(None),
            Preamble::Complete { client, length } => {
                self.awaits_preamble = false;
                if let Some(client) = client {
                    let proxy = self.client.address;
                    self.client = Client { address: Some(client), proxy, ..self.client };
                    self.count_in()?;
                }
                Ok(Some(&input[length..]))
            }
            Preamble::Invalid(why) => {
                let log = self.server.logs.main().at(log::Level::Error, "remoteip");
                log.client(self.client.address).say(format_args!(
                    "AH03496: RemoteIPProxyProtocol data is missing, but required! Aborting request. ({why})"
                ));
                Err(Unwelcome::NoPreamble)
            }
        }
    }

    /// Answers every whole request in the input, as long as their answers fit together.
    fn answer_all(
        &mut self,
        input: &[u8],
        awaited: Awaited,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        let mut answers = Answers::new(turn);
        let mut used = 0;
        let mut then = None;
        while then.as_ref().is_none_or(Then::is_next) && answers.have_room() {
            match head::parse(&input[used..], &self.head_limits()) {
                Parse::Partial { begun, .. } => {
                    let Some(Then::Next { idle, .. }) = then else {
                        return self.await_more(&input[used..], awaited, begun, answers, turn);
                    };
                    then = Some(Then::Next { begun, idle });
                    break;
                }
                Parse::Invalid(bad) => {
                    let response =
                        request::refuse(&self.server, &self.client, bad.status(), bad.reason());
                    self.answer(
                        &Asked::nothing(bad.request_line.unwrap_or_default()),
                        response,
                        turn,
                        &mut answers,
                    );
                    used = input.len();
                    then = Some(Then::Close);
                }
                Parse::Complete { head, length } => {
                    let raw = &input[used..used + length];
                    used += length;
                    self.describe(&head, turn);
                    let now = log::Arrival::now();
                    let local = turn.local();
                    let (caches, access) = (&mut local.caches, local.access);
                    match request::respond(&self.server, &self.client, &head, now, caches, access) {
                        Outcome::WouldBlock(verdict) => {
                            then = Some(Then::Answer(self.answer_by_job(raw, now, verdict, turn)))
                        }
                        Outcome::Ready(response) => {
                            let idle = self.idle_time(&response);
                            let stage = self.body_stage(&response);
                            let asked = Asked {
                                head: Some(&head),
                                line: head.request_line(),
                                raw,
                                received: now,
                                followed: is_followed(&head, &input[used..]),
                            };
                            let fate = self.answer(&asked, response, turn, &mut answers);
                            let mut drain = Drain::new(head.framing(), &self.head_limits());
                            let (body_bytes, state) = drain.feed(&input[used..]);
                            used += body_bytes;
                            then = Some(match (fate.keeps(), state) {
                                (false, _) | (true, DrainState::Bad) => Then::Close,
                                (true, DrainState::Done) => {
                                    Then::Next { begun: used < input.len(), idle }
                                }
                                (true, DrainState::More) => {
                                    Then::Discard(Box::new(drain), idle, stage)
                                }
                            });
                        }
                    }
                }
            }
        }
        // What is left may be a whole request, unless it was just found to be a part of one.
        let unseen = !matches!(then, Some(Then::Next { .. })) || !answers.have_room();
        self.transport.keep(&input[used..], unseen);
        self.send(answers, then.unwrap_or(Then::Close), turn)
    }

    /// Puts on the scoreboard that a request is being answered, where that may take time, and with `ExtendedStatus` which.
    fn describe(&self, head: &Head<'_>, turn: &mut Turn<'_, ThreadState>) {
        if turn.local().access == Access::MayBlock {
            turn.slot().set_state(Doing::Writing, turn.now());
        }
        let config = &self.server.config;
        if !config.server.extended_status {
            return;
        }
        let name = head.host().map(|host| host.name.as_bytes());
        let (_, host) = config.host_for(self.client.local_or_unspecified(), name);
        let mut client = Cursor::new([0; "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len()]);
        let _ = match self.client.address {
            Some(address) => write!(client, "{}", address.ip()),
            None => write!(client, "unix"),
        };
        let length = usize::try_from(client.position()).unwrap_or(0);
        let client = &client.get_ref()[..length];
        let mut line = head.request_line();
        if config.server.see_request_tail {
            line = &line[line.len().saturating_sub(REQUEST_BYTES_MAX)..];
        }
        turn.slot().describe(turn.now(), client, host.name.as_bytes(), line);
    }

    /// The input is not even one request.
    fn await_more(
        &mut self,
        input: &[u8],
        awaited: Awaited,
        begun: bool,
        answers: Answers,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        answers.take_back(turn);
        self.transport.keep(input, false);
        // Every byte of a head gives it new time; empty lines do not.
        let is_first = begun && awaited.kept && !awaited.begun;
        let started = if is_first { turn.now() } else { awaited.started };
        let until = if begun {
            self.head_deadline(turn.now(), started, input.len() as u64)
        } else {
            awaited.until
        };
        wait_for_request(Awaited { until, started, begun, ..awaited })
    }

    /// The client takes too long over a head that it has begun.
    fn give_up_on_head(&mut self, held: &[u8], turn: &mut Turn<'_, ThreadState>) -> Move {
        self.time_is_over(Ending::RequestTimeout, turn);
        self.log_timeout(format_args!("AH01382: Request header read timeout"));
        let response = request::refuse(&self.server, &self.client, Status::REQUEST_TIMEOUT, "");
        let mut lines =
            held.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty());
        let mut answers = Answers::new(turn);
        self.answer(
            &Asked::nothing(lines.next().unwrap_or_default()),
            response,
            turn,
            &mut answers,
        );
        self.send(answers, Then::Close, turn)
    }

    // --- answers that take time ---

    /// Starts the job that works out an answer, with a copy of all that it needs.
    fn answer_by_job(
        &self,
        raw: &[u8],
        received: log::Arrival,
        verdict: Option<Verdict>,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Box<Answering> {
        let head: Arc<[u8]> = raw.into();
        let (server, client, limits, copy) =
            (Arc::clone(&self.server), self.client, self.head_limits(), Arc::clone(&head));
        let job =
            turn.job(move || respond_in_job(&server, &client, &copy, &limits, received, verdict));
        Box::new(Answering { job, head, received })
    }

    fn answer_at_last(
        &mut self,
        answering: Box<Answering>,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        let Some(done) = answering.job.take() else {
            // A job is sure to end, so there is no deadline.
            let wait =
                Wait { phase: Phase::Response, client: Interest::NONE, deadline: Deadline::Never };
            return Move::Wait(State::Answering(answering), wait);
        };
        let response = done.unwrap_or_else(|_panicked| {
            request::refuse(&self.server, &self.client, Status::INTERNAL_SERVER_ERROR, "")
        });
        let idle = self.idle_time(&response);
        let stage = self.body_stage(&response);
        let Parse::Complete { head, .. } = head::parse(&answering.head, &self.head_limits()) else {
            unreachable!("it was parsed before, under the same limits");
        };
        let asked = Asked {
            head: Some(&head),
            line: head.request_line(),
            raw: &answering.head,
            received: answering.received,
            followed: is_followed(&head, self.transport.held()),
        };
        let mut answers = Answers::new(turn);
        let fate = self.answer(&asked, response, turn, &mut answers);
        let then = match (fate.keeps(), head.framing()) {
            (false, _) => Then::Close,
            (true, Framing::None) => Then::Next { begun: !self.transport.held().is_empty(), idle },
            (true, framing) => {
                Then::Discard(Box::new(Drain::new(framing, &self.head_limits())), idle, stage)
            }
        };
        self.send(answers, then, turn)
    }

    // --- after the answer ---

    /// The answers have gone: on to what follows.
    fn go_on(&mut self, then: Then, turn: &mut Turn<'_, ThreadState>) -> Move {
        match then {
            Then::Next { begun, idle } => {
                // Told to go while it was busy, it is idle only now: one more request, for a short time.
                let idle =
                    if turn.draining() || self.last { idle.min(LAST_CHANCE_MAX) } else { idle };
                let now = turn.now();
                let until = if begun { self.head_deadline(now, now, 0) } else { now + idle };
                let awaited = Awaited { until, started: now, begun, kept: true };
                if self.transport.has_unseen() {
                    return Move::To(State::ReadingRequest(awaited));
                }
                wait_for_request(awaited)
            }
            Then::Discard(drain, idle, stage) => {
                let started = turn.now();
                let until = limited(started + self.timeout(), started, stage.limit(0));
                let discarding = Discarding { drain: *drain, until, started, stage, idle };
                Move::To(State::DiscardingBody(Box::new(discarding)))
            }
            Then::Answer(answering) => Move::To(State::Answering(answering)),
            Then::Close => self.close(turn),
        }
    }

    fn discard_body(
        &mut self,
        mut discarding: Box<Discarding>,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        let mut buffer = std::mem::take(&mut turn.buffers().read);
        let mut held = Vec::new();
        let next = match self.transport.receive(&mut buffer, &mut held) {
            Ok(Received::Input(input)) => {
                let (used, state) = discarding.drain.feed(input);
                self.transport.keep(&input[used..], true);
                let limit = discarding.stage.limit(discarding.drain.body_bytes());
                let until = turn.now() + self.timeout();
                discarding.until = limited(until, discarding.started, limit);
                match state {
                    DrainState::Done => {
                        let begun = used < input.len();
                        self.go_on(Then::Next { begun, idle: discarding.idle }, turn)
                    }
                    DrainState::More if discarding.drain.body_bytes() <= DISCARD_BYTES_MAX => {
                        wait_for_body(discarding)
                    }
                    DrainState::More | DrainState::Bad => self.close(turn),
                }
            }
            Ok(Received::Nothing) if turn.now() >= discarding.until => {
                self.time_is_over(Ending::BodyTimeout, turn);
                self.log_timeout(format_args!("AH01382: Request body read timeout"));
                self.close(turn)
            }
            Ok(Received::Nothing) => wait_for_body(discarding),
            Ok(Received::End) | Err(_) => {
                turn.slot().count_ending(Ending::RequestAborted);
                Move::To(State::Gone)
            }
        };
        turn.buffers().read = buffer;
        next
    }

    /// The client has had its time. Who was asked to go has been counted then.
    fn time_is_over(&mut self, ending: Ending, turn: &Turn<'_, ThreadState>) {
        self.out_of_time = true;
        if !(self.last && ending == Ending::IdleTimeout) {
            turn.slot().count_ending(ending);
        }
    }

    fn close(&mut self, turn: &mut Turn<'_, ThreadState>) -> Move {
        let (socket, now) = (self.transport.socket(), turn.now());
        let linger = match self.out_of_time {
            true => Linger::start_short(socket, now),
            false => Linger::start(socket, now),
        };
        match linger {
            Some(linger) => Move::To(State::LingeringClose(linger)),
            None => Move::To(State::Gone),
        }
    }

    // --- settings ---

    /// What holds before a request has named its host: the first host of the address.
    fn first_host(&self) -> &crate::config::Host {
        let config = &self.server.config;
        &config.hosts[self.client.local.map_or(0, |local| config.table.first(local))]
    }

    fn timeout(&self) -> Duration {
        self.first_host().settings.core.timeout()
    }

    /// How long a client may take over an answer: the host's that gives it.
    fn patience(&self, unlogged: Option<&Unlogged>) -> Patience {
        let host = unlogged.map_or_else(
            || self.first_host(),
            |unlogged| &self.server.config.hosts[unlogged.host()],
        );
        Patience::new(host.settings.core.timeout(), host.settings.reqtimeout.send_rate())
    }

    /// When to give up on a head of which so many bytes have come: `Timeout` from now on, but no later than
    /// `RequestReadTimeout` allows.
    fn head_deadline(&self, now: Moment, started: Moment, bytes: u64) -> Moment {
        let limit = self.first_host().settings.reqtimeout.header().limit(bytes);
        limited(now + self.timeout(), started, limit)
    }

    /// `RequestReadTimeout` for the body of the request that was answered so.
    fn body_stage(&self, response: &Response) -> Stage {
        self.server.config.hosts[response.host].settings.reqtimeout.body()
    }

    fn log_timeout(&self, what: std::fmt::Arguments<'_>) {
        let index = self.client.local.map_or(0, |local| self.server.config.table.first(local));
        let entry = self.server.logs.error(index).at(log::Level::Info, "reqtimeout");
        let entry = entry.client(self.client.address);
        entry.say(what);
    }

    fn head_limits(&self) -> HeadLimits {
        let limits = self.first_host().settings.core.limits();
        HeadLimits::new(
            limits.line_bytes_max,
            limits.field_bytes_max,
            limits.fields_max.unwrap_or(usize::MAX),
        )
    }

    fn idle_time(&self, response: &Response) -> Duration {
        self.server.config.hosts[response.host].settings.core.keep_alive_timeout()
    }
}

/// Answers a request in a job, where waiting for a disk harms nobody.
fn respond_in_job(
    server: &Server,
    client: &Client,
    head: &[u8],
    limits: &HeadLimits,
    received: log::Arrival,
    verdict: Option<Verdict>,
) -> Response {
    let Parse::Complete { head, .. } = head::parse(head, limits) else {
        unreachable!("it was parsed before, under the same limits");
    };
    request::respond_in_job(server, client, &head, received, verdict)
}

/// `until`, or earlier if the time from `started` on is limited.
fn limited(until: Moment, started: Moment, limit: Option<Duration>) -> Moment {
    limit.map_or(until, |limit| until.min(started + limit))
}

impl Then {
    fn is_next(&self) -> bool {
        matches!(self, Self::Next { begun: true, .. })
    }
}

fn wait_for_request(awaited: Awaited) -> Move {
    let phase = if awaited.kept && !awaited.begun { Phase::Idle } else { Phase::Request };
    Move::wait(State::ReadingRequest(awaited), phase, Interest::READ, awaited.until)
}

fn wait_for_body(discarding: Box<Discarding>) -> Move {
    let until = discarding.until;
    Move::wait(State::DiscardingBody(discarding), Phase::Request, Interest::READ, until)
}

/// Whether another request came with this one. Behind a body nobody has looked yet.
fn is_followed(head: &Head<'_>, rest: &[u8]) -> bool {
    head.framing() == Framing::None && rest.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
}

/// A connection that has begun nothing, and should go, may send one more request for a short time.
fn last_chance(awaited: Awaited, turn: &Turn<'_, ThreadState>) -> Awaited {
    if awaited.begun || !matches!(turn.why(), Why::Drain | Why::Shed) {
        return awaited;
    }
    Awaited { until: awaited.until.min(turn.now() + LAST_CHANCE_MAX), ..awaited }
}
