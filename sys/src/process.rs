//! # process: birth, death, rights and limits
//!
//! ```text
//!   fork ──▶ Parent(pid) … signal(pid, TERM) … reap() ──▶ Reaped { pid, Exited(0) }
//!        └─▶ Child: drop_privileges, set_process_name, serve, exit
//! ```
//!
//! - A [`Pid`] that is signalled is always one process: 0 and negative numbers, which mean groups,
//!   are refused.
//! - [`drop_privileges`] proves that the way back is closed before it returns.

use std::ffi::{CString, OsString};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Group, Uid, User};

use crate::file::{CWD, OpenFlags, openat};
use crate::outcome::{check, invalid};
use crate::signals::Signal;

/// A process's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(i32);

impl Pid {
    /// The process with this number; it need not exist.
    pub const fn from_raw(pid: i32) -> Self {
        Pid(pid)
    }

    /// The number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// This process. getpid(2).
    pub fn this() -> Self {
        Pid(nix::unistd::getpid().as_raw())
    }

    /// The process that started this one, or took it over. getppid(2).
    pub fn parent() -> Self {
        Pid(nix::unistd::getppid().as_raw())
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of the two we are after [`fork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old process, and the new one's number.
    Parent(Pid),
}

/// Doubles this process. fork(2).
///
/// The child has one thread, copies of all memory, and the same open files: positions, locks made
/// by flock, epolls and signalfds are *shared* with the parent, not copied. Pending signals, fcntl
/// locks and timers are not inherited; the signal mask is.
///
/// # Safety
/// If the process has one thread, there is nothing more to promise. If it has others, they do not
/// exist in the child, but what they held locked stays locked for ever: until exec or `_exit` the
/// child may then only call async-signal-safe functions (signal-safety(7)). It must not allocate,
/// print, log, panic, read the environment, or take any lock.
///
/// # Errors
/// `EAGAIN`: too many processes, for this user, cgroup or machine. `ENOMEM`.
pub unsafe fn fork() -> io::Result<Fork> {
    // SAFETY: our caller keeps the promise above.
    let pid = check(unsafe { libc::fork() })?;
    Ok(if pid == 0 { Fork::Child } else { Fork::Parent(Pid(pid)) })
}

/// Ends this process at once: no destructors, no flushing. What a forked child of a process with
/// threads does instead of returning. _exit(2).
pub fn exit_immediately(status: i32) -> ! {
    // SAFETY: takes no pointer, and never returns.
    unsafe { libc::_exit(status) }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal. A number rather than a [`Signal`]: real-time signals kill too, and have no
    /// name.
    Killed {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel wrote a core file.
        core: bool,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            End::Exited(status) => write!(f, "exit status {status}"),
            End::Killed { signal, core } => {
                match Signal::try_from(signal) {
                    Ok(name) => write!(f, "{name}")?,
                    Err(_) => write!(f, "signal {signal}")?,
                }
                f.write_str(if core { ", core dumped" } else { "" })
            }
        }
    }
}

/// A child that has ended, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reaped {
    /// Whose end it was. The kernel may give the number to somebody else from now on.
    pub pid: Pid,
    /// How it ended.
    pub end: End,
}

/// Takes note of one child that has ended; `None` if there is none left, or no child at all. Call
/// it until it says `None`: one SIGCHLD may stand for several ends. waitpid(2) with `WNOHANG`.
///
/// # Errors
/// None that is known.
pub fn reap() -> io::Result<Option<Reaped>> {
    match waitpid(-1, libc::WNOHANG) {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        result => result,
    }
}

/// Waits for one child to end. waitpid(2).
///
/// # Errors
/// `ECHILD`: not a child of ours, or reaped before. `Interrupted`: a signal came.
pub fn wait_for(pid: Pid) -> io::Result<Reaped> {
    let pid = positive(pid)?;
    waitpid(pid, 0)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

fn waitpid(pid: i32, flags: i32) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: `status` lives on our stack.
    let pid = check(unsafe { libc::waitpid(pid, &raw mut status, flags) })?;
    if pid == 0 {
        return Ok(None);
    }
    // Without WUNTRACED and WCONTINUED only ends are reported.
    let end = if libc::WIFSIGNALED(status) {
        End::Killed { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    };
    Ok(Some(Reaped { pid: Pid(pid), end }))
}

/// Sends a signal to one process. kill(2).
///
/// # Errors
/// `ESRCH`: there is no such process. `PermissionDenied`: it is not ours. `InvalidInput`: not a
/// process but a group.
pub fn signal(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: the call takes no pointer.
    check(unsafe { libc::kill(positive(pid)?, signal as libc::c_int) })?;
    Ok(())
}

/// Whether a process with this number exists, ours or not. kill(2) with signal 0.
pub fn exists(pid: Pid) -> bool {
    let Ok(pid) = positive(pid) else { return false };
    // SAFETY: the call takes no pointer, and signal 0 is never delivered.
    let result = check(unsafe { libc::kill(pid, 0) });
    !matches!(result, Err(error) if error.raw_os_error() == Some(libc::ESRCH))
}

fn positive(pid: Pid) -> io::Result<i32> {
    if pid.0 > 0 { Ok(pid.0) } else { Err(invalid("a process number is positive")) }
}

/// Starts a program with the same standard streams and working directory, that also inherits these
/// descriptors under the numbers that they have here, and a variable beside our environment. The
/// first of the arguments is the name that it sees of itself. Its signals are unblocked. fcntl(2),
/// and what std does: fork(2) and execve(2), or posix_spawn(3).
///
/// For the length of the call the descriptors are not close-on-exec: the process must have one
/// thread, or another program that is started meanwhile inherits them, too.
///
/// # Errors
/// As execve(2): `NotFound`, `PermissionDenied`. Those of fork(2).
pub fn spawn_with_descriptors(
    program: &Path,
    arguments: &[OsString],
    variable: (&str, &str),
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<Pid> {
    let set_all = |flags| {
        descriptors.iter().try_for_each(|fd| fcntl(fd, FcntlArg::F_SETFD(flags)).map(|_| ()))
    };
    let mut command = std::process::Command::new(program);
    let (name, arguments) =
        arguments.split_first().ok_or_else(|| invalid("a program has a name"))?;
    command.arg0(name).args(arguments).env(variable.0, variable.1);
    set_all(FdFlag::empty())?;
    let spawned = command.spawn();
    set_all(FdFlag::FD_CLOEXEC)?;
    // Dropping std's handle neither waits nor kills: whoever reaps children reaps this one.
    Ok(Pid(spawned?.id().cast_signed()))
}

/// Takes over a descriptor that whoever started this program has left to it. Every descriptor of
/// ours is close-on-exec from birth, so one that is not came from outside, belongs to nobody yet,
/// and becomes close-on-exec now: a second call for the same number fails. fcntl(2).
///
/// # Errors
/// `InvalidInput`: it is one of the standard streams, or somebody's already. `EBADF`: it is not
/// open.
pub fn adopt_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(invalid("the standard streams belong to everybody"));
    }
    // SAFETY: only used to ask and set its flags, which fails for a number that is not open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    if FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD)?).contains(FdFlag::FD_CLOEXEC) {
        return Err(invalid("this descriptor belongs to somebody"));
    }
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: open, and by the promise of this crate nobody's: whoever calls again finds it
    // close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Reads a variable of the environment and removes it, so that no program that we start takes it
/// for its own.
///
/// # Errors
/// `InvalidInput`: the process has more than one thread, of which another may just be reading the
/// environment.
pub fn take_variable(name: &str) -> io::Result<Option<OsString>> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    if !has_one_thread()? {
        return Err(invalid("only a process with one thread can change its environment"));
    }
    // SAFETY: there is no other thread that could read or change the environment meanwhile.
    unsafe { std::env::remove_var(name) };
    Ok(Some(value))
}

fn has_one_thread() -> io::Result<bool> {
    Ok(std::fs::read_dir("/proc/self/task")?.count() == 1)
}

/// How many descriptors this process may have open now (the soft limit). getrlimit(2).
///
/// # Errors
/// None that is known.
pub fn descriptor_limit() -> io::Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}

/// Allows this process and its children `want` descriptors, or as many as we are allowed to allow,
/// and says how many it is now. Never lowers: the soft limit rises up to the hard one, and the hard
/// one too if we are privileged. setrlimit(2).
///
/// # Errors
/// None that is known: being refused more is an answer, not an error.
pub fn raise_descriptor_limit(want: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if want <= soft {
        return Ok(soft);
    }
    if want > hard && setrlimit(Resource::RLIMIT_NOFILE, want, want).is_ok() {
        return Ok(want);
    }
    let reachable = want.min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, reachable, hard)?;
    Ok(reachable)
}

/// Who to be after giving up root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user, as `User` says.
    pub uid: u32,
    /// The group, as `Group` says; not necessarily the user's own.
    pub gid: u32,
    /// The user's name, by which the supplementary groups are found. Without one there are none.
    pub name: Option<String>,
}

impl Credentials {
    /// This user with this group.
    pub fn new(user: FoundUser, gid: u32) -> Self {
        Credentials { uid: user.uid, gid, name: user.name }
    }
}

/// A line of the user database, or a bare number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUser {
    /// The user's number.
    pub uid: u32,
    /// The user's own group; of a number without a line in the database, there is none.
    pub gid: Option<u32>,
    /// The user's name; likewise.
    pub name: Option<String>,
}

/// Finds a user by name or `#number`. A number need not be in the database. getpwnam_r(3),
/// getpwuid_r(3).
///
/// # Errors
/// `NotFound`: there is no user of that name. `InvalidInput`: no number after `#`.
pub fn lookup_user(user: &str) -> io::Result<FoundUser> {
    let found = match user.strip_prefix('#') {
        Some(digits) => {
            let uid = number(digits)?;
            match User::from_uid(Uid::from_raw(uid))? {
                Some(found) => found,
                None => return Ok(FoundUser { uid, gid: None, name: None }),
            }
        }
        None => User::from_name(user)?.ok_or(io::ErrorKind::NotFound)?,
    };
    Ok(FoundUser { uid: found.uid.as_raw(), gid: Some(found.gid.as_raw()), name: Some(found.name) })
}

/// Finds a group's number by name or `#number`; a number is taken as it is. getgrnam_r(3).
///
/// # Errors
/// As [`lookup_user`].
pub fn lookup_group(group: &str) -> io::Result<u32> {
    match group.strip_prefix('#') {
        Some(digits) => number(digits),
        None => Ok(Group::from_name(group)?.ok_or(io::ErrorKind::NotFound)?.gid.as_raw()),
    }
}

/// -1 is not a user: to the kernel it means "leave as it is".
fn number(digits: &str) -> io::Result<u32> {
    match digits.parse() {
        Ok(number) if number != u32::MAX => Ok(number),
        _ => Err(invalid("a number must follow #")),
    }
}

/// Whether this process has root's rights now. geteuid(2).
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes `who`, for good. The order is the whole point: group and supplementary groups first,
/// while we are still allowed to, the user last. Then it tries to become root again and fails
/// unless that fails. setgid(2), initgroups(3) or setgroups(2), setuid(2), getresuid(2),
/// getresgid(2).
///
/// The kernel clears the dumpable flag on the way; see [`set_dumpable`].
///
/// # Errors
/// `PermissionDenied`: we are not root, or a way back is left; then the process must not serve.
pub fn drop_privileges(who: &Credentials) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(who.uid), Gid::from_raw(who.gid));
    nix::unistd::setgid(gid)?;
    match &who.name {
        Some(name) => {
            let name = CString::new(name.as_str()).map_err(|_| invalid("a name has no NUL"))?;
            nix::unistd::initgroups(&name, gid)?;
        }
        None => nix::unistd::setgroups(&[gid])?,
    }
    nix::unistd::setuid(uid)?;
    if is_dropped(uid, gid)? { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Real, effective and saved numbers must all be the new ones, and root must be out of reach.
fn is_dropped(uid: Uid, gid: Gid) -> io::Result<bool> {
    let users = nix::unistd::getresuid()?;
    let groups = nix::unistd::getresgid()?;
    let root = Uid::from_raw(0);
    Ok([users.real, users.effective, users.saved].iter().all(|it| *it == uid)
        && [groups.real, groups.effective, groups.saved].iter().all(|it| *it == gid)
        && (uid == root || nix::unistd::setuid(root).is_err()))
}

/// Allows core files, and reading our /proc entries, again after [`drop_privileges`]. Apache does
/// so if `CoreDumpDirectory` is set, and only then. prctl(2), `PR_SET_DUMPABLE`.
///
/// # Errors
/// None that is known.
pub fn set_dumpable(dumpable: bool) -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(dumpable)?)
}

/// Names the calling thread, as `ps -L` and `top -H` show it; of the first thread, as `ps` shows
/// the process. What is beyond 15 bytes is cut off. prctl(2), `PR_SET_NAME`.
///
/// # Errors
/// `InvalidInput`: a NUL in the name.
pub fn set_process_name(name: &str) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| invalid("a name has no NUL"))?;
    Ok(nix::sys::prctl::set_name(&name)?)
}

/// Asks the kernel to send this process `signal` when the *thread* that forked it ends. A second
/// road beside the pipe whose end means the same, for a parent that was killed. prctl(2),
/// `PR_SET_PDEATHSIG`.
///
/// # Errors
/// None that is known.
pub fn signal_on_parent_death(signal: Signal) -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(signal)?)
}

/// Leaves the terminal and goes on in the background, as a daemon that a shell has started.
///
/// ```text
///   shell ── first process ──fork──▶ second process: setsid, /dev/null as input
///                 │ waits at a pipe         │ goes on starting; errors still reach the terminal
///                 │◀───── one byte ───── Detached::ready: output and errors to /dev/null
///            exits with 0                   │ serves
///                 │◀───── end of pipe ── dies, or drops `Detached` before it was ready
///            exits with the second's status, or 1
/// ```
///
/// So `$?` tells the shell whether the server *serves*, not whether it was forked. Returns in the
/// second process only. The working directory stays as it is. fork(2), setsid(2), dup2(2).
///
/// # Errors
/// `InvalidInput`: the process has more than one thread, which must not fork. Those of fork and
/// pipe.
pub fn detach() -> io::Result<Detached> {
    if !has_one_thread()? {
        return Err(invalid("only a process with one thread can detach"));
    }
    let (news, announcer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let null = openat(CWD, c"/dev/null", OpenFlags::READ_WRITE)?;
    io::stdout().flush()?; // Else both processes would print what is buffered.
    // SAFETY: we have one thread, as counted above, and nobody can start another meanwhile but we.
    match unsafe { fork() }? {
        Fork::Parent(second) => {
            drop(announcer);
            exit_with_news_of(second, news)
        }
        Fork::Child => {
            drop(news);
            nix::unistd::setsid()?;
            nix::unistd::dup2_stdin(&null)?;
            Ok(Detached { announcer, null })
        }
    }
}

#[expect(clippy::exit, reason = "the first process has nothing left to do but to tell the shell")]
fn exit_with_news_of(second: Pid, news: OwnedFd) -> ! {
    let mut byte = [0];
    let ready = std::fs::File::from(news).read_exact(&mut byte).is_ok();
    if ready {
        std::process::exit(0);
    }
    // The pipe ended, so the second process has ended, or is about to: that is what dropping its
    // `Detached` means.
    let end = wait_for(second).map(|reaped| reaped.end);
    std::process::exit(match end {
        Ok(End::Exited(status)) if status != 0 => status,
        _ => 1,
    })
}

/// The background process's promise to say that it serves. Dropped without [`Detached::ready`], it
/// says the opposite: then end the process.
#[derive(Debug)]
pub struct Detached {
    announcer: OwnedFd,
    null: OwnedFd,
}

impl Detached {
    /// Lets go of the terminal: output and errors go to /dev/null from here, so logs must be open by now. To be
    /// called before children are forked, who would hold on to it, and keep whoever reads our output waiting.
    ///
    /// # Errors
    /// Those of dup2(2).
    pub fn release_terminal(&self) -> io::Result<()> {
        io::stdout().flush()?;
        nix::unistd::dup2_stdout(&self.null)?;
        nix::unistd::dup2_stderr(&self.null)?;
        Ok(())
    }

    /// Lets the first process exit with 0; and lets go of the terminal, if that was not done before.
    ///
    /// # Errors
    /// Those of dup2(2) and write(2).
    pub fn ready(self) -> io::Result<()> {
        self.release_terminal()?;
        // Nobody listening is no reason to stop serving: the first process may have been killed.
        match nix::unistd::write(self.announcer.as_fd(), &[1]) {
            Ok(_) | Err(nix::errno::Errno::EPIPE) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

// What needs a process of its own is in tests/fork.rs, tests/reap.rs and tests/alone.rs.
#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_single_processes_are_signalled() {
        for group in [0, -1, i32::MIN] {
            let error = signal(Pid::from_raw(group), Signal::SIGTERM).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!exists(Pid::from_raw(group)));
        }
        assert!(exists(Pid::this()) && exists(Pid::parent()));
        // Linux numbers processes below 2^22.
        let nobody = Pid::from_raw(i32::MAX);
        assert!(!exists(nobody));
        assert_eq!(signal(nobody, Signal::SIGTERM).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn ends_print_as_people_say_them() {
        let check = |end: End, expected| assert_eq!(end.to_string(), expected);
        check(End::Exited(3), "exit status 3");
        check(End::Killed { signal: libc::SIGSEGV, core: true }, "SIGSEGV, core dumped");
        check(End::Killed { signal: libc::SIGKILL, core: false }, "SIGKILL");
        check(End::Killed { signal: 40, core: false }, "signal 40");
        assert_eq!(Pid::from_raw(17).to_string(), "17");
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_by_number() {
        let root = FoundUser { uid: 0, gid: Some(0), name: Some("root".to_owned()) };
        assert_eq!(lookup_user("root").unwrap(), root);
        assert_eq!(lookup_user("#0").unwrap(), root);
        assert_eq!(lookup_group("root").unwrap(), 0);
        assert_eq!(lookup_group("#4242424").unwrap(), 4_242_424);
        let unlisted = lookup_user("#4242424").unwrap();
        assert_eq!(unlisted, FoundUser { uid: 4_242_424, gid: None, name: None });
        assert_eq!(
            Credentials::new(unlisted, 7),
            Credentials { uid: 4_242_424, gid: 7, name: None }
        );
    }

    #[test]
    fn users_and_groups_that_cannot_be_are_errors() {
        let check = |name: &str, expected| {
            assert_eq!(lookup_user(name).unwrap_err().kind(), expected, "{name}");
            assert_eq!(lookup_group(name).unwrap_err().kind(), expected, "{name}");
        };
        check("no-such-name-here", ErrorKind::NotFound);
        check("", ErrorKind::NotFound);
        check("#", ErrorKind::InvalidInput);
        check("#-1", ErrorKind::InvalidInput);
        check("#4294967295", ErrorKind::InvalidInput);
        check("#12x", ErrorKind::InvalidInput);
    }

    #[test]
    fn the_descriptor_limit_never_shrinks() {
        let before = descriptor_limit().unwrap();
        assert_eq!(raise_descriptor_limit(1).unwrap(), before);
        assert_eq!(descriptor_limit().unwrap(), before);
    }

    #[test]
    fn a_program_inherits_what_it_is_given_and_nothing_else() {
        let (reader, writer) = crate::pipe::pipe().unwrap();
        let (_other, kept) = crate::pipe::pipe().unwrap();
        let script = format!(
            // A shell's own redirections reach only the first ten descriptors.
            "printf \"$GIVEN\" >/proc/self/fd/{}; test -e /proc/self/fd/{} || echo >/proc/self/fd/{}",
            writer.as_raw_fd(),
            kept.as_raw_fd(),
            writer.as_raw_fd()
        );
        let arguments = ["sh".into(), "-c".into(), OsString::from(script)];
        let given = ("GIVEN", "a word");
        let pid =
            spawn_with_descriptors(Path::new("/bin/sh"), &arguments, given, &[writer.as_fd()])
                .unwrap();
        assert_eq!(wait_for(pid).unwrap().end, End::Exited(0));
        let flags = FdFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
        drop(writer);
        let mut said = String::new();
        std::fs::File::from(reader).read_to_string(&mut said).unwrap();
        assert_eq!(said, "a word\n");
        let nothing = spawn_with_descriptors(Path::new("/no/such"), &arguments, given, &[]);
        let nothing = nothing.unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn only_what_came_from_outside_is_adopted() {
        let ours = std::fs::File::open("/dev/null").unwrap();
        for number in [0, 2, ours.as_raw_fd(), i32::MAX] {
            assert!(adopt_descriptor(number).is_err(), "{number}");
        }
        fcntl(&ours, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(ours);
        let adopted = adopt_descriptor(number).unwrap();
        assert_eq!(adopted.as_raw_fd(), number);
        assert!(adopt_descriptor(number).is_err());
    }

    #[test]
    fn a_name_is_cut_to_what_the_kernel_keeps() {
        set_process_name("herdgate: a long name").unwrap();
        let name = nix::sys::prctl::get_name().unwrap();
        assert_eq!(name.to_str().unwrap(), "herdgate: a lon");
        assert_eq!(set_process_name("a\0b").unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_process_with_threads_does_not_detach() {
        std::thread::scope(|scope| {
            let (done, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            assert_eq!(detach().unwrap_err().kind(), ErrorKind::InvalidInput);
            drop(done);
        });
    }
}
