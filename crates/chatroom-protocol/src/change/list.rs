//! Changes of `list` topics.

use serde::ser::SerializeMap;
use serde_json::Value;

use super::transform::Side;
use super::unknown;
use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::json;
use crate::limits::Limits;
use crate::value::TopicType;

/// A change of a list topic.
#[derive(Clone, Debug, PartialEq)]
pub enum ListChange {
    /// Replaces all items.
    Set(Vec<Value>),
    /// Puts an item before the one at `position`, or at the end.
    Insert {
        /// 0 to the length of the list.
        position: usize,
        /// The item.
        item: Value,
    },
    /// Removes the item at a position.
    Pop {
        /// 0 to the length less one.
        position: usize,
    },
    /// Replaces the item at a position.
    SetItem {
        /// 0 to the length less one.
        position: usize,
        /// The new item.
        item: Value,
    },
    /// Moves an item.
    Move {
        /// Its index now.
        from: usize,
        /// Its index afterwards.
        to: usize,
    },
}

impl ListChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>) -> Result<Self, Refusal> {
        let position = |name| fields.require_position(name);
        let item = || json::parse(fields.require("item")?.get());
        match kind {
            "set" => match json::parse(fields.require("value")?.get())? {
                Value::Array(items) => Ok(Self::Set(items)),
                _ => Err(Refusal::new(Code::BadType, "value must be an array")),
            },
            "insert" => Ok(Self::Insert { position: position("position")?, item: item()? }),
            "pop" => Ok(Self::Pop { position: position("position")? }),
            "set_item" => Ok(Self::SetItem { position: position("position")?, item: item()? }),
            "move" => Ok(Self::Move { from: position("from")?, to: position("to")? }),
            _ => Err(unknown(TopicType::List, kind, "set, insert, pop, set_item and move")),
        }
    }

    pub(super) fn apply(&self, items: &mut Vec<Value>, limits: &Limits) -> Result<Option<Self>, Refusal> {
        let length = items.len();
        match self {
            Self::Set(new) => {
                fits(new.len(), limits)?;
                Ok((items != new).then(|| Self::Set(std::mem::replace(items, new.clone()))))
            }
            Self::Insert { position, item } => {
                index(*position, length + 1, length)?;
                fits(length + 1, limits)?;
                items.insert(*position, item.clone());
                Ok(Some(Self::Pop { position: *position }))
            }
            Self::Pop { position } => {
                index(*position, length, length)?;
                let item = items.remove(*position);
                Ok(Some(Self::Insert { position: *position, item }))
            }
            Self::SetItem { position, item } => {
                index(*position, length, length)?;
                let place = &mut items[*position];
                Ok((place != item).then(|| {
                    let old = std::mem::replace(place, item.clone());
                    Self::SetItem { position: *position, item: old }
                }))
            }
            Self::Move { from, to } => {
                index(*from, length, length)?;
                index(*to, length, length)?;
                if from < to {
                    items[*from..=*to].rotate_left(1);
                } else {
                    items[*to..=*from].rotate_right(1);
                }
                Ok((from != to).then_some(Self::Move { from: *to, to: *from }))
            }
        }
    }

    /// Puts this later change and an earlier one behind each other, both in place, if each is one
    /// insert or pop and all that becomes of them is another position. Says whether that was so.
    pub(super) fn slide(&mut self, first: &mut Self) -> bool {
        use ListChange::{Insert, Pop};
        match (self, first) {
            (Insert { position: own, .. }, Insert { position: other, .. }) => {
                // Of two at one gap the later one stands before.
                if *other < *own { *own += 1 } else { *other += 1 }
            }
            (Insert { position: own, .. }, Pop { position: other }) => {
                if *other < *own {
                    *own -= 1;
                } else {
                    *other += 1;
                }
            }
            (Pop { position: own }, Insert { position: other, .. }) => {
                if *other <= *own {
                    *own += 1;
                } else {
                    *other -= 1;
                }
            }
            (Pop { position: own }, Pop { position: other }) if own != other => {
                if *other < *own {
                    *own -= 1;
                } else {
                    *other -= 1;
                }
            }
            _ => return false,
        }
        true
    }

    /// The table of M4.
    pub(super) fn transform(&self, over: &Self, side: Side) -> Option<Self> {
        use ListChange::{Insert, Move, Pop, Set, SetItem};
        let first = side == Side::First;
        // Whether an insert at `gap` stands behind what the other put at `other`.
        let behind = |other: usize, gap: usize| other < gap || (other == gap && first);
        Some(match (self, over) {
            (Set(_), Set(_)) => return (!first).then(|| self.clone()),
            (Set(_), _) => self.clone(),
            (_, Set(_)) => return None,

            (Insert { position, item }, _) => {
                let position = match over {
                    Insert { position: other, .. } => position + usize::from(behind(*other, *position)),
                    Pop { position: other } => position - usize::from(other < position),
                    Move { from, to } => {
                        let gap = position - usize::from(from < position);
                        gap + usize::from(behind(*to, gap))
                    }
                    _ => *position,
                };
                Insert { position, item: item.clone() }
            }

            (Pop { position } | SetItem { position, .. }, Pop { position: other }) if position == other => {
                return None;
            }
            (SetItem { position, .. }, SetItem { position: other, .. }) if position == other => {
                return (!first).then(|| self.clone());
            }
            (Pop { position }, _) => Pop { position: over.carry(*position) },
            (SetItem { position, item }, _) => SetItem { position: over.carry(*position), item: item.clone() },

            (Move { from, .. }, Pop { position }) if from == position => return None,
            (Move { from, to }, Insert { position, .. }) => {
                let gap = position - usize::from(from < position);
                Move { from: over.carry(*from), to: to + usize::from(behind(gap, *to)) }
            }
            (Move { from, to }, Pop { position }) => {
                let gone = position - usize::from(from < position);
                Move { from: over.carry(*from), to: to - usize::from(gone < *to) }
            }
            (Move { .. }, SetItem { .. }) => self.clone(),
            (Move { from, to }, Move { from: other, to: target }) if from == other => {
                return (!first).then_some(Move { from: *target, to: *to });
            }
            (Move { from, to }, Move { from: other, to: target }) => {
                let (other_left, own_left) = (other - usize::from(from < other), from - usize::from(other < from));
                let own = to - usize::from(other_left < *to);
                let theirs = target - usize::from(own_left < *target);
                Move { from: over.carry(*from), to: own + usize::from(behind(theirs, own)) }
            }
        })
    }

    /// Where the item at `index` is after this change, which does not remove it.
    fn carry(&self, index: usize) -> usize {
        match self {
            Self::Insert { position, .. } => index + usize::from(*position <= index),
            Self::Pop { position } => index - usize::from(*position < index),
            Self::Move { from, to } if *from == index => *to,
            Self::Move { from, to } => {
                let left = index - usize::from(*from < index);
                left + usize::from(*to <= left)
            }
            Self::Set(_) | Self::SetItem { .. } => index,
        }
    }

    pub(super) fn invert(&self, before: &[Value]) -> Vec<Self> {
        match self {
            Self::Insert { position, .. } => vec![Self::Pop { position: *position }],
            Self::Pop { position } => {
                let old = before.get(*position);
                old.map(|item| Self::Insert { position: *position, item: item.clone() }).into_iter().collect()
            }
            Self::SetItem { position, item } => {
                let old = before.get(*position).filter(|old| *old != item);
                old.map(|old| Self::SetItem { position: *position, item: old.clone() }).into_iter().collect()
            }
            Self::Move { from, to } if from == to => Vec::new(),
            Self::Move { from, to } => vec![Self::Move { from: *to, to: *from }],
            Self::Set(new) => {
                let begin = before.iter().zip(new).take_while(|(old, new)| old == new).count();
                let (old, new) = (&before[begin..], &new[begin..]);
                let end = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
                let pops = (begin..begin + new.len() - end).rev().map(|position| Self::Pop { position });
                let inserts = old[..old.len() - end]
                    .iter()
                    .zip(begin..)
                    .map(|(item, position)| Self::Insert { position, item: item.clone() });
                pops.chain(inserts).collect()
            }
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Set(items) => items.iter().map(json::weight).sum(),
            Self::Insert { item, .. } | Self::SetItem { item, .. } => json::weight(item),
            Self::Pop { .. } | Self::Move { .. } => 0,
        }
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Set(items) => {
                map.serialize_entry("type", "set")?;
                map.serialize_entry("value", items)
            }
            Self::Insert { position, item } => {
                map.serialize_entry("type", "insert")?;
                map.serialize_entry("position", position)?;
                map.serialize_entry("item", item)
            }
            Self::Pop { position } => {
                map.serialize_entry("type", "pop")?;
                map.serialize_entry("position", position)
            }
            Self::SetItem { position, item } => {
                map.serialize_entry("type", "set_item")?;
                map.serialize_entry("position", position)?;
                map.serialize_entry("item", item)
            }
            Self::Move { from, to } => {
                map.serialize_entry("type", "move")?;
                map.serialize_entry("from", from)?;
                map.serialize_entry("to", to)
            }
        }
    }
}

fn index(position: usize, bound: usize, length: usize) -> Result<(), Refusal> {
    if position >= bound {
        return Err(Refusal::new(
            Code::OutOfRange,
            format!("position {position} is past the end of a list of {length}"),
        ));
    }
    Ok(())
}

pub(super) fn fits(entries: usize, limits: &Limits) -> Result<(), Refusal> {
    if entries > limits.items {
        return Err(Refusal::new(
            Code::TooBig,
            format!("a topic has at most {} entries, this would have {entries}", limits.items),
        ));
    }
    Ok(())
}
