//! The one place of the benchmark that reads the clock.

use std::sync::OnceLock;
use std::time::Instant;

/// Monotonic nanoseconds since the first call.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds between two readings of [`now_ns`].
pub(crate) fn seconds_between(before: u64, after: u64) -> f64 {
    after.saturating_sub(before) as f64 / 1e9
}
