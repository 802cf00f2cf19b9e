//! What expressions and rewriting may ask about a request: `%{REQUEST_URI}` and its kind.

use std::ffi::OsStr;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use herdgate_sys::file::Stat;

use super::{Caches, Place, Request, Stop};
use crate::expr::Facts;
use crate::files::content::{self, Span};
use crate::files::open::{self, LinkPolicy, Links, OpenError};
use crate::files::seen::Seen;
use crate::http::status::Status;
use crate::log::LogClock;
use crate::log::access::Fields as _;
use crate::response::Response;
use crate::route::alias::Mapped;

/// A file that an expression reads is read up to this size.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A request at one place, perhaps with its answer.
#[derive(Clone, Copy)]
pub(crate) struct Known<'k, 'r> {
    pub(crate) request: &'k Request<'r>,
    /// Where it leads; the request's own place may be another one still.
    pub(crate) place: &'k Place,
    pub(crate) response: Option<&'k Response>,
}

impl<'r> Request<'r> {
    /// What is known so far.
    pub(crate) fn known(&self) -> Known<'_, 'r> {
        Known { request: self, place: &self.place, response: None }
    }

    /// Notes that the answer depends on this field of the request, which Vary tells caches. That it depends on Host goes
    /// without saying (RFC 9110, section 12.5.5: it is part of the target).
    pub(crate) fn varies_by(&self, field: &str) {
        let mut varies = self.varies.borrow_mut();
        let is_known = |known: &String| known.eq_ignore_ascii_case(field);
        if !field.eq_ignore_ascii_case("Host") && !varies.iter().any(is_known) {
            varies.push(field.to_owned());
        }
    }

    /// Asks something that the answer is said not to depend on.
    pub(crate) fn without_vary<T>(&self, ask: impl FnOnce() -> T) -> T {
        let known = self.varies.borrow().len();
        let answer = ask();
        self.varies.borrow_mut().truncate(known);
        answer
    }

    /// The response with a Vary that names all fields noted so far. They are noted no more.
    pub(super) fn with_vary(&self, mut response: Response) -> Response {
        let varies = self.varies.take();
        if !varies.is_empty() {
            let mut members = varies.join(", ");
            if let Some(more) = response.fields.get("Vary") {
                members = format!("{members}, {}", String::from_utf8_lossy(more));
                response.fields.remove("Vary");
            }
            response.fields.push("Vary", members.as_bytes());
        }
        response
    }

    /// As [`with_vary`](Self::with_vary), behind what is there: for fields that were asked for last.
    pub(super) fn vary_further(&self, response: &mut Response) {
        let varies = self.varies.take();
        if !varies.is_empty() {
            response.fields.append("Vary", varies.join(", ").as_bytes());
        }
    }

    /// Whether another request for `path_or_file` would be allowed and lead to something.
    fn would_serve(&self, path_or_file: &[u8], is_file: bool) -> io::Result<bool> {
        if self.is_inquiry {
            return Ok(false); // An inquiry that asks itself would never end.
        }
        self.made_from.cannot_be_repeated();
        let mut caches = Caches::default();
        match self.inquiry(&mut caches).inquire(path_or_file, is_file) {
            Ok(found) => Ok(found),
            Err(Stop::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(Stop::Refused(_) | Stop::Elsewhere(_)) => Ok(false),
        }
    }

    /// What another request for `path_or_file` would know; `None` within an inquiry.
    ///
    /// # Errors
    /// `WouldBlock`: a job has to find out.
    pub(crate) fn look_ahead(
        &self,
        path_or_file: &[u8],
        is_file: bool,
        ask: impl FnOnce(&Known<'_, '_>) -> Option<Vec<u8>>,
    ) -> io::Result<Option<Vec<u8>>> {
        if self.is_inquiry {
            return Ok(None); // An inquiry that asks itself would never end.
        }
        self.made_from.cannot_be_repeated();
        let mut caches = Caches::default();
        let mut inquiry = self.inquiry(&mut caches);
        match inquiry.inquire(path_or_file, is_file) {
            Err(Stop::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) | Err(Stop::Refused(_) | Stop::Elsewhere(_)) => Ok(ask(&inquiry.known())),
        }
    }

    /// The same request, which only asks.
    fn inquiry<'q>(&'q self, caches: &'q mut Caches) -> Request<'q> {
        let mut inquiry =
            Request::new(self.server, &self.client, self.head, self.arrival, caches, self.access);
        inquiry.is_inquiry = true;
        inquiry
    }

    fn inquire(&mut self, path_or_file: &[u8], is_file: bool) -> Result<bool, Stop> {
        if is_file {
            let file = Path::new(OsStr::from_bytes(path_or_file));
            if !file.is_absolute() {
                return Ok(false);
            }
            self.place.settings = self.settings_for(b"", Some(file))?;
            self.check_access()?;
            return Ok(self.look(path_or_file, true)?.is_some());
        }
        let path = self.normalise(path_or_file)?;
        self.go_to(path)?;
        self.check_access()?;
        Ok(true)
    }
}

impl Known<'_, '_> {
    fn varying_field(&self, name: &str) -> Option<Vec<u8>> {
        self.varies_by(name);
        self.field(name)
    }

    fn time(&self, pattern: &str) -> Vec<u8> {
        LogClock::default().local(self.request.now()).strftime(pattern).to_string().into_bytes()
    }
}

impl Facts for Known<'_, '_> {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let Known { request, place, response } = *self;
        let host = request.host();
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let ip = |address: Option<std::net::SocketAddr>| {
            address.map(|address| address.ip().to_canonical().to_string().into_bytes())
        };
        let document_root =
            || Some(request.document_root()?.as_os_str().as_encoded_bytes().to_vec());
        let switch = |on: bool| text(if on { "on" } else { "off" });
        match name {
            "HTTP_ACCEPT" => self.varying_field("Accept"),
            "HTTP_COOKIE" => self.varying_field("Cookie"),
            "HTTP_FORWARDED" => self.varying_field("Forwarded"),
            "HTTP_HOST" => self.varying_field("Host"),
            "HTTP_PROXY_CONNECTION" => self.varying_field("Proxy-Connection"),
            "HTTP_REFERER" => self.varying_field("Referer"),
            "HTTP_USER_AGENT" => self.varying_field("User-Agent"),
            "REQUEST_METHOD" => text(request.method().as_str()),
            "REQUEST_SCHEME" => text(request.names().scheme),
            "REQUEST_URI" | "DOCUMENT_URI" => Some(place.path.clone()),
            "REQUEST_FILENAME" | "SCRIPT_FILENAME" => Some(place.file_or_path().to_vec()),
            "QUERY_STRING" => Some(request.query.as_deref().unwrap_or_default().to_vec()),
            "IS_SUBREQ" => text(if request.is_subrequest() { "true" } else { "false" }),
            "THE_REQUEST" => Some(request.head.request_line().to_vec()),
            "REMOTE_ADDR" => ip(request.client().address),
            "CONN_REMOTE_ADDR" => ip(request.client().peer()),
            "REMOTE_PORT" => {
                request.client().address.map(|address| address.port().to_string().into_bytes())
            }
            "REMOTE_HOST" => request
                .remote_host()
                .map(String::into_bytes)
                .or_else(|| ip(request.client().address)),
            "REMOTE_USER" => request.user.clone(),
            "AUTH_TYPE" => request.auth_type.and_then(text),
            "SERVER_ADDR" => ip(request.client.local),
            "SERVER_NAME" => text(&request.names().host),
            "SERVER_PORT" => text(&request.names().port.to_string()),
            "SERVER_ADMIN" => text(host.settings.core.admin()),
            "SERVER_PROTOCOL" => text(request.head.version().as_str()),
            "SERVER_SOFTWARE" => text(&request.server.banner),
            "DOCUMENT_ROOT" => document_root(),
            "CONTEXT_DOCUMENT_ROOT" => match place.mapped.as_ref().and_then(Mapped::context) {
                Some((_, root)) => Some(root.to_vec()),
                None => document_root(),
            },
            "CONTEXT_PREFIX" => {
                let (prefix, _) = place.mapped.as_ref().and_then(Mapped::context)?;
                Some(prefix.to_vec())
            }
            "PATH_INFO" => Some(place.path_info().to_vec()),
            "CONTENT_TYPE" => response?.content_type.as_deref().and_then(text),
            "HANDLER" => response?.handler.and_then(text),
            "REQUEST_STATUS" => {
                let status = response.map_or(Status::OK, |response| response.status);
                text(&status.code().to_string())
            }
            "HTTPS" | "HTTP2" => switch(false),
            "IPV6" => switch(request.client().address.is_some_and(|address| address.is_ipv6())),
            "TIME_YEAR" => Some(self.time("%Y")),
            "TIME_MON" => Some(self.time("%m")),
            "TIME_DAY" => Some(self.time("%d")),
            "TIME_HOUR" => Some(self.time("%H")),
            "TIME_MIN" => Some(self.time("%M")),
            "TIME_SEC" => Some(self.time("%S")),
            "TIME_WDAY" => Some(self.time("%w")),
            "TIME" => Some(self.time("%Y%m%d%H%M%S")),
            _ => None,
        }
    }

    fn field(&self, name: &str) -> Option<Vec<u8>> {
        self.request.fields.header(name).map(<[u8]>::to_vec)
    }

    fn varies_by(&self, field: &str) {
        self.request.varies_by(field);
    }

    fn response_field(&self, name: &str) -> Option<Vec<u8>> {
        self.response?.field(name).map(<[u8]>::to_vec)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        self.request.env.get(name).map(<[u8]>::to_vec)
    }

    fn note(&self, name: &str) -> Option<Vec<u8>> {
        self.request.notes.get(name).map(<[u8]>::to_vec)
    }

    fn client(&self) -> Option<IpAddr> {
        self.request.client().address.map(|address| address.ip())
    }

    fn look(&self, file: &[u8], follow: bool) -> io::Result<Option<Stat>> {
        // A relative name is relative to nothing here: the server's folder is nobody's business.
        if !file.starts_with(b"/") {
            return Ok(None);
        }
        let stat = open::look(file, follow, self.request.access)?;
        self.request.made_from.saw(Seen::new(file, follow, stat.as_ref()));
        Ok(stat)
    }

    fn read(&self, file: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if !file.starts_with(b"/") {
            return Ok(None);
        }
        self.request.made_from.cannot_be_repeated();
        let links = Links { policy: LinkPolicy::Follow, root: b"/" };
        let opened = match open::open(file, links, self.request.access) {
            Ok(opened) if !opened.is_folder() => opened,
            Err(OpenError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) | Err(_) => return Ok(None),
        };
        let span = Span { offset: 0, length: opened.stat.size.min(FILE_BYTES_MAX) };
        match content::read(&opened, span, self.request.access) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn would_serve(&self, path_or_file: &[u8], is_file: bool) -> io::Result<bool> {
        self.request.would_serve(path_or_file, is_file)
    }
}
