//! # mod_log_config: the access log
//!
//! ```text
//! LogFormat "%h %l %u %t \"%r\" %>s %b" common     a nickname for a format
//! CustomLog logs/access_log common                 a file in that format, or in one written out
//! ```
//!
//! - Here is what the directives say; `log::access` compiles and writes.
//! - A virtual host with a log of its own does not write to the main server's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use herdgate_conf::{Args, Directive, Overrides, Problem, Span};

use super::{HOST, Module};
use crate::config::HostSettings;

/// What TransferLog writes unless a LogFormat without nickname says otherwise.
pub const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;

/// mod_log_config's settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    formats: BTreeMap<String, Format>,
    default_format: Option<Format>,
    logs: Vec<CustomLog>,
}

/// A format, not compiled yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// As written, without the quotes.
    pub text: String,
    /// Where it was written; `None` for the built-in one.
    pub span: Option<Span>,
}

/// One access log, as written.
#[derive(Debug, Clone)]
struct CustomLog {
    target: PathBuf,
    /// A nickname or a format; `None`: TransferLog's.
    format: Option<Format>,
    span: Span,
}

/// One access log with the format that its nickname stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The file; absolute.
    pub target: PathBuf,
    /// Where the target was written.
    pub span: Span,
    /// What a line holds.
    pub format: Format,
}

impl Host {
    /// The logs to write, with nicknames resolved. Ask the merged settings only.
    pub fn logs(&self) -> impl Iterator<Item = AccessLog> {
        self.logs.iter().map(|log| AccessLog {
            target: log.target.clone(),
            span: log.span,
            format: self.resolve(log.format.as_ref()),
        })
    }

    fn resolve(&self, format: Option<&Format>) -> Format {
        let Some(format) = format else { return self.transfer_format() };
        self.formats.get(&format.text).unwrap_or(format).clone()
    }

    /// What TransferLog writes.
    pub fn transfer_format(&self) -> Format {
        let built_in = || Format { text: COMMON.to_string(), span: None };
        self.default_format.clone().unwrap_or_else(built_in)
    }

    /// Formats that no log uses may still be wrong, so all are checked.
    pub(crate) fn formats(&self) -> impl Iterator<Item = &Format> {
        self.formats.values().chain(&self.default_format)
    }

    /// The settings of virtual host `inner` within main server `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        let mut formats = self.formats.clone();
        formats.extend(inner.formats.clone());
        Self {
            formats,
            default_format: inner.default_format.clone().or_else(|| self.default_format.clone()),
            logs: if inner.logs.is_empty() { self.logs.clone() } else { inner.logs.clone() },
        }
    }
}

pub(super) const MODULE: Module = Module {
    name: "log_config_module",
    file: "mod_log_config.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[
    Directive {
        name: "LogFormat",
        syntax: "LogFormat format [nickname]",
        default: Some(r#""%h %l %u %t \"%r\" %>s %b""#),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Gives a format a nickname. Without one, it becomes TransferLog's format.",
        apply: |settings, args| {
            let text = args.word()?.to_string();
            let format = Format { text, span: Some(args.at()) };
            match args.next() {
                Some(nickname) if nickname.text.contains('%') => {
                    return Err(Problem::at(nickname, "a nickname cannot contain '%'"));
                }
                Some(nickname) => _ = settings.log.formats.insert(nickname.text.clone(), format),
                None => settings.log.default_format = Some(format),
            }
            Ok(())
        },
    },
    Directive {
        name: "CustomLog",
        syntax: "CustomLog file-path format|nickname",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The file that a line for every request is appended to, relative to ServerRoot. A \
               host may have several. Pipes and conditions (env=, expr=) are not supported yet.",
        apply: |settings, args| {
            let target = log_file(args)?;
            let span = args.at();
            let text = args.word()?.to_string();
            let format = Some(Format { text, span: Some(args.at()) });
            if let Some(condition) = args.peek() {
                let known =
                    ["env=", "expr="].iter().any(|prefix| condition.text.starts_with(prefix));
                if known {
                    return Err(Problem::at(condition, "conditions are not supported yet"));
                }
            }
            settings.log.logs.push(CustomLog { target, format, span });
            Ok(())
        },
    },
    Directive {
        name: "TransferLog",
        syntax: "TransferLog file-path",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As CustomLog, in the format of the LogFormat without nickname, else in the common \
               one.",
        apply: |settings, args| {
            let target = log_file(args)?;
            settings.log.logs.push(CustomLog { target, format: None, span: args.at() });
            Ok(())
        },
    },
];

fn log_file(args: &mut Args<'_>) -> Result<PathBuf, Problem> {
    let word = args.required()?;
    if word.text.starts_with('|') {
        return Err(Problem::at(word, "piped logs are not supported yet").help("name a file"));
    }
    Ok(args.base().join(&word.text))
}
