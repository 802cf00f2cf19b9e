//! What core keeps for each section: how files are opened, described and sent, and what errors look
//! like.

use std::collections::BTreeMap;
use std::sync::Arc;

use herdgate_conf::{Args, Context, Directive, Overrides, Problem, Word};

use super::idle;
use super::log_level::LogLevels;
use super::options::{self, Options};
use super::overrides::{self, AllowOverride, Permit};
use crate::config::DirSettings;
use crate::expr::Text;
use crate::http::range::RangeLimits;
use crate::modules::change::Change;
use crate::modules::{DIRECTORY, EVERYWHERE, HOST_AND_SECTION};

/// Core's settings of one section. Every field is unset until a line sets it.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    options: Change,
    accept_path_info: Option<AcceptPathInfo>,
    default_charset: Option<Option<String>>,
    canonical_name: Option<CanonicalName>,
    canonical_physical_port: Option<bool>,
    hostname_lookups: Option<HostnameLookups>,
    signature: Option<Signature>,
    error_documents: BTreeMap<u16, ErrorDocument>,
    forced_type: Option<Option<String>>,
    handler: Option<Option<String>>,
    etag: Change,
    sendfile: Option<bool>,
    mmap: Option<bool>,
    body_bytes_max: Option<u64>,
    log_levels: LogLevels,
    hidden_files: Option<HiddenFiles>,
    allow_override: Option<AllowOverride>,
    allow_override_list: Option<Arc<[String]>>,
    ranges: Ranges,
    qualify_redirect_url: Option<bool>,
}

/// `MaxRanges` and its kind: `None` until a line sets it, then a number or no limit.
#[derive(Debug, Clone, Copy, Default)]
struct Ranges {
    ranges: Option<Option<usize>>,
    overlaps: Option<Option<usize>>,
    reversals: Option<Option<usize>>,
}

/// Whether a URL may go on behind the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptPathInfo {
    /// The handler decides: files say no, scripts would say yes.
    Default,
    /// It may.
    On,
    /// 404.
    Off,
}

/// Which name the server uses for itself in URLs that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanonicalName {
    /// The one that the client used.
    Off,
    /// ServerName.
    On,
    /// What the DNS calls the address that the client has connected to.
    Dns,
}

/// Whether clients have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostnameLookups {
    /// They have addresses.
    Off,
    /// What the DNS calls the address.
    On,
    /// The same, if the name has the address.
    Double,
}

/// What stands at the foot of pages that the server makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// Nothing.
    Off,
    /// Product, host and port.
    On,
    /// The same with a link to ServerAdmin.
    Email,
}

/// What an error is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorDocument {
    /// The built-in page, whatever outer sections said.
    Default,
    /// This text, as HTML. Variables in it, as in the other two: [`crate::expr::Text`].
    Text(String),
    /// What a request for this path would give; it begins with a slash.
    Path(String),
    /// A redirect to this URL, with status 302.
    Url(String),
}

/// Whether names that begin with a dot can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenFiles {
    /// Like any other name, as in Apache.
    Show,
    /// As if they did not exist, except `.well-known` (RFC 8615).
    Hide,
}

/// What an ETag is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtagParts(u32);

impl EtagParts {
    /// No ETag at all.
    pub const NONE: Self = Self(0);
    /// The inode's number, which differs between machines behind one name.
    pub const INODE: Self = Self(1);
    /// The time of the last change.
    pub const MTIME: Self = Self(2);
    /// The size in bytes.
    pub const SIZE: Self = Self(4);
    /// The SHA-1 of the content; the other parts then have no say.
    pub const DIGEST: Self = Self(8);
    const ALL: Self = Self(Self::INODE.0 | Self::MTIME.0 | Self::SIZE.0);
    const DEFAULT: Self = Self(Self::MTIME.0 | Self::SIZE.0);

    /// Whether every part of `others` is in it.
    pub fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl Directory {
    /// `Options`
    pub fn options(&self) -> Options {
        Options::effective(&self.options)
    }

    /// `AcceptPathInfo`
    pub fn accept_path_info(&self) -> AcceptPathInfo {
        self.accept_path_info.unwrap_or(AcceptPathInfo::Default)
    }

    /// `AddDefaultCharset`: for text/html and text/plain that name none.
    pub fn default_charset(&self) -> Option<&str> {
        self.default_charset.as_ref()?.as_deref()
    }

    /// `UseCanonicalName`
    pub fn canonical_name(&self) -> CanonicalName {
        self.canonical_name.unwrap_or(CanonicalName::Off)
    }

    /// `UseCanonicalPhysicalPort`
    pub fn canonical_physical_port(&self) -> bool {
        self.canonical_physical_port.unwrap_or(false)
    }

    /// `HostnameLookups`
    pub fn hostname_lookups(&self) -> HostnameLookups {
        self.hostname_lookups.unwrap_or(HostnameLookups::Off)
    }

    /// `ServerSignature`
    pub fn signature(&self) -> Signature {
        self.signature.unwrap_or(Signature::Off)
    }

    /// `ErrorDocument` of this status; `None` is the built-in page.
    pub fn error_document(&self, status: u16) -> Option<&ErrorDocument> {
        let document = self.error_documents.get(&status)?;
        Some(document).filter(|document| **document != ErrorDocument::Default)
    }

    /// `ForceType`, in lower case.
    pub fn forced_type(&self) -> Option<&str> {
        self.forced_type.as_ref()?.as_deref()
    }

    /// `SetHandler`, in lower case.
    pub fn handler(&self) -> Option<&str> {
        self.handler.as_ref()?.as_deref()
    }

    /// Another type, whatever was written.
    pub(crate) fn force_type(&mut self, media_type: &str) {
        self.forced_type = Some(Some(media_type.to_owned()));
    }

    /// Another handler, whatever was written.
    pub(crate) fn force_handler(&mut self, handler: &str) {
        self.handler = Some(Some(handler.to_owned()));
    }

    /// `FileETag`
    pub fn etag(&self) -> EtagParts {
        EtagParts(self.etag.effective(EtagParts::DEFAULT.0))
    }

    /// `EnableSendfile`. Unset means yes, unlike in Apache: sendfile is our usual road.
    pub fn sendfile(&self) -> bool {
        self.sendfile.unwrap_or(true)
    }

    /// `EnableMMAP`
    pub fn mmap(&self) -> bool {
        self.mmap.unwrap_or(true)
    }

    /// `LimitRequestBody`; `None` is unlimited. Over it, 413.
    pub fn body_bytes_max(&self) -> Option<u64> {
        Some(self.body_bytes_max.unwrap_or(1 << 30)).filter(|max| *max > 0)
    }

    /// `LogLevel`
    pub fn log_levels(&self) -> &LogLevels {
        &self.log_levels
    }

    /// `HiddenFiles`
    pub fn hidden_files(&self) -> HiddenFiles {
        self.hidden_files.unwrap_or(HiddenFiles::Show)
    }

    /// `MaxRanges`, `MaxRangeOverlaps` and `MaxRangeReversals`
    pub fn range_limits(&self) -> RangeLimits {
        let default = RangeLimits::default();
        RangeLimits {
            ranges_max: self.ranges.ranges.unwrap_or(default.ranges_max),
            overlaps_max: self.ranges.overlaps.unwrap_or(default.overlaps_max),
            reversals_max: self.ranges.reversals.unwrap_or(default.reversals_max),
        }
    }

    /// `QualifyRedirectURL`
    pub fn qualify_redirect_url(&self) -> bool {
        self.qualify_redirect_url.unwrap_or(false)
    }

    /// `AllowOverride` and `AllowOverrideList`: puts what is written here into a permit.
    pub fn permit(&self, permit: &mut Permit) {
        if let Some(allowed) = self.allow_override {
            permit.allowed = allowed;
        }
        if let Some(list) = &self.allow_override_list {
            permit.list = Some(Arc::clone(list));
        }
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        let mut error_documents = self.error_documents.clone();
        error_documents.extend(inner.error_documents.clone());
        Self {
            options: self.options.merge(&inner.options),
            accept_path_info: inner.accept_path_info.or(self.accept_path_info),
            default_charset: inner.default_charset.clone().or_else(|| self.default_charset.clone()),
            canonical_name: inner.canonical_name.or(self.canonical_name),
            canonical_physical_port: inner.canonical_physical_port.or(self.canonical_physical_port),
            hostname_lookups: inner.hostname_lookups.or(self.hostname_lookups),
            signature: inner.signature.or(self.signature),
            error_documents,
            forced_type: inner.forced_type.clone().or_else(|| self.forced_type.clone()),
            handler: inner.handler.clone().or_else(|| self.handler.clone()),
            etag: self.etag.merge(&inner.etag),
            sendfile: inner.sendfile.or(self.sendfile),
            mmap: inner.mmap.or(self.mmap),
            body_bytes_max: inner.body_bytes_max.or(self.body_bytes_max),
            log_levels: self.log_levels.merge(&inner.log_levels),
            hidden_files: inner.hidden_files.or(self.hidden_files),
            allow_override: inner.allow_override.or(self.allow_override),
            allow_override_list: inner
                .allow_override_list
                .clone()
                .or_else(|| self.allow_override_list.clone()),
            ranges: Ranges {
                ranges: inner.ranges.ranges.or(self.ranges.ranges),
                overlaps: inner.ranges.overlaps.or(self.ranges.overlaps),
                reversals: inner.ranges.reversals.or(self.ranges.reversals),
            },
            qualify_redirect_url: inner.qualify_redirect_url.or(self.qualify_redirect_url),
        }
    }
}

pub(super) const DIRECTIVES: &[Directive<DirSettings>] = &[
    idle::CGI_PASS_AUTH,
    idle::CGI_VAR,
    idle::CONTENT_DIGEST,
    idle::LIMIT_XML_REQUEST_BODY,
    idle::READ_BUFFER_SIZE,
    idle::RLIMIT_CPU,
    idle::RLIMIT_MEM,
    idle::RLIMIT_NPROC,
    Directive {
        name: "Options",
        syntax: "Options [+|-]option...",
        default: Some("FollowSymLinks"),
        contexts: EVERYWHERE,
        overrides: Overrides::OPTIONS,
        docs: "What a directory's content may do: Indexes lists directories that have no index \
               file, FollowSymLinks follows links anywhere, SymLinksIfOwnerMatch those that belong \
               to the owner of their target, and SymLinksBeneath, which is Herdgate's own, those \
               that stay beneath the root. MultiViews, ExecCGI, Includes and IncludesNOEXEC are \
               read and have no effect yet. All is everything but MultiViews and the limited kinds \
               of links. A list without signs replaces what was inherited, one with signs changes \
               it.",
        apply: |settings, args| {
            let change = options::parse(args)?;
            settings.core.options = settings.core.options.merge(&change);
            Ok(())
        },
    },
    Directive {
        name: "AllowOverride",
        syntax: "AllowOverride All|None|class...",
        default: Some("None"),
        contexts: DIRECTORY,
        overrides: Overrides::NONE,
        docs: "What .htaccess files in the folder and below it may hold: the classes AuthConfig, FileInfo, Indexes, \
               Limit and Options, or Options=name,name for some options only. Nonfatal=Override, Nonfatal=Unknown and \
               Nonfatal=All pass over what is not allowed, or not known, instead of answering 500. With None, no file \
               is looked for. Where nobody has written it, None holds.",
        apply: |settings, args| {
            settings.core.allow_override = Some(overrides::parse(args)?);
            Ok(())
        },
    },
    Directive {
        name: "AllowOverrideList",
        syntax: "AllowOverrideList None|directive...",
        default: Some("None"),
        contexts: DIRECTORY,
        overrides: Overrides::NONE,
        docs: "Single directives that .htaccess files may hold, whatever AllowOverride says.",
        apply: |settings, args| {
            settings.core.allow_override_list = Some(overrides::parse_list(args)?);
            Ok(())
        },
    },
    Directive {
        name: "AcceptPathInfo",
        syntax: "AcceptPathInfo On|Off|Default",
        default: Some("Default"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Whether a URL may go on behind the name of a file, as in /page.html/more. By \
               default files refuse it with 404.",
        apply: |settings, args| {
            settings.core.accept_path_info = Some(args.choice(&[
                ("On", AcceptPathInfo::On),
                ("Off", AcceptPathInfo::Off),
                ("Default", AcceptPathInfo::Default),
            ])?);
            Ok(())
        },
    },
    Directive {
        name: "AddDefaultCharset",
        syntax: "AddDefaultCharset On|Off|charset",
        default: Some("Off"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "The charset named for text/html and text/plain where nothing else names one. On is \
               iso-8859-1.",
        apply: |settings, args| {
            let charset = args.word()?;
            settings.core.default_charset = Some(match charset.to_ascii_lowercase().as_str() {
                "off" => None,
                "on" => Some("iso-8859-1".to_string()),
                _ => Some(charset.to_string()),
            });
            Ok(())
        },
    },
    Directive {
        name: "UseCanonicalName",
        syntax: "UseCanonicalName On|Off|DNS",
        default: Some("Off"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "Whether the server calls itself by its ServerName in redirects and page feet, or by \
               the name that the client used; or, with DNS, by what the DNS calls the address that the client has \
               connected to, ServerName if that has no name. Event loops do not wait for the DNS.",
        apply: |settings, args| {
            let word = args.required()?;
            settings.core.canonical_name = Some(match word.text.to_ascii_lowercase().as_str() {
                "on" => CanonicalName::On,
                "off" => CanonicalName::Off,
                "dns" => CanonicalName::Dns,
                _ => return Err(Problem::at(word, "UseCanonicalName must be On, Off or DNS")),
            });
            Ok(())
        },
    },
    Directive {
        name: "UseCanonicalPhysicalPort",
        syntax: "UseCanonicalPhysicalPort On|Off",
        default: Some("Off"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "Whether the port that the connection came in by is used in the server's own URLs, \
               where neither the client nor ServerName gives one.",
        apply: |settings, args| {
            settings.core.canonical_physical_port = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "HostnameLookups",
        syntax: "HostnameLookups On|Off|Double",
        default: Some("Off"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "Whether the log and Remote_Host have the name of a client's address instead of the address itself; with \
               Double, only a name that has the address in turn. An answer of the DNS is remembered for a minute. In the \
               event model nobody else waits for it, but the client does.",
        apply: |settings, args| {
            settings.core.hostname_lookups = Some(args.choice(&[
                ("On", HostnameLookups::On),
                ("Off", HostnameLookups::Off),
                ("Double", HostnameLookups::Double),
            ])?);
            Ok(())
        },
    },
    Directive {
        name: "ServerSignature",
        syntax: "ServerSignature On|Off|EMail",
        default: Some("Off"),
        contexts: EVERYWHERE,
        overrides: Overrides::ALL,
        docs: "Whether error pages and listings end with a line that names server, host and port; \
               EMail adds a link to ServerAdmin.",
        apply: |settings, args| {
            settings.core.signature = Some(args.choice(&[
                ("On", Signature::On),
                ("Off", Signature::Off),
                ("EMail", Signature::Email),
            ])?);
            Ok(())
        },
    },
    Directive {
        name: "ErrorDocument",
        syntax: "ErrorDocument status document",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "What an error is answered with: a path of this server (it begins with a slash), a \
               URL to redirect to, a text in quotes, or `default` for the built-in page. Variables such as \
               `%{REQUEST_URI}` are filled in, and escaped in a text.",
        apply: |settings, args| {
            let status = error_status(args)?;
            let document = error_document(args, status)?;
            settings.core.error_documents.extend(document.map(|document| (status, document)));
            Ok(())
        },
    },
    Directive {
        name: "ForceType",
        syntax: "ForceType media-type|None",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "The media type of every file here, whatever its name. None goes back to the names.",
        apply: |settings, args| {
            let media_type = args.word()?.to_ascii_lowercase();
            settings.core.forced_type = Some(Some(media_type).filter(|name| name != "none"));
            Ok(())
        },
    },
    Directive {
        name: "SetHandler",
        syntax: "SetHandler handler-name|None",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "What answers here, whatever the file: server-status and its kind, which need no file at all, or \
               default-handler, which sends the file as it is. None takes back what an outer section has set.",
        apply: |settings, args| {
            let name = args.word()?.to_ascii_lowercase();
            if args.context() != Context::Htaccess
                && let Some(help) = runs_a_program(&name)
            {
                let message =
                    format!("{name} would be a program, and its text would be sent instead");
                return Err(Problem::lacking(args.at(), message).help(help));
            }
            settings.core.handler = Some(Some(name).filter(|name| name != "none"));
            Ok(())
        },
    },
    Directive {
        name: "SetOutputFilter",
        syntax: "SetOutputFilter filter[;filter...]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Filters every response: DEFLATE, BROTLI_COMPRESS and ZSTD_COMPRESS compress, RATE_LIMIT slows down. None \
               takes back what an outer section has set.",
        apply: |settings, args| settings.filter.set_to(args.required()?),
    },
    Directive {
        name: "DefaultType",
        syntax: "DefaultType None",
        default: Some("None"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Without effect since Apache 2.4: a file whose type nobody knows is sent without \
               Content-Type. Any value but None is ignored with a warning.",
        apply: |_, args| {
            let word = args.required()?;
            if !word.text.eq_ignore_ascii_case("none") {
                args.warn(Problem::at(word, "Ignoring deprecated use of DefaultType"));
            }
            Ok(())
        },
    },
    Directive {
        name: "FileETag",
        syntax: "FileETag [+|-]part...",
        default: Some("MTime Size"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "What the ETag of a file is made of: INode, MTime, Size, All of these, or None; or Digest, the SHA-1 of its \
               content, which copies of a file share whatever their times: it is read once for each change, never by \
               an event loop. Values with a sign change what was inherited.",
        apply: |settings, args| {
            let change = etag_change(args)?;
            settings.core.etag = settings.core.etag.merge(&change);
            Ok(())
        },
    },
    Directive {
        name: "EnableSendfile",
        syntax: "EnableSendfile On|Off",
        default: Some("On"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Whether files beyond 64 KiB go from the page cache to the socket by sendfile(2), which costs least. On \
               unless switched off, unlike in Apache. Switch it off for file systems where it misbehaves, and for files \
               that somebody shortens in place instead of replacing them: what has gone into the socket may change until \
               it has left.",
        apply: |settings, args| {
            settings.core.sendfile = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "EnableMMAP",
        syntax: "EnableMMAP On|Off",
        default: Some("On"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Whether files beyond 64 KiB are mapped into memory to send them, where sendfile(2) is switched off or \
               does not work; Off reads them. A file that shrinks while it is sent harms nobody but who asked for it: the \
               server never looks at what is mapped. Switch it off where mapping is slow or wrong, as on some network file \
               systems.",
        apply: |settings, args| {
            settings.core.mmap = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "LimitRequestBody",
        syntax: "LimitRequestBody bytes",
        default: Some("1073741824"),
        contexts: EVERYWHERE,
        overrides: Overrides::ALL,
        docs: "The longest request body that is accepted; a longer one is answered 413. 0 is \
               unlimited.",
        apply: |settings, args| {
            settings.core.body_bytes_max = Some(args.size()?);
            Ok(())
        },
    },
    Directive {
        name: "MaxRanges",
        syntax: "MaxRanges default|unlimited|none|number",
        default: Some("200"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "How many parts of a file one request may ask for, neighbours that overlap or touch counting as one; who \
               asks for more gets all of it. With none, nobody gets a part, and Accept-Ranges says so.",
        apply: |settings, args| {
            settings.core.ranges.ranges =
                Some(range_limit(args, RangeLimits::default().ranges_max)?);
            Ok(())
        },
    },
    Directive {
        name: "MaxRangeOverlaps",
        syntax: "MaxRangeOverlaps default|unlimited|none|number",
        default: Some("20"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "How many parts may overlap or touch the one that they follow; who asks for more gets all of the file.",
        apply: |settings, args| {
            settings.core.ranges.overlaps =
                Some(range_limit(args, RangeLimits::default().overlaps_max)?);
            Ok(())
        },
    },
    Directive {
        name: "MaxRangeReversals",
        syntax: "MaxRangeReversals default|unlimited|none|number",
        default: Some("20"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "How many of the parts that overlap or touch the one that they follow may begin before it; who asks for more \
               gets all of the file.",
        apply: |settings, args| {
            settings.core.ranges.reversals =
                Some(range_limit(args, RangeLimits::default().reversals_max)?);
            Ok(())
        },
    },
    Directive {
        name: "QualifyRedirectURL",
        syntax: "QualifyRedirectURL On|Off",
        default: Some("Off"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::FILE_INFO,
        docs: "Whether the variable REDIRECT_URL, which an internal redirect leaves, has scheme and host.",
        apply: |settings, args| {
            settings.core.qualify_redirect_url = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "LogLevel",
        syntax: "LogLevel [module:]level...",
        default: Some("warn"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "How grave a message must be to be written to the error log: emerg, alert, crit, \
               error, warn, notice, info, debug, trace1 to trace8. A module may have its own: \
               `LogLevel info dir:debug`. Notices are always written.",
        apply: |settings, args| settings.core.log_levels.read(args),
    },
    Directive {
        name: "HiddenFiles",
        syntax: "HiddenFiles Show|Hide",
        default: Some("Show"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "Herdgate's own: Hide answers 404 for every path with a component that begins with a \
               dot, except .well-known, and leaves such names out of listings. `herdgate serve` \
               sets it.",
        apply: |settings, args| {
            let choices = [("Show", HiddenFiles::Show), ("Hide", HiddenFiles::Hide)];
            settings.core.hidden_files = Some(args.choice(&choices)?);
            Ok(())
        },
    },
];

/// What to do about a handler that stands for a program, which is not here to read its own source.
fn runs_a_program(handler: &str) -> Option<&'static str> {
    let is_program = ["cgi-script", "fcgid-script", "perl-script", "wsgi-script", "server-parsed"]
        .contains(&handler)
        || ["application/x-httpd-php", "php-script", "php5-script", "php7-script", "proxy:"]
            .iter()
            .any(|beginning| handler.starts_with(beginning));
    is_program
        .then_some("let a proxy before Herdgate send these URLs to a server that runs the program")
}

/// A status that can have a document: any redirect or error that HTTP defines.
fn error_status(args: &mut Args<'_>) -> Result<u16, Problem> {
    let word = args.required()?;
    let known = |status: &u16| {
        matches!(status, 300..=308 | 400..=417 | 421..=426 | 428..=429 | 431 | 451)
            || matches!(status, 500..=508 | 510..=511)
    };
    word.text.parse().ok().filter(known).ok_or_else(|| {
        Problem::at(word, format!("Unsupported HTTP response code {}", word.text))
            .help("a status from 300 to 599")
    })
}

/// `None`: a URL for status 401, which a client could not answer, and which Apache ignores as well.
fn error_document(args: &mut Args<'_>, status: u16) -> Result<Option<ErrorDocument>, Problem> {
    let word = args.required()?;
    let text = word.text.as_str();
    if text.contains("%{") {
        Text::parse(text).map_err(|error| Problem::at(word, error))?;
    }
    if text.starts_with('/') {
        return Ok(Some(ErrorDocument::Path(text.to_string())));
    }
    if is_url(text) {
        if status == 401 {
            let message = "Cannot use a full URL in a 401 ErrorDocument directive --- ignoring!";
            args.warn(Problem::at(word, message));
            return Ok(None);
        }
        return Ok(Some(ErrorDocument::Url(text.to_string())));
    }
    if text.eq_ignore_ascii_case("default") && !word.quoted {
        return Ok(Some(ErrorDocument::Default));
    }
    Ok(Some(ErrorDocument::Text(text.to_string())))
}

/// Whether a text begins with `scheme://`.
fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        let first_is_letter = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        first_is_letter && scheme.bytes().all(legal)
    })
}

/// `default`, `unlimited`, `none` or a number.
fn range_limit(args: &mut Args<'_>, default: Option<usize>) -> Result<Option<usize>, Problem> {
    let word = args.required()?;
    match word.text.to_ascii_lowercase().as_str() {
        "default" => Ok(default),
        "unlimited" => Ok(None),
        "none" => Ok(Some(0)),
        number => match number.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(Problem::at(
                word,
                "requires 'none', 'default', 'unlimited' or a positive integer",
            )),
        },
    }
}

fn etag_change(args: &mut Args<'_>) -> Result<Change, Problem> {
    let first = args.required()?;
    let mut change = etag_word(first)?;
    let signed = first.text.starts_with(['+', '-']);
    for word in args {
        if word.text.starts_with(['+', '-']) != signed {
            return Err(Problem::at(word, "either every value has a sign, or none has"));
        }
        let next = etag_word(word)?;
        // Without signs the values add up: `MTime Size`.
        change = if signed {
            change.merge(&next)
        } else {
            Change::to(change.effective(0) | next.effective(0))
        };
    }
    Ok(change)
}

fn etag_word(word: &Word) -> Result<Change, Problem> {
    let name = word.text.trim_start_matches(['+', '-']);
    let parts = match name.to_ascii_lowercase().as_str() {
        "inode" => EtagParts::INODE,
        "mtime" => EtagParts::MTIME,
        "size" => EtagParts::SIZE,
        "all" => EtagParts::ALL,
        "none" => EtagParts::NONE,
        "digest" => EtagParts::DIGEST,
        _ => {
            return Err(Problem::at(
                word,
                format!("{name:?} is not INode, MTime, Size, Digest, All or None"),
            ));
        }
    };
    Ok(match word.text.chars().next() {
        Some('+') => Change::adding(parts.0),
        Some('-') => Change::removing(parts.0),
        _ => Change::to(parts.0),
    })
}
