//! What woke the loop, sorted by what is to be done about it.
//!
//! ```text
//!   a token of the readiness queue, 64 bits
//!     0 W serial(30) place(32)      a connection's socket; W: a descriptor that it watches
//!     1 0 … listener(16)            a listener
//!     1 1 … 0 / 1 / 2               the waker / the order to finish / notices of changes
//! ```

use mio::{Events, Token};

use super::parked::Key;
use crate::Interest;
use crate::listen::ListenerId;

/// What a token of the readiness queue stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A connection's socket.
    Client(Key),
    /// A descriptor that a connection watches beside its socket.
    Watched(Key),
    Listener(ListenerId),
    /// Another thread of this child has something for the loop.
    Waker,
    /// The child should finish.
    Orders,
    /// What a service remembers may have changed.
    Notices,
}

const WATCHED: u64 = 1 << 62;
const LISTENER: u64 = 1 << 63;
const WAKER: u64 = 0b11 << 62;
const ORDERS: u64 = WAKER | 1;
const NOTICES: u64 = WAKER | 2;

impl Source {
    /// The token, as the kernel carries it.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Client(key) => u64::from(key.serial) << 32 | u64::from(key.place),
            Self::Watched(key) => Self::Client(key).number() | WATCHED,
            Self::Listener(id) => LISTENER | u64::from(id.0),
            Self::Waker => WAKER,
            Self::Orders => ORDERS,
            Self::Notices => NOTICES,
        }
    }

    /// The token, as mio carries it.
    pub(super) fn token(self) -> Token {
        Token(usize::try_from(self.number()).expect("pointers have 64 bits where we run"))
    }

    fn from_number(token: u64) -> Self {
        let place = u32::try_from(token & 0xffff_ffff).expect("32 bits");
        let serial = u32::try_from(token >> 32).expect("32 bits") & Key::SERIAL_MAX;
        match token >> 62 {
            0 => Self::Client(Key { place, serial }),
            1 => Self::Watched(Key { place, serial }),
            2 => Self::Listener(ListenerId(u16::try_from(token & 0xffff).expect("16 bits"))),
            _ if token == WAKER => Self::Waker,
            _ if token == NOTICES => Self::Notices,
            _ => Self::Orders,
        }
    }
}

/// What the kernel said about a connection's socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    pub(super) key: Key,
    pub(super) ready: Interest,
    /// The client has sent all that it ever will, or the connection is broken.
    pub(super) read_closed: bool,
}

/// The news of one turn.
#[derive(Default)]
pub(super) struct News {
    pub(super) ready: Vec<Readiness>,
    pub(super) watched: Vec<Key>,
    pub(super) listeners: Vec<ListenerId>,
    pub(super) woken: bool,
    pub(super) finish: bool,
    pub(super) notices: bool,
}

impl News {
    /// Forgets the last turn's news, and sorts this turn's.
    pub(super) fn sort(&mut self, events: &Events) {
        self.ready.clear();
        self.watched.clear();
        self.listeners.clear();
        (self.woken, self.finish, self.notices) = (false, false, false);
        for event in events {
            match Source::from_number(event.token().0 as u64) {
                Source::Client(key) => self.ready.push(readiness(key, event)),
                Source::Watched(key) => self.watched.push(key),
                Source::Listener(id) => self.listeners.push(id),
                Source::Waker => self.woken = true,
                Source::Orders => self.finish = true,
                Source::Notices => self.notices = true,
            }
        }
    }
}

/// An error counts as readiness for everything: the next call tells it.
fn readiness(key: Key, event: &mio::event::Event) -> Readiness {
    let broken = event.is_error();
    let read = if event.is_readable() || broken { Interest::READ } else { Interest::NONE };
    let write = if event.is_writable() || broken { Interest::WRITE } else { Interest::NONE };
    Readiness { key, ready: read.and(write), read_closed: event.is_read_closed() || broken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_survives_its_token() {
        let first = Key { place: 0, serial: 0 };
        let last = Key { place: u32::MAX, serial: Key::SERIAL_MAX };
        for source in [
            Source::Client(first),
            Source::Client(last),
            Source::Watched(first),
            Source::Watched(last),
            Source::Listener(ListenerId(0)),
            Source::Listener(ListenerId(u16::MAX)),
            Source::Waker,
            Source::Orders,
            Source::Notices,
        ] {
            assert_eq!(Source::from_number(source.number()), source);
        }
    }
}
