//! `herdgate explain`: how a request would be answered, and why.

use crate::support::Site;
use crate::support::command::{Said, run};

fn site() -> Site {
    Site::new("event")
        .file("docs/index.html", "<p>docs")
        .file("docs/.htaccess", "SetEnv FOUND yes\n")
        .file("docs/secret.html", "<p>secret")
        .conf(
            "<VirtualHost *:8099>\nServerName one.example\n</VirtualHost>\n\
             <VirtualHost *:8099>\nServerName two.example\nDocumentRoot \"ROOT/htdocs\"\n\
             <Directory \"ROOT/htdocs/docs\">\nAllowOverride All\n</Directory>\n\
             <Files secret.html>\nRequire ip 203.0.113.9\n</Files>\n\
             </VirtualHost>",
        )
}

#[track_caller]
fn explain(site: &Site, arguments: &[&str]) -> Said {
    let conf = site.write_conf();
    run(["explain", "-f", conf.to_str().unwrap()].into_iter().chain(arguments.iter().copied()))
}

#[track_caller]
fn check(said: &Said, root: &str, expected: &[&str]) {
    let mut rest = said.stdout.as_str();
    for line in expected {
        let line = line.replace("ROOT", root);
        let at = rest.find(&line);
        let at =
            at.unwrap_or_else(|| panic!("no {line:?} (behind those before it) in {}", said.stdout));
        rest = &rest[at + line.len()..];
    }
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
}

#[test]
fn host_sections_htaccess_file_and_answer_are_told_in_their_order() {
    let site = site();
    let root = site.root().display().to_string();
    let said = explain(&site, &["http://two.example:8099/docs/"]);
    let expected = [
        "GET http://two.example:8099/docs/",
        "host two.example (ROOT/httpd.conf:",
        "has the name two.example",
        "/docs/ is ROOT/htdocs/docs/, below DocumentRoot ROOT/htdocs",
        "applies: <Directory \"ROOT/htdocs/docs\"> (ROOT/httpd.conf:",
        "applies: ROOT/htdocs/docs/.htaccess",
        "is granted",
        "is a folder",
        "looks for the index file index.html",
        "200 OK\n",
        "Content-Length: 7\nContent-Type: text/html\n",
    ];
    check(&said, &root, &expected);
    let first = explain(&site, &["http://nobody.example:8099/"]);
    check(&first, &root, &["host one.example", "no host for", "this one is the first"]);
}

#[test]
fn a_refusal_says_by_what_and_the_client_can_be_another() {
    let site = site();
    let root = site.root().display().to_string();
    let url = "http://two.example:8099/docs/secret.html";
    let expected = ["applies: <Files secret.html>", "is denied", "AH01630", "403 Forbidden"];
    let refused = explain(&site, &[url]);
    check(&refused, &root, &expected);
    assert_eq!(refused.stdout.matches("AH01630").count(), 1, "{}", refused.stdout);
    check(&explain(&site, &[url, "--from", "203.0.113.9"]), &root, &["is granted", "200 OK"]);
    let moved = explain(&site, &["http://two.example:8099/docs", "--method", "HEAD"]);
    check(&moved, &root, &["301 Moved", "Location: http://two.example:8099/docs/\n"]);
}

#[test]
fn json_has_the_same_and_nothing_is_written() {
    let site = site();
    let tag = "If-None-Match: *";
    let said = explain(&site, &["http://two.example:8099/docs/", "--header", tag, "--json"]);
    let start = "{\"method\":\"GET\",\"url\":\"http://two.example:8099/docs/\",\"host\":\"two.example\",\"steps\":[{\"module\":";
    assert!(said.stdout.starts_with(start), "{}", said.stdout);
    assert!(said.stdout.contains("\"status\":304") && said.stdout.ends_with("\"body_bytes\":0}\n"));
    let logs = std::fs::read_dir(site.root().join("logs")).unwrap();
    assert_eq!(logs.count(), 0, "no log was opened");
}

#[test]
fn what_cannot_be_explained_is_said() {
    let site = site();
    let said = explain(&site, &["two.example"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("neither a URL"), "{}", said.stderr);
    let said = explain(&site.conf("Nonsense"), &["/"]);
    assert!(said.code == Some(1) && said.stderr.contains("Nonsense"), "{}", said.stderr);
}

#[test]
fn each_require_says_what_it_has_decided() {
    let site = site();
    let root = site.root().display().to_string();
    let said = explain(&site, &["http://two.example:8099/docs/secret.html"]);
    let expected = [
        "Require ip 203.0.113.9 (ROOT/httpd.conf:",
        "): denied",
        "<RequireAny>: denied",
        "is denied",
        "403 Forbidden\n",
    ];
    check(&said, &root, &expected);
    let from = ["http://two.example:8099/docs/secret.html", "--from", "203.0.113.9"];
    let granted = explain(&site, &from);
    check(&granted, &root, &["Require ip 203.0.113.9 (ROOT/httpd.conf:", "): granted", "200 OK\n"]);
}
