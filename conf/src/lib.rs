//! # The language of httpd.conf
//!
//! ```text
//! text, files ──read──▶ Tree + Diagnostics ──▶ driver ──▶ rows (Directive) ──▶ settings
//!                 ▲                              (not here: rows stand beside the code they serve)
//!                 └─ Host: what is defined, loaded and on disk
//! ```
//!
//! - Parsing never fails: there is always a tree, and *all* diagnostics.
//! - This crate knows the directives that act while reading (`Define`, `Include`, `<IfModule>` …) and
//!   no other. What a directive row is, it defines; the rows themselves are the server's.
//! - It touches no disk and no environment, except through a host that the caller provides.
#![forbid(unsafe_code)]

mod args;
mod diagnostic;
mod directive;
mod sources;
mod spelling;
mod tree;
mod words;

pub use args::{Args, TimeUnit};
pub use diagnostic::{Diagnostic, Problem, Severity};
pub use directive::{Context, Description, Directive, Overrides, Place};
pub use sources::{Location, SourceId, Sources, Span};
pub use spelling::nearest;
pub use tree::{Line, Node, Section, Tree, Word};
