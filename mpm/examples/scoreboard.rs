//! What a scoreboard costs: run with `cargo run --release -p herdgate-mpm --example scoreboard`.
//!
//! The board is as large as that of the event model by default, in a file on the folder for temporary files.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use herdgate_mpm::Moment;
use herdgate_mpm::scoreboard::reader::Reader;
use herdgate_mpm::scoreboard::{Scoreboard, State};

const CHILDREN: u32 = 32;
const SLOTS: u32 = 65;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("scoreboard-{}", std::process::id()));
    let board = Scoreboard::create(Some(&path), CHILDREN, SLOTS)?;
    let writer = board.writer(0, 0);
    let now = Moment::now();
    let request = b"GET /images/photographs/2026/11/21/0001.jpg HTTP/1.1";
    measure("describe: a request in words", 1_000_000, || {
        writer.describe(now, b"203.0.113.200", b"www.example.org", black_box(request));
    });
    measure("set_state: within the same second", 1_000_000, || {
        writer.set_state(black_box(State::Writing), now);
    });
    let mut second = 0;
    measure("set_state: in a new second, with the CPU clock", 100_000, || {
        second += 1;
        writer.set_state(State::Writing, Moment::from_start(Duration::from_secs(second)));
    });
    measure("count_request", 1_000_000, || writer.count_request(black_box(4711)));
    let reader = Reader::open(&path)?;
    measure("snapshot: all of it, from outside", 200, || drop(black_box(reader.snapshot())));
    std::fs::remove_file(path)?;
    Ok(())
}

fn measure(what: &str, times: u32, mut body: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..times {
        body();
    }
    println!("{:>10.1} ns   {what}", start.elapsed().as_nanos() as f64 / f64::from(times));
}
