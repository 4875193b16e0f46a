//! Changes of `dict` topics.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde_json::Value;

use super::list::fits;
use super::unknown;
use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::json;
use crate::limits::Limits;
use crate::value::TopicType;

/// A change of a dict topic.
#[derive(Clone, Debug, PartialEq)]
pub enum DictChange {
    /// Replaces all entries.
    Set(BTreeMap<String, Value>),
    /// Claims a key: refused if it is there.
    Add(String, Value),
    /// Writes a key, there or not.
    Put(String, Value),
    /// Writes a key unless it is there.
    Ensure(String, Value),
    /// Replaces the value of a key that is there.
    ChangeValue(String, Value),
    /// Removes a key that is there.
    Pop(String),
}

impl DictChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>, limits: &Limits) -> Result<Self, Refusal> {
        let key = || {
            let key = fields.require_text("key")?;
            short(&key, limits)?;
            Ok::<_, Refusal>(key)
        };
        let value = || json::parse(fields.require("value")?.get());
        match kind {
            "set" => match json::parse(fields.require("value")?.get())? {
                Value::Object(map) => {
                    map.keys().try_for_each(|key| short(key, limits))?;
                    Ok(Self::Set(map.into_iter().collect()))
                }
                _ => Err(Refusal::new(Code::BadType, "value must be an object")),
            },
            "add" => Ok(Self::Add(key()?, value()?)),
            "put" => Ok(Self::Put(key()?, value()?)),
            "ensure" => Ok(Self::Ensure(key()?, value()?)),
            "change_value" => Ok(Self::ChangeValue(key()?, value()?)),
            "pop" => Ok(Self::Pop(key()?)),
            _ => Err(unknown(TopicType::Dict, kind, "set, add, put, ensure, change_value and pop")),
        }
    }

    pub(super) fn apply(&self, map: &mut BTreeMap<String, Value>, limits: &Limits) -> Result<Option<Self>, Refusal> {
        match self {
            Self::Set(new) => {
                fits(new.len(), limits)?;
                Ok((map != new).then(|| Self::Set(std::mem::replace(map, new.clone()))))
            }
            Self::Add(key, _) if map.contains_key(key) => {
                Err(Refusal::new(Code::KeyExists, format!("the key {key:?} is there already; put writes it anyway")))
            }
            Self::Ensure(key, _) if map.contains_key(key) => Ok(None),
            Self::ChangeValue(key, _) | Self::Pop(key) if !map.contains_key(key) => {
                Err(Refusal::new(Code::NoSuchKey, format!("the key {key:?} is not there")))
            }
            Self::Pop(key) => Ok(map.remove(key).map(|old| Self::Put(key.clone(), old))),
            Self::Add(key, value)
            | Self::Put(key, value)
            | Self::Ensure(key, value)
            | Self::ChangeValue(key, value) => match map.get_mut(key) {
                Some(place) => {
                    Ok((place != value).then(|| Self::Put(key.clone(), std::mem::replace(place, value.clone()))))
                }
                None => {
                    fits(map.len() + 1, limits)?;
                    map.insert(key.clone(), value.clone());
                    Ok(Some(Self::Pop(key.clone())))
                }
            },
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Set(map) => map.iter().map(|(key, value)| key.len() + json::weight(value)).sum(),
            Self::Add(key, value)
            | Self::Put(key, value)
            | Self::Ensure(key, value)
            | Self::ChangeValue(key, value) => key.len() + json::weight(value),
            Self::Pop(_) => 0,
        }
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (kind, key, value) = match self {
            Self::Set(entries) => {
                map.serialize_entry("type", "set")?;
                return map.serialize_entry("value", entries);
            }
            Self::Add(key, value) => ("add", key, Some(value)),
            Self::Put(key, value) => ("put", key, Some(value)),
            Self::Ensure(key, value) => ("ensure", key, Some(value)),
            Self::ChangeValue(key, value) => ("change_value", key, Some(value)),
            Self::Pop(key) => ("pop", key, None),
        };
        map.serialize_entry("type", kind)?;
        map.serialize_entry("key", key)?;
        match value {
            Some(value) => map.serialize_entry("value", value),
            None => Ok(()),
        }
    }
}

fn short(key: &str, limits: &Limits) -> Result<(), Refusal> {
    if key.len() > limits.key_bytes {
        return Err(Refusal::new(
            Code::TooBig,
            format!("a key has at most {} bytes, this one has {}", limits.key_bytes, key.len()),
        ));
    }
    Ok(())
}
