//! Listings: what is shown of a folder, and how.

use super::*;

const FANCY: &str = "Options +Indexes\nIndexOptions FancyIndexing HTMLTable SuppressDescription SuppressLastModified\n";

/// A site whose folder /listed has these lines.
fn site(lines: &str) -> Site {
    Site::new(&format!("<Location /listed>\n{FANCY}{lines}\n</Location>"))
}

/// The names that a listing links to, in order.
fn names(page: &str) -> Vec<String> {
    let links = page.split("<a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    links.filter(|link| !link.starts_with('?')).map(str::to_owned).collect()
}

#[test]
fn icons_come_from_names_types_and_codings() {
    let site = site(
        "AddIcon /i/up.png ..\nAddIcon /i/folder.png ^^DIRECTORY^^\nAddIconByType (TXT,/i/text.png) text/*\n\
         AddAltByEncoding PKD x-packed\nAddAlt \"R&amp;D\" *.zip\nDefaultIcon /i/any.png",
    );
    let folder = site.folder.path().join("htdocs/listed");
    write(&folder.join("x.html.packed"), b"");
    write(&folder.join("y.zip"), b"");
    let page = site.get("/listed/").body;
    for (name, icon) in [
        ("/", "/i/up.png\" alt=\"[PARENTDIR]"),
        ("one.txt", "/i/text.png\" alt=\"[TXT]"),
        ("sub/", "/i/folder.png\" alt=\"[DIR]"),
        ("x.html.packed", "/i/any.png\" alt=\"[PKD]"),
        ("y.zip", "/i/any.png\" alt=\"[R&amp;D]"),
    ] {
        let row = format!("<img src=\"{icon}\"></td><td><a href=\"{name}\">");
        assert!(page.contains(&row), "{row}: {page}");
    }
}

#[test]
fn what_may_not_be_had_is_shown_only_if_that_is_wanted() {
    let guarded = "<Files one.txt>\nRequire all denied\n</Files>\n";
    let listed = |lines: &str| {
        let site = Site::new(&format!("{guarded}<Location /listed>\n{FANCY}{lines}\n</Location>"));
        names(&site.get("/listed/").body)
    };
    assert_eq!(listed(""), ["/", ".secret", "sub/"]);
    assert_eq!(listed("IndexIgnore .??* .."), ["sub/"]);
    assert_eq!(listed("IndexOptions ShowForbidden"), ["/", ".secret", "one.txt", "sub/"]);
    assert_eq!(listed("HiddenFiles Hide"), ["/", "sub/"]);
}

#[test]
fn inner_patterns_add_to_the_outer_ones_unless_these_are_reset() {
    let outer =
        format!("<Location />\nIndexIgnore *.txt\n</Location>\n<Location /listed>\n{FANCY}");
    let listed = |lines: &str| {
        let site = Site::new(&format!("{outer}{lines}\n</Location>"));
        names(&site.get("/listed/").body)
    };
    assert_eq!(listed("IndexIgnore .??*"), ["/", "sub/"]);
    assert_eq!(listed("IndexIgnoreReset On\nIndexIgnore .??*"), ["/", "one.txt", "sub/"]);
}

#[test]
fn header_and_readme_stand_around_the_list() {
    let site = site("HeaderName top.html\nReadmeName bottom.txt\nIndexIgnore *");
    let folder = site.folder.path().join("htdocs/listed");
    write(&folder.join("top.html"), b"<p>top</p>\n");
    write(&folder.join("bottom.txt"), b"a <b> & c\n");
    let page = site.get("/listed/").body;
    assert!(page.contains(" <body>\n<p>top</p>\n  <table>"), "{page}");
    assert!(
        page.ends_with("</table>\n<pre>\na &lt;b&gt; &amp; c\n</pre>\n</body></html>\n"),
        "{page}"
    );
    let guarded =
        self::site("HeaderName /a.txt\n</Location>\n<Location /a.txt>\nRequire all denied");
    assert!(guarded.get("/listed/").body.contains("<h1>Index of /listed</h1>"));
}

#[test]
fn the_order_is_configured_or_asked_for() {
    let site = site("IndexOrderDefault Descending Name\nIndexIgnore .??* ..");
    assert_eq!(names(&site.get("/listed/").body), ["sub/", "one.txt"]);
    assert_eq!(names(&site.get("/listed/?C=N;O=A").body), ["one.txt", "sub/"]);
    assert_eq!(names(&site.get("/listed/?P=o*").body), ["one.txt"]);
    let fixed = self::site(
        "IndexOptions IgnoreClient\nIndexOrderDefault Descending Name\nIndexIgnore .??* ..",
    );
    let page = fixed.get("/listed/?C=N;O=A").body;
    assert_eq!(
        (names(&page), page.contains("?C=")),
        (vec!["sub/".to_owned(), "one.txt".to_owned()], false)
    );
}

#[test]
fn descriptions_come_from_the_configuration_or_from_titles() {
    let lines = "Options +Indexes\nIndexOptions FancyIndexing ScanHTMLTitles\nAddDescription \"<i>one</i>\" one";
    let site = Site::new(&format!("<Location /listed>\n{lines}\n</Location>"));
    let page = b"<html><TITLE>\nA long title,\nmuch longer than 23</title>";
    write(&site.folder.path().join("htdocs/listed/x.html"), page);
    let page = site.get("/listed/").body;
    assert!(page.contains("  1   <i>one</i>\n"), "{page}");
    assert!(page.contains(" A long title, much lon>\n"), "{page}");
}

#[test]
fn a_tracked_folder_says_when_it_changed() {
    let site = site("IndexOptions TrackModified");
    let answer = site.get("/listed/");
    assert!(answer.has("Last-Modified") && answer.has("ETag"));
    assert!(!self::site("").get("/listed/").has("Last-Modified"));
}
