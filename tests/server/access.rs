//! Who is let in: passwords, origins, and what both logs say about it.

use crate::on_every_mpm;
use crate::support::client::Answer;

/// bob's is stored by SHA-1, carol's by bcrypt; both are `secret`.
const USERS: &str = "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n\
    carol:$2y$04$SQ4C0T1aqltgzSobWFPvGOtopZd17NoBGs.byHV.4McPs4a1/Atpi\n";

const BOB: &str = "Authorization: Basic Ym9iOnNlY3JldA==";
const BOB_MISTYPED: &str = "Authorization: Basic Ym9iOnNlY3JlZA==";
const CAROL: &str = "Authorization: Basic Y2Fyb2w6c2VjcmV0";

fn told(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.field("WWW-Authenticate"))
}

const CHALLENGE: Option<&str> = Some("Basic realm=\"Members\"");

on_every_mpm!(
    passwords_open_what_is_protected,
    |site| {
        site
        .beside("users", USERS)
        .beside("groups", "staff: carol\n")
        .file("members/page.txt", "welcome")
        .file("staff/page.txt", "hello")
        .conf(
            "<Location /members>\nRequire valid-user\n</Location>\n\
             <Location /staff>\nRequire group staff\n</Location>\n\
             <Location />\nAuthType Basic\nAuthName Members\nAuthUserFile users\nAuthGroupFile groups\n</Location>\n\
             <Directory />\nRequire all granted\n</Directory>\n",
        )
    },
    |server| {
        let mut client = server.client();
        let page = "/members/page.txt";
        assert_eq!(told(&client.get(page)), (401, CHALLENGE));
        assert_eq!(told(&client.request("GET", page, &[BOB_MISTYPED])), (401, CHALLENGE));
        for who in [BOB, CAROL, CAROL, BOB] {
            let answer = client.request("GET", page, &[who]);
            assert_eq!((told(&answer), answer.text()), ((200, None), "welcome".to_owned()));
        }
        assert_eq!(told(&client.request("GET", "/staff/page.txt", &[BOB])), (401, CHALLENGE));
        assert_eq!(told(&client.request("GET", "/staff/page.txt", &[CAROL])), (200, None));
        assert_eq!(told(&client.get("/")), (200, None));

        server.wait_for_access("127.0.0.1 - - ");
        server.wait_for_access("127.0.0.1 - carol [");
        let refused = server.wait_for_access("\" 401 ");
        assert!(refused.starts_with("127.0.0.1 - - ["), "{refused}");
        let wrong = server.wait_for_error("AH01617");
        let expected =
            "user bob: authentication failure for \"/members/page.txt\": Password Mismatch";
        assert!(wrong.contains("[auth_basic:error]") && wrong.ends_with(expected), "{wrong}");
        let other = server.wait_for_error("AH01631");
        let expected = "user bob: authorization failure for \"/staff/page.txt\": ";
        assert!(other.contains("[authz_core:error]") && other.ends_with(expected), "{other}");
    }
);

on_every_mpm!(
    a_changed_password_counts_at_once,
    |site| {
        site.beside("users", USERS).conf(
        "<Location />\nAuthType Basic\nAuthName Members\nAuthUserFile users\nRequire valid-user\n</Location>",
    )
    },
    |server| {
        let mut client = server.client();
        let mut status = |who: &str| client.request("GET", "/", &[who]).status;
        assert_eq!((status(BOB), status(CAROL)), (200, 200));
        std::fs::write(server.path("users"), "carol:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
        assert_eq!((status(BOB), status(CAROL)), (401, 401));
        std::fs::write(server.path("users"), USERS).unwrap();
        assert_eq!((status(BOB), status(CAROL)), (200, 200));
    }
);

on_every_mpm!(
    htaccess_protects_as_before_apache_2_4,
    |site| site
        .beside("users", USERS)
        .file("old/page.txt", "old")
        .file(
            "old/.htaccess",
            "AuthType Basic\nAuthName Members\nAuthUserFile users\nRequire valid-user\n\
              Order deny,allow\nDeny from all\nAllow from 10.0.0.0/8\nSatisfy any\n"
        )
        .file("shut/page.txt", "shut")
        .file("shut/.htaccess", "Order allow,deny\nDeny from all\n")
        .conf("<Directory />\nAllowOverride AuthConfig Limit\n</Directory>"),
    |server| {
        assert_eq!(told(&server.get("/old/page.txt")), (401, CHALLENGE));
        assert_eq!(server.get_with("/old/page.txt", &[BOB]).text(), "old");
        assert_eq!(told(&server.get_with("/shut/page.txt", &[BOB])), (403, None));
        server.wait_for_error("AH01797: client denied by server configuration: ");
    }
);

on_every_mpm!(
    clients_have_names_where_that_is_wanted,
    |site| site.file("a.txt", "a").conf(
        "<Location /a.txt>\nHostnameLookups On\n</Location>\n\
         <Location /index.html>\nHostnameLookups Off\n</Location>",
    ),
    |server| {
        let Ok(Some(name)) = herdgate_sys::net::name_of(server.address().ip()) else {
            eprintln!("skipped: 127.0.0.1 has no name here");
            return;
        };
        for _ in 0..3 {
            assert_eq!(server.get("/a.txt").status, 200);
        }
        assert_eq!(server.get("/index.html").status, 200);
        let named = server.wait_for_access("GET /a.txt");
        assert!(named.starts_with(&format!("{} - - [", name.to_ascii_lowercase())), "{named}");
        let plain = server.wait_for_access("GET /index.html");
        assert!(plain.starts_with("127.0.0.1 - - ["), "{plain}");
    }
);
