//! The servers: how each is configured for the same work, started and stopped.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::scenarios::{Scenario, Work};
use crate::site::Site;

/// The core that servers run on; the generator has the other one.
const SERVER_CORE: &str = "0";
/// Descriptors for ten thousand clients and some files.
const DESCRIPTORS: u32 = 20_000;
const START_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(10);
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";

/// A process model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    Event,
    Worker,
    Prefork,
}

impl Model {
    const ALL: [Model; 3] = [Model::Event, Model::Worker, Model::Prefork];

    fn name(self) -> &'static str {
        match self {
            Model::Event => "event",
            Model::Worker => "worker",
            Model::Prefork => "prefork",
        }
    }
}

/// A server, one way to run it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Limit,
    Lighttpd,
    H2o,
    Nginx,
    NginxCached,
    Apache(Model),
    Herdgate(Model),
    /// Another binary of ours.
    Former(Model, PathBuf),
}

impl Kind {
    /// All of them, installed or not, in the order in which they take their turns.
    pub(crate) fn all(former: Option<&Path>) -> Vec<Kind> {
        let mut all = vec![Kind::Limit, Kind::Lighttpd, Kind::H2o, Kind::NginxCached, Kind::Nginx];
        all.extend(Model::ALL.map(Kind::Apache));
        for model in Model::ALL {
            all.push(Kind::Herdgate(model));
            all.extend(former.map(|path| Kind::Former(model, path.to_path_buf())));
        }
        all
    }

    /// For the command line, tables and JSON.
    pub(crate) fn name(&self) -> String {
        match self {
            Kind::Limit => "limit".into(),
            Kind::Lighttpd => "lighttpd".into(),
            Kind::H2o => "h2o".into(),
            Kind::Nginx => "nginx".into(),
            Kind::NginxCached => "nginx-cached".into(),
            Kind::Apache(model) => format!("apache-{}", model.name()),
            Kind::Herdgate(model) => format!("herdgate-{}", model.name()),
            Kind::Former(model, _) => format!("former-{}", model.name()),
        }
    }

    /// Whether it is somebody else's.
    pub(crate) fn is_peer(&self) -> bool {
        !matches!(self, Kind::Limit | Kind::Herdgate(_) | Kind::Former(..))
    }

    /// Whether a process or thread belongs to each connection.
    pub(crate) fn is_blocking(&self) -> bool {
        matches!(
            self,
            Kind::Apache(Model::Worker | Model::Prefork)
                | Kind::Herdgate(Model::Worker | Model::Prefork)
                | Kind::Former(Model::Worker | Model::Prefork, _)
        )
    }

    pub(crate) fn is_installed(&self) -> bool {
        self.binary().exists()
    }

    fn binary(&self) -> PathBuf {
        match self {
            Kind::Limit => std::env::current_exe().unwrap_or_default(),
            Kind::Lighttpd => "/usr/sbin/lighttpd".into(),
            Kind::H2o => "/usr/bin/h2o".into(),
            Kind::Nginx | Kind::NginxCached => "/usr/sbin/nginx".into(),
            Kind::Apache(_) => "/usr/sbin/apache2".into(),
            Kind::Herdgate(_) => env!("CARGO_BIN_EXE_herdgate").into(),
            Kind::Former(_, path) => path.clone(),
        }
    }
}

/// A server that runs.
pub(crate) struct Running {
    process: Child,
    pub(crate) address: SocketAddr,
    /// From the start of its process to the first connection that it took.
    pub(crate) start: Duration,
}

impl Running {
    /// Starts a server, and waits until it takes connections.
    pub(crate) fn start(kind: &Kind, scenario: &Scenario, site: &Site) -> io::Result<Running> {
        let port = free_port()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let output = File::create(site.path("run/output"))?;
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]).arg(kind.binary());
        arguments(kind, scenario, site, port, &mut command)?;
        let began = Instant::now();
        let process = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        let mut running = Running { process, address, start: Duration::ZERO };
        while TcpStream::connect(address).is_err() {
            if running.process.try_wait()?.is_some() || began.elapsed() > START_MAX {
                let said = fs::read_to_string(site.path("run/output")).unwrap_or_default();
                return Err(io::Error::other(format!("it does not start:\n{said}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        running.start = began.elapsed();
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.process.id().cast_signed());
        let _ = killpg(group, Signal::SIGTERM);
        let began = Instant::now();
        while began.elapsed() < STOP_MAX {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = killpg(group, Signal::SIGKILL); // Whatever is left of it.
        let _ = self.process.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> io::Result<u16> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket
        .local_addr()?
        .as_socket()
        .map(|address| address.port())
        .ok_or(io::ErrorKind::AddrNotAvailable.into())
}

/// Writes the server's configuration and says how to run with it.
fn arguments(
    kind: &Kind,
    scenario: &Scenario,
    site: &Site,
    port: u16,
    command: &mut Command,
) -> io::Result<()> {
    let file = site.path("run/configuration");
    match kind {
        Kind::Limit => {
            fs::write(&file, scenario.prepared_answer(&site.root())?)?;
            command.arg("--limit").arg(port.to_string()).arg(&file);
            return Ok(());
        }
        Kind::Lighttpd => {
            fs::write(&file, lighttpd(site, port))?;
            command.args(["-D", "-f"]);
        }
        Kind::H2o => {
            fs::write(&file, h2o(site, port))?;
            command.arg("-c");
        }
        Kind::Nginx | Kind::NginxCached => {
            fs::write(&file, nginx(site, port, *kind == Kind::NginxCached))?;
            command.arg("-e").arg(site.path("run/error.log")).arg("-c");
        }
        Kind::Apache(model) => {
            let modules = apache_modules(*model);
            fs::write(&file, modules + &httpd(site, port, *model, scenario))?;
            command.args(["-DFOREGROUND", "-f"]);
        }
        Kind::Herdgate(model) | Kind::Former(model, _) => {
            let module = format!("LoadModule mpm_{}_module modules/mod_mpm.so\n", model.name());
            let model = httpd(site, port, *model, scenario);
            fs::write(&file, module + &model)?;
            command.args(["-DFOREGROUND", "-f"]);
        }
    }
    command.arg(&file);
    Ok(())
}

fn lighttpd(site: &Site, port: u16) -> String {
    let (root, run) = (site.root(), site.path("run"));
    format!(
        "server.modules = (\"mod_accesslog\")\n\
         server.document-root = \"{root}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
         server.username = \"nobody\"\nserver.groupname = \"nogroup\"\n\
         server.errorlog = \"{run}/error.log\"\naccesslog.filename = \"{run}/access.log\"\n\
         server.max-keep-alive-requests = 65535\nserver.max-keep-alive-idle = 300\n\
         server.max-connections = 12000\nserver.max-fds = {DESCRIPTORS}\nserver.listen-backlog = 4096\n\
         mimetype.assign = (\".html\" => \"text/html\", \".bin\" => \"application/octet-stream\")\n",
        root = root.display(),
        run = run.display(),
    )
}

fn h2o(site: &Site, port: u16) -> String {
    let (root, run) = (site.root(), site.path("run"));
    format!(
        "num-threads: 1\nmax-connections: 12000\nuser: nobody\nhttp1-request-timeout: 300\n\
         error-log: {run}/error.log\naccess-log:\n  path: {run}/access.log\n  \
         format: \"%h %l %u %t \\\"%r\\\" %s %b\"\n\
         hosts:\n  default:\n    listen:\n      host: 127.0.0.1\n      port: {port}\n    \
         paths:\n      /:\n        file.dir: {root}\n",
        root = root.display(),
        run = run.display(),
    )
}

fn nginx(site: &Site, port: u16, cached: bool) -> String {
    let (root, run) = (site.root(), site.path("run"));
    let cache = if cached {
        "open_file_cache max=20000 inactive=300s; open_file_cache_valid 60s; open_file_cache_errors on;"
    } else {
        ""
    };
    format!(
        "daemon off;\nworker_processes 1;\nuser nobody nogroup;\npid {run}/nginx.pid;\n\
         error_log {run}/error.log;\nworker_rlimit_nofile {DESCRIPTORS};\n\
         events {{ worker_connections 12000; }}\n\
         http {{\n  types {{ text/html html; application/octet-stream bin; }}\n  \
         log_format common '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent';\n  \
         access_log {run}/access.log common;\n  sendfile on;\n  tcp_nopush on;\n  {cache}\n  \
         keepalive_requests 1000000000;\n  keepalive_timeout 300s;\n  \
         client_body_temp_path {run}/body;\n  proxy_temp_path {run}/proxy;\n  fastcgi_temp_path {run}/fastcgi;\n  \
         uwsgi_temp_path {run}/uwsgi;\n  scgi_temp_path {run}/scgi;\n  \
         server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; }}\n}}\n",
        root = root.display(),
        run = run.display(),
    )
}

fn apache_modules(model: Model) -> String {
    let mut lines = String::new();
    let mpm = format!("mpm_{}", model.name());
    for name in [mpm.as_str(), "authz_core", "mime", "dir", "reqtimeout"] {
        let _ = writeln!(lines, "LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so");
    }
    lines
}

/// What Apache and Herdgate both read.
fn httpd(site: &Site, port: u16, model: Model, scenario: &Scenario) -> String {
    let (root, run) = (site.root(), site.path("run"));
    let sizes = match (model, scenario.work) {
        // The usual spare limits: how fast it grows is what is measured.
        (Model::Prefork, Work::Burst { .. }) => {
            "StartServers 5\nMinSpareServers 5\nMaxSpareServers 10\nServerLimit 256\nMaxRequestWorkers 256"
        }
        (Model::Worker, Work::Burst { .. }) => {
            "StartServers 2\nMinSpareThreads 25\nMaxSpareThreads 75\nThreadsPerChild 25\nServerLimit 16\n\
             MaxRequestWorkers 400"
        }
        (Model::Prefork, _) => {
            "StartServers 40\nMinSpareServers 1\nMaxSpareServers 64\nServerLimit 64\nMaxRequestWorkers 64"
        }
        (Model::Worker, _) => {
            "StartServers 1\nMinSpareThreads 1\nMaxSpareThreads 64\nThreadLimit 64\nThreadsPerChild 64\nServerLimit 1\n\
             MaxRequestWorkers 64"
        }
        (Model::Event, _) => {
            "StartServers 1\nMinSpareThreads 1\nMaxSpareThreads 64\nThreadsPerChild 25\nServerLimit 1\n\
             MaxRequestWorkers 25\nAsyncRequestWorkerFactor 600"
        }
    };
    format!(
        "ServerRoot {run}\nServerName localhost\nListen 127.0.0.1:{port}\nListenBacklog 4096\n\
         User nobody\nGroup nogroup\nPidFile {run}/httpd.pid\nDefaultRuntimeDir {run}\nErrorLog {run}/error.log\n\
         LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b\" common\nCustomLog {run}/access.log common\n\
         TypesConfig /dev/null\nAddType text/html .html\nAddType application/octet-stream .bin\n\
         KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 300\nEnableSendfile On\n\
         DocumentRoot {root}\n<Directory />\nOptions FollowSymLinks\nAllowOverride None\nRequire all granted\n\
         </Directory>\n{sizes}\n",
        root = root.display(),
        run = run.display(),
    )
}
