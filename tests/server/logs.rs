//! What is written down, and where.

use crate::on_every_mpm;
use crate::support::{noise, wait_until};

on_every_mpm!(
    an_access_is_one_line_in_the_combined_format,
    |site| site.file("a.txt", "12345"),
    |server| {
        let fields = ["Referer: http://example.org/", "User-Agent: test \"quoted\""];
        server.get_with("/a.txt?q=1", &fields);
        let line = server.wait_for_access("/a.txt?q=1");
        let (before, after) = line.split_once('[').unwrap();
        assert_eq!(before, "127.0.0.1 - - ");
        let (time, after) = after.split_once(']').unwrap();
        assert_eq!(time.len(), "21/Nov/2026:09:36:25 +0000".len(), "{line}");
        let expected =
            " \"GET /a.txt?q=1 HTTP/1.1\" 200 5 \"http://example.org/\" \"test \\\"quoted\\\"\"";
        assert_eq!(after, expected);
    }
);

on_every_mpm!(
    the_common_format_and_a_second_log,
    |site| site.conf(
        "LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b\" common\n\
         CustomLog logs/common_log common\n\
         CustomLog logs/own_log \"%m %U%q %H %s %B\""
    ),
    |server| {
        server.client().request("HEAD", "/?x", &[]);
        server.get("/nothing");
        wait_until("both lines", || server.text("logs/own_log").lines().count() == 2);
        let own = server.text("logs/own_log");
        // In either order: two connections, two children perhaps.
        assert!(own.contains("HEAD /index.html?x HTTP/1.1 200 0\n"), "{own}");
        assert!(own.contains("GET /nothing HTTP/1.1 404 "), "{own}");
        let common = server.text("logs/common_log");
        assert!(common.contains("] \"HEAD /?x HTTP/1.1\" 200 -\n"), "{common}");
    }
);

on_every_mpm!(
    a_log_tells_only_of_the_requests_that_its_condition_names,
    |site| {
        site.file("a.txt", "1").conf(
        "SetEnvIf Request_URI a not=page\n\
         CustomLog logs/with_log \"%U %{not}e\" env=not\n\
         CustomLog logs/without_log %U env=!not\n\
         CustomLog logs/missing_log %U \"expr=%{REQUEST_STATUS} -eq 404 && %{REQUEST_METHOD} == 'GET'\"\n\
         GlobalLog logs/global_log %U"
    )
    },
    |server| {
        for path in ["/a.txt", "/index.html", "/lost"] {
            server.get(path);
        }
        wait_until("all lines", || server.text("logs/global_log").lines().count() == 3);
        let lines = |name: &str| {
            let text = server.text(name);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines.join(" ")
        };
        assert_eq!(lines("logs/with_log"), "/a.txt page");
        assert_eq!(lines("logs/without_log"), "/index.html /lost");
        assert_eq!(lines("logs/missing_log"), "/lost");
    }
);

on_every_mpm!(a_control_byte_never_reaches_the_log_as_it_is, |server| {
    server.get_with("/index.html", &["User-Agent: tab\there \u{e9}"]);
    let line = server.wait_for_access("tab");
    assert!(line.ends_with("\"tab\\there \\xc3\\xa9\""), "{line}");
});

on_every_mpm!(a_bad_request_is_logged_with_what_was_read, |server| {
    server.raw("NONSENSE\r\n\r\n");
    let line = server.wait_for_access("NONSENSE");
    assert!(line.contains("\" 400 "), "{line}");
});

on_every_mpm!(
    an_answer_that_was_cut_is_logged_with_what_was_sent,
    |site| site.file("large.bin", noise(9_000_000)),
    |server| {
        let mut client = server.client();
        client.send("GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.bytes(1000);
        drop(client);
        let line = server.wait_for_access("/large.bin");
        let bytes: u64 =
            line.split("\" 200 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(bytes < 9_000_000, "{line}");
    }
);

on_every_mpm!(the_error_log_has_apaches_lines, |server| {
    let line = server.wait_for_error("configured -- resuming normal operations");
    let pid = server.pid();
    assert!(line.contains("notice] [pid "), "{line}");
    assert!(line.contains(&format!("[pid {pid}:tid ")), "{line}");
    assert!(line.contains("AH00"), "{line}");
    server.wait_for_error("Command line: ");
});

on_every_mpm!(
    a_virtual_host_may_have_logs_of_its_own,
    |site| site.conf(
        "<VirtualHost *:*>\nServerName first.example\nDocumentRoot ROOT/htdocs\n</VirtualHost>\n\
         <VirtualHost *:*>\nServerName second.example\nDocumentRoot ROOT/htdocs\n\
         CustomLog logs/second_access \"%v %U\"\nErrorLog logs/second_error\n\
         <Location /denied>\nRequire all denied\n</Location>\n</VirtualHost>"
    ),
    |server| {
        server.get_with("/one", &["Host: first.example"]);
        server.get_with("/denied", &["Host: second.example"]);
        wait_until("second's access", || {
            server.text("logs/second_access") == "second.example /denied\n"
        });
        wait_until("second's error", || server.text("logs/second_error").contains("/denied"));
        server.wait_for_access("/one");
        assert!(!server.access_log().contains("/denied"), "{}", server.access_log());
    }
);

on_every_mpm!(log_files_are_opened_again_at_a_graceful_restart, |server| {
    server.get("/before");
    server.wait_for_access("/before");
    std::fs::rename(server.path("logs/access_log"), server.path("logs/access_log.1")).unwrap();
    server.graceful_restart_to_the_end();
    server.get("/after");
    server.wait_for_access("/after");
    assert!(!server.text("logs/access_log.1").contains("/after"));
});

on_every_mpm!(lines_of_many_clients_are_whole, |server| {
    std::thread::scope(|scope| {
        for client in 0..6 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.client();
                for number in 0..50 {
                    connection.get(&format!("/c{client}n{number}e"));
                }
            });
        }
    });
    wait_until("all lines", || server.access_log().lines().count() >= 300);
    let log = server.access_log();
    assert_eq!(log.lines().count(), 300);
    for client in 0..6 {
        for number in 0..50 {
            let asked = format!("\"GET /c{client}n{number}e HTTP/1.1\" 404 ");
            assert_eq!(log.matches(&asked).count(), 1, "{asked}");
        }
    }
});
