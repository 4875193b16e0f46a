//! Rates and latencies, one sample a second.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

/// How many seconds are kept.
const KEPT: usize = 600;
/// How many latencies of one second are looked at.
const LATENCIES: usize = 4_096;

/// One second of a room.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) t_ms: u64,
    commits: u64,
    rejects: u64,
    calls: u64,
    call_errors: u64,
    received: u64,
    deliveries: u64,
    commit_p50_ms: Option<f64>,
    commit_p99_ms: Option<f64>,
    call_p50_ms: Option<f64>,
    call_p99_ms: Option<f64>,
    queue_bytes: usize,
    clients: usize,
    topics: usize,
    memory_bytes: Option<u64>,
}

/// Latencies, of which the newest are kept.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    micros: VecDeque<u32>,
}

impl Latencies {
    pub(crate) fn add(&mut self, took: Duration, most: usize) {
        while self.micros.len() >= most {
            self.micros.pop_front();
        }
        self.micros.push_back(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// The median and the 99th percentile in milliseconds.
    pub(crate) fn percentiles_ms(&self) -> (Option<f64>, Option<f64>) {
        let mut sorted: Vec<u32> = self.micros.iter().copied().collect();
        sorted.sort_unstable();
        let at = |hundredth: usize| {
            let last = sorted.len().checked_sub(1)?;
            sorted.get(last * hundredth / 100).map(|micros| f64::from(*micros) / 1_000.0)
        };
        (at(50), at(99))
    }
}

/// What is counted of the present second, and the seconds before.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) commits: u64,
    pub(crate) rejects: u64,
    pub(crate) calls: u64,
    pub(crate) call_errors: u64,
    pub(crate) received: u64,
    pub(crate) deliveries: u64,
    commit_latencies: Latencies,
    call_latencies: Latencies,
    samples: VecDeque<Sample>,
}

/// What a room is at the end of a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Levels {
    pub(crate) queue_bytes: usize,
    pub(crate) clients: usize,
    pub(crate) topics: usize,
}

impl Series {
    pub(crate) fn committed(&mut self, took: Duration) {
        self.commits += 1;
        self.commit_latencies.add(took, LATENCIES);
    }

    pub(crate) fn answered(&mut self, took: Option<Duration>, failed: bool) {
        self.calls += 1;
        self.call_errors += u64::from(failed);
        if let Some(took) = took {
            self.call_latencies.add(took, LATENCIES);
        }
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }

    /// Ends the second that took `elapsed`.
    pub(crate) fn end_second(&mut self, t_ms: u64, elapsed: Duration, levels: Levels) -> Sample {
        let samples = std::mem::take(&mut self.samples);
        let ended = std::mem::replace(self, Self { samples, ..Self::default() });
        // A second that came late held more than a second's worth.
        let rate = |count: u64| {
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
            (count.saturating_mul(1_000) + millis / 2) / millis
        };
        let (commit_p50_ms, commit_p99_ms) = ended.commit_latencies.percentiles_ms();
        let (call_p50_ms, call_p99_ms) = ended.call_latencies.percentiles_ms();
        let sample = Sample {
            t_ms,
            commits: rate(ended.commits),
            rejects: rate(ended.rejects),
            calls: rate(ended.calls),
            call_errors: rate(ended.call_errors),
            received: rate(ended.received),
            deliveries: rate(ended.deliveries),
            commit_p50_ms,
            commit_p99_ms,
            call_p50_ms,
            call_p99_ms,
            queue_bytes: levels.queue_bytes,
            clients: levels.clients,
            topics: levels.topics,
            memory_bytes: memory_bytes(),
        };
        self.samples.push_back(sample.clone());
        while self.samples.len() > KEPT {
            self.samples.pop_front();
        }
        sample
    }
}

/// The memory of this process, where the system tells it.
fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_counted_as_a_rate() {
        let mut series = Series::default();
        for millis in 1..=100 {
            series.committed(Duration::from_millis(millis));
        }
        series.answered(None, true);
        let levels = Levels { queue_bytes: 1, clients: 2, topics: 3 };
        let sample = series.end_second(7, Duration::from_secs(2), levels);
        assert_eq!((sample.commits, sample.call_errors, sample.t_ms), (50, 1, 7));
        assert_eq!((sample.commit_p50_ms, sample.commit_p99_ms), (Some(50.0), Some(99.0)));
        assert_eq!(sample.call_p50_ms, None);
        let next = series.end_second(8, Duration::from_secs(1), levels);
        assert_eq!((next.commits, next.commit_p50_ms), (0, None));
        assert_eq!(series.samples().count(), 2);
    }
}
