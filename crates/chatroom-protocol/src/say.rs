//! What a client says, as text: the other side of [`message`](crate::message).

use serde::Serialize;
use serde_json::value::RawValue;

use crate::change::ChangeId;
use crate::id::{RequestId, Sequence};
use crate::message::{
    ClientLabel, ClientMessage, HeldTopic, PushedAction, Requirement, ServiceError, ServiceOptions, Session,
    TopicOptions,
};

/// The text of a v1 client's first message; the one message whose token a server alone may see.
#[must_use]
pub fn hello(token: Option<&str>, client: &ClientLabel, session: Option<&Session>, known: &Known) -> String {
    text(&Said::hello(token, client, session, known.acknowledged, &known.topics))
}

/// What a client that comes back knows of its room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The last own action whose outcome it knows.
    pub acknowledged: u64,
    /// The topics that it holds.
    pub topics: Vec<HeldTopic>,
}

impl ClientMessage<'_> {
    /// Writes the message in the v1 dialect.
    #[must_use]
    pub fn text(&self) -> String {
        text(&match self {
            Self::Hello { client, session, acknowledged, resume } => {
                Said::hello(None, client, session.as_ref(), *acknowledged, resume)
            }
            Self::Push(push) => Said::Push {
                number: push.number,
                acknowledged: push.acknowledged,
                topics: push
                    .topics
                    .iter()
                    .map(|(name, base)| Based { topic_name: name.as_str(), base: *base })
                    .collect(),
                actions: push.actions.iter().map(SaidAction::from).collect(),
            },
            Self::Subscribe { topic_name, topic_type, options } => Said::Subscribe {
                topic_name: topic_name.as_str(),
                r#type: topic_type.map(|kind| kind.name()),
                options: SaidOptions::of(*options),
            },
            Self::Unsubscribe { topic_name } => Said::Unsubscribe { topic_name: topic_name.as_str() },
            Self::Update { topic_name, change, base } => {
                Said::Update { topic_name: topic_name.as_str(), change, base: *base }
            }
            Self::Action { action_id, changes, base } => Said::Action {
                action_id,
                changes: changes
                    .iter()
                    .map(|(topic_name, change)| Part { topic_name: topic_name.as_str(), change })
                    .collect(),
                base: *base,
            },
            Self::RegisterService { service_name, options } => Said::RegisterService {
                service_name: service_name.as_str(),
                options: (*options != ServiceOptions::default()).then(|| Options {
                    pick: options.pick.map(|pick| pick.name()),
                    concurrency: options.concurrency,
                    idempotent: options.idempotent,
                }),
            },
            Self::UnregisterService { service_name } => Said::UnregisterService { service_name: service_name.as_str() },
            Self::Request { service_name, args, request_id, timeout_ms } => {
                Said::Request { service_name: service_name.as_str(), args, request_id, timeout_ms: *timeout_ms }
            }
            Self::Response { request_id, result } => Said::Response {
                response: result.as_ref().copied().unwrap_or(RawValue::NULL),
                request_id,
                error: result.as_ref().err(),
            },
            Self::Progress { request_id, data } => Said::Progress { request_id, data },
            Self::Cancel { request_id } => Said::Cancel { request_id },
        })
    }
}

fn labelled(client: &ClientLabel) -> Option<&ClientLabel> {
    (*client != ClientLabel::default()).then_some(client)
}

fn text(said: &Said<'_>) -> String {
    serde_json::to_string(said).expect("our messages serialize, and a String takes any text")
}

#[derive(Serialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
enum Said<'a> {
    Hello {
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<&'a ClientLabel>,
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<&'a Session>,
        #[serde(skip_serializing_if = "Option::is_none")]
        acknowledged: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resume: Option<Vec<Held<'a>>>,
    },
    Push {
        number: u64,
        acknowledged: u64,
        topics: Vec<Based<'a>>,
        actions: Vec<SaidAction<'a>>,
    },
    Subscribe {
        topic_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#type: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        options: Option<SaidOptions>,
    },
    Unsubscribe {
        topic_name: &'a str,
    },
    Update {
        topic_name: &'a str,
        change: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<Sequence>,
    },
    Action {
        action_id: &'a ChangeId,
        changes: Vec<Part<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<Sequence>,
    },
    RegisterService {
        service_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        options: Option<Options>,
    },
    UnregisterService {
        service_name: &'a str,
    },
    Request {
        service_name: &'a str,
        args: &'a RawValue,
        request_id: &'a RequestId,
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
    },
    Response {
        response: &'a RawValue,
        request_id: &'a RequestId,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a ServiceError<'a>>,
    },
    Progress {
        request_id: &'a RequestId,
        data: &'a RawValue,
    },
    Cancel {
        request_id: &'a RequestId,
    },
}

impl<'a> Said<'a> {
    fn hello(
        token: Option<&'a str>,
        client: &'a ClientLabel,
        session: Option<&'a Session>,
        acknowledged: u64,
        topics: &'a [HeldTopic],
    ) -> Self {
        let held = |topic: &'a HeldTopic| Held {
            topic_name: topic.topic_name.as_str(),
            r#type: topic.topic_type.map(|kind| kind.name()),
            options: SaidOptions::of(topic.options),
            sequence: topic.sequence,
        };
        Self::Hello {
            token,
            client: labelled(client),
            session,
            acknowledged: session.map(|_| acknowledged),
            resume: session.map(|_| topics.iter().map(held).collect()),
        }
    }
}

#[derive(Serialize)]
struct Held<'a> {
    topic_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<SaidOptions>,
    sequence: Sequence,
}

#[derive(Serialize)]
struct SaidOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    persist: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
}

impl SaidOptions {
    fn of(options: TopicOptions) -> Option<Self> {
        let TopicOptions { persist, ttl_ms } = options;
        (options != TopicOptions::default()).then_some(Self { persist, ttl_ms })
    }
}

#[derive(Serialize)]
struct Based<'a> {
    topic_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Sequence>,
}

#[derive(Serialize)]
struct SaidAction<'a> {
    changes: Vec<SaidChange<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    require: Vec<Condition<'a>>,
}

#[derive(Serialize)]
struct SaidChange<'a> {
    topic: usize,
    change: &'a RawValue,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Condition<'a> {
    Unchanged {
        topic_name: &'a str,
        sequence: Sequence,
    },
    Key {
        topic_name: &'a str,
        key: &'a str,
        exists: bool,
    },
    Equals {
        topic_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a str>,
        equals: &'a serde_json::Value,
    },
}

impl<'a> From<&'a PushedAction<'a>> for SaidAction<'a> {
    fn from(action: &'a PushedAction<'a>) -> Self {
        let condition = |requirement: &'a Requirement| match requirement {
            Requirement::Unchanged { topic_name, sequence } => {
                Condition::Unchanged { topic_name: topic_name.as_str(), sequence: *sequence }
            }
            Requirement::Key { topic_name, key, exists } => {
                Condition::Key { topic_name: topic_name.as_str(), key, exists: *exists }
            }
            Requirement::Equals { topic_name, key, value } => {
                Condition::Equals { topic_name: topic_name.as_str(), key: key.as_deref(), equals: value }
            }
        };
        Self {
            changes: action.changes.iter().map(|(topic, change)| SaidChange { topic: *topic, change }).collect(),
            require: action.require.iter().map(condition).collect(),
        }
    }
}

#[derive(Serialize)]
struct Part<'a> {
    topic_name: &'a str,
    change: &'a RawValue,
}

#[derive(Serialize)]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pick: Option<&'static str>,
    concurrency: u32,
    idempotent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Limits, envelope::Envelope};

    #[test]
    fn a_hello_carries_its_token_and_label() {
        let label = ClientLabel { name: Some("a".into()), version: None };
        let none = Known::default();
        let said = hello(Some("secret"), &label, None, &none);
        assert_eq!(said, r#"{"type":"hello","content":{"token":"secret","client":{"name":"a"}}}"#);
        assert_eq!(hello(None, &ClientLabel::default(), None, &none), r#"{"type":"hello","content":{}}"#);
        let envelope = Envelope::parse(&said).unwrap();
        match envelope.message(Dialect::V1, &Limits::default()).unwrap() {
            ClientMessage::Hello { client, session: None, .. } => assert_eq!(client, label),
            other => panic!("{other:?}"),
        }
    }
}
