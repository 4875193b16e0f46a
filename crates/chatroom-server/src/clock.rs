//! The one place that reads the clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chatroom_engine::Time;

/// Wall-clock milliseconds that never go back: read once, then counted by a monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: Time,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = Time(u64::try_from(since_1970.as_millis()).unwrap_or_default());
        Self { started: Instant::now(), started_at }
    }

    pub(crate) fn now(&self) -> Time {
        self.started_at.after_ms(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment of a runtime's timer that belongs to a time.
    pub(crate) fn instant(&self, time: Time) -> tokio::time::Instant {
        let after = std::time::Duration::from_millis(time.since_ms(self.started_at));
        tokio::time::Instant::from_std(self.started + after)
    }
}
