//! What an answer is made from: so that it can be given again to whoever asks the same while nothing of that has changed.
//!
//! ```text
//! request ─▶ fields that were asked for ┐
//! disk    ─▶ names that were looked at  ├─▶ MadeFrom ─▶ the answer cache
//! clock   ─▶ whether it was asked       ┘
//! ```
//!
//! - Whoever takes part in a request asks through its accessors, and they note it here. The request line, the Host field
//!   and our own address are always part of it.
//! - What cannot be noted (a random number, the client's address, a name server's answer) makes the answer
//!   [unrepeatable](MadeFrom::is_unrepeatable): it is given once.

use std::cell::{Cell, RefCell};

use crate::files::open::OpenError;
use crate::files::parsed::Parsed;
use crate::files::seen::Seen;
use crate::http::field::Known;

/// More names than this are not worth looking at again.
const NAMES_MAX: usize = 40;

/// Notes about one request.
#[derive(Debug, Default)]
pub(crate) struct MadeFrom {
    names: RefCell<Vec<Seen>>,
    asked_the_time: Cell<bool>,
    unrepeatable: Cell<bool>,
}

impl MadeFrom {
    /// A name was looked at.
    pub(crate) fn saw(&self, seen: Seen) {
        let mut names = self.names.borrow_mut();
        if names.len() >= NAMES_MAX {
            self.unrepeatable.set(true);
        } else if !names.contains(&seen) {
            names.push(seen);
        }
    }

    /// A file was read, or is missing.
    pub(crate) fn saw_parsed<T>(&self, name: &[u8], found: &Result<Option<Parsed<T>>, OpenError>) {
        match found {
            Ok(found) => self.saw(Seen::new(name, true, found.as_ref().map(|it| &it.stat))),
            Err(_) => self.cannot_be_repeated(),
        }
    }

    /// The answer is right within this second only.
    pub(crate) fn ask_the_time(&self) {
        self.asked_the_time.set(true);
    }

    /// Something went in that may be another thing next time.
    pub(crate) fn cannot_be_repeated(&self) {
        self.unrepeatable.set(true);
    }

    pub(crate) fn is_unrepeatable(&self) -> bool {
        self.unrepeatable.get()
    }

    pub(crate) fn asked_the_time(&self) -> bool {
        self.asked_the_time.get()
    }

    /// The names, as they were.
    pub(crate) fn into_names(self) -> Vec<Seen> {
        self.names.into_inner()
    }
}

/// The fields of a request that somebody has asked for.
#[derive(Debug, Default)]
pub(crate) struct AskedFields {
    /// Bit n: `Known::ALL[n]`.
    known: Cell<u32>,
    others: RefCell<Vec<Box<str>>>,
    /// Somebody has looked at all of them.
    all: Cell<bool>,
}

impl AskedFields {
    pub(crate) fn note(&self, known: Known) {
        self.known.set(self.known.get() | 1 << (known as u32));
    }

    pub(crate) fn note_name(&self, name: &str) {
        if let Some(known) = Known::of(name.as_bytes()) {
            return self.note(known);
        }
        let mut others = self.others.borrow_mut();
        if !others.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            others.push(name.into());
        }
    }

    pub(crate) fn note_all(&self) {
        self.all.set(true);
    }

    /// `None`: all of them.
    pub(crate) fn names(&self) -> Option<(impl Iterator<Item = Known>, Vec<Box<str>>)> {
        let known = self.known.get();
        let is_asked = move |it: &Known| known & (1 << (*it as u32)) != 0;
        let known = Known::ALL.iter().copied().filter(is_asked);
        (!self.all.get()).then(|| (known, self.others.borrow().clone()))
    }
}
