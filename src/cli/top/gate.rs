//! What happens before accept, all children together.
//!
//! - Counted twice: since the present children began, and between the two looks. What happens now is worth more than
//!   what happened in all the hours before, as long as anything does.

use std::time::Duration;

use herdgate_mpm::scoreboard::reader::{AtGate, Child};

use super::view::Look;

/// The gate, and those in front of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct GateView {
    /// What the gate is; empty if the server does not tell.
    pub(super) kind: String,
    /// Children queued at it.
    pub(super) waiting: u32,
    /// Children let in.
    pub(super) inside: u32,
    /// Since the present children began.
    pub(super) all: GateCounts,
    /// Between the two looks.
    pub(super) lately: Option<GateCounts>,
}

/// What befell children at the gate, and just behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GateCounts {
    /// Times that a child went in.
    pub(super) acquisitions: u64,
    /// Times that a child had to wait for it.
    pub(super) contended: u64,
    /// All waits together.
    pub(super) waited: Duration,
    /// Connections accepted.
    pub(super) accepted: u64,
    /// Times that a child was woken for a connection and found none.
    pub(super) wasted: u64,
}

impl GateView {
    pub(super) fn of(now: &Look, before: Option<&Look>) -> Self {
        let present = || now.snapshot.children.iter().filter(|child| child.is_present());
        let at = |place| {
            let there = present().filter(|child| child.at_gate == place).count();
            u32::try_from(there).unwrap_or(u32::MAX)
        };
        let former = |before: &Look, child: &Child| {
            let former = before.snapshot.children.get(child.place);
            former.filter(|former| former.pid == child.pid).map(GateCounts::of).unwrap_or_default()
        };
        Self {
            kind: now.snapshot.gate.clone(),
            waiting: at(AtGate::Waiting),
            inside: at(AtGate::Inside),
            all: present().map(GateCounts::of).sum(),
            lately: before.map(|before| {
                present().map(|child| GateCounts::of(child).since(former(before, child))).sum()
            }),
        }
    }

    /// Whether children queue at it. Where they do not, each that waits for a connection is inside.
    pub(super) fn keeps_waiting(&self) -> bool {
        !matches!(self.kind.as_str(), "" | "none" | "exclusive")
    }

    /// What happened lately if anything did, else what happened at all.
    pub(super) fn counts(&self) -> GateCounts {
        self.lately.filter(|lately| lately.accepted + lately.wasted > 0).unwrap_or(self.all)
    }
}

impl GateCounts {
    fn of(child: &Child) -> Self {
        let gate = child.gate.as_ref();
        Self {
            acquisitions: gate.map_or(0, |gate| gate.acquisitions),
            contended: gate.map_or(0, |gate| gate.contended),
            waited: gate.map_or(Duration::ZERO, |gate| gate.waited),
            accepted: child.accepted,
            wasted: child.wakeups_wasted,
        }
    }

    fn since(self, former: Self) -> Self {
        Self {
            acquisitions: self.acquisitions.saturating_sub(former.acquisitions),
            contended: self.contended.saturating_sub(former.contended),
            waited: self.waited.saturating_sub(former.waited),
            accepted: self.accepted.saturating_sub(former.accepted),
            wasted: self.wasted.saturating_sub(former.wasted),
        }
    }
}

impl std::iter::Sum for GateCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            acquisitions: sum.acquisitions + one.acquisitions,
            contended: sum.contended + one.contended,
            waited: sum.waited + one.waited,
            accepted: sum.accepted + one.accepted,
            wasted: sum.wasted + one.wasted,
        })
    }
}

#[cfg(test)]
mod tests {
    use herdgate_mpm::Model;
    use herdgate_mpm::scoreboard::reader::Gate;

    use super::super::view::tests::look;
    use super::*;

    fn look_with(acquisitions: u64, accepted: u64) -> Look {
        let mut look = look(Model::Worker, 100);
        look.snapshot.children[0].accepted = accepted;
        look.snapshot.children[0].gate = Some(Gate { acquisitions, ..Gate::default() });
        look
    }

    #[test]
    fn what_happens_now_is_told_as_long_as_anything_does() {
        let view = GateView::of(&look_with(5, 50), Some(&look_with(3, 30)));
        assert_eq!((view.counts().acquisitions, view.all.acquisitions), (2, 5));
        let quiet = GateView::of(&look_with(5, 50), Some(&look_with(5, 50)));
        assert_eq!(quiet.counts(), quiet.all);
    }

    #[test]
    fn another_child_in_the_same_place_has_counted_from_zero() {
        let mut former = look_with(3, 30);
        former.snapshot.children[0].pid = 7;
        let view = GateView::of(&look_with(5, 50), Some(&former));
        assert_eq!(view.lately.unwrap().acquisitions, 5);
    }
}
