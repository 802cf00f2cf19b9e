//! # mod_authz_host: networks in `Require ip`
//!
//! ```text
//! 10.1              a partial address: 10.1.0.0/16
//! 10.1.2.3          one address
//! 10.1.0.0/16       a network, by its number of bits
//! 10.1.0.0/255.255.0.0   or by its mask
//! 2001:db8::/32     IPv6
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use herdgate_conf::{Problem, Word};

use super::Module;

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

pub(super) const MODULE: Module = Module {
    name: "authz_host_module",
    file: "mod_authz_host.c",
    server: &[],
    host: &[],
    directory: &[],
};
