//! # changes: what a reload has changed, in the words of the files
//!
//! ```text
//! Outline of the old ─┐   the same line again          nothing
//!                     ├─▶ the same name, other words   KeepAlive: was On, is Off (httpd.conf:12)
//! Outline of the new ─┘   no partner                   added …, removed …, as a whole section if it is one
//! ```
//!
//! - Lines are compared as words, after variables, conditions and includes: a comment, a blank or a line that moves to
//!   another file is no change.
//! - Nothing is found exactly if both say the same, in the same order.
//! - The work grows with the number of lines, not with its square: the supervisor does it while it serves.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use herdgate_conf::{Node, Sources, Tree, Word};

/// What a configuration says: its lines and sections, without what reading them has come to.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    items: Vec<Item>,
}

/// A line, or a section with its lines.
#[derive(Debug, Clone)]
struct Item {
    /// As written; compared without case.
    name: String,
    words: Vec<String>,
    place: Place,
    /// What stands inside; `None` for a line.
    content: Option<Vec<Item>>,
}

/// Where it was written; `None` for what holds although it stands nowhere.
#[derive(Debug, Clone)]
struct Place(Option<(Arc<str>, usize)>);

/// One difference between two configurations. It is written as one line for people.
#[derive(Debug, Clone)]
pub struct Change<'o> {
    what: What<'o>,
    /// The sections that it stands in, the outermost first.
    within: Vec<&'o Item>,
}

#[derive(Debug, Clone)]
enum What<'o> {
    Added(&'o Item),
    Removed(&'o Item),
    /// The same name has other words.
    Changed {
        from: &'o Item,
        to: &'o Item,
    },
    /// Nothing but the order: it decides which section or which alias wins.
    Reordered,
}

/// One line of a configuration, or the line that opens a section.
#[derive(Debug, Clone)]
pub struct Line<'o> {
    /// Where it stands.
    pub file: &'o str,
    /// Counted from 1.
    pub number: usize,
    /// In how many sections.
    pub depth: usize,
    /// As written, without brackets.
    pub name: &'o str,
    /// Its arguments.
    pub words: &'o [String],
    /// It opens a section.
    pub is_section: bool,
}

impl Outline {
    /// Every line that stands somewhere, in the order of reading.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        push_lines(&self.items, 0, &mut lines);
        lines
    }

    /// The names of the files that lines stand in, those of the command line left out.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let places = self.items.iter().filter_map(|item| item.place.0.as_ref());
        places.map(|(file, _)| file.as_ref()).filter(|file| !file.starts_with('-'))
    }

    /// The outline of what was read.
    pub(super) fn new(tree: &Tree, sources: &Sources) -> Self {
        Self { items: items(&tree.nodes, sources, &mut FileNames::default()) }
    }

    /// Adds a setting that the language itself has obeyed, and that the tree does not hold.
    pub(super) fn add_setting(&mut self, name: &str, value: &str) {
        let words = vec![value.to_owned()];
        self.items.push(Item { name: name.to_owned(), words, place: Place(None), content: None });
    }

    /// What is different in `new`: first what is there, from its top to its bottom, then what has gone.
    pub fn changes<'o>(&'o self, new: &'o Self) -> Vec<Change<'o>> {
        let mut changes = Vec::new();
        compare(&self.items, &new.items, &mut Vec::new(), &mut changes);
        changes
    }
}

fn push_lines<'o>(items: &'o [Item], depth: usize, lines: &mut Vec<Line<'o>>) {
    for item in items {
        if let Some((file, number)) = &item.place.0 {
            let (name, words, is_section) = (&item.name, &item.words, item.content.is_some());
            lines.push(Line { file, number: *number, depth, name, words, is_section });
        }
        push_lines(item.content.as_deref().unwrap_or_default(), depth + 1, lines);
    }
}

/// One name for all lines of a file.
type FileNames = HashMap<String, Arc<str>>;

fn items(nodes: &[Node], sources: &Sources, files: &mut FileNames) -> Vec<Item> {
    let text = |word: &Word| word.text.clone();
    let item = |node: &Node| {
        let line = node.line();
        let location = sources.locate(line.name.span);
        let file = files.entry(location.file.to_owned()).or_insert_with(|| location.file.into());
        let place = Place(Some((Arc::clone(file), location.line)));
        let content = match node {
            Node::Line(_) => None,
            Node::Section(section) => Some(items(&section.children, sources, files)),
        };
        Item {
            name: text(&line.name),
            words: line.words.iter().map(text).collect(),
            place,
            content,
        }
    };
    nodes.iter().map(item).collect()
}

/// Compares what stands in one section, and in the sections therein.
fn compare<'o>(
    old: &'o [Item],
    new: &'o [Item],
    within: &mut Vec<&'o Item>,
    changes: &mut Vec<Change<'o>>,
) {
    let mut partners = vec![None; new.len()];
    let mut free: Vec<usize> = (0..old.len()).collect();
    pair(old, new, &mut free, &mut partners, |item| {
        Some((item.key(), item.words.as_slice(), item.content.is_some()))
    });
    let same = partners.clone();
    // A section with other words is another section; a line is the same directive, most likely about the same thing.
    let line = |item: &'o Item| item.content.is_none().then(|| item.key());
    pair(old, new, &mut free, &mut partners, |item| Some((line(item)?, item.words.first())));
    pair(old, new, &mut free, &mut partners, line);

    let mut change = |what, within: &[&'o Item]| {
        changes.push(Change { what, within: within.to_vec() });
    };
    let kept: Vec<usize> = same.iter().flatten().copied().collect();
    if !kept.is_sorted() {
        change(What::Reordered, within);
    }
    for (number, item) in new.iter().enumerate() {
        match partners[number].map(|partner| &old[partner]) {
            None => change(What::Added(item), within),
            Some(from) if same[number].is_none() => {
                change(What::Changed { from, to: item }, within);
            }
            Some(_) => {}
        }
    }
    for number in free {
        change(What::Removed(&old[number]), within);
    }
    for (number, item) in new.iter().enumerate() {
        let former = same[number].and_then(|partner| old[partner].content.as_ref());
        if let (Some(former), Some(content)) = (former, &item.content) {
            within.push(item);
            compare(former, content, within, changes);
            within.pop();
        }
    }
}

/// Gives each new item without a partner the first free old one with the same key; without a key it gets none.
fn pair<'o, K: Eq + Hash>(
    old: &'o [Item],
    new: &'o [Item],
    free: &mut Vec<usize>,
    partners: &mut [Option<usize>],
    key: impl Fn(&'o Item) -> Option<K>,
) {
    let mut by_key: HashMap<K, VecDeque<usize>> = HashMap::new();
    for number in &*free {
        if let Some(key) = key(&old[*number]) {
            by_key.entry(key).or_default().push_back(*number);
        }
    }
    let mut taken = vec![false; old.len()];
    for (item, partner) in new.iter().zip(partners).filter(|(_, partner)| partner.is_none()) {
        let Some(key) = key(item) else { continue };
        *partner = by_key.get_mut(&key).and_then(VecDeque::pop_front);
        if let Some(number) = *partner {
            taken[number] = true;
        }
    }
    free.retain(|number| !taken[*number]);
}

impl Item {
    fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// How many lines it has inside, however deep; sections count as one and theirs.
    fn lines_inside(&self) -> usize {
        self.content.iter().flatten().map(|item| 1 + item.lines_inside()).sum()
    }
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Added(item) => write!(out, "added {}{}{}", item, Inside(item), item.place)?,
            What::Removed(item) => {
                write!(out, "removed {}{}{}", item, Inside(item), Former(&item.place))?;
            }
            What::Changed { from, to } => {
                let Item { name, place, .. } = to;
                let (from, to) = (Words(&from.words), Words(&to.words));
                write!(out, "changed {name}: was {from}, is {to}{place}")?;
            }
            What::Reordered => match self.within.last() {
                None => out.write_str("reordered lines outside of sections")?,
                Some(section) => write!(out, "reordered lines{}", section.place)?,
            },
        }
        self.within.iter().rev().try_for_each(|section| write!(out, " in {section}"))
    }
}

impl fmt::Display for Item {
    /// As it would be written.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Item { name, words, content, .. } = self;
        let space = if words.is_empty() { "" } else { " " };
        match content {
            None => write!(out, "{name}{space}{}", Words(words)),
            Some(_) => write!(out, "<{name}{space}{}>", Words(words)),
        }
    }
}

/// How much a section takes along.
struct Inside<'o>(&'o Item);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.content.is_some(), self.0.lines_inside()) {
            (false, _) => Ok(()),
            (true, 1) => out.write_str(" with 1 line"),
            (true, count) => write!(out, " with {count} lines"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |(file, line)| write!(out, " ({file}:{line})"))
    }
}

/// A place that need not be there any more.
struct Former<'o>(&'o Place);

impl fmt::Display for Former<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place(place) = self.0;
        place.as_ref().map_or(Ok(()), |(file, line)| write!(out, " (was {file}:{line})"))
    }
}

/// Words as they would be written, cut where nobody would read on.
struct Words<'o>(&'o [String]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARS_MAX: usize = 160;
        if self.0.is_empty() {
            return Ok(());
        }
        let quoted = |word: &String| match word.contains(char::is_whitespace) || word.is_empty() {
            true => format!("\"{}\"", word.replace('"', "\\\"")),
            false => word.clone(),
        };
        let text = self.0.iter().map(quoted).collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => write!(out, "{}...", &text[..end]),
            None => out.write_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use herdgate_conf::{Input, Start};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A host that knows nothing: the outline does not depend on it.
    struct Nothing;

    impl herdgate_conf::Host for Nothing {
        fn module_loaded(&self, _name: &str) -> bool {
            false
        }
        fn load_module(&mut self, _name: &str, _file: &str) -> Result<(), herdgate_conf::Problem> {
            Ok(())
        }
        fn knows_directive(&self, _name: &str) -> bool {
            false
        }
        fn knows_section(&self, _name: &str) -> bool {
            false
        }
        fn version(&self) -> [u32; 3] {
            [2, 4, 0]
        }
    }

    fn outline(text: &str) -> Outline {
        let input = Input::Text { name: "a.conf".to_owned(), text: text.to_owned() };
        let reading = herdgate_conf::read(&[input], Start::default(), &mut Nothing);
        assert!(!reading.has_errors(), "{text}: {:?}", reading.diagnostics);
        Outline::new(&reading.tree, &reading.sources)
    }

    fn lines(old: &str, new: &str) -> Vec<String> {
        outline(old).changes(&outline(new)).iter().map(Change::to_string).collect()
    }

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        assert_eq!(lines(old, new), expected);
    }

    #[test]
    fn says_what_was_added_removed_and_changed_and_where() {
        check(
            "Listen 80\nKeepAlive On",
            "Listen 80\nKeepAlive Off",
            &["changed KeepAlive: was On, is Off (a.conf:2)"],
        );
        check(
            "Listen 80",
            "Listen 80\nServerAdmin \"a b\"",
            &["added ServerAdmin \"a b\" (a.conf:2)"],
        );
        check("Listen 80\nListen 81", "Listen 81", &["removed Listen 80 (was a.conf:1)"]);
        check(
            "<VirtualHost *:80>\nServerName a\n</VirtualHost>",
            "<VirtualHost *:80>\nServerName b\n</VirtualHost>",
            &["changed ServerName: was a, is b (a.conf:2) in <VirtualHost *:80>"],
        );
    }

    #[test]
    fn a_section_comes_and_goes_as_a_whole() {
        check(
            "",
            "<Directory /srv>\nOptions None\nRequire all granted\n</Directory>",
            &["added <Directory /srv> with 2 lines (a.conf:1)"],
        );
        check(
            "<Directory /a>\nOptions None\n</Directory>",
            "",
            &["removed <Directory /a> with 1 line (was a.conf:1)"],
        );
    }

    #[test]
    fn lines_about_the_same_thing_are_compared_with_each_other() {
        check(
            "Alias /a /1\nAlias /b /2\nAlias /c /3",
            "Alias /c /4\nAlias /b /2",
            &[
                "changed Alias: was /c /3, is /c /4 (a.conf:1)",
                "removed Alias /a /1 (was a.conf:1)",
            ],
        );
    }

    #[test]
    fn comments_blanks_case_and_quotes_are_no_change() {
        check("Listen 80\n# old\nkeepalive \"On\"", "\n\n  Listen   80\nKeepAlive On", &[]);
    }

    #[test]
    fn order_is_a_change() {
        check(
            "Alias /a /1\nAlias / /2",
            "Alias / /2\nAlias /a /1",
            &["reordered lines outside of sections"],
        );
        check(
            "<Files a>\nAllow\nDeny\n</Files>",
            "<Files a>\nDeny\nAllow\n</Files>",
            &["reordered lines (a.conf:1) in <Files a>"],
        );
    }

    #[test]
    fn what_nobody_would_read_to_its_end_is_cut() {
        let long = "x".repeat(1000);
        assert!(lines("", &format!("ServerAdmin {long}"))[0].len() < 250);
    }

    /// Configurations of few words, so that equal lines are frequent.
    fn text() -> impl Strategy<Value = String> {
        let line = (0..3_u8, 0..3_u8, 0..2_u8).prop_map(|(name, one, two)| {
            let name = ["Alias", "Listen", "listen"][usize::from(name)];
            format!("{name} {one} {two}\n")
        });
        let leaf = line.boxed();
        let tree = leaf.prop_recursive(3, 24, 6, |inner| {
            let section = (0..2_u8, proptest::collection::vec(inner.clone(), 0..4));
            let section = section.prop_map(|(word, inside)| {
                format!("<Files {word}>\n{}</Files>\n", inside.concat())
            });
            prop_oneof![inner, section]
        });
        proptest::collection::vec(tree, 0..10).prop_map(|parts| parts.concat())
    }

    fn is_same(one: &[Item], other: &[Item]) -> bool {
        let same = |(one, other): (&Item, &Item)| {
            one.key() == other.key()
                && one.words == other.words
                && match (&one.content, &other.content) {
                    (None, None) => true,
                    (Some(one), Some(other)) => is_same(one, other),
                    _ => false,
                }
        };
        one.len() == other.len() && one.iter().zip(other).all(same)
    }

    /// How often each line stands in each chain of sections.
    type Census = BTreeMap<String, i64>;

    fn count(item: &Item, path: &str, sign: i64, census: &mut Census) {
        let text = format!("{path}/{}", item.to_string().to_ascii_lowercase());
        *census.entry(text.clone()).or_default() += sign;
        for inner in item.content.iter().flatten() {
            count(inner, &text, sign, census);
        }
    }

    proptest! {
        #[test]
        fn there_are_no_changes_exactly_if_both_say_the_same(old in text(), new in text()) {
            let (before, after) = (outline(&old), outline(&new));
            prop_assert_eq!(lines(&old, &old), Vec::<String>::new());
            let is_same = is_same(&before.items, &after.items);
            prop_assert_eq!(before.changes(&after).is_empty(), is_same);
        }

        #[test]
        fn the_changes_lead_from_the_old_to_the_new(old in text(), new in text()) {
            let (before, after) = (outline(&old), outline(&new));
            let (mut census, mut expected) = (Census::new(), Census::new());
            before.items.iter().for_each(|item| count(item, "", 1, &mut census));
            after.items.iter().for_each(|item| count(item, "", 1, &mut expected));
            for change in before.changes(&after) {
                let path: String = change.within.iter()
                    .map(|section| format!("/{}", section.to_string().to_ascii_lowercase()))
                    .collect();
                match change.what {
                    What::Added(item) => count(item, &path, 1, &mut census),
                    What::Removed(item) => count(item, &path, -1, &mut census),
                    What::Changed { from, to } => {
                        count(from, &path, -1, &mut census);
                        count(to, &path, 1, &mut census);
                    }
                    What::Reordered => {}
                }
            }
            census.retain(|_, count| *count != 0);
            prop_assert_eq!(census, expected);
        }
    }
}
