//! A disk that takes its time. In the event model all of a child's connections share one thread, which must never be
//! the one that waits.

use crate::support::client::head;
use crate::support::fuse::{Held, SlowFolder};
use crate::support::{Server, Site, noise, skipped, thread, wait_for};

/// One child with few threads, so that everybody depends on the same loop.
const ONE_CHILD: &str = "StartServers 1\nServerLimit 1\nThreadsPerChild 2\nMinSpareThreads 1\nMaxSpareThreads 2\n\
     MaxRequestWorkers 2\nAsyncRequestWorkerFactor 20";

#[test]
fn a_slow_job_delays_no_other_connection() {
    let site = Site::new("event").sizes(ONE_CHILD).folder("slow");
    let small = noise(5_000);
    let large = noise(700_000);
    let files = vec![("small.bin", small.clone()), ("large.bin", large.clone())];
    let slow = match SlowFolder::mount(&site.root().join("htdocs/slow"), files) {
        Ok(slow) => slow,
        Err(error) => return skipped(&format!("no FUSE file system here ({error})")),
    };
    let server = site.start();
    assert_eq!(server.children().len(), 1);
    let mut kept = server.client();
    assert_eq!(kept.get("/").status, 200);
    // What the disk can hold up, in order; a small file is read at once.
    let steps: [fn(String) -> Held; 4] = [Held::LookUp, Held::Open, Held::Read, Held::ReadOn];
    for (name, contents, steps) in [("small.bin", small, &steps[..3]), ("large.bin", large, &steps)]
    {
        let mut waiting = server.client();
        waiting.send(head("GET", &format!("/slow/{name}"), &[]));
        // Finding the file waits for the disk, then opening it, then reading it, and reading on. Nobody else may notice.
        for held in steps {
            assert_eq!(slow.wait_for_held(), held(name.to_owned()));
            everybody_else_is_served(&server);
            assert_eq!(kept.get("/").status, 200);
            slow.go_on();
        }
        assert!(waiting.receive("GET").body == contents, "{name}");
    }
    drop(server); // Before the file system: nobody may be held by it then.
}

#[test]
fn nobody_waits_for_a_slow_folder_but_who_asks_for_it() {
    let site = Site::new("event").sizes(ONE_CHILD).folder("slow").conf(
        "<Directory ROOT/htdocs/slow>\nOptions +Indexes\nAllowOverride All\n</Directory>\n\
         <Location /slow/stale-read.bin>\nEnableSendfile Off\nEnableMMAP Off\n</Location>\n\
         <Location /slow/stale-mapped.bin>\nEnableSendfile Off\n</Location>",
    );
    let contents = noise(300_000);
    let files = vec![
        (".htaccess", b"Header set X-Slow yes\n".to_vec()),
        ("stale.bin", contents.clone()),
        ("stale-mapped.bin", contents.clone()),
        ("stale-read.bin", contents.clone()),
    ];
    let slow = match SlowFolder::mount(&site.root().join("htdocs/slow"), files) {
        Ok(slow) => slow,
        Err(error) => return skipped(&format!("no FUSE file system here ({error})")),
    };
    let server = site.start();
    let mut kept = server.client();
    let mut all_held = Vec::new();
    let mut get = |path: &str| {
        let mut client = server.client();
        client.send(head("GET", path, &[]));
        let waiting = thread(move || client.receive("GET"));
        // How often the kernel asks is its own affair.
        while let Some(held) =
            wait_for(|| slow.held_now().map(Some).or(waiting.is_finished().then_some(None)))
                .unwrap()
        {
            everybody_else_is_served(&server);
            assert_eq!(kept.get("/").status, 200, "{held:?}");
            all_held.push(held);
            slow.go_on();
        }
        waiting.join().unwrap()
    };
    let listing = get("/slow/");
    assert_eq!((listing.status, listing.field("x-slow")), (200, Some("yes")));
    assert!(listing.text().contains("stale.bin"));
    for name in ["stale.bin", "stale-mapped.bin", "stale-read.bin"] {
        let answer = get(&format!("/slow/{name}"));
        assert_eq!(answer.field("x-slow"), Some("yes"));
        assert!(answer.body == contents, "{name}");
    }
    let name = |name: &str| name.to_owned();
    let mut expected = vec![
        Held::List,
        Held::LookUp(name("index.html")),
        Held::LookUp(name(".htaccess")),
        Held::Open(name(".htaccess")),
        Held::Read(name(".htaccess")),
    ];
    for file in ["stale.bin", "stale-mapped.bin", "stale-read.bin"] {
        let steps = [Held::LookUp, Held::Open, Held::Stat, Held::Read, Held::ReadOn];
        expected.extend(steps.map(|held| held(name(file))));
    }
    let missing: Vec<_> = expected.iter().filter(|held| !all_held.contains(held)).collect();
    assert!(missing.is_empty(), "nobody was held by {missing:?}, but by {all_held:?}");
    drop(server);
}

fn everybody_else_is_served(server: &Server) {
    let mut clients: Vec<_> = (0..10).map(|_| server.client()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            assert_eq!(client.get("/").status, 200);
        }
    }
}

#[test]
fn what_follows_a_request_that_waits_for_a_disk_is_read_as_what_it_is() {
    let site = Site::new("event").sizes(ONE_CHILD).folder("slow");
    let contents = noise(5_000);
    let files = vec![("a.bin", contents.clone())];
    let slow = match SlowFolder::mount(&site.root().join("htdocs/slow"), files) {
        Ok(slow) => slow,
        Err(error) => return skipped(&format!("no FUSE file system here ({error})")),
    };
    let server = site.start();
    let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chunked = head("POST", "/slow/a.bin", &["Transfer-Encoding: chunked"]);
    let with_length = head("GET", "/slow/a.bin", &[&format!("Content-Length: {}", hidden.len())]);
    let mut client = server.client();
    client.send(format!("{chunked}{:x}\r\nGET /hid", hidden.len()));
    client.send(format!(
        "{}\r\n0\r\n\r\n{with_length}{hidden}{}",
        &hidden["GET /hid".len()..],
        head("GET", "/", &[])
    ));
    for held in [Held::LookUp, Held::Open, Held::Read] {
        assert_eq!(slow.wait_for_held(), held("a.bin".to_owned()));
        slow.go_on();
    }
    assert!(client.receive("POST").body == contents);
    assert_eq!(slow.wait_for_held(), Held::Open("a.bin".to_owned()));
    slow.go_on();
    assert!(client.receive("GET").body == contents);
    assert_eq!(client.receive("GET").text(), "<h1>It works!</h1>\n");
    client.finish_sending();
    client.expect_end();
    drop(server);
}

#[test]
fn a_file_that_the_kernel_knows_still_waits_for_its_file_system_elsewhere() {
    let site = Site::new("event").sizes(ONE_CHILD).folder("slow");
    let contents = noise(5_000);
    let files = vec![("a.bin", contents.clone())];
    let slow = match SlowFolder::mount(&site.root().join("htdocs/slow"), files) {
        Ok(slow) => slow,
        Err(error) => return skipped(&format!("no FUSE file system here ({error})")),
    };
    let server = site.start();
    let mut first = server.client();
    first.send(head("GET", "/slow/a.bin", &[]));
    for held in [Held::LookUp, Held::Open, Held::Read] {
        assert_eq!(slow.wait_for_held(), held("a.bin".to_owned()));
        slow.go_on();
    }
    assert!(first.receive("GET").body == contents);
    // Name and contents are in the kernel's caches now, but the file system still wants to be asked for each open.
    first.send(head("GET", "/slow/a.bin", &[]));
    assert_eq!(slow.wait_for_held(), Held::Open("a.bin".to_owned()));
    everybody_else_is_served(&server);
    slow.go_on();
    assert!(first.receive("GET").body == contents);
    drop(server);
}
