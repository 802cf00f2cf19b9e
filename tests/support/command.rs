//! # The command line: a run of the binary that ends by itself, and what it said

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use super::PATIENCE;
use super::cgroup::Group;

/// The binary under test.
pub(crate) fn herdgate() -> &'static str {
    env!("CARGO_BIN_EXE_herdgate")
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Said {
    /// `None`: killed by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary to its end. A server that it leaves in the background must not hold on to its output: whoever reads
/// that, a shell or an ssh session, would wait for ever.
#[track_caller]
pub(crate) fn run<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Said {
    let mut command = Command::new(herdgate());
    command.args(arguments);
    end_of(command)
}

/// Runs a command to its end.
#[track_caller]
fn end_of(mut command: Command) -> Said {
    let process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let (tell, output) = channel();
    super::thread(move || tell.send(process.wait_with_output()));
    let output = output.recv_timeout(PATIENCE).expect("it ends, and so does its output");
    let output = output.expect("the output can be read");
    Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `herdgate -f CONF ARGUMENTS…`
pub(crate) fn run_with(conf: &Path, arguments: &[&str]) -> Said {
    let conf = conf.to_str().expect("a temporary folder has a plain name");
    run(["-f", conf].into_iter().chain(arguments.iter().copied()))
}

/// As [`run_with`], in a cgroup.
pub(crate) fn run_in(group: &Group, conf: &Path, arguments: &[&str]) -> Said {
    let mut command = group.command();
    command.arg("-f").arg(conf).args(arguments);
    end_of(command)
}
