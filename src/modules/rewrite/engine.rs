//! The rules, one after the other: what becomes of a path or a file's name.
//!
//! ```text
//! subject ─▶ rule 1 ─▶ rule 2 ─▶ … ─▶ Verdict      a rule sees what the rules before it have made
//!              ▲                 │
//!              └────── [N] ──────┘
//! ```

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io;
use std::path::Path;

use herdgate_sys::file::{Kind, Stat};

use super::rule::{Condition, FileTest, Flags, Operator, Query, Rule, Test, leading_number};
use super::template::{Ahead, Part, Template, Variable};
use super::{Server, uri};
use crate::expr::{Facts as _, Groups};
use crate::files::Access;
use crate::http::field::is_value;
use crate::http::status::Status;
use crate::log::{Level, Quoted};
use crate::modules::core::Level as Threshold;
use crate::regex::{Captures, Case};
use crate::request::{Request, Stop};

/// Rounds that are gone inline; a longer loop is a job's.
const INLINE_ROUNDS_MAX: u32 = 50;

/// What the rules say.
pub(super) enum Verdict<'e> {
    /// No rule has changed anything.
    Unchanged,
    /// The request ends like this.
    Status(Status),
    Changed(Changed<'e>),
}

/// What the rules have made.
pub(super) struct Changed<'e> {
    /// A path, a file's name, or an absolute URL.
    pub(super) subject: Vec<u8>,
    /// Whether the last rule leaves it to us to escape a URL.
    pub(super) escape: bool,
    /// `[R]`
    pub(super) redirect: Option<Status>,
    /// `[PT]`
    pub(super) pass_through: bool,
    /// It was a URL of this server, and became a path.
    pub(super) reduced: bool,
    /// The rule whose substitution was the last.
    pub(super) last: Option<&'e Rule>,
}

/// The folder that rules in sections are for.
#[derive(Clone, Copy)]
pub(super) struct Folder<'e> {
    /// With a slash at its end.
    pub(super) path: &'e [u8],
    pub(super) base: Option<&'e str>,
}

/// One run of rules over a request. The query is the request's own, and changes at once.
pub(super) struct Run<'e, 'q, 'r> {
    pub(super) request: &'q mut Request<'r>,
    /// The host's maps.
    pub(super) server: &'e Server,
    /// `None`: outside of sections.
    pub(super) folder: Option<Folder<'e>>,
    /// What is rewritten.
    pub(super) subject: Vec<u8>,
    /// What the client has written behind the file's name; each rule of a folder sees it again.
    pub(super) path_info: Vec<u8>,
    /// What the rule at hand is matched against.
    matched: Vec<u8>,
    rule_groups: Groups,
    condition_groups: Groups,
    /// Fields of the request that the condition at hand has asked for.
    asked: Vec<String>,
    redirect: Option<Status>,
    reduced: bool,
    is_traced: bool,
}

/// What one rule has done.
enum Applied {
    No,
    /// It matched, and left the subject as it is.
    Matched,
    Substituted,
    Refused(Status),
}

/// A template, filled.
struct Filled {
    text: Vec<u8>,
    /// The question mark that begins the query comes from what was filled in.
    has_foreign_mark: bool,
}

impl<'e, 'q, 'r> Run<'e, 'q, 'r> {
    pub(super) fn new(
        request: &'q mut Request<'r>,
        server: &'e Server,
        folder: Option<Folder<'e>>,
        subject: Vec<u8>,
        path_info: Vec<u8>,
    ) -> Self {
        let is_explained = request.is_traced();
        let threshold = request.place.settings.core.log_levels().level("rewrite");
        Run {
            request,
            server,
            folder,
            subject,
            path_info,
            matched: Vec::new(),
            rule_groups: Groups::new(),
            condition_groups: Groups::new(),
            asked: Vec::new(),
            redirect: None,
            reduced: false,
            is_traced: threshold >= Threshold::Trace(1) || is_explained,
        }
    }

    /// Obeys the rules.
    pub(super) fn obey(&mut self, rules: &'e [std::sync::Arc<Rule>]) -> Result<Verdict<'e>, Stop> {
        let mut changed: Option<Changed<'e>> = None;
        let mut rounds = 1;
        let mut at = 0;
        let mut last = None;
        while let Some(rule) = rules.get(at) {
            at += 1;
            let main_only = rule.flags.has(Flags::NO_SUBREQUEST) || rule.flags.has(Flags::REDIRECT);
            if main_only && self.request.is_subrequest() {
                continue;
            }
            let applied = self.apply(rule)?;
            match applied {
                Applied::No => {
                    at += rules[at - 1..]
                        .iter()
                        .take_while(|rule| rule.flags.has(Flags::CHAIN))
                        .count();
                    continue;
                }
                Applied::Refused(status) => return Ok(Verdict::Status(status)),
                Applied::Matched => {}
                Applied::Substituted => last = Some(&**rule),
            }
            if self.is_too_long(rule) {
                return Ok(Verdict::Status(Status::INTERNAL_SERVER_ERROR));
            }
            if let Some(status) = rule.status {
                return Ok(Verdict::Status(status));
            }
            let pass_through = rule.flags.has(Flags::PASS_THROUGH);
            if matches!(applied, Applied::Substituted) || pass_through {
                let escape = !rule.flags.has(Flags::NO_ESCAPE) || pass_through;
                changed = Some(self.changed(escape, pass_through, last));
            }
            if pass_through {
                break;
            }
            if rule.flags.has(Flags::END) {
                self.request.rewriting.end();
                break;
            }
            if rule.flags.has(Flags::LAST) {
                break;
            }
            if rule.flags.has(Flags::NEXT) {
                rounds += 1;
                self.check_rounds(rule, rounds)?;
                at = 0;
                continue;
            }
            at += rule.skip;
        }
        Ok(match changed {
            None => Verdict::Unchanged,
            Some(changed) => Verdict::Changed(Changed {
                subject: std::mem::take(&mut self.subject),
                redirect: self.redirect,
                reduced: self.reduced,
                ..changed
            }),
        })
    }

    fn changed(&self, escape: bool, pass_through: bool, last: Option<&'e Rule>) -> Changed<'e> {
        Changed { subject: Vec::new(), escape, redirect: None, pass_through, reduced: false, last }
    }

    /// Rules that make a path grow without an end are stopped here.
    fn is_too_long(&self, rule: &Rule) -> bool {
        let bytes_max = 2 * self.request.host().settings.core.limits().line_bytes_max;
        if self.subject.len() <= bytes_max {
            return false;
        }
        self.request.log(Level::Error, "rewrite").say(format_args!(
            "RewriteRule '{}' and URI '{}' exceeded maximum length ({bytes_max})",
            rule.pattern.text,
            Quoted(&self.request.place.path)
        ));
        true
    }

    /// `[N=max]`. Going round for long is nothing for a loop that others wait for.
    fn check_rounds(&self, rule: &Rule, rounds: u32) -> Result<(), Stop> {
        if rounds >= rule.rounds_max {
            self.request.log(Level::Error, "rewrite").say(format_args!(
                "AH02596: RewriteRule '{}' and URI '{}' exceeded maximum number of rounds ({}) via the [N] flag",
                rule.pattern.text,
                Quoted(&self.request.place.path),
                rule.rounds_max
            ));
            return Err(crate::request::Refusal::stop(Status::INTERNAL_SERVER_ERROR));
        }
        if rounds > INLINE_ROUNDS_MAX && self.request.access == Access::Inline {
            return Err(Stop::WouldBlock);
        }
        Ok(())
    }

    fn apply(&mut self, rule: &Rule) -> Result<Applied, Stop> {
        self.matched = self.to_be_matched();
        self.trace(3, || {
            format!("applying pattern '{}' to uri '{}'", rule.pattern.text, Quoted(&self.matched))
        });
        let groups = rule.pattern.regex.captures(&self.matched).map(|found| owned(&found));
        if groups.is_some() == rule.pattern.negated {
            return Ok(Applied::No);
        }
        self.rule_groups = groups.unwrap_or_default();
        self.condition_groups.clear();
        if !self.conditions_hold(&rule.conditions)? {
            return Ok(Applied::No);
        }
        let filled = match &rule.substitution {
            None => None,
            Some(substitution) => {
                let filled = self.fill(&substitution.template, Some(rule))?;
                self.trace(2, || {
                    let (from, to) = (Quoted(&self.matched), Quoted(&filled.text));
                    format!("rewrite '{from}' -> '{to}'")
                });
                if filled.has_foreign_mark && !rule.flags.has(Flags::ALLOW_MARK) {
                    self.request.log(Level::Error, "rewrite").say(format_args!(
                        "AH10508: Unsafe URL with %3f URL rewritten without UnsafeAllow3F"
                    ));
                    return Ok(Applied::Refused(Status::FORBIDDEN));
                }
                Some(filled.text)
            }
        };
        self.set_variables(rule)?;
        self.set_cookies(rule)?;
        match filled {
            None => {
                self.set_media(rule)?;
                Ok(Applied::Matched)
            }
            Some(text) => self.substitute(rule, text),
        }
    }

    /// The path; in a folder what is behind the folder's name.
    fn to_be_matched(&self) -> Vec<u8> {
        let Some(folder) = self.folder else { return self.subject.clone() };
        let whole = [self.subject.as_slice(), &self.path_info].concat();
        whole.strip_prefix(folder.path).map_or_else(|| whole.clone(), <[u8]>::to_vec)
    }

    fn substitute(&mut self, rule: &Rule, mut text: Vec<u8>) -> Result<Applied, Stop> {
        let redirects = rule.flags.has(Flags::REDIRECT);
        let mut prefixed = false;
        if !text.starts_with(b"/") && uri::scheme(&text).is_none() {
            match self.folder {
                Some(folder) => {
                    text = [folder.path, &text].concat();
                    prefixed = true;
                }
                // What a client wrote must not become a scheme later on.
                None if !redirects => {
                    text.insert(0, b'/');
                    prefixed = true;
                }
                None => {}
            }
        }
        self.subject = text;
        if self.folder.is_some() && rule.flags.has(Flags::DISCARD_PATH_INFO) {
            self.path_info.clear();
        }
        self.split_query(rule.query);
        if redirects {
            self.qualify();
            self.redirect = Some(rule.redirect);
            return Ok(Applied::Substituted);
        }
        self.reduce();
        if uri::scheme(&self.subject).is_some() {
            self.redirect = Some(rule.redirect);
            return Ok(Applied::Substituted);
        }
        let written = rule.substitution.as_ref().map_or("", |it| &it.text);
        if !prefixed && !rule.flags.has(Flags::KEEP_SLASHES) && !written.starts_with("//") {
            let more = self.subject.iter().take_while(|byte| **byte == b'/').count();
            self.subject.drain(..more.saturating_sub(1));
        }
        self.set_media(rule)?;
        Ok(Applied::Substituted)
    }

    /// What stands behind a question mark becomes the query.
    fn split_query(&mut self, rule: Query) {
        let scheme = uri::scheme(&self.subject);
        let query = &mut self.request.query;
        if rule.none || scheme.is_some_and(|scheme| !scheme.has_query) {
            *query = None;
            return;
        }
        if rule.discard {
            *query = None;
        }
        let from = scheme.map_or(0, |scheme| scheme.bytes);
        let rest = &self.subject[from..];
        let mark =
            if rule.last_mark { memchr::memrchr(b'?', rest) } else { memchr::memchr(b'?', rest) };
        let Some(mark) = mark else { return };
        let own = self.subject[from + mark + 1..].to_vec();
        self.subject.truncate(from + mark);
        if !rule.append {
            *query = Some(Cow::Owned(own));
        } else if !own.is_empty() {
            let before = query.as_deref().unwrap_or_default();
            *query = Some(Cow::Owned([&own, &b"&"[..], before].concat()));
        }
        let without_end = query.as_deref().map(|query| query.strip_suffix(b"&").unwrap_or(query));
        *query = match without_end {
            None | Some(b"") => None,
            Some(left) => Some(Cow::Owned(left.to_vec())),
        };
    }

    /// Puts the server's own name before a path.
    fn qualify(&mut self) {
        if uri::scheme(&self.subject).is_none() {
            let names = self.request.names().to_string();
            let slash = if self.subject.starts_with(b"/") { "" } else { "/" };
            self.subject = [names.as_bytes(), slash.as_bytes(), &self.subject].concat();
        }
    }

    /// A URL of this very host is a path.
    fn reduce(&mut self) {
        let names = self.request.names();
        let start = format!("{}://", names.scheme);
        let Some(rest) = self
            .subject
            .get(..start.len())
            .filter(|found| found.eq_ignore_ascii_case(start.as_bytes()))
            .map(|_| &self.subject[start.len()..])
        else {
            return;
        };
        let slash = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let (host, port) = match memchr::memchr(b':', authority) {
            Some(colon) => (&authority[..colon], leading_number(&authority[colon + 1..])),
            None => (authority, if names.scheme == "https" { 443 } else { 80 }),
        };
        let is_ours =
            std::str::from_utf8(host).is_ok_and(|host| self.request.is_own_name(host, port));
        if is_ours {
            let path: &[u8] = if path.is_empty() { b"/" } else { path };
            self.subject = path.to_vec();
            self.reduced = true;
        }
    }

    // ---- side effects

    fn set_variables(&mut self, rule: &Rule) -> Result<(), Stop> {
        for template in &rule.variables {
            let text = self.fill(template, None)?.text;
            let text = String::from_utf8_lossy(&text);
            if let Some(name) = text.strip_prefix('!') {
                self.request.env.unset(name);
                continue;
            }
            let (name, value) = text.split_once(':').unwrap_or((&text, ""));
            self.request.env.set(name.to_owned(), value);
        }
        Ok(())
    }

    fn set_cookies(&mut self, rule: &Rule) -> Result<(), Stop> {
        for template in &rule.cookies {
            let text = self.fill(template, None)?.text;
            if let Some((name, cookie)) = super::cookie::set_cookie(&text, self.request.now().secs)
                && is_value(&cookie)
                && self.request.rewriting.sets_cookie(name)
            {
                self.request.always.push("Set-Cookie", &cookie);
            }
        }
        Ok(())
    }

    fn set_media(&mut self, rule: &Rule) -> Result<(), Stop> {
        if let Some(template) = &rule.media_type {
            let text = self.fill(template, Some(rule))?.text;
            self.request.rewriting.force_type(&text);
        }
        if let Some(template) = &rule.handler {
            let text = self.fill(template, Some(rule))?.text;
            self.request.rewriting.force_handler(&text);
        }
        Ok(())
    }

    // ---- conditions

    fn conditions_hold(&mut self, conditions: &[Condition]) -> Result<bool, Stop> {
        self.asked.clear();
        let mut depends_on = Vec::new();
        let mut list = conditions.iter();
        while let Some(condition) = list.next() {
            let holds = self.holds(condition)?;
            if condition.no_vary {
                self.asked.clear();
            }
            if condition.or_next {
                if !holds {
                    self.asked.clear();
                    continue; // The next one may still hold.
                }
                let mut passed = condition;
                while passed.or_next {
                    let Some(next) = list.next() else { break };
                    passed = next;
                }
            } else if !holds {
                return Ok(false);
            }
            depends_on.append(&mut self.asked);
        }
        depends_on.iter().for_each(|name| self.request.varies_by(name));
        Ok(true)
    }

    fn holds(&mut self, condition: &Condition) -> Result<bool, Stop> {
        let mut groups = None;
        let holds = match &condition.test {
            Test::Matches(input, regex) => {
                let input = self.fill(input, None)?.text;
                groups = regex.captures(&input).map(|found| owned(&found));
                self.trace_condition(condition, &input, groups.is_some() != condition.negated);
                groups.is_some()
            }
            Test::Expression(expression) => {
                let mut found = Groups::new();
                let mut ask = || expression.holds(&self.request.known(), &mut found);
                let holds = match condition.no_vary {
                    true => self.request.without_vary(ask),
                    false => ask(),
                };
                let holds = holds.map_err(|_| Stop::WouldBlock)?;
                self.trace_condition(condition, b"expr", holds != condition.negated);
                groups = Some(found).filter(|_| holds);
                holds
            }
            Test::Compare { input, operator, with, case } => {
                let input = self.fill(input, None)?.text;
                let holds = compare(&input, with.as_bytes(), *operator, *case);
                self.trace_condition(condition, &input, holds != condition.negated);
                holds
            }
            Test::Number { input, operator, with } => {
                let input = self.fill(input, None)?.text;
                let holds = operator.holds(leading_number(&input).cmp(with));
                self.trace_condition(condition, &input, holds != condition.negated);
                holds
            }
            Test::File(input, test) => {
                let input = self.fill(input, None)?.text;
                let holds = self.file_test(*test, &input).map_err(|_| Stop::WouldBlock)?;
                self.trace_condition(condition, &input, holds != condition.negated);
                holds
            }
        };
        if let (Some(groups), false) = (groups, condition.negated) {
            self.condition_groups = groups;
        }
        Ok(holds != condition.negated)
    }

    fn file_test(&self, test: FileTest, name: &[u8]) -> io::Result<bool> {
        let facts = self.request.known();
        let look = |follow: bool, holds: fn(&Stat) -> bool| {
            facts.look(name, follow).map(|stat| stat.as_ref().is_some_and(holds))
        };
        match test {
            FileTest::File => look(true, |stat| stat.kind == Kind::File),
            FileTest::FileWithContent => {
                look(true, |stat| stat.kind == Kind::File && stat.size > 0)
            }
            FileTest::Folder => look(true, |stat| stat.kind == Kind::Dir),
            FileTest::Link => look(false, |stat| stat.kind == Kind::Symlink),
            FileTest::Executable => look(true, |stat| stat.mode & 0o111 != 0),
            FileTest::ServedUrl => facts.would_serve(name, false),
            FileTest::ServedFile => facts.would_serve(name, true),
        }
    }

    // ---- filling in

    fn fill(&mut self, template: &Template, rule: Option<&Rule>) -> Result<Filled, Stop> {
        let last_mark = rule.is_some_and(|rule| rule.query.last_mark);
        let mut filled = Filled { text: Vec::new(), has_foreign_mark: false };
        let mut seen_mark = false;
        for part in &template.parts {
            let from = filled.text.len();
            self.fill_part(part, rule, &mut filled.text)?;
            let is_foreign = !matches!(part, Part::Literal(_));
            let has_mark = filled.text[from..].contains(&b'?');
            if has_mark && *part != Part::EscapedMark && (last_mark || !seen_mark) {
                filled.has_foreign_mark = is_foreign;
                seen_mark = true;
            }
        }
        Ok(filled)
    }

    fn fill_part(
        &mut self,
        part: &Part,
        rule: Option<&Rule>,
        out: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        let push_group = |out: &mut Vec<u8>, groups: &Groups, number: usize| {
            let group = groups.get(number).map_or(&b""[..], Vec::as_slice);
            match rule {
                Some(rule) => rule.escapes.push(out, group),
                None => out.extend_from_slice(group),
            }
        };
        match part {
            Part::Literal(text) => out.extend_from_slice(text),
            Part::EscapedMark => out.push(b'?'),
            Part::RuleGroup(number) => push_group(out, &self.rule_groups, *number),
            Part::ConditionGroup(number) => push_group(out, &self.condition_groups, *number),
            Part::Variable(variable) => out.extend(self.variable(variable)?),
            Part::Lookup { map, key, default } => {
                let key = self.fill(key, rule)?.text;
                let value = match self.server.maps.get(map) {
                    Some(map) => map.look_up(self.request, &key)?,
                    None => None,
                };
                match (value, default) {
                    (Some(value), _) => out.extend(value),
                    (None, Some(default)) => out.extend(self.fill(default, rule)?.text),
                    (None, None) => {}
                }
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &Variable) -> Result<Vec<u8>, Stop> {
        let value = match variable {
            Variable::Nothing => None,
            Variable::Field(name) => self.field(name),
            Variable::Env(name) => self.env(name),
            Variable::Ahead(ahead, variable) => self.look_ahead(*ahead, variable)?,
            Variable::Named(name) => match name.as_str() {
                "REQUEST_FILENAME" | "SCRIPT_FILENAME" => Some(self.subject.clone()),
                "PATH_INFO" => Some(self.path_info.clone()),
                "API_VERSION" => Some(b"20120211:0".to_vec()),
                _ => match field_of(name) {
                    Some(field) => self.field(field),
                    None => self.request.known().variable(name),
                },
            },
        };
        Ok(value.unwrap_or_default())
    }

    fn field(&mut self, name: &str) -> Option<Vec<u8>> {
        let value = self.request.known().field(name)?;
        self.asked.push(name.to_owned());
        Some(value)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        let facts = self.request.known();
        let of_process = || std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec);
        facts.note(name).or_else(|| facts.env(name)).or_else(of_process)
    }

    /// What a variable would be in a request for what has been made so far.
    fn look_ahead(&mut self, ahead: Ahead, variable: &Variable) -> Result<Option<Vec<u8>>, Stop> {
        let is_path = self.matched.starts_with(b"/");
        let (path, is_file) = match (ahead, self.folder) {
            (Ahead::Url, Some(folder)) if !is_path => {
                let start = folder.base.map_or(folder.path, str::as_bytes);
                ([start, &self.matched].concat(), false)
            }
            (Ahead::File, Some(folder)) if !is_path => {
                ([folder.path, &self.matched].concat(), true)
            }
            (Ahead::File, None) => (self.matched.clone(), true),
            _ => (self.matched.clone(), false),
        };
        let found = self.request.look_ahead(&path, is_file, |known| match variable {
            Variable::Field(name) => known.field(name),
            Variable::Env(name) => known.note(name).or_else(|| known.env(name)),
            Variable::Named(name) => known.variable(name),
            Variable::Ahead(..) | Variable::Nothing => None,
        });
        found.map_err(|_| Stop::WouldBlock)
    }

    // ---- telling

    /// A line for who asks with `LogLevel rewrite:trace1` and above how a path came about.
    pub(super) fn trace(&self, level: u8, message: impl FnOnce() -> String) {
        if self.is_traced {
            let place = self.folder.map_or(Path::new(""), |folder| {
                Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(
                    folder.path,
                ))
            });
            let message = message();
            self.request.trace("rewrite", format_args!("{message}"));
            let entry = self.request.log(Level::Trace(level), "rewrite");
            match self.folder {
                Some(_) => entry.say(format_args!("[perdir {}] {message}", place.display())),
                None => entry.say(format_args!("{message}")),
            }
        }
    }

    fn trace_condition(&self, condition: &Condition, input: &[u8], holds: bool) {
        self.trace(4, || {
            let verdict = if holds { "matched" } else { "not-matched" };
            let pattern = &condition.text;
            format!("RewriteCond: input='{}' pattern='{pattern}' => {verdict}", Quoted(input))
        });
    }
}

/// The field that a variable stands for.
fn field_of(variable: &str) -> Option<&'static str> {
    Some(match variable {
        "HTTP_ACCEPT" => "Accept",
        "HTTP_COOKIE" => "Cookie",
        "HTTP_FORWARDED" => "Forwarded",
        "HTTP_HOST" => "Host",
        "HTTP_PROXY_CONNECTION" => "Proxy-Connection",
        "HTTP_REFERER" => "Referer",
        "HTTP_USER_AGENT" => "User-Agent",
        _ => return None,
    })
}

fn owned(found: &Captures<'_>) -> Groups {
    (0..10).map(|number| found.get(number).unwrap_or_default().to_vec()).collect()
}

/// As Apache compares texts: without regard to case letter by letter; else the longer one is greater, and the order of
/// bytes decides between equally long ones.
fn compare(left: &[u8], right: &[u8], operator: Operator, case: Case) -> bool {
    let ordering: Ordering = match case {
        Case::Ignored => left.to_ascii_lowercase().cmp(&right.to_ascii_lowercase()),
        Case::Counts => left.len().cmp(&right.len()).then_with(|| left.cmp(right)),
    };
    operator.holds(ordering)
}
