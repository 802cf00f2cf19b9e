//! A folder: the slash at its end, its index file, its listing, and what stands in for what is missing.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::place::Place;
use super::{Refusal, Request, Stop};
use crate::files::Access;
use crate::files::listing::{self, Entry, Listing};
use crate::files::open::{self, Opened};
use crate::http::escape::push_path;
use crate::http::field::{Known, members};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::log::{Level, LogClock, Quoted};
use crate::modules::core::Options;
use crate::response::{Body, Fields, Response};

/// Apache's name for the handler of folders.
const HANDLER: &str = "httpd/unix-directory";

impl Request<'_> {
    /// Answers a request that names a folder.
    pub(super) fn folder(&mut self, folder: Opened) -> Result<Response, Stop> {
        if !self.place.path.ends_with(b"/") {
            // Without DirectorySlash no index file is looked for: its relative links would lead astray.
            return if self.place.settings.dir.slash() {
                Err(self.redirect_to_slash())
            } else {
                self.listing(&folder)
            };
        }
        match self.index_file(&folder)? {
            Some(file) => {
                self.found = Some(file);
                self.content() // The file may have a handler of its own.
            }
            None => self.listing(&folder),
        }
    }

    /// `DirectorySlash`: 301 to the same path with a slash, the query unchanged.
    fn redirect_to_slash(&self) -> Stop {
        self.trace("dir", format_args!("a folder's path ends in a slash"));
        let mut location = self.names().to_string().into_bytes();
        push_path(&mut location, &self.place.path);
        location.push(b'/');
        if let Some(query) = &self.query {
            location.push(b'?');
            location.extend_from_slice(query);
        }
        Stop::Refused(Refusal::new(Status::MOVED_PERMANENTLY).with("Location", &location))
    }

    /// `DirectoryIndex`: the first name that is a file and may be had. The place becomes the file's. A name that exists
    /// and is refused is worse than a missing one: if no other is found, it decides, and never a listing.
    fn index_file(&mut self, folder: &Opened) -> Result<Option<Opened>, Stop> {
        let settings = Arc::clone(&self.place.settings);
        let mut refused = None;
        for name in settings.dir.index() {
            self.trace("dir", format_args!("looks for the index file {}", Quoted(name.as_bytes())));
            match self.try_index(folder, name.as_bytes()) {
                Ok(None) => {}
                Err(Stop::Refused(refusal)) => refused = Some(refusal),
                found => return found,
            }
        }
        refused.map_or(Ok(None), |refusal| Err(Stop::Refused(refusal)))
    }

    fn try_index(&mut self, folder: &Opened, name: &[u8]) -> Result<Option<Opened>, Stop> {
        let index = self.index_place(name)?;
        self.try_place(index, |request, folder_place| {
            if request.place.file().strip_prefix(folder_place.file()) != Some(name) {
                return request.open(); // An Alias leads elsewhere.
            }
            let (file, links) = (request.place.file(), request.place.links());
            request.judge(open::open_in(folder.fd.as_fd(), name, file, links, request.access))
        })
    }

    /// Where an index file would be: beside the folder's other files, or a path of its own.
    fn index_place(&mut self, name: &[u8]) -> Result<Place, Stop> {
        if !name.contains(&b'/') {
            return self.locate_normal([&self.place.path, name].concat());
        }
        let mut encoded = Vec::new();
        if !name.starts_with(b"/") {
            push_path(&mut encoded, &self.place.path);
        }
        push_path(&mut encoded, name);
        self.locate(&encoded)
    }

    /// Goes to another place and stays there if `open_there` finds a file that may be had; else comes back.
    fn try_place(
        &mut self,
        there: Place,
        open_there: impl FnOnce(&mut Self, &Place) -> Result<Option<Opened>, Stop>,
    ) -> Result<Option<Opened>, Stop> {
        let here = std::mem::replace(&mut self.place, there);
        let opened = self.open_if_granted(|request| open_there(request, &here));
        if !matches!(opened, Ok(Some(_))) {
            self.place = here;
        }
        opened
    }

    fn open_if_granted(
        &mut self,
        open: impl FnOnce(&mut Self) -> Result<Option<Opened>, Stop>,
    ) -> Result<Option<Opened>, Stop> {
        if !self.place.is_visible() {
            return Ok(None);
        }
        self.check_access()?;
        Ok(open(self)?.filter(|opened| !opened.is_folder()))
    }

    /// `FallbackResource`: the one page that answers for what does not exist. The place becomes that page's.
    pub(super) fn fall_back(&mut self) -> Result<Option<Opened>, Stop> {
        let settings = Arc::clone(&self.place.settings);
        let Some(url) = settings.dir.fallback() else { return Ok(None) };
        if self.for_error || !self.may_want_a_page() {
            return Ok(None);
        }
        let path = url.split_once('?').map_or(url, |(path, _)| path);
        self.trace("dir", format_args!("FallbackResource {} stands in", Quoted(url.as_bytes())));
        let fallback = self.locate(path.as_bytes())?;
        self.try_place(fallback, |request, _| request.open())
    }

    /// Whether a page may be of use to whoever asks. A browser that misses a script or an image would choke on one,
    /// and says what it wants: a page is asked for by `text/html`, everything else is marked by `Sec-Fetch-Dest`. Other
    /// clients get the page, as from Apache, unless they rule it out.
    fn may_want_a_page(&self) -> bool {
        let accepts = |wanted: &[&[u8]]| {
            self.fields.values(Known::Accept).flat_map(members).any(|member| {
                let range = member.split(|byte| *byte == b';').next().unwrap_or_default();
                wanted.iter().any(|wanted| range.trim_ascii_end().eq_ignore_ascii_case(wanted))
            })
        };
        if accepts(&[b"text/html"]) {
            return true;
        }
        let says_nothing = self.fields.first(Known::Accept).is_none();
        let is_part_of_a_page = self.fields.header("Sec-Fetch-Dest").is_some();
        !is_part_of_a_page && (says_nothing || accepts(&[b"text/*", b"*/*"]))
    }

    /// mod_autoindex.
    fn listing(&mut self, folder: &Opened) -> Result<Response, Stop> {
        if self.method() == Method::Post {
            return Err(Refusal::stop(Status::NOT_FOUND)); // There is nobody here to take it.
        }
        if !self.place.settings.core.options().contains(Options::INDEXES) {
            let names: Vec<&str> = self.place.settings.dir.index().collect();
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
        self.trace("autoindex", format_args!("lists {}", Quoted(self.place.file())));
        let listener = self.listener.take(); // Who may see which entry is a story of its own.
        let entries = self.entries(folder);
        self.listener = listener;
        let entries = entries?;
        Ok(self.listing_of(entries))
    }

    /// What the folder holds and the client may have.
    fn entries(&mut self, folder: &Opened) -> Result<Vec<Entry>, Stop> {
        let path = with_slash(self.place.file());
        let mut entries = listing::read(folder, &path, self.place.links()).map_err(|error| {
            let folder = Quoted(self.place.file());
            self.log(Level::Error, "autoindex")
                .because(&error)
                .say(format_args!("AH01275: Can't open directory for index: {folder}"));
            Refusal::stop(Status::FORBIDDEN)
        })?;
        let url = with_slash(&self.place.path);
        entries.retain(|entry| {
            let slash: &[u8] = if entry.is_folder { b"/" } else { b"" };
            let place = self.locate_normal([&url, entry.name.as_slice(), slash].concat());
            place.is_ok_and(|place| place.is_visible() && self.grants(place))
        });
        Ok(entries)
    }

    fn listing_of(&self, entries: Vec<Entry>) -> Response {
        let path = with_slash(&self.place.path);
        let settings = &self.place.settings.autoindex;
        let signature = self.signature();
        let listing = Listing {
            path: &path,
            entries,
            query: self.query.as_deref(),
            settings,
            signature: &signature,
        };
        let content_type = Some(listing.content_type().into());
        let page = listing.render(&LogClock::default());
        // As Apache, a HEAD learns no length: making the page was work enough, and most never ask.
        let length = Some(page.len() as u64).filter(|_| !self.is_head());
        let body = if self.is_head() { Body::Empty } else { Body::Memory(page) };
        let response = self.response(Status::OK, Fields::default(), content_type, body, length);
        Response { handler: Some(HANDLER), ..response }
    }
}

fn with_slash(path: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
    [path, slash].concat()
}
