//! What the server tells of the past.

use chatroom_protocol::{Change, ClientId, Code, Sequence, TopicName, TopicType, TopicValue};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::call::Request;
use crate::client::Client;
use crate::error::CallError;
use crate::kind::Kind;
use crate::topic::Topic;

/// Which commits are wanted; all of them unless told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Those that touched this topic.
    pub topic_name: Option<String>,
    /// Those before this place: [`CommitPage::next`] of the page before.
    pub before: Option<u64>,
    /// So many, from 1 to 1,000; 100 if none is named.
    pub limit: Option<usize>,
}

/// Commits, the newest first.
#[derive(Clone, Debug, Deserialize)]
pub struct CommitPage {
    /// The commits. There may be fewer than were asked for, and none, while `next` is there.
    pub commits: Vec<PastCommit>,
    /// What to name as `before` for the next page; `None` at the end of what is kept.
    pub next: Option<u64>,
}

/// A commit of the past.
#[derive(Clone, Debug, Deserialize)]
pub struct PastCommit {
    /// Its place in the room's order.
    pub sequence: u64,
    /// When it was, in milliseconds since 1970 on the server's clock.
    pub at_ms: u64,
    /// Its author's client id; 0 is the server.
    #[serde(default)]
    pub by: u64,
    /// What it changed.
    #[serde(default)]
    pub changes: Vec<PastChange>,
    /// The topic that was deleted, if that is what happened.
    pub deleted: Option<String>,
}

/// A change of a commit.
#[derive(Clone, Debug, Deserialize)]
pub struct PastChange {
    /// Its topic.
    pub topic_name: String,
    /// The change as JSON; [`PastChange::read`] makes a [`Change`] of it.
    pub change: Box<RawValue>,
    /// The commit before of the same topic.
    pub previous: u64,
}

impl PastChange {
    /// The change, of a topic of that type.
    ///
    /// # Errors
    /// When it is no change of that type.
    pub fn read(&self, topic_type: TopicType) -> Result<Change, CallError> {
        let refused = |refusal: chatroom_protocol::Refusal| CallError::new(refusal.code, refusal.reason.into_owned());
        let raw = chatroom_protocol::change::RawChange::parse(&self.change).map_err(refused)?;
        raw.decode_committed(topic_type, ClientId::SERVER).map_err(refused)
    }
}

#[derive(Deserialize)]
struct Got {
    r#type: String,
    value: Box<RawValue>,
}

impl Client {
    /// What was committed, as far as the server keeps it.
    pub fn commits(&self, which: &Which) -> Request<CommitPage> {
        let mut args = json!({});
        if let Some(name) = &which.topic_name {
            args["topic_name"] = json!(name);
        }
        if let Some(before) = which.before {
            args["before"] = json!(before);
        }
        if let Some(limit) = which.limit {
            args["limit"] = json!(limit);
        }
        self.call("_chatroom/history", &args)
    }

    /// The value that a topic had when the room stood at that place; to `set` it is to restore it.
    ///
    /// # Errors
    /// When the server does not keep it, or it has not the shape of the handle's type.
    pub async fn value_at<K: Kind>(&self, topic: &Topic<K>, at: Sequence) -> Result<K::Value, CallError> {
        let name: &TopicName = topic.topic_name();
        let got: Got = self.call("_chatroom/get", &json!({"topic_name": name.as_str(), "at": at.0})).await?;
        let refused = |refusal: chatroom_protocol::Refusal| CallError::new(refusal.code, refusal.reason.into_owned());
        let kind = TopicType::parse(&got.r#type).map_err(refused)?;
        let value = TopicValue::read(kind, got.value.get()).map_err(refused)?;
        K::read(&value).map_err(|error| CallError::new(Code::BadType, error.to_string()))
    }
}
