//! `AllowOverride` and `AllowOverrideList`: what `.htaccess` files may hold.

use std::sync::Arc;

use herdgate_conf::{Args, Overrides, Problem, Word};

use super::options::{self, Options};

/// `AllowOverride`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AllowOverride {
    classes: Overrides,
    /// `Options=…`; `None` is all of them.
    options: Option<Options>,
    /// `Nonfatal=Override`: what is not allowed is passed over.
    passes_forbidden: bool,
    /// `Nonfatal=Unknown`: what nobody knows is passed over.
    passes_unknown: bool,
}

/// What a `.htaccess` file in one place may hold: both directives together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permit {
    pub(crate) allowed: AllowOverride,
    /// Names of directives that are allowed whatever their class, in lower case.
    pub(crate) list: Option<Arc<[String]>>,
}

impl Permit {
    /// Nothing at all is allowed: there is no need to look for files.
    pub fn is_nothing(&self) -> bool {
        self.allowed.classes.is_empty() && self.list.as_ref().is_none_or(|list| list.is_empty())
    }

    /// Whether a directive of these classes and this name may be used.
    pub fn permits(&self, classes: Overrides, name: &str) -> bool {
        self.allowed.classes.intersects(classes) || self.lists(name)
    }

    fn lists(&self, name: &str) -> bool {
        self.list.iter().flat_map(|list| list.iter()).any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Checks the words of an `Options` line.
    ///
    /// # Errors
    /// The first option that may not be changed here.
    pub fn check_options(&self, words: &[Word]) -> Result<(), Problem> {
        let Some(allowed) = self.allowed.options.filter(|_| !self.lists("Options")) else {
            return Ok(());
        };
        for word in words {
            if !options::known(word).is_none_or(|option| allowed.contains(option)) {
                let name = word.text.trim_start_matches(['+', '-']);
                return Err(Problem::at(word, format!("Option {name} not allowed here")));
            }
        }
        Ok(())
    }

    /// Whether what is not allowed is passed over instead of spoiling the file.
    pub fn passes_forbidden(&self) -> bool {
        self.allowed.passes_forbidden
    }

    /// Whether what nobody knows is passed over instead of spoiling the file.
    pub fn passes_unknown(&self) -> bool {
        self.allowed.passes_unknown
    }

    /// Tells permits apart, as part of a key.
    pub fn push_key(&self, key: &mut Vec<u8>) {
        // Every part of it as text: it is only looked at when a `.htaccess` file was found.
        key.extend_from_slice(format!("{self:?}").as_bytes());
    }
}

/// One `AllowOverride` line.
pub(super) fn parse(args: &mut Args<'_>) -> Result<AllowOverride, Problem> {
    let mut allowed = AllowOverride::default();
    let first = args.required()?;
    for word in std::iter::once(first).chain(args) {
        let (name, value) = match word.text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.text.as_str(), None),
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            ("nonfatal", Some(value)) => match value.to_ascii_lowercase().as_str() {
                "override" => allowed.passes_forbidden = true,
                "unknown" => allowed.passes_unknown = true,
                "all" => (allowed.passes_forbidden, allowed.passes_unknown) = (true, true),
                _ => return Err(Problem::at(word, format!("Unknown Nonfatal option {value:?}"))),
            },
            ("options", Some(value)) => {
                let mut options = Options::NONE;
                for name in value.split(',') {
                    let known = options::named_option(name);
                    let unknown = || Problem::at(word, format!("Illegal option {name}"));
                    options = options.union(known.ok_or_else(unknown)?);
                }
                allowed.classes = allowed.classes.union(Overrides::OPTIONS);
                allowed.options = Some(options);
            }
            (_, None) => match Overrides::named(name) {
                Some(none) if none.is_empty() => allowed.classes = Overrides::NONE,
                Some(class) => {
                    allowed.classes = allowed.classes.union(class);
                    if class.contains(Overrides::OPTIONS) {
                        allowed.options = None;
                    }
                }
                None => return Err(Problem::at(word, format!("Illegal override option {name}"))),
            },
            (_, Some(_)) => {
                return Err(Problem::at(word, format!("Illegal override option {}", word.text)));
            }
        }
    }
    Ok(allowed)
}

/// One `AllowOverrideList` line: names, or `None`.
pub(super) fn parse_list(args: &mut Args<'_>) -> Result<Arc<[String]>, Problem> {
    let first = args.required()?;
    let names = std::iter::once(first).chain(args).map(|word| word.text.to_ascii_lowercase());
    Ok(names.filter(|name| name != "none").collect())
}
