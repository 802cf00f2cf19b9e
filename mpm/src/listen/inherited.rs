//! Sockets that somebody else has opened: systemd, by its protocol (sd_listen_fds(3)), or the server that we replace.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32};

use herdgate_sys as sys;
use socket2::{Socket, Type};
use sys::process::{Pid, adopt_descriptor, take_variable};

use super::Listeners;
use super::buckets::{Line, Member};
use super::listener::{Duty, Listener};
use super::spec::{Address, Place};
use super::unix::FileId;
use crate::Moment;

/// Something was left to us that we cannot use.
#[derive(Debug)]
pub enum InheritError {
    /// A variable of the environment that says nothing sensible.
    Variable {
        /// Its name.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// A descriptor that is no listening socket.
    Descriptor {
        /// Its number.
        number: RawFd,
        /// What is wrong with it.
        source: io::Error,
    },
}

impl fmt::Display for InheritError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, value } => {
                write!(f, "{name}={value} in the environment makes no sense")
            }
            Self::Descriptor { number, source } => {
                write!(f, "descriptor {number}, which we were started with: {source}")
            }
        }
    }
}

impl std::error::Error for InheritError {}

/// systemd hands over sockets from this descriptor on.
const LISTEN_FDS_START: RawFd = 3;

impl Listeners {
    /// The sockets that systemd has opened for us, if it has: to be passed to [`bind`](Self::bind), where `Listen` lines
    /// find theirs by address. They are lent: when we end, systemd goes on listening for our successor.
    ///
    /// # Errors
    /// The environment makes no sense, or a descriptor is no listening stream socket.
    pub fn of_systemd() -> Result<Self, InheritError> {
        if !is_for_us("LISTEN_PID") {
            return Ok(Self::default());
        }
        take("LISTEN_PID")?;
        let names = take("LISTEN_FDNAMES")?.unwrap_or_default();
        let mut names = names.split(':');
        let count = take("LISTEN_FDS")?.unwrap_or_default();
        let count: RawFd = count
            .parse()
            .map_err(|_| InheritError::Variable { name: "LISTEN_FDS", value: count })?;
        let mut lines: Vec<Line> = Vec::new();
        for number in LISTEN_FDS_START..LISTEN_FDS_START.saturating_add(count) {
            let lender = match names.next() {
                None | Some("" | "unknown") => format!("systemd, as descriptor {number}"),
                Some(name) => format!("systemd, as descriptor {number}, \"{name}\""),
            };
            let listener = adopt(number, Some(lender))?;
            // With ReusePort=yes and several lines there are several sockets for one address: buckets.
            let same = lines.iter_mut().find(|line| line.first().address == listener.address);
            match same {
                Some(line) => {
                    line.sockets.push(Member::new(listener));
                    line.live += 1;
                }
                None => lines.push(line(place_of(&listener.address), Member::new(listener))),
            }
        }
        Ok(Self::of_lines(lines, Vec::new(), Vec::new()))
    }

    /// What a successor must know of them, and their descriptors. [`from_description`](Self::from_description) reads it.
    pub(crate) fn described(&self) -> (String, Vec<BorrowedFd<'_>>) {
        let mut text = String::new();
        let mut descriptors = Vec::new();
        for (number, line) in self.known().enumerate() {
            for member in &line.sockets {
                descriptors.push(member.listener.as_fd());
                let fd = member.listener.as_fd().as_raw_fd();
                let role = if member.draining_since.is_none() { "live" } else { "draining" };
                let whose = if member.listener.lender().is_some() { "lent" } else { "ours" };
                text.push_str(&format!("{number} {fd} {role} {whose} {}\n", line.place));
            }
        }
        (text, descriptors)
    }

    /// Adopts what a predecessor has described. They stay its own until [`take_over`](Self::take_over).
    pub(crate) fn from_description(text: &str) -> Result<Self, InheritError> {
        let mut lines: Vec<Line> = Vec::new();
        for entry in text.lines() {
            let parsed = Entry::parse(entry).ok_or_else(|| InheritError::Variable {
                name: crate::upgrade::VARIABLE,
                value: entry.to_owned(),
            })?;
            let lender =
                parsed.is_lent.then(|| "whoever has lent it to our predecessor".to_owned());
            let listener = adopt(parsed.fd, lender)?;
            let draining_since = parsed.is_draining.then(Moment::now);
            let member = Member { listener: Arc::new(listener), draining_since };
            match lines.get_mut(parsed.line) {
                Some(line) => {
                    line.live += usize::from(!parsed.is_draining);
                    line.sockets.push(member);
                }
                None => lines.push(line(parsed.place, member)),
            }
        }
        Ok(Self::of_lines(lines, Vec::new(), Vec::new()))
    }
}

fn line(place: Place, first: Member) -> Line {
    Line { place, sockets: vec![first], live: 1 }
}

fn place_of(address: &Address) -> Place {
    match address {
        Address::Inet(address) => Place::Exact(*address),
        Address::Unix(path) => Place::Unix(path.clone()),
    }
}

/// One socket, as it is described.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    fd: RawFd,
    is_draining: bool,
    is_lent: bool,
    place: Place,
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(5, ' ');
        let (line, fd) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let is_draining = choice(words.next()?, "live", "draining")?;
        let is_lent = choice(words.next()?, "ours", "lent")?;
        Some(Self { line, fd, is_draining, is_lent, place: Place::parse(words.next()?)? })
    }
}

fn choice(word: &str, no: &str, yes: &str) -> Option<bool> {
    if word == yes { Some(true) } else { (word == no).then_some(false) }
}

fn adopt(number: RawFd, lender: Option<String>) -> Result<Listener, InheritError> {
    let unusable = |source| InheritError::Descriptor { number, source };
    let wrong = |what: &str| unusable(io::Error::new(io::ErrorKind::InvalidInput, what));
    let socket = Socket::from(adopt_descriptor(number).map_err(unusable)?);
    if socket.r#type().map_err(unusable)? != Type::STREAM
        || !socket.is_listener().map_err(unusable)?
    {
        return Err(wrong("not a listening stream socket"));
    }
    socket.set_nonblocking(true).map_err(unusable)?;
    let bound = socket.local_addr().map_err(unusable)?;
    let address = match (bound.as_socket(), bound.as_pathname()) {
        (Some(address), _) => Address::Inet(address),
        (None, Some(path)) => Address::Unix(path.to_owned()),
        (None, None) => return Err(wrong("neither TCP nor a socket file")),
    };
    let file = address.path().and_then(|path| FileId::of(path).ok());
    let keeper = AtomicI32::new(Pid::this().as_raw());
    let duty = Duty { keeper, is_ours: AtomicBool::new(false), file, lender };
    Ok(Listener { socket, address, duty })
}

/// Whether a variable names this very process: those that follow it are for us, and not for somebody who started us.
fn is_for_us(name: &str) -> bool {
    std::env::var(name).is_ok_and(|pid| pid == Pid::this().to_string())
}

/// Takes a variable out of the environment.
pub(crate) fn take(name: &'static str) -> Result<Option<String>, InheritError> {
    let unusable = |value: OsString| InheritError::Variable {
        name,
        value: value.to_string_lossy().into_owned(),
    };
    let value = take_variable(name).map_err(|error| unusable(error.to_string().into()))?;
    value.map(OsString::into_string).transpose().map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ListenSpec;
    use crate::listen::ListenOptions;

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b");
        let specs = [
            ListenSpec::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
            ListenSpec::at(Place::Unix(path.clone())),
        ];
        let of = |buckets| ListenOptions { buckets, ..ListenOptions::default() };
        let three = Listeners::bind(&specs, of(3), &Listeners::default()).unwrap();
        let two = Listeners::bind(&specs, of(2), &three).unwrap();
        let (text, descriptors) = two.described();
        let entries: Vec<Entry> = text.lines().map(|entry| Entry::parse(entry).unwrap()).collect();
        assert_eq!(descriptors.len(), 4);
        let numbers = descriptors.iter().map(BorrowedFd::as_raw_fd);
        assert!(numbers.eq(entries.iter().map(|entry| entry.fd)));
        let lines: Vec<usize> = entries.iter().map(|entry| entry.line).collect();
        assert_eq!(lines, [0, 0, 0, 1]);
        let draining: Vec<bool> = entries.iter().map(|entry| entry.is_draining).collect();
        assert_eq!(draining, [false, false, true, false]);
        assert_eq!(entries[3].place, Place::Unix(path));
        assert!(!entries[0].is_lent);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "0", "0 5 live ours", "x 5 live ours *:80", "0 5 dead ours *:80"] {
            assert_eq!(Entry::parse(text), None, "{text}");
        }
        assert!(Listeners::from_description("nonsense").is_err());
        assert!(Listeners::from_description("0 1 live ours *:80").is_err(), "standard output");
    }
}
