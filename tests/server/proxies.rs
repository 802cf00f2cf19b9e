//! Who the client is when a proxy stands before the server: mod_remoteip.

use crate::on_every_mpm;
use crate::support::client::head;
use crate::support::{Server, Site, wait_until};

const BY_FIELD: &str = "RemoteIPHeader X-Forwarded-For\n\
                        RemoteIPInternalProxy 127.0.0.0/8\n\
                        LogFormat \"%a %{c}a\" addresses\n\
                        CustomLog logs/addresses addresses\n\
                        <Location />\n\
                        Require ip 203.0.113.9\n\
                        </Location>";

const BY_PREAMBLE: &str = "RemoteIPProxyProtocol On\n\
                           LogFormat \"%a %{c}a %{remote}p\" addresses\n\
                           CustomLog logs/addresses addresses\n\
                           <Location />\n\
                           Require ip 203.0.113.9\n\
                           </Location>";

/// Waits until the log has these lines, and no others. Several processes write it, each in its own time.
fn wait_for_addresses(server: &Server, lines: [&str; 3]) {
    wait_until("the log has the addresses", || {
        let log = server.text("logs/addresses");
        let mut found: Vec<&str> = log.lines().collect();
        found.sort_unstable();
        found == lines
    });
}

on_every_mpm!(a_trusted_proxy_tells_the_client, |site| site.conf(BY_FIELD), |server| {
    assert_eq!(server.get("/").status, 403);
    let told = server.get_with("/", &["X-Forwarded-For: 203.0.113.9"]);
    assert_eq!(told.status, 200);
    let other = server.get_with("/", &["X-Forwarded-For: 203.0.113.9, 198.51.100.4"]);
    assert_eq!(other.status, 403, "the last one who told it is no proxy of ours");
    wait_for_addresses(
        &server,
        ["127.0.0.1 127.0.0.1", "198.51.100.4 127.0.0.1", "203.0.113.9 127.0.0.1"],
    );
});

on_every_mpm!(
    a_balancer_tells_the_client_before_its_first_request,
    |site| site.conf(BY_PREAMBLE),
    |server| {
        let mut client = server.client();
        client.send(
            ["PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n", &head("GET", "/", &[])].concat(),
        );
        assert_eq!(client.receive("GET").status, 200);
        assert_eq!(client.get("/").status, 200, "it holds for the connection");
        let mut in_pieces = server.client();
        let addresses = [203, 0, 113, 9, 127, 0, 0, 1, 0x12, 0x67, 0, 80];
        let binary = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &addresses].concat();
        binary.iter().for_each(|byte| in_pieces.send([*byte]));
        assert_eq!(in_pieces.get("/").status, 200);
        wait_for_addresses(&server, ["203.0.113.9 127.0.0.1 4711"; 3]);
    }
);

on_every_mpm!(
    a_connection_that_does_not_begin_as_it_must_is_closed,
    |site| site.conf(BY_PREAMBLE),
    |server| {
        assert_eq!(server.raw(head("GET", "/", &[])), "");
        assert!(server.error_log().contains("AH03496"), "{}", server.error_log());
    }
);

#[test]
fn exceptions_begin_with_their_request() {
    let lines = format!(
        "{}\nRemoteIPProxyProtocolExceptions 127.0.0.0/8",
        BY_PREAMBLE.replace("203.0.113.9", "127.0.0.1")
    );
    let server = Site::new("event").conf(&lines).start();
    assert_eq!(server.get("/").status, 200);
}
