//! # shared: memory that several processes see
//!
//! ```text
//!   file (O_EXCL, 0600, fully allocated) ──MAP_SHARED──▶ SharedMapping ──get::<T: Shared>──▶ &T
//!                                        └─read-only───▶ SharedView    ──u64(offset)─────▶ a number
//! ```
//!
//! - What lives there is atomics only: any bytes that another process may have written are a valid
//!   value.
//! - A mapping has its full size from birth and is never resized, so an access cannot fall off the
//!   end. It is fully allocated too, so an access cannot find the disk full (SIGBUS).
//! - A view cannot write: its pages are read-only, and it hands out numbers, not references.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};

use memmap2::{MmapOptions, MmapRaw};

use crate::outcome::{check_code, check_fd, invalid};

/// Types that may live in memory which other processes write to.
///
/// Implemented for the sized atomic integers and arrays of shared types; for structs of those by
/// [`shared!`](crate::shared!). `AtomicBool` is left out (2 is not a `bool`), `AtomicUsize` too
/// (its width is the machine's, and the layout is documented), and so is everything with a pointer
/// in it.
///
/// # Safety
/// Every bit pattern is a valid value; the type may be changed through a shared reference by
/// anybody at any time, so it consists of atomics (and padding) only; it holds no pointer and has
/// no destructor.
pub unsafe trait Shared: Sync + 'static {}

/// A field of a struct that [`shared!`](crate::shared!) has defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Bytes from the struct's start.
    pub offset: usize,
    /// Its size in bytes.
    pub bytes: usize,
}

/// The layout of a struct that [`shared!`](crate::shared!) has defined, for documents that other
/// programs' authors read.
pub trait Fields {
    /// In the order of their offsets.
    const FIELDS: &'static [Field];
}

macro_rules! atomics_are_shared {
    ($($atomic:ty),*) => {
        $(
            // SAFETY: an atomic integer takes any bits, and is made to be changed under its
            // readers.
            unsafe impl Shared for $atomic {}
        )*
    };
}

atomics_are_shared!(
    AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicI8, AtomicI16, AtomicI32, AtomicI64
);

// SAFETY: an array is its elements and nothing else.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

/// Defines a struct that may live in shared memory: `#[repr(C)]`, and every field [`Shared`]
/// (checked when compiled). Add `#[repr(align(64))]` for a cache line of its own. Works in crates
/// that deny unsafe code.
///
/// ```
/// # #![deny(unsafe_code)]
/// use std::sync::atomic::{AtomicU32, AtomicU64};
///
/// herdgate_sys::shared! {
///     /// One worker's line.
///     #[derive(Debug)]
///     #[repr(align(64))]
///     pub struct Slot {
///         /// How it is doing.
///         pub phase: AtomicU32,
///         served: AtomicU64,
///     }
/// }
///
/// let mapping = herdgate_sys::shared::SharedMapping::anonymous(4096).unwrap();
/// let slots = mapping.slice::<Slot>(0, 64).unwrap();
/// assert_eq!(slots[63].served.load(std::sync::atomic::Ordering::Relaxed), 0);
/// ```
///
/// A field that is not shareable does not compile:
///
/// ```compile_fail
/// herdgate_sys::shared! {
///     struct Slot { name: &'static str }
/// }
/// ```
#[macro_export]
macro_rules! shared {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[repr(C)]
        $visibility struct $name {
            $($(#[$field_meta])* $field_visibility $field: $type),*
        }

        const _: () = {
            const fn must_be_shared<T: $crate::shared::Shared>() {}
            $(must_be_shared::<$type>();)*
        };

        impl $crate::shared::Fields for $name {
            const FIELDS: &'static [$crate::shared::Field] = &[$($crate::shared::Field {
                name: stringify!($field),
                offset: ::core::mem::offset_of!($name, $field),
                bytes: ::core::mem::size_of::<$type>(),
            }),*];
        }

        // SAFETY: each field is shared, as the lines above prove, and a struct adds nothing but
        // padding. A destructor cannot run: mapped values are never owned.
        unsafe impl $crate::shared::Shared for $name {}
    };
}

/// Memory that this process, its children, and whoever opens its file may read and write.
pub struct SharedMapping {
    pages: MmapRaw,
    path: Option<PathBuf>,
}

impl SharedMapping {
    /// Makes a file of `len` bytes, all zero, and maps it. Nobody but its owner may open it. The
    /// file stays when this is dropped; removing it is the maker's business. open(2) with `O_EXCL`,
    /// posix_fallocate(3), mmap(2).
    ///
    /// # Errors
    /// `AlreadyExists`: such a file exists, perhaps of a server that runs. `ENOSPC`: the disk is
    /// full.
    pub fn create(path: &Path, len: usize) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        allocate(&file, len).inspect_err(|_| drop(std::fs::remove_file(path)))?;
        Ok(SharedMapping { pages: map(&file, len)?, path: Some(path.to_owned()) })
    }

    /// Maps `len` bytes, all zero, that only this process and its children see. memfd_create(2),
    /// mmap(2).
    ///
    /// # Errors
    /// `ENOMEM`: there is not that much memory.
    pub fn anonymous(len: usize) -> io::Result<Self> {
        // SAFETY: the name ends in NUL; it only shows in /proc.
        let fd = unsafe { libc::memfd_create(c"herdgate".as_ptr(), libc::MFD_CLOEXEC) };
        // SAFETY: the descriptor has just been made for us.
        let file = File::from(unsafe { check_fd(fd) }?);
        allocate(&file, len)?;
        Ok(SharedMapping { pages: map(&file, len)?, path: None })
    }

    /// Maps all of a file that [`SharedMapping::create`] has made, for reading and writing.
    /// open(2), mmap(2).
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`; `InvalidInput`: the file is empty.
    pub fn open_read_write(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = length(&file)?;
        Ok(SharedMapping { pages: map(&file, len)?, path: Some(path.to_owned()) })
    }

    /// Maps all of a file that [`SharedMapping::create`] has made, for reading only: see
    /// [`SharedView`].
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`; `InvalidInput`: the file is empty.
    pub fn open_read(path: &Path) -> io::Result<SharedView> {
        SharedView::open(path)
    }

    /// Bytes mapped; never zero.
    #[expect(clippy::len_without_is_empty, reason = "an empty mapping cannot exist")]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The value `offset` bytes from the start.
    ///
    /// # Errors
    /// `InvalidInput`: it would reach beyond the mapping, or `offset` is not aligned for it.
    pub fn get<T: Shared>(&self, offset: usize) -> io::Result<&T> {
        let start = place::<T>(&self.pages, offset, 1)?;
        // SAFETY: `place` has checked bounds and alignment; any bytes are a valid `T`, and others
        // may change them, since `T` is shared; the pages stay mapped as long as we are borrowed.
        Ok(unsafe { &*start })
    }

    /// `count` values in a row, from `offset` bytes after the start.
    ///
    /// # Errors
    /// As [`SharedMapping::get`].
    pub fn slice<T: Shared>(&self, offset: usize, count: usize) -> io::Result<&[T]> {
        let start = place::<T>(&self.pages, offset, count)?;
        // SAFETY: as in `get`, for `count` values, whose total size `place` has checked.
        Ok(unsafe { std::slice::from_raw_parts(start, count) })
    }
}

impl fmt::Debug for SharedMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMapping")
            .field("len", &self.len())
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Somebody else's mapping, to look at: for `herdgate top` and the like, which must not disturb. It
/// hands out numbers only. A reference would let its holder call `store`, which on read-only pages
/// is SIGSEGV.
pub struct SharedView {
    pages: MmapRaw,
    path: PathBuf,
}

impl SharedView {
    /// Maps all of a file for reading. open(2), mmap(2).
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`; `InvalidInput`: the file is empty.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(&File::open(path)?, path)
    }

    /// Maps all of a file that is open already, `path` being what it is called. The file may be
    /// closed afterwards. mmap(2).
    ///
    /// # Errors
    /// `InvalidInput`: the file is empty. `ENODEV`: it is no plain file.
    pub fn of(file: &File, path: &Path) -> io::Result<Self> {
        let len = length(file)?;
        let pages = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(SharedView { pages, path: path.to_owned() })
    }

    /// Bytes mapped; never zero.
    #[expect(clippy::len_without_is_empty, reason = "an empty mapping cannot exist")]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies bytes out, one by one, each as it is at its moment: text that is written meanwhile
    /// may come out mixed, so have a seqlock around it.
    ///
    /// # Errors
    /// `InvalidInput`: beyond the mapping.
    pub fn bytes(&self, offset: usize, buffer: &mut [u8]) -> io::Result<()> {
        let start = place::<AtomicU8>(&self.pages, offset, buffer.len())?;
        for (nth, byte) in buffer.iter_mut().enumerate() {
            // SAFETY: within the mapping, as `place` has checked for the whole length.
            let source = unsafe { &*start.wrapping_add(nth) };
            *byte = source.load(Ordering::Relaxed);
        }
        // What is loaded after this (a seqlock's end) is not older than the bytes.
        std::sync::atomic::fence(Ordering::Acquire);
        Ok(())
    }
}

macro_rules! view_reads {
    ($($name:ident: $atomic:ty => $int:ty),*) => {
        impl SharedView {
            $(
                #[doc = concat!(
                    "Loads the `", stringify!($atomic), "` at `offset`, with `Acquire`.\n\n",
                    "# Errors\n`InvalidInput`: beyond the mapping, or not aligned."
                )]
                pub fn $name(&self, offset: usize) -> io::Result<$int> {
                    let start = place::<$atomic>(&self.pages, offset, 1)?;
                    // SAFETY: `place` has checked bounds and alignment. We only load, and a load of
                    // at most 8 bytes does not write, so read-only pages will do
                    // (std::sync::atomic).
                    let source = unsafe { &*start };
                    Ok(source.load(Ordering::Acquire))
                }
            )*
        }
    };
}

view_reads!(
    u8: AtomicU8 => u8,
    u16: AtomicU16 => u16,
    u32: AtomicU32 => u32,
    u64: AtomicU64 => u64,
    i32: AtomicI32 => i32,
    i64: AtomicI64 => i64
);

impl fmt::Debug for SharedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedView")
            .field("len", &self.len())
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Room for one C object that the C library manages by pointer: a mutex, a semaphore. Starts as
/// zeros.
pub(crate) struct SharedPage<T> {
    pages: MmapRaw,
    holds: PhantomData<fn() -> T>,
}

impl<T> SharedPage<T> {
    pub(crate) fn new() -> io::Result<Self> {
        const { assert!(align_of::<T>() <= 4096, "a mapping begins at a page") };
        let pages = SharedMapping::anonymous(size_of::<T>())?.pages;
        Ok(SharedPage { pages, holds: PhantomData })
    }

    /// Where the object is; for its whole life the same.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.pages.as_mut_ptr().cast()
    }
}

/// Where `count` values of `T` begin, if they lie within `pages` and are aligned.
fn place<T: Shared>(pages: &MmapRaw, offset: usize, count: usize) -> io::Result<*const T> {
    let bytes = size_of::<T>().checked_mul(count);
    let end = bytes.and_then(|bytes| offset.checked_add(bytes));
    if end.is_none_or(|end| end > pages.len()) {
        return Err(invalid("beyond the end of the shared mapping"));
    }
    let start = pages.as_ptr().wrapping_add(offset).cast::<T>();
    if start.is_aligned() { Ok(start) } else { Err(invalid("misaligned in the shared mapping")) }
}

/// Gives the file its size, and every byte of it a place on the disk or in memory.
fn allocate(file: &File, len: usize) -> io::Result<()> {
    let len = crate::file::offset(len as u64)?;
    // SAFETY: the call takes no pointer.
    check_code(unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len) })
}

fn map(file: &File, len: usize) -> io::Result<MmapRaw> {
    MmapOptions::new().len(len).map_raw(file)
}

fn length(file: &File) -> io::Result<usize> {
    let len =
        usize::try_from(file.metadata()?.len()).map_err(|_| invalid("no file is that long"))?;
    if len == 0 { Err(invalid("an empty file cannot be mapped")) } else { Ok(len) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_created_mapping_is_private_zeroed_fully_allocated_and_seen_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        let ours = SharedMapping::create(&path, 10_000).unwrap();
        assert_eq!((ours.len(), ours.path()), (10_000, Some(path.as_path())));
        let status = std::fs::metadata(&path).unwrap();
        assert_eq!((status.mode() & 0o777, status.len()), (0o600, 10_000));
        assert!(status.blocks() * 512 >= 10_000, "{} blocks", status.blocks());

        let counter: &AtomicU64 = ours.get(9_992).unwrap();
        assert_eq!(counter.load(Ordering::Relaxed), 0);
        counter.store(7, Ordering::Relaxed);
        let again = SharedMapping::open_read_write(&path).unwrap();
        assert_eq!(again.get::<AtomicU64>(9_992).unwrap().load(Ordering::Relaxed), 7);
        again.get::<AtomicU64>(9_992).unwrap().store(8, Ordering::Relaxed);
        assert_eq!(counter.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn an_existing_file_is_never_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        std::fs::write(&path, "somebody else's").unwrap();
        let error = SharedMapping::create(&path, 4096).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"somebody else's");
    }

    #[test]
    fn a_file_that_cannot_be_allocated_is_not_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        assert!(SharedMapping::create(&path, 0).is_err());
        assert!(SharedMapping::create(&path, usize::MAX).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn values_are_within_bounds_and_aligned_or_refused() {
        let mapping = SharedMapping::anonymous(64).unwrap();
        assert!(mapping.path().is_none());
        let check = |result: io::Result<()>, expected: bool| assert_eq!(result.is_ok(), expected);
        check(mapping.get::<AtomicU64>(56).map(drop), true);
        check(mapping.get::<AtomicU64>(57).map(drop), false);
        check(mapping.get::<AtomicU64>(4).map(drop), false);
        check(mapping.get::<AtomicU32>(4).map(drop), true);
        check(mapping.get::<AtomicU64>(64).map(drop), false);
        check(mapping.get::<AtomicU64>(usize::MAX - 7).map(drop), false);
        check(mapping.get::<[AtomicU16; 32]>(0).map(drop), true);
        check(mapping.slice::<AtomicU8>(0, 64).map(drop), true);
        check(mapping.slice::<AtomicU8>(1, 64).map(drop), false);
        check(mapping.slice::<AtomicU8>(64, 0).map(drop), true);
        check(mapping.slice::<AtomicU64>(0, usize::MAX).map(drop), false);
    }

    #[test]
    fn a_view_reads_what_the_owner_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        let owner = SharedMapping::create(&path, 64).unwrap();
        let view = SharedMapping::open_read(&path).unwrap();
        assert_eq!((view.len(), view.path()), (64, path.as_path()));
        owner.get::<AtomicU64>(8).unwrap().store(0x0102_0304_0506_0708, Ordering::Release);
        owner.get::<AtomicI32>(16).unwrap().store(-5, Ordering::Release);
        assert_eq!(view.u64(8).unwrap(), 0x0102_0304_0506_0708);
        assert_eq!(view.u32(8).unwrap(), 0x0506_0708);
        assert_eq!((view.u16(8).unwrap(), view.u8(8).unwrap()), (0x0708, 8));
        assert_eq!((view.i32(16).unwrap(), view.i64(24).unwrap()), (-5, 0));
        let mut bytes = [0; 4];
        view.bytes(8, &mut bytes).unwrap();
        assert_eq!(bytes, [8, 7, 6, 5]);
        assert!(view.bytes(61, &mut bytes).is_err());
        assert!(view.u64(60).is_err() && view.u32(2).is_err());
    }

    #[test]
    fn an_empty_or_missing_file_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        assert_eq!(SharedMapping::open_read(&path).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::write(&path, "").unwrap();
        assert_eq!(SharedMapping::open_read(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
        let error = SharedMapping::open_read_write(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
