//! # Providers by another name: `<AuthnProviderAlias>` and `<AuthzProviderAlias>`
//!
//! ```text
//! <AuthnProviderAlias file staff>            <AuthzProviderAlias ip office "192.0.2.0/24 2001:db8::/32">
//!     AuthUserFile conf/staff                </AuthzProviderAlias>
//! </AuthnProviderAlias>
//!
//! AuthBasicProvider staff file               Require office
//! ```
//!
//! - A provider under its new name has settings of its own, which hold while it is asked, over those of the place.
//! - A name is known below its section, also in `.htaccess`; a later section of the same name for Require replaces it.

use std::sync::Arc;

use herdgate_conf::{Line, Place, Problem, Word};

use super::authz_core::{self, Rule};
use crate::config::DirSettings;

/// The names that the configuration has given so far.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    authn: Vec<Arc<AuthnAlias>>,
    authz: Vec<Arc<AuthzAlias>>,
}

/// `<AuthnProviderAlias>`: a password file by a name. There is no other kind of provider.
#[derive(Debug)]
pub(crate) struct AuthnAlias {
    name: String,
    /// What stands in the section.
    pub(crate) settings: DirSettings,
}

/// `<AuthzProviderAlias>`: a Require by a name.
#[derive(Debug)]
pub(crate) struct AuthzAlias {
    name: String,
    /// What it asks.
    pub(crate) rule: Rule,
    /// What stands in the section.
    pub(crate) settings: DirSettings,
}

/// Whether a line opens one of the two sections.
pub(crate) fn is_alias(line: &Line) -> bool {
    line.is("AuthnProviderAlias") || line.is("AuthzProviderAlias")
}

impl Providers {
    /// `<AuthnProviderAlias>` by its name.
    pub(crate) fn authn(&self, name: &str) -> Option<Arc<AuthnAlias>> {
        self.authn.iter().find(|alias| alias.name == name).cloned()
    }

    /// `<AuthzProviderAlias>` by its name.
    pub(crate) fn authz(&self, name: &str) -> Option<Arc<AuthzAlias>> {
        self.authz.iter().rev().find(|alias| alias.name == name).cloned()
    }

    /// All names for AuthBasicProvider.
    pub(crate) fn authn_names(&self) -> impl Iterator<Item = &str> {
        self.authn.iter().map(|alias| alias.name.as_str())
    }

    /// All names for Require.
    pub(crate) fn authz_names(&self) -> impl Iterator<Item = &str> {
        self.authz.iter().map(|alias| alias.name.as_str())
    }

    /// Takes the section that `line` opens and `settings` stand in. A warning goes along if the line says more than
    /// counts.
    pub(crate) fn add(
        &mut self,
        line: &Line,
        settings: DirSettings,
        place: &Place<'_>,
    ) -> Result<Option<Problem>, Problem> {
        let [base, name, arguments @ ..] = line.words.as_slice() else {
            let message = format!("<{}> directive requires additional arguments", line.name.text);
            return Err(Problem::at(&line.name, message));
        };
        if base.text.eq_ignore_ascii_case(&name.text) && line.is("AuthnProviderAlias") {
            let message = "The alias provider name must be different from the base provider name.";
            return Err(Problem::at(name, message));
        }
        if line.is("AuthnProviderAlias") {
            self.add_authn(base, name, settings)?;
            return Ok(arguments.first().map(|extra| Problem::at(extra, "is passed over")));
        }
        let rule = self.rule(base, name, arguments.first(), place)?;
        self.authz.push(Arc::new(AuthzAlias { name: name.text.clone(), rule, settings }));
        Ok(arguments.get(1).map(|extra| {
            Problem::at(extra, "only the first of several arguments is taken into account")
                .help("AH10142: put quotes around all of them together")
        }))
    }

    fn add_authn(
        &mut self,
        base: &Word,
        name: &Word,
        settings: DirSettings,
    ) -> Result<(), Problem> {
        if base.text != "file" {
            let message = match self.authn(&base.text) {
                Some(_) => format!("{} is an alias itself", base.text),
                None => format!("Unknown Authn provider: {}", base.text),
            };
            return Err(Problem::at(base, message).help("file is known, with AuthUserFile"));
        }
        if self.authn(&name.text).is_some() {
            let message = format!(
                "The alias provider {} has already be registered previously as either a base provider or an alias \
                 provider.",
                name.text
            );
            return Err(Problem::at(name, message));
        }
        self.authn.push(Arc::new(AuthnAlias { name: name.text.clone(), settings }));
        Ok(())
    }

    /// What `Require base arguments` would ask.
    fn rule(
        &self,
        base: &Word,
        name: &Word,
        arguments: Option<&Word>,
        place: &Place<'_>,
    ) -> Result<Rule, Problem> {
        if base.text.eq_ignore_ascii_case("not") {
            return Err(Problem::at(base, "Unknown Authz provider: not"));
        }
        let text = arguments.map_or("", |word| word.text.as_str());
        let line = Line::in_words("Require", &format!("{} {text}", base.text), name.span);
        authz_core::rule_of(&line, self, place)
    }
}
