//! This client's own entries in presence topics: written again after every reconnect, because the
//! room forgets a client's entries with the client.

use std::collections::BTreeMap;

use chatroom_protocol::change::RawChange;
use chatroom_protocol::{ChangeId, ClientId, ClientMessage, Limits, TopicName, TopicType, TopicValue};
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::action::Acting;
use crate::core::{Core, Queued};
use crate::kind::Presence;
use crate::replica::Part;
use crate::topic::Topic;

impl<T: DeserializeOwned + Send + 'static> Topic<Presence<T>> {
    /// This client's entry, as the room has it.
    #[must_use]
    pub fn mine(&self) -> Option<T> {
        let me = self.held.shared().with(|core| core.me())?;
        self.part(|value| match value {
            TopicValue::Presence(entries) => T::deserialize(entries.get(&me)?).ok(),
            _ => None,
        })
    }

    /// The entries of all others that have the shape of `T`; none before the topic is loaded.
    #[must_use]
    pub fn others(&self) -> BTreeMap<ClientId, T> {
        let me = self.held.shared().with(|core| core.me());
        let others = self.part(|value| match value {
            TopicValue::Presence(entries) => Some(
                entries
                    .iter()
                    .filter(|(client, _)| Some(**client) != me)
                    .filter_map(|(client, value)| Some((*client, T::deserialize(value).ok()?)))
                    .collect(),
            ),
            _ => None,
        });
        others.unwrap_or_default()
    }
}

impl Core {
    /// Keeps what was just sent, to be sent again.
    pub(crate) fn remember_presence(&mut self, id: &ChangeId, topics: &[TopicName]) {
        for topic in topics.iter().filter(|topic| self.replica.kind(topic) == Some(TopicType::Presence)) {
            let value = self.replica.part(id, topic).map(entry_of);
            if let (Some(entry), Some(value)) = (self.topics.get_mut(topic), value) {
                entry.mine = value;
            }
        }
    }

    /// What was refused is not sent again; what stood there before is.
    pub(crate) fn presence_refused(&mut self, topics: &[TopicName]) {
        let Some(me) = self.me() else {
            return;
        };
        for topic in topics {
            let Some(TopicValue::Presence(entries)) = self.replica.value(topic).as_deref().cloned() else {
                continue;
            };
            if let Some(entry) = self.topics.get_mut(topic) {
                entry.mine = entries.get(&me).and_then(|value| to_raw_value(value).ok());
            }
        }
    }

    /// The message that writes an own entry again.
    pub(crate) fn presence_text(&mut self, name: &TopicName) -> Option<String> {
        let value = self.topics.get(name)?.mine.clone()?;
        let id = self.change_id();
        let change = to_raw_value(&json!({"type": "put", "value": value, "id": id})).ok()?;
        let text = ClientMessage::Update { topic_name: name.clone(), change: &change, base: None }.text();
        self.replica.begin(&id, vec![Part { topic: name.clone(), change }]);
        self.actions.insert(id, Acting::unattended());
        Some(text)
    }

    /// Takes the own entry out of a topic that this client leaves.
    pub(crate) fn clear_presence(&mut self, name: &TopicName) {
        let id = self.change_id();
        let change = to_raw_value(&json!({"type": "pop", "id": id}));
        if let (Ok(change), true) = (change, self.session.is_some()) {
            let text = ClientMessage::Update { topic_name: name.clone(), change: &change, base: None }.text();
            self.queue.push_back(Queued::Once(text));
        }
    }
}

/// The value of a `put`; `None` for a `pop`.
fn entry_of(change: &RawValue) -> Option<Box<RawValue>> {
    use chatroom_protocol::{Change, change::PresenceChange};
    let decoded = RawChange::parse(change)
        .and_then(|raw| raw.decode(TopicType::Presence, ClientId::SERVER, &Limits::unlimited()));
    match decoded {
        Ok(Change::Presence(PresenceChange::Put(_, value))) => to_raw_value(&value).ok(),
        _ => None,
    }
}
