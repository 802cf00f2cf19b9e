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

/// A whole copy of the words, or `None` if there is no catching the writer. `word` loads one of them; no order is
/// asked of it.
pub(super) fn read<S: Source, const N: usize>(
    sequence: &S,
    word: impl Fn(usize) -> u64,
) -> Option<[u64; N]> {
    for _ in 0..TRIES_MAX {
        let before = sequence.load(Acquire); // Pairs with the Release at the end of `write`.
        if before & 1 == 0 {
            let copy = std::array::from_fn(&word);
            S::fence_acquire(); // The words are read before the number is read again.
            if sequence.load(Relaxed) == before {
                return Some(copy);
            }
        }
        S::breathe();
    }
    None
}

/// Makes the record whole again after its writer has died: what was being written is neither the old words nor the
/// new ones, so nothing is left of it.
pub(super) fn repair<W: Word>(sequence: &W, words: &[W]) {
    if sequence.load(Relaxed) & 1 == 1 {
        write(sequence, words, |_| 0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn read_all<const N: usize>(sequence: &AtomicU64, words: &[AtomicU64; N]) -> Option<[u64; N]> {
        read(sequence, |index| words[index].load(Relaxed))
    }

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
                if let Some(copy) = read_all(&sequence, &words) {
                    assert!(copy.iter().all(|word| *word == copy[0]), "{copy:?}");
                }
            }
        });
        assert_eq!(read_all(&sequence, &words), Some([20_000; 8]));
    }

    #[test]
    fn a_reader_gives_up_on_a_dead_writer_and_repair_leaves_nothing_of_its_words() {
        let sequence = AtomicU64::new(3);
        let words = [AtomicU64::new(7), AtomicU64::new(8)];
        assert_eq!(read_all(&sequence, &words), None);
        repair(&sequence, &words);
        assert_eq!(read_all(&sequence, &words), Some([0, 0]));
        write(&sequence, &words, |_| 9);
        repair(&sequence, &words);
        assert_eq!(read_all(&sequence, &words), Some([9, 9]), "nothing to repair");
    }
}

/// Every order in which a writer and a reader can meet, as far as the memory model allows.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, fence};
    use loom::thread;

    use super::*;

    impl Source for AtomicU64 {
        fn load(&self, order: Ordering) -> u64 {
            self.load(order)
        }

        fn fence_acquire() {
            fence(Acquire);
        }

        fn breathe() {
            thread::yield_now();
        }
    }

    impl Word for AtomicU64 {
        fn store(&self, value: u64, order: Ordering) {
            self.store(value, order);
        }

        fn fence_release() {
            fence(Release);
        }
    }

    struct Record {
        sequence: AtomicU64,
        words: [AtomicU64; 2],
    }

    impl Record {
        fn new(value: u64) -> Arc<Self> {
            let word = || AtomicU64::new(value);
            Arc::new(Self { sequence: AtomicU64::new(0), words: [word(), word()] })
        }

        fn write(&self, value: u64) {
            write(&self.sequence, &self.words, |_| value);
        }

        fn read(&self) -> Option<[u64; 2]> {
            read(&self.sequence, |index| self.words[index].load(Relaxed))
        }
    }

    #[test]
    fn loom_a_reader_sees_one_writing_or_none() {
        loom::model(|| {
            let record = Record::new(0);
            let writer = {
                let record = Arc::clone(&record);
                thread::spawn(move || [1, 2].into_iter().for_each(|value| record.write(value)))
            };
            if let Some([first, second]) = record.read() {
                assert_eq!(first, second, "words of two writings");
            }
            writer.join().unwrap();
            assert_eq!(record.read(), Some([2, 2]));
        });
    }

    /// The writer is killed between two words, and the supervisor, who has reaped it, repairs. A reader looks at any
    /// moment of this.
    #[test]
    fn loom_a_reader_never_sees_what_a_dead_writer_has_begun() {
        loom::model(|| {
            let record = Record::new(1);
            let reader = {
                let record = Arc::clone(&record);
                thread::spawn(move || {
                    if let Some(copy) = record.read() {
                        assert!([[1, 1], [0, 0]].contains(&copy), "{copy:?}");
                    }
                })
            };
            // The first half of `write`.
            let odd = record.sequence.load(Relaxed) | 1;
            Word::store(&record.sequence, odd, Relaxed);
            AtomicU64::fence_release();
            Word::store(&record.words[0], 2, Relaxed);
            repair(&record.sequence, &record.words);
            reader.join().unwrap();
            assert_eq!(record.read(), Some([0, 0]));
        });
    }
}
