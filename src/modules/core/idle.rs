//! Directives that real configurations have and that change nothing here: they are checked, so that a typing error is
//! still found, and their texts say why nothing comes of them.
//!
//! What a line protects never belongs here: what cannot be obeyed then is refused.

use herdgate_conf::{Args, Context, Directive, Overrides, Problem};

use crate::config::{DirSettings, HostSettings, ServerSettings};
use crate::modules::{EVERYWHERE, HOST, HOST_AND_SECTION, SECTION, SERVER};

/// A row that only checks its words.
const fn idle<T>(
    name: &'static str,
    syntax: &'static str,
    contexts: &'static [Context],
    overrides: Overrides,
    docs: &'static str,
    apply: fn(&mut T, &mut Args<'_>) -> Result<(), Problem>,
) -> Directive<T> {
    Directive { name, syntax, default: None, contexts, overrides, docs, apply }
}

fn flag<T>(_: &mut T, args: &mut Args<'_>) -> Result<(), Problem> {
    args.flag().map(|_| ())
}

fn words<T>(_: &mut T, args: &mut Args<'_>) -> Result<(), Problem> {
    args.word()?;
    args.rest();
    Ok(())
}

fn bytes<T>(_: &mut T, args: &mut Args<'_>) -> Result<(), Problem> {
    args.number(0..).map(|_| ())
}

// ---- the whole server

pub(super) const ENABLE_EXCEPTION_HOOK: Directive<ServerSettings> = idle(
    "EnableExceptionHook",
    "EnableExceptionHook On|Off",
    SERVER,
    Overrides::NONE,
    "Without effect: no module here looks at a child that has crashed. The error log names its signal.",
    flag,
);

pub(super) const NAME_VIRTUAL_HOST: Directive<ServerSettings> = idle(
    "NameVirtualHost",
    "NameVirtualHost address[:port]",
    SERVER,
    Overrides::NONE,
    "Without effect since Apache 2.4: hosts at one address are always told apart by name.",
    |_, args| {
        args.word()?;
        args.warn(Problem::new(
            "NameVirtualHost has no effect and will be removed in the next release",
        ));
        Ok(())
    },
);

pub(super) const REGISTER_HTTP_METHOD: Directive<ServerSettings> = idle(
    "RegisterHttpMethod",
    "RegisterHttpMethod method...",
    SERVER,
    Overrides::NONE,
    "Without effect: a method that nobody here answers is refused by its name, registered or not.",
    words,
);

// ---- virtual hosts

pub(super) const FLUSH_MAX_PIPELINED: Directive<HostSettings> = idle(
    "FlushMaxPipelined",
    "FlushMaxPipelined number",
    HOST,
    Overrides::NONE,
    "Without effect: answers to requests that came together always leave together, up to 64 KiB.",
    |_, args| args.number(-1..).map(|_| ()),
);

pub(super) const FLUSH_MAX_THRESHOLD: Directive<HostSettings> = idle(
    "FlushMaxThreshold",
    "FlushMaxThreshold bytes",
    HOST,
    Overrides::NONE,
    "Without effect: answers leave as soon as the socket takes them.",
    bytes,
);

pub(super) const MERGE_TRAILERS: Directive<HostSettings> = idle(
    "MergeTrailers",
    "MergeTrailers On|Off",
    HOST,
    Overrides::NONE,
    "Without effect: fields behind a chunked body are checked and thrown away.",
    flag,
);

pub(super) const PROTOCOL: Directive<HostSettings> = idle(
    "Protocol",
    "Protocol protocol",
    HOST,
    Overrides::NONE,
    "Without effect: what a listener waits for is said by Listen and AcceptFilter.",
    words,
);

pub(super) const PROTOCOLS: Directive<HostSettings> = idle(
    "Protocols",
    "Protocols protocol...",
    HOST,
    Overrides::NONE,
    "Without effect: HTTP/1.1 is spoken, and HTTP/1.0. Of h2 and h2c it is said that clients settle for HTTP/1.1.",
    |_, args| {
        let first = args.required()?;
        for word in std::iter::once(first).chain(&mut *args) {
            if ["h2", "h2c"].iter().any(|name| name.eq_ignore_ascii_case(&word.text)) {
                args.warn(Problem::at(word, "HTTP/2 is not spoken; clients settle for HTTP/1.1"));
                args.rest();
                return Ok(());
            }
        }
        Ok(())
    },
);

pub(super) const PROTOCOLS_HONOR_ORDER: Directive<HostSettings> = idle(
    "ProtocolsHonorOrder",
    "ProtocolsHonorOrder On|Off",
    HOST,
    Overrides::NONE,
    "Without effect: there is one protocol.",
    flag,
);

// ---- sections

pub(super) const CGI_PASS_AUTH: Directive<DirSettings> = idle(
    "CGIPassAuth",
    "CGIPassAuth On|Off",
    SECTION,
    Overrides::AUTH_CONFIG,
    "Without effect: no programs are run.",
    flag,
);

pub(super) const CGI_VAR: Directive<DirSettings> = idle(
    "CGIVar",
    "CGIVar REQUEST_URI original-uri|current-uri",
    SECTION,
    Overrides::FILE_INFO,
    "Without effect: no programs are run.",
    |_, args| {
        args.choice(&[("REQUEST_URI", ())])?;
        args.choice(&[("original-uri", ()), ("current-uri", ())])
    },
);

pub(super) const CONTENT_DIGEST: Directive<DirSettings> = idle(
    "ContentDigest",
    "ContentDigest On|Off",
    EVERYWHERE,
    Overrides::OPTIONS,
    "Off is what there is. On is not supported: HTTP has dropped Content-MD5 (RFC 7231, appendix B).",
    |_, args| {
        if !args.flag()? {
            return Ok(());
        }
        Err(Problem::lacking(args.at(), "Content-MD5 is not supported")
            .help("take the line out: HTTP has dropped the field"))
    },
);

pub(super) const LIMIT_XML_REQUEST_BODY: Directive<DirSettings> = idle(
    "LimitXMLRequestBody",
    "LimitXMLRequestBody bytes",
    EVERYWHERE,
    Overrides::ALL,
    "Without effect: no body is read as XML. LimitRequestBody holds for all.",
    bytes,
);

pub(super) const READ_BUFFER_SIZE: Directive<DirSettings> = idle(
    "ReadBufferSize",
    "ReadBufferSize bytes",
    HOST_AND_SECTION,
    Overrides::NONE,
    "Without effect: files go from the page cache to the socket.",
    bytes,
);

const RLIMIT_DOCS: &str = "Without effect: it is about programs that requests start, and none are.";

pub(super) const RLIMIT_CPU: Directive<DirSettings> = idle(
    "RLimitCPU",
    "RLimitCPU seconds|max [seconds|max]",
    EVERYWHERE,
    Overrides::ALL,
    RLIMIT_DOCS,
    rlimit,
);

pub(super) const RLIMIT_MEM: Directive<DirSettings> = idle(
    "RLimitMEM",
    "RLimitMEM bytes|max [bytes|max]",
    EVERYWHERE,
    Overrides::ALL,
    RLIMIT_DOCS,
    rlimit,
);

pub(super) const RLIMIT_NPROC: Directive<DirSettings> = idle(
    "RLimitNPROC",
    "RLimitNPROC number|max [number|max]",
    EVERYWHERE,
    Overrides::ALL,
    RLIMIT_DOCS,
    rlimit,
);

fn rlimit(_: &mut DirSettings, args: &mut Args<'_>) -> Result<(), Problem> {
    let check = |args: &mut Args<'_>| match args.peek() {
        Some(word) if word.text.eq_ignore_ascii_case("max") => args.word().map(|_| ()),
        Some(_) | None => args.number(0..).map(|_| ()),
    };
    check(args)?;
    if args.peek().is_some() { check(args) } else { Ok(()) }
}
