//! What a request tells about itself.

use super::*;
use crate::request::trace::Trace;

fn told(site: &Site, path: &str) -> Vec<String> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: example.org\r\n\r\n");
    let Parse::Complete { head, .. } = parse(text.as_bytes(), &HeadLimits::default()) else {
        panic!("not a request: {path}");
    };
    let client = Client {
        local: Some("127.0.0.1:8080".parse().unwrap()),
        address: Some("192.0.2.1:4711".parse().unwrap()),
        proxy: None,
    };
    let trace = Trace::default();
    explain(&site.server, &client, &head, NOW, &trace);
    let root = site.folder.path().join("htdocs");
    let root = root.to_str().unwrap();
    let line = |step: &Step| format!("{}: {}", step.module, step.text).replace(root, "ROOT");
    trace.take().iter().map(line).collect()
}

#[test]
fn a_request_tells_its_host_its_sections_its_file_and_its_access() {
    let site = Site::new(
        "<Location /docs>\nOptions None\n</Location>\n<If \"%{REQUEST_URI} =~ m#deep#\">\nOptions None\n</If>",
    );
    let told = told(&site, "/docs/deep/x.css");
    assert_eq!(
        told,
        [
            "core: host example.org, the main server: no <VirtualHost> is for 127.0.0.1:8080",
            "core: /docs/deep/x.css is ROOT/docs/deep/x.css, below DocumentRoot ROOT",
            "core: applies: <Directory /> (-C:10)",
            "core: applies: <Directory \"ROOT\"> (-C:13)",
            "core: applies: <Location /docs> (-C:16)",
            "core: holds: <If \"%{REQUEST_URI} =~ m#deep#\"> (-C:19)",
            "authz_core: Require all granted (-C:14): granted",
            "authz_core: <RequireAny>: granted",
            "authz_core: access to /docs/deep/x.css is granted",
            "core: ROOT/docs/deep/x.css is a file of 3 bytes",
        ]
    );
}

#[test]
fn a_request_tells_its_htaccess_files_and_why_it_was_refused() {
    let site =
        Site::new("<Directory />\nAllowOverride All\n</Directory>\nErrorDocument 403 /sorry.html");
    write(&site.folder.path().join("htdocs/docs/.htaccess"), b"Require all denied\n");
    let told = told(&site, "/docs/");
    for expected in [
        "core: applies: ROOT/docs/.htaccess",
        "authz_core: access to /docs/ is denied",
        "core: the answer is 403 Forbidden, told by ErrorDocument /sorry.html",
        "core: ROOT/sorry.html is a file of 8 bytes",
    ] {
        assert!(told.iter().any(|line| line == expected), "no {expected} in {told:#?}");
    }
}
