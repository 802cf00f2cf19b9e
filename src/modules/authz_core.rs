//! # mod_authz_core: who may have it
//!
//! ```text
//! Require all denied                 <RequireAll>
//!                                        Require valid-user
//! bare Requires are one                  Require not ip 10.0.0.66
//! implicit <RequireAny>              </RequireAll>
//! ```
//!
//! - Every node says granted, denied, "denied, but a user could change it", or nothing (neutral); neutral at the top is
//!   denied.
//! - The tree is judged before anybody is asked for a password, and again with the user if that could change it.
//! - A deeper section's Requires replace the outer ones, unless AuthMerging says otherwise. No Require anywhere means
//!   granted.
//! - What cannot be judged is an error of configuration, never a silent grant.

use std::fmt;
use std::sync::Arc;

use herdgate_conf::{Args, Directive, Line, Overrides, Place, Problem, nearest};

use super::authz_host::Network;
use super::providers::{AuthzAlias, Providers};
use super::{
    Module, SECTION, auth_basic, authn_core, authz_groupfile, authz_host, authz_owner, authz_user,
};
use crate::config::DirSettings;
use crate::expr::{Condition, Groups, Text};
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::request::{Refusal, Request, Stop};

/// mod_authz_core's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Authz {
    /// Children of the implicit RequireAny; `None` until a line sets one.
    require: Option<Vec<Node>>,
    merging: Option<Merging>,
    forbidden_on_failure: Option<bool>,
}

/// `AuthMerging`: what becomes of the outer sections' Requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Merging {
    /// Those of the section replace them, even if it has none.
    Off,
    /// Both must grant.
    And,
    /// One of them must grant.
    Or,
}

/// One `Require`, or a container of them.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// `Require …`
    Rule(Asked),
    /// `Require not …`
    Not(Asked),
    /// A container.
    Group(Group, Vec<Node>),
    /// What stands in `<Limit>`: it counts for some methods only.
    Limited(Methods, Box<Node>),
}

/// A `Require` where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    rule: Rule,
    /// As it was written.
    line: Arc<str>,
    /// `FILE:LINE`
    place: Arc<str>,
}

/// What one `Require` asks.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// `Require all granted`, `Require all denied`
    Everybody(bool),
    /// `Require env …`: any of these variables is set.
    Env(Vec<String>),
    /// `Require method …`: any of them.
    Methods(Vec<String>),
    /// `Require expr …`
    Expression(Condition),
    /// `Require ip …`: any of them.
    Networks(Vec<Network>),
    /// `Require local`
    Local,
    /// `Require host …`
    Host(Text),
    /// `Require forward-dns …`
    ForwardDns(Text),
    /// `Require user …`
    User(Text),
    /// `Require valid-user`
    ValidUser,
    /// `Require group …`
    Group(Text),
    /// `Require file-group`
    FileGroup,
    /// `Require file-owner`
    FileOwner,
    /// What an `<AuthzProviderAlias>` has named.
    Alias(Arc<AuthzAlias>),
}

/// The methods that `<Limit>` names, or all but those of `<LimitExcept>`.
#[derive(Debug, Clone)]
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
        covers(&self.names, method) != self.except
    }
}

/// The kinds of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Any,
    All,
    None,
}

/// What a node says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Granted,
    Denied,
    /// Denied, but a user could change it.
    NoUser,
    Neutral,
}

impl Verdict {
    fn of(granted: bool) -> Self {
        if granted { Verdict::Granted } else { Verdict::Denied }
    }

    /// A negation can only fail: that somebody is not from there lets nobody in.
    fn negated(self) -> Self {
        if self == Verdict::Granted { Verdict::Denied } else { Verdict::Neutral }
    }
}

impl fmt::Display for Verdict {
    /// In Apache's words.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Verdict::Granted => "granted",
            Verdict::Denied => "denied",
            Verdict::NoUser => "denied (no authenticated user yet)",
            Verdict::Neutral => "neutral",
        })
    }
}

/// Who asks the Requires: a request, or a test.
pub(crate) trait Judge {
    fn ask(&mut self, rule: &Rule) -> Result<Verdict, Stop>;

    /// Learns what a Require has said, or a container, which has no place.
    fn told(&mut self, _line: &str, _place: Option<&str>, _said: Verdict) {}
}

impl<F: FnMut(&Rule) -> Result<Verdict, Stop>> Judge for F {
    fn ask(&mut self, rule: &Rule) -> Result<Verdict, Stop> {
        self(rule)
    }
}

impl Judge for Request<'_> {
    fn ask(&mut self, rule: &Rule) -> Result<Verdict, Stop> {
        rule.judge(self)
    }

    fn told(&mut self, line: &str, place: Option<&str>, said: Verdict) {
        let line = Quoted(line.as_bytes());
        self.log(Level::Debug, "authz_core")
            .say(format_args!("AH01626: authorization result of {line}: {said}"));
        match place {
            Some(place) => self.trace("authz_core", format_args!("{line} ({place}): {said}")),
            None => self.trace("authz_core", format_args!("{line}: {said}")),
        }
    }
}

impl Authz {
    /// What the whole says about a request by `method`; `None`: nothing, for there is no Require. Only what still matters
    /// is asked.
    pub(crate) fn judge(
        &self,
        method: &str,
        judge: &mut dyn Judge,
    ) -> Result<Option<Verdict>, Stop> {
        let Some(nodes) = &self.require else { return Ok(None) };
        if !nodes.iter().any(|node| node.counts_for(method)) {
            return Ok(Some(Verdict::Granted)); // All of them are about other methods.
        }
        judge_group(Group::Any, nodes, method, judge).map(Some)
    }

    /// `AuthzSendForbiddenOnFailure`
    pub fn forbidden_on_failure(&self) -> bool {
        self.forbidden_on_failure.unwrap_or(false)
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        let both = |group, outer: &[Node], inner: &[Node]| {
            let any = |nodes: &[Node]| Node::Group(Group::Any, nodes.to_vec());
            vec![Node::Group(group, vec![any(outer), any(inner)])]
        };
        let require = match (inner.merging, &self.require, &inner.require) {
            (Some(Merging::And), Some(outer), Some(inner)) => Some(both(Group::All, outer, inner)),
            (Some(Merging::Or), Some(outer), Some(inner)) => Some(both(Group::Any, outer, inner)),
            (Some(Merging::Off), _, inner) => inner.clone(),
            (_, outer, inner) => inner.clone().or_else(|| outer.clone()),
        };
        Self {
            require,
            merging: inner.merging,
            forbidden_on_failure: inner.forbidden_on_failure.or(self.forbidden_on_failure),
        }
    }

    pub(crate) fn push(&mut self, node: Node) {
        self.require.get_or_insert_default().push(node);
    }

    /// No Require stands here, and nothing about those of outer sections.
    pub(crate) fn is_unsaid(&self) -> bool {
        self.require.is_none() && self.merging.is_none()
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
    fn judge(&self, method: &str, judge: &mut dyn Judge) -> Result<Verdict, Stop> {
        match self {
            Node::Rule(asked) => asked.judge(judge, |said| said),
            Node::Not(asked) => asked.judge(judge, Verdict::negated),
            Node::Group(group, children) => judge_group(*group, children, method, judge),
            Node::Limited(_, node) => node.judge(method, judge),
        }
    }

    /// Whether it has a say about this method.
    fn counts_for(&self, method: &str) -> bool {
        match self {
            Node::Limited(methods, node) => methods.cover(method) && node.counts_for(method),
            Node::Group(_, children) => children.iter().any(|child| child.counts_for(method)),
            Node::Rule(_) | Node::Not(_) => true,
        }
    }

    /// Whether it can fail and never grant.
    fn is_negative(&self) -> bool {
        matches!(self.unlimited(), Node::Not(_) | Node::Group(Group::None, _))
    }

    /// What stands in all the `<Limit>`s around it.
    fn unlimited(&self) -> &Node {
        match self {
            Node::Limited(_, node) => node.unlimited(),
            Node::Rule(_) | Node::Not(_) | Node::Group(..) => self,
        }
    }
}

impl Asked {
    fn judge(
        &self,
        judge: &mut dyn Judge,
        meaning: fn(Verdict) -> Verdict,
    ) -> Result<Verdict, Stop> {
        let said = meaning(judge.ask(&self.rule)?);
        judge.told(&self.line, Some(&self.place), said);
        Ok(said)
    }
}

impl Group {
    /// As it is written.
    fn line(self) -> &'static str {
        match self {
            Group::Any => "<RequireAny>",
            Group::All => "<RequireAll>",
            Group::None => "<RequireNone>",
        }
    }
}

/// What a container says, who then learns of it.
fn judge_group(
    group: Group,
    children: &[Node],
    method: &str,
    judge: &mut dyn Judge,
) -> Result<Verdict, Stop> {
    let said = ask_children(group, children, method, judge)?;
    judge.told(group.line(), None, said);
    Ok(said)
}

fn ask_children(
    group: Group,
    children: &[Node],
    method: &str,
    judge: &mut dyn Judge,
) -> Result<Verdict, Stop> {
    use Verdict::{Denied, Granted, Neutral, NoUser};
    let mut so_far = Neutral;
    for child in children {
        let said = match child.counts_for(method) {
            true => child.judge(method, judge)?,
            false if group == Group::All => Granted,
            false => Neutral,
        };
        so_far = match (group, so_far, said) {
            // What follows cannot change this.
            (Group::All, _, Denied) => return Ok(Denied),
            (Group::Any, _, Granted) => return Ok(Granted),
            (Group::None, _, Granted) => return Ok(Denied),
            // "No user" is more than what the others have said.
            (_, _, NoUser) => NoUser,
            (_, Neutral, said) => said,
            (_, before, _) => before,
        };
    }
    Ok(if group == Group::None { Neutral } else { so_far })
}

/// What is wrong with the content of the container `name`.
pub(crate) fn check_children(group: Group, name: &str, children: &[Node]) -> Result<(), String> {
    if children.is_empty() {
        return Err(format!("{name} directive contains no authorization directives"));
    }
    if group != Group::All && children.iter().any(|child| matches!(child.unlimited(), Node::Not(_)))
    {
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

// ---- hooks

/// access_checker_ex: what can be said before it is clear who asks. `NoUser`: that has to become clear first.
pub(crate) fn access_checker_ex(request: &mut Request<'_>) -> Result<Verdict, Stop> {
    match judge(request)? {
        Some(said @ (Verdict::Granted | Verdict::NoUser)) => Ok(said),
        Some(Verdict::Denied | Verdict::Neutral) => Err(denied(request)),
        None if authn_core::scheme(request)? == authn_core::Scheme::None => Ok(Verdict::Granted),
        None => {
            let message =
                "AH01627: AuthType configured with no corresponding authorization directives";
            request.log(Level::Error, "authz_core").say(format_args!("{message}"));
            Err(Refusal::stop(Status::INTERNAL_SERVER_ERROR))
        }
    }
}

/// auth_checker: whether this user may have it.
pub(crate) fn auth_checker(request: &mut Request<'_>) -> Result<(), Stop> {
    let said = judge(request)?;
    let path = Quoted(&request.place.path);
    match said {
        None | Some(Verdict::Granted) => return Ok(()),
        Some(Verdict::NoUser) => request
            .log(Level::Error, "authz_core")
            .say(format_args!("AH01629: authorization failure (no authenticated user): {path}")),
        Some(Verdict::Denied | Verdict::Neutral) => {
            if authn_core::scheme(request)? == authn_core::Scheme::None {
                return Err(denied(request));
            }
            let user = Quoted(request.user.as_deref().unwrap_or_default());
            request
                .log(Level::Error, "authz_core")
                .say(format_args!("AH01631: user {user}: authorization failure for \"{path}\": "));
            if request.place.settings.authz.forbidden_on_failure() {
                return Err(Refusal::stop(Status::FORBIDDEN));
            }
        }
    }
    // Another user might.
    let realm = authn_core::realm(request)?.unwrap_or_default();
    Err(auth_basic::challenge(&realm))
}

fn judge(request: &mut Request<'_>) -> Result<Option<Verdict>, Stop> {
    let settings = Arc::clone(&request.place.settings);
    let method = request.method().as_str();
    let said = settings.authz.judge(method, request)?;
    if said.is_none() {
        request
            .log(Level::Debug, "authz_core")
            .say(format_args!("AH01628: authorization result: granted (no directives)"));
        request.trace("authz_core", format_args!("no Require is about it"));
    }
    Ok(said)
}

/// 403, and why.
pub(crate) fn denied(request: &Request<'_>) -> Stop {
    request.log(Level::Error, "authz_core").say(format_args!(
        "AH01630: client denied by server configuration: {}",
        request.place.in_log()
    ));
    Refusal::stop(Status::FORBIDDEN)
}

impl Rule {
    fn judge(&self, request: &mut Request<'_>) -> Result<Verdict, Stop> {
        Ok(match self {
            Rule::Everybody(granted) => Verdict::of(*granted),
            Rule::Env(names) => {
                Verdict::of(names.iter().any(|name| request.env.get(name).is_some()))
            }
            Rule::Methods(names) => Verdict::of(covers(names, request.method().as_str())),
            Rule::Expression(condition) => return holds(request, condition),
            Rule::Networks(networks) => Verdict::of(authz_host::is_in(request, networks)),
            Rule::Local => Verdict::of(authz_host::is_local(request)),
            Rule::Host(names) => Verdict::of(authz_host::is_called(request, names)?),
            Rule::ForwardDns(names) => Verdict::of(authz_host::is_behind(request, names)?),
            Rule::User(names) => return authz_user::user(request, names),
            Rule::ValidUser => authz_user::valid_user(request),
            Rule::Group(names) => return authz_groupfile::group(request, names),
            Rule::FileGroup => return authz_groupfile::file_group(request),
            Rule::FileOwner => return authz_owner::file_owner(request),
            Rule::Alias(alias) => return alias_says(request, alias),
        })
    }
}

/// What a provider says under another name: what stands in its section holds while it is asked.
fn alias_says(request: &mut Request<'_>, alias: &AuthzAlias) -> Result<Verdict, Stop> {
    let merged = Arc::new(DirSettings::merge(&request.place.settings, &alias.settings));
    let here = std::mem::replace(&mut request.place.settings, merged);
    let said = alias.rule.judge(request);
    request.place.settings = here;
    said
}

/// Whether a method, as it was written, is among these. GET and HEAD are one: who may have the one may have the other.
pub(super) fn covers(names: &[String], method: &str) -> bool {
    fn one_name(method: &str) -> &str {
        if method == "HEAD" { "GET" } else { method }
    }
    names.iter().any(|known| one_name(known) == one_name(method))
}

/// An expression that asks who it is may hold once that is known.
fn holds(request: &Request<'_>, condition: &Condition) -> Result<Verdict, Stop> {
    let holds = condition.holds(&request.known(), &mut Groups::new());
    Ok(match holds.map_err(|_| Stop::WouldBlock)? {
        true => Verdict::Granted,
        false if condition.text().contains("REMOTE_USER") => Verdict::NoUser,
        false => Verdict::Denied,
    })
}

/// The words that a text comes to.
pub(super) fn words(request: &Request<'_>, text: &Text) -> Result<Vec<Vec<u8>>, Stop> {
    let text = text.evaluate(&request.known(), &Groups::new()).map_err(|_| Stop::WouldBlock)?;
    Ok(split(&text))
}

/// Words between blanks; quotes keep blanks within one, and a backslash keeps a quote.
pub(super) fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = text.trim_ascii_start();
    while let Some((first, inside)) = rest.split_first() {
        let mut word = Vec::new();
        if matches!(first, b'"' | b'\'') {
            rest = inside;
            while let Some((byte, after)) = rest.split_first() {
                rest = after;
                match (byte, after.split_first()) {
                    (b'\\', Some((next, after))) if next == first || *next == b'\\' => {
                        word.push(*next);
                        rest = after;
                    }
                    _ if byte == first => break,
                    _ => word.push(*byte),
                }
            }
        } else {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            word.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    words
}

// ---- directives

pub(super) const MODULE: Module = Module {
    name: "authz_core_module",
    file: "mod_authz_core.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "Require",
        syntax: "Require [not] provider [value]...",
        default: None,
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "Who may have what the section covers. `all granted`, `all denied`; `ip` with addresses and networks; \
               `local` for the machine itself; `host` with names that the client's address must have, forward and \
               back; `forward-dns` with names that must have the client's address; `env` with variables of which one \
               must be set, by SetEnvIf; `method` with methods; `expr` with an expression; `user` with names, \
               `valid-user`, `group` with groups, `file-owner` and `file-group` for whoever has proved to be somebody. \
               A name that <AuthzProviderAlias> has given may stand for any of these. Without a container, one that \
               holds is enough. Apache's providers for dbm, dbd and ldap are not supported: they are errors.",
        apply: |settings, args| {
            let node = require(args, &settings.providers)?;
            settings.authz.push(node);
            Ok(())
        },
    },
    Directive {
        name: "AuthMerging",
        syntax: "AuthMerging Off|And|Or",
        default: Some("Off"),
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "Whether the Requires of this section replace those of the sections before it (Off), must grant as well as \
               they (And), or instead of them (Or). It counts for the section in which it stands.",
        apply: |settings, args| {
            settings.authz.merging = Some(args.choice(&[
                ("Off", Merging::Off),
                ("And", Merging::And),
                ("Or", Merging::Or),
            ])?);
            Ok(())
        },
    },
    Directive {
        name: "AuthzSendForbiddenOnFailure",
        syntax: "AuthzSendForbiddenOnFailure On|Off",
        default: Some("Off"),
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "Whether a user who has the right password and may not have it is told so by 403, instead of being asked \
               for another password by 401.",
        apply: |settings, args| {
            settings.authz.forbidden_on_failure = Some(args.flag()?);
            Ok(())
        },
    },
];

/// What Require may name.
pub(super) const PROVIDERS: &[&str] = &[
    "all",
    "env",
    "expr",
    "file-group",
    "file-owner",
    "forward-dns",
    "group",
    "host",
    "ip",
    "local",
    "method",
    "user",
    "valid-user",
];
/// What Apache has besides.
const PROVIDERS_TO_COME: &[&str] = &[
    "dbm-file-group",
    "dbm-group",
    "dbd-group",
    "dbd-login",
    "dbd-logout",
    "ldap-attribute",
    "ldap-dn",
    "ldap-filter",
    "ldap-group",
    "ldap-search",
    "ldap-user",
];

fn require(args: &mut Args<'_>, providers: &Providers) -> Result<Node, Problem> {
    let negated = args.peek().is_some_and(|word| word.text.eq_ignore_ascii_case("not"));
    if negated {
        args.next();
    }
    let line = format!("Require {}", args.line().raw.trim()).into();
    let place = args.source().into();
    let asked = Asked { rule: rule(args, providers)?, line, place };
    Ok(if negated { Node::Not(asked) } else { Node::Rule(asked) })
}

/// `Require local`, which stands nowhere: `handler` asks for it.
pub(crate) fn local_for(handler: &str) -> Node {
    let place = format!("SetHandler {handler}").into();
    Node::Rule(Asked { rule: Rule::Local, line: "Require local".into(), place })
}

/// What a line says behind its `Require`, which stands in none.
pub(super) fn rule_of(
    line: &Line,
    providers: &Providers,
    place: &Place<'_>,
) -> Result<Rule, Problem> {
    let row = DIRECTIVES[0].describe();
    let mut args = Args::new(&row, line, place);
    let rule = rule(&mut args, providers)?;
    args.finish()?;
    Ok(rule)
}

fn rule(args: &mut Args<'_>, providers: &Providers) -> Result<Rule, Problem> {
    let word = args.required()?;
    if let Some(alias) = providers.authz(&word.text) {
        args.rest(); // As Apache, which asks what the alias says and nothing else.
        return Ok(Rule::Alias(alias));
    }
    let provider = word.text.to_ascii_lowercase();
    match provider.as_str() {
        "all" => everybody(args),
        "env" => Ok(Rule::Env(names(args)?)),
        "expr" => expression(args),
        "file-group" => Ok(Rule::FileGroup),
        "file-owner" => Ok(Rule::FileOwner),
        "forward-dns" => Ok(Rule::ForwardDns(authz_host::host_names(args)?)),
        "group" => Ok(Rule::Group(text(args)?)),
        "host" => Ok(Rule::Host(authz_host::host_names(args)?)),
        "ip" => {
            let first = Network::parse(args.required()?)?;
            let others = args.map(Network::parse);
            Ok(Rule::Networks(std::iter::once(Ok(first)).chain(others).collect::<Result<_, _>>()?))
        }
        "local" => Ok(Rule::Local),
        "method" => Ok(Rule::Methods(names(args)?)),
        "user" => Ok(Rule::User(text(args)?)),
        "valid-user" => {
            args.rest(); // As Apache, which takes names behind it for a comment.
            Ok(Rule::ValidUser)
        }
        other if PROVIDERS_TO_COME.contains(&other) => {
            args.rest();
            Err(Problem::at(word, format!("Require {other} is not supported yet")))
        }
        other => {
            args.rest();
            let problem = Problem::at(word, format!("Unknown Authz provider: {other}"));
            Err(match nearest(other, PROVIDERS.iter().copied().chain(["not"])) {
                Some(known) => problem.help(format!("did you mean {known}?")),
                None => problem,
            })
        }
    }
}

fn everybody(args: &mut Args<'_>) -> Result<Rule, Problem> {
    let word = args.required()?;
    match word.text.to_ascii_lowercase().as_str() {
        "granted" => Ok(Rule::Everybody(true)),
        "denied" => Ok(Rule::Everybody(false)),
        _ => Err(Problem::at(word, "Argument for 'Require all' must be 'granted' or 'denied'")),
    }
}

fn names(args: &mut Args<'_>) -> Result<Vec<String>, Problem> {
    let first = args.required()?;
    Ok(std::iter::once(first).chain(args).map(|word| word.text.clone()).collect())
}

/// The rest of the line, in quotes or as it stands.
fn expression(args: &mut Args<'_>) -> Result<Rule, Problem> {
    let Some(word) = args.peek() else {
        return Err(Problem::new("Require expr requires an expression"));
    };
    let text = args.rest().trim_end();
    let text = match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inside) => inside,
        None => text,
    };
    match Condition::parse(text) {
        Ok(condition) => Ok(Rule::Expression(condition)),
        Err(message) => {
            Err(Problem::at(word, format!("Cannot parse expression in require line: {message}")))
        }
    }
}

/// The rest of the line, which may be an expression.
pub(super) fn text(args: &mut Args<'_>) -> Result<Text, Problem> {
    let Some(word) = args.peek() else { return Err(Problem::new("Require requires a name")) };
    Text::parse(args.rest().trim_end()).map_err(|message| {
        Problem::at(word, format!("Cannot parse expression in require line: {message}"))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::net::IpAddr;

    /// What those rules depend on that need no request.
    #[derive(Clone, Copy)]
    pub(crate) struct Client<'a> {
        pub(crate) address: IpAddr,
        pub(crate) local: IpAddr,
        pub(crate) method: &'a str,
    }

    impl Authz {
        /// Whether `client`, who is nobody in particular, may have it.
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others need a request")]
        pub(crate) fn grants(&self, client: &Client<'_>) -> bool {
            let said = self.judge(client.method, &mut |rule: &Rule| {
                Ok(match rule {
                    Rule::Everybody(granted) => Verdict::of(*granted),
                    Rule::Networks(networks) => {
                        Verdict::of(networks.iter().any(|network| network.contains(client.address)))
                    }
                    Rule::Local => {
                        Verdict::of(authz_host::are_one_machine(client.address, client.local))
                    }
                    Rule::Methods(names) => Verdict::of(covers(names, client.method)),
                    other => panic!("{other:?} needs a request"),
                })
            });
            said.unwrap().is_none_or(|verdict| verdict == Verdict::Granted)
        }
    }

    /// A tree in letters: g, d, u, n are what rules say; `&(…)`, `|(…)` and `!(…)` are containers, `-g` is a negation.
    fn parse(text: &mut std::str::Chars<'_>) -> Vec<Node> {
        let rule = |letter| Asked {
            rule: Rule::Env(vec![String::from(letter)]),
            line: "".into(),
            place: "".into(),
        };
        let mut nodes = Vec::new();
        while let Some(letter) = text.next() {
            let group = match letter {
                '&' => Group::All,
                '|' => Group::Any,
                '!' => Group::None,
                ')' => return nodes,
                '-' => {
                    nodes.push(Node::Not(rule(text.next().unwrap())));
                    continue;
                }
                _ => {
                    nodes.push(Node::Rule(rule(letter)));
                    continue;
                }
            };
            assert_eq!(text.next(), Some('('));
            nodes.push(Node::Group(group, parse(text)));
        }
        nodes
    }

    #[test]
    fn containers_combine_what_is_said() {
        use Verdict::{Denied, Granted, Neutral, NoUser};
        for (tree, expected, asked) in [
            ("dg", Granted, "dg"),
            ("gd", Granted, "g"),
            ("dud", NoUser, "dud"),
            ("un", NoUser, "un"),
            ("n", Neutral, "n"),
            ("nd", Denied, "nd"),
            ("&(gu)", NoUser, "gu"),
            ("&(ug)", NoUser, "ug"),
            ("&(ud)g", Granted, "udg"),
            ("&(gdu)", Denied, "gd"),
            ("&(ngn)", Granted, "ngn"),
            ("&(g-u)", Granted, "gu"),
            ("&(g-g)", Denied, "gg"),
            ("&(g-d)", Granted, "gd"),
            ("&(g!(dg))", Denied, "gdg"),
            ("&(g!(du))", Granted, "gdu"),
            ("&(|(du)g)", NoUser, "dug"),
            ("|(&(gg)d)", Granted, "gg"),
        ] {
            let authz = Authz { require: Some(parse(&mut tree.chars())), ..Authz::default() };
            let mut order = String::new();
            let said = authz.judge("GET", &mut |rule: &Rule| {
                let Rule::Env(names) = rule else { panic!() };
                order.push_str(&names[0]);
                Ok(match names[0].as_str() {
                    "g" => Granted,
                    "d" => Denied,
                    "u" => NoUser,
                    _ => Neutral,
                })
            });
            assert_eq!((said.unwrap(), order.as_str()), (Some(expected), asked), "{tree}");
        }
    }

    #[test]
    fn words_may_be_quoted() {
        for (text, expected) in [
            ("", &[][..]),
            (" a  b ", &["a", "b"]),
            (r#""a b" 'c "d'e"#, &["a b", "c \"d", "e"]),
            (r#""a\"b\\" "open"#, &["a\"b\\", "open"]),
        ] {
            let words = split(text.as_bytes());
            assert_eq!(
                words,
                expected.iter().map(|word| word.as_bytes()).collect::<Vec<_>>(),
                "{text}"
            );
        }
    }
}
