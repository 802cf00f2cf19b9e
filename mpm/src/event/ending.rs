//! The end of a child: nobody new comes in, and who is there is told.
//!
//! - A graceful restart leaves what the kernel has queued to the other children. When the whole server stops there are
//!   none, so it is taken first.

use std::sync::atomic::Ordering::Relaxed;

use herdgate_sys as sys;

use super::EventLoop;
use super::newcomers::Accepting;
use super::parked::Key;
use crate::admission::{self, Admitted};
use crate::{Moment, Service, Why};

impl<S: Service> EventLoop<'_, '_, S> {
    /// Nobody is left, and nobody can come any more.
    pub(super) fn is_over(&self) -> bool {
        self.draining && self.parked.is_empty() && !self.accept_thread_runs
    }

    /// Takes no new connections, and tells those that are there.
    pub(super) fn drain(&mut self, now: Moment) {
        if self.draining {
            return;
        }
        // Readable for ever, and heard. It can only fail if it was not there.
        let _ = sys::epoll::remove(&self.poll, &self.child.orders.descriptors()[0]);
        let stopping = self.child.scoreboard.global().stopping.load(Relaxed) != 0;
        if stopping && !self.accept_thread_runs {
            self.take_what_is_queued(now);
        }
        self.draining = true;
        self.set_accepting(Accepting::Over, now);
        self.accepting = Accepting::Over;
        self.child.retire(); // Wakes the accept thread inside the gate.
        self.child.leave_listeners_if_orphaned();
        if !stopping {
            self.shared.door.shut(); // Otherwise it takes what is queued, and ends by itself.
        }
        let all: Vec<Key> = self.parked.keys().collect();
        for key in all {
            self.advance(key, Why::Drain, now);
        }
    }

    /// The server stops: what the kernel has queued would be lost with the listeners.
    fn take_what_is_queued(&mut self, now: Moment) {
        for (id, _listener) in self.child.context.listeners.clone().iter() {
            while let Some(Admitted::Connection(new)) = admission::accept(self.child, id) {
                self.welcome(new, now);
            }
        }
    }
}
