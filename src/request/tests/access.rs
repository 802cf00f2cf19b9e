//! Who is let in, who is asked for a password, and what the log says about it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;

/// alice by Apache's MD5, bob by SHA-1, carol by bcrypt, dave by what nobody knows; everybody's password is `secret`.
const USERS: &str = "# users\nalice:$apr1$Pzjac6RE$OZPo8PFQjqV/Hi7yFgZcr0\n\
    bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n\
    carol:$2y$04$SQ4C0T1aqltgzSobWFPvGOtopZd17NoBGs.byHV.4McPs4a1/Atpi\n\
    dave:$7$CU..../....abc\n";

/// What a section says before its Require.
const BASIC: &str =
    "AuthType Basic\nAuthName \"The \\\"members\\\"\"\nAuthUserFile users\nAuthGroupFile groups\n";

/// A site where `lines` hold below /docs.
fn site(lines: &str) -> Site {
    site_with(&format!("<Location /docs>\n{BASIC}{lines}\n</Location>"))
}

fn site_with(lines: &str) -> Site {
    let site = Site::new(lines);
    write(&site.folder.path().join("users"), USERS.as_bytes());
    write(&site.folder.path().join("groups"), b"editors: alice bob\nstaff: carol\n");
    site
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

impl Site {
    fn get_as(&self, path: &str, user: &str, password: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n{}", basic(user, password)))
    }

    /// The statuses for nobody, alice, bob and carol.
    fn statuses(&self, path: &str) -> [u16; 4] {
        let known = |user| self.get_as(path, user, "secret").status();
        [self.get(path).status(), known("alice"), known("bob"), known("carol")]
    }
}

#[test]
fn who_has_no_password_is_asked_for_one() {
    let site = site("Require valid-user");
    let asked = site.get("/docs/");
    assert_eq!(asked.status(), 401);
    assert_eq!(asked.field("WWW-Authenticate"), r#"Basic realm="The \"members\"""#);
    assert!(asked.body.contains("<title>401 Unauthorized</title>"));
    assert_eq!(asked.response.user, None);
    assert_eq!(site.error_log(), "", "that is no news");
    let let_in = site.get_as("/docs/", "alice", "secret");
    assert_eq!((let_in.status(), let_in.body.as_str()), (200, "<p>docs"));
    assert_eq!(let_in.response.user.as_deref(), Some(&b"alice"[..]));
    assert!(!let_in.has("WWW-Authenticate"));
    assert_eq!(site.statuses("/docs/missing"), [401, 404, 404, 404]);
    assert_eq!(site.statuses("/a.txt"), [200; 4]);
}

#[test]
fn what_is_wrong_with_a_password_is_logged() {
    for (field, expected, user) in [
        (
            basic("alice", "wrong"),
            "AH01617: user alice: authentication failure for \"/docs/\": Password Mismatch\n",
            Some("alice"),
        ),
        (basic("eve", "secret"), "AH01618: user eve not found: /docs/\n", Some("eve")),
        (basic("ev\ne", "x"), "AH01618: user ev\\ne not found: /docs/\n", Some("ev\ne")),
        (
            "Authorization: Digest x=y".into(),
            "AH01614: client used wrong authentication scheme: /docs/\n",
            None,
        ),
        (
            basic("dave", "secret"),
            "the password of user dave is stored in a form that is not supported",
            Some("dave"),
        ),
    ] {
        let site = site("Require valid-user");
        let refused = site.ask(&format!("GET /docs/ HTTP/1.1\r\n{field}"));
        assert_eq!(refused.status(), 401, "{field}");
        assert!(refused.has("WWW-Authenticate"));
        assert_eq!(refused.response.user.as_deref(), user.map(str::as_bytes));
        let log = site.error_log();
        assert!(log.contains(expected), "{log}");
        assert!(log.contains("[client 192.0.2.1:4711]"), "{log}");
    }
}

#[test]
fn users_and_groups_are_told_apart() {
    for (requires, expected) in [
        ("Require user alice carol", [401, 200, 401, 200]),
        ("Require user \"alice\"\nRequire user bob", [401, 200, 200, 401]),
        ("Require group editors", [401, 200, 200, 401]),
        ("Require group nobody STAFF", [401, 401, 401, 200]),
        ("Require expr %{REMOTE_USER} == 'bob'", [401, 401, 200, 401]),
        ("Require ip 192.0.2\nRequire user alice", [200, 200, 200, 200]),
        ("Require ip 10\nRequire user alice", [401, 200, 401, 401]),
        (
            "<RequireAll>\nRequire ip 192.0.2\nRequire user alice\n</RequireAll>",
            [401, 200, 401, 401],
        ),
        ("<RequireAll>\nRequire ip 10\nRequire user alice\n</RequireAll>", [403, 403, 403, 403]),
        (
            "<RequireAll>\nRequire valid-user\nRequire not user bob\n</RequireAll>",
            [401, 200, 401, 200],
        ),
        ("AuthzSendForbiddenOnFailure On\nRequire user alice", [401, 200, 403, 403]),
        ("<Limit POST>\nRequire user alice\n</Limit>", [200, 200, 200, 200]),
        ("<LimitExcept POST>\nRequire user alice\n</LimitExcept>", [401, 200, 401, 401]),
        ("Require method HEAD POST", [200, 200, 200, 200]),
        ("Require env none\nRequire method POST", [403, 403, 403, 403]),
        ("Require all denied", [403, 403, 403, 403]),
    ] {
        assert_eq!(site(requires).statuses("/docs/"), expected, "{requires}");
    }
    let site = site("Require user alice");
    site.get_as("/docs/", "bob", "secret");
    let expected = "[authz_core:error]";
    assert!(site.error_log().contains(expected), "{}", site.error_log());
    assert!(
        site.error_log().contains("AH01631: user bob: authorization failure for \"/docs/\": \n")
    );
}

#[test]
fn origin_and_user_together() {
    for (lines, expected) in [
        ("Require valid-user\nSatisfy Any\nDeny from all", [401, 200, 200, 200]),
        (
            "Require valid-user\nSatisfy Any\nDeny from all\nAllow from 192.0.2",
            [200, 200, 200, 200],
        ),
        (
            "Require valid-user\nSatisfy All\nDeny from all\nAllow from 192.0.2",
            [401, 200, 200, 200],
        ),
        ("Require valid-user\nDeny from all", [403, 403, 403, 403]),
        ("Require all denied\nSatisfy Any", [200, 200, 200, 200]),
        ("Require all granted\nOrder allow,deny", [403, 403, 403, 403]),
        (
            "Require all granted\nOrder allow,deny\nAllow from all\nDeny from 192.0.2.1",
            [403, 403, 403, 403],
        ),
        (
            "Require all granted\nOrder deny,allow\nAllow from all\nDeny from 192.0.2.1",
            [200, 200, 200, 200],
        ),
        (
            "Require all granted\nSetEnvIf Host example friend\nOrder allow,deny\nAllow from env=friend",
            [200; 4],
        ),
        ("Require all granted\nSetEnvIf Host example friend\nDeny from env=!friend", [200; 4]),
        ("Require all granted\n<Limit GET>\nDeny from all\n</Limit>", [403; 4]),
        ("Require all granted\n<Limit POST>\nDeny from all\n</Limit>", [200; 4]),
    ] {
        assert_eq!(site(lines).statuses("/docs/"), expected, "{lines}");
    }
    let denied = site("Require all granted\nDeny from all");
    denied.get("/docs/");
    assert!(denied.error_log().contains("AH01797: client denied by server configuration: "));
}

#[test]
fn deeper_sections_replace_or_join() {
    let deeper = |lines: &str| {
        site_with(&format!(
            "<Location /docs>\n{BASIC}Require user alice\nDeny from all\nAllow from 192.0.2\n</Location>\n\
             <Location /docs/deep>\n{lines}\n</Location>"
        ))
    };
    for (lines, expected) in [
        ("", [401, 200, 401, 401]),
        ("Require user bob", [401, 401, 200, 401]),
        ("AuthMerging Or\nRequire user bob", [401, 200, 200, 401]),
        ("AuthMerging And\nRequire ip 192.0.2", [401, 200, 401, 401]),
        ("AuthMerging And\nRequire ip 10", [403, 403, 403, 403]),
        ("AuthMerging And", [401, 200, 401, 401]),
        ("Satisfy Any", [200, 200, 200, 200]),
        ("Order allow,deny", [403, 403, 403, 403]),
    ] {
        assert_eq!(deeper(lines).statuses("/docs/deep/x.css"), expected, "{lines}");
    }
}

#[test]
fn what_cannot_work_is_an_error_of_the_server() {
    for (lines, expected) in [
        (
            "Require valid-user",
            "AH00027: No authentication done but request not allowed without authentication for /docs/. Authentication not configured?",
        ),
        (
            "AuthType Basic\nAuthName x",
            "AH01627: AuthType configured with no corresponding authorization directives",
        ),
        ("AuthType Basic\nRequire valid-user", "AH01615: need AuthName: /docs/"),
        (
            "AuthType Basic\nAuthName x\nRequire valid-user",
            "AH01619: AuthUserFile not specified in the configuration",
        ),
        (
            "AuthType Basic\nAuthName x\nAuthUserFile none\nRequire valid-user",
            "(2)No such file or directory: [client 192.0.2.1:4711] AH01620: Could not open password file: ",
        ),
        (
            "AuthType Basic\nAuthName x\nAuthUserFile users\nAuthBasicAuthoritative Off\nRequire valid-user",
            "AH01796: AuthType Basic configured without corresponding module",
        ),
        (
            "AuthType %{HTTP_HOST}\nAuthName x\nRequire valid-user",
            "AH01796: AuthType example.org:8080 configured without corresponding module",
        ),
    ] {
        // The Require of the folder around it would grant.
        let site = site_with(&format!("<Location /docs>\nAuthMerging Off\n{lines}\n</Location>"));
        let failed = site.get_as("/docs/", "eve", "secret");
        assert_eq!(failed.status(), 500, "{lines}");
        assert!(!failed.has("WWW-Authenticate"));
        assert!(site.error_log().contains(expected), "{}", site.error_log());
    }
}

#[test]
fn a_password_that_takes_long_is_checked_once_and_never_inline() {
    let site = site("Require valid-user");
    let ask = |password: &str, access| {
        let text =
            format!("GET /docs/ HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", basic("carol", password));
        let Parse::Complete { head, .. } = parse(text.as_bytes(), &HeadLimits::default()) else {
            panic!()
        };
        let client = Client::default();
        match respond(&site.server, &client, &head, NOW, &mut Caches::default(), access) {
            Outcome::Ready(response) => Some(response.status.code()),
            Outcome::WouldBlock(_) => None,
        }
    };
    assert_eq!(ask("secret", Access::Inline), None);
    assert_eq!(ask("secret", Access::MayBlock), Some(200));
    assert!(matches!(ask("secret", Access::Inline), Some(200)), "it is known now");
    assert_eq!(ask("wrong", Access::MayBlock), Some(401));
    assert_eq!(ask("wrong", Access::Inline), None);
    // Another password in the file: what was right is forgotten.
    let users = site.folder.path().join("users");
    write(&users, USERS.replace("carol:$2y$04$S", "carol:$2y$04$T").as_bytes());
    assert_eq!(ask("secret", Access::MayBlock), Some(401));
}

#[test]
fn a_page_for_401_still_asks() {
    let lines = |page: &str| format!("Require valid-user\nErrorDocument 401 {page}");
    let documented = site(&lines("/sorry.html")).get("/docs/");
    assert_eq!((documented.status(), documented.body.as_str()), (401, "<p>sorry"));
    assert!(documented.has("WWW-Authenticate"));
    let text = site(&lines("\"please log in\"")).get("/docs/");
    assert_eq!((text.status(), text.body.as_str()), (401, "please log in"));
    assert!(text.has("WWW-Authenticate"));
}

#[test]
fn methods_are_refused_before_passwords() {
    let site = site("AllowMethods GET OPTIONS\nRequire valid-user");
    let refused = site.ask("POST /docs/ HTTP/1.1");
    assert_eq!((refused.status(), refused.field("Allow")), (405, "GET,OPTIONS,HEAD"));
    assert!(
        site.error_log()
            .contains("AH01623: client method denied by server configuration: 'POST' to ")
    );
    for (method, status) in
        [("GET", 401), ("HEAD", 401), ("OPTIONS", 401), ("DELETE", 405), ("FOO", 405)]
    {
        assert_eq!(site.ask(&format!("{method} /docs/ HTTP/1.1")).status(), status, "{method}");
    }
}

#[test]
fn a_listing_shows_what_its_reader_may_have() {
    let site = site_with(&format!(
        "<Location /listed>\nOptions Indexes\n{BASIC}</Location>\n\
         <Files one.txt>\nRequire user alice\n</Files>"
    ));
    let shows = |listing: &Answer| listing.body.contains("one.txt");
    assert!(!shows(&site.get("/listed/")));
    assert!(shows(&site.get_as("/listed/", "alice", "secret")));
    assert!(!shows(&site.get_as("/listed/", "bob", "secret")));
    assert_eq!(site.get("/listed/").response.user, None);
    assert!(!site.error_log().contains("AH0"), "{}", site.error_log());
}

#[test]
fn a_variant_may_need_a_password() {
    let site = site_with(&format!(
        "<Directory />\nOptions MultiViews\n</Directory>\n\
         <Files index.html>\n{BASIC}Require user carol\n</Files>"
    ));
    let index = site.get_as("/docs/index", "carol", "secret");
    assert_eq!((index.status(), index.body.as_str()), (200, "<p>docs"));
}

#[test]
fn owners_may_have_their_files() {
    let owner = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().unwrap().name;
    let site = site("<RequireAny>\nRequire file-owner\nRequire file-group\n</RequireAny>");
    let stored = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=";
    let users = format!("{owner}:{stored}\nmember:{stored}\nother:{stored}\n");
    write(&site.folder.path().join("users"), users.as_bytes());
    write(&site.folder.path().join("groups"), format!("{group}: member\nx: other\n").as_bytes());
    for (user, status) in [(owner.as_str(), 200), ("member", 200), ("other", 401)] {
        assert_eq!(site.get_as("/docs/index.html", user, "secret").status(), status, "{user}");
    }
    assert!(site.error_log().contains(&format!("reason: file owner {owner} does not match.")));
}

#[test]
fn handlers_see_who_authbasicfake_says() {
    let site = site("Require valid-user\nAuthBasicFake %{REMOTE_USER}-fake secret2");
    let answer = site.get_as("/docs/", "alice", "secret");
    use crate::log::access::Fields as _;
    let edited = answer.response.request_fields.as_ref().expect("they are not the client's");
    let expected = format!("Basic {}", BASE64_STANDARD.encode("alice-fake:secret2"));
    assert_eq!(edited.field("Authorization"), Some(expected.as_bytes()));
    assert!(edited.field("Host").is_some());
}

#[test]
fn names_are_asked_by_jobs_only() {
    let ask = |site: &Site, access| {
        let text = b"GET /docs/ HTTP/1.1\r\nHost: x\r\n\r\n";
        let Parse::Complete { head, .. } = parse(text, &HeadLimits::default()) else { panic!() };
        let address = Some("127.0.0.1:1".parse().unwrap());
        let client =
            Client { address, local: Some("127.0.0.1:8080".parse().unwrap()), proxy: None };
        match respond(&site.server, &client, &head, NOW, &mut Caches::default(), access) {
            Outcome::Ready(response) => Some((response.status.code(), response.client_name)),
            Outcome::WouldBlock(_) => None,
        }
    };
    let Ok(Some(name)) = herdgate_sys::net::name_of("127.0.0.1".parse().unwrap()) else {
        eprintln!("skipped: this machine has no name for itself");
        return;
    };
    let denied = |site: &Site| ask(site, Access::MayBlock).unwrap().0;
    let site_of = |lines: &str| site_with(&format!("<Location /docs>\n{lines}\n</Location>"));
    let logged = site_of("Require all granted\nHostnameLookups On");
    assert_eq!(ask(&logged, Access::Inline), None);
    assert_eq!(ask(&logged, Access::MayBlock), Some((200, Some(name.to_ascii_lowercase()))));
    assert_eq!(ask(&logged, Access::Inline).map(|(status, _)| status), Some(200));
    assert_eq!(ask(&site_of("Require all granted"), Access::MayBlock), Some((200, None)));
    assert_eq!(denied(&site_of("Require host nobody.invalid")), 403);
    assert_eq!(denied(&site_of("Require forward-dns nobody.invalid")), 403);
    assert_eq!(denied(&site_of("Require forward-dns localhost")), 200);
    if name == "localhost" {
        assert_eq!(denied(&site_of("Require host # why not\nRequire host localhost")), 200);
        assert_eq!(denied(&site_of("Order allow,deny\nAllow from localhost")), 200);
        assert_eq!(denied(&site_of("Require all granted\nHostnameLookups Double")), 200);
    }
}

/// The tests' client comes from another machine.
#[test]
fn what_tells_about_the_server_is_for_this_machine_unless_somebody_says_more() {
    let check = |lines: &str, denied: bool| {
        let site = Site::new(lines);
        let status = site.get("/docs/").status();
        assert_eq!(status == 403, denied, "{lines}: {status}");
    };
    let within = |lines: &str| format!("<Location /docs>\n{lines}\n</Location>");
    check(&within("SetHandler server-status"), true);
    check(&within("SetHandler server-info"), true);
    check(&within("SetHandler server-status\nRequire all granted"), false);
    check(&within("SetHandler server-info\nAllow from all"), false);
    check(&within("<If \"true\">\nSetHandler server-info\n</If>"), true);
    check(&within("SetHandler default-handler"), false);
    // A later section has the last word, as ever.
    let later = [within("SetHandler server-info"), within("Require all granted")].join("\n");
    check(&later, false);

    let site = Site::new("<Directory />\nAllowOverride FileInfo\n</Directory>");
    write(&site.folder.path().join("htdocs/docs/.htaccess"), b"SetHandler server-info\n");
    assert_eq!(site.get("/docs/").status(), 403);
}
