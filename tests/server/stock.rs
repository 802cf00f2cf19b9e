//! Configurations that nobody here wrote: Debian's `/etc/apache2`, and upstream's `httpd.conf` with each of its `extra/`
//! files. Only user, port and paths are replaced.

use std::fs;
use std::path::Path;

use crate::support::client::Client;
use crate::support::command::run_with;
use crate::support::{Server, Site, skipped};

/// Debian's configuration.
const DEBIAN: &str = "/etc/apache2";
/// Upstream's, as Debian's package has it.
const UPSTREAM: &str = "/usr/share/doc/apache2/examples/apache2";

/// Copies a folder into the site, links followed, with its texts changed.
fn copied(mut site: Site, from: &Path, to: &str, change: &impl Fn(&str) -> String) -> Site {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{to}/{}", path.file_name().unwrap().to_string_lossy());
        site = if path.is_dir() {
            copied(site, &path, &name, change)
        } else {
            let text = fs::read(&path).unwrap();
            let text = change(&String::from_utf8_lossy(&text));
            site.beside(&name, text)
        };
    }
    site
}

/// A site that has Debian's configuration, its document root and its logs in its own folder.
fn debian() -> Option<Site> {
    if !Path::new(DEBIAN).join("apache2.conf").exists() {
        skipped("no /etc/apache2/apache2.conf");
        return None;
    }
    let site = Site::new("event");
    let root = site.root().display().to_string();
    let change = |text: &str| {
        text.replace("Listen 80\n", "Listen 127.0.0.1:0\n")
            .replace("*:80>", "*:*>")
            .replace("/var/www/html", &format!("{root}/htdocs"))
            .replace("/var/www", &root)
            .replace("error.log", "error_log")
            .replace("access.log", "access_log")
    };
    let user = if nix::unistd::geteuid().is_root() { "www-data" } else { "nobody" };
    let whole = format!(
        "ServerRoot {root}/apache2\nDefine APACHE_RUN_USER {user}\nDefine APACHE_RUN_GROUP {user}\n\
         Define APACHE_PID_FILE {root}/logs/herdgate.pid\nDefine APACHE_RUN_DIR {root}/logs\n\
         Define APACHE_LOG_DIR {root}/logs\nInclude apache2.conf\n",
    );
    let whole = whole.replace("APACHE_RUN_GROUP nobody", "APACHE_RUN_GROUP nogroup");
    Some(copied(site, Path::new(DEBIAN), "apache2", &change).whole_conf(&whole))
}

#[test]
fn debians_configuration_serves_its_default_site() {
    let Some(site) = debian() else { return };
    let server = site.file("folder/a.txt", "a").start();
    let home = server.get("/");
    assert_eq!((home.status, home.text().as_str()), (200, "<h1>It works!</h1>\n"));
    assert_eq!(home.field("Content-Type"), Some("text/html"));
    let listing = server.get("/folder/");
    assert_eq!(listing.status, 200);
    assert!(listing.text().contains("/icons/text.gif"), "{}", listing.text());
    let status = server.get("/server-status?auto");
    assert_eq!(status.status, 200);
    let lost = server.get("/lost");
    assert!(lost.text().contains("<address>"), "ServerSignature On: {}", lost.text());
    assert_eq!(server.get("/.htaccess").status, 403);
    let line = server.wait_for_access("GET /lost");
    assert!(line.ends_with("\"-\" \"-\""), "the combined format: {line}");
}

#[test]
fn debians_configuration_would_be_taken_as_it_is() {
    let Some(site) = debian() else { return };
    let said = run_with(&site.write_conf(), &["-t", "--compat"]);
    assert_eq!((said.stdout.as_str(), said.code), ("Nothing would be refused.\n", Some(0)));
}

/// A site that has upstream's configuration, with further lines.
fn upstream(lines: &str) -> Option<Site> {
    if !Path::new(UPSTREAM).join("apache2.conf").exists() {
        skipped("no examples in /usr/share/doc/apache2");
        return None;
    }
    let site = Site::new("event");
    let root = site.root().display().to_string();
    let change = |text: &str| {
        let text = text
            .replace("ServerRoot \"\"", &format!("ServerRoot \"{root}\""))
            .replace("Listen 80\n", "Listen 127.0.0.1:0\n")
            .replace("*:80>", "*:*>")
            .replace("/usr/share/apache2/default-site/htdocs", &format!("{root}/htdocs"))
            .replace("/usr/share/apache2/error", &format!("{root}/error"))
            .replace("/etc/apache2/extra", &format!("{root}/extra"))
            .replace("/etc/apache2/mime.types", &format!("{root}/mime.types"))
            .replace("/var/log/apache2", &format!("{root}/logs"))
            .replace("/var/run/apache2/httpd.pid", &format!("{root}/logs/herdgate.pid"))
            .replace("User daemon", "User nobody");
        text.replace("Group daemon", "Group nogroup")
    };
    let conf = fs::read_to_string(Path::new(UPSTREAM).join("apache2.conf")).unwrap();
    let whole = format!("{}\n{lines}\n", change(&conf));
    Some(copied(site, &Path::new(UPSTREAM).join("extra"), "extra", &change).whole_conf(&whole))
}

#[test]
fn upstreams_configuration_serves_its_default_site() {
    let Some(site) = upstream("ServerName localhost") else { return };
    let server = site.start();
    let home = server.get("/");
    assert_eq!((home.status, home.text().as_str()), (200, "<h1>It works!</h1>\n"));
    assert_eq!(server.get("/cgi-bin/script").status, 403, "no script is run, and none is shown");
    server.wait_for_access("GET /cgi-bin/script");
}

/// Starts upstream's configuration with one of its extra files.
fn with_extra(name: &str, lines: &str, check: impl FnOnce(&Server)) {
    let lines = format!("ServerName localhost\n{lines}\nInclude extra/httpd-{name}.conf");
    let Some(site) = upstream(&lines) else { return };
    let server = site.file("files/a.txt", "a").start();
    let name = if name == "vhosts" { "dummy-host.example.com" } else { "localhost" };
    let home = server.get_with("/", &[&format!("Host: {name}")]);
    // Its hosts have document roots that are not there, and that nobody has granted.
    assert_eq!(home.status, if name == "localhost" { 200 } else { 403 }, "{name}");
    check(&server);
}

#[test]
fn upstreams_extra_files_are_taken_one_by_one() {
    with_extra("autoindex", "", |server| {
        let listing = server.get("/files/").text();
        assert!(listing.contains("<table>") && listing.contains("/icons/text.gif"), "{listing}");
    });
    with_extra("default", "", |server| {
        assert!(server.get("/").field("Server").is_some_and(|it| it.contains("(Linux)")));
    });
    with_extra("info", "", |server| {
        assert_eq!(server.get("/server-status").status, 200);
        assert_eq!(server.get("/server-info").status, 200);
    });
    with_extra("languages", "LoadModule negotiation_module x", |_| {});
    with_extra("manual", "LoadModule negotiation_module x", |server| {
        assert_eq!(server.get("/manual/").status, 404, "there is none in this site");
    });
    with_extra("mpm", "", |_| {});
    with_extra("userdir", "LoadModule userdir_module x", |server| {
        assert_eq!(server.get("/~nobody-has-this-name/").status, 404);
    });
    with_extra("vhosts", "", |server| {
        let answer = Client::connect(server.address()).request(
            "GET",
            "/",
            &["Host: dummy-host2.example.com"],
        );
        assert_eq!(answer.status, 403);
    });
}

#[test]
fn what_needs_more_than_files_is_refused_with_what_to_do() {
    for (name, lines, advice) in [
        ("httpd-ssl", "", "mod_ssl: Herdgate speaks no TLS so far: "),
        ("httpd-dav", "", "mod_dav: Herdgate only reads files: "),
        ("proxy-html", "", "mod_proxy_html: Herdgate passes no request on so far: "),
        (
            "httpd-multilang-errordoc",
            "LoadModule negotiation_module x\nLoadModule include_module x",
            "mod_include: Herdgate does not read server-side includes: ",
        ),
    ] {
        let lines = format!("ServerName localhost\n{lines}\nInclude extra/{name}.conf");
        let Some(site) = upstream(&lines) else { return };
        let conf = site.write_conf();
        assert_eq!(run_with(&conf, &["-t"]).code, Some(1), "{name}");
        let said = run_with(&conf, &["-t", "--compat"]);
        assert_eq!(said.code, Some(1), "{name}");
        assert!(said.stdout.contains(advice), "{name}: {}", said.stdout);
    }
}
