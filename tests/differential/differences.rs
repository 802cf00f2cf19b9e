//! # What may differ: `differences.md`, read as rules
//!
//! ```text
//! ## What differs, in words
//!
//! The reason.
//!
//! - `files methods`: `OPTIONS \*.*`: `allow: - / .*`
//!    the cases          the request     the difference
//! ```
//!
//! A long rule may go on in a second line. Both patterns are regular expressions for the whole of what they match. A rule
//! must be needed in each of the cases that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

/// The rules for one file of cases.
pub(crate) struct Differences {
    rules: Vec<Rule>,
}

struct Rule {
    /// As it stands in the file.
    line: String,
    cases: Vec<String>,
    request: Regex,
    difference: Regex,
    used: bool,
}

impl Differences {
    /// Those that name these cases.
    pub(crate) fn read(name: &str) -> Differences {
        let mut rules = read_all();
        rules.retain(|rule| rule.cases.iter().any(|case| case == name));
        Differences { rules }
    }

    /// All cases that any rule names.
    pub(crate) fn all_cases() -> BTreeSet<String> {
        read_all().into_iter().flat_map(|rule| rule.cases).collect()
    }

    /// Whether a rule says that this may be so.
    pub(crate) fn covers(&mut self, request: &str, difference: &str) -> bool {
        let mut rules = self.rules.iter_mut();
        let rule = rules
            .find(|rule| rule.request.is_match(request) && rule.difference.is_match(difference));
        rule.map(|rule| rule.used = true).is_some()
    }

    /// Rules that nothing has needed.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| !rule.used).map(|rule| rule.line.as_str())
    }
}

fn read_all() -> Vec<Rule> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/differences.md");
    let text = fs::read_to_string(path).unwrap();
    let whole_rules = text.replace(":\n  `", ": `");
    whole_rules.lines().filter(|line| line.starts_with("- `")).map(Rule::parse).collect()
}

impl Rule {
    fn parse(line: &str) -> Rule {
        let parts: Vec<&str> = line.split('`').collect();
        let ["- ", cases, ": ", request, ": ", difference, ""] = parts[..] else {
            panic!("differences.md: a rule is - `cases`: `request`: `difference`, not {line}");
        };
        let whole = |pattern: &str| Regex::new(&format!("^(?:{pattern})$")).unwrap();
        Rule {
            line: line.to_owned(),
            cases: cases.split_whitespace().map(str::to_owned).collect(),
            request: whole(request),
            difference: whole(difference),
            used: false,
        }
    }
}
