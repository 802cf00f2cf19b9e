//! What there is to tell: the scoreboard at one moment, with what the kernel knows.

use std::time::Duration;

use herdgate_mpm::Model;
use herdgate_mpm::scoreboard::State;
use herdgate_mpm::scoreboard::reader::{Child, Slot, Snapshot};

use crate::log::{LogClock, Moment};
use crate::proc::Stat;
use crate::request::Request;

/// Everything that the pages tell.
pub(super) struct Look {
    pub(super) snapshot: Snapshot,
    /// The server as the client calls it.
    pub(super) name: String,
    /// Our end's address.
    pub(super) ip: String,
    pub(super) version: String,
    /// When the program was built or installed.
    pub(super) built: String,
    pub(super) now: String,
    pub(super) restarted: String,
    pub(super) uptime: Duration,
    /// Of the last 1, 5 and 15 minutes; -1 if unknown.
    pub(super) load: [f64; 3],
    pub(super) extended: bool,
    /// Requests beyond `ClientMaxRequestRate`, where there is one.
    pub(super) refused: Option<u64>,
    /// Of all processes that live, with that of those that were reaped.
    pub(super) cpu: Stat,
    /// What children give up.
    pub(super) sandbox: String,
    /// Foot of the page.
    pub(super) signature: Vec<u8>,
}

/// Workers by whether they work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Workers {
    pub(super) busy: u32,
    pub(super) graceful: u32,
    pub(super) idle: u32,
}

/// All slots' counters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) bytes: u64,
    pub(super) taken: Duration,
}

impl Look {
    pub(super) fn of(snapshot: Snapshot, request: &Request<'_>) -> Self {
        let clock = LogClock::default();
        let at = |secs: i64, pattern| {
            clock.local(Moment { secs, nanos: 0 }).strftime(pattern).to_string()
        };
        let time = |secs| at(secs, "%A, %d-%b-%Y %H:%M:%S %Z");
        let now = request.now().secs;
        let restarted = i64::try_from(snapshot.server.restarted_unix_secs).unwrap_or(now);
        let limits = request.server.config.limits_clients();
        let uptime = Duration::from_secs(u64::try_from(now - restarted).unwrap_or(0));
        Self {
            name: request.names().host.into_owned(),
            ip: request.local().ip().to_canonical().to_string(),
            version: format!("Herdgate/{} (Linux)", env!("CARGO_PKG_VERSION")),
            built: built().map(|secs| at(secs, "%Y-%m-%dT%H:%M:%S")).unwrap_or_default(),
            now: time(now),
            restarted: time(restarted),
            uptime,
            load: load().unwrap_or([-1.0; 3]),
            extended: request.server.config.server.extended_status,
            refused: limits.then(|| snapshot.requests_refused()),
            cpu: cpu(&snapshot),
            sandbox: request.server.sandbox.to_string(),
            signature: request.signature(),
            snapshot,
        }
    }

    /// The children that there are.
    pub(super) fn children(&self) -> impl Iterator<Item = &Child> {
        self.snapshot.children.iter().filter(|child| child.is_present())
    }

    pub(super) fn is_event(&self) -> bool {
        self.snapshot.server.model == Some(Model::Event)
    }

    pub(super) fn model(&self) -> String {
        self.snapshot.server.model.map(|model| model.to_string()).unwrap_or_default()
    }

    /// The slots that are workers.
    pub(super) fn workers_of<'c>(&self, child: &'c Child) -> &'c [Slot] {
        workers_of(&self.snapshot, child)
    }

    /// How the workers of a child stand.
    pub(super) fn workers(&self, child: &Child) -> Workers {
        workers(&self.snapshot, child)
    }

    /// Those of all children that do not finish.
    pub(super) fn all_workers(&self) -> Workers {
        all_workers(&self.snapshot)
    }

    pub(super) fn totals(&self) -> Totals {
        let slots = self.snapshot.children.iter().flat_map(|child| &child.slots);
        slots.fold(Totals::default(), |all, slot| Totals {
            requests: all.requests + slot.requests,
            bytes: all.bytes + slot.bytes,
            taken: all.taken + slot.taken,
        })
    }

    /// The letters of all workers, child by child, and a dot for each that there could be.
    pub(super) fn letters(&self) -> String {
        let server = &self.snapshot.server;
        let slots = self.children().flat_map(|child| self.workers_of(child));
        let mut letters: String = slots.map(|slot| slot.state.letter()).collect();
        let places = server.children_max as usize * server.threads_per_child as usize;
        let free = places.saturating_sub(letters.len());
        letters.extend(std::iter::repeat_n(State::Dead.letter(), free));
        letters
    }

    /// CPU time as a share of one CPU since the start, in percent; `None` if there was none to speak of.
    pub(super) fn cpu_load(&self) -> Option<f64> {
        let Stat { user, system, children_user, children_system, .. } = self.cpu;
        let used = (user + system + children_user + children_system).as_secs_f64();
        let uptime = self.uptime.as_secs_f64();
        (used > 0.0 && uptime > 0.0).then(|| used / uptime * 100.0)
    }
}

/// The slots that are workers: event's loop has the last one, and is none.
fn workers_of<'c>(snapshot: &Snapshot, child: &'c Child) -> &'c [Slot] {
    let workers = match child.slots.split_last() {
        Some((_, workers)) if snapshot.server.model == Some(Model::Event) => workers,
        _ => &child.slots,
    };
    let told = snapshot.server.threads_per_child as usize;
    let seen = workers.iter().rposition(|slot| slot.state != State::Dead).map_or(0, |at| at + 1);
    &workers[..told.max(seen).min(workers.len())]
}

fn workers(snapshot: &Snapshot, child: &Child) -> Workers {
    let mut workers = Workers::default();
    for slot in workers_of(snapshot, child) {
        match slot.state {
            State::Ready if slot.generation == snapshot.server.generation => workers.idle += 1,
            State::Dead | State::Starting | State::Retiring => {}
            State::Graceful => workers.graceful += 1,
            State::Ready
            | State::Reading
            | State::Writing
            | State::KeepAlive
            | State::Logging
            | State::Dns
            | State::Closing => workers.busy += 1,
        }
    }
    workers
}

pub(super) fn all_workers(snapshot: &Snapshot) -> Workers {
    let there = snapshot.children.iter().filter(|child| child.is_present() && !is_stopping(child));
    there.map(|child| workers(snapshot, child)).fold(Workers::default(), |a, b| Workers {
        busy: a.busy + b.busy,
        graceful: a.graceful + b.graceful,
        idle: a.idle + b.idle,
    })
}

/// Whether it takes nothing new any more.
pub(super) fn is_stopping(child: &Child) -> bool {
    child.finishing || child.retiring
}

/// Of the supervisor and its children.
fn cpu(snapshot: &Snapshot) -> Stat {
    let supervisor = Stat::of(snapshot.server.pid).unwrap_or_default();
    let pids = snapshot.children.iter().filter(|child| child.is_present()).map(|child| child.pid);
    let of_children = pids.filter(|pid| *pid != snapshot.server.pid).filter_map(Stat::of);
    of_children.fold(supervisor, |all, child| Stat {
        user: all.user + child.user,
        system: all.system + child.system,
        ..all
    })
}

/// proc_loadavg(5)
fn load() -> Option<[f64; 3]> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let mut numbers = text.split(' ').map(|word| word.parse::<f64>().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// When this very program was written to the disk, in seconds since 1970.
fn built() -> Option<i64> {
    let modified = std::fs::metadata("/proc/self/exe").ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// ` 1 day 2 hours 3 minutes 4 seconds`; what is zero is left out.
pub(super) fn in_words(time: Duration) -> String {
    let secs = time.as_secs();
    let parts = [
        (secs / 86_400, "day"),
        (secs / 3600 % 24, "hour"),
        (secs / 60 % 60, "minute"),
        (secs % 60, "second"),
    ];
    let word = |(number, unit): (u64, &str)| {
        let plural = if number == 1 { "" } else { "s" };
        format!(" {number} {unit}{plural}")
    };
    parts.into_iter().filter(|(number, _)| *number > 0).map(word).collect()
}

/// A number as Apache's `%g` writes it: six significant digits, no zeros at either end.
pub(super) fn general(number: f64) -> String {
    significant(number, 6)
}

/// A number as Apache's `%.Ng` writes it.
pub(super) fn significant(number: f64, digits: i32) -> String {
    if number == 0.0 || !number.is_finite() {
        return "0".to_owned();
    }
    let digits_usize = usize::try_from(digits - 1).unwrap_or(0);
    let scientific = format!("{number:.digits_usize$e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits).contains(&exponent) {
        let decimals = usize::try_from(digits - 1 - exponent).unwrap_or(0);
        let text = format!("{number:.decimals$}");
        let text = without_zeros(&text);
        return text.strip_prefix('0').filter(|rest| !rest.is_empty()).unwrap_or(text).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_apache_writes_them() {
        for (number, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, ".25"),
            (0.000_123_456_789, ".000123457"),
            (0.000_012_345, "1.2345e-05"),
            (123_456.7, "123457"),
            (1_234_567.0, "1.23457e+06"),
            (99.999_999, "100"),
        ] {
            assert_eq!(general(number), expected);
        }
        assert_eq!(significant(12.3456, 3), "12.3");
        assert_eq!(significant(1234.0, 3), "1.23e+03");
    }

    #[test]
    fn times_are_told_in_words() {
        assert_eq!(in_words(Duration::from_secs(0)), "");
        assert_eq!(in_words(Duration::from_secs(61)), " 1 minute 1 second");
        assert_eq!(in_words(Duration::from_secs(2 * 86_400 + 7200)), " 2 days 2 hours");
    }
}
