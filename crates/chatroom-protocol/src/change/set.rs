//! Changes of `set` topics.

use serde::ser::SerializeMap;
use serde_json::Value;

use super::list::fits;
use super::transform::Side;
use super::unknown;
use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::json;
use crate::limits::Limits;
use crate::value::{Items, TopicType};

/// A change of a set topic. Items are equal when their canonical texts are.
#[derive(Clone, Debug, PartialEq)]
pub enum SetChange {
    /// Replaces all items; one that stands twice counts once.
    Set(Items),
    /// Puts an item in; no effect if it is there.
    Append(Value),
    /// Takes an item out; no effect if it is not there.
    Remove(Value),
}

impl SetChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>) -> Result<Self, Refusal> {
        let item = || json::parse(fields.require("item")?.get());
        match kind {
            "set" => match json::parse(fields.require("value")?.get())? {
                Value::Array(items) => {
                    Ok(Self::Set(items.into_iter().map(|item| (json::canonical(&item), item)).collect()))
                }
                _ => Err(Refusal::new(Code::BadType, "value must be an array")),
            },
            "append" => item().map(Self::Append),
            "remove" => item().map(Self::Remove),
            _ => Err(unknown(TopicType::Set, kind, "set, append and remove")),
        }
    }

    pub(super) fn apply(&self, items: &mut Items, limits: &Limits) -> Result<Option<Self>, Refusal> {
        match self {
            Self::Set(new) => {
                fits(new.len(), limits)?;
                Ok((items != new).then(|| Self::Set(std::mem::replace(items, new.clone()))))
            }
            Self::Append(item) => {
                let key = json::canonical(item);
                if items.contains_key(&key) {
                    return Ok(None);
                }
                fits(items.len() + 1, limits)?;
                items.insert(key, item.clone());
                Ok(Some(Self::Remove(item.clone())))
            }
            Self::Remove(item) => Ok(items.remove(&json::canonical(item)).map(Self::Append)),
        }
    }

    pub(super) fn transform(&self, over: &Self, side: Side) -> Option<Self> {
        match (self, over, side) {
            (_, _, Side::Later) => Some(self.clone()),
            (_, Self::Set(_), Side::First) => None,
            (Self::Set(items), Self::Append(item), Side::First) => {
                let mut items = items.clone();
                items.entry(json::canonical(item)).or_insert_with(|| item.clone());
                Some(Self::Set(items))
            }
            (Self::Set(items), Self::Remove(item), Side::First) => {
                let mut items = items.clone();
                items.remove(&json::canonical(item));
                Some(Self::Set(items))
            }
            (Self::Append(_), Self::Append(_), _) | (Self::Remove(_), Self::Remove(_), _) => Some(self.clone()),
            (Self::Append(own), Self::Remove(other), _) | (Self::Remove(own), Self::Append(other), _) => {
                (json::canonical(own) != json::canonical(other)).then(|| self.clone())
            }
        }
    }

    pub(super) fn invert(&self, before: &Items) -> Vec<Self> {
        let has = |item: &Value| before.contains_key(&json::canonical(item));
        match self {
            Self::Append(item) if !has(item) => vec![Self::Remove(item.clone())],
            Self::Remove(item) if has(item) => vec![Self::Append(item.clone())],
            Self::Append(_) | Self::Remove(_) => Vec::new(),
            Self::Set(new) => {
                let came = new.iter().filter(|(key, _)| !before.contains_key(*key));
                let went = before.iter().filter(|(key, _)| !new.contains_key(*key));
                came.map(|(_, item)| Self::Remove(item.clone()))
                    .chain(went.map(|(_, item)| Self::Append(item.clone())))
                    .collect()
            }
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Set(items) => items.values().map(json::weight).sum(),
            Self::Append(item) => json::weight(item),
            Self::Remove(_) => 0,
        }
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Set(items) => {
                map.serialize_entry("type", "set")?;
                map.serialize_entry("value", &items.values().collect::<Vec<_>>())
            }
            Self::Append(item) => {
                map.serialize_entry("type", "append")?;
                map.serialize_entry("item", item)
            }
            Self::Remove(item) => {
                map.serialize_entry("type", "remove")?;
                map.serialize_entry("item", item)
            }
        }
    }
}
