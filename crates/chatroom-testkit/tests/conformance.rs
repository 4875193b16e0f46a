//! Runs the vectors in `conformance/`: on the types, on a room, and over sockets.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    reason = "a test that panics has failed"
)]

use std::sync::Arc;

use chatroom_protocol::change::RawChange;
use chatroom_protocol::envelope::Envelope;
use chatroom_protocol::{ClientId, Dialect, Limits, Refusal, TopicType, TopicValue, json};
use chatroom_server::Config;
use chatroom_testkit::TestServer;
use chatroom_testkit::script::{EngineStage, Script, SocketStage};
use chatroom_testkit::vectors::{self, Repeat};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

fn agree<T: std::fmt::Debug + PartialEq>(found: Result<T, Refusal>, expected: Result<T, &str>) -> Result<(), String> {
    match (&found, &expected) {
        (Ok(found), Ok(expected)) if found == expected => Ok(()),
        (Err(refusal), Err(code)) if refusal.code.name() == *code => Ok(()),
        _ => Err(format!("expected {expected:?}, found {found:?}")),
    }
}

/// A field that is there, `null` or not.
fn some<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(source).map(Some)
}

#[test]
fn values() {
    #[derive(Deserialize)]
    struct Case {
        id: String,
        text: Option<String>,
        repeat: Option<Repeat>,
        canonical: Option<String>,
        code: Option<String>,
        a: Option<String>,
        b: Option<String>,
        equal: Option<bool>,
    }

    let cases = vectors::load::<Case>("values");
    vectors::run(
        "values",
        &cases,
        |case| &case.id,
        |case| {
            if let (Some(a), Some(b), Some(equal)) = (&case.a, &case.b, case.equal) {
                let (a, b) = (json::parse(a).map_err(|e| e.to_string())?, json::parse(b).map_err(|e| e.to_string())?);
                let texts_equal = json::canonical(&a) == json::canonical(&b);
                return match (a == b, texts_equal) == (equal, equal) {
                    true => Ok(()),
                    false => Err(format!("expected {equal}, found {} and {texts_equal}", a == b)),
                };
            }
            let text =
                case.text.clone().or_else(|| case.repeat.as_ref().map(Repeat::text)).ok_or("a case without text")?;
            let found = json::parse(&text);
            match (&case.canonical, &case.code) {
                (Some(canonical), None) => agree(found.map(|value| json::canonical(&value)), Ok(canonical.clone())),
                (None, Some(code)) => agree(found.map(|value| json::canonical(&value)), Err(code)),
                _ => Err("a case needs canonical or code".into()),
            }
        },
    );
}

#[test]
fn changes() {
    #[derive(Deserialize)]
    struct Case {
        id: String,
        r#type: String,
        state: Box<RawValue>,
        change: Option<Box<RawValue>>,
        change_text: Option<String>,
        #[serde(default, deserialize_with = "some")]
        result: Option<Value>,
        code: Option<String>,
        changed: Option<bool>,
        by: Option<u64>,
    }

    fn state(kind: TopicType, raw: &RawValue, limits: &Limits) -> Result<TopicValue, Refusal> {
        if let TopicType::Presence = kind {
            let entries: std::collections::BTreeMap<String, Value> = serde_json::from_str(raw.get()).unwrap();
            let entries = entries.into_iter().map(|(id, value)| (ClientId(id.parse().unwrap()), value));
            return Ok(TopicValue::Presence(entries.collect()));
        }
        let mut value = TopicValue::zero(kind);
        if kind != TopicType::Event {
            let set = to_raw_value(&serde_json::json!({"type": "set", "value": raw})).unwrap();
            let set = RawChange::parse(&set)?.decode(kind, ClientId(0), limits)?;
            value.apply(&set, limits)?;
        }
        Ok(value)
    }

    let cases = vectors::load::<Case>("changes");
    let limits = Limits::default();
    vectors::run(
        "changes",
        &cases,
        |case| &case.id,
        |case| {
            let kind = TopicType::parse(&case.r#type).map_err(|refusal| refusal.to_string())?;
            let before = state(kind, &case.state, &limits).map_err(|refusal| format!("the state: {refusal}"))?;
            let mut value = before.clone();
            let by = ClientId(case.by.unwrap_or(1));
            let change = match (&case.change, &case.change_text) {
                (Some(change), None) => change.clone(),
                (None, Some(text)) => {
                    RawValue::from_string(text.clone()).map_err(|error| format!("change_text: {error}"))?
                }
                _ => return Err("a case needs change or change_text".into()),
            };
            let applied = RawChange::parse(&change)
                .and_then(|raw| raw.decode(kind, by, &limits))
                .and_then(|change| value.apply(&change, &limits));
            let refused = applied.is_err();
            let effect = matches!(applied, Ok(Some(_)));
            let expected = match (&case.result, &case.code) {
                (Some(result), None) => Ok(result.clone()),
                (None, Some(code)) => Err(code.as_str()),
                _ => return Err("a case needs result or code".into()),
            };
            // Compared as values: 2^53 may be written as an integer or as a double.
            let shown = |value: &Value| {
                json::canonical(&value.as_f64().and_then(json::number).map_or(value.clone(), Value::Number))
            };
            agree(applied.map(|_| shown(&serde_json::to_value(&value).unwrap())), expected.map(|value| shown(&value)))?;
            if refused && value != before {
                return Err(format!("the refused change left {value:?}"));
            }
            match case.changed {
                Some(changed) if changed != effect => Err(format!("expected changed {changed}, found {effect}")),
                _ => Ok(()),
            }
        },
    );
}

#[test]
fn messages() {
    #[derive(Deserialize)]
    struct Case {
        id: String,
        text: Option<String>,
        repeat: Option<Repeat>,
        r#type: Option<String>,
        code: Option<String>,
    }

    let limits = Limits::default();
    for (name, dialect) in [("messages/seed", Dialect::Seed), ("messages/v1", Dialect::V1)] {
        let cases = vectors::load::<Case>(name);
        vectors::run(
            name,
            &cases,
            |case| &case.id,
            |case| {
                let text = case
                    .text
                    .clone()
                    .or_else(|| case.repeat.as_ref().map(Repeat::text))
                    .ok_or("a case without text")?;
                let found = Envelope::parse(&text)
                    .and_then(|envelope| envelope.message(dialect, &limits).map(|_| envelope.kind.to_string()));
                match (&case.r#type, &case.code) {
                    (Some(kind), None) => agree(found, Ok(kind.clone())),
                    (_, Some(code)) => agree(found, Err(code)),
                    _ => Err("a case needs type or code".into()),
                }
            },
        );
    }
}

#[test]
fn sessions_on_a_room() {
    let scripts = vectors::load::<Script>("sessions");
    vectors::run("sessions (room)", &scripts, |script| &script.id, |script| script.run(&mut EngineStage::new(script)));
}

#[test]
fn sessions_over_sockets() {
    let server = TestServer::start(Config { limits: Arc::new(Limits::default()), ..Config::default() });
    let scripts: Vec<_> = vectors::load::<Script>("sessions").into_iter().filter(|(_, script)| !script.clock).collect();
    let rooms: Vec<String> = (0..scripts.len()).map(|index| format!("script-{index}")).collect();
    let room = |script: &Script| {
        let index = scripts.iter().position(|(_, other)| std::ptr::eq(other, script)).unwrap();
        &rooms[index]
    };
    vectors::run(
        "sessions (sockets)",
        &scripts,
        |script| &script.id,
        |script| script.run(&mut SocketStage::new(&server, room(script))),
    );
}
