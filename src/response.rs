//! # response: what a request is answered with, before it becomes bytes
//!
//! ```text
//! request ── phases ──▶ Response { status, fields, body } ──▶ connection: head + body on the wire, a line in the log
//! ```
//!
//! - A response may be made by a job on another thread: it is `Send`, and owns or shares all that it needs.
//! - It holds no `Date`, `Server`, `Connection` or `Keep-Alive`: those belong to the connection.
//! - The body's length is known before its first byte leaves, but for a stream, which is made while it is sent.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::DirSettings;
use crate::files::content::{Segment, Span};
use crate::files::open::Opened;
use crate::http::field::members;
use crate::http::multipart::Multipart;
use crate::http::range::ByteRange;
use crate::http::status::Status;
use crate::log::access;
use crate::request::{Client, EditedFields, Env};
use crate::route::hosts::HostIndex;

/// The answer to one request.
#[derive(Debug)]
pub struct Response {
    /// The final status.
    pub status: Status,
    /// In the order in which they are sent, without Content-Length and Content-Type, which follow them.
    pub fields: Fields,
    /// `None`: nothing is known about the type, and the field is left out.
    pub content_type: Option<Cow<'static, str>>,
    /// What the client is told about the length; `None` leaves the field out (304, HEAD of a page).
    pub content_length: Option<u64>,
    /// What follows the head. Empty for HEAD, whatever `content_length` says.
    pub body: Body,
    /// Several parts of the body are wanted, and these, rather than all of it; see [`frame_parts`](Self::frame_parts).
    pub parts: Vec<ByteRange>,
    /// Who made it, for the log (`%R`); nobody in particular if that is a file as it is.
    pub handler: Option<&'static str>,
    /// The decoded path that was answered (`%>U`); after DirectoryIndex, the index file's.
    pub path: Vec<u8>,
    /// What was asked for before the first internal redirect, if there was any.
    pub first: Option<Box<First>>,
    /// The query in the end (`%q`), if modules have changed it; empty if there is none any more.
    pub query: Option<Vec<u8>>,
    /// The file's name (`%f`), existing or not.
    pub file: Option<Vec<u8>>,
    /// The virtual host that answered.
    pub host: HostIndex,
    /// Who has asked, as far as proxies on the way are believed.
    pub client: Client,
    /// What the sections say about it: sending (EnableSendfile) and logging ask.
    pub settings: Arc<DirSettings>,
    /// Who the client has proved to be; with status 401, who it says to be.
    pub user: Option<Vec<u8>>,
    /// What its address is called, if `HostnameLookups` has found it out.
    pub client_name: Option<String>,
    /// What the DNS calls our own address, if `UseCanonicalName DNS` has asked.
    pub own_name: Option<String>,
    /// The request's variables.
    pub env: Env,
    /// The request's fields, if modules have changed them.
    pub request_fields: Option<EditedFields>,
    /// A page of the server's own that tells a status, an error's or a redirect's: filters leave it alone.
    pub is_page: bool,
    /// How fast it may leave, if not at once.
    pub pace: Option<Pace>,
    /// What modules have noted about it, for the log (`%{…}n`).
    pub notes: Env,
}

/// A request as it was when it was led elsewhere.
#[derive(Clone, Debug)]
pub struct First {
    /// The decoded path (`%U`).
    pub path: Vec<u8>,
    /// The status (`%s`): 200, or what the page of an error is about.
    pub status: Status,
    /// Who led it elsewhere (`%R`); nobody, if that was an error.
    pub handler: Option<&'static str>,
}

/// A limit on how fast a response leaves (mod_ratelimit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes a second.
    pub bytes_per_sec: u64,
    /// So many bytes beyond that leave at once, in the beginning.
    pub burst_bytes: u64,
}

/// The bytes after the head.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// In memory: a page, or a small file.
    Memory(Vec<u8>),
    /// In memory, and remembered there.
    Shared(Arc<[u8]>),
    /// Part of the program.
    Static(&'static [u8]),
    /// Part of an open file, sent chunk by chunk; see [`crate::files::content`].
    File {
        /// Open for reading.
        file: Opened,
        /// What of it is to be sent.
        span: Span,
    },
    /// Several parts of an open file, and what frames them.
    Parts {
        /// Open for reading.
        file: Opened,
        /// What is to be sent, in order.
        segments: Vec<Segment>,
    },
    /// Made while it is sent, piece by piece, by jobs.
    Stream(Box<dyn Source>),
}

/// Where a stream comes from.
pub trait Source: Send + Sync + fmt::Debug {
    /// The next bytes, as many as are sent in one go; none at the end. It may block, and compute long.
    ///
    /// # Errors
    /// The rest cannot be had: the connection is cut, so that the client sees that something is missing.
    fn next(&mut self) -> io::Result<Vec<u8>>;

    /// What is to be noted about it for the log, once it has ended: names and values.
    fn notes(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

impl Response {
    /// The media type, without its parameters.
    pub fn media_type(&self) -> Option<&str> {
        let text = self.content_type.as_deref()?;
        text.split([';', ' ', '\t']).next()
    }

    /// Drops what speaks of a body where there can be none; and of no length after HEAD, since whoever made the answer
    /// may just have spared itself the work.
    pub fn drop_what_cannot_be(&mut self, is_head: bool) {
        if matches!(self.status, Status::NO_CONTENT | Status::NOT_MODIFIED) {
            self.content_type = None;
            self.content_length = None;
            self.fields.remove("Content-Encoding");
            self.fields.remove("Content-Language");
        }
        self.content_length = self.content_length.filter(|length| !is_head || *length > 0);
    }
}

impl Response {
    /// Puts the parts that are wanted in the place of the whole, each under a head of its own (multipart/byteranges, RFC
    /// 9110 section 14.6). That comes last, for up to here type and length are those of the whole.
    ///
    /// What frames the parts is held in memory: about a hundred bytes for each, of which there are no more than
    /// `MaxRanges` allows, or where that is unlimited, than fit in one field.
    pub fn frame_parts(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        let (parts, part_type) = (std::mem::take(&mut self.parts), self.content_type.take());
        let frame = Multipart::new(boundary(), part_type.as_deref(), self.body.length());
        self.body = std::mem::replace(&mut self.body, Body::Empty).framed(&parts, &frame);
        self.content_length = Some(self.body.length());
        self.content_type = Some(frame.content_type().into());
    }
}

/// A number that nobody knows beforehand. The hasher is seeded from the kernel's randomness; a forked process inherits
/// the seed, so its number goes in, too.
fn boundary() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

impl Body {
    fn framed(self, parts: &[ByteRange], frame: &Multipart<'_>) -> Body {
        let mut text = Vec::new();
        match self {
            Body::Memory(whole) => {
                let place = |at: u64| usize::try_from(at).expect("a part lies within the whole");
                for part in parts {
                    frame.push_head(&mut text, *part);
                    text.extend_from_slice(&whole[place(part.start)..=place(part.end)]);
                }
                frame.push_end(&mut text);
                Body::Memory(text)
            }
            Body::File { file, span } => {
                let mut segments = Vec::with_capacity(2 * parts.len() + 1);
                for part in parts {
                    frame.push_head(&mut text, *part);
                    segments.push(Segment::Bytes(std::mem::take(&mut text)));
                    let offset = span.offset + part.start;
                    segments.push(Segment::File(Span { offset, length: part.len() }));
                }
                frame.push_end(&mut text);
                segments.push(Segment::Bytes(text));
                Body::Parts { file, segments }
            }
            other @ (Body::Empty
            | Body::Shared(_)
            | Body::Static(_)
            | Body::Parts { .. }
            | Body::Stream(_)) => {
                unreachable!("nobody wants parts of {other:?}")
            }
        }
    }

    /// The body itself, if it needs no file.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match self {
            Body::Empty => Some(&[]),
            Body::Memory(bytes) => Some(bytes),
            Body::Shared(bytes) => Some(bytes),
            Body::Static(bytes) => Some(bytes),
            Body::File { .. } | Body::Parts { .. } | Body::Stream(_) => None,
        }
    }

    /// Whether it needs neither a file nor a job.
    pub fn is_in_memory(&self) -> bool {
        self.in_memory().is_some()
    }

    /// How many bytes follow the head, so far as that is known: of a stream nothing is.
    pub fn length(&self) -> u64 {
        match self {
            Body::Empty | Body::Stream(_) => 0,
            Body::Memory(bytes) => bytes.len() as u64,
            Body::Shared(bytes) => bytes.len() as u64,
            Body::Static(bytes) => bytes.len() as u64,
            Body::File { span, .. } => span.length,
            Body::Parts { segments, .. } => segments.iter().map(Segment::length).sum(),
        }
    }
}

/// The fields of a response: few, short, and built without allocation.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    list: SmallVec<[(Cow<'static, str>, Value); 4]>,
}

/// Dates, tags and ranges fit in place.
type Value = SmallVec<[u8; 64]>;

impl Fields {
    /// Adds a field. The value must hold no line break: the head's writer refuses it.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: &[u8]) {
        self.list.push((name.into(), Value::from_slice(value)));
    }

    /// Puts all of `others` before what is there.
    pub fn prepend(&mut self, others: Fields) {
        self.list.insert_many(0, others.list);
    }

    /// Gives a field this value, in the place of the first of its name; others of the name go.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: &[u8]) {
        let name = name.into();
        let mut is_first = true;
        self.list.retain(|(known, present)| {
            if !known.eq_ignore_ascii_case(&name) {
                return true;
            }
            if is_first {
                *present = Value::from_slice(value);
            }
            std::mem::take(&mut is_first)
        });
        if is_first {
            self.push(name, value);
        }
    }

    /// Joins a value to the first field of this name by a comma; without one, adds it.
    pub fn append(&mut self, name: impl Into<Cow<'static, str>>, value: &[u8]) {
        let name = name.into();
        match self.list.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            Some((_, present)) => {
                present.extend_from_slice(b", ");
                present.extend_from_slice(value);
            }
            None => self.push(name, value),
        }
    }

    /// `Vary`, with this member among the others.
    pub fn vary_by(&mut self, member: &str) {
        let is_there = |value: &[u8]| {
            members(value).any(|it| it == b"*" || it.eq_ignore_ascii_case(member.as_bytes()))
        };
        if !self.get("Vary").is_some_and(is_there) {
            self.append("Vary", member.as_bytes());
        }
    }

    /// Makes one `Vary` of several, each of whose members is there once.
    pub fn join_vary(&mut self) {
        let is_vary = |name: &str| name.eq_ignore_ascii_case("Vary");
        if !self.iter().any(|(name, _)| is_vary(name)) {
            return; // Nearly always.
        }
        let mut unique: Vec<&[u8]> = Vec::new();
        for (_, value) in self.iter().filter(|(name, _)| is_vary(name)) {
            for member in members(value) {
                if !unique.iter().any(|known| known.eq_ignore_ascii_case(member)) {
                    unique.push(member);
                }
            }
        }
        let joined = unique.join(&b","[..]);
        self.set("Vary", &joined);
    }

    /// Changes every value of the fields `name`, in any case.
    pub fn edit(&mut self, name: &str, change: impl Fn(&[u8]) -> Vec<u8>) {
        for (_, value) in self.list.iter_mut().filter(|(it, _)| it.eq_ignore_ascii_case(name)) {
            *value = Value::from_vec(change(value));
        }
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Fields) {
        self.list.extend(others.list);
    }

    /// Removes every field `name`, in any case.
    pub fn remove(&mut self, name: &str) {
        self.list.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.list.iter().map(|(name, value)| (name.as_ref(), value.as_slice()))
    }

    /// The first value of the field `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// For the log's `%{…}o`: also what is sent beside the list.
impl access::Fields for Response {
    fn field(&self, name: &str) -> Option<&[u8]> {
        if name.eq_ignore_ascii_case("Content-Type") {
            return self.content_type.as_deref().map(str::as_bytes);
        }
        self.fields.get(name)
    }
}
