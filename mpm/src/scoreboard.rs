//! # The scoreboard: who does what, in memory that everybody sees
//!
//! ```text
//!   ┌ Header ──────────┬ global ─┬ child 0 … C-1 ─┬ slot 0 … C×W-1 ─┬ detail 0 … C×W-1 ─┬ gate 0 … C-1 ─┬ … ─┐
//!   │ magic, version,  │ 1 Global│ ChildRecord    │ Slot, a cache   │ Detail, under a   │ GateRecord    │    │
//!   │ table of areas   │         │ each           │ line each       │ seqlock each      │ each          │    │
//!   └──────────────────┴─────────┴────────────────┴─────────────────┴───────────────────┴───────────────┴────┘
//!      an area is {name, offset, stride, count, version}: a reader finds by name what it knows, and skips the rest
//! ```
//!
//! Each kind of record has a file of its name: `areas` (the header), `global`, `child`, `slot`, `detail`, `gate`,
//! `label`, `queue`, `ending`.
//! `reader` sees them all from outside, and `life` tells whether anybody still writes them.
//!
//! - One writer at a time for each record: the supervisor before the fork and after the reap, its worker between.
//! - Readers take no lock and block nobody. Counters are relaxed atomics; strings are under a seqlock.
//! - Nothing here is trusted by the supervisor: pids and generations that it acts on are in its own memory
//!   (a child that could name a pid for root to signal was CVE-2019-0211).
//! - The file is created anew, mode 0600, and fully allocated, so that a full disk is an error at start and no SIGBUS later.

mod areas;
mod child;
mod detail;
mod ending;
mod gate;
mod global;
mod label;
#[cfg(test)]
mod layout_tests;
mod life;
mod queue;
pub mod reader;
mod seqlock;
mod slot;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use herdgate_sys as sys;
use sys::shared::SharedMapping;

use areas::Areas;
pub use areas::{Area, Header};
pub use child::ChildRecord;
pub(crate) use detail::Words;
pub use detail::{Description, Detail, REQUEST_BYTES_MAX};
pub use ending::{Ending, EndingRecord, Endings};
pub use gate::GateRecord;
pub use global::{Global, Stage};
pub(crate) use label::Label;
pub(crate) use queue::QueueLook;
pub use queue::QueueRecord;
pub use slot::{Slot, SlotWriter, State};

/// The scoreboard of a running server, seen from one of its own processes. A clone is the same one.
#[derive(Clone)]
pub struct Scoreboard {
    mapping: Arc<SharedMapping>,
    slots_per_child: usize,
    areas: Arc<Areas>,
}

impl Scoreboard {
    /// Makes a scoreboard for so many children with so many slots each: at `path`, where a stale one of a former
    /// server is replaced, or in memory that only this server's processes share.
    ///
    /// # Errors
    /// The file cannot be made, or there is no room for it.
    pub fn create(path: Option<&Path>, children: u32, slots_per_child: u32) -> io::Result<Self> {
        let (children, slots_per_child) = (children as usize, slots_per_child as usize);
        let areas = Areas::new(children, slots_per_child);
        let mapping = match path {
            Some(path) => {
                remove_stale(path)?;
                SharedMapping::create(path, areas.total).map_err(at(path))?
            }
            None => SharedMapping::anonymous(areas.total)?,
        };
        areas.write_header(&mapping);
        Ok(Self { mapping: Arc::new(mapping), slots_per_child, areas: Arc::new(areas) })
    }

    /// The record of the server as a whole.
    #[must_use]
    pub fn global(&self) -> &Global {
        &self.areas.global.of(&self.mapping)[0]
    }

    /// All children's records.
    #[must_use]
    pub fn children(&self) -> &[ChildRecord] {
        self.areas.children.of(&self.mapping)
    }

    /// How all children fare at the gate.
    #[must_use]
    pub fn gates(&self) -> &[GateRecord] {
        self.areas.gates.of(&self.mapping)
    }

    /// How long connections waited until the children of each place accepted them.
    #[must_use]
    pub fn queues(&self) -> &[QueueRecord] {
        self.areas.queues.of(&self.mapping)
    }

    /// The slots of one child.
    #[must_use]
    pub fn slots(&self, child: usize) -> &[Slot] {
        self.of_child(self.areas.slots.of(&self.mapping), child)
    }

    fn details(&self, child: usize) -> &[Detail] {
        self.of_child(self.areas.details.of(&self.mapping), child)
    }

    /// How the connections of one child's workers ended.
    #[must_use]
    pub fn endings(&self, child: usize) -> &[EndingRecord] {
        self.of_child(self.areas.endings.of(&self.mapping), child)
    }

    fn of_child<'a, T>(&self, all: &'a [T], child: usize) -> &'a [T] {
        &all[child * self.slots_per_child..][..self.slots_per_child]
    }

    /// What the worker in a slot says that it is busy with. `None` if it keeps on writing, or died while it wrote.
    #[must_use]
    pub fn description(&self, child: usize, worker: usize) -> Option<Description> {
        let detail = &self.details(child)[worker];
        let words = seqlock::read(&detail.sequence, |index| detail.words[index].load(Relaxed))?;
        Some(Description::from_words(&words))
    }

    /// The pen of the worker in this slot. There must be one at a time: the supervisor's before fork and after
    /// reap, the worker's between.
    #[must_use]
    pub fn writer(&self, child: usize, worker: usize) -> SlotWriter<'_> {
        SlotWriter {
            slot: &self.slots(child)[worker],
            detail: &self.details(child)[worker],
            endings: &self.endings(child)[worker],
        }
    }
}

impl fmt::Debug for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoreboard").field("mapping", &self.mapping).finish_non_exhaustive()
    }
}

/// Adds to a counter that only we write: a load and a store.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// Removes what a former server has left, and nothing else: a slip in a configuration must not cost a document. What a
/// crash of the machine has left may hold nothing, or anything: it is known by its name then.
fn remove_stale(path: &Path) -> io::Result<()> {
    match reader::Reader::open(path) {
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => return Ok(()),
        Err(error) if error.is_something_else() && !is_ours_by_name(path) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, error.to_string()));
        }
        Ok(_) | Err(_) => {}
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn is_ours_by_name(path: &Path) -> bool {
    let is_empty = std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() == 0);
    is_empty || path.extension().is_some_and(|word| word == "scoreboard")
}

fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_replaced_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        drop(Scoreboard::create(Some(&path), 3, 3).unwrap());
        drop(Scoreboard::create(Some(&path), 2, 2).unwrap());
        std::fs::write(&path, b"").unwrap(); // After a power cut.
        let board = Scoreboard::create(Some(&path), 1, 1).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(metadata.len(), board.mapping.len() as u64);
    }

    #[test]
    fn what_is_no_scoreboard_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        std::fs::write(&path, b"precious").unwrap();
        let error = Scoreboard::create(Some(&path), 1, 1).unwrap_err().to_string();
        assert!(error.contains("passwords") && error.contains("not a scoreboard"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        let ours = folder.path().join("a.scoreboard");
        std::fs::write(&ours, b"garbage").unwrap();
        Scoreboard::create(Some(&ours), 1, 1).unwrap();
    }
}
