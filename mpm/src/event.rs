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
//! - A connection is told to the kernel once, at accept, edge-triggered for both directions, and never again:
//!   no epoll_ctl(2) between requests. What the socket may still have is remembered in the [`Socket`](crate::Socket).
//! - Connections never see the gate: with a mutex, another thread waits at it.
//! - Deadlines live in a timer wheel, which costs no system call.
//! - The loop has a scoreboard slot of its own, behind the job threads' ones.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use herdgate_sys as sys;
use mio::unix::SourceFd;
use mio::{Events, Interest as Mio, Poll, Token, Waker};
use slab::Slab;
use sys::poll::{PollEntry, poll};

use crate::admission::{self, Admission, Admitted, NewConnection};
use crate::child::{Child, Exit, SHORTAGE_PAUSE, WorkerSeat};
use crate::gate::Wakeups;
use crate::job::{JobQueue, Push, Work, lock};
use crate::listen::ListenerId;
use crate::scoreboard::{State, Words, add};
use crate::timer::TimerWheel;
use crate::turn::{Buffers, Turn, Watches};
use crate::{ChildNotice, Connection, Deadline, Interest, Moment, Phase, Service, Step, Wait, Why};

/// Readiness events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 512;
/// Connections taken from one listener in one turn: what is there belongs to the other children, too.
const ACCEPTS_PER_TURN: usize = 4;
/// How often idle connections may be asked to go for lack of room.
const SHED_EVERY: Duration = Duration::from_millis(100);
/// The loop's share of work is measured over this time.
const SHARE_WINDOW: Duration = Duration::from_secs(1);

pub(crate) fn child_main<S: Service>(child: &Child<'_, S>) -> io::Result<Exit> {
    let poll = Poll::new()?;
    let shared = Shared {
        jobs: JobQueue::new(),
        done: Mutex::new(Vec::new()),
        arrivals: Mutex::new(VecDeque::new()),
        waker: Waker::new(poll.registry(), Token(WAKER))?,
        door: Door::default(),
        accept_thread: AcceptThread::default(),
    };
    thread::scope(|scope| {
        // However the loop ends: the other threads must end as well, or the scope would wait for them for ever.
        let _closed_at_last = CloseOnDrop(&shared);
        EventLoop::new(child, &shared, scope, poll).and_then(EventLoop::run)?;
        Ok(if shared.accept_thread.has_failed() { Exit::Sick } else { Exit::Finished })
    })
}

struct CloseOnDrop<'a>(&'a Shared);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.jobs.close();
        self.0.door.close_for_good();
    }
}

/// What the loop, the job threads and the accept thread have in common.
struct Shared {
    jobs: JobQueue<Asker>,
    /// Connections whose job is done.
    done: Mutex<Vec<Key>>,
    /// Connections that the accept thread has brought.
    arrivals: Mutex<VecDeque<NewConnection>>,
    waker: Waker,
    door: Door,
    accept_thread: AcceptThread,
}

/// Who asked for a job, and what it has said on the scoreboard: whoever does the job says it, too.
type Asker = (Key, Option<Box<Words>>);

/// What the loop must know of the accept thread: until it is over, it may still bring connections.
#[derive(Default)]
struct AcceptThread {
    running: AtomicBool,
    failed: AtomicBool,
}

impl AcceptThread {
    fn is_running(&self) -> bool {
        self.running.load(Acquire) // Pairs with the Release at its end: what it brought last is seen.
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

impl Shared {
    fn wake_loop(&self) {
        // It can only fail if the event counter overflows, and then the loop is awake already.
        let _ = self.waker.wake();
    }
}

/// Tells the accept thread whether the loop has room.
#[derive(Default)]
struct Door {
    state: Mutex<DoorState>,
    news: Condvar,
}

#[derive(Default)]
struct DoorState {
    open: bool,
    closed_for_good: bool,
}

impl Door {
    fn set_open(&self, open: bool) {
        lock(&self.state).open = open;
        self.news.notify_one();
    }

    fn close_for_good(&self) {
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

/// Names a connection for as long as it lives: its place in the slab, and the serial number that tells it from the
/// place's former and later owners. A token of the kernel's readiness queue carries both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    place: u32,
    serial: u32,
}

/// Serial numbers have 31 bits, so that the highest bit can mark a watched descriptor.
const SERIAL_MASK: u32 = 0x7fff_ffff;
const WATCHED: usize = 1 << 63;
/// Tokens that name no connection: no serial number reaches so high.
const ORDERS: usize = usize::MAX;
const WAKER: usize = usize::MAX - 1;
const LISTENERS: usize = usize::MAX - 1 - (1 << 16);

impl Key {
    fn token(self) -> usize {
        (self.serial as usize) << 32 | self.place as usize
    }

    fn from_token(token: usize) -> Self {
        let place = u32::try_from(token & 0xffff_ffff).expect("32 bits");
        let serial = u32::try_from(token >> 32 & SERIAL_MASK as usize).expect("31 bits");
        Self { place, serial }
    }
}

/// One connection and what the loop remembers of it.
struct Entry<C> {
    connection: C,
    wait: Wait,
    /// For which moment it stands in the timer wheel, if it does.
    armed: Option<Moment>,
    serial: u32,
    /// It stands in the list of those who go on without news from the kernel.
    goes_on: bool,
    /// It was asked to go.
    was_shed: bool,
    watches: Option<Box<Watches>>,
}

struct EventLoop<'scope, 'env, S: Service> {
    child: &'env Child<'env, S>,
    shared: &'env Shared,
    scope: &'scope Scope<'scope, 'env>,
    poll: Poll,
    seat: WorkerSeat<'env, S>,
    connections: Slab<Entry<S::Connection>>,
    serial: u32,
    timers: TimerWheel<Key>,
    /// Connections that wait for what their sockets may still have.
    goes_on: VecDeque<Key>,
    /// How many connections are in each phase.
    phases: [u32; 4],
    jobs_outstanding: u32,
    load: LoadMeter,
    accepting: Accepting,
    next_shedding: Moment,
    draining: bool,
    /// Scratch lists, kept for their memory.
    expired: Vec<(Key, Moment)>,
    new_jobs: Vec<Work>,
    no_watches: Watches,
}

/// Whether the loop takes new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Yes,
    /// For lack of room; looked at again in each turn.
    Full,
    /// For lack of descriptors or memory, until then.
    ShortUntil(Moment),
    /// Never again.
    Over,
}

/// What woke the loop, sorted.
#[derive(Default)]
struct News {
    ready: Vec<(Key, Interest, bool)>,
    watched: Vec<Key>,
    listeners: Vec<ListenerId>,
    woken: bool,
    finish: bool,
}

impl<'scope, 'env, S: Service> EventLoop<'scope, 'env, S> {
    fn new(
        child: &'env Child<'env, S>,
        shared: &'env Shared,
        scope: &'scope Scope<'scope, 'env>,
        poll: Poll,
    ) -> io::Result<Self> {
        let now = Moment::now();
        sys::epoll::add(
            &poll,
            &child.orders.descriptors()[0],
            sys::epoll::Events::READ,
            ORDERS as u64,
        )?;
        let mut this = Self {
            child,
            shared,
            scope,
            poll,
            seat: child.worker(child.settings.thread_limit as usize),
            connections: Slab::new(),
            serial: 0,
            timers: TimerWheel::new(now),
            goes_on: VecDeque::new(),
            phases: [0; 4],
            jobs_outstanding: 0,
            load: LoadMeter::new(now),
            accepting: Accepting::Full,
            next_shedding: now,
            draining: false,
            expired: Vec::new(),
            new_jobs: Vec::new(),
            no_watches: Watches::default(),
        };
        for number in 0..child.settings.threads_per_child as usize {
            let slot = child.scoreboard.writer(child.context.number, number);
            slot.started(child.context.generation, now); // Idle before they are threads: they start when needed.
        }
        if child.settings.gate.keeps_waiting() {
            shared.accept_thread.running.store(true, Relaxed);
            child.spawn(scope, "accept".to_owned(), || run_accept_thread(child, shared))?;
        }
        this.accept_as_there_is_room(now);
        Ok(this)
    }

    /// The loop: each turn has the same order, so that nobody is served from stale notes.
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut news = News::default();
        while !self.is_over() {
            self.wait(&mut events, &mut news)?;
            let now = Moment::now();
            self.seat.service.begin_turn(&mut self.seat.local); // Its notices are older than what is accepted next.
            self.accept(&news, now);
            self.advance_ready(&news, now);
            self.advance_done(&news, now);
            self.advance_going_on(now);
            self.advance_expired(now);
            if news.finish
                || self.child.has_served_enough()
                || self.shared.accept_thread.has_failed()
            {
                self.drain(now);
            }
            self.accept_as_there_is_room(now);
            self.seat.service.end_turn(&mut self.seat.local);
            self.publish();
        }
        Ok(())
    }

    /// Nobody is left, and nobody can come any more.
    fn is_over(&self) -> bool {
        self.draining
            && self.connections.is_empty()
            && !self.shared.accept_thread.is_running()
            && lock(&self.shared.arrivals).is_empty()
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
        let timers = self.timers.sleep(now);
        match self.accepting {
            Accepting::ShortUntil(until) => {
                Some(timers.map_or(until.since(now), |sleep| sleep.min(until.since(now))))
            }
            // A busy loop counts as busy for a while after it was: look again when that is over.
            Accepting::Full => Some(timers.map_or(SHARE_WINDOW, |sleep| sleep.min(SHARE_WINDOW))),
            Accepting::Yes | Accepting::Over => timers,
        }
    }

    // --- new connections ---

    fn accept(&mut self, news: &News, now: Moment) {
        for id in &news.listeners {
            self.accept_some(*id, ACCEPTS_PER_TURN, now);
        }
        if news.woken {
            while let Some(new) = self.next_arrival() {
                self.welcome(new, now);
            }
        }
    }

    fn accept_some(&mut self, id: ListenerId, max: usize, now: Moment) {
        for turn in 0..max {
            match admission::accept(self.child, id) {
                Some(Admitted::Connection(new)) => self.welcome(new, now),
                None if turn == 0 => return add(&self.child.record().wakeups_wasted, 1),
                Some(Admitted::Shortage(error)) => return self.pause_for_shortage(&error, now),
                Some(Admitted::Finish) | None => return,
            }
            if self.child.has_served_enough() || !self.has_room() {
                return;
            }
        }
    }

    fn next_arrival(&self) -> Option<NewConnection> {
        lock(&self.shared.arrivals).pop_front()
    }

    /// Registers a connection and lets it begin: its first bytes may have come with it.
    fn welcome(&mut self, new: NewConnection, now: Moment) {
        self.seat.slot.count_connection();
        let raw = new.socket.as_raw_fd();
        let service = self.seat.service;
        let connect = || service.connect(new.socket, new.peer, new.listener);
        let Ok(connection) = catch_unwind(AssertUnwindSafe(connect)) else {
            return self.panicked();
        };
        self.serial = (self.serial + 1) & SERIAL_MASK >> 1; // Far below the tokens that name no connection.
        let serial = self.serial;
        let wait =
            Wait { phase: Phase::Request, client: Interest::READ, deadline: Deadline::Never };
        let entry = Entry {
            connection,
            wait,
            armed: None,
            serial,
            goes_on: false,
            was_shed: false,
            watches: None,
        };
        let place = self.connections.insert(entry);
        let key =
            Key { place: u32::try_from(place).expect("descriptors are fewer than 2^32"), serial };
        self.phases[Phase::Request as usize] += 1;
        let registered = self.poll.registry().register(
            &mut SourceFd(&raw),
            Token(key.token()),
            Mio::READABLE | Mio::WRITABLE,
        );
        if registered.is_err() {
            self.close(key); // No memory for it in the kernel: this client must come again.
            return;
        }
        self.advance(key, Why::Accepted, now);
        if self.draining {
            self.advance(key, Why::Drain, now);
        }
    }

    /// A connection panicked, and is gone. What it had borrowed is made anew.
    fn panicked(&mut self) {
        self.seat.buffers = Buffers::new(self.seat.buffer_bytes);
        self.new_jobs.clear();
        self.no_watches = Watches::default();
        self.seat.service.notice(ChildNotice::Panicked);
    }

    /// Apache's two admission limits (`AsyncRequestWorkerFactor`), with the loop's own load as a lower bound of what is
    /// busy.
    fn has_room(&self) -> bool {
        let threads = self.child.settings.threads_per_child;
        self.has_room_with(self.load.busy_threads(threads, self.jobs_outstanding))
    }

    fn has_room_with(&self, busy: u32) -> bool {
        let settings = self.child.settings;
        let threads = settings.threads_per_child;
        let idle = threads.saturating_sub(busy);
        let open = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        let active = open - self.phases[Phase::Linger as usize]; // Connections that are being closed are free.
        self.jobs_outstanding < threads
            && active < threads.saturating_add(idle.saturating_mul(settings.async_factor))
    }

    /// Opens or closes the door, by what there is room for.
    fn accept_as_there_is_room(&mut self, now: Moment) {
        let wanted = match self.accepting {
            Accepting::Over => return,
            Accepting::ShortUntil(until) if now < until => return,
            Accepting::ShortUntil(_) | Accepting::Full | Accepting::Yes => {
                if self.has_room() {
                    Accepting::Yes
                } else {
                    Accepting::Full
                }
            }
        };
        if wanted == Accepting::Full {
            if self.accepting != Accepting::Full {
                self.child.ask_for_workers();
            }
            // Too many connections: the idle ones go before new ones are kept out. They cannot help a busy loop.
            if !self.has_room_with(self.jobs_outstanding) {
                self.shed_idle(now);
            }
        }
        self.set_accepting(wanted, now);
    }

    fn set_accepting(&mut self, wanted: Accepting, now: Moment) {
        if self.accepting == wanted {
            return;
        }
        let (was, is) = (self.accepting == Accepting::Yes, wanted == Accepting::Yes);
        self.accepting = wanted;
        self.child.record().not_accepting.store(u32::from(!is), Relaxed);
        if was == is {
            return;
        }
        if self.child.settings.gate.keeps_waiting() {
            self.shared.door.set_open(is);
        } else if let Err(error) = self.register_listeners(is) {
            self.child.service.notice(ChildNotice::Shortage(&error));
            self.accepting = Accepting::ShortUntil(now + SHORTAGE_PAUSE);
        }
    }

    fn register_listeners(&self, wanted: bool) -> io::Result<()> {
        let wakeups = match self.child.gate.wakeups() {
            Wakeups::Everyone => sys::epoll::Events::READ,
            Wakeups::One => sys::epoll::Events::READ | sys::epoll::Events::EXCLUSIVE,
        };
        for (id, listener) in self.child.context.listeners.iter() {
            // First out, then in: after a failure half-way some may be in already.
            let _ = sys::epoll::remove(&self.poll, &listener.as_fd());
            if wanted {
                let token = LISTENERS + usize::from(id.0);
                sys::epoll::add(&self.poll, &listener.as_fd(), wakeups, token as u64)?;
            }
        }
        Ok(())
    }

    fn pause_for_shortage(&mut self, error: &io::Error, now: Moment) {
        self.child.service.notice(ChildNotice::Shortage(error));
        self.shed_idle(now);
        self.set_accepting(Accepting::ShortUntil(now + SHORTAGE_PAUSE), now);
    }

    /// Asks the longest idle connections to go, each once: an eighth of them, so that the search pays.
    fn shed_idle(&mut self, now: Moment) {
        let idle = self.phases[Phase::Idle as usize] as usize;
        if idle == 0 || now < self.next_shedding {
            return;
        }
        self.next_shedding = now + SHED_EVERY;
        let mut candidates: Vec<(u64, Key)> = Vec::with_capacity(idle);
        for (place, entry) in &self.connections {
            if entry.wait.phase == Phase::Idle && !entry.was_shed {
                // Who became idle first has the earliest deadline.
                let order = match entry.wait.deadline {
                    Deadline::At(deadline) => deadline.millis(),
                    Deadline::Never => u64::MAX,
                };
                let place = u32::try_from(place).expect("descriptors are fewer than 2^32");
                candidates.push((order, Key { place, serial: entry.serial }));
            }
        }
        candidates.sort_unstable_by_key(|(order, _key)| *order);
        for (_order, key) in candidates.into_iter().take(idle.div_ceil(8)) {
            if let Some(entry) = self.entry(key) {
                entry.was_shed = true;
                self.advance(key, Why::Shed, now);
            }
        }
    }

    // --- advancing ---

    fn advance_ready(&mut self, news: &News, now: Moment) {
        for (key, ready, read_closed) in &news.ready {
            let Some(entry) = self.entry(*key) else { continue };
            entry.connection.socket().note_ready(*ready, *read_closed);
            let wanted = entry.wait.client;
            if ready.intersects(wanted) {
                self.advance(*key, Why::Ready(*ready), now);
            }
        }
        for key in &news.watched {
            if self.note_watched(*key) {
                self.advance(*key, Why::Ready(Interest::NONE), now);
            }
        }
    }

    fn advance_done(&mut self, news: &News, now: Moment) {
        if !news.woken {
            return;
        }
        for key in std::mem::take(&mut *lock(&self.shared.done)) {
            self.jobs_outstanding -= 1;
            if self.entry(key).is_some() {
                self.advance(key, Why::JobDone, now);
            }
        }
    }

    /// Those who had more to do than a turn allows. Who comes in meanwhile waits for the next turn.
    fn advance_going_on(&mut self, now: Moment) {
        for _ in 0..self.goes_on.len() {
            let Some(key) = self.goes_on.pop_front() else { return };
            let Some(entry) = self.entry(key) else { continue };
            entry.goes_on = false;
            let ready = entry.connection.socket().ready();
            if ready.intersects(entry.wait.client) {
                self.advance(key, Why::Ready(ready), now);
            }
        }
    }

    fn advance_expired(&mut self, now: Moment) {
        let mut expired = std::mem::take(&mut self.expired);
        self.timers.expire(now, &mut expired);
        for (key, moment) in expired.drain(..) {
            let Some(entry) = self.entry(key) else { continue };
            if entry.armed != Some(moment) {
                continue; // Put in anew, for an earlier moment.
            }
            entry.armed = None;
            if entry.wait.deadline.has_passed(now) {
                self.advance(key, Why::Expired, now);
            } else {
                self.arm(key);
            }
        }
        self.expired = expired;
    }

    /// Lets one connection go on, and remembers what it waits for then.
    fn advance(&mut self, key: Key, why: Why, now: Moment) {
        let Some(entry) = self.connections.get_mut(key.place as usize) else { return };
        if entry.serial != key.serial {
            return;
        }
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
        let former = entry.wait.phase;
        let goes_on = match step {
            Step::Done => false,
            Step::Wait(wait) => {
                entry.wait = wait;
                entry.connection.socket().ready().intersects(wait.client)
                    && !std::mem::replace(&mut entry.goes_on, true)
            }
        };
        if !self.no_watches.is_empty() {
            watches = Some(Box::new(std::mem::take(&mut self.no_watches)));
        }
        if let Some(mut watches) = watches {
            watches.clear_ready();
            sync_watches(&self.poll, key, &mut watches, step == Step::Done);
            entry.watches = Some(watches).filter(|watches| !watches.is_empty());
        }
        if advanced.is_err() {
            self.panicked();
        }
        let Step::Wait(wait) = step else {
            self.new_jobs.clear(); // Nobody waits for them.
            return self.close(key);
        };
        self.submit_jobs(key);
        if former != wait.phase {
            self.phases[former as usize] -= 1;
            self.phases[wait.phase as usize] += 1;
        }
        if goes_on {
            self.goes_on.push_back(key);
        }
        self.arm(key);
    }

    /// Sees to it that the wheel comes up for this connection no later than its deadline.
    fn arm(&mut self, key: Key) {
        let Some(entry) = self.connections.get_mut(key.place as usize) else { return };
        let Deadline::At(deadline) = entry.wait.deadline else { return };
        if entry.armed.is_none_or(|armed| deadline < armed) {
            entry.armed = Some(deadline);
            self.timers.insert(key, deadline);
        }
    }

    fn close(&mut self, key: Key) {
        let entry = self.connections.remove(key.place as usize);
        self.phases[entry.wait.phase as usize] -= 1;
        // Dropping the connection closes its socket, which leaves the kernel's readiness queue by that.
    }

    fn entry(&mut self, key: Key) -> Option<&mut Entry<S::Connection>> {
        self.connections.get_mut(key.place as usize).filter(|entry| entry.serial == key.serial)
    }

    // --- jobs ---

    fn submit_jobs(&mut self, key: Key) {
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

    // --- watched descriptors ---

    /// Finds out which of a connection's watched descriptors are ready. The queue said only that one is; most
    /// connections watch none, and those that do, one or two.
    fn note_watched(&mut self, key: Key) -> bool {
        let Some(watches) = self.entry(key).and_then(|entry| entry.watches.as_deref_mut()) else {
            return false;
        };
        let mut polled: Vec<PollEntry> = watches
            .iter()
            .map(|watch| PollEntry::new(watch.fd, crate::drive::poll_interest(watch.interest)))
            .collect();
        if poll(&mut polled, Some(Duration::ZERO)).is_err() {
            return false; // Level-triggered: it is told again.
        }
        let mut any = false;
        for entry in polled.iter().filter(|entry| !entry.returned().is_empty()) {
            any |= watches.note_ready(entry.fd(), crate::drive::interest(entry.returned()));
        }
        any
    }

    // --- the end ---

    /// Takes no new connections, and tells those that are there.
    fn drain(&mut self, now: Moment) {
        if self.draining {
            return;
        }
        // Readable for ever, and heard. It can only fail if it was not there.
        let _ = sys::epoll::remove(&self.poll, &self.child.orders.descriptors()[0]);
        let stopping = self.child.scoreboard.global().stopping.load(Relaxed) != 0;
        if stopping && !self.shared.accept_thread.is_running() {
            self.take_what_is_queued(now);
        }
        self.draining = true;
        self.set_accepting(Accepting::Over, now);
        self.accepting = Accepting::Over;
        self.child.retire(); // Wakes the accept thread, wherever it waits.
        if stopping {
            self.shared.door.set_open(true); // It takes what is queued, and ends by itself.
        } else {
            self.shared.door.close_for_good();
        }
        let all: Vec<Key> = self
            .connections
            .iter()
            .map(|(place, entry)| Key {
                place: u32::try_from(place).expect("descriptors are fewer than 2^32"),
                serial: entry.serial,
            })
            .collect();
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

    /// Writes the loop's numbers to the scoreboard, once a turn.
    fn publish(&self) {
        let record = self.child.record();
        record
            .connections
            .store(u32::try_from(self.connections.len()).unwrap_or(u32::MAX), Relaxed);
        for (gauge, phase) in [
            (&record.parked_request, Phase::Request),
            (&record.parked_response, Phase::Response),
            (&record.parked_idle, Phase::Idle),
            (&record.parked_linger, Phase::Linger),
        ] {
            gauge.store(self.phases[phase as usize], Relaxed);
        }
        record.jobs.store(self.jobs_outstanding, Relaxed);
    }
}

impl News {
    fn sort(&mut self, events: &Events) {
        self.ready.clear();
        self.watched.clear();
        self.listeners.clear();
        (self.woken, self.finish) = (false, false);
        for event in events {
            match event.token().0 {
                ORDERS => self.finish = true,
                WAKER => self.woken = true,
                token if token >= LISTENERS => {
                    let number =
                        u16::try_from(token - LISTENERS).expect("listeners are numbered by u16");
                    self.listeners.push(ListenerId(number));
                }
                token if token & WATCHED != 0 => self.watched.push(Key::from_token(token)),
                token => {
                    let broken = event.is_error();
                    let read =
                        if event.is_readable() || broken { Interest::READ } else { Interest::NONE };
                    let write = if event.is_writable() || broken {
                        Interest::WRITE
                    } else {
                        Interest::NONE
                    };
                    self.ready.push((
                        Key::from_token(token),
                        read.and(write),
                        event.is_read_closed() || broken,
                    ));
                }
            }
        }
    }
}

/// Brings the kernel's list of a connection's watched descriptors up to date. They are level-triggered, since only
/// the connection reads them: it must not miss what it left unread.
fn sync_watches(poll: &Poll, key: Key, watches: &mut Watches, gone: bool) {
    let token = (key.token() | WATCHED) as u64;
    for watch in watches.iter_mut() {
        let wanted = if gone { Interest::NONE } else { watch.interest };
        if std::mem::take(&mut watch.given_up) && !watch.registered.is_none() {
            // A descriptor that was closed has left the queue by itself.
            let _ = sys::epoll::remove(poll, &watch.fd);
            watch.registered = Interest::NONE;
        }
        if wanted == watch.registered {
            continue;
        }
        let done = if wanted.is_none() {
            sys::epoll::remove(poll, &watch.fd)
        } else if watch.registered.is_none() {
            sys::epoll::add(poll, &watch.fd, queue_events(wanted), token)
        } else {
            sys::epoll::modify(poll, &watch.fd, queue_events(wanted), token)
        };
        watch.registered = if done.is_ok() { wanted } else { Interest::NONE };
    }
    watches.prune();
}

fn queue_events(interest: Interest) -> sys::epoll::Events {
    let read =
        if interest.is_read() { sys::epoll::Events::READ } else { sys::epoll::Events::empty() };
    let write =
        if interest.is_write() { sys::epoll::Events::WRITE } else { sys::epoll::Events::empty() };
    read | write
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
        report_done(shared, key);
    }
    slot.set_state(State::Graceful, Moment::now());
}

fn run_one_job(shared: &Shared) {
    if let Some(((key, _words), work)) = shared.jobs.pop() {
        work();
        report_done(shared, key);
    }
}

fn report_done(shared: &Shared, key: Key) {
    let mut done = lock(&shared.done);
    done.push(key);
    // The first one wakes the loop, which takes all.
    if done.len() == 1 {
        shared.wake_loop();
    }
}

/// The accept thread: at the gate in the loop's place.
fn run_accept_thread<S: Service>(child: &Child<'_, S>, shared: &Shared) {
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

/// Measures which share of the last second the loop did not wait.
#[derive(Debug)]
struct LoadMeter {
    window_start: Moment,
    waited: Duration,
    /// Of the last complete window, in thousandths.
    busy_permille: u32,
}

impl LoadMeter {
    fn new(now: Moment) -> Self {
        Self { window_start: now, waited: Duration::ZERO, busy_permille: 0 }
    }

    fn waited(&mut self, from: Moment, to: Moment) {
        self.waited += to.since(from);
        let window = to.since(self.window_start);
        if window >= SHARE_WINDOW {
            self.busy_permille = busy_permille(window, self.waited);
            *self = Self { window_start: to, waited: Duration::ZERO, ..*self };
        }
    }

    fn busy_threads(&self, threads: u32, jobs: u32) -> u32 {
        jobs.max(threads * self.busy_permille / 1000).min(threads)
    }
}

/// The share of a window that was not spent waiting, in thousandths.
pub(crate) fn busy_permille(window: Duration, waited: Duration) -> u32 {
    let busy = window.saturating_sub(waited);
    u32::try_from(busy.as_micros() * 1000 / window.as_micros().max(1)).unwrap_or(1000).min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_token() {
        for key in [Key { place: 0, serial: 1 }, Key { place: u32::MAX, serial: SERIAL_MASK >> 1 }]
        {
            assert_eq!(Key::from_token(key.token()), key);
            assert_eq!(Key::from_token(key.token() | WATCHED), key);
            assert!(key.token() < LISTENERS);
        }
    }

    #[test]
    fn the_load_is_the_share_of_time_not_waited() {
        let at = |ms| Moment::from_start(Duration::from_millis(ms));
        let mut meter = LoadMeter::new(at(0));
        assert_eq!(meter.busy_threads(25, 3), 3);
        meter.waited(at(100), at(600));
        meter.waited(at(900), at(1000));
        assert_eq!(meter.busy_permille, 400);
        assert_eq!(meter.busy_threads(25, 3), 10);
        assert_eq!(meter.busy_threads(25, 90), 25);
    }
}
