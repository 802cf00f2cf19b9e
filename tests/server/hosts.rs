//! Who answers, and by which rules: virtual hosts, aliases, access, sections, error documents.

use crate::on_every_mpm;
use crate::support::client::Client;

const TWO_HOSTS: &str = "\
<VirtualHost *:*>
    ServerName first.example
    DocumentRoot ROOT/first
</VirtualHost>
<VirtualHost *:*>
    ServerName second.example
    ServerAlias also.example *.second.example
    DocumentRoot ROOT/second
</VirtualHost>";

on_every_mpm!(
    a_virtual_host_is_chosen_by_name,
    |site| site
        .beside("first/index.html", "first")
        .beside("second/index.html", "second")
        .conf(TWO_HOSTS),
    |server| {
        let mut client = server.client();
        for (host, expected) in [
            ("first.example", "first"),
            ("second.example", "second"),
            ("SECOND.example:1234", "second"),
            ("second.example.", "second"),
            ("also.example", "second"),
            ("deep.second.example", "second"),
            ("unknown.example", "first"), // The first host of an address stands in.
        ] {
            let answer = client.request("GET", "/", &[&format!("Host: {host}")]);
            assert_eq!(answer.text(), expected, "{host}");
        }
        let absolute = client.request("GET", "http://second.example/", &["Host: first.example"]);
        assert_eq!(absolute.text(), "second", "RFC 9112, section 3.2.2");
    }
);

on_every_mpm!(
    a_host_without_a_keep_alive_time_of_its_own_has_the_main_servers,
    |site| site.conf(
        "<VirtualHost *:*>\nServerName first.example\nKeepAliveTimeout 7\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName second.example\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName third.example\nKeepAliveTimeout 9\n</VirtualHost>"
    ),
    |server| {
        for (host, timeout) in [("first", 7), ("second", 300), ("third", 9)] {
            let host = format!("Host: {host}.example");
            let answer = server.get_with("/", &[&host, "Connection: keep-alive"]);
            let expected = format!("timeout={timeout}, max=100");
            assert_eq!(answer.field("Keep-Alive"), Some(expected.as_str()), "{host}");
        }
    }
);

on_every_mpm!(
    a_virtual_host_is_chosen_by_address,
    |site| {
        site
        .beside("first/index.html", "first")
        .beside("second/index.html", "second")
        .conf(
            "Listen 127.0.0.2:0\n\
             <VirtualHost 127.0.0.1:*>\nServerName one.example\nDocumentRoot ROOT/first\n</VirtualHost>\n\
             <VirtualHost 127.0.0.2:*>\nServerName two.example\nDocumentRoot ROOT/second\n</VirtualHost>"
        )
    },
    |server| {
        let texts: Vec<String> = server
            .addresses()
            .iter()
            .map(|address| Client::connect(*address).get("/").text())
            .collect();
        assert_eq!(texts, ["first", "second"]);
    }
);

on_every_mpm!(
    ipv6_is_listened_on_as_well,
    |site| if std::fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| text.contains(" lo\n"))
    {
        site.conf("Listen [::1]:0")
    } else {
        site
    },
    |server| {
        match server.addresses().get(1) {
            Some(address) => assert_eq!(Client::connect(*address).get("/").status, 200),
            None => crate::support::skipped("no IPv6 on this machine"),
        }
    }
);

on_every_mpm!(
    an_alias_leads_out_of_the_documents,
    |site| site
        .beside("elsewhere/index.html", "elsewhere")
        .beside("elsewhere/deep/a.txt", "deep")
        .conf("Alias /other ROOT/elsewhere"),
    |server| {
        assert_eq!(server.get("/other/").text(), "elsewhere");
        assert_eq!(server.get("/other/deep/a.txt").text(), "deep");
        assert_eq!(server.get("/other").status, 301);
        assert_eq!(server.get("/otherwise").status, 404);
    }
);

on_every_mpm!(
    what_is_denied_is_403_and_the_log_says_why,
    |site| site.file("private/a.txt", "a").file("private/public/b.txt", "b").conf(
        "<Directory ROOT/htdocs/private>\nRequire all denied\n</Directory>\n\
         <Directory ROOT/htdocs/private/public>\nRequire all granted\n</Directory>"
    ),
    |server| {
        let answer = server.get("/private/a.txt");
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("You don't have permission"), "{}", answer.text());
        assert_eq!(server.get("/private/public/b.txt").text(), "b");
        let line = server.wait_for_error("AH01630");
        assert!(line.contains("[client 127.0.0.1:") && line.contains("private/a.txt"), "{line}");
    }
);

on_every_mpm!(
    sections_are_merged_in_apaches_order,
    |site| site.file("a.note", "").file("deep/a.note", "").conf(
        // Location beats Files, which beats Directory, whatever the order in the file; deeper beats shallower.
        "<Location /deep/located.note>\nForceType text/x-location\n</Location>\n\
         <Files filed.note>\nForceType text/x-files\n</Files>\n\
         <Directory ROOT/htdocs/deep>\nForceType text/x-deep\n</Directory>\n\
         <Directory ROOT/htdocs>\nForceType text/x-top\n</Directory>"
    ),
    |server| {
        for name in ["deep/filed.note", "deep/located.note"] {
            std::fs::write(server.document(name), "").unwrap();
        }
        let mut client = server.client();
        for (path, expected) in [
            ("/a.note", "text/x-top"),
            ("/deep/a.note", "text/x-deep"),
            ("/deep/filed.note", "text/x-files"),
            ("/deep/located.note", "text/x-location"),
        ] {
            assert_eq!(client.get(path).field("content-type"), Some(expected), "{path}");
        }
    }
);

on_every_mpm!(
    an_error_document_replaces_the_page_but_not_the_status,
    |site| site.file("errors/404.html", "<p>lost?</p>").file("private/a.txt", "").conf(
        "ErrorDocument 404 /errors/404.html\n\
             ErrorDocument 403 \"Keep out.\"\n\
             <Location /private>\nRequire all denied\n</Location>"
    ),
    |server| {
        let mut client = server.client();
        let lost = client.get("/nowhere");
        assert_eq!((lost.status, lost.text().as_str()), (404, "<p>lost?</p>"));
        let denied = client.get("/private/a.txt");
        assert_eq!((denied.status, denied.text().as_str()), (403, "Keep out."));
        // A condition that fits the error document says nothing about what was asked for.
        let tag = lost.field("etag").unwrap_or("*").to_owned();
        let again = client.request("GET", "/nowhere", &[&format!("If-None-Match: {tag}")]);
        assert_eq!(again.status, 404);
    }
);
