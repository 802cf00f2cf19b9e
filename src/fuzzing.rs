//! # fuzzing: what must hold for every input, one file for each parser
//!
//! ```text
//! fuzz/targets/head.rs ─── libFuzzer looks for bytes ──▶ head::check(bytes) ◀── fuzz/corpus/head/*, and pieces of
//!                          that reach new code                                  them in another order: cargo test
//! ```
//!
//! - Compiled for tests and for fuzzers (`cfg(fuzzing)`), never into the server.
//! - A check asserts more than that nothing panics: what a parser promises in its file's header is demanded here of any
//!   bytes at all.
//! - Nothing here looks at the network or asks for the time; only `site` has files, its own.
//!
//! CONTRIBUTING.md says how to fuzz.

#![expect(clippy::unwrap_used, reason = "a promise that is broken is told by panicking")]

mod body;
mod expression;
mod head;
mod htpasswd;
mod pattern;
mod proxy_header;
mod range;
mod site;
mod url;

use crate::{config, log, modules};

/// A function for each target, and a list of them for the tests.
macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident => $check:path;)*) => {
        $($(#[$doc])* pub fn $name(bytes: &[u8]) {
            $check(bytes);
        })*

        #[cfg(test)]
        const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name)),*];
    };
}

targets! {
    /// The body of a request, by length or in chunks.
    body => body::check;
    /// httpd.conf with what it includes, and the rows of all modules.
    config => config::fuzzing::check;
    /// Apache's expressions.
    expression => expression::check;
    /// A request's head.
    head => head::check;
    /// Files of users, passwords and groups.
    htpasswd => htpasswd::check;
    /// LogFormat and ErrorLogFormat, and the lines that they make.
    log_format => log::fuzzing::check;
    /// Type maps and the Accept fields.
    negotiation => modules::negotiation::fuzzing::check;
    /// Wildcards and regular expressions.
    pattern => pattern::check;
    /// The PROXY header.
    proxy_header => proxy_header::check;
    /// Range and the conditional fields.
    range => range::check;
    /// RewriteRule and RewriteCond.
    rewrite => modules::rewrite::fuzzing::check;
    /// A whole request for a folder with a `.htaccess` file.
    site => site::check;
    /// The path of a URL.
    url => url::check;
}

/// Takes one byte off the front of an input; 0 if nothing is left.
fn byte(bytes: &mut &[u8]) -> u8 {
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    *bytes = rest;
    *first
}

/// Takes two bytes off the front.
fn short(bytes: &mut &[u8]) -> u16 {
    u16::from_be_bytes([byte(bytes), byte(bytes)])
}

/// The parts of an input that stand between lines of `----`: at least `N`, the last ones empty if they are not there.
pub(crate) fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    const BETWEEN: &[u8] = b"\n----\n";
    let mut rest = Some(bytes);
    std::array::from_fn(|_| {
        let text = rest.unwrap_or_default();
        let at = memchr::memmem::find(text, BETWEEN);
        rest = at.map(|at| &text[at + BETWEEN.len()..]);
        &text[..at.unwrap_or(text.len())]
    })
}

/// The ends of prefixes to be tried: all of a short input, and of a long one those that matter most.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    const ALL_UP_TO: usize = 300;
    let step = length / ALL_UP_TO + 1;
    (0..=length).filter(move |end| end % step == 0 || *end + 20 > length)
}

#[cfg(test)]
mod tests;
