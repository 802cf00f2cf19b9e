//! Where everything stands: the header with its table of areas, and the arrays of records that the table tells of.
//!
//! ```text
//!   Areas::new ─▶ an Array<T> for each kind of record, one behind the other ─▶ Areas::write_header ─▶ the table
//! ```
//!
//! - Every array begins on a cache line, and every record is a whole number of them.
//! - The table is what readers go by: `magic` is written last, so that who sees it sees a complete table.

use std::marker::PhantomData;
use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Relaxed, Release},
};

use herdgate_sys as sys;
use sys::shared::{Shared, SharedMapping};

use super::label::LABELS;
use super::{ChildRecord, Detail, EndingRecord, GateRecord, Global, QueueRecord, Slot};

pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"herdgate");
pub(super) const LAYOUT_VERSION: u32 = 1;
pub(super) const AREAS_MAX: usize = 16;
/// The version of each area's records.
pub(super) const AREA_VERSION: u32 = 1;
/// Every area begins on a cache line.
const ALIGN: usize = 64;

sys::shared! {
    /// The file's first bytes: what it is, and where everything stands.
    #[repr(C, align(64))]
    pub struct Header {
        /// `herdgate`, written last, so that who sees it sees a complete table.
        pub magic: AtomicU64,
        /// The layout's version; a change that a reader cannot skip raises it.
        pub version: AtomicU32,
        /// Entries of the table that are in use.
        pub area_count: AtomicU32,
        /// The table.
        pub areas: [Area; AREAS_MAX],
    }
}

sys::shared! {
    /// One entry of the table: an array of equal records.
    #[repr(C)]
    pub struct Area {
        /// ASCII, filled up with zeros.
        pub name: [AtomicU8; 16],
        /// Bytes from the start of the file.
        pub offset: AtomicU64,
        /// Bytes from one record to the next.
        pub stride: AtomicU32,
        /// Records.
        pub count: AtomicU32,
        /// The record layout's version.
        pub version: AtomicU32,
        /// Unused.
        pub reserved: AtomicU32,
    }
}

/// What a scoreboard consists of, behind its header.
pub(super) struct Areas {
    pub(super) global: Array<Global>,
    pub(super) children: Array<ChildRecord>,
    pub(super) slots: Array<Slot>,
    pub(super) details: Array<Detail>,
    pub(super) gates: Array<GateRecord>,
    pub(super) labels: Array<Detail>,
    pub(super) queues: Array<QueueRecord>,
    pub(super) endings: Array<EndingRecord>,
    /// Bytes of all, the header included.
    pub(super) total: usize,
}

impl Areas {
    /// For so many children with so many slots each.
    pub(super) fn new(children: usize, slots_per_child: usize) -> Self {
        let slots = children * slots_per_child;
        let mut end = size_of::<Header>();
        Self {
            global: Array::behind(&mut end, 1),
            children: Array::behind(&mut end, children),
            slots: Array::behind(&mut end, slots),
            details: Array::behind(&mut end, slots),
            gates: Array::behind(&mut end, children),
            labels: Array::behind(&mut end, LABELS),
            queues: Array::behind(&mut end, children),
            endings: Array::behind(&mut end, slots),
            total: end,
        }
    }

    /// Tells readers where everything stands.
    pub(super) fn write_header(&self, mapping: &SharedMapping) {
        let header: &Header = mapping.get(0).expect("the mapping begins with its header");
        let entries = [
            self.global.entry("global"),
            self.children.entry("child"),
            self.slots.entry("slot"),
            self.details.entry("detail"),
            self.gates.entry("gate"),
            self.labels.entry("label"),
            self.queues.entry("queue"),
            self.endings.entry("ending"),
        ];
        for (area, entry) in header.areas.iter().zip(&entries) {
            entry.write(area);
        }
        header.version.store(LAYOUT_VERSION, Relaxed);
        header.area_count.store(small(entries.len()), Relaxed);
        header.magic.store(MAGIC, Release); // Last: who sees it sees the table.
    }
}

/// So many records in a row.
pub(super) struct Array<T> {
    offset: usize,
    count: usize,
    records: PhantomData<T>,
}

impl<T: Shared> Array<T> {
    /// The next array behind what ends at `end`, which moves on.
    fn behind(end: &mut usize, count: usize) -> Self {
        let offset = end.next_multiple_of(ALIGN);
        *end = offset + count * size_of::<T>();
        Self { offset, count, records: PhantomData }
    }

    /// Its records.
    pub(super) fn of<'m>(&self, mapping: &'m SharedMapping) -> &'m [T] {
        mapping.slice(self.offset, self.count).expect("laid out at creation")
    }

    fn entry(&self, name: &'static str) -> Entry {
        Entry { name, offset: self.offset, stride: size_of::<T>(), count: self.count }
    }
}

/// An [`Area`] in plain numbers.
struct Entry {
    name: &'static str,
    offset: usize,
    stride: usize,
    count: usize,
}

impl Entry {
    fn write(&self, area: &Area) {
        for (cell, byte) in area.name.iter().zip(self.name.bytes()) {
            cell.store(byte, Relaxed);
        }
        area.offset.store(self.offset as u64, Relaxed);
        area.stride.store(small(self.stride), Relaxed);
        area.count.store(small(self.count), Relaxed);
        area.version.store(AREA_VERSION, Relaxed);
    }
}

/// Sizes of the layout: bounded by the scoreboard's limits, which are far below 2^32.
fn small(size: usize) -> u32 {
    u32::try_from(size).expect("the scoreboard is smaller than 4 GiB")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Acquire;

    use super::super::Scoreboard;
    use super::*;

    #[test]
    fn every_area_is_found_by_its_name_and_none_overlap() {
        let board = Scoreboard::create(None, 3, 2).unwrap();
        let header: &Header = board.mapping.get(0).unwrap();
        assert_eq!(header.magic.load(Acquire), MAGIC);
        let mut end = size_of::<Header>() as u64;
        for area in &header.areas[..header.area_count.load(Relaxed) as usize] {
            assert!(area.offset.load(Relaxed) >= end);
            assert!(area.offset.load(Relaxed).is_multiple_of(ALIGN as u64));
            let bytes = u64::from(area.stride.load(Relaxed)) * u64::from(area.count.load(Relaxed));
            end = area.offset.load(Relaxed) + bytes;
        }
        assert!(end <= board.mapping.len() as u64);
    }
}
