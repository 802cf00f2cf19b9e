//! # mod_allowmethods: methods that are refused before anybody asks who may
//!
//! `AllowMethods GET OPTIONS`; GET stands for HEAD, too. `AllowMethods reset` is every method again.

use herdgate_conf::{Args, Directive, Overrides, Problem};

use super::{DIRECTORY, Module, authz_core};
use crate::config::DirSettings;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::request::{Refusal, Request, Stop};

/// mod_allowmethods's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct AllowMethods {
    /// None of them: every method.
    methods: Option<Vec<String>>,
}

impl AllowMethods {
    /// Whether a method, as it was written, is let through.
    pub fn allows(&self, method: &str) -> bool {
        let methods = self.methods.as_deref().unwrap_or_default();
        methods.is_empty() || authz_core::covers(methods, method)
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { methods: inner.methods.clone().or_else(|| self.methods.clone()) }
    }

    /// The methods that are let through, for the field `Allow`.
    fn list(&self) -> String {
        let methods = self.methods.as_deref().unwrap_or_default();
        let mut names: Vec<&str> = methods.iter().map(String::as_str).collect();
        for (one, other) in [("GET", "HEAD"), ("HEAD", "GET")] {
            if names.contains(&one) && !names.contains(&other) {
                names.push(other);
            }
        }
        names.join(",")
    }
}

/// access_checker, the first of them.
pub(crate) fn access_checker(request: &Request<'_>) -> Result<(), Stop> {
    let settings = &request.place.settings.allowmethods;
    let method = request.method().as_str();
    if settings.allows(method) {
        return Ok(());
    }
    request.log(Level::Error, "allowmethods").say(format_args!(
        "AH01623: client method denied by server configuration: '{}' to {}",
        Quoted(method.as_bytes()),
        request.place.in_log()
    ));
    // RFC 9110 section 15.5.6 wants to know what is allowed; Apache sends an empty list.
    let refusal = Refusal::new(Status::METHOD_NOT_ALLOWED);
    Err(Stop::Refused(refusal.with("Allow", settings.list().as_bytes())))
}

pub(super) const MODULE: Module = Module {
    name: "allowmethods_module",
    file: "mod_allowmethods.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[Directive {
    name: "AllowMethods",
    syntax: "AllowMethods reset|method...",
    default: Some("reset"),
    contexts: DIRECTORY,
    overrides: Overrides::NONE,
    docs: "The methods that are answered here; GET stands for HEAD, too. Others get 405, whoever asks. `reset` is every \
           method again.",
    apply: |settings, args| {
        settings.allowmethods.methods = Some(methods(args)?);
        Ok(())
    },
}];

fn methods(args: &mut Args<'_>) -> Result<Vec<String>, Problem> {
    let first = args.required()?;
    let mut methods = Vec::new();
    for word in std::iter::once(first).chain(args) {
        if std::ptr::eq(word, first) && word.text.eq_ignore_ascii_case("reset") {
            continue;
        }
        if !Method::parse(word.text.as_bytes()).is_some_and(Method::is_known) {
            return Err(Problem::at(word, format!("Invalid Method '{}'", word.text)));
        }
        methods.push(word.text.clone());
    }
    Ok(methods)
}
