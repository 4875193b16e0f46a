//! Actions: one or more changes that are applied together or not at all.

use std::borrow::Cow;

use chatroom_protocol::change::{ChangeId, RawChange};
use chatroom_protocol::reply::RejectV1;
use chatroom_protocol::{Change, ClientId, Code, Dialect, Refusal, Sequence, ServerMessage, TopicName, TopicType};
use serde_json::value::RawValue;

use crate::effect::{Delivery, Effect};
use crate::input::{ConnectionId, Time};
use crate::observe::{Commit, CommittedChange, Observation, Observe, Proposed};
use crate::room::Room;

/// Who made an action.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    /// `None` for what the server does by itself.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) client: ClientId,
    pub(crate) dialect: Dialect,
}

impl Author {
    pub(crate) const SERVER: Self = Self { connection: None, client: ClientId::SERVER, dialect: Dialect::V1 };
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

/// Which part of an action failed, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) part: usize,
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
        let author = Author { connection: Some(connection), client: session.client, dialect: session.dialect };
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
        let action = Action { author, id, parts, submitted_at: self.now, validated_by: None };
        if action.parts.iter().any(|part| self.is_guarded(&part.topic_name)) {
            self.wait_for_authority(action);
        } else {
            self.commit_or_reject(action);
        }
    }

    fn decode(
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
            Ok(inverses) => self.commit(action, inverses),
            Err(failure) => self.reject_part(&action, &failure),
        }
    }

    pub(crate) fn reject_part(&mut self, action: &Action<'_>, failure: &Failure) {
        if let Some(part) = action.parts.get(failure.part) {
            let (id, by) = (action.id.as_ref(), action.validated_by);
            self.reject(&action.author, id, part.topic_name.as_str(), &part.raw, &failure.refusal, by);
        }
    }

    /// Applies all changes in order, or none; returns what takes each back.
    pub(crate) fn apply(&mut self, action: &Action<'_>) -> Result<Vec<Option<Change>>, Failure> {
        let mut inverses = Vec::with_capacity(action.parts.len());
        for (index, part) in action.parts.iter().enumerate() {
            match self.apply_part(&action.author, &part.topic_name, &part.change) {
                Ok(inverse) => inverses.push(inverse),
                Err(refusal) => {
                    self.take_back(action, inverses);
                    return Err(Failure { part: index, refusal });
                }
            }
        }
        Ok(inverses)
    }

    fn apply_part(
        &mut self,
        author: &Author,
        topic_name: &TopicName,
        change: &Change,
    ) -> Result<Option<Change>, Refusal> {
        let limits = self.config.limits.clone();
        let Some(topic) = self.topics.get_mut(topic_name) else {
            return Err(Refusal::new(Code::UnknownTopic, format!("there is no topic {topic_name}")));
        };
        if let Some(rules) = self.config.rules.as_ref().filter(|_| author.connection.is_some()) {
            rules.check(&Proposed { topic_name, value: &topic.value, change, by: author.client })?;
        }
        let inverse = topic.value.apply(change, &limits)?;
        let Some(back) = &inverse else {
            return Ok(None);
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
            return Ok(inverse);
        };
        self.weight = (self.weight + before).saturating_sub(topic.weight);
        topic.weight = before;
        topic.value.apply(back, &limits).expect("an inverse applies to the value it was made on");
        Err(full)
    }

    /// Undoes what [`Self::apply`] did.
    pub(crate) fn take_back(&mut self, action: &Action<'_>, inverses: Vec<Option<Change>>) {
        for (part, inverse) in action.parts.iter().zip(inverses).rev() {
            let (Some(inverse), Some(topic)) = (inverse, self.topics.get_mut(&part.topic_name)) else {
                continue;
            };
            let before = topic.weight;
            topic.weight = (before + inverse.weight()).saturating_sub(part.change.weight());
            self.weight = (self.weight + topic.weight).saturating_sub(before);
            topic.value.apply(&inverse, &self.config.limits).expect("an inverse applies to the value it was made on");
        }
    }

    /// Gives an applied action its place and tells everyone.
    fn commit(&mut self, action: Action<'_>, inverses: Vec<Option<Change>>) {
        let sequence = self.sequence.next();
        self.sequence = sequence;
        self.tally.commits += 1;
        let parts: Vec<Committed> = action
            .parts
            .into_iter()
            .zip(inverses)
            .map(|(part, inverse)| {
                let previous = self.topics.get(&part.topic_name).map(|topic| topic.sequence).unwrap_or_default();
                Committed { topic_name: part.topic_name, id: part.id, change: part.change, inverse, previous }
            })
            .collect();
        for part in &parts {
            if let Some(topic) = self.topics.get_mut(&part.topic_name) {
                topic.sequence = sequence;
            }
            if let (Change::Presence(_), Some(connection)) = (&part.change, action.author.connection) {
                self.note_presence(connection, &part.topic_name, action.author.client);
            }
            self.topic_touched(&part.topic_name);
        }
        let audience = self.publish(&action.author, action.id.as_ref(), sequence, &parts);
        if self.observes(Observe::Commits) {
            let changes = parts.into_iter().map(|part| self.committed_change(part)).collect();
            let commit = Commit {
                sequence,
                by: action.author.client,
                action_id: action.id,
                changes,
                validated_by: action.validated_by,
                submitted_at: action.submitted_at,
                audience,
                author: action.author.connection,
            };
            self.out.push(Effect::Observed(Box::new(Observation::Committed(commit))));
        }
    }

    fn committed_change(&self, part: Committed) -> CommittedChange {
        let Committed { topic_name, id, change, previous, .. } = part;
        let topic_type = self.topics.get(&topic_name).map_or(TopicType::Generic, |topic| topic.value.kind());
        CommittedChange { topic_name, topic_type, id, change, previous }
    }

    /// Commits a change that the server itself makes, such as the end of a presence.
    pub(crate) fn commit_own(&mut self, topic_name: &TopicName, change: Change) {
        self.next_change += 1;
        let id = ChangeId::Text(format!("_chatroom/change/{}", self.next_change).into());
        let raw = Cow::Borrowed(RawValue::NULL);
        let part = Part { topic_name: topic_name.clone(), id, change, raw };
        let action =
            Action { author: Author::SERVER, id: None, parts: vec![part], submitted_at: self.now, validated_by: None };
        if let Ok(inverses) = self.apply(&action) {
            self.commit(action, inverses);
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
