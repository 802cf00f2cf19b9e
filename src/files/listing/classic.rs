//! Apache's pages: the plain list, the fancy one in `<pre>`, and the table.

use super::order::View;
use super::{Entry, Frame, Icon, Listing, push_absolute_link};
use crate::http::escape::push_html;
use crate::log::{LogClock, Moment};
use crate::modules::autoindex::{Column, DESCRIPTION_WIDTH, IndexOptions, Subject, Width};

/// Where an icon would stand.
const NO_ICON: &[u8] = b"     ";
/// As wide as a date with its blanks.
const NO_DATE: &[u8] = b"                   ";
/// What is shown of a name that is too long ends so.
const CUT: &[u8] = b"..>";

pub(super) fn render(listing: &Listing<'_>, clock: &LogClock, page: &mut Vec<u8>) {
    let drawing = Drawing { listing, view: &listing.view, clock, page };
    drawing.draw();
}

/// A page that is being drawn.
struct Drawing<'d> {
    listing: &'d Listing<'d>,
    view: &'d View,
    clock: &'d LogClock,
    page: &'d mut Vec<u8>,
}

/// A line of the list: an entry, or the folder above.
struct Row<'r> {
    /// HTML-escaped URL.
    link: Vec<u8>,
    name: Vec<u8>,
    icon: &'r Icon,
    entry: Option<&'r Entry>,
    description: Option<&'r str>,
}

impl Drawing<'_> {
    fn draw(mut self) {
        self.preamble();
        let rows = rows(self.listing);
        if !self.view.is_fancy() && !self.has(IndexOptions::HTML_TABLE) {
            self.plain(&rows);
        } else if self.has(IndexOptions::HTML_TABLE) {
            self.table(&rows);
        } else {
            self.fancy(&rows);
        }
        self.postamble();
    }

    fn has(&self, option: IndexOptions) -> bool {
        self.view.options.contains(option)
    }

    fn push(&mut self, text: &str) {
        self.page.extend_from_slice(text.as_bytes());
    }

    /// How an empty element ends.
    fn end(&self) -> &'static str {
        if self.has(IndexOptions::XHTML) { " />" } else { ">" }
    }

    fn has_style(&self) -> bool {
        self.listing.settings.style_sheet().is_some()
    }

    fn preamble(&mut self) {
        let is_whole = matches!(self.listing.head, Frame::WholeHtml(_));
        if !is_whole {
            self.frame_start();
        }
        if self.listing.head == Frame::Own {
            self.push(if self.has_style() { "  <h1 id=\"indextitle\">" } else { "<h1>" });
            self.push("Index of ");
            push_html(self.page, self.listing.title());
            self.push("</h1>\n");
        } else {
            self.listing.head.push_content(self.page);
        }
    }

    fn frame_start(&mut self) {
        self.push(if self.has(IndexOptions::XHTML) {
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
             \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
             <html xmlns=\"http://www.w3.org/1999/xhtml\">\n"
        } else {
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n<html>\n"
        });
        self.push(" <head>\n  <title>Index of ");
        push_html(self.page, self.listing.title());
        self.push("</title>\n");
        let (settings, end) = (self.listing.settings, self.end());
        if let Some(url) = settings.style_sheet() {
            self.push("  <link rel=\"stylesheet\" href=\"");
            self.push(url);
            self.push(&format!("\" type=\"text/css\"{end}\n"));
        }
        if let Some(html) = settings.head_insert() {
            self.push(html);
        }
        self.push(" </head>\n <body>\n");
    }

    fn postamble(&mut self) {
        self.listing.foot.push_content(self.page);
        if self.listing.foot == Frame::Own {
            // The listing ends in a line of its own, if in any.
            let signature = self.listing.signature;
            let signature = signature.strip_prefix(b"<hr>\n").unwrap_or(signature);
            self.page.extend_from_slice(signature);
        }
        if !matches!(self.listing.foot, Frame::WholeHtml(_)) {
            self.push("</body></html>\n");
        }
    }

    fn plain(&mut self, rows: &[Row<'_>]) {
        self.push("<ul>");
        for row in rows {
            self.push("<li><a href=\"");
            self.page.extend_from_slice(&row.link);
            self.push("\"> ");
            push_html(self.page, &row.name);
            self.push("</a></li>\n");
        }
        self.push("</ul>\n");
    }

    fn fancy(&mut self, rows: &[Row<'_>]) {
        let name_width = self.name_width(rows);
        let rule = if self.has(IndexOptions::SUPPRESS_RULES) {
            String::new()
        } else {
            format!("<hr{}", self.end())
        };
        self.push("<pre>");
        if !self.has(IndexOptions::SUPPRESS_ICON) {
            match self.blank_icon() {
                Some(url) => {
                    self.image(&url, "Icon ");
                    self.push(" ");
                }
                None => self.push("      "),
            }
        }
        self.head(Column::Name, "Name");
        self.pad(name_width + 1, "Name".len());
        if !self.has(IndexOptions::SUPPRESS_LAST_MODIFIED) {
            self.head(Column::Modified, "Last modified");
            self.push("      ");
        }
        if !self.has(IndexOptions::SUPPRESS_SIZE) {
            self.head(Column::Size, "Size");
            self.push("  ");
        }
        if !self.has(IndexOptions::SUPPRESS_DESCRIPTION) {
            self.head(Column::Description, "Description");
        }
        self.push(if rule.is_empty() { "\n" } else { &rule });
        for row in rows {
            self.fancy_row(row, name_width, rows);
        }
        self.push(&rule);
        self.push("</pre>\n");
    }

    fn fancy_row(&mut self, row: &Row<'_>, name_width: usize, rows: &[Row<'_>]) {
        if !self.has(IndexOptions::SUPPRESS_ICON) {
            self.icon(row, std::str::from_utf8(NO_ICON).unwrap_or_default());
            self.push(" ");
        }
        let shown = self.link(row, Some(name_width));
        self.pad(name_width + 1, shown);
        if !self.has(IndexOptions::SUPPRESS_LAST_MODIFIED) {
            match row.entry {
                Some(entry) => self.push(&self.date(entry)),
                None => self.page.extend_from_slice(NO_DATE),
            }
        }
        if !self.has(IndexOptions::SUPPRESS_SIZE) {
            self.push(&size_of(row));
            self.push("  ");
        }
        if !self.has(IndexOptions::SUPPRESS_DESCRIPTION)
            && let Some(text) = row.description
        {
            let text = self.cut_description(text, rows);
            self.push(&text);
        }
        self.push("\n");
    }

    fn table(&mut self, rows: &[Row<'_>]) {
        let class = |drawing: &Self, class: &str| {
            if drawing.has_style() { format!(" class=\"{class}\"") } else { String::new() }
        };
        self.push(if self.has_style() { "  <table id=\"indexlist\">\n" } else { "  <table>\n" });
        self.push(&format!("   <tr{}>", class(self, "indexhead")));
        let mut columns = 1;
        if !self.has(IndexOptions::SUPPRESS_ICON) {
            let attribute =
                if self.has_style() { " class=\"indexcolicon\"" } else { " valign=\"top\"" };
            self.push(&format!("<th{attribute}>"));
            match self.blank_icon() {
                Some(url) => self.image(&url, "[ICO]"),
                None => self.push("&nbsp;"),
            }
            self.push("</th>");
            columns += 1;
        }
        let heads = [
            (None, Column::Name, "Name", "indexcolname"),
            (
                Some(IndexOptions::SUPPRESS_LAST_MODIFIED),
                Column::Modified,
                "Last modified",
                "indexcollastmod",
            ),
            (Some(IndexOptions::SUPPRESS_SIZE), Column::Size, "Size", "indexcolsize"),
            (
                Some(IndexOptions::SUPPRESS_DESCRIPTION),
                Column::Description,
                "Description",
                "indexcoldesc",
            ),
        ];
        for (suppress, column, title, name) in heads {
            if suppress.is_some_and(|option| self.has(option)) {
                continue;
            }
            columns += usize::from(column != Column::Name);
            self.push(&format!("<th{}>", class(self, name)));
            self.head(column, title);
            self.push("</th>");
        }
        self.push("</tr>\n");
        let rule = if self.has(IndexOptions::SUPPRESS_RULES) {
            String::new()
        } else {
            let class = class(self, "indexbreakrow");
            format!("   <tr{class}><th colspan=\"{columns}\"><hr{}</th></tr>\n", self.end())
        };
        self.push(&rule);
        let name_width = match self.listing.settings.name_width() {
            Width::Longest => None,
            Width::Characters(width) => Some(width),
        };
        for (number, row) in rows.iter().enumerate() {
            self.table_row(number, row, name_width, rows);
        }
        self.push(&rule);
        self.push("</table>\n");
    }

    fn table_row(
        &mut self,
        number: usize,
        row: &Row<'_>,
        name_width: Option<usize>,
        rows: &[Row<'_>],
    ) {
        let style = self.has_style();
        let cell = |name: &str, plain: &str| {
            if style { format!("<td class=\"{name}\">") } else { format!("<td{plain}>") }
        };
        if style {
            let parity = if number % 2 == 1 { "odd" } else { "even" };
            let alt = row.icon.alt.as_deref().filter(|_| self.has(IndexOptions::ADD_ALT_CLASS));
            let class = match alt {
                Some(alt) => format!("{parity}-{}", alt.to_ascii_lowercase()),
                None => parity.to_owned(),
            };
            self.push(&format!("   <tr class=\"{class}\">"));
        } else {
            self.push("<tr>");
        }
        if !self.has(IndexOptions::SUPPRESS_ICON) {
            self.push(&cell("indexcolicon", " valign=\"top\""));
            self.icon(row, "&nbsp;");
            self.push("</td>");
        }
        self.push(&cell("indexcolname", ""));
        let shown = self.link(row, name_width);
        self.pad(name_width.unwrap_or(0), shown);
        self.push("</td>");
        if !self.has(IndexOptions::SUPPRESS_LAST_MODIFIED) {
            match row.entry {
                Some(entry) => {
                    self.push(&cell("indexcollastmod", " align=\"right\""));
                    self.push(&self.date(entry));
                }
                None => {
                    self.push(&cell("indexcollastmod", ""));
                    self.push("&nbsp;");
                }
            }
            self.push("</td>");
        }
        if !self.has(IndexOptions::SUPPRESS_SIZE) {
            self.push(&cell("indexcolsize", " align=\"right\""));
            self.push(&size_of(row));
            self.push("</td>");
        }
        if !self.has(IndexOptions::SUPPRESS_DESCRIPTION) {
            self.push(&cell("indexcoldesc", ""));
            let text = match row.description {
                Some(text) if self.listing.settings.description_width() == Some(Width::Longest) => {
                    text.to_owned()
                }
                Some(text) => self.cut_description(text, rows),
                None => "&nbsp;".to_owned(),
            };
            self.push(&text);
            self.push("</td>");
        }
        self.push("</tr>\n");
    }

    /// How wide the column of names is in a fancy list.
    fn name_width(&self, rows: &[Row<'_>]) -> usize {
        match self.listing.settings.name_width() {
            Width::Characters(width) if width > 0 => width,
            Width::Longest | Width::Characters(_) => {
                let longest = rows.iter().map(|row| character_starts(&row.name).len()).max();
                longest.unwrap_or(0).max(crate::modules::autoindex::NAME_WIDTH)
            }
        }
    }

    fn head(&mut self, column: Column, title: &str) {
        if self.has(IndexOptions::SUPPRESS_COLUMN_SORTING) {
            return self.push(title);
        }
        self.push("<a href=\"");
        push_html(self.page, &self.view.head_query(column));
        self.push(&format!("\">{title}</a>"));
    }

    fn blank_icon(&self) -> Option<String> {
        self.listing.settings.icon(Subject::path(b"^^BLANKICON^^")).map(str::to_owned)
    }

    fn image(&mut self, url: &str, alt: &str) {
        self.push("<img src=\"");
        push_html(self.page, url.as_bytes());
        self.push("\" alt=\"");
        self.push(alt); // HTML, as descriptions are.
        self.push("\"");
        let (width, height) = self.listing.settings.icon_size();
        for (name, pixels) in [("width", width), ("height", height)] {
            if pixels > 0 {
                self.push(&format!(" {name}=\"{pixels}\""));
            }
        }
        self.push(self.end());
    }

    fn icon(&mut self, row: &Row<'_>, without: &str) {
        let is_link = self.has(IndexOptions::ICONS_ARE_LINKS);
        if is_link {
            self.push("<a href=\"");
            self.page.extend_from_slice(&row.link);
            self.push("\">");
        }
        let url = row.icon.url.as_deref().or(self.listing.settings.default_icon());
        match url.map(str::to_owned) {
            Some(url) => {
                let alt = row.icon.alt.as_deref().unwrap_or("   ");
                self.image(&url, &format!("[{alt}]"));
            }
            None => self.push(without),
        }
        if is_link {
            self.push("</a>");
        }
    }

    /// The name as a link, cut if it is too long; how many characters are shown. Characters are counted where the name
    /// is UTF-8, so that a cut does not leave half of one.
    fn link(&mut self, row: &Row<'_>, width: Option<usize>) -> usize {
        self.push("<a href=\"");
        self.page.extend_from_slice(&row.link);
        self.push("\">");
        let starts = character_starts(&row.name);
        let shown = match width.filter(|width| *width > CUT.len() && starts.len() > *width) {
            None => {
                push_html(self.page, &row.name);
                starts.len()
            }
            Some(width) => {
                push_html(self.page, &row.name[..starts[width - CUT.len()]]);
                push_html(self.page, CUT);
                width
            }
        };
        self.push("</a>");
        shown
    }

    fn pad(&mut self, width: usize, shown: usize) {
        self.page.extend(std::iter::repeat_n(b' ', width.saturating_sub(shown)));
    }

    fn date(&self, entry: &Entry) -> String {
        let local = self.clock.local(Moment { secs: entry.modified, nanos: 0 });
        let old = self.has(IndexOptions::USE_OLD_DATE_FORMAT);
        let format = if old { "%d-%b-%Y %H:%M  " } else { "%Y-%m-%d %H:%M  " };
        local.strftime(format).to_string()
    }

    /// A description of at most the configured width. Tags count nothing, entities one.
    fn cut_description(&self, text: &str, rows: &[Row<'_>]) -> String {
        let width = match self.listing.settings.description_width() {
            Some(Width::Longest) => rows
                .iter()
                .filter_map(|row| row.description)
                .map(str::len)
                .max()
                .unwrap_or(0)
                .max(DESCRIPTION_WIDTH),
            Some(Width::Characters(0)) => usize::MAX,
            Some(Width::Characters(width)) => width,
            None => {
                let freed = [
                    (IndexOptions::SUPPRESS_ICON, 6),
                    (IndexOptions::SUPPRESS_LAST_MODIFIED, 19),
                    (IndexOptions::SUPPRESS_SIZE, 7),
                ];
                let freed = freed.iter().filter(|(option, _)| self.has(*option));
                DESCRIPTION_WIDTH + freed.map(|(_, width)| width).sum::<usize>()
            }
        };
        cut(text, width)
    }
}

/// The lines from top to bottom.
fn rows<'l>(listing: &'l Listing<'_>) -> Vec<Row<'l>> {
    let parent = listing.parent.as_ref().zip(listing.parent());
    let parent = parent.map(|(parent, path)| {
        let mut link = Vec::new();
        push_absolute_link(&mut link, path);
        let name = b"Parent Directory".to_vec();
        let description = parent.description.as_deref();
        Row { link, name, icon: &parent.icon, entry: None, description }
    });
    let entries = listing.entries.iter().map(|entry| {
        let mut link = Vec::new();
        entry.push_link(&mut link);
        let description = entry.description.as_deref();
        Row { link, name: entry.shown(), icon: &entry.icon, entry: Some(entry), description }
    });
    parent.into_iter().chain(entries).collect()
}

/// Cuts HTML behind `width` visible characters, and marks that.
fn cut(text: &str, width: usize) -> String {
    let mut left = width;
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let (bytes, is_tag) = match character {
            '<' => (rest.find('>').map_or(rest.len(), |end| end + 1), true),
            '&' => (rest.find(';').map_or(rest.len(), |end| end + 1), false),
            other => (other.len_utf8(), false),
        };
        if !is_tag {
            if left == 0 {
                return match text[..at].char_indices().next_back() {
                    Some((last, _)) => text[..last].to_owned() + ">",
                    None => String::new(),
                };
            }
            left -= 1;
        }
        at += bytes;
    }
    text.to_owned()
}

/// Where each character begins; each byte counts as one in a name that is not UTF-8.
fn character_starts(name: &[u8]) -> Vec<usize> {
    match std::str::from_utf8(name) {
        Ok(text) => text.char_indices().map(|(start, _)| start).collect(),
        Err(_) => (0..name.len()).collect(),
    }
}

fn size_of(row: &Row<'_>) -> String {
    let file = row.entry.filter(|entry| !entry.is_folder);
    file.map_or("  - ".to_owned(), |file| size(file.size))
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
            is_folder,
            size,
            modified: 1_704_164_640, // 2024-01-02 03:04 UTC
            ..Entry::named(name.as_bytes())
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
        let listing = Listing::of(path, entries, Some(query.as_bytes()), &settings);
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
            let entry = Entry { is_folder, ..Entry::named(name.as_bytes()) };
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
