//! # .htaccess: settings that lie beside what they are about
//!
//! ```text
//! /srv/a/b.html    ──▶ /.htaccess   /srv/.htaccess   /srv/a/.htaccess     each where AllowOverride lets it
//!                                                      │ conf::read_htaccess, the rows of `modules`
//!                                                      ▼
//!                                              settings and <Files> sections, merged by `route::walk`
//! ```
//!
//! - Whoever may write into a folder may write this file, so what it may hold is checked line by line.
//! - A file with a mistake answers every request below it with 500, and the log says why: settings that somebody wrote
//!   to protect something are never skipped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use herdgate_conf::{Definitions, Diagnostic, Start};

use super::load::{self, Content, Modules};
use super::{DirSettings, Server};
use crate::modules::core::Permit;
use crate::regex;
use crate::route::sections::Section;

/// What a file says; or, in words for the log, what is wrong with it.
pub(crate) type Outcome = Result<Htaccess, String>;

/// A file that was understood.
#[derive(Debug)]
pub(crate) struct Htaccess {
    pub(crate) path: PathBuf,
    pub(crate) settings: DirSettings,
    /// `<Files>` sections, in file order.
    pub(crate) files: Vec<Arc<Section>>,
}

/// Reads the text of the file `path`.
pub(crate) fn parse(path: &Path, text: &[u8], permit: &Permit, server: &Server) -> Outcome {
    let mut definitions = Definitions::default();
    for (name, value) in &server.defines {
        definitions.define(name, value.as_deref());
    }
    let start = Start { definitions, server_root: server.root.clone() };
    let model = Some(server.mpm.geometry.model);
    let mut modules = Modules { model, ..Modules::default() };
    let name = path.to_string_lossy();
    let reading = herdgate_conf::read_htaccess(&name, text, start, &mut modules);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let (content, found, sources) = regex::with_options(server.regex, || {
        load::load_htaccess(reading, &server.root, folder, permit, &server.providers)
    });
    let Content { mut settings, files } = content;
    settings.keep_private();
    let check = settings.authz.check();
    match found.iter().find(|diagnostic| diagnostic.is_error()) {
        Some(error) => Err(in_words(&name, error, &sources)),
        None => match check {
            Err(message) => Err(format!("{name}: {message}")),
            Ok(()) => Ok(Htaccess { path: path.to_path_buf(), settings, files }),
        },
    }
}

/// As Apache, with the line's number behind it.
fn in_words(name: &str, error: &Diagnostic, sources: &herdgate_conf::Sources) -> String {
    let line = error.span.map(|span| sources.locate(span).line);
    let place = line.map(|line| format!(" (line {line})")).unwrap_or_default();
    format!("{name}: {}{place}", error.message)
}
