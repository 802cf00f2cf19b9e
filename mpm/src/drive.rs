//! One connection, from accept to close, on one thread: how prefork's process and worker's threads wait.

use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use herdgate_sys as sys;
use sys::poll::{Interest as PollInterest, PollEntry, poll};

use crate::admission::NewConnection;
use crate::child::{Orders, WorkerSeat};
use crate::job::Work;
use crate::scoreboard::State;
use crate::turn::{Turn, Watches};
use crate::{Connection, Deadline, Interest, Moment, Service, Step, Wait, Why};

/// Serves one connection to its end, and waits with it.
pub(crate) fn serve_to_end<S: Service>(
    seat: &mut WorkerSeat<'_, S>,
    orders: &Orders,
    new: NewConnection,
) {
    seat.slot.count_connection();
    seat.slot.set_state(State::Reading, Moment::now());
    let mut served = Served {
        connection: seat.service.connect(new.socket, new.peer, new.listener),
        watches: Watches::default(),
        draining: false,
        polled: Vec::with_capacity(2),
    };
    let mut why = Why::Accepted;
    loop {
        seat.service.begin_turn(&mut seat.local);
        let step = served.advance_while_possible(seat, why);
        seat.service.end_turn(&mut seat.local);
        let Step::Wait(wait) = step else { return };
        seat.slot.set_state(wait.phase.into(), Moment::now());
        why = served.wait(wait, orders);
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

impl<C> Served<C> {
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
            let Step::Wait(wait) = step else { return step };
            if !jobs.is_empty() {
                jobs.drain(..).for_each(|job| job());
                why = Why::JobDone;
            } else if self.connection.socket().ready().intersects(wait.client) {
                why = Why::Ready(self.connection.socket().ready());
            } else {
                return step;
            }
        }
    }

    /// Sleeps until something happens that the connection waits for.
    fn wait<L>(&mut self, wait: Wait, orders: &Orders) -> Why
    where
        C: Connection<L>,
    {
        let socket = self.connection.socket();
        let first_watch = 2;
        self.polled.clear();
        self.polled.push(PollEntry::new(socket.as_raw_fd(), poll_interest(wait.client)));
        // The order to finish is heard once; after that its pipe, readable for ever, would only keep us awake.
        let orders_interest =
            if self.draining { PollInterest::empty() } else { PollInterest::READ };
        self.polled.push(PollEntry::new(orders.as_raw_fd(), orders_interest));
        for watch in self.watches.iter() {
            self.polled.push(PollEntry::new(watch.fd, poll_interest(watch.interest)));
        }
        // The deadline is a point in time: an interruption does not start it anew.
        while let Err(error) = poll_until(&mut self.polled, wait.deadline) {
            // poll(2) fails otherwise only for lack of memory in the kernel: this connection is the price.
            if error.kind() != io::ErrorKind::Interrupted {
                return Why::Expired;
            }
        }
        let mut watched = false;
        let (fixed, watches) = self.polled.split_at(first_watch);
        for entry in watches {
            let returned = entry.returned();
            if !returned.is_empty() {
                watched |= self.watches.note_ready(entry.fd(), interest(returned));
            }
        }
        let client = fixed[0].returned();
        if !client.is_empty() {
            socket.note_ready(interest(client), client.hangup());
        }
        if !fixed[1].returned().is_empty() {
            self.draining = true;
            return Why::Drain; // The client's news are noted in its socket, and come next.
        }
        if !client.is_empty() || watched { Why::Ready(interest(client)) } else { Why::Expired }
    }
}

/// `TimedOut` when the deadline passes first.
fn poll_until(entries: &mut [PollEntry], deadline: Deadline) -> io::Result<()> {
    // A deadline that has just passed still gets a look at what is ready: news come before lateness.
    let left: Option<Duration> = deadline.left(Moment::now());
    match poll(entries, left)? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

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
