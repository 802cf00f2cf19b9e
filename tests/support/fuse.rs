//! # A file system that answers when a test lets it
//!
//! ```text
//! server ──open, read──▶ kernel ──/dev/fuse──▶ this thread ──held──▶ test
//!        ◀─────────────        ◀─────────────              ◀─go on──
//! ```
//!
//! A disk that takes its time, without a disk and without luck: whoever looks a name up, opens a file, asks how long it
//! is, reads its beginning or its middle, or lists the folder, waits until the test says so. The protocol is the
//! kernel's own (fuse(4), `include/uapi/linux/fuse.h`), as much of it as a few read-only files need.
//!
//! - Mounting needs root and `/dev/fuse`. [`SlowFolder::mount`] says when it cannot be had.
//! - Dropping it lets everybody go on, and unmounts.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::PATIENCE;

/// What the kernel wants to know, and waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Whether there is something of this name.
    LookUp(String),
    /// To open the file of this name.
    Open(String),
    /// What is known about the file of this name. The kernel asks only if the name begins with [`STALE`].
    Stat(String),
    /// The first bytes of the file of this name.
    Read(String),
    /// The bytes in the middle of the file of this name, if they are not among the first.
    ReadOn(String),
    /// The names in the folder.
    List,
}

/// A mounted folder whose files are slow.
pub(crate) struct SlowFolder {
    path: PathBuf,
    held: Receiver<Held>,
    go_on: Option<SyncSender<()>>,
    server: Option<JoinHandle<()>>,
}

impl SlowFolder {
    /// Mounts a folder with these files over `path`, readable for everybody.
    ///
    /// # Errors
    /// No `/dev/fuse`, or no right to mount.
    pub(crate) fn mount(path: &Path, files: Vec<(&'static str, Vec<u8>)>) -> io::Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse")?;
        let options =
            format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_RDONLY;
        mount(Some("herdgate-test"), path, Some("fuse"), flags, Some(options.as_str()))?;
        let (tell_held, held) = channel();
        let (go_on, may_go_on) = sync_channel(0);
        let pause = move |what| {
            // Nobody is there any more: the test is over, and nothing is slow now.
            let _ = tell_held.send(what);
            let _ = may_go_on.recv();
        };
        let server = super::thread(move || serve(device, &files, pause));
        Ok(Self { path: path.to_owned(), held, go_on: Some(go_on), server: Some(server) })
    }

    /// Waits until somebody is held, and says by what. Others queue behind it.
    pub(crate) fn wait_for_held(&self) -> Held {
        self.held.recv_timeout(PATIENCE).expect("somebody asks the file system")
    }

    /// Who is held now, if anybody is: looked at without waiting.
    pub(crate) fn held_now(&self) -> Option<Held> {
        self.held.try_recv().ok()
    }

    /// Lets the one that is held go on.
    pub(crate) fn go_on(&self) {
        self.go_on.as_ref().expect("mounted").send(()).expect("the file system is alive");
    }
}

impl Drop for SlowFolder {
    fn drop(&mut self) {
        self.go_on = None; // From now on nobody is held.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// Larger than the largest request that the kernel sends us: it reads only, and names are short.
const REQUEST_BYTES_MAX: usize = 128 * 1024;
/// The folder itself; files are numbered from 2.
const ROOT: u64 = 1;
const ENOENT: i32 = 2;
const ENOSYS: i32 = 38;

/// Requests, by the kernel's numbers.
mod op {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const READDIR: u32 = 28;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
}

/// Answers the kernel until the folder is unmounted.
fn serve(mut device: File, files: &[(&'static str, Vec<u8>)], pause: impl Fn(Held)) {
    let mut buffer = vec![0; REQUEST_BYTES_MAX];
    // A failed read is ENODEV: unmounted. (ENOENT would be a request that was interrupted on its way; ask again.)
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(ENOENT) => continue,
            Err(_) => return,
        };
        let request = Request(&buffer[..length]);
        let Some(answer) = answer(&request, files, &pause) else { continue };
        let (error, payload) = match answer {
            Ok(payload) => (0, payload),
            Err(error) => (-error, Vec::new()),
        };
        let size = u32::try_from(16 + payload.len()).unwrap();
        let head = [&size.to_le_bytes()[..], &error.to_le_bytes(), &request.unique().to_le_bytes()];
        // A failed write is a request that nobody waits for any more.
        let _ = device.write(&[&head.concat()[..], &payload].concat());
    }
}

/// A request as the kernel sends it: a head of 40 bytes, then what the operation needs. Numbers are in the machine's
/// order, which is little-endian wherever Herdgate runs.
struct Request<'a>(&'a [u8]);

impl Request<'_> {
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn operation(&self) -> u32 {
        self.u32(4)
    }

    fn unique(&self) -> u64 {
        self.u64(8)
    }

    fn node(&self) -> u64 {
        self.u64(16)
    }

    /// Whether a thread of the test asks: whoever tidies up must not wait for itself.
    fn is_our_own(&self) -> bool {
        Path::new("/proc/self/task").join(self.u32(32).to_string()).exists()
    }

    /// The text after the head, up to its NUL.
    fn name(&self) -> &str {
        let text = &self.0[40..];
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        std::str::from_utf8(&text[..end]).unwrap()
    }
}

/// The answer to a request, or an error number. `None`: the kernel expects no answer.
fn answer(
    request: &Request<'_>,
    files: &[(&'static str, Vec<u8>)],
    pause: &impl Fn(Held),
) -> Option<Result<Vec<u8>, i32>> {
    Some(Ok(match request.operation() {
        op::FORGET | op::BATCH_FORGET | op::INTERRUPT => return None,
        op::INIT => initial(request),
        op::LOOKUP => {
            let name = request.name();
            if !request.is_our_own() {
                pause(Held::LookUp(name.to_owned()));
            }
            let Some(number) = files.iter().position(|(other, _)| *other == name) else {
                return Some(Err(ENOENT));
            };
            entry(number, name, files[number].1.len())
        }
        op::GETATTR => {
            let (valid_secs, attributes) = match request.node() {
                ROOT => (LONG_VALID_SECS, folder_attributes()),
                node => {
                    let (name, contents) = &files[file_number(node)];
                    pause(Held::Stat((*name).to_owned()));
                    (valid_secs(name), file_attributes(node, contents.len()))
                }
            };
            [&valid_secs.to_le_bytes()[..], &[0; 8], &attributes].concat()
        }
        op::OPEN => {
            pause(Held::Open(files[file_number(request.node())].0.to_owned()));
            opened(KEEP_CACHE)
        }
        op::OPENDIR => opened(0),
        op::READ => {
            let (name, contents) = &files[file_number(request.node())];
            let size = request.u32(40 + 16) as usize;
            let start = usize::try_from(request.u64(40 + 8)).unwrap().min(contents.len());
            let end = (start + size).min(contents.len());
            if start == 0 {
                pause(Held::Read((*name).to_owned()));
            } else if (start..end).contains(&(contents.len() / 2)) {
                pause(Held::ReadOn((*name).to_owned()));
            }
            contents[start..end].to_vec()
        }
        op::READDIR => {
            let start = usize::try_from(request.u64(40 + 8)).unwrap();
            if start == 0 && !request.is_our_own() {
                pause(Held::List);
            }
            let names = files.iter().enumerate().skip(start);
            names.flat_map(|(number, (name, _))| directory_entry(number, name)).collect()
        }
        op::FLUSH | op::RELEASE | op::RELEASEDIR => Vec::new(),
        _ => return Some(Err(ENOSYS)),
    }))
}

/// The kernel may remember what it was told for so long: longer than any test.
const LONG_VALID_SECS: u64 = 3600;
/// What it is told about files whose names begin so, it may not remember.
pub(crate) const STALE: &str = "stale";

fn valid_secs(name: &str) -> u64 {
    if name.starts_with(STALE) { 0 } else { LONG_VALID_SECS }
}

fn file_number(node: u64) -> usize {
    usize::try_from(node - 2).unwrap()
}

/// `struct fuse_init_out`: we speak 7.31, want nothing special, and take small writes (there are none).
fn initial(request: &Request<'_>) -> Vec<u8> {
    let readahead = request.u32(48);
    let words: [u32; 6] = [7, 31, readahead, 0, 0, 4096];
    let mut answer: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    answer.resize(64, 0);
    answer
}

/// `FOPEN_KEEP_CACHE`: what the kernel has read stays in its page cache when the file is opened again.
const KEEP_CACHE: u32 = 1 << 1;

/// `struct fuse_open_out`.
fn opened(flags: u32) -> Vec<u8> {
    [&[0; 8][..], &flags.to_le_bytes(), &[0; 4]].concat()
}

/// `struct fuse_dirent`.
fn directory_entry(number: usize, name: &str) -> Vec<u8> {
    const REGULAR: u32 = 8;
    let (node, next) = (number as u64 + 2, number as u64 + 1);
    let length = u32::try_from(name.len()).unwrap();
    let mut entry = [node, next].map(u64::to_le_bytes).concat();
    entry.extend([length, REGULAR].map(u32::to_le_bytes).concat());
    entry.extend(name.as_bytes());
    entry.resize(entry.len().next_multiple_of(8), 0);
    entry
}

/// `struct fuse_entry_out`.
fn entry(number: usize, name: &str, size: usize) -> Vec<u8> {
    let node = number as u64 + 2;
    let words: [u64; 5] = [node, 0, LONG_VALID_SECS, valid_secs(name), 0];
    let mut answer: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    answer.extend(file_attributes(node, size));
    answer
}

fn folder_attributes() -> Vec<u8> {
    attributes(ROOT, 0, 0o040_755)
}

fn file_attributes(node: u64, size: usize) -> Vec<u8> {
    attributes(node, size as u64, 0o100_644)
}

/// `struct fuse_attr`. Everything belongs to root and is from one moment in 2020.
fn attributes(node: u64, size: u64, mode: u32) -> Vec<u8> {
    let moment = 1_600_000_000;
    let long: [u64; 6] = [node, size, size.div_ceil(512), moment, moment, moment];
    let (nanoseconds, links, owner, block_bytes) = (0, 1, 0, 4096);
    let short: [u32; 10] =
        [nanoseconds, nanoseconds, nanoseconds, mode, links, owner, owner, 0, block_bytes, 0];
    let long = long.iter().flat_map(|word| word.to_le_bytes());
    long.chain(short.iter().flat_map(|word| word.to_le_bytes())).collect()
}
