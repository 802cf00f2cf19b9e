//! # content: a file's bytes, without waiting for a disk unawares
//!
//! ```text
//! small file ── read ──▶ memory, sent together with the response head
//! large file ── chunks ─▶ for each: residency? ── Cached ──▶ sendfile
//!                                              ├─ Cold ────▶ job: warm, then sendfile
//!                                              └─ Unknown ─▶ job: read into memory, then send
//! ```
//!
//! - The kernel says whether it would have to wait; nobody guesses by size or by a file's age.
//! - A chunk is bounded, so that one client on a fast link neither fills memory nor holds the loop.
//! - The probe looks at both ends of a chunk only: the middle may still be cold, and `sendfile` then waits for
//!   one read of the disk. The same happens when a page is dropped between probe and use.

use super::Access;
use super::mounts;
use super::open::Opened;
use herdgate_sys::file;
use std::io;
use std::os::fd::AsFd as _;

/// What one `sendfile` may send, and one job reads ahead: some read-ahead windows of the kernel (128 KiB), and less
/// than what a fast link takes in the time that a neighbour should have to wait.
pub const CHUNK_BYTES_MAX: u64 = 256 * 1024;

/// Files up to this size travel through memory: copying costs less than a further system call.
pub const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Whether sending would wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// In the page cache, as far as both ends tell.
    Cached,
    /// Not in the page cache: [`warm`] it in a job.
    Cold,
    /// The file system cannot tell: [`read`] it in a job.
    Unknown,
}

/// Part of a file that is being sent, and how far that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The next byte to send.
    pub offset: u64,
    /// How many are left from there.
    pub length: u64,
}

impl Span {
    /// The next chunk: the beginning of what is left, at most [`CHUNK_BYTES_MAX`] long. Chunks end at multiples of
    /// that size, so that the pages of two chunks do not overlap.
    pub fn next_chunk(self) -> Span {
        let to_boundary = CHUNK_BYTES_MAX - self.offset % CHUNK_BYTES_MAX;
        Span { offset: self.offset, length: self.length.min(to_boundary) }
    }

    /// Where it ends: the first byte behind it.
    pub fn end(self) -> u64 {
        self.offset + self.length
    }

    /// What is left after `sent` bytes.
    pub fn after(self, sent: u64) -> Span {
        assert!(sent <= self.length, "more was sent than there was");
        Span { offset: self.offset + sent, length: self.length - sent }
    }
}

/// One of the pieces that a body is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// What stands before, between and behind parts of a file.
    Bytes(Vec<u8>),
    /// Part of the file.
    File(Span),
}

impl Segment {
    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        match self {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::File(span) => span.length,
        }
    }
}

/// Asks whether both ends of a chunk are in the page cache, by reading one byte of each without waiting.
pub fn residency(file: &Opened, chunk: Span) -> Residency {
    if chunk.length == 0 {
        return Residency::Cached;
    }
    let beginning = probe(file, chunk.offset);
    if beginning != Residency::Cached || chunk.length == 1 {
        return beginning;
    }
    probe(file, chunk.offset + chunk.length - 1)
}

fn probe(file: &Opened, at: u64) -> Residency {
    match file::preadv2_nowait(file.fd.as_fd(), &mut [0], at) {
        Ok(_) => Residency::Cached, // Zero bytes: the file has shrunk. Sending will find out, without waiting.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Residency::Cold,
        Err(_) if never_waits(file) => Residency::Cached,
        Err(_) => Residency::Unknown,
    }
}

/// A file system in memory does not offer reading without waiting, and does not need it. (What was swapped out
/// waits for the swap; the same holds for our own memory.) Nobody asks the file system which it is: one that is answered
/// by a process would take its time over that, too.
fn never_waits(file: &Opened) -> bool {
    mounts::is_in_memory(file.stat.device)
}

/// Brings a chunk into the page cache, and returns when it is there. Belongs into a job.
///
/// `readahead` only queues the reads, so the chunk is read once to wait for them; the copy is thrown away.
///
/// # Errors
/// As read(2).
pub fn warm(file: &Opened, chunk: Span) -> io::Result<()> {
    const SCRATCH_BYTES: usize = 16 * 1024;
    let fd = file.fd.as_fd();
    let wanted = usize::try_from(chunk.length).unwrap_or(usize::MAX);
    let _only_a_hint = file::readahead(fd, chunk.offset, wanted);
    let mut scratch = [0; SCRATCH_BYTES];
    let mut left = chunk;
    while left.length > 0 {
        let want = usize::try_from(left.length).unwrap_or(SCRATCH_BYTES).min(SCRATCH_BYTES);
        match file::pread(fd, &mut scratch[..want], left.offset) {
            Ok(0) => break, // The file has shrunk. Sending will find out.
            Ok(count) => left = left.after(count as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads part of a file into memory, all of it.
///
/// # Errors
/// `WouldBlock`: inline only, the disk would be needed, or the file system cannot tell. `UnexpectedEof`: the file is
/// shorter than it was when its size was asked for. Others as read(2).
pub fn read(file: &Opened, span: Span, access: Access) -> io::Result<Vec<u8>> {
    let length = usize::try_from(span.length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match read_some(file, &mut bytes[filled..], span.offset + filled as u64, access) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Whether a file is still as long as when it was opened. To be asked before its last bytes leave: an answer of which
/// something is missing must not look complete. Waits only where reading does.
///
/// What is rewritten in place, and is as long as before or longer, passes: the kernel does not tell that from a log that
/// grows. (A time of change tells neither, for it changes before the length does.) Whoever wants no mixtures renames.
///
/// # Errors
/// `UnexpectedEof`: it is shorter now.
pub fn check_length(file: &Opened) -> io::Result<()> {
    if file::fstat(file.fd.as_fd())?.size < file.stat.size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn read_some(file: &Opened, into: &mut [u8], at: u64, access: Access) -> io::Result<usize> {
    let fd = file.fd.as_fd();
    if access == Access::MayBlock {
        return file::pread(fd, into, at);
    }
    match file::preadv2_nowait(fd, into, at) {
        Err(error) if file::supported(&error) => Err(error),
        Err(_) if never_waits(file) => file::pread(fd, into, at),
        Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file_with(bytes: &[u8], folder: &str) -> Opened {
        let mut file = tempfile::tempfile_in(folder).unwrap();
        file.write_all(bytes).unwrap();
        let stat = file::fstat(file.as_fd()).unwrap();
        Opened { fd: file.into(), stat }
    }

    #[test]
    fn what_was_just_written_reads_without_waiting() {
        // A file system in memory as well, where there is one.
        for folder in ["/tmp", "/dev/shm"].into_iter().filter(|f| std::path::Path::new(f).exists())
        {
            let file = file_with(b"0123456789", folder);
            let span = Span { offset: 2, length: 5 };
            let inline = read(&file, span, Access::Inline);
            match residency(&file, span) {
                Residency::Cached => assert_eq!(inline.unwrap(), b"23456", "{folder}"),
                Residency::Cold | Residency::Unknown => {
                    assert_eq!(inline.unwrap_err().kind(), io::ErrorKind::WouldBlock, "{folder}");
                }
            }
            assert_eq!(read(&file, span, Access::MayBlock).unwrap(), b"23456");
            warm(&file, span).unwrap();
        }
    }

    #[test]
    fn file_that_shrank_is_an_error_and_never_a_shorter_answer() {
        let file = file_with(b"0123", "/tmp");
        let span = Span { offset: 2, length: 5 };
        let read = read(&file, span, Access::MayBlock).unwrap_err();
        assert_eq!(read.kind(), io::ErrorKind::UnexpectedEof);
        warm(&file, span).unwrap();
    }

    #[test]
    fn empty_span_needs_nothing() {
        let file = file_with(b"", "/tmp");
        let span = Span { offset: 0, length: 0 };
        assert_eq!(residency(&file, span), Residency::Cached);
        assert_eq!(read(&file, span, Access::Inline).unwrap(), b"");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn chunks_cover_the_span_once_and_in_order(offset in 0..u64::from(u32::MAX), length in 0..4_000_000_u64) {
            let mut left = Span { offset, length };
            let mut covered = 0;
            while left.length > 0 {
                let chunk = left.next_chunk();
                prop_assert_eq!(chunk.offset, offset + covered);
                prop_assert!((1..=CHUNK_BYTES_MAX).contains(&chunk.length));
                covered += chunk.length;
                left = left.after(chunk.length);
            }
            prop_assert_eq!(covered, length);
        }
    }
}
