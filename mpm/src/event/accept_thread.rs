//! The accept thread: at the gate in the loop's place, so that connections never wait behind a mutex.
//!
//! ```text
//!   loop:          "so many may have come in all" ──▶ door           arrived ◀── mailbox
//!                                                      │                            ▲
//!   accept thread:                     may one more? ──┴─▶ gate ─▶ accept ─▶ post ──┘ again
//! ```
//!
//! - It goes to the gate only when the loop has room: what it brought and the loop has not taken yet is never more than
//!   [`ARRIVALS_MAX`]. The others stay in the kernel's queue, where another child can take them.
//! - What it has brought is served, however the child ends: its last message says that no more will come.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, Thread};

use super::mailbox::Message;
use super::newcomers::Accepting;
use super::{EventLoop, Shared};
use crate::admission::{Admission, Admitted};
use crate::child::Child;
use crate::{ChildNotice, Service};

/// Connections that may wait for a busy loop to take them.
pub(super) const ARRIVALS_MAX: u32 = 8;

/// Tells the accept thread how many the loop has room for. Both sides only store what they know themselves; parking and
/// unparking orders the rest.
#[derive(Default)]
pub(super) struct Door {
    /// How many connections may come through, counted from the child's start. The loop writes it.
    allowed: AtomicU64,
    /// Nobody may any more. The loop writes it.
    shut: AtomicBool,
    /// Who waits at the door. The loop writes it, before it allows anything.
    thread: OnceLock<Thread>,
}

impl Door {
    pub(super) fn opens_for(&self, thread: Thread) {
        // Once in a child's life: there is one accept thread.
        let _ = self.thread.set(thread);
    }

    /// So many may have come through in all.
    fn allow(&self, in_all: u64) {
        if self.allowed.load(Relaxed) != in_all {
            self.allowed.store(in_all, Relaxed);
            self.call();
        }
    }

    pub(super) fn shut(&self) {
        self.shut.store(true, Relaxed);
        self.call();
    }

    /// A system call only if the thread sleeps at the door.
    fn call(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Waits until one more than `passed` may come through; `false` if none will be any more.
    fn wait(&self, passed: u64) -> bool {
        while !self.shut.load(Relaxed) {
            if passed < self.allowed.load(Relaxed) {
                return true;
            }
            thread::park(); // Returns at once if anything was said since we looked.
        }
        false
    }
}

impl<S: Service> EventLoop<'_, '_, S> {
    /// Starts the accept thread, where there is a gate to wait at.
    pub(super) fn start_accept_thread(&mut self) -> io::Result<()> {
        if self.child.settings.gate.keeps_waiting() {
            let (child, shared) = (self.child, self.shared);
            let body = move || run_accept_thread(child, shared);
            let thread = child.spawn(self.scope, "accept".to_owned(), body)?;
            shared.door.opens_for(thread);
            self.accept_thread_runs = true;
        }
        Ok(())
    }

    /// Lets as many in as there is room for, once a turn.
    pub(super) fn open_the_door(&self) {
        let room = match self.accepting {
            Accepting::Yes => self.room(),
            // The kernel's queue would be lost with the server: it is taken, but not faster than we can.
            Accepting::Over => ARRIVALS_MAX,
            Accepting::Full | Accepting::ShortUntil(_) => 0,
        };
        self.shared.door.allow(self.arrived + u64::from(room.min(ARRIVALS_MAX)));
    }
}

fn run_accept_thread<S: Service>(child: &Child<'_, S>, shared: &Shared) {
    let brought = catch_unwind(AssertUnwindSafe(|| bring_connections(child, shared)));
    let brought = brought.unwrap_or_else(|_panic| Err(io::Error::other("it panicked")));
    if let Err(error) = &brought {
        child.service.notice(ChildNotice::Failed(error));
    }
    shared.mailbox.post(Message::AcceptThreadOver { failed: brought.is_err() });
}

fn bring_connections<S: Service>(child: &Child<'_, S>, shared: &Shared) -> io::Result<()> {
    let mut admission = Admission::new(child)?;
    let mut brought = 0;
    while !child.has_served_enough() && shared.door.wait(brought) {
        match admission.next()? {
            Admitted::Connection(new) => {
                shared.mailbox.post(Message::Arrived(new));
                brought += 1;
            }
            Admitted::Finish => break,
            Admitted::Shortage(error) => {
                shared.mailbox.post(Message::Short);
                child.wait_out_shortage(&error);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn as_many_pass_as_are_allowed_and_none_when_it_is_shut() {
        let door = Door::default();
        let (report, passed) = mpsc::channel();
        thread::scope(|scope| {
            let door = &door;
            let body = move || {
                let mut count = 0;
                while door.wait(count) {
                    count += 1;
                    report.send(count).unwrap();
                }
            };
            let handle = thread::Builder::new().spawn_scoped(scope, body).unwrap();
            door.opens_for(handle.thread().clone());
            for allowed in [1, 4, 9] {
                door.allow(allowed);
                while passed.recv().unwrap() < allowed {}
                assert!(passed.try_recv().is_err(), "nobody beyond {allowed}");
            }
            door.allow(2); // Who has passed has passed.
            door.shut();
            assert_eq!(passed.iter().count(), 0, "until it has gone");
        });
    }
}
