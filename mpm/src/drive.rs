//! One connection, from accept to close, on one thread: how prefork's process and worker's threads wait.

use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use herdgate_sys as sys;
use sys::poll::{Interest as PollInterest, PollEntry, poll};

use crate::admission::NewConnection;
use crate::child::{Child, Orders, WorkerSeat};
use crate::job::Work;
use crate::turn::{Buffers, Turn, Watches};
use crate::{ChildNotice, Connection, Interest, Moment, Service, Step, Wait, Why};

/// Serves one connection to its end, and waits with it. A panic costs this connection, and nothing else.
pub(crate) fn serve_to_end<S: Service>(
    child: &Child<'_, S>,
    seat: &mut WorkerSeat<'_, S>,
    new: NewConnection,
) {
    seat.slot.count_connection();
    // Unwind safety: what a panic may leave half-done is the connection, which is dropped, and the buffers, which are
    // made anew.
    let served = catch_unwind(AssertUnwindSafe(|| {
        Served::new(seat.service.connect(new.socket, new.peer, new.listener)).run(child, seat);
    }));
    if served.is_err() {
        seat.buffers = Buffers::new(seat.buffer_bytes);
        seat.service.notice(ChildNotice::Panicked);
        seat.service.end_turn(&mut seat.local);
    }
}

/// The connection that a worker serves.
struct Served<C> {
    connection: C,
    watches: Watches,
    /// It has been told that the child finishes.
    draining: bool,
    /// What it waits for, in the kernel's form; kept to be filled again.
    polled: Vec<PollEntry>,
}

/// A connection whose socket never runs dry hands over after so many advances: its log lines leave, and orders and
/// deadlines are looked at.
const ADVANCES_MAX: u32 = 16;
/// Where the orders' two descriptors stand among the polled ones, after the client's.
const ORDERS_AT: std::ops::Range<usize> = 1..3;

impl<C> Served<C> {
    fn new(connection: C) -> Self {
        Self { connection, watches: Watches::default(), draining: false, polled: Vec::new() }
    }

    fn run<S: Service<Connection = C>>(
        &mut self,
        child: &Child<'_, S>,
        seat: &mut WorkerSeat<'_, S>,
    ) where
        C: Connection<S::Local>,
    {
        let mut why = Why::Accepted;
        loop {
            seat.service.begin_turn(&mut seat.local);
            let step = self.advance_while_possible(seat, why);
            seat.service.end_turn(&mut seat.local);
            let Step::Wait(wait) = step else { return };
            seat.slot.set_state(wait.phase.into(), Moment::now());
            seat.slot.set_waits_for_client(!wait.client.is_none());
            why = self.wait(wait, &child.orders);
            seat.slot.set_waits_for_client(false);
            if why == Why::Drain {
                child.leave_listeners_if_orphaned(); // The client may take long.
            }
        }
    }

    /// Advances until only waiting helps. Jobs run here, in place: nobody else waits for this thread.
    fn advance_while_possible<S: Service<Connection = C>>(
        &mut self,
        seat: &mut WorkerSeat<'_, S>,
        why: Why,
    ) -> Step
    where
        C: Connection<S::Local>,
    {
        let mut why = why;
        let mut jobs: Vec<Work> = Vec::new();
        let mut advances = 0;
        loop {
            seat.buffers.write.clear();
            let step = self.connection.advance(&mut Turn {
                why,
                now: Moment::now(),
                draining: self.draining,
                local: &mut seat.local,
                buffers: &mut seat.buffers,
                slot: seat.slot,
                watches: &mut self.watches,
                jobs: &mut jobs,
            });
            self.watches.clear_ready();
            self.watches.prune();
            let Step::Wait(wait) = step else { return step };
            advances += 1;
            if !jobs.is_empty() {
                jobs.drain(..).for_each(|job| job());
                why = Why::JobDone;
            } else if advances < ADVANCES_MAX && self.is_ready(wait) {
                why = Why::Ready(self.connection.socket().ready());
            } else {
                return step;
            }
        }
    }

    /// Whether the socket may have what the connection waits for.
    fn is_ready<L>(&self, wait: Wait) -> bool
    where
        C: Connection<L>,
    {
        self.connection.socket().ready().intersects(wait.client)
    }

    /// Sleeps until something happens that the connection waits for.
    fn wait<L>(&mut self, wait: Wait, orders: &Orders) -> Why
    where
        C: Connection<L>,
    {
        loop {
            self.fill_polled(wait, orders);
            let is_ready = self.is_ready(wait);
            let left =
                if is_ready { Some(Duration::ZERO) } else { wait.deadline.left(Moment::now()) };
            match poll(&mut self.polled, left) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) if is_ready => return Why::Ready(self.connection.socket().ready()),
                Ok(0) if wait.deadline.has_passed(Moment::now() + CLOCK_STEP) => {
                    return Why::Expired;
                }
                Ok(_) => {}
                Err(_) => return Why::Expired, // No memory in the kernel: this connection is the price.
            }
            if let Some(why) = self.news(wait) {
                return why;
            }
        }
    }

    fn fill_polled<L>(&mut self, wait: Wait, orders: &Orders)
    where
        C: Connection<L>,
    {
        let socket = self.connection.socket();
        // The kernel reports a broken connection even to who asked for nothing: heard once, it is asked no more.
        let deaf = wait.client.is_none() && socket.is_read_closed();
        let client = if deaf { SKIPPED } else { socket.as_raw_fd() };
        self.polled.clear();
        self.polled.push(PollEntry::new(client, poll_interest(wait.client)));
        // The order to finish is heard once, too: readable for ever, it would only keep us awake.
        for order in orders.descriptors() {
            let order = if self.draining { SKIPPED } else { order };
            self.polled.push(PollEntry::new(order, PollInterest::READ));
        }
        for watch in self.watches.iter().filter(|watch| !watch.interest.is_none()) {
            self.polled.push(PollEntry::new(watch.fd, poll_interest(watch.interest)));
        }
    }

    /// Notes what poll(2) has found, and says whether it concerns the connection.
    fn news<L>(&mut self, wait: Wait) -> Option<Why>
    where
        C: Connection<L>,
    {
        let mut watched = false;
        for entry in &self.polled[ORDERS_AT.end..] {
            if !entry.returned().is_empty() {
                watched |= self.watches.note_ready(entry.fd(), interest(entry.returned()));
            }
        }
        let client = self.polled[0].returned();
        if !client.is_empty() {
            let gone = client.hangup() || client.error();
            self.connection.socket().note_ready(interest(client), gone);
        }
        if self.polled[ORDERS_AT].iter().any(|order| !order.returned().is_empty()) {
            self.draining = true;
            return Some(Why::Drain); // The client's news are noted in its socket, and come next.
        }
        let client = interest(client);
        (watched || client.intersects(wait.client)).then_some(Why::Ready(client))
    }
}

/// poll(2) skips negative descriptors.
const SKIPPED: RawFd = -1;
/// The coarse clock may lag behind the one that poll(2) sleeps by.
const CLOCK_STEP: Duration = Duration::from_millis(10);

pub(crate) fn poll_interest(interest: Interest) -> PollInterest {
    match (interest.is_read(), interest.is_write()) {
        (false, false) => PollInterest::empty(),
        (true, false) => PollInterest::READ,
        (false, true) => PollInterest::WRITE,
        (true, true) => PollInterest::READ | PollInterest::WRITE,
    }
}

/// Errors and hang-ups count as readiness for everything: the next call tells them.
pub(crate) fn interest(returned: sys::poll::Returned) -> Interest {
    if returned.error() || returned.hangup() || returned.invalid() {
        return Interest::BOTH;
    }
    let read = if returned.readable() { Interest::READ } else { Interest::NONE };
    let write = if returned.writable() { Interest::WRITE } else { Interest::NONE };
    read.and(write)
}
