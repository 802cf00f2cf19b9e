//! What other threads tell the loop: one queue for all of them, and a bell that is rung once.
//!
//! ```text
//!   job thread ────┐                                     ┌ take all
//!   accept thread ─┴▶ post: send ─▶ rung? no: ring ─▶ loop: silence, then ┘
//! ```
//!
//! - Nobody takes a lock, and a loop that has been woken already is not woken again: that would be a system call.
//! - It is bounded by its users: a job was asked for by a connection, and the [door](super::accept_thread) counts newcomers.

use std::io;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::{Poll, Waker};

use super::news::Source;
use super::parked::Key;
use crate::admission::NewConnection;

/// News from another thread.
pub(super) enum Message {
    /// The accept thread has brought a connection.
    Arrived(NewConnection),
    /// The accept thread has no descriptor or memory for a connection: idle ones should go.
    Short,
    /// A job of this connection is done.
    JobDone(Key),
    /// The accept thread brings nobody any more, since it was told so or because it cannot.
    AcceptThreadOver { failed: bool },
}

/// The side where messages are put in.
pub(super) struct Mailbox {
    messages: Sender<Message>,
    /// The loop has been woken, and has not looked yet.
    rung: AtomicBool,
    waker: Waker,
}

impl Mailbox {
    /// A mailbox whose bell wakes this poll, and what the loop takes the messages from.
    pub(super) fn new(poll: &Poll) -> io::Result<(Self, Receiver<Message>)> {
        let (messages, receiver) = channel();
        let waker = Waker::new(poll.registry(), Source::Waker.token())?;
        Ok((Self { messages, rung: AtomicBool::new(false), waker }, receiver))
    }

    pub(super) fn post(&self, message: Message) {
        // It can only fail if the loop has gone, and then nobody wants to know.
        let _ = self.messages.send(message);
        // Release: whoever silences this ring sees the message. Who finds it rung posted before it was silenced.
        if !self.rung.swap(true, Release) {
            // It can only fail if the event counter overflows, and then the loop is awake already.
            let _ = self.waker.wake();
        }
    }

    /// The loop is about to take all messages: whoever posts from here on rings again.
    pub(super) fn silence(&self) {
        self.rung.swap(false, Acquire); // A swap, which reads the last ring, and so sees its message.
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Events;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn many_messages_ring_once_and_after_a_look_again() {
        let mut poll = Poll::new().unwrap();
        let (mailbox, messages) = Mailbox::new(&poll).unwrap();
        let mut events = Events::with_capacity(8);
        let mut rung = || {
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            events.iter().count()
        };
        for _ in 0..2 {
            assert_eq!(rung(), 0);
            mailbox.post(Message::AcceptThreadOver { failed: false });
            assert_eq!(rung(), 1);
            mailbox.post(Message::AcceptThreadOver { failed: true });
            assert_eq!(rung(), 0);
            mailbox.silence();
            assert_eq!(messages.try_iter().count(), 2);
        }
    }

    #[test]
    fn whoever_sleeps_when_the_mailbox_is_empty_misses_nothing() {
        const POSTS: u32 = 20_000;
        let mut poll = Poll::new().unwrap();
        let (mailbox, messages) = Mailbox::new(&poll).unwrap();
        let key = |number| Key { place: number, serial: 0 };
        thread::scope(|scope| {
            for half in 0..2 {
                let mailbox = &mailbox;
                let body = move || {
                    for number in 0..POSTS {
                        mailbox.post(Message::JobDone(key(half * POSTS + number)));
                    }
                };
                thread::Builder::new().spawn_scoped(scope, body).unwrap();
            }
            let mut events = Events::with_capacity(8);
            let mut seen = 0;
            while seen < 2 * POSTS as usize {
                poll.poll(&mut events, None).unwrap(); // For ever, if a ring was lost.
                mailbox.silence();
                seen += messages.try_iter().count();
            }
        });
    }
}
