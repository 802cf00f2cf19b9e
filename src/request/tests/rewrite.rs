//! Rules and redirects, as whole requests.

use proptest::prelude::*;

use super::*;

/// What the folder `.htaccess` of the documents may say: everything.
const ALLOWED: &str = "<Directory />\nAllowOverride All\n</Directory>\n";

fn site(rules: &str) -> Site {
    Site::new(&format!("RewriteEngine On\n{rules}\n"))
}

fn with_htaccess(text: &str) -> Site {
    let site = Site::new(ALLOWED);
    write(&site.folder.path().join("htdocs/.htaccess"), text.as_bytes());
    site
}

fn location(answer: &Answer) -> String {
    answer.field("Location").to_owned()
}

#[test]
fn a_result_is_looked_for_below_the_document_root() {
    let site = site("RewriteRule ^/short/(.+)$ /docs/$1\nRewriteRule ^/q$ /a.txt?x=1 [QSA]");
    check(&site, "GET /short/deep/x.css HTTP/1.1", 200, "p{}");
    check(&site, "GET /q?y HTTP/1.1", 200, "0123456789");
    check(&site, "GET /docs/deep/x.css HTTP/1.1", 200, "p{}");
}

#[test]
fn a_file_is_one_if_the_operator_has_written_its_folder() {
    let outside = tempfile::tempdir().unwrap();
    write(&outside.path().join("f.txt"), b"outside");
    let folder = outside.path().display();
    let site = site(&format!(
        "<Directory {folder}>\nRequire all granted\n</Directory>\nRewriteRule ^/out-(.*)$ {folder}/$1"
    ));
    check(&site, "GET /out-f.txt HTTP/1.1", 200, "outside");
    // A client who climbs from there is told nothing, though the folder above may be open to all.
    let answer = site.get("/out-..%2f..%2fetc/passwd");
    assert_eq!(answer.status(), 404, "an encoded slash is none");
    let answer = site.get("/out-../x");
    assert_eq!(answer.status(), 403);
    assert!(site.error_log().contains("AH00127: Cannot map"), "{}", site.error_log());
}

#[test]
fn rules_of_a_folder_see_what_is_behind_its_name() {
    let site = with_htaccess(
        "RewriteEngine On\nRewriteRule ^one$ a.txt\nRewriteRule ^two$ /docs/ [L]\nRewriteRule ^out$ a.txt [R,L]\n\
         RewriteCond %{REQUEST_FILENAME} !-f\nRewriteCond %{REQUEST_FILENAME} !-d\nRewriteRule ^ page.html [L]",
    );
    check(&site, "GET /one HTTP/1.1", 200, "0123456789");
    check(&site, "GET /two HTTP/1.1", 200, "<p>docs");
    check(&site, "GET /no/such/thing?q HTTP/1.1", 200, "<p>page");
    check(&site, "GET /docs/ HTTP/1.1", 200, "<p>docs");
    let leaked = location(&site.get("/out"));
    assert!(leaked.ends_with("/htdocs/a.txt"), "without RewriteBase, as in Apache: {leaked}");
}

#[test]
fn rewrite_base_stands_for_the_folder() {
    let site = with_htaccess("RewriteEngine On\nRewriteBase /b/\nRewriteRule ^out$ a.txt [R=301]");
    assert_eq!(location(&site.get("/out?q")), "http://example.org:8080/b/a.txt?q");
}

#[test]
fn rules_that_lead_to_each_other_end() {
    let site = with_htaccess("RewriteEngine On\nRewriteRule ^ping$ pong\nRewriteRule ^pong$ ping");
    let endless = with_htaccess("RewriteEngine On\nRewriteRule ^(.*)$ x/$1");
    assert_eq!(site.get("/pong").status(), 404, "what leads to itself leads nowhere");
    assert_eq!(endless.get("/a").status(), 500);
    assert!(endless.error_log().contains("AH00124"), "{}", endless.error_log());
    let ended = with_htaccess("RewriteEngine On\nRewriteRule ^(.*)$ docs/deep/$1 [END]");
    check(&ended, "GET /x.css HTTP/1.1", 200, "p{}");
}

#[test]
fn going_round_has_an_end() {
    let site = site("RewriteRule ^/(.*)a(.*)$ /$1b$2 [N]\nRewriteRule ^/n$ - [N=5]");
    assert_eq!(site.get("/aaaa").status(), 404);
    assert_eq!(site.get("/n").status(), 500);
    assert!(site.error_log().contains("AH02596"), "{}", site.error_log());
}

#[test]
fn without_following_links_rules_are_forbidden() {
    let site = Site::new(&format!("{ALLOWED}<Location /docs>\nOptions None\n</Location>"));
    write(&site.folder.path().join("htdocs/docs/.htaccess"), b"RewriteEngine On\nRewriteRule ^x y");
    assert_eq!(site.get("/docs/deep/x.css").status(), 403);
    assert!(site.error_log().contains("AH00670: Options FollowSymLinks"), "{}", site.error_log());
}

#[test]
fn what_a_client_writes_becomes_no_query_and_no_field() {
    let site = site(
        "RewriteRule ^/m/(.*)$ /a.txt$1\nRewriteRule ^/q/(.*)$ /a.txt?$1\nRewriteRule ^/f/(.*)$ http://h/$1 [R,NE]\n\
         RewriteRule ^/e/(.*)$ http://h/$1 [R]",
    );
    assert_eq!(site.get("/m/%3fx").status(), 403);
    assert_eq!(site.get("/q/a%20b").status(), 403);
    let log = site.error_log();
    assert!(log.contains("AH10508") && log.contains("AH10410"), "{log}");
    assert_eq!(site.get("/f/a%0d%0aSet-Cookie:x").status(), 500);
    assert_eq!(location(&site.get("/e/a%0d%0ab")), "http://h/a%0d%0ab");
}

#[test]
fn cookies_go_with_errors_too_and_vary_only_with_what_was_asked_for() {
    let site = site(
        "RewriteRule ^/ - [CO=a:b:example.org]\nRewriteCond %{HTTP_USER_AGENT} old\nRewriteRule ^/a.txt$ /page.html",
    );
    let missing = site.get("/missing");
    assert_eq!(missing.field("Set-Cookie"), "a=b; path=/; domain=example.org");
    assert!(!missing.has("Vary"));
    let old = site.ask("GET /a.txt HTTP/1.1\r\nUser-Agent: old");
    assert_eq!((old.body.as_str(), old.field("Vary")), ("<p>page", "User-Agent"));
}

#[test]
fn an_expression_may_be_asked_without_a_word_to_caches() {
    let site = site(
        "RewriteCond expr \"req('X-A') == 'one'\" [NV]\nRewriteRule ^/quiet /a.txt\n\
         RewriteCond expr \"req('X-A') == 'one'\"\nRewriteRule ^/told /a.txt",
    );
    let ask = |path: &str| site.ask(&format!("GET {path} HTTP/1.1\r\nX-A: one"));
    assert!(!ask("/quiet").has("Vary"));
    assert_eq!(ask("/told").field("Vary"), "X-A");
}

#[test]
fn in_location_a_relative_result_is_put_behind_its_path() {
    let rules = "RewriteEngine On\nRewriteRule /one$ a.txt\nRewriteRule /two$ a.txt [R]\nRewriteRule ^three a.txt";
    let site = Site::new(&format!(
        "<Location /docs/>\n{rules}\n</Location>\n<Location ~ ^/listed>\n{rules}\n</Location>"
    ));
    write(&site.folder.path().join("htdocs/docs/a.txt"), b"in docs");
    check(&site, "GET /docs/one HTTP/1.1", 200, "in docs");
    assert_eq!(location(&site.get("/docs/two")), "http://example.org:8080/docs/a.txt");
    assert_eq!(site.get("/docs/three").status(), 404, "rules see the file's whole name");
    // As Apache, to whom that is no path.
    assert_eq!(site.get("/listed/one").status(), 400);
}

#[test]
fn a_map_is_read_again_when_it_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map");
    write(&map, b"one /a.txt\n");
    let site = site(&format!(
        "RewriteMap m txt:{}\nRewriteMap up int:toupper\nRewriteRule ^/to/(.+)$ ${{m:$1|/page.html}}\n\
         RewriteRule ^/up/(.*)$ /x?${{up:$1}} [R]",
        map.display()
    ));
    check(&site, "GET /to/one HTTP/1.1", 200, "0123456789");
    check(&site, "GET /to/two HTTP/1.1", 200, "<p>page");
    write(&map, b"two /a.txt\n# one /a.txt\n");
    check(&site, "GET /to/one HTTP/1.1", 200, "<p>page");
    check(&site, "GET /to/two HTTP/1.1", 200, "0123456789");
    assert_eq!(location(&site.get("/up/aBc")), "http://example.org:8080/x?ABC");
}

#[test]
fn types_and_handlers_are_forced_for_one_request() {
    let site = site(
        "RewriteRule ^/typed$ /a.txt [T=text/x-forced]\nRewriteRule ^/a.txt$ - [H=default-handler]",
    );
    let seen = |path: &str| site.get(path).response.content_type.map(|text| text.into_owned());
    assert_eq!(seen("/typed").as_deref(), Some("text/x-forced"));
    assert_eq!(seen("/a.txt").as_deref(), Some("text/plain"));
}

#[test]
fn looking_ahead_asks_another_request() {
    let site = site(
        "Alias /other /nowhere\nRewriteCond %{LA-U:REQUEST_FILENAME} ^/nowhere\nRewriteRule ^ /a.txt\n\
         RewriteCond /docs/ -U\nRewriteRule ^/u$ /page.html",
    );
    check(&site, "GET /other/x HTTP/1.1", 200, "0123456789");
    check(&site, "GET /u HTTP/1.1", 200, "<p>page");
}

#[test]
fn redirects_come_before_aliases_and_those_of_sections_among_the_fixups() {
    let site = Site::new(
        "Alias /old /nowhere\nRedirect 301 /old/moved /new\nRedirectMatch ^/m/(.*)$ https://h.example/$1?own\n\
         Redirect gone /gone\n<Location /docs>\nRedirect 307 /docs/x /y\n</Location>\n\
         <Location /empty>\nRedirect \"https://e.example%{REQUEST_URI}\"\n</Location>",
    );
    assert_eq!(location(&site.get("/old/moved/a%20b?q")), "http://example.org:8080/new/a%20b?q");
    assert_eq!(location(&site.get("/m/x?y")), "https://h.example/x?own");
    assert_eq!(site.get("/gone/x").status(), 410);
    assert_eq!(location(&site.get("/docs/x/z")), "http://example.org:8080/y/z");
    assert_eq!(location(&site.get("/empty/z")), "https://e.example/empty/z");
}

#[test]
fn a_site_for_each_name_and_for_each_user() {
    let site = Site::new("");
    let root = site.folder.path().join("htdocs");
    let site = Site::new(&format!(
        "<Directory {0}>\nRequire all granted\n</Directory>\n<VirtualHost *:8080>\nServerName v\n\
         VirtualDocumentRoot {0}/%1\nUserDir {0}/*/deep\nUserDir disabled root\n</VirtualHost>",
        root.display()
    ));
    let ask = |host: &str, path: &str| {
        let answer = site.ask_exactly(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        (answer.status(), answer.body)
    };
    assert_eq!(ask("docs.example.org", "/"), (200, "<p>docs".to_owned()));
    assert_eq!(ask("DOCS", "/deep/x.css").0, 200);
    assert_eq!(ask("nobody", "/").0, 404);
    assert_eq!(ask("x", "/~docs/x.css"), (200, "p{}".to_owned()));
    assert_eq!(ask("x", "/~root/x.css").0, 404);
}

#[test]
fn mistakes_are_found_when_the_configuration_is_read() {
    let errors = |line: &str| {
        let source = Source { before: vec![format!("Listen 80\n{line}")], ..Source::default() };
        Config::load(&source).unwrap_err().to_string()
    };
    assert!(errors("RewriteRule ^x /y [P]").contains("flag 'P' needs a proxy"));
    assert!(errors("RewriteMap m prg:/x").contains("maps of the kind prg are not supported"));
    assert!(errors("RewriteMap m txt:/no/such").contains("file for map m not found:/no/such"));
    assert!(errors("RewriteOptions Maybe").contains("unknown option 'Maybe'"));
    assert!(errors("RewriteBase /x").contains("RewriteBase not allowed outside of a section"));
    assert!(errors("Redirect /x y").contains("Redirect to non-URL"));
    assert!(errors("Redirect 404 /x /y").contains("Redirect URL not valid for this status"));
    assert!(errors("Alias /only-one").contains("must have two arguments when used globally"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a client writes and whatever a careless rule makes of it: what is served lies in the document root.
    #[test]
    fn no_path_leads_out_of_the_document_root(
        path in r"(/|\.\.|\.|%2e|%2f|%5c|%00|%c0%af|a|docs|etc|passwd|%3f|%23|-){1,12}",
    ) {
        let site = site(
            "AllowEncodedSlashes On\nRewriteRule ^/a(.*)$ $1\nRewriteRule ^/docs(.*)$ /etc$1\n\
             RewriteRule ^/-(.*)$ /x$1 [PT]\n<Directory />\nRequire all granted\n</Directory>",
        );
        write(&site.folder.path().join("secret"), b"secret");
        let answer = site.get(&format!("/{path}"));
        let root = site.folder.path().join("htdocs");
        if answer.status() == 200 && let Some(file) = &answer.response.file {
            let file = Path::new(std::str::from_utf8(file).unwrap());
            prop_assert!(file.starts_with(&root) || file.starts_with("/etc"), "{}", file.display());
            prop_assert!(!file.ends_with("secret"));
        }
    }
}
