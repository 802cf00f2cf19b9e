//! Files of users and groups: no line is taken for another user's, and no text for a password that it is not.

use super::parts;
use crate::modules::authn_file::Passwords;
use crate::modules::authz_groupfile::Groups;
use crate::password::Stored;

/// A password, a file of users, a file of groups.
pub(super) fn check(bytes: &[u8]) {
    let [password, users, groups] = parts(bytes);
    let passwords = Passwords::parse(users);
    for line in users.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        let user = line.split(|byte| *byte == b':').next().unwrap_or_default();
        match passwords.get(user) {
            Some(stored) => {
                assert!(!stored.contains(&b':') && !stored.contains(&b'\n'));
                matches(password, stored);
            }
            None => assert!(line.is_empty() || line.starts_with(b"#")),
        }
    }
    assert_eq!(passwords.get(b"nobody wrote this\n"), None);
    // A text as a whole may be a password's stored form, too.
    matches(password, users);

    let groups_of = Groups::parse(groups);
    for word in groups.split(u8::is_ascii_whitespace) {
        for group in groups_of.of(word) {
            assert!(memchr::memmem::find(groups, group).is_some());
        }
    }
}

/// Compares, unless that takes long on purpose.
fn matches(password: &[u8], stored: &[u8]) {
    let Some(parsed) = Stored::parse(stored) else { return };
    let is_cheap = match stored {
        [b'$', b'2', _, b'$', b'0', cost, ..] => *cost <= b'4',
        [b'$', b'2' | b'7' | b'y', ..] => false,
        // The least that they make is 1000 rounds.
        [b'$', b'5' | b'6', b'$', rest @ ..] => rest.starts_with(b"rounds=1000$"),
        _ => true,
    };
    if is_cheap && parsed.matches(password) {
        assert!(parsed.matches(password), "once right, always right");
        // Only crypt(3) by DES ignores what follows eight letters, and bcrypt what follows 72.
        let is_short = password.len() < 8 && !password.contains(&0);
        let other = [password, b"x"].concat();
        assert!(!is_short || !parsed.matches(&other), "one letter more, and still right");
    }
}
