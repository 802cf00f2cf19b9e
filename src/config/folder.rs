//! # The configuration of `herdgate serve`
//!
//! It is written as a text and read like any other: what `serve` does can be done by a file as
//! well, and `herdgate serve` prints nothing that a reader of httpd.conf would not understand.

use std::net::SocketAddr;
use std::path::Path;

use herdgate_conf::{Diagnostic, Problem, Severity};

use super::geometry::Model;
use super::{Diagnostics, Source};

/// What `herdgate serve` can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderOptions {
    /// The process model.
    pub model: Model,
    /// What does not exist is answered with /index.html: one page that finds its own way.
    pub spa: bool,
    /// Names that begin with a dot do not exist, except `.well-known`.
    pub hide_dotfiles: bool,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self { model: Model::Event, spa: false, hide_dotfiles: true }
    }
}

/// The text, and a name for the folder: in the text itself, a `${` in the folder's name would be
/// replaced.
pub(super) fn source(
    folder: &Path,
    listen: &[SocketAddr],
    options: &FolderOptions,
) -> Result<Source, Diagnostics> {
    let Some(name) = folder.to_str() else {
        let message = format!("{}: the folder's name is not UTF-8", folder.display());
        let diagnostic = Diagnostic::new(Severity::Error, Problem::new(message));
        return Err(Diagnostics { list: vec![diagnostic], ..Diagnostics::default() });
    };
    let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(Source {
        root: folder.to_path_buf(),
        defines: vec![("SERVED_FOLDER".to_string(), Some(quoted))],
        before: vec![text(listen, options)],
        ..Source::default()
    })
}

fn text(listen: &[SocketAddr], options: &FolderOptions) -> String {
    let listen: String = listen.iter().map(|address| format!("Listen {address}\n")).collect();
    let model = options.model;
    let hidden = if options.hide_dotfiles { "Hide" } else { "Show" };
    let fallback = if options.spa { "/index.html" } else { "disabled" };
    // Links must stay beneath the folder: whoever serves ~/site does not mean to serve what a link in
    // it leads to. No section is needed, so wildcards in the folder's name mean nothing to anybody.
    format!(
        "LoadModule mpm_{model}_module modules/mod_mpm_{model}.so\n\
         {listen}\
         ServerName localhost\n\
         ErrorLog /dev/stderr\n\
         TransferLog /dev/stdout\n\
         DocumentRoot \"${{SERVED_FOLDER}}\"\n\
         Options Indexes SymLinksBeneath\n\
         IndexStyle Modern\n\
         DirectoryIndex index.html index.htm\n\
         FallbackResource {fallback}\n\
         AddDefaultCharset utf-8\n\
         HiddenFiles {hidden}\n"
    )
}
