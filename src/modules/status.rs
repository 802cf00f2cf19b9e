//! # mod_status: what the server does, on a page
//!
//! ```text
//! scoreboard ──snapshot──▶ Look { snapshot, CPU, load } ─┬─ page: HTML, as Apache's
//! /proc ───────────────────┘                             └─ auto: "Key: value", for monitors
//! ```
//!
//! - The page has Apache's words in Apache's places: what reads the one reads the other.
//! - Whoever may see it sees who asks for what, so nobody may unless a configuration says so. All that clients have
//!   sent is escaped twice: as in a log, then as HTML.
//! - Looking takes no lock and stops nobody; the numbers of one line are of one moment, those of the page nearly.

mod auto;
mod look;
mod page;

use herdgate_conf::{Directive, Overrides};

use super::{Module, SERVER};
use crate::config::ServerSettings;
use crate::files::Access;
use crate::http::method::Method;
use crate::http::status::Status as StatusCode;
use crate::log::Level;
use crate::request::{Refusal, Request, Stop};
use crate::response::{Body, Fields, Response};
use look::Look;

/// mod_status' settings of the whole server.
#[derive(Debug, Clone, Default)]
pub struct Status {
    extended: Option<bool>,
}

impl Status {
    /// `ExtendedStatus`
    pub fn extended(&self) -> bool {
        self.extended.unwrap_or(true)
    }
}

/// The handler's name.
const HANDLER: &str = "server-status";
/// Seconds between two looks of a browser that was asked to come back, and not when.
const REFRESH_SECS: u32 = 10;

/// `SetHandler server-status`
pub(crate) fn handler(request: &mut Request<'_>) -> Result<Response, Stop> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request.serve(); // Which finds nothing, as in Apache.
    }
    request.made_from.cannot_be_repeated();
    if request.access == Access::Inline {
        return Err(Stop::WouldBlock); // A hundred small files below /proc may be read.
    }
    let Some(scoreboard) = request.server.scoreboard.get() else {
        request.log(Level::Error, "status").say(format_args!(
            "AH01237: Server status unavailable: this process serves without a scoreboard"
        ));
        return Err(Refusal::stop(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let look = Look::of(scoreboard.snapshot(), request);
    let options = Options::of(request.query.as_deref().unwrap_or_default());
    let mut fields = Fields::default();
    if let Some(secs) = options.refresh_secs {
        fields.push("Refresh", secs.to_string().as_bytes());
    }
    let (text, content_type) = if options.auto {
        (auto::render(&look), "text/plain; charset=ISO-8859-1")
    } else {
        (page::render(&look, !options.no_table), "text/html; charset=ISO-8859-1")
    };
    let length = Some(text.len() as u64).filter(|_| !request.is_head());
    let body = if request.is_head() { Body::Empty } else { Body::Memory(text) };
    let response =
        request.response(StatusCode::OK, fields, Some(content_type.into()), body, length);
    Ok(Response { handler: Some(HANDLER), ..response })
}

/// How many workers of a hundred are idle, and how many are busy; `None`: there are none, or nobody knows.
pub(crate) fn percent(request: &Request<'_>) -> Option<(u32, u32)> {
    let snapshot = request.server.scoreboard.get()?.snapshot();
    let look::Workers { busy, graceful, idle } = look::all_workers(&snapshot);
    let all = busy + graceful + idle;
    (all > 0).then(|| (idle * 100 / all, (busy + graceful) * 100 / all))
}

/// What the query asks for. Its words are searched for, not parsed, as in Apache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    refresh_secs: Option<u32>,
    no_table: bool,
    auto: bool,
}

impl Options {
    fn of(query: &[u8]) -> Self {
        let find = |word: &str| memchr::memmem::find(query, word.as_bytes());
        let refresh_secs = find("refresh").map(|at| {
            let rest = query[at + "refresh".len()..].strip_prefix(b"=").unwrap_or_default();
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let secs = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse().ok());
            secs.filter(|secs| *secs > 0).unwrap_or(REFRESH_SECS)
        });
        let (no_table, auto) = (find("notable").is_some(), find("auto").is_some());
        Self { refresh_secs, no_table, auto }
    }
}

pub(super) const MODULE: Module = Module {
    name: "status_module",
    file: "mod_status.c",
    server: DIRECTIVES,
    host: &[],
    directory: &[],
};

const DIRECTIVES: &[Directive<ServerSettings>] = &[Directive {
    name: "ExtendedStatus",
    syntax: "ExtendedStatus On|Off",
    default: Some("On"),
    contexts: SERVER,
    overrides: Overrides::NONE,
    docs: "Whether the scoreboard holds what each worker is serving, and not only whether it is \
           busy. `SetHandler server-status` shows it: `?auto` as plain text, `?refresh=SECONDS` again and again; to people \
           on this machine, unless the same section says by `Require` who may see it.",
    apply: |settings, args| {
        settings.status.extended = Some(args.flag()?);
        Ok(())
    },
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_searched_for_words() {
        let check = |query: &str, refresh_secs, no_table, auto| {
            assert_eq!(
                Options::of(query.as_bytes()),
                Options { refresh_secs, no_table, auto },
                "{query}"
            );
        };
        check("", None, false, false);
        check("auto", None, false, true);
        check("refresh=5&notable", Some(5), true, false);
        check("refresh", Some(REFRESH_SECS), false, false);
        check("refresh=0", Some(REFRESH_SECS), false, false);
        check("refresh=99999999999", Some(REFRESH_SECS), false, false);
        check("x=notable,auto", None, true, true);
    }
}
