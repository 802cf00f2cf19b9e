//! Output filters: what a response goes through once it is made, compression above all.
//!
//! ```text
//! response ─▶ which filters stand here? ─▶ which of them may compress it? ─▶ which does the client want?
//!                                                                             ├─ small: compressed at once
//!                                                                             └─ long: as a stream
//! ```
//!
//! - As soon as the client's Accept-Encoding matters, `Vary` says so: also if the answer is the plain content.
//! - A coded response has another entity tag than the plain one, and conditions know both.
//! - Nothing is compressed inline: it ends as [`Stop::WouldBlock`] there, and a job does it.

use std::io;

use smallvec::SmallVec;

use super::facts::Known as Facts;
use super::{Request, Stop};
use crate::config::HostSettings;
use crate::expr::Groups;
use crate::files::Access;
use crate::files::compress::{Compressed, FilterNotes, Meter, Recipe};
use crate::http::coding::{self, Coding};
use crate::http::field::{Known, members};
use crate::http::status::Status;
use crate::log::Level;
use crate::modules::deflate::AlterTag;
use crate::modules::filter::{self, OutputFilter, Provided};
use crate::modules::{mime, ratelimit};
use crate::response::{Body, Response};

/// A response shorter than this gains nothing by DEFLATE: gzip's header and trailer, and the fields that it needs.
const DEFLATE_BYTES_MIN: u64 = 10 + 8 + 50 + 1;

/// The filters of one request, in order.
type Chain = SmallVec<[OutputFilter; 4]>;

/// One that compresses, and how.
struct Compressor<'s> {
    recipe: Recipe,
    tag: AlterTag,
    notes: &'s FilterNotes,
}

impl OutputFilter {
    fn compressor(self, host: &HostSettings) -> Option<Compressor<'_>> {
        let (recipe, tag, notes) = match self {
            OutputFilter::Deflate => {
                (host.deflate.recipe(), host.deflate.tag(), host.deflate.notes())
            }
            #[cfg(feature = "brotli")]
            OutputFilter::Brotli => (host.brotli.recipe(), host.brotli.tag(), host.brotli.notes()),
            #[cfg(feature = "zstd")]
            OutputFilter::Zstd => (host.zstd.recipe(), host.zstd.tag(), host.zstd.notes()),
            OutputFilter::RateLimit => return None,
        };
        Some(Compressor { recipe, tag, notes })
    }
}

impl Request<'_> {
    /// Puts a response through the filters that stand here.
    pub(super) fn filter(&mut self, response: &mut Response) -> Result<(), Stop> {
        let chain = self.filters(response)?;
        if chain.is_empty() {
            return Ok(());
        }
        if chain.contains(&OutputFilter::RateLimit) {
            response.pace = ratelimit::pace(self);
        }
        self.compress(&chain, response)
    }

    /// The codings in which this request might be answered: conditions must know their tags.
    pub(super) fn possible_codings(&self) -> SmallVec<[Coding; 4]> {
        let settings = &self.place.settings;
        if settings.filter.is_empty() && !settings.mime.has_filters() {
            return SmallVec::new();
        }
        let accept = self.fields.values(Known::AcceptEncoding);
        let by_name = self.filters_by_extension();
        let filters = by_name.iter().copied().chain(settings.filter.possible());
        let compressors = filters.filter_map(|it| it.compressor(&self.host().settings));
        compressors
            .filter(|it| it.tag == AlterTag::AddSuffix)
            .map(|it| it.recipe.coding())
            .filter(|it| coding::weight(accept, it.name()).is_some_and(|weight| weight > 0))
            .collect()
    }

    /// `AddOutputFilter`
    fn filters_by_extension(&self) -> Chain {
        let settings = &self.place.settings;
        if !settings.mime.has_filters() {
            return Chain::new();
        }
        let types = &self.server.config.server.types;
        let media = mime::describe(settings, types, self.place.file_name());
        media.output_filters.into_iter().flat_map(filter::of_known_names).collect()
    }

    fn filters(&self, response: &Response) -> Result<Chain, Stop> {
        let settings = &self.place.settings.filter;
        let mut chain = self.filters_by_extension();
        chain.extend_from_slice(settings.set());
        // What mod_filter chains is for content, and not for what an ErrorDocument says.
        let is_content =
            matches!(response.status, Status::OK | Status::PARTIAL_CONTENT | Status::NOT_MODIFIED);
        if !is_content && self.env.get("filter-errordocs").is_none() {
            return Ok(chain);
        }
        for declared in settings.chain() {
            let providers = match declared {
                Ok(providers) => providers,
                Err(name) => {
                    let entry = self.log(Level::Error, "filter");
                    entry.say(format_args!("AH01380: Unknown filter {name} not added"));
                    continue;
                }
            };
            for (filter, provided) in providers {
                if self.holds(provided, response)? {
                    chain.push(filter);
                    break;
                }
            }
        }
        Ok(chain)
    }

    fn holds(&self, provided: Provided<'_>, response: &Response) -> Result<bool, Stop> {
        match provided {
            Provided::Types(types) => {
                let Some(media_type) = response.media_type() else { return Ok(false) };
                Ok(types.iter().any(|known| known.eq_ignore_ascii_case(media_type)))
            }
            Provided::Expression(condition) => {
                let facts = Facts { response: Some(response), ..self.known() };
                condition.holds(&facts, &mut Groups::new()).map_err(|_| Stop::WouldBlock)
            }
        }
    }

    /// Compresses a response in the way that the client wants most, if it wants any.
    fn compress(&mut self, chain: &[OutputFilter], response: &mut Response) -> Result<(), Stop> {
        let host = self.host();
        let mut offers: SmallVec<[Compressor<'_>; 4]> = SmallVec::new();
        let mut forced = None;
        for filter in chain {
            let Some(compressor) = filter.compressor(&host.settings) else { continue };
            if self.leaves_alone(*filter, response) {
                continue;
            }
            if *filter == OutputFilter::Deflate && self.env.get("force-gzip").is_some() {
                forced = forced.or(Some(offers.len()));
            }
            offers.push(compressor);
        }
        if offers.is_empty() {
            return Ok(());
        }
        response.fields.vary_by("Accept-Encoding");
        if response.status == Status::PARTIAL_CONTENT {
            return Ok(()); // A part of the plain content, with the plain content's tag.
        }
        let accept = self.fields.values(Known::AcceptEncoding);
        let chosen = coding::choose(accept, offers.iter().map(|it| it.recipe.coding()));
        let Some(compressor) = chosen.or(forced).map(|place| &offers[place]) else {
            return Ok(());
        };
        self.apply(compressor, response)
    }

    /// Whether a filter that compresses would not touch this response, whoever asks for it.
    fn leaves_alone(&self, filter: OutputFilter, response: &Response) -> bool {
        let switched_off = match filter {
            OutputFilter::Deflate => {
                self.env.get("no-gzip").is_some() || self.is_for_html_only(response)
            }
            #[cfg(feature = "brotli")]
            OutputFilter::Brotli => self.env.get("no-brotli").is_some(),
            #[cfg(feature = "zstd")]
            OutputFilter::Zstd => self.env.get("no-zstd").is_some(),
            OutputFilter::RateLimit => true,
        };
        let bytes_min = if filter == OutputFilter::Deflate { DEFLATE_BYTES_MIN } else { 1 };
        let is_small = response.content_length.is_some_and(|bytes| bytes < bytes_min);
        let has_none = response.status == Status::NO_CONTENT;
        // A range may be short where the whole is not.
        let is_small = is_small && response.status != Status::PARTIAL_CONTENT;
        switched_off || has_none || is_small || is_coded(response)
    }

    /// `gzip-only-text/html`
    fn is_for_html_only(&self, response: &Response) -> bool {
        let is_html =
            response.content_type.as_deref().is_some_and(|text| text.starts_with("text/html"));
        !is_html && self.env.get("gzip-only-text/html") == Some(b"1")
    }

    fn apply(&mut self, compressor: &Compressor<'_>, response: &mut Response) -> Result<(), Stop> {
        let has_body = !self.is_head() && response.status != Status::NOT_MODIFIED;
        if has_body {
            if self.access == Access::Inline {
                return Err(Stop::WouldBlock);
            }
            if let Err(error) = self.code(compressor, response) {
                let entry = self.log(Level::Error, "deflate").because(&error);
                entry.say(format_args!("AH01383: unable to compress: the content goes plain"));
                return Ok(());
            }
        } else {
            response.content_length = None; // To know it, all of the content would have to be compressed.
        }
        let coding = compressor.recipe.coding();
        // A condition that named the plain version has been answered about the plain version.
        let is_settled = response.status == Status::NOT_MODIFIED
            && !self.fields.values(Known::IfNoneMatch).is_absent();
        match compressor.tag {
            AlterTag::AddSuffix if !is_settled => {
                response.fields.edit("ETag", |tag| with_suffix(tag, coding));
            }
            AlterTag::Remove => response.fields.remove("ETag"),
            AlterTag::AddSuffix | AlterTag::NoChange => {}
        }
        response.fields.set("Content-Encoding", coding.name().as_bytes());
        response.fields.remove("Content-MD5");
        Ok(())
    }

    /// Puts the coded body in the plain one's place. After an error it is still the plain one.
    fn code(&mut self, compressor: &Compressor<'_>, response: &mut Response) -> io::Result<()> {
        let (recipe, notes) = (&compressor.recipe, compressor.notes.clone());
        let Some(plain) = response.body.in_memory() else {
            let stream = Compressed::prepare(recipe, notes)?;
            match std::mem::replace(&mut response.body, Body::Empty) {
                Body::File { file, span } => {
                    response.body = Body::Stream(Box::new(stream(file, span)));
                }
                other @ (Body::Empty
                | Body::Memory(_)
                | Body::Shared(_)
                | Body::Static(_)
                | Body::Parts { .. }
                | Body::Stream(_)) => response.body = other,
            }
            response.content_length = None;
            return Ok(());
        };
        let bytes = recipe.apply(plain)?;
        let meter = Meter { notes, bytes_in: plain.len() as u64, bytes_out: bytes.len() as u64 };
        meter.to_notes().into_iter().for_each(|(name, value)| self.notes.set(name, value));
        response.content_length = Some(bytes.len() as u64);
        response.body = Body::Memory(bytes);
        Ok(())
    }
}

/// Whether the content has a coding already. These names say that it has none (RFC 2045).
fn is_coded(response: &Response) -> bool {
    const PLAIN: [&[u8]; 4] = [b"identity", b"7bit", b"8bit", b"binary"];
    let is_plain = |name: &[u8]| PLAIN.iter().any(|plain| name.eq_ignore_ascii_case(plain));
    let present = response.fields.get("Content-Encoding").unwrap_or_default();
    members(present).any(|name| !is_plain(name))
}

/// `"abc"` becomes `"abc-gzip"`.
fn with_suffix(tag: &[u8], coding: Coding) -> Vec<u8> {
    match tag.strip_suffix(b"\"") {
        Some(start) => [start, coding.tag_suffix().as_bytes(), b"\""].concat(),
        None => tag.to_vec(),
    }
}
