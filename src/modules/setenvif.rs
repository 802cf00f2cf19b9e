//! # mod_setenvif: variables by what the request looks like
//!
//! ```text
//! SetEnvIf Referer "^https://example\.org/" ours       the field's value, matched ──▶ ours=1
//! SetEnvIf Request_URI "\.(gif|png)$" image=$1          ──▶ image=gif
//! SetEnvIf ours 1 !stranger                             a variable of before; ! removes
//! ```
//!
//! - Rules outside of sections run when the request has been read; rules of sections when it is known where it leads.
//! - What is missing counts as empty, so `^$` finds it.

use std::net::SocketAddr;

use herdgate_conf::{Args, Context, Directive, Overrides, Problem, Word};

use super::{EVERYWHERE, Module};
use crate::config::DirSettings;
use crate::expr::{Condition, Groups};
use crate::regex::{self, Case, Regex};
use crate::request::{Request, Stop};

/// mod_setenvif's rules.
#[derive(Debug, Clone, Default)]
pub struct SetEnvIf {
    /// Outside of sections.
    server: Vec<Rule>,
    /// In sections.
    section: Vec<Rule>,
}

/// `SetEnvIf subject regex assignment...`, `SetEnvIfExpr expression assignment...`
#[derive(Debug, Clone)]
struct Rule {
    test: Test,
    assignments: Vec<Assignment>,
}

/// What must hold.
#[derive(Debug, Clone)]
enum Test {
    Matches { subject: Subject, regex: Regex },
    Holds(Condition),
}

/// What is looked at.
#[derive(Debug, Clone)]
enum Subject {
    RemoteAddr,
    RemoteHost,
    ServerAddr,
    RequestMethod,
    RequestProtocol,
    RequestUri,
    /// A field of the request; or, if the client has not sent it, a variable.
    Named(String),
    /// The last field of the request whose name matches.
    NamedLike(Regex),
}

/// What is done when the rule matches.
#[derive(Debug, Clone)]
enum Assignment {
    /// `NAME`, `NAME=value` with `$0` to `$9`.
    Set { name: String, template: String },
    /// `!NAME`
    Unset(String),
}

impl SetEnvIf {
    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        let both = |outer: &[Rule], inner: &[Rule]| [outer, inner].concat();
        Self {
            server: both(&self.server, &inner.server),
            section: both(&self.section, &inner.section),
        }
    }
}

/// When the request has been read: the rules of the host.
pub(crate) fn post_read_request(request: &mut Request<'_>) -> Result<(), Stop> {
    let base = request.host().base();
    base.setenvif.server.iter().try_for_each(|rule| rule.obey(request))
}

/// When it is known where the request leads: the rules of the sections there.
pub(crate) fn header_parser(request: &mut Request<'_>) -> Result<(), Stop> {
    let settings = std::sync::Arc::clone(&request.place.settings);
    settings.setenvif.section.iter().try_for_each(|rule| rule.obey(request))
}

impl Rule {
    fn obey(&self, request: &mut Request<'_>) -> Result<(), Stop> {
        match &self.test {
            Test::Matches { subject, regex } => {
                let text = subject.value(request);
                let Some(groups) = regex.captures(&text) else { return Ok(()) };
                self.assign(request, |template| groups.substitute(template));
            }
            Test::Holds(condition) => {
                let mut groups = Groups::new();
                let holds = condition.holds(&request.known(), &mut groups);
                if holds.map_err(|_| Stop::WouldBlock)? {
                    let group = |number: usize| groups.get(number).map(Vec::as_slice);
                    self.assign(request, |template| regex::substitute(template, group));
                }
            }
        }
        Ok(())
    }

    fn assign(&self, request: &mut Request<'_>, substitute: impl Fn(&[u8]) -> Vec<u8>) {
        for assignment in &self.assignments {
            match assignment {
                Assignment::Set { name, template } => {
                    request.env.set(name.clone(), substitute(template.as_bytes()));
                }
                Assignment::Unset(name) => request.env.unset(name),
            }
        }
    }
}

impl Subject {
    fn value(&self, request: &Request<'_>) -> Vec<u8> {
        let ip = |address: Option<SocketAddr>| address.map(|it| it.ip().to_string().into_bytes());
        let value = match self {
            Self::RemoteAddr => ip(request.client().address),
            Self::RemoteHost => request.remote_host().map(String::into_bytes),
            Self::ServerAddr => ip(Some(request.local())),
            Self::RequestMethod => Some(request.head.method().as_str().into()),
            Self::RequestProtocol => Some(request.head.version().as_str().into()),
            Self::RequestUri => Some(request.place.path.clone()),
            Self::Named(name) => {
                request.fields.header(name).or_else(|| request.env.get(name)).map(<[u8]>::to_vec)
            }
            Self::NamedLike(regex) => {
                let matching = request.fields.iter().filter(|(name, _)| regex.is_match(name));
                matching.last().map(|(_, value)| value.to_vec())
            }
        };
        value.unwrap_or_default()
    }
}

pub(super) const MODULE: Module = Module {
    name: "setenvif_module",
    file: "mod_setenvif.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "SetEnvIf",
        syntax: "SetEnvIf attribute regex [!]variable[=value]...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Sets variables if an attribute of the request matches: Remote_Addr, Remote_Host, Server_Addr, \
               Request_Method, Request_Protocol, Request_URI, a field by its name or by a regular expression of \
               names, or a variable that was set before. `$1` to `$9` stand for the groups.",
        apply: |settings, args| {
            let subject = subject(args)?;
            rule(settings, args, subject, Case::Counts)
        },
    },
    Directive {
        name: "SetEnvIfNoCase",
        syntax: "SetEnvIfNoCase attribute regex [!]variable[=value]...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "As SetEnvIf, whatever the case.",
        apply: |settings, args| {
            let subject = subject(args)?;
            rule(settings, args, subject, Case::Ignored)
        },
    },
    Directive {
        name: "BrowserMatch",
        syntax: "BrowserMatch regex [!]variable[=value]...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "As SetEnvIf for the User-Agent.",
        apply: |settings, args| rule(settings, args, user_agent(), Case::Counts),
    },
    Directive {
        name: "BrowserMatchNoCase",
        syntax: "BrowserMatchNoCase regex [!]variable[=value]...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "As BrowserMatch, whatever the case.",
        apply: |settings, args| rule(settings, args, user_agent(), Case::Ignored),
    },
    Directive {
        name: "SetEnvIfExpr",
        syntax: "SetEnvIfExpr expression [!]variable[=value]...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Sets variables if an expression holds. `$1` to `$9` stand for the groups of the last regular expression \
               that matched in it.",
        apply: |settings, args| {
            let word = args.required()?;
            let condition = Condition::parse(&word.text);
            let condition = condition.map_err(|error| Problem::at(word, error))?;
            add(settings, args, Test::Holds(condition))
        },
    },
];

fn user_agent() -> Subject {
    Subject::Named("User-Agent".to_string())
}

fn subject(args: &mut Args<'_>) -> Result<Subject, Problem> {
    let word = args.required()?;
    Ok(match word.text.to_ascii_lowercase().as_str() {
        "remote_addr" => Subject::RemoteAddr,
        "remote_host" => Subject::RemoteHost,
        "server_addr" => Subject::ServerAddr,
        "request_method" => Subject::RequestMethod,
        "request_protocol" => Subject::RequestProtocol,
        "request_uri" => Subject::RequestUri,
        _ if is_plain_name(&word.text) => Subject::Named(word.text.clone()),
        _ => Subject::NamedLike(Regex::of_word(word, Case::Ignored)?),
    })
}

/// Without anything that means something to a regular expression.
fn is_plain_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn rule(
    settings: &mut DirSettings,
    args: &mut Args<'_>,
    subject: Subject,
    case: Case,
) -> Result<(), Problem> {
    let regex = Regex::of_word(args.required()?, case)?;
    add(settings, args, Test::Matches { subject, regex })
}

fn add(settings: &mut DirSettings, args: &mut Args<'_>, test: Test) -> Result<(), Problem> {
    let first = assignment(args.required()?);
    let others = args.map(assignment);
    let assignments = std::iter::once(first).chain(others).collect();
    let rule = Rule { test, assignments };
    match args.context() {
        Context::Server | Context::VirtualHost => settings.setenvif.server.push(rule),
        Context::Directory | Context::Htaccess => settings.setenvif.section.push(rule),
    }
    Ok(())
}

fn assignment(word: &Word) -> Assignment {
    let (name, template) = match word.text.split_once('=') {
        Some((name, value)) => (name, value),
        None => (word.text.as_str(), "1"),
    };
    match name.strip_prefix('!') {
        Some(name) => Assignment::Unset(name.to_string()),
        None => Assignment::Set { name: name.to_string(), template: template.to_string() },
    }
}
