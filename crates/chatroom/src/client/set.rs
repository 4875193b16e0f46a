//! `chatroom set`.

use chatroom_client::{Code, TopicType};
use serde_json::{Value, json};

use super::opening::opened;
use super::output::{self, DIM};
use super::remote::{connect, rejected};
use crate::arguments::{Failure, Set};

pub(crate) async fn run(set: &Set) -> Result<(), Failure> {
    let text = set.value.as_deref().map(output::input).transpose()?;
    let change = set.change.as_deref().map(|change| output::json(change, "--change")).transpose()?;
    let room = connect(&set.remote).await?;
    let there = room.untyped(&set.topic).map_err(|error| Failure::usage(error.reason))?;
    let kind = match there.loaded().await {
        Ok(_) => there.topic_type(),
        Err(error) if error.code == Code::UnknownTopic => None,
        Err(error) => return Err(Failure::refused(format!("{}: {}", error.code.name(), error.reason))),
    };
    if let (Some(kind), Some(wanted)) = (kind, set.kind)
        && kind != wanted
    {
        return Err(Failure::refused(format!("type_mismatch: {} is of type {kind}, not {wanted}", set.topic)));
    }
    let change = match (change, text) {
        (Some(change), _) => change,
        (None, Some(text)) => json!({"type": "set", "value": read(&text, kind.or(set.kind))?}),
        (None, None) => return Err(Failure::usage("a value is missing")),
    };
    if kind.is_some() {
        there.change(change).await.map_err(|error| rejected(&error))?;
        return Ok(());
    }
    drop(there);
    let kind = match (set.kind, change["type"].as_str(), change.get("value")) {
        (Some(kind), ..) => kind,
        (None, Some("set"), Some(value)) => natural_type(value),
        _ => {
            let message = format!("unknown_topic: there is no topic {}; give --type to create it", set.topic);
            return Err(Failure::refused(message));
        }
    };
    let made = opened(&room, &set.topic, kind).await?;
    made.topic.change(change).await.map_err(|error| rejected(&error))?;
    output::note(format!("{DIM}created {} of type {kind}{DIM:#}", set.topic));
    Ok(())
}

/// The value as a topic of that type takes it: for text, what is no JSON is the text itself.
fn read(text: &str, kind: Option<TopicType>) -> Result<Value, Failure> {
    match serde_json::from_str(text) {
        Ok(value @ Value::String(_)) => Ok(value),
        Ok(value) if kind != Some(TopicType::String) => Ok(value),
        _ if kind == Some(TopicType::String) => Ok(Value::String(text.to_owned())),
        _ => output::json(text, "the value"),
    }
}

fn natural_type(value: &Value) -> TopicType {
    match value {
        Value::Null => TopicType::Generic,
        Value::Bool(_) => TopicType::Bool,
        Value::Number(number) if number.is_f64() => TopicType::Float,
        Value::Number(_) => TopicType::Int,
        Value::String(_) => TopicType::String,
        Value::Array(_) => TopicType::List,
        Value::Object(_) => TopicType::Dict,
    }
}
