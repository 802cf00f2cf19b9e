//! Limits hold for one thread and its own, so a test needs no process of its own to live within them.

#![expect(clippy::disallowed_methods, reason = "tests' own listeners, not those of a server")]

use super::*;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use libc::c_long;

use crate::file::{self, CWD, OpenFlags, Resolve};

const AUTO: Bounds = Bounds { read: None, write: Vec::new(), peers: Peers::Nobody };

/// Runs on a thread of its own what must live within `bounds`. Where this kernel lacks a half, it says so, and the tests
/// of that half pass over.
fn within<T: Send>(bounds: &Bounds, tries: impl FnOnce(Offer) -> T + Send) -> T {
    let offer = offer();
    thread::scope(|scope| {
        let bounded = scope.spawn(|| {
            gain_no_privileges().unwrap();
            match offer.landlock {
                Some(_) => limit_files(bounds).unwrap(),
                None => eprintln!("skipped: this kernel has no Landlock"),
            }
            match offer.seccomp {
                true => limit_calls(bounds.peers).unwrap(),
                false => eprintln!("skipped: this kernel has no seccomp filters"),
            }
            tries(offer)
        });
        bounded.join().unwrap()
    })
}

/// The error of a call that must fail.
fn errno(number: c_long, arguments: [c_long; 6]) -> i32 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: those below pass numbers, null, or addresses of C strings that outlive the call.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == 0 && [libc::SYS_clone, FORK].contains(&number) {
        // SAFETY: ends the copy that should never have come to be.
        unsafe { libc::_exit(1) };
    }
    assert_eq!(result, -1, "call {number} with {arguments:?} has succeeded");
    io::Error::last_os_error().raw_os_error().unwrap()
}

#[cfg(target_arch = "x86_64")]
const FORK: c_long = libc::SYS_fork;
#[cfg(target_arch = "aarch64")]
const FORK: c_long = libc::SYS_clone;

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

#[test]
fn every_listed_call_is_refused() {
    within(&AUTO, |offer| {
        if !offer.seccomp {
            return;
        }
        // The first shows that the filter is there: some of the others would do harm without.
        assert_eq!(errno(libc::SYS_execve, [0; 6]), libc::EPERM);
        for number in calls::always_refused() {
            assert_eq!(errno(number, [0; 6]), libc::EPERM, "call {number}");
        }
        // One of tomorrow; one that hides its flags; x32's look at other processes; an old way to fork.
        for number in [463, 1000, libc::SYS_clone3, 0x4000_0000 + 521] {
            assert_eq!(errno(number, [0; 6]), libc::ENOSYS, "call {number}");
        }
        assert_eq!(errno(FORK, [0; 6]), libc::EPERM);
    });
}

#[test]
fn calls_are_refused_by_their_arguments() {
    let executable = c_long::from(libc::PROT_READ | libc::PROT_EXEC);
    let anonymous = c_long::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let new_user = c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    let fast = c_long::from(libc::MSG_FASTOPEN);
    let log = tempfile::tempfile().unwrap();
    let log = c_long::from(log.as_raw_fd());
    within(&AUTO, |offer| {
        if !offer.seccomp {
            return;
        }
        for (number, arguments) in [
            (libc::SYS_clone, [new_user, 0, 0, 0, 0, 0]),
            (libc::SYS_kill, [1, 0, 0, 0, 0, 0]),
            (libc::SYS_kill, [-1, 0, 0, 0, 0, 0]),
            (libc::SYS_tgkill, [1, 1, 0, 0, 0, 0]),
            (libc::SYS_prlimit64, [1, libc::RLIMIT_NOFILE.into(), 0, 0, 0, 0]),
            (libc::SYS_mmap, [0, 4096, executable, anonymous, -1, 0]),
            (libc::SYS_mprotect, [0, 4096, executable, 0, 0, 0]),
            (libc::SYS_fcntl, [log, libc::F_SETFL.into(), 0, 0, 0, 0]),
            (libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0]),
            (libc::SYS_sendto, [-1, 0, 0, 0, 1, 16]),
            (libc::SYS_sendto, [-1, 0, 0, fast, 0, 0]),
            (libc::SYS_sendmsg, [-1, 0, fast, 0, 0, 0]),
        ] {
            assert_eq!(errno(number, arguments), libc::EPERM, "call {number} {arguments:?}");
        }
    });
}

#[test]
fn nothing_can_be_changed_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let [kept, made] = ["kept", "made"].map(|name| folder.path().join(name));
    fs::write(&kept, "as it was").unwrap();
    within(&AUTO, |offer| {
        if offer.landlock.is_none() {
            return;
        }
        let denied = libc::EACCES;
        assert_eq!(kind(OpenOptions::new().write(true).open(&kept)), denied);
        assert_eq!(kind(OpenOptions::new().append(true).open(&kept)), denied);
        assert_eq!(
            kind(OpenOptions::new().write(true).create(true).truncate(true).open(&made)),
            denied
        );
        // The server's own way to open, too.
        let by_openat2 =
            file::openat2(CWD, &c_string(&kept), OpenFlags::READ_WRITE, Resolve::empty());
        assert_eq!(kind(by_openat2), denied);
        let refused = [denied, libc::EPERM]; // By whichever comes first.
        for result in [
            fs::rename(&kept, &made),
            fs::remove_file(&kept),
            fs::create_dir(&made),
            fs::hard_link(&kept, &made),
            std::os::unix::fs::symlink(&kept, &made),
            fs::set_permissions(&kept, fs::Permissions::from_mode(0o777)),
        ] {
            assert!(refused.contains(&kind(result)));
        }
    });
    assert_eq!(fs::read_to_string(&kept).unwrap(), "as it was");
    assert!(!made.exists());
}

#[test]
fn files_are_made_where_that_is_allowed() {
    let [folder, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let bounds = Bounds { write: vec![folder.path().to_owned()], ..AUTO };
    within(&bounds, |offer| {
        fs::write(folder.path().join("core"), "dumped").unwrap();
        let outside = fs::write(elsewhere.path().join("core"), "dumped");
        assert!(offer.landlock.is_none() || kind(outside) == libc::EACCES);
    });
}

#[test]
fn nothing_can_be_executed() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    fs::write(&program, "not a program that any kernel knows").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = c_string(&program);
    let execute = || {
        let nothing: [*const libc::c_char; 1] = [ptr::null()];
        errno(
            libc::SYS_execve,
            [
                path.as_ptr() as c_long,
                nothing.as_ptr() as c_long,
                nothing.as_ptr() as c_long,
                0,
                0,
                0,
            ],
        )
    };
    assert_eq!(execute(), libc::ENOEXEC, "without limits it would be tried");
    // By Landlock alone, too.
    let by_landlock = thread::scope(|scope| {
        let tries = scope
            .spawn(|| offer().landlock.map(|_| limit_files(&AUTO).map(|()| execute()).unwrap()));
        tries.join().unwrap()
    });
    assert!(by_landlock.is_none_or(|error| error == libc::EACCES), "{by_landlock:?}");
    let by_both = within(&AUTO, |offer| offer.seccomp.then(execute));
    assert!(by_both.is_none_or(|error| error == libc::EPERM), "{by_both:?}");
}

#[test]
fn reading_is_limited_only_if_asked_for() {
    let [inside, outside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for folder in [&inside, &outside] {
        fs::write(folder.path().join("page"), "hello").unwrap();
    }
    std::os::unix::fs::symlink(outside.path().join("page"), inside.path().join("link")).unwrap();
    let alone = outside.path().join("alone");
    fs::write(&alone, "hello").unwrap();
    let missing = PathBuf::from("/does/not/exist");
    let bounds =
        Bounds { read: Some(vec![inside.path().to_owned(), alone.clone(), missing]), ..AUTO };
    within(&bounds, |offer| {
        assert_eq!(fs::read_to_string(inside.path().join("page")).unwrap(), "hello");
        assert_eq!(fs::read_dir(inside.path()).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(&alone).unwrap(), "hello");
        if offer.landlock.is_none() {
            return;
        }
        assert_eq!(kind(fs::read(inside.path().join("link"))), libc::EACCES, "a link leads out");
        assert_eq!(kind(fs::read(outside.path().join("page"))), libc::EACCES);
        assert_eq!(kind(fs::read_dir(outside.path())), libc::EACCES);
    });
    within(&AUTO, |_| assert_eq!(fs::read(inside.path().join("link")).unwrap(), b"hello"));
}

#[test]
fn nobody_can_be_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    within(&AUTO, |offer| {
        if !offer.seccomp {
            return;
        }
        assert_eq!(kind(TcpStream::connect(address)), libc::EPERM);
        assert_eq!(kind(TcpListener::bind("127.0.0.1:0")), libc::EPERM);
        assert_eq!(kind(UdpSocket::bind("127.0.0.1:0")), libc::EPERM);
        assert_eq!(kind(UnixDatagram::unbound()), libc::EPERM);
        assert_eq!(kind(UnixStream::connect("/nowhere")), libc::EPERM);
        assert_eq!(kind(UnixStream::pair()), libc::EPERM);
    });
}

#[test]
fn services_that_know_names_are_reached_by_unix_sockets_only() {
    let folder = tempfile::tempdir().unwrap();
    let service = folder.path().join("socket");
    let _service = UnixListener::bind(&service).unwrap();
    let bounds = Bounds { peers: Peers::Names, ..AUTO };
    within(&bounds, |offer| {
        UnixStream::connect(&service).unwrap();
        if offer.seccomp {
            assert_eq!(kind(TcpStream::connect("127.0.0.1:53")), libc::EPERM);
            assert_eq!(kind(UnixDatagram::unbound()), libc::EPERM);
        }
    });
}

#[test]
fn a_resolver_is_reached_and_no_other_service() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let resolver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bounds = Bounds { peers: Peers::Resolver, ..AUTO };
    within(&bounds, |offer| {
        let question = UdpSocket::bind("127.0.0.1:0").unwrap();
        question.send_to(b"who?", resolver.local_addr().unwrap()).unwrap();
        assert!(("localhost", 0).to_socket_addrs().unwrap().next().is_some());
        if offer.landlock.is_some_and(|version| version >= 4) {
            assert_eq!(kind(TcpStream::connect(address)), libc::EACCES);
            // Nobody may be there, but it may be asked.
            assert!(
                TcpStream::connect("127.0.0.1:53").map_or_else(
                    |error| error.kind() == io::ErrorKind::ConnectionRefused,
                    |_| true
                )
            );
        }
    });
    let mut question = [0; 4];
    resolver.recv(&mut question).unwrap();
    assert_eq!(&question, b"who?");
}

#[test]
fn serving_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut log = OpenOptions::new().append(true).create(true).open(&path).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let gate = crate::lock::FileLock::new(tempfile::tempfile().unwrap().into());
    within(&AUTO, |_| {
        // Its own threads, which signal each other.
        thread::scope(|scope| {
            scope.spawn(|| crate::process::set_process_name("worker")).join().unwrap()
        })
        .unwrap();
        crate::process::signal(crate::Pid::this(), crate::Signal::SIGWINCH).unwrap();
        gate.lock().unwrap();
        gate.unlock().unwrap();
        log.write_all(b"a line\n").unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let file = File::open(&path).unwrap();
        let sent = crate::net::sendfile(accepted.as_fd(), file.as_fd(), &mut 0, 7).unwrap();
        assert_eq!(sent, 7);
        accepted.write_all(b"bye").unwrap();
        crate::net::send(accepted.as_fd(), b"!", crate::net::More::No).unwrap();
        let _mapped = crate::MappedFile::map(file.as_fd(), 0, 7).unwrap();
        crate::EventFd::new().unwrap().signal().unwrap();
        crate::epoll::Epoll::new().unwrap();
        crate::net::let_go(listener.as_fd()).unwrap();
        assert!(fs::read_to_string("/proc/self/stat").is_ok());
    });
    let mut received = String::new();
    (&client).read_to_string(&mut received).unwrap();
    assert_eq!(received, "a line\nbye!");
}

#[test]
fn the_kernel_says_what_it_has() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(offer().seccomp, status.contains("\nSeccomp_filters:"));
    assert!(refused_calls(Peers::Nobody) > refused_calls(Peers::Resolver));
}
