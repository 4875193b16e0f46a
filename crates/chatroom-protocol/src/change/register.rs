//! Changes of `generic` and `bool` topics: the last writer's value stands.

use serde::ser::SerializeMap;
use serde_json::Value;

use super::transform::Side;
use super::unknown;
use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::json;
use crate::value::TopicType;

/// A change of a generic topic.
#[derive(Clone, Debug, PartialEq)]
pub enum GenericChange {
    /// Replaces the value.
    Set(Value),
}

impl GenericChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>) -> Result<Self, Refusal> {
        match kind {
            "set" => json::parse(fields.require("value")?.get()).map(Self::Set),
            _ => Err(unknown(TopicType::Generic, kind, "set")),
        }
    }

    pub(super) fn apply(&self, value: &mut Value) -> Option<Self> {
        let Self::Set(new) = self;
        (value != new).then(|| Self::Set(std::mem::replace(value, new.clone())))
    }

    /// The later writer's value stands.
    pub(super) fn transform(&self, _over: &Self, side: Side) -> Option<Self> {
        (side == Side::Later).then(|| self.clone())
    }

    pub(super) fn invert(&self, before: &Value) -> Option<Self> {
        let Self::Set(new) = self;
        (before != new).then(|| Self::Set(before.clone()))
    }

    pub(super) fn weight(&self) -> usize {
        let Self::Set(value) = self;
        json::weight(value)
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self::Set(value) = self;
        map.serialize_entry("type", "set")?;
        map.serialize_entry("value", value)
    }
}

/// A change of a bool topic.
#[derive(Clone, Debug, PartialEq)]
pub enum BoolChange {
    /// Replaces the value.
    Set(bool),
}

impl BoolChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>) -> Result<Self, Refusal> {
        match kind {
            "set" => match fields.require("value")?.get() {
                "true" => Ok(Self::Set(true)),
                "false" => Ok(Self::Set(false)),
                _ => Err(Refusal::new(Code::BadType, "value must be true or false")),
            },
            _ => Err(unknown(TopicType::Bool, kind, "set")),
        }
    }

    pub(super) fn apply(&self, value: &mut bool) -> Option<Self> {
        let Self::Set(new) = *self;
        (*value != new).then(|| Self::Set(std::mem::replace(value, new)))
    }

    /// The later writer's value stands.
    pub(super) fn transform(&self, _over: &Self, side: Side) -> Option<Self> {
        (side == Side::Later).then(|| self.clone())
    }

    pub(super) fn invert(&self, before: bool) -> Option<Self> {
        let Self::Set(new) = *self;
        (before != new).then_some(Self::Set(before))
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self::Set(value) = self;
        map.serialize_entry("type", "set")?;
        map.serialize_entry("value", value)
    }
}
