//! # mod_remoteip: whom a proxy speaks for
//!
//! ```text
//! X-Forwarded-For: 203.0.113.9, 198.51.100.4        from 10.0.0.1
//!                  └──── 2. the client ◀── 1. 198.51.100.4 is trusted, too ◀── 10.0.0.1 is trusted
//! PROXY TCP4 203.0.113.9 …⏎                         the same, said once for the whole connection
//! ```
//!
//! - What it finds is the client for logs, access control, expressions and variables; the connection's own end stays
//!   known as CONN_REMOTE_ADDR and `%{c}a`.
//! - A field is read from right to left, as long as whoever has told an address is trusted. Without any list everybody
//!   is, as in Apache: then a client can call itself what it likes.
//! - Only an internal proxy can tell a private address.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use herdgate_conf::{Args, Directive, Overrides, Problem, Span};

use super::authz_host::Network;
use super::{HOST, Module};
use crate::config::{Config, HostSettings};
use crate::http::field::is_token;
use crate::log::{Level, Quoted};
use crate::request::{Client, Request};

/// mod_remoteip's settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct RemoteIp {
    header: Option<String>,
    proxies_header: Option<String>,
    proxies: Vec<Proxy>,
    /// What the machine must be asked about before it is a list of proxies.
    unresolved: Vec<Unresolved>,
    proxy_protocol: Option<bool>,
    exceptions: Vec<Network>,
}

/// Proxies that are believed.
#[derive(Debug, Clone, Copy)]
struct Proxy {
    network: Network,
    /// Its word counts for private addresses, too, and nobody hears of it.
    internal: bool,
}

#[derive(Debug, Clone)]
struct Unresolved {
    what: Name,
    internal: bool,
    span: Span,
}

#[derive(Debug, Clone)]
enum Name {
    Host(String),
    File(PathBuf),
}

impl RemoteIp {
    /// The settings of virtual host `inner` within main server `self`. The lists of both count.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            header: inner.header.clone().or_else(|| self.header.clone()),
            proxies_header: inner.proxies_header.clone().or_else(|| self.proxies_header.clone()),
            proxies: [self.proxies.as_slice(), &inner.proxies].concat(),
            unresolved: [self.unresolved.as_slice(), &inner.unresolved].concat(),
            proxy_protocol: inner.proxy_protocol.or(self.proxy_protocol),
            exceptions: [self.exceptions.as_slice(), &inner.exceptions].concat(),
        }
    }

    /// Looks up names and reads lists; what is wrong with them is reported with its place.
    pub(crate) fn resolve(&mut self, mut report: impl FnMut(Span, String)) {
        for unresolved in std::mem::take(&mut self.unresolved) {
            match unresolved.what.networks() {
                Ok(networks) => {
                    let internal = unresolved.internal;
                    self.proxies
                        .extend(networks.into_iter().map(|network| Proxy { network, internal }));
                }
                Err(message) => report(unresolved.span, message),
            }
        }
    }

    /// Whether a connection from there must begin with a header of the PROXY protocol.
    fn expects_preamble(&self, peer: Option<SocketAddr>) -> bool {
        let excepted =
            |peer: SocketAddr| self.exceptions.iter().any(|known| known.contains(peer.ip()));
        self.proxy_protocol() && !peer.is_some_and(excepted)
    }

    /// `RemoteIPProxyProtocol`
    pub(crate) fn proxy_protocol(&self) -> bool {
        self.proxy_protocol.unwrap_or(false)
    }

    fn proxy_at(&self, address: IpAddr) -> Option<&Proxy> {
        self.proxies.iter().find(|proxy| proxy.network.contains(address))
    }
}

impl Name {
    fn networks(&self) -> Result<Vec<Network>, String> {
        match self {
            Self::Host(name) => lookup(name),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("Could not open file {}: {error}", path.display()))?;
                let words = text.lines().flat_map(|line| {
                    line.split_ascii_whitespace().take_while(|word| !word.starts_with('#'))
                });
                let networks = words.map(|word| match Network::of_text(word) {
                    Some(network) => Ok(vec![network]),
                    None => lookup(word).map_err(|error| format!("{}: {error}", path.display())),
                });
                Ok(networks.collect::<Result<Vec<_>, _>>()?.concat())
            }
        }
    }
}

fn lookup(name: &str) -> Result<Vec<Network>, String> {
    let addresses = (name, 0)
        .to_socket_addrs()
        .map_err(|error| format!("RemoteIP: Error parsing IP {name} ({error})"))?;
    Ok(addresses.filter_map(|address| Network::of_text(&address.ip().to_string())).collect())
}

/// Whether a connection must begin with a header of the PROXY protocol: if any host says so that it may be for.
pub(crate) fn expects_preamble(config: &Config, client: &Client) -> bool {
    config.server.proxy_protocol
        && config
            .hosts_at(client.local_or_unspecified())
            .any(|host| host.settings.remoteip.expects_preamble(client.address))
}

/// Whether a connection is that of a listed proxy, which speaks for many clients.
pub(crate) fn is_proxy(config: &Config, client: &Client) -> bool {
    client.proxy.is_none()
        && client.address.is_some_and(|peer| {
            config.hosts_at(client.local_or_unspecified()).any(|host| {
                let settings = &host.settings.remoteip;
                settings.header.is_some() && settings.proxy_at(peer.ip()).is_some()
            })
        })
}

/// When the request has been read, before anybody asks who the client is.
pub(crate) fn post_read_request(request: &mut Request<'_>) {
    let settings = &request.host().settings.remoteip;
    let Some(header) = settings.header.as_deref() else { return };
    if request.client().proxy.is_some() {
        return; // The PROXY protocol has told it already.
    }
    let Some(peer) = request.client().address else { return };
    let values: Vec<&[u8]> = request.fields.headers(header).collect();
    if values.is_empty() {
        return;
    }
    let told = values.join(&b", "[..]);
    let walk = walk(settings, peer.ip(), &told);
    if let Some(unbelieved) = walk.unbelieved {
        let (word, why) = unbelieved;
        let (number, why) = why.in_words();
        request.log(Level::Debug, "remoteip").say(format_args!(
            "{number}: RemoteIP: Header {header} value of {} {why}",
            Quoted(word)
        ));
    }
    let Some(client) = walk.client else { return };
    let passed: Vec<String> = walk.passed.iter().map(IpAddr::to_string).collect();
    let passed = passed.join(", ");
    request.trace("remoteip", format_args!("the client is {client}, says {header}"));
    edit_fields(request, settings, header, walk.rest, &passed);
    if !passed.is_empty() {
        request.notes.set("remoteip-proxy-ip-list", passed);
    }
    let address = Some(SocketAddr::new(client, 0));
    request.set_client(Client { address, proxy: Some(peer), ..*request.client() });
}

/// How far a field is believed.
struct Walk<'f> {
    /// Whom the last believed word names.
    client: Option<IpAddr>,
    /// Proxies on the way that are not internal.
    passed: Vec<IpAddr>,
    /// What was not used of the field.
    rest: &'f [u8],
    /// The word that ended it, and why.
    unbelieved: Option<(&'f [u8], Unbelieved)>,
}

#[derive(Clone, Copy)]
enum Unbelieved {
    NoAddress,
    Private,
}

impl Unbelieved {
    /// As Apache, with its number.
    fn in_words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoAddress => ("AH01568", "cannot be parsed as a client IP"),
            Self::Private => ("AH01569", "appears to be a private IP or nonsensical.  Ignored"),
        }
    }
}

fn walk<'f>(settings: &RemoteIp, peer: IpAddr, told: &'f [u8]) -> Walk<'f> {
    let mut walk = Walk { client: None, passed: Vec::new(), rest: told, unbelieved: None };
    let mut speaker = peer;
    while !walk.rest.is_empty() {
        let proxy = settings.proxy_at(speaker);
        if proxy.is_none() && !settings.proxies.is_empty() {
            break;
        }
        let internal = proxy.is_some_and(|proxy| proxy.internal);
        let comma = memchr::memrchr(b',', walk.rest);
        let word = walk.rest[comma.map_or(0, |comma| comma + 1)..].trim_ascii();
        let Some(address) = address(word) else {
            walk.unbelieved = Some((word, Unbelieved::NoAddress));
            break;
        };
        if !internal && !is_public(address) {
            walk.unbelieved = Some((word, Unbelieved::Private));
            break;
        }
        if !internal {
            walk.passed.insert(0, speaker);
        }
        walk.client = Some(address);
        walk.rest = &walk.rest[..comma.unwrap_or(0)];
        speaker = address;
    }
    walk
}

fn address(word: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(word).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// What somebody far away can be called: no private, local or loopback network; of IPv6, global unicast only (RFC 4291).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_private() && !address.is_loopback() && !address.is_link_local()
        }
        IpAddr::V6(address) => address.octets()[0] & 0xe0 == 0x20,
    }
}

/// Leaves of the field what was not believed, and tells the proxies that were passed.
fn edit_fields(
    request: &mut Request<'_>,
    settings: &RemoteIp,
    header: &str,
    rest: &[u8],
    passed: &str,
) {
    let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    let mut fields: Vec<_> = request.fields.iter().map(owned).collect();
    let mut replace = |name: &str, value: &[u8]| {
        fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_bytes()));
        if !value.is_empty() {
            fields.push((name.as_bytes().to_vec(), value.to_vec()));
        }
    };
    replace(header, rest);
    if let (Some(name), false) = (&settings.proxies_header, passed.is_empty()) {
        replace(name, passed.as_bytes());
    }
    request.fields.replace(fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
}

pub(super) const MODULE: Module = Module {
    name: "remoteip_module",
    file: "mod_remoteip.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[
    Directive {
        name: "RemoteIPHeader",
        syntax: "RemoteIPHeader field",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The request field in which proxies tell whom they speak for, such as X-Forwarded-For. It is read from \
               right to left, as long as whoever has told an address is listed as a proxy; the last address told is the \
               client. Without a list everybody is believed.",
        apply: |settings, args| {
            settings.remoteip.header = Some(field_name(args)?);
            Ok(())
        },
    },
    Directive {
        name: "RemoteIPProxiesHeader",
        syntax: "RemoteIPProxiesHeader field",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The request field that gets the proxies on the way that are not internal, for logs and handlers.",
        apply: |settings, args| {
            settings.remoteip.proxies_header = Some(field_name(args)?);
            Ok(())
        },
    },
    Directive {
        name: "RemoteIPInternalProxy",
        syntax: "RemoteIPInternalProxy address|network|name...",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Proxies whose word counts, for private addresses as well. A name is looked up when the server starts.",
        apply: |settings, args| proxies(settings, args, true),
    },
    Directive {
        name: "RemoteIPTrustedProxy",
        syntax: "RemoteIPTrustedProxy address|network|name...",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Proxies whose word counts, for public addresses only. A name is looked up when the server starts.",
        apply: |settings, args| proxies(settings, args, false),
    },
    Directive {
        name: "RemoteIPInternalProxyList",
        syntax: "RemoteIPInternalProxyList file",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "A file of internal proxies, separated by blanks or lines; `#` begins a comment. It is read when the \
               server starts.",
        apply: |settings, args| list(settings, args, true),
    },
    Directive {
        name: "RemoteIPTrustedProxyList",
        syntax: "RemoteIPTrustedProxyList file",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "A file of trusted proxies, separated by blanks or lines; `#` begins a comment. It is read when the \
               server starts.",
        apply: |settings, args| list(settings, args, false),
    },
    Directive {
        name: "RemoteIPProxyProtocol",
        syntax: "RemoteIPProxyProtocol On|Off",
        default: Some("Off"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Whether every connection to the host's addresses begins with a header of the PROXY protocol, version 1 or \
               2, which tells the client. A connection without it is closed. It holds for all hosts that share an \
               address with this one.",
        apply: |settings, args| {
            settings.remoteip.proxy_protocol = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "RemoteIPProxyProtocolExceptions",
        syntax: "RemoteIPProxyProtocolExceptions address|network...",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "From where connections come without the PROXY protocol although RemoteIPProxyProtocol is on.",
        apply: |settings, args| {
            let first = Network::parse(args.required()?)?;
            settings.remoteip.exceptions.push(first);
            for word in args {
                settings.remoteip.exceptions.push(Network::parse(word)?);
            }
            Ok(())
        },
    },
];

fn field_name(args: &mut Args<'_>) -> Result<String, Problem> {
    let word = args.required()?;
    if is_token(word.text.as_bytes()) {
        Ok(word.text.clone())
    } else {
        Err(Problem::at(word, format!("{:?} is not the name of a field", word.text)))
    }
}

fn proxies(
    settings: &mut HostSettings,
    args: &mut Args<'_>,
    internal: bool,
) -> Result<(), Problem> {
    let first = args.required()?;
    for word in std::iter::once(first).chain(args) {
        match Network::of_text(&word.text) {
            Some(network) => settings.remoteip.proxies.push(Proxy { network, internal }),
            // No name has a slash or ends in a digit's dot: it is a network that went wrong.
            None if word.text.contains(['/', ':']) => return Network::parse(word).map(|_| ()),
            None => {
                let what = Name::Host(word.text.clone());
                settings.remoteip.unresolved.push(Unresolved { what, internal, span: word.span });
            }
        }
    }
    Ok(())
}

fn list(settings: &mut HostSettings, args: &mut Args<'_>, internal: bool) -> Result<(), Problem> {
    let span = args.at();
    let what = Name::File(args.path()?);
    settings.remoteip.unresolved.push(Unresolved { what, internal, span });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Internal and trusted proxies.
    fn settings(internal: &[&str], trusted: &[&str]) -> RemoteIp {
        let proxies = |list: &[&str], internal| -> Vec<Proxy> {
            let proxy = |text: &&str| Proxy { network: Network::of_text(text).unwrap(), internal };
            list.iter().map(proxy).collect()
        };
        RemoteIp {
            proxies: [proxies(internal, true), proxies(trusted, false)].concat(),
            ..RemoteIp::default()
        }
    }

    #[track_caller]
    fn check(settings: &RemoteIp, told: &str, client: &str, rest: &str, passed: &str) {
        let walk = walk(settings, "10.0.0.1".parse().unwrap(), told.as_bytes());
        assert_eq!(walk.client.map(|ip| ip.to_string()).unwrap_or_default(), client);
        assert_eq!(std::str::from_utf8(walk.rest).unwrap(), rest);
        let list: Vec<_> = walk.passed.iter().map(IpAddr::to_string).collect();
        assert_eq!(list.join(", "), passed);
    }

    #[test]
    fn the_field_is_believed_as_far_as_the_proxies_are() {
        let told = "203.0.113.9, 198.51.100.4";
        check(&settings(&[], &["10.0.0.1"]), told, "198.51.100.4", "203.0.113.9", "10.0.0.1");
        let both = settings(&["10.0.0.0/8"], &["198.51.100.4"]);
        check(&both, told, "203.0.113.9", "", "198.51.100.4");
        check(&settings(&[], &["192.0.2.1"]), told, "", told, "");
        check(&settings(&[], &[]), told, "203.0.113.9", "", "198.51.100.4, 10.0.0.1");
    }

    #[test]
    fn private_addresses_and_nonsense_end_it() {
        let trusted = settings(&[], &["10.0.0.1", "198.51.100.4"]);
        check(&trusted, "192.168.1.1, 198.51.100.4", "198.51.100.4", "192.168.1.1", "10.0.0.1");
        check(&trusted, "fe80::1", "", "fe80::1", "");
        check(&trusted, "somebody", "", "somebody", "");
        check(&trusted, "2001:db8::7", "2001:db8::7", "", "10.0.0.1");
        check(&settings(&["10.0.0.1"], &[]), "192.168.1.1", "192.168.1.1", "", "");
    }
}
