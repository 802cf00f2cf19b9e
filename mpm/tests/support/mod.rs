//! An example as a server, started for one test.

#![allow(dead_code, reason = "each test program uses its part of this module")]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) const MODELS: [&str; 3] = ["prefork", "worker", "event"];
/// Long enough for the slowest machine: it is only ever waited out by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running example, ended with its children when the test is over.
pub(crate) struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    /// Where it listens: the addresses in the first line that it says.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Server {
    pub(crate) fn start<I: AsRef<OsStr>>(
        example: &str,
        arguments: impl IntoIterator<Item = I>,
    ) -> Self {
        let mut process = Command::new(example_path(example))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let addresses = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        Self { process, stdout, addresses }
    }

    /// The next line that it says; empty at its end.
    pub(crate) fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }

    /// The children's process ids, from the kernel.
    pub(crate) fn children(&self) -> Vec<Pid> {
        let pid = self.process.id();
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    /// Waits until nobody is left, neither the server nor a child: all hold its standard output.
    pub(crate) fn wait_for_the_last_process(&mut self) {
        self.stdout.read_to_end(&mut Vec::new()).unwrap();
    }

    /// As [`wait_for_the_last_process`](Self::wait_for_the_last_process), and the server has ended well.
    pub(crate) fn wait_for_the_end(mut self) {
        self.wait_for_the_last_process();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    /// TERM takes the children along, and a panicking test must not leave any behind.
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

/// Cargo builds examples beside the folder of the test binaries.
fn example_path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples").join(name)
}

/// Asks again until it holds. What is waited for is sure to come, or the test fails; the pause only saves CPU time.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
