//! What a worker is busy with, in words: client, virtual host, request line, each cut to its width.
//!
//! ```text
//!   sequence │ since ms │ length, client (47) │ length, host (63) │ length, request line (127) │     256 bytes
//! ```
//!
//! - Under a seqlock: a reader sees one request, or none, and never the halves of two.
//! - Written as it is: whoever shows it escapes it, for clients choose these words.
//! - The server's own words are records of the same kind: `label.rs`.

use std::sync::atomic::AtomicU64;

use herdgate_sys as sys;

use super::seqlock;

sys::shared! {
    /// What a worker is busy with, in words. Read and written through a seqlock, see [`SlotWriter::describe`](super::SlotWriter::describe).
    #[repr(C, align(64))]
    pub struct Detail {
        /// Odd while the words are being written.
        pub sequence: AtomicU64,
        /// When the request had been read, in milliseconds of the coarse monotonic clock; then three texts, each with
        /// its length in the first byte: client (48 bytes), host (64), request (128).
        pub words: [AtomicU64; DETAIL_WORDS],
    }
}
pub(super) const DETAIL_WORDS: usize = 31;
const DETAIL_FIELDS: [usize; 3] = [48, 64, 128];
/// What of a request line has room.
pub const REQUEST_BYTES_MAX: usize = DETAIL_FIELDS[2] - 1;
const _: () = assert!(size_of::<Detail>() == 256, "four cache lines");
const _: () =
    assert!(8 + DETAIL_FIELDS[0] + DETAIL_FIELDS[1] + DETAIL_FIELDS[2] == DETAIL_WORDS * 8);

impl Detail {
    pub(super) fn write(&self, since_ms: u64, client: &[u8], host: &[u8], request: &[u8]) {
        let mut bytes = [0_u8; DETAIL_WORDS * 8];
        bytes[..8].copy_from_slice(&since_ms.to_le_bytes());
        let mut start = 8;
        for (text, width) in [client, host, request].into_iter().zip(DETAIL_FIELDS) {
            let length = text.len().min(width - 1);
            bytes[start] = u8::try_from(length).unwrap_or(0);
            bytes[start + 1..][..length].copy_from_slice(&text[..length]);
            start += width;
        }
        let (chunks, _rest) = bytes.as_chunks::<8>();
        seqlock::write(&self.sequence, &self.words, |index| u64::from_le_bytes(chunks[index]));
    }
}

/// What a worker is busy with, as it wrote it itself: cut to size, and not escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// When the request had been read, in milliseconds of the coarse monotonic clock.
    pub since_ms: u64,
    /// The client's address.
    pub client: String,
    /// The virtual host.
    pub host: String,
    /// The request line.
    pub request: String,
}

impl Description {
    pub(super) fn from_words(words: &[u64; DETAIL_WORDS]) -> Self {
        let bytes: Vec<u8> = words[1..].iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut rest = &bytes[..];
        let [client, host, request] = DETAIL_FIELDS.map(|width| {
            let (field, after) = rest.split_at(width);
            rest = after;
            let length = usize::from(field[0]).min(width - 1);
            String::from_utf8_lossy(&field[1..=length]).into_owned()
        });
        Self { since_ms: words[0], client, host, request }
    }
}

/// What one worker has said, for another one to say again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(pub(super) [u64; DETAIL_WORDS]);

#[cfg(test)]
mod tests {
    use super::super::Scoreboard;
    use super::*;
    use crate::Moment;

    fn board() -> Scoreboard {
        Scoreboard::create(None, 3, 2).unwrap()
    }

    #[test]
    fn a_description_is_cut_and_read_back() {
        let board = board();
        let long = [b'x'; 300];
        let now = Moment::from_start(std::time::Duration::from_millis(1234));
        board.writer(1, 1).describe(now, b"127.0.0.1", b"example.org:80", &long);
        let read = board.description(1, 1).unwrap();
        assert_eq!(read.since_ms, 1234);
        assert_eq!(read.client, "127.0.0.1");
        assert_eq!(read.host, "example.org:80");
        assert_eq!(read.request, "x".repeat(127));
        assert_eq!(board.description(1, 0).unwrap(), Description::default());
    }

    #[test]
    fn a_worker_can_say_what_another_has_said() {
        let board = board();
        assert!(board.writer(0, 0).words().is_none());
        board.writer(0, 0).describe(Moment::now(), b"::1", b"host", b"GET /slow HTTP/1.1");
        let words = board.writer(0, 0).words().unwrap();
        board.writer(0, 1).repeat(&words);
        assert_eq!(board.description(0, 0), board.description(0, 1));
        assert_eq!(board.description(0, 1).unwrap().request, "GET /slow HTTP/1.1");
    }
}
