//! How many connections a client has with one child: a bucket of words, each a client and its count.
//!
//! ```text
//!   word   client, 48 bits of its key │ count, 16 bits          count 0: free, whoever was here
//! ```
//!
//! - Client and count change together, by one compare-exchange, so that no count is ever another client's.
//! - Two threads that meet a new client at once may give it two words. Counting adds them up, leaving takes of either.

use super::Word;

const COUNT_BITS: u32 = 16;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// One more. Says whether there was room.
pub(super) fn enter<W: Word>(bucket: &[W], key: u64) -> bool {
    let has_room = |word| is_of(word, key) && word & COUNT_MAX < COUNT_MAX;
    bucket.iter().any(|cell| update(cell, has_room, |word| word + 1))
        || bucket.iter().any(|cell| update(cell, is_free, |_| (key & !COUNT_MAX) | 1))
}

/// One less.
pub(super) fn leave<W: Word>(bucket: &[W], key: u64) {
    let _was_counted = bucket.iter().any(|cell| update(cell, |it| is_of(it, key), |it| it - 1));
}

/// How many there are.
pub(super) fn count<W: Word>(bucket: &[W], key: u64) -> u64 {
    let words = bucket.iter().map(Word::value).filter(|word| is_of(*word, key));
    words.map(|word| word & COUNT_MAX).sum()
}

fn is_free(word: u64) -> bool {
    word & COUNT_MAX == 0
}

fn is_of(word: u64, key: u64) -> bool {
    !is_free(word) && word & !COUNT_MAX == key & !COUNT_MAX
}

/// Changes a word as long as it fits. Says whether it did.
fn update<W: Word>(cell: &W, fits: impl Fn(u64) -> bool, change: impl Fn(u64) -> u64) -> bool {
    let mut seen = cell.value();
    while fits(seen) {
        match cell.exchange(seen, change(seen)) {
            Ok(()) => return true,
            Err(other) => seen = other, // Somebody else has succeeded.
        }
    }
    false
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;

    use super::*;

    const A: u64 = 1 << 20;
    const B: u64 = 2 << 20;
    const C: u64 = 3 << 20;

    fn bucket() -> [AtomicU64; 2] {
        Default::default()
    }

    #[test]
    fn a_full_bucket_has_no_room_for_another_client_until_one_leaves() {
        let bucket = bucket();
        assert!(enter(&bucket, A) && enter(&bucket, B) && enter(&bucket, A));
        assert!(!enter(&bucket, C));
        leave(&bucket, B);
        assert!(enter(&bucket, C));
        assert_eq!((count(&bucket, A), count(&bucket, B), count(&bucket, C)), (2, 0, 1));
    }

    #[test]
    fn a_full_count_goes_on_in_another_word() {
        let bucket = bucket();
        for _ in 0..COUNT_MAX + 5 {
            assert!(enter(&bucket, A));
        }
        assert_eq!(count(&bucket, A), COUNT_MAX + 5);
    }

    #[test]
    fn leaving_where_nobody_is_changes_nothing() {
        let bucket = bucket();
        leave(&bucket, A);
        assert!(enter(&bucket, B));
        leave(&bucket, A);
        assert_eq!((count(&bucket, A), count(&bucket, B)), (0, 1));
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_naive_table(steps in proptest::collection::vec((any::<bool>(), 0..3_usize), 0..200)) {
            let (bucket, mut naive) = ([const { AtomicU64::new(0) }; 3], [0_u64; 3]);
            for (comes, client) in steps {
                let key = [A, B, C][client];
                if comes {
                    prop_assert!(enter(&bucket, key));
                    naive[client] += 1;
                } else if naive[client] > 0 {
                    leave(&bucket, key);
                    naive[client] -= 1;
                }
                prop_assert_eq!([A, B, C].map(|key| count(&bucket, key)), naive);
            }
        }
    }
}
