//! mod_unixd: whom the children run as, when the server is started by root.

use herdgate_conf::{Directive, Overrides, Span};

use super::{Module, SERVER};
use crate::config::ServerSettings;

/// mod_unixd's settings of the whole server.
#[derive(Debug, Clone, Default)]
pub struct Unixd {
    user: Option<(String, Span)>,
    group: Option<(String, Span)>,
}

impl Unixd {
    /// `User`: a name or `#id`, and where it was written.
    pub fn user(&self) -> Option<(&str, Span)> {
        self.user.as_ref().map(|(name, span)| (name.as_str(), *span))
    }

    /// `Group`: a name or `#id`, and where it was written.
    pub fn group(&self) -> Option<(&str, Span)> {
        self.group.as_ref().map(|(name, span)| (name.as_str(), *span))
    }
}

pub(super) const MODULE: Module = Module {
    name: "unixd_module",
    file: "mod_unixd.c",
    server: DIRECTIVES,
    host: &[],
    directory: &[],
};

const DIRECTIVES: &[Directive<ServerSettings>] = &[
    Directive {
        name: "User",
        syntax: "User name|#id",
        default: None, // Apache's is #-1, which refuses to start.
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Whom the children run as when root starts the server. Without effect for anybody \
               else.",
        apply: |settings, args| {
            let name = args.word()?.to_string();
            settings.unixd.user = Some((name, args.at()));
            Ok(())
        },
    },
    Directive {
        name: "Group",
        syntax: "Group name|#id",
        default: None,
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "The group of the children when root starts the server. Without effect for anybody \
               else.",
        apply: |settings, args| {
            let name = args.word()?.to_string();
            settings.unixd.group = Some((name, args.at()));
            Ok(())
        },
    },
];
