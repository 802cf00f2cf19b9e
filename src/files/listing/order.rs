//! Which entries a listing shows and in which order: what the settings say, changed by the request's query.

use super::Entry;
use crate::http::escape::push_path;
use crate::modules::autoindex::{Autoindex, Column, IndexOptions, Style};
use crate::route::pattern::{self, Slash};
use std::cmp::Ordering;

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
    /// As configured, and as the query changes them.
    pub options: IndexOptions,
    /// A shell pattern that names must match.
    pattern: Option<Vec<u8>>,
    /// `;F=1;V=1;P=a*`: what the query said beside the order, for the links in the heads.
    kept: Vec<u8>,
}

impl View {
    /// What the settings and the query say. Reading a query stops at the first thing that it does not know.
    pub fn new(settings: &Autoindex, query: Option<&[u8]>) -> View {
        let (column, descending) = settings.order();
        let options = settings.options();
        let mut view = View { column, descending, options, pattern: None, kept: Vec::new() };
        if settings.style() == Style::Modern {
            view.options = options.with(IndexOptions::FOLDERS_FIRST).with(IndexOptions::FANCY);
        }
        if options.contains(IndexOptions::IGNORE_CLIENT) {
            view.options = view.options.with(IndexOptions::SUPPRESS_COLUMN_SORTING);
            return view;
        }
        let mut said = Said::default();
        let arguments = query.unwrap_or_default().split(|byte| matches!(byte, b';' | b'&'));
        let mut understood = arguments.map_while(|argument| view.read(argument, &mut said));
        while understood.next().is_some() {}
        view.keep(&said);
        view
    }

    /// Whether there are columns, not just names.
    pub(super) fn is_fancy(&self) -> bool {
        self.options.contains(IndexOptions::FANCY)
    }

    /// Takes in one argument, if it is known.
    fn read(&mut self, argument: &[u8], said: &mut Said) -> Option<()> {
        let table = IndexOptions::HTML_TABLE;
        match argument {
            b"C=N" => self.column = Column::Name,
            b"C=M" => self.column = Column::Modified,
            b"C=S" => self.column = Column::Size,
            b"C=D" => self.column = Column::Description,
            b"O=A" => self.descending = false,
            b"O=D" => self.descending = true,
            b"F=0" => self.options = self.options.without(IndexOptions::FANCY).without(table),
            b"F=1" => self.options = self.options.with(IndexOptions::FANCY).without(table),
            b"F=2" => self.options = self.options.with(IndexOptions::FANCY).with(table),
            b"V=0" => self.options = self.options.without(IndexOptions::VERSION_SORT),
            b"V=1" => self.options = self.options.with(IndexOptions::VERSION_SORT),
            b"P=" => self.pattern = None,
            [b'P', b'=', pattern @ ..] => {
                self.pattern = Some(percent_encoding::percent_decode(pattern).collect());
            }
            _ => return None,
        }
        match argument {
            [b'F', _, digit] => said.format = Some(*digit),
            [b'V', _, digit] => said.version_sort = Some(*digit),
            _ => {}
        }
        Some(())
    }

    /// What the links in the heads keep, always in the same order.
    fn keep(&mut self, said: &Said) {
        for (name, digit) in [(b";F=", said.format), (b";V=", said.version_sort)] {
            if let Some(digit) = digit {
                self.kept.extend_from_slice(name);
                self.kept.push(digit);
            }
        }
        if let Some(pattern) = &self.pattern {
            self.kept.extend_from_slice(b";P=");
            push_path(&mut self.kept, pattern);
        }
    }

    /// Whether the request's pattern lets a name through. A leading dot must be written out.
    pub fn shows(&self, name: &[u8]) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let dot_is_explicit = !name.starts_with(b".") || pattern.starts_with(b".");
        // A backslash is a character here.
        let pattern: Vec<u8> = pattern
            .iter()
            .flat_map(|byte| if *byte == b'\\' { vec![b'\\'; 2] } else { vec![*byte] })
            .collect();
        dot_is_explicit && pattern::matches(&pattern, name, Slash::IsOrdinary)
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
        let folders_first = self.is_fancy() && self.options.contains(IndexOptions::FOLDERS_FIRST);
        entries.sort_by(|a, b| {
            let folders =
                if folders_first { b.is_folder.cmp(&a.is_folder) } else { Ordering::Equal };
            let within = self.compare(a, b);
            folders.then(if self.descending { within.reverse() } else { within })
        });
    }

    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let by_column = match self.column {
            _ if !self.is_fancy() => Ordering::Equal, // What is not shown does not count.
            Column::Name => Ordering::Equal,
            Column::Modified => a.modified.cmp(&b.modified),
            // What a folder occupies says nothing about its contents: it sorts before all files.
            Column::Size => (!a.is_folder, a.size * u64::from(!a.is_folder))
                .cmp(&(!b.is_folder, b.size * u64::from(!b.is_folder))),
            Column::Description => {
                let text = |entry: &Entry| entry.description.clone().unwrap_or_default();
                let (a, b) = (text(a), text(b));
                if self.options.contains(IndexOptions::VERSION_SORT) {
                    natural(a.as_bytes(), b.as_bytes())
                } else {
                    a.cmp(&b)
                }
            }
        };
        by_column.then_with(|| self.compare_names(&a.shown(), &b.shown()))
    }

    /// Names in byte order, or as the options say; two different names are never equal.
    fn compare_names(&self, a: &[u8], b: &[u8]) -> Ordering {
        let ignore_case = self.options.contains(IndexOptions::IGNORE_CASE);
        let mut order = Ordering::Equal;
        if self.options.contains(IndexOptions::VERSION_SORT) {
            if ignore_case {
                order = natural(&a.to_ascii_uppercase(), &b.to_ascii_uppercase());
            }
            order = order.then_with(|| natural(a, b));
        }
        if ignore_case {
            order = order.then_with(|| a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()));
        }
        order.then_with(|| a.cmp(b))
    }
}

/// What the query said beside the order.
#[derive(Default)]
struct Said {
    format: Option<u8>,
    version_sort: Option<u8>,
}

/// Numbers within names compare as numbers: `file9` before `file10`. Blanks do not count, and digits behind a zero are
/// decimals: `1.05` before `1.5`. As APR's `apr_strnatcmp`, on machines where a char is signed.
fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a.trim_ascii_start(), b.trim_ascii_start());
    loop {
        let (Some((&first_a, rest_a)), Some((&first_b, rest_b))) =
            (a.split_first(), b.split_first())
        else {
            return (!a.is_empty()).cmp(&!b.is_empty());
        };
        if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (number_a, number_b) = (digits(a), digits(b));
            let is_fraction = first_a == b'0' || first_b == b'0';
            let by_length = number_a.len().cmp(&number_b.len());
            let by_value = number_a.cmp(number_b);
            let order = if is_fraction { by_value } else { by_length.then(by_value) };
            if order.is_ne() {
                return order;
            }
            (a, b) =
                (a[number_a.len()..].trim_ascii_start(), b[number_b.len()..].trim_ascii_start());
            continue;
        }
        let order = first_a.cast_signed().cmp(&first_b.cast_signed());
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a.trim_ascii_start(), rest_b.trim_ascii_start());
    }
}

/// The digits that a text begins with.
fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, is_folder: bool, size: u64, modified: i64) -> Entry {
        Entry { is_folder, size, modified, ..Entry::named(name.as_bytes()) }
    }

    fn order(query: &str) -> Vec<String> {
        let mut entries = vec![
            entry("b10", false, 5, 30),
            entry("b9", false, 700, 10),
            entry("A", true, 4096, 20),
            entry("c", false, 5, 40),
        ];
        let query = format!("F=1;{query}");
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn natural_order_is_an_order(a in "[a0-2 ]{0,6}", b in "[a0-2 ]{0,6}", c in "[a0-2 ]{0,6}") {
            let compare = |a: &str, b: &str| natural(a.as_bytes(), b.as_bytes());
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
