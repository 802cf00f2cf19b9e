//! # mod_info: what the server is made of, and how it is configured
//!
//! ```text
//! SetHandler server-info ──▶ ?server   versions, limits, folders        ?list       the modules
//!                            ?config   the configuration as it was read  ?providers  who knows passwords and decides
//!                                                                         ?mod_dir.c  one module
//! ```
//!
//! - The modules' rows and the configuration's outline are what the server itself obeys: the page cannot tell another story.
//! - Hooks are not listed: here modules are called by name, in the order that `request` shows.
//! - It tells folders and rules, so nobody sees it unless a configuration says who may.

use std::fmt::Write as _;

use herdgate_conf::{Directive, Overrides};

use super::{ALL, HOST, Module, authz_core};
use crate::config::HostSettings;
use crate::config::changes::Line;
use crate::http::escape::push_html;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::request::{Request, Stop};
use crate::response::{Body, Fields, Response};

/// mod_info's settings of one virtual host.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// By module, what is said about it, as HTML.
    remarks: Vec<(String, String)>,
}

impl Info {
    /// The settings of virtual host `inner` within main server `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        Self { remarks: [self.remarks.as_slice(), &inner.remarks].concat() }
    }
}

/// The handler's name.
const HANDLER: &str = "server-info";

/// `SetHandler server-info`
pub(crate) fn handler(request: &mut Request<'_>) -> Result<Response, Stop> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request.serve(); // Which finds nothing, as in Apache.
    }
    request.made_from.cannot_be_repeated();
    let text = page(request).into_bytes();
    let length = Some(text.len() as u64).filter(|_| !request.is_head());
    let body = if request.is_head() { Body::Empty } else { Body::Memory(text) };
    let content_type = Some("text/html; charset=UTF-8".into());
    let response = request.response(Status::OK, Fields::default(), content_type, body, length);
    Ok(Response { handler: Some(HANDLER), ..response })
}

fn page(request: &Request<'_>) -> String {
    let query = request.query.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let mut page = String::from(
        "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n  <title>Server Information</title>\n</head>\n\
         <body><h1 style=\"text-align: center\">Apache Server Information</h1>\n",
    );
    // Writing to a string cannot fail.
    let _ = match query.as_ref() {
        "" => everything(request, &mut page),
        "server" => server(request, &mut page),
        "config" => configuration(request, &mut page),
        "list" => list(request, &mut page),
        "providers" => providers(request, &mut page),
        name => match loaded(request).find(|module| module.file == name) {
            Some(module) => describe(module, request, &mut page),
            None => Ok(()), // As Apache, which says nothing about what it does not know.
        },
    };
    page.push_str(&String::from_utf8_lossy(&request.signature()));
    page.push_str("</body></html>\n");
    page
}

fn everything(request: &Request<'_>, page: &mut String) -> std::fmt::Result {
    page.push_str(
        "<dl><dt><tt>Subpages:<br /><a href=\"?config\">Configuration Files</a>, \
         <a href=\"?server\">Server Settings</a>, <a href=\"?list\">Module List</a>, \
         <a href=\"?providers\">Available Providers</a></tt></dt></dl><hr />\
         <h2><a name=\"modules\">Loaded Modules</a></h2><dl><dt><tt>",
    );
    for module in loaded(request) {
        write!(page, "<a href=\"#{0}\">{0}</a>, ", module.file)?;
    }
    page.push_str("</tt></dt></dl><hr />");
    server(request, page)?;
    loaded(request).try_for_each(|module| describe(module, request, page))?;
    providers(request, page)
}

/// What AuthBasicProvider and Require may name, with what the configuration has named.
fn providers(request: &Request<'_>, page: &mut String) -> std::fmt::Result {
    let aliases = &request.server.config.server.providers;
    let sorted = |known: &[&str], named: Vec<&str>| {
        let mut names: Vec<String> = known.iter().chain(&named).map(|it| it.to_string()).collect();
        names.sort();
        names.dedup();
        names
    };
    let groups = [
        ("authn", sorted(&["file"], aliases.authn_names().collect())),
        ("authz", sorted(authz_core::PROVIDERS, aliases.authz_names().collect())),
    ];
    page.push_str("<h2><a name=\"providers\">Providers</a></h2>\n<dl>");
    for (group, names) in groups {
        write!(page, "<dt><strong>{group}</strong> (version <tt>0</tt>):\n <br />\n")?;
        for name in names {
            write!(page, "<tt>&nbsp;&nbsp;{}</tt><br/>", html(&name))?;
        }
        page.push_str("\n</dt>\n");
    }
    page.write_str("</dl>\n<hr />\n")
}

/// All modules, of the models the one in force.
fn loaded(request: &Request<'_>) -> impl Iterator<Item = &'static Module> {
    let model = request.server.config.server.mpm.geometry.model;
    let in_force = format!("mpm_{}_module", model.name());
    let is_loaded =
        move |name: &str| !name.starts_with("mpm_") || name == in_force || name == "mpm_common";
    ALL.iter().copied().filter(move |module| is_loaded(module.name))
}

fn list(request: &Request<'_>, page: &mut String) -> std::fmt::Result {
    let mut files: Vec<&str> = loaded(request).map(|module| module.file).collect();
    files.sort_unstable();
    page.push_str("<dl><dt>Server Module List</dt>");
    for file in files {
        write!(page, "<dd>{file}</dd>")?;
    }
    page.write_str("</dl><hr />")
}

fn server(request: &Request<'_>, page: &mut String) -> std::fmt::Result {
    let config = &request.server.config;
    let core = &request.host().settings.core;
    let mpm = &config.server.mpm;
    let names = request.names();
    let threaded = if mpm.geometry.threads_per_child > 1 { "yes" } else { "no" };
    let facts = [
        ("Server Version", format!("Herdgate/{} (Linux)", env!("CARGO_PKG_VERSION"))),
        ("Hostname/port", format!("{}:{}", names.host, names.port)),
        (
            "Timeouts",
            format!(
                "connection: {}   keep-alive: {}",
                core.timeout().as_secs(),
                core.keep_alive_timeout().as_secs()
            ),
        ),
        ("MPM Name", mpm.geometry.model.to_string()),
        (
            "MPM Information",
            format!("Max Daemons: {} Threaded: {threaded} Forked: yes", mpm.geometry.processes_max),
        ),
        ("Server Architecture", format!("{}-bit", usize::BITS)),
        ("Server Root", config.server.root.display().to_string()),
        ("Config File", config.outline.files().next().unwrap_or("none").to_owned()),
    ];
    page.push_str("<h2><a name=\"server\">Server Settings</a></h2><dl>");
    for (name, value) in facts {
        writeln!(page, "<dt><strong>{name}:</strong> <tt>{}</tt></dt>", html(&value))?;
    }
    page.write_str("</dl><hr />")
}

fn configuration(request: &Request<'_>, page: &mut String) -> std::fmt::Result {
    page.push_str("<dl><dt><strong>Configuration:</strong></dt>");
    lines(&request.server.config.outline.lines(), page)?;
    page.write_str("</dl><hr />")
}

/// Lines below the name of their file, with their numbers.
fn lines(lines: &[Line<'_>], page: &mut String) -> std::fmt::Result {
    let mut file = "";
    for line in lines {
        if line.file != file {
            file = line.file;
            writeln!(page, "\n<dd><tt><strong>In file: {}</strong></tt></dd>", html(file))?;
        }
        let indent = "&nbsp;&nbsp;".repeat(line.depth);
        let arguments = html(&line.words.join(" "));
        let name = html(line.name);
        if line.is_section {
            let space = if arguments.is_empty() { "" } else { " " };
            writeln!(
                page,
                "<dd><tt>{:>4}:&nbsp;{indent}&lt;{name}{space}{arguments}&gt;</tt></dd>",
                line.number
            )?;
        } else {
            writeln!(
                page,
                "<dd><tt>{:>4}:&nbsp;{indent}{name} <i>{arguments}</i></tt></dd>",
                line.number
            )?;
        }
    }
    Ok(())
}

fn describe(module: &Module, request: &Request<'_>, page: &mut String) -> std::fmt::Result {
    let file = module.file;
    writeln!(
        page,
        "<dl><dt><a name=\"{file}\"><strong>Module Name:</strong></a> <font size=\"+1\"><tt><a href=\"?{file}\">{file}</a>\
         </tt></font></dt>"
    )?;
    let rows: Vec<_> = module.descriptions().collect();
    if rows.is_empty() {
        page.push_str("<dt><strong>Module Directives:</strong> <tt>none</tt></dt>");
    } else {
        page.push_str("<dt><strong>Module Directives:</strong></dt>");
    }
    for row in &rows {
        let (name, docs) = (html(row.name), html(row.docs));
        writeln!(page, "<dd><tt>{name} - <i>{docs}</i></tt></dd>")?;
    }
    let is_own = |line: &Line<'_>| rows.iter().any(|row| row.name.eq_ignore_ascii_case(line.name));
    let own: Vec<_> = request.server.config.outline.lines().into_iter().filter(is_own).collect();
    if !own.is_empty() {
        page.push_str("<dt><strong>Current Configuration:</strong></dt>");
        lines(&own, page)?;
    }
    let remarks = request.host().settings.info.remarks.iter();
    for (_, remark) in remarks.filter(|(name, _)| name == file) {
        write!(page, "<dt><strong>Additional Information:</strong></dt><dd>{remark}</dd>")?;
    }
    page.write_str("</dl><hr />\n")
}

fn html(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push_html(&mut out, text.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) const MODULE: Module = Module {
    name: "info_module",
    file: "mod_info.c",
    server: &[],
    host: DIRECTIVES,
    directory: &[],
};

const DIRECTIVES: &[Directive<HostSettings>] = &[Directive {
    name: "AddModuleInfo",
    syntax: "AddModuleInfo module text",
    default: None,
    contexts: HOST,
    overrides: Overrides::NONE,
    docs: "HTML that the page of `SetHandler server-info` says about a module, such as mod_dir.c.",
    apply: |settings, args| {
        let remark = (args.word()?.to_owned(), args.word()?.to_owned());
        settings.info.remarks.push(remark);
        Ok(())
    },
}];
