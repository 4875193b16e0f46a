//! The log: what happened in a room, each entry written once, as the page reads it.

use std::collections::VecDeque;

use chatroom_engine::{Answered, Commit, ConnectionId, Observation, Refused, Room};
use chatroom_protocol::change::{ChangeId, WireChange};
use chatroom_protocol::{ClientId, Code, Sequence};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::preview::Preview;

/// How many entries a room keeps, and how many bytes of them.
const KEPT: usize = 2_000;
const KEPT_BYTES: usize = 8 << 20;
/// A longer change, argument or response is cut.
const VALUE_BYTES: usize = 2_000;
/// How many receivers are named.
const RECEIVERS: usize = 100;

/// An entry of the log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) n: u64,
    topics: Vec<String>,
    pub(crate) json: Box<RawValue>,
}

/// The newest entries of a room.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    bytes: usize,
    last: u64,
}

#[derive(Serialize)]
struct Written<'a, T> {
    n: u64,
    t_ms: u64,
    kind: &'a str,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct CommitEntry<'a> {
    sequence: Sequence,
    by: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<&'a ChangeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a ChangeId>,
    changes: Vec<ChangeEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validated_by: Option<ClientId>,
    took_ms: f64,
    received_by: Vec<ClientId>,
    received_count: usize,
}

#[derive(Serialize)]
struct ChangeEntry<'a> {
    topic_name: &'a str,
    r#type: &'static str,
    change: Box<RawValue>,
    previous: Sequence,
}

#[derive(Serialize)]
struct RejectEntry<'a> {
    by: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<&'a ChangeId>,
    topic_name: &'a str,
    change: Box<RawValue>,
    code: u16,
    name: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    validated_by: Option<ClientId>,
}

#[derive(Serialize)]
struct CallEntry<'a> {
    service_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<u64>,
    caller: ClientId,
    provider: Option<ClientId>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    took_ms: f64,
    args: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Box<RawValue>>,
    maybe_executed: bool,
}

impl Log {
    /// The number of the newest entry.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The newest entries that fit, oldest first: at most `count`, after number `after`, before
    /// number `before`, of one topic or of all.
    pub(crate) fn newest(&self, count: usize, after: u64, before: u64, topic: Option<&str>) -> Vec<&Entry> {
        let fits = |entry: &&Entry| {
            entry.n < before && topic.is_none_or(|topic| entry.topics.iter().any(|name| name == topic))
        };
        let newest = self.entries.iter().rev().take_while(|entry| entry.n > after);
        let mut found: Vec<&Entry> = newest.filter(fits).take(count).collect();
        found.reverse();
        found
    }

    pub(crate) fn observed(&mut self, room: &Room, t_ms: u64, took_ms: f64, observation: &Observation) {
        match observation {
            Observation::Committed(commit) => self.committed(room, t_ms, took_ms, commit),
            Observation::Refused(refused) => self.refused(t_ms, refused),
            Observation::Answered(answered) => self.answered(t_ms, took_ms, answered),
            Observation::Service { service_name, client, what } => {
                #[derive(Serialize)]
                struct Service<'a> {
                    service_name: &'a str,
                    client: ClientId,
                    what: &'static str,
                }
                let rest = Service { service_name: service_name.as_str(), client: *client, what: what.name() };
                self.write(t_ms, "service", Vec::new(), rest);
            }
            Observation::Told { client, text } => {
                #[derive(Serialize)]
                struct Message<'a> {
                    client: ClientId,
                    text: &'a str,
                }
                self.write(t_ms, "message", Vec::new(), Message { client: *client, text });
            }
            Observation::Status(text) => {
                #[derive(Serialize)]
                struct Status<'a> {
                    text: &'a str,
                }
                self.write(t_ms, "status", Vec::new(), Status { text });
            }
            Observation::Disconnected { client } => self.client(t_ms, *client, "disconnected", None),
            // A connection is written with its address, a call when it ends.
            Observation::Connected { .. } | Observation::Called { .. } => {}
        }
    }

    pub(crate) fn client(&mut self, t_ms: u64, client: ClientId, what: &str, address: Option<String>) {
        #[derive(Serialize)]
        struct Client<'a> {
            client: ClientId,
            what: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            address: Option<String>,
        }
        self.write(t_ms, "client", Vec::new(), Client { client, what, address });
    }

    pub(crate) fn fault(&mut self, t_ms: u64, client: ClientId, kind_of_fault: &str, ms: Option<u64>) {
        #[derive(Serialize)]
        struct Fault<'a> {
            client: ClientId,
            kind_of_fault: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            ms: Option<u64>,
        }
        self.write(t_ms, "fault", Vec::new(), Fault { client, kind_of_fault, ms });
    }

    fn committed(&mut self, room: &Room, t_ms: u64, took_ms: f64, commit: &Commit) {
        let changes: Vec<ChangeEntry<'_>> = commit
            .changes
            .iter()
            .map(|change| ChangeEntry {
                topic_name: change.topic_name.as_str(),
                r#type: change.topic_type.name(),
                change: Preview::of(&WireChange { change: &change.change, id: &change.id }, VALUE_BYTES).json(None),
                previous: change.previous,
            })
            .collect();
        let (received_by, received_count) = receivers(room, commit);
        let waited = f64::from(u32::try_from(t_ms.saturating_sub(commit.submitted_at.0)).unwrap_or(u32::MAX));
        let rest = CommitEntry {
            sequence: commit.sequence,
            by: commit.by,
            action_id: commit.action_id.as_ref(),
            id: commit.changes.first().filter(|_| commit.action_id.is_none()).map(|change| &change.id),
            changes,
            validated_by: commit.validated_by,
            took_ms: if commit.validated_by.is_some() { waited.max(took_ms) } else { took_ms },
            received_by,
            received_count,
        };
        let topics = commit.changes.iter().map(|change| change.topic_name.to_string()).collect();
        self.write(t_ms, "commit", topics, rest);
    }

    fn refused(&mut self, t_ms: u64, refused: &Refused) {
        let rest = RejectEntry {
            by: refused.by,
            action_id: refused.action_id.as_ref(),
            topic_name: &refused.topic_name,
            change: readable(&refused.change),
            code: refused.refusal.code.number(),
            name: refused.refusal.code.name(),
            reason: &refused.refusal.reason,
            validated_by: refused.validated_by,
        };
        self.write(t_ms, "reject", vec![refused.topic_name.clone()], rest);
    }

    fn answered(&mut self, t_ms: u64, took_ms: f64, answered: &Answered) {
        let failure = answered.outcome.as_ref().err();
        let known = |code: u32| Code::ALL.iter().find(|known| u32::from(known.number()) == code);
        let rest = CallEntry {
            service_name: answered.service_name.as_str(),
            call: answered.call,
            caller: answered.caller,
            provider: answered.provider,
            ok: failure.is_none(),
            code: failure.map(|failure| failure.code),
            name: failure.and_then(|failure| known(failure.code)).map(|code| code.name()),
            reason: failure.map(|failure| failure.reason.as_str()),
            took_ms,
            args: Preview::of(&answered.args, VALUE_BYTES).json(None),
            response: answered.outcome.as_ref().ok().map(|response| Preview::of(response, VALUE_BYTES).json(None)),
            maybe_executed: answered.maybe_executed,
        };
        self.write(t_ms, "call", Vec::new(), rest);
    }

    fn write(&mut self, t_ms: u64, kind: &str, topics: Vec<String>, rest: impl Serialize) {
        self.last += 1;
        let n = self.last;
        let Ok(json) = to_raw_value(&Written { n, t_ms, kind, rest }) else {
            return;
        };
        self.bytes += json.get().len();
        self.entries.push_back(Entry { n, topics, json });
        while self.entries.len() > KEPT || (self.bytes > KEPT_BYTES && self.entries.len() > 1) {
            let Some(gone) = self.entries.pop_front() else { break };
            self.bytes -= gone.json.get().len();
        }
    }
}

/// A change as its author wrote it; what a strict JSON reader would refuse (`1e400`) as text.
fn readable(change: &RawValue) -> Box<RawValue> {
    match serde_json::from_str::<serde_json::Value>(change.get()) {
        Ok(value) => Preview::of(&value, VALUE_BYTES).json(None),
        Err(_) => Preview::of(&change.get(), VALUE_BYTES).json(None),
    }
}

/// The first clients that were sent a commit, and how many they were. The author is not among them.
fn receivers(room: &Room, commit: &Commit) -> (Vec<ClientId>, usize) {
    let others = |connection: &ConnectionId| Some(*connection) != commit.author;
    let connections: Vec<ConnectionId> = match commit.audience.as_slice() {
        [] => Vec::new(),
        [one] => {
            let count = one.len() - usize::from(commit.author.is_some_and(|author| one.all().any(|it| it == author)));
            let first = one.all().filter(others).filter_map(|connection| room.client_of(connection)).take(RECEIVERS);
            return (first.collect(), count);
        }
        several => {
            let mut all: Vec<ConnectionId> =
                several.iter().flat_map(|subscribers| subscribers.all()).filter(others).collect();
            all.sort_unstable();
            all.dedup();
            all
        }
    };
    let first = connections.iter().filter_map(|connection| room.client_of(*connection)).take(RECEIVERS).collect();
    (first, connections.len())
}
