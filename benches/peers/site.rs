//! The files that all of them serve.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// How many small files there are.
pub(crate) const FILES: usize = 10_000;
/// When all of them were changed last, as HTTP writes it.
pub(crate) const CHANGED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const CHANGED_UNIX_SECS: u64 = 1_767_225_600;

/// A folder with a site in it, and room for what servers write.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    /// Writes all files.
    pub(crate) fn build() -> io::Result<Site> {
        let folder = TempDir::new()?;
        // The servers' children are somebody else.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let site = Site { folder };
        let root = site.root();
        for number in 0..100 {
            fs::create_dir_all(root.join(format!("files/{number:02}")))?;
        }
        write(&root.join("1k.html"), 1024)?;
        write(&root.join("10k.html"), 10 * 1024)?;
        write(&root.join("1m.bin"), 1024 * 1024)?;
        for number in 0..FILES {
            write(&root.join(format!("files/{:02}/{number:04}.html", number % 100)), 4096)?;
        }
        fs::create_dir(site.path("run"))?;
        fs::set_permissions(site.path("run"), Permissions::from_mode(0o777))?;
        Ok(site)
    }

    /// What is served.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("htdocs")
    }

    /// A name in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn write(path: &Path, bytes: usize) -> io::Result<()> {
    let line = b"<p>All work and no play makes a dull server.</p>\n";
    let content: Vec<u8> = line.iter().copied().cycle().take(bytes).collect();
    fs::write(path, content)?;
    File::options()
        .write(true)
        .open(path)?
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(CHANGED_UNIX_SECS))
}
