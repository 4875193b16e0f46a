//! Where a room's commits are kept: the [`Journal`] trait, the journal in memory, and the contract
//! that every journal passes.
//!
//! A journal stores opaque records under growing sequences; it knows no messages, sessions or
//! sockets. Start with [`Journal`]; [`memory`] is the only one yet; [`contract`] is what its author
//! of another one runs.

pub mod contract;
pub mod memory;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use chatroom_protocol::{RoomName, Sequence};

pub use memory::MemoryJournal;

/// A commit as a journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the room's order. Records of a room grow, with gaps where commits are not kept.
    pub sequence: Sequence,
    /// The commit, in whatever form the engine gave it.
    pub bytes: Bytes,
}

/// Why a journal could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Somebody else appended to the room: this owner has lost it.
    #[error("the journal stands at {found:?}, not at {expected:?}")]
    Conflict {
        /// Where the caller took the journal to stand.
        expected: Sequence,
        /// Where it stands.
        found: Sequence,
    },
}

/// What a journal's functions return: it may have to wait for a disk or a network.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send>>;

/// An ordered record of each room's commits.
pub trait Journal: Send + Sync + 'static {
    /// The records of a room that were not trimmed, in order.
    fn load(&self, room: &RoomName) -> Pending<Vec<Record>>;

    /// Adds records behind the one at `after` (0 for none), all or nothing; returns the last one's
    /// sequence once they are as durable as this journal makes them.
    ///
    /// Fails with [`JournalError::Conflict`] if the room's last record is another one.
    fn append(&self, room: &RoomName, after: Sequence, records: Vec<Record>) -> Pending<Sequence>;

    /// Allows the journal to drop the records up to and with `through`. Where the room stands is kept.
    fn trim(&self, room: &RoomName, through: Sequence) -> Pending<()>;

    /// Drops everything of a room.
    fn forget(&self, room: &RoomName) -> Pending<()>;
}
