//! The journal on disk: one `fjall` keyspace, one thread that writes, one that reads.
//!
//! Whatever came while the last sync ran goes with the next one, so a busy server syncs as often as a
//! quiet one. Works take effect in the order in which they were asked for; one that reads sees all
//! that were asked for before.

mod folder;
mod reader;
mod store;
mod walk;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use chatroom_protocol::{RoomName, Sequence};
use tokio::sync::oneshot;

pub use folder::OpenError;
pub use walk::{Problem, Report, Walked, import, walk};

use crate::{Journal, JournalError, Loaded, Page, Part, Pending, Record, Stats};

/// When the outcome of an append is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is synced: it survives the loss of power.
    #[default]
    Synced,
    /// When the operating system has it: it survives the end of the process. It is synced within a
    /// second.
    Written,
}

impl Durability {
    /// Its name, as the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Written => "written",
        }
    }
}

/// Where and how a journal is kept.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// The folder. It is made if it is not there.
    pub folder: PathBuf,
    /// When appends are answered.
    pub durability: Durability,
    /// With less than so many bytes free, nothing is added.
    pub min_free_bytes: u64,
}

impl DiskConfig {
    /// A synced journal in a folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), durability: Durability::Synced, min_free_bytes: 64 << 20 }
    }
}

/// Keeps rooms in a folder.
pub struct DiskJournal {
    config: DiskConfig,
    works: mpsc::SyncSender<Work>,
    stats: Arc<Stats>,
    min_free_bytes: Arc<AtomicU64>,
    may_have_lost: bool,
    was_ended: bool,
}

impl fmt::Debug for DiskJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskJournal").field("config", &self.config).finish_non_exhaustive()
    }
}

/// How many works may wait; more are refused.
const QUEUE: usize = 65_536;

type Done<T> = oneshot::Sender<Result<T, JournalError>>;

enum Work {
    Append { room: RoomName, after: Sequence, records: Vec<Record>, done: Done<Sequence> },
    Save { room: RoomName, parts: Vec<Part>, covered: Sequence, at: Sequence, done: Done<()> },
    Trim { room: RoomName, through: Sequence, done: Done<()> },
    Forget { room: RoomName, done: Done<()> },
    Load { room: RoomName, before: usize, done: Done<Loaded> },
    Read { room: RoomName, after: Sequence, count: usize, bytes: usize, done: Done<Page> },
    ReadBack { room: RoomName, before: Sequence, count: usize, bytes: usize, done: Done<Page> },
    Rooms { after: Option<RoomName>, count: usize, done: Done<Vec<RoomName>> },
    Close { done: Done<()> },
}

impl DiskJournal {
    /// Opens a folder, or makes it. Nobody else can while this journal is open.
    ///
    /// # Errors
    /// Another server has it, it is of a newer version, it is no such folder, or it cannot be read.
    pub fn open(config: DiskConfig) -> Result<Self, OpenError> {
        let folder = folder::Folder::open(&config)?;
        let stats = Arc::new(Stats::default());
        let min_free_bytes = Arc::new(AtomicU64::new(config.min_free_bytes));
        let (works, queue) = mpsc::sync_channel(QUEUE);
        let (may_have_lost, was_ended) = (folder.may_have_lost, folder.was_ended);
        let writer = writer::Writer::new(folder, config.durability, stats.clone(), min_free_bytes.clone())?;
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&queue))
            .map_err(|error| OpenError::Io { folder: config.folder.clone(), error })?;
        Ok(Self { config, works, stats, min_free_bytes, may_have_lost, was_ended })
    }

    /// Whether the server that had it last closed it.
    #[must_use]
    pub fn was_ended(&self) -> bool {
        self.was_ended
    }

    /// Adds nothing with less than so many bytes free, from now on.
    pub fn set_min_free_bytes(&self, bytes: u64) {
        self.min_free_bytes.store(bytes, Ordering::Relaxed);
    }

    fn ask<T: Send + 'static>(&self, work: impl FnOnce(Done<T>) -> Work) -> Pending<T> {
        let (done, answer) = oneshot::channel();
        let sent = self.works.try_send(work(done));
        if sent.is_ok() {
            Stats::count(&self.stats.queued, 1);
        }
        Box::pin(async move {
            match sent {
                // A thread that ended answers nothing.
                Ok(()) => answer.await.unwrap_or(Err(JournalError::Closed)),
                Err(mpsc::TrySendError::Full(_)) => {
                    Err(JournalError::Failed(format!("{QUEUE} works wait for the disk already")))
                }
                Err(mpsc::TrySendError::Disconnected(_)) => Err(JournalError::Closed),
            }
        })
    }
}

impl Journal for DiskJournal {
    fn load(&self, room: &RoomName, before: usize) -> Pending<Loaded> {
        let room = room.clone();
        self.ask(|done| Work::Load { room, before, done })
    }

    fn append(&self, room: &RoomName, after: Sequence, records: Vec<Record>) -> Pending<Sequence> {
        let room = room.clone();
        self.ask(|done| Work::Append { room, after, records, done })
    }

    fn read(&self, room: &RoomName, after: Sequence, count: usize, bytes: usize) -> Pending<Page> {
        let room = room.clone();
        self.ask(|done| Work::Read { room, after, count, bytes, done })
    }

    fn read_back(&self, room: &RoomName, before: Sequence, count: usize, bytes: usize) -> Pending<Page> {
        let room = room.clone();
        self.ask(|done| Work::ReadBack { room, before, count, bytes, done })
    }

    fn save(&self, room: &RoomName, parts: Vec<Part>, covered: Sequence, at: Sequence) -> Pending<()> {
        let room = room.clone();
        self.ask(|done| Work::Save { room, parts, covered, at, done })
    }

    fn trim(&self, room: &RoomName, through: Sequence) -> Pending<()> {
        let room = room.clone();
        self.ask(|done| Work::Trim { room, through, done })
    }

    fn forget(&self, room: &RoomName) -> Pending<()> {
        let room = room.clone();
        self.ask(|done| Work::Forget { room, done })
    }

    fn rooms(&self, after: Option<&RoomName>, count: usize) -> Pending<Vec<RoomName>> {
        let after = after.cloned();
        self.ask(|done| Work::Rooms { after, count, done })
    }

    /// They were only written, and the machine was started anew since.
    fn stats(&self) -> Option<&Stats> {
        Some(&self.stats)
    }

    fn may_have_lost(&self) -> bool {
        self.may_have_lost
    }

    fn close(&self) -> Pending<()> {
        self.ask(|done| Work::Close { done })
    }
}

#[cfg(test)]
mod tests;
