//! One measurement: a server is started, asked, loaded, and stopped.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::scenarios::{Scenario, Work};
use crate::servers::{Kind, Running};
use crate::site::Site;

/// The core of whoever asks.
const GENERATOR_CORE: &str = "1";
/// An answer that takes longer will never come.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// One tick of the clock that utime and stime are told in (`CLK_TCK`, 100 on all that we run on).
const TICKS_PER_SEC: f64 = 100.0;

/// What one measurement gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU time of the server for each request, in microseconds; of a burst, the milliseconds until all had their answer.
    pub(crate) cost: f64,
    pub(crate) requests_per_sec: f64,
    /// User memory for each idle connection.
    pub(crate) idle_bytes: Option<f64>,
    /// From the start of the process to its first connection.
    pub(crate) start_ms: f64,
    /// Of all its processes, before any load (PSS).
    pub(crate) rest_bytes: f64,
}

/// A program that is needed and not there.
pub(crate) fn missing_tool() -> Option<&'static str> {
    let is_there = |name: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    };
    ["wrk", "taskset"].into_iter().find(|name| !is_there(name))
}

/// Measures once.
pub(crate) fn one(kind: &Kind, scenario: &Scenario, site: &Site, secs: u32) -> Outcome<Sample> {
    let run = site.path("run");
    for entry in fs::read_dir(&run)? {
        let _ = fs::remove_file(entry?.path()); // Logs of the former one.
    }
    let running = Running::start(kind, scenario, site)?;
    let sample = |cost, requests_per_sec| Sample {
        cost,
        requests_per_sec,
        idle_bytes: None,
        start_ms: running.start.as_secs_f64() * 1e3,
        rest_bytes: pss_bytes(running.pid()),
    };
    if let Work::Burst { connections } = scenario.work {
        let took = burst(running.address, scenario, connections)?;
        return Ok(sample(took.as_secs_f64() * 1e3, f64::from(connections) / took.as_secs_f64()));
    }
    let mut sample = sample(0.0, 0.0);
    check(running.address, scenario)?;
    let mut silent = Vec::new();
    if let Work::Idle { silent: count } = scenario.work {
        load(running.address, scenario, site, 1)?; // Its own buffers are not the idle ones'.
        let before = pss_bytes(running.pid());
        for _ in 0..count {
            silent.push(ask(running.address, scenario)?);
        }
        sample.idle_bytes = Some((pss_bytes(running.pid()) - before) / f64::from(count));
    }
    load(running.address, scenario, site, 1)?; // Warm.
    let before = cpu_secs(running.pid());
    let loaded = load(running.address, scenario, site, secs)?;
    let spent = cpu_secs(running.pid()) - before;
    sample.cost = spent * 1e6 / loaded.requests;
    sample.requests_per_sec = loaded.requests / loaded.secs;
    Ok(sample)
}

/// Asks once, and sees that the answer is right: nobody is fast by answering something else.
fn check(address: SocketAddr, scenario: &Scenario) -> Outcome<()> {
    ask(address, scenario)?;
    Ok(())
}

/// Asks once, reads the whole answer, and leaves the connection open.
fn ask(address: SocketAddr, scenario: &Scenario) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(request(scenario).as_bytes())?;
    read_answer(&mut stream, scenario)?;
    Ok(stream)
}

fn request(scenario: &Scenario) -> String {
    let mut request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n", scenario.path);
    for field in scenario.fields {
        request.push_str(field);
        request.push_str("\r\n");
    }
    request + "\r\n"
}

fn read_answer(stream: &mut TcpStream, scenario: &Scenario) -> Outcome<()> {
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    let head_end = loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err("the server closed in the middle of its answer".into());
        }
        answer.extend_from_slice(&piece[..count]);
        if let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&answer[..head_end]).into_owned();
    let expected = format!("HTTP/1.1 {}", scenario.status);
    if !head.starts_with(&expected) {
        return Err(format!("{expected} was expected:\n{head}").into());
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = if scenario.status == 304 { 0 } else { length.unwrap_or(0) };
    let mut missing = (head_end + body).saturating_sub(answer.len());
    while missing > 0 {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err("the body is too short".into());
        }
        missing = missing.saturating_sub(count);
    }
    Ok(())
}

/// So many connections at once, which stay: until all have their answer.
fn burst(address: SocketAddr, scenario: &Scenario, connections: u32) -> Outcome<Duration> {
    let began = Instant::now();
    let request = request(scenario);
    let mut all = Vec::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(request.as_bytes())?;
        all.push(stream);
    }
    for stream in &mut all {
        read_answer(stream, scenario)?;
    }
    Ok(began.elapsed())
}

/// What wrk counted.
struct Loaded {
    requests: f64,
    secs: f64,
}

fn load(address: SocketAddr, scenario: &Scenario, site: &Site, secs: u32) -> Outcome<Loaded> {
    let mut command = Command::new("taskset");
    command.args(["-c", GENERATOR_CORE, "wrk", "-t1"]);
    command.arg(format!("-c{}", scenario.connections())).arg(format!("-d{secs}s"));
    for field in scenario.fields {
        command.args(["-H", field]);
    }
    if let Some(script) = scenario.script() {
        let file = site.path("script.lua");
        fs::write(&file, script)?;
        command.arg("-s").arg(file);
    }
    let said = command.arg(format!("http://{address}{}", scenario.path)).output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    parse_wrk(&said, scenario).ok_or_else(|| format!("wrk said:\n{said}").into())
}

/// `  123456 requests in 3.00s, 1.23GB read`, and no errors but those that are wanted.
fn parse_wrk(said: &str, scenario: &Scenario) -> Option<Loaded> {
    let wrong = said.lines().find(|line| line.trim_start().starts_with("Non-2xx"));
    if wrong.is_some() && scenario.status < 400 {
        return None;
    }
    let line = said.lines().find(|line| line.contains(" requests in "))?;
    let (count, rest) = line.trim().split_once(" requests in ")?;
    let secs = rest.split(['s', ',']).next()?.parse().ok()?;
    let requests: f64 = count.parse().ok()?;
    (requests > 0.0).then_some(Loaded { requests, secs })
}

/// A process and all that come from it.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(&parent) = all.get(at) {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        all.extend(
            children.unwrap_or_default().split_whitespace().filter_map(|it| it.parse::<u32>().ok()),
        );
        at += 1;
    }
    all
}

/// CPU time of a process, its threads, its children, and those that have ended.
fn cpu_secs(pid: u32) -> f64 {
    family(pid).into_iter().filter_map(cpu_of).sum()
}

fn cpu_of(pid: u32) -> Option<f64> {
    let process = Path::new("/proc").join(pid.to_string());
    // Its threads: to the nanosecond, while utime and stime are told in ticks, and many processes do little each.
    let threads = fs::read_dir(process.join("task")).ok()?;
    let nanos = threads.filter_map(|thread| {
        let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<f64>().ok()
    });
    // Its children that have ended: behind the name in parentheses, which may hold anything, fields 16 and 17.
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let of_dead = fields.split_whitespace().skip(13).take(2);
    let ticks: f64 = of_dead.filter_map(|it| it.parse::<f64>().ok()).sum();
    Some(nanos.sum::<f64>() / 1e9 + ticks / TICKS_PER_SEC)
}

/// Memory of a process and its children, what they share counted once.
fn pss_bytes(pid: u32) -> f64 {
    let of_one = |pid: u32| -> io::Result<f64> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kib = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = kib.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.unwrap_or(0.0) * 1024.0)
    };
    family(pid).into_iter().filter_map(|pid| of_one(pid).ok()).sum()
}
