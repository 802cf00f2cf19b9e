//! What core keeps for each virtual host: its names, its root, its patience and its limits.
//!
//! Every field is `None` until a line sets it; what a virtual host leaves unset comes from the main
//! server, wherever that is written.

use std::fmt;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use herdgate_conf::{Args, Directive, Overrides, Problem, Span, TimeUnit, Word};

use super::idle;
use super::protocol::{self, ProtocolOptions};
use crate::config::HostSettings;
use crate::http::head::HeadLimits;
use crate::http::status::Status;
use crate::log::error_format::{ErrorFormat, ErrorFormats};
use crate::modules::{HOST, HOST_ONLY};
use crate::route::alias::lexical;
use crate::route::pattern::{self, Slash};
use crate::route::url::{AllowEncodedSlashes, MergeSlashes};

/// Settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    name: Option<ServerName>,
    aliases: Vec<String>,
    admin: Option<String>,
    document_root: Option<(PathBuf, Span)>,
    timeout: Option<Duration>,
    keep_alive: Option<bool>,
    keep_alive_timeout: Option<Duration>,
    keep_alive_requests_max: Option<u32>,
    error_log: Option<(LogTarget, Span)>,
    error_log_formats: ErrorFormats,
    limits: RawLimits,
    protocol: ProtocolOptions,
    merge_slashes: Option<MergeSlashes>,
    encoded_slashes: Option<AllowEncodedSlashes>,
    trace: Option<Trace>,
    access_file_names: Option<Vec<String>>,
    internal_recursion: Option<Recursion>,
    server_path: Option<String>,
    strict_host_check: Option<bool>,
}

/// What `ServerName` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName {
    /// For URLs that the server makes itself; `http` or `https` by the port, if not written.
    pub scheme: Option<String>,
    /// In lower case, without a trailing dot.
    pub host: String,
    /// For URLs that the server makes itself.
    pub port: Option<NonZeroU16>,
}

/// Where an error log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// A file; absolute.
    File(PathBuf),
}

/// Limits of a request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `LimitRequestLine`, without the line end: over it, 414.
    pub line_bytes_max: usize,
    /// `LimitRequestFieldSize`: over it, `field_status`.
    pub field_bytes_max: usize,
    /// `LimitRequestFields`; `None` is unlimited. Over it, `field_status`.
    pub fields_max: Option<usize>,
    /// `LimitRequestFieldStatus`
    pub field_status: Status,
}

#[derive(Debug, Clone, Default)]
struct RawLimits {
    line: Option<usize>,
    field_size: Option<usize>,
    fields: Option<usize>,
    field_status: Option<Status>,
}

/// `LimitInternalRecursion`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recursion {
    /// Internal redirects of one request.
    pub redirects_max: u32,
    /// Requests that wait for each other.
    pub subrequests_max: u32,
}

/// What TRACE is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// 405.
    Off,
    /// The request head comes back; a body is refused with 413.
    On,
    /// The body comes back as well.
    Extended,
}

impl Host {
    /// `ServerName`; `None` until configured (the main server's is then found at start).
    pub fn name(&self) -> Option<&ServerName> {
        self.name.as_ref()
    }

    /// `ServerAlias`: in lower case; `*` and `?` are wildcards.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// `ServerAdmin`
    pub fn admin(&self) -> &str {
        self.admin.as_deref().unwrap_or("[no address given]")
    }

    /// `DocumentRoot`, absolute. Without one, nothing is served but what `Alias` maps.
    pub fn document_root(&self) -> Option<&Path> {
        self.document_root.as_ref().map(|(path, _)| path.as_path())
    }

    /// Where `DocumentRoot` was written.
    pub fn document_root_span(&self) -> Option<Span> {
        self.document_root.as_ref().map(|(_, span)| *span)
    }

    /// `Timeout`: how long one read or write may make no progress.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(60))
    }

    /// `KeepAlive`, and `KeepAliveTimeout` is not 0.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive.unwrap_or(true) && !self.keep_alive_timeout().is_zero()
    }

    /// `KeepAliveTimeout`: how long an idle connection is kept.
    pub fn keep_alive_timeout(&self) -> Duration {
        self.keep_alive_timeout.unwrap_or(Duration::from_secs(5))
    }

    /// `MaxKeepAliveRequests`; 0 is unlimited.
    pub fn keep_alive_requests_max(&self) -> u32 {
        self.keep_alive_requests_max.unwrap_or(100)
    }

    /// `ErrorLog`; `None` where neither the host nor the main server says so.
    pub fn error_log(&self) -> Option<&LogTarget> {
        self.error_log.as_ref().map(|(target, _)| target)
    }

    /// `ErrorLogFormat`
    pub fn error_log_formats(&self) -> &ErrorFormats {
        &self.error_log_formats
    }

    /// Where `ErrorLog` was written.
    pub fn error_log_span(&self) -> Option<Span> {
        self.error_log.as_ref().map(|(_, span)| *span)
    }

    /// How the heads of requests are read.
    pub fn head_limits(&self) -> HeadLimits {
        let limits = self.limits();
        HeadLimits {
            form: self.protocol.form(),
            allows_http09: self.protocol.http09(),
            ..HeadLimits::new(
                limits.line_bytes_max,
                limits.field_bytes_max,
                limits.fields_max.unwrap_or(usize::MAX),
            )
        }
    }

    /// `HttpProtocolOptions RegisteredMethods`
    pub fn registered_methods(&self) -> bool {
        self.protocol.registered_methods()
    }

    pub(super) fn protocol_options(&mut self) -> &mut ProtocolOptions {
        &mut self.protocol
    }

    /// `LimitRequestLine`, `LimitRequestFieldSize`, `LimitRequestFields` and `LimitRequestFieldStatus`.
    pub fn limits(&self) -> Limits {
        Limits {
            line_bytes_max: self.limits.line.unwrap_or(8190),
            field_bytes_max: self.limits.field_size.unwrap_or(8190),
            fields_max: Some(self.limits.fields.unwrap_or(100)).filter(|max| *max > 0),
            field_status: self.limits.field_status.unwrap_or(Status::BAD_REQUEST),
        }
    }

    /// `MergeSlashes`
    pub fn merge_slashes(&self) -> MergeSlashes {
        self.merge_slashes.unwrap_or(MergeSlashes::On)
    }

    /// `AllowEncodedSlashes`
    pub fn encoded_slashes(&self) -> AllowEncodedSlashes {
        self.encoded_slashes.unwrap_or(AllowEncodedSlashes::Off)
    }

    /// `TraceEnable`
    pub fn trace(&self) -> Trace {
        self.trace.unwrap_or(Trace::On)
    }

    /// `LimitInternalRecursion`
    pub fn internal_recursion(&self) -> Recursion {
        self.internal_recursion.unwrap_or(Recursion { redirects_max: 10, subrequests_max: 10 })
    }

    /// Whether `ServerPath` leads here: for clients that name no host.
    pub fn has_path(&self, path: &[u8]) -> bool {
        self.rest_of(path).is_some()
    }

    /// What is looked for below the document root: the path without `ServerPath`.
    pub fn below_path<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        self.rest_of(path).unwrap_or(path)
    }

    fn rest_of<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let own = self.server_path.as_ref()?;
        let rest = path.strip_prefix(own.as_bytes())?;
        (own.ends_with('/') || rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    }

    /// `StrictHostCheck`
    pub fn strict_host_check(&self) -> bool {
        self.strict_host_check.unwrap_or(false)
    }

    /// Whether `ServerName` or `ServerAlias` has this name, which comes in any case and without a port.
    pub fn is_called(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let is_alias =
            |alias: &String| pattern::matches(alias.as_bytes(), name.as_bytes(), Slash::IsOrdinary);
        self.name.as_ref().is_some_and(|own| own.host == name) || self.aliases.iter().any(is_alias)
    }

    /// `AccessFileName`: the first of these that a folder holds is its `.htaccess` file.
    pub fn access_file_names(&self) -> impl Iterator<Item = &str> {
        let names = self.access_file_names.as_deref();
        let default = if names.is_none() { Some(".htaccess") } else { None };
        names.unwrap_or_default().iter().map(String::as_str).chain(default)
    }

    /// The settings of virtual host `inner` within main server `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            // A virtual host has names of its own or none: answering to the main server's would
            // shadow it.
            name: inner.name.clone(),
            aliases: inner.aliases.clone(),
            admin: inner.admin.clone().or_else(|| self.admin.clone()),
            document_root: inner.document_root.clone().or_else(|| self.document_root.clone()),
            timeout: inner.timeout.or(self.timeout),
            keep_alive: inner.keep_alive.or(self.keep_alive),
            keep_alive_timeout: inner.keep_alive_timeout.or(self.keep_alive_timeout),
            keep_alive_requests_max: inner.keep_alive_requests_max.or(self.keep_alive_requests_max),
            error_log: inner.error_log.clone().or_else(|| self.error_log.clone()),
            error_log_formats: self.error_log_formats.merge(&inner.error_log_formats),
            limits: RawLimits {
                line: inner.limits.line.or(self.limits.line),
                field_size: inner.limits.field_size.or(self.limits.field_size),
                fields: inner.limits.fields.or(self.limits.fields),
                field_status: inner.limits.field_status.or(self.limits.field_status),
            },
            protocol: self.protocol.merge(inner.protocol),
            merge_slashes: inner.merge_slashes.or(self.merge_slashes),
            access_file_names: inner
                .access_file_names
                .clone()
                .or_else(|| self.access_file_names.clone()),
            // Alone among these, not inherited: each host says itself that its paths may hold
            // slashes.
            encoded_slashes: inner.encoded_slashes,
            internal_recursion: inner.internal_recursion.or(self.internal_recursion),
            server_path: inner.server_path.clone(),
            strict_host_check: inner.strict_host_check.or(self.strict_host_check),
            trace: inner.trace.or(self.trace),
        }
    }
}

impl fmt::Display for ServerName {
    /// `[scheme://]host[:port]`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(out, "{scheme}://")?;
        }
        out.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(out, ":{port}"))
    }
}

pub(super) const DIRECTIVES: &[Directive<HostSettings>] = &[
    idle::FLUSH_MAX_PIPELINED,
    idle::FLUSH_MAX_THRESHOLD,
    protocol::HTTP_PROTOCOL_OPTIONS,
    idle::MERGE_TRAILERS,
    idle::PROTOCOL,
    idle::PROTOCOLS,
    idle::PROTOCOLS_HONOR_ORDER,
    Directive {
        name: "ServerName",
        syntax: "ServerName [scheme://]host[:port]",
        default: None, // The name of the machine, which is asked for at start.
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The name that this host answers to, and that it uses for itself in redirects and \
               error pages where UseCanonicalName asks for it.",
        apply: |settings, args| {
            settings.core.name = Some(server_name(args.required()?)?);
            Ok(())
        },
    },
    Directive {
        name: "AccessFileName",
        syntax: "AccessFileName filename...",
        default: Some(".htaccess"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "What files with settings for their folder are called. The first name that a folder holds counts.",
        apply: |settings, args| {
            let first = args.required()?;
            let names = std::iter::once(first).chain(args).map(|word| word.text.clone());
            settings.core.access_file_names = Some(names.collect());
            Ok(())
        },
    },
    Directive {
        name: "ServerAlias",
        syntax: "ServerAlias hostname...",
        default: None,
        contexts: HOST_ONLY,
        overrides: Overrides::NONE,
        docs: "Further names that the virtual host answers to. `*` and `?` are wildcards.",
        apply: |settings, args| {
            let first = args.required()?.text.to_ascii_lowercase();
            settings.core.aliases.push(first);
            settings.core.aliases.extend(args.map(|word| word.text.to_ascii_lowercase()));
            Ok(())
        },
    },
    Directive {
        name: "ServerAdmin",
        syntax: "ServerAdmin email-address|URL",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The address that error pages name, as `ServerSignature EMail` and the page of \
               status 500 do.",
        apply: |settings, args| {
            settings.core.admin = Some(args.word()?.to_string());
            Ok(())
        },
    },
    Directive {
        name: "DocumentRoot",
        syntax: "DocumentRoot directory-path",
        default: None, // Apache compiles one in. We serve no folder that nobody named.
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The folder that URLs are looked up in, relative to ServerRoot. One that is missing \
               is a warning, one that is not a directory an error.",
        apply: |settings, args| {
            let path = lexical(&args.path()?);
            settings.core.document_root = Some((path, args.at()));
            Ok(())
        },
    },
    Directive {
        name: "Timeout",
        syntax: "Timeout seconds",
        default: Some("60"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How long one read from the client, or one write to it, may make no progress. Other \
               units can be written: `500ms`, `2mi`.",
        apply: |settings, args| {
            let timeout = args.duration(TimeUnit::Seconds)?;
            // As in Apache, 0 in a virtual host means the main server's.
            settings.core.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
            Ok(())
        },
    },
    Directive {
        name: "KeepAlive",
        syntax: "KeepAlive On|Off",
        default: Some("On"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Whether a connection may carry more than one request.",
        apply: |settings, args| {
            settings.core.keep_alive = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "KeepAliveTimeout",
        syntax: "KeepAliveTimeout number[ms|s|mi|h]",
        default: Some("5"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How long an idle connection is kept for the next request. 0 keeps none.",
        apply: |settings, args| {
            settings.core.keep_alive_timeout = Some(args.duration(TimeUnit::Seconds)?);
            Ok(())
        },
    },
    Directive {
        name: "MaxKeepAliveRequests",
        syntax: "MaxKeepAliveRequests number",
        default: Some("100"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How many requests may follow the first one on its connection; 0 is unlimited.",
        apply: |settings, args| {
            settings.core.keep_alive_requests_max = Some(whole(args, 0, u32::MAX)?);
            Ok(())
        },
    },
    Directive {
        name: "ErrorLog",
        syntax: "ErrorLog file-path",
        default: Some("logs/error_log"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The file that errors are appended to, relative to ServerRoot. Pipes and syslog are \
               not supported yet.",
        apply: |settings, args| {
            let target = log_target(args)?;
            settings.core.error_log = Some((target, args.at()));
            Ok(())
        },
    },
    Directive {
        name: "ErrorLogFormat",
        syntax: "ErrorLogFormat [request] format",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How a line of the error log looks. A field, up to a blank, in which an item has nothing to say is left \
               out. `%L` is the request's UNIQUE_ID. Nobody knows source files, identifiers of connections and how many \
               requests they have had, so that %F, %{c}L and %k are always empty. With `request` it is a line of its \
               own before the first one that concerns a request; there may be several. Those for connections are not \
               supported.",
        apply: |settings, args| error_log_format(&mut settings.core.error_log_formats, args),
    },
    Directive {
        name: "LimitRequestLine",
        syntax: "LimitRequestLine bytes",
        default: Some("8190"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The longest request line that is accepted; a longer one is answered 414. Among the \
               hosts of one address the first one's value counts, since the line comes before the \
               name.",
        apply: |settings, args| {
            settings.core.limits.line = Some(whole(args, 0, HEAD_BYTES_MAX)? as usize);
            Ok(())
        },
    },
    Directive {
        name: "LimitRequestFieldSize",
        syntax: "LimitRequestFieldSize bytes",
        default: Some("8190"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The longest header field that is accepted; a longer one is answered as LimitRequestFieldStatus says.",
        apply: |settings, args| {
            settings.core.limits.field_size = Some(whole(args, 0, HEAD_BYTES_MAX)? as usize);
            Ok(())
        },
    },
    Directive {
        name: "LimitRequestFields",
        syntax: "LimitRequestFields number",
        default: Some("100"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How many header fields a request may have; more are answered as LimitRequestFieldStatus says. 0 is \
               unlimited.",
        apply: |settings, args| {
            settings.core.limits.fields = Some(whole(args, 0, 32767)? as usize);
            Ok(())
        },
    },
    Directive {
        name: "LimitRequestFieldStatus",
        syntax: "LimitRequestFieldStatus 400|431",
        default: Some("400"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Herdgate's own. How a header field that is too long, or one too many, is answered: 400 as by Apache, or 431, \
               which tells a client what to mend (RFC 6585).",
        apply: |settings, args| {
            settings.core.limits.field_status = Some(args.choice(&[
                ("400", Status::BAD_REQUEST),
                ("431", Status::HEADER_FIELDS_TOO_LARGE),
            ])?);
            Ok(())
        },
    },
    Directive {
        name: "MergeSlashes",
        syntax: "MergeSlashes On|Off",
        default: Some("On"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Whether runs of slashes in a URL's path count as one.",
        apply: |settings, args| {
            let merge = if args.flag()? { MergeSlashes::On } else { MergeSlashes::Off };
            settings.core.merge_slashes = Some(merge);
            Ok(())
        },
    },
    Directive {
        name: "AllowEncodedSlashes",
        syntax: "AllowEncodedSlashes On|Off|NoDecode",
        default: Some("Off"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "What `%2F` in a URL's path means: Off answers 404, On makes it a slash, NoDecode \
               leaves it as it is. A virtual host does not inherit it.",
        apply: |settings, args| {
            settings.core.encoded_slashes = Some(args.choice(&[
                ("On", AllowEncodedSlashes::On),
                ("Off", AllowEncodedSlashes::Off),
                ("NoDecode", AllowEncodedSlashes::NoDecode),
            ])?);
            Ok(())
        },
    },
    Directive {
        name: "LimitInternalRecursion",
        syntax: "LimitInternalRecursion redirects [subrequests]",
        default: Some("10"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "How many internal redirects one request may make, and how many requests may wait for each other, before \
               it is answered 500: a loop ends there.",
        apply: |settings, args| {
            let redirects_max = whole(args, 1, u32::MAX)?;
            let subrequests_max =
                if args.peek().is_some() { whole(args, 1, u32::MAX)? } else { redirects_max };
            if redirects_max < 4 {
                let message =
                    "Limiting internal redirects to very low numbers may break normal requests.";
                args.warn(Problem::new(message));
            }
            settings.core.internal_recursion = Some(Recursion { redirects_max, subrequests_max });
            Ok(())
        },
    },
    Directive {
        name: "ServerPath",
        syntax: "ServerPath URL-path",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "The beginning of paths by which a client that names no host asks for this one among those of the address.",
        apply: |settings, args| {
            settings.core.server_path = Some(args.word()?.to_string());
            Ok(())
        },
    },
    Directive {
        name: "StrictHostCheck",
        syntax: "StrictHostCheck On|Off",
        default: Some("Off"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Whether a request for a name that the host has neither as ServerName nor as ServerAlias is answered 400.",
        apply: |settings, args| {
            settings.core.strict_host_check = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "TraceEnable",
        syntax: "TraceEnable On|Off|Extended",
        default: Some("On"),
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Whether TRACE is answered with the request as it arrived; Extended also returns a \
               body.",
        apply: |settings, args| {
            settings.core.trace = Some(args.choice(&[
                ("On", Trace::On),
                ("Off", Trace::Off),
                ("Extended", Trace::Extended),
            ])?);
            Ok(())
        },
    },
];

/// Nobody needs a head longer than this, and a bound keeps a typing error from becoming a memory
/// limit.
const HEAD_BYTES_MAX: u32 = 16 << 20;

/// A whole number from `low` to `high`.
fn whole(args: &mut Args<'_>, low: u32, high: u32) -> Result<u32, Problem> {
    let number = args.number(i64::from(low)..=i64::from(high))?;
    Ok(u32::try_from(number).unwrap_or(high))
}

fn server_name(word: &Word) -> Result<ServerName, Problem> {
    let bad = |message: &str| Problem::at(word, message);
    let (scheme, rest) = match word.text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, word.text.as_str()),
    };
    // A port follows the last colon, unless that stands within the brackets of an IPv6 address.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    if host.contains(['*', '?']) {
        return Err(bad("Invalid ServerName: wildcards are not allowed").help("use ServerAlias"));
    }
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/' || c.is_control()) {
        return Err(
            bad("Invalid ServerName").help("only a host name, with scheme:// or :port if need be")
        );
    }
    let port = port.map(|port| port.parse().map_err(|_| bad("the port must be from 1 to 65535")));
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    Ok(ServerName { scheme, host, port: port.transpose()? })
}

/// What to do without programs that logs are piped to.
pub(crate) const NAME_A_FILE: &str =
    "name a file; logrotate can move it, and herdgate -k graceful opens it anew";

fn log_target(args: &mut Args<'_>) -> Result<LogTarget, Problem> {
    let word = args.required()?;
    let name = word.text.as_str();
    if name.starts_with('|') {
        return Err(Problem::lacking(word, "piped logs are not supported yet").help(NAME_A_FILE));
    }
    if name == "syslog" || name.starts_with("syslog:") {
        return Err(Problem::lacking(word, "syslog is not supported yet").help(NAME_A_FILE));
    }
    Ok(LogTarget::File(args.base().join(name)))
}

fn error_log_format(formats: &mut ErrorFormats, args: &mut Args<'_>) -> Result<(), Problem> {
    let first = args.required()?;
    let compile =
        |word: &Word| ErrorFormat::compile(&word.text).map_err(|error| Problem::at(word, error));
    match (args.next(), first.text.to_ascii_lowercase().as_str()) {
        (None, _) => formats.line = Some(Arc::new(compile(first)?)),
        (Some(format), "request") => formats.request.push(compile(format)?),
        (Some(_), "connection") => {
            return Err(Problem::lacking(first, "lines for each connection are not supported")
                .help("put what they tell into the one format"));
        }
        (Some(_), _) => {
            return Err(Problem::at(first, "only connection or request may stand here"));
        }
    }
    Ok(())
}
