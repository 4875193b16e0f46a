//! How long to wait before connecting again: exponential, with full jitter.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The bounds of the wait before a reconnect.
///
/// After the n-th failure in a row the client waits for a random time between 0 and
/// `min * 2^n`, at most `max`: a thousand clients of a restarted server come back spread out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The bound of the first wait.
    pub min: Duration,
    /// The bound that no wait exceeds.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// Sets the bounds.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min) }
    }

    /// The longest wait after so many failures in a row.
    fn bound(&self, failures: u32) -> Duration {
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.min.saturating_mul(factor).min(self.max)
    }

    /// The wait after so many failures in a row; `random` is any number.
    pub(crate) fn wait(&self, failures: u32, random: u64) -> Duration {
        self.bound(failures).mul_f64(random as f64 / u64::MAX as f64)
    }
}

/// A number that another client or another moment does not have.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_lie_within_growing_bounds() {
        let backoff = Backoff::default();
        for (failures, bound_ms) in [(1, 100), (2, 200), (3, 400), (7, 6_400), (8, 10_000), (40, 10_000)] {
            assert_eq!(backoff.wait(failures, u64::MAX), Duration::from_millis(bound_ms), "{failures}");
            assert_eq!(backoff.wait(failures, 0), Duration::ZERO);
            let half = backoff.wait(failures, u64::MAX / 2).as_millis();
            assert!((i128::from(bound_ms) / 2 - half as i128).abs() <= 1, "{failures}: {half}");
        }
    }

    #[test]
    fn random_numbers_differ() {
        let numbers: std::collections::BTreeSet<_> = (0..100).map(|_| random()).collect();
        assert!(numbers.len() > 90, "{}", numbers.len());
    }
}
