//! What a client hears: the server's messages of the v1 dialect with typed, checked fields. The
//! other side of [`reply`](crate::reply).

use serde_json::value::RawValue;

use crate::change::ChangeId;
use crate::code::{Code, Refusal};
use crate::envelope::{Envelope, Fields};
use crate::id::{ClientId, Epoch, RequestId, Sequence};
use crate::limits::Limits;
use crate::message::{ServiceError, Session};
use crate::name::{ServiceName, TopicName};
use crate::reply::Place;
use crate::value::TopicType;

/// A message of the server. What it borrows is JSON text of the message itself.
#[derive(Debug)]
pub enum Heard<'a> {
    /// The session is open.
    Hello(Box<Hello>),
    /// A topic's value.
    Subscribed {
        /// The topic.
        topic_name: TopicName,
        /// Its type.
        topic_type: TopicType,
        /// Its value, to be read by [`TopicValue::read`](crate::TopicValue::read).
        value: &'a RawValue,
        /// The room's sequence at which it has that value.
        sequence: Sequence,
    },
    /// A commit of one change by somebody else.
    Update {
        /// The topic.
        topic_name: TopicName,
        /// The change.
        change: &'a RawValue,
        /// Its place.
        place: Place,
    },
    /// A commit of several changes by somebody else.
    Action {
        /// The id its author gave.
        action_id: ChangeId,
        /// Its place.
        sequence: Sequence,
        /// Its author.
        by: ClientId,
        /// The parts that this client is subscribed to.
        changes: Vec<HeardPart<'a>>,
    },
    /// An own change or action was committed.
    Accepted {
        /// Its id.
        id: ChangeId,
        /// Its place.
        sequence: Sequence,
        /// Of a push's action: the commits before it of the topics that it names, in that order.
        previous: Vec<Sequence>,
        /// Whether it changed anything.
        effect: bool,
        /// What the server made of it, if that is something else.
        changes: Option<Vec<HeardPart<'a>>>,
    },
    /// All that was missed has been said.
    Resumed {
        /// Where the room's order stands.
        sequence: Sequence,
    },
    /// An own change or action was refused.
    RejectUpdate {
        /// The topic.
        topic_name: String,
        /// The change as it was sent.
        change: &'a RawValue,
        /// Why, for a person.
        reason: String,
        /// Why, for a program.
        code: u32,
        /// Whether the same change may be accepted later.
        retryable: bool,
        /// The action that was refused whole.
        action_id: Option<ChangeId>,
    },
    /// This client provides the service from now on.
    Registered {
        /// The service.
        service_name: ServiceName,
    },
    /// A call for this client, which provides the service.
    Request {
        /// The service.
        service_name: ServiceName,
        /// The argument.
        args: &'a RawValue,
        /// The server's id of the call.
        request_id: RequestId,
        /// What is left of the deadline.
        timeout_ms: Option<u64>,
        /// The caller.
        by: ClientId,
    },
    /// The end of an own call.
    Response {
        /// This client's id of the call.
        request_id: RequestId,
        /// The value, or what went wrong.
        result: Result<&'a RawValue, ServiceError<'a>>,
        /// Whether a provider may have done the work all the same.
        maybe_executed: bool,
    },
    /// How far an own call got.
    Progress {
        /// This client's id of the call.
        request_id: RequestId,
        /// What the provider said.
        data: &'a RawValue,
    },
    /// Nobody waits for a call any more.
    Cancel {
        /// The server's id of the call.
        request_id: RequestId,
    },
    /// A message of this client could not be carried out, or a topic was deleted.
    Error {
        /// Why, for a program.
        code: u32,
        /// Why, for a person.
        reason: String,
        /// Which message.
        about: About,
    },
    /// The server is about to close the connection.
    Goodbye {
        /// Why, for a program.
        code: u32,
        /// Why, for a person.
        reason: String,
        /// Whether to connect again.
        reconnect: Reconnect,
    },
    /// A message of a newer server, to be passed over.
    Unknown {
        /// Its type.
        kind: String,
    },
}

/// The server's answer to a client's hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The client's id in the room.
    pub id: ClientId,
    /// The dialect.
    pub protocol: String,
    /// The room.
    pub room: String,
    /// The life of its history.
    pub epoch: Epoch,
    /// Where its order stands.
    pub sequence: Sequence,
    /// What the server takes.
    pub limits: Limits,
    /// Between two pings.
    pub heartbeat_ms: u64,
    /// What to come back with.
    pub session: Option<Session>,
    /// What became of the session that the client asked to resume.
    pub resumed: Option<Resumption>,
}

/// What became of a session that a client asked to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// It goes on; what was missed follows.
    Resumed,
    /// It goes on; some topics come whole, since what was missed of them is not kept any more.
    Resynced,
    /// The server does not have it.
    Reset,
}

impl Resumption {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resumed => "resumed",
            Self::Resynced => "resynced",
            Self::Reset => "reset",
        }
    }
}

/// One change of an action.
#[derive(Debug)]
pub struct HeardPart<'a> {
    /// The topic.
    pub topic_name: TopicName,
    /// The change.
    pub change: &'a RawValue,
    /// The topic's commit before the action, 0 if none.
    pub previous: Sequence,
}

/// Which message an `error` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its type.
    pub kind: Option<String>,
    /// The topic it named.
    pub topic_name: Option<String>,
    /// The service it named.
    pub service_name: Option<String>,
    /// The request it named.
    pub request_id: Option<RequestId>,
    /// The action it carried.
    pub action_id: Option<ChangeId>,
}

/// What a `goodbye` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// Connect again.
    Yes,
    /// Do not.
    No,
    /// Connect again: another node has the room.
    Elsewhere,
}

impl<'a> Heard<'a> {
    /// Reads a message of a v1 server. Fields and types that a newer server may add are passed over.
    ///
    /// # Errors
    /// `malformed`, or what is wrong with which field.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        let Envelope { kind, content: fields } = Envelope::parse(text)?;
        Ok(match kind.as_ref() {
            "hello" => Self::Hello(Box::new(hello(&fields)?)),
            "subscribed" => Self::Subscribed {
                topic_name: topic_name(&fields)?,
                topic_type: TopicType::parse(&fields.require_text("type")?)?,
                value: fields.require("value")?,
                sequence: sequence(&fields, "sequence")?,
            },
            "update" => Self::Update {
                topic_name: topic_name(&fields)?,
                change: fields.require("change")?,
                place: Place {
                    sequence: sequence(&fields, "sequence")?,
                    previous: sequence(&fields, "previous")?,
                    by: ClientId(number(&fields, "by")?),
                },
            },
            "action" => Self::Action {
                action_id: ChangeId::parse(fields.require("action_id")?, "action_id")?,
                sequence: sequence(&fields, "sequence")?,
                by: ClientId(number(&fields, "by")?),
                changes: parts(fields.require("changes")?)?,
            },
            "accepted" => Self::Accepted {
                id: ChangeId::parse(fields.require("id")?, "id")?,
                sequence: sequence(&fields, "sequence")?,
                previous: fields.get("previous").map(sequences).transpose()?.unwrap_or_default(),
                effect: fields.flag("effect")?.unwrap_or(true),
                changes: fields.get("changes").map(altered).transpose()?,
            },
            "resumed" => Self::Resumed { sequence: sequence(&fields, "sequence")? },
            "reject_update" => {
                let code = code(&fields)?;
                Self::RejectUpdate {
                    topic_name: fields.require_text("topic_name")?,
                    change: fields.require("change")?,
                    reason: fields.require_text("reason")?,
                    code,
                    retryable: fields.flag("retryable")?.unwrap_or(code < 200),
                    action_id: fields.get("action_id").map(|id| ChangeId::parse(id, "action_id")).transpose()?,
                }
            }
            "registered" => {
                Self::Registered { service_name: ServiceName::parse(&fields.require_text("service_name")?)? }
            }
            "request" => Self::Request {
                service_name: ServiceName::parse(&fields.require_text("service_name")?)?,
                args: fields.require("args")?,
                request_id: request_id(&fields)?,
                timeout_ms: fields.count("timeout_ms")?,
                by: ClientId(fields.count("by")?.unwrap_or_default()),
            },
            "response" => Self::Response {
                request_id: request_id(&fields)?,
                result: match fields.get("error") {
                    Some(error) => Err(service_error(error)?),
                    None => Ok(fields.require("response")?),
                },
                maybe_executed: fields.flag("maybe_executed")?.unwrap_or(false),
            },
            "progress" => Self::Progress { request_id: request_id(&fields)?, data: fields.require("data")? },
            "cancel" => Self::Cancel { request_id: request_id(&fields)? },
            "error" => Self::Error {
                code: code(&fields)?,
                reason: fields.require_text("reason")?,
                about: fields.get("in_reply_to").map(about).transpose()?.unwrap_or_default(),
            },
            "goodbye" => Self::Goodbye {
                code: code(&fields)?,
                reason: fields.require_text("reason")?,
                reconnect: match fields.text("reconnect")?.as_deref() {
                    Some("no") => Reconnect::No,
                    Some("elsewhere") => Reconnect::Elsewhere,
                    _ => Reconnect::Yes,
                },
            },
            other => Self::Unknown { kind: other.chars().take(40).collect() },
        })
    }
}

fn hello(fields: &Fields<'_>) -> Result<Hello, Refusal> {
    let mut limits = Limits::default();
    if let Some(raw) = fields.get("limits") {
        let announced = Fields::parse(raw.get(), "limits")?;
        for (name, ..) in Limits::table() {
            if let Some(value) = announced.count(name)?
                && !limits.set(name, value)
            {
                return Err(Refusal::new(Code::OutOfRange, format!("the limit {name} cannot be {value}")));
            }
        }
    }
    Ok(Hello {
        id: ClientId(number(fields, "id")?),
        protocol: fields.require_text("protocol")?,
        room: fields.require_text("room")?,
        epoch: Epoch(number(fields, "epoch")?),
        sequence: sequence(fields, "sequence")?,
        heartbeat_ms: fields.count("heartbeat_ms")?.unwrap_or(limits.heartbeat_ms),
        limits,
        session: fields.get("session").map(session).transpose()?,
        resumed: match fields.text("resumed")?.as_deref() {
            None => None,
            Some("resumed") => Some(Resumption::Resumed),
            Some("resynced") => Some(Resumption::Resynced),
            Some("reset") => Some(Resumption::Reset),
            Some(other) => {
                let shown: String = other.chars().take(40).collect();
                return Err(Refusal::new(Code::BadType, format!("resumed cannot be {shown:?}")));
            }
        },
    })
}

fn session(raw: &RawValue) -> Result<Session, Refusal> {
    let fields = Fields::parse(raw.get(), "session")?;
    Ok(Session { id: ClientId(number(&fields, "id")?), secret: fields.require_text("secret")? })
}

fn sequences(raw: &RawValue) -> Result<Vec<Sequence>, Refusal> {
    let list: Result<Vec<u64>, _> = serde_json::from_str(raw.get());
    match list {
        Ok(list) => Ok(list.into_iter().map(Sequence).collect()),
        Err(_) => Err(Refusal::new(Code::BadType, "previous must be an array of sequences")),
    }
}

fn altered(raw: &RawValue) -> Result<Vec<HeardPart<'_>>, Refusal> {
    let parts = Fields::list(raw, "changes must be an array of {topic_name, change}")?;
    let part = |fields: &Fields<'_>| topic_name(fields);
    parts
        .iter()
        .map(|fields| {
            let topic_name = part(fields)?;
            Ok(HeardPart { topic_name, change: fields.require("change")?, previous: Sequence::default() })
        })
        .collect()
}

fn parts(raw: &RawValue) -> Result<Vec<HeardPart<'_>>, Refusal> {
    let parts = Fields::list(raw, "changes must be an array of {topic_name, change, previous}")?;
    let part = |fields: &Fields<'_>| Ok((topic_name(fields)?, sequence(fields, "previous")?));
    parts
        .iter()
        .map(|fields| {
            let (topic_name, previous) = part(fields)?;
            Ok(HeardPart { topic_name, change: fields.require("change")?, previous })
        })
        .collect()
}

fn about(raw: &RawValue) -> Result<About, Refusal> {
    let fields = Fields::parse(raw.get(), "in_reply_to")?;
    Ok(About {
        kind: fields.text("type")?,
        topic_name: fields.text("topic_name")?,
        service_name: fields.text("service_name")?,
        request_id: fields.get("request_id").map(|id| RequestId::parse(id, "request_id")).transpose()?,
        action_id: fields.get("action_id").map(|id| ChangeId::parse(id, "action_id")).transpose()?,
    })
}

fn service_error(raw: &RawValue) -> Result<ServiceError<'_>, Refusal> {
    let fields = Fields::parse(raw.get(), "error")?;
    Ok(ServiceError {
        code: code(&fields)?,
        message: fields.text("message")?.unwrap_or_default(),
        data: fields.get("data"),
    })
}

fn topic_name(fields: &Fields<'_>) -> Result<TopicName, Refusal> {
    TopicName::parse(&fields.require_text("topic_name")?)
}

fn request_id(fields: &Fields<'_>) -> Result<RequestId, Refusal> {
    RequestId::parse(fields.require("request_id")?, "request_id")
}

fn number(fields: &Fields<'_>, name: &str) -> Result<u64, Refusal> {
    fields.require(name)?;
    fields.count(name)?.ok_or_else(|| Refusal::new(Code::BadType, format!("{name} must be a number")))
}

fn sequence(fields: &Fields<'_>, name: &str) -> Result<Sequence, Refusal> {
    number(fields, name).map(Sequence)
}

fn code(fields: &Fields<'_>) -> Result<u32, Refusal> {
    u32::try_from(number(fields, "code")?).map_err(|_| Refusal::new(Code::OutOfRange, "a code has at most 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, IntChange, WireChange};
    use crate::reply::{
        AcceptedDetail, ActionPart, AlteredPart, HelloV1, InReplyTo, RejectV1, ServerMessage, UpdateChange,
    };
    use crate::{TopicValue, V1_JSON};

    #[track_caller]
    fn check(message: &ServerMessage<'_>, expected: &str) {
        let payload = message.frame().payload();
        let text = std::str::from_utf8(&payload).unwrap();
        assert_eq!(format!("{:?}", Heard::parse(text).unwrap()), expected, "{text}");
    }

    #[test]
    fn what_a_server_writes_is_read() {
        let (change, id) = (Change::Int(IntChange::Add(1)), ChangeId::Number(5));
        let (sequence, by, wire) = (Sequence(3), ClientId(2), WireChange { change: &change, id: &id });
        let raw = r#"RawValue({"type":"add","value":1,"id":5})"#;
        let (topic_name, value) = ("t", TopicValue::Int(4));
        check(
            &ServerMessage::Subscribed { topic_name, r#type: TopicType::Int, value: &value, sequence },
            r#"Subscribed { topic_name: TopicName("t"), topic_type: Int, value: RawValue(4), sequence: Sequence(3) }"#,
        );
        let place = Place { sequence, previous: Sequence(1), by };
        check(
            &ServerMessage::Update { topic_name, change: UpdateChange::Change(wire), place: Some(place) },
            &format!("Update {{ topic_name: TopicName(\"t\"), change: {raw}, place: {place:?} }}"),
        );
        let parts =
            vec![ActionPart { topic_name, change: WireChange { change: &change, id: &id }, previous: sequence }];
        check(
            &ServerMessage::Action { action_id: &id, sequence, by, changes: parts },
            &format!(
                "Action {{ action_id: Number(5), sequence: Sequence(3), by: ClientId(2), changes: [HeardPart {{ \
                 topic_name: TopicName(\"t\"), change: {raw}, previous: Sequence(3) }}] }}"
            ),
        );
        check(
            &ServerMessage::Accepted { id: &id, sequence, detail: AcceptedDetail::default() },
            "Accepted { id: Number(5), sequence: Sequence(3), previous: [], effect: true, changes: None }",
        );
        let detail = AcceptedDetail {
            previous: Some(vec![Sequence(1), Sequence(0)]),
            effect: Some(false),
            changes: Some(vec![AlteredPart { topic_name, change: &change }]),
        };
        check(
            &ServerMessage::Accepted { id: &id, sequence, detail },
            "Accepted { id: Number(5), sequence: Sequence(3), previous: [Sequence(1), Sequence(0)], effect: false, \
             changes: Some([HeardPart { topic_name: TopicName(\"t\"), change: RawValue({\"type\":\"add\",\"value\":1}), \
             previous: Sequence(0) }]) }",
        );
        check(&ServerMessage::Resumed { sequence }, "Resumed { sequence: Sequence(3) }");
        let v1 = Some(RejectV1 { code: 206, retryable: false, action_id: None });
        check(
            &ServerMessage::RejectUpdate { topic_name, change: RawValue::NULL, reason: "r", v1 },
            "RejectUpdate { topic_name: \"t\", change: RawValue(null), reason: \"r\", code: 206, retryable: false, \
             action_id: None }",
        );
        let in_reply_to = InReplyTo { r#type: Some("cancel"), request_id: Some(&id), ..InReplyTo::default() };
        check(
            &ServerMessage::Error { code: 215, reason: "r", in_reply_to },
            "Error { code: 215, reason: \"r\", about: About { kind: Some(\"cancel\"), topic_name: None, \
             service_name: None, request_id: Some(Number(5)), action_id: None } }",
        );
    }

    #[test]
    fn a_hello_brings_the_limits() {
        let limits = Limits { items: 7, ..Limits::default() };
        let session = Session { id: ClientId(3), secret: "s".into() };
        let v1 = HelloV1 {
            protocol: V1_JSON,
            room: "main",
            epoch: Epoch(1),
            sequence: Sequence(9),
            limits: &limits,
            heartbeat_ms: 25,
            session: Some(&session),
            resumed: Some("resynced"),
        };
        let payload = ServerMessage::Hello { id: ClientId(3), v1: Some(v1) }.frame().payload();
        match Heard::parse(std::str::from_utf8(&payload).unwrap()).unwrap() {
            Heard::Hello(hello) => {
                assert_eq!((hello.id, hello.limits, hello.heartbeat_ms), (ClientId(3), limits, 25));
                assert_eq!((hello.session, hello.resumed), (Some(session), Some(Resumption::Resynced)));
            }
            other => panic!("{other:?}"),
        }
    }
}
