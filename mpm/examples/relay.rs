//! A line relay under any process model: `cargo run --example relay -- event 127.0.0.1:7007`.
//!
//! ```text
//!   client ◀──▶ transport (whole lines only) ◀──▶ relay ◀──▶ backend, whose address is the argument
//! ```
//!
//! It proves that the contract carries what HTTP will need of it: two descriptors waited for at once, a job (the
//! blocking connect), and a transport that holds input back, so that there may be something to do although no
//! socket is ready. TLS is such a transport.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use herdgate_mpm::{
    ChildContext, Connection, Deadline, Interest, JobHandle, ListenSpec, ListenerId, Listeners,
    Model, Peer, Phase, Service, Settings, Socket, Step, Turn, Wait, Why, serve,
};

/// No side may be silent for longer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A connect that takes longer has failed.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Nobody writes longer lines.
const LINE_MAX: usize = 64 * 1024;
/// Lines that wait for the backend: beyond that the client is not read.
const UNSENT_MAX: usize = 64 * 1024;

struct Relay {
    backend: SocketAddr,
}

impl Service for Relay {
    type Connection = Relayed;
    type Local = ();

    fn thread_init(&self, _child: &ChildContext) {}

    fn connect(&self, socket: Socket, _peer: Peer, _listener: ListenerId) -> Relayed {
        let client = LineTransport { socket, input: Vec::new(), ended: false };
        Relayed {
            client,
            state: State::Fresh(self.backend),
            to_backend: Vec::new(),
            to_client: Vec::new(),
            backend_ended: false,
        }
    }
}

/// The client's bytes, of which only whole lines are let through.
struct LineTransport {
    socket: Socket,
    input: Vec<u8>,
    ended: bool,
}

impl LineTransport {
    /// One read, into our own buffer.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self.socket.read(buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.input.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if self.input.len() > LINE_MAX && !self.input.contains(&b'\n') {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    /// The next whole line. There may be one although the socket is silent.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.input.iter().position(|byte| *byte == b'\n')?;
        Some(self.input.drain(..=end).collect())
    }
}

/// A client and its backend.
struct Relayed {
    client: LineTransport,
    state: State,
    to_backend: Vec<u8>,
    to_client: Vec<u8>,
    backend_ended: bool,
}

enum State {
    /// Just accepted.
    Fresh(SocketAddr),
    /// A job connects to the backend.
    Connecting(JobHandle<io::Result<TcpStream>>),
    /// Lines go to and fro.
    Relaying(TcpStream),
}

impl Connection<()> for Relayed {
    fn socket(&self) -> &Socket {
        &self.client.socket
    }

    fn advance(&mut self, turn: &mut Turn<'_, ()>) -> Step {
        if turn.why() == Why::Expired {
            return Step::Done;
        }
        match self.step(turn) {
            Ok(client) => {
                let deadline = Deadline::At(turn.now() + SILENCE_MAX);
                Step::Wait(Wait { phase: Phase::Response, client, deadline })
            }
            Err(_) => Step::Done, // Either side has gone: so does the other.
        }
    }
}

impl Relayed {
    /// Goes on, and says what it wants of the client's socket.
    fn step(&mut self, turn: &mut Turn<'_, ()>) -> io::Result<Interest> {
        match &self.state {
            State::Fresh(backend) => {
                let backend = *backend;
                let connecting = turn.job(move || {
                    let stream = TcpStream::connect_timeout(&backend, CONNECT_MAX)?;
                    stream.set_nonblocking(true)?;
                    Ok(stream)
                });
                self.state = State::Connecting(connecting);
                Ok(Interest::NONE)
            }
            State::Connecting(connecting) => match connecting.take() {
                None => Ok(Interest::NONE),
                Some(stream) => {
                    self.state = State::Relaying(stream.map_err(|_| io::ErrorKind::Other)??);
                    self.relay(turn)
                }
            },
            State::Relaying(_) => self.relay(turn),
        }
    }

    fn relay(&mut self, turn: &mut Turn<'_, ()>) -> io::Result<Interest> {
        let State::Relaying(backend) = &mut self.state else { return Ok(Interest::NONE) };
        if self.to_backend.len() < UNSENT_MAX && !self.client.ended {
            self.client.fill(&mut turn.buffers().read)?;
        }
        while let Some(line) = self.client.line() {
            self.to_backend.extend_from_slice(&line);
        }
        send(&mut self.to_backend, |bytes| backend.write(bytes))?;
        if self.client.ended && self.to_backend.is_empty() {
            backend.shutdown(Shutdown::Write)?; // It may still have something to say.
        }
        if self.to_client.len() < UNSENT_MAX {
            self.backend_ended |= receive(backend, &mut turn.buffers().read, &mut self.to_client)?;
        }
        send(&mut self.to_client, |bytes| self.client.socket.write(bytes))?;
        if self.backend_ended && self.to_client.is_empty() {
            turn.watch(backend.as_fd(), Interest::NONE);
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let write = if self.to_backend.is_empty() { Interest::NONE } else { Interest::WRITE };
        let read = if self.backend_ended { Interest::NONE } else { Interest::READ };
        turn.watch(backend.as_fd(), read.and(write));
        let write = if self.to_client.is_empty() { Interest::NONE } else { Interest::WRITE };
        let read = if self.to_backend.len() < UNSENT_MAX && !self.client.ended {
            Interest::READ
        } else {
            Interest::NONE
        };
        Ok(read.and(write))
    }
}

/// Sends what fits, and keeps the rest.
fn send(unsent: &mut Vec<u8>, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
    if unsent.is_empty() {
        return Ok(());
    }
    match write(unsent) {
        Ok(sent) => {
            unsent.drain(..sent);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// One read of the backend. Says whether it has ended.
fn receive(backend: &mut TcpStream, buffer: &mut [u8], into: &mut Vec<u8>) -> io::Result<bool> {
    match backend.read(buffer) {
        Ok(count) => {
            into.extend_from_slice(&buffer[..count]);
            Ok(count == 0)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = match env::args().nth(1).as_deref() {
        Some("prefork") => Model::Prefork,
        Some("worker") => Model::Worker,
        _ => Model::Event,
    };
    let backend = env::args().nth(2).ok_or("usage: relay prefork|worker|event BACKEND")?.parse()?;
    let listen = [ListenSpec::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))];
    let listeners = Listeners::bind(&listen, 511, &Listeners::default())?;
    println!("{model} relays on {} to {backend}", listeners.get(ListenerId(0)).address());
    Ok(serve(Relay { backend }, Settings::new(model), listeners)?)
}
