//! Jobs: what may block or compute long, taken out of a connection's turn.
//!
//! ```text
//!   prefork, worker   the job runs in place; the connection is advanced again at once
//!   event             loop ──job──▶ queue ──▶ job thread;  loop ◀──done, wake── job thread
//! ```
//!
//! - A job is a `Send` closure with its own data. The connection stays on its thread, and so do its other streams.
//! - The result waits in the [`JobHandle`] that the connection keeps. A connection that ends first just drops it.
//! - A job that panics is reported to its connection, and hurts nobody else.
//! - Job threads start when there is work for them, up to the child's `ThreadsPerChild`.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The place where a job's result appears.
#[derive(Debug)]
pub struct JobHandle<T>(Arc<Mutex<Option<Result<T, JobPanicked>>>>);

/// A job panicked: our bug, and one request's loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPanicked;

impl<T> JobHandle<T> {
    /// The result, once: `None` while the job runs, and after it was taken.
    #[must_use]
    pub fn take(&self) -> Option<Result<T, JobPanicked>> {
        lock(&self.0).take()
    }
}

/// A job ready to run, its result's way back included.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Ties a closure to the handle where its result will appear.
pub(crate) fn prepare<T, F>(job: F) -> (Work, JobHandle<T>)
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let result = Arc::new(Mutex::new(None));
    let handle = JobHandle(Arc::clone(&result));
    let work = Box::new(move || {
        // Unwind safety: the closure owns its data, and nobody sees them after a panic.
        let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(|_panic| JobPanicked);
        *lock(&result) = Some(outcome);
    });
    (work, handle)
}

/// A queue of jobs with a bounded number of threads behind it. `K` names who asked.
pub(crate) struct JobQueue<K> {
    state: Mutex<QueueState<K>>,
    news: Condvar,
}

struct QueueState<K> {
    waiting: VecDeque<(K, Work)>,
    idle_threads: usize,
    threads: usize,
    closed: bool,
}

/// What [`JobQueue::push`] asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// A thread will take it.
    Queued,
    /// A thread with this number (from 0) should be started for it, and call [`JobQueue::pop`].
    StartThread(usize),
}

impl<K> JobQueue<K> {
    pub(crate) fn new() -> Self {
        let state =
            QueueState { waiting: VecDeque::new(), idle_threads: 0, threads: 0, closed: false };
        Self { state: Mutex::new(state), news: Condvar::new() }
    }

    /// Adds a job. The queue is bounded by the connections, each of which waits for its jobs.
    pub(crate) fn push(&self, key: K, work: Work, threads_max: usize) -> Push {
        let mut state = lock(&self.state);
        state.waiting.push_back((key, work));
        if state.waiting.len() > state.idle_threads && state.threads < threads_max {
            state.threads += 1;
            return Push::StartThread(state.threads - 1);
        }
        // To notify costs a system call, whether anybody waits or not.
        if state.idle_threads > 0 {
            drop(state);
            self.news.notify_one();
        }
        Push::Queued
    }

    /// Takes a job, waiting for one; `None` when the queue was closed and is empty.
    pub(crate) fn pop(&self) -> Option<(K, Work)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle_threads += 1;
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle_threads -= 1;
        }
    }

    /// A thread that [`push`](Self::push) asked for could not be started. Says whether any thread is left to work.
    pub(crate) fn thread_failed(&self) -> bool {
        let mut state = lock(&self.state);
        state.threads -= 1;
        state.threads > 0
    }

    /// No more jobs will come: threads finish what is queued, and end.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.news.notify_all();
    }
}

/// Jobs run outside the lock, so a poisoned one means only that a panic passed through: the data are whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_waits_in_the_handle_and_is_taken_once() {
        let (work, handle) = prepare(|| 6 * 7);
        assert!(handle.take().is_none());
        work();
        assert_eq!(handle.take(), Some(Ok(42)));
        assert!(handle.take().is_none());
    }

    #[test]
    fn a_panic_reaches_the_handle_and_nobody_else() {
        let (work, handle) = prepare(|| -> u32 { panic!("on purpose") });
        work();
        assert_eq!(handle.take(), Some(Err(JobPanicked)));
    }

    #[test]
    fn threads_are_asked_for_only_while_nobody_is_idle() {
        let queue: JobQueue<u32> = JobQueue::new();
        let job = || Box::new(|| ()) as Work;
        assert_eq!(queue.push(1, job(), 2), Push::StartThread(0));
        assert_eq!(queue.push(2, job(), 2), Push::StartThread(1));
        assert_eq!(queue.push(3, job(), 2), Push::Queued);
        assert_eq!(queue.pop().map(|(key, _)| key), Some(1));
        assert_eq!(queue.pop().map(|(key, _)| key), Some(2));
        assert_eq!(queue.pop().map(|(key, _)| key), Some(3));
        queue.close();
        assert!(queue.pop().is_none());
    }
}
