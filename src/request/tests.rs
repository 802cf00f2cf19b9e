//! Whole requests against small sites: a configuration, a folder, a head, and what comes back.

mod access;

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::config::Source;
use crate::files::content::{self, Segment};
use crate::http::head::{Form, HeadLimits, Parse, parse};
use crate::response::Body;

mod filters;
mod limits;
mod providers;
mod rewrite;

/// A served folder, its configuration and its error log.
struct Site {
    folder: tempfile::TempDir,
    server: Server,
    /// How often an answer was known.
    remembered: Cell<u32>,
}

/// 2024-01-02 03:04:05 UTC, when all files were last changed.
const CHANGED: i64 = 1_704_164_645;
const NOW: Moment = Moment { secs: CHANGED + 1000, nanos: 0 };

impl Site {
    /// A site with `lines` in its configuration: everything granted, links followed, no listings.
    fn new(lines: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("htdocs");
        for name in ["docs/deep", "empty", "listed/sub", ".well-known", ".git"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for (name, text) in [
            ("index.html", "<p>home"),
            ("a.txt", "0123456789"),
            ("empty.txt", ""),
            ("plain", "?"),
            ("page.html", "<p>page"),
            ("sorry.html", "<p>sorry"),
            ("docs/index.html", "<p>docs"),
            ("docs/deep/x.css", "p{}"),
            ("listed/one.txt", "1"),
            ("listed/.secret", "s"),
            (".well-known/x", "known"),
            (".git/config", "secret"),
            ("packed.html.packed", "gz"),
        ] {
            write(&root.join(name), text.as_bytes());
        }
        write(&root.join("big"), &[b'x'; 100_000]);
        symlink("a.txt", root.join("link")).unwrap();
        symlink("/etc/passwd", root.join("outside")).unwrap();
        let source = Source {
            root: folder.path().to_path_buf(),
            before: vec![format!(
                "Listen 127.0.0.1:8080\nServerName example.org\nErrorLog error_log\nLogLevel info\n\
                 DocumentRoot htdocs\nAddType text/html .html\nAddType text/plain .txt\n\
                 AddType text/css .css\nAddEncoding x-packed .packed\n\
                 <Directory />\nRequire all denied\n</Directory>\n\
                 <Directory \"{}\">\nRequire all granted\n</Directory>\n{lines}\n",
                root.display()
            )],
            ..Source::default()
        };
        let loaded = Config::load(&source).unwrap_or_else(|errors| panic!("{errors}"));
        let config = Arc::new(loaded.config);
        let logs = Logs::open(&config).unwrap();
        let mut server = Server::new(config, logs);
        server.answers = AnswerCache::hasty(1 << 20);
        Site { folder, server, remembered: Cell::new(0) }
    }

    /// Answers a request that is complete but for its last line end.
    fn ask(&self, request: &str) -> Answer {
        self.ask_exactly(&format!("{request}\r\nHost: example.org:8080\r\n\r\n"))
    }

    fn ask_exactly(&self, request: &str) -> Answer {
        // What is refused on the wire unless the configuration bears with it does no harm in here either.
        let limits = HeadLimits { form: Form::Unsafe, ..HeadLimits::default() };
        let Parse::Complete { head, .. } = parse(request.as_bytes(), &limits) else {
            panic!("not a request: {request}");
        };
        let client = Client {
            address: Some("192.0.2.1:4711".parse().unwrap()),
            local: Some("127.0.0.1:8080".parse().unwrap()),
            proxy: None,
        };
        // Whatever was answered before to the same: now it would be answered so again.
        let answers = &self.server.answers;
        let remembered = answers.find(&client, &head, NOW, None, Access::MayBlock);
        let mut cache = Caches::default();
        let mut respond = |access| respond(&self.server, &client, &head, NOW, &mut cache, access);
        let inline = respond(Access::Inline);
        let Outcome::Ready(response) = respond(Access::MayBlock) else {
            panic!("a job would block: {request}");
        };
        if let Outcome::Ready(inline) = inline {
            assert_eq!(inline.status, response.status, "a job answers as the loop does");
            assert_eq!(inline.body.length(), response.body.length());
        }
        if let Some(remembered) = remembered {
            let told = |it: &Response| {
                let fields =
                    it.fields.iter().map(|(name, value)| (name.to_owned(), value.to_vec()));
                (
                    (it.status, fields.collect::<Vec<_>>(), it.content_type.clone()),
                    (it.content_length, it.body.in_memory().map(<[u8]>::to_vec), it.handler),
                    (it.path.clone(), it.file.clone(), format!("{:?}{:?}", it.env, it.notes)),
                )
            };
            assert_eq!(told(&remembered.response), told(&response), "as before: {request}");
            self.remembered.set(self.remembered.get() + 1);
        }
        Answer::new(response)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1"))
    }

    fn error_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error_log")).unwrap()
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let changed = std::time::UNIX_EPOCH + std::time::Duration::from_secs(CHANGED as u64);
    fs::File::open(path).unwrap().set_modified(changed).unwrap();
}

/// A response in the form that tests compare.
struct Answer {
    response: Response,
    body: String,
    bytes: Vec<u8>,
}

impl Answer {
    fn new(response: Response) -> Answer {
        let mut response = response;
        let body = match &mut response.body {
            Body::Empty => Vec::new(),
            Body::Memory(bytes) => bytes.clone(),
            Body::Shared(bytes) => bytes.to_vec(),
            Body::Static(bytes) => bytes.to_vec(),
            Body::File { file, span } => content::read(file, *span, Access::MayBlock).unwrap(),
            Body::Parts { file, segments } => {
                let bytes = segments.iter().flat_map(|segment| match segment {
                    Segment::Bytes(bytes) => bytes.clone(),
                    Segment::File(span) => content::read(file, *span, Access::MayBlock).unwrap(),
                });
                bytes.collect()
            }
            Body::Stream(source) => {
                let pieces = std::iter::from_fn(|| Some(source.next().unwrap()));
                pieces.take_while(|piece| !piece.is_empty()).flatten().collect()
            }
        };
        Answer { body: String::from_utf8_lossy(&body).into_owned(), bytes: body, response }
    }

    fn status(&self) -> u16 {
        self.response.status.code()
    }

    fn field(&self, name: &str) -> &str {
        let value = self.response.fields.get(name).unwrap_or_else(|| panic!("no {name}"));
        std::str::from_utf8(value).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.response.fields.get(name).is_some()
    }
}

#[track_caller]
fn check(site: &Site, request: &str, status: u16, body: &str) -> Answer {
    let answer = site.ask(request);
    assert_eq!((answer.status(), answer.body.as_str()), (status, body), "{request}");
    answer
}

#[test]
fn file_is_described_and_sent() {
    let site = Site::new("");
    let answer = check(&site, "GET /a.txt HTTP/1.1", 200, "0123456789");
    let names: Vec<_> = answer.response.fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Last-Modified", "ETag", "Accept-Ranges"]);
    assert_eq!(answer.field("Last-Modified"), "Tue, 02 Jan 2024 03:04:05 GMT");
    assert_eq!(answer.field("ETag"), format!("\"a-{:x}\"", CHANGED * 1_000_000));
    assert_eq!(answer.response.content_type.as_deref(), Some("text/plain"));
    assert_eq!(answer.response.content_length, Some(10));
    assert_eq!(answer.response.path, b"/a.txt");
    assert!(answer.response.file.unwrap().ends_with(b"/htdocs/a.txt"));
}

#[test]
fn what_was_answered_is_remembered_until_something_changes() {
    let site = Site::new(
        "LogLevel warn\n<Location /closed>\nRequire all denied\n</Location>\n\
         <Location /docs>\nBrowserMatch Old old\nHeader set X-Old %{old}e env=old\n</Location>",
    );
    let known = |request: &str, before: bool| {
        let seen = site.remembered.get();
        let answer = site.ask(request);
        assert_eq!(site.remembered.get() > seen, before, "{request}");
        answer
    };
    let request = "GET /a.txt HTTP/1.1";
    known(request, false);
    assert_eq!(known(request, true).body, "0123456789");
    write(&site.folder.path().join("htdocs/a.txt"), b"changed");
    assert_eq!(known(request, false).body, "changed");
    known(request, true);
    // Another method, another version, another host: another request.
    known("HEAD /a.txt HTTP/1.1", false);
    known("GET /a.txt HTTP/1.0", false);
    // Fields that nobody asked for do not matter, and those that somebody did do.
    known("GET /a.txt HTTP/1.1\r\nUser-Agent: Old", true);
    known("GET /a.txt HTTP/1.1\r\nIf-None-Match: *", false);
    assert_eq!(known("GET /a.txt HTTP/1.1\r\nIf-None-Match: *", true).status(), 304);
    known("GET /docs/ HTTP/1.1", false);
    assert!(known("GET /docs/ HTTP/1.1\r\nUser-Agent: Old", false).has("X-Old"));
    assert!(!known("GET /docs/ HTTP/1.1", true).has("X-Old"));
    assert!(known("GET /docs/ HTTP/1.1\r\nUser-Agent: Old", true).has("X-Old"));
    // What is not there, and comes.
    known("GET /new HTTP/1.1", false);
    assert_eq!(known("GET /new HTTP/1.1", true).status(), 404);
    write(&site.folder.path().join("htdocs/new"), b"new");
    assert_eq!(known("GET /new HTTP/1.1", false).status(), 200);
    known("GET /docs HTTP/1.1", false);
    assert_eq!(known("GET /docs HTTP/1.1", true).status(), 301);
    // What is refused is told to the log each time.
    known("GET /closed HTTP/1.1", false);
    known("GET /closed HTTP/1.1", false);
}

#[test]
fn htaccess_files_are_part_of_what_is_remembered() {
    let site = Site::new("<Directory />\nAllowOverride All\n</Directory>");
    let request = "GET /docs/index.html HTTP/1.1";
    let ask = |before: bool| {
        let seen = site.remembered.get();
        let answer = site.ask(request);
        assert_eq!(site.remembered.get() > seen, before);
        answer.response.content_type.unwrap().into_owned()
    };
    assert_eq!((ask(false), ask(true)), ("text/html".into(), "text/html".into()));
    let htaccess = site.folder.path().join("htdocs/.htaccess");
    write(&htaccess, b"AddType text/x-new .html\n");
    assert_eq!((ask(false), ask(true)), ("text/x-new".into(), "text/x-new".into()));
    write(&htaccess, b"AddType text/x-newer .html\n");
    assert_eq!((ask(false), ask(true)), ("text/x-newer".into(), "text/x-newer".into()));
    fs::remove_file(&htaccess).unwrap();
    assert_eq!((ask(false), ask(true)), ("text/html".into(), "text/html".into()));
}

#[test]
fn type_is_left_out_when_nothing_is_known() {
    let site = Site::new("");
    assert_eq!(site.get("/plain").response.content_type, None);
    let packed = site.get("/packed.html.packed");
    assert_eq!(packed.response.content_type.as_deref(), Some("text/html"));
    assert_eq!(packed.field("Content-Encoding"), "x-packed");
}

#[test]
fn small_files_travel_in_memory_and_large_ones_do_not() {
    let site = Site::new("");
    assert!(site.get("/a.txt").response.body.is_in_memory());
    let large = site.get("/big");
    assert!(matches!(large.response.body, Body::File { .. }));
    assert_eq!((large.body.len(), large.response.content_length), (100_000, Some(100_000)));
}

#[test]
fn methods_of_static_files() {
    let site = Site::new("");
    check(&site, "POST /a.txt HTTP/1.1", 200, "0123456789");
    let head = check(&site, "HEAD /a.txt HTTP/1.1", 200, "");
    assert_eq!(head.response.content_length, Some(10));
    assert_eq!(site.ask("HEAD /empty.txt HTTP/1.1").response.content_length, None);
    assert_eq!(site.ask("HEAD /missing HTTP/1.1").response.content_length, None);
    let options = check(&site, "OPTIONS /missing HTTP/1.1", 200, "");
    assert_eq!(options.field("Allow"), "OPTIONS,HEAD,GET,POST,TRACE");
    assert!(!check(&site, "OPTIONS * HTTP/1.1", 200, "").has("Allow"));
    for (request, status) in [
        ("PUT /missing HTTP/1.1", 405),
        ("DELETE /a.txt HTTP/1.1", 405),
        ("PROPFIND /a.txt HTTP/1.1", 405),
        ("FOO /a.txt HTTP/1.1", 501),
        ("get /a.txt HTTP/1.1", 501),
    ] {
        let refused = site.ask(request);
        assert_eq!(refused.status(), status, "{request}");
        assert!(refused.has("Allow"), "{request}");
    }
    assert!(site.error_log().contains("AH00135: Invalid method in request FOO /a.txt HTTP/1.1"));
}

#[test]
fn trace_returns_the_head_without_what_is_private() {
    let site = Site::new("");
    let trace = site.ask("TRACE /any HTTP/1.1\r\nX-A: b\r\nCookie: c");
    assert_eq!(trace.response.content_type.as_deref(), Some("message/http"));
    assert_eq!(trace.body, "TRACE /any HTTP/1.1\r\nX-A: b\r\nHost: example.org:8080\r\n\r\n");
    assert_eq!(site.ask("TRACE / HTTP/1.1\r\nContent-Length: 1").status(), 413);
    let site = Site::new("TraceEnable Off");
    let refused = site.ask("TRACE / HTTP/1.1");
    assert_eq!((refused.status(), refused.field("Allow")), (405, "OPTIONS,HEAD,GET,POST"));
}

#[test]
fn conditions_spare_the_client_what_it_has() {
    let site = Site::new("");
    let etag = site.get("/a.txt").field("ETag").to_owned();
    let date = "Tue, 02 Jan 2024 03:04:05 GMT";
    let get = "GET /a.txt HTTP/1.1\r\n";
    let unchanged = check(&site, &format!("{get}If-None-Match: {etag}"), 304, "");
    assert_eq!(
        (unchanged.response.content_length, unchanged.response.content_type.as_deref()),
        (None, None)
    );
    assert_eq!(unchanged.field("ETag"), etag);
    check(&site, &format!("{get}If-Modified-Since: {date}"), 304, "");
    check(
        &site,
        &format!("{get}If-None-Match: \"other\"\r\nIf-Modified-Since: {date}"),
        200,
        "0123456789",
    );
    let failed = check(&site, &format!("{get}If-Match: \"other\""), 412, "");
    assert_eq!(failed.response.content_length, Some(0));
    // What does not exist has no conditions.
    assert_eq!(site.ask("GET /missing HTTP/1.1\r\nIf-Match: *").status(), 404);
}

#[test]
fn a_range_is_sent_alone() {
    let site = Site::new("");
    let get = "GET /a.txt HTTP/1.1\r\n";
    let part = check(&site, &format!("{get}Range: bytes=2-4"), 206, "234");
    assert_eq!(part.field("Content-Range"), "bytes 2-4/10");
    assert_eq!(part.response.content_length, Some(3));
    check(&site, &format!("{get}Range: bytes=-3"), 206, "789");
    check(&site, &format!("{get}Range: lines=1-2"), 200, "0123456789");
    check(&site, &format!("{get}Range: bytes=2-4\r\nIf-Range: \"other\""), 200, "0123456789");
    check(&site, "HEAD /a.txt HTTP/1.1\r\nRange: bytes=2-4", 200, "");
    let beyond = site.ask(&format!("{get}Range: bytes=10-"));
    assert_eq!((beyond.status(), beyond.field("Content-Range")), (416, "bytes */10"));
    let large = site.ask("GET /big HTTP/1.1\r\nRange: bytes=1-");
    assert_eq!((large.status(), large.body.len()), (206, 99_999));
}

#[test]
fn several_ranges_are_sent_as_parts() {
    let site = Site::new("<Files a.txt>\nHeader set Content-Type text/edited\n</Files>");
    let several = site.ask("GET /a.txt HTTP/1.1\r\nRange: bytes=7-8,0-1,1-2");
    assert_eq!((several.status(), several.has("Content-Range")), (206, false));
    let content_type = several.response.content_type.as_deref().unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    // Whatever modules do to the type, they do it to that of the file.
    let parts = [("7-8", "78"), ("0-2", "012")].map(|(range, bytes)| {
        format!(
            "\r\n--{boundary}\r\nContent-type: text/edited\r\nContent-range: bytes {range}/10\r\n\r\n{bytes}"
        )
    });
    assert_eq!(several.body, format!("{}\r\n--{boundary}--\r\n", parts.concat()));
    let ask = "GET /big HTTP/1.1\r\nRange: bytes=5-9,70000-90000";
    let (once, again) = (site.ask(ask), site.ask(ask));
    assert!(matches!(once.response.body, Body::Parts { .. }));
    for answer in [&several, &once] {
        assert_eq!(answer.response.content_length, Some(answer.bytes.len() as u64));
    }
    assert_ne!(once.response.content_type, again.response.content_type, "a boundary is new");
}

#[test]
fn paths_cannot_leave_the_root() {
    let site = Site::new("");
    for (path, status) in [
        ("/docs/../a.txt", 200),
        ("//docs/./%69ndex.html", 200),
        ("/../a.txt", 400),
        ("/%2e%2e/a.txt", 400),
        ("/docs/%2e%2e/%2e%2e/a.txt", 400),
        ("/docs%2findex.html", 404),
        ("/a%00.txt", 404),
        ("/%zz", 400),
        ("/a.txt/", 404),
        ("/a.txt/more", 404),
    ] {
        assert_eq!(site.get(path).status(), status, "{path}");
    }
    assert!(site.error_log().contains("AH10244: invalid URI path (/%2e%2e/a.txt)"));
    assert_eq!(site.get(&format!("/{}", "n".repeat(300))).status(), 403);
}

#[test]
fn links_are_followed_only_where_options_say_so() {
    let follow = Site::new("");
    assert_eq!(follow.get("/outside").status(), 200);
    let refuse = Site::new("<Directory />\nOptions None\n</Directory>");
    assert_eq!((refuse.get("/link").status(), refuse.get("/a.txt").status()), (403, 200));
    assert!(
        refuse
            .error_log()
            .contains("AH00037: Symbolic link not allowed or link target not accessible")
    );
    let beneath = Site::new("<Directory />\nOptions SymLinksBeneath\n</Directory>");
    assert_eq!((beneath.get("/link").status(), beneath.get("/outside").status()), (200, 403));
    let owner = Site::new("<Directory />\nOptions SymLinksIfOwnerMatch\n</Directory>");
    assert_eq!(owner.get("/link").status(), 200);
}

#[test]
fn what_is_denied_is_denied_before_it_is_looked_for() {
    let site = Site::new(
        "<Location /docs>\nRequire all denied\n</Location>\n<Files \"*.css\">\nRequire all denied\n</Files>\n\
         <Location /theirs>\nRequire ip 192.0.2.0/24\n</Location>\nAlias /theirs /nowhere/at/all",
    );
    for (path, status) in [
        ("/docs/", 403),
        ("/docs/missing", 403),
        ("/x.css", 403),
        ("/a.txt", 200),
        ("/theirs", 404),
    ] {
        assert_eq!(site.get(path).status(), status, "{path}");
    }
    assert!(site.error_log().contains("[authz_core:error]"));
    assert!(
        site.error_log()
            .contains("[client 192.0.2.1:4711] AH01630: client denied by server configuration: ")
    );
}

#[test]
fn folder_is_redirected_to_its_slash() {
    let site = Site::new("");
    let moved = site.get("/docs?x=1&y");
    assert_eq!(moved.status(), 301);
    assert_eq!(moved.field("Location"), "http://example.org:8080/docs/?x=1&y");
    assert!(moved.body.contains("<a href=\"http://example.org:8080/docs/?x=1&amp;y\">here</a>"));
    let canonical = Site::new("UseCanonicalName On");
    assert_eq!(canonical.get("/docs").field("Location"), "http://example.org/docs/");
    // This machine calls its own address something, by its list of hosts.
    let by_dns = Site::new("UseCanonicalName DNS\nServerName other.example:80");
    let name = herdgate_sys::net::name_of([127, 0, 0, 1].into()).unwrap();
    let name = name.as_deref().unwrap_or("other.example");
    let moved = by_dns.get("/docs");
    assert_eq!(moved.field("Location"), format!("http://{name}:8080/docs/"));
    let known = moved.response.own_name.as_deref();
    assert_eq!(known.unwrap_or("other.example"), name, "the log has it, too");
    let off = Site::new("DirectorySlash Off");
    assert_eq!(off.get("/docs").status(), 403);
}

#[test]
fn client_that_names_no_host_is_sent_to_the_real_port() {
    let site = Site::new("");
    let moved = site.ask_exactly("GET /docs HTTP/1.0\r\n\r\n");
    assert_eq!(moved.field("Location"), "http://example.org:8080/docs/");
    let moved = site.ask_exactly("GET /docs HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!(moved.field("Location"), "http://other.example/docs/");
    let configured = Site::new("ServerName https://example.org:8443\nUseCanonicalName On");
    assert_eq!(configured.get("/docs").field("Location"), "https://example.org:8443/docs/");
}

#[test]
fn what_does_not_exist_is_told_at_info() {
    let site = Site::new("AcceptPathInfo Off");
    for (path, number, file) in
        [("/no/such", "AH00128", "htdocs/no/such"), ("/a.txt/x", "AH00130", "htdocs/a.txt/x")]
    {
        assert_eq!(site.get(path).status(), 404);
        let log = site.error_log();
        let line = log.lines().find(|line| line.contains(number));
        let line = line.unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("[core:info]") && line.ends_with(file), "{line}");
    }
}

#[test]
fn the_error_log_may_tell_about_a_request_before_it_tells_of_its_troubles() {
    let site = Site::new(
        "ErrorLogFormat request \"REQUEST %{User-Agent}i %A\"\nErrorLogFormat request \"AND %+{X}e %L\"\n\
         ErrorLogFormat \"%l %M [%{User-Agent}i %{X}e] [%{c}L]\"\nSetEnvIf Request_URI two X=yes",
    );
    site.ask("GET /no/such/one HTTP/1.1\r\nUser-Agent: A");
    assert_eq!(site.get("/a.txt").status(), 200);
    site.ask("GET /no/such/two HTTP/1.1\r\nUser-Agent: B");
    let log = site.error_log();
    let root = site.folder.path().join("htdocs");
    let log = log.replace(root.to_str().unwrap(), "ROOT");
    let expected = [
        "REQUEST A 127.0.0.1:8080",
        "info AH00128: File does not exist: ROOT/no/such/one",
        "REQUEST B 127.0.0.1:8080",
        "AND yes",
        "info AH00128: File does not exist: ROOT/no/such/two [B yes]",
    ];
    let mut rest = log.as_str();
    for line in expected {
        let at = rest.find(line).unwrap_or_else(|| panic!("no {line} in its place in {log}"));
        rest = &rest[at + line.len()..];
    }
    let about_one = log.split("REQUEST B").next().unwrap_or_default();
    assert!(!about_one.contains("AND"), "without X there is no such line: {log}");
}

#[test]
fn header_values_tell_how_busy_the_server_is() {
    let site = Site::new("Header set Workers \"%i %b\"");
    assert_eq!(site.get("/a.txt").field("Workers"), "i=0 b=0", "there are none");
    let board = Scoreboard::create(None, 1, 4).unwrap();
    site.server.scoreboard.set(board).unwrap();
    assert_eq!(site.get("/a.txt").field("Workers"), "i=0 b=0", "none has started");
}

#[test]
fn an_etag_may_be_made_of_the_content() {
    let site = Site::new("FileETag Digest\n<Files page.html>\nFileETag Digest Size\n</Files>");
    let tag = "\"h6zsF82dzSCnFsws9nQXtxyKcBY=\"";
    assert_eq!(site.get("/a.txt").field("ETag"), tag);
    let unchanged = site.ask(&format!("GET /a.txt HTTP/1.1\r\nIf-None-Match: {tag}"));
    assert_eq!((unchanged.status(), unchanged.field("ETag")), (304, tag));
    write(&site.folder.path().join("htdocs/page.html"), b"0123456789");
    assert_eq!(site.get("/page.html").field("ETag"), tag);
}

#[test]
fn index_file_stands_for_its_folder() {
    let site = Site::new("DirectoryIndex missing.html index.html");
    let index = check(&site, "GET /docs/ HTTP/1.1", 200, "<p>docs");
    assert_eq!(index.response.path, b"/docs/index.html");
    assert_eq!(index.response.content_type.as_deref(), Some("text/html"));
    check(&site, "GET / HTTP/1.1", 200, "<p>home");
    let elsewhere = Site::new("DirectoryIndex nothing deep/x.css /page.html");
    check(&elsewhere, "GET /docs/ HTTP/1.1", 200, "p{}");
    check(&elsewhere, "GET /empty/ HTTP/1.1", 200, "<p>page");
}

#[test]
fn refused_index_file_never_becomes_a_listing() {
    let site = Site::new("Options Indexes\n<Files index.html>\nRequire all denied\n</Files>");
    assert_eq!(site.get("/docs/").status(), 403);
}

#[test]
fn folder_without_index_file_is_listed_or_refused() {
    let refused = Site::new("");
    assert_eq!(refused.get("/listed/").status(), 403);
    assert!(refused.error_log().contains("AH01276: Cannot serve directory "));
    assert!(refused.error_log().contains(
        "No matching DirectoryIndex (index.html) found, and server-generated directory index forbidden by Options directive"
    ));

    let site = Site::new(
        "Options Indexes\nHiddenFiles Hide\n<Files one.txt>\nRequire all denied\n</Files>",
    );
    let listing = site.get("/listed/?C=N;O=D");
    assert_eq!(listing.status(), 200);
    assert_eq!(listing.response.content_type.as_deref(), Some("text/html;charset=UTF-8"));
    assert!(listing.body.contains("<title>Index of /listed</title>"));
    assert!(listing.body.contains("<a href=\"sub/\">"));
    assert!(!listing.body.contains("one.txt") && !listing.body.contains(".secret"));
    let head = check(&site, "HEAD /listed/ HTTP/1.1", 200, "");
    assert_eq!(head.response.content_length, None);
    assert_eq!(site.ask("POST /listed/ HTTP/1.1").status(), 404);
}

#[test]
fn what_would_block_leaves_no_trace() {
    // The refusal is known inline, but its document is a listing, which only a job may make.
    let site = Site::new(
        "ErrorDocument 403 /listed/\n<Location /listed>\nOptions Indexes\n</Location>\n\
         <Location /docs>\nRequire all denied\n</Location>",
    );
    let answer = site.get("/docs/");
    assert_eq!(answer.status(), 403);
    assert!(answer.body.contains("Index of /listed"));
    assert_eq!(site.error_log().matches("AH01630").count(), 1);
}

#[test]
fn hidden_files_do_not_exist() {
    let site = Site::new("HiddenFiles Hide");
    for (path, status) in
        [("/.git/config", 404), ("/.git", 404), ("/listed/.secret", 404), ("/.well-known/x", 200)]
    {
        assert_eq!(site.get(path).status(), status, "{path}");
    }
    assert_eq!(Site::new("").get("/.git/config").status(), 200);
}

#[test]
fn errors_have_built_in_pages() {
    let site = Site::new("ServerSignature On");
    let missing = site.get("/missing");
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.response.content_type.as_deref(), Some("text/html; charset=iso-8859-1"));
    assert!(missing.body.contains(
        "<p>The requested URL was not found on this server.</p>\n<hr>\n<address>Herdgate/"
    ));
    assert!(missing.body.contains(" Server at example.org Port 8080</address>"));
    assert_eq!(missing.response.content_length, Some(missing.body.len() as u64));
}

#[test]
fn error_document_may_be_text_path_or_url() {
    let site = Site::new(
        "ErrorDocument 404 /sorry.html\nErrorDocument 403 \"Go away\"\nErrorDocument 405 http://help.example/\n\
         ErrorDocument 400 /missing.html",
    );
    let missing = check(
        &site,
        "GET /missing HTTP/1.1\r\nIf-None-Match: *\r\nRange: bytes=1-2",
        404,
        "<p>sorry",
    );
    let first = missing.response.first.as_deref().expect("it was led to the page");
    assert_eq!(first.path, b"/missing");
    assert_eq!(missing.response.path, b"/sorry.html");
    assert_eq!(missing.response.content_type.as_deref(), Some("text/html"));
    assert!(missing.has("ETag"));
    check(&site, "GET /listed/ HTTP/1.1", 403, "Go away");
    let elsewhere = site.ask("PUT / HTTP/1.1");
    assert_eq!((elsewhere.status(), elsewhere.field("Location")), (302, "http://help.example/"));
    let twice = site.get("/%zz");
    assert_eq!(twice.status(), 400);
    assert!(twice.body.contains("Additionally, a 404 Not Found"));
}

#[test]
fn fallback_answers_for_what_is_missing_unless_a_browser_wants_a_part() {
    let site = Site::new("FallbackResource /page.html");
    let page =
        check(&site, "GET /some/route HTTP/1.1\r\nAccept: text/html,*/*;q=0.8", 200, "<p>page");
    assert_eq!(page.response.path, b"/page.html");
    check(&site, "GET /route HTTP/1.1", 200, "<p>page");
    check(&site, "GET /route HTTP/1.1\r\nAccept: */*", 200, "<p>page");
    check(&site, "GET /a.txt HTTP/1.1", 200, "0123456789");
    for accept in ["application/json", "image/avif,image/webp", "*/*\r\nSec-Fetch-Dest: script"] {
        let answer = site.ask(&format!("GET /app.js HTTP/1.1\r\nAccept: {accept}"));
        assert_eq!(answer.status(), 404, "{accept}");
    }
}

#[test]
fn path_info_is_accepted_where_it_is_asked_for() {
    let site = Site::new("AcceptPathInfo On");
    check(&site, "GET /a.txt/more/of/it HTTP/1.1", 200, "0123456789");
    assert_eq!(site.get("/docs/missing/more").status(), 404);
    assert_eq!(site.get("/missing/more").status(), 404);
}

#[test]
fn announced_body_may_be_too_long() {
    let site = Site::new("LimitRequestBody 10");
    assert_eq!(site.ask("POST /a.txt HTTP/1.1\r\nContent-Length: 10").status(), 200);
    assert_eq!(site.ask("POST /a.txt HTTP/1.1\r\nContent-Length: 11").status(), 413);
    assert_eq!(site.ask("POST /a.txt HTTP/1.1\r\nExpect: miracles").status(), 417);
}

#[test]
fn virtual_host_is_chosen_by_name() {
    let site = Site::new(
        "<VirtualHost *:8080>\nServerName first.example\nDocumentRoot htdocs/docs\n</VirtualHost>\n\
         <VirtualHost *:8080>\nServerName example.org\n</VirtualHost>",
    );
    check(&site, "GET / HTTP/1.1", 200, "<p>home");
    check(&site, "GET http://first.example/ HTTP/1.1", 200, "<p>docs");
    check(&site, "GET http://unknown.example/ HTTP/1.1", 200, "<p>docs");
}

#[test]
fn alias_leads_outside_the_root() {
    let site = Site::new("Alias /elsewhere htdocs/docs");
    check(&site, "GET /elsewhere/ HTTP/1.1", 200, "<p>docs");
    assert_eq!(site.get("/elsewhere").field("Location"), "http://example.org:8080/elsewhere/");
    assert_eq!(site.get("/elsewheres/").status(), 404);
}

#[test]
fn fifo_does_not_block_and_is_refused() {
    let site = Site::new("");
    let fifo = site.folder.path().join("htdocs/fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(site.get("/fifo").status(), 403);
    assert!(site.error_log().contains("AH00038: Forbidden: "));
}

#[test]
fn unreadable_request_gets_a_page_of_its_own() {
    let site = Site::new("ErrorDocument 408 \"Too slow\"");
    let client = Client::default();
    let bad = Answer::new(refuse(&site.server, &client, Status::BAD_REQUEST, "No blanks, please."));
    assert_eq!(bad.status(), 400);
    assert!(bad.body.contains("could not understand.<br />\nNo blanks, please.</p>"));
    let slow = Answer::new(refuse(&site.server, &client, Status::REQUEST_TIMEOUT, ""));
    assert_eq!(slow.body, "Too slow");
}

#[test]
fn server_tells_as_much_about_itself_as_it_may() {
    assert_eq!(banner(Tokens::Product), "Herdgate");
    assert!(banner(Tokens::Full).starts_with(&format!("{} (", banner(Tokens::Minimal))));
    assert!(banner(Tokens::Minimal).starts_with(&format!("{}.", banner(Tokens::Minor))));
}

// ---- .htaccess

/// A site whose `docs` folder may have a `.htaccess` file, with this text in it.
fn site_with_htaccess(allow: &str, text: &str) -> Site {
    let site = Site::new(&format!(
        "<Directory ~ \"/docs/deep\">\n</Directory>\n<DirectoryMatch \"docs$\">\n</DirectoryMatch>\n\
         <Location /docs>\n</Location>\n<Directory /*/*/htdocs/docs>\n{allow}\n</Directory>\n"
    ));
    write(&site.folder.path().join("htdocs/docs/.htaccess"), text.as_bytes());
    site
}

#[track_caller]
fn check_htaccess(allow: &str, text: &str, path: &str, status: u16) {
    assert_eq!(site_with_htaccess(allow, text).get(path).status(), status, "{allow}: {text}");
}

#[test]
fn htaccess_holds_for_its_folder_and_what_lies_in_it() {
    let site = site_with_htaccess("AllowOverride All", "AddType text/x-own .css .html\n");
    let content_type = |path| site.get(path).response.content_type.map(|it| it.into_owned());
    assert_eq!(content_type("/docs/deep/x.css").as_deref(), Some("text/x-own"));
    assert_eq!(content_type("/docs/").as_deref(), Some("text/x-own"));
    assert_eq!(content_type("/page.html").as_deref(), Some("text/html"));
    let deeper = site.folder.path().join("htdocs/docs/deep/.htaccess");
    write(&deeper, b"AddType text/x-deeper .css\n");
    assert_eq!(content_type("/docs/deep/x.css").as_deref(), Some("text/x-deeper"));
    fs::remove_file(deeper).unwrap();
    assert_eq!(content_type("/docs/deep/x.css").as_deref(), Some("text/x-own"));
}

#[test]
fn htaccess_decides_who_may() {
    check_htaccess("AllowOverride AuthConfig", "Require all denied", "/docs/", 403);
    check_htaccess("AllowOverride AuthConfig", "Require all denied", "/page.html", 200);
    check_htaccess("AllowOverride None", "Require all denied", "/docs/", 200);
    let files = "<Files *.css>\nRequire all denied\n</Files>";
    check_htaccess("AllowOverride AuthConfig", files, "/docs/deep/x.css", 403);
    check_htaccess("AllowOverride AuthConfig", files, "/docs/", 200);
    let limited = "<Limit GET>\nRequire all denied\n</Limit>";
    check_htaccess("AllowOverride AuthConfig", limited, "/docs/", 403);
    let limited = "<LimitExcept GET>\nRequire all denied\n</LimitExcept>";
    check_htaccess("AllowOverride AuthConfig", limited, "/docs/", 200);
}

#[test]
fn what_htaccess_may_not_hold_is_an_error_of_the_server() {
    check_htaccess("AllowOverride FileInfo", "Require all denied", "/docs/", 500);
    check_htaccess("AllowOverride All", "Listen 80", "/docs/", 500);
    check_htaccess("AllowOverride All", "Requir all denied", "/docs/", 500);
    check_htaccess("AllowOverride All", "<Directory /a>\n</Directory>", "/docs/", 500);
    check_htaccess("AllowOverride Options=Indexes", "Options -FollowSymLinks", "/docs/", 500);
    check_htaccess("AllowOverride Options=Indexes", "Options +Indexes", "/docs/", 200);
    check_htaccess("AllowOverrideList Require", "Require all denied", "/docs/", 403);
    check_htaccess("AllowOverrideList Require", "ForceType a/b", "/docs/", 500);
    let passing = "AllowOverride Indexes Nonfatal=All";
    check_htaccess(
        passing,
        "Require all denied\nNobody knows this\nDirectorySlash Off",
        "/docs/",
        200,
    );
    let site = site_with_htaccess("AllowOverride All", "KeepAlive Off\n");
    assert_eq!(site.get("/docs/").status(), 500);
    let log = site.error_log();
    assert!(log.contains("/docs/.htaccess: KeepAlive"), "{log}");
    assert!(log.contains("core:alert"), "{log}");
}

// ---- <If>

#[test]
fn if_sections_hold_when_their_expression_does() {
    let site = Site::new(
        "<If \"%{QUERY_STRING} == 'plain'\">\nForceType text/x-one\n</If>\n\
         <ElseIf %{QUERY_STRING} =~ /^two/>\nForceType text/x-two\n\
         <If \"%{REQUEST_METHOD} == 'GET'\">\nForceType text/x-inner\n</If>\n</ElseIf>\n\
         <Else>\nForceType text/x-else\n</Else>\n\
         <Location /page.html>\n<If \"-f '%{REQUEST_FILENAME}'\">\nForceType text/x-file\n</If>\n</Location>\n",
    );
    let content_type = |path: &str| site.get(path).response.content_type.unwrap().into_owned();
    assert_eq!(content_type("/a.txt?plain"), "text/x-one");
    assert_eq!(content_type("/a.txt?two"), "text/x-inner");
    assert_eq!(content_type("/a.txt"), "text/x-else");
    assert_eq!(content_type("/page.html"), "text/x-file");
}

#[test]
fn if_sections_may_stand_in_htaccess() {
    let text = "<If \"-U '/page.html' && ! -U '/none/../..'\">\nRequire all denied\n</If>\n";
    check_htaccess("AllowOverride All", text, "/docs/", 403);
    check_htaccess("AllowOverride All", "<If \"false\">\nRequire all denied\n</If>", "/docs/", 200);
    check_htaccess("AllowOverride All", "<Else>\n</Else>", "/docs/", 500);
    check_htaccess("AllowOverride All", "<If \"broken\">\n</If>", "/docs/", 500);
}

#[test]
fn variables_are_set_by_what_a_request_looks_like() {
    let site = Site::new(
        "SetEnvIf Request_URI \"\\.(txt|html)$\" kind=$1\nSetEnvIf kind ^txt$ !kind plain\n\
         SetEnvIfNoCase user-agent CURL robot=yes\nBrowserMatch curl brow\n\
         <Location /page.html>\nSetEnvIf Host (.*):80 here=$1\nSetEnv late 1\n</Location>\n",
    );
    let env = |path: &str| {
        let answer = site.ask(&format!("GET {path} HTTP/1.1\r\nUser-Agent: curl/8"));
        let pairs = answer.response.env.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
            .collect();
        pairs.join(" ")
    };
    assert_eq!(env("/a.txt"), "plain=1 robot=yes brow=1");
    assert_eq!(env("/page.html"), "kind=html robot=yes brow=1 here=example.org late=1");
}

mod listings;
mod negotiation;
mod trace;
mod unique_id;
