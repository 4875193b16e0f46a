//! The journal of a server started with `--memory`: records are gone with the process.

use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chatroom_protocol::{RoomName, Sequence};

use crate::{Journal, JournalError, Loaded, Page, Part, Pending, Record};

/// Keeps rooms in memory until they are forgotten.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    rooms: Mutex<BTreeMap<RoomName, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    parts: BTreeMap<String, Bytes>,
    covered: Sequence,
    last: Sequence,
    records: VecDeque<Record>,
}

impl Kept {
    /// The place of the first record behind a sequence.
    fn behind(&self, sequence: Sequence) -> usize {
        self.records.partition_point(|record| record.sequence <= sequence)
    }
}

impl MemoryJournal {
    fn rooms(&self) -> MutexGuard<'_, BTreeMap<RoomName, Kept>> {
        // Each function below leaves the map whole at every step that could panic.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many records as have so many bytes; at least one.
fn some<'a>(all: impl Iterator<Item = &'a Record>, bytes: usize) -> Vec<Record> {
    let (mut records, mut left) = (Vec::new(), bytes);
    for record in all {
        if record.bytes.len() > left && !records.is_empty() {
            break;
        }
        left = left.saturating_sub(record.bytes.len());
        records.push(record.clone());
    }
    records
}

impl Journal for MemoryJournal {
    fn load(&self, room: &RoomName, before: usize) -> Pending<Loaded> {
        let loaded = self.rooms().get(room).map(|kept| {
            let from = kept.behind(kept.covered).saturating_sub(before);
            let part = |(key, bytes): (&String, &Bytes)| Part { key: key.clone(), bytes: Some(bytes.clone()) };
            Loaded {
                parts: kept.parts.iter().map(part).collect(),
                covered: kept.covered,
                records: kept.records.range(from..).cloned().collect(),
                last: kept.last,
            }
        });
        Box::pin(ready(Ok(loaded.unwrap_or_default())))
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

    fn read(&self, room: &RoomName, after: Sequence, count: usize, bytes: usize) -> Pending<Page> {
        let page = self.rooms().get(room).map(|kept| {
            let records = some(kept.records.range(kept.behind(after)..).take(count), bytes);
            Page { records, oldest: kept.records.front().map(|record| record.sequence), last: kept.last }
        });
        Box::pin(ready(Ok(page.unwrap_or_default())))
    }

    fn read_back(&self, room: &RoomName, before: Sequence, count: usize, bytes: usize) -> Pending<Page> {
        let page = self.rooms().get(room).map(|kept| {
            let end = kept.records.partition_point(|record| record.sequence < before);
            let mut records = some(kept.records.range(..end).rev().take(count), bytes);
            records.reverse();
            Page { records, oldest: kept.records.front().map(|record| record.sequence), last: kept.last }
        });
        Box::pin(ready(Ok(page.unwrap_or_default())))
    }

    fn save(&self, room: &RoomName, parts: Vec<Part>, covered: Sequence, at: Sequence) -> Pending<()> {
        let mut rooms = self.rooms();
        let kept = rooms.entry(room.clone()).or_default();
        if kept.last < at {
            return Box::pin(ready(Err(JournalError::Conflict { expected: at, found: kept.last })));
        }
        for Part { key, bytes } in parts {
            match bytes {
                Some(bytes) => drop(kept.parts.insert(key, bytes)),
                None => drop(kept.parts.remove(&key)),
            }
        }
        kept.covered = kept.covered.max(covered);
        Box::pin(ready(Ok(())))
    }

    fn trim(&self, room: &RoomName, through: Sequence) -> Pending<()> {
        if let Some(kept) = self.rooms().get_mut(room) {
            let through = through.min(kept.covered);
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

    fn rooms(&self, after: Option<&RoomName>, count: usize) -> Pending<Vec<RoomName>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rooms = MemoryJournal::rooms(self);
        let names = rooms.range((from, Bound::Unbounded)).take(count).map(|(name, _)| name.clone()).collect();
        Box::pin(ready(Ok(names)))
    }

    fn close(&self) -> Pending<()> {
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
