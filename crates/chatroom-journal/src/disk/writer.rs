//! The thread that writes: it takes what waits, writes it as one batch, syncs once, and answers all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use chatroom_protocol::{RoomName, Sequence};
use fjall::{OwnedWriteBatch as WriteBatch, PersistMode};

use super::folder::Folder;
use super::store::{self, Head, Store, failed, sequence_of};
use super::{Done, Durability, OpenError, Work, reader};
use crate::Stats;
use crate::{JournalError, Part, Record};

/// A batch has so many works at most, and about so many bytes.
const BATCH_WORKS: usize = 1_024;
const BATCH_BYTES: usize = 4 << 20;
/// How much is removed with one batch.
const TRIM_RECORDS: usize = 4_096;
/// So many rooms' heads are remembered.
const HEADS_MAX: usize = 100_000;
/// How long what was only written waits for its sync.
const SYNC_WITHIN: Duration = Duration::from_secs(1);
/// How old a look at the free space may be, in time and in bytes written since.
const SPACE_SEEN_FOR: Duration = Duration::from_millis(100);
const SPACE_SEEN_BYTES: u64 = 1 << 20;
/// How long a store that failed is left alone.
const REOPEN_AFTER: Duration = Duration::from_millis(500);

pub(super) struct Writer {
    folder: Folder,
    durability: Durability,
    stats: Arc<Stats>,
    min_free_bytes: Arc<AtomicU64>,
    /// `None` after it failed, until it is open again.
    store: Option<Store>,
    failed_at: Option<Instant>,
    /// The rooms in use. One whose last append has an unknown outcome is not here until it is loaded.
    heads: HashMap<RoomName, Head>,
    doubted: HashMap<RoomName, ()>,
    unsynced_since: Option<Instant>,
    space: Option<(Instant, u64, u64)>,
    readers: mpsc::Sender<(Store, Work)>,
}

/// An answer that waits for its batch.
enum Answer {
    Appended(Sequence, Done<Sequence>),
    Done(Done<()>),
}

#[expect(clippy::disallowed_methods, reason = "this thread times its batches and looks at the disk now and then")]
fn now() -> Instant {
    Instant::now()
}

impl Writer {
    pub(super) fn new(
        folder: Folder,
        durability: Durability,
        stats: Arc<Stats>,
        min_free_bytes: Arc<AtomicU64>,
    ) -> Result<Self, OpenError> {
        let store = Store::open(&folder.store()).map_err(|error| store::open_error(&folder.path, error))?;
        let (readers, works) = mpsc::channel();
        std::thread::Builder::new()
            .name("journal-reader".into())
            .spawn(move || reader::run(&works))
            .map_err(|error| OpenError::Io { folder: folder.path.clone(), error })?;
        Ok(Self {
            folder,
            durability,
            stats,
            min_free_bytes,
            store: Some(store),
            failed_at: None,
            heads: HashMap::new(),
            doubted: HashMap::new(),
            unsynced_since: None,
            space: None,
            readers,
        })
    }

    pub(super) fn run(mut self, works: &mpsc::Receiver<Work>) {
        let (mut next, mut closed) = (None, None);
        loop {
            let first = match next.take() {
                Some(work) => work,
                None => match self.wait(works) {
                    Some(work) => work,
                    None => break,
                },
            };
            match first {
                Work::Close { done } => {
                    closed = Some(done);
                    break;
                }
                work @ (Work::Load { .. } | Work::Read { .. } | Work::ReadBack { .. } | Work::Rooms { .. }) => {
                    self.hand_on(work);
                }
                work => next = self.batch(work, works),
            }
        }
        self.sync();
        drop(self.store.take());
        if let Err(error) = self.folder.end() {
            tracing::warn!(%error, "the end of the journal could not be noted");
        }
        drop(self.folder);
        if let Some(done) = closed {
            reply(done, Ok(()));
        }
    }

    /// The next work; in between, what was only written is synced. `None` when nobody can ask any more.
    fn wait(&mut self, works: &mpsc::Receiver<Work>) -> Option<Work> {
        loop {
            let work = match self.unsynced_since {
                None => works.recv().ok()?,
                Some(since) => match works.recv_timeout(SYNC_WITHIN.saturating_sub(since.elapsed())) {
                    Ok(work) => work,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        self.sync();
                        continue;
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                },
            };
            self.stats.queued.fetch_sub(1, Ordering::Relaxed);
            return Some(work);
        }
    }

    fn sync(&mut self) {
        if self.unsynced_since.take().is_some()
            && let Some(store) = &self.store
        {
            Stats::count(&self.stats.syncs, 1);
            if let Err(error) = store.database.persist(PersistMode::SyncData) {
                self.broke(&error);
            }
        }
    }

    /// What reads sees all that came before it.
    fn hand_on(&mut self, work: Work) {
        let Some(store) = self.opened() else {
            return refuse(work);
        };
        if let Work::Load { room, .. } = &work {
            self.doubted.remove(room);
            self.heads.remove(room);
        }
        // The reader ends with this thread.
        let _ = self.readers.send((store, work));
    }

    fn opened(&mut self) -> Option<Store> {
        if self.store.is_none() && self.failed_at.is_none_or(|at| at.elapsed() >= REOPEN_AFTER) {
            match Store::open(&self.folder.store()) {
                Ok(store) => {
                    tracing::info!("the journal's store is open again");
                    self.store = Some(store);
                    self.failed_at = None;
                }
                Err(error) => {
                    tracing::error!(%error, "the journal's store cannot be opened; it is tried again");
                    self.failed_at = Some(now());
                }
            }
        }
        self.store.clone()
    }

    /// The store cannot be trusted with more: it is opened anew.
    fn broke(&mut self, error: &fjall::Error) {
        tracing::error!(%error, "the journal's store failed; it is opened anew");
        self.store = None;
        self.failed_at = Some(now());
        self.doubted.extend(self.heads.drain().map(|(room, _)| (room, ())));
    }

    /// Writes a work and those that wait behind it; returns the first that is not of this batch.
    fn batch(&mut self, first: Work, works: &mpsc::Receiver<Work>) -> Option<Work> {
        let Some(store) = self.opened() else {
            refuse(first);
            return None;
        };
        let began = now();
        if self.heads.len() > HEADS_MAX {
            self.heads.clear();
        }
        let mut batch = store.database.batch();
        let (mut answers, mut bytes, mut needs_sync) = (Vec::new(), 0, false);
        let (mut work, mut next) = (Some(first), None);
        while let Some(one) = work.take() {
            match one {
                // These look for what is there, and a batch is there once it is written.
                one @ (Work::Trim { .. } | Work::Forget { .. }) if !answers.is_empty() => {
                    next = Some(one);
                    break;
                }
                Work::Append { room, after, records, done } => {
                    match self.append(&store, &mut batch, &room, after, &records) {
                        Ok((last, more)) => {
                            (bytes, needs_sync) = (bytes + more, needs_sync || more > 0);
                            answers.push(Answer::Appended(last, done));
                        }
                        Err(error) => reply(done, Err(error)),
                    }
                }
                Work::Save { room, parts, covered, at, done } => {
                    match self.save(&store, &mut batch, &room, parts, covered, at) {
                        Ok(more) => {
                            bytes += more;
                            answers.push(Answer::Done(done));
                        }
                        Err(error) => reply(done, Err(error)),
                    }
                }
                Work::Trim { room, through, done } => match self.trim(&store, &mut batch, &room, through) {
                    Ok(()) => answers.push(Answer::Done(done)),
                    Err(error) => reply(done, Err(error)),
                },
                Work::Forget { room, done } => match self.forget(&store, &mut batch, &room) {
                    Ok(()) => {
                        needs_sync = true;
                        answers.push(Answer::Done(done));
                    }
                    Err(error) => reply(done, Err(error)),
                },
                other => {
                    next = Some(other);
                    break;
                }
            }
            if answers.len() < BATCH_WORKS
                && bytes < BATCH_BYTES
                && let Ok(more) = works.try_recv()
            {
                self.stats.queued.fetch_sub(1, Ordering::Relaxed);
                work = Some(more);
            }
        }
        self.commit(batch, answers, bytes, needs_sync, began);
        next
    }

    fn commit(&mut self, batch: WriteBatch, answers: Vec<Answer>, bytes: usize, needs_sync: bool, began: Instant) {
        let syncs = needs_sync && self.durability == Durability::Synced;
        // Without a mode it would stay in this process.
        let mode = if syncs { PersistMode::SyncData } else { PersistMode::Buffer };
        let result = batch.durability(Some(mode)).commit();
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Stats::count(&self.stats.batches, 1);
        Stats::count(&self.stats.syncs, u64::from(syncs));
        Stats::count(&self.stats.bytes, bytes as u64);
        Stats::count(&self.stats.batches_us, took);
        self.stats.longest_batch_us.fetch_max(took, Ordering::Relaxed);
        if let Some((_, _, since)) = &mut self.space {
            *since += bytes as u64;
        }
        match &result {
            Ok(()) if needs_sync && !syncs => {
                self.unsynced_since.get_or_insert_with(now);
            }
            Ok(()) => {}
            Err(error) => self.broke(error),
        }
        for answer in answers {
            let unknown = || JournalError::Unknown("the disk failed while it was written".into());
            match answer {
                Answer::Appended(last, done) => {
                    Stats::count(&self.stats.appends, 1);
                    reply(done, result.as_ref().map(|()| last).map_err(|_| unknown()));
                }
                Answer::Done(done) => reply(done, if result.is_ok() { Ok(()) } else { Err(unknown()) }),
            }
        }
    }

    fn head(&mut self, store: &Store, room: &RoomName) -> Result<Head, JournalError> {
        if self.doubted.contains_key(room) {
            return Err(JournalError::Unknown("the store failed meanwhile; load the room first".into()));
        }
        if let Some(head) = self.heads.get(room) {
            return Ok(*head);
        }
        let head = reader::head(store, room)?.unwrap_or_default();
        self.heads.insert(room.clone(), head);
        Ok(head)
    }

    fn put_head(&mut self, store: &Store, batch: &mut WriteBatch, room: &RoomName, head: Head) -> usize {
        self.heads.insert(room.clone(), head);
        let key = store::head_key(room);
        let value = head.value(&key);
        let bytes = key.len() + value.len();
        batch.insert(&store.keyspace, key, value);
        bytes
    }

    fn append(
        &mut self,
        store: &Store,
        batch: &mut WriteBatch,
        room: &RoomName,
        after: Sequence,
        records: &[Record],
    ) -> Result<(Sequence, usize), JournalError> {
        let head = self.head(store, room)?;
        if head.last != after {
            return Err(JournalError::Conflict { expected: after, found: head.last });
        }
        let Some(last) = records.last() else {
            return Ok((after, 0));
        };
        self.look_at_space()?;
        let (mut previous, mut bytes) = (after, 0);
        for record in records {
            let key = store::record_key(room, record.sequence);
            let value = store::record_value(&key, previous, &record.bytes);
            bytes += key.len() + value.len();
            batch.insert(&store.keyspace, key, value);
            previous = record.sequence;
        }
        bytes += self.put_head(store, batch, room, Head { last: last.sequence, ..head });
        Ok((last.sequence, bytes))
    }

    fn save(
        &mut self,
        store: &Store,
        batch: &mut WriteBatch,
        room: &RoomName,
        parts: Vec<Part>,
        covered: Sequence,
        at: Sequence,
    ) -> Result<usize, JournalError> {
        let head = self.head(store, room)?;
        if head.last < at {
            return Err(JournalError::Conflict { expected: at, found: head.last });
        }
        self.look_at_space()?;
        let mut bytes = 0;
        for Part { key, bytes: value } in parts {
            let key = store::part_key(room, &key);
            match value {
                Some(value) => {
                    let value = store::sealed(&key, &[&value]);
                    bytes += key.len() + value.len();
                    batch.insert(&store.keyspace, key, value);
                }
                None => batch.remove(&store.keyspace, key),
            }
        }
        bytes += self.put_head(store, batch, room, Head { covered: head.covered.max(covered), ..head });
        Ok(bytes)
    }

    fn trim(
        &mut self,
        store: &Store,
        batch: &mut WriteBatch,
        room: &RoomName,
        through: Sequence,
    ) -> Result<(), JournalError> {
        let head = self.head(store, room)?;
        let through = through.min(head.covered);
        if through < head.oldest || through == Sequence(0) {
            return Ok(());
        }
        let range = store::record_key(room, head.oldest)..=store::record_key(room, through);
        let mut oldest = Sequence(through.0.saturating_add(1));
        for (count, entry) in store.keyspace.range(range).enumerate() {
            let key = entry.key().map_err(|error| failed(&error))?;
            if count == TRIM_RECORDS {
                // The rest goes with the next trim.
                oldest = sequence_of(&key);
                break;
            }
            batch.remove(&store.keyspace, key);
        }
        self.put_head(store, batch, room, Head { oldest, ..head });
        Ok(())
    }

    fn forget(&mut self, store: &Store, batch: &mut WriteBatch, room: &RoomName) -> Result<(), JournalError> {
        for prefix in [store::parts_of(room), store::records_of(room)] {
            for entry in store.keyspace.prefix(prefix) {
                batch.remove(&store.keyspace, entry.key().map_err(|error| failed(&error))?);
            }
        }
        batch.remove(&store.keyspace, store::head_key(room));
        self.doubted.remove(room);
        self.heads.insert(room.clone(), Head::default());
        Ok(())
    }

    fn look_at_space(&mut self) -> Result<(), JournalError> {
        let seen = self.space.filter(|(at, _, since)| at.elapsed() < SPACE_SEEN_FOR && *since < SPACE_SEEN_BYTES);
        let free = match seen {
            Some((_, free, _)) => free,
            // A file system that does not tell is taken to have room.
            None => {
                let free = self.folder.free_bytes().unwrap_or(u64::MAX);
                self.space = Some((now(), free, 0));
                free
            }
        };
        let wanted = self.min_free_bytes.load(Ordering::Relaxed);
        if free < wanted {
            return Err(JournalError::Full(format!(
                "{} has {} MiB free and shall keep {} MiB",
                self.folder.path.display(),
                free >> 20,
                wanted >> 20
            )));
        }
        Ok(())
    }
}

fn reply<T>(done: Done<T>, result: Result<T, JournalError>) {
    // Whoever asked may be gone.
    let _ = done.send(result);
}

fn refuse(work: Work) {
    let why = || JournalError::Failed("the journal's store failed and is not open again yet".into());
    match work {
        Work::Append { done, .. } => reply(done, Err(why())),
        Work::Save { done, .. } | Work::Trim { done, .. } | Work::Forget { done, .. } | Work::Close { done } => {
            reply(done, Err(why()));
        }
        Work::Load { done, .. } => reply(done, Err(why())),
        Work::Read { done, .. } | Work::ReadBack { done, .. } => reply(done, Err(why())),
        Work::Rooms { done, .. } => reply(done, Err(why())),
    }
}
