//! Changes of `event` topics: they happen, and nothing is kept.

use serde::ser::SerializeMap;
use serde_json::Value;

use super::unknown;
use crate::code::Refusal;
use crate::envelope::Fields;
use crate::json;
use crate::value::TopicType;

/// A change of an event topic.
#[derive(Clone, Debug, PartialEq)]
pub enum EventChange {
    /// Tells all subscribers.
    Emit(Value),
}

impl EventChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>) -> Result<Self, Refusal> {
        match kind {
            "emit" => json::parse(fields.require("args")?.get()).map(Self::Emit),
            _ => Err(unknown(TopicType::Event, kind, "emit")),
        }
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self::Emit(args) = self;
        map.serialize_entry("type", "emit")?;
        map.serialize_entry("args", args)
    }
}
