//! # mod_authn_core: by which scheme clients prove who they are
//!
//! ```text
//! AuthType Basic            ──▶ mod_auth_basic asks for a name and a password
//! AuthName "Members only"   ──▶ the realm, which browsers show and remember passwords by
//! ```

use herdgate_conf::{Args, Directive, Overrides, Problem};

use super::{Module, SECTION};
use crate::config::DirSettings;
use crate::expr::{Groups, Text};
use crate::request::{Request, Stop};

/// mod_authn_core's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct AuthnCore {
    auth_type: Option<Text>,
    auth_name: Option<Text>,
}

/// A scheme that a section asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Nothing is asked.
    None,
    /// A name and a password with each request (RFC 7617).
    Basic,
    /// What an expression came to, and nobody here knows.
    Unknown(String),
}

impl AuthnCore {
    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            auth_type: inner.auth_type.clone().or_else(|| self.auth_type.clone()),
            auth_name: inner.auth_name.clone().or_else(|| self.auth_name.clone()),
        }
    }
}

/// `AuthType`
pub(crate) fn scheme(request: &Request<'_>) -> Result<Scheme, Stop> {
    let Some(text) = &request.place.settings.authn.auth_type else { return Ok(Scheme::None) };
    let name = evaluate(request, text)?;
    Ok(match name.to_ascii_lowercase().as_str() {
        "none" => Scheme::None,
        "basic" => Scheme::Basic,
        _ => Scheme::Unknown(name),
    })
}

/// `AuthName`
pub(crate) fn realm(request: &Request<'_>) -> Result<Option<String>, Stop> {
    let text = &request.place.settings.authn.auth_name;
    text.as_ref().map(|text| evaluate(request, text)).transpose()
}

fn evaluate(request: &Request<'_>, text: &Text) -> Result<String, Stop> {
    let value = text.evaluate(&request.known(), &Groups::new()).map_err(|_| Stop::WouldBlock)?;
    Ok(String::from_utf8_lossy(&value).into_owned())
}

pub(super) const MODULE: Module = Module {
    name: "authn_core_module",
    file: "mod_authn_core.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "AuthType",
        syntax: "AuthType None|Basic",
        default: None,
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "How clients prove who they are: Basic asks for a name and a password, None for nothing. May be an \
               expression. Apache's Digest and Form are not supported: both are errors.",
        apply: |settings, args| {
            settings.authn.auth_type = Some(auth_type(args)?);
            Ok(())
        },
    },
    Directive {
        name: "AuthName",
        syntax: "AuthName realm",
        default: None,
        contexts: SECTION,
        overrides: Overrides::AUTH_CONFIG,
        docs: "What the client is told it needs a password for; browsers remember passwords by it. May be an \
               expression.",
        apply: |settings, args| {
            settings.authn.auth_name = Some(text(args)?);
            Ok(())
        },
    },
];

fn auth_type(args: &mut Args<'_>) -> Result<Text, Problem> {
    let word = args.peek();
    let text = text(args)?;
    let Some(word) = word.filter(|word| !word.text.contains('%')) else { return Ok(text) };
    match word.text.to_ascii_lowercase().as_str() {
        "none" | "basic" => Ok(text),
        _ => Err(Problem::at(word, format!("AuthType {} is not supported", word.text)).help(
            "AuthType Basic asks for a name and a password, over TLS as safely as any other",
        )),
    }
}

fn text(args: &mut Args<'_>) -> Result<Text, Problem> {
    let word = args.required()?;
    Text::parse(&word.text)
        .map_err(|message| Problem::at(word, format!("Cannot parse expression: {message}")))
}
