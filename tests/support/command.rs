//! # The command line: a run of the binary that ends by itself, and what it said

use std::path::Path;
use std::process::{Command, Stdio};

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

/// Runs the binary to its end.
pub(crate) fn run<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Said {
    let output = Command::new(herdgate())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
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
