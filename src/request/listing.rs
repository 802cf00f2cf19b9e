//! A folder's listing. mod_autoindex's part.

use std::sync::Arc;

use super::place::Place;
use super::{Refusal, Request, Stop};
use crate::files::Access;
use crate::files::content::{self, Span};
use crate::files::listing::{self, Entry, Frame, Icon, Listing, Parent, View};
use crate::files::open::Opened;
use crate::http::date;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::log::{Level, LogClock, Quoted};
use crate::modules::autoindex::{Autoindex, IndexOptions, Subject};
use crate::modules::core::Options;
use crate::modules::{mime, negotiation};
use crate::response::{Body, Fields, Response};

/// How much of a page is searched for its title.
const TITLE_BYTES_MAX: u64 = 8191;
/// How much of a header or readme file is shown.
const FRAME_BYTES_MAX: u64 = 1 << 20;

impl Request<'_> {
    /// Answers with what a folder holds.
    pub(super) fn listing(&mut self, folder: &Opened) -> Result<Response, Stop> {
        if self.method() == Method::Post {
            return Err(Refusal::stop(Status::NOT_FOUND)); // There is nobody here to take it.
        }
        let settings = Arc::clone(&self.place.settings);
        if !settings.core.options().contains(Options::INDEXES) {
            let names: Vec<&str> = settings.dir.index().collect();
            self.log(Level::Error, "autoindex").say(format_args!(
                "AH01276: Cannot serve directory {}: No matching DirectoryIndex ({}) found, and server-generated \
                 directory index forbidden by Options directive",
                Quoted(self.place.file()),
                Quoted(names.join(",").as_bytes())
            ));
            return Err(Refusal::stop(Status::FORBIDDEN));
        }
        if self.access == Access::Inline {
            return Err(Stop::WouldBlock);
        }
        let settings = &settings.autoindex;
        let view = View::new(settings, self.query.as_deref());
        self.trace("autoindex", format_args!("lists {}", Quoted(self.place.file())));
        let entries = self.quietly(|request| request.entries(folder, &view, settings));
        let entries = entries?;
        let path = with_slash(&self.place.path);
        let query = self.query.as_deref().map(|query| [b"?", query].concat()).unwrap_or_default();
        let is_whole = view.options.contains(IndexOptions::SUPPRESS_PREAMBLE);
        let header = settings.header().map(|name| [name.as_bytes(), &query].concat());
        let head = self.frame(header.as_deref(), is_whole)?;
        let foot = self.frame(settings.readme().map(str::as_bytes), is_whole)?;
        let parent = self.parent(settings);
        let signature = self.signature();
        let listing = Listing {
            path: &path,
            parent,
            entries,
            view,
            settings,
            head,
            foot,
            signature: &signature,
        };
        Ok(self.listing_response(folder, listing))
    }

    fn listing_response(&self, folder: &Opened, listing: Listing<'_>) -> Response {
        let content_type = Some(listing.content_type().into());
        let mut fields = Fields::default();
        if listing.view.options.contains(IndexOptions::TRACK_MODIFIED) {
            let modified = folder.stat.modified.0.min(self.now.secs);
            fields.push("Last-Modified", &date::format(modified));
            if let Some(tag) = self.tag_of(&folder.stat) {
                fields.push("ETag", tag.as_bytes());
            }
        }
        let page = listing.render(&LogClock::default());
        // As Apache, a HEAD learns no length: making the page was work enough, and most never ask.
        let length = Some(page.len() as u64).filter(|_| !self.is_head());
        let body = if self.is_head() { Body::Empty } else { Body::Memory(page) };
        self.response(Status::OK, fields, content_type, body, length)
    }

    /// What the folder holds and the client may have.
    fn entries(
        &mut self,
        folder: &Opened,
        view: &View,
        settings: &Autoindex,
    ) -> Result<Vec<Entry>, Stop> {
        self.made_from.cannot_be_repeated(); // Every file in it would have to be watched.
        let path = with_slash(self.place.file());
        let mut entries = listing::read(folder, &path, self.place.links()).map_err(|error| {
            let folder = Quoted(self.place.file());
            self.log(Level::Error, "autoindex")
                .because(&error)
                .say(format_args!("AH01275: Can't open directory for index: {folder}"));
            Refusal::stop(Status::FORBIDDEN)
        })?;
        entries.retain(|entry| view.shows(&entry.name) && !settings.ignores(&entry.name));
        let url = with_slash(&self.place.path);
        let shows_forbidden = view.options.contains(IndexOptions::SHOW_FORBIDDEN);
        let mut shown = Vec::with_capacity(entries.len());
        for mut entry in entries {
            let slash: &[u8] = if entry.is_folder { b"/" } else { b"" };
            let place = self.locate_normal([&url, entry.name.as_slice(), slash].concat());
            let Ok(place) = place else { continue };
            if !place.is_visible() || !(shows_forbidden || self.grants(place.clone())?) {
                continue;
            }
            if view.options.contains(IndexOptions::FANCY) {
                let file = [path.as_slice(), &entry.name].concat();
                self.decorate(&mut entry, &file, &place, settings, view.options)?;
            }
            shown.push(entry);
        }
        Ok(shown)
    }

    /// Icon and description of an entry.
    fn decorate(
        &self,
        entry: &mut Entry,
        file: &[u8],
        place: &Place,
        settings: &Autoindex,
        options: IndexOptions,
    ) -> Result<(), Stop> {
        let types = &self.server.config.server.types;
        let mut media_type = None;
        let mut encoding = None;
        if entry.is_folder {
            entry.icon = folder_icon(settings, file, "DIR");
        } else {
            let media = mime::describe_plainly(&place.settings, types, &entry.name);
            let plain = media.content_type.as_deref().and_then(|it| it.split(';').next());
            media_type = plain.map(|it| it.trim().to_owned());
            encoding = Some(media.encodings.join(", ")).filter(|encoding| !encoding.is_empty());
            let subject = Subject {
                path: file,
                media_type: media_type.as_deref(),
                encoding: encoding.as_deref(),
            };
            entry.icon = Icon {
                url: settings.icon(subject).map(str::to_owned),
                alt: settings.alt(subject).map(str::to_owned),
            };
        }
        entry.description = settings.description(file).map(str::to_owned);
        let is_page = media_type.as_deref() == Some("text/html") && encoding.is_none();
        if entry.description.is_none()
            && is_page
            && options.contains(IndexOptions::SCAN_HTML_TITLES)
        {
            let text = self.beginning_of(place, TITLE_BYTES_MAX)?;
            entry.description = text.as_deref().and_then(title);
        }
        Ok(())
    }

    /// The line that leads upwards, unless `IndexIgnore` hides `..`.
    fn parent(&self, settings: &Autoindex) -> Option<Parent> {
        if settings.ignores(b"..") {
            return None;
        }
        let file = [&with_slash(self.place.file()), &b".."[..]].concat();
        let description = settings.description(&file).map(str::to_owned);
        Some(Parent { icon: folder_icon(settings, &file, "PARENTDIR"), description })
    }

    /// `HeaderName`, `ReadmeName`: what stands at a URL relative to the folder, if that is a text.
    fn frame(&mut self, url: Option<&[u8]>, is_whole: bool) -> Result<Frame, Stop> {
        let Some(url) = url else { return Ok(Frame::Own) };
        let fields = self.fields.iter().filter(|(name, _)| {
            !name.eq_ignore_ascii_case(b"Accept") && !name.eq_ignore_ascii_case(b"Accept-Encoding")
        });
        let fields: Vec<_> = fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let mut readable = super::RequestFields::none();
        let accept = (&b"Accept"[..], &b"text/html, text/plain"[..]);
        let fields = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        readable.replace(fields.chain([accept]));
        let sent = std::mem::replace(&mut self.fields, readable);
        let here = Place::unknown(&self.place.path, Arc::clone(&self.place.settings));
        let here = std::mem::replace(&mut self.place, here);
        let before = (self.always.clone(), self.list_tag, self.no_cache);
        let found = self.find_frame(&here, url, is_whole);
        self.fields = sent;
        self.place = here;
        (self.always, self.list_tag, self.no_cache) = before;
        match found {
            Err(Stop::WouldBlock) => Err(Stop::WouldBlock),
            Err(_) => Ok(Frame::Own), // What may not be had is not there.
            found => found,
        }
    }

    fn find_frame(&mut self, here: &Place, url: &[u8], is_whole: bool) -> Result<Frame, Stop> {
        let mut encoded = Vec::new();
        if !url.starts_with(b"/") {
            crate::http::escape::push_path(&mut encoded, &with_slash(&here.path));
        }
        encoded.extend(url.split(|byte| *byte == b'?').next().unwrap_or_default());
        let there = self.locate(&encoded)?;
        self.place = there;
        if !self.place.is_visible() {
            return Ok(Frame::Own);
        }
        self.check_access()?;
        self.found = self.open()?;
        negotiation::type_checker(self)?;
        let found = self.found.take().filter(|found| !found.is_folder());
        let Some(found) = found else { return Ok(Frame::Own) };
        let types = &self.server.config.server.types;
        let settings = Arc::clone(&self.place.settings);
        let media = mime::describe_plainly(&settings, types, self.place.file_name());
        let media_type = media.content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        let plain = media_type.split(';').next().unwrap_or_default().trim_end();
        if !plain.starts_with("text/") {
            return Ok(Frame::Own);
        }
        let length = found.stat.size.min(FRAME_BYTES_MAX);
        let span = Span { offset: 0, length };
        let Ok(text) = content::read(&found, span, self.access) else {
            return Ok(Frame::Own);
        };
        Ok(match plain {
            "text/html" if is_whole => Frame::WholeHtml(text),
            "text/html" => Frame::Html(text),
            _ => Frame::Text(text),
        })
    }

    /// The first bytes of a file that may be had.
    fn beginning_of(&self, place: &Place, bytes_max: u64) -> Result<Option<Vec<u8>>, Stop> {
        let Ok(opened) = self.open_file(place.file(), place.links()) else {
            return Ok(None);
        };
        let span = Span { offset: 0, length: opened.stat.size.min(bytes_max) };
        Ok(content::read(&opened, span, self.access).ok())
    }
}

fn folder_icon(settings: &Autoindex, file: &[u8], alt: &str) -> Icon {
    let folder = Subject::path(b"^^DIRECTORY^^");
    let itself = Subject::path(file);
    let url = settings.icon(itself).or_else(|| settings.icon(folder));
    let text = settings.alt(itself).or_else(|| settings.alt(folder)).unwrap_or(alt);
    Icon { url: url.map(str::to_owned), alt: Some(text.to_owned()) }
}

/// What stands between `<title>` and the next tag, on one line.
fn title(page: &[u8]) -> Option<String> {
    const START: &[u8] = b"<title>";
    let start = page.windows(START.len()).position(|text| text.eq_ignore_ascii_case(START))?;
    let rest = &page[start + START.len()..];
    let end = memchr::memchr(b'<', rest).unwrap_or(rest.len());
    let text = String::from_utf8_lossy(&rest[..end]);
    Some(text.trim_start_matches(['\r', '\n']).replace(['\r', '\n'], " "))
}

fn with_slash(path: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
    [path, slash].concat()
}
