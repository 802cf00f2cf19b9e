//! # proxy_protocol: what a load balancer says about its client, before the first request
//!
//! ```text
//! PROXY TCP4 192.0.2.1 203.0.113.7 56324 80⏎GET / …        version 1: a line
//! └─ 12 bytes nobody else sends ─ version ─ family ─ length ─ addresses ─ more ─ GET / …        version 2
//! ```
//!
//! - Pure: bytes in, an address out. Any split of the bytes gives the same answer.
//! - `UNKNOWN` and `LOCAL` mean that the balancer speaks for itself: the address of the connection counts.
//! - Bounded: version 1 by its specification, version 2 by [`V2_BYTES_MAX`], which leaves room for a client's certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest line of version 1, its end included.
const V1_BYTES_MAX: usize = 107;
/// The longest header of version 2 that is read.
pub const V2_BYTES_MAX: usize = 4096;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Start, version and command, family, length.
const V2_FIXED_BYTES: usize = 16;

/// What stands before the first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// It goes on beyond these bytes.
    Partial,
    /// It is the first `length` bytes.
    Complete {
        /// The client; `None`: whoever has connected.
        client: Option<SocketAddr>,
        /// Its own bytes.
        length: usize,
    },
    /// It is none.
    Invalid(&'static str),
}

/// Reads the beginning of a connection.
pub fn parse(bytes: &[u8]) -> Preamble {
    if begins(bytes, V2_START) {
        return if bytes.len() < V2_FIXED_BYTES { Preamble::Partial } else { binary(bytes) };
    }
    if !begins(bytes, V1_START) {
        return Preamble::Invalid("it does not begin like one");
    }
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(V1_BYTES_MAX)]) {
        Some(end) => match line(&bytes[..end]) {
            Ok(client) => Preamble::Complete { client, length: end + 1 },
            Err(why) => Preamble::Invalid(why),
        },
        None if bytes.len() >= V1_BYTES_MAX => Preamble::Invalid("its line is too long"),
        None => Preamble::Partial,
    }
}

/// Whether `bytes` begin with `start`, as far as they have come.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let length = bytes.len().min(start.len());
    bytes[..length] == start[..length]
}

/// Version 1, without its line feed.
fn line(line: &[u8]) -> Result<Option<SocketAddr>, &'static str> {
    let line = line.strip_suffix(b"\r").ok_or("its line does not end in CR LF")?;
    let line = std::str::from_utf8(line).map_err(|_| "its line is not ASCII")?;
    let mut words = line.split(' ').skip(1);
    let mut next = || words.next().ok_or("a word is missing in its line");
    let is_v4 = match next()? {
        "UNKNOWN" => return Ok(None), // Whatever follows.
        "TCP4" => true,
        "TCP6" => false,
        _ => return Err("its family is unknown"),
    };
    let ip = |word: &str| {
        let ip = word.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == is_v4);
        ip.ok_or("an address in its line is none of its family")
    };
    let port = |word: &str| {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        let port = word.parse::<u16>().ok().filter(|_| digits);
        port.ok_or("a port in its line is none")
    };
    let (client, _own) = (ip(next()?)?, ip(next()?)?);
    let (client_port, _own) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err("there is too much in its line");
    }
    Ok(Some(SocketAddr::new(client, client_port)))
}

/// Version 2, at least its fixed part.
fn binary(bytes: &[u8]) -> Preamble {
    let (command, family) = (bytes[12], bytes[13]);
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if command >> 4 != 2 {
        return Preamble::Invalid("its version is unknown");
    }
    if length > V2_BYTES_MAX {
        return Preamble::Invalid("it is too long");
    }
    let Some(addresses) = bytes.get(V2_FIXED_BYTES..length) else { return Preamble::Partial };
    let client = match (command & 0x0f, family) {
        (0, _) | (1, 0) => Ok(None), // LOCAL; or a proxied connection of a family that cannot be told.
        (1, 0x11) => v4(addresses).ok_or("its addresses are too short"),
        (1, 0x21) => v6(addresses).ok_or("its addresses are too short"),
        (1, _) => Err("its protocol is not TCP over IPv4 or IPv6"),
        _ => Err("its command is unknown"),
    };
    match client {
        Ok(client) => Preamble::Complete { client, length },
        Err(why) => Preamble::Invalid(why),
    }
}

/// Client, server, client's port, server's port. What may follow them is not looked at.
fn v4(bytes: &[u8]) -> Option<Option<SocketAddr>> {
    let bytes: &[u8; 12] = bytes.first_chunk()?;
    let [a, b, c, d, .., high, low, _, _] = *bytes;
    Some(Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))))
}

fn v6(bytes: &[u8]) -> Option<Option<SocketAddr>> {
    let bytes: &[u8; 36] = bytes.first_chunk()?;
    let client: &[u8; 16] = bytes.first_chunk()?;
    let port = u16::from_be_bytes([bytes[32], bytes[33]]);
    Some(Some(SocketAddr::new(Ipv6Addr::from(*client).into(), port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn complete(client: &str, length: usize) -> Preamble {
        let client = (!client.is_empty()).then(|| client.parse().unwrap());
        Preamble::Complete { client, length }
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &length, addresses].concat()
    }

    #[test]
    fn lines_of_version_1() {
        let check =
            |line: &str, expected: Preamble| assert_eq!(parse(line.as_bytes()), expected, "{line}");
        check("PROXY TCP4 192.0.2.1 203.0.113.7 56324 80\r\nGET", complete("192.0.2.1:56324", 43));
        check("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", complete("[2001:db8::1]:1", 32));
        check("PROXY UNKNOWN\r\n", complete("", 15));
        check("PROXY UNKNOWN what ever\r\n", complete("", 25));
        for partial in ["", "P", "PROXY ", "PROXY TCP4 192.0.2.1 203.0.113.7 56324 80\r"] {
            check(partial, Preamble::Partial);
        }
        for invalid in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 192.0.2.1 203.0.113.7 56324 80\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 203.0.113.7 1\r\n",
            "PROXY TCP4 192.0.2.1 203.0.113.7 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1 203.0.113.7 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 203.0.113.7 65536 2\r\n",
            "PROXY UDP4 192.0.2.1 203.0.113.7 1 2\r\n",
        ] {
            assert!(matches!(parse(invalid.as_bytes()), Preamble::Invalid(_)), "{invalid}");
        }
        let long = format!("PROXY UNKNOWN {}", "x".repeat(V1_BYTES_MAX));
        assert!(matches!(parse(long.as_bytes()), Preamble::Invalid(_)));
    }

    #[test]
    fn headers_of_version_2() {
        let addresses = [192, 0, 2, 1, 203, 0, 113, 7, 0x12, 0x34, 0, 80];
        assert_eq!(parse(&v2(0x21, 0x11, &addresses)), complete("192.0.2.1:4660", 28));
        let with_more = [&addresses[..], &[4, 0, 1, 0]].concat();
        assert_eq!(parse(&v2(0x21, 0x11, &with_more)), complete("192.0.2.1:4660", 32));
        let mut v6 = [0; 36];
        (v6[0], v6[15], v6[33]) = (0x20, 1, 9);
        assert_eq!(parse(&v2(0x21, 0x21, &v6)), complete("[2000::1]:9", 52));
        assert_eq!(parse(&v2(0x20, 0, b"")), complete("", 16));
        assert_eq!(parse(&v2(0x21, 0, b"tlv")), complete("", 19));
        for (command, family, addresses) in [
            (0x11, 0x11, &addresses[..]),
            (0x22, 0x11, &addresses),
            (0x21, 0x12, &addresses),
            (0x21, 0x31, &addresses),
            (0x21, 0x11, &addresses[..11]),
            (0x21, 0x21, &addresses),
            (0x21, 0x11, &[0; V2_BYTES_MAX]),
        ] {
            let bytes = v2(command, family, addresses);
            assert!(matches!(parse(&bytes), Preamble::Invalid(_)), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_prefix_of_a_header_is_judged_otherwise(
            tail in prop::collection::vec(any::<u8>(), 0..64),
            which in 0..3,
        ) {
            let bytes = match which {
                0 => tail,
                1 => [V1_START, b"TCP4 192.0.2.1 ", &tail].concat(),
                _ => [V2_START, &tail].concat(),
            };
            if let Preamble::Complete { length, .. } = parse(&bytes) {
                for end in 0..length {
                    prop_assert_eq!(parse(&bytes[..end]), Preamble::Partial);
                }
                prop_assert_eq!(parse(&bytes), parse(&bytes[..length]));
            }
        }
    }
}
