//! One URL, several files: MultiViews, type maps, path info, and what stands in for a folder.

use super::*;

const VIEWS: &str = "Options +MultiViews\nAddLanguage en .en\nAddLanguage fr .fr\nAddLanguage ja .ja\n\
    AddHandler type-map .var\nLanguagePriority en fr\n";

/// A site with MultiViews and these files in /many.
fn site(lines: &str, files: &[(&str, &str)]) -> Site {
    let site = Site::new(&format!("<Location /many>\n{VIEWS}{lines}\n</Location>"));
    let folder = site.folder.path().join("htdocs/many");
    fs::create_dir(&folder).unwrap();
    for (name, text) in files {
        write(&folder.join(name), text.as_bytes());
    }
    let changed = std::time::UNIX_EPOCH + std::time::Duration::from_secs(CHANGED as u64);
    fs::File::open(&folder).unwrap().set_modified(changed).unwrap();
    site
}

const GUIDE: &[(&str, &str)] = &[
    ("guide.html.en", "guide"),
    ("guide.html.fr", "guide en français"),
    ("guide.txt.ja", "?"),
    ("guide.unknown", "no"),
    ("other.unknown", "no"),
];

#[test]
fn what_the_client_likes_best_is_found_under_a_longer_name() {
    let site = site("", GUIDE);
    let get = |path: &str, fields: &str| site.ask(&format!("GET {path} HTTP/1.1{fields}"));
    let english = get("/many/guide", "");
    assert_eq!((english.status(), english.body.as_str()), (200, "guide"));
    let names: Vec<_> = english.response.fields.iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(
        names,
        [
            "Content-Location",
            "Vary",
            "TCN",
            "Last-Modified",
            "ETag",
            "Accept-Ranges",
            "Content-Language"
        ]
    );
    assert_eq!(english.field("Content-Location"), "guide.html.en");
    assert_eq!(english.field("Vary"), "negotiate,accept,accept-language");
    assert_eq!(english.field("TCN"), "choice");
    let changed = CHANGED * 1_000_000;
    assert_eq!(english.field("ETag"), format!("\"5-{changed:x};{changed:x}\""));
    assert_eq!(english.response.path, b"/many/guide.html.en", "%U is the chosen file's");
    assert_eq!(get("/many/guide", "\r\nAccept-Language: fr").body, "guide en français");
    assert_eq!(get("/many/guide.html", "\r\nAccept-Language: ja").status(), 406);
    assert_eq!(get("/many/guide", "\r\nAccept: text/plain").body, "?");
    assert_eq!(get("/many/guide?a=b", "").body, "guide");
    assert_eq!(get("/many/guide/more", "").status(), 404);
    assert_eq!(get("/many/gui", "").status(), 404);
    let unknown = get("/many/other", "");
    assert_eq!(unknown.status(), 404);
    assert!(site.error_log().contains("AH00687: Negotiation: discovered file(s) matching request"));
}

#[test]
fn whoever_likes_nothing_gets_a_list() {
    let site = site("", GUIDE);
    let refused = site.ask("GET /many/guide HTTP/1.1\r\nAccept: image/png");
    assert_eq!((refused.status(), refused.field("TCN")), (406, "list"));
    assert!(refused.field("Alternates").starts_with(
        "{\"guide.html.en\" 1 {type text/html} {language en} {length 5}}, {\"guide.html.fr\" 1 "
    ));
    let line =
        "<li><a href=\"guide.html.fr\">guide.html.fr</a> , type text/html, language fr</li>\n";
    assert!(refused.body.contains("Available variants:\n<ul>\n") && refused.body.contains(line));
    assert!(site.error_log().contains("AH00690: no acceptable variant: "));
    let list = site.ask("GET /many/guide HTTP/1.1\r\nNegotiate: trans");
    assert_eq!((list.status(), list.body.contains(line)), (300, true));
    let fallback = self::site("ForceLanguagePriority Fallback", &GUIDE[..2]);
    assert_eq!(fallback.ask("GET /many/guide HTTP/1.1\r\nAccept-Language: ko").body, "guide");
    let preferred = self::site("ForceLanguagePriority None", &GUIDE[..2]);
    assert_eq!(preferred.ask("GET /many/guide HTTP/1.1\r\nAccept-Language: ko").status(), 406);
}

#[test]
fn a_variable_may_prefer_a_language() {
    let site = Site::new(&format!(
        "SetEnvIf Request_URI ^/docs prefer-language=fr\n<Location /docs>\n{VIEWS}</Location>"
    ));
    for (language, text) in [("en", "yes"), ("fr", "oui")] {
        let file = format!("htdocs/docs/answer.html.{language}");
        write(&site.folder.path().join(file), text.as_bytes());
    }
    assert_eq!(site.ask("GET /docs/answer HTTP/1.1\r\nAccept-Language: en").body, "oui");
}

#[test]
fn what_may_not_be_had_is_no_variant() {
    let site = site("<If \"true\">\n</If>", GUIDE);
    fs::create_dir(site.folder.path().join("htdocs/many/folder.html")).unwrap();
    assert_eq!(site.get("/many/folder").status(), 404);
    let guarded = Site::new(&format!(
        "<Files *.fr>\nRequire all denied\n</Files>\n<Location /docs>\n{VIEWS}</Location>"
    ));
    for language in ["en", "fr"] {
        let file = format!("htdocs/docs/answer.html.{language}");
        write(&guarded.folder.path().join(file), language.as_bytes());
    }
    assert_eq!(
        guarded.ask("GET /docs/answer HTTP/1.1\r\nAccept-Language: fr, en;q=0.1").body,
        "en"
    );
    let without = Site::new("");
    write(&without.folder.path().join("htdocs/guide.html"), b"guide");
    assert_eq!(without.get("/guide").status(), 404, "without the option names are names");
}

#[test]
fn a_type_map_leads_to_a_file_or_holds_the_answer() {
    let map = "URI: a.html\nContent-Type: text/html; qs=0.5\nContent-Language: en\n\n\
               URI: b.html\nContent-Type: text/html\nContent-Language: fr\nDescription: <b>le</b> b\n\n";
    let own = "Content-Type: text/html; charset=UTF-8\nContent-Language: en\nBody:--en--\n<p>here\n--en--\n\n\
               Content-Type: text/html\nContent-Language: fr\nBody:--fr--\n<p>ici\n--fr--\n";
    let files = [
        ("map.var", map),
        ("own.var", own),
        ("broken.var", "URI: a\nnonsense\n"),
        ("circle.var", "URI: map.var\nContent-Type: text/html\n\n"),
        ("a.html", "<p>a"),
        ("b.html", "<p>b"),
    ];
    let site = site("", &files);
    let get = |path: &str, fields: &str| site.ask(&format!("GET {path} HTTP/1.1{fields}"));
    let chosen = get("/many/map.var", "");
    assert_eq!((chosen.body.as_str(), chosen.field("Content-Location")), ("<p>b", "b.html"));
    assert_eq!(chosen.response.path, b"/many/b.html");
    assert_eq!(get("/many/map.var", "\r\nAccept-Language: en").body, "<p>a");
    let refused = get("/many/map.var", "\r\nAccept: text/plain");
    assert!(refused.body.contains("<a href=\"b.html\">b.html</a> <b>le</b> b, type text/html"));
    let held = get("/many/own.var", "\r\nAccept-Language: en");
    assert_eq!((held.status(), held.body.as_str()), (200, "<p>here\n"));
    assert_eq!(held.response.content_type.as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!((held.field("Content-Language"), held.has("ETag")), ("en", false));
    assert_eq!(get("/many/own.var", "\r\nRange: bytes=1-1").body, "p");
    assert_eq!(get("/many/own.var/and/more", "\r\nAccept-Language: fr").body, "<p>ici\n");
    assert_eq!(get("/many/broken.var", "").status(), 500);
    assert_eq!(get("/many/circle.var", "").status(), 506);
    let old = site.ask_exactly("GET /many/map.var HTTP/1.0\r\nHost: example.org\r\n\r\n");
    assert!(old.has("Expires") && !chosen.has("Expires"));
}

#[test]
fn an_error_document_may_be_negotiated() {
    let site = Site::new(&format!(
        "ErrorDocument 404 /docs/sorry.var\n<Location /docs>\n{VIEWS}</Location>"
    ));
    let map = "Content-Type: text/html\nContent-Language: en\nBody:E\nsorry\nE\n\n\
               Content-Type: text/html\nContent-Language: fr\nBody:E\npardon\nE\n";
    write(&site.folder.path().join("htdocs/docs/sorry.var"), map.as_bytes());
    let answer = site.ask("GET /none HTTP/1.1\r\nAccept-Language: fr");
    assert_eq!((answer.status(), answer.body.as_str()), (404, "pardon\n"));
    assert_eq!(answer.field("Vary"), "accept-language");
}

#[test]
fn codings_are_told_as_the_client_spells_them() {
    let site = Site::new("AddEncoding x-gzip .gz\nRemoveType .gz");
    write(&site.folder.path().join("htdocs/page.html.gz"), b"gz");
    let coding = |fields: &str| {
        let answer = site.ask(&format!("GET /page.html.gz HTTP/1.1{fields}"));
        answer.field("Content-Encoding").to_owned()
    };
    assert_eq!(coding(""), "x-gzip");
    assert_eq!(coding("\r\nAccept-Encoding: gzip"), "gzip");
    assert_eq!(coding("\r\nAccept-Encoding: x-gzip"), "x-gzip");
}

#[test]
fn what_stands_behind_a_file_is_path_info() {
    let site = Site::new(
        "<Location /listed>\nAcceptPathInfo On\nRequire expr \"%{PATH_INFO} != '/secret'\"\n</Location>\n\
         <Files page.html>\nRequire env nobody\n</Files>",
    );
    check(&site, "GET /a.txt/more HTTP/1.1", 404, &site.get("/none").body);
    check(&site, "GET /listed/one.txt/more/of/it HTTP/1.1", 200, "1");
    check(&site, "GET /listed/one.txt/ HTTP/1.1", 200, "1");
    assert_eq!(site.get("/listed/one.txt/secret").status(), 403, "access is decided with it");
    assert_eq!(site.get("/listed/none/more").status(), 404);
    assert_eq!(site.get("/page.html/more").status(), 403, "the file is guarded whatever follows");
    let missing = site.get("/docs/none/a/b").response;
    assert!(missing.file.unwrap().ends_with(b"htdocs/docs/none"), "%f ends where nothing is");
}

#[test]
fn a_folder_is_redirected_for_every_method_and_its_index_may_be_told() {
    let site = Site::new(
        "<Location /docs>\nDirectoryIndexRedirect seeother\n</Location>\n\
         <Location /listed>\nDirectoryIndex none.html /page.html\n</Location>",
    );
    for method in ["GET", "OPTIONS", "PUT", "FOO"] {
        let answer = site.ask(&format!("{method} /docs?x HTTP/1.1"));
        assert_eq!(answer.status(), 301, "{method}");
        assert_eq!(answer.field("Location"), "http://example.org:8080/docs/?x");
    }
    let told = site.get("/docs/?x");
    assert_eq!(
        (told.status(), told.field("Location")),
        (303, "http://example.org:8080/docs/index.html")
    );
    check(&site, "GET /listed/ HTTP/1.1", 200, "<p>page");
}

#[test]
fn an_index_file_may_be_negotiated() {
    let site = site(
        "DirectoryIndex index\nOptions +Indexes",
        &[("index.html.en", "en"), ("index.html.fr", "fr")],
    );
    let answer = check(&site, "GET /many/ HTTP/1.1\r\nAccept-Language: fr", 200, "fr");
    assert_eq!(answer.field("Vary"), "negotiate,accept-language");
    let refused = site.ask("GET /many/ HTTP/1.1\r\nAccept: image/png");
    assert_eq!((refused.status(), refused.has("Alternates")), (406, true), "and never a listing");
}

#[test]
fn a_fallback_stands_in_for_index_files_too() {
    let site = Site::new(
        "FallbackResource /page.html\n<Location /empty>\nSetHandler none-such\n</Location>",
    );
    check(&site, "GET /listed/ HTTP/1.1", 200, "<p>page");
    check(&site, "GET /none/at/all HTTP/1.1", 200, "<p>page");
    assert_eq!(site.get("/empty/none").status(), 404, "what has a handler is not missing");
    assert_eq!(site.get("/a.txt/more").status(), 404, "what is there is not missing");
}
