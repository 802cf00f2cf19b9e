//! What a configuration needs of the machine, from its words.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use herdgate_sys::sandbox::Peers;

use crate::config::Config;
use crate::config::changes::{Line, Outline};

/// Whom children must be able to ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) peers: Peers,
    /// The first line that needs the most, and where it stands.
    pub(super) asked_by: Option<String>,
}

/// Whom children must be able to ask: nobody, those who know users, or those who know hosts.
pub(super) fn peers(outline: &Outline) -> Need {
    let mut need = Need { peers: Peers::Nobody, asked_by: None };
    for line in outline.lines() {
        let peers = peers_of(&line);
        if peers > need.peers {
            let asked_by = format!("{}, {}:{}", line.name, line.file, line.number);
            need = Need { peers, asked_by: Some(asked_by) };
        }
    }
    need
}

fn peers_of(line: &Line<'_>) -> Peers {
    let says = |wanted: &str| line.words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
    let speaks_of =
        |wanted: &str| line.words.iter().any(|word| word.to_ascii_lowercase().contains(wanted));
    let asks_resolver = match line.name.to_ascii_lowercase().as_str() {
        "hostnamelookups" => !says("Off"),
        "usecanonicalname" => says("DNS"),
        "require" | "authzprovideralias" => says("host") || says("forward-dns"),
        "allow" | "deny" => line.words.iter().any(|word| is_host_name(word)),
        // What a .htaccess file will say is not known yet.
        "allowoverride" | "allowoverridelist" => !says("None"),
        _ => false,
    };
    // Conditions, expressions, formats.
    if asks_resolver || speaks_of("remote_host") {
        return Peers::Resolver;
    }
    let asks_for_users = match line.name.to_ascii_lowercase().as_str() {
        "userdir" => true,
        "require" | "authzprovideralias" => says("file-owner") || says("file-group"),
        "rewriterule" => speaks_of("~"), // As the home of a user.
        _ => false,
    };
    if asks_for_users { Peers::Names } else { Peers::Nobody }
}

/// Of `Allow from` and `Deny from`: neither a word of theirs, nor an address.
fn is_host_name(word: &str) -> bool {
    let is_word =
        ["from", "all"].iter().any(|known| word.eq_ignore_ascii_case(known)) || word.contains('=');
    !is_word && !word.contains(':') && word.contains(|letter: char| letter.is_ascii_alphabetic())
}

/// What is read while serving: the same for every server, then what the configuration names, then what the C library
/// needs to ask `peers`.
pub(super) fn reading(config: &Config, peers: Peers) -> Vec<PathBuf> {
    let mut read: BTreeSet<PathBuf> = ALWAYS.iter().map(PathBuf::from).collect();
    let served = served(config);
    read.extend(htaccess_above(&served, config));
    read.extend(served);
    if peers >= Peers::Names {
        read.extend(FOR_NAMES.iter().map(PathBuf::from));
    }
    if peers >= Peers::Resolver {
        read.extend(FOR_HOSTS.iter().map(PathBuf::from));
    }
    read.into_iter().collect()
}

/// The kernel's tables (load, mounts, times of the children, for status pages and the file cache), and the time zone.
const ALWAYS: [&str; 4] =
    ["/proc", "/sys/devices/system/cpu", "/etc/localtime", "/usr/share/zoneinfo"];
/// Where the C library finds users, its modules for that among it.
const FOR_NAMES: [&str; 10] = [
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/lib",
    "/lib64",
    "/run/systemd/userdb",
    "/usr/lib",
    "/usr/lib64",
    "/var/lib/extrausers",
];
/// Where it finds hosts, and the resolver.
const FOR_HOSTS: [&str; 8] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/run/NetworkManager",
    "/run/systemd/resolve",
];

/// What the configuration names: trees, and files beside them.
fn served(config: &Config) -> Vec<PathBuf> {
    let roots = config.hosts.iter().filter_map(|host| host.settings.core.document_root());
    let mut paths: Vec<PathBuf> = roots.map(Path::to_path_buf).collect();
    paths.extend(config.server.sandbox.read.iter().cloned());
    for line in config.outline.lines() {
        paths.extend(named_by(&line).into_iter().map(|path| config.server.root.join(path)));
        if line.name.eq_ignore_ascii_case("UserDir") {
            paths.extend(homes(line.words));
        }
    }
    paths
}

/// The files and folders that a line lets requests lead to.
fn named_by(line: &Line<'_>) -> Vec<String> {
    let words = line.words;
    let last = || words.last().and_then(|word| known_part(word));
    match line.name.to_ascii_lowercase().as_str() {
        "documentroot"
        | "virtualdocumentroot"
        | "virtualdocumentrootip"
        | "alias"
        | "aliasmatch"
        | "scriptalias"
        | "scriptaliasmatch"
        | "authgroupfile"
        | "authuserfile" => last().into_iter().collect(),
        "rewritemap" => {
            let source = words.get(1).map(|word| word.split_once(':').unwrap_or(("txt", word)));
            source.map(|(_, file)| file.to_owned()).into_iter().collect()
        }
        // A target that begins with a folder of this machine is a file, as in Apache.
        "rewriterule" => {
            let target = words.get(1).filter(|word| word.starts_with('/'));
            target.and_then(|word| known_part(word)).into_iter().collect()
        }
        "userdir" => {
            let folders = words.iter().filter(|word| word.starts_with('/'));
            folders.filter_map(|word| known_part(word)).collect()
        }
        _ => Vec::new(),
    }
}

/// A path up to the folder in which what requests decide begins: `/srv/%0/www`, `/srv/*/www` and `/srv/$1.html` are in `/srv`. `None`:
/// that is everything.
fn known_part(path: &str) -> Option<String> {
    let Some(at) = path.find(['$', '%', '*']) else { return Some(path.to_owned()) };
    let folder = &path[..path[..at].rfind('/')?];
    (!folder.is_empty()).then(|| folder.to_owned())
}

/// `UserDir public_html`: for each user of /etc/passwd who has such a folder.
fn homes(words: &[String]) -> Vec<PathBuf> {
    let says_who = |word: &String| {
        ["disabled", "enabled", "disable", "enable"].contains(&word.to_ascii_lowercase().as_str())
    };
    if words.first().is_some_and(says_who) {
        return Vec::new();
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let homes =
        users.lines().filter_map(|line| line.split(':').nth(5)).filter(|home| home.len() > 1);
    let relative = |word: &&String| !word.starts_with('/') && !word.contains([':', '*']);
    let folders: Vec<PathBuf> = homes
        .flat_map(|home| words.iter().filter(relative).map(move |word| Path::new(home).join(word)))
        .collect();
    folders.into_iter().filter(|folder| folder.is_dir()).collect()
}

/// `.htaccess` files in the folders above what is served, which have their say below.
fn htaccess_above(served: &[PathBuf], config: &Config) -> Vec<PathBuf> {
    let names: BTreeSet<&str> =
        config.hosts.iter().flat_map(|host| host.settings.core.access_file_names()).collect();
    let folders: BTreeSet<&Path> =
        served.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let files = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    files.filter(|file| file.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    fn config(lines: &str) -> Config {
        let before = vec![format!("Listen 80\nServerName localhost\nServerRoot /srv\n{lines}\n")];
        Config::load(&Source { before, ..Source::default() }).unwrap().config
    }

    #[test]
    fn connections_are_made_only_for_lines_that_need_them() {
        let check = |lines: &str, peers, asked_by: Option<&str>| {
            let need = super::peers(&config(lines).outline);
            let found = need.asked_by.as_deref().and_then(|text| text.split(',').next());
            assert_eq!((need.peers, found), (peers, asked_by), "{lines}");
        };
        check("HostnameLookups Off\nUseCanonicalName On", Peers::Nobody, None);
        check("HostnameLookups Double", Peers::Resolver, Some("HostnameLookups"));
        let within = |line: &str| format!("<Location />\n{line}\n</Location>");
        check(&within("Require ip 10.1\nRequire all granted"), Peers::Nobody, None);
        check(&within("Require host example.org"), Peers::Resolver, Some("Require"));
        check(
            &within("Require forward-dns a.example\nRequire local"),
            Peers::Resolver,
            Some("Require"),
        );
        check(&within("Allow from all 10.0.0.0/8 2001:db8:: env=friend"), Peers::Nobody, None);
        check(&within("Deny from example.org"), Peers::Resolver, Some("Deny"));
        check("SetEnvIf Remote_Host example x", Peers::Resolver, Some("SetEnvIf"));
        check(
            "RewriteCond %{REMOTE_HOST} example\nRewriteRule ^ - [F]",
            Peers::Resolver,
            Some("RewriteCond"),
        );
        check("UserDir public_html", Peers::Names, Some("UserDir"));
        check("UserDir public_html\nHostnameLookups On", Peers::Resolver, Some("HostnameLookups"));
        check(&within("Require file-owner"), Peers::Names, Some("Require"));
        // A .htaccess file may say any of it.
        let folder = |line: &str| format!("<Directory /srv>\n{line}\n</Directory>");
        check(&folder("AllowOverride None"), Peers::Nobody, None);
        check(&folder("AllowOverride AuthConfig"), Peers::Resolver, Some("AllowOverride"));
    }

    #[test]
    fn what_is_configured_may_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["docs", "pages"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("map"), "a b\n").unwrap();
        fs::write(root.join(".htaccess"), "").unwrap();
        let lines = "DocumentRoot ROOT/docs\nAlias /pages ROOT/pages\nAliasMatch ^/x(.*) ROOT/matched/$1.html\n\
             VirtualDocumentRoot ROOT/hosts/%0/htdocs\nUserDir ROOT/homes/*/www\nSandboxRead more ROOT/file\n\
             RewriteMap map txt:ROOT/map\nRewriteRule ^/r/(.*) ROOT/rewritten/$1\nRewriteRule ^/s/(.*) /$1 [PT]\n\
             <Location /private>\nAuthUserFile users\n</Location>";
        let config = config(&lines.replace("ROOT", &root.display().to_string()));
        let read = reading(&config, Peers::Nobody);
        for path in
            ["docs", "pages", "matched", "hosts", "homes", "file", "map", "rewritten", ".htaccess"]
        {
            assert!(read.contains(&root.join(path)), "{path} in {read:?}");
        }
        assert!(
            read.contains(&PathBuf::from("/srv/users"))
                && read.contains(&PathBuf::from("/srv/more"))
        );
        let secret = ["/", "/etc", "/etc/passwd", "/srv", "/lib"].map(PathBuf::from);
        assert!(!read.iter().any(|path| secret.contains(path) || path == root), "{read:?}");
        assert!(reading(&config, Peers::Names).contains(&PathBuf::from("/etc/passwd")));
        assert!(reading(&config, Peers::Resolver).contains(&PathBuf::from("/etc/hosts")));
    }

    #[test]
    fn a_path_is_known_up_to_what_requests_decide() {
        let check =
            |path, expected: Option<&str>| assert_eq!(known_part(path).as_deref(), expected);
        check("/srv/www", Some("/srv/www"));
        check("/srv/%0/www", Some("/srv"));
        check("/srv/a/page-$1.html", Some("/srv/a"));
        check("/home/*/www", Some("/home"));
        check("/$1", None);
        check("%{DOCUMENT_ROOT}/x", None);
    }
}
