//! Strings with `$1`, `%1`, `%{VARIABLE}` and `${map:key|default}` in them.
//!
//! - A template is taken apart once, when the configuration is read. What it is filled with is never looked at again, so
//!   nothing that a client sends is ever expanded.

/// Keeps whoever walks a template by recursion within the stack.
const DEEP_MAX: u32 = 32;

/// A string to be filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Vec<u8>),
    /// `\?`: a question mark that is neither the operator's beginning of a query nor a client's.
    EscapedMark,
    /// `$1`: a group of the rule.
    RuleGroup(usize),
    /// `%1`: a group of the condition that matched last.
    ConditionGroup(usize),
    /// `%{…}`
    Variable(Variable),
    /// `${map:key|default}`
    Lookup {
        map: String,
        key: Template,
        default: Option<Template>,
    },
}

/// What stands between `%{` and `}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// In upper case.
    Named(String),
    /// `HTTP:name`
    Field(String),
    /// `ENV:name`
    Env(String),
    /// `LA-U:variable`, `LA-F:variable`: what it would be in a request for the path (or file) rewritten so far.
    Ahead(Ahead, Box<Variable>),
    /// Always empty: `SSL:name` without TLS, and what is no name at all.
    Nothing,
}

/// How a look-ahead names what it looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    Url,
    File,
}

impl Template {
    /// Takes a string apart.
    ///
    /// # Errors
    /// Look-ups within look-ups, too many of them.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        parse(text.as_bytes(), 0)
    }

    fn literal(&mut self, bytes: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Literal(literal)) => literal.extend_from_slice(bytes),
            _ => self.parts.push(Part::Literal(bytes.to_vec())),
        }
    }

    /// What stands before the first thing that is filled in.
    pub(super) fn fixed_start(&self) -> &[u8] {
        match self.parts.first() {
            Some(Part::Literal(literal)) => literal,
            _ => b"",
        }
    }
}

fn parse(text: &[u8], deep: u32) -> Result<Template, String> {
    if deep > DEEP_MAX {
        return Err("the look-ups are nested too deeply".to_owned());
    }
    let mut template = Template::default();
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Ok(template),
            [b'\\', b'?', tail @ ..] => {
                template.parts.push(Part::EscapedMark);
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                template.literal(&[*escaped]);
                tail
            }
            [b'%', b'{', tail @ ..] => match find(tail, None) {
                Some(end) => {
                    template.parts.push(Part::Variable(Variable::parse(&tail[..end])));
                    &tail[end + 1..]
                }
                None => {
                    template.literal(b"%{");
                    tail
                }
            },
            [b'$', b'{', tail @ ..] => match look_up(tail, deep)? {
                Some((part, after)) => {
                    template.parts.push(part);
                    after
                }
                None => {
                    template.literal(b"${");
                    tail
                }
            },
            [b'$', digit @ b'0'..=b'9', tail @ ..] => {
                template.parts.push(Part::RuleGroup(usize::from(digit - b'0')));
                tail
            }
            [b'%', digit @ b'0'..=b'9', tail @ ..] => {
                template.parts.push(Part::ConditionGroup(usize::from(digit - b'0')));
                tail
            }
            [byte, tail @ ..] => {
                template.literal(&[*byte]);
                tail
            }
        };
    }
}

/// Reads `map:key|default}`. `None`: it is no look-up, and stands for itself.
fn look_up(text: &[u8], deep: u32) -> Result<Option<(Part, &[u8])>, String> {
    let Some(end) = find(text, None) else { return Ok(None) };
    let inner = &text[..end];
    let Some(colon) = find(inner, Some(b':')) else { return Ok(None) };
    let (map, key) = (&inner[..colon], &inner[colon + 1..]);
    let (key, default) = match find(key, Some(b'|')) {
        Some(bar) => (&key[..bar], Some(&key[bar + 1..])),
        None => (key, None),
    };
    let part = Part::Lookup {
        map: String::from_utf8_lossy(map).into_owned(),
        key: parse(key, deep + 1)?,
        default: default.map(|default| parse(default, deep + 1)).transpose()?,
    };
    Ok(Some((part, &text[end + 1..])))
}

/// Where `wanted` stands outside of any curly brackets; without one, where the bracket closes that was opened before.
fn find(text: &[u8], wanted: Option<u8>) -> Option<usize> {
    let mut deep = 1_usize;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            byte if deep == 1 && Some(*byte) == wanted => return Some(at),
            b'}' => {
                deep -= 1;
                if deep == 0 {
                    return if wanted.is_none() { Some(at) } else { None };
                }
            }
            b'{' => deep += 1,
            _ => {}
        }
    }
    None
}

impl Variable {
    fn parse(text: &[u8]) -> Variable {
        let text = String::from_utf8_lossy(text);
        let Some((kind, name)) = text.split_once(':') else {
            return Variable::Named(text.to_ascii_uppercase());
        };
        let (kind, name) = (kind.to_ascii_uppercase(), name.to_owned());
        match kind.as_str() {
            _ if name.is_empty() => Variable::Nothing,
            "HTTP" => Variable::Field(name),
            "ENV" => Variable::Env(name),
            "LA-U" => Variable::Ahead(Ahead::Url, Box::new(Variable::parse_inner(&name))),
            "LA-F" => Variable::Ahead(Ahead::File, Box::new(Variable::parse_inner(&name))),
            _ => Variable::Nothing,
        }
    }

    /// A look-ahead that looks ahead itself sees nothing.
    fn parse_inner(text: &str) -> Variable {
        let variable = Variable::parse(text.as_bytes());
        if matches!(variable, Variable::Ahead(..)) { Variable::Nothing } else { variable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &[Part]) {
        assert_eq!(Template::parse(text).unwrap().parts, expected, "{text}");
    }

    fn literal(text: &str) -> Part {
        Part::Literal(text.as_bytes().to_vec())
    }

    fn named(name: &str) -> Part {
        Part::Variable(Variable::Named(name.to_owned()))
    }

    #[test]
    fn groups_and_variables_are_taken_out() {
        check("", &[]);
        check(
            "/a/$1/%2",
            &[literal("/a/"), Part::RuleGroup(1), literal("/"), Part::ConditionGroup(2)],
        );
        check("x%{request_uri}y", &[literal("x"), named("REQUEST_URI"), literal("y")]);
        check(
            "%{HTTP:X-A}%{env:b}",
            &[
                Part::Variable(Variable::Field("X-A".to_owned())),
                Part::Variable(Variable::Env("b".to_owned())),
            ],
        );
        let ahead = Variable::Ahead(Ahead::Url, Box::new(Variable::Named("REMOTE_USER".into())));
        check("%{LA-U:REMOTE_USER}", &[Part::Variable(ahead)]);
        check("%{SSL:X}", &[Part::Variable(Variable::Nothing)]);
    }

    #[test]
    fn what_is_nothing_stands_for_itself() {
        check("a$b%c$", &[literal("a$b%c$")]);
        check("%{open", &[literal("%{open")]);
        check("${nocolon}", &[literal("${nocolon}")]);
        check(r"\$1\%1\\\", &[literal(r"$1%1\\")]);
        check(r"a\?b", &[literal("a"), Part::EscapedMark, literal("b")]);
    }

    #[test]
    fn look_ups_nest() {
        check(
            "${a:${b:$1|x}|%{ENV:c}}!",
            &[
                Part::Lookup {
                    map: "a".to_owned(),
                    key: Template {
                        parts: vec![Part::Lookup {
                            map: "b".to_owned(),
                            key: Template { parts: vec![Part::RuleGroup(1)] },
                            default: Some(Template { parts: vec![literal("x")] }),
                        }],
                    },
                    default: Some(Template {
                        parts: vec![Part::Variable(Variable::Env("c".to_owned()))],
                    }),
                },
                literal("!"),
            ],
        );
        let deep = "${a:".repeat(100) + &"}".repeat(100);
        assert!(Template::parse(&deep).unwrap_err().contains("too deeply"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"[a{}$%\\:|?0-9]{0,30}") {
            let _parsed_or_refused = Template::parse(&text);
        }

        #[test]
        fn text_without_specials_is_one_literal(text in "[a-z/.?{}:|]{1,30}") {
            prop_assert_eq!(Template::parse(&text).unwrap().parts, vec![literal(&text)]);
        }
    }
}
