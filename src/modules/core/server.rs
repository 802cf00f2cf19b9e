//! What core keeps once for the whole server.

use herdgate_conf::{Directive, Overrides};

use super::idle;
use crate::config::ServerSettings;
use crate::modules::SERVER;

/// Settings of the whole server.
#[derive(Debug, Clone, Default)]
pub struct Server {
    tokens: Option<Tokens>,
    see_request_tail: Option<bool>,
}

/// How much the `Server` field tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Product, version, system, and what modules add.
    Full,
    /// Product, version and system.
    Os,
    /// Product and version.
    Minimal,
    /// Product with major and minor version.
    Minor,
    /// Product with major version.
    Major,
    /// The product's name only.
    Product,
}

impl Server {
    /// `ServerTokens`
    pub fn tokens(&self) -> Tokens {
        self.tokens.unwrap_or(Tokens::Full)
    }

    /// `SeeRequestTail`
    pub fn see_request_tail(&self) -> bool {
        self.see_request_tail.unwrap_or(false)
    }
}

pub(super) const DIRECTIVES: &[Directive<ServerSettings>] = &[
    idle::ENABLE_EXCEPTION_HOOK,
    idle::NAME_VIRTUAL_HOST,
    idle::REGEX_DEFAULT_OPTIONS,
    idle::REGISTER_HTTP_METHOD,
    Directive {
        name: "ServerTokens",
        syntax: "ServerTokens Full|OS|Minimal|Minor|Major|Prod",
        default: Some("Full"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "How much the Server field of every response tells about the program. It can be \
           shortened to the product's name, and not removed.",
        apply: |settings, args| {
            settings.core.tokens = Some(args.choice(&[
                ("Full", Tokens::Full),
                ("OS", Tokens::Os),
                ("Min", Tokens::Minimal),
                ("Minimal", Tokens::Minimal),
                ("Minor", Tokens::Minor),
                ("Major", Tokens::Major),
                ("Prod", Tokens::Product),
                ("ProductOnly", Tokens::Product),
            ])?);
            Ok(())
        },
    },
    Directive {
        name: "SeeRequestTail",
        syntax: "SeeRequestTail On|Off",
        default: Some("Off"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "Whether the scoreboard shows the end of request lines that are longer than its room of \
               127 bytes (Apache's is 63), and not their beginning.",
        apply: |settings, args| {
            settings.core.see_request_tail = Some(args.flag()?);
            Ok(())
        },
    },
];
