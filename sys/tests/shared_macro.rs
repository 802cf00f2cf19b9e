//! `shared!` as a crate meets it that denies unsafe code: this file stands for such a crate.

#![deny(unsafe_code)]

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

use herdgate_sys::shared::SharedMapping;

herdgate_sys::shared! {
    /// One worker's line, on a cache line of its own.
    #[derive(Debug)]
    #[repr(align(64))]
    pub struct Slot {
        /// How it is doing.
        pub phase: AtomicU8,
        pid: AtomicI32,
        pub(crate) served: AtomicU64,
    }
}

herdgate_sys::shared! {
    #[repr(C, align(64))]
    struct Table { version: AtomicU32, name: [AtomicU8; 16], slots: [Slot; 2] }
}

const _: () = assert!(size_of::<Slot>() == 64 && align_of::<Slot>() == 64);
const _: () = assert!(std::mem::offset_of!(Table, slots) == 64);

#[test]
fn a_shared_struct_lives_in_a_mapping_of_a_crate_without_unsafe_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scoreboard");
    let mapping = SharedMapping::create(&path, size_of::<Table>()).unwrap();
    let table: &Table = mapping.get(0).unwrap();
    table.version.store(3, Ordering::Relaxed);
    table.name[0].store(b'h', Ordering::Relaxed);
    table.slots[1].phase.store(b'W', Ordering::Release);
    table.slots[1].pid.store(77, Ordering::Relaxed);
    table.slots[1].served.fetch_add(5, Ordering::Relaxed);

    let slots: &[Slot] = mapping.slice(64, 2).unwrap();
    assert_eq!(slots[1].served.load(Ordering::Relaxed), 5);
    assert!(mapping.slice::<Slot>(64, 3).is_err());

    let view = SharedMapping::open_read(&path).unwrap();
    assert_eq!(view.u32(0).unwrap(), 3);
    assert_eq!(view.u8(4).unwrap(), b'h');
    assert_eq!((view.u8(128).unwrap(), view.i32(132).unwrap()), (b'W', 77));
}
