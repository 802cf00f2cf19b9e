//! Socket files: made with their rights, replaced when stale, removed when nobody needs them any more.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::spec::FileAccess;

/// Which file a path named when we made it, so that nobody else's is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }
}

/// Makes a socket file. Nobody can connect before it listens, and by then it must have its [rights](set_access).
pub(super) fn bind(path: &Path) -> io::Result<(Socket, FileId)> {
    let address = SockAddr::unix(path)?;
    let socket = new_socket()?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            socket.bind(&address)?;
        }
        result => result?,
    }
    Ok((socket, FileId::of(path)?))
}

/// Says who may connect.
pub(super) fn set_access(path: &Path, access: FileAccess) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(access.mode))?;
    if access.owner.is_none() && access.group.is_none() {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, access.owner, access.group)
}

/// Removes what a server that crashed has left behind. A socket that somebody listens on stays, and so does a file
/// that is no socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let message = "a file that is no socket stands there";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let found = FileId::of(path)?;
    match new_socket()?.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            remove(path, found);
            Ok(())
        }
        // Connected, or its queue is full: somebody lives there.
        Ok(()) | Err(_) => Err(io::Error::from_raw_os_error(nix::libc::EADDRINUSE)),
    }
}

/// Removes a socket file, if it still is the one that we know.
pub(super) fn remove(path: &Path, known: FileId) {
    if FileId::of(path).is_ok_and(|present| present == known) {
        // Left behind, it is found stale and replaced at the next start.
        let _ = fs::remove_file(path);
    }
}

fn new_socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (first, id) = bind(&path).unwrap();
        set_access(&path, FileAccess { mode: 0o620, ..FileAccess::default() }).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o620);
        first.listen(4).unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        let (second, other) = bind(&path).unwrap();
        second.listen(4).unwrap();
        remove(&path, FileId { inode: id.inode + other.inode, ..id });
        assert!(path.exists(), "not the one that was meant");
        remove(&path, other);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "text").unwrap();
        let error = bind(&path).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        let long = folder.path().join("x".repeat(200));
        assert!(bind(&long).is_err(), "a socket's name is short");
    }
}
