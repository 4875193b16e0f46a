//! Opening a topic whose type is known only when the command runs.

use chatroom_client::{
    Bool, Client, Dict, Event, Float, Generic, Int, Kind, List, Presence, Set, Text, Topic, TopicType, Untyped,
};

use crate::arguments::Failure;

/// A topic that is there, or that is made because `kind` says what it is.
pub(crate) struct Opened {
    pub(crate) topic: Topic<Untyped>,
    /// What made it keeps it there.
    _maker: Box<dyn Send>,
}

/// The type of a topic that exists.
pub(crate) async fn existing(room: &Client, name: &str) -> Result<TopicType, Failure> {
    let topic = room.untyped(name).map_err(|error| Failure::usage(error.reason))?;
    topic.loaded().await.map_err(|error| Failure::refused(format!("{}: {}", error.code.name(), error.reason)))?;
    topic.topic_type().ok_or_else(|| Failure::refused(format!("the room does not say what {name} is")))
}

pub(crate) async fn opened(room: &Client, name: &str, kind: TopicType) -> Result<Opened, Failure> {
    let maker = match kind {
        TopicType::Generic => make::<Generic>(room, name).await,
        TopicType::String => make::<Text>(room, name).await,
        TopicType::Int => make::<Int>(room, name).await,
        TopicType::Float => make::<Float>(room, name).await,
        TopicType::Bool => make::<Bool>(room, name).await,
        TopicType::List => make::<List>(room, name).await,
        TopicType::Set => make::<Set>(room, name).await,
        TopicType::Dict => make::<Dict>(room, name).await,
        TopicType::Event => make::<Event>(room, name).await,
        TopicType::Presence => make::<Presence>(room, name).await,
    }?;
    let topic = room.untyped(name).map_err(|error| Failure::usage(error.reason))?;
    Ok(Opened { topic, _maker: maker })
}

async fn make<K: Kind + 'static>(room: &Client, name: &str) -> Result<Box<dyn Send>, Failure> {
    let topic = room.topic::<K>(name).map_err(|error| Failure::usage(error.reason))?;
    match topic.loaded().await {
        Ok(_) => Ok(Box::new(topic)),
        Err(error) => Err(Failure::refused(format!("{}: {}", error.code.name(), error.reason))),
    }
}
