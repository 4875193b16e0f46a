//! What outlives the program: the session, the values, and the own actions without an outcome.
//!
//! A replica made of it is as one that lost its connection: it goes on with the session, what was
//! missed comes in, and what has no outcome is sent again under the same numbers, so that each action
//! counts once. All three clients read and write the same form. What can be undone is not in it, nor
//! actions that wait for a value.

use std::sync::Arc;

use chatroom_protocol::change::RawChange;
use chatroom_protocol::message::Session;
use chatroom_protocol::{Change, ClientId, Code, Refusal, Sequence, TopicName, TopicType, TopicValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::PENDING_ACTIONS_MAX;
use crate::mirror::{Mirror, Own, Status, Tape};
use crate::own::{ActionId, Nature, Pending};
use crate::replica::Replica;

/// The form that is written; another one gets another number.
const VERSION: u32 = 1;

/// What a client is made of when its program starts again. Keep it as JSON, as secret as a password:
/// who has it can go on as this client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SavedSession>,
    /// The number of the last action whose outcome is known.
    acknowledged: u64,
    /// How many actions were on their way.
    sent: usize,
    topics: Vec<SavedTopic>,
    actions: Vec<SavedAction>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedSession {
    id: u64,
    secret: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedTopic {
    topic_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    /// Up to where the confirmed value is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedAction {
    changes: Vec<SavedChange>,
    /// The topics that it named when it was sent last.
    #[serde(skip_serializing_if = "Option::is_none")]
    named: Option<Vec<String>>,
    tracked: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedChange {
    topic_name: String,
    change: Value,
    /// Whether its place in the value is known to the server alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lost: bool,
}

/// A value that is `null` is there all the same.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Replica {
    /// What this client is made of when its program starts again.
    #[must_use]
    pub fn save(&self) -> Saved {
        let kept = self.mirrors.iter().filter(|(_, mirror)| {
            !mirror.own.is_empty() || (mirror.wanted && mirror.value.is_some() && !mirror.outdated && !mirror.is_lost())
        });
        let topics = kept.map(|(name, mirror)| saved_topic(name, mirror)).collect();
        let session = self.session.as_ref();
        Saved {
            version: VERSION,
            session: session.map(|it| SavedSession { id: it.id.0, secret: it.secret.clone() }),
            acknowledged: self.acknowledged,
            sent: self.sent,
            topics,
            actions: self.actions.iter().map(|action| self.saved_action(action)).collect(),
        }
    }

    fn saved_action(&self, action: &Pending) -> SavedAction {
        let own = |name: &TopicName| {
            let mirror = self.mirrors.get(name);
            let own = mirror.into_iter().flat_map(|mirror| &mirror.own).filter(|own| own.action == action.id);
            own.map(|own| (name.clone(), own)).collect::<Vec<_>>()
        };
        let mut changes: Vec<(TopicName, &Own)> = action.topics.iter().flat_map(own).collect();
        changes.sort_by_key(|(_, own)| own.part);
        let saved = |(name, own): (TopicName, &Own)| {
            let change = serde_json::to_value(own.change.as_ref()?).ok()?;
            Some(SavedChange { topic_name: name.to_string(), change, lost: own.lost })
        };
        SavedAction {
            changes: changes.into_iter().filter_map(saved).collect(),
            named: action.named.as_ref().map(|named| named.iter().map(ToString::to_string).collect()),
            tracked: matches!(action.nature, Nature::Made { tracked: true, .. }),
        }
    }

    /// A replica that goes on where another one was saved. Topics that it had are wanted until they are
    /// released.
    ///
    /// # Errors
    /// What in it is not what [`Replica::save`] writes.
    pub fn restore(saved: &Saved) -> Result<Self, Refusal> {
        let wrong = |why: String| Refusal::new(Code::BadType, format!("the saved session: {why}"));
        if saved.version != VERSION {
            let found = saved.version;
            return Err(Refusal::new(
                Code::Unsupported,
                format!("the saved session is of version {found}; this client reads version {VERSION}"),
            ));
        }
        if saved.sent > saved.actions.len() || saved.actions.len() > PENDING_ACTIONS_MAX {
            return Err(wrong("it has another number of actions than it says".into()));
        }
        let session = saved.session.as_ref();
        let mut replica = Self {
            session: session.map(|it| Session { id: ClientId(it.id), secret: it.secret.clone() }),
            client: session.map(|it| ClientId(it.id)),
            acknowledged: saved.acknowledged,
            sent: saved.sent,
            ..Self::default()
        };
        for topic in &saved.topics {
            let name = TopicName::parse(&topic.topic_name)?;
            let mirror = restored(topic).map_err(|refusal| wrong(refusal.to_string()))?;
            replica.dirty.insert(name.clone());
            replica.mirrors.insert(name, mirror);
        }
        for action in &saved.actions {
            replica.restore_action(action).map_err(|refusal| wrong(refusal.to_string()))?;
        }
        for mirror in replica.mirrors.values_mut() {
            mirror.replay(0, &mut Tape::default());
        }
        Ok(replica)
    }

    fn restore_action(&mut self, action: &SavedAction) -> Result<(), Refusal> {
        self.next_action += 1;
        let id = ActionId(self.next_action);
        let mut topics = Vec::new();
        for (part, SavedChange { topic_name, change, lost }) in action.changes.iter().enumerate() {
            let name = TopicName::parse(topic_name)?;
            let missing = || Refusal::new(Code::BadType, format!("it has a change of {name}, and not the topic"));
            let me = self.client.unwrap_or(ClientId::SERVER);
            let mirror = self.mirrors.get_mut(&name).ok_or_else(missing)?;
            let change = read_change(change, mirror.kind.ok_or_else(missing)?, me)?;
            mirror.own.push_back(Own {
                action: id,
                part,
                change: Some(change),
                back: None,
                applied: false,
                lost: *lost,
            });
            if !topics.contains(&name) {
                topics.push(name);
            }
        }
        let named = action.named.as_ref().map(|named| named.iter().map(|name| TopicName::parse(name)).collect());
        let named: Option<Vec<TopicName>> = named.transpose()?;
        for name in named.iter().flatten() {
            if !topics.contains(name) {
                topics.push(name.clone());
            }
        }
        let nature = Nature::Made { tracked: action.tracked, group: None, at_ms: 0 };
        self.actions.push_back(Pending { id, nature, topics, named, joined: Vec::new() });
        Ok(())
    }

    /// The topics that there are.
    pub fn names(&self) -> impl Iterator<Item = &TopicName> {
        self.mirrors.keys()
    }
}

fn saved_topic(name: &TopicName, mirror: &Mirror) -> SavedTopic {
    let value = mirror.confirmed().filter(|_| !mirror.outdated);
    SavedTopic {
        topic_name: name.to_string(),
        r#type: mirror.kind.map(|kind| kind.name().to_owned()),
        sequence: value.as_ref().map(|_| mirror.position.0),
        value: value.and_then(|value| serde_json::to_value(&*value).ok()),
    }
}

fn restored(topic: &SavedTopic) -> Result<Mirror, Refusal> {
    let mut mirror = Mirror::new();
    mirror.wanted = true;
    mirror.kind = topic.r#type.as_deref().map(TopicType::parse).transpose()?;
    if let (Some(kind), Some(value)) = (mirror.kind, &topic.value) {
        mirror.value = Some(Arc::new(TopicValue::read(kind, &value.to_string())?));
        mirror.status = Status::Stale;
        mirror.position = Sequence(topic.sequence.unwrap_or_default());
    }
    Ok(mirror)
}

fn read_change(change: &Value, kind: TopicType, by: ClientId) -> Result<Change, Refusal> {
    let raw = serde_json::value::to_raw_value(change).map_err(|error| chatroom_protocol::json::refusal(&error))?;
    RawChange::parse(&raw)?.decode_committed(kind, by)
}
