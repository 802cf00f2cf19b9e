//! What a `Listen` line says.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use herdgate_conf::{Args, Problem, Span, Word};

/// One `Listen` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where connections are awaited.
    pub address: ListenAddress,
    /// In lower case: `https` for port 443, else `http`, unless written.
    pub protocol: String,
    /// Who may connect to a socket file.
    pub access: Access,
    /// Where it was written.
    pub span: Span,
    /// The same as `FILE:LINE`.
    pub place: String,
}

/// Where connections are awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// Any address of the machine: IPv6 and IPv4 where the system has both.
    Any(u16),
    /// One address. Port 0 takes a free one.
    Exact(SocketAddr),
    /// A socket file, absolute: for clients on this machine.
    Unix(PathBuf),
}

/// A socket file's rights, as written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// `mode=`: permission bits; `None` is 0660.
    pub mode: Option<u32>,
    /// `owner=`: a name or `#id`.
    pub owner: Option<(String, Span)>,
    /// `group=`: likewise.
    pub group: Option<(String, Span)>,
}

impl ListenAddress {
    /// The port, if it has one; 0 is any free one.
    pub fn port(&self) -> Option<u16> {
        match self {
            ListenAddress::Any(port) => Some(*port),
            ListenAddress::Exact(address) => Some(address.port()),
            ListenAddress::Unix(_) => None,
        }
    }
}

pub(super) fn listen(args: &mut Args<'_>) -> Result<Listen, Problem> {
    let word = args.required()?;
    let address = match word.text.strip_prefix("unix:") {
        Some("") => return Err(Problem::at(word, "unix: needs the path of a socket file")),
        Some(path) => ListenAddress::Unix(args.base().join(path)),
        None => listen_address(word)?,
    };
    let mut protocol = None;
    let mut access = Access::default();
    for word in &mut *args {
        if matches!(address, ListenAddress::Unix(_)) && read_access(word, &mut access)? {
            continue;
        }
        if protocol.replace(word.text.to_ascii_lowercase()).is_some() {
            return Err(Problem::at(word, "one protocol is enough"));
        }
    }
    let usual = if address.port() == Some(443) { "https" } else { "http" };
    let protocol = protocol.unwrap_or_else(|| usual.to_string());
    Ok(Listen { address, protocol, access, span: word.span, place: args.source() })
}

/// Reads `mode=0660`, `owner=USER` or `group=GROUP`; says whether it was one of them.
fn read_access(word: &Word, access: &mut Access) -> Result<bool, Problem> {
    let Some((name, value)) = word.text.split_once('=') else { return Ok(false) };
    let named = || (value.to_string(), word.span);
    match name.to_ascii_lowercase().as_str() {
        "mode" => {
            let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777);
            let bad = || Problem::at(word, "a mode is an octal number up to 0777, such as 0660");
            access.mode = Some(mode.ok_or_else(bad)?);
        }
        "owner" => access.owner = Some(named()),
        "group" => access.group = Some(named()),
        _ => {
            return Err(
                Problem::at(word, "not known here").help("mode=0660 owner=USER group=GROUP")
            );
        }
    }
    Ok(true)
}

fn listen_address(word: &Word) -> Result<ListenAddress, Problem> {
    let bad = |message: &str| {
        Problem::at(word, message)
            .help("a port, address:port with IPv6 addresses in brackets, or unix:path")
    };
    let (host, port) = match word.text.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, word.text.as_str()),
    };
    if port.is_empty() || port.contains([']', '.']) {
        return Err(bad("Port must be specified"));
    }
    let port: u16 = port.parse().map_err(|_| bad("the port must be from 0 to 65535"))?;
    let Some(host) = host.filter(|host| *host != "*") else { return Ok(ListenAddress::Any(port)) };
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if v6.is_some_and(|host| host.contains('%')) {
        // The standard parser knows numbered zones only; names would need a look at the interfaces.
        let zone = word.text.parse().map(ListenAddress::Exact);
        return zone.map_err(|_| bad("zones must be numbers so far, as `ip link` shows them"));
    }
    let address = match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    };
    let address =
        address.ok_or_else(|| bad("the address must be a number: names are not supported yet"))?;
    Ok(ListenAddress::Exact(SocketAddr::new(address, port)))
}
