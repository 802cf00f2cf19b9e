//! Answers: heads written one behind the other, and their lines in the access log.

use std::sync::Arc;
use std::time::Duration;

use herdgate_mpm::Turn;

use super::{DISCARD_BYTES_MAX, WebConnection};
use crate::http::field::{Known, members};
use crate::http::framing::Framing;
use crate::http::head::{self, Head, Parse, Version, Wish};
use crate::http::keepalive::{self, Exchange, Fate, KeepAliveSettings};
use crate::http::response::{InvalidField, ResponseHead};
use crate::http::status::Status;
use crate::log;
use crate::log::access::{After, NoFields, Record};
use crate::request::{self, Client, Names};
use crate::response::{Body, Pace, Response};
use crate::server::ThreadState;

/// Bodies up to this size are copied behind their heads, so that pipelined answers leave in one piece.
const COPY_BYTES_MAX: usize = 4 * 1024;
/// Output gathered in one turn beyond this leaves before the next request is answered.
const GATHER_BYTES_MAX: usize = 64 * 1024;

/// Who sends one request upon the other without waiting for answers gets so many more when the connection should go, for
/// what has arrived is not lost. Then it ends all the same.
const KEPT_LEAVING_MAX: u8 = 100;

/// What was asked, as far as it is known.
pub(super) struct Asked<'r> {
    /// `None` if it was no request.
    pub(super) head: Option<&'r Head<'r>>,
    /// The request line, or what came in its place.
    pub(super) line: &'r [u8],
    /// The whole head as it came.
    pub(super) raw: &'r [u8],
    pub(super) received: log::Arrival,
    /// Another request came with it.
    pub(super) followed: bool,
}

impl<'r> Asked<'r> {
    /// Something that is no request.
    pub(super) fn nothing(line: &'r [u8]) -> Self {
        Self { head: None, line, raw: line, received: log::Arrival::now(), followed: false }
    }
}

/// Answers that leave together, in the thread's write buffer.
pub(super) struct Answers {
    pub(super) bytes: Vec<u8>,
    /// The last answer's body, if it is too long to be copied behind its head.
    pub(super) body: Body,
    /// The last answer, if its body takes time: it is logged when that has gone.
    pub(super) unlogged: Option<Box<Unlogged>>,
}

/// A response on its way, and a copy of its request's head, for the log.
pub(super) struct Unlogged {
    head: Arc<[u8]>,
    received: log::Arrival,
    response: Response,
    fate: Fate,
    /// The body travels in chunks.
    chunked: bool,
    head_bytes: u64,
    pub(super) body_bytes: u64,
}

impl Unlogged {
    /// `EnableSendfile` and `EnableMMAP`: how files may travel.
    pub(super) fn roads(&self) -> (bool, bool) {
        (self.response.settings.core.sendfile(), self.response.settings.core.mmap())
    }

    /// How fast the response may leave.
    pub(super) fn pace(&self) -> Option<Pace> {
        self.response.pace
    }

    /// The virtual host that answers.
    pub(super) fn host(&self) -> usize {
        self.response.host
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// What becomes of the connection if all goes well.
    pub(super) fn after(&self) -> After {
        after(self.fate)
    }

    /// Notes something for the log.
    pub(super) fn note(&mut self, notes: Vec<(String, String)>) {
        for (name, value) in notes {
            self.response.notes.set(name, value);
        }
    }
}

impl Answers {
    pub(super) fn new(turn: &mut Turn<'_, ThreadState>) -> Self {
        let mut bytes = std::mem::take(&mut turn.buffers().write);
        bytes.clear();
        Self { bytes, body: Body::Empty, unlogged: None }
    }

    /// Whether another answer may join them.
    pub(super) fn have_room(&self) -> bool {
        matches!(self.body, Body::Empty) && self.bytes.len() < GATHER_BYTES_MAX
    }

    /// There were none: the thread has its buffer back.
    pub(super) fn take_back(self, turn: &mut Turn<'_, ThreadState>) {
        turn.buffers().write = self.bytes;
    }
}

impl WebConnection {
    /// Writes one answer behind the others, and logs it, unless its body takes time: that must have gone first.
    pub(super) fn answer(
        &mut self,
        asked: &Asked<'_>,
        mut response: Response,
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) -> Fate {
        let start = answers.bytes.len();
        let begun = self.begin_answer(asked, &response, turn, answers);
        let fate = begun.unwrap_or_else(|InvalidField| {
            self.server.logs.error(response.host).at(log::Level::Error, "http").say(format_args!(
                "AH02430: Response header field contains invalid characters, aborting request"
            ));
            response =
                request::refuse(&self.server, &self.client, Status::INTERNAL_SERVER_ERROR, "");
            let (secs, fate) = (asked.received.wall.secs, Fate::Close);
            self.write_head(&mut answers.bytes, asked.head, &response, fate, secs, turn.local())
                .expect("our own page has no odd fields");
            fate
        });
        let head_bytes = (answers.bytes.len() - start) as u64;
        let body_bytes = response.body.length();
        let body = std::mem::replace(&mut response.body, Body::Empty);
        if !body.is_in_memory() || (response.pace.is_some() && body_bytes > 0) {
            let (head, received) = (asked.raw.into(), asked.received);
            let chunked = matches!(body, Body::Stream(_))
                && version(asked.head, &response) == Version::Http11;
            let unlogged =
                Unlogged { head, received, response, fate, chunked, head_bytes, body_bytes };
            answers.unlogged = Some(Box::new(unlogged));
            answers.body = body;
            return fate;
        }
        self.count(head_bytes + body_bytes, turn);
        let client = response.client;
        self.log(asked, (&response, &client), head_bytes, body_bytes, after(fate), turn);
        match body.in_memory() {
            Some(bytes) if bytes.len() <= COPY_BYTES_MAX => answers.bytes.extend_from_slice(bytes),
            _ => answers.body = body,
        }
        fate
    }

    /// Writes an answer that was given before, which is in memory, behind the others, and logs it.
    pub(super) fn answer_again(
        &mut self,
        asked: &Asked<'_>,
        response: &Response,
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) -> Fate {
        let start = answers.bytes.len();
        let Ok(fate) = self.begin_answer(asked, response, turn, answers) else {
            let page =
                request::refuse(&self.server, &self.client, Status::INTERNAL_SERVER_ERROR, "");
            return self.answer(asked, page, turn, answers);
        };
        let head_bytes = (answers.bytes.len() - start) as u64;
        let body_bytes = response.body.length();
        self.count(head_bytes + body_bytes, turn);
        let client = self.client;
        self.log(asked, (response, &client), head_bytes, body_bytes, after(fate), turn);
        if let Body::Shared(bytes) = &response.body
            && bytes.len() > COPY_BYTES_MAX
        {
            answers.body = Body::Shared(Arc::clone(bytes));
        } else {
            answers.bytes.extend_from_slice(response.body.in_memory().unwrap_or_default());
        }
        fate
    }

    /// Writes the head of an answer behind the others, and decides what becomes of the connection.
    fn begin_answer(
        &mut self,
        asked: &Asked<'_>,
        response: &Response,
        turn: &mut Turn<'_, ThreadState>,
        answers: &mut Answers,
    ) -> Result<Fate, InvalidField> {
        let leaves = turn.draining() || self.last;
        let may_keep = asked.followed && self.kept_leaving < KEPT_LEAVING_MAX;
        let fate = self.fate(asked.head, response, leaves && !may_keep);
        let secs = asked.received.wall.secs;
        self.write_head(&mut answers.bytes, asked.head, response, fate, secs, turn.local())?;
        self.kept += u32::from(fate.keeps());
        self.kept_leaving += u8::from(leaves && fate.keeps());
        Ok(fate)
    }

    /// One more request was answered, with so many bytes.
    fn count(&mut self, bytes: u64, turn: &Turn<'_, ThreadState>) {
        turn.slot().count_request(bytes);
        self.served.requests += 1;
        self.served.bytes += bytes;
    }

    /// A body has gone, or as much of it as ever will: logs its request.
    pub(super) fn log_late(
        &mut self,
        unlogged: &Unlogged,
        body_bytes: u64,
        after: After,
        turn: &mut Turn<'_, ThreadState>,
    ) {
        self.count(unlogged.head_bytes + body_bytes, turn);
        let limits = self.head_limits();
        let head = match head::parse(&unlogged.head, &limits) {
            Parse::Complete { head, .. } => Some(head),
            Parse::Partial { .. } | Parse::Invalid(_) => None,
        };
        let line = head.as_ref().map_or(&[][..], Head::request_line);
        let asked = Asked {
            head: head.as_ref(),
            line,
            raw: &unlogged.head,
            received: unlogged.received,
            followed: false,
        };
        let head_bytes = unlogged.head_bytes;
        let response = &unlogged.response;
        self.log(&asked, (response, &response.client), head_bytes, body_bytes, after, turn);
    }

    fn log(
        &self,
        asked: &Asked<'_>,
        (response, client): (&Response, &Client),
        head_bytes: u64,
        body_bytes: u64,
        after: After,
        turn: &mut Turn<'_, ThreadState>,
    ) {
        let head = asked.head;
        let duration = asked.received.age();
        turn.slot().count_time(duration, self.served.requests, self.served.bytes);
        let host = &self.server.config.hosts[response.host];
        let no_fields = &NoFields;
        let by_dns = response.own_name.as_deref();
        let names_for =
            |head| Names::of(host, &response.settings, Some(head), &response.client, by_dns);
        let names = head.map(names_for);
        let first = response.first.as_deref();
        let words = match head {
            Some(_) => RequestLine::default(),
            None => RequestLine::split(asked.line),
        };
        let record = Record {
            client: client.address,
            peer: client.peer(),
            local: self.client.local,
            received: asked.received.wall,
            duration,
            request_line: asked.line,
            method: head.map_or(words.method, |head| head.method().as_str().as_bytes()),
            path: match (first, head) {
                (Some(first), _) => &first.path,
                (None, Some(_)) => &response.path,
                (None, None) => words.path,
            },
            last_path: Some(&response.path[..]).filter(|_| head.is_some()),
            query: match &response.query {
                Some(changed) => Some(&changed[..]).filter(|query| !query.is_empty()),
                None => head.map_or(words.query, Head::query),
            },
            protocol: head.map_or(words.protocol, |head| head.version().as_str().as_bytes()),
            status: response.status.code(),
            first_status: first.map(|first| first.status.code()),
            body_bytes,
            bytes_in: asked.raw.len() as u64,
            bytes_out: head_bytes + body_bytes,
            keep_alives: self.kept.saturating_sub(1),
            after,
            user: response.user.as_deref(),
            client_name: response.client_name.as_deref(),
            server_name: host.name.as_bytes(),
            host_name: names.as_ref().map_or(host.name.as_bytes(), Names::bare_host),
            server_port: Names::configured_port(host),
            file: response.file.as_deref(),
            handler: first.map_or(response.handler, |first| first.handler),
            env: Some(&response.env),
            notes: Some(&response.notes),
            request_fields: match (&response.request_fields, head) {
                (Some(edited), _) => edited,
                (None, Some(head)) => head,
                (None, None) => no_fields,
            },
            response_fields: response,
        };
        let local = turn.local();
        self.server.logs.record(response.host, &record, &mut local.batch, &mut local.clock);
    }

    /// Whether the connection lives on after this answer.
    fn fate(&self, head: Option<&Head<'_>>, response: &Response, draining: bool) -> Fate {
        let framing = head.map_or(Framing::None, Head::framing);
        let too_long = matches!(framing, Framing::Length(bytes) if bytes > DISCARD_BYTES_MAX);
        let settings = &self.server.config.hosts[response.host].settings.core;
        let idle = self.idle_time(response);
        let version = version(head, response);
        let told_to_close = response.fields.get("Connection").is_some_and(says_close);
        let exchange = Exchange {
            version,
            wish: head.map_or(Wish::Unsaid, Head::wish),
            status: response.status,
            end_is_known: !matches!(response.body, Body::Stream(_)) || version == Version::Http11,
            must_close: head.is_none()
                || too_long
                || told_to_close
                || speaks_http10(head, response),
            // Nobody here asks for a body, so a client that waits to be asked cannot be kept.
            awaits_continue: head.is_some_and(Head::holds_body_back),
            switched_off: response.env.get("nokeepalive").is_some()
                && head.is_none_or(|head| head.first(Known::Via).is_none()),
            draining,
            kept_so_far: self.kept,
        };
        let keep_alive = KeepAliveSettings {
            enabled: settings.keep_alive(),
            timeout_secs: rounded_up(idle),
            requests_max: settings.keep_alive_requests_max(),
        };
        keepalive::decide(&keep_alive, &exchange)
    }

    fn write_head(
        &self,
        out: &mut Vec<u8>,
        asked: Option<&Head<'_>>,
        response: &Response,
        fate: Fate,
        now_secs: i64,
        local: &mut ThreadState,
    ) -> Result<(), InvalidField> {
        if asked.is_some_and(|asked| asked.version() == Version::Http09) {
            return Ok(()); // All that it knows is content.
        }
        let mut head = ResponseHead::begin(
            out,
            response.status,
            local.dates.at(now_secs),
            &self.server.banner,
        )?;
        if speaks_http10(asked, response) {
            head.speak_http10();
        }
        for (name, value) in response.fields.iter() {
            // The connection's fate is told once, by `finish`.
            if !(name.eq_ignore_ascii_case("Connection") && says_close(value)) {
                head.field(name, value)?;
            }
        }
        match (&response.body, response.content_length) {
            (Body::Stream(_), _) if version(asked, response) == Version::Http11 => head.chunked(),
            (Body::Stream(_), _) | (_, None) => {}
            (_, Some(length)) => head.content_length(length),
        }
        head.finish(fate, response.content_type.as_deref().map(str::as_bytes))
    }
}

/// What can be seen in a request line that was refused.
struct RequestLine<'l> {
    method: &'l [u8],
    path: &'l [u8],
    query: Option<&'l [u8]>,
    protocol: &'l [u8],
}

impl Default for RequestLine<'_> {
    fn default() -> Self {
        RequestLine { method: b"", path: b"", query: None, protocol: b"HTTP/1.0" }
    }
}

impl<'l> RequestLine<'l> {
    fn split(line: &'l [u8]) -> Self {
        let words = line.split(|byte| byte.is_ascii_whitespace());
        let mut words = words.filter(|word| !word.is_empty());
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
            None => (target, None),
        };
        let protocol =
            words.next_back().filter(|word| word.to_ascii_uppercase().starts_with(b"HTTP/"));
        RequestLine { method, path, query, protocol: protocol.unwrap_or(b"HTTP/1.0") }
    }
}

/// The version that the client speaks, or is said to speak by `downgrade-1.0`.
fn version(head: Option<&Head<'_>>, response: &Response) -> Version {
    match head {
        Some(head) if response.env.get("downgrade-1.0").is_none() => head.version(),
        Some(_) | None => Version::Http10,
    }
}

/// `force-response-1.0`: a client of HTTP/1.0 that is troubled by an answer of HTTP/1.1.
fn speaks_http10(head: Option<&Head<'_>>, response: &Response) -> bool {
    response.env.get("force-response-1.0").is_some() && version(head, response) == Version::Http10
}

fn says_close(connection: &[u8]) -> bool {
    members(connection).any(|member| member.eq_ignore_ascii_case(b"close"))
}

fn rounded_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn after(fate: Fate) -> After {
    if fate.keeps() { After::Kept } else { After::Closed }
}
