//! Which rooms there are, as the debugger's pages list them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatroom_protocol::{RoomName, Sequence};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::feed::PageId;

/// A room in the list of rooms.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoomRow {
    pub(crate) name: RoomName,
    pub(crate) clients: usize,
    pub(crate) topics: usize,
    pub(crate) services: usize,
    pub(crate) sequence: Sequence,
}

/// How many pages may be open.
pub(crate) const PAGES: usize = 64;

#[derive(Debug)]
pub(crate) struct Hub {
    rooms: Mutex<BTreeMap<RoomName, RoomRow>>,
    next_page: AtomicU64,
    pages: Arc<Semaphore>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { rooms: Mutex::default(), next_page: AtomicU64::default(), pages: Arc::new(Semaphore::new(PAGES)) }
    }
}

impl Hub {
    pub(crate) fn put(&self, row: RoomRow) {
        self.lock().insert(row.name.clone(), row);
    }

    pub(crate) fn remove(&self, name: &RoomName) {
        self.lock().remove(name);
    }

    /// The first `count` rooms.
    pub(crate) fn rooms(&self, count: usize) -> Vec<RoomRow> {
        self.lock().values().take(count).cloned().collect()
    }

    /// A place for one more page, if there is one.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.pages.clone().try_acquire_owned().ok()
    }

    pub(crate) fn next_page(&self) -> PageId {
        PageId(self.next_page.fetch_add(1, Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoomName, RoomRow>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
