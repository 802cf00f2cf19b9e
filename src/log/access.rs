//! # The access log: a format compiled once, a line written without allocation
//!
//! ```text
//! LogFormat "%h %l %u %t \"%r\" %>s %b" ──compile, at start──▶ Format ──write(Record)──▶ one line
//! ```
//!
//! - Mistakes in a format are found when the configuration is read, never while serving.
//! - Nothing that a client sent ends a line or a quoted field early: L.1's escapes are applied to all of it.
//! - A record only borrows: what it shows may live in buffers that the next request overwrites.

use super::clock::{LogClock, Moment};
use crate::http::escape::push_log;
use crate::http::head::Head;
use crate::request::Env;
use smallvec::SmallVec;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The format that Apache uses when `CustomLog` or `TransferLog` names none.
pub const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;

/// The common format, with where the client came from and what it is.
pub const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;

/// Header fields by name, of a request or a response.
pub trait Fields {
    /// The value of the field `name`, in any case; the first if there are several.
    fn field(&self, name: &str) -> Option<&[u8]>;
}

/// The fields of a message that never was one.
#[derive(Clone, Copy, Debug)]
pub struct NoFields;

impl Fields for NoFields {
    fn field(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}

impl Fields for Head<'_> {
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.header(name)
    }
}

/// How a connection went on after the response (`%X`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// `X`: it ended before the response was complete.
    Aborted,
    /// `+`: it may be kept.
    Kept,
    /// `-`: it is closed.
    Closed,
}

/// What there is to say about one request, once its response has left.
pub struct Record<'r> {
    /// The client; a client on a Unix socket has no address.
    pub client: Option<SocketAddr>,
    /// The other end of the connection: the client, or the proxy that speaks for it.
    pub peer: Option<SocketAddr>,
    /// Our end of the connection.
    pub local: Option<SocketAddr>,
    /// When the request line was read.
    pub received: Moment,
    /// From then to now.
    pub duration: Duration,
    /// The request line as received; empty when none was.
    pub request_line: &'r [u8],
    /// The method; empty when there was no request line.
    pub method: &'r [u8],
    /// The decoded and normalised path that was asked for.
    pub path: &'r [u8],
    /// The path that was answered, if internal redirects led elsewhere.
    pub last_path: Option<&'r [u8]>,
    /// What stood behind the `?`, undecoded.
    pub query: Option<&'r [u8]>,
    /// `HTTP/1.1` and its like.
    pub protocol: &'r [u8],
    /// The final status.
    pub status: u16,
    /// The status before the first internal redirect, if there was any.
    pub first_status: Option<u16>,
    /// Body bytes that were sent, before any framing.
    pub body_bytes: u64,
    /// Bytes of the request, head included.
    pub bytes_in: u64,
    /// Bytes of the response, head included.
    pub bytes_out: u64,
    /// How many requests this connection was kept alive for, before this one.
    pub keep_alives: u32,
    /// What became of the connection.
    pub after: After,
    /// The authenticated user.
    pub user: Option<&'r [u8]>,
    /// What the client's address is called, if that was asked.
    pub client_name: Option<&'r str>,
    /// `ServerName` of the host that answered.
    pub server_name: &'r [u8],
    /// The name by `UseCanonicalName`.
    pub host_name: &'r [u8],
    /// The port by `ServerName`; that of its scheme if none is written there.
    pub server_port: u16,
    /// The file that the request was mapped to.
    pub file: Option<&'r [u8]>,
    /// Who made the response.
    pub handler: Option<&'r str>,
    /// The request's variables.
    pub env: Option<&'r Env>,
    /// What modules have noted about it.
    pub notes: Option<&'r Env>,
    /// The request's fields.
    pub request_fields: &'r dyn Fields,
    /// The response's fields.
    pub response_fields: &'r dyn Fields,
}

impl Default for Record<'_> {
    /// A request of which nothing is known.
    fn default() -> Self {
        Record {
            client: None,
            peer: None,
            local: None,
            received: Moment { secs: 0, nanos: 0 },
            duration: Duration::ZERO,
            request_line: b"",
            method: b"",
            path: b"",
            last_path: None,
            query: None,
            protocol: b"HTTP/1.0",
            status: 0,
            first_status: None,
            body_bytes: 0,
            bytes_in: 0,
            bytes_out: 0,
            keep_alives: 0,
            after: After::Closed,
            user: None,
            client_name: None,
            server_name: b"",
            host_name: b"",
            server_port: 80,
            file: None,
            handler: None,
            env: None,
            notes: None,
            request_fields: &NoFields,
            response_fields: &NoFields,
        }
    }
}

/// A `LogFormat`, ready to use.
#[derive(Clone, Debug)]
pub struct Format {
    items: Vec<Item>,
}

/// One item, and for which statuses it is shown.
#[derive(Clone, Debug)]
struct Item {
    what: What,
    statuses: Statuses,
}

/// `%404,500{…}i` and `%!200{…}i`; an empty list means always.
#[derive(Clone, Debug, Default)]
struct Statuses {
    codes: SmallVec<[u16; 4]>,
    negated: bool,
}

impl Statuses {
    fn include(&self, status: u16) -> bool {
        self.codes.is_empty() || self.codes.contains(&status) != self.negated
    }
}

/// Whose value an item shows when one request has led to another: `%<s` the first one's, `%>s` the last one's. For all
/// items but these few both have the same.
#[derive(Clone, Copy, Debug)]
enum Which {
    First,
    Last,
}

#[derive(Clone, Debug)]
enum What {
    Literal(Vec<u8>),
    /// What Herdgate does not know about a request, and Apache without the module in question neither.
    Absent,
    ClientAddress,
    ClientName,
    PeerAddress,
    LocalAddress,
    BodyBytes {
        zero_as_dash: bool,
    },
    BytesIn,
    BytesOut,
    BytesBoth,
    Cookie(String),
    Duration(Unit),
    Env(String),
    Note(String),
    File,
    Protocol,
    Method,
    RequestField(String),
    ResponseField(String),
    KeepAlives,
    Port(PortOf),
    Process,
    Thread {
        hexadecimal: bool,
    },
    Query,
    RequestLine,
    Handler,
    Status(Which),
    Time {
        form: TimeForm,
        end: bool,
    },
    User,
    Path(Which),
    ServerName,
    HostName,
    After,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

#[derive(Clone, Copy, Debug)]
enum PortOf {
    Canonical,
    Local,
    Remote,
}

#[derive(Clone, Debug)]
enum TimeForm {
    Common,
    Seconds,
    Milliseconds,
    Microseconds,
    MillisecondsOfSecond,
    MicrosecondsOfSecond,
    Strftime(String),
}

impl Format {
    /// Compiles the text of a `LogFormat`.
    ///
    /// # Errors
    /// Apache's sentence about the first item that it does not know.
    pub fn compile(text: &str) -> Result<Format, String> {
        let mut items = Vec::new();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (item, after) = match rest {
                [b'%', b'%', after @ ..] => (Item::always(What::Literal(b"%".to_vec())), after),
                [b'%', after @ ..] => compile_item(after)?,
                literal => compile_literal(literal),
            };
            items.push(item);
            rest = after;
        }
        Ok(Format { items })
    }

    /// Appends one line, line feed included.
    pub fn write(&self, line: &mut Vec<u8>, record: &Record<'_>, clock: &mut LogClock) {
        for item in &self.items {
            if item.statuses.include(record.status) {
                item.what.write(line, record, clock);
            } else {
                line.push(b'-');
            }
        }
        line.push(b'\n');
    }
}

impl Item {
    fn always(what: What) -> Item {
        Item { what, statuses: Statuses::default() }
    }
}

/// Text up to the next `%`, with its escapes resolved. An unknown escape keeps its backslash.
fn compile_literal(text: &[u8]) -> (Item, &[u8]) {
    let (literal, after) = text.split_at(memchr::memchr(b'%', text).unwrap_or(text.len()));
    let mut resolved = Vec::with_capacity(literal.len());
    let mut rest = literal;
    while let Some((&first, mut tail)) = rest.split_first() {
        let escaped = match (first, tail.first()) {
            (b'\\', Some(b'n')) => Some(b'\n'),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(&same @ (b'\\' | b'"'))) => Some(same),
            (_, _) => None,
        };
        if escaped.is_some() {
            tail = &tail[1..];
        }
        resolved.push(escaped.unwrap_or(first));
        rest = tail;
    }
    (Item::always(What::Literal(resolved)), after)
}

/// One item, after its `%`: any mix of `!`, `<`, `>`, commas, statuses and `{argument}`, then the letter.
fn compile_item(text: &[u8]) -> Result<(Item, &[u8]), String> {
    const RAN_OFF: &str = "Ran off end of LogFormat parsing args to some directive";
    let mut statuses = Statuses::default();
    let mut argument = None;
    let mut which = Which::First; // As Apache has it for those items where it matters here.
    let mut rest = text;
    loop {
        let (&byte, after) = rest.split_first().ok_or(RAN_OFF)?;
        match byte {
            b'!' => statuses.negated = true,
            b'<' => which = Which::First,
            b'>' => which = Which::Last,
            b',' => {}
            b'0'..=b'9' => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                statuses.codes.push(number(&rest[..digits])?);
                rest = &rest[digits..];
                continue;
            }
            b'{' => {
                let end = memchr::memchr(b'}', after).ok_or(RAN_OFF)?;
                argument = Some(String::from_utf8_lossy(&after[..end]).into_owned());
                rest = &after[end + 1..];
                continue;
            }
            b'^' => {
                let letters = after.get(..2).ok_or(RAN_OFF)?;
                return Ok((Item { what: trailer(letters)?, statuses }, &after[2..]));
            }
            letter => {
                let what = What::by_letter(letter, argument, which)?;
                return Ok((Item { what, statuses }, after));
            }
        }
        rest = after;
    }
}

fn number(digits: &[u8]) -> Result<u16, String> {
    let text = String::from_utf8_lossy(digits);
    text.parse().map_err(|_| format!("LogFormat: {text} is not a status"))
}

/// `%^FB`, `%^ti` and `%^to`: the time to the first byte and trailers, which nobody records yet.
fn trailer(letters: &[u8]) -> Result<What, String> {
    match letters {
        b"FB" | b"ti" | b"to" => Ok(What::Absent),
        unknown => {
            Err(format!("Unrecognized LogFormat directive %^{}", String::from_utf8_lossy(unknown)))
        }
    }
}

impl What {
    fn by_letter(letter: u8, argument: Option<String>, which: Which) -> Result<What, String> {
        let named = || argument.clone().unwrap_or_default();
        Ok(match letter {
            b'a' | b'h' if argument.as_deref() == Some("c") => What::PeerAddress,
            b'a' => What::ClientAddress,
            b'A' => What::LocalAddress,
            b'b' => What::BodyBytes { zero_as_dash: true },
            b'B' => What::BodyBytes { zero_as_dash: false },
            b'C' => What::Cookie(named()),
            b'D' => What::Duration(Unit::Microseconds),
            b'e' => What::Env(named()),
            b'n' => What::Note(named()),
            b'l' | b'L' => What::Absent,
            b'f' => What::File,
            b'h' => What::ClientName,
            b'H' => What::Protocol,
            b'i' => What::RequestField(named()),
            b'I' => What::BytesIn,
            b'k' => What::KeepAlives,
            b'm' => What::Method,
            b'o' => What::ResponseField(named()),
            b'O' => What::BytesOut,
            b'p' => What::Port(port_of(argument.as_deref())?),
            b'P' => process_or_thread(argument.as_deref())?,
            b'q' => What::Query,
            b'r' => What::RequestLine,
            b'R' => What::Handler,
            b's' => What::Status(which),
            b'S' => What::BytesBoth,
            b't' => time(argument.as_deref().unwrap_or_default())?,
            b'T' => What::Duration(unit(argument.as_deref())?),
            b'u' => What::User,
            b'U' => What::Path(which),
            b'v' => What::ServerName,
            b'V' => What::HostName,
            b'X' => What::After,
            unknown => {
                return Err(format!("Unrecognized LogFormat directive %{}", char::from(unknown)));
            }
        })
    }
}

fn port_of(argument: Option<&str>) -> Result<PortOf, String> {
    match argument {
        None | Some("canonical") => Ok(PortOf::Canonical),
        Some("local") => Ok(PortOf::Local),
        Some("remote") => Ok(PortOf::Remote),
        Some(unknown) => Err(format!("LogFormat: %{{{unknown}}}p: canonical, local or remote")),
    }
}

fn process_or_thread(argument: Option<&str>) -> Result<What, String> {
    match argument {
        None | Some("pid") => Ok(What::Process),
        Some("tid") => Ok(What::Thread { hexadecimal: false }),
        Some("hextid") => Ok(What::Thread { hexadecimal: true }),
        Some(unknown) => Err(format!("LogFormat: %{{{unknown}}}P: pid, tid or hextid")),
    }
}

fn unit(argument: Option<&str>) -> Result<Unit, String> {
    match argument {
        None | Some("s") => Ok(Unit::Seconds),
        Some("ms") => Ok(Unit::Milliseconds),
        Some("us") => Ok(Unit::Microseconds),
        Some(unknown) => Err(format!("LogFormat: %{{{unknown}}}T: s, ms or us")),
    }
}

fn time(argument: &str) -> Result<What, String> {
    let (end, form) = match argument {
        "end" => (true, ""),
        "begin" => (false, ""),
        other => match (other.strip_prefix("end:"), other.strip_prefix("begin:")) {
            (Some(form), _) => (true, form),
            (None, Some(form)) => (false, form),
            (None, None) => (false, other),
        },
    };
    let form = match form {
        "" => TimeForm::Common,
        "sec" => TimeForm::Seconds,
        "msec" => TimeForm::Milliseconds,
        "usec" => TimeForm::Microseconds,
        "msec_frac" => TimeForm::MillisecondsOfSecond,
        "usec_frac" => TimeForm::MicrosecondsOfSecond,
        pattern => TimeForm::Strftime(valid_pattern(pattern)?),
    };
    Ok(What::Time { form, end })
}

/// Tries the pattern on the epoch, so that a mistake shows when the configuration is read.
fn valid_pattern(pattern: &str) -> Result<String, String> {
    let epoch = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    match jiff::fmt::strtime::format(pattern, &epoch) {
        Ok(_) => Ok(pattern.to_owned()),
        Err(error) => Err(format!("LogFormat: %{{{pattern}}}t: {error}")),
    }
}

impl What {
    fn write(&self, line: &mut Vec<u8>, record: &Record<'_>, clock: &mut LogClock) {
        match self {
            What::Literal(text) => line.extend_from_slice(text),
            What::Absent => line.push(b'-'),
            What::ClientAddress => address(line, record.client),
            What::ClientName => match record.client_name {
                Some(name) => foreign(line, Some(name.as_bytes())),
                None => address(line, record.client),
            },
            What::PeerAddress => address(line, record.peer),
            What::LocalAddress => address(line, record.local),
            What::BodyBytes { zero_as_dash: true } if record.body_bytes == 0 => line.push(b'-'),
            What::BodyBytes { .. } => decimal(line, record.body_bytes),
            What::BytesIn => decimal(line, record.bytes_in),
            What::BytesOut => decimal(line, record.bytes_out),
            What::BytesBoth => decimal(line, record.bytes_in + record.bytes_out),
            What::Cookie(name) => foreign(line, cookie(record.request_fields, name)),
            What::Duration(unit) => duration(line, record.duration, *unit),
            What::Env(name) => foreign(line, record.env.and_then(|env| env.get(name))),
            What::Note(name) => foreign(line, record.notes.and_then(|notes| notes.get(name))),
            What::File => foreign(line, record.file),
            What::Protocol => foreign(line, Some(record.protocol)),
            What::Method => foreign(line, Some(record.method)),
            What::RequestField(name) => foreign(line, record.request_fields.field(name)),
            What::ResponseField(name) => foreign(line, response_field(record, name)),
            What::KeepAlives => decimal(line, record.keep_alives.into()),
            What::Port(of) => port(line, record, *of),
            What::Process => decimal(line, std::process::id().into()),
            What::Thread { hexadecimal } => thread(line, *hexadecimal),
            What::Query => query(line, record.query),
            What::RequestLine => foreign(line, Some(record.request_line)),
            What::Handler => foreign(line, record.handler.map(str::as_bytes)),
            What::Status(Which::First) => {
                decimal(line, record.first_status.unwrap_or(record.status).into());
            }
            What::Status(Which::Last) => decimal(line, record.status.into()),
            What::Time { form, end } => form.write(line, moment(record, *end), clock),
            What::User => user(line, record.user),
            What::Path(Which::First) => foreign(line, Some(record.path)),
            What::Path(Which::Last) => foreign(line, record.last_path.or(Some(record.path))),
            What::ServerName => foreign(line, Some(record.server_name)),
            What::HostName => foreign(line, Some(record.host_name)),
            What::After => line.push(record.after.letter()),
        }
    }
}

impl After {
    fn letter(self) -> u8 {
        match self {
            After::Aborted => b'X',
            After::Kept => b'+',
            After::Closed => b'-',
        }
    }
}

/// Text from outside: escaped as Apache does, `-` when it is missing or empty.
fn foreign(line: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        None | Some([]) => line.push(b'-'),
        Some(text) => push_log(line, text),
    }
}

fn decimal(line: &mut Vec<u8>, number: u64) {
    write!(line, "{number}").expect("a Vec takes all that is written");
}

fn address(line: &mut Vec<u8>, address: Option<SocketAddr>) {
    match address.map(|address| address.ip()) {
        Some(IpAddr::V4(ip)) => write!(line, "{ip}"),
        Some(IpAddr::V6(ip)) => write!(line, "{ip}"),
        None => line.write_all(b"-"),
    }
    .expect("a Vec takes all that is written");
}

fn port(line: &mut Vec<u8>, record: &Record<'_>, of: PortOf) {
    let port = match of {
        PortOf::Canonical => Some(record.server_port),
        PortOf::Local => record.local.map(|address| address.port()),
        PortOf::Remote => record.client.map(|address| address.port()),
    };
    match port {
        Some(port) => decimal(line, port.into()),
        None => line.push(b'-'),
    }
}

fn duration(line: &mut Vec<u8>, duration: Duration, unit: Unit) {
    let number = match unit {
        Unit::Seconds => duration.as_secs().into(),
        Unit::Milliseconds => duration.as_millis(),
        Unit::Microseconds => duration.as_micros(),
    };
    write!(line, "{number}").expect("a Vec takes all that is written");
}

/// The kernel's number of the thread, the one that `ps -L` and the error log show.
fn thread(line: &mut Vec<u8>, hexadecimal: bool) {
    let tid = nix::unistd::gettid().as_raw();
    if hexadecimal { write!(line, "{tid:x}") } else { write!(line, "{tid}") }
        .expect("a Vec takes all that is written");
}

/// `?query`, or nothing: the one item that is never `-`.
fn query(line: &mut Vec<u8>, query: Option<&[u8]>) {
    if let Some(query) = query {
        line.push(b'?');
        push_log(line, query);
    }
}

/// A user whose name is empty shows as `""`: `-` would say that nobody tried.
fn user(line: &mut Vec<u8>, user: Option<&[u8]>) {
    match user {
        Some([]) => line.extend_from_slice(b"\"\""),
        other => foreign(line, other),
    }
}

/// The value of a cookie; its name in any case, as Apache compares it.
fn cookie<'r>(fields: &'r dyn Fields, name: &str) -> Option<&'r [u8]> {
    let pairs = fields.field("Cookie")?.split(|byte| *byte == b';');
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        let same = pair[..at].trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        same.then(|| pair[at + 1..].trim_ascii())
    })
}

/// A response field; Content-Type is logged without its parameters.
fn response_field<'r>(record: &Record<'r>, name: &str) -> Option<&'r [u8]> {
    let value = record.response_fields.field(name)?;
    if name.eq_ignore_ascii_case("Content-Type") {
        return value.split(|byte| *byte == b';').next();
    }
    Some(value)
}

fn moment(record: &Record<'_>, end: bool) -> Moment {
    if !end {
        return record.received;
    }
    let nanos = u64::from(record.received.nanos) + u64::from(record.duration.subsec_nanos());
    let secs = record.duration.as_secs() + nanos / 1_000_000_000;
    let below_a_second = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Moment { secs: record.received.secs.saturating_add_unsigned(secs), nanos: below_a_second }
}

impl TimeForm {
    fn write(&self, line: &mut Vec<u8>, at: Moment, clock: &mut LogClock) {
        match self {
            TimeForm::Common => write!(line, "[{}]", clock.clf(at.secs)),
            TimeForm::Seconds => write!(line, "{}", at.secs),
            TimeForm::Milliseconds => write!(line, "{}{:03}", at.secs, at.micros() / 1000),
            TimeForm::Microseconds => write!(line, "{}{:06}", at.secs, at.micros()),
            TimeForm::MillisecondsOfSecond => write!(line, "{:03}", at.micros() / 1000),
            TimeForm::MicrosecondsOfSecond => write!(line, "{:06}", at.micros()),
            TimeForm::Strftime(pattern) => write!(line, "{}", clock.local(at).strftime(pattern)),
        }
        .expect("the pattern was tried, and a Vec takes all that is written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    struct Pairs(&'static [(&'static str, &'static [u8])]);

    impl Fields for Pairs {
        fn field(&self, name: &str) -> Option<&[u8]> {
            let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| *value)
        }
    }

    const REQUEST: Pairs = Pairs(&[
        ("Referer", b"http://a/\"x\""),
        ("User-Agent", b"curl\\8\x01\xff"),
        ("Cookie", b"a=1; Session=s e; b=2"),
    ]);
    const RESPONSE: Pairs = Pairs(&[("Content-Type", b"text/html; charset=utf-8")]);

    fn record() -> Record<'static> {
        Record {
            client: Some("192.0.2.7:4711".parse().unwrap()),
            local: Some("[::1]:8080".parse().unwrap()),
            received: Moment { secs: 1_795_253_785, nanos: 1_002_003 },
            duration: Duration::from_micros(1_999_500),
            request_line: b"GET /a%20b?q HTTP/1.1",
            method: b"GET",
            path: b"/a b",
            query: Some(b"q"),
            protocol: b"HTTP/1.1",
            status: 200,
            body_bytes: 10,
            bytes_in: 100,
            bytes_out: 210,
            keep_alives: 3,
            after: After::Kept,
            server_name: b"example.org",
            host_name: b"www.example.org",
            file: Some(b"/srv/a b"),
            handler: Some("server-status"),
            request_fields: &REQUEST,
            response_fields: &RESPONSE,
            ..Record::default()
        }
    }

    fn line(format: &str, record: &Record<'_>) -> String {
        let mut line = Vec::new();
        let mut clock = LogClock::new(TimeZone::UTC);
        Format::compile(format).unwrap().write(&mut line, record, &mut clock);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn common_and_combined_formats() {
        let common = r#"192.0.2.7 - - [21/Nov/2026:09:36:25 +0000] "GET /a%20b?q HTTP/1.1" 200 10"#;
        assert_eq!(line(COMMON, &record()), format!("{common}\n"));
        let combined = format!("{common} \"http://a/\\\"x\\\"\" \"curl\\\\8\\x01\\xff\"\n");
        assert_eq!(line(COMBINED, &record()), combined);
    }

    #[test]
    fn every_item_shows_its_value() {
        for (format, expected) in [
            ("%a %A %B %b", "192.0.2.7 ::1 10 10"),
            ("%D %T %{ms}T %{us}T", "1999500 1 1999 1999500"),
            ("%U%q %m %H", "/a b?q GET HTTP/1.1"),
            ("%v %V %p %{local}p %{remote}p", "example.org www.example.org 80 8080 4711"),
            ("%f %R %k %X", "/srv/a b server-status 3 +"),
            ("%I %O %S", "100 210 310"),
            ("%{session}C %{none}C", "s e -"),
            ("%{Content-Type}o %{X-None}o %{X}e %L", "text/html - - -"),
            ("%404{Referer}i %!200,304{Referer}i %200,304s", "- - 200"),
            ("%{sec}t %{msec}t %{usec}t", "1795253785 1795253785001 1795253785001002"),
            ("%{%Y-%m-%dT%T}t.%{msec_frac}t.%{usec_frac}t", "2026-11-21T09:36:25.001.001002"),
            (
                "%{end:sec}t %{begin:sec}t %{end}t",
                "1795253787 1795253785 [21/Nov/2026:09:36:27 +0000]",
            ),
            (r#"100%% \"a\\b\"\t\z"#, "100% \"a\\b\"\t\\z"),
        ] {
            assert_eq!(line(format, &record()), format!("{expected}\n"), "{format}");
        }
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let empty = Record { status: 408, ..Record::default() };
        let expected = "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 408 -\n";
        assert_eq!(line(COMMON, &empty), expected);
        assert_eq!(line("%u", &Record { user: Some(b""), ..Record::default() }), "\"\"\n");
        assert_eq!(line("%q", &empty), "\n");
        let named = Record { client_name: Some("a.example"), ..record() };
        assert_eq!(line("%h %a", &named), "a.example 192.0.2.7\n");
    }

    #[test]
    fn an_internal_redirect_has_two_ends() {
        let redirected =
            Record { last_path: Some(b"/c"), first_status: Some(404), status: 500, ..record() };
        assert_eq!(line("%s %<s %>s %U %<U %>U", &redirected), "404 404 500 /a b /a b /c\n");
        assert_eq!(line("%s %>s %U %>U", &record()), "200 200 /a b /a b\n");
    }

    #[test]
    fn mistakes_are_found_at_compile_time() {
        for (format, expected) in [
            ("%h %z", "Unrecognized LogFormat directive %z"),
            ("%^zz", "Unrecognized LogFormat directive %^zz"),
            ("%{Referer", "Ran off end of LogFormat parsing args to some directive"),
            ("%>", "Ran off end of LogFormat parsing args to some directive"),
            ("%{fortnights}T", "LogFormat: %{fortnights}T: s, ms or us"),
            ("%99999s", "LogFormat: 99999 is not a status"),
        ] {
            assert_eq!(Format::compile(format).unwrap_err(), expected);
        }
        assert!(Format::compile("%{%!}t").is_err());
    }

    proptest! {
        #[test]
        fn nothing_foreign_ends_a_line_or_a_field(request_line: Vec<u8>, path: Vec<u8>, query: Vec<u8>) {
            let record = Record {
                request_line: &request_line,
                path: &path,
                query: Some(&query),
                ..Record::default()
            };
            let line = line("%r%U%q", &record);
            let inside = line.strip_suffix('\n').unwrap();
            prop_assert!(inside.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            // Every quotation mark stands behind an odd number of backslashes.
            let mut backslashes = 0;
            for byte in inside.bytes() {
                prop_assert!(byte != b'"' || backslashes % 2 == 1);
                backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
            }
        }

        #[test]
        fn compiling_never_panics(format: String) {
            let _either_way = Format::compile(&format);
        }
    }
}
