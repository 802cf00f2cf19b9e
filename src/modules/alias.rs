//! # mod_alias: URLs that lie outside the document root, and URLs that have moved
//!
//! ```text
//! Redirect 301 /old https://example.org/new    /old/a ──▶ Location: https://example.org/new/a
//! Alias /icons /usr/share/icons                /icons/a.png ──▶ /usr/share/icons/a.png
//! AliasMatch ^/~(\w+)(.*) /home/$1/www$2
//! <Location /image> Alias /ftp/pub/image       the whole section is that file
//! ```
//!
//! - Redirects come before aliases, whatever their order; of each kind the first that matches wins, not the longest. A
//!   virtual host's stand before the main server's.
//! - Outside of sections they are asked when the path is mapped; redirects of sections among the fixups. What a
//!   `<Location>` says without a path of its own comes before all others.

use std::path::PathBuf;
use std::sync::Arc;

use herdgate_conf::{Args, Context, Directive, Overrides, Problem, Span, Word};

use super::{EVERYWHERE, HOST, HOST_AND_SECTION, Module};
use crate::config::DirSettings;
use crate::expr::{Groups, Text};
use crate::http::escape::push_path;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::regex::{Case, Regex};
use crate::request::{Refusal, Request, Stop};
use crate::route::alias::{self, Mapped, lexical, strip_prefix};

/// mod_alias' settings.
#[derive(Debug, Clone, Default)]
pub struct Aliases {
    /// What stands outside of sections.
    server: Arc<Server>,
    /// Redirects of sections, the innermost first.
    redirects: Vec<Arc<Redirect>>,
    /// `Alias` without a path: what the section's URLs stand for.
    place: Option<Arc<PlaceAlias>>,
    /// `Redirect` without a path.
    place_redirect: Option<Arc<PlaceRedirect>>,
    preserve_path: Option<bool>,
    relative: Option<bool>,
}

#[derive(Debug, Clone, Default)]
struct Server {
    aliases: Vec<Arc<Alias>>,
    redirects: Vec<Arc<Redirect>>,
}

/// One alias.
#[derive(Debug, Clone)]
pub struct Alias {
    /// What the decoded path must look like.
    pub from: AliasFrom,
    /// Where it lies. For a pattern, with `$0` to `$9` in it.
    pub to: PathBuf,
    /// Where it was written.
    pub span: Span,
}

/// What an alias or a redirect matches.
#[derive(Debug, Clone)]
pub enum AliasFrom {
    /// Whole components of the path.
    Prefix(String),
    /// Any part of the path.
    Pattern(Regex),
}

/// One redirect.
#[derive(Debug)]
struct Redirect {
    from: AliasFrom,
    /// `None`: the status is no redirect.
    to: Option<String>,
    status: u16,
}

#[derive(Debug)]
struct PlaceAlias {
    file: Text,
    /// What a relative file is relative to.
    server_root: PathBuf,
    /// The path of the section.
    path: Option<String>,
}

#[derive(Debug)]
struct PlaceRedirect {
    to: Option<Text>,
    status: u16,
}

impl Aliases {
    /// In the order in which they are tried.
    pub fn list(&self) -> &[Arc<Alias>] {
        &self.server.aliases
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            server: self.server.merge(&inner.server),
            redirects: [inner.redirects.as_slice(), &self.redirects].concat(),
            place: inner.place.as_ref().or(self.place.as_ref()).cloned(),
            place_redirect: inner.place_redirect.as_ref().or(self.place_redirect.as_ref()).cloned(),
            preserve_path: inner.preserve_path.or(self.preserve_path),
            relative: inner.relative.or(self.relative),
        }
    }

    /// Whether a section with these settings has a say before its path is mapped.
    pub(crate) fn acts_early(&self) -> bool {
        self.place.is_some() || self.place_redirect.is_some()
    }

    /// `AliasPreservePath`
    pub fn preserves_path(&self) -> bool {
        self.preserve_path.unwrap_or(false)
    }

    /// `RedirectRelative`
    pub fn is_relative(&self) -> bool {
        self.relative.unwrap_or(false)
    }
}

impl Server {
    fn merge(self: &Arc<Self>, inner: &Arc<Self>) -> Arc<Self> {
        if inner.aliases.is_empty() && inner.redirects.is_empty() {
            return Arc::clone(self); // Nearly always: sections have none.
        }
        Arc::new(Self {
            aliases: [inner.aliases.as_slice(), &self.aliases].concat(),
            redirects: [inner.redirects.as_slice(), &self.redirects].concat(),
        })
    }
}

/// When a path is mapped: redirects first, then aliases.
pub(crate) fn translate(request: &mut Request<'_>) -> Result<Option<Mapped>, Stop> {
    redirect(request, &request.host().base().alias.server.redirects)?;
    let settings = Arc::clone(&request.place.settings);
    if let Some(place) = &settings.alias.place {
        return place.map(request, settings.alias.preserves_path()).map(Some);
    }
    let aliases = request.host().base().alias.list();
    alias::map(aliases, &request.place.path).map_err(|_| request.unmapped())
}

/// Among the fixups: the redirects of the sections.
pub(crate) fn fixups(request: &Request<'_>) -> Result<(), Stop> {
    redirect(request, &request.place.settings.alias.redirects)
}

/// Ends the request if one of the redirects is for it.
fn redirect(request: &Request<'_>, list: &[Arc<Redirect>]) -> Result<(), Stop> {
    if let Some(place) = &request.place.settings.alias.place_redirect {
        let target = match &place.to {
            Some(text) => {
                let target = text.evaluate(&request.known(), &Groups::new());
                without_default_port(escaped(&target.map_err(|_| Stop::WouldBlock)?))
            }
            None => Vec::new(),
        };
        return Err(leave(request, target, place.status));
    }
    for redirect in list {
        if let Some(target) = redirect.target(&request.place.path) {
            return Err(leave(request, target, redirect.status));
        }
    }
    Ok(())
}

impl Redirect {
    /// Where a path leads; `None`: this redirect is not for it.
    fn target(&self, path: &[u8]) -> Option<Vec<u8>> {
        let to = self.to.as_deref().unwrap_or_default();
        match &self.from {
            AliasFrom::Prefix(prefix) => {
                let rest = strip_prefix(path, prefix)?;
                let mut target = to.as_bytes().to_vec();
                push_path(&mut target, rest);
                Some(target)
            }
            AliasFrom::Pattern(regex) => {
                let groups = regex.captures(path)?;
                Some(without_default_port(escaped(&groups.substitute(to.as_bytes()))))
            }
        }
    }
}

/// A URL with all escaped but its query and fragment.
fn escaped(url: &[u8]) -> Vec<u8> {
    let end = url.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(url.len());
    let (path, rest) = url.split_at(end);
    let mut out = Vec::with_capacity(url.len());
    push_path(&mut out, path);
    out.extend_from_slice(rest);
    out
}

/// Without a port that the scheme implies, and without the colon of none: Apache puts such URLs together anew.
fn without_default_port(mut url: Vec<u8>) -> Vec<u8> {
    let Some(colon) = memchr::memmem::find(&url, b"://") else { return url };
    let scheme = url[..colon].to_ascii_lowercase();
    let rest = &url[colon + 3..];
    let is_end = |byte: &u8| matches!(*byte, b'/' | b'?' | b'#');
    let authority = &rest[..rest.iter().position(is_end).unwrap_or(rest.len())];
    let Some(port_at) = memchr::memrchr(b':', authority) else { return url };
    let port = &authority[port_at + 1..];
    if !port.iter().all(u8::is_ascii_digit) {
        return url; // That colon stands in an address, or before a password.
    }
    let zeros = port.iter().take_while(|byte| **byte == b'0').count();
    let is_implied = match (scheme.as_slice(), &port[zeros..]) {
        (b"http", b"80") | (b"https", b"443") | (b"ftp", b"21") => true,
        _ => port.is_empty(),
    };
    if is_implied {
        let start = colon + 3 + port_at;
        url.drain(start..=start + port.len());
    }
    url
}

/// The end of a request that is redirected, or refused.
fn leave(request: &Request<'_>, mut target: Vec<u8>, code: u16) -> Stop {
    let known = Status::new(code).filter(|status| !status.reason().is_empty());
    if known.is_none() {
        let message = format_args!("AH01579: Invalid response status {code}");
        request.log(Level::Error, "http").say(message);
    }
    let status = known.unwrap_or(Status::INTERNAL_SERVER_ERROR);
    if !status.is_redirection() {
        return Refusal::stop(status);
    }
    let is_relative = target.starts_with(b"/");
    if is_relative && !request.place.settings.alias.is_relative() {
        target = [request.names().to_string().as_bytes(), &target].concat();
    } else if !is_relative && !has_scheme(&target) {
        request.log(Level::Error, "alias").say(format_args!(
            "AH00674: cannot redirect '{}' to '{}'; target is not a valid absoluteURI or abs_path",
            Quoted(&request.place.path),
            Quoted(&target)
        ));
        return Refusal::stop(Status::INTERNAL_SERVER_ERROR);
    }
    if let (Some(query), false) = (&request.query, target.contains(&b'?')) {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    request.trace("alias", format_args!("a Redirect leads to {}", Quoted(&target)));
    request.redirect(status, &target)
}

/// `scheme:`
fn has_scheme(url: &[u8]) -> bool {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let end = url.iter().position(|byte| !is_scheme(byte));
    end.is_some_and(|end| end > 0 && url[end] == b':')
}

impl PlaceAlias {
    fn map(&self, request: &Request<'_>, preserves_path: bool) -> Result<Mapped, Stop> {
        let target = self.file.evaluate(&request.known(), &Groups::new());
        let target = target.map_err(|_| Stop::WouldBlock)?;
        // What a client wrote may be in it.
        if target.contains(&0) || target.split(|byte| *byte == b'/').any(|part| part == b"..") {
            return Err(request.unmapped());
        }
        let target = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&target);
        let target = self.server_root.join(target);
        let path = self.path.as_deref().filter(|_| preserves_path);
        let rest = path.and_then(|path| Some((path, strip_prefix(&request.place.path, path)?)));
        Ok(match rest {
            Some((path, rest)) => alias::join(&target, rest).known_by(path.as_bytes()),
            None => alias::join(&target, b""),
        })
    }
}

pub(super) const MODULE: Module = Module {
    name: "alias_module",
    file: "mod_alias.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "Alias",
        syntax: "Alias [URL-path] file-path",
        default: None,
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "Serves a URL path, and what lies below it, from a place outside DocumentRoot. The \
               first Alias that matches wins. In `<Location>`, without the URL path, the file path is an expression, \
               and is what all URLs of the section stand for.",
        apply: |settings, args| {
            if args.remaining() == 1 {
                return place_alias(settings, args);
            }
            outside_of_sections(args)?;
            let from = args.required()?;
            if !from.text.starts_with('/') {
                return Err(Problem::at(from, "the URL path must begin with a slash"));
            }
            let to = lexical(&args.path()?);
            warn_if_shadowed(&settings.alias, args, &from.text);
            let from = AliasFrom::Prefix(from.text.clone());
            push_alias(settings, Alias { from, to, span: args.line().name.span });
            Ok(())
        },
    },
    Directive {
        name: "AliasMatch",
        syntax: "AliasMatch regex file-path",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As Alias, for URL paths that contain the regular expression; $0 to $9 in the file \
               path stand for what its groups matched.",
        apply: |settings, args| {
            let from = AliasFrom::Pattern(Regex::of_word(args.required()?, Case::Counts)?);
            let to = args.path()?;
            push_alias(settings, Alias { from, to, span: args.line().name.span });
            Ok(())
        },
    },
    Directive {
        name: "ScriptAlias",
        syntax: "ScriptAlias URL-path file-path",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "Programs are not supported: what lies below the URL path is answered 403, where an Apache without CGI \
               would send the programs' text.",
        apply: |settings, args| {
            let from = AliasFrom::Prefix(args.word()?.to_string());
            no_programs(settings, args, from)
        },
    },
    Directive {
        name: "ScriptAliasMatch",
        syntax: "ScriptAliasMatch regex file-path",
        default: None,
        contexts: HOST,
        overrides: Overrides::NONE,
        docs: "As ScriptAlias, for URL paths that contain the regular expression: programs are not supported, and it \
               is answered 403.",
        apply: |settings, args| {
            let from = AliasFrom::Pattern(Regex::of_word(args.required()?, Case::Counts)?);
            no_programs(settings, args, from)
        },
    },
    Directive {
        name: "AliasPreservePath",
        syntax: "AliasPreservePath On|Off",
        default: Some("Off"),
        contexts: HOST_AND_SECTION,
        overrides: Overrides::NONE,
        docs: "Whether what follows the path of a `<Location>` is looked for below the file path of its Alias.",
        apply: |settings, args| {
            settings.alias.preserve_path = Some(args.flag()?);
            Ok(())
        },
    },
    Directive {
        name: "Redirect",
        syntax: "Redirect [status] [URL-path] [URL]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Tells clients that a URL path, and what lies below it, is elsewhere. The status is permanent, temp \
               (302, the default), seeother, gone or a number; one that is no redirect takes no URL. In `<Location>`, \
               without the URL path, the URL is an expression. The query is kept unless the URL has its own.",
        apply: |settings, args| redirect_row(settings, args, None, |word| Ok(prefix(word))),
    },
    Directive {
        name: "RedirectMatch",
        syntax: "RedirectMatch [status] regex [URL]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "As Redirect, for URL paths that contain the regular expression; $0 to $9 in the URL stand for what \
               its groups matched.",
        apply: |settings, args| redirect_row(settings, args, None, pattern),
    },
    Directive {
        name: "RedirectTemp",
        syntax: "RedirectTemp URL-path URL",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "As `Redirect temp`.",
        apply: |settings, args| redirect_row(settings, args, Some(302), |word| Ok(prefix(word))),
    },
    Directive {
        name: "RedirectPermanent",
        syntax: "RedirectPermanent URL-path URL",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "As `Redirect permanent`.",
        apply: |settings, args| redirect_row(settings, args, Some(301), |word| Ok(prefix(word))),
    },
    Directive {
        name: "RedirectRelative",
        syntax: "RedirectRelative On|Off",
        default: Some("Off"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Whether a redirect to a URL path names it as it is, without the server's own name in front.",
        apply: |settings, args| {
            settings.alias.relative = Some(args.flag()?);
            Ok(())
        },
    },
];

/// `ScriptAlias`: nobody sees the text of a program.
fn no_programs(
    settings: &mut DirSettings,
    args: &mut Args<'_>,
    from: AliasFrom,
) -> Result<(), Problem> {
    args.path()?;
    let refused = Redirect { from, to: None, status: Status::FORBIDDEN.code() };
    Arc::make_mut(&mut settings.alias.server).redirects.push(Arc::new(refused));
    args.warn(Problem::new("no programs are run: what lies there is answered 403"));
    Ok(())
}

fn push_alias(settings: &mut DirSettings, alias: Alias) {
    Arc::make_mut(&mut settings.alias.server).aliases.push(Arc::new(alias));
}

fn outside_of_sections(args: &Args<'_>) -> Result<(), Problem> {
    match args.context() {
        Context::Server | Context::VirtualHost => Ok(()),
        Context::Directory | Context::Htaccess => {
            let message = "Alias with a URL path cannot occur within directory context";
            Err(Problem::new(message).help("in <Location> the URL path is left out"))
        }
    }
}

fn place_alias(settings: &mut DirSettings, args: &mut Args<'_>) -> Result<(), Problem> {
    if args.folder().is_some() {
        return Err(Problem::new("Alias cannot occur within <Directory> section"));
    }
    if outside_of_sections(args).is_ok() {
        return Err(Problem::new("Alias must have two arguments when used globally"));
    }
    let word = args.required()?;
    let file = Text::parse(&word.text)
        .map_err(|why| Problem::at(word, format!("Cannot parse alias expression: {why}")))?;
    let path = args.section().and_then(|line| Some(line.words.first()?.text.clone()));
    let server_root = args.base().to_path_buf();
    settings.alias.place = Some(Arc::new(PlaceAlias { file, server_root, path }));
    Ok(())
}

fn warn_if_shadowed(aliases: &Aliases, args: &mut Args<'_>, path: &str) {
    let shadows = |alias: &&Arc<Alias>| match &alias.from {
        AliasFrom::Prefix(prefix) => strip_prefix(path.as_bytes(), prefix).is_some(),
        AliasFrom::Pattern(regex) => regex.is_match(path.as_bytes()),
    };
    if aliases.list().iter().any(|alias| shadows(&alias)) {
        let message =
            "The Alias directive will probably never match because it overlaps an earlier Alias.";
        let name = args.line().name.span;
        args.warn(Problem::at(name, message).help("put the longer path first"));
    }
}

fn prefix(word: &Word) -> AliasFrom {
    AliasFrom::Prefix(word.text.clone())
}

fn pattern(word: &Word) -> Result<AliasFrom, Problem> {
    Regex::of_word(word, Case::Counts).map(AliasFrom::Pattern)
}

/// One of the lines that redirect. `fixed` is the status where the directive's name says it.
fn redirect_row(
    settings: &mut DirSettings,
    args: &mut Args<'_>,
    fixed: Option<u16>,
    from: fn(&Word) -> Result<AliasFrom, Problem>,
) -> Result<(), Problem> {
    let named = args.peek().filter(|_| fixed.is_none()).and_then(status_named);
    if named.is_some() {
        args.required()?;
    } else if args.remaining() > 2 {
        return Err(Problem::new("invalid first argument (of three)"));
    }
    let status = named.or(fixed).unwrap_or(302);
    let is_gone = status == Status::GONE.code();
    let has_path = match args.remaining() {
        0 if named.is_none() || !is_gone => {
            return Err(Problem::new("URL to redirect to is missing"));
        }
        0 => false,
        // With a status that is no redirect the only word is the path.
        1 => !is_redirection(status),
        _ => true,
    };
    if !has_path {
        return place_redirect(settings, args, status);
    }
    let from = from(args.required()?)?;
    let to = args.next();
    match (is_redirection(status), to) {
        (true, None) => return Err(Problem::new("URL to redirect to is missing")),
        (false, Some(word)) => {
            return Err(Problem::at(word, "Redirect URL not valid for this status"));
        }
        (true, Some(word)) => {
            let is_pattern = matches!(from, AliasFrom::Pattern(_));
            if !is_pattern && !word.text.starts_with('/') && !has_scheme(word.text.as_bytes()) {
                return Err(Problem::at(word, "Redirect to non-URL"));
            }
        }
        (false, None) => {}
    }
    let redirect = Arc::new(Redirect { from, to: to.map(|word| word.text.clone()), status });
    match args.context() {
        Context::Server | Context::VirtualHost => {
            Arc::make_mut(&mut settings.alias.server).redirects.push(redirect);
        }
        Context::Directory | Context::Htaccess => settings.alias.redirects.push(redirect),
    }
    Ok(())
}

fn place_redirect(
    settings: &mut DirSettings,
    args: &mut Args<'_>,
    status: u16,
) -> Result<(), Problem> {
    let parsed = args.next().map(|word| {
        Text::parse(&word.text)
            .map_err(|why| Problem::at(word, format!("Cannot parse redirect expression: {why}")))
    });
    let to = parsed.transpose()?;
    settings.alias.place_redirect = Some(Arc::new(PlaceRedirect { to, status }));
    Ok(())
}

fn is_redirection(status: u16) -> bool {
    (300..400).contains(&status)
}

fn status_named(word: &Word) -> Option<u16> {
    Some(match word.text.to_ascii_lowercase().as_str() {
        "permanent" => 301,
        "temp" => 302,
        "seeother" => 303,
        "gone" => 410,
        text if text.starts_with(|first: char| first.is_ascii_digit()) => {
            let end = text.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().unwrap_or(u16::MAX)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_escaped_but_for_its_query() {
        assert_eq!(escaped(b"http://h/a b%?c d#e f"), b"http://h/a%20b%25?c d#e f");
        assert_eq!(escaped(b"/a#b?c"), b"/a#b?c");
    }

    #[test]
    fn a_port_that_the_scheme_implies_is_left_out() {
        for (url, expected) in [
            ("http://a:80/x", "http://a/x"),
            ("HTTP://a:080", "HTTP://a"),
            ("https://a:443?b:80", "https://a?b:80"),
            ("ftp://a:21/x", "ftp://a/x"),
            ("http://a:/x", "http://a/x"),
            ("http://a:443/x", "http://a:443/x"),
            ("http://u:80@a/x", "http://u:80@a/x"),
            ("http://a/x:80", "http://a/x:80"),
            ("mailto:a@b:80", "mailto:a@b:80"),
            ("/a:80", "/a:80"),
        ] {
            let found = without_default_port(url.as_bytes().to_vec());
            assert_eq!(found, expected.as_bytes(), "{url}");
        }
    }

    #[test]
    fn a_scheme_ends_with_a_colon() {
        for (url, expected) in
            [("http://a", true), ("a+b:c", true), ("/a:b", false), ("abc", false), (":", false)]
        {
            assert_eq!(has_scheme(url.as_bytes()), expected, "{url}");
        }
    }
}
