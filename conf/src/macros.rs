//! # Macros: `<Macro>`, `Use` and `UndefMacro` (httpd `modules/core/mod_macro.c`)
//!
//! ```text
//! <Macro Host $name $dir>          kept line by line, as it stands: no ${NAME} is replaced yet
//!     <VirtualHost *:80>
//!         ServerName $name
//!     …
//! </Macro>
//! Use Host example.org /srv/a  ──▶ a text of its own, read as if it stood here
//! ```
//!
//! - A use is a source like an included file: what is wrong in it is shown with its line, as it came out, and
//!   with the place of the `Use`.
//! - A section may begin in a macro and end outside of it, or the other way round; that is legal, and there is a warning.
//! - What was put in for a parameter is not searched for parameters again.
//! - A macro cannot use itself, so that reading always ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::diagnostic::{Diagnostic, Problem, Severity};
use crate::directive::Description;
use crate::read_time;
use crate::reader::Reader;
use crate::sources::Span;
use crate::spelling::nearest;
use crate::tree::{Line, Word};
use crate::words;

/// A text that grows by every use within a use ends here.
const USES_DEEP_MAX: usize = 32;

/// The macros that are defined, and those that are being used.
#[derive(Debug, Default)]
pub(crate) struct Macros {
    /// By their names in lower case.
    defined: HashMap<String, Macro>,
    /// In lower case, the innermost last.
    in_use: Vec<String>,
}

#[derive(Debug, Clone)]
struct Macro {
    /// In lower case, as Apache shows it.
    name: String,
    parameters: Vec<String>,
    lines: Vec<String>,
    /// `defined on line 7 of "FILE"`
    place: String,
}

/// A `<Macro>` whose end is still to come.
#[derive(Debug)]
pub(crate) struct Recording {
    opener: Line,
    /// `None`: something is wrong with the opening line, and what follows is only passed over.
    content: Option<Macro>,
    /// `<Macro>` sections open within it.
    depth: usize,
}

impl Recording {
    pub(crate) fn span(&self) -> Span {
        self.opener.span
    }
}

impl Reader<'_> {
    /// `<Macro name parameter…>`
    pub(crate) fn start_macro(&mut self, opener: Line) {
        let row = read_time::named("<Macro>").expect("<Macro> has a row");
        let location = self.reading.sources.locate(opener.name.span);
        let place = format!("defined on line {} of \"{}\"", location.line, location.file);
        let words = self.ask(row, &opener, |args, _, _| {
            let name = args.required()?;
            let parameters: Vec<&Word> = args.collect();
            check_parameters(&name.text, &parameters)?;
            let parameters = parameters.iter().map(|word| word.text.clone()).collect();
            Ok((name.text.to_ascii_lowercase(), parameters))
        });
        let content = words.map(|(name, parameters)| {
            self.warn_of_parameters(&name, &opener.words[1..]);
            Macro { name, parameters, lines: Vec::new(), place }
        });
        self.recording = Some(Recording { opener, content, depth: 0 });
    }

    /// Keeps one line of a macro, or ends it.
    pub(crate) fn record(&mut self, text: &str) {
        let Some(recording) = &mut self.recording else { return };
        let tag = words::next(text, 0).map(|word| word.text.to_ascii_lowercase());
        match tag.as_deref() {
            Some("<macro") => recording.depth += 1,
            Some("</macro>") if recording.depth == 0 => return self.finish_macro(),
            Some("</macro>") => recording.depth -= 1,
            Some(_) | None => {}
        }
        if let Some(content) = &mut recording.content {
            content.lines.push(text.to_string());
        }
    }

    fn finish_macro(&mut self) {
        let Some(Recording { opener, content: Some(content), .. }) = self.recording.take() else {
            return;
        };
        let place = opener.words.first().map_or(opener.name.span, |word| word.span);
        if content.lines.is_empty() {
            self.warning(place, format!("macro '{}' has no lines", content.name));
        }
        let open = nesting(&content.lines);
        if open != 0 {
            let name = &content.name;
            let message = format!("bad cumulated nesting ({open:+}) in macro '{name}'");
            let help = "a section that begins in a macro should end there";
            self.report(Diagnostic::warning(place, message).help(help));
        }
        for (parameter, word) in content.parameters.iter().zip(&opener.words[1..]) {
            if !content.lines.iter().any(|line| line.contains(parameter)) {
                let name = &content.name;
                self.warning(word, format!("macro '{name}' does not use parameter '{parameter}'"));
            }
        }
        match self.macros.defined.entry(content.name.clone()) {
            Entry::Vacant(entry) => _ = entry.insert(content),
            Entry::Occupied(mut entry) => {
                let (name, before) = (&content.name, &entry.get().place);
                let message = format!("macro '{name}' is defined again, it was {before}");
                entry.insert(content);
                self.warning(place, message);
            }
        }
    }

    /// What works and is probably not meant.
    fn warn_of_parameters(&mut self, name: &str, parameters: &[Word]) {
        for (index, word) in parameters.iter().enumerate() {
            let text = &word.text;
            if !text.starts_with(['$', '%', '@']) {
                let message = format!(
                    "macro '{name}': every '{text}' in its lines is replaced, also within words"
                );
                let help = "begin the names of parameters with $, % or @";
                self.report(Diagnostic::warning(word, message).help(help));
            }
            if let Some(longer) =
                parameters[..index].iter().chain(&parameters[index + 1..]).find(|other| {
                    other.text.len() > text.len() && other.text.starts_with(text.as_str())
                })
            {
                let message = format!(
                    "macro '{name}': '{text}' is the beginning of '{}', which is replaced first",
                    longer.text
                );
                self.warning(word, message);
            }
        }
    }

    /// `UndefMacro name`
    pub(crate) fn undefine_macro(&mut self, row: &'static Description, line: &Line) {
        let name = self.ask(row, line, |args, _, _| args.required().cloned());
        if let Some(name) = name
            && self.macros.defined.remove(&name.text.to_ascii_lowercase()).is_none()
        {
            let problem =
                Problem::at(&name, format!("cannot remove undefined macro '{}'", name.text));
            self.report(row.diagnose(Severity::Error, problem, line));
        }
    }

    /// `Use name value…`
    pub(crate) fn use_macro(&mut self, row: &'static Description, line: &Line) {
        let words = self.ask(row, line, |args, _, _| {
            let name = args.required()?.clone();
            Ok((name, args.map(|word| word.text.clone()).collect::<Vec<_>>()))
        });
        let Some((name, values)) = words else { return };
        if self.reading.sources.len() >= read_time::SOURCES_MAX {
            return self.error(line.name.span, "one use of a macro too many");
        }
        let key = name.text.to_ascii_lowercase();
        let expanded = self.macros.expand(&key, &name, &values);
        let (text, place) = match expanded {
            Ok(expanded) => expanded,
            Err(problem) => return self.report(row.diagnose(Severity::Error, problem, line)),
        };
        let location = self.reading.sources.locate(line.name.span);
        let source = format!(
            "macro '{key}' ({place}) used on line {} of \"{}\"",
            location.line, location.file
        );
        self.macros.in_use.push(key);
        self.read_lines(&source, text.as_bytes(), Some(line.name.span));
        self.macros.in_use.pop();
    }
}

impl Macros {
    /// The text of a use, and where the macro was defined.
    fn expand(
        &self,
        key: &str,
        name: &Word,
        values: &[String],
    ) -> Result<(String, String), Problem> {
        let Some(found) = self.defined.get(key) else {
            let problem = Problem::at(name, format!("macro '{}' undefined", name.text));
            let known = self.defined.values().map(|known| known.name.as_str());
            return Err(match nearest(&name.text, known) {
                Some(known) => problem.help(format!("did you mean {known}?")),
                None => problem,
            });
        };
        if self.in_use.iter().any(|outer| outer == key) || self.in_use.len() >= USES_DEEP_MAX {
            return Err(Problem::at(
                name,
                format!("recursive use of macro '{}' is invalid", found.name),
            ));
        }
        if values.len() != found.parameters.len() {
            let message = format!(
                "macro '{}' ({}) used with {} arguments instead of {}",
                found.name,
                found.place,
                values.len(),
                found.parameters.len()
            );
            let help = format!("Use {} {}", found.name, found.parameters.join(" "));
            return Err(Problem::at(name, message).help(help));
        }
        let mut text = String::new();
        for line in &found.lines {
            substitute(line, &found.parameters, values, &mut text);
            // A backslash at the very end would continue the line; a blank behind it is trimmed again.
            text.push_str(if text.ends_with('\\') { " \n" } else { "\n" });
        }
        Ok((text, found.place.clone()))
    }
}

fn check_parameters(name: &str, parameters: &[&Word]) -> Result<(), Problem> {
    for (index, word) in parameters.iter().enumerate() {
        if word.text.is_empty() {
            return Err(Problem::at(*word, format!("macro '{name}': a parameter needs a name")));
        }
        if parameters[..index].iter().any(|before| before.text == word.text) {
            let text = &word.text;
            return Err(Problem::at(*word, format!("macro '{name}' has parameter '{text}' twice")));
        }
    }
    Ok(())
}

/// How many sections lines open and do not close; less than none: which they close and have not opened.
fn nesting(lines: &[String]) -> i32 {
    let change = |line: &String| match line.trim_start() {
        line if line.starts_with("</") => -1,
        line if line.starts_with('<') => 1,
        _ => 0,
    };
    lines.iter().map(change).sum()
}

/// Appends `line` with every parameter replaced: the leftmost first, of several there the longest.
fn substitute(line: &str, parameters: &[String], values: &[String], out: &mut String) {
    let mut rest = line;
    loop {
        let found = parameters
            .iter()
            .enumerate()
            .filter_map(|(index, name)| Some((rest.find(name.as_str())?, name.len(), index)));
        let first = found.min_by_key(|(at, length, _)| (*at, std::cmp::Reverse(*length)));
        let Some((at, length, index)) = first else {
            out.push_str(rest);
            return;
        };
        out.push_str(&rest[..at]);
        push_value(&parameters[index], &values[index], out);
        rest = &rest[at + length..];
    }
}

/// The value of a parameter; in quotes, if the parameter's name asks for them.
fn push_value(name: &str, value: &str, out: &mut String) {
    if name.starts_with('@') {
        out.push('"');
        out.push_str(&value.replace('"', r#"\""#));
        out.push('"');
    } else {
        out.push_str(value);
    }
}
