//! Which files does `Include` mean? Files, folders with everything below them, and patterns, in the order
//! of `strcmp` (httpd `server/config.c`, `ap_process_fnmatch_configs`).

use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::host::{FileKind, Files};

/// Apache's bound for folders within folders.
const FOLDERS_DEEP_MAX: usize = 128;

/// The files to read for `path`, in order. A plain path to nothing is in the result, so that opening it
/// reports why; a pattern must match something, unless `optional`.
///
/// # Errors
/// In words: nothing matches, or a folder cannot be read.
pub(crate) fn expand(
    files: &dyn Files,
    path: &Path,
    optional: bool,
) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    if !has_magic(&path.to_string_lossy()) {
        collect(files, path.to_path_buf(), 0, &mut found)?;
        return Ok(found);
    }
    for matched in matches(files, path, optional)? {
        collect(files, matched, 0, &mut found)?;
    }
    if found.is_empty() && !optional {
        return Err(format!("no matches for the wildcard {}", path.display()));
    }
    Ok(found)
}

/// An operating system's reason without its number, for the middle of a sentence.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

/// The path itself, or everything below it.
fn collect(
    files: &dyn Files,
    path: PathBuf,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), String> {
    if !matches!(files.kind(&path), Ok(FileKind::Directory)) {
        found.push(path);
        return Ok(());
    }
    if depth >= FOLDERS_DEEP_MAX {
        let folder = path.display();
        return Err(format!("{folder} is nested too deeply, is there a circle of links?"));
    }
    for name in sorted_names(files, &path)
        .map_err(|error| format!("could not open folder {}: {}", path.display(), reason(&error)))?
    {
        collect(files, path.join(name), depth + 1, found)?;
    }
    Ok(())
}

/// What a path with a pattern in any of its components leads to.
fn matches(files: &dyn Files, path: &Path, optional: bool) -> Result<Vec<PathBuf>, String> {
    let mut components = path.components().peekable();
    let mut matched = vec![PathBuf::new()];
    while let Some(component) = components.next() {
        let text = component.as_os_str().to_string_lossy();
        let pattern = if has_magic(&text) { compile(&text) } else { None };
        let Some(pattern) = pattern else {
            matched.iter_mut().for_each(|path| path.push(component));
            continue;
        };
        let mut next = Vec::new();
        for folder in matched {
            let names = match sorted_names(files, &folder) {
                Ok(names) => names,
                Err(error) if optional && absent(&error) => continue,
                Err(error) => {
                    let folder = folder.display();
                    return Err(format!("could not open folder {folder}: {}", reason(&error)));
                }
            };
            let fitting = names.into_iter().filter(|name| pattern.matches_with(name, AS_FNMATCH));
            next.extend(fitting.map(|name| folder.join(name)));
        }
        if components.peek().is_some() {
            next.retain(|path| matches!(files.kind(path), Ok(FileKind::Directory)));
        }
        matched = next;
    }
    matched.retain(|path| files.kind(path).map_or_else(|error| !absent(&error), |_| true));
    Ok(matched)
}

/// A leading dot must be written out.
const AS_FNMATCH: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// `fnmatch`'s notation in that of the glob crate. `None`: not a pattern after all, so a plain name.
fn compile(pattern: &str) -> Option<Pattern> {
    let mut glob = pattern.replace("[^", "[!");
    while glob.contains("**") {
        glob = glob.replace("**", "*");
    }
    Pattern::new(&glob).ok()
}

/// As `apr_fnmatch_test` sees it.
fn has_magic(text: &str) -> bool {
    let bracket = text.find('[').is_some_and(|open| text[open..].contains(']'));
    bracket || text.contains(['*', '?'])
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn sorted_names(files: &dyn Files, folder: &Path) -> io::Result<Vec<String>> {
    let mut names = files.list(folder)?;
    names.sort();
    Ok(names)
}
