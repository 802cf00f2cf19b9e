//! The web server.

pub mod files;
pub mod log;
