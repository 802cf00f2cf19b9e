//! The server that the cases talk to: several sites, each read in its own way.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::answers::{Expected, Wanted};
use crate::support::{Server, Site};

/// What follows a case.
pub(crate) const MARKER: &[u8] = b"GET /marker HTTP/1.1\r\nHost: marker\r\n\r\n";

/// Sites by name, each at an address of its own, since how a head is read is decided before its host is known.
const HOSTS: &[(&str, &str)] = &[
    ("usual", ""),
    ("unsafe", "HttpProtocolOptions Unsafe"),
    ("old", "HttpProtocolOptions Allow0.9"),
    ("old and unsafe", "HttpProtocolOptions Unsafe Allow0.9"),
    ("registered", "HttpProtocolOptions RegisteredMethods\nRedirect /moved /a.txt"),
    ("small", "LimitRequestLine 60\nLimitRequestFieldSize 40\nLimitRequestFields 5"),
    (
        "small and exact",
        "LimitRequestLine 60\nLimitRequestFieldSize 40\nLimitRequestFields 5\n\
         LimitRequestFieldStatus 431",
    ),
    ("short bodies", "LimitRequestBody 10"),
    ("without trace", "TraceEnable Off"),
    ("brief", "MaxKeepAliveRequests 2"),
    ("without keep-alive", "KeepAlive Off"),
    ("slashes", "AllowEncodedSlashes On"),
];

/// A server that must not change while it is asked: neither by answers, nor by its children.
pub(crate) struct WireServer {
    server: Server,
    children: BTreeSet<i32>,
}

impl WireServer {
    pub(crate) fn start(model: &'static str) -> Self {
        let sizes = match model {
            "prefork" => {
                "StartServers 8\nMinSpareServers 1\nMaxSpareServers 8\nMaxRequestWorkers 8"
            }
            _ => "StartServers 2\nThreadsPerChild 8\nMinSpareThreads 1\nMaxRequestWorkers 16",
        };
        let site = Site::new(model)
            .sizes(sizes)
            .conf(&configuration())
            .file("index.html", "home\n")
            .file("a.txt", "a\n")
            .file("marker", "in sync\n")
            .file("smuggled", "SMUGGLED\n")
            .file("list/one.txt", "1\n")
            .file("large.txt", "0123456789abcdef".repeat(20_000));
        age(&site.root().join("htdocs"));
        let server = site.start();
        let children = children(&server);
        Self { server, children }
    }

    /// Where the site of this name listens.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let number = HOSTS.iter().position(|(other, _)| *other == name);
        let ip = host_ip(number.unwrap_or_else(|| panic!("no such site: {name}")));
        *self.server.addresses().iter().find(|address| address.ip() == ip).unwrap()
    }

    /// Nobody has died of all this, and the server serves.
    pub(crate) fn assert_unharmed(&self) {
        for _ in 0..20 {
            assert_eq!(self.server.get("/marker").text(), "in sync\n");
        }
        assert_eq!(children(&self.server), self.children, "{}", self.server.error_log());
        let said = format!("{}{}", self.server.error_log(), self.server.stderr());
        assert!(!said.contains("panicked") && !said.contains("exit signal"), "{said}");
    }
}

/// The answer to [`MARKER`].
pub(crate) fn marker_answer() -> Expected {
    let wanted = vec![Wanted::Is("body".to_owned(), b"in sync".to_vec())];
    Expected { status: Some(200), is_to_head: false, wanted }
}

/// Makes files old: the tag of a new one changes when it is no longer new.
fn age(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        } else {
            let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
            fs::File::options().write(true).open(path).unwrap().set_modified(an_hour_ago).unwrap();
        }
    }
}

fn configuration() -> String {
    let mut conf = "<Directory ROOT/htdocs>\nOptions Indexes\n</Directory>\n".to_owned();
    for (number, (_, lines)) in HOSTS.iter().enumerate() {
        let ip = host_ip(number);
        if number > 0 {
            conf += &format!("Listen {ip}:0\n");
        }
        conf += &format!("<VirtualHost {ip}:*>\n{lines}\n</VirtualHost>\n");
    }
    conf
}

fn host_ip(number: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, u8::try_from(number + 1).unwrap()).into()
}

fn children(server: &Server) -> BTreeSet<i32> {
    server.children().into_iter().map(|pid| pid.as_raw()).collect()
}
