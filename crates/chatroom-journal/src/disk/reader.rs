//! The thread that reads: loading a large room shall not hold up those that write.

use std::sync::mpsc;

use bytes::Bytes;
use chatroom_protocol::{RoomName, Sequence};

use super::store::{self, Head, Store, corrupt, failed, read_record, sequence_of};
use super::{Done, Work};
use crate::{JournalError, Loaded, Page, Part, Record};

/// Answers works that read, until there are no more.
pub(super) fn run(works: &mpsc::Receiver<(Store, Work)>) {
    while let Ok((store, work)) = works.recv() {
        match work {
            Work::Load { room, before, done } => answer(done, load(&store, &room, before)),
            Work::Read { room, after, count, bytes, done } => answer(done, read(&store, &room, after, count, bytes)),
            Work::ReadBack { room, before, count, bytes, done } => {
                answer(done, read_back(&store, &room, before, count, bytes));
            }
            Work::Rooms { after, count, done } => answer(done, rooms(&store, after.as_ref(), count)),
            _ => {}
        }
    }
}

fn answer<T>(done: Done<T>, result: Result<T, JournalError>) {
    // Whoever asked may be gone.
    let _ = done.send(result);
}

pub(super) fn head(store: &Store, room: &RoomName) -> Result<Option<Head>, JournalError> {
    let key = store::head_key(room);
    match store.keyspace.get(&key).map_err(|error| failed(&error))? {
        Some(value) => Head::read(&key, &value).map(Some).map_err(|why| corrupt(room, "the head", &why)),
        None => Ok(None),
    }
}

fn load(store: &Store, room: &RoomName, before: usize) -> Result<Loaded, JournalError> {
    let Some(head) = head(store, room)? else {
        return Ok(Loaded::default());
    };
    let prefix = store::parts_of(room);
    let mut parts = Vec::new();
    for entry in store.keyspace.prefix(&prefix) {
        let (key, value) = entry.into_inner().map_err(|error| failed(&error))?;
        let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
        let bytes = store::unsealed(&key, &value).map_err(|why| corrupt(room, &format!("the part {name:?}"), &why))?;
        parts.push(Part { key: name, bytes: Some(Bytes::copy_from_slice(bytes)) });
    }
    let mut records = Vec::new();
    let range = store::record_key(room, head.oldest)..=store::record_key(room, head.covered);
    for entry in store.keyspace.range(range).rev().take(before) {
        let (key, value) = entry.into_inner().map_err(|error| failed(&error))?;
        records.push(record(room, &key, &value)?);
    }
    records.reverse();
    let from = Sequence(head.covered.0 + 1);
    for entry in store.keyspace.range(store::record_key(room, from)..=store::record_key(room, Sequence(u64::MAX))) {
        let (key, value) = entry.into_inner().map_err(|error| failed(&error))?;
        records.push(record(room, &key, &value)?);
    }
    follows(room, &records)?;
    let end = records.last().map_or(head.covered, |(_, record)| record.sequence);
    if end < head.last {
        return Err(corrupt(
            room,
            &format!("what came after {}", end.0),
            &format!("it should go on to {}", head.last.0),
        ));
    }
    let records = records.into_iter().map(|(_, record)| record).collect();
    Ok(Loaded { parts, covered: head.covered, records, last: head.last })
}

/// A record with the sequence before it.
fn record(room: &RoomName, key: &[u8], value: &[u8]) -> Result<(Sequence, Record), JournalError> {
    let sequence = sequence_of(key);
    let (previous, bytes) =
        read_record(key, value).map_err(|why| corrupt(room, &format!("the record {}", sequence.0), &why))?;
    Ok((previous, Record { sequence, bytes: Bytes::copy_from_slice(bytes) }))
}

/// Whether no record is missing between two.
fn follows(room: &RoomName, records: &[(Sequence, Record)]) -> Result<(), JournalError> {
    for pair in records.windows(2) {
        let [(_, first), (previous, then)] = pair else { continue };
        if *previous != first.sequence {
            let what = format!("the record before {}", then.sequence.0);
            return Err(corrupt(room, &what, &format!("{} is missing", previous.0)));
        }
    }
    Ok(())
}

fn read(store: &Store, room: &RoomName, after: Sequence, count: usize, bytes: usize) -> Result<Page, JournalError> {
    let Some(head) = head(store, room)? else {
        return Ok(Page::default());
    };
    let from = Sequence(after.0.saturating_add(1)).max(head.oldest);
    let all = store.keyspace.range(store::record_key(room, from)..=store::record_key(room, Sequence(u64::MAX)));
    page(store, room, head, some(room, all.take(count), bytes)?)
}

fn read_back(
    store: &Store,
    room: &RoomName,
    before: Sequence,
    count: usize,
    bytes: usize,
) -> Result<Page, JournalError> {
    let Some(head) = head(store, room)? else {
        return Ok(Page::default());
    };
    // A range that ends before it begins has nothing.
    let range = store::record_key(room, head.oldest)..store::record_key(room, before.max(head.oldest));
    let mut records = some(room, store.keyspace.range(range).rev().take(count), bytes)?;
    records.reverse();
    page(store, room, head, records)
}

/// As many records, with the sequence before each, as have so many bytes; at least one.
fn some(
    room: &RoomName,
    entries: impl Iterator<Item = fjall::Guard>,
    bytes: usize,
) -> Result<Vec<(Sequence, Record)>, JournalError> {
    let (mut records, mut left) = (Vec::new(), bytes);
    for entry in entries {
        let (key, value) = entry.into_inner().map_err(|error| failed(&error))?;
        let (previous, record) = record(room, &key, &value)?;
        if record.bytes.len() > left && !records.is_empty() {
            break;
        }
        left = left.saturating_sub(record.bytes.len());
        records.push((previous, record));
    }
    Ok(records)
}

fn page(store: &Store, room: &RoomName, head: Head, records: Vec<(Sequence, Record)>) -> Result<Page, JournalError> {
    follows(room, &records)?;
    let oldest = oldest(store, room, head)?;
    Ok(Page { records: records.into_iter().map(|(_, record)| record).collect(), oldest, last: head.last })
}

fn oldest(store: &Store, room: &RoomName, head: Head) -> Result<Option<Sequence>, JournalError> {
    let range = store::record_key(room, head.oldest)..=store::record_key(room, Sequence(u64::MAX));
    match store.keyspace.range(range).next() {
        Some(entry) => Ok(Some(sequence_of(&entry.key().map_err(|error| failed(&error))?))),
        None => Ok(None),
    }
}

fn rooms(store: &Store, after: Option<&RoomName>, count: usize) -> Result<Vec<RoomName>, JournalError> {
    let from = after.map_or_else(|| store::HEADS.to_vec(), |room| [&store::head_key(room)[..], b"\0"].concat());
    let mut names = Vec::new();
    for entry in store.keyspace.range(from..).take(count) {
        let key = entry.key().map_err(|error| failed(&error))?;
        let Some(name) = key.strip_prefix(store::HEADS) else {
            break;
        };
        let name = std::str::from_utf8(name).ok().and_then(|name| RoomName::parse(name).ok());
        names.push(name.ok_or_else(|| JournalError::Corrupt("a room has a name that no room can have".into()))?);
    }
    Ok(names)
}
