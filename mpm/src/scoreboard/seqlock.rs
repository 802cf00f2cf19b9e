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

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

/// A write takes well under a microsecond: who fails so often meets a dead writer.
const TRIES_MAX: usize = 64;

/// Writes all words. There must be one writer at a time.
pub(super) fn write(sequence: &AtomicU64, words: &[AtomicU64], value: impl Fn(usize) -> u64) {
    let start = sequence.load(Relaxed) | 1; // Odd already if the former writer died: it stays odd.
    sequence.store(start, Relaxed);
    fence(Release); // Who sees one of the words below also sees the odd number.
    for (index, word) in words.iter().enumerate() {
        word.store(value(index), Relaxed);
    }
    sequence.store(start.wrapping_add(1), Release); // Who sees the even number sees all words.
}

/// A whole copy of the words, or `None` if there is no catching the writer.
pub(super) fn read<const N: usize>(
    sequence: &AtomicU64,
    words: &[AtomicU64; N],
) -> Option<[u64; N]> {
    for _ in 0..TRIES_MAX {
        let before = sequence.load(Acquire); // Pairs with the Release at the end of `write`.
        if before & 1 == 0 {
            let copy = std::array::from_fn(|index| words[index].load(Relaxed));
            fence(Acquire); // The words are read before the number is read again.
            if sequence.load(Relaxed) == before {
                return Some(copy);
            }
        }
        std::hint::spin_loop();
    }
    None
}

/// Makes the number even again after its writer has died.
pub(super) fn repair(sequence: &AtomicU64) {
    let value = sequence.load(Relaxed);
    sequence.store(value.wrapping_add(value & 1), Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_never_sees_a_mixture() {
        let sequence = AtomicU64::new(0);
        let words: [AtomicU64; 8] = Default::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 1..=20_000 {
                    write(&sequence, &words, |_| round);
                }
            });
            while !writer.is_finished() {
                if let Some(copy) = read(&sequence, &words) {
                    assert!(copy.iter().all(|word| *word == copy[0]), "{copy:?}");
                }
            }
        });
        assert_eq!(read(&sequence, &words), Some([20_000; 8]));
    }

    #[test]
    fn a_reader_gives_up_on_a_dead_writer_and_repair_helps() {
        let sequence = AtomicU64::new(3);
        let words: [AtomicU64; 2] = Default::default();
        assert_eq!(read(&sequence, &words), None);
        repair(&sequence);
        assert_eq!(read(&sequence, &words), Some([0, 0]));
    }
}
