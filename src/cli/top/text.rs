//! `herdgate top --once`: the view as plain text, for people without a terminal and for scripts that grep.

use std::fmt::Write as _;
use std::time::Duration;

use herdgate_mpm::scoreboard::reader::AtGate;

use super::queue::{QueueView, Waits};
use super::view::{ChildView, View};
use super::words::{self, bytes, escaped, grouped, lasted, per_second, scaled};

/// All of it, line by line.
pub(super) fn render(view: &View) -> String {
    let mut out = String::new();
    let mut line = |label: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{label:<12} {text}");
    };
    line("server", server(view));
    line("scoreboard", escaped(&view.path.display().to_string()));
    if !view.listen.is_empty() {
        line("listening on", view.listen.clone());
    }
    let rate = |rate: Option<String>| rate.map_or(String::new(), |rate| format!("{rate}/s, "));
    let rates = view.rates;
    line(
        "requests",
        format!(
            "{}{} in all",
            rate(rates.map(|rates| per_second(rates.requests))),
            grouped(view.totals.requests)
        ),
    );
    line(
        "connections",
        format!(
            "{}{} in all, {} open",
            rate(rates.map(|rates| per_second(rates.connections))),
            grouped(view.totals.connections),
            grouped(view.connections().into())
        ),
    );
    line(
        "sent",
        format!(
            "{}{} in all",
            rate(rates.map(|rates| scaled(rates.bytes))),
            bytes(view.totals.bytes)
        ),
    );
    line("workers", workers(view));
    if view.is_event() {
        let parked = view.parked;
        line(
            "parked",
            format!(
                "{} request, {} response, {} keep-alive, {} closing, {} jobs",
                parked.request, parked.response, parked.idle, parked.linger, view.jobs
            ),
        );
    }
    line("gate", gate(view));
    line("queue", queue(&view.queue));
    line("ended", view.endings.to_string());
    if let Some(refused) = refused(view) {
        line("refused", refused);
    }
    if let Some(memory) = view.memory {
        line("memory", bytes(memory));
    }
    children(view, &mut out);
    requests(view, &mut out);
    out
}

fn server(view: &View) -> String {
    let server = &view.server;
    format!(
        "{}, {}, pid {}, generation {}, {} {}",
        words::life(view),
        words::model(view),
        server.pid,
        server.generation,
        if view.is_alive() { "up" } else { "after" },
        words::clock(view.uptime)
    )
}

fn workers(view: &View) -> String {
    let workers = &view.workers;
    let mut text = format!("{} busy, {} idle", workers.busy(), workers.idle());
    for (state, count) in workers.by_state() {
        let _ = write!(text, "  {} {count}", state.letter());
    }
    text
}

/// The gate in one line, and only what there is to say about it.
pub(super) fn gate(view: &View) -> String {
    let gate = &view.gate;
    let mut text = if gate.kind.is_empty() { "unknown".to_owned() } else { gate.kind.clone() };
    if gate.keeps_waiting() {
        let _ = write!(text, ", {} inside, {} waiting", gate.inside, gate.waiting);
    }
    let counts = gate.counts();
    if gate.keeps_waiting() && counts.acquisitions > 0 {
        let _ = write!(text, ", {} had to wait", percent(counts.contended, counts.acquisitions));
    }
    if counts.contended > 0 {
        let mean = counts.waited / u32::try_from(counts.contended).unwrap_or(u32::MAX);
        let _ = write!(text, " {}", briefly(mean));
    }
    let wakeups = counts.accepted + counts.wasted;
    if wakeups > 0 && (counts.wasted > 0 || !gate.keeps_waiting()) {
        let _ = write!(text, ", {} woken in vain", percent(counts.wasted, wakeups));
    }
    text
}

/// As [`lasted`], of what may be a matter of microseconds.
fn briefly(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        _ => lasted(time),
    }
}

/// How many wait, and for how long.
fn queue(queue: &QueueView) -> String {
    let mut text = match queue.limit {
        0 => "unknown".to_owned(),
        limit => format!("{} of {limit}", queue.waiting),
    };
    let told = |waits: Waits| {
        let [median, most, longest] =
            [waits.median, waits.percentile_99, waits.longest].map(lasted);
        format!("{median}, 99 % {most}, longest {longest}")
    };
    match (queue.lately, queue.by_length) {
        (Some(lately), _) => {
            let _ = write!(text, "; wait now {}", told(lately));
        }
        (None, Some(mean)) if !mean.is_zero() => {
            let _ = write!(text, "; wait now about {}", lasted(mean));
        }
        _ => {}
    }
    if let Some(ever) = queue.ever {
        let _ = write!(text, "; since the start {}", told(ever));
    }
    text
}

/// Requests that came too fast, if any did.
pub(super) fn refused(view: &View) -> Option<String> {
    (view.refused > 0).then(|| format!("{} requests too fast", grouped(view.refused)))
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn percent(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    if percent == 0.0 || percent >= 9.95 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

fn children(view: &View, out: &mut String) {
    let _ = writeln!(
        out,
        "\n{:>8} {:>4} {:<9} {:>5} {:>8} {:>8} {:>5} {:>8}  WORKERS",
        "PID", "GEN", "STANDING", "CONN", "REQ/S", "ACC/S", "CPU%", "MEMORY"
    );
    for child in &view.children {
        let letters: String = child.states.iter().map(|state| state.letter()).collect();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let _ = writeln!(
            out,
            "{:>8} {:>4} {:<9} {:>5} {:>8} {:>8} {:>5} {:>8}  {letters}{}",
            child.pid,
            child.generation,
            child.standing.word(),
            child.connections,
            or_dash(child.request_rate.map(per_second)),
            or_dash(child.accept_rate.map(per_second)),
            or_dash(child.cpu.map(|cpu| format!("{:.0}", cpu * 100.0))),
            or_dash(child.memory.map(bytes)),
            if view.gate.keeps_waiting() { at_gate(child) } else { "" },
        );
    }
}

fn at_gate(child: &ChildView) -> &'static str {
    match child.at_gate {
        AtGate::Away => "",
        AtGate::Waiting => " at the gate",
        AtGate::Inside => " inside the gate",
    }
}

fn requests(view: &View, out: &mut String) {
    let told = || view.children.iter().flat_map(|child| &child.requests_told);
    if told().next().is_none() {
        return;
    }
    let _ = writeln!(out, "\n{:>8} ST {:>9} {:<15} {:<20} REQUEST", "TID", "AGO", "CLIENT", "HOST");
    for told in told() {
        let _ = writeln!(
            out,
            "{:>8} {:<2} {:>9} {:<15} {:<20} {}",
            told.tid,
            told.state.letter(),
            lasted(told.request_for),
            escaped(&told.words.client),
            escaped(&told.words.host),
            escaped(&told.words.request),
        );
    }
}

#[cfg(test)]
mod tests {
    use herdgate_mpm::Model;
    use herdgate_mpm::scoreboard::reader::Life;

    use super::super::view::tests::look;
    use super::*;

    #[test]
    fn everything_is_told_in_lines() {
        let view = View::of(&look(Model::Event, 102), Some(&look(Model::Event, 100)));
        let text = render(&view);
        for line in [
            "server       serving, event, pid 100, generation 1, up 01:42",
            "requests     50/s, 6,100 in all",
            "connections  10/s, 1,020 in all, 12 open",
            "sent         2.0 MB/s, 204 MB in all",
            "workers      2 busy, 2 idle  W 1  K 1  _ 2",
            "parked       1 request, 2 response, 8 keep-alive, 1 closing, 0 jobs",
            "gate         exclusive, 0 % woken in vain",
            "queue        3 of 511; wait now 10 ms, 99 % 10 ms, longest 10 ms; \
             since the start 10 ms, 99 % 10 ms, longest 10 ms",
            "ended        2 request timeout, 1 idle timeout",
            "refused      1,000 requests too fast",
            "     101    1 serving      12       50       10   100  10.0 MB  W_",
            "       7 W      4.0 s 203.0.113.7     www.example.org:80   GET /\\u{1b}[31mred HTTP/1.1",
        ] {
            assert!(text.lines().any(|have| have == line), "no {line:?} in:\n{text}");
        }
    }

    #[test]
    fn a_dead_server_is_called_so_first() {
        let mut dead = look(Model::Prefork, 100);
        dead.life = Life::Dead;
        dead.processes.clear();
        let text = render(&View::of(&dead, None));
        assert!(text.starts_with("server       DEAD, last seen 0 ms ago, prefork"), "{text}");
        assert!(text.contains(" gone "), "{text}");
    }
}
