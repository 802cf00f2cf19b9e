//! What was answered is answered again while nothing has changed, and not once more.
//!
//! Files get a time of change in the past, always the same one, and contents of the same length: only what cannot be set
//! back tells one version from the next.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::on_every_mpm;
use crate::support::client::{Answer, Client};
use crate::support::{Server, wait_until};

/// What has just changed is not remembered; after this time it is.
const SETTLED: Duration = Duration::from_millis(250);

/// Writes a file that claims to be old.
fn write(path: &Path, contents: &str) {
    fs::write(path, contents).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
}

/// Asks again and again until what was just changed counts as settled, and some times more: each answer must be right.
fn ask_until_settled(client: &mut Client, path: &str, is_right: impl Fn(&Answer) -> bool) {
    let begun = SystemTime::now();
    let mut after = 0;
    while after < 5 {
        let answer = client.get(path);
        assert!(is_right(&answer), "{} {}", answer.status, answer.text());
        after += u32::from(begun.elapsed().unwrap_or_default() > SETTLED);
    }
}

fn text_is(text: &str) -> impl Fn(&Answer) -> bool {
    let text = text.to_owned();
    move |answer| answer.status == 200 && answer.text() == text
}

fn status_is(status: u16) -> impl Fn(&Answer) -> bool {
    move |answer| answer.status == status
}

/// Changes things in every way that there is.
fn change_everything(server: &Server) {
    let mut client = server.client();
    let file = server.document("deep/er/page.txt");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let path = "/deep/er/page.txt";
    for round in 0..2 {
        // Written in place.
        write(&file, &format!("written {round}"));
        ask_until_settled(&mut client, path, text_is(&format!("written {round}")));
        // Replaced.
        let other = server.path("other");
        write(&other, &format!("renamed {round}"));
        fs::rename(&other, &file).unwrap();
        ask_until_settled(&mut client, path, text_is(&format!("renamed {round}")));
        // Gone, and back.
        fs::remove_file(&file).unwrap();
        ask_until_settled(&mut client, path, status_is(404));
        write(&file, &format!("created {round}"));
        ask_until_settled(&mut client, path, text_is(&format!("created {round}")));
        // A folder further up is another one.
        fs::rename(server.document("deep"), server.document("away")).unwrap();
        ask_until_settled(&mut client, path, status_is(404));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        write(&file, &format!("another {round}"));
        ask_until_settled(&mut client, path, text_is(&format!("another {round}")));
        fs::remove_dir_all(server.document("away")).unwrap();
        // Behind a second name, which it had before it was asked for.
        fs::remove_file(&file).unwrap();
        write(&file, &format!("another {round}"));
        fs::hard_link(&file, server.document("second.txt")).unwrap();
        ask_until_settled(&mut client, path, text_is(&format!("another {round}")));
        write(&server.document("second.txt"), &format!("by link {round}"));
        ask_until_settled(&mut client, path, text_is(&format!("by link {round}")));
        fs::remove_file(server.document("second.txt")).unwrap();
        // By a link in the way.
        std::os::unix::fs::symlink("deep", server.document("link")).unwrap();
        let by_link = "/link/er/page.txt";
        ask_until_settled(&mut client, by_link, text_is(&format!("by link {round}")));
        fs::create_dir_all(server.document("elsewhere/er")).unwrap();
        write(&server.document("elsewhere/er/page.txt"), "elsewhere");
        fs::remove_file(server.document("link")).unwrap();
        std::os::unix::fs::symlink("elsewhere", server.document("link")).unwrap();
        ask_until_settled(&mut client, by_link, text_is("elsewhere"));
        fs::remove_file(server.document("link")).unwrap();
    }
}

on_every_mpm!(
    every_change_is_seen_by_the_next_request,
    |site| site.conf("MaxKeepAliveRequests 0\n<Directory />\nOptions FollowSymLinks\n</Directory>"),
    |server| { change_everything(&server) }
);

on_every_mpm!(
    every_change_is_seen_without_a_cache_as_well,
    |site| site.conf(
        "MaxKeepAliveRequests 0\nFileCache Off\n<Directory />\nOptions FollowSymLinks\n</Directory>"
    ),
    |server| { change_everything(&server) }
);

on_every_mpm!(
    an_htaccess_file_counts_from_its_first_moment,
    |site| site.conf("MaxKeepAliveRequests 0\n<Directory />\nAllowOverride All\n</Directory>"),
    |server| {
        let mut client = server.client();
        fs::create_dir_all(server.document("a/b")).unwrap();
        write(&server.document("a/b/page.txt"), "page");
        for htaccess in ["a/.htaccess", "a/b/.htaccess", ".htaccess"] {
            ask_until_settled(&mut client, "/a/b/page.txt", text_is("page"));
            write(&server.document(htaccess), "Header set X-Said one\n");
            ask_until_settled(&mut client, "/a/b/page.txt", |it| it.field("x-said") == Some("one"));
            write(&server.document(htaccess), "Header set X-Said two\n");
            ask_until_settled(&mut client, "/a/b/page.txt", |it| it.field("x-said") == Some("two"));
            write(&server.document(htaccess), "Require all denied\n");
            ask_until_settled(&mut client, "/a/b/page.txt", status_is(403));
            fs::remove_file(server.document(htaccess)).unwrap();
            ask_until_settled(&mut client, "/a/b/page.txt", |it| it.field("x-said").is_none());
        }
    }
);

on_every_mpm!(
    who_asks_otherwise_gets_another_answer,
    |site| {
        site.conf(
        "MaxKeepAliveRequests 0\n<Directory />\nOptions MultiViews\n</Directory>\nAddLanguage en .en\nAddLanguage fr .fr\n\
         BrowserMatch Old old\nHeader set X-Old yes env=old\n\
         <If \"%{QUERY_STRING} == 'if'\">\nHeader set X-If yes\n</If>"
    )
    },
    |server| {
        for language in ["en", "fr"] {
            write(&server.document(&format!("page.html.{language}")), language);
        }
        let mut client = server.client();
        ask_until_settled(&mut client, "/page.html.en", text_is("en"));
        for _ in 0..3 {
            for language in ["en", "fr"] {
                let field = format!("Accept-Language: {language}");
                let answer = client.request("GET", "/page", &[&field]);
                assert_eq!(answer.text(), language);
                assert_eq!(answer.field("content-language"), Some(language));
            }
            let old = client.request("GET", "/page.html.en", &["User-Agent: Old"]);
            assert_eq!(old.field("x-old"), Some("yes"));
            assert_eq!(client.get("/page.html.en").field("x-old"), None);
            assert_eq!(client.get("/page.html.en?if").field("x-if"), Some("yes"));
            assert_eq!(client.get("/page.html.en").field("x-if"), None);
            let tag = client.get("/page.html.en").field("etag").unwrap().to_owned();
            let same = client.request("GET", "/page.html.en", &[&format!("If-None-Match: {tag}")]);
            assert_eq!(same.status, 304);
            let part = client.request("GET", "/page.html.en", &["Range: bytes=1-1"]);
            assert_eq!((part.status, part.text().as_str()), (206, "n"));
            assert_eq!(client.request("HEAD", "/page.html.en", &[]).status, 200);
        }
        // A language that comes is chosen from, too.
        write(&server.document("page.html.de"), "de");
        let answer = client.request("GET", "/page", &["Accept-Language: fr"]);
        assert_eq!(answer.text(), "fr");
        wait_until("each request has its line", || server.access_log().lines().count() > 30);
    }
);
