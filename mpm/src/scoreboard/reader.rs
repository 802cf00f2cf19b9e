//! # The scoreboard seen from outside: while the server runs, when it hangs, after it crashed
//!
//! ```text
//!   file ──read-only──▶ table of areas ──checked once──▶ Reader ──snapshot()──▶ Snapshot: plain values, nothing shared
//!                        by name, within the file          └─────life()──────▶ well, silent, dead, over
//! ```
//!
//! `table` finds and checks, `memory` reads numbers, `snapshot` makes of them the plain `values`.
//!
//! - The file is believed in nothing: offsets, strides and counts are checked against its size before anything is
//!   read, and every number is legal. A file that is damaged is an error or odd numbers, never a panic.
//! - A later version's areas that we do not know are not looked at. A record that is longer than we know it is read as
//!   far as we know it; one that is shorter reads as zeros behind its end, which all fields take for "not told".
//! - Each number is as it was at its moment. Numbers that belong together may be from a moment before and after; the
//!   words of one description never are.
//! - A file that somebody cuts short while it is mapped is SIGBUS for us: the server never does that, it replaces it.

mod error;
mod memory;
mod snapshot;
mod table;
mod values;

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use herdgate_sys as sys;
use sys::shared::SharedView;

pub use super::life::{Facts, Life};
pub use super::{Description, Ending, Endings, Stage, State};
use super::{Header, Scoreboard};
use error::Fault;
pub use error::ReadError;
use snapshot::{server, snapshot};
use table::Table;
pub use values::{AtGate, Child, Gate, Parked, Queue, Server, Slot, Snapshot};

/// A scoreboard's file, opened to be looked at.
#[derive(Debug)]
pub struct Reader {
    view: SharedView,
    table: Table,
    identity: (u64, u64),
}

impl Reader {
    /// Opens a file, and checks whether it is a scoreboard.
    ///
    /// # Errors
    /// It cannot be opened, or is none that we can read.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let error = |fault| ReadError { path: path.to_owned(), fault };
        // Without O_NONBLOCK a fifo of that name would hold us for ever.
        let nonblock = nix::libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path);
        let file = file.map_err(|source| error(Fault::Io(source)))?;
        let metadata = file.metadata().map_err(|source| error(Fault::Io(source)))?;
        if !metadata.is_file() || metadata.len() < size_of::<Header>() as u64 {
            return Err(error(Fault::NotAScoreboard));
        }
        let view = SharedView::of(&file, path).map_err(|source| error(Fault::Io(source)))?;
        let table = Table::of(&view).map_err(error)?;
        Ok(Self { view, table, identity: (metadata.dev(), metadata.ino()) })
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.view.path()
    }

    /// Whether the path still names what we have open: a server that starts anew makes a new file.
    #[must_use]
    pub fn is_current(&self) -> bool {
        std::fs::metadata(self.path())
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity)
    }

    /// All that the scoreboard tells at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        snapshot(&self.view, &self.table)
    }

    /// The server as a whole.
    #[must_use]
    pub fn server(&self) -> Server {
        server(&self.view, &self.table)
    }

    /// Whether the server lives.
    #[must_use]
    pub fn life(&self) -> Life {
        let server = self.server();
        Life::of(&server, &Facts::about(&server))
    }
}

impl Scoreboard {
    /// The same as from outside, for a status page of the server itself.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let table = Table::of(&*self.mapping).expect("we have written the table ourselves");
        snapshot(&*self.mapping, &table)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::Label;
    use super::*;
    use crate::gate::waits;
    use crate::{Model, Moment};

    fn moment(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    /// A scoreboard's file, with something on it.
    fn file() -> (tempfile::TempDir, PathBuf, Scoreboard) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let board = Scoreboard::create(Some(&path), 2, 3).unwrap();
        board.global().model.store(2, Relaxed);
        board.global().generation.store(5, Relaxed);
        board.children()[1].pid.store(42, Relaxed);
        board.children()[1].parked_idle.store(7, Relaxed);
        board.children()[1].count_refused_request();
        board.gates()[1].entered_after(Duration::from_micros(5));
        board.queues()[1].left_after(Duration::from_millis(3), moment(100));
        board.set_label(Label::Gate, "exclusive");
        let writer = board.writer(1, 2);
        writer.started(5, moment(100));
        writer.describe(moment(200), b"::1", b"example.org", b"GET / HTTP/1.1");
        writer.set_state(State::Writing, moment(300));
        writer.count_request(1000);
        writer.count_time(Duration::from_millis(20), 3, 4000);
        writer.count_ending(Ending::Shed);
        board.writer(0, 1).count_ending(Ending::Shed);
        writer.count_ending(Ending::Refused);
        (folder, path, board)
    }

    #[test]
    fn what_is_written_is_read_from_the_file_and_from_within() {
        let (_folder, path, board) = file();
        let check = |snapshot: Snapshot| {
            assert_eq!(snapshot.server.model, Some(Model::Event));
            assert_eq!(snapshot.server.generation, 5);
            assert_eq!(snapshot.children.len(), 2);
            let child = &snapshot.children[1];
            assert!(child.is_present() && !snapshot.children[0].is_present());
            assert_eq!((child.pid, child.parked.idle, child.slots.len()), (42, 7, 3));
            assert_eq!(snapshot.requests_refused(), 1);
            let slot = &child.slots[2];
            assert_eq!((slot.state, slot.requests, slot.bytes), (State::Writing, 1, 1000));
            assert_eq!((slot.generation, slot.since), (5, moment(300)));
            assert_eq!((slot.taken, slot.latest), (Duration::from_millis(20), slot.taken));
            assert_eq!((slot.bytes_here, slot.connection_bytes), (1000, 4000));
            assert_eq!(slot.connection_requests, 3);
            let description = slot.description.as_ref().unwrap();
            assert_eq!(description.request, "GET / HTTP/1.1");
            assert_eq!(description.since_ms, 200);
            assert_eq!(child.slots[0].description, None);
            let gate = child.gate.as_ref().unwrap();
            assert_eq!((gate.acquisitions, gate.contended), (1, 1));
            assert_eq!((gate.waited, gate.waits[5]), (Duration::from_micros(5), 1));
            let queue = child.queue.as_ref().unwrap();
            assert_eq!((queue.asked, queue.waited), (1, Duration::from_millis(3)));
            assert_eq!(waits::quantile(&queue.waits, 1.0), Some(Duration::from_micros(2560)));
            assert_eq!((snapshot.gate.as_str(), snapshot.listen.as_str()), ("exclusive", ""));
            let ended = |ending| snapshot.endings.of(ending);
            assert_eq!((ended(Ending::Shed), ended(Ending::Refused)), (2, 1));
            assert_eq!(ended(Ending::Silent), 0);
        };
        check(board.snapshot());
        check(Reader::open(&path).unwrap().snapshot());
    }

    #[test]
    fn a_file_that_is_no_scoreboard_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let check = |bytes: &[u8], expected: &str| {
            std::fs::write(&path, bytes).unwrap();
            let message = Reader::open(&path).unwrap_err().to_string();
            assert!(message.ends_with(expected), "{message}");
        };
        check(b"", "not a scoreboard");
        check(b"short", "not a scoreboard");
        check(&[b'x'; 4096], "not a scoreboard");
        check(&[0; 4096], "never came to write it");
        let mut later = [0; 4096];
        later[..8].copy_from_slice(b"herdgate");
        later[8] = 9;
        check(&later, "this program knows version 1");
        later[8] = 1;
        check(&later, "its area 'global' is missing or impossible");
        assert!(Reader::open(folder.path()).is_err(), "a folder");
        let missing = Reader::open(&folder.path().join("nobody")).unwrap_err();
        assert_eq!(missing.io_kind(), Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_shorter_record_of_a_former_version_reads_as_zeros_behind_its_end() {
        let (_folder, path, board) = file();
        board.global().threads_per_child.store(25, Relaxed);
        let header: &Header = board.mapping.get(0).unwrap();
        header.areas[0].stride.store(48, Relaxed);
        let server = Reader::open(&path).unwrap().server();
        assert_eq!((server.generation, server.threads_per_child), (5, 0));
    }

    #[test]
    fn an_area_of_a_later_version_is_not_looked_at() {
        let (_folder, path, board) = file();
        let header: &Header = board.mapping.get(0).unwrap();
        let detail = header.areas.iter().find(|area| area.name[0].load(Relaxed) == b'd').unwrap();
        detail.version.store(2, Relaxed);
        let snapshot = Reader::open(&path).unwrap().snapshot();
        assert_eq!(snapshot.children[1].slots[2].description, None);
        assert_eq!(snapshot.children[1].slots[2].requests, 1);
    }

    #[test]
    fn a_replaced_file_is_noticed() {
        let (_folder, path, _board) = file();
        let reader = Reader::open(&path).unwrap();
        assert!(reader.is_current());
        let _successor = Scoreboard::create(Some(&path), 1, 1).unwrap();
        assert!(!reader.is_current());
        assert_eq!(reader.snapshot().children.len(), 2, "the old one can still be read");
    }

    /// Opens whatever the bytes are, and reads all of it if it opens.
    fn read_all(bytes: &[u8]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(reader) = Reader::open(&path) {
            let snapshot = reader.snapshot();
            let slots: usize = snapshot.children.iter().map(|child| child.slots.len()).sum();
            assert!(slots <= bytes.len() / 8, "bounded by the file");
            let _ = reader.life();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            read_all(&bytes);
        }

        /// A real file with a few bytes changed, mostly in its table, and cut somewhere.
        #[test]
        fn a_damaged_scoreboard_never_panics(
            changes in prop::collection::vec((0_usize..900, any::<u8>()), 0..12),
            cut in 0_usize..8192,
        ) {
            let (_folder, path, _board) = file();
            let mut bytes = std::fs::read(path).unwrap();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(cut.max(8));
            read_all(&bytes);
        }
    }
}
