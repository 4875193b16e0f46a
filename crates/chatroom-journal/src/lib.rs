//! Where a room's commits are kept: the [`Journal`] trait, journals in memory and on disk, and the
//! contract that every journal passes.
//!
//! A journal stores opaque bytes: records of commits under growing sequences, and the parts of a
//! room's state that stand for the commits before. It knows no messages, sessions or sockets. Start
//! with [`Journal`]; [`memory`] is the smallest one; [`contract`] is what the author of another runs.

pub mod contract;
pub mod disk;
pub mod memory;

mod stats;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use chatroom_protocol::{RoomName, Sequence};

pub use disk::{DiskConfig, DiskJournal, Durability, OpenError};
pub use memory::MemoryJournal;
pub use stats::Stats;

/// A commit as a journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the room's order. Records of a room grow, with gaps where commits are not kept.
    pub sequence: Sequence,
    /// The commit, in whatever form the engine gave it.
    pub bytes: Bytes,
}

/// A part of a room's state: a topic's value, say, or what is known of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one; at most [`PART_KEY_BYTES`].
    pub key: String,
    /// What it is now; `None` if it is gone.
    pub bytes: Option<Bytes>,
}

/// How long a part's key may be, in bytes.
pub const PART_KEY_BYTES: usize = 1024;

/// A room as a journal has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The parts, in the order of their keys. Each may include commits behind `covered`.
    pub parts: Vec<Part>,
    /// All commits up to this one are in the parts.
    pub covered: Sequence,
    /// The records behind `covered`, and so many before it as were asked for and are kept; in order.
    pub records: Vec<Record>,
    /// The last record's place, also if it was trimmed; 0 if there never was one.
    pub last: Sequence,
}

/// A stretch of a room's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In order, without holes.
    pub records: Vec<Record>,
    /// The first record that is kept of the room, if any.
    pub oldest: Option<Sequence>,
    /// The last record's place.
    pub last: Sequence,
}

/// Why a journal could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Somebody else appended to the room: this owner has lost it. Nothing was kept.
    #[error("the journal stands at {found:?}, not at {expected:?}")]
    Conflict {
        /// Where the caller took the journal to stand.
        expected: Sequence,
        /// Where it stands.
        found: Sequence,
    },
    /// There is no room for more. Nothing was kept; it may work again later.
    #[error("{0}")]
    Full(String),
    /// It cannot be told whether the records were kept. The journal takes no more of the room until it
    /// was loaded again; what [`Journal::load`] has by then is what counts.
    #[error("it is not known whether this was kept: {0}")]
    Unknown(String),
    /// What is kept of the room cannot be read. Nothing of it was changed.
    #[error("{0}")]
    Corrupt(String),
    /// It did not work, and nothing was kept; it may work again later.
    #[error("{0}")]
    Failed(String),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// What a journal's functions return: it may have to wait for a disk or a network.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send>>;

/// An ordered record of each room's commits, and the state that stands for those before.
///
/// A function begins its work when it is called, not when its future is polled, and works of one room
/// take effect in the order of the calls. A future that is dropped does not take its work back.
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// A room as it is kept: its parts, the records behind them and up to `before` records more.
    fn load(&self, room: &RoomName, before: usize) -> Pending<Loaded>;

    /// Adds records behind the one at `after` (0 for none), all or nothing; returns the last one's
    /// sequence once they are as durable as this journal makes them.
    ///
    /// Fails with [`JournalError::Conflict`] if the room's last record is another one.
    fn append(&self, room: &RoomName, after: Sequence, records: Vec<Record>) -> Pending<Sequence>;

    /// Up to `count` records behind `after`, or, if that is less, as many as have `bytes`; at least one
    /// if there is one. A room's follower asks again from the last one it got.
    fn read(&self, room: &RoomName, after: Sequence, count: usize, bytes: usize) -> Pending<Page>;

    /// Up to `count` records before `before`, or, if that is less, as many of the last as have `bytes`;
    /// at least one if there is one. In order, as [`read`](Self::read) has them.
    fn read_back(&self, room: &RoomName, before: Sequence, count: usize, bytes: usize) -> Pending<Page>;

    /// Keeps these parts, together with those that were kept before under other keys, all or nothing.
    /// From then on all commits up to `covered` are in the parts.
    ///
    /// The parts may have commits up to `at`. Fails with [`JournalError::Conflict`] if the room's last
    /// record is one before: an append that came first has failed, and the parts would show what never
    /// was.
    fn save(&self, room: &RoomName, parts: Vec<Part>, covered: Sequence, at: Sequence) -> Pending<()>;

    /// Allows the journal to drop the records up to and with `through`, but none that the parts do not
    /// cover. Where the room stands is kept.
    fn trim(&self, room: &RoomName, through: Sequence) -> Pending<()>;

    /// Drops everything of a room.
    fn forget(&self, room: &RoomName) -> Pending<()>;

    /// Up to `count` names of rooms behind `after`, in their order.
    fn rooms(&self, after: Option<&RoomName>, count: usize) -> Pending<Vec<RoomName>>;

    /// Whether commits that were acknowledged may be gone: the journal promised less than that they are
    /// durable, and the worst has happened. Then nobody can go on from what it knew before.
    fn may_have_lost(&self) -> bool {
        false
    }

    /// What it has done since it was opened, if it counts that.
    fn stats(&self) -> Option<&Stats> {
        None
    }

    /// Ends the journal once all that was asked of it is done and durable.
    fn close(&self) -> Pending<()>;
}
