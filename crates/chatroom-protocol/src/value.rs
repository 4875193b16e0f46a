//! The types of topics and the values they hold.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use crate::code::{Code, Refusal};
use crate::id::ClientId;
use crate::json;
use crate::text::Text;

/// The type of a topic; it decides which changes the topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicType {
    /// Any JSON value, replaced as a whole.
    Generic,
    /// Unicode text.
    String,
    /// An integer within ±(2^53 - 1).
    Int,
    /// A finite double.
    Float,
    /// True or false.
    Bool,
    /// Items in an order.
    List,
    /// Items without order, each once.
    Set,
    /// Items under keys.
    Dict,
    /// No value: each change is something that happened.
    Event,
    /// One entry per client, gone with it.
    Presence,
}

impl TopicType {
    /// Every type.
    pub const ALL: &[Self] = &[
        Self::Generic,
        Self::String,
        Self::Int,
        Self::Float,
        Self::Bool,
        Self::List,
        Self::Set,
        Self::Dict,
        Self::Event,
        Self::Presence,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::List => "list",
            Self::Set => "set",
            Self::Dict => "dict",
            Self::Event => "event",
            Self::Presence => "presence",
        }
    }

    /// Finds a type by its name.
    ///
    /// # Errors
    /// `bad_type`, listing the types.
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            let shown: String = name.chars().take(40).collect();
            Refusal::new(Code::BadType, format!("no topic type {shown:?}; the types are {}", names.join(", ")))
        })
    }

    /// Whether a commit to such a topic is kept in the journal.
    #[must_use]
    pub fn is_journaled(self) -> bool {
        !matches!(self, Self::Event | Self::Presence)
    }
}

impl fmt::Display for TopicType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for TopicType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The items of a set topic under their canonical texts.
pub type Items = BTreeMap<String, Value>;

/// The value of a topic.
#[derive(Clone, Debug, PartialEq)]
pub enum TopicValue {
    /// Any JSON value.
    Generic(Value),
    /// Unicode text.
    String(Text),
    /// An integer within ±(2^53 - 1).
    Int(i64),
    /// A finite double.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Items in an order.
    List(Vec<Value>),
    /// Items without order, each once.
    Set(Items),
    /// Items under keys.
    Dict(BTreeMap<String, Value>),
    /// Nothing is kept.
    Event,
    /// One entry per client.
    Presence(BTreeMap<ClientId, Value>),
}

impl TopicValue {
    /// The value of a topic that was never changed.
    #[must_use]
    pub fn zero(kind: TopicType) -> Self {
        match kind {
            TopicType::Generic => Self::Generic(Value::Null),
            TopicType::String => Self::String(Text::default()),
            TopicType::Int => Self::Int(0),
            TopicType::Float => Self::Float(0.0),
            TopicType::Bool => Self::Bool(false),
            TopicType::List => Self::List(Vec::new()),
            TopicType::Set => Self::Set(Items::new()),
            TopicType::Dict => Self::Dict(BTreeMap::new()),
            TopicType::Event => Self::Event,
            TopicType::Presence => Self::Presence(BTreeMap::new()),
        }
    }

    /// Reads a value as a server sends it, which is how [`TopicValue`] is written.
    ///
    /// # Errors
    /// `bad_type` and whatever else is wrong with the text.
    pub fn read(kind: TopicType, text: &str) -> Result<Self, Refusal> {
        let array = || match json::parse(text)? {
            Value::Array(items) => Ok(items),
            _ => Err(Refusal::new(Code::BadType, format!("the value of a {kind} topic must be an array"))),
        };
        let object = || match json::parse(text)? {
            Value::Object(map) => Ok(map),
            _ => Err(Refusal::new(Code::BadType, format!("the value of a {kind} topic must be an object"))),
        };
        Ok(match kind {
            TopicType::Generic => Self::Generic(json::parse(text)?),
            TopicType::String => Self::String(json::string(text, "the value")?.into()),
            TopicType::Int => Self::Int(json::integer(text, "the value")?),
            TopicType::Float => Self::Float(json::float(text, "the value", "a number")?),
            TopicType::Bool => match text {
                "true" => Self::Bool(true),
                "false" => Self::Bool(false),
                _ => return Err(Refusal::new(Code::BadType, "the value must be true or false")),
            },
            TopicType::List => Self::List(array()?),
            TopicType::Set => Self::Set(array()?.into_iter().map(|item| (json::canonical(&item), item)).collect()),
            TopicType::Dict => Self::Dict(object()?.into_iter().collect()),
            TopicType::Event => Self::Event,
            TopicType::Presence => {
                let entry = |(key, value): (String, Value)| Ok((ClientId::parse(&key)?, value));
                Self::Presence(object()?.into_iter().map(entry).collect::<Result<_, Refusal>>()?)
            }
        })
    }

    /// The type of topic that holds this value.
    #[must_use]
    pub fn kind(&self) -> TopicType {
        match self {
            Self::Generic(_) => TopicType::Generic,
            Self::String(_) => TopicType::String,
            Self::Int(_) => TopicType::Int,
            Self::Float(_) => TopicType::Float,
            Self::Bool(_) => TopicType::Bool,
            Self::List(_) => TopicType::List,
            Self::Set(_) => TopicType::Set,
            Self::Dict(_) => TopicType::Dict,
            Self::Event => TopicType::Event,
            Self::Presence(_) => TopicType::Presence,
        }
    }

    /// About how many bytes of JSON text the value takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Generic(value) => json::weight(value),
            Self::String(text) => text.bytes(),
            Self::Int(_) | Self::Float(_) | Self::Bool(_) | Self::Event => 8,
            Self::List(items) => items.iter().map(json::weight).sum(),
            Self::Set(items) => items.values().map(json::weight).sum(),
            Self::Dict(map) => map.iter().map(|(key, item)| key.len() + json::weight(item)).sum(),
            Self::Presence(map) => map.values().map(json::weight).sum(),
        }
    }
}

/// The value as subscribers see it: a set is an array, an event topic `null`.
impl Serialize for TopicValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Generic(value) => value.serialize(serializer),
            Self::String(text) => serializer.collect_str(text),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => json::number(*value).serialize(serializer),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::List(items) => items.serialize(serializer),
            Self::Set(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items.values() {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Dict(map) => map.serialize(serializer),
            Self::Event => serializer.serialize_unit(),
            Self::Presence(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (client, value) in entries {
                    map.serialize_entry(&client.to_string(), value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: TopicType, text: &str, expected: Result<&str, Code>) {
        let found = TopicValue::read(kind, text);
        assert!(found.as_ref().is_ok_and(|value| value.kind() == kind) || found.is_err());
        let written = found.map(|value| serde_json::to_string(&value).unwrap());
        assert_eq!(written.as_deref().map_err(|refusal| refusal.code), expected, "{kind}: {text}");
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in TopicType::ALL {
            let zero = TopicValue::zero(*kind);
            assert_eq!(TopicValue::read(*kind, &serde_json::to_string(&zero).unwrap()).unwrap(), zero, "{kind}");
        }
        check(TopicType::Float, "1e300", Ok("1e+300"));
        check(TopicType::Float, "2.0", Ok("2"));
        check(TopicType::Set, r#"["b","a","b"]"#, Ok(r#"["a","b"]"#));
        check(TopicType::Dict, r#"{"__proto__":1}"#, Ok(r#"{"__proto__":1}"#));
        check(TopicType::Presence, r#"{"7":[1]}"#, Ok(r#"{"7":[1]}"#));
    }

    #[test]
    fn what_is_of_another_type_is_refused() {
        check(TopicType::Int, "1.5", Err(Code::BadType));
        check(TopicType::Int, "\"1\"", Err(Code::BadType));
        check(TopicType::Bool, "1", Err(Code::BadType));
        check(TopicType::List, "{}", Err(Code::BadType));
        check(TopicType::Dict, "[]", Err(Code::BadType));
        check(TopicType::String, "\"\\ud800\"", Err(Code::BadUnicode));
        check(TopicType::Presence, r#"{"me":1}"#, Err(Code::BadType));
        check(TopicType::Presence, r#"{"+7":1}"#, Err(Code::BadType));
        check(TopicType::Generic, "1 2", Err(Code::Malformed));
    }
}
