//! The kernel's queues of connections that wait to be accepted: how long they are, and how long one waits in them.
//!
//! - How long one waits is told by those connections that were asked when they were let in.
//! - The mean by the queue's length checks it: so many waited at each look, and so many went through (Little's law).

use std::time::Duration;

use herdgate_mpm::gate::waits;
use herdgate_mpm::scoreboard::reader::Snapshot;

use super::view::{Look, totals};

/// All listeners' queues together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct QueueView {
    /// How many wait.
    pub(super) waiting: u32,
    /// How many may; 0 if nobody has looked.
    pub(super) limit: u32,
    /// How long they waited since the server's start; `None` if nobody was asked.
    pub(super) ever: Option<Waits>,
    /// How long they waited between the two looks.
    pub(super) lately: Option<Waits>,
    /// Their mean wait between the two looks by the queue's length.
    pub(super) by_length: Option<Duration>,
}

/// How long connections waited that were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    /// How many were asked.
    pub(super) asked: u64,
    /// Half of them waited as long.
    pub(super) median: Duration,
    /// One in a hundred waited as long.
    pub(super) percentile_99: Duration,
    /// Nobody waited longer than this, give or take a quarter.
    pub(super) longest: Duration,
}

impl QueueView {
    pub(super) fn of(now: &Look, before: Option<&Look>) -> Self {
        let server = &now.snapshot.server;
        let counts = counts(&now.snapshot);
        let lately = |before: &Look| -> Vec<u64> {
            let former = self::counts(&before.snapshot);
            counts.iter().zip(former).map(|(now, former)| now.saturating_sub(former)).collect()
        };
        Self {
            waiting: server.queue_waiting,
            limit: server.queue_limit,
            ever: Waits::of(&counts),
            lately: before.and_then(|before| Waits::of(&lately(before))),
            by_length: before.and_then(|before| by_length(&now.snapshot, &before.snapshot)),
        }
    }
}

impl Waits {
    fn of(counts: &[u64]) -> Option<Self> {
        Some(Self {
            asked: counts.iter().sum(),
            median: waits::quantile(counts, 0.5)?,
            percentile_99: waits::quantile(counts, 0.99)?,
            longest: waits::quantile(counts, 1.0)?,
        })
    }
}

/// All that were asked, by length of their wait. Places count on through all their children, so free ones count, too.
fn counts(snapshot: &Snapshot) -> Vec<u64> {
    let mut sums = vec![0; waits::BUCKETS];
    for queue in snapshot.children.iter().filter_map(|child| child.queue.as_ref()) {
        sums.iter_mut().zip(&queue.waits).for_each(|(sum, count)| *sum += count);
    }
    sums
}

fn by_length(now: &Snapshot, before: &Snapshot) -> Option<Duration> {
    let waited = now.server.queue_wait_ms.saturating_sub(before.server.queue_wait_ms);
    let let_in = totals(now).connections.saturating_sub(totals(before).connections);
    waited.checked_div(let_in).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use herdgate_mpm::Model;
    use herdgate_mpm::scoreboard::reader::Queue;

    use super::super::view::tests::look;
    use super::*;

    /// So many have waited 20 ms, and 10 connections come each second.
    fn look_with(secs: u64, asked: u64, wait_ms: u64) -> Look {
        let mut look = look(Model::Worker, secs);
        look.snapshot.children[0].queue = None;
        let mut waits = vec![0; waits::BUCKETS];
        waits[waits::bucket(Duration::from_millis(20))] = asked;
        look.snapshot.children[2].queue = Some(Queue { waits, ..Queue::default() });
        look.snapshot.server.queue_wait_ms = wait_ms;
        look
    }

    #[test]
    fn waits_are_told_for_the_last_look_and_for_all_time() {
        let view = QueueView::of(&look_with(102, 9, 900), Some(&look_with(100, 7, 500)));
        let (ever, lately) = (view.ever.unwrap(), view.lately.unwrap());
        assert_eq!((ever.asked, lately.asked), (9, 2));
        let exact = Duration::from_millis(16)..=Duration::from_millis(20);
        assert!(exact.contains(&lately.median) && exact.contains(&ever.longest));
        assert_eq!(view.by_length, Some(Duration::from_millis(20)));
    }

    #[test]
    fn nobody_asked_and_nobody_let_in_tell_nothing() {
        let mut look = look(Model::Worker, 100);
        look.snapshot.children[0].queue = None;
        let view = QueueView::of(&look, Some(&look));
        assert_eq!((view.ever, view.lately, view.by_length), (None, None, None));
    }
}
