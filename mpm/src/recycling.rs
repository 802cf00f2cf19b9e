//! Recycling: children end after their share of connections, so that what they leaked ends with them.
//!
//! The lesson of PHP-FPM's pools is that children which start together and have the same share retire together,
//! and the server stands without workers for a moment. So each child draws its own share.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::Settings;

/// `MaxConnectionsPerChild N J%`: how many connections this child serves, from N less J percent to N. `None`: no limit.
pub(crate) fn connections_max(settings: &Settings, place: usize) -> Option<u64> {
    let max = Some(settings.max_connections_per_child).filter(|max| *max != 0)?;
    // The standard library's hasher is seeded from the kernel's randomness: good enough to fall out of step.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_usize(place);
    hasher.write_u32(std::process::id());
    Some(share(max, settings.max_connections_jitter_percent, hasher.finish()))
}

fn share(max: u64, jitter_percent: u32, random: u64) -> u64 {
    let spread = max / 100 * u64::from(jitter_percent.min(100))
        + max % 100 * u64::from(jitter_percent.min(100)) / 100;
    (max - random % (spread + 1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_limit_stays_no_limit() {
        assert_eq!(connections_max(&Settings::new(crate::Model::Prefork), 0), None);
    }

    proptest! {
        #[test]
        fn a_share_is_within_the_jitter_and_never_nothing(max in 1_u64..u64::MAX / 2, jitter in 0_u32..150, random: u64) {
            let share = share(max, jitter, random);
            prop_assert!(share >= 1 && share <= max);
            let least = u128::from(max) * u128::from(100 - jitter.min(100)) / 100;
            prop_assert!(u128::from(share) >= least.max(1));
        }
    }
}
