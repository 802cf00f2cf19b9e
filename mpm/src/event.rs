//! # event: one loop waits for everybody
//!
//! ```text
//!   supervisor ──fork──▶ child ─┬─ loop thread:  wait ─▶ accept ─▶ notices ─▶ advance who is ready ─▶ end of turn ┐
//!                               │       ▲                                        │ job                           │
//!                               │       └────────────────── again ───────────────┼───────────────────────────────┘
//!                               ├─ job threads 0 … N-1  ◀─────────── queue ──────┘   result, wakes the loop
//!                               └─ accept thread, only with a mutex or count: gate ─▶ accept ─▶ wakes the loop
//! ```
//!
//! - A request that needs nothing slow is read, answered and logged by the thread that saw the readiness: no hand-over.
//! - A connection is told to the kernel once, edge-triggered, when it must wait for the first time, and once more if a write
//!   finds no room: no epoll_ctl(2) between requests. What the socket may still have is remembered in the
//!   [`Socket`](crate::Socket).
//! - Connections never see the gate: with a mutex, another thread waits at it.
//! - Deadlines live in a timer wheel, which costs no system call.
//! - The loop has a scoreboard slot of its own, behind the job threads' ones.
//!
//! [`child_main`] and [`EventLoop::run`] are the story. The chapters: [`news`] is what the kernel says, [`newcomers`] who comes
//! in, [`turn`] who goes on, [`parked`] who waits; [`room`] decides how many may come, [`ending`] how all this ends. On other
//! threads: [`jobs`], [`accept_thread`]; what they have to say comes by the [`mailbox`].

mod accept_thread;
mod ending;
mod jobs;
mod mailbox;
mod newcomers;
mod news;
mod parked;
mod room;
mod turn;
mod watched;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::thread::{self, Scope};
use std::time::Duration;

use herdgate_sys as sys;
use mio::{Events, Poll};

use crate::child::{Child, Exit, WorkerSeat};
use crate::descriptors::Reserve;
use crate::job::{JobQueue, Work};
use crate::scoreboard::{State, add};
use crate::turn::Watches;
use crate::{Moment, Phase, Service};
use accept_thread::Door;
use jobs::Asker;
use mailbox::{Mailbox, Message};
use newcomers::Accepting;
use news::{News, Source};
use parked::{Key, Parked};
pub(crate) use room::busy_permille;
use room::{LoadMeter, SHARE_WINDOW};

/// Readiness events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 512;

pub(crate) fn child_main<S: Service>(child: &Child<'_, S>) -> io::Result<Exit> {
    let poll = Poll::new()?;
    let (mailbox, mail) = Mailbox::new(&poll)?;
    let shared = Shared { jobs: JobQueue::new(), mailbox, door: Door::default() };
    thread::scope(|scope| {
        // However the loop ends: the other threads must end as well, or the scope would wait for them for ever.
        let _ended_at_last = EndOnDrop { child, shared: &shared };
        EventLoop::new(child, &shared, scope, poll, mail).and_then(EventLoop::run)
    })
}

/// What the loop, the job threads and the accept thread have in common.
struct Shared {
    jobs: JobQueue<Asker>,
    mailbox: Mailbox,
    door: Door,
}

struct EndOnDrop<'a, S: Service> {
    child: &'a Child<'a, S>,
    shared: &'a Shared,
}

impl<S: Service> Drop for EndOnDrop<'_, S> {
    fn drop(&mut self) {
        self.shared.jobs.close();
        self.shared.door.shut();
        self.child.retire(); // Wakes the accept thread inside the gate.
    }
}

struct EventLoop<'scope, 'env, S: Service> {
    child: &'env Child<'env, S>,
    shared: &'env Shared,
    scope: &'scope Scope<'scope, 'env>,
    poll: Poll,
    mail: Receiver<Message>,
    seat: WorkerSeat<'env, S>,
    parked: Parked<S::Connection>,
    /// Connections that wait for what their sockets may still have.
    goes_on: VecDeque<Key>,
    jobs_outstanding: u32,
    load: LoadMeter,
    accepting: Accepting,
    /// Turns on end in which no listener had less than was taken from it.
    full_turns: u32,
    next_shedding: Moment,
    reserve: Reserve,
    /// Connections that the accept thread has brought.
    arrived: u64,
    /// It may still bring some.
    accept_thread_runs: bool,
    accept_thread_failed: bool,
    draining: bool,
    /// Scratch lists, kept for their memory.
    expired: Vec<Key>,
    new_jobs: Vec<Work>,
    no_watches: Watches,
}

impl<'scope, 'env, S: Service> EventLoop<'scope, 'env, S> {
    fn new(
        child: &'env Child<'env, S>,
        shared: &'env Shared,
        scope: &'scope Scope<'scope, 'env>,
        poll: Poll,
        mail: Receiver<Message>,
    ) -> io::Result<Self> {
        let now = Moment::now();
        let seat = child.worker(child.settings.thread_limit as usize);
        if let Some(notices) = child.service.change_notices(&seat.local) {
            let number = Source::Notices.number();
            sys::epoll::add(&poll, &notices, sys::epoll::Events::READ, number)?;
        }
        let orders = child.orders.descriptors()[0];
        sys::epoll::add(&poll, &orders, sys::epoll::Events::READ, Source::Orders.number())?;
        let mut this = Self {
            child,
            shared,
            scope,
            poll,
            mail,
            seat,
            parked: Parked::new(now),
            goes_on: VecDeque::new(),
            jobs_outstanding: 0,
            load: LoadMeter::new(now),
            accepting: Accepting::Full,
            full_turns: 0,
            next_shedding: now,
            reserve: Reserve::of_this_process(),
            arrived: 0,
            accept_thread_runs: false,
            accept_thread_failed: false,
            draining: false,
            expired: Vec::new(),
            new_jobs: Vec::new(),
            no_watches: Watches::default(),
        };
        for number in 0..child.settings.threads_per_child as usize {
            let slot = child.scoreboard.writer(child.context.number, number);
            slot.started(child.context.generation, now); // Idle before they are threads: they start when needed.
        }
        this.start_accept_thread()?;
        this.accept_as_there_is_room(now);
        Ok(this)
    }

    /// The loop: each turn has the same order, so that nobody is served from stale notes.
    fn run(mut self) -> io::Result<Exit> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut news = News::default();
        while !self.is_over() {
            self.wait(&mut events, &mut news)?;
            let now = Moment::now();
            self.seat.service.begin_turn(&mut self.seat.local);
            if news.notices {
                self.seat.service.drain_change_notices(&mut self.seat.local);
            }
            self.accept(&news, now);
            self.read_mail(&news, now);
            self.advance_ready(&news, now);
            self.advance_going_on(now);
            self.advance_expired(now);
            if news.finish || self.child.has_served_enough() || self.accept_thread_failed {
                self.drain(now);
            }
            self.accept_as_there_is_room(now);
            self.seat.service.end_turn(&mut self.seat.local);
            self.publish();
        }
        Ok(if self.accept_thread_failed { Exit::Sick } else { Exit::Finished })
    }

    /// Sleeps until there is news, and sorts them.
    fn wait(&mut self, events: &mut Events, news: &mut News) -> io::Result<()> {
        let before = Moment::now();
        let timeout =
            if self.goes_on.is_empty() { self.sleep_max(before) } else { Some(Duration::ZERO) };
        let record = self.child.record();
        self.seat.slot.set_state(State::Ready, before);
        record.loop_waits_since_ms.store(before.millis(), Relaxed);
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            result => result?,
        }
        let after = Moment::now();
        record.loop_waits_since_ms.store(0, Relaxed);
        add(&record.loop_waited_ms, u64::try_from(after.since(before).as_millis()).unwrap_or(0));
        self.load.waited(before, after);
        self.seat.slot.set_state(State::Writing, after);
        news.sort(events);
        Ok(())
    }

    fn sleep_max(&self, now: Moment) -> Option<Duration> {
        let timers = self.parked.sleep(now);
        match self.accepting {
            Accepting::ShortUntil(until) => {
                Some(timers.map_or(until.since(now), |sleep| sleep.min(until.since(now))))
            }
            // A busy loop counts as busy for a while after it was: look again when that is over.
            Accepting::Full => Some(timers.map_or(SHARE_WINDOW, |sleep| sleep.min(SHARE_WINDOW))),
            Accepting::Yes | Accepting::Over => timers,
        }
    }

    /// Writes the loop's numbers to the scoreboard, once a turn.
    fn publish(&self) {
        let record = self.child.record();
        record.connections.store(self.parked.len(), Relaxed);
        for (gauge, phase) in [
            (&record.parked_request, Phase::Request),
            (&record.parked_response, Phase::Response),
            (&record.parked_idle, Phase::Idle),
            (&record.parked_linger, Phase::Linger),
        ] {
            gauge.store(self.parked.in_phase(phase), Relaxed);
        }
        record.jobs.store(self.jobs_outstanding, Relaxed);
    }
}
