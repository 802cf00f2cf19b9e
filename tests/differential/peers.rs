//! # The tree that both servers serve, and Apache beside it
//!
//! - Apache gets a port that was free a moment ago. Should somebody else be faster, the next one is tried.
//! - Its configuration is a few lines of its own (port, modules, logs) and then the very lines that Herdgate gets.
//! - It is our child, told by TERM when the test ends, and reaped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use crate::cases::{Case, Entry, TIME};
use crate::logs;
use crate::support::{ends_or_is_killed, processes, skipped, taken_port, wait_for};

/// Where Debian installs it.
const BINARY: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
/// How often somebody else may take the port that was just free.
const TRIES_MAX: usize = 10;

/// Those of Apache's modules that the cases are about, and that Debian does not build in.
const LOADED: &[&str] = &[
    "mpm_event",
    "authn_core",
    "authn_file",
    "auth_basic",
    "authz_core",
    "authz_host",
    "authz_user",
    "authz_groupfile",
    "authz_owner",
    "access_compat",
    "allowmethods",
    "alias",
    "autoindex",
    "deflate",
    "dir",
    "env",
    "expires",
    "filter",
    "headers",
    "info",
    "macro",
    "mime",
    "negotiation",
    "ratelimit",
    "remoteip",
    "reqtimeout",
    "rewrite",
    "setenvif",
    "status",
    "unique_id",
    "userdir",
    "vhost_alias",
];

/// What both configurations begin with.
const COMMON: &str = "\
ServerName localhost
ServerAdmin admin@example.org
DocumentRoot \"ROOT/htdocs\"
TypesConfig \"ROOT/mime.types\"
KeepAliveTimeout 5
<Directory \"/\">
    AllowOverride None
    Require all granted
</Directory>
";

/// A folder with documents and the configuration that is compared.
pub(crate) struct Tree {
    root: TempDir,
}

impl Tree {
    /// What a file of cases describes.
    pub(crate) fn of(case: &Case) -> Tree {
        let tree = Tree::empty();
        for entry in &case.entries {
            tree.add(entry);
        }
        tree.set_times_and_modes(case);
        tree.write_conf(&case.conf);
        tree
    }

    /// A tree with types, and without any documents.
    pub(crate) fn empty() -> Tree {
        let root = tempfile::Builder::new().prefix("herdgate-test-").tempdir().unwrap();
        // The children change to another user, and the folder is made for its owner alone.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let tree = Tree { root };
        for folder in ["htdocs", "apache/logs"] {
            fs::create_dir_all(tree.path(folder)).unwrap();
        }
        let types = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/mime.types");
        fs::copy(types, tree.path("mime.types")).unwrap();
        tree
    }

    /// Writes the lines that both servers get. `ROOT/` in them stands for this folder.
    pub(crate) fn write_conf(&self, lines: &str) {
        let root = self.root.path().to_str().unwrap();
        let text = format!("{COMMON}{}{lines}", logs::CONF).replace("ROOT/", &format!("{root}/"));
        fs::write(self.path("common.conf"), text).unwrap();
    }

    /// The line that includes them.
    pub(crate) fn include(&self) -> String {
        format!("Include \"{}\"\n", self.path("common.conf").display())
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn add(&self, entry: &Entry) {
        let (Entry::File { path, .. } | Entry::Link { path, .. } | Entry::Folder { path }) = entry;
        let here = self.path(path);
        fs::create_dir_all(here.parent().unwrap()).unwrap();
        match entry {
            Entry::File { contents, .. } => fs::write(&here, contents).unwrap(),
            Entry::Link { target, .. } => symlink(target, &here).unwrap(),
            Entry::Folder { .. } => fs::create_dir_all(&here).unwrap(),
        }
    }

    /// Last, since a folder's time changes with what is put into it.
    fn set_times_and_modes(&self, case: &Case) {
        for entry in &case.entries {
            if let Entry::File { path, time, mode, .. } = entry {
                let path = self.path(path);
                set_time(&path, *time);
                if let Some(mode) = mode {
                    fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
                }
            }
        }
        let mut folders = vec![self.path("htdocs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
            set_time(&folder, TIME);
        }
    }
}

pub(crate) fn set_time(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(time).unwrap();
}

/// Apache, not started yet.
pub(crate) struct Installed;

/// A running Apache. Dropping it stops it.
pub(crate) struct Apache {
    process: Child,
    address: SocketAddr,
    root: PathBuf,
}

impl Apache {
    /// Apache, if it is installed; if not, the test is skipped.
    pub(crate) fn find() -> Option<Installed> {
        if Path::new(BINARY).exists() {
            return Some(Installed);
        }
        skipped(&format!("{BINARY} is not installed (Debian: apt-get install apache2)"));
        None
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// ServerRoot.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Installed {
    pub(crate) fn start(self, tree: &Tree) -> Apache {
        for _ in 0..TRIES_MAX {
            if let Some(apache) = try_to_start(tree) {
                return apache;
            }
        }
        panic!("no port stays free");
    }
}

/// `None`: somebody else has the port by now.
fn try_to_start(tree: &Tree) -> Option<Apache> {
    let address = taken_port().local_addr().unwrap(); // Dropped at once, so that it is free.
    fs::write(tree.path("apache/apache.conf"), own_lines(tree, address)).unwrap();
    let output = File::create(tree.path("apache/output")).unwrap();
    let _ = fs::remove_file(tree.path("apache/logs/error_log"));
    let process = Command::new(BINARY)
        .arg("-d")
        .arg(tree.path("apache"))
        .arg("-f")
        .arg(tree.path("apache/apache.conf"))
        .args(["-D", "FOREGROUND"])
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let mut apache = Apache { process, address, root: tree.path("apache") };
    let read = |name: &str| fs::read_to_string(tree.path(name)).unwrap_or_default();
    let serves = wait_for(|| {
        let serves = read("apache/logs/error_log").contains("resuming normal operations");
        let ended = apache.process.try_wait().unwrap().is_some();
        (serves || ended).then_some(serves && !ended)
    });
    if serves == Some(true) {
        return Some(apache);
    }
    let said = read("apache/output") + &read("apache/logs/error_log");
    assert!(said.contains("could not bind"), "Apache does not start:\n{said}");
    None
}

/// What only Apache gets.
fn own_lines(tree: &Tree, address: SocketAddr) -> String {
    let mut lines = format!(
        "ServerRoot \"{own}\"\nListen {address}\nPidFile apache.pid\nDefaultRuntimeDir \"{own}\"\n\
         StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMinSpareThreads 1\n\
         MaxSpareThreads 8\nMaxRequestWorkers 8\n",
        own = tree.path("apache").display(),
    );
    for name in LOADED {
        lines.push_str(&format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"));
    }
    if geteuid().is_root() {
        lines.push_str("User www-data\nGroup www-data\n");
    }
    lines + &tree.include()
}

impl Drop for Apache {
    /// TERM takes the children along.
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.process.id().cast_signed());
        let children = processes::children_of(pid);
        let _ = kill(pid, Signal::SIGTERM);
        ends_or_is_killed(&mut self.process, children);
    }
}
