//! Who is advanced in a turn, and what follows from what it says.
//!
//! ```text
//!   mail         the accept thread brought it, or a job of it is done ┐
//!   ready        the kernel said so                                   │             ┌ Done ─▶ dropped
//!   going on     it had more to do than a turn allows                 ├─▶ advance ─▶┤
//!   expired      its deadline has passed                              │             └ Wait ─▶ parked
//!   accepted, drained, shed                                           ┘
//! ```
//!
//! - One advance of each for one piece of news: who has more to do waits for the next turn, as everybody else.

use std::io;
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mio::unix::SourceFd;
use mio::{Interest as Mio, Poll};

use super::EventLoop;
use super::mailbox::Message;
use super::news::{News, Source};
use super::parked::{Entry, Key};
use super::watched::sync_watches;
use crate::turn::{Buffers, Turn, Watches};
use crate::{ChildNotice, Connection, Interest, Moment, Service, Step, Why};

impl<S: Service> EventLoop<'_, '_, S> {
    /// Those of whom the kernel has news.
    pub(super) fn advance_ready(&mut self, news: &News, now: Moment) {
        for readiness in &news.ready {
            let Some(entry) = self.parked.get(readiness.key) else { continue };
            entry.connection.socket().note_ready(readiness.ready, readiness.read_closed);
            if readiness.ready.intersects(entry.wait.client) {
                self.advance(readiness.key, Why::Ready(readiness.ready), now);
            }
        }
        for key in &news.watched {
            if self.note_watched(*key) {
                self.advance(*key, Why::Ready(Interest::NONE), now);
            }
        }
    }

    /// Those of whom other threads have news: whom the accept thread has brought, and whose jobs are done.
    pub(super) fn read_mail(&mut self, news: &News, now: Moment) {
        if !news.woken {
            return;
        }
        self.shared.mailbox.silence();
        while let Ok(message) = self.mail.try_recv() {
            match message {
                Message::Arrived(new) => {
                    self.arrived += 1;
                    self.welcome(new, now);
                }
                Message::Short => self.shed_idle(now),
                Message::JobDone(key) => {
                    self.jobs_outstanding -= 1;
                    self.advance(key, Why::JobDone, now);
                }
                Message::AcceptThreadOver { failed } => {
                    self.accept_thread_runs = false;
                    self.accept_thread_failed = failed;
                }
            }
        }
    }

    /// Those who had more to do than a turn allows. Who comes in meanwhile waits for the next turn.
    pub(super) fn advance_going_on(&mut self, now: Moment) {
        for _ in 0..self.goes_on.len() {
            let Some(key) = self.goes_on.pop_front() else { return };
            let Some(entry) = self.parked.get(key) else { continue };
            entry.goes_on = false;
            let ready = entry.connection.socket().ready();
            if ready.intersects(entry.wait.client) {
                self.advance(key, Why::Ready(ready), now);
            }
        }
    }

    /// Those whose deadline has passed.
    pub(super) fn advance_expired(&mut self, now: Moment) {
        let mut expired = std::mem::take(&mut self.expired);
        self.parked.expire(now, &mut expired);
        for key in expired.drain(..) {
            self.advance(key, Why::Expired, now);
        }
        self.expired = expired;
    }

    /// Lets one connection go on, and remembers what it waits for then. One that has gone is no news.
    pub(super) fn advance(&mut self, key: Key, why: Why, now: Moment) {
        let Some(entry) = self.parked.get(key) else { return };
        self.seat.buffers.write.clear();
        let mut watches = entry.watches.take();
        let (draining, seat) = (self.draining, &mut self.seat);
        let (no_watches, jobs) = (&mut self.no_watches, &mut self.new_jobs);
        let advanced = catch_unwind(AssertUnwindSafe(|| {
            entry.connection.advance(&mut Turn {
                why,
                now,
                draining,
                local: &mut seat.local,
                buffers: &mut seat.buffers,
                slot: seat.slot,
                watches: watches.as_deref_mut().unwrap_or(no_watches),
                jobs,
            })
        }));
        let step = advanced.as_ref().map_or(Step::Done, |step| *step);
        if !self.no_watches.is_empty() {
            watches = Some(Box::new(std::mem::take(&mut self.no_watches)));
        }
        if let Some(mut watches) = watches {
            watches.clear_ready();
            sync_watches(&self.poll, key, &mut watches, step == Step::Done);
            entry.watches = Some(watches).filter(|watches| !watches.is_empty());
        }
        let Step::Wait(wait) = step else {
            self.new_jobs.clear(); // Nobody waits for them.
            self.parked.remove(key);
            if advanced.is_err() {
                self.panicked();
            }
            return;
        };
        if entry.connection.socket().ready().intersects(wait.client) {
            if !std::mem::replace(&mut entry.goes_on, true) {
                self.goes_on.push_back(key);
            }
        } else if listen_to(&self.poll, key, entry, wait.client).is_err() {
            self.new_jobs.clear();
            return self.parked.remove(key); // No memory for it in the kernel: this client must come again.
        }
        self.parked.set_wait(key, wait);
        self.submit_jobs(key);
    }

    /// A connection panicked, and is gone. What it had borrowed is made anew.
    pub(super) fn panicked(&mut self) {
        self.seat.buffers = Buffers::new(self.seat.buffer_bytes);
        self.new_jobs.clear();
        self.no_watches = Watches::default();
        self.seat.service.notice(ChildNotice::Panicked);
    }
}

/// Sees to it that the kernel tells when a socket is ready for what its connection waits for: edge-triggered, for reading
/// when it waits for the first time, for writing as well when a write has found no room, and so until it is closed.
///
/// The kernel looks at the socket when it is told, so nothing that came before is lost. A socket that is told for writing
/// from the start would wake the loop at once, for nothing: an empty one has room.
fn listen_to<L, C: Connection<L>>(
    poll: &Poll,
    key: Key,
    entry: &mut Entry<C>,
    wanted: Interest,
) -> io::Result<()> {
    let known = entry.heard;
    if wanted.without(known).is_none() {
        return Ok(());
    }
    let (heard, interest) = if wanted.is_write() {
        (Interest::BOTH, Mio::READABLE | Mio::WRITABLE)
    } else {
        (Interest::READ, Mio::READABLE)
    };
    let raw = entry.connection.socket().as_raw_fd();
    let (mut source, token) = (SourceFd(&raw), Source::Client(key).token());
    if known.is_none() {
        poll.registry().register(&mut source, token, interest)?;
    } else {
        poll.registry().reregister(&mut source, token, interest)?;
    }
    entry.heard = heard;
    Ok(())
}
