//! What the server says, in the fields of either dialect.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::change::{Change, ChangeId, Step, WireChange, WireSet};
use crate::code::{Code, Refusal};
use crate::frame::Frame;
use crate::id::{ClientId, Epoch, RequestId, Sequence};
use crate::limits::Limits;
use crate::message::{ServiceError, Session};
use crate::value::{TopicType, TopicValue};

/// A message of the server. Fields of v1 alone are `None` in the seed dialect, and then not written.
#[derive(Debug, Serialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum ServerMessage<'a> {
    /// The first message of the server.
    Hello {
        /// The client's id.
        id: ClientId,
        /// What only v1 has.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        v1: Option<HelloV1<'a>>,
    },
    /// A topic's value, in v1.
    Subscribed {
        /// The topic.
        topic_name: &'a str,
        /// Its type.
        r#type: TopicType,
        /// Its value.
        value: &'a TopicValue,
        /// The room's sequence at which it has that value.
        sequence: Sequence,
    },
    /// A commit of one change.
    Update {
        /// The topic.
        topic_name: &'a str,
        /// The change.
        change: UpdateChange<'a>,
        /// Its place.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
    },
    /// A commit of several changes, in v1.
    Action {
        /// The id its author gave.
        action_id: &'a ChangeId,
        /// Its place.
        sequence: Sequence,
        /// Its author.
        by: ClientId,
        /// The parts that the recipient is subscribed to.
        changes: Vec<ActionPart<'a>>,
    },
    /// The author's own change was committed.
    Accepted {
        /// The id of the change or action.
        id: &'a ChangeId,
        /// Its place.
        sequence: Sequence,
        /// What a push's author has to know besides.
        #[serde(flatten)]
        detail: AcceptedDetail<'a>,
    },
    /// All that a client missed has been said, in v1.
    Resumed {
        /// Where the room's order stands.
        sequence: Sequence,
    },
    /// A change was refused.
    RejectUpdate {
        /// The topic.
        topic_name: &'a str,
        /// The change as it was sent.
        change: &'a RawValue,
        /// Why, for a person.
        reason: &'a str,
        /// What only v1 has.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        v1: Option<RejectV1<'a>>,
    },
    /// The client provides the service from now on, in v1.
    Registered {
        /// The service.
        service_name: &'a str,
    },
    /// A call for a provider.
    Request {
        /// The service.
        service_name: &'a str,
        /// The argument.
        args: &'a RawValue,
        /// The server's id of the call.
        request_id: u64,
        /// What is left of the deadline.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// The caller.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<ClientId>,
    },
    /// The end of a call.
    Response {
        /// The value.
        response: &'a RawValue,
        /// The caller's id of the call.
        request_id: &'a RequestId,
        /// What went wrong, in v1.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<ServiceError<'a>>,
        /// Whether a provider may have done the work all the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        maybe_executed: Option<bool>,
    },
    /// How far a call got, in v1.
    Progress {
        /// The caller's id of the call.
        request_id: &'a RequestId,
        /// What the provider said.
        data: &'a RawValue,
    },
    /// Nobody waits for a call any more, in v1.
    Cancel {
        /// The server's id of the call.
        request_id: u64,
    },
    /// A message could not be carried out, in v1.
    Error {
        /// What clients branch on.
        code: u16,
        /// What people read.
        reason: &'a str,
        /// Which message.
        in_reply_to: InReplyTo<'a>,
    },
    /// The server is about to close the connection, in v1.
    Goodbye {
        /// What clients branch on.
        code: u16,
        /// What people read.
        reason: &'a str,
        /// `yes` or `no`.
        reconnect: &'static str,
    },
}

/// The fields of v1's hello.
#[derive(Debug, Serialize)]
pub struct HelloV1<'a> {
    /// The dialect.
    pub protocol: &'static str,
    /// The room.
    pub room: &'a str,
    /// The life of its history.
    pub epoch: Epoch,
    /// Where its order stands.
    pub sequence: Sequence,
    /// What the server takes.
    pub limits: &'a Limits,
    /// Between two pings.
    pub heartbeat_ms: u64,
    /// What to come back with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a Session>,
    /// `resumed`, `resynced` or `reset` when the client asked to resume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<&'static str>,
}

/// What the author of a push has to know of an accepted action; nothing for any other.
#[derive(Debug, Default, Serialize)]
pub struct AcceptedDetail<'a> {
    /// The commits before it of the topics that it names, in that order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Vec<Sequence>>,
    /// `false` if nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<bool>,
    /// What the server's rules made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<AlteredPart<'a>>>,
}

/// A change that the server's rules altered.
#[derive(Debug, Serialize)]
pub struct AlteredPart<'a> {
    /// The topic.
    pub topic_name: &'a str,
    /// The change as it was committed.
    pub change: &'a Change,
}

/// The place of a commit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Place {
    /// In the room's order.
    pub sequence: Sequence,
    /// The topic's commit before it, 0 if none.
    pub previous: Sequence,
    /// The author.
    pub by: ClientId,
}

/// The change of an `update`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum UpdateChange<'a> {
    /// Any change.
    Change(WireChange<'a>),
    /// One step of a text edit, in the seed dialect.
    Step {
        /// The step.
        #[serde(flatten)]
        step: &'a Step,
        /// The author's id, or one derived from it.
        id: &'a ChangeId,
    },
    /// A whole value.
    Set(WireSet<'a>),
}

/// One change of an `action`.
#[derive(Debug, Serialize)]
pub struct ActionPart<'a> {
    /// The topic.
    pub topic_name: &'a str,
    /// The change.
    pub change: WireChange<'a>,
    /// The topic's commit before the action, 0 if none.
    pub previous: Sequence,
}

/// The fields of v1's `reject_update`.
#[derive(Debug, Serialize)]
pub struct RejectV1<'a> {
    /// What clients branch on.
    pub code: u16,
    /// Whether the same change may be accepted later.
    pub retryable: bool,
    /// The action that was refused whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<&'a ChangeId>,
}

/// Which message an `error` answers.
#[derive(Debug, Default, Serialize)]
pub struct InReplyTo<'a> {
    /// Its type, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<&'a str>,
    /// The topic it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<&'a str>,
    /// The service it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<&'a str>,
    /// The request it named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a RequestId>,
    /// The action it carried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<&'a ChangeId>,
}

impl ServerMessage<'_> {
    /// Writes the message into a frame.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Frame::json(self)
    }
}

/// The `goodbye` that goes before a close with that refusal.
#[must_use]
pub fn goodbye(refusal: &Refusal) -> Frame {
    let reconnect = if refusal.code.retryable() && refusal.code != Code::Internal { "yes" } else { "no" };
    ServerMessage::Goodbye { code: refusal.code.number(), reason: &refusal.reason, reconnect }.frame()
}
