//! The pid file: how a running server is found.
//!
//! - It is replaced in one step, by a rename, so that nobody ever reads half of it.
//! - Its server holds a lock on it (fcntl(2)), which ends with the process. So a file that a crash has left is told from
//!   one of a server that runs, whoever has been given the number since: nobody else is ever sent a signal.
//! - A file without a byte is what a power cut leaves, and names nobody. One that holds something else than a number is
//!   not ours, and is left alone.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use herdgate_sys as sys;
use sys::lock::FcntlLock;
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

/// Asks the file, and then the kernel: whether somebody holds it.
///
/// # Errors
/// The file is there, and cannot be read or holds no number.
pub fn running(path: &Path) -> Result<Running, Unreadable> {
    let unreadable = |reason: String| Unreadable { path: path.to_owned(), reason };
    let mut file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Running::No(None)),
        result => result.map_err(|error| unreadable(error.to_string()))?,
    };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if text.is_empty() {
        return Ok(Running::No(None));
    }
    let number = text.trim().parse().ok().filter(|pid| *pid > 0);
    let pid = Pid::from_raw(number.ok_or_else(|| unreadable("not a number".into()))?);
    let lives = match FcntlLock::new(file.into()).holder() {
        Ok(holder) => holder.is_some(),
        // A file system without locks: the number is all there is.
        Err(_) => pid != Pid::this() && sys::process::exists(pid),
    };
    Ok(if lives { Running::Yes(pid) } else { Running::No(Some(pid)) })
}

/// This process's pid file, removed when the server ends.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// Kept open, and no other descriptor of the file ever closed: that would end the lock.
    _lock: FcntlLock,
}

impl PidFile {
    /// Writes it, mode 0644.
    ///
    /// # Errors
    /// As open(2), write(2), rename(2), with the path.
    pub fn write(path: &Path) -> io::Result<Self> {
        let lock = Self::replace(path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("could not write pid file {}: {error}", path.display()),
            )
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    fn replace(path: &Path) -> io::Result<FcntlLock> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{}", std::process::id()));
        let fresh = path.with_file_name(name);
        // A former process with our number may have died just here; in a container, every server is process 1.
        let _ = fs::remove_file(&fresh);
        let fill = || {
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh)?;
            writeln!(file, "{}", std::process::id())?;
            let lock = FcntlLock::new(file.into());
            let _ = lock.try_lock(); // Where there are no locks, nobody will ask for one.
            fs::rename(&fresh, path)?;
            Ok(lock)
        };
        fill().inspect_err(|_| drop(fs::remove_file(&fresh)))
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
    fn a_file_that_nobody_holds_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        assert_eq!(running(&path).unwrap(), Running::No(None));
        let parent = Pid::parent();
        fs::write(&path, format!("{parent}\n")).unwrap();
        assert_eq!(
            running(&path).unwrap(),
            Running::No(Some(parent)),
            "it lives, and is no server"
        );
        fs::write(&path, "").unwrap();
        assert_eq!(running(&path).unwrap(), Running::No(None));
        for garbage in ["not yet\n", "-1\n", "0\n", "\n"] {
            fs::write(&path, garbage).unwrap();
            assert!(running(&path).unwrap_err().to_string().contains("AH00058"), "{garbage:?}");
        }
    }

    #[test]
    fn what_a_crash_has_left_half_way_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        fs::write(folder.path().join(format!("pid.{}", std::process::id())), "1").unwrap();
        PidFile::write(&path).unwrap().remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let missing = folder.path().join("missing/pid");
        assert!(PidFile::write(&missing).unwrap_err().to_string().contains("missing/pid"));
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
