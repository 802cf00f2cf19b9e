//! Expressions against a small world.

use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;

use herdgate_sys::file::Stat;
use proptest::prelude::*;

use super::{Condition, Facts, Groups, Text};
use crate::files::Access;
use crate::files::open::look;

struct World;

impl Facts for World {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let value: &[u8] = match name {
            "REQUEST_URI" => b"/a/b.html",
            "HTTP_HOST" => b"Example.org",
            "REMOTE_ADDR" => b"10.1.2.3",
            "REQUEST_STATUS" => b"404",
            "BYTES" => b"\xff\xfe",
            _ => return None,
        };
        Some(value.to_vec())
    }
    fn field(&self, name: &str) -> Option<Vec<u8>> {
        name.eq_ignore_ascii_case("X-Word").then(|| b"bar".to_vec())
    }
    fn response_field(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn env(&self, name: &str) -> Option<Vec<u8>> {
        (name == "set").then(|| b"1".to_vec())
    }
    fn note(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn client(&self) -> Option<IpAddr> {
        Some([10, 1, 2, 3].into())
    }
    fn look(&self, file: &[u8], follow: bool) -> io::Result<Option<Stat>> {
        look(file, follow, Access::MayBlock)
    }
    fn read(&self, file: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(std::fs::read(std::ffi::OsStr::from_bytes(file)).ok())
    }
    fn would_serve(&self, path: &[u8], _: bool) -> io::Result<bool> {
        Ok(path == b"/served")
    }
}

#[track_caller]
fn check(expression: &str, expected: bool) {
    let condition =
        Condition::parse(expression).unwrap_or_else(|why| panic!("{expression}: {why}"));
    let found = condition.holds(&World, &mut Groups::new()).unwrap();
    assert_eq!(found, expected, "{expression}");
}

#[track_caller]
fn check_text(text: &str, expected: &str) {
    let found = Text::parse(text).unwrap().evaluate(&World, &Groups::new()).unwrap();
    assert_eq!(String::from_utf8_lossy(&found), expected, "{text}");
}

#[track_caller]
fn check_error(expression: &str, expected: &str) {
    let error = Condition::parse(expression).expect_err(expression);
    assert!(error.contains(expected), "{expression}: {error}");
}

#[test]
fn strings_are_compared() {
    check("%{HTTP_HOST} == 'Example.org'", true);
    check("%{HTTP_HOST} = \"example.org\"", false);
    check("tolower(%{HTTP_HOST}) == 'example.org'", true);
    check("%{tolower:%{HTTP_HOST}} == 'example.org'", true);
    check("'a' < 'b' && 'b' <= 'b' && 'c' > 'b' && 'c' >= 'd'", false);
    check("'a'.'b' == 'ab'", true);
    check("%{NOTHING} == ''", true);
    check("'%{HTTP_HOST}:80' == 'Example.org:80'", true);
}

#[test]
fn numbers_are_compared_as_numbers() {
    check("%{REQUEST_STATUS} -ge 400", true);
    check("%{REQUEST_STATUS} >= 400", true);
    check("9 -lt 10", true);
    check("'9' < '10'", false);
    check("9 lt 10 && 007 -eq 7 && '-3' -lt 2", true);
    check("'99999999999999999999999' -gt '99999999999999999999998'", true);
}

#[test]
fn conditions_combine() {
    check("true && ! false", true);
    check("false || true && false", false);
    check("(false || true) && !(false)", true);
    check("!'a' == 'b'", true);
    check("!!true", true);
}

#[test]
fn patterns_match_and_leave_their_groups() {
    check("%{REQUEST_URI} =~ /html$/", true);
    check("%{REQUEST_URI} =~ m#^/a/#", true);
    check("%{REQUEST_URI} !~ m#^/A/#i", false);
    check("%{REQUEST_URI} =~ m#^/(.)/(.)# && $2 == 'b' && '$1$2' == 'ab'", true);
    check("%{REQUEST_URI} =~ /\\/a\\/b/", true);
    check("%{BYTES} =~ /^\\xff/", true);
    let mut groups = Groups::new();
    let condition = Condition::parse("%{HTTP_HOST} =~ /^(.*)\\.org/").unwrap();
    assert!(condition.holds(&World, &mut groups).unwrap());
    let text = Text::parse("host-$1").unwrap().evaluate(&World, &groups).unwrap();
    assert_eq!(text, b"host-Example");
}

#[test]
fn lists_networks_and_wildcards() {
    check("%{HTTP:X-Word} in { 'foo', 'bar' }", true);
    check("%{HTTP:X-Word} -in {'foo','baz'}", false);
    check("-R '10.0.0.0/8'", true);
    check("%{REMOTE_ADDR} -ipmatch '10.1.2.0/24'", true);
    check("%{REMOTE_ADDR} -ipmatch '2001:db8::/32'", false);
    check("%{HTTP_HOST} -strmatch '*.org'", true);
    check("%{HTTP_HOST} -strmatch 'example*'", false);
    check("%{HTTP_HOST} -strcmatch 'example*'", true);
    check("%{REQUEST_URI} -fnmatch '/*'", false);
    check("%{REQUEST_URI} -fnmatch '/*/*'", true);
}

#[test]
fn tests_of_one_word() {
    check("-n %{HTTP_HOST} && -z %{NOTHING} && -T 'yes' && !-T 'Off'", true);
    check("-T reqenv('set')", true);
    check("-U '/served' && !-F '/other'", true);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    std::fs::write(folder.path().join("f"), "12345").unwrap();
    std::os::unix::fs::symlink("f", folder.path().join("l")).unwrap();
    check(&format!("-d '{path}' && -f '{path}/f' && -s '{path}/f' && -L '{path}/l'"), true);
    check(&format!("-f '{path}' || -e '{path}/g' || -h '{path}/f'"), false);
    check(&format!("filesize('{path}/f') -eq 5 && file('{path}/f') == '12345'"), true);
}

#[test]
fn functions_compute() {
    check("md5('foo') == 'acbd18db4cc2f85cedef654fccc4a4d8'", true);
    check_text("%{sha1:foo}", "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33");
    check_text("%{base64:foo}-%{unbase64:Zm9v}", "Zm9v-foo");
    check_text("%{escape:a b/c}%{unescape:%20%2f}", "a%20b/c %2f");
    check_text("%{toupper:x}%{req:x-word}%{env:set}", "Xbar1");
    check_text("a\\tb\\%{x", "a\tb%{x");
}

#[test]
fn mistakes_are_found_when_it_is_read() {
    check_error("%{HTTP_HOST} ==", "a word is expected");
    check_error("foo == 'a'", "'foo' has no quotes");
    check_error("foo('a') == 'a'", "Function 'foo' does not exist");
    check_error("-q 'a'", "No such unary operator '-q'");
    check_error("'a' -foo 'b'", "No such binary operator '-foo'");
    check_error("'a' =~ /(/", "Failed to compile regular expression");
    check_error("'a' =~ /a", "Unterminated regular expression");
    check_error("'a", "Unterminated string");
    check_error("(true", "')' is expected");
    check_error("true false", "the end is expected before 'false'");
    check_error("-R '10.0.0.0/99'", "is not valid");
    check_error(&"(".repeat(1000), "nested too deeply");
    check_error("", "a word is expected");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reading_never_panics(text in "[-!()a-z%{}$'\"/=~<>&|. 0-9:,\\\\]{0,40}") {
        if let Ok(condition) = Condition::parse(&text) {
            let _ = condition.holds(&World, &mut Groups::new());
        }
        if let Ok(text) = Text::parse(&text) {
            text.evaluate(&World, &Groups::new()).unwrap();
        }
    }

    #[test]
    fn integers_compare_like_integers(left in any::<i64>(), right in any::<i64>()) {
        let holds = |operator: &str| {
            let text = format!("'{left}' -{operator} '{right}'");
            Condition::parse(&text).unwrap().holds(&World, &mut Groups::new()).unwrap()
        };
        prop_assert_eq!(holds("lt"), left < right);
        prop_assert_eq!(holds("eq"), left == right);
        prop_assert_eq!(holds("ge"), left >= right);
    }
}
