//! What a client says, as text: the other side of [`message`](crate::message).

use serde::Serialize;
use serde_json::value::RawValue;

use crate::change::ChangeId;
use crate::id::{RequestId, Sequence};
use crate::message::{ClientLabel, ClientMessage, ServiceError, ServiceOptions};

/// The text of a v1 client's first message; the one message whose token a server alone may see.
#[must_use]
pub fn hello(token: Option<&str>, client: &ClientLabel) -> String {
    text(&Said::Hello { token, client: labelled(client), resume: None })
}

impl ClientMessage<'_> {
    /// Writes the message in the v1 dialect.
    #[must_use]
    pub fn text(&self) -> String {
        text(&match self {
            Self::Hello { client, resumes } => {
                Said::Hello { token: None, client: labelled(client), resume: resumes.then_some([]) }
            }
            Self::Subscribe { topic_name, topic_type } => {
                Said::Subscribe { topic_name: topic_name.as_str(), r#type: topic_type.map(|kind| kind.name()) }
            }
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
        resume: Option<[u64; 0]>,
    },
    Subscribe {
        topic_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#type: Option<&'static str>,
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
        let said = hello(Some("secret"), &label);
        assert_eq!(said, r#"{"type":"hello","content":{"token":"secret","client":{"name":"a"}}}"#);
        assert_eq!(hello(None, &ClientLabel::default()), r#"{"type":"hello","content":{}}"#);
        let envelope = Envelope::parse(&said).unwrap();
        match envelope.message(Dialect::V1, &Limits::default()).unwrap() {
            ClientMessage::Hello { client, resumes } => assert_eq!((client, resumes), (label, false)),
            other => panic!("{other:?}"),
        }
    }
}
