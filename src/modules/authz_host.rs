//! # mod_authz_host: where clients come from
//!
//! ```text
//! Require ip 10.1              a partial address: 10.1.0.0/16
//!            10.1.2.3          one address
//!            10.1.0.0/16       a network, by its number of bits
//!            10.1.0.0/255.255.0.0   or by its mask
//!            2001:db8::/32     IPv6
//! Require host example.org     the address has this name or one below it, and the name has the address
//! Require forward-dns a.dyndns.example   the name has the address, whatever the address is called
//! ```
//!
//! - Names need the DNS, which may take long: only jobs ask it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};

use herdgate_conf::{Args, Problem, Word};

use super::{Module, authz_core};
use crate::expr::Text;
use crate::files::Access;
use crate::log::{Level, Quoted};
use crate::request::{NameTrust, Request, Stop};

/// `Require ip`
pub(super) fn is_in(request: &Request<'_>, networks: &[Network]) -> bool {
    let address = request.client().address_or_own();
    networks.iter().any(|network| network.contains(address))
}

/// `Require local`
pub(super) fn is_local(request: &Request<'_>) -> bool {
    are_one_machine(request.client().address_or_own(), request.local().ip())
}

/// A loopback address, or both ends have one address.
pub(super) fn are_one_machine(client: IpAddr, local: IpAddr) -> bool {
    let client = client.to_canonical();
    client.is_loopback() || client == local.to_canonical()
}

/// `Require host`
pub(super) fn is_called(request: &Request<'_>, names: &Text) -> Result<bool, Stop> {
    let Some(name) = request.client_name(NameTrust::Confirmed)? else {
        request.log(Level::Error, "authz_host").say(format_args!(
            "AH01753: access check of '{}' to {} failed, reason: unable to get the remote host name",
            Quoted(&authz_core::words(request, names)?.join(&b' ')),
            Quoted(&request.place.path)
        ));
        return Ok(false);
    };
    Ok(authz_core::words(request, names)?.iter().any(|domain| is_within(name.as_bytes(), domain)))
}

/// Whether a name is `domain`, or below it. `domain` may begin with a dot: then it has to be below.
pub(super) fn is_within(name: &[u8], domain: &[u8]) -> bool {
    let Some(at) = name.len().checked_sub(domain.len()) else { return false };
    let (front, end) = name.split_at(at);
    let is_whole = front.is_empty() || domain.starts_with(b".") || front.ends_with(b".");
    is_whole && end.eq_ignore_ascii_case(domain)
}

/// `Require forward-dns`
pub(super) fn is_behind(request: &Request<'_>, names: &Text) -> Result<bool, Stop> {
    let Some(client) = request.client().address else { return Ok(false) };
    if request.access == Access::Inline {
        return Err(Stop::WouldBlock);
    }
    let client = client.ip().to_canonical();
    for name in authz_core::words(request, names)? {
        match (String::from_utf8_lossy(&name).as_ref(), 0).to_socket_addrs() {
            Ok(mut addresses) => {
                if addresses.any(|address| address.ip().to_canonical() == client) {
                    return Ok(true);
                }
            }
            Err(error) => request
                .log(Level::Debug, "authz_host")
                .because(&error)
                .say(format_args!("AH03356: No sockaddr info for \"{}\"", Quoted(&name))),
        }
    }
    Ok(false)
}

/// The names behind `Require host` and `Require forward-dns`, which may be an expression. What stands behind a `#` is
/// passed over.
pub(super) fn host_names(args: &mut Args<'_>) -> Result<Text, Problem> {
    let Some(word) = args.peek() else { return Err(Problem::new("Require requires a name")) };
    let line = args.rest();
    let (names, comment) = match line.split_once('#') {
        Some((names, comment)) => (names, Some(comment)),
        None => (line, None),
    };
    if comment.is_some() {
        let message = format!("AH10121: ignoring comment in 'Require host {}'", line.trim_end());
        args.warn(Problem::at(word, message));
    }
    Text::parse(names.trim_end()).map_err(|message| {
        Problem::at(word, format!("Cannot parse expression in require line: {message}"))
    })
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    /// What an address must equal, once it is masked. IPv4 in the low bits.
    bits: u128,
    mask: u128,
    is_v6: bool,
}

impl Network {
    pub(super) fn parse(word: &Word) -> Result<Network, Problem> {
        parse(&word.text).ok_or_else(|| {
            Problem::at(word, format!("ip address '{}' appears to be invalid", word.text))
                .help("10.1, 10.1.2.3, 10.1.0.0/16, 10.1.0.0/255.255.0.0 or 2001:db8::/32")
        })
    }

    /// An address, a partial one, or a network.
    pub(crate) fn of_text(text: &str) -> Option<Network> {
        parse(text)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => !self.is_v6 && u128::from(v4.to_bits()) & self.mask == self.bits,
            IpAddr::V6(v6) => self.is_v6 && v6.to_bits() & self.mask == self.bits,
        }
    }

    fn v4(address: Ipv4Addr, mask: u32) -> Network {
        let bits = u128::from(address.to_bits() & mask);
        Network { bits, mask: u128::from(mask), is_v6: false }
    }

    fn v6(address: Ipv6Addr, mask: u128) -> Network {
        Network { bits: address.to_bits() & mask, mask, is_v6: true }
    }
}

fn parse(text: &str) -> Option<Network> {
    let Some((address, range)) = text.split_once('/') else {
        if let Ok(address) = text.parse() {
            return Some(match address {
                IpAddr::V4(v4) => Network::v4(v4, u32::MAX),
                IpAddr::V6(v6) => Network::v6(v6, u128::MAX),
            });
        }
        return partial(text);
    };
    match address.parse().ok()? {
        IpAddr::V4(v4) => Some(Network::v4(v4, v4_mask(range)?)),
        IpAddr::V6(v6) => {
            let bits: u32 = range.parse().ok().filter(|bits| *bits <= 128)?;
            Some(Network::v6(v6, u128::MAX.checked_shl(128 - bits).unwrap_or(0)))
        }
    }
}

fn v4_mask(range: &str) -> Option<u32> {
    if let Ok(mask) = range.parse::<Ipv4Addr>() {
        let mask = mask.to_bits();
        // A mask is ones, then zeros: anything else is a typing error.
        return (mask.leading_ones() + mask.trailing_zeros() >= 32).then_some(mask);
    }
    let bits: u32 = range.parse().ok().filter(|bits| *bits <= 32)?;
    Some(u32::MAX.checked_shl(32 - bits).unwrap_or(0))
}

/// `10`, `10.1`, `10.1.2`, each perhaps with a dot at its end.
fn partial(text: &str) -> Option<Network> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let parts: Vec<u8> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let bits = 8 * u32::try_from(parts.len()).ok().filter(|count| (1..=3).contains(count))?;
    let mut octets = [0; 4];
    octets[..parts.len()].copy_from_slice(&parts);
    Some(Network::v4(Ipv4Addr::from(octets), u32::MAX << (32 - bits)))
}

pub(super) const MODULE: Module =
    Module::without_directives("authz_host_module", "mod_authz_host.c");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_hold_whole_names() {
        for (name, domain, expected) in [
            ("a.example.org", "example.org", true),
            ("a.EXAMPLE.org", "Example.Org", true),
            ("example.org", "example.org", true),
            ("example.org", ".example.org", false),
            ("a.example.org", ".example.org", true),
            ("badexample.org", "example.org", false),
            ("org", "example.org", false),
        ] {
            assert_eq!(
                is_within(name.as_bytes(), domain.as_bytes()),
                expected,
                "{name} in {domain}"
            );
        }
    }
}
