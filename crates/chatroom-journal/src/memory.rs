//! The journal of a server started with `--memory`: records are gone with the process.

use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chatroom_protocol::{RoomName, Sequence};

use crate::{Journal, JournalError, Pending, Record};

/// Keeps records in memory until they are trimmed.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    rooms: Mutex<BTreeMap<RoomName, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    last: Sequence,
    records: VecDeque<Record>,
}

impl MemoryJournal {
    fn rooms(&self) -> MutexGuard<'_, BTreeMap<RoomName, Kept>> {
        // Each function below leaves the map whole at every step that could panic.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn load(&self, room: &RoomName) -> Pending<Vec<Record>> {
        let records = self.rooms().get(room).map(|kept| kept.records.iter().cloned().collect()).unwrap_or_default();
        Box::pin(ready(Ok(records)))
    }

    fn append(&self, room: &RoomName, after: Sequence, records: Vec<Record>) -> Pending<Sequence> {
        let mut rooms = self.rooms();
        let kept = rooms.entry(room.clone()).or_default();
        let result = if kept.last == after {
            kept.last = records.last().map_or(after, |record| record.sequence);
            kept.records.extend(records);
            Ok(kept.last)
        } else {
            Err(JournalError::Conflict { expected: after, found: kept.last })
        };
        Box::pin(ready(result))
    }

    fn trim(&self, room: &RoomName, through: Sequence) -> Pending<()> {
        if let Some(kept) = self.rooms().get_mut(room) {
            while kept.records.front().is_some_and(|record| record.sequence <= through) {
                kept.records.pop_front();
            }
        }
        Box::pin(ready(Ok(())))
    }

    fn forget(&self, room: &RoomName) -> Pending<()> {
        self.rooms().remove(room);
        Box::pin(ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_the_contract() {
        crate::contract::check(MemoryJournal::default);
    }
}
