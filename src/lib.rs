//! The web server.
#![forbid(unsafe_code)]

pub mod config;
pub mod files;
pub mod http;
pub mod log;
pub mod modules;
pub mod route;
