//! # The scoreboard seen from outside: while the server runs, when it hangs, after it crashed
//!
//! ```text
//!   file ──read-only──▶ table of areas ──checked once──▶ Reader ──snapshot()──▶ Snapshot: plain values, nothing shared
//!                        by name, within the file          └─────life()──────▶ well, silent, dead, over
//! ```
//!
//! - The file is believed in nothing: offsets, strides and counts are checked against its size before anything is
//!   read, and every number is legal. A file that is damaged is an error or odd numbers, never a panic.
//! - A later version's areas that we do not know are not looked at. A record that is longer than we know it is read as
//!   far as we know it; one that is shorter reads as zeros behind its end, which all fields take for "not told".
//! - Each number is as it was at its moment. Numbers that belong together may be from a moment before and after; the
//!   words of one description never are.
//! - A file that somebody cuts short while it is mapped is SIGBUS for us: the server never does that, it replaces it.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicI32, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{self, Acquire},
};
use std::time::Duration;

use herdgate_sys as sys;
use sys::shared::{SharedMapping, SharedView};

pub use super::life::{Facts, Life};
use super::{
    AREAS_MAX, Area, ChildRecord, DETAIL_WORDS, Detail, GateRecord, Global, Header, LAYOUT_VERSION,
    MAGIC, Scoreboard, Slot as SlotRecord, seqlock, waits,
};
pub use super::{Description, Stage, State};
use crate::{Model, Moment};

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
        let table = Table::of(&self.mapping).expect("we have written the table ourselves");
        snapshot(&self.mapping, &table)
    }
}

/// Why a file cannot be read as a scoreboard.
#[derive(Debug)]
pub struct ReadError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Io(io::Error),
    NotAScoreboard,
    /// Its maker has not got to the end of it, or died before.
    Unfinished,
    /// A layout that we do not know.
    Version(u32),
    /// An area is missing, or does not lie within the file.
    Damaged(&'static str),
}

impl ReadError {
    /// The operating system's error, if it is one.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match &self.fault {
            Fault::Io(error) => Some(error.kind()),
            Fault::NotAScoreboard | Fault::Unfinished | Fault::Version(_) | Fault::Damaged(_) => {
                None
            }
        }
    }

    /// Whether the file is something else than a scoreboard.
    #[must_use]
    pub fn is_something_else(&self) -> bool {
        matches!(self.fault, Fault::NotAScoreboard)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.fault {
            Fault::Io(error) => write!(f, "{error}"),
            Fault::NotAScoreboard => write!(f, "not a scoreboard"),
            Fault::Unfinished => write!(f, "a scoreboard whose server never came to write it"),
            Fault::Version(version) => write!(
                f,
                "a scoreboard of version {version}; this program knows version {LAYOUT_VERSION}"
            ),
            Fault::Damaged(area) => {
                write!(f, "damaged: its area '{area}' is missing or impossible")
            }
        }
    }
}

impl std::error::Error for ReadError {}

// --- plain values ---

/// A scoreboard at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub taken: Option<Moment>,
    /// The server as a whole.
    pub server: Server,
    /// All places for children, free ones included.
    pub children: Vec<Child>,
    /// What stands before accept, in words; empty if it is not told.
    pub gate: String,
    /// Where it listens, in words; empty if it is not told.
    pub listen: String,
}

/// The server as a whole. See [`Global`] for what the numbers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Global with its name")]
pub struct Server {
    pub pid: i32,
    pub start_ticks: u64,
    pub boot: u64,
    pub pid_namespace: u64,
    /// When the supervisor looked around last; `None` if it never did.
    pub beat: Option<Moment>,
    pub stage: Stage,
    /// `None`: a later version's.
    pub model: Option<Model>,
    pub generation: u32,
    pub threads_per_child: u32,
    pub children_max: u32,
    pub queue_waiting: u32,
    /// 0: nobody has looked at the queue.
    pub queue_limit: u32,
    pub started_unix_secs: u64,
    pub restarted_unix_secs: u64,
    pub children_forked: u64,
    pub children_lost: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            pid: 0,
            start_ticks: 0,
            boot: 0,
            pid_namespace: 0,
            beat: None,
            stage: Stage::Starting,
            model: None,
            generation: 0,
            threads_per_child: 0,
            children_max: 0,
            queue_waiting: 0,
            queue_limit: 0,
            started_unix_secs: 0,
            restarted_unix_secs: 0,
            children_forked: 0,
            children_lost: 0,
        }
    }
}

/// One place for a child. See [`ChildRecord`] for what the numbers mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of ChildRecord with its name")]
pub struct Child {
    /// Its number on the scoreboard.
    pub place: usize,
    /// 0 while the place is free.
    pub pid: i32,
    pub generation: u32,
    pub finishing: bool,
    pub retiring: bool,
    pub not_accepting: bool,
    pub accepted: u64,
    pub wakeups_wasted: u64,
    pub connections: u32,
    pub parked: Parked,
    pub jobs: u32,
    pub loop_waited_ms: u64,
    pub loop_waits_since_ms: u64,
    pub at_gate: AtGate,
    /// `None`: the server does not tell.
    pub gate: Option<Gate>,
    pub slots: Vec<Slot>,
}

impl Child {
    /// Whether anybody is here.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.pid != 0
    }

    /// Event: for how long its loop has waited since its start.
    #[must_use]
    pub fn loop_waited(&self, now: Moment) -> Duration {
        let waiting = match self.loop_waits_since_ms {
            0 => 0,
            since => now.millis().saturating_sub(since),
        };
        Duration::from_millis(self.loop_waited_ms.saturating_add(waiting))
    }
}

/// Connections that wait in an event child, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parked {
    /// For a request, or the rest of one.
    pub request: u32,
    /// For room to send an answer, or for a job.
    pub response: u32,
    /// For the next request.
    pub idle: u32,
    /// For the client to close.
    pub linger: u32,
}

/// Where a child is in front of `accept`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtGate {
    /// Elsewhere.
    #[default]
    Away,
    /// Queued.
    Waiting,
    /// Let in.
    Inside,
}

/// How a child fares at the gate. See [`GateRecord`] for what the numbers mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of GateRecord with its name")]
pub struct Gate {
    pub acquisitions: u64,
    pub contended: u64,
    pub after_death: u64,
    pub waited: Duration,
    /// Waits by length: see [`waits`].
    pub waits: Vec<u64>,
}

/// One worker's line. See [`SlotRecord`](super::Slot) for what the numbers mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of Slot with its name")]
pub struct Slot {
    pub state: State,
    pub pid: i32,
    pub tid: i32,
    pub generation: u32,
    pub since: Moment,
    pub requests: u64,
    pub bytes: u64,
    pub connections: u64,
    pub requests_here: u64,
    /// CPU time of the present worker, as it saw it last.
    pub cpu: Duration,
    /// What it says that it is, or was last, busy with. `None`: it has said nothing, or died while it did.
    pub description: Option<Description>,
}

// --- reading ---

/// Memory to read numbers from. Offsets have been checked: what lies outside reads as zero all the same.
trait Memory {
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

/// Where the areas that we know are. Copied and checked once: what the file says later cannot lead us astray.
#[derive(Clone, Copy, Debug)]
struct Table {
    global: Span,
    children: Span,
    slots: Span,
    details: Span,
    gates: Span,
    labels: Span,
}

/// An array of records within the memory.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    offset: usize,
    stride: usize,
    count: usize,
}

impl Table {
    fn of<M: Memory>(memory: &M) -> Result<Self, Fault> {
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
        };
        if table.slots_per_child() == 0 {
            return Err(Fault::Damaged("slot"));
        }
        Ok(table)
    }

    fn slots_per_child(&self) -> usize {
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
            .find(|area| memory.u32(area + offset_of!(Area, version)) == 1)
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

    fn record<M: Memory>(self, memory: &M, nth: usize) -> Option<Record<'_, M>> {
        let start = self.offset + nth * self.stride;
        (nth < self.count).then_some(Record { memory, start, length: self.stride })
    }
}

fn has_name<M: Memory>(memory: &M, offset: usize, name: &str) -> bool {
    let padded = name.bytes().chain(std::iter::repeat(0));
    padded.take(16).enumerate().all(|(nth, byte)| memory.u8(offset + nth) == byte)
}

/// One record, as long as its writer knew it.
struct Record<'m, M> {
    memory: &'m M,
    start: usize,
    length: usize,
}

/// The field of a record, as wide as the struct says.
macro_rules! field {
    ($record:expr, $type:ident.$field:ident) => {
        $record.load(offset_of!($type, $field), |record: &$type| &record.$field)
    };
}

impl<M: Memory> Record<'_, M> {
    /// The number at `offset`; `_field` says of which type. Zero where the writer had no such field yet.
    fn load<T, A: Number>(&self, offset: usize, _field: fn(&T) -> &A) -> A::Value {
        let is_told = offset + size_of::<A>() <= self.length;
        A::load(self.memory, if is_told { self.start + offset } else { usize::MAX })
    }
}

/// An atomic integer, as a plain number.
trait Number {
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

fn snapshot<M: Memory>(memory: &M, table: &Table) -> Snapshot {
    let children = (0..table.children.count).filter_map(|place| child(memory, table, place));
    Snapshot {
        taken: Some(Moment::now()),
        server: server(memory, table),
        children: children.collect(),
        gate: label(memory, table, "gate"),
        listen: label(memory, table, "listen"),
    }
}

/// The server's words under that name.
fn label<M: Memory>(memory: &M, table: &Table, name: &str) -> String {
    let all = (0..table.labels.count).filter_map(|nth| description(memory, table.labels, nth));
    all.into_iter()
        .find(|label| label.client == name)
        .map(|label| label.request)
        .unwrap_or_default()
}

fn server<M: Memory>(memory: &M, table: &Table) -> Server {
    let Some(global) = table.global.record(memory, 0) else { return Server::default() };
    Server {
        pid: field!(global, Global.pid),
        start_ticks: field!(global, Global.start_ticks),
        boot: field!(global, Global.boot),
        pid_namespace: field!(global, Global.pid_namespace),
        beat: Some(field!(global, Global.beat_ms)).filter(|beat| *beat != 0).map(moment),
        stage: Stage::from_number(field!(global, Global.stage)),
        model: match field!(global, Global.model) {
            0 => Some(Model::Prefork),
            1 => Some(Model::Worker),
            2 => Some(Model::Event),
            _ => None,
        },
        generation: field!(global, Global.generation),
        threads_per_child: field!(global, Global.threads_per_child),
        children_max: field!(global, Global.children_max),
        queue_waiting: field!(global, Global.queue_waiting),
        queue_limit: field!(global, Global.queue_limit),
        started_unix_secs: field!(global, Global.started_unix_secs),
        restarted_unix_secs: field!(global, Global.restarted_unix_secs),
        children_forked: field!(global, Global.children_forked),
        children_lost: field!(global, Global.children_lost),
    }
}

fn child<M: Memory>(memory: &M, table: &Table, place: usize) -> Option<Child> {
    let record = table.children.record(memory, place)?;
    let per_child = table.slots_per_child();
    let slots = place * per_child..(place + 1) * per_child;
    Some(Child {
        place,
        pid: field!(record, ChildRecord.pid),
        generation: field!(record, ChildRecord.generation),
        finishing: field!(record, ChildRecord.finishing) != 0,
        retiring: field!(record, ChildRecord.retiring) != 0,
        not_accepting: field!(record, ChildRecord.not_accepting) != 0,
        accepted: field!(record, ChildRecord.accepted),
        wakeups_wasted: field!(record, ChildRecord.wakeups_wasted),
        connections: field!(record, ChildRecord.connections),
        parked: Parked {
            request: field!(record, ChildRecord.parked_request),
            response: field!(record, ChildRecord.parked_response),
            idle: field!(record, ChildRecord.parked_idle),
            linger: field!(record, ChildRecord.parked_linger),
        },
        jobs: field!(record, ChildRecord.jobs),
        loop_waited_ms: field!(record, ChildRecord.loop_waited_ms),
        loop_waits_since_ms: field!(record, ChildRecord.loop_waits_since_ms),
        at_gate: match field!(record, ChildRecord.at_gate) {
            1 => AtGate::Waiting,
            2 => AtGate::Inside,
            _ => AtGate::Away,
        },
        gate: table.gates.record(memory, place).map(|record| gate(&record)),
        slots: slots.filter_map(|nth| slot(memory, table, nth)).collect(),
    })
}

fn gate<M: Memory>(record: &Record<'_, M>) -> Gate {
    let bucket = size_of::<AtomicU64>();
    let waits = (0..waits::BUCKETS)
        .map(|nth| offset_of!(GateRecord, waits) + nth * bucket)
        .map(|offset| record.load(offset, |record: &GateRecord| &record.waits[0]));
    Gate {
        acquisitions: field!(record, GateRecord.acquisitions),
        contended: field!(record, GateRecord.contended),
        after_death: field!(record, GateRecord.after_death),
        waited: Duration::from_micros(field!(record, GateRecord.waited_micros)),
        waits: waits.collect(),
    }
}

fn slot<M: Memory>(memory: &M, table: &Table, nth: usize) -> Option<Slot> {
    let record = table.slots.record(memory, nth)?;
    let state = State::from_byte(field!(record, SlotRecord.state));
    let is_present = state != State::Dead;
    Some(Slot {
        state,
        pid: field!(record, SlotRecord.pid),
        tid: field!(record, SlotRecord.tid),
        generation: field!(record, SlotRecord.generation),
        since: moment(field!(record, SlotRecord.since_ms)),
        requests: field!(record, SlotRecord.requests),
        bytes: field!(record, SlotRecord.bytes),
        connections: field!(record, SlotRecord.connections),
        requests_here: field!(record, SlotRecord.requests_here),
        cpu: Duration::from_millis(u64::from(field!(record, SlotRecord.cpu_centisecs)) * 10),
        description: is_present.then(|| description(memory, table.details, nth)).flatten(),
    })
}

fn description<M: Memory>(memory: &M, span: Span, nth: usize) -> Option<Description> {
    let record = span.record(memory, nth).filter(|r| r.length >= size_of::<Detail>())?;
    let sequence = Place { memory, offset: record.start + offset_of!(Detail, sequence) };
    let words = record.start + offset_of!(Detail, words);
    let words: [u64; DETAIL_WORDS] =
        seqlock::read(&sequence, |index| memory.u64(words + index * size_of::<u64>()))?;
    let description = Description::from_words(&words);
    (description != Description::default()).then_some(description)
}

/// One word of the memory, for the seqlock.
struct Place<'m, M> {
    memory: &'m M,
    offset: usize,
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

fn moment(ms: u64) -> Moment {
    Moment::from_start(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use proptest::prelude::*;

    use super::super::Label;
    use super::*;

    /// A scoreboard's file, with something on it.
    fn file() -> (tempfile::TempDir, PathBuf, Scoreboard) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let board = Scoreboard::create(Some(&path), 2, 3).unwrap();
        board.global().model.store(2, Relaxed);
        board.global().generation.store(5, Relaxed);
        board.children()[1].pid.store(42, Relaxed);
        board.children()[1].parked_idle.store(7, Relaxed);
        board.gates()[1].entered_after(Duration::from_micros(5));
        board.set_label(Label::Gate, "exclusive");
        let writer = board.writer(1, 2);
        writer.started(5, moment(100));
        writer.describe(moment(200), b"::1", b"example.org", b"GET / HTTP/1.1");
        writer.set_state(State::Writing, moment(300));
        writer.count_request(1000);
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
            let slot = &child.slots[2];
            assert_eq!((slot.state, slot.requests, slot.bytes), (State::Writing, 1, 1000));
            assert_eq!((slot.generation, slot.since), (5, moment(300)));
            let description = slot.description.as_ref().unwrap();
            assert_eq!(description.request, "GET / HTTP/1.1");
            assert_eq!(description.since_ms, 200);
            assert_eq!(child.slots[0].description, None);
            let gate = child.gate.as_ref().unwrap();
            assert_eq!((gate.acquisitions, gate.contended), (1, 1));
            assert_eq!((gate.waited, gate.waits[5]), (Duration::from_micros(5), 1));
            assert_eq!((snapshot.gate.as_str(), snapshot.listen.as_str()), ("exclusive", ""));
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
