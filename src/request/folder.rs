//! A folder: the slash at its end, its index file, and what stands in for what is missing. mod_dir's part.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::place::Place;
use super::{Refusal, Request, Stop, handler};
use crate::files::open::{self, Opened};
use crate::http::escape::push_path;
use crate::http::field::{Known, members};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::log::Quoted;
use crate::modules::negotiation;

/// How the log calls who answers for a folder: with its listing, or that its path ends in a slash.
const HANDLER: &str = "httpd/unix-directory";

impl Request<'_> {
    /// The last of the fixups: a folder's index file takes its place, and a page that of what does not exist.
    pub(super) fn fixup_folder(&mut self) -> Result<(), Stop> {
        self.found = match self.found.take() {
            Some(folder) if folder.is_folder() => {
                self.handler = Some(HANDLER);
                let found = self.index_or_itself(folder)?;
                self.handler = found.is_folder().then_some(HANDLER);
                Some(found)
            }
            None if handler::name(self).is_none() => self.fall_back()?,
            found => found,
        };
        Ok(())
    }

    fn index_or_itself(&mut self, folder: Opened) -> Result<Opened, Stop> {
        let settings = Arc::clone(&self.place.settings);
        if !self.place.path.ends_with(b"/") {
            // Without DirectorySlash no index file is looked for: its relative links would lead astray.
            return if self.wants_slash() { Err(self.redirect_to_slash()) } else { Ok(folder) };
        }
        if settings.dir.check_handler() && handler::name(self).is_some() {
            return Ok(folder);
        }
        Ok(self.index_file(&folder)?.unwrap_or(folder))
    }

    /// Whether a folder's path that does not end in a slash is led to the one that does.
    fn wants_slash(&self) -> bool {
        let is_get = matches!(self.method(), Method::Get | Method::Head);
        let is_careful = !is_get && self.env.get("redirect-carefully").is_some();
        !self.place.path.ends_with(b"/") && self.place.settings.dir.slash() && !is_careful
    }

    /// As in Apache: where the rules of a section lead from a folder counts only once its path ends in a slash. Until then
    /// that is what the client is told, with the query that the rules have made.
    pub(super) fn slash_first(&self, stop: Stop) -> Stop {
        let is_folder = self.found.as_ref().is_some_and(Opened::is_folder);
        match stop {
            Stop::Elsewhere(_) if is_folder && self.wants_slash() => self.redirect_to_slash(),
            other @ (Stop::WouldBlock | Stop::Refused(_) | Stop::Elsewhere(_)) => other,
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
        let mut names = settings.dir.index().peekable();
        let mut refused = None;
        while let Some(name) = names.next() {
            self.trace("dir", format_args!("looks for the index file {}", Quoted(name.as_bytes())));
            let before = self.always.clone();
            let refusal = match self.try_index(folder, name.as_bytes()) {
                Ok(None) => continue,
                Ok(Some(file)) => {
                    self.list_tag = None; // The list is not what was asked for.
                    return match settings.dir.index_redirect() {
                        Some(status) => Err(self.redirect_to_here(status)),
                        None => Ok(Some(file)),
                    };
                }
                Err(Stop::Refused(refusal)) => refusal,
                Err(stop) => return Err(stop),
            };
            let status = refusal.status;
            let is_last = names.peek().is_none();
            let asks_client = matches!(status, Status::UNAUTHORIZED | Status::NOT_ACCEPTABLE);
            if status.is_redirection() || (asks_client && is_last) {
                return Err(Stop::Refused(refusal));
            }
            self.always = before;
            if status != Status::NOT_FOUND {
                refused = Some(Refusal::new(status));
            }
        }
        refused.map_or(Ok(None), |refusal| Err(Stop::Refused(refusal)))
    }

    /// `DirectoryIndexRedirect`: the client is told the file's own path.
    fn redirect_to_here(&self, status: u16) -> Stop {
        let mut location = self.names().to_string().into_bytes();
        push_path(&mut location, &self.place.path);
        let status = Status::new(status).unwrap_or(Status::FOUND);
        Stop::Refused(Refusal::new(status).with("Location", &location))
    }

    fn try_index(&mut self, folder: &Opened, name: &[u8]) -> Result<Option<Opened>, Stop> {
        let index = self.trying(|request| request.index_place(name))?;
        self.try_place(index, |request, folder_place| {
            let is_within = folder_place.file().ends_with(b"/")
                && request.place.file().strip_prefix(folder_place.file()) == Some(name);
            let found = if is_within {
                let (file, links) = (request.place.file(), request.place.links());
                let opened = open::open_in(folder.fd.as_fd(), name, file, links, request.access);
                let opened = request.noted(file, opened);
                request.judge(opened)?
            } else {
                request.open()? // An Alias leads elsewhere.
            };
            request.found = found;
            negotiation::type_checker(request)?;
            if request.found.is_none() && handler::name(request).is_none() {
                request.found = request.fall_back()?;
            }
            request.fixups_of_trial()
        })
    }

    /// Where an index file would be: beside the folder's other files, or a path of its own.
    fn index_place(&mut self, name: &[u8]) -> Result<Place, Stop> {
        let here = &self.place.path;
        let folder = memchr::memrchr(b'/', here).map_or(&b"/"[..], |slash| &here[..=slash]);
        if !name.contains(&b'/') {
            return self.locate_normal([folder, name].concat());
        }
        let mut encoded = Vec::new();
        if !name.starts_with(b"/") {
            push_path(&mut encoded, folder);
        }
        push_path(&mut encoded, name);
        self.locate(&encoded)
    }

    /// Goes to another place and stays there if `open_there` finds a file that may be had; else comes back.
    pub(super) fn try_place(
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

    /// The fixups for a file that would stand in, if it was found.
    fn fixups_of_trial(&mut self) -> Result<Option<Opened>, Stop> {
        if self.found.as_ref().is_some_and(|found| !found.is_folder()) {
            self.trying(Self::fixups)?;
        }
        Ok(self.found.take())
    }

    /// Does something for a path that is tried in another one's stead.
    fn trying<T>(&mut self, attempt: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let is_trial = std::mem::replace(&mut self.is_trial, true);
        let outcome = attempt(self);
        self.is_trial = is_trial;
        outcome
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
    fn fall_back(&mut self) -> Result<Option<Opened>, Stop> {
        let settings = Arc::clone(&self.place.settings);
        let Some(url) = settings.dir.fallback() else { return Ok(None) };
        if self.for_error || !self.may_want_a_page() {
            return Ok(None);
        }
        let path = url.split_once('?').map_or(url, |(path, _)| path);
        self.trace("dir", format_args!("FallbackResource {} stands in", Quoted(url.as_bytes())));
        let fallback = self.trying(|request| request.index_place(path.as_bytes()))?;
        self.try_place(fallback, |request, _| {
            request.found = request.open()?;
            negotiation::type_checker(request)?;
            request.fixups_of_trial()
        })
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
}
