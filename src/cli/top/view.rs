//! From two looks at a scoreboard to what a person wants to know. Pure: what the kernel knows is passed in.
//!
//! - A rate is a difference of two looks, divided by the time between them.
//! - Counters of slots and children go on through all generations; one that went back belongs to another server, and
//!   counts as nothing.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use herdgate_mpm::Model;
use herdgate_mpm::scoreboard::State;
use herdgate_mpm::scoreboard::reader::{
    AtGate, Child, Description, Endings, Life, Parked, Server, Slot, Snapshot,
};

use super::gate::GateView;
use super::queue::QueueView;

/// One look: the scoreboard, and what the kernel knows about the processes that it names.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// The file.
    pub(super) path: PathBuf,
    /// When, on the wall's clock.
    pub(super) unix_secs: u64,
    /// Whether the server lives.
    pub(super) life: Life,
    /// What the scoreboard says.
    pub(super) snapshot: Snapshot,
    /// What the kernel says about each process, by pid.
    pub(super) processes: HashMap<i32, Process>,
}

/// What the kernel says about one process that lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    /// Resident memory, shared pages included, in bytes.
    pub(super) rss: u64,
    /// Memory with a share of what is shared, in bytes; only if asked for.
    pub(super) pss: Option<u64>,
    /// CPU time since its start.
    pub(super) cpu: Duration,
    /// When it began, in clock ticks since the machine's start.
    pub(super) began_ticks: u64,
}

/// What is shown.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The look that it comes from.
    pub(super) path: PathBuf,
    /// Whether the server lives.
    pub(super) life: Life,
    /// The server as a whole.
    pub(super) server: Server,
    /// Where it listens.
    pub(super) listen: String,
    /// Since its start; for a dead one, from there to its last sign of life.
    pub(super) uptime: Duration,
    /// For how long its supervisor has been silent.
    pub(super) silence: Option<Duration>,
    /// Counters since the start.
    pub(super) totals: Totals,
    /// Counters a second between the two looks.
    pub(super) rates: Option<Rates>,
    /// Workers by what they do.
    pub(super) workers: Workers,
    /// Connections by what they wait for: event.
    pub(super) parked: Parked,
    /// Jobs that run or wait: event.
    pub(super) jobs: u32,
    /// What happens before accept.
    pub(super) gate: GateView,
    /// Connections that wait to be accepted.
    pub(super) queue: QueueView,
    /// How connections ended since its start.
    pub(super) endings: Endings,
    /// Requests that came faster than their clients may ask.
    pub(super) refused: u64,
    /// Memory of all its processes, if they live.
    pub(super) memory: Option<u64>,
    /// The children that there are.
    pub(super) children: Vec<ChildView>,
}

/// Counters since the server's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Requests answered.
    pub(super) requests: u64,
    /// Connections served.
    pub(super) connections: u64,
    /// Bytes sent.
    pub(super) bytes: u64,
}

/// Counters a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Requests answered.
    pub(super) requests: f64,
    /// Connections served.
    pub(super) connections: f64,
    /// Bytes sent.
    pub(super) bytes: f64,
}

/// Workers by state, those of event's loops left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Workers {
    counts: Vec<(State, u32)>,
}

/// The order in which states are told: the work first, in the order of a request's life.
pub(super) const STATES: [State; 10] = [
    State::Reading,
    State::Writing,
    State::Logging,
    State::Dns,
    State::KeepAlive,
    State::Closing,
    State::Graceful,
    State::Retiring,
    State::Starting,
    State::Ready,
];

impl Workers {
    /// How many do this.
    pub(super) fn doing(&self, state: State) -> u32 {
        self.counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
    }

    /// All of them.
    pub(super) fn all(&self) -> u32 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Those who wait for work, or will in a moment.
    pub(super) fn idle(&self) -> u32 {
        self.doing(State::Ready) + self.doing(State::Starting)
    }

    /// Those who have some.
    pub(super) fn busy(&self) -> u32 {
        self.all() - self.idle()
    }

    /// What they do, in the order of [`STATES`], without what nobody does.
    pub(super) fn by_state(&self) -> impl Iterator<Item = (State, u32)> {
        STATES.into_iter().map(|state| (state, self.doing(state))).filter(|(_, count)| *count > 0)
    }

    fn add(&mut self, state: State) {
        if state == State::Dead {
            return;
        }
        match self.counts.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((state, 1)),
        }
    }
}

/// How a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It takes connections.
    Serving,
    /// It has no room for more.
    Full,
    /// It was told to finish, or finishes by itself.
    Finishing,
    /// Its process is gone, and nobody has cleaned up after it.
    Gone,
}

impl Standing {
    /// In a word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Full => "full",
            Self::Finishing => "finishing",
            Self::Gone => "gone",
        }
    }
}

/// One child.
#[derive(Clone, Debug)]
pub(super) struct ChildView {
    /// Its process.
    pub(super) pid: i32,
    /// Its generation.
    pub(super) generation: u32,
    /// How it stands.
    pub(super) standing: Standing,
    /// Its workers in their order.
    pub(super) states: Vec<State>,
    /// Event: the share of time that its loop did not wait, from 0 to 1.
    pub(super) loop_busy: Option<f64>,
    /// Connections that it holds.
    pub(super) connections: u32,
    /// Those of event, by what they wait for.
    pub(super) parked: Parked,
    /// Jobs that run or wait: event.
    pub(super) jobs: u32,
    /// Requests that its workers' slots have answered since the server's start.
    pub(super) requests: u64,
    /// Bytes sent, likewise.
    pub(super) bytes: u64,
    /// Connections that it has accepted.
    pub(super) accepted: u64,
    /// Times that it was woken for nothing.
    pub(super) wasted: u64,
    /// Requests a second.
    pub(super) request_rate: Option<f64>,
    /// Connections accepted a second.
    pub(super) accept_rate: Option<f64>,
    /// CPUs that it keeps busy.
    pub(super) cpu: Option<f64>,
    /// Its memory: with a share of what is shared if that was asked for, else all that is resident.
    pub(super) memory: Option<u64>,
    /// Where it is in front of accept.
    pub(super) at_gate: AtGate,
    /// What its workers have said that they do.
    pub(super) requests_told: Vec<Told>,
}

/// What a worker has said that it does, or did last.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// What it does now.
    pub(super) state: State,
    /// For how long.
    pub(super) state_for: Duration,
    /// Its thread.
    pub(super) tid: i32,
    /// Since the request had been read.
    pub(super) request_for: Duration,
    /// CPU time of the worker.
    pub(super) cpu: Duration,
    /// In words.
    pub(super) words: Description,
}

impl View {
    /// What `now` shows, with rates against `before`, if that is a look at the same server.
    pub(super) fn of(now: &Look, before: Option<&Look>) -> Self {
        let before = before.filter(|before| same_server(before, now));
        let present: Vec<&Child> =
            now.snapshot.children.iter().filter(|child| child.is_present()).collect();
        let children: Vec<ChildView> =
            present.iter().map(|child| child_view(child, now, before)).collect();
        let mut workers = Workers::default();
        children.iter().flat_map(|child| &child.states).for_each(|state| workers.add(*state));
        let totals = totals(&now.snapshot);
        let server = now.snapshot.server.clone();
        let since = |unix_secs: u64| Duration::from_secs(now.unix_secs.saturating_sub(unix_secs));
        let supervisor = now.processes.get(&server.pid).map(Process::memory);
        let silence = now.snapshot.taken.zip(server.beat).map(|(taken, beat)| taken.since(beat));
        let memory = children.iter().filter_map(|child| child.memory).chain(supervisor);
        Self {
            path: now.path.clone(),
            life: now.life,
            listen: now.snapshot.listen.clone(),
            uptime: match (now.life, silence) {
                (Life::Dead | Life::Over, Some(silence)) => {
                    since(server.started_unix_secs).saturating_sub(silence)
                }
                _ => since(server.started_unix_secs),
            },
            silence,
            totals,
            rates: before.and_then(|before| Rates::between(before, now, totals)),
            workers,
            parked: sum_parked(&children),
            jobs: children.iter().map(|child| child.jobs).sum(),
            gate: GateView::of(now, before),
            queue: QueueView::of(now, before),
            endings: now.snapshot.endings,
            refused: now.snapshot.requests_refused(),
            memory: memory.reduce(|a, b| a + b),
            server,
            children,
        }
    }

    /// Whether it is there to be asked.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.life, Life::Well | Life::Silent(_))
    }

    /// Event: its connections wait in loops, and its workers run jobs only.
    pub(super) fn is_event(&self) -> bool {
        self.server.model == Some(Model::Event)
    }

    /// Event: the mean share of time in which the loops did not wait.
    #[cfg(feature = "top")]
    #[expect(clippy::cast_precision_loss, reason = "children are few")]
    pub(super) fn loops_busy(&self) -> Option<f64> {
        let shares: Vec<f64> = self.children.iter().filter_map(|child| child.loop_busy).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// Connections that are held.
    pub(super) fn connections(&self) -> u32 {
        self.children.iter().map(|child| child.connections).sum()
    }
}

fn same_server(a: &Look, b: &Look) -> bool {
    let name = |look: &Look| (look.snapshot.server.pid, look.snapshot.server.start_ticks);
    name(a) == name(b)
}

fn elapsed(before: &Look, now: &Look) -> Option<f64> {
    let elapsed = now.snapshot.taken?.since(before.snapshot.taken?).as_secs_f64();
    (elapsed > 0.0).then_some(elapsed)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(before: u64, now: u64, secs: f64) -> f64 {
    now.saturating_sub(before) as f64 / secs
}

impl Rates {
    fn between(before: &Look, now: &Look, now_totals: Totals) -> Option<Self> {
        let secs = elapsed(before, now)?;
        let then = totals(&before.snapshot);
        Some(Self {
            requests: rate(then.requests, now_totals.requests, secs),
            connections: rate(then.connections, now_totals.connections, secs),
            bytes: rate(then.bytes, now_totals.bytes, secs),
        })
    }
}

impl Process {
    fn memory(&self) -> u64 {
        self.pss.unwrap_or(self.rss)
    }
}

/// Slots outlive their workers, so those of free places count.
pub(super) fn totals(snapshot: &Snapshot) -> Totals {
    let mut totals = Totals::default();
    for slot in snapshot.children.iter().flat_map(|child| &child.slots) {
        totals.requests += slot.requests;
        totals.connections += slot.connections;
        totals.bytes += slot.bytes;
    }
    totals
}

fn sum_parked(children: &[ChildView]) -> Parked {
    let mut sum = Parked::default();
    for child in children {
        sum.request += child.parked.request;
        sum.response += child.parked.response;
        sum.idle += child.parked.idle;
        sum.linger += child.parked.linger;
    }
    sum
}

fn child_view(child: &Child, now: &Look, before: Option<&Look>) -> ChildView {
    let event = now.snapshot.server.model == Some(Model::Event);
    // Event's loop has the last slot: it is no worker.
    let (workers, event_loop) = match child.slots.split_last() {
        Some((last, rest)) if event => (rest, Some(last)),
        _ => (&child.slots[..], None),
    };
    let told = now.snapshot.server.threads_per_child as usize;
    let seen = workers.iter().rposition(|slot| slot.state != State::Dead).map_or(0, |at| at + 1);
    let states: Vec<State> = workers.iter().take(told.max(seen)).map(|slot| slot.state).collect();
    let process = now.processes.get(&child.pid);
    let former = before.and_then(|before| {
        let children = &before.snapshot.children;
        let same = children.get(child.place).filter(|former| former.pid == child.pid)?;
        Some((same, before, elapsed(before, now)?))
    });
    let requests = requests(child);
    let busy = states.iter().filter(|state| is_at_work(**state)).count();
    ChildView {
        pid: child.pid,
        generation: child.generation,
        standing: standing(child, process.is_some() || is_elsewhere(now), now.life),
        loop_busy: event_loop.and_then(|_| {
            let (former, before, secs) = former?;
            let waited = child.loop_waited(now.snapshot.taken?);
            let waited = waited.saturating_sub(former.loop_waited(before.snapshot.taken?));
            Some((1.0 - waited.as_secs_f64() / secs).clamp(0.0, 1.0))
        }),
        connections: if event {
            child.connections
        } else {
            u32::try_from(busy).unwrap_or(u32::MAX)
        },
        states,
        parked: child.parked,
        jobs: child.jobs,
        requests,
        bytes: child.slots.iter().map(|slot| slot.bytes).sum(),
        accepted: child.accepted,
        wasted: child.wakeups_wasted,
        request_rate: former.map(|(former, _, secs)| rate(self::requests(former), requests, secs)),
        accept_rate: former.map(|(former, _, secs)| rate(former.accepted, child.accepted, secs)),
        cpu: former.and_then(|(_, before, secs)| {
            let used = process?.cpu.saturating_sub(before.processes.get(&child.pid)?.cpu);
            Some(used.as_secs_f64() / secs)
        }),
        memory: process.map(Process::memory),
        at_gate: child.at_gate,
        requests_told: child.slots.iter().filter_map(|slot| told_by(slot, now)).collect(),
    }
}

/// In another pid namespace we see no processes, and miss none.
fn is_elsewhere(look: &Look) -> bool {
    look.life != Life::Dead && !look.processes.contains_key(&look.snapshot.server.pid)
}

fn is_at_work(state: State) -> bool {
    matches!(
        state,
        State::Reading
            | State::Writing
            | State::KeepAlive
            | State::Logging
            | State::Dns
            | State::Closing
    )
}

fn standing(child: &Child, lives: bool, server: Life) -> Standing {
    // Children hear of their supervisor's death, and finish.
    let finishing = child.finishing || child.retiring || server == Life::Dead;
    match (lives, finishing, child.not_accepting) {
        (false, _, _) => Standing::Gone,
        (true, true, _) => Standing::Finishing,
        (true, false, true) => Standing::Full,
        (true, false, false) => Standing::Serving,
    }
}

fn requests(child: &Child) -> u64 {
    child.slots.iter().map(|slot| slot.requests).sum()
}

fn told_by(slot: &Slot, now: &Look) -> Option<Told> {
    let words = slot.description.clone()?;
    let taken = now.snapshot.taken?;
    let request_ms = taken.millis().saturating_sub(words.since_ms);
    Some(Told {
        state: slot.state,
        state_for: taken.since(slot.since),
        tid: slot.tid,
        request_for: Duration::from_millis(request_ms),
        cpu: slot.cpu,
        words,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use herdgate_mpm::Moment;
    use herdgate_mpm::gate::waits;
    use herdgate_mpm::scoreboard::reader::Queue;
    use herdgate_mpm::scoreboard::{Ending, Stage};

    use super::*;

    fn slot(state: State) -> Slot {
        Slot {
            state,
            pid: 0,
            tid: 7,
            generation: 1,
            since: Moment::from_start(Duration::from_secs(90)),
            requests: 0,
            bytes: 0,
            connections: 0,
            requests_here: 0,
            cpu: Duration::ZERO,
            bytes_here: 0,
            taken: Duration::ZERO,
            latest: Duration::ZERO,
            connection_requests: 0,
            connection_bytes: 0,
            description: None,
        }
    }

    /// Two children of two workers, one of them busy; the look of second `secs`.
    pub(crate) fn look(model: Model, secs: u64) -> Look {
        let mut busy = slot(State::Writing);
        busy.requests = 1000 + 50 * secs;
        busy.bytes = 2_000_000 * secs;
        busy.connections = 10 * secs;
        busy.description = Some(Description {
            since_ms: 98_000,
            client: "203.0.113.7".to_owned(),
            host: "www.example.org:80".to_owned(),
            request: "GET /\u{1b}[31mred HTTP/1.1".to_owned(),
        });
        let child = |place: usize, pid, slots: Vec<Slot>| Child {
            place,
            pid,
            generation: 1,
            accepted: 10 * secs,
            slots,
            ..Child::default()
        };
        let mut children = vec![
            child(0, 101, vec![busy, slot(State::Ready)]),
            child(1, 102, vec![slot(State::KeepAlive), slot(State::Ready)]),
            Child {
                place: 2,
                slots: vec![slot(State::Dead), slot(State::Dead)],
                ..Child::default()
            },
        ];
        if model == Model::Event {
            children.iter_mut().for_each(|child| child.slots.push(slot(State::Ready)));
            children[0].connections = 12;
            children[0].parked = Parked { request: 1, response: 2, idle: 8, linger: 1 };
            children[0].loop_waited_ms = 600 * secs;
        }
        children[1].finishing = true;
        children[0].requests_refused = 1000;
        // One in ten is asked, and has waited a little.
        let mut waits = vec![0; waits::BUCKETS];
        waits[waits::bucket(Duration::from_millis(12))] = secs;
        children[0].queue = Some(Queue { asked: secs, waits, ..Queue::default() });
        let server = Server {
            pid: 100,
            start_ticks: 5,
            stage: Stage::Serving,
            model: Some(model),
            generation: 1,
            threads_per_child: 2,
            started_unix_secs: 1_000_000,
            restarted_unix_secs: 1_000_000,
            beat: Some(Moment::from_start(Duration::from_secs(secs))),
            queue_waiting: 3,
            queue_limit: 511,
            ..Server::default()
        };
        let mut endings = Endings::default();
        endings.add(Ending::IdleTimeout);
        endings.add(Ending::RequestTimeout);
        endings.add(Ending::RequestTimeout);
        let process =
            |cpu| Process { rss: 10_000_000, cpu: Duration::from_secs(cpu), ..Process::default() };
        Look {
            path: PathBuf::from("/run/herdgate/test.scoreboard"),
            unix_secs: 1_000_000 + secs,
            life: Life::Well,
            snapshot: Snapshot {
                taken: Some(Moment::from_start(Duration::from_secs(secs))),
                server,
                children,
                gate: "exclusive".to_owned(),
                listen: "127.0.0.1:8080".to_owned(),
                endings,
            },
            processes: HashMap::from([(100, process(0)), (101, process(secs)), (102, process(0))]),
        }
    }

    #[test]
    fn rates_are_differences_by_time() {
        let view = View::of(&look(Model::Worker, 102), Some(&look(Model::Worker, 100)));
        let rates = view.rates.unwrap();
        assert_eq!((rates.requests, rates.connections, rates.bytes), (50.0, 10.0, 2_000_000.0));
        assert_eq!(view.children[0].request_rate, Some(50.0));
        assert_eq!(view.children[0].accept_rate, Some(10.0));
        assert_eq!(view.children[0].cpu, Some(1.0));
        assert_eq!(view.totals.requests, 1000 + 50 * 102);
        assert_eq!(View::of(&look(Model::Worker, 102), None).rates, None);
    }

    #[test]
    fn looks_at_two_servers_have_no_rates() {
        let mut before = look(Model::Worker, 100);
        before.snapshot.server.start_ticks = 4;
        assert_eq!(View::of(&look(Model::Worker, 102), Some(&before)).rates, None);
    }

    #[test]
    fn workers_are_counted_by_state_and_events_loop_is_none_of_them() {
        for model in [Model::Worker, Model::Event] {
            let view = View::of(&look(model, 100), None);
            let counts: String = view
                .workers
                .by_state()
                .map(|(state, n)| format!("{}{n}", state.letter()))
                .collect();
            assert_eq!(counts, "W1K1_2", "{model}");
            assert_eq!((view.workers.busy(), view.workers.idle()), (2, 2));
        }
    }

    #[test]
    fn events_loop_is_busy_when_it_does_not_wait() {
        let view = View::of(&look(Model::Event, 102), Some(&look(Model::Event, 100)));
        let share = view.children[0].loop_busy.unwrap();
        assert!((share - 0.4).abs() < 1e-9, "{share}");
        assert_eq!((view.connections(), view.parked.idle), (12, 8));
    }

    #[test]
    fn a_child_without_a_process_is_gone_unless_its_server_is_elsewhere() {
        let mut look = look(Model::Worker, 100);
        assert_eq!(View::of(&look, None).children[1].standing, Standing::Finishing);
        look.processes.remove(&102);
        assert_eq!(View::of(&look, None).children[1].standing, Standing::Gone);
        look.processes.clear();
        assert_eq!(View::of(&look, None).children[0].standing, Standing::Serving);
        look.life = Life::Dead;
        assert_eq!(View::of(&look, None).children[0].standing, Standing::Gone);
    }
}
