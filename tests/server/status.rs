//! `SetHandler server-status` and what it tells.

use crate::on_every_mpm;
use crate::support::client::head;
use crate::support::wait_for;

const CONF: &str =
    "<Location /server-status>\nSetHandler server-status\nRequire local\n</Location>";

/// The value of a key of `?auto`.
fn value<'t>(text: &'t str, key: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {key} in {text}"))
}

on_every_mpm!(a_monitor_finds_apaches_keys, |site| site.conf(CONF), |server| {
    assert_eq!(server.get("/").status, 200);
    let answer = wait_for(|| {
        let answer = server.get("/server-status?auto");
        (value(&answer.text(), "Total Accesses") != "0").then_some(answer)
    });
    let answer = answer.expect("requests are counted");
    assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=ISO-8859-1"));
    let text = answer.text();
    assert!(text.starts_with("localhost\nServerVersion: Herdgate/"), "{text}");
    assert_eq!(value(&text, "ServerMPM"), server.model());
    assert_eq!(value(&text, "ParentServerConfigGeneration"), "1");
    for key in [
        "Server Built",
        "Load1",
        "Total kBytes",
        "Total Duration",
        "CPUUser",
        "Uptime",
        "IdleWorkers",
    ] {
        value(&text, key);
    }
    assert_ne!(value(&text, "BusyWorkers"), "0", "who answers this is busy");
    let letters = value(&text, "Scoreboard");
    assert!(
        letters.contains('W') && letters.chars().all(|letter| "_SRWKDCLGI.".contains(letter)),
        "{letters}"
    );
    assert_eq!(text.contains("ConnsTotal: "), server.model() == "event");
});

on_every_mpm!(
    a_header_tells_shares_of_workers,
    |site| site.conf("Header set Workers \"%i/%b\""),
    |server| {
        let workers = server.get("/").field("Workers").unwrap_or_default().to_owned();
        let (idle, busy) = workers.split_once('/').unwrap_or_else(|| panic!("{workers}"));
        let share = |text: &str| text.split_once('=').and_then(|(_, it)| it.parse::<u32>().ok());
        let (Some(idle), Some(busy)) = (share(idle), share(busy)) else { panic!("{workers}") };
        assert!((1..=100).contains(&(idle + busy)), "{workers}");
    }
);

on_every_mpm!(what_clients_send_is_harmless_on_the_page, |site| site.conf(CONF), |server| {
    for query in ["", "&notable"] {
        let mut client = server.client();
        client.send(head("GET", &format!("/server-status?<script>\"{query}"), &[]));
        let page = client.receive("GET");
        assert_eq!(page.field("Content-Type"), Some("text/html; charset=ISO-8859-1"));
        let text = page.text();
        let escaped = "GET /server-status?&lt;script&gt;\\&quot;";
        assert!(text.contains(escaped) && !text.contains("<script>"), "{text}");
        assert!(
            text.is_ascii()
                && text.contains("<h1>Apache Server Status for localhost (via 127.0.0.1)</h1>")
        );
    }
    assert_eq!(server.get("/server-status?refresh=7").field("Refresh"), Some("7"));
});

on_every_mpm!(only_a_get_is_answered_and_a_head_has_no_body, |site| site.conf(CONF), |server| {
    let mut client = server.client();
    assert_eq!(client.request("POST", "/server-status", &["Content-Length: 0"]).status, 404);
    assert_eq!(client.request("HEAD", "/server-status", &[]).status, 200);
    assert_eq!(client.get("/server-status?auto").status, 200);
});
