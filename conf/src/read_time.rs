//! # The directives that act while a configuration is read
//!
//! `Define` `UnDefine` `Include` `IncludeOptional` `Use` `UndefMacro` `LoadModule` `ServerRoot`
//! `DefaultRuntimeDir` `Error` `Warning` and the sections `<Macro>` `<IfDefine>` `<IfModule>` `<IfDirective>` `<IfSection>` `<IfFile>`
//! `<IfVersion>`: what they are, and what they do to a [`Reader`].

use std::io;
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::conditions::Condition;
use crate::definitions::Definitions;
use crate::diagnostic::{Diagnostic, Problem, Severity};
use crate::directive::{Context, Description, Overrides, Place};
use crate::host::{FileKind, Host};
use crate::include;
use crate::reader::{Reader, Reading};
use crate::sources::Span;
use crate::tree::Line;

/// Apache's bound for files that include files.
const INCLUDES_DEEP_MAX: usize = 128;
/// Far beyond any real configuration; a folder that includes itself twice over would never end.
pub(crate) const SOURCES_MAX: usize = 65_536;

const SERVER: &[Context] = &[Context::Server];
const SERVER_AND_HOST: &[Context] = &[Context::Server, Context::VirtualHost];
const NOT_HTACCESS: &[Context] = &[Context::Server, Context::VirtualHost, Context::Directory];
const EVERYWHERE: &[Context] =
    &[Context::Server, Context::VirtualHost, Context::Directory, Context::Htaccess];

/// Rows of the directives and sections that the reader obeys itself; they never reach the tree. For the
/// reference, and for suggestions.
pub const READ_TIME: &[Description] = &[
    row(
        "Define",
        "Define name [value]",
        NOT_HTACCESS,
        "Defines a name for `<IfDefine>`, and with a value also for `${name}`, from this line on and \
         everywhere, whatever section it stands in. The name holds no colon. `-D name` does the same \
         before the first line.",
    ),
    row(
        "UnDefine",
        "UnDefine name",
        NOT_HTACCESS,
        "Takes back what `Define` or `-D` has defined, from this line on.",
    ),
    row(
        "Include",
        "Include path",
        NOT_HTACCESS,
        "Reads a file, every file of a folder and its subfolders, or the matches of a pattern with `*`, \
         `?` or `[…]`, as if they stood here. A relative path is relative to ServerRoot; the order is \
         that of the bytes of the names. It is an error if there is nothing to read. A section cannot \
         begin in one file and end in another.",
    ),
    row(
        "IncludeOptional",
        "IncludeOptional path",
        NOT_HTACCESS,
        "Like Include, but nothing to read is no error. A file that exists and cannot be read is.",
    ),
    row(
        "LoadModule",
        "LoadModule identifier file",
        SERVER_AND_HOST,
        "Switches a module on. All modules are built in, so the file is only there for Apache's sake and \
         never opened; a module that is not built in is an error. Not permitted in a section other than \
         the read-time ones.",
    ),
    row(
        "ServerRoot",
        "ServerRoot folder",
        SERVER,
        "What relative paths in the configuration are relative to. Works from this line on; `-d` does \
         the same before the first line. The folder must exist.",
    ),
    row(
        "DefaultRuntimeDir",
        "DefaultRuntimeDir folder",
        SERVER,
        "Where files that live as long as the server are put, such as the files of mutexes. Relative to \
         ServerRoot.",
    ),
    row(
        "Error",
        "Error message",
        EVERYWHERE,
        "Makes the configuration unusable, with this text as the reason. Meant for the inside of \
         `<IfDefine>` and its kind.",
    ),
    row(
        "Warning",
        "Warning message",
        EVERYWHERE,
        "Says this text when the configuration is read. Apache does not have it.",
    ),
    row(
        "Use",
        "Use name [value]...",
        NOT_HTACCESS,
        "Reads the lines of a macro as if they stood here, every parameter replaced by the value in its \
         place. The names of macros have no case. A macro may use others, but not itself.",
    ),
    row(
        "UndefMacro",
        "UndefMacro name",
        NOT_HTACCESS,
        "Forgets a macro. It is an error if there is none.",
    ),
    row(
        "<Macro>",
        "<Macro name [parameter]...>",
        NOT_HTACCESS,
        "Keeps the lines inside for `Use`; nothing else happens to them. A parameter is replaced \
         wherever its name occurs, the longest first where several could be meant, so a name should \
         begin with `$`, `%` or `@`; with `@` the value is put in quotes. A section cannot begin in a \
         macro and end outside.",
    ),
    section(
        "<IfDefine>",
        "<IfDefine [!]name>",
        "What stands inside counts if the name is defined, by `Define` or `-D`. With `!`: if it is not.",
    ),
    section(
        "<IfModule>",
        "<IfModule [!]module>",
        "What stands inside counts if the module, by identifier (`mime_module`) or source file name \
         (`mod_mime.c`), is there at this point of the reading. With `!`: if it is not.",
    ),
    section(
        "<IfDirective>",
        "<IfDirective [!]name>",
        "What stands inside counts if there is a directive of this name. With `!`: if there is none.",
    ),
    section(
        "<IfSection>",
        "<IfSection [!]name>",
        "What stands inside counts if there is a section of this name. With `!`: if there is none.",
    ),
    section(
        "<IfFile>",
        "<IfFile [!]path>",
        "What stands inside counts if the file or folder exists. A relative path is relative to \
         ServerRoot. With `!`: if it does not exist.",
    ),
    section(
        "<IfVersion>",
        "<IfVersion [[!]operator] version>",
        "What stands inside counts if the version of Apache whose behaviour this server follows compares \
         like this: `=` (also `==`, or nothing), `>`, `>=`, `<`, `<=` with `major[.minor[.patch]]`; `~` \
         with a regular expression, or `=` with one between slashes.",
    ),
];

/// The row of this directive, or of this section if the name comes with brackets.
pub(crate) fn named(name: &str) -> Option<&'static Description> {
    READ_TIME.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

const fn row(
    name: &'static str,
    syntax: &'static str,
    contexts: &'static [Context],
    docs: &'static str,
) -> Description {
    let overrides =
        if contexts.len() == EVERYWHERE.len() { Overrides::ALL } else { Overrides::NONE };
    Description { name, syntax, default: None, contexts, overrides, docs }
}

const fn section(name: &'static str, syntax: &'static str, docs: &'static str) -> Description {
    row(name, syntax, EVERYWHERE, docs)
}

/// The name of a variable.
fn plain_name(args: &mut Args<'_>) -> Result<String, Problem> {
    let name = args.required()?;
    if name.text.contains(':') {
        return Err(Problem::at(name, "a name cannot contain ':'"));
    }
    Ok(name.text.clone())
}

impl Reader<'_> {
    /// Obeys a read-time directive.
    pub(crate) fn obey(&mut self, row: &'static Description, line: &Line) {
        match row.name {
            "Define" => self.define(row, line),
            "UnDefine" => {
                let name = self.ask(row, line, |args, _, _| plain_name(args));
                if let Some(name) = name {
                    self.reading.definitions.undefine(&name);
                }
            }
            "Include" => self.include_directive(row, line, false),
            "IncludeOptional" => self.include_directive(row, line, true),
            "Use" => self.use_macro(row, line),
            "UndefMacro" => self.undefine_macro(row, line),
            "LoadModule" => self.load_module(row, line),
            "ServerRoot" => self.server_root(row, line),
            "DefaultRuntimeDir" => {
                let path = self.ask(row, line, |args, _, host| {
                    let path = args.path()?;
                    match host.files().kind(&path) {
                        Ok(FileKind::Directory) => Ok(path),
                        _ => {
                            let message =
                                "must be a valid directory, absolute or relative to ServerRoot";
                            Err(Problem::at(args.at(), message))
                        }
                    }
                });
                self.reading.runtime_dir = path.or(self.reading.runtime_dir.take());
            }
            "Error" => self.say(row, line, Severity::Error),
            "Warning" => self.say(row, line, Severity::Warning),
            other => unreachable!("{other} is in the table of read-time directives only"),
        }
    }

    fn define(&mut self, row: &'static Description, line: &Line) {
        let words = self.ask(row, line, |args, _, _| {
            let name = plain_name(args)?;
            Ok((name, args.next().map(|word| word.text.clone())))
        });
        if let Some((name, value)) = words {
            self.reading.definitions.define(&name, value.as_deref());
        }
    }

    fn load_module(&mut self, row: &'static Description, line: &Line) {
        let words = self
            .ask(row, line, |args, _, _| Ok((args.required()?.clone(), args.word()?.to_string())));
        let Some((name, file)) = words else { return };
        if self.loaded.contains(&name.text) {
            self.warning(&name, format!("module {} is already loaded, skipping", name.text));
            return;
        }
        match self.host.load_module(&name.text, &file) {
            Ok(()) => self.loaded.push(name.text.clone()),
            Err(mut problem) => {
                problem.span.get_or_insert(name.span);
                self.report(row.diagnose(Severity::Error, problem, line));
            }
        }
    }

    fn server_root(&mut self, row: &'static Description, line: &Line) {
        let root = self.ask(row, line, |args, _, host| {
            let word = args.required()?;
            // Like Apache, relative to where the server was started, not to the ServerRoot before.
            let root = PathBuf::from(&word.text);
            match host.files().kind(&root) {
                Ok(FileKind::Directory) => Ok(root),
                _ => Err(Problem::at(word, "ServerRoot must be a valid directory")),
            }
        });
        if let Some(root) = root {
            self.reading.server_root = root;
        }
    }

    /// `Error` and `Warning`.
    fn say(&mut self, row: &'static Description, line: &Line, severity: Severity) {
        let text = self.ask(row, line, |args, _, _| {
            let only = if args.remaining() == 1 { args.peek() } else { None };
            let rest = args.rest();
            let text = only.map_or(rest, |word| &word.text).to_string();
            if text.is_empty() { Err(Problem::new("a message is missing")) } else { Ok(text) }
        });
        if let Some(text) = text {
            let problem = Problem::at(&line.name, text);
            self.report(Diagnostic::new(severity, problem));
        }
    }

    /// Whether a condition holds here and now; one that is written wrongly does not.
    pub(crate) fn holds(&mut self, condition: Condition, line: &Line) -> bool {
        let name = format!("<{}>", line.name.text);
        let row = named(&name).expect("every condition has a row");
        let holds =
            self.ask(row, line, |args, definitions, host| condition.holds(args, definitions, host));
        holds.unwrap_or(false)
    }

    /// Lets `question` take the words of a read-time line. What is wrong becomes a diagnostic.
    pub(crate) fn ask<V>(
        &mut self,
        row: &'static Description,
        line: &Line,
        question: impl FnOnce(&mut Args<'_>, &Definitions, &dyn Host) -> Result<V, Problem>,
    ) -> Option<V> {
        let context = self.context();
        if let Some(misplaced) = row.check_context(line, context) {
            self.report(misplaced);
            return None;
        }
        let Reading { sources, server_root, definitions, .. } = &self.reading;
        let place = Place { sources, base: server_root, context, folder: None, section: None };
        let mut args = Args::new(row, line, &place);
        let answer = question(&mut args, definitions, &*self.host);
        match answer.and_then(|value| args.finish().map(|()| value)) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.report(row.diagnose(Severity::Error, problem, line));
                None
            }
        }
    }

    fn include_directive(&mut self, row: &'static Description, line: &Line, optional: bool) {
        let path = self.ask(row, line, |args, _, _| {
            let path = args.path()?;
            Ok((path, args.at()))
        });
        if let Some((path, span)) = path {
            self.include(&path, Some(span), optional);
        }
    }

    /// Reads whatever `path` stands for.
    pub(crate) fn include(&mut self, path: &Path, from: Option<Span>, optional: bool) {
        match include::expand(self.host.files(), path, optional) {
            Ok(files) => {
                files.into_iter().for_each(|file| self.include_file(file, from, optional));
            }
            Err(message) => {
                let help = "IncludeOptional tolerates that nothing is there".to_string();
                let help = Some(help).filter(|_| !optional && from.is_some());
                self.include_error(Problem { span: from, help, ..Problem::new(message) });
            }
        }
    }

    fn include_file(&mut self, path: PathBuf, from: Option<Span>, optional: bool) {
        let problem = |message: String| Problem { span: from, ..Problem::new(message) };
        let shown = path.display();
        if self.files.contains(&path) {
            self.include_error(problem(format!("{shown} includes itself")));
            return;
        }
        if self.files.len() >= INCLUDES_DEEP_MAX {
            self.include_error(problem(format!("{shown} is included too deeply")));
            return;
        }
        if self.reading.sources.len() >= SOURCES_MAX {
            self.include_error(problem(format!("{shown} is one file too many")));
            return;
        }
        match self.host.files().read(&path) {
            Ok(content) => {
                let name = path.strip_prefix(".").unwrap_or(&path).display().to_string();
                self.files.push(path);
                self.read_bytes(&name, &content, from);
                self.files.pop();
            }
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let reason = include::reason(&error);
                let message = format!("Could not open configuration file {shown}: {reason}");
                self.include_error(problem(message));
            }
        }
    }

    fn include_error(&mut self, problem: Problem) {
        self.report(Diagnostic::new(Severity::Error, problem));
    }
}
