//! # A small HTTP client that hides nothing
//!
//! A blocking socket and a parser of answers. It sends what it is told to, byte for byte, so that tests can also send
//! what no decent client would.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `HTTP/1.1`.
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// In the order of the wire.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first field of this name, in any case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The parts of a `multipart/byteranges`, in their order: where each lies in the whole, and its bytes. What breaks the
    /// format (RFC 2046, section 5.1.1) fails the test.
    #[track_caller]
    pub(crate) fn parts(&self) -> Vec<(Range<usize>, Vec<u8>)> {
        let kind = self.field("content-type").expect("a type");
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("several parts");
        let delimiter = format!("\r\n--{boundary}");
        let (mut parts, mut rest) = (Vec::new(), self.body.as_slice());
        loop {
            rest = rest.strip_prefix(delimiter.as_bytes()).expect("a boundary");
            if rest == b"--\r\n" {
                return parts;
            }
            let head_bytes = rest.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
            let (head, after) = rest.split_at(head_bytes);
            let head = std::str::from_utf8(head).unwrap().to_ascii_lowercase();
            let range =
                head.split("\r\n").find_map(|line| line.strip_prefix("content-range: bytes "));
            let (range, _) = range.expect("a range").split_once('/').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let range = start.parse().unwrap()..end.parse::<usize>().unwrap() + 1;
            let (bytes, after) = after.split_at(range.len());
            parts.push((range, bytes.to_vec()));
            rest = after;
        }
    }

    /// Whether the server said that it closes the connection after this answer.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// From another address of this machine: it has all of 127.0.0.0/8.
    pub(crate) fn connect_from(own: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((own, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into()).unwrap()
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().unwrap()
    }

    /// Asks and waits for the answer. Everything is sent in one write.
    pub(crate) fn request(&mut self, method: &str, path: &str, fields: &[&str]) -> Answer {
        self.try_request(method, path, fields)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[])
    }

    pub(crate) fn try_request(
        &mut self,
        method: &str,
        path: &str,
        fields: &[&str],
    ) -> io::Result<Answer> {
        self.try_send(head(method, path, fields))?;
        self.try_receive(method)
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends what the kernel takes now, without waiting for more room: 0 if there is none.
    pub(crate) fn try_send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.stream.get_mut();
        stream.set_nonblocking(true)?;
        let sent = stream.write(bytes);
        stream.set_nonblocking(false)?;
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// Closes this direction only: the server sees the end of the requests and may still answer.
    pub(crate) fn finish_sending(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// The next answer, to a request with this method (the answer to HEAD has no body).
    pub(crate) fn receive(&mut self, method: &str) -> Answer {
        self.try_receive(method).unwrap()
    }

    /// As [`receive`](Self::receive). A connection that ends before the first byte is `UnexpectedEof`.
    pub(crate) fn try_receive(&mut self, method: &str) -> io::Result<Answer> {
        let mut answer = self.receive_head()?;
        let bodyless = method == "HEAD" || matches!(answer.status, 100..=199 | 204 | 304);
        if !bodyless {
            answer.body = self.receive_body(&answer)?;
        }
        Ok(answer)
    }

    /// Status line and fields, and nothing of the body.
    pub(crate) fn receive_head(&mut self) -> io::Result<Answer> {
        let line = self.line()?;
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (version, status, reason) = (part(), part(), part());
        let status = status.parse().map_err(|_| broken(format!("a status line: {line:?}")))?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Answer { version, status, reason, fields, body: Vec::new() });
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| broken(format!("a field: {line:?}")))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn receive_body(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if answer.field("transfer-encoding") == Some("chunked") {
            self.receive_chunks(&mut body)?;
        } else if let Some(length) = answer.field("content-length") {
            let length = length.parse().map_err(|_| broken(format!("a length: {length:?}")))?;
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
        } else {
            self.stream.read_to_end(&mut body)?; // The end of the connection is the end of the body.
        }
        Ok(body)
    }

    fn receive_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
                .map_err(|_| broken(format!("the size of a chunk: {line:?}")))?;
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..])?;
            while !self.line()?.is_empty() {} // The end of the chunk, or after the last one the trailers.
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Reads so many bytes, as they are.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// All that still comes. A reset counts as the end: what was received before it is what matters.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => rest,
        }
    }

    /// All that still comes, up to an end that is no reset.
    pub(crate) fn try_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Leaves by a reset, as a process that crashed or a machine that has forgotten does.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(self.stream.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits for the end of the connection, and fails if anything comes before it.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "", "the connection should just end");
    }

    /// Whether the server has closed the connection, looked at without waiting.
    pub(crate) fn was_closed(&mut self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).unwrap();
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        match peeked {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// A line without its CR LF. A line that the connection's end cuts is `UnexpectedEof`.
    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
            None if line.ends_with(b"\n") => Err(broken(format!("a bare LF: {line:?}"))),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The head of a request, Host included unless `fields` brings one.
pub(crate) fn head(method: &str, path: &str, fields: &[&str]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:")) {
        head.push_str("Host: localhost\r\n");
    }
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}

fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
