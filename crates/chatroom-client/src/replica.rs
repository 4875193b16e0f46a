//! What this client knows of each topic: the value that the room confirmed.
//!
//! Pure: a message of the server goes in, [`Note`]s and subscription messages come out; no task,
//! clock or randomness. The values are `chatroom-protocol`'s, and so is the one way to change them.
//!
//! Per topic and connection at most one `subscribe` is unanswered, so an answer always belongs to
//! the flow that asked, whatever was released and opened again meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chatroom_protocol::change::{ListChange, RawChange, StringChange};
use chatroom_protocol::heard::HeardPart;
use chatroom_protocol::reply::Place;
use chatroom_protocol::{
    Change, ChangeId, ClientId, Code, Limits, Refusal, Sequence, TopicName, TopicType, TopicValue,
};
use serde_json::value::RawValue;

use crate::cursor::{Cause, Cursor, Meta, RawUpdate, Step};
use crate::error::ErrorCode;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;

/// Where a topic stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The value was asked for.
    Loading,
    /// The value is the room's, up to what is on its way.
    Live,
    /// The connection is down; the last value is kept.
    Stale,
    /// The server refused the subscription. It is asked again after a reconnect, or when the topic
    /// is opened again.
    Denied {
        /// Why, for a program.
        code: ErrorCode,
        /// Why, for a person.
        reason: String,
    },
    /// The topic was deleted. Opening it again makes it anew.
    Removed,
}

/// What the rest of the client has to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Readers of the topic have something to read.
    Stepped(TopicName),
    /// The topic has another status.
    Status(TopicName),
    /// What arrived does not follow from what is known; the value is asked for again.
    Gap(TopicName, String),
}

/// A message about a subscription, to be sent in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    Subscribe(TopicName, Option<TopicType>),
    Unsubscribe(TopicName),
}

/// What the server was told about a topic on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// Nothing, or to end the subscription.
    Absent,
    /// A `subscribe` with that type is unanswered.
    Asked(Option<TopicType>),
    /// It sends changes.
    Live,
    /// It refused a `subscribe` with that type.
    Refused(Option<TopicType>),
    /// It deleted the topic.
    Gone,
}

pub(crate) type CursorId = u64;

/// One topic as this client sees it.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Mirror {
    wanted: bool,
    /// The type that a handle named.
    declared: Option<TopicType>,
    /// The type that the topic has, as far as is known.
    kind: Option<TopicType>,
    wire: Wire,
    /// Whether the value has to be asked for again.
    doubted: bool,
    status: Status,
    value: Option<Arc<TopicValue>>,
    /// The last place in the room's order that the value is known to include.
    position: Sequence,
    cursors: BTreeMap<CursorId, Cursor>,
    /// What own unconfirmed changes will do to the length of a list or text, in order.
    lengths: VecDeque<(ChangeId, Length)>,
}

/// What a change does to a length.
#[derive(Clone, Copy, Debug)]
enum Length {
    By(isize),
    To(usize),
}

/// One part of an own action.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Part {
    pub(crate) topic: TopicName,
    pub(crate) change: Box<RawValue>,
}

/// All topics that somebody holds, and the own actions that the room has not answered.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Replica {
    me: Option<ClientId>,
    mirrors: BTreeMap<TopicName, Mirror>,
    dirty: BTreeSet<TopicName>,
    /// Subscribed, but of no use to this client.
    unreadable: Vec<TopicName>,
    pending: BTreeMap<ChangeId, Vec<Part>>,
    notes: Vec<Note>,
    next_cursor: CursorId,
    gaps: u64,
}

/// Opening and releasing.
impl Replica {
    /// Wants a topic; `kind` is `None` for whatever type it has.
    ///
    /// # Errors
    /// `type_mismatch` if this client knows it under another type.
    pub(crate) fn open(&mut self, name: &TopicName, kind: Option<TopicType>) -> Result<(), Refusal> {
        let mirror = self.mirrors.entry(name.clone()).or_insert_with(|| Mirror {
            wanted: false,
            declared: None,
            kind: None,
            wire: Wire::Absent,
            doubted: false,
            status: Status::Loading,
            value: None,
            position: Sequence::default(),
            cursors: BTreeMap::new(),
            lengths: VecDeque::new(),
        });
        match (kind, mirror.kind) {
            (Some(asked), Some(known)) if asked != known && mirror.wanted => {
                return Err(Refusal::new(
                    Code::TypeMismatch,
                    format!("this client has the topic {name} open with the type {known}, not {asked}"),
                ));
            }
            // The flow under the other type ends first.
            (Some(asked), Some(known)) if asked != known => {
                (mirror.declared, mirror.kind, mirror.value) = (kind, kind, None);
                mirror.doubted = true;
                mirror.status = Status::Loading;
                self.notes.push(Note::Status(name.clone()));
            }
            (Some(_), _) => (mirror.declared, mirror.kind) = (kind, kind),
            (None, _) => {}
        }
        mirror.wanted = true;
        if matches!(mirror.wire, Wire::Refused(_) | Wire::Gone) {
            mirror.wire = Wire::Absent;
            mirror.status = Status::Loading;
            mirror.value = None;
            self.notes.push(Note::Status(name.clone()));
        }
        self.dirty.insert(name.clone());
        Ok(())
    }

    /// Wants a topic no more.
    pub(crate) fn release(&mut self, name: &TopicName) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.wanted = false;
            mirror.declared = None;
            mirror.cursors.clear();
            self.dirty.insert(name.clone());
        }
        if self.me.is_none() {
            self.asking();
        }
    }

    /// What has to be sent, once there is a connection; a topic that nobody wants is forgotten here.
    pub(crate) fn asking(&mut self) -> Vec<Asking> {
        let mut asking: Vec<_> = std::mem::take(&mut self.unreadable).into_iter().map(Asking::Unsubscribe).collect();
        for name in std::mem::take(&mut self.dirty) {
            let Some(mirror) = self.mirrors.get_mut(&name) else {
                continue;
            };
            let online = self.me.is_some();
            let retyped = matches!(mirror.wire, Wire::Refused(asked) if asked != mirror.declared);
            match mirror.wire {
                Wire::Live if online && (!mirror.wanted || mirror.doubted) => {
                    asking.push(Asking::Unsubscribe(name.clone()));
                    mirror.wire = Wire::Absent;
                }
                Wire::Refused(_) if retyped => mirror.wire = Wire::Absent,
                _ => {}
            }
            if mirror.wanted && mirror.wire == Wire::Absent && online {
                mirror.doubted = false;
                mirror.wire = Wire::Asked(mirror.declared);
                asking.push(Asking::Subscribe(name.clone(), mirror.declared));
            }
            if !mirror.wanted && !matches!(mirror.wire, Wire::Live | Wire::Asked(_)) {
                self.mirrors.remove(&name);
            }
        }
        asking
    }

    /// The connection is up: everything wanted is asked for.
    pub(crate) fn connected(&mut self, me: ClientId) {
        self.me = Some(me);
        self.dirty.extend(self.mirrors.keys().cloned());
    }

    /// The connection is gone, and every subscription with it. Values stay.
    pub(crate) fn disconnected(&mut self) {
        self.me = None;
        self.unreadable.clear();
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
}

/// What the server says.
impl Replica {
    pub(crate) fn subscribed(&mut self, name: &TopicName, kind: TopicType, value: &RawValue, sequence: Sequence) {
        let Some(mirror) = self.mirrors.get_mut(name) else {
            return;
        };
        let mismatch = mirror.declared.is_some_and(|declared| declared != kind);
        match mirror.wire {
            // What the subscription before this one still had to say.
            Wire::Asked(asked) if mismatch && asked == mirror.declared => return,
            Wire::Asked(_) | Wire::Live => mirror.wire = Wire::Live,
            _ => return,
        }
        self.dirty.insert(name.clone());
        mirror.doubted = mismatch;
        if mismatch {
            return;
        }
        let value = match TopicValue::read(kind, value.get()) {
            Ok(value) => value,
            Err(refusal) => {
                self.unreadable.push(name.clone());
                return self.deny(name, refusal.code.into(), &refusal.reason);
            }
        };
        mirror.kind = Some(kind);
        mirror.position = sequence;
        if mirror.status != Status::Live {
            mirror.status = Status::Live;
            self.notes.push(Note::Status(name.clone()));
        }
        if mirror.value.as_deref() == Some(&value) {
            return;
        }
        let after = Arc::new(value);
        let before = mirror.value.replace(after.clone());
        if kind != TopicType::Event {
            let meta = Meta { sequence, by: ClientId::SERVER, mine: false, cause: Cause::Snapshot, skipped: 0 };
            mirror.tell(&Arc::new(Step::Replaced { before, after, meta }));
        }
        self.notes.push(Note::Stepped(name.clone()));
    }

    /// The server refused a subscription, or ended one.
    pub(crate) fn refused(&mut self, name: &TopicName, code: ErrorCode, reason: &str) {
        let Some(mirror) = self.mirrors.get_mut(name) else {
            return;
        };
        let deleted = code == Code::TopicDeleted;
        match mirror.wire {
            // The answer to an earlier life: a `subscribe` is never refused with this code.
            Wire::Asked(_) if deleted => {}
            Wire::Live if deleted => {
                mirror.wire = Wire::Gone;
                mirror.status = Status::Removed;
                self.notes.push(Note::Status(name.clone()));
                self.dirty.insert(name.clone());
            }
            Wire::Asked(asked) if asked != mirror.declared || !mirror.wanted => {
                mirror.wire = Wire::Absent;
                self.dirty.insert(name.clone());
            }
            Wire::Asked(_) => self.deny(name, code, reason),
            _ => {}
        }
    }

    fn deny(&mut self, name: &TopicName, code: ErrorCode, reason: &str) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.wire = Wire::Refused(mirror.declared);
            mirror.status = Status::Denied { code, reason: reason.to_owned() };
            self.notes.push(Note::Status(name.clone()));
            self.dirty.insert(name.clone());
        }
    }

    pub(crate) fn update(&mut self, name: &TopicName, change: &RawValue, place: Place) {
        let Some(mirror) = self.mirrors.get_mut(name) else {
            return;
        };
        if let Err(gap) = mirror.follow(change, place.previous, place.sequence, place.by, false) {
            return self.doubt(name, gap);
        }
        self.notes.push(Note::Stepped(name.clone()));
    }

    pub(crate) fn action(&mut self, sequence: Sequence, by: ClientId, parts: &[HeardPart<'_>]) {
        let mut seen: BTreeMap<&TopicName, Sequence> = BTreeMap::new();
        for HeardPart { topic_name: name, change, previous } in parts {
            let Some(mirror) = self.mirrors.get_mut(name) else {
                continue;
            };
            // Several parts may change one topic: they share one place in the order.
            let before = *seen.entry(name).or_insert(mirror.position);
            if before >= sequence {
                continue;
            }
            mirror.position = before;
            if let Err(gap) = mirror.follow(change, *previous, sequence, by, false) {
                self.doubt(name, gap);
                continue;
            }
            self.notes.push(Note::Stepped(name.clone()));
        }
    }

    fn doubt(&mut self, name: &TopicName, why: String) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.doubted = true;
            self.gaps += 1;
            self.dirty.insert(name.clone());
            self.notes.push(Note::Gap(name.clone(), why));
        }
    }
}

impl Mirror {
    /// Moves the value on by one change of the room.
    fn follow(
        &mut self,
        change: &RawValue,
        previous: Sequence,
        sequence: Sequence,
        by: ClientId,
        mine: bool,
    ) -> Result<(), String> {
        let (Wire::Live, false, Some(kind), Some(value)) = (self.wire, self.doubted, self.kind, &mut self.value) else {
            return Ok(());
        };
        if sequence <= self.position {
            return Ok(());
        }
        if previous > self.position {
            return Err(format!("a change after {}, but this client stands at {}", previous.0, self.position.0));
        }
        let applied = RawChange::parse(change).and_then(|raw| raw.decode_committed(kind, by)).and_then(|change| {
            let inverse = Arc::make_mut(value).apply(&change, &Limits::unlimited())?;
            Ok((Arc::new(change), inverse))
        });
        let (change, inverse) = applied.map_err(|refusal| format!("a change that does not apply: {refusal}"))?;
        self.position = sequence;
        let meta = Meta { sequence, by, mine, cause: Cause::Change, skipped: 0 };
        self.tell(&Arc::new(Step::Changed { change, inverse, meta }));
        Ok(())
    }

    fn tell(&mut self, step: &Arc<Step>) {
        self.cursors.values_mut().for_each(|cursor| cursor.push(step));
    }

    /// How long the list or text will be when the room has answered all own changes.
    fn length(&self) -> Option<usize> {
        let confirmed = length_of(self.value.as_deref()?)?;
        Some(self.lengths.iter().fold(confirmed, |length, (_, effect)| effect.on(length)))
    }
}

/// Own actions.
impl Replica {
    /// Checks a change as the server would and prepares to apply it when it is accepted.
    ///
    /// # Errors
    /// What the server would say.
    pub(crate) fn check(&self, name: &TopicName, change: &RawValue, limits: &Limits) -> Result<(), Refusal> {
        let raw = RawChange::parse(change)?;
        let Some(mirror) = self.mirrors.get(name) else {
            return Ok(());
        };
        let Some(kind) = mirror.kind else {
            return Ok(());
        };
        let change = raw.decode(kind, self.me.unwrap_or(ClientId::SERVER), limits)?;
        match mirror.length() {
            Some(length) => within(&change, length, limits),
            None => Ok(()),
        }
    }

    /// Takes an own action in: it is applied when the room says so.
    pub(crate) fn begin(&mut self, id: &ChangeId, parts: Vec<Part>) {
        for part in &parts {
            let Some(mirror) = self.mirrors.get_mut(&part.topic) else {
                continue;
            };
            let (Some(kind @ (TopicType::List | TopicType::String)), true) = (mirror.kind, mirror.value.is_some())
            else {
                continue;
            };
            let change =
                RawChange::parse(&part.change).and_then(|raw| raw.decode(kind, ClientId::SERVER, &Limits::unlimited()));
            if let Ok(change) = change {
                mirror.lengths.push_back((id.clone(), Length::after(&change)));
            }
        }
        self.pending.insert(id.clone(), parts);
    }

    /// The room accepted an own action: it has its place in the order here.
    pub(crate) fn accepted(&mut self, id: &ChangeId, sequence: Sequence) {
        let parts = self.forget(id);
        let me = self.me.unwrap_or(ClientId::SERVER);
        let mut seen: BTreeMap<&TopicName, Sequence> = BTreeMap::new();
        for part in &parts {
            let Some(mirror) = self.mirrors.get_mut(&part.topic) else {
                continue;
            };
            let before = *seen.entry(&part.topic).or_insert(mirror.position);
            if before >= sequence {
                continue;
            }
            mirror.position = before;
            match mirror.follow(&part.change, before, sequence, me, true) {
                Ok(()) => self.notes.push(Note::Stepped(part.topic.clone())),
                Err(gap) => self.doubt(&part.topic, gap),
            }
        }
    }

    /// The action had another end than [`Replica::accepted`].
    pub(crate) fn forget(&mut self, id: &ChangeId) -> Vec<Part> {
        let parts = self.pending.remove(id).unwrap_or_default();
        for part in &parts {
            if let Some(mirror) = self.mirrors.get_mut(&part.topic) {
                mirror.lengths.retain(|(other, _)| other != id);
            }
        }
        parts
    }

    /// An own change that has no outcome yet.
    pub(crate) fn part(&self, id: &ChangeId, topic: &TopicName) -> Option<&RawValue> {
        self.pending.get(id)?.iter().rfind(|part| part.topic == *topic).map(|part| &*part.change)
    }

    /// How long a list or text will be when the room has answered all own changes; `None` before
    /// it is loaded.
    pub(crate) fn length(&self, name: &TopicName) -> Option<usize> {
        self.mirrors.get(name)?.length()
    }
}

/// Reading.
impl Replica {
    pub(crate) fn me(&self) -> Option<ClientId> {
        self.me
    }

    pub(crate) fn value(&self, name: &TopicName) -> Option<Arc<TopicValue>> {
        self.mirrors.get(name)?.value.clone()
    }

    pub(crate) fn kind(&self, name: &TopicName) -> Option<TopicType> {
        self.mirrors.get(name)?.kind
    }

    pub(crate) fn status(&self, name: &TopicName) -> Status {
        self.mirrors.get(name).map_or(Status::Loading, |mirror| mirror.status.clone())
    }

    pub(crate) fn gaps(&self) -> u64 {
        self.gaps
    }

    pub(crate) fn len(&self) -> usize {
        self.mirrors.len()
    }

    /// How many readers there are.
    pub(crate) fn readers(&self) -> usize {
        self.mirrors.values().map(|mirror| mirror.cursors.len()).sum()
    }

    /// Starts to read a topic: its value first, then its changes.
    pub(crate) fn follow(&mut self, name: &TopicName) -> CursorId {
        self.next_cursor += 1;
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.cursors.insert(self.next_cursor, Cursor::new());
            self.notes.push(Note::Stepped(name.clone()));
        }
        self.next_cursor
    }

    pub(crate) fn unfollow(&mut self, name: &TopicName, cursor: CursorId) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            mirror.cursors.remove(&cursor);
        }
    }

    pub(crate) fn next(&mut self, name: &TopicName, cursor: CursorId) -> Option<RawUpdate> {
        let mirror = self.mirrors.get_mut(name)?;
        mirror.cursors.get_mut(&cursor)?.next(mirror.value.as_ref(), mirror.position)
    }

    /// The value as a reader that begins now gets it.
    pub(crate) fn current(&self, name: &TopicName) -> Option<RawUpdate> {
        let mirror = self.mirrors.get(name)?;
        Cursor::new().next(mirror.value.as_ref(), mirror.position)
    }

    pub(crate) fn is_due(&self, name: &TopicName, cursor: CursorId) -> bool {
        self.mirrors.get(name).is_some_and(|mirror| {
            mirror.cursors.get(&cursor).is_some_and(|cursor| cursor.is_due(mirror.value.as_ref()))
        })
    }

    pub(crate) fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

impl Length {
    fn after(change: &Change) -> Self {
        let signed = |count: usize| isize::try_from(count).unwrap_or(isize::MAX);
        match change {
            Change::List(ListChange::Set(items)) => Self::To(items.len()),
            Change::List(ListChange::Insert { .. }) => Self::By(1),
            Change::List(ListChange::Pop { .. }) => Self::By(-1),
            Change::String(StringChange::Set(text)) => Self::To(text.chars().count()),
            Change::String(edit) => {
                let (inserted, deleted, _) = extent(edit);
                Self::By(signed(inserted) - signed(deleted))
            }
            _ => Self::By(0),
        }
    }

    fn on(self, length: usize) -> usize {
        match self {
            Self::By(difference) => length.saturating_add_signed(difference),
            Self::To(length) => length,
        }
    }
}

fn length_of(value: &TopicValue) -> Option<usize> {
    match value {
        TopicValue::List(items) => Some(items.len()),
        TopicValue::String(text) => Some(text.scalars()),
        _ => None,
    }
}

/// How much an edit inserts, deletes, and walks over.
fn extent(edit: &StringChange) -> (usize, usize, usize) {
    use chatroom_protocol::change::Component;
    edit.components().iter().fold((0, 0, 0), |(inserted, deleted, walked), component| match component {
        Component::Insert(text) => (inserted + text.chars().count(), deleted, walked),
        Component::Delete(count) => (inserted, deleted + count, walked.saturating_add(*count)),
        Component::Retain(count) => (inserted, deleted, walked.saturating_add(*count)),
    })
}

/// The refusals that follow from a length alone, in the server's words.
fn within(change: &Change, length: usize, limits: &Limits) -> Result<(), Refusal> {
    let past = |position: usize, what: &str| {
        Err(Refusal::new(Code::OutOfRange, format!("position {position} is past the end of a {what} of {length}")))
    };
    let fits = |after: usize, most: usize, what: &str| match after > most {
        true => Err(Refusal::new(Code::TooBig, format!("a {what} has at most {most}, this would have {after}"))),
        false => Ok(()),
    };
    match change {
        Change::List(ListChange::Insert { position, .. }) if *position > length => past(*position, "list"),
        Change::List(ListChange::Pop { position } | ListChange::SetItem { position, .. }) if *position >= length => {
            past(*position, "list")
        }
        Change::List(ListChange::Move { from, to }) if *from.max(to) >= length => past(*from.max(to), "list"),
        Change::List(_) => fits(Length::after(change).on(length), limits.items, "list"),
        Change::String(edit) => {
            let (_, _, walked) = extent(edit);
            if walked > length {
                return past(walked, "text");
            }
            fits(Length::after(change).on(length), limits.text_scalars, "text")
        }
        _ => Ok(()),
    }
}
