//! Faults on purpose: one connection dropped, frozen or delayed, for tests and from the debugger.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::rooms::Told;

/// Messages of a delayed client that may wait; above that its socket is not read.
const DELAYED_MESSAGES: usize = 256;
/// Bytes for a delayed client that may wait here; the rest waits in its outbox and counts there.
const DELAYED_BYTES: usize = 1 << 20;

/// A fault of one client's connection, as bad networks make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The server says goodbye and closes.
    Disconnect,
    /// The socket is cut without a word.
    Drop,
    /// Nothing is read from the socket nor written to it for so long.
    Freeze(Duration),
    /// Every message of either direction waits so long; zero ends it.
    Delay(Duration),
}

/// The faults of one connection.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// So that a healthy connection takes no lock.
    any: AtomicBool,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    pub(crate) dropped: bool,
    pub(crate) frozen_until: Option<Instant>,
    pub(crate) delay: Duration,
}

impl State {
    /// How long it is still frozen.
    pub(crate) fn frozen_for(&self) -> Option<Duration> {
        self.frozen_until.map(|until| until.saturating_duration_since(Instant::now()))
    }
}

impl Faults {
    pub(crate) fn inflict(&self, fault: Fault) {
        let mut state = self.lock();
        match fault {
            // That is the outbox's to do.
            Fault::Disconnect => return,
            Fault::Drop => state.dropped = true,
            Fault::Freeze(time) => state.frozen_until = Some(Instant::now() + time),
            Fault::Delay(time) => state.delay = time,
        }
        drop(state);
        self.any.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// What is wrong on purpose now; `None` if nothing ever was.
    pub(crate) fn state(&self) -> Option<State> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.lock();
        if state.frozen_until.is_some_and(|until| until <= Instant::now()) {
            state.frozen_until = None;
        }
        Some(*state)
    }

    /// Whether nothing may pass now.
    pub(crate) fn are_frozen(&self) -> bool {
        self.state().is_some_and(|state| state.dropped || state.frozen_until.is_some())
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits because its connection is delayed.
#[derive(Debug, Default)]
pub(crate) struct Delayed {
    received: VecDeque<(Instant, Told)>,
    sent: VecDeque<(Instant, Bytes)>,
    sent_bytes: usize,
}

impl Delayed {
    /// Keeps a message that came, or gives it back if nothing is to wait.
    pub(crate) fn receive(&mut self, delay: Duration, told: Told) -> Option<Told> {
        if delay.is_zero() && self.received.is_empty() {
            return Some(told);
        }
        self.received.push_back((Instant::now() + delay, told));
        None
    }

    /// Keeps frames that are to go, or gives them back if nothing is to wait.
    pub(crate) fn send(&mut self, delay: Duration, frames: Bytes) -> Option<Bytes> {
        if delay.is_zero() && self.sent.is_empty() {
            return Some(frames);
        }
        self.sent_bytes += frames.len();
        self.sent.push_back((Instant::now() + delay, frames));
        None
    }

    pub(crate) fn may_read(&self) -> bool {
        self.received.len() < DELAYED_MESSAGES
    }

    pub(crate) fn may_take(&self) -> bool {
        self.sent_bytes < DELAYED_BYTES
    }

    /// The next message whose time has come.
    pub(crate) fn received(&mut self) -> Option<Told> {
        due(&mut self.received)
    }

    /// The next frames whose time has come.
    pub(crate) fn frames(&mut self) -> Option<Bytes> {
        let frames = due(&mut self.sent)?;
        self.sent_bytes -= frames.len();
        Some(frames)
    }

    /// Everything that is to go, at once.
    pub(crate) fn into_frames(self) -> impl Iterator<Item = u8> {
        self.sent.into_iter().flat_map(|(_, frames)| frames)
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        let received = self.received.front().map(|(due, _)| *due);
        let sent = self.sent.front().map(|(due, _)| *due);
        received.into_iter().chain(sent).min()
    }
}

fn due<T>(queue: &mut VecDeque<(Instant, T)>) -> Option<T> {
    let (time, _) = queue.front()?;
    if *time > Instant::now() {
        return None;
    }
    queue.pop_front().map(|(_, item)| item)
}
