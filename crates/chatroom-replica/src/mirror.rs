//! One topic as this client sees it: the confirmed value with the own pending changes on top.
//!
//! Only the value with the changes on top is held. Each pending change keeps its exact way back, so
//! a commit of somebody else is put below it by stepping back, applying the commit, and going
//! forward again (M40 to M44). Whatever the value's size, that costs the changes and not the value.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chatroom_protocol::change::{ListChange, StringChange, carry};
use chatroom_protocol::{Change, ClientId, Limits, Refusal, Sequence, TopicType, TopicValue};

use crate::code::ErrorCode;
use crate::cursor::{Cause, Cursor, Meta, Step, Way};
use crate::own::ActionId;
use crate::replica::CursorId;

/// From so many pending changes on a reader is given values instead of the steps back and forth.
const STEPS_MAX: usize = 32;

/// Where a topic stands.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What the server was told about a topic on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
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

/// An own change that has no outcome yet.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) action: ActionId,
    /// Its place among the action's changes.
    pub(crate) part: usize,
    /// What is left of it behind the commits so far.
    pub(crate) change: Option<Change>,
    /// The exact way back, while it is applied and has an effect.
    pub(crate) back: Option<Change>,
    pub(crate) applied: bool,
    /// Whether a snapshot came over it: what it is now is known to the server alone.
    pub(crate) lost: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    pub(crate) wanted: bool,
    /// The type that a handle named.
    pub(crate) declared: Option<TopicType>,
    /// The type that the topic has, as far as is known.
    pub(crate) kind: Option<TopicType>,
    pub(crate) wire: Wire,
    /// Whether the value has to be asked for again.
    pub(crate) doubted: bool,
    /// Whether it has to be asked for again once no own change is lost in it.
    pub(crate) clouded: bool,
    /// Whether value and position are those of a session that is no more: nothing is said about them
    /// until they come anew.
    pub(crate) outdated: bool,
    pub(crate) status: Status,
    /// With the own changes applied.
    pub(crate) value: Option<Arc<TopicValue>>,
    pub(crate) own: VecDeque<Own>,
    /// The last place in the room's order that the confirmed value is known to include.
    pub(crate) position: Sequence,
    pub(crate) cursors: BTreeMap<CursorId, Cursor>,
    /// While resuming: the value before, and what came to it.
    pub(crate) resuming: Option<Resuming>,
}

/// What is told when everything that was missed is in place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resuming {
    pub(crate) before: Option<Arc<TopicValue>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) replaced: bool,
    pub(crate) by: ClientIdOrServer,
}

/// The author of the last thing that was missed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientIdOrServer(pub(crate) ClientId);

impl Default for ClientIdOrServer {
    fn default() -> Self {
        Self(ClientId::SERVER)
    }
}

/// A commit's change as the undo stacks need it.
#[derive(Debug)]
pub(crate) struct Effective {
    /// On the confirmed value.
    pub(crate) confirmed: Change,
    /// Behind the pending undos at the head of the line.
    pub(crate) behind_undos: Vec<Change>,
    /// Behind everything pending: on the value.
    pub(crate) behind_all: Vec<Change>,
}

/// Writes down what is done to a value, for its readers.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    redo: Vec<Change>,
    undo: Vec<Change>,
    /// The value before, if there are too many steps to write down.
    before: Option<Arc<TopicValue>>,
    off: bool,
}

impl Tape {
    fn note(&mut self, change: &Change, back: Option<&Change>) {
        if !self.off
            && self.before.is_none()
            && let Some(back) = back
        {
            self.redo.push(change.clone());
            self.undo.push(back.clone());
        }
    }
}

impl Mirror {
    pub(crate) fn new() -> Self {
        Self {
            wanted: false,
            declared: None,
            kind: None,
            wire: Wire::Absent,
            doubted: false,
            clouded: false,
            outdated: false,
            status: Status::Loading,
            value: None,
            own: VecDeque::new(),
            position: Sequence::default(),
            cursors: BTreeMap::new(),
            resuming: None,
        }
    }

    /// Whether commits can be applied: subscribed, loaded and in no doubt.
    pub(crate) fn follows(&self) -> bool {
        self.wire == Wire::Live && !self.doubted && self.value.is_some()
    }

    /// Whether the value may still come: it was asked for, or will be.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self.wire, Wire::Absent | Wire::Asked(_))
    }

    /// Whether the server refuses it or deleted it.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.status, Status::Denied { .. } | Status::Removed)
    }

    pub(crate) fn is_positional(&self) -> bool {
        matches!(self.kind, Some(TopicType::String | TopicType::List))
    }

    /// Applies a change to the value; returns the exact way back.
    pub(crate) fn apply(
        &mut self,
        change: &Change,
        limits: &Limits,
        tape: &mut Tape,
    ) -> Result<Option<Change>, Refusal> {
        let Some(value) = &mut self.value else {
            return Ok(None);
        };
        let back = Arc::make_mut(value).apply(change, limits)?;
        tape.note(change, back.as_ref());
        Ok(back)
    }

    pub(crate) fn tape(&self) -> Tape {
        let long = self.own.len() > STEPS_MAX && !self.cursors.is_empty();
        Tape {
            off: self.cursors.is_empty() || self.resuming.is_some(),
            before: if long { self.value.clone() } else { None },
            ..Tape::default()
        }
    }

    /// Steps back from own changes, down to the one at `from`.
    pub(crate) fn rewind(&mut self, from: usize, tape: &mut Tape) {
        let Some(value) = &mut self.value else {
            return;
        };
        for own in self.own.range_mut(from..).rev() {
            own.applied = false;
            if let Some(back) = own.back.take() {
                match Arc::make_mut(value).apply(&back, &Limits::unlimited()) {
                    Ok(forward) => tape.note(&back, forward.as_ref()),
                    Err(refusal) => debug_assert!(false, "the way back applies: {refusal}"),
                }
            }
        }
    }

    /// Goes forward again; a change that cannot be applied now is left out for now.
    pub(crate) fn replay(&mut self, from: usize, tape: &mut Tape) {
        let Some(value) = &mut self.value else {
            return;
        };
        for own in self.own.range_mut(from..).filter(|own| !own.lost) {
            let Some(change) = &own.change else {
                continue;
            };
            if let Ok(back) = Arc::make_mut(value).apply(change, &Limits::unlimited()) {
                tape.note(change, back.as_ref());
                own.back = back;
                own.applied = true;
            }
        }
    }

    /// The confirmed value: a copy if own changes are pending.
    pub(crate) fn confirmed(&self) -> Option<Arc<TopicValue>> {
        let mut value = self.value.clone()?;
        for back in self.own.iter().rev().filter_map(|own| own.back.as_ref()) {
            // The way back applies: it was made on this value.
            let _ = Arc::make_mut(&mut value).apply(back, &Limits::unlimited());
        }
        Some(value)
    }

    /// Puts changes below the own ones from `from` on; returns what they are behind all of them, and
    /// behind the own ones of actions up to `undos`.
    pub(crate) fn carry(
        &mut self,
        changes: Vec<Change>,
        from: usize,
        undos: Option<ActionId>,
    ) -> (Vec<Change>, Vec<Change>) {
        let mut carried = changes;
        let mut behind_undos = None;
        for own in self.own.range_mut(from..) {
            if behind_undos.is_none() && undos.is_none_or(|last| own.action > last) {
                behind_undos = Some(carried.clone());
            }
            if let Some(change) = own.change.take().filter(|_| !own.lost) {
                own.change = carry(change, &mut carried);
            }
        }
        let behind_undos = behind_undos.unwrap_or_else(|| carried.clone());
        (carried, behind_undos)
    }

    /// A commit of somebody else (M42).
    ///
    /// # Errors
    /// When a change does not apply: then this value is not what it should be.
    pub(crate) fn commit(
        &mut self,
        changes: Vec<Change>,
        undos: Option<ActionId>,
        tape: &mut Tape,
    ) -> Result<(Vec<Effective>, Vec<Change>), Refusal> {
        if let [change] = changes.as_slice()
            && let Some((behind_all, behind_undos)) = self.slide(change, undos, tape)
        {
            let told = behind_all.iter().filter(|change| !is_empty(change)).cloned().collect();
            let confirmed = change.clone();
            return Ok((vec![Effective { confirmed, behind_undos, behind_all }], told));
        }
        self.rewind(0, tape);
        let mut effective = Vec::with_capacity(changes.len());
        let mut told = Vec::with_capacity(changes.len());
        let mut failed = None;
        for change in changes {
            match self.apply(&change, &Limits::unlimited(), tape) {
                Ok(back) => {
                    let (behind_all, behind_undos) = if self.own.is_empty() {
                        (vec![change.clone()], vec![change.clone()])
                    } else {
                        self.carry(vec![change.clone()], 0, undos)
                    };
                    let has_effect = back.is_some() || matches!(change, Change::Event(_));
                    // What does nothing to the confirmed value may still end what is pending on it.
                    if has_effect || !self.own.is_empty() {
                        told.extend(behind_all.iter().filter(|change| !is_empty(change)).cloned());
                    }
                    if has_effect {
                        effective.push(Effective { confirmed: change, behind_undos, behind_all });
                    }
                }
                Err(refusal) => {
                    failed = Some(refusal);
                    break;
                }
            }
        }
        self.replay(0, tape);
        failed.map_or(Ok((effective, told)), Err)
    }

    /// Tells readers what happened to the value. While resuming it is only written down.
    pub(crate) fn tell(&mut self, tape: Tape, changes: Vec<Change>, meta: Meta) {
        if let Some(resuming) = &mut self.resuming {
            resuming.changes.extend(changes);
            resuming.by = ClientIdOrServer(meta.by);
            return;
        }
        if self.cursors.is_empty() {
            return;
        }
        let way = match (tape.before, &self.value) {
            (Some(before), Some(after)) => Way::Replaced { before: Some(before), after: after.clone() },
            _ => {
                let mut undo = tape.undo;
                undo.reverse();
                Way::Changed { redo: tape.redo, undo }
            }
        };
        self.push(Step { way, changes: changes.into(), meta });
    }

    /// Tells readers that the value is another one.
    pub(crate) fn tell_replaced(&mut self, before: Option<Arc<TopicValue>>, changes: Vec<Change>, meta: Meta) {
        if let (Some(after), false) = (&self.value, self.cursors.is_empty()) {
            let way = Way::Replaced { before, after: after.clone() };
            self.push(Step { way, changes: changes.into(), meta });
        }
    }

    fn push(&mut self, step: Step) {
        let step = Arc::new(step);
        self.cursors.values_mut().for_each(|cursor| cursor.push(&step));
    }

    pub(crate) fn meta(&self, by: ClientId, mine: bool, cause: Cause) -> Meta {
        Meta { sequence: self.position, by, mine, cause, skipped: 0 }
    }
}

/// Whether a change of positions never does anything.
fn is_empty(change: &Change) -> bool {
    match change {
        Change::String(StringChange::Edit(components)) => components.is_empty(),
        Change::List(ListChange::Move { from, to }) => from == to,
        _ => false,
    }
}
