//! What a tree comes to, given the facts.

use std::cmp::Ordering;
use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use herdgate_sys::file::{Kind, Stat};
use md5::Digest as _;

use super::{Comparison, Cond, Facts, Function, Groups, Subnet, Test, Wildcards, Word};
use crate::modules::authz_host::Network;
use crate::route::pattern::{self, Slash};

pub(super) fn condition(tree: &Cond, facts: &dyn Facts, groups: &mut Groups) -> io::Result<bool> {
    Ok(match tree {
        Cond::Always(value) => *value,
        Cond::Not(tree) => !condition(tree, facts, groups)?,
        Cond::And(one, other) => condition(one, facts, groups)? && condition(other, facts, groups)?,
        Cond::Or(one, other) => condition(one, facts, groups)? || condition(other, facts, groups)?,
        Cond::Strings(comparison, left, right) => {
            comparison.holds(word(left, facts, groups)?.cmp(&word(right, facts, groups)?))
        }
        Cond::Integers(comparison, left, right) => {
            let (left, right) = (word(left, facts, groups)?, word(right, facts, groups)?);
            comparison.holds(compare_integers(&left, &right))
        }
        Cond::Matches { word: left, regex, negated } => {
            let text = word(left, facts, groups)?;
            let found = regex.captures(&text);
            if let Some(found) = &found {
                let group = |number| found.get(number).unwrap_or_default().to_vec();
                *groups = (0..10).map(group).collect();
            }
            found.is_some() != *negated
        }
        Cond::In(left, list) => {
            let text = word(left, facts, groups)?;
            for member in list {
                if word(member, facts, groups)? == text {
                    return Ok(true);
                }
            }
            false
        }
        Cond::IpMatch(left, subnet) => {
            let text = word(left, facts, groups)?;
            let address = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
            match (address, subnet.network(facts, groups)?) {
                (Some(address), Some(network)) => network.contains(address),
                _ => false,
            }
        }
        Cond::FromSubnet(subnet) => match (facts.client(), subnet.network(facts, groups)?) {
            (Some(address), Some(network)) => network.contains(address),
            _ => false,
        },
        Cond::Wildcards { word: left, pattern, kind } => {
            let (mut text, mut pattern) =
                (word(left, facts, groups)?, word(pattern, facts, groups)?);
            if *kind == Wildcards::IgnoreCase {
                text.make_ascii_lowercase();
                pattern.make_ascii_lowercase();
            }
            let slash = match kind {
                Wildcards::Path => Slash::Separates,
                Wildcards::Plain | Wildcards::IgnoreCase => Slash::IsOrdinary,
            };
            pattern::matches(&pattern, &text, slash)
        }
        Cond::Test(test, tested) => test.holds(&word(tested, facts, groups)?, facts)?,
    })
}

pub(super) fn word(tree: &Word, facts: &dyn Facts, groups: &Groups) -> io::Result<Vec<u8>> {
    Ok(match tree {
        Word::Literal(text) => text.clone(),
        Word::Variable(name) => facts.variable(name).unwrap_or_default(),
        Word::Group(number) => groups.get(*number).cloned().unwrap_or_default(),
        Word::Call(function, argument) => function.call(word(argument, facts, groups)?, facts)?,
        Word::Joined(parts) => {
            let mut text = Vec::new();
            for part in parts {
                text.extend(word(part, facts, groups)?);
            }
            text
        }
    })
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// Numbers of any length: without their zeros in front, the longer one is greater.
fn compare_integers(left: &[u8], right: &[u8]) -> Ordering {
    let digits = |text: &[u8]| -> (bool, Vec<u8>) {
        let text = text.trim_ascii_start();
        let negative = text.first() == Some(&b'-');
        let text = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
        let digits = text.iter().copied().take_while(u8::is_ascii_digit);
        let digits: Vec<u8> = digits.skip_while(|digit| *digit == b'0').collect();
        (negative && !digits.is_empty(), digits)
    };
    let ((left_negative, left), (right_negative, right)) = (digits(left), digits(right));
    let magnitude = left.len().cmp(&right.len()).then_with(|| left.cmp(&right));
    match (left_negative, right_negative) {
        (false, false) => magnitude,
        (true, true) => magnitude.reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

impl Subnet {
    fn network(&self, facts: &dyn Facts, groups: &Groups) -> io::Result<Option<Network>> {
        match self {
            Subnet::Known(network) => Ok(Some(*network)),
            Subnet::Computed(computed) => {
                let text = word(computed, facts, groups)?;
                Ok(std::str::from_utf8(&text).ok().and_then(Network::of_text))
            }
        }
    }
}

impl Test {
    fn holds(self, text: &[u8], facts: &dyn Facts) -> io::Result<bool> {
        let look = |follow: bool, test: fn(&Stat) -> bool| {
            facts.look(text, follow).map(|stat| stat.as_ref().is_some_and(test))
        };
        match self {
            Test::NotEmpty => Ok(!text.is_empty()),
            Test::Empty => Ok(text.is_empty()),
            Test::True => {
                let no = [&b"0"[..], b"off", b"false", b"no"];
                Ok(!text.is_empty() && !no.iter().any(|no| text.eq_ignore_ascii_case(no)))
            }
            Test::Folder => look(true, |stat| stat.kind == Kind::Dir),
            Test::Exists => look(true, |_| true),
            Test::File => look(true, |stat| stat.kind == Kind::File),
            Test::FileWithContent => look(true, |stat| stat.kind == Kind::File && stat.size > 0),
            Test::Link => look(false, |stat| stat.kind == Kind::Symlink),
            Test::ServedFile => facts.would_serve(text, true),
            Test::ServedUrl => facts.would_serve(text, false),
        }
    }
}

impl Function {
    fn call(self, argument: Vec<u8>, facts: &dyn Facts) -> io::Result<Vec<u8>> {
        let name = || String::from_utf8_lossy(&argument);
        let os_env =
            |name: &str| std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec);
        Ok(match self {
            Function::Field => {
                facts.varies_by(&name());
                facts.field(&name()).unwrap_or_default()
            }
            Function::FieldUntold => facts.field(&name()).unwrap_or_default(),
            Function::ResponseField => facts.response_field(&name()).unwrap_or_default(),
            Function::Env => facts.env(&name()).unwrap_or_default(),
            Function::OsEnv => os_env(&name()).unwrap_or_default(),
            Function::Note => facts.note(&name()).unwrap_or_default(),
            Function::AnyEnv => {
                let name = name();
                let found = facts.note(&name).or_else(|| facts.env(&name));
                found.or_else(|| os_env(&name)).unwrap_or_default()
            }
            Function::ToLower => argument.to_ascii_lowercase(),
            Function::ToUpper => argument.to_ascii_uppercase(),
            Function::Escape => escape(&argument),
            Function::Unescape => unescape(&argument).unwrap_or_default(),
            Function::Base64 => BASE64_STANDARD.encode(&argument).into_bytes(),
            Function::Unbase64 => {
                let bytes = BASE64_STANDARD.decode(&argument).unwrap_or_default();
                let end = memchr::memchr(0, &bytes).unwrap_or(bytes.len());
                bytes[..end].to_vec()
            }
            Function::Md5 => hex(&md5::Md5::digest(&argument)),
            Function::Sha1 => hex(&sha1::Sha1::digest(&argument)),
            Function::FileContent => facts.read(&argument)?.unwrap_or_default(),
            Function::FileSize => {
                let stat = facts.look(&argument, true)?.filter(|stat| stat.kind == Kind::File);
                stat.map_or(0, |stat| stat.size).to_string().into_bytes()
            }
            Function::Ldap => ldap(&argument),
        })
    }
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// `%xx` for what is neither a letter, a digit nor harmless in a path.
fn escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    crate::http::escape::push_path(&mut out, text);
    out
}

/// Takes `%xx` back, but for slashes; `None` if there is a NUL, or something that is no escape.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Some(out),
            [b'%', high, low, tail @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
                match byte {
                    0 => return None,
                    b'/' => out.extend([b'%', *high, *low]),
                    _ => out.push(byte),
                }
                tail
            }
            [b'%', ..] => return None,
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        };
    }
}

/// What means something in a distinguished name (RFC 4514) or a filter (RFC 4515) becomes `\xx`.
fn ldap(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric() || b" -._@".contains(byte) {
            out.push(*byte);
        } else {
            out.extend(format!("\\{byte:02x}").into_bytes());
        }
    }
    out
}
