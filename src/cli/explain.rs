//! # `herdgate explain`: how a request would be answered, and why
//!
//! ```text
//!   URL, fields ─▶ head ─┐
//!   httpd.conf ──▶ Config ┴▶ request::explain ─▶ steps, Response ─┬─▶ text
//!                            the code that serves                 └─▶ JSON
//! ```
//!
//! - Nothing is started and nothing is asked: the configuration is read, the files are looked at, and the answer is
//!   made by the very functions that make it in a server. So it shows what a server would do that started now.
//! - Files are opened with the rights of whoever asks, which may be more than those of a server's children.
//! - Nothing is written: neither logs nor scoreboard.
#![expect(clippy::print_stdout, reason = "printing is what was asked for")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgAction, Args};
use herdgate_mpm::scoreboard::Scoreboard;

use super::json::{Object, quoted};
use super::{complain, named_source};
use crate::config::{Config, Source};
use crate::http::head::{self, Head, HeadLimits, Parse};
use crate::log::{Logs, Moment, Quoted};
use crate::modules::mpm_common::ListenAddress;
use crate::request::{self, Client, Server, Step, Trace};
use crate::response::Response;

/// Tell how a request would be answered, and why
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// What is asked for: `http://example.org/path?query`, or a path for the first host
    #[arg(value_name = "URL")]
    url: String,
    /// Configuration file, relative to the server's root
    #[arg(short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The server's root, until ServerRoot says otherwise
    #[arg(short = 'd', value_name = "ROOT")]
    root: Option<PathBuf>,
    /// Define NAME for `<IfDefine>` and `${NAME}`
    #[arg(short = 'D', value_name = "NAME[=VALUE]", action = ArgAction::Append)]
    define: Vec<String>,
    /// Read this directive before the file
    #[arg(short = 'C', value_name = "DIRECTIVE", action = ArgAction::Append)]
    before: Vec<String>,
    /// Read this directive after the file
    #[arg(short = 'c', value_name = "DIRECTIVE", action = ArgAction::Append)]
    after: Vec<String>,
    /// Another field of the request
    #[arg(long, value_name = "NAME: VALUE", action = ArgAction::Append)]
    header: Vec<String>,
    /// The request's method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,
    /// The server's address that the client connects to, if the URL and the Listen lines do not tell it
    #[arg(long, value_name = "ADDRESS")]
    to: Option<IpAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show this help
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Explains. The exit code says whether there was anything to explain: a refused request is explained, too.
pub fn run(explain: &Explain) -> ExitCode {
    match explained(explain) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            complain(format_args!("{}", message.trim_end()));
            ExitCode::FAILURE
        }
    }
}

fn explained(explain: &Explain) -> Result<String, String> {
    let loaded = Config::load(&explain.source()).map_err(|mistakes| mistakes.to_string())?;
    let config = Arc::new(loaded.config);
    let asked = Asked::new(explain, &config)?;
    let logs = Logs::to_nowhere(&config).map_err(|error| format!("/dev/null: {error}"))?;
    let server = Server::new(config, logs);
    if let Ok(empty) = Scoreboard::create(None, 1, 1) {
        let _ = server.scoreboard.set(empty); // For the status page; a new server has none.
    }
    let trace = Trace::default();
    let response = match head::parse(asked.text.as_bytes(), &HeadLimits::default()) {
        Parse::Complete { head, .. } => asked.answer(&server, &head, &trace),
        Parse::Invalid(bad) => request::refuse(&server, &asked.client, bad.status(), bad.reason()),
        Parse::Partial { .. } => return Err("a field holds an empty line".to_owned()),
    };
    let story = Story { asked: &asked, server: &server, steps: trace.take(), response: &response };
    Ok(if explain.json { story.json() } else { story.text() })
}

impl Explain {
    fn source(&self) -> Source {
        Source {
            before: self.before.clone(),
            after: self.after.clone(),
            ..named_source(self.root.as_deref(), self.file.as_deref(), &self.define)
        }
    }
}

/// A request that nobody has sent.
struct Asked {
    client: Client,
    method: String,
    /// As a client would show it.
    url: String,
    /// Its head.
    text: String,
}

impl Asked {
    fn new(explain: &Explain, config: &Config) -> Result<Self, String> {
        let (authority, target) = split(&explain.url)?;
        let (host, port) = authority.map_or((None, None), |authority| split_port(authority));
        let local = local(explain, config, host, port)?;
        let authority = match authority {
            Some(authority) => authority.to_owned(),
            None if local.port() == 80 => config.main().name.clone(),
            None => format!("{}:{}", config.main().name, local.port()),
        };
        let has_host =
            explain.header.iter().any(|line| line.to_ascii_lowercase().starts_with("host:"));
        let mut text = format!("{} {target} HTTP/1.1\r\n", explain.method);
        if !has_host {
            text.push_str(&format!("Host: {authority}\r\n"));
        }
        for line in &explain.header {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let client = Client {
            address: Some(SocketAddr::new(explain.from, 0)),
            local: Some(local),
            proxy: None,
        };
        let url = format!("http://{authority}{target}");
        Ok(Self { client, method: explain.method.clone(), url, text })
    }

    fn answer(&self, server: &Server, head: &Head<'_>, trace: &Trace) -> Response {
        request::explain(server, &self.client, head, Moment::now(), trace)
    }
}

/// The authority, and what follows it: a path with its query.
fn split(url: &str) -> Result<(Option<&str>, String), String> {
    if url.starts_with('/') || url == "*" {
        return Ok((None, url.to_owned()));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!("{url}: neither a URL such as http://example.org/ nor a path"));
    };
    if !["http", "https"].contains(&scheme) {
        return Err(format!("{url}: only http is explained"));
    }
    let rest = rest.split('#').next().unwrap_or_default(); // A fragment never travels.
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((Some(authority), format!("{slash}{target}")))
}

fn split_port(authority: &str) -> (Option<&str>, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (Some(host), port.parse().ok()),
        _ => (Some(authority), None),
    }
}

/// Where the client would connect: the URL's address, the listener's, or the machine itself.
fn local(
    explain: &Explain,
    config: &Config,
    host: Option<&str>,
    port: Option<u16>,
) -> Result<SocketAddr, String> {
    let listeners = config.server.mpm.listen.iter().filter_map(|line| match &line.address {
        ListenAddress::Any(port) => Some(SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port))),
        ListenAddress::Exact(address) => Some(*address),
        ListenAddress::Unix(_) => None,
    });
    let listeners: Vec<SocketAddr> = listeners.collect();
    let asked_port = port.or_else(|| host.map(|_| 80));
    let fits = |listener: &&SocketAddr| asked_port.is_none_or(|port| listener.port() == port);
    let Some(listener) = listeners.iter().find(fits).or(listeners.first()) else {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, asked_port.unwrap_or(80))));
    };
    let literal = host.and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    let specific = Some(listener.ip()).filter(|ip| !ip.is_unspecified());
    let ip = explain.to.or(literal).or(specific).unwrap_or(Ipv4Addr::LOCALHOST.into());
    Ok(SocketAddr::new(ip, port.unwrap_or(listener.port())))
}

/// What is told.
struct Story<'s> {
    asked: &'s Asked,
    server: &'s Server,
    steps: Vec<Step>,
    response: &'s Response,
}

impl Story<'_> {
    /// Those that the connection would send, but for its own: Date, Server and Connection.
    fn fields(&self) -> Vec<(String, String)> {
        let text = |value: &[u8]| Quoted(value).to_string();
        let response = self.response;
        let named = |(name, value): (&str, &[u8])| (name.to_owned(), text(value));
        let mut fields: Vec<_> = response.fields.iter().map(named).collect();
        let length = response.content_length.map(|length| length.to_string());
        fields.extend(length.map(|length| ("Content-Length".to_owned(), length)));
        let content_type = response.content_type.as_deref().map(str::to_owned);
        fields.extend(content_type.map(|value| ("Content-Type".to_owned(), value)));
        fields
    }

    fn text(&self) -> String {
        let mut text = format!("{} {}\n\n", self.asked.method, self.asked.url);
        let width = self.steps.iter().map(|step| step.module.len()).max().unwrap_or(0);
        for step in &self.steps {
            text.push_str(&format!("{:width$}  {}\n", step.module, step.text));
        }
        let status = self.response.status;
        text.push_str(&format!("\n{} {}\n", status.code(), status.reason()));
        for (name, value) in self.fields() {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text
    }

    fn json(&self) -> String {
        let response = self.response;
        let mut json = Object::new();
        json.text("method", &self.asked.method);
        json.text("url", &self.asked.url);
        json.text("host", &self.server.config.hosts[response.host].name);
        json.list(
            "steps",
            self.steps.iter().map(|step| {
                let mut json = Object::new();
                json.text("module", step.module);
                json.text("text", &step.text);
                json.end()
            }),
        );
        json.whole("status", response.status.code());
        json.text("path", &Quoted(&response.path).to_string());
        let file = response.file.as_deref().map(|file| quoted(&Quoted(file).to_string()));
        json.raw_or_null("file", file);
        json.raw_or_null("handler", response.handler.map(quoted));
        let user = response.user.as_deref().map(|user| quoted(&Quoted(user).to_string()));
        json.raw_or_null("user", user);
        json.list(
            "fields",
            self.fields().into_iter().map(|(name, value)| {
                let mut json = Object::new();
                json.text("name", &name);
                json.text("value", &value);
                json.end()
            }),
        );
        json.whole("body_bytes", response.body.length());
        json.end() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let check = |url: &str, authority: Option<&str>, target: &str| {
            assert_eq!(split(url), Ok((authority, target.to_owned())));
        };
        check("/a?b", None, "/a?b");
        check("http://x", Some("x"), "/");
        check("http://x?q", Some("x"), "/?q");
        check("https://[::1]:80/a/b#c", Some("[::1]:80"), "/a/b");
        assert!(split("x.org").is_err() && split("ftp://x/").is_err());
        assert_eq!(split_port("x:81"), (Some("x"), Some(81)));
        assert_eq!(split_port("[::1]"), (Some("[::1]"), None));
    }
}
