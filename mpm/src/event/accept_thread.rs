//! The accept thread: at the gate in the loop's place, so that connections never wait behind a mutex.
//!
//! ```text
//!   door open? ─▶ gate ─▶ accept ─▶ arrivals, wakes the loop ─▶ again
//! ```

use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Condvar, Mutex, PoisonError};

use super::Shared;
use crate::admission::{Admission, Admitted};
use crate::child::Child;
use crate::job::lock;
use crate::{ChildNotice, Service};

/// What the loop must know of the accept thread: until it is over, it may still bring connections.
#[derive(Default)]
pub(super) struct AcceptThread {
    running: AtomicBool,
    failed: AtomicBool,
}

impl AcceptThread {
    pub(super) fn will_run(&self) {
        self.running.store(true, Relaxed);
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Acquire) // Pairs with the Release at its end: what it brought last is seen.
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

/// Tells the accept thread whether the loop has room.
#[derive(Default)]
pub(super) struct Door {
    state: Mutex<DoorState>,
    news: Condvar,
}

#[derive(Default)]
struct DoorState {
    open: bool,
    closed_for_good: bool,
}

impl Door {
    pub(super) fn set_open(&self, open: bool) {
        lock(&self.state).open = open;
        self.news.notify_one();
    }

    pub(super) fn close_for_good(&self) {
        lock(&self.state).closed_for_good = true;
        self.news.notify_one();
    }

    /// Waits until connections are wanted; `false` if none will be any more.
    fn wait_until_open(&self) -> bool {
        let mut state = lock(&self.state);
        while !state.open && !state.closed_for_good {
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed_for_good
    }
}

pub(super) fn run_accept_thread<S: Service>(child: &Child<'_, S>, shared: &Shared) {
    let result = Admission::new(child).and_then(|mut admission| {
        while shared.door.wait_until_open() {
            match admission.next()? {
                Admitted::Connection(new) => {
                    lock(&shared.arrivals).push_back(new);
                    shared.wake_loop();
                }
                Admitted::Finish => break,
                Admitted::Shortage(error) => child.wait_out_shortage(&error),
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        child.service.notice(ChildNotice::Failed(&error));
        shared.accept_thread.failed.store(true, Relaxed);
    }
    shared.accept_thread.running.store(false, Release);
    shared.wake_loop();
}
