//! `herdgate top --json`: the view as one JSON object, for scripts. Numbers are plain: bytes, seconds, per second.

use herdgate_mpm::scoreboard::Stage;
use herdgate_mpm::scoreboard::reader::{AtGate, Endings, Life, Parked};

use super::super::json::{Object, quoted};
use super::gate::{GateCounts, GateView};
use super::queue::{QueueView, Waits};
use super::view::{ChildView, Told, View};

/// One object, and a line's end.
pub(super) fn render(view: &View) -> String {
    let server = &view.server;
    let mut json = Object::new();
    json.text("life", life(view.life));
    json.text("stage", stage(server.stage));
    json.number("silent_secs", view.silence.map(|silence| silence.as_secs_f64()));
    json.text("model", &super::words::model(view));
    json.whole("pid", server.pid);
    json.whole("generation", server.generation);
    json.whole("started_unix_secs", server.started_unix_secs);
    json.whole("restarted_unix_secs", server.restarted_unix_secs);
    json.text("scoreboard", &view.path.display().to_string());
    json.list("listen", view.listen.split_whitespace().map(quoted));
    json.whole("children_max", server.children_max);
    json.whole("threads_per_child", server.threads_per_child);
    json.whole("children_forked", server.children_forked);
    json.whole("children_lost", server.children_lost);
    json.whole("requests", view.totals.requests);
    json.whole("requests_refused", view.refused);
    json.whole("connections", view.totals.connections);
    json.whole("bytes", view.totals.bytes);
    json.number("requests_per_sec", view.rates.map(|rates| rates.requests));
    json.number("connections_per_sec", view.rates.map(|rates| rates.connections));
    json.number("bytes_per_sec", view.rates.map(|rates| rates.bytes));
    json.whole("connections_open", view.connections());
    json.raw("workers", &workers(view));
    json.raw("parked", &parked(view.parked));
    json.whole("jobs", view.jobs);
    json.raw("gate", &gate(&view.gate));
    json.raw("queue", &queue(&view.queue));
    json.raw("ended", &endings(&view.endings));
    json.whole_or_null("memory_bytes", view.memory);
    json.list("children", view.children.iter().map(child));
    json.end() + "\n"
}

fn life(life: Life) -> &'static str {
    match life {
        Life::Well => "well",
        Life::Silent(_) => "silent",
        Life::Dead => "dead",
        Life::Over => "over",
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Starting => "starting",
        Stage::Serving => "serving",
        Stage::Finishing => "finishing",
        Stage::Over => "over",
    }
}

fn workers(view: &View) -> String {
    let mut json = Object::new();
    json.whole("busy", view.workers.busy());
    json.whole("idle", view.workers.idle());
    for (state, count) in view.workers.by_state() {
        json.whole(&state.letter().to_string(), count);
    }
    json.end()
}

fn parked(parked: Parked) -> String {
    let mut json = Object::new();
    json.whole("request", parked.request);
    json.whole("response", parked.response);
    json.whole("idle", parked.idle);
    json.whole("linger", parked.linger);
    json.end()
}

fn gate(gate: &GateView) -> String {
    let mut json = Object::new();
    json.text("kind", &gate.kind);
    json.whole("inside", gate.inside);
    json.whole("waiting", gate.waiting);
    gate_counts(&mut json, &gate.all);
    json.raw_or_null(
        "lately",
        gate.lately.map(|lately| {
            let mut json = Object::new();
            gate_counts(&mut json, &lately);
            json.end()
        }),
    );
    json.end()
}

fn gate_counts(json: &mut Object, counts: &GateCounts) {
    json.whole("acquisitions", counts.acquisitions);
    json.whole("contended", counts.contended);
    json.number("waited_secs", Some(counts.waited.as_secs_f64()));
    json.whole("accepted", counts.accepted);
    json.whole("wakeups_wasted", counts.wasted);
}

fn queue(queue: &QueueView) -> String {
    let told = (queue.limit > 0).then_some(queue);
    let mut json = Object::new();
    json.whole_or_null("waiting", told.map(|queue| queue.waiting));
    json.whole_or_null("limit", told.map(|queue| queue.limit));
    json.raw_or_null("waits", queue.ever.map(waits));
    json.raw_or_null("waits_lately", queue.lately.map(waits));
    json.number("mean_secs_by_length", queue.by_length.map(|mean| mean.as_secs_f64()));
    json.end()
}

fn waits(waits: Waits) -> String {
    let mut json = Object::new();
    json.whole("asked", waits.asked);
    json.number("median_secs", Some(waits.median.as_secs_f64()));
    json.number("percentile_99_secs", Some(waits.percentile_99.as_secs_f64()));
    json.number("longest_secs", Some(waits.longest.as_secs_f64()));
    json.end()
}

fn endings(endings: &Endings) -> String {
    let mut json = Object::new();
    for (ending, count) in endings.iter() {
        json.whole(ending.name(), count);
    }
    json.end()
}

fn child(child: &ChildView) -> String {
    let mut json = Object::new();
    json.whole("pid", child.pid);
    json.whole("generation", child.generation);
    json.text("standing", child.standing.word());
    let letters: String = child.states.iter().map(|state| state.letter()).collect();
    json.text("workers", &letters);
    json.whole("connections", child.connections);
    json.raw("parked", &parked(child.parked));
    json.whole("jobs", child.jobs);
    json.number("loop_busy", child.loop_busy);
    json.whole("requests", child.requests);
    json.whole("bytes", child.bytes);
    json.whole("accepted", child.accepted);
    json.whole("wakeups_wasted", child.wasted);
    json.number("requests_per_sec", child.request_rate);
    json.number("accepted_per_sec", child.accept_rate);
    json.number("cpus", child.cpu);
    json.whole_or_null("memory_bytes", child.memory);
    let at_gate = match child.at_gate {
        AtGate::Away => "away",
        AtGate::Waiting => "waiting",
        AtGate::Inside => "inside",
    };
    json.text("at_gate", at_gate);
    json.list("requests_told", child.requests_told.iter().map(told));
    json.end()
}

fn told(told: &Told) -> String {
    let mut json = Object::new();
    json.whole("tid", told.tid);
    json.text("state", &told.state.letter().to_string());
    json.number("state_secs", Some(told.state_for.as_secs_f64()));
    json.number("request_secs", Some(told.request_for.as_secs_f64()));
    json.number("cpu_secs", Some(told.cpu.as_secs_f64()));
    json.text("client", &told.words.client);
    json.text("host", &told.words.host);
    json.text("request", &told.words.request);
    json.end()
}

#[cfg(test)]
mod tests {
    use herdgate_mpm::Model;

    use super::super::view::tests::look;
    use super::*;

    #[test]
    fn the_object_holds_what_the_view_holds() {
        let view = View::of(&look(Model::Event, 102), Some(&look(Model::Event, 100)));
        let json = render(&view);
        for part in [
            r#"{"life":"well","stage":"serving""#,
            r#""model":"event""#,
            r#""listen":["127.0.0.1:8080"]"#,
            r#""requests_refused":1000,"#,
            r#""requests_per_sec":50.000"#,
            r#""workers":{"busy":2,"idle":2,"W":1,"K":1,"_":2}"#,
            r#""parked":{"request":1,"response":2,"idle":8,"linger":1}"#,
            r#""ended":{"silent":0,"request_timeout":2,"#,
            r#""queue":{"waiting":3,"limit":511,"waits":{"asked":102,"median_secs":0.010,"#,
            r#""waits_lately":{"asked":2,"#,
            r#""request":"GET /\u001b[31mred HTTP/1.1""#,
        ] {
            assert!(json.contains(part), "no {part} in {json}");
        }
        assert_eq!(json.matches('{').count(), json.matches('}').count());
        assert!(json.is_ascii() && json.ends_with("}\n"));
    }
}
