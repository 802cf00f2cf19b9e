//! Landlock: limits by name, which seccomp cannot see.
//!
//! - A limit holds for the file or folder that has the name when the limit is made. A folder that is put in its place
//!   later is another one.
//! - What this kernel's Landlock does not know yet is left out: truncating before Linux 6.2, TCP before 6.7, devices
//!   before 6.10, signals and abstract sockets before 6.12.
//! - Not limited, in any version: to ask whether a name exists, its size and times, and to enter a folder.

use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, NetPort, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Bounds, Peers};

/// The newest Landlock that this was tried with.
const NEWEST: ABI = ABI::V7;
/// Where a resolver is asked by TCP, if its answer is too long for UDP.
const DNS: u16 = 53;

/// Limits what the calling thread, and all that it starts, can do by a file's name, whom it can reach by TCP, and that
/// it sends signals to nobody else. Names that lead nowhere are passed over. landlock(7).
///
/// # Errors
/// The kernel has no Landlock ([`offer`](super::offer) tells), or one that is nested too deeply already.
pub fn limit_files(bounds: &Bounds) -> io::Result<()> {
    let status =
        ruleset(bounds).and_then(RulesetCreated::restrict_self).map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::ErrorKind::Unsupported.into()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn ruleset(bounds: &Bounds) -> Result<RulesetCreated, RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let changing = AccessFs::from_all(NEWEST) & !reading; // Executing is in it.
    let handled = if bounds.read.is_some() { reading | changing } else { changing };
    let mut rules = Ruleset::default()
        .handle_access(handled)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(bounds.read.iter().flatten(), reading))?
        .add_rules(path_beneath_rules(&bounds.write, handled & !AccessFs::Execute))?;
    if bounds.peers == Peers::Resolver {
        rules = rules.add_rule(NetPort::new(DNS, AccessNet::ConnectTcp))?;
    }
    Ok(rules)
}
