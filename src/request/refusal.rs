//! What is said instead of content: an `ErrorDocument`, or the built-in page.

use std::io;
use std::sync::Arc;

use super::{Client, Env, Names, Place, Request, Server, Stop};
use crate::config::{DirSettings, Host};
use crate::expr::{Facts, Groups, Text};
use crate::http::error_page::{Answerer, CONTENT_TYPE, ErrorPage, Signature};
use crate::http::field::{Known, is_value};
use crate::http::head::Head;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::modules::core::{self, ErrorDocument};
use crate::response::{Body, Fields, Response};

/// A status that is answered with a page: an error, or a redirect.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: Status,
    /// What goes along with every page for it: `Location`, `Allow` or `Content-Range`.
    field: Option<(&'static str, Box<[u8]>)>,
    /// HTML for the built-in page: the variants of a 300 or 406.
    notes: Box<str>,
}

impl Refusal {
    /// A refusal with this status.
    pub(crate) fn new(status: Status) -> Refusal {
        Refusal { status, field: None, notes: Box::default() }
    }

    /// The same with a field for every page that tells it.
    pub(crate) fn with(self, name: &'static str, value: &[u8]) -> Refusal {
        Refusal { field: Some((name, value.into())), ..self }
    }

    /// The same with a note in the built-in page, which is HTML.
    pub(crate) fn noting(self, html: &str) -> Refusal {
        Refusal { notes: html.into(), ..self }
    }

    /// A refusal without fields, as the end of a phase.
    pub(crate) fn stop(status: Status) -> Stop {
        Stop::Refused(Refusal::new(status))
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        if let Some((name, value)) = &self.field {
            fields.push(*name, value);
        }
        fields
    }

    fn location(&self) -> &[u8] {
        match &self.field {
            Some(("Location", value)) => value,
            _ => b"",
        }
    }
}

/// Answers what could not be read as a request: a malformed head, or one that took too long. `notes` is HTML that says
/// what was wrong, or nothing. The host is the first of the address, since no name is known.
pub fn refuse(server: &Server, client: &Client, status: Status, notes: &str) -> Response {
    let index = server.config.table.first(client.local_or_unspecified());
    let host = &server.config.hosts[index];
    let settings = Arc::clone(host.base());
    let page = match settings.core.error_document(status.code()) {
        Some(ErrorDocument::Text(text)) => text.clone().into_bytes(),
        _ => {
            let settings = &settings;
            let about = About { server, host, settings, head: None, client, own_name: None };
            about.page(&Refusal::new(status).noting(notes), None)
        }
    };
    Response {
        status,
        fields: Fields::default(),
        content_type: Some(CONTENT_TYPE.into()),
        content_length: Some(page.len() as u64),
        body: Body::Memory(page),
        parts: Vec::new(),
        handler: None,
        path: Vec::new(),
        first: None,
        query: None,
        file: None,
        host: index,
        client: *client,
        settings,
        env: Env::default(),
        user: None,
        client_name: None,
        own_name: None,
        request_fields: None,
        is_page: true,
        pace: None,
        notes: Env::default(),
    }
}

impl Request<'_> {
    /// A redirect. A location that would break the head is our own mistake.
    pub(crate) fn redirect(&self, status: Status, location: &[u8]) -> Stop {
        if is_value(location) {
            return Stop::Refused(Refusal::new(status).with("Location", location));
        }
        self.log(Level::Error, "http").say(format_args!(
            "AH02430: Response header 'Location' value of '{}' contains invalid characters, aborting request",
            Quoted(location)
        ));
        Refusal::stop(Status::INTERNAL_SERVER_ERROR)
    }

    /// The end of a request whose path leads to no file that may be named.
    pub(crate) fn unmapped(&self) -> Stop {
        let request_line = Quoted(self.head.request_line());
        let message = format_args!("AH00127: Cannot map {request_line} to file");
        self.log(Level::Error, "core").say(message);
        Refusal::stop(Status::FORBIDDEN)
    }

    /// Answers with what is configured for the status.
    pub(super) fn refused(&mut self, refusal: Refusal) -> Result<Response, Stop> {
        let settings = Arc::clone(&self.place.settings);
        let status = refusal.status;
        match settings.core.error_document(status.code()) {
            None | Some(ErrorDocument::Default) => {
                self.trace_refusal(status, format_args!("the built-in page"));
                Ok(self.built_in(&refusal, None))
            }
            Some(ErrorDocument::Text(text)) => {
                self.trace_refusal(status, format_args!("ErrorDocument's text"));
                let text = self.filled(text, Text::evaluate_as_html)?;
                Ok(self.page(&refusal, text))
            }
            Some(ErrorDocument::Url(url)) => {
                let url = self.filled(url, Text::evaluate)?;
                if url.iter().any(u8::is_ascii_control) {
                    return Ok(self.built_in(&refusal, None)); // It would break the head.
                }
                self.trace_refusal(
                    status,
                    format_args!("ErrorDocument's redirect to {}", Quoted(&url)),
                );
                let elsewhere = Refusal::new(Status::FOUND).with("Location", &url);
                Ok(self.built_in(&elsewhere, None))
            }
            Some(ErrorDocument::Path(path)) => {
                let path = self.filled(path, Text::evaluate)?;
                self.trace_refusal(status, format_args!("ErrorDocument {}", Quoted(&path)));
                self.document(refusal, &path)
            }
        }
    }

    /// What `ErrorDocument` says, with its variables filled in.
    fn filled(
        &self,
        document: &str,
        evaluate: fn(&Text, &dyn Facts, &Groups) -> io::Result<Vec<u8>>,
    ) -> Result<Vec<u8>, Stop> {
        match Text::parse(document) {
            Ok(text) if document.contains("%{") => {
                evaluate(&text, &self.known(), &Groups::new()).map_err(|_| Stop::WouldBlock)
            }
            Ok(_) | Err(_) => Ok(document.as_bytes().to_vec()),
        }
    }

    /// `ErrorDocument /path`: what a GET of that path gives, under the status of the refusal. If that is refused itself,
    /// the built-in page tells both.
    fn document(&mut self, refusal: Refusal, path: &[u8]) -> Result<Response, Stop> {
        let asked = Place::unknown(&self.place.path, Arc::clone(&self.place.settings));
        let asked = std::mem::replace(&mut self.place, asked);
        self.for_error = true;
        self.note_first(&asked.path, refusal.status, None);
        // As Apache: who was refused by these settings is not asked again for the page that says so.
        self.granted = Some(Arc::clone(&asked.settings));
        let (path, query) = match memchr::memchr(b'?', path) {
            Some(mark) => (&path[..mark], Some(path[mark + 1..].to_vec().into())),
            None => (path, None),
        };
        self.query = query;
        self.env = std::mem::take(&mut self.env).redirected();
        self.env.set("REDIRECT_STATUS", refusal.status.code().to_string());
        self.env.set("REDIRECT_URL", self.redirect_url(&asked.path));
        match self.normalise(path).and_then(|path| self.run(path)) {
            Ok(mut response) => {
                response.status = refusal.status;
                response.fields.extend(refusal.fields());
                Ok(response)
            }
            Err(Stop::Refused(failed)) => {
                self.place = asked;
                Ok(self.built_in(&refusal, Some(failed.status)))
            }
            Err(stop) => Err(stop),
        }
    }

    fn built_in(&self, refusal: &Refusal, failed_document: Option<Status>) -> Response {
        let page = self.about().page(refusal, failed_document);
        self.page(refusal, page)
    }

    fn page(&self, refusal: &Refusal, page: Vec<u8>) -> Response {
        let content_type = Some(CONTENT_TYPE.into());
        let (status, fields) = (refusal.status, refusal.fields());
        let response = if status.is_bodyless() {
            self.response(status, fields, None, Body::Empty, None)
        } else if self.is_head() {
            self.response(status, fields, content_type, Body::Empty, None)
        } else {
            let length = Some(page.len() as u64);
            self.response(status, fields, content_type, Body::Memory(page), length)
        };
        Response { is_page: true, ..response }
    }

    /// The foot of a page that the server makes.
    pub(crate) fn signature(&self) -> Vec<u8> {
        let mut html = Vec::new();
        let about = self.about();
        let names = about.names();
        about.signature(&names).push(&mut html, self.host().settings.core.admin());
        html
    }

    fn about(&self) -> About<'_> {
        About {
            server: self.server,
            host: self.host(),
            settings: &self.place.settings,
            head: Some(self.head),
            client: &self.client,
            own_name: self.own_name.as_deref(),
        }
    }

    /// A response from here, by nobody in particular.
    pub(crate) fn response(
        &self,
        status: Status,
        fields: Fields,
        content_type: Option<std::borrow::Cow<'static, str>>,
        body: Body,
        content_length: Option<u64>,
    ) -> Response {
        Response {
            status,
            fields,
            content_type,
            content_length,
            body,
            parts: Vec::new(),
            handler: self.handler,
            path: self.place.path.clone(),
            first: None,
            query: None,
            file: self.place.mapped.as_ref().map(|_| self.place.file().to_vec()),
            host: self.host,
            client: self.client,
            settings: Arc::clone(&self.place.settings),
            env: Env::default(),
            user: None,
            client_name: None,
            own_name: None,
            request_fields: None,
            is_page: false,
            pace: None,
            notes: Env::default(),
        }
    }
}

/// What a page says about where it comes from.
struct About<'a> {
    server: &'a Server,
    host: &'a Host,
    settings: &'a DirSettings,
    head: Option<&'a Head<'a>>,
    client: &'a Client,
    /// What its own address is called, if that is known.
    own_name: Option<&'a str>,
}

impl About<'_> {
    fn page(&self, refusal: &Refusal, failed_document: Option<Status>) -> Vec<u8> {
        let names = self.names();
        let page = ErrorPage {
            method: self.head.map_or("-", |head| head.method().as_str()),
            location: refusal.location(),
            expectation: self.head.and_then(|head| head.first(Known::Expect)).unwrap_or_default(),
            notes: &refusal.notes,
            admin: self.host.settings.core.admin(),
            signature: self.signature(&names),
            failed_document,
            ..ErrorPage::new(refusal.status)
        };
        let mut html = Vec::with_capacity(512);
        page.write(&mut html);
        html
    }

    fn names(&self) -> Names<'_> {
        Names::of(self.host, self.settings, self.head, self.client, self.own_name)
    }

    fn signature<'n>(&'n self, names: &'n Names<'_>) -> Signature<'n> {
        let answerer =
            Answerer { banner: &self.server.banner, name: &names.host, port: names.port };
        match self.settings.core.signature() {
            core::Signature::Off => Signature::Off,
            core::Signature::On => Signature::On(answerer),
            core::Signature::Email => Signature::EMail(answerer),
        }
    }
}
