//! Rules and conditions as they are written, and what their flags mean.

use super::syntax;
use super::template::Template;
use crate::expr;
use crate::http::status::Status;
use crate::regex::{Case, Regex};

/// `[N]`: rounds of one rule set, where the flag gives no number of its own.
const ROUNDS_MAX: u32 = 32_000;

/// `RewriteRule pattern substitution [flags]`, with the conditions before it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) pattern: Pattern,
    /// `None`: `-`, nothing is substituted.
    pub(super) substitution: Option<Substitution>,
    pub(super) flags: Flags,
    pub(super) query: Query,
    pub(super) escapes: BackReferences,
    /// `[R=code]`, for redirects: 302 without a code.
    pub(super) redirect: Status,
    /// `[F]`, `[G]`, and `[R=code]` that is no redirect: the request ends with it.
    pub(super) status: Option<Status>,
    /// `[E=name:value]`, in order.
    pub(super) variables: Vec<Template>,
    /// `[CO=…]`, in order.
    pub(super) cookies: Vec<Template>,
    pub(super) media_type: Option<Template>,
    pub(super) handler: Option<Template>,
    /// `[S=n]`
    pub(super) skip: usize,
    /// `[N=max]`
    pub(super) rounds_max: u32,
}

/// What a rule matches.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// `!`: where the expression does not match.
    pub(super) negated: bool,
    /// As it was written, for the log.
    pub(super) text: Box<str>,
}

/// What a rule makes of it.
#[derive(Debug)]
pub(super) struct Substitution {
    pub(super) template: Template,
    /// As it was written.
    pub(super) text: Box<str>,
}

/// Flags without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    pub(super) const REDIRECT: Flags = Flags(1);
    pub(super) const LAST: Flags = Flags(1 << 1);
    pub(super) const END: Flags = Flags(1 << 2);
    pub(super) const NEXT: Flags = Flags(1 << 3);
    pub(super) const CHAIN: Flags = Flags(1 << 4);
    pub(super) const NO_SUBREQUEST: Flags = Flags(1 << 5);
    pub(super) const PASS_THROUGH: Flags = Flags(1 << 6);
    pub(super) const NO_ESCAPE: Flags = Flags(1 << 7);
    pub(super) const DISCARD_PATH_INFO: Flags = Flags(1 << 8);
    pub(super) const ALLOW_MARK: Flags = Flags(1 << 9);
    pub(super) const UNSAFE_PREFIX: Flags = Flags(1 << 10);
    /// `UNC`: slashes at the beginning stay.
    pub(super) const KEEP_SLASHES: Flags = Flags(1 << 11);

    pub(super) fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }

    fn add(&mut self, flag: Flags) {
        self.0 |= flag.0;
    }
}

/// What becomes of the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `QSA`
    pub(super) append: bool,
    /// `QSD`
    pub(super) discard: bool,
    /// `QSL`: the last question mark begins it, not the first.
    pub(super) last_mark: bool,
    /// The substitution ends with a question mark, and that is all: there is none.
    pub(super) none: bool,
}

/// `B` and its kind: whether what groups have matched is escaped on its way into the substitution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BackReferences {
    escape: bool,
    /// `B=…`: these only.
    only: Option<Box<str>>,
    /// `BNE=…`: never these.
    never: Option<Box<str>>,
    /// `BCTLS`: control characters and blanks.
    controls: bool,
    /// `BNP`: a blank is `%20`, not `+`.
    no_plus: bool,
}

impl Rule {
    /// Reads the arguments of RewriteRule; the conditions before it become the rule's own.
    ///
    /// # Errors
    /// What is wrong, in Apache's words.
    pub(super) fn parse(line: &str, conditions: Vec<Condition>) -> Result<Rule, String> {
        let words = syntax::words(line)?;
        let mut rule = Rule {
            conditions,
            pattern: Pattern {
                regex: Regex::new("", Case::Counts)?,
                negated: words.first.starts_with('!'),
                text: words.first.into(),
            },
            substitution: None,
            flags: Flags::default(),
            query: Query::default(),
            escapes: BackReferences::default(),
            redirect: Status::FOUND,
            status: None,
            variables: Vec::new(),
            cookies: Vec::new(),
            media_type: None,
            handler: None,
            skip: 0,
            rounds_max: ROUNDS_MAX,
        };
        let mut case = Case::Counts;
        for (name, value) in syntax::flags(words.flags.unwrap_or_default()) {
            rule.set_flag(name, value, &mut case)?;
        }
        let expression = words.first.strip_prefix('!').unwrap_or(words.first);
        rule.pattern.regex = compile(expression, case)?;
        let text = rule.settle_query(words.second);
        if text != "-" {
            let template = Template::parse(text)?;
            rule.substitution = Some(Substitution { template, text: text.into() });
        }
        if rule.status.is_some() {
            rule.substitution = None;
        }
        Ok(rule)
    }

    /// What a question mark at the end of the substitution means; returns what is left of that.
    fn settle_query<'s>(&mut self, substitution: &'s str) -> &'s str {
        if let Some(without) = substitution.strip_suffix('?') {
            if self.query.append {
                self.query.last_mark = true;
                return substitution;
            }
            self.query.none = true;
            return without;
        }
        self.query.none = self.query.discard && !substitution.contains('?');
        substitution
    }

    fn set_flag(&mut self, name: &str, value: &str, case: &mut Case) -> Result<(), String> {
        match name.to_ascii_lowercase().as_str() {
            "b" | "backrefescaping" => {
                self.escapes.escape = true;
                if !value.is_empty() {
                    self.escapes.only = Some(value.into());
                }
            }
            "bne" if value.is_empty() => {
                return Err("flag 'BNE' wants a list of characters (i.e. [BNE=...])".to_owned());
            }
            "bne" => self.escapes.never = Some(value.into()),
            "bnp" | "backrefernoplus" => self.escapes.no_plus = true,
            "bctls" => {
                self.escapes.controls = true;
                self.escapes.escape = true;
            }
            "c" | "chain" => self.flags.add(Flags::CHAIN),
            "co" | "cookie" => self.cookies.push(Template::parse(value)?),
            "dpi" | "discardpath" | "d" => self.flags.add(Flags::DISCARD_PATH_INFO),
            "e" | "env" => self.variables.push(Template::parse(value)?),
            "end" => self.flags.add(Flags::END),
            "f" | "forbidden" => self.status = Some(Status::FORBIDDEN),
            "g" | "gone" => self.status = Some(Status::GONE),
            "h" | "handler" => self.handler = Some(Template::parse(value)?),
            "l" | "last" => self.flags.add(Flags::LAST),
            "ne" | "noescape" => self.flags.add(Flags::NO_ESCAPE),
            "n" | "next" => {
                self.flags.add(Flags::NEXT);
                if !value.is_empty() {
                    self.rounds_max = leading_number(value.as_bytes()).try_into().unwrap_or(0);
                }
            }
            "ns" | "nosubreq" => self.flags.add(Flags::NO_SUBREQUEST),
            "nc" | "nocase" => *case = Case::Ignored,
            "p" | "proxy" => {
                return Err("flag 'P' needs a proxy, which Herdgate is not".to_owned());
            }
            "pt" | "passthrough" => self.flags.add(Flags::PASS_THROUGH),
            "qsa" | "qsappend" => self.query.append = true,
            "qsd" | "qsdiscard" => self.query.discard = true,
            "qsl" | "qslast" => self.query.last_mark = true,
            "r" | "redirect" => self.set_redirect(value)?,
            "s" | "skip" => {
                self.skip = leading_number(value.as_bytes()).try_into().unwrap_or(0);
            }
            "t" | "type" => self.media_type = Some(Template::parse(value)?),
            "unsafeallow3f" => self.flags.add(Flags::ALLOW_MARK),
            "unsafeprefixstat" => self.flags.add(Flags::UNSAFE_PREFIX),
            "unc" => self.flags.add(Flags::KEEP_SLASHES),
            _ => return Err(format!("unknown flag '{name}'")),
        }
        Ok(())
    }

    fn set_redirect(&mut self, value: &str) -> Result<(), String> {
        self.flags.add(Flags::REDIRECT);
        let status = match value.to_ascii_lowercase().as_str() {
            "permanent" => Status::MOVED_PERMANENTLY,
            "seeother" => Status::SEE_OTHER,
            text if text.starts_with(|first: char| first.is_ascii_digit()) => {
                let code = u16::try_from(leading_number(value.as_bytes())).unwrap_or(0);
                let known = Status::new(code).filter(|status| !status.reason().is_empty());
                known.ok_or_else(|| format!("invalid HTTP response code '{value}' for flag 'R'"))?
            }
            _ => Status::FOUND,
        };
        if is_redirect(status) {
            self.redirect = status;
        } else {
            self.status = Some(status);
        }
        Ok(())
    }
}

/// The statuses that send a client elsewhere.
pub(super) fn is_redirect(status: Status) -> bool {
    matches!(status.code(), 300..=303 | 305 | 307 | 308)
}

fn compile(expression: &str, case: Case) -> Result<Regex, String> {
    Regex::new(expression, case)
        .map_err(|reason| format!("cannot compile regular expression '{expression}': {reason}"))
}

/// C's `atoi`: the number that a text begins with; 0 if it begins with none.
pub(super) fn leading_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let negative = text.first() == Some(&b'-');
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_i64, |number, digit| {
        number.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if negative { -number } else { number }
}

impl BackReferences {
    /// What a group has matched, as it goes into the substitution.
    pub(super) fn push(&self, out: &mut Vec<u8>, group: &[u8]) {
        if !self.escape {
            return out.extend_from_slice(group);
        }
        for byte in group {
            let named =
                |list: &Option<Box<str>>| list.as_ref().map(|list| list.as_bytes().contains(byte));
            let wanted = match (self.controls, named(&self.only)) {
                (true, only) => is_control_or_blank(*byte) || only == Some(true),
                (false, only) => only.unwrap_or(true),
            };
            let escaped = wanted && named(&self.never) != Some(true);
            match byte {
                byte if !escaped || byte.is_ascii_alphanumeric() || *byte == b'_' => {
                    out.push(*byte)
                }
                b' ' if !self.no_plus => out.push(b'+'),
                byte => out.extend(format!("%{byte:02x}").into_bytes()),
            }
        }
    }
}

/// Neither a visible character nor a byte from 0x80.
pub(super) fn is_control_or_blank(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

/// `RewriteCond test pattern [flags]`
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) test: Test,
    /// `!`
    pub(super) negated: bool,
    /// `OR`: this one or the next.
    pub(super) or_next: bool,
    /// `NV`: the answer does not say that it depends on the fields that are asked here.
    pub(super) no_vary: bool,
    /// As it was written, for the log.
    pub(super) text: Box<str>,
}

/// What a condition tests.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Matches(Template, Regex),
    /// `=text`, `<text` and their kind.
    Compare {
        input: Template,
        operator: Operator,
        with: Box<str>,
        case: Case,
    },
    /// `-eq number` and its kind.
    Number {
        input: Template,
        operator: Operator,
        with: i64,
    },
    File(Template, FileTest),
    /// `RewriteCond expr "…"`
    Expression(expr::Condition),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Less,
    LessOrEqual,
    Equal,
    Greater,
    GreaterOrEqual,
}

/// What a name may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileTest {
    /// `-f`
    File,
    /// `-s`
    FileWithContent,
    /// `-d`
    Folder,
    /// `-l`, `-L`, `-h`
    Link,
    /// `-x`: somebody may execute it.
    Executable,
    /// `-U`
    ServedUrl,
    /// `-F`
    ServedFile,
}

impl Condition {
    /// Reads the arguments of RewriteCond.
    ///
    /// # Errors
    /// What is wrong, in Apache's words.
    pub(super) fn parse(line: &str) -> Result<Condition, String> {
        let words = syntax::words(line)?;
        let (mut case, mut or_next, mut no_vary) = (Case::Counts, false, false);
        for (name, _) in syntax::flags(words.flags.unwrap_or_default()) {
            match name.to_ascii_lowercase().as_str() {
                "nc" | "nocase" => case = Case::Ignored,
                "or" | "ornext" => or_next = true,
                "nv" | "novary" => no_vary = true,
                _ => return Err(format!("unknown flag '{name}'")),
            }
        }
        let (negated, pattern) = match words.second.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, words.second),
        };
        let (test, inverted) = Test::parse(words.first, pattern, case)?;
        Ok(Condition {
            test,
            negated: negated != inverted,
            or_next,
            no_vary,
            text: words.second.into(),
        })
    }
}

impl Test {
    /// The test, and whether it means the opposite.
    fn parse(input: &str, pattern: &str, case: Case) -> Result<(Test, bool), String> {
        if input.eq_ignore_ascii_case("expr") {
            let condition = expr::Condition::parse(pattern)
                .map_err(|reason| format!("cannot compile expression \"{pattern}\": {reason}"))?;
            return Ok((Test::Expression(condition), false));
        }
        let input = Template::parse(input)?;
        if let Some(test) = FileTest::of(pattern) {
            return Ok((Test::File(input, test), false));
        }
        if let Some((operator, inverted, number)) = Operator::of_numbers(pattern) {
            let with = leading_number(number.as_bytes());
            return Ok((Test::Number { input, operator, with }, inverted));
        }
        if let Some((operator, with)) = Operator::of_texts(pattern) {
            return Ok((Test::Compare { input, operator, with: with.into(), case }, false));
        }
        Ok((Test::Matches(input, compile(pattern, case)?), false))
    }
}

impl FileTest {
    fn of(pattern: &str) -> Option<FileTest> {
        Some(match pattern {
            "-f" => FileTest::File,
            "-s" => FileTest::FileWithContent,
            "-d" => FileTest::Folder,
            "-x" => FileTest::Executable,
            "-h" | "-L" | "-l" => FileTest::Link,
            "-U" => FileTest::ServedUrl,
            "-F" => FileTest::ServedFile,
            _ => return None,
        })
    }
}

impl Operator {
    /// `-eq`, `-lt` and their kind; `-ne` is the opposite of `-eq`.
    fn of_numbers(pattern: &str) -> Option<(Operator, bool, &str)> {
        let (name, number) = pattern.split_at_checked(3)?;
        let (operator, inverted) = match name {
            "-lt" => (Operator::Less, false),
            "-le" => (Operator::LessOrEqual, false),
            "-eq" => (Operator::Equal, false),
            "-ne" => (Operator::Equal, true),
            "-gt" => (Operator::Greater, false),
            "-ge" => (Operator::GreaterOrEqual, false),
            _ => return None,
        };
        (!number.is_empty()).then_some((operator, inverted, number))
    }

    fn of_texts(pattern: &str) -> Option<(Operator, &str)> {
        if pattern.len() < 2 {
            return None; // A lone character is an expression.
        }
        let operators = [
            (">=", Operator::GreaterOrEqual),
            ("<=", Operator::LessOrEqual),
            (">", Operator::Greater),
            ("<", Operator::Less),
            ("=", Operator::Equal),
        ];
        let (sign, operator) = operators.into_iter().find(|(sign, _)| pattern.starts_with(sign))?;
        let with = &pattern[sign.len()..];
        // `=""` is the empty text.
        let is_empty = operator == Operator::Equal && with == "\"\"";
        Some((operator, if is_empty { "" } else { with }))
    }

    pub(super) fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
            Operator::Equal => ordering.is_eq(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(line: &str) -> Rule {
        Rule::parse(line, Vec::new()).unwrap()
    }

    #[track_caller]
    fn check_error(line: &str, expected: &str) {
        let error = Rule::parse(line, Vec::new()).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }

    #[test]
    fn flags_have_short_and_long_names() {
        let it = rule("^a$ /b [NC,last,noescape,QSA,S=2,N=5,E=a:1,E=b,CO=x:y:z]");
        assert!(it.flags.has(Flags::LAST) && it.flags.has(Flags::NO_ESCAPE));
        assert!(it.pattern.regex.is_match(b"A") && it.query.append);
        assert_eq!((it.skip, it.rounds_max), (2, 5));
        assert_eq!((it.variables.len(), it.cookies.len()), (2, 1));
        check_error("a b [Q]", "unknown flag 'Q'");
        check_error("a b [P]", "needs a proxy");
        check_error("a b [R=999]", "invalid HTTP response code '999'");
        check_error("a(b c", "cannot compile regular expression 'a(b'");
    }

    #[test]
    fn statuses_that_are_no_redirects_end_the_request() {
        let seen = |line| {
            let rule = rule(line);
            (rule.redirect.code(), rule.status.map(Status::code), rule.substitution.is_some())
        };
        assert_eq!(seen("a /b [R]"), (302, None, true));
        assert_eq!(seen("a /b [R=permanent]"), (301, None, true));
        assert_eq!(seen("a /b [redirect=308]"), (308, None, true));
        assert_eq!(seen("a /b [R=404]"), (302, Some(404), false));
        assert_eq!(seen("a - [F]"), (302, Some(403), false));
        assert_eq!(seen("a - [G]"), (302, Some(410), false));
        assert_eq!(seen("!a -"), (302, None, false));
    }

    #[test]
    fn a_question_mark_at_the_end_drops_the_query() {
        let seen = |line| {
            let rule = rule(line);
            (rule.query.none, rule.query.last_mark, rule.substitution.unwrap().text)
        };
        assert_eq!(seen("a /b?"), (true, false, "/b".into()));
        assert_eq!(seen("a /b? [QSA]"), (false, true, "/b?".into()));
        assert_eq!(seen("a /b [QSD]"), (true, false, "/b".into()));
        assert_eq!(seen("a /b?c [QSD]"), (false, false, "/b?c".into()));
    }

    #[test]
    fn back_references_are_escaped_as_told() {
        let check = |flags: &str, expected: &str| {
            let rule = rule(&format!("a /b \"[{flags}]\""));
            let mut out = Vec::new();
            rule.escapes.push(&mut out, b"a b_/?\x01\xc3");
            assert_eq!(String::from_utf8_lossy(&out), expected, "{flags}");
        };
        check("B", "a+b_%2f%3f%01%c3");
        check("B,BNP", "a%20b_%2f%3f%01%c3");
        check("B= ?,BNP", "a%20b_/%3f\u{1}\u{fffd}");
        check("B,BNE=/", "a+b_/%3f%01%c3");
        check("BCTLS,BNP", "a%20b_/?%01\u{fffd}");
        check("L", "a b_/?\u{1}\u{fffd}");
    }

    #[test]
    fn conditions_test_what_their_pattern_says() {
        let test = |pattern: &str| {
            let condition = Condition::parse(&format!("%{{HTTP_HOST}} {pattern}")).unwrap();
            let kind = match condition.test {
                Test::Matches(..) => "matches".to_owned(),
                Test::Compare { operator, with, .. } => format!("{operator:?} {with:?}"),
                Test::Number { operator, with, .. } => format!("{operator:?} {with}"),
                Test::File(_, test) => format!("{test:?}"),
                Test::Expression(condition) => condition.text().to_owned(),
            };
            (condition.negated, kind)
        };
        assert_eq!(test("^a"), (false, "matches".into()));
        assert_eq!(test("!^a"), (true, "matches".into()));
        assert_eq!(test("="), (false, "matches".into()));
        assert_eq!(test("=a"), (false, "Equal \"a\"".into()));
        assert_eq!(test("!=\"\""), (true, "Equal \"\"".into()));
        assert_eq!(test("<=a"), (false, "LessOrEqual \"a\"".into()));
        assert_eq!(test(">a"), (false, "Greater \"a\"".into()));
        assert_eq!(test("-eq5"), (false, "Equal 5".into()));
        assert_eq!(test("\"-ge 5\""), (false, "GreaterOrEqual 5".into()));
        assert_eq!(test("!-ne5"), (false, "Equal 5".into()));
        assert_eq!(test("-f"), (false, "File".into()));
        assert_eq!(test("!-d"), (true, "Folder".into()));
        assert_eq!(test("-foo"), (false, "matches".into()));
        let condition = Condition::parse("expr \"true || false\" [OR,NV]").unwrap();
        assert!(condition.or_next && condition.no_vary);
        assert!(Condition::parse("a b [X]").unwrap_err().contains("unknown flag 'X'"));
    }
}
