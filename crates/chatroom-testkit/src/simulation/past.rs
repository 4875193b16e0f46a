//! What the room tells of its past, held against what happened.

use chatroom_engine::Input;
use chatroom_protocol::{Code, Sequence, TopicValue};
use serde_json::json;

use super::{HISTORIAN, Simulation, canonical};

impl Simulation {
    /// Asks for the past as its journal has it, and holds it against what happened.
    pub(super) fn look_back(&mut self) -> Result<(), String> {
        self.handle(Input::Hosted { connection: HISTORIAN });
        let end = usize::try_from(self.room.sequence().0).unwrap_or(usize::MAX);
        for (name, kind) in self.names.clone() {
            if !kind.is_journaled() {
                continue;
            }
            let mut told = None;
            for _ in 0..4 {
                let at = Sequence(self.seed.below(end + 2) as u64);
                let content = self.ask_room("_chatroom/get", &json!({"topic_name": name, "at": at.0}))?;
                let truth = self.truth.get(&name).and_then(|truth| truth.range(..=at).next_back());
                if let Some(error) = content.get("error") {
                    let code = error["code"].as_u64();
                    let known = [Code::UnknownTopic, Code::OutOfRange].map(|code| Some(u64::from(code.number())));
                    if !known.contains(&code) {
                        return Err(format!("{name} at {}: {error}", at.0));
                    }
                    continue;
                }
                let value = chatroom_protocol::json::canonical(&content["response"]["value"]);
                // Before its first commit a topic has the value of its type.
                let zero = TopicValue::zero(kind);
                let truth = truth.map_or_else(|| canonical(&zero), |(_, text)| text.clone());
                if value != truth {
                    return Err(format!("{name} at {}: the past is told as {value}, and was {truth}", at.0));
                }
                self.done.looks += 1;
            }
            // All its commits, page by page.
            let mut before = serde_json::Value::Null;
            loop {
                let mut args = json!({"topic_name": name, "limit": 1 + self.seed.below(5)});
                if !before.is_null() {
                    args["before"] = before;
                }
                let content = self.ask_room("_chatroom/history", &args)?;
                for commit in content["response"]["commits"].as_array().ok_or("a page has commits")? {
                    let at = commit["sequence"].as_u64().unwrap_or_default();
                    if told.is_some_and(|last| at >= last) || !self.truth[&name].contains_key(&Sequence(at)) {
                        return Err(format!("{name}: {commit} after {told:?} is no page's next commit"));
                    }
                    told = Some(at);
                    self.done.looks += 1;
                }
                before = content["response"]["next"].clone();
                if before.is_null() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn ask_room(&mut self, service: &str, args: &serde_json::Value) -> Result<serde_json::Value, String> {
        let content = json!({"service_name": service, "args": args, "request_id": "look"});
        let message = json!({"type": "request", "content": content}).to_string();
        self.answers.clear();
        self.handle(Input::Received { connection: HISTORIAN, message: &message });
        match self.answers.pop() {
            Some(answer) if answer["type"] == "response" => Ok(answer["content"].clone()),
            other => Err(format!("{message}: the room answers {other:?}")),
        }
    }
}
