//! Descriptors that connections watch beside their clients' sockets, a backend's for example.
//!
//! They are level-triggered, since only the connection reads them: it must not miss what it left unread. Most
//! connections watch none, and those that do, one or two.

use std::time::Duration;

use herdgate_sys as sys;
use mio::Poll;
use sys::epoll::Events;
use sys::poll::{PollEntry, poll};

use super::EventLoop;
use super::news::Source;
use super::parked::Key;
use crate::turn::Watches;
use crate::{Interest, Service, drive};

impl<S: Service> EventLoop<'_, '_, S> {
    /// Finds out which of a connection's watched descriptors are ready: the queue said only that one is. Says whether
    /// any is.
    pub(super) fn note_watched(&mut self, key: Key) -> bool {
        let Some(entry) = self.parked.get(key) else { return false };
        let Some(watches) = entry.watches.as_deref_mut() else { return false };
        let mut polled: Vec<PollEntry> = watches
            .iter()
            .map(|watch| PollEntry::new(watch.fd, drive::poll_interest(watch.interest)))
            .collect();
        if poll(&mut polled, Some(Duration::ZERO)).is_err() {
            return false; // Level-triggered: it is told again.
        }
        let mut any = false;
        for entry in polled.iter().filter(|entry| !entry.returned().is_empty()) {
            any |= watches.note_ready(entry.fd(), drive::interest(entry.returned()));
        }
        any
    }
}

/// Brings the kernel's list of a connection's watched descriptors up to date.
pub(super) fn sync_watches(poll: &Poll, key: Key, watches: &mut Watches, gone: bool) {
    let token = Source::Watched(key).number();
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

fn queue_events(interest: Interest) -> Events {
    let read = if interest.is_read() { Events::READ } else { Events::empty() };
    let write = if interest.is_write() { Events::WRITE } else { Events::empty() };
    read | write
}
