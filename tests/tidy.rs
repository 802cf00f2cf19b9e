//! # The repository itself: arrows, doors, words and documents that must stay true
//!
//! Everything here is read from the files, nothing is run but `herdgate -t`. What a test finds, it names by file and
//! line, all at once. `HERDGATE_BLESS=1 cargo test --test tidy` rewrites what is generated.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates and the folders they live in, with the crates of ours that they may build on.
const ARROWS: [(&str, &str, &[&str]); 5] = [
    ("herdgate", "", &["herdgate-conf", "herdgate-lab", "herdgate-mpm", "herdgate-sys"]),
    ("herdgate-lab", "lab", &["herdgate-mpm", "herdgate-sys"]),
    ("herdgate-mpm", "mpm", &["herdgate-sys"]),
    ("herdgate-conf", "conf", &[]),
    ("herdgate-sys", "sys", &[]),
];

/// A longer line is a sentence that wants to be two.
const LINE_CHARS_MAX: usize = 140;
/// A longer file is two files.
const FILE_LINES_MAX: usize = 1200;

#[test]
fn arrows_between_crates_point_down() {
    for (name, folder, allowed) in ARROWS {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let mut dependencies = BTreeSet::new();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let lines = manifest.lines().skip_while(|line| line.trim() != format!("[{section}]"));
            for line in lines.skip(1).take_while(|line| !line.starts_with('[')) {
                let word: String =
                    line.chars().take_while(|it| it.is_alphanumeric() || *it == '-').collect();
                if word.starts_with("herdgate") {
                    dependencies.insert(word);
                }
            }
        }
        let wrong: Vec<&String> =
            dependencies.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{name} must not know {wrong:?}");
        assert!(
            manifest.contains("[lints]\nworkspace = true") || folder == "sys",
            "{name} has lints of its own"
        );
    }
}

#[test]
fn unsafe_code_lives_in_sys() {
    let mut faults = Faults::default();
    let mut forks = Vec::new();
    for file in files(&["rs"]).iter().filter(|file| !starts_with(file, "sys/")) {
        // In the words of this file the wanted text must not appear.
        let (block, relaxed) = (["unsafe", " {"].concat(), ["(unsafe", "_code"].concat());
        for (number, line) in numbered(file) {
            let code = line.split("//").next().unwrap_or_default();
            let function = code.contains(&["unsafe", " fn"].concat());
            let implementation = code.contains(&["unsafe", " impl"].concat());
            if code.contains(&block) || function || implementation {
                forks.push(file.clone());
                let home = starts_with(file, "mpm/src/") || starts_with(file, "lab/src/");
                faults.expect(home && !function && !implementation, file, number, "unsafe code");
            }
            if code.contains(&relaxed) && !code.contains("forbid") {
                faults.expect(code.contains("expect"), file, number, "a relaxed lint");
            }
        }
    }
    faults.assert_none();
    for folder in ["mpm/", "lab/"] {
        let count = forks.iter().filter(|file| starts_with(file, folder)).count();
        assert!(count <= 1, "{folder} may call fork, in one place: found {count} unsafe blocks");
    }
    for file in ["src/lib.rs", "src/main.rs", "conf/src/lib.rs"] {
        assert!(read(&root().join(file)).contains("#![forbid(unsafe_code)]"), "{file}");
    }
}

#[test]
fn pure_code_opens_nothing_and_asks_no_clock() {
    let mut faults = Faults::default();
    for file in files(&["rs"]) {
        // What the tests at the bottom of a file do is their business.
        let is_code = |line: &str| !line.trim_start().starts_with("//");
        for (number, line) in numbered(&file).take_while(|(_, line)| line != "#[cfg(test)]") {
            let opens =
                ["std::fs", "std::net::Tcp", "File::open", "SystemTime::now", "Instant::now"]
                    .iter()
                    .any(|word| is_code(&line) && line.contains(word));
            faults.expect(
                !(opens && starts_with(&file, "src/http/")),
                &file,
                number,
                "src/http is pure",
            );
            let http = is_code(&line) && line.contains("httparse");
            faults.expect(!(http && starts_with(&file, "mpm/")), &file, number, "HTTP in mpm");
        }
    }
    faults.assert_none();
}

/// The clock on the wall jumps: by an administrator, by NTP, by a machine that was suspended. So it is only shown.
#[test]
fn no_duration_hangs_on_the_clock_on_the_wall() {
    let shown = [
        "sys/src/clock.rs",             // Where it is read,
        "mpm/src/supervisor.rs",        // since when the server runs,
        "mpm/src/supervisor/single.rs", // likewise without one,
        "mpm/src/supervisor/births.rs", // when it was restarted,
        "src/cli/top/looking.rs",       // the time in the corner,
        "src/log/clock.rs",             // the time in front of a line.
    ];
    let clocks =
        ["SystemTime::now", "CLOCK_REALTIME", "Timestamp::now", "Zoned::now", ".elapsed()"];
    let folders = ["src/", "mpm/src/", "sys/src/"];
    let mut faults = Faults::default();
    for file in files(&["rs"]) {
        if !folders.iter().any(|folder| starts_with(&file, folder))
            || shown.iter().any(|path| starts_with(&file, path))
        {
            continue;
        }
        let is_code = |line: &str| !line.trim_start().starts_with("//");
        for (number, line) in numbered(&file).take_while(|(_, line)| line != "#[cfg(test)]") {
            let asks = is_code(&line) && clocks.iter().any(|clock| line.contains(clock));
            faults.expect(!asks, &file, number, "a clock that jumps");
        }
    }
    faults.assert_none();
}

#[test]
fn every_source_file_begins_with_what_it_is() {
    let mut faults = Faults::default();
    for file in files(&["rs"]) {
        let first = read(&file);
        faults.expect(first.starts_with("//!"), &file, 1, "no header: //! what this file is");
    }
    faults.assert_none();
}

#[test]
fn lines_and_files_have_a_readable_length() {
    let mut faults = Faults::default();
    for file in files(&["rs", "md"]) {
        let mut lines = 0;
        for (number, line) in numbered(&file) {
            lines = number;
            // Tables and links cannot be broken; generated pages are what they are.
            let free = line.starts_with('|') || line.contains("http") || is_generated(&file);
            faults.expect(free || line.chars().count() <= LINE_CHARS_MAX, &file, number, "long");
            faults.expect(!line.ends_with([' ', '\t']), &file, number, "blanks at the end");
        }
        faults.expect(lines <= FILE_LINES_MAX || is_generated(&file), &file, lines, "a long file");
    }
    faults.assert_none();
}

#[test]
fn words_are_the_fields_own_and_nothing_is_left_unsaid() {
    // Written in pieces, so that this list does not find itself.
    let forbidden = [
        (["to", "do!("].concat(), "write it, or leave it out"),
        (["unimple", "mented!("].concat(), "write it, or leave it out"),
        (["for ", "now"].concat(), "say what is missing, for whom"),
        (["fix", "me"].concat(), "say what is missing, for whom"),
        (["sla", "ve"].concat(), "child"),
        (["mas", "ter process"].concat(), "supervisor"),
        (["white", "list"].concat(), "what is allowed"),
        (["black", "list"].concat(), "what is refused"),
    ];
    // "TODO: the reason, for operators" says who misses it.
    let reminder = ["TO", "DO"].concat();
    let mut faults = Faults::default();
    for file in files(&["rs", "md", "toml", "conf", "html"]) {
        for (number, line) in numbered(&file) {
            let lower = line.to_lowercase();
            for (word, instead) in &forbidden {
                faults.expect(!lower.contains(word), &file, number, instead);
            }
            let unsaid = line.contains(&reminder) && !line.contains(" for ");
            faults.expect(!unsaid, &file, number, "a reminder says what is missing for whom");
        }
    }
    faults.assert_none();
}

#[test]
fn nothing_names_a_developers_machine() {
    let paths = [["/wo", "rk/"].concat(), ["/tmp/", "target"].concat(), ["/ro", "ot/."].concat()];
    let mut faults = Faults::default();
    for file in files(&["rs", "md", "toml", "conf", "html", "run"]) {
        for (number, line) in numbered(&file) {
            let found = paths.iter().any(|path| line.contains(path));
            faults.expect(!found, &file, number, "a path of some machine");
        }
    }
    faults.assert_none();
}

#[test]
fn the_directive_reference_is_up_to_date() {
    let path = root().join("docs/directives.md");
    let expected = herdgate::modules::reference();
    if std::env::var("HERDGATE_BLESS").as_deref() == Ok("1") {
        fs::write(&path, &expected).unwrap();
    }
    let is_up_to_date = fs::read_to_string(&path).is_ok_and(|found| found == expected);
    assert!(
        is_up_to_date,
        "write docs/directives.md anew: HERDGATE_BLESS=1 cargo test --test tidy"
    );
}

#[test]
fn the_shipped_configuration_is_accepted_without_a_word() {
    let said = Command::new(env!("CARGO_BIN_EXE_herdgate"))
        .args(["-d", ".", "-f", "conf/httpd.conf", "-t"])
        .current_dir(root())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stderr), "Syntax OK\n");
    assert!(said.status.success());
}

#[test]
fn documents_keep_their_promises() {
    let readme = read(&root().join("README.md"));
    let ci = read(&root().join(".ci/run"));
    for command in ["cargo run --release -- serve .", "cargo test --workspace"] {
        assert!(readme.contains(command), "README.md lacks: {command}");
    }
    assert!(ci.contains("\ncargo test --workspace\n"), ".ci/run runs README's test command");
    let changelog = read(&root().join("CHANGELOG.md"));
    let version = env!("CARGO_PKG_VERSION");
    assert!(changelog.contains(&format!("## {version}")), "CHANGELOG.md lacks {version}");
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "CONTRIBUTING.md", "SECURITY.md"] {
        assert!(root().join(name).exists(), "{name}");
    }
}

/// What SECURITY.md promises it promises by tests, which it names: a name of four words or more.
#[test]
fn the_tests_that_security_names_exist() {
    let sources: Vec<String> = files(&["rs"]).iter().map(|file| read(file)).collect();
    let mut faults = Faults::default();
    let file = root().join("SECURITY.md");
    for (number, line) in numbered(&file) {
        let quoted = line.split('`').skip(1).step_by(2);
        for name in quoted.filter(|word| word.matches('_').count() >= 3) {
            let found = sources.iter().any(|text| text.contains(name));
            faults.expect(found, &file, number, &format!("no test {name}"));
        }
    }
    faults.assert_none();
}

#[test]
fn the_code_map_names_everything_at_the_top_of_each_crate() {
    let map = read(&root().join("docs/architecture.md"));
    let mut missing = Vec::new();
    for folder in ["src", "mpm/src", "conf/src", "lab/src", "sys/src"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let stem = name.trim_end_matches(".rs");
            let named = |text: &str| map.contains(text);
            let found = named(&format!("`{stem}`"))
                || named(&format!("`{stem}.rs`"))
                || named(&format!("`{stem}/`"));
            if stem != "lib" && stem != "main" && !found {
                missing.push(format!("{folder}/{name}"));
            }
        }
    }
    missing.sort();
    assert!(missing.is_empty(), "docs/architecture.md does not say what these are: {missing:#?}");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut faults = Faults::default();
    for file in files(&["md"]) {
        for (number, line) in numbered(&file) {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next())
            {
                let elsewhere = target.is_empty() || target.contains(':');
                let found = elsewhere || file.parent().unwrap().join(target).exists();
                faults.expect(found, &file, number, &format!("no {target}"));
            }
        }
    }
    faults.assert_none();
}

// --- reading the repository ---

/// What is wrong, by place.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn expect(&mut self, holds: bool, file: &Path, line: usize, what: &str) {
        if !holds {
            let file = file.strip_prefix(root()).unwrap_or(file).display();
            self.0.push(format!("{file}:{line}: {what}"));
        }
    }

    #[track_caller]
    fn assert_none(self) {
        assert!(self.0.is_empty(), "{} places:\n{}", self.0.len(), self.0.join("\n"));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn numbered(file: &Path) -> impl Iterator<Item = (usize, String)> {
    let text = read(file);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.into_iter().enumerate().map(|(index, line)| (index + 1, line))
}

fn starts_with(file: &Path, folder: &str) -> bool {
    file.strip_prefix(root()).is_ok_and(|file| file.starts_with(folder))
}

fn is_generated(file: &Path) -> bool {
    file.ends_with("docs/directives.md")
}

/// The files of the repository whose name, or what stands behind its last dot, is one of these. What is built, logged
/// or fuzzed is not part of it, nor is anything hidden but the CI's own folder.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                let skipped = ["target", "logs", "artifacts", "corpus"].contains(&name)
                    || (name.starts_with('.') && name != ".ci");
                if !skipped {
                    folders.push(path);
                }
            } else if endings.contains(&name.rsplit('.').next().unwrap()) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
