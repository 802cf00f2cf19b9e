//! Documents: what a GET, a HEAD, a condition or a range gets.

use crate::on_every_mpm;
use crate::support::noise;

on_every_mpm!(
    a_file_comes_with_its_type_its_length_and_its_validators,
    |site| site.file("notes/hello.txt", "hello, world\n"),
    |server| {
        let answer = server.get("/notes/hello.txt");
        assert_eq!((answer.status, answer.reason.as_str()), (200, "OK"));
        assert_eq!(answer.version, "HTTP/1.1");
        assert_eq!(answer.text(), "hello, world\n");
        assert_eq!(answer.field("content-type"), Some("text/plain"));
        assert_eq!(answer.field("content-length"), Some("13"));
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert!(answer.field("last-modified").is_some_and(|date| date.ends_with(" GMT")));
        assert!(answer.field("etag").is_some_and(|tag| tag.ends_with('"')));
        assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT")));
        assert!(answer.field("server").is_some_and(|name| name.starts_with("Herdgate")));
    }
);

on_every_mpm!(head_is_get_without_the_body, |server| {
    let mut client = server.client();
    let got = client.get("/index.html");
    let head = client.request("HEAD", "/index.html", &[]);
    assert_eq!(head.status, 200);
    for name in ["content-length", "content-type", "etag", "last-modified"] {
        assert_eq!(head.field(name), got.field(name), "{name}");
    }
    // Had a body followed, it would be in the way here.
    assert_eq!(client.get("/index.html").body, got.body);
});

on_every_mpm!(an_empty_file_is_an_answer, |site| site.file("empty.txt", ""), |server| {
    let mut client = server.client();
    let answer = client.get("/empty.txt");
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("0")));
    assert_eq!(client.get("/index.html").status, 200);
});

on_every_mpm!(what_does_not_exist_is_404_with_a_page, |server| {
    let answer = server.get("/nothing/here");
    assert_eq!((answer.status, answer.reason.as_str()), (404, "Not Found"));
    assert_eq!(answer.field("content-type"), Some("text/html; charset=iso-8859-1"));
    assert!(answer.text().contains("<h1>Not Found</h1>"), "{}", answer.text());
    assert!(answer.text().contains("was not found on this server"), "{}", answer.text());
});

on_every_mpm!(
    a_folder_is_answered_by_its_index_file,
    |site| site
        .file("a/second.html", "second")
        .file("b/first.html", "first")
        .file("b/second.html", "second")
        .conf("DirectoryIndex first.html second.html"),
    |server| {
        assert_eq!(server.get("/a/").text(), "second");
        assert_eq!(server.get("/b/").text(), "first");
    }
);

on_every_mpm!(
    a_folder_without_its_slash_is_redirected,
    |site| site.file("docs/index.html", "here"),
    |server| {
        let answer = server.get_with("/docs?x=1", &["Host: example.org:8080"]);
        assert_eq!(answer.status, 301);
        let port_as_asked = "http://example.org:8080/docs/?x=1";
        assert_eq!(answer.field("location"), Some(port_as_asked));
        assert!(answer.text().contains("The document has moved"), "{}", answer.text());
    }
);

on_every_mpm!(
    a_folder_without_index_is_listed_where_options_allow_it,
    |site| site
        .file("open/b.txt", "b")
        .file("open/a & <b>.txt", "a")
        .folder("open/sub")
        .file("closed/b.txt", "b")
        .conf("<Directory \"ROOT/htdocs/open\">\nOptions Indexes\n</Directory>"),
    |server| {
        let listing = server.get("/open/");
        assert_eq!(listing.status, 200);
        let text = listing.text();
        assert!(text.contains("<title>Index of /open</title>"), "{text}");
        assert!(text.contains("Parent Directory"), "{text}");
        assert!(text.contains("href=\"b.txt\""), "{text}");
        assert!(text.contains("href=\"sub/\""), "{text}");
        assert!(text.contains("a &amp; &lt;b&gt;.txt"), "{text}");
        assert!(!text.contains("<b>"), "a name is text, not markup: {text}");
        assert_eq!(server.get("/closed/").status, 403);
        server.wait_for_error("AH01276");
    }
);

on_every_mpm!(
    every_name_in_a_listing_leads_to_its_file,
    |site| site
        .file("names/a b.txt", "blank")
        .file("names/50%.txt", "percent")
        .file("names/what?.txt", "question")
        .file("names/sharp#.txt", "sharp")
        .file("names/\u{e9}.txt", "accent")
        .conf("Options Indexes"),
    |server| {
        let listing = server.get("/names/").text();
        let hrefs: Vec<&str> = listing
            .split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|href| href.ends_with(".txt"))
            .collect();
        assert_eq!(hrefs.len(), 5, "{listing}");
        let mut found: Vec<String> =
            hrefs.iter().map(|href| server.get(&format!("/names/{href}")).text()).collect();
        found.sort();
        assert_eq!(found, ["accent", "blank", "percent", "question", "sharp"]);
    }
);

on_every_mpm!(a_page_that_the_client_has_is_not_sent_again, |server| {
    let first = server.get("/index.html");
    let tag = first.field("etag").unwrap().trim_start_matches("W/").to_owned();
    let date = first.field("last-modified").unwrap().to_owned();
    let mut client = server.client();
    for condition in [
        format!("If-None-Match: {tag}"),
        format!("If-None-Match: \"other\", {tag}"),
        "If-None-Match: *".to_owned(),
        format!("If-Modified-Since: {date}"),
    ] {
        let answer = client.request("GET", "/index.html", &[&condition]);
        assert_eq!(answer.status, 304, "{condition}");
        assert_eq!(answer.field("content-type"), None, "{condition}");
        assert!(answer.field("etag").is_some(), "{condition}");
    }
    let answer = client.request("GET", "/index.html", &["If-None-Match: \"other\""]);
    assert_eq!((answer.status, &answer.body), (200, &first.body));
});

on_every_mpm!(a_precondition_that_fails_is_412, |server| {
    let mut client = server.client();
    let answer = client.request("GET", "/index.html", &["If-Match: \"other\""]);
    assert_eq!(answer.status, 412);
    let long_ago = "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT";
    assert_eq!(client.request("GET", "/index.html", &[long_ago]).status, 412);
    assert_eq!(client.request("GET", "/index.html", &["If-Match: *"]).status, 200);
});

on_every_mpm!(one_range_is_one_part, |site| site.file("digits.txt", "0123456789"), |server| {
    let mut client = server.client();
    for (range, status, content_range, body) in [
        ("bytes=0-3", 206, Some("bytes 0-3/10"), "0123"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-2", 206, Some("bytes 8-9/10"), "89"),
        ("bytes=5-999", 206, Some("bytes 5-9/10"), "56789"),
        ("bytes=-999", 206, Some("bytes 0-9/10"), "0123456789"),
        ("bytes=3-1", 200, None, "0123456789"),
        ("lines=1-2", 200, None, "0123456789"),
    ] {
        let answer = client.request("GET", "/digits.txt", &[&format!("Range: {range}")]);
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.field("content-range"), content_range, "{range}");
        assert_eq!(answer.text(), body, "{range}");
    }
    let beyond = client.request("GET", "/digits.txt", &["Range: bytes=10-"]);
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.field("content-range"), Some("bytes */10"), "RFC 9110, section 15.5.17");
});

on_every_mpm!(
    if_range_with_another_tag_gets_the_whole_file,
    |site| site.file("digits.txt", "0123456789"),
    |server| {
        let fields = ["Range: bytes=0-3", "If-Range: \"other\""];
        let answer = server.get_with("/digits.txt", &fields);
        assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"));
    }
);

on_every_mpm!(
    a_range_of_a_large_file_is_exactly_these_bytes,
    |site| site.file("large.bin", noise(3_000_000)),
    |server| {
        let answer = server.get_with("/large.bin", &["Range: bytes=1000000-2499999"]);
        assert_eq!(answer.status, 206);
        assert!(answer.body == noise(3_000_000)[1_000_000..2_500_000]);
    }
);

on_every_mpm!(
    types_follow_names_and_directives,
    |site| site
        .file("a.html", "")
        .file("b.css", "")
        .file("c.png", "")
        .file("d.unknown", "")
        .file("e.note", "")
        .file("f.txt", "")
        .file("G.TXT", "")
        .conf("AddType text/x-note .note\nAddDefaultCharset utf-8"),
    |server| {
        let mut client = server.client();
        for (path, expected) in [
            ("/a.html", Some("text/html; charset=utf-8")),
            ("/b.css", Some("text/css")),
            ("/c.png", Some("image/png")),
            ("/d.unknown", None),
            ("/e.note", Some("text/x-note")),
            ("/f.txt", Some("text/plain; charset=utf-8")),
            ("/G.TXT", Some("text/plain; charset=utf-8")),
        ] {
            assert_eq!(client.get(path).field("content-type"), expected, "{path}");
        }
    }
);

on_every_mpm!(paths_are_normalised_and_cannot_climb_out, |server| {
    let mut client = server.client();
    for (path, status) in [
        ("//index.html", 200),
        ("/./index.html", 200),
        ("/x/../index.html", 200),
        ("/%69ndex.html", 200),
        ("/index.html?a=b", 200),
        ("/a%2fb", 404),
    ] {
        assert_eq!(client.get(path).status, status, "{path}");
    }
    for path in
        ["/../httpd.conf", "/%2e%2e/httpd.conf", "/x/../../httpd.conf", "/%zz", "/%", "/a/%00"]
    {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
});

on_every_mpm!(methods_get_what_they_may_have, |server| {
    let ask = |method: &str| server.client().request(method, "/index.html", &[]);
    let options = ask("OPTIONS");
    assert_eq!(options.status, 200);
    assert!(options.field("allow").is_some_and(|allow| allow.contains("GET")));
    let put = ask("PUT");
    assert_eq!(put.status, 405);
    assert!(put.field("allow").is_some_and(|allow| allow.contains("GET")));
    assert_eq!(ask("DELETE").status, 405);
    assert_eq!(ask("FROBNICATE").status, 501);
    assert_eq!(ask("get").status, 501, "methods have a case");
});

on_every_mpm!(a_post_to_a_file_gets_the_file_and_its_body_is_no_request, |server| {
    let mut client = server.client();
    client.send(
        "POST /index.html HTTP/1.1\r\nHost: localhost\r\nContent-Length: 26\r\n\r\n\
         GET /secret HTTP/1.1\r\n\r\n..",
    );
    assert_eq!(client.receive("POST").status, 200);
    client.send(
        "POST /index.html HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nGET /\r\n0\r\n\r\n",
    );
    assert_eq!(client.receive("POST").status, 200);
    assert_eq!(client.get("/index.html").status, 200);
});

on_every_mpm!(
    symbolic_links_are_followed_where_options_allow_it,
    |site| {
        let site = site
            .file("open/real.txt", "real")
            .file("closed/real.txt", "real")
            .conf("<Directory \"ROOT/htdocs/closed\">\nOptions None\n</Directory>");
        for folder in ["open", "closed"] {
            let link = site.root().join(format!("htdocs/{folder}/link.txt"));
            std::os::unix::fs::symlink("real.txt", link).unwrap();
        }
        site
    },
    |server| {
        assert_eq!(server.get("/open/link.txt").text(), "real");
        assert_eq!(server.get("/closed/link.txt").status, 403);
        assert_eq!(server.get("/closed/real.txt").status, 200);
        server.wait_for_error("AH00037");
    }
);

on_every_mpm!(
    a_file_that_must_not_be_read_is_403_and_only_files_are_served,
    |site| {
        use std::os::unix::fs::PermissionsExt as _;
        let site = site.file("private.txt", "private");
        let private = site.root().join("htdocs/private.txt");
        std::fs::set_permissions(private, std::fs::Permissions::from_mode(0o000)).unwrap();
        let fifo = site.root().join("htdocs/fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        site
    },
    |server| {
        assert_eq!(server.get("/private.txt").status, 403);
        assert_eq!(server.get("/fifo").status, 403, "and nobody waits for a writer");
    }
);

on_every_mpm!(
    a_changed_file_is_served_as_it_is_now,
    |site| site.file("page.txt", "one"),
    |server| {
        let mut client = server.client();
        assert_eq!(client.get("/page.txt").text(), "one");
        std::fs::write(server.document("page.txt"), "two!").unwrap();
        assert_eq!(client.get("/page.txt").text(), "two!");
        std::fs::write(server.document("next.txt"), "three").unwrap();
        std::fs::rename(server.document("next.txt"), server.document("page.txt")).unwrap();
        assert_eq!(client.get("/page.txt").text(), "three");
        std::fs::remove_file(server.document("page.txt")).unwrap();
        assert_eq!(client.get("/page.txt").status, 404);
    }
);
