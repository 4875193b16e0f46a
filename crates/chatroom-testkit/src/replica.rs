//! A replica without a connection: fed with messages of a server, as text, and asked what it would
//! say. The scripts of `conformance/replica` and the simulation both stand on it.

use std::collections::BTreeMap;

use chatroom_protocol::change::RawChange;
use chatroom_protocol::heard::Resumption;
use chatroom_protocol::message::{ClientLabel, HeldTopic, TopicOptions};
use chatroom_protocol::say::Known;
use chatroom_protocol::{Change, ChangeId, ClientId, Code, Heard, Limits, Refusal, TopicName, TopicType, say};
use chatroom_replica::{
    ActionId, Asking, CursorId, Direction, ErrorCode, Greeting, How, Intent, Note, Outcome, RawUpdate, Refused,
    Replica, Saved,
};
use serde_json::{Value, json};

/// A replica with the application's side of it: what is open, what was told, what was settled.
#[derive(Debug, Default)]
pub struct Mirrored {
    /// The replica itself.
    pub replica: Replica,
    /// Milliseconds.
    pub now_ms: u64,
    /// What functions were told, in order, since it was taken.
    pub told: Vec<(TopicName, RawUpdate)>,
    /// The outcomes since they were taken.
    pub settled: Vec<(ActionId, Outcome)>,
    /// How often something was missing.
    pub gaps: Vec<String>,
    cursors: BTreeMap<TopicName, CursorId>,
    kinds: BTreeMap<TopicName, TopicType>,
}

impl Mirrored {
    /// Opens a topic and follows it.
    ///
    /// # Errors
    /// What the replica says.
    pub fn open(&mut self, name: &TopicName, kind: TopicType) -> Result<(), Refusal> {
        self.replica.open(name, Some(kind))?;
        let cursor = self.replica.follow(name);
        self.cursors.insert(name.clone(), cursor);
        self.kinds.insert(name.clone(), kind);
        self.listen();
        Ok(())
    }

    /// The program ends and begins again with what was saved. Topics are to be opened again.
    ///
    /// # Errors
    /// When what was saved cannot be read.
    pub fn restart(&mut self) -> Result<(), Refusal> {
        let text =
            serde_json::to_string(&self.replica.save()).map_err(|error| chatroom_protocol::json::refusal(&error))?;
        let saved: Saved = serde_json::from_str(&text).map_err(|error| chatroom_protocol::json::refusal(&error))?;
        *self = Self {
            replica: Replica::restore(&saved)?,
            now_ms: self.now_ms,
            kinds: std::mem::take(&mut self.kinds),
            ..Self::default()
        };
        Ok(())
    }

    /// Gives a topic up.
    pub fn release(&mut self, name: &TopicName) {
        self.replica.release(name);
        self.cursors.remove(name);
        self.listen();
    }

    /// Makes an action.
    ///
    /// # Errors
    /// What the replica says.
    pub fn act(
        &mut self,
        changes: Vec<(TopicName, Change)>,
        tracked: bool,
        group: Option<u64>,
    ) -> Result<ActionId, Refusal> {
        let parts = changes.into_iter().map(|(name, change)| (name, Intent::Change(change))).collect();
        let how = How { tracked, group, now_ms: self.now_ms };
        let limits = self.replica.limits().clone();
        let made = self.replica.act(parts, how, &limits).map_err(|(_, refusal)| refusal);
        self.listen();
        made
    }

    /// Undoes or redoes.
    pub fn take(&mut self, direction: Direction) {
        self.replica.take(direction);
        self.listen();
    }

    /// The connection is gone.
    pub fn disconnect(&mut self) {
        self.replica.disconnected();
        self.listen();
    }

    /// The hello of a new connection.
    pub fn hello(&mut self) -> String {
        let resume = self.replica.resume();
        let label = ClientLabel::default();
        match resume {
            None => say::hello(None, &label, None, &Known::default()),
            Some(resume) => {
                let held = |(topic_name, kind, sequence)| {
                    let options = TopicOptions::default();
                    HeldTopic { topic_name, topic_type: Some(kind), options, sequence }
                };
                let topics = resume.topics.into_iter().map(held).collect();
                let known = Known { acknowledged: resume.acknowledged, topics };
                say::hello(None, &label, Some(&resume.session), &known)
            }
        }
    }

    /// What the replica has to say about subscriptions.
    pub fn asking(&mut self) -> Vec<String> {
        let asking = self.replica.asking();
        asking
            .into_iter()
            .map(|asking| match asking {
                Asking::Subscribe(topic_name, topic_type) => {
                    let options = TopicOptions::default();
                    chatroom_protocol::ClientMessage::Subscribe { topic_name, topic_type, options }.text()
                }
                Asking::Unsubscribe(topic_name) => chatroom_protocol::ClientMessage::Unsubscribe { topic_name }.text(),
            })
            .collect()
    }

    /// The pushes that may go out.
    pub fn pushes(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.replica.push()).collect()
    }

    /// Takes a message of the server in.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn receive(&mut self, text: &str) -> Result<(), Refusal> {
        match Heard::parse(text)? {
            Heard::Hello(hello) => {
                let goes_on = matches!(hello.resumed, Some(Resumption::Resumed | Resumption::Resynced));
                let (id, limits) = (hello.id, hello.limits.clone());
                self.replica.connected(Greeting { id, session: hello.session, goes_on, limits });
            }
            Heard::Subscribed { topic_name, topic_type, value, sequence } => {
                self.replica.subscribed(&topic_name, topic_type, value, sequence);
            }
            Heard::Update { topic_name, change, place } => self.replica.update(&topic_name, change, place),
            Heard::Action { sequence, by, changes, .. } => self.replica.action(sequence, by, &changes),
            Heard::Accepted { id: ChangeId::Number(number), sequence, previous, effect, changes } => {
                self.replica.accepted(number.unsigned_abs(), sequence, &previous, effect, changes.as_deref());
            }
            Heard::RejectUpdate {
                topic_name,
                change,
                reason,
                code,
                retryable,
                action_id: Some(ChangeId::Number(number)),
            } => {
                let change = serde_json::from_str(change.get()).unwrap_or_default();
                let code = ErrorCode::new(code);
                let refused = Refused { code, reason, topic_name, change, retryable, maybe_executed: false };
                self.replica.rejected(number.unsigned_abs(), refused);
            }
            Heard::Resumed { .. } => self.replica.resumed(),
            Heard::Error { code, reason, about } if about.kind.as_deref() == Some("subscribe") => {
                if let Some(name) = about.topic_name.as_deref().and_then(|name| TopicName::parse(name).ok()) {
                    self.replica.refused(&name, ErrorCode::new(code), &reason);
                }
            }
            _ => {}
        }
        self.listen();
        Ok(())
    }

    /// Lets everybody who follows a topic read, as a dispatcher would.
    fn listen(&mut self) {
        for note in self.replica.notes() {
            match note {
                Note::Stepped(name) => {
                    let Some(cursor) = self.cursors.get(&name) else { continue };
                    while let Some(update) = self.replica.next(&name, *cursor) {
                        self.told.push((name.clone(), update));
                    }
                }
                Note::Settled(action, outcome) => self.settled.push((action, outcome)),
                Note::Gap(_, why) => self.gaps.push(why),
                Note::Status(_) | Note::History => {}
            }
        }
    }

    /// Reads a change of a topic as an application gives it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, name: &TopicName, change: &Value) -> Result<Change, Refusal> {
        let kind = self.kinds.get(name).copied().or_else(|| self.replica.kind(name));
        let kind = kind.ok_or_else(|| Refusal::new(Code::UnknownTopic, "the script has not opened the topic"))?;
        let raw = serde_json::value::to_raw_value(change).map_err(|error| chatroom_protocol::json::refusal(&error))?;
        let by = self.replica.id().unwrap_or(ClientId::SERVER);
        RawChange::parse(&raw)?.decode(kind, by, self.replica.limits())
    }
}

/// One script of `conformance/replica`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaScript {
    /// Its name.
    pub id: String,
    /// What it holds.
    pub section: String,
    /// In words.
    pub about: String,
    #[serde(default)]
    limits: BTreeMap<String, u64>,
    steps: Vec<serde_json::Map<String, Value>>,
}

impl ReplicaScript {
    /// Runs it.
    ///
    /// # Errors
    /// Which step was not as expected.
    pub fn check(&self) -> Result<(), String> {
        let mut stage = Mirrored::default();
        for (number, step) in self.steps.iter().enumerate() {
            self.step(&mut stage, step).map_err(|why| {
                format!("step {}, {}: {why}", number + 1, serde_json::to_string(step).unwrap_or_default())
            })?;
        }
        Ok(())
    }

    fn step(&self, stage: &mut Mirrored, step: &serde_json::Map<String, Value>) -> Result<(), String> {
        for (word, given) in step {
            match word.as_str() {
                "open" => {
                    let kind = TopicType::parse(given["type"].as_str().unwrap_or_default()).map_err(shown)?;
                    stage.open(&name(&given["topic_name"])?, kind).map_err(shown)?;
                }
                "release" => stage.release(&name(given)?),
                "receive" => stage.receive(&self.completed(given).to_string()).map_err(shown)?,
                "disconnect" => stage.disconnect(),
                "restart" => stage.restart().map_err(shown)?,
                "saved" => same(&serde_json::to_value(stage.replica.save()).map_err(shown)?, given)?,
                "act" => Self::act(stage, given, step)?,
                "tracked" | "group" | "refused" => {}
                "undo" => stage.take(Direction::Undo),
                "redo" => stage.take(Direction::Redo),
                "advance_ms" => stage.now_ms += given.as_u64().unwrap_or_default(),
                "send" => {
                    stage.asking();
                    let sent: Vec<Value> =
                        stage.pushes().iter().map(|text| serde_json::from_str(text).unwrap_or_default()).collect();
                    same(&Value::Array(sent), given)?;
                }
                "hello" => {
                    let said: Value = serde_json::from_str(&stage.hello()).map_err(shown)?;
                    same(&sorted(said["content"].clone()), &sorted(given.clone()))?;
                }
                "value" | "confirmed" => {
                    for (topic, expected) in given.as_object().into_iter().flatten() {
                        let topic = name(&json!(topic))?;
                        let found = match word.as_str() {
                            "value" => stage.replica.value(&topic),
                            _ => stage.replica.confirmed(&topic),
                        };
                        let found = serde_json::to_value(found.as_deref()).map_err(shown)?;
                        same(&found, expected).map_err(|why| format!("{topic}: {why}"))?;
                    }
                }
                "unsaved" => same(&json!(stage.replica.unsaved()), given)?,
                "can_undo" => same(&json!(stage.replica.can(Direction::Undo)), given)?,
                "can_redo" => same(&json!(stage.replica.can(Direction::Redo)), given)?,
                "settled" => {
                    let settled: Vec<Value> = std::mem::take(&mut stage.settled).iter().map(settled_value).collect();
                    same(&Value::Array(settled), given)?;
                }
                "told" => {
                    let told: Vec<Value> = std::mem::take(&mut stage.told).iter().map(told_value).collect();
                    same(&Value::Array(told), given)?;
                }
                other => return Err(format!("no step {other:?}")),
            }
        }
        Ok(())
    }

    fn act(stage: &mut Mirrored, parts: &Value, step: &serde_json::Map<String, Value>) -> Result<(), String> {
        let read = |part: &Value| {
            let name = name(&part["topic_name"])?;
            Ok::<_, String>((name.clone(), stage.read(&name, &part["change"])))
        };
        let parts = parts.as_array().into_iter().flatten().map(read).collect::<Result<Vec<_>, String>>()?;
        let parts: Result<Vec<_>, Refusal> = parts.into_iter().map(|(name, change)| Ok((name, change?))).collect();
        let tracked = step.get("tracked").and_then(Value::as_bool).unwrap_or(true);
        let group = step.get("group").and_then(Value::as_u64);
        let made = parts.and_then(|parts| stage.act(parts, tracked, group));
        match (made, step.get("refused").and_then(Value::as_str)) {
            (Ok(_), None) => Ok(()),
            (Err(refusal), Some(code)) if refusal.code.name() == code => Ok(()),
            (Ok(_), Some(code)) => Err(format!("was not refused with {code}")),
            (Err(refusal), _) => Err(format!("was refused: {refusal}")),
        }
    }

    /// A hello may leave out what every hello has.
    fn completed(&self, message: &Value) -> Value {
        let mut message = message.clone();
        if message["type"] == "hello" {
            let mut limits = json!(Limits::default());
            for (name, value) in &self.limits {
                limits[name] = json!(value);
            }
            let defaults = json!({"protocol": "chatroom.v1.json", "room": "main", "epoch": 1, "sequence": 0,
                "heartbeat_ms": 25_000, "limits": limits});
            for (field, value) in defaults.as_object().into_iter().flatten() {
                if message["content"].get(field).is_none() {
                    message["content"][field] = value.clone();
                }
            }
        }
        message
    }
}

fn name(value: &Value) -> Result<TopicName, String> {
    TopicName::parse(value.as_str().unwrap_or_default()).map_err(shown)
}

fn shown(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// `resume` has no order.
fn sorted(mut hello: Value) -> Value {
    if let Some(list) = hello.get_mut("resume").and_then(Value::as_array_mut) {
        list.sort_by_key(|held| held["topic_name"].as_str().unwrap_or_default().to_owned());
    }
    hello
}

fn settled_value((action, outcome): &(ActionId, Outcome)) -> Value {
    match outcome {
        Outcome::Accepted(accepted) if accepted.effect => json!({"action": action.0, "sequence": accepted.sequence}),
        Outcome::Accepted(accepted) => json!({"action": action.0, "sequence": accepted.sequence, "effect": false}),
        Outcome::Refused(refused) => json!({"action": action.0, "code": refused.code.name()}),
    }
}

fn told_value((name, update): &(TopicName, RawUpdate)) -> Value {
    let mut told = json!({"topic_name": name.as_str(), "cause": update.meta.cause.name()});
    if update.meta.cause != chatroom_replica::Cause::Snapshot {
        told["changes"] = json!(&*update.changes);
    }
    told
}

/// Numbers are compared by value: `1.0` is `1`.
fn same(found: &Value, expected: &Value) -> Result<(), String> {
    let read = |value: &Value| chatroom_protocol::json::parse(&value.to_string()).unwrap_or_default();
    match read(found) == read(expected) {
        true => Ok(()),
        false => Err(format!("found {found}")),
    }
}
