//! A journal that fails when it is told to: for what a server does then.

use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chatroom_journal::{Journal, JournalError, Loaded, MemoryJournal, Page, Part, Pending, Record};
use chatroom_protocol::{RoomName, Sequence};

/// What becomes of appends and saves from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They work.
    #[default]
    Works,
    /// There is no room: nothing is kept.
    Full,
    /// They fail, and nothing is kept.
    Fails,
    /// The next append is kept, and nobody can tell; then they work.
    TearsKept,
    /// The next append is lost, and nobody can tell; then they work.
    TearsLost,
    /// Appends are kept, and their answers wait until another mode is set.
    Delays,
}

/// A journal in memory that fails by a script, or by a seed.
#[derive(Debug, Default)]
pub struct FailingJournal {
    kept: MemoryJournal,
    mode: Mutex<Mode>,
    delayed: Arc<Mutex<Vec<tokio::sync::oneshot::Sender<()>>>>,
    /// How many appends failed in some way.
    failed: AtomicU64,
    /// State of the choices by a seed; 0 for none.
    seed: AtomicU64,
}

impl FailingJournal {
    /// One that fails now and then, as the seed has it.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed: AtomicU64::new(seed.max(1)), ..Self::default() }
    }

    /// What happens from now on.
    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        if mode != Mode::Delays {
            self.delayed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Fails no more by the seed.
    pub fn heal(&self) {
        self.seed.store(0, Ordering::Relaxed);
        self.set(Mode::Works);
    }

    /// How many appends wait to be answered.
    #[must_use]
    pub fn delayed(&self) -> usize {
        self.delayed.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many appends failed in some way.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    fn mode(&self) -> Mode {
        let choice = self.seed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| {
            let next = seed ^ (seed << 13);
            let next = next ^ (next >> 7);
            (seed > 0).then_some(next ^ (next << 17))
        });
        let mut mode = self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        match (choice.unwrap_or_default() % 64, *mode) {
            (1, _) => Mode::Fails,
            (2, _) => Mode::TearsKept,
            (3, _) => Mode::TearsLost,
            (_, now @ (Mode::TearsKept | Mode::TearsLost)) => {
                *mode = Mode::Works;
                now
            }
            (_, now) => now,
        }
    }
}

fn full() -> JournalError {
    JournalError::Full("the test has no room".into())
}

impl Journal for FailingJournal {
    fn load(&self, room: &RoomName, before: usize) -> Pending<Loaded> {
        self.kept.load(room, before)
    }

    fn append(&self, room: &RoomName, after: Sequence, records: Vec<Record>) -> Pending<Sequence> {
        let mode = self.mode();
        if !matches!(mode, Mode::Works | Mode::Delays) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let unknown = || JournalError::Unknown("the test says nothing".into());
        match mode {
            Mode::Works => self.kept.append(room, after, records),
            Mode::Full => Box::pin(ready(Err(full()))),
            Mode::Fails => Box::pin(ready(Err(JournalError::Failed("the test wants it".into())))),
            Mode::TearsKept => {
                drop(self.kept.append(room, after, records));
                Box::pin(ready(Err(unknown())))
            }
            Mode::TearsLost => Box::pin(ready(Err(unknown()))),
            Mode::Delays => {
                let (answer, waits) = tokio::sync::oneshot::channel();
                self.delayed.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
                let appended = self.kept.append(room, after, records);
                Box::pin(async move {
                    // Dropped when another mode is set.
                    let _ = waits.await;
                    appended.await
                })
            }
        }
    }

    fn read(&self, room: &RoomName, after: Sequence, count: usize, bytes: usize) -> Pending<Page> {
        self.kept.read(room, after, count, bytes)
    }

    fn read_back(&self, room: &RoomName, before: Sequence, count: usize, bytes: usize) -> Pending<Page> {
        self.kept.read_back(room, before, count, bytes)
    }

    fn save(&self, room: &RoomName, parts: Vec<Part>, covered: Sequence, at: Sequence) -> Pending<()> {
        match *self.mode.lock().unwrap_or_else(PoisonError::into_inner) {
            Mode::Full => Box::pin(ready(Err(full()))),
            _ => self.kept.save(room, parts, covered, at),
        }
    }

    fn trim(&self, room: &RoomName, through: Sequence) -> Pending<()> {
        self.kept.trim(room, through)
    }

    fn forget(&self, room: &RoomName) -> Pending<()> {
        self.kept.forget(room)
    }

    fn rooms(&self, after: Option<&RoomName>, count: usize) -> Pending<Vec<RoomName>> {
        self.kept.rooms(after, count)
    }

    fn close(&self) -> Pending<()> {
        self.kept.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_the_contract_while_it_works() {
        chatroom_journal::contract::check(FailingJournal::default);
    }
}
