//! A seqlock: one writer that never waits, readers that try again.
//!
//! ```text
//!   writer   sequence 4 → 5    words …    5 → 6
//!   reader   sees 4, copies the words, sees 4 again: whole.  Sees 5, or 4 and then 6: torn, tries again.
//! ```
//!
//! - The words are atomics, so a torn copy is never undefined behaviour, only useless.
//! - A reader gives up after [`TRIES_MAX`] tries: a writer that was killed half-way leaves an odd number for ever.
//!   Whoever owns the record next repairs it ([`repair`]).
//! - The words may be this process's memory, a file that is only looked at ([`Source`]), or loom's, which tries
//!   every order in which two threads can meet (`RUSTFLAGS="--cfg loom" cargo test -p herdgate-mpm --lib --release loom`).

use std::sync::atomic::{
    AtomicU64, Ordering,
    Ordering::{Acquire, Relaxed, Release},
};

/// A write takes well under a microsecond: who fails so often meets a dead writer.
#[cfg(not(loom))]
const TRIES_MAX: usize = 64;
/// Two tries meet everything that more of them would meet, and loom has an end.
#[cfg(loom)]
const TRIES_MAX: usize = 2;

/// A word that can be read while others write it.
pub(super) trait Source {
    /// Loads it.
    fn load(&self, order: Ordering) -> u64;
    /// What is loaded after this is not older than what was loaded before.
    fn fence_acquire();
    /// A breath between two tries.
    fn breathe();
}

/// A word of one's own memory.
pub(super) trait Word: Source {
    /// Stores it.
    fn store(&self, value: u64, order: Ordering);
    /// Who sees what is stored after this sees what was stored before.
    fn fence_release();
}

impl Source for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    fn fence_acquire() {
        std::sync::atomic::fence(Acquire);
    }

    fn breathe() {
        std::hint::spin_loop();
    }
}

impl Word for AtomicU64 {
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    fn fence_release() {
        std::sync::atomic::fence(Release);
    }
}

/// Writes all words. There must be one writer at a time.
pub(super) fn write<W: Word>(sequence: &W, words: &[W], value: impl Fn(usize) -> u64) {
    let start = sequence.load(Relaxed) | 1; // Odd already if the former writer died: it stays odd.
    sequence.store(start, Relaxed);
    W::fence_release(); // Who sees one of the words below also sees the odd number.
    for (index, word) in words.iter().enumerate() {
        word.store(value(index), Relaxed);
    }
    sequence.store(start.wrapping_add(1), Release); // Who sees the even number sees all words.
}

/// A whole copy of the words, or `None` if there is no catching the writer.
pub(super) fn read<S: Source, const N: usize>(
    sequence: &S,
    word: impl Fn(usize) -> S,
) -> Option<[u64; N]>
where
{
    read_by(sequence, |index| word(index).load(Relaxed))
}

/// Makes the record whole again after its writer has died: what was being written is neither the old words nor the
/// new ones, so nothing is left of it.
pub(super) fn repair<W: Word>(sequence: &W, words: &[W]) {
    if sequence.load(Relaxed) & 1 == 1 {
        write(sequence, words, |_| 0);
    }
}
