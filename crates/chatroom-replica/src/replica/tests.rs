//! The replica by itself: the vectors, gaps, and readers that fall behind.

use std::collections::BTreeMap;

use chatroom_testkit::vectors;
use serde::Deserialize;
use serde_json::{Value, json};

use chatroom_protocol::change::RawChange;
use chatroom_protocol::heard::HeardPart;
use chatroom_protocol::reply::Place;
use chatroom_protocol::{Change, Refusal};
use serde_json::value::RawValue;

use super::*;
use crate::cursor::BEHIND_MAX;
use crate::own::{How, Intent};

fn name(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn greeting(id: u64) -> Greeting {
    Greeting { id: ClientId(id), session: None, goes_on: false, limits: Limits::default() }
}

const TRACKED: How = How { tracked: true, group: None, now_ms: 0 };

/// Makes an own change of the topic, as JSON.
fn act(replica: &mut Replica, change: &RawValue, limits: &Limits) -> Result<ActionId, Refusal> {
    let (kind, by) = (replica.kind(&name("t")).unwrap(), replica.client.unwrap());
    let change = RawChange::parse(change)?.decode(kind, by, limits)?;
    replica.act(vec![(name("t"), Intent::Change(change))], TRACKED, limits).map_err(|(_, refusal)| refusal)
}

/// A replica with one live topic.
fn live(kind: TopicType, value: &RawValue, sequence: u64) -> Replica {
    let mut replica = Replica::default();
    replica.open(&name("t"), Some(kind)).unwrap();
    replica.connected(greeting(1));
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
                replica.client = Some(by);
                let before = shown(&replica);
                if own {
                    // What the room would refuse is refused here.
                    match (act(&mut replica, &change, &Limits::default()), &case.code) {
                        (Err(refusal), Some(code)) if refusal.code.name() == code => continue,
                        (Err(refusal), code) => return Err(format!("refused with {refusal}, not {code:?}")),
                        (Ok(_), Some(code)) => return Err(format!("not refused with {code}")),
                        (Ok(_), None) => {}
                    }
                    let Some(_) = replica.push() else { return Err("nothing to push".into()) };
                    let confirmed = replica.confirmed(&name("t")).unwrap();
                    if serde_json::to_value(&*confirmed).unwrap() != before {
                        return Err("the confirmed value moved before the room said so".into());
                    }
                    replica.accepted(1, Sequence(2), &[Sequence(1)], true, None);
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
    replica.connected(greeting(2));
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
    let mut made = |position: usize| act(&mut replica, &insert(position), &limits).map_err(|refusal| refusal.code);
    assert_eq!(made(3), Err(Code::OutOfRange));
    assert_eq!(made(2), Ok(ActionId(1)));
    assert_eq!(made(3), Ok(ActionId(2)));
    assert_eq!(made(4), Err(Code::TooBig));
    assert_eq!(shown(&replica), json!([1, 2, 0, 0]));
    replica.push().unwrap();
    replica.accepted(1, Sequence(2), &[Sequence(1)], true, None);
    let refused = crate::own::refused(Code::Invalid, "no".into(), "t".into(), Value::Null);
    replica.rejected(2, refused);
    assert_eq!((shown(&replica), replica.unsaved()), (json!([1, 2, 0]), 0));
}

/// ShareDB PR #327: what is on its way is not touched by what is done after a disconnect.
#[test]
fn an_edit_after_a_disconnect_is_no_part_of_what_was_on_its_way() {
    let mut replica = live(TopicType::String, &raw(&json!("ab")), 1);
    let limits = Limits::default();
    let typed = |text: &str| raw(&json!({"type": "edit", "components": [{"insert": text}]}));
    replica.session = Some(Session { id: ClientId(1), secret: "s".into() });
    act(&mut replica, &typed("x"), &limits).unwrap();
    let first = replica.push().unwrap();
    replica.disconnected();
    act(&mut replica, &typed("y"), &limits).unwrap();
    replica.resume().unwrap();
    replica.connected(Greeting { session: replica.session.clone(), goes_on: true, ..greeting(1) });
    assert_eq!(replica.push(), None, "nothing goes out before all that was missed is known");
    replica.resumed();
    let again = replica.push().unwrap();
    let actions = |push: &str| serde_json::from_str::<Value>(push).unwrap()["content"]["actions"].clone();
    assert_eq!(actions(&again)[0], actions(&first)[0], "under the same number goes the same");
    assert_eq!(actions(&again).as_array().unwrap().len(), 2);
}

#[test]
fn an_own_change_is_told_at_once_and_its_outcome_changes_nothing() {
    let mut replica = live(TopicType::Int, &raw(&json!(5)), 1);
    let cursor = replica.follow(&name("t"));
    replica.next(&name("t"), cursor).unwrap();
    act(&mut replica, &raw(&json!({"type": "add", "value": 2})), &Limits::default()).unwrap();
    let update = replica.next(&name("t"), cursor).unwrap();
    assert_eq!((update.meta.cause, update.meta.mine, &*update.value), (Cause::Local, true, &TopicValue::Int(7)));
    assert!(matches!(*update.changes, [Change::Int(_)]));
    replica.push().unwrap();
    replica.accepted(1, Sequence(2), &[Sequence(1)], true, None);
    assert!(replica.next(&name("t"), cursor).is_none());
    assert_eq!((shown(&replica), replica.unsaved()), (json!(7), 0));
}
