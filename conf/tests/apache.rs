//! Configurations that nobody here wrote: Debian's `/etc/apache2`, or the folder that `HERDGATE_APACHE_CONF`
//! names, such as `docs/conf` of Apache's source. Every file must read without an error.
//!
//! Without such a folder the test says that it was skipped; with `HERDGATE_REQUIRE_PEERS=1` it fails.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::{env, fs};

use herdgate_conf::{
    Disk, FileKind, Files, Host, Input, Node, Problem, Reading, Start, read, read_htaccess,
};

#[test]
fn configurations_of_apache_read_without_an_error() {
    let Some(folder) = folder() else {
        let required = env::var("HERDGATE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "no Apache configuration here, and HERDGATE_REQUIRE_PEERS=1");
        eprintln!("skipped: no /etc/apache2/apache2.conf, and HERDGATE_APACHE_CONF is not set");
        return;
    };
    let start = || Start { server_root: folder.clone(), ..Start::default() };
    let mut directives = 0;
    let files = configuration_files(&folder);
    for file in &files {
        let reading = read(&[Input::File(file.clone())], start(), &mut Apache::at(&folder));
        let rendered: String =
            reading.diagnostics.iter().map(|each| each.render(&reading.sources)).collect();
        assert!(!reading.has_errors(), "{}:\n{rendered}", file.display());
        eprint!("{rendered}");
        check_round_trip(&reading);
        directives += count(&reading.tree.nodes);
    }
    eprintln!(
        "{}: {} files, {directives} directives in their trees",
        folder.display(),
        files.len()
    );
    assert!(directives > 100, "this is not Apache's configuration");
}

/// What the tree prints must read to the same tree again.
fn check_round_trip(reading: &Reading) {
    let printed = reading.tree.to_string();
    // As a `.htaccess`, because that refers to no other files.
    let mut host = Apache::at(Path::new("/"));
    let again = read_htaccess("printed", printed.as_bytes(), Start::default(), &mut host);
    assert_eq!(again.tree.to_string(), printed);
}

fn count(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| 1 + count(node.children())).sum()
}

fn folder() -> Option<PathBuf> {
    if let Some(folder) = env::var_os("HERDGATE_APACHE_CONF") {
        return Some(folder.into());
    }
    let debian = PathBuf::from("/etc/apache2");
    debian.join("apache2.conf").is_file().then_some(debian)
}

/// Every `*.conf`, `*.load` and `*.conf.in` in the folder, Debian's switched-off ones included.
fn configuration_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be listed") {
            let path = entry.expect("the folder can be listed").path();
            let extension = path.extension().and_then(OsStr::to_str);
            if path.is_dir() {
                folders.push(path);
            } else if matches!(extension, Some("conf" | "load" | "in")) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A server that has every module and Debian's environment.
struct Apache(Templates);

/// The disk, with the templates of Apache's source filled in as its `make install` does.
struct Templates {
    server_root: PathBuf,
}

impl Apache {
    fn at(server_root: &Path) -> Self {
        Apache(Templates { server_root: server_root.to_path_buf() })
    }
}

impl Host for Apache {
    fn module_loaded(&self, _name: &str) -> bool {
        true
    }

    fn load_module(&mut self, _name: &str, _file: &str) -> Result<(), Problem> {
        Ok(())
    }

    fn knows_directive(&self, _name: &str) -> bool {
        true
    }

    fn knows_section(&self, _name: &str) -> bool {
        true
    }

    fn version(&self) -> [u32; 3] {
        [2, 4, 63]
    }

    fn environment(&self, name: &str) -> Option<String> {
        // A folder that every machine has: the runtime directory must exist.
        name.starts_with("APACHE_").then(|| "/tmp".to_string())
    }

    fn files(&self) -> &dyn Files {
        &self.0
    }
}

impl Templates {
    /// The file itself, or the template it is made of.
    fn origin(path: &Path) -> PathBuf {
        let mut template = path.as_os_str().to_owned();
        template.push(".in");
        let template = PathBuf::from(template);
        if template.is_file() { template } else { path.to_path_buf() }
    }
}

impl Files for Templates {
    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        Disk.kind(&Self::origin(path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = String::from_utf8_lossy(&Disk.read(&Self::origin(path))?).into_owned();
        let text = text.replace("@@ServerRoot@@", &self.server_root.to_string_lossy());
        let text = text.replace("@@LoadModule@@", "LoadModule mime_module modules/mod_mime.so");
        Ok(text.replace("@rel_sysconfdir@/", "").into_bytes())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        Disk.list(folder)
    }
}
