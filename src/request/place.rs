//! Where a request leads: its path in one spelling, the file that this is mapped to, and what holds there.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use herdgate_sys::file::Stat;

use super::facts::Known;
use super::{Caches, Refusal, Request, Stop};
use crate::config::{DirSettings, htaccess};
use crate::expr::{Condition, Groups};
use crate::files::Access;
use crate::files::open::{self, LinkPolicy, Links, OpenError, Opened};
use crate::files::parsed::ParsedFiles;
use crate::http::status::Status;
use crate::log::{Level, Moment, Quoted};
use crate::modules::core::{AcceptPathInfo, HiddenFiles, Options, Permit};
use crate::route::alias::{Mapped, Unmapped};
use crate::route::ifs;
use crate::route::url::{self, UrlError};

/// A path of this server, and what it stands for.
#[derive(Debug)]
pub(crate) struct Place {
    /// Decoded and normalised, once the request got that far; before that, as it came.
    pub(crate) path: Vec<u8>,
    /// The file, existing or not. None if there is no root to look in.
    pub(crate) mapped: Option<Mapped>,
    /// What holds here.
    pub(crate) settings: Arc<DirSettings>,
}

impl Place {
    /// A path of which nothing is known yet.
    pub(super) fn unknown(path: &[u8], settings: Arc<DirSettings>) -> Place {
        Place { path: path.to_vec(), mapped: None, settings }
    }

    /// The file's name; empty if there is none.
    pub(crate) fn file(&self) -> &[u8] {
        self.mapped.as_ref().map_or(b"", |mapped| mapped.file.as_os_str().as_bytes())
    }

    /// The last component of the file's name.
    pub(crate) fn file_name(&self) -> &[u8] {
        self.file().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
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
    pub(super) fn links(&self) -> Links<'_> {
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
) -> Result<Option<Arc<htaccess::Outcome>>, Spoilt> {
    for name in names {
        let path = [folder, b"/", name.as_bytes()].concat();
        let parse = |text: &[u8]| {
            let path = Path::new(std::ffi::OsStr::from_bytes(&path));
            htaccess::parse(path, text, permit, server)
        };
        let found = files.get(&path, |key| permit.push_key(key), access, now, parse);
        if let Some(found) = found.map_err(|error| Spoilt::Open(path.clone(), error))? {
            return match found.as_ref() {
                Ok(_) => Ok(Some(found)),
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

    /// Finds the file of a path that is decoded and normalised, and what holds there.
    pub(super) fn locate_normal(&mut self, path: Vec<u8>) -> Result<Place, Stop> {
        let host = self.host();
        match host.map(&path) {
            Ok(mapped) => {
                self.trace_mapping(&path, &mapped);
                let settings = self.settings_for(&path, Some(&mapped.file))?;
                self.decided(Place { path, mapped: Some(mapped), settings })
            }
            Err(Unmapped::NoRoot) => {
                let settings = self.settings_for(&path, None)?;
                self.decided(Place { path, mapped: None, settings })
            }
            Err(Unmapped::Escapes) => {
                self.log(Level::Error, "core").say(format_args!(
                    "AH00127: Cannot map {} to file",
                    Quoted(self.head.request_line())
                ));
                Err(Refusal::stop(Status::FORBIDDEN))
            }
        }
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
        self.trace_found(self.found.as_ref(), &self.place);
        Ok(())
    }

    /// What a file's name stands for, links followed or not; `None` if there is nothing.
    pub(crate) fn look(&self, file: &[u8], follow: bool) -> Result<Option<Stat>, Stop> {
        open::look(file, follow, self.access).map_err(|_| Stop::WouldBlock)
    }

    /// Opens what the place names; `None` if there is nothing.
    pub(super) fn open(&mut self) -> Result<Option<Opened>, Stop> {
        if self.place.mapped.is_none() {
            return Ok(None);
        }
        let opened = open::open(self.place.file(), self.place.links(), self.access);
        let found = self.judge(opened)?;
        if found.is_none() && self.place.settings.core.accept_path_info() == AcceptPathInfo::On {
            return self.open_without_path_info();
        }
        Ok(found)
    }

    /// `AcceptPathInfo On`: `/page.html/more` is page.html. Shortens the name until it is a file.
    fn open_without_path_info(&mut self) -> Result<Option<Opened>, Stop> {
        let root_bytes = self.place.links().root.len();
        let mut end = self.place.file().len();
        while let Some(slash) = memchr::memrchr(b'/', &self.place.file()[..end]) {
            if slash <= root_bytes {
                break;
            }
            let shorter = self.place.file()[..slash].to_vec();
            let opened = open::open(&shorter, self.place.links(), self.access);
            if let Some(opened) = self.judge(opened)? {
                if opened.is_folder() {
                    break; // A folder has no path behind it: what is missing in it is missing.
                }
                self.shorten_to(&shorter)?;
                self.check_access()?;
                return Ok(Some(opened));
            }
            end = slash;
        }
        Ok(None)
    }

    /// The place is a file further up than its path says; what holds is decided by the file.
    fn shorten_to(&mut self, file: &[u8]) -> Result<(), Stop> {
        let file = Path::new(std::ffi::OsStr::from_bytes(file));
        let path = std::mem::take(&mut self.place.path);
        let settings = self.settings_for(&path, Some(file));
        self.place.path = path;
        self.place.settings = settings?;
        if let Some(mapped) = &mut self.place.mapped {
            mapped.file = file.to_path_buf();
        }
        let place = Place::unknown(b"", Arc::clone(&self.place.settings));
        let place = std::mem::replace(&mut self.place, place);
        self.place = self.decided(place)?;
        Ok(())
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
        let settings = host.settings_for(path, file, merged, |folder, permit| {
            let names = host.settings.core.access_file_names();
            find_htaccess(names, folder, permit, &server.config.server, htaccess, (access, now))
        });
        let settings = settings.map_err(|spoilt| self.spoilt(spoilt))?;
        self.trace_sections(path, file);
        Ok(settings)
    }

    fn spoilt(&self, spoilt: Spoilt) -> Stop {
        match spoilt {
            Spoilt::Open(_, OpenError::WouldBlock) => Stop::WouldBlock,
            Spoilt::Open(file, error) => {
                self.log(Level::Crit, "core").say(format_args!(
                    "AH00529: {} pcfg_openfile: unable to check htaccess file, ensure it is readable and that its \
                     folder is executable: {error}",
                    Quoted(&file)
                ));
                Refusal::stop(Status::FORBIDDEN)
            }
            Spoilt::Broken(message) => {
                self.log(Level::Alert, "core").say(format_args!("{}", Quoted(message.as_bytes())));
                Refusal::stop(Status::INTERNAL_SERVER_ERROR)
            }
        }
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
