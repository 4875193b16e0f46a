//! Following a topic: streams, and functions that are called.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use chatroom_protocol::{Change, TopicName, TopicValue};
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep};

use crate::client::Notice;
use crate::core::Shared;
use crate::error::ShapeError;
use crate::kind::Kind;
use crate::topic::Held;
use chatroom_replica::CursorId;
use chatroom_replica::{BEHIND_MAX, Meta, RawUpdate};

/// A topic's value right after a change, or as a whole.
#[derive(Debug)]
pub struct Update<K> {
    raw: RawUpdate,
    kind: PhantomData<fn() -> K>,
}

impl<K> Update<K> {
    pub(crate) fn new(raw: RawUpdate) -> Self {
        Self { raw, kind: PhantomData }
    }

    /// The changes that lead here from the value before; none for a snapshot.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.raw.changes
    }

    /// Where the update comes from.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.raw.meta
    }

    /// The value as the protocol holds it.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<TopicValue> {
        &self.raw.value
    }
}

impl<K: Kind> Update<K> {
    /// The value right after the change; `None` when it does not have the shape of the handle's
    /// type.
    #[must_use]
    pub fn value(&self) -> Option<K::Value> {
        self.try_value().ok()
    }

    /// The value right after the change.
    ///
    /// # Errors
    /// When it does not have the shape of the handle's type.
    pub fn try_value(&self) -> Result<K::Value, ShapeError> {
        K::read(&self.raw.value)
    }
}

/// The stream of [`Topic::changes`](crate::Topic::changes). It ends when the client is closed.
#[derive(Debug)]
pub struct Changes<K> {
    held: Arc<Held>,
    cursor: CursorId,
    /// Whether a reader that is behind goes on with the newest value.
    latest: bool,
    /// The shortest time between two updates, and when the next may come.
    pace: Option<(Duration, Pin<Box<Sleep>>)>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Changes<K> {
    pub(crate) fn new(held: Arc<Held>) -> Self {
        let cursor = held.shared().with(|core| {
            let cursor = core.replica.follow(&held.name);
            core.hold(&held.name).streams.insert(cursor, None);
            cursor
        });
        Self { held, cursor, latest: false, pace: None, kind: PhantomData }
    }

    /// Passes over what is older than the newest value: a reader that is behind gets that value, as a
    /// snapshot, and is told how many updates it stands for. Events are never passed over.
    #[must_use]
    pub fn latest(mut self) -> Self {
        self.latest = true;
        self
    }

    /// Gives at most so many updates a second, each the newest value; for what is drawn, say. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn hz(mut self, per_second: NonZeroU32) -> Self {
        let pace = Duration::from_secs(1) / per_second.get();
        self.pace = Some((pace, Box::pin(sleep(Duration::ZERO))));
        self.latest()
    }

    /// The next update; `None` once the client is closed.
    pub async fn next(&mut self) -> Option<Update<K>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next update if there is one already.
    pub fn try_next(&mut self) -> Option<Update<K>> {
        self.held.shared().with(|core| core.replica.next(&self.held.name, self.cursor)).map(Update::new)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Update<K>>> {
        if let Some((_, due)) = &mut self.pace {
            std::task::ready!(due.as_mut().poll(context));
        }
        let update = std::task::ready!(self.poll_update(context));
        if let Some((pace, due)) = &mut self.pace {
            due.as_mut().reset(Instant::now() + *pace);
        }
        Poll::Ready(update)
    }

    fn poll_update(&mut self, context: &mut Context<'_>) -> Poll<Option<Update<K>>> {
        let latest = self.latest;
        self.held.shared().with(|core| {
            if latest {
                core.replica.skip(&self.held.name, self.cursor);
            }
            if let Some(raw) = core.replica.next(&self.held.name, self.cursor) {
                return Poll::Ready(Some(Update::new(raw)));
            }
            if core.closed {
                return Poll::Ready(None);
            }
            core.hold(&self.held.name).streams.insert(self.cursor, Some(context.waker().clone()));
            Poll::Pending
        })
    }
}

impl<K> Stream for Changes<K> {
    type Item = Update<K>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Update<K>>> {
        self.get_mut().poll(context)
    }
}

impl<K> Drop for Changes<K> {
    fn drop(&mut self) {
        self.held.shared().with(|core| {
            core.replica.unfollow(&self.held.name, self.cursor);
            if let Some(entry) = core.topics.get_mut(&self.held.name) {
                entry.streams.remove(&self.cursor);
            }
        });
    }
}

type Function = Box<dyn FnMut(RawUpdate) + Send>;

/// Keeps a function of [`Topic::on`](crate::Topic::on) called.
#[must_use = "the function is called until the guard is dropped"]
#[derive(Debug)]
pub struct Listening {
    held: Arc<Held>,
    listener: u64,
}

impl Listening {
    pub(crate) fn new(held: Arc<Held>, function: Function) -> Self {
        let function = Arc::new(Mutex::new(Some(function)));
        let listener = held.shared().with(|core| {
            let next = core.number().unsigned_abs();
            let missing = core.hold(&held.name).listeners.is_none();
            let cursor = missing.then(|| core.replica.follow(&held.name));
            let entry = core.hold(&held.name);
            if let Some(cursor) = cursor {
                entry.listeners = Some(Listeners { cursor, tokens: 0, list: BTreeMap::new() });
            }
            if let Some(listeners) = &mut entry.listeners {
                listeners.list.insert(next, Listener { function, fresh: true });
                if let Some(cursor) = listeners.token() {
                    core.tokens.push_back((held.name.clone(), cursor));
                    core.after().dispatch = true;
                }
            }
            next
        });
        Self { held, listener }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let gone = self.held.shared().with(|core| {
            let entry = core.topics.get_mut(&self.held.name)?;
            let listeners = entry.listeners.as_mut()?;
            let gone = listeners.list.remove(&self.listener);
            if listeners.list.is_empty() {
                let cursor = listeners.cursor;
                entry.listeners = None;
                core.replica.unfollow(&self.held.name, cursor);
                core.tokens.retain(|(_, other)| *other != cursor);
            }
            gone
        });
        // A round that is under way finds nothing to call any more. The function is the
        // application's, and is dropped where nothing is locked.
        let function =
            gone.and_then(|listener| listener.function.try_lock().ok().and_then(|mut function| function.take()));
        drop(function);
    }
}

/// The functions that follow one topic, in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Listeners {
    cursor: CursorId,
    /// How often the topic stands in line for the dispatcher.
    tokens: usize,
    list: BTreeMap<u64, Listener>,
}

#[derive(Clone)]
struct Listener {
    function: Arc<Mutex<Option<Function>>>,
    /// Whether it was told nothing yet.
    fresh: bool,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}

impl Listeners {
    /// Takes a place in line, unless there are enough.
    pub(crate) fn token(&mut self) -> Option<CursorId> {
        let takes = self.tokens <= BEHIND_MAX;
        self.tokens += usize::from(takes);
        takes.then_some(self.cursor)
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

/// What the functions of one topic are told, all of the same.
struct Round {
    name: TopicName,
    update: RawUpdate,
    listeners: Vec<Listener>,
}

impl crate::core::Core {
    fn round(&mut self) -> Option<Round> {
        loop {
            let (name, cursor) = self.tokens.pop_front()?;
            let Some(listeners) = self.topics.get_mut(&name).and_then(|entry| entry.listeners.as_mut()) else {
                continue;
            };
            listeners.tokens -= 1;
            let update = self.replica.next(&name, cursor);
            if listeners.tokens == 0
                && self.replica.is_due(&name, cursor)
                && let Some(cursor) = listeners.token()
            {
                self.tokens.push_back((name.clone(), cursor));
            }
            // Without an update only those are called that were told nothing yet.
            let told = listeners.list.values().filter(|listener| update.is_some() || listener.fresh);
            let told: Vec<Listener> = told.cloned().collect();
            let update = match update {
                Some(update) => update,
                None if told.is_empty() => continue,
                None => match self.replica.current(&name) {
                    Some(update) => update,
                    None => continue,
                },
            };
            listeners.list.values_mut().for_each(|listener| listener.fresh = false);
            return Some(Round { name, update, listeners: told });
        }
    }
}

/// Calls listeners until the client is closed.
pub(crate) async fn dispatch(shared: Arc<Shared>) {
    loop {
        let (round, closed) = shared.with(|core| (core.round(), core.closed));
        let Some(round) = round else {
            if closed {
                return;
            }
            shared.dispatch.notified().await;
            continue;
        };
        run(&shared, round);
        // Other tasks of a single thread want their turn too.
        tokio::task::yield_now().await;
    }
}

fn run(shared: &Arc<Shared>, round: Round) {
    let event = matches!(*round.update.value, TopicValue::Event);
    for listener in round.listeners {
        let update = round.update.clone();
        let update = if listener.fresh && !event { update.into_snapshot() } else { update };
        let mut function = listener.function.lock().unwrap_or_else(PoisonError::into_inner);
        // Removed since the round began.
        let Some(call) = function.as_mut() else {
            continue;
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call(update))) {
            let reason = panic_text(&*panic);
            shared.notice(Notice::ListenerPanicked { topic_name: round.name.to_string(), reason });
        }
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without a message".to_owned(),
    }
}
