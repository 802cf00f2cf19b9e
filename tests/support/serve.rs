//! # `herdgate serve`: the server without a configuration file

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::{command, wait_for};

/// A running `herdgate serve`. Dropping it stops it.
pub(crate) struct Serving {
    process: Child,
    output: TempDir,
    address: SocketAddr,
}

impl Serving {
    /// `herdgate serve FOLDER --port 0 --mpm MODEL MORE…`, once it has said where it is.
    pub(crate) fn start(folder: &Path, model: &str, more: &[&str]) -> Self {
        let output = tempfile::tempdir().unwrap();
        let file = File::create(output.path().join("output")).unwrap();
        let process = Command::new(command::herdgate())
            .arg("serve")
            .arg(folder)
            .args(["--port", "0", "--mpm", model])
            .args(more)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut serving = Self { process, output, address: ([127, 0, 0, 1], 0).into() };
        let address = wait_for(|| {
            let ended = serving.process.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}):\n{}", serving.output());
            address_in(&serving.output())
        });
        serving.address = address.unwrap_or_else(|| panic!("no address in:\n{}", serving.output()));
        serving
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, fields: &[&str]) -> Answer {
        Client::connect(self.address).request("GET", path, fields)
    }

    /// All that it has said so far, on standard output and standard error.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.output.path().join("output")).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait_for_the_end(&mut self) -> ExitStatus {
        let process = &mut self.process;
        wait_for(|| process.try_wait().unwrap()).expect("it ends")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = kill(self.pid(), Signal::SIGTERM);
            let _: io::Result<ExitStatus> = self.process.wait();
        }
    }
}

/// The first address that is printed as a link, port included.
fn address_in(output: &str) -> Option<SocketAddr> {
    let rest = output.split_once("http://")?.1;
    let end = rest.find(['/', '\n', ' ', '\u{1b}'])?;
    rest[..end].parse().ok()
}
