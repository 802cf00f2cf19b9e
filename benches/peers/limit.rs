//! The limit: the least that a server can do for a request.
//!
//! It waits for readiness, reads what there is, and writes a prepared answer for every empty line in it. It parses
//! nothing, looks nothing up, and logs nothing. What a server costs above this is what it does for its users.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// One client.
struct Client {
    stream: TcpStream,
    /// Answers that it still gets, the one on its way included.
    owed: usize,
    /// How much of the present one has gone.
    sent: usize,
}

/// Answers every request on this port with the bytes of `file`, until it is killed. An answer that says so closes.
pub(crate) fn serve(port: u16, file: &Path) -> io::Result<()> {
    let answer = std::fs::read(file)?;
    let head = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(answer.len());
    let closes = answer[..head].windows(17).any(|it| it.eq_ignore_ascii_case(b"connection: close"));
    let many = answer.repeat(if answer.len() < 64 * 1024 { 16 } else { 1 });
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(512);
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut free = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let place = free.pop().unwrap_or(clients.len());
                    if place == clients.len() {
                        clients.push(None);
                    }
                    let both = Interest::READABLE | Interest::WRITABLE;
                    let interest = if answer.len() < 64 * 1024 { Interest::READABLE } else { both };
                    stream.set_nodelay(true)?;
                    poll.registry().register(&mut stream, Token(place), interest)?;
                    clients[place] = Some(Client { stream, owed: 0, sent: 0 });
                }
                continue;
            }
            let place = event.token().0;
            let Some(client) = &mut clients[place] else { continue };
            if go_on(client, answer.len(), &many, closes, &mut buffer).is_err() {
                clients[place] = None;
                free.push(place);
            }
        }
    }
}

/// Reads once and writes what is owed, as far as there is room. An error is the client's end.
fn go_on(
    client: &mut Client,
    answer_bytes: usize,
    many: &[u8],
    closes: bool,
    buffer: &mut [u8],
) -> io::Result<()> {
    match client.stream.read(buffer) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => {
            client.owed += memchr::memmem::find_iter(&buffer[..count], b"\r\n\r\n").count()
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    while client.owed > 0 {
        let end = many.len().min(client.owed * answer_bytes);
        match client.stream.write(&many[client.sent..end]) {
            Ok(count) => client.sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        client.owed -= client.sent / answer_bytes;
        client.sent %= answer_bytes;
        if closes && client.owed == 0 {
            return Err(io::ErrorKind::ConnectionAborted.into()); // As announced.
        }
    }
    Ok(())
}
