//! What the reader must be told from outside: modules, known names, environment and files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use crate::diagnostic::Problem;

/// The server around a configuration. A test can answer everything without a disk.
pub trait Host {
    /// Whether `<IfModule name>` holds here and now: for an identifier (`mime_module`) or a source file
    /// name (`mod_mime.c`).
    fn module_loaded(&self, name: &str) -> bool;

    /// Obeys `LoadModule name file`. Each name comes once in one reading.
    ///
    /// # Errors
    /// There is no such module, or it cannot be had together with what is loaded.
    fn load_module(&mut self, name: &str, file: &str) -> Result<(), Problem>;

    /// Whether `<IfDirective name>` holds.
    fn knows_directive(&self, name: &str) -> bool;

    /// Whether `<IfSection name>` holds; the name comes without brackets.
    fn knows_section(&self, name: &str) -> bool;

    /// What `<IfVersion>` compares: major, minor, patch.
    fn version(&self) -> [u32; 3];

    /// What `${NAME}` stands for when `Define` did not say.
    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// Where configuration files come from.
    fn files(&self) -> &dyn Files {
        &Disk
    }
}

/// A place that holds configuration files.
pub trait Files {
    /// What a path leads to; symbolic links are followed.
    ///
    /// # Errors
    /// It does not exist or cannot be reached.
    fn kind(&self, path: &Path) -> io::Result<FileKind>;

    /// The content of a file.
    ///
    /// # Errors
    /// It cannot be read, or is neither a regular file nor `/dev/null`.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a folder, without `.` and `..`, in any order.
    ///
    /// # Errors
    /// It cannot be read. Names that are not UTF-8 are no error; they are approximated.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Something that can be read, or at least be tried.
    File,
    /// A folder.
    Directory,
}

/// The real file system.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        let is_directory = fs::metadata(path)?.is_dir();
        Ok(if is_directory { FileKind::Directory } else { FileKind::File })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Asked before opening, since opening a FIFO waits for a writer.
        if path != Path::new("/dev/null") && !fs::metadata(path)?.is_file() {
            let message = "not a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut content = Vec::new();
        File::open(path)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        fs::read_dir(folder)?.map(name).collect()
    }
}
