//! The two gates at which nobody queues: what differs is whom the kernel wakes.

use std::io;

use super::{Entered, Gate, Pass, Wakeups};

/// No gate: every waiting process is woken for every connection, and all but one find nothing.
///
/// The herd is kept because it must be seen to be believed, and because with few children it costs little.
pub(super) struct NoGate;

impl Gate for NoGate {
    fn pass(&self) -> io::Result<Box<dyn Pass + '_>> {
        Ok(Box::new(OpenPass))
    }
}

/// Exclusive wakeups: nobody queues in user space, and the kernel wakes one waiter for one connection.
///
/// EPOLLEXCLUSIVE promises "at least one" (epoll_ctl(2)): a process that is between two waits may still find
/// nothing. The kernel prefers whoever began to wait last, so that a lightly loaded server leaves its first
/// children idle, and their caches cold.
pub(super) struct ExclusiveWakeups;

impl Gate for ExclusiveWakeups {
    fn pass(&self) -> io::Result<Box<dyn Pass + '_>> {
        Ok(Box::new(OpenPass))
    }

    fn wakeups(&self) -> Wakeups {
        Wakeups::One
    }
}

struct OpenPass;

impl Pass for OpenPass {
    fn try_enter(&mut self) -> io::Result<Option<Entered>> {
        Ok(Some(Entered::Normally))
    }

    fn enter(&mut self) -> io::Result<Entered> {
        Ok(Entered::Normally)
    }

    fn leave(&mut self) -> io::Result<()> {
        Ok(())
    }
}
