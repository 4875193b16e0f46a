//! What lies in the keyspace: its keys, and values with their checksums.
//!
//! | key | value |
//! | --- | --- |
//! | `n` 0 room | last, covered and oldest sequence |
//! | `p` 0 room 0 key | a part |
//! | `r` 0 room 0 sequence | the sequence of the record before, and the record |
//!
//! Each value begins with a CRC-32 of its key and the rest. Numbers are big-endian.

use std::path::Path;

use chatroom_protocol::{RoomName, Sequence};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use super::OpenError;
use crate::JournalError;

const CACHE_BYTES: u64 = 32 << 20;
/// Bounds what has to be read when the journal is opened.
const LOG_BYTES: u64 = 64 << 20;
const MEMTABLE_BYTES: u64 = 8 << 20;

/// The open store.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) database: Database,
    pub(super) keyspace: Keyspace,
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, fjall::Error> {
        let database =
            Database::builder(path).cache_size(CACHE_BYTES).max_journaling_size(LOG_BYTES).worker_threads(1).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = database.keyspace("rooms", options)?;
        Ok(Self { database, keyspace })
    }
}

pub(super) fn open_error(folder: &Path, error: fjall::Error) -> OpenError {
    let folder = folder.to_owned();
    match error {
        fjall::Error::Io(error) => OpenError::Io { folder, error },
        fjall::Error::Locked => OpenError::Locked { folder },
        error => OpenError::Corrupt { folder, what: error.to_string() },
    }
}

/// What is known of a room without its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) last: Sequence,
    pub(super) covered: Sequence,
    /// No record before this one is kept.
    pub(super) oldest: Sequence,
}

pub(super) const HEADS: &[u8] = b"n\0";

pub(super) fn head_key(room: &RoomName) -> Vec<u8> {
    [HEADS, room.as_str().as_bytes()].concat()
}

fn prefix(what: &[u8], room: &RoomName) -> Vec<u8> {
    [what, b"\0", room.as_str().as_bytes(), b"\0"].concat()
}

pub(super) fn parts_of(room: &RoomName) -> Vec<u8> {
    prefix(b"p", room)
}

pub(super) fn records_of(room: &RoomName) -> Vec<u8> {
    prefix(b"r", room)
}

pub(super) fn part_key(room: &RoomName, key: &str) -> Vec<u8> {
    [&parts_of(room), key.as_bytes()].concat()
}

pub(super) fn record_key(room: &RoomName, sequence: Sequence) -> Vec<u8> {
    [&records_of(room)[..], &sequence.0.to_be_bytes()].concat()
}

/// The sequence at the end of a record's key.
pub(super) fn sequence_of(key: &[u8]) -> Sequence {
    let last = key.len().checked_sub(8).and_then(|from| key.get(from..)).and_then(|tail| tail.try_into().ok());
    Sequence(last.map_or(0, u64::from_be_bytes))
}

/// A value with its checksum.
pub(super) fn sealed(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut value = Vec::with_capacity(4 + parts.iter().map(|part| part.len()).sum::<usize>());
    value.extend(checksum(key, parts).to_be_bytes());
    parts.iter().for_each(|part| value.extend_from_slice(part));
    value
}

/// What was sealed, if it is as it was.
pub(super) fn unsealed<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], String> {
    let (sum, rest) = value.split_first_chunk::<4>().ok_or("it is shorter than its checksum")?;
    match u32::from_be_bytes(*sum) == checksum(key, &[rest]) {
        true => Ok(rest),
        false => Err("its checksum is wrong".to_owned()),
    }
}

fn checksum(key: &[u8], parts: &[&[u8]]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key);
    parts.iter().for_each(|part| sum.update(part));
    sum.finalize()
}

impl Head {
    pub(super) fn value(self, key: &[u8]) -> Vec<u8> {
        let [last, covered, oldest] = [self.last, self.covered, self.oldest].map(|sequence| sequence.0.to_be_bytes());
        sealed(key, &[&last, &covered, &oldest])
    }

    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, String> {
        let rest = unsealed(key, value)?;
        let number = |at: usize| {
            let bytes = rest.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u64::from_be_bytes).map(Sequence).ok_or_else(|| "it is too short".to_owned())
        };
        Ok(Self { last: number(0)?, covered: number(1)?, oldest: number(2)? })
    }
}

/// A record's value: the sequence before, and the record.
pub(super) fn record_value(key: &[u8], previous: Sequence, bytes: &[u8]) -> Vec<u8> {
    sealed(key, &[&previous.0.to_be_bytes(), bytes])
}

pub(super) fn read_record<'a>(key: &[u8], value: &'a [u8]) -> Result<(Sequence, &'a [u8]), String> {
    let (previous, bytes) = unsealed(key, value)?.split_first_chunk::<8>().ok_or("it is too short")?;
    Ok((Sequence(u64::from_be_bytes(*previous)), bytes))
}

pub(super) fn corrupt(room: &RoomName, what: &str, why: &str) -> JournalError {
    JournalError::Corrupt(format!(
        "{what} of the room {room} cannot be read: {why}; `chatroom check DIR` lists all that is damaged, `chatroom export DIR` writes out what is not"
    ))
}

pub(super) fn failed(error: &fjall::Error) -> JournalError {
    JournalError::Failed(format!("the store: {error}"))
}
