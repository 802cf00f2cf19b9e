//! Which entries a listing shows and in which order: what the settings say, changed by the request's query.

use super::Entry;
use crate::modules::autoindex::{Autoindex, IndexOptions, Style};
use std::cmp::Ordering;

/// The column that a listing is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Modified,
    Size,
    Description,
}

impl Column {
    /// The letter behind `C=`.
    pub(super) fn letter(self) -> char {
        match self {
            Column::Name => 'N',
            Column::Modified => 'M',
            Column::Size => 'S',
            Column::Description => 'D',
        }
    }
}

/// How one request wants to see a folder.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) column: Column,
    pub(super) descending: bool,
    pub(super) fancy: bool,
    pub(super) options: IndexOptions,
    folders_first: bool,
    version_sort: bool,
    /// A shell pattern that names must match.
    pattern: Option<Vec<u8>>,
    /// `;F=1;V=1;P=a*`: what the query said beside the order, for the links in the heads.
    kept: Vec<u8>,
}

impl View {
    /// What the settings and the query say. Reading a query stops at the first thing that it does not know.
    pub fn new(settings: &Autoindex, query: Option<&[u8]>) -> View {
        let options = settings.options();
        let mut view = View {
            column: Column::Name,
            descending: false,
            fancy: options.contains(IndexOptions::FANCY),
            options,
            folders_first: options.contains(IndexOptions::FOLDERS_FIRST)
                || settings.style() == Style::Modern,
            version_sort: options.contains(IndexOptions::VERSION_SORT),
            pattern: None,
            kept: Vec::new(),
        };
        if !options.contains(IndexOptions::IGNORE_CLIENT) {
            let arguments = query.unwrap_or_default().split(|byte| matches!(byte, b';' | b'&'));
            let mut understood = arguments.map_while(|argument| view.read(argument));
            while understood.next().is_some() {}
        }
        view
    }

    /// Takes in one argument, if it is known.
    fn read(&mut self, argument: &[u8]) -> Option<()> {
        match argument {
            b"C=N" => self.column = Column::Name,
            b"C=M" => self.column = Column::Modified,
            b"C=S" => self.column = Column::Size,
            b"C=D" => self.column = Column::Description,
            b"O=A" => self.descending = false,
            b"O=D" => self.descending = true,
            b"F=0" => self.fancy = false,
            // 2 would be a table, which shows the same columns.
            b"F=1" | b"F=2" => self.fancy = true,
            b"V=0" => self.version_sort = false,
            b"V=1" => self.version_sort = true,
            [b'P', b'=', pattern @ ..] if !pattern.is_empty() => {
                self.pattern = Some(percent_encoding::percent_decode(pattern).collect());
            }
            _ => return None,
        }
        if !matches!(argument, [b'C' | b'O', ..]) {
            self.kept.push(b';');
            self.kept.extend_from_slice(argument);
        }
        Some(())
    }

    /// Whether the request's pattern lets a name through. A leading dot must be written out.
    pub fn shows(&self, name: &[u8]) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let dot_is_explicit = !name.starts_with(b".") || pattern.starts_with(b".");
        dot_is_explicit && matches(pattern, name)
    }

    /// The query of a head's link: the sorted column turns round, any other begins ascending.
    pub(super) fn head_query(&self, column: Column) -> Vec<u8> {
        let turned = column == self.column && !self.descending;
        let order = if turned { 'D' } else { 'A' };
        let mut query = format!("?C={};O={order}", column.letter()).into_bytes();
        query.extend_from_slice(&self.kept);
        query
    }

    /// Sorts by the column, ties by name; both follow the direction. Folders come first if they are to.
    pub fn sort(&self, entries: &mut [Entry]) {
        entries.sort_by(|a, b| {
            let folders =
                if self.folders_first { b.is_folder.cmp(&a.is_folder) } else { Ordering::Equal };
            let within = self.compare(a, b);
            folders.then(if self.descending { within.reverse() } else { within })
        });
    }

    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let by_column = match self.column {
            Column::Name | Column::Description => Ordering::Equal,
            Column::Modified => a.modified.cmp(&b.modified),
            // What a folder occupies says nothing about its contents: it sorts before all files.
            Column::Size => (!a.is_folder, a.size * u64::from(!a.is_folder))
                .cmp(&(!b.is_folder, b.size * u64::from(!b.is_folder))),
        };
        by_column.then_with(|| self.compare_names(&a.name, &b.name))
    }

    /// Names in byte order, or as the options say; two different names are never equal.
    fn compare_names(&self, a: &[u8], b: &[u8]) -> Ordering {
        let ignore_case = self.options.contains(IndexOptions::IGNORE_CASE);
        let fold =
            |name: &[u8]| if ignore_case { name.to_ascii_lowercase() } else { name.to_vec() };
        let folded = if self.version_sort {
            natural(&fold(a), &fold(b))
        } else if ignore_case {
            fold(a).cmp(&fold(b))
        } else {
            Ordering::Equal
        };
        folded.then_with(|| a.cmp(b))
    }
}

/// Numbers within names compare as numbers: `file9` before `file10`.
fn natural(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (text_a, rest_a) = a.split_at(digits_start(a));
        let (text_b, rest_b) = b.split_at(digits_start(b));
        let (number_a, after_a) = rest_a.split_at(digits_end(rest_a));
        let (number_b, after_b) = rest_b.split_at(digits_end(rest_b));
        let order = text_a.cmp(text_b).then_with(|| compare_numbers(number_a, number_b));
        if order.is_ne() || (after_a.is_empty() && after_b.is_empty()) {
            return order;
        }
        (a, b) = (after_a, after_b);
    }
}

fn digits_start(text: &[u8]) -> usize {
    text.iter().position(u8::is_ascii_digit).unwrap_or(text.len())
}

fn digits_end(text: &[u8]) -> usize {
    text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())
}

/// Decimal numbers of any length; no number at all comes first.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |number: &[u8]| {
        let zeros = number.iter().take_while(|digit| **digit == b'0').count();
        number[zeros..].to_vec()
    };
    let (a_digits, b_digits) = (significant(a), significant(b));
    (!a.is_empty(), a_digits.len(), a_digits).cmp(&(!b.is_empty(), b_digits.len(), b_digits))
}

/// Shell patterns with `*` and `?`, which match any byte. Linear in the name for each star: a failed match goes back to
/// the last star only.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut after_star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                after_star = Some((p + 1, n));
                p += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted == name[n] => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((star, taken)) = after_star else { return false };
                after_star = Some((star, taken + 1));
                (p, n) = (star, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, is_folder: bool, size: u64, modified: i64) -> Entry {
        Entry { name: name.as_bytes().to_vec(), is_folder, size, modified }
    }

    fn order(query: &str) -> Vec<String> {
        let mut entries = vec![
            entry("b10", false, 5, 30),
            entry("b9", false, 700, 10),
            entry("A", true, 4096, 20),
            entry("c", false, 5, 40),
        ];
        View::new(&Autoindex::default(), Some(query.as_bytes())).sort(&mut entries);
        entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect()
    }

    #[test]
    fn query_chooses_column_and_direction() {
        for (query, expected) in [
            ("", ["A", "b10", "b9", "c"]),
            ("C=N;O=D", ["c", "b9", "b10", "A"]),
            ("C=M&O=A", ["b9", "A", "b10", "c"]),
            ("C=S;O=A", ["A", "b10", "c", "b9"]),
            ("C=N;V=1", ["A", "b9", "b10", "c"]),
            ("what;C=N;O=D", ["A", "b10", "b9", "c"]),
            ("O=D;what;C=M", ["c", "b9", "b10", "A"]),
        ] {
            assert_eq!(order(query), expected, "{query}");
        }
    }

    #[test]
    fn head_links_turn_the_sorted_column_and_keep_the_rest() {
        let query = |query: &str, column| {
            let view = View::new(&Autoindex::default(), Some(query.as_bytes()));
            String::from_utf8(view.head_query(column)).unwrap()
        };
        assert_eq!(query("", Column::Name), "?C=N;O=D");
        assert_eq!(query("", Column::Size), "?C=S;O=A");
        assert_eq!(query("C=S;O=D;F=1;V=1;P=a*", Column::Size), "?C=S;O=A;F=1;V=1;P=a*");
    }

    #[test]
    fn pattern_filters_names_and_never_finds_dotfiles_by_accident() {
        let view = View::new(&Autoindex::default(), Some(b"P=*.t%78t"));
        assert!(view.shows(b"a.txt") && !view.shows(b"a.html") && !view.shows(b".txt"));
        assert!(View::new(&Autoindex::default(), Some(b"P=.*")).shows(b".txt"));
    }

    #[test]
    fn shell_patterns() {
        for (pattern, name, expected) in [
            (".??*", "..", false),
            (".??*", ".git", true),
            ("*~", "a~", true),
            ("*a*b", "xaxxab", true),
            ("*a*b", "xaxxa", false),
            ("", "", true),
            ("", "a", false),
            ("**", "", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|taken| naive(rest, &name[taken..])),
            ([b'?', rest @ ..], [_, name @ ..]) => naive(rest, name),
            ([first, rest @ ..], [byte, name @ ..]) => first == byte && naive(rest, name),
            (_, _) => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn matching_agrees_with_the_naive_model(pattern in "[ab*?]{0,8}", name in "[ab]{0,10}") {
            let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(matches(pattern, name), naive(pattern, name));
        }

        #[test]
        fn natural_order_is_an_order(a in "[a1-3]{0,5}", b in "[a1-3]{0,5}", c in "[a1-3]{0,5}") {
            let compare = |a: &str, b: &str| natural(a.as_bytes(), b.as_bytes());
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
