//! `Options`: what a directory's content may do.
//!
//! `All` leaves out MultiViews and SymLinksIfOwnerMatch, as in Apache; unset everywhere means
//! FollowSymLinks.

use herdgate_conf::{Args, Problem, Word, nearest};

use crate::modules::change::Change;

/// A set of options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options(u32);

impl Options {
    /// No option at all.
    pub const NONE: Self = Self(0);
    /// A directory without an index file may be listed.
    pub const INDEXES: Self = Self(1);
    /// Server-side includes. Read, and without effect: there is no mod_include yet.
    pub const INCLUDES: Self = Self(2);
    /// Server-side includes without programs. Without effect, as [`Options::INCLUDES`].
    pub const INCLUDES_NO_EXEC: Self = Self(4);
    /// Symbolic links are followed wherever they lead.
    pub const FOLLOW_SYM_LINKS: Self = Self(8);
    /// Symbolic links are followed when link and target have one owner.
    pub const SYM_LINKS_IF_OWNER_MATCH: Self = Self(16);
    /// CGI scripts may run. Read, and without effect: there is no mod_cgi yet.
    pub const EXEC_CGI: Self = Self(32);
    /// Content negotiation by file name. Read, and without effect: there is no mod_negotiation yet.
    pub const MULTI_VIEWS: Self = Self(64);
    /// Herdgate's own: links are followed so long as they stay beneath the root that the file is
    /// served from.
    pub const SYM_LINKS_BENEATH: Self = Self(128);
    /// What `Options All` means.
    pub const ALL: Self = Self(
        Self::INDEXES.0
            | Self::INCLUDES.0
            | Self::INCLUDES_NO_EXEC.0
            | Self::FOLLOW_SYM_LINKS.0
            | Self::EXEC_CGI.0,
    );
    /// What holds where no `Options` was written.
    pub const DEFAULT: Self = Self::FOLLOW_SYM_LINKS;

    /// Whether every option of `others` is set.
    pub fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn effective(change: &Change) -> Self {
        Self(change.effective(Self::DEFAULT.0))
    }
}

/// What may stand in an `Options` line besides All and None.
const NAMES: &[(&str, Options)] = &[
    ("Indexes", Options::INDEXES),
    ("FollowSymLinks", Options::FOLLOW_SYM_LINKS),
    ("SymLinksIfOwnerMatch", Options::SYM_LINKS_IF_OWNER_MATCH),
    ("SymLinksBeneath", Options::SYM_LINKS_BENEATH),
    ("MultiViews", Options::MULTI_VIEWS),
    ("ExecCGI", Options::EXEC_CGI),
    // Where programs may run, the form without them may as well.
    ("Includes", Options(Options::INCLUDES.0 | Options::INCLUDES_NO_EXEC.0)),
    ("IncludesNOEXEC", Options::INCLUDES_NO_EXEC),
];

/// The option of this name, or `All` or `None`.
pub(super) fn named_option(name: &str) -> Option<Options> {
    let more = [("All", Options::ALL), ("None", Options::NONE)];
    let mut names = NAMES.iter().chain(&more);
    names.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, option)| *option)
}

/// The option that a word of an `Options` line is about.
pub(super) fn known(word: &Word) -> Option<Options> {
    named_option(word.text.trim_start_matches(['+', '-']))
}

/// One `Options` line: all values carry a sign, or none does; All and None may only begin it.
pub(super) fn parse(args: &mut Args<'_>) -> Result<Change, Problem> {
    let first = args.required()?;
    let whole = match first.text.to_ascii_lowercase().as_str() {
        "all" => Some(Options::ALL),
        "none" => Some(Options::NONE),
        _ => None,
    };
    if let Some(all_or_none) = whole {
        // A signed list may follow: `Options None +Indexes`.
        return args.try_fold(Change::to(all_or_none.0), |change, word| match sign_of(word) {
            Some(sign) => Ok(change.merge(&signed(sign, named(word)?))),
            None => Err(mixed(word)),
        });
    }
    match sign_of(first) {
        Some(sign) => {
            let start = signed(sign, named(first)?);
            args.try_fold(start, |change, word| match sign_of(word) {
                Some(sign) => Ok(change.merge(&signed(sign, named(word)?))),
                None => Err(mixed(word)),
            })
        }
        None => {
            let start = named(first)?.0;
            let flags = args.try_fold(start, |flags, word| match sign_of(word) {
                None => Ok(flags | named(word)?.0),
                Some(_) => Err(mixed(word)),
            })?;
            Ok(Change::to(flags))
        }
    }
}

fn sign_of(word: &Word) -> Option<char> {
    word.text.chars().next().filter(|first| matches!(first, '+' | '-'))
}

fn signed(sign: char, option: Options) -> Change {
    if sign == '+' { Change::adding(option.0) } else { Change::removing(option.0) }
}

fn named(word: &Word) -> Result<Options, Problem> {
    let name = word.text.trim_start_matches(['+', '-']);
    if let Some((_, option)) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return Ok(*option);
    }
    if name.eq_ignore_ascii_case("all") || name.eq_ignore_ascii_case("none") {
        return Err(Problem::at(
            word,
            format!("{name} must be the first value and without a sign"),
        ));
    }
    let problem = Problem::at(word, format!("Illegal option {name}"));
    Err(match nearest(name, NAMES.iter().map(|(known, _)| *known)) {
        Some(known) => problem.help(format!("did you mean {known}?")),
        None => problem,
    })
}

fn mixed(word: &Word) -> Problem {
    Problem::at(word, "Either all Options must start with + or -, or no Option may.")
}
