//! Numbers from memory that somebody else writes: a file that was mapped for reading, or the server's own mapping.
//!
//! - Every place is legal: what lies outside reads as zero.
//! - Every number is legal: there is no enum and no pointer to be damaged.

use std::sync::atomic::{
    AtomicI32, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{self, Acquire},
};

use herdgate_sys as sys;
use sys::shared::{SharedMapping, SharedView};

use super::super::seqlock;

/// Memory to read numbers from. Offsets have been checked: what lies outside reads as zero all the same.
pub(super) trait Memory {
    fn bytes(&self) -> usize;
    fn u8(&self, offset: usize) -> u8;
    fn u32(&self, offset: usize) -> u32;
    fn u64(&self, offset: usize) -> u64;
}

impl Memory for SharedView {
    fn bytes(&self) -> usize {
        self.len()
    }

    fn u8(&self, offset: usize) -> u8 {
        self.u8(offset).unwrap_or(0)
    }

    fn u32(&self, offset: usize) -> u32 {
        self.u32(offset).unwrap_or(0)
    }

    fn u64(&self, offset: usize) -> u64 {
        self.u64(offset).unwrap_or(0)
    }
}

impl Memory for SharedMapping {
    fn bytes(&self) -> usize {
        self.len()
    }

    fn u8(&self, offset: usize) -> u8 {
        self.get(offset).map_or(0, |byte: &AtomicU8| byte.load(Acquire))
    }

    fn u32(&self, offset: usize) -> u32 {
        self.get(offset).map_or(0, |number: &AtomicU32| number.load(Acquire))
    }

    fn u64(&self, offset: usize) -> u64 {
        self.get(offset).map_or(0, |number: &AtomicU64| number.load(Acquire))
    }
}

/// An atomic integer, as a plain number.
pub(super) trait Number {
    type Value;
    fn load<M: Memory>(memory: &M, offset: usize) -> Self::Value;
}

impl Number for AtomicU8 {
    type Value = u8;
    fn load<M: Memory>(memory: &M, offset: usize) -> u8 {
        memory.u8(offset)
    }
}

impl Number for AtomicU32 {
    type Value = u32;
    fn load<M: Memory>(memory: &M, offset: usize) -> u32 {
        memory.u32(offset)
    }
}

impl Number for AtomicI32 {
    type Value = i32;
    fn load<M: Memory>(memory: &M, offset: usize) -> i32 {
        memory.u32(offset).cast_signed()
    }
}

impl Number for AtomicU64 {
    type Value = u64;
    fn load<M: Memory>(memory: &M, offset: usize) -> u64 {
        memory.u64(offset)
    }
}

/// One word of the memory, for the seqlock.
pub(super) struct Place<'m, M> {
    pub(super) memory: &'m M,
    pub(super) offset: usize,
}

impl<M: Memory> seqlock::Source for Place<'_, M> {
    fn load(&self, _order: Ordering) -> u64 {
        self.memory.u64(self.offset) // With Acquire, which is as much as is ever asked.
    }

    fn fence_acquire() {
        <AtomicU64 as seqlock::Source>::fence_acquire();
    }

    fn breathe() {
        <AtomicU64 as seqlock::Source>::breathe();
    }
}
