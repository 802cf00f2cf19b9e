//! # worker: a few processes, many threads in each
//!
//! ```text
//!   supervisor ──fork──▶ child ─┬─ listener thread ── gate ─▶ accept ──▶ queue ──▶ worker thread 0 … N-1
//!                               └─ takes a worker first, then goes to the gate; one scoreboard slot per worker
//! ```
//!
//! - The listener thread accepts only when a worker is idle: nothing that was accepted waits behind a busy thread,
//!   and a saturated process never holds the accept mutex.
//! - A worker thread keeps its connection from accept to close, keep-alive waits included.
//! - Threads start after the fork, and no signal ever reaches one: children have no handlers.
//! - A graceful stop closes the queue, never a connection.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use crate::admission::{Admission, Admitted, NewConnection};
use crate::child::{Child, Exit};
use crate::job::lock;
use crate::scoreboard::State;
use crate::{Moment, Service, drive};

pub(crate) fn child_main<S: Service>(child: &Child<'_, S>) -> io::Result<Exit> {
    let queue = &ConnectionQueue::new();
    thread::scope(|scope| {
        let started = (0..child.settings.threads_per_child as usize).try_for_each(|number| {
            let body = move || run_worker(child, number, queue);
            child.spawn(scope, format!("worker {number}"), body).map(drop)
        });
        let exit = started.and_then(|()| accept_until_told_to_finish(child, queue));
        child.retire();
        child.leave_listeners_if_orphaned();
        queue.close(); // Graceful: what was accepted is still served, and the scope waits for it.
        exit
    })
}

/// The listener thread, which is the child's first one.
fn accept_until_told_to_finish<S: Service>(
    child: &Child<'_, S>,
    queue: &ConnectionQueue,
) -> io::Result<Exit> {
    let mut admission = Admission::new(child)?;
    let mut idle_workers = 0;
    while !child.has_served_enough() {
        if idle_workers == 0 {
            idle_workers = queue.wait_for_idle_workers();
        }
        match admission.next()? {
            Admitted::Connection(new) => {
                queue.push(new);
                idle_workers -= 1;
            }
            Admitted::Finish => break,
            Admitted::Shortage(error) => child.wait_out_shortage(&error),
        }
    }
    Ok(Exit::Finished)
}

/// A worker thread: one connection after the other.
fn run_worker<S: Service>(child: &Child<'_, S>, number: usize, queue: &ConnectionQueue) {
    let mut worker = child.worker(number);
    while let Some(new) = queue.pop() {
        child.take_worker(worker.slot);
        drive::serve_to_end(child, &mut worker, new);
        child.give_worker_back();
        worker.slot.set_state(State::Ready, Moment::now());
    }
    worker.slot.set_state(State::Graceful, Moment::now());
}

/// Hands connections to idle workers. It cannot overflow: only who has seen an idle worker pushes.
struct ConnectionQueue {
    state: Mutex<QueueState>,
    /// A connection has come, or the queue was closed.
    for_workers: Condvar,
    /// A worker has become idle.
    for_listener: Condvar,
}

struct QueueState {
    waiting: VecDeque<NewConnection>,
    idle_workers: usize,
    /// The listener thread waits for a worker: a notice that nobody waits for is a system call as well.
    listener_waits: bool,
    closed: bool,
}

impl ConnectionQueue {
    fn new() -> Self {
        Self {
            state: Mutex::new(QueueState {
                waiting: VecDeque::new(),
                idle_workers: 0,
                listener_waits: false,
                closed: false,
            }),
            for_workers: Condvar::new(),
            for_listener: Condvar::new(),
        }
    }

    /// Waits until a worker has nothing to do, and says how many have: so many connections may be pushed. Only the
    /// listener thread takes from that number.
    fn wait_for_idle_workers(&self) -> usize {
        let mut state = lock(&self.state);
        while state.idle_workers <= state.waiting.len() {
            state.listener_waits = true;
            state = self.for_listener.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.listener_waits = false;
        state.idle_workers - state.waiting.len()
    }

    fn push(&self, new: NewConnection) {
        lock(&self.state).waiting.push_back(new);
        self.for_workers.notify_one(); // Outside the lock, which the worker takes next.
    }

    /// The next connection; `None` when there will be none any more.
    fn pop(&self) -> Option<NewConnection> {
        let mut state = lock(&self.state);
        state.idle_workers += 1;
        if state.listener_waits {
            self.for_listener.notify_one();
        }
        loop {
            if let Some(new) = state.waiting.pop_front() {
                state.idle_workers -= 1;
                return Some(new);
            }
            if state.closed {
                return None;
            }
            state = self.for_workers.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        lock(&self.state).closed = true;
        self.for_workers.notify_all();
    }
}
