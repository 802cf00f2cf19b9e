//! # Conditions that hold, or not, while a configuration is read
//!
//! `<IfDefine>` `<IfModule>` `<IfDirective>` `<IfSection>` `<IfFile>` and `<IfVersion>`, each with a `!`
//! before its test that turns it round (httpd `server/core.c`, `modules/metadata/mod_version.c`).

use std::path::Path;

use regex::Regex;

use crate::args::Args;
use crate::definitions::Definitions;
use crate::diagnostic::Problem;
use crate::host::Host;
use crate::tree::Word;

/// The sections that are decided while reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Define,
    Module,
    Directive,
    Section,
    File,
    Version,
}

impl Condition {
    const NAMES: [(&'static str, Condition); 6] = [
        ("IfDefine", Condition::Define),
        ("IfModule", Condition::Module),
        ("IfDirective", Condition::Directive),
        ("IfSection", Condition::Section),
        ("IfFile", Condition::File),
        ("IfVersion", Condition::Version),
    ];

    /// The condition that a section's name asks for.
    pub(crate) fn named(name: &str) -> Option<Condition> {
        let mut names = Self::NAMES.into_iter();
        names.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, condition)| condition)
    }

    /// Whether it holds here and now.
    pub(crate) fn holds(
        self,
        args: &mut Args<'_>,
        definitions: &Definitions,
        host: &dyn Host,
    ) -> Result<bool, Problem> {
        if self == Condition::Version {
            return version_matches(args, host.version());
        }
        let word = args.required()?;
        let (negated, test) = negation(word);
        if test.is_empty() {
            return Err(Problem::at(word, "there is nothing to test"));
        }
        let holds = match self {
            Condition::Define => definitions.is_defined(test),
            Condition::Module => host.module_loaded(test),
            Condition::Directive => host.knows_directive(test),
            Condition::Section => host.knows_section(test.trim_matches(['<', '>'])),
            Condition::File => exists(host, &args.base().join(test)),
            Condition::Version => unreachable!("decided above"),
        };
        Ok(holds != negated)
    }
}

fn negation(word: &Word) -> (bool, &str) {
    match word.text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, &word.text),
    }
}

fn exists(host: &dyn Host, path: &Path) -> bool {
    host.files().kind(path).is_ok()
}

/// `[[!]operator] version`: `=` and `==` (also with `/regex/`), `~` with a regex, `>` `>=` `<` `<=`.
fn version_matches(args: &mut Args<'_>, version: [u32; 3]) -> Result<bool, Problem> {
    let first = args.required()?;
    let (negated, operator) = negation(first);
    let Some(operand) = args.next() else {
        return Ok((version == parse_version(first, operator)?) != negated);
    };
    let holds = match operator {
        "~" => matches_regex(operand, &operand.text, version)?,
        "" | "=" | "==" => match between_slashes(&operand.text) {
            Some(regex) => matches_regex(operand, regex, version)?,
            None => version == parse_version(operand, &operand.text)?,
        },
        ">" => version > parse_version(operand, &operand.text)?,
        ">=" => version >= parse_version(operand, &operand.text)?,
        "<" => version < parse_version(operand, &operand.text)?,
        "<=" => version <= parse_version(operand, &operand.text)?,
        _ => {
            let problem = Problem::at(first, format!("{operator:?} is not an operator"));
            return Err(problem.help("=, ==, >, >=, <, <= or ~, with ! before it for the opposite"));
        }
    };
    Ok(holds != negated)
}

/// `major[.minor[.patch]]`; what is left out is 0.
fn parse_version(word: &Word, text: &str) -> Result<[u32; 3], Problem> {
    let wrong =
        || Problem::at(word, format!("{text:?} is not a version")).help("major.minor.patch");
    let mut version = [0; 3];
    for (index, number) in text.split('.').enumerate() {
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
        *version.get_mut(index).ok_or_else(wrong)? = number;
    }
    Ok(version)
}

fn between_slashes(text: &str) -> Option<&str> {
    text.strip_prefix('/')?.strip_suffix('/')
}

fn matches_regex(word: &Word, regex: &str, version: [u32; 3]) -> Result<bool, Problem> {
    let regex = Regex::new(regex).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or("it does not parse").trim();
        Problem::at(word, format!("not a regular expression: {reason}"))
    })?;
    let [major, minor, patch] = version;
    Ok(regex.is_match(&format!("{major}.{minor}.{patch}")))
}
