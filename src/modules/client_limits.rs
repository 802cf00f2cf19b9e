//! # Herdgate's own: how much one client may have
//!
//! ```text
//! ClientMaxConnections 50         connections at once: the 51st is told 503 and closed, unread
//! ClientMaxRequestRate 20/s 100   requests: 20 a second on average, 100 at once after a pause; then 429
//! ClientAddressPrefix  32 64      who counts as one: an IPv4 address, an IPv6 network of 64 bits
//! ClientLimitsExempt   10.0.0.0/8 from there as many as they like
//! ```
//!
//! - A connection too many is closed before anybody reads from it. Reading its request first would be more polite, and
//!   would give it what the limit is to save: a worker, for as long as the client likes to dawdle.
//! - A request too fast keeps its connection: to make the client open another one would cost more than to answer.
//! - Behind proxies, connections are theirs and are not limited if the proxies are listed; requests are those of the
//!   client that they name.
//! - `crate::clients` counts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use herdgate_conf::{Args, Directive, Overrides, Problem, Word};
use herdgate_mpm::clients::Rate;

use super::authz_host::Network;
use super::{HOST, Module, SERVER, remoteip};
use crate::clients::{Counted, Prefixes, TooMany};
use crate::config::{HostSettings, ServerSettings};
use crate::http::status::Status;
use crate::log::Level;
use crate::request::{Client, Refusal, Request, Server as WebServer, Stop};

/// As the error log calls it.
const NAME: &str = "client_limits";

/// What holds for the whole server.
#[derive(Debug, Clone, Default)]
pub struct Server {
    connections_max: Option<u32>,
    prefixes: Option<Prefixes>,
    exempt: Vec<Network>,
}

/// What holds for one host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    request_rate: Option<Option<RequestRate>>,
}

/// `ClientMaxRequestRate`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRate {
    rate: Rate,
    /// As it was written.
    text: String,
}

/// What has come of asking whether a client may have one more request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Admitted,
    /// It must wait for so long. Whether the log should hear of it.
    TooFast(Duration, bool),
}

impl Server {
    /// `ClientMaxConnections`; `None` is no limit.
    pub fn connections_max(&self) -> Option<u32> {
        self.connections_max
    }

    /// `ClientAddressPrefix`
    pub fn prefixes(&self) -> Prefixes {
        self.prefixes.unwrap_or(Prefixes { v4: 32, v6: 64 })
    }

    /// Whom an address counts for; `None` if for nobody.
    fn client(&self, address: Option<SocketAddr>) -> Option<IpAddr> {
        let ip = address?.ip(); // Who comes over a local socket has none.
        let is_exempt = self.exempt.iter().any(|network| network.contains(ip));
        (!is_exempt).then(|| self.prefixes().client(ip))
    }
}

impl Host {
    /// What a virtual host sees that says `inner` within a main server that says `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { request_rate: inner.request_rate.clone().or_else(|| self.request_rate.clone()) }
    }

    /// `ClientMaxRequestRate`; `None` is no limit.
    pub fn request_rate(&self) -> Option<&RequestRate> {
        self.request_rate.as_ref()?.as_ref()
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A connection whose client has become known. What is returned must live as long as the connection does.
///
/// # Errors
/// The client has as many as it may: nothing more should be done for it.
pub(crate) fn connection(server: &WebServer, client: &Client) -> Result<Option<Counted>, TooMany> {
    let settings = &server.config.server.client_limits;
    let Some(max) = settings.connections_max else { return Ok(None) };
    let (Some(clients), Some(place)) = (&server.clients, server.place.get()) else {
        return Ok(None);
    };
    let Some(who) = settings.client(client.address) else { return Ok(None) };
    if remoteip::is_proxy(&server.config, client) {
        return Ok(None);
    }
    clients.enter(*place, who, max).inspect_err(|TooMany(count)| {
        if clients.is_worth_a_line(who) {
            let log = server.logs.main().at(Level::Warn, NAME).client(client.address);
            log.say(format_args!(
                "{count} connections from {who}, more than ClientMaxConnections {max}: refused"
            ));
        }
    })
}

/// When it is known who the client is: whether it may go on. A request that a job goes on with has asked before.
pub(crate) fn post_read_request(request: &mut Request<'_>) -> Result<(), Stop> {
    let Some(rate) = request.host().settings.client_limits.request_rate() else { return Ok(()) };
    let settings = &request.server.config.server.client_limits;
    let Some(who) = settings.client(request.client().address) else { return Ok(()) };
    let verdict = request.verdict.unwrap_or_else(|| judge(request.server, who, rate));
    request.verdict = Some(verdict);
    let Verdict::TooFast(wait, is_said) = verdict else { return Ok(()) };
    if is_said {
        request.log(Level::Warn, NAME).say(format_args!(
            "requests from {who} come faster than ClientMaxRequestRate {rate}: refused for {} ms",
            wait.as_millis().max(1)
        ));
    }
    request.trace(NAME, format_args!("faster than ClientMaxRequestRate {rate}"));
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let refusal = Refusal::new(Status::TOO_MANY_REQUESTS);
    Err(Stop::Refused(refusal.with("Retry-After", secs.to_string().as_bytes())))
}

fn judge(server: &WebServer, who: IpAddr, rate: &RequestRate) -> Verdict {
    let Some(clients) = &server.clients else { return Verdict::Admitted };
    match clients.ask(who, rate.rate) {
        Ok(()) => Verdict::Admitted,
        Err(wait) => {
            if let (Some(scoreboard), Some(place)) = (server.scoreboard.get(), server.place.get()) {
                scoreboard.children()[*place].count_refused_request();
            }
            Verdict::TooFast(wait, clients.is_worth_a_line(who))
        }
    }
}

pub(super) const MODULE: Module = Module {
    name: "client_limits_module",
    file: "mod_client_limits.c",
    server: SERVER_DIRECTIVES,
    host: HOST_DIRECTIVES,
    directory: &[],
};

const SERVER_DIRECTIVES: &[Directive<ServerSettings>] = &[
    Directive {
        name: "ClientMaxConnections",
        syntax: "ClientMaxConnections number|Off",
        default: Some("Off"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The most connections that one client has at once, idle ones included, over all children. One more is \
               answered 503 and closed at once, before anything is read from it, and without a line in the access log. \
               Browsers open six for each host name, and many people may share one address. It counts whoever the PROXY \
               protocol names; the connections of proxies that RemoteIPInternalProxy and RemoteIPTrustedProxy list are \
               not limited. Of two that arrive at the same instant for the last place, both may be refused, and never both \
               let in. Of thousands of clients at once a few may not be counted. Herdgate's own.",
        apply: |settings, args| {
            settings.client_limits.connections_max = match args.peek() {
                Some(word) if is_off(word) => args.next().and(None),
                _ => u32::try_from(args.number(1..=i64::from(u32::MAX))?).ok(),
            };
            Ok(())
        },
    },
    Directive {
        name: "ClientAddressPrefix",
        syntax: "ClientAddressPrefix ipv4-bits ipv6-bits",
        default: Some("32 64"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "How many leading bits two addresses must have in common to count as one client for ClientMaxConnections and \
               ClientMaxRequestRate. Who has IPv6 has at least 2^64 addresses; some providers give 56 or 48 bits. \
               Herdgate's own.",
        apply: |settings, args| {
            let (v4, v6) = (args.number(1..=32)?, args.number(1..=128)?);
            let bits = |number: i64| u32::try_from(number).unwrap_or(0);
            settings.client_limits.prefixes = Some(Prefixes { v4: bits(v4), v6: bits(v6) });
            Ok(())
        },
    },
    Directive {
        name: "ClientLimitsExempt",
        syntax: "ClientLimitsExempt address|network...",
        default: None,
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Clients that ClientMaxConnections and ClientMaxRequestRate do not limit: monitors, one's own machines. \
               Several lines add up. Herdgate's own.",
        apply: |settings, args| {
            let first = Network::parse(args.required()?)?;
            settings.client_limits.exempt.push(first);
            for word in args {
                settings.client_limits.exempt.push(Network::parse(word)?);
            }
            Ok(())
        },
    },
];

const HOST_DIRECTIVES: &[Directive<HostSettings>] = &[Directive {
    name: "ClientMaxRequestRate",
    syntax: "ClientMaxRequestRate Off|number[/s|/min|/h] [burst]",
    default: Some("Off"),
    contexts: HOST,
    overrides: Overrides::NONE,
    docs: "How many requests one client may send on average, a second unless said otherwise, and how many at once after a \
           pause: as many as in one second, minute or hour unless said otherwise. What is beyond is answered 429 with a \
           Retry-After, whatever it asks for, and the connection is kept. A page may be a hundred requests: leave room in the \
           burst. The client is the one that RemoteIPHeader or the PROXY protocol tells; list your proxies, or else a \
           client can call itself what it likes. Hosts with the same rate share one count; a host with a rate of its \
           own has its own. The last 65,536 clients are remembered. Herdgate's own.",
    apply: |settings, args| {
        settings.client_limits.request_rate = Some(request_rate(args)?);
        Ok(())
    },
}];

fn is_off(word: &Word) -> bool {
    word.text.eq_ignore_ascii_case("off")
}

fn request_rate(args: &mut Args<'_>) -> Result<Option<RequestRate>, Problem> {
    let word = args.required()?;
    if is_off(word) {
        return Ok(None);
    }
    let wrong = |message| Problem::at(word, message).help("20, 20/s, 600/min or 1000/h");
    let (number, period) = split_rate(&word.text)
        .ok_or_else(|| wrong(format!("{:?} is not a number of requests in a time", word.text)))?;
    let burst = match args.peek() {
        Some(_) => u32::try_from(args.number(1..=1_000_000)?).unwrap_or(u32::MAX),
        None => number,
    };
    let rate = Rate::new(period / number, burst)
        .ok_or_else(|| wrong(format!("a burst of {burst} would take more than a day to earn")))?;
    Ok(Some(RequestRate { rate, text: format!("{} {burst}", word.text) }))
}

/// `600/min` is 600 in a minute.
fn split_rate(text: &str) -> Option<(u32, Duration)> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let secs = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    let number = number.parse().ok().filter(|number| (1..=1_000_000).contains(number))?;
    Some((number, Duration::from_secs(secs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_a_unit() {
        let secs = |text| split_rate(text).map(|(number, period)| (number, period.as_secs()));
        assert_eq!(secs("20"), Some((20, 1)));
        assert_eq!(secs("20/s"), Some((20, 1)));
        assert_eq!(secs("600/min"), Some((600, 60)));
        assert_eq!(secs("1000/h"), Some((1000, 3600)));
        for wrong in ["", "x", "0", "-1", "20/", "20/d", "20 /s", "1.5", "1000001"] {
            assert_eq!(secs(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_network_that_is_exempt_is_nobody() {
        let settings = Server {
            exempt: vec![Network::of_text("10.0.0.0/8").unwrap()],
            prefixes: Some(Prefixes { v4: 24, v6: 64 }),
            ..Server::default()
        };
        let client = |text: &str| settings.client(Some(text.parse().unwrap()));
        assert_eq!(client("10.1.2.3:80"), None);
        assert_eq!(client("[::ffff:10.1.2.3]:80"), None);
        assert_eq!(client("192.0.2.7:80"), Some("192.0.2.0".parse().unwrap()));
        assert_eq!(settings.client(None), None);
    }
}
