//! # Links: where a page or a style sheet of a real site leads

/// The paths within the site that a page or a style sheet refers to.
pub(crate) fn links(page: &str, body: &[u8]) -> Vec<String> {
    let kind = page.rsplit('.').next().unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let found: Vec<&str> = match kind {
        "css" => between(&text, &["url("], &[')']),
        "html" => between(&text, &["href=", "src="], &['>', ' ']),
        _ if page.ends_with('/') => between(&text, &["href=", "src="], &['>', ' ']),
        _ => Vec::new(),
    };
    found.into_iter().filter_map(|link| resolve(page, link)).collect()
}

/// What follows each of `starts`: up to the closing quote, or without quotes up to one of `ends`.
fn between<'t>(text: &'t str, starts: &[&str], ends: &[char]) -> Vec<&'t str> {
    let after = |start: &str| {
        text.match_indices(start).map(|(at, found)| &text[at + found.len()..]).collect::<Vec<_>>()
    };
    starts
        .iter()
        .flat_map(|start| after(start))
        .filter_map(|rest| match rest.chars().next()? {
            quote @ ('"' | '\'') => rest[1..].split(quote).next(),
            _ => rest.split(ends).next(),
        })
        .collect()
}

/// The path that a link on `page` leads to; `None` if it leaves the site.
fn resolve(page: &str, link: &str) -> Option<String> {
    let link = link.split(['#', '?']).next()?.trim().replace("&amp;", "&");
    let leaves = link.is_empty() || link.starts_with("//") || link.split('/').next()?.contains(':');
    // What scripts and templates make of braces and pluses is not known here.
    if leaves || link.contains(['{', '+', '<', '"', '\'', '\\', ' ', '\n', '$']) {
        return None;
    }
    let base = if link.starts_with('/') { "" } else { &page[..page.rfind('/')?] };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(link.split('/')).filter(|part| !part.is_empty()) {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let slash = link.ends_with('/') || link.ends_with("..") || link == ".";
    let path = format!("/{}{}", parts.join("/"), if slash && !parts.is_empty() { "/" } else { "" });
    Some(path)
}

#[test]
fn links_are_found_and_resolved() {
    let html = b"<a href=\"b.html#x\"><img src='../i.png'><a href=/c/><a href=\"https://e.org/\"><a href=\"#y\">";
    assert_eq!(links("/a/page.html", html), ["/a/b.html", "/c/", "/i.png"]);
    assert_eq!(
        links("/a/s.css", b"@font-face{src:url(\"f.woff2\"),url(../g.woff)}"),
        ["/a/f.woff2", "/g.woff"]
    );
    assert_eq!(resolve("/a/b/c.html", "../../../d"), None, "above the root");
    assert_eq!(resolve("/a/b/c.html", "../.."), Some("/".to_owned()));
    assert_eq!(resolve("/a/b.html", "d%20e.html?x"), Some("/a/d%20e.html".to_owned()));
}
