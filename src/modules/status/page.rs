//! The page for people, in Apache's words.

use std::io::Write as _;

use herdgate_mpm::scoreboard::State;
use herdgate_mpm::scoreboard::reader::{Child, Description, Slot};

use super::look::{Look, general, in_words, is_stopping, significant};
use crate::http::escape::{push_html, push_log};

/// Letters in a line of the scoreboard.
const LETTERS_PER_LINE: usize = 64;

pub(super) fn render(look: &Look, as_table: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(8192);
    // Writing to a Vec cannot fail.
    let _ = write(look, as_table, &mut out);
    out
}

fn write(look: &Look, as_table: bool, out: &mut Vec<u8>) -> std::io::Result<()> {
    begin(look, out)?;
    if look.extended {
        totals(look, out)?;
    }
    if let Some(refused) = look.refused {
        writeln!(out, "<dt>Requests refused as too fast: {refused}</dt>")?;
    }
    let workers = look.all_workers();
    writeln!(
        out,
        "<dt>{} requests currently being processed, {} workers gracefully restarting, {} idle workers</dt>\n</dl>",
        workers.busy, workers.graceful, workers.idle
    )?;
    if look.is_event() {
        connections(look, out)?;
    }
    endings(look, out)?;
    letters(look, out)?;
    match (look.extended, as_table) {
        (false, _) => processes(look, out)?,
        (true, true) => table(look, out)?,
        (true, false) => paragraphs(look, out)?,
    }
    out.extend_from_slice(&look.signature);
    out.extend_from_slice(b"</body></html>\n");
    Ok(())
}

fn begin(look: &Look, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(
        b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n\
          <html><head>\n<title>Apache Status</title>\n</head><body>\n<h1>Apache Server Status for ",
    );
    push_html(out, look.name.as_bytes());
    let server = &look.snapshot.server;
    let [load1, load5, load15] = look.load;
    write!(
        out,
        " (via {})</h1>\n\n\
         <dl><dt>Server Version: {}</dt>\n\
         <dt>Server MPM: {}</dt>\n\
         <dt>Server Built: {}\n</dt></dl><hr /><dl>\n\
         <dt>Current Time: {}</dt>\n\
         <dt>Restart Time: {}</dt>\n\
         <dt>Parent Server Config. Generation: {}</dt>\n\
         <dt>Parent Server MPM Generation: {}</dt>\n\
         <dt>Server uptime: {}</dt>\n\
         <dt>Server load: {load1:.2} {load5:.2} {load15:.2}</dt>\n",
        look.ip,
        look.version,
        look.model(),
        look.built,
        look.now,
        look.restarted,
        server.generation + 1,
        server.generation,
        in_words(look.uptime),
    )?;
    out.extend_from_slice(b"<dt>Sandbox: ");
    push_html(out, look.sandbox.as_bytes());
    out.extend_from_slice(b"</dt>\n");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn totals(look: &Look, out: &mut Vec<u8>) -> std::io::Result<()> {
    let totals = look.totals();
    writeln!(
        out,
        "<dt>Total accesses: {} - Total Traffic: {} - Total Duration: {}</dt>",
        totals.requests,
        kilobytes(totals.bytes / 1024),
        totals.taken.as_millis()
    )?;
    let cpu = look.cpu;
    let [user, system, children_user, children_system] =
        [cpu.user, cpu.system, cpu.children_user, cpu.children_system]
            .map(|time| general(time.as_secs_f64()));
    write!(out, "<dt>CPU Usage: u{user} s{system} cu{children_user} cs{children_system}")?;
    if let Some(load) = look.cpu_load() {
        write!(out, " - {}% CPU load</dt>\n<dt>", significant(load, 3))?;
    } else {
        write!(out, "</dt>\n<dt>")?;
    }
    let (requests, sent) = (totals.requests as f64, totals.bytes as f64);
    let uptime = look.uptime.as_secs() as f64;
    if uptime > 0.0 {
        let rate = significant(requests / uptime, 3);
        write!(out, "{rate} requests/sec - {}/second", bytes(sent / uptime))?;
    }
    if totals.requests > 0 {
        let between = if uptime > 0.0 { " - " } else { "" };
        let each = totals.taken.as_millis() as f64 / requests;
        write!(out, "{between}{}/request - {} ms/request", bytes(sent / requests), general(each))?;
    }
    writeln!(out, "</dt>")
}

/// `1.5 MB`, as Apache rounds.
#[expect(clippy::cast_precision_loss, reason = "a number for people")]
fn kilobytes(number: u64) -> String {
    match number {
        0..1024 => format!("{number} kB"),
        1024..1_048_576 => format!("{:.1} MB", number as f64 / 1024.0),
        _ => format!("{:.1} GB", number as f64 / 1_048_576.0),
    }
}

/// `1.5 kB`, as Apache rounds.
#[expect(clippy::cast_possible_truncation, reason = "a number for people")]
fn bytes(number: f64) -> String {
    const KIB: f64 = 1024.0;
    const MIB: f64 = 1_048_576.0;
    const GIB: f64 = 1_073_741_824.0;
    if number < 5.0 * KIB {
        format!("{} B", number as i64)
    } else if number < MIB / 2.0 {
        format!("{:.1} kB", number / KIB)
    } else if number < GIB / 2.0 {
        format!("{:.1} MB", number / MIB)
    } else {
        format!("{:.1} GB", number / GIB)
    }
}

/// Event: who holds how many connections.
fn connections(look: &Look, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(
        b"\n\n<table rules=\"all\" cellpadding=\"1%\">\n\
          <tr><th rowspan=\"2\">Slot</th><th rowspan=\"2\">PID</th><th rowspan=\"2\">Stopping</th>\
          <th colspan=\"2\">Connections</th>\n\
          <th colspan=\"3\">Threads</th><th colspan=\"4\">Async connections</th></tr>\n\
          <tr><th>total</th><th>accepting</th><th>busy</th><th>graceful</th><th>idle</th>\
          <th>wait-io</th><th>writing</th><th>keep-alive</th><th>closing</th></tr>\n",
    );
    for child in look.children() {
        let stopping = if is_stopping(child) { "yes" } else { "no" };
        let is_old = child.generation != look.snapshot.server.generation;
        let old = if is_old { " (old gen)" } else { "" };
        let accepting = if child.not_accepting || is_stopping(child) { "no" } else { "yes" };
        write!(out, "<tr><td>{}</td><td>{}</td><td>{stopping}{old}</td>", child.place, child.pid)?;
        write!(out, "<td>{}</td><td>{accepting}</td>", child.connections)?;
        counts(&numbers(look, child), out)?;
    }
    let all: Vec<[u32; 7]> = look.children().map(|child| numbers(look, child)).collect();
    let sum = std::array::from_fn(|nth| all.iter().map(|numbers| numbers[nth]).sum());
    let connections: u32 = look.children().map(|child| child.connections).sum();
    let stopping = look.children().filter(|child| is_stopping(child)).count();
    write!(out, "<tr><td>Sum</td><td>{}</td><td>{stopping}</td>", all.len())?;
    write!(out, "<td>{connections}</td><td>&nbsp;</td>")?;
    counts(&sum, out)?;
    out.extend_from_slice(b"</table>\n");
    Ok(())
}

/// Threads busy, graceful, idle; connections that wait, write, are kept, close.
fn numbers(look: &Look, child: &Child) -> [u32; 7] {
    let workers = look.workers(child);
    let parked = child.parked;
    [
        workers.busy,
        workers.graceful,
        workers.idle,
        parked.request,
        parked.response,
        parked.idle,
        parked.linger,
    ]
}

fn counts(numbers: &[u32; 7], out: &mut Vec<u8>) -> std::io::Result<()> {
    numbers.iter().try_for_each(|number| write!(out, "<td>{number}</td>"))?;
    writeln!(out, "</tr>")
}

/// By time, for lack of room, by a fault: what we have and Apache has not.
fn endings(look: &Look, out: &mut Vec<u8>) -> std::io::Result<()> {
    writeln!(out, "<p>Connections ended by time, fault or shortage: {}</p>", look.snapshot.endings)
}

fn letters(look: &Look, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(b"<pre>");
    for line in look.letters().as_bytes().chunks(LETTERS_PER_LINE) {
        out.extend_from_slice(line);
        if line.len() == LETTERS_PER_LINE {
            out.push(b'\n');
        }
    }
    out.extend_from_slice(
        b"</pre>\n<p>Scoreboard Key:<br />\n\
          \"<b><code>_</code></b>\" Waiting for Connection, \n\
          \"<b><code>S</code></b>\" Starting up, \n\
          \"<b><code>R</code></b>\" Reading Request,<br />\n\
          \"<b><code>W</code></b>\" Sending Reply, \n\
          \"<b><code>K</code></b>\" Keepalive (read), \n\
          \"<b><code>D</code></b>\" DNS Lookup,<br />\n\
          \"<b><code>C</code></b>\" Closing connection, \n\
          \"<b><code>L</code></b>\" Logging, \n\
          \"<b><code>G</code></b>\" Gracefully finishing,<br /> \n\
          \"<b><code>I</code></b>\" Idle cleanup of worker, \n\
          \"<b><code>.</code></b>\" Open slot with no current process<br />\n</p>\n",
    );
    Ok(())
}

/// Without `ExtendedStatus`: which process does what.
fn processes(look: &Look, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(b"PID Key: <br />\n<pre>\n");
    let slots = look
        .children()
        .flat_map(|child| look.workers_of(child).iter().map(move |slot| (child.pid, slot.state)));
    for (nth, (pid, state)) in slots.filter(|(_, state)| *state != State::Dead).enumerate() {
        let end = if nth % 3 == 2 { ",\n" } else { ", " };
        write!(out, "   {pid} in state: {} {end}", state.letter())?;
    }
    out.extend_from_slice(
        b"\n</pre>\n<hr />To obtain a full report with current status information you need to use the \
          <code>ExtendedStatus On</code> directive.\n",
    );
    Ok(())
}

/// One line of the details.
struct Row<'l> {
    /// Place of the child, and its generation.
    server: String,
    pid: String,
    slot: &'l Slot,
    description: Description,
    /// Seconds since its latest request.
    secs: u64,
}

/// What has served anything, or does something.
fn rows(look: &Look) -> impl Iterator<Item = Row<'_>> {
    let taken = look.snapshot.taken;
    let slots = look.snapshot.children.iter();
    let slots = slots.flat_map(|child| child.slots.iter().map(move |slot| (child, slot)));
    let is_told =
        |slot: &Slot| slot.requests > 0 || !matches!(slot.state, State::Ready | State::Dead);
    slots.filter(move |(_, slot)| is_told(slot)).map(move |(child, slot)| {
        let is_dead = slot.state == State::Dead || !child.is_present();
        let description = slot.description.clone().unwrap_or_default();
        let ms = taken.map_or(0, |taken| taken.millis());
        Row {
            server: format!("{}-{}", child.place, slot.generation),
            pid: if is_dead { "-".to_owned() } else { slot.pid.to_string() },
            secs: ms.saturating_sub(description.since_ms.max(slot.since.millis())) / 1000,
            slot,
            description,
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
fn table(look: &Look, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(
        b"\n\n<table border=\"0\"><tr><th>Srv</th><th>PID</th><th>Acc</th>\
          <th>M</th><th>CPU\n</th><th>SS</th><th>Req</th><th>Dur</th><th>Conn</th><th>Child</th>\
          <th>Slot</th><th>Client</th><th>Protocol</th><th>VHost</th><th>Request</th></tr>\n\n",
    );
    for row in rows(look) {
        let slot = row.slot;
        let letter = slot.state.letter();
        let letter = if is_bold(slot.state) { format!("<b>{letter}</b>") } else { letter.into() };
        write!(
            out,
            "<tr><td><b>{}</b></td><td>{}</td><td>{}/{}/{}</td><td>{letter}\n\
             </td><td>{:.2}</td><td>{}</td><td>{}</td><td>{}\
             </td><td>{:.1}</td><td>{:.2}</td><td>{:.2}\n</td><td>",
            row.server,
            row.pid,
            slot.connection_requests,
            slot.requests_here,
            slot.requests,
            slot.cpu.as_secs_f64(),
            row.secs,
            slot.latest.as_millis(),
            slot.taken.as_millis(),
            slot.connection_bytes as f64 / 1024.0,
            slot.bytes_here as f64 / 1_048_576.0,
            slot.bytes as f64 / 1_048_576.0,
        )?;
        push_foreign(out, &row.description.client);
        out.extend_from_slice(b"</td><td>");
        push_foreign(out, protocol(&row.description.request));
        out.extend_from_slice(b"</td><td nowrap>");
        push_foreign(out, &row.description.host);
        out.extend_from_slice(b"</td><td nowrap>");
        push_foreign(out, &row.description.request);
        out.extend_from_slice(b"</td></tr>\n\n");
    }
    out.extend_from_slice(
        b"</table>\n <hr /> <table>\n \
          <tr><th>Srv</th><td>Child Server number - generation</td></tr>\n \
          <tr><th>PID</th><td>OS process ID</td></tr>\n \
          <tr><th>Acc</th><td>Number of accesses this connection / this child / this slot</td></tr>\n \
          <tr><th>M</th><td>Mode of operation</td></tr>\n\
          <tr><th>CPU</th><td>CPU usage, number of seconds</td></tr>\n\
          <tr><th>SS</th><td>Seconds since beginning of most recent request</td></tr>\n \
          <tr><th>Req</th><td>Milliseconds required to process most recent request</td></tr>\n \
          <tr><th>Dur</th><td>Sum of milliseconds required to process all requests</td></tr>\n \
          <tr><th>Conn</th><td>Kilobytes transferred this connection</td></tr>\n \
          <tr><th>Child</th><td>Megabytes transferred this child</td></tr>\n \
          <tr><th>Slot</th><td>Total megabytes transferred this slot</td></tr>\n </table>\n",
    );
    Ok(())
}

/// `notable`: a paragraph for each.
#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
fn paragraphs(look: &Look, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(b"<hr /><h2>Server Details</h2>\n\n");
    for row in rows(look) {
        let slot = row.slot;
        let word = in_a_word(slot.state);
        let word = if is_bold(slot.state) { format!("<b>{word}</b>") } else { word.to_owned() };
        write!(
            out,
            "<b>Server {}</b> ({}): {}|{}|{} [{word}] cpu{}\n {} {} {}({}|{}|{})\n <i>",
            row.server,
            row.pid,
            slot.connection_requests,
            slot.requests_here,
            slot.requests,
            general(slot.cpu.as_secs_f64()),
            row.secs,
            slot.latest.as_millis(),
            slot.taken.as_millis(),
            bytes(slot.connection_bytes as f64),
            bytes(slot.bytes_here as f64),
            bytes(slot.bytes as f64),
        )?;
        push_foreign(out, &row.description.client);
        out.extend_from_slice(b" {");
        push_foreign(out, &row.description.request);
        out.extend_from_slice(b"}</i> <i>(");
        push_foreign(out, protocol(&row.description.request));
        out.extend_from_slice(b")</i> <b>[");
        push_foreign(out, &row.description.host);
        out.extend_from_slice(b"]</b><br />\n\n");
    }
    Ok(())
}

/// Whether somebody is at work.
fn is_bold(state: State) -> bool {
    !matches!(state, State::Ready | State::Dead | State::Graceful | State::Retiring)
}

fn in_a_word(state: State) -> &'static str {
    match state {
        State::Ready => "Ready",
        State::Starting => "Starting",
        State::Reading => "Read",
        State::Writing => "Write",
        State::KeepAlive => "Keepalive",
        State::Logging => "Logging",
        State::Dns => "DNS lookup",
        State::Closing => "Closing",
        State::Dead => "Dead",
        State::Graceful => "Graceful",
        State::Retiring => "Dying",
    }
}

/// What stands at the end of a request line: `http/1.1`, as Apache writes it; empty if the line was cut.
fn protocol(request_line: &str) -> &'static str {
    match request_line.rsplit_once(' ').map(|(_, last)| last) {
        Some("HTTP/1.1") => "http/1.1",
        Some("HTTP/1.0") => "http/1.0",
        _ => "",
    }
}

/// What a client has sent: escaped as in a log, so that it is ASCII without control characters, then as HTML.
fn push_foreign(out: &mut Vec<u8>, text: &str) {
    let mut logged = Vec::with_capacity(text.len());
    push_log(&mut logged, text.as_bytes());
    push_html(out, &logged);
}
