//! # file: opening safely, reading without waiting, asking about files
//!
//! ```text
//!   openat2 + RESOLVE_CACHED ──▶ opened │ WouldBlock: the name is not in memory: a job
//!   preadv2 + RWF_NOWAIT     ──▶ bytes  │ WouldBlock: the page is not in memory: a job
//! ```
//!
//! - Paths are C strings: whoever opens a thousand files a second builds them in a buffer of its
//!   own.
//! - Nothing here creates or changes a file; std does that well.
//! - Opening never takes a terminal as ours (`O_NOCTTY`) and never leaks into a program that we
//!   start.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AT_FDCWD, AtFlags};

pub use crate::probe::supported;

use crate::flags::flags;
use crate::outcome::{check, check_fd, check_len, invalid};

/// Where relative paths start if no folder is given: the working directory. Absolute paths ignore
/// it.
pub const CWD: BorrowedFd<'static> = AT_FDCWD;

flags! {
    /// How to open. Reading is what is left when nothing else is said.
    pub struct OpenFlags(i32) {
        /// For reading.
        READ = libc::O_RDONLY;
        /// For reading and writing.
        READ_WRITE = libc::O_RDWR;
        /// Only a folder will do.
        DIRECTORY = libc::O_DIRECTORY;
        /// A symbolic link as the last component is an error (`ELOOP`); with [`OpenFlags::PATH`]
        /// the link itself is opened.
        NOFOLLOW = libc::O_NOFOLLOW;
        /// Only the place, not its contents: for `fstat` and as a folder to start from.
        PATH = libc::O_PATH;
        /// Do not wait for the other end of a FIFO, and do not read ahead into a device.
        NONBLOCK = libc::O_NONBLOCK;
        /// Leave the time of last access alone; only for the file's owner and for root (`EPERM`).
        NOATIME = libc::O_NOATIME;
    }
}

flags! {
    /// How the components of a path may be followed. openat2(2).
    pub struct Resolve(u64) {
        /// No symbolic link anywhere: `ELOOP`.
        NO_SYMLINKS = libc::RESOLVE_NO_SYMLINKS;
        /// No link of the kind that /proc has, which lead where no path leads: `ELOOP`.
        NO_MAGICLINKS = libc::RESOLVE_NO_MAGICLINKS;
        /// Never above the starting folder, neither by `..` nor by links: `EXDEV`.
        BENEATH = libc::RESOLVE_BENEATH;
        /// The starting folder is `/` for this path: absolute links start there, `..` stops there.
        IN_ROOT = libc::RESOLVE_IN_ROOT;
        /// Never across a mount point: `EXDEV`.
        NO_XDEV = libc::RESOLVE_NO_XDEV;
        /// Only if all of it is in the kernel's memory, else `WouldBlock`. Linux 5.12.
        CACHED = libc::RESOLVE_CACHED;
    }
}

/// Opens `path` from `dir`, following only what `resolve` allows. openat2(2).
///
/// # Errors
/// `WouldBlock`: [`Resolve::CACHED`] would have needed the disk, or a name changed while we looked
/// ([`Resolve::BENEATH`], [`Resolve::IN_ROOT`]): try again without, or again. `ELOOP`, `EXDEV`: a
/// forbidden link or crossing. Missing altogether: see [`supported`].
pub fn openat2(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: OpenFlags,
    resolve: Resolve,
) -> io::Result<OwnedFd> {
    // SAFETY: open_how holds integers only, and zero is the default of each.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from(flags.for_kernel().cast_unsigned());
    how.resolve = resolve.bits();
    // SAFETY: `path` ends in NUL, `how` lives on our stack, and its true size goes along.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    #[expect(clippy::cast_possible_truncation, reason = "a descriptor or -1")]
    let fd = fd as libc::c_int;
    // SAFETY: the descriptor has just been made for us.
    unsafe { check_fd(fd) }
}

/// Opens `path` from `dir`, following links as ever. For the walk, component by component, where
/// `openat2` is missing or cannot say what we want. openat(2).
///
/// # Errors
/// As open(2).
pub fn openat(dir: BorrowedFd<'_>, path: &CStr, flags: OpenFlags) -> io::Result<OwnedFd> {
    // SAFETY: `path` ends in NUL; without O_CREAT no mode is read.
    let fd = unsafe { libc::openat(dir.as_raw_fd(), path.as_ptr(), flags.for_kernel()) };
    // SAFETY: the descriptor has just been made for us.
    unsafe { check_fd(fd) }
}

impl OpenFlags {
    /// With what we always want. `O_NOCTTY` makes no sense for a mere place, and `openat2`, unlike
    /// `openat`, refuses the combination.
    fn for_kernel(self) -> i32 {
        let terminal = if self.contains(OpenFlags::PATH) { 0 } else { libc::O_NOCTTY };
        self.bits() | libc::O_CLOEXEC | terminal
    }
}

/// What a symbolic link says, `path` being the link as seen from `dir`. With an empty `path`, the
/// link that `dir` itself is (opened with [`OpenFlags::PATH`] and [`OpenFlags::NOFOLLOW`]).
/// readlinkat(2).
///
/// # Errors
/// `EINVAL`: not a link; `NotFound` if that was asked of `dir` itself.
pub fn readlinkat(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<CString> {
    let target = nix::fcntl::readlinkat(dir, path)?;
    CString::new(std::os::unix::ffi::OsStringExt::into_vec(target))
        .map_err(|_| invalid("a link target cannot contain NUL"))
}

/// Reads from `offset` if that needs no disk. `Ok(0)` means end of file; a short count, that the
/// rest is not in memory (or the end of file). preadv2(2) with `RWF_NOWAIT`.
///
/// # Errors
/// `WouldBlock`: not in the page cache. `EOPNOTSUPP`: the file system cannot say (see
/// [`supported`]).
pub fn preadv2_nowait(fd: BorrowedFd<'_>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let at = offset(at)?;
    // SAFETY: the one iovec describes `buffer`, which is ours alone for the call.
    check_len(unsafe { libc::preadv2(fd.as_raw_fd(), &raw const piece, 1, at, libc::RWF_NOWAIT) })
}

/// Reads from `offset`, waiting for the disk if it must. `Ok(0)` means end of file. pread(2).
///
/// # Errors
/// As read(2).
pub fn pread(fd: BorrowedFd<'_>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let at = offset(at)?;
    // SAFETY: the pointer and length are those of `buffer`, which is ours alone for the call.
    check_len(unsafe { libc::pread(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), at) })
}

/// Asks the kernel to read `len` bytes from `offset` into its memory. Blocks while it finds out
/// where they are on the disk, so it belongs into a job. readahead(2).
///
/// # Errors
/// `InvalidInput`: the kind of file that has no page cache.
pub fn readahead(fd: BorrowedFd<'_>, at: u64, len: usize) -> io::Result<()> {
    let at = offset(at)?;
    // SAFETY: the call takes no pointer.
    check_len(unsafe { libc::readahead(fd.as_raw_fd(), at, len) })?;
    Ok(())
}

/// A position as the kernel counts it: signed.
pub(crate) fn offset(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| invalid("no file is that long"))
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link, not followed.
    Symlink,
    /// A device, a FIFO, a socket: nothing to serve.
    Other,
}

/// What we want to know about a file, from one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stat {
    /// File, folder, link, or something else.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// When the contents last changed: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// When anything about the file, its rights and names included, last changed: cannot be set
    /// back.
    pub changed: (i64, u32),
    /// The file's number within its device; together they are its identity.
    pub inode: u64,
    /// The device's number.
    pub device: u64,
    /// Permission bits, without the kind: at most 0o7777.
    pub mode: u32,
    /// How many names it has.
    pub links: u64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Asks about an open file, folder or place. fstat(2).
///
/// # Errors
/// As fstat(2); none for a descriptor that is open.
pub fn fstat(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    Ok(Stat::from_kernel(&nix::sys::stat::fstat(fd)?))
}

/// Asks about a name without opening it; with `follow`, about where a link leads. fstatat(2).
///
/// # Errors
/// `NotFound`, `NotADirectory`, `PermissionDenied`, `ELOOP`.
pub fn fstatat(dir: BorrowedFd<'_>, path: &CStr, follow: bool) -> io::Result<Stat> {
    let flags = if follow { AtFlags::empty() } else { AtFlags::AT_SYMLINK_NOFOLLOW };
    Ok(Stat::from_kernel(&nix::sys::stat::fstatat(dir, path, flags)?))
}

impl Stat {
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "widths differ between x86-64 and arm64"
    )]
    fn from_kernel(stat: &libc::stat) -> Self {
        Stat {
            kind: match stat.st_mode & libc::S_IFMT {
                libc::S_IFREG => Kind::File,
                libc::S_IFDIR => Kind::Dir,
                libc::S_IFLNK => Kind::Symlink,
                _ => Kind::Other,
            },
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            changed: (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            inode: stat.st_ino,
            device: stat.st_dev,
            mode: stat.st_mode & 0o7777,
            links: u64::from(stat.st_nlink),
            uid: stat.st_uid,
            gid: stat.st_gid,
        }
    }
}

/// The file systems that behave unlike a local disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FsKind {
    /// In memory: never waits for a disk.
    Tmpfs,
    /// Layers, as containers have: a file may change its identity when first written.
    Overlay,
    /// Answered by a process, which may take its time or hang.
    Fuse,
    /// Answered by another machine, which may change files without telling.
    Nfs,
    /// Everything else, local disks above all.
    Other,
}

/// What kind of file system a file lives on. fstatfs(2).
///
/// # Errors
/// As fstatfs(2).
pub fn fs_kind(fd: BorrowedFd<'_>) -> io::Result<FsKind> {
    use nix::sys::statfs;
    let magic = statfs::fstatfs(fd)?.filesystem_type();
    let known = [
        (statfs::TMPFS_MAGIC, FsKind::Tmpfs),
        (statfs::OVERLAYFS_SUPER_MAGIC, FsKind::Overlay),
        (statfs::FUSE_SUPER_MAGIC, FsKind::Fuse),
        (statfs::NFS_SUPER_MAGIC, FsKind::Nfs),
    ];
    Ok(known.iter().find(|(number, _)| *number == magic).map_or(FsKind::Other, |(_, kind)| *kind))
}

/// Whether a descriptor is a terminal. isatty(3).
pub fn isatty(fd: BorrowedFd<'_>) -> bool {
    std::io::IsTerminal::is_terminal(&fd)
}

/// Gives an open file to a user and a group: a log or lock file that children, who are not root,
/// must open again. fchown(2).
///
/// # Errors
/// `PermissionDenied`: we are not root.
pub fn fchown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: the call takes no pointer.
    check(unsafe { libc::fchown(fd.as_raw_fd(), uid, gid) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::probes;
    use std::fs;
    use std::io::{ErrorKind, Write};
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    #[test]
    fn a_path_is_followed_only_as_far_as_resolve_allows() {
        if !probes().openat2 {
            eprintln!("skipped: no openat2 here");
            return;
        }
        let site = Site::new();
        let check = |path: &CStr, resolve, expected: Result<(), i32>| {
            let opened = openat2(site.root.as_fd(), path, OpenFlags::READ, resolve);
            let result = opened.map(drop).map_err(|error| error.raw_os_error().unwrap());
            assert_eq!(result, expected, "{path:?} {resolve:?}");
        };
        check(c"page", Resolve::NO_SYMLINKS, Ok(()));
        check(c"link", Resolve::empty(), Ok(()));
        check(c"link", Resolve::NO_SYMLINKS, Err(libc::ELOOP));
        check(c"link", Resolve::BENEATH, Ok(()));
        check(c"out", Resolve::NO_MAGICLINKS, Ok(()));
        check(c"out", Resolve::BENEATH, Err(libc::EXDEV));
        check(c"out", Resolve::IN_ROOT, Err(libc::ENOENT));
        check(c"../secret", Resolve::empty(), Ok(()));
        check(c"../secret", Resolve::BENEATH, Err(libc::EXDEV));
        check(c"../page", Resolve::IN_ROOT, Ok(()));
        check(c"none", Resolve::BENEATH, Err(libc::ENOENT));
        check(c"/proc/self/exe", Resolve::NO_MAGICLINKS, Err(libc::ELOOP));
        check(c"/proc/self/exe", Resolve::NO_XDEV, Err(libc::EXDEV));
    }

    #[test]
    fn openat2_takes_every_combination_that_we_use() {
        if !probes().openat2 {
            eprintln!("skipped: no openat2 here");
            return;
        }
        let check = |flags| {
            let opened = openat2(CWD, c"/", flags, Resolve::NO_MAGICLINKS);
            assert!(opened.is_ok(), "{flags:?}: {opened:?}");
        };
        check(OpenFlags::READ);
        check(OpenFlags::READ | OpenFlags::NONBLOCK | OpenFlags::DIRECTORY);
        check(OpenFlags::PATH);
        check(OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW);
    }

    #[test]
    fn a_cached_open_succeeds_or_says_that_it_would_block() {
        if !probes().resolve_cached {
            eprintln!("skipped: no RESOLVE_CACHED here");
            return;
        }
        let site = Site::new();
        openat(site.root.as_fd(), c"page", OpenFlags::READ).unwrap();
        // The name was just used, yet the kernel is free to have forgotten it.
        match openat2(site.root.as_fd(), c"page", OpenFlags::READ, Resolve::CACHED) {
            Ok(page) => assert_eq!(fstat(page.as_fd()).unwrap().size, 10),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    #[test]
    fn what_is_opened_is_close_on_exec() {
        let site = Site::new();
        let mut opened = vec![openat(CWD, c"/", OpenFlags::PATH).unwrap()];
        opened.extend(openat2(site.root.as_fd(), c"page", OpenFlags::READ, Resolve::empty()).ok());
        for fd in opened {
            let flags = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
            assert_ne!(flags & libc::FD_CLOEXEC, 0);
        }
    }

    #[test]
    fn stat_tells_kinds_and_follows_links_only_when_told() {
        let site = Site::new();
        let kind = |path, follow| fstatat(site.root.as_fd(), path, follow).unwrap().kind;
        assert_eq!(kind(c"page", false), Kind::File);
        assert_eq!(kind(c"link", false), Kind::Symlink);
        assert_eq!(kind(c"link", true), Kind::File);
        assert_eq!(kind(c".", true), Kind::Dir);
        assert_eq!(fstatat(CWD, c"/dev/null", true).unwrap().kind, Kind::Other);
        let missing = fstatat(site.root.as_fd(), c"none", true).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn stat_agrees_with_std() {
        let site = Site::new();
        let page = openat(site.root.as_fd(), c"page", OpenFlags::READ).unwrap();
        let ours = fstat(page.as_fd()).unwrap();
        let theirs = fs::metadata(site.folder.path().join("root/page")).unwrap();
        assert_eq!((ours.size, ours.inode, ours.device), (10, theirs.ino(), theirs.dev()));
        assert_eq!((ours.links, ours.uid, ours.gid), (1, theirs.uid(), theirs.gid()));
        assert_eq!(ours.mode, theirs.mode() & 0o7777);
        assert_eq!(ours.modified.0, theirs.mtime());
        assert_eq!(i64::from(ours.modified.1), theirs.mtime_nsec());
        assert_eq!(ours.changed.0, theirs.ctime());
        assert_eq!(ours, fstatat(site.root.as_fd(), c"page", true).unwrap());
    }

    #[test]
    fn a_link_can_be_read_by_name_and_by_descriptor() {
        let site = Site::new();
        assert_eq!(readlinkat(site.root.as_fd(), c"link").unwrap().as_c_str(), c"page");
        let flags = OpenFlags::PATH | OpenFlags::NOFOLLOW;
        let link = openat(site.root.as_fd(), c"link", flags).unwrap();
        assert_eq!(fstat(link.as_fd()).unwrap().kind, Kind::Symlink);
        assert_eq!(readlinkat(link.as_fd(), c"").unwrap().as_c_str(), c"page");
        let plain = readlinkat(site.root.as_fd(), c"page").unwrap_err();
        assert_eq!(plain.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn reading_at_a_place_stops_at_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        readahead(file.as_fd(), 0, 10).unwrap();
        let mut buffer = [0; 4];
        let check = |result: io::Result<usize>, buffer: &[u8], expected: &[u8]| {
            let count = result.unwrap();
            assert_eq!(&buffer[..count], expected);
        };
        let read = pread(file.as_fd(), &mut buffer, 2);
        check(read, &buffer, b"2345");
        let read = pread(file.as_fd(), &mut buffer, 8);
        check(read, &buffer, b"89");
        let read = pread(file.as_fd(), &mut buffer, 10);
        check(read, &buffer, b"");
        assert_eq!(
            pread(file.as_fd(), &mut buffer, u64::MAX).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }

    #[test]
    fn reading_without_waiting_gives_bytes_or_says_why_not() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut buffer = [0; 4];
        match preadv2_nowait(file.as_fd(), &mut buffer, 6) {
            Ok(count) => assert_eq!(&buffer[..count], b"6789"),
            Err(error) => {
                assert!(error.kind() == ErrorKind::WouldBlock || !supported(&error), "{error}");
            }
        }
    }

    #[test]
    fn file_systems_are_told_apart() {
        let check = |path, expected| {
            let Ok(place) = openat(CWD, path, OpenFlags::READ) else { return };
            assert_eq!(fs_kind(place.as_fd()).unwrap(), expected, "{path:?}");
        };
        check(c"/proc/self", FsKind::Other);
        if fs::read_to_string("/proc/mounts").unwrap().contains(" /dev/shm tmpfs ") {
            check(c"/dev/shm", FsKind::Tmpfs);
        }
    }

    #[test]
    fn a_file_is_no_terminal_and_can_be_given_to_its_own_owner() {
        let file = tempfile::tempfile().unwrap();
        assert!(!isatty(file.as_fd()));
        let stat = fstat(file.as_fd()).unwrap();
        fchown(file.as_fd(), stat.uid, stat.gid).unwrap();
    }

    /// A folder `root` with a page, a link to it, a link out of it, and a secret beside it.
    struct Site {
        folder: tempfile::TempDir,
        root: OwnedFd,
    }

    impl Site {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("root");
            fs::create_dir(&root).unwrap();
            fs::write(root.join("page"), "0123456789").unwrap();
            fs::write(folder.path().join("secret"), "secret").unwrap();
            symlink("page", root.join("link")).unwrap();
            symlink(folder.path().join("secret"), root.join("out")).unwrap();
            let root = openat(CWD, &c_path(&root), OpenFlags::DIRECTORY).unwrap();
            Site { folder, root }
        }
    }

    fn c_path(path: &Path) -> CString {
        CString::new(path.as_os_str().as_bytes()).unwrap()
    }
}
