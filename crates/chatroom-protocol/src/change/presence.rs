//! Changes of `presence` topics: each client's own entry.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde_json::Value;

use super::transform::Side;
use super::unknown;
use crate::code::{Code, Refusal};
use crate::envelope::Fields;
use crate::id::ClientId;
use crate::json;
use crate::limits::Limits;
use crate::value::TopicType;

/// A change of a presence topic.
#[derive(Clone, Debug, PartialEq)]
pub enum PresenceChange {
    /// Writes a client's entry.
    Put(ClientId, Value),
    /// Removes a client's entry; no effect if it has none.
    Pop(ClientId),
}

impl PresenceChange {
    pub(super) fn decode(kind: &str, fields: &Fields<'_>, author: ClientId, limits: &Limits) -> Result<Self, Refusal> {
        if let Some(key) = fields.text("key")?
            && key != author.to_string()
        {
            return Err(Refusal::new(
                Code::Forbidden,
                format!("a client writes its own entry only, and this client is {author}"),
            ));
        }
        match kind {
            "put" => {
                let raw = fields.require("value")?.get();
                if raw.len() > limits.presence_bytes {
                    return Err(Refusal::new(
                        Code::TooBig,
                        format!("an entry has at most {} bytes, this one has {}", limits.presence_bytes, raw.len()),
                    ));
                }
                Ok(Self::Put(author, json::parse(raw)?))
            }
            "pop" => Ok(Self::Pop(author)),
            _ => Err(unknown(TopicType::Presence, kind, "put and pop")),
        }
    }

    pub(super) fn apply(&self, entries: &mut BTreeMap<ClientId, Value>) -> Option<Self> {
        match self {
            Self::Put(client, value) => match entries.insert(*client, value.clone()) {
                Some(old) if old == *value => None,
                Some(old) => Some(Self::Put(*client, old)),
                None => Some(Self::Pop(*client)),
            },
            Self::Pop(client) => entries.remove(client).map(|old| Self::Put(*client, old)),
        }
    }

    /// A client's own entries follow each other; those of two clients have nothing to do with each other.
    pub(super) fn transform(&self, over: &Self, side: Side) -> Option<Self> {
        (self.owner() != over.owner() || side == Side::Later).then(|| self.clone())
    }

    pub(super) fn owner(&self) -> ClientId {
        match self {
            Self::Put(client, _) | Self::Pop(client) => *client,
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Put(_, value) => json::weight(value),
            Self::Pop(_) => 0,
        }
    }

    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Put(client, value) => {
                map.serialize_entry("type", "put")?;
                map.serialize_entry("key", &client.to_string())?;
                map.serialize_entry("value", value)
            }
            Self::Pop(client) => {
                map.serialize_entry("type", "pop")?;
                map.serialize_entry("key", &client.to_string())
            }
        }
    }
}
