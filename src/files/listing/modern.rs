//! Our own page: folders first, one style for light and dark screens, nothing to load.

use super::order::View;
use super::{Entry, Listing, push_absolute_link};
use crate::http::escape::push_html;
use crate::log::{LogClock, Moment};
use crate::modules::autoindex::{Column, IndexOptions};

const STYLE: &str = "\
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 15%,transparent);--dim:color-mix(in srgb,currentColor 60%,transparent)}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}\
a{color:LinkText;text-decoration:none}a:hover{text-decoration:underline}\
table{width:100%;border-collapse:collapse}\
th{text-align:left;font-weight:600;font-size:.85rem}th a{color:inherit}\
th,td{padding:.35rem .5rem;border-bottom:1px solid var(--line)}\
td:first-child{overflow-wrap:anywhere}.folder{font-weight:600}\
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--dim)}th.number{color:inherit}\
footer,.empty{color:var(--dim)}@media(max-width:30rem){.date{display:none}}";

pub(super) fn render(listing: &Listing<'_>, clock: &LogClock, page: &mut Vec<u8>) {
    page.extend_from_slice(b"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"");
    push_html(page, listing.settings.charset().as_bytes());
    page.extend_from_slice(
        b"\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
    );
    push_html(page, listing.title());
    page.extend_from_slice(b"</title>\n<style>");
    page.extend_from_slice(STYLE.as_bytes());
    page.extend_from_slice(b"</style>\n</head>\n<body>\n");
    trail(listing.path, page);
    listing.head.push_content(page);
    table(listing, clock, page);
    listing.foot.push_content(page);
    if !listing.signature.is_empty() {
        page.extend_from_slice(b"<footer>");
        page.extend_from_slice(listing.signature);
        page.extend_from_slice(b"</footer>\n");
    }
    page.extend_from_slice(b"</body>\n</html>\n");
}

/// The path as a heading; each folder above is a link.
fn trail(path: &[u8], page: &mut Vec<u8>) {
    page.extend_from_slice(b"<h1>");
    let slashes: Vec<usize> = memchr::memchr_iter(b'/', path).collect();
    for (depth, slash) in slashes.iter().enumerate() {
        let name_start = depth.checked_sub(1).map_or(0, |above| slashes[above] + 1);
        let name = &path[name_start..=*slash];
        if depth + 1 == slashes.len() {
            push_html(page, name);
            continue;
        }
        page.extend_from_slice(b"<a href=\"");
        push_absolute_link(page, &path[..=*slash]);
        page.extend_from_slice(b"\">");
        push_html(page, name);
        page.extend_from_slice(b"</a>");
    }
    page.extend_from_slice(b"</h1>\n");
}

fn table(listing: &Listing<'_>, clock: &LogClock, page: &mut Vec<u8>) {
    let view = &listing.view;
    page.extend_from_slice(b"<table>\n<thead><tr>");
    head(view, Column::Name, "Name", "", page);
    head(view, Column::Size, "Size", " class=\"number\"", page);
    head(view, Column::Modified, "Modified", " class=\"number date\"", page);
    page.extend_from_slice(b"</tr></thead>\n<tbody>\n");
    if let Some(parent) = listing.parent() {
        page.extend_from_slice(b"<tr><td class=\"folder\" colspan=\"3\"><a href=\"");
        push_absolute_link(page, parent);
        page.extend_from_slice(b"\">../</a></td></tr>\n");
    }
    if listing.entries.is_empty() {
        page.extend_from_slice(b"<tr><td class=\"empty\" colspan=\"3\">Nothing here.</td></tr>\n");
    }
    listing.entries.iter().for_each(|entry| row(entry, clock, page));
    page.extend_from_slice(b"</tbody>\n</table>\n");
}

fn head(view: &View, column: Column, title: &str, class: &str, page: &mut Vec<u8>) {
    let arrow = match (view.column == column, view.descending) {
        (false, _) => "",
        (true, false) => " ↑",
        (true, true) => " ↓",
    };
    page.extend_from_slice(format!("<th{class}>").as_bytes());
    if view.options.contains(IndexOptions::IGNORE_CLIENT) {
        page.extend_from_slice(title.as_bytes());
    } else {
        page.extend_from_slice(b"<a href=\"");
        push_html(page, &view.head_query(column));
        page.extend_from_slice(format!("\">{title}{arrow}</a>").as_bytes());
    }
    page.extend_from_slice(b"</th>");
}

fn row(entry: &Entry, clock: &LogClock, page: &mut Vec<u8>) {
    let class = if entry.is_folder { " class=\"folder\"" } else { "" };
    page.extend_from_slice(format!("<tr><td{class}><a href=\"").as_bytes());
    entry.push_link(page);
    page.extend_from_slice(b"\">");
    push_html(page, &entry.shown());
    let local = clock.local(Moment { secs: entry.modified, nanos: 0 });
    let size = if entry.is_folder { String::new() } else { size(entry.size) };
    let date = local.strftime("%Y-%m-%d %H:%M");
    page.extend_from_slice(
        format!(
            "</a></td><td class=\"number\">{size}</td><td class=\"number date\">{date}</td></tr>\n"
        )
        .as_bytes(),
    );
}

/// `3 B`, `1.4 KB`, `20 MB`: units of 1024, as file managers show them.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    // A unit is left when the rounded number would need four digits.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::autoindex::Autoindex;
    use proptest::prelude::*;

    fn page(path: &str, entries: &[Entry]) -> String {
        let settings = Autoindex::default();
        let mut page = Vec::new();
        let listing = Listing::of(path, entries.to_vec(), None, &settings);
        render(&listing, &LogClock::new(jiff::tz::TimeZone::UTC), &mut page);
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn page_links_its_folders_and_says_when_it_is_empty() {
        let page = page("/a b/c/", &[]);
        assert!(page.contains("<h1><a href=\"/\">/</a><a href=\"/a%20b/\">a b/</a>c/</h1>"));
        assert!(page.contains("<a href=\"/a%20b/\">../</a>"));
        assert!(page.contains("Nothing here."));
    }

    #[test]
    fn row_shows_name_size_and_date() {
        let file = Entry { size: 1500, ..Entry::named(b"a.txt") };
        let page = page("/", &[file]);
        let row = "<tr><td><a href=\"a.txt\">a.txt</a></td><td class=\"number\">1.4 KB</td>\
                   <td class=\"number date\">1970-01-01 00:00</td></tr>\n";
        assert!(page.contains(row), "{page}");
    }

    #[test]
    fn sizes_keep_three_digits_at_most() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KB"),
            (20_480, "20 KB"),
            (1_048_575, "0.9 MB"),
            (u64::MAX, "15 EB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn names_and_paths_stay_text(name in "[^/\0]{1,20}", above in "[^/\0]{1,20}") {
            let model = Entry { is_folder: true, ..Entry::named(b"n") };
            let entry = Entry { name: name.into_bytes(), ..model.clone() };
            let (page, model) = (page(&format!("/{above}/"), &[entry]), page("/n/", &[model]));
            for mark in ["<", ">", "\""] {
                prop_assert_eq!(page.matches(mark).count(), model.matches(mark).count(), "{}", page);
            }
        }
    }
}
