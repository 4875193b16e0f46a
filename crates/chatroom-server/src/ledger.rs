//! A room's side of its journal: what is on its way there, what has to be saved, and what may go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chatroom_engine::{Damaged, Image, Room, RoomConfig, Snapshot, Time};
use chatroom_journal::{Journal, JournalError, Part, Pending, Record};
use chatroom_protocol::{RoomName, Sequence};
use tokio::time::{Instant, sleep_until};

use crate::config::Keep;

/// Records before the saved parts that are loaded, for clients that missed a little.
const LOADED_BEFORE: usize = 10_000;
/// Parts are saved when records of so many bytes came since, or of as many as the parts have.
const SAVED_EVERY_BYTES: usize = 1 << 20;
/// Or so many records.
const SAVED_EVERY_COMMITS: usize = 10_000;
/// Or when nothing was committed for so long.
const QUIET: Duration = Duration::from_secs(5);
/// So much is encoded and saved at once; the room serves its clients in between.
const ROUND_BYTES: usize = 256 << 10;
/// How long a journal that is full is left alone before it is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// What may be dropped is counted in blocks of at most so many commits.
const BLOCK_COMMITS: usize = 1_000;

/// Why a room cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("the journal has no room: {0}")]
    Full(String),
    /// The room may be loaded again.
    #[error("the journal failed: {0}")]
    Failed(JournalError),
    #[error("what is kept cannot be read: {0}")]
    Damaged(String),
}

/// What happened to the journal.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Commits up to this one are kept.
    Appended(Sequence),
    /// Something was saved, or time has come to look whether something has to be.
    Look,
    /// A journal that was full takes changes again.
    Writable,
}

/// Records in a row, as they will be dropped.
#[derive(Debug)]
struct Block {
    last: Sequence,
    commits: usize,
    bytes: usize,
    until: Time,
}

pub(crate) struct Ledger {
    name: RoomName,
    journal: Arc<dyn Journal>,
    keep: Keep,
    /// Committed, and not yet given to the journal.
    records: Vec<Record>,
    /// Where the journal stands, and what it is doing.
    appended: Sequence,
    appending: Option<Pending<Sequence>>,
    saving: Option<(Snapshot, Pending<()>)>,
    /// A snapshot that found no room; it has to be saved before any other.
    unsaved: Option<Snapshot>,
    retry_at: Option<Instant>,
    probing: Option<Pending<()>>,
    /// Up to where the round of saving that is under way shall come.
    goal: Option<Sequence>,
    covered: Sequence,
    bytes_since: usize,
    commits_since: usize,
    look_at_bytes: usize,
    committed_at: Option<Instant>,
    blocks: VecDeque<Block>,
    kept: (usize, usize),
}

impl Ledger {
    /// Loads a room, and what goes on between it and its journal from here on.
    pub(crate) async fn load(
        journal: Arc<dyn Journal>,
        keep: Keep,
        config: RoomConfig,
        now: Time,
    ) -> Result<(Room, Self), Lost> {
        let name = config.name.clone();
        let whole = !journal.may_have_lost();
        let loaded = journal.load(&name, LOADED_BEFORE).await.map_err(lost)?;
        let (appended, covered) = (loaded.last, loaded.covered);
        let bytes: usize = loaded.records.iter().map(|record| record.bytes.len()).sum();
        let since: usize =
            loaded.records.iter().filter(|it| it.sequence > covered).map(|record| record.bytes.len()).sum();
        let commits = loaded.records.len();
        let restore = move || {
            let parts: Vec<(String, &[u8])> =
                loaded.parts.iter().filter_map(|part| Some((part.key.clone(), &part.bytes.as_ref()?[..]))).collect();
            let records: Vec<(Sequence, &[u8])> =
                loaded.records.iter().map(|record| (record.sequence, &record.bytes[..])).collect();
            let image = Image { parts: &parts, covered: loaded.covered, records: &records, last: loaded.last, whole };
            Room::restore(config, &image, now)
        };
        // A large room takes a while to read, and others shall be served meanwhile.
        let room = match tokio::task::spawn_blocking(restore).await {
            Ok(room) => room.map_err(|Damaged(why)| Lost::Damaged(why))?,
            Err(error) => return Err(Lost::Damaged(error.to_string())),
        };
        let ledger = Self {
            name,
            journal,
            keep,
            records: Vec::new(),
            appended,
            appending: None,
            saving: None,
            unsaved: None,
            retry_at: None,
            probing: None,
            goal: None,
            covered,
            bytes_since: since,
            commits_since: 0,
            look_at_bytes: SAVED_EVERY_BYTES,
            committed_at: None,
            blocks: VecDeque::from([Block { last: appended, commits, bytes, until: now }]),
            kept: (commits, bytes),
        };
        Ok((room, ledger))
    }

    /// A commit to be kept.
    pub(crate) fn record(&mut self, record: Record, now: Time) {
        let (sequence, bytes) = (record.sequence, record.bytes.len());
        let most = (self.keep.commits / 16).clamp(1, BLOCK_COMMITS);
        match self.blocks.back_mut().filter(|block| block.commits < most) {
            Some(block) => {
                (block.last, block.until) = (sequence, now);
                block.commits += 1;
                block.bytes += bytes;
            }
            None => self.blocks.push_back(Block { last: sequence, commits: 1, bytes, until: now }),
        }
        self.kept = (self.kept.0 + 1, self.kept.1 + bytes);
        self.bytes_since += bytes;
        self.commits_since += 1;
        self.records.push(record);
    }

    /// Gives the journal what was committed, one batch at a time: what is committed while a batch
    /// is being kept goes with the next one. Then saves what has to be.
    pub(crate) fn go_on(&mut self, room: &mut Room, now: Time) {
        if self.appending.is_none() && !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            self.committed_at = Some(Instant::now());
            self.appending = Some(self.journal.append(&self.name, self.appended, records));
        }
        // Parts may not be ahead of the records.
        if self.records.is_empty() && self.saving.is_none() && self.unsaved.is_none() {
            self.save(room);
        }
        self.trim(now);
    }

    fn save(&mut self, room: &mut Room) {
        if self.goal.is_none() && self.is_due(room) {
            self.goal = Some(self.appended.max(room.sequence()));
            (self.bytes_since, self.commits_since, self.look_at_bytes) = (0, 0, SAVED_EVERY_BYTES);
            self.committed_at = None;
        }
        if self.goal.is_none() {
            return;
        }
        match room.snapshot(ROUND_BYTES) {
            Some(snapshot) => self.begin_saving(snapshot),
            None => self.goal = None,
        }
    }

    fn begin_saving(&mut self, snapshot: Snapshot) {
        let part = |(key, bytes): &(String, _)| Part { key: key.clone(), bytes: Option::clone(bytes) };
        let parts = snapshot.parts.iter().map(part).collect();
        let pending = self.journal.save(&self.name, parts, snapshot.covered, snapshot.at);
        self.saving = Some((snapshot, pending));
    }

    fn is_due(&mut self, room: &Room) -> bool {
        if !room.is_unsaved() {
            return false;
        }
        if self.commits_since >= SAVED_EVERY_COMMITS {
            return true;
        }
        if self.bytes_since >= self.look_at_bytes {
            // Not more often than pays: a large value is written as a whole.
            self.look_at_bytes = self.bytes_since + SAVED_EVERY_BYTES;
            if self.bytes_since >= room.unsaved_bytes() {
                return true;
            }
        }
        self.committed_at.is_some_and(|at| at.elapsed() >= QUIET)
    }

    /// Lets the journal drop what is saved and older, or more, than what shall be kept.
    fn trim(&mut self, now: Time) {
        let mut through = None;
        while let Some(block) = self.blocks.front().filter(|block| block.last <= self.covered)
            && (self.kept.0 - block.commits >= self.keep.commits
                || self.kept.1 > self.keep.bytes
                || now.since_ms(block.until) > self.keep.age_ms)
            && let Some(block) = self.blocks.pop_front()
        {
            self.kept = (self.kept.0 - block.commits, self.kept.1 - block.bytes);
            through = Some(block.last);
        }
        if let Some(through) = through {
            // Begun already; nobody waits for its end.
            drop(self.journal.trim(&self.name, through));
        }
    }

    /// Waits until the journal has done something.
    pub(crate) async fn turn(&mut self) -> Result<Turn, Lost> {
        let quiet_at = self.committed_at.filter(|_| self.saving.is_none()).map(|at| at + QUIET);
        let retry_at = self.retry_at;
        tokio::select! {
            biased;
            done = wait(&mut self.appending) => {
                self.appending = None;
                self.appended = done.map_err(lost)?;
                Ok(Turn::Appended(self.appended))
            }
            done = wait_save(&mut self.saving) => {
                let snapshot = self.saving.take().map(|(snapshot, _)| snapshot);
                self.saved(snapshot, done)?;
                Ok(Turn::Look)
            }
            done = wait(&mut self.probing) => {
                self.probing = None;
                match done {
                    Ok(()) => Ok(Turn::Writable),
                    Err(JournalError::Full(_)) => {
                        self.retry_at = Some(Instant::now() + RETRY);
                        Ok(Turn::Look)
                    }
                    Err(error) => Err(lost(error)),
                }
            }
            () = sleep_until(quiet_at.unwrap_or_else(Instant::now)), if quiet_at.is_some() => Ok(Turn::Look),
            () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => {
                self.retry_at = None;
                match self.unsaved.take() {
                    Some(snapshot) => self.begin_saving(snapshot),
                    None => self.probing = Some(self.journal.save(&self.name, Vec::new(), self.covered, self.appended)),
                }
                Ok(Turn::Look)
            }
        }
    }

    fn saved(&mut self, snapshot: Option<Snapshot>, done: Result<(), JournalError>) -> Result<(), Lost> {
        let Some(snapshot) = snapshot else { return Ok(()) };
        match done {
            Ok(()) => {
                self.covered = snapshot.covered;
                if self.goal.is_some_and(|goal| self.covered >= goal) {
                    self.goal = None;
                }
                Ok(())
            }
            // The records are there, so nothing is lost by waiting.
            Err(JournalError::Full(why)) => {
                tracing::warn!(room = %self.name, why, "the journal has no room for a snapshot; it is tried again");
                self.unsaved = Some(snapshot);
                self.retry_at = Some(Instant::now() + RETRY);
                Ok(())
            }
            Err(error) => Err(lost(error)),
        }
    }

    /// The journal was full: it is asked again after a while whether it has room.
    pub(crate) fn probe(&mut self) {
        self.retry_at = Some(Instant::now() + RETRY);
    }

    /// Whether anything is on its way to the journal.
    pub(crate) fn is_busy(&self) -> bool {
        self.appending.is_some() || self.saving.is_some() || !self.records.is_empty()
    }

    /// Asks for everything to be saved now.
    pub(crate) fn save_all(&mut self, room: &Room) {
        if room.is_unsaved() && self.goal.is_none() {
            self.goal = Some(room.sequence());
        }
    }

    /// Whether all that was asked for is saved, or cannot be for now.
    pub(crate) fn is_at_rest(&self, room: &Room) -> bool {
        !self.is_busy() && (!room.is_unsaved() || self.unsaved.is_some())
    }

    /// Drops the room for good.
    pub(crate) fn forget(&self) {
        // Begun already; one that fails is dropped when it was used again.
        drop(self.journal.forget(&self.name));
    }
}

pub(crate) fn lost(error: JournalError) -> Lost {
    match error {
        JournalError::Full(why) => Lost::Full(why),
        JournalError::Corrupt(why) => Lost::Damaged(why),
        error => Lost::Failed(error),
    }
}

/// Waits for what is in flight; for ever if nothing is.
async fn wait<T>(pending: &mut Option<Pending<T>>) -> Result<T, JournalError> {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

async fn wait_save(saving: &mut Option<(Snapshot, Pending<()>)>) -> Result<(), JournalError> {
    match saving {
        Some((_, pending)) => pending.await,
        None => std::future::pending().await,
    }
}
