//! A reader's place in the history of one topic.
//!
//! Whoever follows a topic gets the value as it was right after each change, however far the topic
//! has moved on meanwhile. Values are not copied for that: a reader that keeps up shares the
//! topic's own; one that fell behind gets one copy, taken back by the inverses of what it has not
//! seen yet and then moved forward in place.

use std::collections::VecDeque;
use std::sync::Arc;

use chatroom_protocol::{Change, ClientId, Limits, Sequence, TopicValue};

/// How far a reader may fall behind before it is given the value instead of the changes.
pub(crate) const BEHIND_MAX: usize = 1024;

/// Where an update comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The value as a whole: at first, after a reconnect, or where changes were skipped.
    Snapshot,
    /// One change.
    Change,
}

/// What is known of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// Its place in the room's order.
    pub sequence: Sequence,
    /// The author; the server's own id for a snapshot.
    pub by: ClientId,
    /// Whether this client made the change.
    pub mine: bool,
    /// Where it comes from.
    pub cause: Cause,
    /// How many updates were left out before this one because the reader was too slow.
    pub skipped: u64,
}

/// An update whose value has no type yet.
#[derive(Clone, Debug)]
pub(crate) struct RawUpdate {
    pub(crate) value: Arc<TopicValue>,
    pub(crate) change: Option<Arc<Change>>,
    pub(crate) meta: Meta,
}

impl RawUpdate {
    /// The same value as a reader sees it that knew none before.
    pub(crate) fn into_snapshot(self) -> Self {
        let meta = Meta { by: ClientId::SERVER, mine: false, cause: Cause::Snapshot, ..self.meta };
        Self { change: None, meta, ..self }
    }
}

/// One step of a topic's history.
#[derive(Debug)]
pub(crate) enum Step {
    Changed { change: Arc<Change>, inverse: Option<Change>, meta: Meta },
    Replaced { before: Option<Arc<TopicValue>>, after: Arc<TopicValue>, meta: Meta },
}

impl Step {
    fn undo(&self, value: &mut Arc<TopicValue>) {
        match self {
            Self::Changed { inverse: Some(inverse), .. } => apply(inverse, value),
            Self::Changed { inverse: None, .. } | Self::Replaced { before: None, .. } => {}
            Self::Replaced { before: Some(before), .. } => *value = before.clone(),
        }
    }

    fn redo(&self, value: &mut Arc<TopicValue>) {
        match self {
            Self::Changed { change, .. } => apply(change, value),
            Self::Replaced { after, .. } => *value = after.clone(),
        }
    }

    fn update(&self, value: Arc<TopicValue>) -> RawUpdate {
        match self {
            Self::Changed { change, meta, .. } => RawUpdate { value, change: Some(change.clone()), meta: *meta },
            Self::Replaced { meta, .. } => RawUpdate { value, change: None, meta: *meta },
        }
    }
}

fn apply(change: &Change, value: &mut Arc<TopicValue>) {
    let applied = Arc::make_mut(value).apply(change, &Limits::unlimited());
    debug_assert!(applied.is_ok(), "what was applied once applies again: {applied:?}");
}

/// A reader's place.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Cursor {
    /// Whether the value itself is due first.
    fresh: bool,
    queue: VecDeque<Arc<Step>>,
    /// The value as of the last update, while the topic is further than that.
    view: Option<Arc<TopicValue>>,
    skipped: u64,
}

impl Cursor {
    pub(crate) fn new() -> Self {
        Self { fresh: true, queue: VecDeque::new(), view: None, skipped: 0 }
    }

    pub(crate) fn push(&mut self, step: &Arc<Step>) {
        // The value that is due first will have this step in it; an event topic has no such value.
        let kept = matches!(&**step, Step::Changed { change, .. } if matches!(**change, Change::Event(_)));
        if self.fresh && !kept {
            return;
        }
        if self.queue.len() >= BEHIND_MAX {
            if kept {
                self.queue.pop_front();
                self.skipped += 1;
            } else {
                self.skipped += self.queue.len() as u64 + 1;
                self.queue = VecDeque::new();
                self.view = None;
                self.fresh = true;
                return;
            }
        }
        self.queue.push_back(step.clone());
    }

    /// Whether [`Cursor::next`] has something to give.
    pub(crate) fn is_due(&self, confirmed: Option<&Arc<TopicValue>>) -> bool {
        let snapshot = self.fresh && confirmed.is_some_and(|value| !matches!(**value, TopicValue::Event));
        snapshot || !self.queue.is_empty()
    }

    pub(crate) fn next(&mut self, confirmed: Option<&Arc<TopicValue>>, position: Sequence) -> Option<RawUpdate> {
        let confirmed = confirmed?;
        if std::mem::take(&mut self.fresh) && !matches!(**confirmed, TopicValue::Event) {
            let skipped = std::mem::take(&mut self.skipped);
            let meta = Meta { sequence: position, by: ClientId::SERVER, mine: false, cause: Cause::Snapshot, skipped };
            return Some(RawUpdate { value: confirmed.clone(), change: None, meta });
        }
        let step = self.queue.pop_front()?;
        let value = if self.queue.is_empty() {
            self.view = None;
            confirmed.clone()
        } else {
            let value = match self.view.take() {
                Some(mut value) => {
                    step.redo(&mut value);
                    value
                }
                None => {
                    let mut value = confirmed.clone();
                    self.queue.iter().rev().for_each(|later| later.undo(&mut value));
                    value
                }
            };
            self.view = Some(value.clone());
            value
        };
        let mut update = step.update(value);
        update.meta.skipped = std::mem::take(&mut self.skipped);
        Some(update)
    }
}
