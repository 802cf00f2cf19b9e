//! # hosts: which virtual host a request is for
//!
//! ```text
//! address of our end:   192.0.2.1:80  →  192.0.2.1:*  →  *:80  →  *:*  →  the main server
//!                       the first of these that any <VirtualHost> names
//! name within it:       the first host that has it as ServerName or ServerAlias,
//!                       else the first whose <VirtualHost> argument is the name,
//!                       else the first host of that address
//! ```
//!
//! - An address beats a name: a host at 192.0.2.1 hides all hosts at `*` from who connects there.
//! - Looking up allocates nothing: names are compared in a buffer on the stack.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::pattern::{self, Slash};

/// The number of a host in `Config::hosts`; 0 is the main server.
pub type HostIndex = usize;

/// The main server: what no `<VirtualHost>` stands for.
pub const MAIN: HostIndex = 0;

/// All virtual hosts by address and name.
#[derive(Debug, Clone, Default)]
pub struct HostTable {
    groups: HashMap<Key, Group>,
    /// Whether any `<VirtualHost>` names an address.
    has_addresses: bool,
}

/// What a `<VirtualHost>` argument names; `None` stands for `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: Option<u16>,
}

/// What the table must know of a virtual host.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'h> {
    pub(crate) host: HostIndex,
    pub(crate) keys: &'h [Key],
    /// ServerName and the ServerAliases, in lower case; the latter with wildcards.
    pub(crate) names: Vec<&'h str>,
    /// The `<VirtualHost>` arguments without their ports, in lower case.
    pub(crate) arguments: Vec<&'h str>,
}

/// The hosts of one address and port, in file order.
#[derive(Debug, Clone, Default)]
struct Group {
    hosts: Vec<HostIndex>,
    /// By name: a place in `hosts`, the first that has it.
    exact: HashMap<Box<str>, usize>,
    /// Patterns with their place in `hosts`, in that order.
    wild: Vec<(Box<str>, usize)>,
    /// By the argument of `<VirtualHost>`.
    arguments: HashMap<Box<str>, usize>,
}

/// No name in the DNS is longer.
const NAME_BYTES_MAX: usize = 255;

impl HostTable {
    /// Orders the hosts, which come in file order.
    pub(crate) fn new<'h>(entries: impl IntoIterator<Item = Entry<'h>>) -> Self {
        let mut table = Self::default();
        for entry in entries {
            for key in entry.keys {
                table.has_addresses |= key.address.is_some();
                table.groups.entry(*key).or_default().push(&entry);
            }
        }
        table
    }

    /// The host for a request that came in at `local` and asks for `name`, the value of the Host field or the
    /// authority of an absolute URL. A port in it is not looked at.
    pub fn select(&self, local: SocketAddr, name: Option<&[u8]>) -> HostIndex {
        match self.group(local) {
            Some(group) => group.select(name),
            None => MAIN,
        }
    }

    /// The host whose limits hold before the name is known: the first one of the address.
    pub fn first(&self, local: SocketAddr) -> HostIndex {
        self.group(local).and_then(|group| group.hosts.first().copied()).unwrap_or(MAIN)
    }

    /// Whether the address of our end decides, so that a listener on any address must ask for it (getsockname).
    /// If not, [`HostTable::select`] may be given the listener's own address with its port.
    pub fn needs_local_address(&self) -> bool {
        self.has_addresses
    }

    fn group(&self, local: SocketAddr) -> Option<&Group> {
        if self.groups.is_empty() {
            return None;
        }
        let address = Some(local.ip().to_canonical());
        let port = Some(local.port());
        [(address, port), (address, None), (None, port), (None, None)]
            .into_iter()
            .find_map(|(address, port)| self.groups.get(&Key { address, port }))
    }
}

impl Group {
    fn push(&mut self, entry: &Entry<'_>) {
        if self.hosts.last() == Some(&entry.host) {
            return; // The same argument twice, or `*` and `_default_`.
        }
        let place = self.hosts.len();
        self.hosts.push(entry.host);
        for name in &entry.names {
            if pattern::is_pattern(name) {
                self.wild.push(((*name).into(), place));
            } else {
                self.exact.entry((*name).into()).or_insert(place);
            }
        }
        for argument in &entry.arguments {
            self.arguments.entry((*argument).into()).or_insert(place);
        }
    }

    fn select(&self, name: Option<&[u8]>) -> HostIndex {
        let mut buffer = [0; NAME_BYTES_MAX];
        let name = name.and_then(|name| bare_name(name, &mut buffer));
        let place = name.and_then(|name| self.place_of(name)).unwrap_or(0);
        self.hosts.get(place).copied().unwrap_or(MAIN)
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        let exact = self.exact.get(name).copied();
        // A pattern of an earlier host wins against the exact name of a later one: file order decides.
        let earlier =
            self.wild.iter().take_while(|(_, place)| exact.is_none_or(|exact| *place < exact));
        let matching = |pattern: &str| {
            pattern::matches(pattern.as_bytes(), name.as_bytes(), Slash::IsOrdinary)
        };
        let wild =
            earlier.into_iter().find(|(pattern, _)| matching(pattern)).map(|(_, place)| *place);
        wild.or(exact).or_else(|| self.arguments.get(name).copied())
    }
}

/// The name in lower case, without port and without a dot at its end. An IPv6 address keeps its brackets.
fn bare_name<'b>(name: &[u8], buffer: &'b mut [u8; NAME_BYTES_MAX]) -> Option<&'b str> {
    let end = match name.first() {
        Some(b'[') => name.iter().position(|byte| *byte == b']').map(|at| at + 1),
        _ => name.iter().position(|byte| *byte == b':'),
    };
    let name = &name[..end.unwrap_or(name.len())];
    let name = name.strip_suffix(b".").unwrap_or(name);
    let copy = buffer.get_mut(..name.len()).filter(|copy| !copy.is_empty())?;
    copy.copy_from_slice(name);
    copy.make_ascii_lowercase();
    std::str::from_utf8(copy).ok()
}
