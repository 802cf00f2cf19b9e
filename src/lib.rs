//! The web server.

pub mod log;
