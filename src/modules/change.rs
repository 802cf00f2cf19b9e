//! # Change: a set of flags, or a change to the set inherited
//!
//! ```text
//! Options Indexes MultiViews     replaces whatever the outer sections said
//! Options +Indexes -MultiViews   changes it
//! Options None +Indexes          replaces, then changes
//! ```
//!
//! `Options`, `FileETag` and `IndexOptions` speak this little language. Merging is associative, so
//! sections can be folded in any grouping.

/// What the lines of one section say about a set of flags, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Change {
    /// A list without signs: nothing inherited is left.
    absolute: Option<u32>,
    /// Added to what is inherited. Never shares a bit with `removed`.
    added: u32,
    /// Taken from what is inherited.
    removed: u32,
}

impl Change {
    /// What holds when this is all there is, and `default` when nothing was said.
    pub(crate) fn effective(&self, default: u32) -> u32 {
        self.absolute.unwrap_or(default) & !self.removed | self.added
    }

    /// What `inner` makes of `self`.
    pub(crate) fn merge(&self, inner: &Self) -> Self {
        if inner.absolute.is_some() {
            return *inner;
        }
        Self {
            absolute: self.absolute.map(|flags| flags & !inner.removed | inner.added),
            added: self.added & !inner.removed | inner.added,
            removed: self.removed & !inner.added | inner.removed,
        }
    }

    /// The list without signs, if there is one, with what was changed after it.
    pub(crate) fn absolute(&self) -> Option<u32> {
        self.absolute
    }

    /// A change that leaves nothing of what was inherited.
    pub(crate) fn to(flags: u32) -> Self {
        Self { absolute: Some(flags), ..Self::default() }
    }

    /// `+Flag`
    pub(crate) fn adding(flags: u32) -> Self {
        Self { added: flags, ..Self::default() }
    }

    /// `-Flag`
    pub(crate) fn removing(flags: u32) -> Self {
        Self { removed: flags, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::Change;
    use proptest::prelude::*;

    fn change() -> impl Strategy<Value = Change> {
        (proptest::option::of(0..16_u32), 0..16_u32, 0..16_u32).prop_map(|(to, add, remove)| {
            let start = to.map_or(Change::default(), Change::to);
            start.merge(&Change::adding(add)).merge(&Change::removing(remove))
        })
    }

    proptest! {
        #[test]
        fn merging_is_associative(
            a in change(), b in change(), c in change(), default in 0..16_u32,
        ) {
            let left = a.merge(&b).merge(&c);
            let right = a.merge(&b.merge(&c));
            prop_assert_eq!(left.effective(default), right.effective(default));
        }

        #[test]
        fn an_inner_change_applies_to_what_the_outer_one_left(
            outer in change(), add in 0..16_u32, remove in 0..16_u32, default in 0..16_u32,
        ) {
            let inner = Change::removing(remove).merge(&Change::adding(add));
            let merged = outer.merge(&inner).effective(default);
            prop_assert_eq!(merged, outer.effective(default) & !remove | add);
        }

        #[test]
        fn an_absolute_list_forgets_the_outer_sections(outer in change(), flags in 0..16_u32) {
            prop_assert_eq!(outer.merge(&Change::to(flags)).effective(0), flags);
        }
    }
}
