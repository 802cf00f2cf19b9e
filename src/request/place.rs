//! Where a request leads: its path in one spelling, the file that this is mapped to, and what holds there.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use herdgate_sys::file::{Kind, Stat};

use super::facts::Known;
use super::made_from::MadeFrom;
use super::{Caches, Elsewhere, Refusal, Request, Stop};
use crate::config::{DirSettings, htaccess};
use crate::expr::{Condition, Groups};
use crate::files::Access;
use crate::files::open::{self, LinkPolicy, Links, OpenError, Opened};
use crate::files::parsed::ParsedFiles;
use crate::files::seen;
use crate::http::escape::push_path;
use crate::http::status::Status;
use crate::log::{Level, Moment, Quoted};
use crate::modules::core::{HiddenFiles, Options, Permit};
use crate::route::alias::Mapped;
use crate::route::ifs;
use crate::route::url::{self, UrlError};

/// A path of this server, and what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Decoded and normalised, once the request got that far; before that, as it came.
    pub(crate) path: Vec<u8>,
    /// The file, existing or not. None if there is no root to look in.
    pub(crate) mapped: Option<Mapped>,
    /// What stands in the path behind the file, or behind the first name that does not exist: `/page.html/more` has `/more`.
    /// Known once the place was opened.
    path_info: Vec<u8>,
    /// What holds here.
    pub(crate) settings: Arc<DirSettings>,
}

impl Place {
    /// A path of which nothing is known yet.
    pub(super) fn unknown(path: &[u8], settings: Arc<DirSettings>) -> Place {
        Place { path: path.to_vec(), mapped: None, path_info: Vec::new(), settings }
    }

    /// The file's name; empty if there is none.
    pub(crate) fn file(&self) -> &[u8] {
        self.mapped.as_ref().map_or(b"", |mapped| mapped.file.as_os_str().as_bytes())
    }

    /// The last component of the file's name.
    pub(crate) fn file_name(&self) -> &[u8] {
        last_component(self.file())
    }

    /// The name whose extensions describe the file: the file's own, or, with ModMimeUsePathInfo, the last of the path.
    pub(crate) fn name_for_types(&self) -> Cow<'_, [u8]> {
        if !self.settings.mime.use_path_info() || self.path_info.is_empty() {
            return Cow::Borrowed(self.file_name());
        }
        let whole = [self.file(), &self.path_info].concat();
        Cow::Owned(last_component(&whole).to_vec())
    }

    /// `PATH_INFO`: what the path says behind the file; begins with a slash if it is not empty.
    pub(crate) fn path_info(&self) -> &[u8] {
        &self.path_info
    }

    /// The path of the file itself, without the path info.
    pub(crate) fn path_of_file(&self) -> &[u8] {
        self.path.strip_suffix(self.path_info.as_slice()).unwrap_or(&self.path)
    }

    /// What a log line about access calls it.
    pub(crate) fn in_log(&self) -> String {
        match self.mapped {
            Some(_) => Quoted(self.file()).to_string(),
            None => format!("uri {}", Quoted(&self.path)),
        }
    }

    /// What a log line calls it.
    pub(super) fn file_or_path(&self) -> &[u8] {
        if self.mapped.is_some() { self.file() } else { &self.path }
    }

    /// Which links are followed on the way here. The strictest of the options counts.
    pub(crate) fn links(&self) -> Links<'_> {
        let options = self.settings.core.options();
        let policy = if options.contains(Options::SYM_LINKS_IF_OWNER_MATCH) {
            LinkPolicy::OwnerMatch
        } else if options.contains(Options::SYM_LINKS_BENEATH) {
            LinkPolicy::Beneath
        } else if options.contains(Options::FOLLOW_SYM_LINKS) {
            LinkPolicy::Follow
        } else {
            LinkPolicy::Refuse
        };
        let root = self.mapped.as_ref().map_or(Path::new("/"), |mapped| mapped.root());
        Links { policy, root: root.as_os_str().as_bytes() }
    }

    /// Whether `HiddenFiles` lets the path be seen.
    pub(super) fn is_visible(&self) -> bool {
        match self.settings.core.hidden_files() {
            HiddenFiles::Show => true,
            HiddenFiles::Hide => self.path.split(|byte| *byte == b'/').all(is_visible_name),
        }
    }
}

/// What there is at a place, for those who choose between several.
pub(crate) struct Seen {
    /// A folder, which may be had or not.
    pub(crate) is_folder: bool,
    /// What a file is that may be had; `None`: there is none.
    pub(crate) file: Option<Stat>,
}

/// What follows the last slash.
fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// What begins with a dot is hidden, except where RFC 8615 puts what everybody may ask for.
fn is_visible_name(name: &[u8]) -> bool {
    !name.starts_with(b".") || name == b".well-known"
}

/// Why a `.htaccess` file ends the request.
pub(super) enum Spoilt {
    /// It is there, and cannot be read.
    Open(Vec<u8>, OpenError),
    /// It holds a mistake.
    Broken(String),
}

/// The first of these names that a folder holds, read and understood.
pub(super) fn find_htaccess<'n>(
    names: impl Iterator<Item = &'n str>,
    folder: &[u8],
    permit: &Permit,
    server: &crate::config::Server,
    files: &mut ParsedFiles<htaccess::Outcome>,
    (access, now): (Access, Moment),
    made_from: &MadeFrom,
) -> Result<Option<Arc<htaccess::Outcome>>, Spoilt> {
    for name in names {
        let path = [folder, b"/", name.as_bytes()].concat();
        let parse = |text: &[u8]| {
            let path = Path::new(OsStr::from_bytes(&path));
            htaccess::parse(path, text, permit, server)
        };
        let found = files.get(&path, |key| permit.push_key(key), access, now, parse);
        made_from.saw_parsed(&path, &found);
        if let Some(found) = found.map_err(|error| Spoilt::Open(path.clone(), error))? {
            return match found.meaning.as_ref() {
                Ok(_) => Ok(Some(found.meaning)),
                Err(message) => Err(Spoilt::Broken(message.clone())),
            };
        }
    }
    Ok(None)
}

impl Request<'_> {
    /// Brings an encoded path to its one spelling.
    pub(crate) fn normalise(&self, raw_path: &[u8]) -> Result<Vec<u8>, Stop> {
        let host = &self.host().settings.core;
        match url::normalise(raw_path, host.encoded_slashes(), host.merge_slashes()) {
            Ok(path) => Ok(path.into_inner().into_owned()),
            Err(error) => Err(self.malformed_path(raw_path, error)),
        }
    }

    /// Where an encoded path leads.
    pub(super) fn locate(&mut self, raw_path: &[u8]) -> Result<Place, Stop> {
        let path = self.normalise(raw_path)?;
        self.locate_normal(path)
    }

    /// Finds the file of a path that is decoded and normalised, and what holds there, and stays where it is.
    pub(crate) fn locate_normal(&mut self, path: Vec<u8>) -> Result<Place, Stop> {
        let nowhere = Place::unknown(b"", Arc::clone(self.host().base()));
        let here = std::mem::replace(&mut self.place, nowhere);
        let went = self.go_to(path);
        let there = std::mem::replace(&mut self.place, here);
        went.map(|()| there)
    }

    /// Goes to the file of a path that is decoded and normalised, and to what holds there.
    pub(super) fn go_to(&mut self, path: Vec<u8>) -> Result<(), Stop> {
        self.place = Place::unknown(b"", Arc::clone(self.host().base()));
        self.place.path = path;
        let mapped = self.translate()?;
        if let Some(mapped) = &mapped {
            self.trace_mapping(&self.place.path, mapped);
        }
        let path = std::mem::take(&mut self.place.path);
        let settings = self.settings_for(&path, mapped.as_ref().map(|mapped| &*mapped.file));
        self.place.path = path;
        self.place.mapped = mapped; // Known from here on, whatever the sections say.
        let settings = settings?;
        self.set_groups();
        let nowhere = Place::unknown(b"", Arc::clone(&settings));
        let place = std::mem::replace(&mut self.place, nowhere);
        self.place = self.decided(Place { settings, ..place })?;
        Ok(())
    }

    fn malformed_path(&self, raw_path: &[u8], error: UrlError) -> Stop {
        match error {
            UrlError::EncodedSlash => self.log(Level::Info, "core").say(format_args!(
                "AH00026: found %2f (encoded '/') in URI path ({}), returning 404",
                Quoted(raw_path)
            )),
            UrlError::Nul => {}
            UrlError::NotAbsolute | UrlError::BadEscape | UrlError::ClimbsAboveRoot => {
                let path = Quoted(raw_path);
                let message = format_args!("AH10244: invalid URI path ({path})");
                self.log(Level::Error, "core").say(message);
            }
        }
        Refusal::stop(error.status())
    }

    /// `HiddenFiles`: what may not be seen does not exist.
    pub(super) fn check_visible(&self) -> Result<(), Stop> {
        if self.place.is_visible() { Ok(()) } else { Err(Refusal::stop(Status::NOT_FOUND)) }
    }

    /// Opens what the place names, for the phases to come. That there is nothing is no error yet: a module may know what
    /// to do about it.
    pub(super) fn find(&mut self) -> Result<(), Stop> {
        self.found = self.open()?;
        self.modified = self.found.as_ref().map(|found| found.stat.modified.0);
        self.trace_found(self.found.as_ref(), &self.place);
        Ok(())
    }

    /// What a file's name stands for, links followed or not; `None` if there is nothing.
    pub(crate) fn look(&self, file: &[u8], follow: bool) -> Result<Option<Stat>, Stop> {
        let stat = open::look(file, follow, self.access).map_err(|_| Stop::WouldBlock)?;
        self.made_from.saw(seen::Seen::new(file, follow, stat.as_ref()));
        Ok(stat)
    }

    /// Opens what the place names; `None` if there is nothing. What stands behind a file, or behind the first name that
    /// does not exist, becomes path info.
    pub(crate) fn open(&mut self) -> Result<Option<Opened>, Stop> {
        if self.place.mapped.is_none() {
            return Ok(None);
        }
        let opened = self.open_file(self.place.file(), self.place.links());
        if let Some(found) = self.judge(opened)? {
            return Ok(Some(found));
        }
        let Some(existing) = self.split_path_info()? else { return Ok(None) };
        let opened = self.open_file(&existing, self.place.links());
        Ok(self.judge(opened)?.filter(|opened| !opened.is_folder()))
    }

    /// Opens a file, and notes what it was.
    pub(super) fn open_file(&self, file: &[u8], links: Links<'_>) -> Result<Opened, OpenError> {
        self.noted(file, open::open(file, links, self.access))
    }

    /// Notes what was opened under the name `file`.
    pub(super) fn noted(
        &self,
        file: &[u8],
        opened: Result<Opened, OpenError>,
    ) -> Result<Opened, OpenError> {
        match &opened {
            Ok(opened) => self.made_from.saw(seen::Seen::new(file, true, Some(&opened.stat))),
            Err(OpenError::Missing(_)) => self.made_from.saw(seen::Seen::new(file, true, None)),
            Err(_) => self.made_from.cannot_be_repeated(),
        }
        opened
    }

    /// Looks upwards for what exists, and shortens the place to it. `Some` if that is a file.
    fn split_path_info(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        let file = self.place.file().to_vec();
        let root = self.place.links().root;
        let root_bytes = root.strip_suffix(b"/").unwrap_or(root).len();
        let mut end = file.len();
        while let Some(slash) = memchr::memrchr(b'/', &file[..end]) {
            if slash == 0 || slash < root_bytes {
                break;
            }
            match self.look(&file[..slash], true)?.map(|stat| stat.kind) {
                None => end = slash,
                Some(Kind::Dir) => break,
                Some(_) => {
                    self.shorten_to(&file[..slash])?;
                    return Ok(Some(file[..slash].to_vec()));
                }
            }
        }
        self.shorten_to(&file[..end])?;
        Ok(None)
    }

    /// The place is a file further up than its path says; what holds is decided by that file.
    fn shorten_to(&mut self, file: &[u8]) -> Result<(), Stop> {
        let path_info = self.place.file()[file.len()..].to_vec();
        if path_info.is_empty() {
            return Ok(());
        }
        let path = std::mem::take(&mut self.place.path);
        let file_path = Path::new(OsStr::from_bytes(file));
        let settings = self.settings_for(&path, Some(file_path));
        self.place.path = path;
        self.place.settings = settings?;
        self.set_groups();
        self.place.path_info = path_info;
        if let Some(mapped) = &mut self.place.mapped {
            mapped.file = file_path.to_path_buf();
            mapped.root_bytes = mapped.root_bytes.min(file.len());
        }
        let place = Place::unknown(b"", Arc::clone(&self.place.settings));
        let place = std::mem::replace(&mut self.place, place);
        self.place = self.decided(place)?;
        let path_info = Quoted(&self.place.path_info);
        self.trace("core", format_args!("the path goes on behind the file: {path_info}"));
        self.granted = None; // The file's name and the path info may decide who may.
        self.check_access()
    }

    /// Another file in the same folder, with the path info of this place.
    pub(crate) fn neighbour(&mut self, name: &[u8]) -> Result<Place, Stop> {
        let folder = |path: &[u8]| path[..path.len() - last_component(path).len()].to_vec();
        let path_info = self.place.path_info.clone();
        let path = [folder(self.place.path_of_file()), name.to_vec(), path_info.clone()].concat();
        let file = [folder(self.place.file()), name.to_vec()].concat();
        let file = PathBuf::from(OsString::from_vec(file));
        let settings = self.settings_for(&path, Some(&file))?;
        let mapped = self.place.mapped.clone().map(|mapped| {
            let root_bytes = mapped.root_bytes.min(file.as_os_str().len());
            Mapped { file, root_bytes, ..mapped }
        });
        self.decided(Place { path, mapped, path_info, settings })
    }

    /// Where a URL leads that is relative to this place's folder; path info and query go along. `handler` leads there.
    pub(crate) fn beside(&self, url: &[u8], handler: &'static str) -> Result<Elsewhere, Stop> {
        let mut parts = url.splitn(2, |byte| *byte == b'?');
        let name = parts.next().unwrap_or_default();
        let own_query = parts.next().map(<[u8]>::to_vec);
        let mut encoded = Vec::new();
        if !name.starts_with(b"/") {
            let here = self.place.path_of_file();
            push_path(&mut encoded, &here[..here.len() - last_component(here).len()]);
        }
        encoded.extend_from_slice(name);
        push_path(&mut encoded, &self.place.path_info);
        let query = own_query.or_else(|| self.query.as_deref().map(<[u8]>::to_vec));
        Ok(Elsewhere { handler, path: self.normalise(&encoded)?, query })
    }

    /// What a request for another place would give.
    pub(crate) fn would_give(&mut self, there: &Place) -> Result<Seen, Stop> {
        let mut seen = Seen { is_folder: false, file: None };
        let stat = match self.open_file(there.file(), there.links()) {
            Ok(opened) => opened.stat,
            Err(OpenError::WouldBlock) => return Err(Stop::WouldBlock),
            // That it cannot be read is told to whoever asks for it.
            Err(OpenError::Unreadable(_)) => match self.look(there.file(), true)? {
                Some(stat) => stat,
                None => return Ok(seen),
            },
            Err(_) => return Ok(seen),
        };
        seen.is_folder = stat.kind == Kind::Dir;
        if !seen.is_folder && there.is_visible() && self.grants(there.clone())? {
            seen.file = Some(stat);
        }
        Ok(seen)
    }

    /// The place with its `<If>` sections decided.
    fn decided(&self, place: Place) -> Result<Place, Stop> {
        if place.settings.ifs.is_empty() {
            return Ok(place);
        }
        let known = Known { request: self, place: &place, response: None };
        let holds = |condition: &Condition, place: &str| {
            let holds = condition.holds(&known, &mut Groups::new());
            if let Ok(holds) = holds {
                let verb = if holds { "holds" } else { "does not hold" };
                self.trace("core", format_args!("{verb}: {}", Quoted(place.as_bytes())));
            }
            holds
        };
        let settings = ifs::decide(&place.settings, holds).map_err(|_| Stop::WouldBlock)?;
        Ok(Place { settings, ..place })
    }

    /// What sections and `.htaccess` files say about a path and its file.
    pub(crate) fn settings_for(
        &mut self,
        path: &[u8],
        file: Option<&Path>,
    ) -> Result<Arc<DirSettings>, Stop> {
        let host = self.host();
        let Caches { merged, htaccess, .. } = &mut *self.caches;
        let (server, access, now) = (self.server, self.access, self.now);
        let made_from = &self.made_from;
        let settings = host.settings_for(path, file, merged, |folder, permit| {
            let names = host.settings.core.access_file_names();
            find_htaccess(
                names,
                folder,
                permit,
                &server.config.server,
                htaccess,
                (access, now),
                made_from,
            )
        });
        let settings = settings.map_err(|spoilt| self.spoilt(spoilt))?;
        self.trace_sections(path, file);
        Ok(settings)
    }

    /// `MATCH_NAME` for what the patterns of sections that hold here have matched.
    pub(super) fn set_groups(&mut self) {
        for (name, value) in self.caches.merged.take_groups() {
            self.env.set(name, value);
        }
    }

    fn spoilt(&self, spoilt: Spoilt) -> Stop {
        match spoilt {
            Spoilt::Open(_, OpenError::WouldBlock) => Stop::WouldBlock,
            Spoilt::Open(file, error) => {
                self.log_unreadable(&file, &error);
                let why = "Server unable to read htaccess file, denying access to be safe";
                Stop::Refused(Refusal::new(Status::FORBIDDEN).noting(why))
            }
            Spoilt::Broken(message) => {
                self.log(Level::Alert, "core").say(format_args!("{}", Quoted(message.as_bytes())));
                Refusal::stop(Status::INTERNAL_SERVER_ERROR)
            }
        }
    }

    fn log_unreadable(&self, htaccess: &[u8], error: &OpenError) {
        let file = Quoted(htaccess);
        let folder = Quoted(&htaccess[..htaccess.len() - last_component(htaccess).len()]);
        let entry = self.log(Level::Crit, "core");
        let entry = match error {
            OpenError::Special => {
                return self.log(Level::Error, "core").say(format_args!(
                    "AH00554: Access to file {file} denied by server: not a regular file"
                ));
            }
            OpenError::Denied(cause)
            | OpenError::Missing(cause)
            | OpenError::Name(cause)
            | OpenError::Unreadable(cause)
            | OpenError::System(cause) => entry.because(cause),
            OpenError::Link | OpenError::WouldBlock => entry,
        };
        entry.say(format_args!(
            "AH00529: {file} pcfg_openfile: unable to check htaccess file, ensure it is readable and that '{folder}' \
             is executable"
        ));
    }

    /// Turns what happened at opening into what the client is told. `None`: there is no such file.
    pub(super) fn judge(&self, opened: Result<Opened, OpenError>) -> Result<Option<Opened>, Stop> {
        let (status, error) = match opened {
            Ok(opened) => return Ok(Some(opened)),
            Err(OpenError::Missing(_)) => return Ok(None),
            Err(OpenError::WouldBlock) => return Err(Stop::WouldBlock),
            Err(error @ OpenError::System(_)) => (Status::SERVICE_UNAVAILABLE, error),
            Err(error) => (Status::FORBIDDEN, error),
        };
        self.log_open_error(&error);
        Err(Refusal::stop(status))
    }

    fn log_open_error(&self, error: &OpenError) {
        let (path, file) = (Quoted(&self.place.path), Quoted(self.place.file()));
        let entry = self.log(Level::Error, "core");
        match error {
            OpenError::Denied(cause) => entry.because(cause).say(format_args!(
                "AH00035: access to {path} denied (filesystem path '{file}') because search permissions are missing \
                 on a component of the path"
            )),
            OpenError::Name(cause) => entry.because(cause).say(format_args!(
                "AH00036: access to {path} failed (filesystem path '{file}')"
            )),
            OpenError::Link => entry.say(format_args!(
                "AH00037: Symbolic link not allowed or link target not accessible: {file}"
            )),
            OpenError::Special => entry.say(format_args!(
                "AH00038: Forbidden: {file} doesn't point to a file or directory"
            )),
            OpenError::Unreadable(cause) | OpenError::System(cause) => entry
                .because(cause)
                .say(format_args!("AH00132: file permissions deny server access: {file}")),
            OpenError::Missing(_) | OpenError::WouldBlock => {}
        }
    }
}
