//! # flags: small sets of bits with names
//!
//! The kernel's flag words, one type for each, so that an epoll flag cannot reach `openat2`.

/// Defines a set of flags over an integer: constants, `|`, `contains`, `is_empty`.
macro_rules! flags {
    ($(#[$meta:meta])* pub struct $name:ident($int:ty) {
        $($(#[$flag_meta:meta])* $flag:ident = $value:expr;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name($int);

        impl $name {
            $($(#[$flag_meta])* pub const $flag: Self = Self($value);)*

            /// No flag at all.
            pub const fn empty() -> Self {
                Self(0)
            }

            /// The bits as the kernel knows them.
            pub const fn bits(self) -> $int {
                self.0
            }

            /// The set that the kernel reported; bits without a name are kept.
            #[allow(dead_code, reason = "only some words are ever read back from the kernel")]
            pub(crate) const fn from_bits(bits: $int) -> Self {
                Self(bits)
            }

            /// Whether no flag is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether all flags of `other` are set here.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether at least one flag of `other` is set here.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The flags of both. The same as `|`, for constants.
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl std::ops::BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                *self = self.union(other);
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let names: &[(&str, Self)] = &[$((stringify!($flag), Self::$flag)),*];
                let set = names.iter().filter(|(_, flag)| !flag.is_empty() && self.contains(*flag));
                write!(f, "{}(", stringify!($name))?;
                for (nth, (name, _)) in set.enumerate() {
                    write!(f, "{}{name}", if nth == 0 { "" } else { " | " })?;
                }
                f.write_str(")")
            }
        }
    };
}

pub(crate) use flags;

#[cfg(test)]
mod tests {
    use crate::file::OpenFlags;
    use crate::poll::Interest;

    #[test]
    fn sets_combine_and_know_their_members() {
        let mut both = Interest::READ;
        both |= Interest::WRITE;
        assert_eq!(both, Interest::READ | Interest::WRITE);
        assert!(both.contains(Interest::WRITE) && both.intersects(Interest::READ));
        assert!(!Interest::READ.contains(both) && !Interest::READ.intersects(Interest::WRITE));
        assert_eq!(Interest::empty(), Interest::default());
        assert_eq!(both.bits(), libc::POLLIN | libc::POLLOUT);
    }

    #[test]
    fn sets_print_the_names_of_their_flags() {
        let check = |flags: OpenFlags, expected| assert_eq!(format!("{flags:?}"), expected);
        check(OpenFlags::PATH | OpenFlags::NOFOLLOW, "OpenFlags(NOFOLLOW | PATH)");
        // Reading is the absence of the others: O_RDONLY is 0.
        check(OpenFlags::READ, "OpenFlags()");
        assert!(OpenFlags::READ.is_empty());
    }
}
