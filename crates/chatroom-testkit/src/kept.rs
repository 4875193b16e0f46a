//! What a journal has of a room, for rooms without I/O: what survives a crash.

use std::collections::BTreeMap;

use bytes::Bytes;
use chatroom_engine::{Damaged, Image, Room, RoomConfig, Snapshot, Stretch, Time};
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

    /// Gives a room the records that it wants to read, but no more than `most`.
    pub fn read_back(&self, before: Sequence, most: usize, take: impl FnOnce(Stretch<'_>)) {
        let end = self.records.partition_point(|(sequence, _)| *sequence < before);
        let from = end.saturating_sub(most);
        let records: Vec<(Sequence, &[u8])> =
            self.records.iter().take(end).skip(from).map(|(at, bytes)| (*at, &bytes[..])).collect();
        take(Stretch { records: &records, oldest: self.records.first().map(|(at, _)| *at) });
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
