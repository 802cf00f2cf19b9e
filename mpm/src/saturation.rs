//! Saturation: all workers are busy. Since when, with what, and what would help.
//!
//! Apache says "server reached MaxRequestWorkers" once in its life, and no more. Here it is said when it begins, with
//! the reasons, and when it is over.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Moment;
use crate::gate::waits;
use crate::scoreboard::{ChildRecord, QueueLook, Slot, State};

/// Watches whether all workers are busy.
#[derive(Debug, Default)]
pub(crate) struct Saturation {
    since: Option<Moment>,
    said: bool,
}

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    None,
    /// Nobody is idle, perhaps for a moment only.
    Suspected,
    Begun,
    /// It has lasted so long.
    Over(Duration),
}

impl Saturation {
    /// To be told once a second. A moment without an idle worker is nothing to write home about: it must last from
    /// one look to the next.
    pub(crate) fn watch(&mut self, saturated: bool, now: Moment) -> News {
        match (saturated, self.since) {
            (true, None) => {
                self.since = Some(now);
                News::Suspected
            }
            (true, Some(_)) if !self.said => {
                self.said = true;
                News::Begun
            }
            (true, Some(_)) => News::None,
            (false, since) => {
                let said = std::mem::take(&mut self.said);
                self.since = None;
                since.filter(|_| said).map_or(News::None, |since| News::Over(now.since(since)))
            }
        }
    }
}

/// What the workers are busy with: connections by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Awaiting or reading a request.
    pub reading: u32,
    /// Making or sending an answer.
    pub writing: u32,
    /// Between two requests.
    pub keep_alive: u32,
    /// Closing, lingering.
    pub closing: u32,
    /// Jobs of the event model: files being read from disks.
    pub jobs: u32,
    /// Anything else.
    pub other: u32,
    /// Workers among them that do nothing but wait for a client who is slow to send a request, or to take an answer. In the
    /// event model there are none.
    pub held_by_clients: u32,
    /// Event: connections wait in loops, and hold no workers.
    pub in_loops: bool,
    /// Children of old generations that have not finished yet.
    pub finishing_children: u32,
    /// Connections that the kernel has queued.
    pub queued: u32,
    /// How long those had waited that were let in since all workers became busy.
    pub waits: QueueWaits,
    /// No more workers are allowed.
    pub at_limit: bool,
    /// What one child costs, in bytes of anonymous memory.
    pub child_bytes: u64,
    /// How many workers a child has.
    pub workers_per_child: u32,
}

impl Work {
    pub(crate) fn add_slots(&mut self, slots: &[Slot]) {
        for slot in slots {
            let reads_or_writes = matches!(slot.state(), State::Reading | State::Writing);
            let is_held = reads_or_writes && slot.waits_for_client.load(Relaxed) != 0;
            self.held_by_clients += u32::from(is_held);
            match slot.state() {
                State::Reading => self.reading += 1,
                State::Writing => self.writing += 1,
                State::KeepAlive => self.keep_alive += 1,
                State::Closing => self.closing += 1,
                State::Dead | State::Starting | State::Ready => {}
                State::Logging | State::Dns | State::Graceful | State::Retiring => self.other += 1,
            }
        }
    }

    pub(crate) fn add_parked(&mut self, child: &ChildRecord) {
        self.in_loops = true;
        self.reading += child.parked_request.load(Relaxed);
        self.writing += child.parked_response.load(Relaxed);
        self.keep_alive += child.parked_idle.load(Relaxed);
        self.closing += child.parked_linger.load(Relaxed);
        self.jobs += child.jobs.load(Relaxed);
    }

    /// What would help, in the order in which it would.
    #[must_use]
    pub fn cures(&self) -> Vec<&'static str> {
        let total = self.reading + self.writing + self.keep_alive + self.closing + self.other;
        let many = |part: u32| part * 3 >= total && part > 0; // A third of all is worth a word.
        let mut cures = Vec::new();
        match self.in_loops {
            false if many(self.keep_alive) => cures.push(
                "a shorter KeepAliveTimeout, or the event model: idle connections hold workers",
            ),
            true if many(self.keep_alive) => cures.push(
                "a shorter KeepAliveTimeout, or a higher AsyncRequestWorkerFactor: idle connections fill the loops",
            ),
            _ => {}
        }
        match self.in_loops {
            false if many(self.held_by_clients) => cures.push(
                "a shorter RequestReadTimeout and Timeout, a higher MinSendRate, or the event model: slow clients \
                 hold workers",
            ),
            true if many(self.reading + self.writing) => cures.push(
                "a higher AsyncRequestWorkerFactor, or a shorter RequestReadTimeout and Timeout: slow clients fill \
                 the loops",
            ),
            _ => {}
        }
        if self.jobs > 0 && self.jobs * 3 >= total {
            cures.push("faster disks, or more memory for their cache: jobs wait for files");
        }
        if self.finishing_children > 0 {
            cures.push("patience: children of an old generation still finish");
        }
        if self.at_limit {
            cures.push("a higher MaxRequestWorkers, if the memory allows it");
        }
        cures
    }
}

/// How long clients waited until they were let in, as well as it can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueWaits {
    /// Some were asked. Exact to a bucket of [`waits`], of which the lower end is told.
    Asked {
        /// Half of them waited at least that long.
        median: Duration,
        /// Somebody waited at least that long, and nobody much longer.
        longest: Duration,
    },
    /// Nobody was asked; the mean wait by the queue's length and the connections that left it (Little's law).
    ByLength(Duration),
    /// Nobody was let in.
    #[default]
    NobodyLetIn,
}

impl QueueWaits {
    /// From two looks.
    pub(crate) fn between(before: &QueueLook, now: &QueueLook) -> Self {
        let recent = before.waits.iter().zip(&now.waits);
        let recent: Vec<u64> = recent.map(|(before, now)| now.saturating_sub(*before)).collect();
        let quantile = |share| waits::quantile(&recent, share);
        if let (Some(median), Some(longest)) = (quantile(0.5), quantile(1.0)) {
            return Self::Asked { median, longest };
        }
        let wait_ms = now.wait_ms.saturating_sub(before.wait_ms);
        match now.connections.saturating_sub(before.connections) {
            0 => Self::NobodyLetIn,
            connections => Self::ByLength(Duration::from_millis(wait_ms / connections)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_when_it_lasts_and_once_when_it_is_over() {
        let at = |secs| Moment::from_start(Duration::from_secs(secs));
        let mut saturation = Saturation::default();
        let told: Vec<News> =
            [(true, 1), (false, 2), (true, 3), (true, 4), (true, 5), (false, 6), (false, 7)]
                .map(|(saturated, secs)| saturation.watch(saturated, at(secs)))
                .to_vec();
        let over = News::Over(Duration::from_secs(3));
        assert_eq!(
            told,
            [
                News::Suspected,
                News::None,
                News::Suspected,
                News::Begun,
                News::None,
                over,
                News::None
            ]
        );
    }

    #[test]
    fn waits_are_told_as_well_as_they_are_known() {
        let before = QueueLook { waits: [7; waits::BUCKETS], wait_ms: 1000, connections: 100 };
        let mut now = before.clone();
        let told = |now: &QueueLook| QueueWaits::between(&before, now);
        assert_eq!(told(&now), QueueWaits::NobodyLetIn);
        (now.wait_ms, now.connections) = (1600, 103);
        assert_eq!(told(&now), QueueWaits::ByLength(Duration::from_millis(200)));
        (now.waits[1], now.waits[9]) = (9, 8);
        let (median, longest) = (Duration::from_micros(1), Duration::from_micros(10));
        assert_eq!(told(&now), QueueWaits::Asked { median, longest });
    }

    #[test]
    fn the_cure_fits_the_cause() {
        let keep_alive = Work { keep_alive: 20, writing: 5, at_limit: true, ..Work::default() };
        assert!(keep_alive.cures()[0].contains("KeepAliveTimeout"));
        assert!(keep_alive.cures()[1].contains("MaxRequestWorkers"));
        let slow = Work { reading: 9, writing: 1, held_by_clients: 9, ..Work::default() };
        assert_eq!(slow.cures().len(), 1);
        assert!(slow.cures()[0].contains("slow clients hold workers"));
        let busy = Work { reading: 9, writing: 1, ..Work::default() };
        assert!(busy.cures().is_empty(), "nobody knows who holds them");
        let loops = Work { reading: 900, writing: 9, in_loops: true, ..Work::default() };
        assert!(loops.cures()[0].contains("slow clients fill the loops"));
    }
}
