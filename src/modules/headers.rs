//! # mod_headers: fields of responses and requests, changed by rule
//!
//! ```text
//! Header [always] action name [value [replacement]] [early|env=…|expr=…]
//!           │
//!           ├─ always      a table of its own, nearly empty at first, sent with every response, errors included
//!           └─ onsuccess   the fields that the response has; not for pages that tell an error or a redirect
//! RequestHeader …          the client's fields, before the handler sees them
//! ```
//!
//! - Outer sections act before inner ones, and `always` before the others, as in Apache. A field that both tables have
//!   is sent twice.
//! - `early` acts when the request has been read; for responses that is before anything else has set a field.
//! - Date, Server, Content-Length and Transfer-Encoding are the connection's: rules for them have no effect.

use std::borrow::Cow;
use std::sync::Arc;

use herdgate_conf::{Args, Context, Directive, Overrides, Problem, Word};

use super::{EVERYWHERE, Module, status};
use crate::config::DirSettings;
use crate::expr::{Condition, Groups, Text};
use crate::http::field::is_token;
use crate::http::status::Status;
use crate::regex::{Case, Regex};
use crate::request::{Known, Request, Stop};
use crate::response::{Fields, Response};

/// mod_headers' rules of one section.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// `RequestHeader`
    request: Vec<Arc<Rule>>,
    /// `Header always`
    always: Vec<Arc<Rule>>,
    /// `Header`
    onsuccess: Vec<Arc<Rule>>,
}

/// One line.
#[derive(Debug)]
struct Rule {
    action: Action,
    /// The field; for `echo` its pattern is in the action.
    name: String,
    when: When,
}

#[derive(Debug)]
enum Action {
    Set(Value),
    SetIfEmpty(Value),
    Add(Value),
    Append(Value),
    Merge(Value),
    Unset,
    Echo(Regex),
    Edit { regex: Regex, replacement: Value, every: bool },
    Note(Value),
}

/// When a rule is obeyed.
#[derive(Debug)]
enum When {
    Always,
    Early,
    /// `env=name`, or `env=!name` for one that is not set.
    Env {
        name: String,
        is_set: bool,
    },
    Expression(Condition),
}

/// What a value is made of.
#[derive(Debug)]
enum Value {
    Format(Vec<Piece>),
    Expression(Text),
}

#[derive(Debug)]
enum Piece {
    Literal(Vec<u8>),
    /// `%t`
    Received,
    /// `%D`
    Duration,
    /// `%l`
    Load,
    /// `%i`
    Idle,
    /// `%b`
    Busy,
    /// `%{name}e`
    Env(String),
    /// `%{name}s`: there is no TLS.
    Nothing,
}

/// What Apache writes for what is not there.
const NULL: &[u8] = b"(null)";
/// Fields that the connection writes itself.
const OF_CONNECTION: [&str; 4] = ["Date", "Server", "Content-Length", "Transfer-Encoding"];

impl Headers {
    /// What `inner` makes of `self`.
    pub fn merge(&self, inner: &Self) -> Self {
        let both = |outer: &[Arc<Rule>], inner: &[Arc<Rule>]| [outer, inner].concat();
        Self {
            request: both(&self.request, &inner.request),
            always: both(&self.always, &inner.always),
            onsuccess: both(&self.onsuccess, &inner.onsuccess),
        }
    }

    fn is_silent_to_clients(&self) -> bool {
        self.always.is_empty() && self.onsuccess.is_empty()
    }
}

/// When the request has been read: early rules for its fields.
pub(crate) fn post_read_request(request: &mut Request<'_>) -> Result<(), Stop> {
    let base = Arc::clone(request.host().base());
    change_request(&base.headers.request, true, request)
}

/// Last of the fixups: rules for the request's fields.
pub(crate) fn fixups(request: &mut Request<'_>) -> Result<(), Stop> {
    let settings = Arc::clone(&request.place.settings);
    change_request(&settings.headers.request, false, request)
}

fn change_request(rules: &[Arc<Rule>], early: bool, request: &mut Request<'_>) -> Result<(), Stop> {
    let mut rules = rules.iter().filter(|rule| rule.is_early() == early).peekable();
    if rules.peek().is_none() {
        return Ok(());
    }
    let mut fields = Fields::default();
    for (name, value) in request.fields.iter() {
        fields.push(String::from_utf8_lossy(name).into_owned(), value);
    }
    for rule in rules {
        rule.obey(request, &mut fields)?;
        // Later rules see what this one has done.
        request.fields.replace(fields.iter().map(|(name, value)| (name.as_bytes(), value)));
    }
    Ok(())
}

/// Last touches: rules for the response's fields.
/// `always` is what goes along with every response, errors included.
pub(crate) fn finish(
    request: &mut Request<'_>,
    response: &mut Response,
    always: &mut Fields,
) -> Result<(), Stop> {
    let settings = Arc::clone(&request.place.settings);
    let rules = &settings.headers;
    if rules.is_silent_to_clients() {
        return Ok(());
    }
    // Apache cuts out ranges later: conditions on the status see a success like any other.
    let status = response.status;
    if status == Status::PARTIAL_CONTENT {
        response.status = Status::OK;
    }
    if !response.is_page {
        put_early_fields(&rules.onsuccess, request, response)?;
    }
    for rule in rules.always.iter().filter(|rule| !rule.is_early()) {
        rule.obey_for(request, response, Some(&mut *always))?;
    }
    if !response.is_page {
        for rule in rules.onsuccess.iter().filter(|rule| !rule.is_early()) {
            rule.obey_for(request, response, None)?;
        }
    }
    response.status = status;
    for name in OF_CONNECTION {
        always.remove(name);
        response.fields.remove(name);
    }
    Ok(())
}

/// What early rules have set comes before everything else, and gives way to it.
fn put_early_fields(
    rules: &[Arc<Rule>],
    request: &mut Request<'_>,
    response: &mut Response,
) -> Result<(), Stop> {
    let mut fields = Fields::default();
    for rule in rules.iter().filter(|rule| rule.is_early()) {
        rule.obey(request, &mut fields)?;
    }
    for name in response.fields.iter().map(|(name, _)| name).chain(["Content-Type"]) {
        fields.remove(name);
    }
    fields.extend(std::mem::take(&mut response.fields));
    response.fields = fields;
    Ok(())
}

/// Fields that a rule changes.
struct Table<'t> {
    fields: &'t mut Fields,
    /// The response's type, which is kept apart from its fields.
    content_type: Option<&'t mut Option<Cow<'static, str>>>,
}

impl Rule {
    fn is_early(&self) -> bool {
        matches!(self.when, When::Early)
    }

    /// Obeys for a response; what is changed are its own fields unless others are given.
    fn obey_for(
        &self,
        request: &mut Request<'_>,
        response: &mut Response,
        others: Option<&mut Fields>,
    ) -> Result<(), Stop> {
        let facts = Known { response: Some(response), ..request.known() };
        if let Some(value) = self.prepare(&facts)? {
            let fields = others.unwrap_or(&mut response.fields);
            let content_type = Some(&mut response.content_type);
            self.change(&value, request, &mut Table { fields, content_type });
        }
        Ok(())
    }

    /// Obeys for fields alone.
    fn obey(&self, request: &mut Request<'_>, fields: &mut Fields) -> Result<(), Stop> {
        if let Some(value) = self.prepare(&request.known())? {
            self.change(&value, request, &mut Table { fields, content_type: None });
        }
        Ok(())
    }

    /// The value that the rule is about, which may be empty; `None`: the rule does not apply.
    fn prepare(&self, facts: &Known<'_, '_>) -> Result<Option<Vec<u8>>, Stop> {
        if !self.when.holds(facts)? {
            return Ok(None);
        }
        let value = match &self.action {
            Action::Set(value)
            | Action::SetIfEmpty(value)
            | Action::Add(value)
            | Action::Append(value)
            | Action::Merge(value)
            | Action::Note(value)
            | Action::Edit { replacement: value, .. } => value.make(facts)?,
            Action::Unset | Action::Echo(_) => Vec::new(),
        };
        Ok(Some(value))
    }

    fn change(&self, value: &[u8], request: &mut Request<'_>, table: &mut Table<'_>) {
        let name = self.name.as_str();
        match &self.action {
            Action::Set(_) => table.set(name, value),
            Action::SetIfEmpty(_) => {
                if table.fields.get(name).is_none() {
                    table.set(name, value);
                }
            }
            Action::Add(_) => table.fields.push(name.to_string(), value),
            Action::Append(_) => table.fields.append(name.to_string(), value),
            Action::Merge(_) => {
                if !table.fields.get(name).is_some_and(|list| has_element(list, value)) {
                    table.fields.append(name.to_string(), value);
                }
            }
            Action::Unset => table.unset(name),
            Action::Echo(regex) => {
                for (name, value) in request.fields.iter().filter(|(it, _)| regex.is_match(it)) {
                    table.fields.push(String::from_utf8_lossy(name).into_owned(), value);
                }
            }
            Action::Edit { regex, every, .. } => {
                table.edit(name, |text| edit(text, regex, value, *every));
            }
            Action::Note(_) => {
                if let Some(text) = table.fields.get(name) {
                    request.notes.set(String::from_utf8_lossy(value).into_owned(), text);
                }
            }
        }
    }
}

impl Table<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        match &mut self.content_type {
            Some(content_type) if is_content_type(name) => {
                **content_type = Some(String::from_utf8_lossy(value).into_owned().into());
            }
            _ => self.fields.set(name.to_string(), value),
        }
    }

    fn unset(&mut self, name: &str) {
        match &mut self.content_type {
            Some(content_type) if is_content_type(name) => **content_type = None,
            _ => self.fields.remove(name),
        }
    }

    fn edit(&mut self, name: &str, change: impl Fn(&[u8]) -> Vec<u8>) {
        if let Some(Some(text)) = &mut self.content_type
            && is_content_type(name)
        {
            let changed = change(text.as_bytes());
            *text = String::from_utf8_lossy(&changed).into_owned().into();
        }
        self.fields.edit(name, change);
    }
}

fn is_content_type(name: &str) -> bool {
    name.eq_ignore_ascii_case("Content-Type")
}

impl When {
    fn holds(&self, facts: &Known<'_, '_>) -> Result<bool, Stop> {
        match self {
            When::Always | When::Early => Ok(true),
            When::Env { name, is_set } => Ok(facts.request.env.get(name).is_some() == *is_set),
            When::Expression(condition) => {
                condition.holds(facts, &mut Groups::new()).map_err(|_| Stop::WouldBlock)
            }
        }
    }
}

impl Value {
    fn make(&self, facts: &Known<'_, '_>) -> Result<Vec<u8>, Stop> {
        match self {
            Value::Format(pieces) => {
                let mut value = Vec::new();
                pieces.iter().for_each(|piece| piece.push(&mut value, facts.request));
                Ok(value)
            }
            Value::Expression(text) => {
                // As Apache: what a value is made of is told in no Vary, only what a rule depends on.
                let evaluate = || text.evaluate(facts, &Groups::new());
                facts.request.without_vary(evaluate).map_err(|_| Stop::WouldBlock)
            }
        }
    }
}

impl Piece {
    fn push(&self, value: &mut Vec<u8>, request: &Request<'_>) {
        if !matches!(self, Piece::Literal(_) | Piece::Env(_) | Piece::Nothing) {
            request.made_from.cannot_be_repeated();
        }
        match self {
            Piece::Literal(text) => value.extend_from_slice(text),
            Piece::Received => {
                let now = request.now();
                let micros = now.secs * 1_000_000 + i64::from(now.nanos / 1000);
                value.extend_from_slice(format!("t={micros}").as_bytes());
            }
            Piece::Duration => {
                let micros = request.arrival.age().as_micros();
                value.extend_from_slice(format!("D={micros}").as_bytes());
            }
            Piece::Load => {
                value.extend_from_slice(b"l=");
                value.extend_from_slice(load_averages().as_bytes());
            }
            Piece::Idle => value.extend_from_slice(format!("i={}", workers(request).0).as_bytes()),
            Piece::Busy => value.extend_from_slice(format!("b={}", workers(request).1).as_bytes()),
            Piece::Env(name) => value.extend_from_slice(request.env.get(name).unwrap_or(NULL)),
            Piece::Nothing => value.extend_from_slice(NULL),
        }
    }
}

/// How many of a hundred workers are idle, and how many busy. A program that serves nothing has none.
fn workers(request: &Request<'_>) -> (u32, u32) {
    status::percent(request).unwrap_or_default()
}

/// `0.12/0.34/0.56`. The kernel makes this file up when it is read: no disk is asked.
fn load_averages() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join("/")
}

/// Whether a comma-separated list has this element; commas in quotes separate nothing.
fn has_element(list: &[u8], element: &[u8]) -> bool {
    let mut is_quoted = false;
    let mut elements = list.split(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == b',' && !is_quoted
    });
    elements.any(|it| it.trim_ascii_start() == element)
}

/// The value with the first match, or every one, replaced.
fn edit(value: &[u8], regex: &Regex, replacement: &[u8], every: bool) -> Vec<u8> {
    let mut edited = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(found) = regex.captures(rest) {
        let range = found.range();
        edited.extend_from_slice(&rest[..range.start]);
        edited.extend_from_slice(&found.substitute(replacement));
        rest = &rest[range.end..];
        let is_endless = range.is_empty();
        if !every || is_endless || rest.is_empty() {
            break;
        }
    }
    edited.extend_from_slice(rest);
    edited
}

pub(super) const MODULE: Module = Module {
    name: "headers_module",
    file: "mod_headers.c",
    server: &[],
    host: &[],
    directory: DIRECTIVES,
};

const DIRECTIVES: &[Directive<DirSettings>] = &[
    Directive {
        name: "Header",
        syntax: "Header [always|onsuccess] add|append|echo|edit|edit*|merge|note|set|setifempty|unset name [[expr=]value] \
                 [replacement] [early|env=[!]variable|expr=expression]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Changes fields of responses; with `always` in a table of its own that errors and redirects are sent with, \
               too. In values `%t` is when the request came, `%D` how long it took, `%l` the load, `%i` and `%b` how \
               many workers of a hundred are idle and busy, `%{name}e` a variable and `%%` a per cent sign; behind \
               `expr=` stands an expression.",
        apply: |settings, args| {
            let mut action = args.required()?;
            let mut rules = &mut settings.headers.onsuccess;
            if action.text.eq_ignore_ascii_case("always") {
                rules = &mut settings.headers.always;
                action = args.required()?;
            } else if action.text.eq_ignore_ascii_case("onsuccess") {
                action = args.required()?;
            }
            rules.push(Arc::new(rule(action, args, true)?));
            Ok(())
        },
    },
    Directive {
        name: "RequestHeader",
        syntax: "RequestHeader add|append|edit|edit*|merge|note|set|setifempty|unset name [[expr=]value] [replacement] \
                 [early|env=[!]variable|expr=expression]",
        default: None,
        contexts: EVERYWHERE,
        overrides: Overrides::FILE_INFO,
        docs: "Changes fields of requests, as if the client had sent them so, before the content is looked at.",
        apply: |settings, args| {
            let action = args.required()?;
            settings.headers.request.push(Arc::new(rule(action, args, false)?));
            Ok(())
        },
    },
];

fn rule(action: &Word, args: &mut Args<'_>, may_echo: bool) -> Result<Rule, Problem> {
    let name = args.required()?;
    let action = match action.text.to_ascii_lowercase().as_str() {
        "set" => Action::Set(value(args.required()?)?),
        "setifempty" => Action::SetIfEmpty(value(args.required()?)?),
        "add" => Action::Add(value(args.required()?)?),
        "append" => Action::Append(value(args.required()?)?),
        "merge" => Action::Merge(value(args.required()?)?),
        "note" => Action::Note(value(args.required()?)?),
        "unset" => Action::Unset,
        "echo" if may_echo => Action::Echo(Regex::of_word(name, Case::Counts)?),
        "echo" => {
            return Err(Problem::at(action, "Header echo only valid on Header directives"));
        }
        edit @ ("edit" | "edit*") => Action::Edit {
            regex: Regex::of_word(args.required()?, Case::Counts)?,
            replacement: value(args.required()?)?,
            every: edit == "edit*",
        },
        _ => {
            let message = "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', \
                           'note', 'edit', or 'edit*'.";
            return Err(Problem::at(action, message));
        }
    };
    let when = args.next().map_or(Ok(When::Always), when)?;
    if matches!(when, When::Early)
        && matches!(args.context(), Context::Directory | Context::Htaccess)
    {
        args.warn(Problem::at(name, "early has no effect in a section: it comes before sections"));
    }
    let field = name.text.split(':').next().unwrap_or_default();
    if !matches!(action, Action::Echo(_)) && !is_token(field.as_bytes()) {
        return Err(Problem::at(name, format!("{field:?} is no name of a field")));
    }
    Ok(Rule { action, name: field.to_string(), when })
}

fn when(word: &Word) -> Result<When, Problem> {
    let text = word.text.as_str();
    let after = |prefix: &str| {
        let start = text.get(..prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
    };
    if text.eq_ignore_ascii_case("early") {
        return Ok(When::Early);
    }
    if let Some(name) = after("env=") {
        let is_set = !name.starts_with('!');
        let name = name.trim_start_matches('!').to_string();
        if name.is_empty() {
            let message = "error: missing environment variable name. envclause should be in the form env=envar ";
            return Err(Problem::at(word, message));
        }
        return Ok(When::Env { name, is_set });
    }
    if let Some(expression) = after("expr=") {
        let condition = Condition::parse(expression);
        return condition
            .map(When::Expression)
            .map_err(|why| Problem::at(word, format!("Can't parse envclause/expression: {why}")));
    }
    Err(Problem::at(word, format!("Unknown parameter: {text}")))
}

fn value(word: &Word) -> Result<Value, Problem> {
    if let Some(text) = word.text.strip_prefix("expr=") {
        let text = Text::parse(text);
        return text
            .map(Value::Expression)
            .map_err(|why| Problem::at(word, format!("Can't parse value expression : {why}")));
    }
    format(&word.text).map(Value::Format).map_err(|why| Problem::at(word, why))
}

/// Reads `text with %t and %{NAME}e`.
fn format(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(percent) = rest.find('%') {
        if percent > 0 {
            pieces.push(Piece::Literal(rest[..percent].into()));
        }
        rest = &rest[percent + 1..];
        let argument = match rest.strip_prefix('{') {
            Some(inside) => {
                let (name, after) = inside.split_once('}').ok_or("Header format: } is missing")?;
                rest = after;
                Some(name)
            }
            None => None,
        };
        let mut letters = rest.chars();
        let letter = letters.next();
        rest = letters.as_str();
        pieces.push(match (letter, argument) {
            (None | Some('%'), None) => Piece::Literal(b"%".to_vec()), // Also a percent sign at the end.
            (Some('t'), _) => Piece::Received,
            (Some('D'), _) => Piece::Duration,
            (Some('l'), _) => Piece::Load,
            (Some('e'), Some(name)) => Piece::Env(name.to_string()),
            (Some('e'), None) => Piece::Env(String::new()),
            (Some('s'), _) => Piece::Nothing,
            (Some('i'), _) => Piece::Idle,
            (Some('b'), _) => Piece::Busy,
            (letter, _) => {
                let letter = letter.map(String::from).unwrap_or_default();
                return Err(format!("Unrecognized header format %{letter}"));
            }
        });
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.into()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_told_apart_by_commas_outside_of_quotes() {
        assert!(has_element(b"a, b,c", b"b"));
        assert!(has_element(b"a, \"b,c\", d", b"\"b,c\""));
        assert!(!has_element(b"a, \"b,c\"", b"c\""));
        assert!(!has_element(b"abc", b"b") && !has_element(b"B", b"b"));
    }

    #[test]
    fn edits_replace_the_first_match_or_all() {
        let regex = Regex::new("a(.)", Case::Counts).unwrap();
        let edited = |value: &[u8], every| edit(value, &regex, b"<$1>", every);
        assert_eq!(edited(b"xabac", false), b"x<b>ac");
        assert_eq!(edited(b"xabac", true), b"x<b><c>");
        assert_eq!(edited(b"none", true), b"none");
        let empty = Regex::new("$", Case::Counts).unwrap();
        assert_eq!(edit(b"path", &empty, b"; Secure", true), b"path; Secure");
    }

    #[test]
    fn formats_are_read_once() {
        let pieces = format("100%% of %{NAME}e at %t%").unwrap();
        let seen = format!("{pieces:?}");
        for part in ["Literal([37])", "Env(\"NAME\")", "Received"] {
            assert!(seen.contains(part), "{seen}");
        }
        assert!(format("%q").is_err() && format("%{x").is_err() && format("%").is_ok());
        assert!(format("").unwrap().is_empty());
    }
}
