//! A child process: what it has, how it learns that it should finish, and how it ends.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, Thread};
use std::time::Duration;

use herdgate_sys as sys;
use sys::poll::{Interest as PollInterest, PollEntry, poll};

use sys::EventFd;

use crate::demand::Hint;
use crate::gate::Gate;
use crate::job::lock;
use crate::listen::{Listeners, Overflow};
use crate::scoreboard::{ChildRecord, GateRecord, QueueRecord, Scoreboard, SlotWriter, State};
use crate::turn::Buffers;
use crate::{ChildNotice, Model, Moment, Service, Settings};

/// How long a child without descriptors or memory leaves its listeners alone.
pub(crate) const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);
/// How often one child says that it is short of something: the log's disk may be what is short next.
const SHORTAGE_SAID_EVERY: Duration = Duration::from_secs(60);

/// Who a child is, for its service.
#[derive(Clone, Debug)]
pub struct ChildContext {
    /// Its place on the scoreboard.
    pub number: usize,
    /// Its generation; the first is 0.
    pub generation: u32,
    /// How it waits.
    pub model: Model,
    /// Its bucket.
    pub bucket: usize,
    /// Its bucket's listeners.
    pub listeners: Listeners,
    /// All children's scoreboard, to be looked at.
    pub scoreboard: Scoreboard,
}

/// How a child ends. The numbers are its exit codes, as Apache's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Told to, or after its share of connections.
    Finished = 0,
    /// Something is short, or broken, in this child: a new one may do better.
    Sick = 7,
}

/// All that a child's threads share.
pub(crate) struct Child<'a, S: Service> {
    pub(crate) service: &'a S,
    pub(crate) settings: &'a Settings,
    pub(crate) context: ChildContext,
    pub(crate) gate: &'a dyn Gate,
    pub(crate) scoreboard: &'a Scoreboard,
    pub(crate) orders: Orders,
    /// Wakes the supervisor when the last idle worker is taken; none if nobody is to be woken.
    pub(crate) demand: Option<&'a EventFd>,
    /// Its bucket's.
    pub(crate) hint: &'a Hint,
    /// Full buckets' listeners, if there are several buckets.
    pub(crate) overflow: Option<&'a Overflow>,
    /// Connections taken so far.
    pub(crate) accepted: AtomicU64,
    /// `MaxConnectionsPerChild`, with this child's own jitter.
    pub(crate) connections_max: Option<u64>,
    /// When it said last that descriptors or memory are short.
    pub(crate) shortage_said: Mutex<Option<Moment>>,
}

impl<S: Service> Child<'_, S> {
    pub(crate) fn record(&self) -> &ChildRecord {
        &self.scoreboard.children()[self.context.number]
    }

    pub(crate) fn gate_record(&self) -> &GateRecord {
        &self.scoreboard.gates()[self.context.number]
    }

    pub(crate) fn queue_record(&self) -> &QueueRecord {
        &self.scoreboard.queues()[self.context.number]
    }

    /// Whether this child has had its share of connections.
    pub(crate) fn has_served_enough(&self) -> bool {
        self.connections_max.is_some_and(|max| self.accepted.load(Relaxed) >= max)
    }

    /// This child will take no more connections, by its own decision: a successor may be needed.
    pub(crate) fn retire(&self) {
        self.orders.finish_by_ourselves();
        self.record().retiring.store(1, Relaxed);
        self.ask_for_workers();
    }

    /// A worker has got a connection. Who takes the last one of its bucket wakes the supervisor.
    pub(crate) fn take_worker(&self, slot: SlotWriter<'_>) {
        slot.set_state(State::Reading, Moment::now()); // First: see `demand`.
        if self.hint.take_worker() {
            self.wake_supervisor();
        }
    }

    /// A worker is idle again.
    pub(crate) fn give_worker_back(&self) {
        self.hint.give_worker_back();
    }

    /// There is nobody left here who could take a connection: wakes the supervisor, if it waits for that.
    pub(crate) fn ask_for_workers(&self) {
        if self.hint.is_awaited() {
            self.wake_supervisor();
        }
    }

    fn wake_supervisor(&self) {
        if let Some(bell) = self.demand {
            let _ = bell.signal(); // A full counter has woken it already.
        }
    }

    /// No descriptor, or no memory, for a connection that waits: says so, and leaves the gate to others for a moment.
    pub(crate) fn wait_out_shortage(&self, error: &io::Error) {
        self.say_shortage(Some(error));
        self.orders.sleep(SHORTAGE_PAUSE);
    }

    /// Says what is short, or that only the reserve of descriptors is left, unless that was said a moment ago.
    pub(crate) fn say_shortage(&self, error: Option<&io::Error>) {
        let now = Moment::now();
        let mut said = lock(&self.shortage_said);
        if said.is_none_or(|last| now.since(last) >= SHORTAGE_SAID_EVERY) {
            *said = Some(now);
            self.service.notice(error.map_or(ChildNotice::FewDescriptors, ChildNotice::Shortage));
        }
    }

    /// Called when this child accepts no more, though it may still serve for long. If its supervisor was killed, nobody
    /// else ends the listening: clients would wait in a queue that nobody empties, and the next server could not have
    /// the address.
    pub(crate) fn leave_listeners_if_orphaned(&self) {
        // A supervisor that lives marks a child before it tells it.
        if self.orders.are_given() && self.record().finishing.load(Relaxed) == 0 {
            self.context.listeners.let_go_here();
        }
    }

    /// Sits down as worker `number` of this child, on the calling thread.
    pub(crate) fn worker(&self, number: usize) -> WorkerSeat<'_, S> {
        let slot = self.scoreboard.writer(self.context.number, number);
        slot.started(self.context.generation, Moment::now());
        WorkerSeat {
            service: self.service,
            local: self.service.thread_init(&self.context),
            buffers: Buffers::new(self.settings.read_buffer_bytes),
            buffer_bytes: self.settings.read_buffer_bytes,
            slot,
        }
    }

    /// Starts a named thread within `scope`. No signal ever interrupts its system calls: a child has no handlers, it
    /// ignores what is meant for the supervisor, and the rest kills.
    pub(crate) fn spawn<'scope, 'env>(
        &self,
        scope: &'scope thread::Scope<'scope, 'env>,
        name: String,
        body: impl FnOnce() + Send + 'scope,
    ) -> io::Result<Thread> {
        let mut builder = thread::Builder::new().name(name);
        if let Some(bytes) = self.settings.thread_stack_bytes {
            builder = builder.stack_size(bytes);
        }
        builder.spawn_scoped(scope, body).map(|handle| handle.thread().clone())
    }
}

/// One worker at work: the thread's own things, which it lends to each connection in turn.
pub(crate) struct WorkerSeat<'a, S: Service> {
    pub(crate) service: &'a S,
    pub(crate) local: S::Local,
    pub(crate) buffers: Buffers,
    pub(crate) buffer_bytes: usize,
    pub(crate) slot: SlotWriter<'a>,
}

/// How a child's threads hear that they should finish.
///
/// - By the end of file of a pipe whose other end only the supervisor holds. So an order and the supervisor's death
///   look alike, and are obeyed alike: take nothing new, finish what is there, go.
/// - By the child's own decision, after its share of connections.
///
/// Both stay readable for ever, for every thread that looks.
pub(crate) struct Orders {
    pipe: OwnedFd,
    own: EventFd,
}

impl Orders {
    pub(crate) fn new(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self { pipe, own: EventFd::new()? })
    }

    /// The child has decided to finish: wakes all its threads that wait.
    pub(crate) fn finish_by_ourselves(&self) {
        let _ = self.own.signal(); // A full counter has woken them already.
    }

    /// One of them.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// What to wait for, beside everything else.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        [self.pipe.as_raw_fd(), self.own.as_fd().as_raw_fd()]
    }

    /// Whether the supervisor has told us, or has died.
    fn are_given(&self) -> bool {
        let mut pipe = [PollEntry::new(self.pipe.as_raw_fd(), PollInterest::READ)];
        matches!(poll(&mut pipe, Some(Duration::ZERO)), Ok(1))
    }

    /// Sleeps for a while, or until the child should finish.
    fn sleep(&self, pause: Duration) {
        let mut entries = self.descriptors().map(|fd| PollEntry::new(fd, PollInterest::READ));
        // Cut short or not: the caller looks at the world again anyway.
        let _ = poll(&mut entries, Some(pause));
    }
}
