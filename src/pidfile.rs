//! The pid file: how a running server is found.
//!
//! - It is replaced in one step, by a rename, so that nobody ever reads half of it.
//! - A number in it is believed only if such a process lives, and is not ourselves.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use herdgate_sys as sys;
use sys::process::Pid;

/// Whether a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// It does.
    Yes(Pid),
    /// It does not. The pid of one that did not clean up after itself.
    No(Option<Pid>),
}

/// A pid file that says nothing.
#[derive(Debug)]
pub struct Unreadable {
    path: PathBuf,
    reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "AH00058: Error retrieving pid file {}: {}", self.path.display(), self.reason)?;
        write!(f, "AH00059: Remove it before continuing if it is corrupted.")
    }
}

impl std::error::Error for Unreadable {}

/// Asks the file, and then the kernel.
///
/// # Errors
/// The file is there, and cannot be read or holds no number.
pub fn running(path: &Path) -> Result<Running, Unreadable> {
    let unreadable = |reason: String| Unreadable { path: path.to_owned(), reason };
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Running::No(None)),
        result => result.map_err(|error| unreadable(error.to_string()))?,
    };
    let pid: i32 = text
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 0)
        .ok_or_else(|| unreadable("not a number".into()))?;
    let pid = Pid::from_raw(pid);
    if pid != Pid::this() && sys::process::exists(pid) {
        Ok(Running::Yes(pid))
    } else {
        Ok(Running::No(Some(pid)))
    }
}

/// This process's pid file, removed when the server ends.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes it, mode 0644.
    ///
    /// # Errors
    /// As open(2), write(2), rename(2), with the path.
    pub fn write(path: &Path) -> io::Result<Self> {
        Self::replace(path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("could not write pid file {}: {error}", path.display()),
            )
        })?;
        Ok(Self { path: path.to_owned() })
    }

    fn replace(path: &Path) -> io::Result<()> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{}", std::process::id()));
        let fresh = path.with_file_name(name);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh)?;
        writeln!(file, "{}", std::process::id())?;
        fs::rename(&fresh, path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, if it still is ours.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove(self) -> io::Result<()> {
        let ours = fs::read_to_string(&self.path)
            .is_ok_and(|text| text.trim() == std::process::id().to_string());
        if ours { fs::remove_file(&self.path) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_believed_only_if_its_process_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        assert_eq!(running(&path).unwrap(), Running::No(None));
        let parent = Pid::parent();
        fs::write(&path, format!("{parent}\n")).unwrap();
        assert_eq!(running(&path).unwrap(), Running::Yes(parent));
        fs::write(&path, "2147483600\n").unwrap();
        assert_eq!(running(&path).unwrap(), Running::No(Some(Pid::from_raw(2_147_483_600))));
        fs::write(&path, "not yet\n").unwrap();
        assert!(running(&path).unwrap_err().to_string().contains("AH00058"));
    }

    #[test]
    fn only_our_own_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let ours = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        fs::write(&path, "1\n").unwrap();
        ours.remove().unwrap();
        assert!(path.exists());
        PidFile::write(&path).unwrap().remove().unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
