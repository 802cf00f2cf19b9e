//! # The scoreboard: who does what, in memory that everybody sees
//!
//! ```text
//!   ┌ Header ──────────┬ global ─┬ child 0 … C-1 ─┬ slot 0 … C×W-1 ─┬ detail 0 … C×W-1 ─┬ gate 0 … C-1 ─┐
//!   │ magic, version,  │ 1 Global│ ChildRecord    │ Slot, a cache   │ Detail, under a   │ GateRecord    │
//!   │ table of areas   │         │ each           │ line each       │ seqlock each      │ each          │
//!   └──────────────────┴─────────┴────────────────┴─────────────────┴───────────────────┴───────────────┘
//!      an area is {name, offset, stride, count, version}: a reader finds by name what it knows, and skips the rest
//! ```
//!
//! - One writer at a time for each record: the supervisor before the fork and after the reap, its worker between.
//! - Readers take no lock and block nobody. Counters are relaxed atomics; strings are under a seqlock.
//! - Nothing here is trusted by the supervisor: pids and generations that it acts on are in its own memory
//!   (a child that could name a pid for root to signal was CVE-2019-0211).
//! - The file is created anew, mode 0600, and fully allocated, so that a full disk is an error at start and no SIGBUS later.

#[cfg(test)]
mod layout_tests;
mod life;
pub mod reader;
mod seqlock;

use std::io;
use std::path::Path;
use std::sync::atomic::{
    AtomicI32, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use herdgate_sys as sys;
use sys::shared::SharedMapping;

use crate::gate::waits;
use crate::{Moment, Phase, Settings};

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
        /// 1: the server stops gracefully, and no new generation follows.
        pub stopping: AtomicU32,
        /// When the supervisor looked around last, in milliseconds of the coarse monotonic clock: at least once a
        /// second while it is well.
        pub beat_ms: AtomicU64,
        /// When the supervisor's process began, in clock ticks since the machine's start (/proc/PID/stat, field 22):
        /// tells it from another process that was given its id.
        pub start_ticks: AtomicU64,
        /// The machine's present life: the first 8 bytes of the kernel's boot id.
        pub boot: AtomicU64,
        /// The inode of the supervisor's pid namespace (/proc/self/ns/pid): elsewhere its pid means nothing.
        pub pid_namespace: AtomicU64,
        /// A [`Stage`] as a number.
        pub stage: AtomicU32,
        /// Workers of each child; the slots beyond are for a later generation with more.
        pub threads_per_child: AtomicU32,
        /// The most children that may take new connections.
        pub children_max: AtomicU32,
        /// Connections that wait in the kernel's queues, of all listeners together, as of the last beat.
        pub queue_waiting: AtomicU32,
        /// How many of them the kernel would let wait.
        pub queue_limit: AtomicU32,
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
        /// CPU time of the present worker, in hundredths of a second, as of [`cpu_noted_secs`](Self::cpu_noted_secs).
        pub cpu_centisecs: AtomicU32,
        /// The second of the coarse monotonic clock in which the worker looked at its CPU time last.
        pub cpu_noted_secs: AtomicU32,
    }
}
const _: () = assert!(size_of::<Slot>() == 64, "the picture above draws one slot per cache line");

sys::shared! {
    /// What a worker is busy with, in words. Read and written through a seqlock, see [`SlotWriter::describe`].
    #[repr(C, align(64))]
    pub struct Detail {
        /// Odd while the words are being written.
        pub sequence: AtomicU64,
        /// When the request had been read, in milliseconds of the coarse monotonic clock; then three texts, each with
        /// its length in the first byte: client (48 bytes), host (64), request (128).
        pub words: [AtomicU64; DETAIL_WORDS],
    }
}
const DETAIL_WORDS: usize = 31;
const DETAIL_FIELDS: [usize; 3] = [48, 64, 128];
const _: () = assert!(size_of::<Detail>() == 256, "four cache lines");
const _: () =
    assert!(8 + DETAIL_FIELDS[0] + DETAIL_FIELDS[1] + DETAIL_FIELDS[2] == DETAIL_WORDS * 8);

/// Words about the server as a whole, each a record like [`Detail`]: its name as the client, its text as the request.
/// Written by the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// What stands before accept.
    Gate = 0,
    /// Where it listens.
    Listen = 1,
}
/// Room for labels.
const LABELS: usize = 4;

impl Label {
    fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Listen => "listen",
        }
    }
}

impl Detail {
    fn write(&self, since_ms: u64, client: &[u8], host: &[u8], request: &[u8]) {
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

/// How far a server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Nobody serves yet.
    Starting = 0,
    /// It serves.
    Serving = 1,
    /// It finishes what it has, and takes nothing new.
    Finishing = 2,
    /// It has ended as it should.
    Over = 3,
}

impl Stage {
    fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Starting,
            2 => Self::Finishing,
            3 => Self::Over,
            _ => Self::Serving, // What a later version may add between start and end.
        }
    }
}

sys::shared! {
    /// How one child fares at the gate. Written by its thread that goes there.
    #[repr(C, align(64))]
    pub struct GateRecord {
        /// Times that it went in.
        pub acquisitions: AtomicU64,
        /// Times that somebody was in the way, so that it had to wait.
        pub contended: AtomicU64,
        /// Times that it found the gate left open by somebody who had died inside.
        pub after_death: AtomicU64,
        /// All that it waited, in microseconds.
        pub waited_micros: AtomicU64,
        /// Waits by length: see [`waits`].
        pub waits: [AtomicU64; waits::BUCKETS],
    }
}

impl GateRecord {
    /// It went in at once.
    pub(crate) fn entered(&self) {
        add(&self.acquisitions, 1);
    }

    /// It went in after a wait.
    pub(crate) fn entered_after(&self, wait: Duration) {
        self.entered();
        add(&self.contended, 1);
        add(&self.waited_micros, u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
        add(&self.waits[waits::bucket(wait)], 1);
    }

    fn clear(&self) {
        let counters =
            [&self.acquisitions, &self.contended, &self.after_death, &self.waited_micros];
        for counter in counters.into_iter().chain(&self.waits) {
            counter.store(0, Relaxed);
        }
    }
}

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
    gates: usize,
    labels: usize,
    total: usize,
}

impl Layout {
    fn new(children: usize, slots: usize) -> Self {
        let global = size_of::<Header>().next_multiple_of(ALIGN);
        let children_at = global + size_of::<Global>();
        let slots_at = children_at + children * size_of::<ChildRecord>();
        let details = slots_at + slots * size_of::<Slot>();
        let gates = details + slots * size_of::<Detail>();
        let labels = gates + children * size_of::<GateRecord>();
        let total = labels + LABELS * size_of::<Detail>();
        Self { global, children: children_at, slots: slots_at, details, gates, labels, total }
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
                remove_stale(path).map_err(at(path))?;
                SharedMapping::create(path, layout.total).map_err(at(path))?
            }
            None => SharedMapping::anonymous(layout.total)?,
        };
        let board = Self { mapping, children, slots_per_child, layout };
        board.write_header(slots);
        Ok(board)
    }

    fn write_header(&self, slots: usize) {
        let header: &Header = self.mapping.get(0).expect("the mapping begins with its header");
        let areas: [(&str, usize, usize, usize); 6] = [
            ("global", self.layout.global, size_of::<Global>(), 1),
            ("child", self.layout.children, size_of::<ChildRecord>(), self.children),
            ("slot", self.layout.slots, size_of::<Slot>(), slots),
            ("detail", self.layout.details, size_of::<Detail>(), slots),
            ("gate", self.layout.gates, size_of::<GateRecord>(), self.children),
            ("label", self.layout.labels, size_of::<Detail>(), LABELS),
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

    /// How all children fare at the gate.
    #[must_use]
    pub fn gates(&self) -> &[GateRecord] {
        self.mapping.slice(self.layout.gates, self.children).expect("laid out at creation")
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

    /// Says something about the server that numbers cannot: a text, cut to 127 bytes.
    pub(crate) fn set_label(&self, label: Label, text: &str) {
        let all: &[Detail] =
            self.mapping.slice(self.layout.labels, LABELS).expect("laid out at creation");
        all[label as usize].write(0, label.name().as_bytes(), b"", text.as_bytes());
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
        let words = seqlock::read(&detail.sequence, |index| detail.words[index].load(Relaxed))?;
        Some(Description::from_words(&words))
    }

    /// The pen of the worker in this slot. There must be one at a time: the supervisor's before fork and after
    /// reap, the worker's between.
    #[must_use]
    pub fn writer(&self, child: usize, worker: usize) -> SlotWriter<'_> {
        SlotWriter { slot: &self.slots(child)[worker], detail: &self.details(child)[worker] }
    }

    /// The supervisor, this very process, introduces itself.
    pub(crate) fn server_starts(&self, settings: &Settings, started_unix_secs: u64) {
        let global = self.global();
        let pid = sys::Pid::this().as_raw();
        global.pid.store(pid, Relaxed);
        global.start_ticks.store(life::start_ticks(pid).unwrap_or(0), Relaxed);
        global.boot.store(life::boot(), Relaxed);
        global.pid_namespace.store(life::pid_namespace(), Relaxed);
        global.model.store(settings.model as u32, Relaxed);
        global.slots_per_child.store(settings.slots_per_child(), Relaxed);
        global.started_unix_secs.store(started_unix_secs, Relaxed);
        self.beat(Moment::now());
    }

    /// The supervisor looks around.
    pub(crate) fn beat(&self, now: Moment) {
        self.global().beat_ms.store(now.millis(), Relaxed);
    }

    /// How far the server is.
    pub(crate) fn set_stage(&self, stage: Stage) {
        self.global().stage.store(stage as u32, Relaxed);
    }

    /// The server has ended as it should: nobody needs its file any more. A crash leaves it behind, to be read.
    pub(crate) fn retire_file(&self) {
        self.set_stage(Stage::Over);
        let Some(path) = self.mapping.path() else { return };
        // A successor may have put its own in the same place already: it was started while we finished.
        let global = self.global();
        let ours = reader::Reader::open(path).map(|file| file.server()).is_ok_and(|server| {
            server.pid == global.pid.load(Relaxed)
                && server.start_ticks == global.start_ticks.load(Relaxed)
        });
        if ours {
            let _ = std::fs::remove_file(path); // Left behind, it is replaced at the next start.
        }
    }

    /// Before the fork: the child's place is taken, and its workers are starting.
    pub(crate) fn child_starts(&self, child: usize, generation: u32, workers: usize, now: Moment) {
        let record = &self.children()[child];
        record.generation.store(generation, Relaxed);
        for counter in [&record.accepted, &record.wakeups_wasted, &record.loop_waited_ms] {
            counter.store(0, Relaxed);
        }
        record.loop_waits_since_ms.store(0, Relaxed);
        self.gates()[child].clear();
        self.clear_gauges(child);
        for slot in &self.slots(child)[..workers] {
            slot.generation.store(generation, Relaxed);
            slot.requests_here.store(0, Relaxed);
            slot.cpu_centisecs.store(0, Relaxed);
            slot.set_state(State::Starting, now);
        }
    }

    /// After the reap: nobody is here any more.
    pub(crate) fn child_ended(&self, child: usize, now: Moment) {
        self.children()[child].pid.store(0, Relaxed);
        self.clear_gauges(child);
        for (slot, detail) in self.slots(child).iter().zip(self.details(child)) {
            slot.set_state(State::Dead, now);
            seqlock::repair(&detail.sequence, &detail.words);
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
    fn from_words(words: &[u64; DETAIL_WORDS]) -> Self {
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

/// The right to write one slot.
#[derive(Clone, Copy)]
pub struct SlotWriter<'a> {
    slot: &'a Slot,
    detail: &'a Detail,
}

/// What one worker has said, for another one to say again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words([u64; DETAIL_WORDS]);

impl SlotWriter<'_> {
    /// The worker has started.
    pub(crate) fn started(&self, generation: u32, now: Moment) {
        self.slot.pid.store(i32::try_from(std::process::id()).unwrap_or(0), Relaxed);
        self.slot.tid.store(nix::unistd::gettid().as_raw(), Relaxed);
        self.slot.generation.store(generation, Relaxed);
        self.slot.set_state(State::Ready, now);
    }

    /// The worker does something else now. Said by the worker itself, whose CPU time is noted along the way.
    pub fn set_state(&self, state: State, now: Moment) {
        self.slot.set_state(state, now);
        self.note_cpu(now);
    }

    /// Looks at the thread's CPU time, which is a system call, and so at most once in each second in which the worker
    /// does anything at all.
    fn note_cpu(&self, now: Moment) {
        let secs = u32::try_from(now.millis() / 1000).unwrap_or(u32::MAX);
        if self.slot.cpu_noted_secs.load(Relaxed) != secs {
            let centisecs = sys::clock::thread_cpu().as_millis() / 10;
            self.slot.cpu_centisecs.store(u32::try_from(centisecs).unwrap_or(u32::MAX), Relaxed);
            self.slot.cpu_noted_secs.store(secs, Relaxed);
        }
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

    /// Says in words what the worker is busy with from now on. Texts are cut to 47, 63 and 127 bytes. No allocation,
    /// no system call: some forty stores into the worker's own cache lines.
    pub fn describe(&self, now: Moment, client: &[u8], host: &[u8], request: &[u8]) {
        self.detail.write(now.millis(), client, host, request);
    }

    /// What this worker, the caller, has said last; `None` if nothing.
    pub(crate) fn words(&self) -> Option<Box<Words>> {
        let words = self.detail.words.each_ref().map(|word| word.load(Relaxed)); // Its own: no seqlock.
        (words[0] != 0).then(|| Box::new(Words(words)))
    }

    /// Says what another worker has said, whose request this one goes on with.
    pub(crate) fn repeat(&self, words: &Words) {
        seqlock::write(&self.detail.sequence, &self.detail.words, |index| words.0[index]);
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// Removes what a former server has left, and nothing else: a slip in a configuration must not cost a document.
fn remove_stale(path: &Path) -> io::Result<()> {
    match reader::Reader::open(path) {
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => return Ok(()),
        Err(error) if error.is_something_else() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, error.to_string()));
        }
        Ok(_) | Err(_) => {}
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
        drop(Scoreboard::create(Some(&path), 3, 3).unwrap());
        let board = Scoreboard::create(Some(&path), 1, 1).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(metadata.len(), board.mapping.len() as u64);
    }

    #[test]
    fn what_is_no_scoreboard_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        std::fs::write(&path, b"precious").unwrap();
        let error = Scoreboard::create(Some(&path), 1, 1).unwrap_err().to_string();
        assert!(error.contains("passwords") && error.contains("not a scoreboard"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_file_is_removed_at_the_end_unless_a_successor_has_put_its_own_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scoreboard");
        let settings = Settings::new(crate::Model::Event);
        let board = Scoreboard::create(Some(&path), 1, 1).unwrap();
        board.server_starts(&settings, 0);
        let successor = Scoreboard::create(Some(&path), 1, 1).unwrap();
        successor.global().pid.store(1, Relaxed);
        board.retire_file();
        assert!(path.exists(), "the successor's");
        successor.server_starts(&settings, 0);
        successor.retire_file();
        assert!(!path.exists());
    }

    #[test]
    fn cpu_time_is_looked_at_once_a_second() {
        let board = board();
        let writer = board.writer(0, 0);
        let at = |ms| Moment::from_start(std::time::Duration::from_millis(ms));
        let noted = || board.slots(0)[0].cpu_noted_secs.load(Relaxed);
        writer.set_state(State::Reading, at(5_100));
        assert_eq!(noted(), 5);
        board.slots(0)[0].cpu_centisecs.store(u32::MAX, Relaxed);
        writer.set_state(State::Writing, at(5_900));
        assert_eq!(board.slots(0)[0].cpu_centisecs.load(Relaxed), u32::MAX, "not looked at");
        writer.set_state(State::Ready, at(6_000));
        assert_ne!(board.slots(0)[0].cpu_centisecs.load(Relaxed), u32::MAX);
        assert_eq!(noted(), 6);
    }
}
