//! New connections: from a listener, or from the accept thread, into the loop.
//!
//! ```text
//!   gate none, exclusive   listeners in the readiness queue ──ready──▶ accept ─┐
//!   mutex, counted         accept thread ──▶ mailbox ──────────────────────────┴▶ welcome ─▶ advance
//!                          the door: Yes · Full · ShortUntil · Over
//! ```
//!
//! - The door closes before the last descriptors are taken: files and logs need them.

use std::io;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use herdgate_sys as sys;

use super::EventLoop;
use super::news::{News, Source};
use crate::admission::{self, Admitted, NewConnection};
use crate::child::SHORTAGE_PAUSE;
use crate::gate::Wakeups;
use crate::listen::ListenerId;
use crate::scoreboard::add;
use crate::{Moment, Service, Why};

/// Connections taken from one listener in one turn: what is there belongs to the other children, too.
const ACCEPTS_PER_TURN: usize = 4;
/// After so many turns with a connection each, a listener has a queue.
const QUEUE_IS_SURE: u32 = 4;

/// Whether the loop takes new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    Yes,
    /// For lack of room; looked at again in each turn.
    Full,
    /// For lack of descriptors or memory, until then.
    ShortUntil(Moment),
    /// Never again.
    Over,
}

impl<S: Service> EventLoop<'_, '_, S> {
    // --- coming in ---

    /// Takes in who came with this turn's news.
    pub(super) fn accept(&mut self, news: &News, now: Moment) {
        if news.listeners.is_empty() {
            self.full_turns = 0;
        }
        for id in &news.listeners {
            self.accept_some(*id, now);
        }
    }

    /// Takes a connection from a listener that is ready, or a few if it has a queue. To look for one more costs a system
    /// call, and mostly there is none; the wait that follows anyway tells it as well. But where it has told so several
    /// times on end, the look pays.
    fn accept_some(&mut self, id: ListenerId, now: Moment) {
        let max = if self.full_turns < QUEUE_IS_SURE { 1 } else { ACCEPTS_PER_TURN };
        for number in 0..max {
            match admission::accept(self.child, id) {
                Some(Admitted::Connection(new)) => self.welcome(new, now),
                Some(Admitted::Shortage(error)) => {
                    return self.pause_for_shortage(Some(&error), now);
                }
                Some(Admitted::Finish) | None => {
                    self.full_turns = 0;
                    if number == 0 {
                        add(&self.child.record().wakeups_wasted, 1);
                    }
                    return;
                }
            }
            let is_short = matches!(self.accepting, Accepting::ShortUntil(_));
            if self.child.has_served_enough() || self.room() == 0 || is_short {
                return;
            }
        }
        self.full_turns += 1;
    }

    /// Lets a connection begin: its first bytes may have come with it. The kernel hears of it when it must wait.
    pub(super) fn welcome(&mut self, new: NewConnection, now: Moment) {
        self.seat.slot.count_connection();
        let takes_of_reserve = self.reserve.has(new.socket.as_fd());
        let service = self.seat.service;
        let connect = || service.connect(new.socket, new.peer, new.listener);
        let Ok(connection) = catch_unwind(AssertUnwindSafe(connect)) else {
            return self.panicked();
        };
        let key = self.parked.insert(connection);
        self.advance(key, Why::Accepted, now);
        if self.draining {
            self.advance(key, Why::Drain, now);
        } else if takes_of_reserve {
            self.pause_for_shortage(None, now);
        }
    }

    // --- the door ---

    /// Opens or closes the door, by what there is room for.
    pub(super) fn accept_as_there_is_room(&mut self, now: Moment) {
        self.look_for_room(now);
        if self.accept_thread_runs {
            self.open_the_door();
        }
    }

    fn look_for_room(&mut self, now: Moment) {
        let wanted = match self.accepting {
            Accepting::Over => return,
            Accepting::ShortUntil(until) if now < until => return,
            Accepting::ShortUntil(_) if self.reserve.is_next(self.child.orders.as_fd()) => {
                return self.pause_for_shortage(None, now);
            }
            Accepting::ShortUntil(_) | Accepting::Full | Accepting::Yes => {
                if self.room() > 0 {
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
            if self.room_but_for_its_load() == 0 {
                self.shed_idle(now);
            }
        }
        self.set_accepting(wanted, now);
    }

    pub(super) fn set_accepting(&mut self, wanted: Accepting, now: Moment) {
        if self.accepting == wanted {
            return;
        }
        let (was, is) = (self.accepting == Accepting::Yes, wanted == Accepting::Yes);
        self.accepting = wanted;
        self.child.record().not_accepting.store(u32::from(!is), Relaxed);
        if was == is {
            return;
        }
        if !self.child.settings.gate.keeps_waiting()
            && let Err(error) = self.register_listeners(is)
        {
            self.child.say_shortage(Some(&error));
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
                let token = Source::Listener(id).number();
                sys::epoll::add(&self.poll, &listener.as_fd(), wakeups, token)?;
            }
        }
        if let Some(overflow) = self.child.overflow {
            let _ = sys::epoll::remove(&self.poll, overflow);
            if wanted {
                let token = Source::Listener(ListenerId::OVERFLOW).number();
                sys::epoll::add(&self.poll, overflow, sys::epoll::Events::READ, token)?;
            }
        }
        Ok(())
    }

    /// Descriptors or memory are short, or but the reserve of descriptors is left.
    fn pause_for_shortage(&mut self, error: Option<&io::Error>, now: Moment) {
        self.child.say_shortage(error);
        self.shed_idle(now);
        if self.accepting != Accepting::Over {
            self.set_accepting(Accepting::ShortUntil(now + SHORTAGE_PAUSE), now);
        }
    }
}
