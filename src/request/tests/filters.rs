//! Compression, fields by rule, freshness: what happens to a response once it is made.

use std::io::Read as _;

use super::*;
use crate::response::Pace;

const GZIP: &str = "\r\nAccept-Encoding: gzip";

/// A site with a page that is worth compressing.
fn site(lines: &str) -> Site {
    let site = Site::new(&format!("{lines}\n"));
    write(&site.folder.path().join("htdocs/long.html"), "<p>words ".repeat(200).as_bytes());
    site
}

fn unzipped(answer: &Answer) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.bytes[..]).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn who_accepts_gzip_gets_it_with_a_tag_of_its_own() {
    let site = site("SetOutputFilter DEFLATE");
    let plain = site.get("/long.html");
    assert_eq!((plain.has("Content-Encoding"), plain.field("Vary")), (false, "Accept-Encoding"));
    let coded = site.ask(&format!("GET /long.html HTTP/1.1{GZIP}"));
    assert_eq!(unzipped(&coded), plain.body);
    assert_eq!(coded.field("Content-Encoding"), "gzip");
    assert_eq!(coded.field("Vary"), "Accept-Encoding");
    assert_eq!(coded.response.content_length, Some(coded.bytes.len() as u64));
    let plain_tag = plain.field("ETag").trim_end_matches('"');
    assert_eq!(coded.field("ETag"), format!("{plain_tag}-gzip\""));
}

#[test]
fn a_long_file_is_streamed_and_a_head_is_not_computed() {
    let site = site(
        "AddOutputFilterByType DEFLATE text/plain\nAddType text/plain big\nForceType text/plain",
    );
    let coded = site.ask(&format!("GET /big HTTP/1.1{GZIP}"));
    assert!(matches!(coded.response.body, Body::Stream(_)));
    assert_eq!(coded.response.content_length, None);
    assert_eq!(unzipped(&coded), "x".repeat(100_000));
    let head = site.ask(&format!("HEAD /big HTTP/1.1{GZIP}"));
    assert!(matches!(head.response.body, Body::Empty));
    assert_eq!((head.field("Content-Encoding"), head.response.content_length), ("gzip", None));
    assert_eq!(head.field("ETag"), coded.field("ETag"));
}

#[test]
fn a_client_that_has_a_coded_version_is_told_so() {
    let site = site("SetOutputFilter DEFLATE");
    let get = |fields: &str| site.ask(&format!("GET /long.html HTTP/1.1{fields}"));
    let plain = get("").field("ETag").to_string();
    let coded = get(GZIP).field("ETag").to_string();
    for (fields, status, tag) in [
        (format!("{GZIP}\r\nIf-None-Match: {coded}"), 304, &coded),
        (format!("{GZIP}\r\nIf-None-Match: {plain}"), 304, &plain),
        // Whoever asks for both cannot make use of the coded one.
        (format!("\r\nIf-None-Match: {coded}"), 200, &plain),
        (format!("\r\nIf-None-Match: {coded}, {plain}"), 304, &plain),
        (format!("{GZIP}\r\nIf-Match: {coded}"), 200, &coded),
        (format!("{GZIP}\r\nIf-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT"), 304, &coded),
    ] {
        let answer = get(&fields);
        assert_eq!((answer.status(), answer.field("ETag")), (status, tag.as_str()), "{fields}");
        assert_eq!(answer.field("Vary"), "Accept-Encoding", "{fields}");
        assert!(answer.status() == 200 || answer.response.content_type.is_none());
    }
}

#[test]
fn a_range_is_a_part_of_the_plain_file() {
    let site = site("SetOutputFilter DEFLATE");
    let part = site.ask(&format!("GET /long.html HTTP/1.1{GZIP}\r\nRange: bytes=0-7"));
    assert_eq!((part.status(), part.body.as_str()), (206, "<p>words"));
    assert_eq!((part.has("Content-Encoding"), part.field("Vary")), (false, "Accept-Encoding"));
}

#[test]
fn what_is_not_worth_it_or_not_wanted_stays_plain() {
    let site = site(
        "SetOutputFilter DEFLATE\nSetEnvIf X-No . no-gzip\nSetEnvIf X-Html . gzip-only-text/html=1\n\
         SetEnvIf X-Force . force-gzip",
    );
    write(&site.folder.path().join("htdocs/long.css"), &[b'c'; 500]);
    for (request, coded, varies) in [
        ("/a.txt HTTP/1.1\r\nAccept-Encoding: gzip", false, false),
        ("/long.html HTTP/1.1\r\nAccept-Encoding: *", false, true),
        ("/long.html HTTP/1.1\r\nAccept-Encoding: gzip;q=0", false, true),
        ("/long.html HTTP/1.1\r\nAccept-Encoding: gzip\r\nX-No: 1", false, false),
        ("/long.css HTTP/1.1\r\nAccept-Encoding: gzip\r\nX-Html: 1", false, false),
        ("/long.html HTTP/1.1\r\nAccept-Encoding: gzip\r\nX-Html: 1", true, true),
        ("/long.html HTTP/1.1\r\nX-Force: 1", true, true),
        ("/missing HTTP/1.1\r\nAccept-Encoding: gzip", false, false),
    ] {
        let answer = site.ask(&format!("GET {request}"));
        let seen = (answer.has("Content-Encoding"), answer.has("Vary"));
        assert_eq!(seen, (coded, varies), "{request}");
    }
}

#[test]
#[cfg(feature = "brotli")]
fn the_coding_that_the_client_wants_most_is_used() {
    let site = site("SetOutputFilter BROTLI_COMPRESS;DEFLATE");
    let coding = |accept: &str| {
        let request = format!("GET /long.html HTTP/1.1\r\nAccept-Encoding: {accept}");
        site.ask(&request).field("Content-Encoding").to_string()
    };
    assert_eq!(coding("gzip, br"), "br");
    assert_eq!(coding("gzip, br;q=0.5"), "gzip");
    assert_eq!(coding("gzip"), "gzip");
}

#[test]
fn filters_are_chained_by_type_extension_and_expression() {
    let coded = |lines: &str| {
        let answer = site(lines).ask(&format!("GET /long.html HTTP/1.1{GZIP}"));
        answer.has("Content-Encoding")
    };
    assert!(coded("AddOutputFilterByType DEFLATE text/plain TEXT/HTML"));
    assert!(!coded("AddOutputFilterByType DEFLATE text/plain"));
    assert!(coded("AddOutputFilter DEFLATE html"));
    assert!(!coded("AddOutputFilter DEFLATE html\nRemoveOutputFilter html"));
    let declared = "FilterDeclare pack CONTENT_SET\nFilterProvider pack DEFLATE \"%{CONTENT_TYPE} =~ m#^text/#\"\n";
    assert!(coded(&format!("{declared}FilterChain pack")));
    assert!(!coded(&format!("{declared}FilterChain pack -pack")));
    assert!(!coded(declared));
    let inner = "<Files long.html>\nAddOutputFilterByType DEFLATE text/plain\n</Files>";
    let outer = "AddOutputFilterByType DEFLATE text/html\n";
    assert!(!coded(&format!("{outer}{inner}")), "the inner line replaces the outer one");
}

#[test]
fn a_neighbour_that_was_compressed_beforehand_is_sent_as_it_is() {
    let site = site("Precompressed gzip br");
    let folder = site.folder.path().join("htdocs");
    write(&folder.join("page.html.gz"), b"zipped");
    write(&folder.join("page.html.br"), b"brotli");
    let get = |accept: &str| {
        let answer = site.ask(&format!("GET /page.html HTTP/1.1\r\nAccept-Encoding: {accept}"));
        assert_eq!(answer.field("Vary"), "Accept-Encoding");
        assert_eq!(answer.response.content_type.as_deref(), Some("text/html"));
        let coding = answer.response.fields.get("Content-Encoding").map(<[u8]>::to_vec);
        (answer.body, String::from_utf8(coding.unwrap_or_default()).unwrap())
    };
    let pair = |body: &str, coding: &str| (body.to_string(), coding.to_string());
    assert_eq!(get("gzip, br"), pair("zipped", "gzip"));
    assert_eq!(get("gzip;q=0.5, br"), pair("brotli", "br"));
    assert_eq!(get("zstd"), pair("<p>page", ""));
    assert_eq!(get("identity"), pair("<p>page", ""));
    let part = "GET /page.html HTTP/1.1\r\nAccept-Encoding: gzip\r\nRange: bytes=0-2";
    check(&site, part, 206, "zip");
    fs::remove_file(folder.join("page.html.gz")).unwrap();
    assert_eq!(get("gzip"), pair("<p>page", ""));
}

#[test]
fn fields_are_changed_in_both_tables() {
    let site = site(
        "Header always set X-Both always\nHeader set X-Both page\nHeader set ETag \"\\\"own\\\"\"\n\
         Header append X-List a\nHeader append X-List b\nHeader merge X-List b\nHeader merge X-List c\n\
         Header setifempty X-List d\nHeader add X-Two 1\nHeader add X-Two 2\nHeader unset Accept-Ranges\n\
         Header edit Last-Modified \"^[A-Z]([a-z]+), (.*)$\" \"$2 ($1)\"\nHeader set Content-Type text/x\n\
         Header echo ^X-In\nHeader set X-Env \"%{NONE}e 100%%\"\nHeader set Date never\n\
         Header set X-Late \"expr=%{resp:X-Two}-%{REQUEST_STATUS}\"\nHeader set X-Never 1 env=NONE\n\
         Header set X-When 1 \"expr=%{REQUEST_METHOD} == 'GET'\"\nHeader set X-First 1 early",
    );
    let answer = site.ask("GET /a.txt HTTP/1.1\r\nX-In: yes");
    let fields: Vec<String> = answer
        .response
        .fields
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    assert_eq!(
        fields,
        [
            "X-Both: always",
            "X-First: 1",
            "Last-Modified: 02 Jan 2024 03:04:05 GMT (ue)",
            "ETag: \"own\"",
            "X-Both: page",
            "X-List: a, b, c",
            "X-Two: 1",
            "X-Two: 2",
            "X-In: yes",
            "X-Env: (null) 100%",
            "X-Late: 1-200",
            "X-When: 1",
        ]
    );
    assert_eq!(answer.response.content_type.as_deref(), Some("text/x"));
    let missing = site.get("/missing");
    let fields: Vec<_> = missing.response.fields.iter().collect();
    assert_eq!(fields, [("X-Both", &b"always"[..])]);
}

#[test]
fn request_fields_are_changed_before_the_file_is_looked_at() {
    let site = site(
        "RequestHeader unset If-None-Match\nRequestHeader set Range bytes=0-1 env=short\n\
         SetEnvIf Request_URI txt short\nRequestHeader set X-Early 1 early\nSetEnvIf X-Early 1 seen",
    );
    check(&site, "GET /a.txt HTTP/1.1\r\nIf-None-Match: *", 206, "01");
    let answer = check(&site, "GET /page.html HTTP/1.1\r\nIf-None-Match: *", 200, "<p>page");
    assert_eq!(answer.response.env.get("seen"), Some(&b"1"[..]));
}

#[test]
fn freshness_is_told_by_type_but_not_for_errors() {
    let site = site(
        "ExpiresActive On\nExpiresByType text/html \"access plus 1 hour\"\nExpiresByType text/* M2000\n\
         ExpiresDefault A5\nErrorDocument 403 /sorry.html\n\
         <Files page.html>\nHeader set Cache-Control public\n</Files>\n<Files plain>\nRequire all denied\n</Files>",
    );
    let told = |path: &str| {
        let answer = site.get(path);
        assert_eq!(answer.has("Expires"), answer.has("Cache-Control") && path != "/page.html");
        let value = answer.response.fields.get("Cache-Control").map(<[u8]>::to_vec);
        String::from_utf8(value.unwrap_or_default()).unwrap()
    };
    assert_eq!(told("/index.html"), "max-age=3600");
    assert_eq!(told("/a.txt"), "max-age=1000", "the file is a thousand seconds old");
    assert_eq!(told("/big"), "max-age=5");
    assert_eq!(told("/missing"), "");
    assert_eq!(told("/plain"), "", "an error document");
    let answer = site.get("/index.html");
    assert_eq!(answer.field("Expires"), "Tue, 02 Jan 2024 04:20:45 GMT");
    let unchanged =
        site.ask("GET /big HTTP/1.1\r\nIf-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT");
    assert_eq!((unchanged.status(), unchanged.field("Cache-Control")), (304, "max-age=5"));
}

#[test]
fn a_pace_is_set_by_variables() {
    let site = site(
        "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 4\n\
         <Files page.html>\nSetEnv rate-initial-burst 2\n</Files>\n<Files big>\nSetEnv rate-limit none\n</Files>",
    );
    let pace = |path: &str| site.get(path).response.pace;
    assert_eq!(pace("/a.txt"), Some(Pace { bytes_per_sec: 4096, burst_bytes: 0 }));
    assert_eq!(pace("/page.html"), Some(Pace { bytes_per_sec: 4096, burst_bytes: 2048 }));
    assert_eq!(pace("/big"), None);
    assert_eq!(pace("/missing"), None);
}

#[test]
fn a_client_that_cannot_bear_vary_is_spared_it() {
    let site = site("SetOutputFilter DEFLATE\nSetEnvIf X-Old . force-no-vary");
    let answer = site.ask(&format!("GET /long.html HTTP/1.1{GZIP}\r\nX-Old: 1"));
    assert!(!answer.has("Vary"));
    assert_eq!(answer.response.env.get("force-response-1.0"), Some(&b"1"[..]));
}
