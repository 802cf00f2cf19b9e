//! # route: from a request's address, host and path to what answers it
//!
//! ```text
//! local address, Host ──hosts──▶ virtual host
//! path as sent ─────────url────▶ one spelling ──alias──▶ file
//!                                     │                    │
//!                                     └─────sections───────┴──walk──▶ merged settings
//! ```
//!
//! - `url` brings every spelling of a path to one, before anything compares it.
//! - `hosts`, `alias` and `sections` are compiled once, when the configuration is frozen; nothing
//!   here opens a file.

pub mod alias;
pub mod hosts;
pub mod ifs;
pub(crate) mod pattern;
pub mod sections;
pub mod url;
pub mod walk;
