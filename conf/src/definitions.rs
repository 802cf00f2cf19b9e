//! What `Define` and `-D` have defined.

use std::collections::BTreeMap;

/// Names, some with values. A reload starts again from the command line's set, so a reading works on its
/// own copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definitions {
    values: BTreeMap<String, Option<String>>,
}

impl Definitions {
    /// What `-D name` does for each name.
    pub fn of_names(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Definitions { values: names.into_iter().map(|name| (name.into(), None)).collect() }
    }

    /// Whether `<IfDefine name>` holds.
    pub fn is_defined(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// What `${name}` stands for; a name can be defined without a value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref()
    }

    /// `Define name [value]`. Without a value, an earlier value stays.
    pub fn define(&mut self, name: &str, value: Option<&str>) {
        let held = self.values.entry(name.to_string()).or_default();
        if let Some(value) = value {
            *held = Some(value.to_string());
        }
    }

    /// `UnDefine name`.
    pub fn undefine(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// All names with their values, sorted: what `-t -D DUMP_RUN_CFG` lists.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}
