//! Apache's pages: the plain list, and the fancy one in `<pre>`.

use super::order::{Column, View};
use super::{Entry, Listing, push_absolute_link};
use crate::http::escape::push_html;
use crate::log::{LogClock, Moment};
use crate::modules::autoindex::IndexOptions;

/// `NameWidth`: characters of a name that are shown in a fancy listing.
const NAME_WIDTH: usize = 23;
/// Where an icon would stand.
const NO_ICON: &[u8] = b"     ";
/// As wide as a date with its blanks.
const NO_DATE: &[u8] = b"                   ";

pub(super) fn render(listing: &Listing<'_>, view: &View, clock: &LogClock, page: &mut Vec<u8>) {
    page.extend_from_slice(
        b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n\
          <html>\n <head>\n  <title>Index of ",
    );
    push_html(page, listing.title());
    page.extend_from_slice(b"</title>\n </head>\n <body>\n<h1>Index of ");
    push_html(page, listing.title());
    page.extend_from_slice(b"</h1>\n");
    if view.fancy {
        fancy(listing, view, clock, page)
    } else {
        plain(listing, page)
    }
    page.extend_from_slice(listing.signature);
    page.extend_from_slice(b"</body></html>\n");
}

fn plain(listing: &Listing<'_>, page: &mut Vec<u8>) {
    page.extend_from_slice(b"<ul>");
    if let Some(parent) = listing.parent() {
        page.extend_from_slice(b"<li><a href=\"");
        push_absolute_link(page, parent);
        page.extend_from_slice(b"\"> Parent Directory</a></li>\n");
    }
    for entry in &listing.entries {
        page.extend_from_slice(b"<li><a href=\"");
        entry.push_link(page);
        page.extend_from_slice(b"\"> ");
        push_html(page, &entry.shown());
        page.extend_from_slice(b"</a></li>\n");
    }
    page.extend_from_slice(b"</ul>\n");
}

fn fancy(listing: &Listing<'_>, view: &View, clock: &LogClock, page: &mut Vec<u8>) {
    let rule: &[u8] =
        if view.options.contains(IndexOptions::SUPPRESS_RULES) { b"\n" } else { b"<hr>" };
    page.extend_from_slice(b"<pre>");
    heads(view, page);
    page.extend_from_slice(rule);
    if let Some(parent) = listing.parent() {
        push_icon_and_link(page, |page| push_absolute_link(page, parent));
        push_name(page, b"Parent Directory");
        push_columns(view, None, page);
    }
    for entry in &listing.entries {
        push_icon_and_link(page, |page| entry.push_link(page));
        push_name(page, &entry.shown());
        push_columns(view, Some((entry, clock)), page);
    }
    if !view.options.contains(IndexOptions::SUPPRESS_RULES) {
        page.extend_from_slice(b"<hr>");
    }
    page.extend_from_slice(b"</pre>\n");
}

fn heads(view: &View, page: &mut Vec<u8>) {
    page.extend_from_slice(NO_ICON);
    page.push(b' ');
    head(view, Column::Name, "Name", page);
    page.extend(std::iter::repeat_n(b' ', NAME_WIDTH + 1 - "Name".len()));
    if !view.options.contains(IndexOptions::SUPPRESS_LAST_MODIFIED) {
        head(view, Column::Modified, "Last modified", page);
        page.extend_from_slice(b"      ");
    }
    if !view.options.contains(IndexOptions::SUPPRESS_SIZE) {
        head(view, Column::Size, "Size", page);
        page.extend_from_slice(b"  ");
    }
    if !view.options.contains(IndexOptions::SUPPRESS_DESCRIPTION) {
        head(view, Column::Description, "Description", page);
    }
}

fn head(view: &View, column: Column, title: &str, page: &mut Vec<u8>) {
    if view.options.contains(IndexOptions::SUPPRESS_COLUMN_SORTING) {
        return page.extend_from_slice(title.as_bytes());
    }
    page.extend_from_slice(b"<a href=\"");
    push_html(page, &view.head_query(column));
    page.extend_from_slice(format!("\">{title}</a>").as_bytes());
}

fn push_icon_and_link(page: &mut Vec<u8>, push_link: impl FnOnce(&mut Vec<u8>)) {
    page.extend_from_slice(NO_ICON);
    page.extend_from_slice(b" <a href=\"");
    push_link(page);
    page.extend_from_slice(b"\">");
}

/// The name, cut if it is too long, and blanks up to the next column. Characters are counted where the name is UTF-8,
/// so that a cut does not leave half of one.
fn push_name(page: &mut Vec<u8>, name: &[u8]) {
    const CUT: &str = "..>";
    let starts = character_starts(name);
    let width = starts.len();
    if width <= NAME_WIDTH {
        push_html(page, name);
    } else {
        push_html(page, &name[..starts[NAME_WIDTH - CUT.len()]]);
        push_html(page, CUT.as_bytes());
    }
    page.extend_from_slice(b"</a>");
    page.extend(std::iter::repeat_n(b' ', NAME_WIDTH.saturating_sub(width) + 1));
}

/// Where each character begins; each byte counts as one in a name that is not UTF-8.
fn character_starts(name: &[u8]) -> Vec<usize> {
    match std::str::from_utf8(name) {
        Ok(text) => text.char_indices().map(|(start, _)| start).collect(),
        Err(_) => (0..name.len()).collect(),
    }
}

/// Date and size; the folder above has neither. No description: there is no `AddDescription` yet.
fn push_columns(view: &View, entry: Option<(&Entry, &LogClock)>, page: &mut Vec<u8>) {
    if !view.options.contains(IndexOptions::SUPPRESS_LAST_MODIFIED) {
        match entry {
            Some((entry, clock)) => page.extend_from_slice(date(entry, clock).as_bytes()),
            None => page.extend_from_slice(NO_DATE),
        }
    }
    if !view.options.contains(IndexOptions::SUPPRESS_SIZE) {
        let file = entry.map(|(entry, _)| entry).filter(|entry| !entry.is_folder);
        page.extend_from_slice(file.map_or("  - ".to_owned(), |file| size(file.size)).as_bytes());
        page.extend_from_slice(b"  ");
    }
    page.push(b'\n');
}

fn date(entry: &Entry, clock: &LogClock) -> String {
    let local = clock.local(Moment { secs: entry.modified, nanos: 0 });
    local.strftime("%Y-%m-%d %H:%M  ").to_string()
}

/// Four characters: up to 972 bytes plain, then one decimal below 10, else whole units of 1024.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 973 {
        return format!("{bytes:3} ");
    }
    let mut whole = bytes;
    let mut units = "KMGTPE".chars();
    loop {
        let rest = whole % 1024;
        whole /= 1024;
        let unit = units.next().expect("2^64 bytes are 16 E");
        if whole >= 973 {
            continue;
        }
        if whole < 9 || (whole == 9 && rest < 973) {
            let tenths = (rest * 5 + 256) / 512;
            let (whole, tenths) = if tenths >= 10 { (whole + 1, 0) } else { (whole, tenths) };
            return format!("{whole}.{tenths}{unit}");
        }
        return format!("{:3}{unit}", whole + u64::from(rest >= 512));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::autoindex::Autoindex;
    use proptest::prelude::*;

    fn entries() -> Vec<Entry> {
        let entry = |name: &str, is_folder, size| Entry {
            name: name.as_bytes().to_vec(),
            is_folder,
            size,
            modified: 1_704_164_640, // 2024-01-02 03:04 UTC
        };
        vec![
            entry("a.txt", false, 3),
            entry("averyveryverylongfilename_indeed_long.bin", false, 1_468_006),
            entry("b & <c>.txt", false, 20_000),
            entry("sub", true, 4096),
        ]
    }

    fn page(path: &str, query: &str, entries: Vec<Entry>) -> String {
        let settings = Autoindex::default();
        let listing = Listing {
            path: path.as_bytes(),
            entries,
            query: Some(query.as_bytes()),
            settings: &settings,
            signature: b"",
        };
        String::from_utf8(listing.render(&LogClock::new(jiff::tz::TimeZone::UTC))).unwrap()
    }

    fn body<'p>(page: &'p str, title: &str) -> &'p str {
        let head = format!(
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n\
             <html>\n <head>\n  <title>Index of {title}</title>\n </head>\n <body>\n<h1>Index of {title}</h1>\n"
        );
        let body = page.strip_prefix(&head).unwrap_or_else(|| panic!("unexpected head: {page}"));
        body.strip_suffix("</body></html>\n").unwrap()
    }

    #[test]
    fn plain_list_is_apaches() {
        assert_eq!(
            body(&page("/d%/", "", entries()), "/d%"),
            "<ul><li><a href=\"/\"> Parent Directory</a></li>\n\
             <li><a href=\"a.txt\"> a.txt</a></li>\n\
             <li><a href=\"averyveryverylongfilename_indeed_long.bin\"> averyveryverylongfilename_indeed_long.bin</a></li>\n\
             <li><a href=\"b%20&amp;%20%3cc%3e.txt\"> b &amp; &lt;c&gt;.txt</a></li>\n\
             <li><a href=\"sub/\"> sub/</a></li>\n\
             </ul>\n"
        );
    }

    #[test]
    fn root_has_no_folder_above() {
        assert_eq!(body(&page("/", "", Vec::new()), "/"), "<ul></ul>\n");
    }

    #[test]
    fn fancy_list_is_apaches() {
        let expected = [
            "<pre>      <a href=\"?C=N;O=D;F=1\">Name</a>                    \
             <a href=\"?C=M;O=A;F=1\">Last modified</a>      <a href=\"?C=S;O=A;F=1\">Size</a>  \
             <a href=\"?C=D;O=A;F=1\">Description</a><hr>",
            "      <a href=\"/x/\">Parent Directory</a>                             -   \n",
            "      <a href=\"a.txt\">a.txt</a>                   2024-01-02 03:04    3   \n",
            "      <a href=\"averyveryverylongfilename_indeed_long.bin\">averyveryverylongfil..&gt;</a> \
             2024-01-02 03:04  1.4M  \n",
            "      <a href=\"b%20&amp;%20%3cc%3e.txt\">b &amp; &lt;c&gt;.txt</a>             2024-01-02 03:04   20K  \n",
            "      <a href=\"sub/\">sub/</a>                    2024-01-02 03:04    -   \n",
            "<hr></pre>\n",
        ];
        assert_eq!(body(&page("/x/y/", "F=1", entries()), "/x/y"), expected.concat());
    }

    #[test]
    fn sizes_have_four_characters() {
        for (bytes, expected) in [
            (0, "  0 "),
            (972, "972 "),
            (973, "1.0K"),
            (1536, "1.5K"),
            (10_188, "9.9K"),
            (10_189, " 10K"),
            (995_327, "972K"),
            (996_352, "1.0M"),
            (1_468_006, "1.4M"),
            (u64::MAX, " 16E"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn name_cannot_leave_its_place(name in "[^/\0]{1,40}", is_folder: bool, fancy: bool) {
            let entry = Entry { name: name.into_bytes(), is_folder, size: 0, modified: 0 };
            let count = |text: &str, what| text.matches(what).count();
            let harmless = Entry { name: b"n".to_vec(), ..entry.clone() };
            let query = if fancy { "F=1" } else { "F=0" };
            let (page, model) = (page("/", query, vec![entry]), page("/", query, vec![harmless]));
            for mark in ["<", ">", "\""] {
                prop_assert_eq!(count(&page, mark), count(&model, mark), "{}", page);
            }
        }
    }
}
