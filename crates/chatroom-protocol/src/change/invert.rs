//! The way back from a change, for undo and for taking a refused action back.
//!
//! Unlike what [`TopicValue::apply`] returns, which is exact and for the value at hand, this way
//! leaves alone what others do later: section 2 of `docs/merging.md`.

use super::{Change, DictChange, FloatChange, IntChange, ListChange, SetChange, StringChange};
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

    /// The same changes, from the exact way back that [`TopicValue::apply`] returned: nobody has to
    /// keep the value before.
    #[must_use]
    pub fn invert_with(&self, exact: &Self) -> Vec<Self> {
        match (self, exact) {
            (Self::Int(IntChange::Add(amount)), _) => vec![Self::Int(IntChange::Add(-amount))],
            (Self::Float(FloatChange::Add(amount)), _) => vec![Self::Float(FloatChange::Add(-amount))],
            (Self::String(change @ StringChange::Set(_)), Self::String(StringChange::Set(before))) => {
                change.invert(&before.clone().into()).map(Self::String).into_iter().collect()
            }
            (Self::List(change @ ListChange::Set(_)), Self::List(ListChange::Set(before))) => {
                change.invert(before).into_iter().map(Self::List).collect()
            }
            (Self::Set(change @ SetChange::Set(_)), Self::Set(SetChange::Set(before))) => {
                change.invert(before).into_iter().map(Self::Set).collect()
            }
            (Self::Dict(change @ DictChange::Set(_)), Self::Dict(DictChange::Set(before))) => {
                change.invert(before).into_iter().map(Self::Dict).collect()
            }
            (Self::Dict(DictChange::Pop(_)), Self::Dict(DictChange::Put(key, old))) => {
                vec![Self::Dict(DictChange::Ensure(key.clone(), old.clone()))]
            }
            (Self::Dict(_), Self::Dict(DictChange::Put(key, old))) => {
                vec![Self::Dict(DictChange::ChangeValue(key.clone(), old.clone()))]
            }
            (Self::Event(_) | Self::Presence(_), _) => Vec::new(),
            (_, exact) => vec![exact.clone()],
        }
    }
}
