//! The kinds of topics: what a handle's type says about the value and its changes.
//!
//! Only the changes of the kind exist:
//!
//! ```compile_fail,E0599
//! # fn f(done: chatroom_client::Topic<chatroom_client::Bool>) {
//! done.add(1); // a bool has no `add`
//! # }
//! ```
//! ```compile_fail,E0599
//! # fn f(score: chatroom_client::Topic<chatroom_client::Int>) {
//! score.push(1); // an int has no `push`
//! # }
//! ```
//! ```compile_fail,E0308
//! # fn f(score: chatroom_client::Topic<chatroom_client::Int>) {
//! score.add("1"); // and its `add` takes a number
//! # }
//! ```
//! ```compile_fail,E0308
//! # fn f(names: chatroom_client::Topic<chatroom_client::List<String>>) {
//! names.push(&7); // a list of strings takes strings
//! # }
//! ```

use std::collections::BTreeMap;
use std::marker::PhantomData;

use chatroom_protocol::change::EventChange;
use chatroom_protocol::{Change, ClientId, TopicType, TopicValue, json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::action::{Action, Draft, END, Editing};
use crate::error::ShapeError;
use crate::listener::Update;
use crate::topic::Topic;

mod sealed {
    pub trait Sealed {}
}

/// A kind of topic, for [`Client::topic`](crate::Client::topic).
pub trait Kind: sealed::Sealed + 'static {
    /// Its name on the wire; `None` takes whatever type the topic has.
    const TYPE: Option<TopicType>;
    /// What the value is read as.
    type Value: Send + 'static;

    /// Reads the value.
    ///
    /// # Errors
    /// When the value has another shape: the room checks the topic's type, not what its items are.
    fn read(value: &TopicValue) -> Result<Self::Value, ShapeError>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $(<$item:ident>)?, $type:expr, $value:ty, $read:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name $(<$item = Value>(PhantomData<fn() -> $item>))?;

        impl $(<$item>)? sealed::Sealed for $name $(<$item>)? {}

        impl $(<$item: DeserializeOwned + Send + 'static>)? Kind for $name $(<$item>)? {
            const TYPE: Option<TopicType> = $type;
            type Value = $value;

            fn read(value: &TopicValue) -> Result<$value, ShapeError> {
                let read: fn(&TopicValue) -> Result<$value, ShapeError> = $read;
                read(value)
            }
        }
    )*};
}

kinds! {
    /// Any JSON value, replaced as a whole.
    Generic<T>, Some(TopicType::Generic), T, |value| match value {
        TopicValue::Generic(value) => item(value),
        other => misfit(other),
    };
    /// Text that many edit at once. Positions and lengths count Unicode scalar values, as
    /// [`str::chars`] does.
    Text, Some(TopicType::String), String, |value| match value {
        TopicValue::String(text) => Ok(text.to_string()),
        other => misfit(other),
    };
    /// An integer within ±(2^53 - 1), which every language's numbers hold exactly.
    Int, Some(TopicType::Int), i64, |value| match value {
        TopicValue::Int(value) => Ok(*value),
        other => misfit(other),
    };
    /// A finite double.
    Float, Some(TopicType::Float), f64, |value| match value {
        TopicValue::Float(value) => Ok(*value),
        other => misfit(other),
    };
    /// True or false.
    Bool, Some(TopicType::Bool), bool, |value| match value {
        TopicValue::Bool(value) => Ok(*value),
        other => misfit(other),
    };
    /// Items in an order. A negative position counts from the end: -1 is the last item.
    List<T>, Some(TopicType::List), Vec<T>, |value| match value {
        TopicValue::List(items) => items.iter().map(item).collect(),
        other => misfit(other),
    };
    /// Items without order, each once. Items are equal when their canonical JSON is.
    Set<T>, Some(TopicType::Set), Vec<T>, |value| match value {
        TopicValue::Set(items) => items.values().map(item).collect(),
        other => misfit(other),
    };
    /// Items under keys.
    Dict<T>, Some(TopicType::Dict), BTreeMap<String, T>, |value| match value {
        TopicValue::Dict(map) => map.iter().map(|(key, value)| Ok((key.clone(), item(value)?))).collect(),
        other => misfit(other),
    };
    /// No value: each change is something that happened.
    Event<T>, Some(TopicType::Event), (), |value| match value {
        TopicValue::Event => Ok(()),
        other => misfit(other),
    };
    /// One entry per client, gone with it.
    Presence<T>, Some(TopicType::Presence), BTreeMap<ClientId, T>, |value| match value {
        TopicValue::Presence(entries) => entries.iter().map(|(id, value)| Ok((*id, item(value)?))).collect(),
        other => misfit(other),
    };
    /// Whatever type the topic has, read as JSON; for tools that do not know it.
    Untyped, None, Value, |value| Ok(serde_json::to_value(value)?);
}

fn item<T: DeserializeOwned>(value: &Value) -> Result<T, ShapeError> {
    Ok(T::deserialize(value)?)
}

fn misfit<T>(value: &TopicValue) -> Result<T, ShapeError> {
    let kind = value.kind();
    Err(ShapeError(serde::de::Error::custom(format_args!("the topic has the type {kind}"))))
}

/// Writes each change once, for a topic and for a topic within an action.
macro_rules! changes {
    ($kind:ident $(<$item:ident>)? {
        $($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) { $draft:expr })*
    }) => {
        impl $(<$item: Serialize + DeserializeOwned + Send + 'static>)? Topic<$kind $(<$item>)?> {
            $($(#[$doc])* pub fn $name(&self, $($argument: $type),*) -> Action { self.draft($draft) })*
        }

        impl $(<$item: Serialize + DeserializeOwned + Send + 'static>)? Editing<'_, $kind $(<$item>)?> {
            $($(#[$doc])* pub fn $name(&mut self, $($argument: $type),*) -> &mut Self { self.draft($draft) })*
        }
    };
}

changes! { Generic<T> {
    /// Replaces the value.
    fn set(value: &T) { Draft::new("set").field("value", value) }
} }

changes! { Text {
    /// Replaces the text, whatever others type meanwhile.
    fn set(value: &str) { Draft::new("set").field("value", value) }
    /// Puts text at a position.
    fn insert(position: usize, text: &str) { edit(&[Component::Retain(position), Component::Insert(text.to_owned())]) }
    /// Removes so many characters from a position on.
    fn delete(position: usize, count: usize) { edit(&[Component::Retain(position), Component::Delete(count)]) }
    /// Walks over the text once; what follows the last component is kept.
    fn edit(components: &[Component]) { edit(components) }
} }

pub use chatroom_protocol::change::Component;

fn edit(components: &[Component]) -> Draft {
    Draft::edit(components)
}

changes! { Int {
    /// Replaces the value.
    fn set(value: i64) { Draft::new("set").field("value", value) }
    /// Adds to the value; additions of several clients add up.
    fn add(amount: i64) { Draft::new("add").field("value", amount) }
} }

changes! { Float {
    /// Replaces the value.
    fn set(value: f64) { Draft::new("set").finite("value", value) }
    /// Adds to the value; additions of several clients add up.
    fn add(amount: f64) { Draft::new("add").finite("value", amount) }
} }

changes! { Bool {
    /// Replaces the value.
    fn set(value: bool) { Draft::new("set").field("value", value) }
} }

changes! { List<T> {
    /// Replaces all items.
    fn set(items: &[T]) { Draft::new("set").field("value", items) }
    /// Puts an item before the one at a position.
    fn insert(position: i64, item: &T) { Draft::new("insert").position("position", position).field("item", item) }
    /// Puts an item at the end.
    fn push(item: &T) { Draft::new("insert").position("position", END).field("item", item) }
    /// Removes the item at a position.
    fn pop(position: i64) { Draft::new("pop").position("position", position) }
    /// Replaces the item at a position.
    fn set_item(position: i64, item: &T) { Draft::new("set_item").position("position", position).field("item", item) }
    /// Moves an item; `to` is its index afterwards.
    fn move_item(from: i64, to: i64) { Draft::new("move").position("from", from).position("to", to) }
} }

changes! { Set<T> {
    /// Replaces all items.
    fn set(items: &[T]) { Draft::new("set").field("value", items) }
    /// Puts an item in, unless it is there.
    fn append(item: &T) { Draft::new("append").field("item", item) }
    /// Takes an item out, if it is there.
    fn remove(item: &T) { Draft::new("remove").field("item", item) }
} }

changes! { Dict<T> {
    /// Replaces all entries.
    fn set(entries: &BTreeMap<String, T>) { Draft::new("set").field("value", entries) }
    /// Claims a key: refused if it is there.
    fn add(key: &str, value: &T) { Draft::new("add").field("key", key).field("value", value) }
    /// Writes a key, there or not.
    fn put(key: &str, value: &T) { Draft::new("put").field("key", key).field("value", value) }
    /// Writes a key unless it is there.
    fn ensure(key: &str, value: &T) { Draft::new("ensure").field("key", key).field("value", value) }
    /// Replaces the value of a key that is there.
    fn change_value(key: &str, value: &T) { Draft::new("change_value").field("key", key).field("value", value) }
    /// Removes a key that is there.
    fn pop(key: &str) { Draft::new("pop").field("key", key) }
} }

changes! { Event<T> {
    /// Tells all subscribers.
    fn emit(args: &T) { Draft::new("emit").field("args", args) }
} }

changes! { Presence<T> {
    /// Writes this client's entry. It is written again after a reconnect, and goes with the last
    /// handle of the topic.
    fn put(value: &T) { Draft::new("put").field("value", value) }
    /// Removes this client's entry.
    fn clear() { Draft::new("pop") }
} }

changes! { Untyped {
    /// Sends any change, given as the JSON object of the protocol; its id is replaced.
    fn change(change: Value) { Draft::json(change) }
} }

impl<T: DeserializeOwned + Send + 'static> Topic<List<T>> {
    /// How many items there are; `None` before the topic is loaded.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        self.part(|value| match value {
            TopicValue::List(items) => Some(items.len()),
            _ => None,
        })
    }

    /// Whether there are no items; `None` before the topic is loaded.
    #[must_use]
    pub fn is_empty(&self) -> Option<bool> {
        self.len().map(|length| length == 0)
    }

    /// One item, without reading the others.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        self.part(|value| match value {
            TopicValue::List(items) => item(items.get(index)?).ok(),
            _ => None,
        })
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Topic<Set<T>> {
    /// Whether an item is there; `None` before the topic is loaded.
    #[must_use]
    pub fn has(&self, item: &T) -> Option<bool> {
        let text = serde_json::to_string(item).ok()?;
        let key = json::canonical(&json::parse(&text).ok()?);
        self.part(|value| match value {
            TopicValue::Set(items) => Some(items.contains_key(&key)),
            _ => None,
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> Topic<Dict<T>> {
    /// The value of a key, without reading the others.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<T> {
        self.part(|value| match value {
            TopicValue::Dict(map) => item(map.get(key)?).ok(),
            _ => None,
        })
    }
}

impl<T: DeserializeOwned + Send + 'static> Update<Event<T>> {
    /// What the event carries.
    ///
    /// # Errors
    /// When it does not have the shape of `T`.
    pub fn args(&self) -> Result<T, ShapeError> {
        match self.changes() {
            [Change::Event(EventChange::Emit(args)), ..] => item(args),
            _ => Err(ShapeError(serde::de::Error::custom("not an event"))),
        }
    }
}
