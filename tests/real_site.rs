//! # A real site, crawled
//!
//! Sites that nobody here wrote, Rust's own HTML documentation and Debian's `apache2-doc`, are served by each process
//! model from the folder and through an `httpd.conf`, and crawled by several clients on keep-alive connections:
//!
//! 1. every link is followed, and every body compared with its file, byte for byte;
//! 2. again and again, while the server restarts gracefully ten times: not one request may need a second try;
//! 3. again and again, while children are killed: only requests on connections that a killed child held may.
//!
//! `HERDGATE_CRAWL=all` follows all links of the site instead of the first [`PAGES_MAX`]; `HERDGATE_SITE` names another
//! folder. The numbers are printed: `cargo test --test real_site -- --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::client::{Answer, Client};
use support::links::links;
use support::processes::{children_of, clients_of, freeze, sockets_of};
use support::serve::Serving;
use support::{Server, Site, skipped, wait_until};
use tempfile::TempDir;

/// How many documents are fetched in one crawl, unless all are wanted.
const PAGES_MAX: usize = 600;
/// Clients that crawl at the same time.
const CRAWLERS: usize = 6;
/// Documents fetched before each restart and each kill, and after the last.
const PAGES_BETWEEN: usize = 60;
const RESTARTS: usize = 10;
const KILLS: usize = 5;
/// A request that fails so often has not met a dying child by chance.
const TRIES_MAX: u64 = 20;

#[test]
fn a_real_site_is_served_whole_by_prefork() {
    crawl_under("prefork");
}

#[test]
fn a_real_site_is_served_whole_by_worker() {
    crawl_under("worker");
}

#[test]
fn a_real_site_is_served_whole_by_event() {
    crawl_under("event");
}

fn crawl_under(model: &'static str) {
    let sites = installed_sites();
    if sites.is_empty() {
        skipped("no site is installed: neither Rust's documentation nor apache2-doc");
    }
    for folder in sites {
        let copy = readable_copy(&folder);
        eprintln!("{}", folder.display());
        crawl_site(model, copy.as_ref().map_or(folder.as_path(), TempDir::path));
    }
}

fn crawl_site(model: &'static str, folder: &Path) {
    let serving = Serving::start(folder, model, &[]);
    let calm = Crawl::new(serving.address(), folder);
    calm.run(|| {});
    calm.report(model, "from the folder");
    calm.assert_retries(0);
    drop(serving);

    let mut server = Site::new(model)
        .documents(folder)
        .sizes(sizes(model))
        .conf("KeepAlive On\nMaxKeepAliveRequests 0\nDirectoryIndex index.html")
        .start();
    let restarted = Crawl::new(server.address(), folder);
    restarted.run(|| {
        for _ in 0..RESTARTS {
            restarted.let_pass(PAGES_BETWEEN);
            server.graceful_restart();
        }
        restarted.let_pass(PAGES_BETWEEN);
    });
    restarted.report(model, &format!("through a configuration, {RESTARTS} graceful restarts"));
    restarted.assert_retries(0);

    let killed = Crawl::new(server.address(), folder);
    killed.run(|| kill_children(&killed, &server));
    killed.report(model, &format!("through a configuration, {KILLS} children killed"));
    killed.assert_retries_only_where_allowed();
}

/// Enough workers for all crawlers in one generation, and more than one child to kill.
fn sizes(model: &str) -> &'static str {
    match model {
        "prefork" => "StartServers 8\nMinSpareServers 2\nMaxSpareServers 8\nMaxRequestWorkers 32",
        _ => {
            "StartServers 3\nThreadsPerChild 8\nMinSpareThreads 8\nMaxSpareThreads 32\n\
             MaxRequestWorkers 64"
        }
    }
}

/// Kills children one after the other, and notes for each which connections it held: what was in flight on those, and
/// nothing else, may be asked a second time.
fn kill_children(crawl: &Crawl<'_>, server: &Server) {
    let port = server.address().port();
    for _ in 0..KILLS {
        crawl.let_pass(PAGES_BETWEEN);
        let child = busiest_child(server.pid());
        freeze(child); // It accepts no more, so that the list is complete.
        let held = clients_of(child, port);
        crawl.state().may_fail.extend(&held);
        crawl.state().kills.push(held.len());
        kill(child, Signal::SIGKILL).unwrap();
        wait_until("the child has gone", || !children_of(server.pid()).contains(&child));
    }
    crawl.let_pass(PAGES_BETWEEN);
}

/// The child with the most connections: all have the same sockets beside them.
fn busiest_child(supervisor: Pid) -> Pid {
    let children = children_of(supervisor).into_iter();
    children.max_by_key(|child| sockets_of(*child).len()).expect("a server has children")
}

// --- the site ---

/// Folders with sites.
fn installed_sites() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("HERDGATE_SITE") {
        return vec![folder.into()];
    }
    let mut sites = vec![PathBuf::from("/usr/share/doc/apache2-doc/manual")];
    if let Some(sysroot) = rust_sysroot() {
        let documentation = sysroot.join("share/doc/rust/html");
        // Without a wish for everything, a part that can be copied in no time.
        sites.push(if wants_everything() { documentation } else { documentation.join("book") });
    }
    sites.retain(|folder| folder.join("index.html").exists());
    sites
}

fn rust_sysroot() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

fn wants_everything() -> bool {
    std::env::var("HERDGATE_CRAWL").as_deref() == Ok("all")
}

/// Root's children are nobody, and root's home is closed to nobody: then the site is copied to where all may read.
/// An ordinary user's server reads what the user reads.
fn readable_copy(folder: &Path) -> Option<TempDir> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let open = folder
        .ancestors()
        .all(|part| fs::metadata(part).is_ok_and(|metadata| metadata.mode() & 0o005 == 0o005));
    if open || !nix::unistd::geteuid().is_root() {
        return None;
    }
    let copy = tempfile::Builder::new().prefix("herdgate-site-").tempdir().unwrap();
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let status = Command::new("cp").arg("-rL").arg(folder.join(".")).arg(copy.path()).status();
    assert!(status.unwrap().success(), "cannot copy {}", folder.display());
    Some(copy)
}

// --- the crawl ---

/// One walk through a site.
struct Crawl<'a> {
    address: SocketAddr,
    folder: &'a Path,
    /// How many documents are fetched.
    budget: usize,
    state: Mutex<State>,
    changed: Condvar,
    done: AtomicUsize,
    bytes: AtomicU64,
}

/// What the crawlers share.
#[derive(Default)]
struct State {
    /// Paths to fetch, and all that ever were here.
    waiting: VecDeque<String>,
    seen: HashSet<String>,
    /// Crawlers that fetch something at the moment: what they find may make work for others.
    busy: usize,
    /// Requests that had to be repeated, with the client's port.
    retries: Vec<(String, u16)>,
    /// Clients' ports on which a request may fail, because a killed child held them.
    may_fail: BTreeSet<u16>,
    /// For each killed child, how many connections it held.
    kills: Vec<usize>,
    /// Answers by status.
    statuses: BTreeMap<u16, usize>,
    wrong: Vec<String>,
    /// How often all links were followed to their end, before the last lap.
    laps: usize,
    /// Nothing disturbs the server any more: this lap is the last one.
    last_lap: bool,
    /// Nobody may start anything any more: a crawler has panicked.
    given_up: bool,
}

impl State {
    fn begin_lap(&mut self) {
        self.seen = HashSet::from(["/".to_owned()]);
        self.waiting = VecDeque::from(["/".to_owned()]);
    }
}

impl<'a> Crawl<'a> {
    fn new(address: SocketAddr, folder: &'a Path) -> Self {
        let mut state = State::default();
        state.begin_lap();
        Self {
            address,
            folder,
            budget: if wants_everything() { count_files(folder) } else { PAGES_MAX },
            state: Mutex::new(state),
            changed: Condvar::new(),
            done: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Follows all links, and again from the beginning for as long as `meanwhile` disturbs the server.
    fn run(&self, meanwhile: impl FnOnce()) {
        std::thread::scope(|scope| {
            let crawlers: Vec<_> = (0..CRAWLERS)
                .map(|_| {
                    scope.spawn(|| {
                        let given_up = GivesUpOnPanic(self);
                        self.crawl();
                        drop(given_up);
                    })
                })
                .collect();
            let given_up = GivesUpOnPanic(self);
            meanwhile();
            drop(given_up);
            self.state().last_lap = true;
            self.changed.notify_all();
            crawlers.into_iter().for_each(|crawler| crawler.join().unwrap());
        });
        let state = self.state();
        assert!(
            state.wrong.is_empty(),
            "{} answers are wrong: {:#?}",
            state.wrong.len(),
            state.wrong
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many more documents were fetched.
    fn let_pass(&self, documents: usize) {
        let until = self.done.load(Relaxed) + documents;
        let mut state = self.state();
        while self.done.load(Relaxed) < until && !state.given_up {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One client.
    fn crawl(&self) {
        let mut connection = None;
        while let Some(path) = self.next_path() {
            let answer = self.fetch(&mut connection, &path);
            let (links, complaint) = self.judge(&path, &answer);
            self.done.fetch_add(1, Relaxed);
            self.bytes.fetch_add(answer.body.len() as u64, Relaxed);
            let mut state = self.state();
            *state.statuses.entry(answer.status).or_default() += 1;
            state.wrong.extend(complaint);
            for link in links {
                if state.seen.len() < self.budget && state.seen.insert(link.clone()) {
                    state.waiting.push_back(link);
                }
            }
            state.busy -= 1;
            drop(state);
            self.changed.notify_all();
        }
    }

    /// The next document, or `None` when nobody can find any more and the last lap is run.
    fn next_path(&self) -> Option<String> {
        let mut state = self.state();
        loop {
            if state.given_up {
                return None;
            }
            if let Some(path) = state.waiting.pop_front() {
                state.busy += 1;
                return Some(path);
            }
            if state.busy == 0 {
                if state.last_lap {
                    return None;
                }
                state.laps += 1;
                state.begin_lap();
                self.changed.notify_all();
                continue;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks until there is an answer, and notes every failure of a request that was sent.
    fn fetch(&self, connection: &mut Option<Client>, path: &str) -> Answer {
        for _ in 0..TRIES_MAX {
            // A connection that ended while it was idle is no lost request: nothing had been sent.
            if connection.as_mut().is_some_and(Client::was_closed) {
                *connection = None;
            }
            let client = connection.get_or_insert_with(|| Client::connect(self.address));
            match client.try_request("GET", path, &[]) {
                Ok(answer) => {
                    if answer.closes() {
                        *connection = None;
                    }
                    return answer;
                }
                Err(error) => {
                    assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{path}: no answer at all");
                    let port = client.local_address().port();
                    self.state().retries.push((format!("{path}: {error}"), port));
                    *connection = None;
                }
            }
        }
        panic!("{path} fails again and again: {:?}", self.state().retries)
    }

    /// What is wrong with an answer, and the links in it.
    fn judge(&self, path: &str, answer: &Answer) -> (Vec<String>, Option<String>) {
        let relative = percent_encoding::percent_decode_str(&path[1..]).decode_utf8_lossy();
        let file = self.folder.join(&*relative);
        if file.is_dir() && !path.ends_with('/') {
            let location = answer.field("location").unwrap_or_default();
            let good = answer.status == 301 && location.ends_with(&format!("{path}/"));
            let complaint = (!good).then(|| format!("{path}: {} {location}", answer.status));
            return (vec![format!("{path}/")], complaint);
        }
        let file = if path.ends_with('/') { file.join("index.html") } else { file };
        match fs::read(&file) {
            Ok(contents) if answer.status == 200 && answer.body == contents => {
                (links(path, &answer.body), None)
            }
            Ok(contents) => {
                let (status, got, has) = (answer.status, answer.body.len(), contents.len());
                (Vec::new(), Some(format!("{path}: {status}, {got} bytes, the file has {has}")))
            }
            // Real sites have broken links. A folder without index.html is listed by `serve`, and forbidden elsewhere.
            Err(_) if matches!(answer.status, 404) => (Vec::new(), None),
            Err(_) if path.ends_with('/') && matches!(answer.status, 200 | 403) => {
                (Vec::new(), None)
            }
            Err(error) => (Vec::new(), Some(format!("{path}: {} but {error}", answer.status))),
        }
    }

    fn report(&self, model: &str, what: &str) {
        let state = self.state();
        let (documents, bytes) = (self.done.load(Relaxed), self.bytes.load(Relaxed));
        let (laps, retries) = (state.laps + 1, state.retries.len());
        eprintln!("{model}, {what}: {documents} documents, {bytes} bytes, {laps} laps");
        eprintln!("    answers by status: {:?}; retries: {retries}", state.statuses);
        if !state.kills.is_empty() {
            eprintln!("    connections that the killed children held: {:?}", state.kills);
        }
        assert!(self.done.load(Relaxed) > 50, "that was no site");
    }

    fn assert_retries(&self, count: usize) {
        let state = self.state();
        assert_eq!(state.retries.len(), count, "{:#?}", state.retries);
    }

    /// A killed child takes along what it had in flight: at most one request for each connection that it held.
    fn assert_retries_only_where_allowed(&self) {
        let state = self.state();
        assert_eq!(state.kills.len(), KILLS);
        assert!(
            state.kills.iter().sum::<usize>() > 0,
            "nobody held a connection when it was killed"
        );
        let mut failed = HashSet::new();
        for (what, port) in &state.retries {
            assert!(state.may_fail.contains(port), "no killed child held the connection of {what}");
            assert!(failed.insert(*port), "a connection fails once: {what}");
        }
        assert!(state.retries.len() <= state.kills.iter().sum());
    }
}

/// A crawler that panics must not leave the others waiting for what it would have found.
struct GivesUpOnPanic<'a>(&'a Crawl<'a>);

impl Drop for GivesUpOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().given_up = true;
            self.0.changed.notify_all();
        }
    }
}

fn count_files(folder: &Path) -> usize {
    let mut count = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => count += 1,
            }
        }
    }
    2 * count // Folders are asked for in both spellings, and broken links count as well.
}
