//! The examples, which prove the contract, run under every model.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::sys::signal::{Signal, kill};

use support::{MODELS, PATIENCE, Server, wait_until};

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.addresses[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn say_and_hear(stream: &mut TcpStream, words: &[u8]) {
    stream.write_all(words).unwrap();
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, words);
}

#[test]
fn echo_answers_many_clients_at_once() {
    for model in MODELS {
        let server = Server::start("echo", [model]);
        let mut clients: Vec<TcpStream> = (0..4).map(|_| connect(&server)).collect();
        for round in 0..3 {
            for (number, client) in clients.iter_mut().enumerate() {
                say_and_hear(client, format!("{model} {round} {number}").as_bytes());
            }
        }
    }
}

#[test]
fn echo_returns_more_than_any_buffer_holds() {
    for model in MODELS {
        let server = Server::start("echo", [model]);
        let sent: Vec<u8> =
            (0..8_000_000_u32).map(|number| number.to_le_bytes()[0] ^ 0x5a).collect();
        let mut stream = connect(&server);
        let mut writer = stream.try_clone().unwrap();
        let received = std::thread::scope(|scope| {
            scope.spawn(|| {
                writer.write_all(&sent).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut received = vec![0; sent.len()];
            stream.read_exact(&mut received).unwrap();
            received
        });
        assert!(received == sent, "{model}");
    }
}

#[test]
fn term_ends_the_server_and_its_children() {
    for model in MODELS {
        let server = Server::start("echo", [model]);
        say_and_hear(&mut connect(&server), b"ready");
        server.signal(Signal::SIGTERM);
        server.wait_for_the_end();
    }
}

#[test]
fn winch_lets_connections_finish() {
    for model in MODELS {
        let server = Server::start("echo", [model]);
        let mut idle = connect(&server);
        say_and_hear(&mut idle, b"hello");
        server.signal(Signal::SIGWINCH);
        assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle echo is told, and closes");
        server.wait_for_the_end();
    }
}

#[test]
fn a_graceful_restart_serves_the_next_client_with_new_children() {
    for model in MODELS {
        let server = Server::start("echo", [model]);
        let mut old = connect(&server);
        say_and_hear(&mut old, b"before");
        let before = server.children();
        server.signal(Signal::SIGUSR1);
        assert_eq!(old.read(&mut [0]).unwrap(), 0, "an idle echo is told, and closes");
        say_and_hear(&mut connect(&server), b"after");
        wait_until("the old children are gone", || {
            !server.children().iter().any(|pid| before.contains(pid))
        });
        say_and_hear(&mut connect(&server), b"long after");
    }
}

#[test]
fn killed_children_are_replaced() {
    for model in MODELS {
        let server = Server::start("echo", [model]);
        say_and_hear(&mut connect(&server), b"before");
        let before = server.children();
        for child in &before {
            kill(*child, Signal::SIGKILL).unwrap();
        }
        say_and_hear(&mut connect(&server), b"after");
        wait_until("others stand in", || {
            let now = server.children();
            !now.is_empty() && !now.iter().any(|pid| before.contains(pid))
        });
    }
}

#[test]
fn children_finish_when_their_supervisor_is_killed() {
    for model in MODELS {
        let mut server = Server::start("echo", [model]);
        let mut client = connect(&server);
        say_and_hear(&mut client, b"before");
        server.signal(Signal::SIGKILL);
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "an idle echo is told, and closes");
        server.wait_for_the_last_process();
    }
}

/// A backend that answers each line with its letters in reverse order.
fn reversing_backend() -> SocketAddr {
    #[expect(clippy::disallowed_methods, reason = "a test's own peer, not a server of ours")]
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own peer, not a child of ours")]
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            #[expect(
                clippy::disallowed_methods,
                reason = "a test's own peer, not a child of ours"
            )]
            std::thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for line in lines.map_while(Result::ok) {
                    let reversed: String = line.chars().rev().chain(['\n']).collect();
                    if stream.write_all(reversed.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn relay_waits_on_two_descriptors_and_runs_a_job() {
    let backend = reversing_backend().to_string();
    for model in MODELS {
        let server = Server::start("relay", [model, &*backend]);
        let mut clients: Vec<_> = (0..3).map(|_| BufReader::new(connect(&server))).collect();
        for client in &mut clients {
            // Two lines and a half in one packet, and the other half later: the transport holds back.
            client.get_mut().write_all(b"one\ntwo\nthr").unwrap();
        }
        for client in &mut clients {
            let mut answer = String::new();
            client.read_line(&mut answer).unwrap();
            client.read_line(&mut answer).unwrap();
            assert_eq!(answer, "eno\nowt\n", "{model}");
            client.get_mut().write_all(b"ee\n").unwrap();
            answer.clear();
            client.read_line(&mut answer).unwrap();
            assert_eq!(answer, "eerht\n", "{model}");
        }
    }
}

#[test]
fn relay_closes_when_its_backend_cannot_be_reached() {
    for model in MODELS {
        let server = Server::start("relay", [model, "127.0.0.1:1"]);
        assert_eq!(connect(&server).read(&mut [0]).unwrap_or(0), 0, "{model}");
    }
}

#[test]
fn children_that_leak_are_replaced_one_a_second_and_nothing_is_lost() {
    const LIMIT: u64 = 8 << 20;
    for model in MODELS {
        let mut server = Server::start("leak", [model, &(LIMIT >> 20).to_string()]);
        let over = AtomicBool::new(false);
        let address = server.addresses[0];
        std::thread::scope(|scope| {
            // Clients lose patience before the server, so that a lost answer is a failure, and so is a refused one.
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Relaxed) {
                        let mut client = TcpStream::connect(address).unwrap();
                        client.set_read_timeout(Some(PATIENCE)).unwrap();
                        say_and_hear(&mut client, b"x");
                    }
                });
            }
            let _over = OnDrop(|| over.store(true, Relaxed)); // Or the clients would never know of a failure.
            let (mut replaced, mut this_second) = (Vec::new(), 0);
            while replaced.len() < 4 {
                let line = server.read_line();
                match line.split_whitespace().collect::<Vec<_>>()[..] {
                    ["second", ..] => this_second = 0,
                    ["replaced", pid, bytes] => {
                        this_second += 1;
                        assert_eq!(this_second, 1, "{model}: one a second");
                        assert!(bytes.parse::<u64>().unwrap() > LIMIT, "{model}: {line}");
                        assert!(!replaced.contains(&pid.to_owned()), "{model}: once is enough");
                        replaced.push(pid.to_owned());
                    }
                    _ => assert!(
                        !line.is_empty() && !line.starts_with("ChildDied"),
                        "{model}: {line}"
                    ),
                }
            }
        });
    }
}

/// Does what must be done, also when a test fails.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
