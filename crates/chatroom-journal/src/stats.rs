//! What a journal has done, for those who watch a server.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a journal has done since it was opened.
#[derive(Debug, Default)]
pub struct Stats {
    /// Works that wait.
    pub queued: AtomicU64,
    /// Appends carried out.
    pub appends: AtomicU64,
    /// Batches written.
    pub batches: AtomicU64,
    /// Syncs.
    pub syncs: AtomicU64,
    /// Bytes of keys and values handed to the store.
    pub bytes: AtomicU64,
    /// How long the longest batch took, in microseconds.
    pub longest_batch_us: AtomicU64,
    /// How long all batches took, in microseconds.
    pub batches_us: AtomicU64,
}

impl Stats {
    pub(crate) fn count(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}
