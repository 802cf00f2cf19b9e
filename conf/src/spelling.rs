//! Which known name was meant? The answer behind "did you mean X?".

/// The known name that is nearest to `name`, if one is near enough that a slip of the fingers explains
/// the difference. Case does not count, since directive names have none.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let (length, slips_max) = (name.chars().count(), slips_max(&name));
    known
        .into_iter()
        // Each slip changes the length by one at most. There are hundreds of names, and a file that is no configuration
        // has a mistake on each of its lines.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= slips_max)
        .map(|candidate| (distance(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= slips_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many slips we believe in: the shorter a name, the more names are near it by chance.
fn slips_max(name: &str) -> usize {
    match name.len() {
        0..=2 => 0,
        3..=4 => 1,
        5..=9 => 2,
        _ => 3,
    }
}

/// Edit distance in which two swapped neighbours count as one slip ("optimal string alignment").
fn distance(from: &str, to: &str) -> usize {
    /// Longer words are no misspelt names, and the table grows with the product of the lengths.
    const NAME_CHARS_MAX: usize = 64;

    let from: Vec<char> = from.chars().take(NAME_CHARS_MAX + 1).collect();
    let to: Vec<char> = to.chars().take(NAME_CHARS_MAX + 1).collect();
    if from.len().max(to.len()) > NAME_CHARS_MAX {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, from_char) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, to_char) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(from_char != to_char);
            let mut best = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped =
                row > 0 && column > 0 && *from_char == to[column - 1] && from[row - 1] == *to_char;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        let known = ["Listen", "ListenBacklog", "Timeout", "KeepAlive", "User", "Options"];
        assert_eq!(nearest(name, known), expected);
    }

    #[test]
    fn slips_are_recognised() {
        check("Lisent", Some("Listen"));
        check("lisen", Some("Listen"));
        check("ListenBackLogs", Some("ListenBacklog"));
        check("Tiemout", Some("Timeout"));
        check("KEEPALIFE", Some("KeepAlive"));
        check("Option", Some("Options"));
    }

    #[test]
    fn other_words_are_left_alone() {
        check("Us", None);
        check("Proxy", None);
        check("", None);
        check(&"x".repeat(100_000), None);
    }
}
