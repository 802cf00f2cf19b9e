//! What the server calls itself in URLs and signatures that it makes: `UseCanonicalName` and its kind.

use std::borrow::Cow;
use std::fmt;

use super::{Client, Refusal, Request, Stop};
use crate::config::{DirSettings, Host};
use crate::http::head::Head;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::modules::core::CanonicalName;

/// The port of a URL that names none.
fn implied_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// The server's name for itself, as one request sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'n> {
    /// `http`, unless ServerName says otherwise.
    pub scheme: &'n str,
    /// The host, an IPv6 address in brackets.
    pub host: Cow<'n, str>,
    /// The port.
    pub port: u16,
}

impl<'n> Names<'n> {
    /// The names for a request to `host`. `head` is missing if the request could not be read, `by_dns` if nobody has asked
    /// what the host's address is called, or it has no name.
    pub fn of(
        host: &'n Host,
        settings: &DirSettings,
        head: Option<&Head<'n>>,
        client: &Client,
        by_dns: Option<&'n str>,
    ) -> Names<'n> {
        let configured = host.settings.core.name();
        let scheme = configured.and_then(|name| name.scheme.as_deref()).unwrap_or("http");
        let implied_port = implied_port(scheme);
        let local_port = client.local.map(|local| local.port());
        let configured_port = configured.and_then(|name| name.port).map(u16::from);
        let choice = settings.core.canonical_name();
        let asked = match choice {
            CanonicalName::Off | CanonicalName::Dns => {
                head.and_then(Head::host).filter(|asked| !asked.name.is_empty())
            }
            CanonicalName::On => None,
        };
        let physical = local_port.filter(|_| settings.core.canonical_physical_port());
        let names = match asked {
            Some(asked) => Names {
                scheme,
                host: in_small_letters(asked.name),
                port: asked.port.or(physical).or(configured_port).unwrap_or(implied_port),
            },
            // A client that names no host has no port in mind either, so the real one is the best guess.
            None => Names {
                scheme,
                host: Cow::Borrowed(&host.name),
                port: configured_port
                    .or(physical)
                    .or(local_port.filter(|_| choice != CanonicalName::On))
                    .unwrap_or(implied_port),
            },
        };
        match choice {
            CanonicalName::Dns => Names { host: by_dns.unwrap_or(&host.name).into(), ..names },
            CanonicalName::Off | CanonicalName::On => names,
        }
    }
}

impl Names<'_> {
    /// The port by `ServerName`; that of its scheme, 80 without one, if none is written there.
    pub fn configured_port(host: &Host) -> u16 {
        let name = host.settings.core.name();
        let scheme = name.and_then(|name| name.scheme.as_deref()).unwrap_or("http");
        name.and_then(|name| name.port).map_or(implied_port(scheme), u16::from)
    }

    /// The host, an IPv6 address without its brackets.
    pub fn bare_host(&self) -> &[u8] {
        let host = self.host.as_bytes();
        host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(host)
    }
}

fn in_small_letters(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// `http://host`, with the port unless the scheme implies it: what a Location begins with.
impl fmt::Display for Names<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme, self.host)?;
        if self.port == implied_port(self.scheme) { Ok(()) } else { write!(out, ":{}", self.port) }
    }
}

impl Request<'_> {
    /// `StrictHostCheck`: the name that the client asks for must be one of the host's.
    pub(super) fn check_host(&self) -> Result<(), Stop> {
        let core = &self.host().settings.core;
        match self.head.host() {
            Some(asked) if core.strict_host_check() && !core.is_called(asked.name) => {
                self.log(Level::Error, "core").say(format_args!(
                    "AH02417: Hostname {} provided in the request does not match any ServerName or ServerAlias",
                    Quoted(asked.name.as_bytes())
                ));
                Err(Refusal::stop(Status::BAD_REQUEST))
            }
            _ => Ok(()),
        }
    }

    /// What REDIRECT_URL is, after a redirect from `path`: see `QualifyRedirectURL`.
    pub(super) fn redirect_url(&self, path: &[u8]) -> Vec<u8> {
        if !self.place.settings.core.qualify_redirect_url() {
            return path.to_vec();
        }
        [self.names().to_string().as_bytes(), path].concat()
    }

    pub(crate) fn names(&self) -> Names<'_> {
        let by_dns = self.own_name.as_deref();
        Names::of(self.host(), &self.place.settings, Some(self.head), &self.client, by_dns)
    }
}
