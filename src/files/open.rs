//! # open: the one way in
//!
//! ```text
//! Follow       openat2 RESOLVE_NO_MAGICLINKS ┐
//! Refuse       openat2 RESOLVE_NO_SYMLINKS   ├─▶ one call, no race ──▶ fstat ──▶ file or folder
//! Beneath      openat2 RESOLVE_BENEATH       ┘
//! OwnerMatch   component by component, each link's owner compared with its target's
//! ```
//!
//! - The decision about links and the opening are one system call: nobody can swap a name in between. The walk
//!   holds a descriptor of every folder that it has checked, so it has no such gap either.
//! - The name of the root (DocumentRoot, an Alias' target) was written by the operator: links in it are trusted.
//! - A FIFO without a writer does not block (`O_NONBLOCK`); devices, sockets and FIFOs are refused after `fstat`.
//! - A folder that may be entered but not read (mode 711) is opened as a place to start from: index files in it are
//!   served, a listing is refused.
//! - Inline, an open that would need the disk answers [`OpenError::WouldBlock`] and has no effect.
//! - Without `openat2` (a container's filter), links beneath a root count as refused: too strict, never too lax.

use super::{Access, mounts};
use herdgate_sys::file::{self, CWD, Kind, OpenFlags, Resolve, Stat};
use herdgate_sys::probe::probes;
use smallvec::SmallVec;
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A rename beside us makes the kernel give up on a look-up beneath a root; nobody renames this often by accident.
const RACED_LOOKUPS_MAX: u32 = 16;

/// Which symbolic links on the way to a file are followed, and from where on that counts.
#[derive(Clone, Copy, Debug)]
pub struct Links<'p> {
    /// Which ones.
    pub policy: LinkPolicy,
    /// The folder that the file is served from, absolute. Links in its own name are the operator's.
    pub root: &'p [u8],
}

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPolicy {
    /// All but those of /proc, which lead where no path leads. `Options FollowSymLinks`.
    Follow,
    /// None. `Options -FollowSymLinks`.
    Refuse,
    /// Relative links that stay below the root. `Options SymLinksBeneath`.
    Beneath,
    /// Those that belong to the owner of what they lead to. `Options SymLinksIfOwnerMatch`.
    OwnerMatch,
}

/// An open file or folder, and what it was at that moment.
#[derive(Debug)]
pub struct Opened {
    /// Open for reading, close-on-exec. A folder that we may only enter is open as a place (`O_PATH`).
    pub fd: OwnedFd,
    /// Of `fd`, not of the name: what is served is what was checked.
    pub stat: Stat,
}

impl Opened {
    /// Whether it is a folder. What is not a folder is a regular file.
    pub fn is_folder(&self) -> bool {
        self.stat.kind == Kind::Dir
    }
}

/// Why there is nothing to serve.
#[derive(Debug)]
pub enum OpenError {
    /// Inline only: the disk would be needed. Nothing has happened; ask again in a job.
    WouldBlock,
    /// There is no such name, or a file stands where a folder would have to.
    Missing(io::Error),
    /// A symbolic link stands in the way, or leads nowhere.
    Link,
    /// A device, FIFO or socket.
    Special,
    /// The rights on a folder above it do not let us through.
    Denied(io::Error),
    /// The rights on the file itself do not let us read.
    Unreadable(io::Error),
    /// The server's own trouble: descriptors or memory ran out, the disk failed.
    System(io::Error),
    /// A name that the file system cannot hold: too long, or with a NUL.
    Name(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::WouldBlock => out.write_str("the disk would be needed"),
            OpenError::Link => out.write_str("a symbolic link that may not be followed"),
            OpenError::Special => out.write_str("neither a file nor a folder"),
            OpenError::Missing(error)
            | OpenError::Denied(error)
            | OpenError::Unreadable(error)
            | OpenError::System(error)
            | OpenError::Name(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for OpenError {}

/// Opens `path`, which is absolute and lexically normalised (no `.`, no `..`), for reading. A slash at its end
/// asks for a folder.
///
/// # Errors
/// See [`OpenError`].
pub fn open(path: &[u8], links: Links<'_>, access: Access) -> Result<Opened, OpenError> {
    debug_assert!(path.starts_with(b"/"), "a path that is served is absolute");
    let strategy = strategy(path, links.policy, access)?;
    let opened = readable_or_place(path, |flags| match strategy {
        Strategy::Kernel(resolve) => open_by_kernel(path, links, flags, resolve),
        Strategy::Plain => openat(CWD, path, flags).map_err(OpenError::from_kernel),
        Strategy::Walk => walk(path, links, flags),
    })?;
    if access == Access::MayBlock {
        mounts::learn(path, &opened);
    }
    Ok(opened)
}

/// Opens `name` in an open folder; `path` is the whole name of the same file, for the policies that must look
/// at the way from the root.
///
/// # Errors
/// See [`OpenError`].
pub fn open_in(
    folder: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    links: Links<'_>,
    access: Access,
) -> Result<Opened, OpenError> {
    let (Strategy::Kernel(resolve), LinkPolicy::Follow | LinkPolicy::Refuse) =
        (strategy(path, links.policy, access)?, links.policy)
    else {
        return open(path, links, access);
    };
    let opened = readable_or_place(path, |flags| {
        openat2(folder, name, flags, resolve).map_err(OpenError::from_kernel)
    })?;
    if access == Access::MayBlock {
        mounts::learn(path, &opened);
    }
    Ok(opened)
}

/// What a name stands for, with links followed or not, for those that only ask: rewriting, expressions. `None`: nothing
/// that we could reach.
///
/// # Errors
/// `WouldBlock`: inline only, the disk would be needed.
pub fn look(path: &[u8], follow: bool, access: Access) -> io::Result<Option<Stat>> {
    let policy = LinkPolicy::Follow;
    let flags = if follow { OpenFlags::PATH } else { OpenFlags::PATH | OpenFlags::NOFOLLOW };
    let opened = match strategy(path, policy, access) {
        Ok(Strategy::Kernel(resolve)) => openat2(CWD, path, flags, resolve),
        Ok(Strategy::Plain | Strategy::Walk) => openat(CWD, path, flags),
        Err(_) => return Err(io::ErrorKind::WouldBlock.into()),
    };
    match opened.and_then(|fd| file::fstat(fd.as_fd())) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
        Err(_) => Ok(None),
    }
}

/// What a name stands for, links followed or not, by one call that may wait for a disk. `None`: nothing that we could
/// reach.
pub fn stat(path: &[u8], follow: bool) -> Option<Stat> {
    with_c_string(path, |path| file::fstatat(CWD, path, follow)).ok()
}

const READ: OpenFlags = OpenFlags::READ.union(OpenFlags::NONBLOCK);
/// A folder, only to start from.
const PLACE: OpenFlags = OpenFlags::PATH.union(OpenFlags::DIRECTORY);

/// Opens for reading. What may not be read is opened once more, only as a place, to tell a folder that we may enter
/// from a file that we may not read and from a way that is barred.
fn readable_or_place(
    path: &[u8],
    open_with: impl Fn(OpenFlags) -> Result<OwnedFd, OpenError>,
) -> Result<Opened, OpenError> {
    let error = match open_with(READ) {
        Ok(fd) => return checked(fd),
        Err(OpenError::Denied(error)) => error,
        // Apache tells a link that leads nowhere (403) from a name that does not exist (404).
        Err(OpenError::Missing(_)) if is_link(path) => return Err(OpenError::Link),
        Err(other) => return Err(other),
    };
    match open_with(OpenFlags::PATH).and_then(checked) {
        Ok(place) if place.is_folder() => Ok(place),
        Ok(_) => Err(OpenError::Unreadable(error)),
        Err(_) => Err(OpenError::Denied(error)),
    }
}

/// The look-up that has just failed left the name in the kernel's memory, so asking costs no disk.
fn is_link(path: &[u8]) -> bool {
    stat(path, false).is_some_and(|stat| stat.kind == Kind::Symlink)
}

/// How a policy is kept on this kernel.
enum Strategy {
    /// `openat2` decides and opens at once.
    Kernel(Resolve),
    /// There is no `openat2`, and all links may be followed.
    Plain,
    /// Component by component.
    Walk,
}

fn strategy(path: &[u8], policy: LinkPolicy, access: Access) -> Result<Strategy, OpenError> {
    let kernel_decides = probes().openat2 && policy != LinkPolicy::OwnerMatch;
    let kernel_can_tell = kernel_decides && probes().resolve_cached;
    if access == Access::Inline && (!kernel_can_tell || mounts::may_wait(path)) {
        return Err(OpenError::WouldBlock);
    }
    if !kernel_decides {
        return Ok(if policy == LinkPolicy::Follow { Strategy::Plain } else { Strategy::Walk });
    }
    let resolve = match policy {
        LinkPolicy::Follow | LinkPolicy::OwnerMatch => Resolve::NO_MAGICLINKS,
        LinkPolicy::Refuse => Resolve::NO_SYMLINKS,
        LinkPolicy::Beneath => Resolve::BENEATH | Resolve::NO_MAGICLINKS,
    };
    Ok(Strategy::Kernel(match access {
        Access::Inline => resolve | Resolve::CACHED,
        Access::MayBlock => resolve,
    }))
}

fn open_by_kernel(
    path: &[u8],
    links: Links<'_>,
    flags: OpenFlags,
    resolve: Resolve,
) -> Result<OwnedFd, OpenError> {
    if links.policy == LinkPolicy::Beneath {
        return open_below_root(path, links.root, flags, resolve);
    }
    let opened = openat2(CWD, path, flags, resolve).map_err(OpenError::from_kernel);
    match opened {
        // The link may stand in the name of the root, where it is welcome.
        Err(OpenError::Link) if links.policy == LinkPolicy::Refuse => {
            open_below_root(path, links.root, flags, resolve)
        }
        opened => opened,
    }
}

fn open_below_root(
    path: &[u8],
    root: &[u8],
    flags: OpenFlags,
    resolve: Resolve,
) -> Result<OwnedFd, OpenError> {
    let below = below_root(path, root).ok_or(OpenError::Link)?;
    let inline = resolve.contains(Resolve::CACHED);
    let to_root = if inline { Resolve::CACHED } else { Resolve::empty() } | Resolve::NO_MAGICLINKS;
    let root = openat2(CWD, root, PLACE, to_root).map_err(OpenError::from_kernel)?;
    let mut raced = 0;
    loop {
        match openat2(root.as_fd(), below, flags, resolve) {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && !inline
                    && raced < RACED_LOOKUPS_MAX =>
            {
                raced += 1;
            }
            opened => return opened.map_err(OpenError::from_kernel),
        }
    }
}

/// What is left of `path` below `root`, without a leading slash; `.` for the root itself.
fn below_root<'p>(path: &'p [u8], root: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
    match rest {
        [] | b"/" => Some(b"."),
        [b'/', below @ ..] => Some(below),
        _ => None,
    }
}

/// Only a file or folder is handed out.
fn checked(fd: OwnedFd) -> Result<Opened, OpenError> {
    let stat = file::fstat(fd.as_fd()).map_err(OpenError::System)?;
    match stat.kind {
        Kind::File | Kind::Dir => Ok(Opened { fd, stat }),
        Kind::Symlink | Kind::Other => Err(OpenError::Special),
    }
}

impl OpenError {
    fn from_kernel(error: io::Error) -> OpenError {
        use nix::errno::Errno;
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => OpenError::WouldBlock,
            Some(Errno::ENOENT | Errno::ENOTDIR) => OpenError::Missing(error),
            Some(Errno::ELOOP | Errno::EXDEV) => OpenError::Link,
            // ENXIO is a socket, ENODEV a device without a driver.
            Some(Errno::ENXIO | Errno::ENODEV) => OpenError::Special,
            Some(Errno::EACCES | Errno::EPERM) => OpenError::Denied(error),
            Some(Errno::ENAMETOOLONG | Errno::EINVAL | Errno::EILSEQ) => OpenError::Name(error),
            None if error.kind() == io::ErrorKind::InvalidInput => OpenError::Name(error),
            Some(_) | None => OpenError::System(error),
        }
    }
}

/// Opens `path` from the root downwards, a descriptor for each folder on the way, looking at each component before
/// it is entered.
fn walk(path: &[u8], links: Links<'_>, flags: OpenFlags) -> Result<OwnedFd, OpenError> {
    let below = below_root(path, links.root).ok_or(OpenError::Link)?;
    let mut folder = openat(CWD, links.root, PLACE).map_err(OpenError::from_kernel)?;
    let mut components = below.split(|byte| *byte == b'/').filter(|c| !c.is_empty()).peekable();
    while let Some(name) = components.next() {
        let last = components.peek().is_none();
        let how = match (last, path.ends_with(b"/")) {
            (false, _) => PLACE,
            (true, true) => flags | OpenFlags::DIRECTORY,
            (true, false) => flags,
        };
        folder = step(folder.as_fd(), name, how, links.policy)?;
    }
    Ok(folder)
}

/// Opens one component. The link itself is opened first and read through that descriptor, so that what was
/// checked is what is followed.
fn step(
    folder: BorrowedFd<'_>,
    name: &[u8],
    flags: OpenFlags,
    policy: LinkPolicy,
) -> Result<OwnedFd, OpenError> {
    let itself = OpenFlags::PATH | OpenFlags::NOFOLLOW;
    let link = openat(folder, name, itself).map_err(OpenError::from_kernel)?;
    let of_link = file::fstat(link.as_fd()).map_err(OpenError::System)?;
    if of_link.kind != Kind::Symlink {
        return openat(folder, name, flags | OpenFlags::NOFOLLOW).map_err(OpenError::from_kernel);
    }
    if policy != LinkPolicy::OwnerMatch {
        return Err(OpenError::Link);
    }
    let target = file::readlinkat(link.as_fd(), c"").map_err(OpenError::System)?;
    let followed = match file::openat(folder, &target, flags).map_err(OpenError::from_kernel) {
        Err(OpenError::Missing(_)) => return Err(OpenError::Link), // It leads nowhere.
        opened => opened?,
    };
    let of_target = file::fstat(followed.as_fd()).map_err(OpenError::System)?;
    if of_link.uid == of_target.uid { Ok(followed) } else { Err(OpenError::Link) }
}

fn openat2(
    folder: BorrowedFd<'_>,
    path: &[u8],
    flags: OpenFlags,
    resolve: Resolve,
) -> io::Result<OwnedFd> {
    with_c_string(path, |path| file::openat2(folder, path, flags, resolve))
}

fn openat(folder: BorrowedFd<'_>, path: &[u8], flags: OpenFlags) -> io::Result<OwnedFd> {
    with_c_string(path, |path| file::openat(folder, path, flags))
}

/// Calls `use_it` with `path` as the kernel wants it; paths of ordinary length never leave the stack.
pub(super) fn with_c_string<T>(
    path: &[u8],
    use_it: impl FnOnce(&CStr) -> io::Result<T>,
) -> io::Result<T> {
    let mut terminated: SmallVec<[u8; 256]> = SmallVec::from_slice(path);
    terminated.push(0);
    let path = CStr::from_bytes_with_nul(&terminated)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the name contains a NUL"))?;
    use_it(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    /// ```text
    /// root/file  root/dir/inner  root/to-file → file  root/to-dir → dir  root/out → ../outside
    /// root/dir/up → ../file  root/absolute → /…/root/file  root/nowhere → missing  root/fifo  root/socket
    /// outside
    /// ```
    fn tree() -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("root");
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::write(base.path().join("outside"), "outside").unwrap();
        fs::write(root.join("file"), "file").unwrap();
        fs::write(root.join("dir/inner"), "inner").unwrap();
        symlink("file", root.join("to-file")).unwrap();
        symlink("dir", root.join("to-dir")).unwrap();
        symlink("../outside", root.join("out")).unwrap();
        symlink("../file", root.join("dir/up")).unwrap();
        symlink(root.join("file"), root.join("absolute")).unwrap();
        symlink("missing", root.join("nowhere")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        base
    }

    fn outcome(opened: &Result<Opened, OpenError>) -> &'static str {
        match opened {
            Ok(opened) if opened.is_folder() => "folder",
            Ok(_) => "file",
            Err(OpenError::WouldBlock) => "would block",
            Err(OpenError::Missing(_)) => "missing",
            Err(OpenError::Link) => "link",
            Err(OpenError::Special) => "special",
            Err(OpenError::Denied(_)) => "denied",
            Err(OpenError::Unreadable(_)) => "unreadable",
            Err(OpenError::System(_)) => "system",
            Err(OpenError::Name(_)) => "name",
        }
    }

    fn from_slash(policy: LinkPolicy) -> Links<'static> {
        Links { policy, root: b"/" }
    }

    fn bytes(path: &Path) -> Vec<u8> {
        path.as_os_str().as_bytes().to_vec()
    }

    #[test]
    fn links_are_followed_as_the_policy_says() {
        let base = tree();
        let root = bytes(&base.path().join("root"));
        for (name, follow, refuse, below, owner) in [
            ("", "folder", "folder", "folder", "folder"),
            ("file", "file", "file", "file", "file"),
            ("dir/", "folder", "folder", "folder", "folder"),
            ("dir/inner", "file", "file", "file", "file"),
            ("to-file", "file", "link", "file", "file"),
            ("to-dir/inner", "file", "link", "file", "file"),
            ("dir/up", "file", "link", "file", "file"),
            ("out", "file", "link", "link", "file"),
            ("absolute", "file", "link", "link", "file"),
            ("missing", "missing", "missing", "missing", "missing"),
            ("file/", "missing", "missing", "missing", "missing"),
            ("file/below", "missing", "missing", "missing", "missing"),
            ("fifo", "special", "special", "special", "special"),
            ("socket", "special", "special", "special", "special"),
        ] {
            let path = [&root[..], b"/", name.as_bytes()].concat();
            for (policy, expected) in [
                (LinkPolicy::Follow, follow),
                (LinkPolicy::Refuse, refuse),
                (LinkPolicy::Beneath, if probes().openat2 { below } else { refuse }),
                (LinkPolicy::OwnerMatch, owner),
            ] {
                let opened = open(&path, Links { policy, root: &root }, Access::MayBlock);
                assert_eq!(outcome(&opened), expected, "{name} under {policy:?}");
            }
        }
    }

    #[test]
    fn walk_agrees_with_the_kernel_where_links_are_refused() {
        let base = tree();
        let root = bytes(&base.path().join("root"));
        for name in ["", "/", "/file", "/dir/", "/to-file", "/to-dir/inner", "/missing", "/file/"] {
            let path = [&root[..], name.as_bytes()].concat();
            let links = Links { policy: LinkPolicy::Refuse, root: &root };
            let walked = walk(&path, links, READ).and_then(checked);
            let opened = open(&path, links, Access::MayBlock);
            assert_eq!(outcome(&walked), outcome(&opened), "{name}");
        }
    }

    #[test]
    fn link_that_leads_nowhere_is_told_from_a_missing_name() {
        let base = tree();
        let path = bytes(&base.path().join("root/nowhere"));
        for policy in [LinkPolicy::Follow, LinkPolicy::Refuse, LinkPolicy::OwnerMatch] {
            let opened = open(&path, from_slash(policy), Access::MayBlock);
            assert_eq!(outcome(&opened), "link", "{policy:?}");
        }
    }

    #[test]
    fn links_in_the_name_of_the_root_are_the_operators() {
        let base = tree();
        symlink(base.path().join("root"), base.path().join("site")).unwrap();
        let root = bytes(&base.path().join("site"));
        for policy in
            [LinkPolicy::Follow, LinkPolicy::Refuse, LinkPolicy::Beneath, LinkPolicy::OwnerMatch]
        {
            let links = Links { policy, root: &root };
            let opened = open(&[&root, "/file".as_bytes()].concat(), links, Access::MayBlock);
            assert_eq!(outcome(&opened), "file", "{policy:?}");
        }
        let links = Links { policy: LinkPolicy::Refuse, root: &root };
        let opened = open(&[&root, "/to-file".as_bytes()].concat(), links, Access::MayBlock);
        assert_eq!(outcome(&opened), "link");
    }

    #[test]
    fn rights_on_the_way_are_told_from_rights_on_the_file() {
        use std::os::unix::fs::PermissionsExt;
        if nix::unistd::geteuid().is_root() {
            return; // Root may read everything.
        }
        let base = tree();
        let mode = |name: &str, mode| {
            fs::set_permissions(base.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("root/file", 0);
        mode("root/dir", 0o311);
        for (name, expected) in
            [("root/file", "unreadable"), ("root/dir", "folder"), ("root/dir/inner", "file")]
        {
            let path = bytes(&base.path().join(name));
            for policy in [LinkPolicy::Refuse, LinkPolicy::OwnerMatch] {
                assert_eq!(
                    outcome(&open(&path, from_slash(policy), Access::MayBlock)),
                    expected,
                    "{name}"
                );
            }
        }
        mode("root/dir", 0);
        let path = bytes(&base.path().join("root/dir/inner"));
        assert_eq!(
            outcome(&open(&path, from_slash(LinkPolicy::Refuse), Access::MayBlock)),
            "denied"
        );
        mode("root/dir", 0o755);
    }

    #[test]
    fn magic_links_lead_nowhere() {
        let file = tempfile::tempfile().unwrap();
        let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let opened = open(name.as_bytes(), from_slash(LinkPolicy::Follow), Access::MayBlock);
        // Without openat2 there is no way to tell such a link from another.
        assert_eq!(outcome(&opened), if probes().openat2 { "link" } else { "file" });
    }

    #[test]
    fn names_that_no_file_system_holds() {
        let long = [b"/".as_slice(), &[b'a'; 300]].concat();
        for path in [long.as_slice(), b"/a\0b"] {
            let opened = open(path, from_slash(LinkPolicy::Follow), Access::MayBlock);
            assert_eq!(outcome(&opened), "name");
        }
    }

    #[test]
    fn inline_open_serves_what_is_known_and_never_walks() {
        let base = tree();
        let path = bytes(&base.path().join("root/dir/inner"));
        let walked = open(&path, from_slash(LinkPolicy::OwnerMatch), Access::Inline);
        assert_eq!(outcome(&walked), "would block");
        // The file has just been written, so its name is known to the kernel.
        let expected = if probes().resolve_cached { "file" } else { "would block" };
        let opened = open(&path, from_slash(LinkPolicy::Follow), Access::Inline);
        assert_eq!(outcome(&opened), expected);
    }

    #[test]
    fn file_in_an_open_folder_is_found_by_its_name() {
        let base = tree();
        let root = bytes(&base.path().join("root"));
        let folder = open(&root, from_slash(LinkPolicy::Follow), Access::MayBlock).unwrap();
        for (name, policy, expected) in [
            ("file", LinkPolicy::Refuse, "file"),
            ("to-file", LinkPolicy::Refuse, "link"),
            ("to-file", LinkPolicy::Follow, "file"),
            ("dir", LinkPolicy::Beneath, "folder"),
            ("to-file", LinkPolicy::OwnerMatch, "file"),
            ("missing", LinkPolicy::Follow, "missing"),
            ("nowhere", LinkPolicy::Follow, "link"),
        ] {
            let path = [&root[..], b"/", name.as_bytes()].concat();
            let fd = folder.fd.as_fd();
            let links = Links { policy, root: &root };
            let opened = open_in(fd, name.as_bytes(), &path, links, Access::MayBlock);
            assert_eq!(outcome(&opened), expected, "{name} under {policy:?}");
        }
    }
}
