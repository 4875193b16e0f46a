//! All topics that somebody holds, and the session they belong to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chatroom_protocol::message::Session;
use chatroom_protocol::{
    Change, ClientId, Code, Limits, Sequence, TopicName, TopicType, TopicValue, change::PresenceChange,
};
use serde_json::Value;

use crate::cursor::{Cause, Cursor, RawUpdate};
use crate::difference::leads;
use crate::mirror::{Mirror, Resuming, Status, Wire};
use crate::outcome::{Outcome, Refused};
use crate::own::{ActionId, Nature, Pending, Waiting};
use crate::undo::{Direction, History};

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;

/// What the rest of the client has to hear of.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Readers of the topic have something to read.
    Stepped(TopicName),
    /// The topic has another status.
    Status(TopicName),
    /// What arrived does not follow from what is known; the value is asked for again.
    Gap(TopicName, String),
    /// An own action has its outcome.
    Settled(ActionId, Outcome),
    /// Whether there is something to undo or redo may be another.
    History,
}

/// A message about a subscription, to be sent in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Ask for a topic.
    Subscribe(TopicName, Option<TopicType>),
    /// End a subscription.
    Unsubscribe(TopicName),
}

/// A reader of a topic.
pub type CursorId = u64;

/// What a client says in its hello to go on with its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The session.
    pub session: Session,
    /// The last own action whose outcome is known.
    pub acknowledged: u64,
    /// The topics that are held, and up to where each is known.
    pub topics: Vec<(TopicName, TopicType, Sequence)>,
}

/// The server's hello, as far as topics are concerned.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The client's id.
    pub id: ClientId,
    /// What to come back with.
    pub session: Option<Session>,
    /// Whether the session goes on: what was missed follows, and then `resumed`.
    pub goes_on: bool,
    /// What the server takes.
    pub limits: Limits,
}

/// What this client knows of its room.
#[derive(Clone, Debug, Default)]
pub struct Replica {
    /// The id on this connection, or on the last one.
    pub(crate) client: Option<ClientId>,
    pub(crate) online: bool,
    pub(crate) session: Option<Session>,
    pub(crate) limits: Limits,
    pub(crate) mirrors: BTreeMap<TopicName, Mirror>,
    pub(crate) dirty: BTreeSet<TopicName>,
    /// Subscribed, but of no use to this client.
    pub(crate) unreadable: Vec<TopicName>,
    /// Own actions without an outcome, in their order.
    pub(crate) actions: VecDeque<Pending>,
    /// How many of them are on their way, from the first on.
    pub(crate) sent: usize,
    /// The number of the last action whose outcome is known.
    pub(crate) acknowledged: u64,
    /// Whether texts and lists are sent on without waiting for what is on its way.
    pub(crate) pipelined: bool,
    pub(crate) waiting: VecDeque<Waiting>,
    /// How many actions joined pending ones.
    pub(crate) joined: usize,
    pub(crate) next_action: u64,
    pub(crate) history: History,
    /// The topics named in the hello; `Some` until the server has said all that was missed.
    pub(crate) resuming: Option<BTreeSet<TopicName>>,
    pub(crate) notes: Vec<Note>,
    pub(crate) next_cursor: CursorId,
    pub(crate) gaps: u64,
}

/// The connection.
impl Replica {
    /// Sends every action at once, also on a text or list that an action on its way touches: less
    /// delay, more and smaller messages (M26).
    pub fn pipeline(&mut self, pipelined: bool) {
        self.pipelined = pipelined;
    }

    /// What to say in the hello of the next connection; `None` if there is nothing to go on with.
    pub fn resume(&mut self) -> Option<Resume> {
        let session = self.session.clone()?;
        let held = self.mirrors.iter().filter(|(_, mirror)| mirror.wanted && mirror.wire != Wire::Gone);
        let topics: Vec<_> = held
            .filter(|(_, mirror)| mirror.value.is_some() && !mirror.outdated)
            .filter(|(_, mirror)| matches!(mirror.status, Status::Live | Status::Stale))
            .filter_map(|(name, mirror)| Some((name.clone(), mirror.kind?, mirror.position)))
            .collect();
        self.resuming = Some(topics.iter().map(|(name, ..)| name.clone()).collect());
        Some(Resume { session, acknowledged: self.acknowledged, topics })
    }

    /// The connection is up.
    pub fn connected(&mut self, greeting: Greeting) {
        let Greeting { id, session, goes_on, limits } = greeting;
        self.limits = limits;
        self.online = true;
        let known = self.client.replace(id);
        self.dirty.extend(self.mirrors.keys().cloned());
        if goes_on && self.session.is_some() {
            self.session = session.or(self.session.take());
            let named = self.resuming.get_or_insert_default().clone();
            for name in named {
                match self.mirrors.get_mut(&name) {
                    Some(mirror) if mirror.wanted && mirror.value.is_some() && mirror.wire == Wire::Absent => {
                        mirror.wire = Wire::Live;
                        let before = mirror.value.clone().filter(|_| !mirror.cursors.is_empty());
                        mirror.resuming = Some(Resuming { before, ..Resuming::default() });
                    }
                    // Given up meanwhile, or opened anew.
                    _ => self.unreadable.push(name),
                }
            }
            return;
        }
        self.resuming = None;
        self.session = session;
        if known.is_some() {
            self.reset();
        }
        if known != Some(id) {
            self.rename(id);
        }
    }

    /// The session is another one: what was on its way has no outcome that anybody knows (M33).
    fn reset(&mut self) {
        let lost: Vec<Pending> = self.actions.iter().take(std::mem::take(&mut self.sent)).cloned().collect();
        self.history.clear();
        let mut outcomes = Vec::new();
        for action in lost.into_iter().rev() {
            self.actions.retain(|other| other.id != action.id);
            let (topic_name, change) = self.first_part(&action);
            self.give_up(&action);
            let reason = "the connection was lost before the outcome was known, and the server does not know this client any more";
            let refused = Refused {
                maybe_executed: true,
                ..crate::own::refused(Code::ConnectionLost, reason.into(), topic_name, change)
            };
            outcomes.push((action, Outcome::Refused(refused)));
        }
        for (action, outcome) in outcomes.into_iter().rev() {
            self.settle_all(&action, &outcome);
        }
        self.acknowledged = 0;
        for mirror in self.mirrors.values_mut() {
            mirror.outdated = mirror.value.is_some();
        }
    }

    /// The own presence entries belong to another id now.
    fn rename(&mut self, id: ClientId) {
        for mirror in self.mirrors.values_mut() {
            for own in &mut mirror.own {
                if let Some(Change::Presence(change)) = &mut own.change {
                    match change {
                        PresenceChange::Put(owner, _) | PresenceChange::Pop(owner) => *owner = id,
                    }
                }
            }
        }
    }

    /// The server has said all that was missed (M31, M32).
    pub fn resumed(&mut self) {
        if self.resuming.take().is_none() {
            return;
        }
        self.sent = 0;
        // What was not received, and was made on a text or list that had to be given anew, is lost.
        let own = self.mirrors.values().flat_map(|mirror| &mirror.own);
        let lost: Vec<ActionId> = own.filter(|own| own.lost).map(|own| own.action).collect();
        self.lose(&lost);
        let names: Vec<TopicName> = self.mirrors.keys().cloned().collect();
        for name in names {
            self.end_resuming(&name, Status::Live);
        }
        self.settle_waiting();
        self.go_on_undoing();
    }

    /// Puts the own changes back on top of a topic, and tells what has happened to it since it was
    /// asked for.
    fn end_resuming(&mut self, name: &TopicName, status: Status) {
        let Some(mirror) = self.mirrors.get_mut(name) else {
            return;
        };
        let Some(resuming) = mirror.resuming.take() else {
            return;
        };
        if mirror.status != status {
            mirror.status = status;
            self.notes.push(Note::Status(name.clone()));
        }
        let same = resuming.replaced && resuming.before.is_some() && resuming.before == mirror.value;
        if (resuming.changes.is_empty() && !resuming.replaced) || same {
            return;
        }
        let exact = || match (&resuming.before, &mirror.value) {
            (Some(before), Some(value)) => leads(before, &resuming.changes, value),
            _ => true,
        };
        let (cause, changes) = match !resuming.replaced && (mirror.kind == Some(TopicType::Event) || exact()) {
            true => (Cause::Remote, resuming.changes),
            false => (Cause::Snapshot, Vec::new()),
        };
        let meta = mirror.meta(resuming.by.0, false, cause);
        mirror.tell_replaced(resuming.before, changes, meta);
        self.notes.push(Note::Stepped(name.clone()));
    }

    /// Refuses actions whose place in a text or list is not known any more (M34).
    pub(crate) fn lose(&mut self, lost: &[ActionId]) {
        let lost: BTreeSet<ActionId> = lost.iter().copied().collect();
        let mut outcomes = Vec::new();
        // The youngest first: what stands behind an action is not moved for nothing.
        for id in lost.into_iter().rev() {
            let Some(place) = self.actions.iter().position(|action| action.id == id) else {
                continue;
            };
            let Some(action) = self.actions.remove(place) else {
                continue;
            };
            let (topic_name, change) = self.first_part(&action);
            self.give_up(&action);
            let reason = "the text or list came anew, and where this belongs in it is not known any more";
            let refused = crate::own::refused(Code::StaleBase, reason.into(), topic_name, change);
            outcomes.push((action, Outcome::Refused(refused)));
        }
        for (action, outcome) in outcomes.into_iter().rev() {
            self.settle_all(&action, &outcome);
        }
    }

    pub(crate) fn first_part(&self, action: &Pending) -> (String, Value) {
        let Some(name) = action.topics.first() else {
            return Default::default();
        };
        let own = self.mirrors.get(name).and_then(|mirror| mirror.own.iter().find(|own| own.action == action.id));
        let change = own.and_then(|own| own.change.as_ref()).and_then(|change| serde_json::to_value(change).ok());
        (name.to_string(), change.unwrap_or_default())
    }

    /// The connection is gone, and every subscription with it. Values stay.
    pub fn disconnected(&mut self) {
        self.online = false;
        self.resuming = None;
        self.unreadable.clear();
        let names: Vec<TopicName> = self.mirrors.keys().cloned().collect();
        for name in &names {
            self.end_resuming(name, Status::Stale);
        }
        for (name, mirror) in &mut self.mirrors {
            mirror.doubted = false;
            if mirror.wire != Wire::Gone {
                mirror.wire = Wire::Absent;
            }
            if mirror.status == Status::Live {
                mirror.status = Status::Stale;
                self.notes.push(Note::Status(name.clone()));
            }
            self.dirty.insert(name.clone());
        }
        self.asking();
    }

    /// Ends everything: whatever has no outcome is refused with this code.
    pub fn close(&mut self, code: Code, reason: &str) {
        self.disconnected();
        let sent = self.sent;
        for (place, action) in std::mem::take(&mut self.actions).into_iter().enumerate() {
            let (topic_name, change) = self.first_part(&action);
            let refused = Refused {
                maybe_executed: place < sent,
                retryable: false,
                ..crate::own::refused(code, reason.to_owned(), topic_name, change)
            };
            self.settle_all(&action, &Outcome::Refused(refused));
        }
        for id in std::mem::take(&mut self.waiting).iter().map(Waiting::id) {
            let refused = crate::own::refused(code, reason.to_owned(), String::new(), Value::Null);
            self.settle(id, Outcome::Refused(refused));
        }
    }

    pub(crate) fn mirror(&mut self, name: &TopicName) -> &mut Mirror {
        self.mirrors.entry(name.clone()).or_insert_with(Mirror::new)
    }

    pub(crate) fn doubt(&mut self, name: &TopicName, why: String) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.doubted = true;
            self.gaps += 1;
            self.dirty.insert(name.clone());
            self.notes.push(Note::Gap(name.clone(), why));
        }
    }
}

/// Reading.
impl Replica {
    /// This client's id, while there is a connection.
    #[must_use]
    pub fn id(&self) -> Option<ClientId> {
        self.client.filter(|_| self.online)
    }

    /// Whether what was missed is still being put in place.
    #[must_use]
    pub fn is_resuming(&self) -> bool {
        self.online && self.resuming.is_some()
    }

    /// The limits of the server.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The confirmed value with the own changes on top.
    #[must_use]
    pub fn value(&self, name: &TopicName) -> Option<Arc<TopicValue>> {
        self.mirrors.get(name)?.value.clone()
    }

    /// The value as the room has it, up to what is on its way.
    #[must_use]
    pub fn confirmed(&self, name: &TopicName) -> Option<Arc<TopicValue>> {
        self.mirrors.get(name)?.confirmed()
    }

    /// The type of a topic, as far as it is known.
    #[must_use]
    pub fn kind(&self, name: &TopicName) -> Option<TopicType> {
        self.mirrors.get(name)?.kind
    }

    /// Up to where the confirmed value of a topic is known.
    #[must_use]
    pub fn position(&self, name: &TopicName) -> Option<Sequence> {
        Some(self.mirrors.get(name)?.position)
    }

    /// Where a topic stands.
    #[must_use]
    pub fn status(&self, name: &TopicName) -> Status {
        self.mirrors.get(name).map_or(Status::Loading, |mirror| mirror.status.clone())
    }

    /// How often something was missing.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// How many topics are known.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a count for leak tests, not a collection")]
    pub fn len(&self) -> usize {
        self.mirrors.len()
    }

    /// How many readers there are.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.mirrors.values().map(|mirror| mirror.cursors.len()).sum()
    }

    /// Whether an own action on this topic has no outcome yet.
    #[must_use]
    pub fn has_pending(&self, name: &TopicName) -> bool {
        self.mirrors.get(name).is_some_and(|mirror| !mirror.own.is_empty())
            || self.waiting.iter().any(|waiting| waiting.touches(name))
    }

    /// This client's entry in a presence topic, with its own pending changes: `Some(None)` if it takes
    /// it out, `None` if nothing is known.
    #[must_use]
    pub fn own_entry(&self, name: &TopicName) -> Option<Option<Value>> {
        let mirror = self.mirrors.get(name)?;
        let pending = mirror.own.iter().rev().find_map(|own| match &own.change {
            Some(Change::Presence(PresenceChange::Put(_, value))) => Some(Some(value.clone())),
            Some(Change::Presence(PresenceChange::Pop(_))) => Some(None),
            _ => None,
        });
        pending.or_else(|| match mirror.value.as_deref()? {
            TopicValue::Presence(entries) => Some(entries.get(&self.me()).cloned()),
            _ => None,
        })
    }

    /// Starts to read a topic: its value first, then its changes.
    pub fn follow(&mut self, name: &TopicName) -> CursorId {
        self.next_cursor += 1;
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.cursors.insert(self.next_cursor, Cursor::new());
            self.notes.push(Note::Stepped(name.clone()));
        }
        self.next_cursor
    }

    /// Ends reading.
    pub fn unfollow(&mut self, name: &TopicName, cursor: CursorId) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.cursors.remove(&cursor);
        }
    }

    /// The next update for a reader.
    pub fn next(&mut self, name: &TopicName, cursor: CursorId) -> Option<RawUpdate> {
        let mirror = self.mirrors.get_mut(name)?;
        mirror.cursors.get_mut(&cursor)?.next(mirror.value.as_ref(), mirror.position)
    }

    /// Lets a reader go on with the newest value, if it is behind.
    pub fn skip(&mut self, name: &TopicName, cursor: CursorId) {
        if let Some(mirror) = self.mirrors.get_mut(name)
            && let Some(cursor) = mirror.cursors.get_mut(&cursor)
        {
            cursor.skip(mirror.value.as_ref());
        }
    }

    /// The value as a reader that begins now gets it.
    #[must_use]
    pub fn current(&self, name: &TopicName) -> Option<RawUpdate> {
        let mirror = self.mirrors.get(name)?;
        Cursor::new().next(mirror.value.as_ref(), mirror.position)
    }

    /// Whether [`Replica::next`] has something to give.
    #[must_use]
    pub fn is_due(&self, name: &TopicName, cursor: CursorId) -> bool {
        self.mirrors.get(name).is_some_and(|mirror| {
            mirror.cursors.get(&cursor).is_some_and(|cursor| cursor.is_due(mirror.value.as_ref()))
        })
    }

    /// Takes what there is to tell.
    pub fn notes(&mut self) -> Vec<Note> {
        if std::mem::take(&mut self.history.touched) {
            self.notes.push(Note::History);
        }
        std::mem::take(&mut self.notes)
    }

    /// The id of the last pending undo or redo; all of them stand at the head of the line.
    pub(crate) fn last_undo(&self) -> Option<(Direction, ActionId)> {
        let undo = |action: &&Pending| matches!(action.nature, Nature::TakenFrom(_));
        self.actions.iter().take_while(undo).last().and_then(|action| match action.nature {
            Nature::TakenFrom(direction) => Some((direction, action.id)),
            Nature::Made { .. } => None,
        })
    }
}
