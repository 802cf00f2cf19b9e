//! `<If>`, `<ElseIf>` and `<Else>`: settings that hold when an expression does.

use std::io;
use std::sync::Arc;

use crate::config::DirSettings;
use crate::expr::Condition;

/// An `<If>` with what follows it: the first branch whose condition holds counts, and no other.
#[derive(Clone, Debug)]
pub struct IfChain {
    branches: Vec<Branch>,
}

#[derive(Clone, Debug)]
struct Branch {
    /// `None`: `<Else>`.
    condition: Option<Condition>,
    /// Its opening line, for people.
    written: Box<str>,
    settings: Arc<DirSettings>,
}

impl IfChain {
    /// A chain that begins with this `<If>`.
    pub fn new(condition: Condition, written: String, settings: DirSettings) -> Self {
        let mut chain = Self { branches: Vec::new() };
        chain.add(Some(condition), written, settings);
        chain
    }

    fn add(&mut self, condition: Option<Condition>, written: String, settings: DirSettings) {
        let (written, settings) = (written.into(), Arc::new(settings));
        self.branches.push(Branch { condition, written, settings });
    }

    /// Adds an `<ElseIf>`, or an `<Else>` if there is no condition. Says whether it may stand here: nothing follows `<Else>`.
    pub fn push(
        &mut self,
        condition: Option<Condition>,
        written: String,
        settings: DirSettings,
    ) -> bool {
        let is_open = self.branches.last().is_some_and(|branch| branch.condition.is_some());
        if is_open {
            self.add(condition, written, settings);
        }
        is_open
    }

    /// The settings of the branch that counts; `None` if no condition holds.
    fn choose(
        &self,
        holds: &mut impl FnMut(&Condition, &str) -> io::Result<bool>,
    ) -> io::Result<Option<&Arc<DirSettings>>> {
        for branch in &self.branches {
            let counts = match &branch.condition {
                Some(condition) => holds(condition, &branch.written)?,
                None => true,
            };
            if counts {
                return Ok(Some(&branch.settings));
            }
        }
        Ok(None)
    }
}

/// What `settings` come to when the conditions in them are decided, one after the other; those in a branch that counts
/// come right after it. `holds` decides about a condition; its opening line is for people.
///
/// # Errors
/// Those of `holds`.
pub fn decide(
    settings: &Arc<DirSettings>,
    mut holds: impl FnMut(&Condition, &str) -> io::Result<bool>,
) -> io::Result<Arc<DirSettings>> {
    let mut merged = Arc::clone(settings);
    let mut open: Vec<Arc<IfChain>> = settings.ifs.iter().rev().cloned().collect();
    while let Some(chain) = open.pop() {
        if let Some(chosen) = chain.choose(&mut holds)? {
            merged = Arc::new(DirSettings::merge(&merged, chosen));
            open.extend(chosen.ifs.iter().rev().cloned());
        }
    }
    Ok(merged)
}
