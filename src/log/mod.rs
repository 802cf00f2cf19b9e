//! # log: what was asked and what went wrong
//!
//! ```text
//! connection ── Record ──▶ access::Format ──▶ LogBatch ──one write a turn──▶ CustomLog
//! anybody ───── Entry ───▶ ErrorLog ─────────one write a line───────────────▶ ErrorLog
//! ```
//!
//! - Whatever a client sent is escaped before it reaches a line: no control byte, no line break of its own.
//! - The supervisor opens the files; children only append.

pub mod access;
pub mod clock;
mod condition;
pub mod error;
pub mod error_format;
pub mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod logs;

pub use crate::modules::core::{Level, LogLevels};
pub use access::{Format, Record};
pub use clock::{Arrival, LogClock, Moment};
pub use error::{ErrorLog, Quoted};
pub use file::{LogBatch, LogFile, LogId, LogNews};
pub use logs::Logs;
