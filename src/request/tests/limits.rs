//! What core limits and names: hosts, ranges, internal redirects.

use super::*;

#[test]
fn who_asks_for_a_name_that_the_host_has_not_is_refused_where_that_is_asked_for() {
    let site = Site::new("StrictHostCheck On");
    for (host, status) in
        [("example.org", 200), ("EXAMPLE.org.:8080", 200), ("example.com", 400), ("localhost", 400)]
    {
        let answer = site.ask_exactly(&format!("GET /a.txt HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status(), status, "{host}");
    }
    assert!(site.error_log().contains("AH02417: Hostname example.com provided in the request"));
    assert_eq!(site.ask_exactly("GET /a.txt HTTP/1.0\r\n\r\n").status(), 200);
    let lenient = Site::new("");
    assert_eq!(lenient.ask_exactly("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n").status(), 200);
}

#[test]
fn who_names_no_host_is_led_by_the_path() {
    let host = |name: &str, path: &str| {
        format!("<VirtualHost *:8080>\nServerName {name}\n{path}\n</VirtualHost>\n")
    };
    let site = Site::new(&format!(
        "{}{}{}",
        host("one.example", ""),
        host("two.example", "ServerPath /docs"),
        host("three.example", "ServerPath /")
    ));
    let asked = |head: &str| {
        let answer = site.ask_exactly(&format!("{head}\r\n\r\n"));
        site.server.config.hosts[answer.response.host].name.clone()
    };
    assert_eq!(asked("GET /docs HTTP/1.0"), "two.example");
    assert_eq!(asked("GET /docs/x HTTP/1.0"), "two.example");
    assert_eq!(asked("GET /docsx HTTP/1.0"), "three.example");
    assert_eq!(asked("GET /docs HTTP/1.0\r\nHost: nobody"), "one.example");
}

#[test]
fn parts_of_a_file_can_be_limited() {
    let site = Site::new("<Files a.txt>\nMaxRanges none\n</Files>");
    let whole = check(&site, "GET /a.txt HTTP/1.1\r\nRange: bytes=0-1", 200, "0123456789");
    assert_eq!(whole.field("Accept-Ranges"), "none");
    let other = check(&site, "GET /page.html HTTP/1.1\r\nRange: bytes=0-1", 206, "<p");
    assert_eq!(other.field("Accept-Ranges"), "bytes");
}

#[test]
fn internal_redirects_end_where_they_are_told_to() {
    let loops = "ErrorDocument 404 /missing\nLimitInternalRecursion 4";
    let site = Site::new(loops);
    assert_eq!(site.get("/missing").status(), 404);
    let recursion = |lines: &str| {
        let site = Site::new(lines);
        let limit = site.server.config.main().settings.core.internal_recursion();
        (limit.redirects_max, limit.subrequests_max)
    };
    assert_eq!(recursion(""), (10, 10));
    assert_eq!(recursion("LimitInternalRecursion 5"), (5, 5));
    assert_eq!(recursion("LimitInternalRecursion 5 7"), (5, 7));
}

#[test]
fn the_url_of_before_a_redirect_has_a_host_where_that_is_asked_for() {
    let url = |lines: &str| {
        let site = Site::new(&format!("ErrorDocument 404 /sorry.html\n{lines}"));
        let answer = check(&site, "GET /lost HTTP/1.1", 404, "<p>sorry");
        String::from_utf8(answer.response.env.get("REDIRECT_URL").unwrap().to_vec()).unwrap()
    };
    assert_eq!(url(""), "/lost");
    assert_eq!(url("QualifyRedirectURL On"), "http://example.org:8080/lost");
}
