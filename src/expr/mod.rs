//! # expr: Apache's expressions, as after `<If>`, `Require expr` and `expr=`
//!
//! ```text
//! "%{HTTP_HOST} == 'example.org' && -f '%{REQUEST_FILENAME}.gz'"      Condition: yes or no
//! "%{tolower:%{HTTP_HOST}}-$1"                                         Text: a string
//!          │ parse, once, when the configuration is read
//!          ▼
//!       a tree ── evaluate(facts) ──▶ yes, no, or bytes
//! ```
//!
//! - Mistakes are found when the configuration is read, never while serving.
//! - What an expression may ask is the trait [`Facts`]: a request has them, and so has a line of the log.
//! - Strings are bytes. What is missing is empty.
//! - `$0` to `$9` are the groups of the last regular expression that matched, in this expression or before it.

mod evaluate;
mod parse;

use std::io;
use std::net::IpAddr;

use herdgate_sys::file::Stat;

use crate::http::escape;
use crate::modules::authz_host::Network;
use crate::regex::Regex;

/// What is true or false.
#[derive(Clone, Debug)]
pub struct Condition {
    tree: Cond,
    /// As written.
    text: Box<str>,
}

/// What is a string.
#[derive(Clone, Debug)]
pub struct Text {
    word: Word,
}

/// The groups that `$0` to `$9` stand for; empty before the first match.
pub type Groups = Vec<Vec<u8>>;

/// What an expression can ask for.
pub trait Facts {
    /// A variable, its name in upper case: `REQUEST_URI`. `None`: there is no such thing, or nothing is known.
    fn variable(&self, name: &str) -> Option<Vec<u8>>;
    /// A field of the request.
    fn field(&self, name: &str) -> Option<Vec<u8>>;
    /// Notes that the answer depends on this field of the request, which Vary tells caches.
    fn varies_by(&self, _field: &str) {}
    /// A field of the response, as far as there is one.
    fn response_field(&self, name: &str) -> Option<Vec<u8>>;
    /// A variable of the request's environment.
    fn env(&self, name: &str) -> Option<Vec<u8>>;
    /// A note that modules leave each other.
    fn note(&self, name: &str) -> Option<Vec<u8>>;
    /// The client's address.
    fn client(&self) -> Option<IpAddr>;
    /// What a file's name stands for, links followed or not.
    ///
    /// # Errors
    /// `WouldBlock`: a job has to find out.
    fn look(&self, file: &[u8], follow: bool) -> io::Result<Option<Stat>>;
    /// The content of a file; `None` if it cannot be had.
    ///
    /// # Errors
    /// `WouldBlock`: a job has to find out.
    fn read(&self, file: &[u8]) -> io::Result<Option<Vec<u8>>>;
    /// Whether a request for this path would be allowed (`-U`), and lead to a file (`-F`, which is given a file's name).
    ///
    /// # Errors
    /// `WouldBlock`: a job has to find out.
    fn would_serve(&self, path_or_file: &[u8], is_file: bool) -> io::Result<bool>;
}

/// A condition's tree.
#[derive(Clone, Debug)]
enum Cond {
    Always(bool),
    Not(Box<Cond>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    Strings(Comparison, Word, Word),
    Integers(Comparison, Word, Word),
    Matches { word: Word, regex: Regex, negated: bool },
    In(Word, Vec<Word>),
    IpMatch(Word, Subnet),
    FromSubnet(Subnet),
    Wildcards { word: Word, pattern: Word, kind: Wildcards },
    Test(Test, Word),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An address with a mask: read once if it is written out.
#[derive(Clone, Debug)]
enum Subnet {
    Known(Network),
    Computed(Word),
}

/// The kinds of matching by wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wildcards {
    /// `-strmatch`
    Plain,
    /// `-strcmatch`: whatever the case.
    IgnoreCase,
    /// `-fnmatch`: wildcards stop at slashes.
    Path,
}

/// The tests of one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// `-n`
    NotEmpty,
    /// `-z`
    Empty,
    /// `-T`: not empty, and not `0`, `off`, `false` or `no`.
    True,
    /// `-d`
    Folder,
    /// `-e`
    Exists,
    /// `-f`
    File,
    /// `-s`
    FileWithContent,
    /// `-L`, `-h`
    Link,
    /// `-F`
    ServedFile,
    /// `-U`, `-A`
    ServedUrl,
}

/// A string's parts.
#[derive(Clone, Debug)]
enum Word {
    Literal(Vec<u8>),
    /// `%{NAME}`
    Variable(String),
    /// `$1`
    Group(usize),
    /// `name(word)` and `%{name:text}`
    Call(Function, Box<Word>),
    /// One behind the other.
    Joined(Vec<Word>),
}

/// The functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Field,
    /// As `Field`, but caches are not told (`req_novary`).
    FieldUntold,
    ResponseField,
    Env,
    OsEnv,
    Note,
    /// The first of note, env and osenv.
    AnyEnv,
    ToLower,
    ToUpper,
    Escape,
    Unescape,
    Base64,
    Unbase64,
    Md5,
    Sha1,
    FileContent,
    FileSize,
    Ldap,
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { tree: parse::condition(text)?, text: text.into() })
    }

    /// Whether it holds. `groups` is what `$0` to `$9` stand for, before and after.
    ///
    /// # Errors
    /// `WouldBlock`: a job has to find out.
    pub fn holds(&self, facts: &dyn Facts, groups: &mut Groups) -> io::Result<bool> {
        evaluate::condition(&self.tree, facts, groups)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Text {
    /// Reads a string with variables in it.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { word: parse::text(text)? })
    }

    /// What it comes to.
    ///
    /// # Errors
    /// `WouldBlock`: a job has to find out.
    pub fn evaluate(&self, facts: &dyn Facts, groups: &Groups) -> io::Result<Vec<u8>> {
        evaluate::word(&self.word, facts, groups)
    }

    /// What it comes to within HTML: as written, and what was filled in is text, not markup.
    ///
    /// # Errors
    /// `WouldBlock`: a job has to find out.
    pub fn evaluate_as_html(&self, facts: &dyn Facts, groups: &Groups) -> io::Result<Vec<u8>> {
        let mut html = Vec::new();
        let parts = if let Word::Joined(parts) = &self.word {
            parts.as_slice()
        } else {
            std::slice::from_ref(&self.word)
        };
        for part in parts {
            match part {
                Word::Literal(literal) => html.extend_from_slice(literal),
                Word::Variable(_) | Word::Group(_) | Word::Call(..) | Word::Joined(_) => {
                    escape::push_html(&mut html, &evaluate::word(part, facts, groups)?);
                }
            }
        }
        Ok(html)
    }
}

#[cfg(test)]
mod tests;
