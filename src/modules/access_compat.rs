//! # mod_access_compat: access control as before Apache 2.4
//!
//! ```text
//! Order Deny,Allow     what neither names is allowed; Allow is asked last, and wins
//! Order Allow,Deny     what neither names is denied; Deny is asked last, and wins
//! Deny from all
//! Allow from 10.1 .example.org env=friend
//! Satisfy Any          this, or a user that Require lets in
//! ```
//!
//! - A section that says anything of it says all of it: nothing is left of what outer sections said, as in Apache.
//! - In `<Limit>` a line counts for the methods there.

use herdgate_conf::{Args, Directive, Overrides, Problem, Word};

use super::authz_core::Methods;
use super::authz_host::{self, Network};
use super::{Module, SECTION};
use crate::config::DirSettings;
use crate::http::status::Status;
use crate::log::Level;
use crate::request::{NameTrust, Refusal, Request, Stop};

/// mod_access_compat's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct AccessCompat {
    orders: Vec<Limited<Order>>,
    allows: Vec<Limited<Origin>>,
    denies: Vec<Limited<Origin>>,
    satisfy: Vec<Limited<Satisfy>>,
}

/// A line, and for which methods it counts.
#[derive(Debug, Clone)]
struct Limited<T> {
    /// Each `<Limit>` around it.
    methods: Vec<Methods>,
    said: T,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    DenyAllow,
    /// And `Mutual-failure`, which means the same.
    AllowDeny,
}

/// `Satisfy`: what becomes of access by origin and access by user together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Satisfy {
    /// Both must grant.
    All,
    /// One of them must grant.
    Any,
}

/// What stands behind `from`.
#[derive(Debug, Clone)]
enum Origin {
    All,
    Network(Network),
    /// `env=name`, or `env=!name`.
    Env {
        name: String,
        is_set: bool,
    },
    /// A name, or the end of one.
    Host(String),
}

impl<T> Limited<T> {
    fn new(said: T) -> Self {
        Self { methods: Vec::new(), said }
    }

    fn counts_for(&self, method: &str) -> bool {
        self.methods.iter().all(|methods| methods.cover(method))
    }
}

impl AccessCompat {
    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        if inner.is_unsaid() { self.clone() } else { inner.clone() }
    }

    /// None of its lines stands here.
    pub(crate) fn is_unsaid(&self) -> bool {
        self.orders.is_empty()
            && self.allows.is_empty()
            && self.denies.is_empty()
            && self.satisfy.is_empty()
    }

    /// The same, all of it within a `<Limit>`.
    pub(crate) fn limited(mut self, methods: &Methods) -> Self {
        fn add<T>(lines: &mut [Limited<T>], methods: &Methods) {
            lines.iter_mut().for_each(|line| line.methods.push(methods.clone()));
        }
        add(&mut self.orders, methods);
        add(&mut self.allows, methods);
        add(&mut self.denies, methods);
        add(&mut self.satisfy, methods);
        self
    }

    /// The lines of `self`, then those of `later`.
    pub(crate) fn extended(mut self, later: Self) -> Self {
        self.orders.extend(later.orders);
        self.allows.extend(later.allows);
        self.denies.extend(later.denies);
        self.satisfy.extend(later.satisfy);
        self
    }

    /// `Order`
    pub(super) fn order(&self, method: &str) -> Order {
        let last = self.orders.iter().rev().find(|line| line.counts_for(method));
        last.map_or(Order::DenyAllow, |line| line.said)
    }

    /// `Satisfy`
    pub(crate) fn satisfy(&self, method: &str) -> Satisfy {
        let last = self.satisfy.iter().rev().find(|line| line.counts_for(method));
        last.map_or(Satisfy::All, |line| line.said)
    }
}

/// access_checker: whether the client comes from where it may.
pub(crate) fn access_checker(request: &Request<'_>) -> Result<(), Stop> {
    let settings = &request.place.settings.access;
    let method = request.method().as_str();
    let granted = match settings.order(method) {
        Order::AllowDeny => {
            any(request, &settings.allows, method)? && !any(request, &settings.denies, method)?
        }
        Order::DenyAllow => {
            !any(request, &settings.denies, method)? || any(request, &settings.allows, method)?
        }
    };
    if granted {
        return Ok(());
    }
    // As Apache, also where a user may still be let in.
    request.log(Level::Error, "access_compat").say(format_args!(
        "AH01797: client denied by server configuration: {}",
        request.place.in_log()
    ));
    Err(Refusal::stop(Status::FORBIDDEN))
}

fn any(request: &Request<'_>, origins: &[Limited<Origin>], method: &str) -> Result<bool, Stop> {
    for origin in origins.iter().filter(|line| line.counts_for(method)) {
        if origin.said.is_of(request)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Origin {
    fn is_of(&self, request: &Request<'_>) -> Result<bool, Stop> {
        Ok(match self {
            Origin::All => true,
            Origin::Network(network) => network.contains(request.client().address_or_own()),
            Origin::Env { name, is_set } => request.env.get(name).is_some() == *is_set,
            Origin::Host(domain) => {
                let name = request.client_name(NameTrust::Confirmed)?;
                name.is_some_and(|name| authz_host::is_within(name.as_bytes(), domain.as_bytes()))
            }
        })
    }
}

pub(super) const MODULE: Module = Module {
    name: "access_compat_module",
    file: "mod_access_compat.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "Order",
        syntax: "Order Deny,Allow|Allow,Deny|Mutual-failure",
        default: Some("Deny,Allow"),
        contexts: SECTION,
        overrides: Overrides::LIMIT,
        docs: "Which of Allow and Deny is asked last, and wins; what neither names is allowed by Deny,Allow and denied by \
               Allow,Deny. No blank after the comma. Write Require instead, in what is new.",
        apply: |settings, args| {
            let word = args.required()?;
            let order = match word.text.to_ascii_lowercase().as_str() {
                "deny,allow" => Order::DenyAllow,
                "allow,deny" | "mutual-failure" => Order::AllowDeny,
                _ => return Err(Problem::at(word, "unknown order")),
            };
            settings.access.orders.push(Limited::new(order));
            Ok(())
        },
    },
    Directive {
        name: "Allow",
        syntax: "Allow from all|address|network|name|env=[!]variable...",
        default: None,
        contexts: SECTION,
        overrides: Overrides::LIMIT,
        docs: "Which clients are allowed, as Order says: all, by address or network, by name or the end of a name, or \
               those whose request has set a variable (or, with `!`, has not).",
        apply: |settings, args| {
            settings.access.allows.extend(origins(args)?);
            Ok(())
        },
    },
    Directive {
        name: "Deny",
        syntax: "Deny from all|address|network|name|env=[!]variable...",
        default: None,
        contexts: SECTION,
        overrides: Overrides::LIMIT,
        docs: "Which clients are denied, as Order says; see Allow.",
        apply: |settings, args| {
            settings.access.denies.extend(origins(args)?);
            Ok(())
        },
    },
    Directive {
        name: "Satisfy",
        syntax: "Satisfy All|Any",
        default: Some("All"),
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "Whether Allow and Deny must let the client in as well as Require (All), or either of them is enough (Any). \
               Where there is no Order, Allow or Deny, Any lets everybody in, as in Apache.",
        apply: |settings, args| {
            let word = args.required()?;
            let satisfy = match word.text.to_ascii_lowercase().as_str() {
                "all" => Satisfy::All,
                "any" => Satisfy::Any,
                _ => return Err(Problem::at(word, "Satisfy either 'any' or 'all'.")),
            };
            settings.access.satisfy.push(Limited::new(satisfy));
            Ok(())
        },
    },
];

fn origins(args: &mut Args<'_>) -> Result<Vec<Limited<Origin>>, Problem> {
    let from = args.required()?;
    if !from.text.eq_ignore_ascii_case("from") {
        return Err(Problem::at(from, "allow and deny must be followed by 'from'"));
    }
    let first = args.required()?;
    std::iter::once(first).chain(args).map(|word| origin(word).map(Limited::new)).collect()
}

fn origin(word: &Word) -> Result<Origin, Problem> {
    let text = word.text.as_str();
    if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("env=")) {
        let name = &text[4..];
        let (name, is_set) = match name.strip_prefix('!') {
            Some(name) => (name, false),
            None => (name, true),
        };
        return Ok(Origin::Env { name: name.to_owned(), is_set });
    }
    if text.eq_ignore_ascii_case("all") {
        return Ok(Origin::All);
    }
    match Network::of_text(text) {
        Some(network) => Ok(Origin::Network(network)),
        None if text.contains('/') => Err(Problem::at(word, "An IP address was expected")),
        None if looks_like_address(text) => {
            Err(Problem::at(word, "The specified IP address is invalid."))
        }
        None => Ok(Origin::Host(text.to_owned())),
    }
}

/// No name is made of digits and dots alone, and none has a colon.
fn looks_like_address(text: &str) -> bool {
    text.contains(':') || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}
