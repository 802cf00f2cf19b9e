//! # files: from a name to bytes
//!
//! ```text
//! name ── open ──▶ descriptor ── content ──▶ memory (small) or sendfile, chunk by chunk (large)
//!                       ├─────── listing ──▶ a page that shows a folder
//!                       ├─────── parsed ───▶ .htaccess, passwords, type maps: read once for each change
//!                       └─────── seen ─────▶ does the name still stand for that? asked by one call, or told by watch
//! ```
//!
//! - Every open of served content goes through [`open::open`]: there is no second place to forget a check in.
//! - Whatever may block says so first: with [`Access::Inline`] the answer is `WouldBlock`, and the caller
//!   asks again in a job with [`Access::MayBlock`].

pub mod compress;
pub mod content;
pub(crate) mod digest;
pub mod listing;
mod mounts;
pub mod open;
pub mod parsed;
pub mod seen;
pub mod watch;

/// Whether the caller can wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// On the loop thread: only what is in the kernel's memory already.
    Inline,
    /// In a job, or where a process serves one connection anyway.
    MayBlock,
}
