//! The web server.
#![forbid(unsafe_code)]

pub mod cli;
pub mod clients;
pub mod config;
pub mod connection;
pub mod expr;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod log;
pub mod modules;
pub mod password;
pub mod pidfile;
mod proc;
pub mod program;
pub mod regex;
pub mod request;
pub mod response;
pub mod route;
pub mod sandbox;
pub mod scoreboard;
pub mod server;
pub mod systemd;
pub mod transport;
