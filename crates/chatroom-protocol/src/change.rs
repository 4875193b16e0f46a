//! Changes: decoding them, applying them to a value, and writing them for each dialect.
//!
//! Each topic type has its file; a new type is one file and one line of each `match` here.

mod compose;
mod dict;
mod edit;
mod event;
mod invert;
mod list;
mod number;
mod presence;
mod register;
mod set;
mod string;
mod transform;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

pub use dict::DictChange;
pub use edit::Component;
pub use event::EventChange;
pub use list::ListChange;
pub use number::{FloatChange, IntChange};
pub use presence::PresenceChange;
pub use register::{BoolChange, GenericChange};
pub use set::SetChange;
pub use string::{Step, StringChange};
pub use transform::{Side, carry, carry_tagged, rectangle};

use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::id::{ClientId, RequestId};
use crate::limits::Limits;
use crate::value::{TopicType, TopicValue};

/// The id that an author gives a change or an action.
pub type ChangeId = RequestId;

/// One typed edit of one topic.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Of a generic topic.
    Generic(GenericChange),
    /// Of a string topic.
    String(StringChange),
    /// Of an int topic.
    Int(IntChange),
    /// Of a float topic.
    Float(FloatChange),
    /// Of a bool topic.
    Bool(BoolChange),
    /// Of a list topic.
    List(ListChange),
    /// Of a set topic.
    Set(SetChange),
    /// Of a dict topic.
    Dict(DictChange),
    /// Of an event topic.
    Event(EventChange),
    /// Of a presence topic.
    Presence(PresenceChange),
}

/// A change as a client sent it: its object, not yet read under a topic's type.
#[derive(Debug)]
pub struct RawChange<'a> {
    /// The id the author gave, if any.
    pub id: Option<ChangeId>,
    kind: String,
    fields: Fields<'a>,
}

impl<'a> RawChange<'a> {
    /// Reads what all changes have: an object with a type and perhaps an id.
    ///
    /// # Errors
    /// `malformed`, `bad_type` or `too_big`, naming the field.
    pub fn parse(raw: &'a RawValue) -> Result<Self, Refusal> {
        let fields = Fields::parse(raw.get(), "the change")?;
        let id = fields.get("id").map(|id| ChangeId::parse(id, "the change's id")).transpose()?;
        Ok(Self { id, kind: fields.require_text("type")?, fields })
    }

    /// Reads the change under the type of its topic.
    ///
    /// # Errors
    /// `unknown_change` if the type has no such change, else whatever is wrong with a field.
    pub fn decode(&self, topic: TopicType, author: ClientId, limits: &Limits) -> Result<Change, Refusal> {
        let (kind, fields) = (self.kind.as_str(), &self.fields);
        match topic {
            TopicType::Generic => GenericChange::decode(kind, fields).map(Change::Generic),
            TopicType::String => StringChange::decode(kind, fields, limits).map(Change::String),
            TopicType::Int => IntChange::decode(kind, fields).map(Change::Int),
            TopicType::Float => FloatChange::decode(kind, fields).map(Change::Float),
            TopicType::Bool => BoolChange::decode(kind, fields).map(Change::Bool),
            TopicType::List => ListChange::decode(kind, fields).map(Change::List),
            TopicType::Set => SetChange::decode(kind, fields).map(Change::Set),
            TopicType::Dict => DictChange::decode(kind, fields, limits).map(Change::Dict),
            TopicType::Event => EventChange::decode(kind, fields).map(Change::Event),
            TopicType::Presence => PresenceChange::decode(kind, fields, author, limits).map(Change::Presence),
        }
    }
}

impl<'a> RawChange<'a> {
    /// Reads the change as part of a commit that the server tells of: no limit is checked again,
    /// and the entry of a presence topic is the one its key names, whoever wrote it.
    ///
    /// # Errors
    /// `unknown_change` if the type has no such change, else whatever is wrong with a field.
    pub fn decode_committed(&self, topic: TopicType, author: ClientId) -> Result<Change, Refusal> {
        let owner = match topic {
            TopicType::Presence => self.fields.text("key")?.map(|key| ClientId::parse(&key)).transpose()?,
            _ => None,
        };
        self.decode(topic, owner.unwrap_or(author), &Limits::unlimited())
    }
}

fn unknown(topic: TopicType, kind: &str, known: &str) -> Refusal {
    let shown: String = kind.chars().take(40).collect();
    Refusal::new(Code::UnknownChange, format!("a topic of type {topic} has no change {shown:?}, only {known}"))
}

impl TopicValue {
    /// Applies a change in place, or refuses it and leaves the value as it was.
    ///
    /// Returns the change that takes this one back on the resulting value, or `None` if this one
    /// had no effect (or its topic keeps no value).
    ///
    /// # Errors
    /// The refusals of the topic type's table in `docs/protocol.md`, and `too_big`.
    pub fn apply(&mut self, change: &Change, limits: &Limits) -> Result<Option<Change>, Refusal> {
        Ok(match (self, change) {
            (Self::Generic(value), Change::Generic(change)) => change.apply(value).map(Change::Generic),
            (Self::String(text), Change::String(change)) => change.apply(text, limits)?.map(Change::String),
            (Self::Int(value), Change::Int(change)) => change.apply(value)?.map(Change::Int),
            (Self::Float(value), Change::Float(change)) => change.apply(value)?.map(Change::Float),
            (Self::Bool(value), Change::Bool(change)) => change.apply(value).map(Change::Bool),
            (Self::List(items), Change::List(change)) => change.apply(items, limits)?.map(Change::List),
            (Self::Set(items), Change::Set(change)) => change.apply(items, limits)?.map(Change::Set),
            (Self::Dict(map), Change::Dict(change)) => change.apply(map, limits)?.map(Change::Dict),
            (Self::Event, Change::Event(_)) => None,
            (Self::Presence(map), Change::Presence(change)) => change.apply(map).map(Change::Presence),
            (value, _) => {
                return Err(Refusal::new(
                    Code::UnknownChange,
                    format!("a change of another type than the topic's, {}", value.kind()),
                ));
            }
        })
    }
}

impl Change {
    /// About how many bytes of JSON text the change brings into its topic.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Generic(change) => change.weight(),
            Self::String(change) => change.weight(),
            Self::Int(_) | Self::Float(_) | Self::Bool(_) => 0,
            Self::List(change) => change.weight(),
            Self::Set(change) => change.weight(),
            Self::Dict(change) => change.weight(),
            Self::Event(_) => 0,
            Self::Presence(change) => change.weight(),
        }
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Generic(change) => change.write(map),
            Self::String(change) => change.write(map),
            Self::Int(change) => change.write(map),
            Self::Float(change) => change.write(map),
            Self::Bool(change) => change.write(map),
            Self::List(change) => change.write(map),
            Self::Set(change) => change.write(map),
            Self::Dict(change) => change.write(map),
            Self::Event(change) => change.write(map),
            Self::Presence(change) => change.write(map),
        }
    }
}

/// The change without an id, as pushes and the vectors of merging write it.
impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map)?;
        map.end()
    }
}

/// A change with its id, as v1 and (but for text edits) the seed dialect write it.
#[derive(Debug)]
pub struct WireChange<'a> {
    /// The change.
    pub change: &'a Change,
    /// The id its author gave.
    pub id: &'a ChangeId,
}

impl Serialize for WireChange<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.change.write(&mut map)?;
        map.serialize_entry("id", self.id)?;
        map.end()
    }
}

/// A whole value written as the change `set`, which tells a seed client where a topic stands.
#[derive(Debug)]
pub struct WireSet<'a> {
    /// The topic's value.
    pub value: &'a TopicValue,
    /// An id made by the server.
    pub id: &'a ChangeId,
}

impl Serialize for WireSet<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("type", "set")?;
        map.serialize_entry("value", self.value)?;
        map.serialize_entry("id", self.id)?;
        map.end()
    }
}
