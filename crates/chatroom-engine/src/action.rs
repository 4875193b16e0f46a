//! Actions: one or more changes that are applied together or not at all.

use std::borrow::Cow;

use chatroom_protocol::change::{ChangeId, RawChange, carry_tagged};
use chatroom_protocol::reply::RejectV1;
use chatroom_protocol::{
    Change, ClientId, Code, Dialect, Limits, Refusal, Sequence, ServerMessage, TopicName, TopicType,
};
use serde_json::value::RawValue;

use crate::effect::{Delivery, Effect};
use crate::input::{ConnectionId, Time};
use crate::member::{Flight, Pushed, Taken};
use crate::observe::{Commit, CommittedChange, Observation, Observe, Proposed};
use crate::room::Room;

/// Who made an action.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    /// `None` for what the server does by itself.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) client: ClientId,
    pub(crate) dialect: Dialect,
    /// Whether it is answered as a member, on whatever connection it has by then.
    pub(crate) pushed: bool,
}

impl Author {
    pub(crate) const SERVER: Self =
        Self { connection: None, client: ClientId::SERVER, dialect: Dialect::V1, pushed: false };
}

/// The state that an action's changes were made on.
#[derive(Clone, Debug)]
pub(crate) enum Context {
    /// The room's own, when its turn comes.
    Head,
    /// Everything up to that commit, and none of its author's own actions behind it.
    Confirmed(Sequence),
    /// A state that its author knows, with its own actions behind it.
    Pushed(Pushed),
    /// Of a push, and refused already; it only waits for its turn.
    Refused { number: u64, topic_name: String, raw: Box<RawValue>, refusal: Refusal },
}

/// What an action's change is behind what was committed since it was made.
#[derive(Clone, Debug)]
pub(crate) enum Moved {
    AsItIs,
    To(Change),
    Nothing,
}

/// An action whose changes are in the topics' values, and can still be taken back.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    moved: Vec<Moved>,
    inverses: Vec<Option<Change>>,
    flights: Vec<(TopicName, Flight)>,
    /// Whether a rule made something else of a change.
    altered: bool,
}

impl Applied {
    /// A part's change as it is now; `None` if nothing is left of it.
    fn change<'a>(&'a self, index: usize, part: &'a Part<'_>) -> Option<&'a Change> {
        match self.moved.get(index) {
            Some(Moved::To(change)) => Some(change),
            Some(Moved::Nothing) => None,
            Some(Moved::AsItIs) | None => Some(&part.change),
        }
    }
}

/// An action that was understood. It borrows from its message until it has to wait.
#[derive(Debug)]
pub(crate) struct Action<'a> {
    pub(crate) author: Author,
    /// `None` for a plain update.
    pub(crate) id: Option<ChangeId>,
    pub(crate) parts: Vec<Part<'a>>,
    pub(crate) submitted_at: Time,
    /// The authority that was asked last.
    pub(crate) validated_by: Option<ClientId>,
    pub(crate) context: Context,
}

#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) topic_name: TopicName,
    pub(crate) id: ChangeId,
    pub(crate) change: Change,
    /// The change as it was sent, for the refusal.
    pub(crate) raw: Cow<'a, RawValue>,
}

/// A change that was applied.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) topic_name: TopicName,
    pub(crate) id: ChangeId,
    pub(crate) change: Change,
    pub(crate) inverse: Option<Change>,
    pub(crate) previous: Sequence,
}

/// What applying one change did.
#[derive(Debug, Default)]
struct Done {
    inverse: Option<Change>,
    /// What a rule put in the change's place.
    instead: Option<Change>,
}

/// How a commit's author is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Of a push.
    pub(crate) taken: Option<Taken>,
    pub(crate) flights: Vec<(TopicName, Flight)>,
    /// Of any other: the id its author gave.
    pub(crate) id: Option<ChangeId>,
    /// `false` if nothing changed.
    pub(crate) effect: Option<bool>,
}

/// Which part of an action failed, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) part: usize,
    /// The topic, if it is not the part's.
    pub(crate) topic_name: Option<TopicName>,
    pub(crate) refusal: Refusal,
}

impl Action<'_> {
    pub(crate) fn into_owned(self) -> Action<'static> {
        let parts = self
            .parts
            .into_iter()
            .map(|part| Part {
                topic_name: part.topic_name,
                id: part.id,
                change: part.change,
                raw: Cow::Owned(part.raw.into_owned()),
            })
            .collect();
        Action {
            parts,
            author: self.author,
            id: self.id,
            submitted_at: self.submitted_at,
            validated_by: self.validated_by,
            context: self.context,
        }
    }
}

impl Room {
    /// Takes an action from a client: refuses it, commits it, or lets it wait for an authority.
    pub(crate) fn submit(
        &mut self,
        connection: ConnectionId,
        id: Option<ChangeId>,
        changes: Vec<(TopicName, &RawValue)>,
        base: Option<Sequence>,
    ) {
        let Some(session) = self.sessions.get(&connection) else {
            return;
        };
        let author =
            Author { connection: Some(connection), client: session.client, dialect: session.dialect, pushed: false };
        let mut parts = Vec::with_capacity(changes.len());
        for (topic_name, raw) in changes {
            let decoded = if base.is_some_and(|base| base > self.sequence) {
                Err(Refusal::new(
                    Code::OutOfRange,
                    format!("base lies ahead of the room, which stands at {}", self.sequence.0),
                ))
            } else {
                self.decode(&topic_name, raw, &author)
            };
            match decoded {
                Ok((id, change)) => parts.push(Part { topic_name, id, change, raw: Cow::Borrowed(raw) }),
                Err(refusal) => {
                    self.reject(&author, id.as_ref(), topic_name.as_str(), raw, &refusal, None);
                    return;
                }
            }
        }
        self.transforms_left = self.config.limits.transform_steps;
        let context = base.map_or(Context::Head, Context::Confirmed);
        let action = Action { author, id, parts, submitted_at: self.now, validated_by: None, context };
        if action.parts.iter().any(|part| self.is_guarded(&part.topic_name)) {
            self.wait_for_authority(action);
        } else {
            self.commit_or_reject(action);
        }
    }

    pub(crate) fn decode(
        &mut self,
        topic_name: &TopicName,
        raw: &RawValue,
        author: &Author,
    ) -> Result<(ChangeId, Change), Refusal> {
        if topic_name.is_reserved() {
            return Err(Refusal::new(Code::Forbidden, format!("{topic_name} is written by the server alone")));
        }
        let Some(topic) = self.topics.get(topic_name) else {
            return Err(Refusal::new(
                Code::UnknownTopic,
                format!("there is no topic {topic_name}; subscribe to create it"),
            ));
        };
        let raw = RawChange::parse(raw)?;
        let change = raw.decode(topic.value.kind(), author.client, &self.config.limits)?;
        let id = match raw.id {
            Some(id) => id,
            None => {
                self.next_change += 1;
                ChangeId::Text(format!("_chatroom/change/{}", self.next_change).into())
            }
        };
        Ok((id, change))
    }

    pub(crate) fn commit_or_reject(&mut self, action: Action<'_>) {
        match self.apply(&action) {
            Ok(applied) => self.commit(action, applied),
            Err(failure) => self.reject_part(&action, &failure),
        }
    }

    pub(crate) fn reject_part(&mut self, action: &Action<'_>, failure: &Failure) {
        let part = action.parts.get(failure.part);
        // A condition that failed is no part.
        let part = part.filter(|_| failure.topic_name.is_none());
        let (raw, by) = (part.map_or(RawValue::NULL, |part| &*part.raw), action.validated_by);
        let topic_name = match (&failure.topic_name, part) {
            (Some(name), _) => name.as_str(),
            (None, Some(part)) => part.topic_name.as_str(),
            (None, None) => "",
        };
        match &action.context {
            Context::Pushed(pushed) => {
                self.turn_down(&action.author, pushed.number, topic_name, raw, &failure.refusal, by);
            }
            _ => self.reject(&action.author, action.id.as_ref(), topic_name, raw, &failure.refusal, by),
        }
    }

    /// Moves all changes behind what was committed since they were made, and applies them in order;
    /// or none of them.
    pub(crate) fn apply(&mut self, action: &Action<'_>) -> Result<Applied, Failure> {
        let mut applied = Applied::default();
        if let Context::Pushed(pushed) = &action.context
            && let Err((name, refusal)) = self.meets(&pushed.require)
        {
            return Err(Failure { part: 0, topic_name: Some(name), refusal });
        }
        for (index, part) in action.parts.iter().enumerate() {
            let done = self.refuses(&part.topic_name);
            let done = done.and_then(|()| self.apply_behind(action, index, part, &mut applied));
            if let Err(refusal) = done {
                self.take_back(action, applied);
                return Err(Failure { part: index, topic_name: None, refusal });
            }
        }
        Ok(applied)
    }

    /// A part's change as it would be if its action's turn were now.
    pub(crate) fn as_of_now(&mut self, action: &Action<'_>, index: usize) -> Moved {
        if matches!(action.context, Context::Head) {
            return Moved::AsItIs;
        }
        self.transforms_left = self.config.limits.transform_steps;
        let Ok(applied) = self.apply(action) else {
            return Moved::AsItIs;
        };
        let moved = applied.moved.get(index).cloned().unwrap_or(Moved::AsItIs);
        self.take_back(action, applied);
        moved
    }

    fn apply_behind(
        &mut self,
        action: &Action<'_>,
        index: usize,
        part: &Part<'_>,
        applied: &mut Applied,
    ) -> Result<(), Refusal> {
        let name = &part.topic_name;
        let (base, acknowledged) = match &action.context {
            Context::Confirmed(base) => (Some(*base), None),
            Context::Pushed(pushed) => {
                let base = pushed.bases.iter().find(|(other, _)| other == name).and_then(|it| it.1);
                (base, Some(pushed.acknowledged))
            }
            Context::Head | Context::Refused { .. } => (None, None),
        };
        let mut moved = Moved::AsItIs;
        if let Some(base) = base {
            if !applied.flights.iter().any(|(other, _)| other == name) {
                let flight = self.flight(action.author.client, name, base, acknowledged)?;
                applied.flights.push((name.clone(), flight));
            }
            let flight = applied.flights.iter_mut().find(|(other, _)| other == name).map(|(_, flight)| flight);
            if let Some(flight) = flight.filter(|flight| !flight.bridge.is_empty()) {
                let Some(left) = self.transforms_left.checked_sub(flight.bridge.len()) else {
                    return Err(Refusal::new(
                        Code::StaleBase,
                        format!("too much was committed to {name} since {}; take its value anew", base.0),
                    ));
                };
                self.transforms_left = left;
                self.tally.transforms += flight.bridge.len() as u64;
                moved = match carry_tagged(part.change.clone(), &mut flight.bridge) {
                    Some(change) => Moved::To(change),
                    None => Moved::Nothing,
                };
            }
        }
        let change = match &moved {
            Moved::AsItIs => Some(&part.change),
            Moved::To(change) => Some(change),
            Moved::Nothing => None,
        };
        let done = match change {
            Some(change) => self.apply_part(&action.author, name, change)?,
            None => Done::default(),
        };
        if let (Some(instead), Some(change)) = (&done.instead, change) {
            applied.altered = true;
            // Until the author knows of it, its next changes stand on what it meant.
            let flight = applied.flights.iter_mut().find(|(other, _)| other == name).map(|(_, flight)| flight);
            if let (Some(flight), Some(topic)) = (flight, self.topics.get(name)) {
                let mut before = topic.value.clone();
                if let Some(back) = &done.inverse {
                    before.apply(back, &self.config.limits).expect("an inverse applies to the value it was made on");
                }
                let place = self.sequence.next();
                let meant = before.apply(change, &Limits::unlimited()).ok().flatten();
                let back = meant.map(|exact| change.invert_with(&exact)).unwrap_or_default();
                flight.bridge.extend(back.into_iter().chain([instead.clone()]).map(|change| (place, change)));
            }
        }
        if let Some(instead) = done.instead {
            moved = Moved::To(instead);
        }
        applied.inverses.push(done.inverse);
        applied.moved.push(moved);
        debug_assert_eq!(applied.moved.len(), index + 1);
        Ok(())
    }

    fn apply_part(&mut self, author: &Author, topic_name: &TopicName, change: &Change) -> Result<Done, Refusal> {
        let limits = self.config.limits.clone();
        let reachable = author.connection.is_some_and(|connection| self.sessions.contains_key(&connection))
            || (author.pushed && self.connection_of_member(author.client).is_some());
        let Some(topic) = self.topics.get_mut(topic_name) else {
            return Err(Refusal::new(Code::UnknownTopic, format!("there is no topic {topic_name}")));
        };
        if author.pushed && !reachable && matches!(change, Change::Presence(_)) {
            return Err(Refusal::new(Code::Forbidden, "the client is not here any more"));
        }
        let instead = match self.config.rules.as_ref().filter(|_| author.connection.is_some()) {
            Some(rules) => rules.check(&Proposed { topic_name, value: &topic.value, change, by: author.client })?,
            None => None,
        };
        let instead = instead.filter(|instead| instead != change);
        let change = instead.as_ref().unwrap_or(change);
        let inverse = topic.value.apply(change, &limits)?;
        let Some(back) = &inverse else {
            return Ok(Done { inverse: None, instead });
        };
        let (before, added, removed) = (topic.weight, change.weight(), back.weight());
        topic.weight = (before + added).saturating_sub(removed);
        self.weight = (self.weight + topic.weight).saturating_sub(before);
        let grew = topic.weight > before;
        let full = if grew && topic.weight > limits.value_bytes {
            Refusal::new(Code::TooBig, format!("a topic's value has at most {} bytes", limits.value_bytes))
        } else if grew && self.weight > limits.room_bytes {
            Refusal::new(Code::LimitReached, format!("the values of a room have at most {} bytes", limits.room_bytes))
        } else {
            return Ok(Done { inverse, instead });
        };
        self.weight = (self.weight + before).saturating_sub(topic.weight);
        topic.weight = before;
        topic.value.apply(back, &limits).expect("an inverse applies to the value it was made on");
        Err(full)
    }

    /// Undoes what [`Self::apply`] did.
    pub(crate) fn take_back(&mut self, action: &Action<'_>, mut applied: Applied) {
        let inverses = std::mem::take(&mut applied.inverses);
        for (index, inverse) in inverses.into_iter().enumerate().rev() {
            let Some(part) = action.parts.get(index) else {
                continue;
            };
            let (Some(inverse), Some(change)) = (inverse, applied.change(index, part)) else {
                continue;
            };
            let Some(topic) = self.topics.get_mut(&part.topic_name) else {
                continue;
            };
            let before = topic.weight;
            topic.weight = (before + inverse.weight()).saturating_sub(change.weight());
            self.weight = (self.weight + topic.weight).saturating_sub(before);
            topic.value.apply(&inverse, &self.config.limits).expect("an inverse applies to the value it was made on");
        }
    }

    /// Gives an applied action its place and tells everyone.
    fn commit(&mut self, action: Action<'_>, applied: Applied) {
        let sequence = self.sequence.next();
        self.sequence = sequence;
        self.tally.commits += 1;
        let Action { author, id, parts, submitted_at, validated_by, context } = action;
        let Applied { moved, inverses, flights, altered } = applied;
        let previous_of =
            |room: &Self, name: &TopicName| room.topics.get(name).map(|topic| topic.sequence).unwrap_or_default();
        let previous: Vec<Sequence> = match &context {
            Context::Pushed(pushed) => pushed.bases.iter().map(|(name, _)| previous_of(self, name)).collect(),
            _ => Vec::new(),
        };
        let asked_as = id.as_ref().or(parts.first().map(|part| &part.id)).cloned();
        let mut effect = false;
        let parts: Vec<Committed> = parts
            .into_iter()
            .zip(moved)
            .zip(inverses)
            .filter_map(|((part, moved), inverse)| {
                let Part { topic_name, id, change, .. } = part;
                let change = match moved {
                    Moved::AsItIs => change,
                    Moved::To(change) => change,
                    Moved::Nothing => return None,
                };
                effect |= inverse.is_some() || matches!(change, Change::Event(_));
                let previous = previous_of(self, &topic_name);
                Some(Committed { topic_name, id, change, inverse, previous })
            })
            .collect();
        let reached = if author.pushed { self.connection_of_member(author.client) } else { author.connection };
        for part in &parts {
            if let Some(topic) = self.topics.get_mut(&part.topic_name) {
                topic.sequence = sequence;
            }
            if let (Change::Presence(_), Some(connection)) = (&part.change, reached) {
                self.note_presence(connection, &part.topic_name, author.client);
            }
            self.topic_touched(&part.topic_name);
        }
        let number = match &context {
            Context::Pushed(pushed) => Some(pushed.number),
            _ => None,
        };
        // An action of one part is told as an update.
        let told_as = match number {
            Some(number) if parts.len() != 1 => Some(ChangeId::Text(format!("{}-{number}", author.client).into())),
            Some(_) => None,
            None => id,
        };
        let taken = number.map(|number| Taken {
            number,
            sequence,
            previous,
            effect,
            altered: altered.then(|| parts.iter().map(|part| (part.topic_name.clone(), part.change.clone())).collect()),
        });
        let effect = (!effect).then_some(false);
        let audience = self.publish(
            &Author { connection: reached, ..author },
            told_as.as_ref(),
            sequence,
            &parts,
            Answer { taken, flights, id: asked_as, effect },
        );
        if self.observes(Observe::Commits) {
            let changes = parts.iter().map(|part| self.committed_change(part)).collect();
            let commit = Commit {
                sequence,
                by: author.client,
                action_id: told_as.clone(),
                changes,
                validated_by,
                submitted_at,
                audience,
                author: reached,
            };
            self.out.push(Effect::Observed(Box::new(Observation::Committed(commit))));
        }
        self.remember(sequence, author.client, number, told_as, parts);
    }

    fn committed_change(&self, part: &Committed) -> CommittedChange {
        let Committed { topic_name, id, change, previous, .. } = part;
        let topic_type = self.topics.get(topic_name).map_or(TopicType::Generic, |topic| topic.value.kind());
        let (topic_name, id, change) = (topic_name.clone(), id.clone(), change.clone());
        CommittedChange { topic_name, topic_type, id, change, previous: *previous }
    }

    /// Commits a change that the server itself makes, such as the end of a presence.
    pub(crate) fn commit_own(&mut self, topic_name: &TopicName, change: Change) {
        self.next_change += 1;
        let id = ChangeId::Text(format!("_chatroom/change/{}", self.next_change).into());
        let raw = Cow::Borrowed(RawValue::NULL);
        let part = Part { topic_name: topic_name.clone(), id, change, raw };
        let action = Action {
            author: Author::SERVER,
            id: None,
            parts: vec![part],
            submitted_at: self.now,
            validated_by: None,
            context: Context::Head,
        };
        if let Ok(applied) = self.apply(&action) {
            self.commit(action, applied);
        }
    }

    pub(crate) fn reject(
        &mut self,
        author: &Author,
        action_id: Option<&ChangeId>,
        topic_name: &str,
        change: &RawValue,
        refusal: &Refusal,
        validated_by: Option<ClientId>,
    ) {
        self.tally.rejects += 1;
        self.observe_refusal(author, action_id, topic_name, change, refusal, validated_by);
        let Some(connection) = author.connection.filter(|connection| self.sessions.contains_key(connection)) else {
            return;
        };
        let told = refusal.to_string();
        let (reason, v1) = match author.dialect {
            Dialect::Seed => (told.as_str(), None),
            Dialect::V1 => {
                let code = refusal.code;
                (&*refusal.reason, Some(RejectV1 { code: code.number(), retryable: code.retryable(), action_id }))
            }
        };
        let frame = ServerMessage::RejectUpdate { topic_name, change, reason, v1 }.frame();
        self.out.push(Effect::Send { to: connection, frames: frame.bytes().clone(), delivery: Delivery::reply() });
    }
}
