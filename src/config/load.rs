//! # load: from the tree to drafts of the settings
//!
//! ```text
//! Listen 80                        row of ServerSettings  ─▶ draft.server
//! DocumentRoot /srv                row of HostSettings    ─▶ draft.main.settings
//! Options None                     row of DirSettings     ─▶ draft.main.base
//! <VirtualHost *:80>               a host of its own
//!     <Directory /srv>             a section of its own
//! ```
//!
//! - A line that cannot be obeyed is reported and passed over; the rest is still read, so that one
//!   run shows all.
//! - An unknown name is told apart from one that Apache has and we do not yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use herdgate_conf::{
    Context, Definitions, Diagnostic, Host as Surroundings, Input, Line, Node, Overrides, Place,
    Problem, Reading, Severity, Sources, Span, Start, Tree, Word, nearest,
};

use super::apache;
use super::changes::Outline;
use super::geometry::Model;
use super::{DirSettings, HostSettings, ServerSettings, Source};
use crate::expr::Condition;
use crate::modules::authz_core::{self, Group, Methods};
use crate::modules::core::Permit;
use crate::modules::providers::{self, Providers};
use crate::modules::{Module, Row, sections, unique_id};
use crate::regex::{self, Case, Regex};
use crate::route::ifs::IfChain;
use crate::route::sections::{DirectoryPath, Matcher, Section};

/// What was read, not merged and not checked against the disk.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) server: ServerSettings,
    pub(super) model: Model,
    pub(super) main: HostDraft,
    /// In file order.
    pub(super) hosts: Vec<HostDraft>,
    pub(super) definitions: Definitions,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) sources: Sources,
    pub(super) outline: Outline,
    pub(super) tree: Tree,
    /// See [`Modules::refused`].
    pub(super) refused: Vec<String>,
}

/// The main server or a virtual host, as written.
#[derive(Debug, Default)]
pub(super) struct HostDraft {
    pub(super) settings: HostSettings,
    pub(super) base: DirSettings,
    /// In file order.
    pub(super) sections: Vec<Arc<Section>>,
    /// The arguments of `<VirtualHost>`.
    pub(super) addresses: Vec<Word>,
    /// Where `<VirtualHost>` stands.
    pub(super) span: Option<Span>,
}

/// Reads everything that `source` names.
pub(super) fn load(source: &Source) -> Draft {
    let mut definitions = Definitions::default();
    for (name, value) in &source.defines {
        definitions.define(name, value.as_deref());
    }
    let mut modules = Modules::default();
    let start = Start { definitions, server_root: source.root.clone() };
    let reading = herdgate_conf::read(&inputs(source), start, &mut modules);
    draft(reading, modules)
}

/// Obeys what was read.
pub(super) fn draft(reading: Reading, modules: Modules) -> Draft {
    let runtime_dir_is_written = reading.runtime_dir.is_some();
    let runtime_dir = reading.runtime_dir.unwrap_or_else(|| PathBuf::from("logs"));
    // A relative ServerRoot is relative to where the server was started, and must survive `chdir`.
    let root = std::path::absolute(&reading.server_root).unwrap_or(reading.server_root);
    let model = modules.model.unwrap_or(Model::Event);
    let mut outline = Outline::new(&reading.tree, &reading.sources);
    outline.add_setting("LoadModule", &format!("mpm_{model}_module"));
    if modules.unique_ids {
        outline.add_setting("LoadModule", unique_id::NAME);
    }
    outline.add_setting("ServerRoot", &root.to_string_lossy());
    outline.add_setting("DefaultRuntimeDir", &runtime_dir.to_string_lossy());
    let server = ServerSettings {
        runtime_dir: root.join(runtime_dir),
        runtime_dir_is_written,
        unique_ids: modules.unique_ids,
        root: root.clone(),
        ..ServerSettings::default()
    };
    let options = regex_options(&reading.tree, &reading.sources, &root);
    let mut loader = Loader {
        sources: &reading.sources,
        root: &root,
        server,
        hosts: Vec::new(),
        diagnostics: reading.diagnostics,
        permit: None,
    };
    let mut main = HostDraft::default();
    regex::with_options(options, || {
        loader.host(&reading.tree.nodes, &mut main, Context::Server);
    });
    let Loader { server, hosts, diagnostics, .. } = loader;
    Draft {
        server,
        model,
        main,
        hosts,
        definitions: reading.definitions,
        diagnostics,
        sources: reading.sources,
        outline,
        tree: reading.tree,
        refused: modules.refused,
    }
}

/// `RegexDefaultOptions` counts for lines before it, too, so it is obeyed before all others; what is wrong with it is told
/// when its turn comes.
fn regex_options(tree: &Tree, sources: &Sources, root: &Path) -> regex::Options {
    const NAME: &str = "RegexDefaultOptions";
    let mut settings = ServerSettings::default();
    let context = Context::Server;
    let place = Place { sources, base: root, context, folder: None, section: None };
    for node in &tree.nodes {
        if let (Node::Line(line), Some(Row::Server(row))) = (node, Row::named(NAME))
            && line.is(NAME)
        {
            row.obey(&mut settings, line, &place);
        }
    }
    settings.core.regex_options()
}

fn inputs(source: &Source) -> Vec<Input> {
    let texts = |name: &'static str, texts: &[String]| -> Vec<Input> {
        let text = |text: &String| Input::Text { name: name.to_string(), text: text.clone() };
        texts.iter().map(text).collect()
    };
    let file = source.file.iter().map(|file| Input::File(source.root.join(file)));
    let before = texts("-C", &source.before).into_iter();
    before.chain(file).chain(texts("-c", &source.after)).collect()
}

/// Reads a `.htaccess` file, `root` being ServerRoot and `folder` the folder that it lies in.
pub(super) fn load_htaccess(
    reading: Reading,
    root: &Path,
    folder: &Path,
    permit: &Permit,
    providers: &Arc<Providers>,
) -> (Content, Vec<Diagnostic>, Sources) {
    let server = ServerSettings { providers: Arc::clone(providers), ..ServerSettings::default() };
    let mut loader = Loader {
        sources: &reading.sources,
        root,
        server,
        hosts: Vec::new(),
        diagnostics: reading.diagnostics,
        permit: Some(permit),
    };
    let mut content = loader.content();
    loader.lines(
        &reading.tree.nodes,
        &mut content,
        &Surround { outer: None, folder: Some(folder) },
    );
    let diagnostics = loader.diagnostics;
    (content, diagnostics, reading.sources)
}

/// Which modules there are, for `<IfModule>` and LoadModule.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// The model that a LoadModule line chose.
    pub(super) model: Option<Model>,
    /// Identifiers of modules that a LoadModule line asks for in vain. They count as loaded, so that one run shows
    /// what else depends on them.
    pub(super) refused: Vec<String>,
    /// A LoadModule line asks for mod_unique_id: here it is more than a word.
    pub(super) unique_ids: bool,
}

impl Surroundings for Modules {
    fn module_loaded(&self, name: &str) -> bool {
        match Model::of_module(name) {
            Some(model) => model == self.model.unwrap_or(Model::Event),
            None => Module::named(name).is_some() || self.is_refused(name),
        }
    }

    fn load_module(&mut self, name: &str, _file: &str) -> Result<(), Problem> {
        if Module::named(name).is_none() {
            self.refused.push(name.to_string());
            return Err(not_a_module(name));
        }
        self.unique_ids |= name == unique_id::NAME;
        let Some(model) = Model::of_module(name) else { return Ok(()) };
        if let Some(other) = self.model.filter(|other| *other != model) {
            return Err(Problem::new("LoadModule: More than one MPM loaded")
                .help(format!("mpm_{other}_module was loaded before; keep one of the two lines")));
        }
        self.model = Some(model);
        Ok(())
    }

    fn knows_directive(&self, name: &str) -> bool {
        let read_time = |name: &str| {
            herdgate_conf::READ_TIME.iter().any(|row| row.name.eq_ignore_ascii_case(name))
        };
        Row::named(name).is_some() || read_time(name)
    }

    fn knows_section(&self, name: &str) -> bool {
        let read_time =
            herdgate_conf::READ_TIME.iter().filter_map(|row| row.name.strip_prefix('<'));
        let read_time = read_time.map(|name| name.trim_end_matches('>'));
        sections::names().chain(read_time).any(|known| known.eq_ignore_ascii_case(name))
    }

    /// The Apache that we follow: configurations ask `<IfVersion >= 2.4>`.
    fn version(&self) -> [u32; 3] {
        [2, 4, 66]
    }
}

impl Modules {
    /// By identifier, or by the file that usually belongs to it.
    fn is_refused(&self, name: &str) -> bool {
        let file = name.strip_prefix("mod_").and_then(|name| name.strip_suffix(".c"));
        self.refused.iter().any(|refused| {
            refused == name
                || file.is_some_and(|file| refused.strip_suffix("_module") == Some(file))
        })
    }
}

/// Why a module cannot be loaded.
fn not_a_module(identifier: &str) -> Problem {
    let module = apache::module_by_identifier(identifier);
    let what =
        if module.is_some() { "is not supported yet" } else { "is not a module of Herdgate" };
    let module =
        module.unwrap_or_else(|| format!("mod_{}", identifier.trim_end_matches("_module")));
    Problem { lacking: true, ..Problem::new(format!("LoadModule: {identifier} {what}")) }
        .help(format!("{module}: {}", apache::advice(&module)))
}

struct Loader<'r> {
    sources: &'r Sources,
    root: &'r Path,
    server: ServerSettings,
    hosts: Vec<HostDraft>,
    diagnostics: Vec<Diagnostic>,
    /// What a `.htaccess` file may hold; `None` in the server's own files.
    permit: Option<&'r Permit>,
}

/// What surrounds the lines of a section or of a `.htaccess` file.
#[derive(Clone, Copy)]
struct Surround<'s> {
    /// The line that opens the section; `None` at the top of a `.htaccess` file.
    outer: Option<&'s Line>,
    /// The folder that it is for.
    folder: Option<&'s Path>,
}

impl<'r> Loader<'r> {
    /// The content of the main server or of a virtual host.
    fn host(&mut self, nodes: &[Node], host: &mut HostDraft, context: Context) {
        for node in nodes {
            match node {
                Node::Line(line) => match self.row(line) {
                    Some(Row::Server(row)) => {
                        let place = self.place(context);
                        let found = row.obey(&mut self.server, line, &place);
                        self.diagnostics.extend(found);
                    }
                    Some(Row::Host(row)) => {
                        let found = row.obey(&mut host.settings, line, &self.place(context));
                        self.diagnostics.extend(found);
                    }
                    Some(Row::Directory(row)) => {
                        let found = row.obey(&mut host.base, line, &self.place(context));
                        self.diagnostics.extend(found);
                    }
                    None => {}
                },
                Node::Section(section) if section.line.is("VirtualHost") => {
                    self.virtual_host(section, context);
                }
                Node::Section(section) if providers::is_alias(&section.line) => {
                    self.provider_alias(section, context);
                }
                Node::Section(section) if is_if(&section.line) => {
                    let outside = Surround { outer: None, folder: None };
                    self.if_section(section, &mut host.base, &outside);
                }
                Node::Section(section) => {
                    let compiled = self.section(section, None, None);
                    host.sections.extend(compiled.map(Arc::new));
                }
            }
        }
    }

    fn virtual_host(&mut self, section: &herdgate_conf::Section, context: Context) {
        let line = &section.line;
        if context == Context::VirtualHost {
            self.error(&line.name, "<VirtualHost> cannot occur within <VirtualHost> section");
            return;
        }
        let mut host = HostDraft {
            addresses: line.words.clone(),
            span: Some(line.name.span),
            ..HostDraft::default()
        };
        self.host(&section.children, &mut host, Context::VirtualHost);
        self.hosts.push(host);
    }

    /// `<AuthnProviderAlias>` and `<AuthzProviderAlias>`, in which only lines about access may stand.
    fn provider_alias(&mut self, section: &herdgate_conf::Section, context: Context) {
        let line = &section.line;
        let name = &line.name.text;
        if context == Context::VirtualHost {
            return self
                .error(&line.name, format!("<{name}> cannot occur within <VirtualHost> section"));
        }
        let mut content = self.content();
        for node in &section.children {
            let inner = node.line();
            let is_about_access =
                |row: &Row| row.describe().overrides.contains(Overrides::AUTH_CONFIG);
            match node {
                Node::Line(line)
                    if Row::named(&line.name.text).as_ref().is_none_or(is_about_access) =>
                {
                    let surround = Surround { outer: Some(&section.line), folder: None };
                    self.line_of_section(line, &mut content.settings, &surround);
                }
                Node::Line(_) | Node::Section(_) => {
                    let inner = &inner.name;
                    self.error(inner, format!("{} not allowed in <{name}> context", inner.text));
                }
            }
        }
        let mut providers = Providers::clone(&self.server.providers);
        let place = self.place(Context::Directory);
        match providers.add(line, content.settings, &place) {
            Ok(warning) => {
                self.server.providers = Arc::new(providers);
                let warning = warning.map(|it| Diagnostic::new(Severity::Warning, it));
                self.diagnostics.extend(warning);
            }
            Err(problem) => self.problem(problem),
        }
    }

    /// A section, or a `.htaccess` file, in which nothing stands yet.
    fn content(&self) -> Content {
        let providers = Arc::clone(&self.server.providers);
        Content { settings: DirSettings { providers, ..DirSettings::default() }, files: Vec::new() }
    }

    /// A section of the main server, of a virtual host, or of `<Directory>`.
    fn section(
        &mut self,
        section: &herdgate_conf::Section,
        outer: Option<&Line>,
        folder: Option<&Path>,
    ) -> Option<Section> {
        let line = &section.line;
        let matcher = self.matcher(line, outer);
        let own_folder = match &matcher {
            Some(Matcher::Directory(path)) => Some(PathBuf::from(path.to_string())),
            _ => None,
        };
        let mut content = self.content();
        let known = sections::names().any(|known| line.is(known));
        if known {
            let folder = own_folder.as_deref().or(folder);
            self.lines(&section.children, &mut content, &Surround { outer: Some(line), folder });
            if let Err(message) = content.settings.authz.check() {
                self.error(&line.name, message);
            }
            content.settings.keep_private();
        }
        let Content { settings, files } = content;
        let written = self.written(line);
        Some(Section { matcher: matcher?, written, settings, files })
    }

    /// What stands within a section, or in a `.htaccess` file.
    fn lines(&mut self, nodes: &[Node], content: &mut Content, surround: &Surround<'_>) {
        for node in nodes {
            match node {
                Node::Line(line) => self.line_of_section(line, &mut content.settings, surround),
                Node::Section(inner) if self.is_forbidden(&inner.line) => {}
                Node::Section(inner) if is_if(&inner.line) => {
                    self.if_section(inner, &mut content.settings, surround);
                }
                Node::Section(inner) if methods_of(&inner.line).is_some() => {
                    self.limit(inner, content, surround);
                }
                Node::Section(inner) => match group_named(&inner.line) {
                    Some(group) => {
                        let node = self.require_group(inner, group, surround);
                        content.settings.authz.push(node);
                    }
                    None => {
                        let files = self.section(inner, surround.outer, surround.folder);
                        content.files.extend(files.map(Arc::new));
                    }
                },
            }
        }
    }

    /// `<If>`, `<ElseIf>` and `<Else>`.
    fn if_section(
        &mut self,
        section: &herdgate_conf::Section,
        settings: &mut DirSettings,
        surround: &Surround<'_>,
    ) {
        let line = &section.line;
        let condition = if line.is("Else") { None } else { Some(self.condition(line)) };
        let mut content = self.content();
        let within = Surround { outer: Some(line), folder: surround.folder };
        self.lines(&section.children, &mut content, &within);
        if let Err(message) = content.settings.authz.check() {
            self.error(&line.name, message);
        }
        content.settings.keep_private();
        let condition = match condition {
            None => None,
            Some(Some(condition)) => Some(condition),
            Some(None) => return, // It has been said what is wrong.
        };
        if let (true, Some(condition)) = (line.is("If"), condition.clone()) {
            let chain = IfChain::new(condition, self.written(line), content.settings);
            settings.ifs.push(Arc::new(chain));
            return;
        }
        let chain = settings.ifs.last_mut().map(Arc::make_mut);
        let written = self.written(line);
        if !chain.is_some_and(|chain| chain.push(condition, written, content.settings)) {
            let name = &line.name;
            let message = format!(
                "<{}> section without previous <If> or <ElseIf> section in same scope",
                name.text
            );
            self.error(name, message);
        }
    }

    fn condition(&mut self, line: &Line) -> Option<Condition> {
        // In quotes, or as it stands.
        let text = match line.words.as_slice() {
            [word] if word.quoted => word.text.as_str(),
            [first, ..] => line.raw[first.raw_start..].trim_end().trim_end_matches('>'),
            [] => "",
        };
        match Condition::parse(text) {
            Ok(condition) => Some(condition),
            Err(message) => {
                let place = line.words.first().unwrap_or(&line.name).clone();
                self.error(&place, format!("Cannot parse condition clause: {message}"));
                None
            }
        }
    }

    /// `<Limit>` and `<LimitExcept>`: only what decides about access is limited to the methods; other lines hold for
    /// all, as in Apache.
    fn limit(
        &mut self,
        section: &herdgate_conf::Section,
        content: &mut Content,
        surround: &Surround<'_>,
    ) {
        let Some(methods) = methods_of(&section.line) else { return };
        if methods.is_empty() {
            let name = &section.line.name;
            self.error(name, format!("<{}> requires at least one method", name.text));
        }
        if let Some(trace) = section.line.words.iter().find(|word| word.text == "TRACE")
            && section.line.is("Limit")
        {
            self.error(trace, "TRACE cannot be controlled by <Limit>, see TraceEnable");
        }
        let mut within = self.content();
        std::mem::swap(&mut within.settings, &mut content.settings);
        let before = within.settings.authz.take();
        let access_before = std::mem::take(&mut within.settings.access);
        self.lines(&section.children, &mut within, surround);
        let limited = within.settings.authz.take();
        before.into_iter().for_each(|node| within.settings.authz.push(node));
        for node in limited {
            within.settings.authz.push(authz_core::Node::Limited(methods.clone(), Box::new(node)));
        }
        let limited_access = within.settings.access.limited(&methods);
        within.settings.access = access_before.extended(limited_access);
        content.settings = within.settings;
        content.files.append(&mut within.files);
    }

    /// Whether AllowOverride forbids a line, or a section; then it has been said, unless that is to be passed over.
    fn is_forbidden(&mut self, line: &Line) -> bool {
        let Some(permit) = self.permit else { return false };
        let classes = match Row::named(&line.name.text) {
            Some(row) => row.describe().overrides,
            None => match sections::overrides(line) {
                Some(classes) => classes,
                None => return permit.passes_unknown(),
            },
        };
        if permit.permits(classes, &line.name.text) {
            return false;
        }
        if !permit.passes_forbidden() {
            self.error(&line.name, format!("{} not allowed here", line.name.text));
        }
        true
    }

    fn line_of_section(
        &mut self,
        line: &Line,
        settings: &mut DirSettings,
        surround: &Surround<'_>,
    ) {
        if self.is_forbidden(line) {
            return;
        }
        if let (Some(permit), true) = (self.permit, line.is("Options"))
            && let Err(problem) = permit.check_options(&line.words)
        {
            return self.problem(problem);
        }
        let context = if self.permit.is_some() { Context::Htaccess } else { Context::Directory };
        let place =
            Place { folder: surround.folder, section: surround.outer, ..self.place(context) };
        let found = match self.row(line) {
            Some(Row::Directory(row)) => row.obey(settings, line, &place),
            // These belong elsewhere, and say so: nothing is written to the settings that they get
            // here.
            Some(Row::Server(row)) => row.obey(&mut ServerSettings::default(), line, &place),
            Some(Row::Host(row)) => row.obey(&mut HostSettings::default(), line, &place),
            None => return,
        };
        self.diagnostics.extend(found);
    }

    /// `<RequireAll>` and its kind: nothing but Requires.
    fn require_group(
        &mut self,
        section: &herdgate_conf::Section,
        group: Group,
        surround: &Surround<'_>,
    ) -> authz_core::Node {
        let children = self.requires(section, surround);
        let name = format!("<{}>", section.line.name.text);
        if let Err(message) = authz_core::check_children(group, &name, &children) {
            self.error(&section.line.name, message);
        }
        authz_core::Node::Group(group, children)
    }

    /// What stands in such a container, or in a `<Limit>` within one.
    fn requires(
        &mut self,
        section: &herdgate_conf::Section,
        surround: &Surround<'_>,
    ) -> Vec<authz_core::Node> {
        let mut settings = self.content().settings;
        for child in &section.children {
            match child {
                Node::Line(line) if line.is("Require") => {
                    self.line_of_section(line, &mut settings, surround);
                }
                Node::Section(inner) => match (group_named(&inner.line), methods_of(&inner.line)) {
                    (Some(group), _) => {
                        let node = self.require_group(inner, group, surround);
                        settings.authz.push(node);
                    }
                    (None, Some(methods)) => {
                        for node in self.requires(inner, surround) {
                            let node = authz_core::Node::Limited(methods.clone(), Box::new(node));
                            settings.authz.push(node);
                        }
                    }
                    (None, None) => self.not_in(&inner.line, &section.line),
                },
                Node::Line(line) => {
                    if self.row(line).is_some() {
                        let (name, outer) = (&line.name.text, &section.line.name.text);
                        self.error(&line.name, format!("{name} not allowed in <{outer}> context"));
                    }
                }
            }
        }
        settings.authz.take()
    }

    /// What a section's opening line matches; `outer` is the section that it stands in.
    fn matcher(&mut self, line: &Line, outer: Option<&Line>) -> Option<Matcher> {
        let kind = sections::names().find(|known| line.is(known));
        let Some(kind) = kind else {
            self.unknown_section(line);
            return None;
        };
        let is_files = kind.starts_with("Files");
        let fits = match outer {
            None if self.permit.is_some() => is_files,
            None => !kind.starts_with("Require") && !kind.starts_with("Limit"),
            Some(outer) => is_files && (outer.is("Directory") || outer.is("DirectoryMatch")),
        };
        if !fits {
            match outer {
                Some(outer) => self.not_in(line, outer),
                None => {
                    self.error(&line.name, format!("<{kind}> not allowed outside of a section"))
                }
            }
            return None;
        }
        self.matcher_of_words(kind, line).map_err(|problem| self.problem(problem)).ok()
    }

    fn matcher_of_words(&self, kind: &str, line: &Line) -> Result<Matcher, Problem> {
        let (tilde, word) = match line.words.as_slice() {
            [tilde, word] if tilde.text == "~" => (true, word),
            [word] => (false, word),
            [_, extra, ..] => {
                return Err(Problem::at(
                    extra,
                    format!("Multiple <{kind}> arguments not supported."),
                )
                .help("put quotes around an argument with blanks"));
            }
            [] => return Err(Problem::at(&line.name, format!("<{kind}> requires an argument"))),
        };
        let plain: fn(&str, &Path) -> Matcher = match kind {
            "Directory" => |text, root| Matcher::Directory(DirectoryPath::new(&root.join(text))),
            "Location" => |text, _| Matcher::Location(text.to_string()),
            _ => |text, _| Matcher::File(text.to_string()),
        };
        let searched: fn(Regex) -> Matcher = match kind {
            "Directory" | "DirectoryMatch" => Matcher::DirectoryPattern,
            "Location" | "LocationMatch" => Matcher::LocationPattern,
            _ => Matcher::FilePattern,
        };
        if tilde || kind.ends_with("Match") {
            return Ok(searched(Regex::of_word(word, Case::Counts)?));
        }
        let legal = kind != "Location" || word.text.starts_with('/');
        if !legal {
            return Err(Problem::at(word, "<Location> path must begin with a slash"));
        }
        Ok(plain(&word.text, self.root))
    }

    /// The row of a line, or the finding that there is none.
    fn row(&mut self, line: &Line) -> Option<Row> {
        let row = Row::named(&line.name.text);
        if row.is_none() {
            let problem = unknown_directive(&line.name);
            self.problem(problem);
        }
        row
    }

    fn unknown_section(&mut self, line: &Line) {
        let name = format!("<{}>", line.name.text);
        let problem = match apache::module_of(&name) {
            Some(module) => not_yet(&line.name, &name, module),
            None => {
                let problem = Problem::at(&line.name, invalid(&name));
                match nearest(&line.name.text, sections::names()) {
                    Some(known) => problem.help(format!("did you mean <{known}>?")),
                    None => problem,
                }
            }
        };
        self.problem(problem);
    }

    /// A section's opening line and where it stands, for people.
    fn written(&self, line: &Line) -> String {
        let (name, raw) = (&line.name.text, line.raw.trim_end().trim_end_matches('>'));
        let space = if raw.is_empty() { "" } else { " " };
        let location = self.sources.locate(line.name.span);
        format!("<{name}{space}{raw}> ({}:{})", location.file, location.line)
    }

    fn not_in(&mut self, line: &Line, outer: &Line) {
        let (name, outer) = (&line.name.text, &outer.name.text);
        self.error(&line.name, format!("<{name}> cannot occur within <{outer}> section"));
    }

    fn place(&self, context: Context) -> Place<'r> {
        Place { sources: self.sources, base: self.root, context, folder: None, section: None }
    }

    fn error(&mut self, place: &Word, message: impl Into<String>) {
        self.problem(Problem::at(place, message));
    }

    fn problem(&mut self, problem: Problem) {
        self.diagnostics.push(Diagnostic::new(Severity::Error, problem));
    }
}

/// What a section, or a `.htaccess` file, holds.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) settings: DirSettings,
    pub(super) files: Vec<Arc<Section>>,
}

fn is_if(line: &Line) -> bool {
    ["If", "ElseIf", "Else"].iter().any(|name| line.is(name))
}

/// The methods that `<Limit>` or `<LimitExcept>` names; `None` if the line opens neither.
fn methods_of(line: &Line) -> Option<Methods> {
    let except = line.is("LimitExcept");
    if !except && !line.is("Limit") {
        return None;
    }
    Some(Methods::new(line.words.iter().map(|word| word.text.clone()), except))
}

fn group_named(line: &Line) -> Option<Group> {
    let groups =
        [("RequireAll", Group::All), ("RequireAny", Group::Any), ("RequireNone", Group::None)];
    groups.into_iter().find(|(name, _)| line.is(name)).map(|(_, group)| group)
}

fn unknown_directive(name: &Word) -> Problem {
    if let Some(module) = apache::module_of(&name.text) {
        return not_yet(name, &name.text, module);
    }
    let problem = Problem::at(name, invalid(&name.text));
    let names = Row::all().map(|row| row.describe().name);
    let names = names.chain(herdgate_conf::READ_TIME.iter().map(|row| row.name));
    match nearest(&name.text, names) {
        Some(known) => problem.help(format!("did you mean {known}?")),
        None => problem,
    }
}

fn invalid(name: &str) -> String {
    format!(
        "Invalid command '{name}', perhaps misspelled or defined by a module not included in the \
         server configuration"
    )
}

fn not_yet(place: &Word, name: &str, module: &str) -> Problem {
    Problem::lacking(place, format!("{name} is not supported yet"))
        .help(format!("{module}: {}", apache::advice(module)))
}
