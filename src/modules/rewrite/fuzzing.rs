//! What must hold for every rule and every condition, see [`crate::fuzzing`].

use super::cookie::set_cookie;
use super::rule::{Condition, Rule};
use super::template::{Part, Template};
use super::{syntax, uri};
use crate::fuzzing::parts;
use crate::http::field::is_value;

/// The arguments of RewriteRule, those of RewriteCond, and what a client may have sent.
pub(crate) fn check(bytes: &[u8]) {
    let [rule, condition, sent] = parts(bytes);
    paths(sent);
    cookie(sent);
    if let Ok(line) = std::str::from_utf8(condition) {
        words(line);
        _ = Condition::parse(line).map(|condition| assert!(line.contains(&*condition.text)));
    }
    let Ok(line) = std::str::from_utf8(rule) else { return };
    words(line);
    let Ok(rule) = Rule::parse(line, Vec::new()) else { return };
    assert!(line.contains(&*rule.pattern.text));
    let groups = rule.pattern.regex.captures(sent);
    let mut pushed = Vec::new();
    for group in (0..10).filter_map(|number| groups.as_ref()?.get(number)) {
        rule.escapes.push(&mut pushed, group);
    }
    if let Some(substitution) = &rule.substitution {
        assert!(line.contains(&*substitution.text));
        refers_only_to_groups(&substitution.template);
    }
}

fn words(line: &str) {
    let Ok(words) = syntax::words(line) else { return };
    assert!(line.contains(words.first) && line.contains(words.second));
    for (name, value) in syntax::flags(words.flags.unwrap_or_default()) {
        assert!(line.contains(name) && line.contains(value));
    }
}

fn refers_only_to_groups(template: &Template) {
    for part in &template.parts {
        match part {
            Part::RuleGroup(number) | Part::ConditionGroup(number) => assert!(*number < 10),
            Part::Lookup { key, default, .. } => {
                refers_only_to_groups(key);
                default.iter().for_each(refers_only_to_groups);
            }
            Part::Literal(_) | Part::EscapedMark | Part::Variable(_) => {}
        }
    }
}

fn paths(sent: &[u8]) {
    if let Some(scheme) = uri::scheme(sent) {
        let escaped = uri::escape_absolute(sent, scheme);
        assert_eq!(uri::scheme(&escaped), Some(scheme), "escaping leaves the scheme alone");
    }
    let path = [b"/", sent].concat();
    if let Some(resolved) = uri::resolve(&path) {
        assert!(resolved.starts_with(b"/") && !resolved.contains(&0));
        let mut segments = resolved.split(|byte| *byte == b'/');
        assert!(segments.all(|segment| segment != b"." && segment != b".."));
        assert_eq!(uri::resolve(&resolved).as_ref(), Some(&resolved));
        let moved = uri::replace_folder(&resolved, b"/a", b"/b/c");
        assert!(moved.is_none_or(|moved| moved.starts_with(b"/b/c/")));
    }
}

fn cookie(sent: &[u8]) {
    let Some((name, cookie)) = set_cookie(sent, 1_700_000_000) else { return };
    assert!(cookie.starts_with(&name));
    assert!(!is_value(sent) || is_value(&cookie), "nothing is added that no field may hold");
}
