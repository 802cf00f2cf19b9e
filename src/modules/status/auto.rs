//! `?auto`: `Key: value`, line by line, with Apache's keys in Apache's order.

use std::fmt::Write as _;

use super::look::{Look, general, in_words, is_stopping};

pub(super) fn render(look: &Look) -> Vec<u8> {
    let mut out = String::with_capacity(2048);
    // Writing to a string cannot fail.
    let _ = write(look, &mut out);
    out.into_bytes()
}

fn write(look: &Look, out: &mut String) -> std::fmt::Result {
    let server = &look.snapshot.server;
    writeln!(out, "{}", look.name)?;
    writeln!(out, "ServerVersion: {}", look.version)?;
    writeln!(out, "ServerMPM: {}", look.model())?;
    writeln!(out, "Server Built: {}", look.built)?;
    writeln!(out, "CurrentTime: {}", look.now)?;
    writeln!(out, "RestartTime: {}", look.restarted)?;
    writeln!(out, "ParentServerConfigGeneration: {}", server.generation + 1)?;
    writeln!(out, "ParentServerMPMGeneration: {}", server.generation)?;
    writeln!(out, "ServerUptimeSeconds: {}", look.uptime.as_secs())?;
    writeln!(out, "ServerUptime:{}", in_words(look.uptime))?;
    for (minutes, load) in [1, 5, 15].into_iter().zip(look.load) {
        writeln!(out, "Load{minutes}: {load:.2}")?;
    }
    if look.extended {
        extended(look, out)?;
    }
    let workers = look.all_workers();
    writeln!(out, "BusyWorkers: {}", workers.busy)?;
    writeln!(out, "GracefulWorkers: {}", workers.graceful)?;
    writeln!(out, "IdleWorkers: {}", workers.idle)?;
    if look.is_event() {
        connections(look, out)?;
    }
    for (ending, count) in look.snapshot.endings.iter() {
        writeln!(out, "Ended{}: {count}", in_camel_case(ending.name()))?;
    }
    if let Some(refused) = look.refused {
        writeln!(out, "RefusedRequests: {refused}")?;
    }
    writeln!(out, "Sandbox: {}", look.sandbox)?;
    writeln!(out, "Scoreboard: {}", look.letters())
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn extended(look: &Look, out: &mut String) -> std::fmt::Result {
    let totals = look.totals();
    writeln!(out, "Total Accesses: {}", totals.requests)?;
    writeln!(out, "Total kBytes: {}", totals.bytes / 1024)?;
    writeln!(out, "Total Duration: {}", totals.taken.as_millis())?;
    let cpu = look.cpu;
    for (key, time) in [
        ("CPUUser", cpu.user),
        ("CPUSystem", cpu.system),
        ("CPUChildrenUser", cpu.children_user),
        ("CPUChildrenSystem", cpu.children_system),
    ] {
        writeln!(out, "{key}: {}", general(time.as_secs_f64()))?;
    }
    if let Some(load) = look.cpu_load() {
        writeln!(out, "CPULoad: {}", general(load))?;
    }
    let uptime = look.uptime.as_secs();
    writeln!(out, "Uptime: {uptime}")?;
    let (requests, bytes) = (totals.requests as f64, totals.bytes as f64);
    if uptime > 0 {
        writeln!(out, "ReqPerSec: {}", general(requests / uptime as f64))?;
        writeln!(out, "BytesPerSec: {}", general(bytes / uptime as f64))?;
    }
    if totals.requests > 0 {
        writeln!(out, "BytesPerReq: {}", general(bytes / requests))?;
        writeln!(out, "DurationPerReq: {}", general(totals.taken.as_millis() as f64 / requests))?;
    }
    Ok(())
}

fn connections(look: &Look, out: &mut String) -> std::fmt::Result {
    let sum = |count: fn(&herdgate_mpm::scoreboard::reader::Child) -> u32| -> u32 {
        look.children().map(count).sum()
    };
    writeln!(out, "Processes: {}", look.children().count())?;
    writeln!(out, "Stopping: {}", look.children().filter(|child| is_stopping(child)).count())?;
    writeln!(out, "ConnsTotal: {}", sum(|child| child.connections))?;
    writeln!(out, "ConnsAsyncWaitIO: {}", sum(|child| child.parked.request))?;
    writeln!(out, "ConnsAsyncWriting: {}", sum(|child| child.parked.response))?;
    writeln!(out, "ConnsAsyncKeepAlive: {}", sum(|child| child.parked.idle))?;
    writeln!(out, "ConnsAsyncClosing: {}", sum(|child| child.parked.linger))
}

/// `request_timeout` as `RequestTimeout`, since keys are written so.
fn in_camel_case(name: &str) -> String {
    let words = name.split('_').map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
    words.collect()
}
