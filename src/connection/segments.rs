//! Segments: text and parts of a file, one after the other, each by the cheapest road on which nobody waits for a disk.
//!
//! ```text
//!   text, short parts, short ends ──────────────▶ read, joined ─▶ send
//!   the next chunk of a long part
//!     EnableSendfile ── in the page cache? ─yes─▶ sendfile
//!     EnableMMAP ────── in the page cache? ─yes─▶ mapped: the kernel copies from there ─▶ send
//!     neither of them ─ in the page cache? ─yes─▶ read ─▶ send
//!                           ├─no──────────▶ a job brings it there
//!                           └─cannot tell─▶ a job reads it into memory ─▶ send
//! ```
//!
//! - What is mapped is named to the kernel and never looked at: a file that shrinks costs an error, no signal.
//! - The last bytes leave only if the file is still as long as it was: what looks complete to the client is complete.
//!   (But what sendfile(2) has put into the socket is not a copy. Who shortens a file in the middle of a page blanks the
//!   rest of that page in there too, until it has left.)
//! - A part that is gone is cut off where it is: the connection ends.
//!
//! Microseconds of one CPU for a file in the page cache over the loopback device, on a virtual machine (kernel 6.18):
//!
//! | bytes | sendfile | mapped | read |
//! |---|---|---|---|
//! | 4 Ki | 1.1 | 5.2 | 1.5 |
//! | 64 Ki | 6.6 | 16 | 12 |
//! | 256 Ki | 36 | 37 | 41 |
//! | 4 Mi | 551 | 533 (in windows of 256 Ki: 1069) | 962 |
//!
//! So sendfile comes first where it may, a mapping pays from the size on beyond which files are not read anyway
//! ([`SMALL_FILE_BYTES_MAX`]), and windows are large.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use herdgate_mpm::{JobHandle, MappedFile, More, Socket, Turn};

use crate::files::Access;
use crate::files::content::{self, Residency, SMALL_FILE_BYTES_MAX, Segment, Span};
use crate::files::open::Opened;
use crate::server::ThreadState;

/// What is mapped at once, as in Apache. It costs addresses; the memory is the page cache's.
const WINDOW_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Short pieces are joined up to about this size.
const GATHER_BYTES_MAX: usize = 64 * 1024;
/// The end of a mapped part is read instead, after all before it has been copied. A file that has become shorter shows
/// there; in a mapping the rest of its last page would be zeros. (So it would be before the end, and therefore the file is
/// looked at before each chunk; but only the end makes an answer look complete.)
const READ_AT_END_BYTES: u64 = 4096;

/// Segments on their way out.
pub(super) struct Segments {
    file: Arc<Opened>,
    /// What is left of them.
    left: VecDeque<Segment>,
    /// `EnableSendfile`, unless this file turned out not to be sendable so.
    sendfile: bool,
    /// `EnableMMAP`, unless this file turned out not to be mappable.
    mmap: bool,
    /// Of the part at hand, nobody would wait for a disk up to here, so far as is known.
    resident_to: u64,
    window: Option<Window>,
    /// A job that makes the next chunk resident, or brings it into memory.
    reading: Option<JobHandle<io::Result<Chunk>>>,
}

/// Part of the file, mapped.
struct Window {
    offset: u64,
    mapped: MappedFile,
}

/// What a job did to a chunk.
enum Chunk {
    /// It is in the page cache, up to here.
    Resident(u64),
    InMemory(Vec<u8>),
}

/// How it goes on.
pub(super) enum Next {
    /// Bytes to be sent.
    Bytes(Vec<u8>),
    /// A chunk that [`Segments::send`] sends.
    Chunk(Span),
    /// A job is at it.
    Wait,
    /// All has gone.
    End,
}

impl Segments {
    pub(super) fn new(file: Opened, segments: Vec<Segment>, sendfile: bool, mmap: bool) -> Self {
        Self {
            file: Arc::new(file),
            left: segments.into(),
            sendfile,
            mmap,
            resident_to: 0,
            window: None,
            reading: None,
        }
    }

    /// How many bytes have not been handed out, or sent.
    pub(super) fn bytes_left(&self) -> u64 {
        self.left.iter().map(Segment::length).sum()
    }

    pub(super) fn have_ended(&self) -> bool {
        self.left.is_empty()
    }

    /// What is to be sent next; a chunk is no longer than `allowed`.
    pub(super) fn next(
        &mut self,
        allowed: u64,
        turn: &mut Turn<'_, ThreadState>,
    ) -> io::Result<Next> {
        if let Some(reading) = &self.reading {
            let Some(done) = reading.take() else { return Ok(Next::Wait) };
            self.reading = None;
            match done.map_err(|_panicked| io::ErrorKind::Other)?? {
                Chunk::Resident(end) => self.resident_to = end,
                Chunk::InMemory(bytes) => {
                    self.advance(bytes.len() as u64);
                    return Ok(Next::Bytes(bytes));
                }
            }
        }
        let access = turn.local().access;
        let bytes = self.gather(access)?;
        if !bytes.is_empty() {
            return Ok(Next::Bytes(bytes));
        }
        let Some(Segment::File(span)) = self.left.front() else { return Ok(Next::End) };
        let chunk = span.next_chunk();
        if is_short(*span) || !(self.sendfile || self.mmap) {
            return Ok(self.read_by_job(chunk, turn)); // It could not be gathered, so it would wait.
        }
        if access == Access::Inline && chunk.offset >= self.resident_to {
            match content::residency(&self.file, chunk) {
                Residency::Cached => self.resident_to = chunk.end(),
                Residency::Cold => return Ok(self.warm_by_job(chunk, turn)),
                Residency::Unknown => return Ok(self.read_by_job(chunk, turn)),
            }
        }
        let mut length = chunk.length.min(allowed);
        if !self.sendfile {
            length = length.min(span.length - READ_AT_END_BYTES);
        }
        let part = Span { length, ..chunk };
        if !self.sendfile || self.ends_with(part) {
            content::check_length(&self.file)?;
        }
        Ok(Next::Chunk(part))
    }

    /// Text and short parts, joined as far as they are at hand; of a long part something, if it must be read.
    fn gather(&mut self, access: Access) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut has_end = false;
        while bytes.len() < GATHER_BYTES_MAX {
            let part = match self.left.front_mut() {
                Some(Segment::Bytes(text)) => {
                    bytes.append(text);
                    self.left.pop_front();
                    continue;
                }
                Some(Segment::File(span)) if is_short(*span) || !(self.sendfile || self.mmap) => {
                    Span { length: span.length.min(SMALL_FILE_BYTES_MAX), ..*span }
                }
                Some(Segment::File(_)) | None => break,
            };
            match content::read(&self.file, part, access) {
                Ok(read) => bytes.extend(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            has_end |= self.ends_with(part);
            self.advance(part.length);
        }
        if has_end {
            content::check_length(&self.file)?;
        }
        Ok(bytes)
    }

    /// Whether these are the last bytes of the file that are wanted.
    fn ends_with(&self, part: Span) -> bool {
        let mut parts = self.left.iter().filter_map(|segment| match segment {
            Segment::File(span) => Some(*span),
            Segment::Bytes(_) => None,
        });
        parts.next().is_some_and(|span| span.end() == part.end()) && parts.next().is_none()
    }

    fn advance(&mut self, count: u64) {
        let Some(Segment::File(span)) = self.left.front_mut() else {
            unreachable!("only a part of the file is read or sent piece by piece");
        };
        *span = span.after(count);
        if span.length == 0 {
            self.left.pop_front();
            self.resident_to = 0; // The next part may lie anywhere.
        }
    }

    fn warm_by_job(&mut self, chunk: Span, turn: &mut Turn<'_, ThreadState>) -> Next {
        let file = Arc::clone(&self.file);
        self.reading = Some(turn.job(move || {
            content::warm(&file, chunk)?;
            Ok(Chunk::Resident(chunk.end()))
        }));
        Next::Wait
    }

    fn read_by_job(&mut self, chunk: Span, turn: &mut Turn<'_, ThreadState>) -> Next {
        let (file, is_end) = (Arc::clone(&self.file), self.ends_with(chunk));
        self.reading = Some(turn.job(move || {
            let bytes = content::read(&file, chunk, Access::MayBlock)?;
            if is_end {
                content::check_length(&file)?;
            }
            Ok(Chunk::InMemory(bytes))
        }));
        Next::Wait
    }

    /// Sends what the socket takes of a chunk, and says how much that was. Nothing: there is another road.
    ///
    /// # Errors
    /// `WouldBlock`: the socket is full. `UnexpectedEof`, `EFAULT`: the file has become shorter. Others as send(2).
    pub(super) fn send(&mut self, chunk: Span, socket: &Socket) -> io::Result<u64> {
        let sent = if self.sendfile {
            self.send_by_kernel(chunk, socket)?
        } else {
            self.send_mapped(chunk, socket)?
        };
        if sent > 0 {
            self.advance(sent);
        }
        Ok(sent)
    }

    fn send_by_kernel(&mut self, chunk: Span, socket: &Socket) -> io::Result<u64> {
        let mut offset = chunk.offset;
        let count = usize::try_from(chunk.length).unwrap_or(usize::MAX);
        match socket.sendfile(self.file.fd.as_fd(), &mut offset, count) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => Ok(sent as u64),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.sendfile = false; // Some file systems cannot.
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    fn send_mapped(&mut self, chunk: Span, socket: &Socket) -> io::Result<u64> {
        if !self.window.as_ref().is_some_and(|window| window.covers(chunk)) {
            self.window = None; // First: two of them would be one too many.
            match self.map(chunk.offset) {
                Ok(window) => self.window = Some(window),
                Err(_) => self.mmap = false, // No room for it, or a file system that cannot.
            }
        }
        match &self.window {
            Some(window) => {
                let sent = socket.write_mapped(&window.mapped, window.place(chunk), More::Yes)?;
                Ok(sent as u64)
            }
            None => Ok(0),
        }
    }

    fn map(&self, offset: u64) -> io::Result<Window> {
        let Some(Segment::File(span)) = self.left.front() else {
            unreachable!("a chunk belongs to a part of the file");
        };
        let length = (span.end() - offset).min(WINDOW_BYTES_MAX);
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(Window { offset, mapped: MappedFile::map(self.file.fd.as_fd(), offset, length)? })
    }
}

impl Window {
    fn covers(&self, chunk: Span) -> bool {
        self.offset <= chunk.offset && chunk.end() <= self.offset + self.mapped.len() as u64
    }

    /// Where the chunk is within the window.
    fn place(&self, chunk: Span) -> Range<usize> {
        let place = |at: u64| usize::try_from(at - self.offset).expect("a window is in memory");
        place(chunk.offset)..place(chunk.end())
    }
}

/// Whether reading a part costs less than any other road.
fn is_short(span: Span) -> bool {
    span.length <= SMALL_FILE_BYTES_MAX
}
