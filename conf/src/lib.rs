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
//! - It touches no disk and no environment, except through a [`Host`].
#![forbid(unsafe_code)]

mod args;
mod conditions;
mod definitions;
mod diagnostic;
mod directive;
mod host;
mod include;
mod lines;
mod macros;
mod read_time;
mod reader;
pub mod reference;
mod sources;
mod spelling;
mod tree;
mod words;

pub use args::{Args, TimeUnit};
pub use definitions::Definitions;
pub use diagnostic::{Diagnostic, Problem, Severity};
pub use directive::{Context, Description, Directive, Overrides, Place};
pub use host::{Disk, FileKind, Files, Host};
pub use read_time::READ_TIME;
pub use reader::{Input, Reading, Start, read, read_htaccess};
pub use sources::{Location, SourceId, Sources, Span};
pub use spelling::nearest;
pub use tree::{Line, Node, Section, Tree, Word};
