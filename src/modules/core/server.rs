//! What core keeps once for the whole server.

use herdgate_conf::{Args, Directive, Overrides, Problem};

use super::idle;
use crate::config::ServerSettings;
use crate::modules::SERVER;
use crate::regex;

/// Settings of the whole server.
#[derive(Debug, Clone, Default)]
pub struct Server {
    regex: regex::Options,
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

    /// `RegexDefaultOptions`
    pub fn regex_options(&self) -> regex::Options {
        self.regex
    }

    /// `SeeRequestTail`
    pub fn see_request_tail(&self) -> bool {
        self.see_request_tail.unwrap_or(false)
    }
}

pub(super) const DIRECTIVES: &[Directive<ServerSettings>] = &[
    idle::ENABLE_EXCEPTION_HOOK,
    idle::NAME_VIRTUAL_HOST,
    idle::REGISTER_HTTP_METHOD,
    Directive {
        name: "RegexDefaultOptions",
        syntax: "RegexDefaultOptions [+|-]option...",
        default: Some("DOTALL +DOLLAR_ENDONLY"),
        contexts: SERVER,
        overrides: Overrides::NONE,
        docs: "What all regular expressions mean, those before the line too: with DOTALL a dot is any character, with \
               DOLLAR_ENDONLY `$` is the very end and not also the place before a line break there, with ICASE case \
               does not count. A sign changes what was said before; without one, or with `none`, that is forgotten.",
        apply: |settings, args| regex_options(&mut settings.core.regex, args),
    },
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

fn regex_options(options: &mut regex::Options, args: &mut Args<'_>) -> Result<(), Problem> {
    const NONE: regex::Options =
        regex::Options { dot_all: false, dollar_end_only: false, ignore_case: false };
    let first = args.required()?;
    for word in std::iter::once(first).chain(args) {
        let sign = word.text.chars().next().filter(|sign| matches!(sign, '+' | '-'));
        let name = &word.text[sign.map_or(0, char::len_utf8)..];
        if sign.is_none() {
            *options = NONE;
            if name.eq_ignore_ascii_case("none") {
                continue;
            }
        }
        let option = match name.to_ascii_uppercase().as_str() {
            "DOTALL" => &mut options.dot_all,
            "DOLLAR_ENDONLY" => &mut options.dollar_end_only,
            "ICASE" => &mut options.ignore_case,
            _ => return Err(Problem::at(word, format!("option '{name}' unknown"))),
        };
        *option = sign != Some('-');
    }
    Ok(())
}
