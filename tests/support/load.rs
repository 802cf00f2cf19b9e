//! # Load: clients that ask without a pause, and notice what gets lost
//!
//! ```text
//!   Load::on(address) ── of(habits, body) ──▶ a thread for each habit ──▶ answered: 1, 2, 3 …
//!                                                      └── anything else ──▶ lost: which client, what happened
//!   goes_on(): so many more answers         losses(): what the test judges, when the body is over
//! ```
//!
//! - Nothing is tolerated: a connection that is refused, an answer that is short or wrong, the end of a connection with
//!   a request on it, a reset instead of an end.
//! - After an answer that says `Connection: close`, and only then, the server ends the connection, and the client
//!   begins a new one.
//! - A client that was kept from asking for [`STALE`] begins a new connection, too: the server may end one that has
//!   been idle for three seconds, and then the request would cross the end.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::client::{Answer, Client, head};
use super::{Site, noise, wait_until};

/// An idle connection of this age is not used again.
const STALE: Duration = Duration::from_secs(2);
/// How far others must have come before a client that hesitates goes on.
const HESITATION: usize = 100;
/// How many requests a client sends at once, if it is one that does so.
const PIPELINED: usize = 5;
/// The document that does not fit into any buffer of the server's.
const LARGE: &str = "/large.bin";
const LARGE_BYTES: usize = 200_000;
/// The document that every [`Site`] has.
const SMALL: &str = "/";
const SMALL_TEXT: &str = "<h1>It works!</h1>\n";

/// What a client does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Asks again and again.
    KeepAlive,
    /// Asks once, with `Connection: close`.
    Close,
    /// Sends several requests in one write, and then reads their answers.
    Pipelining,
    /// Asks for a large document ([`Load::prepare`]) again and again.
    Downloading,
    /// Lies idle while others ask, begins a request, lies idle again in the middle of its head, and ends it.
    Hesitant,
}

impl Habit {
    /// One of each kind.
    pub(crate) const ALL: [Self; 5] =
        [Self::KeepAlive, Self::Close, Self::Pipelining, Self::Downloading, Self::Hesitant];
}

/// A connection that did not end as it should.
#[derive(Debug)]
pub(crate) struct Loss {
    #[expect(dead_code, reason = "shown when a test fails")]
    habit: Habit,
    connected: bool,
    #[expect(dead_code, reason = "shown when a test fails")]
    error: io::Error,
}

impl Loss {
    /// It was let in, and lost afterwards.
    pub(crate) fn was_connected(&self) -> bool {
        self.connected
    }
}

/// Clients of one address.
pub(crate) struct Load {
    address: SocketAddr,
    /// Between two requests of a client.
    pause: Duration,
    large: Vec<u8>,
    over: AtomicBool,
    answered: AtomicUsize,
    losses: Mutex<Vec<Loss>>,
}

impl Load {
    pub(crate) fn on(address: SocketAddr) -> Self {
        Self {
            address,
            pause: Duration::ZERO,
            large: noise(LARGE_BYTES),
            over: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            losses: Mutex::default(),
        }
    }

    /// Clients that leave room on the machine for many other servers.
    pub(crate) fn gently(self) -> Self {
        Self { pause: Duration::from_millis(20), ..self }
    }

    /// What a configuration must say, so that no connection ends by count.
    pub(crate) const CONF: &str = "MaxKeepAliveRequests 0\n";

    /// Puts into a site what the clients need.
    pub(crate) fn prepare(site: Site) -> Site {
        site.file(&LARGE[1..], noise(LARGE_BYTES)).conf(Self::CONF)
    }

    /// Two clients of each habit, as long as `body` runs.
    pub(crate) fn of_all_habits(&self, body: impl FnOnce()) {
        self.of(&[Habit::ALL, Habit::ALL].concat(), body);
    }

    /// A client for each habit, as long as `body` runs; then they end as soon as they have their answers.
    pub(crate) fn of(&self, habits: &[Habit], body: impl FnOnce()) {
        std::thread::scope(|scope| {
            let _over = EndOnDrop(&self.over); // When the test has failed, too.
            for habit in habits {
                scope.spawn(move || {
                    while !self.is_over() {
                        self.use_one_connection(*habit);
                    }
                });
            }
            body();
        });
    }

    /// How many requests have been answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Relaxed)
    }

    /// Waits for some more answers.
    pub(crate) fn goes_on(&self) {
        let seen = self.answered();
        wait_until("further answers", || self.answered() > seen + HESITATION);
    }

    /// What was lost.
    pub(crate) fn losses(self) -> Vec<Loss> {
        self.losses.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing was lost.
    #[track_caller]
    pub(crate) fn expect_no_loss(self) {
        let answered = self.answered();
        let losses = self.losses();
        assert!(losses.is_empty(), "{} lost, {answered} answered: {losses:#?}", losses.len());
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    fn use_one_connection(&self, habit: Habit) {
        let client = Client::try_connect(self.address);
        let connected = client.is_ok();
        let ended = client.and_then(|client| Conversation { load: self, client }.hold(habit));
        if let Err(error) = ended {
            let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
            losses.push(Loss { habit, connected, error });
        }
    }

    /// Waits until others have got some answers, or there will be none any more.
    fn hesitate(&self) {
        let seen = self.answered();
        while !self.is_over() && self.answered() < seen + HESITATION {
            sleep(Duration::from_millis(1));
        }
    }
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// One connection of one client.
struct Conversation<'a> {
    load: &'a Load,
    client: Client,
}

/// How the connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Another,
    /// The server has said that it closes, and has closed.
    Closed,
}

impl Conversation<'_> {
    /// Asks until the server closes as it should, or the load is over.
    fn hold(mut self, habit: Habit) -> io::Result<()> {
        let mut idle_since = Instant::now();
        while !self.load.is_over() && idle_since.elapsed() < STALE {
            let next = match habit {
                Habit::KeepAlive => self.ask(SMALL, &[])?,
                Habit::Close => self.ask(SMALL, &["Connection: close"])?,
                Habit::Downloading => self.ask(LARGE, &[])?,
                Habit::Pipelining => self.ask_all_at_once()?,
                Habit::Hesitant => self.ask_with_a_pause()?,
            };
            if next == Next::Closed {
                break;
            }
            idle_since = Instant::now();
            sleep(self.load.pause);
            if habit == Habit::Hesitant {
                self.load.hesitate();
            }
        }
        Ok(())
    }

    fn ask(&mut self, path: &str, fields: &[&str]) -> io::Result<Next> {
        self.client.try_send(head("GET", path, fields))?;
        let closes = self.receive(path)?;
        self.after(closes)
    }

    /// What came with the last request that was answered is answered as well: all arrive together.
    fn ask_all_at_once(&mut self) -> io::Result<Next> {
        self.client.try_send(head("GET", SMALL, &[]).repeat(PIPELINED))?;
        for _ in 1..PIPELINED {
            if self.receive(SMALL)? {
                return Err(io::Error::other("closed with requests on it"));
            }
        }
        let closes = self.receive(SMALL)?;
        self.after(closes)
    }

    fn ask_with_a_pause(&mut self) -> io::Result<Next> {
        let head = head("GET", SMALL, &[]);
        let (begin, rest) = head.split_at(8);
        self.client.try_send(begin)?;
        self.load.hesitate();
        self.client.try_send(rest)?;
        let closes = self.receive(SMALL)?;
        self.after(closes)
    }

    /// The right answer, and whether it is the last one.
    fn receive(&mut self, path: &str) -> io::Result<bool> {
        let answer = self.client.try_receive("GET")?;
        let right = if path == LARGE { &self.load.large[..] } else { SMALL_TEXT.as_bytes() };
        if answer.status != 200 || answer.body != right {
            return Err(wrong(&answer));
        }
        self.load.answered.fetch_add(1, Relaxed);
        Ok(answer.closes())
    }

    fn after(&mut self, closes: bool) -> io::Result<Next> {
        if !closes {
            return Ok(Next::Another);
        }
        match self.client.try_rest()?.len() {
            0 => Ok(Next::Closed),
            more => Err(io::Error::other(format!("{more} bytes after the last answer"))),
        }
    }
}

fn wrong(answer: &Answer) -> io::Error {
    let Answer { status, body, .. } = answer;
    io::Error::other(format!("status {status} with {} bytes", body.len()))
}
