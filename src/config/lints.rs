//! # lints: what is legal, and bites people all the same
//!
//! ```text
//! tree, Config, disk ──▶ warnings of `herdgate -t`, each with its place and its reason
//! ```
//!
//! - Nothing here keeps a server from starting, and no start looks at it: some of it walks through folders.
//! - A warning is worth its line only if whoever reads it would want to change something. What is a matter of taste is
//!   not mentioned.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use herdgate_conf::{Diagnostic, Line, Node, Section, Span, Tree, Word};
use nix::unistd::{Gid, User};

use super::geometry::Model;
use super::{Config, Host, Identity};
use crate::modules::alias::AliasFrom;
use crate::route::alias::lexical;
use crate::route::hosts::{HostIndex, MAIN};
use crate::route::pattern::{self, Slash};

/// Folders within folders that are worth a word where every request looks for `.htaccess` in each.
const DEEP_FOLDERS: usize = 5;
/// Folders that are looked at to find out how deep a tree is.
const FOLDERS_MAX: usize = 2_000;
/// Fewer new clients a second than this are few for any server.
const NEW_CLIENTS_PER_SECOND: f64 = 10.0;

/// What was found.
type Found = Vec<Diagnostic>;

/// Finds all of it. `tree` is what `config` was made of.
pub(super) fn find(tree: &Tree, config: &Config) -> Found {
    let mut found = Found::new();
    hosts(tree, config, &mut found);
    walk(&tree.nodes, &mut Vec::new(), &mut |node, within| match node {
        Node::Line(line) => directive(line, within, config, &mut found),
        Node::Section(section) => opening(&section.line, config, &mut found),
    });
    closed_folders(config, &mut found);
    found
}

/// Visits every node with the sections that it stands in, the outermost first.
fn walk<'t>(
    nodes: &'t [Node],
    within: &mut Vec<&'t Line>,
    visit: &mut impl FnMut(&'t Node, &[&'t Line]),
) {
    for node in nodes {
        visit(node, within);
        within.push(node.line());
        walk(node.children(), within, visit);
        within.pop();
    }
}

fn warn(found: &mut Found, place: impl Into<Span>, message: String, help: &str) {
    found.push(Diagnostic::warning(place, message).help(help));
}

// ---- virtual hosts

/// Hosts that nobody reaches, or not by every name that they have.
fn hosts(tree: &Tree, config: &Config, found: &mut Found) {
    let sections = tree.nodes.iter().filter_map(|node| match node {
        Node::Section(section) if section.line.is("VirtualHost") => Some(section),
        Node::Section(_) | Node::Line(_) => None,
    });
    let sections: Vec<&Section> = sections.collect();
    // The main server is the host before the first.
    let section =
        |host: HostIndex| host.checked_sub(1).and_then(|host| sections.get(host).copied());
    let ports: Vec<Option<u16>> =
        config.server.mpm.listen.iter().map(|listen| listen.address.port()).collect();
    let mut told = HashSet::new();
    for (address, members) in config.table.groups() {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let is_heard = port.is_none() || ports.contains(&port) || ports.contains(&Some(0));
        for (rank, host) in members.iter().enumerate().filter(|(_, host)| **host != MAIN) {
            let Some(section) = section(*host) else { continue };
            if let (Some(port), false) = (port, is_heard) {
                let message = format!(
                    "nobody reaches this host at {address}: no Listen line has port {port}"
                );
                warn(found, &section.line.name, message, &format!("Listen {port}"));
            }
            let earlier = members[..rank].iter().map(|host| &config.hosts[*host]);
            shadowed(section, &config.hosts[*host], earlier, &address, &mut |span, message| {
                if told.insert((span, message.clone())) {
                    warn(
                        found,
                        span,
                        message,
                        "the first host of an address that has the name answers",
                    );
                }
            });
        }
    }
}

/// The names of a host that an earlier one of the same address answers to.
fn shadowed<'c>(
    section: &Section,
    host: &Host,
    earlier: impl Iterator<Item = &'c Host> + Clone,
    address: &str,
    tell: &mut impl FnMut(Span, String),
) {
    let is_first = earlier.clone().next().is_none();
    let names = names_of(host);
    let by_argument = host.addresses.iter().any(|argument| is_name(argument));
    if names.is_empty() && !is_first && !by_argument {
        let message = format!(
            "no request reaches this host: it has no ServerName, and is not the first at {address}"
        );
        tell(section.line.name.span, message);
    }
    for name in names {
        let answers = |other: &&Host| {
            names_of(other).any_of(|known| {
                known == name
                    || pattern::is_pattern(known)
                        && !pattern::is_pattern(name)
                        && pattern::matches(known.as_bytes(), name.as_bytes(), Slash::IsOrdinary)
            })
        };
        if let Some(other) = earlier.clone().find(answers) {
            let place = other.place.as_deref().unwrap_or("the main server");
            let message = format!(
                "{name} at {address} is answered by the host at {place}, never by this one"
            );
            tell(place_of_name(section, name), message);
        }
    }
}

/// ServerName and ServerAlias, in lower case.
fn names_of(host: &Host) -> Names<'_> {
    let name = host.settings.core.name().map(|name| name.host.as_str());
    Names(name.into_iter().chain(host.settings.core.aliases().iter().map(String::as_str)).collect())
}

struct Names<'h>(Vec<&'h str>);

impl<'h> Names<'h> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn any_of(&self, test: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|name| test(name))
    }
}

impl<'h> IntoIterator for Names<'h> {
    type Item = &'h str;
    type IntoIter = std::vec::IntoIter<&'h str>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Whether the argument of `<VirtualHost>` is a name, by which its host can be asked for.
fn is_name(argument: &str) -> bool {
    let host = argument.rsplit_once(':').map_or(argument, |(host, _)| host);
    let is_any = host == "*" || host.eq_ignore_ascii_case("_default_");
    !is_any && !argument.starts_with('[') && host.parse::<IpAddr>().is_err()
}

fn place_of_name(section: &Section, name: &str) -> Span {
    let lines = section.children.iter().map(Node::line);
    let lines = lines.filter(|line| line.is("ServerName") || line.is("ServerAlias"));
    let word = lines.flat_map(|line| &line.words).find(|word| {
        let text = word.text.to_ascii_lowercase();
        text == name || text.split(':').any(|part| part.trim_start_matches('/') == name)
    });
    word.map_or(section.line.name.span, |word| word.span)
}

// ---- directives

fn directive(line: &Line, within: &[&Line], config: &Config, found: &mut Found) {
    let has = |name: &str| {
        line.words.iter().find(|word| word.text.trim_start_matches('+').eq_ignore_ascii_case(name))
    };
    if line.is("Options")
        && let Some(word) = has("SymLinksIfOwnerMatch")
    {
        let message = "SymLinksIfOwnerMatch has every folder on the way to a file looked at, for every request, and a \
                       link that changes meanwhile can still deceive it";
        let help = "FollowSymLinks, or SymLinksBeneath, which keeps links within the root by one system call";
        warn(found, word, message.to_string(), help);
    }
    if line.is("HostnameLookups")
        && let Some(word) = has("On").or(has("Double"))
    {
        let message = "every request waits for the DNS before it is answered".to_string();
        warn(found, word, message, "Off; tools that read logs can look names up later");
    }
    if line.is("AllowOverride") && has("None").is_none() {
        allow_override(line, within, config, found);
    }
    if line.is("KeepAliveTimeout") {
        keep_alive(line, within, config, found);
    }
    let is_path = ["Alias", "Redirect", "ScriptAlias"].iter().any(|name| line.is(name));
    if let (true, Some(word)) = (is_path, line.words.first()) {
        encoded(word, found);
    }
}

/// `AllowOverride`, where requests pay for many folders.
fn allow_override(line: &Line, within: &[&Line], config: &Config, found: &mut Found) {
    let Some(folder) = within
        .last()
        .filter(|section| section.is("Directory"))
        .and_then(|it| plain_folder(it, config))
    else {
        return;
    };
    const HELP: &str =
        "AllowOverride None, and the lines of .htaccess files in <Directory> sections";
    if folder == Path::new("/") {
        let message = "every request looks for a .htaccess file in every folder from / on, those before the site \
                       included";
        return warn(found, &line.name, message.to_string(), HELP);
    }
    let deepest = depth_below(&folder);
    if deepest >= DEEP_FOLDERS {
        let message = format!(
            "folders lie {deepest} deep below {}: a request for the deepest looks for {} .htaccess files",
            folder.display(),
            deepest + 1
        );
        warn(found, &line.name, message, HELP);
    }
}

/// How many folders lie within each other below `folder`, so far as [`FOLDERS_MAX`] of them tell.
fn depth_below(folder: &Path) -> usize {
    let mut deepest = 0;
    let mut folders = vec![(folder.to_path_buf(), 0)];
    let mut looked_at = 0;
    while let Some((folder, depth)) = folders.pop().filter(|_| looked_at < FOLDERS_MAX) {
        looked_at += 1;
        deepest = deepest.max(depth);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.map(|entry| (entry.path(), depth + 1)));
    }
    deepest
}

/// `KeepAliveTimeout`, where a worker does nothing else meanwhile.
fn keep_alive(line: &Line, within: &[&Line], config: &Config, found: &mut Found) {
    let geometry = &config.server.mpm.geometry;
    let host = within.iter().find(|section| section.is("VirtualHost"));
    let host = match host {
        None => Some(config.main()),
        // What stands in a virtual host may differ from host to host; the place tells which one is meant.
        Some(section) => config.hosts.iter().find(|host| {
            let arguments = section.words.iter().map(|word| word.text.as_str());
            host.place.is_some() && host.addresses.iter().map(String::as_str).eq(arguments)
        }),
    };
    let Some(host) = host.filter(|_| geometry.model != Model::Event) else { return };
    let secs = host.settings.core.keep_alive_timeout().as_secs_f64();
    let rate = f64::from(geometry.max_request_workers) / secs;
    if secs > 0.0 && rate < NEW_CLIENTS_PER_SECOND {
        let (model, workers) = (geometry.model, geometry.max_request_workers);
        let message = format!(
            "under {model} a client keeps its worker for {secs} s after its last request: {workers} workers are all \
             taken by {rate:.1} new clients a second"
        );
        warn(
            found,
            &line.name,
            message,
            "a shorter time, or mpm_event, where idle connections hold no worker",
        );
    }
}

// ---- sections

/// A section that can never match.
fn opening(line: &Line, config: &Config, found: &mut Found) {
    let word = match line.words.as_slice() {
        [tilde, word] if tilde.text == "~" => return anchored(word, found),
        [word] => word,
        _ => return,
    };
    let is_folder = line.is("Directory");
    if is_folder
        && let Some(folder) = plain_folder(line, config)
        && let Err(error) = fs::metadata(&folder)
        && error.kind() == std::io::ErrorKind::NotFound
    {
        let message = format!("<Directory> never matches: there is no {}", folder.display());
        warn(found, word, message, "a folder that is made later counts from then on");
    }
    if line.is("Files") && word.text.contains('/') {
        let message = "<Files> never matches: a file's name has no slash".to_string();
        warn(found, word, message, "<Directory> for folders, <Location> for URL paths");
    }
    if line.is("Location") {
        encoded(word, found);
    }
    if line.is("DirectoryMatch") || line.is("LocationMatch") {
        anchored(word, found);
    }
}

/// A path that is written as in a URL, though it is compared decoded.
fn encoded(word: &Word, found: &mut Found) {
    let text = &word.text;
    let triple = text.as_bytes().windows(3).find(|triple| {
        triple[0] == b'%' && triple[1].is_ascii_hexdigit() && triple[2].is_ascii_hexdigit()
    });
    if let Some(triple) = triple {
        let triple = String::from_utf8_lossy(triple);
        let message = format!(
            "{text} never matches: paths are compared decoded, and {triple} stands for itself here"
        );
        warn(found, word, message, "write the character, in quotes if it is a blank");
    }
}

/// A regular expression that begins where no path does.
fn anchored(word: &Word, found: &mut Found) {
    let mut characters = word.text.chars();
    let begins = characters.next() == Some('^');
    if begins && characters.next().is_some_and(|next| next.is_ascii_alphanumeric()) {
        let message = format!("{} never matches: every path begins with a slash", word.text);
        warn(found, word, message, "^/");
    }
}

/// The folder of a `<Directory>` without wildcards.
fn plain_folder(line: &Line, config: &Config) -> Option<PathBuf> {
    let [word] = line.words.as_slice() else { return None };
    (!pattern::is_pattern(&word.text)).then(|| lexical(&config.server.root.join(&word.text)))
}

// ---- folders that the children cannot enter

fn closed_folders(config: &Config, found: &mut Found) {
    let Some(reader) = Reader::of(config) else { return };
    let mut told = HashSet::new();
    for host in &config.hosts {
        let core = &host.settings.core;
        let root = core.document_root().zip(core.document_root_span());
        let aliases = host.base().alias.list().iter();
        let aliases = aliases.filter(|alias| matches!(alias.from, AliasFrom::Prefix(_)));
        let aliases = aliases.map(|alias| (alias.to.as_path(), alias.span));
        for (folder, span) in root.into_iter().chain(aliases) {
            let Some(closed) = reader.closed_on_the_way_to(folder) else { continue };
            if told.insert((span, closed.clone())) {
                let message = format!("{} cannot enter {}", reader.name, closed.display());
                warn(found, span, message, &format!("chmod o+x {}", closed.display()));
            }
        }
    }
}

/// Who the children are.
struct Reader {
    name: String,
    user: u32,
    groups: Vec<u32>,
}

impl Reader {
    /// `None`: whoever it is may read everything, or nobody knows yet.
    fn of(config: &Config) -> Option<Self> {
        let Identity { name, id } = config.server.user.as_ref()?;
        let user = User::from_uid((*id).into()).ok().flatten();
        let group = config.server.group.as_ref().map(|group| group.id);
        let group = group.or(user.as_ref().map(|user| user.gid.as_raw()))?;
        let member_of = user.and_then(|user| std::ffi::CString::new(user.name).ok());
        let groups =
            member_of.and_then(|name| nix::unistd::getgrouplist(&name, Gid::from_raw(group)).ok());
        let groups = groups.unwrap_or_default().into_iter().map(Gid::as_raw);
        let groups = groups.chain([group]).collect();
        Some(Self { name: name.clone(), user: *id, groups }).filter(|reader| reader.user != 0)
    }

    /// The first folder on the way that the mode bits close; access lists are not looked at.
    fn closed_on_the_way_to(&self, folder: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = folder.ancestors().collect();
        way.reverse();
        way.into_iter().find_map(|folder| {
            let metadata = fs::metadata(folder).ok().filter(fs::Metadata::is_dir)?;
            let shift = if metadata.uid() == self.user {
                6
            } else if self.groups.contains(&metadata.gid()) {
                3
            } else {
                0
            };
            let may_enter = metadata.mode() >> shift & 1 == 1;
            (!may_enter).then(|| folder.to_path_buf())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use std::os::unix::fs::PermissionsExt as _;

    /// The warnings about a configuration as `LINE: MESSAGE`, by line; `Listen 80` is line 1.
    fn warnings(text: &str) -> Vec<String> {
        let before = vec![format!("Listen 80\n{text}\n")];
        let source = Source { root: "/".into(), before, ..Source::default() };
        let found = Config::examine(&source).unwrap_or_else(|errors| panic!("{errors}")).warnings;
        let line = |found: &Diagnostic, sources: &herdgate_conf::Sources| {
            found.span.map_or(0, |span| sources.locate(span).line)
        };
        let mut lines: Vec<(usize, String)> = found
            .list
            .iter()
            .map(|each| (line(each, &found.sources), each.message.clone()))
            .collect();
        lines.sort();
        lines.into_iter().map(|(line, message)| format!("{line}: {message}")).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(warnings(text), expected, "{text}");
    }

    #[test]
    fn hosts_that_nobody_reaches() {
        let host = |address: &str, lines: &str| {
            format!("<VirtualHost {address}>\n{lines}\n</VirtualHost>\n")
        };
        check(
            &[
                host("*:80", "ServerName a.example\nServerAlias *.a.example"),
                host("*:80", "ServerName www.a.example:80"),
                host("*:80", "ServerName b.example"),
                host("*:80", "ServerAdmin nobody"),
                host("*:81", "ServerName a.example"),
            ]
            .concat(),
            &[
                "7: www.a.example at *:80 is answered by the host at -C:2, never by this one",
                "12: no request reaches this host: it has no ServerName, and is not the first at *:80",
                "15: nobody reaches this host at *:81: no Listen line has port 81",
            ],
        );
        check(
            &[host("*:80 127.0.0.1:80", "ServerName a"), host("*:80", "ServerName b")].concat(),
            &[],
        );
    }

    #[test]
    fn sections_that_never_match() {
        check(
            "<Directory /no/such/folder>\n</Directory>\n<Files a/b>\n</Files>\n<Location /a%20b>\n</Location>\n\
             <LocationMatch ^images/>\n</LocationMatch>\n<Location ~ ^x>\n</Location>\nAlias /%C3%A9 /",
            &[
                "2: <Directory> never matches: there is no /no/such/folder",
                "4: <Files> never matches: a file's name has no slash",
                "6: /a%20b never matches: paths are compared decoded, and %20 stands for itself here",
                "8: ^images/ never matches: every path begins with a slash",
                "10: ^x never matches: every path begins with a slash",
                "12: /%C3%A9 never matches: paths are compared decoded, and %C3 stands for itself here",
            ],
        );
        check(
            "<Directory />\n</Directory>\n<Directory /no/*/folder>\n</Directory>\n<Files *.a>\n</Files>\n\
             <Location \"/a b\">\n</Location>\n<LocationMatch ^/images/|^$>\n</LocationMatch>",
            &[],
        );
    }

    #[test]
    fn what_costs_time() {
        check(
            "Options Indexes SymLinksIfOwnerMatch\n<Directory />\nOptions +Indexes -SymLinksIfOwnerMatch\n\
             AllowOverride FileInfo\n</Directory>",
            &[
                "2: SymLinksIfOwnerMatch has every folder on the way to a file looked at, for every request, and a link \
                 that changes meanwhile can still deceive it",
                "5: every request looks for a .htaccess file in every folder from / on, those before the site included",
            ],
        );
        assert!(
            warnings("HostnameLookups Double")
                .contains(&"2: every request waits for the DNS before it is answered".to_string())
        );
        check("HostnameLookups Off", &[]);
    }

    #[test]
    fn overrides_in_a_deep_tree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let section = format!("<Directory {path}>\nAllowOverride All\n</Directory>");
        fs::create_dir_all(folder.path().join("a/b/c/d")).unwrap();
        check(&section, &[]);
        fs::create_dir_all(folder.path().join("a/b/c/d/e/f")).unwrap();
        check(
            &section,
            &[&format!(
                "3: folders lie 6 deep below {path}: a request for the deepest looks for 7 .htaccess files"
            )],
        );
        check(&section.replace("All\n", "None\n"), &[]);
    }

    #[test]
    fn idle_connections_that_hold_all_workers() {
        let with = |model: &str, lines: &str| {
            warnings(&format!("LoadModule mpm_{model}_module x\nMaxRequestWorkers 100\n{lines}"))
        };
        assert_eq!(
            with("prefork", "KeepAliveTimeout 40"),
            [
                "4: under prefork a client keeps its worker for 40 s after its last request: 100 workers are all taken by \
              2.5 new clients a second"
            ]
        );
        assert_eq!(with("prefork", "KeepAliveTimeout 5"), [""; 0]);
        assert_eq!(with("event", "KeepAliveTimeout 40"), [""; 0]);
        let host = "<VirtualHost *:80>\nServerName a\nKeepAliveTimeout 50\n</VirtualHost>";
        assert_eq!(with("worker", host).len(), 1);
    }

    #[test]
    fn folders_that_the_server_cannot_enter() {
        let folder = tempfile::tempdir().unwrap();
        let set =
            |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let root = folder.path().join("htdocs");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let lines =
            format!("User nobody\nDocumentRoot {root}\nAlias /a {root}", root = root.display());
        set(0o755);
        check(&lines, &[]);
        set(0o700);
        let closed = folder.path().display();
        check(
            &lines,
            &[
                &format!("3: nobody cannot enter {closed}"),
                &format!("4: nobody cannot enter {closed}"),
            ],
        );
    }
}
