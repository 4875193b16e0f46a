//! A topic: a value, where it stands in the order, and who follows it.

use std::sync::Arc;

use chatroom_protocol::change::{ChangeId, WireSet};
use chatroom_protocol::message::TopicOptions;
use chatroom_protocol::reply::UpdateChange;
use chatroom_protocol::{Code, Dialect, Frame, Refusal, Sequence, ServerMessage, TopicName, TopicType, TopicValue};

use crate::effect::{Class, Delivery, Effect};
use crate::fanout::Subscribers;
use crate::history::Past;
use crate::input::{ConnectionId, Time};
use crate::room::Room;

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) value: TopicValue,
    /// The last commit that touched it; 0 if none did.
    pub(crate) sequence: Sequence,
    /// About how many bytes the value takes.
    pub(crate) weight: usize,
    pub(crate) subscribers: Arc<Subscribers>,
    /// What was committed to it lately.
    pub(crate) past: Past,
    /// Where the room stood when it was made: a client that knows less knows another topic.
    pub(crate) made: Sequence,
    /// Whether the journal knows it.
    pub(crate) recorded: bool,
    /// Whether a journal keeps it, if its type is kept at all.
    pub(crate) persist: bool,
    /// How long it lives without subscribers.
    pub(crate) ttl_ms: Option<u64>,
    /// When it is deleted unless somebody subscribes before.
    pub(crate) expires_at: Option<Time>,
    /// Its own name, in the form deliveries carry it.
    pub(crate) names: Arc<[TopicName]>,
}

impl Topic {
    pub(crate) fn new(name: TopicName, kind: TopicType, made: Sequence) -> Self {
        Self {
            value: TopicValue::zero(kind),
            sequence: Sequence::default(),
            weight: 0,
            subscribers: Arc::default(),
            past: Past::default(),
            made,
            recorded: false,
            persist: true,
            ttl_ms: None,
            expires_at: None,
            names: Arc::new([name]),
        }
    }

    /// Whether a journal keeps it.
    pub(crate) fn is_kept(&self) -> bool {
        self.persist && self.value.kind().is_journaled()
    }

    /// Whether anything would be lost if the topic were forgotten.
    fn holds_something(&self) -> bool {
        match &self.value {
            TopicValue::Event => false,
            TopicValue::Presence(entries) => !entries.is_empty(),
            _ => self.sequence > Sequence::default(),
        }
    }
}

impl Room {
    pub(crate) fn subscribe(
        &mut self,
        connection: ConnectionId,
        name: &TopicName,
        kind: Option<TopicType>,
        options: TopicOptions,
    ) -> Result<(), Refusal> {
        if self.attach(connection, name, kind, options)? {
            self.send_value(connection, name);
        }
        Ok(())
    }

    /// Makes a connection a topic's subscriber; true unless it is a special topic, which tells its
    /// value by itself.
    pub(crate) fn attach(
        &mut self,
        connection: ConnectionId,
        name: &TopicName,
        kind: Option<TopicType>,
        options: TopicOptions,
    ) -> Result<bool, Refusal> {
        let Some(session) = self.sessions.get(&connection) else {
            return Ok(false);
        };
        let dialect = session.dialect;
        if !session.subscriptions.contains(name)
            && session.subscriptions.len() >= self.config.limits.subscriptions_per_client
        {
            return Err(Refusal::new(
                Code::LimitReached,
                format!("a client has at most {} subscriptions", self.config.limits.subscriptions_per_client),
            ));
        }
        if name.is_reserved() {
            return self.subscribe_special(connection, name, kind).map(|()| false);
        }
        match self.topics.get(name) {
            Some(topic) => {
                let there = topic.value.kind();
                if let Some(kind) = kind.filter(|kind| *kind != there) {
                    return Err(Refusal::new(
                        Code::TypeMismatch,
                        format!("the topic {name} has the type {there}, not {kind}; subscribe with {there}"),
                    ));
                }
            }
            None => self.create_topic(name, kind, options)?,
        }
        let Some(topic) = self.topics.get_mut(name) else {
            return Ok(false);
        };
        Arc::make_mut(&mut topic.subscribers).insert(connection, dialect);
        if let Some(at) = topic.expires_at.take() {
            self.expiries.remove(&(at, name.clone()));
        }
        if let Some(session) = self.sessions.get_mut(&connection) {
            self.subscriptions += usize::from(session.subscriptions.insert(name.clone()));
        }
        self.topic_touched(name);
        Ok(true)
    }

    fn create_topic(
        &mut self,
        name: &TopicName,
        kind: Option<TopicType>,
        options: TopicOptions,
    ) -> Result<(), Refusal> {
        let Some(kind) = kind else {
            return Err(Refusal::new(
                Code::UnknownTopic,
                format!("there is no topic {name}; subscribe with a type to create it"),
            ));
        };
        if self.topics.len() >= self.config.limits.topics_per_room {
            return Err(Refusal::new(
                Code::LimitReached,
                format!("a room has at most {} topics", self.config.limits.topics_per_room),
            ));
        }
        if self.deleted_at == Some(self.sequence) {
            // Who stands here may know another topic of that name: this one begins a place later.
            self.sequence = self.sequence.next();
        }
        let TopicOptions { persist, ttl_ms } = options;
        let topic = Topic::new(name.clone(), kind, self.sequence);
        self.topics.insert(name.clone(), Topic { persist: persist.unwrap_or(true), ttl_ms, ..topic });
        self.set_status(format!("topic {name} created"));
        Ok(())
    }

    /// Sends a topic's value to one subscriber.
    pub(crate) fn send_value(&mut self, connection: ConnectionId, name: &TopicName) {
        let (Some(session), Some(topic)) = (self.sessions.get(&connection), self.topics.get(name)) else {
            return;
        };
        let frame = snapshot(session.dialect, name, &topic.value, self.sequence);
        let delivery = Delivery { class: Class::Snapshot, topics: topic.names.clone() };
        self.out.push(Effect::Send { to: connection, frames: frame.bytes().clone(), delivery });
    }

    pub(crate) fn unsubscribe(&mut self, connection: ConnectionId, name: &TopicName) {
        let Some(session) = self.sessions.get_mut(&connection) else {
            return;
        };
        if !session.subscriptions.remove(name) {
            return;
        }
        self.subscriptions -= 1;
        if name.is_reserved() {
            self.unsubscribe_special(connection, name);
            return;
        }
        if let Some(topic) = self.topics.get_mut(name) {
            Arc::make_mut(&mut topic.subscribers).remove(connection);
        }
        self.topic_touched(name);
        self.forget_if_empty(name);
    }

    /// A topic that was never changed is forgotten with its last subscriber.
    pub(crate) fn forget_if_empty(&mut self, name: &TopicName) {
        let Some(topic) = self.topics.get(name) else {
            return;
        };
        if topic.subscribers.is_empty() && !topic.holds_something() && !self.validation_waits(name) {
            if let Some(topic) = self.topics.remove(name) {
                self.forget_past(&topic.past);
            }
            self.guard_forgotten(name);
            self.topic_touched(name);
            return;
        }
        self.expire_later(name);
    }

    /// A topic that nobody is subscribed to has so long to live.
    pub(crate) fn expire_later(&mut self, name: &TopicName) {
        let Some(topic) = self.topics.get_mut(name).filter(|it| it.subscribers.is_empty() && it.expires_at.is_none())
        else {
            return;
        };
        if let Some(ttl_ms) = topic.ttl_ms {
            let at = self.now.after_ms(ttl_ms);
            topic.expires_at = Some(at);
            self.expiries.insert((at, name.clone()));
        }
    }

    /// Deletes the topics whose time has come.
    pub(crate) fn expire_topics(&mut self) {
        while let Some((at, name)) = self.expiries.first().filter(|(at, _)| *at <= self.now).cloned() {
            self.expiries.remove(&(at, name.clone()));
            if let Some(topic) = self.topics.get_mut(&name) {
                topic.expires_at = None;
            }
            // What cannot be deleted now is tried again.
            if self.validation_waits(&name) || self.delete_topic(&name).is_err() {
                self.expire_later(&name);
            }
        }
    }

    /// Deletes a topic and tells its subscribers.
    pub(crate) fn delete_topic(&mut self, name: &TopicName) -> Result<(), Refusal> {
        self.refuses(name)?;
        let Some(topic) = self.topics.remove(name) else {
            return Err(Refusal::new(Code::UnknownTopic, format!("there is no topic {name}")));
        };
        if let Some(at) = topic.expires_at {
            self.expiries.remove(&(at, name.clone()));
        }
        self.weight = self.weight.saturating_sub(topic.weight);
        self.forget_past(&topic.past);
        self.bury(name, topic.recorded);
        self.deleted_at = Some(self.sequence);
        let refusal = Refusal::new(Code::TopicDeleted, format!("the topic {name} was deleted"));
        for connection in topic.subscribers.all() {
            if let Some(session) = self.sessions.get_mut(&connection) {
                self.subscriptions -= usize::from(session.subscriptions.remove(name));
            }
            self.complain(connection, &refusal, &crate::session::About::subscription(name));
        }
        if matches!(topic.value, TopicValue::Presence(_)) {
            for session in self.sessions.values_mut() {
                session.presences.remove(name);
            }
        }
        self.refuse_waiting(name, &Refusal::new(Code::UnknownTopic, format!("the topic {name} was deleted")));
        self.guard_forgotten(name);
        self.topic_touched(name);
        self.set_status(format!("topic {name} deleted"));
        Ok(())
    }
}

/// The message that tells one client where a topic stands.
pub(crate) fn snapshot(dialect: Dialect, name: &TopicName, value: &TopicValue, sequence: Sequence) -> Frame {
    match dialect {
        Dialect::Seed => {
            let id = ChangeId::Text(format!("_chatroom/{}", sequence.0).into());
            ServerMessage::Update {
                topic_name: name.as_str(),
                change: UpdateChange::Set(WireSet { value, id: &id }),
                place: None,
            }
            .frame()
        }
        Dialect::V1 => {
            ServerMessage::Subscribed { topic_name: name.as_str(), r#type: value.kind(), value, sequence }.frame()
        }
    }
}
