//! Jobs, seen from the loop: out to the job threads, and the news of their end back.
//!
//! ```text
//!   advance ─▶ new_jobs ─▶ submit_jobs ─▶ JobQueue ─▶ job thread: run ─▶ mailbox
//! ```

use super::mailbox::Message;
use super::parked::Key;
use super::{EventLoop, Shared};
use crate::child::Child;
use crate::job::Push;
use crate::scoreboard::{State, Words};
use crate::{ChildNotice, Moment, Service};

/// Who asked for a job, and what it has said on the scoreboard: whoever does the job says it, too.
pub(super) type Asker = (Key, Option<Box<Words>>);

impl<S: Service> EventLoop<'_, '_, S> {
    /// Hands out what a connection has just asked for. A thread is started when there is more to do than there are
    /// threads for it.
    pub(super) fn submit_jobs(&mut self, key: Key) {
        let (child, shared) = (self.child, self.shared);
        for work in self.new_jobs.drain(..) {
            self.jobs_outstanding += 1;
            let threads_max = child.settings.threads_per_child as usize;
            let asker = (key, self.seat.slot.words());
            if let Push::StartThread(number) = shared.jobs.push(asker, work, threads_max) {
                let body = move || run_job_thread(child, shared, number);
                if let Err(error) = child.spawn(self.scope, format!("job {number}"), body) {
                    child.service.notice(ChildNotice::NoThread(&error));
                    if !shared.jobs.thread_failed() {
                        // Better slow than stuck: the loop does it itself.
                        run_one_job(shared);
                    }
                }
            }
        }
    }
}

/// A job thread. Its slot says `W` while it works.
fn run_job_thread<S: Service>(child: &Child<'_, S>, shared: &Shared, number: usize) {
    let slot = child.scoreboard.writer(child.context.number, number);
    slot.started(child.context.generation, Moment::now());
    while let Some(((key, words), work)) = shared.jobs.pop() {
        if let Some(words) = words {
            slot.repeat(&words);
        }
        slot.set_state(State::Writing, Moment::now());
        work();
        slot.set_state(State::Ready, Moment::now());
        shared.mailbox.post(Message::JobDone(key));
    }
    slot.set_state(State::Graceful, Moment::now());
}

fn run_one_job(shared: &Shared) {
    if let Some(((key, _words), work)) = shared.jobs.pop() {
        work();
        shared.mailbox.post(Message::JobDone(key));
    }
}
