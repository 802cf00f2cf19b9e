//! # head: from the bytes of a request line and its fields to a checked view
//!
//! ```text
//!  ⏎⏎GET /a?b HTTP/1.1⏎Host: c⏎Range: bytes=0-9⏎⏎body…
//!  │ │                 │                        │
//!  │ └ request line    └ fields                 └ Complete.length: the body, or the next request
//!  └ at most ten empty lines are skipped
//! ```
//!
//! - Any split of the bytes gives the same answer. Lines are judged in the order of their bytes,
//!   and a prefix is refused exactly when its first bytes already decide that the whole would be;
//!   until then it is `Partial`.
//! - A head has a bounded size: a request line, a number of fields, a length of each, and a total.
//! - Strict where leniency has hurt others: CR LF at the end of every line, single spaces, no
//!   folding, no blank before a colon, one `Host`, one way to find the end of the body.
//! - [`Form::Unsafe`] bears with the looks of a head, and never with two ways to read where it or
//!   its body ends.
//! - Nothing is copied; a head with up to [`FIELDS_WITHOUT_ALLOCATION`] fields allocates nothing.

use crate::http::fault::Fault;
use crate::http::field::{self, Fields, Index, Known, Values};
use crate::http::framing::Framing;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::{Host, Target};

/// How large a head may grow, in bytes and fields, and how it must look. Line ends are not counted,
/// as in Apache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// `LimitRequestLine`; a longer one is a 414.
    pub request_line_bytes_max: usize,
    /// `LimitRequestFieldSize`: name, colon and value of one field; a longer one is a 400.
    pub field_bytes_max: usize,
    /// `LimitRequestFields`; 0 means no limit but the total; one more is a 400.
    pub fields_max: usize,
    /// The whole head. Apache has no such limit, which lets one client hold 800 KB; a longer head
    /// is a 431.
    pub head_bytes_max: usize,
    /// `HttpProtocolOptions Strict|Unsafe`
    pub form: Form,
    /// `HttpProtocolOptions Allow0.9`: a lone `GET /path` is a request, too.
    pub allows_http09: bool,
}

/// How much a head's looks matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As RFC 9112 says it, without what it lets a server bear with.
    #[default]
    Strict,
    /// Lines may end with LF, but then all of a head must, so that nobody on the way has seen other
    /// lines in it (section 2.2). Words may have several blanks or tabs between and around them
    /// (section 3). The version may be in lower case, the target hold any byte above 0x7F and
    /// backslashes, and a field that may stand once may contradict itself, which makes it void.
    Unsafe,
}

impl HeadLimits {
    /// The limits that Apache's three directives set, with a total that leaves room for one largest
    /// request line, and beside it for 64 KiB of fields or two largest ones.
    pub fn new(
        request_line_bytes_max: usize,
        field_bytes_max: usize,
        fields_max: usize,
    ) -> HeadLimits {
        const FIELDS_BYTES_MIN: usize = 64 * 1024;
        let fields_bytes_max = field_bytes_max.saturating_mul(2).max(FIELDS_BYTES_MIN);
        HeadLimits {
            request_line_bytes_max,
            field_bytes_max,
            fields_max,
            head_bytes_max: request_line_bytes_max.saturating_add(fields_bytes_max),
            form: Form::Strict,
            allows_http09: false,
        }
    }
}

/// Apache's defaults: 8190, 8190, 100.
impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits::new(8190, 8190, 100)
    }
}

/// What [`parse`] found. `Complete` is the case that counts, so its size is not boxed away.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the usual one, and boxing it would allocate"
)]
pub enum Parse<'b> {
    /// The head goes on beyond these bytes: read more and parse again from the start.
    Partial {
        /// Whether anything but empty lines has arrived. If not, closing here loses no request.
        begun: bool,
        /// The request line, once it is complete: for the log, should the rest never come.
        request_line: Option<&'b [u8]>,
    },
    /// A well-formed head in the first `length` bytes, skipped empty lines included.
    Complete {
        /// The view of it.
        head: Head<'b>,
        /// Where the body begins, or the next request.
        length: usize,
    },
    /// Not a request that this server understands: answer and close.
    Invalid(BadRequest<'b>),
}

/// Why a head was refused, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRequest<'b> {
    /// What is wrong.
    pub fault: Fault,
    /// The request line as received, if it was complete and not too long: for the log.
    pub request_line: Option<&'b [u8]>,
    /// The name of a field that is too long, itself cut to a decent size: for the page.
    pub field_name: Option<&'b [u8]>,
}

impl BadRequest<'_> {
    /// The status of the answer.
    pub const fn status(&self) -> Status {
        self.fault.status()
    }

    /// One sentence for the error page and the error log.
    pub const fn reason(&self) -> &'static str {
        self.fault.explanation()
    }
}

/// The protocol versions that this server speaks. A later 1.x is read as 1.1 (RFC 9110 section
/// 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/0.9: a line asks, the bare content answers, and the end of the connection ends it.
    Http09,
    /// HTTP/1.0: closes unless asked to stay, knows no chunks.
    Http10,
    /// HTTP/1.1: stays unless asked to close.
    Http11,
}

impl Version {
    /// As a request line has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::Http09 => "HTTP/0.9",
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

/// What the client's `Connection` field says about the connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing: the version decides.
    Unsaid,
    /// `keep-alive`.
    KeepAlive,
    /// `close`, whatever else is said.
    Close,
}

/// What the client's `Expect` field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation<'b> {
    /// Nothing, or nothing that counts in this version.
    Nothing,
    /// `100-continue`: the client waits for our word before it sends the body.
    Continue,
    /// Something else, which nobody defines: a 417.
    Unknown(&'b [u8]),
}

/// A checked request head, borrowed from the bytes that it was parsed from.
#[derive(Clone, Debug)]
pub struct Head<'b> {
    method: Method<'b>,
    target: Target<'b>,
    version: Version,
    request_line: &'b [u8],
    fields: Fields<'b>,
    index: Index<'b>,
    host: Option<Host<'b>>,
    framing: Framing,
}

impl<'b> Head<'b> {
    fn of_http09(target: Target<'b>, request_line: &'b [u8]) -> Head<'b> {
        Head {
            method: Method::Get,
            target,
            version: Version::Http09,
            request_line,
            fields: Fields::of_checked_block(b""),
            index: Index::new(),
            host: None,
            framing: Framing::None,
        }
    }

    /// The method.
    pub const fn method(&self) -> Method<'b> {
        self.method
    }

    /// The target, still encoded.
    pub const fn target(&self) -> &Target<'b> {
        &self.target
    }

    /// The encoded path; see [`Target::path`].
    pub const fn path(&self) -> &'b [u8] {
        self.target.path()
    }

    /// The query, never decoded.
    pub const fn query(&self) -> Option<&'b [u8]> {
        self.target.query()
    }

    /// The version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The request line as received, without its end: the access log's `%r`.
    pub const fn request_line(&self) -> &'b [u8] {
        self.request_line
    }

    /// Whom the request is for: the host of an absolute target, else the Host field. `None` only
    /// before HTTP/1.1.
    pub const fn host(&self) -> Option<Host<'b>> {
        self.host
    }

    /// Where the body ends.
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// The same request once its chunks have been read: as if it had announced their length (RFC
    /// 9112 section 7.1.3).
    pub fn with_body_read(self, body_bytes: u64) -> Head<'b> {
        Head { framing: Framing::Length(body_bytes), ..self }
    }

    /// All fields in the order of arrival.
    pub const fn fields(&self) -> Fields<'b> {
        self.fields
    }

    /// The first field of this name, whatever its case. For a field in [`Known`], `first` is
    /// faster.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers(name).next()
    }

    /// All fields of this name, whatever its case. For a field in [`Known`], `values` is faster.
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        self.fields
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// All values of a known field.
    pub fn values(&self, known: Known) -> Values<'b> {
        self.index.values(known, self.fields)
    }

    /// The first value of a known field.
    pub const fn first(&self, known: Known) -> Option<&'b [u8]> {
        self.index.first(known)
    }

    /// The value of a known field that may occur once only; `None` also if it is repeated, since it
    /// then says nothing.
    pub const fn single(&self, known: Known) -> Option<&'b [u8]> {
        if self.index.is_repeated(known) { None } else { self.index.first(known) }
    }

    /// What `Connection` says about keeping the connection.
    pub fn wish(&self) -> Wish {
        if self.first(Known::Connection).is_none() {
            return Wish::Unsaid;
        }
        let connection = self.values(Known::Connection);
        if connection.have_member("close") {
            Wish::Close
        } else if connection.have_member("keep-alive") {
            Wish::KeepAlive
        } else {
            Wish::Unsaid
        }
    }

    /// What `Expect` asks for. An HTTP/1.0 client cannot expect anything (RFC 9110 section 10.1.1).
    pub fn expectation(&self) -> Expectation<'b> {
        if self.version < Version::Http11 {
            return Expectation::Nothing;
        }
        let mut found = Expectation::Nothing;
        for member in self.values(Known::Expect).flat_map(field::members) {
            if !member.eq_ignore_ascii_case(b"100-continue") {
                return Expectation::Unknown(member);
            }
            found = Expectation::Continue;
        }
        found
    }

    /// The client has a body and expects a word from us before it sends it. Whatever it expects, be
    /// it something that we do not know: nobody can tell whether the body will come.
    pub fn holds_body_back(&self) -> bool {
        self.expectation() != Expectation::Nothing && self.framing != Framing::None
    }
}

/// Reads the request head at the start of `bytes`, which are all that has arrived and were not
/// consumed yet.
pub fn parse<'b>(bytes: &'b [u8], limits: &HeadLimits) -> Parse<'b> {
    let skipped = match skip_empty_lines(bytes, limits.form) {
        Ok(Some(skipped)) => skipped,
        Ok(None) => return Parse::Partial { begun: false, request_line: None },
        Err(fault) => {
            return Parse::Invalid(BadRequest { fault, request_line: None, field_name: None });
        }
    };
    match parse_request(&bytes[skipped..], limits) {
        Ok(Parse::Complete { head, length }) => Parse::Complete { head, length: skipped + length },
        Ok(other) => other,
        Err(bad) => Parse::Invalid(bad),
    }
}

/// Where the request line begins, if its first byte is there. Robustness asks for at least one
/// empty line (RFC 9112 section 2.2); Apache skips ten.
fn skip_empty_lines(bytes: &[u8], form: Form) -> Result<Option<usize>, Fault> {
    const EMPTY_LINES_MAX: usize = 10;
    let mut start = 0;
    for _ in 0..=EMPTY_LINES_MAX {
        match bytes[start..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => start += 2,
            [b'\n', ..] if form == Form::Unsafe => start += 1,
            [b'\n', ..] => return Err(Fault::BareLineFeed),
            [b' ' | b'\t', ..] if form == Form::Unsafe => return Ok(Some(start)),
            // One byte is enough to know a TLS handshake, or any other protocol, from a method.
            [first, ..] if !field::is_token_byte(first) => return Err(Fault::NotHttp),
            [..] => return Ok(Some(start)),
        }
    }
    Err(Fault::TooManyEmptyLines)
}

fn parse_request<'b>(bytes: &'b [u8], limits: &HeadLimits) -> Result<Parse<'b>, BadRequest<'b>> {
    let bad = |fault| BadRequest { fault, request_line: None, field_name: None };
    let line_max = limits.request_line_bytes_max;
    let Some(line) =
        line_at(bytes, 0, line_max, Fault::RequestLineTooLong, limits).map_err(|fault| {
            bad(if fault == Fault::RequestLineTooLong {
                what_is_too_long(bytes, limits)
            } else {
                fault
            })
        })?
    else {
        return Ok(Parse::Partial { begun: true, request_line: None });
    };
    let (request_line, fields_start, end) = (line.text, line.next, line.end);
    let bad = |fault| BadRequest { fault, request_line: Some(request_line), field_name: None };
    if end == LineEnd::LineFeed && limits.form == Form::Strict {
        return Err(BadRequest {
            fault: Fault::BareLineFeed,
            request_line: None,
            field_name: None,
        });
    }
    let (method, target, version) = parse_request_line(request_line, limits).map_err(bad)?;
    if version == Version::Http09 {
        let head = Head::of_http09(target, request_line);
        return Ok(Parse::Complete { head, length: fields_start });
    }
    let Some(extent) = fields_extent(bytes, fields_start, end, request_line, limits)? else {
        return Ok(Parse::Partial { begun: true, request_line: Some(request_line) });
    };

    let block = &bytes[fields_start..extent.end];
    let index = check_fields(block, extent.count, limits.form).map_err(bad)?;
    let fields = Fields::of_checked_block(block);
    let host = decide_host(&target, version, &index).map_err(bad)?;
    let framing = Framing::decide(
        version,
        index.values(Known::ContentLength, fields),
        index.values(Known::TransferEncoding, fields),
    )
    .map_err(bad)?;
    let head = Head { method, target, version, request_line, fields, index, host, framing };
    Ok(Parse::Complete { head, length: extent.end })
}

/// A method that is longer than any line may be is longer than any that we know (RFC 9112 section 3).
fn what_is_too_long(bytes: &[u8], limits: &HeadLimits) -> Fault {
    let certain = &bytes[..bytes.len().min(limits.request_line_bytes_max)];
    if certain.iter().all(|&byte| field::is_token_byte(byte)) {
        Fault::MethodTooLong
    } else {
        Fault::RequestLineTooLong
    }
}

/// A line whose end has come.
struct Line<'b> {
    /// Without its end.
    text: &'b [u8],
    end: LineEnd,
    /// Where the next one begins.
    next: usize,
}

/// What stands behind a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    /// CR LF
    Both,
    LineFeed,
}

/// The line that begins at `start`; `None` if its end is not there yet.
///
/// A line that will be too long is known to be before its end comes. Both bounds are places in the
/// stream, and the nearer one is reported, so that the answer does not depend on how much arrived
/// at once.
fn line_at<'b>(
    bytes: &'b [u8],
    start: usize,
    line_bytes_max: usize,
    too_long: Fault,
    limits: &HeadLimits,
) -> Result<Option<Line<'b>>, Fault> {
    let room = limits.head_bytes_max.checked_sub(start).ok_or(Fault::HeadTooLong)?;
    let rest = &bytes[start..];
    let line_feed = memchr::memchr(b'\n', rest);
    let with_return = &rest[..line_feed.unwrap_or(rest.len())];
    let text = with_return.strip_suffix(b"\r").unwrap_or(with_return);
    if text.len() > line_bytes_max.min(room) {
        return Err(if line_bytes_max <= room { too_long } else { Fault::HeadTooLong });
    }
    let Some(line_feed) = line_feed else { return Ok(None) };
    let end = if text.len() == with_return.len() { LineEnd::LineFeed } else { LineEnd::Both };
    Ok(Some(Line { text, end, next: start + line_feed + 1 }))
}

/// Splits `GET /path HTTP/1.1` at its two single spaces (RFC 9112 section 3).
fn parse_request_line<'b>(
    line: &'b [u8],
    limits: &HeadLimits,
) -> Result<(Method<'b>, Target<'b>, Version), Fault> {
    let form = limits.form;
    let words = match form {
        Form::Strict => three_words(line.split(|&byte| byte == b' ')),
        Form::Unsafe => {
            let blanks = |byte: &u8| matches!(byte, b' ' | b'\t');
            three_words(line.split(blanks).filter(|word| !word.is_empty()))
        }
    };
    let [method, target, version] = words.ok_or(Fault::RequestLineMalformed)?;
    let method = method.and_then(Method::parse).ok_or(Fault::RequestLineMalformed)?;
    let target = target.filter(|it| !it.is_empty()).ok_or(Fault::RequestLineMalformed)?;
    let version = match version {
        Some(text) => parse_version(text, form)?,
        None if limits.allows_http09 && method == Method::Get => Version::Http09,
        None => return Err(Fault::VersionMissing),
    };
    let target = Target::parse(target, method, form)?;
    if version == Version::Http09 && !matches!(target, Target::Origin { .. }) {
        return Err(Fault::TargetMalformed);
    }
    Ok((method, target, version))
}

/// Up to three words; `None` if there are more.
fn three_words<'b>(mut words: impl Iterator<Item = &'b [u8]>) -> Option<[Option<&'b [u8]>; 3]> {
    let three = [words.next(), words.next(), words.next()];
    words.next().is_none().then_some(three)
}

fn parse_version(text: &[u8], form: Form) -> Result<Version, Fault> {
    let (name, numbers) = text.split_at_checked(b"HTTP/".len()).ok_or(Fault::VersionMalformed)?;
    let is_named = match form {
        Form::Strict => name == b"HTTP/",
        Form::Unsafe => name.eq_ignore_ascii_case(b"HTTP/"),
    };
    let &[major, b'.', minor] = numbers else { return Err(Fault::VersionMalformed) };
    match (major, minor) {
        _ if !is_named => Err(Fault::VersionMalformed),
        (b'1', b'0') => Ok(Version::Http10),
        (b'1', b'1'..=b'9') => Ok(Version::Http11),
        (b'0' | b'2'..=b'9', b'0'..=b'9') => Err(Fault::VersionUnsupported),
        _ => Err(Fault::VersionMalformed),
    }
}

/// How many fields there are and where the head ends, the empty line included.
struct Extent {
    count: usize,
    end: usize,
}

/// Walks the lines up to the empty one and judges what can be judged while they still arrive:
/// lengths, line ends, numbers. What stands in them waits until all are there.
fn fields_extent<'b>(
    bytes: &'b [u8],
    fields_start: usize,
    end: LineEnd,
    request_line: &'b [u8],
    limits: &HeadLimits,
) -> Result<Option<Extent>, BadRequest<'b>> {
    let mut start = fields_start;
    let mut count = 0;
    loop {
        let line = line_at(bytes, start, limits.field_bytes_max, Fault::FieldTooLong, limits);
        let line = line.map_err(|fault| BadRequest {
            fault,
            request_line: Some(request_line),
            field_name: (fault == Fault::FieldTooLong)
                .then(|| name_for_display(&bytes[start..], limits)),
        })?;
        let Some(line) = line else { return Ok(None) };
        if line.text.is_empty() && line.end == end {
            return Ok(Some(Extent { count, end: line.next }));
        }
        let fault = if line.end != end {
            Some(Fault::BareLineFeed)
        } else if matches!(line.text[0], b' ' | b'\t') {
            Some(Fault::FieldFolded)
        } else if limits.fields_max > 0 && count == limits.fields_max {
            Some(Fault::TooManyFields)
        } else {
            None
        };
        if let Some(fault) = fault {
            return Err(BadRequest { fault, request_line: Some(request_line), field_name: None });
        }
        count += 1;
        start = line.next;
    }
}

/// The name of a field that is too long, or what of it fits on a page.
fn name_for_display<'b>(field: &'b [u8], limits: &HeadLimits) -> &'b [u8] {
    const NAME_BYTES_MAX: usize = 80;
    let shown = &field[..field.len().min(limits.field_bytes_max).min(NAME_BYTES_MAX)];
    &shown[..memchr::memchr(b':', shown).unwrap_or(shown.len())]
}

/// A head with more fields than this costs one allocation while it is checked. Browsers send about
/// twenty.
pub const FIELDS_WITHOUT_ALLOCATION: usize = 32;

/// Checks names and values, and notes where the known ones stand.
fn check_fields(block: &[u8], count: usize, form: Form) -> Result<Index<'_>, Fault> {
    let mut few = [httparse::EMPTY_HEADER; FIELDS_WITHOUT_ALLOCATION];
    let mut many;
    let room = if count <= few.len() {
        &mut few[..count]
    } else {
        many = vec![httparse::EMPTY_HEADER; count];
        &mut many[..]
    };
    match httparse::parse_headers(block, room) {
        Ok(httparse::Status::Complete((_, headers))) => {
            let mut index = Index::new();
            for header in headers {
                let agrees = index.note(header.name.as_bytes(), header.value);
                if !agrees && form == Form::Strict {
                    return Err(Fault::FieldContradicts);
                }
            }
            Ok(index)
        }
        // All lines are there, so only a stray carriage return can have hidden the end from it.
        Ok(httparse::Status::Partial) => Err(Fault::FieldNameMalformed),
        Err(httparse::Error::HeaderValue) => Err(Fault::FieldValueMalformed),
        Err(_) => Err(Fault::FieldNameMalformed),
    }
}

/// The host of the target beats the Host field, which must be there and well-formed nevertheless
/// (RFC 9112 section 3.2).
fn decide_host<'b>(
    target: &Target<'b>,
    version: Version,
    index: &Index<'b>,
) -> Result<Option<Host<'b>>, Fault> {
    if index.is_repeated(Known::Host) {
        return Err(Fault::HostRepeated);
    }
    let from_field = match index.first(Known::Host) {
        Some(value) => Some(Host::parse(value).ok_or(Fault::HostMalformed)?),
        None if version >= Version::Http11 => return Err(Fault::HostMissing),
        None => None,
    };
    Ok(target.host().or(from_field))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Expectation, FIELDS_WITHOUT_ALLOCATION, Form, HeadLimits, Parse, Version, Wish, parse,
    };
    use crate::http::fault::Fault;
    use crate::http::field::Known;
    use crate::http::framing::Framing;
    use crate::http::method::Method;

    const USUAL: &str = "GET /a%20b/c.html?x=1 HTTP/1.1\r\nHost: www.example.com:8080\r\n\
                         User-Agent: curl/8.5.0\r\nX-Odd:\r\naccept-encoding: gzip\r\n\
                         Accept-Encoding: br\r\nConnection: TE, Keep-Alive\r\n\r\n";

    fn fault_of(text: &str) -> Option<Fault> {
        match parse(text.as_bytes(), &HeadLimits::default()) {
            Parse::Invalid(bad) => Some(bad.fault),
            Parse::Partial { .. } | Parse::Complete { .. } => None,
        }
    }

    #[track_caller]
    fn check_fault(text: &str, fault: Fault) {
        assert_eq!(fault_of(text), Some(fault), "{text:?}");
    }

    #[track_caller]
    fn complete<'b>(text: &'b str) -> (super::Head<'b>, usize) {
        match parse(text.as_bytes(), &HeadLimits::default()) {
            Parse::Complete { head, length } => (head, length),
            other @ (Parse::Partial { .. } | Parse::Invalid(_)) => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_usual_head_is_read_completely() {
        let (head, length) = complete(USUAL);
        assert_eq!(length, USUAL.len());
        assert_eq!(head.method(), Method::Get);
        assert_eq!((head.path(), head.query()), (&b"/a%20b/c.html"[..], Some(&b"x=1"[..])));
        assert_eq!(head.version(), Version::Http11);
        assert_eq!(head.request_line(), b"GET /a%20b/c.html?x=1 HTTP/1.1");
        let host = head.host().unwrap();
        assert_eq!((host.name, host.port), ("www.example.com", Some(8080)));
        assert_eq!(head.header("USER-agent"), Some(&b"curl/8.5.0"[..]));
        assert_eq!(head.header("x-odd"), Some(&b""[..]));
        assert_eq!(head.header("absent"), None);
        assert_eq!(head.first(Known::UserAgent), Some(&b"curl/8.5.0"[..]));
        assert_eq!(head.values(Known::AcceptEncoding).collect::<Vec<_>>(), [&b"gzip"[..], b"br"]);
        assert_eq!(head.single(Known::AcceptEncoding), None);
        assert_eq!(head.framing(), Framing::None);
        assert_eq!(head.wish(), Wish::KeepAlive);
        assert_eq!(head.fields().count(), 6);
    }

    #[test]
    fn every_proper_prefix_of_a_head_is_partial() {
        for end in 0..USUAL.len() {
            let line_end = USUAL.find('\n').unwrap();
            match parse(&USUAL.as_bytes()[..end], &HeadLimits::default()) {
                Parse::Partial { begun, request_line } => {
                    assert_eq!(begun, end > 0);
                    assert_eq!(request_line.is_some(), end > line_end, "at {end}");
                }
                other @ (Parse::Complete { .. } | Parse::Invalid(_)) => panic!("{end}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_follows_the_head_is_left_alone() {
        let (head, length) =
            complete("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /");
        assert_eq!(head.framing(), Framing::Length(3));
        assert_eq!(length, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n".len());
    }

    #[test]
    fn ten_empty_lines_are_skipped_and_an_eleventh_is_refused() {
        let text = "\r\n".repeat(10) + "GET / HTTP/1.0\r\n\r\n";
        let (head, length) = complete(&text);
        assert_eq!((head.path(), length), (&b"/"[..], text.len()));
        check_fault(&"\r\n".repeat(11), Fault::TooManyEmptyLines);
        for text in ["", "\r", "\r\n\r\n\r"] {
            let parsed = parse(text.as_bytes(), &HeadLimits::default());
            assert!(
                matches!(parsed, Parse::Partial { begun: false, request_line: None }),
                "{text:?}"
            );
        }
    }

    #[test]
    fn malformed_request_lines_are_refused() {
        check_fault("\n", Fault::BareLineFeed);
        check_fault("\x16", Fault::NotHttp);
        check_fault(" GET / HTTP/1.1\r\n", Fault::NotHttp);
        check_fault("\rGET", Fault::NotHttp);
        check_fault("GET / HTTP/1.1\n", Fault::BareLineFeed);
        check_fault("GET /\r\n", Fault::VersionMissing);
        check_fault("GET\r\n", Fault::RequestLineMalformed);
        check_fault("GET  / HTTP/1.1\r\n", Fault::RequestLineMalformed);
        check_fault("GET\t/ HTTP/1.1\r\n", Fault::RequestLineMalformed);
        check_fault("G(T / HTTP/1.1\r\n", Fault::RequestLineMalformed);
        check_fault("GET /a b HTTP/1.1\r\n", Fault::RequestLineMalformed);
        check_fault("GET / HTTP/1.1 \r\n", Fault::RequestLineMalformed);
        check_fault("GET / http/1.1\r\n", Fault::VersionMalformed);
        check_fault("GET / HTTP/1.\r\n", Fault::VersionMalformed);
        check_fault("GET / HTTP/0.9\r\n", Fault::VersionUnsupported);
        check_fault("GET / HTTP/1.1\r\r\n", Fault::VersionMalformed);
        check_fault("PRI * HTTP/2.0\r\n", Fault::VersionUnsupported);
        check_fault("GET / HTTP/2.0\r\n", Fault::VersionUnsupported);
        check_fault("GET /\0 HTTP/1.1\r\n", Fault::TargetMalformed);
        check_fault("GET /a\rb HTTP/1.1\r\n", Fault::TargetMalformed);
        check_fault("GET * HTTP/1.1\r\n", Fault::TargetMalformed);
        assert_eq!(complete("GET / HTTP/1.7\r\nHost:\r\n\r\n").0.version(), Version::Http11);
    }

    #[test]
    fn malformed_fields_are_refused() {
        let check = |fields: &str, fault| {
            check_fault(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"), fault);
        };
        check("A : b", Fault::FieldNameMalformed);
        check(": b", Fault::FieldNameMalformed);
        check("A", Fault::FieldNameMalformed);
        check("A(b): c", Fault::FieldNameMalformed);
        check("\rA: b", Fault::FieldNameMalformed);
        check("\r\r", Fault::FieldNameMalformed);
        check("\u{e9}: b", Fault::FieldNameMalformed);
        check("A: \0", Fault::FieldValueMalformed);
        check("A: b\rc", Fault::FieldValueMalformed);
        check("A: b\r", Fault::FieldValueMalformed);
        check("A: \x7f", Fault::FieldValueMalformed);
        check("A: b\r\n c", Fault::FieldFolded);
        check(" A: b", Fault::FieldFolded);
        check("A: b\nC: d", Fault::BareLineFeed);
        check_fault("GET / HTTP/1.1\r\n folded: first\r\n\r\n", Fault::FieldFolded);
        check_fault("GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::BareLineFeed);
    }

    #[test]
    fn a_host_is_there_once_and_well_formed() {
        check_fault("GET / HTTP/1.1\r\n\r\n", Fault::HostMissing);
        check_fault("GET http://a/ HTTP/1.1\r\n\r\n", Fault::HostMissing);
        check_fault("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Fault::HostRepeated);
        check_fault("GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", Fault::HostRepeated);
        check_fault("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Fault::HostMalformed);
        check_fault("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Fault::HostMalformed);
        assert_eq!(complete("GET / HTTP/1.0\r\n\r\n").0.host(), None);
        let absolute = complete("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n").0;
        assert_eq!((absolute.host().unwrap().name, absolute.path()), ("b", &b"/x"[..]));
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        let check = |fields: &str, fault| {
            check_fault(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"), fault);
        };
        check("Content-Length: 5\r\nTransfer-Encoding: chunked", Fault::TwoLengths);
        check("Content-Length: 5\r\ncontent-length: 5", Fault::ContentLengthRepeated);
        check("Content-Length: 5, 5", Fault::ContentLengthMalformed);
        check("Content-Length: +5", Fault::ContentLengthMalformed);
        check("Transfer-Encoding: x, chunked", Fault::TransferEncodingUnknown);
        check(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
            Fault::TransferEncodingMalformed,
        );
        check(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Fault::TransferEncodingMalformed,
        );
        check_fault(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fault::TransferEncodingTooOld,
        );
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n";
        assert_eq!(complete(chunked).0.framing(), Framing::Chunked);
    }

    #[test]
    fn a_field_that_may_stand_once_does_not_contradict_itself() {
        let check = |fields: &str, fault: Option<Fault>| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            assert_eq!(fault_of(&text), fault, "{text:?}");
        };
        let contradicts = Some(Fault::FieldContradicts);
        check("Range: bytes=0-1\r\nrange: bytes=0-2", contradicts);
        check("Authorization: Basic YQ==\r\nX: y\r\nAuthorization: Basic Yg==", contradicts);
        check("User-Agent:\r\nUser-Agent: b", contradicts);
        check("If-Range: a\r\nIf-Range: a\r\nIf-Range: b", contradicts);
        check("Range: bytes=0-1\r\nRange: bytes=0-1 ", None);
        check("Accept: a\r\nAccept: b\r\nX: a\r\nX: b\r\nCookie: a\r\nCookie: b", None);
    }

    fn loosely(text: &str) -> Parse<'_> {
        let limits = HeadLimits { form: Form::Unsafe, ..HeadLimits::default() };
        parse(text.as_bytes(), &limits)
    }

    #[test]
    fn unsafe_form_bears_with_looks() {
        for text in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "\n\r\n\nGET / HTTP/1.1\nHost: a\n\n",
            "GET \t /  HTTP/1.1\r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET /\u{e9}\\ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nRange: a\r\nRange: b\r\n\r\n",
        ] {
            let Parse::Complete { head, length } = loosely(text) else { panic!("{text:?}") };
            assert_eq!((head.version(), length), (Version::Http11, text.len()), "{text:?}");
            assert_eq!(head.host().unwrap().name, "a");
            assert!(fault_of(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn unsafe_form_never_leaves_a_doubt_where_something_ends() {
        let check = |text: &str, fault| {
            let Parse::Invalid(bad) = loosely(text) else { panic!("{text:?}") };
            assert_eq!(bad.fault, fault, "{text:?}");
        };
        check("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", Fault::BareLineFeed);
        check("GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::BareLineFeed);
        check("GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::BareLineFeed);
        check("GET / HTTP/1.1\nHost: a\n\r\n", Fault::BareLineFeed);
        check("GET / HTTP/1.1\nHost: a\nX: b\rc\n\n", Fault::FieldValueMalformed);
        check("GET / HTTP/1.1\nHost: a\n folded\n\n", Fault::FieldFolded);
        check("GET / HTTP/1.1\nHost : a\n\n", Fault::FieldNameMalformed);
        check("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Fault::HostRepeated);
        check("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLineMalformed);
        check("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Fault::TargetMalformed);
        check(
            "GET / HTTP/1.1\nHost: a\nContent-Length: 1\nTransfer-Encoding: chunked\n\n",
            Fault::TwoLengths,
        );
        check(
            "GET / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 2\n\n",
            Fault::ContentLengthRepeated,
        );
    }

    #[test]
    fn http_0_9_is_a_line_with_get() {
        let limits = HeadLimits { allows_http09: true, ..HeadLimits::default() };
        let parse = |text: &'static str| parse(text.as_bytes(), &limits);
        let Parse::Complete { head, length } = parse("GET /a?b\r\nHost: c\r\n") else { panic!() };
        assert_eq!((head.version(), head.path(), length), (Version::Http09, &b"/a"[..], 10));
        assert_eq!((head.fields().count(), head.host(), head.wish()), (0, None, Wish::Unsaid));
        assert!(matches!(parse("GET /a"), Parse::Partial { .. }));
        for (text, fault) in [
            ("GET http://a/\r\n", Fault::TargetMalformed),
            ("HEAD /\r\n", Fault::VersionMissing),
            ("GET / HTTP/0.9\r\n", Fault::VersionUnsupported),
            ("GET\r\n", Fault::RequestLineMalformed),
        ] {
            assert!(matches!(parse(text), Parse::Invalid(bad) if bad.fault == fault), "{text:?}");
        }
        check_fault("GET /a\r\n", Fault::VersionMissing);
    }

    #[test]
    fn a_method_that_fills_the_line_is_unknown_and_not_a_long_target() {
        check_fault(&"A".repeat(8191), Fault::MethodTooLong);
        check_fault(&format!("{} / HTTP/1.1\r\n", "A".repeat(9000)), Fault::MethodTooLong);
        check_fault(&format!("A /{}", "A".repeat(8189)), Fault::RequestLineTooLong);
        check_fault(&format!("{} /", "A".repeat(8189)), Fault::RequestLineTooLong);
    }

    #[test]
    fn expectations_count_from_http_1_1_on() {
        let expectation = |version: &str, fields: &str| {
            let text =
                format!("PUT / HTTP/{version}\r\nHost: a\r\nContent-Length: 1\r\n{fields}\r\n");
            let head = complete(&text).0;
            let kind = match head.expectation() {
                Expectation::Nothing => "nothing".to_owned(),
                Expectation::Continue => "continue".to_owned(),
                Expectation::Unknown(value) => String::from_utf8_lossy(value).into_owned(),
            };
            assert_eq!(head.holds_body_back(), kind != "nothing");
            kind
        };
        assert_eq!(expectation("1.1", "Expect: 100-Continue\r\n"), "continue");
        assert_eq!(expectation("1.0", "Expect: 100-continue\r\n"), "nothing");
        assert_eq!(expectation("1.1", "Expect:\r\n"), "nothing");
        assert_eq!(expectation("1.1", "Expect: 100-continue\r\nExpect: tea\r\n"), "tea");
        assert_eq!(expectation("1.1", "Expect: ,100-continue, 100-continue\r\n"), "continue");
        assert_eq!(expectation("1.1", "Expect: x 100-continue\r\n"), "x 100-continue");
        let bodyless = complete("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n").0;
        assert!(!bodyless.holds_body_back());
    }

    #[test]
    fn close_beats_keep_alive_on_any_line() {
        let wish =
            |fields: &str| complete(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).0.wish();
        assert_eq!(wish(""), Wish::Unsaid);
        assert_eq!(wish("Connection: upgrade\r\n"), Wish::Unsaid);
        assert_eq!(wish("Connection: Keep-Alive\r\nConnection: Close\r\n"), Wish::Close);
    }

    #[test]
    fn limits_are_met_exactly_and_known_before_the_line_ends() {
        let limits = HeadLimits {
            request_line_bytes_max: 14,
            field_bytes_max: 6,
            fields_max: 2,
            head_bytes_max: 1000,
            ..HeadLimits::default()
        };
        let check = |text: &str, fault: Option<Fault>| match parse(text.as_bytes(), &limits) {
            Parse::Invalid(bad) => assert_eq!(Some(bad.fault), fault, "{text:?}"),
            Parse::Partial { .. } | Parse::Complete { .. } => assert_eq!(None, fault, "{text:?}"),
        };
        check("GET / HTTP/1.0\r\n\r\n", None);
        check("GET / HTTP/1.0\r", None);
        check("GET /a HTTP/1.0", Some(Fault::RequestLineTooLong));
        check("GET / HTTP/1.0\r\nA: bcd\r\n", None);
        check("GET / HTTP/1.0\r\nA: bcde", Some(Fault::FieldTooLong));
        check("GET / HTTP/1.0\r\nA: b\r\nB: c\r\n\r\n", None);
        check("GET / HTTP/1.0\r\nA: b\r\nB: c\r\nC:\r\n", Some(Fault::TooManyFields));
    }

    #[test]
    fn the_page_can_name_the_field_that_is_too_long() {
        let text = format!("GET / HTTP/1.0\r\nCookie: {}", "x".repeat(8190));
        let Parse::Invalid(bad) = parse(text.as_bytes(), &HeadLimits::default()) else {
            panic!("too long")
        };
        assert_eq!((bad.fault, bad.field_name), (Fault::FieldTooLong, Some(&b"Cookie"[..])));
        assert_eq!(bad.request_line, Some(&b"GET / HTTP/1.0"[..]));
        assert_eq!((bad.status().code(), bad.reason().is_empty()), (400, false));
    }

    #[test]
    fn without_a_limit_on_fields_the_total_still_ends_it() {
        let limits = HeadLimits { head_bytes_max: 2000, ..HeadLimits::new(8190, 8190, 0) };
        let many = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "A:b\r\n".repeat(count));
        let few = many(FIELDS_WITHOUT_ALLOCATION * 3);
        let Parse::Complete { head, .. } = parse(few.as_bytes(), &limits) else { panic!("{few}") };
        assert_eq!(head.fields().count(), FIELDS_WITHOUT_ALLOCATION * 3);
        let too_many = many(500);
        let Parse::Invalid(bad) = parse(too_many.as_bytes(), &limits) else { panic!("too long") };
        assert_eq!(bad.status().code(), 431);
    }

    /// Everything that a caller can see of a parse.
    fn seen(bytes: &[u8], limits: &HeadLimits) -> String {
        match parse(bytes, limits) {
            Parse::Partial { .. } => "partial".to_owned(),
            Parse::Complete { head, length } => format!("{length} {head:?}"),
            Parse::Invalid(bad) => format!("{bad:?}"),
        }
    }

    /// Bytes that look like requests often enough to reach every branch.
    fn almost_a_head() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop_oneof![
            4 => Just("\r\n".to_owned()),
            1 => prop::sample::select(vec!["\n", "\r", " ", "\t", ":", "\0", "\u{e9}"])
                .prop_map(str::to_owned),
            4 => prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "GET / HTTP/1.0\r\n", "POST /a?b HTTP/1.1\r\n",
                "OPTIONS * HTTP/1.1\r\n", "Host: a\r\n", "Content-Length: 5\r\n",
                "Transfer-Encoding: chunked\r\n", "A: b\r\n",
                "Connection: close\r\n", "\r\n\r\n", "X-Long: abcdefghijklmnop\r\n",
            ]).prop_map(str::to_owned),
            1 => "[ -~]{0,12}",
        ];
        prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat().into_bytes())
    }

    fn small_limits() -> impl Strategy<Value = HeadLimits> {
        (0_usize..24, 0_usize..24, 0_usize..4, 0_usize..90, any::<bool>()).prop_map(
            |(line, field, fields, head, lenient)| HeadLimits {
                request_line_bytes_max: line,
                field_bytes_max: field,
                fields_max: fields,
                head_bytes_max: head,
                form: if lenient { Form::Unsafe } else { Form::Strict },
                allows_http09: lenient,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_split_gives_the_same_answer(
            bytes in almost_a_head(),
            limits in prop_oneof![Just(HeadLimits::default()), small_limits()],
        ) {
            let whole = seen(&bytes, &limits);
            let first = (0..=bytes.len())
                .map(|end| seen(&bytes[..end], &limits))
                .find(|it| it != "partial");
            prop_assert_eq!(first.unwrap_or_else(|| "partial".to_owned()), whole);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes, &HeadLimits::default());
        }

        #[test]
        fn fields_read_back_as_written(
            fields in prop::collection::vec(
                ("X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,10}", "([!-~]([ -~]{0,20}[!-~])?)?"),
                0..40,
            ),
        ) {
            let mut text = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
            for (name, value) in &fields {
                text += &format!("{name}: {value}\r\n");
            }
            text += "\r\n";
            let (head, length) = complete(&text);
            prop_assert_eq!(length, text.len());
            let read: Vec<_> = head.fields().skip(1).collect();
            let written: Vec<_> =
                fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            prop_assert_eq!(read, written);
        }
    }
}
