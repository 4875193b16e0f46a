//! Sessions: who a connection is, and which command its message becomes.

use std::collections::{BTreeMap, BTreeSet};

use chatroom_protocol::change::ChangeId;
use chatroom_protocol::envelope::Envelope;
use chatroom_protocol::heard::Resumption;
use chatroom_protocol::json;
use chatroom_protocol::message::{ClientLabel, HeldTopic, Session as Claim};
use chatroom_protocol::reply::{HelloV1, InReplyTo, goodbye};
use chatroom_protocol::{
    Change, ClientId, ClientMessage, Code, Dialect, Refusal, RequestId, ServerMessage, ServiceName, TopicName, V1_JSON,
    change::PresenceChange,
};
use serde_json::value::RawValue;

use crate::action::Author;
use crate::effect::{Delivery, Effect};
use crate::input::{ConnectionId, Time};
use crate::observe::Observation;
use crate::room::Room;
use crate::service::CallId;
use crate::system::ClientMessages;

#[derive(Debug)]
pub(crate) struct Session {
    /// 0 for the server itself, and for a client that has not said yet whether it was here before.
    pub(crate) client: ClientId,
    pub(crate) dialect: Dialect,
    /// Whether the hello is done.
    pub(crate) greeted: bool,
    pub(crate) since: Time,
    secret: [u8; 16],
    pub(crate) label: ClientLabel,
    pub(crate) subscriptions: BTreeSet<TopicName>,
    /// Presence topics in which it has an entry.
    pub(crate) presences: BTreeSet<TopicName>,
    /// What it provides.
    pub(crate) services: BTreeSet<ServiceName>,
    /// Its calls in flight, by its own ids.
    pub(crate) calls: BTreeMap<RequestId, CallId>,
    /// Calls of others that it was asked to answer.
    pub(crate) answering: BTreeSet<CallId>,
    pub(crate) messages: ClientMessages,
}

/// Which message a complaint is about.
#[derive(Debug, Default)]
pub(crate) struct About {
    kind: Option<String>,
    topic_name: Option<String>,
    service_name: Option<String>,
    request_id: Option<RequestId>,
    action_id: Option<ChangeId>,
}

impl About {
    pub(crate) fn message(kind: &str) -> Self {
        Self { kind: Some(kind.to_owned()), ..Self::default() }
    }

    fn topic(kind: &str, name: &TopicName) -> Self {
        Self { topic_name: Some(name.to_string()), ..Self::message(kind) }
    }

    fn service(kind: &str, name: &ServiceName) -> Self {
        Self { service_name: Some(name.to_string()), ..Self::message(kind) }
    }

    fn request(kind: &str, id: &RequestId) -> Self {
        Self { request_id: Some(id.clone()), ..Self::message(kind) }
    }

    pub(crate) fn call(name: &ServiceName, id: &RequestId) -> Self {
        Self { request_id: Some(id.clone()), ..Self::service("request", name) }
    }

    pub(crate) fn subscription(name: &TopicName) -> Self {
        Self::topic("subscribe", name)
    }

    /// As much as can be told of a message that was not understood.
    fn envelope(envelope: &Envelope<'_>) -> Self {
        let fields = &envelope.content;
        let named = |field| fields.text(field).ok().flatten().map(|name| shorten(&name));
        Self {
            kind: Some(shorten(&envelope.kind)),
            topic_name: named("topic_name"),
            service_name: named("service_name"),
            request_id: fields.get("request_id").and_then(|raw| RequestId::parse(raw, "request_id").ok()),
            action_id: fields.get("action_id").and_then(|raw| ChangeId::parse(raw, "action_id").ok()),
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(256).collect()
}

impl Session {
    /// Whether it is a client of the room: neither the server nor one that has yet to say hello.
    pub(crate) fn is_client(&self) -> bool {
        self.greeted && !self.client.is_server()
    }

    fn new(client: ClientId, dialect: Dialect, since: Time) -> Self {
        Self {
            client,
            dialect,
            greeted: false,
            since,
            secret: [0; 16],
            label: ClientLabel::default(),
            subscriptions: BTreeSet::new(),
            presences: BTreeSet::new(),
            services: BTreeSet::new(),
            calls: BTreeMap::new(),
            answering: BTreeSet::new(),
            messages: ClientMessages::default(),
        }
    }
}

impl Room {
    /// Lets the embedding server take part as client 0.
    pub(crate) fn host(&mut self, connection: ConnectionId) {
        if self.host.is_none() {
            self.host = Some(connection);
            let session = Session { greeted: true, ..Session::new(ClientId::SERVER, Dialect::V1, self.now) };
            self.sessions.insert(connection, session);
        }
    }

    pub(crate) fn open(&mut self, connection: ConnectionId, dialect: Dialect, secret: [u8; 16]) {
        let session = Session { secret, ..Session::new(ClientId::SERVER, dialect, self.now) };
        let full = self.clients() >= self.config.limits.clients_per_room;
        self.sessions.insert(connection, session);
        if full {
            let limit = self.config.limits.clients_per_room;
            self.expel(connection, Refusal::new(Code::LimitReached, format!("the room has its {limit} clients")));
            return;
        }
        match dialect {
            Dialect::Seed => {
                let client = self.next_client_id();
                self.admit(connection, client);
                self.reply(connection, &ServerMessage::Hello { id: client, v1: None });
                self.welcome(client);
            }
            Dialect::V1 => {
                let deadline = self.now.after_ms(self.config.limits.hello_timeout_ms);
                self.hello_deadlines.insert((deadline, connection));
            }
        }
    }

    fn next_client_id(&mut self) -> ClientId {
        self.next_client += 1;
        ClientId(self.next_client)
    }

    fn hello(
        &mut self,
        connection: ConnectionId,
        label: ClientLabel,
        claim: Option<&Claim>,
        acknowledged: u64,
        held: Vec<HeldTopic>,
    ) {
        let goes_on = claim.is_some_and(|claim| self.take_over(connection, claim));
        let Some(session) = self.sessions.get_mut(&connection) else {
            return;
        };
        session.label = label;
        let (secret, deadline) = (session.secret, session.since.after_ms(self.config.limits.hello_timeout_ms));
        self.hello_deadlines.remove(&(deadline, connection));
        let config = self.config.clone();
        let mut hello = HelloV1 {
            protocol: V1_JSON,
            room: config.name.as_str(),
            epoch: config.epoch,
            sequence: self.sequence,
            session: None,
            limits: &config.limits,
            heartbeat_ms: config.limits.heartbeat_ms,
            resumed: None,
        };
        let client = if let Some(claim) = claim.filter(|_| goes_on) {
            self.admit(connection, claim.id);
            // Whatever is behind an append that is under way waits for it, and so does this.
            let resuming = self.resume(connection, held);
            hello.sequence = self.sequence;
            hello.session = Some(claim);
            hello.resumed = Some(resuming.outcome().name());
            self.reply(connection, &ServerMessage::Hello { id: claim.id, v1: Some(hello) });
            self.tell_missed(connection, claim.id, acknowledged, resuming);
            claim.id
        } else {
            let id = self.next_client_id();
            self.admit(connection, id);
            let own = Claim { id, secret: secret.iter().map(|byte| format!("{byte:02x}")).collect() };
            // Zeros stand for none.
            hello.session = Some(&own).filter(|_| secret != [0; 16]);
            hello.resumed = claim.map(|_| Resumption::Reset.name());
            self.reply(connection, &ServerMessage::Hello { id, v1: Some(hello) });
            self.enlist(id, own.secret.into(), connection);
            id
        };
        self.welcome(client);
    }

    /// From here on a connection is a client of the room.
    fn admit(&mut self, connection: ConnectionId, client: ClientId) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            (session.client, session.greeted) = (client, true);
            self.observe(|_| Observation::Connected { connection, client });
        }
    }

    fn welcome(&mut self, client: ClientId) {
        self.client_touched(client);
        self.set_status(format!("client {client} connected"));
    }

    pub(crate) fn receive(&mut self, connection: ConnectionId, text: &str) {
        let Some(session) = self.sessions.get(&connection) else {
            return;
        };
        let (dialect, greeted) = (session.dialect, session.greeted);
        self.tally.messages += 1;
        let limit = self.config.limits.message_bytes;
        if text.len() > limit {
            let refusal =
                Refusal::new(Code::TooBig, format!("a message has at most {limit} bytes, this one has {}", text.len()));
            return match Envelope::parse(text) {
                Ok(envelope) if greeted && envelope.kind == "push" => {
                    self.refuse(connection, dialect, &envelope, &refusal);
                }
                _ => self.complain(connection, &refusal, &About::default()),
            };
        }
        let envelope = match Envelope::parse(text) {
            Ok(envelope) => envelope,
            Err(refusal) => return self.complain(connection, &refusal, &About::default()),
        };
        if !greeted && envelope.kind != "hello" {
            let refusal = Refusal::new(Code::HelloExpected, "say hello {} before anything else");
            return self.complain(connection, &refusal, &About::envelope(&envelope));
        }
        match envelope.message(dialect, &self.config.limits) {
            Ok(message) => self.command(connection, message),
            Err(refusal) => self.refuse(connection, dialect, &envelope, &refusal),
        }
    }

    /// Answers a message whose fields were wrong in the way its type is answered.
    fn refuse(&mut self, connection: ConnectionId, dialect: Dialect, envelope: &Envelope<'_>, refusal: &Refusal) {
        let fields = &envelope.content;
        match envelope.kind.as_ref() {
            "update" => {
                let topic_name = fields.get("topic_name").and_then(|raw| json::string(raw.get(), "topic_name").ok());
                if let (Some(topic_name), Some(change), Some(session)) =
                    (topic_name, fields.raw("change"), self.sessions.get(&connection))
                {
                    let author =
                        Author { connection: Some(connection), client: session.client, dialect, pushed: false };
                    self.reject(&author, None, &topic_name, change, refusal, None);
                    return;
                }
            }
            "request" => {
                if let Some(id) = fields.get("request_id").and_then(|raw| RequestId::parse(raw, "request_id").ok()) {
                    self.respond_refusal(connection, &id, refusal, false);
                    return;
                }
            }
            "push" if dialect == Dialect::V1 && self.turn_down_unread(connection, fields, refusal) => return,
            _ => {}
        }
        self.complain(connection, refusal, &About::envelope(envelope));
    }

    fn command(&mut self, connection: ConnectionId, message: ClientMessage<'_>) {
        match message {
            ClientMessage::Hello { client, session, acknowledged, resume } => {
                if self.sessions.get(&connection).is_some_and(|session| session.greeted) {
                    let refusal = Refusal::new(Code::HelloExpected, "hello was said already; it is said once");
                    return self.complain(connection, &refusal, &About::message("hello"));
                }
                self.hello(connection, client, session.as_ref(), acknowledged, resume);
            }
            ClientMessage::Subscribe { topic_name, topic_type, options } => {
                let done = self.subscribe(connection, &topic_name, topic_type, options);
                self.complain_unless(done, connection, || About::topic("subscribe", &topic_name));
            }
            ClientMessage::Unsubscribe { topic_name } => self.unsubscribe(connection, &topic_name),
            ClientMessage::Update { topic_name, change, base } => {
                self.submit(connection, None, vec![(topic_name, change)], base);
            }
            ClientMessage::Action { action_id, changes, base } => {
                self.submit(connection, Some(action_id), changes, base);
            }
            ClientMessage::Push(push) => self.push(connection, push),
            ClientMessage::RegisterService { service_name, options } => {
                let done = self.register(connection, &service_name, &options);
                self.complain_unless(done, connection, || About::service("register_service", &service_name));
            }
            ClientMessage::UnregisterService { service_name } => {
                let done = self.unregister(connection, &service_name);
                self.complain_unless(done, connection, || About::service("unregister_service", &service_name));
            }
            ClientMessage::Request { service_name, args, request_id, timeout_ms } => {
                self.request(connection, &service_name, args, request_id, timeout_ms);
            }
            ClientMessage::Response { request_id, result } => {
                let done = self.answer(connection, &request_id, result);
                self.complain_unless(done, connection, || About::request("response", &request_id));
            }
            ClientMessage::Progress { request_id, data } => {
                let done = self.progress(connection, &request_id, data);
                self.complain_unless(done, connection, || About::request("progress", &request_id));
            }
            ClientMessage::Cancel { request_id } => {
                let done = self.cancel(connection, &request_id);
                self.complain_unless(done, connection, || About::request("cancel", &request_id));
            }
        }
    }

    fn complain_unless(&mut self, done: Result<(), Refusal>, connection: ConnectionId, about: impl FnOnce() -> About) {
        if let Err(refusal) = done {
            self.complain(connection, &refusal, &about());
        }
    }

    /// Tells a client what was wrong: on its `client_message` topic, and in v1 by an `error`.
    pub(crate) fn complain(&mut self, connection: ConnectionId, refusal: &Refusal, about: &About) {
        self.tally.complaints += 1;
        let Some(session) = self.sessions.get(&connection) else {
            return;
        };
        if session.dialect == Dialect::V1 {
            let in_reply_to = InReplyTo {
                r#type: about.kind.as_deref(),
                topic_name: about.topic_name.as_deref(),
                service_name: about.service_name.as_deref(),
                request_id: about.request_id.as_ref(),
                action_id: about.action_id.as_ref(),
            };
            let error = ServerMessage::Error { code: refusal.code.number(), reason: &refusal.reason, in_reply_to };
            self.reply(connection, &error);
        }
        self.tell_client(connection, refusal.to_string());
    }

    pub(crate) fn reply(&mut self, connection: ConnectionId, message: &ServerMessage<'_>) {
        let frames = message.frame().bytes().clone();
        self.out.push(Effect::Send { to: connection, frames, delivery: Delivery::reply() });
    }

    /// Ends a connection from this side.
    pub(crate) fn expel(&mut self, connection: ConnectionId, refusal: Refusal) {
        if self.sessions.get(&connection).is_some_and(|session| session.dialect == Dialect::V1) {
            let frames = goodbye(&refusal).bytes().clone();
            self.out.push(Effect::Send { to: connection, frames, delivery: Delivery::reply() });
        }
        self.out.push(Effect::Close { connection, refusal });
        self.close(connection);
    }

    /// Takes a client out of everything it was in.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.remove(&connection) else {
            return;
        };
        if self.host == Some(connection) {
            self.host = None;
        }
        self.part_from(session.client, connection, !session.subscriptions.is_empty());
        let was_client = session.is_client();
        if was_client {
            self.observe(|_| Observation::Disconnected { client: session.client });
        }
        self.subscriptions -= session.subscriptions.len();
        self.hello_deadlines.remove(&(session.since.after_ms(self.config.limits.hello_timeout_ms), connection));
        for name in &session.subscriptions {
            if name.is_reserved() {
                self.unsubscribe_special(connection, name);
            } else if let Some(topic) = self.topics.get_mut(name) {
                std::sync::Arc::make_mut(&mut topic.subscribers).remove(connection);
                self.topic_touched(name);
            }
        }
        for name in &session.presences {
            self.commit_own(name, Change::Presence(PresenceChange::Pop(session.client)));
        }
        self.provider_gone(connection, session.client, &session.services, &session.answering);
        self.caller_gone(session.calls.into_values());
        for name in session.subscriptions.iter().chain(&session.presences) {
            self.forget_if_empty(name);
        }
        if was_client {
            self.client_touched(session.client);
            self.set_status(format!("client {} disconnected", session.client));
        }
    }

    pub(crate) fn note_presence(&mut self, connection: ConnectionId, name: &TopicName, client: ClientId) {
        let there = match self.topics.get(name).map(|topic| &topic.value) {
            Some(chatroom_protocol::TopicValue::Presence(entries)) => entries.contains_key(&client),
            _ => false,
        };
        match self.sessions.get_mut(&connection) {
            Some(session) if there => {
                session.presences.insert(name.clone());
            }
            Some(session) => {
                session.presences.remove(name);
            }
            // The client left while its change waited for an authority.
            None if there => self.commit_own(name, Change::Presence(PresenceChange::Pop(client))),
            None => {}
        }
    }

    /// Answers a call with an error in the caller's dialect.
    pub(crate) fn respond_refusal(
        &mut self,
        connection: ConnectionId,
        id: &RequestId,
        refusal: &Refusal,
        maybe_executed: bool,
    ) {
        let Some(session) = self.sessions.get(&connection) else {
            return;
        };
        let (error, maybe_executed) = match session.dialect {
            Dialect::Seed => (None, None),
            Dialect::V1 => (Some(refusal.into()), Some(maybe_executed)),
        };
        let seed = session.dialect == Dialect::Seed;
        let response = ServerMessage::Response { response: RawValue::NULL, request_id: id, error, maybe_executed };
        self.reply(connection, &response);
        if seed {
            self.tell_client(connection, format!("{refusal} (request {id})"));
        }
    }
}
