//! The replica by itself: the vectors, gaps, and readers that fall behind.

use std::collections::BTreeMap;

use chatroom_testkit::vectors;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::cursor::BEHIND_MAX;

fn name(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

/// A replica with one live topic.
fn live(kind: TopicType, value: &RawValue, sequence: u64) -> Replica {
    let mut replica = Replica::default();
    replica.open(&name("t"), Some(kind)).unwrap();
    replica.connected(ClientId(1));
    assert_eq!(replica.asking(), [Asking::Subscribe(name("t"), Some(kind))]);
    replica.subscribed(&name("t"), kind, value, Sequence(sequence));
    replica.notes();
    replica
}

fn place(previous: u64, sequence: u64) -> Place {
    Place { sequence: Sequence(sequence), previous: Sequence(previous), by: ClientId(2) }
}

fn shown(replica: &Replica) -> Value {
    serde_json::to_value(&*replica.value(&name("t")).unwrap()).unwrap()
}

#[test]
fn values_arrive_as_they_are() {
    #[derive(Deserialize)]
    struct Case {
        id: String,
        text: Option<String>,
        repeat: Option<vectors::Repeat>,
        canonical: Option<String>,
        code: Option<String>,
        a: Option<String>,
        b: Option<String>,
        equal: Option<bool>,
    }
    let cases = vectors::load::<Case>("values");
    let arrived = |text: &str| {
        let value = RawValue::from_string(text.to_owned()).map_err(|error| error.to_string())?;
        let replica = live(TopicType::Generic, &value, 1);
        match (replica.value(&name("t")), replica.status(&name("t"))) {
            (Some(value), _) => Ok((*value).clone()),
            (None, Status::Denied { code, .. }) => Err(code.name().to_owned()),
            (None, other) => Err(format!("{other:?}")),
        }
    };
    let canonical = |value: &TopicValue| chatroom_protocol::json::canonical(&serde_json::to_value(value).unwrap());
    vectors::run(
        "values (replica)",
        &cases,
        |case| &case.id,
        |case| {
            if let (Some(a), Some(b), Some(equal)) = (&case.a, &case.b, case.equal) {
                let found = arrived(a)? == arrived(b)?;
                return if found == equal { Ok(()) } else { Err(format!("expected {equal}")) };
            }
            let text =
                case.text.clone().or_else(|| case.repeat.as_ref().map(vectors::Repeat::text)).ok_or("no text")?;
            match (arrived(&text), &case.canonical, &case.code) {
                (Ok(value), Some(expected), None) if canonical(&value) == *expected => Ok(()),
                // Not JSON at all, or refused with its code.
                (Err(_), None, Some(code)) if RawValue::from_string(text.clone()).is_err() => {
                    let found = chatroom_protocol::json::parse(&text).unwrap_err();
                    if found.code.name() == code { Ok(()) } else { Err(format!("expected {code}, found {found}")) }
                }
                (Err(found), None, Some(code)) if found == *code => Ok(()),
                (found, ..) => Err(format!("expected {:?} or {:?}, found {found:?}", case.canonical, case.code)),
            }
        },
    );
}

/// Each vector twice: as another client's change, and as an own one that the room accepted.
#[test]
fn changes_are_followed() {
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
        by: Option<u64>,
    }
    fn some<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(source).map(Some)
    }
    let canonical = |value: &Value| {
        let number = value.as_f64().and_then(chatroom_protocol::json::number);
        chatroom_protocol::json::canonical(&number.map_or(value.clone(), Value::Number))
    };
    let cases = vectors::load::<Case>("changes");
    vectors::run(
        "changes (replica)",
        &cases,
        |case| &case.id,
        |case| {
            let kind = TopicType::parse(&case.r#type).map_err(|refusal| refusal.to_string())?;
            let change = match (&case.change, &case.change_text) {
                (Some(change), None) => change.clone(),
                (None, Some(text)) => RawValue::from_string(text.clone()).map_err(|error| error.to_string())?,
                _ => return Err("a case needs change or change_text".into()),
            };
            let by = ClientId(case.by.unwrap_or(1));
            for own in [false, true] {
                let mut replica = live(kind, &case.state, 1);
                replica.me = Some(by);
                let before = shown(&replica);
                if own {
                    // What the room would refuse is mostly refused here; what is not goes there.
                    let id = ChangeId::Text("own".into());
                    let checked = replica.check(&name("t"), &change, &Limits::default());
                    if let (Err(refusal), Some(code)) = (&checked, &case.code)
                        && refusal.code.name() != code
                    {
                        return Err(format!("refused with {refusal} instead of {code}"));
                    }
                    match (checked, &case.code) {
                        (Err(refusal), None) => return Err(format!("refused: {refusal}")),
                        (Err(_), Some(_)) | (Ok(()), Some(_)) => continue,
                        (Ok(()), None) => {}
                    }
                    replica.begin(&id, vec![Part { topic: name("t"), change: change.clone() }]);
                    replica.accepted(&id, Sequence(2));
                } else {
                    let place = Place { by, ..place(1, 2) };
                    replica.update(&name("t"), &change, place);
                }
                match (&case.result, &case.code) {
                    (Some(result), None) if replica.gaps != 0 => return Err(format!("a gap before {result}")),
                    (Some(result), None) if canonical(&shown(&replica)) != canonical(result) => {
                        return Err(format!("own {own}: expected {result}, found {}", shown(&replica)));
                    }
                    (Some(_), None) => {}
                    // No server sends such a change. A limit is no matter of the replica, nor is
                    // whose entry it is.
                    (None, Some(code)) if code == "too_big" || code == "forbidden" => {}
                    (None, Some(_)) if replica.gaps == 1 && shown(&replica) == before => {}
                    (None, Some(code)) => return Err(format!("expected a gap for {code}: {}", shown(&replica))),
                    _ => return Err("a case needs result or code".into()),
                }
            }
            Ok(())
        },
    );
}

#[test]
fn a_gap_is_seen_and_healed() {
    let add = raw(&json!({"type": "add", "value": 1, "id": "x"}));
    let mut replica = live(TopicType::Int, &raw(&json!(5)), 10);
    // The snapshot stands for everything up to 10.
    replica.update(&name("t"), &add, place(3, 11));
    assert_eq!((shown(&replica), replica.gaps), (json!(6), 0));
    // Again the same: dropped.
    replica.update(&name("t"), &add, place(3, 11));
    assert_eq!((shown(&replica), replica.gaps), (json!(6), 0));
    // 12 is missing.
    replica.update(&name("t"), &add, place(12, 13));
    assert_eq!((shown(&replica), replica.gaps), (json!(6), 1));
    assert!(replica.notes().iter().any(|note| matches!(note, Note::Gap(..))));
    let asking = [Asking::Unsubscribe(name("t")), Asking::Subscribe(name("t"), Some(TopicType::Int))];
    assert_eq!(replica.asking(), asking);
    // What was on its way meanwhile is in the value that comes.
    replica.update(&name("t"), &add, place(13, 14));
    assert_eq!(shown(&replica), json!(6));
    replica.subscribed(&name("t"), TopicType::Int, &raw(&json!(9)), Sequence(14));
    assert_eq!((shown(&replica), replica.gaps), (json!(9), 1));
}

#[test]
fn a_change_that_does_not_apply_is_a_gap() {
    let mut replica = live(TopicType::List, &raw(&json!([1])), 1);
    replica.update(&name("t"), &raw(&json!({"type": "pop", "position": 5, "id": "x"})), place(1, 2));
    assert_eq!((shown(&replica), replica.gaps), (json!([1]), 1));
}

#[test]
fn several_parts_of_an_action_may_change_one_topic() {
    let mut replica = live(TopicType::List, &raw(&json!([])), 1);
    let first = raw(&json!({"type": "insert", "position": 0, "item": "a"}));
    let second = raw(&json!({"type": "insert", "position": 1, "item": "b"}));
    let part = |change| HeardPart { topic_name: name("t"), change, previous: Sequence(1) };
    replica.action(Sequence(2), ClientId(2), &[part(&first), part(&second)]);
    assert_eq!((shown(&replica), replica.gaps), (json!(["a", "b"]), 0));
    replica.action(Sequence(2), ClientId(2), &[part(&first), part(&second)]);
    assert_eq!(shown(&replica), json!(["a", "b"]));
}

#[test]
fn a_snapshot_that_says_nothing_new_tells_nobody() {
    let mut replica = live(TopicType::Dict, &raw(&json!({"a": 1, "b": 2.0})), 1);
    let cursor = replica.follow(&name("t"));
    assert!(replica.next(&name("t"), cursor).is_some());
    replica.disconnected();
    replica.connected(ClientId(2));
    replica.asking();
    replica.subscribed(&name("t"), TopicType::Dict, &raw(&json!({"b": 2, "a": 1})), Sequence(8));
    assert!(replica.next(&name("t"), cursor).is_none());
    assert_eq!(replica.status(&name("t")), Status::Live);
}

/// A reader gets each value as it was after each change, however late it reads.
#[test]
fn a_late_reader_sees_every_value() {
    let mut replica = live(TopicType::List, &raw(&json!([])), 1);
    let cursors = [replica.follow(&name("t")), replica.follow(&name("t"))];
    let mut expected: BTreeMap<u64, Value> = BTreeMap::new();
    for cursor in cursors {
        assert_eq!(replica.next(&name("t"), cursor).unwrap().meta.cause, Cause::Snapshot);
    }
    let mut list = Vec::new();
    for sequence in 2..200u64 {
        let change = match sequence % 5 {
            0 => {
                list.remove(0);
                json!({"type": "pop", "position": 0})
            }
            1 => {
                list.rotate_left(1);
                json!({"type": "move", "from": 0, "to": list.len() - 1})
            }
            _ => {
                list.push(json!(sequence));
                json!({"type": "insert", "position": list.len() - 1, "item": sequence})
            }
        };
        replica.update(&name("t"), &raw(&change), place(sequence - 1, sequence));
        expected.insert(sequence, json!(list));
        // One reads in bursts of different lengths, the other not at all.
        if sequence % 7 < 3 {
            while let Some(update) = replica.next(&name("t"), cursors[0]) {
                let value = serde_json::to_value(&*update.value).unwrap();
                assert_eq!(value, expected[&update.meta.sequence.0], "{:?}", update.meta);
            }
        }
    }
    let mut count = 0;
    while let Some(update) = replica.next(&name("t"), cursors[1]) {
        let value = serde_json::to_value(&*update.value).unwrap();
        assert_eq!(value, expected[&update.meta.sequence.0], "{:?}", update.meta);
        count += 1;
    }
    assert_eq!(count, expected.len());
    assert_eq!(shown(&replica), expected[&199]);
}

#[test]
fn a_reader_far_behind_gets_the_value_and_is_told() {
    let mut replica = live(TopicType::Int, &raw(&json!(0)), 1);
    let cursor = replica.follow(&name("t"));
    replica.next(&name("t"), cursor).unwrap();
    let changes = BEHIND_MAX as u64 + 10;
    for n in 0..changes {
        let add = raw(&json!({"type": "add", "value": 1}));
        replica.update(&name("t"), &add, place(n + 1, n + 2));
    }
    let update = replica.next(&name("t"), cursor).unwrap();
    assert_eq!(update.meta.cause, Cause::Snapshot);
    assert_eq!(*update.value, TopicValue::Int(i64::try_from(changes).unwrap()));
    assert_eq!(update.meta.skipped, BEHIND_MAX as u64 + 1);
    assert!(replica.next(&name("t"), cursor).is_none());
}

#[test]
fn own_changes_under_way_count_for_positions() {
    let mut replica = live(TopicType::List, &raw(&json!([1, 2])), 1);
    let limits = Limits { items: 4, ..Limits::default() };
    let insert = |position: usize| raw(&json!({"type": "insert", "position": position, "item": 0}));
    let check = |replica: &Replica, change: &RawValue| {
        replica.check(&name("t"), change, &limits).map_err(|refusal| refusal.code)
    };
    assert_eq!(check(&replica, &insert(3)), Err(Code::OutOfRange));
    replica.begin(&ChangeId::Number(1), vec![Part { topic: name("t"), change: insert(2) }]);
    assert_eq!(replica.length(&name("t")), Some(3));
    assert_eq!(check(&replica, &insert(3)), Ok(()));
    replica.begin(&ChangeId::Number(2), vec![Part { topic: name("t"), change: insert(3) }]);
    assert_eq!(check(&replica, &insert(4)), Err(Code::TooBig));
    replica.forget(&ChangeId::Number(2));
    assert_eq!(replica.length(&name("t")), Some(3));
    replica.accepted(&ChangeId::Number(1), Sequence(2));
    assert_eq!((replica.length(&name("t")), shown(&replica)), (Some(3), json!([1, 2, 0])));
}
