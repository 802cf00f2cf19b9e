//! What must hold for every configuration, see [`crate::fuzzing`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use herdgate_conf::{
    Diagnostic, FileKind, Files, Host as Surroundings, Input, Node, Problem, Sources, Span, Start,
};

use super::load::{self, Modules};
use crate::fuzzing::parts;
use crate::modules;
use crate::modules::core::Permit;

/// Where all files are.
const ROOT: &str = "/srv";

/// All that AllowOverrideList could name.
static NAMES: LazyLock<Arc<[String]>> = LazyLock::new(|| {
    let rows = modules::ALL.iter().flat_map(|module| module.directory);
    rows.map(|row| row.name.to_owned()).collect()
});

/// httpd.conf, and two files that it may include.
pub(crate) fn check(bytes: &[u8]) {
    let [main, one, other] = parts::<3>(bytes).map(<[u8]>::to_vec);
    let files = [("httpd.conf", main), ("extra/a.conf", one), ("extra/b.conf", other)];
    let root = Path::new(ROOT);
    let files = files.map(|(name, text)| (root.join(name), text));
    let text = files[0].1.clone();
    let start = Start { server_root: root.into(), ..Start::default() };
    let mut stage = Stage { modules: Modules::default(), files: Memory(files.into()) };
    let reading =
        herdgate_conf::read(&[Input::File(root.join("httpd.conf"))], start.clone(), &mut stage);
    nodes_have_places(&reading.tree.nodes, &reading.sources);
    let draft = load::draft(reading, stage.modules);
    diagnostics_have_places(&draft.diagnostics, &draft.sources);

    let mut modules = Modules::default();
    let reading = herdgate_conf::read_htaccess("/srv/.htaccess", &text, start, &mut modules);
    nodes_have_places(&reading.tree.nodes, &reading.sources);
    let everything = Permit { list: Some(NAMES.clone()), ..Permit::default() };
    let (_, found, sources) =
        load::load_htaccess(reading, root, root, &everything, &Arc::default());
    diagnostics_have_places(&found, &sources);
}

fn nodes_have_places(nodes: &[Node], sources: &Sources) {
    for node in nodes {
        let line = node.line();
        for word in std::iter::once(&line.name).chain(&line.words) {
            is_within(word.span, sources);
        }
        nodes_have_places(node.children(), sources);
    }
}

fn diagnostics_have_places(found: &[Diagnostic], sources: &Sources) {
    for each in found {
        assert!(each.span.is_some() || !each.is_error(), "no place: {}", each.message);
        if let Some(span) = each.span {
            is_within(span, sources);
        }
        let shown = each.render(sources);
        let mut characters = shown.chars();
        assert!(characters.all(|it| "\n\t".contains(it) || !it.is_control()), "{shown:?}");
        assert!(!each.one_line(sources).contains('\n'));
    }
}

/// On one line of its text.
fn is_within(span: Span, sources: &Sources) {
    assert!(!sources.excerpt(span).contains('\n'));
    let line = sources.line_of(span);
    assert!(line.start <= span.start);
    let place = sources.locate(span);
    assert!(place.line >= 1 && place.column >= 1);
}

/// The modules of the server, and files that are nowhere else.
struct Stage {
    modules: Modules,
    files: Memory,
}

#[derive(Debug)]
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Surroundings for Stage {
    fn module_loaded(&self, name: &str) -> bool {
        self.modules.module_loaded(name)
    }

    fn load_module(&mut self, name: &str, file: &str) -> Result<(), Problem> {
        self.modules.load_module(name, file)
    }

    fn knows_directive(&self, name: &str) -> bool {
        self.modules.knows_directive(name)
    }

    fn knows_section(&self, name: &str) -> bool {
        self.modules.knows_section(name)
    }

    fn version(&self) -> [u32; 3] {
        self.modules.version()
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/x".to_owned())
    }

    fn files(&self) -> &dyn Files {
        &self.files
    }
}

impl Files for Memory {
    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        let is_folder = |file: &PathBuf| file != path && file.starts_with(path);
        match self.0.contains_key(path) {
            true => Ok(FileKind::File),
            false if self.0.keys().any(is_folder) => Ok(FileKind::Directory),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let below = self.0.keys().filter_map(|file| file.strip_prefix(folder).ok());
        let names = below.filter_map(|rest| rest.iter().next()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }
}
