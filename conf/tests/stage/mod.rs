//! A server without a disk: files, modules and environment are what the test says.
#![allow(dead_code, reason = "each test binary uses its own part of the stage")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use herdgate_conf::{
    Definitions, FileKind, Files, Host, Input, Node, Problem, Reading, Start, Tree, read,
};

/// Where everything stands.
pub(crate) const ROOT: &str = "/srv";

/// A [`Host`] that has its files in memory.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    files: MemoryFiles,
    modules: Vec<String>,
}

#[derive(Debug, Default)]
struct MemoryFiles(BTreeMap<PathBuf, Vec<u8>>);

impl Stage {
    /// A stage with these files; relative names are below [`ROOT`].
    pub(crate) fn with_files(files: &[(&str, &str)]) -> Self {
        let mut stage =
            Stage { modules: vec!["core".into(), "mod_core.c".into()], ..Self::default() };
        for (name, content) in files {
            let path = Path::new(ROOT).join(name);
            stage.files.0.insert(path, content.as_bytes().to_vec());
        }
        stage
    }

    /// Reads `httpd.conf` of this stage, with `-D COMMAND_LINE`.
    pub(crate) fn read(&mut self) -> Reading {
        let inputs = [Input::File(Path::new(ROOT).join("httpd.conf"))];
        let definitions = Definitions::of_names(["COMMAND_LINE"]);
        read(&inputs, Start { definitions, server_root: ROOT.into() }, self)
    }
}

/// Reads one text.
pub(crate) fn read_text(text: &str) -> Reading {
    read_files(&[("httpd.conf", text)])
}

/// Reads the file `httpd.conf` among these.
pub(crate) fn read_files(files: &[(&str, &str)]) -> Reading {
    Stage::with_files(files).read()
}

/// All diagnostics in one line each.
pub(crate) fn complaints(reading: &Reading) -> Vec<String> {
    reading.diagnostics.iter().map(|each| each.one_line(&reading.sources)).collect()
}

/// A tree on one line: `Name(word|word)` for lines, and `Name(word){…}` for sections.
pub(crate) fn outline(tree: &Tree) -> String {
    outline_of(&tree.nodes)
}

fn outline_of(nodes: &[Node]) -> String {
    let nodes = nodes.iter().map(|node| {
        let line = node.line();
        let words: Vec<&str> = line.words.iter().map(|word| word.text.as_str()).collect();
        let children = match node {
            Node::Line(_) => String::new(),
            Node::Section(section) => format!("{{{}}}", outline_of(&section.children)),
        };
        format!("{}({}){children}", line.name.text, words.join("|"))
    });
    nodes.collect::<Vec<_>>().join(" ")
}

impl Host for Stage {
    fn module_loaded(&self, name: &str) -> bool {
        self.modules.iter().any(|module| module == name)
    }

    fn load_module(&mut self, name: &str, _file: &str) -> Result<(), Problem> {
        if name == "absent_module" {
            return Err(Problem::new("there is no module absent_module"));
        }
        self.modules.push(name.into());
        Ok(())
    }

    fn knows_directive(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("Listen")
    }

    fn knows_section(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("Directory")
    }

    fn version(&self) -> [u32; 3] {
        [2, 4, 63]
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "FROM_ENVIRONMENT").then(|| "outside".into())
    }

    fn files(&self) -> &dyn Files {
        &self.files
    }
}

impl Files for MemoryFiles {
    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        if self.0.contains_key(path) {
            return Ok(FileKind::File);
        }
        let below = self.0.keys().any(|file| file.starts_with(path));
        if below { Ok(FileKind::Directory) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.0.get(path) {
            Some(content) if content == b"forbidden" => Err(io::ErrorKind::PermissionDenied.into()),
            Some(content) => Ok(content.clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        if self.kind(folder)? == FileKind::File {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let below = self.0.keys().filter_map(|file| file.strip_prefix(folder).ok());
        let first = below.filter_map(|rest| rest.components().next());
        let mut names: Vec<String> =
            first.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect();
        names.reverse(); // As a real folder, in no useful order.
        names.dedup();
        Ok(names)
    }
}
