//! # mod_negotiation: one URL, several files, and the one that suits the client
//!
//! ```text
//! /guide      nothing of that name, MultiViews ──▶ guide.html.en, guide.html.fr, guide.txt   ┐ choose ─▶ one of them,
//! /guide.var  a type map ────────────────────────▶ what it lists, or holds itself           ┘           300 or 406
//! ```
//!
//! - Variants come in the order of their names, so that mirrors of a site answer alike.
//! - The answer says what it depends on (Vary), which file it is (Content-Location) and that it was chosen (TCN).
//! - Reading the folder may wait, and happens in a job.

mod accept;
mod choose;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lists;
mod type_map;

use std::sync::Arc;

use herdgate_conf::{Directive, Overrides, Problem};

use self::accept::Wishes;
use self::choose::{Policy, Variant};
pub(crate) use self::type_map::TypeMap;
use super::{EVERYWHERE, HOST, Module, mime};
use crate::config::{DirSettings, HostSettings};
use crate::files::Access;
use crate::files::listing;
use crate::files::open::OpenError;
use crate::files::seen::Seen;
use crate::http::head::Version;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::modules::core::Options;
use crate::request::{Place, Refusal, Request, Stop};
use crate::response::{Fields, Response};

/// The type that marks a type map, as its handler does.
pub const MAP_TYPE: &str = "application/x-type-map";
/// The handler of type maps.
pub const MAP_HANDLER: &str = "type-map";

/// mod_negotiation's settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    cache_negotiated: Option<bool>,
}

/// mod_negotiation's settings of one section.
#[derive(Debug, Clone, Default)]
pub struct Negotiation {
    priority: Option<Vec<String>>,
    force: Option<Force>,
}

/// `ForceLanguagePriority`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Force {
    /// The priority decides between what the client likes equally.
    pub prefer: bool,
    /// It decides also if the client accepts none of the languages.
    pub fall_back: bool,
}

impl Host {
    /// `CacheNegotiatedDocs`: caches that know no Vary may keep what was chosen.
    pub fn cache_negotiated(&self) -> bool {
        self.cache_negotiated.unwrap_or(false)
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { cache_negotiated: inner.cache_negotiated.or(self.cache_negotiated) }
    }
}

impl Negotiation {
    /// `LanguagePriority`
    pub fn priority(&self) -> &[String] {
        self.priority.as_deref().unwrap_or_default()
    }

    /// `ForceLanguagePriority`
    pub fn force(&self) -> Force {
        self.force.unwrap_or(Force { prefer: true, fall_back: false })
    }

    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self {
            priority: inner.priority.clone().or_else(|| self.priority.clone()),
            force: inner.force.or(self.force),
        }
    }
}

/// MultiViews: what does not exist may exist under a longer name. The place becomes the chosen file's.
pub(crate) fn type_checker(request: &mut Request<'_>) -> Result<(), Stop> {
    let options = request.place.settings.core.options();
    let is_missing = request.found.is_none() && request.place.mapped.is_some();
    if !is_missing || !options.contains(Options::MULTI_VIEWS) {
        return Ok(());
    }
    let settings = Arc::clone(&request.place.settings);
    let variants = request.quietly(candidates)?;
    if variants.is_empty() {
        return Ok(());
    }
    let names: Vec<&[u8]> = variants.iter().map(|variant| variant.name.as_slice()).collect();
    request.trace("negotiation", format_args!("MultiViews: {}", Quoted(&names.join(&b", "[..]))));
    let is_get = matches!(request.method(), Method::Get | Method::Head);
    let has_work = !is_get || request.query.is_some() || !request.place.path_info().is_empty();
    let policy = policy(request, &settings, has_work);
    let chosen = decide(request, &variants, &policy)?;
    request.place = variant_place(request, &chosen.name)?;
    request.found = request.open()?;
    if request.found.is_none() {
        return Err(Refusal::stop(Status::NOT_FOUND)); // It has gone meanwhile.
    }
    Ok(())
}

/// The handler of type maps: what is chosen answers, by an internal redirect or from the map itself.
pub(crate) fn type_map(request: &mut Request<'_>) -> Result<Response, Stop> {
    request.handler = Some(MAP_HANDLER);
    let Some(found) = request.found.take() else {
        let map = Quoted(request.place.file());
        request
            .log(Level::Error, "negotiation")
            .because(&nix::errno::Errno::ENOENT.into())
            .say(format_args!("AH00683: cannot access type map file: {map}"));
        return Err(Refusal::stop(Status::NOT_FOUND));
    };
    let settings = Arc::clone(&request.place.settings);
    let file = request.place.file().to_vec();
    let map = read_map(request, &file)?;
    request.list_tag = request.tag_of(&found.stat);
    let variants = measured(request, &map)?;
    let policy = policy(request, &settings, false);
    let chosen = decide(request, &variants, &policy)?;
    // A cache that does not know Vary would give the choice to everybody.
    let is_old = request.head.version() <= Version::Http10;
    request.no_cache |= is_old && !request.host().settings.negotiation.cache_negotiated();
    if let Some((start, length)) = chosen.body {
        let body = map.text[start..start + length].to_vec();
        return request.content_of_map(&chosen_media(chosen), body);
    }
    Err(Stop::Elsewhere(request.beside(&chosen.name, MAP_HANDLER)?))
}

/// How the chosen part of a map is described.
fn chosen_media(variant: &Variant) -> mime::Chosen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut content_type = text(&variant.media_type);
    if !content_type.is_empty() && !variant.charset.is_empty() {
        content_type = format!("{content_type}; charset={}", text(&variant.charset));
    }
    mime::Chosen {
        content_type: Some(content_type).filter(|content_type| !content_type.is_empty()),
        encoding: Some(text(&variant.encoding)).filter(|encoding| !encoding.is_empty()),
        languages: variant.languages.iter().map(|tag| text(tag)).collect(),
    }
}

/// The files whose names begin with the missing one's. A type map among them speaks for all.
fn candidates(request: &mut Request<'_>) -> Result<Vec<Variant>, Stop> {
    let file = request.place.file().to_vec();
    let Some(slash) = memchr::memrchr(b'/', &file) else { return Ok(Vec::new()) };
    let (folder, wanted) = (&file[..=slash], &file[slash + 1..]);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names = names_in(request, folder, wanted)?;
    let mut variants = Vec::new();
    let mut any = false;
    for name in names {
        let there = request.neighbour(&name)?;
        let seen = request.would_give(&there)?;
        if seen.is_folder {
            continue;
        }
        any = true;
        let Some(stat) = seen.file else { continue };
        let Some(variant) = variant_of(request, &there, wanted, stat.size) else { continue };
        if variant.is_map {
            let map_file = there.file().to_vec();
            let map = read_map(request, &map_file)?;
            request.list_tag = request.tag_of(&stat);
            return measured(request, &map);
        }
        variants.push(Variant { name, ..variant.variant });
    }
    if any && variants.is_empty() {
        request.log(Level::Error, "negotiation").say(format_args!(
            "AH00687: Negotiation: discovered file(s) matching request: {} (None could be negotiated).",
            Quoted(&file)
        ));
        return Err(Refusal::stop(Status::NOT_FOUND));
    }
    Ok(variants)
}

/// The names in a folder that continue `wanted` behind a dot, sorted.
fn names_in(request: &mut Request<'_>, folder: &[u8], wanted: &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
    if request.access == Access::Inline {
        return Err(Stop::WouldBlock);
    }
    match listing::names(folder, request.place.links()) {
        Ok((mut names, stat)) => {
            request.made_from.saw(Seen::listed(folder, &stat));
            request.list_tag = request.tag_of_folder(&stat);
            names.retain(|name| {
                name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(b"."))
            });
            names.sort();
            Ok(names)
        }
        Err(OpenError::Missing(_)) => Ok(Vec::new()),
        Err(error) => {
            request.log(Level::Error, "negotiation").say(format_args!(
                "AH00686: cannot read directory for multi: {}: {error}",
                Quoted(folder)
            ));
            Err(Refusal::stop(Status::FORBIDDEN))
        }
    }
}

/// A file that may be chosen.
struct Found {
    variant: Variant,
    is_map: bool,
}

/// What the name of a file says about it; `None` if that is not enough to choose it for `wanted`.
fn variant_of(request: &Request<'_>, there: &Place, wanted: &[u8], length: u64) -> Option<Found> {
    let types = &request.server.config.server.types;
    let unknown = mime::unknown_parts(&there.settings, types, there.file_name())?;
    // What nobody knows must have been asked for by name, in the same order.
    let mut asked = wanted.split(|byte| *byte == b'.');
    if !unknown.iter().all(|part| asked.any(|asked| asked == *part)) {
        return None;
    }
    let media = mime::describe_plainly(&there.settings, types, there.file_name());
    let handler = there.settings.core.handler().or(media.handler);
    let content_type = match (media.content_type.as_deref(), handler) {
        (Some(content_type), _) => content_type.as_bytes(),
        (None, Some(_)) => accept::PROGRAM_TYPE,
        (None, None) => return None,
    };
    let mut variant =
        Variant { length: Some(length), has_handler: handler.is_some(), ..Variant::default() };
    variant.set_type(content_type);
    variant.encoding = media.encodings.join(", ").into_bytes();
    variant.languages =
        media.languages.iter().map(|tag| tag.to_ascii_lowercase().into_bytes()).collect();
    let is_map = handler == Some(MAP_HANDLER) || variant.media_type == MAP_TYPE.as_bytes();
    Some(Found { variant, is_map })
}

fn read_map(request: &mut Request<'_>, file: &[u8]) -> Result<Arc<TypeMap>, Stop> {
    let (access, now) = (request.access, request.moment());
    let read = request.caches.type_maps.get(file, |_| {}, access, now, TypeMap::parse);
    request.made_from.saw_parsed(file, &read);
    let map = match read {
        Ok(Some(map)) => map.meaning,
        Err(OpenError::WouldBlock) => return Err(Stop::WouldBlock),
        Ok(None) | Err(_) => {
            request
                .log(Level::Error, "negotiation")
                .say(format_args!("AH00683: cannot access type map file: {}", Quoted(file)));
            let status =
                if matches!(read, Ok(None)) { Status::NOT_FOUND } else { Status::FORBIDDEN };
            return Err(Refusal::stop(status));
        }
    };
    if let Some(why) = map.mistake.as_ref().or(map.ends_early.as_ref()) {
        let message = [why.as_bytes(), b" in "].concat();
        request.log(Level::Error, "negotiation").say(format_args!(
            "{}{}",
            Quoted(&message),
            Quoted(file)
        ));
    }
    if map.mistake.is_some() {
        return Err(Refusal::stop(Status::INTERNAL_SERVER_ERROR));
    }
    Ok(map)
}

/// The variants of a map, with the lengths that it does not tell and its own name where it holds the form itself.
fn measured(request: &Request<'_>, map: &TypeMap) -> Result<Vec<Variant>, Stop> {
    let file = request.place.file();
    let folder = memchr::memrchr(b'/', file).map_or(&b""[..], |slash| &file[..=slash]);
    let mut variants = map.variants.clone();
    for variant in &mut variants {
        if variant.body.is_some() {
            variant.name = request.place.file_name().to_vec();
        } else if variant.length.is_none() {
            let there = [folder, &variant.name].concat();
            variant.length = request.look(&there, true)?.map(|stat| stat.size);
        }
    }
    Ok(variants)
}

fn policy<'s>(request: &Request<'_>, settings: &'s DirSettings, has_work: bool) -> Policy<'s> {
    let force = settings.negotiation.force();
    let env = &request.env;
    Policy {
        priority: settings.negotiation.priority(),
        prefer: force.prefer,
        fall_back: force.fall_back,
        language: env.get("prefer-language").map(<[u8]>::to_ascii_lowercase),
        no_encodings: env.get("no-gzip").is_some(),
        encoded_html_only: env.get("gzip-only-text/html") == Some(b"1"),
        prefer_programs: has_work,
    }
}

/// Chooses, and notes what every answer has to say about it.
fn decide<'v>(
    request: &mut Request<'_>,
    variants: &'v [Variant],
    policy: &Policy<'_>,
) -> Result<&'v Variant, Stop> {
    let mut wishes = Wishes::of(&request.fields);
    let is_get = matches!(request.method(), Method::Get | Method::Head);
    let is_neighbour = |variant: &Variant| !variant.name.contains(&b'/') && variant.body.is_none();
    // Openly: by the rules of RFC 2295, which a client could follow by itself.
    let is_transparent =
        is_get && request.place.path_info().is_empty() && variants.iter().all(is_neighbour);
    if is_transparent {
        wishes.heed_negotiate(&request.fields);
    }
    let Some(index) = choose::choose(variants, &wishes, policy) else {
        return Err(list(request, variants, &wishes, is_transparent));
    };
    let chosen = &variants[index];
    request.trace(
        "negotiation",
        format_args!("chooses {} of {} variants", Quoted(&chosen.name), variants.len()),
    );
    if is_transparent {
        check_is_final(request, &chosen.name)?;
        let mut location = Vec::new();
        crate::http::escape::push_path(&mut location, &chosen.name);
        request.always.set("Content-Location", &location);
    }
    if wishes.negotiate.can_choose {
        add_to(&mut request.always, "Alternates", b", ", &lists::alternates(variants));
    }
    note_choice(request, variants, is_transparent, b"choice");
    Ok(chosen)
}

/// A variant that is negotiated itself would go round in circles.
fn check_is_final(request: &mut Request<'_>, name: &[u8]) -> Result<(), Stop> {
    let place = request.quietly(|request| variant_place(request, name))?;
    let types = &request.server.config.server.types;
    let media = mime::describe_plainly(&place.settings, types, place.file_name());
    let is_map = place.settings.core.handler().or(media.handler) == Some(MAP_HANDLER);
    if is_map { Err(Refusal::stop(Status::VARIANT_ALSO_NEGOTIATES)) } else { Ok(()) }
}

/// No variant: a list to choose from, or the bad news that there is nothing for this client.
fn list(
    request: &mut Request<'_>,
    variants: &[Variant],
    wishes: &Wishes,
    is_transparent: bool,
) -> Stop {
    add_to(&mut request.always, "Alternates", b", ", &lists::alternates(variants));
    note_choice(request, variants, is_transparent, b"list");
    let mut status = Status::MULTIPLE_CHOICES;
    if !(is_transparent && wishes.negotiate.can_choose) {
        request
            .log(Level::Error, "negotiation")
            .say(format_args!("AH00690: no acceptable variant: {}", Quoted(request.place.file())));
        status = Status::NOT_ACCEPTABLE;
    }
    Stop::Refused(Refusal::new(status).noting(&String::from_utf8_lossy(&lists::html(variants))))
}

fn note_choice(request: &mut Request<'_>, variants: &[Variant], is_transparent: bool, how: &[u8]) {
    let vary = lists::vary(variants, is_transparent);
    if !vary.is_empty() {
        let known = request.always.get("Vary").unwrap_or_default().to_vec();
        let is_new =
            |name: &&str| !known.split(|byte| *byte == b',').any(|it| it == name.as_bytes());
        let more: Vec<&str> = vary.split(',').filter(is_new).collect();
        add_to(&mut request.always, "Vary", b",", more.join(",").as_bytes());
    }
    if is_transparent {
        request.always.set("TCN", how);
    }
}

/// Adds to a list field, unless it says so already.
fn add_to(fields: &mut Fields, name: &'static str, separator: &[u8], more: &[u8]) {
    match fields.get(name).map(<[u8]>::to_vec) {
        Some(known) if known == more || more.is_empty() => {}
        Some(known) => fields.set(name, &[&known, separator, more].concat()),
        None if more.is_empty() => {}
        None => fields.push(name, more),
    }
}

/// Where a variant lies.
fn variant_place(request: &mut Request<'_>, name: &[u8]) -> Result<Place, Stop> {
    if name.contains(&b'/') {
        let there = request.beside(name, MAP_HANDLER)?;
        return request.locate_normal(there.path);
    }
    request.neighbour(name)
}

/// Content-Encoding in the client's spelling: some know `x-gzip` only.
pub(crate) fn spelling_of(request: &Request<'_>, encoding: &str) -> Option<String> {
    let plain = encoding.strip_prefix("x-").unwrap_or(encoding);
    let wanted = Wishes::of(&request.fields).encodings?;
    let sent = |name: &[u8]| wanted.iter().any(|wanted| wanted.name == name);
    if sent(plain.as_bytes()) {
        return Some(plain.to_owned());
    }
    let other = format!("x-{plain}");
    sent(other.as_bytes()).then_some(other)
}

pub(super) const MODULE: Module = Module {
    name: "negotiation_module",
    file: "mod_negotiation.c",
    server: &[],
    host: HOST_DIRECTIVES,
    directory: DIRECTIVES,
};

const HOST_DIRECTIVES: &[Directive<HostSettings>] = &[Directive {
    name: "CacheNegotiatedDocs",
    syntax: "CacheNegotiatedDocs On|Off",
    default: Some("Off"),
    contexts: HOST,
    overrides: Overrides::NONE,
    docs: "Whether HTTP/1.0 caches, which do not know Vary, may keep what was chosen for one client.",
    apply: |settings, args| {
        settings.negotiation.cache_negotiated = Some(args.flag()?);
        Ok(())
    },
}];

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "LanguagePriority",
        syntax: "LanguagePriority language-tag...",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "The languages of documents in the order in which they are given to clients that do not care, or, \
               with ForceLanguagePriority Fallback, that accept none of them.",
        apply: |settings, args| {
            let tags = settings.negotiation.priority.get_or_insert_default();
            tags.push(args.word()?.to_owned());
            tags.extend(args.map(|word| word.text.clone()));
            Ok(())
        },
    },
    Directive {
        name: "ForceLanguagePriority",
        syntax: "ForceLanguagePriority None|Prefer|Fallback...",
        default: Some("Prefer"),
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "When LanguagePriority decides: Prefer, between languages that the client likes equally, instead of \
               the shortest document; Fallback, where the client accepts none, instead of 406; or None.",
        apply: |settings, args| {
            let mut force = Force::default();
            let mut is_none = false;
            let choices = [("None", None), ("Prefer", Some(true)), ("Fallback", Some(false))];
            while args.remaining() > 0 || (!is_none && force == Force::default()) {
                match args.choice(&choices)? {
                    None => is_none = true,
                    Some(true) => force.prefer = true,
                    Some(false) => force.fall_back = true,
                }
                if is_none && force != Force::default() {
                    return Err(Problem::at(
                        args.at(),
                        "None does not go together with anything else",
                    ));
                }
            }
            settings.negotiation.force = Some(force);
            Ok(())
        },
    },
];
