//! Rules, in the configuration and in `.htaccess`, where some of what they ask is a job's to find out.

use std::fs;

use crate::on_every_mpm;

/// What WordPress and its kind put into `.htaccess`: what exists is served, and one page answers for all else.
const FRONT: &str = "\
RewriteEngine On
RewriteBase /
RewriteRule ^index\\.html$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.html [L]
";

const OPEN: &str =
    "<Directory ROOT/htdocs>\nAllowOverride All\nOptions FollowSymLinks\n</Directory>";

on_every_mpm!(
    a_front_page_answers_for_what_does_not_exist,
    |site| site.file(".htaccess", FRONT).file("a/style.css", "css").conf(OPEN),
    |server| {
        let mut client = server.client();
        for path in ["/", "/blog/2024/05/a-post?x=1", "/a/none.css", "/index.html"] {
            let answer = client.get(path);
            assert_eq!((answer.status, &*answer.text()), (200, "<h1>It works!</h1>\n"), "{path}");
        }
        assert_eq!(client.get("/a/style.css").text(), "css");
        assert!(client.get("/a").field("location").unwrap().ends_with("/a/"));
        // What is changed counts from the next request on.
        let changed = "RewriteEngine On\nRewriteRule ^gone - [G]\n";
        fs::write(server.document(".htaccess"), changed).unwrap();
        assert_eq!(client.get("/blog").status, 404);
        assert_eq!(client.get("/gone").status, 410);
    }
);

on_every_mpm!(
    clients_behind_a_proxy_are_sent_to_https,
    |site| site.conf(
        "RewriteEngine On\n\
         RewriteCond %{HTTP:X-Forwarded-Proto} !=https\n\
         RewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]"
    ),
    |server| {
        let fields = ["Host: example.org", "X-Forwarded-Proto: http"];
        let answer = server.get_with("/a%20b?c=%20d", &fields);
        assert_eq!(answer.status, 301);
        assert_eq!(answer.field("location"), Some("https://example.org/a%20b?c=%20d"));
        let answer = server.get_with("/", &["Host: example.org", "X-Forwarded-Proto: https"]);
        assert_eq!(answer.status, 200);
    }
);

on_every_mpm!(
    a_map_and_the_home_of_a_user_are_looked_up,
    |site| site.beside("map.txt", "old /new.txt\n").file("new.txt", "new").conf(
        "RewriteEngine On\nRewriteMap moved txt:ROOT/map.txt\n\
         RewriteRule ^/to/(.*)$ ${moved:$1|/index.html}\n\
         UserDir no-such-folder-in-any-home"
    ),
    |server| {
        let mut client = server.client();
        for _ in 0..3 {
            assert_eq!(client.get("/to/old").text(), "new");
            assert_eq!(client.get("/to/else").text(), "<h1>It works!</h1>\n");
            // The list of users is asked in a job: nobody waits for it in a loop.
            assert!(matches!(client.get("/~root/x").status, 403 | 404));
            assert_eq!(client.get("/~no-such-user/x").status, 404);
        }
    }
);
