//! # Where a server keeps its scoreboard, and where `herdgate top` looks for it
//!
//! | who says so | file |
//! |---|---|
//! | `ScoreBoardFile FILE` | that one |
//! | `DefaultRuntimeDir DIR` | `DIR/NAME` |
//! | nobody, root's server | `/run/herdgate/NAME`, else `/dev/shm/NAME` |
//! | nobody, anybody else's server | `$XDG_RUNTIME_DIR/herdgate/NAME`, else `/dev/shm/NAME` |
//!
//! - A folder that is missing or closed to us is passed over; the folders that nobody has named are memory (tmpfs) on
//!   every common system: a scoreboard is written often, and a disk should not hear of it.
//! - NAME is made from the pid file's, which is what tells one server from another: two servers never share it, and one
//!   that starts again replaces its own. `herdgate serve`, which has no pid file, is told by its port.
//! - The file is its owner's alone (0600). It goes when the server ends, and stays when it crashes.
//! - In `/dev/shm` anybody may have taken the name; then the server has memory without a name, and says so.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use herdgate_sys as sys;
use nix::unistd::{AccessFlags, access, geteuid};

use crate::config::Server;

/// What all scoreboards' names end in.
const EXTENSION: &str = "scoreboard";

/// The file for a server that is about to start. `None`: there is no place for one.
pub fn place(server: &Server) -> Option<PathBuf> {
    match &server.mpm.scoreboard_file {
        Some(file) => Some(file.clone()),
        None => usable(&folders(server), &name_of(&server.mpm.pid_file)),
    }
}

/// The file for a server without a pid file that serves a folder on this port.
pub fn place_for_port(port: u16) -> Option<PathBuf> {
    usable(&own_folders(), &format!("herdgate-serve-{port}.{EXTENSION}"))
}

/// The files that [`place`] may have chosen, the likeliest first.
pub fn candidates(server: &Server) -> Vec<PathBuf> {
    match &server.mpm.scoreboard_file {
        Some(file) => vec![file.clone()],
        None => in_folders(&folders(server), &server.mpm.pid_file),
    }
}

/// The files that a server with this pid file may have, unless its configuration says otherwise.
pub fn candidates_by_pid_file(pid_file: &Path) -> Vec<PathBuf> {
    in_folders(&own_folders(), pid_file)
}

/// All scoreboards in the folders that need no configuration to be known, in no particular order.
pub fn all() -> Vec<PathBuf> {
    let entries = own_folders().into_iter().flat_map(|folder| fs::read_dir(folder.path));
    let files = entries.flat_map(|folder| folder.flatten().map(|entry| entry.path()));
    files.filter(|path| path.extension().is_some_and(|word| word == EXTENSION)).collect()
}

/// The file that a living process has mapped: whatever its configuration says, and said when it was started.
pub fn of_process(pid: sys::Pid) -> Option<PathBuf> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let shared = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(is_shared));
    let files = shared.filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])));
    files.into_iter().find(|path| herdgate_mpm::scoreboard::reader::Reader::open(path).is_ok())
}

/// Permissions as proc(5) writes them: `rw-s`.
fn is_shared(permissions: &str) -> bool {
    permissions.starts_with("rw") && permissions.ends_with('s')
}

/// A folder that scoreboards may be in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    /// With this mode, if it is missing and it is for us to make it.
    make: Option<u32>,
}

fn folders(server: &Server) -> Vec<Folder> {
    let written = server.runtime_dir_is_written.then(|| server.runtime_dir.clone());
    written.map(|path| Folder { path, make: None }).into_iter().chain(own_folders()).collect()
}

fn own_folders() -> Vec<Folder> {
    let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let xdg = xdg.filter(|path| path.is_absolute());
    let run = if sys::process::is_root() {
        Some(Folder { path: PathBuf::from("/run/herdgate"), make: Some(0o755) })
    } else {
        xdg.map(|path| Folder { path: path.join("herdgate"), make: Some(0o700) })
    };
    run.into_iter().chain([Folder { path: PathBuf::from("/dev/shm"), make: None }]).collect()
}

fn usable(folders: &[Folder], name: &str) -> Option<PathBuf> {
    folders.iter().find(|folder| folder.is_usable(name)).map(|folder| folder.path.join(name))
}

impl Folder {
    fn is_usable(&self, name: &str) -> bool {
        if let Some(mode) = self.make {
            // If it is there already, or cannot be made, the next line tells.
            let _ = DirBuilder::new().mode(mode).create(&self.path);
        }
        let may_write = access(&self.path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
        // In a folder for everybody, what another user has put there can be neither replaced nor trusted.
        let stale = fs::symlink_metadata(self.path.join(name));
        may_write && stale.map_or(true, |stale| stale.uid() == geteuid().as_raw())
    }
}

fn in_folders(folders: &[Folder], pid_file: &Path) -> Vec<PathBuf> {
    let name = name_of(pid_file);
    folders.iter().map(|folder| folder.path.join(&name)).collect()
}

/// `herdgate-1f2e3d4c.scoreboard` for `…/herdgate.pid`: readable, and different for each pid file.
fn name_of(pid_file: &Path) -> String {
    let stem = pid_file.file_stem().map_or("herdgate".into(), |stem| stem.to_string_lossy());
    format!("{stem}-{:08x}.{EXTENSION}", fnv1a(pid_file.as_os_str().as_encoded_bytes()))
}

/// Fowler, Noll and Vo's hash in 32 bits: the name must be the same for every version and program.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_readable_stable_and_of_its_pid_file_alone() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968, "the hash as published");
        let name = name_of(Path::new("/srv/a/logs/herdgate.pid"));
        assert!(name.starts_with("herdgate-") && name.ends_with(".scoreboard"), "{name}");
        assert_ne!(name, name_of(Path::new("/srv/b/logs/herdgate.pid")));
    }

    #[test]
    fn the_first_usable_folder_is_taken_and_made_if_that_is_ours_to_do() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str, make| Folder { path: root.path().join(name), make };
        let missing = folder("missing", None);
        let made = folder("made", Some(0o700));
        assert_eq!(usable(std::slice::from_ref(&missing), "a"), None);
        assert_eq!(usable(&[missing, made], "a"), Some(root.path().join("made/a")));
    }

    #[test]
    fn a_mapped_scoreboard_is_found_by_its_process() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("with a space.scoreboard");
        let _board = herdgate_mpm::scoreboard::Scoreboard::create(Some(&path), 1, 1).unwrap();
        assert_eq!(of_process(sys::Pid::this()), Some(path));
    }
}
