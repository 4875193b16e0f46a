//! Own actions: made, shown at once, and settled by the room in the order in which they were made.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chatroom_protocol::heard::HeardPart;
use chatroom_protocol::{
    Change, ClientId, Code, Limits, Refusal, Sequence, TopicName, TopicType, TopicValue, change::RawChange,
};
use serde_json::Value;

use crate::PENDING_ACTIONS_MAX;
use crate::cursor::Cause;
use crate::mirror::{Own, Status, Tape};
use crate::outcome::{Accepted, Outcome, Refused};
use crate::replica::{Note, Replica};
use crate::undo::Direction;

/// An own action, for the application: 1, 2, 3 ... in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionId(pub u64);

/// How an action is treated by undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// Whether undo takes it back.
    pub tracked: bool,
    /// The group that the application began, if one is open.
    pub group: Option<u64>,
    /// Milliseconds on a clock that never goes back.
    pub now_ms: u64,
}

/// Makes a change from a topic's type and value, for a position that counts from the end.
pub type Maker = Arc<dyn Fn(TopicType, Option<&TopicValue>) -> Result<Change, Refusal> + Send + Sync>;

/// A change as the application asked for it.
#[derive(Clone)]
pub enum Intent {
    /// It is what it is.
    Change(Change),
    /// It depends on the value that it meets, and waits for it.
    Made(Maker),
    /// It depends on the type of the topic alone.
    Typed(Maker),
}

impl fmt::Debug for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => f.debug_tuple("Change").field(change).finish(),
            Self::Made(_) => f.write_str("Made"),
            Self::Typed(_) => f.write_str("Typed"),
        }
    }
}

/// What an action is, besides its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    Made {
        tracked: bool,
        group: Option<u64>,
        at_ms: u64,
    },
    /// An undo or a redo, from that stack.
    TakenFrom(Direction),
}

/// An own action that has no outcome yet. Its changes are with their topics.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) id: ActionId,
    pub(crate) nature: Nature,
    /// In the order in which it names them, each once.
    pub(crate) topics: Vec<TopicName>,
    /// Those that it named when it was sent last, in that order: nothing may have been left of a
    /// change. `None` if it never was.
    pub(crate) named: Option<Vec<TopicName>>,
    /// The actions that joined it and have its outcome (M48).
    pub(crate) joined: Vec<ActionId>,
}

/// An action that waits for a topic to be loaded.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    id: ActionId,
    parts: Vec<(TopicName, Intent)>,
    how: How,
}

impl Waiting {
    pub(crate) fn id(&self) -> ActionId {
        self.id
    }

    pub(crate) fn touches(&self, name: &TopicName) -> bool {
        self.parts.iter().any(|(other, _)| other == name)
    }
}

/// Which part was refused, and why.
type Failure = (usize, Refusal);

impl Replica {
    /// Makes an action: it is shown at once and sent as soon as may be (M41). If a part needs a value
    /// that is not loaded yet, the action waits for it, and its refusal comes as a [`Note`].
    ///
    /// # Errors
    /// Which part is refused, and why; then nothing was done.
    pub fn act(&mut self, parts: Vec<(TopicName, Intent)>, how: How, limits: &Limits) -> Result<ActionId, Failure> {
        let refused = |code, reason: String| Err((0, Refusal::new(code, reason)));
        if parts.is_empty() {
            return refused(Code::BadType, "an action has at least one change".into());
        }
        if parts.len() > limits.action_changes {
            let most = limits.action_changes;
            return refused(
                Code::TooBig,
                format!("an action has at most {most} changes, this one has {}", parts.len()),
            );
        }
        if self.actions.len() + self.waiting.len() >= PENDING_ACTIONS_MAX {
            let reason = format!("{PENDING_ACTIONS_MAX} actions wait for their outcome already; wait for some of them");
            return refused(Code::Busy, reason);
        }
        self.next_action += 1;
        let id = ActionId(self.next_action);
        if self.has_to_wait(&parts) {
            self.waiting.push_back(Waiting { id, parts, how });
            return Ok(id);
        }
        if let Err(failure) = self.perform(id, parts, how, limits) {
            self.next_action -= 1;
            return Err(failure);
        }
        Ok(id)
    }

    fn has_to_wait(&self, parts: &[(TopicName, Intent)]) -> bool {
        parts.iter().any(|(name, intent)| {
            let held = self.mirrors.get(name);
            let loaded = held.is_some_and(|mirror| mirror.value.is_some());
            let lost = held.is_some_and(|mirror| matches!(mirror.status, Status::Denied { .. } | Status::Removed));
            let behind = || self.waiting.iter().any(|waiting| waiting.parts.iter().any(|(other, _)| other == name));
            let needs = match intent {
                Intent::Change(change) => !is_blind(change),
                Intent::Made(_) => true,
                Intent::Typed(_) => held.is_none_or(|mirror| mirror.kind.is_none()),
            };
            !lost && ((!loaded && needs) || behind())
        })
    }

    /// Makes what waited, as far as may be now.
    pub(crate) fn settle_waiting(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            if self.has_to_wait(&waiting.parts) {
                self.waiting.push_back(waiting);
                continue;
            }
            let limits = self.limits.clone();
            let names: Vec<TopicName> = waiting.parts.iter().map(|(name, _)| name.clone()).collect();
            if let Err((part, refusal)) = self.perform(waiting.id, waiting.parts, waiting.how, &limits) {
                let topic_name = names.get(part).map(ToString::to_string).unwrap_or_default();
                let outcome = refused(refusal.code, refusal.reason.into_owned(), topic_name, Value::Null);
                self.settle(waiting.id, Outcome::Refused(outcome));
            }
        }
    }

    fn perform(
        &mut self,
        id: ActionId,
        parts: Vec<(TopicName, Intent)>,
        how: How,
        limits: &Limits,
    ) -> Result<(), Failure> {
        let count = parts.len();
        let mut made: BTreeMap<TopicName, (Tape, Vec<Change>)> = BTreeMap::new();
        let mut topics: Vec<TopicName> = Vec::new();
        for (part, (name, intent)) in parts.into_iter().enumerate() {
            let done = self.perform_part(id, part, &name, intent, limits, &mut made);
            if !topics.contains(&name) {
                topics.push(name.clone());
            }
            let done = done.and_then(|()| match part + 1 == count && !self.can_be_sent(id, &topics, limits) {
                true => Err(Refusal::new(
                    Code::TooBig,
                    format!("a message has at most {} bytes, this action is larger", limits.message_bytes),
                )),
                false => Ok(()),
            });
            if let Err(refusal) = done {
                for name in topics {
                    self.withdraw(id, &name);
                }
                return Err((part, refusal));
            }
        }
        let tracked = how.tracked;
        for name in &topics {
            let Some((tape, changes)) = made.remove(name) else {
                continue;
            };
            if !tracked {
                self.history.shift_ahead(name, &changes);
            }
            self.show_own(name, tape, changes, Cause::Local);
        }
        if tracked {
            self.history.acted();
        }
        let nature = Nature::Made { tracked, group: how.group, at_ms: how.now_ms };
        if !self.join(id, &topics, nature, limits) {
            self.actions.push_back(Pending { id, nature, topics, named: None, joined: Vec::new() });
        }
        Ok(())
    }

    fn can_be_sent(&self, id: ActionId, topics: &[TopicName], limits: &Limits) -> bool {
        let made = topics.iter().filter_map(|name| Some((name, self.mirrors.get(name)?)));
        let changes = made.flat_map(|(name, mirror)| {
            let from = mirror.own.partition_point(|own| own.action < id);
            mirror.own.range(from..).filter_map(move |own| Some((name, own.change.as_ref()?)))
        });
        crate::push::fits(changes, limits.message_bytes)
    }

    fn perform_part(
        &mut self,
        id: ActionId,
        part: usize,
        name: &TopicName,
        intent: Intent,
        limits: &Limits,
        made: &mut BTreeMap<TopicName, (Tape, Vec<Change>)>,
    ) -> Result<(), Refusal> {
        let mirror = self.mirror(name);
        match &mirror.status {
            Status::Denied { code, reason } => {
                return Err(Refusal::new(code.known().unwrap_or(Code::Forbidden), reason.clone()));
            }
            Status::Removed => return Err(Refusal::new(Code::TopicDeleted, "the topic was deleted")),
            _ => {}
        }
        let change = match intent {
            Intent::Change(change) => change,
            Intent::Made(make) | Intent::Typed(make) => {
                let kind =
                    mirror.kind.ok_or_else(|| Refusal::new(Code::UnknownTopic, "the topic's type is not known"))?;
                make(kind, mirror.value.as_deref())?
            }
        };
        let (tape, shown) = made.entry(name.clone()).or_insert_with(|| (mirror.tape(), Vec::new()));
        let applied = mirror.value.is_some();
        let back = if applied { mirror.apply(&change, limits, tape)? } else { None };
        if back.is_some() {
            shown.push(change.clone());
        }
        mirror.own.push_back(Own { action: id, part, change: Some(change), back, applied, lost: false });
        Ok(())
    }

    /// Takes the last action out of a topic, as if it had never been made.
    fn withdraw(&mut self, id: ActionId, name: &TopicName) {
        if let Some(mirror) = self.mirrors.get_mut(name) {
            let keep = mirror.own.partition_point(|own| own.action < id);
            // Nobody was told yet, so nobody is told of the way back.
            let mut tape = Tape::default();
            mirror.rewind(keep, &mut tape);
            mirror.own.truncate(keep);
            self.dirty.insert(name.clone());
        }
    }

    /// Tells readers of a topic what an own action did.
    pub(crate) fn show_own(&mut self, name: &TopicName, tape: Tape, changes: Vec<Change>, cause: Cause) {
        let me = self.me();
        if let Some(mirror) = self.mirrors.get_mut(name)
            && !changes.is_empty()
        {
            let meta = mirror.meta(me, true, cause);
            mirror.tell(tape, changes, meta);
            self.notes.push(Note::Stepped(name.clone()));
        }
    }

    /// The room took the oldest pending action (M43).
    pub fn accepted(
        &mut self,
        number: u64,
        sequence: Sequence,
        previous: &[Sequence],
        effect: bool,
        altered: Option<&[HeardPart<'_>]>,
    ) {
        if number != self.acknowledged + 1 {
            return;
        }
        let Some(action) = self.actions.pop_front() else {
            return;
        };
        self.acknowledged = number;
        self.sent = self.sent.saturating_sub(1);
        let mut inverse: Vec<(usize, TopicName, Vec<Change>)> = Vec::new();
        let mut effective: Vec<(TopicName, Change)> = Vec::new();
        for name in &action.topics {
            let place = action.named.iter().flatten().position(|named| named == name);
            if place.is_none() {
                // Nothing was left of it here when it was sent, so nothing is said of this topic.
                if let Some(mirror) = self.mirrors.get_mut(name) {
                    mirror.own.drain(..mirror.own.partition_point(|own| own.action <= action.id));
                }
                continue;
            }
            let previous = place.and_then(|place| previous.get(place)).copied().unwrap_or_default();
            let altered = altered
                .map(|parts| -> Vec<&HeardPart<'_>> { parts.iter().filter(|part| part.topic_name == *name).collect() });
            if let Err(why) =
                self.accepted_in(&action, name, sequence, previous, altered.as_deref(), &mut inverse, &mut effective)
            {
                self.doubt(name, why);
            }
            self.dirty.insert(name.clone());
        }
        inverse.sort_by_key(|(part, ..)| std::cmp::Reverse(*part));
        let inverse: Vec<(TopicName, Change)> = inverse
            .into_iter()
            .flat_map(|(_, name, changes)| changes.into_iter().map(move |change| (name.clone(), change)))
            .collect();
        match action.nature {
            // What one action could not take back is not undone.
            Nature::Made { tracked: true, group, at_ms } if inverse.len() <= self.limits.action_changes => {
                let most = self.limits.action_changes;
                self.history.done(action.topics.clone(), inverse, group, at_ms, most);
            }
            Nature::Made { .. } => {
                for (name, change) in effective {
                    self.history.shift(&name, &change);
                }
            }
            Nature::TakenFrom(direction) => self.history.taken(direction, action.id, action.topics.clone(), inverse),
        }
        self.settle_all(&action, &Outcome::Accepted(Accepted::new(sequence, effect)));
        self.go_on_undoing();
    }

    #[expect(clippy::too_many_arguments, reason = "one step of `accepted`, whose results it gathers")]
    fn accepted_in(
        &mut self,
        action: &Pending,
        name: &TopicName,
        sequence: Sequence,
        previous: Sequence,
        altered: Option<&[&HeardPart<'_>]>,
        inverse: &mut Vec<(usize, TopicName, Vec<Change>)>,
        effective: &mut Vec<(TopicName, Change)>,
    ) -> Result<(), String> {
        let me = self.me();
        let Some(mirror) = self.mirrors.get_mut(name) else {
            return Ok(());
        };
        let mine = mirror.own.partition_point(|own| own.action <= action.id);
        let known = mirror.follows();
        let in_place = mirror.own.range(..mine).all(|own| own.change.is_none() || (own.applied && !own.lost));
        if known && sequence > mirror.position && previous <= mirror.position && in_place && altered.is_none() {
            // It stands already where it belongs: below all other own changes.
            let mut told = Vec::new();
            for own in mirror.own.drain(..mine) {
                let Some(change) = own.change else { continue };
                if matches!(change, Change::Event(_)) {
                    told.push(change);
                } else if let Some(back) = own.back {
                    inverse.push((own.part, name.clone(), change.invert_with(&back)));
                    effective.push((name.clone(), change));
                }
            }
            mirror.position = sequence;
            self.show_own(name, Tape::default(), told, Cause::Accepted);
            return Ok(());
        }

        let mut tape = mirror.tape();
        let given: Vec<Change> = altered
            .into_iter()
            .flatten()
            .filter_map(|part| RawChange::parse(part.change).ok()?.decode_committed(mirror.kind?, me).ok())
            .collect();
        let before = mirror.before(&given);
        mirror.rewind(0, &mut tape);
        let lost = mirror.own.range(..mine).any(|own| own.lost);
        let mut told = Vec::new();
        let mut result = Ok(());
        if !known || sequence <= mirror.position {
            // Not subscribed, or the value includes it already.
        } else if previous > mirror.position && mirror.resuming.is_some() {
            // The value comes anew before the end of what was missed, with this in it.
        } else if previous > mirror.position {
            result =
                Err(format!("an own change after {}, but this client stands at {}", previous.0, mirror.position.0));
        } else if lost {
            mirror.clouded = true;
        } else {
            let mut given = altered.is_some().then(|| given.into_iter());
            for _ in 0..mine {
                let Some(own) = mirror.own.pop_front() else { break };
                let Some(foreseen) = own.change else { continue };
                let change = given.as_mut().map_or_else(|| Some(foreseen.clone()), Iterator::next);
                let Some(change) = change.filter(|change| *change != foreseen) else {
                    match mirror.apply(&foreseen, &Limits::unlimited(), &mut tape) {
                        Ok(Some(back)) => {
                            inverse.push((own.part, name.clone(), foreseen.invert_with(&back)));
                            effective.push((name.clone(), foreseen));
                        }
                        Ok(None) if matches!(foreseen, Change::Event(_)) => told.push(foreseen),
                        Ok(None) => {}
                        Err(refusal) => result = Err(format!("an own change that does not apply: {refusal}")),
                    }
                    continue;
                };
                // What is behind it goes over its way back, and then over what it became.
                let mut instead = back_of(std::slice::from_ref(&foreseen), mirror, &mut tape);
                instead.push(change.clone());
                told.extend(mirror.carry(instead, 0, None).0);
                match mirror.apply(&change, &Limits::unlimited(), &mut tape) {
                    Ok(Some(back)) => {
                        inverse.push((own.part, name.clone(), change.invert_with(&back)));
                        effective.push((name.clone(), change));
                    }
                    Ok(None) => {}
                    Err(refusal) => result = Err(format!("an altered change that does not apply: {refusal}")),
                }
            }
            mirror.position = sequence;
        }
        mirror.own.drain(..mirror.own.partition_point(|own| own.action <= action.id));
        mirror.replay(0, &mut tape);
        if mirror.clouded && !mirror.own.iter().any(|own| own.lost) {
            mirror.clouded = false;
            result = Err("own changes were on their way when the value came anew".into());
        }
        let told = mirror.since(before, told);
        self.show_own(name, tape, told, Cause::Accepted);
        result
    }

    /// The room refused the oldest pending action (M44).
    pub fn rejected(&mut self, number: u64, refusal: Refused) {
        if number != self.acknowledged + 1 {
            return;
        }
        self.acknowledged = number;
        self.sent = 0;
        let Some(action) = self.actions.pop_front() else {
            return;
        };
        self.give_up(&action);
        self.settle_all(&action, &Outcome::Refused(refusal));
        self.go_on_undoing();
    }

    /// Takes an action out that stands in the line no more, because it was refused.
    pub(crate) fn give_up(&mut self, action: &Pending) {
        for (name, below_undos, below_all) in self.take_out(action, Cause::Rejected) {
            self.history.refused(action, &name, &below_undos, &below_all);
        }
        self.history.drop_entry(action);
    }

    /// Takes a pending action out of all its topics, wherever it stood in the line; returns what that
    /// did: for what stands behind the pending undos, and behind everything.
    pub(crate) fn take_out(&mut self, action: &Pending, cause: Cause) -> Vec<(TopicName, Vec<Change>, Vec<Change>)> {
        let mut backs = Vec::new();
        let undos = self.last_undo().map(|(_, id)| id);
        for name in &action.topics {
            let Some(mirror) = self.mirrors.get_mut(name) else {
                continue;
            };
            let from = mirror.own.partition_point(|own| own.action < action.id);
            let to = mirror.own.partition_point(|own| own.action <= action.id);
            let mut tape = mirror.tape();
            let before = mirror.before(&[]);
            // The way back is made on what stands before the action; what is behind it moves.
            mirror.rewind(from, &mut tape);
            let gone = mirror.own.drain(from..to).filter(|own| !own.lost);
            let gone: Vec<Change> = gone.filter_map(|own| own.change).collect();
            let back = back_of(&gone, mirror, &mut tape);
            let (told, below_undos) = mirror.carry(back, from, undos);
            mirror.replay(from, &mut tape);
            if mirror.clouded && !mirror.own.iter().any(|own| own.lost) {
                mirror.clouded = false;
                mirror.doubted = true;
            }
            let shown = mirror.since(before, told.clone());
            self.dirty.insert(name.clone());
            backs.push((name.clone(), below_undos, told));
            self.show_own(name, tape, shown, cause);
        }
        backs
    }

    pub(crate) fn settle(&mut self, action: ActionId, outcome: Outcome) {
        self.notes.push(Note::Settled(action, outcome));
    }

    /// Gives an action that was pending, and those that joined it, their outcome.
    pub(crate) fn settle_all(&mut self, action: &Pending, outcome: &Outcome) {
        self.joined -= action.joined.len();
        self.settle(action.id, outcome.clone());
        for id in &action.joined {
            self.settle(*id, outcome.clone());
        }
    }

    /// How many own actions have no outcome yet.
    #[must_use]
    pub fn unsaved(&self) -> usize {
        self.actions.len() + self.joined + self.waiting.len()
    }

    pub(crate) fn me(&self) -> ClientId {
        self.session.as_ref().map(|session| session.id).or(self.client).unwrap_or(ClientId::SERVER)
    }
}

/// The inverse of own changes on a value that was rewound to before them; leaves it as it is.
fn back_of(gone: &[Change], mirror: &mut crate::mirror::Mirror, tape: &mut Tape) -> Vec<Change> {
    let mut inverse = Vec::new();
    let mut backs = Vec::new();
    for change in gone {
        if let Ok(Some(back)) = mirror.apply(change, &Limits::unlimited(), tape) {
            inverse.push(change.invert_with(&back));
            backs.push(back);
        }
    }
    for back in backs.iter().rev() {
        let applied = mirror.apply(back, &Limits::unlimited(), tape);
        debug_assert!(applied.is_ok(), "the way back applies");
    }
    inverse.reverse();
    inverse.into_iter().flatten().collect()
}

pub(crate) fn refused(code: Code, reason: String, topic_name: String, change: Value) -> Refused {
    let retryable = code.retryable();
    Refused { code: code.into(), reason, topic_name, change, retryable, maybe_executed: false }
}

/// Whether a change makes sense without knowing the value.
fn is_blind(change: &Change) -> bool {
    use chatroom_protocol::change::{DictChange, ListChange, StringChange};
    match change {
        Change::String(change) => matches!(change, StringChange::Set(_)),
        Change::List(change) => matches!(change, ListChange::Set(_)),
        Change::Dict(change) => !matches!(change, DictChange::ChangeValue(..) | DictChange::Pop(_)),
        _ => true,
    }
}
