//! # response: what a request is answered with, before it becomes bytes
//!
//! ```text
//! request ── phases ──▶ Response { status, fields, body } ──▶ connection: head + body on the wire, a line in the log
//! ```
//!
//! - A response may be made by a job on another thread: it is `Send`, and owns or shares all that it needs.
//! - It holds no `Date`, `Server`, `Connection` or `Keep-Alive`: those belong to the connection.
//! - The body's length is known before its first byte leaves.

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::DirSettings;
use crate::files::content::Span;
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
    /// Who made it, for the log (`%R`).
    pub handler: Option<&'static str>,
    /// The decoded path that was answered (`%U`); after DirectoryIndex, the index file's.
    pub path: Vec<u8>,
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
    /// The request's variables.
    pub env: Env,
    /// The request's fields, if modules have changed them.
    pub request_fields: Option<EditedFields>,
}

/// The bytes after the head.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// In memory: a page, or a small file.
    Memory(Vec<u8>),
    /// Part of the program.
    Static(&'static [u8]),
    /// Part of an open file, sent chunk by chunk; see [`crate::files::content`].
    File {
        /// Open for reading.
        fd: OwnedFd,
        /// What of it is to be sent.
        span: Span,
    },
}

impl Body {
    /// The body itself, if it needs no file.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match self {
            Body::Empty => Some(&[]),
            Body::Memory(bytes) => Some(bytes),
            Body::Static(bytes) => Some(bytes),
            Body::File { .. } => None,
        }
    }

    /// How many bytes follow the head.
    pub fn length(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::Memory(bytes) => bytes.len() as u64,
            Body::Static(bytes) => bytes.len() as u64,
            Body::File { span, .. } => span.length,
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

    /// Replaces every field `name`, in any case, by one.
    pub fn set(&mut self, name: &'static str, value: &[u8]) {
        self.remove(name);
        self.push(name, value);
    }

    /// Puts all of `others` before what is there.
    pub fn prepend(&mut self, others: Fields) {
        self.list.insert_many(0, others.list);
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
