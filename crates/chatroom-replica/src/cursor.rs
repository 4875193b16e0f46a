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
pub const BEHIND_MAX: usize = 1024;

/// Where an update comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The value as a whole: at first, after a reconnect, or where changes were skipped.
    Snapshot,
    /// An own action, before the room has said anything.
    Local,
    /// A commit of another client.
    Remote,
    /// The room took an own action, and its rules made something else of it; or it was an event.
    Accepted,
    /// The room refused an own action, which is taken back.
    Rejected,
}

impl Cause {
    /// The name in the vectors and in other languages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// What is known of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// The place in the room's order up to which the topic's confirmed value is known.
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
pub struct RawUpdate {
    /// The value right after it.
    pub value: Arc<TopicValue>,
    /// What led there from the value before; none for a snapshot.
    pub changes: Arc<[Change]>,
    /// What else is known.
    pub meta: Meta,
}

impl RawUpdate {
    /// The same value as a reader sees it that knew none before.
    #[must_use]
    pub fn into_snapshot(self) -> Self {
        let meta = Meta { by: ClientId::SERVER, mine: false, cause: Cause::Snapshot, ..self.meta };
        Self { changes: Arc::new([]), meta, ..self }
    }
}

/// One step of a topic's history.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) way: Way,
    /// What is told of it.
    pub(crate) changes: Arc<[Change]>,
    pub(crate) meta: Meta,
}

/// How the value before becomes the value after, and back.
#[derive(Debug)]
pub(crate) enum Way {
    /// Exact changes there, and exact changes back; both in the order in which to apply them.
    Changed {
        redo: Vec<Change>,
        undo: Vec<Change>,
    },
    Replaced {
        before: Option<Arc<TopicValue>>,
        after: Arc<TopicValue>,
    },
}

impl Step {
    fn undo(&self, value: &mut Arc<TopicValue>) {
        match &self.way {
            Way::Changed { undo, .. } => apply(undo, value),
            Way::Replaced { before: None, .. } => {}
            Way::Replaced { before: Some(before), .. } => *value = before.clone(),
        }
    }

    fn redo(&self, value: &mut Arc<TopicValue>) {
        match &self.way {
            Way::Changed { redo, .. } => apply(redo, value),
            Way::Replaced { after, .. } => *value = after.clone(),
        }
    }

    fn update(&self, value: Arc<TopicValue>) -> RawUpdate {
        RawUpdate { value, changes: self.changes.clone(), meta: self.meta }
    }

    fn is_event(&self) -> bool {
        matches!(*self.changes, [Change::Event(_), ..])
    }
}

fn apply(changes: &[Change], value: &mut Arc<TopicValue>) {
    for change in changes {
        let applied = Arc::make_mut(value).apply(change, &Limits::unlimited());
        debug_assert!(applied.is_ok(), "what was applied once applies again: {applied:?}");
    }
}

/// A reader's place.
#[derive(Clone, Debug)]
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
        let kept = step.is_event();
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
    pub(crate) fn is_due(&self, value: Option<&Arc<TopicValue>>) -> bool {
        let snapshot = self.fresh && value.is_some_and(|value| !matches!(**value, TopicValue::Event));
        snapshot || !self.queue.is_empty()
    }

    pub(crate) fn next(&mut self, now: Option<&Arc<TopicValue>>, position: Sequence) -> Option<RawUpdate> {
        let now = now?;
        if std::mem::take(&mut self.fresh) && !matches!(**now, TopicValue::Event) {
            let skipped = std::mem::take(&mut self.skipped);
            let meta = Meta { sequence: position, by: ClientId::SERVER, mine: false, cause: Cause::Snapshot, skipped };
            return Some(RawUpdate { value: now.clone(), changes: Arc::new([]), meta });
        }
        let step = self.queue.pop_front()?;
        let value = if self.queue.is_empty() {
            self.view = None;
            now.clone()
        } else {
            let value = match self.view.take() {
                Some(mut value) => {
                    step.redo(&mut value);
                    value
                }
                None => {
                    let mut value = now.clone();
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

    /// Passes over what the reader has not seen yet; returns how many updates that were.
    pub(crate) fn skip(&mut self, value: Option<&Arc<TopicValue>>) {
        if matches!(value.map(|value| &**value), Some(TopicValue::Event)) || self.queue.len() < 2 {
            return;
        }
        self.skipped += self.queue.len() as u64;
        self.queue = VecDeque::new();
        self.view = None;
        self.fresh = true;
    }
}
