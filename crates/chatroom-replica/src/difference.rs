//! What is told of a value that several pending changes stand on.
//!
//! A commit carried over the pending changes says what it does to the value, unless one of them
//! could not be applied before, or cannot now: then the difference of what they touch is told.

use std::collections::BTreeSet;

use chatroom_protocol::change::{BoolChange, DictChange, FloatChange, GenericChange, IntChange, SetChange};
use chatroom_protocol::{Change, Limits, TopicValue, json};

use crate::mirror::Mirror;

/// The part of a value that is about to change.
#[derive(Debug)]
pub(crate) struct Before {
    /// The keys or canonical items concerned; `None` for all.
    keys: Option<BTreeSet<String>>,
    value: TopicValue,
}

/// The key or item that a change touches; `None` for the whole value.
fn touched(change: &Change) -> Option<String> {
    match change {
        Change::Dict(change) => change.key().map(str::to_owned),
        Change::Set(SetChange::Append(item) | SetChange::Remove(item)) => Some(json::canonical(item)),
        _ => None,
    }
}

fn part_of(value: &TopicValue, keys: Option<&BTreeSet<String>>) -> TopicValue {
    match (value, keys) {
        (TopicValue::Dict(map), Some(keys)) => {
            TopicValue::Dict(keys.iter().filter_map(|key| Some((key.clone(), map.get(key)?.clone()))).collect())
        }
        (TopicValue::Set(items), Some(keys)) => {
            TopicValue::Set(keys.iter().filter_map(|key| Some((key.clone(), items.get(key)?.clone()))).collect())
        }
        (value, _) => value.clone(),
    }
}

impl Mirror {
    /// Notes what `changes`, and the own changes they meet, are about to touch. `None` where what is
    /// carried is exact in any case: without own changes, and in texts and lists.
    pub(crate) fn before(&self, changes: &[Change]) -> Option<Before> {
        let value = self.value.as_deref().filter(|_| !self.own.is_empty())?;
        let exact =
            matches!(value, TopicValue::String(_) | TopicValue::List(_) | TopicValue::Event | TopicValue::Presence(_));
        if exact {
            return None;
        }
        let own = self.own.iter().filter_map(|own| own.change.as_ref());
        let keys: Option<BTreeSet<String>> = changes.iter().chain(own).map(touched).collect();
        Some(Before { value: part_of(value, keys.as_ref()), keys })
    }

    /// What leads from the value before to the value now: what was carried, if that does.
    pub(crate) fn since(&self, before: Option<Before>, carried: Vec<Change>) -> Vec<Change> {
        let (Some(Before { keys, value: old }), Some(new)) = (before, self.value.as_deref()) else {
            return carried;
        };
        let new = part_of(new, keys.as_ref());
        match leads(&old, &carried, &new) {
            true => carried,
            false => difference(&old, &new),
        }
    }
}

/// Whether changes lead from one value to another.
pub(crate) fn leads(old: &TopicValue, changes: &[Change], new: &TopicValue) -> bool {
    let mut value = old.clone();
    changes.iter().all(|change| value.apply(change, &Limits::unlimited()).is_ok()) && value == *new
}

fn difference(old: &TopicValue, new: &TopicValue) -> Vec<Change> {
    match (old, new) {
        (old, new) if old == new => Vec::new(),
        (TopicValue::Generic(_), TopicValue::Generic(new)) => vec![Change::Generic(GenericChange::Set(new.clone()))],
        (TopicValue::Bool(_), TopicValue::Bool(new)) => vec![Change::Bool(BoolChange::Set(*new))],
        (TopicValue::Int(_), TopicValue::Int(new)) => vec![Change::Int(IntChange::Set(*new))],
        (TopicValue::Float(_), TopicValue::Float(new)) => vec![Change::Float(FloatChange::Set(*new))],
        (TopicValue::Dict(old), TopicValue::Dict(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let changed = keys.into_iter().filter_map(|key| match (old.get(key), new.get(key)) {
                (Some(_), None) => Some(DictChange::Pop(key.clone())),
                (before, Some(value)) if before != Some(value) => Some(DictChange::Put(key.clone(), value.clone())),
                _ => None,
            });
            changed.map(Change::Dict).collect()
        }
        (TopicValue::Set(old), TopicValue::Set(new)) => {
            let gone = old.iter().filter(|(key, _)| !new.contains_key(*key));
            let come = new.iter().filter(|(key, _)| !old.contains_key(*key));
            gone.map(|(_, item)| SetChange::Remove(item.clone()))
                .chain(come.map(|(_, item)| SetChange::Append(item.clone())))
                .map(Change::Set)
                .collect()
        }
        _ => Vec::new(),
    }
}
