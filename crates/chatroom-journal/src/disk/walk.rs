//! Going over everything that a folder holds: for `chatroom check`, `export` and `import`.

use bytes::Bytes;
use chatroom_protocol::{RoomName, Sequence};
use fjall::PersistMode;

use super::folder::Folder;
use super::store::{self, Head, Store, read_record, sequence_of};
use super::{DiskConfig, OpenError};
use crate::{Part, Record};

/// Something that a folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walked {
    /// A room begins: up to where its records go, and up to where its parts have them.
    Room {
        /// Its name.
        room: RoomName,
        /// The last record.
        last: Sequence,
        /// What the parts cover.
        covered: Sequence,
    },
    /// A part of the room that began last.
    Part(Part),
    /// A record of that room.
    Record(Record),
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The room, if it can be told.
    pub room: Option<RoomName>,
    /// What, and what is wrong with it.
    pub what: String,
}

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rooms.
    pub rooms: u64,
    /// Parts of rooms.
    pub parts: u64,
    /// Records.
    pub records: u64,
    /// Bytes of parts and records.
    pub bytes: u64,
    /// What is damaged or missing.
    pub problems: Vec<Problem>,
}

/// So many problems are listed.
const PROBLEMS_MAX: usize = 1_000;

/// Shows everything that a folder holds, room by room; what is damaged is in the report instead.
///
/// # Errors
/// The folder cannot be opened at all, or `show` fails.
pub fn walk(config: &DiskConfig, mut show: impl FnMut(Walked) -> std::io::Result<()>) -> Result<Report, OpenError> {
    let folder = Folder::open(config)?;
    let io = |error| OpenError::Io { folder: config.folder.clone(), error };
    let broken = |error: fjall::Error| store::open_error(&config.folder, error);
    let store = Store::open(&folder.store()).map_err(broken)?;
    let mut report = Report::default();
    for entry in store.keyspace.prefix(store::HEADS) {
        let (key, value) = entry.into_inner().map_err(broken)?;
        let name = key.strip_prefix(store::HEADS).and_then(|name| std::str::from_utf8(name).ok());
        let Some(room) = name.and_then(|name| RoomName::parse(name).ok()) else {
            report.problem(None, "a room's name cannot be read");
            continue;
        };
        report.rooms += 1;
        let head = Head::read(&key, &value).unwrap_or_else(|why| {
            report.problem(Some(&room), &format!("the head: {why}"));
            Head::default()
        });
        show(Walked::Room { room: room.clone(), last: head.last, covered: head.covered }).map_err(io)?;
        let prefix = store::parts_of(&room);
        for entry in store.keyspace.prefix(&prefix) {
            let (key, value) = entry.into_inner().map_err(broken)?;
            let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
            match store::unsealed(&key, &value) {
                Ok(bytes) => {
                    report.parts += 1;
                    report.bytes += bytes.len() as u64;
                    show(Walked::Part(Part { key: name, bytes: Some(Bytes::copy_from_slice(bytes)) })).map_err(io)?;
                }
                Err(why) => report.problem(Some(&room), &format!("the part {name:?}: {why}")),
            }
        }
        let mut before: Option<Sequence> = None;
        for entry in store.keyspace.prefix(store::records_of(&room)) {
            let (key, value) = entry.into_inner().map_err(broken)?;
            let sequence = sequence_of(&key);
            match read_record(&key, &value) {
                Ok((previous, bytes)) => {
                    if before.is_some_and(|before| before != previous) {
                        report.problem(
                            Some(&room),
                            &format!("the record {} is missing before {}", previous.0, sequence.0),
                        );
                    }
                    report.records += 1;
                    report.bytes += bytes.len() as u64;
                    show(Walked::Record(Record { sequence, bytes: Bytes::copy_from_slice(bytes) })).map_err(io)?;
                }
                Err(why) => report.problem(Some(&room), &format!("the record {}: {why}", sequence.0)),
            }
            before = Some(sequence);
        }
        if before.unwrap_or(head.covered).max(head.covered) < head.last {
            report.problem(Some(&room), &format!("the records end before {}", head.last.0));
        }
    }
    drop(store);
    folder.end().map_err(io)?;
    Ok(report)
}

impl Report {
    fn problem(&mut self, room: Option<&RoomName>, what: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { room: room.cloned(), what: what.to_owned() });
        }
    }
}

/// So much is written with one batch.
const BATCH_BYTES: usize = 4 << 20;

/// Fills an empty folder with what [`walk`] showed, in its order; returns what it holds then.
///
/// # Errors
/// The folder cannot be opened, or holds something already, or `next` fails.
pub fn import(
    config: &DiskConfig,
    mut next: impl FnMut() -> std::io::Result<Option<Walked>>,
) -> Result<Report, OpenError> {
    let folder = Folder::open(config)?;
    let io = |error| OpenError::Io { folder: config.folder.clone(), error };
    let broken = |error: fjall::Error| store::open_error(&config.folder, error);
    let store = Store::open(&folder.store()).map_err(broken)?;
    if store.keyspace.first_key_value().is_some() {
        return Err(OpenError::Foreign { folder: config.folder.clone() });
    }
    let mut report = Report::default();
    let (mut batch, mut bytes) = (store.database.batch(), 0);
    let mut at: Option<(RoomName, Sequence)> = None;
    while let Some(walked) = next().map_err(io)? {
        match (walked, &mut at) {
            (Walked::Room { room, last, covered }, at) => {
                let key = store::head_key(&room);
                let value = Head { last, covered, oldest: Sequence(0) }.value(&key);
                batch.insert(&store.keyspace, key, value);
                report.rooms += 1;
                *at = Some((room, Sequence(0)));
            }
            (Walked::Part(Part { key, bytes: Some(value) }), Some((room, _))) => {
                let key = store::part_key(room, &key);
                bytes += value.len();
                let value = store::sealed(&key, &[&value]);
                batch.insert(&store.keyspace, key, value);
                report.parts += 1;
            }
            (Walked::Record(record), Some((room, previous))) => {
                let key = store::record_key(room, record.sequence);
                bytes += record.bytes.len();
                let value = store::record_value(&key, *previous, &record.bytes);
                batch.insert(&store.keyspace, key, value);
                *previous = record.sequence;
                report.records += 1;
            }
            _ => report.problem(None, "a part or a record stands before any room"),
        }
        if bytes >= BATCH_BYTES {
            report.bytes += bytes as u64;
            (batch, bytes) = {
                batch.commit().map_err(broken)?;
                (store.database.batch(), 0)
            };
        }
    }
    report.bytes += bytes as u64;
    batch.commit().map_err(broken)?;
    store.database.persist(PersistMode::SyncAll).map_err(broken)?;
    drop(store);
    folder.end().map_err(io)?;
    Ok(report)
}
