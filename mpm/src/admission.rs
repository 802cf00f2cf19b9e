//! From the gate to an accepted connection: what prefork, worker and event's accept thread have in common.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;

use herdgate_sys as sys;
use sys::epoll::{Epoll, Event, Events};
use sys::net::Peer;

use crate::child::Child;
use crate::gate::{Entered, Pass, Wakeups};
use crate::listen::ListenerId;
use crate::scoreboard::{QueueRecord, add};
use crate::{ChildNotice, Moment, Service, Socket};

/// A connection that nobody serves yet.
#[derive(Debug)]
pub(crate) struct NewConnection {
    pub(crate) socket: Socket,
    pub(crate) peer: Peer,
    pub(crate) listener: ListenerId,
}

/// What came of waiting at the gate.
#[derive(Debug)]
pub(crate) enum Admitted {
    Connection(NewConnection),
    /// The child should finish.
    Finish,
    /// No descriptor or no memory for a connection: it stays in the kernel's queue.
    Shortage(io::Error),
}

/// The wait for the listeners, behind the gate.
pub(crate) struct Admission<'a, S: Service> {
    child: &'a Child<'a, S>,
    pass: Box<dyn Pass + 'a>,
    epoll: Epoll,
    /// The listener that is asked first, moved on after each connection: a busy one must not starve the others.
    first: usize,
    /// The order to finish was heard.
    finishing: bool,
}

/// Stands for the orders' pipe among the listeners' numbers.
const ORDERS: u64 = u64::MAX;

impl<'a, S: Service> Admission<'a, S> {
    pub(crate) fn new(child: &'a Child<'a, S>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let wakeups = match child.gate.wakeups() {
            Wakeups::Everyone => Events::READ,
            Wakeups::One => Events::READ | Events::EXCLUSIVE,
        };
        for (id, listener) in child.context.listeners.iter() {
            sys::epoll::add(&epoll, &listener.as_fd(), wakeups, u64::from(id.0))?;
        }
        if let Some(overflow) = child.overflow {
            sys::epoll::add(&epoll, overflow, Events::READ, ListenerId::OVERFLOW.0.into())?;
        }
        for order in child.orders.descriptors() {
            sys::epoll::add(&epoll, &order, Events::READ, ORDERS)?;
        }
        Ok(Self { child, pass: child.gate.pass()?, epoll, first: 0, finishing: false })
    }

    /// Goes through the gate, waits for a connection, accepts it, and leaves.
    ///
    /// Who queues at a mutex cannot be woken. So the order to finish is looked at inside, where everyone comes by:
    /// the one inside is woken by the pipe, leaves, and the next one sees it at once.
    pub(crate) fn next(&mut self) -> io::Result<Admitted> {
        let at_gate = &self.child.record().at_gate;
        at_gate.store(1, Relaxed);
        let entered = self.enter()?;
        at_gate.store(2, Relaxed);
        let after_death = entered == Entered::AfterDeath;
        add(&self.child.gate_record().after_death, u64::from(after_death));
        let admitted = self.wait_and_accept();
        self.pass.leave()?;
        at_gate.store(0, Relaxed);
        if after_death {
            // Said outside: a log may be slow, and nobody shall wait for it at the gate.
            self.child.service.notice(ChildNotice::GateHolderDied);
        }
        admitted
    }

    /// Goes in. The clock is read only by who must wait, and so has time for it.
    fn enter(&mut self) -> io::Result<Entered> {
        let record = self.child.gate_record();
        if let Some(entered) = self.pass.try_enter()? {
            record.entered();
            return Ok(entered);
        }
        let start = sys::clock::monotonic();
        let entered = self.pass.enter()?;
        record.entered_after(sys::clock::monotonic().saturating_sub(start));
        Ok(entered)
    }

    fn wait_and_accept(&mut self) -> io::Result<Admitted> {
        let listeners = self.child.context.listeners.clone();
        loop {
            let mut events = [Event::empty(); 16];
            let count = match self.epoll.wait(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            let ready = &events[..count];
            let to_finish = ready.iter().any(|event| event.data() == ORDERS);
            // The kernel may have woken us alone for a connection that came with the order: who leaves it would leave
            // it to nobody. And when the server stops, nobody else will take what the kernel has queued.
            let was_finishing = std::mem::replace(&mut self.finishing, to_finish);
            if was_finishing && self.child.scoreboard.global().stopping.load(Relaxed) == 0 {
                return Ok(Admitted::Finish);
            }
            // The overflow comes in turn as well, behind the last listener.
            let turns = listeners.len() + usize::from(self.child.overflow.is_some());
            for number in (self.first..self.first + turns).map(|number| number % turns) {
                let id = match u16::try_from(number).expect("listeners are numbered by u16") {
                    id if number < listeners.len() => ListenerId(id),
                    _ => ListenerId::OVERFLOW,
                };
                if !ready.iter().any(|event| event.data() == u64::from(id.0)) {
                    continue;
                }
                if let Some(admitted) = accept(self.child, id) {
                    self.first = number + 1;
                    return Ok(admitted);
                }
            }
            if to_finish {
                return Ok(Admitted::Finish);
            }
            add(&self.child.record().wakeups_wasted, 1);
        }
    }
}

/// Takes one connection from a listener, if there is still one.
pub(crate) fn accept<S: Service>(child: &Child<'_, S>, id: ListenerId) -> Option<Admitted> {
    let (listener, id) = match child.overflow.filter(|_| id == ListenerId::OVERFLOW) {
        Some(overflow) => overflow.next()?,
        None => (child.context.listeners.get(id), id),
    };
    match sys::net::accept(listener.as_fd()) {
        Ok((fd, peer)) => {
            let earlier = child.accepted.fetch_add(1, Relaxed);
            add(&child.record().accepted, 1);
            if matches!(peer, Peer::Inet(_)) {
                note_wait(child.queue_record(), &fd, earlier);
            }
            let socket = Socket::new(fd);
            Some(Admitted::Connection(NewConnection { socket, peer, listener: id }))
        }
        Err(error) if is_shortage(&error) => Some(Admitted::Shortage(error)),
        // Somebody else was quicker, or the client has gone: not our trouble (accept(2), "Error handling").
        Err(_) => None,
    }
}

/// Notes how long a connection had to wait for us, if it is one of those that are asked. The kernel knows, since it has
/// made the socket.
fn note_wait(record: &QueueRecord, socket: &OwnedFd, earlier: u64) {
    let now = Moment::now();
    if record.is_asked(earlier, now)
        && let Ok(wait) = sys::net::waited_in_queue(socket.as_fd())
    {
        record.left_after(wait, now);
    }
}

fn is_shortage(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}
