//! Providers by other names, and what the patterns of sections tell those who ask later.

use super::*;

/// anna knows `file`, staff is another file; everybody's password is `secret`.
fn site(lines: &str) -> Site {
    let site = Site::new(lines);
    let folder = site.folder.path();
    write(&folder.join("users"), b"anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    write(
        &folder.join("staff"),
        b"bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nanna:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    );
    write(&folder.join("groups"), b"editors: anna bob\n");
    site
}

const ANNA: &str = "Authorization: Basic YW5uYTpzZWNyZXQ=";
const BOB: &str = "Authorization: Basic Ym9iOnNlY3JldA==";

#[test]
fn the_first_provider_that_knows_a_user_decides() {
    let section = |providers: &str| {
        format!(
            "<AuthnProviderAlias file staff>\nAuthUserFile staff\n</AuthnProviderAlias>\n\
             <Location /docs>\nAuthType Basic\nAuthName m\nAuthUserFile users\n{providers}\nRequire valid-user\n</Location>"
        )
    };
    for (providers, anna, bob) in [
        ("", 200, 401),
        ("AuthBasicProvider file", 200, 401),
        ("AuthBasicProvider staff", 401, 200),
        ("AuthBasicProvider file staff", 200, 200),
        ("AuthBasicProvider file\nAuthBasicProvider staff", 200, 200),
        ("AuthBasicProvider staff file", 401, 200),
    ] {
        let site = site(&section(providers));
        let status = |who: &str| site.ask(&format!("GET /docs/ HTTP/1.1\r\n{who}")).status();
        assert_eq!((status(ANNA), status(BOB)), (anna, bob), "{providers}");
    }
}

#[test]
fn a_require_may_have_a_name_and_settings_of_its_own() {
    let aliases = "<AuthzProviderAlias ip here \"192.0.2.0/24 10.0.0.1\">\n</AuthzProviderAlias>\n\
         <AuthzProviderAlias ip away 10.0.0.1>\n</AuthzProviderAlias>\n\
         <AuthzProviderAlias group writers editors>\nAuthGroupFile groups\n</AuthzProviderAlias>\n";
    let basic = "AuthType Basic\nAuthName m\nAuthUserFile users";
    for (require, nobody, anna) in [
        ("Require here and what Apache passes over", 200, 200),
        ("Require away", 403, 403),
        ("<RequireAll>\nRequire all granted\nRequire not away\n</RequireAll>", 200, 200),
        ("Require writers", 401, 200),
        ("Require group editors", 401, 401),
    ] {
        let section = format!("<Location /docs>\n{basic}\n{require}\n</Location>");
        let site = site(&[aliases, &section].concat());
        let status = |who: &str| site.ask(&format!("GET /docs/ HTTP/1.1{who}")).status();
        let statuses = (status(""), status(&format!("\r\n{ANNA}")));
        assert_eq!(statuses, (nobody, anna), "{require}");
    }
}

#[test]
fn htaccess_may_say_a_providers_other_name() {
    let site = site(
        "<AuthzProviderAlias ip away 10.0.0.1>\n</AuthzProviderAlias>\n\
         <Directory htdocs>\nAllowOverride AuthConfig\n</Directory>",
    );
    write(&site.folder.path().join("htdocs/docs/.htaccess"), b"Require away\n");
    assert_eq!(site.get("/docs/").status(), 403);
    write(&site.folder.path().join("htdocs/docs/deep/.htaccess"), b"Require nearby\n");
    assert_eq!(site.get("/docs/deep/x.css").status(), 500);
    assert!(site.error_log().contains("Unknown Authz provider: nearby"), "{}", site.error_log());
}

#[test]
fn named_groups_of_sections_are_variables() {
    let site = Site::new(
        "<LocationMatch \"^/(?<first>[^/]+)/(?<Rest>x?)(?<none>nope)?\">\n\
         Header set L \"%{MATCH_FIRST}e,%{MATCH_REST}e,%{MATCH_NONE}e\"\n</LocationMatch>\n\
         <DirectoryMatch \"/htdocs/(?<dir>[^/]+)/(?=deep)\">\nSetEnvIf MATCH_DIR ^docs$ in_docs\n\
         Header set D %{MATCH_DIR}e,%{in_docs}e\n</DirectoryMatch>\n\
         <FilesMatch \"^(?<base>.+)\\.css$\">\nHeader set F %{MATCH_BASE}e\n</FilesMatch>\n\
         <If \"env('MATCH_FIRST') == 'docs' && reqenv('MATCH_BASE') == 'x'\">\nHeader set I yes\n</If>\n\
         <Location /listed>\nRequire expr \"env('MATCH_FIRST') != 'listed'\"\n</Location>\n\
         RewriteEngine On\nRewriteCond %{ENV:MATCH_FIRST} .\nRewriteRule ^/docs/rewritten /a.txt",
    );
    let deep = site.get("/docs/deep/x.css");
    assert_eq!(
        ["L", "D", "F", "I"].map(|name| deep.field(name)),
        ["docs,,(null)", "docs,1", "x", "yes"]
    );
    let home = site.get("/a.txt");
    assert!(!home.has("L") && !home.has("D") && !home.has("F") && !home.has("I"));
    assert_eq!(site.get("/listed/one.txt").status(), 403);
    assert_eq!(
        site.get("/docs/rewritten").status(),
        200,
        "what <LocationMatch> says is known first"
    );
}
