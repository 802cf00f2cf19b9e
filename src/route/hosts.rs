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
use std::fmt;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The host for a request that came in at `local` and asks for `name`, the value of the Host
    /// field or the authority of an absolute URL. A port in it is not looked at.
    pub fn select(&self, local: SocketAddr, name: Option<&[u8]>) -> HostIndex {
        match self.group(local) {
            Some(group) => group.select(name),
            None => MAIN,
        }
    }

    /// The host whose limits hold before the name is known: the first one of the address.
    pub fn first(&self, local: SocketAddr) -> HostIndex {
        self.members(local).first().copied().unwrap_or(MAIN)
    }

    /// The hosts of the address, in file order; none if it is the main server's.
    pub fn members(&self, local: SocketAddr) -> &[HostIndex] {
        self.group(local).map_or(&[], |group| &group.hosts)
    }

    /// All hosts of the address, in file order; the main server if there are none.
    pub(crate) fn all(&self, local: SocketAddr) -> &[HostIndex] {
        self.group(local).map_or(&[MAIN], |group| &group.hosts)
    }

    /// Whether a host for `local` has this name, as [`select`](Self::select) sees it.
    pub(crate) fn knows(&self, local: SocketAddr, name: &[u8]) -> bool {
        let mut buffer = [0; NAME_BYTES_MAX];
        let name = bare_name(name, &mut buffer);
        let group = self.group(local);
        group.zip(name).is_some_and(|(group, name)| group.place_of(name).is_some())
    }

    /// Whether the address of our end decides, so that a listener on any address must ask for it
    /// (getsockname). If not, [`HostTable::select`] may be given the listener's own address with
    /// its port.
    pub fn needs_local_address(&self) -> bool {
        self.has_addresses
    }

    /// The addresses that any `<VirtualHost>` names, as `ADDRESS:PORT`, with their hosts in file order: those with an
    /// address first, as httpd lists them.
    pub fn groups(&self) -> Vec<(String, &[HostIndex])> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(key, group)| (key.address.is_none(), &group.hosts, **key));
        groups.into_iter().map(|(key, group)| (key.to_string(), group.hosts.as_slice())).collect()
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

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => out.write_str("*:")?,
            Some(IpAddr::V4(address)) => write!(out, "{address}:")?,
            Some(IpAddr::V6(address)) => write!(out, "[{address}]:")?,
        }
        match self.port {
            Some(port) => write!(out, "{port}"),
            None => out.write_str("*"),
        }
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
        // A pattern of an earlier host wins against the exact name of a later one: file order
        // decides.
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

/// The name in lower case, without port and without a dot at its end. An IPv6 address keeps its
/// brackets.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A virtual host for tests: its addresses, its names, its arguments.
    #[derive(Debug, Clone)]
    struct Virtual {
        keys: Vec<Key>,
        names: Vec<String>,
        arguments: Vec<String>,
    }

    fn virtual_host(addresses: &[&str], names: &[&str]) -> Virtual {
        let any = |text: &str| text == "*";
        let key = |address: &&str| {
            let (host, port) = address.rsplit_once(':').unwrap();
            let host = host.trim_matches(['[', ']']);
            Key {
                address: (!any(host)).then(|| host.parse().unwrap()),
                port: (!any(port)).then(|| port.parse().unwrap()),
            }
        };
        let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
        Virtual {
            keys: addresses.iter().map(key).collect(),
            names: owned(names),
            arguments: vec![],
        }
    }

    fn table(hosts: &[Virtual]) -> HostTable {
        HostTable::new(hosts.iter().enumerate().map(|(place, host)| Entry {
            host: place + 1,
            keys: &host.keys,
            names: host.names.iter().map(String::as_str).collect(),
            arguments: host.arguments.iter().map(String::as_str).collect(),
        }))
    }

    fn hosts() -> Vec<Virtual> {
        let mut named = virtual_host(&["192.0.2.1:80"], &["five"]);
        named.arguments.push("by-argument".into());
        vec![
            virtual_host(&["*:80"], &["one", "*.wild"]),
            virtual_host(&["*:80"], &["two", "exact.wild"]),
            virtual_host(&["*:*"], &["three"]),
            virtual_host(&["192.0.2.1:*"], &["four"]),
            named,
            virtual_host(&["[2001:db8::1]:443", "*:80"], &["six"]),
        ]
    }

    #[track_caller]
    fn check(local: &str, name: &str, expected: HostIndex) {
        let name = Some(name.as_bytes()).filter(|name| !name.is_empty());
        assert_eq!(table(&hosts()).select(local.parse().unwrap(), name), expected);
    }

    #[test]
    fn the_best_address_decides_before_the_name() {
        check("198.51.100.1:80", "two", 2);
        check("198.51.100.1:80", "three", 1);
        check("198.51.100.1:8080", "two", 3);
        check("192.0.2.1:8080", "one", 4);
        check("192.0.2.1:80", "one", 5);
        check("[::ffff:192.0.2.1]:80", "four", 5);
        check("[2001:db8::1]:443", "one", 6);
        check("[2001:db8::1]:80", "six", 6);
        assert_eq!(table(&[]).select("192.0.2.1:80".parse().unwrap(), None), MAIN);
    }

    #[test]
    fn names_are_compared_without_case_port_and_dot() {
        check("198.51.100.1:80", "TWO", 2);
        check("198.51.100.1:80", "two.", 2);
        check("198.51.100.1:80", "Two.:8080", 2);
        check("198.51.100.1:80", "", 1);
        check("198.51.100.1:80", "[::1]:80", 1);
        check("192.0.2.1:80", "by-argument", 5);
        check("198.51.100.1:80", &"x".repeat(1000), 1);
    }

    #[test]
    fn file_order_decides_between_pattern_and_exact_name() {
        check("198.51.100.1:80", "any.wild", 1);
        check("198.51.100.1:80", "exact.wild", 1);
    }

    #[test]
    fn only_addresses_need_the_local_address() {
        assert!(!table(&hosts()[..3]).needs_local_address());
        assert!(table(&hosts()).needs_local_address());
        assert_eq!(table(&hosts()).first("192.0.2.1:80".parse().unwrap()), 5);
        assert_eq!(table(&hosts()[3..]).first("192.0.2.9:81".parse().unwrap()), MAIN);
    }

    /// The rules as they are written in Apache's manual, one after the other.
    fn naive(hosts: &[Virtual], local: SocketAddr, name: &str) -> HostIndex {
        let (address, port) = (Some(local.ip()), Some(local.port()));
        for (address, port) in [(address, port), (address, None), (None, port), (None, None)] {
            let of_address: Vec<usize> = (0..hosts.len())
                .filter(|place| hosts[*place].keys.contains(&Key { address, port }))
                .collect();
            let has_name = |place: &&usize| {
                hosts[**place].names.iter().any(|known| {
                    pattern::matches(known.as_bytes(), name.as_bytes(), Slash::IsOrdinary)
                })
            };
            if let Some(first) = of_address.first() {
                return of_address.iter().find(has_name).unwrap_or(first) + 1;
            }
        }
        MAIN
    }

    fn any_host() -> impl Strategy<Value = Virtual> {
        let address = proptest::sample::select(vec![
            "*:80",
            "*:81",
            "*:*",
            "10.0.0.1:80",
            "10.0.0.1:*",
            "10.0.0.2:81",
        ]);
        let name = proptest::sample::select(vec!["a", "b", "c.a", "*.a", "?", "*"]);
        let addresses = proptest::collection::vec(address, 1..3);
        (addresses, proptest::collection::vec(name, 0..3))
            .prop_map(|(addresses, names)| virtual_host(&addresses, &names))
    }

    proptest! {
        #[test]
        fn agrees_with_the_manual(
            hosts in proptest::collection::vec(any_host(), 0..6),
            local in proptest::sample::select(
                vec!["10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:81", "10.0.0.3:80"],
            ),
            name in proptest::sample::select(vec!["a", "b", "c.a", "d.a", "zz"]),
        ) {
            let local = local.parse().unwrap();
            let found = table(&hosts).select(local, Some(name.as_bytes()));
            prop_assert_eq!(found, naive(&hosts, local, name));
        }
    }
}
