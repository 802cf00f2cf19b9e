//! `herdgate serve`: a folder, and nothing to configure.

use std::fs;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::command::run;
use crate::support::serve::Serving;
use crate::support::{MODELS, taken_port};

fn folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (path, contents) in [
        ("a file.txt", "text"),
        ("sub/index.html", "<p>index</p>"),
        (".secret", "secret"),
        (".git/config", "secret"),
        (".well-known/hello.txt", "hello"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    folder
}

#[test]
fn a_folder_is_served_and_listed_and_dotfiles_are_hidden() {
    let folder = folder();
    for model in MODELS {
        let serving = Serving::start(folder.path(), model, &[]);
        let listing = serving.get("/");
        assert_eq!(listing.status, 200, "{model}");
        let text = listing.text();
        assert!(text.contains("a%20file.txt") && text.contains("sub/"), "{text}");
        assert!(!text.contains("secret") && !text.contains(".git"), "{text}");
        assert_eq!(serving.get("/a%20file.txt").text(), "text");
        let page = serving.get("/sub/");
        assert_eq!(page.text(), "<p>index</p>");
        assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(serving.get("/.secret").status, 404);
        assert_eq!(serving.get("/.git/config").status, 404);
        assert_eq!(serving.get("/.well-known/hello.txt").text(), "hello");
    }
}

#[test]
fn what_it_prints_is_what_a_user_needs() {
    let folder = folder();
    let serving = Serving::start(folder.path(), "event", &[]);
    let output = serving.output();
    assert!(output.contains(&format!("http://{}", serving.address())), "{output}");
    assert!(output.contains("Ctrl-C"), "{output}");
    serving.get("/a%20file.txt");
    crate::support::wait_until("the access is shown", || {
        serving.output().contains("GET /a%20file.txt")
    });
}

#[test]
fn ctrl_c_stops_it() {
    let folder = folder();
    for model in MODELS {
        let mut serving = Serving::start(folder.path(), model, &[]);
        assert_eq!(serving.get("/").status, 200);
        serving.signal(Signal::SIGINT);
        assert_eq!(serving.wait_for_the_end().code(), Some(0), "{model}");
    }
}

#[test]
fn spa_answers_pages_that_do_not_exist_with_the_index() {
    let folder = folder();
    fs::write(folder.path().join("index.html"), "app").unwrap();
    let serving = Serving::start(folder.path(), "event", &["--spa"]);
    let page = serving.get_with("/deep/link", &["Accept: text/html"]);
    assert_eq!((page.status, page.text().as_str()), (200, "app"));
    assert_eq!(serving.get("/a%20file.txt").text(), "text");
}

#[test]
fn links_out_of_the_folder_are_not_followed() {
    let folder = folder();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out.txt")).unwrap();
    std::os::unix::fs::symlink("a file.txt", folder.path().join("in.txt")).unwrap();
    let serving = Serving::start(folder.path(), "event", &[]);
    assert_eq!(serving.get("/in.txt").text(), "text");
    assert_eq!(serving.get("/out.txt").status, 403);
}

#[test]
fn a_wrong_folder_is_one_clear_line() {
    let said = run(["serve", "/no/such/folder", "--port", "0"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
    assert!(said.stderr.contains("/no/such/folder"), "{}", said.stderr);

    let file = folder().path().join("a file.txt");
    let said = run(["serve", file.to_str().unwrap(), "--port", "0"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
}

#[test]
fn a_port_in_use_is_named_and_another_one_offered() {
    let taken = taken_port();
    let port = taken.local_addr().unwrap().port();
    let folder = folder();
    let said = run(["serve", folder.path().to_str().unwrap(), "--port", &port.to_string()]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains(&port.to_string()), "{}", said.stderr);
    assert!(said.stderr.contains("--port"), "{}", said.stderr);
}

#[test]
fn nonsense_is_refused_with_a_hint() {
    for arguments in [
        &["serve", "--port", "seventy"][..],
        &["serve", "--mpm", "threads"],
        &["serve", "--bind", "nowhere?"],
    ] {
        let said = run(arguments.iter().copied());
        assert_ne!(said.code, Some(0), "{arguments:?}");
        assert!(said.stderr.contains(arguments[2]), "{arguments:?}: {}", said.stderr);
    }
}
