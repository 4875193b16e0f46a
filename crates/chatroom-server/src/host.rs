//! The server's own part in a room, as client 0: it answers for the services of the embedding program
//! and does what the debugger asks for, in the words that clients use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatroom_engine::ConnectionId;
use chatroom_protocol::{ClientId, Code, Refusal, RoomName, TopicType};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::rooms::Told;
use crate::service::{Call, Services};

/// Under this the room sends the server its answers; connections begin at 1.
pub(crate) const HOST: ConnectionId = ConnectionId(0);
/// Calls that a service of the embedding program takes at a time in one room.
const CONCURRENCY: usize = 1_000;
/// Questions of the debugger that may be open in one room.
const ASKED: usize = 1_000;

/// Something to be done as client 0.
#[derive(Debug)]
pub(crate) enum Ask {
    Update { topic_name: String, change: Box<RawValue> },
    Create { topic_name: String, topic_type: TopicType, value: Option<Box<RawValue>> },
    Call { service_name: String, args: Box<RawValue>, timeout_ms: Option<u64> },
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) value: Option<Box<RawValue>>,
    pub(crate) sequence: Option<u64>,
}

/// Why nothing came of it.
#[derive(Debug)]
pub(crate) struct Undone {
    pub(crate) code: u32,
    pub(crate) reason: String,
}

pub(crate) type Outcome = oneshot::Sender<Result<Done, Undone>>;

#[derive(Debug)]
enum Asked {
    /// An update or a call.
    Once(Outcome),
    /// A topic that is being made: subscribed to, then changed, so that it stays.
    Creating { topic_name: String, value: Option<Box<RawValue>>, outcome: Outcome },
}

#[derive(Debug)]
pub(crate) struct Host {
    room: RoomName,
    services: Arc<Services>,
    inbox: mpsc::WeakSender<Told>,
    /// Calls that handlers work on, by the room's id.
    running: BTreeMap<u64, AbortHandle>,
    asked: HashMap<String, Asked>,
    next: u64,
}

/// A message of the room.
#[derive(Debug, Deserialize)]
struct Heard<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Debug, Deserialize)]
struct Request<'a> {
    service_name: String,
    #[serde(borrow)]
    args: &'a RawValue,
    request_id: u64,
    timeout_ms: u64,
    by: u64,
}

#[derive(Debug, Deserialize)]
struct Cancel {
    request_id: u64,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    id: String,
    sequence: u64,
}

#[derive(Debug, Deserialize)]
struct RejectUpdate {
    change: ChangeId,
    reason: String,
    code: u32,
}

#[derive(Debug, Deserialize)]
struct Response {
    response: Box<RawValue>,
    request_id: String,
    error: Option<Failed>,
}

#[derive(Debug, Deserialize)]
struct Subscribed {
    topic_name: String,
    value: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct Complaint {
    code: u32,
    reason: String,
    in_reply_to: InReplyTo,
}

#[derive(Debug, Deserialize)]
struct ChangeId {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Failed {
    code: u32,
    message: String,
}

#[derive(Debug, Deserialize)]
struct InReplyTo {
    topic_name: Option<String>,
}

impl Host {
    pub(crate) fn new(room: RoomName, services: Arc<Services>, inbox: mpsc::WeakSender<Told>) -> Self {
        Self { room, services, inbox, running: BTreeMap::new(), asked: HashMap::new(), next: 0 }
    }

    /// What it says first.
    pub(crate) fn registrations(&self) -> Vec<String> {
        let register = |name| {
            json!({"type": "register_service",
                   "content": {"service_name": name, "options": {"concurrency": CONCURRENCY}}})
            .to_string()
        };
        self.services.names().map(register).collect()
    }

    /// The message that does it; the outcome follows when the room has answered.
    pub(crate) fn ask(&mut self, ask: Ask, outcome: Outcome) -> Option<String> {
        if self.asked.len() >= ASKED {
            fail(outcome, Code::Busy, "too much is being asked of this room already");
            return None;
        }
        self.next += 1;
        let id = format!("_chatroom/host/{}", self.next);
        let (message, asked) = match ask {
            Ask::Update { topic_name, change } => match update(&topic_name, &change, &id) {
                Ok(message) => (message, Asked::Once(outcome)),
                Err(refusal) => {
                    fail(outcome, refusal.code, refusal.reason);
                    return None;
                }
            },
            Ask::Create { topic_type: TopicType::Event | TopicType::Presence, .. } => {
                fail(
                    outcome,
                    Code::Unsupported,
                    "event and presence topics hold nothing: they live with their subscribers",
                );
                return None;
            }
            Ask::Create { topic_name, topic_type, value } => {
                let content = json!({"topic_name": &topic_name, "type": topic_type.name()});
                let message = json!({"type": "subscribe", "content": content}).to_string();
                let key = format!("subscribe {topic_name}");
                if self.asked.contains_key(&key) {
                    fail(outcome, Code::Busy, format!("{topic_name} is being created already"));
                    return None;
                }
                self.asked.insert(key, Asked::Creating { topic_name, value, outcome });
                return Some(message);
            }
            Ask::Call { service_name, args, timeout_ms } => {
                let mut content = json!({"service_name": service_name, "args": args, "request_id": &id});
                if let Some(timeout_ms) = timeout_ms {
                    content["timeout_ms"] = json!(timeout_ms);
                }
                (json!({"type": "request", "content": content}).to_string(), Asked::Once(outcome))
            }
        };
        self.asked.insert(id, asked);
        Some(message)
    }

    /// Takes what the room sent to client 0, and returns what client 0 says to it.
    pub(crate) fn hear(&mut self, message: &Bytes) -> Vec<String> {
        match self.understand(message) {
            Ok(said) => said,
            Err(error) => {
                tracing::error!(%error, "the server did not understand its own room");
                Vec::new()
            }
        }
    }

    fn understand(&mut self, message: &Bytes) -> serde_json::Result<Vec<String>> {
        let heard: Heard<'_> = serde_json::from_slice(message)?;
        let content = heard.content.get();
        match heard.r#type {
            "request" => {
                self.running.retain(|_, call| !call.is_finished());
                self.run(&serde_json::from_str(content)?);
            }
            "cancel" => {
                let Cancel { request_id } = serde_json::from_str(content)?;
                if let Some(call) = self.running.remove(&request_id) {
                    call.abort();
                }
            }
            "accepted" => {
                let Accepted { id, sequence } = serde_json::from_str(content)?;
                self.done(&id, Ok(Done { value: None, sequence: Some(sequence) }));
            }
            "reject_update" => {
                let RejectUpdate { change, reason, code } = serde_json::from_str(content)?;
                self.done(&change.id, Err(Undone { code, reason }));
            }
            "response" => {
                let Response { response, request_id, error } = serde_json::from_str(content)?;
                let outcome = match error {
                    None => Ok(Done { value: Some(response), sequence: None }),
                    Some(Failed { code, message }) => Err(Undone { code, reason: message }),
                };
                self.done(&request_id, outcome);
            }
            "subscribed" => {
                let Subscribed { topic_name, value } = serde_json::from_str(content)?;
                return Ok(self.create(&topic_name, value));
            }
            "error" => {
                let Complaint { code, reason, in_reply_to } = serde_json::from_str(content)?;
                if let Some(topic_name) = in_reply_to.topic_name {
                    self.done(&format!("subscribe {topic_name}"), Err(Undone { code, reason }));
                }
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    /// A topic is there: it is changed, so that it outlives the subscription that made it.
    fn create(&mut self, topic_name: &str, zero: Box<RawValue>) -> Vec<String> {
        let Some(Asked::Creating { topic_name, value, outcome }) =
            self.asked.remove(&format!("subscribe {topic_name}"))
        else {
            return Vec::new();
        };
        let change = json!({"type": "set", "value": value.unwrap_or(zero)}).to_string();
        let change = RawValue::from_string(change).unwrap_or_else(|_| RawValue::NULL.to_owned());
        let set = self.ask(Ask::Update { topic_name: topic_name.clone(), change }, outcome);
        let leave = json!({"type": "unsubscribe", "content": {"topic_name": topic_name}}).to_string();
        set.into_iter().chain([leave]).collect()
    }

    fn done(&mut self, id: &str, result: Result<Done, Undone>) {
        if let Some(Asked::Once(outcome) | Asked::Creating { outcome, .. }) = self.asked.remove(id) {
            // Whoever asked may be gone.
            let _ = outcome.send(result);
        }
    }

    fn run(&mut self, request: &Request<'_>) {
        let &Request { ref service_name, args, request_id, timeout_ms, by } = request;
        let (Some(handler), Some(inbox)) = (self.services.get(service_name).cloned(), self.inbox.upgrade()) else {
            return;
        };
        let call = Call {
            args: args.to_owned(),
            by: ClientId(by),
            room: self.room.clone(),
            timeout: Duration::from_millis(timeout_ms),
            request_id,
            room_inbox: inbox.clone(),
        };
        let work = tokio::spawn(async move { handler(call).await });
        self.running.insert(request_id, work.abort_handle());
        tokio::spawn(async move {
            let content = match work.await {
                Ok(Ok(response)) => json!({"request_id": request_id, "response": response}),
                Ok(Err(error)) => json!({"request_id": request_id, "response": null, "error": error.content()}),
                // Cancelled: nobody waits.
                Err(error) if error.is_cancelled() => return,
                Err(_) => json!({
                    "request_id": request_id,
                    "response": null,
                    "error": {"code": Code::APPLICATION_MIN, "message": "the service failed"},
                }),
            };
            let message = json!({"type": "response", "content": content}).to_string();
            // A room that is gone has no caller.
            let _ = inbox.send(Told::Said { message }).await;
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for call in self.running.values() {
            call.abort();
        }
    }
}

fn fail(outcome: Outcome, code: Code, reason: impl Into<String>) {
    // Whoever asked may be gone.
    let _ = outcome.send(Err(Undone { code: code.number().into(), reason: reason.into() }));
}

/// An update under an id of ours.
fn update(topic_name: &str, change: &RawValue, id: &str) -> Result<String, Refusal> {
    let Ok(Value::Object(mut change)) = serde_json::from_str(change.get()) else {
        return Err(Refusal::new(Code::BadType, "a change is an object such as {\"type\": \"set\", \"value\": 1}"));
    };
    change.insert("id".into(), id.into());
    Ok(json!({"type": "update", "content": {"topic_name": topic_name, "change": change}}).to_string())
}
