//! # Two answers, and what differs between them
//!
//! Before they are compared, what differs by nature is made equal: Date and Server, the port, the name of the server in
//! a page's signature, the boundary between parts, and how well gzip packs. The order of fields with different names
//! means nothing (RFC 9110, section 5.3), nor do the order in Allow and blanks in Vary, and is not compared; everything
//! else is. How long a body is says the body: only whether that was announced as a length or in chunks is compared as
//! `framing`. Where already the status differs, nothing else can be the same, and nothing else is compared.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::net::SocketAddr;

use crate::cases::Request;
use crate::support::client::{Answer, Client};

/// What came back: usually one answer.
pub(crate) struct Reply {
    answers: Vec<Normal>,
    /// Why there are no more; nothing if the connection just ended, or all has come.
    error: Option<String>,
}

/// An answer without what differs by nature.
struct Normal {
    status: String,
    fields: BTreeMap<String, Vec<String>>,
    body: Vec<u8>,
    /// How long the body was when it came.
    body_bytes: usize,
    /// Seconds since 1970, by its Date.
    date: Option<u64>,
}

impl Reply {
    /// Asks on a connection of its own.
    pub(crate) fn ask(address: SocketAddr, request: &Request) -> Reply {
        let mut reply = Reply { answers: Vec::new(), error: None };
        if let Err(error) = reply.try_ask(address, request) {
            reply.error = Some(format!("{:?}", error.kind()));
        }
        reply
    }

    fn try_ask(&mut self, address: SocketAddr, request: &Request) -> io::Result<()> {
        let mut client = Client::try_connect(address)?;
        // A server may answer and close before it has read all.
        let sent = client.try_send(&request.bytes);
        if let Some(method) = &request.method {
            let answer = client.try_receive(method)?;
            self.answers.push(Normal::new(answer, method, address.port()));
            return Ok(());
        }
        sent?;
        client.finish_sending();
        let mut method = if request.bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        loop {
            match client.try_receive(std::mem::replace(&mut method, "GET")) {
                Ok(answer) => self.answers.push(Normal::new(answer, "GET", address.port())),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Normal {
    fn new(answer: Answer, method: &str, port: u16) -> Normal {
        let banner = answer.field("server").unwrap_or_default().to_owned();
        let boundary = answer
            .field("content-type")
            .and_then(|kind| kind.split_once("boundary="))
            .map(|(_, boundary)| boundary.to_owned())
            .unwrap_or_default();
        let date = answer.field("date").and_then(seconds);
        let (in_url, in_text) = (format!(":{port}"), format!("Port {port}"));
        let normal = |text: &str| {
            let text = text.replace(&in_url, ":PORT").replace(&in_text, "Port PORT");
            if boundary.is_empty() { text } else { text.replace(&boundary, BOUNDARY) }
        };
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &answer.fields {
            let name = name.to_ascii_lowercase();
            let value = match name.as_str() {
                "date" | "server" => "present".to_owned(),
                "allow" => sorted(value),
                "vary" => value.replace(", ", ","),
                _ => normal(value),
            };
            fields.entry(name).or_default().push(value);
        }
        let coding = fields.get("content-encoding").and_then(|coding| coding.first());
        let is_packed = coding.is_some_and(|coding| coding == "gzip");
        let body_bytes = answer.body.len();
        let mut body = if is_packed { unpacked(answer.body) } else { answer.body };
        if let Ok(text) = std::str::from_utf8(&body) {
            let signature = format!("<address>{banner} Server at");
            body = normal(text).replace(&signature, "<address>SERVER Server at").into_bytes();
        } else if !boundary.is_empty() {
            body = replaced(&body, boundary.as_bytes());
        }
        if method != "HEAD" && !matches!(answer.status, 204 | 304) {
            let chunked = fields.remove("transfer-encoding").map(|coding| coding.join(", "));
            let length = fields.remove("content-length").map(|_| "length".to_owned());
            let framing = chunked.or(length).unwrap_or_else(|| "the end".to_owned());
            fields.insert("framing".to_owned(), vec![framing]);
        }
        let status = format!("{} {} {}", answer.version, answer.status, answer.reason);
        Normal { status, fields, body, body_bytes, date }
    }
}

/// What stands for the boundary between parts.
const BOUNDARY: &str = "BOUNDARY";

/// Parts that are no text, with [`BOUNDARY`] between them.
fn replaced(body: &[u8], boundary: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memmem::find(rest, boundary) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(BOUNDARY.as_bytes());
        rest = &rest[at + boundary.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// What a compressed body holds; as it is, if it does not hold all of it.
fn unpacked(body: Vec<u8>) -> Vec<u8> {
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => body,
    }
}

/// The items of a list, in alphabetical order.
fn sorted(list: &str) -> String {
    let mut items: Vec<&str> = list.split(',').map(str::trim).collect();
    items.sort_unstable();
    items.join(",")
}

fn seconds(date: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(date).ok()?;
    time.duration_since(std::time::SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Everything that differs: `WHAT: Apache's / ours`, with `-` for what is not there.
pub(crate) fn differences(theirs: &Reply, ours: &Reply) -> Vec<String> {
    let mut found = Vec::new();
    let count = (theirs.answers.len(), ours.answers.len());
    if count.0 != count.1 || theirs.error != ours.error {
        let (their_end, our_end) = (theirs.end(), ours.end());
        found.push(format!("answers: {}, {their_end} / {}, {our_end}", count.0, count.1));
    }
    for (theirs, ours) in theirs.answers.iter().zip(&ours.answers) {
        if theirs.status != ours.status {
            found.push(format!("status: {} / {}", theirs.status, ours.status));
            continue;
        }
        compare_fields(theirs, ours, &mut found);
        compare_bodies(&theirs.body, &ours.body, &mut found);
    }
    found
}

fn compare_fields(theirs: &Normal, ours: &Normal, found: &mut Vec<String>) {
    let mut names: Vec<&String> = theirs.fields.keys().chain(ours.fields.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (theirs_has, ours_has) = (theirs.value(name), ours.value(name));
        let same =
            theirs_has == ours_has || name == "expires" && theirs.lives_for() == ours.lives_for();
        if !same {
            found.push(format!("{name}: {theirs_has} / {ours_has}"));
        }
    }
}

impl Normal {
    /// All values of a field, or `-`.
    fn value(&self, name: &str) -> String {
        self.fields.get(name).map_or_else(|| "-".to_owned(), |values| values.join(" && "))
    }

    /// Seconds from Date to Expires.
    fn lives_for(&self) -> Option<u64> {
        seconds(self.fields.get("expires")?.first()?)?.checked_sub(self.date?)
    }
}

/// Line by line; of what cannot be read as text only that it differs.
fn compare_bodies(theirs: &[u8], ours: &[u8], found: &mut Vec<String>) {
    if theirs == ours {
        return;
    }
    let (Ok(their_text), Ok(our_text)) = (std::str::from_utf8(theirs), std::str::from_utf8(ours))
    else {
        found.push(format!("body: {} bytes / {} other bytes", theirs.len(), ours.len()));
        return;
    };
    let (theirs, ours): (Vec<_>, Vec<_>) =
        (their_text.split('\n').collect(), our_text.split('\n').collect());
    for (left, right) in aligned(&theirs, &ours) {
        if left != right {
            found.push(format!("body: {} / {}", left.unwrap_or("-"), right.unwrap_or("-")));
        }
    }
}

/// Lines side by side: a line that only one side has stands alone, as far as that can be seen without much searching.
fn aligned<'t>(theirs: &[&'t str], ours: &[&'t str]) -> Vec<(Option<&'t str>, Option<&'t str>)> {
    let (mut left, mut right) = (0, 0);
    let mut pairs = Vec::new();
    while left < theirs.len() || right < ours.len() {
        let (here, there) = (theirs.get(left).copied(), ours.get(right).copied());
        let only_left = || here.is_none_or(|line| !ours[right..].contains(&line));
        let only_right = || there.is_none_or(|line| !theirs[left..].contains(&line));
        if here == there || only_left() == only_right() {
            pairs.push((here, there));
            left += 1;
            right += 1;
        } else if only_left() {
            pairs.push((here, None));
            left += 1;
        } else {
            pairs.push((None, there));
            right += 1;
        }
    }
    pairs
}

impl Reply {
    /// The body of the last answer; nothing if there is none.
    pub(crate) fn body(&self) -> &[u8] {
        self.answers.last().map_or(&[], |answer| &answer.body)
    }

    /// How `%b` logs the last answer's body.
    pub(crate) fn body_bytes(&self) -> String {
        let bytes = self.answers.last().map_or(0, |answer| answer.body_bytes);
        if bytes == 0 { "-".to_owned() } else { bytes.to_string() }
    }

    /// How many answers there were.
    pub(crate) fn count(&self) -> usize {
        self.answers.len()
    }

    /// What the last answer began with; nothing if there is none.
    pub(crate) fn status(&self) -> &str {
        self.answers.last().map_or("", |answer| &answer.status)
    }

    fn end(&self) -> &str {
        self.error.as_deref().unwrap_or("complete")
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for answer in &self.answers {
            writeln!(f, "{}", answer.status)?;
            for (name, values) in &answer.fields {
                writeln!(f, "{name}: {}", values.join(" && "))?;
            }
            writeln!(f, "\n{}", String::from_utf8_lossy(&answer.body))?;
        }
        write!(f, "({})", self.end())
    }
}

#[test]
fn what_differs_is_named() {
    let reply = |status, fields: &[(&str, &str)], body: &str| {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let (version, reason) = ("HTTP/1.1".to_owned(), "OK".to_owned());
        let answer = Answer { version, status, reason, fields, body: body.into() };
        Reply { answers: vec![Normal::new(answer, "GET", 8080)], error: None }
    };
    let theirs = reply(
        200,
        &[
            ("Server", "Apache"),
            ("Location", "http://a:8080/"),
            ("Content-Length", "40"),
            ("Allow", "A,B"),
        ],
        "<address>Apache Server at a Port 8080</address>\nsame\nonly theirs\nend",
    );
    let ours = reply(
        200,
        &[
            ("SERVER", "Herdgate"),
            ("location", "http://a:8080/"),
            ("X", "1"),
            ("x", "2"),
            ("Allow", "B, A"),
        ],
        "<address>Herdgate Server at a Port 8080</address>\nsame\nend",
    );
    let expected = ["framing: length / the end", "x: - / 1 && 2", "body: only theirs / -"];
    assert_eq!(differences(&theirs, &ours), expected);
    assert_eq!(
        differences(&theirs, &reply(201, &[], "")),
        ["status: HTTP/1.1 200 OK / HTTP/1.1 201 OK"]
    );
    assert!(differences(&theirs, &theirs).is_empty());
}
