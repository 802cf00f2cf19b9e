//! Exclusive wakeups: nobody queues in user space, and the kernel wakes one waiter for one connection.
//!
//! EPOLLEXCLUSIVE promises "at least one" (epoll_ctl(2)): a process that is between two waits may still find
//! nothing. The kernel prefers whoever began to wait last, so that a lightly loaded server leaves its first
//! children idle, and their caches cold.

use std::io;

use super::{Entered, Gate, Wakeups};

pub(super) struct ExclusiveWakeups;

impl Gate for ExclusiveWakeups {
    fn enter(&self) -> io::Result<Entered> {
        Ok(Entered::Normally)
    }

    fn leave(&self) -> io::Result<()> {
        Ok(())
    }

    fn wakeups(&self) -> Wakeups {
        Wakeups::One
    }
}
