//! A lock file: made where the administrator says, given to whom the children become.
//!
//! Its name is Apache's, `mpm-accept.PID` in the folder of the `Mutex` line. Once open a lock needs no name, so the
//! name lives for a few system calls only: a server that is killed leaves nothing behind.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::Settings;

/// A lock file that still has its name.
pub(super) struct LockFile {
    pub(super) file: File,
    path: PathBuf,
}

impl LockFile {
    /// Makes one that nobody else has open, readable and writable for the children's user alone.
    pub(super) fn create(settings: &Settings) -> io::Result<Self> {
        let name = match settings.lock_omit_pid {
            true => "mpm-accept".to_owned(),
            false => format!("mpm-accept.{}", std::process::id()),
        };
        let path = settings.lock_dir.join(name);
        let file = create_new(&path).and_then(|file| {
            if let Some(user) = &settings.credentials {
                fchown(&file, Some(user.uid), Some(user.gid))?;
            }
            Ok(file)
        });
        match file {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => {
                let message = format!("lock file {}: {error}", path.display());
                Err(io::Error::new(error.kind(), message))
            }
        }
    }

    /// Takes its name away.
    pub(super) fn unlink(self) -> io::Result<File> {
        fs::remove_file(&self.path)?;
        Ok(self.file)
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    let create =
        || OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    match create() {
        // Of a server that was killed between two system calls; or somebody else's, and then this fails as well.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn it_is_named_as_in_apache_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings =
            Settings { lock_dir: folder.path().to_owned(), ..Settings::new(Model::Prefork) };
        let pid = std::process::id();
        for (omit_pid, name) in [(false, format!("mpm-accept.{pid}")), (true, "mpm-accept".into())]
        {
            settings.lock_omit_pid = omit_pid;
            std::fs::write(folder.path().join(&name), "of a server that was killed").unwrap();
            let lock = LockFile::create(&settings).unwrap();
            let status = folder.path().join(&name).metadata().unwrap();
            assert_eq!((status.mode() & 0o777, status.len()), (0o600, 0));
            lock.unlink().unwrap();
            assert!(!folder.path().join(&name).exists());
        }
    }

    #[test]
    fn a_folder_that_does_not_exist_is_named() {
        let settings =
            Settings { lock_dir: "/nowhere/at all".into(), ..Settings::new(Model::Prefork) };
        let message = LockFile::create(&settings).err().unwrap().to_string();
        assert!(message.starts_with("lock file /nowhere/at all/mpm-accept."), "{message}");
    }
}
