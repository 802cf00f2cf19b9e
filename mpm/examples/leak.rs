//! A server that leaks, and a supervisor that lives with it: `cargo run --example leak -- prefork 16`.
//!
//! Each byte is answered with the same byte, and costs [`LEAK_BYTES`] for ever. A child that has more than so many MiB
//! is replaced. Standard output says what the supervisor does, line by line.
#![expect(clippy::print_stdout, reason = "it says where it listens, and what happens")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::{env, error::Error, io::ErrorKind};

use herdgate_mpm::{
    ChildContext, Connection, Deadline, Interest, ListenSpec, ListenerId, Listeners, Load, Model,
    Notice, Peer, Phase, Plan, Program, Service, Settings, Socket, Step, Turn, Wait, run,
};

const LEAK_BYTES: usize = 128 << 10;

struct Leak;

struct Client(Socket);

impl Service for Leak {
    type Connection = Client;
    type Local = ();

    fn thread_init(&self, _child: &ChildContext) {}

    fn connect(&self, socket: Socket, _peer: Peer, _listener: ListenerId) -> Client {
        Client(socket)
    }
}

impl Connection<()> for Client {
    fn socket(&self) -> &Socket {
        &self.0
    }

    fn advance(&mut self, _turn: &mut Turn<'_, ()>) -> Step {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(1) => {
                Box::leak(vec![1_u8; LEAK_BYTES].into_boxed_slice()); // Touched, so that it is resident.
                let _ = self.0.write(&byte); // It fits into an empty buffer, or the client has gone.
                Step::Done
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Step::Wait(Wait {
                phase: Phase::Request,
                client: Interest::READ,
                deadline: Deadline::Never,
            }),
            Ok(_) | Err(_) => Step::Done,
        }
    }
}

/// Says what happens.
struct Told {
    settings: Settings,
}

impl Program for Told {
    type Service = Leak;

    fn prepare(&mut self, present: &Listeners) -> Result<Plan<Leak>, String> {
        let (service, settings) = (Arc::new(Leak), self.settings.clone());
        Ok(Plan { service, settings, listeners: present.clone() })
    }

    fn tick(&mut self, load: Load) {
        println!("second {} children", load.children);
    }

    fn notice(&mut self, notice: Notice<'_>) {
        if let Notice::ChildTooLarge { pid, bytes } = notice {
            println!("replaced {pid} {bytes}");
        } else {
            println!("{notice:?}");
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = match env::args().nth(1).as_deref() {
        Some("prefork") => Model::Prefork,
        Some("worker") => Model::Worker,
        _ => Model::Event,
    };
    let mebibytes: u64 = env::args().nth(2).map_or(Ok(16), |number| number.parse())?;
    let threads = if model == Model::Prefork { 1 } else { 4 };
    let settings = Settings {
        start_children: 4,
        min_spare: 1,
        max_spare: 8 * threads,
        max_children: 4,
        threads_per_child: threads,
        max_memory_per_child: Some(mebibytes << 20),
        ..Settings::new(model)
    };
    let listen = [ListenSpec::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))];
    let listeners = Listeners::bind(&listen, 511, &Listeners::default())?;
    println!("{model} leaks on {}", listeners.get(ListenerId(0)).address());
    let first = Plan { service: Arc::new(Leak), settings: settings.clone(), listeners };
    Ok(run(Told { settings }, first)?)
}
