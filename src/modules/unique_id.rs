//! # mod_unique_id: a name for each request, in UNIQUE_ID
//!
//! ```text
//! second │ this process, at random │ counter │ thread        20 bytes, as 27 letters
//! ```
//!
//! - No two requests of any servers get the same, as far as chance can tell. It is no secret: who sees one can guess more.
//! - It costs every request a little, so a LoadModule line must ask for it.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::Module;
use crate::log::Moment;
use crate::request::Request;

/// As after LoadModule.
pub(crate) const NAME: &str = "unique_id_module";
/// The variable. An internal redirect changes neither its name nor its value.
pub(crate) const VARIABLE: &str = "UNIQUE_ID";

/// Makes the names of one process.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Found out with the first request, which is after the fork.
    root: OnceLock<[u8; 10]>,
    counter: AtomicU16,
}

/// When the request has been read.
pub(crate) fn post_read_request(request: &mut Request<'_>) {
    if request.server.config.server.unique_ids {
        request.made_from.cannot_be_repeated();
        let name = request.server.unique_ids.next(request.now());
        request.env.set(VARIABLE, name);
    }
}

impl Names {
    fn next(&self, now: Moment) -> String {
        let root = self.root.get_or_init(|| root(now));
        let secs = now.secs.to_be_bytes();
        let counter = self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes(); // Only has to be unique.
        let thread = nix::unistd::gettid().as_raw().to_be_bytes();
        BASE64_URL_SAFE_NO_PAD.encode([&secs[4..], root, &counter, &thread].concat())
    }
}

fn root(now: Moment) -> [u8; 10] {
    // The hasher is seeded from the kernel's randomness; a forked process inherits the seed, so its number goes in, too.
    let seed = RandomState::new();
    let half =
        |nth: u8| seed.hash_one((std::process::id(), now.secs, now.nanos, nth)).to_be_bytes();
    let mut root = [0; 10];
    root[..8].copy_from_slice(&half(0));
    root[8..].copy_from_slice(&half(1)[..2]);
    root
}

pub(super) const MODULE: Module = Module::without_directives(NAME, "mod_unique_id.c");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_differ() {
        let names = Names::default();
        let now = Moment { secs: 1_795_253_785, nanos: 0 };
        let (first, second) = (names.next(now), names.next(now));
        assert_ne!(first, second);
        assert!(first.len() == 27 && second.len() == 27, "{first} {second}");
        assert_eq!(first[..5], second[..5], "the same second, the same process");
        assert_ne!(Names::default().next(now)[5..], first[5..]);
    }
}
