//! Which variant is the best for a client: pure, and the same for type maps and MultiViews.
//!
//! ```text
//! each variant ── scores: type × source, language, priority, level, charset, encoding, length ──▶ the first that is
//!                 0 in any of type, source, language, charset, encoding: not acceptable            better decides
//! ```

use std::cmp::Ordering;

use super::accept::{self, PROGRAM_TYPE, Wanted, Wishes};

/// One form that a resource is there in.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Variant {
    /// Relative to the resource's own URL.
    pub(super) name: Vec<u8>,
    /// In lower case, without parameters; empty if nothing is known.
    pub(super) media_type: Vec<u8>,
    /// `qs`: how good a rendering it is. 0: never choose it.
    pub(super) source_quality: f32,
    /// A parameter of text/html.
    pub(super) level: f32,
    /// In lower case; empty if there is none.
    pub(super) charset: Vec<u8>,
    /// In lower case.
    pub(super) languages: Vec<Vec<u8>>,
    /// The content coding; empty if there is none.
    pub(super) encoding: Vec<u8>,
    /// What a type map says about it to people.
    pub(super) description: Vec<u8>,
    /// `None`: unknown, or not for us to say.
    pub(super) length: Option<u64>,
    /// A handler answers for it: its file's length says nothing.
    pub(super) has_handler: bool,
    /// Where in its type map it stands itself: offset and length.
    pub(super) body: Option<(usize, usize)>,
}

/// What the server prefers.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy<'p> {
    /// LanguagePriority, the most important first.
    pub(super) priority: &'p [String],
    /// ForceLanguagePriority Prefer: the priority decides between what the client likes equally.
    pub(super) prefer: bool,
    /// ForceLanguagePriority Fallback: and where the client accepts nothing.
    pub(super) fall_back: bool,
    /// The variable `prefer-language`: this one first, whatever the client says.
    pub(super) language: Option<Vec<u8>>,
    /// The variable `no-gzip`: nothing that is encoded.
    pub(super) no_encodings: bool,
    /// The variable `gzip-only-text/html`.
    pub(super) encoded_html_only: bool,
    /// A program is wanted more than a file: there is something to work on.
    pub(super) prefer_programs: bool,
}

/// How a variant suits a client.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scores {
    media_type: f32,
    language: f32,
    charset: f32,
    encoding: f32,
    /// Its place in LanguagePriority.
    priority: Option<usize>,
    /// The level, if the client has named the type.
    level_matched: f32,
    /// Nothing had to be guessed.
    is_definite: bool,
}

impl Variant {
    /// Takes over what a Content-Type says.
    pub(super) fn set_type(&mut self, content_type: &[u8]) {
        let said = accept::media_type(content_type);
        self.media_type = said.name;
        self.source_quality = said.quality;
        self.level = said.level;
        self.charset = said.charset;
    }

    fn is_encoded(&self) -> bool {
        !matches!(self.encoding.as_slice(), b"" | b"7bit" | b"8bit" | b"binary")
    }

    fn is_html(&self) -> bool {
        self.media_type == b"text/html"
    }

    fn is_in(&self, language: &[u8]) -> bool {
        self.languages.iter().any(|own| own == language)
    }

    fn is_discarded(&self, policy: &Policy<'_>) -> bool {
        let may_not = policy.no_encodings || (policy.encoded_html_only && !self.is_html());
        self.is_encoded() && self.encoding != b"identity" && may_not
    }
}

/// The best variant's index; `None`: the client has to choose, or there is nothing for it.
pub(super) fn choose(variants: &[Variant], wishes: &Wishes, policy: &Policy<'_>) -> Option<usize> {
    if !wishes.negotiate.may_choose {
        return None;
    }
    let chooser = Chooser::new(variants, wishes, policy);
    let preferred = policy.language.as_deref();
    let by_variable = preferred.and_then(|language| chooser.best(Some(language)));
    by_variable.or_else(|| chooser.best(None))
}

struct Chooser<'c> {
    variants: &'c [Variant],
    wishes: &'c Wishes,
    policy: &'c Policy<'c>,
    types: Vec<Wanted>,
    /// No member of Accept has a quality: its wildcards are there for politeness.
    types_are_equal: bool,
    /// How much a variant without a language is liked.
    no_language: f32,
}

impl<'c> Chooser<'c> {
    fn new(variants: &'c [Variant], wishes: &'c Wishes, policy: &'c Policy<'c>) -> Self {
        let named = |name: &[u8], quality| Wanted {
            name: name.to_vec(),
            quality,
            level: 0.0,
            charset: Vec::new(),
        };
        let mut types = wishes.types.clone().unwrap_or_else(|| vec![named(b"*/*", 1.0)]);
        let is_qualified = |wanted: &Wanted| wanted.quality < 1.0;
        let types_are_equal = !wishes.types.iter().flatten().any(is_qualified);
        let program_quality = match (wishes.negotiate.by_rfc_2296, policy.prefer_programs) {
            (true, _) => 0.0,
            (false, true) => 2.0,
            (false, false) => 0.001,
        };
        types.push(named(PROGRAM_TYPE, program_quality));
        let any_language = variants.iter().any(|variant| !variant.languages.is_empty());
        let no_language = if any_language && !wishes.negotiate.is_exact { 0.0001 } else { 1.0 };
        Chooser { variants, wishes, policy, types, types_are_equal, no_language }
    }

    /// The best of all, or of those in one language, which then counts as if the client had asked for it.
    fn best(&self, language: Option<&[u8]>) -> Option<usize> {
        let mut best: Option<(usize, Scores)> = None;
        for (index, variant) in self.variants.iter().enumerate() {
            if variant.is_discarded(self.policy)
                || language.is_some_and(|language| !variant.is_in(language))
            {
                continue;
            }
            let mut scores = self.scores(variant);
            if language.is_some() {
                let (_, is_definite) = self.charset_score(variant);
                scores = Scores { language: 1.0, priority: None, is_definite, ..scores };
            }
            if self.is_better(
                variant,
                &scores,
                best.map(|(index, old)| (&self.variants[index], old)),
            ) {
                best = Some((index, scores));
            }
        }
        // By RFC 2296 nothing is chosen on a guess.
        let (index, scores) = best?;
        (scores.is_definite || !self.wishes.negotiate.by_rfc_2296).then_some(index)
    }

    fn scores(&self, variant: &Variant) -> Scores {
        let (media_type, level_matched, type_is_definite) = self.type_score(variant);
        let (language, priority, language_is_definite) = self.language_score(variant);
        let (charset, charset_is_definite) = self.charset_score(variant);
        Scores {
            media_type,
            language,
            charset,
            encoding: self.encoding_score(variant),
            priority,
            level_matched,
            is_definite: type_is_definite && language_is_definite && charset_is_definite,
        }
    }

    /// The quality of the member of Accept that names the type best, the level that matched, and whether it was named.
    fn type_score(&self, variant: &Variant) -> (f32, f32, bool) {
        let mut quality = 0.0;
        let mut stars = 0;
        let mut level_matched = 0.0;
        for wanted in &self.types {
            let matched = match wanted.name.as_slice() {
                [b'*', ..] => 1,
                [class @ .., b'*'] if variant.media_type.starts_with(class) => 2,
                name if name == variant.media_type && wanted.level >= variant.level => {
                    level_matched = variant.level;
                    3
                }
                _ => continue,
            };
            if matched <= stars {
                continue;
            }
            stars = matched;
            // Wildcards of a client that says nothing about qualities only mean: better than nothing.
            let is_polite = self.types_are_equal && !self.wishes.negotiate.is_exact;
            quality = match stars {
                1 if is_polite => 0.01,
                2 if is_polite => 0.02,
                _ => wanted.quality,
            };
        }
        (quality, level_matched, stars == 3)
    }

    /// The quality of the languages, and their priority.
    fn language_score(&self, variant: &Variant) -> (f32, Option<usize>, bool) {
        if variant.languages.is_empty() {
            let quality = if self.wishes.negotiate.is_exact { 1.0 } else { self.no_language };
            return (quality, None, true);
        }
        let (quality, is_definite) = match &self.wishes.languages {
            None => (1.0, false),
            Some(wanted) => self.language_quality(variant, wanted),
        };
        let place = || variant.languages.iter().filter_map(|tag| self.place(tag)).min();
        if quality > 0.0 {
            let priority = if self.policy.prefer { place() } else { None };
            return (quality, priority, is_definite);
        }
        match if self.policy.fall_back { place() } else { None } {
            Some(place) => (0.0001, Some(place), false),
            None => (0.0, None, is_definite),
        }
    }

    /// The best of what the client says about each language of the variant. The longest range that a tag begins with
    /// counts for it.
    fn language_quality(&self, variant: &Variant, wanted: &[Wanted]) -> (f32, bool) {
        let star = wanted.iter().find(|wanted| wanted.name == b"*");
        let mut best: Option<&Wanted> = None;
        let mut star_matched = false;
        let mut is_related = false;
        for tag in &variant.languages {
            let ranges = wanted.iter().filter(|wanted| covers(&wanted.name, tag));
            // The first of equally long ones.
            let longest = ranges.rev().max_by_key(|range| range.name.len());
            star_matched |= longest.is_none() && star.is_some();
            is_related |= wanted.iter().any(|wanted| {
                let mut subtags = wanted.name.splitn(2, |byte| *byte == b'-');
                let primary = subtags.next().unwrap_or_default();
                subtags.next().is_some() && covers(primary, tag)
            });
            let is_better = |range: &Wanted| best.is_none_or(|best| range.quality > best.quality);
            if let Some(range) = longest.filter(|range| is_better(range)) {
                best = Some(range);
            }
        }
        if let Some(star) = star
            && star_matched
            && best.is_none_or(|best| star.quality > best.quality)
        {
            return (star.quality, false);
        }
        match best {
            Some(range) => (range.quality, true),
            // Who asks for en-US only will rather have en than nothing.
            None if is_related && !self.wishes.negotiate.is_exact => (0.001, true),
            None => (0.0, true),
        }
    }

    fn place(&self, tag: &[u8]) -> Option<usize> {
        self.policy.priority.iter().position(|wanted| {
            let beginning = tag.get(..wanted.len());
            beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(wanted.as_bytes()))
        })
    }

    fn charset_score(&self, variant: &Variant) -> (f32, bool) {
        const DEFAULT: &[u8] = b"iso-8859-1";
        let Some(wanted) = &self.wishes.charsets else {
            return (1.0, variant.charset.is_empty());
        };
        let charset = match variant.charset.as_slice() {
            b"" if !variant.media_type.starts_with(b"text/") || self.wishes.negotiate.is_exact => {
                return (1.0, true);
            }
            b"" => DEFAULT,
            charset => charset,
        };
        if let Some(named) = wanted.iter().find(|wanted| wanted.name == charset) {
            return (named.quality, true);
        }
        match wanted.iter().rfind(|wanted| wanted.name == b"*") {
            Some(star) => (star.quality, false),
            None => (if charset == DEFAULT { 1.0 } else { 0.0 }, true),
        }
    }

    fn encoding_score(&self, variant: &Variant) -> f32 {
        let Some(wanted) = &self.wishes.encodings else {
            return if variant.is_encoded() { 0.5 } else { 1.0 };
        };
        let plain = |name: &'_ [u8]| name.strip_prefix(b"x-").unwrap_or(name).to_vec();
        let (coding, unless_named) = if variant.is_encoded() {
            (plain(&variant.encoding), 0.0)
        } else {
            (b"identity".to_vec(), 0.0001)
        };
        let named = wanted.iter().find(|wanted| plain(&wanted.name) == coding);
        let star = || wanted.iter().rfind(|wanted| wanted.name == b"*");
        named.or_else(star).map_or(unless_named, |wanted| wanted.quality)
    }

    fn is_better(
        &self,
        variant: &Variant,
        scores: &Scores,
        best: Option<(&Variant, Scores)>,
    ) -> bool {
        let quality = |variant: &Variant, scores: &Scores| {
            if self.wishes.negotiate.by_rfc_2296 {
                return scores.media_type
                    * variant.source_quality
                    * scores.charset
                    * scores.language;
            }
            scores.media_type * variant.source_quality
        };
        let is_acceptable = scores.encoding > 0.0
            && scores.language > 0.0
            && scores.charset > 0.0
            && quality(variant, scores) > 0.0;
        if !is_acceptable {
            return false;
        }
        let Some((best, old)) = best else { return true };
        let by_quality = order(quality(variant, scores), quality(best, &old));
        if self.wishes.negotiate.by_rfc_2296 {
            return by_quality.then(order(scores.encoding, old.encoding)).is_gt();
        }
        let is_latin =
            |variant: &Variant| matches!(variant.charset.as_slice(), b"" | b"iso-8859-1");
        by_quality
            .then(order(scores.language, old.language))
            .then_with(|| match (scores.priority, old.priority) {
                (Some(new), Some(old)) => old.cmp(&new),
                (new, old) => new.is_some().cmp(&old.is_some()),
            })
            .then_with(|| by_level((variant, scores), (best, &old)))
            .then(order(scores.charset, old.charset))
            // Whoever took the trouble to name a charset knows it better. That is no reason for the other way round.
            .then(if !is_latin(variant) && is_latin(best) {
                Ordering::Greater
            } else {
                Ordering::Equal
            })
            .then(order(scores.encoding, old.encoding))
            .then_with(|| best.length.cmp(&variant.length))
            .is_gt()
    }
}

/// Whether a language range is the tag, or the beginning of it up to a dash.
fn covers(range: &[u8], tag: &[u8]) -> bool {
    tag.strip_prefix(range).is_some_and(|rest| matches!(rest, [] | [b'-', ..]))
}

/// No quality is anything but a number.
fn order(a: f32, b: f32) -> Ordering {
    a.total_cmp(&b)
}

/// Of the same type, the highest level that the client has named; else the lowest, which is the least likely to be too
/// new.
fn by_level((variant, scores): (&Variant, &Scores), (best, old): (&Variant, &Scores)) -> Ordering {
    if variant.media_type != best.media_type {
        return Ordering::Equal;
    }
    order(scores.level_matched, old.level_matched).then(order(best.level, variant.level))
}

#[cfg(test)]
mod tests;
