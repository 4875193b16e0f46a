//! Changes of `dict` topics.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde_json::Value;

use super::list::fits;
use super::transform::Side;
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

    /// The key that is changed; `None` for all of them.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Set(_) => None,
            Self::Add(key, _)
            | Self::Put(key, _)
            | Self::Ensure(key, _)
            | Self::ChangeValue(key, _)
            | Self::Pop(key) => Some(key),
        }
    }

    /// The table of M7.
    pub(super) fn transform(&self, over: &Self, side: Side) -> Option<Self> {
        if let (Some(own), Some(other)) = (self.key(), over.key())
            && own != other
        {
            return Some(self.clone());
        }
        match (self, over, side) {
            (Self::ChangeValue(key, _) | Self::Pop(key), Self::Set(map), Side::Later) => {
                map.contains_key(key).then(|| self.clone())
            }
            (_, Self::Set(_), Side::First) | (Self::ChangeValue(..) | Self::Pop(_), Self::Pop(_), _) => None,
            (_, _, Side::Later) => Some(self.clone()),
            (Self::Set(map), over, Side::First) => {
                let mut map = map.clone();
                // What the authority would refuse there changes nothing here either.
                let _ = over.apply(&mut map, &Limits::unlimited());
                Some(Self::Set(map))
            }
            (
                Self::Add(key, value) | Self::Put(key, value) | Self::Ensure(key, value),
                Self::Add(..) | Self::Ensure(..),
                Side::First,
            )
            | (Self::Pop(_), Self::Add(key, value) | Self::Ensure(key, value), Side::First) => {
                Some(Self::Put(key.clone(), value.clone()))
            }
            (Self::ChangeValue(..), Self::Add(..) | Self::Ensure(..), Side::First)
            | (Self::Pop(_), Self::ChangeValue(..), Side::First) => Some(self.clone()),
            (
                Self::Add(..) | Self::Put(..) | Self::Ensure(..) | Self::ChangeValue(..),
                Self::Put(..) | Self::ChangeValue(..) | Self::Pop(_),
                Side::First,
            )
            | (Self::Pop(_), Self::Put(..), Side::First) => None,
        }
    }

    pub(super) fn invert(&self, before: &BTreeMap<String, Value>) -> Vec<Self> {
        let restored = |key: &String, old: Option<&Value>, new: Option<&Value>| match (old, new) {
            (None, Some(_)) => Some(Self::Pop(key.clone())),
            (Some(old), None) => Some(Self::Ensure(key.clone(), old.clone())),
            (Some(old), Some(new)) if old != new => Some(Self::ChangeValue(key.clone(), old.clone())),
            _ => None,
        };
        match self {
            Self::Set(new) => {
                let keys: std::collections::BTreeSet<&String> = before.keys().chain(new.keys()).collect();
                keys.into_iter().filter_map(|key| restored(key, before.get(key), new.get(key))).collect()
            }
            Self::Ensure(key, _) if before.contains_key(key) => Vec::new(),
            Self::Add(key, value)
            | Self::Put(key, value)
            | Self::Ensure(key, value)
            | Self::ChangeValue(key, value) => restored(key, before.get(key), Some(value)).into_iter().collect(),
            Self::Pop(key) => restored(key, before.get(key), None).into_iter().collect(),
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
