//! What a gate costs, and what it gives: connections a second, who gets them, who is woken for nothing, and how soon
//! the service goes on after the holder was killed. For every model and every gate:
//!
//! ```text
//! cargo run --release --example gates                     all, 4 children each
//! cargo run --release --example gates -- event pthread    one of them
//! cargo run --release --example gates -- serve prefork pthread /tmp/board 3 [nobody]
//!                                                         only the server, as the tests use it
//! ```
//!
//! A client sends one byte; the server answers with one byte and closes. So a connection is an accept and little else,
//! which is the worst case for a gate, and no picture of a web server.
#![expect(clippy::print_stdout, reason = "it says where it listens, and what it measured")]

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use herdgate_mpm::gate::{GateKind, Mechanism, Semaphore, waits};
use herdgate_mpm::scoreboard::reader::{AtGate, Child as ScoreboardChild, Reader, Snapshot};
use herdgate_mpm::{
    ChildContext, Connection, Deadline, Interest, ListenSpec, ListenerId, Listeners, Model, Peer,
    Phase, Service, Settings, Socket, Step, Turn, Wait, serve,
};
use herdgate_sys::process::{Credentials, FoundUser, lookup_user};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const MODELS: [Model; 3] = [Model::Prefork, Model::Worker, Model::Event];
const GATES: [(&str, GateKind); 10] = [
    ("none", GateKind::None),
    ("exclusive", GateKind::Exclusive),
    ("pthread", GateKind::Mutex(Mechanism::Pthread)),
    ("fcntl", GateKind::Mutex(Mechanism::Fcntl)),
    ("flock", GateKind::Mutex(Mechanism::Flock)),
    ("sysvsem", GateKind::Mutex(Mechanism::Semaphore(Semaphore::Sysv))),
    ("posixsem", GateKind::Mutex(Mechanism::Semaphore(Semaphore::Posix))),
    ("2-sysvsem", GateKind::Counted { places: 2, semaphore: Semaphore::Sysv }),
    ("2-posixsem", GateKind::Counted { places: 2, semaphore: Semaphore::Posix }),
    ("3-sysvsem", GateKind::Counted { places: 3, semaphore: Semaphore::Sysv }),
];
const CHILDREN: u32 = 4;
const LISTENERS: u16 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", model, gate, board, children, ref user @ ..] => run_server(
            model_of(model)?,
            gate_of(gate)?,
            Path::new(board),
            children.parse()?,
            user.first().copied(),
        ),
        ["serve", ..] => Err("serve MODEL GATE SCOREBOARD CHILDREN [USER]".into()),
        [] => measure_all(&MODELS.map(|model| model.to_string()), &GATES.map(|(name, _)| name)),
        [model] => measure_all(&[model.to_owned()], &GATES.map(|(name, _)| name)),
        [model, ref gates @ ..] => measure_all(&[model.to_owned()], gates),
    }
}

fn model_of(name: &str) -> Result<Model, String> {
    let found = MODELS.into_iter().find(|model| model.to_string() == name);
    found.ok_or_else(|| format!("{name} is no model"))
}

fn gate_of(name: &str) -> Result<GateKind, String> {
    let found = GATES.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| kind).ok_or_else(|| format!("{name} is no gate"))
}

// --- the server ---

fn run_server(
    model: Model,
    gate: GateKind,
    board: &Path,
    children: u32,
    user: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let credentials = match user.map(lookup_user).transpose()? {
        Some(FoundUser { gid: None, .. }) => return Err("this user has no group".into()),
        Some(user @ FoundUser { gid: Some(gid), .. }) => Some(Credentials::new(user, gid)),
        None => None,
    };
    let threads = if model == Model::Prefork { 1 } else { 4 };
    let settings = Settings {
        gate,
        lock_dir: board.parent().unwrap_or(Path::new("/tmp")).to_owned(),
        start_children: children,
        min_spare: 1, // Nobody is added or retired while we measure.
        max_spare: children * threads + 1,
        max_children: children,
        server_limit: children,
        threads_per_child: threads,
        thread_limit: threads,
        scoreboard: Some(board.to_owned()),
        credentials,
        ..Settings::new(model)
    };
    let listen = ListenSpec::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let listen = vec![listen; usize::from(LISTENERS)];
    let listeners = Listeners::bind(&listen, 4096, &Listeners::default())?;
    let addresses: Vec<String> = listeners.iter().map(|(_, l)| l.address().to_string()).collect();
    println!("{}", addresses.join(" "));
    Ok(serve(OneByte { keeper: board.with_file_name("keeper").into() }, settings, listeners)?)
}

/// Answers one byte with one byte, and closes. For a `k` it lets itself be kept from working until the keeper, a Unix
/// socket, closes the connection: so a test knows what the others do meanwhile.
struct OneByte {
    keeper: Arc<Path>,
}

struct Client {
    socket: Socket,
    keeper: Arc<Path>,
}

impl Service for OneByte {
    type Connection = Client;
    type Local = ();

    fn thread_init(&self, _child: &ChildContext) {}

    fn connect(&self, socket: Socket, _peer: Peer, _listener: ListenerId) -> Client {
        Client { socket, keeper: Arc::clone(&self.keeper) }
    }
}

impl Connection<()> for Client {
    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn advance(&mut self, _turn: &mut Turn<'_, ()>) -> Step {
        let mut byte = [0];
        match self.socket.read(&mut byte) {
            Ok(1) => {
                if byte == *b"k"
                    && let Ok(mut keeper) = UnixStream::connect(&self.keeper)
                {
                    let _ = keeper.read(&mut [0]);
                }
                let _ = self.socket.write(b"!"); // One byte fits into an empty buffer, or the client has gone.
                Step::Done
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Wait(Wait {
                phase: Phase::Request,
                client: Interest::READ,
                deadline: Deadline::Never,
            }),
            Ok(_) | Err(_) => Step::Done,
        }
    }
}

// --- the measurements ---

/// So many runs make a figure: the best one gives the rate, since what disturbs a run only ever makes it slower.
const RUNS: u32 = 8;
const RUN: Duration = Duration::from_millis(300);
const CLIENTS: usize = 8;
const KILLS: usize = 3;
/// A supervisor takes children that die younger than two seconds for a fault, and pauses.
const GROWN_UP: Duration = Duration::from_millis(2200);

const COLUMNS: [&str; 11] = [
    "model",
    "gate",
    "connections/s",
    "busiest child",
    "idlest child",
    "wasted wakeups per connection",
    "the same, one client",
    "sleeps per connection, one client",
    "had to wait",
    "median wait",
    "after SIGKILL, median (worst)",
];

fn measure_all(models: &[String], gates: &[&str]) -> Result<(), Box<dyn Error>> {
    println!("| {} |", COLUMNS.join(" | "));
    println!("|{}", "---|".repeat(COLUMNS.len()));
    for model in models {
        for gate in gates {
            println!("{}", measure(model, gate)?);
        }
    }
    Ok(())
}

fn measure(model: &str, gate: &str) -> Result<String, Box<dyn Error>> {
    let server = Server::start(model, gate)?;
    server.hammer(CLIENTS, Duration::from_millis(200)); // Warm: threads started, caches filled.
    let (rate, busy) = server.run(CLIENTS);
    let (_, quiet) = server.run(1);
    let (waited, wait) = match busy.entered {
        0 => ("-".to_owned(), "-".to_owned()),
        entered => (
            format!("{:.0} %", 100.0 * busy.contended as f64 / entered as f64),
            waits::quantile(&busy.waits, 0.5)
                .map_or("-".to_owned(), |wait| format!("{} µs", wait.as_micros())),
        ),
    };
    let mut recoveries = Vec::new();
    if gate_of(gate)?.keeps_waiting() {
        for _ in 0..KILLS {
            recoveries.push(server.recovery()?);
        }
        recoveries.sort_unstable();
    }
    let ms = |time: &Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let recovery = match recoveries.last() {
        None => "-".to_owned(),
        Some(worst) => format!("{} ({})", ms(&recoveries[recoveries.len() / 2]), ms(worst)),
    };
    Ok(format!(
        "| {model} | {gate} | {rate:.0} | {:.0} % | {:.0} % | {:.2} | {:.2} | {:.1} | {waited} | {wait} | {recovery} |",
        busy.share(busy.accepted.iter().max()),
        busy.share(busy.accepted.iter().min()),
        busy.wasted_per_connection(),
        quiet.wasted_per_connection(),
        quiet.sleeps as f64 / quiet.connections(),
    ))
}

/// What the children counted during a run.
struct Counts {
    accepted: Vec<u64>,
    wasted: u64,
    entered: u64,
    contended: u64,
    waits: Vec<u64>,
    /// Times that a thread of theirs gave the processor away. The kernel counts it: a process that it wakes for a
    /// connection, and that finds the listener empty while it is still in epoll_wait(2), does not return from there,
    /// and so cannot count itself.
    sleeps: u64,
}

impl Counts {
    fn between(before: &Snapshot, after: &Snapshot, sleeps: u64) -> Self {
        let sum = |count: &dyn Fn(&ScoreboardChild) -> u64| -> u64 {
            differences(before, after, count).iter().sum()
        };
        let waits =
            |bucket: usize| sum(&|child| child.gate.as_ref().map_or(0, |gate| gate.waits[bucket]));
        Self {
            accepted: differences(before, after, |child| child.accepted),
            wasted: sum(&|child| child.wakeups_wasted),
            entered: sum(&|child| child.gate.as_ref().map_or(0, |gate| gate.acquisitions)),
            contended: sum(&|child| child.gate.as_ref().map_or(0, |gate| gate.contended)),
            waits: (0..waits::BUCKETS).map(waits).collect(),
            sleeps,
        }
    }

    fn connections(&self) -> f64 {
        self.accepted.iter().sum::<u64>().max(1) as f64
    }

    fn share(&self, of: Option<&u64>) -> f64 {
        100.0 * of.copied().unwrap_or(0) as f64 / self.connections()
    }

    fn wasted_per_connection(&self) -> f64 {
        self.wasted as f64 / self.connections()
    }
}

fn differences(
    before: &Snapshot,
    after: &Snapshot,
    count: impl Fn(&ScoreboardChild) -> u64,
) -> Vec<u64> {
    let pairs = before.children.iter().zip(&after.children);
    let present = pairs.filter(|(before, _)| before.is_present());
    present.map(|(before, after)| count(after).saturating_sub(count(before))).collect()
}

/// A server in processes of its own: whoever measures has threads, and must not fork.
struct Server {
    process: Child,
    addresses: Vec<SocketAddr>,
    board: Reader,
    folder: PathBuf,
}

impl Server {
    fn start(model: &str, gate: &str) -> Result<Self, Box<dyn Error>> {
        let folder = env::temp_dir().join(format!("herdgate-gates-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let board = folder.join("scoreboard");
        let mut process = Command::new(env::current_exe()?)
            .args(["serve", model, gate])
            .arg(&board)
            .arg(CHILDREN.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("piped")?).read_line(&mut line)?;
        let addresses: Result<_, _> = line.split_whitespace().map(str::parse).collect();
        let addresses: Vec<SocketAddr> = addresses?;
        if !addresses.iter().all(|address| ask(*address).is_ok()) {
            return Err("the server does not answer".into());
        }
        Ok(Self { process, addresses, board: Reader::open(&board)?, folder })
    }

    /// The most connections a second from so many clients, and what the children counted in all runs.
    fn run(&self, clients: usize) -> (f64, Counts) {
        let before = self.board.snapshot();
        let slept = sleeps(&before);
        let mut rate: f64 = 0.0;
        for _ in 0..RUNS {
            let start = Instant::now();
            let connections = self.hammer(clients, RUN);
            rate = rate.max(connections as f64 / start.elapsed().as_secs_f64());
        }
        let after = self.board.snapshot();
        let slept = sleeps(&after).saturating_sub(slept);
        (rate, Counts::between(&before, &after, slept))
    }

    /// Connects from several threads for a while, to both listeners. Says how often.
    fn hammer(&self, clients: usize, time: Duration) -> u64 {
        let done = AtomicU64::new(0);
        let end = Instant::now() + time;
        thread::scope(|scope| {
            for client in 0..clients {
                let (done, address) = (&done, self.addresses[client % self.addresses.len()]);
                let client = move || {
                    while Instant::now() < end {
                        if ask(address).is_ok() {
                            done.fetch_add(1, Relaxed);
                        }
                    }
                };
                let started = thread::Builder::new().spawn_scoped(scope, client);
                assert!(started.is_ok(), "a handful of threads can be started");
            }
        });
        done.load(Relaxed)
    }

    /// Kills whoever is inside the gate, and measures how long the next client waits.
    fn recovery(&self) -> Result<Duration, Box<dyn Error>> {
        thread::sleep(GROWN_UP);
        let patience = Instant::now() + Duration::from_secs(20);
        let start = loop {
            if Instant::now() > patience {
                return Err("the children do not come back".into());
            }
            let snapshot = self.board.snapshot();
            if snapshot.children.iter().filter(|child| has_started(child)).count()
                < CHILDREN as usize
            {
                thread::sleep(Duration::from_millis(2));
                continue;
            }
            let inside =
                |child: &&ScoreboardChild| child.is_present() && child.at_gate == AtGate::Inside;
            let holder = snapshot.children.iter().find(inside);
            // It may be the last one, whom the supervisor is about to bury.
            let killed = holder.map(|holder| kill(Pid::from_raw(holder.pid), Signal::SIGKILL));
            if killed == Some(Ok(())) {
                break Instant::now();
            }
        };
        // What the holder had accepted dies with it: that client comes again.
        while ask(self.addresses[0]).is_err() {}
        Ok(start.elapsed())
    }
}

/// Whether a child's workers are all there, and its own.
fn has_started(child: &ScoreboardChild) -> bool {
    child.is_present() && child.slots.iter().all(|slot| slot.pid == child.pid)
}

/// How often all threads of all children have gone to sleep so far: proc(5).
fn sleeps(snapshot: &Snapshot) -> u64 {
    let of_thread = |status: PathBuf| {
        let status = fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let present = snapshot.children.iter().filter(|child| child.is_present());
    let tasks = present.flat_map(|child| fs::read_dir(format!("/proc/{}/task", child.pid)));
    tasks.flatten().flatten().map(|task| of_thread(task.path().join("status"))).sum()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn ask(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"?")?;
    let mut answer = [0];
    stream.read_exact(&mut answer)
}
