//! What a page asks for.

use std::time::Duration;

use chatroom_protocol::{ClientId, RoomName, TopicType};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::Fault;
use crate::host::Ask;

/// The longest fault that can be asked for.
const FAULT_MS_MAX: u64 = 600_000;

#[derive(Debug)]
pub(crate) enum Command {
    Hello { token: Option<String> },
    Watch { room: RoomName },
    Inspect { topic_name: Option<String> },
    Ask { id: i64, ask: Ask },
    Fault { id: i64, room: Option<RoomName>, client: ClientId, fault: Fault },
    History { id: i64, topic_name: Option<String>, before: Option<u64> },
}

/// A command that cannot be carried out, and its id if it had one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadCommand {
    pub(crate) id: Option<i64>,
    pub(crate) reason: String,
}

#[derive(Deserialize)]
struct Fields {
    r#type: String,
    id: Option<i64>,
    token: Option<String>,
    room: Option<String>,
    topic_name: Option<String>,
    topic_type: Option<String>,
    change: Option<Box<RawValue>>,
    value: Option<Box<RawValue>>,
    service_name: Option<String>,
    args: Option<Box<RawValue>>,
    timeout_ms: Option<u64>,
    client: Option<u64>,
    kind: Option<String>,
    ms: Option<u64>,
    before: Option<u64>,
}

impl Command {
    pub(crate) fn parse(text: &str) -> Result<Self, BadCommand> {
        let fields: Fields =
            serde_json::from_str(text).map_err(|error| BadCommand { id: None, reason: error.to_string() })?;
        let id = fields.id;
        fields.command().map_err(|reason| BadCommand { id, reason })
    }
}

impl Fields {
    fn command(self) -> Result<Command, String> {
        let id = || self.id.ok_or("id is missing: an integer under which the result comes");
        let room = self.room.as_deref().map(RoomName::parse).transpose().map_err(|bad| bad.reason.into_owned())?;
        match self.r#type.as_str() {
            "hello" => Ok(Command::Hello { token: self.token }),
            "watch" => Ok(Command::Watch { room: room.ok_or("room is missing")? }),
            "inspect" => Ok(Command::Inspect { topic_name: self.topic_name }),
            "update" => {
                let id = id()?;
                let (Some(topic_name), Some(change)) = (self.topic_name, self.change) else {
                    return Err("update takes topic_name and change".into());
                };
                Ok(Command::Ask { id, ask: Ask::Update { topic_name, change } })
            }
            "create" => {
                let id = id()?;
                let (Some(topic_name), Some(topic_type)) = (self.topic_name, self.topic_type) else {
                    return Err("create takes topic_name and topic_type".into());
                };
                let known = TopicType::ALL.iter().find(|known| known.name() == topic_type);
                let topic_type = *known.ok_or_else(|| format!("there is no type {topic_type:?}"))?;
                Ok(Command::Ask { id, ask: Ask::Create { topic_name, topic_type, value: self.value } })
            }
            "delete" => {
                let id = id()?;
                let topic_name = self.topic_name.ok_or("delete takes topic_name")?;
                let args = serde_json::json!({ "topic_name": topic_name }).to_string();
                let args = RawValue::from_string(args).map_err(|error| error.to_string())?;
                let service_name = "_chatroom/delete_topic".into();
                Ok(Command::Ask { id, ask: Ask::Call { service_name, args, timeout_ms: None } })
            }
            "call" => {
                let id = id()?;
                let service_name = self.service_name.ok_or("call takes service_name and args")?;
                let args = self.args.unwrap_or_else(|| RawValue::NULL.to_owned());
                Ok(Command::Ask { id, ask: Ask::Call { service_name, args, timeout_ms: self.timeout_ms } })
            }
            "fault" => {
                let id = id()?;
                let client = ClientId(self.client.ok_or("fault takes client, kind and perhaps ms")?);
                let time = |least: u64| match self.ms {
                    Some(ms) if (least..=FAULT_MS_MAX).contains(&ms) => Ok(Duration::from_millis(ms)),
                    _ => Err(format!("ms must be from {least} to {FAULT_MS_MAX}")),
                };
                let fault = match self.kind.as_deref() {
                    Some("disconnect") => Fault::Disconnect,
                    Some("drop") => Fault::Drop,
                    Some("freeze") => Fault::Freeze(time(1)?),
                    Some("delay") => Fault::Delay(time(0)?),
                    _ => return Err("kind is one of disconnect, drop, freeze, delay".into()),
                };
                Ok(Command::Fault { id, room, client, fault })
            }
            "history" => Ok(Command::History { id: id()?, topic_name: self.topic_name, before: self.before }),
            other => {
                let shown: String = other.chars().take(40).collect();
                Err(format!(
                    "no command {shown:?}; there are hello, watch, inspect, update, create, delete, call, fault, history"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, id: Option<i64>, reason: &str) {
        let bad = Command::parse(text).expect_err(text);
        assert_eq!(bad.id, id, "{text}");
        assert!(bad.reason.contains(reason), "{text}: {}", bad.reason);
    }

    #[test]
    fn a_bad_command_says_what_would_be_right() {
        check("", None, "EOF");
        check("[]", None, "");
        check(r#"{"type":"dance","id":7}"#, Some(7), "no command \"dance\"");
        check(r#"{"type":"watch","room":"a b"}"#, None, "room");
        check(r#"{"type":"update","topic_name":"a","change":{}}"#, None, "id is missing");
        check(r#"{"type":"update","id":1}"#, Some(1), "topic_name and change");
        check(r#"{"type":"create","id":1,"topic_name":"a","topic_type":"number"}"#, Some(1), "no type \"number\"");
        check(r#"{"type":"fault","id":1,"client":2,"kind":"explode"}"#, Some(1), "one of disconnect");
        check(r#"{"type":"fault","id":1,"client":2,"kind":"freeze"}"#, Some(1), "ms must be from 1");
        check(r#"{"type":"fault","id":1,"client":2,"kind":"delay","ms":600001}"#, Some(1), "ms must be from 0");
    }
}
