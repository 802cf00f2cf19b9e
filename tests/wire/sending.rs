//! How the bytes of a case travel.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::cases::{Case, End};
use crate::site::MARKER;
use crate::support::PATIENCE;

/// Where the bytes are cut into writes of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cuts {
    Nowhere,
    /// Everywhere; what is long, now and then.
    AfterEveryByte,
    /// At places that look like chance, and are the same in every run.
    Scattered,
}

/// Bytes of a case that are sent one by one.
const SINGLE_BYTES_MAX: usize = 3000;

impl Cuts {
    pub(crate) const ALL: [Cuts; 3] = [Cuts::Nowhere, Cuts::AfterEveryByte, Cuts::Scattered];

    fn pieces(self, bytes: &[u8]) -> Vec<&[u8]> {
        let mut seed = bytes.len();
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = match self {
                Cuts::Nowhere => rest.len(),
                Cuts::AfterEveryByte if bytes.len() <= SINGLE_BYTES_MAX => 1,
                Cuts::AfterEveryByte => bytes.len() / 100,
                Cuts::Scattered => 1 + next() % (bytes.len() / 3 + 1),
            };
            let (piece, after) = rest.split_at(size.clamp(1, rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// Sends a case and what follows it; what came back, and how that ended.
pub(crate) fn send(address: SocketAddr, case: &Case, cuts: Cuts) -> (Vec<u8>, io::Result<()>) {
    let mut received = Vec::new();
    let ended = exchange(address, case, cuts, &mut received);
    (received, ended)
}

fn exchange(
    address: SocketAddr,
    case: &Case,
    cuts: Cuts,
    received: &mut Vec<u8>,
) -> io::Result<()> {
    let mut bytes = case.bytes.clone();
    if case.end != End::Cut {
        bytes.extend_from_slice(MARKER);
    }
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    for piece in cuts.pieces(&bytes) {
        stream.write_all(piece)?;
    }
    if case.end != End::Closed {
        stream.shutdown(Shutdown::Write)?; // Else it is the server that ends the connection.
    }
    stream.read_to_end(received).map(|_| ())
}
