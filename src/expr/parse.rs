//! From text to a tree, by recursive descent.
//!
//! ```text
//! or    ── and ("||" and)*
//! and   ── not ("&&" not)*
//! not   ── "!" not │ "(" or ")" │ "true" │ "false" │ comparison
//! comparison ── -x word │ word operator word │ word "=~" regex │ word "in" "{" word, … "}"
//! word  ── part ("." part)*        part ── 'text' │ "text" │ digits │ %{…} │ $1 │ name(word)
//! ```

use super::{Comparison, Cond, Function, Subnet, Test, Wildcards, Word};
use crate::modules::authz_host::Network;
use crate::regex::{Case, Regex};

/// Keeps whoever walks a tree by recursion within the stack.
const DEEP_MAX: u32 = 64;

pub(super) fn condition(text: &str) -> Result<Cond, String> {
    let mut parser = Parser { rest: text.as_bytes(), deep: 0 };
    let tree = parser.or()?;
    parser.blanks();
    if parser.rest.is_empty() { Ok(tree) } else { Err(parser.unexpected("the end")) }
}

pub(super) fn text(text: &str) -> Result<Word, String> {
    let mut parser = Parser { rest: text.as_bytes(), deep: 0 };
    parser.string(None)
}

struct Parser<'t> {
    rest: &'t [u8],
    deep: u32,
}

impl Parser<'_> {
    // ---- conditions

    fn or(&mut self) -> Result<Cond, String> {
        self.deep += 1;
        if self.deep > DEEP_MAX {
            return Err("the expression is nested too deeply".to_owned());
        }
        let mut tree = self.and()?;
        while self.eat("||") {
            tree = Cond::Or(Box::new(tree), Box::new(self.and()?));
        }
        self.deep -= 1;
        Ok(tree)
    }

    fn and(&mut self) -> Result<Cond, String> {
        let mut tree = self.not()?;
        while self.eat("&&") {
            tree = Cond::And(Box::new(tree), Box::new(self.not()?));
        }
        Ok(tree)
    }

    fn not(&mut self) -> Result<Cond, String> {
        let mut negations = 0_u32;
        while self.eat("!") {
            negations += 1;
        }
        let tree = if self.eat("(") {
            let tree = self.or()?;
            self.expect(")")?;
            tree
        } else {
            self.comparison()?
        };
        Ok(if negations.is_multiple_of(2) { tree } else { Cond::Not(Box::new(tree)) })
    }

    fn comparison(&mut self) -> Result<Cond, String> {
        self.blanks();
        if self.rest.starts_with(b"-") {
            return self.unary();
        }
        for (name, value) in [("true", true), ("false", false)] {
            if self.eat_name(name) {
                return Ok(Cond::Always(value));
            }
        }
        let left = self.word()?;
        self.binary(left)
    }

    fn unary(&mut self) -> Result<Cond, String> {
        const TESTS: &[(u8, Test)] = &[
            (b'n', Test::NotEmpty),
            (b'z', Test::Empty),
            (b'T', Test::True),
            (b'd', Test::Folder),
            (b'e', Test::Exists),
            (b'f', Test::File),
            (b's', Test::FileWithContent),
            (b'L', Test::Link),
            (b'h', Test::Link),
            (b'F', Test::ServedFile),
            (b'U', Test::ServedUrl),
            (b'A', Test::ServedUrl),
        ];
        let [b'-', letter, rest @ ..] = self.rest else {
            return Err(self.unexpected("an operator such as -f"));
        };
        if rest.first().is_some_and(u8::is_ascii_alphanumeric) {
            return Err(self.unexpected("an operator of one letter, such as -f"));
        }
        let letter = *letter;
        self.rest = rest;
        if letter == b'R' {
            return Ok(Cond::FromSubnet(self.subnet()?));
        }
        let test = TESTS.iter().find(|(known, _)| *known == letter).map(|(_, test)| *test);
        let Some(test) = test else {
            return Err(format!("No such unary operator '-{}'", char::from(letter)));
        };
        Ok(Cond::Test(test, self.word()?))
    }

    fn binary(&mut self, left: Word) -> Result<Cond, String> {
        use Comparison as C;
        const STRINGS: &[(&str, Comparison)] = &[
            ("==", C::Equal),
            ("!=", C::NotEqual),
            ("<=", C::LessOrEqual),
            (">=", C::GreaterOrEqual),
            ("<", C::Less),
            (">", C::Greater),
            ("=", C::Equal),
        ];
        const INTEGERS: &[(&str, Comparison)] = &[
            ("eq", C::Equal),
            ("ne", C::NotEqual),
            ("lt", C::Less),
            ("le", C::LessOrEqual),
            ("gt", C::Greater),
            ("ge", C::GreaterOrEqual),
        ];
        for (operator, negated) in [("=~", false), ("!~", true)] {
            if self.eat(operator) {
                let regex = self.regex()?;
                return Ok(Cond::Matches { word: left, regex, negated });
            }
        }
        if let Some((_, comparison)) = STRINGS.iter().find(|(operator, _)| self.eat(operator)) {
            return Ok(Cond::Strings(*comparison, left, self.word()?));
        }
        self.blanks();
        let dash = usize::from(self.rest.starts_with(b"-"));
        let name = name_at(&self.rest[dash..]).to_ascii_lowercase();
        self.rest = &self.rest[dash + name.len()..];
        if let Some((_, comparison)) = INTEGERS.iter().find(|(known, _)| *known == name) {
            return Ok(Cond::Integers(*comparison, left, self.word()?));
        }
        match name.as_str() {
            "in" => self.list().map(|list| Cond::In(left, list)),
            "ipmatch" => Ok(Cond::IpMatch(left, self.subnet()?)),
            "strmatch" => self.wildcards(left, Wildcards::Plain),
            "strcmatch" => self.wildcards(left, Wildcards::IgnoreCase),
            "fnmatch" => self.wildcards(left, Wildcards::Path),
            "" => Err(self.unexpected("an operator such as ==")),
            _ => Err(format!("No such binary operator '-{name}'")),
        }
    }

    fn wildcards(&mut self, word: Word, kind: Wildcards) -> Result<Cond, String> {
        Ok(Cond::Wildcards { word, pattern: self.word()?, kind })
    }

    fn subnet(&mut self) -> Result<Subnet, String> {
        let word = self.word()?;
        let Word::Literal(text) = &word else { return Ok(Subnet::Computed(word)) };
        let text = String::from_utf8_lossy(text);
        let network = Network::of_text(&text);
        network.map(Subnet::Known).ok_or_else(|| format!("subnet/netmask '{text}' is not valid"))
    }

    /// `{ word, word }`
    fn list(&mut self) -> Result<Vec<Word>, String> {
        if !self.eat("{") {
            return Err(self.unexpected("a list in braces"));
        }
        let mut list = vec![self.word()?];
        while self.eat(",") {
            list.push(self.word()?);
        }
        self.expect("}")?;
        Ok(list)
    }

    /// `/…/i` or `m#…#i`
    fn regex(&mut self) -> Result<Regex, String> {
        self.blanks();
        let (end, rest) = match self.rest {
            [b'm', end, rest @ ..] if b"#$%^|?!'\",;:._-/".contains(end) => (*end, rest),
            [b'/', rest @ ..] => (b'/', rest),
            _ => return Err(self.unexpected("a regular expression")),
        };
        let mut source = Vec::new();
        let mut at = 0;
        loop {
            match rest.get(at..).unwrap_or_default() {
                [] => return Err("Unterminated regular expression".to_owned()),
                [b'\\', escaped, ..] if *escaped == end => {
                    source.push(end);
                    at += 2;
                }
                [b'\\', escaped, ..] => {
                    source.extend([b'\\', *escaped]);
                    at += 2;
                }
                [byte, ..] if *byte == end => break,
                [byte, ..] => {
                    source.push(*byte);
                    at += 1;
                }
            }
        }
        self.rest = &rest[at + 1..];
        let mut case = Case::Counts;
        while let [flag @ b'a'..=b'z', rest @ ..] = self.rest {
            match flag {
                b'i' => case = Case::Ignored,
                b's' | b'm' | b'g' => {} // A dot matches all anyway; the others change nothing here.
                _ => return Err(format!("unknown flag '{}'", char::from(*flag))),
            }
            self.rest = rest;
        }
        let source = String::from_utf8_lossy(&source);
        Regex::new(&source, case)
            .map_err(|why| format!("Failed to compile regular expression: {why}"))
    }

    // ---- words

    fn word(&mut self) -> Result<Word, String> {
        let first = self.part()?;
        let mut parts = vec![first];
        while self.eat(".") {
            parts.push(self.part()?);
        }
        Ok(joined(parts))
    }

    fn part(&mut self) -> Result<Word, String> {
        self.blanks();
        match self.rest {
            [quote @ (b'\'' | b'"'), rest @ ..] => {
                self.rest = rest;
                self.string(Some(*quote))
            }
            [b'%', b'{', ..] => self.variable(),
            [b'$', digit @ b'0'..=b'9', rest @ ..] => {
                self.rest = rest;
                Ok(Word::Group(usize::from(digit - b'0')))
            }
            [b'0'..=b'9', ..] => {
                let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (number, rest) = self.rest.split_at(digits);
                self.rest = rest;
                Ok(Word::Literal(number.to_vec()))
            }
            _ => self.call(),
        }
    }

    fn call(&mut self) -> Result<Word, String> {
        let name = name_at(self.rest).to_owned();
        if name.is_empty() {
            return Err(self.unexpected("a word"));
        }
        self.rest = &self.rest[name.len()..];
        if !self.eat("(") {
            return Err(format!("a word is expected, and '{name}' has no quotes around it"));
        }
        let function = function(&name)?;
        self.deep += 1;
        if self.deep > DEEP_MAX {
            return Err("the expression is nested too deeply".to_owned());
        }
        let argument = self.word()?;
        self.deep -= 1;
        self.expect(")")?;
        Ok(Word::Call(function, Box::new(argument)))
    }

    /// `%{NAME}` or `%{function:text}`, the text perhaps with variables of its own.
    fn variable(&mut self) -> Result<Word, String> {
        self.rest = &self.rest[2..];
        let name = name_at(self.rest).to_owned();
        self.rest = &self.rest[name.len()..];
        match self.rest {
            [b'}', rest @ ..] if !name.is_empty() => {
                self.rest = rest;
                Ok(Word::Variable(name.to_ascii_uppercase()))
            }
            [b':', rest @ ..] if !name.is_empty() => {
                self.rest = rest;
                let function = function(&name)?;
                let argument = self.string(Some(b'}'))?;
                Ok(Word::Call(function, Box::new(argument)))
            }
            _ => Err(self.unexpected("a variable's name and a closing brace")),
        }
    }

    /// Text with variables in it, up to the end or to a delimiter, which is taken as well.
    fn string(&mut self, end: Option<u8>) -> Result<Word, String> {
        self.deep += 1;
        if self.deep > DEEP_MAX {
            return Err("the expression is nested too deeply".to_owned());
        }
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        loop {
            match self.rest {
                [] if end.is_none() => break,
                [] => return Err("Unterminated string".to_owned()),
                [byte, rest @ ..] if Some(*byte) == end => {
                    self.rest = rest;
                    break;
                }
                [b'\\', escaped, rest @ ..] => {
                    literal.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 0x08,
                        b'f' => 0x0c,
                        other => *other,
                    });
                    self.rest = rest;
                }
                [b'%', b'{', ..] => {
                    parts.push(Word::Literal(std::mem::take(&mut literal)));
                    parts.push(self.variable()?);
                }
                [b'$', digit @ b'0'..=b'9', rest @ ..] => {
                    parts.push(Word::Literal(std::mem::take(&mut literal)));
                    parts.push(Word::Group(usize::from(digit - b'0')));
                    self.rest = rest;
                }
                [byte, rest @ ..] => {
                    literal.push(*byte);
                    self.rest = rest;
                }
            }
        }
        self.deep -= 1;
        parts.push(Word::Literal(literal));
        Ok(joined(parts))
    }

    // ---- tokens

    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(token.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn eat_name(&mut self, name: &str) -> bool {
        self.blanks();
        let found = name_at(self.rest);
        let is_meant = found.eq_ignore_ascii_case(name)
            && !self.rest[found.len()..].trim_ascii_start().starts_with(b"(");
        if is_meant {
            self.rest = &self.rest[name.len()..];
        }
        is_meant
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(self.unexpected(&format!("'{token}'"))) }
    }

    fn unexpected(&self, wanted: &str) -> String {
        const SHOWN_MAX: usize = 20;
        let rest = String::from_utf8_lossy(self.rest.trim_ascii());
        if rest.is_empty() {
            return format!("syntax error, {wanted} is expected where it ends");
        }
        let shown: String = rest.chars().take(SHOWN_MAX).collect();
        format!("syntax error, {wanted} is expected before '{shown}'")
    }
}

/// Parts one behind the other, without empty ones.
fn joined(mut parts: Vec<Word>) -> Word {
    parts.retain(|part| !matches!(part, Word::Literal(text) if text.is_empty()));
    match parts.len() {
        0 => Word::Literal(Vec::new()),
        1 => parts.remove(0),
        _ => Word::Joined(parts),
    }
}

/// The name that the text begins with; empty if it begins with none.
fn name_at(text: &[u8]) -> &str {
    if !text.first().is_some_and(u8::is_ascii_alphabetic) {
        return "";
    }
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let length = text.iter().take_while(is_part).count();
    std::str::from_utf8(&text[..length]).unwrap_or_default()
}

fn function(name: &str) -> Result<Function, String> {
    const FUNCTIONS: &[(&str, Function)] = &[
        ("req", Function::Field),
        ("http", Function::Field),
        ("req_novary", Function::FieldUntold),
        ("resp", Function::ResponseField),
        ("reqenv", Function::Env),
        ("v", Function::Env),
        ("osenv", Function::OsEnv),
        ("note", Function::Note),
        ("env", Function::AnyEnv),
        ("tolower", Function::ToLower),
        ("toupper", Function::ToUpper),
        ("escape", Function::Escape),
        ("unescape", Function::Unescape),
        ("base64", Function::Base64),
        ("unbase64", Function::Unbase64),
        ("md5", Function::Md5),
        ("sha1", Function::Sha1),
        ("file", Function::FileContent),
        ("filesize", Function::FileSize),
        ("ldap", Function::Ldap),
    ];
    let known = FUNCTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, function)| *function).ok_or_else(|| format!("Function '{name}' does not exist"))
}
