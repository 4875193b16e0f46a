//! The way back from a change, for undo and for taking a refused action back.
//!
//! Unlike what [`TopicValue::apply`] returns, which is exact and for the value at hand, this way
//! leaves alone what others do later: section 2 of `docs/merging.md`.

use super::Change;
use crate::value::TopicValue;

impl Change {
    /// The changes that take this one back from what it makes of `before`; none if it has no effect
    /// there.
    #[must_use]
    pub fn invert(&self, before: &TopicValue) -> Vec<Self> {
        match (self, before) {
            (Self::Generic(change), TopicValue::Generic(before)) => {
                change.invert(before).map(Self::Generic).into_iter().collect()
            }
            (Self::String(change), TopicValue::String(before)) => {
                change.invert(before).map(Self::String).into_iter().collect()
            }
            (Self::Int(change), TopicValue::Int(before)) => change.invert(*before).map(Self::Int).into_iter().collect(),
            (Self::Float(change), TopicValue::Float(before)) => {
                change.invert(*before).map(Self::Float).into_iter().collect()
            }
            (Self::Bool(change), TopicValue::Bool(before)) => {
                change.invert(*before).map(Self::Bool).into_iter().collect()
            }
            (Self::List(change), TopicValue::List(before)) => {
                change.invert(before).into_iter().map(Self::List).collect()
            }
            (Self::Set(change), TopicValue::Set(before)) => change.invert(before).into_iter().map(Self::Set).collect(),
            (Self::Dict(change), TopicValue::Dict(before)) => {
                change.invert(before).into_iter().map(Self::Dict).collect()
            }
            _ => Vec::new(),
        }
    }
}
