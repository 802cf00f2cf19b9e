//! The variables of a request: what SetEnv, SetEnvIf and rewriting say, and what logs and conditions ask.

use std::borrow::Cow;

use crate::modules::unique_id;

/// Variables in the order in which they were set first. Names are told apart by case, as Apache does.
#[derive(Clone, Debug, Default)]
pub struct Env {
    list: Vec<(Cow<'static, str>, Vec<u8>)>,
}

impl Env {
    /// The value of a variable, which may be empty; `None` if it is not set.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.list.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Vec<u8>>) {
        let (name, value) = (name.into(), value.into());
        match self.list.iter_mut().find(|(known, _)| *known == name) {
            Some((_, present)) => *present = value,
            None => self.list.push((name, value)),
        }
    }

    /// Removes a variable.
    pub fn unset(&mut self, name: &str) {
        self.list.retain(|(known, _)| known != name);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.list.iter().map(|(name, value)| (name.as_ref(), value.as_slice()))
    }

    /// After an internal redirect every variable is called REDIRECT_NAME, as in Apache. The request's own name stays.
    pub(crate) fn redirected(self) -> Env {
        let unique_id = self.get(unique_id::VARIABLE).map(<[u8]>::to_vec);
        let renamed = |(name, value)| (Cow::Owned(format!("REDIRECT_{name}")), value);
        let mut env = Env { list: self.list.into_iter().map(renamed).collect() };
        if let Some(value) = unique_id {
            env.set(unique_id::VARIABLE, value);
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_a_redirect_renames() {
        let mut env = Env::default();
        env.set("a", *b"1");
        env.set("A", *b"2");
        env.set("a", *b"");
        env.set("gone", *b"x");
        env.unset("gone");
        assert_eq!(env.iter().collect::<Vec<_>>(), [("a", &b""[..]), ("A", b"2")]);
        let env = env.redirected();
        assert_eq!((env.get("REDIRECT_A"), env.get("A")), (Some(&b"2"[..]), None));
    }
}
