//! # compat: what of an Apache configuration would be refused, in one look
//!
//! ```text
//! mod_proxy: let HAProxy or nginx stand before it …          what lacks, and what to do
//!     sites-enabled/shop.conf:12: ProxyPass /api http://…    where, and what is written there
//! ```
//!
//! - It reads what a start would read, and goes on behind everything that it misses: a module that cannot be had counts
//!   as loaded, so that the directives that depend on it are seen as well.
//! - Where `.htaccess` files may have a say, those below the document roots and aliases are read, too.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use herdgate_conf::{Diagnostic, Sources, Start};

use super::load::{self, Draft, HostDraft, Modules};
use super::{Source, freeze};
use crate::modules::alias::AliasFrom;
use crate::modules::core::Permit;
use crate::modules::providers::Providers;

/// Folders that are searched for `.htaccess` files.
const FOLDERS_MAX: usize = 20_000;

/// What would be refused.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which they were met.
    groups: Vec<Group>,
    /// Mistakes of other kinds.
    mistakes: usize,
    /// There are more folders than were looked into.
    searched_in_part: bool,
}

/// Lines with the same way out.
#[derive(Debug)]
struct Group {
    /// Those that lack; none where a part of one does.
    modules: Vec<String>,
    /// What to do.
    advice: String,
    /// `PLACE: TEXT`
    lines: Vec<String>,
}

/// Reads a configuration as a start would.
pub fn report(source: &Source) -> Report {
    let mut report = Report::default();
    let draft = load::load(source);
    let htaccess = Htaccess::of(&draft);
    let (found, sources) = match freeze::freeze(draft) {
        Ok(loaded) => (loaded.warnings.list, loaded.warnings.sources),
        Err(mistakes) => (mistakes.list, mistakes.sources),
    };
    report.take(&found, &sources);
    if let Some(htaccess) = htaccess {
        htaccess.read_all(&mut report);
    }
    report
}

impl Report {
    /// Whether a start would succeed, so far as the text decides.
    pub fn is_good(&self) -> bool {
        self.groups.is_empty() && self.mistakes == 0
    }

    fn take(&mut self, found: &[Diagnostic], sources: &Sources) {
        for diagnostic in found.iter().filter(|found| found.is_error()) {
            match diagnostic.span {
                Some(span) if diagnostic.lacking => {
                    let place = sources.locate(span);
                    let text = sources.excerpt(sources.line_of(span)).trim();
                    let line = format!("{}:{}: {text}", place.file, place.line);
                    let advice = diagnostic.help.as_deref().unwrap_or(&diagnostic.message);
                    self.add(advice, line);
                }
                Some(_) | None => self.mistakes += 1,
            }
        }
    }

    /// `help` is an advice, perhaps with a module before it: `mod_ssl: let …`.
    fn add(&mut self, help: &str, line: String) {
        let named = help.split_once(": ").filter(|(module, _)| module.starts_with("mod_"));
        let (module, advice) = named.map_or((None, help), |(module, rest)| (Some(module), rest));
        let known = self.groups.iter().position(|group| group.advice == advice);
        let number = known.unwrap_or_else(|| {
            let advice = advice.to_string();
            self.groups.push(Group { modules: Vec::new(), advice, lines: Vec::new() });
            self.groups.len() - 1
        });
        let group = &mut self.groups[number];
        if !group.lines.contains(&line) {
            group.lines.push(line); // Else it is another word of the same line.
        }
        let module = module.map(str::to_string).filter(|module| !group.modules.contains(module));
        group.modules.extend(module);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Group { modules, advice, lines } in &self.groups {
            let colon = if modules.is_empty() { "" } else { ": " };
            writeln!(out, "{}{colon}{advice}", modules.join(", "))?;
            lines.iter().try_for_each(|line| writeln!(out, "    {line}"))?;
            writeln!(out)?;
        }
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        if self.searched_in_part {
            writeln!(
                out,
                "Only the first {FOLDERS_MAX} folders were searched for .htaccess files."
            )?;
        }
        match self.groups.iter().map(|group| group.lines.len()).sum() {
            0 => writeln!(out, "Nothing would be refused.")?,
            lines => writeln!(out, "{lines} line{} would be refused.", plural(lines))?,
        }
        if self.mistakes > 0 {
            let (count, plural) = (self.mistakes, plural(self.mistakes));
            writeln!(out, "{count} mistake{plural} of other kinds: see herdgate -t")?;
        }
        Ok(())
    }
}

/// What must be known to read the `.htaccess` files of a configuration.
struct Htaccess {
    start: Start,
    refused: Vec<String>,
    model: super::geometry::Model,
    /// Where to search, none within another.
    folders: Vec<PathBuf>,
    names: Vec<String>,
    permit: Permit,
    /// What their lines about access may name.
    providers: Arc<Providers>,
}

impl Htaccess {
    /// `None`: they have no say anywhere.
    fn of(draft: &Draft) -> Option<Self> {
        let hosts = || std::iter::once(&draft.main).chain(&draft.hosts);
        let permit = hosts().flat_map(|host| &host.sections).find_map(|section| {
            let mut permit = Permit::default();
            section.settings.core.permit(&mut permit);
            Some(permit).filter(|permit| !permit.is_nothing())
        })?;
        let names: BTreeSet<&str> =
            hosts().flat_map(|host| host.settings.core.access_file_names()).collect();
        let start = Start {
            definitions: draft.definitions.clone(),
            server_root: draft.server.root.clone(),
        };
        Some(Self {
            start,
            refused: draft.refused.clone(),
            model: draft.model,
            folders: folders_of(hosts()),
            names: names.into_iter().map(str::to_string).collect(),
            permit,
            providers: Arc::clone(&draft.server.providers),
        })
    }

    fn read_all(&self, report: &mut Report) {
        let mut folders = self.folders.clone();
        let mut searched = 0;
        while let Some(folder) = folders.pop() {
            if searched == FOLDERS_MAX {
                report.searched_in_part = true;
                return;
            }
            searched += 1;
            for name in &self.names {
                let path = folder.join(name);
                if let Ok(text) = fs::read(&path) {
                    self.read(&path, &text, report);
                }
            }
            // What cannot be read, nobody is served from either. Links are not followed: their targets may be anywhere.
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.extend(below.map(|entry| entry.path()));
        }
    }

    fn read(&self, path: &Path, text: &[u8], report: &mut Report) {
        let (model, refused) = (Some(self.model), self.refused.clone());
        let mut modules = Modules { model, refused, ..Modules::default() };
        let name = path.to_string_lossy();
        let reading = herdgate_conf::read_htaccess(&name, text, self.start.clone(), &mut modules);
        let folder = path.parent().unwrap_or(Path::new("/"));
        let (_, found, sources) = load::load_htaccess(
            reading,
            &self.start.server_root,
            folder,
            &self.permit,
            &self.providers,
        );
        let lacking: Vec<Diagnostic> = found.into_iter().filter(|found| found.lacking).collect();
        report.take(&lacking, &sources);
    }
}

/// Document roots and the targets of aliases.
fn folders_of<'d>(hosts: impl Iterator<Item = &'d HostDraft>) -> Vec<PathBuf> {
    let mut folders = BTreeSet::new();
    for host in hosts {
        folders.extend(host.settings.core.document_root().map(Path::to_path_buf));
        let aliases = host.base.alias.list().iter();
        let plain = aliases.filter(|alias| matches!(alias.from, AliasFrom::Prefix(_)));
        folders.extend(plain.map(|alias| alias.to.clone()));
    }
    let mut outermost: Vec<PathBuf> = Vec::new();
    // Sorted, so that a folder comes before what lies in it.
    for folder in folders {
        if !outermost.iter().any(|outer| folder.starts_with(outer)) {
            outermost.push(folder);
        }
    }
    outermost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report_of(text: &str) -> Report {
        let before = vec![format!("Listen 80\n{text}\n")];
        report(&Source { root: "/".into(), before, ..Source::default() })
    }

    #[test]
    fn lines_that_would_be_refused_stand_below_what_to_do() {
        let report = report_of(
            "LoadModule ssl_module x.so\n<IfModule mod_ssl.c>\n    SSLEngine on\n</IfModule>\n\
             <VirtualHost *:80>\nProxyPass /api http://b/\n<Proxy *>\nNobodySeesThis\n</Proxy>\n</VirtualHost>\n\
             Dav On\nErrorLog syslog",
        );
        let text = report.to_string();
        let (ssl, proxy, dav) = (
            "mod_ssl: Herdgate speaks no TLS",
            "mod_proxy: Herdgate passes",
            "mod_dav: Herdgate only reads",
        );
        assert!(text.starts_with(ssl), "{text}");
        for (advice, lines) in [
            (ssl, "    -C:2: LoadModule ssl_module x.so\n    -C:4: SSLEngine on\n\n"),
            (proxy, "    -C:7: ProxyPass /api http://b/\n    -C:8: <Proxy *>\n\n"),
            (dav, "    -C:12: Dav On\n\n"),
            ("name a file", "    -C:13: ErrorLog syslog\n\n"),
        ] {
            let (_, after) = text.split_once(advice).unwrap_or_else(|| panic!("{advice}: {text}"));
            let (_, after) = after.split_once('\n').unwrap();
            assert!(after.starts_with(lines), "{advice}: {text}");
        }
        assert!(text.ends_with("\n6 lines would be refused.\n"), "{text}");
        assert!(!report.is_good());
    }

    #[test]
    fn mistakes_of_other_kinds_are_counted() {
        let report = report_of("KeepAlive perhaps\nFrobnicate");
        assert_eq!(
            report.to_string(),
            "Nothing would be refused.\n2 mistakes of other kinds: see herdgate -t\n"
        );
        assert!(!report.is_good());
        let report = report_of("");
        assert_eq!(
            (report.to_string().as_str(), report.is_good()),
            ("Nothing would be refused.\n", true)
        );
    }

    #[test]
    fn htaccess_files_are_read_where_they_have_a_say() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/.htaccess"), "Options Indexes\nphp_value a b\n").unwrap();
        let path = folder.path().display();
        let text = |class: &str| {
            format!("DocumentRoot {path}\n<Directory {path}>\nAllowOverride {class}\n</Directory>")
        };
        let report = report_of(&text("Indexes")).to_string();
        assert!(
            report.contains(&format!("    {path}/sub/.htaccess:2: php_value a b\n")),
            "{report}"
        );
        assert!(report.ends_with("\n1 line would be refused.\n"), "{report}");
        assert!(report_of(&text("None")).is_good());
    }
}
