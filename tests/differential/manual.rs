//! # Apache's manual, crawled in three languages
//!
//! Debian's `apache2-doc` by the configuration that comes with it, and the same pages laid out as upstream installs
//! them: one page in several languages side by side, a type map for each, and the language chosen by the client, or by
//! the path.
//!
//! Every link is followed from the first page of each language, and every answer compared. `HERDGATE_CRAWL=all` follows
//! all links, instead of the first [`PAGES_MAX`] of each language.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::cases::{Request, TIME};
use crate::differences::Differences;
use crate::peers::{Apache, Installed, Tree, set_time};
use crate::support::links::links;
use crate::support::skipped;
use crate::{Both, Faults};

/// How `differences.md` calls this crawl.
pub(crate) const NAME: &str = "manual";

const INSTALLED: &str = "/usr/share/doc/apache2-doc/manual";
const DEBIANS_CONF: &str = "/etc/apache2/conf-available/apache2-doc.conf";
const LANGUAGES: [&str; 3] = ["en", "fr", "ja"];
/// How many pages of each language are asked for, unless all are wanted.
const PAGES_MAX: usize = 60;

#[test]
fn the_manual_is_the_same_by_debians_configuration() {
    let Some((apache, manual)) = found() else { return };
    let tree = Tree::empty();
    let conf = fs::read_to_string(DEBIANS_CONF).unwrap();
    tree.write_conf(&conf);
    let starts: Vec<Start> = LANGUAGES
        .iter()
        .map(|language| Start { path: format!("/manual/{language}/"), fields: String::new() })
        .collect();
    assert!(manual.join("en/index.html").exists());
    compare(apache, &tree, starts);
}

#[test]
fn the_manual_is_the_same_by_negotiation() {
    let Some((apache, manual)) = found() else { return };
    let tree = Tree::empty();
    lay_out_as_upstream(&manual, &tree.path("manual"));
    tree.write_conf(UPSTREAMS_CONF);
    let by_client = LANGUAGES.iter().map(|language| Start {
        path: "/manual/".to_owned(),
        fields: format!(" | Accept-Language: {language}, en;q=0.5"),
    });
    let by_path = LANGUAGES.iter().map(|language| Start {
        path: format!("/manual/{language}/"),
        fields: " | Accept-Language: de".to_owned(),
    });
    compare(apache, &tree, by_client.chain(by_path).collect());
}

/// In the manner of `extra/httpd-manual.conf`.
const UPSTREAMS_CONF: &str = "\
AliasMatch ^/manual(?:/(?:en|fr|ja))?(/.*)?$ \"ROOT/manual$1\"
<Directory \"ROOT/manual\">
    Options Indexes FollowSymLinks
    <Files *.html>
        SetHandler type-map
    </Files>
    AddLanguage en .en
    AddLanguage fr .fr
    AddLanguage ja .ja
    AddCharset UTF-8 .utf8
    SetEnvIf Request_URI ^/manual/(en|fr|ja)/ prefer-language=$1
    RedirectMatch 301 ^/manual(?:/(en|fr|ja)){2,}(/.*)?$ /manual/$1$2
    LanguagePriority en fr ja
    ForceLanguagePriority Prefer Fallback
</Directory>
";

/// Both, or the test is skipped.
fn found() -> Option<(Installed, PathBuf)> {
    let apache = Apache::find()?;
    if Path::new(INSTALLED).join("index.html").exists() && Path::new(DEBIANS_CONF).exists() {
        return Some((apache, PathBuf::from(INSTALLED)));
    }
    skipped("apache2-doc is not installed");
    None
}

/// Links `PAGE.en`, `PAGE.fr.utf8`, … to the pages of each language, and writes a type map for each page.
fn lay_out_as_upstream(manual: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for shared in ["images", "style"] {
        symlink(manual.join(shared), to.join(shared)).unwrap();
    }
    let english = manual.join("en");
    for page in pages(&english) {
        let name = page.strip_prefix(&english).unwrap().to_str().unwrap();
        let map = to.join(name);
        fs::create_dir_all(map.parent().unwrap()).unwrap();
        let mut records = Vec::new();
        for (language, charset) in [("en", ""), ("fr", ".utf8"), ("ja", ".utf8")] {
            let original = manual.join(language).join(name);
            if original.is_file() {
                let variant = format!("{name}.{language}{charset}");
                symlink(original, to.join(&variant)).unwrap();
                let variant = variant.rsplit('/').next().unwrap();
                records.push(format!(
                    "URI: {variant}\nContent-Language: {language}\nContent-type: text/html; charset=UTF-8\n"
                ));
            }
        }
        fs::write(&map, records.join("\n")).unwrap();
        set_time(&map, TIME); // A tag of this very second would be weak.
    }
}

/// The HTML files of a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(pages(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "html") {
            found.push(entry);
        }
    }
    found
}

/// Where a crawl begins, and what each of its requests says.
struct Start {
    path: String,
    fields: String,
}

fn compare(apache: Installed, tree: &Tree, starts: Vec<Start>) {
    let apache = apache.start(tree);
    let mut both = Both::new(&apache, crate::herdgate("event", tree));
    let mut intended = Differences::read(NAME);
    let all = std::env::var("HERDGATE_CRAWL").as_deref() == Ok("all");
    let pages_max = if all { usize::MAX } else { PAGES_MAX };
    let mut faults = Faults::default();
    let mut asked = 0;
    for start in starts {
        let (path, fields) = (start.path.clone(), start.fields.clone());
        let count = crawl(&mut both, start, pages_max, &mut intended, &mut faults);
        eprintln!("{path}{fields}: {count} pages");
        asked += count;
        assert!(count >= PAGES_MAX, "{path}{fields}: {count} pages are no manual");
    }
    faults.assert_none(NAME, asked);
}

fn crawl(
    both: &mut Both<'_>,
    start: Start,
    pages_max: usize,
    intended: &mut Differences,
    faults: &mut Faults,
) -> usize {
    let mut seen = HashSet::from([start.path.clone()]);
    let mut waiting = VecDeque::from([start.path]);
    let mut count = 0;
    while let Some(path) = waiting.pop_front() {
        let request = Request::parse(&format!("GET {path}{}", start.fields));
        let (differing, ours) = both.ask(&request, intended);
        faults.note("event", &request.line, differing);
        count += 1;
        for link in links(&path, ours.body()) {
            if seen.len() < pages_max && seen.insert(link.clone()) {
                waiting.push_back(link);
            }
        }
    }
    count
}
