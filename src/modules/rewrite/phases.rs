//! Where rules take part in a request, and what becomes of their results.

use std::sync::{Arc, LazyLock};

use super::engine::{Changed, Folder, Run, Verdict};
use super::rule::{Flags, Rule, is_control_or_blank};
use super::{Choices, Section, Server, uri};
use crate::http::escape::push_path;
use crate::http::field::is_value;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::modules::core::Options;
use crate::modules::userdir;
use crate::request::{Elsewhere, Refusal, Request, Stop};
use crate::route::alias::{self, Mapped};

/// What rules have said about a request besides its path.
#[derive(Debug, Default)]
pub(crate) struct Rewriting {
    /// `[END]`: no rule is asked any more.
    ended: bool,
    /// The names of cookies that were set: each is set once.
    cookies: Vec<Vec<u8>>,
    media_type: Option<String>,
    handler: Option<String>,
}

impl Rewriting {
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Notes that a cookie is set. Says whether that is news.
    pub(super) fn sets_cookie(&mut self, name: Vec<u8>) -> bool {
        let is_new = !self.cookies.contains(&name);
        if is_new {
            self.cookies.push(name);
        }
        is_new
    }

    pub(super) fn force_type(&mut self, text: &[u8]) {
        set_name(&mut self.media_type, text);
    }

    pub(super) fn force_handler(&mut self, text: &[u8]) {
        set_name(&mut self.handler, text);
    }

    /// An internal redirect leads to something else.
    pub(crate) fn forget_media(&mut self) {
        self.media_type = None;
        self.handler = None;
    }
}

fn set_name(name: &mut Option<String>, text: &[u8]) {
    if !text.is_empty() && is_value(text) {
        *name = Some(String::from_utf8_lossy(text).to_ascii_lowercase());
    }
}

/// Before a path is mapped: the rules outside of sections. They may change the request's path, or find the file.
pub(crate) fn translate(request: &mut Request<'_>) -> Result<Option<Mapped>, Stop> {
    let is_on = request.place.settings.rewrite.section.as_ref().is_some_and(|it| it.is_on());
    let host = request.host();
    let Some(server) = host.base().rewrite.server.as_deref() else { return Ok(None) };
    if !is_on || request.rewriting.ended {
        return Ok(None);
    }
    set_script_variables(request);
    if server.rules.list.is_empty() {
        return Ok(None);
    }
    let query = request.query.as_deref().map(<[u8]>::to_vec);
    let path = request.place.path.clone();
    let mut run = Run::new(request, server, None, path, Vec::new());
    let verdict = run.obey(&server.rules.list)?;
    let Some((changed, scheme)) = checked(request, verdict, "AH10410")? else { return Ok(None) };
    if let Some(scheme) = scheme {
        return Err(redirect(request, &changed, scheme, query.as_deref()));
    }
    let Some(path) = uri::resolve(&changed.subject) else { return Err(request.unmapped()) };
    if changed.pass_through {
        request.place.path = path;
        return Ok(None);
    }
    let options = server.options.unwrap_or_default();
    let path = userdir::expand_home(request, path)?;
    match as_file(request, &path, &changed, options)? {
        Some(mapped) => Ok(Some(mapped)),
        None => match request.document_root() {
            Some(root) => Ok(Some(alias::join_below(&root, &path))),
            None => Err(Refusal::stop(Status::NOT_FOUND)),
        },
    }
}

/// What the rules have made, with the scheme if that is an absolute URL, once the query is known to be harmless; `None`:
/// they have changed nothing. `number` is that of the message if it is not.
fn checked<'e>(
    request: &Request<'_>,
    verdict: Verdict<'e>,
    number: &'static str,
) -> Result<Option<(Changed<'e>, Option<uri::Scheme>)>, Stop> {
    match verdict {
        Verdict::Unchanged => Ok(None),
        Verdict::Status(status) => {
            check_query(request, false, number)?;
            Err(Refusal::stop(status))
        }
        Verdict::Changed(changed) => {
            let scheme = uri::scheme(&changed.subject);
            check_query(request, scheme.is_some() && changed.escape, number)?;
            Ok(Some((changed, scheme)))
        }
    }
}

/// `SCRIPT_URL` and `SCRIPT_URI`: what the client has asked for, whatever the rules make of it.
fn set_script_variables(request: &mut Request<'_>) {
    let url = match request.env.get("REDIRECT_SCRIPT_URL") {
        Some(first) => first.to_vec(),
        None => request.place.path.clone(),
    };
    let uri = [request.names().to_string().as_bytes(), &url].concat();
    request.env.set("SCRIPT_URL", url);
    request.env.set("SCRIPT_URI", uri);
}

/// A result that is a file's name already: its first component exists, and it was the operator who wrote that.
fn as_file(
    request: &Request<'_>,
    path: &[u8],
    changed: &Changed<'_>,
    options: Choices,
) -> Result<Option<Mapped>, Stop> {
    if changed.reduced && !options.has(Choices::LEGACY_PREFIX_DOC_ROOT) {
        return Ok(None);
    }
    let end = memchr::memchr(b'/', &path[1..]).map_or(path.len(), |slash| slash + 1);
    let first = &path[..end];
    if first == b"/" || request.look(first, true)?.is_none() {
        return Ok(None);
    }
    if let Some(root) = request.document_root() {
        let root = root.as_os_str().as_encoded_bytes();
        if is_within(path, root) {
            return Ok(Some(alias::below(path, root)));
        }
    }
    let is_unsafe = |rule: &Rule| rule.flags.has(Flags::UNSAFE_PREFIX);
    if options.has(Choices::UNSAFE_PREFIX_STAT) || changed.last.is_some_and(is_unsafe) {
        return Ok(Some(alias::below(path, b"/")));
    }
    let substitution = changed.last.and_then(|rule| rule.substitution.as_ref());
    let fixed = substitution.map_or(&b""[..], |it| it.template.fixed_start());
    if !fixed.starts_with(first) {
        return Ok(None);
    }
    // What stands before the first group is the operator's: its folder must not be left.
    let folder = &fixed[..memchr::memrchr(b'/', fixed).unwrap_or(0)];
    if is_within(path, folder) {
        Ok(Some(alias::below(path, folder)))
    } else {
        Err(request.unmapped())
    }
}

/// Whether a path is a folder's, or lies in it.
fn is_within(path: &[u8], folder: &[u8]) -> bool {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// A query that a rule has made must be one that can be sent. `number` is that of the message in the error log.
fn check_query(
    request: &Request<'_>,
    will_be_escaped: bool,
    number: &'static str,
) -> Result<(), Stop> {
    let query = request.query.as_deref().unwrap_or_default();
    if will_be_escaped || !query.iter().any(|byte| is_control_or_blank(*byte)) {
        return Ok(());
    }
    request.log(Level::Error, "rewrite").say(format_args!(
        "{number}: Rewritten query string contains control characters or spaces"
    ));
    Err(Refusal::stop(Status::FORBIDDEN))
}

/// The redirect to a URL; `query_before` is what the client has sent, which is not escaped again.
fn redirect(
    request: &Request<'_>,
    changed: &Changed<'_>,
    scheme: uri::Scheme,
    query_before: Option<&[u8]>,
) -> Stop {
    let mut location = if changed.escape {
        uri::escape_absolute(&changed.subject, scheme)
    } else {
        changed.subject.clone()
    };
    if let Some(query) = request.query.as_deref() {
        location.push(b'?');
        if changed.escape && Some(query) != query_before {
            push_path(&mut location, query);
        } else {
            location.extend_from_slice(query);
        }
    }
    request.redirect(changed.redirect.unwrap_or(Status::FOUND), &location)
}

/// Among the fixups: the rules of the innermost section that has any.
pub(crate) fn fixups(request: &mut Request<'_>) -> Result<(), Stop> {
    /// For hosts that say nothing outside of sections.
    static NO_SERVER: LazyLock<Server> = LazyLock::new(Server::default);
    let Some(section) = request.place.settings.rewrite.section.clone() else { return Ok(()) };
    let Some(folder) = section.folder.as_deref() else { return Ok(()) };
    if !section.is_on() || request.place.mapped.is_none() {
        return Ok(());
    }
    let (file, path_info) = (request.place.file().to_vec(), request.place.path_info().to_vec());
    let lacks_slash = folder.strip_suffix(b"/").is_some_and(|folder| folder == file);
    if lacks_slash && !section.choices().has(Choices::ALLOW_NO_SLASH) || request.rewriting.ended {
        return Ok(());
    }
    check_options(request)?;
    let server = request.host().base().rewrite.server.as_deref().unwrap_or(&NO_SERVER);
    let query = request.query.as_deref().map(<[u8]>::to_vec);
    let place = Folder { path: folder, base: section.base.as_deref() };
    let mut run = Run::new(request, server, Some(place), file.clone(), path_info);
    let verdict = run.obey(&section.rules.list)?;
    let Some((mut changed, scheme)) = checked(request, verdict, "AH10411")? else { return Ok(()) };
    if let Some(scheme) = scheme {
        put_base_in(&mut changed.subject, scheme, place);
        return Err(redirect(request, &changed, scheme, query.as_deref()));
    }
    if !changed.subject.starts_with(b"/") {
        return Err(Refusal::stop(Status::BAD_REQUEST));
    }
    if changed.subject == file {
        return Ok(()); // Else this would go on for ever.
    }
    let url = as_url(request, changed.subject, &section, place);
    Err(elsewhere(request, &url))
}

/// Rules can do what symbolic links can, so who forbids those forbids rules, too.
fn check_options(request: &Request<'_>) -> Result<(), Stop> {
    let options = request.place.settings.core.options();
    let links =
        [Options::FOLLOW_SYM_LINKS, Options::SYM_LINKS_IF_OWNER_MATCH, Options::SYM_LINKS_BENEATH];
    if links.iter().any(|link| options.contains(*link)) {
        return Ok(());
    }
    request.log(Level::Error, "rewrite").say(format_args!(
        "AH00670: Options FollowSymLinks and SymLinksIfOwnerMatch are both off, so the RewriteRule directive is also \
         forbidden due to its similar ability to circumvent directory restrictions : {}",
        Quoted(request.place.file())
    ));
    Err(Refusal::stop(Status::FORBIDDEN))
}

/// `RewriteBase`, for a redirect to a relative result: that has the folder's own name behind the host.
fn put_base_in(url: &mut Vec<u8>, scheme: uri::Scheme, place: Folder<'_>) {
    let Some(base) = place.base else { return };
    let Some(slash) = memchr::memchr(b'/', &url[scheme.bytes..]) else { return };
    let path_at = scheme.bytes + slash + 1;
    let folder = place.path.strip_prefix(b"/").unwrap_or(place.path);
    let base = base.strip_prefix('/').unwrap_or(base);
    if let Some(path) = uri::replace_folder(&url[path_at..], folder, base.as_bytes()) {
        url.truncate(path_at);
        url.extend(path);
    }
}

/// The URL path of a result: what lies in the folder lies below RewriteBase; else what lies in the document root, or
/// where an Alias leads, is named by that.
fn as_url(request: &Request<'_>, result: Vec<u8>, section: &Section, place: Folder<'_>) -> Vec<u8> {
    let replaced = match place.base {
        Some(base) => uri::replace_folder(&result, place.path, base.as_bytes()),
        None => request.document_root().and_then(|root| {
            uri::replace_folder(&result, root.as_os_str().as_encoded_bytes(), b"/")
        }),
    };
    if let Some(url) = replaced {
        return url;
    }
    let context = request.place.mapped.as_ref().and_then(Mapped::context);
    let by_context = context
        .filter(|_| !section.choices().has(Choices::IGNORE_CONTEXT_INFO))
        .and_then(|(prefix, root)| uri::replace_folder(&result, root, prefix));
    by_context.unwrap_or(result)
}

/// How the log calls who leads elsewhere.
const HANDLER: &str = "redirect-handler";

/// The internal redirect to a result. As in Apache it is read like a request's path: escapes in it are decoded.
fn elsewhere(request: &Request<'_>, result: &[u8]) -> Stop {
    let mut url = result.to_vec();
    if let Some(query) = request.query.as_deref() {
        url.push(b'?');
        url.extend_from_slice(query);
    }
    url.truncate(memchr::memchr(b'#', &url).unwrap_or(url.len()));
    let (path, query) = match memchr::memchr(b'?', &url) {
        Some(mark) => (&url[..mark], Some(url[mark + 1..].to_vec())),
        None => (url.as_slice(), None),
    };
    match request.normalise(path) {
        Ok(path) => Stop::Elsewhere(Elsewhere { handler: HANDLER, path, query }),
        Err(stop) => stop,
    }
}

/// The last of the fixups: `[T]` and `[H]`.
pub(crate) fn force_media(request: &mut Request<'_>) {
    let Rewriting { media_type, handler, .. } = &request.rewriting;
    if media_type.is_none() && handler.is_none() {
        return;
    }
    let core = &mut Arc::make_mut(&mut request.place.settings).core;
    if let Some(media_type) = media_type {
        core.force_type(media_type);
    }
    if let Some(handler) = handler {
        core.force_handler(handler);
    }
}
