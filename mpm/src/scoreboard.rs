//! # The scoreboard: who does what, in memory that everybody sees
//!
//! ```text
//!   ┌ Header ──────────┬ global ─┬ child 0 … C-1 ─┬ slot 0 … C×W-1 ─┬ detail 0 … C×W-1 ─┐
//!   │ magic, version,  │ 1 Global│ ChildRecord    │ Slot, a cache   │ Detail, under a   │
//!   │ table of areas   │         │ each           │ line each       │ seqlock each      │
//!   └──────────────────┴─────────┴────────────────┴─────────────────┴───────────────────┘
//!      an area is {name, offset, stride, count, version}: a reader finds by name what it knows, and skips the rest
//! ```
//!
//! - One writer at a time for each record: the supervisor before the fork and after the reap, its worker between.
//! - Readers take no lock and block nobody. Counters are relaxed atomics; strings are under a seqlock.
//! - Nothing here is trusted by the supervisor: pids and generations that it acts on are in its own memory
//!   (a child that could name a pid for root to signal was CVE-2019-0211).
//! - The file is created anew, mode 0600, and fully allocated, so that a full disk is an error at start and no SIGBUS later.

mod seqlock;

use std::io;
use std::path::Path;
use std::sync::atomic::{
    AtomicI32, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use herdgate_sys as sys;
use sys::shared::SharedMapping;

use crate::{Moment, Phase};

const MAGIC: u64 = u64::from_le_bytes(*b"herdgate");
const LAYOUT_VERSION: u32 = 1;
const AREAS_MAX: usize = 16;
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

sys::shared! {
    /// The server as a whole. Written by the supervisor.
    #[repr(C, align(64))]
    pub struct Global {
        /// The supervisor's process id.
        pub pid: AtomicI32,
        /// The generation that takes new connections; the first is 0.
        pub generation: AtomicU32,
        /// [`Model`](crate::Model) as a number: 0 prefork, 1 worker, 2 event.
        pub model: AtomicU32,
        /// Slots of each child.
        pub slots_per_child: AtomicU32,
        /// Start of the server, seconds since 1970.
        pub started_unix_secs: AtomicU64,
        /// Last start or restart, seconds since 1970.
        pub restarted_unix_secs: AtomicU64,
        /// Children forked since the start.
        pub children_forked: AtomicU64,
        /// Children that died without being told to.
        pub children_lost: AtomicU64,
        /// About how many workers are idle: counted down and up by the workers, and set right by the supervisor
        /// whenever it looks. A hint for [`demand_awaited`](Self::demand_awaited), nothing else.
        pub idle_workers: AtomicI32,
        /// 1: whoever takes the last idle worker wakes the supervisor, and makes it 0.
        pub demand_awaited: AtomicU32,
    }
}

sys::shared! {
    /// One child process. `pid`, `generation` and `finishing` are the supervisor's, the rest is the child's.
    #[repr(C, align(64))]
    pub struct ChildRecord {
        /// Its process id, 0 while the place is free. For display only.
        pub pid: AtomicI32,
        /// The generation that it belongs to.
        pub generation: AtomicU32,
        /// 1 once it was told to finish.
        pub finishing: AtomicU32,
        /// 1 once it has decided to finish by itself, after its share of connections. Written by the child.
        pub retiring: AtomicU32,
        /// 1 while it takes no new connections for lack of room.
        pub not_accepting: AtomicU32,
        /// Connections accepted.
        pub accepted: AtomicU64,
        /// Times that it was woken for a connection and found none.
        pub wakeups_wasted: AtomicU64,
        /// Event: open connections.
        pub connections: AtomicU32,
        /// Event: connections whose request is awaited or coming in.
        pub parked_request: AtomicU32,
        /// Event: connections whose answer is on its way.
        pub parked_response: AtomicU32,
        /// Event: connections between two requests.
        pub parked_idle: AtomicU32,
        /// Event: connections in lingering close.
        pub parked_linger: AtomicU32,
        /// Event: jobs that run or wait for a thread.
        pub jobs: AtomicU32,
        /// Event: milliseconds that its loop has spent waiting.
        pub loop_waited_ms: AtomicU64,
        /// Event: since when its loop waits, in milliseconds of the coarse monotonic clock; 0 while it works.
        pub loop_waits_since_ms: AtomicU64,
        /// 0 away from the gate, 1 queued at it, 2 inside: whoever must be woken at a mutex is inside.
        pub at_gate: AtomicU32,
    }
}

sys::shared! {
    /// One worker's line. Written by that worker, read by the supervisor and the status page.
    #[repr(C, align(64))]
    pub struct Slot {
        /// A [`State`]. Stored `Release`, loaded `Acquire`: who sees a state sees what was stored before it.
        pub state: AtomicU8,
        /// Process id. For display only.
        pub pid: AtomicI32,
        /// Thread id. For display only.
        pub tid: AtomicI32,
        /// The worker's generation.
        pub generation: AtomicU32,
        /// When the state last changed, in milliseconds of the coarse monotonic clock.
        pub since_ms: AtomicU64,
        /// Requests answered by this slot since the server's start. A statistic: no decision hangs on it.
        pub requests: AtomicU64,
        /// Bytes sent by this slot since the server's start.
        pub bytes: AtomicU64,
        /// Connections served by this slot since the server's start.
        pub connections: AtomicU64,
        /// Requests answered by the present worker.
        pub requests_here: AtomicU64,
    }
}
const _: () = assert!(size_of::<Slot>() == 64, "the picture above draws one slot per cache line");

sys::shared! {
    /// What a worker is busy with, in words. Read and written through a seqlock, see [`SlotWriter::describe`].
    #[repr(C, align(64))]
    pub struct Detail {
        /// Odd while the words are being written.
        pub sequence: AtomicU64,
        /// Three texts, each with its length in the first byte: client (48 bytes), host (64), request (136).
        pub words: [AtomicU64; DETAIL_WORDS],
    }
}
const DETAIL_WORDS: usize = 31;
const DETAIL_FIELDS: [usize; 3] = [48, 64, 136];
const _: () = assert!(size_of::<Detail>() == 256, "four cache lines");
const _: () = assert!(DETAIL_FIELDS[0] + DETAIL_FIELDS[1] + DETAIL_FIELDS[2] == DETAIL_WORDS * 8);

/// What a worker does, with Apache's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nobody is here.
    Dead = b'.',
    /// Starting up.
    Starting = b'S',
    /// Waiting for a connection.
    Ready = b'_',
    /// Reading a request.
    Reading = b'R',
    /// Making or sending an answer.
    Writing = b'W',
    /// Waiting for the next request of a kept connection.
    KeepAlive = b'K',
    /// Writing the log.
    Logging = b'L',
    /// Looking up a name.
    Dns = b'D',
    /// Closing, lingering.
    Closing = b'C',
    /// Finishing gracefully.
    Graceful = b'G',
    /// Being retired as a spare.
    Retiring = b'I',
}

impl State {
    const ALL: [Self; 11] = [
        Self::Dead,
        Self::Starting,
        Self::Ready,
        Self::Reading,
        Self::Writing,
        Self::KeepAlive,
        Self::Logging,
        Self::Dns,
        Self::Closing,
        Self::Graceful,
        Self::Retiring,
    ];

    /// The letter on the status page.
    #[must_use]
    pub fn letter(self) -> char {
        char::from(self as u8)
    }

    /// Free memory is zero, and a record from a damaged file may be anything: both read as [`State::Dead`].
    fn from_byte(byte: u8) -> Self {
        Self::ALL.into_iter().find(|state| *state as u8 == byte).unwrap_or(Self::Dead)
    }
}

impl From<Phase> for State {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Request => Self::Reading,
            Phase::Response => Self::Writing,
            Phase::Idle => Self::KeepAlive,
            Phase::Linger => Self::Closing,
        }
    }
}

impl Slot {
    /// What the worker does.
    #[must_use]
    pub fn state(&self) -> State {
        State::from_byte(self.state.load(Acquire)) // Pairs with the Release of `set_state`.
    }

    fn set_state(&self, state: State, now: Moment) {
        self.since_ms.store(now.millis(), Relaxed);
        self.state.store(state as u8, Release);
    }
}

/// The scoreboard of a running server, seen from one of its own processes.
#[derive(Debug)]
pub struct Scoreboard {
    mapping: SharedMapping,
    children: usize,
    slots_per_child: usize,
    layout: Layout,
}

#[derive(Clone, Copy, Debug)]
struct Layout {
    global: usize,
    children: usize,
    slots: usize,
    details: usize,
    total: usize,
}

impl Layout {
    fn new(children: usize, slots: usize) -> Self {
        let global = size_of::<Header>().next_multiple_of(ALIGN);
        let children_at = global + size_of::<Global>();
        let slots_at = children_at + children * size_of::<ChildRecord>();
        let details = slots_at + slots * size_of::<Slot>();
        let total = details + slots * size_of::<Detail>();
        Self { global, children: children_at, slots: slots_at, details, total }
    }
}

impl Scoreboard {
    /// Makes a scoreboard for so many children with so many slots each: at `path`, where a stale one of a former
    /// server is replaced, or in memory that only this server's processes share.
    ///
    /// # Errors
    /// The file cannot be made, or there is no room for it.
    pub fn create(path: Option<&Path>, children: u32, slots_per_child: u32) -> io::Result<Self> {
        let (children, slots_per_child) = (children as usize, slots_per_child as usize);
        let slots = children * slots_per_child;
        let layout = Layout::new(children, slots);
        let mapping = match path {
            Some(path) => {
                remove_stale(path)?;
                SharedMapping::create(path, layout.total)?
            }
            None => SharedMapping::anonymous(layout.total)?,
        };
        let board = Self { mapping, children, slots_per_child, layout };
        board.write_header(slots);
        Ok(board)
    }

    fn write_header(&self, slots: usize) {
        let header: &Header = self.mapping.get(0).expect("the mapping begins with its header");
        let areas: [(&str, usize, usize, usize); 4] = [
            ("global", self.layout.global, size_of::<Global>(), 1),
            ("child", self.layout.children, size_of::<ChildRecord>(), self.children),
            ("slot", self.layout.slots, size_of::<Slot>(), slots),
            ("detail", self.layout.details, size_of::<Detail>(), slots),
        ];
        for (area, (name, offset, stride, count)) in header.areas.iter().zip(areas) {
            for (cell, byte) in area.name.iter().zip(name.bytes()) {
                cell.store(byte, Relaxed);
            }
            area.offset.store(offset as u64, Relaxed);
            area.stride.store(small(stride), Relaxed);
            area.count.store(small(count), Relaxed);
            area.version.store(1, Relaxed);
        }
        header.version.store(LAYOUT_VERSION, Relaxed);
        header.area_count.store(small(areas.len()), Relaxed);
        header.magic.store(MAGIC, Release); // Last: who sees it sees the table.
    }

    /// The record of the server as a whole.
    #[must_use]
    pub fn global(&self) -> &Global {
        self.mapping.get(self.layout.global).expect("laid out at creation")
    }

    /// All children's records.
    #[must_use]
    pub fn children(&self) -> &[ChildRecord] {
        self.mapping.slice(self.layout.children, self.children).expect("laid out at creation")
    }

    /// The slots of one child.
    #[must_use]
    pub fn slots(&self, child: usize) -> &[Slot] {
        let all: &[Slot] = self
            .mapping
            .slice(self.layout.slots, self.children * self.slots_per_child)
            .expect("laid out at creation");
        &all[child * self.slots_per_child..][..self.slots_per_child]
    }

    fn details(&self, child: usize) -> &[Detail] {
        let all: &[Detail] = self
            .mapping
            .slice(self.layout.details, self.children * self.slots_per_child)
            .expect("laid out at creation");
        &all[child * self.slots_per_child..][..self.slots_per_child]
    }

    /// What the worker in a slot says that it is busy with. `None` if it keeps on writing, or died while it wrote.
    #[must_use]
    pub fn description(&self, child: usize, worker: usize) -> Option<Description> {
        let detail = &self.details(child)[worker];
        let words = seqlock::read(&detail.sequence, &detail.words)?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut rest = &bytes[..];
        let [client, host, request] = DETAIL_FIELDS.map(|width| {
            let (field, after) = rest.split_at(width);
            rest = after;
            let length = usize::from(field[0]).min(width - 1);
            String::from_utf8_lossy(&field[1..=length]).into_owned()
        });
        Some(Description { client, host, request })
    }

    /// The pen of the worker in this slot. There must be one at a time: the supervisor's before fork and after
    /// reap, the worker's between.
    #[must_use]
    pub fn writer(&self, child: usize, worker: usize) -> SlotWriter<'_> {
        SlotWriter { slot: &self.slots(child)[worker], detail: &self.details(child)[worker] }
    }

    /// Before the fork: the child's place is taken, and its workers are starting.
    pub(crate) fn child_starts(&self, child: usize, generation: u32, workers: usize, now: Moment) {
        let record = &self.children()[child];
        record.generation.store(generation, Relaxed);
        for counter in [&record.accepted, &record.wakeups_wasted, &record.loop_waited_ms] {
            counter.store(0, Relaxed);
        }
        record.loop_waits_since_ms.store(0, Relaxed);
        self.clear_gauges(child);
        for slot in &self.slots(child)[..workers] {
            slot.generation.store(generation, Relaxed);
            slot.requests_here.store(0, Relaxed);
            slot.set_state(State::Starting, now);
        }
    }

    /// After the reap: nobody is here any more.
    pub(crate) fn child_ended(&self, child: usize, now: Moment) {
        self.children()[child].pid.store(0, Relaxed);
        self.clear_gauges(child);
        for (slot, detail) in self.slots(child).iter().zip(self.details(child)) {
            slot.set_state(State::Dead, now);
            seqlock::repair(&detail.sequence);
        }
    }

    fn clear_gauges(&self, child: usize) {
        let record = &self.children()[child];
        for gauge in [
            &record.finishing,
            &record.retiring,
            &record.not_accepting,
            &record.connections,
            &record.parked_request,
            &record.parked_response,
            &record.parked_idle,
            &record.parked_linger,
            &record.jobs,
            &record.at_gate,
        ] {
            gauge.store(0, Relaxed);
        }
    }
}

/// What a worker is busy with, as it wrote it itself: cut to size, and not escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The client's address.
    pub client: String,
    /// The virtual host.
    pub host: String,
    /// The request line.
    pub request: String,
}

/// The right to write one slot.
#[derive(Clone, Copy)]
pub struct SlotWriter<'a> {
    slot: &'a Slot,
    detail: &'a Detail,
}

impl SlotWriter<'_> {
    /// The worker has started.
    pub(crate) fn started(&self, generation: u32, now: Moment) {
        self.slot.pid.store(i32::try_from(std::process::id()).unwrap_or(0), Relaxed);
        self.slot.tid.store(nix::unistd::gettid().as_raw(), Relaxed);
        self.slot.generation.store(generation, Relaxed);
        self.slot.set_state(State::Ready, now);
    }

    /// The worker does something else now.
    pub fn set_state(&self, state: State, now: Moment) {
        self.slot.set_state(state, now);
    }

    /// One more request was answered, with so many bytes sent.
    pub fn count_request(&self, bytes: u64) {
        // One writer, so load and store suffice: a locked addition would cost more and protect from nobody.
        add(&self.slot.requests, 1);
        add(&self.slot.requests_here, 1);
        add(&self.slot.bytes, bytes);
    }

    pub(crate) fn count_connection(&self) {
        add(&self.slot.connections, 1);
    }

    /// Says in words what the worker is busy with. Texts are cut to 47, 63 and 135 bytes.
    pub fn describe(&self, client: &[u8], host: &[u8], request: &[u8]) {
        let mut bytes = [0_u8; DETAIL_WORDS * 8];
        let mut start = 0;
        for (text, width) in [client, host, request].into_iter().zip(DETAIL_FIELDS) {
            let length = text.len().min(width - 1);
            bytes[start] = u8::try_from(length).unwrap_or(0);
            bytes[start + 1..][..length].copy_from_slice(&text[..length]);
            start += width;
        }
        let (chunks, _rest) = bytes.as_chunks::<8>();
        seqlock::write(&self.detail.sequence, &self.detail.words, |index| {
            u64::from_le_bytes(chunks[index])
        });
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Sizes of the layout: bounded by the scoreboard's limits, which are far below 2^32.
fn small(size: usize) -> u32 {
    u32::try_from(size).expect("the scoreboard is smaller than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Scoreboard {
        Scoreboard::create(None, 3, 2).unwrap()
    }

    #[test]
    fn every_area_is_found_by_its_name_and_none_overlap() {
        let board = board();
        let header: &Header = board.mapping.get(0).unwrap();
        assert_eq!(header.magic.load(Acquire), MAGIC);
        let mut end = size_of::<Header>() as u64;
        for area in &header.areas[..header.area_count.load(Relaxed) as usize] {
            assert!(area.offset.load(Relaxed) >= end);
            let bytes = u64::from(area.stride.load(Relaxed)) * u64::from(area.count.load(Relaxed));
            end = area.offset.load(Relaxed) + bytes;
        }
        assert!(end <= board.mapping.len() as u64);
    }

    #[test]
    fn a_description_is_cut_and_read_back() {
        let board = board();
        let long = [b'x'; 300];
        board.writer(1, 1).describe(b"127.0.0.1", b"example.org:80", &long);
        let read = board.description(1, 1).unwrap();
        assert_eq!(read.client, "127.0.0.1");
        assert_eq!(read.host, "example.org:80");
        assert_eq!(read.request, "x".repeat(135));
        assert_eq!(board.description(1, 0).unwrap(), Description::default());
    }

    #[test]
    fn a_writer_that_died_half_way_is_repaired_by_the_supervisor() {
        let board = board();
        board.details(0)[0].sequence.store(7, Relaxed);
        assert_eq!(board.description(0, 0), None);
        board.child_ended(0, Moment::now());
        assert!(board.description(0, 0).is_some());
    }

    #[test]
    fn states_print_as_apaches_letters() {
        let letters: String = State::ALL.iter().map(|state| state.letter()).collect();
        assert_eq!(letters, ".S_RWKLDCGI");
        assert_eq!(State::from_byte(0), State::Dead);
        assert_eq!(State::from_byte(b'?'), State::Dead);
    }

    #[test]
    fn a_stale_file_is_replaced_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        std::fs::write(&path, b"of a former server").unwrap();
        let board = Scoreboard::create(Some(&path), 1, 1).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(metadata.len(), board.mapping.len() as u64);
    }
}
