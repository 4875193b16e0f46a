//! This client's own entries in presence topics: written again after every reconnect, because the
//! room forgets a client's entries with the client.

use std::collections::BTreeMap;

use chatroom_protocol::{ClientId, TopicName, TopicType, TopicValue};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::action::Draft;
use crate::core::Core;
use crate::kind::Presence;
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
    /// Keeps what was just put into presence topics, to be put there again.
    pub(crate) fn remember_presence(&mut self, topics: &[TopicName]) {
        self.note_presence(topics, false);
    }

    /// What was refused is not put there again; what stands there is.
    pub(crate) fn presence_refused(&mut self, topics: &[TopicName]) {
        self.note_presence(topics, true);
    }

    fn note_presence(&mut self, topics: &[TopicName], refused: bool) {
        for topic in topics.iter().filter(|topic| self.replica.kind(topic) == Some(TopicType::Presence)) {
            let mine = self.replica.own_entry(topic);
            if let Some(entry) = self.topics.get_mut(topic) {
                entry.mine = match mine {
                    Some(mine) => mine,
                    None if refused => None,
                    None => continue,
                };
            }
        }
    }

    /// Puts the own entry into a topic again: the room took it out when the connection went.
    pub(crate) fn restore_presence(&mut self, name: &TopicName) {
        if let Some(value) = self.topics.get(name).and_then(|entry| entry.mine.clone()) {
            let draft = Draft::json(json!({"type": "put", "value": value}));
            self.act(None, vec![(name.clone(), draft)], false);
        }
    }

    /// Takes the own entry out of a topic that this client leaves.
    pub(crate) fn clear_presence(&mut self, name: &TopicName) {
        if self.session.is_some() {
            self.act(None, vec![(name.clone(), Draft::json(json!({"type": "pop"})))], false);
        }
    }
}
