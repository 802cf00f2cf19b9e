//! # mod_authz_core: who may have it
//!
//! ```text
//! Require all denied                 <RequireAll>
//!                                        Require ip 10.0.0.0/8
//! bare Requires are one                  Require not ip 10.0.0.66
//! implicit <RequireAny>              </RequireAll>
//! ```
//!
//! - Every node says granted, denied or neutral; neutral at the top is denied.
//! - A deeper section's Requires replace the outer ones. No Require anywhere means granted.
//! - What cannot be judged yet (users, names, expressions) is an error of configuration, never a
//!   silent grant.

use std::net::IpAddr;

use herdgate_conf::{Args, Directive, Overrides, Problem, nearest};

use super::authz_host::Network;
use super::{Module, SECTION};
use crate::config::DirSettings;

/// mod_authz_core's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Authz {
    /// Children of the implicit RequireAny; `None` until a line sets one.
    require: Option<Vec<Node>>,
}

/// What a decision may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The client's address. An IPv4 address in IPv6's clothes counts as IPv4.
    pub address: IpAddr,
    /// Our end of the connection.
    pub local: IpAddr,
    /// The request's method, as it was written.
    pub method: &'a str,
}

/// One `Require`, or a container of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// `Require all granted`, `Require all denied`
    Everybody(bool),
    /// `Require ip …`: any of them.
    Networks(Vec<Network>),
    /// `Require local`: a loopback address, or both ends have one address.
    Local,
    /// `Require method …`: any of them; GET covers HEAD.
    Methods(Vec<String>),
    /// `Require not …`
    Not(Box<Node>),
    /// A container.
    Group(Group, Vec<Node>),
    /// What stands in `<Limit>`: it counts for some methods only.
    Limited(Methods, Box<Node>),
}

/// The methods that `<Limit>` names, or all but those of `<LimitExcept>`. GET stands for HEAD, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Methods {
    names: Vec<String>,
    except: bool,
}

impl Methods {
    pub(crate) fn new(names: impl Iterator<Item = String>, except: bool) -> Self {
        Self { names: names.collect(), except }
    }

    /// Nobody has named one.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a method, as it was written, is among them.
    pub(crate) fn cover(&self, method: &str) -> bool {
        let method = if method == "HEAD" { "GET" } else { method };
        self.names.iter().any(|name| name == method) != self.except
    }
}

/// The kinds of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Any,
    All,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Granted,
    Denied,
    Neutral,
}

impl Authz {
    /// Whether `client` may have it.
    pub fn grants(&self, client: &Client<'_>) -> bool {
        let Some(nodes) = &self.require else { return true };
        if !nodes.iter().any(|node| node.counts_for(client.method)) {
            return true; // All of them are about other methods.
        }
        Node::judge_group(Group::Any, nodes, client) == Verdict::Granted
    }

    /// What `inner` makes of `self`: AuthMerging Off, the deeper section alone counts.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { require: inner.require.clone().or_else(|| self.require.clone()) }
    }

    pub(crate) fn push(&mut self, node: Node) {
        self.require.get_or_insert_default().push(node);
    }

    /// The Requires of this section, which leave it.
    pub(crate) fn take(&mut self) -> Vec<Node> {
        self.require.take().unwrap_or_default()
    }

    /// What is wrong with the section's Requires as a whole; found when it ends.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.require
            .as_ref()
            .map_or(Ok(()), |nodes| check_children(Group::Any, "<RequireAny>", nodes))
    }
}

impl Node {
    fn judge(&self, client: &Client<'_>) -> Verdict {
        let granted = match self {
            Node::Everybody(granted) => *granted,
            Node::Networks(networks) => {
                networks.iter().any(|network| network.contains(client.address))
            }
            Node::Local => {
                let address = client.address.to_canonical();
                address.is_loopback() || address == client.local.to_canonical()
            }
            Node::Methods(methods) => methods.iter().any(|known| {
                *known == client.method || (known == "GET" && client.method == "HEAD")
            }),
            Node::Not(node) => {
                // A negation can only fail: that somebody is not from there lets nobody in.
                let fails = node.judge(client) == Verdict::Granted;
                return if fails { Verdict::Denied } else { Verdict::Neutral };
            }
            Node::Group(group, children) => return Self::judge_group(*group, children, client),
            Node::Limited(_, node) => return node.judge(client),
        };
        if granted { Verdict::Granted } else { Verdict::Denied }
    }

    fn judge_group(group: Group, children: &[Node], client: &Client<'_>) -> Verdict {
        let judge = |child: &Node| match child.counts_for(client.method) {
            true => child.judge(client),
            false if group == Group::All => Verdict::Granted,
            false => Verdict::Neutral,
        };
        let said = |verdict| children.iter().any(|child| judge(child) == verdict);
        match group {
            Group::Any if said(Verdict::Granted) => Verdict::Granted,
            Group::Any if said(Verdict::Denied) => Verdict::Denied,
            Group::All if said(Verdict::Denied) => Verdict::Denied,
            Group::All if said(Verdict::Granted) => Verdict::Granted,
            Group::None if said(Verdict::Granted) => Verdict::Denied,
            Group::Any | Group::All | Group::None => Verdict::Neutral,
        }
    }

    /// Whether it has a say about this method.
    fn counts_for(&self, method: &str) -> bool {
        match self {
            Node::Limited(methods, node) => methods.cover(method) && node.counts_for(method),
            Node::Group(_, children) => children.iter().any(|child| child.counts_for(method)),
            Node::Everybody(_)
            | Node::Networks(_)
            | Node::Local
            | Node::Methods(_)
            | Node::Not(_) => true,
        }
    }

    /// Whether it can fail and never grant.
    fn is_negative(&self) -> bool {
        matches!(self, Node::Not(_) | Node::Group(Group::None, _))
    }
}

/// What is wrong with the content of the container `name`.
pub(crate) fn check_children(group: Group, name: &str, children: &[Node]) -> Result<(), String> {
    if children.is_empty() {
        return Err(format!("{name} directive contains no authorization directives"));
    }
    if group != Group::All && children.iter().any(|child| matches!(child, Node::Not(_))) {
        return Err(format!("negative Require directive has no effect in {name} directive"));
    }
    if group != Group::All && children.iter().any(Node::is_negative) {
        return Err(format!("<RequireNone> directive has no effect in {name} directive"));
    }
    if group == Group::All && children.iter().all(Node::is_negative) {
        return Err(format!("{name} directive contains only negative authorization directives"));
    }
    Ok(())
}

pub(super) const MODULE: Module = Module {
    name: "authz_core_module",
    file: "mod_authz_core.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[Directive {
    name: "Require",
    syntax: "Require [not] all|ip|local|method [value]...",
    default: None,
    contexts: SECTION,
    overrides: Overrides::AUTH_CONFIG,
    docs: "Who may have what the section covers: `all granted`, `all denied`, `ip` with addresses \
           and networks, `local` for the machine itself, `method` with methods. Without a \
           container, one that holds is enough. Users, groups, host names, variables and \
           expressions are not supported yet, and are errors.",
    apply: |settings, args| {
        let node = require(args)?;
        settings.authz.push(node);
        Ok(())
    },
}];

const PROVIDERS: &[&str] = &["all", "ip", "local", "method", "not"];
/// What Apache has besides.
const PROVIDERS_TO_COME: &[&str] = &[
    "dbm-file-group",
    "dbm-group",
    "dbd-group",
    "dbd-login",
    "dbd-logout",
    "env",
    "expr",
    "file-group",
    "file-owner",
    "forward-dns",
    "group",
    "host",
    "ldap-attribute",
    "ldap-dn",
    "ldap-filter",
    "ldap-group",
    "ldap-user",
    "user",
    "valid-user",
];

fn require(args: &mut Args<'_>) -> Result<Node, Problem> {
    let word = args.required()?;
    let provider = word.text.to_ascii_lowercase();
    match provider.as_str() {
        "not" => Ok(Node::Not(Box::new(require(args)?))),
        "all" => everybody(args),
        "ip" => {
            let first = Network::parse(args.required()?)?;
            let others = args.map(Network::parse);
            Ok(Node::Networks(std::iter::once(Ok(first)).chain(others).collect::<Result<_, _>>()?))
        }
        "local" => Ok(Node::Local),
        "method" => {
            let first = args.required()?;
            Ok(Node::Methods(
                std::iter::once(first).chain(args).map(|word| word.text.clone()).collect(),
            ))
        }
        other if PROVIDERS_TO_COME.contains(&other) => {
            args.rest();
            Err(Problem::at(word, format!("Require {other} is not supported yet")))
        }
        other => {
            args.rest();
            let problem = Problem::at(word, format!("Unknown Authz provider: {other}"));
            Err(match nearest(other, PROVIDERS.iter().copied()) {
                Some(known) => problem.help(format!("did you mean {known}?")),
                None => problem,
            })
        }
    }
}

fn everybody(args: &mut Args<'_>) -> Result<Node, Problem> {
    let word = args.required()?;
    match word.text.to_ascii_lowercase().as_str() {
        "granted" => Ok(Node::Everybody(true)),
        "denied" => Ok(Node::Everybody(false)),
        _ => Err(Problem::at(word, "Argument for 'Require all' must be 'granted' or 'denied'")),
    }
}
