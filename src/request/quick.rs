//! # quick: what was answered before is answered again, as long as nothing has changed
//!
//! ```text
//! request line, Host, our address ──▶ variants ──▶ asked with the same fields? ──▶ still made from the same? ──▶ answer
//!                                        │ none            │ no                        │ no
//!                                        └─────────────────┴───────────────────────────┴──▶ all phases, and remember
//! ```
//!
//! - It stands where Apache's quick handlers stand: before all phases. What it gives is what the phases have made, with
//!   the fields of the request, the files and the settings that they have made it from, see [`MadeFrom`]. Whoever asks
//!   with the same of those would get the same.
//! - It is as fresh as the file system: the names are looked at again for each request, by one call each, or the kernel
//!   tells when one of them has changed ([`Watch`]), where one thread serves all connections.
//! - An answer that was denied, that needed a user, or of which the error log tells is made anew each time.
//! - What is asked for a second time is remembered. Each child has one cache, and `FileCache` bounds it in bytes; what is
//!   not asked for makes room (S3-FIFO). One
//!   resource has at most [`VARIANTS_MAX`] variants, so nobody can fill the cache by varying a field.

use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::made_from::{AskedFields, MadeFrom};
use super::{Client, Server};
use crate::files::Access;
use crate::files::content::SMALL_FILE_BYTES_MAX;
use crate::files::seen::Seen;
use crate::files::watch::{TRUST_SECS_MAX, Trust, Watch};
use crate::http::field::Known;
use crate::http::framing::Framing;
use crate::http::head::{Expectation, Head};
use crate::http::method::Method;
use crate::log::Moment;
use crate::response::{Body, Response};

/// Answers to the same line that were made from different fields. Beyond, the oldest goes.
const VARIANTS_MAX: usize = 8;
/// Requests of which it is known that they were here: some entries of a processor's cache.
const SEEN_ONCE_MAX: usize = 16 * 1024;
/// What an answer costs beside its body, its names and its fields.
const OVERHEAD_BYTES: usize = 1024;
/// A remembered answer is made anew after this time, whatever its names say.
const AGE_SECS_MAX: i64 = 60;

/// Answers that a child has given.
#[derive(Debug)]
pub struct AnswerCache {
    /// `None`: nothing is remembered.
    known: Option<Cache<Key, Variants, Bytes>>,
    /// What has just changed is not built on, and what is asked for once is not remembered.
    is_patient: bool,
    /// Which requests have been here lately: only who comes again is remembered. Where there are more files than room,
    /// remembering each costs more than it brings.
    seen_once: Box<[AtomicU32]>,
    hasher: RandomState,
}

/// An answer that may be given again.
#[derive(Debug)]
pub struct Remembered {
    /// The answer.
    pub response: Response,
    /// The second that it holds in, if it says the time.
    at_secs: Option<i64>,
    /// What the request's fields were that it depends on.
    asked: Vec<(Name, Box<[u8]>)>,
    seen: Vec<Seen>,
    trust: Arc<Trust>,
    made_secs: i64,
    looked_secs: AtomicI64,
}

#[derive(Debug)]
enum Name {
    Known(Known),
    Other(Box<str>),
}

type Variants = Arc<Vec<Arc<Remembered>>>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    local: Option<SocketAddr>,
    line: Box<[u8]>,
    host: Box<[u8]>,
}

/// A key that is only looked up.
struct Asked<'r> {
    local: Option<SocketAddr>,
    line: &'r [u8],
    host: &'r [u8],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Asked { local: self.local, line: &self.line, host: &self.host }.hash(state);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.line.hash(state);
        self.host.hash(state);
    }
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.local == key.local && *self.line == *key.line && *self.host == *key.host
    }
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Variants> for Bytes {
    fn weight(&self, key: &Key, variants: &Variants) -> u64 {
        let all: usize = variants.iter().map(|it| it.bytes()).sum();
        (key.line.len() + key.host.len() + all) as u64
    }
}

impl AnswerCache {
    /// Remembers answers of so many bytes together; none if that is zero.
    pub fn new(bytes_max: u64) -> AnswerCache {
        let items = usize::try_from(bytes_max / 4096).unwrap_or(usize::MAX);
        let known = (bytes_max > 0).then(|| Cache::with_weighter(items, bytes_max, Bytes));
        let seen_once = (0..items.clamp(1, SEEN_ONCE_MAX)).map(|_| AtomicU32::new(0)).collect();
        AnswerCache { known, is_patient: true, seen_once, hasher: RandomState::new() }
    }

    /// Remembers what was made from files that were just written as well: a test has no others.
    #[cfg(test)]
    pub(crate) fn hasty(bytes_max: u64) -> AnswerCache {
        AnswerCache { is_patient: false, ..Self::new(bytes_max) }
    }

    /// Whether it remembers anything at all.
    pub fn remembers(&self) -> bool {
        self.known.is_some()
    }

    /// The answer to this request, if it was given before and still holds.
    pub fn find(
        &self,
        client: &Client,
        head: &Head<'_>,
        now: Moment,
        watch: Option<&mut Watch>,
        access: Access,
    ) -> Option<Arc<Remembered>> {
        if !asks_simply(head) {
            return None;
        }
        let variants = self.known.as_ref()?.get(&asked(client, head))?;
        let found = variants.iter().find(|it| it.answers(head, now))?;
        found.is_fresh(now, watch, access).then(|| Arc::clone(found))
    }

    /// Remembers the answer to a request, if it may be given again.
    pub(super) fn remember(
        &self,
        (client, head, now): (&Client, &Head<'_>, Moment),
        made_from: MadeFrom,
        asked_fields: &AskedFields,
        response: &mut Response,
    ) {
        let Some(known) = &self.known else { return };
        if !may_be_remembered(head, &made_from, response) {
            return;
        }
        let key = asked(client, head);
        if self.is_patient && !self.comes_again(&key) {
            return;
        }
        let Some((known_fields, others)) = asked_fields.names() else { return };
        let at_secs = made_from.asked_the_time().then_some(now.secs);
        let seen = made_from.into_names();
        let mut files = seen.iter().filter_map(|it| it.was.as_ref());
        if self.is_patient && !files.all(|it| it.is_settled(now)) {
            return;
        }
        let names = known_fields.map(Name::Known).chain(others.into_iter().map(Name::Other));
        let remembered = Arc::new(Remembered {
            response: response.share(),
            at_secs,
            asked: names.map(|name| (values(head, &name), name)).map(|(v, n)| (n, v)).collect(),
            seen,
            trust: Arc::default(),
            made_secs: now.secs,
            looked_secs: AtomicI64::new(now.secs),
        });
        let others = known.get(&key);
        let mut variants = vec![remembered];
        let still_useful = |it: &&Arc<Remembered>| !it.answers(head, now) && !it.is_over(now);
        variants.extend(others.iter().flat_map(|it| it.iter()).filter(still_useful).cloned());
        variants.truncate(VARIANTS_MAX);
        let key = Key { local: key.local, line: key.line.into(), host: key.host.into() };
        known.insert(key, Arc::new(variants));
    }
}

impl AnswerCache {
    /// Whether a request was here lately; from now on it was.
    fn comes_again(&self, key: &Asked<'_>) -> bool {
        let hash = self.hasher.hash_one(key);
        let place = usize::try_from(hash >> 32).unwrap_or(0) % self.seen_once.len();
        let mark = u32::try_from(hash & 0xffff_ffff).unwrap_or(0) | 1; // Zero is nobody.
        self.seen_once[place].swap(mark, Relaxed) == mark
    }
}

fn asked<'r>(client: &Client, head: &Head<'r>) -> Asked<'r> {
    let host = head.first(Known::Host).unwrap_or_default();
    Asked { local: client.local, line: head.request_line(), host }
}

fn may_be_remembered(head: &Head<'_>, made_from: &MadeFrom, response: &Response) -> bool {
    asks_simply(head)
        && !made_from.is_unrepeatable()
        && response.pace.is_none()
        && response.user.is_none()
        && response.client_name.is_none()
        && response.body.in_memory().is_some_and(|it| it.len() as u64 <= SMALL_FILE_BYTES_MAX)
}

/// Whether a request is one of those that are worth remembering: it has no body, and expects nothing.
fn asks_simply(head: &Head<'_>) -> bool {
    matches!(head.method(), Method::Get | Method::Head)
        && head.framing() == Framing::None
        && head.expectation() == Expectation::Nothing
}

/// All values of a field, each with an end that no value can hold.
fn values(head: &Head<'_>, name: &Name) -> Box<[u8]> {
    let mut all = Vec::new();
    for_each_value(head, name, |value| {
        all.extend_from_slice(value);
        all.push(0);
        true
    });
    all.into()
}

fn for_each_value(head: &Head<'_>, name: &Name, mut visit: impl FnMut(&[u8]) -> bool) -> bool {
    match name {
        Name::Known(known) if head.first(*known).is_none() => true, // The usual case, without a loop.
        Name::Known(known) => head.values(*known).all(visit),
        Name::Other(name) => head
            .fields()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .all(|(_, value)| visit(value)),
    }
}

/// Whether a field has these values, in the form that [`values`] makes.
fn has_values(head: &Head<'_>, name: &Name, wanted: &[u8]) -> bool {
    let mut left = wanted;
    let begin_alike = for_each_value(head, name, |value| {
        match left.strip_prefix(value).and_then(|rest| rest.strip_prefix(b"\0")) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        }
    });
    begin_alike && left.is_empty()
}

impl Remembered {
    /// Whether it is an answer to this request, as far as the request tells.
    fn answers(&self, head: &Head<'_>, now: Moment) -> bool {
        self.at_secs.is_none_or(|secs| secs == now.secs)
            && self.asked.iter().all(|(name, wanted)| has_values(head, name, wanted))
    }

    /// Whether nothing that it was made from has changed.
    fn is_fresh(&self, now: Moment, watch: Option<&mut Watch>, access: Access) -> bool {
        if self.is_over(now) {
            return false;
        }
        let Some(watch) = watch else { return self.is_as_seen(access) };
        let looked_secs = self.looked_secs.load(Relaxed);
        if watch.trusts(&self.trust) && (0..TRUST_SECS_MAX).contains(&(now.secs - looked_secs)) {
            return true;
        }
        // Watched first, looked at then.
        let is_covered = watch.cover(&self.seen, &self.trust);
        if !self.is_as_seen(access) {
            return false;
        }
        if is_covered {
            watch.give(&self.trust);
            self.looked_secs.store(now.secs, Relaxed);
        }
        true
    }

    fn is_over(&self, now: Moment) -> bool {
        !(0..AGE_SECS_MAX).contains(&(now.secs - self.made_secs))
    }

    fn is_as_seen(&self, access: Access) -> bool {
        self.seen.iter().all(|seen| seen.is_still_so(access))
    }

    fn bytes(&self) -> usize {
        let names: usize = self.seen.iter().map(|seen| seen.name.len() + size_of::<Seen>()).sum();
        let fields: usize = self.asked.iter().map(|(_, value)| value.len() + 32).sum();
        OVERHEAD_BYTES + self.response.body.in_memory().map_or(0, <[u8]>::len) + names + fields
    }
}

impl Response {
    /// A copy of it that has the body in common; the body is in memory.
    fn share(&mut self) -> Response {
        if let Body::Memory(bytes) = &mut self.body {
            self.body = Body::Shared(std::mem::take(bytes).into());
        }
        let copy = match &self.body {
            Body::Shared(bytes) => Body::Shared(Arc::clone(bytes)),
            Body::Static(bytes) => Body::Static(bytes),
            Body::Empty
            | Body::Memory(_)
            | Body::File { .. }
            | Body::Parts { .. }
            | Body::Stream(_) => Body::Empty,
        };
        Response {
            body: copy,
            fields: self.fields.clone(),
            content_type: self.content_type.clone(),
            path: self.path.clone(),
            file: self.file.clone(),
            settings: Arc::clone(&self.settings),
            client: Client::default(), // Whoever asks then.
            parts: self.parts.clone(),
            first: self.first.clone(),
            query: self.query.clone(),
            user: None,
            client_name: None,
            own_name: None,
            env: self.env.clone(),
            request_fields: None,
            notes: self.notes.clone(),
            ..*self
        }
    }
}

impl Server {
    /// What remembers answers, by the `FileCache` that is configured.
    pub(super) fn answer_cache(config: &crate::config::Config) -> AnswerCache {
        let mpm = &config.server.mpm;
        AnswerCache::new(config.server.file_cache.bytes_per_child(mpm.geometry.processes_max))
    }
}
