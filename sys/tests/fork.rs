//! What one process leaves to another: the locks of the dead, and memory in common.
//!
//! The test harness has threads, so the children here touch nothing but system calls, locks in
//! shared memory and descriptors, and leave by `_exit`.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use herdgate_sys::lock::{FcntlLock, FileLock};
use herdgate_sys::mutex::{Locked, ProcessMutex};
use herdgate_sys::net::{More, read, send};
use herdgate_sys::pipe::pipe;
use herdgate_sys::poll::{Interest, PollEntry, poll};
use herdgate_sys::process::{self, End, Fork, Pid, Reaped};
use herdgate_sys::semaphore::{PosixSemaphore, SysvSemaphore};
use herdgate_sys::shared::SharedMapping;
use herdgate_sys::{EventFd, Signal};

const KILLED: End = End::Killed { signal: libc::SIGKILL, core: false };

#[test]
fn a_mutex_whose_holder_was_killed_goes_to_the_next() {
    let mutex = ProcessMutex::new().unwrap();
    let holder = Holder::start(|| matches!(mutex.lock(), Ok(Locked::Clean)));
    assert_eq!(mutex.try_lock().unwrap(), None);
    holder.kill();
    assert_eq!(mutex.lock().unwrap(), Locked::Recovered);
    mutex.unlock().unwrap();
    assert_eq!(mutex.lock().unwrap(), Locked::Clean);
    mutex.unlock().unwrap();
}

#[test]
fn a_mutex_excludes_processes() {
    const ROUNDS: u64 = 2_000;
    let mutex = ProcessMutex::new().unwrap();
    let memory = SharedMapping::anonymous(8).unwrap();
    let counter: &AtomicU64 = memory.get(0).unwrap();
    let count = || {
        (0..ROUNDS).all(|_| {
            let locked = mutex.lock().is_ok();
            // Two steps, which only the mutex makes one.
            let seen = counter.load(Ordering::Relaxed);
            counter.store(seen + 1, Ordering::Relaxed);
            locked && mutex.unlock().is_ok()
        })
    };
    let children = [fork_to(count), fork_to(count), fork_to(count)];
    for child in children {
        assert_eq!(process::wait_for(child).unwrap(), Reaped { pid: child, end: End::Exited(0) });
    }
    assert_eq!(counter.load(Ordering::Relaxed), 3 * ROUNDS);
}

#[test]
fn a_system_v_semaphore_takes_the_place_of_the_dead_back() {
    let semaphore = SysvSemaphore::new(1).unwrap();
    let holder = Holder::start(|| semaphore.wait().is_ok());
    let taken = semaphore.try_wait();
    holder.kill();
    let freed = semaphore.try_wait();
    semaphore.remove().unwrap();
    assert!(!taken.unwrap());
    assert!(freed.unwrap());
}

#[test]
fn a_posix_semaphore_needs_somebody_to_post_for_the_dead() {
    let semaphore = PosixSemaphore::new(1).unwrap();
    let holder = Holder::start(|| semaphore.wait().is_ok());
    holder.kill();
    assert!(!semaphore.try_wait().unwrap());
    semaphore.post().unwrap();
    assert!(semaphore.try_wait().unwrap());
}

#[test]
fn a_fcntl_lock_made_before_fork_serves_all_children() {
    let lock = FcntlLock::new(tempfile::tempfile().unwrap().into());
    let holder = Holder::start(|| lock.lock().is_ok());
    assert!(!lock.try_lock().unwrap());
    assert_eq!(lock.holder().unwrap(), Some(holder.pid));
    holder.kill();
    assert_eq!(lock.holder().unwrap(), None);
    assert!(lock.try_lock().unwrap());
    assert_eq!(lock.holder().unwrap(), None, "only others are told");
}

#[test]
fn a_file_lock_is_shared_by_fork_unless_opened_anew() {
    let lock = FileLock::new(tempfile::tempfile().unwrap().into());
    let anew = lock.reopen().unwrap();
    let holder = Holder::start(|| lock.lock().is_ok());
    assert!(lock.try_lock().unwrap(), "the child's lock is ours too");
    assert!(!anew.try_lock().unwrap());
    holder.kill();
    lock.unlock().unwrap();
    assert!(anew.try_lock().unwrap());
}

#[test]
fn a_bell_rings_in_another_process() {
    let bell = EventFd::new().unwrap();
    let child = fork_to(|| bell.signal().is_ok());
    assert_eq!(process::wait_for(child).unwrap().end, End::Exited(0));
    assert!(bell.drain().unwrap());
}

#[test]
fn a_child_is_signalled_and_gone_after_it_was_reaped() {
    let holder = Holder::start(|| true);
    let pid = holder.pid;
    assert!(process::exists(pid));
    holder.kill();
    assert_eq!(process::wait_for(pid).unwrap_err().raw_os_error(), Some(libc::ECHILD));
}

#[test]
fn a_child_killed_by_a_real_time_signal_is_reaped_too() {
    let child = fork_to(|| {
        // SAFETY: takes no pointer.
        unsafe { libc::raise(40) };
        false
    });
    let end = process::wait_for(child).unwrap().end;
    assert_eq!(end, End::Killed { signal: 40, core: false });
}

#[test]
fn a_pipe_ends_when_its_last_writer_dies() {
    let (reader, writer) = pipe().unwrap();
    let holder = Holder::start(|| writer.as_raw_fd() >= 0);
    drop(writer);
    let waiting = read(reader.as_fd(), &mut [0]).unwrap_err();
    assert_eq!(waiting.kind(), std::io::ErrorKind::WouldBlock);
    holder.kill();
    // Children of tests that run beside this one may have inherited the writer; they end as well.
    poll(&mut [PollEntry::new(reader.as_raw_fd(), Interest::READ)], None).unwrap();
    assert_eq!(read(reader.as_fd(), &mut [0]).unwrap(), 0);
}

/// A child that has done its part, said so, and waits to be killed.
struct Holder {
    pid: Pid,
}

impl Holder {
    /// Returns when the child has succeeded in `take`.
    fn start(take: impl FnOnce() -> bool) -> Self {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let pid = fork_to(|| {
            // Only the child's copy of `theirs` is left open after it, so that its death is our
            // EOF.
            let told = take() && send(theirs.as_fd(), b"x", More::No).is_ok();
            // SAFETY: takes no pointer.
            while told && unsafe { libc::pause() } == -1 {}
            false
        });
        drop(theirs);
        ours.read_exact(&mut [0]).expect("the child has taken what it should");
        Holder { pid }
    }

    fn kill(self) {
        process::signal(self.pid, Signal::SIGKILL).expect("the child waits");
        assert_eq!(process::wait_for(self.pid).expect("it is ours").end, KILLED);
    }
}

/// Runs `body` in a child, whose exit status is 0 if it returned true.
fn fork_to(body: impl FnOnce() -> bool) -> Pid {
    // SAFETY: the bodies above allocate nothing and take no lock of this process.
    match unsafe { process::fork() }.expect("a fork") {
        Fork::Parent(pid) => pid,
        Fork::Child => process::exit_immediately(i32::from(!body())),
    }
}
