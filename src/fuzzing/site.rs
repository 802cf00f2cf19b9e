//! Whole requests: whatever a `.htaccess` file and a client say, no answer is malformed, and no file outside is shown.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::{head, parts};
use crate::config::{Config, Source};
use crate::files::content::Segment;
use crate::files::{Access, content};
use crate::http::date;
use crate::http::keepalive::Fate;
use crate::http::method::Method;
use crate::http::response::{InvalidField, ResponseHead};
use crate::http::status::Status;
use crate::log::{Logs, Moment};
use crate::request::{Caches, Client, Outcome, Server, respond};
use crate::response::{Body, Response};

/// A `.htaccess` file, then a request.
pub(super) fn check(bytes: &[u8]) {
    let [htaccess, request] = parts(bytes);
    let Some(request) = head::complete(request) else { return };
    SITE.with(|site| {
        fs::write(site.folder.join("htdocs/.htaccess"), htaccess).unwrap();
        let client = Client {
            address: "127.0.0.1:4711".parse().ok(),
            local: "127.0.0.1:8080".parse().ok(),
            proxy: None,
        };
        let mut caches = Caches::default();
        let mut answer =
            |access| respond(&site.server, &client, &request, NOW, &mut caches, access);
        let inline = answer(Access::Inline);
        let Outcome::Ready(response) = answer(Access::MayBlock) else {
            panic!("a job would block");
        };
        if let Outcome::Ready(inline) = inline {
            assert_eq!(inline.status, response.status, "a job answers as the loop does");
        }
        is_sound(response, request.method());
    });
}

/// Long after all files were made.
const NOW: Moment = Moment { secs: 2_000_000_000, nanos: 0 };

/// What nobody may see.
const SECRET: &[u8] = b"e8b7b1f0-never-to-be-seen";

fn is_sound(mut response: Response, method: Method<'_>) {
    is_written_line_by_line(&response);
    assert!((200..600).contains(&response.status.code()));
    let told = response.content_length;
    let is_stream = matches!(response.body, Body::Stream(_));
    let body = bytes_of(&mut response.body);
    assert!(memchr::memmem::find(&body, SECRET).is_none(), "{:?}", response.file);
    let is_bodyless = matches!(response.status, Status::NO_CONTENT | Status::NOT_MODIFIED);
    if method == Method::Head || is_bodyless {
        assert!(body.is_empty());
    } else if let Some(told) = told.filter(|_| !is_stream) {
        assert_eq!(told, body.len() as u64);
    }
}

/// What could not stand in a head is refused by whoever writes it; and what is not refused ends no line early.
fn is_written_line_by_line(response: &Response) {
    let mut out = Vec::new();
    let content_type = response.content_type.as_deref().map(str::as_bytes);
    let mut written = || -> Result<(), InvalidField> {
        let mut head = ResponseHead::begin(&mut out, response.status, &date::format(0), "")?;
        for (name, value) in response.fields.iter() {
            head.field(name, value)?;
        }
        head.finish(Fate::Keep, content_type)
    };
    if written().is_ok() {
        // The status, the date and the empty line stand there, too.
        let lines = 3 + response.fields.iter().count() + usize::from(content_type.is_some());
        assert_eq!(memchr::memmem::find_iter(&out, "\r\n").count(), lines);
        assert_eq!(out.iter().filter(|byte| b"\r\n".contains(byte)).count(), 2 * lines);
    }
}

fn bytes_of(body: &mut Body) -> Vec<u8> {
    match body {
        Body::Empty => Vec::new(),
        Body::Memory(bytes) => std::mem::take(bytes),
        Body::Shared(bytes) => bytes.to_vec(),
        Body::Static(bytes) => bytes.to_vec(),
        Body::File { file, span } => content::read(file, *span, Access::MayBlock).unwrap(),
        Body::Parts { file, segments } => {
            let bytes = |segment: &Segment| match segment {
                Segment::Bytes(bytes) => bytes.clone(),
                Segment::File(span) => content::read(file, *span, Access::MayBlock).unwrap(),
            };
            segments.iter().flat_map(bytes).collect()
        }
        Body::Stream(source) => {
            let pieces = std::iter::from_fn(|| Some(source.next().unwrap()));
            pieces.take_while(|piece| !piece.is_empty()).flatten().collect()
        }
    }
}

thread_local! {
    static SITE: Site = Site::new();
}

/// A small site with something secret beside it. It is a thread's own, and goes with it.
struct Site {
    folder: PathBuf,
    server: Server,
}

impl Site {
    fn new() -> Site {
        let name = format!("herdgate-fuzzing-{}-{}", std::process::id(), nix::unistd::gettid());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("htdocs/sub")).unwrap();
        let map = "URI: a.txt\nContent-Type: text/plain\n\nURI: b.html\nContent-Type: text/html\n";
        for (name, text) in [
            ("secret.txt", str::from_utf8(SECRET).unwrap()),
            ("users", "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"),
            ("htdocs/a.txt", "0123456789"),
            ("htdocs/b.html", "<p>page"),
            ("htdocs/b.html.fr", "<p>page en français"),
            ("htdocs/empty", ""),
            ("htdocs/map.var", map),
            ("htdocs/sub/c.txt", "c"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        let before = vec![CONFIGURATION.replace("ROOT", folder.to_str().unwrap())];
        let source = Source { root: folder.clone(), before, ..Source::default() };
        let loaded = Config::load(&source).unwrap_or_else(|errors| panic!("{errors}"));
        let config = Arc::new(loaded.config);
        let logs = Logs::open(&config).unwrap();
        Site { folder, server: Server::new(config, logs) }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

/// Much of what Herdgate can do, and nothing that asks the network.
const CONFIGURATION: &str = r#"
Listen 127.0.0.1:8080
ServerName example.org
ErrorLog /dev/null
LogLevel info rewrite:trace8
DocumentRoot htdocs
AddType text/html .html
AddType text/plain .txt
AddLanguage fr .fr
AddHandler type-map .var
AddOutputFilterByType DEFLATE text/html
DirectoryIndex index.html b.html
Alias /elsewhere/ "ROOT/htdocs/sub/"
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.0/8
SetEnvIf User-Agent "(bot|spider)" robot=$1
Header append X-Seen "%{robot}e" env=robot
<Directory "/">
    Require all denied
</Directory>
<Directory "ROOT/htdocs">
    Require all granted
    Options Indexes FollowSymLinks MultiViews
    IndexOptions FancyIndexing HTMLTable
    AllowOverride FileInfo Indexes Options
</Directory>
<Location "/sub/closed">
    AuthType Basic
    AuthName "x"
    AuthUserFile "ROOT/users"
    Require valid-user
</Location>
"#;
