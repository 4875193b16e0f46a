//! What lies under `_chatroom/`: topics that the server derives, and services of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chatroom_protocol::change::{ChangeId, DictChange, StringChange, WireChange};
use chatroom_protocol::envelope::Fields;
use chatroom_protocol::reply::{Place, UpdateChange};
use chatroom_protocol::{
    Change, ClientId, Code, Refusal, Sequence, ServerMessage, ServiceName, TopicName, TopicType, TopicValue,
};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::effect::{Class, Delivery, Effect};
use crate::fanout::Subscribers;
use crate::input::{ConnectionId, Time};
use crate::observe::{Observation, Observe};
use crate::room::Room;
use crate::service::Asked;
use crate::session::Session;
use crate::topic::snapshot;

const SERVER_STATUS: &str = "_chatroom/server_status";
const CLIENT_MESSAGE: &str = "_chatroom/client_message/";
/// How long updates of the derived dicts are gathered.
const GATHER_MS: u64 = 100;

/// The derived dicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derived {
    Topics,
    Services,
    Clients,
}

impl Derived {
    const ALL: [Self; 3] = [Self::Topics, Self::Services, Self::Clients];

    fn name(self) -> &'static str {
        match self {
            Self::Topics => "_chatroom/topics",
            Self::Services => "_chatroom/services",
            Self::Clients => "_chatroom/clients",
        }
    }
}

/// A special topic's followers, and its commit before the next.
#[derive(Debug, Default)]
struct Feed {
    subscribers: Arc<Subscribers>,
    sequence: Sequence,
}

/// A derived dict: kept only while somebody follows it.
#[derive(Debug, Default)]
struct Listing {
    feed: Feed,
    sent: BTreeMap<String, Value>,
    dirty: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub(crate) struct System {
    status: String,
    status_feed: Feed,
    listings: [Listing; 3],
    flushed: Time,
    pub(crate) flush_at: Option<Time>,
}

/// What a client was told about its own messages.
#[derive(Debug, Default)]
pub(crate) struct ClientMessages {
    last: String,
    sequence: Sequence,
    followed: bool,
}

impl Room {
    pub(crate) fn subscribe_special(
        &mut self,
        connection: ConnectionId,
        name: &TopicName,
        kind: Option<TopicType>,
    ) -> Result<(), Refusal> {
        let right = self.special_type(connection, name)?;
        if let Some(kind) = kind.filter(|kind| *kind != right) {
            return Err(Refusal::new(
                Code::TypeMismatch,
                format!("the topic {name} has the type {right}, not {kind}; subscribe with {right}"),
            ));
        }
        let Some(session) = self.sessions.get_mut(&connection) else {
            return Ok(());
        };
        self.subscriptions += usize::from(session.subscriptions.insert(name.clone()));
        let dialect = session.dialect;
        if name.as_str() == SERVER_STATUS {
            Arc::make_mut(&mut self.system.status_feed.subscribers).insert(connection, dialect);
        } else if let Some(derived) = derived(name.as_str()) {
            self.flush_listing(derived);
            if self.system.listings[derived as usize].feed.subscribers.is_empty() {
                let entries = self.listing(derived);
                self.system.listings[derived as usize].sent = entries;
            }
            Arc::make_mut(&mut self.system.listings[derived as usize].feed.subscribers).insert(connection, dialect);
        } else {
            session.messages.followed = true;
        }
        self.send_special(connection, name);
        Ok(())
    }

    pub(crate) fn unsubscribe_special(&mut self, connection: ConnectionId, name: &TopicName) {
        if name.as_str() == SERVER_STATUS {
            Arc::make_mut(&mut self.system.status_feed.subscribers).remove(connection);
        } else if let Some(derived) = derived(name.as_str()) {
            let listing = &mut self.system.listings[derived as usize];
            Arc::make_mut(&mut listing.feed.subscribers).remove(connection);
            if listing.feed.subscribers.is_empty() {
                listing.sent.clear();
                listing.dirty.clear();
            }
        } else if let Some(session) = self.sessions.get_mut(&connection) {
            session.messages.followed = false;
        }
    }

    /// The type of a special topic that this client may read.
    fn special_type(&self, connection: ConnectionId, name: &TopicName) -> Result<TopicType, Refusal> {
        if name.as_str() == SERVER_STATUS {
            return Ok(TopicType::String);
        }
        if derived(name.as_str()).is_some() {
            return Ok(TopicType::Dict);
        }
        let client = self.sessions.get(&connection).map(|session| session.client.to_string());
        match name.as_str().strip_prefix(CLIENT_MESSAGE) {
            Some(owner) if Some(owner) == client.as_deref() => Ok(TopicType::String),
            Some(_) => Err(Refusal::new(
                Code::Forbidden,
                format!(
                    "{name} is for that client alone; this client's is {CLIENT_MESSAGE}{}",
                    client.unwrap_or_default()
                ),
            )),
            None => Err(Refusal::new(
                Code::Forbidden,
                format!("there is no special topic {name}, and names under _chatroom/ belong to the server"),
            )),
        }
    }

    fn special_value(&self, connection: ConnectionId, name: &TopicName) -> TopicValue {
        if name.as_str() == SERVER_STATUS {
            return TopicValue::String(self.system.status.clone().into());
        }
        if let Some(derived) = derived(name.as_str()) {
            let listing = &self.system.listings[derived as usize];
            let followed = !listing.feed.subscribers.is_empty();
            return TopicValue::Dict(if followed { listing.sent.clone() } else { self.listing(derived) });
        }
        let told = self.sessions.get(&connection).map(|session| session.messages.last.clone());
        TopicValue::String(told.unwrap_or_default().into())
    }

    /// Sends a special topic's value to one follower.
    pub(crate) fn send_special(&mut self, connection: ConnectionId, name: &TopicName) {
        let Some(dialect) = self.sessions.get(&connection).map(|session| session.dialect) else {
            return;
        };
        let value = self.special_value(connection, name);
        let frames = snapshot(dialect, name, &value, self.sequence).bytes().clone();
        let delivery = Delivery { class: Class::Snapshot, topics: Arc::new([name.clone()]) };
        self.out.push(Effect::Send { to: connection, frames, delivery });
    }

    /// The room's nearest event, in words.
    pub(crate) fn set_status(&mut self, status: String) {
        self.observe(|_| Observation::Status(status.clone()));
        self.system.status.clone_from(&status);
        if !self.system.status_feed.subscribers.is_empty() {
            let sequence = self.own_sequence();
            let previous = std::mem::replace(&mut self.system.status_feed.sequence, sequence);
            let to = self.system.status_feed.subscribers.clone();
            self.announce(
                to,
                SERVER_STATUS,
                &Change::String(StringChange::Set(status)),
                Place { sequence, previous, by: ClientId::SERVER },
            );
        }
    }

    /// Writes a client's own `client_message` topic.
    pub(crate) fn tell_client(&mut self, connection: ConnectionId, text: String) {
        let Some(session) = self.sessions.get_mut(&connection) else {
            return;
        };
        session.messages.last.clone_from(&text);
        let (client, greeted) = (session.client, session.greeted);
        if greeted {
            self.observe(|_| Observation::Told { client, text: text.clone() });
        }
        let Some(session) = self.sessions.get_mut(&connection) else {
            return;
        };
        if !session.messages.followed {
            return;
        }
        let dialect = session.dialect;
        let sequence = self.own_sequence();
        let Some(session) = self.sessions.get_mut(&connection) else {
            return;
        };
        let previous = std::mem::replace(&mut session.messages.sequence, sequence);
        let mut to = Subscribers::default();
        to.insert(connection, dialect);
        let name = format!("{CLIENT_MESSAGE}{client}");
        self.announce(
            Arc::new(to),
            &name,
            &Change::String(StringChange::Set(text)),
            Place { sequence, previous, by: ClientId::SERVER },
        );
    }

    /// Special topics take their place in the order too.
    fn own_sequence(&mut self) -> Sequence {
        self.sequence = self.sequence.next();
        self.sequence
    }

    fn announce(&mut self, to: Arc<Subscribers>, name: &str, change: &Change, place: Place) {
        let Ok(topic) = TopicName::parse(name) else {
            return;
        };
        let id = ChangeId::Text(format!("_chatroom/{}", place.sequence.0).into());
        let update = |place| {
            ServerMessage::Update {
                topic_name: name,
                change: UpdateChange::Change(WireChange { change, id: &id }),
                place,
            }
            .frame()
            .bytes()
            .clone()
        };
        let seed = (!to.seed.is_empty()).then(|| update(None));
        let v1 = (!to.v1.is_empty()).then(|| update(Some(place)));
        let delivery = Delivery { class: Class::State, topics: Arc::new([topic]) };
        self.out.push(Effect::Broadcast { to, skip: None, seed, v1, delivery });
    }

    pub(crate) fn topic_touched(&mut self, name: &TopicName) {
        if self.observes(Observe::Everything) {
            self.touched.topics.insert(name.to_string());
        }
        self.touched(Derived::Topics, || name.to_string());
    }

    pub(crate) fn service_touched(&mut self, name: &ServiceName) {
        if self.observes(Observe::Everything) {
            self.touched.services.insert(name.to_string());
        }
        self.touched(Derived::Services, || name.to_string());
    }

    pub(crate) fn client_touched(&mut self, client: ClientId) {
        self.touched(Derived::Clients, || client.to_string());
    }

    fn touched(&mut self, derived: Derived, key: impl FnOnce() -> String) {
        let listing = &mut self.system.listings[derived as usize];
        if listing.feed.subscribers.is_empty() {
            return;
        }
        listing.dirty.insert(key());
        let next = self.system.flushed.after_ms(GATHER_MS).max(self.now);
        self.system.flush_at.get_or_insert(next);
    }

    /// Sends what the derived dicts gathered, when it is time.
    pub(crate) fn flush_listings(&mut self) {
        if self.system.flush_at.is_some_and(|at| at <= self.now) {
            self.system.flush_at = None;
            self.system.flushed = self.now;
            for derived in Derived::ALL {
                self.flush_listing(derived);
            }
        }
    }

    fn flush_listing(&mut self, derived: Derived) {
        for key in std::mem::take(&mut self.system.listings[derived as usize].dirty) {
            let entry = self.entry(derived, &key);
            let listing = &mut self.system.listings[derived as usize];
            let change = match entry {
                Some(value) if listing.sent.get(&key) != Some(&value) => {
                    listing.sent.insert(key.clone(), value.clone());
                    DictChange::Put(key, value)
                }
                None if listing.sent.remove(&key).is_some() => DictChange::Pop(key),
                _ => continue,
            };
            let sequence = self.own_sequence();
            let listing = &mut self.system.listings[derived as usize];
            let previous = std::mem::replace(&mut listing.feed.sequence, sequence);
            let to = listing.feed.subscribers.clone();
            self.announce(
                to,
                derived.name(),
                &Change::Dict(change),
                Place { sequence, previous, by: ClientId::SERVER },
            );
        }
    }

    fn listing(&self, derived: Derived) -> BTreeMap<String, Value> {
        let keys: BTreeSet<String> = match derived {
            Derived::Topics => self.topics.keys().map(ToString::to_string).collect(),
            Derived::Services => self.services.keys().map(ToString::to_string).collect(),
            Derived::Clients => self.others().map(|session| session.client.to_string()).collect(),
        };
        keys.into_iter().filter_map(|key| self.entry(derived, &key).map(|entry| (key, entry))).collect()
    }

    /// All sessions but the server's own.
    fn others(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter(|session| !session.client.is_server())
    }

    fn entry(&self, derived: Derived, key: &str) -> Option<Value> {
        match derived {
            Derived::Topics => self.topics.get(key).map(|topic| {
                json!({
                    "type": topic.value.kind().name(),
                    "subscribers": topic.subscribers.len(),
                    "sequence": topic.sequence.0,
                })
            }),
            Derived::Services => self.services.get(key).map(|service| {
                json!({
                    "pick": service.pick.name(),
                    "providers": service.providers.len(),
                    "in_flight": service.providers.iter().map(|provider| provider.in_flight).sum::<u32>(),
                    "waiting": service.waiting.len(),
                })
            }),
            Derived::Clients => {
                let session = self.others().find(|session| session.greeted && session.client.to_string() == key)?;
                let mut entry = json!({ "dialect": session.dialect.name(), "since_ms": session.since.0 });
                for (field, label) in [("name", &session.label.name), ("version", &session.label.version)] {
                    if let Some(label) = label {
                        entry[field] = json!(label);
                    }
                }
                Some(entry)
            }
        }
    }

    /// Answers a call to one of the server's own services.
    pub(crate) fn call_special(&mut self, asked: &Asked<'_>) {
        let Asked { connection, service_name: name, args, request_id, .. } = *asked;
        let result = match name.as_str() {
            "_chatroom/get" => self.get(asked),
            "_chatroom/history" => self.past_commits(asked),
            "_chatroom/delete_topic" => self.delete(args).map(Some),
            "_chatroom/time" => Ok(Some(json_text(&json!({ "unix_ms": self.now.0 })))),
            _ => Err(Refusal::new(
                Code::Forbidden,
                format!(
                    "{name} is not for clients; of the services under _chatroom/ they may call get, history, delete_topic and time"
                ),
            )),
        };
        match result {
            // It is answered when the journal was read.
            Ok(None) => {}
            Ok(Some(response)) => {
                let response =
                    ServerMessage::Response { response: &response, request_id, error: None, maybe_executed: None };
                self.reply(connection, &response);
            }
            Err(refusal) => self.respond_refusal(connection, request_id, &refusal, false),
        }
    }

    fn get(&mut self, asked: &Asked<'_>) -> Result<Option<Box<RawValue>>, Refusal> {
        let Asked { connection, args, .. } = *asked;
        let fields = Fields::parse(args.get(), "args must be {\"topic_name\": name, \"at\"?: sequence}")?;
        let name = TopicName::parse(&fields.require_text("topic_name")?)?;
        if let Some(at) = fields.count("at")? {
            return self.past_value(asked, name, Sequence(at));
        }
        if name.is_reserved() {
            let kind = self.special_type(connection, &name)?;
            let value = self.special_value(connection, &name);
            return Ok(Some(json_text(&Got { r#type: kind, value: &value, sequence: self.sequence })));
        }
        let topic = self
            .topics
            .get(&name)
            .ok_or_else(|| Refusal::new(Code::UnknownTopic, format!("there is no topic {name}")))?;
        Ok(Some(json_text(&Got { r#type: topic.value.kind(), value: &topic.value, sequence: topic.sequence })))
    }

    fn delete(&mut self, args: &RawValue) -> Result<Box<RawValue>, Refusal> {
        let name = topic_name(args)?;
        if name.is_reserved() {
            return Err(Refusal::new(Code::Forbidden, format!("{name} belongs to the server")));
        }
        self.delete_topic(&name)?;
        Ok(RawValue::NULL.to_owned())
    }

    /// Sends a reader that had been too slow the values it missed changes of.
    pub(crate) fn drained(&mut self, connection: ConnectionId, topics: Vec<TopicName>) {
        for name in topics {
            if !self.sessions.get(&connection).is_some_and(|session| session.subscriptions.contains(&name)) {
                continue;
            }
            if name.is_reserved() {
                self.send_special(connection, &name);
            } else {
                self.send_value(connection, &name);
            }
        }
    }
}

/// The answer of `_chatroom/get`.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Got<'a> {
    pub(crate) r#type: TopicType,
    pub(crate) value: &'a TopicValue,
    /// The topic's last commit.
    pub(crate) sequence: Sequence,
}

fn derived(name: &str) -> Option<Derived> {
    Derived::ALL.into_iter().find(|derived| derived.name() == name)
}

fn topic_name(args: &RawValue) -> Result<TopicName, Refusal> {
    let fields = Fields::parse(args.get(), "args must be {\"topic_name\": name}")?;
    TopicName::parse(&fields.require_text("topic_name")?)
}

pub(crate) fn json_text(value: &impl serde::Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("our own values have a JSON form")
}
