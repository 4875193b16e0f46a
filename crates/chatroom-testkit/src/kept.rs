//! What a journal has of a room, for rooms without I/O: what survives a crash.

use std::collections::BTreeMap;

use bytes::Bytes;
use chatroom_engine::{Damaged, Image, Room, RoomConfig, Snapshot, Time};
use chatroom_protocol::Sequence;

/// Saved parts and the records that were not trimmed.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    parts: BTreeMap<String, Bytes>,
    covered: Sequence,
    records: Vec<(Sequence, Bytes)>,
    last: Sequence,
}

impl Kept {
    /// A record behind the last one.
    pub fn append(&mut self, sequence: Sequence, record: Bytes) {
        assert!(sequence > self.last, "records grow: {} after {}", sequence.0, self.last.0);
        self.last = sequence;
        self.records.push((sequence, record));
    }

    /// Parts in the place of those of the same keys.
    pub fn save(&mut self, snapshot: Snapshot) {
        assert!(snapshot.at <= self.last, "parts have nothing that no record has");
        for (key, bytes) in snapshot.parts {
            match bytes {
                Some(bytes) => drop(self.parts.insert(key, bytes)),
                None => drop(self.parts.remove(&key)),
            }
        }
        assert!(snapshot.covered >= self.covered, "what is covered stays so");
        self.covered = snapshot.covered;
    }

    /// Drops all records that are covered but the last `left`.
    pub fn trim(&mut self, left: usize) {
        let covered = self.records.partition_point(|(sequence, _)| *sequence <= self.covered);
        self.records.drain(..covered.saturating_sub(left));
    }

    /// Whether nothing was ever kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last == Sequence(0)
    }

    /// The room as it is kept.
    ///
    /// # Errors
    /// What of it cannot be read.
    pub fn restore(&self, config: RoomConfig, now: Time) -> Result<Room, Damaged> {
        let parts: Vec<(String, &[u8])> = self.parts.iter().map(|(key, bytes)| (key.clone(), &bytes[..])).collect();
        let records: Vec<(Sequence, &[u8])> = self.records.iter().map(|(at, bytes)| (*at, &bytes[..])).collect();
        let (covered, last) = (self.covered, self.last);
        Room::restore(config, &Image { parts: &parts, covered, records: &records, last, whole: true }, now)
    }
}
