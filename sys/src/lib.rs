//! # herdgate-sys: the one door to the kernel
//!
//! ```text
//!   sockets     net        accept4, read, sendmsg, sendfile, shutdown, TCP_NODELAY, the listen queue
//!   waiting     epoll      readiness queue, exclusive wakeups        poll     a few descriptors, once
//!   waking      eventfd    a counter to wait on    pipe  two ends    signals  masks and signalfd
//!   files       file       openat2, preadv2, stat, readahead         mapped   only the kernel reads it
//!   processes   process    fork, wait, kill, limits, privileges, names, detaching from the terminal
//!   sharing     shared     mappings that hold atomics only
//!   excluding   mutex      a robust pthread mutex   semaphore  POSIX, System V   lock  fcntl, flock
//!   giving up   sandbox    Landlock and seccomp: what a child can do no more
//!   knowing     clock      monotonic and wall time probe      what this kernel lacks
//! ```
//!
//! - All `unsafe` code of the server is in this crate, and each block says why it is sound.
//! - A function is one system call: nothing here loops, retries or logs. `EINTR` comes back as
//!   [`std::io::ErrorKind::Interrupted`], `EAGAIN` as [`std::io::ErrorKind::WouldBlock`]. The few
//!   functions that make more than one call (dropping privileges, detaching, sandboxing) say which and in what
//!   order.
//! - Descriptors come in as [`std::os::fd::BorrowedFd`] and go out as [`std::os::fd::OwnedFd`],
//!   close-on-exec from birth: no program that we start ever inherits one by accident.
//! - Errors are [`std::io::Error`] with the kernel's number inside; the caller knows what it was
//!   doing and adds that.
//! - Linux 5.10 or newer. What is newer still is asked for by [`probe`], and its absence is an
//!   error that [`probe::supported`] recognises.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "Herdgate runs on Linux only: its process models stand on epoll, signalfd and openat2. \
     A container or a virtual machine with Linux 5.10 or newer will do."
);

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "Herdgate is tested on x86-64 and arm64 only: its shared memory relies on 64-bit atomics and \
     little-endian layout. Please tell us if you need another machine."
);

mod flags;
mod outcome;

pub mod clock;
pub mod epoll;
pub mod eventfd;
pub mod file;
pub mod lock;
pub mod mapped;
pub mod mutex;
pub mod net;
pub mod pipe;
pub mod poll;
pub mod probe;
pub mod process;
pub mod sandbox;
pub mod semaphore;
pub mod shared;
pub mod signals;

pub use eventfd::EventFd;
pub use file::isatty;
pub use mapped::MappedFile;
pub use process::Pid;
pub use signals::Signal;
