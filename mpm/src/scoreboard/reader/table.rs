//! Where the areas that we know are, as the file's own table says: copied and checked once.
//!
//! ```text
//!   Header ──name, version, bounds──▶ Table { Span … } ──record(n)──▶ Record ──field!──▶ a number
//! ```
//!
//! - What the file says later cannot lead us astray, and an area outside of the file is none.
//! - A record may be longer or shorter than we know it: what is not told reads as zero.

use std::mem::offset_of;

use super::super::areas::{AREA_VERSION, AREAS_MAX, Area, Header, LAYOUT_VERSION, MAGIC};
use super::error::Fault;
use super::memory::{Memory, Number};

/// Where the areas that we know are. Copied and checked once: what the file says later cannot lead us astray.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) global: Span,
    pub(super) children: Span,
    pub(super) slots: Span,
    pub(super) details: Span,
    pub(super) gates: Span,
    pub(super) labels: Span,
    pub(super) queues: Span,
    pub(super) endings: Span,
}

/// An array of records within the memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    offset: usize,
    stride: usize,
    pub(super) count: usize,
}

impl Table {
    pub(super) fn of<M: Memory>(memory: &M) -> Result<Self, Fault> {
        match memory.u64(offset_of!(Header, magic)) {
            MAGIC => {}
            0 => return Err(Fault::Unfinished),
            _ => return Err(Fault::NotAScoreboard),
        }
        match memory.u32(offset_of!(Header, version)) {
            LAYOUT_VERSION => {}
            other => return Err(Fault::Version(other)),
        }
        let needed = |name| Span::find(memory, name).ok_or(Fault::Damaged(name));
        let table = Self {
            global: needed("global")?,
            children: needed("child")?,
            slots: needed("slot")?,
            details: Span::find(memory, "detail").unwrap_or_default(),
            gates: Span::find(memory, "gate").unwrap_or_default(),
            labels: Span::find(memory, "label").unwrap_or_default(),
            queues: Span::find(memory, "queue").unwrap_or_default(),
            endings: Span::find(memory, "ending").unwrap_or_default(),
        };
        if table.slots_per_child() == 0 {
            return Err(Fault::Damaged("slot"));
        }
        Ok(table)
    }

    pub(super) fn slots_per_child(&self) -> usize {
        self.slots.count / self.children.count
    }
}

impl Span {
    /// The area of that name and of a version that we know, if it is there and lies within the memory.
    fn find<M: Memory>(memory: &M, name: &str) -> Option<Self> {
        let count = memory.u32(offset_of!(Header, area_count)) as usize;
        (0..count.min(AREAS_MAX))
            .map(|nth| offset_of!(Header, areas) + nth * size_of::<Area>())
            .filter(|area| has_name(memory, area + offset_of!(Area, name), name))
            .find(|area| memory.u32(area + offset_of!(Area, version)) == AREA_VERSION)
            .and_then(|area| {
                let span = Self {
                    offset: usize::try_from(memory.u64(area + offset_of!(Area, offset))).ok()?,
                    stride: memory.u32(area + offset_of!(Area, stride)) as usize,
                    count: memory.u32(area + offset_of!(Area, count)) as usize,
                };
                span.lies_within(memory.bytes()).then_some(span)
            })
    }

    fn lies_within(self, bytes: usize) -> bool {
        let end = self.stride.checked_mul(self.count).and_then(|all| all.checked_add(self.offset));
        let aligned = self.offset.is_multiple_of(8) && self.stride.is_multiple_of(8);
        self.stride > 0 && self.count > 0 && aligned && end.is_some_and(|end| end <= bytes)
    }

    pub(super) fn record<M: Memory>(self, memory: &M, nth: usize) -> Option<Record<'_, M>> {
        let start = self.offset + nth * self.stride;
        (nth < self.count).then_some(Record { memory, start, length: self.stride })
    }
}

fn has_name<M: Memory>(memory: &M, offset: usize, name: &str) -> bool {
    let padded = name.bytes().chain(std::iter::repeat(0));
    padded.take(16).enumerate().all(|(nth, byte)| memory.u8(offset + nth) == byte)
}

/// One record, as long as its writer knew it.
pub(super) struct Record<'m, M> {
    memory: &'m M,
    pub(super) start: usize,
    pub(super) length: usize,
}

/// The field of a record, as wide as the struct says.
macro_rules! field {
    ($record:expr, $type:ident.$field:ident) => {
        $record.load(offset_of!($type, $field), |record: &$type| &record.$field)
    };
}
pub(super) use field;

impl<M: Memory> Record<'_, M> {
    /// The number at `offset`; `_field` says of which type. Zero where the writer had no such field yet.
    pub(super) fn load<T, A: Number>(&self, offset: usize, _field: fn(&T) -> &A) -> A::Value {
        let is_told = offset + size_of::<A>() <= self.length;
        A::load(self.memory, if is_told { self.start + offset } else { usize::MAX })
    }
}
