//! From records to plain values.

use std::mem::offset_of;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::super::detail::DETAIL_WORDS;
use super::super::slot::Slot as SlotRecord;
use super::super::{
    ChildRecord, Description, Detail, Ending, EndingRecord, Endings, GateRecord, Global,
    QueueRecord, Stage, State, seqlock,
};
use super::memory::{Memory, Place};
use super::table::{Record, Span, Table, field};
use super::values::{AtGate, Child, Gate, Parked, Queue, Server, Slot, Snapshot};
use crate::gate::waits;
use crate::{Model, Moment};

pub(super) fn snapshot<M: Memory>(memory: &M, table: &Table) -> Snapshot {
    let children = (0..table.children.count).filter_map(|place| child(memory, table, place));
    Snapshot {
        taken: Some(Moment::now()),
        server: server(memory, table),
        children: children.collect(),
        gate: label(memory, table, "gate"),
        listen: label(memory, table, "listen"),
        endings: endings(memory, table),
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

pub(super) fn server<M: Memory>(memory: &M, table: &Table) -> Server {
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
        queue_wait_ms: field!(global, Global.queue_wait_ms),
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
        requests_refused: field!(record, ChildRecord.requests_refused),
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
        queue: table.queues.record(memory, place).map(|record| queue(&record)),
        slots: slots.filter_map(|nth| slot(memory, table, nth)).collect(),
    })
}

fn gate<M: Memory>(record: &Record<'_, M>) -> Gate {
    Gate {
        acquisitions: field!(record, GateRecord.acquisitions),
        contended: field!(record, GateRecord.contended),
        after_death: field!(record, GateRecord.after_death),
        waited: Duration::from_micros(field!(record, GateRecord.waited_micros)),
        waits: waits(record, offset_of!(GateRecord, waits)),
    }
}

fn queue<M: Memory>(record: &Record<'_, M>) -> Queue {
    Queue {
        asked: field!(record, QueueRecord.asked),
        waited: Duration::from_micros(field!(record, QueueRecord.waited_micros)),
        waits: waits(record, offset_of!(QueueRecord, waits)),
    }
}

/// Of all slots together, those of free places included.
fn endings<M: Memory>(memory: &M, table: &Table) -> Endings {
    let mut all = Endings::default();
    for record in (0..table.endings.count).filter_map(|nth| table.endings.record(memory, nth)) {
        for ending in Ending::ALL {
            let offset =
                offset_of!(EndingRecord, counts) + ending as usize * size_of::<AtomicU64>();
            let count = record.load(offset, |record: &EndingRecord| &record.counts[0]);
            all.0[ending as usize] = all.0[ending as usize].wrapping_add(count);
        }
    }
    all
}

/// All buckets, which begin at `start`.
fn waits<M: Memory>(record: &Record<'_, M>, start: usize) -> Vec<u64> {
    type Buckets = [AtomicU64; waits::BUCKETS];
    (0..waits::BUCKETS)
        .map(|nth| start + nth * size_of::<AtomicU64>())
        .map(|offset| record.load(offset, |buckets: &Buckets| &buckets[0]))
        .collect()
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
        bytes_here: field!(record, SlotRecord.bytes_here),
        taken: Duration::from_micros(field!(record, SlotRecord.taken_micros)),
        latest: Duration::from_micros(field!(record, SlotRecord.latest_micros)),
        connection_requests: field!(record, SlotRecord.connection_requests),
        connection_bytes: field!(record, SlotRecord.connection_bytes),
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

fn moment(ms: u64) -> Moment {
    Moment::from_start(Duration::from_millis(ms))
}
