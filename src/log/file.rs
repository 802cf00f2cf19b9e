//! # A log file, and the batch of lines that one turn leaves in it
//!
//! ```text
//! supervisor ──open, O_APPEND──▶ LogFile ──shared by fork──▶ children
//!                                   ▲
//! request ──line──▶ LogBatch ──one write at the end of the turn
//! ```
//!
//! - A log file is opened once, by the supervisor, and never again by a child: it may belong to root.
//! - Lines are whole. A batch leaves in one `write` to a file opened for append, so that the lines of
//!   several processes follow each other and never mix.
//! - The write may block; that is the price of a file. It happens after the answers of the turn are out.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// A batch gives its memory back after a turn that needed more than this.
const BATCH_BYTES_KEPT: usize = 64 * 1024;

/// One open log: a file, or one of the standard streams.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    /// The last batch could not be written.
    is_failing: AtomicBool,
    /// Lines lost since that began.
    lost: AtomicU64,
}

/// What people should know of a log that lines are lost from.
#[derive(Debug)]
pub enum LogNews {
    /// A batch could not be written, and the one before could: a full disk, a closed terminal.
    Failing(io::Error),
    /// It is written again. So many lines were lost.
    Recovered(u64),
}

impl LogFile {
    /// Opens `path` for appending, mode 0644 when it is new. A folder such as `logs` that is missing is
    /// made, if its own parent exists. The last component must not be a symbolic link: whoever may write
    /// to the folder could otherwise make root append to any file.
    ///
    /// `/dev/stdout` and `/dev/stderr` duplicate the descriptor instead of opening it again, since a
    /// socket (systemd's journal) cannot be opened by name and a file would lose its shared offset.
    ///
    /// # Errors
    /// What open(2) says; `ELOOP` means that the last component is a symbolic link.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        match path.to_str() {
            Some("/dev/stdout") => return Self::duplicate(io::stdout().as_fd()),
            Some("/dev/stderr") => return Self::stderr(),
            Some(_) | None => {}
        }
        match append_to(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder_of(path)?;
                append_to(path)
            }
            opened => opened,
        }
        .map(LogFile::of)
    }

    /// The log before a log is open, and of a server in the foreground.
    ///
    /// # Errors
    /// When the process was started with standard error closed, or has no descriptor left.
    pub fn stderr() -> io::Result<LogFile> {
        Self::duplicate(io::stderr().as_fd())
    }

    fn duplicate(stream: std::os::fd::BorrowedFd<'_>) -> io::Result<LogFile> {
        Ok(LogFile::of(File::from(stream.try_clone_to_owned()?)))
    }

    fn of(file: File) -> LogFile {
        LogFile { file, is_failing: AtomicBool::new(false), lost: AtomicU64::new(0) }
    }

    /// As [`append`](Self::append), and says when lines begin to be lost, and when that is over; once each.
    fn append_batch(&self, lines: &[u8]) -> Option<LogNews> {
        match self.append(lines) {
            Err(error) => {
                let count = lines.iter().filter(|byte| **byte == b'\n').count();
                self.lost.fetch_add(count as u64, Relaxed);
                (!self.is_failing.swap(true, Relaxed)).then_some(LogNews::Failing(error))
            }
            Ok(()) => {
                let recovered =
                    self.is_failing.load(Relaxed) && self.is_failing.swap(false, Relaxed);
                recovered.then(|| LogNews::Recovered(self.lost.swap(0, Relaxed)))
            }
        }
    }

    /// Appends whole lines in one `write`; only an interrupted or partial write is continued.
    ///
    /// # Errors
    /// A full disk, a closed terminal. There is nobody left to tell, so most callers drop it.
    pub fn append(&self, lines: &[u8]) -> io::Result<()> {
        (&self.file).write_all(lines)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let no_link = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NOCTTY;
    OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(no_link.bits()).open(path)
}

/// Makes the folder that `path` stands in, one level only: a mistyped path should fail, not grow a tree.
fn make_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Which of a server's open logs; an index into what the supervisor opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId(pub usize);

/// The lines that one thread has collected during one turn, per log.
///
/// ```text
/// let line = batch.line(log);
/// format.write(line, &record, &mut clock);
/// …
/// batch.flush(&logs, tell); // at the end of the turn
/// ```
#[derive(Debug, Default)]
pub struct LogBatch {
    /// Indexed by [`LogId`].
    lines: Vec<Vec<u8>>,
    /// Whether any of them holds something, so that an empty turn costs one comparison.
    pending: bool,
}

impl LogBatch {
    /// The buffer to which the caller appends one whole line, line feed included.
    pub fn line(&mut self, log: LogId) -> &mut Vec<u8> {
        if self.lines.len() <= log.0 {
            self.lines.resize_with(log.0 + 1, Vec::new);
        }
        self.pending = true;
        &mut self.lines[log.0]
    }

    /// Writes what was collected, one `write` for each log, and is empty afterwards. What cannot be
    /// written is lost: a server that stops answering because its log disk is full helps nobody. `tell` hears
    /// of it when that begins, and when it is over.
    pub fn flush(&mut self, logs: &[Arc<LogFile>], mut tell: impl FnMut(LogId, LogNews)) {
        if !self.pending {
            return;
        }
        self.pending = false;
        for (index, lines) in self.lines.iter_mut().enumerate().filter(|(_, l)| !l.is_empty()) {
            let log = logs.get(index).expect("a LogId indexes the logs of its own generation");
            if let Some(news) = log.append_batch(lines) {
                tell(LogId(index), news);
            }
            lines.clear();
            lines.shrink_to(BATCH_BYTES_KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn missing_log_folder_is_made_one_level_deep_only() {
        let root = tempfile::tempdir().unwrap();
        LogFile::open(&root.path().join("logs/access_log")).unwrap().append(b"a\n").unwrap();
        LogFile::open(&root.path().join("logs/access_log")).unwrap().append(b"b\n").unwrap();
        assert_eq!(fs::read(root.path().join("logs/access_log")).unwrap(), b"a\nb\n");
        let deep = LogFile::open(&root.path().join("no/such/log")).unwrap_err();
        assert_eq!(deep.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn log_that_is_a_symbolic_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("elsewhere", root.path().join("log")).unwrap();
        assert!(LogFile::open(&root.path().join("log")).is_err());
        assert!(!root.path().join("elsewhere").exists());
    }

    #[test]
    fn standard_streams_open_by_their_device_names() {
        LogFile::open(Path::new("/dev/stdout")).unwrap();
        LogFile::open(Path::new("/dev/stderr")).unwrap();
    }

    #[test]
    fn batch_keeps_logs_apart_and_is_empty_after_a_flush() {
        let root = tempfile::tempdir().unwrap();
        let logs: Vec<_> = ["a", "b"]
            .iter()
            .map(|n| Arc::new(LogFile::open(&root.path().join(n)).unwrap()))
            .collect();
        let mut batch = LogBatch::default();
        batch.line(LogId(1)).extend_from_slice(b"one\n");
        batch.line(LogId(0)).extend_from_slice(b"zero\n");
        batch.line(LogId(1)).extend_from_slice(b"two\n");
        let no_news = |_log: LogId, news: LogNews| panic!("{news:?}");
        batch.flush(&logs, no_news);
        batch.flush(&logs, no_news);
        assert_eq!(fs::read(root.path().join("a")).unwrap(), b"zero\n");
        assert_eq!(fs::read(root.path().join("b")).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn lines_that_are_lost_are_told_once() {
        let logs = [Arc::new(LogFile::of(append_to(Path::new("/dev/full")).unwrap()))];
        let mut batch = LogBatch::default();
        let mut told = 0;
        for _ in 0..3 {
            batch.line(LogId(0)).extend_from_slice(b"one\ntwo\n");
            batch.flush(&logs, |_log, news| {
                let LogNews::Failing(error) = news else { panic!("{news:?}") };
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                told += 1;
            });
        }
        assert_eq!(told, 1);
        assert_eq!(logs[0].lost.load(Relaxed), 6);
    }
}
