//! An echo server under any process model: `cargo run --example echo -- event 7007`.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::net::{Ipv4Addr, SocketAddr};
use std::{env, error::Error, io::ErrorKind, time::Duration};

use herdgate_mpm::{
    ChildContext, Connection, Deadline, Interest, ListenSpec, ListenerId, Listeners, Model, Peer,
    Phase, Service, Settings, Socket, Step, Turn, Wait, Why, serve,
};

/// How long an idle client may still say something once the server wants it to go.
const LAST_CHANCE: Duration = Duration::from_millis(500);

struct Echo;

struct Client {
    socket: Socket,
    unsent: Vec<u8>,
}

impl Service for Echo {
    type Connection = Client;
    type Local = ();

    fn thread_init(&self, _child: &ChildContext) {}

    fn connect(&self, socket: Socket, _peer: Peer, _listener: ListenerId) -> Client {
        Client { socket, unsent: Vec::new() }
    }
}

impl Connection<()> for Client {
    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn advance(&mut self, turn: &mut Turn<'_, ()>) -> Step {
        if self.unsent.is_empty() {
            match self.socket.read(&mut turn.buffers().read) {
                Ok(0) => return Step::Done,
                Ok(count) => self.unsent.extend_from_slice(&turn.buffers().read[..count]),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Step::Done,
                Err(_) if turn.why() == Why::Expired => return Step::Done,
                Err(_) => {}
            }
        }
        match self.socket.write(&self.unsent) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Step::Done,
        }
        let all_sent = self.unsent.is_empty();
        let client = if all_sent { Interest::READ } else { Interest::WRITE };
        let phase = if all_sent { Phase::Idle } else { Phase::Response };
        // Told to go, it waits a moment for words that may be on their way.
        let told_to_go = turn.why() == Why::Shed || turn.draining();
        let deadline =
            if told_to_go { Deadline::At(turn.now() + LAST_CHANCE) } else { Deadline::Never };
        Step::Wait(Wait { phase, client, deadline })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = match env::args().nth(1).as_deref() {
        Some("prefork") => Model::Prefork,
        Some("worker") => Model::Worker,
        _ => Model::Event,
    };
    let port = env::args().nth(2).map_or(Ok(0), |port| port.parse())?;
    let listen = [ListenSpec::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))];
    let listeners = Listeners::bind(&listen, 511, &Listeners::default())?;
    println!("{model} echoes on {}", listeners.get(ListenerId(0)).address());
    Ok(serve(Echo, Settings::new(model), listeners)?)
}
