//! # etag: a name for one version of a file
//!
//! - Built from what `stat` says, in Apache's form: `"size-mtime"` in hexadecimal, the time in
//!   microseconds.
//! - Or from the content itself, of which it is the SHA-1 in base64.
//! - Weak while the file is younger than a second: it could change again without its time changing.
//! - Comparison is on the opaque text, byte by byte (RFC 9110 section 8.8.3).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::http::coding::Coding;
use crate::http::field::{self, Values};

/// The parts that `FileETag` chooses. None of them means no entity tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileTagParts {
    /// `INode`: differs between machines that serve copies of the same file.
    pub inode: bool,
    /// `Size`
    pub size: bool,
    /// `MTime`
    pub mtime: bool,
}

/// Apache's default: `MTime Size`.
impl Default for FileTagParts {
    fn default() -> FileTagParts {
        FileTagParts { inode: false, size: true, mtime: true }
    }
}

/// What `stat` says about a file and its entity tag needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// The inode number.
    pub inode: u64,
    /// The size in bytes.
    pub size: u64,
    /// The time of the last change of the content, in microseconds since 1970.
    pub mtime_us: i64,
}

/// An entity tag, ready for the wire: `"21-60a24181e4000"`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ETag {
    text: [u8; ETAG_BYTES_MAX],
    length: u8,
}

/// `W/`, two quotes, three numbers of up to 16 digits, two dashes; the same numbers once more for a list of variants, and
/// a semicolon; the suffix of a coding.
const ETAG_BYTES_MAX: usize = 2 + 2 + 2 * (3 * 16 + 2) + 1 + 5;

impl ETag {
    /// The tag of a file as seen at `now_us`; `None` if `parts` are none.
    pub fn of_file(file: &FileFacts, parts: FileTagParts, now_us: i64) -> Option<ETag> {
        const WEAK_UNTIL_US: i64 = 1_000_000;
        let chosen = [
            (parts.inode, file.inode),
            (parts.size, file.size),
            (parts.mtime, file.mtime_us.cast_unsigned()),
        ];
        let mut tag = ETag { text: [0; ETAG_BYTES_MAX], length: 0 };
        if now_us.saturating_sub(file.mtime_us) < WEAK_UNTIL_US {
            tag.push(b"W/");
        }
        let mut before = b'"';
        for (_, number) in chosen.into_iter().filter(|(is_chosen, _)| *is_chosen) {
            tag.push(&[before]);
            tag.push_hex(number);
            before = b'-';
        }
        if before == b'"' {
            return None;
        }
        tag.push(b"\"");
        Some(tag)
    }

    /// The tag of a file by the SHA-1 of its content.
    pub fn of_digest(digest: &[u8; 20]) -> ETag {
        let mut tag = ETag { text: [0; ETAG_BYTES_MAX], length: 0 };
        for part in ["\"", &BASE64_STANDARD.encode(digest), "\""] {
            tag.push(part.as_bytes());
        }
        tag
    }

    /// The tag of one variant of a resource whose list of variants has the tag `list`: both have to stay the same.
    #[must_use]
    pub fn of_variant(&self, list: &ETag) -> ETag {
        let mut tag = ETag { text: [0; ETAG_BYTES_MAX], length: 0 };
        let (own, list) = (self.parsed(), list.parsed());
        if own.weak || list.weak {
            tag.push(b"W/");
        }
        for part in [b"\"", own.opaque, b";", list.opaque, b"\""] {
            tag.push(part);
        }
        tag
    }

    /// The tag of the same version in a coding: `"abc-gzip"`.
    #[must_use]
    pub fn with_suffix(mut self, coding: Coding) -> ETag {
        self.length -= 1; // The quote at the end.
        self.push(coding.tag_suffix().as_bytes());
        self.push(b"\"");
        self
    }

    /// The text for the `ETag` field, `W/` and quotes included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    /// The same as [`as_bytes`](ETag::as_bytes); a tag is ASCII.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).expect("a tag is written in ASCII")
    }

    /// The tag as it is compared.
    pub fn parsed(&self) -> EntityTag<'_> {
        EntityTag::parse(self.as_bytes()).expect("a tag that we wrote is well-formed")
    }

    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.length);
        self.text[start..start + bytes.len()].copy_from_slice(bytes);
        self.length += u8::try_from(bytes.len()).expect("a part of a tag is short");
    }

    /// Lower-case digits without leading zeros.
    fn push_hex(&mut self, number: u64) {
        let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for place in (0..digits).rev() {
            let digit = (number >> (4 * place)) & 15;
            self.push(&[b"0123456789abcdef"[digit as usize]]);
        }
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entity tag in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'b> {
    /// It began with `W/`: the same meaning, perhaps not the same bytes.
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: &'b [u8],
}

impl<'b> EntityTag<'b> {
    /// Reads a value that is one tag and nothing else.
    pub fn parse(text: &'b [u8]) -> Option<EntityTag<'b>> {
        match read_tag(text)? {
            (tag, []) => Some(tag),
            _ => None,
        }
    }

    /// Both are strong and the same: the same bytes.
    pub fn strong_eq(self, other: EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// The same, weak or not: good enough to be shown instead.
    pub fn weak_eq(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// A tag at the start of `text` and what follows it.
fn read_tag(text: &[u8]) -> Option<(EntityTag<'_>, &[u8])> {
    let (weak, quoted) = match text {
        [b'W', b'/', quoted @ ..] => (true, quoted),
        _ => (false, text),
    };
    let inside = quoted.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', inside)?;
    let opaque = &inside[..end];
    let is_opaque = opaque.iter().all(|&byte| byte > b' ' && byte != 0x7f);
    is_opaque.then_some((EntityTag { weak, opaque }, &inside[end + 1..]))
}

/// What `If-Match` or `If-None-Match` name, over all their lines.
#[derive(Clone, Copy, Debug)]
pub struct TagList<'b>(Values<'b>);

impl<'b> TagList<'b> {
    /// The list in these fields.
    pub const fn new(values: Values<'b>) -> TagList<'b> {
        TagList(values)
    }

    /// `*`: whatever version there is.
    pub fn is_any(self) -> bool {
        self.0.single() == Some(b"*")
    }

    /// Whether `accepts` holds for one of the tags. A line is read up to its first mistake.
    pub fn any(self, mut accepts: impl FnMut(EntityTag<'b>) -> bool) -> bool {
        self.0.into_iter().any(|line| tags(line).any(&mut accepts))
    }
}

/// The tags of one line. A comma may stand inside a tag, so this is not a split at commas.
fn tags(line: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        while let [b',' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        let (tag, after) = read_tag(rest)?;
        let after = field::trim_blanks(after);
        rest = after;
        (after.is_empty() || after.starts_with(b",")).then_some(tag)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ETag, EntityTag, FileFacts, FileTagParts, TagList, tags};
    use crate::http::field::Values;

    const FILE: FileFacts = FileFacts { inode: 0xabc, size: 33, mtime_us: 1_700_000_000_000_000 };
    const LATER_US: i64 = FILE.mtime_us + 1_000_000;

    fn parts(inode: bool, size: bool, mtime: bool) -> FileTagParts {
        FileTagParts { inode, size, mtime }
    }

    #[track_caller]
    fn check(file: &FileFacts, parts: FileTagParts, now_us: i64, expected: Option<&str>) {
        assert_eq!(ETag::of_file(file, parts, now_us).as_ref().map(ETag::as_str), expected);
    }

    #[test]
    fn a_files_tag_has_apaches_form() {
        check(&FILE, FileTagParts::default(), LATER_US, Some("\"21-60a24181e4000\""));
        check(&FILE, parts(true, true, true), LATER_US, Some("\"abc-21-60a24181e4000\""));
        check(&FILE, parts(true, false, false), LATER_US, Some("\"abc\""));
        check(&FILE, parts(false, false, false), LATER_US, None);
        let empty = FileFacts { inode: 0, size: 0, mtime_us: 0 };
        check(&empty, FileTagParts::default(), LATER_US, Some("\"0-0\""));
    }

    #[test]
    fn a_tag_is_weak_for_a_second() {
        check(&FILE, FileTagParts::default(), LATER_US - 1, Some("W/\"21-60a24181e4000\""));
        // At second 0 the file is from the future.
        check(&FILE, FileTagParts::default(), 0, Some("W/\"21-60a24181e4000\""));
    }

    #[test]
    fn the_longest_tag_fits() {
        let file = FileFacts { inode: u64::MAX, size: u64::MAX, mtime_us: -1 };
        let tag = ETag::of_file(&file, parts(true, true, true), -1).unwrap();
        let number = "f".repeat(16);
        assert_eq!(tag.as_str(), format!("W/\"{number}-{number}-{number}\""));
    }

    #[test]
    fn weak_tags_are_never_strongly_equal() {
        let strong = EntityTag::parse(b"\"a\"").unwrap();
        let weak = EntityTag::parse(b"W/\"a\"").unwrap();
        assert!(strong.strong_eq(strong) && strong.weak_eq(weak) && weak.weak_eq(weak));
        assert!(!strong.strong_eq(weak) && !weak.strong_eq(strong) && !weak.strong_eq(weak));
        for text in
            ["", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/a", "\"a b\"", "\"a\" ", "\"a\"\"b\""]
        {
            assert_eq!(EntityTag::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn lists_are_read_up_to_their_first_mistake() {
        let found = |line: &str| {
            tags(line.as_bytes())
                .map(|tag| String::from_utf8_lossy(tag.opaque).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("\"a\", W/\"b\" ,,\"c,d\",\"\""), ["a", "b", "c,d", ""]);
        assert_eq!(found("\"a\", b, \"c\""), ["a"]);
        assert_eq!(found("\"a\" \"b\""), [""; 0]);
        assert_eq!(found("*"), [""; 0]);
        assert!(TagList::new(Values::one(b"*")).is_any());
        assert!(!TagList::new(Values::one(b"\"*\"")).is_any());
        assert!(!TagList::new(Values::NONE).any(|_| true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn numbers_are_written_as_hexadecimal(inode: u64, size: u64, mtime_us in 0..i64::MAX / 2) {
            let file = FileFacts { inode, size, mtime_us };
            let tag = ETag::of_file(&file, parts(true, true, true), i64::MAX).unwrap();
            prop_assert_eq!(tag.as_str(), format!("\"{inode:x}-{size:x}-{mtime_us:x}\""));
            prop_assert!(!tag.parsed().weak);
        }

        #[test]
        fn no_line_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(tags(&line).count() <= line.len());
        }

        #[test]
        fn every_listed_tag_is_found(
            opaque in prop::collection::vec("[!#-~]{0,6}", 0..6),
            weak: bool,
        ) {
            let prefix = if weak { "W/" } else { "" };
            let tag_texts: Vec<_> = opaque.iter().map(|it| format!("{prefix}\"{it}\"")).collect();
            let line = tag_texts.join(", ");
            let found: Vec<_> = tags(line.as_bytes()).map(|tag| (tag.weak, tag.opaque)).collect();
            let expected: Vec<_> = opaque.iter().map(|it| (weak, it.as_bytes())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
