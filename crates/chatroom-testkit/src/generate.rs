//! Random values and changes that fit them, small and close together so that they meet.

use chatroom_protocol::change::{
    BoolChange, Component, DictChange, EventChange, FloatChange, GenericChange, IntChange, ListChange, SetChange,
    StringChange,
};
use chatroom_protocol::{Change, TopicType, TopicValue, json};
use serde_json::{Value, json};

use crate::seed::Seed;

/// The types whose changes merge.
pub const MERGING: &[TopicType] = &[
    TopicType::Generic,
    TopicType::String,
    TopicType::Int,
    TopicType::Float,
    TopicType::Bool,
    TopicType::List,
    TopicType::Set,
    TopicType::Dict,
];

const KEYS: &[&str] = &["a", "b", "__proto__", "", "é"];
const TEXTS: &[&str] = &["x", "yz", "é", "😀", "👩‍👩‍👦", "e\u{301}", "ab c"];

/// A JSON value.
pub fn item(seed: &mut Seed) -> Value {
    match seed.below(8) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!("1"),
        3 => json!(*seed.pick(TEXTS)),
        4 => json!([1, {"k": []}]),
        5 => json!({"b": 1, "a": [null]}),
        _ => json!(seed.below(6)),
    }
}

fn text(seed: &mut Seed, pieces: usize) -> String {
    (0..seed.below(pieces + 1)).map(|_| *seed.pick(TEXTS)).collect()
}

/// A double whose sums are exact, so that no property fails for its last bit.
fn number(seed: &mut Seed) -> f64 {
    (i32::try_from(seed.below(41)).unwrap_or_default() - 20).into()
}

fn key(seed: &mut Seed) -> String {
    (*seed.pick(KEYS)).to_owned()
}

/// A value of a topic.
pub fn value(seed: &mut Seed, kind: TopicType) -> TopicValue {
    match kind {
        TopicType::Generic => TopicValue::Generic(item(seed)),
        TopicType::String => TopicValue::String(text(seed, 6).into()),
        TopicType::Int => TopicValue::Int(integer(seed)),
        TopicType::Float => TopicValue::Float(number(seed) / 4.0),
        TopicType::Bool => TopicValue::Bool(seed.percent(50)),
        TopicType::List => TopicValue::List((0..seed.below(7)).map(|_| item(seed)).collect()),
        TopicType::Set => TopicValue::Set(items(seed)),
        TopicType::Dict => TopicValue::Dict((0..seed.below(5)).map(|_| (key(seed), item(seed))).collect()),
        other => TopicValue::zero(other),
    }
}

fn items(seed: &mut Seed) -> chatroom_protocol::value::Items {
    (0..seed.below(5)).map(|_| item(seed)).map(|item| (json::canonical(&item), item)).collect()
}

fn integer(seed: &mut Seed) -> i64 {
    i64::try_from(seed.below(41)).unwrap_or_default() - 20
}

/// A change that this value takes; mostly one that has an effect.
///
/// # Panics
/// For a presence topic, whose entries belong to somebody.
pub fn change(seed: &mut Seed, value: &TopicValue) -> Change {
    match value {
        TopicValue::Generic(_) => Change::Generic(GenericChange::Set(item(seed))),
        TopicValue::Bool(_) => Change::Bool(BoolChange::Set(seed.percent(50))),
        TopicValue::Int(_) if seed.percent(30) => Change::Int(IntChange::Set(integer(seed))),
        TopicValue::Int(_) => Change::Int(IntChange::Add(integer(seed))),
        TopicValue::Float(_) if seed.percent(30) => Change::Float(FloatChange::Set(number(seed))),
        TopicValue::Float(_) => Change::Float(FloatChange::Add(number(seed) / 4.0)),
        TopicValue::String(held) => Change::String(match seed.below(20) {
            0 => StringChange::Set(text(seed, 4)),
            1..=10 => edit(seed, held.scalars(), 1),
            _ => edit(seed, held.scalars(), 4),
        }),
        TopicValue::List(items) => Change::List(list(seed, items.len())),
        TopicValue::Set(held) => Change::Set(match seed.below(12) {
            0 => SetChange::Set(items(seed)),
            1..=5 if !held.is_empty() => {
                let place = seed.below(held.len());
                SetChange::Remove(held.values().nth(place).cloned().unwrap_or_default())
            }
            6 => SetChange::Remove(item(seed)),
            _ => SetChange::Append(item(seed)),
        }),
        TopicValue::Dict(map) => Change::Dict(dict(seed, map)),
        TopicValue::Event => Change::Event(EventChange::Emit(item(seed))),
        TopicValue::Presence(_) => panic!("a presence entry has an owner"),
    }
}

fn edit(seed: &mut Seed, length: usize, steps: usize) -> StringChange {
    let (mut components, mut position) = (Vec::new(), 0);
    for _ in 0..=seed.below(steps) {
        let retain = seed.below(length - position + 1);
        position += retain;
        if retain > 0 {
            components.push(Component::Retain(retain));
        }
        if seed.percent(60) {
            components.push(Component::Insert((*seed.pick(TEXTS)).to_owned()));
        }
        let delete = if seed.percent(50) { seed.below(length - position + 1).min(4) } else { 0 };
        position += delete;
        if delete > 0 {
            components.push(Component::Delete(delete));
        }
    }
    StringChange::edit(components)
}

fn list(seed: &mut Seed, length: usize) -> ListChange {
    let insert = |seed: &mut Seed| ListChange::Insert { position: seed.below(length + 1), item: item(seed) };
    match seed.below(20) {
        0 => ListChange::Set((0..seed.below(4)).map(|_| item(seed)).collect()),
        1..=7 => insert(seed),
        _ if length == 0 => insert(seed),
        8..=11 => ListChange::Pop { position: seed.below(length) },
        12..=14 => ListChange::SetItem { position: seed.below(length), item: item(seed) },
        _ => ListChange::Move { from: seed.below(length), to: seed.below(length) },
    }
}

fn dict(seed: &mut Seed, map: &std::collections::BTreeMap<String, Value>) -> DictChange {
    let there = (!map.is_empty()).then(|| {
        let place = seed.below(map.len());
        map.keys().nth(place).cloned().unwrap_or_default()
    });
    let missing: Vec<&&str> = KEYS.iter().filter(|key| !map.contains_key(**key)).collect();
    match (seed.below(14), there) {
        (0, _) => DictChange::Set((0..seed.below(4)).map(|_| (key(seed), item(seed))).collect()),
        (1..=3, Some(key)) => DictChange::ChangeValue(key, item(seed)),
        (4..=6, Some(key)) => DictChange::Pop(key),
        (7..=9, _) if !missing.is_empty() => DictChange::Add((**seed.pick(&missing)).to_owned(), item(seed)),
        (10, _) => DictChange::Ensure(key(seed), item(seed)),
        _ => DictChange::Put(key(seed), item(seed)),
    }
}
