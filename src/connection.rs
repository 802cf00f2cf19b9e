//! # connection: one client, from the first byte to lingering close
//!
//! ```text
//!          ┌──────────────────────── keep-alive ◀───────────────────────────────┐
//!          ▼                                                                    │
//!   reading the request ─▶ reading its chunks ─▶ answering (if a job must) ─▶ writing the response ─▶ reading its body
//!          │                                                                       │
//!          └─ end of file, error ─▶ gone                                           └─▶ lingering close ─▶ gone
//! ```
//!
//! - It never waits: it goes on as far as socket and page cache allow, and says what it waits for.
//! - Requests that arrived together are answered together: their answers leave in one write.
//! - Idle, it owns next to nothing: buffers are the thread's. A rest of input, an unsent rest of output, and the
//!   head of a request whose answer takes time are kept in memory of their own, as long as they last.
//! - A request whose first byte has arrived is answered, whatever the server is told meanwhile.
//! - Bodies are thrown away. One whose length was announced cannot be malformed and goes after the answer; chunks can be,
//!   and go before it, so that the answer never depends on how much of them had come. After a fault in head or chunks
//!   nothing that follows is looked at: one answer, and the connection ends.

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
use crate::http::fault::Fault;
use crate::http::framing::Framing;
use crate::http::head::{self, Head, HeadLimits, Parse};
use crate::http::proxy_protocol::{self, Preamble};
use crate::http::status::Status;
use crate::http::target::Host;
use crate::log;
use crate::modules::client_limits::{self, Verdict};
use crate::modules::remoteip;
use crate::modules::reqtimeout::Stage;
use crate::request::{self, Client, Outcome, Server};
use crate::response::{Body, Response};
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
    /// A request's body is being thrown away, before its answer or after it. `Timeout` runs, anew with every byte.
    ReadingBody(Box<ReadingBody>),
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

/// A request whose head is whole.
struct Arrived<'r> {
    head: Head<'r>,
    /// The head as it came.
    raw: &'r [u8],
    received: log::Arrival,
    /// How long its body was, if that has been read.
    body_bytes: Option<u64>,
}

/// The same with a copy of its head, for as long as its body or its answer takes.
#[derive(Clone)]
struct Kept {
    raw: Arc<[u8]>,
    received: log::Arrival,
    body_bytes: Option<u64>,
}

/// A request whose answer takes time.
struct Answering {
    job: JobHandle<Response>,
    request: Kept,
}

/// A request's body, on its way to nowhere.
struct ReadingBody {
    drain: Drain,
    until: Moment,
    started: Moment,
    /// `RequestReadTimeout`
    stage: Stage,
    then: AfterBody,
}

/// What follows when a body has been read.
enum AfterBody {
    /// Another request; the connection may be idle for so long.
    Next(Duration),
    /// The answer.
    Answer(Kept),
}

/// What follows when the answers have gone.
enum Then {
    /// Another request, whose first bytes may be here already. How long the connection may be idle.
    Next { begun: bool, idle: Duration },
    /// The rest of a request's body.
    ReadBody(Box<Drain>, Stage, AfterBody),
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
                State::ReadingBody(reading) => self.read_body(reading, turn),
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
                    let asked = Asked::nothing(bad.request_line.unwrap_or_default());
                    let status = self.status_of(bad.fault);
                    self.refuse(&asked, status, bad.reason(), turn, &mut answers);
                    used = input.len();
                    then = Some(Then::Close);
                }
                Parse::Complete { head, length } => {
                    let (raw, rest) = input[used..].split_at(length);
                    let received = log::Arrival::now();
                    let request = Arrived { head, raw, received, body_bytes: None };
                    let (body_bytes, next) = self.answer_one(request, rest, turn, &mut answers);
                    used += length + body_bytes;
                    then = Some(next);
                }
            }
        }
        // What is left may be a whole request, unless it was just found to be a part of one.
        let unseen = !matches!(then, Some(Then::Next { .. })) || !answers.have_room();
        self.transport.keep(&input[used..], unseen);
        self.send(answers, then.unwrap_or(Then::Close), turn)
    }

    /// Answers a request whose head has just come. Says how much of what follows belongs to it, and how to go on.
    fn answer_one(
        &mut self,
        request: Arrived<'_>,
        rest: &[u8],
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) -> (usize, Then) {
        self.describe(&request.head, turn);
        if let Some(then) = self.answer_from_memory(&request, rest, turn, answers) {
            return (0, then);
        }
        if request.head.framing() != Framing::Chunked || request.head.holds_body_back() {
            return self.respond(request, rest, turn, answers);
        }
        let limits = self.head_limits();
        let mut drain = Drain::new(Framing::Chunked, &limits).up_to(DISCARD_BYTES_MAX);
        let (used, state) = drain.feed(rest);
        if state == DrainState::More {
            let stage = self.body_stage(request.head.host());
            return (
                used,
                Then::ReadBody(Box::new(drain), stage, AfterBody::Answer(request.keep())),
            );
        }
        let (more, then) = self.respond_to_chunks(request, &drain, &rest[used..], turn, answers);
        (used + more, then)
    }

    /// Answers a request whose chunks have ended, one way or the other.
    fn respond_to_chunks(
        &mut self,
        request: Arrived<'_>,
        drain: &Drain,
        rest: &[u8],
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) -> (usize, Then) {
        if drain.state() == DrainState::Bad {
            let fault = Fault::ChunkMalformed;
            self.refuse(&request.asked(false), fault.status(), fault.explanation(), turn, answers);
            return (0, Then::Close);
        }
        self.respond(request.with_body_read(drain.body_bytes()), rest, turn, answers)
    }

    /// Answers a request of which all is here that its answer depends on.
    fn respond(
        &mut self,
        request: Arrived<'_>,
        rest: &[u8],
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) -> (usize, Then) {
        let local = turn.local();
        let (caches, access) = (&mut local.caches, local.access);
        let (head, received) = (&request.head, request.received);
        match request::respond(&self.server, &self.client, head, received, caches, access) {
            Outcome::WouldBlock(verdict) => {
                (0, Then::Answer(self.answer_by_job(request.keep(), verdict, turn)))
            }
            Outcome::Ready(response) => self.deliver(&request, response, rest, turn, answers),
        }
    }

    /// Writes the answer to a request. Says how much of what follows belongs to it, and how to go on.
    fn deliver(
        &mut self,
        request: &Arrived<'_>,
        response: Response,
        rest: &[u8],
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) -> (usize, Then) {
        let head = &request.head;
        let framing = if request.body_bytes.is_some() { Framing::None } else { head.framing() };
        let asked = request.asked(is_followed(framing, rest));
        let idle = self.idle_time(&response);
        if !self.answer(&asked, response, turn, answers).keeps() {
            return (0, Then::Close);
        }
        let mut drain = Drain::new(framing, &self.head_limits());
        let (used, state) = drain.feed(rest);
        let then = match state {
            DrainState::Done => Then::Next { begun: used < rest.len(), idle },
            DrainState::More => {
                let stage = self.body_stage(head.host());
                Then::ReadBody(Box::new(drain), stage, AfterBody::Next(idle))
            }
            DrainState::Bad | DrainState::TooLong => Then::Close,
        };
        (used, then)
    }

    /// Answers what nobody can act on, with a status that ends the connection.
    fn refuse(
        &mut self,
        asked: &Asked<'_>,
        status: Status,
        why: &str,
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) {
        let mut response = request::refuse(&self.server, &self.client, status, why);
        if asked.line.starts_with(b"HEAD ") {
            response.body = Body::Empty;
            response.drop_what_cannot_be(true);
        }
        self.answer(asked, response, turn, answers);
    }

    /// Answers as before, if the same was asked and nothing has changed; such a request has no body.
    fn answer_from_memory(
        &mut self,
        request: &Arrived<'_>,
        rest: &[u8],
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) -> Option<Then> {
        let local = turn.local();
        let (watch, access, now) = (local.watch.as_mut(), local.access, request.received.wall);
        let known = self.server.answers.find(&self.client, &request.head, now, watch, access)?;
        let asked = request.asked(is_followed(Framing::None, rest));
        let fate = self.answer_again(&asked, &known.response, turn, answers);
        let idle = self.idle_time(&known.response);
        let begun = !rest.is_empty();
        Some(if fate.keeps() { Then::Next { begun, idle } } else { Then::Close })
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
        let mut lines =
            held.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty());
        let line = lines.next().unwrap_or_default();
        let mut answers = Answers::new(turn);
        let asked = Asked::nothing(line);
        self.refuse(&asked, Status::REQUEST_TIMEOUT, "", turn, &mut answers);
        self.send(answers, Then::Close, turn)
    }

    // --- answers that take time ---

    /// Starts the job that works out an answer.
    fn answer_by_job(
        &self,
        request: Kept,
        verdict: Option<Verdict>,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Box<Answering> {
        let (server, client, limits, copy) =
            (Arc::clone(&self.server), self.client, self.head_limits(), request.clone());
        let job = turn.job(move || {
            let Arrived { head, received, .. } = copy.arrived(&limits);
            request::respond_in_job(&server, &client, &head, received, verdict)
        });
        Box::new(Answering { job, request })
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
        let limits = self.head_limits();
        let request = answering.request.arrived(&limits);
        let rest = self.transport.held().to_vec();
        let mut answers = Answers::new(turn);
        let (used, then) = self.deliver(&request, response, &rest, turn, &mut answers);
        self.transport.keep(&rest[used..], true);
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
            Then::ReadBody(drain, stage, then) => {
                let started = turn.now();
                let until = limited(started + self.timeout(), started, stage.limit(0));
                let reading = ReadingBody { drain: *drain, until, started, stage, then };
                Move::To(State::ReadingBody(Box::new(reading)))
            }
            Then::Answer(answering) => Move::To(State::Answering(answering)),
            Then::Close => self.close(turn),
        }
    }

    fn read_body(
        &mut self,
        mut reading: Box<ReadingBody>,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        let mut buffer = std::mem::take(&mut turn.buffers().read);
        let mut held = Vec::new();
        let next = match self.transport.receive(&mut buffer, &mut held) {
            Ok(Received::Input(input)) => {
                let (used, state) = reading.drain.feed(input);
                let limit = reading.stage.limit(reading.drain.body_bytes());
                reading.until = limited(turn.now() + self.timeout(), reading.started, limit);
                match state {
                    DrainState::More => wait_for_body(reading),
                    DrainState::Done | DrainState::Bad | DrainState::TooLong => {
                        self.go_on_after_body(*reading, &input[used..], turn)
                    }
                }
            }
            Ok(Received::Nothing) if turn.now() >= reading.until => {
                self.time_is_over(Ending::BodyTimeout, turn);
                self.log_timeout(format_args!("AH01382: Request body read timeout"));
                self.give_up_on_body(*reading, Status::REQUEST_TIMEOUT, "", turn)
            }
            Ok(Received::Nothing) => wait_for_body(reading),
            Ok(Received::End) => {
                turn.slot().count_ending(Ending::RequestAborted);
                let cut = Fault::BodyCut;
                self.give_up_on_body(*reading, cut.status(), cut.explanation(), turn)
            }
            Err(_) => {
                turn.slot().count_ending(Ending::RequestAborted);
                Move::To(State::Gone)
            }
        };
        turn.buffers().read = buffer;
        next
    }

    /// A body has ended, one way or the other.
    fn go_on_after_body(
        &mut self,
        reading: ReadingBody,
        rest: &[u8],
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        match reading.then {
            AfterBody::Answer(request) => {
                let limits = self.head_limits();
                let (request, drain) = (request.arrived(&limits), &reading.drain);
                let mut answers = Answers::new(turn);
                let (used, then) = self.respond_to_chunks(request, drain, rest, turn, &mut answers);
                self.transport.keep(&rest[used..], true);
                self.send(answers, then, turn)
            }
            AfterBody::Next(idle) => {
                self.transport.keep(rest, true);
                self.go_on(Then::Next { begun: !rest.is_empty(), idle }, turn)
            }
        }
    }

    /// The rest of a body does not come. Whoever has had the answer already gets no other.
    fn give_up_on_body(
        &mut self,
        reading: ReadingBody,
        status: Status,
        why: &str,
        turn: &mut Turn<'_, ThreadState>,
    ) -> Move {
        let AfterBody::Answer(request) = reading.then else { return self.close(turn) };
        let limits = self.head_limits();
        let request = request.arrived(&limits);
        let mut answers = Answers::new(turn);
        self.refuse(&request.asked(false), status, why, turn, &mut answers);
        self.send(answers, Then::Close, turn)
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

    /// `RequestReadTimeout` for the body of a request to this host.
    fn body_stage(&self, host: Option<Host<'_>>) -> Stage {
        let local = self.client.local_or_unspecified();
        let name = host.map(|host| host.name.as_bytes());
        let (index, _) = self.server.config.host_for(local, name);
        self.server.config.hosts[index].settings.reqtimeout.body()
    }

    fn log_timeout(&self, what: std::fmt::Arguments<'_>) {
        let index = self.client.local.map_or(0, |local| self.server.config.table.first(local));
        let entry = self.server.logs.error(index).at(log::Level::Info, "reqtimeout");
        let entry = entry.client(self.client.address);
        entry.say(what);
    }

    fn head_limits(&self) -> HeadLimits {
        self.first_host().settings.core.head_limits()
    }

    /// How a fault in a head is answered.
    fn status_of(&self, fault: Fault) -> Status {
        if matches!(fault, Fault::FieldTooLong | Fault::TooManyFields) {
            return self.first_host().settings.core.limits().field_status;
        }
        fault.status()
    }

    fn idle_time(&self, response: &Response) -> Duration {
        self.server.config.hosts[response.host].settings.core.keep_alive_timeout()
    }
}

impl Arrived<'_> {
    fn asked(&self, followed: bool) -> Asked<'_> {
        Asked {
            head: Some(&self.head),
            line: self.head.request_line(),
            raw: self.raw,
            received: self.received,
            followed,
        }
    }

    fn keep(&self) -> Kept {
        Kept { raw: self.raw.into(), received: self.received, body_bytes: self.body_bytes }
    }

    fn with_body_read(self, body_bytes: u64) -> Self {
        let head = self.head.with_body_read(body_bytes);
        Self { head, body_bytes: Some(body_bytes), ..self }
    }
}

impl Kept {
    fn arrived(&self, limits: &HeadLimits) -> Arrived<'_> {
        let Parse::Complete { head, .. } = head::parse(&self.raw, limits) else {
            unreachable!("it was parsed before, under the same limits");
        };
        let (raw, received) = (&*self.raw, self.received);
        let arrived = Arrived { head, raw, received, body_bytes: None };
        match self.body_bytes {
            Some(body_bytes) => arrived.with_body_read(body_bytes),
            None => arrived,
        }
    }
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

fn wait_for_body(reading: Box<ReadingBody>) -> Move {
    let until = reading.until;
    Move::wait(State::ReadingBody(reading), Phase::Request, Interest::READ, until)
}

/// Whether another request came with this one. Behind a body nobody has looked yet.
fn is_followed(framing: Framing, rest: &[u8]) -> bool {
    framing == Framing::None && rest.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
}

/// A connection that has begun nothing, and should go, may send one more request for a short time.
fn last_chance(awaited: Awaited, turn: &Turn<'_, ThreadState>) -> Awaited {
    if awaited.begun || !matches!(turn.why(), Why::Drain | Why::Shed) {
        return awaited;
    }
    Awaited { until: awaited.until.min(turn.now() + LAST_CHANCE_MAX), ..awaited }
}
