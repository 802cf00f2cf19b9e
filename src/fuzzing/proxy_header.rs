//! The PROXY header: where bytes are cut does not matter, and the client that it tells of is the one that was written.

use std::net::SocketAddr;

use super::cuts;
use crate::http::proxy_protocol::{Preamble, V2_BYTES_MAX, parse};

/// What arrives first on a connection.
pub(super) fn check(bytes: &[u8]) {
    let whole = parse(bytes);
    let first = cuts(bytes.len()).map(|end| parse(&bytes[..end]));
    let first = first.into_iter().find(|it| *it != Preamble::Partial);
    assert_eq!(first.unwrap_or(Preamble::Partial), whole);
    let Preamble::Complete { client, length } = whole else { return };
    assert!(length <= bytes.len() && length <= V2_BYTES_MAX);
    assert_eq!(parse(&bytes[..length]), whole, "what follows it does not matter");
    if let Some(client) = client {
        let line = line(client);
        let again = Preamble::Complete { client: Some(client), length: line.len() };
        assert_eq!(parse(line.as_bytes()), again);
    }
}

/// As haproxy(1) would write it.
fn line(client: SocketAddr) -> String {
    let (family, own) = match client {
        SocketAddr::V4(_) => ("TCP4", "192.0.2.1"),
        SocketAddr::V6(_) => ("TCP6", "2001:db8::1"),
    };
    format!("PROXY {family} {} {own} {} 80\r\n", client.ip(), client.port())
}
