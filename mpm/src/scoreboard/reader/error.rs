//! Why a file cannot be read as a scoreboard, in words.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::super::areas::LAYOUT_VERSION;

/// Why a file cannot be read as a scoreboard.
#[derive(Debug)]
pub struct ReadError {
    pub(super) path: PathBuf,
    pub(super) fault: Fault,
}

#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    NotAScoreboard,
    /// Its maker has not got to the end of it, or died before.
    Unfinished,
    /// A layout that we do not know.
    Version(u32),
    /// An area is missing, or does not lie within the file.
    Damaged(&'static str),
}

impl ReadError {
    /// The operating system's error, if it is one.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match &self.fault {
            Fault::Io(error) => Some(error.kind()),
            Fault::NotAScoreboard | Fault::Unfinished | Fault::Version(_) | Fault::Damaged(_) => {
                None
            }
        }
    }

    /// Whether the file is something else than a scoreboard.
    #[must_use]
    pub fn is_something_else(&self) -> bool {
        matches!(self.fault, Fault::NotAScoreboard)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.fault {
            Fault::Io(error) => write!(f, "{error}"),
            Fault::NotAScoreboard => write!(f, "not a scoreboard"),
            Fault::Unfinished => write!(f, "a scoreboard whose server never came to write it"),
            Fault::Version(version) => write!(
                f,
                "a scoreboard of version {version}; this program knows version {LAYOUT_VERSION}"
            ),
            Fault::Damaged(area) => {
                write!(f, "damaged: its area '{area}' is missing or impossible")
            }
        }
    }
}

impl std::error::Error for ReadError {}
