//! What a client says: messages with typed, checked fields.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Dialect;
use crate::change::ChangeId;
use crate::code::{Code, Refusal};
use crate::envelope::{Envelope, Fields};
use crate::id::{ClientId, RequestId, Sequence};
use crate::limits::{Limits, MAX_CLIENT_LABEL_BYTES, MAX_ID_BYTES};
use crate::name::{ServiceName, TopicName};
use crate::value::TopicType;

/// A message of a client. What it borrows is JSON text of the message itself.
#[derive(Debug)]
pub enum ClientMessage<'a> {
    /// Opens a v1 session.
    Hello {
        /// What the client says of itself.
        client: ClientLabel,
        /// The session to go on with.
        session: Option<Session>,
        /// The number of the last push's action whose outcome it knows.
        acknowledged: u64,
        /// What it holds, and up to where it knows it.
        resume: Vec<HeldTopic>,
    },
    /// Asks for a topic's value and its changes.
    Subscribe {
        /// The topic.
        topic_name: TopicName,
        /// Its type; needed when it may have to be created.
        topic_type: Option<TopicType>,
        /// What is decided when it is created.
        options: TopicOptions,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// The topic.
        topic_name: TopicName,
    },
    /// Changes one topic.
    Update {
        /// The topic.
        topic_name: TopicName,
        /// The change.
        change: &'a RawValue,
        /// The sequence the client had seen when it made the change.
        base: Option<Sequence>,
    },
    /// Changes several topics together or not at all.
    Action {
        /// The id the author gave.
        action_id: ChangeId,
        /// The changes in order.
        changes: Vec<(TopicName, &'a RawValue)>,
        /// The sequence the client had seen when it made the action.
        base: Option<Sequence>,
    },
    /// Sends actions that were made on a known state, numbered one after the other.
    Push(Push<'a>),
    /// Offers a service.
    RegisterService {
        /// The service.
        service_name: ServiceName,
        /// How the server shall choose and limit.
        options: ServiceOptions,
    },
    /// Takes an offer back.
    UnregisterService {
        /// The service.
        service_name: ServiceName,
    },
    /// Calls a service.
    Request {
        /// The service.
        service_name: ServiceName,
        /// The argument.
        args: &'a RawValue,
        /// The caller's id of the call.
        request_id: RequestId,
        /// The deadline, from now.
        timeout_ms: Option<u64>,
    },
    /// Answers a call.
    Response {
        /// The server's id of the call.
        request_id: RequestId,
        /// The value, or the provider's error.
        result: Result<&'a RawValue, ServiceError<'a>>,
    },
    /// Tells how far a call got.
    Progress {
        /// The server's id of the call.
        request_id: RequestId,
        /// Anything.
        data: &'a RawValue,
    },
    /// Gives up a call.
    Cancel {
        /// The caller's id of the call.
        request_id: RequestId,
    },
}

/// What a server gives a client, and the client says to come back as who it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The client's id.
    pub id: ClientId,
    /// What proves it; at most [`MAX_ID_BYTES`] bytes.
    pub secret: String,
}

/// A topic that a client which comes back still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTopic {
    /// The topic.
    pub topic_name: TopicName,
    /// Its type, in case it has to be made anew.
    pub topic_type: Option<TopicType>,
    /// What is decided then.
    pub options: TopicOptions,
    /// Up to where the client knows it.
    pub sequence: Sequence,
}

/// How long a topic lives; decided by the first subscriber, who creates it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicOptions {
    /// Whether a server that keeps rooms keeps it; it does unless told otherwise. Events and presence
    /// are never kept.
    pub persist: Option<bool>,
    /// How many milliseconds after its last subscriber has left it is deleted; never unless given.
    pub ttl_ms: Option<u64>,
}

/// Own actions of a client that keeps a replica.
#[derive(Debug)]
pub struct Push<'a> {
    /// The number of the first action; the others follow it.
    pub number: u64,
    /// The highest number whose outcome the client has taken in.
    pub acknowledged: u64,
    /// The topics that are touched, with the state the changes were made on.
    pub topics: Vec<(TopicName, Option<Sequence>)>,
    /// The actions in order.
    pub actions: Vec<PushedAction<'a>>,
}

/// One action of a push.
#[derive(Debug)]
pub struct PushedAction<'a> {
    /// Which of the push's topics, and the change; none if nothing is left of the action.
    pub changes: Vec<(usize, &'a RawValue)>,
    /// What must hold when its turn comes.
    pub require: Vec<Requirement>,
}

/// A condition of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Requirement {
    /// No commit touched the topic after that one.
    Unchanged {
        /// The topic.
        topic_name: TopicName,
        /// The last commit that may have touched it.
        sequence: Sequence,
    },
    /// A dict has, or has not, a key.
    Key {
        /// The topic.
        topic_name: TopicName,
        /// The key.
        key: String,
        /// Whether it must be there.
        exists: bool,
    },
    /// A value, or that of a dict's key, is this one.
    Equals {
        /// The topic.
        topic_name: TopicName,
        /// The key, of a dict.
        key: Option<String>,
        /// The value.
        value: Value,
    },
}

/// What a client says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientLabel {
    /// The program or library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How a service's provider is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// The one with the fewest calls in flight.
    #[default]
    LeastBusy,
    /// The one that registered first.
    First,
    /// Each in turn.
    RoundRobin,
}

impl Pick {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeastBusy => "least_busy",
            Self::First => "first",
            Self::RoundRobin => "round_robin",
        }
    }

    fn parse(name: &str) -> Result<Self, Refusal> {
        [Self::LeastBusy, Self::First, Self::RoundRobin]
            .into_iter()
            .find(|pick| pick.name() == name)
            .ok_or_else(|| Refusal::new(Code::BadType, "pick must be \"least_busy\", \"first\" or \"round_robin\""))
    }
}

/// The options of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceOptions {
    /// How a provider is chosen; `None` takes the service's way.
    pub pick: Option<Pick>,
    /// How many calls this provider takes at a time.
    pub concurrency: u32,
    /// Whether a call that this provider lost may be given to another.
    pub idempotent: bool,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self { pick: None, concurrency: 64, idempotent: false }
    }
}

/// An error that a provider answers, or that the server answers in its place.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceError<'a> {
    /// Below 1000 the server's codes, from 1000 the application's.
    pub code: u32,
    /// For a person.
    pub message: String,
    /// For the caller's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
}

impl From<&Refusal> for ServiceError<'_> {
    fn from(refusal: &Refusal) -> Self {
        Self { code: refusal.code.number().into(), message: refusal.reason.clone().into_owned(), data: None }
    }
}

impl<'a> Envelope<'a> {
    /// Gives the message its type and checks its fields.
    ///
    /// # Errors
    /// `unknown_message`, or what is wrong with which field.
    pub fn message(&self, dialect: Dialect, limits: &Limits) -> Result<ClientMessage<'a>, Refusal> {
        let fields = &self.content;
        match (self.kind.as_ref(), dialect) {
            ("subscribe", _) => {
                if let Some(deliver) = fields.get("deliver")
                    && dialect == Dialect::V1
                    && deliver.get() != "\"every\""
                {
                    return Err(Refusal::new(Code::Unsupported, "deliver: this server delivers every change"));
                }
                Ok(ClientMessage::Subscribe {
                    topic_name: topic_name(fields)?,
                    topic_type: fields.text("type")?.map(|name| TopicType::parse(&name)).transpose()?,
                    options: match dialect {
                        Dialect::Seed => TopicOptions::default(),
                        Dialect::V1 => topic_options(fields)?,
                    },
                })
            }
            ("unsubscribe", _) => Ok(ClientMessage::Unsubscribe { topic_name: topic_name(fields)? }),
            ("update", _) => Ok(ClientMessage::Update {
                topic_name: topic_name(fields)?,
                change: fields.require("change")?,
                base: base(fields, dialect)?,
            }),
            ("register_service", _) => Ok(ClientMessage::RegisterService {
                service_name: service_name(fields)?,
                options: match fields.get("options").filter(|_| dialect == Dialect::V1) {
                    Some(options) => service_options(options, limits)?,
                    None => ServiceOptions::default(),
                },
            }),
            ("unregister_service", _) => Ok(ClientMessage::UnregisterService { service_name: service_name(fields)? }),
            ("request", _) => Ok(ClientMessage::Request {
                service_name: service_name(fields)?,
                args: passed_on(fields, "args")?,
                request_id: request_id(fields)?,
                timeout_ms: match dialect {
                    Dialect::Seed => None,
                    Dialect::V1 => fields.count("timeout_ms")?,
                },
            }),
            ("response", _) => Ok(ClientMessage::Response {
                request_id: request_id(fields)?,
                result: match fields.get("error").filter(|_| dialect == Dialect::V1) {
                    Some(error) => Err(service_error(error)?),
                    None => Ok(passed_on(fields, "response")?),
                },
            }),
            ("hello", Dialect::V1) => Ok(ClientMessage::Hello {
                client: client_label(fields)?,
                session: fields.get("session").map(session).transpose()?,
                acknowledged: fields.count("acknowledged")?.unwrap_or_default(),
                resume: fields.get("resume").map(|raw| held_topics(raw, limits)).transpose()?.unwrap_or_default(),
            }),
            ("push", Dialect::V1) => push(fields, limits).map(ClientMessage::Push),
            ("action", Dialect::V1) => Ok(ClientMessage::Action {
                action_id: ChangeId::parse(fields.require("action_id")?, "action_id")?,
                changes: action_changes(fields.require("changes")?, limits)?,
                base: base(fields, dialect)?,
            }),
            ("progress", Dialect::V1) => {
                Ok(ClientMessage::Progress { request_id: request_id(fields)?, data: passed_on(fields, "data")? })
            }
            ("cancel", Dialect::V1) => Ok(ClientMessage::Cancel { request_id: request_id(fields)? }),
            (other, _) => {
                let shown: String = other.chars().take(40).collect();
                let known: Vec<_> = CATALOG
                    .iter()
                    .filter(|entry| entry.from_client() && (dialect == Dialect::V1 || entry.in_seed()))
                    .map(|entry| entry.name)
                    .collect();
                Err(Refusal::new(
                    Code::UnknownMessage,
                    format!("no message type {shown:?}; a client sends {}", known.join(", ")),
                ))
            }
        }
    }
}

/// A value that goes on to another client as it is, so it must be one that every client can read.
fn passed_on<'a>(fields: &Fields<'a>, name: &str) -> Result<&'a RawValue, Refusal> {
    let Some(raw) = fields.raw(name) else {
        return Ok(RawValue::NULL);
    };
    match crate::json::parse(raw.get()) {
        Ok(_) => Ok(raw),
        Err(refusal) => Err(Refusal::new(refusal.code, format!("{name}: {}", refusal.reason))),
    }
}

fn topic_name(fields: &Fields<'_>) -> Result<TopicName, Refusal> {
    TopicName::parse(&fields.require_text("topic_name")?)
}

fn service_name(fields: &Fields<'_>) -> Result<ServiceName, Refusal> {
    ServiceName::parse(&fields.require_text("service_name")?)
}

fn request_id(fields: &Fields<'_>) -> Result<RequestId, Refusal> {
    RequestId::parse(fields.require("request_id")?, "request_id")
}

fn base(fields: &Fields<'_>, dialect: Dialect) -> Result<Option<Sequence>, Refusal> {
    match dialect {
        Dialect::Seed => Ok(None),
        Dialect::V1 => Ok(fields.count("base")?.map(Sequence)),
    }
}

fn client_label(fields: &Fields<'_>) -> Result<ClientLabel, Refusal> {
    let Some(raw) = fields.get("client") else {
        return Ok(ClientLabel::default());
    };
    let fields = Fields::parse(raw.get(), "client")?;
    let label = |name: &str| {
        let label = fields.text(name)?;
        match &label {
            Some(text) if text.len() > MAX_CLIENT_LABEL_BYTES => {
                Err(Refusal::new(Code::TooBig, format!("client.{name} has at most {MAX_CLIENT_LABEL_BYTES} bytes")))
            }
            _ => Ok(label),
        }
    };
    Ok(ClientLabel { name: label("name")?, version: label("version")? })
}

fn topic_options(fields: &Fields<'_>) -> Result<TopicOptions, Refusal> {
    let Some(raw) = fields.get("options") else {
        return Ok(TopicOptions::default());
    };
    let options = Fields::parse(raw.get(), "options must be {\"persist\"?: true or false, \"ttl_ms\"?: milliseconds}")?;
    Ok(TopicOptions { persist: options.flag("persist")?, ttl_ms: options.count("ttl_ms")? })
}

fn service_options(raw: &RawValue, limits: &Limits) -> Result<ServiceOptions, Refusal> {
    let fields = Fields::parse(raw.get(), "options")?;
    let default = ServiceOptions::default();
    let concurrency = match fields.count("concurrency")? {
        None => default.concurrency,
        Some(count) => u32::try_from(count)
            .ok()
            .filter(|count| (1..=limits.provider_concurrency).contains(count))
            .ok_or_else(|| {
                Refusal::new(
                    Code::OutOfRange,
                    format!("concurrency must lie within 1 and {}", limits.provider_concurrency),
                )
            })?,
    };
    Ok(ServiceOptions {
        pick: fields.text("pick")?.map(|name| Pick::parse(&name)).transpose()?,
        concurrency,
        idempotent: fields.flag("idempotent")?.unwrap_or(default.idempotent),
    })
}

fn service_error(raw: &RawValue) -> Result<ServiceError<'_>, Refusal> {
    let fields = Fields::parse(raw.get(), "error")?;
    let code = match fields.count("code")? {
        None => Code::APPLICATION_MIN,
        Some(code) => u32::try_from(code).ok().filter(|code| *code >= Code::APPLICATION_MIN).ok_or_else(|| {
            Refusal::new(
                Code::OutOfRange,
                format!(
                    "an application's error code is {} or more; smaller ones are the server's",
                    Code::APPLICATION_MIN
                ),
            )
        })?,
    };
    Ok(ServiceError {
        code,
        message: fields.text("message")?.unwrap_or_default(),
        data: fields.raw("data").map(|_| passed_on(&fields, "data")).transpose()?,
    })
}

fn action_changes<'a>(raw: &'a RawValue, limits: &Limits) -> Result<Vec<(TopicName, &'a RawValue)>, Refusal> {
    let parts = Fields::list(raw, "changes must be an array of {topic_name, change}")?;
    if parts.is_empty() {
        return Err(Refusal::new(Code::BadType, "changes must have at least one {topic_name, change}"));
    }
    if parts.len() > limits.action_changes {
        return Err(Refusal::new(
            Code::TooBig,
            format!("an action has at most {} changes, this one has {}", limits.action_changes, parts.len()),
        ));
    }
    parts.iter().map(|part| Ok((topic_name(part)?, part.require("change")?))).collect()
}

fn session(raw: &RawValue) -> Result<Session, Refusal> {
    let fields = Fields::parse(raw.get(), "session")?;
    let secret = fields.require_text("secret")?;
    if secret.len() > MAX_ID_BYTES {
        return Err(Refusal::new(Code::TooBig, format!("session.secret has at most {MAX_ID_BYTES} bytes")));
    }
    Ok(Session { id: ClientId(require_count(&fields, "id")?), secret })
}

fn require_count(fields: &Fields<'_>, name: &str) -> Result<u64, Refusal> {
    fields.require(name)?;
    fields.count(name)?.ok_or_else(|| Refusal::new(Code::BadType, format!("{name} must be a number")))
}

fn held_topics(raw: &RawValue, limits: &Limits) -> Result<Vec<HeldTopic>, Refusal> {
    let list = Fields::list(raw, "resume must be an array of {topic_name, type, sequence}")?;
    if list.len() > limits.subscriptions_per_client {
        return Err(Refusal::new(
            Code::LimitReached,
            format!("a client has at most {} subscriptions", limits.subscriptions_per_client),
        ));
    }
    let held = |fields: &Fields<'_>| {
        Ok(HeldTopic {
            topic_name: topic_name(fields)?,
            topic_type: fields.text("type")?.map(|name| TopicType::parse(&name)).transpose()?,
            options: topic_options(fields)?,
            sequence: Sequence(require_count(fields, "sequence")?),
        })
    };
    list.iter().map(held).collect()
}

fn push<'a>(fields: &Fields<'a>, limits: &Limits) -> Result<Push<'a>, Refusal> {
    let number = require_count(fields, "number")?;
    let acknowledged = fields.count("acknowledged")?.unwrap_or_default();
    if number == 0 || acknowledged >= number {
        return Err(Refusal::new(
            Code::OutOfRange,
            "number is 1 or more, and above acknowledged: the last number whose outcome is known",
        ));
    }
    let topics = Fields::list(fields.require("topics")?, "topics must be an array of {topic_name, base?}")?;
    let actions = Fields::list(fields.require("actions")?, "actions must be an array of {changes, require?}")?;
    let too_many = |what: &str, most: usize, found: usize| match found > most {
        true => Err(Refusal::new(Code::TooBig, format!("{what} {most}, this one has {found}"))),
        false => Ok(()),
    };
    too_many("the actions of a push are at most", limits.push_actions, actions.len())?;
    too_many("the topics of a push are at most", limits.action_changes, topics.len())?;
    if actions.is_empty() {
        return Err(Refusal::new(Code::BadType, "actions must have at least one {changes, require?}"));
    }
    let topics = topics
        .iter()
        .map(|topic| Ok((topic_name(topic)?, topic.count("base")?.map(Sequence))))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let action = |fields: &Fields<'a>| {
        let changes = Fields::list(fields.require("changes")?, "changes must be an array of {topic, change}")?;
        too_many("the changes of an action are at most", limits.action_changes, changes.len())?;
        let change = |part: &Fields<'a>| {
            let topic = part.require_position("topic")?;
            if topic >= topics.len() {
                let count = topics.len();
                return Err(Refusal::new(
                    Code::OutOfRange,
                    format!("topic is an index into topics, which has {count} entries"),
                ));
            }
            Ok((topic, part.require("change")?))
        };
        Ok(PushedAction {
            changes: changes.iter().map(change).collect::<Result<Vec<_>, Refusal>>()?,
            require: fields.get("require").map(|raw| requirements(raw, limits)).transpose()?.unwrap_or_default(),
        })
    };
    let actions = actions.iter().map(action).collect::<Result<Vec<_>, Refusal>>()?;
    Ok(Push { number, acknowledged, topics, actions })
}

fn requirements(raw: &RawValue, limits: &Limits) -> Result<Vec<Requirement>, Refusal> {
    let list = Fields::list(raw, "require must be an array of conditions")?;
    if list.len() > limits.action_changes {
        let most = limits.action_changes;
        return Err(Refusal::new(
            Code::TooBig,
            format!("an action has at most {most} conditions, this one has {}", list.len()),
        ));
    }
    let requirement = |fields: &Fields<'_>| {
        let topic_name = topic_name(fields)?;
        let key = fields.text("key")?;
        match (fields.count("sequence")?, fields.flag("exists")?, fields.raw("equals"), key) {
            (Some(sequence), None, None, None) => {
                Ok(Requirement::Unchanged { topic_name, sequence: Sequence(sequence) })
            }
            (None, Some(exists), None, Some(key)) => Ok(Requirement::Key { topic_name, key, exists }),
            (None, None, Some(value), key) => {
                Ok(Requirement::Equals { topic_name, key, value: crate::json::parse(value.get())? })
            }
            _ => Err(Refusal::new(
                Code::BadType,
                "a condition is {topic_name, sequence}, {topic_name, key, exists}, {topic_name, key, equals} or \
                 {topic_name, equals}",
            )),
        }
    };
    list.iter().map(requirement).collect()
}

/// One message type, for the table in `docs/protocol.md`.
#[derive(Debug)]
pub struct CatalogEntry {
    /// The `type`.
    pub name: &'static str,
    /// `client`, `server` or `both`.
    pub from: &'static str,
    /// The fields of the seed dialect; `None` if only v1 has the message.
    pub seed: Option<&'static str>,
    /// The fields that v1 adds.
    pub v1: &'static str,
}

impl CatalogEntry {
    /// Whether a client may send it.
    #[must_use]
    pub fn from_client(&self) -> bool {
        self.from != "server"
    }

    /// Whether the seed dialect has it.
    #[must_use]
    pub fn in_seed(&self) -> bool {
        self.seed.is_some()
    }
}

/// Every message of the protocol.
pub const CATALOG: &[CatalogEntry] = &[
    CatalogEntry {
        name: "hello",
        from: "server",
        seed: Some("id"),
        v1: "protocol, room, epoch, sequence, session {id, secret}, limits, heartbeat_ms, resumed?",
    },
    CatalogEntry {
        name: "hello",
        from: "client",
        seed: None,
        v1: "token?, session? {id, secret}, acknowledged?, resume? [{topic_name, type?, options?, sequence}], \
             client? {name?, version?}",
    },
    CatalogEntry { name: "resumed", from: "server", seed: None, v1: "sequence" },
    CatalogEntry {
        name: "subscribe",
        from: "client",
        seed: Some("topic_name, type"),
        v1: "deliver?, options? {persist?, ttl_ms?}",
    },
    CatalogEntry { name: "subscribed", from: "server", seed: None, v1: "topic_name, type, value, sequence" },
    CatalogEntry { name: "unsubscribe", from: "client", seed: Some("topic_name"), v1: "" },
    CatalogEntry {
        name: "update",
        from: "both",
        seed: Some("topic_name, change"),
        v1: "base? (client); sequence, previous, by (server)",
    },
    CatalogEntry {
        name: "action",
        from: "both",
        seed: None,
        v1: "action_id, changes [{topic_name, change, previous (server)}]; base? (client); sequence, by (server)",
    },
    CatalogEntry {
        name: "push",
        from: "client",
        seed: None,
        v1: "number, acknowledged, topics [{topic_name, base?}], actions [{changes [{topic, change}], require?}]",
    },
    CatalogEntry {
        name: "accepted",
        from: "server",
        seed: None,
        v1: "id, sequence, previous?, effect?, changes? [{topic_name, change}]",
    },
    CatalogEntry {
        name: "reject_update",
        from: "server",
        seed: Some("topic_name, change, reason"),
        v1: "code, retryable, action_id?",
    },
    CatalogEntry {
        name: "register_service",
        from: "client",
        seed: Some("service_name"),
        v1: "options? {pick?, concurrency?, idempotent?}",
    },
    CatalogEntry { name: "registered", from: "server", seed: None, v1: "service_name" },
    CatalogEntry { name: "unregister_service", from: "client", seed: Some("service_name"), v1: "" },
    CatalogEntry {
        name: "request",
        from: "both",
        seed: Some("service_name, args, request_id"),
        v1: "timeout_ms?; by (server)",
    },
    CatalogEntry {
        name: "response",
        from: "both",
        seed: Some("response, request_id"),
        v1: "error? {code, message, data?}, maybe_executed?",
    },
    CatalogEntry { name: "progress", from: "both", seed: None, v1: "request_id, data" },
    CatalogEntry { name: "cancel", from: "both", seed: None, v1: "request_id" },
    CatalogEntry {
        name: "error",
        from: "server",
        seed: None,
        v1: "code, reason, in_reply_to {type?, topic_name?, service_name?, request_id?, action_id?}",
    },
    CatalogEntry { name: "goodbye", from: "server", seed: None, v1: "code, reason, reconnect" },
];
