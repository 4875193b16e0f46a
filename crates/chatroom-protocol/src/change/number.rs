//! Changes of `int` and `float` topics.

use serde::ser::SerializeMap;

use super::transform::Side;
use super::unknown;
use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::json;
use crate::limits::MAX_INTEGER;
use crate::value::TopicType;

/// A change of an int topic.
#[derive(Clone, Debug, PartialEq)]
pub enum IntChange {
    /// Replaces the value.
    Set(i64),
    /// Adds to the value; refused rather than wrapped at the ends of the range.
    Add(i64),
}

impl IntChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>) -> Result<Self, Refusal> {
        let value = || json::integer(fields.require("value")?.get(), "value");
        match kind {
            "set" => value().map(Self::Set),
            "add" => value().map(Self::Add),
            _ => Err(unknown(TopicType::Int, kind, "set and add")),
        }
    }

    pub(super) fn apply(&self, value: &mut i64) -> Result<Option<Self>, Refusal> {
        let (new, inverse) = match *self {
            Self::Set(new) => (new, Self::Set(*value)),
            // Both lie within 2^53, so the sum fits.
            Self::Add(amount) => (*value + amount, Self::Add(-amount)),
        };
        if new.abs() > MAX_INTEGER {
            return Err(Refusal::new(Code::OutOfRange, format!("{new} lies beyond 2^53 - 1")));
        }
        let changed = *value != new;
        *value = new;
        Ok(changed.then_some(inverse))
    }

    pub(super) fn transform(&self, over: &Self, side: Side) -> Option<Self> {
        match (self, over, side) {
            (_, _, Side::Later) | (Self::Add(_), Self::Add(_), _) => Some(self.clone()),
            // A sum beyond the range is refused when it is applied.
            (Self::Set(value), Self::Add(amount), Side::First) => Some(Self::Set(value.saturating_add(*amount))),
            (_, Self::Set(_), Side::First) => None,
        }
    }

    pub(super) fn invert(&self, before: i64) -> Option<Self> {
        match *self {
            Self::Set(new) => (new != before).then_some(Self::Set(before)),
            Self::Add(amount) => (amount != 0).then_some(Self::Add(-amount)),
        }
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (kind, value) = match self {
            Self::Set(value) => ("set", value),
            Self::Add(value) => ("add", value),
        };
        map.serialize_entry("type", kind)?;
        map.serialize_entry("value", value)
    }
}

/// A change of a float topic.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatChange {
    /// Replaces the value.
    Set(f64),
    /// Adds to the value.
    Add(f64),
}

impl FloatChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>) -> Result<Self, Refusal> {
        let value = || json::float(fields.require("value")?.get(), "value", "a number");
        match kind {
            "set" => value().map(Self::Set),
            "add" => value().map(Self::Add),
            _ => Err(unknown(TopicType::Float, kind, "set and add")),
        }
    }

    pub(super) fn apply(&self, value: &mut f64) -> Result<Option<Self>, Refusal> {
        let old = *value;
        let new = match *self {
            Self::Set(new) => new,
            Self::Add(amount) => old + amount,
        };
        if !new.is_finite() {
            return Err(Refusal::new(Code::NotFinite, "the sum is larger than any double"));
        }
        // Adding -0 or cancelling out may leave -0, which no two languages print alike.
        *value = if new == 0.0 { 0.0 } else { new };
        // The exact way back is the old value: float addition does not invert.
        Ok((*value != old).then_some(Self::Set(old)))
    }

    pub(super) fn transform(&self, over: &Self, side: Side) -> Option<Self> {
        match (self, over, side) {
            (_, _, Side::Later) | (Self::Add(_), Self::Add(_), _) => Some(self.clone()),
            (Self::Set(value), Self::Add(amount), Side::First) => {
                let sum = value + amount;
                sum.is_finite().then_some(Self::Set(sum))
            }
            (_, Self::Set(_), Side::First) => None,
        }
    }

    pub(super) fn invert(&self, before: f64) -> Option<Self> {
        match *self {
            Self::Set(new) => (new != before).then_some(Self::Set(before)),
            Self::Add(amount) => (before + amount != before).then_some(Self::Add(-amount)),
        }
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (kind, value) = match self {
            Self::Set(value) => ("set", value),
            Self::Add(value) => ("add", value),
        };
        map.serialize_entry("type", kind)?;
        map.serialize_entry("value", &json::number(*value))
    }
}
