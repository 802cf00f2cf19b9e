//! A file: does the client have it already, which part is wanted, and how it travels.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use herdgate_sys::file::{Stat, fstat};

use super::{Refusal, Request, Stop};
use crate::files::content::{self, SMALL_FILE_BYTES_MAX, Span};
use crate::files::digest::Digest;
use crate::files::open::{OpenError, Opened};
use crate::http::coding::{self, Coding};
use crate::http::conditional::{self, Conditions, Validators, Verdict};
use crate::http::date;
use crate::http::etag::{ETag, FileFacts, FileTagParts};
use crate::http::field::Known;
use crate::http::range::{self, ByteRange, Ranges};
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::modules::core::EtagParts;
use crate::modules::mime::{self, Chosen, Media};
use crate::modules::negotiation;
use crate::response::{Body, Fields, Response};

/// A file that shrinks between being measured and being read is measured again, but not for ever.
const MEASURED_TIMES_MAX: u32 = 3;

/// The body of an answer that has none.
const NOTHING: Span = Span { offset: 0, length: 0 };

impl Request<'_> {
    /// Answers with a file, or part of it, or the news that the client has it.
    pub(super) fn file(&mut self, opened: Opened) -> Result<Response, Stop> {
        let (mut file, coding) = self.precompressed(opened)?;
        for _ in 0..MEASURED_TIMES_MAX {
            self.digest = self.digest_of(file.fd.as_fd(), &file.stat)?;
            let (mut response, span) = self.represent(&file.stat, coding)?;
            if self.is_head() || span.length == 0 {
                return Ok(response);
            }
            if span.length > SMALL_FILE_BYTES_MAX {
                response.body = Body::File { file, span };
                return Ok(response);
            }
            match content::read(&file, span, self.access) {
                Ok(bytes) => {
                    response.body = Body::Memory(bytes);
                    return Ok(response);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    file.stat = fstat(file.fd.as_fd()).map_err(|error| self.unreadable(&error))?;
                }
                Err(error) => return Err(self.unreadable(&error)),
            }
        }
        Err(self.unreadable(&io::ErrorKind::UnexpectedEof.into()))
    }

    fn unreadable(&self, error: &io::Error) -> Stop {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Stop::WouldBlock;
        }
        let file = Quoted(self.place.file());
        self.log(Level::Error, "core").because(error).say(format_args!("cannot read {file}"));
        Refusal::stop(Status::INTERNAL_SERVER_ERROR)
    }

    /// The response to a request for a file that `stat` describes, its body still missing, and which bytes that is.
    fn represent(&self, stat: &Stat, coding: Option<Coding>) -> Result<(Response, Span), Stop> {
        let mut facts = Facts::new(self, stat);
        let verdict = self.judge_conditions(&mut facts);
        let mut fields = facts.fields();
        let mut media = self.media();
        if !self.place.settings.precompressed.codings().is_empty() && media.encodings.is_empty() {
            fields.vary_by("Accept-Encoding");
            media.encodings.extend(coding.map(Coding::name));
        }
        match media.encodings.as_slice() {
            [only] => {
                let spelling = negotiation::spelling_of(self, only);
                fields.push("Content-Encoding", spelling.as_deref().unwrap_or(only).as_bytes());
            }
            [] => {}
            several => fields.push("Content-Encoding", several.join(", ").as_bytes()),
        }
        if !media.languages.is_empty() {
            fields.push("Content-Language", media.languages.join(",").as_bytes());
        }
        match verdict {
            Verdict::Proceed => {}
            // Type and length are for whoever gives it the last touches, which end by dropping them.
            Verdict::NotModified => {
                let status = Status::NOT_MODIFIED;
                let response =
                    self.file_response(status, fields, media.content_type, Some(stat.size));
                return Ok((response, NOTHING));
            }
            // As Apache's default handler: the file's head and no page.
            Verdict::PreconditionFailed => {
                let failed = Status::PRECONDITION_FAILED;
                let response = self.file_response(failed, fields, media.content_type, Some(0));
                return Ok((response, NOTHING));
            }
        }
        let mut status = Status::OK;
        let mut span = Span { offset: 0, length: stat.size };
        let mut parts = self.wanted_parts(&facts)?;
        if !parts.is_empty() {
            status = Status::PARTIAL_CONTENT;
        }
        if let [part] = parts[..] {
            parts.clear(); // A single part needs no frame.
            push_content_range(&mut fields, part, stat.size);
            span = Span { offset: part.start, length: part.len() };
        }
        let response = self.file_response(status, fields, media.content_type, Some(span.length));
        Ok((Response { parts, ..response }, span))
    }

    fn file_response(
        &self,
        status: Status,
        fields: Fields,
        content_type: Option<Cow<'_, str>>,
        length: Option<u64>,
    ) -> Response {
        let content_type = content_type.map(|text| Cow::Owned(text.into_owned()));
        self.response(status, fields, content_type, Body::Empty, length)
    }

    fn media(&self) -> Media<'_> {
        let types = &self.server.config.server.types;
        mime::describe(&self.place.settings, types, &self.place.name_for_types())
    }

    /// The version of a folder's contents.
    pub(crate) fn tag_of_folder(&self, stat: &Stat) -> Option<ETag> {
        self.tag_by(stat, FileTagParts { inode: false, size: false, mtime: true })
    }

    /// `FileETag Digest`
    fn digest_of(&self, fd: BorrowedFd<'_>, stat: &Stat) -> Result<Option<Digest>, Stop> {
        if !self.place.settings.core.etag().contains(EtagParts::DIGEST) {
            return Ok(None);
        }
        let digest = self.server.digests.of(fd, stat, self.access, self.now);
        digest.map(Some).map_err(|error| self.unreadable(&error))
    }

    /// The entity tag of a file, as FileETag says.
    pub(crate) fn tag_of(&self, stat: &Stat) -> Option<ETag> {
        if let Some(digest) = &self.digest {
            return Some(ETag::of_digest(digest));
        }
        let parts = self.place.settings.core.etag();
        let parts = FileTagParts {
            inode: parts.contains(EtagParts::INODE),
            size: parts.contains(EtagParts::SIZE),
            mtime: parts.contains(EtagParts::MTIME),
        };
        self.tag_by(stat, parts)
    }

    fn tag_by(&self, stat: &Stat, parts: FileTagParts) -> Option<ETag> {
        let (secs, nanos) = stat.modified;
        if self.now.secs - secs < 2 {
            self.made_from.cannot_be_repeated(); // A moment later the tag is strong.
        }
        let facts = FileFacts { inode: stat.inode, size: stat.size, mtime_us: micros(secs, nanos) };
        ETag::of_file(&facts, parts, micros(self.now.secs, self.now.nanos))
    }

    /// Answers with a form that stands in a type map itself. It has no times of its own, and so no validators.
    pub(crate) fn content_of_map(&self, media: &Chosen, body: Vec<u8>) -> Result<Response, Stop> {
        let facts =
            Facts { size: body.len() as u64, modified_secs: 0, etag: None, has_parts: true };
        let mut fields = Fields::default();
        fields.push("Accept-Ranges", b"bytes");
        if let Some(encoding) = &media.encoding {
            fields.push("Content-Encoding", encoding.as_bytes());
        }
        if !media.languages.is_empty() {
            fields.push("Content-Language", media.languages.join(",").as_bytes());
        }
        let content_type = media.content_type.as_deref().map(Cow::Borrowed);
        let content_type =
            content_type.map(|it| mime::with_default_charset(&self.place.settings, it));
        let mut body = body;
        let mut parts = self.wanted_parts(&facts)?;
        let status = if parts.is_empty() { Status::OK } else { Status::PARTIAL_CONTENT };
        if let [part] = parts[..] {
            parts.clear(); // A single part needs no frame.
            push_content_range(&mut fields, part, facts.size);
            // A part lies within the whole, which is in memory.
            let place = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
            body.truncate(place(part.start + part.len()));
            body.drain(..place(part.start));
        }
        let length = Some(body.len() as u64).filter(|length| *length > 0 || !self.is_head());
        let response = self.file_response(status, fields, content_type, length);
        let body = if self.is_head() { Body::Empty } else { Body::Memory(body) };
        Ok(Response { handler: Some(negotiation::MAP_HANDLER), body, parts, ..response })
    }

    /// Judges the request's conditions. A coded form that the client may have has a tag of its own, and a condition that
    /// names it is about that form: the facts then have that tag.
    fn judge_conditions(&self, facts: &mut Facts) -> Verdict {
        if self.for_error {
            return Verdict::Proceed;
        }
        let conditions = Conditions::of(|known| self.fields.values(known));
        let (method, now) = (self.head.method(), self.now.secs);
        let judge = |facts: &Facts| {
            conditional::evaluate(method, Status::OK, &facts.validators(), &conditions, now)
        };
        let verdict = judge(facts);
        if conditions.if_none_match.is_absent() && conditions.if_match.is_absent() {
            return verdict;
        }
        for coding in self.possible_codings() {
            let tagged = Facts { etag: facts.etag.map(|tag| tag.with_suffix(coding)), ..*facts };
            match (verdict, judge(&tagged)) {
                (Verdict::Proceed, Verdict::NotModified) => {
                    *facts = tagged;
                    return Verdict::NotModified;
                }
                (
                    Verdict::PreconditionFailed,
                    better @ (Verdict::Proceed | Verdict::NotModified),
                ) => {
                    return better;
                }
                _ => {}
            }
        }
        verdict
    }

    /// `Precompressed`: the file's neighbour in the coding that the client wants most, or else the file itself.
    fn precompressed(&self, plain: Opened) -> Result<(Opened, Option<Coding>), Stop> {
        let settings = &self.place.settings.precompressed;
        if settings.codings().is_empty() || !self.media().encodings.is_empty() {
            return Ok((plain, None));
        }
        let accept = self.fields.values(Known::AcceptEncoding);
        let mut left = settings.codings().to_vec();
        while let Some(best) = coding::choose(accept, left.iter().copied()) {
            let coding = left.remove(best);
            let name = [self.place.file(), coding.extension().as_bytes()].concat();
            match self.open_file(&name, self.place.links()) {
                Ok(neighbour) if !neighbour.is_folder() => return Ok((neighbour, Some(coding))),
                Err(OpenError::WouldBlock) => return Err(Stop::WouldBlock),
                Ok(_) | Err(_) => {}
            }
        }
        Ok((plain, None))
    }

    /// The parts that the client wants; none if it wants, or gets, all of it.
    fn wanted_parts(&self, facts: &Facts) -> Result<Vec<ByteRange>, Stop> {
        let if_range = self.fields.values(Known::IfRange);
        let apply = || {
            let (method, now) = (self.head.method(), self.now.secs);
            conditional::ranges_apply(method, if_range, &facts.validators(), now)
        };
        let wanted = match self.fields.single(Known::Range) {
            Some(wanted) if !self.for_error && apply() => wanted,
            _ => return Ok(Vec::new()),
        };
        match range::parse(wanted, facts.size, &self.place.settings.core.range_limits()) {
            Ranges::Whole => Ok(Vec::new()),
            Ranges::Single(part) => Ok(vec![part]),
            Ranges::Multiple(several) => Ok(several),
            Ranges::Unsatisfiable => {
                let mut value = Vec::with_capacity(32);
                range::push_unsatisfied_range(&mut value, facts.size);
                let refusal = Refusal::new(Status::RANGE_NOT_SATISFIABLE);
                Err(Stop::Refused(refusal.with("Content-Range", &value)))
            }
        }
    }
}

/// What names one version of a file.
struct Facts {
    size: u64,
    /// When it last changed, but never later than now: a date in the future would hide the next change.
    modified_secs: i64,
    etag: Option<ETag>,
    /// Parts of it may be had.
    has_parts: bool,
}

impl Facts {
    fn new(request: &Request<'_>, stat: &Stat) -> Facts {
        let own = request.tag_of(stat);
        Facts {
            size: stat.size,
            modified_secs: match stat.modified.0 {
                past if past <= request.now.secs => past,
                _future => request.now().secs,
            },
            etag: match &request.list_tag {
                Some(list) => own.map(|own| own.of_variant(list)),
                None => own,
            },
            has_parts: request.place.settings.core.range_limits().ranges_max != Some(0),
        }
    }

    fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.etag.as_ref().map(ETag::parsed),
            modified_secs: Some(self.modified_secs),
        }
    }

    /// The fields that every answer about the file has, a 304 included.
    fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        fields.push("Last-Modified", &date::format(self.modified_secs));
        if let Some(etag) = &self.etag {
            fields.push("ETag", etag.as_bytes());
        }
        fields.push("Accept-Ranges", if self.has_parts { b"bytes" } else { b"none" });
        fields
    }
}

/// `Content-Range` of an answer with one part; where there are several, each has its own.
fn push_content_range(fields: &mut Fields, part: ByteRange, whole_bytes: u64) {
    let mut value = Vec::with_capacity(48);
    range::push_content_range(&mut value, part, whole_bytes);
    fields.push("Content-Range", &value);
}

fn micros(secs: i64, nanos: u32) -> i64 {
    secs.saturating_mul(1_000_000).saturating_add(i64::from(nanos / 1000))
}
