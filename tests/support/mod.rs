//! # The real server, started for one test
//!
//! ```text
//! Site::new(model).file("a.html", …).conf("KeepAlive Off").start() ──▶ Server ──drop──▶ stopped, reaped
//!                                                                        │
//!                          client(): a connection · signal(): what an administrator would send
//!                          error_log(), access_log(): what it says · children(): who is alive, from /proc
//! ```
//!
//! - Every server has a folder of its own and a port that the kernel chose, so tests run side by side.
//! - Tests wait for what must come, a log line or the end of a process, never for a time to pass. [`PATIENCE`] is
//!   waited out by a test that fails, and by no other.
//! - Only processes that a test has started are ever signalled, one by one.
//! - Works as root, where children run as `nobody`, and as an ordinary user.

#![allow(dead_code, reason = "each test program uses its part of this module")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

pub(crate) mod cgroup;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod fuse;
pub(crate) mod links;
pub(crate) mod load;
pub(crate) mod processes;
pub(crate) mod roads;
pub(crate) mod serve;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

use client::{Answer, Client};

/// Long enough for the slowest machine under the heaviest load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The three process models, as `LoadModule mpm_NAME_module` and `--mpm` call them.
pub(crate) const MODELS: [&str; 3] = ["prefork", "worker", "event"];

/// One test on all three models: `on_every_mpm!(name, |server| { … })` makes `name::prefork`, `name::worker` and
/// `name::event`. A second closure in the middle says what the site holds: `|site| site.file("a", "b").conf("…")`.
#[macro_export]
macro_rules! on_every_mpm {
    ($name:ident, |$server:ident| $body:block) => {
        $crate::on_every_mpm!($name, |site| site, |$server| $body);
    };
    ($name:ident, |$site:ident| $building:expr, |$server:ident| $body:block) => {
        mod $name {
            #[allow(
                unused_imports,
                reason = "not every body needs what its file has imported"
            )]
            use super::*;

            fn on(model: &'static str) {
                let $site = $crate::support::Site::new(model);
                let site: $crate::support::Site = $building;
                #[allow(unused_mut, reason = "some bodies wait for the server's end, most do not")]
                let mut $server = site.start();
                $body
            }

            #[test]
            fn prefork() {
                on("prefork");
            }

            #[test]
            fn worker() {
                on("worker");
            }

            #[test]
            fn event() {
                on("event");
            }
        }
    };
}

/// A folder with a configuration and documents, not served yet.
pub(crate) struct Site {
    model: &'static str,
    root: TempDir,
    /// Where the documents are; `htdocs` in the site's folder unless told otherwise.
    documents: PathBuf,
    sizes: String,
    directives: String,
    /// The whole configuration, if somebody else has written it.
    whole: Option<String>,
}

impl Site {
    /// A site with one page, `/index.html`, and a file `mime.types` with a handful of types.
    pub(crate) fn new(model: &'static str) -> Self {
        let root = tempfile::Builder::new().prefix("herdgate-test-").tempdir().unwrap();
        // The children may be nobody, and the folder is made for its owner alone.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["htdocs", "logs"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let types = "text/html html htm\ntext/plain txt\ntext/css css\nimage/png png\n";
        fs::write(root.path().join("mime.types"), types).unwrap();
        let site = Self {
            model,
            documents: root.path().join("htdocs"),
            root,
            sizes: default_sizes(model).to_owned(),
            directives: String::new(),
            whole: None,
        };
        site.file("index.html", "<h1>It works!</h1>\n")
    }

    /// Puts a document into the site, with the folders on its way.
    pub(crate) fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        write_under(&self.documents, path, contents.as_ref());
        self
    }

    /// Makes an empty folder among the documents.
    pub(crate) fn folder(self, path: &str) -> Self {
        fs::create_dir_all(self.documents.join(path)).unwrap();
        self
    }

    /// Puts a file beside the documents, in ServerRoot.
    pub(crate) fn beside(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        write_under(self.root.path(), path, contents.as_ref());
        self
    }

    /// Adds lines to the configuration. `ROOT` in them stands for ServerRoot.
    pub(crate) fn conf(mut self, lines: &str) -> Self {
        self.directives.push_str(lines);
        self.directives.push('\n');
        self
    }

    /// Replaces the whole configuration. It must log to `logs/error_log`, and have its pid file where
    /// [`write_conf`](Self::write_conf) puts it.
    pub(crate) fn whole_conf(mut self, text: &str) -> Self {
        self.whole = Some(text.to_owned());
        self
    }

    /// Replaces the numbers of children and threads.
    pub(crate) fn sizes(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.sizes);
        self
    }

    /// Serves the documents of another folder.
    pub(crate) fn documents(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.documents);
        self
    }

    /// ServerRoot.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn model(&self) -> &'static str {
        self.model
    }

    /// Writes the configuration file and says where.
    pub(crate) fn write_conf(&self) -> PathBuf {
        let root = self.root.path().display();
        let conf = format!(
            "ServerRoot \"{root}\"\n\
             LoadModule mpm_{model}_module modules/mod_mpm_{model}.so\n\
             ServerName localhost\n\
             Listen 127.0.0.1:0\n\
             {user}\
             PidFile logs/herdgate.pid\n\
             DefaultRuntimeDir logs\n\
             ErrorLog logs/error_log\n\
             LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b \\\"%{{Referer}}i\\\" \\\"%{{User-Agent}}i\\\"\" combined\n\
             CustomLog logs/access_log combined\n\
             TypesConfig mime.types\n\
             KeepAliveTimeout 300\n\
             DocumentRoot \"{documents}\"\n\
             {sizes}\n\
             {directives}",
            model = self.model,
            user = user_lines(),
            documents = self.documents.display(),
            sizes = self.sizes,
            directives = self.directives.replace("ROOT", &root.to_string()),
        );
        let path = self.root.path().join("httpd.conf");
        fs::write(&path, self.whole.as_ref().unwrap_or(&conf)).unwrap();
        path
    }

    /// Starts the server and waits until it serves.
    pub(crate) fn start(self) -> Server {
        let mut command = Command::new(command::herdgate());
        let stdout = fs::File::create(self.root.path().join("stderr")).unwrap();
        command.stdin(Stdio::null()).stdout(stdout);
        self.start_by(command)
    }

    /// As [`start`](Self::start), by a command that becomes the server: with another environment, or a launcher, which
    /// may get what it needs as standard input and output.
    pub(crate) fn start_by(self, command: Command) -> Server {
        let process = self.spawn(command);
        let mut server =
            Server { process, site: self, addresses: Vec::new(), ended: None, successor: None };
        server.wait_for_generation(1);
        server.addresses = server.listening_on();
        server
    }

    fn spawn(&self, mut command: Command) -> Child {
        let conf = self.write_conf();
        let stderr = self.root.path().join("stderr");
        let stderr = fs::File::options().create(true).append(true).open(stderr).unwrap();
        command.args(["-D", "FOREGROUND", "-f"]).arg(conf).stderr(stderr).spawn().unwrap()
    }
}

/// Few children, so that many tests fit on a small machine, and room for more.
fn default_sizes(model: &str) -> &'static str {
    match model {
        "prefork" => "StartServers 3\nMinSpareServers 2\nMaxSpareServers 8\nMaxRequestWorkers 32",
        _ => {
            "StartServers 2\nThreadsPerChild 8\nMinSpareThreads 8\nMaxSpareThreads 32\n\
             MaxRequestWorkers 32"
        }
    }
}

/// Root's children change to nobody, as Apache's must.
fn user_lines() -> String {
    if !geteuid().is_root() {
        return String::new();
    }
    let nobody = User::from_name("nobody").unwrap().expect("every Linux has a nobody");
    format!("User nobody\nGroup #{}\n", nobody.gid)
}

fn write_under(folder: &Path, path: &str, contents: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

/// A running server. Dropping it stops it and all that belongs to it.
pub(crate) struct Server {
    process: Child,
    site: Site,
    addresses: Vec<SocketAddr>,
    ended: Option<ExitStatus>,
    /// Who has taken over from the process that we have started.
    successor: Option<Pid>,
}

impl Server {
    /// The first address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All of them, in the order of their Listen lines.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn pid(&self) -> Pid {
        self.successor.unwrap_or(Pid::from_raw(self.process.id().cast_signed()))
    }

    pub(crate) fn model(&self) -> &'static str {
        self.site.model
    }

    /// The site, to change its files and its configuration while it is served.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// A path in ServerRoot.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.site.root.path().join(path)
    }

    /// A path among the documents.
    pub(crate) fn document(&self, path: &str) -> PathBuf {
        self.site.documents.join(path)
    }

    /// Replaces the lines that were added to the configuration, and writes it.
    pub(crate) fn rewrite_conf(&mut self, lines: &str) {
        self.site.directives = format!("{lines}\n");
        self.site.write_conf();
    }

    // --- asking ---

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// One GET on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// One GET with further header lines.
    pub(crate) fn get_with(&self, path: &str, fields: &[&str]) -> Answer {
        self.client().request("GET", path, fields)
    }

    /// Sends bytes as they are, closes its own direction, and returns all that comes until the server closes.
    pub(crate) fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.client();
        client.send(bytes);
        client.finish_sending();
        String::from_utf8_lossy(&client.rest()).into_owned()
    }

    // --- listening to what it says ---

    pub(crate) fn error_log(&self) -> String {
        self.text("logs/error_log")
    }

    pub(crate) fn access_log(&self) -> String {
        self.text("logs/access_log")
    }

    /// A file in ServerRoot as text; empty while there is none.
    pub(crate) fn text(&self, path: &str) -> String {
        fs::read(self.path(path))
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until the error log holds `text`, and returns the first line with it.
    pub(crate) fn wait_for_error(&self, text: &str) -> String {
        self.wait_for_line("logs/error_log", text)
    }

    /// Waits until the access log holds `text`, and returns the first line with it.
    pub(crate) fn wait_for_access(&self, text: &str) -> String {
        self.wait_for_line("logs/access_log", text)
    }

    fn wait_for_line(&self, log: &str, text: &str) -> String {
        let find = |log: &str| log.lines().find(|line| line.contains(text)).map(str::to_owned);
        wait_for(|| find(&self.text(log)))
            .unwrap_or_else(|| panic!("no {text:?} in {log}:\n{}{}", self.text(log), self.stderr()))
    }

    /// What it wrote to its standard output and error.
    pub(crate) fn stderr(&self) -> String {
        self.text("stderr")
    }

    /// Waits until so many generations have begun to serve; the first counts.
    fn wait_for_generation(&mut self, count: usize) {
        let start = Instant::now();
        while self.generations() < count {
            // Once it has a successor, the first process has ended as it should.
            let ended = self.process.try_wait().unwrap().filter(|_| self.successor.is_none());
            assert!(
                ended.is_none() && start.elapsed() < PATIENCE,
                "the server does not serve ({ended:?}):\n{}{}",
                self.stderr(),
                self.error_log(),
            );
            pause();
        }
    }

    fn generations(&self) -> usize {
        self.error_log().matches("resuming normal operations").count()
    }

    /// The addresses that the newest generation listens on, as it logged them.
    fn listening_on(&self) -> Vec<SocketAddr> {
        let log = self.error_log();
        let lines: Vec<&str> = log.lines().collect();
        let newest = lines.iter().rposition(|line| line.contains("resuming normal operations"));
        let before = &lines[..newest.expect("it serves")];
        let begin = before.iter().rposition(|line| line.contains("resuming normal operations"));
        before[begin.map_or(0, |line| line + 1)..]
            .iter()
            .filter_map(|line| line.split_once("listening on ")?.1.split_whitespace().next())
            .filter_map(|address| address.parse().ok()) // The others are socket files.
            .collect()
    }

    // --- processes ---

    /// The children's process ids, from the kernel; those of former generations that still finish included.
    pub(crate) fn children(&self) -> Vec<Pid> {
        processes::children_of(self.pid())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// USR1, and waits until the next generation serves. The former one may still finish what it has begun, and for a
    /// moment even take a new connection.
    pub(crate) fn graceful_restart(&mut self) {
        self.restart(Signal::SIGUSR1);
    }

    /// As [`graceful_restart`](Self::graceful_restart), and waits until the former generation has gone.
    pub(crate) fn graceful_restart_to_the_end(&mut self) {
        let before = self.children();
        self.graceful_restart();
        wait_until("the former children have gone", || {
            !self.children().iter().any(|child| before.contains(child))
        });
    }

    /// Sends a signal that restarts, and waits until the next generation serves.
    pub(crate) fn restart(&mut self, signal: Signal) {
        let next = self.generations() + 1;
        self.signal(signal);
        self.wait_for_generation(next);
    }

    /// USR2, and waits until another process serves in the server's place, which is stopped with it from then on. The
    /// former one may still finish what it has begun.
    pub(crate) fn upgrade(&mut self) {
        let (before, next) = (self.pid(), self.generations() + 1);
        self.signal(Signal::SIGUSR2);
        wait_until("another process serves", || {
            self.generations() >= next && self.error_log().contains("has taken over")
        });
        let pid = self.text("logs/herdgate.pid").trim().parse().map(Pid::from_raw).unwrap();
        assert_ne!(pid, before);
        self.successor = Some(pid);
    }

    /// Starts a server that has ended once more, and waits until it serves. Port 0 becomes another one.
    pub(crate) fn start_again(&mut self) {
        assert!(self.ended.take().is_some(), "it runs still");
        let next = self.generations() + 1;
        let mut command = Command::new(command::herdgate());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.process = self.site.spawn(command);
        self.wait_for_generation(next);
        self.addresses = self.listening_on();
    }

    /// The server is not the process that we have started, but this one below it. It is signalled from now on.
    pub(crate) fn is_really(&mut self, pid: Pid) {
        self.successor = Some(pid);
    }

    /// Waits until the process that we have started has ended, and says how.
    pub(crate) fn wait_for_the_first_process(&mut self) -> ExitStatus {
        let process = &mut self.process;
        let ended = wait_for(|| process.try_wait().unwrap());
        ended.unwrap_or_else(|| panic!("the first process goes on:\n{}", self.error_log()))
    }

    /// Waits until the server has ended by itself, and says how.
    pub(crate) fn wait_for_the_end(&mut self) -> ExitStatus {
        let process = &mut self.process;
        let ended = wait_for(|| process.try_wait().unwrap());
        let ended = ended.unwrap_or_else(|| panic!("the server goes on:\n{}", self.error_log()));
        self.ended = Some(ended);
        ended
    }
}

impl Drop for Server {
    /// TERM takes the children along. Should that fail, each is killed by its own id: no test leaves anybody behind.
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let children = self.children();
        let _ = kill(self.pid(), Signal::SIGTERM);
        if let Some(successor) = self.successor {
            wait_until("the successor obeys TERM", || !processes::is_alive(successor));
        }
        let obeys = ends_or_is_killed(&mut self.process, children);
        assert!(obeys || std::thread::panicking(), "the server does not obey TERM");
    }
}

/// Waits until it holds; a test that waits in vain fails, naming `what`.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    assert!(wait_for(|| holds().then_some(())).is_some(), "in vain: {what}");
}

/// Asks again until there is an answer; `None` when patience ends. What is waited for is an event that is sure to
/// come, and the pause between two looks only saves the CPU for those who work on it.
pub(crate) fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if start.elapsed() > PATIENCE {
            return None;
        }
        pause();
    }
}

fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Starts a thread of the test itself.
pub(crate) fn thread<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    #[expect(clippy::disallowed_methods, reason = "a test's own thread, not a child of the server")]
    std::thread::spawn(body)
}

/// Waits for the end of a server that was told to stop, and says whether it came. Should it not, the server and its children
/// are killed, each by its own id: no test leaves anybody behind.
pub(crate) fn ends_or_is_killed(process: &mut Child, children: Vec<Pid>) -> bool {
    if wait_for(|| process.try_wait().unwrap()).is_some() {
        return true;
    }
    let _ = process.kill();
    for child in children {
        let _ = kill(child, Signal::SIGKILL);
    }
    let _ = process.wait();
    false
}

/// Something that only larger machines have is missing. A test says so and passes, but where
/// `HERDGATE_REQUIRE_PEERS=1` promises that everything is installed.
pub(crate) fn skipped(what: &str) {
    assert!(
        std::env::var("HERDGATE_REQUIRE_PEERS").as_deref() != Ok("1"),
        "HERDGATE_REQUIRE_PEERS=1, but: {what}"
    );
    eprintln!("skipped: {what}");
}

/// The machine does not let this test do what it must, whatever is installed: it says so and passes.
pub(crate) fn not_allowed(what: &str) {
    eprintln!("skipped: {what}");
}

/// So many bytes that no two windows of them look alike.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..bytes).map(|_| next()).collect()
}

/// A port that somebody else has.
pub(crate) fn taken_port() -> std::net::TcpListener {
    #[expect(clippy::disallowed_methods, reason = "a test's own listener, not one of the server")]
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}
